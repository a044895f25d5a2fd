#!/usr/bin/env bash
# Shows that the recipe of the release refuses what it must; takes seconds and builds no release.
#
#   packer/tests/build.sh
#
# Owns the cases of packer/build and of in-environment, check-binary and compare in packer/release; those of the papers
# are in release_papers.py, and that a release can be made again is shown by packer/reproduce.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

repository=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

fail() { printf 'FAILED: %s\n' "$*" >&2; failed=1; }

# accepts SENTENCE COMMAND... / refuses SENTENCE PART-OF-THE-REASON COMMAND...
accepts() {
  local sentence=$1 printed
  shift
  if printed=$("$@" 2>&1); then printf 'ok: %s\n' "$sentence"; else fail "$sentence: $printed"; fi
}
refuses() {
  local sentence=$1 reason=$2 printed
  shift 2
  if printed=$("$@" 2>&1); then
    fail "$sentence: it was accepted"
  elif [[ $printed != *"$reason"* ]]; then
    fail "$sentence: refused for another reason: $printed"
  else
    printf 'ok: %s\n' "$sentence"
  fi
}

# ---- check-binary ---------------------------------------------------------------------------------------------------

# A program that passes; further arguments are the compiler's, and spoil it.
program() {
  local name=$1
  shift
  printf '#include <stdio.h>\nint main(void) { return puts("built in /some/where/else") < 0; }\n' >"$folder/program.c"
  cc -O1 -fPIE -pie -s -Wl,-z,relro,-z,now -Wl,--build-id=sha1 -o "$folder/$name" "$folder/program.c" "$@"
}

check_binaries() {
  local check=packer/release/check-binary
  program good
  accepts "a hardened and stripped program passes" "$check" "$folder/good" --absent /not/in/there
  refuses "a path of the machine is found" "/some/where" "$check" "$folder/good" --absent /some/where
  refuses "a C library newer than the image's is found" "needs glibc 2." "$check" "$folder/good" --glibc-max 2.2

  printf 'int other(void) { return 0; }\n' >"$folder/other.c"
  cc -shared -fPIC -Wl,-soname,libother.so.1 -o "$folder/libother.so" "$folder/other.c"
  program needy -Wl,--no-as-needed "$folder/libother.so"
  refuses "a library that the image need not have is named" "links libother.so.1" "$check" "$folder/needy"
  program wanderer -Wl,-rpath,/somewhere
  refuses "a search path of its own is found" RUNPATH "$check" "$folder/wanderer"

  program anonymous -Wl,--build-id=none
  refuses "a missing build id is found" "no build id" "$check" "$folder/anonymous"
  cc -fPIE -pie -Wl,-z,relro,-z,now -Wl,--build-id=sha1 -o "$folder/wordy" "$folder/program.c"
  refuses "symbols that were not stripped are found" "not stripped" "$check" "$folder/wordy"
  program fixed -fno-PIE -no-pie
  refuses "fixed addresses are found" "not position-independent" "$check" "$folder/fixed"
  program lazy -Wl,-z,lazy
  refuses "imports that stay writable are found" "no full RELRO" "$check" "$folder/lazy"
  program loose -Wl,-z,execstack
  refuses "an executable stack is found" "executable stack" "$check" "$folder/loose"
}

# ---- in-environment -------------------------------------------------------------------------------------------------

in_hostile_environment() {
  (
    umask 077
    env RUSTFLAGS=--cfg=hostile CFLAGS=-Dhostile CC=hostile RUSTC_WRAPPER=hostile TZ=Hostile/Zone LC_ALL=POSIX \
      CARGO_PROFILE_RELEASE_LTO=hostile packer/release/in-environment --target-dir "$folder/objects" "$@"
  )
}

check_environment() {
  local seen
  seen=$(in_hostile_environment env)
  refuses "nothing of the caller's environment reaches a build" "" grep --ignore-case hostile <<<"$seen"
  if [ "$(in_hostile_environment bash -c umask)" != 0022 ]; then fail "the caller's umask reaches a build"; fi
  accepts "the checkout's path is replaced" grep --quiet --fixed-strings "=$repository=/usr/src/headwater" <<<"$seen"
  accepts "the target directory's path is replaced" \
    grep --quiet --fixed-strings "=$folder/objects=/usr/src/headwater/target" <<<"$seen"
  refuses "a path that C flags cannot name is refused" "white space" \
    packer/release/in-environment --target-dir "$folder/two words" true
}

# ---- compare --------------------------------------------------------------------------------------------------------

check_comparison() {
  local compare=packer/release/compare
  mkdir -p "$folder/first/man" "$folder/second/man"
  cp "$folder/good" "$folder/first/headwater"
  cp "$folder/good" "$folder/second/headwater"
  printf 'a page\n' | tee "$folder/first/man/headwater.1" >"$folder/second/man/headwater.1"
  printf 'of somebody else\n' >"$folder/first/more"
  accepts "two builds with the same bytes are the same" "$compare" "$folder/first" "$folder/second"
  sed 's/else/where/' "$folder/good" >"$folder/second/headwater"
  refuses "a program that differs is named with its section" "section .rodata differs" \
    "$compare" "$folder/first" "$folder/second"
  cp "$folder/good" "$folder/second/headwater"
  printf 'another page\n' >"$folder/second/man/headwater.1"
  refuses "a page that differs is named" "man/headwater.1" "$compare" "$folder/first" "$folder/second"
  printf 'a page\n' >"$folder/second/man/headwater.1"
  printf 'new\n' >"$folder/second/new"
  refuses "a file that only the second build made is named" "first/new" "$compare" "$folder/first" "$folder/second"
}

# ---- build ----------------------------------------------------------------------------------------------------------

# A repository with the recipe and nothing to build: what is refused is refused before anything is compiled.
check_working_tree() {
  local copy=$folder/copy
  mkdir "$copy"
  cp --recursive packer Cargo.toml "$copy"
  refuses "a folder that is no repository is refused" "a release is a commit" \
    env GIT_CEILING_DIRECTORIES="$folder" "$copy/packer/build"
  git -C "$copy" init --quiet
  git -C "$copy" add --all
  git -C "$copy" -c user.name=test -c user.email=test@example.invalid commit --quiet --message "Begin"
  printf '# changed\n' >>"$copy/Cargo.toml"
  refuses "a working tree with changes is refused, and they are named" " M Cargo.toml" "$copy/packer/build"
  git -C "$copy" checkout --quiet Cargo.toml
  printf 'new\n' >"$copy/new.rs"
  refuses "a file that no commit has is refused" "?? new.rs" "$copy/packer/build"
  refuses "an unknown option is refused" "unknown argument" "$copy/packer/build" --fast
}

check_binaries
check_environment
check_comparison
check_working_tree
exit "$failed"
