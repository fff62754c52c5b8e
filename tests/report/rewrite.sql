-- How well does the builtin read a request? Precision and recall of (facet, operator, value), micro-averaged; every value of a
-- list and every bound is one triple; a sentence without filters counts through what was made up for it. One value says the
-- same under "any" as under "all". Expects the tables sentence and answer(id, q).
CREATE TEMP TABLE triple AS
WITH side(id, side, filters) AS (SELECT id, 'label', filters FROM sentence UNION ALL SELECT id, 'rules', q -> 'filters' FROM answer),
part AS (SELECT s.id, s.side, f.key AS facet, o.key AS op, o.value AS v, o.type AS type
           FROM side s, json_each(s.filters) f, json_each(f.value) o)
SELECT p.id, p.side, p.facet, CASE WHEN op = 'all' AND json_array_length(v) = 1 THEN 'any' ELSE op END AS op, x.value AS value
  FROM part p, json_each(p.v) x WHERE p.type = 'array'
UNION ALL SELECT id, side, facet, op, v FROM part WHERE type <> 'array';
CREATE TEMP TABLE likes AS
SELECT s.id, 'label' AS side, j.value AS key FROM sentence s, json_each(s.likes) j
UNION ALL SELECT a.id, 'rules', j.value FROM answer a, json_each(a.q -> 'like_items') j;
CREATE TEMP VIEW hit AS SELECT id, facet, op, value FROM triple WHERE side = 'label'
INTERSECT SELECT id, facet, op, value FROM triple WHERE side = 'rules';
CREATE TEMP TABLE verdict AS
SELECT s.id, s.is_frozen, s.catalogue, s.text, s.intent, q ->> 'intent' AS got_intent, s.needs_clarification AS clarify,
       q ->> 'needs_clarification' AS got_clarify, q ->> 'confidence' AS confidence, s.filters, q -> 'filters' AS got,
       (SELECT count(*) FROM triple t WHERE t.id = s.id AND side = 'label') AS n_label,
       (SELECT count(*) FROM triple t WHERE t.id = s.id AND side = 'rules') AS n_rules,
       (SELECT count(*) FROM hit t WHERE t.id = s.id) AS n_hit,
       (SELECT count(*) FROM likes t WHERE t.id = s.id AND side = 'label') AS n_like,
       (SELECT count(*) FROM likes t WHERE t.id = s.id AND side = 'rules') AS n_liked,
       (SELECT count(*) FROM (SELECT key FROM likes t WHERE t.id = s.id AND side = 'label'
          INTERSECT SELECT key FROM likes t WHERE t.id = s.id AND side = 'rules')) AS n_like_hit
  FROM sentence s JOIN answer USING (id);
CREATE TEMP TABLE f1 AS -- of one class of intent
WITH c(part, intent) AS (SELECT DISTINCT p.part, v.intent FROM verdict v, (SELECT 0 AS part UNION SELECT 1 UNION SELECT 2) p)
SELECT c.part, c.intent, 2.0 * sum(v.intent = c.intent AND v.got_intent = c.intent)
         / max(1, sum(v.intent = c.intent) + sum(v.got_intent = c.intent)) AS f1
  FROM c JOIN verdict v ON c.part = 2 OR v.is_frozen = c.part GROUP BY 1, 2;
.mode table
SELECT CASE part WHEN 0 THEN 'open' WHEN 1 THEN 'frozen' ELSE 'all' END AS part, count(*) AS sentences,
       round(1.0 * sum(n_hit) / max(1, sum(n_rules)), 3) AS precision, round(1.0 * sum(n_hit) / max(1, sum(n_label)), 3) AS recall,
       (SELECT round(avg(f1), 3) FROM f1 WHERE f1.part = p.part) AS intent_f1,
       round(2.0 * sum(clarify AND got_clarify) / max(1, sum(clarify) + sum(got_clarify)), 3) AS clarify_f1,
       round(2.0 * sum(n_like_hit) / max(1, sum(n_like) + sum(n_liked)), 3) AS like_f1,
       sum(confidence >= .8) AS confident,
       round(1.0 * sum(confidence >= .8 AND n_hit = n_label AND n_hit = n_rules AND n_like_hit = n_like AND n_like_hit = n_liked
                       AND intent = got_intent AND clarify = got_clarify) / max(1, sum(confidence >= .8)), 3) AS confident_right
  FROM verdict, (SELECT 2 AS part UNION SELECT 0 UNION SELECT 1) p WHERE part = 2 OR is_frozen = part GROUP BY part;
.mode list
SELECT 'outside the vocabulary: ' || count(*) FROM triple t JOIN sentence s USING (id)
 WHERE side = 'rules' AND op IN ('any', 'all', 'none') AND NOT EXISTS (SELECT 1 FROM vocabulary w
   WHERE w.catalogue = s.catalogue AND w.facet = t.facet AND (w.value = t.value OR w.value LIKE t.value || '>%'));
