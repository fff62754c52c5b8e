/* The graph index against kind=flat: same rows wherever the search is exact, enough of them
 * where it is not, invariants after every step, and bytes that lie. */
#include "unit.h"

#include "../../ext/index/index.h"
#include "alloc.h"

typedef unsigned long long seed_t;

typedef struct pair { /* a graph and a flat index with the same rows */
    index_cfg cfg;
    rec_index *h, *f;
    float *x; /* [n_max][dim] */
    size_t n_max;
} pair;

static void random_vector(const index_cfg *cfg, seed_t *seed, float *x) {
    /* Twelve clusters, so that neighbours mean something; small integers for int8. */
    unsigned c = (unsigned)(unit_rand(seed) % 12);
    for (uint32_t i = 0; i < cfg->dim; i++) {
        double centre = (double)(rec_mix(c * 1000u + i) % 2001) / 1000 - 1;
        double v = centre + 0.5 * (unit_uniform(seed) - 0.5);
        if (cfg->type == VEC_I8) v = floor(v * 60);
        if (cfg->type == VEC_BIT) v = v > 0;
        x[i] = (float)v;
    }
}

static void pair_put(pair *p, uint32_t slot, seed_t *seed) {
    uint8_t stored[4096];
    float *x = p->x + slot * p->cfg.dim;
    random_vector(&p->cfg, seed, x);
    CHECK(index_encode(p->cfg.type, x, p->cfg.dim, stored, NULL) == REC_OK);
    CHECK(p->h->ops->add(p->h, slot, stored, NULL) == REC_OK);
    CHECK(p->f->ops->add(p->f, slot, stored, NULL) == REC_OK);
}

static void pair_drop(pair *p, uint32_t slot) {
    CHECK(p->h->ops->remove(p->h, slot, NULL) == REC_OK);
    CHECK(p->f->ops->remove(p->f, slot, NULL) == REC_OK);
}

static pair pair_new(index_cfg cfg, size_t n, seed_t *seed) {
    pair p = {.cfg = cfg, .n_max = n};
    p.x = malloc(n * cfg.dim * sizeof(float));
    memset(p.x, 0, n * cfg.dim * sizeof(float));
    CHECK(hnsw_ops.open(&p.h, &cfg, NULL) == REC_OK);
    cfg.codes = NULL; /* the definition */
    CHECK(flat_ops.open(&p.f, &cfg, NULL) == REC_OK);
    for (uint32_t i = 0; seed && i < n; i++) pair_put(&p, i, seed);
    return p;
}

static void pair_free(pair *p) {
    p->h->ops->close(p->h);
    p->f->ops->close(p->f);
    free(p->x);
}

static void check_ok(const rec_index *h) {
    rec_err err = {0};
    rec_status rc = h->ops->check(h, &err);
    if (rc) fprintf(stderr, "%s\n", err.msg);
    CHECK(rc == REC_OK);
}

static size_t pull(const rec_index *ix, const index_query *q, size_t k, uint32_t *slot,
                   float *d) {
    index_search *s;
    rec_status rc = REC_OK;
    size_t n = 0;
    CHECK(ix->ops->search(ix, q, &s, NULL) == REC_OK);
    while (n < k && ix->ops->next(s, &slot[n], &d[n], &rc, NULL)) n++;
    CHECK(rc == REC_OK);
    ix->ops->end(s);
    return n;
}

#define N_PULL  4000
#define N_EQUAL 3000
typedef struct rows {
    uint32_t slot[N_PULL];
    float d[N_PULL];
    size_t n;
} rows;

/* The distance of every row that a search hands out ascends, and none comes twice. */
static void check_order(const rows *a) {
    static uint8_t is_seen[N_EQUAL];
    memset(is_seen, 0, sizeof is_seen);
    for (size_t i = 0; i < a->n; i++) {
        CHECK(i == 0 || a->d[i] >= a->d[i - 1]);
        CHECK(!is_seen[a->slot[i]]);
        is_seen[a->slot[i]] = 1;
    }
}

static void query_of(const pair *p, seed_t *seed, index_query *q, float *x,
                     uint8_t *bits) {
    random_vector(&p->cfg, seed, x);
    *q = (index_query){.vector = x};
    if (p->cfg.type == VEC_BIT) {
        index_encode(VEC_BIT, x, p->cfg.dim, bits, NULL);
        q->bits = bits;
    }
}

/* Share of the true k nearest found with width ef; with ef = 0 rows must be the same. */
static double compare(const pair *p, size_t n_query, size_t k, uint32_t ef,
                      const bitmap *allowed, seed_t *seed) {
    static rows a, b;
    float x[512];
    uint8_t bits[64];
    size_t n_hit = 0, n_all = 0;
    for (size_t i = 0; i < n_query; i++) {
        index_query q;
        query_of(p, seed, &q, x, bits);
        q.allowed = allowed;
        b.n = pull(p->f, &q, k, b.slot, b.d);
        q.ef = ef ? ef : 1000000;
        q.k = i % 2 ? k : 0;
        a.n = pull(p->h, &q, k, a.slot, a.d);
        CHECK(a.n == b.n);
        n_all += b.n;
        for (size_t j = 0; j < a.n; j++) {
            if (ef == 0) CHECK(a.slot[j] == b.slot[j] && a.d[j] == b.d[j]);
            if (allowed) CHECK(bitmap_has(allowed, a.slot[j]));
            if (j > 0) CHECK(a.d[j] >= a.d[j - 1]);
            if (b.n && a.d[j] <= b.d[b.n - 1]) n_hit++;
        }
    }
    return n_all ? (double)n_hit / (double)n_all : 1;
}

/* What open() must refuse of types and metrics; a code that gains nothing is not kept. false: refused,
 * or no code of its own to test. */
static bool goes_together(int type, int metric, int code) {
    static const char *const codes[] = {"none", "float16", "int8", "bit"};
    index_cfg cfg = {.type = (vec_type)type,
                     .metric = (vec_metric)metric,
                     .dim = 8,
                     .codes = codes[code]};
    rec_index *ix;
    bool is_metric = (type == VEC_BIT) == (metric == METRIC_HAMMING);
    bool is_code = code == 0 || (code == 1 && type == VEC_F32) ||
                   (code == 2 && type != VEC_BIT && metric != METRIC_L1) ||
                   (code == 3 && type != VEC_BIT);
    CHECK(hnsw_ops.open(&ix, &cfg, NULL) == (is_metric ? REC_OK : REC_RANGE));
    if (ix) hnsw_ops.close(ix);
    return is_metric && is_code;
}

/* ---- every type, metric and code ---------------------------------------------------------- */

static void test_kinds(void) {
    static const char *const codes[] = {"none", "float16", "int8", "bit"};
    seed_t seed = 7;
    for (int type = VEC_F32; type <= VEC_BIT; type++)
        for (int metric = METRIC_COSINE; metric <= METRIC_HAMMING; metric++)
            for (int c = 0; c < 4; c++) {
                if (!goes_together(type, metric, c)) continue;
                index_cfg cfg = {.type = (vec_type)type,
                                 .metric = (vec_metric)metric,
                                 .dim = type == VEC_BIT ? 100 : 37,
                                 .codes = codes[c],
                                 .m = 8,
                                 .ef_construction = 60,
                                 .seed = 3};
                pair p = pair_new(cfg, 700, &seed);
                CHECK(compare(&p, 4, 30, 0, NULL, &seed) == 1); /* all in the delta */
                CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
                check_ok(p.h);
                CHECK(compare(&p, 4, 30, 0, NULL, &seed) == 1);
                double recall = compare(&p, 20, 10, 60, NULL, &seed);
                double floor = c == 3                     ? 0.5
                               : metric == METRIC_HAMMING ? 0.85
                               : metric == METRIC_IP      ? 0.88
                                                          : 0.93;
                if (recall < floor)
                    fprintf(stderr, "%s %s %s: recall %.3f\n", vec_type_name(cfg.type),
                            vec_metric_name(cfg.metric), codes[c], recall);
                CHECK(recall >= floor);
                pair_free(&p);
            }
}

