#!/usr/bin/env bash
# The main job on real data: the example runs to its end with its output as before; then thirty fixed sentences.
# Every filter that a sentence produced holds in every row, nothing consumed comes back, every row is in stock, a
# sentence gives ten rows whenever ten films satisfy it, and two users of disjoint taste share at most 5 of 10.
set -u
ml=../shared/data/ml-latest-small
[ -f $ml/ratings.csv ] || { echo "no $ml"; exit 77; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export MOVIELENS_DB=$tmp/ml.db
grep -qw avx2 /proc/cpuinfo 2>/dev/null && export REC_SIMD=avx2 OPENBLAS_CORETYPE=Haswell
examples/movielens/movielens.sh $ml 2>&1 | sed -E 's/"seconds":\{[^}]*\}/"seconds":{}/g' >"$tmp/got"
if [ -n "${GOLDEN_WRITE:-}" ]; then cp "$tmp/got" examples/movielens/expected.txt
elif [ -n "${REC_SIMD:-}" ]; then diff -u examples/movielens/expected.txt "$tmp/got" || exit 1; fi
grep -qiE '(parse|runtime) error' "$tmp/got" && { grep -iE -A3 error "$tmp/got"; exit 1; }
rows=$(sqlite3 -batch -init /dev/null -cmd '.load build/rec' -cmd '.parameter set :user 309' \
  -cmd ".parameter set :sentence \"'a western'\"" "$MOVIELENS_DB" <sql/pipeline.sql | grep -c '|')
[ "$rows" = 10 ] || { echo "sql/pipeline.sql gave $rows rows"; exit 1; }
sqlite3 -batch -init /dev/null -cmd '.load build/rec' "$MOVIELENS_DB" <tests/shell/movielens-sentences.sql >"$tmp/report" 2>&1
cat "$tmp/report"
[ "$(tail -n 1 "$tmp/report")" = "broken: 0" ]
