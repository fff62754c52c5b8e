#!/usr/bin/env bash
# Nothing is left for later: no marks of unfinished work, no path of a machine, files and functions of a readable size.
set -u
bad=0
hits=$(grep -nEi '\b(todo|fixme|xxx|hack)\b' -r ext sql examples tests README.md Makefile --include='*' --exclude-dir=vendor --exclude=words.sh --exclude='*.csv' --exclude='*.out' --exclude=expected.txt)
[ -n "$hits" ] && { echo "$hits"; bad=1; }
hits=$(grep -nE '/home/|/root/|/work/' -r ext sql examples tests README.md Makefile --exclude-dir=vendor --exclude=words.sh)
[ -n "$hits" ] && { echo "$hits"; bad=1; }
for f in ext/*.[ch] ext/*/*.[ch]; do
  case $f in ext/vendor/*) continue ;; esac
  n=$(wc -l <"$f"); [ "$n" -gt 760 ] && { echo "$f has $n lines (limit 760)"; bad=1; }
done
long=$(for f in ext/*/*.c; do awk -v f="$f" '
  /^[A-Za-z_].*\(/ && !/;[ \t]*$/ {name=$0; at=NR}
  /\)[ \t]*\{[ \t]*$/ {if (name!="" && NR-at<12) start=at}
  /^\}/ {if (start && NR-start>150) {sub(/\(.*/,"",name); print f ":" start " " name " has " NR-start " lines (limit 150)"}; start=0; name=""}' "$f"; done)
[ -n "$long" ] && { echo "$long"; bad=1; }
exit $bad
