-- kind=hnsw: every way to write, and every way to take it back. h and its plain twin p must hold the same rows, and at large ef say the same.
CREATE TABLE src(i INTEGER PRIMARY KEY, v);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2600), x AS (SELECT i, i % 50 AS g, i * 7919 % 1000003 AS r FROM c)
INSERT INTO src SELECT i, json_array(g * 3 % 41 - 20 + r % 7, g * 17 % 39 - 20 + r / 7 % 7, g * 29 % 43 - 20 + r / 49 % 7, r / 343 % 7) FROM x;
CREATE VIRTUAL TABLE h USING rec_index(id INTEGER PRIMARY KEY, v float32[4], tag TEXT, metric=l2, kind=hnsw, m=8, ef_construction=40); CREATE TABLE p(id INTEGER PRIMARY KEY, v, tag TEXT);
CREATE TEMP VIEW same AS SELECT (SELECT count(*) FROM h) = (SELECT count(*) FROM p) AND (SELECT count(*) FROM h JOIN p USING (id) WHERE h.tag IS p.tag AND (h.v IS NULL AND p.v IS NULL OR rec_vector_json(h.v) = rec_vector_json(rec_vector(p.v)))) = (SELECT count(*) FROM p) AS rows,
  (SELECT count(*) FROM (SELECT id AS i, distance AS d FROM h WHERE v MATCH '[1.25,2.5,3.75,4.125]' AND k = 40 AND ef = 5) AS n CROSS JOIN p WHERE p.id = i AND abs(d - rec_distance(v, '[1.25,2.5,3.75,4.125]', 'l2')) < 1e-4) = min(40, (SELECT count(v) FROM p)) AS few;
