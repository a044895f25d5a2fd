#!/usr/bin/env bash
# The Auto Scaling group ends the instance: the origin drains, the group waits, the download under way is whole.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

told() { calls | grep --quiet "\"$1\""; }

control target-lifecycle-state InService
boot_with "HEADWATER_STORE=$store
HEADWATER_ASG=fleet
HEADWATER_LIFECYCLE_HOOK=drain"
systemctl start headwater-lifecycle.service
until_true "the origin is ready" is_ready
folder=$(mktemp -d)
slow_download "$folder/large.bin"
is "in service, it looks" "$(systemctl is-active headwater-lifecycle.service)" active
! calls | grep --quiet Lifecycle || fail "in service, it already speaks to the group"

control target-lifecycle-state Terminated
becomes "the origin" deactivating property ActiveState
until_true "the group is told to wait" told RecordLifecycleActionHeartbeat
! told CompleteLifecycleAction || fail "the group is told to go on before the drain is over"
kill -0 "$download" || fail "the download was over before the drain began"
download_is_whole "$folder/large.bin"
until_true "the group may go on" told CompleteLifecycleAction
is "the origin" "$(property ActiveState) $(property Result)" "inactive success"
is "what the group was told" "$(calls | grep CompleteLifecycleAction | jq --raw-output 'to_entries
  | map("\(.key)=\(.value)") | sort | join(" ")')" "AutoScalingGroupName=fleet InstanceId=i-0123456789abcdef0\
 LifecycleActionResult=CONTINUE LifecycleHookName=drain Version=2011-01-01 action=CompleteLifecycleAction\
 region=eu-central-1"
becomes "the lifecycle service" inactive property ActiveState headwater-lifecycle.service
is "and well" "$(property Result headwater-lifecycle.service)" success
rm -r "$folder"

# Out of a warm pool; nothing is left to drain.
control target-lifecycle-state Warmed:Terminated
systemctl start headwater-lifecycle.service
becomes "the times that the group may go on" 2 eval 'calls | grep --count CompleteLifecycleAction'
control target-lifecycle-state
ok "Terminated: drained, $(calls | grep -c Heartbeat) heartbeats, CompleteLifecycleAction CONTINUE after the last byte"
