-- Does the text of llm_profile, and nothing else of a user, retrieve what they did next? Each user's ratings are halved by time; the
-- models see first halves only. The text is read as anybody would read it: llm_rewrite finds the titles that it names, and the hybrid
-- answers for nobody in particular. Against the films that most people liked in their first halves, the user's own left out of both.
.bail on
CREATE TABLE p_rating AS SELECT user_id, movie_id, rating, rated_at, half FROM (
  SELECT *, ntile(2) OVER (PARTITION BY user_id ORDER BY rated_at, movie_id) AS half FROM ratings);
CREATE VIEW p_first AS SELECT user_id, movie_id, rating, rated_at FROM p_rating WHERE half = 1;
CREATE INDEX p_rating_user ON p_rating(user_id, movie_id);
CREATE VIRTUAL TABLE p_taste USING rec_model(algorithm=als, factors=64, alpha0=0.05, lambda=0.01, interactions=p_first, user=user_id, item=movie_id,
  time=rated_at, feedback=implicit, positive='rating >= 3.5', items=movies, title=title);
CREATE VIRTUAL TABLE p_about USING rec_model(algorithm=content, items=movies, item=movie_id, title=title, text='title, overview, tags',
  facets='genres[|], year, language, runtime', interactions=p_first, user=user_id, value=rating, time=rated_at, feedback=explicit);
CREATE VIRTUAL TABLE p_reader USING rec_model(algorithm=hybrid, cf=p_taste, content=p_about, gate='weighted(.7)');
INSERT INTO p_taste(p_taste) VALUES ('train');
INSERT INTO p_about(p_about) VALUES ('train');
INSERT INTO p_reader(p_reader) VALUES ('train');
CREATE TEMP TABLE reader AS SELECT user_id, count(*) AS n FROM p_rating WHERE half = 2 AND rating >= 4 GROUP BY 1 ORDER BY user_id % 7, user_id LIMIT 200;
CREATE TEMP TABLE said AS SELECT user_id, n, llm_profile('p_about', user_id) AS text FROM reader;
CREATE TEMP TABLE request AS SELECT user_id, n, text, json_remove(llm_rewrite(text, 'p_reader'), '$.filters', '$.exclude') AS q FROM said;
CREATE TEMP TABLE popular AS SELECT movie_id, row_number() OVER (ORDER BY count(*) DESC, movie_id) AS place FROM p_first WHERE rating >= 3.5 GROUP BY 1;
CREATE TEMP TABLE list AS
  SELECT 'popular' AS way, user_id, movie_id FROM (SELECT user_id, movie_id, row_number() OVER (PARTITION BY user_id ORDER BY place) AS nth
    FROM reader CROSS JOIN popular p WHERE place < 3000 AND NOT EXISTS (SELECT 1 FROM p_rating x WHERE x.user_id = reader.user_id AND x.movie_id = p.movie_id AND half = 1)) WHERE nth <= 20
  UNION ALL
  SELECT 'profile', user_id, item FROM (SELECT user_id, item, row_number() OVER (PARTITION BY user_id ORDER BY rank) AS nth
    FROM request CROSS JOIN rec_hybrid('p_reader', NULL, q, 400) h
   WHERE NOT EXISTS (SELECT 1 FROM p_rating x WHERE x.user_id = request.user_id AND x.movie_id = h.item AND half = 1)) WHERE nth <= 20
  UNION ALL
  SELECT 'words', user_id, item FROM (SELECT user_id, item, row_number() OVER (PARTITION BY user_id ORDER BY rank) AS nth
    FROM request CROSS JOIN rec_hybrid('p_about', NULL, text, 400) h
   WHERE NOT EXISTS (SELECT 1 FROM p_rating x WHERE x.user_id = request.user_id AND x.movie_id = h.item AND half = 1)) WHERE nth <= 20;
CREATE TEMP TABLE score AS SELECT user_id,
    (SELECT count(*) FROM list l JOIN p_rating r USING (user_id, movie_id) WHERE way = 'popular' AND l.user_id = reader.user_id AND half = 2 AND rating >= 4) * 1.0 / min(n, 20) AS popular,
    (SELECT count(*) FROM list l JOIN p_rating r USING (user_id, movie_id) WHERE way = 'profile' AND l.user_id = reader.user_id AND half = 2 AND rating >= 4) * 1.0 / min(n, 20) AS profile,
    (SELECT count(*) FROM list l JOIN p_rating r USING (user_id, movie_id) WHERE way = 'words' AND l.user_id = reader.user_id AND half = 2 AND rating >= 4) * 1.0 / min(n, 20) AS words
  FROM reader;
SELECT printf('profile: recall@20 of the second half %.4f (words alone %.4f), popularity %.4f, difference %+.4f +- %.4f (95 %%), %d users, %.0f bytes a text', avg(profile), avg(words), avg(popular),
  avg(profile - popular), 1.96 * sqrt((avg((profile - popular) * (profile - popular)) - avg(profile - popular) * avg(profile - popular)) / count(*)), count(*),
  (SELECT avg(length(text)) FROM said)) FROM score;
