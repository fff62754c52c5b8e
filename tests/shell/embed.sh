#!/usr/bin/env bash
# Embedders that reach outside: a fake server behind llm('m') and small tables of token vectors behind static('folder'),
# sound and damaged. Every case is one run of the shell.
set -u
cd "$(dirname "$0")/../.."
[ -x /usr/bin/python3 ] || { echo "needs /usr/bin/python3"; exit 77; }
lib=${REC_LIB:-$PWD/build/release/rec}
tmp=$(mktemp -d)
unset REC_LLM_BASE_URL REC_LLM_API_KEY REC_LLM_KEY_ENV http_proxy https_proxy all_proxy ALL_PROXY
mkfifo "$tmp/stdin"
/usr/bin/python3 tests/fakes/llm_server.py 120 <"$tmp/stdin" >"$tmp/port" &
server=$!
exec 9>"$tmp/stdin" # the server ends when this closes
trap 'exec 9>&-; wait $server 2>/dev/null; rm -rf "$tmp"' EXIT
for _ in $(seq 100); do [ -s "$tmp/port" ] && break; sleep .1; done
port=$(cat "$tmp/port")
[ -n "$port" ] || { echo "the server did not start"; exit 1; }

bad=0
is() { # is <name> <got> <pattern>
  # shellcheck disable=SC2053
  if [[ "$2" == $3 ]]; then return; fi
  printf '%s:\n  got      %s\n  expected %s\n' "$1" "$2" "$3"; bad=1
}
count() { # count <mode>: requests that the mode has had
  /usr/bin/python3 -c "import urllib.request as u; print(u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:$port/count/$1').read().decode())"
}
items="CREATE TABLE items(id INTEGER PRIMARY KEY, title TEXT, body TEXT, vec);
INSERT INTO items VALUES (1,'A','a robot on a planet','[1,0]'), (2,'B','rocket to space',x'0000803fcdcccc3d'),
  (3,'C','the bride at the wedding','[0,1]'), (4,'D','love and a kiss',NULL), (5,'E','a haunted grave','[0.5,0.5]'),
  (6,'F',NULL,NULL), (7,'G','soup by the chef','[-1,0]'), (8,'H','','[0,2]');"
model="CREATE VIRTUAL TABLE a USING rec_model(algorithm=content, items=items, item=id, title=title, text=body, embedder="
sql() { # sql <mode> <options json> <statements>: each line of them is an argument of its own, so that errors do not end it
  local lines=() line
  while IFS= read -r line; do [ -n "$line" ] && lines+=("$line"); done <<<"$3"
  { printf '%s\n' "INSERT INTO llm_models(name, base_url, model, options) VALUES ('m', 'http://127.0.0.1:$port/$1', 'fake', '$2');"
    printf '%s\n' "${lines[@]}"; } | sqlite3 -batch -init /dev/null -cmd ".load $lib" "${db:-:memory:}" 2>&1
}
train="SELECT rec_train('a') ->> 'items';"
nearest="SELECT group_concat(item, ' ') FROM (SELECT item FROM rec_similar('a', 1, 2));"
ask="SELECT group_concat(item, ' ') FROM (SELECT item FROM rec_hybrid('a', NULL, 'wedding', 2) ORDER BY item);"

# ---- llm('m') ------------------------------------------------------------------------------------------------
for mode in good base64; do
  is "llm $mode" "$(sql $mode '{}' "$items $model llm('m')); $train $nearest $ask INSERT INTO a(a) VALUES ('integrity-check');")" $'8\n2 *\n3 4'
done
got=$(sql narrow '{"embed_batch":8,"retries":0}' "$items INSERT INTO items VALUES (9, 'long', 'robot ' || replace(hex(zeroblob(100)), '00', 'planet '), NULL);
$model llm('m')); SELECT rec_train('a') ->> 'items'; SELECT group_concat(item, ' ') FROM (SELECT item FROM rec_similar('a', 9, 2) ORDER BY item);")
is "requests are halved, texts cut" "$got" $'9\n1 2'
got=$(sql poison '{"embed_batch":8}' "$items UPDATE items SET body = 'POISON robot' WHERE id = 2;
$model llm('m')); $train $ask SELECT metric, value FROM a_log WHERE phase = 'embed';")
is "one bad text" "$got" $'8\n3 4\nrefused|1.0'
is "batches" "$(count poison)" 8
for mode in fewer longer nonumber; do
  got=$(sql $mode '{"embed_batch":1}' "$items $model llm('m')); $train")
  case $mode in
    fewer) is $mode "$got" '*0 of 1 embeddings*' ;;
    nonumber) is $mode "$got" '*holds no numbers*' ;;
    longer) is $mode "$got" '8' ;; # one a request, all alike: vectors of six
  esac
