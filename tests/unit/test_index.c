/* Stored forms, the definition of distance, bitmaps, the registry. */
#include "../../ext/index/index.h"
#include "unit.h"

static void test_kinds(void) {
    char names[50];
    CHECK(index_kind("flat") == &flat_ops);
    CHECK(index_kind("hnsw") == &hnsw_ops && index_kind("ivf") == NULL);
    index_kind_names(names, sizeof names);
    CHECK(strcmp(names, "flat, hnsw") == 0);
}

static void test_bitmap(void) {
    rec_err err = {0};
    for (size_t n = 0; n < 200; n += 13) {
        bitmap b = {0};
        CHECK(bitmap_init(&b, n, true, &err) == REC_OK);
        CHECK(bitmap_count(&b) == n);
        CHECK(!bitmap_has(&b, n));
        if (n > 5) {
            bitmap_unset(&b, 5);
            CHECK(!bitmap_has(&b, 5) && bitmap_count(&b) == n - 1);
            bitmap_set(&b, 5);
            CHECK(bitmap_has(&b, 5) && bitmap_count(&b) == n);
        }
        bitmap_clear(&b);
        CHECK(bitmap_init(&b, n, false, &err) == REC_OK && bitmap_count(&b) == 0);
        bitmap_clear(&b);
    }
}

static void test_forms(void) {
    rec_err err = {0};
    float x[300], back[300];
    uint8_t out[1200];
    unsigned long long seed = 7;
    for (int i = 0; i < 300; i++) x[i] = (float)(int)(unit_rand(&seed) % 256) - 128;
    vec_type exact[] = {VEC_F32, VEC_F16, VEC_I8};
    for (int t = 0; t < 3; t++)
        for (uint32_t dim = 1; dim <= 300; dim += 23) {
            CHECK(index_encode(exact[t], x, dim, out, &err) == REC_OK);
            index_decode(exact[t], out, dim, back);
            CHECK(memcmp(x, back, dim * 4) == 0);
        }
    for (int i = 0; i < 300; i++) x[i] = (float)(unit_rand(&seed) & 1);
    for (uint32_t dim = 1; dim <= 300; dim += 23) {
        memset(out, 0xff, sizeof out);
        CHECK(index_encode(VEC_BIT, x, dim, out, &err) == REC_OK);
        index_decode(VEC_BIT, out, dim, back);
        CHECK(memcmp(x, back, dim * 4) == 0);
        if (dim % 8) CHECK(out[dim / 8] >> dim % 8 == 0); /* I2 */
    }
    struct {
        vec_type t;
        float x;
        rec_status want;
    } edge[] = {{VEC_I8, -128, REC_OK},         {VEC_I8, 127, REC_OK},
                {VEC_I8, 128, REC_RANGE},       {VEC_I8, -129, REC_RANGE},
                {VEC_I8, 0.5f, REC_RANGE},      {VEC_I8, 1e30f, REC_RANGE},
                {VEC_F16, 65504, REC_OK},       {VEC_F16, 65520, REC_RANGE},
                {VEC_F16, -1e6f, REC_RANGE},    {VEC_F16, 1e-9f, REC_OK},
                {VEC_BIT, 2, REC_RANGE},        {VEC_BIT, 0.5f, REC_RANGE},
                {VEC_F32, INFINITY, REC_RANGE}, {VEC_F32, NAN, REC_RANGE},
                {VEC_I8, NAN, REC_RANGE},       {VEC_BIT, -INFINITY, REC_RANGE},
                {VEC_F32, 3e38f, REC_OK}};
    for (size_t i = 0; i < sizeof edge / sizeof edge[0]; i++)
        CHECK(index_encode(edge[i].t, &edge[i].x, 1, out, &err) == edge[i].want);
}

/* Against the plain formula in double. */
static double plain(vec_metric m, const float *a, const float *b, uint32_t dim) {
    double dot = 0, aa = 0, bb = 0, l2 = 0, l1 = 0, ham = 0;
    for (uint32_t i = 0; i < dim; i++) {
        double x = (double)a[i], y = (double)b[i];
        dot += x * y, aa += x * x, bb += y * y, l2 += (x - y) * (x - y),
            l1 += fabs(x - y);
        ham += x != y;
    }
    switch (m) {
    case METRIC_COSINE: return aa > 0 && bb > 0 ? 1 - dot / sqrt(aa * bb) : 1;
    case METRIC_IP: return -dot;
    case METRIC_L2: return sqrt(l2);
    case METRIC_L1: return l1;
    default: return ham;
    }
}

static void test_distance(void) {
    rec_err err = {0};
    float a[600], b[600];
    uint8_t pa[2401], pb[2401];
    unsigned long long seed = 3;
    for (int t = VEC_F32; t <= VEC_BIT; t++)
        for (uint32_t dim = 1; dim <= 600; dim += dim < 40 ? 1 : 111) {
            for (uint32_t i = 0; i < dim; i++) {
                uint32_t range = t == VEC_BIT ? 2 : 200;
                a[i] = (float)(unit_rand(&seed) % range) - (t == VEC_BIT ? 0 : 100);
                b[i] = (float)(unit_rand(&seed) % range) - (t == VEC_BIT ? 0 : 100);
            }
            CHECK(index_encode((vec_type)t, a, dim, pa + 1, &err) ==
                  REC_OK); /* unaligned */
            CHECK(index_encode((vec_type)t, b, dim, pb + 1, &err) == REC_OK);
            for (int m = METRIC_COSINE; m <= METRIC_HAMMING; m++) {
                if ((m == METRIC_HAMMING) != (t == VEC_BIT)) continue;
                double want = plain((vec_metric)m, a, b, dim);
                double got =
                    index_distance((vec_metric)m, (vec_type)t, pa + 1, pb + 1, dim);
                CHECK_NEAR(got, want, 1e-5 * (1 + fabs(want)));
            }
        }
    memset(a, 0, sizeof a);
    CHECK(index_distance(METRIC_COSINE, VEC_F32, a, b, 4) == 1.0);
    CHECK(!signbit(index_distance(METRIC_IP, VEC_F32, a, b, 4)));
}

int main(void) {
    UNIT_BEGIN("index");
    test_kinds();
    test_bitmap();
    test_forms();
    test_distance();
    return UNIT_END();
}
