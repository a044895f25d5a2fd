#!/usr/bin/env bash
# Installs the Python packages that tests compare against into target/python, once for each list of versions.
#
#   cyclonedx-python-lib[json-validation]    the schema of bills of materials (packer/tests/release_papers.py)
#   libcachesim    a cache simulator by others: the miss counts of our LRU must be its (tests/it/fleet_engines.rs)
#   moto[server]   an S3 and a CloudFront by others (tests/it/harness/moto.rs)
#   python-hcl2    reads the templates of the image (packer/tests/image.sh)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly python=${CARGO_TARGET_DIR:-target}/python
readonly packages=(
  'cyclonedx-python-lib[json-validation]==11.12.0'
  libcachesim==0.3.5
  'moto[server]==5.2.5'
  python-hcl2==8.1.4
)
readonly mark=$python/installed.txt

if [ "$(cat "$mark" 2>/dev/null)" != "${packages[*]}" ]; then
  rm -rf "$python"
  python3 -m pip install --quiet --disable-pip-version-check --only-binary :all: --target "$python" "${packages[@]}"
  printf '%s\n' "${packages[*]}" >"$mark"
fi
PYTHONPATH=$python python3 -c 'import cyclonedx.validation.json, hcl2, libcachesim, moto.server'
echo "the Python packages of the tests are in $python"
