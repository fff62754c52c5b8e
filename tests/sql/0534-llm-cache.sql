-- Answers kept: nothing yet, commands, and a table of the user's that is told now rather than at the first call.
SELECT count(*) FROM llm_cache;
INSERT INTO llm_models(name, base_url, options) VALUES ('m', 'http://127.0.0.1:9', '{"retries": 0, "timeout_ms": 300}');
SELECT llm_rewrite('x') ->> 'status', llm_rewrite('x') ->> 'status';
-- A failure stands for a few seconds, in memory alone.
INSERT INTO llm_cache(llm_cache) VALUES ('table=answers');
SELECT function, status, bytes > 100, age < 5, hits FROM llm_cache;
SELECT llm_rewrite('y') ->> 'status';
SELECT count(*) FROM answers;
SELECT sql FROM sqlite_schema WHERE name = 'answers';
DELETE FROM llm_cache;
SELECT count(*) FROM llm_cache;
INSERT INTO llm_cache(llm_cache) VALUES ('ttl=3600');
INSERT INTO llm_cache(llm_cache) VALUES ('ttl=-1');
INSERT INTO llm_cache(llm_cache) VALUES ('ttl=soon');
INSERT INTO llm_cache(llm_cache) VALUES ('size=3');
INSERT INTO llm_cache(llm_cache) VALUES ('table=x y');
INSERT INTO llm_cache(llm_cache) VALUES (NULL);
INSERT INTO llm_cache(llm_cache) VALUES (7);
CREATE TABLE other(a);
INSERT INTO llm_cache(llm_cache) VALUES ('table=other');
INSERT INTO llm_cache(llm_cache) VALUES ('table=');
UPDATE llm_cache SET hits = 1;
CREATE VIEW v AS SELECT * FROM llm_cache;
SELECT * FROM v;
