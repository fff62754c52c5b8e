-- rec_hybrid: user and request together. Filters and exclusions are hard, the rest steers.
.read tests/fixtures/films.sql
SELECT group_concat(name) FROM pragma_table_xinfo('rec_hybrid') WHERE hidden = 0;
SELECT '1 a list', count(*), min(rank), max(rank) FROM rec_hybrid('both', 1, NULL, 5);
SELECT '2 parts', count(cf_score) > 0, count(content_score) > 0, count(gate) > 0 FROM rec_hybrid('both', 1, NULL, 5);
SELECT '3 nobody', count(*) FROM rec_hybrid('both', NULL, 'a vampire', 5);
SELECT '4 the sentence steers', count(*) > 0 FROM rec_hybrid('both', NULL, 'a vampire count in a castle', 3) WHERE item IN (1, 3, 35);
SELECT '5 seen stays out', count(*) FROM rec_hybrid('both', 1, 'a vampire') WHERE item IN (SELECT film_id FROM ratings WHERE user_id = 1);
-- The request object: filters hold in every row, and the list is as long as the catalogue allows.
CREATE TEMP TABLE q(name, j);
INSERT INTO q VALUES
 ('year',    '{"query":"","expansions":[],"filters":{"year":{"min":1970,"max":1980}},"exclude":[],"like_items":[]}'),
 ('any',     '{"query":"robot","filters":{"genres":{"any":["Sci-Fi"],"none":["Horror"]}}}'),
 ('all',     '{"query":"","filters":{"genres":{"all":["Sci-Fi","Horror"]}}}'),
 ('exclude', '{"query":"castle","exclude":["vampire"],"filters":{}}'),
 ('like',    '{"query":"","like_items":[28],"filters":{}}'),
 ('none',    '{"query":"","filters":{"genres":{"all":["Romance","Crime"]}}}');
SELECT '6 year', count(*) = (SELECT count(*) FROM films WHERE year BETWEEN 1970 AND 1980), min(f.year) >= 1970, max(f.year) <= 1980
  FROM rec_hybrid('both', NULL, (SELECT j FROM q WHERE name = 'year')) AS r JOIN films AS f ON f.film_id = r.item;
SELECT '7 any, none', count(*), sum(f.genres NOT LIKE '%Sci-Fi%'), sum(f.genres LIKE '%Horror%')
  FROM rec_hybrid('both', NULL, (SELECT j FROM q WHERE name = 'any')) AS r JOIN films AS f ON f.film_id = r.item;
SELECT '8 all', group_concat(item) FROM (SELECT item FROM rec_hybrid('both', NULL, (SELECT j FROM q WHERE name = 'all')) ORDER BY item);
SELECT '9 exclude', count(*) FROM rec_hybrid('both', NULL, (SELECT j FROM q WHERE name = 'exclude')) AS r JOIN films AS f
    ON f.film_id = r.item WHERE f.overview LIKE '%vampire%' OR f.title LIKE '%vampire%';
SELECT '10 like', sum(f.genres LIKE '%Sci-Fi%') >= 3 FROM rec_hybrid('both', NULL, (SELECT j FROM q WHERE name = 'like'), 5) AS r
  JOIN films AS f ON f.film_id = r.item;
SELECT '11 no item satisfies it', count(*) FROM rec_hybrid('both', 1, (SELECT j FROM q WHERE name = 'none'));
-- An object need not have all of the keys.
SELECT '11a only exclude', count(*) FROM rec_hybrid('both', NULL, '{"exclude":["vampire"]}') AS r JOIN films AS f
    ON f.film_id = r.item WHERE f.overview LIKE '%vampire%' OR f.title LIKE '%vampire%';
SELECT '11b only like_items', sum(f.genres LIKE '%Sci-Fi%') >= 3 FROM rec_hybrid('both', NULL, ' {"like_items":[28]}', 5) AS r
  JOIN films AS f ON f.film_id = r.item;
SELECT '11c no key', (SELECT group_concat(item) FROM rec_hybrid('both', 1, '{}', 3)) = (SELECT group_concat(item) FROM rec_hybrid('both', 1, NULL, 3));
-- With LIMIT and a condition of the statement.
SELECT '12 residual', count(*) FROM (SELECT r.item FROM rec_hybrid('both', 9, 'love in a city') AS r CROSS JOIN films AS f
    ON f.film_id = r.item WHERE f.in_stock = 1 AND f.year < 1950 ORDER BY r.rank LIMIT 5);
-- What llm_rewrite returns goes in as a whole.
SELECT '13 rewrite', count(*) > 0, min(f.year) >= 1970, sum(f.genres NOT LIKE '%Horror%')
  FROM rec_hybrid('both', 1, llm_rewrite('a horror film after 1969', 'both')) AS r JOIN films AS f ON f.film_id = r.item;
-- Models that blend nothing: gate is NULL, the score stands in its own half.
SELECT '14 als', count(*), count(gate), count(cf_score), count(content_score) FROM rec_hybrid('taste', 1, NULL, 4);
SELECT '15 content', count(*), count(gate), count(cf_score), count(content_score) FROM rec_hybrid('about', 1, NULL, 4);
SELECT '16 scalar', json_array_length(rec_hybrid('both', 1, 'space')), json_array_length(rec_hybrid('both', 1, 'space', 2));
-- A facet that the model does not have is an error that names those it has.
SELECT count(*) FROM rec_hybrid('both', 1, '{"query":"","filters":{"colour":{"any":["red"]}}}');
-- Not callable from a stored view.
CREATE VIEW stored AS SELECT item FROM rec_hybrid('both', 1, NULL);
SELECT * FROM stored;
CREATE TEMP VIEW passing AS SELECT item FROM rec_hybrid('both', 1, NULL, 3);
SELECT '17 temp view', count(*) FROM passing;
