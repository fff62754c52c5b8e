#!/usr/bin/env bash
# index.sh - the vector index beside hnswlib, vectorlite and sqlite-vec: figures as CSV lines name,commit,cpu,value,
# then the table of goals. How the comparison is kept fair: tests/bench/index_bench.c.
#   index.sh [case ...]     build queries flat filter cold insert halves ip million (default: all of them)
#   BENCH_ROWS=100000 BENCH_DIM=256 BENCH_QUERIES=10000 BENCH_ROUNDS=7 BENCH_BUILDS=3   smaller for a trial
#   BENCH_MILLION=1000000   rows of the case million, 0 leaves it out (2 GB of disk)
# `build` leaves the tables that queries, cold, insert and halves use. Peers: libhnswlib-dev, and npm packages that are
# fetched into build/bench/peers; one that is not there is left out, and says so.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
rows=${BENCH_ROWS:-100000} dim=${BENCH_DIM:-256} queries=${BENCH_QUERIES:-10000}
rounds=${BENCH_ROUNDS:-7} builds=${BENCH_BUILDS:-3}
out=build/bench dir=build/bench/index-$rows-$dim-$queries
values=$dir/values # kept: a case that runs alone renews its rows of the table
commit=$(git rev-parse --short HEAD 2>/dev/null || echo none)
cpu="$(nproc 2>/dev/null || echo 1) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1 | tr -s ' ,' ' ')"
export REC_PROGRESS=0
failed=0
mkdir -p $out/peers "$dir"

# The host program holds the pure layers (our graph from C), SQLite and, where there is a C++ compiler, hnswlib.
objects=$(ls ext/*/*.c | grep -v '^ext/sqlite/' | sed 's|^|build/release/|; s|c$|o|')
make --no-print-directory -s -j2 all $objects
rm -f $out/libpure.a; ar rcs $out/libpure.a $objects
flags='' peer='' link=''
if [ -f /usr/include/hnswlib/hnswlib.h ] && command -v c++ >/dev/null; then
  flags=-DHAVE_HNSWLIB peer=$out/index_peer.o link=-lstdc++
  c++ -O3 -march=native -c -o $peer tests/bench/index_peer.cpp
fi
${CC:-cc} -D_GNU_SOURCE -std=c11 -O2 $flags -o $out/index_bench \
  $(ls tests/bench/index_*.c) $peer $out/libpure.a -lsqlite3 -lopenblas $link -lm -pthread

npm_peer() { # npm_peer <name> <package> <version> <file in it>: prints name=path when it is there
  local at=$out/peers/$1
  if [ ! -f $at/package/$4 ] && command -v npm >/dev/null; then
    mkdir -p $at
    (cd $at && file=$(npm pack --silent "$2@$3") && tar xzf "$file") >/dev/null 2>&1 || true
  fi
  [ ! -f $at/package/$4 ] || echo "$1=$PWD/$at/package/$4"
}
peers="$(npm_peer vec0 sqlite-vec-linux-x64 0.1.9 vec0.so) $(npm_peer vectorlite @1yefuwang1/vectorlite-linux-x64 0.2.0 src/vectorlite.so)"
run() { # run <case> <dir> [option ...]: figures to stdout and to the values of the table
  local name=$1 where=$2; shift 2
  $out/index_bench "$name" "$where" "lib=$PWD/build/release/rec" rounds=$rounds builds=$builds "$@" |
    while IFS=, read -r key value; do
      echo "$key,$value" >>$values
      printf '%s,%s,%s,%s\n' "$key" "$commit" "${cpu:-unknown}" "$value"
    done || { echo "index.sh: case $name failed in $where" >&2; failed=1; }
}
fresh() { # fresh <dir>: are its vectors there, and made by this generator?
  [ -f "$1/head" ] && [ "$1/head" -nt tests/bench/index_data.c ]
}
make_text() { # make_text <dir> <rows> <dim> <queries>
  fresh "$1" && return 0
  rm -rf "$1"; mkdir -p "$1"
  $out/index_bench make "$1" rows=$2 dim=$3 queries=$4
}
inner_product() { # item factors of Gowalla, asked with its users
  local at=$out/index-ip train=../shared/data/gowalla/train.txt
  [ -f $train ] || { echo "ip is left out: no $train" >&2; return 0; }
  rm -rf $at; mkdir -p $at
  $out/index_bench make-als $at train=$train dim=64 queries=$queries
  run build $at metric=ip prefix=ip. builds=1
  run queries $at metric=ip prefix=ip. efs=24,40,80,160 $peers
  run flat $at metric=ip prefix=ip. $peers
}
million() { # for scale: does it build, load, answer?
  local n=${BENCH_MILLION:-1000000} at
  [ $n -gt 0 ] || { echo "million is left out: BENCH_MILLION=0" >&2; return 0; }
  at=$out/index-$n-128-1000
  make_text $at $n 128 1000
  echo "million.rows,$n" >>$values
  run build $at prefix=million. builds=1 hnswlib=0 c=0
  run cold $at prefix=million.
  run queries $at prefix=million. hnswlib=0 c=0
}

[ $# -gt 0 ] || { set -- build queries flat filter cold insert halves ip million; rm -f $values $dir/vectorlite.bin; }
make_text "$dir" $rows $dim $queries
for name in "$@"; do
  case $name in
    ip) inner_product ;;
    million) million ;;
    build | queries | flat | filter | cold | insert | halves) run $name "$dir" $peers ;;
    *) echo "index.sh: no case $name; cases are build queries flat filter cold insert halves ip million" >&2; exit 2 ;;
  esac
done
echo
awk -F, -v rows=$rows -v dim=$dim -f tests/bench/index_table.awk $values
exit $failed
