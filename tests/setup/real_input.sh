#!/usr/bin/env bash
# Downloads the real input of the tests into target/real, once; a second run only looks whether all of it is there.
#
#   target/real/ruff/{version}/   five consecutive releases of a real program: the wheel, its executable, its RECORD
#   target/real/debs/             a few real Debian packages
#
# Nothing here is run or installed: these are bytes that somebody else released, with digests that somebody else wrote.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly real=${CARGO_TARGET_DIR:-target}/real
readonly ruff_versions=(0.12.0 0.12.1 0.12.2 0.12.3 0.12.4)
# busybox has an epoch and a `+` in its version, so its file name has `%3a` and `+`.
readonly deb_packages=(busybox hostname netbase sed)

refuse() { printf 'tests/setup/real_input.sh: %s\n' "$*" >&2; exit 1; }

# A folder is renamed into place when it is complete, so that a broken download is never taken for input.
ruff() {
  local version=$1 into=$real/ruff/$1 fresh
  [ -x "$into/ruff" ] && return
  fresh=$(mktemp -d "$real/fresh.XXXXXX")
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$fresh" "ruff==$version"
  python3 -m zipfile -e "$fresh"/*.whl "$fresh/unpacked"
  mv "$fresh/unpacked/ruff-$version.data/scripts/ruff" "$fresh/unpacked/ruff-$version.dist-info/RECORD" "$fresh/"
  rm -r "$fresh/unpacked"
  chmod 755 "$fresh" "$fresh/ruff"
  mkdir -p "$real/ruff"
  rm -rf "$into"
  mv "$fresh" "$into"
}

debs() {
  local into=$PWD/$real/debs fresh
  case $real in /*) into=$real/debs ;; esac
  [ -d "$into" ] && return
  fresh=$(mktemp -d "$real/fresh.XXXXXX")
  fresh=$(cd "$fresh" && pwd)
  (cd "$fresh" && apt-get --quiet --quiet -o APT::Sandbox::User=root download "${deb_packages[@]}") \
    || refuse "apt-get download failed; after \`apt-get update\` (as root) it should not"
  chmod 755 "$fresh"
  mv "$fresh" "$into"
}

mkdir -p "$real"
for version in "${ruff_versions[@]}"; do ruff "$version"; done
debs

for version in "${ruff_versions[@]}"; do
  for file in ruff RECORD; do
    [ -s "$real/ruff/$version/$file" ] || refuse "$real/ruff/$version/$file is missing or empty"
  done
done
for package in "${deb_packages[@]}"; do
  compgen -G "$real/debs/${package}_*.deb" >/dev/null || refuse "the package $package is missing"
done
echo "the real input of the tests is in $real"
