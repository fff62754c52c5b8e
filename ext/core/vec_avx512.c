/* vec_avx512.c - kernels for x86 with AVX-512 F, BW, VL, DQ, VNNI and VPOPCNTDQ.
 *
 * Masks do the tails: every kernel is one loop over whole registers and one masked step, and
 * lanes that are masked out are neither read nor counted.
 *
 *     dot_i8   VNNI multiplies unsigned by signed bytes, so a is moved up by 128:
 *              sum (a + 128) b = a.b + 128 sum b, and sum b is one more VNNI by ones.
 *     l2sq_i8  |a - b| fits an unsigned byte (max - min of the sign-flipped bytes), widened
 *              to 16 bit and squared in pairs.
 *     hamming  the processor counts bits of 64-bit lanes.
 */
#include "core.h"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#define AVX512      \
    __attribute__(( \
        target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vpopcntdq,f16c")))

/* A step adds at most 4 * 255 * 128 to a lane: 8192 steps stay below 2^31. */
#define INT8_BLOCK ((size_t)8192 * 64)

/* ---- loads and sums ---------------------------------------------------------------------- */

AVX512 static inline __mmask16 mask16(size_t n) { /* first n of 16, n < 16 */
    return (__mmask16)((1u << n) - 1);
}

AVX512 static inline __mmask64 mask64(size_t n) { /* first n of 64, n < 64 */
    return (__mmask64)(((uint64_t)1 << n) - 1);
}

AVX512 static inline __m512 part_f32(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(mask16(n), p);
}

AVX512 static inline __m512i load_bytes(const void *p) {
    return _mm512_loadu_si512(p);
}

AVX512 static inline __m512i part_bytes(const void *p, size_t n) {
    return _mm512_maskz_loadu_epi8(mask64(n), p);
}

AVX512 static inline __m512 load_half(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

AVX512 static inline __m512 part_half(const uint16_t *p, size_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask16(n), p));
}

AVX512 static inline int64_t sum_i32(__m512i v) {
    __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(v));
    __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(v, 1));
    return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
}

AVX512 static inline float sum4(__m512 s0, __m512 s1, __m512 s2, __m512 s3) {
    return _mm512_reduce_add_ps(
        _mm512_add_ps(_mm512_add_ps(s0, s1), _mm512_add_ps(s2, s3)));
}

AVX512 static inline __m512 add_square(__m512 sum, __m512 a, __m512 b) {
    __m512 d = _mm512_sub_ps(a, b);
    return _mm512_fmadd_ps(d, d, sum);
}

AVX512 static inline __m512 add_abs(__m512 sum, __m512 a, __m512 b) {
    return _mm512_add_ps(sum, _mm512_abs_ps(_mm512_sub_ps(a, b)));
}

/* ---- float32 ------------------------------------------------------------------------------- */

AVX512 static float avx512_dot(const float *a, const float *b, size_t dim) {
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 64 <= dim; i += 64) {
        s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
        s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16),
                             s1);
        s2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 32), _mm512_loadu_ps(b + i + 32),
                             s2);
        s3 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 48), _mm512_loadu_ps(b + i + 48),
                             s3);
    }
    for (; i + 16 <= dim; i += 16)
        s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
    if (i < dim)
        s1 = _mm512_fmadd_ps(part_f32(a + i, dim - i), part_f32(b + i, dim - i), s1);
    return sum4(s0, s1, s2, s3);
}

AVX512 static float avx512_l2sq(const float *a, const float *b, size_t dim) {
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 64 <= dim; i += 64) {
        s0 = add_square(s0, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
        s1 = add_square(s1, _mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16));
        s2 = add_square(s2, _mm512_loadu_ps(a + i + 32), _mm512_loadu_ps(b + i + 32));
        s3 = add_square(s3, _mm512_loadu_ps(a + i + 48), _mm512_loadu_ps(b + i + 48));
    }
    for (; i + 16 <= dim; i += 16)
        s0 = add_square(s0, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
    if (i < dim)
        s1 = add_square(s1, part_f32(a + i, dim - i), part_f32(b + i, dim - i));
    return sum4(s0, s1, s2, s3);
}

