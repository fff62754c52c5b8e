-- llm_explain: one sentence for one item; every claim is in the record, the user's history or their request.
SELECT llm_explain('{"query": "something with vampires"}',
  '{"id": 1, "title": "Nosferatu", "year": 1922, "overview": "A count who is a vampire brings plague to a quiet harbour town."}');
SELECT llm_explain('{"history": [{"id": 3, "title": "Dracula", "value": 5, "overview": "A vampire count leaves his castle for London."}]}',
  '{"id": 1, "title": "Nosferatu", "overview": "A count who is a vampire brings plague to a quiet harbour town."}');
-- A list is a history. Nothing in common: the record speaks for itself.
SELECT llm_explain('[{"id": 9, "title": "M"}]', '{"title": "Roman Holiday", "year": 1953, "genres": "Comedy|Romance"}');
SELECT llm_explain(NULL, '{"title": "Roman Holiday", "year": 1953}');
SELECT llm_explain('{}', NULL) IS NULL;
SELECT llm_explain('{}', '{"id": 1}');
SELECT llm_explain('{}', '[1]');
SELECT llm_explain('7', '{}');
SELECT llm_explain('{}', '{}', '{"x": 1}');
SELECT llm_explain('{', '{}');
SELECT json_valid(llm_explain_request('{"query": "vampires"}', '{"title": "Nosferatu"}'));
