-- Do the words that llm_rewrite adds say more of a film than its own rarest words? For every film with an overview and keywords:
-- the request is "films about <first sentence of the overview>"; a word hits if it stands in the film's TMDB keywords, which no
-- model has read. Precision of the first five, the same films both times, paired. Words are compared by their Porter stems.
.mode csv
CREATE TEMP TABLE raw_tmdb(budget, genres, homepage, id INTEGER, keywords, original_language, original_title, overview, popularity,
  companies, countries, release_date, revenue, runtime, spoken_languages, status, tagline, title, vote_average, vote_count);
CREATE TEMP TABLE raw_links(movie_id INTEGER PRIMARY KEY, imdb TEXT, tmdb INTEGER);
.import --skip 1 tmdb.csv raw_tmdb
.import --skip 1 links.csv raw_links
.mode list
CREATE TEMP TABLE film AS
  SELECT row_number() OVER (ORDER BY m.movie_id) AS id, m.movie_id,
         CASE WHEN instr(m.overview, '. ') > 0 THEN substr(m.overview, 1, instr(m.overview, '. ') - 1) ELSE m.overview END AS sentence,
         (SELECT group_concat(k.value ->> 'name', ' ') FROM json_each(t.keywords) k) AS keywords
    FROM movies m JOIN raw_links l USING (movie_id) JOIN raw_tmdb t ON t.id = l.tmdb
   WHERE m.overview IS NOT NULL AND json_valid(t.keywords) AND json_array_length(t.keywords) > 0 GROUP BY m.movie_id;
CREATE TEMP TABLE found AS SELECT id, llm_rewrite('films about ' || sentence, 'about') -> 'expansions' AS e FROM film;
CREATE VIRTUAL TABLE temp.text_fts USING fts5(words, tokenize='porter unicode61', content='');
CREATE VIRTUAL TABLE temp.key_fts USING fts5(words, tokenize='porter unicode61', content='');
CREATE VIRTUAL TABLE temp.exp_fts USING fts5(words, tokenize='porter unicode61', content='');
INSERT INTO text_fts(rowid, words) SELECT id, sentence FROM film;
INSERT INTO key_fts(rowid, words) SELECT id, keywords FROM film;
INSERT INTO exp_fts(rowid, words) SELECT f.id, (SELECT group_concat(value, ' ') FROM (SELECT value FROM json_each(f.e) LIMIT 5)) FROM found f;
CREATE VIRTUAL TABLE temp.text_words USING fts5vocab(temp, text_fts, instance);
CREATE VIRTUAL TABLE temp.key_words USING fts5vocab(temp, key_fts, instance);
CREATE VIRTUAL TABLE temp.exp_words USING fts5vocab(temp, exp_fts, instance);
CREATE VIRTUAL TABLE temp.all_words USING fts5vocab(main, movies_fts, row);
CREATE TEMP TABLE df AS SELECT term, doc FROM all_words;
CREATE UNIQUE INDEX temp.df_term ON df(term);
CREATE TEMP TABLE key AS SELECT DISTINCT doc AS id, term FROM key_words;
CREATE UNIQUE INDEX temp.key_id ON key(id, term);
CREATE TEMP TABLE own AS SELECT id, term FROM (
  SELECT w.doc AS id, w.term, row_number() OVER (PARTITION BY w.doc ORDER BY df.doc, w.term) AS nth
    FROM (SELECT DISTINCT doc, term FROM text_words) w JOIN df USING (term)) WHERE nth <= 5;
CREATE TEMP TABLE score AS SELECT f.id, coalesce(a.n, 0) / 5.0 AS added, coalesce(o.n, 0) / 5.0 AS own FROM film f
  LEFT JOIN (SELECT x.doc AS id, count(*) AS n FROM (SELECT DISTINCT doc, term FROM exp_words) x JOIN key k ON k.id = x.doc AND k.term = x.term GROUP BY 1) a USING (id)
  LEFT JOIN (SELECT x.id, count(*) AS n FROM own x JOIN key k USING (id, term) GROUP BY 1) o USING (id);
SELECT printf('expansions: precision@5 %.3f, the text''s own rarest words %.3f, difference %+.3f +- %.3f (95 %%), %d films',
  avg(added), avg(own), avg(added - own), 1.96 * sqrt((avg((added - own) * (added - own)) - avg(added - own) * avg(added - own)) / count(*)), count(*)) FROM score;
