/* vec_avx2.c - kernels for x86 with AVX2, FMA, F16C and POPCNT.
 *
 * The instruction set is switched on function by function, so this file needs no compiler
 * flag and the rest of the library runs on any x86. Everything has the meaning of vec_ref.c.
 *
 *     float   4 accumulators of 8 lanes hide the latency of FMA; tails by masked loads,
 *             which never touch memory behind the vector
 *     int8    widened to 16 bit, multiplied and added in pairs into 32 bit (madd), moved to
 *             64 bit every INT8_BLOCK steps, before 32 bit could overflow
 *     l1      sum of absolute byte differences (sad); flipping the sign bit turns signed
 *             order into unsigned order and keeps differences
 *     bits    population count by two table look-ups per byte (Mula, Kurz, Lemire 2018)
 */
#include "core.h"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma,f16c,popcnt")))

/* A step adds at most 2 * 255^2 = 130050 to a lane: 8192 steps stay below 2^31. */
#define INT8_BLOCK ((size_t)8192 * 16)

/* ---- sums and tails -------------------------------------------------------------------- */

AVX2 static inline float sum_f32(__m256 v) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

AVX2 static inline int64_t sum_i32(__m256i v) {
    int32_t lane[8];
    int64_t sum = 0;
    _mm256_storeu_si256((__m256i *)lane, v);
    for (int i = 0; i < 8; i++) sum += lane[i];
    return sum;
}

AVX2 static inline uint64_t sum_u64(__m256i v) {
    uint64_t lane[4];
    _mm256_storeu_si256((__m256i *)lane, v);
    return lane[0] + lane[1] + lane[2] + lane[3];
}

AVX2 static inline __m256i tail_mask(size_t n) { /* first n of 8 lanes */
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

AVX2 static inline __m256 abs_f32(__m256 v) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

/* ---- float32 ----------------------------------------------------------------------------- */

AVX2 static float avx2_dot(const float *a, const float *b, size_t dim) {
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
        s1 =
            _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), s1);
        s2 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 16), _mm256_loadu_ps(b + i + 16),
                             s2);
        s3 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 24), _mm256_loadu_ps(b + i + 24),
                             s3);
    }
    for (; i + 8 <= dim; i += 8)
        s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
    if (i < dim) {
        __m256i m = tail_mask(dim - i);
        s1 = _mm256_fmadd_ps(_mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m),
                             s1);
    }
    return sum_f32(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

AVX2 static inline __m256 add_square(__m256 sum, __m256 a, __m256 b) {
    __m256 d = _mm256_sub_ps(a, b);
    return _mm256_fmadd_ps(d, d, sum);
}

AVX2 static float avx2_l2sq(const float *a, const float *b, size_t dim) {
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        s0 = add_square(s0, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
        s1 = add_square(s1, _mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8));
        s2 = add_square(s2, _mm256_loadu_ps(a + i + 16), _mm256_loadu_ps(b + i + 16));
        s3 = add_square(s3, _mm256_loadu_ps(a + i + 24), _mm256_loadu_ps(b + i + 24));
    }
    for (; i + 8 <= dim; i += 8)
        s0 = add_square(s0, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
    if (i < dim) {
        __m256i m = tail_mask(dim - i);
        s1 = add_square(s1, _mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m));
    }
    return sum_f32(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

AVX2 static inline __m256 add_abs(__m256 sum, __m256 a, __m256 b) {
    return _mm256_add_ps(sum, abs_f32(_mm256_sub_ps(a, b)));
}

AVX2 static float avx2_l1(const float *a, const float *b, size_t dim) {
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        s0 = add_abs(s0, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
        s1 = add_abs(s1, _mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8));
        s2 = add_abs(s2, _mm256_loadu_ps(a + i + 16), _mm256_loadu_ps(b + i + 16));
        s3 = add_abs(s3, _mm256_loadu_ps(a + i + 24), _mm256_loadu_ps(b + i + 24));
    }
    for (; i + 8 <= dim; i += 8)
        s0 = add_abs(s0, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
    if (i < dim) {
        __m256i m = tail_mask(dim - i);
        s1 = add_abs(s1, _mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m));
    }
    return sum_f32(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

AVX2 static void avx2_axpy(float *y, float alpha, const float *x, size_t dim) {
    __m256 k = _mm256_set1_ps(alpha);
    size_t i = 0;
    for (; i + 8 <= dim; i += 8)
        _mm256_storeu_ps(
            y + i, _mm256_fmadd_ps(k, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    if (i < dim) {
        __m256i m = tail_mask(dim - i);
        __m256 v = _mm256_fmadd_ps(k, _mm256_maskload_ps(x + i, m),
                                   _mm256_maskload_ps(y + i, m));
        _mm256_maskstore_ps(y + i, m, v);
    }
}

/* ---- float16 -------------------------------------------------------------------------------- */

AVX2 static inline __m256 load_half(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

AVX2 static inline __m256 tail_half(const uint16_t *p, size_t n) { /* n < 8 */
    uint16_t lane[8] = {0};
    memcpy(lane, p, n * sizeof *lane);
    return load_half(lane);
}

AVX2 static float avx2_dot_f16(const float *a, const uint16_t *b, size_t dim) {
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), load_half(b + i), s0);
        s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), load_half(b + i + 8), s1);
        s2 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 16), load_half(b + i + 16), s2);
        s3 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 24), load_half(b + i + 24), s3);
    }
    for (; i + 8 <= dim; i += 8)
        s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), load_half(b + i), s0);
    if (i < dim) {
        __m256 x = _mm256_maskload_ps(a + i, tail_mask(dim - i));
        s1 = _mm256_fmadd_ps(x, tail_half(b + i, dim - i), s1);
    }
    return sum_f32(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

AVX2 static float avx2_l2sq_f16(const float *a, const uint16_t *b, size_t dim) {
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        s0 = add_square(s0, _mm256_loadu_ps(a + i), load_half(b + i));
        s1 = add_square(s1, _mm256_loadu_ps(a + i + 8), load_half(b + i + 8));
        s2 = add_square(s2, _mm256_loadu_ps(a + i + 16), load_half(b + i + 16));
        s3 = add_square(s3, _mm256_loadu_ps(a + i + 24), load_half(b + i + 24));
    }
    for (; i + 8 <= dim; i += 8)
        s0 = add_square(s0, _mm256_loadu_ps(a + i), load_half(b + i));
    if (i < dim) {
        __m256 x = _mm256_maskload_ps(a + i, tail_mask(dim - i));
        s1 = add_square(s1, x, tail_half(b + i, dim - i));
    }
    return sum_f32(_mm256_add_ps(_mm256_add_ps(s0, s1), _mm256_add_ps(s2, s3)));
}

