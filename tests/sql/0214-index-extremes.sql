-- Vectors of any length that float32 holds: distances are right, the same from kind=flat, kind=hnsw, codes and rec_distance, and neither infinite
-- nor NaN. A distance beyond float32 is the largest float32, one below it 0.
CREATE TEMP TABLE d(i INTEGER PRIMARY KEY, v, size REAL);
INSERT INTO d SELECT 10 * n.column1 + e.key, json_array(1 * e.value, (1 + e.key) * e.value / 4, -1 * e.value), e.value
  FROM (VALUES (1)) AS n, json_each('[1e-40, 1e-30, 1e-20, 1.0, 1e18, 1e25, 1e38]') AS e;
INSERT INTO d VALUES (90, '[0,0,0]', 0), (91, '[1e38,1e38,1e38]', 1e38), (92, '[-1e38,-1e38,1e38]', 1e38), (93, '[1e-30,1e-30,-1e-30]', 1e-30);
CREATE VIRTUAL TABLE fc USING rec_index(id INTEGER PRIMARY KEY, v float32[3], metric=cosine);
CREATE VIRTUAL TABLE hc USING rec_index(id INTEGER PRIMARY KEY, v float32[3], metric=cosine, kind=hnsw, codes=int8);
CREATE VIRTUAL TABLE f2 USING rec_index(id INTEGER PRIMARY KEY, v float32[3], metric=l2, codes=int8);
CREATE VIRTUAL TABLE h2 USING rec_index(id INTEGER PRIMARY KEY, v float32[3], metric=l2, kind=hnsw);
CREATE VIRTUAL TABLE fi USING rec_index(id INTEGER PRIMARY KEY, v float32[3], metric=ip);
CREATE VIRTUAL TABLE hi USING rec_index(id INTEGER PRIMARY KEY, v float32[3], metric=ip, kind=hnsw, codes=float16);
CREATE VIRTUAL TABLE f1 USING rec_index(id INTEGER PRIMARY KEY, v float32[3], metric=l1);
CREATE VIRTUAL TABLE h1 USING rec_index(id INTEGER PRIMARY KEY, v float32[3], metric=l1, kind=hnsw);
INSERT INTO fc SELECT i, v FROM d; INSERT INTO hc SELECT i, v FROM d; INSERT INTO f2 SELECT i, v FROM d; INSERT INTO h2 SELECT i, v FROM d;
INSERT INTO fi SELECT i, v FROM d; INSERT INTO hi SELECT i, v FROM d; INSERT INTO f1 SELECT i, v FROM d; INSERT INTO h1 SELECT i, v FROM d;
INSERT INTO hc(hc) VALUES ('optimize'); INSERT INTO h2(h2) VALUES ('optimize'); INSERT INTO hi(hi) VALUES ('optimize'); INSERT INTO h1(h1) VALUES ('optimize');

SELECT 'cosine', id, round(distance, 5) FROM fc WHERE v MATCH '[1,1,-1]' ORDER BY distance, id;
SELECT 'cosine, long', id, round(distance, 5) FROM fc WHERE v MATCH '[3e38,3e38,-3e38]' ORDER BY distance, id LIMIT 4;
SELECT 'l2, short', id, printf('%.4g', distance) FROM f2 WHERE v MATCH '[1e-30,1e-30,-1e-30]' ORDER BY distance LIMIT 7;
SELECT 'l2, long', id, printf('%.4g', distance) FROM f2 WHERE v MATCH '[1e38,1e38,-1e38]' ORDER BY distance;
SELECT 'ip', id, printf('%.4g', distance) FROM fi WHERE v MATCH '[1e38,1e38,-1e38]' ORDER BY distance;
SELECT 'l1', id, printf('%.4g', distance) FROM f1 WHERE v MATCH '[3e38,3e38,3e38]' ORDER BY distance, id;
SELECT 'rec_distance', rec_distance('[1e38,1e38]', '[2e38,2e38]', 'cosine') < 1e-7, rec_distance('[1e-30,0]', '[0,1e-30]', 'cosine'), printf('%.4g', rec_distance('[1e-30,0]', '[0,1e-30]', 'l2')),
  printf('%.4g', rec_distance('[1e38,0]', '[-1e38,0]', 'l2')), printf('%.4g', rec_distance('[1e38,0]', '[1e38,0]', 'ip'));

