-- rec_model: what happened a second ago counts; nobody and nothing is without an answer.
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
SELECT count(rec_train('taste')), count(rec_train('about'));
SELECT item, source FROM taste WHERE user = 12 AND seen = 0 AND k = 1;
-- a new row changes the profile at once, with no training
INSERT INTO ratings VALUES (12, 1, 5, 300), (12, 2, 5, 301);
SELECT item, source FROM taste WHERE user = 12 AND seen = 0 AND k = 1;
SELECT group_concat(item) FROM (SELECT item FROM taste WHERE user = 12 AND seen = 1 ORDER BY item);
-- the other users are as they were
SELECT DISTINCT user, source FROM taste ORDER BY user;
-- folding in what one did is what a history of the same items gives
SELECT max(abs(a.score - b.score)) < 1e-5 FROM taste a JOIN taste b ON a.item = b.item WHERE a.user = 12 AND b.history = '[1,2,4,5]';
-- back to what was trained on
DELETE FROM ratings WHERE rated_at >= 300;
SELECT DISTINCT source FROM taste WHERE user = 12;
-- a new user
SELECT DISTINCT source FROM taste WHERE user = 77;
INSERT INTO ratings VALUES (77, 7, 5, 400);
SELECT DISTINCT source FROM taste WHERE user = 77;
SELECT item FROM taste WHERE user = 77 AND seen = 0 AND k = 1;
-- liked nothing: known, and yet nothing to work with
INSERT INTO ratings VALUES (78, 7, 1, 410);
SELECT DISTINCT source, sum(seen) FROM taste WHERE user = 78;
-- a new item: the factor model falls back, the content model reads it
INSERT INTO movies VALUES (9, 'Alien Resurrection', 'Horror|SciFi', 1997, 'A deadly creature aboard a spaceship once more');
SELECT item, source FROM taste WHERE user = 10 AND item = 9;
SELECT item, source FROM about WHERE user = 10 AND item = 9;
SELECT item FROM about WHERE query = 'deadly creature on a spaceship' AND k = 2;
-- its text changes, and the model reads that too
UPDATE movies SET overview = 'Toys and children', title = 'Toys', genres = 'Animation' WHERE movie_id = 9;
SELECT r.rank > 2 FROM (SELECT item, rank FROM about WHERE query = 'deadly creature on a spaceship' LIMIT -1 OFFSET 0) r WHERE +r.item = 9 UNION ALL
SELECT r.rank <= 2 FROM (SELECT item, rank FROM about WHERE query = 'toys and children' LIMIT -1 OFFSET 0) r WHERE +r.item = 9;
-- a deleted item is gone at once
DELETE FROM movies WHERE movie_id = 1;
SELECT count(*), max(item = 1) FROM taste WHERE user = 10;
SELECT DISTINCT source FROM taste WHERE user = 10;
-- content for nobody: the sentence alone, or popularity
SELECT DISTINCT source FROM about WHERE query = 'creature';
SELECT DISTINCT source FROM about WHERE query = 'zzzz';
SELECT DISTINCT source FROM about WHERE user = 555;
SELECT DISTINCT source FROM about WHERE user = 555 AND query = 'creature';
-- a model without items= knows the items of its interactions, as they are now
CREATE VIRTUAL TABLE pop USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id);
SELECT rec_train('pop') ->> 'items';
INSERT INTO ratings VALUES (10, 500, 5, 500);
SELECT item, seen, source FROM pop WHERE user = 10 AND item = 500;
-- content without any interactions
CREATE VIRTUAL TABLE plain USING rec_model(algorithm=content, embedder='lsa(8)', items=movies, item_key=movie_id, text=overview);
SELECT json_remove(rec_train('plain'), '$.seconds');
SELECT item FROM plain WHERE query = 'detective city' AND k = 2 ORDER BY item;
SELECT item FROM plain WHERE history = '[7]' AND seen = 0 AND k = 1;
SELECT count(*) FROM plain;
