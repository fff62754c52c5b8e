/* spd_kernel.h - the routines of spd.c for one instruction set; spd.c includes it once for each.
 *
 * Set before inclusion: SPD(name) makes a name, SPD_ATTR the target attribute, SPD_V a vector of
 * SPD_W floats, SPD_MR x (SPD_NV vectors) the tile held in registers.
 *
 * Everything rests on one product, of two sets of columns of the same row-major panel P:
 *
 *     tile[i][j] = sum over r < k of P[r][i0 + i] * P[r][j0 + j]
 *
 * With P = scaled histories it is the rank-k update A += P^T P; with P = the rows of U found so
 * far it is the left-looking Cholesky step. Both operands of a step lie in one row, so nothing
 * is ever packed or transposed.
 */

#define SPD_NR (SPD_W * SPD_NV)

SPD_ATTR static inline __attribute__((always_inline)) void
SPD(tile)(const float *p, size_t k, size_t ld, size_t i0, size_t j0,
          SPD_V acc[SPD_MR][SPD_NV]) {
    for (int i = 0; i < SPD_MR; i++)
        for (int v = 0; v < SPD_NV; v++) acc[i][v] = (SPD_V){0};
    const float *left = p + i0, *right = p + j0;
    for (size_t r = 0; r < k; r++, left += ld, right += ld) {
        SPD_V b[SPD_NV];
        memcpy(b, right, sizeof b);
#pragma GCC unroll 8
        for (int i = 0; i < SPD_MR; i++)
#pragma GCC unroll 2
            for (int v = 0; v < SPD_NV; v++) acc[i][v] += left[i] * b[v];
    }
}

/* A[n x ld] += P^T P on and above the diagonal; P is k x ld. */
SPD_ATTR static void SPD(rank_k)(float *a, size_t n, size_t ld, const float *p,
                                 size_t k) {
    for (size_t i0 = 0; i0 < n; i0 += SPD_MR)
        for (size_t j0 = i0 - i0 % SPD_NR; j0 < n; j0 += SPD_NR) {
            SPD_V acc[SPD_MR][SPD_NV], c[SPD_NV];
            SPD(tile)(p, k, ld, i0, j0, acc);
            for (int i = 0; i < SPD_MR; i++) {
                float *row = a + (i0 + (size_t)i) * ld + j0;
                memcpy(c, row, sizeof c);
                for (int v = 0; v < SPD_NV; v++) c[v] += acc[i][v];
                memcpy(row, c, sizeof c);
            }
        }
}

/* y[from..n) -= f * x[from..n) */
SPD_ATTR static inline __attribute__((always_inline)) void
SPD(subtract)(float *y, const float *x, float f, size_t from, size_t n) {
    for (; from < n && from % SPD_W; from++) y[from] -= f * x[from];
    for (; from < n; from += SPD_W) {
        SPD_V a, b;
        memcpy(&a, y + from, sizeof a);
        memcpy(&b, x + from, sizeof b);
        a -= f * b;
        memcpy(y + from, &a, sizeof a);
    }
}

/* A = U^T U in place, upper triangle; the diagonal receives 1 / U[i][i]. */
SPD_ATTR static void SPD(chol)(float *a, size_t n, size_t ld) {
    for (size_t k0 = 0; k0 < n; k0 += SPD_MR) {
        float before[SPD_MR];
        for (size_t i = 0; i < SPD_MR; i++) before[i] = a[(k0 + i) * ld + k0 + i];
        for (size_t j0 = k0 - k0 % SPD_NR; j0 < n; j0 += SPD_NR) {
            SPD_V acc[SPD_MR][SPD_NV], c[SPD_NV];
            SPD(tile)(a, k0, ld, k0, j0, acc);
            for (int i = 0; i < SPD_MR; i++) {
                float *row = a + (k0 + (size_t)i) * ld + j0;
                memcpy(c, row, sizeof c);
                for (int v = 0; v < SPD_NV; v++) c[v] -= acc[i][v];
                memcpy(row, c, sizeof c);
            }
        }
        for (size_t i = 0; i < SPD_MR; i++) {
            float *row = a + (k0 + i) * ld;
            float inv = spd_inverse_pivot(row[k0 + i], before[i]);
            row[k0 + i] = inv;
            for (size_t j = k0 + i + 1; j < n; j++) row[j] *= inv;
            for (size_t below = i + 1; below < SPD_MR; below++) SPD(subtract)
            (row + (below - i) * ld, row, row[k0 + below], k0 + below, n);
        }
    }
}

/* x[n]: right-hand side -> solution of U^T U x = b. */
SPD_ATTR static void SPD(solve)(const float *u, size_t n, size_t ld, float *x) {
    for (size_t k = 0; k < n; k++) {
        x[k] *= u[k * ld + k];
        SPD(subtract)(x, u + k * ld, x[k], k + 1, n);
    }
    for (size_t k = n; k-- > 0;) {
        const float *row = u + k * ld;
        SPD_V sum = {0}, a, b;
        float dot = 0;
        size_t j = k + 1;
        for (; j < n && j % SPD_W; j++) dot += row[j] * x[j];
        for (; j < n; j += SPD_W) {
            memcpy(&a, row + j, sizeof a);
            memcpy(&b, x + j, sizeof b);
            sum += a * b;
        }
        for (int i = 0; i < SPD_W; i++) dot += sum[i];
        x[k] = (x[k] - dot) * row[k];
    }
}

/* y[n] += f * x[n], any n. */
SPD_ATTR static void SPD(add)(float *y, const float *x, float f, size_t n) {
    size_t i = 0;
    for (; i + SPD_W <= n; i += SPD_W) {
        SPD_V a, b;
        memcpy(&a, y + i, sizeof a);
        memcpy(&b, x + i, sizeof b);
        a += f * b;
        memcpy(y + i, &a, sizeof a);
    }
    for (; i < n; i++) y[i] += f * x[i];
}

#undef SPD_NR
#undef SPD
#undef SPD_ATTR
#undef SPD_V
#undef SPD_W
#undef SPD_NV
#undef SPD_MR
