#!/usr/bin/env bash
# Checks what stands around the program: terraform/, its functions and events, packer/. Nothing is applied, nothing leaves this
# machine, no credentials are used, and nothing is written but below target/: terraform works on a copy.
#
#   tests/infrastructure.sh            every part
#   tests/infrastructure.sh PART...    the named ones; --list names them
#
# A part that fails does not stop the ones after it. `tests/run infrastructure` sets up what this needs and calls it.
# shellcheck disable=SC2317 # the parts are called by their names
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly all_parts=(format validate test plan functions events packer weaknesses)

target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
readonly target
# A folder for each run: two runs at once must not clean up after each other.
readonly copy=${HEADWATER_TERRAFORM_COPY:-$target/terraform/copy.$$}

# What somebody has configured for themselves must not decide what is found here.
unset "${!TF_@}" "${!AWS_@}"
export TF_CLI_CONFIG_FILE=$target/terraform/terraformrc TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1
# The provider must not look for an instance's role.
export AWS_EC2_METADATA_DISABLED=true

say() { printf '%s\n' "$*"; }
refuse() { say "tests/infrastructure.sh: $*" >&2; exit 1; }

# ---- Terraform ------------------------------------------------------------------------------------------------------

examples() { for folder in terraform/examples/*/; do say "${folder%/}"; done; }

# Prints what a command said only when it failed.
quietly() {
  local log
  log=$(mktemp "$copy/log.XXXXXX")
  if ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log"
    return 1
  fi
}

uses_standin() { grep -q '^stand-in ' "$target/terraform/provider.txt"; }

# Modules and providers, without a backend: there is no state.
initialise() { quietly terraform -chdir="$copy/$1" init -backend=false -no-color; }

part_format() {
  terraform fmt -check -recursive -diff terraform
  say "terraform fmt: nothing to change"
}

part_validate() {
  local folder count=0
  while read -r folder; do
    initialise "$folder"
    quietly terraform -chdir="$copy/$folder" validate -no-color || refuse "$folder is not valid"
    count=$((count + 1))
  done < <(say terraform; examples)
  say "terraform validate: the composition with its modules, and $((count - 1)) examples, with the provider: $(cat "$target/terraform/provider.txt")"
}

# The stand-in is a program in Python that terraform would start several times for each run; one that stays saves most of
# the time. The real provider starts fast, and knows no such mode.
serve_standin() {
  local provider waited=0
  provider=$(find "$target/terraform/mirror" -type f -name 'terraform-provider-aws_*' | head -n 1)
  "$provider" --serve "$copy/provider.sock" >"$copy/provider.json" 2>"$copy/provider.log" &
  # shellcheck disable=SC2064 # the value of now is meant
  trap "kill $! 2>/dev/null || true" EXIT
  until [ -s "$copy/provider.json" ]; do
    waited=$((waited + 1))
    [ "$waited" -le 600 ] || refuse "the stand-in does not start: $(cat "$copy/provider.log")"
    sleep 0.1
  done
  TF_REATTACH_PROVIDERS=$(cat "$copy/provider.json")
  export TF_REATTACH_PROVIDERS
}

# One file of tests; prints one line, and what failed.
test_file() {
  local file=$1 log=$copy/${1##*/}.log started=$SECONDS
  if ! terraform -chdir="$copy/terraform" test -no-color -filter="tests/$file" >"$log" 2>&1; then
    cat "$log"
    return 1
  fi
  say "terraform test: $(sed -nE 's/^Success! ([0-9]+ passed), 0 failed.*/\1/p' "$log"), $file, $((SECONDS - started)) s"
}

# Files run side by side: terraform itself runs them one after the other.
part_test() {
  local file
  initialise terraform
  if uses_standin; then serve_standin; fi
  export copy
  export -f test_file say
  # shellcheck disable=SC2016 # the inner shell expands it
  for file in terraform/tests/*.tftest.hcl; do say "${file##*/}"; done |
    xargs --max-procs="$(nproc)" --max-args=1 bash -c 'set -euo pipefail; test_file "$1"' test_file ||
    refuse "terraform test failed"
}

# The same plan with both providers: AWS is mocked, so that neither credentials nor answers of AWS are needed.
mocked_plan() {
  local folder=$copy/$1
  mkdir -p "$folder/tests"
  cat >"$folder/tests/plan.tftest.hcl" <<'TEST'
mock_provider "aws" {
  source          = "../../tests/mocks"
  override_during = plan
}

run "plan" {
  command = plan
}
TEST
  initialise "$1"
  terraform -chdir="$folder" test -json -verbose >"$folder/plan.jsonl" || { summary_of "$folder/plan.jsonl"; return 1; }
  summary_of "$folder/plan.jsonl"
}

