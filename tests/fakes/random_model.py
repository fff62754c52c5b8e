#!/usr/bin/env python3
"""Writes a tiny llama model of random weights as GGUF: an engine can be tested without anybody's weights.
usage: random_model.py out.gguf [seed]"""
import struct, sys, random
out, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
rnd = random.Random(seed)
D, L, H, F, CTX = 64, 2, 4, 128, 8192
toks = [("<unk>", 2), ("<s>", 3), ("</s>", 3)] + [(f"<0x{b:02X}>", 6) for b in range(256)] \
     + [(chr(c), 1) for c in range(33, 127)] + [("\u2581", 1)]
V = len(toks)
S, U32, F32, ARR, STR, I32 = struct.Struct, 4, 6, 9, 8, 5
def s(x): b = x.encode(); return struct.pack("<Q", len(b)) + b
kv = []
def k_str(k, v): kv.append(s(k) + struct.pack("<I", STR) + s(v))
def k_u32(k, v): kv.append(s(k) + struct.pack("<II", U32, v))
def k_f32(k, v): kv.append(s(k) + struct.pack("<If", F32, v))
def k_arr(k, t, fmt, vals):
    b = s(k) + struct.pack("<IIQ", ARR, t, len(vals))
    b += b"".join(s(v) for v in vals) if t == STR else struct.pack(f"<{len(vals)}{fmt}", *vals)
    kv.append(b)
k_str("general.architecture", "llama"); k_str("general.name", "random-tiny"); k_u32("general.file_type", 0)
k_u32("llama.context_length", CTX); k_u32("llama.embedding_length", D); k_u32("llama.block_count", L)
k_u32("llama.feed_forward_length", F); k_u32("llama.attention.head_count", H); k_u32("llama.attention.head_count_kv", H)
k_u32("llama.rope.dimension_count", D // H); k_f32("llama.attention.layer_norm_rms_epsilon", 1e-5); k_u32("llama.vocab_size", V)
k_str("tokenizer.ggml.model", "llama"); k_arr("tokenizer.ggml.tokens", STR, "", [t for t, _ in toks])
k_arr("tokenizer.ggml.scores", F32, "f", [-float(i) for i in range(V)]); k_arr("tokenizer.ggml.token_type", I32, "i", [t for _, t in toks])
k_u32("tokenizer.ggml.bos_token_id", 1); k_u32("tokenizer.ggml.eos_token_id", 2); k_u32("tokenizer.ggml.unknown_token_id", 0)
def rand(n, sd): return struct.pack(f"<{n}f", *[rnd.gauss(0, sd) for _ in range(n)])
def ones(n): return struct.pack(f"<{n}f", *[1.0] * n)
T = [("token_embd.weight", (D, V), rand(D * V, 0.5)), ("output_norm.weight", (D,), ones(D)), ("output.weight", (D, V), rand(D * V, 0.3))]
for l in range(L):
    p = f"blk.{l}."
    T += [(p + "attn_norm.weight", (D,), ones(D)), (p + "ffn_norm.weight", (D,), ones(D))]
    T += [(p + n + ".weight", (D, D), rand(D * D, 0.12)) for n in ("attn_q", "attn_k", "attn_v", "attn_output")]
    T += [(p + "ffn_gate.weight", (D, F), rand(D * F, 0.12)), (p + "ffn_up.weight", (D, F), rand(D * F, 0.12)), (p + "ffn_down.weight", (F, D), rand(D * F, 0.09))]
head = b"GGUF" + struct.pack("<IQQ", 3, len(T), len(kv)) + b"".join(kv)
off, infos, data = 0, b"", b""
for n, dims, b in T:
    infos += s(n) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", 0, off)
    b += b"\0" * (-len(b) % 32); data += b; off += len(b)
head += infos; head += b"\0" * (-len(head) % 32)
open(out, "wb").write(head + data); print(out, len(head + data), "bytes, vocab", V)