AVX2 static float avx2_l1_f16(const float *a, const uint16_t *b, size_t dim) {
    __m256 s0 = _mm256_setzero_ps(), s1 = s0;
    size_t i = 0;
    for (; i + 16 <= dim; i += 16) {
        s0 = add_abs(s0, _mm256_loadu_ps(a + i), load_half(b + i));
        s1 = add_abs(s1, _mm256_loadu_ps(a + i + 8), load_half(b + i + 8));
    }
    for (; i + 8 <= dim; i += 8)
        s0 = add_abs(s0, _mm256_loadu_ps(a + i), load_half(b + i));
    if (i < dim) {
        __m256 x = _mm256_maskload_ps(a + i, tail_mask(dim - i));
        s1 = add_abs(s1, x, tail_half(b + i, dim - i));
    }
    return sum_f32(_mm256_add_ps(s0, s1));
}

AVX2 static void avx2_f16_from_f32(uint16_t *out, const float *x, size_t dim) {
    for (size_t i = 0; i < dim; i += 8) {
        size_t n = dim - i < 8 ? dim - i : 8;
        __m256 v =
            n == 8 ? _mm256_loadu_ps(x + i) : _mm256_maskload_ps(x + i, tail_mask(n));
        __m128i h = _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        uint16_t lane[8];
        _mm_storeu_si128((__m128i *)lane, h);
        memcpy(out + i, lane, n * sizeof *lane);
    }
}

AVX2 static void avx2_f32_from_f16(float *out, const uint16_t *x, size_t dim) {
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) _mm256_storeu_ps(out + i, load_half(x + i));
    if (i < dim)
        _mm256_maskstore_ps(out + i, tail_mask(dim - i), tail_half(x + i, dim - i));
}

/* ---- int8 -------------------------------------------------------------------------------------- */

AVX2 static inline __m256i load_wide(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}

AVX2 static int64_t avx2_dot_i8(const int8_t *a, const int8_t *b, size_t dim) {
    size_t i = 0, whole = dim & ~(size_t)15;
    int64_t total = 0;
    while (i < whole) {
        size_t end = whole - i > INT8_BLOCK ? i + INT8_BLOCK : whole;
        __m256i s0 = _mm256_setzero_si256(), s1 = s0;
        for (; i + 32 <= end; i += 32) {
            __m256i p0 = _mm256_madd_epi16(load_wide(a + i), load_wide(b + i));
            __m256i p1 =
                _mm256_madd_epi16(load_wide(a + i + 16), load_wide(b + i + 16));
            s0 = _mm256_add_epi32(s0, p0);
            s1 = _mm256_add_epi32(s1, p1);
        }
        for (; i < end; i += 16)
            s0 = _mm256_add_epi32(
                s0, _mm256_madd_epi16(load_wide(a + i), load_wide(b + i)));
        total += sum_i32(s0) + sum_i32(s1);
    }
    for (; i < dim; i++) total += (int)a[i] * (int)b[i];
    return total;
}

