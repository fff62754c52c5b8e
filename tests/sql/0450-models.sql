-- rec_models: every model and index, and what is wrong with it.
.read tests/fixtures/films.sql
CREATE VIRTUAL TABLE vec USING rec_index(film_id INTEGER PRIMARY KEY, v float32[2]);
INSERT INTO vec(film_id, v) VALUES (1, '[1,0]'), (2, '[0,1]');
SELECT group_concat(name) FROM pragma_table_xinfo('rec_models');
SELECT schema, name, kind, algorithm, users, items, trained_rows > 0 AS trained, new_rows, unknown_users, warning FROM rec_models ORDER BY kind DESC, name;
SELECT '1 sizes', name, bytes > 0, trained_at > 1.7e9 OR kind = 'index' OR algorithm = 'hybrid' FROM rec_models ORDER BY name;
-- New rows and new users.
INSERT INTO ratings VALUES (999, 24, 5, 1800000000), (1000, 1, 5, 1800000000), (1, 35, 4, 1800000000);
SELECT name, new_rows, unknown_users, warning FROM rec_models WHERE name = 'taste';
-- No index on the user column.
DROP INDEX ratings_user;
SELECT name, warning FROM rec_models WHERE name = 'about';
-- Not trained; a source that is gone. The others are listed all the same.
CREATE TABLE clicks(u TEXT PRIMARY KEY, i TEXT) WITHOUT ROWID;
CREATE VIRTUAL TABLE young USING rec_model(algorithm=popularity, interactions=clicks, user=u, item=i);
SELECT name, trained_at, warning FROM rec_models WHERE name = 'young';
DROP TABLE clicks;
SELECT '2 gone', count(*) FROM rec_models WHERE name = 'young' AND warning LIKE '%clicks%';
SELECT '3 the rest', count(*) FROM rec_models;
-- So is a rule that is gone, and what only a member reads.
CREATE VIEW kids AS SELECT film_id FROM films;
CREATE VIRTUAL TABLE ruled USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=film_id, eligible=kids);
CREATE VIRTUAL TABLE above USING rec_model(algorithm=hybrid, cf=ruled, content=about);
INSERT INTO ruled(ruled) VALUES ('train');
INSERT INTO above(above) VALUES ('train');
DROP VIEW kids;
SELECT name, warning FROM rec_models WHERE name = 'above';
ALTER TABLE ratings RENAME TO stars;
SELECT name, warning FROM rec_models WHERE name IN ('above', 'both') ORDER BY name;
ALTER TABLE stars RENAME TO ratings;
DROP TABLE above;
DROP TABLE ruled;
-- A hybrid whose member is gone cannot be opened; its row says so and the rest is there.
DROP TABLE about;
SELECT name, algorithm, items, warning FROM rec_models WHERE name = 'both';
SELECT '4 the rest', count(*) FROM rec_models;
