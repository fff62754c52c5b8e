-- Enrichment of the MovieLens example's films, stored in an ordinary table and kept up to date a batch at a time.
-- Every run of this script enriches up to 50 films that have no row yet, whose record has changed, or whose model failed
-- the last time; it commits them, and touches nothing else. Run it until `left_to_do` is 0, or from a scheduler.
-- A server in llm_models is asked if there is one; without one the builtin writes from the catalogue of 'about'.
CREATE TABLE IF NOT EXISTS film_enriched(
  movie_id INTEGER PRIMARY KEY REFERENCES movies, description TEXT, tags TEXT, audience TEXT, mood TEXT, inferred TEXT, text TEXT,
  source_hash TEXT NOT NULL, model TEXT, prompt_version INTEGER, status TEXT NOT NULL, error TEXT,
  tries INTEGER NOT NULL DEFAULT 1, written_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE VIEW IF NOT EXISTS film_source AS
  SELECT movie_id, json_object('id', movie_id, 'title', title, 'genres', genres, 'year', year, 'overview', overview) AS source FROM movies;
-- What a content model embeds: original || enriched. Facts of the record stay in their own columns; a page shows those,
-- and what is inferred only as such.
CREATE VIEW IF NOT EXISTS film_text AS
  SELECT m.movie_id, m.title, m.genres, m.year, m.overview, e.text AS enriched FROM movies m LEFT JOIN film_enriched e USING (movie_id);

-- The model is read before the transaction begins: no lock is held while a server thinks.
DROP TABLE IF EXISTS temp.batch;
CREATE TEMP TABLE batch AS
  SELECT r.* FROM (SELECT json_group_array(json(source)) AS items FROM (
    SELECT s.source FROM film_source s LEFT JOIN film_enriched e USING (movie_id)
     WHERE e.movie_id IS NULL OR e.source_hash <> llm_enrich_hash(s.source) OR (e.status IN ('fallback', 'failed') AND e.tries < 3)
     ORDER BY coalesce(e.tries, 0), s.movie_id LIMIT 50)) AS due
  CROSS JOIN llm_enrich_each(due.items, '{"model": "about"}') AS r;
BEGIN IMMEDIATE;
INSERT INTO film_enriched(movie_id, description, tags, audience, mood, inferred, text, source_hash, model, prompt_version, status, error)
  SELECT id, description, tags, audience, mood, inferred, text, coalesce(source_hash, ''), model, prompt_version, status, error
    FROM batch WHERE id IN (SELECT movie_id FROM movies)
  ON CONFLICT(movie_id) DO UPDATE SET description = excluded.description, tags = excluded.tags, audience = excluded.audience,
    mood = excluded.mood, inferred = excluded.inferred, text = excluded.text, model = excluded.model,
    prompt_version = excluded.prompt_version, status = excluded.status, error = excluded.error, written_at = CURRENT_TIMESTAMP,
    tries = iif(source_hash = excluded.source_hash, tries + 1, 1), source_hash = excluded.source_hash;
COMMIT;
SELECT count(*) AS written, sum(status IN ('fallback', 'failed')) AS failed,
       (SELECT count(*) FROM movies) - (SELECT count(*) FROM film_enriched) AS left_to_do FROM batch;
