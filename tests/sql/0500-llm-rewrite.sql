-- llm_rewrite with no server: the rules and the catalogue's own vocabulary.
CREATE TABLE movies(movie_id INTEGER PRIMARY KEY, title TEXT, genres TEXT, year INTEGER, overview TEXT);
INSERT INTO movies VALUES
  (5618, 'Spirited Away (2001)', 'Adventure|Animation|Fantasy', 2001, 'A girl works in a bathhouse for spirits.'),
  (318, 'Shawshank Redemption, The (1994)', 'Crime|Drama', 1994, 'Two men in prison keep hope.'),
  (588, 'Aladdin (1992)', 'Animation|Children|Comedy|Musical', 1992, 'A thief finds a lamp and sings.'),
  (1210, 'Star Wars: Episode VI - Return of the Jedi (1983)', 'Action|Adventure|Sci-Fi', 1983, 'A war in space ends.'),
  (7361, 'Eternal Sunshine of the Spotless Mind (2004)', 'Drama|Romance|Sci-Fi', 2004, 'Two lovers forget each other.'),
  (50872, 'Ratatouille (2007)', 'Animation|Children|Drama', 2007, 'A rat cooks in Paris.');
CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, items=movies, item=movie_id, title=title,
  text='title, overview', facets='genres[|], year', embedder=lsa(8));
SELECT rec_train('about') IS NOT NULL;

-- Every key is always there, in this order.
SELECT group_concat(key, ' ') FROM json_each(llm_rewrite(''));
SELECT group_concat(key, ' ') FROM json_each(llm_rewrite('films after 2005', 'about'));
SELECT llm_rewrite('');

-- Without a model there are no filters; with one, its facets are the vocabulary.
SELECT llm_rewrite('animated films after 2000') ->> 'filters';
SELECT llm_rewrite('animated films after 2000', 'about') ->> 'filters';
SELECT llm_rewrite('dramas from the 90s, but no romance', 'about') ->> 'filters';
SELECT llm_rewrite('something like Spirited Away', 'about') ->> 'like_items';
SELECT llm_rewrite('something like Spirited Away', NULL) ->> 'like_items';
SELECT json_valid(q), q ->> 'status', q ->> 'error' FROM (SELECT llm_rewrite('a ''quoted" \ film', 'about') AS q);

-- Earlier turns are laid under the newest.
SELECT llm_rewrite('and not animated', 'about', '{"context": "films after 1990"}') ->> 'filters';
SELECT llm_rewrite('before 1990', 'about', '{"context": ["dramas of 2004", {"role": "assistant", "content": "musicals"}]}') ->> 'filters';

-- A comparative compares with what was said before, indifference takes it back; alone both change nothing.
SELECT llm_rewrite('older ones, and not animated', 'about', '{"context": "dramas from the 90s"}') ->> 'filters';
SELECT llm_rewrite('something newer', 'about', '{"context": "dramas before 1980"}') ->> 'filters';
SELECT llm_rewrite('any year is fine', 'about', '{"context": ["dramas from the 90s"]}') ->> 'filters';
SELECT llm_rewrite('forget the genre, shorter ones', 'about', '{"context": ["dramas from the 90s"]}') ->> 'filters';
SELECT q ->> 'filters', q ->> 'needs_clarification' FROM (SELECT llm_rewrite('fewer of those', 'about', '{"context": ["dramas from the 90s"]}') AS q);
SELECT q ->> 'like_items', q ->> 'needs_clarification' FROM (SELECT llm_rewrite('more like that', 'about', '{"context": "something like Aladdin"}') AS q);
SELECT llm_rewrite('older ones', 'about') ->> 'filters';

-- NULL in, NULL out; wrong arguments are named.
SELECT llm_rewrite(NULL) IS NULL, llm_rewrite(NULL, 'about', NULL) IS NULL;
SELECT llm_rewrite(42);
SELECT llm_rewrite('x', 'nosuch') IS NULL;
SELECT llm_rewrite('x', 7);
SELECT llm_rewrite('x', NULL, '{"contex": []}');
SELECT llm_rewrite('x', NULL, '[1]');
SELECT llm_rewrite('x', NULL, '{"a"');
SELECT llm_rewrite('x', NULL, '{"llm": "gpt"}');
SELECT llm_rewrite('x', NULL, 3);
SELECT llm_complete('hello');

-- DIRECTONLY: neither a view nor a trigger of a file may call it; a TEMP view may.
CREATE VIEW v AS SELECT llm_rewrite('x') AS q;
SELECT * FROM v;
CREATE TEMP VIEW tv AS SELECT llm_rewrite('x') ->> 'status' AS s;
SELECT * FROM tv;
CREATE TABLE log(q);
CREATE TRIGGER tr AFTER INSERT ON log BEGIN SELECT llm_complete(new.q); END;
INSERT INTO log VALUES ('x');
