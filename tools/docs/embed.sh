#!/usr/bin/env bash
# embed.sh copies the pinned Swagger UI into internal/docs/swagger-ui, where the program embeds it. What is there already and
# right stays as it is: gzip does not write the same bytes everywhere.
set -euo pipefail
cd "$(dirname "$0")"

from=node_modules/swagger-ui-dist
to=../../internal/docs/swagger-ui
mkdir -p $to

for file in swagger-ui-bundle.js swagger-ui.css; do
  gzip -dc $to/$file.gz 2>/dev/null | cmp -s - $from/$file || gzip -9nc $from/$file >$to/$file.gz
done
cp $from/LICENSE $from/NOTICE $from/swagger-ui-bundle.js.LICENSE.txt $to/
node -p "require('./$from/package.json').version" >$to/VERSION