AVX512 static float avx512_l1(const float *a, const float *b, size_t dim) {
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 64 <= dim; i += 64) {
        s0 = add_abs(s0, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
        s1 = add_abs(s1, _mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16));
        s2 = add_abs(s2, _mm512_loadu_ps(a + i + 32), _mm512_loadu_ps(b + i + 32));
        s3 = add_abs(s3, _mm512_loadu_ps(a + i + 48), _mm512_loadu_ps(b + i + 48));
    }
    for (; i + 16 <= dim; i += 16)
        s0 = add_abs(s0, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
    if (i < dim) s1 = add_abs(s1, part_f32(a + i, dim - i), part_f32(b + i, dim - i));
    return sum4(s0, s1, s2, s3);
}

AVX512 static void avx512_axpy(float *y, float alpha, const float *x, size_t dim) {
    __m512 k = _mm512_set1_ps(alpha);
    size_t i = 0;
    for (; i + 16 <= dim; i += 16)
        _mm512_storeu_ps(
            y + i, _mm512_fmadd_ps(k, _mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i)));
    if (i < dim) {
        __m512 v =
            _mm512_fmadd_ps(k, part_f32(x + i, dim - i), part_f32(y + i, dim - i));
        _mm512_mask_storeu_ps(y + i, mask16(dim - i), v);
    }
}

/* ---- float16 -------------------------------------------------------------------------------- */

AVX512 static float avx512_dot_f16(const float *a, const uint16_t *b, size_t dim) {
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 64 <= dim; i += 64) {
        s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), load_half(b + i), s0);
        s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), load_half(b + i + 16), s1);
        s2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 32), load_half(b + i + 32), s2);
        s3 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 48), load_half(b + i + 48), s3);
    }
    for (; i + 16 <= dim; i += 16)
        s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), load_half(b + i), s0);
    if (i < dim)
        s1 = _mm512_fmadd_ps(part_f32(a + i, dim - i), part_half(b + i, dim - i), s1);
    return sum4(s0, s1, s2, s3);
}

AVX512 static float avx512_l2sq_f16(const float *a, const uint16_t *b, size_t dim) {
    __m512 s0 = _mm512_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 64 <= dim; i += 64) {
        s0 = add_square(s0, _mm512_loadu_ps(a + i), load_half(b + i));
        s1 = add_square(s1, _mm512_loadu_ps(a + i + 16), load_half(b + i + 16));
        s2 = add_square(s2, _mm512_loadu_ps(a + i + 32), load_half(b + i + 32));
        s3 = add_square(s3, _mm512_loadu_ps(a + i + 48), load_half(b + i + 48));
    }
    for (; i + 16 <= dim; i += 16)
        s0 = add_square(s0, _mm512_loadu_ps(a + i), load_half(b + i));
    if (i < dim)
        s1 = add_square(s1, part_f32(a + i, dim - i), part_half(b + i, dim - i));
    return sum4(s0, s1, s2, s3);
}

AVX512 static float avx512_l1_f16(const float *a, const uint16_t *b, size_t dim) {
    __m512 s0 = _mm512_setzero_ps(), s1 = s0;
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        s0 = add_abs(s0, _mm512_loadu_ps(a + i), load_half(b + i));
        s1 = add_abs(s1, _mm512_loadu_ps(a + i + 16), load_half(b + i + 16));
    }
    for (; i + 16 <= dim; i += 16)
        s0 = add_abs(s0, _mm512_loadu_ps(a + i), load_half(b + i));
    if (i < dim) s1 = add_abs(s1, part_f32(a + i, dim - i), part_half(b + i, dim - i));
    return _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
}

