#!/usr/bin/env bash
# Which disk becomes the block cache, and how it is formatted. A container has no disks: they are files, described as
# the kernel describes disks, and only `mount` is somebody else's.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

folder=$(mktemp -d)
mkdir "$folder/bin" "$folder/sys" "$folder/dev" "$folder/mount"
printf '#!/bin/sh\necho "mounted: $*"\n' >"$folder/bin/mount"
chmod 755 "$folder/bin/mount"

# NAME MODEL BYTES
disk() {
  install -d "$folder/sys/$1/device"
  printf '%-40s\n' "$2" >"$folder/sys/$1/device/model"
  echo $(($3 / 512)) >"$folder/sys/$1/size"
  truncate --size="$3" "$folder/dev/$1"
}
choose() {
  PATH=$folder/bin:$PATH HEADWATER_SYSFS=$folder/sys HEADWATER_DEVICES=$folder/dev HEADWATER_CACHE_MOUNT=$folder/mount \
    /usr/local/lib/headwater/cache
}

disk nvme0n1 "Amazon Elastic Block Store" $((512 << 20))
is "with EBS alone" "$(choose)" "no instance store: the block cache is a folder of the root volume"
disk nvme1n1 "Amazon EC2 NVMe Instance Storage" $((64 << 20))
disk nvme2n1 "Amazon EC2 NVMe Instance Storage" $((128 << 20))
disk nvme3n1 "Amazon EC2 NVMe Instance Storage" $((256 << 20))
mkdir "$folder/sys/nvme3n1p1"
contains "the largest that nobody uses" "$(choose)" "the block cache is on the instance store nvme2n1"
contains "its options" "$(choose)" "mounted: -t ext4 -o noatime,nodev,nosuid,noexec $folder/dev/nvme2n1 $folder/mount"
contains "it has a file system" "$(dumpe2fs -h "$folder/dev/nvme2n1" 2>&1)" "Filesystem magic number:  0xEF53"
! dumpe2fs -h "$folder/dev/nvme2n1" 2>&1 | grep --quiet has_journal || fail "the block cache has a journal"
for other in nvme0n1 nvme1n1 nvme3n1; do
  ! dumpe2fs -h "$folder/dev/$other" >/dev/null 2>&1 || fail "$other was formatted"
done
rm -r "$folder"
ok "of an EBS volume, two free instance stores and one with a partition: the larger free one, and no other is touched"
