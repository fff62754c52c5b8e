-- Rename, TEMP, ATTACH, VACUUM, DROP, dropped and damaged shadow tables.
CREATE VIRTUAL TABLE v USING rec_index(id INTEGER PRIMARY KEY, e float32[2], tag TEXT, metric=l2);
INSERT INTO v VALUES (1, '[1,0]', 'a'), (2, '[0,1]', 'b'), (3, '[1,1]', NULL);
ALTER TABLE v RENAME TO w; SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name; SELECT id FROM w WHERE e MATCH '[1,0]' AND k = 1; INSERT INTO w(w) VALUES ('integrity-check');
ALTER TABLE w RENAME TO tag;
ALTER TABLE w RENAME TO distance;
ALTER TABLE w RENAME TO w_rows;
ALTER TABLE w RENAME TO "odd 'name'"; SELECT id FROM "odd 'name'" WHERE e MATCH '[0,1]' AND k = 1; INSERT INTO "odd 'name'"("odd 'name'") VALUES ('integrity-check');
ALTER TABLE "odd 'name'" RENAME TO v; SELECT id FROM v WHERE e MATCH '[0,1]' AND k = 1;
ALTER TABLE v ADD COLUMN more;
-- TEMP and ATTACHed schemas, the same name in each
CREATE VIRTUAL TABLE temp.v USING rec_index(id INTEGER PRIMARY KEY, e float32[1], metric=l1); INSERT INTO temp.v VALUES (100, '[1]');
ATTACH ':memory:' AS side; CREATE VIRTUAL TABLE side.v USING rec_index(id TEXT PRIMARY KEY, e int8[1], metric=l1); INSERT INTO side.v VALUES ('s', '[1]');
SELECT id FROM v WHERE e MATCH '[0]'; SELECT id FROM main.v WHERE e MATCH '[1,0]' AND k = 1; SELECT id FROM side.v WHERE e MATCH '[0]';
SELECT count(*) FROM main.v JOIN side.v AS s; DETACH side; ATTACH ':memory:' AS side;
SELECT count(*) FROM side.v;
DROP TABLE temp.v; SELECT id FROM v WHERE e MATCH '[1,0]' AND k = 1; SELECT count(*) FROM temp.sqlite_master;
-- VACUUM
DELETE FROM v WHERE id = 1; VACUUM; SELECT id, tag, distance FROM v WHERE e MATCH '[0,1]'; INSERT INTO v VALUES (4, '[2,2]', 'd'); INSERT INTO v(v) VALUES ('optimize'); SELECT slot, id FROM v_rows; INSERT INTO v(v) VALUES ('integrity-check');
-- Dropping and creating again with another shape
DROP TABLE v; CREATE VIRTUAL TABLE v USING rec_index(e bit[8]); INSERT INTO v VALUES ('[1,0,0,0,0,0,0,0]'); SELECT distance FROM v WHERE e MATCH '[0,0,0,0,0,0,0,0]'; DROP TABLE v;
SELECT count(*) FROM sqlite_master;
-- Two in one statement, many at once
CREATE VIRTUAL TABLE a USING rec_index(v float32[1], metric=l1); CREATE VIRTUAL TABLE b USING rec_index(v float32[1], metric=l1);
INSERT INTO a VALUES ('[1]'), ('[5]'); INSERT INTO b VALUES ('[2]'), ('[6]');
SELECT a.rowid, b.rowid, b.distance FROM a, b WHERE b.v MATCH a.v AND b.k = 1;
SELECT name FROM pragma_module_list WHERE name = 'rec_index';
