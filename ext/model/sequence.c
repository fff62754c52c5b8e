/* sequence.c - the next item, from the order in which a user came to the last ones.
 *
 *     history by time   e_a  e_b  e_c  e_d         vectors of the newest `window` items
 *                         \    \    \    \
 *                       causal self-attention      encoder.c
 *                                         \
 *                                          h       score(i) = h . e_i
 *
 * (Kang and McAuley 2018, SASRec; trained with cross-entropy over all items, sequence_fit.c.) Nothing
 * of a user is stored. A question encodes the history as it is now, so what somebody did a second ago
 * is its newest item, and decides most.
 *
 * Order: by time; likes without a time come before all others; equal times are ordered by a hash of
 * the item, which tells nothing. Only likes count (liked.c). Scores are logits: differences mean
 * something, the number alone does not. Of an item that training has not seen nothing is known; it
 * scores 0, which is about the mean of the catalogue.
 *
 * An explanation asks again without each item of the window: what the score loses is what that item
 * gave. These parts need not add up to the score.
 *
 * Invariants
 *   I1  all numbers are finite; the encoder's vectors have as many numbers as the items;
 *   I2  score, best and direction make one vector of a user, by nn_encode_one.
 *
 * Stored: u32 version; rule of likes (u32, f64, f64); mat items; the encoder (encoder.c).
 * Cost of a question: window * 12 d^2 multiply-adds a block, then d an item.
 */
#include "sequence.h"

#include <math.h>

#define SEQUENCE_VERSION 1

static const sequence *self(const rec_model *m) {
    return (const sequence *)m;
}

static void sequence_close(rec_model *model) {
    sequence *m = (sequence *)model;
    if (!m) return;
    mat_clear(&m->items);
    nn_encoder_clear(&m->net);
    rec_free(m);
}

/* ---- order ----------------------------------------------------------------------------------- */

moment moment_of(uint32_t item, double time) {
    return (moment){isfinite(time) ? time : -INFINITY, rec_mix(item), item};
}

static int by_time(const void *a, const void *b, void *ctx) {
    const moment *x = a, *y = b;
    (void)ctx;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    return x->tie < y->tie ? -1 : x->tie > y->tie;
}

void moments_sort(moment *a, size_t n) {
    rec_sort(a, n, sizeof *a, by_time, NULL);
}

/* ---- a user at query time -------------------------------------------------------------------- */

static bool is_like(const sequence *m, const model_query *q, size_t j) {
    return q->item[j] < m->items.n_rows &&
           liked_strength(&m->likes, q->weight[j], q->value[j]) > 0;
}

typedef struct recent { /* the newest likes of a question */
    moment *all;        /* owned */
    moment *a;          /* [n] oldest first, in all */
    size_t n;
    float *x; /* [n x factors] owned */
} recent;

static void recent_clear(recent *r) {
    rec_free(r->all);
    rec_free(r->x);
}

static rec_status recent_init(recent *r, const sequence *m, const model_query *q,
                              rec_err *err) {
    size_t n = 0, window = m->net.shape.window;
    *r = (recent){.all = rec_array(q->n, sizeof *r->all)};
    if (!r->all) return rec_nomem(err);
    for (size_t j = 0; j < q->n; j++)
        if (is_like(m, q, j))
            r->all[n++] = moment_of(q->item[j], q->time ? q->time[j] : NAN);
    moments_sort(r->all, n);
    r->n = n < window ? n : window;
    r->a = r->all + (n - r->n);
    r->x = rec_array(r->n, m->items.dim * sizeof *r->x);
    if (r->x) return REC_OK;
    recent_clear(r);
    return rec_nomem(err);
}

/* out = the user without like number `but` (SIZE_MAX: with all). */
static rec_status encode(const sequence *m, recent *r, size_t but, float *out,
                         rec_err *err) {
    size_t n = 0, dim = m->items.dim;
    for (size_t j = 0; j < r->n; j++)
        if (j != but)
            memcpy(r->x + n++ * dim, mat_row(&m->items, r->a[j].item),
                   dim * sizeof *r->x);
    memset(out, 0, dim * sizeof *out);
    return n ? nn_encode_one(&m->net, r->x, n, out, err) : REC_OK;
}

static rec_status sequence_direction(const rec_model *model, const model_query *q,
                                     float *x, rec_err *err) {
    recent r;
    rec_status st = recent_init(&r, self(model), q, err);
    if (st) return st;
    st = encode(self(model), &r, SIZE_MAX, x, err);
    recent_clear(&r);
    return st;
}

