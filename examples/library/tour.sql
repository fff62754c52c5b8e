-- 1. A rule of the house, as a view: only what stands on the shelf may be recommended.
CREATE VIEW on_the_shelf AS SELECT book_id AS item FROM books WHERE available = 1;

-- 2. Three models over the two tables: what readers borrow together, what books are about, and both in one.
CREATE VIRTUAL TABLE taste USING rec_model(algorithm=als, factors=32,
  interactions=loans, user=reader_id, item=book_id, time=loaned_at, feedback=implicit, positive='rating >= 3',
  items=books, title=title);
CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, embedder='lsa(64)',
  items=books, item=book_id, title=title, text='title, description',
  facets='subjects[|], author, language, year, min_age',
  interactions=loans, user=reader_id, value=rating, time=loaned_at, feedback=explicit);
CREATE VIRTUAL TABLE shelf USING rec_model(algorithm=hybrid, cf=taste, content=about, gate='weighted(.5)',
  eligible=on_the_shelf);

-- 3. Training is a function call; readers of the database keep the old model until the new one commits.
SELECT rec_train('taste') ->> 'interactions' AS loans_read, rec_train('about') ->> 'items' AS books_read,
       rec_train('shelf') ->> 'algorithm' AS blended;

-- 4. Similar books, by what they are about.
SELECT b.title, b.author, round(s.score, 2) AS score
  FROM rec_similar('about', (SELECT book_id FROM books WHERE title = 'Dracula'), 5) AS s
  JOIN books AS b ON b.book_id = s.item ORDER BY s.rank;

-- 5. Who is reader 7?
SELECT kind, coalesce(title, key) AS what, round(weight, 2) AS weight FROM rec_user('shelf', 7) LIMIT 8;

-- 6. Five books for reader 7, none borrowed before, all on the shelf, each with its reason.
SELECT r.rank, b.title, rec_reason('shelf', 7, r.item) AS reason
  FROM rec_recommend('shelf', 7, 5) AS r JOIN books AS b ON b.book_id = r.item ORDER BY r.rank;

-- 7. The same question as a relation: any WHERE, any JOIN, and LIMIT still gives five.
SELECT b.title, b.year, round(t.score, 2) AS score FROM taste AS t JOIN books AS b ON b.book_id = t.item
 WHERE t.user = 7 AND t.seen = 0 AND b.year < 1850 ORDER BY t.score DESC LIMIT 5;

-- 8. A reader whom nobody knows yet: the row says where the answer comes from.
SELECT r.rank, b.title, r.source FROM rec_recommend('shelf', 9999, 5) AS r
  JOIN books AS b ON b.book_id = r.item ORDER BY r.rank;

-- 9. They borrow two books. No training: the next answer already knows.
INSERT INTO loans(reader_id, book_id, rating, loaned_at)
  SELECT 9999, book_id, 5, 1704067200 FROM books WHERE title IN ('Dracula', 'Frankenstein');
SELECT r.rank, b.title, r.source FROM rec_recommend('shelf', 9999, 5) AS r
  JOIN books AS b ON b.book_id = r.item ORDER BY r.rank;

-- 10. A sentence becomes a structured request: every value is one of the catalogue's own, every number follows from
-- the text. A language model may help when one is configured; these are the built-in rules.
SELECT llm_rewrite('a ghost story for a 12 year old, before 1900, nothing about war', 'shelf') AS request;

-- 11. The candidates: both models, the request's filters inside the top k.
SELECT r.rank, b.title, b.year, b.subjects, round(r.score, 2) AS score, round(r.cf_score, 2) AS cf,
       round(r.content_score, 2) AS content
  FROM rec_hybrid('shelf', 7, llm_rewrite('a ghost story for a 12 year old, before 1900, nothing about war', 'shelf'), 6)
       AS r JOIN books AS b ON b.book_id = r.item ORDER BY r.rank;

-- 12. The whole path in one query: rewrite, retrieve, blend, filter, rerank, justify.
WITH ask AS MATERIALIZED (
  SELECT llm_rewrite('a ghost story for a 12 year old, before 1900, nothing about war', 'shelf') AS q),
found AS MATERIALIZED (
  SELECT r.item AS id, b.title, b.subjects, b.description, r.score
    FROM rec_hybrid('shelf', 7, (SELECT q FROM ask)) AS r CROSS JOIN books AS b ON b.book_id = r.item
   WHERE b.available = 1 ORDER BY r.rank LIMIT 50)
SELECT x.rank, f.title, x.why
  FROM llm_rerank((SELECT q ->> 'query' FROM ask),
         (SELECT json_group_array(json_object('id', id, 'title', title, 'subjects', subjects,
                                              'description', description, 'score', score)) FROM found)) AS x
  CROSS JOIN found AS f ON f.id = x.id ORDER BY x.rank LIMIT 5;

-- 13. Why is a book not in the list?
SELECT reason, detail FROM rec_why_not('shelf', 7, (SELECT book_id FROM books WHERE available = 0 LIMIT 1));
