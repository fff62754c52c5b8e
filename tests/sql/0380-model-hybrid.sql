-- rec_model(algorithm=hybrid): other models blended, each over its own catalogue.
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
CREATE VIRTUAL TABLE reader USING rec_model(algorithm=hybrid, cf=taste, content=about, gate='weighted(.6)');
SELECT count(*) FROM reader WHERE user = 10;
SELECT count(rec_train('taste'));
SELECT rec_train('reader');
SELECT count(rec_train('about'));
SELECT json_remove(rec_train('reader'), '$.seconds');
SELECT item, seen, source FROM reader WHERE user = 10 AND k = 4;
SELECT item, source FROM reader WHERE user = 12 AND seen = 0 AND k = 1;
-- who is unknown to the factors is judged by what they read, then by what all read
SELECT DISTINCT source FROM reader WHERE history = '[1]';
SELECT item FROM reader WHERE history = '[1]' AND seen = 0 AND k = 1;
SELECT DISTINCT source FROM reader WHERE user = 999;
-- a sentence goes to the member that reads
SELECT item FROM reader WHERE user = 999 AND query = 'toys for children' AND k = 1;
SELECT DISTINCT source FROM reader WHERE query = 'toys for children';
SELECT item FROM reader WHERE user = 10 AND query = 'detective in the city' AND seen = 0 AND k = 1;
-- an item younger than both
INSERT INTO movies VALUES (9, 'Alien 3', 'Horror|SciFi', 1992, 'The creature hunts prisoners in space');
SELECT item, source FROM reader WHERE user = 10 AND item = 9;
SELECT user, count(*), max(rank) FROM reader WHERE k = 2 GROUP BY user;
SELECT user, item FROM reader WHERE seen = 1 AND user = 15 ORDER BY item;
-- and explained when the catalogue has become shorter than the models
BEGIN;
DELETE FROM movies WHERE movie_id IN (4, 6);
SELECT kind, key, title FROM rec_explain('reader', 10, 9) WHERE kind IN ('item', 'facet') ORDER BY kind DESC, key;
ROLLBACK;
-- the weight decides: all to one side gives that side's order
CREATE VIRTUAL TABLE only_cf USING rec_model(algorithm=hybrid, cf=taste, content=about, gate='weighted(1)');
CREATE VIRTUAL TABLE only_text USING rec_model(algorithm=hybrid, cf=taste, content=about, gate='weighted(0)');
SELECT (SELECT group_concat(item) FROM (SELECT item FROM only_cf WHERE user = 14 AND item < 9 ORDER BY rank)) = (SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = 14 AND item < 9 ORDER BY rank));
SELECT (SELECT group_concat(item) FROM (SELECT item FROM only_text WHERE user = 14 ORDER BY rank)) = (SELECT group_concat(item) FROM (SELECT item FROM about WHERE user = 14 ORDER BY rank));
-- hybrids of hybrids; one member is enough
CREATE VIRTUAL TABLE upper USING rec_model(algorithm=hybrid, r=reader, t=taste);
SELECT count(*) FROM upper WHERE user = 10;
CREATE VIRTUAL TABLE solo USING rec_model(algorithm=hybrid, t=taste);
SELECT count(*), count(DISTINCT source) FROM solo WHERE user = 10;
-- cycles are refused, by member and by view
INSERT INTO reader(reader) VALUES ('cf=reader');
INSERT INTO reader(reader) VALUES ('cf=upper');
CREATE VIEW round AS SELECT user AS user_id, item AS movie_id, 5 AS rating, 1 AS rated_at FROM upper WHERE k = 3;
INSERT INTO taste(taste) VALUES ('interactions=round');
INSERT INTO taste(taste) VALUES ('eligible=round');
CREATE VIEW self AS SELECT item FROM taste WHERE user = 10;
INSERT INTO taste(taste) VALUES ('eligible=self');
SELECT count(*) FROM taste WHERE user = 10;
-- reading another model is none
CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id);
SELECT count(rec_train('pop'));
CREATE VIEW liked AS SELECT item FROM pop WHERE history = '[]' AND k = 5;
INSERT INTO taste(taste) VALUES ('eligible=liked');
SELECT count(*) FROM taste WHERE user = 10;
SELECT count(*) FROM reader WHERE user = 10;
INSERT INTO taste(taste) VALUES ('eligible=');
-- a view that was harmless and became a cycle is found when it is read
CREATE VIEW indirect AS SELECT movie_id AS item FROM movies;
INSERT INTO taste(taste) VALUES ('eligible=indirect');
DROP VIEW indirect;
CREATE VIEW indirect AS SELECT item FROM reader WHERE user = 12;
SELECT count(*) FROM taste WHERE user = 10;
SELECT count(*) FROM reader WHERE user = 10;
INSERT INTO taste(taste) VALUES ('eligible=');
SELECT count(*) FROM reader WHERE user = 10;
-- members without items= share what any of them has
CREATE VIRTUAL TABLE p2 USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id);
SELECT count(rec_train('p2'));
CREATE VIRTUAL TABLE union2 USING rec_model(algorithm=hybrid, a=pop, b=p2);
SELECT count(*), group_concat(DISTINCT source) FROM union2 WHERE user = 10;
-- keys must agree
CREATE TABLE t(u INTEGER, i TEXT);
INSERT INTO t VALUES (1, 'x');
CREATE VIRTUAL TABLE other USING rec_model(algorithm=popularity, interactions=t, user=u, item=i);
CREATE VIRTUAL TABLE clash USING rec_model(algorithm=hybrid, a=pop, b=other);
-- words of the sentence in an FTS5 table count too
CREATE VIRTUAL TABLE fts USING fts5(title, overview, content=movies, content_rowid=movie_id);
INSERT INTO fts(fts) VALUES ('rebuild');
INSERT INTO reader(reader) VALUES ('lexical=fts');
SELECT item FROM reader WHERE query = 'guitar "quoted" OR (NEAR' AND k = 1;
-- a member that is gone is named; a command repoints
DROP TABLE pop;
SELECT count(*) FROM union2 WHERE user = 10;
INSERT INTO union2(union2) VALUES ('a=p2');
SELECT count(*) FROM union2 WHERE user = 10;
