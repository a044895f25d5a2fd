#!/usr/bin/env bash
# A process that hangs is ended and comes back.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

# The unit's 30 s, shortened; everything else is the unit's.
readonly shorter=/run/systemd/system/headwater.service.d/watchdog.conf
install -d "${shorter%/*}"
printf '[Service]\nWatchdogSec=5s\n' >"$shorter"
systemctl daemon-reload
systemctl restart headwater.service
before=$(property MainPID)
since=$(now)
# Alive for three times its watchdog: what comes next is not due to a watchdog that nobody feeds.
sleep 15
is "it is the same process" "$(property MainPID)" "$before"
kill -STOP "$before"
until_true "systemd noticed" grep --quiet 'Watchdog timeout' <(said_since "$since" headwater.service) ||
  until_true "systemd noticed" eval 'said_since "$since" headwater.service | grep --quiet "Watchdog timeout"'
until_true "another process serves" eval '[ "$(property MainPID)" != "$before" ] && is_ready'
rm -r "${shorter%/*}"
systemctl daemon-reload
systemctl restart headwater.service
ok "stopped with SIGSTOP, found by the watchdog, restarted"
