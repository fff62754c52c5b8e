#!/usr/bin/env bash
# The goldens that train and search with several threads, through the extension built with TSan;
# and two threads with a connection each (tests/host/test_multi.c).
set -u
tsan=$(${CC:-cc} -print-file-name=libtsan.so)
failed=0
for sql in tests/sql/0[2-4]*.sql; do
  if REC_THREADS=3 GOLDEN_PRELOAD=$tsan TSAN_OPTIONS="suppressions=$PWD/tests/check/tsan.supp exitcode=66" \
     GOLDEN_LIB=$PWD/build/tsan/rec tests/golden.sh "$sql" >build/tsan/log 2>&1; then echo "PASS  $sql"
  else echo "FAIL  $sql"; head -n 60 build/tsan/log; failed=$((failed + 1)); fi
done
# TSan's own state does not survive a fork with threads.
if REC_NO_FORK=1 REC_LIB=build/tsan/rec TSAN_OPTIONS="suppressions=$PWD/tests/check/tsan.supp exitcode=66" \
   setarch -R build/tsan/host/test_multi >build/tsan/log 2>&1; then echo "PASS  host/multi"
else echo "FAIL  host/multi"; head -n 60 build/tsan/log; failed=$((failed + 1)); fi
[ $failed -eq 0 ]
