#!/usr/bin/env bash
# What diversity costs on MovieLens latest-small with the keywords of TMDB: lists of ten for every user, plain and by
# rec_diversify out of the first 100, at several weights. A fifth of each user's ratings is held out by a hash; those of 4
# and more are relevant. Diversity of a list: 1 - the mean Jaccard index of two of its films, by genres and by keywords.
# "mmr by content" and "by taste" see neither of the two sets (they read the models' vectors), the methods on genres see
# those; nobody sees keywords. "mmr by genres 1" and "popularity 1" look at nothing else: what the 100 can give at most.
set -u
cd "$(dirname "$0")/../.."
ml=../shared/data/ml-latest-small tmdb=../shared/data/tmdb-5000/tmdb_5000_movies.csv
[ -f $ml/ratings.csv ] && [ -f $tmdb ] || { echo "no $ml and $tmdb: diversity left out"; exit 0; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
here=$PWD
for f in movies ratings links tags; do ln -s "$(realpath $ml/$f.csv)" "$tmp/$f.csv"; done
ln -s "$(realpath $tmdb)" "$tmp/tmdb.csv"
echo '.import --skip 1 tmdb.csv raw_tmdb' >"$tmp/tmdb-import.sql"
(cd "$tmp" && { cat "$here/examples/movielens/load.sql"; cat <<'SQL'
-- What a film is about, as nothing but a yardstick: genres and keywords.
CREATE TABLE trait(item INTEGER, trait TEXT, PRIMARY KEY (item, trait)) WITHOUT ROWID;
INSERT OR IGNORE INTO trait SELECT movie_id, 'g:' || j.value FROM movies, json_each('["' || replace(genres, '|', '","') || '"]') AS j
  WHERE genres IS NOT NULL;
INSERT OR IGNORE INTO trait SELECT l.movie_id, 'k:' || (j.value ->> 'name') FROM raw_tmdb AS t JOIN raw_links AS l ON l.tmdb = t.id, json_each(t.keywords) AS j;
CREATE TABLE split AS SELECT user_id, movie_id, rating, rated_at, ntile(5) OVER (PARTITION BY user_id ORDER BY (movie_id * 7919 + user_id * 104729) % 10007, movie_id) AS part FROM ratings;
CREATE TABLE train AS SELECT * FROM split WHERE part < 5;
CREATE INDEX train_user ON train(user_id);
CREATE TABLE test AS SELECT user_id, movie_id AS item FROM split WHERE part = 5 AND rating >= 4;
CREATE INDEX test_user ON test(user_id, item);
CREATE TABLE popular AS SELECT movie_id AS item, count(*) AS n FROM train GROUP BY 1;
CREATE UNIQUE INDEX popular_item ON popular(item);
SQL
} | sqlite3 -batch -init /dev/null films.db >/dev/null) || exit 1
run() { sqlite3 -batch -init /dev/null -cmd '.load build/rec' "$tmp/films.db"; }
run >/dev/null <<'SQL'
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=64, alpha0=0.05, lambda=0.01,
  interactions=train, user=user_id, item=movie_id, time=rated_at, feedback=implicit, positive='rating >= 3.5', items=movies, title=title);
CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, embedder='lsa(128)', items=movies, item=movie_id, title=title,
  text='title, overview, tags', facets='genres[|], year', interactions=train, user=user_id, value=rating, time=rated_at, feedback=explicit);
SELECT rec_train('taste'); SELECT rec_train('about');
CREATE TABLE asked AS SELECT user_id, rec_recommend('taste', user_id, 100) AS wide FROM (SELECT DISTINCT user_id FROM test);
CREATE TABLE list(how TEXT, user_id INTEGER, item INTEGER, rank INTEGER);
CREATE TABLE way(how TEXT, options TEXT);
INSERT INTO way
  SELECT 'calibrated ' || column1, json_object('method', 'calibrated', 'facet', 'genres', 'lambda', column1, 'model', 'about') FROM (VALUES (.1), (.3), (.5))
  UNION ALL SELECT 'calibrated .1, popularity ' || column1, json_object('method', 'calibrated', 'facet', 'genres', 'lambda', .1, 'model', 'about', 'popularity', column1) FROM (VALUES (.2), (.3), (.4))
  UNION ALL SELECT 'xquad .5, popularity ' || column1, json_object('method', 'xquad', 'facet', 'genres', 'lambda', .5, 'model', 'about', 'popularity', column1) FROM (VALUES (.3))
  UNION ALL SELECT 'xquad ' || column1, json_object('method', 'xquad', 'facet', 'genres', 'lambda', column1, 'model', 'about') FROM (VALUES (.5), (.8))
  UNION ALL SELECT 'mmr by content ' || column1, json_object('lambda', column1, 'model', 'about') FROM (VALUES (.2), (.4), (.6))
  UNION ALL SELECT 'mmr by taste ' || column1, json_object('lambda', column1, 'model', 'taste') FROM (VALUES (.1), (.3))
  UNION ALL SELECT 'mmr by genres ' || column1, json_object('lambda', column1, 'facet', 'genres', 'model', 'about') FROM (VALUES (.1), (.2), (.4), (1))
  UNION ALL SELECT 'popularity ' || column1, json_object('lambda', 0, 'popularity', column1, 'model', 'taste') FROM (VALUES (.2), (.4), (1));
