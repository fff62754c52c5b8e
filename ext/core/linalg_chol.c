/* linalg_chol.c - Cholesky factor and solve for many small systems in parallel.
 *
 * Alternating least squares solves one symmetric positive definite system per user and per
 * item, n = 1 to a few hundred unknowns, inside threads_for. BLAS is wrong for that: it
 * locks, allocates and starts threads of its own. This is a left-looking factorisation in
 * blocks of 16 columns:
 *
 *             k           J   J+16
 *         +-------------+                     for each block of columns J..J+16
 *         |      L      |  done                 1. C -= R T     T: rows J..J+16 of L so far,
 *         +-------------+---+                                      transposed into scratch
 *      J  |      T^T    | D |                   2. D = L_D L_D^T, a 16 x 16 problem
 *         +-------------+---+                   3. C <- C L_D^-T, the inverse is explicit
 *         |      R      | C |
 *         +-------------+---+
 *
 * Steps 1 and 3 are one inner loop: some rows of 16 lanes, each fed by a broadcast element.
 * It is written with the vector types of gcc and clang and compiled for three instruction
 * sets from one text; the lanes are split over narrower registers where needed.
 *
 * Invariants
 *   I1  Nothing above the diagonal is read or written, nor anything beyond column n.
 *   I2  No allocation, no shared state: callable from any thread.
 *   I3  The result depends on the instruction set alone, not on threads or addresses.
 *
 * Explicit inverses of 16 x 16 triangles do not hurt: such a block of a positive definite
 * matrix with a ridge, as all of ours have, is well conditioned, and the tests compare.
 *
 * Cost: n^3 / 3 multiply-adds to factor, n^2 to solve.
 */
#include "core.h"

#include <math.h>

#define NB     16  /* columns of a block, lanes of a vector */
#define KB     256 /* columns of L that are packed at a time: 16 KiB */
#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(4 * NB)));
typedef float half_lanes __attribute__((vector_size(2 * NB)));
typedef int32_t lane_mask __attribute__((vector_size(4 * NB)));

/* ---- the inner loop ---------------------------------------------------------------------- */

/* out[r][0..16) = sum over k < n_k of a[r][k] * t[k][0..16), for R rows; R is a constant
 * after inlining, so that the sums stay in registers. Two forms, because compilers keep a
 * vector that is wider than a register in memory. */
INLINE void rows_wide(const float *a, size_t lda, const float *t, size_t n_k,
                      const int R, float out[][NB]) {
    lanes sum[8], row;
    for (int r = 0; r < R; r++) sum[r] = (lanes){0};
    for (size_t k = 0; k < n_k; k++) {
        memcpy(&row, t + k * NB, sizeof row);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) sum[r] += a[(size_t)r * lda + k] * row;
    }
    for (int r = 0; r < R; r++) memcpy(out[r], &sum[r], sizeof sum[r]);
}

INLINE void rows_halves(const float *a, size_t lda, const float *t, size_t n_k,
                        const int R, float out[][NB]) {
    half_lanes low[8], high[8], u, v;
    for (int r = 0; r < R; r++) low[r] = high[r] = (half_lanes){0};
    for (size_t k = 0; k < n_k; k++) {
        memcpy(&u, t + k * NB, sizeof u);
        memcpy(&v, t + k * NB + NB / 2, sizeof v);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            float x = a[(size_t)r * lda + k];
            low[r] += x * u;
            high[r] += x * v;
        }
    }
    for (int r = 0; r < R; r++) {
        memcpy(out[r], &low[r], sizeof low[r]);
        memcpy(out[r] + NB / 2, &high[r], sizeof high[r]);
    }
}

/* How a variant is compiled: a constant wherever it is used, after inlining. */
typedef struct shape {
    int rows;  /* rows that are worked on together, at most 8 */
    bool wide; /* the compiler handles 16 lanes well on this instruction set */
} shape;

/* The next rows of a times t into out; returns how many of the n_rows were taken. */
INLINE int rows_times(const float *a, size_t lda, size_t n_rows, const float *t,
                      size_t n_k, float out[][NB], const shape s) {
    if (n_rows >= (size_t)s.rows) {
        if (s.wide)
            rows_wide(a, lda, t, n_k, s.rows, out);
        else
            rows_halves(a, lda, t, n_k, s.rows, out);
        return s.rows;
    }
    if (s.wide)
        rows_wide(a, lda, t, n_k, 1, out);
    else
        rows_halves(a, lda, t, n_k, 1, out);
    return 1;
}

/* c -= a t for n_rows rows of 16 columns; c and a have the stride of the matrix. */
INLINE void panel_subtract(float *c, const float *a, size_t lda, size_t n_rows,
                           const float *t, size_t n_k, const shape s) {
    float out[8][NB];
    for (size_t i = 0; i < n_rows;) {
        int step = rows_times(a + i * lda, lda, n_rows - i, t, n_k, out, s);
        for (int r = 0; r < step; r++, i++)
            for (size_t k = 0; k < NB; k++) c[i * lda + k] -= out[r][k];
    }
}

