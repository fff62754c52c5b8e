/* flat with codes: every row, its place and its distance are those of codes=none, bit for bit,
 * whatever the data; the bounds hold; streams, filters, changes, failing allocations. */
#include "unit.h"

#include "../../ext/index/flat.h"
#include "alloc.h"

enum { PLAIN, TIES, ZEROS, HUGE_AND_TINY, DUPLICATES, SPIKES, CLUSTER, N_DATA };

#define MAX_DIM 700

/* Vectors lie around `centre`, so that many distances are nearly equal. */
static void make(int data, size_t i, uint32_t dim, unsigned long long *seed, float *x) {
    static const float size[] = {1e-30f, 1e-18f, 1e-10f, 1, 1e4f, 1e12f, 1e17f};
    float length = size[unit_rand(seed) % 7];
    for (uint32_t j = 0; j < dim; j++) {
        double u = 2 * unit_uniform(seed) - 1;
        float centre = (float)(j % 7) - 3;
        switch (data) {
        case TIES: x[j] = (float)((int)(unit_rand(seed) >> 20) % 2); break;
        case ZEROS: x[j] = i % 3 == 0 ? 0.0f : (float)u; break;
        case HUGE_AND_TINY: x[j] = (float)u * length; break;
        case DUPLICATES:
            x[j] = i % 2 ? centre : nextafterf(centre, (float)(u * 9));
            break;
        case SPIKES: x[j] = j == i % dim ? 1000 : (float)(u * 1e-3); break;
        case CLUSTER: x[j] = centre + (float)(u * 1e-2); break;
        default: x[j] = (float)u;
        }
    }
}

typedef struct pair {
    rec_index *ix[2]; /* with codes, without */
    index_cfg cfg;
    size_t n;
    float query[MAX_DIM];
} pair;

static void put(pair *p, size_t slot, int data, unsigned long long *seed) {
    float x[MAX_DIM];
    uint8_t v[MAX_DIM * 4];
    rec_err err = {0};
    make(data, slot, p->cfg.dim, seed, x);
    for (uint32_t j = 0; j < p->cfg.dim && p->cfg.type == VEC_F16; j++)
        x[j] = fmaxf(-6e4f, fminf(6e4f, x[j]));
    CHECK(index_encode(p->cfg.type, x, p->cfg.dim, v, &err) == REC_OK);
    for (int i = 0; i < 2; i++)
        CHECK(flat_ops.add(p->ix[i], (uint32_t)slot, v, &err) == REC_OK);
}

static void drop(pair *p, size_t slot) {
    rec_err err = {0};
    for (int i = 0; i < 2; i++)
        CHECK(flat_ops.remove(p->ix[i], (uint32_t)slot, &err) == REC_OK);
}

static void pair_init(pair *p, index_cfg cfg, size_t n, int data,
                      unsigned long long *seed) {
    rec_err err = {0};
    *p = (pair){.cfg = cfg, .n = n};
    CHECK(flat_ops.open(&p->ix[0], &cfg, &err) == REC_OK);
    cfg.codes = "none";
    CHECK(flat_ops.open(&p->ix[1], &cfg, &err) == REC_OK);
    for (size_t i = 0; i < n; i++) put(p, i, data, seed);
    for (size_t i = 0; i < n; i += 5) drop(p, i);
    for (size_t i = 0; i < n; i += 15) put(p, i, data, seed);
    make(data, 1, cfg.dim, seed, p->query);
}

static void pair_clear(pair *p) {
    rec_err err = {0};
    for (int i = 0; i < 2; i++) {
        CHECK(flat_ops.check(p->ix[i], &err) == REC_OK);
        flat_ops.close(p->ix[i]);
    }
}

/* Both give the same rows; at most `pull` of them are asked for. */
static size_t compare(const pair *p, const bitmap *allowed, size_t k, size_t pull) {
    rec_err err = {0};
    index_search *s[2] = {0};
    size_t n = 0, n_bad = 0;
    index_query q = {.vector = p->query, .allowed = allowed, .k = k};
    for (int i = 0; i < 2; i++)
        CHECK(flat_ops.search(p->ix[i], &q, &s[i], &err) == REC_OK);
    while (n < pull && s[0] && s[1]) {
        uint32_t slot[2] = {0};
        float d[2] = {0};
        bool has[2];
        rec_status st = REC_OK;
        for (int i = 0; i < 2; i++)
            has[i] = flat_ops.next(s[i], &slot[i], &d[i], &st, &err);
        n_bad += has[0] != has[1] || slot[0] != slot[1] || memcmp(&d[0], &d[1], 4) != 0;
        if (!has[0] || !has[1]) break;
        n++;
    }
    CHECK(n_bad == 0);
    for (int i = 0; i < 2; i++)
        if (s[i]) flat_ops.end(s[i]);
    return n;
}

