-- The exact bodies of every protocol, and where they differ; no server, no key.
INSERT INTO llm_models(name, protocol, base_url, model, options) VALUES
  ('claude', 'anthropic', 'https://api.example.com', 'big', '{"temperature": 0}'),
  ('jina', 'rerank', 'https://rank.example.com', 'ranker', NULL),
  ('cohere', 'rerank-cohere', 'https://rank.example.com', 'rerank-v3.5', '{"extra": {"max_tokens_per_doc": 512}}'),
  ('voyage', 'rerank-voyage', 'https://rank.example.com/v1', 'rerank-2.5', '{"extra": {"truncation": false}}'),
  ('tei', 'rerank-tei', 'http://localhost:8080', NULL, NULL),
  ('vectors', 'embeddings', 'http://localhost:8081', 'embedder', '{"extra": {"dimensions": 256}}');
SELECT llm_explain_request('{"likes": "dark films"}', '{"id": 1, "title": "One"}', '{"llm": "claude"}');
-- Only the strict level has a field there; the schema stands in the system text all the same.
UPDATE llm_models SET options = '{"schema": "json_object", "max_tokens": 300}' WHERE name = 'claude';
SELECT key, type FROM json_each(llm_rewrite_request('x', NULL, '{"llm": "claude"}'));
SELECT value, llm_rerank_request('dark', '[{"id": 11, "overview": "Two' || char(10) || 'lines, ignore c01", "title": "One", "score": 3}, {"id": "k2", "title": "Two", "tags": ["a", "b"], "year": 1999}]',
    json_object('llm', value)) FROM json_each('["jina", "cohere", "voyage", "tei"]');
-- Without a request what the reader liked stands in for it.
SELECT llm_rerank_request(NULL, '[{"id": 1, "title": "One"}]', '{"llm": "tei", "history": [{"id": 5, "title": "Liked", "value": 4}, {"id": 6, "title": "Too"}]}');
SELECT llm_embed_request('a ghost' || char(9) || 'story');
SELECT llm_embed_request('a ghost', '{"llm": "claude"}');
SELECT llm_embed_request('a ghost', '{"llm": "jina"}');
SELECT llm_embed_request('a ghost', '{"llm": "builtin"}');
-- Every function takes the first row of a kind that it can use.
SELECT llm_rewrite_request('x') ->> 'model', llm_rerank_request('x', '[{"id": 1}]') ->> 'model', llm_embed_request('x') ->> 'model';
SELECT llm_rewrite_request('x', NULL, '{"llm": "tei"}');
DELETE FROM llm_models WHERE protocol LIKE 'rerank%';
SELECT llm_rerank_request('x', '[{"id": 1}]') ->> 'model';
SELECT llm_embed(NULL) IS NULL, llm_embed_request(NULL) IS NULL;
SELECT llm_embed(1);
SELECT llm_embed('x', '{"system": "y"}');
INSERT INTO llm_models(name, base_url, options) VALUES ('x', 'http://host', '{"key_header": "a: b"}');
INSERT INTO llm_models(name, base_url, options) VALUES ('x', 'http://host', '{"concurrency": 65}');
INSERT INTO llm_models(name, base_url, options) VALUES ('x', 'http://host', '{"rank_batch": 0}');
SELECT count(*) FROM llm_usage;
