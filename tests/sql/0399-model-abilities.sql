-- What every algorithm can do: one row for each algorithm and ability. 1 = as the column says.
CREATE TABLE items(item INTEGER PRIMARY KEY, title TEXT, words TEXT);
INSERT INTO items WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 16)
 SELECT i, 'title ' || i, iif(i <= 8, 'sea ship island sail', 'city robot street night') || ' w' || i % 3 FROM n;
-- users 1 to 20 take items 1 to 8, users 21 to 40 items 9 to 16, each leaving three out
CREATE TABLE plays(user INTEGER, item INTEGER);
INSERT INTO plays SELECT u.value, i.item FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]') u, items i
 WHERE i.item <= 8 AND (u.value * 3 + i.item * 5) % 8 > 2;
INSERT INTO plays SELECT user + 20, item + 8 FROM plays;
CREATE VIRTUAL TABLE m_popularity USING rec_model(algorithm=popularity, interactions=plays, user=user, item=item, items=items);
CREATE VIRTUAL TABLE m_itemknn USING rec_model(algorithm=itemknn, interactions=plays, user=user, item=item, items=items);
CREATE VIRTUAL TABLE m_ease USING rec_model(algorithm=ease, interactions=plays, user=user, item=item, items=items);
CREATE VIRTUAL TABLE m_graph USING rec_model(algorithm=graph, factors=4, interactions=plays, user=user, item=item, items=items);
CREATE VIRTUAL TABLE m_bspm USING rec_model(algorithm=graph, filter=bspm, factors=4, interactions=plays, user=user, item=item, items=items);
CREATE VIRTUAL TABLE m_als USING rec_model(algorithm=als, factors=4, interactions=plays, user=user, item=item, items=items);
CREATE VIRTUAL TABLE m_bpr USING rec_model(algorithm=bpr, factors=4, epochs=60, rate=.05, interactions=plays, user=user, item=item, items=items);
CREATE VIRTUAL TABLE m_lightgcn USING rec_model(algorithm=lightgcn, factors=4, epochs=30, interactions=plays, user=user, item=item, items=items);
CREATE VIRTUAL TABLE m_two_tower USING rec_model(algorithm=two_tower, factors=4, epochs=30, interactions=plays, user=user, item=item, items=items, text='title, words');
CREATE TABLE model(name TEXT PRIMARY KEY, n INTEGER);
INSERT INTO model VALUES ('m_popularity', 1), ('m_itemknn', 2), ('m_ease', 3), ('m_graph', 4), ('m_bspm', 5), ('m_als', 6), ('m_bpr', 7),
 ('m_lightgcn', 8), ('m_two_tower', 9);
INSERT INTO m_popularity(m_popularity) VALUES ('train');
INSERT INTO m_itemknn(m_itemknn) VALUES ('train');
INSERT INTO m_ease(m_ease) VALUES ('train');
INSERT INTO m_graph(m_graph) VALUES ('train');
INSERT INTO m_bspm(m_bspm) VALUES ('train');
INSERT INTO m_als(m_als) VALUES ('train');
INSERT INTO m_bpr(m_bpr) VALUES ('train');
INSERT INTO m_lightgcn(m_lightgcn) VALUES ('train');
INSERT INTO m_two_tower(m_two_tower) VALUES ('train');
SELECT name, 'trained', rec_models.algorithm FROM model JOIN rec_models USING (name) ORDER BY n;
-- an unseen item of their own kind first
SELECT m.name, 'own kind first', (SELECT min(item <= 8) FROM rec_recommend(m.name, 3, 2)) FROM model m ORDER BY m.n;
-- somebody of a second ago
INSERT INTO plays VALUES (100, 9), (100, 10), (100, 11);
SELECT m.name, 'new user', (SELECT min(item > 8) FROM rec_recommend(m.name, 100, 3)),
 (SELECT group_concat(DISTINCT source) FROM rec_recommend(m.name, 100, 3)) FROM model m ORDER BY m.n;
-- what user 5 does now moves the scores of items 9 to 16
CREATE TABLE was AS SELECT m.name, rec_cf_score(m.name, 5, 14) AS score FROM model m;
INSERT INTO plays VALUES (5, 9), (5, 10), (5, 11), (5, 12), (5, 13);
SELECT m.name, 'newest interactions', rec_cf_score(m.name, 5, 14) > w.score FROM model m JOIN was w USING (name) ORDER BY m.n;
-- an item of a second ago is on the list of everybody; two_tower reads its text
INSERT INTO items VALUES (17, 'title 17', 'city robot street night');
SELECT m.name, 'new item', (SELECT count(*) FROM rec_recommend(m.name, 30, 20) WHERE item = 17) FROM model m ORDER BY m.n;
SELECT 'm_two_tower', 'new item by text', (SELECT score FROM rec_recommend('m_two_tower', 30, 20) WHERE item = 17) >
 (SELECT max(score) FROM rec_recommend('m_two_tower', 30, 20) WHERE item <= 8);
-- alike
SELECT m.name, 'similar items', (SELECT min(item > 8) FROM rec_similar(m.name, 9, 4)), (SELECT max(item = 9) FROM rec_similar(m.name, 9, 4))
 FROM model m WHERE n > 1 ORDER BY m.n;
