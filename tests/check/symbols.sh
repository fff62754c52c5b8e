#!/usr/bin/env bash
# The library exports exactly one symbol.
set -eu
lib=build/release/rec.so
[ -e "$lib" ] || { echo "no $lib on this system"; exit 77; }
got=$(nm -D --defined-only "$lib" | awk '$2 ~ /[A-Z]/ {print $3}')
[ "$got" = sqlite3_rec_init ] || { echo "exported: $got"; exit 1; }
