#!/usr/bin/env bash
# Runs one golden SQL file four ways (memory, file; each also with trusted_schema off and defensive on)
# and compares with its .out. GOLDEN_WRITE=1 rewrites the .out from the first way. GOLDEN_SHELL names another
# shell (tests/check/versions.sh). Error lines lose their line numbers and source excerpts, which differ between
# versions of the shell, so `Error: message` is what a golden holds.
set -u
sql=$1; want=${sql%.sql}.out
shell=${GOLDEN_SHELL:-sqlite3}
# A sanitizer's library is loaded into the shell of SQLite alone; TSan wants addresses that are not random.
preload=(); [ -n "${GOLDEN_PRELOAD:-}" ] && preload=(setarch -R env "LD_PRELOAD=$GOLDEN_PRELOAD")
lib=${GOLDEN_LIB:-$PWD/build/release/rec}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
run() { # run <db> <safe>
  local safe=(); [ "$2" = 1 ] && safe=(-cmd "PRAGMA trusted_schema=OFF;" -cmd ".dbconfig defensive on")
  "${preload[@]}" "$shell" -batch -init /dev/null -cmd ".load $lib" "${safe[@]}" "$1" <"$sql" 2>&1 |
    sed -E -e '/^ +defensive (on|off)$/d' -e '/^ *(\^--- )?error here( ---\^)?/d' -e '/\^--- error here|error here ---\^/d' \
           -e 's/^(Parse error|Runtime error|Error): (near|in prepare,|stepping,) ?(line [0-9]+:)? */Error: /' \
           -e 's/^(Parse|Runtime) error near line [0-9]+: /Error: /' -e 's/^Error: near line [0-9]+: /Error: /' \
           -e 's/^(Parse error|Runtime error): /Error: /' -e 's/^(Error: .*) \([0-9]+\)$/\1/'
}
run :memory: 0 >"$tmp/got"
[ -n "${GOLDEN_WRITE:-}" ] && { cp "$tmp/got" "$want"; exit 0; }
diff -u "$want" "$tmp/got" || exit 1
for way in "file 0" "memory 1" "file 1"; do
  set -- $way
  db=:memory:; [ "$1" = file ] && db=$tmp/$2.db
  run "$db" "$2" >"$tmp/got"
  diff -u "$want" "$tmp/got" || { echo "(differs with: $1 database, safe=$2)"; exit 1; }
done
