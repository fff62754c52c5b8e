#!/usr/bin/env bash
# The llm functions against tests/fakes/llm_server.py: good answers, bad ones, none. Every case is one run of the
# shell; the key's value must never come out, and nothing may hang.
set -u
cd "$(dirname "$0")/../.."
[ -x /usr/bin/python3 ] || { echo "needs /usr/bin/python3"; exit 77; }
lib=${REC_LIB:-$PWD/build/release/rec}
tmp=$(mktemp -d)
canary=SECRET-CANARY-7d1f0b52
export REC_TEST_KEY=$canary
unset REC_LLM_BASE_URL REC_LLM_API_KEY REC_LLM_KEY_ENV http_proxy https_proxy all_proxy ALL_PROXY
mkfifo "$tmp/stdin"
/usr/bin/python3 tests/fakes/llm_server.py 120 <"$tmp/stdin" >"$tmp/port" &
server=$!
exec 9>"$tmp/stdin" # the server ends when this closes
trap 'exec 9>&-; wait $server 2>/dev/null; rm -rf "$tmp"' EXIT
for _ in $(seq 100); do [ -s "$tmp/port" ] && break; sleep .1; done
port=$(cat "$tmp/port")
[ -n "$port" ] || { echo "the server did not start"; exit 1; }
base=http://127.0.0.1:$port

bad=0
count() { # count <mode>: requests that the mode has had
  /usr/bin/python3 -c "import urllib.request as u; print(u.build_opener(u.ProxyHandler({})).open('$base/count/$1').read().decode())"
}
sql() { # sql <mode> <options json> <statements>: one connection with a model 'm' that behaves as the mode says
  sqlite3 -batch -init /dev/null -cmd ".load $lib" "${db:-:memory:}" \
    "INSERT INTO llm_models(name, base_url, model, key_env, options)
     VALUES ('m', '$base/$1', 'fake-model', 'REC_TEST_KEY', '$2');" "$3" 2>&1 | tee -a "$tmp/all"
}
is() { # is <name> <got> <pattern>
  if [[ "$2" == $3 ]]; then return; fi
  printf '%s:\n  got      %s\n  expected %s\n' "$1" "$2" "$3"; bad=1
}
films='[{"id":1,"title":"Quiet Harbour","overview":"A widow keeps a cafe.","score":3,"relevance":1},
        {"id":2,"title":"Dark Bathhouse","overview":"A girl works for spirits.","score":2,"relevance":3},
        {"id":3,"title":"Robots","overview":"Metal friends.","score":1,"relevance":2}]'
rerank="SELECT group_concat(id, ' '), max(status), sum(grounded) FROM (SELECT * FROM llm_rerank('spirits', '$films') ORDER BY rank)"
fast='{"timeout_ms":1500,"retries":1}'

# Good answers, in every dress that servers give them.
for mode in good parts fenced think wrapped list noschema once500 ratelimit; do
  want='2 3 1|llm|3'
  [ $mode = list ] && want='2 3 1|llm|1' # a bare list brings no reasons: the template speaks where it can
  is "rerank $mode" "$(sql $mode '{}' "$rerank")" "$want"
done
is "rewrite good" "$(sql good '{}' "SELECT q->>'status', q->>'query', q->>'expansions', q->>'confidence'
   FROM (SELECT llm_rewrite('something dark') AS q)")" 'llm|dark animated fantasy|\["spirits","anime"\]|1*'
is "complete" "$(sql good '{}' "SELECT llm_complete('say hi')")" 'You said: say hi'
is "repaired" "$(sql missing '{}' "$rerank; SELECT status FROM llm_usage")" '* * *|llm|*repaired'
is "foreign" "$(sql foreign '{}' "$rerank; SELECT status FROM llm_usage")" '2 3 1|llm|3*repaired'
is "duplicate" "$(sql duplicate '{}' "$rerank; SELECT status FROM llm_usage")" '2 3 1|llm|3*repaired'

# Reasons that do not stand up are replaced; what is shown stands in the record.
for mode in liar numbers; do
  got=$(sql $mode '{}' "SELECT group_concat(why, ' / ') FROM (SELECT why FROM llm_rerank('spirits', '$films') ORDER BY rank)")
  is "reasons $mode" "$got" 'Matches "spirits" in overview / *taste* / *taste*'
done

is "reasons gossip" "$(sql gossip '{}' "SELECT group_concat(why, ' / ') FROM (SELECT why FROM llm_rerank('spirits', '$films') ORDER BY rank)")" \
  'Better than Dark Bathhouse / *taste* / *taste*' # only the film itself may be named

