/* flat: against brute force for every type and metric, with holes, filters, k and streams. */
#include "unit.h"

#include "../../ext/index/index.h"
#include "alloc.h"

typedef struct world {
    index_cfg cfg;
    rec_index *ix;
    size_t n, nbyte;
    uint8_t *bytes; /* n * nbyte */
    bool *live;
    float *query;
    uint8_t *code; /* the query in stored form */
} world;

static float element(vec_type t, unsigned long long *seed) {
    uint32_t r = (uint32_t)(unit_rand(seed) >> 20);
    if (t == VEC_BIT) return (float)(r & 1);
    if (t == VEC_I8) return (float)(r % 17) - 8; /* many ties */
    return (float)(r % 9) - 4;
}

static bool world_init(world *w, vec_type t, vec_metric m, uint32_t dim, size_t n,
                       unsigned long long seed) {
    rec_err err = {0};
    *w = (world){
        .cfg = {.type = t, .metric = m, .dim = dim, .kind = "flat", .codes = "none"}};
    w->n = n;
    w->nbyte = vec_nbyte(t, dim);
    w->bytes = rec_zeros(n, w->nbyte);
    w->live = rec_zeros(n, sizeof(bool));
    w->query = rec_zeros(dim, sizeof(float));
    w->code = rec_zeros(1, w->nbyte);
    if (flat_ops.open(&w->ix, &w->cfg, &err) != REC_OK) return false;
    float *x = rec_zeros(dim, sizeof(float));
    for (size_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < dim; j++) x[j] = element(t, &seed);
        CHECK(index_encode(t, x, dim, w->bytes + i * w->nbyte, &err) == REC_OK);
        w->live[i] = unit_rand(&seed) % 5 != 0;
        if (w->live[i] || i % 3 == 0)
            CHECK(flat_ops.add(w->ix, (uint32_t)i, w->bytes + i * w->nbyte, &err) ==
                  REC_OK);
        if (!w->live[i]) CHECK(flat_ops.remove(w->ix, (uint32_t)i, &err) == REC_OK);
    }
    for (uint32_t j = 0; j < dim; j++) w->query[j] = element(t, &seed);
    CHECK(index_encode(t, w->query, dim, w->code, &err) == REC_OK);
    rec_free(x);
    return true;
}

static void world_clear(world *w) {
    if (w->ix) flat_ops.close(w->ix);
    rec_free(w->bytes);
    rec_free(w->live);
    rec_free(w->query);
    rec_free(w->code);
}

/* Pull everything: distances are right, ascending, ties by slot, nobody twice. Returns how many. */
static size_t pull_all(const world *w, const bitmap *allowed, size_t k,
                       uint32_t *slots) {
    rec_err err = {0};
    index_query q = {.vector = w->query, .bits = w->code, .allowed = allowed, .k = k};
    index_search *s = NULL;
    CHECK(flat_ops.search(w->ix, &q, &s, &err) == REC_OK);
    uint32_t slot = 0;
    float d = 0, before = -INFINITY;
    size_t n = 0;
    rec_status st = REC_OK;
    while (s && flat_ops.next(s, &slot, &d, &st, &err)) {
        CHECK(slot < w->n && w->live[slot] && (!allowed || bitmap_has(allowed, slot)));
        double want = index_distance(w->cfg.metric, w->cfg.type,
                                     w->bytes + slot * w->nbyte, w->code, w->cfg.dim);
        CHECK_NEAR((double)d, want, 2e-6 * (1 + fabs(want)));
        CHECK(d > before || (d == before && slot > slots[n - 1]));
        before = d;
        slots[n++] = slot;
    }
    CHECK(st == REC_OK);
    flat_ops.end(s);
    return n;
}