done
is "down" "$(sql down '{"retries":0,"timeout_ms":2000}' "$items $model llm('m')); $train")" '*HTTP 500*always broken*'
is "unauthorized" "$(sql unauthorized '{}' "$items $model llm('m')); $train")" '*Incorrect API key*'
is "no such row" "$(sql good '{}' "$items $model llm('x')); $train")" "*no model 'x'*"
is "builtin" "$(sql good '{}' "$items $model llm('builtin')); $train")" '*makes no embeddings*'
is "no text=" "$(sql good '{}' "$items CREATE VIRTUAL TABLE a USING rec_model(algorithm=content, items=items, item=id, facets=title, embedder=llm('m'));")" '*reads text=*'
is "empty everywhere" "$(sql good '{}' "$items UPDATE items SET body = iif(id % 2, NULL, '  '); 
$model llm('m')); $train")" '*none of 8 items has a text*'

# The server dies half way: what was made is kept, and the next training goes on from there.
export db=$tmp/dies.db
got=$(sql dies '{"embed_batch":2,"retries":0}' "$items
$model llm('m'));
$train
SELECT count(*) > 0, sum(part GLOB 'embed.*') = count(*) FROM a_data;
INSERT INTO a(a) VALUES ('integrity-check');
SELECT item FROM a WHERE history = '[1]';
$train
$nearest
SELECT count(DISTINCT part) FROM a_data WHERE part GLOB 'embed.*';")
is "dies and goes on" "$got" $'*4 of 8 items have a vector, which is kept: rec_train goes on from there*\n1|1\n*a has not been trained*\n8\n2 *\n1'
is "requests" "$(count dies)" 4
got=$(sql dies '{"embed_batch":2}' "SELECT rec_train('a') ->> 'items'; UPDATE items SET body = 'ghost' WHERE id = 7; SELECT rec_train('a') ->> 'items';
INSERT INTO items VALUES (10, 'new', 'rocket', NULL); SELECT count(*) FROM a WHERE history = '[1]';")
is "only what changed is asked again" "$got" $'8\n8\n9'
is "requests, again" "$(count dies)" 5
is "another model" "$(sql good '{}' "UPDATE llm_models SET model = 'other'; SELECT item FROM rec_hybrid('a', NULL, 'robot', 1);")" '*train again*'
export db=$tmp/undone.db
got=$(sql dies '{"embed_batch":2,"retries":0}' "$items
$model llm('m'));
SELECT llm_embed_nothing();
INSERT INTO a(a) VALUES ('train');
SELECT count(*) > 0 FROM a_data;
BEGIN; INSERT INTO a(a) VALUES ('train'); ROLLBACK;
SELECT count(*) FROM a_data;")
is "the INSERT form" "$got" $'*no such function*\n1\n10'
unset db

# What is stored may not send anything.
is "a view" "$(sql good '{}' "$items $model llm('m'));
$train
CREATE VIEW v AS SELECT * FROM a;
SELECT * FROM v;
CREATE VIRTUAL TABLE h USING rec_model(algorithm=hybrid, one=a);
CREATE VIEW w AS SELECT * FROM h;
SELECT * FROM w;
CREATE VIRTUAL TABLE b USING rec_model(algorithm=content, items=items, item=id, text=body);
INSERT INTO b(b) VALUES ('embedder=llm(m)');")" '8*unsafe use of virtual table "a"*unsafe use of virtual table "h"*is created with that*'

# ---- static('folder') -------------------------------------------------------------------------------------------
/usr/bin/python3 - "$tmp" <<'PY'
import json, os, struct, sys
words = {"robot": (1, 0, 0), "planet": (1, 0, 0), "rock": (.5, 0, 0), "##et": (.5, 0, 0), "space": (1, 0, 0),
         "bride": (0, 1, 0), "wedding": (0, 1, 0), "love": (0, 1, 0), "kiss": (0, 1, 0), "grave": (0, 0, 1),
         "haunted": (0, 0, 1), "\u0440\u043e\u0431\u043e\u0442": (1, 0, 0), "[UNK]": (9, 9, 9), "[CLS]": (9, 9, 9)}

def half(x):
    return struct.pack("<e", x)

def write(name, kind="WordPiece", dtype="F32", tensor="embeddings", cut=0, shape=None, end=0, extra=None, vocab=None,
          number=None, lower=True):
    folder = os.path.join(sys.argv[1], name)
    os.makedirs(folder)
    vocab = vocab or list(words)
    if kind == "Unigram":
        model = {"type": kind, "unk_id": 12, "vocab": [["\u2581" + w if w[0] not in "#[" else w.strip("#"), -1.0 - i / 10] for i, w in enumerate(vocab)]}
    else:
        model = {"type": kind, "unk_token": "[UNK]", "vocab": {w: i for i, w in enumerate(vocab)}}
    json.dump({"normalizer": {"type": "BertNormalizer", "lowercase": lower}, "model": model,
               "added_tokens": [{"content": "[CLS]", "special": True}]}, open(folder + "/tokenizer.json", "w"))
    pack = {"F32": lambda x: struct.pack("<f", x), "F16": half, "BF16": lambda x: struct.pack("<f", x)[2:], "I32": lambda x: struct.pack("<i", int(x))}[dtype]
    numbers = b"".join(pack(number if number and i == 3 else x) for i, w in enumerate(words) for x in words[w])
    header = {tensor: {"dtype": dtype, "shape": shape or [len(words), 3], "data_offsets": [0, len(numbers) + end]}}
    for key, (t, values, width) in (extra or {}).items():
        data = b"".join(struct.pack(width, v) for v in values)
        header[key] = {"dtype": t, "shape": [len(values)], "data_offsets": [len(numbers), len(numbers) + len(data)]}
        numbers += data
    head = json.dumps(header).encode()
    data = struct.pack("<Q", len(head)) + head + numbers
    open(folder + "/model.safetensors", "wb").write(data[:len(data) - cut])

