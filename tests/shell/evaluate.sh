#!/usr/bin/env bash
# rec_evaluate on the Gowalla split: the most popular items must score what everybody publishes for them, digit by
# digit: recall@20 .04163, NDCG@20 .03169, precision@20 .01388, hit rate@20 .2038, over 29,858 users.
set -u
data=${GOWALLA:-../shared/data/gowalla}
[ -f "$data/train.txt" ] || { echo "no $data/train.txt"; exit 77; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
for part in train test; do
  awk '{ for (i = 2; i <= NF; i++) print $1 "," $i }' "$data/$part.txt" >"$tmp/$part.csv"
done
got=$(REC_PROGRESS=0 sqlite3 -batch -init /dev/null "$tmp/db" 2>&1 <<SQL
.load ./build/rec
CREATE TABLE train(user INT, item INT); CREATE TABLE test(user INT, item INT);
.mode csv
.import $tmp/train.csv train
.import $tmp/test.csv test
.mode list
CREATE VIRTUAL TABLE charts USING rec_model(algorithm=popularity, interactions=train, user=user, item=item);
SELECT metric, k, round(value, 5), users, denominator, candidates
  FROM rec_evaluate('charts', '{"table": "test", "k": 20, "metrics": ["recall", "ndcg", "precision", "hit"], "bootstrap": 100}');
SELECT low < 0.04163 AND high > 0.04163 AND high - low < 0.004
  FROM rec_evaluate('charts', '{"table": "test", "k": 20, "metrics": "recall", "bootstrap": 100}');
INSERT INTO test SELECT * FROM train LIMIT 1;
SELECT value FROM rec_evaluate('charts', '{"table": "test", "k": 20, "metrics": "recall"}');
SQL
)
want='recall|20|0.04163|29858||test||full(40981)
ndcg|20|0.03169|29858|min(k,|test|)|full(40981)
hit|20|0.20383|29858|1|full(40981)
precision|20|0.01388|29858|k|full(40981)
1'
diff <(echo "$want") <(head -n 5 <<<"$got") || exit 1
grep -q 'have pairs that the test table test asks about (user 0, item 0)' <<<"$got" || { echo "$got"; exit 1; }
