-- algorithm=lightgcn: embeddings smoothed over the graph of users and items, trained through it.
CREATE TABLE plays(user TEXT, song INTEGER, n INTEGER);
INSERT INTO plays VALUES
 ('ann',1,3),('ann',2,1),('ann',3,2),('bob',1,1),('bob',2,4),('bob',4,1),('cat',2,2),('cat',3,1),('cat',4,1),
 ('dan',11,1),('dan',12,2),('dan',13,1),('eve',11,5),('eve',12,1),('eve',14,1),('fay',12,1),('fay',13,1),('fay',14,2);
CREATE VIRTUAL TABLE web USING rec_model(algorithm=lightgcn, factors=4, epochs=60, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE deep USING rec_model(algorithm=lightgcn, layers=5, factors=4, epochs=60, interactions=plays, user=user, item=song, value=n, feedback=implicit);
SELECT rec_train('web') ->> '$.algorithm', rec_train('deep') ->> '$.algorithm';
SELECT count(*), count(loss), min(epoch), max(epoch) FROM web_log;
-- what each did not play: first what their kind plays
SELECT user, item FROM web WHERE k = 1 AND seen = 0 ORDER BY user;
SELECT user, item FROM deep WHERE k = 1 AND seen = 0 ORDER BY user;
-- the shares of what ann played and of popularity add up to the score
SELECT kind, key FROM rec_explain('web', 'ann', 4) ORDER BY kind, key;
SELECT abs((SELECT sum(weight) FROM rec_explain('web', 'ann', 4)) - rec_cf_score('web', 'ann', 4)) < 1e-4;
SELECT min(score) >= -1, max(score) <= 1 + .1 * 2 FROM web;
SELECT item > 10 FROM rec_similar('web', 11, 1);
-- a play of a second ago counts
INSERT INTO plays VALUES ('gus', 11, 1), ('gus', 12, 1), ('gus', 13, 1);
SELECT item, source FROM rec_recommend('web', 'gus', 1);
SELECT item, source FROM rec_recommend('web', 'nobody', 1);
INSERT INTO web(web) VALUES ('integrity-check');
INSERT INTO deep(deep) VALUES ('integrity-check');
-- options out of range
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=lightgcn, layers=11, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=lightgcn, targets=1, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE even USING rec_model(algorithm=lightgcn, layers=2, interactions=plays, user=user, item=song);
SELECT rec_train('even');