n = len(words)
write("good"), write("f16", dtype="F16"), write("bf16", dtype="BF16"), write("unigram", kind="Unigram")
write("other", tensor="embedding.weight"), write("weights", extra={"weights": ("F64", [1.0] * n, "<d")})
write("mapping", extra={"mapping": ("I64", list(range(n)), "<q")})
write("badmap", extra={"mapping": ("I64", [999] * n, "<q")})
write("cut", cut=20), write("header", cut=10 ** 9 and 0), write("shape", shape=[n + 1, 3]), write("wide", shape=[n, 10 ** 9])
write("beyond", end=4000), write("ints", dtype="I32"), write("nan", number=float("nan"))
write("few", vocab=list(words) + ["more"]), write("bpe", kind="BPE")
open(sys.argv[1] + "/header/model.safetensors", "r+b").write(struct.pack("<Q", 2 ** 40))
open(sys.argv[1] + "/cut/model.safetensors", "r+b")
os.makedirs(sys.argv[1] + "/short"), os.makedirs(sys.argv[1] + "/nojson")
for f, s in (("short/tokenizer.json", open(sys.argv[1] + "/good/tokenizer.json").read()), ("short/model.safetensors", "abc"),
             ("nojson/tokenizer.json", "{\"model\": "), ("nojson/model.safetensors", "")):
    open(os.path.join(sys.argv[1], f), "w").write(s)
PY
static="SELECT group_concat(item, ' ') FROM (SELECT item FROM rec_hybrid('a', NULL, 'Rocket!', 2) ORDER BY item);"
for name in good f16 bf16 other weights mapping; do
  is "static $name" "$(sql good '{}' "$items $model static('$tmp/$name')); $train $nearest $static")" $'8\n2 *\n1 2'
done
is "unigram" "$(sql good '{}' "$items $model static('$tmp/unigram')); $train $nearest")" $'8\n2 *'
is "a file by its name" "$(sql good '{}' "$items $model static('$tmp/good/model.safetensors')); $train $nearest")" $'8\n2 *'
is "Cyrillic" "$(sql good '{}' "$items $model static('$tmp/good')); $train
SELECT item FROM rec_hybrid('a', NULL, 'РОБОТ', 1);")" $'8\n[12]'
is "unknown words" "$(sql good '{}' "$items UPDATE items SET body = 'xyzzy';
$model static('$tmp/good')); $train")" '*hold no word*'
for pair in "cut:is not within the file" "header:cut off, or no safetensors" "shape:says 15 x 3 numbers" "wide:no shape of rows" \
  "beyond:is not within the file" "ints:none of F32, F16, BF16" "nan:not finite" "few:none for token 14" "bpe:model is BPE" "badmap:none for token" \
  "short:shorter than 8 bytes" "nojson:JSON" "missing:cannot be opened"; do
  is "static ${pair%%:*}" "$(sql good '{}' "$items $model static('$tmp/${pair%%:*}')); $train")" "*static*${pair#*:}*"
done
# The table is part of the model: the folder may go.
export db=$tmp/static.db
cp -r "$tmp/good" "$tmp/gone"
is "static stored" "$(sql good '{}' "$items $model static('$tmp/gone')); $train")" 8
rm -r "$tmp/gone"
is "static without its folder" "$(sql good '{}' "$static INSERT INTO a(a) VALUES ('integrity-check');
INSERT INTO items VALUES (11, 'late', 'planet robot', NULL); $nearest
$train")" $'1 2\n11 2\n*cannot be opened*'
unset db

# ---- several, and all of them in one -----------------------------------------------------------------------------
is "all together" "$(sql good '{}' "$items $model 'lsa(4), column(vec):0.5, static(\"$tmp/good\"), llm(\"m\"):2'); $train $nearest
SELECT group_concat(item, ' ') FROM (SELECT item FROM rec_hybrid('a', NULL, 'rocket', 2) ORDER BY item);
INSERT INTO a(a) VALUES ('integrity-check');
SELECT max(kind = 'item') FROM rec_explain('a', 99, 2);")" $'8\n2 *\n1 2*'
exit $bad
