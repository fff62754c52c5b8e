#!/usr/bin/env bash
# README.md and the pages of docs/ do what they say. Blocks of a page that are fenced as "sql run" are pasted one after
# the other into the sqlite3 shell over one database, "python run" into Python; the "text" block after each holds
# what is printed. README_WRITE=1 rewrites those text blocks.
set -u
if [ $# -eq 0 ]; then
  bad=0
  for page in README.md docs/*.md; do "$0" "$page" || bad=1; done
  exit $bad
fi
page=$1
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export REC_PROGRESS=0
[ -e build/rec.so ] || [ -e build/rec.dylib ] || { echo "build/rec is missing: run make"; exit 1; }

# Every runnable block -> N.sql or N.py, the text block after it -> N.want.
awk -v dir="$tmp" '
  /^```(sql|python) run$/ { n++; kind = ($0 ~ /sql/) ? "sql" : "py"; file = sprintf("%s/%02d.%s", dir, n, kind)
                            printf "" > file; on = 1; next }
  /^```text$/ && n        { file = sprintf("%s/%02d.want", dir, n); printf "" > file; on = 1; next }
  /^```/                  { on = 0; next }
  on                      { print > file }' "$page"

python=
for p in /usr/bin/python3 python3; do
  "$p" -c 'import sqlite3; sqlite3.connect(":memory:").enable_load_extension(True)' 2>/dev/null && { python=$p; break; }
done

bad=0
for block in "$tmp"/[0-9][0-9].*; do
  [ -e "$block" ] || continue # a page without blocks
  case $block in *.want | *.got) continue ;; esac
  got=${block%.*}.got; want=${block%.*}.want
  case $block in
    *.sql) sqlite3 -batch -init /dev/null -cmd ".load ./build/rec" "$tmp/db" <"$block" >"$got" 2>&1 ;;
    *.py) [ -n "$python" ] || { echo "no Python whose sqlite3 loads extensions: its block was not run"; rm "$block"; continue; }
          "$python" "$block" >"$got" 2>&1 ;;
  esac
  [ -n "${README_WRITE:-}" ] && continue
  diff -u "$want" "$got" || { echo "$page: block $(basename "$block") prints something else"; bad=1; }
done
if [ -n "${README_WRITE:-}" ]; then
  awk -v dir="$tmp" '
    /^```(sql|python) run$/ { n++ }
    /^```text$/ && n { print; file = sprintf("%s/%02d.got", dir, n); while ((getline line < file) > 0) print line; skip = 1; next }
    /^```$/ && skip { skip = 0 }
    !skip { print }' "$page" >"$tmp/page" && cp "$tmp/page" "$page"
fi
echo "$(ls "$tmp"/*.sql "$tmp"/*.py 2>/dev/null | wc -l) blocks of $page were run"
exit $bad
