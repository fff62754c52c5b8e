/* attention.c - causal self-attention with several heads, and dropout.
 *
 *     row i of a sequence asks (q_i), every row j <= i answers (k_j, v_j):
 *
 *     s_ij = q_i . k_j / sqrt(w)        p_i = softmax over j <= i of s_i        y_i = sum_j p_ij v_j
 *
 *     dv_j = sum_i p_ij dy_i            dp_ij = dy_i . v_j
 *     ds_ij = p_ij (dp_ij - sum_j p_ij dp_ij)
 *     dq_i = sum_j ds_ij k_j / sqrt(w)  dk_j = sum_i ds_ij q_i / sqrt(w)
 *
 * (Vaswani and others 2017.) Heads cut a row into equal parts of w = dim / heads numbers, which attend
 * apart. Sequences lie one after the other without padding, so there is no padding mask either: the
 * bounds of a sequence are the mask,
 *
 *     rows        0 1 2 3 4 5 6 7 8           x  . . .
 *     sequences   [a a a a][b b][c c c]       x  x . .      what the rows of a may see
 *     ptr         0         4    6      9     x  x x .
 *                                             x  x x x
 *
 * and a batch of short histories costs what its rows cost. A sequence is read by one thread; the
 * probabilities are computed again on the way back rather than kept.
 *
 * Dropout needs no memory: whether a number is kept is a hash of the seed and its place, so the
 * backward pass asks again (Srivastava and others 2014; kept numbers grow by 1 / (1 - rate)).
 *
 * Invariants
 *   I1  row i depends on rows of its own sequence up to i, and on nothing else;
 *   I2  forward and backward with one seed drop the same numbers.
 *
 * Cost: sum over sequences of length^2 * dim multiply-adds forward, and about three times that back.
 */
#include "nn.h"

#include <math.h>

#define ATTENTION_GRAIN 8 /* sequences in a piece of the parallel loop */

/* ---- dropout -------------------------------------------------------------------------- */

/* 0, or what a kept number is multiplied by. */
static float kept(float rate, uint64_t seed, uint64_t place) {
    if (!(rate > 0)) return 1;
    uint64_t x = rec_mix(seed ^ rec_mix(place));
    return (float)(x >> 40) * 0x1p-24f < rate ? 0 : 1 / (1 - rate);
}

void nn_dropout(float *x, size_t n, float rate, uint64_t seed) {
    if (!(rate > 0)) return;
    for (size_t i = 0; i < n; i++) x[i] *= kept(rate, seed, i);
}

/* ---- one row of one head ---------------------------------------------------------------- */

typedef struct head {              /* where a head finds its numbers */
    const float *qkv;              /* row 0 of the sequence */
    size_t dim, stride, width, at; /* `at`: of the head in a row */
    float scale;
} head;

static const float *query_of(const head *h, size_t i) {
    return h->qkv + i * h->stride + h->at;
}

static const float *key_of(const head *h, size_t i) {
    return query_of(h, i) + h->dim;
}

static const float *value_of(const head *h, size_t i) {
    return query_of(h, i) + 2 * h->dim;
}

/* p[0..i] of row i. */
static void probabilities(const head *h, size_t i, float *p) {
    float most = -INFINITY, sum = 0;
    for (size_t j = 0; j <= i; j++) {
        p[j] = h->scale * vec_kernels()->dot(query_of(h, i), key_of(h, j), h->width);
        most = p[j] > most ? p[j] : most;
    }
    for (size_t j = 0; j <= i; j++) p[j] -= most;
    nn_exp(p, i + 1);
    for (size_t j = 0; j <= i; j++) sum += p[j];
    for (size_t j = 0; j <= i; j++) p[j] /= sum;
}

static head head_of(const nn_attention_args *a, size_t seq, uint32_t number) {
    size_t width = a->dim / a->n_heads;
    return (head){.qkv = a->qkv + a->ptr[seq] * 3 * a->dim,
                  .dim = a->dim,
                  .stride = (size_t)3 * a->dim,
                  .width = width,
                  .at = number * width,
                  .scale = 1 / sqrtf((float)width)};
}

