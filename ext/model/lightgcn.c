/* lightgcn.c - embeddings that are smoothed over the graph of users and items, and trained through it.
 *
 * LightGCN (He and others 2020) has an embedding for each node and no weights: layer k+1 of a node is the
 * sum of layer k of its neighbours, each edge divided by the root of both degrees, and a node is the sum
 * of its layers. Here users start at zero. Then even layers live at items and odd ones at users,
 *
 *     items   e0 --\        /--> e2 --\                z_i = e0 + e2 + ...
 *                   \      /           \               x_u = what e1 + e3 + ... is: the sum of the z
 *     users          \--> e1            \--> e3              of the user's items
 *
 * and a user is a sum over their items of vectors that only items have: new users fold in exactly, no user
 * is stored, and half of the parameters are gone. S = A'A, with A the users x items matrix of
 * 1 / root(degree degree), is one round over the graph: z = e0 + S e0 + ... with `layers` = 1 + 2 rounds.
 * On their last way, from items to users, edges are not divided by the item's degree (cosines do not
 * care about the user's): on Gowalla that ranks better.
 *
 * The authors' training takes hours: hundreds of epochs of pairs, each batch with a pass over the whole
 * graph. What makes minutes of it here:
 *   - a softmax over all hidden items of the batch in place of one counterexample a like
 *     (embedding_fit.c): tens of epochs in place of hundreds;
 *   - a step takes a thousand users, not two thousand likes: 30 passes over the graph an epoch, not 400;
 *   - wrong candidates are scored once a user, not once a like;
 *   - the likes that a step predicts are taken out of the graph in that step: the model never learns to
 *     copy an edge it can see, which is what long training unlearns.
 *
 * Backward: the map from e0 to z is symmetric, so the gradient by e0 is the same rounds over the gradient
 * by z.
 *
 * Warm start: e0 is found again from the stored z by Richardson's iteration on (I + S + ...) e0 = z,
 * whose eigenvalues lie between 1 and rounds + 1; a few rounds over the graph.
 *
 * Invariants
 *   I1  those of embedding.c;
 *   I2  between steps every edge has its weight; row[k] of the transpose is the same edge as at[k];
 *   I3  an item that nobody liked has the vector 0.
 *
 * Stored: u32 version, u32 layers; the embedding (embedding.c).
 * Cost of a step: 4 x rounds products of likes x factors, and embedding_fit.c's.
 */
#include "embedding.h"

#include <math.h>

#define GCN_VERSION     2
#define GCN_MAX_LAYERS  9
#define GCN_INIT_LENGTH .8
#define GCN_INVERT      12 /* rounds of Richardson's iteration */

typedef struct lightgcn {
    embedding e;
    uint32_t layers;
} lightgcn;

static void gcn_close(rec_model *model) {
    lightgcn *m = (lightgcn *)model;
    if (!m) return;
    embedding_clear(&m->e);
    rec_free(m);
}

/* ---- the graph -------------------------------------------------------------------------------- */

typedef struct gcn_fit {
    nn_table items; /* e0 */
    csr a, at;      /* users x items and its transpose */
    float *weight;  /* [n] of each edge; owned */
    size_t *turned; /* [n] place of edge k of `a` in `at`; owned */
    mat user, hop;  /* scratch: users, items */
    mat z, slope;
    mat target; /* warm start: z as the previous model had them */
    int rounds;
    double popularity;
    rec_run *run;
} gcn_fit;

static void fit_clear(gcn_fit *f) {
    nn_table_clear(&f->items);
    csr_clear(&f->a);
    csr_clear(&f->at);
    rec_free(f->weight);
    rec_free(f->turned);
    mat_clear(&f->user);
    mat_clear(&f->hop);
    mat_clear(&f->z);
    mat_clear(&f->slope);
    mat_clear(&f->target);
}

