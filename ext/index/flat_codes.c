/* flat_codes.c - kind=flat with codes: read a quarter of the bytes, answer with all of them.
 *
 *     codes     [ every row, int8 ]   lower <= distance <= upper      256 of 1024 bytes a row
 *                     |                u = the k-th smallest upper
 *                     v
 *     rows with lower <= u            as a ranking by lower bound      some hundred rows
 *                     |
 *                     v
 *     stored vectors, nearest first   until lower > k-th exact         some hundred rows
 *
 * The bounds make it exact. A vector is v = s c + e, code c and rest e, the query x = t d + r.
 * Only c and d are read; |e| is kept with the code, |r| is known, and by Cauchy and Schwarz
 *
 *     ip       |x.v - t s d.c|             <=  |x| |e| + |r| |s c|
 *     cosine   the same over |x| |v|
 *     l2       | |x-v| - |td - sc| |       <=  |e| + |r|               (triangle)
 *     l1       | |x-v| - |x-h| |           <=  sum |e|                 (halves h, no d)
 *
 * On 100,000 vectors of 256 dimensions like text embeddings |e| and |r| are .0066 of the
 * length. Float16 codes have an |e| about 30 times shorter.
 *
 * What float arithmetic adds is bounded too: a sum of n products is off by at most n 2^-24 of
 * |x||v|, and `slack` has four times that, for both sides and their norms. That argument
 * needs products that neither overflow nor vanish. So a row whose length is outside
 * [SAFE_MIN, SAFE_MAX] and not 0 gets |e| = infinity, which makes it a candidate always, and
 * for such a query there is no code scan (flat_codes_serve).
 *
 * A stream is the threshold algorithm (Fagin, Lotem & Naor 2001): rows are compared in order
 * of their lower bounds, and the nearest met so far is handed out once its distance is below
 * the next bound. What has been met waits in a heap, which lies in the part of the ranking
 * that has been read. (Long streams end in the plain scan: settle in flat.c.)
 *
 * A row that is not there any more when it comes to comparing is left out; so is one whose
 * vector was replaced by a nearer one than its bound allows.
 *
 * codes=bit is refused: half of a vector's length is in e, and no row could be left out.
 * codes=int8 gives way to float16 for l1, which has no product form. Codes not shorter than
 * the vectors are not made.
 *
 * Invariants
 *   I1  Rows of a chunk that hold no vector are zeros, code and numbers.
 *   I2  lower <= flat_key <= upper for every live row.
 *   I3  No bound is NaN: numbers of rows are finite but for |e|, factors of queries positive.
 *
 * Cost: a code and 12 bytes a row; a scan reads them once, at the speed of the cache or of
 * memory (100,000 x 256: 25.6 MB; the bare products take .75 ms, a plain read .5 ms), plus
 * some hundred exact keys. Ahead-of-time prefetching and large pages made it slower or
 * changed nothing: the processor sees a straight line.
 */
#include "flat.h"

#define CHUNK_BYTES ((size_t)256 << 10)
#define SAFE_MIN    1e-15
#define SAFE_MAX    1e15
#define UNIT        (1.0 / 16777216) /* 2^-24: one float rounding, relative */
#define ROUND_UP    (1 + 1e-6)       /* more than a few roundings */
#define MIN_SHARE   16   /* k of more of the rows than that: the plain scan */
#define AHEAD       4    /* candidates fetched before they are compared */
#define FETCHED     1024 /* bytes of one; the processor follows from there */

/* Numbers beside the codes of a chunk, an array of n_row floats each. */
enum { SCALE, REST, LENGTH, N_NUMBERS }; /* s, |e|, |sc|; cosine: over |v| */

/* ---- storage ------------------------------------------------------------------------------ */

