-- Thirty fixed sentences through the whole pipeline, for two users of disjoint taste: 309 and 210 (run by movielens.sh).
CREATE TEMP TABLE sentence(id INTEGER PRIMARY KEY, text TEXT);
INSERT INTO sentence(text) VALUES
 ('a darker film in the spirit of Spirited Away, after 2005'),
 ('comedies from the 90s'),
 ('science fiction before 1980'),
 ('something like The Matrix but not a thriller'),
 ('a french film'),
 ('romantic comedy under 100 minutes'),
 ('horror from the eighties'),
 ('animated films for children since 2000'),
 ('western'),
 ('a documentary about music'),
 ('a war movie between 1955 and 1985'),
 ('mystery or crime, no horror'),
 ('films like Toy Story'),
 ('space adventure with robots'),
 ('japanese animation'),
 ('a long epic over 150 minutes'),
 ('musicals of the sixties'),
 ('film noir'),
 ('fantasy without animation after 2001'),
 ('drama about a family in the 1970s'),
 ('action movies newer than 2010'),
 ('spanish language drama'),
 ('a heist in a casino'),
 ('thriller from 1995 to 1999, not action'),
 ('something in the spirit of Pulp Fiction'),
 ('vampires'),
 ('IMAX adventure'),
 ('children and family, exactly 1995'),
 ('a courtroom drama'),
 ('an alien invasion, except comedies');
CREATE TEMP TABLE reader_of(user_id INTEGER PRIMARY KEY);
INSERT INTO reader_of VALUES (309), (210);
CREATE TEMP TABLE request AS SELECT id, text, llm_rewrite(text, 'reader') AS q FROM sentence;
CREATE TEMP TABLE fits AS SELECT s.id, m.movie_id FROM request s CROSS JOIN movies m WHERE m.in_stock
  AND rec_match(s.q -> 'filters', json_object('year', m.year, 'genres', m.genres, 'language', m.language,
                                              'runtime', m.runtime), 'reader');
CREATE INDEX temp.fits_id ON fits(id, movie_id);
CREATE TEMP TABLE answer AS
  SELECT s.id, u.user_id, x.rank, x.id AS movie_id, x.status
    FROM request s CROSS JOIN reader_of u CROSS JOIN llm_rerank(s.q ->> 'query',
      (SELECT json_group_array(json_object('id', id, 'title', title, 'genres', genres, 'overview', overview, 'score', score))
         FROM (SELECT r.item AS id, m.title, m.genres, m.overview, r.score
                 FROM rec_hybrid('reader', u.user_id, s.q) r CROSS JOIN movies m ON m.movie_id = r.item
                WHERE m.in_stock = 1 ORDER BY r.rank LIMIT 50))) AS x
   WHERE x.rank <= 10;
CREATE TEMP TABLE broken(what TEXT, id INTEGER, detail TEXT);
INSERT INTO broken SELECT 'filter', a.id, s.q ->> 'filters' || ' fails in ' || a.movie_id
  FROM answer a JOIN request s USING (id) WHERE NOT EXISTS (SELECT 1 FROM fits f WHERE f.id = a.id AND f.movie_id = a.movie_id);
INSERT INTO broken SELECT 'consumed', a.id, m.title FROM answer a JOIN ratings r USING (user_id, movie_id) JOIN movies m USING (movie_id);
INSERT INTO broken SELECT 'stock', a.id, m.title FROM answer a JOIN movies m USING (movie_id) WHERE m.in_stock = 0;
INSERT INTO broken SELECT 'rows', s.id, 'user ' || u.user_id || ' got ' || count(a.movie_id)
  FROM request s CROSS JOIN reader_of u LEFT JOIN answer a ON a.id = s.id AND a.user_id = u.user_id
 GROUP BY s.id, u.user_id
HAVING count(a.movie_id) < min(10, (SELECT count(*) FROM fits f WHERE f.id = s.id
         AND NOT EXISTS (SELECT 1 FROM ratings r WHERE r.user_id = u.user_id AND r.movie_id = f.movie_id)));
INSERT INTO broken SELECT 'twice', id, 'user ' || user_id FROM answer GROUP BY id, user_id, movie_id HAVING count(*) > 1;
-- Two people of disjoint taste get different lists, unless fewer than 150 films in stock pass the filters of the sentence.
CREATE TEMP TABLE choice AS SELECT id, count(*) AS n FROM fits GROUP BY id;
INSERT INTO broken SELECT 'same list', a.id, count(*) || ' of 10 shared'
  FROM answer a JOIN answer b ON a.id = b.id AND a.movie_id = b.movie_id AND a.user_id < b.user_id
  JOIN choice c ON c.id = a.id AND c.n >= 150
 GROUP BY a.id HAVING count(*) > 5;
SELECT 'sentences with a choice: ' || count(*) FROM choice WHERE n >= 150;
-- The sentences must have been understood at all: at least 22 of 30 carry a filter, a liked film or an exclusion.
INSERT INTO broken SELECT 'understood', NULL, n || ' of 30' FROM (SELECT count(*) AS n FROM request
  WHERE q ->> 'filters' <> '{}' OR q ->> 'like_items' <> '[]' OR q ->> 'exclude' <> '[]') WHERE n < 22;
SELECT what, id, detail FROM broken;
SELECT 'answers: ' || count(*) FROM answer;
SELECT 'broken: ' || count(*) FROM broken;
