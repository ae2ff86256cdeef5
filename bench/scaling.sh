#!/usr/bin/env bash
# How the cost of a frame grows with workers, sources, flows, rows and updates; prints tables, writes target/scaling.json.
#   bench/scaling.sh [--part workers|sources|flows|rows|updates] [--reps 5] ...   (baseline/scaling.py --help has all)
# Needs two cores and python3; about 20 minutes.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --quiet --release -p bench --bin pktbench
mkdir -p "$target"
exec python3 bench/baseline/scaling.py --json "$target/scaling.json" --pktbench "$target/release/pktbench" "$@"
