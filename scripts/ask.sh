#!/bin/sh
# One request to a running server: scripts/ask.sh METHOD PATH [JSON]. Prints the answer; exit code 1 where it is not a success.
#
# Where: PICOCLAW_URL, else port 9000 (or PORT) of this machine. API_TOKEN is taken from the environment, else from `.env`.
set -eu
cd "$(dirname "$0")/.."

# The value in .env, or nothing.
setting() {
  [ ! -r .env ] || sed -n "s/^$1=//p" .env | tail -n 1 | tr -d "\"'"
}

port=${PORT:-$(setting PORT)}
url=${PICOCLAW_URL:-http://127.0.0.1:${port:-9000}}
token=${API_TOKEN:-$(setting API_TOKEN)}
# Never on the command line, which every user of the machine can read: printed by the shell itself, read by curl from its input.
header=''
[ -z "$token" ] || header=$(printf 'header = "Authorization: Bearer %s"' "${token%%,*}")
[ $# -lt 3 ] || set -- "$1" "$2" -H 'Content-Type: application/json' -d "$3"
method=$1 path=$2
shift 2

code=0
answer=$(printf '%s\n' "$header" |
  curl -q --config - -sS --fail-with-body --noproxy 127.0.0.1,localhost --max-time 330 -X "$method" "$@" "$url$path") || code=$?
case "$code" in
  0) printf '%s\n' "$answer" ;;
  # Its own text is in the answer.
  22)
    printf '%s\n' "$answer" >&2
    exit 1
    ;;
  *)
    printf 'no server answers at %s (README.md, "Run it"); if it is elsewhere, set PICOCLAW_URL\n' "$url" >&2
    exit 1
    ;;
esac
