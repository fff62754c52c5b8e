-- INSERT, UPDATE, DELETE and conflicts, with the three kinds of key.
CREATE VIRTUAL TABLE i USING rec_index(id INTEGER PRIMARY KEY, v float32[2], tag TEXT, metric=l2);
CREATE VIRTUAL TABLE t USING rec_index(v float32[2], id TEXT PRIMARY KEY, metric=l2);
CREATE VIRTUAL TABLE r USING rec_index(v float32[2], tag, metric=l2);
-- A missing INTEGER key is the next number, as in any table; a TEXT key must be given.
INSERT INTO i(v) VALUES ('[1,1]'), ('[2,2]'); INSERT INTO i(id, v) VALUES (10, '[3,3]'), ('11', '[4,4]'), (12.0, '[5,5]'); INSERT INTO i(v, tag) VALUES ('[6,6]', 7);
SELECT id, rowid, rec_vector_json(v), tag, typeof(tag) FROM i;
INSERT INTO i(rowid, v) VALUES (20, '[7,7]'); SELECT last_insert_rowid(), changes(), max(id) FROM i;
INSERT INTO i(rowid, id, v) VALUES (21, 22, '[7,7]');
INSERT INTO i(id, v) VALUES ('x', '[1,1]');
INSERT INTO i(id, v) VALUES (1.5, '[1,1]');
INSERT INTO i(id, v) VALUES (x'01', '[1,1]');
INSERT INTO t(id, v) VALUES ('a', '[1,0]'), (7, '[0,1]'), ('c', NULL); SELECT id, typeof(id), rec_vector_json(v) FROM t;
INSERT INTO t(v) VALUES ('[1,1]');
INSERT INTO t(id, v) VALUES (x'00', '[1,1]');
INSERT INTO t(rowid, id, v) VALUES (9, 'z', '[1,1]');
INSERT INTO r(v) VALUES ('[1,0]'); INSERT INTO r(rowid, v) VALUES (-5, '[0,1]'); INSERT INTO r(v) VALUES ('[1,1]'); SELECT rowid, rec_vector_json(v) FROM r ORDER BY rowid;
SELECT id FROM t WHERE id = 7; SELECT id FROM t WHERE id = 'c'; SELECT count(*) FROM t WHERE id = 'nobody';
INSERT INTO i(id, v, distance) VALUES (50, '[1,1]', 3);
INSERT INTO i(id, v, k) VALUES (50, '[1,1]', 3);

-- Conflicts: ABORT, IGNORE, REPLACE, FAIL, ROLLBACK.
INSERT INTO i(id, v) VALUES (30, '[8,8]'), (1, '[9,9]'), (31, '[9,9]');
SELECT count(*) FROM i WHERE id >= 30;
INSERT OR IGNORE INTO i(id, v) VALUES (30, '[8,8]'), (1, '[9,9]'), (31, '[9,9]'); SELECT group_concat(id) FROM i WHERE id >= 30 OR id = 1;
INSERT OR REPLACE INTO i(id, v, tag) VALUES (1, '[9,9]', 'new'); SELECT id, rec_vector_json(v), tag FROM i WHERE id = 1; SELECT count(*) FROM i;
REPLACE INTO t(id, v) VALUES ('a', '[5,5]'), ('n', '[6,6]'); SELECT id, rec_vector_json(v) FROM t ORDER BY id;
INSERT OR FAIL INTO i(id, v) VALUES (40, '[8,8]'), (1, '[9,9]'), (41, '[9,9]');
SELECT group_concat(id) FROM i WHERE id >= 40;
BEGIN; INSERT INTO i(id, v) VALUES (60, '[1,1]'); INSERT OR ROLLBACK INTO i(id, v) VALUES (1, '[9,9]');
SELECT count(*) FROM i WHERE id = 60;
INSERT INTO t(id, v) VALUES ('a', '[0,0]');
-- A wrong vector is an error under every conflict clause.
INSERT OR IGNORE INTO i(id, v) VALUES (70, '[1]');
INSERT OR REPLACE INTO i(id, v) VALUES (1, '[1]');
SELECT rec_vector_json(v) FROM i WHERE id = 1;

