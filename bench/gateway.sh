#!/usr/bin/env bash
# Starts Countersign for the benchmark, in a world of its own (demo/world) around the benchmark's target; gateway.py has
# the contract. Recording is on at level 2; the owner's witness must cosign each opening.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export COUNTERSIGN_BIN=${COUNTERSIGN_BIN:-$root/target/release}
if [ ! -x "$COUNTERSIGN_BIN/countersign" ]; then
    echo "none there is no $COUNTERSIGN_BIN/countersign; make build, or cargo build --release -p countersign"
    exit 0
fi
world=$BENCH_FOLDER/gateway/world
port=$((20000 + BENCH_TARGET_PORT % 10000))
export COUNTERSIGN_PORT=$port COUNTERSIGN_TARGET_PORT=$BENCH_TARGET_PORT COUNTERSIGN_TARGET_HOSTKEY=$BENCH_TARGET_HOSTKEY
"$root/demo/world" "$world" >&2
trap '"$root/demo/world" stop "$world"' EXIT
cat >"$BENCH_FOLDER/target.d/countersign.conf" <<EOF
TrustedUserCAKeys $world/target/user_ca.pub
AuthorizedPrincipalsFile $world/target/principals/%u
EOF
kill -HUP "$BENCH_TARGET_PID"

export COUNTERSIGN_SERVER=http://127.0.0.1:$((port + 1))
cs=$COUNTERSIGN_BIN/countersign
COUNTERSIGN_KEY=$world/people/alice "$cs" request "$BENCH_USER@web1.acme" --reason "benchmark" --yes >&2
request=$(COUNTERSIGN_KEY=$world/people/alice "$cs" requests --json | grep -o 'req_[0-9a-z]*' | head -1)
COUNTERSIGN_KEY=$world/people/olga "$cs" approve "$request" --yes >&2
{
    echo "KexAlgorithms $BENCH_KEX"
    echo "Ciphers $BENCH_CIPHER"
    cat "$world/people/ssh_config"
} >"$world/people/bench_config"
# Both ways in: by `-J`, with one connection inside another, and with one connection to the gateway itself.
for way in "gateway -J $BENCH_USER@web1.acme" "gateway $BENCH_USER+web1.acme@countersign-acme"; do
    echo "name ${way% *}"
    echo "pid $(cat "$world/server.pid")"
    echo "config $world/people/bench_config"
    echo "host ${way##* }"
    echo ready
done
echo done
cat >/dev/null
