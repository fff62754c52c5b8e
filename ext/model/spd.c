/* spd.c - small symmetric positive definite systems, one per row of a factorisation.
 *
 * Alternating least squares solves tens of thousands of systems of 10 to 200 unknowns. A BLAS
 * call for one of them costs more in set-up, locks and threads than in arithmetic, and threads
 * of ours that call a threaded BLAS fight over two cores; so this file has its own three
 * routines, written so that all of their time goes into one register tile (spd_kernel.h):
 *
 *     rank_k   A += P^T P            upper triangle, row-major
 *     chol     A  = U^T U            in place, left-looking in strips of rows
 *     solve    U^T U x = b           x in place
 *
 * Shapes: n is a multiple of SPD_PAD; unknowns that pad it have zero columns in P and 1 on the
 * diagonal of A, and come out as 0. ld = spd_stride(n) is an odd multiple of 16 floats, so that a
 * column walk touches every set of a cache and not one in sixteen.
 *
 * Invariants
 *   I1  Only the upper triangle has meaning; what lies below is scratch (zero it once).
 *   I2  chol never fails: a pivot lost to rounding is replaced by SPD_MIN_PIVOT of what stood
 *       there, which damps that unknown. So solutions are finite for finite systems.
 *   I3  Sums are taken in an order that depends on n and k only, never on threads.
 *
 * Cost: n^2 k / 2 (rank_k), n^3 / 6 (chol), n^2 (solve) multiply-adds.
 */
#include "model.h"

#include <math.h>

#define SPD_MIN_PIVOT 1e-7f

/* 1 / sqrt of the pivot; `before` is the diagonal element that stood there at the start. */
static inline float spd_inverse_pivot(float pivot, float before) {
    float least = before * SPD_MIN_PIVOT;
    if (!(pivot > least)) pivot = least;
    return pivot > 0 && isfinite(pivot) ? 1 / sqrtf(pivot) : 0;
}

size_t spd_pad(size_t n) {
    return (n + SPD_PAD - 1) / SPD_PAD * SPD_PAD;
}

size_t spd_stride(size_t n) {
    size_t strips = spd_pad(n) / 16;
    return (strips | 1) * 16;
}

typedef float spd_v4 __attribute__((vector_size(16)));
#define SPD(name) ref_##name
#define SPD_ATTR
#define SPD_V  spd_v4
#define SPD_W  4
#define SPD_NV 2
#define SPD_MR 4
#include "spd_kernel.h"
static const spd_kernels spd_ref = {ref_rank_k, ref_chol, ref_solve, ref_add};

#if defined(__x86_64__) && defined(__GNUC__)
typedef float spd_v8 __attribute__((vector_size(32)));
#define SPD(name) avx2_##name
#define SPD_ATTR  __attribute__((target("avx2,fma")))
#define SPD_V     spd_v8
#define SPD_W     8
#define SPD_NV    2
#define SPD_MR    4
#include "spd_kernel.h"
static const spd_kernels spd_avx2 = {avx2_rank_k, avx2_chol, avx2_solve, avx2_add};

typedef float spd_v16 __attribute__((vector_size(64)));
#define SPD(name) avx512_##name
#define SPD_ATTR  __attribute__((target("avx512f,fma")))
#define SPD_V     spd_v16
#define SPD_W     16
#define SPD_NV    1
#define SPD_MR    8
#include "spd_kernel.h"
static const spd_kernels spd_avx512 = {avx512_rank_k, avx512_chol, avx512_solve,
                                       avx512_add};
#endif

const spd_kernels *spd_routines(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    const char *name = vec_kernels()->name;
    if (strcmp(name, "avx512") == 0) return &spd_avx512;
    if (strcmp(name, "avx2") == 0) return &spd_avx2;
#endif
    return &spd_ref;
}
