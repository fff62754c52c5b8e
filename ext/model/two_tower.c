/* two_tower.c - a tower of items and a tower of users that meet in one space.
 *
 *     item     id ---------------------- e_i  \
 *              text=, facets= --lsa--> t_i     > z_i = e_i + W2 gelu(W1 t_i + b1) + b2
 *                                             /
 *     user     likes ------------> x_u = sum_j s_j z_j           score = cos(x_u, z_i) + b_i
 *
 * (Covington and others 2016 for the history as the user's features; Yi and others 2019 for in-batch
 * softmax with log q). Training is embedding_fit.c's. The user tower has no numbers of its own, so a
 * new user needs nothing but a history, and there is no difference between somebody of the training
 * data and somebody of a second ago.
 *
 * For new items the feature part has to stand alone. So in each step a share of the batch's items
 * (`id_dropout`) is met without their id, as DropoutNet does (Volkovs, Yu, Poutanen 2017). Items that
 * came after training get z = features alone (extend). Without text= and facets= there are ids only.
 *
 * Warm start: the space of words and the layers of the previous model are kept, so that its vectors
 * mean the same; ids start where they were, new items at their features.
 *
 * Invariants
 *   I1  those of embedding.c;
 *   I2  with features: the language has dimensions, W1 is hidden x lsa_dim, W2 factors x hidden;
 *   I3  an item that nobody liked has its feature part as its vector, or 0 without features.
 *
 * Stored: u32 version, u32 has features; the embedding (embedding.c); with features: the language
 * (lsa_write), two layers of u32 in, u32 out, f32 weights[out x in], f32 bias[out].
 */
#include "embedding.h"

#include <math.h>

#define TOWER_VERSION     2
#define TOWER_WORDS       64 /* dimensions of the space of words */
#define TOWER_HIDDEN      128
#define TOWER_INIT_LENGTH .8
#define TOWER_SMALL       200 /* catalogues smaller than this keep words of one item */

typedef struct two_tower {
    embedding e;
    lsa *language;    /* owned; NULL without features */
    nn_dense in, out; /* of the feature part */
} two_tower;

static void tower_close(rec_model *model) {
    two_tower *m = (two_tower *)model;
    if (!m) return;
    embedding_clear(&m->e);
    lsa_free(m->language);
    nn_dense_clear(&m->in);
    nn_dense_clear(&m->out);
    rec_free(m);
}

/* ---- the feature part ------------------------------------------------------------------------ */

typedef struct feature_pass { /* what a forward pass leaves for the backward one */
    float *text, *hidden,
        *active; /* [n x words], [n x hidden] before and after gelu; owned */
    float *out;  /* [n x factors] */
    size_t cap_text, cap_hidden, cap_active, cap_out;
} feature_pass;

static void pass_clear(feature_pass *p) {
    rec_free(p->text);
    rec_free(p->hidden);
    rec_free(p->active);
    rec_free(p->out);
}

/* out = features of the rows item[0..n) of texts; NULL: rows 0..n. */
static rec_status features_of(const two_tower *m, const mat *texts,
                              const uint32_t *item, size_t n, feature_pass *p,
                              rec_err *err) {
    size_t words = m->in.n_in, hidden = m->in.n_out;
    rec_status st = rec_grow(&p->text, &p->cap_text, n * words, sizeof(float), err);
    if (!st) st = rec_grow(&p->hidden, &p->cap_hidden, n * hidden, sizeof(float), err);
    if (!st) st = rec_grow(&p->active, &p->cap_active, n * hidden, sizeof(float), err);
    if (!st) st = rec_grow(&p->out, &p->cap_out, n * m->out.n_out, sizeof(float), err);
    if (st) return st;
    for (size_t k = 0; k < n; k++)
        memcpy(p->text + k * words, mat_row(texts, item ? item[k] : k),
               words * sizeof(float));
    nn_dense_forward(&m->in, p->text, n, p->hidden);
    nn_activate(NN_GELU, p->hidden, n * hidden, p->active);
    nn_dense_forward(&m->out, p->active, n, p->out);
    return REC_OK;
}

/* dout[n x factors] is the gradient of the last pass. */
static void features_backward(two_tower *m, feature_pass *p, const float *dout,
                              size_t n) {
    nn_dense_backward(&m->out, p->active, dout, n, p->active);
    nn_activate_backward(NN_GELU, p->hidden, p->active, n * m->in.n_out, p->active);
    nn_dense_backward(&m->in, p->text, p->active, n, NULL);
}

/* ---- training ---------------------------------------------------------------------------------- */

