-- rec_train with if_stale and keep_if: the stored model stays unless a new one is as good on rows that neither has seen.
CREATE TABLE plays(user INT, item INT, at INT);
INSERT INTO plays
  WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 299)
  SELECT i % 30, (i % 30) % 3 * 10 + i / 30, i FROM n WHERE (i / 30 < 8 AND i % 7) OR (i % 30) % 2 = 0; -- three groups of items
CREATE TABLE quiet AS SELECT user, item FROM plays;
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=8, interactions=plays, user=user, item=item, time=at);
CREATE VIRTUAL TABLE plain USING rec_model(algorithm=als, factors=8, interactions=quiet, user=user, item=item);
CREATE VIRTUAL TABLE both USING rec_model(algorithm=hybrid, a=taste, b=plain);

.print -- the first training has nothing to be compared with
SELECT json_remove(rec_train('taste', '{"keep_if": "ndcg@10"}'), '$.seconds');
SELECT json_remove(rec_train('plain', '{"keep_if": "ndcg@10"}'), '$.seconds');

.print -- nothing new: the old model stays
SELECT json_remove(rec_train('taste', '{"keep_if": "ndcg@10"}'), '$.seconds');
SELECT json_remove(rec_train('plain', '{"keep_if": "ndcg@10"}'), '$.seconds');
SELECT json_remove(rec_train('plain', '{"if_stale": 0.05, "keep_if": "ndcg@10"}'), '$.seconds');

.print -- new rows and the same definition: as good, trained
INSERT INTO plays SELECT user, user % 3 * 10 + 8, 1000 + user FROM (SELECT DISTINCT user FROM plays) WHERE user % 2;
INSERT INTO quiet SELECT user, item FROM plays WHERE at >= 1000;
SELECT r ->> 'algorithm', r ->> 'trained', r -> 'keep_if' ->> 'metric', (r -> 'keep_if' ->> 'new') >= (r -> 'keep_if' ->> 'old'), r -> 'keep_if' ->> 'users'
  FROM (SELECT rec_train('taste', '{"keep_if": "ndcg@10"}') AS r);
SELECT r ->> 'algorithm', r -> 'keep_if' ->> 'metric', r -> 'keep_if' ->> 'users' > 0 FROM (SELECT rec_train('plain', '{"keep_if": "recall@5"}') AS r);

.print -- a definition that is worse: kept
INSERT INTO plays SELECT user, user % 3 * 10 + 9, 2000 + user FROM (SELECT DISTINCT user FROM plays) WHERE user % 2;
INSERT INTO taste(taste) VALUES ('factors=1');
SELECT r ->> 'trained', r -> 'keep_if' ->> 'users', (r -> 'keep_if' ->> 'new') < (r -> 'keep_if' ->> 'old') FROM (SELECT rec_train('taste', '{"keep_if": "ndcg@5"}') AS r);
INSERT INTO taste(taste) VALUES ('integrity-check');

.print -- refused
SELECT rec_train('taste', '{"keep_if": "beauty"}');
SELECT rec_train('taste', '{"keep_if": 3}');
SELECT rec_train('taste', '{"keep": 3}');
SELECT rec_train('both', '{"keep_if": "ndcg@10"}');
