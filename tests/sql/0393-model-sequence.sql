-- algorithm=sequence: what comes next, from the order of what came before.
-- Everybody walks round the same ring of ten stations, from different beginnings.
CREATE TABLE walks(user INTEGER, station INTEGER, at INTEGER);
WITH RECURSIVE u(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM u WHERE n < 39),
  s(k) AS (VALUES (0) UNION ALL SELECT k + 1 FROM s WHERE k < 5)
INSERT INTO walks SELECT n, 1 + (n + k) % 10, 1000 * n + 10 * k FROM u, s ORDER BY (n * 7919 + k * 104729) % 1009;
CREATE VIRTUAL TABLE next USING rec_model(algorithm=sequence, factors=16, window=8, layers=1, heads=2, dropout=.1, rate=.01, epochs=40,
  validation=0, interactions=walks, user=user, item=station, time=at);
SELECT rec_train('next') ->> '$.algorithm';
SELECT count(*), count(loss), min(epoch), max(epoch), (SELECT loss FROM next_log WHERE epoch = 40) < (SELECT loss FROM next_log WHERE epoch = 1) / 2 FROM next_log;
-- where each of ten beginnings goes on
SELECT user, item, 1 + (user + 6) % 10 AS expected FROM next WHERE k = 1 AND seen = 0 AND user < 10 ORDER BY user;
-- a step of a second ago counts: the newest item decides, in whatever order the rows are stored
INSERT INTO walks VALUES (100, 6, 20), (100, 5, 10);
SELECT item FROM rec_recommend('next', 100, 1);
INSERT INTO walks VALUES (100, 7, 30);
SELECT item FROM rec_recommend('next', 100, 1);
INSERT INTO walks VALUES (101, 7, 10), (101, 6, 20);
SELECT item IN (7, 8), item FROM rec_recommend('next', 101, 1);
-- the same two stations without times: oldest of all, so the dated one is the newest
INSERT INTO walks VALUES (102, 2, NULL), (102, 3, 5);
SELECT item FROM rec_recommend('next', 102, 1);
-- somebody new has no sequence
SELECT source FROM rec_recommend('next', 999, 1);
SELECT count(*), max(score) <= 1 FROM rec_similar('next', 3, 5);
-- an explanation names the items of the window
SELECT kind, key FROM rec_explain('next', 100, 8) ORDER BY key;
-- lists of many are those of one
SELECT count(*) FROM next JOIN (SELECT DISTINCT user AS u FROM walks WHERE user < 40) WHERE next.user = u AND k = 1
  AND next.item = (SELECT item FROM rec_recommend('next', u, 1));
INSERT INTO next(next) VALUES ('integrity-check');
-- with users kept back, an epoch says how well their newest item is found
CREATE VIRTUAL TABLE judged USING rec_model(algorithm=sequence, factors=16, layers=1, heads=1, dropout=.1, rate=.01, epochs=40, patience=5,
  validation=1, interactions=walks, user=user, item=station, time=at);
SELECT rec_train('judged') ->> '$.algorithm';
SELECT metric, max(value) > .9, max(epoch) <= 40 FROM judged_log GROUP BY metric;
-- refused
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=sequence, interactions=walks, user=user, item=station);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=sequence, dropout=1, interactions=walks, user=user, item=station, time=at);
CREATE VIRTUAL TABLE odd USING rec_model(algorithm=sequence, factors=10, heads=3, interactions=walks, user=user, item=station, time=at);
SELECT rec_train('odd');
-- one row, and none
CREATE TABLE few(user INTEGER, station INTEGER, at INTEGER);
INSERT INTO few VALUES (1, 1, 1);
CREATE VIRTUAL TABLE one USING rec_model(algorithm=sequence, factors=8, epochs=2, interactions=few, user=user, item=station, time=at);
SELECT rec_train('one') ->> '$.algorithm';
SELECT count(*) FROM rec_recommend('one', 1, 5);
