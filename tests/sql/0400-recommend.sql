-- rec_recommend: the best items for a user, row by row, without what they already know.
.read tests/fixtures/films.sql
SELECT r.rank, f.title, r.source FROM rec_recommend('taste', 1, 5) AS r JOIN films AS f ON f.film_id = r.item ORDER BY r.rank;
-- Nothing consumed comes back, ranks are 1..n, scores descend.
SELECT '1 none consumed', count(*) = 0 FROM rec_recommend('taste', 1) WHERE item IN (SELECT film_id FROM ratings WHERE user_id = 1);
SELECT '2 every other film once', count(*) = 36 - (SELECT count(DISTINCT film_id) FROM ratings WHERE user_id = 1),
       count(DISTINCT item) = count(*) FROM rec_recommend('taste', 1);
SELECT '3 ranks', group_concat(rank) FROM (SELECT rank FROM rec_recommend('taste', 1, 4));
SELECT '4 scores descend', count(*) = 0 FROM (SELECT score, lag(score) OVER (ORDER BY rank) AS before
  FROM rec_recommend('taste', 1)) WHERE score > before;
-- The order does not depend on k or LIMIT.
SELECT '5 prefix', (SELECT group_concat(item) FROM rec_recommend('taste', 1, 6))
     = (SELECT group_concat(item) FROM (SELECT item FROM rec_recommend('taste', 1) ORDER BY rank LIMIT 6));
-- Any WHERE of the statement leaves LIMIT full.
SELECT '6 residual WHERE', count(*) FROM (SELECT f.title FROM rec_recommend('taste', 1) AS r
  CROSS JOIN films AS f ON f.film_id = r.item WHERE f.year > 1960 AND f.in_stock = 1 ORDER BY r.rank LIMIT 4);
SELECT '7 all of one kind', (SELECT count(*) FROM rec_recommend('taste', 1) AS r JOIN films AS f ON f.film_id = r.item
  WHERE f.genres = 'Drama') = (SELECT count(*) FROM films WHERE genres = 'Drama' AND film_id NOT IN
  (SELECT film_id FROM ratings WHERE user_id = 1));
-- A join gives every user their own list.
SELECT '8 join', count(*), count(DISTINCT u.user_id), count(DISTINCT r.item) > 5
  FROM (SELECT DISTINCT user_id FROM ratings) AS u CROSS JOIN rec_recommend('taste', u.user_id, 3) AS r;
SELECT '9 disjoint tastes', count(*) <= 1 FROM rec_recommend('taste', 2, 5) AS a JOIN rec_recommend('taste', 18, 5) AS b
    ON a.item = b.item;
-- Whoever is unknown is answered too, and the row says how; so is a user who has just arrived.
SELECT '10 unknown', count(*), group_concat(DISTINCT source) FROM rec_recommend('taste', 999, 5);
SELECT '11 no such key', count(*), group_concat(DISTINCT source) FROM rec_recommend('taste', 'nobody', 5);
INSERT INTO ratings VALUES (999, 24, 5, 1800000000), (999, 26, 5, 1800000001), (999, 28, 4, 1800000002);
SELECT '12 fresh', group_concat(DISTINCT source), sum(f.genres LIKE '%Sci-Fi%') >= 3
  FROM rec_recommend('taste', 999, 5) AS r JOIN films AS f ON f.film_id = r.item;
SELECT '13 and not what they did', count(*) FROM rec_recommend('taste', 999) WHERE item IN (24, 26, 28);
-- Keys are coerced like the tables' own.
SELECT '14 key', (SELECT group_concat(item) FROM rec_recommend('taste', '1', 5)) = (SELECT group_concat(item) FROM rec_recommend('taste', 1.0, 5));
-- k = 0, NULL k, NULL user.
SELECT '15 k', (SELECT count(*) FROM rec_recommend('taste', 1, 0)), (SELECT count(*) FROM rec_recommend('taste', 1, NULL)) > 20,
       (SELECT count(*) FROM rec_recommend('taste', NULL)), (SELECT count(*) FROM rec_recommend('taste', 1, '3'));
-- As a scalar: the same rows as JSON, ten by default.
SELECT '16 scalar', json_array_length(rec_recommend('taste', 1)), json_array_length(rec_recommend('taste', 1, 3)),
       json_array_length(rec_recommend('taste', 1, NULL));
SELECT '17 same rows', (SELECT group_concat(value ->> 'item') FROM json_each(rec_recommend('taste', 1, 5)))
     = (SELECT group_concat(item) FROM rec_recommend('taste', 1, 5));
SELECT '18 keys', group_concat(key) FROM json_each(rec_recommend('taste', 1, 1) -> 0);
SELECT '19 nested', json_type(json_object('list', rec_recommend('taste', 1, 2)), '$.list');
-- In a view, and innermost in a join, where it is asked again and again.
CREATE VIEW top3 AS SELECT item, rank FROM rec_recommend('taste', 1, 3);
SELECT '20 view', count(*) FROM top3;
SELECT '21 innermost', count(*) FROM films AS f CROSS JOIN rec_recommend('taste', 1, 5) AS r ON r.item = f.film_id;
-- A write is seen by the next call with the same arguments.
SELECT '22 before', (SELECT count(*) FROM rec_recommend('taste', 1) WHERE item = 35);
INSERT INTO ratings VALUES (1, 35, 5, 1800000003);
SELECT '23 after', (SELECT count(*) FROM rec_recommend('taste', 1) WHERE item = 35);
