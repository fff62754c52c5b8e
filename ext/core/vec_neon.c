/* vec_neon.c - kernels for AArch64, where NEON is part of the architecture.
 *
 * Kept simple: two to four accumulators of four lanes, tails one element at a time with the
 * arithmetic of vec_ref.c. Conversions between float16 and float32 are in the base
 * instruction set; arithmetic on float16 is not and is not used.
 *
 *     int8   products widen to 16 bit (128 * 128 fits), pairs are added into 32 bit, moved
 *            to 64 bit every INT8_BLOCK elements
 */
#include "core.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>

/* A step of 16 elements adds at most 4 * 255^2 to a lane: 4096 steps stay below 2^31. */
#define INT8_BLOCK ((size_t)4096 * 16)

static float neon_dot(const float *a, const float *b, size_t dim) {
    float32x4_t s0 = vdupq_n_f32(0), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        s0 = vfmaq_f32(s0, vld1q_f32(a + i), vld1q_f32(b + i));
        s1 = vfmaq_f32(s1, vld1q_f32(a + i + 4), vld1q_f32(b + i + 4));
        s2 = vfmaq_f32(s2, vld1q_f32(a + i + 8), vld1q_f32(b + i + 8));
        s3 = vfmaq_f32(s3, vld1q_f32(a + i + 12), vld1q_f32(b + i + 12));
    }
    for (; i + 4 <= dim; i += 4) s0 = vfmaq_f32(s0, vld1q_f32(a + i), vld1q_f32(b + i));
    float sum = vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
    return i < dim ? sum + vec_ref_kernels.dot(a + i, b + i, dim - i) : sum;
}

static float32x4_t add_square(float32x4_t sum, float32x4_t a, float32x4_t b) {
    float32x4_t d = vsubq_f32(a, b);
    return vfmaq_f32(sum, d, d);
}

static float neon_l2sq(const float *a, const float *b, size_t dim) {
    float32x4_t s0 = vdupq_n_f32(0), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        s0 = add_square(s0, vld1q_f32(a + i), vld1q_f32(b + i));
        s1 = add_square(s1, vld1q_f32(a + i + 4), vld1q_f32(b + i + 4));
        s2 = add_square(s2, vld1q_f32(a + i + 8), vld1q_f32(b + i + 8));
        s3 = add_square(s3, vld1q_f32(a + i + 12), vld1q_f32(b + i + 12));
    }
    for (; i + 4 <= dim; i += 4)
        s0 = add_square(s0, vld1q_f32(a + i), vld1q_f32(b + i));
    float sum = vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
    return i < dim ? sum + vec_ref_kernels.l2sq(a + i, b + i, dim - i) : sum;
}

static float neon_l1(const float *a, const float *b, size_t dim) {
    float32x4_t s0 = vdupq_n_f32(0), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        s0 = vaddq_f32(s0, vabdq_f32(vld1q_f32(a + i), vld1q_f32(b + i)));
        s1 = vaddq_f32(s1, vabdq_f32(vld1q_f32(a + i + 4), vld1q_f32(b + i + 4)));
        s2 = vaddq_f32(s2, vabdq_f32(vld1q_f32(a + i + 8), vld1q_f32(b + i + 8)));
        s3 = vaddq_f32(s3, vabdq_f32(vld1q_f32(a + i + 12), vld1q_f32(b + i + 12)));
    }
    for (; i + 4 <= dim; i += 4)
        s0 = vaddq_f32(s0, vabdq_f32(vld1q_f32(a + i), vld1q_f32(b + i)));
    float sum = vaddvq_f32(vaddq_f32(vaddq_f32(s0, s1), vaddq_f32(s2, s3)));
    return i < dim ? sum + vec_ref_kernels.l1(a + i, b + i, dim - i) : sum;
}

