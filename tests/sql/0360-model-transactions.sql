-- rec_model in transactions: ROLLBACK takes a training back, savepoints too; a failure leaves the old model.
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
CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id, items=movies);
SELECT rec_train('pop') ->> 'interactions';
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
INSERT INTO ratings VALUES (1,8,5,1),(2,8,5,1),(3,8,5,1);
-- trained inside, seen inside, gone after ROLLBACK
BEGIN;
INSERT INTO pop(pop) VALUES ('train');
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
ROLLBACK;
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
-- savepoints
SAVEPOINT a;
INSERT INTO pop(pop) VALUES ('train');
SAVEPOINT b;
DELETE FROM ratings WHERE movie_id = 8;
INSERT INTO pop(pop) VALUES ('train');
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
ROLLBACK TO b;
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
ROLLBACK TO a;
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
RELEASE a;
-- rows that a savepoint took back are not remembered
BEGIN;
SAVEPOINT c;
INSERT INTO ratings VALUES (10, 8, 5, 2);
INSERT INTO movies(movie_id) VALUES (9);
SELECT item, seen FROM pop WHERE user = 10 AND item IN (8, 9) ORDER BY item;
ROLLBACK TO c;
SELECT item, seen FROM pop WHERE user = 10 AND item IN (8, 9) ORDER BY item;
INSERT INTO movies(movie_id) VALUES (10);
SELECT item, seen FROM pop WHERE user = 10 AND item IN (8, 9, 10) ORDER BY item;
COMMIT;
-- reading the model while writing what it reads
CREATE TABLE recs(user_id, movie_id, score);
INSERT INTO recs SELECT user, item, score FROM pop WHERE k = 2 AND seen = 0;
SELECT count(*), count(DISTINCT user_id) FROM recs;
INSERT INTO ratings SELECT user, item, 5, 999 FROM pop WHERE user = 10 AND seen = 0;
SELECT count(*) FROM pop WHERE user = 10 AND seen = 0;
DELETE FROM ratings WHERE rated_at = 999;
-- a statement that fails half way takes its training with it
CREATE TABLE once(x UNIQUE);
CREATE TRIGGER t AFTER INSERT ON once WHEN new.x = 2 BEGIN SELECT RAISE(ABORT, 'no'); END;
BEGIN;
INSERT INTO pop(pop) VALUES ('train'), ('no such command');
COMMIT;
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
-- settings roll back too
BEGIN;
INSERT INTO pop(pop) VALUES ('positive=rating > 4.5');
INSERT INTO pop(pop) VALUES ('train');
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
ROLLBACK;
SELECT count(*) FROM pop_state WHERE k LIKE 'option.%';
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
-- DROP and ALTER inside a transaction
BEGIN;
DROP TABLE pop;
SELECT count(*) FROM sqlite_master WHERE name LIKE 'pop%';
ROLLBACK;
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
BEGIN;
INSERT INTO pop(pop) VALUES ('train');
ALTER TABLE pop RENAME TO crowd;
SELECT round(score, 3) FROM crowd WHERE user = 10 AND item = 8;
ROLLBACK;
SELECT round(score, 3) FROM pop WHERE user = 10 AND item = 8;
INSERT INTO pop(pop) VALUES ('integrity-check');