static rec_status choose(flat_index *f, const index_cfg *cfg, rec_err *err) {
    index_cfg c = *cfg;
    quant *z = &f->codes.z;
    if (strcmp(cfg->codes, "bit") == 0 && cfg->type != VEC_BIT)
        return rec_fail(
            err, REC_RANGE,
            "codes=bit does not go with kind=flat, which is exact: signs put no "
            "useful bound on a distance; allowed: none, float16, int8");
    if (c.metric != METRIC_L1 && c.metric != METRIC_HAMMING) c.metric = METRIC_IP;
    rec_status s = quant_init(z, &c, err);
    if (s != REC_OK) return s;
    if (cfg->type == VEC_I8 || cfg->type == VEC_BIT || z->nbyte >= f->nbyte)
        z->kind = QUANT_NONE;
    return REC_OK;
}

rec_status flat_codes_init(flat_index *f, const index_cfg *cfg, rec_err *err) {
    flat_codes *c = &f->codes;
    *c = (flat_codes){.z.kind = QUANT_NONE, .n_row = 64};
    rec_status s = cfg->codes ? choose(f, cfg, err) : REC_OK;
    if (s != REC_OK || !flat_has_codes(f)) return s;
    while (c->n_row * 2 * c->z.nbyte <= CHUNK_BYTES) c->n_row *= 2;
    return REC_OK;
}

void flat_codes_clear(flat_index *f) {
    flat_codes *c = &f->codes;
    for (size_t i = 0; i < c->n_chunks; i++) rec_free(c->chunk[i]);
    rec_free(c->chunk);
    quant_clear(&c->z);
}

static size_t chunk_nbyte(const flat_codes *c) {
    return c->n_row * (c->z.nbyte + N_NUMBERS * sizeof(float));
}

rec_status flat_codes_reserve(flat_index *f, size_t slot, rec_err *err) {
    flat_codes *c = &f->codes;
    if (!flat_has_codes(f)) return REC_OK;
    size_t want = slot / c->n_row + 1;
    rec_status s = rec_grow(&c->chunk, &c->cap_chunks, want, sizeof *c->chunk, err);
    while (s == REC_OK && c->n_chunks < want) {
        uint8_t *fresh = rec_zeros(chunk_nbyte(c), 1); /* I1 */
        if (fresh == NULL) return rec_nomem(err);
        c->chunk[c->n_chunks++] = fresh;
    }
    return s;
}

size_t flat_codes_nbyte(const flat_index *f) {
    const flat_codes *c = &f->codes;
    return c->n_chunks * chunk_nbyte(c) + c->cap_chunks * sizeof *c->chunk;
}

static uint8_t *code_of(const flat_codes *c, size_t slot) {
    return c->chunk[slot / c->n_row] + slot % c->n_row * c->z.nbyte;
}

/* Number `which` of `slot`; the next slots of its chunk follow. */
static float *number_of(const flat_codes *c, size_t slot, int which) {
    uint8_t *at = c->chunk[slot / c->n_row] + c->n_row * c->z.nbyte;
    return (float *)(void *)at + (size_t)which * c->n_row + slot % c->n_row;
}

/* ---- codes of rows ---------------------------------------------------------------------------- */

#define PIECE 256u

/* What a vector and its code say, in double: lengths of v, of s c and of the rest between. */
typedef struct lengths {
    double whole, coded, rest;
} lengths;

static void decode_piece(const quant *z, const uint8_t *code, uint32_t at, uint32_t n,
                         float *h) {
    if (z->kind == QUANT_F16) {
        index_decode(VEC_F16, code + 2 * (size_t)at, n, h);
        return;
    }
    for (uint32_t i = 0; i < n; i++) h[i] = (float)((int)code[at + i] - 128);
}

