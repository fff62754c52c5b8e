/* index_data.c - what the vector index is measured on, the same bytes on every machine.
 *
 * make      Vectors like text embeddings: 1,000 centres in a latent space of 32 dimensions, each
 *           vector a centre moved by LATENT within it, projected to DIM, plus isotropic noise, of
 *           unit length. Queries are drawn in the same way and are not in the table.
 * make-als  Maximum inner product: item factors of a matrix factorisation (not normalised: long
 *           vectors are popular items), queries are users, folded in from what they did.
 *
 * Files of bare little-endian arrays: head (n, dim, n_query), base, query, truth. The truth is a
 * scan with the largest inner product first, which for unit vectors is cosine and l2 as well. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../ext/model/als.h"
#include "index_bench.h"
#undef malloc
#undef free
#undef realloc

#define N_CENTRES   1000
#define N_LATENT    32
#define LATENT      0.85
#define NOISE       0.15
#define SEED        42
#define TRUTH_BLOCK 256 /* rows that stay in the cache while queries pass over them */
#define TRUTH_PIECE 64  /* queries of one piece of work */

static void write_file(const char *dir, const char *name, const void *p, size_t n) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, n, f) != n || fclose(f)) die("cannot write", path);
}

static void *read_file(const char *dir, const char *name, size_t *n) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f) die("cannot read", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    void *p = need(malloc(*n));
    if (fread(p, 1, *n, f) != *n) die("cannot read", path);
    fclose(f);
    return p;
}

/* ---- truth ------------------------------------------------------------------------------------ */

static void scan_block(const data *d, size_t from, size_t to, size_t query,
                       topk *best) {
    const float *q = d->query + query * d->dim;
    for (size_t i = from; i < to; i++)
        topk_push(best, -vec_kernels()->dot(q, d->base + i * d->dim, d->dim),
                  (uint32_t)i);
}

static rec_status truth_piece(void *ctx, size_t begin, size_t end, int worker,
                              rec_err *err) {
    const data *d = ctx;
    topk best[TRUTH_PIECE];
    (void)worker;
    for (size_t q = begin; q < end; q++)
        if (topk_init(&best[q - begin], K, err)) return REC_NOMEM;
    for (size_t from = 0; from < d->n; from += TRUTH_BLOCK) {
        size_t to = from + TRUTH_BLOCK < d->n ? from + TRUTH_BLOCK : d->n;
        for (size_t q = begin; q < end; q++)
            scan_block(d, from, to, q, &best[q - begin]);
    }
    for (size_t q = begin; q < end; q++) {
        topk_sort(&best[q - begin]);
        for (size_t k = 0; k < K; k++) d->truth[q * K + k] = best[q - begin].a[k].id;
        topk_clear(&best[q - begin]);
    }
    return REC_OK;
}

static int finish(const char *dir, data *d) {
    uint32_t head[3] = {(uint32_t)d->n, d->dim, (uint32_t)d->n_query};
    rec_run run = {.n_threads = 2};
    d->truth = need(malloc(d->n_query * K * sizeof *d->truth));
    if (d->n < K || threads_for(&run, d->n_query, TRUTH_PIECE, truth_piece, d, NULL))
        die("the truth", "too few rows or no memory");
    write_file(dir, "base", d->base, d->n * d->dim * sizeof(float));
    write_file(dir, "query", d->query, d->n_query * d->dim * sizeof(float));
    write_file(dir, "truth", d->truth, d->n_query * K * sizeof *d->truth);
    write_file(dir, "head", head,
               sizeof head); /* last: its presence says that all are there */
    data_close(d);
    return 0;
}

/* ---- text-like vectors --------------------------------------------------------------------------- */

typedef struct space {
    float *centre, *project;
    rng random;
} space;

static void make_vectors(space *s, float *x, size_t n, uint32_t dim) {
    float z[N_LATENT];
    for (size_t i = 0; i < n; i++) {
        const float *c =
            s->centre + (size_t)rng_below(&s->random, N_CENTRES) * N_LATENT;
        for (int j = 0; j < N_LATENT; j++)
            z[j] = c[j] + (float)(LATENT * rng_normal(&s->random));
        for (uint32_t d = 0; d < dim; d++) {
            float v = 0;
            for (int j = 0; j < N_LATENT; j++)
                v += z[j] * s->project[(size_t)d * N_LATENT + (size_t)j];
            x[i * dim + d] = v + (float)(NOISE * rng_normal(&s->random));
        }
        vec_normalize(x + i * dim, dim);
    }
}

int data_make(const char *dir, size_t n, uint32_t dim, size_t n_query) {
    space s = {.centre = need(malloc(N_CENTRES * N_LATENT * sizeof(float))),
               .project = need(malloc((size_t)dim * N_LATENT * sizeof(float)))};
    data d = {.n = n, .dim = dim, .n_query = n_query};
    rng_seed(&s.random, SEED, 0);
    for (int i = 0; i < N_CENTRES * N_LATENT; i++)
        s.centre[i] = (float)rng_normal(&s.random);
    for (size_t i = 0; i < (size_t)dim * N_LATENT; i++)
        s.project[i] = (float)(rng_normal(&s.random) / sqrt(N_LATENT));
    d.base = need(malloc(n * dim * sizeof(float)));
    d.query = need(malloc(n_query * dim * sizeof(float)));
    make_vectors(&s, d.base, n, dim);
    make_vectors(&s, d.query, n_query, dim);
    free(s.centre);
    free(s.project);
    return finish(dir, &d);
}