/* ---- streams -------------------------------------------------------------------------------- */

static void test_stream(void) {
    static rows a, b;
    seed_t seed = 11;
    index_cfg cfg = {.dim = 16, .codes = "int8", .m = 8, .ef_construction = 50};
    pair p = pair_new(cfg, 3000, &seed);
    CHECK(p.h->ops->link(p.h, 2700, NULL, NULL) == REC_OK);
    check_ok(p.h);
    for (int i = 0; i < 10; i++) {
        float x[16];
        index_query q;
        query_of(&p, &seed, &q, x, NULL);
        q.ef = 20;
        a.n = pull(p.h, &q, N_PULL, a.slot, a.d); /* to the end */
        CHECK(a.n > 2800 && a.n <= 3000);
        check_order(&a);
        static const size_t ks[] = {1, 10, 20, 21, 100, 700};
        for (size_t t = 0; t < 6; t++) { /* the same rows for any k */
            q.k = ks[t];
            b.n = pull(p.h, &q, ks[t], b.slot, b.d);
            CHECK(b.n == ks[t] && memcmp(a.slot, b.slot, b.n * 4) == 0);
        }
        q.k = 3000; /* asks for all: gets all */
        CHECK(pull(p.h, &q, N_PULL, b.slot, b.d) == 3000);
    }
    pair_free(&p);
}

/* Two searches at once, and rows that go away under an open one. */
/* With a limit, every row up to it comes, for ef that makes the search exact. */
static void check_limits(const pair *p, seed_t *seed) {
    static float x[4096];
    static uint8_t bits[512];
    static rows all, some;
    index_query q;
    query_of(p, seed, &q, x, bits);
    q.ef = UINT32_MAX;
    all.n = pull(p->h, &q, N_PULL, all.slot, all.d);
    for (size_t at = 0; at < all.n; at += 1 + all.n / 9) {
        q.has_limit = true;
        q.limit = (double)all.d[at];
        some.n = pull(p->h, &q, N_PULL, some.slot, some.d);
        size_t n = at + 1;
        while (n < all.n && all.d[n] == all.d[at]) n++;
        CHECK(some.n >= n);
        n = n < some.n ? n : some.n;
        CHECK(memcmp(some.slot, all.slot, n * sizeof *some.slot) == 0);
        CHECK(memcmp(some.d, all.d, n * sizeof *some.d) == 0);
    }
}

static void test_limits(void) {
    seed_t seed = 11;
    static const vec_metric metric[] = {METRIC_COSINE, METRIC_IP, METRIC_L2, METRIC_L1};
    static const vec_type type[] = {VEC_F32, VEC_F16, VEC_I8};
    static const uint32_t dim[] = {1, 3, 64, 300};
    for (size_t i = 0; i < 4 * 3 * 4; i++) {
        index_cfg cfg = {
            .metric = metric[i / 12], .type = type[i / 4 % 3], .dim = dim[i % 4]};
        pair p = pair_new(cfg, 400, &seed);
        for (int j = 0; j < 5; j++) check_limits(&p, &seed);
        pair_free(&p);
    }
}

