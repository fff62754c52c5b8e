-- llm_rerank with no server: score, text match, diversity, and reasons that quote the record.
CREATE TABLE c(id, title, overview, score REAL, year INTEGER);
INSERT INTO c VALUES
  (1, 'Quiet Harbour', 'A widow keeps a cafe by the sea.', 9, 1990),
  (2, 'The Dark Bathhouse', 'A girl works for spirits in a dark bathhouse.', 7, 2001),
  (3, 'Space War One', 'Ships fight a war in space.', 8, 1977),
  (4, 'Space War Two', 'Ships fight another war in space.', 7.9, 1980),
  ('five', 'Robots', NULL, 1, 2005);
CREATE TEMP VIEW list AS SELECT json_group_array(json_object('id', id, 'title', title, 'overview', overview,
  'score', score, 'year', year)) AS j FROM c;

SELECT rank, id, typeof(id), round(score, 3), why, field, quote, grounded, status
  FROM llm_rerank('dark spirits', (SELECT j FROM list)) ORDER BY rank;
-- No request: retrieval order, made diverse (3 and 4 are alike), or not.
SELECT group_concat(id, ' ') FROM (SELECT id FROM llm_rerank(NULL, (SELECT j FROM list)) ORDER BY rank);
SELECT group_concat(id, ' ') FROM (SELECT id FROM llm_rerank(NULL, (SELECT j FROM list), '{"diversify": 0}') ORDER BY rank);
SELECT group_concat(id, ' ') FROM (SELECT id FROM llm_rerank(NULL, (SELECT j FROM list), '{"diversify": 0.6}') ORDER BY rank);
-- What the user liked may be named.
SELECT id, why, field, quote FROM llm_rerank(NULL, (SELECT j FROM list),
  '{"history": [{"id": 99, "title": "War in Space", "value": 5}]}') WHERE field = 'history' ORDER BY rank;
SELECT why FROM llm_rerank(NULL, '[{"id": 1, "title": "Space War"}]', '{"history": [{"id": 9, "title": "Space Wars"}]}');
-- Without scores the order of the list counts; lists and numbers are fields too.
SELECT id, why, quote FROM llm_rerank('jazz 1959', '[{"id": 1, "title": "a"}, {"id": 2, "tags": ["cool", "jazz"], "year": 1959}]');
-- A quote stands in its field, letter by letter.
SELECT count(*) FROM llm_rerank('war of ships, by the sea', (SELECT j FROM list)) AS r, json_each((SELECT j FROM list)) AS e
  WHERE e.value ->> 'id' = r.id AND r.grounded AND instr(e.value ->> r.field, r.quote) = 0;
-- Every id once, keys beyond 2^53 and odd ones too.
SELECT group_concat(id, ' ') FROM llm_rerank('', '[{"id": 9007199254740993}, {"id": "a\"b"}, {"id": 1.5}, {"id": "9007199254740993"}]');
SELECT count(*), count(DISTINCT id) FROM llm_rerank('film', (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
  SELECT json_group_array(json_object('id', i, 'title', 'Film ' || i, 'score', (i * 7919) % 1009)) FROM n));
SELECT count(*) FROM llm_rerank('x', '[]');
SELECT count(*) FROM llm_rerank('x', NULL);
-- As a scalar: the same rows.
SELECT json_extract(llm_rerank('dark', (SELECT j FROM list)), '$[0].id', '$[0].why');
-- A join, and LIMIT.
SELECT r.rank, c.title FROM llm_rerank('war', (SELECT j FROM list)) AS r CROSS JOIN c ON c.id = r.id ORDER BY r.rank LIMIT 2;

SELECT * FROM llm_rerank('x', '{"id": 1}');
SELECT * FROM llm_rerank('x', '[1]');
SELECT * FROM llm_rerank('x', '[{"title": "x"}]');
SELECT * FROM llm_rerank('x', '[{"id": 1}, {"id": 1}]');
SELECT * FROM llm_rerank('x', '[{"id": 1, "score": "high"}]');
SELECT * FROM llm_rerank('x', '[{"id": 1}');
SELECT * FROM llm_rerank('x', 5);
SELECT * FROM llm_rerank(5, '[]');
SELECT * FROM llm_rerank('x', '[]', '{"read": 0}');
SELECT * FROM llm_rerank('x', '[]', '{"reads": 1}');
SELECT * FROM llm_rerank('x', '[]', '{"llm": "gpt"}');
SELECT * FROM llm_rerank('x');
CREATE VIEW v AS SELECT * FROM llm_rerank('x', '[]');
SELECT * FROM v;
