-- The index and the table never disagree: rollback, savepoints, statements that fail.
CREATE VIRTUAL TABLE x USING rec_index(id INTEGER PRIMARY KEY, v float32[1], metric=l1);
INSERT INTO x VALUES (1, '[1]'), (2, '[2]'), (3, '[3]');
SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
BEGIN; INSERT INTO x VALUES (4, '[0.5]'); SELECT group_concat(id) FROM x WHERE v MATCH '[0]'; ROLLBACK;
SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
BEGIN; DELETE FROM x WHERE id = 1; UPDATE x SET v = '[9]' WHERE id = 2; SELECT group_concat(id || ':' || distance) FROM x WHERE v MATCH '[0]'; ROLLBACK;
SELECT group_concat(id || ':' || distance) FROM x WHERE v MATCH '[0]';
-- Savepoints, nested
BEGIN;
INSERT INTO x VALUES (10, '[10]'); SAVEPOINT a; INSERT INTO x VALUES (11, '[11]'); SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
SAVEPOINT b; DELETE FROM x WHERE id < 10; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
ROLLBACK TO b; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
INSERT INTO x VALUES (12, '[12]'); RELEASE b; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
ROLLBACK TO a; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
INSERT INTO x VALUES (13, '[0]'); SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
COMMIT; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
-- A savepoint that was opened before the first write
SAVEPOINT s; DELETE FROM x WHERE id >= 10; SELECT group_concat(id) FROM x WHERE v MATCH '[0]'; ROLLBACK TO s; SELECT group_concat(id) FROM x WHERE v MATCH '[0]'; RELEASE s;
DELETE FROM x WHERE id >= 10;
-- A multi-row statement that fails half-way leaves nothing, in a transaction and outside.
INSERT INTO x VALUES (20, '[0.1]'), (21, '[0.2]'), (1, '[5]');
SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
BEGIN;
INSERT INTO x VALUES (30, '[0.3]');
INSERT INTO x VALUES (20, '[0.1]'), (21, '[0.2]'), (22, '[1,2]');
SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
UPDATE x SET id = id + 1;
SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
COMMIT;
SELECT group_concat(id) FROM x WHERE v MATCH '[0]'; DELETE FROM x WHERE id = 30;
-- CREATE and DROP inside a transaction
BEGIN; CREATE VIRTUAL TABLE y USING rec_index(v float32[1]); INSERT INTO y VALUES ('[1]'); SELECT count(*) FROM y WHERE v MATCH '[0]'; ROLLBACK; SELECT count(*) FROM sqlite_master WHERE name LIKE 'y%';
BEGIN; DROP TABLE x; ROLLBACK; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
BEGIN; INSERT INTO x VALUES (5, '[5]'); DROP TABLE x; CREATE VIRTUAL TABLE x USING rec_index(id INTEGER PRIMARY KEY, v int8[2], metric=l1); INSERT INTO x VALUES (1, '[7,7]'); SELECT id, distance FROM x WHERE v MATCH '[0,0]'; ROLLBACK;
SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
BEGIN; INSERT INTO x VALUES (6, '[6]'); ALTER TABLE x RENAME TO z; SELECT group_concat(id) FROM z WHERE v MATCH '[0]'; INSERT INTO z VALUES (7, '[7]'); SELECT group_concat(id) FROM z WHERE v MATCH '[0]'; ROLLBACK;
SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
BEGIN; INSERT INTO x VALUES (6, '[6]'); CREATE TABLE other(a); SELECT group_concat(id) FROM x WHERE v MATCH '[0]'; INSERT INTO x VALUES (7, '[7]'); ROLLBACK; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
BEGIN; INSERT INTO x(x) VALUES ('rebuild'); DELETE FROM x WHERE id = 2; INSERT INTO x(x) VALUES ('optimize'); SELECT group_concat(id) FROM x WHERE v MATCH '[0]'; ROLLBACK; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
INSERT INTO x(x) VALUES ('integrity-check');
-- Insert from a search over itself
INSERT INTO x SELECT id + 100, v FROM x WHERE v MATCH '[0]' AND k = 2; SELECT group_concat(id) FROM x WHERE v MATCH '[0]';
