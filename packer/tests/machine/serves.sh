#!/usr/bin/env bash
# The service is active and answers what was published.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

is "the service" "$(systemctl is-active headwater.service)" active
systemctl reload headwater.service || fail "it cannot be told to read its secrets again"
is "it says READY=1 itself" "$(property Type) $(property NotifyAccess)" "notify main"
until_true "the origin is ready" is_ready
is "an artifact" "$(curl -sSf "$data/artifacts/agent/1.0.0/large.bin" | sha256sum)" \
  "$(sha256sum <"$store/artifacts/agent/1.0.0/large.bin")"
is "through its channel" "$(curl -sSfL "$data/channels/agent/stable/small.txt")" "a small artifact"
is "nothing else" "$(status "$data/etc/passwd") $(status "$data/artifacts/agent/1.0.0/none")" "404 404"
ok "active, ready, and an artifact of 48 MiB comes with its digest"
systemctl status --no-pager --lines=0 headwater.service
systemd-analyze security --no-pager headwater.service | tail -1
