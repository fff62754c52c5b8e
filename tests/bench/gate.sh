#!/usr/bin/env bash
# Hybrids on MovieLens latest-small: users of whom 1, 3, 5, 10 ratings are known, and users who are known well.
#
#     tests/bench/gate.sh [rounds, 10 at most]          a table for each question, printed
#
# In a round one class of users in ten knows its first rating only, one its first 3, 5, 10, and six all but their last
# fifth (by time); over ten rounds everybody has been in every class. Members, `constant` (gate=weighted) and `learned`
# (gate=learned) are trained on what is known. Relevant: later films rated 4 or more; NDCG@10 over all films not yet
# rated. A user's figure is the mean of their rounds. The best member is chosen among the users of the other rounds.
# Differences are paired by user; the bounds are those of the mean, 1.96 standard errors.
set -eu
cd "$(dirname "$0")/../.."
lib=${REC_LIB:-$PWD/build/release/rec}
ml=$(cd "${ML:-../shared/data/ml-latest-small}" && pwd)
rounds=${1:-10}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
db=${GATE_DB:-$work/gate.db}
for f in movies ratings links tags; do ln -s "$ml/$f.csv" "$work/$f.csv"; done
: >"$work/tmdb-import.sql"
tmdb=$ml/../tmdb-5000/tmdb_5000_movies.csv
[ -f "$tmdb" ] && ln -s "$tmdb" "$work/tmdb.csv" && echo '.import --skip 1 tmdb.csv raw_tmdb' >"$work/tmdb-import.sql"
load=$PWD/examples/movielens/load.sql
rm -f "$db"
(cd "$work" && sqlite3 -batch -init /dev/null "$db" <"$load")
run() { sqlite3 -batch -init /dev/null -cmd ".load $lib" "$@"; }
run "$db" <<'SQL'
CREATE TABLE known(user_id INTEGER, movie_id INTEGER, rating REAL, rated_at INTEGER, PRIMARY KEY (user_id, movie_id)) WITHOUT ROWID;
CREATE TABLE class(round, user_id, n);
CREATE TABLE wanted(round, user_id, movie_id);
CREATE TABLE list(round, model, user_id, movie_id, rank);
CREATE TABLE leaning(round, user_id, n, gate);
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=64, alpha0=0.05, lambda=0.01, interactions=known, user=user_id,
  item=movie_id, time=rated_at, feedback=implicit, positive='rating >= 3.5', items=movies, title=title);
CREATE VIRTUAL TABLE near USING rec_model(algorithm=itemknn, interactions=known, user=user_id, item=movie_id, time=rated_at,
  feedback=implicit, positive='rating >= 3.5', items=movies);
CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, embedder='lsa(256)', items=movies, item=movie_id, title=title,
  text='title, overview, tags', facets='genres[|], year, language', interactions=known, user=user_id, value=rating, time=rated_at,
  feedback=explicit);
CREATE VIRTUAL TABLE top USING rec_model(algorithm=popularity, interactions=known, user=user_id, item=movie_id, time=rated_at,
  feedback=implicit, positive='rating >= 3.5', items=movies);
CREATE VIRTUAL TABLE constant USING rec_model(algorithm=hybrid, a=taste, b=near, c=about, d=top, gate=weighted);
CREATE VIRTUAL TABLE learned USING rec_model(algorithm=hybrid, a=taste, b=near, c=about, d=top, gate=learned);
SQL
for ((r = 0; r < rounds; r++)); do
  { echo ".parameter set :round $r"; cat tests/bench/gate.sql; } | run "$db" >>"$work/log"
  echo "round $r done" >&2
done
[ -n "${GATE_LOG:-}" ] && cp "$work/log" "$GATE_LOG"
run "$db" <<'SQL'
.mode column
CREATE TEMP TABLE ideal AS SELECT round, user_id, min(count(*), 10) AS n FROM wanted GROUP BY round, user_id;
CREATE TEMP TABLE discount AS WITH RECURSIVE d(r) AS (SELECT 1 UNION ALL SELECT r + 1 FROM d WHERE r < 10) SELECT r, 1 / log2(r + 1) AS gain FROM d;
CREATE TEMP TABLE found AS SELECT l.round, l.model, l.user_id, sum(gain) AS dcg FROM list AS l
  JOIN wanted AS w USING (round, user_id, movie_id) JOIN discount ON r = l.rank GROUP BY l.round, l.model, l.user_id;
