-- rec_diversify: candidates in, a list out that is good as a whole. Similarity by vectors, facets or a model.
.read tests/fixtures/films.sql
SELECT 'trained', rec_train('taste') ->> 'model', rec_train('about') ->> 'model';
SELECT group_concat(name) FROM pragma_table_xinfo('rec_diversify') WHERE hidden = 0;
-- Vectors of the candidates: 2 is nearly 1, so 3 goes before it; without weight on diversity the scores decide.
CREATE TEMP TABLE three(j);
INSERT INTO three VALUES ('[{"id":1,"score":3,"vector":[1,0]},{"id":2,"score":2.9,"vector":[1,0.1]},{"id":3,"score":2,"vector":[0,1]}]');
SELECT '1 vectors', id, rank, score, round(mmr, 3) FROM rec_diversify((SELECT j FROM three), '{"lambda": 0.6}');
SELECT '2 lambda 0', group_concat(id), round(min(mmr), 3), max(mmr) FROM rec_diversify((SELECT j FROM three), '{"lambda": 0}');
SELECT '3 k', group_concat(id) FROM rec_diversify((SELECT j FROM three), '{"lambda": 0.6, "k": 2}');
SELECT '4 limit', id FROM rec_diversify((SELECT j FROM three), '{"lambda": 0.6}') ORDER BY rank LIMIT 2;
-- Facets of the candidates: text with a separator, a JSON array, a number.
CREATE TEMP TABLE shop(j);
INSERT INTO shop VALUES ('[{"id":"a","score":5,"kind":"red|big","year":1990},{"id":"b","score":4,"kind":["Red","big"],"year":1990},
  {"id":"c","score":3,"kind":"blue","year":1991},{"id":"d","score":2,"kind":"red","year":1992},{"id":"e","score":1,"kind":null}]');
SELECT '5 by facets', group_concat(id) FROM rec_diversify((SELECT j FROM shop), '{"facet": "kind[|]", "lambda": 0.6}');
SELECT '6 two facets', group_concat(id) FROM rec_diversify((SELECT j FROM shop), '{"facet": ["kind[|]", "year"], "lambda": 0.6}');
SELECT '7 caps are hard', group_concat(id) FROM rec_diversify((SELECT j FROM shop), '{"facet": "year", "caps": {"kind[|]": 1}, "lambda": 0}');
SELECT '8 xquad', group_concat(id) FROM rec_diversify((SELECT j FROM shop), '{"method": "xquad", "facet": "kind[|]", "lambda": 0.9}');
SELECT '9 calibrated', group_concat(id) FROM rec_diversify((SELECT j FROM shop),
  '{"method": "calibrated", "facet": "kind[|]", "target": {"Blue": 1, "RED": 1}, "lambda": 0.9, "k": 2}');
-- Popularity counts against a candidate.
SELECT '10 popularity', group_concat(id) FROM rec_diversify(
  '[{"id":1,"score":2,"popularity":100},{"id":2,"score":1.9,"popularity":0},{"id":3,"score":1,"popularity":0}]', '{"popularity": 0.5, "lambda": 0, "model": "taste"}');
SELECT '11 popularity of the model', (SELECT count(*) FROM ratings WHERE film_id = d.id) AS n FROM rec_diversify('[5,19,36]',
  '{"popularity": 1, "lambda": 0, "model": "taste"}') AS d LIMIT 1;
-- A model knows vectors and facets; what rec_recommend returns goes in as it is.
SELECT '12 model', count(*), count(DISTINCT id), min(rank), max(rank) FROM rec_diversify(rec_recommend('taste', 1, 20), '{"model": "about"}');
CREATE TEMP TABLE top AS SELECT 'plain' AS how, item AS id, rank FROM rec_recommend('taste', 17, 6)
 UNION ALL SELECT 'mmr', id, rank FROM rec_diversify(rec_recommend('taste', 17, 30), '{"model": "about", "k": 6, "lambda": 0.7}')
 UNION ALL SELECT 'itemwise', id, rank FROM rec_diversify(rec_recommend('taste', 17, 30), '{"model": "taste", "k": 6, "lambda": 0.7}')
 UNION ALL SELECT 'xquad', id, rank FROM rec_diversify(rec_recommend('taste', 17, 30), '{"model": "about", "method": "xquad", "facet": "genres", "k": 6, "lambda": 0.7}')
 UNION ALL SELECT 'calibrated', id, rank FROM rec_diversify(rec_recommend('taste', 17, 30), '{"model": "about", "method": "calibrated", "facet": "genres", "user": 17, "k": 6, "lambda": 0.7}')
 UNION ALL SELECT 'caps', id, rank FROM rec_diversify(rec_recommend('taste', 17, 30), '{"model": "about", "caps": {"genres": 1}, "lambda": 0}');
