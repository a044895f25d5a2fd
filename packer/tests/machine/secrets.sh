#!/usr/bin/env bash
# The edge's secret: fetched with the role's credentials, changed without a restart, never missing by mistake.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

readonly arn=arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf
readonly file=/run/headwater/origin-secrets
readonly first=first-secret-0123456789 second=second-secret-0123456789

# What the origin answers to an edge with this secret.
with() { status --header "X-Origin-Secret: $1" "$data/artifacts/agent/1.0.0/small.txt"; }

control secret
since=$(now)
boot_with "HEADWATER_STORE=$store
HEADWATER_SECRET_ARN=$arn" 2>/dev/null || true
logs "$since" headwater-secrets.service "Secrets Manager does not give $arn"
is "without its secret the origin serves nobody" "$(status "$data/artifacts/agent/1.0.0/small.txt")" 000
ok "no secret to be had: the origin waits, and is not open meanwhile"

control secret "{\"current\": \"short\", \"previous\": \"\"}"
systemctl start headwater-secrets.service 2>/dev/null && fail "a secret of 5 characters is accepted"
control secret "{\"current\": \"$first\", \"previous\": \"\"}"
systemctl start headwater-secrets.service
until_true "the origin starts by itself when the secret is there" is_ready
is "the file" "$(stat --format '%a %U:%G' "$file") $(cat "$file")" "640 root:headwater $first"
is "with the secret" "$(with "$first")" 200
is "with another" "$(with "$second")" 403
is "without" "$(status "$data/artifacts/agent/1.0.0/small.txt")" 403
is "health checks need none" "$(status "$admin/readyz") $(status "$data/healthz")" "200 200"

before=$(property MainPID)
control secret "{\"current\": \"$second\", \"previous\": \"$first\"}"
systemctl start headwater-secrets.service
becomes "with the new one" 200 with "$second"
is "the old one still" "$(with "$first")" 200
control secret "{\"current\": \"$second\", \"previous\": \"\"}"
systemctl start headwater-secrets.service
becomes "with the old one" 403 with "$first"
is "by the same process" "$(property MainPID)" "$before"
control secret
systemctl start headwater-secrets.service 2>/dev/null && fail "a secret that is gone is no failure"
is "what was there stays" "$(with "$second")" 200
is "the calls that were signed and accepted" "$(calls | grep -c '"GetSecretValue"')" "$(calls | grep -c "$arn")"
! journalctl --no-pager | grep --quiet --fixed-strings -e "$first" -e "$second" || fail "a secret is in the log"
is "every five minutes" "$(systemctl show --property=TimersMonotonic headwater-secrets.timer | grep -c 5min)" 2
ok "rotated twice under the same process; $(calls | grep -c '"GetSecretValue"') signed calls; no secret in the log"