/* What tells p_i0 from all others of the batch: its place in rows x heads x window. */
static uint64_t place_of(const nn_attention_args *a, size_t row, uint32_t number) {
    return ((uint64_t)row * a->n_heads + number) * NN_ATTENTION_MAX;
}

/* ---- forward ------------------------------------------------------------------------------ */

void nn_attention_one(const nn_attention_args *a, size_t seq, float *y) {
    size_t from = a->ptr[seq], n = a->ptr[seq + 1] - from;
    float p[NN_ATTENTION_MAX];
    memset(y + from * a->dim, 0, n * a->dim * sizeof *y);
    for (uint32_t number = 0; number < a->n_heads; number++) {
        head h = head_of(a, seq, number);
        for (size_t i = 0; i < n; i++) {
            float *out = y + (from + i) * a->dim + h.at;
            uint64_t place = place_of(a, from + i, number);
            probabilities(&h, i, p);
            for (size_t j = 0; j <= i; j++)
                vec_kernels()->axpy(out, p[j] * kept(a->dropout, a->seed, place + j),
                                    value_of(&h, j), h.width);
        }
    }
}

typedef struct attention_job {
    const nn_attention_args *a;
    float *y;        /* forward */
    const float *dy; /* backward */
    float *dqkv;
} attention_job;

static rec_status forward_piece(void *ctx, size_t begin, size_t end, int worker,
                                rec_err *err) {
    const attention_job *job = ctx;
    (void)worker, (void)err;
    for (size_t s = begin; s < end; s++) nn_attention_one(job->a, s, job->y);
    return REC_OK;
}

rec_status nn_attention_forward(const nn_attention_args *a, float *y, rec_run *run,
                                rec_err *err) {
    attention_job job = {.a = a, .y = y};
    return threads_for(run, a->n_seq, ATTENTION_GRAIN, forward_piece, &job, err);
}

/* ---- backward ----------------------------------------------------------------------------- */

/* Row i of a head: p and slope have room for i + 1 numbers. */
static void row_backward(const nn_attention_args *a, const head *h, size_t i,
                         uint64_t place, const float *dy, float *dqkv) {
    const rec_kernels *kernels = vec_kernels();
    float p[NN_ATTENTION_MAX], slope[NN_ATTENTION_MAX], mean = 0;
    probabilities(h, i, p);
    for (size_t j = 0; j <= i; j++) {
        float keep = kept(a->dropout, a->seed, place + j);
        slope[j] = keep * kernels->dot(dy, value_of(h, j), h->width);
        mean += p[j] * slope[j];
        kernels->axpy(dqkv + j * h->stride + 2 * h->dim + h->at, keep * p[j], dy,
                      h->width);
    }
    for (size_t j = 0; j <= i; j++) {
        float ds = h->scale * p[j] * (slope[j] - mean);
        kernels->axpy(dqkv + i * h->stride + h->at, ds, key_of(h, j), h->width);
        kernels->axpy(dqkv + j * h->stride + h->dim + h->at, ds, query_of(h, i),
                      h->width);
    }
}

static rec_status backward_piece(void *ctx, size_t begin, size_t end, int worker,
                                 rec_err *err) {
    const attention_job *job = ctx;
    const nn_attention_args *a = job->a;
    (void)worker, (void)err;
    for (size_t s = begin; s < end; s++) {
        size_t from = a->ptr[s], n = a->ptr[s + 1] - from;
        float *dqkv = job->dqkv + from * 3 * a->dim;
        memset(dqkv, 0, n * 3 * a->dim * sizeof *dqkv);
        for (uint32_t number = 0; number < a->n_heads; number++) {
            head h = head_of(a, s, number);
            for (size_t i = 0; i < n; i++)
                row_backward(a, &h, i, place_of(a, from + i, number),
                             job->dy + (from + i) * a->dim + h.at, dqkv);
        }
    }
    return REC_OK;
}

rec_status nn_attention_backward(const nn_attention_args *a, const float *dy,
                                 float *dqkv, rec_run *run, rec_err *err) {
    attention_job job = {.a = a, .dy = dy, .dqkv = dqkv};
    return threads_for(run, a->n_seq, ATTENTION_GRAIN, backward_piece, &job, err);
}
