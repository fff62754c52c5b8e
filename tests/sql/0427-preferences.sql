-- preferences=: what users say of their taste, as rows; every model takes them into account when it is asked.
.read tests/fixtures/films.sql
CREATE TABLE my_prefs(user INTEGER, kind TEXT, key, value, weight REAL);
CREATE INDEX my_prefs_user ON my_prefs(user);
CREATE VIRTUAL TABLE plain USING rec_model(algorithm=itemknn, interactions=ratings, user=user_id, item=film_id, items=films,
  title=title, facets='genres[|], year', preferences=my_prefs, positive='rating >= 3');
CREATE VIRTUAL TABLE words USING rec_model(algorithm=content, items=films, item=film_id, title=title,
  text='title, genres, overview', facets='genres[|], year', embedder='lsa(16)', preferences=my_prefs,
  interactions=ratings, user=user_id, value=rating, time=rated_at, feedback=explicit);
CREATE VIRTUAL TABLE blend USING rec_model(algorithm=hybrid, cf=taste, content=about, gate='weighted(.5)', preferences=my_prefs);
SELECT 'trained', rec_train('taste') ->> 'model', rec_train('about') ->> 'model', rec_train('plain') ->> 'model', rec_train('words') ->> 'model',
  rec_train('blend') ->> 'model';
CREATE TEMP TABLE before AS SELECT 'plain' AS model, item, score, rank FROM rec_recommend('plain', 1)
 UNION ALL SELECT 'words', item, score, rank FROM rec_recommend('words', 1) UNION ALL SELECT 'blend', item, score, rank FROM rec_recommend('blend', 1);
-- Without rows nothing changes.
SELECT '1 no rows', count(*) FROM before AS b CROSS JOIN rec_recommend(b.model, 1) AS r WHERE r.item = b.item AND r.rank = b.rank AND b.rank <= 3;

-- A facet: items that have it rise, in every model; the others keep their scores.
INSERT INTO my_prefs VALUES (1, 'facet', 'genres', 'Comedy', 1);
SELECT '2 comedies rise', b.model, min(iif(f.genres LIKE '%Comedy%', r.score > b.score, round(r.score - b.score, 5) = 0)) AS as_said
  FROM before AS b CROSS JOIN rec_recommend(b.model, 1) AS r ON r.item = b.item CROSS JOIN films AS f ON f.film_id = r.item GROUP BY b.model ORDER BY 2;
SELECT '3 only theirs', count(*) FROM rec_user('plain', 2) WHERE kind = 'preference';
SELECT '4 in the list', sum(f.genres LIKE '%Comedy%') FROM rec_recommend('plain', 1, 5) AS r JOIN films AS f ON f.film_id = r.item;
SELECT '5 as a relation', (SELECT group_concat(item) FROM (SELECT item FROM plain WHERE user = 1 AND seen = 0 ORDER BY score DESC LIMIT 5)) =
  (SELECT group_concat(item) FROM rec_recommend('plain', 1, 5));
UPDATE my_prefs SET weight = -1;
SELECT '6 and fall', sum(f.genres LIKE '%Comedy%') FROM rec_recommend('plain', 1, 8) AS r JOIN films AS f ON f.film_id = r.item;

-- Numbers: a value, and ranges open on either side.
CREATE TEMP TABLE ranges(value);
INSERT INTO ranges VALUES ('1931'), ('1950..1959'), ('..1935'), ('1978..'), (1931), ('x'), ('..');
SELECT '7 ranges', r.value, (SELECT group_concat(year) FROM (SELECT DISTINCT f.year FROM films AS f
    WHERE CASE r.value WHEN '1931' THEN f.year = 1931 WHEN 1931 THEN f.year = 1931 WHEN '1950..1959' THEN f.year BETWEEN 1950 AND 1959
      WHEN '..1935' THEN f.year <= 1935 WHEN '1978..' THEN f.year >= 1978 ELSE 0 END ORDER BY 1)) AS meant FROM ranges AS r;
DELETE FROM my_prefs;
INSERT INTO my_prefs VALUES (1, 'facet', 'year', '..1935', 1);
SELECT '8 ..1935', min((f.year <= 1935) = (r.score > b.score + 1e-6)) FROM before AS b CROSS JOIN rec_recommend('plain', 1) AS r ON r.item = b.item
  CROSS JOIN films AS f ON f.film_id = b.item WHERE b.model = 'plain';
