/* softmax.c - cross-entropy over all classes, or over a sample of them.
 *
 *     loss = -log(e^s_t / sum_c e^s_c)          d loss / d s_c = e^s_c / sum - [c = t]
 *
 * With a million classes the sum is taken over a sample, most often the right classes of the other
 * rows of a batch, which cost nothing extra. Popular classes are then met more often than rare ones,
 * and the loss would learn to score them down. Dividing each sampled term by the chance q that its
 * class is in the sample makes the sum right on average (Yi and others 2019; the target itself is
 * there for certain and is not corrected):
 *
 *     wrong = sum over sampled c that are not right of e^(s_c - log q_c)
 *     loss  = sum over targets t of w_t (log(e^s_t + wrong) - s_t)
 *     d / d s_t = -w_t wrong / (e^s_t + wrong)
 *     d / d s_c = e^(s_c - log q_c) sum over t of w_t / (e^s_t + wrong)
 *
 * One pass over the wrong columns serves all targets of a row: a row with twenty targets costs as
 * much as one with a single target.
 *
 * Logits become gradients in place, row by row, in parallel.
 *
 * Invariants
 *   I1  the largest exponent is 0: nothing overflows, whatever the logits;
 *   I2  the gradient of a row sums to 0 (what a target loses the wrong columns gain).
 */
#include "nn.h"

#include <math.h>

#define SOFTMAX_PIECE_COLUMNS 65536

static size_t grain_of(size_t m) {
    size_t rows = SOFTMAX_PIECE_COLUMNS / (m + 1);
    return rows ? rows : 1;
}

/* e^x = 2^k e^r with |r| <= log(2)/2 and a polynomial for e^r (Cephes' expf). No branch, so that
 * the compiler makes vectors of it. */
void nn_exp(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float z = x[i] > 88 ? 88 : x[i] < -87 ? -87 : x[i];
        float magic = z * 1.44269504f + 12582912.f; /* rounds to a whole number */
        float k = magic - 12582912.f;
        float r = z - k * .693359375f - k * -2.12194440e-4f;
        float p = 1.9875691500e-4f;
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        p = p * r * r + r + 1;
        int32_t bits = ((int32_t)k + 127) << 23;
        float scale;
        memcpy(&scale, &bits, sizeof scale);
        x[i] = p * scale;
    }
}

static float largest(const float *x, size_t n) {
    float most = -INFINITY;
    for (size_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* Sixteen sums side by side: exact order, and wide enough for vectors. */
static float sum_of(const float *x, size_t n) {
    float s[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t k = 0; k < 16; k++) s[k] += x[i + k];
    for (size_t k = 0; i < n; i++, k++) s[k] += x[i];
    for (size_t w = 8; w; w /= 2)
        for (size_t k = 0; k < w; k++) s[k] += s[k + w];
    return s[0];
}

/* ---- all classes ------------------------------------------------------------------- */

static rec_status softmax_rows(void *ctx, size_t begin, size_t end, int worker,
                               rec_err *err) {
    const nn_softmax_args *a = ctx;
    size_t m = a->m;
    (void)worker, (void)err;
    for (size_t i = begin; i < end; i++) {
        float *s = a->logit + i * m, weight = a->weight ? a->weight[i] : 1;
        uint32_t target = a->target[i];
        if (a->loss) a->loss[i] = 0;
        if (target == KEYS_NONE) {
            memset(s, 0, m * sizeof *s);
            continue;
        }
        float most = largest(s, m), own = s[target] - most;
        for (size_t c = 0; c < m; c++) s[c] -= most;
        nn_exp(s, m);
        float sum = sum_of(s, m), f = weight / sum;
        for (size_t c = 0; c < m; c++) s[c] *= f;
        s[target] -= weight;
        if (a->loss) a->loss[i] = weight * (logf(sum) - own);
    }
    return REC_OK;
}

rec_status nn_softmax(const nn_softmax_args *a, rec_run *run, rec_err *err) {
    return threads_for(run, a->n, grain_of(a->m), softmax_rows, (void *)a, err);
}

/* ---- a sample ------------------------------------------------------------------------ */

/* The targets of row i in s, given the sum over the wrong columns, both with `most` taken from
 * the exponents; returns what the gradient of a wrong column is multiplied by. */
static float sampled_targets(const nn_sampled_args *a, size_t i, const float *own,
                             float wrong, float *loss) {
    float *s = a->logit + i * a->m, factor = 0;
    for (size_t e = a->ptr[i]; e < a->ptr[i + 1]; e++) {
        float w = a->weight[e], x = own[e - a->ptr[i]], power = x;
        s[a->col[e]] = 0;
        if (!(w > 0)) continue;
        nn_exp(&power, 1);
        float sum = power + wrong;
        *loss += w * (logf(sum) - x);
        s[a->col[e]] = -w * (wrong / sum);
        factor += w / sum;
    }
    return factor;
}

#define SAMPLED_KEEP 256 /* right columns of a row that fit the stack */

static rec_status sampled_rows(void *ctx, size_t begin, size_t end, int worker,
                               rec_err *err) {
    const nn_sampled_args *a = ctx;
    size_t m = a->m;
    float keep[SAMPLED_KEEP];
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        float *s = a->logit + i * m;
        size_t from = a->ptr[i], n_right = a->ptr[i + 1] - from;
        float *own = n_right <= SAMPLED_KEEP ? keep : rec_array(n_right, sizeof *own);
        if (!own) return rec_nomem(err);
        for (size_t c = 0; a->prior && c < m; c++) s[c] += a->prior[c];
        for (size_t e = 0; e < n_right; e++) own[e] = s[a->col[from + e]];
        for (size_t c = 0; a->log_q && c < m; c++) s[c] -= a->log_q[c];
        for (size_t e = 0; e < n_right; e++) s[a->col[from + e]] = -INFINITY;
        float most = largest(s, m);
        for (size_t e = 0; e < n_right; e++) most = own[e] > most ? own[e] : most;
        for (size_t c = 0; c < m; c++) s[c] -= most;
        for (size_t e = 0; e < n_right; e++) own[e] -= most;
        nn_exp(s, m);
        for (size_t e = 0; e < n_right; e++) s[a->col[from + e]] = 0;
        float wrong = sum_of(s, m), loss = 0;
        float factor = sampled_targets(a, i, own, wrong, &loss);
        for (size_t c = 0; c < m; c++)
            if (s[c] > 0) s[c] *= factor;
        if (a->loss) a->loss[i] = loss;
        if (own != keep) rec_free(own);
    }
    return REC_OK;
}

rec_status nn_sampled_softmax(const nn_sampled_args *a, rec_run *run, rec_err *err) {
    return threads_for(run, a->n, grain_of(a->m), sampled_rows, (void *)a, err);
}