# Failures fall back, with the builtin's order, and say so; the second call is answered from memory.
for mode in garbage down toolarge detail oversize badutf8 html deep cutoff refusal length filter empty redirect waitlong; do
  is "fallback $mode" "$(sql $mode "$fast" "$rerank; $rerank; SELECT count(*) FROM llm_usage")" \
     *'|fallback|*|fallback|*1'
done
for mode in slow drip; do
  t0=$(date +%s%N)
  is "fallback $mode" "$(sql $mode '{"timeout_ms":400,"retries":0}' "$rerank")" '*|fallback|*'
  t=$((($(date +%s%N) - t0) / 1000000))
  [ $t -lt 3000 ] || { echo "$mode took $t ms"; bad=1; }
done
is "why it fell back" "$(sql detail '{}' "SELECT llm_rewrite('x') ->> 'error'")" "*'m' (127.0.0.1, HTTP 400, model fake-model): field required"
is "redirect" "$(count redirected)" 0
is "no retry of a permanent 500" "$(count toolarge)" 1
is "oversize" "$(sql oversize '{}' "SELECT llm_rewrite('x') ->> 'error'")" '*more than 4194304 bytes'

# A wrong configuration is an error, not a fallback.
is "401" "$(sql unauthorized '{}' "SELECT llm_rewrite('x')")" '*HTTP 401*Incorrect API key*\*\*\**'
is "404" "$(sql nosuchmodel '{}' "SELECT llm_rewrite('x')")" '*HTTP 404*does not exist*'
is "missing variable" "$(sql good '{}' "UPDATE llm_models SET key_env = 'REC_NOT_SET'; SELECT llm_rewrite('x')")" '*REC_NOT_SET*not set*'
is "unknown name" "$(sql good '{}' "SELECT llm_rewrite('x', NULL, '{\"llm\":\"gpt\"}')")" "*no model 'gpt'*"
is "complete fails" "$(sql down "$fast" "SELECT llm_complete('x')")" '*HTTP 500*always broken*'
is "limit" "$(sql good '{"max_calls":1}' "SELECT length(llm_complete('a')); SELECT llm_complete('b')")" '*max_calls is 1*'

# A write transaction is not held open over a call unless somebody says so; reading is fine.
is "transaction" "$(sql good '{}' "BEGIN; CREATE TABLE t(x); SELECT llm_complete('x')")" '*write transaction is open*'
is "transaction allowed" "$(sql good '{}' "BEGIN; CREATE TABLE t(x); SELECT llm_complete('x', '{\"in_transaction\":true}')")" 'You said: x'
is "read transaction" "$(sql good '{}' "BEGIN; SELECT count(*) FROM sqlite_schema; SELECT llm_complete('x')")" '*You said: x'

# Environment: a server named there is used when no row is registered, and says what is wrong with it.
env_sql() { sqlite3 -batch -init /dev/null -cmd ".load $lib" :memory: "$1" 2>&1 | tee -a "$tmp/all"; }
is "environment" "$(REC_LLM_BASE_URL=$base/good REC_LLM_MODEL=e REC_LLM_KEY_ENV=REC_TEST_KEY \
  env_sql "SELECT name, model, key_env FROM llm_models; SELECT llm_complete('x')")" 'default|e|REC_TEST_KEY*You said: x'
is "environment, wrong" "$(REC_LLM_BASE_URL=ftp://x env_sql "SELECT llm_rewrite('x')")" '*REC_LLM_*http://*'