UPDATE my_prefs SET value = '1950..1959';
SELECT '9 fifties', min((f.year BETWEEN 1950 AND 1959) = (r.score > b.score + 1e-6)) FROM before AS b CROSS JOIN rec_recommend('plain', 1) AS r ON r.item = b.item
  CROSS JOIN films AS f ON f.film_id = b.item WHERE b.model = 'plain';
UPDATE my_prefs SET value = 1931;
SELECT '10 1931', min((f.year = 1931) = (r.score > b.score + 1e-6)) FROM before AS b CROSS JOIN rec_recommend('plain', 1) AS r ON r.item = b.item
  CROSS JOIN films AS f ON f.film_id = b.item WHERE b.model = 'plain';

-- An item: liked it is a row of the history that was not seen; refused it is never shown.
DELETE FROM my_prefs;
INSERT INTO my_prefs VALUES (1, 'item', 28, NULL, 1), (1, 'item', '29', NULL, 1), (1, 'item', 1, NULL, -1), (1, 'item', 4711, NULL, 1);
SELECT '11 alike', sum(f.genres LIKE '%Sci-Fi%') > (SELECT sum(g.genres LIKE '%Sci-Fi%') FROM before AS b JOIN films AS g ON g.film_id = b.item
    WHERE b.model = 'plain' AND b.rank <= 8) FROM rec_recommend('plain', 1, 8) AS r JOIN films AS f ON f.film_id = r.item;
SELECT '12 not seen', item, seen FROM plain WHERE user = 1 AND item IN (28, 29) ORDER BY item;
SELECT '13 refused', m.column1, (SELECT count(*) FROM rec_recommend(m.column1, 1) WHERE item = 1), rec_hybrid_score(m.column1, 1, 1) IS NULL
  FROM (VALUES ('plain'), ('words'), ('blend')) AS m;
SELECT '14 why not', reason, detail FROM rec_why_not('plain', 1, 1) WHERE reason <> 'seen';
SELECT '15 others see it', count(*) FROM rec_recommend('plain', 20) WHERE item = 1;
CREATE TEMP TABLE eight AS SELECT score FROM rec_recommend('words', 9) WHERE item = 8;
INSERT INTO my_prefs VALUES (9, 'item', 4, NULL, -.9);
SELECT '16 a dislike', r.score < e.score FROM rec_recommend('words', 9) AS r, eight AS e WHERE r.item = 8;
SELECT '17 they know', kind, key, title, weight, source FROM rec_user('words', 9) WHERE kind = 'preference';

-- A word: items whose texts have it, or that FTS5 finds where the model has lexical=.
DELETE FROM my_prefs;
INSERT INTO my_prefs VALUES (20, 'word', NULL, 'vampire', 1);
CREATE TEMP TABLE without AS SELECT item, score FROM rec_recommend('about', 20);
SELECT '18 word', min(r.score > w.score) FROM rec_recommend('words', 20) AS r JOIN without AS w ON w.item = r.item WHERE r.item IN (1, 3, 35);
SELECT '19 word', count(*) > 0 FROM rec_recommend('blend', 20, 6) WHERE item IN (1, 3, 35);
SELECT '20 others stay', count(*) FROM rec_recommend('words', 20) AS r JOIN without AS w ON w.item = r.item WHERE round(r.score - w.score, 5) <> 0;

CREATE VIRTUAL TABLE films_fts USING fts5(title, overview, content=films, content_rowid=film_id);
INSERT INTO films_fts(films_fts) VALUES ('rebuild');
CREATE VIRTUAL TABLE read USING rec_model(algorithm=hybrid, cf=taste, content=about, gate='weighted(.5)', lexical=films_fts, preferences=my_prefs);
SELECT '20a lexical', rec_train('read') ->> 'model';
SELECT '20a lexical', group_concat(item) FROM (SELECT r.item FROM rec_recommend('read', 20) AS r JOIN rec_recommend('both', 20) AS b ON b.item = r.item
  WHERE r.score > b.score + 1e-6 ORDER BY r.item);

-- What they know of a user, and what made a score.
INSERT INTO my_prefs VALUES (20, 'facet', 'genres', 'romance', .5), (20, 'item', 13, NULL, .5);
SELECT '21 user', kind, key, title, weight, source FROM rec_user('words', 20) WHERE kind = 'preference';
SELECT '22 explain', kind, key, title, weight > 0 FROM rec_explain('words', 20, 35) WHERE kind = 'preference' ORDER BY key;

