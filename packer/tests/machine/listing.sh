#!/usr/bin/env bash
# Lists the whole root file system: path, type, mode, owner, group, target of a link, digest. Owns what is left out; run
# as `second` it compares with the listing of `first`, and fails where they differ.
set -euo pipefail

readonly lists=/var/lib/headwater-test
# Of the running system, not of the image: kernel's trees, logs, package lists and caches (finish.sh empties what an
# image would keep of them), when timers last ran, what clock and packages note about themselves, and these lists.
readonly left_out=(
  /proc /sys /dev /run /tmp /var/tmp /var/log /var/cache/apt /var/cache/ldconfig/aux-cache /var/cache/debconf
  /var/lib/apt /var/lib/systemd/timers /var/lib/systemd/timesync /var/lib/chrony /var/lib/dpkg/lock
  /var/lib/dpkg/lock-frontend /var/lib/dpkg/triggers/Lock "$lists"
)

list() {
  local path prune=()
  for path in "${left_out[@]}"; do prune+=(-path "$path" -o); done
  find / -xdev \( "${prune[@]}" -false \) -prune -o -printf '%p %y %m %u:%g %l\n' | sort
  find / -xdev \( "${prune[@]}" -false \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
}

install -d -m 0700 "$lists"
list >"$lists/$1"
printf '%s listing: %d lines\n' "$1" "$(wc -l <"$lists/$1")"
if [ "$1" = second ]; then
  diff "$lists/first" "$lists/second" || { echo "provisioning a second time changed the above"; exit 1; }
  echo "ok      provisioned twice changes nothing: no path, mode, owner or byte of all $(wc -l <"$lists/second") lines"
fi