-- The graph says the same, and so do all of them against rec_distance.
CREATE TEMP TABLE q(n INTEGER PRIMARY KEY, v); INSERT INTO q(v) VALUES ('[1,1,-1]'), ('[3e38,3e38,-3e38]'), ('[1e-30,1e-30,-1e-30]'), ('[1e-42,0,0]'), ('[0,0,0]'), ('[1e20,-1e19,3]');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN fc t WHERE t.v MATCH q.v AND k = 99)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN hc t WHERE t.v MATCH q.v AND k = 99)) AS cosine,
  (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f2 t WHERE t.v MATCH q.v AND k = 99)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h2 t WHERE t.v MATCH q.v AND k = 99)) AS l2,
  (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN fi t WHERE t.v MATCH q.v AND k = 99)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN hi t WHERE t.v MATCH q.v AND k = 99)) AS ip,
  (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f1 t WHERE t.v MATCH q.v AND k = 99)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h1 t WHERE t.v MATCH q.v AND k = 99)) AS l1;
SELECT count(*), sum(abs(t.distance - rec_distance(t.v, q.v, 'cosine')) > 1e-6) FROM q CROSS JOIN hc t WHERE t.v MATCH q.v AND k = 99;
SELECT count(*), sum(abs(t.distance - rec_distance(t.v, q.v, 'l2')) > 1e-6 * t.distance AND t.distance < 3e38) FROM q CROSS JOIN h2 t WHERE t.v MATCH q.v AND k = 99;
INSERT INTO hc(hc) VALUES ('integrity-check'); INSERT INTO h2(h2) VALUES ('integrity-check'); INSERT INTO fc(fc) VALUES ('integrity-check');
-- Once they are gone, the graph is walked again.
DELETE FROM hc WHERE id >= 90 OR id < 13 OR id > 13;
WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO hc SELECT i, json_array(sin(i), cos(i * .7), sin(i * .3)) FROM n;
SELECT count(*) FROM hc WHERE v MATCH '[1,1,-1]' AND k = 5; SELECT last_search FROM rec_index_stats('hc');
INSERT INTO hc VALUES (1, '[1e30,0,0]');
SELECT id, distance < .01 FROM hc WHERE v MATCH '[1,0,0]' AND id < 100 AND k = 1; SELECT count(*) FROM hc WHERE v MATCH '[1,1,-1]' AND k = 5; SELECT last_search FROM rec_index_stats('hc');

-- Every row within a distance, at any ef: half of 3,000 rows are equal, the others lie around them.
CREATE VIRTUAL TABLE e USING rec_index(id INTEGER PRIMARY KEY, v float32[4], metric=l2, kind=hnsw, codes=bit, ef=4);
CREATE VIRTUAL TABLE g USING rec_index(id INTEGER PRIMARY KEY, v float32[4], metric=l2);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO e SELECT i, CASE i % 2 WHEN 0 THEN '[1,1,1,1]' ELSE json_array(sin(i), cos(i * .7), sin(i * .3), 1) END FROM n;
INSERT INTO g SELECT id, v FROM e;
SELECT count(*), min(distance), max(distance) FROM e WHERE v MATCH '[1,1,1,1]' AND distance < .000001;
SELECT count(*), count(DISTINCT id), sum(distance = 0) FROM (SELECT id, distance FROM e WHERE v MATCH '[1,1,1,1]' ORDER BY distance LIMIT 1600);
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM e WHERE v MATCH '[0.5,0.2,0,1]' AND distance < .8)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM g WHERE v MATCH '[0.5,0.2,0,1]' AND distance < .8)) AS "<",
  (SELECT group_concat(id) FROM (SELECT id FROM e WHERE v MATCH '[0.5,0.2,0,1]' AND distance BETWEEN .3 AND 1.2 LIMIT 900)) = (SELECT group_concat(id) FROM (SELECT id FROM g WHERE v MATCH '[0.5,0.2,0,1]' AND distance BETWEEN .3 AND 1.2 LIMIT 900)) AS "between";
SELECT count(*), max(distance) < .8 FROM e WHERE v MATCH '[0.5,0.2,0,1]' AND distance < .8 AND k = 20;
