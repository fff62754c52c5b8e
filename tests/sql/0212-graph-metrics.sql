-- kind=hnsw in every element type, metric and kind of code: 2,500 rows in one transaction, whose COMMIT links them. With ef at least the number
-- of rows ids, order and distances are those of kind=flat; with a small ef most of the nearest ten are found.
CREATE TEMP TABLE d(i INTEGER PRIMARY KEY, v, b);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2500), x AS (SELECT i, i % 40 AS g, i * 7919 % 1000003 AS r FROM c)
INSERT INTO d SELECT i, json_array(g * 3 % 41 - 20 + r % 5, g * 17 % 39 - 20 + r / 5 % 5, g * 29 % 43 - 20 + r / 25 % 5, g * 11 % 37 - 20 + r / 125 % 5, r / 625 % 5 - 2, r / 3125 % 5 - 2),
  json_array(g % 2, g / 2 % 2, g / 4 % 2, g / 8 % 2, g / 16 % 2, g / 32 % 2, r % 2, r / 2 % 2, r / 4 % 2, r / 8 % 2, r / 16 % 2, r / 32 % 2, r / 64 % 2, r / 128 % 2, r / 256 % 2, r / 512 % 2) FROM x;
UPDATE d SET v = NULL, b = NULL WHERE i % 100 = 0;
CREATE TEMP TABLE q(n INTEGER PRIMARY KEY, v, b); INSERT INTO q SELECT i / 500, v, b FROM d WHERE i IN (17, 517, 1017, 1517, 2017);

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=cosine, kind=hnsw, codes=int8); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=cosine);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float32[6] cosine int8', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=cosine, kind=hnsw, codes=bit); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=cosine);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float32[6] cosine bit', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 1000 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id TEXT PRIMARY KEY, v float32[6], metric=cosine, kind=hnsw, codes=float16); CREATE VIRTUAL TABLE f USING rec_index(id TEXT PRIMARY KEY, v float32[6], metric=cosine);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float32[6] cosine float16', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=ip, kind=hnsw, codes=int8); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=ip);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float32[6] ip int8', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id TEXT PRIMARY KEY, v float32[6], metric=ip, kind=hnsw, codes=none); CREATE VIRTUAL TABLE f USING rec_index(id TEXT PRIMARY KEY, v float32[6], metric=ip);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float32[6] ip none', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=l2, kind=hnsw, codes=int8, m=4, ef_construction=20); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=l2);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float32[6] l2 int8', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=l2, kind=hnsw, codes=bit); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=l2);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float32[6] l2 bit', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 1000 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=l1, kind=hnsw, codes=none, m=64); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float32[6], metric=l1);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float32[6] l1 none', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float16[6], metric=cosine, kind=hnsw, codes=int8); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float16[6], metric=cosine);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float16[6] cosine int8', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float16[6], metric=l2, kind=hnsw, codes=none); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v float16[6], metric=l2);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'float16[6] l2 none', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v int8[6], metric=l2, kind=hnsw, codes=int8); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v int8[6], metric=l2);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'int8[6] l2 int8', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id TEXT PRIMARY KEY, v int8[6], metric=cosine, kind=hnsw, codes=none); CREATE VIRTUAL TABLE f USING rec_index(id TEXT PRIMARY KEY, v int8[6], metric=cosine);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'int8[6] cosine none', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v int8[6], metric=ip, kind=hnsw, codes=int8); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v int8[6], metric=ip);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'int8[6] ip int8', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v int8[6], metric=l1, kind=hnsw, codes=none); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v int8[6], metric=l1);
INSERT INTO h SELECT i, v FROM d; INSERT INTO f SELECT i, v FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'int8[6] l1 none', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.v AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.v AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.v AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v bit[16], metric=hamming, kind=hnsw, codes=none); CREATE VIRTUAL TABLE f USING rec_index(id INTEGER PRIMARY KEY, v bit[16], metric=hamming);
INSERT INTO h SELECT i, b FROM d; INSERT INTO f SELECT i, b FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'bit[16] hamming none', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.b AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.b AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.b AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.b AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.b AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;

CREATE VIRTUAL TABLE h USING rec_index(id TEXT PRIMARY KEY, v bit[16], metric=hamming, kind=hnsw, codes=none); CREATE VIRTUAL TABLE f USING rec_index(id TEXT PRIMARY KEY, v bit[16], metric=hamming);
INSERT INTO h SELECT i, b FROM d; INSERT INTO f SELECT i, b FROM d; INSERT INTO h(h) VALUES ('integrity-check');
SELECT 'bit[16] hamming none', rows, waiting, levels > 0, (SELECT count(*) FROM h_graph) FROM rec_index_stats('h');
SELECT (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN h WHERE h.v MATCH q.b AND k = 50 AND ef = 2500)) = (SELECT group_concat(id || ':' || distance) FROM (SELECT id, distance FROM q CROSS JOIN f WHERE f.v MATCH q.b AND k = 50)) AS exact,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.b AND k = 10 AND ef = 100 AND h.distance <= (SELECT max(f.distance) FROM f WHERE f.v MATCH q.b AND f.k = 10)) >= 40 AS near,
  (SELECT count(*) FROM q CROSS JOIN h WHERE h.v MATCH q.b AND k = 10 AND ef = 4) AS n;
DROP TABLE h; DROP TABLE f;
