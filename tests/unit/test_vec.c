/* Every table of kernels against vec_ref.c, at every length and with extreme values. */
#include "unit.h"

#include "../../ext/core/core.h"
#undef malloc
#undef free

#define MAX_DIM 1536
static const size_t more[] = {127, 128, 129, 130, 768, 1536};

static size_t dim_at(int i) { /* 1..65, then `more`; 0 at the end */
    if (i < 65) return (size_t)i + 1;
    return (size_t)i - 65 < sizeof more / sizeof *more ? more[i - 65] : 0;
}

typedef struct floats {
    char *block; /* floats start one byte into the block: never aligned */
    float *p;
} floats;

/* Blocks end exactly with the data, so that ASan sees any read behind it. */
static floats floats_new(size_t dim) {
    floats f;
    f.block = malloc(dim * 4 + 1);
    f.p = (float *)(void *)(f.block + 1);
    return f;
}

static void put(floats f, size_t i, float x) {
    memcpy(f.block + 1 + 4 * i, &x, 4);
}

static float get(floats f, size_t i) {
    float x;
    memcpy(&x, f.block + 1 + 4 * i, 4);
    return x;
}

enum { PLAIN, DENORMAL, HUGE_MIXED, ZERO, N_KINDS };

static float value_of(int kind, unsigned long long *seed) {
    float u = (float)(2 * unit_uniform(seed) - 1);
    switch (kind) {
    case DENORMAL: return u * 1e-39f;
    case HUGE_MIXED: return u * (unit_rand(seed) % 2 ? 1e17f : 1e-3f);
    case ZERO: return 0;
    default: return u;
    }
}

/* Sums may differ by rounding: relative to the sum of magnitudes, plus a denormal. */
static bool close_to(float x, float want, double magnitude, size_t dim) {
    return fabs((double)x - want) <= 1e-7 * (8 + (double)dim) * magnitude + 1e-44;
}

static void compare_floats(const rec_kernels *k, size_t dim, int kind,
                           unsigned long long *seed) {
    const rec_kernels *ref = &vec_ref_kernels;
    floats a = floats_new(dim), b = floats_new(dim), y = floats_new(dim);
    char *half_block = malloc(dim * 2 + 1);
    uint16_t *half = (uint16_t *)(void *)(half_block + 1);
    double dot = 0, l2 = 0, l1 = 0;
    for (size_t i = 0; i < dim; i++) {
        float p = value_of(kind, seed), q = value_of(kind, seed);
        put(a, i, p), put(b, i, q), put(y, i, q);
        dot += fabs((double)p * q);
        l2 += ((double)p - q) * ((double)p - q);
        l1 += fabs((double)p - q);
    }
    CHECK(close_to(k->dot(a.p, b.p, dim), ref->dot(a.p, b.p, dim), dot, dim));
    CHECK(close_to(k->l2sq(a.p, b.p, dim), ref->l2sq(a.p, b.p, dim), l2, dim));
    CHECK(close_to(k->l1(a.p, b.p, dim), ref->l1(a.p, b.p, dim), l1, dim));
    k->axpy(y.p, 0.75f, a.p, dim);
    for (size_t i = 0; i < dim; i++) {
        float want = get(b, i) + 0.75f * get(a, i);
        CHECK(close_to(get(y, i), want, fabs(get(a, i)) + fabs(get(b, i)), 1));
    }
    for (size_t i = 0; i < dim; i++) put(b, i, fmaxf(-6e4f, fminf(6e4f, get(b, i))));
    ref->f16_from_f32(half, b.p, dim);
    float d = ref->dot_f16(a.p, half, dim), e = ref->l2sq_f16(a.p, half, dim);
    float f = ref->l1_f16(a.p, half, dim);
    double big =
        kind == HUGE_MIXED ? 1e17 * 6e4 * (double)dim : dot + 1e-3 * (double)dim;
    CHECK(close_to(k->dot_f16(a.p, half, dim), d, big, dim));
    CHECK(close_to(k->l2sq_f16(a.p, half, dim), e, e, dim));
    CHECK(close_to(k->l1_f16(a.p, half, dim), f, f, dim));
    free(a.block), free(b.block), free(y.block), free(half_block);
}

static int8_t byte_of(int kind, size_t i, unsigned long long *seed) {
    switch (kind) {
    case 0: return (int8_t)(unit_rand(seed) >> 20);
    case 1: return -128;
    case 2: return 127;
    default: return i % 2 ? -128 : 127;
    }
}

static void compare_bytes(const rec_kernels *k, size_t dim, int ka, int kb,
                          unsigned long long *seed) {
    const rec_kernels *ref = &vec_ref_kernels;
    int8_t *a = malloc(dim), *b = malloc(dim);
    for (size_t i = 0; i < dim; i++)
        a[i] = byte_of(ka, i, seed), b[i] = byte_of(kb, i, seed);
    CHECK(k->dot_i8(a, b, dim) == ref->dot_i8(a, b, dim));
    CHECK(k->l2sq_i8(a, b, dim) == ref->l2sq_i8(a, b, dim));
    CHECK(k->l1_i8(a, b, dim) == ref->l1_i8(a, b, dim));
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    CHECK(k->hamming(x, y, dim) == ref->hamming(x, y, dim));
    if (dim % 64 == 0) {
        const uint8_t *codes[4] = {x, y, y, x};
        int32_t got[4], want[4];
        k->dot4_u8i8(codes, b, dim, got);
        ref->dot4_u8i8(codes, b, dim, want);
        CHECK(memcmp(got, want, sizeof got) == 0);
    }
    free(a), free(b);
}