-- Lists of all users at once obey as well.
INSERT INTO my_prefs VALUES (3, 'facet', 'genres', 'Crime', 1), (4, 'item', 2, NULL, -1);
SELECT '23 all users', m.column1, (SELECT count(*) FROM (SELECT user, item, rank FROM plain WHERE m.column1 = 'plain' AND k = 4 AND seen = 0
    UNION ALL SELECT user, item, rank FROM words WHERE m.column1 = 'words' AND k = 4 AND seen = 0
    UNION ALL SELECT user, item, rank FROM blend WHERE m.column1 = 'blend' AND k = 4 AND seen = 0) AS a
  JOIN (SELECT DISTINCT user_id FROM ratings) AS u ON u.user_id = a.user CROSS JOIN rec_recommend(m.column1, u.user_id, 4) AS r ON r.item = a.item AND r.rank = a.rank) AS same
  FROM (VALUES ('plain'), ('words'), ('blend')) AS m;

-- Rows without a user hold for everybody; a table without the column as well, and then for nobody in particular too.
INSERT INTO my_prefs VALUES (NULL, 'item', 19, NULL, -1);
SELECT '24 everybody', count(*) FROM (SELECT DISTINCT user_id FROM ratings) AS u CROSS JOIN rec_recommend('words', u.user_id) AS r WHERE r.item = 19;
CREATE TABLE ours(kind, key, value, weight);
INSERT INTO words(words) VALUES ('preferences=ours');
INSERT INTO ours SELECT kind, key, value, weight FROM llm_preferences('I love space films, I hate horror! I hated Psycho. Something before 1960 would be nice.', 'words');
SELECT '25 rows', kind, key, value, weight FROM ours;
SELECT '26 obeyed', sum(f.genres LIKE '%Horror%') FROM rec_recommend('words', 12, 6) AS r JOIN films AS f ON f.film_id = r.item;
SELECT '27 nobody', count(*), sum(f.genres LIKE '%Horror%') FROM rec_hybrid('words', NULL, 'a film', 6) AS r JOIN films AS f ON f.film_id = r.item;
SELECT '28 history', sum(f.genres LIKE '%Horror%') FROM (SELECT item FROM words WHERE history = '[28]' AND seen = 0 ORDER BY score DESC LIMIT 6) AS r JOIN films AS f ON f.film_id = r.item;
-- A hybrid takes the rows of its members' tables too, once.
SELECT '29 member', count(*) FROM rec_user('blend', 20) WHERE kind = 'preference';
CREATE VIRTUAL TABLE over USING rec_model(algorithm=hybrid, a=words, b=plain, gate='weighted(.5)');
SELECT '30 member', rec_train('over') ->> 'model';
SELECT '30 member', count(*), count(DISTINCT key) FROM rec_user('over', 20) WHERE kind = 'preference';

-- What cannot be understood is an error; what is not known is left out.
DELETE FROM ours;
INSERT INTO ours VALUES ('facet', 'colour', 'red', 1), ('item', 'x', NULL, 1), (NULL, 1, NULL, 1), ('item', 1, NULL, NULL), ('word', NULL, 'qqqq', 1);
SELECT '31 unknown', count(*) FROM rec_recommend('words', 12);
INSERT INTO ours VALUES ('genre', 'x', 'y', 1);
SELECT * FROM rec_recommend('words', 12);
UPDATE ours SET kind = 'facet', weight = 2 WHERE kind = 'genre';
SELECT * FROM rec_recommend('words', 12);
UPDATE ours SET weight = 'much';
SELECT * FROM rec_recommend('words', 12);
DROP TABLE ours;
SELECT * FROM rec_recommend('words', 12);
CREATE TABLE narrow(kind, key);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=film_id, preferences=narrow);
CREATE VIRTUAL TABLE bad USING rec_model(algorithm=als, interactions=ratings, user=user_id, item=film_id, preferences=nowhere);
INSERT INTO words(words) VALUES ('preferences=');
SELECT '32 taken away', count(*) FROM rec_recommend('words', 12);
-- rec_evaluate speaks of what people did, not of what they say.
SELECT '33 evaluate', count(*) FROM rec_evaluate('plain', '{"metrics": "recall"}');
