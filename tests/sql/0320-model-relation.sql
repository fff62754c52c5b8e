-- rec_model: the relation (user, item, score): every way to ask it.
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
SELECT rec_train('taste') ->> 'users';
-- one user: every item of the catalogue, best first
SELECT item, rank, seen, source, typeof(score) FROM taste WHERE user = 10 ORDER BY score DESC;
-- seen, item, IN, k, rank, LIMIT
SELECT item, rank FROM taste WHERE user = 10 AND seen = 0 ORDER BY score DESC LIMIT 3;
SELECT item, rank FROM taste WHERE user = 10 AND seen = 0 ORDER BY rank LIMIT 2 OFFSET 1;
SELECT item, rank FROM taste WHERE user = 10 AND seen = 0 AND k = 2;
SELECT item FROM taste WHERE user = 10 AND seen = 1 ORDER BY item;
SELECT count(*) FROM taste WHERE user = 10 AND item = 3;
SELECT item, rank FROM taste WHERE user = 10 AND item IN (4, 5, 6, 77);
SELECT item, rank FROM taste WHERE user = 10 AND item IN (SELECT movie_id FROM movies WHERE year = 1995) AND k = 2;
SELECT item FROM taste WHERE user = 10 AND item > 6 ORDER BY item;
SELECT item, rank FROM taste WHERE user = 10 AND rank <= 2;
SELECT count(*) FROM taste WHERE user = 10 AND score > 0.5 AND source = 'model';
SELECT count(*) FROM taste WHERE user = 10 AND source IN ('popularity', 'content');
SELECT item FROM taste WHERE user = 10 AND k = 0;
SELECT item FROM taste WHERE user = 10 AND k = 100 AND seen = 0 ORDER BY item;
-- a filter of a join or of an expression needs LIMIT, and is never starved
SELECT r.item FROM taste r CROSS JOIN movies m ON m.movie_id = r.item WHERE r.user = 10 AND r.seen = 0 AND m.year = 1995 ORDER BY r.score DESC LIMIT 1;
SELECT count(*) FROM taste r CROSS JOIN movies m ON m.movie_id = r.item WHERE r.user = 10 AND m.year = 1995;
SELECT count(*) FROM taste WHERE user = 10 AND (item = 1 OR score > 100);
-- somebody who is in no table
SELECT item, source FROM taste WHERE history = json_array(4, 5) AND seen = 0 AND k = 1;
SELECT item, seen FROM taste WHERE history = '[4, 5, null, 999]' AND seen = 1 ORDER BY item;
SELECT (SELECT json_group_array(item) FROM (SELECT item FROM taste WHERE history = '[4,"5"]' ORDER BY rank))
     = (SELECT json_group_array(item) FROM (SELECT item FROM taste WHERE history = '[4,5.0]' ORDER BY rank));
SELECT count(*), group_concat(DISTINCT source), count(user) FROM taste WHERE history = '[]';
SELECT count(*), group_concat(DISTINCT source) FROM taste WHERE user = 999;
SELECT count(*) FROM taste WHERE user = 10 AND history = '[8]' AND seen = 1;
-- keys: '42' is 42, 42.0 is 42, NULL and what is not in the catalogue give no row
SELECT count(*) FROM taste WHERE user = '10' AND item = '3';
SELECT count(*) FROM taste WHERE user = 10.0 AND item = 3.0;
SELECT count(*) FROM taste WHERE user = NULL;
SELECT count(*) FROM taste WHERE user = 10 AND item = NULL;
SELECT count(*) FROM taste WHERE user = 10 AND item = 99;
SELECT count(*) FROM taste WHERE user = 10 AND item = 'x';
SELECT count(*) FROM taste WHERE user = 'nobody';
SELECT * FROM taste WHERE user = x'0a';
SELECT * FROM taste WHERE user = 10 AND item = x'03';
SELECT * FROM taste WHERE user = 10 AND item IN (1, x'03');
-- arguments that make no sense
SELECT * FROM taste WHERE user = 10 AND k = -1;
SELECT * FROM taste WHERE user = 10 AND k = 2.5;
SELECT * FROM taste WHERE user = 10 AND k = 'all';
SELECT * FROM taste WHERE user = 10 AND k IN (1, 2);
SELECT * FROM taste WHERE history = '{"a":1}';
SELECT * FROM taste WHERE history = '[1,';
SELECT * FROM taste WHERE history = '[[1]]';
SELECT * FROM taste WHERE history = 7;
SELECT count(*) FROM taste WHERE user = 10 AND k = NULL;
SELECT count(*) FROM taste WHERE user = 10 AND k = '2';
-- many users: IN, join, everybody; k is per user
SELECT user, item, rank FROM taste WHERE user IN (10, 12) AND seen = 0 AND k = 1 ORDER BY user;
CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO users VALUES (12, 'Ann'), (15, 'Bob'), (99, 'Cy');
CREATE VIEW top2 AS SELECT u.name, r.item, r.rank, r.source FROM users u CROSS JOIN taste r ON r.user = u.id WHERE r.k = 2 AND r.seen = 0;
SELECT * FROM top2;
SELECT user, count(*), min(rank), max(rank) FROM taste WHERE k = 3 AND seen = 0 GROUP BY user;
SELECT user FROM taste WHERE k = 1 AND user > 12 AND user <> 14;
SELECT count(*), count(DISTINCT user), count(DISTINCT item) FROM taste;
SELECT count(*) FROM taste WHERE item = 3;
SELECT user, item FROM taste LIMIT 1;
-- what one asks at once is what one asks one by one
SELECT count(*) FROM taste a JOIN (SELECT u.user_id, r.item, r.score, r.rank, r.seen, r.source FROM (SELECT DISTINCT user_id FROM ratings) u CROSS JOIN taste r ON r.user = u.user_id) b
 ON a.user = b.user_id AND a.item = b.item AND a.score = b.score AND a.rank = b.rank AND a.seen = b.seen AND a.source = b.source;
-- plans: no sorter for score DESC or rank of one user
EXPLAIN QUERY PLAN SELECT item FROM taste WHERE user = 10 AND seen = 0 ORDER BY score DESC LIMIT 10;
EXPLAIN QUERY PLAN SELECT item FROM taste WHERE user = 10 AND item IN (1, 2, 3) ORDER BY rank;
EXPLAIN QUERY PLAN SELECT item FROM taste WHERE user IN (10, 11) ORDER BY score DESC;
EXPLAIN QUERY PLAN SELECT item FROM taste WHERE k = 2 AND user > 3 AND score > 0.1;
