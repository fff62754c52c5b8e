/* nn.h - layers with explicit forward and backward passes, and their optimiser.
 *
 *     adam       Adam and AdamW on dense parameters                    adam.c
 *     table      embeddings: rows that a step touches, and no others   table.c
 *     layers     dense, layer norm, activations, unit length           layers.c
 *     softmax    cross-entropy over all classes, or over a sample      softmax.c
 *     attention  causal self-attention, dropout                        attention.c
 *     encoder    blocks of attention and feed-forward layers           encoder.c
 *
 * Matrices of activations are row-major float32, one example a row, without gaps. A backward
 * function takes what the forward one took or gave, and the gradient of the loss by its output;
 * it ADDS to the gradients of parameters and SETS the gradient of its input.
 *
 * Everything is bit-identical for any number of threads: work is cut the same way whatever their
 * number, and sums have one order. Products go through la_gemm and so belong to the calling
 * thread: no function here may be called from within threads_for, unless its comment allows it.
 */
#ifndef REC_NN_H
#define REC_NN_H

#include "../core/core.h"

/* ---- adam.c ---------------------------------------------------------------------- */

typedef struct nn_adam {
    float rate, beta1, beta2, epsilon;
    float penalty; /* the gradient grows by penalty * weight */
    float decay;   /* AdamW: a step also takes rate * decay of each weight away */
} nn_adam;
#define NN_ADAM_USUAL(r) ((nn_adam){(r), .9f, .999f, 1e-8f, 0, 0})

typedef struct nn_param { /* dense: every step moves all of it */
    size_t n;
    float *w, *g, *m, *v; /* [n] weight, gradient, moments; owned */
    uint64_t step;
} nn_param;
/* Weights are normal with the given deviation (0: all zero), drawn from r. */
rec_status nn_param_init(nn_param *p, size_t n, double deviation, rng *r, rec_err *err);
void nn_param_clear(nn_param *p);
/* One step along -g; then g is zero. */
void nn_param_step(nn_param *p, const nn_adam *a);
/* The update itself, for n weights whose step number is `step` (1..). Any thread. */
typedef struct nn_moments {
    float *w, *m, *v;
    const float *g;
    size_t n;
    uint64_t step;
} nn_moments;
void nn_adam_update(const nn_adam *a, const nn_moments *x);

/* ---- table.c --------------------------------------------------------------------- */

typedef struct nn_table { /* one row for each of many things */
    mat w, m, v;          /* n_rows x dim: weights, moments */
    uint32_t *step;       /* [n_rows] updates that the row has seen; owned */
} nn_table;
rec_status nn_table_init(nn_table *t, size_t n_rows, uint32_t dim, double deviation,
                         uint64_t seed, rec_err *err);
void nn_table_clear(nn_table *t);

/* Gradients by row. The gradient of row r is the sum over the entries that name r, in their
 * order, of coef * source[from]. */
typedef struct nn_entry {
    uint32_t row, from;
    float coef;
} nn_entry;
typedef struct nn_grad {
    nn_entry *entry; /* owned, as all below */
    size_t n, cap;
    uint32_t *head; /* [n_rows] KEYS_NONE between uses */
    uint32_t *next;
    uint32_t *touched; /* rows, in the order of their first entry */
    size_t n_rows, n_touched, cap_next, cap_touched;
    mat sum; /* row k: the gradient of row touched[k] */
} nn_grad;
rec_status nn_grad_init(nn_grad *g, size_t n_rows, uint32_t dim, rec_err *err);
void nn_grad_clear(nn_grad *g);
/* Room for n entries that the caller then writes; g->n = n. */
rec_status nn_grad_begin(nn_grad *g, size_t n, rec_err *err);
/* Fill g->sum. The source may be a table that is stepped afterwards. Parallel. */
rec_status nn_grad_sum(nn_grad *g, const mat *source, rec_run *run, rec_err *err);
/* Move the touched rows along their gradients. Parallel. */
rec_status nn_table_step(nn_table *t, const nn_grad *g, const nn_adam *a, rec_run *run,
                         rec_err *err);
