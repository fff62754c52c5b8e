-- rec_explain, rec_reason, rec_user, rec_why_not: what made a score, and what stands in its way.
.read tests/fixtures/films.sql
-- The user's own items, heaviest first.
SELECT '1 items', count(*) > 0, count(*) <= 20 FROM rec_explain('taste', 18, 28);
SELECT '2 they are theirs', count(*) FROM rec_explain('taste', 18, 29) WHERE kind = 'item' AND key NOT IN (SELECT film_id FROM ratings WHERE user_id = 18);
SELECT '3 titles', count(*) FROM rec_explain('taste', 18, 29) AS e JOIN films AS f ON f.film_id = e.key WHERE e.kind = 'item' AND e.title <> f.title;
SELECT '4 sorted', count(*) FROM (SELECT abs(weight) AS w, lag(abs(weight)) OVER () AS before FROM rec_explain('both', 18, 29)) WHERE w > before;
SELECT '5 kinds', count(*) FROM rec_explain('both', 18, 29) WHERE kind NOT IN ('item', 'facet', 'term', 'popularity', 'bias', 'query');
SELECT '6 nothing', (SELECT count(*) FROM rec_explain('taste', 18, NULL)), (SELECT count(*) FROM rec_explain('taste', NULL, 29)),
       (SELECT count(*) FROM rec_explain('taste', 18, 4711));
-- One sentence.
SELECT rec_reason('taste', 18, (SELECT item FROM rec_recommend('taste', 18, 1)));
SELECT rec_reason('about', 1, (SELECT item FROM rec_recommend('about', 1, 1)));
SELECT rec_reason('taste', 999, 19);
SELECT rec_reason('about', 999, 19);
SELECT rec_reason('taste', 999, 35);
SELECT '7 nothing', rec_reason('taste', NULL, 1), rec_reason('taste', 1, NULL), rec_reason('taste', 1, 4711);
-- What is known of a user.
SELECT kind, title, weight, source FROM rec_user('taste', 18) WHERE kind = 'user';
SELECT '8 rows', count(*) = (SELECT count(*) FROM ratings WHERE user_id = 18 AND rating >= 3), count(time) = count(*) FROM rec_user('taste', 18) WHERE kind = 'item';
SELECT kind, key, title, weight > .5, source FROM rec_user('about', 18) WHERE kind = 'facet' LIMIT 1;
SELECT '9 newest first', count(*) FROM (SELECT time, lag(time) OVER () AS before FROM rec_user('taste', 18) WHERE kind = 'item') WHERE time > before;
SELECT kind, key, title, weight, source FROM rec_user('taste', 999);
INSERT INTO ratings VALUES (999, 24, 5, 1800000000);
SELECT kind, key, title, weight, time, source FROM rec_user('taste', 999);
SELECT '10 nothing', count(*) FROM rec_user('taste', NULL);
-- Why not?
SELECT reason, detail FROM rec_why_not('taste', 999, 24);
SELECT reason, detail FROM rec_why_not('about', 999, 1, '{"year":{"min":1950},"genres":{"any":["Comedy"]}}');
SELECT '11 rank', reason, rank BETWEEN 1 AND 36, score_gap >= 0 FROM rec_why_not('taste', 999, 20);
SELECT '12 as listed', w.rank = r.rank FROM rec_recommend('taste', 1) AS r CROSS JOIN rec_why_not('taste', 1, r.item) AS w WHERE r.rank = 7;
SELECT '13 nothing', (SELECT count(*) FROM rec_why_not('taste', 1, 4711)), (SELECT count(*) FROM rec_why_not('taste', 1, NULL)),
       (SELECT count(*) FROM rec_why_not('taste', NULL, 1));
-- Rules of the shop, read at query time.
CREATE VIEW shelf AS SELECT film_id AS item FROM films WHERE in_stock = 1;
CREATE TABLE shelves(user, item);
INSERT INTO shelves VALUES (1, 26);
CREATE VIRTUAL TABLE ruled USING rec_model(algorithm=als, factors=8, interactions=ratings, user=user_id, item=film_id,
  feedback=implicit, positive='rating >= 3', items=films, title=title, eligible=shelf, owned=shelves);
INSERT INTO ruled(ruled) VALUES ('train');
SELECT '14 rules hold', count(*) FROM rec_recommend('ruled', 1) WHERE item IN (26, 30);
SELECT reason, detail FROM rec_why_not('ruled', 1, 30);
SELECT reason, detail FROM rec_why_not('ruled', 1, 26);
UPDATE films SET in_stock = 1 WHERE film_id = 30;
SELECT '15 back in stock', count(*) FROM rec_recommend('ruled', 1) WHERE item = 30;
SELECT '16 similar obeys too', count(*) FROM rec_similar('ruled', 28) WHERE item IN (6, 17);
-- What most of the catalogue has is no reason for one of its items, be it an attribute or a word.
CREATE TABLE books(id INTEGER PRIMARY KEY, title TEXT, genre TEXT, language TEXT, blurb TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)
INSERT INTO books SELECT i, 'Book ' || i, 'genre ' || (i % 4), CASE WHEN i > 20 THEN 'Latin' WHEN i > 12 THEN 'French' ELSE 'English' END,
  'a novel about ' || CASE i % 4 WHEN 0 THEN 'whales' WHEN 1 THEN 'wizards' WHEN 2 THEN 'widows' ELSE 'wagons' END FROM n;
CREATE TABLE loans(reader INTEGER, id INTEGER);
INSERT INTO loans VALUES (1, 4), (1, 8), (2, 1), (2, 17);
CREATE VIRTUAL TABLE shared USING rec_model(algorithm=content, items=books, item=id, title=title, text='blurb',
  facets='genre, language', embedder='lsa(8)', interactions=loans, user=reader);
INSERT INTO shared(shared) VALUES ('train');
SELECT '17 rare', rec_reason('shared', 1, 12) LIKE '%genre 0%', rec_reason('shared', 1, 12) LIKE '%English%';
SELECT '18 French is a third', rec_reason('shared', 2, 13) LIKE '%French%';
CREATE VIRTUAL TABLE said USING rec_model(algorithm=content, items=books, item=id, title=title, text='blurb',
  embedder='lsa(8)', interactions=loans, user=reader);
INSERT INTO said(said) VALUES ('train');
SELECT '19 words', group_concat(key) FROM rec_explain('said', 1, 12) WHERE kind = 'term';