static lengths measure(const quant *z, const void *v, const uint8_t *code,
                       float scale) {
    double whole = 0, coded = 0, rest = 0, s = (double)scale;
    float x[PIECE], h[PIECE];
    for (uint32_t at = 0; at < z->dim; at += PIECE) {
        uint32_t n = z->dim - at < PIECE ? z->dim - at : PIECE;
        const char *from = (const char *)v + at * vec_nbyte(z->type, 8) / 8;
        index_decode(z->type, from, n, x);
        decode_piece(z, code, at, n, h);
        for (uint32_t i = 0; i < n; i++) {
            double a = (double)x[i], b = s * (double)h[i];
            bool is_l1 = z->metric == METRIC_L1;
            whole += is_l1 ? fabs(a) : a * a;
            coded += is_l1 ? fabs(b) : b * b;
            rest += is_l1 ? fabs(a - b) : (a - b) * (a - b);
        }
    }
    if (z->metric == METRIC_L1) return (lengths){whole, coded, rest};
    return (lengths){sqrt(whole), sqrt(coded), sqrt(rest)};
}

static bool is_safe(double length) {
    return length >= SAFE_MIN && length <= SAFE_MAX;
}

static void encode(const flat_index *f, const void *v, uint8_t *code,
                   float number[N_NUMBERS]) {
    const quant *z = &f->codes.z;
    quant_meta meta;
    quant_encode(z, v, code, &meta);
    float scale = z->kind == QUANT_I8 ? -meta.mul : 1; /* ip: mul is -s */
    lengths l = measure(z, v, code, scale);
    number[SCALE] = number[REST] = number[LENGTH] = 0;
    if (l.whole > 0 && !is_safe(l.whole)) {
        number[REST] = INFINITY;
        return;
    }
    double unit = f->metric != METRIC_COSINE ? 1 : l.whole > 0 ? 1 / l.whole : 0;
    number[SCALE] = (float)((double)scale * unit);
    number[REST] = (float)(l.rest * unit * ROUND_UP);
    number[LENGTH] = (float)(l.coded * unit);
}

void flat_codes_put(flat_index *f, size_t slot, const void *v) {
    float number[N_NUMBERS];
    if (!flat_has_codes(f)) return;
    encode(f, v, code_of(&f->codes, slot), number);
    for (int i = 0; i < N_NUMBERS; i++) *number_of(&f->codes, slot, i) = number[i];
}

void flat_codes_wipe(flat_index *f, size_t slot) {
    if (!flat_has_codes(f)) return;
    memset(code_of(&f->codes, slot), 0, f->codes.z.nbyte);
    for (int i = 0; i < N_NUMBERS; i++) *number_of(&f->codes, slot, i) = 0;
}

bool flat_codes_are_right(const flat_index *f, size_t slot) {
    uint8_t code[2 * VEC_MAX_DIM];
    float number[N_NUMBERS];
    if (!flat_has_codes(f)) return true;
    encode(f, flat_row(f, slot), code, number);
    for (int i = 0; i < N_NUMBERS; i++)
        if (*number_of(&f->codes, slot, i) != number[i]) return false;
    return memcmp(code, code_of(&f->codes, slot), f->codes.z.nbyte) == 0;
}

/* ---- bounds -------------------------------------------------------------------------------------- */

/* estimate = base + slope * s * raw, for int8 and l2: + |sc|^2, then the root;
 * margin   = m[0] + m[1] |e| + m[2] |sc|. */
typedef struct code_query {
    const flat_index *f;
    const index_query *iq;
    quant_query q;
    float base, slope, square_slack;
    float m[3];
} code_query;

static double query_length(const flat_index *f, const float *x) {
    double sum = 0;
    for (uint32_t i = 0; i < f->dim; i++)
        sum +=
            f->metric == METRIC_L1 ? fabs((double)x[i]) : (double)x[i] * (double)x[i];
    return f->metric == METRIC_L1 ? sum : sqrt(sum);
}

bool flat_codes_serve(const flat_index *f, const index_query *iq) {
    if (!flat_has_codes(f)) return false;
    if (iq->k > 0 && iq->k > f->n_rows / MIN_SHARE) return false;
    return is_safe(query_length(f, iq->vector));
}

