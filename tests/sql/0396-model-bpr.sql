-- algorithm=bpr: what a user chose goes above what they did not.
CREATE TABLE plays(user TEXT, song INTEGER, n INTEGER);
INSERT INTO plays VALUES
 ('ann',1,3),('ann',2,1),('ann',3,2),('bob',1,1),('bob',2,4),('bob',4,1),('cat',2,2),('cat',3,1),('cat',4,1),
 ('dan',11,1),('dan',12,2),('dan',13,1),('eve',11,5),('eve',12,1),('eve',14,1),('fay',12,1),('fay',13,1),('fay',14,2);
CREATE VIRTUAL TABLE pairs USING rec_model(algorithm=bpr, factors=4, epochs=100, rate=.05, interactions=plays, user=user, item=song, seed=3);
CREATE VIRTUAL TABLE easy USING rec_model(algorithm=bpr, negatives=uniform, factors=4, epochs=100, rate=.05, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE known USING rec_model(algorithm=bpr, negatives=popular, factors=4, epochs=100, rate=.05, interactions=plays, user=user, item=song, value=n, feedback=implicit);
CREATE VIRTUAL TABLE stars USING rec_model(algorithm=bpr, factors=4, epochs=100, rate=.05, interactions=plays, user=user, item=song, value=n, feedback=explicit);
SELECT rec_train('pairs') ->> '$.algorithm', rec_train('easy') ->> '$.algorithm', rec_train('known') ->> '$.algorithm', rec_train('stars') ->> '$.algorithm';
-- one row an epoch, and the loss falls
SELECT count(*), count(loss), min(epoch), max(epoch) FROM pairs_log;
SELECT (SELECT loss FROM pairs_log WHERE epoch = 100) < .5 * (SELECT loss FROM pairs_log WHERE epoch = 1);
-- what ann and dan did not play: first what their kind plays
SELECT item, rank, source FROM rec_recommend('pairs', 'ann', 1);
SELECT item, rank, source FROM rec_recommend('pairs', 'dan', 1);
SELECT item FROM rec_recommend('easy', 'ann', 1);
SELECT item FROM rec_recommend('known', 'ann', 1);
SELECT user, item FROM pairs WHERE k = 1 AND seen = 0 ORDER BY user;
-- the shares of what ann played add up to the score
SELECT key FROM rec_explain('pairs', 'ann', 4) ORDER BY key;
SELECT abs((SELECT sum(weight) FROM rec_explain('pairs', 'ann', 4)) - rec_cf_score('pairs', 'ann', 4)) < 1e-4;
SELECT item > 10 FROM rec_similar('pairs', 11, 1);
-- a play of a second ago counts
INSERT INTO plays VALUES ('gus', 11, 1), ('gus', 12, 1), ('gus', 13, 1);
SELECT item, source FROM rec_recommend('pairs', 'gus', 1);
SELECT item, source FROM rec_recommend('pairs', 'nobody', 1);
-- the same data, options and seed: the same bytes
CREATE TABLE before AS SELECT part, chunk, bytes FROM easy_data WHERE part = 'model';
DELETE FROM plays WHERE user = 'gus';
SELECT rec_train('easy') ->> '$.algorithm';
SELECT count(*) FROM before JOIN easy_data USING (part, chunk) WHERE before.bytes = easy_data.bytes AND chunk >= 0;
INSERT INTO pairs(pairs) VALUES ('integrity-check');
INSERT INTO stars(stars) VALUES ('integrity-check');
-- options out of range
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=bpr, negatives=easy, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=bpr, candidates=0, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=bpr, rate=2, interactions=plays, user=user, item=song);
