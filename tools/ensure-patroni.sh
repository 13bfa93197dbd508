#!/usr/bin/env bash
# Installs Debian's Patroni and etcd when the failover test has none to start and nobody needs to be asked: as root, or
# by sudo without a password. Elsewhere it does nothing; internal/failover says what to install.
set -euo pipefail

missing=()
for program in patroni etcd; do
  for file in "$(command -v $program)" /usr/bin/$program; do
    [[ ! -x $file ]] || continue 2
  done
  missing+=($program)
done
((${#missing[@]})) || exit 0

root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}
command -v apt-get >/dev/null && root true 2>/dev/null || exit 0

echo 'Installing Patroni and etcd for the failover test.'
# The test starts its own, so the packages' are not started.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'root rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' | root tee $policy >/dev/null
  root chmod +x $policy
fi
root apt-get update -qq
root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends etcd-server patroni >/dev/null
