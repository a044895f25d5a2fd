#!/usr/bin/env bash
# Makes a Debian 12 into an origin: packages, the program, its files, its user, its units. Owns what is on the image;
# never starts anything. Twice does the same as once: tests/image.sh compares every file of the system.
#
#   provision.sh FOLDER      files/, program/ (packer/build's folder) and origin.toml, as headwater.pkr.hcl uploads them
#
# HEADWATER_VERSION, HEADWATER_COMMIT and HEADWATER_SBOM_SHA256 say what the program should be; the image keeps them.
set -euo pipefail
umask 022

say() { printf 'provision: %s\n' "$*"; }
refuse() { printf 'provision: %s\n' "$*" >&2; exit 1; }

readonly from=${1:?provision.sh FOLDER}
readonly share=/usr/local/share/headwater
readonly packages=(
  ca-certificates     # S3 and Secrets Manager
  chrony              # a signed request must be on time
  curl                # instance metadata, and signed requests of the scripts
  e2fsprogs           # an instance store as block cache
  jq                  # answers of AWS
  procps              # ps, for self-test.sh
  unattended-upgrades # security updates
)

is_what_it_should_be() {
  local said
  [[ ${HEADWATER_COMMIT-} =~ ^[0-9a-f]{40}$ ]] ||
    refuse "the commit is \`${HEADWATER_COMMIT-}\`, not 40 hexadecimal digits: build with packer/ami"
  [[ ${HEADWATER_SBOM_SHA256-} =~ ^[0-9a-f]{64}$ ]] ||
    refuse "the SBOM's digest is \`${HEADWATER_SBOM_SHA256-}\`, not 64 hexadecimal digits: build with packer/ami"
  [ "$(sha256sum <"$from/program/headwater.cdx.json")" = "$HEADWATER_SBOM_SHA256  -" ] ||
    refuse "headwater.cdx.json beside the program has not the SBOM's digest $HEADWATER_SBOM_SHA256"
  said=$("$from/program/headwater" --version) ||
    refuse "the program does not run here; it must be built for $(uname --machine) and Debian 12"
  # It may say more than its version, such as its commit.
  [[ "$said " == "headwater ${HEADWATER_VERSION-} "* ]] ||
    refuse "the program says \`$said\`, expected \`headwater ${HEADWATER_VERSION-}\`"
}

# apt says hundreds of lines, which count only when it fails.
quietly() {
  local output
  output=$("$@" 2>&1) || { printf '%s\n' "$output" >&2; refuse "$* failed"; }
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  # An instance that has just booted may be busy with packages itself.
  if command -v cloud-init >/dev/null; then quietly cloud-init status --wait; fi
  local options=(-qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold)
  quietly apt-get update -qq
  # Debian's images are some weeks old; what is current today is what is tested and shipped. A kernel's security update
  # is a new package, which a plain upgrade would hold back.
  quietly apt-get upgrade "${options[@]}" --with-new-pkgs
  quietly apt-get install "${options[@]}" --no-install-recommends "${packages[@]}"
}

# A file that is what it should be is left alone.
place() {
  local mode=$1 source=$2 target=$3
  install -d -m 0755 "$(dirname "$target")"
  install --compare --owner=root --group=root --mode="$mode" "$source" "$target"
}

place_files() {
  local file mode
  while IFS= read -r file; do
    mode=0644
    if [ "$(head -c 2 "$from/files/$file")" = '#!' ]; then mode=0755; fi
    place "$mode" "$from/files/$file" "/$file"
  done < <(cd "$from/files" && find . -type f -printf '%P\n' | sort)
}

# Everything of packer/build: the program, its list of parts and its licences. Symbols for a debugger stay outside.
place_program() {
  local file
  place 0755 "$from/program/headwater" /usr/local/bin/headwater
  while IFS= read -r file; do
    place 0644 "$from/program/$file" "$share/$file"
  done < <(cd "$from/program" && find . -type f ! -name headwater ! -name '*.debug' -printf '%P\n' | sort)
  printf 'version=%s\ncommit=%s\nsbom_sha256=%s\n' "$HEADWATER_VERSION" "$HEADWATER_COMMIT" "$HEADWATER_SBOM_SHA256" \
    >"$from/build.txt"
  place 0644 "$from/build.txt" "$share/build.txt"
  place 0644 "$from/origin.toml" /etc/headwater/origin.toml
  headwater config check /etc/headwater/origin.toml
}

switch_on() {
  systemd-sysusers
  systemd-tmpfiles --create /etc/tmpfiles.d/headwater.conf
  systemctl daemon-reload
  systemctl --quiet enable headwater.service headwater-configure.service headwater-cache.service \
    headwater-lifecycle.service headwater-secrets.timer
  # The instance's kernel reads the file at boot; the builder's must have it for the self-test. A container cannot.
  if [ -w /proc/sys/net/core/somaxconn ]; then /usr/lib/systemd/systemd-sysctl 60-headwater.conf; fi
}

[ "$(id -u)" -eq 0 ] || refuse "must run as root"
is_what_it_should_be
install_packages
place_files
place_program
switch_on
say "headwater $HEADWATER_VERSION ($HEADWATER_COMMIT) is installed"