/* Every half there is, and every float between two of them, converts as the reference. */
static void compare_conversion(const rec_kernels *k) {
    enum { N = 1 << 16 };
    uint16_t *half = malloc(N * 2), *back = malloc(N * 2), *want = malloc(N * 2);
    float *f = malloc(N * 4), *g = malloc(N * 4);
    int bad = 0;
    for (int i = 0; i < N; i++) half[i] = (uint16_t)i;
    k->f32_from_f16(f, half, N);
    vec_ref_kernels.f32_from_f16(g, half, N);
    for (int i = 0; i < N; i++) bad += isnan(f[i]) ? !isnan(g[i]) : f[i] != g[i];
    CHECK(bad == 0);
    for (int step = -1; step <= 1; step++) { /* below, on and above the middle */
        for (int i = 0; i < N - 1; i++) {
            float mid = (g[i] + g[i + 1]) / 2;
            f[i] =
                isfinite(mid) ? nextafterf(mid, step < 0 ? -INFINITY : INFINITY) : mid;
            if (step == 0) f[i] = mid;
        }
        f[N - 1] = 65520.0f;
        k->f16_from_f32(back, f, N);
        vec_ref_kernels.f16_from_f32(want, f, N);
        bad = 0;
        for (int i = 0; i < N; i++) bad += back[i] != want[i] && !isnan(f[i]);
        CHECK(bad == 0);
    }
    vec_ref_kernels.f32_from_f16(g, half, N);
    vec_ref_kernels.f16_from_f32(back, g, N);
    bad = 0;
    for (int i = 0; i < N; i++) bad += back[i] != half[i] && !isnan(g[i]);
    CHECK(bad == 0);
    free(half), free(back), free(want), free(f), free(g);
}

static void compare_table(const rec_kernels *k) {
    unsigned long long seed = 42;
    size_t dim;
    for (int i = 0; (dim = dim_at(i)) != 0; i++) {
        for (int kind = 0; kind < N_KINDS; kind++) compare_floats(k, dim, kind, &seed);
        for (int ka = 0; ka < 4; ka++)
            for (int kb = 0; kb < 4; kb++) compare_bytes(k, dim, ka, kb, &seed);
    }
    compare_bytes(k, 2000003, 1, 2, &seed); /* 32-bit sums would overflow */
    compare_bytes(k, 2000003, 1, 1, &seed);
    compare_conversion(k);
    float big[3] = {1e38f, -1e38f, 1e38f};
    CHECK(k->l1(big, big, 3) == 0 && isinf(k->dot(big, big, 3)));
}

static void test_known_values(void) {
    float a[3] = {1, 2, 3}, b[3] = {4, -5, 6}, y[3] = {1, 1, 1};
    const rec_kernels *k = &vec_ref_kernels;
    CHECK(k->dot(a, b, 3) == 12 && k->l2sq(a, b, 3) == 67 && k->l1(a, b, 3) == 13);
    k->axpy(y, 2, a, 3);
    CHECK(y[0] == 3 && y[1] == 5 && y[2] == 7);
    float x[7] = {1, -2, 65504, 65520, 6e-8f, 0x1p-25f, 0.1f};
    uint16_t want[7] = {0x3c00, 0xc000, 0x7bff, 0x7c00, 0x0001, 0x0000, 0x2e66}, h[7];
    k->f16_from_f32(h, x, 7);
    for (int i = 0; i < 7; i++) CHECK(h[i] == want[i]);
    uint8_t p[2] = {0xff, 0x01}, q[2] = {0x0f, 0x02};
    CHECK(k->hamming(p, q, 2) == 6);
}

static void test_norms(void) {
    float tiny[2] = {3e-30f, 4e-30f}, huge[2] = {3e30f, 4e30f}, zero[3] = {0};
    CHECK_NEAR(vec_norm(tiny, 2) / 5e-30, 1, 1e-6);
    CHECK_NEAR(vec_norm(huge, 2) / 5e30, 1, 1e-6);
    CHECK(vec_normalize(tiny, 2) && vec_normalize(huge, 2) && !vec_normalize(zero, 3));
    CHECK_NEAR(tiny[0], 0.6, 1e-6);
    CHECK_NEAR(huge[1], 0.8, 1e-6);
    float bad[3] = {1, INFINITY, 2};
    CHECK(vec_is_finite(tiny, 2) && !vec_is_finite(bad, 3));
    bad[1] = NAN;
    CHECK(!vec_is_finite(bad, 3) && vec_is_finite(bad, 1) && vec_is_finite(bad, 0));
}

static void test_names(void) {
    CHECK(strcmp(vec_type_name(VEC_F16), "float16") == 0);
    CHECK(strcmp(vec_metric_name(METRIC_HAMMING), "hamming") == 0);
    CHECK(vec_nbyte(VEC_BIT, 9) == 2 && vec_nbyte(VEC_BIT, 8) == 1);
    CHECK(vec_nbyte(VEC_F32, 3) == 12 && vec_nbyte(VEC_F16, 3) == 6);
    CHECK(vec_nbyte(VEC_I8, 3) == 3);
    CHECK(vec_kernels() != NULL && vec_kernels() == vec_kernels());
    CHECK(vec_kernels_named("mmx") == NULL && vec_kernels_named("") == NULL);
    CHECK(vec_kernels_named("ref") == &vec_ref_kernels);
}

int main(void) {
    static const char *const name[] = {"ref", "avx2", "avx512", "neon"};
    UNIT_BEGIN("vec");
    test_known_values();
    test_norms();
    test_names();
    for (int i = 0; i < 4; i++)
        if (vec_kernels_named(name[i])) compare_table(vec_kernels_named(name[i]));
    return UNIT_END();
}
