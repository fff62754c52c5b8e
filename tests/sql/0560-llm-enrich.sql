-- llm_enrich: a fuller description of a sparse record; facts in description and tags, inferences apart.
.read tests/fixtures/films.sql
SELECT rec_train('about') IS NOT NULL;
SELECT e ->> 'description', e -> 'tags', e ->> 'audience', e ->> 'mood', e -> 'inferred', e ->> 'text', e ->> 'status', e ->> 'model'
  FROM (SELECT llm_enrich('{"id": 40, "title": "The Vampire Castle", "genres": "Horror|Romance", "year": 1970}') AS e);
-- With a model of the catalogue: what its neighbours say most is inferred, and nothing of it is in the record.
SELECT e ->> 'description', e -> 'inferred', json_array_length(e -> 'inferred') > 4, e ->> 'id'
  FROM (SELECT llm_enrich('{"id": 40, "title": "The Vampire Castle", "genres": "Horror|Romance", "year": 1970}', '{"model": "about"}') AS e);
SELECT count(*) FROM json_each(llm_enrich('{"title": "The Vampire Castle", "genres": "Horror|Romance"}', '{"model": "about"}'), '$.inferred')
 WHERE lower('The Vampire Castle Horror|Romance') LIKE '%' || value || '%';
-- Only some fields; a list; a long text speaks by its first sentence.
SELECT llm_enrich('{"title": "Cup", "price": 9.5, "colours": ["red", "light blue"], "made_of": "clay"}', '{"fields": ["title", "colours", "made_of"]}') ->> 'text';
SELECT llm_enrich('{"title": "Cup", "about": "A cup that keeps tea warm for an hour, even on a cold day outside. It has a lid. It comes in a box that can be used again."}') ->> 'description';

-- The hash is that of the fields that are read; the id is none of them.
SELECT llm_enrich_hash('{"id": 1, "title": "Cup"}') = llm_enrich_hash('{"id": 2, "title": "Cup"}'),
       llm_enrich_hash('{"title": "Cup"}') = llm_enrich_hash('{"title": "Mug"}'),
       llm_enrich_hash('{"title": "Cup"}') = (SELECT source_hash FROM llm_enrich_each('[{"title": "Cup"}]')),
       llm_enrich_hash('{"title": "Cup", "n": 1}', '{"fields": ["title"]}') = llm_enrich_hash('{"title": "Cup"}');

-- Many: one row an element, in their order; a bad one comes back with its status.
SELECT id, typeof(id), tags, prompt_version, status, error FROM llm_enrich_each(
  '[{"id": 7, "title": "Alien 2", "genres": "Sci-Fi"}, 5, {"id": "x"}, {"id": "y", "name": "Cup"}, {"id": 1.5, "title": "Mug"}, null]', '{"model": "about"}');
SELECT count(*) FROM llm_enrich_each('[]');
SELECT count(*) FROM llm_enrich_each(NULL);
SELECT llm_enrich(NULL) IS NULL, llm_enrich_hash(NULL) IS NULL, llm_enrich_request(NULL) IS NULL;
SELECT count(*) FROM llm_enrich_each('{"id": 1}');
SELECT count(*) FROM llm_enrich_each('[');
SELECT llm_enrich('[]');
SELECT llm_enrich('{"id": 1}');
SELECT llm_enrich('{"title": "x"}', '{"modl": "about"}');
SELECT llm_enrich('{"title": "x"}', '{"model": "nosuch"}');
SELECT llm_enrich('{"title": "x"}', '{"fields": "title"}');
SELECT llm_enrich('{"title": "x"}', '{"llm": "nosuch"}');
-- Control characters and bidi marks of a record reach neither prompt nor row.
SELECT llm_enrich(json_object('title', 'A' || char(0x202E) || 'B' || char(7) || 'C')) ->> 'description';
SELECT llm_enrich_request('{"id": 40, "title": "The Vampire Castle", "year": 1970}') -> '$.messages[1]',
       json_valid(llm_enrich_request('{"title": "x"}'));
CREATE VIEW v AS SELECT llm_enrich('{"title": "x"}');
SELECT * FROM v;
CREATE VIEW w AS SELECT * FROM llm_enrich_each('[]');
SELECT * FROM w;
