/* sq_peers.c - users as vectors over items, to be compared with one another.
 *
 *                 item 1   2   3   4
 *         42        .5  1.2      .3          cosine over shared items,
 *         43            1.0  .4  .9          norms over all items of each
 *
 * Implicit: an entry is the weight, log-damped. Explicit: the rating less the mean of all ratings, so that two users
 * who dislike the same films are alike as well. The rows are what a training would read now.
 *
 * Reading them takes 30 times as long as comparing one user with all others. So a view keeps them for the next
 * question, as long as they are not too many; the view itself lasts while nothing changes.
 *
 * I1. Within a user items are ascending and unique; square[u] is the sum of the squared entries.
 * I2. What a view keeps is never replaced while the view lives.
 *
 * Cost: O(rows) to read, O(rows) multiply-adds a question; memory 8 bytes a row.
 */
#include "sq_preferences.h"

#include <math.h>

#define PEERS_MAX_KEPT ((size_t)8 << 20) /* rows */

struct sq_peers {
    keyset *users;  /* owned, as all below */
    size_t *ptr;    /* [n_users + 1] */
    uint32_t *item; /* numbers of the catalogue */
    float *x;
    double *square; /* [n_users] */
    size_t n_users, n_items;
};

void sq_peers_free(sq_peers *p) {
    if (!p) return;
    keyset_free(p->users);
    rec_free(p->ptr);
    rec_free(p->item);
    rec_free(p->x);
    rec_free(p->square);
    rec_free(p);
}

void sq_view_forget(sq_view *v) {
    sq_batch_free(v->batch);
    sq_map_free(v->map);
    sq_peers_free(v->peers);
    sq_preferences_free(v->preferences);
}

/* Weights become entries; the arrays of the dataset go over to the peers. */
static rec_status take(sq_peers *p, dataset *d, rec_err *err) {
    double mean = 0;
    for (size_t i = 0; i < d->n; i++) mean += (double)d->value[i];
    if (d->n) mean /= (double)d->n;
    for (size_t i = 0; i < d->n; i++) {
        double w = (double)d->weight[i];
        double x = d->feedback == FEEDBACK_EXPLICIT ? w * ((double)d->value[i] - mean)
                                                    : copysign(log1p(fabs(w)), w);
        d->weight[i] = (float)x;
    }
    p->square = rec_zeros(d->n_users, sizeof *p->square);
    if (!p->square) return rec_nomem(err);
    for (uint32_t u = 0; u < d->n_users; u++)
        for (size_t i = d->ptr[u]; i < d->ptr[u + 1]; i++)
            p->square[u] += (double)d->weight[i] * (double)d->weight[i];
    p->n_users = d->n_users;
    p->n_items = d->n_items;
    p->ptr = d->ptr;
    p->item = d->item;
    p->x = d->weight;
    d->ptr = NULL;
    d->item = NULL;
    d->weight = NULL;
    return REC_OK;
}

static rec_status read_peers(sq_view *v, sq_peers *p, rec_err *err) {
    sq_interactions rows = {0};
    dataset d = {0};
    rec_run run = {0};
    sq_frame frame = {0};
    sq_run_init(v->conn, &run, false);
    rec_status s = sq_enter(v->conn, &frame, v->schema, v->name, err);
    if (s == REC_OK)
        s = sq_source_interactions(v->conn, v->schema, &v->cfg, v->user_affinity,
                                   v->item_affinity, v->items, &p->users, &rows, &run,
                                   err);
    sq_leave(v->conn, &frame);
    if (s == REC_OK)
        s = dataset_build(&v->cfg.signal, rows.row, rows.n,
                          (uint32_t)keyset_count(p->users),
                          (uint32_t)sq_view_n_items(v), &d, err);
    if (s == REC_OK) s = take(p, &d, err);
    sq_run_finish(&run);
    dataset_clear(&d);
    sq_interactions_clear(&rows);
    return s;
}

rec_status sq_peers_open(sq_view *v, sq_peers **out, rec_err *err) {
    *out = v->peers;
    if (v->peers) return REC_OK;
    sq_peers *p = rec_zeros(1, sizeof *p);
    if (!p) return rec_nomem(err);
    rec_status s = read_peers(v, p, err);
    if (s != REC_OK) {
        sq_peers_free(p);
        return s;
    }
    if (p->ptr[p->n_users] <= PEERS_MAX_KEPT) v->peers = p;
    *out = p;
    return REC_OK;
}

const keyset *sq_peers_users(const sq_peers *p) {
    return p->users;
}

rec_status sq_peers_like(const sq_peers *p, const rec_key *who, topk_entry **out,
                         size_t *n, rec_err *err) {
    uint32_t me = keyset_find(p->users, who);
    *out = NULL;
    *n = 0;
    if (me == KEYS_NONE) return REC_OK;
    topk_entry *list = rec_array(p->n_users, sizeof *list);
    float *mine = rec_zeros(p->n_items, sizeof *mine); /* who, as a dense row */
    if (!list || !mine) {
        rec_free(list);
        rec_free(mine);
        return rec_nomem(err);
    }
    for (size_t i = p->ptr[me]; i < p->ptr[me + 1]; i++) mine[p->item[i]] = p->x[i];
    for (uint32_t u = 0; u < p->n_users; u++) {
        double dot = 0;
        if (u == me) continue;
        for (size_t i = p->ptr[u]; i < p->ptr[u + 1]; i++)
            dot += (double)p->x[i] * (double)mine[p->item[i]];
        if (dot == 0) continue;
        double cosine = dot / sqrt(p->square[me] * p->square[u]);
        list[(*n)++] = (topk_entry){.value = (float)-cosine, .id = u};
    }
    rec_free(mine);
    *out = list;
    return REC_OK;
}
