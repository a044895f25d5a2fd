#!/usr/bin/env bash
# The Auto Scaling group ends the instance: the origin drains, the group waits, the download under way is whole.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

control target-lifecycle-state InService
boot_with "HEADWATER_STORE=$store
HEADWATER_ASG=fleet
HEADWATER_LIFECYCLE_HOOK=drain"
systemctl start headwater-lifecycle.service
until_true "the origin is ready" is_ready
folder=$(mktemp -d)
slow_download "$folder/large.bin"
is "in service, it only looks" "$(systemctl is-active headwater-lifecycle.service) $(calls | grep -c Lifecycle)" "active 0"

control target-lifecycle-state Terminated
until_true "the origin drains" eval '[ "$(property ActiveState)" = deactivating ]'
until_true "the group is told to wait" eval 'calls | grep --quiet RecordLifecycleActionHeartbeat'
is "and not to go on" "$(calls | grep -c CompleteLifecycleAction || true)" 0
kill -0 "$download" || fail "the download was over before the drain began"
download_is_whole "$folder/large.bin"
until_true "the group may go on" eval 'calls | grep --quiet CompleteLifecycleAction'
is "the origin" "$(property ActiveState) $(property Result)" "inactive success"
is "what the group was told" "$(calls | grep CompleteLifecycleAction | jq --compact-output --sort-keys .)" \
  '{"AutoScalingGroupName":"fleet","InstanceId":"i-0123456789abcdef0","LifecycleActionResult":"CONTINUE","LifecycleHookName":"drain","Version":"2011-01-01","action":"CompleteLifecycleAction","region":"eu-central-1"}'
until_true "its work is done" eval '[ "$(property ActiveState headwater-lifecycle.service)" = inactive ]'
is "and well" "$(property Result headwater-lifecycle.service)" success
control target-lifecycle-state
rm -r "$folder"
ok "Terminated: drained, $(calls | grep -c Heartbeat) heartbeats, CompleteLifecycleAction CONTINUE after the last byte"
