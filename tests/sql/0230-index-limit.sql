-- LIMIT, OFFSET, k, distance ranges, joins: n rows whenever n match, in one order.
CREATE VIRTUAL TABLE s USING rec_index(id INTEGER PRIMARY KEY, v float32[1], odd INTEGER, metric=l1);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200) INSERT INTO s SELECT i, json_array(i), i % 2 FROM c;
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' ORDER BY distance LIMIT 5);
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' ORDER BY distance LIMIT 5 OFFSET 5);
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' ORDER BY distance LIMIT 3 OFFSET 198);
SELECT count(*) FROM (SELECT id FROM s WHERE v MATCH '[0]' ORDER BY distance LIMIT 3 OFFSET 200);
SELECT count(*) FROM (SELECT id FROM s WHERE v MATCH '[0]' ORDER BY distance LIMIT -1), (SELECT 1 LIMIT 1);
SELECT count(*) FROM (SELECT id FROM s WHERE v MATCH '[0]' ORDER BY distance LIMIT 0);
-- Predicates that stay with SQLite do not starve a LIMIT.
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' AND id % 50 = 0 ORDER BY distance LIMIT 3);
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' AND (id = 150 OR odd = 1 AND id > 190) ORDER BY distance LIMIT 3);
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' AND odd = 1 AND id > 100 AND id + 0 < 110 ORDER BY distance LIMIT 4);
-- Pages concatenate: ties are broken the same way whatever LIMIT, OFFSET and k are.
CREATE VIRTUAL TABLE t USING rec_index(v float32[1], metric=l1);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100) INSERT INTO t(v) SELECT json_array(i % 3) FROM c;
SELECT (SELECT group_concat(id) FROM (SELECT rowid AS id FROM t WHERE v MATCH '[0]' ORDER BY distance LIMIT 40)) =
 (SELECT group_concat(id) FROM (SELECT rowid AS id FROM t WHERE v MATCH '[0]' ORDER BY distance LIMIT 17)) || ',' ||
 (SELECT group_concat(id) FROM (SELECT rowid AS id FROM t WHERE v MATCH '[0]' ORDER BY distance LIMIT 23 OFFSET 17)) AS pages,
 (SELECT group_concat(id) FROM (SELECT rowid AS id FROM t WHERE v MATCH '[0]' ORDER BY distance LIMIT 40)) =
 (SELECT group_concat(id) FROM (SELECT rowid AS id FROM t WHERE v MATCH '[0]' AND k = 40 ORDER BY distance)) AS k_and_limit;
-- Order by something else: all rows, then sorted.
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' ORDER BY distance DESC LIMIT 3);
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' ORDER BY odd, distance LIMIT 3);
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' AND k = 4 ORDER BY id DESC);
SELECT group_concat(odd) FROM (SELECT DISTINCT odd FROM s WHERE v MATCH '[0]' ORDER BY distance);
SELECT odd, count(*), min(distance) FROM s WHERE v MATCH '[0]' GROUP BY odd;

-- k
SELECT count(*) FROM s WHERE v MATCH '[0]' AND k = 0; SELECT count(*) FROM s WHERE v MATCH '[0]' AND k = 100000; SELECT count(*) FROM s WHERE v MATCH '[0]' AND k = NULL;
SELECT count(*) FROM s WHERE v MATCH '[0]' AND k = '7'; SELECT k, ef, count(*) FROM s WHERE v MATCH '[0]' AND k = 3 AND ef = 50;
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' AND k = 10 ORDER BY distance LIMIT 3 OFFSET 8);
SELECT id FROM s WHERE v MATCH '[0]' AND k = -1;
SELECT id FROM s WHERE v MATCH '[0]' AND k = 2.5;
SELECT id FROM s WHERE v MATCH '[0]' AND k = 'few';
SELECT id FROM s WHERE v MATCH '[0]' AND k IN (1, 2);
SELECT id FROM s WHERE v MATCH '[0]' AND k < 3;
SELECT id FROM s WHERE k = 3;
SELECT id FROM s WHERE v MATCH '[0]' AND v MATCH '[1]';
SELECT id FROM s WHERE odd MATCH '[1]';
SELECT id FROM s WHERE v MATCH '[0]' OR id = 3;
SELECT id FROM s WHERE NOT v MATCH '[0]';
SELECT v MATCH '[0]' FROM s;
SELECT id FROM s WHERE id = 3 AND CASE WHEN v MATCH '[0]' THEN 1 END;

