-- gate=weighted without a number, gate=learned: how far to lean on each member is found in rows that none has seen.
CREATE TABLE shop(item INTEGER PRIMARY KEY, name TEXT, kind TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
INSERT INTO shop SELECT i, 'thing ' || i, 'kind' || (i % 6) FROM n;
CREATE TABLE bought(who INTEGER, item INTEGER, at INTEGER);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
INSERT INTO bought SELECT i % 50, 1 + ((i % 50) * 7 + (i / 50) * (i / 50 + i % 50) % 13) % 300, i FROM n;
CREATE VIRTUAL TABLE near USING rec_model(algorithm=itemknn, interactions=bought, user=who, item=item, time=at, items=shop, title=name);
CREATE VIRTUAL TABLE flat USING rec_model(algorithm=graph, filter=linear, interactions=bought, user=who, item=item, time=at, items=shop);
CREATE VIRTUAL TABLE top USING rec_model(algorithm=popularity, interactions=bought, user=who, item=item, time=at, items=shop);
CREATE VIRTUAL TABLE kinds USING rec_model(algorithm=content, embedder='lsa(4)', items=shop, item=item, text='kind', interactions=bought, user=who);
SELECT count(rec_train(name)) FROM (SELECT 'near' AS name UNION ALL SELECT 'flat' UNION ALL SELECT 'top' UNION ALL SELECT 'kinds');
CREATE VIRTUAL TABLE mix USING rec_model(algorithm=hybrid, a=near, b=flat, c=top, d=kinds, gate=weighted);
SELECT count(*) FROM mix WHERE user = 3;
SELECT '1', json_extract(rec_train('mix'), '$.model');
SELECT '2', phase, epoch, metric, value > 0 FROM mix_log;
SELECT '3 no worse than the best member', a.value >= b.value - 1e-9 FROM mix_log AS a, mix_log AS b WHERE a.metric = 'ndcg@20' AND b.metric = 'ndcg@20 best member';
-- one user and all users: the same lists, whether consumed items are in them or not
SELECT '4', count(*) FROM (SELECT user, item, score FROM mix WHERE k = 10 AND seen = 0 EXCEPT
  SELECT who, r.item, r.score FROM (SELECT DISTINCT who FROM bought) AS b JOIN rec_recommend('mix', b.who, 10) AS r);
CREATE TEMP TABLE one AS SELECT m.user, m.item, m.score, m.source, m.rank FROM (SELECT DISTINCT who FROM bought) AS b CROSS JOIN mix AS m ON m.user = b.who AND m.k = 10;
CREATE TEMP TABLE batch AS SELECT user, item, score, source, rank FROM mix WHERE k = 10;
SELECT '5', (SELECT count(*) FROM batch), (SELECT count(*) FROM (SELECT * FROM one EXCEPT SELECT * FROM batch)), (SELECT count(*) FROM batch WHERE item IN (SELECT item FROM bought WHERE who = user)) > 0;
-- rules hide, they do not change a score; with few candidates left the list goes on
CREATE VIEW rare AS SELECT item FROM shop WHERE item > 280;
INSERT INTO mix(mix) VALUES ('eligible=rare');
SELECT '6', count(*), min(item) > 280 FROM mix WHERE user = 5;
SELECT '7', count(*) FROM (SELECT user, item, score FROM mix WHERE k = 10 EXCEPT SELECT m.user, m.item, m.score FROM (SELECT DISTINCT who FROM bought) AS b CROSS JOIN mix AS m ON m.user = b.who AND m.k = 10);
INSERT INTO mix(mix) VALUES ('eligible=');
-- every item has a score; who is unknown gets what the others say
SELECT '8', count(*), count(DISTINCT source) FROM mix WHERE user = 5;
SELECT '9', count(*) FROM mix WHERE user = 12345 AND k = 10;
SELECT '10', count(*) FROM mix WHERE history = '[17, 18]' AND seen = 0 AND k = 5;
INSERT INTO shop VALUES (1000, 'new', 'kind3');
SELECT '11', item, source FROM mix WHERE user = 5 AND item = 1000;
SELECT '12', count(*), min(gate) >= 0, max(gate) <= 1 FROM rec_hybrid('mix', 5, 'kind3', 10);
INSERT INTO mix(mix) VALUES ('integrity-check');
SELECT '13', part, chunk FROM mix_data;
-- by user, item and question
CREATE VIRTUAL TABLE wise USING rec_model(algorithm=hybrid, a=near, b=flat, c=top, d=kinds, gate=learned);
SELECT '14', json_extract(rec_train('wise'), '$.algorithm');
SELECT '15', phase, metric, value > 0 FROM wise_log;
CREATE TEMP TABLE wise_one AS SELECT m.user, m.item, m.score, m.source, m.rank FROM (SELECT DISTINCT who FROM bought) AS b CROSS JOIN wise AS m ON m.user = b.who AND m.k = 10 AND m.seen = 0;
SELECT '16', count(*) FROM (SELECT user, item, score, source, rank FROM wise WHERE k = 10 AND seen = 0 EXCEPT SELECT * FROM wise_one);
SELECT '17', kind, key, round(sum(weight), 6) BETWEEN 0 AND 1 FROM rec_explain('wise', 5, 40) WHERE kind = 'member' GROUP BY key;
SELECT '18', abs(sum(weight) - 1) < 1e-6 FROM rec_explain('wise', 5, 40) WHERE kind = 'member';
INSERT INTO wise(wise) VALUES ('integrity-check');
-- the same tables, the same gate
CREATE TEMP TABLE first AS SELECT bytes FROM wise_data;
INSERT INTO wise(wise) VALUES ('train');
SELECT '19', count(*) FROM (SELECT bytes FROM wise_data EXCEPT SELECT bytes FROM first);
-- ROLLBACK restores it
BEGIN;
INSERT INTO bought SELECT who, 1 + item % 300, at + 5000 FROM bought WHERE who % 3 = 0;
INSERT INTO wise(wise) VALUES ('train');
SELECT '20', count(*) > 0 FROM (SELECT bytes FROM wise_data EXCEPT SELECT bytes FROM first);
ROLLBACK;
SELECT '21', count(*) FROM (SELECT bytes FROM wise_data EXCEPT SELECT bytes FROM first);
-- other members, or another kind of gate: to be trained again
INSERT INTO wise(wise) VALUES ('gate=weighted');
SELECT count(*) FROM wise WHERE user = 5;
INSERT INTO wise(wise) VALUES ('gate=weighted(.5)');
SELECT '22', count(*) > 0 FROM wise WHERE user = 5;
INSERT INTO wise(wise) VALUES ('gate=learned');
SELECT '23', count(*) > 0 FROM wise WHERE user = 5;
-- evaluation finds the weights again, within the training rows
SELECT '24', metric, value BETWEEN 0 AND 1 FROM rec_evaluate('mix', '{"metrics":["ndcg"],"k":[10]}');
-- nothing to find them in
CREATE TABLE lone(who INTEGER, item INTEGER);
INSERT INTO lone VALUES (1, 1), (2, 2), (3, 1);
CREATE VIRTUAL TABLE l1 USING rec_model(algorithm=popularity, interactions=lone, user=who, item=item);
CREATE VIRTUAL TABLE l2 USING rec_model(algorithm=itemknn, interactions=lone, user=who, item=item);
SELECT count(rec_train(name)) FROM (SELECT 'l1' AS name UNION ALL SELECT 'l2');
CREATE VIRTUAL TABLE poor USING rec_model(algorithm=hybrid, a=l1, b=l2, gate=weighted);
SELECT rec_train('poor');
