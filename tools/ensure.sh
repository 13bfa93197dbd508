#!/usr/bin/env bash
# Installs what the tests start, from Debian's packages: tools/ensure.sh postgres|pgbouncer|nginx|chromium|patroni …
# It does so when the program is not there and nobody needs to be asked: as root, or by sudo without a password.
# Elsewhere it does nothing; the tests say what to install, and which variable names another program.
set -euo pipefail

# there reports whether one of these files is a program.
there() {
  local file
  for file in "$@"; do
    [[ ! -x $file ]] || return 0
  done
  return 1
}

packages=()
for wanted in "$@"; do
  case $wanted in
    postgres)
      [[ -n ${CONDUIT_TEST_POSTGRES:-} ]] ||
        there "$(command -v initdb)" /usr/lib/postgresql/*/bin/initdb /usr/local/pgsql/bin/initdb ||
        packages+=(postgresql)
      ;;
    pgbouncer) there "$(command -v pgbouncer)" /usr/sbin/pgbouncer || packages+=(pgbouncer) ;;
    nginx) there "${NGINX:-/usr/sbin/nginx}" || packages+=(nginx-light) ;;
    chromium) there "${CHROMIUM:-/usr/bin/chromium}" || packages+=(chromium) ;;
    patroni)
      there "$(command -v patroni)" /usr/bin/patroni || packages+=(patroni)
      there "$(command -v etcd)" /usr/bin/etcd || packages+=(etcd-server)
      ;;
    *)
      echo "tools/ensure.sh: nothing here is called $wanted" >&2
      exit 2
      ;;
  esac
done
((${#packages[@]})) || exit 0

root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}
command -v apt-get >/dev/null && root true 2>/dev/null || exit 0

echo "Installing for the tests: ${packages[*]}."
# The tests start servers of their own, so packages neither make nor start one.
cluster=/etc/postgresql-common/createcluster.d/conduit-tests.conf
policy=/usr/sbin/policy-rc.d
ours=
trap 'root rm -f $cluster $ours' EXIT
root mkdir -p "${cluster%/*}"
echo 'create_main_cluster = false' | root tee $cluster >/dev/null
if [[ ! -e $policy ]]; then
  ours=$policy
  printf '#!/bin/sh\nexit 101\n' | root tee $policy >/dev/null
  root chmod +x $policy
fi
root apt-get update -qq
root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${packages[@]}" >/dev/null