/* c <- c t, t: 16 x 16 */
INLINE void panel_multiply(float *c, size_t lda, size_t n_rows, const float *t,
                           const shape s) {
    float out[8][NB];
    for (size_t i = 0; i < n_rows;) {
        int step = rows_times(c + i * lda, lda, n_rows - i, t, NB, out, s);
        for (int r = 0; r < step; r++, i++) memcpy(c + i * lda, out[r], sizeof out[r]);
    }
}

/* As panel_subtract for the rows of the diagonal block, of which only a triangle exists
 * (I1). */
INLINE void triangle_subtract(float *d, const float *a, size_t lda, size_t n_rows,
                              const float *t, size_t n_k, const shape s) {
    float out[8][NB];
    for (size_t i = 0; i < n_rows;) {
        int step = rows_times(a + i * lda, lda, n_rows - i, t, n_k, out, s);
        for (int r = 0; r < step; r++, i++)
            for (size_t k = 0; k <= i; k++) d[i * lda + k] -= out[r][k];
    }
}

/* ---- the diagonal block --------------------------------------------------------------------- */

/* Factors the triangle at d (n_rows <= 16) in place; col[j]: column j of the factor, with
 * rubbish above the diagonal. Columns beyond n_rows are those of the unit matrix. */
INLINE bool factor_block(float *d, size_t lda, size_t n_rows, lanes col[NB],
                         float inv[NB]) {
    float x[NB][NB] = {{0}};
    for (size_t j = 0; j < NB; j++) x[j][j] = 1;
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j <= i; j++) x[j][i] = d[i * lda + j];
    memcpy(col, x, sizeof x);
    for (size_t j = 0; j < NB; j++) {
        float pivot = col[j][j];
        if (!(pivot > 0) || isinf(pivot)) return false;
        inv[j] = 1 / sqrtf(pivot);
        col[j] *= inv[j];
        for (size_t k = j + 1; k < NB; k++) col[k] -= col[j][k] * col[j];
    }
    memcpy(x, col, sizeof x);
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j <= i; j++) d[i * lda + j] = x[j][i];
    return true;
}

/* y[k] = L^-1 e_k, that is row k of L^-T: what step 3 multiplies by. */
INLINE void invert_block(const lanes col[NB], const float inv[NB], lanes y[NB]) {
    const lane_mask number = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int k = 0; k < NB; k++) {
        y[k] = (lanes){0};
        y[k][k] = 1;
    }
    for (int j = 0; j < NB; j++) {
        lane_mask below = number > j;
        lanes strict = (lanes)((lane_mask)col[j] & below);
        for (int k = 0; k <= j; k++) {
            float t = y[k][j] * inv[j];
            y[k] -= t * strict;
            y[k][j] = t;
        }
    }
}

/* ---- factor ------------------------------------------------------------------------------------ */

/* t[k][c] = L[J + c][k0 + k], zero for c >= n_rows. */
INLINE void pack(const float *l, size_t lda, size_t n_rows, size_t n_k, float *t) {
    if (n_rows < NB) memset(t, 0, n_k * NB * sizeof *t);
    for (size_t c = 0; c < n_rows; c++)
        for (size_t k = 0; k < n_k; k++) t[k * NB + c] = l[c * lda + k];
}

INLINE rec_status factor(float *a, size_t n, size_t lda, const shape s) {
    float t[KB * NB], inv[NB];
    lanes col[NB], y[NB];
    for (size_t J = 0; J < n; J += NB) {
        size_t width = n - J < NB ? n - J : NB, n_below = n - J - width;
        float *d = a + J * lda + J, *below = d + NB * lda;
        for (size_t k0 = 0; k0 < J; k0 += KB) {
            size_t n_k = J - k0 < KB ? J - k0 : KB;
            const float *rows = a + J * lda + k0;
            pack(rows, lda, width, n_k, t);
            triangle_subtract(d, rows, lda, width, t, n_k, s);
            if (n_below)
                panel_subtract(below, rows + NB * lda, lda, n_below, t, n_k, s);
        }
        if (!factor_block(d, lda, width, col, inv)) return REC_RANGE;
        if (n_below == 0) break;
        invert_block(col, inv, y);
        memcpy(t, y, sizeof y);
        panel_multiply(below, lda, n_below, t, s);
    }
    return REC_OK;
}

/* ---- solve ------------------------------------------------------------------------------------- */

/* x[J..] -= L[J.., 0..J) x[0..J), J a multiple of 16. */
INLINE void forward_update(const float *l, size_t lda, size_t J, size_t width,
                           float *x) {
    for (size_t r = 0; r < width; r++) {
        half_lanes low = {0}, high = {0}, u, v;
        const float *row = l + (J + r) * lda;
        float part[NB / 2], s = 0;
        for (size_t k = 0; k < J; k += NB) {
            memcpy(&u, row + k, sizeof u);
            memcpy(&v, x + k, sizeof v);
            low += u * v;
            memcpy(&u, row + k + NB / 2, sizeof u);
            memcpy(&v, x + k + NB / 2, sizeof v);
            high += u * v;
        }
        low += high;
        memcpy(part, &low, sizeof part);
        for (int k = 0; k < NB / 2; k++) s += part[k];
        x[J + r] -= s;
    }
}