/* ---- factors of items, users as queries ------------------------------------------------------------ */

/* Lines "user item item ...", numbers from 0. */
static void read_interactions(const char *path, dataset *out) {
    FILE *f = fopen(path, "r");
    interaction *row = NULL;
    size_t n = 0, cap = 0;
    uint32_t n_users = 0, n_items = 0;
    if (!f) die("cannot read", path);
    for (unsigned user; fscanf(f, "%u", &user) == 1;) {
        int c;
        for (unsigned item; (c = fgetc(f)) == ' ' && fscanf(f, "%u", &item) == 1;) {
            if (n == cap)
                row = need(realloc(row, (cap = cap * 2 + 1024) * sizeof *row));
            row[n++] = (interaction){user, item, 1, 1, NAN};
            if (item >= n_items) n_items = item + 1;
        }
        if (user >= n_users) n_users = user + 1;
    }
    fclose(f);
    signal_spec spec = {.since = NAN, .until = NAN, .half_life = NAN};
    if (dataset_build(&spec, row, n, n_users, n_items, out, NULL))
        die(path, "no dataset");
    free(row);
}

static als *fit(const dataset *seen, uint32_t factors) {
    char text[20];
    bool is_known;
    rec_model *model;
    rec_err err = {0};
    model_options o;
    rec_run run = {.n_threads = 2};
    snprintf(text, sizeof text, "%u", factors);
    options_init(&o, als_ops.options, als_ops.n_options);
    if (options_set(&o, "factors", text, &is_known, &err) ||
        options_set(&o, "alpha0", "0.01", &is_known, &err) ||
        options_set(&o, "lambda", "0.0046", &is_known, &err))
        die("als", err.msg);
    model_fit_args args = {.data = seen, .options = &o, .seed = SEED, .run = &run};
    if (als_ops.fit(&args, &model, &err)) die("als", err.msg);
    options_clear(&o);
    return (als *)model;
}

/* The user's vector, as a query over the model makes it from a history. */
static void fold_in(const als *m, const dataset *seen, size_t user, float *out) {
    als_task task = {
        .fixed = &m->items, .spectrum = m->spectrum, .extra = (float)m->extra};
    size_t from = seen->ptr[user], n = seen->ptr[user + 1] - from;
    float *weight = need(malloc((n + 1) * sizeof *weight));
    float *x = need(malloc((m->factors + 1) * sizeof *x));
    for (size_t j = 0; j < n; j++)
        weight[j] = seen->weight[from + j] * m->item_scale[seen->item[from + j]];
    als_history h = {.row = seen->item + from, .weight = weight, .n = n};
    h.lambda = als_row_lambda(m, weight, n, m->n_items);
    als_scratch scratch;
    if (als_scratch_init(&scratch, &task, n, NULL)) die("als", "no memory");
    als_solve(&task, &h, &scratch, x);
    memcpy(out, x, m->factors * sizeof *x);
    als_scratch_clear(&scratch);
    free(weight);
    free(x);
}

int data_make_als(const char *dir, const char *train, uint32_t factors,
                  size_t n_query) {
    dataset seen;
    read_interactions(train, &seen);
    als *m = fit(&seen, factors);
    data d = {.n = m->n_items, .dim = factors};
    d.n_query = n_query < seen.n_users ? n_query : seen.n_users;
    d.base = need(malloc(d.n * factors * sizeof(float)));
    d.query = need(malloc(d.n_query * factors * sizeof(float)));
    for (size_t i = 0; i < d.n; i++)
        memcpy(d.base + i * factors, mat_row(&m->items, i), factors * sizeof(float));
    for (size_t q = 0; q < d.n_query; q++) /* spread over all users */
        fold_in(m, &seen, q * seen.n_users / d.n_query, d.query + q * factors);
    als_close(&m->base);
    dataset_clear(&seen);
    return finish(dir, &d);
}

/* ---- reading ------------------------------------------------------------------------------------------ */

data data_open(const setup *s, bool whole) {
    data d = {0};
    size_t n;
    uint32_t *head = read_file(s->dir, "head", &n);
    d.n = head[0], d.dim = head[1], d.n_query = head[2];
    free(head);
    d.query = read_file(s->dir, "query", &n);
    if (whole) d.base = read_file(s->dir, "base", &n);
    if (whole) d.truth = read_file(s->dir, "truth", &n);
    if (s->queries && s->queries < d.n_query) d.n_query = s->queries;
    return d;
}

void data_close(data *d) {
    free(d->base);
    free(d->query);
    free(d->truth);
    *d = (data){0};
}

double data_recall(const data *d, const int64_t *row, size_t n_query) {
    size_t n_hit = 0;
    for (size_t q = 0; q < n_query; q++)
        for (size_t k = 0; k < K; k++)
            for (size_t t = 0; t < K; t++)
                n_hit += row[q * K + k] == (int64_t)d->truth[q * K + t];
    return (double)n_hit / (double)(n_query * K);
}
