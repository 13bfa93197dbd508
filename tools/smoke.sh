#!/usr/bin/env bash
# smoke.sh BINARY does with the built program what a newcomer does first: start it in an empty folder, register, ask who they
# are, make a world, and stop it. Everything it starts or writes is gone afterwards.
set -euo pipefail

binary=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
folder=$(mktemp -d)
server=

cleanup() {
  [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT

fail() {
  echo "smoke: $*" >&2
  sed 's/^/  server: /' "$folder/log" >&2
  exit 1
}

# A connection that is refused means that the port is free; port 0 would leave us to find the chosen one in the log.
port=$((20000 + RANDOM % 10000))
while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
url=http://127.0.0.1:$port

# The program's own defaults are what is tested, not the settings of whoever runs this.
unset "${!CONDUIT_@}"
cd "$folder"
CONDUIT_LISTEN=127.0.0.1:$port "$binary" serve --worlds >log 2>&1 </dev/null &
server=$!

request() {
  curl --silent --show-error --fail-with-body --noproxy '*' --max-time 10 "$@"
}

echo "smoke: waiting for $url"
for ((tries = 0; ; tries++)); do
  request --output healthz "$url/healthz" 2>curl && break
  kill -0 "$server" 2>/dev/null || fail 'the server stopped by itself'
  ((tries < 150)) || fail "not healthy within 30 seconds: $(cat curl)"
  sleep 0.2
done

registered=$(request --json '{"user":{"username":"smoke","email":"smoke@example.com","password":"a long enough password"}}' \
  "$url/api/users") || fail "registering failed: $registered"
token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' <<<"$registered")
[[ -n $token ]] || fail "registering gave no token: $registered"

user=$(request --header "Authorization: Bearer $token" "$url/api/user") || fail "asking for the user failed: $user"
[[ $user == *'"smoke@example.com"'* ]] || fail "the token is not its owner's: $user"

world=$(request --json '{"world":{"seed":7,"demo":true}}' "$url/worlds") || fail "making a world failed: $world"
base=$(sed -n 's/.*"baseUrl": *"\([^"]*\)".*/\1/p' <<<"$world")
articles=$(request "$base/articles?limit=1") || fail "the world $base does not answer: $articles"
[[ $articles == *'"articlesCount":100'* ]] || fail "the world has no demo content: $articles"
grep -q 'never in production' log || fail 'no word of warning that worlds are for tests'

kill -TERM "$server"
for ((tries = 0; tries < 100; tries++)); do
  kill -0 "$server" 2>/dev/null || break
  sleep 0.2
done
! kill -0 "$server" 2>/dev/null || fail 'still running 20 seconds after SIGTERM'
status=0
wait "$server" || status=$?
server=
((status == 0)) || fail "ended with exit status $status after SIGTERM"
echo 'smoke: registered, recognised, made a world, stopped cleanly'
