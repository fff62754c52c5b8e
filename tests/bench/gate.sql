-- One round of gate.sh: users of class (user_id + round) % 10. Classes 0..3 know their first 1, 3, 5, 10 ratings, the
-- others all but their last fifth. What comes later and is rated 4 or more is relevant.
DELETE FROM known;
INSERT INTO class SELECT DISTINCT :round, user_id, CASE (user_id * 7 + :round) % 10 WHEN 0 THEN 1 WHEN 1 THEN 3 WHEN 2 THEN 5 WHEN 3 THEN 10 ELSE 0 END
  FROM ratings;
CREATE TEMP TABLE placed AS SELECT r.*, c.n, row_number() OVER u AS place, count(*) OVER (PARTITION BY r.user_id) AS of
  FROM ratings AS r JOIN class AS c ON c.round = :round AND c.user_id = r.user_id
  WINDOW u AS (PARTITION BY r.user_id ORDER BY r.rated_at, r.movie_id);
INSERT INTO known SELECT user_id, movie_id, rating, rated_at FROM placed WHERE place <= CASE n WHEN 0 THEN of - of / 5 ELSE n END;
INSERT INTO wanted SELECT :round, user_id, movie_id FROM placed
  WHERE place > CASE n WHEN 0 THEN of - of / 5 ELSE n END AND rating >= 4;
DROP TABLE placed;
SELECT rec_train('taste') -> '$.seconds.fit';
SELECT rec_train('near') -> '$.seconds.fit';
SELECT rec_train('about') -> '$.seconds.fit';
SELECT rec_train('top') -> '$.seconds.fit';
SELECT rec_train('constant');
SELECT rec_train('learned');
SELECT metric, value FROM learned_log;
INSERT INTO named SELECT :round, 'taste', user, item, rank, score FROM taste WHERE k = 60 AND seen = 0;
INSERT INTO named SELECT :round, 'near', user, item, rank, score FROM near WHERE k = 60 AND seen = 0;
INSERT INTO named SELECT :round, 'about', user, item, rank, score FROM about WHERE k = 60 AND seen = 0;
INSERT INTO named SELECT :round, 'top', user, item, rank, score FROM top WHERE k = 60 AND seen = 0;
INSERT INTO list SELECT :round, model, user_id, movie_id, rank FROM named WHERE round = :round AND rank <= 10;
INSERT INTO list SELECT :round, 'constant', user, item, rank FROM constant WHERE k = 10 AND seen = 0;
INSERT INTO list SELECT :round, 'learned', user, item, rank FROM learned WHERE k = 10 AND seen = 0;
INSERT INTO leaning SELECT :round, c.user_id, c.n, avg(h.gate) FROM class AS c CROSS JOIN rec_hybrid('learned', c.user_id, NULL, 10) AS h
  WHERE c.round = :round GROUP BY c.user_id;