CREATE TEMP TABLE figure AS SELECT i.round, m.model, i.user_id, c.n AS bucket,
    coalesce(f.dcg, 0) / (SELECT sum(gain) FROM discount WHERE r <= i.n) AS ndcg
  FROM ideal AS i JOIN class AS c USING (round, user_id) CROSS JOIN (SELECT DISTINCT model FROM list) AS m
  LEFT JOIN found AS f ON f.round = i.round AND f.model = m.model AND f.user_id = i.user_id;
-- the best member, by the other rounds: in the class, and in all classes alike
CREATE TEMP TABLE member AS SELECT round, bucket, model, sum(ndcg) AS s, count(*) AS c FROM figure WHERE model NOT IN ('constant', 'learned') GROUP BY 1, 2, 3;
CREATE TEMP TABLE elsewhere AS SELECT a.round, b.bucket, b.model, sum(b.s) / sum(b.c) AS m FROM (SELECT DISTINCT round FROM member) AS a
  JOIN member AS b ON b.round <> a.round OR (SELECT count(DISTINCT round) FROM member) = 1 GROUP BY 1, 2, 3;
CREATE TEMP TABLE best AS SELECT round, bucket, model, max(m) FROM elsewhere GROUP BY 1, 2;
CREATE TEMP TABLE best_of_all AS SELECT round, model, max(m) FROM (SELECT round, model, avg(m) AS m FROM elsewhere GROUP BY 1, 2) GROUP BY 1;
INSERT INTO figure SELECT f.round, 'best of class', f.user_id, f.bucket, f.ndcg FROM figure AS f JOIN best USING (round, bucket, model);
INSERT INTO figure SELECT f.round, 'best member', f.user_id, f.bucket, f.ndcg FROM figure AS f JOIN best_of_all USING (round, model);
CREATE TEMP TABLE person AS SELECT model, bucket, user_id, avg(ndcg) AS ndcg FROM figure GROUP BY 1, 2, 3;
.print NDCG@10 by what is known of the user
SELECT model, round(avg(ndcg) FILTER (WHERE bucket = 1), 4) AS "1", round(avg(ndcg) FILTER (WHERE bucket = 3), 4) AS "3",
    round(avg(ndcg) FILTER (WHERE bucket = 5), 4) AS "5", round(avg(ndcg) FILTER (WHERE bucket = 10), 4) AS "10",
    round(avg(ndcg) FILTER (WHERE bucket = 0), 4) AS warm FROM person GROUP BY model ORDER BY avg(ndcg);
CREATE TEMP TABLE paired AS SELECT o.model AS other, a.bucket, a.user_id, a.ndcg - o.ndcg AS d FROM person AS a
  JOIN person AS o USING (bucket, user_id) WHERE a.model = 'learned' AND o.model IN ('best of class', 'best member', 'constant');
INSERT INTO paired SELECT other, 'all', user_id, avg(d) FROM paired GROUP BY other, user_id;
.print
.print learned - other: mean difference and its 95 % bounds
SELECT other, CASE bucket WHEN 0 THEN 'warm' ELSE bucket END AS known, count(*) AS users, round(avg(d), 4) AS difference,
    round(avg(d) - 1.96 * sqrt((avg(d * d) - avg(d) * avg(d)) / count(*)), 4) AS low,
    round(avg(d) + 1.96 * sqrt((avg(d * d) - avg(d) * avg(d)) / count(*)), 4) AS high FROM paired GROUP BY other, bucket
  ORDER BY other, bucket = 'all', bucket = 0, bucket;
.print
.print how far the learned gate leans on what others did (0: on texts alone), mean over the first ten
SELECT CASE n WHEN 0 THEN 'warm' ELSE n END AS known, round(avg(gate), 3) AS gate FROM leaning GROUP BY n ORDER BY n = 0, n;
SQL
