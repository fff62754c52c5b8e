-- What a production system mixes, as one parameterised query over the MovieLens example:
--
--   request    llm_rewrite            the sentence as filters, words, examples                     stage A
--   text       rec_hybrid('about')    a hundred by what the films say, within the filters           stage B
--   cf         rec_hybrid('taste')    a hundred that people like this user watch                    stage C
--   fused      reciprocal ranks of the two lists, the caller's own rule on top
--   reranked   llm_rerank             fifty read again, each with a reason and its quote             stage D
--
-- Bind :user and :sentence. In a conversation llm_converse (sql/conversation.sql) is the wrapper: what it learnt comes in as
-- the request instead of llm_rewrite's (view preference_request). :without names a stage that is left out: 'A' searches for
-- the sentence as it is, 'B' and 'C' drop a list, 'D' keeps the fused order; tests/report/production.sh compares them.
WITH ask AS MATERIALIZED (SELECT iif(:without IS 'A', :sentence, llm_rewrite(:sentence, 'reader')) AS q),
text AS MATERIALIZED (
  SELECT item, rank FROM rec_hybrid('about', :user, (SELECT q FROM ask), 100) WHERE :without IS NOT 'B'),
cf AS MATERIALIZED (
  SELECT r.item, row_number() OVER (ORDER BY r.rank) AS rank FROM rec_recommend('taste', :user, 400) AS r
    CROSS JOIN movies AS m ON m.movie_id = r.item
   WHERE :without IS NOT 'C' AND (:without IS 'A' OR rec_match((SELECT q -> 'filters' FROM ask),
     json_object('genres', m.genres, 'year', m.year, 'language', m.language, 'runtime', m.runtime), 'about'))
   LIMIT 100),
fused AS MATERIALIZED (
  SELECT l.item AS id, sum(1.0 / (60 + l.rank)) AS score FROM (SELECT * FROM text UNION ALL SELECT * FROM cf) AS l
    CROSS JOIN movies AS m ON m.movie_id = l.item
   WHERE m.in_stock = 1 AND NOT EXISTS (SELECT 1 FROM ratings AS s WHERE s.user_id = :user AND s.movie_id = l.item)
   GROUP BY l.item ORDER BY score DESC, l.item LIMIT 50),
reranked AS MATERIALIZED (
  SELECT x.rank, x.id, x.why FROM llm_rerank((SELECT iif(:without IS 'A', q, q ->> 'query') FROM ask),
    (SELECT json_group_array(json_object('id', f.id, 'title', m.title, 'genres', m.genres, 'overview', m.overview, 'score', f.score))
       FROM fused AS f CROSS JOIN movies AS m ON m.movie_id = f.id)) AS x WHERE :without IS NOT 'D'
  UNION ALL SELECT row_number() OVER (ORDER BY score DESC, id), id, NULL FROM fused WHERE :without IS 'D')
SELECT y.rank, y.id, m.title, y.why, rec_reason('reader', :user, y.id) AS reason
  FROM reranked AS y CROSS JOIN movies AS m ON m.movie_id = y.id ORDER BY y.rank LIMIT 10;
