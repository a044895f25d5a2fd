#!/usr/bin/env bash
# Ended by kill -9 it comes back.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

before=$(property MainPID)
restarts=$(property NRestarts)
kill -KILL "$before"
becomes "the count of restarts" "$((restarts + 1))" property NRestarts
until_true "it is active again" systemctl --quiet is-active headwater.service
until_true "it is ready again" is_ready
[ "$(property MainPID)" != "$before" ] || fail "the process is the one that was killed"
is "it serves" "$(curl -sSf "$data/artifacts/agent/1.0.0/small.txt")" "a small artifact"
ok "killed with SIGKILL, restarted, serves"
