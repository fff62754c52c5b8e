-- The whole path as one parameterised query over the MovieLens example: a reader, a sentence, ten films with reasons.
-- Bind :user and :sentence (in the shell: .parameter set :user 42, .parameter set :sentence "'a western'").
WITH ask AS MATERIALIZED (SELECT llm_rewrite(:sentence, 'reader') AS q),
found AS MATERIALIZED (
  SELECT r.item AS id, m.title, m.genres, m.overview, r.score
    FROM rec_hybrid('reader', :user, (SELECT q FROM ask)) AS r
    CROSS JOIN movies AS m ON m.movie_id = r.item
   WHERE m.in_stock = 1
   ORDER BY r.rank LIMIT 50)
SELECT x.rank, f.id, f.title, x.why, rec_reason('reader', :user, f.id) AS reason
  FROM llm_rerank((SELECT q ->> 'query' FROM ask),
         (SELECT json_group_array(json_object('id', id, 'title', title, 'genres', genres, 'overview', overview,
                                              'score', score)) FROM found)) AS x
  CROSS JOIN found AS f ON f.id = x.id
 ORDER BY x.rank LIMIT 10;
