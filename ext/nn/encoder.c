/* encoder.c - blocks of causal self-attention: a sequence of vectors in, what comes next out.
 *
 *     x_i + place  --norm, dropout-->  h                                    [n x d], once
 *
 *     h  --qkv-->  attention  --mix--> dropout --> + h --norm--> a          [n x 3d], [n x d]
 *     a  --up-->   relu       --down-> dropout --> + a --norm--> next h     [n x 4d], [n x d]
 *
 * (Vaswani and others 2017; Kang and McAuley 2018, SASRec.) Row i of the result says what follows the
 * rows up to i. Places count back from the newest row of a sequence, so that the newest row has the
 * same place in training, where it was met in every sequence, and in use.
 *
 * Sequences lie one after the other without padding (attention.c). What a forward pass computes stays
 * on the tape, which the backward pass reads; the tape belongs to one caller and grows as it must.
 *
 * Invariants
 *   I1  dim is a multiple of n_heads, 1 <= n_blocks <= NN_MAX_BLOCKS, 1 <= window <= NN_ATTENTION_MAX;
 *   I2  no sequence is longer than the window;
 *   I3  nn_encode_one, which any thread may call, differs from a forward pass without dropout by the
 *       order of its sums alone.
 *
 * Stored: u32 dim, heads, blocks, window; f32 place[window x dim]; norm; for each block the layers
 * qkv, mix, up, down, then two norms.
 */
#include "nn.h"

#define ENCODER_WIDER     4 /* numbers between `up` and `down`, times dim */
#define ENCODER_DEVIATION .02

/* ---- parameters --------------------------------------------------------------------------- */

static rec_status block_init(nn_block *b, uint32_t dim, rng *r, rec_err *err) {
    rec_status st = nn_dense_init(&b->qkv, dim, 3 * dim, r, err);
    if (!st) st = nn_dense_init(&b->mix, dim, dim, r, err);
    if (!st) st = nn_dense_init(&b->up, dim, ENCODER_WIDER * dim, r, err);
    if (!st) st = nn_dense_init(&b->down, ENCODER_WIDER * dim, dim, r, err);
    if (!st) st = nn_norm_init(&b->first, dim, err);
    if (!st) st = nn_norm_init(&b->second, dim, err);
    return st;
}

rec_status nn_encoder_init(nn_encoder *e, const nn_encoder_shape *s, rng *r,
                           rec_err *err) {
    *e = (nn_encoder){.shape = *s};
    if (!s->dim || !s->n_heads || s->dim % s->n_heads || !s->n_blocks ||
        s->n_blocks > NN_MAX_BLOCKS || !s->window || s->window > NN_ATTENTION_MAX ||
        s->dim > NN_MAX_DIM) /* I1 */
        return rec_fail(err, REC_RANGE,
                        "encoder: %u numbers in %u heads, %u blocks, window %u", s->dim,
                        s->n_heads, s->n_blocks, s->window);
    rec_status st =
        nn_param_init(&e->place, (size_t)s->window * s->dim, ENCODER_DEVIATION, r, err);
    if (!st) st = nn_norm_init(&e->start, s->dim, err);
    for (uint32_t b = 0; !st && b < s->n_blocks; b++)
        st = block_init(&e->block[b], s->dim, r, err);
    if (st) nn_encoder_clear(e);
    return st;
}

void nn_encoder_clear(nn_encoder *e) {
    nn_param_clear(&e->place);
    nn_norm_clear(&e->start);
    for (size_t b = 0; b < NN_MAX_BLOCKS; b++) {
        nn_dense_clear(&e->block[b].qkv);
        nn_dense_clear(&e->block[b].mix);
        nn_dense_clear(&e->block[b].up);
        nn_dense_clear(&e->block[b].down);
        nn_norm_clear(&e->block[b].first);
        nn_norm_clear(&e->block[b].second);
    }
    memset(e, 0, sizeof *e);
}

static size_t add_dense(nn_dense *l, nn_param **out, size_t n) {
    out[n++] = &l->weight;
    out[n++] = &l->bias;
    return n;
}

static size_t add_norm(nn_norm *l, nn_param **out, size_t n) {
    out[n++] = &l->gain;
    out[n++] = &l->shift;
    return n;
}

size_t nn_encoder_params(nn_encoder *e, nn_param *out[NN_MAX_PARAMS]) {
    size_t n = 0;
    out[n++] = &e->place;
    n = add_norm(&e->start, out, n);
    for (uint32_t k = 0; k < e->shape.n_blocks; k++) {
        nn_block *b = &e->block[k];
        n = add_dense(&b->qkv, out, n);
        n = add_dense(&b->mix, out, n);
        n = add_dense(&b->up, out, n);
        n = add_dense(&b->down, out, n);
        n = add_norm(&b->first, out, n);
        n = add_norm(&b->second, out, n);
    }
    return n;
}

