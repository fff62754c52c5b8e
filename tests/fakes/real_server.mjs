// Minimal OpenAI-compatible server on top of npm node-llama-cpp's prebuilt llama.cpp (no compiler needed).
// usage: node real_server.mjs model.gguf port     (node-llama-cpp is looked for beside this file: tests/shell/llm_real.sh copies it)
import http from "node:http";
import {getLlama, LlamaChatSession, ChatMLChatWrapper, LlamaLogLevel} from "node-llama-cpp";
const [,, gguf, port] = process.argv;
const llama = await getLlama({gpu: false, build: "never", maxThreads: 1, logLevel: LlamaLogLevel.error, skipDownload: true});
const model = await llama.loadModel({modelPath: gguf, metadataOverrides: {llama: {context_length: 8192}}});
const ctx = await model.createContext({contextSize: 4096, threads: 1});
const ectx = await model.createEmbeddingContext({contextSize: 512, threads: 1});
let lock = Promise.resolve();                               // one request at a time
const serial = (f) => (lock = lock.then(f, f));
async function chat(b) {
  const seq = ctx.getSequence();
  try {
    const sys = b.messages.filter(m => m.role === "system").map(m => m.content).join("\n");
    const usr = b.messages.filter(m => m.role === "user").map(m => m.content).join("\n");
    const s = new LlamaChatSession({contextSequence: seq, chatWrapper: new ChatMLChatWrapper(), systemPrompt: sys || undefined});
    const sch = b.response_format?.json_schema?.schema;
    const grammar = sch ? await llama.createGrammarForJsonSchema(sch) : undefined;
    const r = await s.promptWithMeta(usr, {grammar, maxTokens: b.max_tokens ?? 128, temperature: b.temperature ?? 0, seed: b.seed});
    return {id: "chatcmpl-" + Date.now(), object: "chat.completion", created: Date.now() / 1000 | 0, model: b.model ?? "local",
      choices: [{index: 0, message: {role: "assistant", content: r.responseText},
        finish_reason: r.stopReason === "maxTokens" ? "length" : "stop"}],
      usage: {prompt_tokens: model.tokenize(sys + usr).length, completion_tokens: model.tokenize(r.responseText).length}};
  } finally { seq.dispose(); }
}
async function embed(b) {
  const inp = [].concat(b.input), data = [];
  for (let i = 0; i < inp.length; i++)
    data.push({object: "embedding", index: i, embedding: [...(await ectx.getEmbeddingFor(inp[i])).vector]});
  return {object: "list", model: b.model ?? "local", data, usage: {prompt_tokens: 0, total_tokens: 0}};
}
http.createServer((q, s) => {
  let t = ""; q.on("data", d => t += d).on("end", async () => {
    let code = 200, out;
    try {
      const b = t ? JSON.parse(t) : {};
      if (q.url === "/health") out = {status: "ok"};
      else if (q.url === "/v1/chat/completions") out = await serial(() => chat(b));
      else if (q.url === "/v1/embeddings") out = await serial(() => embed(b));
      else { code = 404; out = {error: {message: "not found", type: "invalid_request_error"}}; }
    } catch (e) { code = 400; out = {error: {message: String(e.message ?? e), type: "invalid_request_error"}}; }
    s.writeHead(code, {"content-type": "application/json"}); s.end(JSON.stringify(out));
  });
}).listen(+port, "127.0.0.1", () => console.log("ready on", port));