/* Every row moves: g has the shape of t->w and is borrowed. Parallel. */
rec_status nn_table_step_all(nn_table *t, const mat *g, const nn_adam *a, rec_run *run,
                             rec_err *err);

/* ---- layers.c -------------------------------------------------------------------- */

typedef struct nn_dense { /* y = x weight' + bias */
    uint32_t n_in, n_out;
    nn_param weight, bias; /* [n_out x n_in], [n_out] */
} nn_dense;
rec_status nn_dense_init(nn_dense *l, uint32_t n_in, uint32_t n_out, rng *r,
                         rec_err *err);
void nn_dense_clear(nn_dense *l);
void nn_dense_forward(const nn_dense *l, const float *x, size_t n, float *y);
/* The same up to rounding, without la_gemm. Any thread. */
void nn_dense_forward_alone(const nn_dense *l, const float *x, size_t n, float *y);
void nn_dense_backward(nn_dense *l, const float *x, const float *dy, size_t n,
                       float *dx); /* dx may be NULL */
void nn_dense_step(nn_dense *l, const nn_adam *a);
void nn_dense_write(const nn_dense *l, bytes_writer *w); /* two mats */
rec_status nn_dense_read(bytes_reader *r, nn_dense *l,
                         rec_err *err); /* refuses NaN and infinity */

typedef struct nn_norm { /* layer norm: rows to mean 0, variance 1; gain, shift */
    uint32_t dim;
    nn_param gain, shift;
} nn_norm;
rec_status nn_norm_init(nn_norm *l, uint32_t dim, rec_err *err);
void nn_norm_clear(nn_norm *l);
void nn_norm_forward(const nn_norm *l, const float *x, size_t n, float *y);
void nn_norm_backward(nn_norm *l, const float *x, const float *dy, size_t n, float *dx);
void nn_norm_step(nn_norm *l, const nn_adam *a);
void nn_norm_write(const nn_norm *l, bytes_writer *w);
rec_status nn_norm_read(bytes_reader *r, nn_norm *l, uint32_t dim, rec_err *err);

typedef enum { NN_RELU, NN_GELU, NN_SILU } nn_activation;
void nn_activate(nn_activation f, const float *x, size_t n, float *y);
void nn_activate_backward(nn_activation f, const float *x, const float *dy, size_t n,
                          float *dx);

/* Rows of unit length; a row of zeros stays one and passes no gradient. Any thread. */
void nn_unit_forward(const float *x, size_t n, size_t dim, float *y);
void nn_unit_backward(const float *x, const float *dy, size_t n, size_t dim, float *dx);

/* ---- softmax.c ------------------------------------------------------------------- */

/* x <- e^x to 2 units in the last place; below -87 about 1e-38, above 88 about 1.6e38. Any
 * thread. */
void nn_exp(float *x, size_t n);

/* Cross-entropy with all classes: logit[n x m] becomes the gradient of the summed loss,
 * weight * (softmax - [column = target]). loss[n] (may be NULL) receives each row's. Parallel. */
typedef struct nn_softmax_args {
    float *logit;
    size_t n, m;
    const uint32_t *target; /* [n] column; KEYS_NONE: the row does not count */
    const float *weight;    /* [n]; NULL = 1 */
    float *loss;
} nn_softmax_args;
rec_status nn_softmax(const nn_softmax_args *a, rec_run *run, rec_err *err);

/* Cross-entropy with a sample of the classes, for rows with several right ones. Row r names its
 * right columns, entries ptr[r]..ptr[r+1]: those with weight > 0 are targets, those with weight 0
 * (accidental hits) are left out of the competition. Each target competes with the wrong columns
 * alone:   loss = -weight log(e^s_t / (e^s_t + sum over wrong columns of e^(s_c - log_q[c]))). */
typedef struct nn_sampled_args {
    float *logit; /* [n x m], becomes the gradient */
    size_t n, m;
    const size_t *ptr;   /* [n+1] */
    const uint32_t *col; /* each at most once a row */
    const float *weight;
    const float
        *log_q;  /* [m] log of the chance that the column was sampled; NULL = 0 */
    float *loss; /* [n] */
    const float *prior; /* [m] added to the logits of every row; NULL = 0 */
} nn_sampled_args;
rec_status nn_sampled_softmax(const nn_sampled_args *a, rec_run *run, rec_err *err);

