-- Scores as scalars, rec_match, rec_rrf, rec_train, rec_tools.
.read tests/fixtures/films.sql
SELECT '1 one score', count(*) FROM rec_recommend('taste', 1) WHERE abs(score - rec_cf_score('taste', 1, item)) > 1e-6;
SELECT '2 blended', count(*) FROM rec_hybrid('both', 1, NULL) WHERE abs(score - rec_hybrid_score('both', 1, item)) > 1e-6;
SELECT '3 halves', count(*) FROM rec_hybrid('both', 1, NULL) WHERE abs(cf_score - rec_cf_score('both', 1, item)) > 1e-6;
SELECT '4 users one by one', count(*) FROM (SELECT u, rec_cf_score('taste', u, 28) AS s FROM (SELECT DISTINCT user_id AS u FROM ratings)) AS a
 WHERE abs(s - (SELECT score FROM taste WHERE user = a.u AND item = 28)) > 1e-6;
SELECT '5 unknown user', typeof(rec_cf_score('taste', 999, 28)), typeof(rec_hybrid_score('both', 'nobody', 28));
SELECT '6 NULL', rec_cf_score('taste', NULL, 28), rec_cf_score('taste', 1, NULL), rec_cf_score('taste', 1, 4711), rec_hybrid_score('both', NULL, 1),
       rec_similarity('about', 1, NULL), rec_similarity('about', NULL, 1), rec_similarity('about', 1, 4711);
SELECT '7 like itself', round(rec_similarity('about', 3, 3), 3);
SELECT '8 the same taste', rec_similarity('taste', 25, 26) > rec_similarity('taste', 25, 14);
-- rec_match reads the grammar of llm_rewrite's filters.
SELECT '9 match', rec_match('{"year":{"min":1970}}', '{"year":1973}'), rec_match('{"year":{"min":1970}}', '{"year":1969}'),
       rec_match('{"year":{"max":1970}}', '{"year":1970}'), rec_match('{}', '{"year":1}');
SELECT '10 lists', rec_match('{"genres":{"any":["Horror","Crime"]}}', '{"genres":["Crime","Drama"]}'),
       rec_match('{"genres":{"all":["Horror","Crime"]}}', '{"genres":["Crime","Drama"]}'),
       rec_match('{"genres":{"none":["Horror"]}}', '{"genres":["Crime"]}'),
       rec_match('{"genres":{"none":["Crime"]}}', '{"genres":["Crime"]}');
SELECT '11 NULL facet', rec_match('{"year":{"min":1}}', '{"year":null}'), rec_match('{"year":{"max":1}}', '{}'),
       rec_match('{"genres":{"any":["Crime"]}}', '{}'), rec_match('{"genres":{"none":["Crime"]}}', '{}');
SELECT '12 raw column', rec_match('{"genres":{"all":["Horror","Crime"]}}', '{"genres":"Horror|Crime"}', 'about'),
       rec_match('{"genres":{"any":["Horror"]}}', '{"genres":"Crime"}', 'about');
SELECT '13 whole rewrite', rec_match('{"query":"x","filters":{"year":{"min":1970}}}', '{"year":1960}');
SELECT '14 NULL', rec_match(NULL, '{}'), rec_match('{}', NULL), rec_match('{}', '{}', NULL);
SELECT '15 as in a query', (SELECT count(*) FROM films WHERE rec_match('{"genres":{"any":["Sci-Fi"]},"year":{"max":1960}}',
  json_object('year', year, 'genres', genres), 'about')) = (SELECT count(*) FROM films WHERE genres LIKE '%Sci-Fi%' AND year <= 1960);
SELECT rec_match('{"colour":{"any":["red"]}}', '{}', 'about');
SELECT rec_match('{"year":', '{}');
SELECT rec_match('{}', '[1]');
SELECT rec_match('{}', 'x');
-- rec_rrf fuses ranked lists; one that lacks the item adds nothing.
SELECT '16 rrf', round(rec_rrf(r), 6) FROM (SELECT 1 AS r UNION ALL SELECT 3);
SELECT '17 weight and k0', round(rec_rrf(r, w), 6), round(rec_rrf(r, w, 10), 6) FROM (SELECT 1 AS r, 2 AS w UNION ALL SELECT 3, .5);
SELECT '18 NULL', rec_rrf(NULL), round(rec_rrf(r), 6) FROM (SELECT 1 AS r UNION ALL SELECT NULL);
WITH lists AS (SELECT item, rank FROM rec_recommend('taste', 1, 10) UNION ALL SELECT item, rank FROM rec_recommend('about', 1, 10))
SELECT '19 fused', count(*) <= 5, min(s) > 0 FROM (SELECT item, rec_rrf(rank) AS s FROM lists GROUP BY item ORDER BY s DESC LIMIT 5);
SELECT rec_rrf(0);
SELECT rec_rrf(-3.5);
SELECT rec_rrf('first');
SELECT rec_rrf(1, -1);
SELECT rec_rrf(1, 1, 'k');
-- rec_train as a function: outside a transaction, and never from the schema.
SELECT '20 report', json_valid(r), json_type(r) FROM (SELECT rec_train('taste') AS r);
SELECT '21 nested', json_type(json_object('report', rec_train('taste')), '$.report');
BEGIN;
SELECT rec_train('taste');
ROLLBACK;
CREATE VIEW training AS SELECT rec_train('taste') AS r;
SELECT * FROM training;
SELECT rec_train(NULL);
SELECT rec_train('nothing');
-- rec_tools: tool descriptions that name existing functions.
SELECT '22 tools', json_valid(rec_tools()), count(*) > 5, sum(value ->> '$.function.description' IS NULL),
       sum(json_type(value, '$.function.parameters.properties') <> 'object') FROM json_each(rec_tools());
SELECT '23 they exist', group_concat(name) FROM (SELECT value ->> '$.function.name' AS name FROM json_each(rec_tools()))
 WHERE name NOT IN (SELECT name FROM pragma_module_list UNION SELECT name FROM pragma_function_list);
-- What the rules of a model, or of a member, rule out has no score either.
CREATE VIEW shelf AS SELECT film_id FROM films WHERE film_id <> 30;
CREATE TABLE shelves(user_id INTEGER, film_id INTEGER);
INSERT INTO shelves VALUES (1, 26);
CREATE VIRTUAL TABLE ruled USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=film_id, items=films,
  eligible=shelf, owned=shelves);
CREATE VIRTUAL TABLE above USING rec_model(algorithm=hybrid, cf=ruled, content=about);
INSERT INTO ruled(ruled) VALUES ('train');
INSERT INTO above(above) VALUES ('train');
SELECT '24 ruled out', rec_cf_score('ruled', 1, 30), rec_cf_score('ruled', 1, 26), rec_hybrid_score('above', 1, 30), rec_cf_score('above', 2, 30);
SELECT '25 allowed', count(rec_cf_score('ruled', u, i)), count(rec_hybrid_score('above', u, i))
  FROM (SELECT 1 AS u, 29 AS i UNION ALL SELECT 2, 26 UNION ALL SELECT 999, 26);