typedef struct tower_fit {
    two_tower *m;
    nn_table ids;
    mat texts; /* n_items x words; no rows without features */
    feature_pass pass;
    float *slope; /* gradients of the batch's items side by side; owned */
    size_t cap_slope;
    double dropout;
    uint64_t seed;
    rec_run *run;
} tower_fit;

static void fit_clear(tower_fit *f) {
    nn_table_clear(&f->ids);
    mat_clear(&f->texts);
    pass_clear(&f->pass);
    rec_free(f->slope);
}

/* Is the id of the item left out of this batch? */
static bool is_dropped(const tower_fit *f, uint64_t batch, uint32_t item) {
    if (!f->m->language || !(f->dropout > 0)) return false;
    uint64_t x = rec_mix(f->seed ^ rec_mix(batch ^ (uint64_t)item << 32));
    return (double)(x >> 11) * 0x1p-53 < f->dropout;
}

static rec_status tower_forward(void *ctx, const embedding_batch *b, float *row,
                                rec_err *err) {
    tower_fit *f = ctx;
    size_t dim = f->ids.w.dim;
    rec_status st = REC_OK;
    if (f->m->language)
        st = features_of(f->m, &f->texts, b->item, b->n_item, &f->pass, err);
    for (size_t k = 0; !st && k < b->n_item; k++, row += dim) {
        if (is_dropped(f, b->number, b->item[k]))
            memset(row, 0, dim * sizeof *row);
        else
            memcpy(row, mat_row(&f->ids.w, b->item[k]), dim * sizeof *row);
        if (f->m->language) vec_kernels()->axpy(row, 1, f->pass.out + k * dim, dim);
    }
    return st;
}

static rec_status tower_backward(void *ctx, const embedding_batch *b, nn_grad *g,
                                 const nn_adam *a, rec_err *err) {
    tower_fit *f = ctx;
    size_t dim = f->ids.w.dim;
    if (f->m->language) {
        rec_status st =
            rec_grow(&f->slope, &f->cap_slope, b->n_item * dim, sizeof *f->slope, err);
        if (st) return st;
        for (size_t k = 0; k < b->n_item; k++)
            memcpy(f->slope + k * dim, mat_row(&g->sum, k), dim * sizeof *f->slope);
        features_backward(f->m, &f->pass, f->slope, b->n_item);
        nn_dense_step(&f->m->in, a);
        nn_dense_step(&f->m->out, a);
    }
    for (size_t k = 0; k < b->n_item; k++) {
        g->touched[k] = b->item[k];
        if (is_dropped(f, b->number, b->item[k]))
            memset(mat_row(&g->sum, k), 0, dim * sizeof(float));
    }
    return nn_table_step(&f->ids, g, a, f->run, err);
}

static const two_tower *earlier(const model_fit_args *a) {
    const two_tower *p = (const two_tower *)a->previous;
    uint32_t dim = (uint32_t)opt_num(a->options, "factors");
    if (!p || p->e.base.ops != &two_tower_ops || p->e.vectors.dim != dim + 1)
        return NULL;
    return (a->data->docs != NULL) == (p->language != NULL) ? p : NULL;
}

static rec_status copy_language(const two_tower *from, two_tower *to, rec_err *err) {
    bytes_writer w = {0};
    lsa_write(from->language, &w);
    nn_dense_write(&from->in, &w);
    nn_dense_write(&from->out, &w);
    bytes_reader r = {.data = w.data, .n = w.n};
    rec_status st = w.status ? rec_nomem(err) : lsa_read(&r, &to->language, err);
    if (!st) st = nn_dense_read(&r, &to->in, err);
    if (!st) st = nn_dense_read(&r, &to->out, err);
    bytes_clear(&w);
    return st;
}

static rec_status fit_language(tower_fit *f, const model_fit_args *a, rec_err *err) {
    bool is_small = a->data->n_items < TOWER_SMALL;
    lsa_args args = {.dim = TOWER_WORDS,
                     .seed = a->seed,
                     .min_df = is_small ? 1 : LSA_MIN_DF,
                     .max_df = is_small ? 1 : .3f};
    rng r;
    rng_seed(&r, a->seed, 2);
    rec_status st =
        lsa_fit(a->data->docs, &args, &f->m->language, &f->texts, a->run, err);
    if (st) return st;
    if (lsa_dim(f->m->language) == 0) { /* no words: ids only */
        lsa_free(f->m->language);
        f->m->language = NULL;
        mat_clear(&f->texts);
        return REC_OK;
    }
    st = nn_dense_init(&f->m->in, lsa_dim(f->m->language), TOWER_HIDDEN, &r, err);
    if (!st) st = nn_dense_init(&f->m->out, TOWER_HIDDEN, f->ids.w.dim, &r, err);
    return st;
}

