#!/usr/bin/env bash
# Installs Debian's nginx when the tests have none to start and nobody needs to be asked: as root, or by sudo without a
# password. Elsewhere it does nothing; the tests say that they take the program that NGINX names.
set -euo pipefail

[[ ! -x ${NGINX:-/usr/sbin/nginx} ]] || exit 0

root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}
command -v apt-get >/dev/null && root true 2>/dev/null || exit 0

echo 'Installing nginx for the tests.'
# The tests start servers of their own, so the package is kept from starting one.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'root rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' | root tee $policy >/dev/null
  root chmod +x $policy
fi
root apt-get update -qq
root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends nginx-light >/dev/null
