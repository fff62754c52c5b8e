#!/usr/bin/env bash
# Every golden through the extension built with ASan and UBSan, and the host tests that change what an index stores.
set -u
asan=$(${CC:-cc} -print-file-name=libasan.so)
failed=0
for sql in tests/sql/*.sql; do
  if GOLDEN_PRELOAD=$asan ASAN_OPTIONS=detect_leaks=1:verify_asan_link_order=0 LSAN_OPTIONS=suppressions=tests/check/lsan.supp:print_suppressions=0 \
     GOLDEN_LIB=$PWD/build/asan/rec tests/golden.sh "$sql" >build/asan/log 2>&1; then echo "PASS  $sql"
  else echo "FAIL  $sql"; head -n 60 build/asan/log; failed=$((failed + 1)); fi
done
for t in index_bytes index_damage index_random; do
  if LSAN_OPTIONS=suppressions=tests/check/lsan.supp:print_suppressions=0 REC_LIB=$PWD/build/asan/rec REC_ASAN=1 REC_OPS=1400 \
     timeout 300 build/asan/host/test_$t >build/asan/log 2>&1; then echo "PASS  host/$t"
  else echo "FAIL  host/$t"; head -n 60 build/asan/log; failed=$((failed + 1)); fi
done
[ $failed -eq 0 ]
