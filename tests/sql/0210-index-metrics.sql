-- Every element type and metric with numbers that can be checked by hand. q = (1,0); rows (1,0) (0,1) (3,4) (-2,0) (0,0).
CREATE VIRTUAL TABLE fc USING rec_index(v float32[2]);
CREATE VIRTUAL TABLE fi USING rec_index(v float32[2], metric=ip);
CREATE VIRTUAL TABLE f2 USING rec_index(v float32[2], metric=l2);
CREATE VIRTUAL TABLE f1 USING rec_index(v float32[2], metric=l1);
CREATE VIRTUAL TABLE hc USING rec_index(v float16[2], metric=cosine);
CREATE VIRTUAL TABLE h2 USING rec_index(v float16[2], metric=l2);
CREATE VIRTUAL TABLE ic USING rec_index(v int8[2], metric=cosine);
CREATE VIRTUAL TABLE ii USING rec_index(v int8[2], metric=ip);
CREATE VIRTUAL TABLE i2 USING rec_index(v int8[2], metric=l2);
CREATE VIRTUAL TABLE i1 USING rec_index(v int8[2], metric=l1);
CREATE TEMP TABLE d(v); INSERT INTO d VALUES ('[1,0]'), ('[0,1]'), ('[3,4]'), ('[-2,0]'), ('[0,0]'), (NULL);
INSERT INTO fc(v) SELECT v FROM d; INSERT INTO fi(v) SELECT v FROM d; INSERT INTO f2(v) SELECT v FROM d; INSERT INTO f1(v) SELECT v FROM d;
INSERT INTO hc(v) SELECT v FROM d; INSERT INTO h2(v) SELECT v FROM d;
INSERT INTO ic(v) SELECT v FROM d; INSERT INTO ii(v) SELECT v FROM d; INSERT INTO i2(v) SELECT v FROM d; INSERT INTO i1(v) SELECT v FROM d;
SELECT 'float32 cosine', rowid, round(distance, 4) FROM fc WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'float32 ip', rowid, round(distance, 4) FROM fi WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'float32 l2', rowid, round(distance, 4) FROM f2 WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'float32 l1', rowid, round(distance, 4) FROM f1 WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'float16 cosine', rowid, round(distance, 4) FROM hc WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'float16 l2', rowid, round(distance, 4) FROM h2 WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'int8 cosine', rowid, round(distance, 4) FROM ic WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'int8 ip', rowid, round(distance, 4) FROM ii WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'int8 l2', rowid, round(distance, 4) FROM i2 WHERE v MATCH '[1,0]' ORDER BY distance;
SELECT 'int8 l1', rowid, round(distance, 4) FROM i1 WHERE v MATCH '[1,0]' ORDER BY distance;
-- Equal distances come in the order of insertion; the NULL vector is stored and never matched.
SELECT rowid, rec_vector_json(v) FROM fc; SELECT count(*), count(v) FROM i1;

-- Bits
CREATE VIRTUAL TABLE b USING rec_index(v bit[10]);
INSERT INTO b(v) VALUES ('[0,0,0,0,0,0,0,0,0,0]'), ('[1,1,1,1,1,1,1,1,1,1]'), ('[1,0,0,0,0,0,0,0,0,1]');
SELECT 'bit hamming', rowid, distance FROM b WHERE v MATCH '[1,1,0,0,0,0,0,0,0,1]' ORDER BY distance;
SELECT rowid, distance FROM b WHERE v MATCH rec_vector('[1,1,0,0,0,0,0,0,0,1]', 'bit') ORDER BY distance LIMIT 1;

-- int8 at its ends: sums are exact.
CREATE VIRTUAL TABLE big USING rec_index(v int8[300], metric=l2);
INSERT INTO big(v) SELECT '[' || group_concat(127) || ']' FROM (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300) SELECT i FROM c);
SELECT distance * distance = 300 * 255 * 255 OR round(distance * distance / (300 * 255 * 255), 6) FROM big WHERE v MATCH (SELECT '[' || group_concat(-128) || ']' FROM (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300) SELECT i FROM c));

-- The column reads back as float32 in every type, so it can be passed on.
SELECT rec_vector_json(v), length(v) FROM ic WHERE rowid = 3; SELECT rec_vector_json(v), length(v) FROM b WHERE rowid = 3;
SELECT n.rowid, round(n.distance, 4) FROM hc AS q, hc AS n WHERE q.rowid = 3 AND n.v MATCH q.v AND n.k = 2;

-- What is refused on the way in and in a query.
INSERT INTO fc(v) VALUES ('[1,2,3]');
INSERT INTO fc(v) VALUES (x'0000803f');
INSERT INTO fc(v) VALUES (x'0000803f000080');
INSERT INTO fc(v) VALUES (x'0000803f0000c07f');
INSERT INTO fc(v) VALUES (17);
INSERT INTO fc(v) VALUES ('one, two');
INSERT INTO ic(v) VALUES ('[1, 0.5]');
INSERT INTO ic(v) VALUES ('[1, 200]');
INSERT INTO hc(v) VALUES ('[1, 1e6]');
INSERT INTO b(v) VALUES ('[1,1,0,0,0,0,0,0,0,2]');
INSERT INTO b(v) VALUES ('[1,1]');
SELECT * FROM fc WHERE v MATCH '[1]';
SELECT * FROM fc WHERE v MATCH 'x';
SELECT * FROM fc WHERE v MATCH 5;
SELECT * FROM fc WHERE v MATCH x'0000c07f0000c07f';
SELECT * FROM ic WHERE v MATCH '[0.5, 1]';
SELECT count(*) FROM fc WHERE v MATCH NULL;
SELECT count(*) FROM fc;