/* |r| and |td|^2 of the rounded query; 0 and |x|^2 for halves, whose query is not rounded. */
static double query_rest(const code_query *c, const float *x, double *square) {
    if (c->f->codes.z.kind != QUANT_I8) return 0;
    const int8_t *d = c->q.code;
    double rest = 0, t = (double)c->q.b;
    *square = 0;
    for (uint32_t i = 0; i < c->f->dim; i++) {
        double h = t * d[i], e = (double)x[i] - h;
        rest += e * e;
        *square += h * h;
    }
    return sqrt(rest);
}

static void set_factors(code_query *c, double length, double rest, double square) {
    const flat_index *f = c->f;
    bool is_i8 = f->codes.z.kind == QUANT_I8;
    double slack = (4.0 * f->dim + 64) * UNIT, t = is_i8 ? (double)c->q.b : 1;
    double m0 = 0, m1 = 1, m2 = slack;
    switch (f->metric) {
    case METRIC_COSINE:
        c->base = 1;
        c->slope = (float)(-t / length);
        rest /= length;
        m0 = rest + 2 * slack, m1 = 1 + rest + slack, m2 = 0; /* |sc| <= 1 + |e| */
        break;
    case METRIC_IP:
        c->base = 0;
        c->slope = (float)-t;
        m1 = length * (1 + slack), m2 = rest + length * slack;
        break;
    default: /* l2, l1 */
        c->base = is_i8 ? (float)square : 0;
        c->slope = is_i8 ? (float)(-2 * t) : 1;
        m0 = rest + length * slack, m1 = 1 + slack;
        break;
    }
    c->square_slack = (float)(32 * UNIT);
    c->m[0] = (float)(m0 * ROUND_UP);
    c->m[1] = (float)(m1 * ROUND_UP);
    c->m[2] = (float)(m2 * ROUND_UP);
}

static rec_status code_query_init(code_query *c, const flat_index *f,
                                  const index_query *iq, rec_err *err) {
    *c = (code_query){.f = f, .iq = iq};
    rec_status s = quant_query_init(&c->q, &f->codes.z, err);
    if (s != REC_OK) return s;
    quant as_float = f->codes.z;
    quant_from_query(&as_float, &c->q, iq->vector, NULL);
    double square = 0, rest = query_rest(c, iq->vector, &square);
    set_factors(c, query_length(f, iq->vector), rest, square);
    return REC_OK;
}

/* Products of the query with the codes of up to 64 slots of one chunk, four at a time. */
static void raw_i8(const code_query *c, size_t slot0, uint64_t mask, float raw[64]) {
    const flat_codes *fc = &c->f->codes;
    const uint8_t *first = code_of(fc, slot0), *code[4];
    uint8_t at[64 + 3];
    size_t n = 0, nbyte = fc->z.nbyte;
    int32_t dot[64 + 3];
    unsigned j;
    if (~mask == 0) {
        for (size_t i = 0; i < 64; i += 4, first += 4 * nbyte) {
            for (size_t l = 0; l < 4; l++) code[l] = first + l * nbyte;
            fc->z.k->dot4_u8i8(code, c->q.code, nbyte, dot + i);
        }
        for (size_t i = 0; i < 64; i++) raw[i] = (float)(dot[i] - c->q.shift);
        return;
    }
    FOR_BITS(j, mask) at[n++] = (uint8_t)j;
    for (size_t i = n; i < n + 3; i++) at[i] = at[0];
    for (size_t i = 0; i < n; i += 4) {
        for (size_t l = 0; l < 4; l++) code[l] = first + at[i + l] * nbyte;
        fc->z.k->dot4_u8i8(code, c->q.code, nbyte, dot + i);
    }
    for (size_t i = 0; i < n; i++) raw[at[i]] = (float)(dot[i] - c->q.shift);
}

static void raw_f16(const code_query *c, size_t slot0, uint64_t mask, float raw[64]) {
    const flat_codes *fc = &c->f->codes;
    const rec_kernels *k = fc->z.k;
    float (*fn)(const float *, const uint16_t *, size_t) =
        c->f->metric == METRIC_L2   ? k->l2sq_f16
        : c->f->metric == METRIC_L1 ? k->l1_f16
                                    : k->dot_f16;
    unsigned j;
    FOR_BITS(j, mask) {
        const void *code = code_of(fc, slot0 + j);
        raw[j] = fn(c->q.code, code, c->f->dim);
    }
}