static rec_status build_graph(gcn_fit *f, const liked *l, rec_err *err) {
    csr_entry *e = rec_array(l->n, sizeof *e);
    if (!e) return rec_nomem(err);
    for (size_t k = 0; k < l->n; k++) {
        double n_user = (double)(l->ptr[l->user[k] + 1] - l->ptr[l->user[k]]);
        double f_edge = 1 / sqrt(n_user * l->degree[l->item[k]]);
        e[k] = (csr_entry){l->user[k], l->item[k], (float)f_edge};
    }
    rec_status st = csr_from_entries(&f->a, e, l->n, l->n_users, l->n_items, err);
    rec_free(e);
    if (!st) st = csr_transpose(&f->a, &f->at, err);
    if (st) return st;
    f->weight = rec_array(l->n, sizeof *f->weight);
    f->turned = rec_array(l->n, sizeof *f->turned);
    size_t *place = rec_array(l->n_items, sizeof *place);
    if (!f->weight || !f->turned || !place) {
        rec_free(place);
        return rec_nomem(err);
    }
    memcpy(place, f->at.ptr, l->n_items * sizeof *place);
    for (size_t k = 0; k < l->n; k++) {
        f->weight[k] = f->a.val[k];
        f->turned[k] = place[f->a.col[k]]++;
    }
    rec_free(place);
    return REC_OK;
}

/* Take the batch's targets out of the graph, or (hide = false) put them back. */
static void hide_edges(gcn_fit *f, const embedding_batch *b, bool hide) {
    for (size_t k = 0; k < b->n_user; k++)
        for (size_t j = b->likes->ptr[b->user[k]]; j < b->likes->ptr[b->user[k] + 1];
             j++)
            if (b->is_target[j])
                f->a.val[j] = f->at.val[f->turned[j]] = hide ? 0 : f->weight[j];
}

typedef struct copy_job {
    const mat *from;
    mat *to;
    bool add;
} copy_job;

static rec_status copy_rows(void *ctx, size_t begin, size_t end, int worker,
                            rec_err *err) {
    const copy_job *job = ctx;
    (void)worker, (void)err;
    for (size_t i = begin; i < end; i++) {
        float *to = mat_row(job->to, i);
        if (job->add)
            vec_kernels()->axpy(to, 1, mat_row(job->from, i), job->to->dim);
        else
            memcpy(to, mat_row(job->from, i), job->to->dim * sizeof *to);
    }
    return REC_OK;
}

#define COPY_PIECE 4096

static rec_status add_rows(const mat *from, mat *to, bool add, rec_run *run,
                           rec_err *err) {
    copy_job job = {from, to, add};
    return threads_for(run, from->n_rows, COPY_PIECE, copy_rows, &job, err);
}

/* out = x + S x + S^2 x + ...; x and out may be the same. */
static rec_status propagate(gcn_fit *f, const mat *x, mat *out, rec_err *err) {
    rec_status st = add_rows(x, &f->hop, false, f->run, err);
    if (!st && x != out) st = add_rows(x, out, false, f->run, err);
    for (int r = 0; !st && r < f->rounds; r++) {
        st = csr_times_mat(&f->a, &f->hop, &f->user, f->run, err);
        if (!st) st = csr_times_mat(&f->at, &f->user, &f->hop, f->run, err);
        if (!st) st = add_rows(&f->hop, out, true, f->run, err);
    }
    return st;
}

/* ---- training ----------------------------------------------------------------------------------- */

static rec_status gcn_forward(void *ctx, const embedding_batch *b, float *row,
                              rec_err *err) {
    gcn_fit *f = ctx;
    size_t dim = f->z.dim;
    hide_edges(f, b, true);
    rec_status st = propagate(f, &f->items.w, &f->z, err);
    for (size_t k = 0; !st && k < b->n_item; k++)
        memcpy(row + k * dim, mat_row(&f->z, b->item[k]), dim * sizeof *row);
    return st;
}

