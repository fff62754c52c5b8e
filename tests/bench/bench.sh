#!/usr/bin/env bash
# The figures, one CSV line a case: name,commit,cpu,value. bench.sh [pattern] runs the cases whose name contains it.
# Data: ../shared/data (a case without its data says so on stderr). The vector index has index.sh.
set -eu
cd "$(dirname "$0")/../.."
pattern=${1:-}
lib=$PWD/build/release/rec
work=build/bench; mkdir -p $work
commit=$(git rev-parse --short HEAD 2>/dev/null || echo none)
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1 | tr -s ' ,' ' ')
export REC_PROGRESS=0 REC_THREADS=${REC_THREADS:-2}
line() { printf '%s,%s,%s x %s,%s\n' "$1" "$commit" "$(nproc 2>/dev/null || echo 1)" "${cpu:-unknown}" "$2"; }
want() { case $1 in *$pattern*) return 0 ;; *) return 1 ;; esac; }
sql() { sqlite3 -batch -init /dev/null -cmd ".load $lib" "$@"; }
[ -x $work/bench ] && [ $work/bench -nt tests/bench/bench.c ] ||
  ${CC:-cc} -O2 -D_GNU_SOURCE -o $work/bench tests/bench/bench.c -lsqlite3 -lm

. tests/bench/gowalla.sh
# Recall@20 = hits / |test|, NDCG@20 with the ideal over min(20, |test|), mean over the test users; training items masked.
evaluate() { # evaluate <model>
  sql $work/gowalla.db <<SQL
CREATE TEMP TABLE top AS SELECT user, item, rank FROM $1 WHERE k = 20 AND seen = 0;
CREATE TEMP TABLE gain AS WITH RECURSIVE g(n, dcg) AS (VALUES (1, 1.0) UNION ALL SELECT n + 1, dcg + 1 / log2(n + 2) FROM g WHERE n < 20) SELECT * FROM g;
WITH size AS (SELECT user, count(*) AS n FROM test GROUP BY user),
     hit AS (SELECT user, count(*) AS hits, sum(1 / log2(rank + 1)) AS dcg FROM top JOIN test USING (user, item) GROUP BY user)
SELECT round(avg(coalesce(1.0 * hits / size.n, 0)), 5), round(avg(coalesce(hit.dcg / gain.dcg, 0)), 5)
  FROM size LEFT JOIN hit USING (user) JOIN gain ON gain.n = min(20, size.n);
SQL
}
train_case() { # train_case <name> <options>
  want "$1" || return 0
  [ -f $gowalla/train.txt ] || { echo "no $gowalla" >&2; return 0; }
  load_gowalla $work/gowalla.db
  sql $work/gowalla.db "DROP TABLE IF EXISTS m; CREATE VIRTUAL TABLE m USING rec_model($2, interactions=checkins, user=user, item=item, feedback=implicit);"
  local report; report=$(sql $work/gowalla.db "SELECT rec_train('m')")
  for part in read fit write; do
    line "$1.${part}_s" "$(sqlite3 :memory: "SELECT round('$report' ->> '$.seconds.$part', 3)" 2>/dev/null || true)"
  done
  local started ended got; started=$(date +%s.%N); got=$(evaluate m); ended=$(date +%s.%N)
  line "$1.recall@20" "${got%|*}"; line "$1.ndcg@20" "${got#*|}"
  line "$1.top20_of_all_users_s" "$(echo "$started $ended" | awk '{printf "%.1f", $2 - $1}')"
}

train_case gowalla.popularity "algorithm=popularity"
train_case gowalla.als256 "algorithm=als, factors=256, epochs=8, alpha0=0.01, lambda=0.0046"
train_case gowalla.als64 "algorithm=als, factors=64, epochs=8, alpha0=0.01, lambda=0.0046"
if want gowalla.als64.rec_recommend && [ -f $work/gowalla.db ]; then
  $work/bench queries $work/gowalla.db "$lib" "SELECT item FROM rec_recommend('m', ?1, 10)" 500 |
    while IFS=, read -r k v; do line "gowalla.als64.rec_recommend.$k" "$v"; done
fi
if want llm_rewrite && [ -f ../shared/data/ml-latest-small/ratings.csv ]; then
  [ -f $work/movielens.db ] || MOVIELENS_DB=$PWD/$work/movielens.db examples/movielens/movielens.sh >/dev/null
  $work/bench queries $work/movielens.db "$lib" \
    "SELECT llm_rewrite('comedies like Toy Story from the 90s, not too long, no horror, number ' || ?1, 'reader')" 500 |
    while IFS=, read -r k v; do line "movielens.llm_rewrite.$k" "$v"; done
  $work/bench queries $work/movielens.db "$lib" \
    "SELECT item FROM rec_hybrid('reader', ?1, 'a darker film in the spirit of Spirited Away', 10)" 300 |
    while IFS=, read -r k v; do line "movielens.rec_hybrid.$k" "$v"; done
fi
