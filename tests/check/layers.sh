#!/usr/bin/env bash
# The layers hold: SQLite only in ext/sqlite/ and ext/rec.*, curl only in llm/http.c, cJSON's header only in
# llm/json.c, BLAS only in core/linalg.c, stdio nowhere in core, and no header reaches upwards.
set -u
bad=0
only() { # only <what> <pattern> <allowed path regex>
  local hits; hits=$(grep -rlE "$2" ext --include='*.c' --include='*.h' | grep -vE "^ext/vendor/|$3")
  [ -n "$hits" ] && { echo "$1 is used outside its place: $hits"; bad=1; }
}
only SQLite '\bsqlite3_[a-z]|sqlite3(ext)?\.h' '^ext/(sqlite/|rec\.[ch]$)'
only libcurl '\bcurl_|curl/curl\.h' '^ext/llm/http\.c$'
only cJSON '\bcJSON_|cJSON\.h' '^ext/llm/json\.c$'
only BLAS '\bcblas_|cblas\.h|lapacke\.h|\bssyevd_|\bopenblas_' '^ext/core/linalg\.c$'
only printing '\b(f|v)?printf *\(|\bputs *\(' '^ext/sqlite/sq_registry\.c$'
upward() { # upward <folder> <folders it may not include>
  local hits; hits=$(grep -nE "#include \"(\.\./)?($2)/" ext/"$1"/*.[ch] 2>/dev/null)
  [ -n "$hits" ] && { echo "ext/$1 reaches upwards: $hits"; bad=1; }
}
upward core 'index|model|nn|text|llm|sqlite'
upward index 'model|nn|text|llm|sqlite'
upward text 'model|nn|llm|sqlite'
upward nn 'model|llm|sqlite|index|text'
upward model 'llm|sqlite'
upward llm 'model|sqlite|nn'
grep -nE -e '-march=native|-Ofast|-ffast-math' Makefile | grep -vE '^[0-9]+:#' && { echo 'a flag that the design rules out'; bad=1; }
exit $bad
