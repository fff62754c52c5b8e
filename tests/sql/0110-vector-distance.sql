-- rec_distance(a, b, metric [, type]): smaller is nearer.
SELECT rec_distance('[0, 3]', '[4, 0]', 'l2'), rec_distance('[0, 3]', '[4, 0]', 'l1'), rec_distance('[1, 2]', '[3, 4]', 'ip');
SELECT round(rec_distance('[1, 0]', '[1, 1]', 'cosine'), 6) AS "1-1/sqrt(2)", rec_distance('[1, 0]', '[-2, 0]', 'cosine') AS opposite, rec_distance('[0, 0]', '[1, 0]', 'cosine') AS zero;
SELECT rec_distance('[1,0,1,1]', '[0,0,1,0]', 'hamming'), rec_distance('[1,0,1,1]', '[0,0,1,0]', 'HAMMING');
-- The type names the stored form of BLOBs; JSON is read into it.
SELECT rec_distance(x'7F80', x'8080', 'l2', 'int8'), rec_distance(x'7F80', '[127, -128]', 'l1', 'int8'), rec_distance(x'003C0040', '[1, 4]', 'l2', 'float16'), rec_distance(x'FF', x'0F', 'hamming', 'bit');
SELECT rec_distance(rec_vector('[1, 2]', 'int8'), x'0000803f00000040', 'l2') AS typed_and_bare;
SELECT rec_distance('[1]', '[1, 2]', 'l2');
SELECT rec_distance('[1]', '[2]', 'euclid');
SELECT rec_distance('[0.5]', '[1]', 'l2', 'int8');
SELECT rec_distance('[1]', '[1]', 'hamming', 'int8');
SELECT rec_distance('[0.5]', '[1]', 'hamming');
SELECT rec_distance('[1]', 7, 'l2');
-- Every row against one constant.
WITH t(v) AS (VALUES ('[0,0]'), ('[3,4]'), (NULL), (rec_vector('[6,8]'))) SELECT rec_distance(v, '[0, 0]', 'l2') FROM t;

-- rec_centroid(v [, weight]) = sum(weight * v) / sum(|weight|); NULLs are left out.
WITH t(v, w) AS (VALUES ('[0,0]', 1), ('[4,8]', 3), (NULL, 5), ('[9,9]', NULL)) SELECT rec_vector_json(rec_centroid(v, w)) FROM t;
WITH t(v, w) AS (VALUES ('[0,0]', 1), ('[4,8]', 3), (NULL, 5)) SELECT rec_vector_json(rec_centroid(v)) FROM t;
WITH t(v, w) AS (VALUES ('[2,0]', 1), ('[0,2]', -1)) SELECT rec_vector_json(rec_centroid(v, w)) FROM t;
SELECT rec_centroid(NULL) IS NULL, rec_centroid('[1]', 0) IS NULL;
SELECT rec_centroid(column1) FROM (VALUES ('[1]'), ('[1,2]'));
SELECT rec_centroid('[1]', 'much');
SELECT rec_centroid('[1]', 9e999);
SELECT g, rec_vector_json(rec_centroid(v)) FROM (SELECT column1 AS g, column2 AS v FROM (VALUES ('a', '[1]'), ('b', '[5]'), ('a', '[3]'))) GROUP BY g;
