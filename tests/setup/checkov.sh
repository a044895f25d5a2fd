#!/usr/bin/env bash
# Installs checkov, which reads the Terraform files for weaknesses that are known, into target/checkov, once for each
# version. A virtual environment of its own: its hundred dependencies must not meet those of other tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The skip list of .checkov.yaml is a list for this version: another one has other checks.
readonly checkov_version=3.3.30

mkdir -p "${CARGO_TARGET_DIR:-target}/checkov"
into=$(cd "${CARGO_TARGET_DIR:-target}/checkov" && pwd)
readonly into

# A folder that was moved has an interpreter in its scripts that is not there.
if [ "$("$into/bin/checkov" --version 2>/dev/null)" != "$checkov_version" ]; then
  rm -rf "$into"
  python3 -m venv "$into"
  "$into/bin/pip" install --quiet --disable-pip-version-check "checkov==$checkov_version"
fi
echo "checkov $("$into/bin/checkov" --version) is in $into"
