-- Arguments of every function over models: missing, NULL, of the wrong type, unknown.
.read tests/fixtures/films.sql
-- Missing.
SELECT * FROM rec_recommend;
SELECT * FROM rec_recommend('taste');
SELECT * FROM rec_hybrid('both', 1);
SELECT * FROM rec_similar('taste');
SELECT * FROM rec_similar_users();
SELECT * FROM rec_explain('taste', 1);
SELECT * FROM rec_user('taste');
SELECT * FROM rec_why_not('taste', 1);
SELECT rec_recommend('taste');
SELECT rec_recommend('taste', 1, 2, 3);
-- The model: NULL, a number, a BLOB, unknown, an ordinary table.
SELECT * FROM rec_recommend(NULL, 1);
SELECT * FROM rec_recommend(7, 1);
SELECT * FROM rec_similar(x'00', 1);
SELECT * FROM rec_user('nothing', 1);
SELECT * FROM rec_hybrid('films', 1, NULL);
SELECT rec_cf_score('nothing', 1, 1);
SELECT rec_similarity(NULL, 1, 1);
SELECT rec_reason(1.5, 1, 1);
-- k.
SELECT * FROM rec_recommend('taste', 1, -1);
SELECT count(*) > 3, count(*) = (SELECT count(*) FROM rec_recommend('taste', 1)) FROM rec_recommend('taste', 1, 9223372036854775807);
SELECT count(*) = (SELECT count(*) FROM taste) FROM taste WHERE k = 1e300;
SELECT * FROM rec_recommend('taste', 1, 2.5);
SELECT * FROM rec_recommend('taste', 1, 'many');
SELECT * FROM rec_similar('taste', 1, x'01');
-- Keys: a BLOB is an error, anything else is at worst unknown.
SELECT * FROM rec_recommend('taste', x'01');
SELECT * FROM rec_similar('taste', x'01');
SELECT rec_cf_score('taste', 1, x'01');
SELECT * FROM rec_explain('taste', x'01', 1);
SELECT '1 unknown', (SELECT count(*) FROM rec_similar('taste', 'x')), (SELECT count(*) FROM rec_similar('taste', 1.5)),
       (SELECT count(*) FROM rec_recommend('taste', 1e300, 3)), (SELECT count(*) FROM rec_recommend('taste', '', 3));
-- Queries and filters.
SELECT * FROM rec_hybrid('both', 1, 42);
SELECT * FROM rec_hybrid('both', 1, x'00');
-- No sentence begins with a brace: an object cut short would lose its filters.
SELECT * FROM rec_hybrid('both', 1, '{ not json', 3);
SELECT * FROM rec_hybrid('both', 1, '{"query":"a robot","filters":{"year":{"min":1970}}', 3);
SELECT '3 empty', count(*) FROM rec_hybrid('both', 1, '', 3);
SELECT * FROM rec_why_not('about', 1, 2, 'x');
SELECT * FROM rec_why_not('about', 1, 2, 5);
SELECT * FROM rec_hybrid('both', 1, '{"query":"x","filters":{"year":{"min":"old"}}}');
SELECT * FROM rec_hybrid('both', 1, '{"query":"x","filters":[]}');
-- A model that has not been trained.
CREATE VIRTUAL TABLE young USING rec_model(algorithm=popularity, interactions=ratings, user=user_id, item=film_id);
SELECT * FROM rec_recommend('young', 1);
SELECT rec_cf_score('young', 1, 1);
-- Hidden columns are the arguments; their names do not collide with those of a joined table.
SELECT group_concat(name || ' ' || hidden, ', ') FROM pragma_table_xinfo('rec_similar_users');
SELECT '4 by name', count(*) FROM rec_recommend WHERE arg_model = 'taste' AND arg_user = 1 AND arg_k = 3;
SELECT '5 IN', count(*) FROM rec_recommend WHERE arg_model = 'taste' AND arg_user IN (1, 2) AND arg_k = 3;
SELECT '6 no ambiguity', count(*) FROM (SELECT 1 AS user, 'taste' AS model) CROSS JOIN rec_recommend(model, user, 3);
SELECT '7 eponymous only', count(*) FROM pragma_module_list WHERE name LIKE 'rec%recommend';
CREATE VIRTUAL TABLE mine USING rec_recommend;
