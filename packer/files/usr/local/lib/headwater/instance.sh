# shellcheck shell=bash
# What the scripts of an instance share: instance metadata (IMDSv2) and signed requests to AWS. Owns both ways of asking;
# never decides what an answer means. Sourced by configure, secrets and lifecycle.
#
# HEADWATER_IMDS and AWS_ENDPOINT_URL_* name other servers, for tests.

readonly imds=${HEADWATER_IMDS:-http://169.254.169.254}

say() { printf '%s\n' "$*"; }
refuse() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# What curl does for every request here. A proxy is for other hosts; 2 s are a thousand times what IMDS needs.
readonly curl_always=(--silent --show-error --noproxy '*' --connect-timeout 2 --max-time 10)

# The answer of the instance metadata at a path below /latest; returns 4 where there is nothing (404).
#
# A session of its own for each question: a token is one more request on the instance's own link, and none expires.
imds_get() {
  local token answer
  # At the first boot the network may be some seconds late; --retry-connrefused covers a link that refuses at first.
  token=$(curl "${curl_always[@]}" --fail --retry 8 --retry-connrefused --retry-max-time 60 --request PUT \
    --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/latest/api/token") ||
    refuse "the instance metadata at $imds gives no session token"
  answer=$(curl "${curl_always[@]}" --retry 3 --header "X-aws-ec2-metadata-token: $token" \
    --write-out '\n%{http_code}' "$imds/latest/$1" | tr -d '\0') ||
    refuse "the instance metadata at $imds does not answer for $1"
  case ${answer##*$'\n'} in
    200) printf '%s' "${answer%$'\n'*}" ;;
    404) return 4 ;;
    *) refuse "the instance metadata answers ${answer##*$'\n'} for $1" ;;
  esac
}

# Where a service of AWS is reached; the second argument names the variable that every SDK knows for another address.
aws_endpoint() {
  local domain
  if [ -n "${!2-}" ]; then
    printf '%s' "${!2}"
    return
  fi
  # amazonaws.com, or that of another partition.
  domain=$(imds_get meta-data/services/domain)
  printf 'https://%s.%s.%s' "$1" "$AWS_REGION" "$domain"
}

# One signed request: SERVICE URL CURL-OPTION... Credentials are the role's own, asked for each time, because they
# change every few hours; they go to curl by standard input, since arguments are for everybody to see.
aws_request() {
  local service=$1 url=$2 role credentials
  shift 2
  role=$(imds_get meta-data/iam/security-credentials/) || refuse "this instance has no role"
  credentials=$(imds_get "meta-data/iam/security-credentials/${role%%$'\n'*}") ||
    refuse "the role ${role%%$'\n'*} has no credentials"
  jq --raw-output '"user = \"\(.AccessKeyId):\(.SecretAccessKey)\"\nheader = \"X-Amz-Security-Token: \(.Token)\""' \
    <<<"$credentials" |
    curl "${curl_always[@]}" --fail-with-body --retry 3 --aws-sigv4 "aws:amz:$AWS_REGION:$service" \
      --config - "$@" "$url/"
}
