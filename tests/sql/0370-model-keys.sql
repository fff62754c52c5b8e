-- rec_model over TEXT keys, over views, over tables without declared types.
CREATE TABLE songs(isrc TEXT PRIMARY KEY, name TEXT);
INSERT INTO songs VALUES ('A-1','One'), ('042','Two'), ('42','Three'), ('b','Four'), ('B','Five');
CREATE TABLE plays(listener TEXT, song TEXT, n INTEGER);
INSERT INTO plays VALUES ('ann','A-1',3), ('ann','042',1), ('bob','42',2), ('bob','b',1), ('Bob','B',5), (NULL,'b',1), ('cy',NULL,1), ('cy','gone',1);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=als, factors=2, interactions=plays, user=listener, item=song, value=n, feedback=implicit, items=songs, item_key=isrc, title=name);
SELECT json_remove(rec_train('m'), '$.seconds');
SELECT user, item FROM m WHERE seen = 1 ORDER BY user, item;
-- 42 is '42' here, and not '042'
SELECT item, typeof(item) FROM m WHERE user = 'bob' AND item = 42;
SELECT count(*) FROM m WHERE user = 'bob' AND item IN (42, '042', 'b', 'nothing', NULL);
SELECT item FROM m WHERE history = '[42, "b"]' AND seen = 1 ORDER BY item;
SELECT count(*) FROM m WHERE user = 'Ann';
SELECT DISTINCT source FROM m WHERE user = 'BOB';
SELECT typeof(user), typeof(item) FROM m LIMIT 1;
-- a join compares as columns do
CREATE TABLE want(l, s);
INSERT INTO want VALUES ('bob', 42), ('ann', '042');
SELECT w.l, m.item, m.seen FROM want w CROSS JOIN m ON m.user = w.l AND m.item = w.s ORDER BY 1;
-- no declared types: what is stored decides
CREATE TABLE loose(u, i);
INSERT INTO loose VALUES (1, 10), (1, 20.0), (2, 10);
CREATE VIRTUAL TABLE li USING rec_model(algorithm=popularity, interactions=loose, user=u, item=i);
SELECT rec_train('li') ->> 'items';
SELECT user, item, typeof(item) FROM li WHERE seen = 1 ORDER BY 1, 2;
SELECT count(*) FROM li WHERE user = '1' AND item = '20';
-- the affinity stays what it was at CREATE: numbers written as text later are the same numbers
INSERT INTO loose VALUES ('2', '20'), ('2', 'x'), (2.0, 30);
SELECT group_concat(item) FROM (SELECT item FROM li WHERE user = 2 AND seen = 1 ORDER BY item);
INSERT INTO loose VALUES (x'02', 10);
SELECT count(*) FROM li WHERE user = 2;
DELETE FROM loose WHERE typeof(u) = 'blob';
CREATE TABLE mixed(u, i);
INSERT INTO mixed VALUES (1, 10), ('one', 20), (1, 'ten');
CREATE VIRTUAL TABLE mi USING rec_model(algorithm=popularity, interactions=mixed, user=u, item=i);
SELECT rec_train('mi') ->> 'users';
SELECT user, item, typeof(user), typeof(item) FROM mi WHERE seen = 1 ORDER BY 1, 2;
SELECT count(*) FROM mi WHERE user = 1 AND seen = 1;
-- a collation of the column does not merge keys
CREATE TABLE nc(u TEXT COLLATE NOCASE, i INTEGER);
INSERT INTO nc VALUES ('al', 1), ('AL', 2), ('Al', 3);
CREATE VIRTUAL TABLE ni USING rec_model(algorithm=popularity, interactions=nc, user=u, item=i);
SELECT rec_train('ni') ->> 'users';
SELECT user, item FROM ni WHERE seen = 1 ORDER BY item;
SELECT item FROM ni WHERE user = 'AL' AND seen = 1;
-- sources that are views, joins, common table expressions
CREATE VIEW v AS WITH big AS (SELECT * FROM plays WHERE n > 1) SELECT lower(b.listener) AS who, b.song AS what, b.n * 2 AS much FROM big b JOIN songs s ON s.isrc = b.song;
CREATE VIRTUAL TABLE mv USING rec_model(algorithm=popularity, interactions=v, user=who, item=what, value=much, feedback=implicit);
SELECT rec_train('mv') ->> 'users';
SELECT user, item, round(score, 1) FROM mv WHERE seen = 1 ORDER BY user, item;
-- the largest and the smallest integer, the empty text
CREATE TABLE edge(u INTEGER, i INTEGER);
INSERT INTO edge VALUES (9223372036854775807, -9223372036854775808), (-9223372036854775808, 0);
CREATE VIRTUAL TABLE me USING rec_model(algorithm=popularity, interactions=edge, user=u, item=i);
SELECT rec_train('me') ->> 'items';
SELECT user, item FROM me WHERE seen = 1 ORDER BY user;
SELECT count(*) FROM me WHERE user = 9223372036854775807 AND item = -9223372036854775808;
SELECT count(*) FROM me WHERE user = 1e300;
INSERT INTO plays VALUES ('', 'b', 1);
SELECT count(*) FROM m WHERE user = '' AND seen = 1;
-- no type and no value: which keys they are cannot be known yet
CREATE TABLE bare(u, i);
CREATE VIRTUAL TABLE mb USING rec_model(algorithm=popularity, interactions=bare, user=u, item=i);
INSERT INTO bare VALUES (NULL, NULL);
CREATE VIRTUAL TABLE mb USING rec_model(algorithm=popularity, interactions=bare, user=u, item=i);
INSERT INTO bare VALUES ('ann', 1);
CREATE VIRTUAL TABLE mb USING rec_model(algorithm=popularity, interactions=bare, user=u, item=i);
DELETE FROM bare;
INSERT INTO mb(mb) VALUES ('half_life=');
SELECT rec_train('mb');
INSERT INTO bare VALUES ('ann', x'01');
SELECT rec_train('mb');
