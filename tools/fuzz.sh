#!/usr/bin/env bash
# fuzz.sh TIME runs each fuzz test of the module for TIME, one after another: `go test -fuzz` takes one at a time.
set -euo pipefail

# `go test -list` prints the names in a package, then a line with the package itself.
listing=$(go test -list '^Fuzz' ./...) || { printf '%s\n' "$listing" >&2; exit 1; }
tests=$(awk '/^Fuzz/ { names[++n] = $1 } $1 == "ok" { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }' <<<"$listing")

if [[ -z $tests ]]; then
  echo 'There are no fuzz tests.'
  exit
fi
while read -r package name; do
  echo "fuzz $package $name"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "$package" </dev/null
done <<<"$tests"
