-- rec_model: training both ways, what it reports, stores and logs.
CREATE TABLE movies(movie_id INTEGER PRIMARY KEY, title TEXT, genres TEXT, year INTEGER, overview TEXT);
INSERT INTO movies VALUES
 (1,'Alien','Horror|SciFi',1979,'A crew meets a deadly creature aboard a spaceship'),
 (2,'Aliens','Action|SciFi',1986,'Marines fight many deadly creatures on a colony in space'),
 (3,'Blade Runner','SciFi|Drama',1982,'A detective hunts androids in a rainy future city'),
 (4,'Toy Story','Animation|Comedy',1995,'Toys come alive when the children are away'),
 (5,'Up','Animation|Adventure',2009,'An old man flies his house with balloons and a boy'),
 (6,'Coco','Animation|Music',2017,'A boy enters the land of the dead with a guitar'),
 (7,'Heat','Crime|Drama',1995,'A detective hunts a crew of thieves in the city'),
 (8,'Casino','Crime|Drama',1995,'Gangsters run a casino in the city of Las Vegas');
CREATE TABLE ratings(user_id INTEGER, movie_id INTEGER, rating REAL, rated_at INTEGER);
INSERT INTO ratings VALUES
 (10,1,5,100),(10,2,4.5,110),(10,3,4,120),(11,1,4,130),(11,2,5,140),(12,4,5,150),(12,5,4,160),
 (13,4,4,170),(13,5,5,180),(13,6,5,190),(14,7,5,200),(14,8,4,210),(14,3,4,220),(15,7,4,230),(15,1,2,240);
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=4, epochs=10, interactions=ratings, user=user_id, item=movie_id, time=rated_at,
  feedback=implicit, positive='rating >= 4', items=movies, title=title);
-- an untrained model says so
SELECT * FROM taste WHERE user = 10;
-- standing alone: a report in JSON
SELECT json_remove(rec_train('taste'), '$.seconds');
WITH r AS MATERIALIZED (SELECT rec_train('main.taste') AS j) SELECT j ->> '$.seconds.read' >= 0, j ->> '$.seconds.fit' >= 0, j ->> '$.seconds.write' >= 0 FROM r;
SELECT rec_train('nothing');
SELECT rec_train('movies');
SELECT rec_train('taste', '{"epochs":3}');
SELECT rec_train('taste', '[]');
SELECT rec_train('taste', '{"if_stale":"yes"}');
SELECT json_remove(rec_train('taste', '{"if_stale":0.05}'), '$.seconds');
-- one row an epoch
SELECT phase, min(epoch), max(epoch), count(*), min(loss) > 0, min(seconds) >= 0 FROM taste_log GROUP BY phase;
SELECT k, v FROM taste_state WHERE k NOT IN ('gen', 'sum', 'trained_at', 'now') ORDER BY k;
SELECT v BETWEEN unixepoch() - 60 AND unixepoch() FROM taste_state WHERE k = 'trained_at';
SELECT part, count(*) FROM taste_data GROUP BY part;
-- the same data and seed: the same model, bit for bit
CREATE TABLE kept AS SELECT part, chunk, bytes FROM taste_data;
SELECT count(rec_train('taste'));
SELECT count(*) FROM taste_data d JOIN kept k USING (part, chunk) WHERE d.bytes = k.bytes;
-- inside a transaction: the INSERT form
INSERT INTO taste(taste) VALUES ('train');
INSERT INTO taste(taste) VALUES ('rebuild');
BEGIN;
SELECT rec_train('taste');
INSERT INTO taste(taste) VALUES ('train');
COMMIT;
SELECT count(*) FROM movies WHERE rec_train('taste') IS NULL;
INSERT INTO kept(part) SELECT rec_train('taste');
SAVEPOINT s;
SELECT rec_train('taste');
RELEASE s;
-- settings: checked like CREATE, kept, taken back
INSERT INTO taste(taste) VALUES ('factors=2');
SELECT v FROM taste_state WHERE k = 'option.factors';
INSERT INTO taste(taste) VALUES ('factors=0');
INSERT INTO taste(taste) VALUES ('factrs=3');
INSERT INTO taste(taste) VALUES ('time=');
INSERT INTO taste(taste) VALUES ('algorithm=popularity');
INSERT INTO taste(taste) VALUES ('interactions=r2');
INSERT INTO taste(taste) VALUES ('positive = ''rating >= 5''');
SELECT json_remove(rec_train('taste'), '$.seconds');
INSERT INTO taste(taste) VALUES ('positive=');
SELECT rec_train('taste') ->> 'interactions';
CREATE VIEW r2 AS SELECT * FROM ratings WHERE user_id < 13;
INSERT INTO taste(taste) VALUES ('interactions=r2');
SELECT rec_train('taste') ->> 'users';
-- commands and rows that are not
INSERT INTO taste(taste) VALUES ('trian');
INSERT INTO taste(taste) VALUES (NULL);
INSERT INTO taste(user, item, score) VALUES (1, 2, 3);
DELETE FROM taste WHERE user = 10;
UPDATE taste SET score = 1 WHERE user = 10;
-- what cannot be trained says why
CREATE TABLE none(user_id INTEGER, movie_id INTEGER, rating);
CREATE VIRTUAL TABLE e1 USING rec_model(algorithm=popularity, interactions=none, user=user_id, item=movie_id);
SELECT rec_train('e1');
CREATE VIRTUAL TABLE e2 USING rec_model(algorithm=popularity, interactions=none, user=user_id, item=movie_id, items=movies);
SELECT json_remove(rec_train('e2'), '$.seconds');
SELECT count(*), count(DISTINCT score), group_concat(DISTINCT source) FROM e2 WHERE user = 1;
-- a closed form has one row in its log
SELECT phase, epoch, loss, metric, seconds >= 0 FROM e2_log;
CREATE VIRTUAL TABLE e3 USING rec_model(algorithm=als, interactions=none, user=user_id, item=movie_id, items=movies);
SELECT rec_train('e3');
INSERT INTO none VALUES (NULL, 1, 5), (1, NULL, 5), (1, 99, 5), ('x', 1, 5);
SELECT rec_train('e3');
CREATE VIRTUAL TABLE e4 USING rec_model(algorithm=als, interactions=none, user=user_id, item=movie_id, items=movies, positive='rating > 5');
INSERT INTO none VALUES (1, 1, 5);
SELECT rec_train('e4');
-- one user, duplicates, NULLs and ratings that are text
SELECT json_remove(rec_train('e3'), '$.seconds');
INSERT INTO none VALUES (1, 1, 4), (1, 1, NULL), (1, 2, '3.5'), (2, 3, 1);
CREATE VIRTUAL TABLE e5 USING rec_model(algorithm=als, interactions=none, user=user_id, item=movie_id, items=movies, value=rating, feedback=explicit);
SELECT json_remove(rec_train('e5'), '$.seconds');
INSERT INTO none VALUES (2, 1, 'good');
SELECT rec_train('e5');
INSERT INTO none VALUES (2, x'01', 1);
SELECT rec_train('e3');
