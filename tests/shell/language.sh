#!/usr/bin/env bash
# sql/help_desk.sql answers, and sql/enrich.sql fills its table in batches and touches only what changed.
set -u
cd "$(dirname "$0")/../.."
lib=${REC_LIB:-$PWD/build/release/rec}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
unset REC_LLM_BASE_URL REC_LLM_API_KEY REC_LLM_KEY_ENV
run() { sqlite3 -batch -init /dev/null -cmd ".load $lib" "$@" 2>&1; }
bad=0
is() { [[ "$2" == $3 ]] || { printf '%s:\n  got      %s\n  expected %s\n' "$1" "$2" "$3"; bad=1; }; }

# The help desk: the article that answers is among the two that are shown, for each of the six questions.
run "$tmp/desk.db" <sql/help_desk.sql >"$tmp/out"
found=0
for want in '1|.|1|' '2|.|[78]|' '3|.|29|' '4|.|14|' '5|.|32|' '6|.|42|'; do grep -qE "^${want//|/\\|}" "$tmp/out" && found=$((found + 1)); done
is "help desk" "$found of $(wc -l <"$tmp/out")" '6 of 12'

# Enrichment: the films of the fixture under the names that the script uses.
{ cat tests/fixtures/films.sql
  echo "CREATE VIEW f AS SELECT * FROM films; CREATE TABLE movies(movie_id INTEGER PRIMARY KEY, title TEXT, year INTEGER, genres TEXT, overview TEXT);
    INSERT INTO movies SELECT film_id, title, year, genres, overview FROM films;
    WITH RECURSIVE n(i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 130) INSERT INTO movies(movie_id, title, genres) SELECT i, 'Film ' || i, 'Horror' FROM n;
    SELECT rec_train('about') IS NULL;"
} | run "$tmp/films.db" >/dev/null
is "first batch" "$(run "$tmp/films.db" <sql/enrich.sql)" '50|0|16'
is "second batch" "$(run "$tmp/films.db" <sql/enrich.sql)" '16|0|0'
is "nothing to do" "$(run "$tmp/films.db" <sql/enrich.sql)" '0||0'
run "$tmp/films.db" "UPDATE film_enriched SET written_at = 'before'; UPDATE movies SET year = 1999 WHERE movie_id = 120"
is "what changed" "$(run "$tmp/films.db" <sql/enrich.sql)" '1|0|0'
is "and only that" "$(run "$tmp/films.db" "SELECT group_concat(movie_id || ' ' || description) FROM film_enriched WHERE written_at <> 'before'")" '120 Film 120. Genres: Horror. Year: 1999.'
# original || enriched as a content model: a film without an overview is found by words of its neighbours.
is "content model" "$(run "$tmp/films.db" "CREATE VIRTUAL TABLE rich USING rec_model(algorithm=content, items=film_text, item=movie_id, title=title,
    text='title, overview, enriched', facets='genres[|]', embedder='lsa(16)'); SELECT rec_train('rich') ->> 'items';
  SELECT count(*) FROM rec_hybrid('rich', NULL, 'haunted', 40) WHERE item > 100 AND score > 0.05")" *$'\n''[1-9]*'
[ $bad = 0 ] && echo "every case as expected"
exit $bad