SELECT * FROM rec_similar('m_popularity', 9, 4);
SELECT m.name, 'similar users', (SELECT group_concat(user > 20) FROM rec_similar_users(m.name, 30, 4)) FROM model m ORDER BY m.n;
-- reasons: parts that add up to the score, from items of the history
SELECT m.name, 'explain', (SELECT abs(sum(weight) - rec_cf_score(m.name, 33, 15)) < 1e-3 FROM rec_explain(m.name, 33, 15)),
 (SELECT group_concat(DISTINCT kind) FROM rec_explain(m.name, 33, 15)) FROM model m ORDER BY m.n;
-- all users at once
CREATE TABLE many(name, user, item, score, rank);
INSERT INTO many SELECT 'm_popularity', user, item, score, rank FROM m_popularity WHERE k = 5;
INSERT INTO many SELECT 'm_itemknn', user, item, score, rank FROM m_itemknn WHERE k = 5;
INSERT INTO many SELECT 'm_ease', user, item, score, rank FROM m_ease WHERE k = 5;
INSERT INTO many SELECT 'm_graph', user, item, score, rank FROM m_graph WHERE k = 5;
INSERT INTO many SELECT 'm_bspm', user, item, score, rank FROM m_bspm WHERE k = 5;
INSERT INTO many SELECT 'm_als', user, item, score, rank FROM m_als WHERE k = 5;
INSERT INTO many SELECT 'm_bpr', user, item, score, rank FROM m_bpr WHERE k = 5;
INSERT INTO many SELECT 'm_lightgcn', user, item, score, rank FROM m_lightgcn WHERE k = 5;
INSERT INTO many SELECT 'm_two_tower', user, item, score, rank FROM m_two_tower WHERE k = 5;
SELECT m.name, 'all users at once', count(*) = 5 * (SELECT count(DISTINCT user) FROM plays) FROM model m JOIN many USING (name) GROUP BY m.n;
CREATE TABLE taken(name, user, item, score, rank);
INSERT INTO taken SELECT 'm_popularity', user, item, score, rank FROM m_popularity WHERE user = 5 AND k = 5;
INSERT INTO taken SELECT 'm_itemknn', user, item, score, rank FROM m_itemknn WHERE user = 5 AND k = 5;
INSERT INTO taken SELECT 'm_ease', user, item, score, rank FROM m_ease WHERE user = 5 AND k = 5;
INSERT INTO taken SELECT 'm_graph', user, item, score, rank FROM m_graph WHERE user = 5 AND k = 5;
INSERT INTO taken SELECT 'm_bspm', user, item, score, rank FROM m_bspm WHERE user = 5 AND k = 5;
INSERT INTO taken SELECT 'm_als', user, item, score, rank FROM m_als WHERE user = 5 AND k = 5;
INSERT INTO taken SELECT 'm_bpr', user, item, score, rank FROM m_bpr WHERE user = 5 AND k = 5;
INSERT INTO taken SELECT 'm_lightgcn', user, item, score, rank FROM m_lightgcn WHERE user = 5 AND k = 5;
INSERT INTO taken SELECT 'm_two_tower', user, item, score, rank FROM m_two_tower WHERE user = 5 AND k = 5;
SELECT m.name, 'as one by one', count(*) FROM model m JOIN many USING (name) JOIN taken USING (name, user, item, score, rank) GROUP BY m.n;
-- a training that is rolled back leaves the model as it was
CREATE TABLE old AS SELECT m.name, r.* FROM model m, rec_recommend(m.name, 30, 20) r;
BEGIN;
INSERT INTO plays SELECT user, 17 FROM plays WHERE user > 20 GROUP BY user;
INSERT INTO plays SELECT 200 + user, item FROM plays WHERE user <= 3;
INSERT INTO m_popularity(m_popularity) VALUES ('train');
INSERT INTO m_itemknn(m_itemknn) VALUES ('train');
INSERT INTO m_ease(m_ease) VALUES ('train');
INSERT INTO m_graph(m_graph) VALUES ('train');
INSERT INTO m_bspm(m_bspm) VALUES ('train');
INSERT INTO m_als(m_als) VALUES ('train');
INSERT INTO m_bpr(m_bpr) VALUES ('train');
INSERT INTO m_lightgcn(m_lightgcn) VALUES ('train');
INSERT INTO m_two_tower(m_two_tower) VALUES ('train');
CREATE TABLE new AS SELECT m.name, r.* FROM model m, rec_recommend(m.name, 24, 20) r;
SELECT m.name, 'new item learned', max(new.item = 17) = 0, rec_cf_score(m.name, 31, 17) > 0 FROM model m JOIN new USING (name) GROUP BY m.n;
ROLLBACK;
SELECT m.name, 'rolled back', count(*) = (SELECT count(*) FROM old o WHERE o.name = m.name) FROM model m JOIN old USING (name)
 JOIN rec_recommend(m.name, 30, 20) r ON r.item = old.item AND r.score = old.score AND r.rank = old.rank GROUP BY m.n;
-- stored bytes are sound: nothing is said
INSERT INTO m_popularity(m_popularity) VALUES ('integrity-check');
INSERT INTO m_itemknn(m_itemknn) VALUES ('integrity-check');
INSERT INTO m_ease(m_ease) VALUES ('integrity-check');
INSERT INTO m_graph(m_graph) VALUES ('integrity-check');
INSERT INTO m_bspm(m_bspm) VALUES ('integrity-check');
INSERT INTO m_als(m_als) VALUES ('integrity-check');
INSERT INTO m_bpr(m_bpr) VALUES ('integrity-check');
INSERT INTO m_lightgcn(m_lightgcn) VALUES ('integrity-check');
INSERT INTO m_two_tower(m_two_tower) VALUES ('integrity-check');
