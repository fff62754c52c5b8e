/* quant.c - codes: the short form of a vector that a walk over the graph reads.
 *
 *   stored vector  1024 bytes  [ .031 -.127 .004 ... ]      read once, for the final distance
 *   int8 code       256 bytes  [ 159    1  132  ... ]  s     c = round(x / s) + 128
 *   float16 code    512 bytes  [ halves ]
 *   bit code         32 bytes  [ signs ]                     angle = pi * hamming / dim
 *
 * A walk compares a query with thousands of nodes that lie anywhere in memory, so bytes are
 * what it costs. The largest |x| of a vector is its own 127: s is kept per vector, no data has
 * to be seen before, and a vector of any length keeps its seven bits. The query has its own
 * scale t, so products of two int8 numbers, summed exactly in 32 bits, estimate the dot
 * product up to s t; codes are stored with a bias of 128 because the dot instructions of x86
 * (VPDPBUSD) multiply unsigned with signed. 128 * sum(q) comes off at the end.
 *
 * Lengths are those of the decoded code, so int8 keys are exact distances between the two
 * rounded vectors: the error then shrinks together with the distance.
 *
 * l1 has no product form: int8 codes give way to float16 there. Stored int8 vectors are their
 * own int8 code (s = 1, exact), stored bits their own code.
 *
 * Invariants
 *   I1. Bytes of a code beyond dim are 0, those of a prepared query too: kernels may run over
 *       the padding.
 *   I2. quant_encode depends on nothing but the stored vector.
 */
#include "hnsw.h"

#include <math.h>

#define PAD 64
#define PREFETCHED \
    1024 /* bytes of one code fetched ahead; the hardware follows from there */

