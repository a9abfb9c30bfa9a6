#!/bin/sh
# Sets a server up on this machine and looks after it: ./picoclaw.sh help
#
# In a container where there is a Docker engine, else with the project's own Node. The model key and the server's token are in `.env`
# (mode 0600) and are never on a command line: what one user's processes are started with, every user of the machine can read.
set -eu
cd "$(dirname "$0")"

env_file=.env
data=data
pid_file=$data/picoclaw.pid
log_file=$data/picoclaw.log

main() {
  # Of `up` alone the environment's: docker compose would take it before that of .env.
  [ "${1:-help}" = up ] || unset PORT
  case "${1:-help}" in
    up) up ;;
    test) smoke_test ;;
    logs) logs ;;
    stop-api) stop_api ;;
    down) down ;;
    help | -h | --help) help ;;
    *) fail "no command \"$1\"; there are: up, test, logs, stop-api, down, help" ;;
  esac
}

help() {
  cat << 'HELP'
./picoclaw.sh COMMAND

  up        ask for what is missing in .env, build, start, wait until it answers, and chat with it once
  test      ask the running server for its health, and chat with it once
  logs      what the server has logged; on a terminal, also what it goes on to log
  stop-api  stop the server
  down      stop the server, and remove its container or its log; .env and all data stay
  help      this

Without a terminal nothing is asked: ANTHROPIC_API_KEY (or CLAUDE_CODE_OAUTH_TOKEN), ANTHROPIC_BASE_URL, API_TOKEN and PORT
are taken from the environment. What .env has goes before that; settings to add there are in .env.example.
HELP
}

up() {
  need curl 'Debian: apt-get install curl'
  write_env
  unset PORT
  COMMIT=$(git rev-parse --short HEAD 2> /dev/null || echo unknown)
  CREATED=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  if has_engine; then
    say 'Building the image and starting it ...'
    VERSION=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
    export VERSION COMMIT CREATED
    docker compose up --detach --build
    wait_for_health container_has_ended
  else
    say "No Docker engine: $engine_fault. The server runs on this machine's Node instead."
    start_here
    wait_for_health process_has_ended
  fi
  smoke_test
  say "It is up at $(url), for this machine only. The token that callers send is API_TOKEN in $env_file."
}

# --- .env

# Only what is missing is asked for, or taken from the environment.
write_env() {
  umask 077
  [ -e "$env_file" ] || : > "$env_file"
  chmod 600 "$env_file"
  if [ -z "$(setting ANTHROPIC_API_KEY)$(setting CLAUDE_CODE_OAUTH_TOKEN)" ]; then
    base_url=$(setting ANTHROPIC_BASE_URL)
    if [ -z "${ANTHROPIC_API_KEY:-}${CLAUDE_CODE_OAUTH_TOKEN:-}" ]; then
      [ -t 0 ] || fail 'no key: set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN, or run this on a terminal, where it asks'
      if [ -z "$base_url${ANTHROPIC_BASE_URL:-}" ]; then
        printf 'Base URL of the model API (empty: the usual one): ' >&2
        read -r ANTHROPIC_BASE_URL || true
      fi
      read_hidden 'Model API key (is not shown): '
      ANTHROPIC_API_KEY=$hidden
      [ -n "$ANTHROPIC_API_KEY" ] || fail 'no key was given'
    fi
    [ -n "$base_url" ] || save ANTHROPIC_BASE_URL "${ANTHROPIC_BASE_URL:-}"
    save ANTHROPIC_API_KEY "${ANTHROPIC_API_KEY:-}"
    save CLAUDE_CODE_OAUTH_TOKEN "${CLAUDE_CODE_OAUTH_TOKEN:-}"
  fi
  [ -n "$(setting API_TOKEN)" ] || save API_TOKEN "${API_TOKEN:-$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')}"
  [ -n "$(setting PORT)" ] || save PORT "${PORT:-}"
}

# The value in .env, or nothing.
setting() {
  [ ! -r "$env_file" ] || sed -n "s/^$1=//p" "$env_file" | tail -n 1 | tr -d "\"'"
}

# Node, compose and `docker run --env-file` read quotes, dollars and hashes each in their own way: without any, all of them agree.
save() {
  [ -n "$2" ] || return 0
  case "$2" in
    *[!A-Za-z0-9_.,:/@%+=~?\&-]*) fail "$1 has a character that cannot be written into $env_file" ;;
  esac
  new=$(mktemp "$env_file.XXXXXX")
  trap 'rm -f "$new"' EXIT
  trap 'exit 130' INT TERM HUP
  { grep -v "^$1=" "$env_file" || true; } > "$new"
  printf '%s=%s\n' "$1" "$2" >> "$new"
  mv "$new" "$env_file"
  trap - EXIT INT TERM HUP
}

read_hidden() {
  terminal=$(stty -g)
  trap 'stty "$terminal"' EXIT
  trap 'exit 130' INT TERM HUP
  stty -echo
  printf '%s' "$1" >&2
  read -r hidden || true
  stty "$terminal"
  trap - EXIT INT TERM HUP
  echo >&2
}

# --- the engine

# On "no", engine_fault says why.
has_engine() {
  engine_fault='there is no docker command'
  command -v docker > /dev/null 2>&1 || return 1
  engine_fault='docker cannot reach its engine (docker info says why)'
  docker info > /dev/null 2>&1 || return 1
  engine_fault='docker has no compose command'
  docker compose version > /dev/null 2>&1
}

