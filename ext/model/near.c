/* near.c - the graph index over the item vectors of a large model.
 *
 *     direction of the question --> graph --> some hundreds of candidates --> score(), rules, ranking
 *                                   allowed
 *
 * Scoring every item costs items x dim for each question: milliseconds at a hundred thousand items, tens of them at
 * a million. A graph over the same vectors (index/hnsw.c) finds nearly the same best items in a fraction of that.
 * It only proposes: scores are those of the model, and what may not be shown is not proposed. A search
 * goes on until enough was found or nothing is left, so it never finds fewer than there are.
 *
 * The graph keeps half-precision copies, of vectors divided by the largest element of all, and one byte a number
 * to walk by. Neither changes an order by more than rounding, which candidates do not feel. Items that came after
 * training (extend) are added unlinked: every search scans those.
 *
 * Invariants
 *   I1  Slot i of the index holds row i of the vectors.
 *   I2  Stored bytes name the number of rows and the metric; links that do not fit are refused by the index.
 *
 * Stored: u32 version, u32 metric, u64 rows, then for each chunk of 64 rows u32 length and the bytes of
 * rec_index_ops.save. Cost: building about 20 us a row of 64 floats on each of two cores; memory 2 dim + dim + 150
 * bytes a row.
 */
#include "model.h"

#include <math.h>

#define NEAR_VERSION 1
#define NEAR_M       16
#define NEAR_EF      100 /* width of a search while building */

struct item_graph {
    rec_index *ix;
    vec_metric metric;
    uint32_t dim;
    size_t n;    /* rows held */
    float scale; /* what vectors are multiplied with */
};

void near_free(item_graph *near) {
    if (!near) return;
    if (near->ix) near->ix->ops->close(near->ix);
    rec_free(near);
}

static float largest_element(const mat *m) {
    float most = 0;
    for (size_t i = 0; i < m->n_rows; i++) {
        const float *row = mat_row(m, i);
        for (uint32_t k = 0; k < m->dim; k++)
            if (fabsf(row[k]) > most) most = fabsf(row[k]);
    }
    return most;
}

rec_status near_add(item_graph *near, const mat *rows, rec_err *err) {
    float *x = rec_array(near->dim, sizeof *x);
    void *stored = rec_malloc(vec_nbyte(VEC_F16, near->dim));
    rec_status st = x && stored ? REC_OK : rec_nomem(err);
    for (; !st && near->n < rows->n_rows; near->n++) {
        const float *row = mat_row(rows, near->n);
        for (uint32_t k = 0; k < near->dim; k++) {
            float v = row[k] * near->scale; /* later rows may be larger */
            x[k] = v > 1024 ? 1024 : v < -1024 ? -1024 : v;
        }
        st = index_encode(VEC_F16, x, near->dim, stored, err);
        if (!st) st = near->ix->ops->add(near->ix, (uint32_t)near->n, stored, err);
        if (st) break;
    }
    rec_free(x);
    rec_free(stored);
    return st;
}

/* All rows, none of them linked. */
static rec_status start(const mat *rows, vec_metric metric, item_graph **out,
                        rec_err *err) {
    item_graph *near = *out = rec_zeros(1, sizeof *near);
    if (!near) return rec_nomem(err);
    index_cfg cfg = {.type = VEC_F16,
                     .metric = metric,
                     .dim = rows->dim,
                     .kind = hnsw_ops.name,
                     .codes = "int8",
                     .m = NEAR_M,
                     .ef_construction = NEAR_EF,
                     .seed = 1};
    float most = largest_element(rows);
    near->metric = metric;
    near->dim = rows->dim;
    near->scale = most > 1e-30f && most < 1e30f ? 1 / most : 1;
    rec_status st = hnsw_ops.open(&near->ix, &cfg, err);
    return st ? st : near_add(near, rows, err);
}

#define LINK_PIECE 4096 /* rows between two reports of progress */

