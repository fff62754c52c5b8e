/* vec_cpu.c - which kernels this machine runs, names of types and metrics, norms.
 *
 *     CPUID: does the processor have it?  XCR0: does the system save its registers?
 *         avx512 (F BW VL DQ VNNI VPOPCNTDQ)  >  avx2 (FMA F16C POPCNT)  >  ref
 *         neon (AArch64)                                                 >  ref
 *
 * The choice is made once and kept in an atomic pointer: two threads that race choose the
 * same table. REC_SIMD in the environment may only lower the level; a name that this
 * machine cannot run is ignored.
 */
#include "core.h"

#include <math.h>
#include <stdlib.h>

#if defined(__x86_64__) || defined(__i386__)
#define VEC_X86 1
#include <cpuid.h>

/* CPUID bits that <cpuid.h> of some compilers lacks. */
#define BIT_FMA       (1u << 12) /* leaf 1 ecx */
#define BIT_POPCNT    (1u << 23)
#define BIT_OSXSAVE   (1u << 27)
#define BIT_F16C      (1u << 29)
#define BIT_AVX2      (1u << 5) /* leaf 7 ebx */
#define BIT_AVX512F   (1u << 16)
#define BIT_AVX512DQ  (1u << 17)
#define BIT_AVX512BW  (1u << 30)
#define BIT_AVX512VL  (1u << 31)
#define BIT_VNNI      (1u << 11) /* leaf 7 ecx */
#define BIT_VPOPCNTDQ (1u << 14)
#define XCR0_AVX      0x06u /* XMM and YMM */
#define XCR0_AVX512   0xe6u /* and opmask, upper halves, ZMM16-31 */

static uint32_t read_xcr0(void) {
    uint32_t eax, edx;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

static bool has_all(uint32_t value, uint32_t bits) {
    return (value & bits) == bits;
}

static int x86_level(void) { /* 0 ref, 1 avx2, 2 avx512 */
    uint32_t a, b, c, d, b7, c7;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (!has_all(c, BIT_FMA | BIT_F16C | BIT_POPCNT | BIT_OSXSAVE)) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d)) return 0;
    uint32_t xcr0 = read_xcr0();
    if (!has_all(b7, BIT_AVX2) || !has_all(xcr0, XCR0_AVX)) return 0;
    if (!has_all(b7, BIT_AVX512F | BIT_AVX512DQ | BIT_AVX512BW | BIT_AVX512VL))
        return 1;
    if (!has_all(c7, BIT_VNNI | BIT_VPOPCNTDQ) || !has_all(xcr0, XCR0_AVX512)) return 1;
    return 2;
}
#endif

const rec_kernels *vec_kernels_named(const char *name) {
    if (strcmp(name, "ref") == 0) return &vec_ref_kernels;
#if defined(VEC_X86)
    if (strcmp(name, "avx2") == 0 && x86_level() >= 1) return &vec_avx2_kernels;
    if (strcmp(name, "avx512") == 0 && x86_level() >= 2) return &vec_avx512_kernels;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0) return &vec_neon_kernels;
#endif
    return NULL;
}

static const rec_kernels *choose(void) {
    static const char *const best_first[] = {"avx512", "avx2", "neon", "ref"};
    const char *forced = getenv("REC_SIMD");
    const rec_kernels *k = forced ? vec_kernels_named(forced) : NULL;
    for (size_t i = 0; !k; i++) k = vec_kernels_named(best_first[i]);
    return k;
}

const rec_kernels *vec_kernels(void) {
    static _Atomic(const rec_kernels *) chosen;
    const rec_kernels *k = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (k) return k;
    k = choose();
    atomic_store_explicit(&chosen, k, memory_order_relaxed);
    return k;
}

/* ---- names and sizes ------------------------------------------------------------------ */

const char *vec_type_name(vec_type t) {
    static const char *const name[] = {"float32", "float16", "int8", "bit"};
    return (unsigned)t < 4 ? name[t] : "unknown";
}

const char *vec_metric_name(vec_metric m) {
    static const char *const name[] = {"cosine", "ip", "l2", "l1", "hamming"};
    return (unsigned)m < 5 ? name[m] : "unknown";
}

size_t vec_nbyte(vec_type t, uint32_t dim) {
    switch (t) {
    case VEC_F32: return (size_t)dim * 4;
    case VEC_F16: return (size_t)dim * 2;
    case VEC_I8: return dim;
    case VEC_BIT: return ((size_t)dim + 7) / 8;
    }
    return 0;
}

/* ---- norms ------------------------------------------------------------------------------- */

/* Squares of floats neither overflow nor vanish in double, so the norm of any finite vector
 * is right; the fast path is taken when the float sum is far from both ends. */
float vec_norm(const float *x, size_t dim) {
    float fast = vec_kernels()->dot(x, x, dim);
    if (fast > 1e-20f && fast < 1e30f) return sqrtf(fast);
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)x[i] * x[i];
    return (float)sqrt(sum);
}

bool vec_normalize(float *x, size_t dim) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)x[i] * x[i];
    if (!(sum > 0)) return false;
    double scale = 1 / sqrt(sum);
    for (size_t i = 0; i < dim; i++) x[i] = (float)(x[i] * scale);
    return true;
}

bool vec_is_finite(const float *x, size_t dim) {
    /* Exponent bits all set means infinity or NaN; no branch, so that it vectorises. */
    uint32_t bad = 0;
    for (size_t i = 0; i < dim; i++) {
        uint32_t u;
        memcpy(&u, x + i, sizeof u);
        bad |= (u & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}
