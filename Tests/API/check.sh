#!/usr/bin/env bash
# check.sh DROVER SCHEMATHESIS - asks a drover that watches libvirt's test driver for everything that its OpenAPI document says, and
# for what it does not say, as one who may do all: no answer may be a server's error, or another than the document tells.
set -euo pipefail
drover=$(realpath "$1")
schemathesis=$(realpath -s "$2")

directory=$(mktemp -d)
daemon=
finish() {
  [ -z "$daemon" ] || { kill "$daemon" && wait "$daemon" || true; }
  rm -rf "$directory"
}
trap finish EXIT

head -c 24 /dev/urandom | base64 >"$directory/token"
chmod 600 "$directory/token"
cat >"$directory/drover.yaml" <<YAML
access: [{tokenFile: "$directory/token", rights: [read, abort, migrate, drain, alerts]}]
control: {switches: {manual: enabled, drain: enabled, policies: enabled, alerts: enabled}}
YAML
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$drover" serve --config.file "$directory/drover.yaml" --journal.path "$directory/journal.db" --log.level error --libvirt.uri test:///default \
  --control.socket "$directory/control.sock" --web.listen-address "127.0.0.1:$port" &
daemon=$!
for _ in $(seq 100); do
  curl -sf "http://127.0.0.1:$port/-/ready" >"$directory/ready" && break
  sleep 0.1
done

cd "$directory"
# 501 is documented: what this back end, or this KubeVirt, cannot do.
cat >schemathesis.toml <<TOML
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "501"]
TOML
"$schemathesis" run "http://127.0.0.1:$port/api/v1/openapi.json" \
  --header "Authorization: Bearer $(cat token)" --max-examples "${EXAMPLES:-50}" --seed 1 --workers 1 \
  --phases examples,coverage,fuzzing --suppress-health-check all --request-timeout 20 \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance
