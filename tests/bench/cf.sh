#!/usr/bin/env bash
# cf.sh - collaborative filtering on Gowalla (the LightGCN split) through SQL, beside what was published, and what it costs.
#   cf.sh [case ...]      the models of the table below, and
#                         hybrid      six of them, blended by weights that training finds
#                         reference   als beside a Cholesky of every row, d = 64, 256, 512
#                         read        rows a second out of the table
#                         curve       time and bytes from 0.8 to 20 million interactions
#                         plays       counts as confidence, on MovieLens and on check-ins with made-up counts
#                         ratings     explicit: RMSE on MovieLens, 5 folds by a hash
#   BENCH_DB=path         keep the database elsewhere than in build/bench; BENCH_COPIES="1 2 4" points of the curve
#
# Protocol: train rows masked, all other items ranked, Recall@20 = hits / |test|, NDCG@20 with the ideal over
# min(20, |test|), mean over the users of the test. One rec_train by the options of its row, once; then the test rows, once.
# Options were chosen on a part of the training rows: the last tenth of each user's.
# A time is that of rec_train from call to commit, on REC_THREADS (2) threads; read, fit and write apart. CPU seconds are of all
# threads together: they tell a slow program from a busy machine.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
. tests/bench/gowalla.sh
out=build/bench
db=${BENCH_DB:-$out/gowalla.db}
lib=$PWD/build/release/rec
values=$out/cf-values
export REC_PROGRESS=0 REC_THREADS=${REC_THREADS:-2}
sql() { sqlite3 -batch -init /dev/null -cmd ".load $lib" "$@"; }

# case | options | published Recall / NDCG | goal Recall / NDCG | goal, seconds
models=$(grep -v '^#' <<'TABLE'
popularity | algorithm=popularity | .04163 / .03169 | .04163 / .03169 |
itemknn    | algorithm=itemknn, k=2000, power=1.05 | ItemCF .1570 / .1214 | .1850 / .1512 | 5
cosine     | algorithm=itemknn, similarity=cosine, k=500, shrinkage=10 | | .1445 / .1125 | 6
rp3beta    | algorithm=itemknn, similarity=rp3beta, alpha=.566, beta=.3, k=777 | RP3beta .1829 / .1520 | .1806 / .1476 | 6
ease       | algorithm=ease, form=sparse, neighbours=100 | EASE .1765 / .1467 | .1837 / .1515 | 6
ideal      | algorithm=graph, filter=ideal | | .1864 / .1535 | 4
gfcf       | algorithm=graph, filter=gfcf | GF-CF .1849 / .1518 | .1864 / .1535 | 4
bspm       | algorithm=graph, filter=bspm | BSPM-EM .1920 / .1597 | .1920 / .1600 |
als64      | algorithm=als, factors=64 | implicit .140 / .122 | .156 | 7
als128     | algorithm=als, factors=128 | | .171 | 8
als256     | algorithm=als, factors=256 | | .177 | 9
als512     | algorithm=als, factors=512 | | .182 | 10
cg64       | algorithm=als, factors=64, solver=cg, epochs=15 | implicit .140 / .122 | .156 | 2.4
bpr        | algorithm=bpr | MF-BPR .1627 / .1378 | .165 / .140 |
lightgcn   | algorithm=lightgcn | LightGCN .1830 / .1554 | .1830 / .1554 | 600
two_tower  | algorithm=two_tower | YoutubeDNN .1754 / .1473 | .1800 / .1500 |
TABLE
)
others="hybrid reference read curve plays ratings"

