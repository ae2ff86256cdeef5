#!/usr/bin/env bash
# Ours beside OVS-DPDK and dpdk-testpmd on the same packets, tables and core: prints the table, writes target/compare.json.
#   bench/compare.sh [--quick] [--write] [--case route] [--flows 1000] ...   (baseline/compare.py --help has all)
# As root on Debian 12 with two cores; installs what is missing, builds twice, then takes under 15 minutes.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "compare.sh: needs root, for hugepages and network namespaces" >&2; exit 1; }
command -v cargo >/dev/null || { echo "compare.sh: needs cargo (https://rustup.rs)" >&2; exit 1; }
for need in dpdk-testpmd ovsdb-server /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk python3; do
    command -v "$need" >/dev/null || { bench/baseline/setup.sh; break; }
done
target=${CARGO_TARGET_DIR:-$PWD/target}
build() { # build NAME CPU
    RUSTFLAGS="-C target-cpu=$2" CARGO_TARGET_DIR="$target/compare-$1" cargo build --quiet --release -p bench --bin pktbench
}
build x86-64 x86-64
build native native
mkdir -p "$target"
exec python3 bench/baseline/compare.py --json "$target/compare.json" --baseline "$target/compare-x86-64" --native "$target/compare-native" \
    --command "$(printf '%s' "bench/compare.sh${*:+ $*}")" "$@"