/* ---- forward --------------------------------------------------------------------------------- */

typedef struct tape_rows { /* of one block, for n rows */
    float *in, *qkv, *mixed, *sum, *middle, *up, *active, *total;
} tape_rows;

#define TAPE_BLOCK_ROWS (1 + 3 + 1 + 1 + 1 + 4 + 4 + 1) /* dims a row and block */

static float *take(float **at, size_t n) {
    float *p = *at;
    *at += n;
    return p;
}

/* Block k of the tape; block n_blocks has only `in`, the result. */
static tape_rows tape_of(const nn_encoder *e, const nn_tape *t, size_t k) {
    size_t n = t->n_rows * e->shape.dim;
    float *at = t->x + n + k * TAPE_BLOCK_ROWS * n;
    tape_rows r = {.in = take(&at, n)};
    if (k == e->shape.n_blocks) return r;
    r.qkv = take(&at, 3 * n);
    r.mixed = take(&at, n);
    r.sum = take(&at, n);
    r.middle = take(&at, n);
    r.up = take(&at, ENCODER_WIDER * n);
    r.active = take(&at, ENCODER_WIDER * n);
    r.total = take(&at, n);
    return r;
}

static rec_status tape_room(const nn_encoder *e, nn_tape *t, size_t n_rows,
                            rec_err *err) {
    size_t dims = 2 + (size_t)e->shape.n_blocks * TAPE_BLOCK_ROWS, n;
    if (!rec_mul(n_rows, e->shape.dim, &n) || !rec_mul(n, dims, &n))
        return rec_nomem(err);
    t->n_rows = n_rows;
    return rec_grow(&t->x, &t->cap, n, sizeof *t->x, err);
}

void nn_tape_clear(nn_tape *t) {
    rec_free(t->x);
    rec_free(t->slope);
    memset(t, 0, sizeof *t);
}

static uint64_t seed_of(const nn_batch *b, size_t block, unsigned where) {
    return rec_mix(b->seed ^ rec_mix(block * 8 + where));
}

static nn_attention_args attention_of(const nn_encoder *e, const nn_batch *b, size_t k,
                                      const float *qkv) {
    return (nn_attention_args){.qkv = qkv,
                               .ptr = b->ptr,
                               .n_seq = b->n_seq,
                               .dim = e->shape.dim,
                               .n_heads = e->shape.n_heads,
                               .dropout = b->dropout,
                               .seed = seed_of(b, k, 0)};
}

/* Row i of the places that a sequence [from, to) uses for row i of the batch. */
static size_t place_row(size_t i, size_t to) {
    return to - 1 - i;
}

static void add_places(const nn_encoder *e, const nn_batch *b, float *x) {
    size_t dim = e->shape.dim;
    for (size_t s = 0; s < b->n_seq; s++)
        for (size_t i = b->ptr[s]; i < b->ptr[s + 1]; i++)
            vec_kernels()->axpy(x + i * dim, 1,
                                e->place.w + place_row(i, b->ptr[s + 1]) * dim, dim);
}

static void apply(const nn_dense *l, const float *x, size_t n, float *y,
                  bool is_alone) {
    if (is_alone)
        nn_dense_forward_alone(l, x, n, y);
    else
        nn_dense_forward(l, x, n, y);
}

static rec_status block_forward(const nn_encoder *e, const nn_batch *b, nn_tape *t,
                                size_t k, rec_run *run, rec_err *err) {
    const nn_block *l = &e->block[k];
    tape_rows r = tape_of(e, t, k), next = tape_of(e, t, k + 1);
    size_t n = t->n_rows, dim = e->shape.dim;
    rec_status st = REC_OK;
    apply(&l->qkv, r.in, n, r.qkv, b->is_alone);
    nn_attention_args a = attention_of(e, b, k, r.qkv);
    if (b->is_alone)
        for (size_t s = 0; s < b->n_seq; s++) nn_attention_one(&a, s, r.mixed);
    else
        st = nn_attention_forward(&a, r.mixed, run, err);
    if (st) return st;
    apply(&l->mix, r.mixed, n, r.sum, b->is_alone);
    nn_dropout(r.sum, n * dim, b->dropout, seed_of(b, k, 1));
    vec_kernels()->axpy(r.sum, 1, r.in, n * dim);
    nn_norm_forward(&l->first, r.sum, n, r.middle);
    apply(&l->up, r.middle, n, r.up, b->is_alone);
    nn_activate(NN_RELU, r.up, n * ENCODER_WIDER * dim, r.active);
    apply(&l->down, r.active, n, r.total, b->is_alone);
    nn_dropout(r.total, n * dim, b->dropout, seed_of(b, k, 2));
    vec_kernels()->axpy(r.total, 1, r.middle, n * dim);
    nn_norm_forward(&l->second, r.total, n, next.in);
    return REC_OK;
}

