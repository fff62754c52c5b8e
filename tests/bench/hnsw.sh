#!/usr/bin/env bash
# hnsw.sh - the graph index from C beside hnswlib (libhnswlib-dev), both M=16, ef_construction=200, on vectors
# like text embeddings. Figures per width of the search; compare them at equal recall.
#   tests/bench/hnsw.sh [N] [DIM] [EFS]      default 100000 256 16,20,22,24,40,72,80
set -eu
cd "$(dirname "$0")/../.."
n=${1:-100000} dim=${2:-256} efs=${3:-16,20,22,24,40,72,80}
out=build/bench data=build/bench/hnsw-$n-$dim
mkdir -p "$data"
objects=$(ls ext/core/*.c ext/index/*.c | sed 's|^|build/release/|; s|c$|o|')
make --no-print-directory -s -j2 $objects
cc -D_GNU_SOURCE -std=c11 -O2 -o "$out/hnsw_bench" tests/bench/hnsw_bench.c $objects -lopenblas -lm -pthread
[ -s "$data/truth" ] || "$out/hnsw_bench" gen "$data" "$n" "$dim" 10000
"$out/hnsw_bench" run "$data" "efs=$efs" repeat=7 filter=64 save=1
"$out/hnsw_bench" run "$data" efs=24 repeat=1 load=1 changes=5000
"$out/hnsw_bench" run "$data" efs=24,80 repeat=1 load=1 halves=1
if [ -f /usr/include/hnswlib/hnswlib.h ]; then
  c++ -O3 -march=native -o "$out/hnsw_peer" tests/bench/hnsw_peer.cpp
  rm -f "$data/hnswlib.bin"
  "$out/hnsw_peer" "$data" "$efs"
else
  echo "hnswlib,skipped,libhnswlib-dev is not installed"
fi
