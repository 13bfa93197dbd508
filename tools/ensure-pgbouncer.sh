#!/usr/bin/env bash
# Installs Debian's PgBouncer when the tests have none to start and nobody needs to be asked: as root, or by sudo
# without a password. Elsewhere it does nothing; internal/store/storetest says what to install.
set -euo pipefail

for program in "$(command -v pgbouncer)" /usr/sbin/pgbouncer; do
  [[ ! -x $program ]] || exit 0
done

root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}
command -v apt-get >/dev/null && root true 2>/dev/null || exit 0

echo 'Installing PgBouncer for the tests.'
# The tests start their own, so the package's is not started.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'root rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' | root tee $policy >/dev/null
  root chmod +x $policy
fi
root apt-get update -qq
root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends pgbouncer >/dev/null
