-- rec_model: what a view shares with the one before it, and what a statement keeps, never shows in a result.
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
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=4, interactions=ratings, user=user_id, item=movie_id, time=rated_at,
  feedback=implicit, positive='rating >= 4', items=movies, title=title);
CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, embedder='lsa(8)', items=movies, item=movie_id, title=title,
  text='title, overview', facets='genres[|], year', interactions=ratings, user=user_id, value=rating, time=rated_at, feedback=explicit);
CREATE VIRTUAL TABLE reader USING rec_model(algorithm=hybrid, cf=taste, content=about, gate='weighted(.5)');
CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id);
SELECT count(rec_train('taste')), count(rec_train('about')), count(rec_train('pop'));
CREATE TABLE ask(n INTEGER PRIMARY KEY, text TEXT);
INSERT INTO ask VALUES (1, 'dramas from the 90s'), (2, 'something like Heat');
-- a rating leaves the items as they are; each change of an item is seen in the very next query
SELECT count(*), sum(item) FROM rec_recommend('reader', 12);
INSERT INTO ratings VALUES (12, 6, 5, 300);
SELECT count(*), sum(item) FROM rec_recommend('reader', 12);
UPDATE movies SET genres = 'Comedy' WHERE movie_id = 8;
SELECT count(*), sum(item) FROM rec_hybrid('reader', 12, '{"query":"","filters":{"genres":{"any":["Comedy"]}}}');
UPDATE movies SET title = 'Casino Royale' WHERE movie_id = 8;
SELECT rec_reason('about', 14, 7) LIKE '%Casino Royale%' OR rec_reason('taste', 14, 7) LIKE '%Casino Royale%';
-- one item goes, another comes: their number is the same
DELETE FROM movies WHERE movie_id = 5;
INSERT INTO movies VALUES (9, 'Alien Resurrection', 'Horror|SciFi', 1997, 'A deadly creature aboard a spaceship once more');
SELECT group_concat(item, ' ') FROM (SELECT item FROM rec_hybrid('reader', NULL, NULL) ORDER BY item);
SELECT item FROM rec_hybrid('about', NULL, 'deadly creature aboard a spaceship', 2) ORDER BY item;
-- a rating, then a text of an item that came after training
INSERT INTO ratings VALUES (12, 1, 5, 301);
SELECT item FROM rec_hybrid('about', NULL, 'deadly creature aboard a spaceship', 2) ORDER BY item;
UPDATE movies SET overview = 'Toys and children', title = 'Dolls' WHERE movie_id = 9;
SELECT item FROM rec_hybrid('about', NULL, 'toys and children', 2) ORDER BY item;
-- taken back
BEGIN;
SAVEPOINT a;
INSERT INTO movies VALUES (10, 'Solaris', 'SciFi', 1972, 'A planet that thinks');
SELECT count(*) FROM rec_recommend('reader', 99);
ROLLBACK TO a;
SELECT count(*) FROM rec_recommend('reader', 99);
COMMIT;
SELECT count(*) FROM rec_recommend('reader', 99);
-- without items= the items are those of the interactions, also when a rating brings one or takes one away
INSERT INTO ratings VALUES (16, 50, 5, 400);
SELECT count(*), max(item) FROM pop WHERE user = 99;
DELETE FROM ratings WHERE movie_id = 50;
SELECT count(*), max(item) FROM pop WHERE user = 99;
-- inside a write a call answers as outside
CREATE TABLE plain AS SELECT * FROM (SELECT u.user_id, r.item, r.rank FROM (SELECT DISTINCT user_id FROM ratings) u, rec_recommend('reader', u.user_id, 3) r) LIMIT 0;
BEGIN;
INSERT INTO plain SELECT u.user_id, r.item, r.rank FROM (SELECT DISTINCT user_id FROM ratings) u, rec_recommend('reader', u.user_id, 3) r;
COMMIT;
SELECT count(*), sum(p.item = r.item) FROM plain p JOIN rec_recommend('reader', p.user_id, 3) r ON r.rank = p.rank;
CREATE TABLE said AS SELECT n, llm_rewrite(text, 'reader') AS r, rec_match('{"year":{"min":1990}}', json_object('year', 1980 + 10 * n), 'about') AS m,
  rec_recommend('reader', 10 + n, 2) AS top FROM ask;
SELECT n, r = llm_rewrite(text, 'reader'), m, top = rec_recommend('reader', 10 + n, 2) FROM said JOIN ask USING (n);
-- different models in one cursor
SELECT m.column1, count(*) FROM (VALUES ('taste'), ('about'), ('taste'), ('main.reader')) m, rec_recommend(m.column1, 10, 2) GROUP BY 1;
-- a statement writes what it reads, and sees the users and items of its start
INSERT INTO ratings SELECT 20, r.item, 5, 500 FROM rec_recommend('taste', 12, 2) r;
SELECT count(*) FROM ratings WHERE user_id = 20;
-- few rows, many rows, rows by a condition: one order
SELECT group_concat(item, ' ') = (SELECT group_concat(item, ' ') FROM (SELECT item FROM rec_recommend('taste', 14) LIMIT 4)) FROM rec_recommend('taste', 14, 4);
SELECT count(*), sum(seen) FROM taste WHERE user = 14 AND seen = 1;
SELECT count(*), sum(seen) FROM taste WHERE user = 14 AND seen <> 1;
SELECT count(*), sum(seen) FROM taste WHERE user = 14 AND seen IN (0, 1) AND k = 300;
SELECT count(*) FROM taste WHERE user = 14 AND seen > 1;
SELECT count(*) FROM taste WHERE user = 14 AND seen = 0 AND k = 0;
SELECT group_concat(user || ':' || n, ' ') FROM (SELECT user, count(*) AS n FROM taste WHERE k = 2 AND seen = 0 AND item < 9 GROUP BY user);
