#!/usr/bin/env bash
# Every golden through the extension built with ASan and UBSan.
set -u
asan=$(${CC:-cc} -print-file-name=libasan.so)
failed=0
for sql in tests/sql/*.sql; do
  if GOLDEN_PRELOAD=$asan ASAN_OPTIONS=detect_leaks=1:verify_asan_link_order=0 LSAN_OPTIONS=suppressions=tests/check/lsan.supp:print_suppressions=0 \
     GOLDEN_LIB=$PWD/build/asan/rec tests/golden.sh "$sql" >build/asan/log 2>&1; then echo "PASS  $sql"
  else echo "FAIL  $sql"; head -n 60 build/asan/log; failed=$((failed + 1)); fi
done
[ $failed -eq 0 ]
