#!/usr/bin/env bash
# Runs the checks on the machine, as root, one after the other: each begins with what the one before left. Owns their
# order, and what an instance does at its first boot.
#
# AWS is the address of fake_aws.py, S3 that of an S3.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}"
# shellcheck source=SCRIPTDIR/lib.sh
source ./lib.sh

# As the first boot of an AMI: an id of its own, with which logs can be read.
systemd-machine-id-setup
systemctl restart systemd-journald.service
until_true "this boot's journal can be read" journalctl --lines=1

printf '\n== %s\n' self_test
bash ./self_test.sh

# Other addresses instead of AWS's own; everything else is as on an instance.
install -d -m 0755 /etc/headwater
cat >/etc/headwater/local.env <<END
HEADWATER_IMDS=$AWS
AWS_ENDPOINT_URL_SECRETS_MANAGER=$AWS
AWS_ENDPOINT_URL_AUTO_SCALING=$AWS
END

install -d -m 0755 /var/lib/headwater-test
head -c $((48 << 20)) /dev/urandom >/var/lib/headwater-test/large.bin
echo "a small artifact" >/var/lib/headwater-test/small.txt
headwater publish --quiet --store "$store" agent 1.0.0 /var/lib/headwater-test/{large.bin,small.txt} --channel stable
chmod -R a+rX /var/lib/headwater-test
rm /var/lib/headwater-test/large.bin

export AWS S3
control user-data "HEADWATER_STORE=$store"
systemctl start headwater.service
for check in configure cache serves confined drain crash watchdog secrets lifecycle bucket; do
  printf '\n== %s\n' "$check"
  bash "./$check.sh"
done
printf '\nevery check of the image passed\n'