AVX2 static inline __m256i square_difference(const int8_t *a, const int8_t *b) {
    __m256i d = _mm256_sub_epi16(load_wide(a), load_wide(b));
    return _mm256_madd_epi16(d, d);
}

AVX2 static int64_t avx2_l2sq_i8(const int8_t *a, const int8_t *b, size_t dim) {
    size_t i = 0, whole = dim & ~(size_t)15;
    int64_t total = 0;
    while (i < whole) {
        size_t end = whole - i > INT8_BLOCK ? i + INT8_BLOCK : whole;
        __m256i s0 = _mm256_setzero_si256(), s1 = s0;
        for (; i + 32 <= end; i += 32) {
            s0 = _mm256_add_epi32(s0, square_difference(a + i, b + i));
            s1 = _mm256_add_epi32(s1, square_difference(a + i + 16, b + i + 16));
        }
        for (; i < end; i += 16)
            s0 = _mm256_add_epi32(s0, square_difference(a + i, b + i));
        total += sum_i32(s0) + sum_i32(s1);
    }
    for (; i < dim; i++) {
        int d = (int)a[i] - (int)b[i];
        total += d * d;
    }
    return total;
}

/* VPMADDUBSW would saturate at 2 * 255 * 127, so both sides are widened to 16 bits first. */
AVX2 static void avx2_dot4_u8i8(const uint8_t *const code[4], const int8_t *q, size_t n,
                                int32_t out[4]) {
    __m256i s[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(),
                    _mm256_setzero_si256(), _mm256_setzero_si256()};
    for (size_t i = 0; i < n; i += 16) {
        __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(q + i)));
        for (int j = 0; j < 4; j++) {
            __m128i c = _mm_loadu_si128((const __m128i *)(code[j] + i));
            s[j] =
                _mm256_add_epi32(s[j], _mm256_madd_epi16(_mm256_cvtepu8_epi16(c), x));
        }
    }
    __m256i t =
        _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
    _mm_storeu_si128(
        (__m128i *)(void *)out,
        _mm_add_epi32(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1)));
}

AVX2 static int64_t avx2_l1_i8(const int8_t *a, const int8_t *b, size_t dim) {
    __m256i flip = _mm256_set1_epi8((char)0x80), sum = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= dim; i += 32) {
        __m256i x =
            _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + i)), flip);
        __m256i y =
            _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(b + i)), flip);
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(x, y));
    }
    int64_t total = (int64_t)sum_u64(sum);
    for (; i < dim; i++) total += a[i] < b[i] ? b[i] - a[i] : a[i] - b[i];
    return total;
}

/* ---- bits ---------------------------------------------------------------------------------------- */

AVX2 static uint32_t avx2_hamming(const uint8_t *a, const uint8_t *b, size_t nbyte) {
    const __m256i count =
        _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, /* */
                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15), zero = _mm256_setzero_si256();
    __m256i sum = zero;
    size_t i = 0;
    for (; i + 32 <= nbyte; i += 32) {
        __m256i x = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + i)),
                                     _mm256_loadu_si256((const __m256i *)(b + i)));
        __m256i low = _mm256_shuffle_epi8(count, _mm256_and_si256(x, nibble));
        __m256i high = _mm256_shuffle_epi8(
            count, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_add_epi8(low, high), zero));
    }
    uint64_t total = sum_u64(sum);
    for (; i < nbyte; i++) total += (unsigned)_mm_popcnt_u32((unsigned)(a[i] ^ b[i]));
    return (uint32_t)total;
}

const rec_kernels vec_avx2_kernels = {
    .name = "avx2",
    .dot = avx2_dot,
    .l2sq = avx2_l2sq,
    .l1 = avx2_l1,
    .dot_f16 = avx2_dot_f16,
    .l2sq_f16 = avx2_l2sq_f16,
    .l1_f16 = avx2_l1_f16,
    .dot_i8 = avx2_dot_i8,
    .l2sq_i8 = avx2_l2sq_i8,
    .l1_i8 = avx2_l1_i8,
    .dot4_u8i8 = avx2_dot4_u8i8,
    .hamming = avx2_hamming,
    .axpy = avx2_axpy,
    .f16_from_f32 = avx2_f16_from_f32,
    .f32_from_f16 = avx2_f32_from_f16,
};
#endif
