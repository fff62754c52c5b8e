#!/usr/bin/env bash
# Cold items, thin data and speed, on MovieLens latest-small with the overviews and keywords of TMDB.
#   cold       a tenth of the films taken out of the ratings, drawn anew for each of 5 seeds; relevant: the films taken
#              out that the user rated 4 or more; Recall@20 with the tenth, and with all films, as candidates
#   thin       a fifth of each user's ratings held out (4 and more: relevant), 10 / 25 / 50 / 100 % of the rest trained on;
#              NDCG@20 over all films; factors with features=, and plain ones at several penalties
#   speed      lsa on 10,000 and 100,000 items of 100 words; rec_hybrid with a sentence
# Intervals are 95 % of the mean difference between two models, a user's mean over the seeds being one observation.
# cold.sh [cold|thin|speed ...]: some of it. SEEDS=n: fewer than 5.
set -u
cd "$(dirname "$0")/../.."
ml=../shared/data/ml-latest-small tmdb=../shared/data/tmdb-5000/tmdb_5000_movies.csv
want=${*:-cold thin speed} seeds=${SEEDS:-5}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
here=$PWD
run() { sqlite3 -batch -init /dev/null -cmd '.load build/rec' "$tmp/films.db"; }

load() {
  for f in movies ratings links tags; do ln -s "$(realpath $ml/$f.csv)" "$tmp/$f.csv"; done
  ln -s "$(realpath $tmdb)" "$tmp/tmdb.csv"
  echo '.import --skip 1 tmdb.csv raw_tmdb' >"$tmp/tmdb-import.sql"
  (cd "$tmp" && { cat "$here/examples/movielens/load.sql"; cat <<'SQL'
CREATE TABLE films AS SELECT m.movie_id, m.title, m.genres, m.year, m.overview,
    (SELECT group_concat(j.value ->> 'name', '; ') FROM raw_links AS l JOIN raw_tmdb AS t ON t.id = l.tmdb, json_each(t.keywords) AS j
      WHERE l.movie_id = m.movie_id) AS keywords FROM movies AS m;
CREATE UNIQUE INDEX film_id ON films(movie_id);
CREATE TABLE train(user_id INTEGER, movie_id INTEGER, rating REAL, rated_at INTEGER);
CREATE INDEX train_user ON train(user_id);
CREATE TABLE test(user_id INTEGER, item INTEGER, described INTEGER, PRIMARY KEY (user_id, item)) WITHOUT ROWID;
CREATE TABLE cold(item INTEGER PRIMARY KEY);
CREATE TABLE result(part TEXT, how TEXT, among TEXT, seed INTEGER, user INTEGER, value REAL);
SQL
  } | sqlite3 -batch -init /dev/null films.db >/dev/null) || exit 1
  run >/dev/null <<'SQL'
CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, embedder='lsa(128)', items=films, item=movie_id, title=title,
  text='title, overview, keywords', facets='genres[|], year', interactions=train, user=user_id, value=rating, time=rated_at, feedback=explicit);
SELECT rec_train('about');
SQL
}

# als NAME OPTIONS: a model of factors, trained.
als() {
  echo "DROP TABLE IF EXISTS $1;
    CREATE VIRTUAL TABLE $1 USING rec_model(algorithm=als, $2 interactions=train, user=user_id, item=movie_id, time=rated_at,
      feedback=implicit, positive='rating >= 3.5', items=films, title=title);
    SELECT rec_train('$1');"
}

# recall NAME AMONG WHICH: of the first 20 of each user, how many of what is relevant; WHICH: the candidates.
recall() {
  echo "INSERT INTO result
    WITH shown AS MATERIALIZED (SELECT u.user_id, r.item FROM (SELECT DISTINCT user_id FROM test) AS u CROSS JOIN $1 AS r ON r.user = u.user_id WHERE $3 AND r.k = 20)
    SELECT 'cold', '$1', '$2' || d.which, $seed, t.user_id, avg(s.item IS NOT NULL) FROM test AS t
      JOIN (SELECT 0 AS least, 1 AS most, '' AS which UNION ALL SELECT 1, 1, ', with overview' UNION ALL SELECT 0, 0, ', without') AS d
        ON t.described BETWEEN d.least AND d.most
      LEFT JOIN shown AS s ON s.user_id = t.user_id AND s.item = t.item GROUP BY d.which, t.user_id;"
}

