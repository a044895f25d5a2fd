#!/usr/bin/env bash
# Fails the build of an image that would not serve, or that keeps what every instance must have as its own. Owns the
# promises of an image; changes nothing that it does not put back.
#
#   self-test.sh serves      publishes an artifact, starts the origin on it, fetches it, looks at what it may do
#   self-test.sh sealed      after finish.sh: nothing of the builder is left
set -euo pipefail

readonly scratch=/var/lib/headwater-self-test
readonly override=/run/systemd/system/headwater-configure.service.d/self-test.conf
readonly score_max=2.0
failures=0

# NAME COMMAND...: goes on after a failure, so that one build shows all of them. Bash ignores `set -e` in a condition:
# in a function below, every comparison but the last says `|| return 1`.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf 'ok      %s\n' "$name"
  else
    printf 'FAILED  %s\n' "$name"
    if [ -n "$output" ]; then printf '        %s\n' "${output//$'\n'/$'\n        '}"; fi
    failures=$((failures + 1))
  fi
}

is() {
  if [ "$1" != "$2" ]; then
    printf "found '%s', expected '%s'\n" "$1" "$2"
    return 1
  fi
}

is_empty() { is "$1" ""; }

# ---- serves ---------------------------------------------------------------------------------------------------------

# The builder is no instance of a fleet: instead of finding out what to serve, it is told.
tell_what_to_serve() {
  install -d -m 0755 "$scratch" "${override%/*}"
  head -c 9000000 /dev/urandom >"$scratch/image.bin"
  headwater publish --quiet --store "$scratch/store" self-test 1.0.0 "$scratch/image.bin" --channel stable >/dev/null
  chmod -R a+rX "$scratch"
  printf 'HEADWATER_STORE=%s\nHEADWATER_LISTEN=127.0.0.1:8080\nHEADWATER_ADMIN=127.0.0.1:8081\n' "$scratch/store" \
    >"$scratch/instance.env"
  printf '[Service]\nExecStart=\nExecStart=/usr/bin/install -m 0640 -g headwater %s /run/headwater/instance.env\n' \
    "$scratch/instance.env" >"$override"
  systemctl daemon-reload
}

remove_traces() {
  systemctl --quiet stop headwater.service headwater-configure.service 2>/dev/null || true
  systemctl --quiet reset-failed 'headwater*' 2>/dev/null || true
  rm -rf "$scratch" "${override%/*}" /run/headwater/instance.env
  systemctl daemon-reload
}

property() { systemctl show --property="$1" --value headwater.service; }

main_pid() { property MainPID; }

of_process() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(main_pid)/status"; }

fetch() { curl --silent --show-error --fail --location "$1"; }

