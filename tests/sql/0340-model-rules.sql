-- rec_model: eligible=, owned=, repeat=: read at query time, before k, for every algorithm.
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
CREATE TABLE stock(movie_id INTEGER PRIMARY KEY, in_stock);
INSERT INTO stock SELECT movie_id, 1 FROM movies;
CREATE VIEW in_stock_now AS SELECT movie_id AS item FROM stock WHERE in_stock;
CREATE TABLE shelf(user_id INTEGER, movie_id INTEGER);
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=4, interactions=ratings, user=user_id, item=movie_id, items=movies, eligible=in_stock_now, owned=shelf);
SELECT rec_train('taste') ->> 'items';
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = 10 ORDER BY item);
-- stock changes, and the next query knows
UPDATE stock SET in_stock = 0 WHERE movie_id IN (1, 5, 8);
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = 10 ORDER BY item);
SELECT count(*) FROM taste WHERE user = 10 AND k = 5;
SELECT count(*) FROM taste WHERE user = 999;
SELECT count(*) FROM taste WHERE user = 10 AND item = 5;
-- owned is left out, for its user only
INSERT INTO shelf VALUES (10, 4), (12, 6), (NULL, 7), (10, NULL), (10, 99);
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = 10 ORDER BY item);
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = '12' ORDER BY item);
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = 999 ORDER BY item);
SELECT user, count(*) FROM taste GROUP BY user;
-- a rule with a user binds that user; who is nobody gets what somebody may have
CREATE TABLE region(user INTEGER, item INTEGER);
INSERT INTO region VALUES (10, 2), (10, 3), (12, 7);
INSERT INTO taste(taste) VALUES ('eligible=region');
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = 10 ORDER BY item);
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = 12 ORDER BY item);
SELECT count(*) FROM taste WHERE user = 13;
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE history = '[1]' ORDER BY item);
-- rules of the members bind the hybrid
CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id, items=movies, eligible=in_stock_now);
SELECT rec_train('pop') ->> 'items';
CREATE VIRTUAL TABLE both USING rec_model(algorithm=hybrid, a=taste, b=pop);
SELECT group_concat(item) FROM (SELECT item FROM both WHERE user = 10 ORDER BY item);
UPDATE stock SET in_stock = 0 WHERE movie_id = 2;
SELECT group_concat(item) FROM (SELECT item FROM both WHERE user = 10 ORDER BY item);
-- every function over the model
SELECT group_concat(item) FROM rec_recommend('pop', 10);
SELECT group_concat(item) FROM rec_recommend('pop', 12);
-- repeat=1 lets consumed items return to rec_recommend; seen says what they are
CREATE VIRTUAL TABLE again USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id, repeat=1);
SELECT rec_train('again') ->> 'items';
SELECT count(*) FROM rec_recommend('again', 10);
SELECT count(*) FROM again WHERE user = 10 AND seen = 0;
-- a rule that is gone is named
DROP VIEW in_stock_now;
SELECT * FROM pop WHERE user = 10;
INSERT INTO pop(pop) VALUES ('eligible=');
SELECT count(*) FROM pop WHERE user = 10;