rec_status nn_encoder_forward(const nn_encoder *e, const nn_batch *b, nn_tape *t,
                              const float **out, rec_run *run, rec_err *err) {
    size_t n = b->ptr[b->n_seq], dim = e->shape.dim;
    *out = NULL;
    rec_status st = tape_room(e, t, n, err);
    if (st) return st;
    memcpy(t->x, b->x, n * dim * sizeof *t->x);
    add_places(e, b, t->x);
    float *start = tape_of(e, t, 0).in;
    nn_norm_forward(&e->start, t->x, n, start);
    nn_dropout(start, n * dim, b->dropout, seed_of(b, NN_MAX_BLOCKS, 0));
    for (uint32_t k = 0; !st && k < e->shape.n_blocks; k++)
        st = block_forward(e, b, t, k, run, err);
    *out = tape_of(e, t, e->shape.n_blocks).in;
    return st;
}

rec_status nn_encode_one(const nn_encoder *e, const float *x, size_t n, float *out,
                         rec_err *err) {
    size_t ptr[2] = {0, n};
    nn_batch b = {.x = x, .ptr = ptr, .n_seq = 1, .is_alone = true};
    nn_tape t = {0};
    const float *row;
    rec_status st = nn_encoder_forward(e, &b, &t, &row, NULL, err);
    if (!st) memcpy(out, row + (n - 1) * e->shape.dim, e->shape.dim * sizeof *out);
    nn_tape_clear(&t);
    return st;
}

/* ---- backward ---------------------------------------------------------------------------------- */

/* d: gradient of the block's result on entry, of its input on return; all [n x dim] but wide. */
typedef struct back_rows {
    float *d, *skip, *branch, *wide; /* wide: [n x 4 dim] */
} back_rows;

static rec_status block_backward(nn_encoder *e, const nn_batch *b, const nn_tape *t,
                                 size_t k, back_rows *w, rec_run *run, rec_err *err) {
    nn_block *l = &e->block[k];
    tape_rows r = tape_of(e, t, k);
    size_t n = t->n_rows, dim = e->shape.dim;
    nn_norm_backward(&l->second, r.total, w->d, n, w->skip);
    memcpy(w->branch, w->skip, n * dim * sizeof *w->branch);
    nn_dropout(w->branch, n * dim, b->dropout, seed_of(b, k, 2));
    nn_dense_backward(&l->down, r.active, w->branch, n, w->wide);
    nn_activate_backward(NN_RELU, r.up, w->wide, n * ENCODER_WIDER * dim, w->wide);
    nn_dense_backward(&l->up, r.middle, w->wide, n, w->d);
    vec_kernels()->axpy(w->d, 1, w->skip, n * dim);
    nn_norm_backward(&l->first, r.sum, w->d, n, w->skip);
    memcpy(w->branch, w->skip, n * dim * sizeof *w->branch);
    nn_dropout(w->branch, n * dim, b->dropout, seed_of(b, k, 1));
    nn_dense_backward(&l->mix, r.mixed, w->branch, n, w->d);
    nn_attention_args a = attention_of(e, b, k, r.qkv);
    rec_status st = nn_attention_backward(&a, w->d, w->wide, run, err);
    if (st) return st;
    nn_dense_backward(&l->qkv, r.in, w->wide, n, w->d);
    vec_kernels()->axpy(w->d, 1, w->skip, n * dim);
    return REC_OK;
}

rec_status nn_encoder_backward(nn_encoder *e, const nn_batch *b, nn_tape *t,
                               const float *dy, float *dx, rec_run *run, rec_err *err) {
    size_t dim = e->shape.dim, n = t->n_rows * dim;
    rec_status st = rec_grow(&t->slope, &t->cap_slope, n * (3 + ENCODER_WIDER),
                             sizeof *t->slope, err);
    if (st) return st;
    float *at = t->slope;
    back_rows w = {take(&at, n), take(&at, n), take(&at, n), at};
    memcpy(w.d, dy, n * sizeof *w.d);
    for (uint32_t k = e->shape.n_blocks; !st && k-- > 0;)
        st = block_backward(e, b, t, k, &w, run, err);
    if (st) return st;
    nn_dropout(w.d, n, b->dropout, seed_of(b, NN_MAX_BLOCKS, 0));
    nn_norm_backward(&e->start, t->x, w.d, t->n_rows, dx);
    for (size_t s = 0; s < b->n_seq; s++)
        for (size_t i = b->ptr[s]; i < b->ptr[s + 1]; i++)
            vec_kernels()->axpy(e->place.g + place_row(i, b->ptr[s + 1]) * dim, 1,
                                dx + i * dim, dim);
    return REC_OK;
}

