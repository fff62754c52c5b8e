-- algorithm=ease: each item regressed on the others. Two items that one user of two has in common.
CREATE TABLE plays(user INTEGER, item TEXT, stars REAL);
INSERT INTO plays VALUES (1,'a',5), (1,'b',5), (2,'a',1);
-- G = [[2,1],[1,1]], lambda 1: P = [[3,1],[1,2]]^-1 = [[2,-1],[-1,3]] / 5, so b from a 1/3, a from b 1/2
CREATE VIRTUAL TABLE m USING rec_model(algorithm=ease, form=dense, lambda=1, user_scale=0, item_scale=0, target_scale=0, interactions=plays);
SELECT rec_train('m') ->> 'interactions';
SELECT item, round(score, 4) FROM m WHERE history = '["a"]' AND seen = 0;
SELECT item, round(score, 4) FROM m WHERE history = '["b"]' AND seen = 0;
SELECT kind, key, round(weight, 4) FROM rec_explain('m', 2, 'b');
-- the sparse form with enough neighbours is the same regression
INSERT INTO m(m) VALUES ('form=sparse');
SELECT rec_train('m') ->> 'interactions';
SELECT item, round(score, 4) FROM m WHERE history = '["a"]' AND seen = 0;
SELECT item, round(score, 4) FROM m WHERE history = '["b"]' AND seen = 0;
INSERT INTO m(m) VALUES ('integrity-check');
-- groups of items: both forms find them, at their defaults
CREATE TABLE g(user INTEGER, item INTEGER);
WITH RECURSIVE u(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM u WHERE i < 59), v(j) AS (VALUES (0) UNION ALL SELECT j + 1 FROM v WHERE j < 29)
INSERT INTO g SELECT i, j FROM u, v WHERE (i % 3 = j % 3 AND (i * 7 + j * 13) % 5 < 3) OR (i * 31 + j * 17) % 23 = 0;
CREATE VIRTUAL TABLE dense USING rec_model(algorithm=ease, form=dense, interactions=g);
CREATE VIRTUAL TABLE sparse USING rec_model(algorithm=ease, form=sparse, neighbours=8, interactions=g);
SELECT count(rec_train('dense')), count(rec_train('sparse'));
SELECT 'dense', min(item % 3), max(item % 3) FROM rec_recommend('dense', 4, 3);
SELECT 'sparse', min(item % 3), max(item % 3) FROM rec_recommend('sparse', 4, 3);
SELECT metric, CAST(value AS INTEGER) <= 30 * 8 FROM sparse_log;
SELECT metric FROM dense_log;
-- the budget is named before anything is computed
CREATE VIRTUAL TABLE small USING rec_model(algorithm=ease, form=dense, max_bytes=5000, interactions=g);
SELECT rec_train('small');
INSERT INTO small(small) VALUES ('form=auto');
SELECT rec_train('small') ->> 'items';
SELECT metric FROM small_log;
-- ratings: the bias plus what the others add
CREATE VIRTUAL TABLE stars USING rec_model(algorithm=ease, interactions=plays, value=stars, feedback=explicit);
SELECT rec_train('stars') ->> 'interactions';
SELECT kind, key, round(weight, 2) FROM rec_explain('stars', 1, 'a') WHERE kind = 'bias';
INSERT INTO stars(stars) VALUES ('integrity-check');
CREATE VIRTUAL TABLE no USING rec_model(algorithm=ease, lambda=0, interactions=plays);
CREATE VIRTUAL TABLE no USING rec_model(algorithm=ease, form=square, interactions=plays);
-- Ratings beyond what float32 can square beside ordinary ones: trained, with finite scores.
CREATE TABLE far(user INTEGER, item INTEGER, v REAL);
INSERT INTO far SELECT u.value, i.value, iif(u.value = 1 AND i.value = 2, 1e29, 1.0)
  FROM json_each('[0,1,2,3,4,5]') AS u, json_each('[0,1,2,3,4,5]') AS i WHERE (u.value + i.value) % 2;
CREATE VIRTUAL TABLE farther USING rec_model(algorithm=ease, interactions=far, value=v, feedback=explicit);
INSERT INTO farther(farther) VALUES ('train');
SELECT count(*) FROM farther WHERE abs(score) < 1e31;
DROP TABLE farther; DROP TABLE far;
