-- llm_preferences: what a conversation says about taste. Every quote is the user's own words.
.read tests/fixtures/films.sql
CREATE VIRTUAL TABLE said USING rec_model(algorithm=content, items=films, item=film_id, title=title,
  text='title, overview', facets='genres[|], year', embedder=lsa(8));
SELECT rec_train('said') IS NOT NULL;

-- A transcript as people paste it. What is said later about a thing replaces what was said before; the other side counts for nothing.
SELECT kind, key, value, weight, quote FROM llm_preferences('User: I adore Alien and Solaris, but please no clowns. Comedies are fine.
Assistant: Do you like crime films? I love Psycho.
User: I hate horror! Something before 1960 would be nice; I love haunted houses. I hated Psycho.
User: actually horror is ok', 'said');

-- The same as JSON, with roles. Clauses that turn are read apart.
SELECT kind, key, value, weight, quote, status FROM llm_preferences(
  '[{"role": "user", "content": "more science fiction, fewer romances, no Alien"}, {"role": "assistant", "content": "I love comedies"}, "hello, thanks!"]', 'said');

-- Without a model there is no vocabulary: words only.
SELECT kind, key, value, weight FROM llm_preferences('I love vampires and I can''t stand clowns');
SELECT count(*) FROM llm_preferences(NULL);
SELECT count(*) FROM llm_preferences('', 'said');
SELECT count(*) FROM llm_preferences(42);
SELECT count(*) FROM llm_preferences('[{"text": "x"}]');
SELECT count(*) FROM llm_preferences('x', 'said', '{"lm": 1}');
SELECT llm_preferences_request('I love Alien', 'said') -> '$.messages[1]';

-- DIRECTONLY.
CREATE VIEW v AS SELECT * FROM llm_preferences('x');
SELECT * FROM v;