INSERT INTO h SELECT i, v, 'a' || i % 3 FROM src; INSERT INTO p SELECT i, v, 'a' || i % 3 FROM src; SELECT waiting FROM rec_index_stats('h'); SELECT rows, few FROM same; INSERT INTO h(h) VALUES ('integrity-check');
-- One row is not linked at once, and is found at once.
INSERT INTO h VALUES (9001, '[1.25,2.5,3.75,4.125]', 'new'); SELECT waiting FROM rec_index_stats('h'); SELECT id, distance FROM h WHERE v MATCH '[1.25,2.5,3.75,4.125]' AND k = 1 AND ef = 1;
INSERT INTO h(h) VALUES ('optimize'); SELECT waiting FROM rec_index_stats('h'); SELECT id, distance FROM h WHERE v MATCH '[1.25,2.5,3.75,4.125]' AND k = 1 AND ef = 1; INSERT INTO h(h) VALUES ('integrity-check');
UPDATE h SET v = '[90,90,90,90]' WHERE id = 9001; SELECT id <> 9001 FROM h WHERE v MATCH '[1.25,2.5,3.75,4.125]' AND k = 1; SELECT id, distance FROM h WHERE v MATCH '[90,90,90,90]' AND k = 1;
UPDATE h SET v = NULL WHERE id = 9001; SELECT count(*), count(v) FROM h WHERE id = 9001; SELECT count(*) FROM h WHERE v MATCH '[90,90,90,90]' AND k = 3 AND id = 9001; UPDATE h SET v = '[91,91,91,91]', id = 9002 WHERE id = 9001; SELECT id FROM h WHERE v MATCH '[90,90,90,90]' AND k = 1;
DELETE FROM h WHERE id = 9002; SELECT id < 9000 FROM h WHERE v MATCH '[90,90,90,90]' AND k = 1; INSERT INTO h(h) VALUES ('integrity-check'); SELECT rows, few FROM same;
-- Conflicts
INSERT INTO h VALUES (9000, '[1,1,1,1]', 'x'), (5, '[1,1,1,1]', 'x');
INSERT OR IGNORE INTO h SELECT i, '[1,1,1,1]', 'x' FROM src; SELECT rows FROM same;
INSERT OR REPLACE INTO h SELECT i, v, 'r' FROM src WHERE i % 2; INSERT OR REPLACE INTO p SELECT i, v, 'r' FROM src WHERE i % 2; SELECT rows, few FROM same;
INSERT INTO h VALUES (9000, '[1,1,1]', 'x');
INSERT INTO h VALUES (9000, '[1,1,1,null]', 'x');
UPDATE h SET v = 'x' WHERE id < 100;
SELECT rows, few FROM same; INSERT INTO h(h) VALUES ('integrity-check');
-- Taken back: half of the rows deleted, others moved and replaced, links made anew, all of it undone.
BEGIN; DELETE FROM h WHERE id % 2; SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4]' AND k = 5000; SAVEPOINT a; UPDATE h SET v = '[0,0,0,0]' WHERE id < 1000; INSERT INTO h(h) VALUES ('optimize'); SELECT count(*) FROM h WHERE v MATCH '[0,0,0,0]' AND k = 499 AND distance = 0;
ROLLBACK TO a; SELECT count(*) FROM h WHERE v MATCH '[0,0,0,0]' AND k = 499 AND distance = 0; INSERT INTO h SELECT i + 10000, v, 'b' FROM src; INSERT INTO h(h) VALUES ('rebuild'); SELECT count(*) FROM h; ROLLBACK;
SELECT rows, few FROM same; INSERT INTO h(h) VALUES ('integrity-check');
BEGIN; DELETE FROM h WHERE id > 2000; ALTER TABLE h RENAME TO g; INSERT INTO g SELECT i, v, 'g' FROM src WHERE i > 2300; SELECT count(*) FROM g WHERE v MATCH '[0,0,0,0]' AND k = 9999; ROLLBACK; SELECT rows, few FROM same;
BEGIN; SAVEPOINT a; INSERT INTO h VALUES (9005, '[1,1,1,1]', 'x'); ALTER TABLE h RENAME TO g; INSERT INTO g VALUES (9006, '[1,1,1,1]', 'x'); ROLLBACK TO a; INSERT INTO h VALUES (9007, '[1,1,1,1]', 'x'); COMMIT; SELECT id FROM h WHERE id > 9000; DELETE FROM h WHERE id > 9000;
BEGIN; DELETE FROM h WHERE id = 1; ALTER TABLE h RENAME TO g; COMMIT; INSERT INTO g(g) VALUES ('integrity-check'); INSERT INTO g SELECT i, v, 'r' FROM src WHERE i = 1; ALTER TABLE g RENAME TO h; SELECT rows, few FROM same;
-- A statement that fails half-way leaves nothing.
INSERT INTO h SELECT 20000 + min(i, 2500), v, 'f' FROM src;
SELECT rows, few FROM same; INSERT INTO h(h) VALUES ('integrity-check');
-- VACUUM, ATTACH, TEMP, DROP inside a transaction
VACUUM; SELECT rows, few FROM same;
ATTACH ':memory:' AS side; CREATE VIRTUAL TABLE side.h USING rec_index(id TEXT PRIMARY KEY, v int8[4], kind=hnsw, metric=l2); INSERT INTO side.h SELECT 'k' || i, v FROM main.src; SELECT id FROM side.h WHERE v MATCH '[90,90,90,90]' AND k = 1; INSERT INTO side.h(h) VALUES ('integrity-check'); DETACH side;
CREATE VIRTUAL TABLE temp.h USING rec_index(v bit[8], kind=hnsw); INSERT INTO temp.h VALUES ('[1,0,0,0,0,0,0,0]'); SELECT count(*) FROM h WHERE v MATCH '[0,0,0,0,0,0,0,0]'; DROP TABLE temp.h; SELECT rows FROM same;
BEGIN; DELETE FROM h WHERE id < 500; DROP TABLE h; CREATE VIRTUAL TABLE h USING rec_index(v float32[1], kind=hnsw); INSERT INTO h VALUES ('[1]'); SELECT count(*) FROM h; ROLLBACK; SELECT rows, few FROM same;
-- All gone, and again
DELETE FROM h; DELETE FROM p; SELECT count(*) FROM h WHERE v MATCH '[1,2,3,4]'; INSERT INTO h(h) VALUES ('integrity-check'), ('optimize'), ('integrity-check'); SELECT rows, waiting, levels FROM rec_index_stats('h'); SELECT count(*) FROM h_rows, h_graph;
INSERT INTO h SELECT i, v, 'z' FROM src WHERE i < 300; INSERT INTO p SELECT i, v, 'z' FROM src WHERE i < 300; SELECT rows, few FROM same; INSERT INTO h(h) VALUES ('rebuild'); SELECT rows, few FROM same; SELECT rows, waiting FROM rec_index_stats('h');
INSERT INTO h(h) VALUES ('integrity-check'); PRAGMA integrity_check; PRAGMA quick_check;
DROP TABLE h; SELECT name FROM sqlite_master ORDER BY name;
