/* wide.c - distances of vectors that are very long or very short.
 *
 *     |v|    0     1e-45        1e-15                    1e15         3e38
 *            |-------|------------|-----------------------|------------|
 *           zero       double     |   float32, kernels    |   double
 *
 * Kernels add up float32 products. A square of 1e-30 vanishes there and one of 1e20 is
 * infinite, though distances between such vectors are ordinary numbers. So a kernel's sum is
 * used where it must be right: lengths within the range above (index_inverse_norm says which
 * are not), squared differences within [WIDE_MIN, WIDE_MAX], other sums that are finite. All
 * else is computed again in double, which neither overflows nor vanishes for float32 elements.
 *
 * What is handed out is a float32: beyond its range it is the largest finite number, below it
 * 0, never infinite and never NaN.
 *
 * Invariants
 *   I1. flat and hnsw take their distances from index_finish, so they agree to the bit.
 *
 * Cost: two comparisons a distance; in double about ten times what a kernel costs.
 */
#include "index.h"

#include <float.h>
#include <math.h>

#define PIECE 256u

typedef struct sums {
    double dot, aa, bb, l2sq, l1;
} sums;

static sums wide_sums(vec_type ta, const void *a, vec_type tb, const void *b,
                      uint32_t dim) {
    sums s = {0};
    float x[PIECE], y[PIECE];
    for (uint32_t at = 0; at < dim; at += PIECE) {
        uint32_t n = dim - at < PIECE ? dim - at : PIECE;
        index_decode(ta, (const char *)a + at * vec_nbyte(ta, 8) / 8, n, x);
        index_decode(tb, (const char *)b + at * vec_nbyte(tb, 8) / 8, n, y);
        for (uint32_t i = 0; i < n; i++) {
            double p = (double)x[i], q = (double)y[i], d = p - q;
            s.dot += p * q;
            s.aa += p * p;
            s.bb += q * q;
            s.l2sq += d * d;
            s.l1 += fabs(d);
        }
    }
    return s;
}

double index_wide_distance(vec_metric m, vec_type ta, const void *a, vec_type tb,
                           const void *b, uint32_t dim) {
    sums s = wide_sums(ta, a, tb, b, dim);
    if (m == METRIC_IP) return 0.0 - s.dot; /* no -0.0 */
    if (m == METRIC_L2) return sqrt(s.l2sq);
    if (m == METRIC_L1) return s.l1;
    double norms = sqrt(s.aa) * sqrt(s.bb), d = norms > 0 ? 1.0 - s.dot / norms : 1.0;
    return d < 0 ? 0 : d > 2 ? 2 : d;
}

static double square_of(vec_type t, const void *v, uint32_t dim) {
    const rec_kernels *k = vec_kernels();
    double sum = 0;
    float x[PIECE];
    if (t == VEC_I8) return (double)k->dot_i8(v, v, dim);
    if (t == VEC_F32) return (double)k->dot(v, v, dim);
    for (uint32_t at = 0; at < dim; at += PIECE) {
        uint32_t n = dim - at < PIECE ? dim - at : PIECE;
        index_decode(t, (const char *)v + (size_t)at * 2, n, x);
        sum += (double)k->dot(x, x, n);
    }
    return sum;
}

float index_inverse_norm(vec_type t, const void *v, uint32_t dim) {
    double sum = square_of(t, v, dim);
    if (index_is_narrow((float)sum)) return (float)(1.0 / sqrt(sum));
    if (t != VEC_F32) return sum > 0 ? (float)(1.0 / sqrt(sum)) : 0;
    return wide_sums(t, v, t, v, dim).aa > 0 ? INDEX_WIDE : 0;
}

float index_finish_wide(const index_exact *q, const void *v) {
    if (q->metric == METRIC_L2 && q->type == VEC_F32 &&
        memcmp(q->x, v, q->dim * sizeof(float)) == 0)
        return 0;
    double d = index_wide_distance(q->metric, VEC_F32, q->x, q->type, v, q->dim);
    if (d > (double)FLT_MAX) return FLT_MAX;
    if (d < -(double)FLT_MAX) return -FLT_MAX;
    return (float)d;
}