/* ---- attention.c ----------------------------------------------------------------- */

#define NN_ATTENTION_MAX 512 /* rows of a sequence */

/* x[n] loses each number with the chance `rate`; what stays grows by 1 / (1 - rate). The gradient
 * passes through the same call. Any thread. */
void nn_dropout(float *x, size_t n, float rate, uint64_t seed);

typedef struct nn_attention_args {
    const float *qkv;  /* [n x 3 dim] queries, keys and values side by side */
    const size_t *ptr; /* [n_seq+1] rows of sequence s: ptr[s] .. ptr[s+1] */
    size_t n_seq;
    uint32_t dim, n_heads; /* dim is a multiple of n_heads */
    float dropout;         /* of the probabilities */
    uint64_t seed;
} nn_attention_args;
/* y[n x dim]. Parallel over sequences. */
rec_status nn_attention_forward(const nn_attention_args *a, float *y, rec_run *run,
                                rec_err *err);
/* dy[n x dim] -> dqkv[n x 3 dim]. Parallel over sequences. */
rec_status nn_attention_backward(const nn_attention_args *a, const float *dy,
                                 float *dqkv, rec_run *run, rec_err *err);
void nn_attention_one(const nn_attention_args *a, size_t seq,
                      float *y); /* its rows of y; any thread */

/* ---- encoder.c ------------------------------------------------------------------- */

#define NN_MAX_BLOCKS 8
#define NN_MAX_DIM    1024
#define NN_MAX_PARAMS (3 + 12 * NN_MAX_BLOCKS)

typedef struct nn_block {
    nn_dense qkv, mix, up, down;
    nn_norm first, second;
} nn_block;
typedef struct nn_encoder_shape {
    uint32_t dim, n_heads, n_blocks;
    uint32_t window; /* rows of the longest sequence */
} nn_encoder_shape;
typedef struct nn_encoder {
    nn_encoder_shape shape;
    nn_param place; /* [window x dim], counted from the newest row */
    nn_norm start;
    nn_block block[NN_MAX_BLOCKS];
} nn_encoder;
rec_status nn_encoder_init(nn_encoder *e, const nn_encoder_shape *s, rng *r,
                           rec_err *err);
void nn_encoder_clear(nn_encoder *e);
/* All parameters in one order; returns their number. */
size_t nn_encoder_params(nn_encoder *e, nn_param *out[NN_MAX_PARAMS]);
typedef struct nn_batch {
    const float *x;    /* [ptr[n_seq] x dim] */
    const size_t *ptr; /* [n_seq+1]; no sequence is longer than the window */
    size_t n_seq;
    float dropout;
    uint64_t seed;
    bool is_alone; /* no la_gemm, no threads */
} nn_batch;
typedef struct nn_tape { /* what a forward pass leaves for the backward one */
    float *x, *slope;    /* owned */
    size_t n_rows, cap, cap_slope;
} nn_tape;
void nn_tape_clear(nn_tape *t);
/* *out: [ptr[n_seq] x dim], in the tape. */
rec_status nn_encoder_forward(const nn_encoder *e, const nn_batch *b, nn_tape *t,
                              const float **out, rec_run *run, rec_err *err);
/* After the forward pass of the same batch: dy, dx as the result and x. */
rec_status nn_encoder_backward(nn_encoder *e, const nn_batch *b, nn_tape *t,
                               const float *dy, float *dx, rec_run *run, rec_err *err);
void nn_encoder_step(nn_encoder *e, const nn_adam *a);
/* x[n x dim], n > 0, one sequence -> out[dim], of its newest row. Any thread. */
rec_status nn_encode_one(const nn_encoder *e, const float *x, size_t n, float *out,
                         rec_err *err);
void nn_encoder_write(const nn_encoder *e, bytes_writer *w);
rec_status nn_encoder_read(bytes_reader *r, nn_encoder *e,
                           rec_err *err); /* refuses NaN and infinity */
size_t nn_encoder_nbyte(const nn_encoder *e);

#endif