/* Ids start where the previous model ended; what its vectors owe to features is taken off. */
static rec_status start_from(tower_fit *f, const model_fit_args *a, rec_err *err) {
    const embedding *from = (const embedding *)a->previous;
    size_t dim = f->ids.w.dim;
    rec_status st = REC_OK;
    for (uint32_t i = 0; !st && i < f->ids.w.n_rows; i++) {
        float *row = mat_row(&f->ids.w, i);
        uint32_t was = model_previous_item(a, i);
        bool is_known = was != KEYS_NONE && from->length[was] > 0;
        if (is_known)
            embedding_vector(from, was, row);
        else if (f->m->language)
            memset(row, 0, dim * sizeof *row);
        if (!f->m->language || !is_known) continue;
        st = features_of(f->m, &f->texts, &i, 1, &f->pass, err);
        if (!st) vec_kernels()->axpy(row, -1, f->pass.out, dim);
    }
    return st;
}

static rec_status prepare(tower_fit *f, const model_fit_args *a, const two_tower *from,
                          rec_err *err) {
    uint32_t dim = (uint32_t)opt_num(a->options, "factors");
    rec_status st = nn_table_init(&f->ids, a->data->n_items, dim,
                                  TOWER_INIT_LENGTH / sqrt(dim), rec_mix(a->seed), err);
    if (st) return st;
    if (from && from->language) {
        st = copy_language(from, f->m, err);
        if (!st) st = lsa_embed_corpus(f->m->language, a->data->docs, &f->texts, err);
    } else if (a->data->docs)
        st = fit_language(f, a, err);
    if (!st && f->m->language) st = mat_resize(&f->texts, a->data->n_items, err);
    if (!st && from) st = start_from(f, a, err);
    return st;
}

#define TOWER_BLOCK 1024 /* items whose features are computed at once */

/* Rows of z from `from` on: the features of texts rows which[0..] (NULL: 0, 1, ..) are added to the numbers that
 * are vectors. */
static rec_status add_features(const two_tower *m, const mat *texts,
                               const uint32_t *which, mat *z, size_t from,
                               rec_err *err) {
    feature_pass p = {0};
    rec_status st = REC_OK;
    size_t n = z->n_rows - from;
    uint32_t item[TOWER_BLOCK];
    for (size_t at = 0; !st && at < n; at += TOWER_BLOCK) {
        size_t n_block = n - at < TOWER_BLOCK ? n - at : TOWER_BLOCK;
        for (size_t k = 0; k < n_block; k++)
            item[k] = which ? which[at + k] : (uint32_t)(at + k);
        st = features_of(m, texts, item, n_block, &p, err);
        for (size_t k = 0; !st && k < n_block; k++)
            vec_kernels()->axpy(mat_row(z, from + at + k), 1, p.out + k * m->out.n_out,
                                m->out.n_out);
    }
    pass_clear(&p);
    return st;
}

/* The trained vectors move into the model (I3). */
static rec_status keep_vectors(tower_fit *f, const liked *l, double popularity,
                               rec_err *err) {
    two_tower *m = f->m;
    mat *z = &f->ids.w;
    rec_status st = REC_OK;
    for (uint32_t i = 0; i < l->n_items; i++)
        if (!l->degree[i]) memset(mat_row(z, i), 0, z->dim * sizeof(float));
    if (m->language) st = add_features(m, &f->texts, NULL, z, 0, err);
    return st ? st : embedding_take(&m->e, z, l, popularity, err);
}

static rec_status fit_into(rec_model *model, const model_fit_args *a, const liked *l,
                           rec_err *err) {
    two_tower *m = (two_tower *)model;
    const two_tower *from = earlier(a);
    tower_fit f = {.m = m,
                   .dropout = opt_num(a->options, "id_dropout"),
                   .seed = a->seed,
                   .run = a->run};
    embedding_net net = {&f, tower_forward, tower_backward};
    embedding_fit_args args = {.likes = l,
                               .options = a->options,
                               .phase = "two_tower",
                               .seed = a->seed,
                               .is_warm = from != NULL,
                               .run = a->run};
    rec_status st = prepare(&f, a, from, err);
    if (!st) st = embedding_train(&args, &net, err);
    if (!st) st = keep_vectors(&f, l, opt_num(a->options, "popularity"), err);
    fit_clear(&f);
    return st;
}

static rec_status tower_fit_model(const model_fit_args *a, rec_model **out,
                                  rec_err *err) {
    return embedding_fit(&two_tower_ops, sizeof(two_tower), fit_into, a, out, err);
}

/* ---- new items ------------------------------------------------------------------------------------ */

