-- Interactions as they should not be: a clear error or a documented result, for every algorithm, and the old model stays.
CREATE TABLE good(user INTEGER, item INTEGER, n);
WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 95)
INSERT INTO good SELECT i / 8, i % 8 + 8 * (i / 8 % 2) - i % 3, 1 + i % 5 FROM c WHERE i % 7 < 5;
CREATE TABLE rows(user INTEGER, item INTEGER, n);
INSERT INTO rows SELECT * FROM good;
CREATE VIRTUAL TABLE popularity USING rec_model(algorithm=popularity, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE itemknn    USING rec_model(algorithm=itemknn, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE ease       USING rec_model(algorithm=ease, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE dense      USING rec_model(algorithm=ease, form=dense, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE als        USING rec_model(algorithm=als, factors=4, epochs=3, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE graph      USING rec_model(algorithm=graph, factors=4, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE bspm       USING rec_model(algorithm=graph, filter=bspm, factors=4, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE bpr        USING rec_model(algorithm=bpr, factors=4, epochs=3, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE lightgcn   USING rec_model(algorithm=lightgcn, factors=4, epochs=3, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE two_tower  USING rec_model(algorithm=two_tower, factors=4, epochs=3, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE rated      USING rec_model(algorithm=als, factors=4, epochs=3, interactions=rows, value=n, feedback=explicit);
CREATE VIRTUAL TABLE near       USING rec_model(algorithm=itemknn, interactions=rows, value=n, feedback=explicit);
CREATE VIRTUAL TABLE mean       USING rec_model(algorithm=popularity, interactions=rows, value=n, feedback=explicit);
CREATE TEMP VIEW models AS WITH m(name) AS (VALUES ('popularity'), ('itemknn'), ('ease'), ('dense'), ('als'), ('graph'), ('bspm'),
  ('bpr'), ('lightgcn'), ('two_tower'), ('rated'), ('near'), ('mean')) SELECT name FROM m;
-- trains all of them in one transaction
CREATE TEMP TABLE go(x);
CREATE TEMP TRIGGER go_all AFTER INSERT ON go BEGIN
  INSERT INTO popularity(popularity) VALUES ('train');
  INSERT INTO itemknn(itemknn) VALUES ('train');
  INSERT INTO ease(ease) VALUES ('train');
  INSERT INTO dense(dense) VALUES ('train');
  INSERT INTO als(als) VALUES ('train');
  INSERT INTO graph(graph) VALUES ('train');
  INSERT INTO bspm(bspm) VALUES ('train');
  INSERT INTO bpr(bpr) VALUES ('train');
  INSERT INTO lightgcn(lightgcn) VALUES ('train');
  INSERT INTO two_tower(two_tower) VALUES ('train');
  INSERT INTO rated(rated) VALUES ('train');
  INSERT INTO near(near) VALUES ('train');
  INSERT INTO mean(mean) VALUES ('train');
END;
-- what was read, and how many of them answer with finite scores, for somebody known and for somebody new
CREATE TEMP VIEW seen AS SELECT DISTINCT users, items, trained_rows AS read FROM rec_models WHERE name IN (SELECT name FROM models);
CREATE TEMP VIEW answers AS SELECT name, (SELECT count(*) FROM json_each(rec_recommend(name, 0, 3))) AS known,
  (SELECT count(*) FROM json_each(rec_recommend(name, 'new', 3))) AS new,
  (SELECT count(*) FROM json_each(rec_recommend(name, 0, 100)) WHERE abs(value ->> 'score') < 1e300) =
  (SELECT count(*) FROM json_each(rec_recommend(name, 0, 100))) AS finite FROM models;
CREATE TEMP VIEW told AS SELECT known, new, finite, count(*) AS models FROM answers GROUP BY 1, 2, 3;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;

-- text that is a number counts, other text is an error with the row's item, and the old model stays
UPDATE rows SET n = ' 2 ' WHERE rowid = 3;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
UPDATE rows SET n = 'many' WHERE rowid = 3;
SELECT rec_train('itemknn');
SELECT rec_train('als');
SELECT rec_train('rated');
SELECT trained_rows FROM rec_models WHERE name = 'als';
UPDATE rows SET n = x'00' WHERE rowid = 3;
SELECT rec_train('graph');
-- NULL: the row says nothing of taste, but was seen
UPDATE rows SET n = NULL WHERE rowid = 3;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT count(*) FROM rows r JOIN itemknn m ON m.user = r.user AND m.item = r.item WHERE r.rowid = 3 AND m.seen = 1;
-- keys that are NULL are skipped and counted; a BLOB is an error
INSERT INTO rows VALUES (NULL, 1, 1), (1, NULL, 1);
INSERT INTO go VALUES (1);
SELECT * FROM seen;
INSERT INTO rows VALUES (1, x'01', 1);
SELECT rec_train('bpr');
DELETE FROM rows WHERE user IS NULL OR item IS NULL OR typeof(item) = 'blob';
-- negative: a dislike (implicit), a low rating (explicit)
UPDATE rows SET n = -3 WHERE user % 3 = 0 AND item % 2 = 0;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;
UPDATE rows SET n = -1;
SELECT rec_train('als') ->> 'interactions';
SELECT rec_train('itemknn') ->> 'interactions';
SELECT rec_train('rated') ->> 'interactions';
-- huge: beyond 1e30 is an error, below it counts
DELETE FROM rows; INSERT INTO rows SELECT * FROM good;
UPDATE rows SET n = 1e31 WHERE rowid % 5 = 0;
SELECT rec_train('ease');
UPDATE rows SET n = 1e400 WHERE rowid % 5 = 0;
SELECT rec_train('lightgcn');
UPDATE rows SET n = 1e29 WHERE rowid % 5 = 0;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;
-- constant, and as small as numbers get
UPDATE rows SET n = 7;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;
UPDATE rows SET n = 1e-300;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;
UPDATE rows SET n = 0;
SELECT rec_train('als');
SELECT rec_train('near') ->> 'interactions';

-- one user; one item; one row
DELETE FROM rows; INSERT INTO rows SELECT 0, item, n FROM good WHERE user < 2;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;
DELETE FROM rows; INSERT INTO rows SELECT user, 5, n FROM good GROUP BY user;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;
DELETE FROM rows; INSERT INTO rows VALUES (0, 5, 1);
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;
-- a user who consumed everything gets nothing, unless repeats may come back
DELETE FROM rows; INSERT INTO rows SELECT * FROM good; INSERT INTO rows SELECT 0, item, 1 FROM good GROUP BY item;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;
-- one interaction each
DELETE FROM rows; INSERT INTO rows SELECT rowid, item, 1 FROM good;
INSERT INTO go VALUES (1);
SELECT * FROM seen;
SELECT * FROM told;

-- rows of one user and item: summed (implicit), the last (explicit), or as duplicates= says
DELETE FROM rows; INSERT INTO rows SELECT * FROM good; INSERT INTO rows VALUES (1, 9, 5), (1, 9, 2), (1, 9, 4);
CREATE VIRTUAL TABLE usual USING rec_model(algorithm=popularity, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE summed USING rec_model(algorithm=popularity, duplicates=sum, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE latest USING rec_model(algorithm=popularity, duplicates=last, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE most USING rec_model(algorithm=popularity, duplicates=max, interactions=rows, value=n, feedback=implicit);
CREATE VIRTUAL TABLE other USING rec_model(algorithm=popularity, duplicates=mean, interactions=rows, value=n, feedback=implicit);
SELECT rec_train('usual') ->> 'interactions', rec_train('summed') ->> 'interactions', rec_train('latest') ->> 'interactions', rec_train('most') ->> 'interactions';
SELECT name, (SELECT weight FROM rec_user(name, 1) WHERE key = 9) FROM (SELECT 'usual' AS name UNION ALL SELECT 'summed' UNION ALL SELECT 'latest' UNION ALL SELECT 'most' UNION ALL SELECT 'rated');
INSERT INTO go VALUES (1);
SELECT * FROM seen;

-- options out of range
CREATE VIRTUAL TABLE o USING rec_model(algorithm=als, factors=0, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=als, factors=2000, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=als, lambda=-1, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=als, lambda=nan, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=itemknn, k=0, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=itemknn, k=1.5, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=itemknn, similarity=jaccard, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=ease, lambda=0, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=graph, factors=-1, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=bpr, rate=1e9, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=lightgcn, layers=100, interactions=rows);
CREATE VIRTUAL TABLE o USING rec_model(algorithm=two_tower, temperature=0, interactions=rows);
INSERT INTO ease(ease) VALUES ('lambda=0');
INSERT INTO als(als) VALUES ('factors=one');

-- memory that does not suffice: said before anything starts
DELETE FROM rows; INSERT INTO rows SELECT * FROM good;
INSERT INTO rows WITH RECURSIVE c(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM c WHERE i < 5099) SELECT i, i * 7 % 900, 1 FROM c;
CREATE VIRTUAL TABLE budget USING rec_model(algorithm=ease, form=dense, max_bytes=1000000, interactions=rows);
SELECT rec_train('budget');
