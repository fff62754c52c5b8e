#!/usr/bin/env bash
# The production pipeline and what each of its stages is worth, over MovieLens: production.sh [users].
set -u
cd "$(dirname "$0")/../.."
ml=../shared/data/ml-latest-small
[ -f $ml/ratings.csv ] || { echo "no $ml: nothing to report"; exit 0; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
MOVIELENS_DB=$tmp/films.db examples/movielens/movielens.sh $ml >/dev/null 2>&1
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/report/production.py "$tmp/films.db" "$PWD/build/rec" "${1:-100}"
