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
stop_now
systemctl start headwater.service
before=$(property MainPID)
since=$(now)
# Alive for three times its watchdog: what comes next is not due to a watchdog that nobody feeds.
sleep 15
is "it is the same process" "$(property MainPID)" "$before"
kill -STOP "$before"
logs "$since" headwater.service "Watchdog timeout"
becomes "the service" running property SubState
until_true "another process serves" is_ready
[ "$(property MainPID)" != "$before" ] || fail "the process is the one that was stopped"
rm -r "${shorter%/*}"
systemctl daemon-reload
stop_now
systemctl start headwater.service
ok "stopped with SIGSTOP, found by the watchdog, restarted"