-- UPDATE of vector, filter column, key, rowid
UPDATE i SET v = '[0.5,0.5]' WHERE id = 2; UPDATE i SET tag = 'two' WHERE id = 2; UPDATE i SET id = 3 WHERE id = 2; SELECT id, rec_vector_json(v), tag FROM i WHERE id IN (2, 3);
UPDATE i SET rowid = 4 WHERE id = 3; SELECT id, rec_vector_json(v) FROM i WHERE id < 10 ORDER BY id;
UPDATE i SET id = 1 WHERE id = 4;
UPDATE OR IGNORE i SET id = 1 WHERE id = 4; UPDATE OR REPLACE i SET id = 1 WHERE id = 4; SELECT id, rec_vector_json(v), tag FROM i WHERE id < 10;
UPDATE i SET id = NULL WHERE id = 1;
UPDATE t SET id = NULL WHERE id = 'a';
UPDATE t SET id = 'b' WHERE id = 'a'; UPDATE t SET v = NULL WHERE id = 'n'; SELECT id, rec_vector_json(v) FROM t ORDER BY id;
UPDATE t SET id = 'b' WHERE id = 'c';
UPDATE t SET rowid = 99 WHERE id = 'b';
UPDATE i SET v = '[1,2,3]' WHERE id = 1;
UPDATE i SET distance = 1 WHERE id = 1;
UPDATE i SET tag = 'near' WHERE v MATCH '[3,3]' AND k = 2; SELECT id FROM i WHERE tag = 'near';
UPDATE i SET tag = u.x FROM (SELECT 10 AS id, 'from' AS x) AS u WHERE i.id = u.id; SELECT id, tag, rec_vector_json(v) FROM i WHERE id = 10;
UPDATE i SET id = id + 100; SELECT group_concat(id) FROM (SELECT id FROM i ORDER BY id);
SELECT id, round(distance, 3) FROM i WHERE v MATCH '[3,3]' AND k = 2;

-- DELETE; slots are used again, smallest first.
DELETE FROM i WHERE v MATCH '[3,3]' AND k = 1; SELECT count(*) FROM i WHERE v MATCH '[3,3]' AND distance = 0;
DELETE FROM i WHERE id > 115; DELETE FROM i WHERE id = 12345; SELECT id FROM i ORDER BY id;
INSERT INTO i(id, v) VALUES (1, '[0,0]'); SELECT min(slot) < 3, count(*) = max(slot) + 1 OR count(*) <= max(slot) FROM i_rows;
DELETE FROM i; SELECT count(*) FROM i; SELECT count(*) FROM i WHERE v MATCH '[0,0]';
INSERT INTO i(id, v) VALUES (5, '[1,1]'); SELECT id, distance FROM i WHERE v MATCH '[1,1]'; SELECT slot FROM i_rows;
INSERT INTO i(i) VALUES ('integrity-check'); INSERT INTO t(t) VALUES ('integrity-check'); INSERT INTO r(r) VALUES ('integrity-check');
-- Commands
INSERT INTO i(i) VALUES ('rebuild'), ('optimize'), ('integrity-check');
INSERT INTO i(i) VALUES ('ef=128');
INSERT INTO i(i) VALUES ('explode');
-- What SQLite does not allow on virtual tables.
INSERT INTO i(id, v) VALUES (5, '[1,1]') ON CONFLICT DO NOTHING;
CREATE TRIGGER g AFTER INSERT ON i BEGIN SELECT 1; END;
CREATE INDEX x ON i(tag);
-- Instead: triggers on an ordinary table keep an index in step with it.
CREATE TABLE items(id INTEGER PRIMARY KEY, e, tag);
CREATE TRIGGER items_ai AFTER INSERT ON items BEGIN INSERT INTO i(id, v, tag) VALUES (new.id, new.e, new.tag); END;
CREATE TRIGGER items_ad AFTER DELETE ON items BEGIN DELETE FROM i WHERE id = old.id; END;
CREATE TRIGGER items_au AFTER UPDATE ON items BEGIN UPDATE i SET id = new.id, v = new.e, tag = new.tag WHERE id = old.id; END;
DELETE FROM i; INSERT INTO items VALUES (1, '[1,0]', 'a'), (2, '[0,1]', 'b'), (3, NULL, 'c'); UPDATE items SET e = '[9,9]' WHERE id = 2; DELETE FROM items WHERE id = 1;
SELECT id, rec_vector_json(v), tag FROM i;
-- Commands are INSERTs; what is measured is SELECTed; a width has limits at every place.
UPDATE i SET i = 'optimize';
INSERT INTO i(i) VALUES ('recall=200');
SELECT id FROM i WHERE v MATCH '[1,0]' AND ef = 0; 
SELECT id FROM i WHERE v MATCH '[1,0]' AND ef = 1000001;
SELECT id FROM i WHERE v MATCH '[1,0]' AND k = 1 AND ef = 1000000;
-- SQLite fills RETURNING in before the table has chosen a key: the rowid is -1 there, the key column what was written.
INSERT INTO i(id, v) VALUES (70, '[7,7]') RETURNING rowid, id; SELECT rowid, id FROM i WHERE id = 70; SELECT last_insert_rowid();