/* Every lower bound of a scan is one. */
static void check_bounds(const pair *p) {
    const flat_index *f = (const flat_index *)p->ix[0];
    rec_err err = {0};
    index_query iq = {.vector = p->query};
    flat_query q = {.exact = {f->metric, f->type, f->dim, p->query, 0}};
    if (!flat_codes_serve(f, &iq)) return;
    if (f->metric == METRIC_COSINE)
        q.exact.inverse = index_inverse_norm(VEC_F32, p->query, f->dim);
    ranking r = {0};
    topk_entry e;
    size_t n_bad = 0, n = 0;
    CHECK(flat_codes_scan(f, &iq, &r, &err) == REC_OK);
    for (; ranking_next(&r, &e); n++) n_bad += !(e.value <= flat_key(f, &q, e.id));
    CHECK(n_bad == 0 && n == f->n_rows);
    ranking_clear(&r);
}

static void test_equal(index_cfg cfg, int data) {
    unsigned long long seed = 99 + cfg.dim + (unsigned)data;
    pair p;
    rec_err err = {0};
    pair_init(&p, cfg, 500, data, &seed);
    for (int round = 0; round < 3; round++) {
        check_bounds(&p);
        compare(&p, NULL, 1, SIZE_MAX);
        compare(&p, NULL, 10, SIZE_MAX);
        compare(&p, NULL, 25, SIZE_MAX);
        compare(&p, NULL, 300, SIZE_MAX);
        compare(&p, NULL, 0, 20);
        CHECK(compare(&p, NULL, 0, SIZE_MAX) == ((flat_index *)p.ix[0])->n_rows);
        make(data, 7, cfg.dim, &seed, p.query);
    }
    bitmap b = {0};
    CHECK(bitmap_init(&b, 430, false, &err) == REC_OK);
    compare(&p, &b, 5, SIZE_MAX);
    for (size_t i = 0; i < b.n_bit; i += 1 + i % 4) bitmap_set(&b, i);
    compare(&p, &b, 5, SIZE_MAX);
    compare(&p, &b, 0, SIZE_MAX);
    bitmap_clear(&b);
    pair_clear(&p);
}

static void test_all(void) {
    static const uint32_t dims[] = {33, 64, 257, MAX_DIM};
    static const char *const codes[] = {"int8", "float16"};
    for (int t = VEC_F32; t <= VEC_F16; t++)
        for (int m = METRIC_COSINE; m <= METRIC_L1; m++)
            for (int c = 0; c < 2; c++)
                for (int data = 0; data < N_DATA; data++)
                    test_equal((index_cfg){.type = (vec_type)t,
                                           .metric = (vec_metric)m,
                                           .dim = dims[(data + m + c) % 4],
                                           .kind = "flat",
                                           .codes = codes[c]},
                               data);
}

/* Few rows are compared exactly: that is what codes are for. */
static void test_saves(void) {
    unsigned long long seed = 5;
    pair p;
    rec_err err = {0};
    index_cfg cfg = {
        .type = VEC_F32, .metric = METRIC_COSINE, .dim = 128, .codes = "int8"};
    pair_init(&p, cfg, 4000, PLAIN, &seed);
    index_query iq = {.vector = p.query, .k = 10};
    ranking r = {0};
    CHECK(flat_codes_serve((flat_index *)p.ix[0], &iq));
    CHECK(flat_codes_scan((flat_index *)p.ix[0], &iq, &r, &err) == REC_OK);
    CHECK(r.n >= 10 && r.n < 100);
    ranking_clear(&r);
    index_stats with, without;
    flat_ops.stats(p.ix[0], &with);
    flat_ops.stats(p.ix[1], &without);
    CHECK(with.nbyte >= without.nbyte + 4000 * 128);
    pair_clear(&p);
}

/* Rows change below an open stream: it stays in order and never returns what is gone. */
static void test_changes(void) {
    unsigned long long seed = 6;
    pair p;
    rec_err err = {0};
    index_cfg cfg = {.type = VEC_F32, .metric = METRIC_L2, .dim = 64, .codes = "int8"};
    pair_init(&p, cfg, 600, PLAIN, &seed);
    index_query iq = {.vector = p.query};
    index_search *s = NULL;
    uint32_t slot = 0;
    float d = 0, before = 0;
    rec_status st = REC_OK;
    CHECK(flat_ops.search(p.ix[0], &iq, &s, &err) == REC_OK);
    for (size_t i = 0; flat_ops.next(s, &slot, &d, &st, &err); i++) {
        CHECK(d >= before && st == REC_OK);
        before = d;
        if (i != 50) continue;
        for (size_t j = 0; j < 600; j += 2) drop(&p, j);
        for (size_t j = 0; j < 600; j += 4)
            flat_ops.add(p.ix[0], (uint32_t)j, p.query, &err); /* as near as can be */
    }
    flat_ops.end(s);
    flat_ops.close(p.ix[0]);
    flat_ops.close(p.ix[1]);
}

