-- sql/conversation.sql: what was said is kept in ordinary tables, and shapes later sessions and plain rec_hybrid.
.read tests/fixtures/films.sql
SELECT rec_train('taste') IS NULL, rec_train('about') IS NULL, rec_train('both') IS NULL;
.read sql/conversation.sql
INSERT INTO talk_model VALUES ('both', '{"k": 3}');
INSERT INTO talk_session(user_id) VALUES (3);
INSERT INTO talk VALUES (1, 'hello');
INSERT INTO talk VALUES (1, 'I love science fiction, but no horror');
INSERT INTO talk VALUES (1, 'more like the first one');
INSERT INTO talk VALUES (1, 'not the second one');
SELECT n, said, answer ->> 'reply', answer ->> 'question',
  (SELECT group_concat(title, ', ') FROM json_each(answer, '$.items') j JOIN films f ON f.film_id = j.value ->> 'item') FROM talk_turn ORDER BY n;
SELECT user_id, kind, key, value, weight FROM preferences ORDER BY kind, key, value;
-- The same dislike in plain rec_hybrid: no horror among the first, nor anywhere.
SELECT request FROM preference_request;
SELECT count(*), count(iif(f.genres LIKE '%Horror%', 1, NULL))
  FROM rec_hybrid('both', 3, (SELECT request FROM preference_request WHERE user_id = 3)) r JOIN films f ON f.film_id = r.item;
SELECT count(iif(f.genres LIKE '%Horror%', 1, NULL)) > 0 FROM rec_hybrid('both', 3, NULL) r JOIN films f ON f.film_id = r.item;
-- A new session begins with what is known: user 3 likes horror by history, and said otherwise.
INSERT INTO talk_session(user_id) VALUES (3);
INSERT INTO talk VALUES (2, 'hello again');
SELECT value ->> 'value', value ->> 'weight' FROM talk_turn, json_each(answer, '$.state.said') WHERE session_id = 2;
SELECT group_concat(f.genres, ', ') FROM talk_turn, json_each(answer, '$.items') j JOIN films f ON f.film_id = j.value ->> 'item' WHERE session_id = 2;
-- A change of mind replaces the row.
INSERT INTO talk VALUES (2, 'I like horror now');
SELECT weight FROM preferences WHERE value = 'Horror';
-- A session of nobody in particular writes no preferences; the caller's filters hold.
INSERT INTO talk_session(user_id) VALUES (NULL);
UPDATE talk_model SET options = '{"k": 10, "filters": {"year": {"max": 1931}}}';
INSERT INTO talk VALUES (3, 'I love comedies');
SELECT group_concat(j.value ->> 'item'), (SELECT count(*) FROM preferences WHERE user_id IS NOT 3) FROM talk_turn, json_each(answer, '$.items') j WHERE session_id = 3;
