-- rec_model and the schema: ATTACH, TEMP, RENAME, DROP, VACUUM, damaged content.
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
SELECT count(rec_train('pop'));
-- functions take 'model' and 'schema.model'; names resolve in the model's own schema
ATTACH ':memory:' AS aux;
CREATE TABLE aux.ratings(user_id INTEGER, movie_id INTEGER);
INSERT INTO aux.ratings VALUES (1, 100), (2, 100), (2, 200);
CREATE VIRTUAL TABLE aux.pop USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id);
SELECT json_remove(rec_train('aux.pop'), '$.seconds');
SELECT user, item FROM aux.pop WHERE k = 1;
SELECT item FROM rec_recommend('aux.pop', 1);
SELECT item FROM rec_recommend('"aux"."pop"', 1);
CREATE VIRTUAL TABLE aux.lost USING rec_model(algorithm=popularity, interactions=movies, user=movie_id, item=year);
SELECT rec_train('aux.nothing');
SELECT rec_train('nowhere.pop');
-- TEMP models see every schema, as SQLite does
CREATE VIRTUAL TABLE temp.mine USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id, items=movies);
SELECT rec_train('mine') ->> 'items';
SELECT count(*) FROM mine WHERE user = 10 AND seen = 1;
INSERT INTO ratings VALUES (10, 8, 5, 1);
SELECT count(*) FROM mine WHERE user = 10 AND seen = 1;
SELECT name FROM sqlite_temp_master WHERE name LIKE 'mine%' ORDER BY name;
DETACH aux;
SELECT rec_train('aux.pop');
-- shadow tables
SELECT name FROM sqlite_master WHERE name LIKE 'pop%' ORDER BY name;
SELECT name FROM pragma_table_list WHERE type = 'shadow' AND schema = 'main' ORDER BY name;
-- RENAME moves them; names that clash are refused
ALTER TABLE pop RENAME TO "the crowd";
SELECT count(*) FROM "the crowd" WHERE user = 10;
SELECT name FROM sqlite_master WHERE name LIKE 'the crowd%' ORDER BY name;
SELECT rec_train('the crowd') ->> 'items';
ALTER TABLE "the crowd" RENAME TO score;
ALTER TABLE "the crowd" RENAME TO "the crowd_data";
ALTER TABLE "the crowd" RENAME TO pop;
INSERT INTO pop(pop) VALUES ('integrity-check');
-- a source that is renamed is not followed: the query names what is missing, a command repoints
ALTER TABLE ratings RENAME TO stars;
SELECT count(*) FROM pop WHERE user = 10;
INSERT INTO pop(pop) VALUES ('interactions=stars');
SELECT count(*) FROM pop WHERE user = 10;
ALTER TABLE stars RENAME COLUMN movie_id TO film;
SELECT count(*) FROM pop WHERE user = 10;
ALTER TABLE stars RENAME COLUMN film TO movie_id;
SELECT count(*) FROM pop WHERE user = 10;
VACUUM;
SELECT count(*) FROM pop WHERE user = 10;
-- what SQLite stores is what was written
SELECT sql FROM sqlite_master WHERE name = 'pop';
-- damage is found (the shell stands in for somebody who edits the file) and said, and the table can still be dropped
.dbconfig defensive off
CREATE TABLE saved AS SELECT * FROM pop_data;
UPDATE pop_data SET bytes = zeroblob(length(bytes)) WHERE part = 'model' AND chunk = 0;
INSERT INTO pop(pop) VALUES ('integrity-check');
DELETE FROM pop_data WHERE part = 'model';
SELECT count(*) FROM pop WHERE user = 10;
INSERT INTO pop(pop) VALUES ('integrity-check');
DELETE FROM pop_data;
INSERT INTO pop_data SELECT * FROM saved;
INSERT INTO pop(pop) VALUES ('integrity-check');
SELECT count(*) FROM pop WHERE user = 10;
DROP TABLE pop_state;
SELECT count(*) FROM pop WHERE user = 10;
DROP TABLE pop;
SELECT count(*) FROM sqlite_master WHERE name LIKE 'pop%';
DROP TABLE mine;
SELECT count(*) FROM sqlite_temp_master;
-- created anew under the old name: nothing of the old one is left
CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, interactions=stars, user=user_id, item=movie_id);
SELECT count(*) FROM pop WHERE user = 10;
SELECT rec_train('pop') ->> 'items';
SELECT count(*) FROM pop WHERE user = 10;
