-- Conversations in ordinary tables: what an app keeps, and the statements that it runs for each turn.
-- llm_converse itself keeps nothing: the state goes in and comes out. Replace 'reader' by your model.
CREATE TABLE IF NOT EXISTS talk_session(session_id INTEGER PRIMARY KEY, user_id, started_at INTEGER NOT NULL DEFAULT (unixepoch()), state TEXT);
CREATE TABLE IF NOT EXISTS talk_turn(session_id INTEGER NOT NULL REFERENCES talk_session, n INTEGER NOT NULL, said TEXT,
  answer TEXT NOT NULL, said_at INTEGER NOT NULL DEFAULT (unixepoch()), PRIMARY KEY (session_id, n));
-- What was learnt, in the rows of llm_preferences: it outlives the session.
CREATE TABLE IF NOT EXISTS preferences(user_id NOT NULL, kind TEXT NOT NULL, key NOT NULL DEFAULT '', value TEXT NOT NULL DEFAULT '',
  weight REAL NOT NULL, said_at INTEGER NOT NULL DEFAULT (unixepoch()), PRIMARY KEY (user_id, kind, key, value)) WITHOUT ROWID;

-- From here on all is TEMP, since functions that may call a server run in no view or trigger that a file brings along: run
-- this part on every connection.

-- What the tables say of a user, as llm_converse takes it (option preferences), and as a request for rec_hybrid: what was
-- disliked strongly is a filter, what was liked is searched for, so the same talk shapes every later list.
CREATE TEMP VIEW preference_list AS
SELECT user_id, json_group_array(json_object('kind', kind, 'key', key, 'value', value, 'weight', weight)) AS rows
  FROM preferences GROUP BY user_id;
CREATE TEMP VIEW preference_request AS
WITH none AS (SELECT user_id, key, json_object('none', json_group_array(value)) AS cond FROM preferences
               WHERE kind = 'facet' AND weight <= -0.4 AND value NOT LIKE '%..%' GROUP BY user_id, key)
SELECT u.user_id, json_object(
  'query', coalesce((SELECT group_concat(value, ' ') FROM preferences p WHERE p.user_id = u.user_id AND weight >= 0.4
                      AND kind IN ('facet', 'word') AND value NOT LIKE '%..%'), ''),
  'filters', json((SELECT json_group_object(key, json(cond)) FROM none n WHERE n.user_id = u.user_id)),
  'exclude', json((SELECT json_group_array(value) FROM preferences p WHERE p.user_id = u.user_id AND kind = 'word' AND weight <= -0.4)),
  'like_items', json((SELECT json_group_array(key) FROM preferences p WHERE p.user_id = u.user_id AND kind = 'item' AND weight > 0.4))
  ) AS request FROM (SELECT DISTINCT user_id FROM preferences) u;
-- SELECT * FROM rec_hybrid('reader', :user, (SELECT request FROM preference_request WHERE user_id = :user), 10);

-- A turn is one insert here; the trigger does the rest, and the answer is the newest row of talk_turn.
CREATE TEMP TABLE talk_model(name TEXT, options TEXT); -- one row: the model, and what the app demands: filters, k, llm
CREATE TEMP VIEW talk AS SELECT NULL AS session_id, NULL AS said;
CREATE TEMP TRIGGER talk_one_turn INSTEAD OF INSERT ON talk BEGIN
  INSERT INTO talk_turn(session_id, n, said, answer)
  SELECT s.session_id, 1 + (SELECT count(*) FROM talk_turn t WHERE t.session_id = s.session_id), new.said,
         llm_converse(m.name, s.state, new.said, json_patch(coalesce(m.options, '{}'), json_object('user', s.user_id,
           'preferences', coalesce((SELECT json(l.rows) FROM preference_list l WHERE l.user_id = s.user_id), json('[]')))))
    FROM talk_session s, talk_model m WHERE s.session_id = new.session_id;
  UPDATE talk_session SET state = (SELECT answer -> 'state' FROM talk_turn t WHERE t.session_id = new.session_id ORDER BY n DESC LIMIT 1)
   WHERE session_id = new.session_id;
  -- What the sentence says of taste; of its words only those that the conversation took for such ("the first one" says
  -- nothing of taste). The newer replaces the older.
  INSERT INTO preferences(user_id, kind, key, value, weight)
  SELECT s.user_id, p.kind, coalesce(p.key, ''), coalesce(p.value, ''), p.weight
    FROM talk_session s, talk_model m, llm_preferences(new.said, m.name) p
   WHERE s.session_id = new.session_id AND s.user_id IS NOT NULL AND (p.kind <> 'word' OR EXISTS (
     SELECT 1 FROM json_each(s.state, '$.said') j WHERE j.value ->> 'kind' = 'word' AND instr(p.value, j.value ->> 'value')))
  ON CONFLICT DO UPDATE SET weight = excluded.weight, said_at = excluded.said_at;
  -- What was chosen or turned down by pointing at it.
  INSERT INTO preferences(user_id, kind, key, weight)
  SELECT s.user_id, 'item', j.value, l.weight
    FROM talk_session s, (SELECT 'liked' AS list, 0.7 AS weight UNION ALL SELECT 'disliked', -0.7) l, json_each(s.state, '$.' || l.list) j
   WHERE s.session_id = new.session_id AND s.user_id IS NOT NULL
  ON CONFLICT DO UPDATE SET weight = excluded.weight, said_at = excluded.said_at;
END;
-- INSERT INTO talk_model VALUES ('reader', '{"k": 5}');
-- INSERT INTO talk_session(user_id) VALUES (42);
-- INSERT INTO talk VALUES (1, 'hello');
-- SELECT answer ->> 'reply', answer ->> 'question', answer -> 'items' FROM talk_turn ORDER BY session_id, n DESC LIMIT 1;
