/* Codes: keys against distances computed in double, for every kind, type and metric; the
 * largest and the smallest vectors; the same bytes from the same vector. */
#include "unit.h"

#include "../../ext/index/hnsw.h"
#include "alloc.h"

#define N 60

typedef unsigned long long seed_t;

static double truth(vec_metric m, const float *a, const float *b, uint32_t dim) {
    double dot = 0, aa = 0, bb = 0, l2 = 0, l1 = 0;
    for (uint32_t i = 0; i < dim; i++) {
        double d = (double)a[i] - b[i];
        dot += (double)a[i] * b[i], aa += (double)a[i] * a[i],
            bb += (double)b[i] * b[i];
        l2 += d * d, l1 += fabs(d);
    }
    switch (m) {
    case METRIC_COSINE: return -dot / sqrt(aa * bb);
    case METRIC_IP: return -dot;
    case METRIC_L2: return l2;
    default: return l1;
    }
}

static double correlation(const double *a, const double *b, size_t n) {
    double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) ma += a[i] / (double)n, mb += b[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        ab += (a[i] - ma) * (b[i] - mb), aa += (a[i] - ma) * (a[i] - ma),
            bb += (b[i] - mb) * (b[i] - mb);
    return ab / sqrt(aa * bb);
}

static void fill(float *x, uint32_t dim, vec_type t, seed_t *seed) {
    double length = 0.5 + unit_uniform(seed);
    for (uint32_t i = 0; i < dim; i++) {
        double v = length * (2 * unit_uniform(seed) - 1);
        x[i] = (float)(t == VEC_I8 ? floor(v * 80) : v);
    }
}

/* Keys of an outside query and of a node, against the truth. */
static void check_keys(vec_type type, vec_metric metric, const char *codes,
                       uint32_t dim, double least) {
    index_cfg cfg = {.type = type, .metric = metric, .dim = dim, .codes = codes};
    rec_index *base;
    seed_t seed = dim;
    static float x[N][1536];
    static uint8_t stored[N][4 * 1536];
    CHECK(hnsw_ops.open(&base, &cfg, NULL) == REC_OK);
    hnsw *ix = (hnsw *)base;
    for (uint32_t i = 0; i < N; i++) {
        fill(x[i], dim, type, &seed);
        index_encode(type, x[i], dim, stored[i], NULL);
        CHECK(base->ops->add(base, i, stored[i], NULL) == REC_OK);
    }
    quant_query q;
    CHECK(quant_query_init(&q, &ix->q, NULL) == REC_OK);
    for (int is_node = 0; is_node < 2; is_node++) {
        uint32_t slot[N];
        float key[N];
        double want[N], got[N];
        if (is_node)
            quant_from_node(&ix->q, &q, hnsw_code(ix, 0), &hnsw_node(ix, 0)->meta,
                            hnsw_vec(ix, 0));
        else
            quant_from_query(&ix->q, &q, x[0], stored[0]);
        for (uint32_t i = 0; i < N; i++)
            slot[i] = i, want[i] = truth(metric, x[0], x[i], dim);
        quant_keys(ix, &q, slot, N, key);
        for (uint32_t i = 0; i < N; i++) got[i] = key[i];
        double c = correlation(got, want, N);
        if (c < least)
            fprintf(stderr, "%s %s %s %u: %.4f\n", vec_type_name(type),
                    vec_metric_name(metric), codes, dim, c);
        CHECK(c >= least);
        float one[3]; /* a key does not depend on its neighbours in the batch */
        quant_keys(ix, &q, slot + 5, 3, one);
        CHECK(one[0] == key[5] && one[1] == key[6] && one[2] == key[7]);
    }
    CHECK(base->ops->check(base, NULL) == REC_OK);
    quant_query_clear(&q);
    base->ops->close(base);
}

static void test_keys(void) {
    static const uint32_t dims[] = {1, 3, 64, 100, 257, 1536};
    static const vec_type types[] = {VEC_F32, VEC_F16, VEC_I8};
    for (int d = 0; d < 6; d++)
        for (int t = 0; t < 3; t++)
            for (int m = METRIC_COSINE; m <= METRIC_L1; m++) {
                if (dims[d] == 1 && m == METRIC_COSINE) continue; /* only two values */
                check_keys(types[t], (vec_metric)m, "none", dims[d], 0.9999);
                if (types[t] == VEC_F32)
                    check_keys(types[t], (vec_metric)m, "float16", dims[d], 0.9999);
                if (m != METRIC_L1)
                    check_keys(types[t], (vec_metric)m, "int8", dims[d], 0.999);
                if (dims[d] >= 257)
                    check_keys(types[t], (vec_metric)m, "bit", dims[d], 0.5);
            }
}

/* Zero, denormal and huge vectors: codes are finite and nothing overflows. */
static void test_extremes(void) {
    static const float values[] = {0, 1e-45f, 1e-38f, 1e18f, 3e38f};
    static const char *const codes[] = {"none", "float16", "int8", "bit"};
    for (int c = 0; c < 4; c++)
        for (int v = 0; v < 5; v++) {
            index_cfg cfg = {.metric = METRIC_COSINE, .dim = 70, .codes = codes[c]};
            quant z;
            quant_meta meta;
            float x[70];
            uint8_t a[320], b[320];
            memset(a, 1, sizeof a), memset(b, 2, sizeof b);
            for (int i = 0; i < 70; i++) x[i] = i % 2 ? values[v] : -values[v];
            CHECK(quant_init(&z, &cfg, NULL) == REC_OK && z.nbyte <= sizeof a);
            quant_encode(&z, x, a, &meta);
            quant_encode(&z, x, b, &meta);
            CHECK(z.nbyte == 0 || memcmp(a, b, z.nbyte) == 0);
            CHECK(isfinite(meta.add) || values[v] > 1e17f);
            CHECK(isfinite(meta.mul));
            quant_clear(&z);
        }
}

int main(void) {
    UNIT_BEGIN("quant");
    alloc_install();
    test_keys();
    test_extremes();
    CHECK(unit_live == 0);
    return UNIT_END();
}
