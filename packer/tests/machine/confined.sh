#!/usr/bin/env bash
# What somebody who took over the process could do: a shell with the unit's own properties, from its own file.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

readonly unit=/run/systemd/system/headwater-probe.service
readonly probe=/var/lib/headwater-test/probe.sh

# Each line that it prints is something that it could do and must not.
cat >"$probe" <<'END'
for folder in / /etc /etc/headwater /usr /usr/local/bin /home /var /var/lib /var/log /opt /boot /srv /run \
  /run/headwater /var/lib/headwater-test/store /dev /proc /sys; do
  if (echo x >"$folder/probe") 2>/dev/null; then echo "wrote to $folder"; fi
done
if (echo x >>/usr/local/bin/headwater) 2>/dev/null; then echo "changed the program"; fi
if (echo 1 >/proc/sys/vm/swappiness) 2>/dev/null; then echo "changed the kernel"; fi
if mount -t tmpfs none /tmp 2>/dev/null; then echo "mounted"; fi
if unshare --user true 2>/dev/null; then echo "made a namespace"; fi
if chmod u+s /var/cache/headwater/file 2>/dev/null; then echo "made a setuid file"; fi
if cat /etc/shadow >/dev/null 2>&1; then echo "read the passwords"; fi
if [ -d /proc/1 ]; then echo "saw another process"; fi
if [ -n "$(ls -A /home 2>/dev/null)" ]; then echo "looked into a home"; fi
for folder in /var/cache/headwater /tmp /var/tmp /dev/shm; do
  cp /usr/bin/true "$folder/program" || echo "read nothing it could copy"
  if "$folder/program" 2>/dev/null; then echo "ran what it wrote to $folder"; fi
  rm "$folder/program"
done
echo "the end"
END
chmod 0644 "$probe"

cp /etc/systemd/system/headwater.service "$unit"
install -d "$unit.d"
# A shell instead of the origin, and the shell's tools may be executed; all else is the unit.
cat >"$unit.d/shell.conf" <<END
[Service]
Type=oneshot
WatchdogSec=0
Restart=no
ExecStart=
ExecStart=/bin/sh -c 'echo kept >/var/cache/headwater/file && echo "wrote to its cache"; exec sh $probe'
ExecPaths=/usr/bin
END
systemctl daemon-reload
since=$(now)
systemctl start headwater-probe.service
logs "$since" headwater-probe.service "the end"
found=$(journalctl --no-pager --output=cat --since="$since" --unit=headwater-probe.service | grep --extended-regexp \
  '^(wrote|changed|mounted|made|read|saw|looked|ran) ?' || true)
is "what a shell with the unit's properties can do" "$found" "wrote to its cache"
is "what it wrote there is the origin's" "$(stat --format '%U' /var/cache/headwater/file)" headwater
rm -rf "$unit" "$unit.d" /var/cache/headwater/file "$probe"
systemctl daemon-reload
ok "a shell with the unit's properties writes to /var/cache/headwater and to nothing else"