static rec_status tower_extend(rec_model *model, const corpus *docs,
                               const catalog *items, const uint32_t *which, size_t n,
                               rec_err *err) {
    two_tower *m = (two_tower *)model;
    size_t before = m->e.vectors.n_rows;
    mat texts = {0};
    (void)items;
    if (n == 0) return REC_OK;
    rec_status st = mat_resize(&m->e.vectors, before + n, err);
    if (!st && m->language && docs) {
        size_t n_text = 0;
        for (size_t i = 0; i < n; i++)
            if (which[i] >= n_text) n_text = (size_t)which[i] + 1;
        st = lsa_embed_corpus(m->language, docs, &texts, err);
        if (!st && texts.n_rows < n_text) st = mat_resize(&texts, n_text, err);
        if (!st) st = add_features(m, &texts, which, &m->e.vectors, before, err);
    }
    mat_clear(&texts);
    if (!st) st = embedding_measure(&m->e, before, err);
    if (st) mat_resize(&m->e.vectors, before, NULL); /* as it was */
    return st;
}

static const lsa *tower_language(const rec_model *m) { /* sentences are no input */
    (void)m;
    return NULL;
}

/* ---- stored form ------------------------------------------------------------------------------------ */

static rec_status tower_save(const rec_model *model, bytes_writer *w, rec_err *err) {
    const two_tower *m = (const two_tower *)model;
    bytes_put_u32(w, TOWER_VERSION);
    bytes_put_u32(w, m->language != NULL);
    embedding_write(&m->e, w);
    if (m->language) {
        lsa_write(m->language, w);
        nn_dense_write(&m->in, w);
        nn_dense_write(&m->out, w);
    }
    return w->status ? rec_nomem(err) : REC_OK;
}

static rec_status read_features(two_tower *m, bytes_reader *r, rec_err *err) {
    rec_status st = lsa_read(r, &m->language, err);
    if (!st) st = nn_dense_read(r, &m->in, err);
    if (!st) st = nn_dense_read(r, &m->out, err);
    if (!st && (lsa_dim(m->language) != m->in.n_in || m->in.n_out != m->out.n_in ||
                m->out.n_out + 1 != m->e.vectors.dim)) /* I2 */
        st = rec_corrupt(err, "two_tower: layers of %u to %u and %u to %u for %u words",
                         m->in.n_in, m->in.n_out, m->out.n_in, m->out.n_out,
                         lsa_dim(m->language));
    return st;
}

static rec_status tower_load(bytes_reader *r, rec_model **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r), has_features = bytes_get_u32(r);
    if (r->status || version != TOWER_VERSION || has_features > 1)
        return rec_corrupt(err, "two_tower: header has version %u, features %u",
                           version, has_features);
    two_tower *m = embedding_new(&two_tower_ops, sizeof *m, err);
    if (!m) return REC_NOMEM;
    rec_status st = embedding_read(r, &m->e, err);
    if (!st && has_features) st = read_features(m, r, err);
    if (!st) st = embedding_check(&m->e.base, err);
    if (st)
        tower_close(&m->e.base);
    else
        *out = &m->e.base;
    return st;
}

static size_t tower_nbyte(const rec_model *model) {
    const two_tower *m = (const two_tower *)model;
    size_t n = sizeof *m + embedding_nbyte(model);
    if (m->language)
        n += lsa_nbyte(m->language) +
             4 * sizeof(float) * (m->in.weight.n + m->out.weight.n);
    return n;
}

// clang-format off
static const model_option tower_options[] = {
    EMBEDDING_OPTIONS("15", ".02", ".1", ".4", "256"),
    {"id_dropout", OPT_REAL, 0, .9, ".2", NULL, "with text= or facets=: share of the items that a step meets without their id"},
};
// clang-format on

static const model_tune tower_tune[] = {EMBEDDING_TUNE};

const rec_model_ops two_tower_ops = {
    .name = "two_tower",
    .needs = MODEL_NEEDS_INTERACTIONS | MODEL_READS_TEXT | MODEL_GROWS,
    .options = tower_options,
    .n_options = sizeof tower_options / sizeof tower_options[0],
    .tune = tower_tune,
    .n_tune = sizeof tower_tune / sizeof tower_tune[0],
    .fit = tower_fit_model,
    .n_items = embedding_n_items,
    .knows = embedding_knows,
    .score = embedding_score,
    .best = embedding_best,
    .vectors = embedding_vectors,
    .direction = embedding_direction,
    .similar = embedding_similar,
    .explain = embedding_explain,
    .cold_score = embedding_cold_score,
    .extend = tower_extend,
    .language = tower_language,
    .save = tower_save,
    .load = tower_load,
    .check = embedding_check,
    .nbyte = tower_nbyte,
    .close = tower_close,
};