static bool sequence_knows(const rec_model *m, const model_query *q) {
    for (size_t j = 0; j < q->n; j++)
        if (is_like(self(m), q, j)) return true;
    return false;
}

static float item_score(const rec_model *m, const float *x, uint32_t item) {
    const mat *v = &self(m)->items;
    float s = vec_kernels()->dot(mat_row(v, item), x, v->dim);
    return isfinite(s) ? s : 0;
}

static rec_status sequence_score(const rec_model *model, const model_query *q,
                                 const uint32_t *items, size_t n, float *out,
                                 rec_err *err) {
    const sequence *m = self(model);
    float *x = rec_array(m->items.dim, sizeof *x);
    for (size_t i = 0; i < n; i++) out[i] = 0;
    if (!x) return rec_nomem(err);
    rec_status st = sequence_direction(model, q, x, err);
    for (size_t i = 0; !st && i < n; i++) {
        uint32_t item = items ? items[i] : (uint32_t)i;
        if (item < m->items.n_rows) out[i] = item_score(model, x, item);
    }
    rec_free(x);
    return st;
}

static rec_status sequence_best(const rec_model *m, const model_best *b, rec_run *run,
                                rec_err *err) {
    best_vectors v = {.rows = &self(m)->items,
                      .scale = 1,
                      .width = self(m)->items.dim,
                      .fold = sequence_direction,
                      .score = item_score};
    return best_by_vectors(m, &v, b, run, err);
}

static const mat *sequence_vectors(const rec_model *m, vec_metric *metric) {
    *metric = METRIC_IP;
    return &self(m)->items;
}

static uint32_t sequence_n_items(const rec_model *m) {
    return (uint32_t)self(m)->items.n_rows;
}

static float sequence_cold_score(const rec_model *m, const model_query *q) {
    (void)m, (void)q;
    return 0;
}

static rec_status sequence_similar(const rec_model *m, uint32_t item, float *out,
                                   rec_err *err) {
    const mat *v = &self(m)->items;
    if (item >= v->n_rows)
        return rec_fail(err, REC_RANGE, "sequence: item %u of %zu", item, v->n_rows);
    vectors_alike(v, NULL, item, out);
    return REC_OK;
}

static rec_status sequence_explain(const rec_model *model, const model_query *q,
                                   uint32_t item, explain_fn fn, void *ctx,
                                   rec_err *err) {
    const sequence *m = self(model);
    recent r;
    if (item >= m->items.n_rows) return REC_OK;
    float *x = rec_array(m->items.dim, sizeof *x);
    if (!x) return rec_nomem(err);
    rec_status st = recent_init(&r, m, q, err);
    if (st) {
        rec_free(x);
        return st;
    }
    st = encode(m, &r, SIZE_MAX, x, err);
    float all = st ? 0 : item_score(model, x, item);
    for (size_t j = 0; !st && j < r.n; j++) {
        st = encode(m, &r, j, x, err);
        if (!st)
            st = fn(ctx, "item", r.a[j].item, NULL, 0,
                    (double)all - (double)item_score(model, x, item), err);
    }
    recent_clear(&r);
    rec_free(x);
    return st;
}

/* ---- training -------------------------------------------------------------------------------- */

static rec_status sequence_check(const rec_model *model, rec_err *err) {
    const sequence *m = self(model);
    nn_encoder net = m->net; /* the list wants to write */
    nn_param *p[NN_MAX_PARAMS];
    size_t n = nn_encoder_params(&net, p);
    for (size_t i = 0; i < m->items.n_rows; i++)
        if (!vec_is_finite(mat_row(&m->items, i), m->items.dim)) /* I1 */
            return rec_corrupt(err, "sequence: the vector of item %zu is not finite",
                               i);
    for (size_t k = 0; k < n; k++)
        if (!vec_is_finite(p[k]->w, p[k]->n))
            return rec_corrupt(err, "sequence: a weight of layer %zu is not finite", k);
    return REC_OK;
}

static sequence *sequence_new(rec_err *err) {
    sequence *m = rec_zeros(1, sizeof *m);
    if (m)
        m->base.ops = &sequence_ops;
    else
        rec_nomem(err);
    return m;
}

