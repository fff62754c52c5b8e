#!/usr/bin/env bash
# What a reviewer would say first: layers, symbols, format, and warnings as errors with gcc and clang.
set -u
bad=0
say() { echo "== $*"; }
for f in layers symbols words; do say $f; tests/check/$f.sh || { [ $? -eq 77 ] || bad=1; }; done
if command -v clang-format >/dev/null; then
  say format
  clang-format --dry-run -Werror $(find ext tests -name '*.[ch]' -not -path 'ext/vendor/*') 2>&1 | grep -E 'warning|error' | head -n 20
  [ "${PIPESTATUS[0]}" -eq 0 ] || bad=1
fi
for cc in gcc clang; do
  command -v $cc >/dev/null || continue
  say $cc
  make --no-print-directory -k -j2 CC=$cc CONFIG=lint-$cc WERROR=1 all 2>&1 | grep -E 'error:|warning:' | head -n 30
  [ "${PIPESTATUS[0]}" -eq 0 ] || bad=1
done
say variants; tests/check/variants.sh || bad=1
exit $bad