cold() {
  for seed in $(seq 1 "$seeds"); do
    { cat <<SQL
DELETE FROM train; DELETE FROM test; DELETE FROM cold;
INSERT INTO cold SELECT movie_id FROM films WHERE ((movie_id * 2654435761 + $seed * 97531) % 4294967296 * 1597334677 >> 15) % 10 = 0;
INSERT INTO train SELECT user_id, movie_id, rating, rated_at FROM ratings WHERE movie_id NOT IN (SELECT item FROM cold);
INSERT INTO test SELECT user_id, movie_id, f.overview IS NOT NULL FROM ratings JOIN films AS f USING (movie_id)
  WHERE rating >= 4 AND movie_id IN (SELECT item FROM cold);
INSERT INTO result SELECT 'cold', 'random order', 'the tenth' || d.column1, $seed, user_id, 20.0 / (SELECT count(*) FROM cold)
  FROM (SELECT DISTINCT user_id FROM test), (VALUES (''), (', with overview'), (', without')) AS d;
SQL
      als plain ''; als mapped 'features=about,'
      for m in about plain mapped; do
        [ $m = plain ] || recall $m 'the tenth' 'r.item IN (SELECT item FROM cold)'
        recall $m 'all films' 'r.seen = 0'
      done
    } | run >/dev/null || exit 1
  done
  run <<'SQL'
.print Cold items: Recall@20 of the films taken out; + : to about (content alone)
.mode column
CREATE TEMP TABLE u AS SELECT how, among, user, avg(value) AS value FROM result WHERE part = 'cold' GROUP BY 1, 2, 3;
CREATE UNIQUE INDEX temp.u_key ON u(how, among, user);
SELECT a.among AS candidates, a.how, count(*) AS users, round(avg(a.value), 4) AS recall,
    round(avg(a.value - b.value), 4) AS "+", round(1.96 * sqrt((avg((a.value - b.value) * (a.value - b.value)) - avg(a.value - b.value) * avg(a.value - b.value)) / count(*)), 4) AS "+-",
    round(avg(a.value) / (SELECT avg(value) FROM u AS r WHERE r.how = 'random order' AND r.among = a.among), 1) AS "x random"
  FROM u AS a JOIN u AS b ON b.how = 'about' AND b.among = a.among AND b.user = a.user GROUP BY 1, 2 ORDER BY a.among LIKE 'all%', 1, recall;
SQL
}

# Penalty and weight of what was not touched that plain factors are tried with; the first: as usual.
settings="usual lambda=.01,alpha0=.3 lambda=.02,alpha0=.1 lambda=.03,alpha0=.1"

# gain NAME: NDCG@20 of the model m, under the NAME.
gain() {
  cat <<SQL
INSERT INTO result
  WITH RECURSIVE ideal(n, dcg) AS (SELECT 1, 1.0 UNION ALL SELECT n + 1, dcg + 1 / log2(n + 2) FROM ideal WHERE n < 20),
    shown AS MATERIALIZED (SELECT u.user_id, r.item, r.rank FROM (SELECT DISTINCT user_id FROM test) AS u CROSS JOIN m AS r ON r.user = u.user_id WHERE r.seen = 0 AND r.k = 20)
  SELECT 'thin', '$1', $share, $seed, t.user_id, t.got / i.dcg FROM (SELECT t.user_id, total(1 / log2(s.rank + 1)) AS got, min(20, count(*)) AS n
      FROM test AS t LEFT JOIN shown AS s ON s.user_id = t.user_id AND s.item = t.item GROUP BY t.user_id) AS t JOIN ideal AS i ON i.n = t.n;
SQL
}

