-- llm_converse: a conversation turn by turn, over the film shop.
.read tests/fixtures/films.sql
SELECT rec_train('taste') IS NULL, rec_train('about') IS NULL, rec_train('both') IS NULL;
CREATE TABLE turn(n INTEGER PRIMARY KEY, said TEXT, a TEXT);
CREATE TEMP VIEW shown AS SELECT t.n, t.said, a ->> 'action' AS action, a ->> 'facet' AS facet, a ->> 'question' AS question,
  a ->> 'reply' AS reply, (SELECT group_concat(f.title, ', ') FROM json_each(t.a, '$.items') j JOIN films f ON f.film_id = j.value ->> 'item') AS items
  FROM turn t;
CREATE TEMP TABLE talk(said TEXT); -- a row is a turn: the state of the last one goes in
CREATE TEMP TRIGGER speak AFTER INSERT ON talk BEGIN
  INSERT INTO turn(said, a) SELECT new.said, llm_converse('both', (SELECT a -> 'state' FROM turn ORDER BY n DESC LIMIT 1), new.said,
    '{"user": 3, "k": 3}'); END;

-- Every key is always there, in this order.
SELECT group_concat(key, ' ') FROM json_each(llm_converse('both', NULL, NULL));
SELECT group_concat(key, ' ') FROM json_each(llm_converse('both', NULL, NULL), '$.state');

-- It opens with a question over the values there are, and a list.
INSERT INTO talk VALUES ('hello');
SELECT action, facet, question, reply, items FROM shown WHERE n = 1;
SELECT a -> 'options' FROM turn WHERE n = 1;
SELECT value ->> 'reason' FROM turn, json_each(a, '$.items') WHERE n = 1;
-- An answer, a rejection and a comparison, a fact of the record, relaxing.
INSERT INTO talk VALUES ('horror please');
INSERT INTO talk VALUES ('Not those. A bit older');
INSERT INTO talk VALUES ('what year is the second one?');
INSERT INTO talk VALUES ('anything goes for the year');
INSERT INTO talk VALUES ('more like the last one');
-- Change of mind: the new dislike replaces the like.
INSERT INTO talk VALUES ('actually no horror');
SELECT n, said, action, facet, question, reply, items FROM shown WHERE n > 1;
SELECT value ->> 'value', value ->> 'weight' FROM turn, json_each(a, '$.state.said') WHERE n = 7 AND value ->> 'value' = 'Horror';
SELECT a -> '$.state.rejected', a -> '$.state.liked' FROM turn WHERE n = 7;
-- Nothing fits: what to give up, and what that opens.
INSERT INTO talk VALUES ('something after 2010');
INSERT INTO talk VALUES ('yes');
INSERT INTO talk VALUES ('just show me some');
INSERT INTO talk VALUES ('start over');
SELECT n, said, action, facet, question, reply, items FROM shown WHERE n > 7;
-- In one session nothing came twice, nothing that user 3 had seen came at all, and no question came twice.
SELECT count(*) = count(DISTINCT j.value ->> 'item'), count(r.film_id) FROM turn t, json_each(t.a, '$.items') j
  LEFT JOIN ratings r ON r.user_id = 3 AND r.film_id = j.value ->> 'item' AND r.rating >= 0;
SELECT count(*) = count(DISTINCT a ->> 'question') FROM turn WHERE a ->> 'question' IS NOT NULL AND n < 11;

-- The caller's filters hold whatever is said; they are not asked about.
SELECT group_concat(j.value ->> 'item') FROM json_each(llm_converse('both', NULL, 'films after 1980, anything goes for the year',
  '{"filters": {"year": {"max": 1931}}, "k": 10}'), '$.items') j;
SELECT llm_converse('both', NULL, 'hello', '{"filters": {"genres": {"any": ["Drama"]}}}') ->> 'facet';
-- The first state may carry the options; nobody in particular is answered too.
SELECT json_array_length(llm_converse('both', '{"user": 3, "k": 2}', 'hello') -> 'items');
SELECT llm_converse('both', '{"user": 3, "k": 2}', 'hello') -> '$.state.given';
SELECT json_array_length(llm_converse('both', NULL, 'hello') -> 'items'), json_array_length(llm_converse('about', NULL, '') -> 'items');
-- A pure function: the same in, the same out.
SELECT llm_converse('both', NULL, 'a comedy', '{"user": 9}') = llm_converse('both', NULL, 'a comedy', '{"user": 9}');

-- A state that is none, and other bad input.
SELECT llm_converse('both', 'x', 'hello');
SELECT llm_converse('both', '[1]', 'hello');
SELECT llm_converse('both', '{"format": "rec-converse-0"}', 'hello');
SELECT llm_converse('both', '{"colour": 1}', 'hello');
SELECT llm_converse('both', substr(a -> 'state', 1, 80), 'hello') FROM turn WHERE n = 3;
SELECT llm_converse('taste', a -> 'state', 'hello') FROM turn WHERE n = 3;
SELECT llm_converse('both', json_set(a -> 'state', '$.turn', -1), 'hello') FROM turn WHERE n = 3;
SELECT llm_converse('both', json_set(a -> 'state', '$.said[0].weight', 7), 'hello') FROM turn WHERE n = 3;
SELECT llm_converse('both', json_set(a -> 'state', '$.shown', 'all'), 'hello') FROM turn WHERE n = 3;
SELECT llm_converse('both', json_set(a -> 'state', '$.pending', 5), 'hello') FROM turn WHERE n = 3;
SELECT llm_converse('both', printf('{"format": "%.*c"}', 10000000, 'x'), 'hello');
SELECT llm_converse('both', NULL, printf('%.*c', 100000, 'x'));
SELECT llm_converse('both', NULL, 'hello', '{"k": 0}');
SELECT llm_converse('both', NULL, 'hello', '{"users": 1}');
SELECT llm_converse('both', NULL, 'hello', '{"user": [1]}');
SELECT llm_converse('both', NULL, 'hello', '{"filters": {"nosuch": {"any": ["x"]}}}');
SELECT llm_converse('both', NULL, 'hello', '{"llm": "nosuch"}');
SELECT llm_converse('nosuch', NULL, 'hello');
SELECT llm_converse(NULL, NULL, 'hello');
SELECT json_valid(llm_converse('both', NULL, CAST(x'ff00fe41' AS TEXT))), json_valid(llm_converse('both', NULL, '"; DROP TABLE films; --'));
SELECT count(*) FROM films;
-- Retrained between turns, and films that have gone: the conversation goes on.
DELETE FROM films WHERE film_id IN (SELECT value FROM turn, json_each(a, '$.state.shown') WHERE n = 2);
SELECT rec_train('taste') IS NULL, rec_train('about') IS NULL, rec_train('both') IS NULL;
SELECT json_array_length(llm_converse('both', a -> 'state', 'from the fifties', '{"user": 3, "k": 3}') -> 'items') FROM turn WHERE n = 2;
