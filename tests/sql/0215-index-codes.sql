-- kind=flat with codes reads short codes first; rows, order and distances are those of the plain scan.
CREATE TEMP TABLE d(id INTEGER PRIMARY KEY, v, g);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300),
     x(i, j, e) AS (SELECT i, j.value, ((i * 7919 + j.value * 104729 + i * j.value * 31) % 1000) / 500.0 - 1
                    FROM n, json_each('[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39]') j)
INSERT INTO d SELECT i, '[' || group_concat(e) || ']', i % 3 FROM (SELECT * FROM x ORDER BY i, j) GROUP BY i;
UPDATE d SET v = (SELECT v FROM d WHERE id = 10) WHERE id IN (20, 30, 40); -- ties
UPDATE d SET v = NULL WHERE id = 50;
CREATE VIRTUAL TABLE pc USING rec_index(v float32[40], g INTEGER);
CREATE VIRTUAL TABLE kc USING rec_index(v float32[40], g INTEGER, codes=int8);
CREATE VIRTUAL TABLE p2 USING rec_index(v float32[40], g INTEGER, metric=l2);
CREATE VIRTUAL TABLE k2 USING rec_index(v float32[40], g INTEGER, metric=l2, codes=float16);
CREATE VIRTUAL TABLE pi USING rec_index(v float32[40], g INTEGER, metric=ip, kind=flat);
CREATE VIRTUAL TABLE ki USING rec_index(v float32[40], g INTEGER, metric=ip, kind=flat, codes=INT8);
INSERT INTO pc(rowid, v, g) SELECT id, v, g FROM d; INSERT INTO kc(rowid, v, g) SELECT id, v, g FROM d;
INSERT INTO p2(rowid, v, g) SELECT id, v, g FROM d; INSERT INTO k2(rowid, v, g) SELECT id, v, g FROM d;
INSERT INTO pi(rowid, v, g) SELECT id, v, g FROM d; INSERT INTO ki(rowid, v, g) SELECT id, v, g FROM d;

-- All rows, a LIMIT, k with a filter: the same lists, to the last bit.
CREATE TEMP TABLE q AS SELECT v FROM d WHERE id = 10;
SELECT 'cosine', (SELECT group_concat(rowid || ':' || distance) FROM (SELECT rowid, distance FROM pc WHERE v MATCH (SELECT v FROM q) ORDER BY distance)) =
                 (SELECT group_concat(rowid || ':' || distance) FROM (SELECT rowid, distance FROM kc WHERE v MATCH (SELECT v FROM q) ORDER BY distance));
SELECT 'l2', (SELECT group_concat(rowid || ':' || distance) FROM (SELECT rowid, distance FROM p2 WHERE v MATCH (SELECT v FROM q) ORDER BY distance LIMIT 30)) =
             (SELECT group_concat(rowid || ':' || distance) FROM (SELECT rowid, distance FROM k2 WHERE v MATCH (SELECT v FROM q) ORDER BY distance LIMIT 30));
SELECT 'ip', (SELECT group_concat(rowid || ':' || distance) FROM (SELECT rowid, distance FROM pi WHERE v MATCH (SELECT v FROM q) AND k = 9 AND g = 1 ORDER BY distance)) =
             (SELECT group_concat(rowid || ':' || distance) FROM (SELECT rowid, distance FROM ki WHERE v MATCH (SELECT v FROM q) AND k = 9 AND g = 1 ORDER BY distance));
-- Ties come in the order of insertion, and pages follow one another.
SELECT rowid, round(distance, 4) FROM kc WHERE v MATCH (SELECT v FROM q) ORDER BY distance LIMIT 6;
SELECT rowid, round(distance, 4) FROM kc WHERE v MATCH (SELECT v FROM q) ORDER BY distance LIMIT 3 OFFSET 3;
SELECT count(*) FROM kc WHERE v MATCH (SELECT v FROM q);
DELETE FROM kc WHERE rowid IN (10, 30); UPDATE kc SET v = (SELECT v FROM d WHERE id = 7) WHERE rowid = 20;
SELECT rowid, round(distance, 4) FROM kc WHERE v MATCH (SELECT v FROM q) AND k = 2 ORDER BY distance;
INSERT INTO kc(kc) VALUES ('integrity-check');

-- Signs alone put no useful bound on a distance.
CREATE VIRTUAL TABLE kb USING rec_index(v float32[40], codes=bit);
-- Short vectors, int8 and bits need no codes; the option is allowed and changes nothing.
CREATE VIRTUAL TABLE ks USING rec_index(v int8[3], codes=int8); INSERT INTO ks(v) VALUES ('[1,2,3]');
SELECT rowid, round(distance, 6) FROM ks WHERE v MATCH '[1,2,3]';
