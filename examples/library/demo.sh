#!/usr/bin/env bash
# The tour: builds the library's database, trains, and shows every statement above its result. The database is
# build/library.db; LIBRARY_DB names another.
set -eu
cd "$(dirname "$0")"
lib=$PWD/../../build/rec
db=${LIBRARY_DB:-$PWD/../../build/library.db}
rm -f "$db" "$db-wal" "$db-shm"
sqlite3 -batch -init /dev/null "$db" <load.sql
sqlite3 -batch -init /dev/null "$db" "SELECT count(*) || ' books' FROM books;
  SELECT count(*) || ' simulated loans by ' || count(DISTINCT reader_id) || ' readers' FROM loans;"
{ echo '.mode box --wrap 78'; echo '.echo on'; cat tour.sql; } | sqlite3 -batch -init /dev/null -cmd ".load $lib" "$db"
echo
echo "The database is build/library.db. Open it with:  sqlite3 build/library.db -cmd '.load build/rec'"