value() { printf '%s\n' "$1" >>"$values"; }
trained() { # trained <report> <part>
  sqlite3 :memory: "SELECT round('$1' ->> '\$.seconds.$2', 2)"
}
# What rec_evaluate fits anew, fitted once where fitting takes minutes: the lists of the stored model, judged in SQL.
judge_lists() {
  sql "$db" <<SQL
CREATE TEMP TABLE top AS SELECT user, item, rank FROM m WHERE k = 20 AND seen = 0;
CREATE TEMP TABLE gain AS WITH RECURSIVE g(n, dcg) AS (VALUES (1, 1.0) UNION ALL SELECT n + 1, dcg + 1 / log2(n + 2) FROM g WHERE n < 20) SELECT * FROM g;
WITH size AS (SELECT user, count(*) AS n FROM test GROUP BY user),
     hit AS (SELECT user, count(*) AS hits, sum(1 / log2(rank + 1)) AS dcg FROM top JOIN test USING (user, item) GROUP BY user)
SELECT printf('%.5f', avg(coalesce(1.0 * hits / size.n, 0))) || ' / ' || printf('%.5f', avg(coalesce(hit.dcg / gain.dcg, 0)))
  FROM size LEFT JOIN hit USING (user) JOIN gain ON gain.n = min(20, size.n);
SQL
}
judge() {
  sql "$db" "SELECT group_concat(printf('%.5f', value), ' / ') FROM rec_evaluate('m', '{\"table\": \"test\", \"k\": 20, \"metrics\": [\"recall\", \"ndcg\"], \"bootstrap\": 100}')"
}
model_case() { # model_case <name> <options> <published> <goal> <seconds>
  local report cpu bytes found parts=() part
  sql "$db" "DROP TABLE IF EXISTS m; CREATE VIRTUAL TABLE m USING rec_model($2, interactions=checkins, user=user, item=item);"
  report=$(sql -cmd ".timer on" "$db" <<<"SELECT rec_train('m');")
  cpu=$(awk '/^Run Time/ { print $6 + $8 }' <<<"$report")
  report=$(head -n 1 <<<"$report")
  bytes=$(sql "$db" "SELECT bytes FROM rec_models WHERE name = 'm'")
  for part in read fit write; do parts+=("$(trained "$report" $part)"); done
  case $1 in lightgcn | bpr | two_tower) found=$(judge_lists) ;; *) found=$(judge) ;; esac
  value "$1|$2|$3|$4|$5|$found|${parts[0]}|${parts[1]}|${parts[2]}|$bytes|$cpu"
  tail -n 1 "$values"
}