thin() {
  for seed in $(seq 1 "$seeds"); do for share in 10 25 50 100; do
    { cat <<SQL
DELETE FROM train; DELETE FROM test;
-- the middle of a square: a draw that is linear in both keys would hold the same pairs of films out together for everybody
CREATE TEMP TABLE cut AS SELECT user_id, movie_id, rating, rated_at, h * h >> 20 AS draw
  FROM (SELECT *, (user_id * 2246822519 + movie_id * 2654435761 + $seed * 97531) % 2147483648 AS h FROM ratings);
INSERT INTO test SELECT user_id, movie_id, 0 FROM cut WHERE draw % 5 = 0 AND rating >= 4;
INSERT INTO train SELECT user_id, movie_id, rating, rated_at FROM cut WHERE draw % 5 > 0 AND (draw >> 5) % 100 < $share;
SQL
      als m 'features=about,'; gain features
      for o in $settings; do
        if [ "$o" = usual ]; then als m ''; else als m "$o,"; fi
        gain "plain $o"
      done
    } | run >/dev/null || exit 1
  done; done
  run <<'SQL'
.print
.print Thin data: NDCG@20 with so many % of the ratings; the options of features=about are the usual ones throughout
.mode column
CREATE TEMP TABLE u AS SELECT how, among, user, avg(value) AS value FROM result WHERE part = 'thin' GROUP BY 1, 2, 3;
CREATE UNIQUE INDEX temp.u_key ON u(how, among, user);
SELECT b.among AS "%", b.how AS than, count(*) AS users, round(avg(b.value), 4) AS plain, round(avg(a.value), 4) AS features,
    round(avg(a.value - b.value), 4) AS "+", round(1.96 * sqrt((avg((a.value - b.value) * (a.value - b.value)) - avg(a.value - b.value) * avg(a.value - b.value)) / count(*)), 4) AS "+-"
  FROM u AS b JOIN u AS a ON a.how = 'features' AND a.among = b.among AND a.user = b.user WHERE b.how <> 'features'
  GROUP BY 1, 2 ORDER BY CAST(b.among AS INTEGER), b.how <> 'plain usual', b.how;
SQL
}

# Items of 100 words, each of one of 50 subjects: half of its words are of the subject, half of everything, the frequent ones oftener.
lsa() {
  sqlite3 -batch -init /dev/null -cmd '.load build/rec' "$tmp/words.db" <<SQL
PRAGMA journal_mode=off;
DROP TABLE IF EXISTS words; DROP TABLE IF EXISTS doc;
CREATE TABLE doc(id INTEGER PRIMARY KEY, body TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1),
  w(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM w WHERE j < 99)
INSERT INTO doc SELECT i, (SELECT group_concat('w' || iif(j % 2, (i % 50) * 400 + (d % 20) * (d / 20 % 20), (d % 141) * (d / 141 % 141)), ' ')
  FROM (SELECT j, (i * 2654435761 + j * 40503) % 4294967296 * 1597334677 % 4294967296 >> 8 AS d FROM w)) FROM n;
CREATE VIRTUAL TABLE words USING rec_model(algorithm=content, embedder='lsa(256)', items=doc, item=id, text=body);
.print LSA of $1 items of 100 words, 256 dimensions:
.timer on
SELECT rec_train('words') ->> 'items' AS items;
SQL
}

speed() {
  printf '\n'; lsa 10000; lsa 100000
  [ -f "$tmp/films.db" ] || return
  { cat <<'SQL'
DELETE FROM train; INSERT INTO train SELECT * FROM ratings;
DROP TABLE IF EXISTS plain;
SQL
    als taste ''
    echo "CREATE VIRTUAL TABLE reader USING rec_model(algorithm=hybrid, cf=taste, content=about, gate='weighted(.5)'); SELECT rec_train('reader');"
  } | run >/dev/null
  { echo "SELECT count(*) FROM rec_hybrid('reader', 1, 'warm up', 10); SELECT count(*) FROM rec_hybrid('reader', 1, 'twice', 10);"; echo .timer on
    for i in $(seq 1 101); do echo "SELECT count(*) FROM rec_hybrid('reader', $i, 'a slow $i funny film about space and robots', 10);"; done
  } | run | awk '/Run Time/ {print $4 * 1000}' | sort -n |
    awk '{v[NR] = $1} END {printf "\nrec_hybrid with a sentence, 9,742 films: p50 %.2f ms, p95 %.2f ms of %d\n", v[int((NR + 1) / 2)], v[int(NR * .95)], NR}'
}

if [ -f $ml/ratings.csv ] && [ -f $tmdb ]; then load; else echo "no $ml and $tmdb: films left out"; want=speed; fi
for part in $want; do $part; done
