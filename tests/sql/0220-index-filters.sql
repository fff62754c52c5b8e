-- WHERE on the columns of an index, inside the k nearest: SQLite's own meaning of every comparison.
CREATE VIRTUAL TABLE m USING rec_index(id INTEGER PRIMARY KEY, v float32[1], genre TEXT, year INTEGER, price REAL, any, metric=l1);
CREATE TABLE p(id INTEGER PRIMARY KEY, v, genre TEXT, year INTEGER, price REAL, any);
INSERT INTO p VALUES
 (1, '[1]', 'Comedy', 1990, 9.5, 1), (2, '[2]', 'Drama', 1995, 10, 'x'), (3, '[3]', NULL, 1999, NULL, NULL),
 (4, '[4]', 'drama', NULL, 3, x'41'), (5, '[5]', 'Comedy-Drama', '2001', '7.25', 2.5), (6, '[6]', '1990', 'unknown', 0, '1'),
 (7, '[7]', 1990, 1990.0, -1, 1.0), (8, NULL, 'Drama', 1990, 5, 1);
INSERT INTO m SELECT * FROM p;
-- Affinity on the way in is that of an ordinary table.
SELECT count(*) FROM m JOIN p USING (id) WHERE typeof(m.genre) = typeof(p.genre) AND typeof(m.year) = typeof(p.year) AND typeof(m.price) = typeof(p.price) AND typeof(m.any) = typeof(p.any) AND m.year IS p.year AND m.price IS p.price AND m.any IS p.any;
.print -- each line: what the index says, then what the plain table says
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre = 'Drama'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre = 'Drama');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre <> 'Drama'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre <> 'Drama');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre IS NULL), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre IS NULL);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre IS NOT NULL), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre IS NOT NULL);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre IS 'Drama'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre IS 'Drama');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre IS NOT 'Drama'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre IS NOT 'Drama');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre = 1990), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre = 1990);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre > 'Comedy'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre > 'Comedy');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre < 2), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre < 2);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND year BETWEEN 1990 AND 1999), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND year BETWEEN 1990 AND 1999);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND year = '1990'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND year = '1990');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND year > 'a'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND year > 'a');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND year >= 1999.5), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND year >= 1999.5);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND year = NULL), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND year = NULL);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND price <= 7.25), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND price <= 7.25);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND any = 1), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND any = 1);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND any = '1'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND any = '1');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND any > 1), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND any > 1);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND any = x'41'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND any = x'41');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre LIKE '%drama'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre LIKE '%drama');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre LIKE 'c_medy%'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre LIKE 'c_medy%');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre GLOB '[A-D]*a'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre GLOB '[A-D]*a');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND year LIKE '19%'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND year LIKE '19%');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND price LIKE '%.0'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND price LIKE '%.0');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre NOT LIKE '%drama'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre NOT LIKE '%drama');
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre IN ('Comedy', 'Drama', NULL)), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre IN ('Comedy', 'Drama', NULL));
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND year IN ('1990', 1995.0, 'unknown')), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND year IN ('1990', 1995.0, 'unknown'));
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND id IN (7, 3, 8, 99)), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND id IN (7, 3, 8, 99));
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND id IN (SELECT id FROM p WHERE price > 5)), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND price > 5);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND id NOT IN (1, 2)), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND id NOT IN (1, 2));
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND genre = 'DRAMA' COLLATE NOCASE), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND genre = 'DRAMA' COLLATE NOCASE);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND (genre = 'Drama' OR year = 1990)), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND (genre = 'Drama' OR year = 1990));
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND rowid > 5), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND rowid > 5);
SELECT (SELECT group_concat(id) FROM m WHERE v MATCH '[0]' AND k = 99 AND id = '4'), (SELECT group_concat(id) FROM p WHERE v NOT NULL AND id = '4');

-- k counts after the predicates that SQLite hands over ...
SELECT id FROM m WHERE v MATCH '[0]' AND k = 2 AND genre LIKE '%Drama%';
SELECT id FROM m WHERE v MATCH '[0]' AND k = 2 AND year = 1990;
SELECT id FROM m WHERE v MATCH '[0]' AND k = 2 AND id IN (SELECT id FROM p WHERE id >= 6);
SELECT id FROM m WHERE v MATCH '[0]' AND k = 3 AND distance > 2 AND distance <= 4;
-- ... and before those it keeps to itself: an OR over columns, an expression, a bare column.
SELECT count(*) FROM m WHERE v MATCH '[0]' AND k = 2 AND (genre = 'drama' OR year = 1999);
SELECT count(*) FROM m WHERE v MATCH '[0]' AND k = 2 AND year + 0 = 1999;
SELECT id FROM m WHERE v MATCH '[0]' AND year + 0 = 1999 ORDER BY distance LIMIT 1;
-- Without MATCH it is a table like any other.
SELECT id FROM m WHERE genre = 'Drama' AND year < 1995;
SELECT id, distance FROM m WHERE id = 3; SELECT count(*) FROM m WHERE id = 'x'; SELECT count(*) FROM m WHERE id IN (1, 2, NULL); SELECT id FROM m WHERE rowid = 5;
