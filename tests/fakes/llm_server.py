#!/usr/bin/python3
"""A chat server on 127.0.0.1 that behaves, or misbehaves, as the first part of the path says.

    base_url = http://127.0.0.1:<port>/<mode>          POST <base_url>/v1/chat/completions
                                                       POST <base_url>/v1/embeddings
                                                       POST <base_url>/v1/messages
                                                       POST <base_url>/v1/rerank, /v2/rerank, /rerank

Prints its port and a line end, then serves until stdin ends, or for the number of seconds that is the first
argument (60). GET /count/<mode> says how many requests a mode has had. Standard library only.

A good answer to a ranking orders by the field `relevance` of the candidates, so that a client which puts
windows together correctly ends up with an exact order. A good answer to a rewrite mixes values that a
catalogue has with some that no catalogue has.
"""
import base64
import json
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

counts = {}
lock = threading.Lock()


def rank(user, tweak=None):
    """One entry a handle; higher relevance, higher score."""
    found = sorted(user["candidates"], key=lambda c: -float(c.get("relevance", 0)))
    out = {}
    for place, c in enumerate(found):
        title = str(c.get("title", "x"))
        out[c["handle"]] = {"why": "It is " + title, "field": "title", "quote": title,
                            "score": 100 - 2 * place}
    if tweak == "missing":
        for h in sorted(out)[::2]:
            del out[h]
    if tweak == "foreign":
        out = {"c77": {"why": "x", "field": "title", "quote": "x", "score": 100}, **out, "id": 5}
    if tweak == "liar":
        for h in out:
            out[h]["quote"] = "words that nobody wrote"
    if tweak == "numbers":
        for h in out:
            out[h]["why"] += ", rated 9.9 by 31337 people"
    if tweak == "gossip":
        other = str(found[0].get("title", ""))
        for h in out:
            out[h]["why"] = "Better than " + other
    return out


def rewrite(user):
    return {"query": "dark animated fantasy", "expansions": ["spirits", "anime"],
            "intent": "transactional",
            "filters": [{"facet": "genres", "op": "any", "value": "animation"},
                        {"facet": "genres", "op": "any", "value": "Nonsense"},
                        {"facet": "genres", "op": "none", "value": "musicals"},
                        {"facet": "year", "op": "min", "value": "1850"},
                        {"facet": "price", "op": "max", "value": "9"}],
            "exclude": ["gore", "clowns"], "like": ["Spirited Away", "No Such Film"],
            "confidence": 1.7, "needs_clarification": False, "question": None}


def enrich(item, mode):
    """A fact, an inference, and what no record says: numbers, names, an address."""
    title = str(item.get("title", "x"))
    said = {"description": [{"sentence": title + ".", "quote": title},
                            {"sentence": "A calm story for a rainy evening.", "quote": title}],
            "tags": [title.split()[-1].lower(), "slow and gentle"], "audience": "People who like the sea", "mood": "calm"}
    if mode == "liar":
        said["description"] += [{"sentence": "Tom Hanks plays the harbour master.", "quote": title},
                                {"sentence": "Seen by 31337 people and winner of seven prizes.", "quote": title},
                                {"sentence": "Buy it at http://evil.example now.", "quote": title},
                                {"sentence": "Like the films of Kurosawa, it is slow.", "quote": title},
                                {"sentence": "A quiet harbour.", "quote": "words that nobody wrote"}]
        said["tags"] += ["Pixar", "oscar winner 1998", 7]
        said["audience"] = "Fans of Tom Hanks"
        said["mood"] = None
    if mode == "numbers":
        said = {"description": [{"sentence": "Rated 9.9 by critics.", "quote": title}], "tags": ["top 250"], "audience": None, "mood": None}
    return said


def profile(user, mode):
    titles = [h["title"] for h in user["history"]]
    said = [{"sentence": "Enjoys " + user["facets"][0]["value"] + " again and again.", "titles": titles[:2]},
            {"sentence": "The best so far: " + titles[0] + ".", "titles": titles[:1]}]
    if mode == "liar":
        said += [{"sentence": "Has seen everything by Kubrick.", "titles": titles[:1]},
                 {"sentence": "Watches 31337 films a year.", "titles": titles[:1]},
                 {"sentence": "Likes quiet evenings.", "titles": ["No Such Film"]}]
    if mode == "numbers":
        said = [{"sentence": "Watches 31337 films a year.", "titles": titles[:1]}]
    return {"sentences": said}