# Members, then the weights: from twins of the members that know less. The time is that of all of it.
members=$(grep -v '^#' <<'TABLE'
slim | algorithm=ease
sharp | algorithm=graph, filter=bspm
low | algorithm=graph, filter=ideal
deep | algorithm=als, factors=512
wide | algorithm=als, factors=128
tower | algorithm=two_tower
TABLE
)
hybrid_case() {
  local name options list="" report found
  local create="" train=""
  while IFS='|' read -r name options; do
    name=${name// /}
    create+="DROP TABLE IF EXISTS $name; CREATE VIRTUAL TABLE $name USING rec_model($options, interactions=checkins, user=user, item=item);"
    train+="SELECT rec_train('$name');"
    list+=", $name=$name"
  done <<<"$members"
  sql "$db" "DROP TABLE IF EXISTS m; $create CREATE VIRTUAL TABLE m USING rec_model(algorithm=hybrid, gate=weighted$list);"
  report=$(sql -cmd ".timer on" "$db" <<<"$train SELECT rec_train('m');")
  found=$(judge_lists)
  awk -v f="$found" '/^Run Time/ { wall += $4; cpu += $6 + $8 } END { printf "hybrid,%s,%.1f s,%.1f CPU s\n", f, wall, cpu }' <<<"$report"
  sql "$db" "SELECT 'hybrid,' || metric || ',' || round(value, 4) FROM m_log" "SELECT 'hybrid,weights,' || '$(grep -o '"weights":{[^}]*}' <<<"$report")'"
}

reference_case() { # wall and CPU seconds of both, on all of the data; 1e-4 is what scores may differ by
  local d
  for d in "64 8" "256 2" "512 1"; do
    set -- $d
    $out/cf --reference --threads $REC_THREADS als factors=$1 epochs=$2
  done
  echo "# one user in 16, with the readable solver in double precision"
  $out/cf --reference --every 16 --threads $REC_THREADS als factors=64 epochs=4
}
read_case() {
  sql "$db" "DROP TABLE IF EXISTS m; CREATE VIRTUAL TABLE m USING rec_model(algorithm=popularity, interactions=checkins, user=user, item=item);"
  for i in 1 2 3; do
    sql -cmd ".timer on" "$db" <<<"SELECT 'read,810128 rows,' || (rec_train('m') ->> '$.seconds.read') || ' s';"
  done
}
curve_case() {
  local a n
  echo "algorithm,options,interactions,users,items,fit_s,fit_cpu_s,bytes_while_fitting,model_bytes"
  for a in "als factors=64 epochs=4" itemknn "ease form=sparse" "graph factors=64"; do
    for n in ${BENCH_COPIES:-1 2 4 8 16 25}; do $out/cf --copies $n --threads $REC_THREADS $a; done
  done
}
# Counts say more than yes and no: the same rows with and without value=.
plays_models() { # plays_models <db> <table> <evaluate options>
  local a v
  for a in "itemknn" "als" "ease" "graph"; do
    for v in "" ", value=n, feedback=implicit"; do
      sql "$1" "DROP TABLE IF EXISTS m; CREATE VIRTUAL TABLE m USING rec_model(algorithm=$a, interactions=$2, user=user, item=item$v);"
      echo "plays,$2,$a${v:+,value=n},$(sql "$1" "SELECT group_concat(metric || '@' || k || ' ' || printf('%.4f', value), ' ') FROM rec_evaluate('m', '$3')")"
    done
  done
}
# Made-up counts: check-ins of three visits and more, and a fifth as many single visits by chance: a count of 1 is doubtful.
plays_case() {
  local at=$out/plays.db
  rm -f $at
  sql $at <<SQL
ATTACH '$db' AS g;
CREATE TABLE test AS SELECT * FROM g.test;
CREATE TABLE plays(user INT, item INT, n INT);
INSERT INTO plays SELECT user, item, 3 + 10 / (1 + (user * 7919 + item * 104729) % 17) FROM g.checkins;
INSERT INTO plays SELECT user, item, 1 FROM (SELECT c.user, d.item FROM g.checkins c
  JOIN g.checkins d ON d.rowid = 1 + (c.rowid * 48271 % 810128) WHERE c.rowid % 5 = 0) AS x
  WHERE NOT EXISTS (SELECT 1 FROM g.test t WHERE t.user = x.user AND t.item = x.item)
    AND NOT EXISTS (SELECT 1 FROM g.checkins k WHERE k.user = x.user AND k.item = x.item);
CREATE INDEX plays_user ON plays(user);
SQL
  plays_models $at plays '{"table": "test", "k": 20, "metrics": ["recall", "ndcg"], "bootstrap": 100}'
  [ -f ../shared/data/ml-latest-small/ratings.csv ] || return 0
  sql $at <<SQL
CREATE TABLE raw(user INT, item INT, n REAL, at INT);
.mode csv
.import --skip 1 ../shared/data/ml-latest-small/ratings.csv raw
CREATE TABLE films AS SELECT user, item, n FROM raw ORDER BY user, at, item;
SQL
  plays_models $at films '{"split": "last", "share": 0.2, "k": 20, "metrics": ["recall", "ndcg"], "bootstrap": 100}'
}
ratings_case() { # folds by a hash of user and place in the file, so that they are everywhere the same
  local a
  for a in als itemknn; do $out/cf --rmse --threads $REC_THREADS $a; done
}

print_table() {
  awk -F'|' 'BEGIN { print "| case | options | published | goal | Recall@20 / NDCG@20 | goal, s | read | fit | write | total, s | CPU, s | MB |"
                     print "|---|---|---|---|---|---|---|---|---|---|---|---|" }
    { for (i = 1; i <= 6; i++) gsub(/^ +| +$/, "", $i)
      row[$1] = sprintf("| `%s` | `%s` | %s | %s | %s | %s | %s | %s | %s | %.2f | %.2f | %.1f |", $1, $2, $3, $4, $6, $5, $7, $8, $9, $7 + $8 + $9, $11, $10 / 1e6)
      if (!($1 in at)) { at[$1] = ++n; name[n] = $1 } }
    END { for (i = 1; i <= n; i++) print row[name[i]] }' "$values"
}

mkdir -p $out
make --no-print-directory -s -j2 all build/release/bench/cf
ln -sf ../release/bench/cf $out/cf
[ -f $gowalla/train.txt ] || { echo "no $gowalla" >&2; exit 77; }
load_gowalla "$db"
[ $# -gt 0 ] || { set -- $(cut -d'|' -f1 <<<"$models") $others; rm -f "$values"; }
touch "$values"
for name in "$@"; do
  line=$(grep "^$name *|" <<<"$models" || true)
  if [ -n "$line" ]; then
    IFS='|' read -r _ options published goal seconds <<<"$line"
    model_case "$name" "$(sed 's/^ *//; s/ *$//' <<<"$options")" "$published" "$goal" "$seconds"
  else
    case " $others " in
      *" $name "*) ${name}_case ;;
      *) echo "cf.sh: no case $name; cases are $(cut -d'|' -f1 <<<"$models" | tr -s ' \n' ' ')$others" >&2; exit 2 ;;
    esac
  fi
done
echo
print_table
