#!/usr/bin/env bash
# What is registered is documented: every SQL function and table in README.md or docs/, every function over models in
# rec_tools() as well, and every option of every algorithm, with its default, in docs/algorithms.md.
set -u
lib=$PWD/build/release/rec
bad=0
names() { sqlite3 -batch -init /dev/null "$@" :memory: "SELECT name FROM pragma_function_list UNION SELECT name FROM pragma_module_list" | sort -u; }
ours=$(comm -13 <(names) <(names -cmd ".load $lib"))
tools=$(sqlite3 -batch -init /dev/null -cmd ".load $lib" :memory: "SELECT value ->> '\$.function.name' FROM json_each(rec_tools())")
[ -n "$ours" ] && [ -n "$tools" ] || { echo "$lib does not load"; exit 1; }
# Functions on vectors, aggregates, modules, and the list itself are nothing that an agent calls.
not_tools='rec_vector|rec_vector_json|rec_distance|rec_dim|rec_normalize|rec_centroid|rec_rrf|rec_version|rec_tools|rec_index|rec_model'
for f in $ours; do
  grep -qE "\`$f[\`( ]|$f\(" README.md docs/*.md || { echo "$f is neither in README.md nor in docs/"; bad=1; }
  case $f in rec_*) grep -qxE "$not_tools" <<<"$f" || grep -qx "$f" <<<"$tools" || { echo "rec_tools() does not list $f"; bad=1; } ;; esac
done
for f in $tools; do grep -qx "$f" <<<"$ours" || { echo "rec_tools() lists $f, which is not there"; bad=1; }; done
# {"name", OPT_KIND, min, max, "default" or NULL, ...
for source in ext/model/*.c; do
  algorithm=$(sed -nE 's/^ *\.name = "([a-z_]+)",$/\1/p' "$source" | head -n 1)
  [ -n "$algorithm" ] || continue
  section=$(awk -v h="## $algorithm" '$0 == h { on = 1; next } /^## / { on = 0 } on' docs/algorithms.md)
  while IFS='|' read -r name default; do
    line=$(grep -E "^\| \`$name\` \|" <<<"$section") || { echo "docs/algorithms.md, $algorithm: no row for $name"; bad=1; continue; }
    [ -z "$default" ] || grep -qF -- "| $default |" <<<"$line" || { echo "docs/algorithms.md, $algorithm: $name is $default by default"; bad=1; }
  done < <(tr '\n' ' ' <"$source" | grep -oE '\{"[a-z_0-9]+", *OPT_[A-Z]+, *[^,]+, *[^,]+, *("[^"]*"|NULL)' |
           sed -E 's/^\{"([a-z_0-9]+)".*, *("([^"]*)"|NULL)$/\1|\3/')
done
exit $bad