static void neon_axpy(float *y, float alpha, const float *x, size_t dim) {
    float32x4_t k = vdupq_n_f32(alpha);
    size_t i = 0;
    for (; i + 4 <= dim; i += 4)
        vst1q_f32(y + i, vfmaq_f32(vld1q_f32(y + i), k, vld1q_f32(x + i)));
    if (i < dim) vec_ref_kernels.axpy(y + i, alpha, x + i, dim - i);
}

/* ---- float16 -------------------------------------------------------------------------------- */

static float32x4_t load_half(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

static float neon_dot_f16(const float *a, const uint16_t *b, size_t dim) {
    float32x4_t s0 = vdupq_n_f32(0), s1 = s0;
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        s0 = vfmaq_f32(s0, vld1q_f32(a + i), load_half(b + i));
        s1 = vfmaq_f32(s1, vld1q_f32(a + i + 4), load_half(b + i + 4));
    }
    float sum = vaddvq_f32(vaddq_f32(s0, s1));
    return i < dim ? sum + vec_ref_kernels.dot_f16(a + i, b + i, dim - i) : sum;
}

static float neon_l2sq_f16(const float *a, const uint16_t *b, size_t dim) {
    float32x4_t s0 = vdupq_n_f32(0), s1 = s0;
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        s0 = add_square(s0, vld1q_f32(a + i), load_half(b + i));
        s1 = add_square(s1, vld1q_f32(a + i + 4), load_half(b + i + 4));
    }
    float sum = vaddvq_f32(vaddq_f32(s0, s1));
    return i < dim ? sum + vec_ref_kernels.l2sq_f16(a + i, b + i, dim - i) : sum;
}

static float neon_l1_f16(const float *a, const uint16_t *b, size_t dim) {
    float32x4_t s0 = vdupq_n_f32(0), s1 = s0;
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        s0 = vaddq_f32(s0, vabdq_f32(vld1q_f32(a + i), load_half(b + i)));
        s1 = vaddq_f32(s1, vabdq_f32(vld1q_f32(a + i + 4), load_half(b + i + 4)));
    }
    float sum = vaddvq_f32(vaddq_f32(s0, s1));
    return i < dim ? sum + vec_ref_kernels.l1_f16(a + i, b + i, dim - i) : sum;
}

static void neon_f16_from_f32(uint16_t *out, const float *x, size_t dim) {
    size_t i = 0;
    for (; i + 4 <= dim; i += 4)
        vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
    if (i < dim) vec_ref_kernels.f16_from_f32(out + i, x + i, dim - i);
}

static void neon_f32_from_f16(float *out, const uint16_t *x, size_t dim) {
    size_t i = 0;
    for (; i + 4 <= dim; i += 4) vst1q_f32(out + i, load_half(x + i));
    if (i < dim) vec_ref_kernels.f32_from_f16(out + i, x + i, dim - i);
}

/* ---- int8 -------------------------------------------------------------------------------------- */

static int64_t neon_dot_i8(const int8_t *a, const int8_t *b, size_t dim) {
    size_t i = 0, whole = dim & ~(size_t)15;
    int64_t total = 0;
    while (i < whole) {
        size_t end = whole - i > INT8_BLOCK ? i + INT8_BLOCK : whole;
        int32x4_t sum = vdupq_n_s32(0);
        for (; i < end; i += 16) {
            int8x16_t x = vld1q_s8(a + i), y = vld1q_s8(b + i);
            sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
            sum = vpadalq_s16(sum, vmull_high_s8(x, y));
        }
        total += vaddlvq_s32(sum);
    }
    return total + vec_ref_kernels.dot_i8(a + i, b + i, dim - i);
}

