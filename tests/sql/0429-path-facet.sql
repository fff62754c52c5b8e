-- facets='category[>]': a path, whose ancestors match too, in filters, in the text of queries and in likeness.
.read tests/fixtures/shop.sql
CREATE VIRTUAL TABLE shop USING rec_model(algorithm=content, items=products, item=product_id, title=title, text=description,
  facets='category[>]', embedder='lsa(32)');
SELECT rec_train('shop') ->> 'items';

-- an ancestor finds everything below it, and nothing else
SELECT count(*) = (SELECT count(*) FROM products WHERE category LIKE 'Electronics>Audio>%'), min(p.category LIKE 'Electronics>Audio>%')
  FROM rec_hybrid('shop', NULL, json_object('query', 'music', 'filters', json('{"category": {"any": ["Electronics>Audio"]}}'))) AS r
  CROSS JOIN products AS p ON p.product_id = r.item;
SELECT count(*) = (SELECT count(*) FROM products WHERE category = 'Electronics>Audio>Speakers')
  FROM rec_hybrid('shop', NULL, json_object('query', 'music', 'filters', json('{"category": {"any": ["Electronics>Audio>Speakers"]}}')));
SELECT count(*), sum(p.category LIKE 'Electronics>%')
  FROM (SELECT item FROM rec_hybrid('shop', NULL, json_object('query', 'music', 'filters', json('{"category": {"none": ["Electronics"]}}')), 50)) AS r
  CROSS JOIN products AS p ON p.product_id = r.item;
SELECT rec_match('{"category": {"any": ["Electronics>Audio"]}}', '{"category": "Electronics>Audio>Speakers"}', 'shop'),
       rec_match('{"category": {"any": ["Electronics>Audio>Speakers"]}}', '{"category": "Electronics>Audio"}', 'shop');
SELECT reason FROM rec_why_not('shop', 1, 1041, '{"category": {"any": ["Electronics>Audio"]}}');

-- items whose paths share more are more alike: the same leaf, the same branch, another one
WITH pair AS (SELECT b.category AS c, rec_similarity('shop', 1026, b.product_id) AS s FROM products AS b WHERE b.product_id <> 1026)
SELECT avg(iif(c = 'Electronics>Audio>Speakers', s, NULL)) > avg(iif(c LIKE 'Electronics>Audio>%' AND c NOT LIKE '%Speakers', s, NULL)) AS leaf,
       avg(iif(c LIKE 'Electronics>Audio>%' AND c NOT LIKE '%Speakers', s, NULL)) > avg(iif(c NOT LIKE 'Electronics>%', s, NULL)) AS branch FROM pair;
