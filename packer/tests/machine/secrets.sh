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
# By another process than the one before.
is_another_and_ready() { [ "$(property MainPID)" != "$1" ] && is_ready; }

control secret
since=$(now)
boot_with "HEADWATER_STORE=$store
HEADWATER_SECRET_ARN=$arn" 2>/dev/null || true
logs "$since" headwater-secrets.service "Secrets Manager does not give $arn"
is "without its secret the origin serves nobody" "$(status "$data/artifacts/agent/1.0.0/small.txt")" 000
ok "no secret to be had: the origin waits, and is not open meanwhile"

for bad in '"current": "short"' '"current": ""' '"previous": "a-secret-of-before"' '"current": "a secret with blanks"' \
  '"current": "a,secret,with,commas"' '"current": "#a-secret-like-a-comment"' '"current": ["a-secret-in-a-list"]' \
  '"current": "a-secret-like-any", "previous": "short"' '"current": "a-secret-with-a-line-end\n"'; do
  control secret "{$bad}"
  since=$(now)
  systemctl start headwater-secrets.service 2>/dev/null && fail "{$bad} is accepted"
  logs "$since" headwater-secrets.service "$arn is not {\"current\": "
  [ ! -e "$file" ] || fail "{$bad} became a file"
done
ok "what the origin would refuse is refused before"
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

# Secrets Manager accepts and does not answer: what was there is enough to start with.
control secret-delay 60
before=$(property MainPID)
begun=$SECONDS
kill -KILL "$before"
until_true "the origin serves again" is_another_and_ready "$before"
[ "$((SECONDS - begun))" -lt 30 ] || fail "a start with a secret waits $((SECONDS - begun)) s for Secrets Manager"
control secret-delay

# A start that lasts until it is told of new values: they must reach an origin that has read the old ones already.
readonly slow=/run/systemd/system/headwater.service.d/slow.conf
readonly listens=/var/cache/headwater/listens
install -d "${slow%/*}"
cat >"$slow" <<END
[Service]
NoExecPaths=
ExecStart=
ExecStart=/bin/sh -c 'trap "exec headwater serve --config /etc/headwater/origin.toml" HUP; : >$listens; \\
  while :; do sleep 0.1; done'
END
systemctl daemon-reload
stop_now
control secret "{\"current\": \"$first\", \"previous\": \"\"}"
systemctl start --no-block headwater.service
until_true "an origin is starting" test -e "$listens"
is "the service" "$(property SubState)" start
control secret "{\"current\": \"$second\", \"previous\": \"$first\"}"
systemctl start headwater-secrets.service
until_true "an origin that is starting is told" is_ready
rm -r "$slow" "$listens"
systemctl daemon-reload
stop_now
systemctl start headwater.service
ok "a hanging Secrets Manager delays no restart; a change during a start is not lost"

! journalctl --no-pager | grep --quiet --fixed-strings -e "$first" -e "$second" || fail "a secret is in the log"
is "every five minutes" "$(systemctl show --property=TimersMonotonic headwater-secrets.timer | grep -c 5min)" 2
ok "rotated twice under the same process; $(calls | grep -c '"GetSecretValue"') signed calls; no secret in the log"
