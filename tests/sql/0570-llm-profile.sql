-- llm_profile: what somebody likes, out of what they had; every claim comes with the items that it rests on.
.read tests/fixtures/films.sql
SELECT rec_train('taste') IS NOT NULL, rec_train('about') IS NOT NULL;
SELECT llm_profile('about', 3);
SELECT llm_profile('both', 20);
-- A model without words and facets: the titles alone.
SELECT llm_profile('taste', 12);
SELECT value ->> 'claim', value -> 'items' FROM json_each(llm_profile('both', 20, '{"form": "json"}'), '$.claims');
SELECT p ->> 'status', p ->> 'model', p ->> 'prompt_version', length(p ->> 'source_hash'), p ->> 'error', p ->> 'text' = llm_profile('both', 20)
  FROM (SELECT llm_profile('both', 20, '{"form": "json"}') AS p);
-- Every item that a claim names is in the history of the user.
SELECT count(*) FROM json_each(llm_profile('both', 20, '{"form": "json"}'), '$.claims') c, json_each(c.value, '$.items') i
 WHERE i.value NOT IN (SELECT film_id FROM ratings WHERE user_id = 20);
-- Somebody new gets a text with their first rows; the hash follows the history.
INSERT INTO ratings VALUES (99, 29, 5, 1800000000);
SELECT llm_profile('about', 99);
CREATE TEMP TABLE before AS SELECT llm_profile('about', 99, '{"form": "json"}') ->> 'source_hash' AS h;
INSERT INTO ratings VALUES (99, 27, 5, 1800000001);
SELECT llm_profile('about', 99), h <> llm_profile('about', 99, '{"form": "json"}') ->> 'source_hash' FROM before;
SELECT llm_profile('about', 12345) IS NULL, llm_profile('about', NULL) IS NULL;
SELECT llm_profile_request('about', 99) -> '$.messages[1]';
SELECT llm_profile('nosuch', 1);
SELECT llm_profile(NULL, 1);
SELECT llm_profile('about', 1, '{"form": "xml"}');
SELECT llm_profile('about', 1, '[]');
CREATE VIEW v AS SELECT llm_profile('about', 1);
SELECT * FROM v;
