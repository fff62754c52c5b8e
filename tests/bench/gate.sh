#!/usr/bin/env bash
# Hybrids on MovieLens latest-small: users of whom 1, 3, 5, 10 ratings are known, and users who are known well.
#
#     tests/bench/gate.sh [rounds, 10 at most]          a table for each question, printed
#
# In a round one class of users in ten knows its first rating only, one its first 3, 5, 10, and six all but their last
# fifth (by time); over ten rounds everybody has been in every class. Members, `constant` (gate=weighted) and `learned`
# (gate=learned) are trained on what is known. Relevant: later films rated 4 or more; NDCG@10 over all films not yet
# rated. A user's figure is the mean of their rounds. The best member, and the best constant weights out of a grid, are chosen
# among the users of the other rounds.
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
CREATE TABLE named(round, model, user_id, movie_id, rank, score);
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
-- constant weights out of a grid of quarters, over the same calibrated lists of 60; those that were best in the other rounds
CREATE TEMP TABLE scale AS SELECT round, model, user_id, avg(score) AS m, sqrt(max(avg(score * score) - avg(score) * avg(score), 1e-12)) AS s, min(score) AS last
  FROM named GROUP BY 1, 2, 3;
CREATE TEMP TABLE z AS SELECT n.round, n.user_id, n.movie_id, n.model, (n.score - m) / s - (last - m) / s AS z FROM named AS n JOIN scale USING (round, model, user_id);
CREATE TEMP TABLE wide AS SELECT round, user_id, movie_id, total(z) FILTER (WHERE model = 'taste') AS a, total(z) FILTER (WHERE model = 'near') AS b,
    total(z) FILTER (WHERE model = 'about') AS c, total(z) FILTER (WHERE model = 'top') AS d FROM z GROUP BY 1, 2, 3;
CREATE TEMP TABLE weights AS WITH q(w) AS (VALUES (0), (1), (2), (3), (4)) SELECT a.w AS wa, b.w AS wb, c.w AS wc, d.w AS wd, row_number() OVER () AS id
  FROM q AS a, q AS b, q AS c, q AS d WHERE a.w + b.w + c.w + d.w = 4;
CREATE TEMP TABLE tried AS SELECT id, round, user_id, total(gain) AS dcg FROM (SELECT id, round, user_id, movie_id, row_number() OVER
    (PARTITION BY id, round, user_id ORDER BY wa * a + wb * b + wc * c + wd * d DESC, movie_id) AS rank FROM weights CROSS JOIN wide)
  JOIN wanted USING (round, user_id, movie_id) JOIN discount ON r = rank WHERE rank <= 10 GROUP BY 1, 2, 3;
CREATE TEMP TABLE grid AS SELECT w.id, i.round, i.user_id, c.n AS bucket, coalesce(t.dcg, 0) / (SELECT sum(gain) FROM discount WHERE r <= i.n) AS ndcg
  FROM weights AS w CROSS JOIN ideal AS i JOIN class AS c USING (round, user_id) LEFT JOIN tried AS t ON t.id = w.id AND t.round = i.round AND t.user_id = i.user_id;
CREATE TEMP TABLE grid_mean AS SELECT id, round, bucket, sum(ndcg) AS s, count(*) AS c FROM grid GROUP BY 1, 2, 3;
CREATE TEMP TABLE grid_best AS SELECT round, id, max(m) FROM (SELECT a.round, b.id, avg(b.m) AS m FROM (SELECT DISTINCT round FROM grid_mean) AS a
  JOIN (SELECT id, round, bucket, s / c AS m FROM grid_mean) AS b ON b.round <> a.round OR (SELECT count(DISTINCT round) FROM grid_mean) = 1 GROUP BY 1, 2) GROUP BY round;
INSERT INTO figure SELECT round, 'best constant', user_id, bucket, ndcg FROM grid JOIN grid_best USING (round, id);
CREATE TEMP TABLE person AS SELECT model, bucket, user_id, avg(ndcg) AS ndcg FROM figure GROUP BY 1, 2, 3;
.print NDCG@10 by what is known of the user
SELECT model, round(avg(ndcg) FILTER (WHERE bucket = 1), 4) AS "1", round(avg(ndcg) FILTER (WHERE bucket = 3), 4) AS "3",
    round(avg(ndcg) FILTER (WHERE bucket = 5), 4) AS "5", round(avg(ndcg) FILTER (WHERE bucket = 10), 4) AS "10",
    round(avg(ndcg) FILTER (WHERE bucket = 0), 4) AS warm FROM person GROUP BY model ORDER BY avg(ndcg);
CREATE TEMP TABLE paired AS SELECT o.model AS other, a.bucket, a.user_id, a.ndcg - o.ndcg AS d FROM person AS a
  JOIN person AS o USING (bucket, user_id) WHERE a.model = 'learned' AND o.model IN ('best of class', 'best member', 'constant', 'best constant');
INSERT INTO paired SELECT other, 'all', user_id, avg(d) FROM paired GROUP BY other, user_id;
.print
.print learned - other: mean difference and its 95 % bounds
SELECT other, CASE bucket WHEN 0 THEN 'warm' ELSE bucket END AS known, count(*) AS users, round(avg(d), 4) AS difference,
    round(avg(d) - 1.96 * sqrt((avg(d * d) - avg(d) * avg(d)) / count(*)), 4) AS low,
    round(avg(d) + 1.96 * sqrt((avg(d * d) - avg(d) * avg(d)) / count(*)), 4) AS high FROM paired GROUP BY other, bucket
  ORDER BY other, bucket = 'all', bucket = 0, bucket;
.print
.print the best constant weights: taste, near, about, top in quarters
SELECT wa, wb, wc, wd, count(*) AS rounds FROM grid_best JOIN weights USING (id) GROUP BY id;
.print
.print how far the learned gate leans on what others did (0: on texts alone), mean over the first ten
SELECT CASE n WHEN 0 THEN 'warm' ELSE n END AS known, round(avg(gate), 3) AS gate FROM leaning GROUP BY n ORDER BY n = 0, n;
SQL