# Other protocols: rows of one table.
as() { # as <protocol> <mode> <options json> <statements>
  sqlite3 -batch -init /dev/null -cmd ".load $lib" :memory: \
    "INSERT INTO llm_models(name, protocol, base_url, model, key_env, options)
     VALUES ('m', '$1', '$base/$2', 'fake-model', 'REC_TEST_KEY', '$3');" "$4" 2>&1 | tee -a "$tmp/all"
}
is "anthropic" "$(as anthropic good '{}' "$rerank; SELECT prompt_tokens, completion_tokens FROM llm_usage")" $'2 3 1|llm|3\n60|20'
is "anthropic rewrite" "$(as anthropic good '{}' "SELECT llm_rewrite('something dark') ->> 'status'")" 'llm'
is "anthropic headers" "$(as anthropic header '{}' "SELECT llm_complete('x')")" '2023-06-01 None True'
is "anthropic length" "$(as anthropic length "$fast" "SELECT llm_rewrite('x') ->> 'error'")" '*cut off*stop_reason max_tokens*'
is "anthropic refusal" "$(as anthropic refusal "$fast" "SELECT llm_rewrite('x') ->> 'error'")" '*refused*'
is "anthropic 401" "$(as anthropic unauthorized '{}' "SELECT llm_complete('x')")" '*HTTP 401*invalid x-api-key \*\**'
is "another header" "$(as openai apikey '{"key_header":"api-key"}' "SELECT llm_complete('x')")" 'TrueFalse'
for p in rerank rerank-cohere rerank-voyage rerank-tei; do
  is "$p" "$(as $p good '{}' "$rerank")" '2 3 1|llm|1'
  is "$p in batches" "$(as $p good '{"rank_batch":2}' "$rerank; SELECT count(*) FROM llm_usage")" $'2 3 1|llm|1\n2'
  is "$p few" "$(as $p few '{}' "$rerank")" '? ? ?|llm|1'
  is "$p wrong" "$(as $p wrong '{}' "$rerank")" '2 3 1|llm|1'
done
is "rerank nothing" "$(as rerank none "$fast" "$rerank")" '2 1 3|fallback|1'
is "rerank without a request" "$(as rerank good '{}' "SELECT group_concat(id, ' '), max(status) FROM (SELECT * FROM llm_rerank(NULL, '$films', '{\"history\":[{\"id\":9,\"title\":\"Liked\"}]}') ORDER BY rank)")" '2 3 1|llm'
is "rerank by nothing" "$(as rerank good "$fast" "SELECT max(status) FROM llm_rerank('', '$films')")" 'fallback'
is "rerank cannot rewrite" "$(as rerank good '{}' "SELECT llm_rewrite('x') ->> 'status', llm_rewrite('x', NULL, '{\"llm\":\"m\"}')")" "*'m' in llm_models speaks rerank*"
is "llm_embed" "$(as embeddings good '{}' "SELECT rec_vector_json(llm_embed('robot in space'))")" '\[2*'
is "llm_embed, kept" "$(as embeddings good '{}' "SELECT llm_embed('a') = llm_embed('a'), (SELECT count(*) FROM llm_usage)")" '1|1'
is "llm_embed 401" "$(as embeddings unauthorized '{}' "SELECT llm_embed('a')")" '*HTTP 401*'

# Answers kept in a table: another connection pays nothing, what is rejected or has failed never gets there, ttl ends it,
# and a table that is gone costs a call, not a statement.
kept() { db=$tmp/kept.db sql "$1" '{}' "INSERT INTO llm_cache(llm_cache) VALUES ('table=answers'); $2"; }
is "a table" "$(kept good "SELECT llm_rewrite('kept') ->> 'status'; SELECT function, model, length(answer) > 50 FROM answers")" $'llm\nllm_rewrite|fake-model|1'
n=$(count good)
is "a table, again" "$(kept good "SELECT llm_rewrite('kept') ->> 'status'; SELECT status, hits FROM llm_cache")" $'cache\nanswer|1'
is "nothing was asked" "$(count good)" "$n"
is "ttl" "$(kept good "UPDATE answers SET created = created - 100; INSERT INTO llm_cache(llm_cache) VALUES ('ttl=50'); SELECT llm_rewrite('kept') ->> 'status'; SELECT count(*) FROM answers")" $'llm\n1'
is "rejected" "$(kept garbage "SELECT llm_rewrite('bad') ->> 'status'; SELECT count(*), (SELECT status FROM llm_cache) FROM answers")" $'fallback\n1|rejected'
is "failed" "$(kept toolarge "SELECT llm_rewrite('worse') ->> 'status'; SELECT count(*) FROM answers")" $'fallback\n1'
is "rolled back" "$(kept good "BEGIN; DELETE FROM answers; SELECT llm_complete('r', '{\"in_transaction\":true}'); SELECT count(*) FROM answers; ROLLBACK; SELECT count(*) FROM answers; SELECT count(*) FROM llm_cache")" $'You said: r\n1\n1\n1'
is "dropped" "$(kept good "DROP TABLE answers; SELECT llm_complete('d'); SELECT count(*) FROM llm_cache")" $'You said: d\n1'
is "not named, not read" "$(db=$tmp/kept.db sql good '{}' "CREATE TABLE answers(request, answer); SELECT llm_rewrite('kept') ->> 'status'")" 'llm'

