#!/usr/bin/env bash
# Installs the public HTTP cache test suite (https://cache-tests.fyi) into target/http-cache-tests, once; a second run
# only looks whether it is there.
#
#   target/http-cache-tests/suite/         the npm package http-cache-tests as published: tests, server, client, results
#   target/http-cache-tests/node_modules/  node-fetch, the only one of its dependencies that its command line uses
#
# The package also asks for npm itself (40 MB) and a template engine, which only its web page needs. Its digest is the
# one that the registry declares; npm checks it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The score of tests/it/edge_suite.rs is a score of this version: another one has other tests.
readonly suite_version=0.4.5
readonly node_fetch_version=2.7.0

readonly into=${CARGO_TARGET_DIR:-target}/http-cache-tests

refuse() { printf 'tests/setup/http_cache_tests.sh: %s\n' "$*" >&2; exit 1; }

is_installed() {
  [ -s "$into/suite/cli.mjs" ] && [ -s "$into/node_modules/node-fetch/package.json" ] &&
    grep -q "\"version\": \"$suite_version\"" "$into/suite/package.json"
}

# A folder is renamed into place when it is complete, so that a broken download is never taken for the suite.
install() {
  local fresh
  mkdir -p "$(dirname "$into")"
  fresh=$(mktemp -d "$(dirname "$into")/http-cache-tests.fresh.XXXXXX")
  # shellcheck disable=SC2064 # the value of now is meant
  trap "rm -rf '$fresh'" EXIT
  (
    cd "$fresh"
    npm pack --silent "http-cache-tests@$suite_version" >/dev/null
    tar -xzf "http-cache-tests-$suite_version.tgz"
    rm "http-cache-tests-$suite_version.tgz"
    mv package suite
    # Outside the package's own folder, where npm would install what it asks for.
    npm install --silent --prefix . --no-save --no-package-lock --no-audit --no-fund --ignore-scripts \
      "node-fetch@$node_fetch_version"
  )
  chmod 755 "$fresh"
  rm -rf "$into"
  mv "$fresh" "$into"
}

command -v node >/dev/null || refuse "node is missing; \`tests/run setup\` installs it"
if ! is_installed; then
  command -v npm >/dev/null || refuse "npm is missing; \`tests/run setup\` installs it"
  install
fi
is_installed || refuse "$into is not complete after the installation"
echo "the HTTP cache test suite $suite_version is in $into"
