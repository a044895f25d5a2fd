#!/usr/bin/env bash
# What an instance makes of its user data and its tags; what it refuses, and how that reads.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

# Neither starts, and the log says why. USER-DATA MESSAGE
refuses() {
  local since
  since=$(now)
  ! boot_with "$1" 2>/dev/null || fail "the origin starts with user data '$1'"
  logs "$since" headwater-configure.service "$2"
  is "the origin with wrong user data" "$(property ActiveState)" inactive
  ok "refused: $2"
}

setting() { sed -n "s/^$1=//p" /run/headwater/instance.env; }

control tags
refuses "" "nothing says what to serve: set HEADWATER_STORE=s3://BUCKET[/PREFIX] in user data, or the tag"
refuses "# settings
HEADWATER_STORE=$store
HEADWATER_STROE=x" "user data, line 3: unknown key \`HEADWATER_STROE\`; allowed are HEADWATER_STORE HEADWATER_ACC"
refuses "HEADWATER_STORE=$store
PATH=/tmp" "user data, line 2: unknown key \`PATH\`"
refuses "HEADWATER_STORE=$store
HEADWATER_ORIGIN_SECRETS=0123456789abcdef" "unknown key \`HEADWATER_ORIGIN_SECRETS\`"
refuses "HEADWATER_STORE=\"$store\"" "the value of \`HEADWATER_STORE\` must be of letters, digits and _.,:/@=+*-"
refuses "HEADWATER_STORE=" "the value of \`HEADWATER_STORE\` must be of letters, digits"
refuses "HEADWATER_STORE=$store
HEADWATER_STORE=$store" "user data, line 2: \`HEADWATER_STORE\` a second time"
refuses "#!/bin/sh
touch /etc/owned" "user data, line 1: a script; it must be lines of KEY=VALUE"
refuses "packages: [htop]" "user data, line 1: not KEY=VALUE: \`packages: [htop]\`"
refuses "HEADWATER_STORE=$store
HEADWATER_CACHE=sometimes" "HEADWATER_CACHE is \`sometimes\`; allowed are auto and none"
refuses "HEADWATER_STORE=$store
HEADWATER_ASG=fleet" "HEADWATER_ASG without HEADWATER_LIFECYCLE_HOOK: name both, or neither"
control tags '{"Name": "anything at all", "headwater-colour": "blue"}'
refuses "HEADWATER_STORE=$store" "instance tag \`headwater-colour\`: unknown key \`HEADWATER_COLOUR\`"

control tags "{\"Name\": \"origin\", \"headwater-store\": \"/nowhere\", \"headwater-access-log\": \"json\"}"
boot_with "# settings
HEADWATER_STORE=$store
HEADWATER_THREADS=2"
is "user data wins over a tag" "$(setting HEADWATER_STORE)" "$store"
is "a tag counts where user data says nothing" "$(setting HEADWATER_ACCESS_LOG)" json
is "the region is the instance's" "$(setting AWS_REGION)" eu-central-1
is "devices and balancers connect anywhere" "$(setting HEADWATER_LISTEN)" 0.0.0.0:8080
is "the admin listener is on the private address" "$(setting HEADWATER_ADMIN)" 127.0.0.1:8081
is "the block cache is where the unit may write" "$(setting HEADWATER_CACHE_PATH)" /var/cache/headwater
disk=$(df --block-size=1 --output=size /var/cache/headwater | tail -1)
[ "$(setting HEADWATER_CACHE_DISK_BYTES)" -ge $((disk / 2)) ] || fail "the block cache has less than half of its disk"
[ "$(setting HEADWATER_CACHE_DISK_BYTES)" -lt "$disk" ] || fail "the block cache leaves the system no room"
is "only root may write it" "$(stat --format '%a %U:%G' /run/headwater/instance.env)" "640 root:headwater"
ok "user data over tags over what the instance is: $(grep -vc '^#' /run/headwater/instance.env) settings"

control tags
boot_with "HEADWATER_STORE=$store
HEADWATER_CACHE=none"
is "without a cache no path is set" "$(setting HEADWATER_CACHE_PATH)" ""
is "tags are optional" "$(property ActiveState)" active
ok "HEADWATER_CACHE=none leaves the disk alone"
