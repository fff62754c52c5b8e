-- rec_vector, rec_vector_json, rec_dim: JSON text, bare BLOBs (little-endian float32), typed forms.
SELECT hex(rec_vector('[1, 0.5]'));
SELECT rec_vector_json(x'0000803f0000003f');
SELECT rec_vector_json('[ 1 , 2.5 ,-3e-4, 0.1, 16777216, 3.4e38 ]');
SELECT rec_dim('[1, 2, 3]'), rec_dim(x'0000803f0000003f'), typeof(rec_dim(NULL));

-- Typed forms: float16 2 bytes an element, int8 1, bit 8 in a byte, lowest bit first.
SELECT hex(rec_vector('[1, -2, 65504]', 'float16')), hex(rec_vector('[1, -2, 127]', 'int8')), hex(rec_vector('[1,0,0,0,0,0,0,1,1]', 'bit'));
-- rec_vector remembers its type; a BLOB from elsewhere needs it named.
SELECT rec_vector_json(rec_vector('[1, -2, 127]', 'int8')), rec_dim(rec_vector('[1, -2, 127]', 'int8'));
SELECT rec_vector_json(x'01FE7F', 'int8'), rec_dim(x'01FE7F', 'int8'), rec_dim(x'00C0', 'float16'), rec_dim(x'8101', 'bit');
SELECT rec_vector_json(x'8101', 'bit');
SELECT rec_vector_json(rec_vector(rec_vector('[1, 2]', 'int8'))), hex(rec_vector(rec_vector('[1, 2]', 'float16'), 'int8'));
-- float16 rounds to 11 significant bits, the others are exact or refused.
SELECT rec_vector_json(rec_vector('[0.1, 1000.4]', 'float16'));
SELECT rec_vector('[0.5]', 'int8');
SELECT rec_vector('[128]', 'int8');
SELECT rec_vector('[2]', 'bit');
SELECT rec_vector('[70000]', 'float16');

-- NULL in, NULL out.
SELECT rec_vector(NULL) IS NULL, rec_vector_json(NULL) IS NULL, rec_dim(NULL) IS NULL, rec_normalize(NULL) IS NULL, rec_distance(NULL, '[1]', 'l2') IS NULL, rec_distance('[1]', '[1]', NULL) IS NULL;

-- What is no vector.
SELECT rec_vector('[]');
SELECT rec_vector('');
SELECT rec_vector('[1, 2');
SELECT rec_vector('[1, [2]]');
SELECT rec_vector('[1, "a"]');
SELECT rec_vector('[1] 2');
SELECT rec_vector('[1e39]');
SELECT rec_vector('[nan]');
SELECT rec_vector(x'');
SELECT rec_vector(x'000000');
SELECT rec_vector(x'0000807f');
SELECT rec_vector(x'0000c07f');
SELECT rec_vector(5);
SELECT rec_vector(5.5);
SELECT rec_vector('[1]', 'float64');
SELECT rec_dim('hello');

-- rec_normalize
SELECT rec_vector_json(rec_normalize('[3, 4]')), rec_vector_json(rec_normalize('[0, 0]'));
SELECT json_valid(rec_version()), rec_version() ->> 'rec', rec_version() ->> 'sqlite' = sqlite_version();
