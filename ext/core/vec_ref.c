/* vec_ref.c - the meaning of every kernel, in plain loops.
 *
 * What stands here defines the result; the tables of vec_avx2.c, vec_avx512.c and
 * vec_neon.c are compared with it in the tests. Integer kernels must agree exactly, float
 * kernels up to the order of the sum. This table also runs where no other one can.
 *
 *     float16   1 sign | 5 exponent (bias 15) | 10 fraction     IEEE 754 binary16
 *
 * Conversion to float16 rounds to nearest even; what is too large becomes infinity (the
 * caller refuses it), NaN stays NaN. bit vectors are bytes, bit i is bit i % 8 of byte i / 8.
 *
 * Pointers may have any alignment: elements are read through memcpy, which compilers turn
 * into plain loads.
 */
#include "core.h"

#include <math.h>

static float load_f32(const float *p, size_t i) {
    float x;
    memcpy(&x, (const char *)p + i * sizeof x, sizeof x);
    return x;
}

static float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = h >> 10 & 31, m = h & 0x3ffu, u;
    float f;
    if (e == 0) { /* zero and subnormals: m * 2^-24, exact */
        f = (float)m * 0x1p-24f;
        return sign ? -f : f;
    }
    u = sign | (e == 31 ? 0x7f800000u : (e + 112) << 23) | m << 13;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint16_t half_from_float(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000u);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (u >> 13 & 0x3ffu));
    if (u >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u); /* 65520 rounds to infinity */
    if (u < 0x38800000u) { /* below 2^-14: a multiple of 2^-24, rounded by the FPU */
        float a;
        memcpy(&a, &u, sizeof a);
        return (uint16_t)(sign | (uint16_t)(int)rintf(a * 0x1p24f));
    }
    uint32_t odd = u >> 13 & 1;
    u = (u + 0xfffu + odd - 0x38000000u) >> 13;
    return (uint16_t)(sign | u);
}

static uint16_t load_u16(const uint16_t *p, size_t i) {
    uint16_t x;
    memcpy(&x, (const char *)p + i * sizeof x, sizeof x);
    return x;
}

/* ---- float32 ------------------------------------------------------------------------- */

static float ref_dot(const float *a, const float *b, size_t dim) {
    float sum = 0;
    for (size_t i = 0; i < dim; i++) sum += load_f32(a, i) * load_f32(b, i);
    return sum;
}

static float ref_l2sq(const float *a, const float *b, size_t dim) {
    float sum = 0;
    for (size_t i = 0; i < dim; i++) {
        float d = load_f32(a, i) - load_f32(b, i);
        sum += d * d;
    }
    return sum;
}

static float ref_l1(const float *a, const float *b, size_t dim) {
    float sum = 0;
    for (size_t i = 0; i < dim; i++) sum += fabsf(load_f32(a, i) - load_f32(b, i));
    return sum;
}

static void ref_axpy(float *y, float alpha, const float *x, size_t dim) {
    for (size_t i = 0; i < dim; i++) {
        float v = load_f32(y, i) + alpha * load_f32(x, i);
        memcpy((char *)y + i * sizeof v, &v, sizeof v);
    }
}

/* ---- float16 --------------------------------------------------------------------------- */

static float ref_dot_f16(const float *a, const uint16_t *b, size_t dim) {
    float sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += load_f32(a, i) * half_to_float(load_u16(b, i));
    return sum;
}

static float ref_l2sq_f16(const float *a, const uint16_t *b, size_t dim) {
    float sum = 0;
    for (size_t i = 0; i < dim; i++) {
        float d = load_f32(a, i) - half_to_float(load_u16(b, i));
        sum += d * d;
    }
    return sum;
}

static float ref_l1_f16(const float *a, const uint16_t *b, size_t dim) {
    float sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += fabsf(load_f32(a, i) - half_to_float(load_u16(b, i)));
    return sum;
}

static void ref_f16_from_f32(uint16_t *out, const float *x, size_t dim) {
    for (size_t i = 0; i < dim; i++) {
        uint16_t h = half_from_float(load_f32(x, i));
        memcpy((char *)out + i * sizeof h, &h, sizeof h);
    }
}

static void ref_f32_from_f16(float *out, const uint16_t *x, size_t dim) {
    for (size_t i = 0; i < dim; i++) {
        float f = half_to_float(load_u16(x, i));
        memcpy((char *)out + i * sizeof f, &f, sizeof f);
    }
}

/* ---- int8 and bit ------------------------------------------------------------------------ */

static int64_t ref_dot_i8(const int8_t *a, const int8_t *b, size_t dim) {
    int64_t sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (int)a[i] * (int)b[i];
    return sum;
}

static int64_t ref_l2sq_i8(const int8_t *a, const int8_t *b, size_t dim) {
    int64_t sum = 0;
    for (size_t i = 0; i < dim; i++) {
        int d = (int)a[i] - (int)b[i];
        sum += d * d;
    }
    return sum;
}

static int64_t ref_l1_i8(const int8_t *a, const int8_t *b, size_t dim) {
    int64_t sum = 0;
    for (size_t i = 0; i < dim; i++) {
        int d = (int)a[i] - (int)b[i];
        sum += d < 0 ? -d : d;
    }
    return sum;
}

static void ref_dot4_u8i8(const uint8_t *const code[4], const int8_t *q, size_t n,
                          int32_t out[4]) {
    for (int j = 0; j < 4; j++) {
        out[j] = 0;
        for (size_t i = 0; i < n; i++) out[j] += (int)code[j][i] * (int)q[i];
    }
}

static uint32_t ref_hamming(const uint8_t *a, const uint8_t *b, size_t nbyte) {
    uint32_t sum = 0;
    for (size_t i = 0; i < nbyte; i++) {
        unsigned x = a[i] ^ b[i];
        for (; x; x &= x - 1) sum++;
    }
    return sum;
}

const rec_kernels vec_ref_kernels = {
    .name = "ref",
    .dot = ref_dot,
    .l2sq = ref_l2sq,
    .l1 = ref_l1,
    .dot_f16 = ref_dot_f16,
    .l2sq_f16 = ref_l2sq_f16,
    .l1_f16 = ref_l1_f16,
    .dot_i8 = ref_dot_i8,
    .l2sq_i8 = ref_l2sq_i8,
    .l1_i8 = ref_l1_i8,
    .dot4_u8i8 = ref_dot4_u8i8,
    .hamming = ref_hamming,
    .axpy = ref_axpy,
    .f16_from_f32 = ref_f16_from_f32,
    .f32_from_f16 = ref_f32_from_f16,
};