#define TO_NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

AVX512 static void avx512_f16_from_f32(uint16_t *out, const float *x, size_t dim) {
    size_t i = 0;
    for (; i + 16 <= dim; i += 16)
        _mm256_storeu_si256((__m256i *)(out + i),
                            _mm512_cvtps_ph(_mm512_loadu_ps(x + i), TO_NEAREST));
    if (i < dim)
        _mm256_mask_storeu_epi16(out + i, mask16(dim - i),
                                 _mm512_cvtps_ph(part_f32(x + i, dim - i), TO_NEAREST));
}

AVX512 static void avx512_f32_from_f16(float *out, const uint16_t *x, size_t dim) {
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) _mm512_storeu_ps(out + i, load_half(x + i));
    if (i < dim)
        _mm512_mask_storeu_ps(out + i, mask16(dim - i), part_half(x + i, dim - i));
}

/* ---- int8 -------------------------------------------------------------------------------------- */

/* Steps over [i, end), the last one masked, adding to sum (a + 128) b and to sum b. */
AVX512 static int64_t dot_block(const int8_t *a, const int8_t *b, size_t n) {
    const __m512i flip = _mm512_set1_epi8((char)0x80), one = _mm512_set1_epi8(1);
    __m512i p0 = _mm512_setzero_si512(), p1 = p0, t0 = p0, t1 = p0;
    size_t i = 0;
    for (; i + 128 <= n; i += 128) {
        __m512i y0 = load_bytes(b + i), y1 = load_bytes(b + i + 64);
        p0 = _mm512_dpbusd_epi32(p0, _mm512_xor_si512(load_bytes(a + i), flip), y0);
        p1 =
            _mm512_dpbusd_epi32(p1, _mm512_xor_si512(load_bytes(a + i + 64), flip), y1);
        t0 = _mm512_dpbusd_epi32(t0, one, y0);
        t1 = _mm512_dpbusd_epi32(t1, one, y1);
    }
    for (; i + 64 <= n; i += 64) {
        __m512i y = load_bytes(b + i);
        p0 = _mm512_dpbusd_epi32(p0, _mm512_xor_si512(load_bytes(a + i), flip), y);
        t0 = _mm512_dpbusd_epi32(t0, one, y);
    }
    if (i < n) { /* b is 0 in lanes that are masked out: they add nothing */
        __m512i y = part_bytes(b + i, n - i);
        __m512i x = _mm512_xor_si512(part_bytes(a + i, n - i), flip);
        p1 = _mm512_dpbusd_epi32(p1, x, y);
        t1 = _mm512_dpbusd_epi32(t1, one, y);
    }
    return sum_i32(p0) + sum_i32(p1) - 128 * (sum_i32(t0) + sum_i32(t1));
}

AVX512 static int64_t avx512_dot_i8(const int8_t *a, const int8_t *b, size_t dim) {
    int64_t total = 0;
    for (size_t i = 0; i < dim; i += INT8_BLOCK)
        total += dot_block(a + i, b + i, dim - i < INT8_BLOCK ? dim - i : INT8_BLOCK);
    return total;
}

AVX512 static int64_t l2sq_block(const int8_t *a, const int8_t *b, size_t n) {
    const __m512i flip = _mm512_set1_epi8((char)0x80), zero = _mm512_setzero_si512();
    __m512i s0 = zero, s1 = zero;
    for (size_t i = 0; i < n; i += 64) {
        bool whole = n - i >= 64;
        __m512i x = whole ? load_bytes(a + i) : part_bytes(a + i, n - i);
        __m512i y = whole ? load_bytes(b + i) : part_bytes(b + i, n - i);
        x = _mm512_xor_si512(x, flip);
        y = _mm512_xor_si512(y, flip);
        __m512i d = _mm512_sub_epi8(_mm512_max_epu8(x, y), _mm512_min_epu8(x, y));
        __m512i low = _mm512_unpacklo_epi8(d, zero),
                high = _mm512_unpackhi_epi8(d, zero);
        s0 = _mm512_dpwssd_epi32(s0, low, low);
        s1 = _mm512_dpwssd_epi32(s1, high, high);
    }
    return sum_i32(s0) + sum_i32(s1);
}

