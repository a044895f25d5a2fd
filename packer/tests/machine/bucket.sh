#!/usr/bin/env bash
# What production is: the store in a bucket, credentials from the instance's role, blocks on the instance's disk.
set -euo pipefail
# shellcheck source=SCRIPTDIR/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

cat >>/etc/headwater/local.env <<END
AWS_ENDPOINT_URL_S3=$S3
AWS_EC2_METADATA_SERVICE_ENDPOINT=$AWS
HEADWATER_CACHE_DISK_BYTES=268435456
END
export AWS_ACCESS_KEY_ID=publisher AWS_SECRET_ACCESS_KEY=publisher AWS_REGION=eu-central-1 AWS_ENDPOINT_URL_S3=$S3
readonly where='<LocationConstraint>eu-central-1</LocationConstraint>'
curl --silent --show-error --fail --output /dev/null --request PUT "$S3/updates" \
  --data "<CreateBucketConfiguration>$where</CreateBucketConfiguration>"
cp "$store/artifacts/agent/1.0.0/large.bin" /var/lib/headwater-test/large.bin
headwater publish --quiet --store s3://updates/prod agent 2.0.0 /var/lib/headwater-test/large.bin --channel stable

boot_with "HEADWATER_STORE=s3://updates/prod"
until_true "the origin is ready" is_ready
for round in from-bucket from-cache; do
  is "an artifact $round" "$(curl -sSfL "$data/channels/agent/stable/large.bin" | sha256sum)" \
    "$(sha256sum </var/lib/headwater-test/large.bin)"
done
[ -n "$(find /var/cache/headwater -type f -size +0)" ] || fail "the block cache is empty"
is "the cache is the origin's alone" "$(stat --format '%a %U' /var/cache/headwater)" "700 headwater"
rm /var/lib/headwater-test/large.bin
ok "served from s3://updates/prod with the role's credentials and a block cache on disk"
stop_now
