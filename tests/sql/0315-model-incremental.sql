-- rec_model: a training goes on from the stored model when a few rows are new.
-- 600 people of three tastes, 240 items of three kinds; every seventh item of a kind is bought by anybody.
CREATE TABLE buys(user INTEGER, item INTEGER);
WITH RECURSIVE u(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM u WHERE i < 599),
  v(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM v WHERE j < 239)
INSERT INTO buys SELECT i, j * 2 FROM u, v WHERE (i % 3 = j % 3 OR j % 7 = 0) AND (i * 7919 + j * 104729) % 101 < 23 ORDER BY i, j;
CREATE TABLE later AS SELECT user, item FROM buys WHERE (user * 31 + item * 17) % 20 = 0;
DELETE FROM buys WHERE (user * 31 + item * 17) % 20 = 0;
CREATE INDEX buys_user ON buys(user);
SELECT count(*) > 10000, count(*) > 400, (SELECT count(*) FROM later) BETWEEN 500 AND 800 FROM buys;
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=8, epochs=12, alpha0=.1, lambda=.01, interactions=buys, user=user, item=item);
-- the first is full
SELECT rec_train('taste') ->> 'incremental';
SELECT phase, count(*) FROM taste_log GROUP BY phase ORDER BY phase;
SELECT part FROM taste_data GROUP BY part ORDER BY part;
CREATE TABLE first AS SELECT part, chunk, bytes FROM taste_data;
-- no row is new: full again, and the same bytes
SELECT rec_train('taste') ->> 'incremental';
SELECT count(*) = (SELECT count(*) FROM first) FROM taste_data JOIN first f USING (part, chunk) WHERE taste_data.bytes = f.bytes;
-- a twentieth is new, and one item: an item number in the middle moves all that follow
INSERT INTO buys SELECT user, item FROM later;
INSERT INTO buys SELECT user, 101 FROM buys WHERE item = 102;
SELECT rec_train('taste') -> 'incremental';
SELECT (SELECT count(*) FROM later) + (SELECT count(*) FROM buys WHERE item = 101);
SELECT phase, min(epoch), count(*), max(metric) FROM taste_log GROUP BY phase ORDER BY min(id);
SELECT value = (SELECT count(*) FROM later) + (SELECT count(*) FROM buys WHERE item = 101) FROM taste_log WHERE phase = 'incremental';
SELECT trained_rows = (SELECT count(*) FROM buys), new_rows, warning FROM rec_models;
INSERT INTO taste(taste) VALUES ('integrity-check');
CREATE TABLE top AS SELECT user, item, score FROM taste WHERE k = 10 AND seen = 0;
CREATE TABLE grown AS SELECT part, chunk, bytes FROM taste_data;
-- from nothing: 'rebuild', or the option; both give the same model, and nearly that of the increment
SELECT rec_train('taste', '{"full": true}') ->> 'incremental';
CREATE TABLE complete AS SELECT part, chunk, bytes FROM taste_data;
INSERT INTO taste(taste) VALUES ('rebuild');
SELECT count(*) = (SELECT count(*) FROM complete) FROM taste_data JOIN complete c USING (part, chunk) WHERE taste_data.bytes = c.bytes;
SELECT count(*) >= .9 * (SELECT count(*) FROM top) AS nearly FROM (SELECT user, item FROM taste WHERE k = 10 AND seen = 0) JOIN top USING (user, item);
SELECT count(*) FROM taste_log WHERE phase = 'incremental';
-- within a transaction: ROLLBACK brings the old model back, and an increment from there gives the bytes that it gave before
BEGIN;
DELETE FROM buys WHERE item = 101 OR (user, item) IN (SELECT user, item FROM later);
INSERT INTO taste(taste) VALUES ('rebuild');
SELECT count(*) = (SELECT count(*) FROM first) FROM taste_data JOIN first f USING (part, chunk) WHERE taste_data.bytes = f.bytes;
INSERT INTO buys SELECT user, item FROM later;
INSERT INTO buys SELECT user, 101 FROM buys WHERE item = 102;
INSERT INTO taste(taste) VALUES ('train');
SELECT count(*) FROM taste_log WHERE phase = 'incremental';
SELECT count(*) = (SELECT count(*) FROM grown) FROM taste_data JOIN grown g USING (part, chunk) WHERE taste_data.bytes = g.bytes;
ROLLBACK;
SELECT count(*) = (SELECT count(*) FROM complete) FROM taste_data JOIN complete c USING (part, chunk) WHERE taste_data.bytes = c.bytes;
SELECT count(*) FROM taste_log WHERE phase = 'incremental';
-- another definition, too many new rows, other rows of equal number: from nothing; rows that are gone count as well
INSERT INTO buys VALUES (0, 2), (1, 4), (2, 12);
INSERT INTO taste(taste) VALUES ('lambda=.02');
SELECT rec_train('taste') ->> 'incremental';
INSERT INTO buys VALUES (3, 2), (4, 4), (5, 14);
SELECT json_extract(rec_train('taste'), '$.incremental.new_rows');
INSERT INTO buys SELECT user, item + 1 FROM buys WHERE user % 3 = 0;
SELECT rec_train('taste') ->> 'incremental';
UPDATE buys SET item = item + 4 WHERE user % 2 = 0;
SELECT rec_train('taste') ->> 'incremental';
DELETE FROM buys WHERE user % 25 = 0;
SELECT json_extract(rec_train('taste'), '$.incremental.new_rows') < 0;
INSERT INTO taste(taste) VALUES ('integrity-check');
SELECT rec_train('taste', '{"full": 1}');
-- little data is trained from nothing, and so are algorithms for which that is no slower
DELETE FROM buys WHERE user > 100;
SELECT rec_train('taste') ->> 'incremental';
SELECT count(*) FROM taste_data WHERE part = 'trace';
INSERT INTO buys VALUES (3, 22);
SELECT rec_train('taste') ->> 'incremental';
