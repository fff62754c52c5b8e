-- rec_model: what CREATE refuses. Every message names the thing, what was found and what is allowed.
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
-- the algorithm
CREATE VIRTUAL TABLE m USING rec_model();
CREATE VIRTUAL TABLE m USING rec_model(interactions=ratings);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=svdpp, interactions=ratings);
-- options: unknown, twice, out of range, of another algorithm, a column definition
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, factrs=64);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, factors=64, factors=32);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, factors=0);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, factors=many);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, user_id INTEGER);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, seed=-1);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, repeat=yes);
-- tables and columns
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=rating, user=user_id, item=movie_id);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=film);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, time=rated);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, items=films);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, items=movies, title=name);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, items=movies, item_key=id);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, title=title);
-- content
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, interactions=ratings, user=user_id, item=movie_id);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=movies, item=movie_id);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=movies, item=movie_id, text='title, plot');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=movies, item=movie_id, text='title overview');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=movies, item=movie_id, text=title, facets='genre[|]');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=movies, item=movie_id, text=title, facets='genres[');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=movies, item=movie_id, text=title, embedder='bert(768)');
-- signals
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, value=rating);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, value=rating, feedback=stars);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, feedback=explicit);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, event=rating);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, weights='view:1');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, event=rating, weights='view');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, duplicates=first);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, half_life='90 days');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, time=rated_at, half_life='soon');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, time=rated_at, since='last year');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, time=rated_at, since='2024-01-01', until='2023-01-01');
-- positive= is a formula over one row: no calls, no other tables
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='stars >= 4');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='rating >=');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='load_extension(1)');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='rating (4)');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='rating IN (SELECT year FROM movies)');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='rating IN movies');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='rating IN (rated_at)');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='rating > 1) OR (1');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, positive='rating > 1; DROP TABLE movies');
-- rules
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, eligible=in_stock);
CREATE TABLE shelf(id INTEGER);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, eligible=shelf);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, owned=movies);
-- hybrids
CREATE VIRTUAL TABLE m USING rec_model(algorithm=hybrid);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=hybrid, cf=taste);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=hybrid, cf=movies);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=hybrid, cf=m);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=hybrid, cf=taste, gate=clever);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id, lexical=movies);
-- names
CREATE VIRTUAL TABLE score USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id);
CREATE VIRTUAL TABLE "user" USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id);
-- nothing is left behind
SELECT count(*) FROM sqlite_master WHERE name NOT IN ('movies','ratings','shelf');
-- and what is accepted: quoted names, any case, positive with every operator
CREATE TABLE "my ratings"("the user" INTEGER, "the item" INTEGER, kind TEXT, "stars given" REAL);
INSERT INTO "my ratings" VALUES (1,1,'play',5),(1,2,'skip',1),(2,2,'play',4),(2,1,NULL,3);
CREATE VIRTUAL TABLE m USING rec_model(ALGORITHM=popularity, interactions="my ratings", user="the user", item=[the item],
  positive='("stars given" BETWEEN 2 AND 5 AND kind IN (''play'', ''buy'')) OR NOT (kind IS NOT NULL) AND -1 * [stars given] + 4 <> 0 AND kind NOT LIKE ''s%''');
SELECT rec_train('m') ->> 'interactions';
SELECT user, item, seen, round(score, 2) FROM m;
-- lexical= is searched with MATCH: a table that cannot be is refused
CREATE VIRTUAL TABLE lc USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=movie_id);
CREATE VIRTUAL TABLE lp USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=movie_id);
CREATE VIRTUAL TABLE mm USING rec_model(algorithm=hybrid, cf=lc, content=lp, lexical=nosuch);
CREATE VIRTUAL TABLE mm USING rec_model(algorithm=hybrid, cf=lc, content=lp, lexical=movies);
CREATE VIRTUAL TABLE words USING fts5(title, content=movies, content_rowid=movie_id);
CREATE VIRTUAL TABLE mm USING rec_model(algorithm=hybrid, cf=lc, content=lp, lexical=words);
INSERT INTO mm(mm) VALUES ('lexical=movies');
-- a misspelt option of a hybrid looks like a member
CREATE VIRTUAL TABLE m2 USING rec_model(algorithm=hybrid, cf=lc, content=lp, gaet=lc2);
