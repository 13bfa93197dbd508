#!/usr/bin/env bash
# breaking.sh fails when openapi.yaml breaks clients of the last release, or, in the commit of a release, of the one
# before. A break that is meant goes into accepted-breaks.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."

mapfile -t versions < <(sed -n 's/^ *"version": "\(.*\)",$/\1/p' contract/released/releases.json)
last=$((${#versions[@]} - 1))
((last >= 0)) || {
  echo 'contract/released/releases.json names no release.' >&2
  exit 1
}
if ((last > 0)) && cmp -s openapi.yaml "contract/released/${versions[last]}/openapi.yaml"; then
  last=$((last - 1))
fi
base=${versions[last]}
echo "The contract since $base:"
go tool -modfile=tools/go.mod oasdiff breaking --fail-on WARN --err-ignore tools/contract/accepted-breaks.txt \
  --warn-ignore tools/contract/accepted-breaks.txt "contract/released/$base/openapi.yaml" openapi.yaml