summary_of() {
  python3 - "$1" <<'PYTHON'
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    message = json.loads(line)
    diagnostic = message.get("diagnostic")
    if diagnostic and diagnostic["severity"] == "error":
        print(diagnostic["summary"], diagnostic.get("detail", ""), diagnostic.get("address", ""), sep="\n  ")
    if "test_plan" in message:
        changes = message["test_plan"].get("resource_changes", [])
        added = sum(change["change"]["actions"] == ["create"] for change in changes)
        print(f"{added} resources to add, nothing to change or destroy" if all(
            change["change"]["actions"] in (["create"], ["read"], ["no-op"]) for change in changes
        ) else "the plan of an empty account changes something")
PYTHON
}

part_plan() {
  local folder summary
  while read -r folder; do
    # As its README says: the example's values are copied first.
    if [ -f "$copy/$folder/terraform.tfvars.example" ]; then
      cp "$copy/$folder/terraform.tfvars.example" "$copy/$folder/terraform.tfvars"
    fi
    summary=$(mocked_plan "$folder") || { say "$summary"; refuse "$folder has no plan"; }
    say "terraform plan: $folder: $summary"
    # The stand-in needs no credentials: the example's own provider block is used too, and what only AWS knows is unknown,
    # as it is at the first apply. It invents what it is asked about, so not for an example that builds on answers.
    if uses_standin && ! grep -q '^data ' "$folder/main.tf"; then
      quietly terraform -chdir="$copy/$folder" plan -no-color || refuse "$folder has no plan with its own provider block"
    fi
  done < <(examples)
}

# ---- The rest -------------------------------------------------------------------------------------------------------

part_functions() {
  local log=$copy/functions.log
  if ! node --test terraform/functions/test/ >"$log" 2>&1; then
    cat "$log"
    refuse "the tests of the functions failed"
  fi
  say "functions: $(sed -nE 's/^# pass ([0-9]+)/\1/p' "$log") tests passed"
}

# The patterns of the events that a plan has, tried on events by the matcher of somebody else.
part_events() {
  local log=$copy/events.log
  if ! PYTHONPATH=$target/python python3 -B -m unittest discover terraform/tests/events >"$log" 2>&1; then
    cat "$log"
    refuse "the tests of the events failed"
  fi
  say "events: $(sed -nE 's/^Ran ([0-9]+) tests? in.*/\1/p' "$log") tests passed"
}

# `tests/run image` does the rest: it runs the template's steps on a machine.
part_packer() { packer/tests/check; }

# Twice: with the skip list nothing is found, and without it each of its entries is.
part_weaknesses() {
  local checkov=$target/checkov/bin log=$copy/checkov.log
  if ! "$checkov/checkov" --config-file .checkov.yaml --directory terraform >"$log" 2>&1; then
    cat "$log"
    refuse "checkov found weaknesses"
  fi
  # Away from the repository, where its configuration would be found.
  (cd "$copy" && "$checkov/checkov" --skip-download --framework terraform --compact --output json \
    --directory "$OLDPWD/terraform" >"$copy/checkov.json" 2>/dev/null) || true
  "$checkov/python" tests/setup/checkov_skips.py .checkov.yaml "$copy/checkov.json"
}

# ---- Running --------------------------------------------------------------------------------------------------------

is_part() {
  local part
  for part in "${all_parts[@]}"; do
    if [ "$part" = "$1" ]; then return 0; fi
  done
  return 1
}

# Each part is a process of its own: the shell ignores `set -e` inside anything whose failure is looked at.
run_parts() {
  local part started failed=()
  for part in "$@"; do
    is_part "$part" || refuse "unknown part \`$part\`; --list names them"
  done
  [ -s "$target/terraform/provider.txt" ] || refuse "terraform is not set up: tests/run setup"
  mkdir -p "$copy"
  # shellcheck disable=SC2064 # the value of now is meant
  trap "rm -rf '$copy'" EXIT
  cp -r terraform "$copy/terraform"
  find "$copy" -name .terraform -prune -exec rm -rf {} + -o -name '.terraform.lock.hcl' -exec rm -f {} +
  for part in "$@"; do
    started=$SECONDS
    if HEADWATER_TERRAFORM_COPY=$copy bash tests/infrastructure.sh --only "$part"; then
      say "$part: passed in $((SECONDS - started)) s"
    else
      say "$part: FAILED after $((SECONDS - started)) s"
      failed+=("$part")
    fi
  done
  [ "${#failed[@]}" -eq 0 ] || refuse "failed: ${failed[*]}"
}

main() {
  case "${1-}" in
    "") run_parts "${all_parts[@]}" ;;
    --list) printf '%s\n' "${all_parts[@]}" ;;
    --only) "part_$2" ;;
    *) run_parts "$@" ;;
  esac
}

main "$@"; exit
