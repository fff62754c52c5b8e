#!/usr/bin/env bash
# The labelled sentences through llm_rewrite, films (if the data are there) and products: rewrite.sh [-v]; -v lists what differs,
# of the open part only: nobody should look at the frozen one while working on rules.
set -u
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
run() { sqlite3 -batch -init /dev/null -cmd '.load build/rec' "$@"; }
ml=../shared/data/ml-latest-small
only="catalogue = 'shop'"
if [ -f $ml/ratings.csv ]; then
  only=1
  MOVIELENS_DB=$tmp/films.db examples/movielens/movielens.sh $ml >/dev/null 2>&1
else
  echo "no $ml: films left out"; : >"$tmp/films.db"
fi
{ cat tests/fixtures/shop.sql
  cat <<'SQL'
CREATE VIRTUAL TABLE shop USING rec_model(algorithm=content, items=products, item=product_id, title=title,
  text='title, description', facets='category[>], brand, price, colour, features[|], rating, min_age, region', embedder=lsa(64));
SELECT rec_train('shop') IS NULL;
SQL
} | run "$tmp/films.db" >/dev/null
{ cat tests/report/sentences.sql
  echo "DELETE FROM sentence WHERE NOT ($only);"
  echo "CREATE TEMP TABLE answer AS SELECT id, llm_rewrite(text, iif(catalogue = 'shop', 'shop', 'reader')) AS q FROM sentence;"
  echo "CREATE TEMP TABLE vocabulary(catalogue TEXT, facet TEXT, value TEXT);
    INSERT INTO vocabulary SELECT DISTINCT 'shop', 'category', category FROM products UNION SELECT 'shop', 'brand', brand FROM products
      UNION SELECT 'shop', 'colour', colour FROM products UNION SELECT 'shop', 'region', region FROM products
      UNION SELECT 'shop', 'features', j.value FROM products, json_each('[\"' || replace(features, '|', '\",\"') || '\"]') j;"
  [ "$only" = 1 ] && echo "INSERT INTO vocabulary SELECT DISTINCT 'films', 'language', language FROM movies WHERE language IS NOT NULL
      UNION SELECT 'films', 'genres', j.value FROM movies, json_each('[\"' || replace(genres, '|', '\",\"') || '\"]') j;
      INSERT INTO vocabulary SELECT DISTINCT 'films', 'year', year FROM movies;"
  cat tests/report/rewrite.sql
  [ "${1:-}" = -v ] && echo "SELECT id, text, filters AS wanted, got, intent || '/' || got_intent, clarify || '/' || got_clarify, confidence,
      n_like || '/' || n_liked || '/' || n_like_hit
    FROM verdict WHERE is_frozen = 0 AND (n_hit <> n_label OR n_hit <> n_rules OR n_like_hit <> n_like OR n_like_hit <> n_liked
      OR intent <> got_intent OR clarify <> got_clarify);"
} | run "$tmp/films.db"
