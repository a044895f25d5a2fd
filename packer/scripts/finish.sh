#!/usr/bin/env bash
# Takes away what every instance must have as its own, and what only the build needed. Owns what must not be in an
# image; self-test.sh looks afterwards whether it is gone. Twice does the same as once.
set -euo pipefail

[ "$(id -u)" -eq 0 ] || { echo "finish: must run as root" >&2; exit 1; }

# No way in: an instance is replaced, not repaired, and says what is wrong on its serial console. The session that this
# runs in lives on; masked, because a first boot enables what Debian's presets name.
systemctl --quiet disable ssh.service ssh.socket 2>/dev/null || true
systemctl --quiet mask ssh.service ssh.socket
rm -f /etc/ssh/ssh_host_*

# Empty, not missing: systemd makes one up at the first boot, and does not take that for a first installation.
: >/etc/machine-id
ln --symbolic --force /etc/machine-id /var/lib/dbus/machine-id
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret

if command -v cloud-init >/dev/null; then cloud-init clean --logs; fi

apt-get clean
find /var/lib/apt/lists -mindepth 1 -delete
find /var/log -type f -exec truncate --size=0 {} +
journalctl --quiet --rotate && journalctl --quiet --vacuum-time=1s
rm -rf /var/log/journal/* /var/cache/headwater/* /run/headwater/*
find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'headwater-image' ! -name 'script_*' ! -name 'systemd-private-*' \
  ! -name '.*-unix' -exec rm -rf {} +
for user in root "${SUDO_USER:-root}"; do
  rm -f "$(getent passwd "$user" | cut -d: -f6)/.bash_history"
done
# Freed blocks would be in the snapshot, which is paid by the byte; a container's file system cannot.
fstrim --quiet-unsupported / 2>/dev/null || true