-- Distance ranges
SELECT group_concat(id) FROM s WHERE v MATCH '[0]' AND distance < 4;
SELECT group_concat(id) FROM s WHERE v MATCH '[0]' AND distance <= 4 AND distance > 1;
SELECT group_concat(id) FROM s WHERE v MATCH '[0]' AND distance BETWEEN 7 AND 9;
SELECT group_concat(id) FROM (SELECT id FROM s WHERE v MATCH '[0]' AND distance >= 7 ORDER BY distance LIMIT 2);
SELECT group_concat(id) FROM s WHERE v MATCH '[0]' AND k = 3 AND distance > 100 AND odd = 0;
SELECT group_concat(id) FROM s WHERE v MATCH '[0]' AND distance = 5; SELECT count(*) FROM s WHERE v MATCH '[0]' AND distance <> 5; SELECT count(*) FROM s WHERE v MATCH '[0]' AND distance < NULL; SELECT count(*) FROM s WHERE v MATCH '[0]' AND distance < 'x';

-- Joins: k is per query vector, and counts before a join filter.
CREATE TABLE users(id INTEGER PRIMARY KEY, taste, fav INTEGER); INSERT INTO users VALUES (1, '[10]', 0), (2, '[100.2]', 1), (3, NULL, 0);
SELECT u.id, group_concat(n.id) FROM users u, s n WHERE n.v MATCH u.taste AND k = 3 GROUP BY u.id;
SELECT u.id, group_concat(n.id) FROM s n, users u WHERE n.v MATCH u.taste AND k = 3 AND n.odd = u.fav GROUP BY u.id;
SELECT u.id, (SELECT group_concat(id) FROM (SELECT n.id FROM s n WHERE n.v MATCH u.taste ORDER BY distance LIMIT 2)) FROM users u;
CREATE TABLE stock(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO stock SELECT id, id % 7 FROM s WHERE id % 10 = 0;
SELECT group_concat(id) FROM (SELECT s.id FROM s JOIN stock ON stock.id = s.id WHERE v MATCH '[0]' AND n > 3 ORDER BY distance LIMIT 3);
SELECT count(*) FROM s JOIN stock ON stock.id = s.id WHERE v MATCH '[0]' AND k = 10;
-- With the order of the loops forced, the join term is handed over like any other, and k counts after it.
SELECT count(*) FROM stock CROSS JOIN s WHERE stock.id = s.id AND v MATCH '[0]' AND k = 10;
ANALYZE;
SELECT count(*) FROM s JOIN stock ON stock.id = s.id WHERE v MATCH '[0]' AND k = 10;
SELECT group_concat(a.id || '-' || b.id, ' ') FROM s a, s b WHERE a.id IN (5, 9) AND b.v MATCH a.v AND b.k = 2;
SELECT stock.id, distance FROM stock LEFT JOIN s ON s.id = stock.id AND s.v MATCH '[0]' AND k = 20 WHERE stock.id < 40;
SELECT id FROM s WHERE v MATCH (SELECT taste FROM users WHERE id = 2) AND k = 1;
SELECT id, distance FROM s WHERE v MATCH '[3.25]' AND k = 2;
-- (In a stored view MATCH needs trusted_schema=ON: SQLite calls the operator itself unsafe, for FTS5 too.)
CREATE TEMP VIEW near AS SELECT id FROM s WHERE v MATCH '[50]' AND k = 3 ORDER BY distance; SELECT group_concat(id) FROM near;