static void test_world(vec_type t, vec_metric m, uint32_t dim, size_t n) {
    world w;
    rec_err err = {0};
    index_stats stats;
    if (!world_init(&w, t, m, dim, n, 77 + dim)) return;
    uint32_t *all = rec_zeros(n + 1, 4), *some = rec_zeros(n + 1, 4);
    size_t n_live = 0;
    for (size_t i = 0; i < n; i++) {
        n_live += w.live[i];
        const void *v = flat_ops.get(w.ix, (uint32_t)i);
        CHECK(w.live[i] ? v && memcmp(v, w.bytes + i * w.nbyte, w.nbyte) == 0
                        : v == NULL);
    }
    CHECK(flat_ops.get(w.ix, 1u << 30) == NULL);
    flat_ops.stats(w.ix, &stats);
    CHECK(stats.n_rows == n_live && stats.nbyte >= n_live * w.nbyte);
    CHECK(flat_ops.check(w.ix, &err) == REC_OK);
    CHECK(pull_all(&w, NULL, 0, all) == n_live);
    size_t ks[] = {1, 2, 7, n_live, n_live + 50};
    for (int i = 0; i < 5; i++) { /* order does not depend on k */
        size_t want = ks[i] < n_live ? ks[i] : n_live;
        CHECK(pull_all(&w, NULL, ks[i], some) >= want &&
              memcmp(all, some, want * 4) == 0);
    }
    bitmap b = {0};
    CHECK(bitmap_init(&b, n > 10 ? n - 5 : n, false, &err) == REC_OK);
    for (size_t i = 0; i < b.n_bit; i += 3) bitmap_set(&b, i);
    size_t n_all = pull_all(&w, &b, 0, all);
    CHECK(pull_all(&w, &b, 4, some) >= (n_all < 4 ? n_all : 4));
    CHECK(memcmp(all, some, (n_all < 4 ? n_all : 4) * 4) == 0);
    bitmap_clear(&b);
    rec_free(all);
    rec_free(some);
    world_clear(&w);
}

static void test_refusals(void) {
    rec_err err = {0};
    rec_index *ix = NULL;
    index_cfg bad[] = {{.type = VEC_F32, .metric = METRIC_L2, .dim = 0},
                       {.type = VEC_F32, .metric = METRIC_L2, .dim = VEC_MAX_DIM + 1},
                       {.type = VEC_F32, .metric = METRIC_HAMMING, .dim = 8},
                       {.type = VEC_BIT, .metric = METRIC_L2, .dim = 8}};
    for (int i = 0; i < 4; i++)
        CHECK(flat_ops.open(&ix, &bad[i], &err) == REC_RANGE && ix == NULL);
    index_cfg cfg = {.type = VEC_I8, .metric = METRIC_L2, .dim = 2};
    float q[2] = {0.5f, 1};
    index_query query = {.vector = q};
    index_search *s = NULL;
    CHECK(flat_ops.open(&ix, &cfg, &err) == REC_OK);
    CHECK(flat_ops.search(ix, &query, &s, &err) == REC_RANGE && s == NULL);
    flat_ops.close(ix);
}

static bool always(void *ctx) {
    (void)ctx;
    return true;
}

static void test_interrupt(void) {
    world w;
    rec_err err = {0};
    if (!world_init(&w, VEC_F32, METRIC_L2, 8, 5000, 3)) return;
    for (size_t k = 0; k < 4; k += 3) {
        rec_run run = {.n_threads = 1, .interrupted = always};
        index_query q = {.vector = w.query, .k = k, .run = &run};
        index_search *s = NULL;
        CHECK(flat_ops.search(w.ix, &q, &s, &err) == REC_INTR && s == NULL);
    }
    world_clear(&w);
}

/* Every allocation fails in turn: a clean error, and nothing is left. */
static rec_status life(void) {
    rec_err err = {0};
    index_cfg cfg = {.type = VEC_I8, .metric = METRIC_COSINE, .dim = 3};
    rec_index *ix = NULL;
    index_search *s = NULL;
    int8_t v[3] = {1, 2, 3};
    float q[3] = {1, 2, 2};
    rec_status st = flat_ops.open(&ix, &cfg, &err);
    for (uint32_t i = 0; i < 200 && st == REC_OK; i++)
        st = flat_ops.add(ix, i, v, &err);
    for (size_t k = 0; k < 9 && st == REC_OK; k += 4) {
        index_query query = {.vector = q, .k = k};
        st = flat_ops.search(ix, &query, &s, &err);
        if (s) flat_ops.end(s);
    }
    if (ix) {
        CHECK(flat_ops.check(ix, &err) == REC_OK);
        flat_ops.close(ix);
    }
    return st;
}

int main(void) {
    UNIT_BEGIN("flat");
    for (int t = VEC_F32; t <= VEC_BIT; t++)
        for (int m = METRIC_COSINE; m <= METRIC_HAMMING; m++) {
            if ((m == METRIC_HAMMING) != (t == VEC_BIT)) continue;
            test_world((vec_type)t, (vec_metric)m, 1, 40);
            test_world((vec_type)t, (vec_metric)m, 7, 130);
            test_world((vec_type)t, (vec_metric)m, 33, 1000);
        }
    test_world(VEC_F32, METRIC_L2, 4096, 70); /* fewer than 64 rows in a chunk */
    test_world(VEC_F32, METRIC_COSINE, VEC_MAX_DIM, 9);
    test_world(VEC_F32, METRIC_L2, 3, 0);
    test_refusals();
    test_interrupt();
    alloc_install();
    ALLOC_LOOP(rc = life());
    return UNIT_END();
}