static size_t pad_to(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* ---- which code ----------------------------------------------------------------------------- */

static rec_status choose_kind(quant *z, const char *codes, rec_err *err) {
    static const char *const names[] = {"none", "float16", "int8", "bit"};
    int kind = QUANT_NONE;
    if (codes) {
        for (kind = 0; kind < 4 && strcmp(names[kind], codes) != 0;) kind++;
        if (kind == 4)
            return rec_fail(err, REC_RANGE,
                            "codes=%s is not known; allowed: none, float16, int8, bit",
                            codes);
    }
    if (z->metric == METRIC_L1 && kind == QUANT_I8) kind = QUANT_F16;
    /* What is stored is no longer than the code would be. */
    if (z->type == VEC_BIT || (kind == QUANT_F16 && z->type != VEC_F32))
        kind = QUANT_NONE;
    z->kind = (quant_kind)kind;
    return REC_OK;
}

static rec_status make_cosines(quant *z, rec_err *err) {
    z->cosine = rec_array((size_t)z->dim + 1, sizeof(float));
    if (!z->cosine) return rec_nomem(err);
    for (uint32_t h = 0; h <= z->dim; h++)
        z->cosine[h] = (float)cos(3.14159265358979323846 * h / z->dim);
    return REC_OK;
}

rec_status quant_init(quant *z, const index_cfg *cfg, rec_err *err) {
    *z = (quant){.type = cfg->type, .metric = cfg->metric, .dim = cfg->dim};
    z->k = vec_kernels();
    rec_status rc = choose_kind(z, cfg->codes, err);
    if (rc) return rc;
    switch (z->kind) {
    case QUANT_NONE: break;
    case QUANT_F16: z->nbyte = pad_to((size_t)z->dim * 2, PAD); break;
    case QUANT_I8: z->nbyte = pad_to(z->dim, PAD); break;
    case QUANT_BIT: z->nbyte = pad_to(vec_nbyte(VEC_BIT, z->dim), PAD); break;
    }
    z->nquery = pad_to((size_t)z->dim * sizeof(float), PAD);
    return z->kind == QUANT_BIT ? make_cosines(z, err) : REC_OK;
}

void quant_clear(quant *z) {
    rec_free(z->cosine);
    *z = (quant){0};
}

rec_status quant_query_init(quant_query *q, const quant *z, rec_err *err) {
    *q = (quant_query){0};
    q->own = rec_zeros(z->nquery, 1);
    return q->own ? REC_OK : rec_nomem(err);
}

void quant_query_clear(quant_query *q) {
    rec_free(q->own);
    *q = (quant_query){0};
}

/* ---- encoding -------------------------------------------------------------------------------- */

#define PIECE 256u

/* Calls for pieces of the vector as floats. */
typedef struct pieces {
    const quant *z;
    const void *v;
    uint32_t at, n;
    float x[PIECE];
} pieces;

static bool next_piece(pieces *p) {
    p->at += p->n;
    if (p->at >= p->z->dim) return false;
    p->n = p->z->dim - p->at < PIECE ? p->z->dim - p->at : PIECE;
    size_t offset = (size_t)p->at * vec_nbyte(p->z->type, 8) / 8;
    index_decode(p->z->type, (const char *)p->v + offset, p->n, p->x);
    return true;
}

/* Largest |x|. Bits of positive floats order as integers do, so this vectorises everywhere. */
static float largest(const quant *z, const void *v) {
    pieces p = {.z = z, .v = v};
    int32_t top = 0;
    float out;
    while (next_piece(&p)) {
        int32_t bits[PIECE];
        memcpy(bits, p.x, p.n * sizeof *bits);
        for (uint32_t i = 0; i < p.n; i++) {
            int32_t a = bits[i] & 0x7fffffff;
            top = a > top ? a : top;
        }
    }
    memcpy(&out, &top, sizeof out);
    return out;
}

/* round(x * up) for |x * up| <= 127: adding 1.5 * 2^23 leaves the integer in the low bits. */
static void round_i8(const float *x, uint32_t n, float up, int8_t *out) {
    for (uint32_t i = 0; i < n; i++) {
        float c = x[i] * up + 12582912.0f;
        int32_t bits;
        memcpy(&bits, &c, sizeof bits);
        out[i] = (int8_t)(bits & 0xff);
    }
}

/* Signed codes of a vector and the sum of their squares; returns the scale. */
static float encode_i8(const quant *z, const void *v, int8_t *out, int64_t *square) {
    *square = 0;
    if (z->type == VEC_I8) {
        memcpy(out, v, z->dim);
        *square = z->k->dot_i8(out, out, z->dim);
        return 1;
    }
    float top = largest(z, v), scale = top / 127, up = scale > 0 ? 127 / top : 0;
    if (!isfinite(up)) up = 0; /* subnormal: nothing worth coding */
    pieces p = {.z = z, .v = v};
    while (next_piece(&p)) round_i8(p.x, p.n, up, out + p.at);
    *square = z->k->dot_i8(out, out, z->dim);
    return scale;
}

static double square_of(const quant *z, const void *v) {
    pieces p = {.z = z, .v = v};
    double sum = 0;
    while (next_piece(&p)) sum += (double)z->k->dot(p.x, p.x, p.n);
    return sum;
}

static float inverse_root(double square) {
    return square > 0 ? (float)(1 / sqrt(square)) : 0;
}

static void code_i8(const quant *z, const void *v, uint8_t *code, quant_meta *meta) {
    int64_t square;
    float s = encode_i8(z, v, (int8_t *)code, &square);
    for (uint32_t i = 0; i < z->dim; i++) code[i] ^= 0x80; /* c + 128 */
    memset(code + z->dim, 0, z->nbyte - z->dim);           /* I1 */
    meta->add = (float)((double)square * s * s);
    meta->mul = z->metric == METRIC_COSINE ? -inverse_root((double)square)
                : z->metric == METRIC_L2   ? -2 * s
                                           : -s;
}

static void code_f16(const quant *z, const void *v, uint8_t *code) {
    uint16_t half[PIECE];
    pieces p = {.z = z, .v = v};
    memset(code, 0, z->nbyte);
    while (next_piece(&p)) {
        for (uint32_t i = 0; i < p.n; i++)
            p.x[i] = p.x[i] > 65504 ? 65504 : p.x[i] < -65504 ? -65504 : p.x[i];
        z->k->f16_from_f32(half, p.x, p.n);
        memcpy(code + (size_t)p.at * 2, half, (size_t)p.n * 2);
    }
}

static void code_bits(const quant *z, const void *v, uint8_t *code) {
    pieces p = {.z = z, .v = v};
    memset(code, 0, z->nbyte);
    while (next_piece(&p))
        for (uint32_t i = 0; i < p.n; i++)
            if (p.x[i] > 0) code[(p.at + i) / 8] |= (uint8_t)(1u << (p.at + i) % 8);
}

void quant_encode(const quant *z, const void *v, uint8_t *code, quant_meta *meta) {
    *meta = (quant_meta){0, 1};
    if (z->kind == QUANT_I8) {
        code_i8(z, v, code, meta);
        return;
    }
    if (z->type == VEC_BIT) return;
    if (z->kind == QUANT_F16) code_f16(z, v, code);
    if (z->kind == QUANT_BIT) code_bits(z, v, code);
    double square = square_of(z, v);
    meta->add = square < 3e38 ? (float)square : 3e38f;
    if (z->metric == METRIC_COSINE) meta->mul = -inverse_root(square);
    if (z->metric == METRIC_IP) meta->mul = -1;
    if (z->kind != QUANT_BIT) return;
    float length = (float)sqrt(square);
    meta->mul = z->metric == METRIC_COSINE ? -1
                : z->metric == METRIC_IP   ? -length
                                           : -2 * length;
}

/* ---- queries ---------------------------------------------------------------------------------- */

/* The three factors of the query for a metric; t: its scale, square: its squared length. */
static void set_factors(const quant *z, quant_query *q, float t, float square) {
    bool is_sum = z->kind == QUANT_I8 || z->kind == QUANT_BIT; /* l2 made of products */
    q->base = 0, q->a = 0, q->b = t;
    if (z->metric == METRIC_L2 || z->metric == METRIC_L1) {
        if (is_sum)
            q->base = square, q->a = 1;
        else
            q->b = 1;
    }
    if (z->metric == METRIC_HAMMING) q->b = 1;
}

static void prepare_i8(const quant *z, quant_query *q, float scale, int64_t square) {
    const int8_t *c = (const int8_t *)q->own;
    int32_t sum = 0;
    for (uint32_t i = 0; i < z->dim; i++) sum += c[i];
    q->shift = 128 * sum;
    q->code = q->own;
    bool is_cosine = z->metric == METRIC_COSINE;
    set_factors(z, q, is_cosine ? inverse_root((double)square) : scale,
                (float)((double)square * scale * scale));
}

void quant_from_query(const quant *z, quant_query *q, const float *x,
                      const void *stored) {
    q->shift = 0;
    if (z->type == VEC_BIT || (z->type == VEC_I8 && z->kind == QUANT_NONE)) {
        q->code = stored;
        double own =
            z->type == VEC_I8 ? (double)z->k->dot_i8(stored, stored, z->dim) : 0;
        set_factors(z, q, z->metric == METRIC_COSINE ? inverse_root(own) : 1,
                    (float)own);
        return;
    }
    quant as_float = *z;
    as_float.type = VEC_F32;
    if (z->kind == QUANT_I8) {
        int64_t square;
        bool is_own = z->type == VEC_I8;
        float s = encode_i8(is_own ? z : &as_float, is_own ? stored : x,
                            (int8_t *)q->own, &square);
        prepare_i8(z, q, s, square);
        return;
    }
    double square = square_of(&as_float, x);
    q->code = x;
    float t = z->metric == METRIC_COSINE ? inverse_root(square) : 1;
    if (z->kind == QUANT_BIT) {
        code_bits(&as_float, x, q->own);
        q->code = q->own;
        t = z->metric == METRIC_COSINE ? 1 : (float)sqrt(square);
    }
    set_factors(z, q, t, square < 3e38 ? (float)square : 3e38f);
}

void quant_from_node(const quant *z, quant_query *q, const uint8_t *code,
                     const quant_meta *meta, const void *v) {
    if (z->kind == QUANT_I8) {
        for (size_t i = 0; i < z->dim; i++) q->own[i] = code[i] ^ 0x80;
        /* mul holds the scale (or the inverse length) up to its sign and the 2 of l2. */
        float s = z->metric == METRIC_L2 ? -meta->mul / 2 : -meta->mul;
        prepare_i8(z, q, s, 0);
        set_factors(z, q, s, meta->add);
    } else if (z->kind == QUANT_BIT) {
        float length = sqrtf(meta->add);
        q->code = code;
        set_factors(z, q, z->metric == METRIC_COSINE ? 1 : length, meta->add);
    } else {
        float s = z->metric == METRIC_COSINE ? -meta->mul : 1;
        q->code = v;
        if (z->kind == QUANT_F16) {
            z->k->f32_from_f16((float *)(void *)q->own,
                               (const uint16_t *)(const void *)code, z->dim);
            q->code = q->own;
        } else if (z->type == VEC_F16) {
            index_decode(VEC_F16, v, z->dim, (float *)(void *)q->own);
            q->code = q->own;
        }
        set_factors(z, q, s, meta->add);
    }
}

/* ---- keys -------------------------------------------------------------------------------------- */

/* Into the second-level cache: there more lines can be under way than in the first. */
static inline void fetch(const void *p, size_t nbyte) {
    const char *c = p;
    for (size_t i = 0; i < nbyte; i += 64) __builtin_prefetch(c + i, 0, 2);
}

static inline void fetch_node(const hnsw *ix, uint32_t slot, size_t nbyte) {
    fetch(hnsw_code(ix, slot), nbyte);
}

static inline float finish_key(const hnsw *ix, const quant_query *q, uint32_t slot,
                               float raw) {
    const quant_meta *m = &hnsw_node(ix, slot)->meta;
    return q->base + q->a * m->add + q->b * m->mul * raw;
}

static void keys_i8(const hnsw *ix, const quant_query *q, const uint32_t *slot,
                    size_t n, float *key) {
    const rec_kernels *k = ix->q.k;
    size_t nbyte = ix->q.nbyte, ahead = (nbyte < PREFETCHED ? nbyte : PREFETCHED) + 16,
           i = 0;
    for (size_t j = 0; j < n; j++) fetch_node(ix, slot[j], ahead);
    for (; i < n; i += 4) {
        const uint8_t *code[4];
        int32_t dot[4];
        size_t some = n - i < 4 ? n - i : 4;
        for (size_t j = 0; j < 4; j++)
            code[j] = hnsw_code(ix, slot[i + (j < some ? j : 0)]);
        k->dot4_u8i8(code, q->code, nbyte, dot);
        for (size_t j = 0; j < some; j++)
            key[i + j] = finish_key(ix, q, slot[i + j], (float)(dot[j] - q->shift));
    }
}

static float raw_f32(const quant *z, const void *q, const void *v) {
    return z->metric == METRIC_L2   ? z->k->l2sq(q, v, z->dim)
           : z->metric == METRIC_L1 ? z->k->l1(q, v, z->dim)
                                    : z->k->dot(q, v, z->dim);
}

static float raw_f16(const quant *z, const void *q, const void *v) {
    return z->metric == METRIC_L2   ? z->k->l2sq_f16(q, v, z->dim)
           : z->metric == METRIC_L1 ? z->k->l1_f16(q, v, z->dim)
                                    : z->k->dot_f16(q, v, z->dim);
}

static float raw_i8(const quant *z, const void *q, const void *v) {
    return (float)(z->metric == METRIC_L2   ? z->k->l2sq_i8(q, v, z->dim)
                   : z->metric == METRIC_L1 ? z->k->l1_i8(q, v, z->dim)
                                            : z->k->dot_i8(q, v, z->dim));
}

static float raw_stored(const quant *z, const void *q, const void *v) {
    switch (z->type) {
    case VEC_F32: return raw_f32(z, q, v);
    case VEC_F16: return raw_f16(z, q, v);
    case VEC_I8: return raw_i8(z, q, v);
    case VEC_BIT: return (float)z->k->hamming(q, v, vec_nbyte(VEC_BIT, z->dim));
    }
    return 0;
}

void quant_keys(const hnsw *ix, const quant_query *q, const uint32_t *slot, size_t n,
                float *key) {
    const quant *z = &ix->q;
    if (z->kind == QUANT_I8) {
        keys_i8(ix, q, slot, n, key);
        return;
    }
    size_t nbyte = z->kind == QUANT_NONE ? ix->vec_nbyte : z->nbyte;
    size_t ahead = nbyte < PREFETCHED ? nbyte : PREFETCHED;
    for (size_t i = 0; i < n; i++) {
        const void *v =
            z->kind == QUANT_NONE ? hnsw_vec(ix, slot[i]) : hnsw_code(ix, slot[i]);
        float raw = 0;
        if (i + 2 < n)
            fetch(z->kind == QUANT_NONE ? hnsw_vec(ix, slot[i + 2])
                                        : hnsw_code(ix, slot[i + 2]),
                  ahead);
        if (z->kind == QUANT_NONE) raw = raw_stored(z, q->code, v);
        if (z->kind == QUANT_F16) raw = raw_f16(z, q->code, v);
        if (z->kind == QUANT_BIT)
            raw = z->cosine[z->k->hamming(q->code, v, vec_nbyte(VEC_BIT, z->dim))];
        key[i] = finish_key(ix, q, slot[i], raw);
    }
}

/* ---- bounds -------------------------------------------------------------------------------------
 *
 * A code c of x with scale s misses no element by more than s/2, so |x - c| <= s sqrt(dim)/2 = e.
 * h = the query as its code says it, |query - h| = rest. Then
 *
 *     ip        |x.q - c.h|       <= e |q| + |c| rest
 *     l2        ||x - q| - |c - h|| <= e + rest
 *     cosine    as ip between unit vectors: of x/|x| and c/|c| the distance is at most
 *               2 e / (|x| + |c|), and |x| >= |c| - e. */

#define UNIT      6e-8 /* rounding of a float32 */
#define HALF_STEP 0.501

bool quant_bound_init(quant_bound *b, const quant *z, const quant_query *q,
                      const float *x) {
    bool is_float = z->type == VEC_F32 || z->type == VEC_F16;
    bool is_known =
        z->metric == METRIC_COSINE || z->metric == METRIC_IP || z->metric == METRIC_L2;
    if (z->kind != QUANT_I8 || !is_float || !is_known) return false;
    const int8_t *code = q->code;
    double square = 0, rest = 0;
    for (uint32_t i = 0; i < z->dim; i++) square += (double)x[i] * (double)x[i];
    double length = sqrt(square), by = 1;
    if (z->metric == METRIC_COSINE) by = length > 0 ? 1 / length : 0;
    for (uint32_t i = 0; i < z->dim; i++) {
        double r = by * (double)x[i] - (double)q->b * code[i];
        rest += r * r;
    }
    b->length = length * by;
    b->rest = sqrt(rest);
    b->half = HALF_STEP * sqrt((double)z->dim);
    b->slack = (4.0 * z->dim + 64) * UNIT;
    return true;
}

double quant_least(const hnsw *ix, const quant_bound *b, const quant_query *q,
                   uint32_t slot, float key) {
    const quant_meta *m = &hnsw_node(ix, slot)->meta;
    double e = b->half * fabs((double)m->mul), add = (double)m->add;
    if (ix->q.metric == METRIC_IP)
        return (double)key - e * b->length - sqrt(add) * b->rest -
               b->slack * b->length * (sqrt(add) + e);
    if (ix->q.metric == METRIC_L2) {
        double sum = (double)key - 64 * UNIT * (add + (double)q->base);
        double root = sum > 0 ? sqrt(sum) : 0, off = e / 2 + b->rest; /* mul = -2 s */
        return root - off - b->slack * (root + off);
    }
    if (e >= 1) return -INFINITY;
    double angle = 2 * e / (2 - e);
    return 1 + (double)key - angle * (1 + b->rest) - b->rest - b->slack;
}

/* ---- exact distances ----------------------------------------------------------------------------- */

rec_status exact_init(exact_query *e, const hnsw *ix, const index_query *q,
                      rec_err *err) {
    const quant *z = &ix->q;
    *e = (exact_query){0};
    size_t nbyte = z->type == VEC_I8 || z->type == VEC_BIT ? ix->vec_nbyte : 0;
    size_t n_float = z->type == VEC_BIT ? 0 : (size_t)z->dim * sizeof(float);
    e->own = rec_array(n_float + nbyte, 1);
    if (!e->own) return rec_nomem(err);
    if (n_float) {
        memcpy(e->own, q->vector, n_float);
        e->x = (const float *)(const void *)e->own;
    }
    e->stored = e->own + n_float;
    if (z->type == VEC_BIT) memcpy(e->own, q->bits, nbyte);
    rec_status rc = REC_OK;
    if (z->type == VEC_I8)
        rc = index_encode(VEC_I8, q->vector, z->dim, e->own + n_float, err);
    e->f = (index_exact){z->metric, z->type, z->dim, e->x, 0};
    if (z->type == VEC_F32 || z->metric == METRIC_COSINE)
        e->f.inverse = index_inverse_norm(VEC_F32, e->x, z->dim);
    if (rc) exact_clear(e);
    return rc;
}

void exact_clear(exact_query *e) {
    rec_free(e->own);
    *e = (exact_query){0};
}

float exact_key(const hnsw *ix, const exact_query *e, uint32_t slot) {
    const quant *z = &ix->q;
    bool is_stored = z->type == VEC_I8 || z->type == VEC_BIT;
    float raw =
        raw_stored(z, is_stored ? e->stored : (const void *)e->x, hnsw_vec(ix, slot));
    bool is_cosine = z->metric == METRIC_COSINE;
    return index_finish(&e->f, hnsw_vec(ix, slot), is_cosine ? ix->inverse[slot] : 0,
                        raw);
}
