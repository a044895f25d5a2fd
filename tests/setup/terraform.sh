#!/usr/bin/env bash
# Makes terraform and its AWS provider usable by the tests, once; a second run only looks whether they are there.
#
#   target/terraform/terraformrc    the CLI configuration of every run of terraform in the tests: no network, no
#                                   credentials, the one provider
#   target/terraform/provider.txt   where that provider comes from: `registry VERSION` or `stand-in VERSION`
#
# The program itself is installed from HashiCorp's own Debian packages where it is missing. The provider comes from the
# public registry. Where that cannot be reached, a stand-in serves the provider's own schema: a folder with a `setup.sh
# WORKDIR` that leaves WORKDIR/mirror/terraformrc, looked for in HEADWATER_TERRAFORM_STANDIN and then beside the checkout.
# It checks names, types, blocks and enumerations, not what only AWS or the real provider knows.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The version whose schema the modules were written against; their constraint admits every later 6.x.
readonly provider_version=6.66.0
# The oldest terraform that the modules admit; with it they must work, with any newer one too.
readonly terraform_minor_min=11
# One answer of the registry's index: longer than this, and a download of hundreds of megabytes has no chance either.
readonly probe_seconds_max=10

readonly standin=${HEADWATER_TERRAFORM_STANDIN:-../shared/tools/terraform}
mkdir -p "${CARGO_TARGET_DIR:-target}/terraform"
into=$(cd "${CARGO_TARGET_DIR:-target}/terraform" && pwd)
readonly into

say() { printf '%s\n' "$*"; }
refuse() { printf 'tests/setup/terraform.sh: %s\n' "$*" >&2; exit 1; }

terraform_version() { terraform version 2>/dev/null | sed -nE '1s/^Terraform v([0-9]+\.[0-9]+\.[0-9]+).*/\1/p'; }

# As https://developer.hashicorp.com/terraform/install says for Debian.
install_terraform() {
  local keyring=/usr/share/keyrings/hashicorp-archive-keyring.gpg
  local repository=https://apt.releases.hashicorp.com
  local by_hand="install terraform 1.$terraform_minor_min or newer yourself (https://developer.hashicorp.com/terraform/install)"
  local as_root=() codename
  command -v apt-get >/dev/null || refuse "terraform is missing, and so is apt-get; $by_hand"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || refuse "terraform is missing, and neither root nor sudo is at hand; $by_hand"
    as_root=(sudo)
  fi
  curl --silent --fail --location --output /dev/null --max-time "$probe_seconds_max" "$repository/gpg" ||
    refuse "terraform is missing, and $repository cannot be reached; $by_hand"
  codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  say "installing terraform from $repository"
  "${as_root[@]}" apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 gpg
  curl --silent --fail --show-error --location "$repository/gpg" | "${as_root[@]}" gpg --yes --dearmor --output "$keyring"
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$repository" "$codename" |
    "${as_root[@]}" tee /etc/apt/sources.list.d/hashicorp.list >/dev/null
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    -o Dpkg::Use-Pty=0 terraform
}

require_terraform() {
  local version
  version=$(terraform_version)
  if [ -z "$version" ]; then
    install_terraform
    version=$(terraform_version)
  fi
  [ -n "$version" ] || refuse "terraform does not start after its installation"
  local major=${version%%.*} minor=${version#*.}
  minor=${minor%%.*}
  [ "$major" -gt 1 ] || [ "$minor" -ge "$terraform_minor_min" ] ||
    refuse "terraform is $version; the modules need 1.$terraform_minor_min or newer"
  say "terraform is $version"
}

# A folder that was moved has paths in its configuration that lead nowhere.
provider_is_here() {
  [ -s "$into/provider.txt" ] && [ -s "$into/terraformrc" ] || return 1
  grep -qF "path = \"$into/mirror\"" "$into/terraformrc" && [ -d "$into/mirror" ]
}

# What the program writes for itself must not decide what the tests see.
write_configuration() {
  printf 'disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror { path = "%s" }\n}\n' \
    "$into/mirror" >"$into/terraformrc"
}

registry_is_reachable() {
  curl --silent --fail --output /dev/null --max-time "$probe_seconds_max" \
    https://registry.terraform.io/v1/providers/hashicorp/aws/versions
}

from_registry() {
  local fresh=$into/mirror.fresh
  rm -rf "$fresh" "$into/wanted"
  mkdir -p "$fresh" "$into/wanted"
  printf 'terraform {\n  required_providers {\n    aws = {\n      source  = "hashicorp/aws"\n      version = "%s"\n    }\n  }\n}\n' \
    "$provider_version" >"$into/wanted/main.tf"
  (
    unset TF_CLI_CONFIG_FILE
    cd "$into/wanted"
    terraform providers mirror "$fresh" >/dev/null
  )
  rm -rf "$into/mirror" "$into/wanted"
  mv "$fresh" "$into/mirror"
  write_configuration
  say "registry $provider_version" >"$into/provider.txt"
}

from_standin() {
  # It writes its configuration beside its mirror, with the mirror's whole path: so it is laid out where it will stay.
  rm -rf "$into/mirror" "$into/venv"
  bash "$standin/setup.sh" "$into" >"$into/standin.log" 2>&1 ||
    { tail -n 20 "$into/standin.log" >&2; refuse "$standin/setup.sh failed; it needs python 3.11 with venv, and PyPI"; }
  local version
  version=$(find "$into/mirror" -mindepth 4 -maxdepth 4 -type d -printf '%f\n' | head -n 1)
  [ "$version" = "$provider_version" ] || refuse "the stand-in serves \`$version\`; wanted: $provider_version"
  write_configuration
  say "stand-in $version" >"$into/provider.txt"
}

install_provider() {
  rm -f "$into/provider.txt"
  if registry_is_reachable; then
    from_registry
  elif [ -s "$standin/setup.sh" ]; then
    say "the provider registry cannot be reached; using the stand-in $standin"
    from_standin
  else
    refuse "no AWS provider for terraform. Either make https://registry.terraform.io reachable, or name a stand-in's
folder in HEADWATER_TERRAFORM_STANDIN (looked for now: $standin)"
  fi
}

require_terraform
provider_is_here || install_provider
say "terraform's AWS provider: $(cat "$into/provider.txt") ($into)"