static void test_open_searches(void) {
    seed_t seed = 5;
    index_cfg cfg = {.dim = 8, .metric = METRIC_L2, .m = 6};
    pair p = pair_new(cfg, 2000, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    float x[8], y[8], d, e;
    index_query qx, qy;
    query_of(&p, &seed, &qx, x, NULL);
    query_of(&p, &seed, &qy, y, NULL);
    qx.ef = qy.ef = 10;
    index_search *a, *b;
    uint32_t s, t;
    rec_status rc;
    static rows alone;
    alone.n = pull(p.h, &qx, 200, alone.slot, alone.d);
    CHECK(p.h->ops->search(p.h, &qx, &a, NULL) == REC_OK);
    CHECK(p.h->ops->search(p.h, &qy, &b, NULL) == REC_OK);
    for (size_t i = 0; i < 200; i++) {
        CHECK(p.h->ops->next(a, &s, &d, &rc, NULL) && s == alone.slot[i]);
        CHECK(p.h->ops->next(b, &t, &e, &rc, NULL));
    }
    p.h->ops->end(b);
    for (uint32_t i = 0; i < 2000; i += 2) pair_drop(&p, i);
    for (size_t i = 0; p.h->ops->next(a, &s, &d, &rc, NULL); i++) CHECK(s % 2 == 1);
    CHECK(rc == REC_OK);
    p.h->ops->end(a);
    check_ok(p.h);
    pair_free(&p);
}

/* ---- filters ---------------------------------------------------------------------------------- */

static void test_filters(void) {
    static const int percent[] = {90, 50, 25, 10, 5, 1};
    seed_t seed = 13;
    index_cfg cfg = {.dim = 24, .codes = "int8", .m = 8, .ef_construction = 80};
    pair p = pair_new(cfg, 8000, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    float centre[24];
    random_vector(&cfg, &seed, centre);
    for (int how = 0; how < 3;
         how++) /* independent of, near to and far from one place */
        for (size_t t = 0; t < 6; t++) {
            bitmap b;
            CHECK(bitmap_init(&b, 8000, false, NULL) == REC_OK);
            index_query q = {.vector = centre, .k = 8000};
            static uint32_t slot[8000];
            static float d[8000];
            size_t n = pull(p.f, &q, 8000, slot, d),
                   want = n * (size_t)percent[t] / 100;
            for (size_t i = 0; i < want; i++)
                bitmap_set(&b, how == 0   ? unit_rand(&seed) % 8000
                               : how == 1 ? slot[i]
                                          : slot[n - 1 - i]);
            double recall = compare(&p, 20, 10, 40, &b, &seed);
            if (recall < 0.9)
                fprintf(stderr, "filter %d, %d %%: %.3f\n", how, percent[t], recall);
            CHECK(recall >= 0.9);
            CHECK(compare(&p, 2, 50, 0, &b, &seed) == 1);
            bitmap_clear(&b);
        }
    pair_free(&p);
}

/* Rows of the delta come through the same pool: with exact codes none of the nearest is lost,
 * whatever the filter; and a stream hands out each once. */
static void test_delta(void) {
    static const char *const codes[] = {"none", "int8", "float16", "bit"};
    static rows a, b;
    seed_t seed = 73;
    for (int c = 0; c < 8; c++) {
        index_cfg cfg = {.dim = 24, .codes = codes[c / 2], .m = 8};
        cfg.ef_construction = 60;
        cfg.metric = (vec_metric)(c % 3);
        pair p = pair_new(cfg, 3900, &seed);
        CHECK(p.h->ops->link(p.h, 3000, NULL, NULL) == REC_OK);
        for (uint32_t i = 5; i < 3000; i += 70) pair_put(&p, i, &seed);
        check_ok(p.h);
        for (unsigned share = 100; share >= 6; share /= 2) {
            bitmap f;
            CHECK(bitmap_init(&f, 3900, share == 100, NULL) == REC_OK);
            for (uint32_t i = 0; i < 3900 && share < 100; i++)
                if (unit_rand(&seed) % 100 < share) bitmap_set(&f, i);
            double recall = compare(&p, 20, 10, 40, share < 100 ? &f : NULL, &seed);
            double least = c >= 6 ? 0 : cfg.metric == METRIC_IP ? 0.65 : 0.9;
            if (recall < least)
                fprintf(stderr, "delta, %s, %u %%: %.3f\n", cfg.codes, share, recall);
            CHECK(recall >= least);
            float x[24];
            index_query q;
            query_of(&p, &seed, &q, x, NULL);
            q.allowed = share < 100 ? &f : NULL;
            b.n = pull(p.f, &q, N_PULL, b.slot, b.d);
            q.ef = 30;
            a.n = pull(p.h, &q, N_PULL, a.slot, a.d);
            size_t n_late = 0, j = 0;
            for (size_t i = 0; i < a.n; i++) { /* each once: order is strict */
                while (j < b.n && b.slot[j] != a.slot[i]) j++;
                CHECK(j < b.n);
            }
            for (size_t i = 0; c < 2 && i < 30 && i < b.n; i++) {
                bool is_delta = b.slot[i] >= 3000, is_there = false;
                for (size_t k = 0; k < a.n; k++) is_there |= a.slot[k] == b.slot[i];
                n_late += is_delta && !is_there;
            }
            CHECK(n_late == 0);
            bitmap_clear(&f);
        }
        pair_free(&p);
    }
}

static bool does(const pair *p, index_query *q, const char *how, size_t n_pull) {
    index_search *s;
    uint32_t slot;
    float d;
    rec_status rc;
    CHECK(p->h->ops->search(p->h, q, &s, NULL) == REC_OK);
    for (size_t i = 0; i < n_pull && p->h->ops->next(s, &slot, &d, &rc, NULL);) i++;
    bool is_same = strcmp(p->h->ops->how(s), how) == 0;
    if (!is_same) fprintf(stderr, "how: %s, not %s\n", p->h->ops->how(s), how);
    p->h->ops->end(s);
    return is_same;
}

static void test_how(void) {
    seed_t seed = 79;
    index_cfg cfg = {.dim = 16, .codes = "int8", .m = 8, .ef_construction = 60};
    pair p = pair_new(cfg, 6000, &seed);
    CHECK(p.h->ops->link(p.h, 5900, NULL, NULL) == REC_OK);
    bitmap f;
    CHECK(bitmap_init(&f, 6000, false, NULL) == REC_OK);
    float x[16];
    index_query q;
    query_of(&p, &seed, &q, x, NULL);
    q.ef = 20;
    CHECK(does(&p, &q, "graph", 10) && does(&p, &q, "graph, then exact scan", 6000));
    q.k = 5000;
    CHECK(does(&p, &q, "exact scan", 10));
    q.k = 10;
    q.allowed = &f;
    CHECK(does(&p, &q, "exact scan", 10));
    for (uint32_t i = 0; i < 6000; i += 4) bitmap_set(&f, i);
    CHECK(does(&p, &q, "graph, two hops", 10));
    for (uint32_t i = 0; i < 6000; i += 2) bitmap_set(&f, i);
    CHECK(does(&p, &q, "graph, filter in the walk", 10));
    bitmap_clear(&f);
    index_search *s;
    q.allowed = NULL;
    CHECK(p.f->ops->search(p.f, &q, &s, NULL) == REC_OK);
    CHECK(strcmp(p.f->ops->how(s), "scan") == 0);
    p.f->ops->end(s);
    pair_free(&p);
}

/* Wider than the sorted pool goes: two heaps. */
static void test_wide(void) {
    seed_t seed = 47;
    index_cfg cfg = {.dim = 24, .codes = "int8", .m = 8, .ef_construction = 40};
    pair p = pair_new(cfg, 10000, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    CHECK(compare(&p, 3, 500, 1024, NULL, &seed) >= 0.98);
    CHECK(compare(&p, 3, 500, 1025, NULL, &seed) >= 0.98);
    pair_free(&p);
}

/* The largest vectors, filled with the largest numbers: sums stay within 32 bits. */
static void test_largest(void) {
    enum { DIM = VEC_MAX_DIM, N = 70 };
    static const char *const codes[] = {"none", "float16", "int8", "bit"};
    static int8_t v[N][DIM];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < DIM; j++) v[i][j] = j < i * 200 ? -128 : 127;
    for (int c = 0; c < 4; c++)
        for (int metric = METRIC_COSINE; metric <= METRIC_L1; metric++) {
            if (!goes_together(VEC_I8, metric, c)) continue;
            index_cfg cfg = {.type = VEC_I8,
                             .metric = (vec_metric)metric,
                             .dim = DIM,
                             .codes = codes[c],
                             .m = 4,
                             .ef_construction = 20};
            rec_index *h;
            static float x[DIM];
            float d[3];
            uint32_t slot[3];
            CHECK(hnsw_ops.open(&h, &cfg, NULL) == REC_OK);
            for (uint32_t i = 0; i < N; i++)
                CHECK(h->ops->add(h, i, v[i], NULL) == REC_OK);
            CHECK(h->ops->link(h, SIZE_MAX, NULL, NULL) == REC_OK);
            check_ok(h);
            for (int j = 0; j < DIM; j++) x[j] = v[33][j];
            index_query q = {.vector = x, .ef = 8};
            CHECK(pull(h, &q, 3, slot, d) == 3);
            CHECK(metric == METRIC_IP || slot[0] == 33);
            h->ops->close(h);
        }
}

/* ---- changes ------------------------------------------------------------------------------------- */

static void test_changes(void) {
    seed_t seed = 17;
    index_cfg cfg = {.dim = 12, .codes = "int8", .m = 4, .ef_construction = 20};
    for (int round = 0; round < 4; round++) {
        cfg.metric = (vec_metric)(round % 3);
        pair p = pair_new(cfg, 400, NULL);
        for (int step = 0; step < 1500; step++) {
            uint32_t slot = (uint32_t)(unit_rand(&seed) % 400);
            unsigned op = (unsigned)(unit_rand(&seed) % 10);
            if (op < 5)
                pair_put(&p, slot, &seed);
            else if (op < 8)
                pair_drop(&p, slot);
            else
                CHECK(p.h->ops->link(p.h, unit_rand(&seed) % 20, NULL, NULL) == REC_OK);
            if (round == 3 && step % 100 == 0) /* the same vector many times over */
                for (uint32_t i = 0; i < 60; i++) {
                    CHECK(p.h->ops->add(p.h, i, p.x, NULL) == REC_OK);
                    CHECK(p.f->ops->add(p.f, i, p.x, NULL) == REC_OK);
                }
            if (step % 3 == 0 || step < 100) check_ok(p.h);
            if (step % 50 == 0) CHECK(compare(&p, 2, 20, 0, NULL, &seed) == 1);
        }
        for (uint32_t i = 0; i < 400; i++) { /* down to nothing, and up again */
            pair_drop(&p, i);
            check_ok(p.h);
        }
        for (uint32_t i = 0; i < 100; i++) pair_put(&p, i, &seed);
        CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
        check_ok(p.h);
        pair_free(&p);
    }
}

static void test_recall_after_deletes(void) {
    seed_t seed = 19;
    index_cfg cfg = {.dim = 32, .codes = "int8"};
    pair p = pair_new(cfg, 4000, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    seed_t ask = 1;
    double before = compare(&p, 60, 10, 20, NULL, &ask);
    for (uint32_t i = 0; i < 4000; i += 2) pair_drop(&p, i);
    check_ok(p.h);
    ask = 1;
    double half = compare(&p, 60, 10, 20, NULL, &ask);
    for (uint32_t i = 0; i < 4000; i += 2) pair_put(&p, i, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    check_ok(p.h);
    ask = 1;
    double after = compare(&p, 60, 10, 20, NULL, &ask);
    if (half < before - 0.02 || after < before - 0.02)
        fprintf(stderr, "recall %.3f, half %.3f, again %.3f\n", before, half, after);
    CHECK(half >= before - 0.02 && after >= before - 0.02);
    double recall;
    recall_args a = {.n_sample = 50, .k = 10, .ef = 40, .seed = 1};
    CHECK(index_recall(p.h, &cfg, &a, &recall, NULL, NULL) == REC_OK && recall > 0.95);
    pair_free(&p);
}

/* Thousands of equal vectors: no distance tells them apart, all must stay within reach. */
static void test_equal_vectors(void) {
    index_cfg cfg = {.dim = 4, .codes = "int8", .m = 4};
    rec_index *h;
    float x[4] = {1, 2, 3, 4};
    CHECK(hnsw_ops.open(&h, &cfg, NULL) == REC_OK);
    for (uint32_t i = 0; i < 3000; i++) CHECK(h->ops->add(h, i, x, NULL) == REC_OK);
    CHECK(h->ops->link(h, SIZE_MAX, NULL, NULL) == REC_OK);
    check_ok(h);
    for (uint32_t i = 0; i < 3000; i += 3) CHECK(h->ops->remove(h, i, NULL) == REC_OK);
    check_ok(h);
    static rows a;
    index_query q = {.vector = x, .ef = 10};
    a.n = pull(h, &q, 50, a.slot, a.d);
    CHECK(a.n == 50);
    h->ops->close(h);
}

/* Rows at one distance are never late, whatever their slots: half of the vectors are equal,
 * some slots were used again, so links do not follow the order of slots. */
static void test_ties(void) {
    static const char *const codes[] = {"none", "int8", "float16", "bit"};
    static rows a;
    seed_t seed = 83;
    for (int c = 0; c < 4; c++) {
        index_cfg cfg = {.dim = 16, .codes = codes[c], .m = 6, .ef_construction = 40};
        pair p = pair_new(cfg, N_EQUAL, &seed);
        for (uint32_t i = 1; i < N_EQUAL; i += 2)
            CHECK(p.h->ops->add(p.h, i, p.x, NULL) == REC_OK);
        CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
        for (uint32_t i = 1; i < 400; i += 2) {
            CHECK(p.h->ops->remove(p.h, i, NULL) == REC_OK);
            CHECK(p.h->ops->add(p.h, i, p.x, NULL) == REC_OK);
        }
        CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
        check_ok(p.h);
        for (uint32_t ef = 1; ef <= 256; ef *= 4) {
            index_query q = {.vector = p.x, .ef = ef};
            a.n = pull(p.h, &q, N_EQUAL, a.slot, a.d);
            check_order(&a);
            size_t n = 0;
            while (n < a.n && a.d[n] < 1e-5f) n++;
            CHECK(n == N_EQUAL / 2 + 1);
        }
        pair_free(&p);
    }
}

/* All rows equal but every n_apart-th: the others are found, and as near as they are. */
static void equal_round(const index_cfg *cfg, uint32_t n_apart) {
    static rows a, b;
    seed_t seed = 89;
    pair p = pair_new(*cfg, N_EQUAL, &seed);
    for (uint32_t i = 0; i < N_EQUAL; i++) {
        float *x = p.x + (size_t)i * cfg->dim;
        if (i % n_apart == n_apart - 1) continue;
        memcpy(x, p.x + cfg->dim, cfg->dim * sizeof *x);
        CHECK(p.h->ops->add(p.h, i, x, NULL) == REC_OK);
        CHECK(p.f->ops->add(p.f, i, x, NULL) == REC_OK);
    }
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    check_ok(p.h);
    uint32_t step = N_EQUAL / n_apart / 100 + 1; /* about a hundred questions */
    for (int turn = 0; turn < 2; turn++) {
        size_t n_found = 0, n_all = 0;
        for (uint32_t i = n_apart - 1; i < N_EQUAL; i += n_apart * step) {
            index_query q = {.vector = p.x + (size_t)i * cfg->dim, .ef = 64};
            a.n = pull(p.h, &q, 10, a.slot, a.d);
            b.n = pull(p.f, &q, 10, b.slot, b.d);
            check_order(&a);
            CHECK(a.n == b.n);
            for (size_t j = 0; j < a.n; j++) n_found += a.d[j] <= b.d[b.n - 1];
            n_all += a.n;
            CHECK(cfg->metric == METRIC_IP || a.d[0] == b.d[0]);
        }
        bool is_rough = strcmp(cfg->codes, "bit") == 0; /* no walls, but poor codes */
        double least = is_rough ? 0.7 : cfg->metric == METRIC_IP ? 0.93 : 0.98;
        if ((double)n_found < least * (double)n_all)
            fprintf(stderr, "%s, one in %u apart: %zu of %zu\n", cfg->codes, n_apart,
                    n_found, n_all);
        CHECK((double)n_found >= least * (double)n_all);
        index_query q = {.vector = p.x + cfg->dim, .ef = 64, .k = 700};
        a.n = pull(p.h, &q, 700, a.slot, a.d);
        CHECK(a.n == 700 && (cfg->metric == METRIC_IP || a.d[699] == a.d[0]));
        for (uint32_t i = 0; i < N_EQUAL && turn == 0; i += 7) /* the lowest, too */
            if (i % n_apart != n_apart - 1) pair_drop(&p, i);
        check_ok(p.h);
    }
    pair_free(&p);
}

static void test_wall(void) {
    static const char *const codes[] = {"none", "int8", "float16", "bit"};
    for (int c = 0; c < 4; c++)
        for (uint32_t n_apart = 3; n_apart < 1000; n_apart *= 9) {
            index_cfg cfg = {.dim = 48, .codes = codes[c], .m = 8};
            cfg.ef_construction = 40;
            cfg.metric = (vec_metric)(c % 3);
            if (c == 3) cfg.metric = METRIC_L2;
            equal_round(&cfg, n_apart);
        }
}

/* ---- bytes ------------------------------------------------------------------------------------------ */

static size_t n_chunks(size_t n) {
    return (n + INDEX_CHUNK - 1) / INDEX_CHUNK;
}

static void save_all(const rec_index *h, size_t n, bytes_writer *w) {
    for (uint32_t c = 0; c < n_chunks(n); c++) {
        w[c] = (bytes_writer){0};
        CHECK(h->ops->save(h, c, &w[c], NULL) == REC_OK);
    }
}

static bool same_graph(const rec_index *a, const rec_index *b, size_t n) {
    bool is_same = true;
    for (uint32_t c = 0; c < n_chunks(n); c++) {
        bytes_writer x = {0}, y = {0};
        a->ops->save(a, c, &x, NULL);
        b->ops->save(b, c, &y, NULL);
        is_same =
            is_same && x.n == y.n && (x.n == 0 || memcmp(x.data, y.data, x.n) == 0);
        bytes_clear(&x);
        bytes_clear(&y);
    }
    return is_same;
}

static rec_index *copy_rows(const pair *p) {
    rec_index *c;
    CHECK(hnsw_ops.open(&c, &p->cfg, NULL) == REC_OK);
    for (uint32_t i = 0; i < p->n_max; i++)
        if (p->h->ops->get(p->h, i))
            CHECK(c->ops->add(c, i, p->h->ops->get(p->h, i), NULL) == REC_OK);
    return c;
}

static rec_status load_all(rec_index *c, const bytes_writer *w, size_t n) {
    rec_status rc = REC_OK;
    for (uint32_t i = 0; i < n_chunks(n) && !rc; i++) {
        bytes_reader r = {.data = w[i].data, .n = w[i].n};
        rc = c->ops->load(c, i, &r, NULL);
    }
    rec_status ready = c->ops->ready(c, NULL, NULL);
    return rc ? rc : ready;
}

static void test_round_trip(void) {
    seed_t seed = 23;
    index_cfg cfg = {.dim = 10, .codes = "int8", .m = 4, .ef_construction = 30};
    pair p = pair_new(cfg, 700, &seed);
    CHECK(p.h->ops->link(p.h, 650, NULL, NULL) == REC_OK);
    for (uint32_t i = 0; i < 64; i++) pair_drop(&p, 128 + i); /* a chunk without rows */
    bytes_writer w[11];
    save_all(p.h, 700, w);
    CHECK(w[2].n == 0);
    rec_index *c = copy_rows(&p);
    CHECK(load_all(c, w, 700) == REC_OK);
    check_ok(c);
    CHECK(same_graph(p.h, c, 700));
    CHECK(c->ops->next_dirty(c, 0) == UINT32_MAX);
    /* The copy follows chunk by chunk: only what is dirty is written and read. */
    for (uint32_t i = 0; i < 11; i++) p.h->ops->set_dirty(p.h, i, false);
    for (int step = 0; step < 60; step++) {
        uint32_t slot = (uint32_t)(unit_rand(&seed) % 700);
        bool is_add = unit_rand(&seed) % 3 != 0;
        if (is_add)
            pair_put(&p, slot, &seed);
        else
            pair_drop(&p, slot);
        if (step % 2) CHECK(p.h->ops->link(p.h, 5, NULL, NULL) == REC_OK);
        for (uint32_t k = 0; (k = p.h->ops->next_dirty(p.h, k)) != UINT32_MAX; k++) {
            bytes_reader none = {0};
            CHECK(c->ops->load(c, k, &none, NULL) == REC_OK);
        }
        if (is_add)
            CHECK(c->ops->add(c, slot, p.h->ops->get(p.h, slot), NULL) == REC_OK);
        else
            CHECK(c->ops->remove(c, slot, NULL) == REC_OK);
        for (uint32_t k = 0; (k = p.h->ops->next_dirty(p.h, k)) != UINT32_MAX; k++) {
            bytes_writer one = {0};
            CHECK(p.h->ops->save(p.h, k, &one, NULL) == REC_OK);
            bytes_reader r = {.data = one.data, .n = one.n};
            CHECK(c->ops->load(c, k, &r, NULL) == REC_OK);
            p.h->ops->set_dirty(p.h, k, false);
            bytes_clear(&one);
        }
        CHECK(c->ops->ready(c, NULL, NULL) == REC_OK);
        check_ok(c);
        CHECK(same_graph(p.h, c, 700));
    }
    for (int i = 0; i < 11; i++) bytes_clear(&w[i]);
    c->ops->close(c);
    pair_free(&p);
}

/* Any damaged byte is refused, and everything is still answered. With a good checksum over bad
 * numbers nothing may break either. */
static void test_hostile_bytes(void) {
    seed_t seed = 29;
    index_cfg cfg = {
        .dim = 6, .metric = METRIC_L2, .codes = "int8", .m = 4, .ef_construction = 20};
    pair p = pair_new(cfg, 150, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    bytes_writer w[3];
    save_all(p.h, 150, w);
    rec_index *c = copy_rows(&p), *real = p.h;
    for (int round = 0; round < 6000; round++) {
        size_t chunk = unit_rand(&seed) % 3, at = unit_rand(&seed) % w[chunk].n;
        size_t n = w[chunk].n, n_old = n;
        uint8_t old = w[chunk].data[at], hash[8];
        memcpy(hash, w[chunk].data + n - 8, 8);
        w[chunk].data[at] = round % 3 == 0   ? 0
                            : round % 3 == 1 ? 0xff
                                             : (uint8_t)(old + 1);
        if (round % 7 == 0) n = at;
        bool is_signed = round % 2 && at < w[chunk].n - 8 && n == n_old;
        if (is_signed) {
            uint64_t key = rec_mix(cfg.seed ^ ((uint64_t)chunk << 16 | 4));
            uint64_t x = rec_hash(w[chunk].data, n - 8, key);
            for (int i = 0; i < 8; i++)
                w[chunk].data[n - 8 + (size_t)i] = (uint8_t)(x >> 8 * i);
        }
        bool is_changed = w[chunk].data[at] != old || n != n_old;
        w[chunk].n = n;
        rec_status rc = load_all(c, w, 150);
        if (is_changed && !is_signed && n > 0) CHECK(rc == REC_CORRUPT);
        CHECK(rc == REC_OK || rc == REC_CORRUPT);
        if (rc == REC_OK) check_ok(c);
        p.h = c;
        CHECK(compare(&p, 1, 10, 0, NULL, &seed) == 1);
        (void)compare(&p, 1, 10, 5, NULL, &seed);
        if (round % 50 == 0) {
            CHECK(c->ops->remove(c, 7, NULL) == REC_OK);
            CHECK(c->ops->add(c, 7, real->ops->get(real, 7), NULL) == REC_OK);
            CHECK(c->ops->link(c, SIZE_MAX, NULL, NULL) == REC_OK);
            check_ok(c);
        }
        w[chunk].n = n_old;
        w[chunk].data[at] = old;
        memcpy(w[chunk].data + n_old - 8, hash, 8);
    }
    for (int i = 0; i < 3; i++) bytes_clear(&w[i]);
    c->ops->close(c);
    p.h = real;
    pair_free(&p);
}

/* ---- rows that changed without the graph ---------------------------------------------------- */

static rec_index *copy_flat(const pair *p) { /* the rows as they are now */
    rec_index *c;
    CHECK(hnsw_ops.open(&c, &p->cfg, NULL) == REC_OK);
    for (uint32_t i = 0; i < p->n_max; i++)
        if (p->f->ops->get(p->f, i))
            CHECK(c->ops->add(c, i, p->f->ops->get(p->f, i), NULL) == REC_OK);
    return c;
}

/* Changes rows of the flat index only, as a writer without a graph does: of 100 rows n_gone
 * are deleted and n_new replaced; none of it from `keep` on. */
static void change_rows(pair *p, unsigned n_gone, unsigned n_new, size_t keep,
                        seed_t *seed) {
    uint8_t stored[4096];
    for (uint32_t i = 0; i < p->n_max && i < keep; i++) {
        unsigned x = (unsigned)(unit_rand(seed) % 100);
        if (x < n_gone) CHECK(p->f->ops->remove(p->f, i, NULL) == REC_OK);
        if (x < n_gone || x >= n_gone + n_new) continue;
        random_vector(&p->cfg, seed, p->x + i * p->cfg.dim);
        index_encode(p->cfg.type, p->x + i * p->cfg.dim, p->cfg.dim, stored, NULL);
        CHECK(p->f->ops->add(p->f, i, stored, NULL) == REC_OK);
    }
}

/* A graph of all rows is stored, rows change, a new reader loads both. */
static void stale_round(const index_cfg *cfg, size_t n, unsigned n_gone, unsigned n_new,
                        bool want_rebuild) {
    enum { N_CHUNK = 64 };
    static bytes_writer w[N_CHUNK];
    seed_t seed = 53 + n_gone, ask = 3;
    pair p = pair_new(*cfg, n, &seed);
    rec_index *old = p.h;
    CHECK(old->ops->link(old, n - 90, NULL, NULL) == REC_OK);
    save_all(old, n, w);
    change_rows(&p, n_gone, n_new, n, &seed);
    p.h = copy_flat(&p);
    CHECK(load_all(p.h, w, n) == REC_OK);
    check_ok(p.h);
    index_stats a, b;
    p.h->ops->stats(p.h, &a);
    p.f->ops->stats(p.f, &b);
    CHECK(a.n_rows == b.n_rows);
    CHECK((a.n_delta == a.n_rows) == want_rebuild);
    CHECK(compare(&p, 5, 30, 0, NULL, &ask) == 1); /* exact */
    double recall = compare(&p, 40, 10, 24, NULL, &ask);
    rec_index *fresh = copy_flat(&p), *mine = p.h;
    CHECK(fresh->ops->link(fresh, SIZE_MAX, NULL, NULL) == REC_OK);
    p.h = fresh;
    ask = 3;
    (void)compare(&p, 5, 30, 0, NULL, &ask);
    double of_fresh = compare(&p, 40, 10, 24, NULL, &ask);
    if (recall < of_fresh - 0.02)
        fprintf(stderr, "%u gone, %u replaced: recall %.3f, fresh %.3f\n", n_gone,
                n_new, recall, of_fresh);
    CHECK(recall >= of_fresh - 0.02);
    for (uint32_t c = 0; c < n_chunks(n);
         c++) { /* what is dirty is saved: loads clean */
        if (n_gone + n_new == 0) CHECK(mine->ops->next_dirty(mine, 0) == UINT32_MAX);
        if (mine->ops->next_dirty(mine, c) != c) continue;
        w[c].n = 0;
        CHECK(mine->ops->save(mine, c, &w[c], NULL) == REC_OK);
        mine->ops->set_dirty(mine, c, false);
    }
    CHECK(mine->ops->next_dirty(mine, 0) == UINT32_MAX);
    rec_index *again = copy_flat(&p);
    CHECK(load_all(again, w, n) == REC_OK);
    CHECK(again->ops->next_dirty(again, 0) == UINT32_MAX);
    CHECK(same_graph(mine, again, n));
    check_ok(again);
    again->ops->close(again);
    mine->ops->close(mine);
    old->ops->close(old);
    for (size_t c = 0; c < N_CHUNK; c++) bytes_clear(&w[c]);
    pair_free(&p);
}

static void test_stale(void) {
    static const char *const codes[] = {"none", "int8", "float16", "bit"};
    for (int c = 0; c < 4; c++) {
        index_cfg cfg = {.dim = 16, .codes = codes[c], .m = 6, .ef_construction = 40};
        cfg.metric = (vec_metric)(c % 3);
        stale_round(&cfg, 2000, 0, 0, false);
        stale_round(&cfg, 2000, 5, 5, false);
        stale_round(&cfg, 2000, 30, 10, false);
    }
    index_cfg cfg = {.dim = 16, .codes = "int8", .m = 6, .ef_construction = 40};
    stale_round(&cfg, 2000, 0, 40, false);
    stale_round(&cfg, 4000, 97, 0, true);
    stale_round(&cfg, 4000, 0, 97, true);
    stale_round(&cfg, 600, 97, 0, false); /* few: one by one */
}

/* Rows at the end are gone, so the stored chunks reach beyond all slots; the entry, too. */
static void test_stale_ends(void) {
    static const size_t keeps[] = {0, 1, 100, 2900, 9500};
    enum { N = 10000, DIM = 4 };
    static bytes_writer w[N / 64 + 1];
    seed_t seed = 59;
    index_cfg cfg = {.dim = DIM, .m = 4, .ef_construction = 12, .metric = METRIC_L2};
    pair p = pair_new(cfg, N, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    save_all(p.h, N, w);
    for (size_t k = 0; k < sizeof keeps / sizeof *keeps; k++) {
        rec_index *c;
        CHECK(hnsw_ops.open(&c, &cfg, NULL) == REC_OK);
        for (uint32_t i = 0; i < keeps[k]; i++)
            CHECK(c->ops->add(c, i, p.h->ops->get(p.h, i), NULL) == REC_OK);
        CHECK(load_all(c, w, N) == REC_OK);
        check_ok(c);
        index_stats st;
        c->ops->stats(c, &st);
        CHECK(st.n_rows == keeps[k] && (st.n_delta == 0) == (keeps[k] % 9500 == 0));
        size_t n_dirty = 0;
        for (uint32_t i = 0; (i = c->ops->next_dirty(c, i)) != UINT32_MAX; i++) {
            bytes_writer one = {0};
            CHECK(c->ops->save(c, i, &one, NULL) == REC_OK);
            CHECK(keeps[k] == 9500 || one.n == 0);
            bytes_clear(&one);
            n_dirty++;
        }
        CHECK(keeps[k] == 9500 || n_dirty == n_chunks(N));
        CHECK(c->ops->add(c, 9999, p.x, NULL) == REC_OK);
        CHECK(c->ops->link(c, SIZE_MAX, NULL, NULL) == REC_OK);
        check_ok(c);
        c->ops->close(c);
    }
    for (size_t c = 0; c < n_chunks(N); c++) bytes_clear(&w[c]);
    pair_free(&p);
}

/* One row after the other goes, the entry among them, and the reader that has the graph in
 * memory follows by chunks; a link that leads nowhere is still damage. */
static void test_stale_follow(void) {
    enum { N = 300 };
    seed_t seed = 61;
    index_cfg cfg = {.dim = 8, .codes = "int8", .m = 4, .ef_construction = 20};
    pair p = pair_new(cfg, N, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    bytes_writer w[N / 64 + 1];
    save_all(p.h, N, w);
    rec_index *c = p.h;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t slot = i * 7 % N, chunk = slot / 64;
        bytes_reader none = {0}, r = {.data = w[chunk].data, .n = w[chunk].n};
        CHECK(p.f->ops->remove(p.f, slot, NULL) == REC_OK);
        CHECK(c->ops->load(c, chunk, &none, NULL) == REC_OK);
        CHECK(c->ops->remove(c, slot, NULL) == REC_OK);
        for (uint32_t j = chunk * 64; j < N && j < chunk * 64 + 64; j++)
            if (p.f->ops->get(p.f, j))
                CHECK(c->ops->add(c, j, p.f->ops->get(p.f, j), NULL) == REC_OK);
        CHECK(c->ops->load(c, chunk, &r, NULL) == REC_OK);
        CHECK(compare(&p, 1, 10, 4, NULL, &seed) == 1); /* exact before ready */
        CHECK(c->ops->ready(c, NULL, NULL) == REC_OK);
        check_ok(c);
        (void)compare(&p, 2, 10, 4, NULL, &seed);
        for (uint32_t k = 0; (k = c->ops->next_dirty(c, k)) != UINT32_MAX; k++) {
            w[k].n = 0;
            CHECK(c->ops->save(c, k, &w[k], NULL) == REC_OK);
            c->ops->set_dirty(c, k, false);
        }
    }
    for (uint32_t i = 0; i <= N / 64; i++) {
        CHECK(w[i].n == 0);
        bytes_clear(&w[i]);
    }
    pair_free(&p);
}

/* Chunk numbers that no table has: refused, or noted without memory for their slots. */
static void test_far_chunks(void) {
    seed_t seed = 67;
    index_cfg cfg = {.dim = 4, .m = 4, .ef_construction = 12};
    static const uint32_t far[] = {1000, (1u << 25) - 1, 1u << 25, UINT32_MAX};
    pair p = pair_new(cfg, 200, &seed);
    for (int i = 0; i < 4; i++) {
        CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
        uint8_t junk[40] = {2, 4, 0, 0, 1};
        /* a node of level 0 that is its own parent and has no links */
        uint32_t slot = far[i] * 64;
        for (int j = 0; j < 4; j++) junk[16 + j] = (uint8_t)(slot >> 8 * j);
        uint64_t key = rec_mix(cfg.seed ^ ((uint64_t)far[i] << 16 | 4));
        uint64_t sum = rec_hash(junk, 21, key);
        for (int j = 0; j < 8; j++) junk[21 + j] = (uint8_t)(sum >> 8 * j);
        bytes_reader r = {.data = junk, .n = 29}, none = {0};
        rec_status rc = p.h->ops->load(p.h, far[i], &r, NULL);
        CHECK(i < 2 ? rc == REC_OK || rc == REC_CORRUPT : rc == REC_CORRUPT);
        CHECK(p.h->ops->save(p.h, far[i], &(bytes_writer){0}, NULL) == REC_OK);
        if (i < 2) CHECK(p.h->ops->next_dirty(p.h, 5) == far[i]);
        if (i < 2) CHECK(p.h->ops->load(p.h, far[i], &none, NULL) == REC_OK);
        rc = p.h->ops->ready(p.h, NULL, NULL);
        CHECK(rc == REC_OK);
        check_ok(p.h);
        CHECK(compare(&p, 3, 10, 0, NULL, &seed) == 1);
    }
    index_stats st;
    p.h->ops->stats(p.h, &st);
    CHECK(st.nbyte < (size_t)64 << 20);
    pair_free(&p);
}

static void test_forget(void) {
    seed_t seed = 71;
    index_cfg cfg = {.dim = 8, .codes = "int8", .m = 4, .ef_construction = 20};
    pair p = pair_new(cfg, 500, &seed);
    CHECK(p.h->ops->link(p.h, 320, NULL, NULL) == REC_OK);
    for (uint32_t i = 0; i < n_chunks(500); i++) p.h->ops->set_dirty(p.h, i, false);
    /* What a slot holds already changes nothing. */
    for (uint32_t i = 0; i < 500; i++)
        CHECK(p.h->ops->add(p.h, i, p.x + i * 8, NULL) == REC_OK);
    index_stats st;
    p.h->ops->stats(p.h, &st);
    CHECK(st.n_delta == 180 && p.h->ops->next_dirty(p.h, 0) == UINT32_MAX);
    p.h->ops->forget(p.h);
    check_ok(p.h);
    p.h->ops->stats(p.h, &st);
    CHECK(st.n_delta == 500 && st.n_levels == 0);
    for (uint32_t i = 0; i < 5; i++) CHECK(p.h->ops->next_dirty(p.h, i) == i);
    CHECK(p.h->ops->next_dirty(p.h, 5) == UINT32_MAX);
    CHECK(compare(&p, 3, 10, 5, NULL, &seed) == 1);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    check_ok(p.h);
    pair_free(&p);
}

/* One damaged chunk catches up while the others stay: walks must not trust their links. */
static void test_partial_load(void) {
    seed_t seed = 31;
    index_cfg cfg = {.dim = 6, .metric = METRIC_L2, .m = 4, .ef_construction = 20};
    pair p = pair_new(cfg, 600, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    bytes_reader none = {0};
    for (uint32_t c = 1; c < 4; c++)
        CHECK(p.h->ops->load(p.h, c, &none, NULL) == REC_OK);
    CHECK(compare(&p, 5, 10, 0, NULL, &seed) == 1);
    rec_status rc = p.h->ops->ready(p.h, NULL, NULL);
    CHECK(rc == REC_OK || rc == REC_CORRUPT);
    (void)compare(&p, 20, 10, 5, NULL, &seed);
    CHECK(compare(&p, 5, 10, 0, NULL, &seed) == 1);
    pair_free(&p);
}

/* ---- threads, interrupts, memory ------------------------------------------------------------------ */

static void test_threads(void) {
    seed_t seed = 37;
    index_cfg cfg = {
        .dim = 20, .codes = "int8", .m = 8, .ef_construction = 50, .seed = 9};
    pair p = pair_new(cfg, 3000, &seed);
    rec_index *by[3];
    for (int t = 0; t < 3; t++) {
        by[t] = copy_rows(&p);
        rec_run run = {.n_threads = t + 1};
        CHECK(by[t]->ops->link(by[t], SIZE_MAX, &run, NULL) == REC_OK);
        check_ok(by[t]);
    }
    CHECK(same_graph(by[0], by[1], 3000) && same_graph(by[0], by[2], 3000));
    /* Again with the reverse lists on. */
    for (int t = 0; t < 3; t++) {
        rec_run run = {.n_threads = t + 1};
        for (uint32_t i = 0; i < 3000; i += 9)
            CHECK(by[t]->ops->remove(by[t], i, NULL) == REC_OK);
        for (uint32_t i = 0; i < 3000; i += 9)
            CHECK(by[t]->ops->add(by[t], i, p.h->ops->get(p.h, i), NULL) == REC_OK);
        CHECK(by[t]->ops->link(by[t], SIZE_MAX, &run, NULL) == REC_OK);
        check_ok(by[t]);
    }
    CHECK(same_graph(by[0], by[1], 3000) && same_graph(by[0], by[2], 3000));
    for (int t = 0; t < 3; t++) by[t]->ops->close(by[t]);
    pair_free(&p);
}

static bool stop_after(void *ctx) {
    return --*(int *)ctx < 0;
}

static void test_interrupt(void) {
    seed_t seed = 41;
    index_cfg cfg = {.dim = 64, .codes = "int8"};
    pair p = pair_new(cfg, 3500, &seed);
    int left = 20;
    rec_run run = {.n_threads = 2, .interrupted = stop_after, .ctx = &left};
    CHECK(p.h->ops->link(p.h, SIZE_MAX, &run, NULL) == REC_INTR);
    check_ok(p.h);
    index_stats st;
    p.h->ops->stats(p.h, &st);
    CHECK(st.n_delta > 0 && st.n_rows == 3500);
    CHECK(compare(&p, 3, 10, 0, NULL, &seed) == 1);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    check_ok(p.h);
    pair_free(&p);
}

/* Taking out stale nodes can be stopped; answers are exact until it has been finished. */
static void test_interrupt_ready(void) {
    enum { N = 1500 };
    static bytes_writer w[N / 64 + 1];
    seed_t seed = 97;
    index_cfg cfg = {.dim = 16, .codes = "int8", .m = 6, .ef_construction = 20};
    pair p = pair_new(cfg, N, &seed);
    CHECK(p.h->ops->link(p.h, SIZE_MAX, NULL, NULL) == REC_OK);
    save_all(p.h, N, w);
    p.h->ops->close(p.h);
    for (uint32_t i = 0; i < N; i += 6) CHECK(p.f->ops->remove(p.f, i, NULL) == REC_OK);
    p.h = copy_flat(&p);
    for (uint32_t c = 0; c < n_chunks(N); c++) {
        bytes_reader r = {.data = w[c].data, .n = w[c].n};
        CHECK(p.h->ops->load(p.h, c, &r, NULL) == REC_OK);
        bytes_clear(&w[c]);
    }
    for (int turn = 0; turn < 2; turn++) { /* a run asks only every few milliseconds */
        int left = turn;
        rec_run run = {.n_threads = 1, .interrupted = stop_after, .ctx = &left};
        rec_status rc = p.h->ops->ready(p.h, &run, NULL);
        CHECK(rc == REC_INTR || (rc == REC_OK && turn > 0)); /* a fast machine */
        if (rc == REC_OK) break;
        CHECK(compare(&p, 4, 10, 4, NULL, &seed) == 1);
        CHECK(p.h->ops->link(p.h, SIZE_MAX, &run, NULL) == REC_INTR);
    }
    CHECK(p.h->ops->ready(p.h, NULL, NULL) == REC_OK);
    check_ok(p.h);
    CHECK(compare(&p, 20, 10, 40, NULL, &seed) > 0.9);
    pair_free(&p);
}

static rec_status whole_life(const float *x, size_t n, uint32_t dim) {
    index_cfg cfg = {.dim = dim, .codes = "int8", .m = 4, .ef_construction = 16};
    rec_index *h = NULL, *c = NULL;
    index_search *s = NULL;
    bytes_writer w = {0};
    rec_err err = {0};
    rec_status rc = hnsw_ops.open(&h, &cfg, &err);
    for (uint32_t i = 0; !rc && i < n; i++) rc = h->ops->add(h, i, x + i * dim, &err);
    if (!rc) rc = h->ops->link(h, n - 3, NULL, &err);
    for (uint32_t i = 0; !rc && i < n; i += 5) rc = h->ops->remove(h, i, &err);
    if (!rc) rc = h->ops->link(h, SIZE_MAX, NULL, &err);
    index_query q = {.vector = x, .ef = 3};
    if (!rc) rc = h->ops->search(h, &q, &s, &err);
    uint32_t slot;
    float d;
    while (!rc && h->ops->next(s, &slot, &d, &rc, &err)) {
    }
    if (!rc) rc = hnsw_ops.open(&c, &cfg, &err);
    for (uint32_t i = 0; !rc && i < n; i++)
        if (h->ops->get(h, i) && i % 9 != 1) /* gone, replaced or as it was saved */
            rc = c->ops->add(c, i, x + (i % 9 == 2 ? i - 1 : i) * dim, &err);
    for (uint32_t k = 0; !rc && k < n_chunks(n); k++) {
        w.n = 0;
        rc = h->ops->save(h, k, &w, &err);
        bytes_reader r = {.data = w.data, .n = w.n};
        if (!rc) rc = c->ops->load(c, k, &r, &err);
    }
    if (!rc) {
        rc = c->ops->ready(c, NULL, &err);
        if (rc) CHECK(c->ops->ready(c, NULL, NULL) == REC_NOMEM);
    }
    if (!rc) rc = c->ops->check(c, &err);
    if (h) h->ops->end(s);
    if (h) h->ops->close(h);
    if (c) c->ops->close(c);
    bytes_clear(&w);
    return rc;
}

static void test_memory(void) {
    seed_t seed = 43;
    enum { N = 130, DIM = 5 };
    float x[N * DIM];
    index_cfg cfg = {.dim = DIM};
    for (int i = 0; i < N; i++) random_vector(&cfg, &seed, x + i * DIM);
    ALLOC_LOOP(rc = whole_life(x, N, DIM));
}

static void test_options(void) {
    rec_index *h;
    rec_err err;
    index_cfg cfg = {.dim = 8, .m = 3};
    CHECK(hnsw_ops.open(&h, &cfg, &err) == REC_RANGE && h == NULL);
    cfg.m = 65;
    CHECK(hnsw_ops.open(&h, &cfg, &err) == REC_RANGE);
    cfg.m = 64;
    cfg.ef_construction = 7;
    CHECK(hnsw_ops.open(&h, &cfg, &err) == REC_RANGE);
    cfg.ef_construction = 4001;
    CHECK(hnsw_ops.open(&h, &cfg, &err) == REC_RANGE);
    cfg.ef_construction = 0;
    cfg.codes = "pq";
    CHECK(hnsw_ops.open(&h, &cfg, &err) == REC_RANGE);
    CHECK(strcmp(err.msg, "codes=pq is not known; allowed: none, float16, int8, bit") ==
          0);
    cfg.codes = NULL;
    cfg.ef = 2000000;
    CHECK(hnsw_ops.open(&h, &cfg, &err) == REC_RANGE);
    CHECK(strcmp(err.msg, "ef=2000000 is not allowed, use 1 to 1000000") == 0);
    cfg.ef = 0;
    CHECK(strcmp(hnsw_ops.options[4], "seed") == 0 && !hnsw_ops.options[5]);
    CHECK(strcmp(flat_ops.options[0], "codes") == 0 && !flat_ops.options[1]);
    cfg.codes = "bit";
    cfg.metric = METRIC_HAMMING;
    CHECK(hnsw_ops.open(&h, &cfg, &err) == REC_RANGE); /* not of float32 vectors */
    cfg.metric = METRIC_COSINE;
    CHECK(hnsw_ops.open(&h, &cfg, &err) == REC_OK);
    float x[8] = {0}, d;
    uint32_t slot;
    index_query q = {.vector = x, .k = 3};
    CHECK(pull(h, &q, 3, &slot, &d) == 0);
    CHECK(h->ops->link(h, SIZE_MAX, NULL, NULL) == REC_OK);
    CHECK(h->ops->add(h, 5, x, NULL) == REC_OK);
    CHECK(h->ops->link(h, SIZE_MAX, NULL, NULL) == REC_OK);
    CHECK(pull(h, &q, 1, &slot, &d) == 1 && slot == 5 && d == 1);
    check_ok(h);
    h->ops->close(h);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"options", test_options},
        {"kinds", test_kinds},
        {"stream", test_stream},
        {"limits", test_limits},
        {"open", test_open_searches},
        {"filters", test_filters},
        {"delta", test_delta},
        {"how", test_how},
        {"wide", test_wide},
        {"largest", test_largest},
        {"changes", test_changes},
        {"deletes", test_recall_after_deletes},
        {"equal", test_equal_vectors},
        {"ties", test_ties},
        {"wall", test_wall},
        {"round", test_round_trip},
        {"hostile", test_hostile_bytes},
        {"partial", test_partial_load},
        {"stale", test_stale},
        {"ends", test_stale_ends},
        {"follow", test_stale_follow},
        {"far", test_far_chunks},
        {"forget", test_forget},
        {"threads", test_threads},
        {"interrupt", test_interrupt},
        {"stop", test_interrupt_ready},
        {"memory", test_memory},
    };
    UNIT_BEGIN("hnsw");
    alloc_install();
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (argc < 2 || strcmp(argv[1], tests[i].name) == 0) {
            double t = rec_seconds();
            tests[i].run();
            if (argc > 2)
                fprintf(stderr, "%s: %.2f s\n", tests[i].name, rec_seconds() - t);
        }
    CHECK(unit_live == 0);
    return UNIT_END();
}
