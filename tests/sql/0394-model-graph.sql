-- algorithm=graph: filters on the graph of users and items.
CREATE TABLE plays(user TEXT, song INTEGER, n INTEGER);
INSERT INTO plays VALUES
 ('ann',1,3),('ann',2,1),('ann',3,2),('bob',1,1),('bob',2,4),('bob',4,1),('cat',2,2),('cat',3,1),('cat',4,1),
 ('dan',11,1),('dan',12,2),('dan',13,1),('eve',11,5),('eve',12,1),('eve',14,1),('fay',12,1),('fay',13,1),('fay',14,2),('fay',4,1);
CREATE VIRTUAL TABLE lin USING rec_model(algorithm=graph, filter=linear, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE low USING rec_model(algorithm=graph, filter=ideal, factors=2, power=8, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE both USING rec_model(algorithm=graph, factors=3, power=8, interactions=plays, user=user, item=song, value=n, feedback=implicit);
CREATE VIRTUAL TABLE sharp USING rec_model(algorithm=graph, filter=bspm, factors=3, power=8, sharpen=1, interactions=plays, user=user, item=song);
SELECT rec_train('lin') ->> '$.algorithm', rec_train('low') ->> '$.algorithm', rec_train('both') ->> '$.algorithm', rec_train('sharp') ->> '$.algorithm';
-- what ann did not play: first what her kind plays
SELECT item, rank, source FROM rec_recommend('lin', 'ann', 3);
SELECT item, rank, source FROM rec_recommend('low', 'ann', 3);
SELECT item, rank, source FROM rec_recommend('both', 'ann', 3);
SELECT item, rank, source FROM rec_recommend('sharp', 'ann', 3);
-- two hops lead from 1 to 2, 3, 4 and nowhere else
SELECT item, round(score, 4) FROM lin WHERE history = json_array(1) ORDER BY score DESC, item;
-- scores are linear in the history: the shares add up
SELECT key, weight > 0 FROM rec_explain('sharp', 'ann', 4) ORDER BY key;
SELECT abs((SELECT sum(weight) FROM rec_explain('sharp', 'ann', 4)) - rec_cf_score('sharp', 'ann', 4)) < 1e-5;
SELECT abs((SELECT sum(weight) FROM rec_explain('both', 'ann', 4)) - rec_cf_score('both', 'ann', 4)) < 1e-5;
SELECT item FROM rec_similar('both', 11, 3) ORDER BY rank LIMIT 2;
SELECT item FROM rec_similar('lin', 11, 3) ORDER BY rank LIMIT 2;
-- a play of a second ago counts
INSERT INTO plays VALUES ('gus', 11, 1);
SELECT item, source FROM rec_recommend('both', 'gus', 1);
INSERT INTO both(both) VALUES ('integrity-check');
INSERT INTO sharp(sharp) VALUES ('integrity-check');
-- options out of range
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=graph, filter=high, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=graph, factors=4096, interactions=plays, user=user, item=song);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=graph, sharpen=-1, interactions=plays, user=user, item=song);
