# shellcheck shell=bash
# What the checks share: an instance's surroundings, waiting, comparing. Owns nothing that is checked.

readonly store=/var/lib/headwater-test/store
readonly data=http://127.0.0.1:8080 admin=http://127.0.0.1:8081
# A machine that does other work too: nothing here takes a tenth of it.
readonly patience=90

say() { printf '%s\n' "$*"; }
ok() { printf 'ok      %s\n' "$*"; }
fail() {
  printf 'FAILED  %s\n' "$*" >&2
  journalctl --no-pager --lines=40 --unit='headwater*' >&2 || true
  exit 1
}

is() { [ "$2" = "$3" ] || fail "$1: found '$2', expected '$3'"; }
contains() { grep --quiet --fixed-strings -- "$3" <<<"$2" || fail "$1: '$3' is not in '$2'"; }

# DESCRIPTION COMMAND...
until_true() {
  local what=$1 deadline=$((SECONDS + patience))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what did not come true within $patience s: $*"
    sleep 0.2
  done
}

# DESCRIPTION WANTED COMMAND...: until what it prints is that.
becomes() {
  local what=$1 wanted=$2 deadline=$((SECONDS + patience)) found
  shift 2
  until found=$("$@" 2>/dev/null || true) && [ "$found" = "$wanted" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what: '$wanted' expected within $patience s, last '$found'"
    sleep 0.2
  done
}

# SINCE UNIT TEXT: until the unit's log says so.
logs() {
  local deadline=$((SECONDS + patience))
  until journalctl --no-pager --output=cat --since="$1" --unit="$2" | grep --quiet --fixed-strings -- "$3"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "the log of $2 does not say within $patience s: $3"
    sleep 0.2
  done
}

control() { curl --silent --show-error --fail --request PUT --data-binary "${2-}" "$AWS/control/$1"; }
calls() { curl --silent --show-error --fail "$AWS/control/calls"; }
status() { curl --silent --output /dev/null --write-out '%{http_code}' "$@" || true; }
property() { systemctl show --property="$1" --value "${2-headwater.service}"; }
is_ready() { [ "$(status "$admin/readyz")" = 200 ]; }
now() { date '+%Y-%m-%d %H:%M:%S'; }

# Without the drain's 20 s, where nobody downloads: a second signal ends the origin at once.
stop_now() {
  local deadline=$((SECONDS + patience))
  systemctl stop --no-block headwater.service
  until [[ $(property ActiveState) =~ ^(inactive|failed)$ ]]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "the origin does not stop at a second signal"
    systemctl kill --signal=TERM headwater.service 2>/dev/null || true
    sleep 0.2
  done
}

# What the instance finds at its next boot, and that boot.
boot_with() {
  control user-data "$1"
  stop_now
  systemctl stop headwater-configure.service headwater-lifecycle.service headwater-secrets.timer
  systemctl reset-failed 'headwater*' 2>/dev/null || true
  rm -f /run/headwater/*
  systemctl start headwater.service
}

# A download of 48 MiB at a rate that leaves it under way for 32 s; its digest and curl's status come afterwards.
slow_download() {
  curl --silent --show-error --fail --limit-rate 1536K --output "$1" "$data/artifacts/agent/1.0.0/large.bin" &
  download=$!
  until_true "the download begins" test -s "$1"
}

download_is_whole() {
  local rc=0
  wait "$download" || rc=$?
  is "curl's exit code of the download that was under way" "$rc" 0
  is "its digest" "$(sha256sum <"$1")" "$(sha256sum <"$store/artifacts/agent/1.0.0/large.bin")"
}
