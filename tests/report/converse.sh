#!/usr/bin/env bash
# Simulated readers and llm_converse over MovieLens: converse.sh [users]. Goals for targets with a TMDB record: found by turn
# 3 / 5 / 8 .70 / .85 / .95, mean turns below 3.9, wrong answers cost less than a third, p50 of a turn under 20 ms.
set -u
cd "$(dirname "$0")/../.."
users=${1:-200}
ml=../shared/data/ml-latest-small
[ -f $ml/ratings.csv ] || { echo "no $ml: nothing to report"; exit 0; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
MOVIELENS_DB=$tmp/films.db examples/movielens/movielens.sh $ml >/dev/null 2>&1
for run in "0 tmdb" "0.1 tmdb" "0.2 tmdb" "0 all" "0 tail"; do
  cp "$tmp/films.db" "$tmp/run.db"
  # shellcheck disable=SC2086
  PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/report/converse.py "$tmp/run.db" "$PWD/build/rec" "$users" $run
done
