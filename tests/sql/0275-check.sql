-- rec_check: what 'integrity-check' looks at, by reading alone: indexes and models, one way for both.
CREATE VIRTUAL TABLE f USING rec_index(id TEXT PRIMARY KEY, v float32[3], a); CREATE VIRTUAL TABLE h USING rec_index(v float32[3], kind=hnsw);
INSERT INTO f VALUES ('x', '[1,2,3]', 1), ('y', '[3,2,1]', NULL), ('z', NULL, 'text'); INSERT INTO h(v) VALUES ('[1,2,3]'), ('[4,5,6]'); INSERT INTO h(h) VALUES ('optimize');
CREATE TABLE plays(user INT, item INT); INSERT INTO plays VALUES (1, 1), (1, 2), (2, 1), (2, 3); CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, interactions=plays);
INSERT INTO pop(pop) VALUES ('train');
SELECT * FROM rec_check ORDER BY name; SELECT schema, message FROM rec_check('h'); SELECT schema, message FROM rec_check('main.pop'); SELECT count(*) FROM rec_check WHERE message <> 'ok';
-- It needs no write lock: a connection that may only read can ask.
PRAGMA query_only = 1; SELECT name, message FROM rec_check ORDER BY name;
INSERT INTO f(f) VALUES ('integrity-check');
PRAGMA query_only = 0; BEGIN; DELETE FROM f WHERE id = 'x'; INSERT INTO h(v) VALUES ('[7,8,9]'); SELECT name, message FROM rec_check ORDER BY name; ROLLBACK; SELECT name, message FROM rec_check ORDER BY name;
SELECT * FROM rec_check('nothing');
SELECT * FROM rec_check(NULL);
SELECT * FROM rec_check('plays');
-- The forms of a call are printed as they are written.
SELECT * FROM rec_index_stats();
SELECT * FROM rec_recommend('pop');
ATTACH ':memory:' AS side; CREATE VIRTUAL TABLE side.f USING rec_index(v int8[2]); SELECT schema, name, message FROM rec_check('f') ORDER BY 1; SELECT schema, message FROM rec_check('side.f'); DETACH side;
