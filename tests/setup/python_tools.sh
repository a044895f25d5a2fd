#!/usr/bin/env bash
# Installs the Python packages that tests compare against into target/python, once.
#
#   libcachesim   a cache simulator by others: the miss counts of our LRU must be its (tests/it/fleet_engines.rs)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly python=${CARGO_TARGET_DIR:-target}/python
readonly packages=(libcachesim==0.3.5)

if ! PYTHONPATH=$python python3 -c 'import libcachesim' 2>/dev/null; then
  rm -rf "$python"
  python3 -m pip install --quiet --disable-pip-version-check --only-binary :all: --target "$python" "${packages[@]}"
fi
PYTHONPATH=$python python3 -c 'import libcachesim'
echo "the Python packages of the tests are in $python"
