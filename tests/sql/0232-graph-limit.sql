-- kind=hnsw: LIMIT, OFFSET, k, distance ranges, joins over 3,000 rows: n rows whenever n match, in one order; beside kind=flat (f).
CREATE TABLE p(id INTEGER PRIMARY KEY, v, odd INTEGER);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000), x AS (SELECT i, i % 50 AS g, i * 7919 % 1000003 AS r FROM c)
INSERT INTO p SELECT i, json_array(g * 3 % 41 - 20 + r % 7, g * 17 % 39 - 20 + r / 7 % 7, g * 29 % 43 - 20 + r / 49 % 7, g * 11 % 37 - 20 + r / 343 % 7, r / 2401 % 7), i % 2 FROM x;
CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float32[5], odd INTEGER, metric=l2, kind=hnsw, m=8, ef_construction=50);
CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float32[5], odd INTEGER, metric=l2);
INSERT INTO h SELECT * FROM p; INSERT INTO f SELECT * FROM p; SELECT rows, waiting FROM rec_index_stats('h');
CREATE TEMP TABLE nums(n INTEGER PRIMARY KEY); INSERT INTO nums SELECT id FROM p WHERE id <= 40;
-- Pages of 25 at ef=20 are the whole list at ef=20, in order, without a gap or a row twice.
CREATE TEMP TABLE page(a INTEGER PRIMARY KEY, id, d);
INSERT INTO page(id, d) SELECT id, distance FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 20 ORDER BY distance LIMIT 25;
INSERT INTO page(id, d) SELECT id, distance FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 20 ORDER BY distance LIMIT 25 OFFSET 25;
INSERT INTO page(id, d) SELECT id, distance FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 20 ORDER BY distance LIMIT 25 OFFSET 50;
INSERT INTO page(id, d) SELECT id, distance FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 20 ORDER BY distance LIMIT 25 OFFSET 75;
INSERT INTO page(id, d) SELECT id, distance FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 20 ORDER BY distance LIMIT 400 OFFSET 100;
SELECT count(*), count(DISTINCT id), (SELECT group_concat(id) FROM (SELECT id FROM page ORDER BY a)) = (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 20 ORDER BY distance LIMIT 500)) AS whole,
  (SELECT group_concat(id) FROM (SELECT id FROM page ORDER BY a LIMIT 100)) = (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 20 AND k = 100 ORDER BY distance)) AS k_and_limit,
  (SELECT count(*) FROM page AS a JOIN page AS b ON b.a = a.a + 1 WHERE b.d < a.d) AS descents FROM page;
-- The same without ef=, where some versions of SQLite hand LIMIT over and others do not; a later page is late in the list.
SELECT (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[-5,2,3,4,5]' ORDER BY distance LIMIT 2000)) LIKE '%,' || (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[-5,2,3,4,5]' ORDER BY distance LIMIT 1700 OFFSET 300)) AS tail,
  (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[-5,2,3,4,5]' ORDER BY distance LIMIT 2000)) LIKE (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[-5,2,3,4,5]' ORDER BY distance LIMIT 10)) || ',%' AS head;
-- At ef=3000 all of it is that of flat.
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 3000 ORDER BY distance)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM f WHERE v MATCH '[1,2,3,4,5]' ORDER BY distance)) AS every_row,
  (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 3000 ORDER BY distance LIMIT 7 OFFSET 1234)) = (SELECT group_concat(id) FROM (SELECT id FROM f WHERE v MATCH '[1,2,3,4,5]' ORDER BY distance LIMIT 7 OFFSET 1234)) AS page,
  (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 3000 ORDER BY distance DESC LIMIT 7)) = (SELECT group_concat(id) FROM (SELECT id FROM f WHERE v MATCH '[1,2,3,4,5]' ORDER BY distance DESC LIMIT 7)) AS farthest,
  (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 3000 ORDER BY odd, distance LIMIT 7)) = (SELECT group_concat(id) FROM (SELECT id FROM f WHERE v MATCH '[1,2,3,4,5]' ORDER BY odd, distance LIMIT 7)) AS by_column;