AVX512 static int64_t avx512_l2sq_i8(const int8_t *a, const int8_t *b, size_t dim) {
    int64_t total = 0;
    for (size_t i = 0; i < dim; i += INT8_BLOCK)
        total += l2sq_block(a + i, b + i, dim - i < INT8_BLOCK ? dim - i : INT8_BLOCK);
    return total;
}

/* Sums of the four registers, one to a lane: two rounds of pairwise additions on lanes of 128
 * bits, then the four lanes of 128 bits are added. */
AVX512 static inline __m128i sums_of_4(__m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i ab =
        _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd =
        _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i all =
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all),
                                    _mm512_extracti64x4_epi64(all, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half),
                         _mm256_extracti128_si256(half, 1));
}

AVX512 static void avx512_dot4_u8i8(const uint8_t *const code[4], const int8_t *q,
                                    size_t n, int32_t out[4]) {
    const uint8_t *c0 = code[0], *c1 = code[1], *c2 = code[2], *c3 = code[3];
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0; i < n; i += 64) {
        __m512i x = load_bytes(q + i);
        s0 = _mm512_dpbusd_epi32(s0, load_bytes(c0 + i), x);
        s1 = _mm512_dpbusd_epi32(s1, load_bytes(c1 + i), x);
        s2 = _mm512_dpbusd_epi32(s2, load_bytes(c2 + i), x);
        s3 = _mm512_dpbusd_epi32(s3, load_bytes(c3 + i), x);
    }
    _mm_storeu_si128((__m128i *)(void *)out, sums_of_4(s0, s1, s2, s3));
}

AVX512 static int64_t avx512_l1_i8(const int8_t *a, const int8_t *b, size_t dim) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < dim; i += 64) {
        bool whole = dim - i >= 64;
        __m512i x = whole ? load_bytes(a + i) : part_bytes(a + i, dim - i);
        __m512i y = whole ? load_bytes(b + i) : part_bytes(b + i, dim - i);
        x = _mm512_xor_si512(x, flip);
        y = _mm512_xor_si512(y, flip);
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(x, y));
    }
    return _mm512_reduce_add_epi64(sum);
}

/* ---- bits ---------------------------------------------------------------------------------------- */

AVX512 static uint32_t avx512_hamming(const uint8_t *a, const uint8_t *b,
                                      size_t nbyte) {
    __m512i sum = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 64 <= nbyte; i += 64) {
        __m512i x = _mm512_xor_si512(load_bytes(a + i), load_bytes(b + i));
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
    }
    if (i < nbyte) {
        __m512i x = _mm512_xor_si512(part_bytes(a + i, nbyte - i),
                                     part_bytes(b + i, nbyte - i));
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
    }
    return (uint32_t)_mm512_reduce_add_epi64(sum);
}

const rec_kernels vec_avx512_kernels = {
    .name = "avx512",
    .dot = avx512_dot,
    .l2sq = avx512_l2sq,
    .l1 = avx512_l1,
    .dot_f16 = avx512_dot_f16,
    .l2sq_f16 = avx512_l2sq_f16,
    .l1_f16 = avx512_l1_f16,
    .dot_i8 = avx512_dot_i8,
    .l2sq_i8 = avx512_l2sq_i8,
    .l1_i8 = avx512_l1_i8,
    .dot4_u8i8 = avx512_dot4_u8i8,
    .hamming = avx512_hamming,
    .axpy = avx512_axpy,
    .f16_from_f32 = avx512_f16_from_f32,
    .f32_from_f16 = avx512_f32_from_f16,
};
#endif