typedef struct bounds {
    float lower[64], upper[64];
} bounds;

/* Loops over all 64, whatever the mask, so that compilers make vectors of them. */
static void linear_bounds(const code_query *c, size_t slot0, const float raw[64],
                          bounds *b) {
    const flat_codes *fc = &c->f->codes;
    const float *s = number_of(fc, slot0, SCALE), *e = number_of(fc, slot0, REST),
                *l = number_of(fc, slot0, LENGTH);
    for (size_t j = 0; j < 64; j++) {
        float estimate = c->base + c->slope * s[j] * raw[j];
        float margin = c->m[0] + c->m[1] * e[j] + c->m[2] * l[j];
        b->lower[j] = estimate - margin;
        b->upper[j] = estimate + margin;
    }
}

/* l2: the estimate is squared, and lengths that nearly cancel leave a rounding of the sum. */
static void root_bounds(const code_query *c, size_t slot0, const float raw[64],
                        bounds *b) {
    const flat_codes *fc = &c->f->codes;
    bool is_sum = fc->z.kind == QUANT_I8;
    const float *s = number_of(fc, slot0, SCALE), *e = number_of(fc, slot0, REST),
                *l = number_of(fc, slot0, LENGTH);
    for (size_t j = 0; j < 64; j++) {
        float both = is_sum ? c->base + l[j] * l[j] : 0;
        float square = both + c->slope * s[j] * raw[j];
        float off = c->square_slack * both;
        float margin = c->m[0] + c->m[1] * e[j] + c->m[2] * l[j];
        float least = square - off > 0 ? square - off : 0;
        float most = square + off > 0 ? square + off : 0;
        b->lower[j] = sqrtf(least) - margin;
        b->upper[j] = sqrtf(most) + margin;
    }
}

static void bounds_of_word(const code_query *c, size_t slot0, uint64_t mask,
                           bounds *b) {
    float raw[64] = {0};
    if (c->f->codes.z.kind == QUANT_I8)
        raw_i8(c, slot0, mask, raw);
    else
        raw_f16(c, slot0, mask, raw);
    if (c->f->metric == METRIC_L2)
        root_bounds(c, slot0, raw, b);
    else
        linear_bounds(c, slot0, raw, b);
}

/* ---- the scan ---------------------------------------------------------------------------------------- */

typedef struct candidates {
    topk_entry *a; /* (lower bound, slot); owned */
    size_t n, cap;
    topk upper; /* of the k smallest upper bounds; k = 0: no limit */
    float limit;
} candidates;

static rec_status collect(candidates *d, const bounds *b, size_t slot0, uint64_t mask,
                          rec_err *err) {
    unsigned j, n_near = 0;
    for (size_t i = 0; i < 64; i++) n_near += b->lower[i] <= d->limit;
    if (n_near == 0) return REC_OK; /* nearly always */
    rec_status s = rec_grow(&d->a, &d->cap, d->n + 64, sizeof *d->a, err);
    if (s != REC_OK) return s;
    FOR_BITS(j, mask) {
        if (b->lower[j] > d->limit) continue;
        d->a[d->n++] = (topk_entry){b->lower[j], (uint32_t)(slot0 + j)};
        if (d->upper.k == 0) continue;
        topk_push(&d->upper, b->upper[j], (uint32_t)(slot0 + j));
        d->limit = topk_bound(&d->upper);
    }
    return REC_OK;
}

static rec_status scan_words(const code_query *c, candidates *d, rec_err *err) {
    const flat_index *f = c->f;
    rec_status s = REC_OK;
    bounds b;
    for (size_t w = 0; w * 64 < f->n_slots && s == REC_OK; w++) {
        uint64_t mask = flat_word(f, c->iq->allowed, w);
        if (w % FLAT_POLL_WORDS == 0) s = run_check(c->iq->run, err);
        if (mask == 0 || s != REC_OK) continue;
        bounds_of_word(c, w * 64, mask, &b);
        s = collect(d, &b, w * 64, mask, err);
    }
    return s;
}

