-- embedder=: where the vectors of algorithm=content come from, several side by side, and a user of several tastes.
CREATE TABLE pictures(id INTEGER PRIMARY KEY, caption TEXT, kind TEXT, look BLOB);
INSERT INTO pictures VALUES
 (1, 'a red barn in the snow', 'house', '[1, 0, 0]'), (2, 'a barn at night', 'house', '[0.9, 0.1, 0]'),
 (3, 'the old lighthouse', 'house', x'00000000000000000000803F'), (4, 'a fox in the snow', 'animal', '[0, 1, 0]'),
 (5, 'two foxes playing', 'animal', '[0, 0.9, 0.2]'), (6, 'an owl at night', 'animal', NULL),
 (7, 'ein Leuchtturm', NULL, NULL), (8, NULL, NULL, '[0, 0, 1]');

-- vectors that the items already have; an item without one is near nothing
CREATE VIRTUAL TABLE look USING rec_model(algorithm=content, items=pictures, item=id, title=caption, embedder=column(look));
SELECT rec_train('look') ->> 'items';
SELECT item, round(score, 2) FROM rec_similar('look', 1, 3);
SELECT item, round(score, 2) FROM rec_similar('look', 8, 1);
SELECT item, round(score, 2), source FROM look WHERE history = '[4]' AND seen = 0 LIMIT 2;

-- weighted beside the words; a sentence has words only
CREATE VIRTUAL TABLE both USING rec_model(algorithm=content, items=pictures, item=id, title=caption, text=caption, facets=kind,
  embedder='lsa(4), column(look):0.5');
SELECT rec_train('both') ->> 'items';
SELECT item FROM rec_similar('both', 1, 1);
SELECT item FROM rec_hybrid('both', NULL, 'lighthouse', 1);
SELECT count(*) FROM (SELECT score FROM both WHERE history = '[1, 4]' AND score BETWEEN -1 AND 1);
INSERT INTO both(both) VALUES ('integrity-check');

-- an item that came after training brings its vector
INSERT INTO pictures VALUES (9, 'another red barn', 'house', '[1, 0, 0.01]');
SELECT item FROM rec_similar('look', 1, 1);
SELECT item FROM rec_similar('both', 9, 1);

-- two tastes: no middle
CREATE TABLE points(id INTEGER PRIMARY KEY, v TEXT);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29)
INSERT INTO points SELECT i, json_array(round(cos(i * 0.1), 4), round(sin(i * 0.1), 4)) FROM n;
CREATE VIRTUAL TABLE one USING rec_model(algorithm=content, items=points, item=id, embedder=column(v));
CREATE TABLE likes(user, id);
INSERT INTO likes SELECT 1, value FROM json_each('[0, 1, 3, 14, 15, 17]');
CREATE VIRTUAL TABLE two USING rec_model(algorithm=content, items=points, item=id, embedder=column(v), centroids=2, interactions=likes);
SELECT rec_train('one') ->> 'items', rec_train('two') ->> 'items';
SELECT group_concat(item, ' ') FROM (SELECT item FROM one WHERE history = '[0, 1, 3, 14, 15, 17]' AND seen = 0 ORDER BY rank LIMIT 2);
SELECT group_concat(item, ' ') FROM (SELECT item FROM two WHERE history = '[0, 1, 3, 14, 15, 17]' AND seen = 0 ORDER BY rank LIMIT 2);
SELECT group_concat(item, ' ') FROM (SELECT item FROM two WHERE user = 1 AND seen = 0 ORDER BY rank LIMIT 2);
SELECT kind, key, round(weight, 2) FROM rec_explain('two', 1, 2) ORDER BY key;
INSERT INTO two(two) VALUES ('integrity-check');

-- what is refused, and how
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, text=caption, embedder='lsa(1)');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, text=caption, embedder='lsa(4) column(look)');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, text=caption, embedder='lsa(4), lsa(4)');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, text=caption, embedder='lsa(4):-1');
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, embedder=column(colour));
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, embedder=column);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, facets=kind, embedder="llm('x')");
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, text=caption, embedder="static('/x");
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, text=caption, centroids=99);
CREATE VIRTUAL TABLE m USING rec_model(algorithm=content, items=pictures, item=id, text=caption, embedder=static('/nowhere'));
SELECT rec_train('m');
CREATE VIEW v AS SELECT * FROM m;
SELECT * FROM v;
DROP VIEW v;
INSERT INTO both(both) VALUES ('embedder=static(''/nowhere'')');
INSERT INTO pictures VALUES (10, 'odd', NULL, '[1, 2]');
SELECT rec_train('look');
UPDATE pictures SET look = x'00' WHERE id = 10;
SELECT rec_train('look');
UPDATE pictures SET look = 5 WHERE id = 10;
SELECT rec_train('look');
UPDATE pictures SET look = x'0000C07F0000C07F0000C07F' WHERE id = 10;
SELECT rec_train('look');
UPDATE pictures SET look = NULL;
SELECT rec_train('look');
UPDATE pictures SET caption = NULL, kind = NULL;
SELECT rec_train('both');
-- the models as they were still answer
SELECT item FROM rec_similar('look', 1, 1);

-- facets and numbers as features, with weights; numbers that are near share a step
CREATE TABLE films(id INTEGER PRIMARY KEY, kind TEXT, year INTEGER, price REAL);
INSERT INTO films VALUES (1,'a',1994,10.5),(2,'b',1996,11),(3,'a',2015,300),(4,'b',2018,NULL),(5,'a',1955,0),(6,'b',1958,-20);
CREATE TABLE seen(user, id); INSERT INTO seen VALUES (1, 1);
CREATE VIRTUAL TABLE f USING rec_model(algorithm=content, items=films, item=id, facets='kind, year, price', embedder='lsa(8)', interactions=seen);
CREATE VIRTUAL TABLE w USING rec_model(algorithm=content, items=films, item=id, facets='kind, year, price', embedder='lsa(8)', interactions=seen, feature_weights='year:3, kind:0.1, price:1');
SELECT rec_train('f') ->> 'items', rec_train('w') ->> 'items';
SELECT group_concat(item, ' ') FROM (SELECT item FROM f WHERE user = 1 AND seen = 0 ORDER BY rank LIMIT 2);
SELECT item, round(score,2) FROM w WHERE user = 1 AND seen = 0 ORDER BY round(score, 2) DESC, item;
SELECT kind, key, round(weight, 2) FROM rec_explain('w', 1, 2);
CREATE VIRTUAL TABLE x USING rec_model(algorithm=content, items=films, item=id, facets='kind, year', feature_weights='yeer:3');
CREATE VIRTUAL TABLE x USING rec_model(algorithm=content, items=films, item=id, facets='kind, year', feature_weights='year 3');
CREATE VIRTUAL TABLE x USING rec_model(algorithm=content, items=films, item=id, facets='kind, year', feature_weights='year:-3');
