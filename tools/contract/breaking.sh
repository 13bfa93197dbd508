#!/usr/bin/env bash
# breaking.sh fails when openapi.yaml breaks clients of the contract before it: that of the last release, else of main, else,
# on main itself, of the commit before. A break that is meant goes into accepted-breaks.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! base=$(git describe --tags --abbrev=0 2>/dev/null); then
  base=$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)
  if [[ $base == "$(git rev-parse HEAD)" ]]; then
    base=$(git rev-parse --verify --quiet HEAD^) || {
      echo 'There is no commit before this one to compare the contract with; in a shallow clone, git fetch --unshallow.' >&2
      exit 1
    }
  fi
fi
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git show "$base:openapi.yaml" >"$before/openapi.yaml"
go tool -modfile=tools/go.mod oasdiff breaking --fail-on WARN --err-ignore tools/contract/accepted-breaks.txt \
  --warn-ignore tools/contract/accepted-breaks.txt "$before/openapi.yaml" openapi.yaml