# A context that is too small: the window is asked again with shorter fields.
long="(SELECT json_group_array(json_object('id', value, 'title', 'Film ' || value, 'overview', printf('%.*c', 900, 'x'), 'relevance', value)) FROM json_each('[1,2,3,4,5,6,7,8]'))"
is "context" "$(sql context '{}' "SELECT group_concat(id, ' '), max(status) FROM (SELECT * FROM llm_rerank('x', $long) ORDER BY rank LIMIT 3); SELECT group_concat(http) FROM llm_usage")" $'8 7 6|llm\n400,200'

# Enrichment: what the record does not hold is inferred, what it counts or names falls away, and a failed row is a row.
item='{"id":1,"title":"Quiet Harbour","overview":"A widow keeps a cafe."}'
enrich="SELECT e->>'description', e->'tags', e->>'audience', e->>'mood', e->'inferred', e->>'status', e->>'model' FROM (SELECT llm_enrich('$item') AS e)"
for mode in good fenced think parts; do
  is "enrich $mode" "$(sql $mode '{}' "$enrich")" \
    'Quiet Harbour.|\["harbour"\]|People who like the sea|calm|\["A calm story for a rainy evening.","slow and gentle"\]|llm|fake-model'
done
is "enrich liar" "$(sql liar '{}' "$enrich")" \
  'Quiet Harbour.|\["harbour"\]|||\["A calm story for a rainy evening.","A quiet harbour.","slow and gentle"\]|llm|fake-model'
for mode in numbers garbage down cutoff refusal html; do
  is "enrich $mode" "$(sql $mode "$fast" "$enrich")" 'Quiet Harbour. A widow keeps a cafe.|\[\]*|fallback|builtin'
done
each="SELECT group_concat(id || ' ' || status || ' ' || (text IS NOT NULL) || ' ' || (error IS NOT NULL), ' / ')
  FROM llm_enrich_each('[$item, {\"id\":2,\"title\":\"FAIL\"}, 3, {\"id\":4,\"title\":\"Robots\"}, {\"id\":5,\"score\":1}]')"
is "enrich each" "$(sql onefails '{}' "$each")" '1 llm 1 0 / 2 fallback 1 1 / 4 llm 1 0 / 5 failed 0 1'
is "enrich wrong configuration" "$(sql unauthorized '{}' "$each")" '*HTTP 401*'
# What was paid for is there again after a rollback: five rows, three answers, three calls.
before=$(count good)
is "enrich after a rollback" "$(sql good '{}' "BEGIN; CREATE TABLE t AS SELECT * FROM llm_enrich_each('[$item, {\"title\":\"B\"}, {\"title\":\"C\"}]', '{\"in_transaction\":true}');
  ROLLBACK; CREATE TABLE t AS SELECT * FROM llm_enrich_each('[$item, {\"title\":\"B\"}, {\"title\":\"C\"}]', '{\"llm\":\"m\"}'); SELECT group_concat(status) FROM t;")" 'llm,llm,llm'
is "enrich calls" "$(($(count good) - before))" 3
# 64 of them against a server that takes 200 ms, eight at a time: 1.6 s of waiting, and little besides (2.2 s on a quiet machine).
t0=$(date +%s%N)
is "enrich 64" "$(sql lag '{"concurrency":8}' "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 64)
  SELECT count(*), sum(status = 'llm') FROM llm_enrich_each((SELECT json_group_array(json_object('id', i, 'title', 'Film ' || char(64 + i % 26) || i)) FROM n))")" '64|64'
t=$((($(date +%s%N) - t0) / 1000000))
[ $t -lt 4000 ] || { echo "64 enrichments took $t ms"; bad=1; }
[ -z "${VERBOSE:-}" ] || echo "64 enrichments: $t ms"
shop=".read tests/fixtures/films.sql"
profile="SELECT count(*) FROM (SELECT rec_train('about')); SELECT p->>'status', p->>'text', p->'claims'->0->'items' FROM (SELECT llm_profile('about', 20, '{\"form\":\"json\"}') AS p)"
profile() { # profile <mode>
  sqlite3 -batch -init /dev/null -cmd ".load $lib" -cmd "$shop" :memory: "INSERT INTO llm_models(name, base_url, model, key_env, options)
     VALUES ('m', '$base/$1', 'fake-model', 'REC_TEST_KEY', '$fast');" "$profile" 2>&1 | tee -a "$tmp/all"
}
is "profile good" "$(profile good)" '*llm|Enjoys Sci-Fi again and again. The best so far: The Thing.|\[31,30\]'
is "profile liar" "$(profile liar)" '*llm|Enjoys Sci-Fi again and again. The best so far: The Thing.|\[31,30\]'
for mode in numbers down garbage; do is "profile $mode" "$(profile $mode)" '*fallback|Often Sci-Fi (genres*'; done

