-- 'integrity-check' and 'rebuild' on sound tables of every type (damage is a test of its own, for shadow tables are protected).
CREATE VIRTUAL TABLE f USING rec_index(id TEXT PRIMARY KEY, v float32[5], a, b TEXT, c REAL);
CREATE VIRTUAL TABLE h USING rec_index(v float16[5]); CREATE VIRTUAL TABLE i USING rec_index(v int8[5]); CREATE VIRTUAL TABLE b USING rec_index(v bit[5]);
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300) INSERT INTO f SELECT 'k' || n, json_array(n, n % 7, 1, 2.5, -n), CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN n WHEN 2 THEN n * 0.5 ELSE x'00ff' END, n, n FROM c;
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 130) INSERT INTO h(v) SELECT json_array(n, n % 7, 1, 2.5, -n) FROM c;
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 120) INSERT INTO i(v) SELECT json_array(n, n % 7, 1, 2, -n) FROM c;
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 64) INSERT INTO b(v) SELECT json_array(n % 2, n / 2 % 2, n / 4 % 2, n / 8 % 2, n / 16 % 2) FROM c;
INSERT INTO f(f) VALUES ('integrity-check'); INSERT INTO h(h) VALUES ('integrity-check'); INSERT INTO i(i) VALUES ('integrity-check'); INSERT INTO b(b) VALUES ('integrity-check');
SELECT chunk, live FROM f_chunks WHERE chunk < 33554432; SELECT chunk, live FROM b_chunks WHERE chunk < 33554432;
DELETE FROM f WHERE a IS NULL; SELECT (SELECT count(*) FROM f), (SELECT max(slot) FROM f_rows), (SELECT max(chunk) FROM f_chunks WHERE chunk < 33554432);
INSERT INTO f(f) VALUES ('integrity-check'), ('optimize'), ('integrity-check'); SELECT (SELECT count(*) FROM f), (SELECT max(slot) FROM f_rows), (SELECT max(chunk) FROM f_chunks WHERE chunk < 33554432), (SELECT group_concat(live) FROM f_chunks WHERE chunk < 33554432);
SELECT id FROM f WHERE v MATCH '[9,2,1,2.5,-9]' AND k = 1; INSERT INTO f(f) VALUES ('rebuild'), ('integrity-check'); SELECT id FROM f WHERE v MATCH '[9,2,1,2.5,-9]' AND k = 1;
DELETE FROM f; INSERT INTO f(f) VALUES ('optimize'), ('integrity-check'), ('rebuild'), ('integrity-check'); SELECT count(*) FROM f_chunks WHERE chunk < 33554432;
PRAGMA integrity_check; PRAGMA quick_check;
