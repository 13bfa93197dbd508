#!/usr/bin/env bash
# Installs Debian's PostgreSQL when the tests have none to start and nobody needs to be asked: as root, or by sudo without a
# password. Elsewhere it does nothing; internal/store/storetest says what to install.
set -euo pipefail

[[ -z ${CONDUIT_TEST_POSTGRES:-} ]] || exit 0
for initdb in "$(command -v initdb)" /usr/lib/postgresql/*/bin/initdb /usr/local/pgsql/bin/initdb; do
  [[ ! -x $initdb ]] || exit 0
done

root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}
command -v apt-get >/dev/null && root true 2>/dev/null || exit 0

echo 'Installing PostgreSQL for the tests.'
# The tests start a server of their own, so the package is told neither to create a cluster nor to start one.
settings=/etc/postgresql-common/createcluster.d
trap 'root rm -f $settings/conduit-tests.conf' EXIT
root mkdir -p $settings
echo 'create_main_cluster = false' | root tee $settings/conduit-tests.conf >/dev/null
root apt-get update -qq
root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends postgresql >/dev/null
