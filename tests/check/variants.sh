#!/usr/bin/env bash
# The builds that few use: without BLAS, without the network, and linked into the program (SQLITE_CORE). The first two
# must pass the goldens that do not hang on last bits; the third links against the system's SQLite and answers.
set -u
bad=0
variant() { # variant <config> <make variable> <pattern of goldens to leave out>
  local config=$1 lib=build/$1/rec.so sql
  make --no-print-directory -k -j2 CONFIG="$config" "$2=1" WERROR=1 "$lib" 2>&1 | grep -E 'error:|warning:'
  [ -e "$lib" ] || { echo "$2: no $lib"; bad=1; return; }
  for sql in tests/sql/*.sql; do
    [[ $(basename "$sql") =~ $3 ]] && continue
    GOLDEN_LIB=$PWD/build/$config/rec tests/golden.sh "$sql" >build/"$config"/log 2>&1 ||
      { echo "$2: $sql"; head -n 20 build/"$config"/log; bad=1; }
  done
}
variant noblas REC_NO_BLAS '^$'
variant nonet REC_OMIT_NETWORK '0534-llm-cache'
for what in blas:noblas curl:nonet; do
  ldd "build/${what#*:}/rec.so" | grep -q "lib[a-z]*${what%:*}" && { echo "${what#*:} still needs ${what%:*}"; bad=1; }
done

mkdir -p build/static
cat >build/static/main.c <<'C'
#include <sqlite3.h>
#include <stdio.h>
int sqlite3_rec_init(sqlite3 *db, char **errmsg, const sqlite3_api_routines *api);
int main(void) {
    sqlite3 *db = 0;
    sqlite3_stmt *st = 0;
    sqlite3_auto_extension((void (*)(void))sqlite3_rec_init);
    for (int i = 0; i < 2; i++) {
        if (sqlite3_open(":memory:", &db) != SQLITE_OK) return 1;
        if (sqlite3_prepare_v2(db, "SELECT rec_distance('[1,2]', '[2,1]', 'l1')", -1, &st, 0) != SQLITE_OK) return 2;
        if (sqlite3_step(st) != SQLITE_ROW || sqlite3_column_double(st, 0) != 2) return 3;
        sqlite3_finalize(st);
        if (sqlite3_close(db) != SQLITE_OK) return 4;
    }
    return puts("ok") < 0;
}
C
make --no-print-directory -k -j2 CONFIG=static CPPFLAGS='-D_GNU_SOURCE -DSQLITE_CORE' WERROR=1 build/static/librec.a 2>&1 |
  grep -E 'error:|warning:'
${CC:-cc} -o build/static/main build/static/main.c build/static/librec.a -lsqlite3 -lopenblas -lcurl -lcjson -lm -pthread &&
  [ "$(build/static/main)" = ok ] || { echo 'the static build does not answer'; bad=1; }
exit $bad