def answer(body, mode):
    """The content of a good answer, or a list of duplicate keys written by hand."""
    user = {}
    try:
        user = json.loads(body["messages"][-1]["content"])
    except ValueError:
        return "You said: " + body["messages"][-1]["content"]
    if "titles" in user and "reply" in user:
        more = {"gossip": " Unlike Casablanca.", "numbers": " 31337 people like it."}.get(mode, " Enjoy!")
        return json.dumps({"reply": user["reply"] + more, "question": user.get("question")})
    if "item" in user:
        return json.dumps(enrich(user["item"], mode))
    if "facets" in user and "history" in user:
        return json.dumps(profile(user, mode))
    if "candidates" in user:
        if mode == "duplicate":
            one = json.dumps(rank(user))
            return one[:-1] + "," + one[1:]
        if mode == "list":
            ranked = rank(user)
            return json.dumps(sorted(ranked, key=lambda h: -ranked[h]["score"]))
        if mode == "wrapped":
            return json.dumps({"ranking": rank(user)})
        return json.dumps(rank(user, mode))
    return json.dumps(rewrite(user))


def reply(content, finish="stop", **more):
    message = {"role": "assistant", "content": content, **more}
    return {"id": "x", "object": "chat.completion", "model": "fake",
            "choices": [{"index": 0, "finish_reason": finish, "message": message}],
            "usage": {"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 100}}


def messages(content, reason="end_turn"):
    return {"type": "message", "role": "assistant", "model": "fake", "stop_reason": reason,
            "content": [{"type": "text", "text": content}], "usage": {"input_tokens": 60, "output_tokens": 20}}


def relevance(document):
    found = [line for line in document.splitlines() if line.startswith("relevance: ")]
    return float(found[0][11:]) / 10 - 3 if found else 0.0  # logits, not shares


def ranking(path, body, mode):
    """The answer of the server that the path and the fields belong to."""
    tei = path.endswith("/rerank") and "/v1/" not in path and "/v2/" not in path
    documents = body["texts" if tei else "documents"]
    key = "score" if tei else "relevance_score"
    found = [{"index": i, key: relevance(d)} for i, d in enumerate(documents)]
    if mode == "few":
        found = found[:1]
    if mode == "wrong":
        found = [{"index": 99, key: 5}, {"index": -1, key: 5}, {"index": 1.5, key: 5}, {"index": 0, key: "x"}] + found + found
    found.sort(key=lambda r: -r[key] if isinstance(r[key], float) else 0)
    if tei:
        return found
    if "top_k" in body:
        return {"object": "list", "data": found, "usage": {"total_tokens": 26}}
    return {"results": found, "usage": {"prompt_tokens": 39, "total_tokens": 39}}


CONCEPTS = [{"robot", "space", "planet", "rocket"}, {"love", "wedding", "kiss", "bride"},
            {"ghost", "dark", "haunted", "grave"}, {"cook", "kitchen", "chef", "soup"}]


def embed(text):
    """How often each concept is named, and a small constant: synonyms are near each other."""
    words = text.lower().split()
    return [float(sum(w in c for w in words)) for c in CONCEPTS] + [.1]


def embeddings(body, mode):
    data = [{"object": "embedding", "index": i, "embedding": embed(t)} for i, t in enumerate(body["input"])]
    data.reverse()
    if mode == "base64":
        for d in data:
            d["embedding"] = base64.b64encode(struct.pack("<5f", *d["embedding"])).decode()
    if mode == "fewer":
        data.pop()
    if mode == "longer":
        data[0]["embedding"].append(1.0)
    if mode == "nonumber":
        data[0]["embedding"][0] = "x"
    return {"object": "list", "data": data, "usage": {"prompt_tokens": 10 * len(data)}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, status, data, headers=None, kind="application/json"):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for k, v in (headers or {}).items():
            self.send_header(k, v)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        with lock:
            n = counts.get(self.path.rsplit("/", 1)[-1], 0)
        self.send(200, str(n).encode(), kind="text/plain")

    def do_POST(self):
        mode = self.path.split("/")[1]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            counts[mode] = counts.get(mode, 0) + 1
            nth = counts[mode]
        try:
            self.act(mode, body, nth)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def act_embeddings(self, mode, body, nth):
        texts = body["input"]
        if mode == "poison" and any("POISON" in t for t in texts):
            self.send(400, {"error": {"message": "bad input"}})
        elif mode == "narrow" and (len(texts) > 2 or any(len(t) > 100 for t in texts)):
            self.send(500, {"error": {"message": "input is too large to process"}})
        elif mode == "dies" and nth == 3:  # within an answer: a client repeats a request that got none at all
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
            self.close_connection = True
        else:
            self.send(200, embeddings(body, mode))

    def act_rerank(self, mode, body):
        if mode == "narrow" and len(body.get("documents", [])) > 3:
            self.send(413, {"error": "batch size 4 > maximum allowed batch size 3", "error_type": "Validation"})
        elif mode == "none":
            self.send(200, {"results": []})
        else:
            self.send(200, ranking(self.path, body, mode))

    def act_messages(self, mode, body):
        if mode == "header":
            self.send(200, messages(self.headers.get("anthropic-version", "none") + " "
                                    + str(self.headers.get("Authorization")) + " " + str("x-api-key" in self.headers)))
        elif mode == "length":
            self.send(200, messages("{", "max_tokens"))
        elif mode == "refusal":
            self.send(200, messages("", "refusal"))
        elif mode == "unauthorized":
            self.send(401, {"type": "error", "error": {"message": "invalid x-api-key " + self.headers["x-api-key"]}})
        else:
            self.send(200, messages(answer(body, mode)))

    def act(self, mode, body, nth):
        if self.path.endswith("/rerank"):
            return self.act_rerank(mode, body)
        if self.path.endswith("/messages"):
            return self.act_messages(mode, body)
        if self.path.endswith("/embeddings") and mode not in ("down", "unauthorized", "slow", "redirect", "html"):
            return self.act_embeddings(mode, body, nth)
        good = answer(body, mode) if "messages" in body else ""
        if mode == "onefails":
            mode = "toolarge" if "FAIL" in body["messages"][-1]["content"] else "good"
        key = self.headers.get("Authorization", "").replace("Bearer ", "")
        if mode == "unauthorized":
            self.send(401, {"error": {"message": "Incorrect API key provided: " + key}})
        elif mode == "nosuchmodel":
            self.send(404, {"error": {"message": "The model does not exist", "code": "model_not_found"}})
        elif mode == "ratelimit" and nth % 2:
            self.send(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.1"})
        elif mode == "once500" and nth % 2:
            self.send(500, {"error": "hiccup"})
        elif mode == "down":
            self.send(500, {"error": {"message": "always broken"}})
        elif mode == "toolarge":
            self.send(500, {"error": {"message": "input is too large to process"}})
        elif mode == "waitlong":
            self.send(429, {"error": {"message": "slow down"}}, {"Retry-After": "3600"})
        elif mode == "detail":
            self.send(400, {"detail": [{"msg": "field required"}]})
        elif mode == "noschema" and body.get("response_format", {}).get("type") == "json_schema":
            self.send(400, {"error": {"message": "response_format json_schema is not supported"}})
        elif mode == "context" and len(json.dumps(body)) > 9000:
            self.send(400, {"error": {"message": "the request exceeds the available context size"}})
        elif mode == "lag":
            time.sleep(.2)
            self.send(200, reply(good))
        elif mode == "slow":
            time.sleep(20)
        elif mode == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(.2)
        elif mode == "oversize":
            self.send(200, b'"' + b"x" * (6 << 20) + b'"')
        elif mode == "badutf8":
            self.send(200, json.dumps(reply("@@")).encode().replace(b"@@", b"\xff\xfe"))
        elif mode == "html":
            self.send(200, b"<html><body>Welcome to nginx</body></html>", kind="text/html")
        elif mode == "deep":
            self.send(200, b"[" * 100000)
        elif mode == "cutoff":
            data = json.dumps(reply(good)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif mode == "redirect":
            self.send(307, b"", {"Location": "/redirected/v1/chat/completions"})
        elif mode == "garbage":
            self.send(200, reply("I would put the third one first, then the rest."))
        elif mode == "parts":
            half = len(good) // 2
            self.send(200, reply([{"type": "reasoning", "text": "hm"}, {"type": "text", "text": good[:half]},
                                  {"type": "text", "text": good[half:]}]))
        elif mode == "fenced":
            self.send(200, reply("Sure:\n```json\n" + good + "\n```\nAnything else?"))
        elif mode == "think":
            self.send(200, reply("<think>{\"c01\": 1}</think>\n\n" + good))
        elif mode == "refusal":
            self.send(200, reply("", refusal="I cannot help with that"))
        elif mode == "length":
            self.send(200, reply(good, "length"))
        elif mode == "filter":
            self.send(200, reply(good, "content_filter"))
        elif mode == "empty":
            self.send(200, reply(""))
        elif mode == "apikey":
            self.send(200, reply(str("api-key" in self.headers) + str("Authorization" in self.headers)))
        elif mode == "echo":
            self.send(200, reply("key=" + key))
        else:
            self.send(200, reply(good))


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client):
        """A client that hangs up is part of the tests."""


def main():
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    watch = threading.Thread(target=sys.stdin.read, daemon=True)
    watch.start()
    watch.join(seconds)


main()