void nn_encoder_step(nn_encoder *e, const nn_adam *a) {
    nn_param *p[NN_MAX_PARAMS];
    size_t n = nn_encoder_params(e, p);
    for (size_t k = 0; k < n; k++) nn_param_step(p[k], a);
}

/* ---- stored form --------------------------------------------------------------------------------- */

void nn_encoder_write(const nn_encoder *e, bytes_writer *w) {
    bytes_put_u32(w, e->shape.dim);
    bytes_put_u32(w, e->shape.n_heads);
    bytes_put_u32(w, e->shape.n_blocks);
    bytes_put_u32(w, e->shape.window);
    bytes_put_f32s(w, e->place.w, e->place.n);
    nn_norm_write(&e->start, w);
    for (uint32_t k = 0; k < e->shape.n_blocks; k++) {
        const nn_block *b = &e->block[k];
        nn_dense_write(&b->qkv, w);
        nn_dense_write(&b->mix, w);
        nn_dense_write(&b->up, w);
        nn_dense_write(&b->down, w);
        nn_norm_write(&b->first, w);
        nn_norm_write(&b->second, w);
    }
}

static rec_status block_read(bytes_reader *r, nn_block *b, uint32_t dim, rec_err *err) {
    rec_status st = nn_dense_read(r, &b->qkv, err);
    if (!st) st = nn_dense_read(r, &b->mix, err);
    if (!st) st = nn_dense_read(r, &b->up, err);
    if (!st) st = nn_dense_read(r, &b->down, err);
    if (!st) st = nn_norm_read(r, &b->first, dim, err);
    if (!st) st = nn_norm_read(r, &b->second, dim, err);
    if (st) return st;
    uint32_t wide = ENCODER_WIDER * dim;
    if (b->qkv.n_in != dim || b->qkv.n_out != 3 * dim || b->mix.n_in != dim ||
        b->mix.n_out != dim || b->up.n_in != dim || b->up.n_out != wide ||
        b->down.n_in != wide || b->down.n_out != dim)
        return rec_corrupt(err, "stored encoder: a layer of %u to %u for %u numbers",
                           b->qkv.n_in, b->qkv.n_out, dim);
    return REC_OK;
}

rec_status nn_encoder_read(bytes_reader *r, nn_encoder *e, rec_err *err) {
    memset(e, 0, sizeof *e);
    nn_encoder_shape s;
    s.dim = bytes_get_u32(r);
    s.n_heads = bytes_get_u32(r);
    s.n_blocks = bytes_get_u32(r);
    s.window = bytes_get_u32(r);
    size_t left = (r->n - r->at) / sizeof(float);
    if (r->status || !s.dim || s.dim > NN_MAX_DIM || !s.n_heads || s.dim % s.n_heads ||
        !s.n_blocks || s.n_blocks > NN_MAX_BLOCKS || !s.window ||
        s.window > NN_ATTENTION_MAX || s.window > left / s.dim)
        return rec_corrupt(err,
                           "stored encoder: %u numbers, %u heads, %u blocks, window %u",
                           s.dim, s.n_heads, s.n_blocks, s.window);
    e->shape = s;
    rec_status st = nn_param_init(&e->place, (size_t)s.window * s.dim, 0, NULL, err);
    if (!st) {
        bytes_get_f32s(r, e->place.w, e->place.n);
        if (r->status || !vec_is_finite(e->place.w, e->place.n))
            st = rec_corrupt(err, "stored encoder: a place is not finite");
    }
    if (!st) st = nn_norm_read(r, &e->start, s.dim, err);
    for (uint32_t k = 0; !st && k < s.n_blocks; k++)
        st = block_read(r, &e->block[k], s.dim, err);
    if (st) nn_encoder_clear(e);
    return st;
}

size_t nn_encoder_nbyte(const nn_encoder *e) {
    nn_param *p[NN_MAX_PARAMS];
    nn_encoder copy = *e; /* the list wants to write */
    size_t n = nn_encoder_params(&copy, p), n_float = 0;
    for (size_t k = 0; k < n; k++) n_float += 4 * p[k]->n;
    return n_float * sizeof(float);
}
