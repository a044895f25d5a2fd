#!/usr/bin/env bash
# The self-test that ends the build of an image can fail: spoilt images, and what it says of each.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

readonly drop_in=/run/systemd/system/headwater.service.d/spoilt.conf

# PART PROMISE...: the part ends with an error, and names these promises as broken.
finds() {
  local part=$1 said promise
  shift
  ! said=$(bash /tmp/scripts/self-test.sh "$part" 2>&1) || fail "the self-test passes on an image that is spoilt: $1"
  for promise in "$@"; do contains "what the self-test says" "$said" "FAILED  $promise"; done
  ok "found, $part: $(printf '%s; ' "$@")"
}

# LINE...: of the unit's section Service.
spoil() {
  install -d "${drop_in%/*}"
  printf '%s\n' '[Service]' "$@" >"$drop_in"
  systemctl daemon-reload
}

spoil 'ExecStart=' 'ExecStart=/usr/local/bin/headwater serve --config /nowhere'
finds serves "the origin starts and says that it is ready" "it serves what was published, byte by byte"
spoil 'CapabilityBoundingSet=CAP_SYS_ADMIN' 'LimitNOFILE=1024' 'ProtectSystem=no' 'ProtectHome=no' 'PrivateDevices=no' \
  'RestrictNamespaces=no' 'ProtectKernelModules=no'
finds serves "it has no capability" "it may open as many files as it serves connections" "it is locked in"
rm -r "$drop_in"
systemctl daemon-reload

: >/etc/ssh/ssh_host_ed25519_key
install -m 4755 /usr/bin/true /usr/local/bin/not-debians
finds sealed "no host key of the builder" "no setuid program that is not Debian's"
rm /etc/ssh/ssh_host_ed25519_key /usr/local/bin/not-debians
