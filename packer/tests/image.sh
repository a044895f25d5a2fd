#!/usr/bin/env bash
# Runs the steps of the image on a throw-away Debian 12 with a real systemd and looks at what they made: see machine/.
# Owns the surroundings of that machine (an AWS that is none); never touches AWS. check, beside it, comes first.
#
#   packer/tests/image.sh FOLDER      packer/build's folder; any with a `headwater` that runs on Debian 12 will do
#
# ./boot boots it, or nspawn.sh of the folder HEADWATER_PACKER_TOOLS (default ../shared/tools/packer) where there is
# one: both are called alike. Needs root or sudo, and the packages of tests/setup/packages.txt; ports 2222, 8080 and 8081
# of loopback must be free.
set -euo pipefail

say() { printf '%s\n' "$*"; }
refuse() { printf 'packer/tests/image.sh: %s\n' "$*" >&2; exit 1; }

image=$(realpath "${1:?packer/tests/image.sh FOLDER}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly tools=${HEADWATER_PACKER_TOOLS:-../shared/tools/packer}
readonly target=${CARGO_TARGET_DIR:-$PWD/target}
readonly scratch=$target/image-test
readonly python=$target/python

boot=packer/tests/boot
if [ -x "$tools/nspawn.sh" ]; then boot=$tools/nspawn.sh; fi
readonly boot

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi

can_boot() {
  local command port
  for command in debootstrap systemd-nspawn packer ssh-keygen; do
    command -v "$command" >/dev/null || [ -x "/usr/sbin/$command" ] ||
      refuse "$command is missing; \`tests/run setup\` installs it"
  done
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || refuse "booting a machine needs root: run as root, or install sudo"
    sudo --non-interactive true 2>/dev/null || refuse "booting a machine needs root: sudo asks for a password here"
  fi
  "${as_root[@]}" unshare --mount --uts --ipc --pid --fork mount -t tmpfs none /mnt 2>/dev/null ||
    refuse "this container may not mount or make namespaces; booting a machine needs CAP_SYS_ADMIN (privileged)"
  for port in 2222 8080 8081; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      refuse "port $port of loopback is in use; the machine shares the network of this one"
    fi
  done
}

# packer uploads the whole folder; a target/debug has gigabytes beside the program.
stage_program() {
  rm -rf "$scratch/program"
  mkdir -p "$scratch/program"
  [ -x "$image/headwater" ] || refuse "no program $image/headwater"
  if [ -f "$image/headwater.cdx.json" ]; then
    cp -r "$image/." "$scratch/program"
  else
    say "note    $image has no SBOM, so it is not packer/build's: its program alone is tested"
    cp "$image/headwater" "$scratch/program/"
    echo '{}' >"$scratch/program/headwater.cdx.json"
  fi
}

# COMMAND...: a server that prints `listening on URL` first and ends when this script does.
start() {
  local pipe=$scratch/$1.out
  shift
  rm -f "$pipe"
  mkfifo "$pipe"
  # Its input stays open as long as this script lives, and tells it the end.
  "$@" <"$scratch/alive" >"$pipe" 2>"$pipe.err" 9>&- &
  read -r _ _ url <"$pipe" || refuse "$* does not start: $(cat "$pipe.err")"
}

surround() {
  rm -f "$scratch/alive"
  mkfifo "$scratch/alive"
  exec 9<>"$scratch/alive"
  start aws python3 packer/tests/fake_aws.py
  aws=$url
  start s3 env "PYTHONPATH=$python" python3 tests/setup/serve_moto.py
  s3=$url
}

run() {
  local variables=(
    "config_file=$PWD/config/production.toml"
    "image_dirs={\"test\": \"$scratch/program\"}"
    "version=$("$image/headwater" --version | cut -d' ' -f2)"
    "commit=$(git rev-parse HEAD)"
    "sbom_sha256=$(sha256sum <"$scratch/program/headwater.cdx.json" | cut -d' ' -f1)"
    "aws=$aws"
    "s3=$s3"
  )
  # The system that every machine begins as is downloaded once.
  "${as_root[@]}" env "PATH=$PATH:/usr/sbin:/sbin" "ROOT_CACHE=${ROOT_CACHE:-$scratch/minbase.tar}" \
    CHECKPOINT_DISABLE=1 "PACKER_CACHE_DIR=$scratch/packer_cache" "${variables[@]/#/PKR_VAR_}" \
    "$boot" packer/tests/nspawn.pkr.hcl
}

mkdir -p "$scratch"
packer/tests/check
can_boot
stage_program
surround
say "note    the machine is booted by $boot"
run
