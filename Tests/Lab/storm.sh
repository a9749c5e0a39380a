#!/bin/bash
# storm.sh COUNT [HOST] - starts many idle guests of 4 MiB, storm1 and so on; 0 ends them all.
set -euo pipefail
lab=$(cd "$(dirname "$0")" && pwd)/lab.sh
count=${1:?usage: storm.sh COUNT [HOST]} host=${2:-a}
there() { "$lab" virsh "$host" -q list --name | grep '^storm' || true; }

if [ "$count" = 0 ]; then
  there | xargs -r -n 1 -P 4 "$lab" virsh "$host" -q destroy
else
  # The first asks QEMU what it can do, which the others then know.
  "$lab" guest storm1 --memory 4 --set A --on "$host"
  seq 2 "$count" | xargs -r -P 4 -I N "$lab" guest stormN --memory 4 --set A --on "$host"
fi
echo "$(there | wc -l) guests on $host"