INSERT INTO list SELECT 'plain', user_id, j.value ->> 'item', j.value ->> 'rank' FROM asked, json_each(wide) AS j WHERE j.value ->> 'rank' <= 10;
INSERT INTO list SELECT w.how, a.user_id, d.id, d.rank FROM way AS w CROSS JOIN asked AS a
  CROSS JOIN rec_diversify(a.wide, json_set(w.options, '$.k', 10, '$.user', a.user_id)) AS d;
SQL
cat <<'SQL' | run
.mode list
CREATE INDEX list_how ON list(how, user_id);
CREATE TEMP TABLE pair AS SELECT DISTINCT x.item AS a, y.item AS b FROM list AS x JOIN list AS y ON y.how = x.how AND y.user_id = x.user_id AND y.item > x.item;
CREATE TEMP TABLE traits AS SELECT item, substr(trait, 1, 1) AS kind, count(*) AS n FROM trait GROUP BY 1, 2;
CREATE UNIQUE INDEX temp.traits_item ON traits(item, kind);
CREATE TEMP TABLE alike AS SELECT p.a, p.b, substr(x.trait, 1, 1) AS kind, count(*) AS n FROM pair AS p JOIN trait AS x ON x.item = p.a JOIN trait AS y ON y.item = p.b AND y.trait = x.trait GROUP BY 1, 2, 3;
CREATE UNIQUE INDEX temp.alike_pair ON alike(a, b, kind);
CREATE TEMP TABLE unlike AS SELECT p.a, p.b, s.kind, 1 - coalesce(1.0 * k.n / (s.n + t.n - k.n), 0) AS x FROM pair AS p JOIN traits AS s ON s.item = p.a JOIN traits AS t ON t.item = p.b AND t.kind = s.kind
  LEFT JOIN alike AS k ON k.a = p.a AND k.b = p.b AND k.kind = s.kind;
CREATE UNIQUE INDEX temp.unlike_pair ON unlike(a, b, kind);
CREATE TEMP TABLE ild AS SELECT x.how, avg(g.x) AS genres, avg(w.x) AS keywords
  FROM list AS x JOIN list AS y ON y.how = x.how AND y.user_id = x.user_id AND y.item > x.item
  LEFT JOIN unlike AS g ON g.a = x.item AND g.b = y.item AND g.kind = 'g' LEFT JOIN unlike AS w ON w.a = x.item AND w.b = y.item AND w.kind = 'k' GROUP BY 1;
CREATE TEMP TABLE gain AS SELECT l.how, sum(1 / log2(l.rank + 1) / ideal.dcg) / (SELECT count(*) FROM asked) AS ndcg
  FROM list AS l JOIN test AS t ON t.user_id = l.user_id AND t.item = l.item
  JOIN (WITH RECURSIVE r(n, dcg) AS (SELECT 1, 1.0 UNION ALL SELECT n + 1, dcg + 1 / log2(n + 2) FROM r WHERE n < 10)
        SELECT u.user_id, r.dcg FROM (SELECT user_id, min(10, count(*)) AS n FROM test GROUP BY 1) AS u JOIN r ON r.n = u.n) AS ideal
    ON ideal.user_id = l.user_id GROUP BY 1;
CREATE TEMP TABLE figure AS SELECT l.how, g.ndcg, i.genres, i.keywords, count(DISTINCT l.item) AS shown, avg(coalesce(p.n, 0)) AS popularity
  FROM list AS l JOIN gain AS g USING (how) JOIN ild AS i USING (how) LEFT JOIN popular AS p ON p.item = l.item GROUP BY 1;
.mode column
.width 30 8 6 7 6 8 6 7 7 8 7
SELECT f.how, round(f.ndcg, 4) AS "ndcg@10", round(100 * (f.ndcg / b.ndcg - 1), 1) AS "+ %", round(f.genres, 3) AS genres, round(100 * (f.genres / b.genres - 1), 1) AS "+ %", round(f.keywords, 3) AS keywords, round(100 * (f.keywords / b.keywords - 1), 1) AS "+ %",
       f.shown AS items, round(100.0 * f.shown / b.shown - 100, 1) AS "+ %", round(f.popularity, 1) AS popularity, round(100 * (f.popularity / b.popularity - 1), 1) AS "+ %"
  FROM figure AS f JOIN figure AS b ON b.how = 'plain' ORDER BY f.how <> 'plain', f.how;
.headers off
.mode list
SELECT 'within 3 % of the NDCG@10 of plain: diversity by genres up ' || round(100 * (max(f.genres / b.genres) - 1), 1) || ' %, items shown up ' ||
    round(100 * (max(1.0 * f.shown / b.shown) - 1), 1) || ' %, popularity ' || round(100 * (min(f.popularity / b.popularity) - 1), 1) || ' % (goals: 25, 50, below 0)'
  FROM figure AS f JOIN figure AS b ON b.how = 'plain' WHERE f.ndcg >= .97 * b.ndcg;
SQL
