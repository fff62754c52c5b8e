#!/usr/bin/env bash
# Builtin enrichment, profile and rerank on MovieLens with TMDB (needs ../shared/data): enrich.sh [enrich] [profile] [rerank].
set -u
cd "$(dirname "$0")/../.."
here=$PWD
ml=../shared/data/ml-latest-small tmdb=../shared/data/tmdb-5000/tmdb_5000_movies.csv
[ -f $ml/ratings.csv ] && [ -f $tmdb ] || { echo "no $ml or $tmdb: enrichment, profiles and reranking left out"; exit 0; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
ln -s "$here/$ml/links.csv" "$tmp/links.csv"; ln -s "$here/$tmdb" "$tmp/tmdb.csv"
MOVIELENS_DB=$tmp/films.db examples/movielens/movielens.sh $ml >/dev/null 2>&1
[ $# -gt 0 ] || set -- enrich profile rerank
cd "$tmp" && for part; do
  sqlite3 -batch -init /dev/null -cmd ".load $here/build/rec" films.db <"$here/tests/report/$part.sql"
done
