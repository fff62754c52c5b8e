-- The registry: rows of this connection, the name of a variable and never a key.
SELECT count(*) FROM llm_models;
INSERT INTO llm_models(name, base_url, model, key_env, options)
  VALUES ('cloud', 'https://api.example.com/v1/', 'small', 'EXAMPLE_API_KEY', '{"temperature": 0}'),
         ('local', 'http://127.0.0.1:8080', NULL, NULL, NULL);
SELECT name, protocol, base_url, model, key_env, options FROM llm_models;
UPDATE llm_models SET model = 'large' WHERE name = 'cloud';
UPDATE llm_models SET name = 'remote' WHERE name = 'cloud';
SELECT name, model FROM llm_models ORDER BY name;
INSERT INTO llm_models(name, base_url) VALUES ('local', 'http://localhost');
INSERT OR REPLACE INTO llm_models(name, base_url) VALUES ('local', 'http://localhost');
INSERT OR IGNORE INTO llm_models(name, base_url) VALUES ('local', 'http://elsewhere');
SELECT name, base_url FROM llm_models WHERE name = 'local';
DELETE FROM llm_models WHERE name = 'local';
SELECT count(*) FROM llm_models;

INSERT INTO llm_models(name) VALUES ('x');
INSERT INTO llm_models(name, base_url) VALUES (NULL, 'http://x');
INSERT INTO llm_models(name, base_url) VALUES ('builtin', 'http://x');
INSERT INTO llm_models(name, base_url) VALUES ('x', 'file:///etc/passwd');
INSERT INTO llm_models(name, base_url) VALUES ('x', 'http://user:pw@host');
INSERT INTO llm_models(name, base_url) VALUES ('x', 'http://host' || char(13, 10) || 'X: y');
INSERT INTO llm_models(name, base_url, protocol) VALUES ('x', 'http://host', 'smoke');
INSERT INTO llm_models(name, base_url, key_env) VALUES ('x', 'http://host', 'sk-abcdef0123456789');
INSERT INTO llm_models(name, base_url, key_env) VALUES ('x', 'https://evil.example', 'EXAMPLE_API_KEY');
INSERT INTO llm_models(name, base_url, options) VALUES ('x', 'http://host', '{"temprature": 0}');
INSERT INTO llm_models(name, base_url, options) VALUES ('x', 'http://host', '{"timeout_ms": 1}');
INSERT INTO llm_models(name, base_url, options) VALUES ('x', 'http://host', 'fast');
INSERT INTO llm_models(name, base_url, model) VALUES ('x', 'http://host', 7);
SELECT count(*) FROM llm_models;
-- A missing key is a mistake, not a reason to fall back.
SELECT llm_rewrite('x');
SELECT llm_rewrite('x', NULL, '{"llm": "builtin"}') ->> 'status';
SELECT llm_rewrite('x', NULL, '{"llm": "local"}');
-- Nothing was sent.
SELECT count(*) FROM llm_usage;
DELETE FROM llm_usage;
CREATE VIEW v AS SELECT * FROM llm_models;
SELECT * FROM v;
-- The language functions are DIRECTONLY, and none is deterministic.
SELECT name, group_concat(narg, ' '), min((flags & 0x80000) != 0) AS direct_only, max((flags & 0x800) != 0) AS deterministic
  FROM (SELECT * FROM pragma_function_list WHERE name LIKE 'llm\_%' ESCAPE '\' ORDER BY name, narg) GROUP BY name;