# An oracle and many candidates: the order is exact for one window, the first ten for many.
order() { # order <n> <read>
  sql good '{}' "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1),
     c AS (SELECT i, (i * 7919) % 10007 AS r FROM n),
     l AS (SELECT json_group_array(json_object('id', i, 'title', 'Film ' || char(65 + i % 26) || i, 'relevance', r)) AS j FROM c),
     x AS MATERIALIZED (SELECT rank, id FROM l CROSS JOIN llm_rerank('q', j, '{\"read\": $2}')),
     w AS (SELECT i AS id, row_number() OVER (ORDER BY r DESC) AS want FROM c)
   SELECT count(*), count(DISTINCT id), sum(rank = want), sum(rank = want AND want <= 10) FROM x JOIN w USING (id)"
}
is "oracle 20" "$(order 20 50)" '20|20|20|10'
is "oracle 50" "$(order 50 50)" '50|50|*|10'
is "oracle 100" "$(order 100 100)" '100|100|*|10'
is "tail" "$(sql good '{}' "SELECT group_concat(DISTINCT status) FROM llm_rerank('q', (SELECT json_group_array(json_object('id', value, 'title', 'Film ' || value, 'relevance', value)) FROM json_each('[1,2,3,4,5]')), '{\"read\":3}')")" '*llm*retrieval*'

# An interrupt ends a call that hangs.
before=$(count slow)
sqlite3 -batch -init /dev/null -cmd ".load $lib" :memory: "INSERT INTO llm_models(name, base_url) VALUES ('m', '$base/slow');" \
  "SELECT llm_rewrite('x');" >"$tmp/int" 2>&1 &
job=$!
for _ in $(seq 50); do [ "$(count slow)" -gt "$before" ] && break; sleep .1; done
t0=$(date +%s%N)
kill -INT $job
wait $job
t=$((($(date +%s%N) - t0) / 1000000))
is "interrupt" "$(cat "$tmp/int")" '*interrupt*'
[ $t -lt 1000 ] || { echo "the interrupt took $t ms"; bad=1; }

# A turn of a conversation: a model words what was decided, and may add neither titles nor numbers.
shelf="CREATE TABLE films(film_id INTEGER PRIMARY KEY, title TEXT, genres TEXT);
  INSERT INTO films VALUES (1,'Casablanca','Drama'),(2,'Alien','Horror'),(3,'Psycho','Horror'),(4,'Ikiru','Drama'),(5,'Solaris','Drama');
  CREATE VIRTUAL TABLE about USING rec_model(algorithm=content, items=films, item=film_id, title=title, text=title, facets='genres', embedder=lsa(4));
  SELECT rec_train('about') IS NULL;"
talk() { echo "$shelf SELECT llm_converse('about', NULL, '', '{\"filters\": {\"genres\": {\"any\": [\"Horror\"]}}${1:-}}') ->> 'reply'"; }
plain=$(sql good '{}' "$(talk ', "llm": "builtin"')" | tail -1)
is "turn by rules" "$plain" "Here is what*"
is "turn in a model's words" "$(sql good '{}' "$(talk)" | tail -1)" "$plain Enjoy!"
is "turn with a number nobody gave" "$(sql numbers '{}' "$(talk)" | tail -1)" "$plain"
is "turn that names another title" "$(sql gossip '{}' "$(talk)" | tail -1)" "$plain"

# The key: sent to the server, seen nowhere else, not even when the server repeats it.
is "key is sent" "$(sql echo '{}' "SELECT llm_complete('x')")" 'key=\*\*\**'
db=$tmp/file.db sql good '{}' "PRAGMA journal_mode=WAL; CREATE TABLE t AS SELECT llm_complete('x', '{\"in_transaction\":true}') AS a; SELECT * FROM llm_models; SELECT llm_rewrite_request('x')" >/dev/null
cat "$tmp"/file.db* "$tmp"/kept.db* >>"$tmp/all"
if grep -qa "$canary" "$tmp/all"; then echo "the key came out"; grep -a "$canary" "$tmp/all" | head -3; bad=1; fi

[ $bad = 0 ] && echo "every case as expected"
exit $bad
