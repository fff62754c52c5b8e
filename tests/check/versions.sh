#!/usr/bin/env bash
# The goldens on the oldest and the newest SQLite that npm carries: the sources of 3.38.2 (better-sqlite3 7.5.1) and
# 3.54.1 (13.2.0), built with tests/check/sqlrun.c as their shell. Needs npm; build/versions keeps what was built.
set -eu
command -v npm >/dev/null || { echo "test-versions needs npm"; exit 77; }
mkdir -p build/versions
failed=0
for version in 7.5.1 13.2.0; do
  dir=build/versions/$version
  if [ ! $dir/sqlrun -nt tests/check/sqlrun.c ]; then
    mkdir -p $dir
    [ -d $dir/package ] ||
      (cd $dir && npm pack --silent better-sqlite3@$version >/dev/null && tar xzf better-sqlite3-$version.tgz)
    src=$(dirname "$(find $dir/package/deps -name sqlite3.c)")
    ${CC:-cc} -O1 -D_GNU_SOURCE -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_RTREE -I"$src" \
      -o $dir/sqlrun tests/check/sqlrun.c "$src/sqlite3.c" -lpthread -ldl -lm
  fi
  echo "SQLite $(echo 'SELECT sqlite_version();' | $dir/sqlrun :memory:)"
  for sql in tests/sql/*.sql; do
    if GOLDEN_SHELL=$dir/sqlrun tests/golden.sh "$sql" >$dir/log 2>&1; then echo "PASS  $sql"
    else echo "FAIL  $sql"; head -n 40 $dir/log; failed=$((failed + 1)); fi
  done
done
[ $failed -eq 0 ]
