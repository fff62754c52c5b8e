-- Does enrichment help cold items? Every fifth film with an overview is cold: nobody has rated it, and all that is known of it is a
-- title and genres. The others have overviews and tags; a model of them alone is what the builtin draws on. The same content model
-- over raw and over enriched records gives each user twenty of the cold films; those that they rated 4 or more were to be found.
.bail on
CREATE TABLE e_film AS SELECT movie_id, title, genres, is_cold, iif(is_cold, NULL, overview) AS overview, iif(is_cold, NULL, tags) AS tags
  FROM (SELECT *, row_number() OVER (ORDER BY movie_id) % 5 = 0 AS is_cold FROM movies WHERE overview IS NOT NULL);
CREATE UNIQUE INDEX e_film_id ON e_film(movie_id);
CREATE TABLE e_rating AS SELECT r.* FROM ratings r JOIN e_film f USING (movie_id) WHERE NOT is_cold;
CREATE INDEX e_rating_user ON e_rating(user_id);
CREATE VIEW e_warm AS SELECT * FROM e_film WHERE NOT is_cold;
CREATE VIEW e_cold AS SELECT movie_id FROM e_film WHERE is_cold;
CREATE VIRTUAL TABLE e_words USING rec_model(algorithm=content, items=e_warm, item=movie_id, title=title, text='title, overview, tags', facets='genres[|]');
INSERT INTO e_words(e_words) VALUES ('train');
CREATE TABLE e_enriched AS SELECT id AS movie_id, text FROM llm_enrich_each(
  (SELECT json_group_array(json_object('id', movie_id, 'title', title, 'genres', genres, 'overview', overview)) FROM e_film), '{"model": "e_words"}');
CREATE UNIQUE INDEX e_enriched_id ON e_enriched(movie_id);
CREATE VIEW e_rich_film AS SELECT f.*, e.text AS enriched FROM e_film f JOIN e_enriched e USING (movie_id);
CREATE VIRTUAL TABLE e_raw USING rec_model(algorithm=content, items=e_film, item=movie_id, title=title, text='title, overview, tags',
  facets='genres[|]', eligible=e_cold, interactions=e_rating, user=user_id, value=rating, time=rated_at, feedback=explicit);
CREATE VIRTUAL TABLE e_rich USING rec_model(algorithm=content, items=e_rich_film, item=movie_id, title=title, text='title, overview, tags, enriched',
  facets='genres[|]', eligible=e_cold, interactions=e_rating, user=user_id, value=rating, time=rated_at, feedback=explicit);
INSERT INTO e_raw(e_raw) VALUES ('train');
INSERT INTO e_rich(e_rich) VALUES ('train');
CREATE TEMP TABLE wanted AS SELECT r.user_id, r.movie_id FROM ratings r JOIN e_cold USING (movie_id) WHERE r.rating >= 4;
CREATE UNIQUE INDEX temp.wanted_user ON wanted(user_id, movie_id);
CREATE TEMP TABLE score AS SELECT user_id,
    (SELECT count(*) FROM rec_recommend('e_raw', u.user_id, 20) r JOIN wanted w ON w.user_id = u.user_id AND w.movie_id = r.item) * 1.0 / n AS raw,
    (SELECT count(*) FROM rec_recommend('e_rich', u.user_id, 20) r JOIN wanted w ON w.user_id = u.user_id AND w.movie_id = r.item) * 1.0 / n AS rich
  FROM (SELECT user_id, count(*) AS n FROM wanted GROUP BY 1) u;
SELECT printf('enrichment: recall@20 of cold films raw %.4f, enriched %.4f, difference %+.4f +- %.4f (95 %%), %d users, %d films', avg(raw), avg(rich), avg(rich - raw),
  1.96 * sqrt((avg((rich - raw) * (rich - raw)) - avg(rich - raw) * avg(rich - raw)) / count(*)), count(*), (SELECT count(*) FROM e_cold)) FROM score;