serves_the_artifact() {
  local wanted found
  wanted=$(sha256sum <"$scratch/image.bin")
  found=$(fetch http://127.0.0.1:8080/channels/self-test/stable/image.bin | sha256sum)
  is "$found" "$wanted"
}

hard_limit_of() { awk '/^Max open files/ { print $5 }' "/proc/$1/limits"; }

# What the unit asks for, unless the machine itself has less, as a container may; never less than the origin needs:
# connections_max, open_artifacts_max and 256 beside.
may_open_files() {
  local wanted=65536 machine
  machine=$(hard_limit_of 1)
  if [ "$machine" != unlimited ] && [ "$machine" -lt "$wanted" ]; then wanted=$machine; fi
  is "$(hard_limit_of "$(main_pid)")" "$wanted" || return 1
  [ "$wanted" -ge $((16384 + 1024 + 256)) ] || { echo "the machine allows $machine files"; return 1; }
}

# `→ Overall exposure level for headwater.service: 1.4 OK :-)`
score() {
  local score
  score=$(systemd-analyze security --no-pager headwater.service |
    sed -n 's/.*exposure level for [^:]*: \([0-9.]*\) .*/\1/p')
  printf 'headwater.service: %s, at most %s\n' "$score" "$score_max"
  awk -v score="$score" -v max="$score_max" 'BEGIN { exit !(score != "" && score <= max) }'
}

# Every line of the file against the kernel. A container has its host's: there only the names are compared.
kernel_settings() {
  local key value file found bad=0
  while IFS='= ' read -r key value; do
    # As it stands: a key may be a pattern.
    for file in /proc/sys/${key//.//}; do
      if ! found=$(tr '\t' ' ' 2>/dev/null <"$file"); then
        echo "$key: unknown to this kernel"
        bad=1
      elif [ -w /proc/sys/net/core/somaxconn ] && [ "$found" != "$value" ]; then
        echo "$file: \`$found\`, expected \`$value\`"
        bad=1
      fi
    done
  done < <(grep -v -e '^#' -e '^$' /etc/sysctl.d/60-headwater.conf)
  return "$bad"
}

no_upgrade_but_security() {
  local origins
  origins=$(apt-config dump Unattended-Upgrade::Origins-Pattern | grep -c '::Origins-Pattern:: ')
  is "$(apt-config dump Unattended-Upgrade::Origins-Pattern | grep -c 'label=Debian-Security')" "$origins" ||
    return 1
  is "$(apt-config shell v Unattended-Upgrade::Automatic-Reboot)" "v='false'"
}

says_what_it_is() {
  local share=/usr/local/share/headwater
  is "$(headwater --version | cut -d' ' -f1,2)" "headwater $(sed -n 's/^version=//p' "$share/build.txt")" ||
    return 1
  is "$(sha256sum <"$share/headwater.cdx.json")" "$(sed -n 's/^sbom_sha256=//p' "$share/build.txt")  -"
}

serves() {
  trap remove_traces EXIT
  tell_what_to_serve
  check "the origin starts and says that it is ready" systemctl start headwater.service
  check "it is active" systemctl is-active headwater.service
  check "it serves what was published, byte by byte" serves_the_artifact
  check "it is ready for a load balancer" fetch http://127.0.0.1:8081/readyz
  check "it runs as its own user" is "$(ps -o user= -p "$(main_pid)")" headwater
  check "it has no capability" is "$(of_process CapEff) $(of_process CapBnd)" "0000000000000000 0000000000000000"
  check "it can gain none" is "$(of_process NoNewPrivs)" 1
  check "its system calls are filtered" is "$(of_process Seccomp)" 2
  check "it may open as many files as it serves connections" may_open_files
  check "its memory is limited" is "$(property MemoryMax | grep -c '^[0-9]')" 1
  check "it is watched" is "$(property WatchdogUSec)" 30s
  check "it is locked in" score
  score || true
  if [ ! -w /proc/sys/net/core/somaxconn ]; then
    echo "note    /proc/sys is read-only (a container): only the names of kernel settings are compared"
  fi
  check "the kernel is set" kernel_settings
  check "only security updates come by themselves, and no reboot" no_upgrade_but_security
  check "the units are without fault" systemd-analyze verify /etc/systemd/system/headwater*.service
  check "the image says what it is" says_what_it_is
  check "it stops within its time" systemctl stop headwater.service
  check "it was not killed" is "$(property Result)" success
}

# ---- sealed ---------------------------------------------------------------------------------------------------------

# Of a Debian package, each; /usr/bin/x may be listed as /bin/x (the merge of /usr).
strange_setuid() {
  local file
  find / -xdev -type f -perm /6000 -print | while IFS= read -r file; do
    dpkg-query --search "$file" >/dev/null 2>&1 || dpkg-query --search "${file#/usr}" >/dev/null 2>&1 || echo "$file"
  done
}

# But for folders where everybody may add and nobody remove.
world_writable() { find / -xdev \( -type f -o -type d ! -perm -1000 \) -perm -0002 -print; }

sealed() {
  check "no host key of the builder" is_empty "$(find /etc/ssh -name 'ssh_host_*')"
  check "no machine id of the builder" is_empty "$(cat /etc/machine-id)"
  check "no way in" is "$(systemctl is-enabled ssh.service 2>/dev/null || true)" masked
  check "no settings of a builder" is_empty "$(find /etc/headwater /run/headwater -type f ! -name origin.toml)"
  check "no trace of this test" is_empty "$(find "$scratch" "${override%/*}" 2>/dev/null)"
  check "no setuid program that is not Debian's" is_empty "$(strange_setuid)"
  check "nothing that everybody may write" is_empty "$(world_writable)"
  check "no package lists" is_empty "$(find /var/lib/apt/lists -type f)"
  check "the block cache is empty" is_empty "$(find /var/cache/headwater -mindepth 1)"
  check "the origin starts at boot" is "$(systemctl is-enabled headwater.service)" enabled
}

[ "$(id -u)" -eq 0 ] || { echo "self-test: must run as root" >&2; exit 1; }
case ${1-} in
  serves | sealed) "$1" ;;
  *) echo "self-test.sh serves|sealed" >&2; exit 2 ;;
esac
if [ "$failures" -gt 0 ]; then
  echo "self-test: $failures of the image's promises do not hold"
  if [ "$1" = serves ]; then journalctl --no-pager --lines=30 --unit='headwater*' || true; fi
  exit 1
fi