static rec_status gcn_backward(void *ctx, const embedding_batch *b, nn_grad *g,
                               const nn_adam *a, rec_err *err) {
    gcn_fit *f = ctx;
    size_t dim = f->z.dim;
    for (size_t c = 0; c < f->slope.n_chunks; c++)
        memset(f->slope.chunk[c], 0,
               mat_chunk_rows(&f->slope, c) * dim * sizeof(float));
    for (size_t k = 0; k < b->n_item; k++)
        memcpy(mat_row(&f->slope, b->item[k]), mat_row(&g->sum, k),
               dim * sizeof(float));
    rec_status st = propagate(f, &f->slope, &f->slope, err);
    if (!st) st = nn_table_step_all(&f->items, &f->slope, a, f->run, err);
    hide_edges(f, b, false);
    return st;
}

/* e <- e + w (z - (I + S + ...) e), w = 2 / (least + largest eigenvalue). */
static rec_status start_from(gcn_fit *f, const model_fit_args *a, rec_err *err) {
    const embedding *from = (const embedding *)a->previous;
    float w = 2.f / (float)(f->rounds + 2);
    rec_status st = mat_init(&f->target, f->z.n_rows, f->z.dim, err);
    for (uint32_t i = 0; !st && i < f->z.n_rows; i++) {
        uint32_t was = model_previous_item(a, i);
        if (was == KEYS_NONE || !(from->length[was] > 0)) continue;
        embedding_vector(from, was, mat_row(&f->target, i));
        embedding_vector(from, was, mat_row(&f->items.w, i));
    }
    for (int k = 0; !st && k < GCN_INVERT; k++) {
        st = propagate(f, &f->items.w, &f->z, err);
        for (size_t i = 0; !st && i < f->z.n_rows; i++) {
            const float *z = mat_row(&f->target, i);
            if (!(vec_norm(z, f->z.dim) > 0)) continue; /* new: as it was drawn */
            vec_kernels()->axpy(mat_row(&f->items.w, i), w, z, f->z.dim);
            vec_kernels()->axpy(mat_row(&f->items.w, i), -w, mat_row(&f->z, i),
                                f->z.dim);
        }
    }
    mat_clear(&f->target);
    return st;
}

static rec_status prepare(gcn_fit *f, const model_fit_args *a, const liked *l,
                          rec_err *err) {
    uint32_t dim = (uint32_t)opt_num(a->options, "factors");
    rec_status st = nn_table_init(&f->items, l->n_items, dim,
                                  GCN_INIT_LENGTH / sqrt(dim), rec_mix(a->seed), err);
    if (!st) st = build_graph(f, l, err);
    if (!st) st = mat_init(&f->user, l->n_users, dim, err);
    if (!st) st = mat_init(&f->hop, l->n_items, dim, err);
    if (!st) st = mat_init(&f->z, l->n_items, dim, err);
    if (!st) st = mat_init(&f->slope, l->n_items, dim, err);
    return st;
}

static bool has_earlier(const model_fit_args *a) {
    const lightgcn *p = (const lightgcn *)a->previous;
    uint32_t dim = (uint32_t)opt_num(a->options, "factors");
    return p && p->e.base.ops == &lightgcn_ops && p->e.vectors.dim == dim + 1;
}

/* The trained vectors move into the model (I3). */
static rec_status keep_vectors(lightgcn *m, gcn_fit *f, const liked *l, rec_err *err) {
    rec_status st = propagate(f, &f->items.w, &f->z, err);
    if (st) return st;
    for (uint32_t i = 0; i < l->n_items; i++)
        if (!l->degree[i]) memset(mat_row(&f->z, i), 0, f->z.dim * sizeof(float));
    return embedding_take(&m->e, &f->z, l, f->popularity, err);
}

