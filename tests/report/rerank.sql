-- Does the builtin of llm_rerank put the film that a tagline belongs to nearer the top? The tagline is no part of any record. Fifty
-- films are retrieved for it by the content model; where the film is among them, its reciprocal rank among the first ten counts.
.bail on
.mode csv
CREATE TEMP TABLE raw_tmdb(budget, genres, homepage, id INTEGER, keywords, original_language, original_title, overview, popularity,
  companies, countries, release_date, revenue, runtime, spoken_languages, status, tagline, title, vote_average, vote_count);
CREATE TEMP TABLE raw_links(movie_id INTEGER PRIMARY KEY, imdb TEXT, tmdb INTEGER);
.import --skip 1 tmdb.csv raw_tmdb
.import --skip 1 links.csv raw_links
.mode list
CREATE TEMP TABLE line AS SELECT m.movie_id, t.tagline FROM movies m JOIN raw_links l USING (movie_id) JOIN raw_tmdb t ON t.id = l.tmdb
  WHERE m.overview IS NOT NULL AND length(t.tagline) > 0 GROUP BY 1;
CREATE TEMP TABLE found AS SELECT l.movie_id, l.tagline, h.item, h.rank, h.score FROM line l CROSS JOIN rec_hybrid('about', NULL, l.tagline, 50) h;
CREATE INDEX temp.found_film ON found(movie_id, item);
CREATE TEMP TABLE hit AS SELECT movie_id, tagline, rank FROM found WHERE item = movie_id;
CREATE TEMP TABLE read AS SELECT movie_id, tagline, rank, (SELECT json_group_array(json_object('id', item, 'title', title, 'overview', overview, 'tags', tags, 'genres', genres, 'score', score))
    FROM (SELECT * FROM found f JOIN movies m ON m.movie_id = f.item WHERE f.movie_id = hit.movie_id ORDER BY f.rank)) AS list FROM hit;
CREATE TEMP TABLE score AS SELECT movie_id, iif(rank <= 10, 1.0 / rank, 0) AS before, (SELECT iif(x.rank <= 10, 1.0 / x.rank, 0) FROM llm_rerank(tagline, list) x WHERE x.id = movie_id) AS after FROM read;
SELECT printf('rerank: MRR@10 of the film of a tagline %.4f retrieved, %.4f reranked, difference %+.4f +- %.4f (95 %%), %d films among the retrieved 50 of %d', avg(before), avg(after), avg(after - before),
  1.96 * sqrt((avg((after - before) * (after - before)) - avg(after - before) * avg(after - before)) / count(*)), count(*), (SELECT count(*) FROM line)) FROM score;
