/* Blending: calibration, silence of a part, constants, the gate. */
#include "model_data.h"

static void blend(const hybrid_part *part, size_t n_part, size_t n, const bitmap *pool,
                  float *out, float *gate) {
    hybrid_blend_args a = {.part = part, .n_part = n_part, .n = n, .pool = pool};
    rec_err err = {0};
    CHECK(!hybrid_blend(&a, out, gate, &err));
    for (size_t i = 0; i < n; i++) CHECK(isfinite(out[i]));
}

static void test_calibrates(void) {
    const float small[] = {.001f, .002f, .003f, .004f},
                large[] = {4000, 3000, 2000, 1000};
    float out[4], gate[4];
    hybrid_part p[] = {{small, .5, false}, {large, .5, true}};
    blend(p, 2, 4, NULL, out, gate);
    for (int i = 0; i < 4; i++) { /* opposite orders at equal weight cancel out */
        CHECK_NEAR(out[i], 0, 1e-5);
        CHECK_NEAR(gate[i], .5, 1e-6);
    }
    p[0].weight = .75;
    p[1].weight = .25;
    blend(p, 2, 4, NULL, out, gate);
    CHECK(out[3] > out[2] && out[2] > out[1] && out[1] > out[0]);
    CHECK_NEAR(out[3], (.75 - .25) * 1.5 / sqrt(1.25), 1e-5);
    CHECK_NEAR(gate[0], .75, 1e-6);
}

static void test_silence(void) {
    const float cf[] = {1, NAN, 3, INFINITY}, text[] = {0, 5, 10, NAN};
    float out[4], gate[4];
    hybrid_part p[] = {{cf, .5, false}, {text, .5, true}};
    blend(p, 2, 4, NULL, out, gate);
    CHECK_NEAR(gate[0], .5, 1e-6);
    CHECK_NEAR(gate[1], 0, 1e-6); /* the text part alone */
    CHECK_NEAR(out[1], 0, 1e-6);  /* its mean */
    CHECK(out[3] == 0 && gate[3] == 0);
    CHECK(out[2] > out[1] && out[1] > out[0]);
}

static void test_constant(void) {
    const float same[] = {7, 7, 7}, other[] = {1, 2, 3},
                near_same[] = {1e6f, 1e6f, 1e6f + .0625f};
    float out[3], alone[3];
    hybrid_part p[] = {{same, .5, false}, {other, .5, true}};
    blend(p, 2, 3, NULL, out, NULL);
    blend(p + 1, 1, 3, NULL, alone, NULL);
    for (int i = 0; i < 3; i++) CHECK_NEAR(out[i], alone[i] / 2, 1e-6);
    blend(p, 1, 3, NULL, out, NULL);
    CHECK(out[0] == 0 && out[2] == 0);
    p[0].score = near_same; /* rounding is not a signal */
    blend(p, 1, 3, NULL, out, NULL);
    CHECK(out[0] == 0 && out[2] == 0);
}

static void test_pool(void) {
    const float s[] = {1, 2, 3, 1000};
    float out[4];
    bitmap pool;
    rec_err err = {0};
    hybrid_part p = {s, 1, false};
    CHECK(!bitmap_init(&pool, 4, true, &err));
    bitmap_unset(&pool, 3);
    blend(&p, 1, 4, &pool, out, NULL);
    CHECK_NEAR(out[1], 0, 1e-6);
    CHECK_NEAR(out[2], sqrt(1.5), 1e-5);
    for (size_t i = 0; i < 4; i++) bitmap_unset(&pool, i);
    blend(&p, 1, 4, &pool, out, NULL);
    CHECK(out[0] == 0 && out[3] == 0);
    bitmap_clear(&pool);
}

static void test_extremes(void) {
    const float huge[] = {3e38f, -3e38f, 0}, one[] = {5};
    float out[3];
    rec_err err = {0};
    hybrid_part p[] = {{huge, 1, false}, {huge, 0, true}};
    blend(p, 2, 3, NULL, out, NULL);
    CHECK(out[0] > 0 && out[1] < 0);
    p[0].weight = 0;
    blend(p, 2, 3, NULL, out, NULL);
    CHECK(out[0] == 0);
    hybrid_part single = {one, 1, true};
    blend(&single, 1, 1, NULL, out, NULL);
    CHECK(out[0] == 0);
    blend(&single, 1, 0, NULL, out, NULL);
    hybrid_blend_args none = {.part = p, .n_part = 0, .n = 3};
    CHECK(hybrid_blend(&none, out, NULL, &err) == REC_RANGE);
    none.n_part = HYBRID_MAX_MEMBERS + 1;
    CHECK(hybrid_blend(&none, out, NULL, &err) == REC_RANGE);
}

int main(void) {
    UNIT_BEGIN("hybrid");
    alloc_install();
    test_calibrates();
    test_silence();
    test_constant();
    test_pool();
    test_extremes();
    CHECK(unit_live == 0);
    return UNIT_END();
}
