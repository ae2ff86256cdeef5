#!/usr/bin/env bash
# dvrd beside the kernel doing the same job, per packet and per byte: prints the tables, writes target/host.json.
#   bench/host.sh [--quick] [--rounds 5] [--seconds 3] [--rate 200000] [--port-io auto|af_xdp|packet]
# As root, with iproute2, iptables and iperf3 (Debian: apt-get install iproute2 iptables iperf3); some minutes.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "host.sh: needs root, for network namespaces" >&2; exit 1; }
command -v cargo >/dev/null || { echo "host.sh: needs cargo (https://rustup.rs)" >&2; exit 1; }
for need in ip bridge iptables-restore iperf3; do
    command -v $need >/dev/null || { echo "host.sh: needs $need: apt-get install iproute2 iptables iperf3" >&2; exit 1; }
done
target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --release -p control --bin dvrd --bin dvrctl
cargo build --quiet --release -p bench --bin hosts
mkdir -p "$target"
exec "$target/release/hosts" --json "$target/host.json" --command "bench/host.sh${*:+ $*}" "$@"
