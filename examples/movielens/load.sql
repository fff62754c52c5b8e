-- Loads MovieLens latest-small into ordinary tables. Run by movielens.sh from the folder that holds the CSV files:
-- movies.csv, ratings.csv, links.csv, tags.csv and, if it is there, tmdb_5000_movies.csv beside them.
.mode csv
CREATE TEMP TABLE raw_movies(movie_id INTEGER PRIMARY KEY, title TEXT, genres TEXT);
CREATE TEMP TABLE raw_links(movie_id INTEGER PRIMARY KEY, imdb TEXT, tmdb INTEGER);
CREATE TEMP TABLE raw_tags(user_id INTEGER, movie_id INTEGER, tag TEXT, tagged_at INTEGER);
CREATE TABLE ratings(user_id INTEGER, movie_id INTEGER, rating REAL, rated_at INTEGER,
                     PRIMARY KEY (user_id, movie_id)) WITHOUT ROWID;
.import --skip 1 movies.csv raw_movies
.import --skip 1 links.csv raw_links
.import --skip 1 tags.csv raw_tags
.import --skip 1 ratings.csv ratings

-- Film facts by TMDB id; the table stays empty when tmdb.sql was not run.
CREATE TEMP TABLE IF NOT EXISTS raw_tmdb(budget, genres TEXT, homepage, id INTEGER, keywords TEXT,
  original_language TEXT, original_title TEXT, overview TEXT, popularity, companies, countries, release_date,
  revenue, runtime INTEGER, spoken_languages, status, tagline TEXT, title TEXT, vote_average, vote_count);
.read tmdb-import.sql

CREATE TEMP TABLE facts AS
  SELECT id AS tmdb, overview, nullif(CAST(runtime AS INTEGER), 0) AS runtime,
         CASE original_language WHEN 'en' THEN 'English' WHEN 'fr' THEN 'French' WHEN 'ja' THEN 'Japanese'
           WHEN 'es' THEN 'Spanish' WHEN 'de' THEN 'German' WHEN 'it' THEN 'Italian' WHEN 'zh' THEN 'Chinese'
           WHEN 'cn' THEN 'Chinese' WHEN 'ko' THEN 'Korean' WHEN 'ru' THEN 'Russian' WHEN 'hi' THEN 'Hindi'
           WHEN 'da' THEN 'Danish' WHEN 'sv' THEN 'Swedish' WHEN 'pt' THEN 'Portuguese'
           WHEN '' THEN NULL ELSE original_language END AS language
    FROM raw_tmdb;
CREATE INDEX temp.facts_tmdb ON facts(tmdb);

CREATE TABLE movies(movie_id INTEGER PRIMARY KEY, title TEXT NOT NULL, year INTEGER, genres TEXT, language TEXT,
                    runtime INTEGER, overview TEXT, tags TEXT, in_stock INTEGER NOT NULL);
INSERT INTO movies
  SELECT m.movie_id, m.title,
         -- "Toy Story (1995)": the last parenthesis holds the year; a few titles have none
         CASE WHEN substr(trim(m.title), -6) GLOB '([0-9][0-9][0-9][0-9])'
              THEN CAST(substr(trim(m.title), -5, 4) AS INTEGER) END,
         nullif(m.genres, '(no genres listed)'), f.language, f.runtime, nullif(f.overview, ''),
         (SELECT group_concat(tag, '; ') FROM (SELECT DISTINCT lower(t.tag) AS tag FROM raw_tags t
                                                WHERE t.movie_id = m.movie_id ORDER BY 1)),
         m.movie_id % 10 <> 7                     -- the data say nothing of stock: nine of ten are on the shelf
    FROM raw_movies m LEFT JOIN raw_links l USING (movie_id) LEFT JOIN facts f ON f.tmdb = l.tmdb
   GROUP BY m.movie_id;

CREATE VIEW in_stock_now AS SELECT movie_id AS item FROM movies WHERE in_stock = 1;
CREATE VIRTUAL TABLE movies_fts USING fts5(title, genres, overview, tags, content=movies, content_rowid=movie_id,
                                           tokenize='porter unicode61');
INSERT INTO movies_fts(movies_fts) VALUES ('rebuild');
ANALYZE;