static rec_status fit_into(rec_model *model, const model_fit_args *a, const liked *l,
                           rec_err *err) {
    lightgcn *m = (lightgcn *)model;
    m->layers = (uint32_t)opt_num(a->options, "layers");
    bool is_warm = has_earlier(a);
    gcn_fit f = {.rounds = (int)(m->layers - 1) / 2,
                 .popularity = opt_num(a->options, "popularity"),
                 .run = a->run};
    embedding_net net = {&f, gcn_forward, gcn_backward};
    embedding_fit_args args = {.likes = l,
                               .options = a->options,
                               .phase = "lightgcn",
                               .seed = a->seed,
                               .is_warm = is_warm,
                               .run = a->run};
    rec_status st = prepare(&f, a, l, err);
    if (!st && is_warm) st = start_from(&f, a, err);
    if (!st) st = embedding_train(&args, &net, err);
    if (!st) st = keep_vectors(m, &f, l, err);
    fit_clear(&f);
    return st;
}

static rec_status gcn_fit_model(const model_fit_args *a, rec_model **out,
                                rec_err *err) {
    uint32_t layers = (uint32_t)opt_num(a->options, "layers");
    *out = NULL;
    if (layers % 2 == 0)
        return rec_fail(
            err, REC_RANGE,
            "lightgcn: layers=%u is even; users start at zero, so that only "
            "odd layers reach them",
            layers);
    return embedding_fit(&lightgcn_ops, sizeof(lightgcn), fit_into, a, out, err);
}

/* ---- stored form ------------------------------------------------------------------------------------ */

static const lsa *gcn_language(const rec_model *m) {
    (void)m;
    return NULL;
}

static rec_status gcn_save(const rec_model *model, bytes_writer *w, rec_err *err) {
    const lightgcn *m = (const lightgcn *)model;
    bytes_put_u32(w, GCN_VERSION);
    bytes_put_u32(w, m->layers);
    embedding_write(&m->e, w);
    return w->status ? rec_nomem(err) : REC_OK;
}

static rec_status gcn_load(bytes_reader *r, rec_model **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r), layers = bytes_get_u32(r);
    if (r->status || version != GCN_VERSION || layers > GCN_MAX_LAYERS ||
        layers % 2 == 0)
        return rec_corrupt(err, "lightgcn: header has version %u, %u layers", version,
                           layers);
    lightgcn *m = embedding_new(&lightgcn_ops, sizeof *m, err);
    if (!m) return REC_NOMEM;
    m->layers = layers;
    rec_status st = embedding_read(r, &m->e, err);
    if (!st) st = embedding_check(&m->e.base, err);
    if (st)
        gcn_close(&m->e.base);
    else
        *out = &m->e.base;
    return st;
}

static size_t gcn_nbyte(const rec_model *m) {
    return sizeof(lightgcn) + embedding_nbyte(m);
}

// clang-format off
static const model_option gcn_options[] = {
    EMBEDDING_OPTIONS("15", ".02", ".1", ".4", "1024"),
    {"layers", OPT_INT, 1, GCN_MAX_LAYERS, "3", NULL, "ways over an edge that reach a user: 1 + 2 rounds over the graph, odd"},
};
// clang-format on

static const model_tune gcn_tune[] = {EMBEDDING_TUNE, {"layers", "1|3|5", NULL}};

const rec_model_ops lightgcn_ops = {
    .name = "lightgcn",
    .needs = MODEL_NEEDS_INTERACTIONS | MODEL_GROWS,
    .options = gcn_options,
    .n_options = sizeof gcn_options / sizeof gcn_options[0],
    .tune = gcn_tune,
    .n_tune = sizeof gcn_tune / sizeof gcn_tune[0],
    .fit = gcn_fit_model,
    .n_items = embedding_n_items,
    .knows = embedding_knows,
    .score = embedding_score,
    .best = embedding_best,
    .vectors = embedding_vectors,
    .direction = embedding_direction,
    .similar = embedding_similar,
    .explain = embedding_explain,
    .cold_score = embedding_cold_score,
    .language = gcn_language,
    .save = gcn_save,
    .load = gcn_load,
    .check = embedding_check,
    .nbyte = gcn_nbyte,
    .close = gcn_close,
};