static int64_t neon_l2sq_i8(const int8_t *a, const int8_t *b, size_t dim) {
    size_t i = 0, whole = dim & ~(size_t)15;
    uint64_t total = 0;
    while (i < whole) {
        size_t end = whole - i > INT8_BLOCK ? i + INT8_BLOCK : whole;
        uint32x4_t sum = vdupq_n_u32(0);
        for (; i < end; i += 16) { /* a difference is at most 255, its square 65025 */
            uint8x16_t d =
                vreinterpretq_u8_s8(vabdq_s8(vld1q_s8(a + i), vld1q_s8(b + i)));
            sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(d), vget_low_u8(d)));
            sum = vpadalq_u16(sum, vmull_high_u8(d, d));
        }
        total += vaddlvq_u32(sum);
    }
    return (int64_t)total + vec_ref_kernels.l2sq_i8(a + i, b + i, dim - i);
}

/* Codes are widened: base AArch64 has no unsigned by signed product. */
static void neon_dot4_u8i8(const uint8_t *const code[4], const int8_t *q, size_t n,
                           int32_t out[4]) {
    for (int j = 0; j < 4; j++) {
        int32x4_t s0 = vdupq_n_s32(0), s1 = s0;
        for (size_t i = 0; i < n; i += 16) {
            uint8x16_t c = vld1q_u8(code[j] + i);
            int8x16_t x = vld1q_s8(q + i);
            int16x8_t c0 = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(c)));
            int16x8_t c1 = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(c)));
            int16x8_t x0 = vmovl_s8(vget_low_s8(x)), x1 = vmovl_s8(vget_high_s8(x));
            s0 = vmlal_s16(s0, vget_low_s16(c0), vget_low_s16(x0));
            s1 = vmlal_s16(s1, vget_high_s16(c0), vget_high_s16(x0));
            s0 = vmlal_s16(s0, vget_low_s16(c1), vget_low_s16(x1));
            s1 = vmlal_s16(s1, vget_high_s16(c1), vget_high_s16(x1));
        }
        out[j] = vaddvq_s32(vaddq_s32(s0, s1));
    }
}

static int64_t neon_l1_i8(const int8_t *a, const int8_t *b, size_t dim) {
    size_t i = 0, whole = dim & ~(size_t)15;
    uint64_t total = 0;
    while (i < whole) {
        size_t end = whole - i > INT8_BLOCK ? i + INT8_BLOCK : whole;
        uint32x4_t sum = vdupq_n_u32(0);
        for (; i < end; i += 16) {
            uint8x16_t d =
                vreinterpretq_u8_s8(vabdq_s8(vld1q_s8(a + i), vld1q_s8(b + i)));
            sum = vpadalq_u16(sum, vpaddlq_u8(d));
        }
        total += vaddlvq_u32(sum);
    }
    return (int64_t)total + vec_ref_kernels.l1_i8(a + i, b + i, dim - i);
}

/* ---- bits ---------------------------------------------------------------------------------------- */

static uint32_t neon_hamming(const uint8_t *a, const uint8_t *b, size_t nbyte) {
    uint32x4_t sum = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 16 <= nbyte; i += 16) {
        uint8x16_t bits = vcntq_u8(veorq_u8(vld1q_u8(a + i), vld1q_u8(b + i)));
        sum = vpadalq_u16(sum, vpaddlq_u8(bits));
    }
    return vaddvq_u32(sum) + vec_ref_kernels.hamming(a + i, b + i, nbyte - i);
}

const rec_kernels vec_neon_kernels = {
    .name = "neon",
    .dot = neon_dot,
    .l2sq = neon_l2sq,
    .l1 = neon_l1,
    .dot_f16 = neon_dot_f16,
    .l2sq_f16 = neon_l2sq_f16,
    .l1_f16 = neon_l1_f16,
    .dot_i8 = neon_dot_i8,
    .l2sq_i8 = neon_l2sq_i8,
    .l1_i8 = neon_l1_i8,
    .dot4_u8i8 = neon_dot4_u8i8,
    .hamming = neon_hamming,
    .axpy = neon_axpy,
    .f16_from_f32 = neon_f16_from_f32,
    .f32_from_f16 = neon_f32_from_f16,
};
#endif
