#!/usr/bin/env bash
# The llm functions against a real inference engine: llama.cpp as npm has it, with a model of random weights that is made here.
# Its words are noise; what is tested is the protocol: grammar, embeddings, several requests at once, an interrupt while
# it generates, a restart half way. Needs node, npm and, once, the npm registry; what is fetched stays in build/real.
set -u
cd "$(dirname "$0")/../.."
for p in node npm /usr/bin/python3; do command -v "$p" >/dev/null || { echo "needs $p"; exit 77; }; done
lib=${REC_LIB:-$PWD/build/release/rec}
dir=$PWD/build/real
mkdir -p "$dir"
if [ ! -d "$dir/node_modules/node-llama-cpp" ]; then
  arch=linux-x64; [ "$(uname -m)" = aarch64 ] && arch=linux-arm64
  [ "$(uname -s)" = Darwin ] && { arch=mac-x64; [ "$(uname -m)" = arm64 ] && arch=mac-arm64-metal; }
  (cd "$dir" && echo '{"private":true}' >package.json && timeout 200 npm install --ignore-scripts --omit=optional --no-audit --no-fund \
    node-llama-cpp@3.22.1 "@node-llama-cpp/$arch@3.22.1" >npm.log 2>&1) || { rm -rf "$dir/node_modules"; echo "npm has no llama.cpp for us here"; exit 77; }
fi
cp tests/fakes/real_server.mjs "$dir/"
[ -s "$dir/random.gguf" ] || /usr/bin/python3 tests/fakes/random_model.py "$dir/random.gguf" 1 >/dev/null
unset REC_LLM_BASE_URL REC_LLM_API_KEY http_proxy https_proxy all_proxy ALL_PROXY
port=$((20000 + $$ % 20000)); server=
start() {
  (cd "$dir" && exec node real_server.mjs random.gguf $port >server.log 2>&1) &
  server=$!
  for _ in $(seq 200); do grep -q ready "$dir/server.log" 2>/dev/null && return; sleep .1; done
  echo "the server did not start: $(tail -n 1 "$dir/server.log")"; exit 77
}
stop() { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -f "$dir/server.log"; }
trap stop EXIT
rm -f "$dir/server.log"; start

bad=0
is() { # is <name> <got> <pattern>
  # shellcheck disable=SC2053
  if [[ "$2" == $3 ]]; then return; fi
  printf '%s:\n  got      %s\n  expected %s\n' "$1" "$2" "$3"; bad=1
}
sql() { # sql <options json> <statements>
  timeout 100 sqlite3 -batch -init /dev/null -cmd ".load $lib" :memory: \
    "INSERT INTO llm_models(name, base_url, model, options) VALUES ('m', 'http://127.0.0.1:$port', 'random', '$1');" "$2" 2>&1
}
# A schema without free text: the grammar alone makes the answer a good one.
grammar='{"max_tokens":60,"extra":{"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"ok":{"type":"boolean"},"n":{"enum":["one","two"]}},"required":["ok","n"],"additionalProperties":false}}}}}'
is "grammar" "$(sql "$grammar" "SELECT json_type(a, '\$.ok') IN ('true', 'false'), a ->> 'n' IN ('one', 'two') FROM (SELECT llm_complete('x') AS a)")" '1|1'
is "usage" "$(sql "$grammar" "SELECT length(llm_complete('x')) > 9; SELECT http, prompt_tokens > 0, completion_tokens > 0 FROM llm_usage")" $'1\n200|1|1'
# Noise from the model: the functions answer all the same, every id once.
films='[{"id":1,"title":"One","score":3},{"id":2,"title":"Two","score":2},{"id":3,"title":"Three","score":1}]'
is "rewrite" "$(sql '{"max_tokens":150}' "SELECT llm_rewrite('a dark film') ->> 'status'")" '@(llm|fallback)'
is "rerank" "$(sql '{"max_tokens":150}' "SELECT count(*), count(DISTINCT id), max(status) FROM llm_rerank('x', '$films')")" '3|3|@(llm|fallback)'
is "cut off" "$(sql '{"max_tokens":3}' "SELECT llm_complete('write on and on')")" '*cut off*finish_reason length*'
is "embed" "$(sql '{}' "SELECT rec_dim(llm_embed('a')), rec_distance(llm_embed('a'), llm_embed('a'), 'cosine') < 1e-6, llm_embed('a') <> llm_embed('another text')")" '64|1|1'
is "many at once" "$(sql '{"max_tokens":40,"concurrency":4,"retries":0}' "SELECT count(*), count(DISTINCT id), sum(status IS NOT NULL)
  FROM llm_enrich_each('[{\"id\":1,\"title\":\"One\"},{\"id\":2,\"title\":\"Two\"},{\"id\":3,\"title\":\"Three\"},{\"id\":4,\"title\":\"Four\"}]', NULL); SELECT count(*) FROM llm_usage WHERE http = 200")" $'4|4|4\n4'

# An interrupt while the engine is at work.
sqlite3 -batch -init /dev/null -cmd ".load $lib" :memory: "INSERT INTO llm_models(name, base_url, options) VALUES ('m', 'http://127.0.0.1:$port', '{\"max_tokens\":3500}');" \
  "SELECT llm_complete('tell me everything');" >"$dir/int" 2>&1 &
job=$!
sleep 1
t0=$(date +%s%N); kill -INT $job 2>/dev/null; wait $job
t=$((($(date +%s%N) - t0) / 1000000))
if grep -q interrupt "$dir/int"; then [ $t -lt 1000 ] || { echo "the interrupt took $t ms"; bad=1; }; else is "interrupt" "$(cut -c1-80 "$dir/int")" '*cut off*'; fi

# The engine goes away and comes back: a fallback meanwhile, an answer afterwards.
stop
is "gone" "$(sql '{"retries":0,"timeout_ms":1000}' "SELECT llm_rewrite('x') ->> 'status'")" 'fallback'
start
is "back" "$(sql "$grammar" "SELECT json_valid(llm_complete('x'))")" '1'
[ $bad = 0 ] && echo "every case as expected"
exit $bad
