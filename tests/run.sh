#!/usr/bin/env bash
# Every test, or those whose name contains the pattern: tests/run.sh [pattern].
#
#   check/*.sh    layers, symbols, flags               host/test_*.c  hosts: memory, savepoints, ...
#   unit/*.c      pure code under ASan and UBSan        golden         sql/*.sql against .out, four ways each
#   shell/*.sh    what a user runs: examples, README, servers
#
# One line a test; a failing golden shows its diff. The last line counts: "N passed, N failed, N skipped".
# A test that exits 77 is skipped and says why on its last line.
set -u
cd "$(dirname "$0")/.."
pattern=${1:-}
out=build/test; rm -rf "$out"; mkdir -p "$out"
export REC_PROGRESS=0 LC_ALL=C.UTF-8
jobs=${REC_TEST_JOBS:-2}

list() {
  for f in tests/check/{layers,symbols,flags,map,words,documented}.sh; do [ -e "$f" ] && echo "check/$(basename "$f" .sh) $f"; done
  for f in tests/unit/test_*.c; do [ -e "$f" ] && n=$(basename "$f" .c) && echo "unit/${n#test_} build/asan/unit/$n"; done
  for f in tests/sql/*.sql; do [ -e "$f" ] && echo "golden/$(basename "$f" .sql) tests/golden.sh $f"; done
  for f in tests/host/test_*.c; do [ -e "$f" ] && n=$(basename "$f" .c) && echo "host/${n#test_} build/release/host/$n"; done
  for f in tests/shell/*.sh; do [ -e "$f" ] && echo "shell/$(basename "$f" .sh) $f"; done
}
one() { # one <name> <command...>
  local name=$1 t0 t1 rc; shift
  local log=$out/${name//\//_}.log
  t0=$(date +%s.%N)
  timeout 300 "$@" >"$log" 2>&1 </dev/null; rc=$?
  t1=$(date +%s.%N)
  local word=PASS; [ $rc -eq 77 ] && word=SKIP; [ $rc -ne 0 ] && [ $rc -ne 77 ] && word=FAIL
  printf '%s %6.2fs  %s%s\n' $word "$(echo "$t1 $t0" | awk '{print $1-$2}')" "$name" \
    "$([ $word = SKIP ] && echo "  ($(tail -n 1 "$log"))")"
  [ $word = FAIL ] && { tail -n 60 "$log" | sed 's/^/    /'; }
  echo "$word $name" >>"$out/results"
}
export -f one; export out

tests=$(list | grep -F -- "$pattern")
if grep -q '^unit/' <<<"$tests"; then
  make --no-print-directory -k -j2 CONFIG=asan build/asan/libpure.a >"$out/build" 2>&1 &&
  make --no-print-directory -k -j2 CONFIG=asan unit >>"$out/build" 2>&1 || tail -n 40 "$out/build"
fi
grep -q '^host/' <<<"$tests" && { make --no-print-directory -k -j2 host >"$out/build" 2>&1 || tail -n 40 "$out/build"; }
# Tests that measure time have the machine for themselves.
alone='^(host/interrupt) '
run() { [ -z "$2" ] || xargs -P "$1" -L 1 bash -c 'one "$@"' _ <<<"$2"; }
run "$jobs" "$(grep -vE "$alone" <<<"$tests")"
run 1 "$(grep -E "$alone" <<<"$tests")"
touch "$out/results"
passed=$(grep -c ^PASS "$out/results"); failed=$(grep -c ^FAIL "$out/results"); skipped=$(grep -c ^SKIP "$out/results")
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
