/* linalg_chol.c - Cholesky factor and solve for many small systems in parallel.
 *
 * Alternating least squares solves one symmetric positive definite system per user and per
 * item, n = 1 to a few hundred unknowns, inside threads_for. BLAS is wrong for that: it
 * locks, allocates and starts threads of its own. Here is a left-looking factorisation whose
 * inner product runs over two contiguous rows:
 *
 *     L[i][j] = (A[i][j] - L[i][0..j) . L[j][0..j)) / L[j][j]
 *
 * Only the lower triangle is read and written; L replaces it.
 *
 * Cost: n^3 / 3 flops to factor, 2 n^2 to solve.
 */
#include "core.h"

#include <math.h>

rec_status la_chol(float *a, size_t n, size_t lda) {
    const rec_kernels *k = vec_kernels();
    for (size_t j = 0; j < n; j++) {
        const float *row_j = a + j * lda;
        float left = row_j[j] - k->dot(row_j, row_j, j);
        if (!(left > 0) || isinf(left)) return REC_RANGE;
        float inverse = 1 / sqrtf(left);
        a[j * lda + j] = sqrtf(left);
        for (size_t i = j + 1; i < n; i++) {
            float *row_i = a + i * lda;
            row_i[j] = (row_i[j] - k->dot(row_i, row_j, j)) * inverse;
        }
    }
    return REC_OK;
}

void la_chol_solve(const float *l, size_t n, size_t lda, float *x) {
    const rec_kernels *k = vec_kernels();
    for (size_t i = 0; i < n; i++) { /* L y = b */
        const float *row = l + i * lda;
        x[i] = (x[i] - k->dot(row, x, i)) / row[i];
    }
    for (size_t i = n; i-- > 0;) { /* L^T x = y, a column of L^T is a row of L */
        const float *row = l + i * lda;
        x[i] /= row[i];
        k->axpy(x, -x[i], row, i);
    }
}
