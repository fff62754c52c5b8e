#!/usr/bin/env bash
# The map is whole: every source file has its line in ext/README.md, and every line has its file.
set -u
bad=0
for f in ext/*.c ext/*/*.[ch]; do
  case $f in ext/vendor/*) continue ;; esac
  grep -qF "| \`${f#ext/}\` |" ext/README.md || { echo "ext/README.md has no line for $f"; bad=1; }
done
for f in $(sed -nE 's/^\| `([a-z_0-9]+(\/[a-z_0-9]+)?\.[ch])` \|.*/\1/p' ext/README.md); do
  [ -e "ext/$f" ] || { echo "ext/README.md names $f, which is not there"; bad=1; }
done
exit $bad
