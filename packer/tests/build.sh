#!/usr/bin/env bash
# Shows that the recipe of the release makes what it says and refuses what it must, on programs that compile in seconds.
#
#   packer/tests/build.sh
#
# Owns the cases of packer/build, of packer/reproduce, and of in-environment, check-binary and compare in packer/release;
# those of the papers are in release_papers.py. That the release itself can be made again, packer/reproduce shows.
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

commit() {
  git -C "$1" add --all
  git -C "$1" -c user.name=test -c user.email=test@example.invalid commit --quiet --message "$2"
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
  commit "$copy" "Begin"
  printf '# changed\n' >>"$copy/Cargo.toml"
  refuses "a working tree with changes is refused, and they are named" " M Cargo.toml" "$copy/packer/build"
  git -C "$copy" checkout --quiet Cargo.toml
  printf 'new\n' >"$copy/new.rs"
  refuses "a file that no commit has is refused" "?? new.rs" "$copy/packer/build"
  refuses "an unknown option is refused" "unknown argument" "$copy/packer/build" --fast
}

# ---- build and reproduce --------------------------------------------------------------------------------------------

# A program of the same name with the recipe beside it, and two crates of ours: one of them is C.
small_program() {
  local at=$1
  mkdir -p "$at/src"
  cp --recursive packer LICENSE Cargo.lock .gitignore "$at"
  cat >"$at/Cargo.toml" <<'TOML'
[package]
name = "headwater"
version = "0.1.0"
edition = "2024"
license = "Apache-2.0"
description = "A program that stands for the release"
[dependencies]
lz4-sys = "1"
memchr = "2"
[profile.release]
debug = "line-tables-only"
TOML
  cat >"$at/src/main.rs" <<'RUST'
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--version"] => println!("headwater 0.1.0"),
        ["--quiet", "man", folder] => std::fs::create_dir(folder).unwrap(),
        ["where"] => println!("{}", option_env!("BUILT").unwrap_or_default()),
        // SAFETY: takes nothing and reads a constant.
        _ => println!("{:?} {}", memchr::memchr(b'a', b"a"), unsafe { lz4_sys::LZ4_versionNumber() }),
    }
}
RUST
  # Drops what the small program does not need from the lock file.
  (cd "$at" && cargo metadata --offline --format-version 1 >/dev/null)
  git -C "$at" init --quiet
  commit "$at" "Begin"
}

check_small_release() {
  local at=$folder/small
  small_program "$at"
  # As the demo of tests/run and the step after it.
  "$at/packer/release/in-environment" --target-dir "$folder/small-objects" cargo run --quiet --locked --release
  accepts "what was run in the environment of a build is not compiled again" sh -c \
    "'$at/packer/build' --target-dir '$folder/small-objects' 2>&1 | grep '^compiled 0 and found [1-9]'"
  accepts "a small program can be made again, in another folder and for another caller" \
    "$at/packer/reproduce" --target-dir "$folder/small-objects"
  local made=$folder/small-objects/image
  accepts "its digest is beside it" sh -c "cd '$made' && sha256sum --check --quiet headwater.sha256"
  accepts "its lines are resolved by the file beside it" sh -c \
    "addr2line -e '$made/headwater.debug' 0x\$(nm '$made/headwater.debug' | sed -n 's/ [tT] .*4main.*//p' | head -1) |
      grep '^/usr/src/headwater/src/main.rs:'"

  # What a build script finds out about the machine and hands on.
  printf 'fn main() { println!("cargo:rustc-env=BUILT={}", env!("CARGO_MANIFEST_DIR")); }\n' >"$at/build.rs"
  commit "$at" "Tell where it was built"
  refuses "a program that tells the checkout's path is refused" "contains \`$at\`" \
    "$at/packer/build" --target-dir "$folder/small-objects" --out "$folder/small-image"
  accepts "and none of it is put in place" test ! -e "$folder/small-image"

  printf 'fn main() { println!("cargo:rustc-env=BUILT={:?}", std::time::SystemTime::now()); }\n' >"$at/build.rs"
  commit "$at" "Tell when it was built"
  refuses "a program that tells the time of its build is refused" "section .rodata differs" \
    "$at/packer/reproduce" --target-dir "$folder/small-objects"
}

check_binaries
check_environment
check_comparison
check_working_tree
check_small_release
exit "$failed"