static rec_status sequence_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    sequence *m = sequence_new(err);
    *out = NULL;
    if (!m) return REC_NOMEM;
    m->likes = like_rule_of(a->data);
    rec_status st = sequence_train(m, a, err);
    if (!st && sequence_check(&m->base, NULL))
        st = rec_fail(err, REC_RANGE,
                      "sequence: training left the range of numbers; lower rate=");
    if (st)
        sequence_close(&m->base);
    else
        *out = &m->base;
    return st;
}

/* ---- stored form ------------------------------------------------------------------------------- */

static rec_status sequence_save(const rec_model *model, bytes_writer *w, rec_err *err) {
    const sequence *m = self(model);
    bytes_put_u32(w, SEQUENCE_VERSION);
    like_rule_write(&m->likes, w);
    mat_write(&m->items, w);
    nn_encoder_write(&m->net, w);
    return w->status ? rec_nomem(err) : REC_OK;
}

static rec_status sequence_load(bytes_reader *r, rec_model **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r);
    if (r->status || version != SEQUENCE_VERSION)
        return rec_corrupt(err, "sequence: header has version %u", version);
    sequence *m = sequence_new(err);
    if (!m) return REC_NOMEM;
    rec_status st = like_rule_read(r, &m->likes, err);
    if (!st) st = mat_read(r, &m->items, err);
    if (!st) st = nn_encoder_read(r, &m->net, err);
    if (!st && (m->items.dim != m->net.shape.dim || m->items.n_rows >= KEYS_NONE))
        st = rec_corrupt(err, "sequence: %zu x %u vectors for an encoder of %u",
                         m->items.n_rows, m->items.dim, m->net.shape.dim);
    if (!st) st = sequence_check(&m->base, err);
    if (st)
        sequence_close(&m->base);
    else
        *out = &m->base;
    return st;
}

static size_t sequence_nbyte(const rec_model *m) {
    return sizeof(sequence) + mat_nbyte(&self(m)->items) +
           nn_encoder_nbyte(&self(m)->net);
}

// clang-format off
static const model_option sequence_options[] = {
    {"factors", OPT_INT, 8, 512, "64", NULL, "numbers that describe an item; a multiple of heads"},
    {"window", OPT_INT, 2, NN_ATTENTION_MAX, "50", NULL, "newest items of a user that are looked at"},
    {"layers", OPT_INT, 1, NN_MAX_BLOCKS, "2", NULL, "blocks of attention"},
    {"heads", OPT_INT, 1, 16, "2", NULL, "in which a block looks at the history apart"},
    {"dropout", OPT_REAL, 0, .9, ".5", NULL, "share of the numbers that a step leaves out"},
    {"rate", OPT_REAL, 1e-6, 1, ".001", NULL, "learning rate of Adam"},
    {"batch", OPT_INT, 1, 2048, "128", NULL, "histories in a step, at most"},
    {"epochs", OPT_INT, 1, 10000, "60", NULL, "passes over the histories, at most"},
    {"patience", OPT_INT, 1, 10000, "4", NULL, "epochs without a better NDCG@100 before training stops"},
    {"validation", OPT_REAL, 0, 1, ".1", NULL, "share of the users whose newest item tells when to stop, and is not learned"},
};
static const model_tune sequence_tune[] = {
    {"factors", "64|128", NULL}, {"layers", "1|2|3", NULL}, {"dropout", "lin .2 .6", NULL}, {"rate", "log .0005 .005", NULL}, {"batch", "64|128|256", NULL},
};
// clang-format on

const rec_model_ops sequence_ops = {
    .name = "sequence",
    .needs = MODEL_NEEDS_INTERACTIONS | MODEL_NEEDS_TIME | MODEL_GROWS,
    .options = sequence_options,
    .n_options = sizeof sequence_options / sizeof sequence_options[0],
    .tune = sequence_tune,
    .n_tune = sizeof sequence_tune / sizeof sequence_tune[0],
    .fit = sequence_fit,
    .n_items = sequence_n_items,
    .knows = sequence_knows,
    .score = sequence_score,
    .best = sequence_best,
    .vectors = sequence_vectors,
    .direction = sequence_direction,
    .similar = sequence_similar,
    .explain = sequence_explain,
    .cold_score = sequence_cold_score,
    .save = sequence_save,
    .load = sequence_load,
    .check = sequence_check,
    .nbyte = sequence_nbyte,
    .close = sequence_close,
};
