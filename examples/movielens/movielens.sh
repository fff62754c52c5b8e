#!/usr/bin/env bash
# Loads MovieLens latest-small, trains three models and runs the whole pipeline: movielens.sh [folder with the CSVs].
# TMDB overviews are joined when tmdb_5000_movies.csv lies in the folder, in ../tmdb-5000 beside it, or at $TMDB.
# Without the data it tries to download them. The database is build/movielens.db; MOVIELENS_DB names another.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD/examples/movielens
lib=$PWD/build/rec
db=${MOVIELENS_DB:-$PWD/build/movielens.db}
url=https://files.grouplens.org/datasets/movielens/ml-latest-small.zip

fetch() { # the data are free for research use; they are never part of this project
  echo "No MovieLens data in '$1'; trying $url" >&2
  mkdir -p build/data
  if command -v curl >/dev/null && curl -fsSL --connect-timeout 10 -o build/data/ml.zip "$url" &&
     command -v unzip >/dev/null && unzip -qo build/data/ml.zip -d build/data; then return; fi
  echo "The download did not work. Fetch $url on a machine that has a network, unpack it, and run" >&2
  echo "    make movielens ML=path/to/ml-latest-small" >&2
  exit 1
}
ml=${1:-../shared/data/ml-latest-small}
[ -f "$ml/ratings.csv" ] || ml=build/data/ml-latest-small
[ -f "$ml/ratings.csv" ] || fetch "${1:-$ml}"
ml=$(cd "$ml" && pwd)
tmdb=${TMDB:-}
for f in "$ml/tmdb_5000_movies.csv" "$ml/../tmdb-5000/tmdb_5000_movies.csv"; do
  [ -z "$tmdb" ] && [ -f "$f" ] && tmdb=$f
done

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
for f in movies ratings links tags; do ln -s "$ml/$f.csv" "$work/$f.csv"; done
: >"$work/tmdb-import.sql"
if [ -n "$tmdb" ]; then
  ln -s "$(realpath "$tmdb")" "$work/tmdb.csv"
  echo '.import --skip 1 tmdb.csv raw_tmdb' >"$work/tmdb-import.sql"
else
  echo "No tmdb_5000_movies.csv: the films go without overviews (TMDB=path joins them)." >&2
fi
rm -f "$db" "$db-wal" "$db-shm"
(cd "$work" && sqlite3 -batch -init /dev/null "$db" <"$here/load.sql")
sqlite3 -batch -init /dev/null "$db" -cmd '.mode list' \
  "SELECT count(*) || ' films, ' || count(overview) || ' with an overview' FROM movies;
   SELECT count(*) || ' ratings by ' || count(DISTINCT user_id) || ' people' FROM ratings;"
{ echo '.echo on'; cat "$here/train.sql"; echo '.mode box --wrap 72'; cat "$here/tour.sql"; } |
  sqlite3 -batch -init /dev/null -cmd ".load $lib" "$db" | grep -av "^\.mode"