static void test_choices(void) {
    rec_err err = {0};
    rec_index *ix = NULL;
    index_cfg cfg = {.type = VEC_F32, .metric = METRIC_L2, .dim = 64, .codes = "bit"};
    CHECK(flat_ops.open(&ix, &cfg, &err) == REC_RANGE && ix == NULL);
    cfg.codes = "int7";
    CHECK(flat_ops.open(&ix, &cfg, &err) == REC_RANGE && ix == NULL);
    struct {
        vec_type t;
        vec_metric m;
        uint32_t dim;
        const char *codes;
        quant_kind want;
    } c[] = {{VEC_F32, METRIC_L2, 64, NULL, QUANT_NONE},
             {VEC_F32, METRIC_L2, 64, "none", QUANT_NONE},
             {VEC_F32, METRIC_L2, 64, "int8", QUANT_I8},
             {VEC_F32, METRIC_L1, 64, "int8", QUANT_F16},
             {VEC_F32, METRIC_L2, 16, "int8", QUANT_NONE}, /* no shorter */
             {VEC_F16, METRIC_L2, 64, "int8", QUANT_I8},
             {VEC_F16, METRIC_L2, 64, "float16", QUANT_NONE},
             {VEC_I8, METRIC_L2, 64, "int8", QUANT_NONE},
             {VEC_BIT, METRIC_HAMMING, 64, "int8", QUANT_NONE}};
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        cfg = (index_cfg){
            .type = c[i].t, .metric = c[i].m, .dim = c[i].dim, .codes = c[i].codes};
        CHECK(flat_ops.open(&ix, &cfg, &err) == REC_OK);
        CHECK(((flat_index *)ix)->codes.z.kind == c[i].want);
        flat_ops.close(ix);
    }
}

static void test_damage(void) {
    unsigned long long seed = 7;
    pair p;
    rec_err err = {0};
    index_cfg cfg = {.type = VEC_F32, .metric = METRIC_IP, .dim = 64, .codes = "int8"};
    pair_init(&p, cfg, 200, PLAIN, &seed);
    flat_index *f = (flat_index *)p.ix[0];
    f->codes.chunk[0][64 * 7] ^= 1;
    CHECK(flat_ops.check(p.ix[0], &err) == REC_CORRUPT);
    f->codes.chunk[0][64 * 7] ^= 1;
    pair_clear(&p);
}

static bool always(void *ctx) {
    (void)ctx;
    return true;
}

static void test_interrupt(void) {
    unsigned long long seed = 8;
    pair p;
    rec_err err = {0};
    index_cfg cfg = {.type = VEC_F32, .metric = METRIC_IP, .dim = 64, .codes = "int8"};
    pair_init(&p, cfg, 5000, PLAIN, &seed);
    for (size_t k = 0; k < 4; k += 3) {
        rec_run run = {.n_threads = 1, .interrupted = always};
        index_query q = {.vector = p.query, .k = k, .run = &run};
        index_search *s = NULL;
        CHECK(flat_ops.search(p.ix[0], &q, &s, &err) == REC_INTR && s == NULL);
    }
    pair_clear(&p);
}

/* Every allocation fails in turn: a clean error, and nothing is left. */
static rec_status life(const char *codes) {
    rec_err err = {0};
    index_cfg cfg = {
        .type = VEC_F32, .metric = METRIC_COSINE, .dim = 32, .codes = codes};
    rec_index *ix = NULL;
    index_search *s = NULL;
    float v[32] = {1, 2, 3};
    rec_status st = flat_ops.open(&ix, &cfg, &err);
    for (uint32_t i = 0; i < 200 && st == REC_OK; i++) {
        v[i % 32] += 0.25f;
        st = flat_ops.add(ix, i, v, &err);
    }
    for (size_t k = 0; k < 9 && st == REC_OK; k += 4) {
        index_query query = {.vector = v, .k = k};
        uint32_t slot;
        float d;
        st = flat_ops.search(ix, &query, &s, &err);
        if (st != REC_OK) break;
        while (flat_ops.next(s, &slot, &d, &st, &err)) {
        }
        flat_ops.end(s);
    }
    if (ix) {
        CHECK(flat_ops.check(ix, &err) == REC_OK);
        flat_ops.close(ix);
    }
    return st;
}

int main(void) {
    UNIT_BEGIN("flat_codes");
    test_all();
    test_saves();
    test_changes();
    test_choices();
    test_damage();
    test_interrupt();
    alloc_install();
    ALLOC_LOOP(rc = life("int8"));
    ALLOC_LOOP(rc = life("float16"));
    return UNIT_END();
}