# --- without an engine

start_here() {
  ! is_running || fail "it is running already (process $(cat "$pid_file")); first: ./picoclaw.sh stop-api"
  ! curl -s --noproxy '*' --max-time 5 --output /dev/null "$(url)/health" || fail "something else answers at $(url); give another PORT"
  need npm 'Node 20 or later brings it: https://nodejs.org'
  # Not there, or older than what it was made from.
  if [ -n "$(find -L package-lock.json -newer node_modules/.package-lock.json 2>&1)" ]; then
    say 'Installing what it runs on (about 500 MB, once) ...'
    npm --loglevel=error ci --no-audit --no-fund
    touch node_modules/.package-lock.json
  fi
  npm run --silent build
  mkdir -p "$data"
  memory=$(setting MEMORY_DIR) store=$(setting STORE_DIR) local_db=$(setting LOCAL_DB_PATH)
  export HOST=127.0.0.1 BUILD_COMMIT="$COMMIT" BUILD_TIME="$CREATED"
  export MEMORY_DIR="${memory:-${MEMORY_DIR:-$data/memory}}" STORE_DIR="${store:-${STORE_DIR:-$data/store}}"
  export LOCAL_DB_PATH="${local_db:-${LOCAL_DB_PATH:-$data/messages.db}}"
  # What is given to up is in .env by now, and that is what counts.
  unset ANTHROPIC_API_KEY CLAUDE_CODE_OAUTH_TOKEN ANTHROPIC_BASE_URL API_TOKEN
  setsid nohup node_modules/.bin/node --disable-sigusr1 --max-semi-space-size=16 --env-file="$env_file" dist/main.js > "$log_file" 2>&1 < /dev/null &
  echo $! > "$pid_file"
}

# A process id alone may belong to another process by now.
is_running() {
  [ -r "$pid_file" ] || return 1
  pid=$(cat "$pid_file")
  [ "$(readlink "/proc/$pid/cwd")" = "$(pwd -P)" ] && tr '\0' ' ' < "/proc/$pid/cmdline" | grep -q 'dist/main\.js'
}

stop_here() {
  if ! is_running; then
    say 'It is not running.'
    return 0
  fi
  pid=$(cat "$pid_file")
  kill "$pid"
  tries=0
  while is_running; do
    tries=$((tries + 1))
    [ "$tries" -le 300 ] || fail "process $pid does not end; kill -9 $pid does it, and nothing that was answered is lost"
    sleep 0.2
  done
  say 'Stopped.'
}

# --- the running server

url() {
  port=$(setting PORT)
  echo "http://127.0.0.1:${port:-9000}"
}

# Whether the server is in a container or here: where there is a process here, it is that.
is_in_container() {
  ! is_running && has_engine
}

# $1 tells whether it has come to an end meanwhile, and shows why.
wait_for_health() {
  tries=0 is_told=false
  until health=$(curl -sS --fail-with-body --noproxy '*' --max-time 5 "$(url)/health" 2> /dev/null); do
    tries=$((tries + 1))
    ! "$1" || fail 'the server has ended; above is the end of its log'
    [ "$tries" -le 600 ] || fail "no good answer from $(url)/health in two minutes; ./picoclaw.sh logs may say why"
    if [ -n "$health" ] && [ "$is_told" = false ]; then
      say "health, not well yet: $health"
      is_told=true
    fi
    sleep 0.2
  done
}

# compose starts it again and again: between two starts it is `restarting`.
container_has_ended() {
  case "$(docker compose ps --all --format '{{.State}}' 2> /dev/null)" in
    *restarting* | *exited* | *dead*) docker compose logs --tail 20 >&2 ;;
    *) return 1 ;;
  esac
}

process_has_ended() {
  ! is_running && tail -n 20 "$log_file" >&2
}

smoke_test() {
  need curl 'Debian: apt-get install curl'
  [ -n "$(setting API_TOKEN)" ] || fail "no API_TOKEN in $env_file; first: ./picoclaw.sh up"
  health=$(ask GET /health) || fail 'it is not well; ./picoclaw.sh logs may say why'
  say "health: $health"
  answer=$(ask POST /chat '{"message": "Say hello in one short sentence."}') || fail 'the chat was not answered'
  case "$answer" in
    *'"status":"success"'*) say "chat: $answer" ;;
    *) fail "the chat came to nothing: $answer" ;;
  esac
}

# What .env has, whatever the environment says.
ask() {
  API_TOKEN='' PICOCLAW_URL=$(url) scripts/ask.sh "$@"
}

logs() {
  if is_in_container; then
    if [ -t 1 ]; then docker compose logs --follow; else docker compose logs; fi
  elif [ ! -r "$log_file" ]; then
    fail 'there is no log; first: ./picoclaw.sh up'
  elif [ -t 1 ]; then
    tail -n 100 -f "$log_file"
  else
    cat "$log_file"
  fi
}

stop_api() {
  if is_in_container; then docker compose stop; else stop_here; fi
}

down() {
  if is_in_container; then
    docker compose down
  else
    stop_here
    rm -f "$pid_file" "$log_file"
  fi
  say "What was set (.env) and all data are still there."
}

# --- talking

say() {
  printf '%s\n' "$1"
}

fail() {
  printf 'picoclaw.sh: %s\n' "$1" >&2
  exit 1
}

need() {
  command -v "$1" > /dev/null 2>&1 || fail "it needs $1 ($2)"
}

main "$@"