SELECT count(*) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' ORDER BY distance LIMIT 0); SELECT count(*) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' ORDER BY distance LIMIT 5 OFFSET 4000);
-- k has no cap, and gives k rows whenever k match, at any ef.
SELECT n, count(*) FROM nums CROSS JOIN h WHERE h.v MATCH '[1,2,3,4,5]' AND k = n * 37 AND ef = 4 AND n IN (1, 3, 10, 40) GROUP BY n;
SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 3000 AND ef = 4; SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 1000000000 AND ef = 4; SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 9223372036854775807;
SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 0; SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = NULL; SELECT count(*) FROM h WHERE v MATCH NULL AND k = 5; SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = '7'; SELECT DISTINCT k, ef FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 3 AND ef = 50;
SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = -1;
SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 2.5;
SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND k IN (1, 2);
SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND k < 3;
SELECT id FROM h WHERE k = 3;
SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND v MATCH '[1,2,3,4,5]';
SELECT id FROM h WHERE odd MATCH '[1,2,3,4,5]';
SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' OR id = 3;
SELECT id FROM h WHERE NOT v MATCH '[1,2,3,4,5]';
SELECT v MATCH '[1,2,3,4,5]' FROM h;
SELECT id FROM h WHERE v MATCH '[1,2,3]' AND k = 1;
SELECT id FROM h WHERE v MATCH 'north' AND k = 1;
-- Predicates that stay with SQLite do not starve a LIMIT.
SELECT count(*), sum(id % 50 = 0) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND id % 50 = 0 AND ef = 4 ORDER BY distance LIMIT 20);
SELECT count(*), sum(id % 50 = 0) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND id % 50 = 0 ORDER BY distance LIMIT 30);
-- Distance ranges: every row of the range at large ef; an upper bound ends the stream.
SELECT (SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4,5]' AND distance < 15 AND ef = 3000) = (SELECT count(*) FROM p WHERE rec_distance(v, '[1,2,3,4,5]', 'l2') < 15),
  (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND distance BETWEEN 12 AND 20 AND ef = 3000 AND odd = 1 ORDER BY distance LIMIT 9)) = (SELECT group_concat(id) FROM (SELECT id FROM f WHERE v MATCH '[1,2,3,4,5]' AND distance BETWEEN 12 AND 20 AND odd = 1 ORDER BY distance LIMIT 9)),
  (SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 12 AND distance > 20 AND odd = 0 AND ef = 4), (SELECT min(distance) > 20 FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 12 AND distance > 20 AND ef = 4),
  (SELECT max(distance) < 15 FROM h WHERE v MATCH '[1,2,3,4,5]' AND distance < 15 AND ef = 4);
-- Joins: k is per query vector; the vector comes from a column.
CREATE TABLE users(id INTEGER PRIMARY KEY, taste); INSERT INTO users SELECT id, v FROM p WHERE id IN (5, 700, 1999); INSERT INTO users VALUES (9, NULL);
SELECT u.id, count(*), min(n.distance), sum(n.id = u.id) FROM users u, h n WHERE n.v MATCH u.taste AND k = 3 GROUP BY u.id;
SELECT u.id, (SELECT n.id FROM h n WHERE n.v MATCH u.taste ORDER BY distance LIMIT 1) = u.id FROM users u;
SELECT count(*) FROM p CROSS JOIN h ON h.v MATCH p.v AND k = 4 AND ef = 30 WHERE p.id <= 100;
SELECT count(*), sum(p.id % 10 = 3) FROM (SELECT h.id FROM h JOIN p ON p.id = h.id WHERE h.v MATCH '[1,2,3,4,5]' AND p.id % 10 = 3 AND ef = 4 ORDER BY distance LIMIT 20) JOIN p USING (id);
SELECT id FROM h WHERE v MATCH (SELECT taste FROM users WHERE id = 700) AND k = 1;
SELECT count(*) FROM rec_similar('h', 700, 5); SELECT item FROM rec_similar('h', 700, 5) WHERE item = 700;
-- k = n and LIMIT n: the same rows in the same order; from half of the rows on k = n is exact, and LIMIT n is as it was, so that pages concatenate.
CREATE TEMP TABLE q AS SELECT count(*) / 2 - 5 AS few, count(*) - count(*) / 2 AS half FROM h;
SELECT (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = 300 AND ef = 64)) = (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 64 ORDER BY distance LIMIT 300)) AS at_300,
  (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = (SELECT few FROM q) AND ef = 64)) = (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 64 ORDER BY distance LIMIT (SELECT few FROM q))) AS below_half;
SELECT (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = (SELECT half FROM q) AND ef = 1)) = (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND k = (SELECT half FROM q) AND ef = 1000000)) AS exact_from_half,
  (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 1 ORDER BY distance LIMIT (SELECT half FROM q))) LIKE (SELECT group_concat(id) FROM (SELECT id FROM h WHERE v MATCH '[1,2,3,4,5]' AND ef = 1 ORDER BY distance LIMIT 40)) || ',%' AS pages;