rec_status flat_codes_scan(const flat_index *f, const index_query *iq, ranking *out,
                           rec_err *err) {
    code_query c;
    candidates d = {.limit = INFINITY};
    rec_status s = code_query_init(&c, f, iq, err);
    if (s == REC_OK) s = topk_init(&d.upper, iq->k, err);
    if (s == REC_OK) s = scan_words(&c, &d, err);
    quant_query_clear(&c.q);
    topk_clear(&d.upper);
    if (s != REC_OK) {
        rec_free(d.a);
        return s;
    }
    /* The limit has shrunk since the first ones came in. */
    size_t n = 0;
    for (size_t i = 0; i < d.n; i++)
        if (!(d.a[i].value > d.limit)) d.a[n++] = d.a[i];
    return ranking_init(out, d.a, n, err);
}

/* ---- exact answers -------------------------------------------------------------------------------------- */

static void fetch_row(const flat_index *f, uint32_t slot) {
    const char *row = (const char *)flat_row(f, slot);
    size_t n = f->nbyte < FETCHED ? f->nbyte : FETCHED;
    for (size_t i = 0; i < n; i += 64) __builtin_prefetch(row + i);
}

/* The next row by lower bound; a row that will be compared soon is fetched. */
static bool next_candidate(const flat_index *f, ranking *from, topk_entry *e) {
    if (!ranking_next(from, e)) return false;
    if (from->at + AHEAD < from->sorted) fetch_row(f, from->a[from->at + AHEAD].id);
    return true;
}

void flat_codes_best(const flat_index *f, const flat_query *q, ranking *from,
                     topk *best) {
    topk_entry e;
    while (next_candidate(f, from, &e)) {
        if (best->n == best->k && e.value > topk_bound(best)) break;
        topk_push(best, flat_key(f, q, e.id), e.id);
    }
    topk_sort(best);
}

/* A bound becomes a key; false for a row that is gone, or was replaced by a nearer one. */
static bool rescore(const flat_index *f, const flat_query *q, topk_entry *e) {
    if (!flat_is_live(f, e->id)) return false;
    float key = flat_key(f, q, e->id);
    if (key < e->value) return false;
    e->value = key;
    return true;
}

static bool is_before(const topk_entry *a, const topk_entry *b) {
    return a->value < b->value || (a->value == b->value && a->id < b->id);
}

static void heap_push(topk_entry *a, size_t n, topk_entry x) {
    size_t at = n;
    for (; at > 0 && is_before(&x, &a[(at - 1) / 2]); at = (at - 1) / 2)
        a[at] = a[(at - 1) / 2];
    a[at] = x;
}

static topk_entry heap_pop(topk_entry *a, size_t n) {
    topk_entry top = a[0], x = a[n - 1];
    size_t at = 0;
    for (n--;;) {
        size_t child = 2 * at + 1;
        if (child >= n) break;
        if (child + 1 < n && is_before(&a[child + 1], &a[child])) child++;
        if (!is_before(&a[child], &x)) break;
        a[at] = a[child];
        at = child;
    }
    a[at] = x;
    return top;
}

bool flat_codes_next(const flat_index *f, const flat_query *q, ranking *from,
                     size_t *n_met, topk_entry *out) {
    topk_entry *met = from->a, e; /* *n_met <= from->at: never beyond what was read */
    for (;;) {
        bool is_end = from->at == from->n;
        bool has_bound = !is_end && from->at < from->sorted;
        if (*n_met > 0 &&
            (is_end || (has_bound && met[0].value < from->a[from->at].value))) {
            *out = heap_pop(met, (*n_met)--);
            return true;
        }
        if (is_end || !next_candidate(f, from, &e)) return false;
        if (rescore(f, q, &e)) heap_push(met, (*n_met)++, e);
    }
}