rec_status near_build(const mat *rows, vec_metric metric, rec_run *run,
                      item_graph **out, rec_err *err) {
    item_graph *near;
    rec_status st = start(rows, metric, &near, err);
    for (size_t done = 0; !st && done < rows->n_rows; done += LINK_PIECE) {
        run_progress(run, "index", (double)done / (double)rows->n_rows);
        st = near->ix->ops->link(near->ix, LINK_PIECE, run, err);
    }
    if (st) {
        near_free(near);
        near = NULL;
    }
    *out = near;
    return st;
}

rec_status near_save(const item_graph *near, bytes_writer *w, rec_err *err) {
    rec_status st = REC_OK;
    bytes_put_u32(w, NEAR_VERSION);
    bytes_put_u32(w, (uint32_t)near->metric);
    bytes_put_u64(w, near->n);
    for (size_t c = 0; !st && c * INDEX_CHUNK < near->n; c++) {
        bytes_writer chunk = {0};
        st = near->ix->ops->save(near->ix, (uint32_t)c, &chunk, err);
        if (!st && chunk.status) st = rec_nomem(err);
        bytes_put_u32(w, (uint32_t)chunk.n);
        if (chunk.n) bytes_put(w, chunk.data, chunk.n);
        bytes_clear(&chunk);
    }
    if (!st && w->status) st = rec_nomem(err);
    return st;
}

static rec_status load_chunks(item_graph *near, bytes_reader *r, rec_err *err) {
    rec_status st = REC_OK;
    for (size_t c = 0; !st && c * INDEX_CHUNK < near->n; c++) {
        uint32_t n = bytes_get_u32(r);
        const void *p = bytes_get(r, n);
        if (r->status)
            return rec_corrupt(err, "index of items: %zu bytes end in chunk %zu", r->n,
                               c);
        bytes_reader chunk = {.data = p, .n = n};
        st = near->ix->ops->load(near->ix, (uint32_t)c, &chunk, err);
    }
    if (!st && r->at != r->n)
        st = rec_corrupt(err, "index of items: %zu bytes too many", r->n - r->at);
    return st ? st : near->ix->ops->ready(near->ix, NULL, err);
}

rec_status near_load(bytes_reader *r, const mat *rows, vec_metric metric,
                     item_graph **out, rec_err *err) {
    *out = NULL;
    uint32_t version = bytes_get_u32(r), kept = bytes_get_u32(r);
    uint64_t n = bytes_get_u64(r);
    if (r->status || version != NEAR_VERSION || kept != (uint32_t)metric ||
        n != rows->n_rows)
        return rec_corrupt(err,
                           "index of items: version %u, metric %u, %llu rows; the "
                           "model has metric %u and %zu rows",
                           version, kept, (unsigned long long)n, (unsigned)metric,
                           rows->n_rows);
    item_graph *near;
    rec_status st = start(rows, metric, &near, err);
    if (!st) st = load_chunks(near, r, err);
    if (st)
        near_free(near);
    else
        *out = near;
    return st;
}

size_t near_n(const item_graph *near) {
    return near->n;
}

rec_status near_check(const item_graph *near, rec_err *err) {
    return near->ix->ops->check(near->ix, err);
}

size_t near_nbyte(const item_graph *near) {
    index_stats stats;
    near->ix->ops->stats(near->ix, &stats);
    return sizeof *near + stats.nbyte;
}

rec_status near_find(const item_graph *near, const near_query *q, uint32_t *item,
                     size_t *n, rec_err *err) {
    index_search *s = NULL;
    float distance;
    index_query iq = {.vector = q->direction,
                      .allowed = q->allowed,
                      .k = q->n,
                      .ef = q->n < UINT32_MAX / 2 ? (uint32_t)q->n : UINT32_MAX / 2,
                      .run = q->run};
    *n = 0;
    rec_status st = near->ix->ops->search(near->ix, &iq, &s, err);
    if (st) return st;
    while (*n < q->n && near->ix->ops->next(s, &item[*n], &distance, &st, err)) (*n)++;
    near->ix->ops->end(s);
    return st;
}