/* x[0..J) -= L[J.., 0..J)^T x[J..] */
INLINE void backward_update(const float *l, size_t lda, size_t J, size_t width,
                            float *x) {
    for (size_t k = 0; k < J; k += NB / 2) {
        half_lanes even, odd = {0}, u;
        size_t r = 0;
        memcpy(&even, x + k, sizeof even);
        for (; r + 2 <= width; r += 2) {
            memcpy(&u, l + (J + r) * lda + k, sizeof u);
            even -= x[J + r] * u;
            memcpy(&u, l + (J + r + 1) * lda + k, sizeof u);
            odd -= x[J + r + 1] * u;
        }
        if (r < width) {
            memcpy(&u, l + (J + r) * lda + k, sizeof u);
            even -= x[J + r] * u;
        }
        even += odd;
        memcpy(x + k, &even, sizeof even);
    }
}

/* L_D y = x and L_D^T y = x for a block of `width`, column by column: what follows from an
 * unknown is subtracted as soon as it is known, so only one chain of operations is serial. */
INLINE void forward_block(const float *d, size_t lda, size_t width, float *x) {
    float inv[NB], y[NB];
    for (size_t r = 0; r < width; r++) inv[r] = 1 / d[r * lda + r], y[r] = x[r];
    for (size_t r = 0; r < width; r++) {
        x[r] = y[r] *= inv[r];
        for (size_t q = r + 1; q < width; q++) y[q] -= y[r] * d[q * lda + r];
    }
}

INLINE void backward_block(const float *d, size_t lda, size_t width, float *x) {
    float inv[NB], y[NB];
    for (size_t r = 0; r < width; r++) inv[r] = 1 / d[r * lda + r], y[r] = x[r];
    for (size_t r = width; r-- > 0;) {
        x[r] = y[r] *= inv[r];
        for (size_t q = 0; q < r; q++) y[q] -= y[r] * d[r * lda + q];
    }
}

INLINE void solve(const float *l, size_t n, size_t lda, float *x) {
    for (size_t J = 0; J < n; J += NB) {
        size_t width = n - J < NB ? n - J : NB;
        const float *d = l + J * lda + J;
        forward_update(l, lda, J, width, x);
        if (width == NB)
            forward_block(d, lda, NB, x + J);
        else
            forward_block(d, lda, width, x + J);
    }
    for (size_t J = (n - 1) / NB * NB;; J -= NB) {
        size_t width = n - J < NB ? n - J : NB;
        const float *d = l + J * lda + J;
        if (width == NB)
            backward_block(d, lda, NB, x + J);
        else
            backward_block(d, lda, width, x + J);
        backward_update(l, lda, J, width, x);
        if (J == 0) break;
    }
}

/* ---- one text, three instruction sets ------------------------------------------------------------ */

static rec_status factor_plain(float *a, size_t n, size_t lda) {
    return factor(a, n, lda, (shape){2, true});
}

static void solve_plain(const float *l, size_t n, size_t lda, float *x) {
    solve(l, n, lda, x);
}

#if defined(__x86_64__) || defined(__i386__)
#define AVX2   __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))

AVX2 static rec_status factor_avx2(float *a, size_t n, size_t lda) {
    return factor(a, n, lda, (shape){4, false});
}

AVX2 static void solve_avx2(const float *l, size_t n, size_t lda, float *x) {
    solve(l, n, lda, x);
}

AVX512 static rec_status factor_avx512(float *a, size_t n, size_t lda) {
    return factor(a, n, lda, (shape){8, true});
}

AVX512 static void solve_avx512(const float *l, size_t n, size_t lda, float *x) {
    solve(l, n, lda, x);
}
#endif

rec_status la_chol(float *a, size_t n, size_t lda) {
#if defined(__x86_64__) || defined(__i386__)
    const rec_kernels *k = vec_kernels();
    if (k == &vec_avx512_kernels) return factor_avx512(a, n, lda);
    if (k == &vec_avx2_kernels) return factor_avx2(a, n, lda);
#endif
    return factor_plain(a, n, lda);
}

void la_chol_solve(const float *l, size_t n, size_t lda, float *x) {
    if (n == 0) return;
#if defined(__x86_64__) || defined(__i386__)
    const rec_kernels *k = vec_kernels();
    if (k == &vec_avx512_kernels) {
        solve_avx512(l, n, lda, x);
        return;
    }
    if (k == &vec_avx2_kernels) {
        solve_avx2(l, n, lda, x);
        return;
    }
#endif
    solve_plain(l, n, lda, x);
}
