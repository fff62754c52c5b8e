-- algorithm=als, features=about: an item nobody has touched has a place among the factors, by what is known of it.
CREATE TABLE films(id INTEGER PRIMARY KEY, title TEXT, kind TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
INSERT INTO films SELECT i, iif(i % 2, 'the robot and the rocket', 'the wedding of the bride'), iif(i % 2, 'space', 'love') FROM n;
CREATE TABLE seen(user INTEGER, id INTEGER);
CREATE INDEX seen_user ON seen(user);
-- users 1..20 watch space, 21..40 love; films 37..40 nobody has seen
INSERT INTO seen SELECT u.id, f.id FROM films AS u CROSS JOIN films AS f
 WHERE f.id <= 36 AND f.id % 2 = (u.id <= 20) AND (u.id * 7 + f.id * 3) % 5 < 3;
CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, items=films, item=id, title=title, text=title, facets=kind, embedder='lsa(4)');
CREATE VIRTUAL TABLE plain USING rec_model(algorithm=als, factors=4, interactions=seen, items=films, item=id);
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=4, interactions=seen, items=films, item=id, features=about);
SELECT rec_train('taste');
SELECT rec_train('about') ->> 'items', rec_train('plain') ->> 'items', rec_train('taste') ->> 'items';
SELECT group_concat(round(score, 3), ' ') FROM (SELECT score FROM plain WHERE user = 1 AND item >= 37 ORDER BY item);
SELECT item, score > 0.2 FROM taste WHERE user = 1 AND item >= 37 ORDER BY item;
SELECT item, score > 0.2 FROM taste WHERE user = 40 AND item >= 37 ORDER BY item;
INSERT INTO taste(taste) VALUES ('integrity-check');

-- the same for items that come after the training
INSERT INTO films VALUES (41, 'a rocket', 'space'), (42, 'a bride', 'love'), (43, 'xyzzy', NULL);
SELECT item, score > 0.2 FROM taste WHERE user = 1 AND item > 40 ORDER BY item;
SELECT item, score > 0.2 FROM taste WHERE history = '[2, 4, 6]' AND item > 40 ORDER BY item;
SELECT item, score > 0.2 FROM plain WHERE user = 1 AND item > 40 ORDER BY item;
-- another training of about has another space: its new items wait for the next training of taste
SELECT rec_train('about') ->> 'items';
INSERT INTO films VALUES (44, 'a robot', 'space');
SELECT item, score > 0.2 FROM taste WHERE user = 1 AND item > 40 ORDER BY item;
SELECT rec_train('taste') ->> 'items';
SELECT item, score > 0.2 FROM taste WHERE user = 1 AND item > 40 ORDER BY item;

-- ratings: the bias is guessed as well
CREATE TABLE stars(user, id, stars);
INSERT INTO stars SELECT user, id, iif(id % 2, 5, 2) FROM seen;
CREATE VIRTUAL TABLE rated USING rec_model(algorithm=als, factors=4, interactions=stars, items=films, item=id, value=stars,
  feedback=explicit, features=about, features_prior=0.5);
SELECT rec_train('rated') ->> 'items';
SELECT max(iif(item % 2, NULL, score)) < min(iif(item % 2, score, NULL)) FROM rated WHERE user = 5 AND item BETWEEN 37 AND 42;
INSERT INTO rated(rated) VALUES ('integrity-check');

-- what is refused
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=seen, item=id, features=nothing);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=seen, item=id, features=plain);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=seen, item=id, features=about, features_prior=2000);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=itemknn, interactions=seen, item=id, features=about);
DROP TABLE about;
SELECT rec_train('taste');
