#!/usr/bin/env bash
# breaking.sh fails when openapi.yaml breaks clients of the contract before it: that of the last release, or the commit that
# CONTRACT_BASE names; without both that of main, and on main itself of the commit before. A break that is meant goes into
# accepted-breaks.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."

commit() { git rev-parse --verify --quiet "$1^{commit}"; }

# A release is compared with the one before it.
release=$(git describe --tags --exact-match 2>/dev/null || true)
base=$(git describe --tags --abbrev=0 ${release:+--exclude="$release"} 2>/dev/null) ||
  base=$(commit "${CONTRACT_BASE:-none}") ||
  base=$(git merge-base HEAD origin/main 2>/dev/null) || base=$(commit HEAD)
if [[ $(commit "$base") == "$(commit HEAD)" ]]; then
  base=$(commit HEAD^) || {
    echo 'There is no commit before this one to compare the contract with; in a shallow clone, git fetch --unshallow.' >&2
    exit 1
  }
fi
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git show "$base:openapi.yaml" >"$before/openapi.yaml"
echo "The contract since $base:"
go tool -modfile=tools/go.mod oasdiff breaking --fail-on WARN --err-ignore tools/contract/accepted-breaks.txt \
  --warn-ignore tools/contract/accepted-breaks.txt "$before/openapi.yaml" openapi.yaml
