-- Who is user 42? The films they liked best, and the genres they keep coming back to.
SELECT kind, title, key, round(weight, 2) AS weight FROM rec_user('reader', 42) ORDER BY kind DESC, weight DESC LIMIT 8;

-- What is near "Spirited Away" (5618)?
SELECT s.rank, m.title, round(s.score, 2) AS score FROM rec_similar('about', 5618, 8) AS s
  JOIN movies AS m ON m.movie_id = s.item ORDER BY s.rank;

-- Ten films for user 42 that they have not seen, each with its reason.
SELECT r.rank, m.title, rec_reason('reader', 42, r.item) AS reason
  FROM rec_recommend('reader', 42, 10) AS r JOIN movies AS m ON m.movie_id = r.item ORDER BY r.rank;

-- The same question as a relation, filtered by ordinary SQL: comedies of the nineties.
SELECT m.title, round(t.score, 2) AS score FROM taste AS t JOIN movies AS m ON m.movie_id = t.item
 WHERE t.user = 42 AND t.seen = 0 AND m.year BETWEEN 1990 AND 1999 AND m.genres LIKE '%Comedy%'
 ORDER BY t.score DESC LIMIT 5;

-- Nobody knows user 100000: the row says where the answer comes from.
SELECT r.rank, m.title, r.source FROM rec_recommend('reader', 100000, 5) AS r
  JOIN movies AS m ON m.movie_id = r.item ORDER BY r.rank;

-- A sentence becomes a structured request; every value is in the catalogue, every number follows from the text.
SELECT llm_rewrite('a darker film in the spirit of Spirited Away, after 2005', 'reader') AS request;

-- The whole pipeline: rewrite, retrieve from both models with the filters inside the top k, apply a rule of our
-- own, rerank the fifty, say why.
WITH ask AS MATERIALIZED (SELECT llm_rewrite('a darker film in the spirit of Spirited Away, after 2005', 'reader') AS q),
found AS MATERIALIZED (
  SELECT r.item AS id, m.title, m.genres, m.overview, r.score
    FROM rec_hybrid('reader', 42, (SELECT q FROM ask)) AS r
    CROSS JOIN movies AS m ON m.movie_id = r.item
   WHERE m.in_stock = 1
   ORDER BY r.rank LIMIT 50)
SELECT x.rank, f.title, x.why, rec_reason('reader', 42, f.id) AS reason
  FROM llm_rerank((SELECT q ->> 'query' FROM ask),
         (SELECT json_group_array(json_object('id', id, 'title', title, 'genres', genres, 'overview', overview,
                                              'score', score)) FROM found)) AS x
  CROSS JOIN found AS f ON f.id = x.id
 ORDER BY x.rank LIMIT 10;
