#!/usr/bin/env bash
# `systemctl stop` with a download under way, and with new requests until the balancer has noticed.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

folder=$(mktemp -d)
slow_download "$folder/large.bin"
systemctl stop --no-block headwater.service
becomes "what a balancer is told" 503 status "$admin/readyz"
is "what it still sends is answered" "$(curl -sSf "$data/artifacts/agent/1.0.0/small.txt")" "a small artifact"
kill -0 "$download" || fail "the download was over before the drain began"
download_is_whole "$folder/large.bin"
becomes "the service" inactive property ActiveState
is "how it ended" "$(property Result)" success
rm -r "$folder"
systemctl start headwater.service
ok "drained: 503 for the balancer, new requests answered, the download under way complete, exit code 0"
