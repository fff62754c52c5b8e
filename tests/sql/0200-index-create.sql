-- What CREATE VIRTUAL TABLE ... USING rec_index accepts, and how it says no.
CREATE VIRTUAL TABLE a USING rec_index(movie_id INTEGER PRIMARY KEY, embedding float32[3], genre TEXT, year INTEGER, metric=cosine, kind=flat, codes=none);
CREATE VIRTUAL TABLE b USING rec_index(id TEXT PRIMARY KEY, v FLOAT16 [2], Metric = 'L2');
CREATE VIRTUAL TABLE c USING rec_index(
  "odd name" int8[4],  -- the only column: the key is the rowid
  metric = /* within */ ip
);
CREATE VIRTUAL TABLE d USING rec_index(v bit[10], note);
SELECT name, type, hidden FROM pragma_table_xinfo('a');
SELECT name, sql FROM sqlite_master WHERE name LIKE 'a!_%' ESCAPE '!' OR name LIKE 'b!_rows' ESCAPE '!' ORDER BY name;
INSERT INTO c("odd name") VALUES ('[1,2,3,4]'); SELECT rowid, rec_vector_json("odd name") FROM c;
INSERT INTO d VALUES ('[1,0,1,0,1,0,1,0,1,1]', 'x'); SELECT rowid, rec_vector_json(v), note FROM d;

-- Columns
CREATE VIRTUAL TABLE e USING rec_index();
CREATE VIRTUAL TABLE e USING rec_index(id INTEGER PRIMARY KEY);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], w float32[3]);
CREATE VIRTUAL TABLE e USING rec_index(v float64[3]);
CREATE VIRTUAL TABLE e USING rec_index(v float32[0]);
CREATE VIRTUAL TABLE e USING rec_index(v float32[16385]);
CREATE VIRTUAL TABLE e USING rec_index(v float32[99999999999999999999]);
CREATE VIRTUAL TABLE e USING rec_index(v float32[x]);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3] NOT NULL);
CREATE VIRTUAL TABLE e USING rec_index(v float32);
CREATE VIRTUAL TABLE e USING rec_index(id INTEGER PRIMARY KEY, id2 TEXT PRIMARY KEY, v float32[3]);
CREATE VIRTUAL TABLE e USING rec_index(id REAL PRIMARY KEY, v float32[3]);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], year INTEGER NOT NULL);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], year INTEGER UNIQUE);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], V TEXT);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], Distance REAL);
CREATE VIRTUAL TABLE e USING rec_index(k float32[3]);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], ef);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], rowid INTEGER);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], e TEXT);
CREATE VIRTUAL TABLE distance USING rec_index(v float32[3]);
CREATE VIRTUAL TABLE k USING rec_index(v float32[3]);

-- Options
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], kind=hnsw, m=1);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], kind=hnsw, m=x);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], ef_construction=5000, kind=hnsw);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], kind=hnsw, probes=3);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], kind=ivf);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], metric=euclid);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], metric=hamming);
CREATE VIRTUAL TABLE e USING rec_index(v bit[8], metric=cosine);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], codes=int4);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], m=16);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], ef_construction=200);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], ef=10);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], colour=red);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3], metric=);

-- A refused CREATE leaves nothing; a shadow table in the way is named.
SELECT count(*) FROM sqlite_master WHERE name LIKE 'e!_%' ESCAPE '!' OR name = 'e';
CREATE TABLE e_chunks(x);
CREATE VIRTUAL TABLE e USING rec_index(v float32[3]);
SELECT name FROM sqlite_master WHERE name LIKE 'e!_%' ESCAPE '!';
DROP TABLE a; DROP TABLE b; DROP TABLE c; DROP TABLE d;
SELECT name FROM sqlite_master;