SELECT '13 genres', how, count(DISTINCT g.value) AS n, count(*) AS of FROM top AS t JOIN films AS f ON f.film_id = t.id
  JOIN json_each('["' || replace(f.genres, '|', '","') || '"]') AS g GROUP BY how ORDER BY how;
SELECT '14 likes of a user', sum(f.genres LIKE '%Romance%') FROM rec_diversify(rec_recommend('taste', 17, 30),
  '{"model": "about", "method": "calibrated", "facet": "genres", "history": [13, 14, 18], "k": 4, "lambda": 1}') AS d JOIN films AS f ON f.film_id = d.id;
-- Through a hybrid the facets are those of its member.
SELECT '15 hybrid', count(*) FROM rec_diversify(rec_recommend('both', 1, 20), '{"model": "both", "facet": "genres", "method": "calibrated", "user": 1, "k": 5}');
SELECT '16 every user', count(*), count(DISTINCT u.user_id) FROM (SELECT DISTINCT user_id FROM ratings) AS u
  CROSS JOIN rec_diversify(rec_recommend('taste', u.user_id, 10), '{"model": "about", "k": 3}') AS d;
-- Nothing to choose from; ids alone: the order of the array is the relevance.
SELECT '17 empty', count(*) FROM rec_diversify('[]');
SELECT '18 null', count(*) FROM rec_diversify(NULL);
SELECT '19 ids', id, rank, score, mmr FROM rec_diversify('["x", 7]', '{"lambda": 0, "model": "about"}');
SELECT '20 unknown to the model', group_concat(id) FROM rec_diversify('[999, 1, "x"]', '{"model": "about"}');
SELECT '21 a stranger', count(*) FROM rec_diversify('[1, 2, 3]', '{"model": "about", "method": "calibrated", "facet": "genres", "user": 4711}');
CREATE VIEW stored AS SELECT group_concat(id) AS ids FROM rec_diversify('[1, 2, 3]', '{"model": "about", "lambda": 0}');
SELECT '22 stored view', ids FROM stored;
-- What cannot be understood is an error.
SELECT * FROM rec_diversify('[{"id":1},{"id":1}]', '{"model": "about"}');
SELECT * FROM rec_diversify('[{"score":1}]', '{"model": "about"}');
SELECT * FROM rec_diversify('{"id":1}');
SELECT * FROM rec_diversify('[1, 2');
SELECT * FROM rec_diversify('[1, 2]');
SELECT * FROM rec_diversify('[1, 2]', '{"methods": "mmr"}');
SELECT * FROM rec_diversify('[1, 2]', '{"method": "best"}');
SELECT * FROM rec_diversify('[1, 2]', '{"lambda": 2}');
SELECT * FROM rec_diversify('[1, 2]', '{"k": -1}');
SELECT * FROM rec_diversify('[1, 2]', '{"caps": {"genres": 0}}');
SELECT * FROM rec_diversify('[1, 2]', '{"caps": 3}');
SELECT * FROM rec_diversify('[1, 2]', '{"method": "xquad"}');
SELECT * FROM rec_diversify('[1, 2]', '{"method": "calibrated", "facet": "genres"}');
SELECT * FROM rec_diversify('[1, 2]', '{"method": "calibrated", "facet": "genres", "user": 1}');
SELECT * FROM rec_diversify('[1, 2]', '{"popularity": 0.5, "facet": "genres"}');
SELECT * FROM rec_diversify('[1, 2]', '{"model": "nothing"}');
SELECT * FROM rec_diversify('[{"id":1,"vector":[1,2]},{"id":2,"vector":[1]}]');
SELECT * FROM rec_diversify('[{"id":1,"vector":["x"]}]');
SELECT * FROM rec_diversify('[1]', '[2]');
