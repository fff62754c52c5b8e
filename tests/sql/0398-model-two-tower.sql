-- algorithm=two_tower: items by id and by what their text says, users by what they like.
CREATE TABLE songs(song INTEGER PRIMARY KEY, title TEXT, words TEXT);
INSERT INTO songs VALUES
 (1,'One','loud guitar drums'),(2,'Two','guitar drums stage'),(3,'Three','loud guitar stage'),(4,'Four','drums guitar loud'),
 (11,'Eleven','soft piano strings'),(12,'Twelve','piano strings night'),(13,'Thirteen','soft piano night'),(14,'Fourteen','strings piano soft');
CREATE TABLE plays(user TEXT, song INTEGER);
INSERT INTO plays VALUES
 ('ann',1),('ann',2),('ann',3),('bob',1),('bob',2),('bob',4),('cat',2),('cat',3),('cat',4),
 ('dan',11),('dan',12),('dan',13),('eve',11),('eve',12),('eve',14),('fay',12),('fay',13),('fay',14);
CREATE VIRTUAL TABLE ids USING rec_model(algorithm=two_tower, factors=4, epochs=60, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE both USING rec_model(algorithm=two_tower, factors=4, epochs=60, interactions=plays, user=user, item=song,
  items=songs, title=title, text=words);
SELECT rec_train('ids') ->> '$.algorithm', rec_train('both') ->> '$.algorithm';
SELECT count(*), count(loss), min(epoch), max(epoch) FROM ids_log;
-- what each did not play: first what their kind plays
SELECT user, item FROM ids WHERE k = 1 AND seen = 0 ORDER BY user;
SELECT user, item FROM both WHERE k = 1 AND seen = 0 ORDER BY user;
SELECT kind, key FROM rec_explain('both', 'ann', 4) ORDER BY kind, key;
SELECT abs((SELECT sum(weight) FROM rec_explain('both', 'ann', 4)) - rec_cf_score('both', 'ann', 4)) < 1e-4;
SELECT item > 10 FROM rec_similar('both', 11, 1);
-- items of a second ago are known by their words, where there are words
INSERT INTO songs VALUES (5,'Five','loud drums guitar stage'),(15,'Fifteen','soft strings piano night');
SELECT (SELECT score FROM both WHERE user = 'ann' AND item = 5) > (SELECT score FROM both WHERE user = 'ann' AND item = 15),
       (SELECT score FROM both WHERE user = 'dan' AND item = 5) < (SELECT score FROM both WHERE user = 'dan' AND item = 15);
-- and so are users
INSERT INTO plays VALUES ('gus', 15);
SELECT item > 10, source FROM rec_recommend('both', 'gus', 1);
SELECT item, source FROM rec_recommend('ids', 'nobody', 1);
INSERT INTO ids(ids) VALUES ('integrity-check');
INSERT INTO both(both) VALUES ('integrity-check');
-- options out of range
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=two_tower, temperature=0, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=two_tower, id_dropout=1, interactions=plays, user=user, item=song);
