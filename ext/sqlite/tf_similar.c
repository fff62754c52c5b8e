/* tf_similar.c - what is near what: items like an item, users like a user.
 *
 *   rec_similar('taste', 318, 10)        by the model: factors, or item vectors of its text
 *   rec_similar('movie_vec', 318, 10)    by a rec_index: the neighbours of the stored vector
 *   rec_similar_users('taste', 42, 10)   by what users did
 *
 * Users are compared by their rows, the same way for every algorithm (sq_peers.c).
 *
 * Invariants
 * I1. The item itself, and the user themself, are not in their own lists.
 * I2. An item that eligible= does not list is not in the list of rec_similar either.
 * I3. A key outside the catalogue, an unknown user, or NULL: no rows.
 * I4. Ranks are 1, 2, 3 ... in descending score, ties in one fixed order.
 *
 * Cost: rec_similar O(items * dim), or a search of the index of a large model; rec_similar_users O(rows).
 */
#include "tf.h"

#include <math.h>

/* ---- items like an item, by a model -------------------------------------------------------------- */

typedef struct near_items {
    tvf_result base;
    sq_view *view; /* owned reference */
    ranking order; /* owned */
    int64_t k, n;
} near_items;

static bool near_next(tvf_result *base, cell *row, rec_status *status, rec_err *err) {
    near_items *r = (near_items *)base;
    uint32_t item;
    float score;
    (void)err;
    *status = REC_OK;
    if (r->k >= 0 && r->n >= r->k) return false;
    if (!sq_rank_next(r->view, &r->order, &item, &score)) return false;
    row[0] = tf_item_cell(r->view, item);
    row[1] = cell_real((double)score);
    row[2] = cell_int(++r->n);
    return true;
}

static void near_close(tvf_result *base) {
    near_items *r = (near_items *)base;
    ranking_clear(&r->order);
    if (r->view) sq_view_close(r->view);
    rec_free(r);
}

static bool has_cosine_index(const sq_view *v, int64_t k) {
    vec_metric metric = METRIC_IP;
    return sq_block_has_index(v, k) && v->model->ops->vectors(v->model, &metric) &&
           (v->alike || metric == METRIC_COSINE);
}

static rec_status near_rank_by_index(near_items *r, uint32_t item, rec_err *err) {
    sq_profile nobody = {0};
    bitmap allowed = {0};
    topk best = {0};
    rec_status s = tf_profile(r->view, NULL, NULL, &nobody, err);
    if (s == REC_OK) s = sq_allowed(r->view, &nobody, false, &allowed, err);
    if (s == REC_OK) s = topk_init(&best, (size_t)r->k, err);
    if (s == REC_OK) {
        bitmap_unset(&allowed, item);
        s = sq_block_similar(r->view, item, &allowed, (size_t)r->k, &best, err);
    }
    if (s == REC_OK) {
        s = ranking_init(&r->order, best.a, best.n, err);
        memset(&best, 0, sizeof best);
    }
    topk_clear(&best);
    bitmap_clear(&allowed);
    sq_profile_clear(&nobody);
    return s;
}

/* Rank all allowed items by their similarity to one. */
static rec_status near_rank(near_items *r, uint32_t item, rec_err *err) {
    size_t n = sq_view_n_items(r->view);
    score_source source;
    sq_profile nobody = {0};
    bitmap allowed = {0};
    sq_scores scores = {.n = n, .score = rec_array(n, sizeof(float))};
    if (!scores.score) return rec_nomem(err);
    rec_status s = sq_similar(r->view, item, scores.score, &source, err);
    if (s == REC_OK) s = tf_profile(r->view, NULL, NULL, &nobody, err);
    if (s == REC_OK) s = sq_allowed(r->view, &nobody, false, &allowed, err);
    if (s == REC_OK) {
        bitmap_unset(&allowed, item);
        for (size_t i = 0; i < n; i++)
            if (isnan(scores.score[i])) bitmap_unset(&allowed, i);
        s = sq_rank(r->view, &scores, &allowed, r->k, &r->order, err);
    }
    bitmap_clear(&allowed);
    sq_profile_clear(&nobody);
    sq_scores_clear(&scores);
    return s;
}

static rec_status near_model(sq_view *taken, sqlite3_value *arg, int64_t k,
                             tvf_result **out, rec_err *err) {
    uint32_t item = KEYS_NONE;
    near_items *r = rec_zeros(1, sizeof *r);
    if (!r) {
        sq_view_close(taken);
        return rec_nomem(err);
    }
    r->base.next = near_next;
    r->base.close = near_close;
    r->view = taken;
    r->k = k;
    rec_status s = sq_view_require_trained(r->view, err);
    if (s == REC_OK) s = tf_item(r->view, "rec_similar", "item", arg, &item, err);
    if (s == REC_OK && item == KEYS_NONE) r->k = 0; /* I3 */
    if (s == REC_OK && r->k > 0 && has_cosine_index(r->view, r->k))
        s = near_rank_by_index(r, item, err);
    else if (s == REC_OK && r->k != 0)
        s = near_rank(r, item, err);
    if (s == REC_OK)
        *out = &r->base;
    else
        near_close(&r->base);
    return s;
}

/* ---- items like an item, by an index ------------------------------------------------------------------ */

typedef struct near_rows {
    tvf_result base;
    sqlite3_stmt *st; /* owned: key, distance; NULL when there is nothing to give */
    bool is_cosine;   /* score = 1 - distance, else -distance */
    int64_t k, n;
} near_rows;

static bool rows_of_index(tvf_result *base, cell *row, rec_status *status,
                          rec_err *err) {
    near_rows *r = (near_rows *)base;
    bool more = false;
    *status = REC_OK;
    if (!r->st || (r->k >= 0 && r->n >= r->k)) return false;
    *status = sq_step(r->st, "rec_similar", &more, err);
    if (*status != REC_OK || !more) return false;
    double distance = sqlite3_column_double(r->st, 1);
    row[0] = sq_column_cell(r->st, 0);
    row[1] = cell_real(r->is_cosine ? 1 - distance : -distance);
    row[2] = cell_int(++r->n);
    return true;
}

static void rows_of_index_close(tvf_result *base) {
    near_rows *r = (near_rows *)base;
    sqlite3_finalize(r->st);
    rec_free(r);
}

static rec_status near_index(sq_conn *c, const tf_index *ix, sqlite3_value *item,
                             int64_t k, tvf_result **out, rec_err *err) {
    near_rows *r = rec_zeros(1, sizeof *r);
    if (!r) return rec_nomem(err);
    r->base.next = rows_of_index;
    r->base.close = rows_of_index_close;
    r->is_cosine = ix->is_cosine;
    r->k = k;
    rec_status s = REC_OK;
    if (item && sqlite3_value_type(item) != SQLITE_NULL && k != 0) {
        s = sq_prepare(
            c->db, ix->name, &r->st, err,
            "SELECT \"%w\", distance FROM \"%w\".\"%w\" WHERE \"%w\" MATCH "
            "(SELECT \"%w\" FROM \"%w\".\"%w\" WHERE \"%w\" = ?1) AND \"%w\" <> ?1 "
            "ORDER BY distance",
            ix->key, ix->schema, ix->name, ix->vector, ix->vector, ix->schema, ix->name,
            ix->key, ix->key);
        cell key = sq_cell(item);
        if (s == REC_OK) s = sq_bind_cell(r->st, 1, &key, err);
    }
    if (s == REC_OK)
        *out = &r->base;
    else
        rows_of_index_close(&r->base);
    return s;
}

static rec_status similar_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                               rec_err *err) {
    sq_view *view = NULL;
    int64_t k;
    tf_index ix = {0};
    bool found = false;
    *out = NULL;
    rec_status s = tf_k("rec_similar", arg[2], &k, err);
    if (s == REC_OK && arg[0] && sqlite3_value_type(arg[0]) == SQLITE_TEXT) {
        const char *name = (const char *)sqlite3_value_text(arg[0]);
        s = name ? tf_index_find(c, name, &found, &ix, err) : rec_nomem(err);
    }
    if (s == REC_OK && found) s = near_index(c, &ix, arg[1], k, out, err);
    if (s == REC_OK && !found) {
        s = tf_view(c, "rec_similar", arg[0], &view, err);
        if (s == REC_OK) s = near_model(view, arg[1], k, out, err);
    }
    tf_index_clear(&ix);
    return s;
}

const tvf_def tf_similar_def = {
    .name = "rec_similar",
    .columns = "item, score REAL, rank INTEGER",
    .args = "model, item, k",
    .n_required = 2,
    .rank_column = 2,
    .cost = 1e6,
    .open = similar_open,
};

/* ---- users like a user ------------------------------------------------------------------------------------ */

typedef struct near_users {
    tvf_result base;
    sq_view *view;   /* owned reference */
    sq_peers *peers; /* owned unless the view keeps them */
    bool is_kept;
    ranking order; /* owned: value is the negated cosine */
    int64_t k, n;
} near_users;

static bool users_next(tvf_result *base, cell *row, rec_status *status, rec_err *err) {
    near_users *r = (near_users *)base;
    topk_entry e;
    (void)err;
    *status = REC_OK;
    if (r->k >= 0 && r->n >= r->k) return false;
    if (!ranking_next(&r->order, &e)) return false;
    rec_key key = keyset_get(sq_peers_users(r->peers), e.id);
    row[0] = sq_key_cell(&key);
    row[1] = cell_real(-(double)e.value);
    row[2] = cell_int(++r->n);
    return true;
}

static void users_close(tvf_result *base) {
    near_users *r = (near_users *)base;
    ranking_clear(&r->order);
    if (!r->is_kept) sq_peers_free(r->peers);
    if (r->view) sq_view_close(r->view);
    rec_free(r);
}

static rec_status users_rank(near_users *r, sq_view *v, const rec_key *who,
                             rec_err *err) {
    topk_entry *list = NULL;
    size_t n = 0;
    rec_status s = sq_peers_open(v, &r->peers, err);
    if (s != REC_OK) return s;
    r->is_kept = r->peers == v->peers;
    s = sq_peers_like(r->peers, who, &list, &n, err);
    return s == REC_OK && list ? ranking_init(&r->order, list, n, err) : s;
}

static rec_status similar_users_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                                     rec_err *err) {
    tf_key user;
    *out = NULL;
    near_users *r = rec_zeros(1, sizeof *r);
    if (!r) return rec_nomem(err);
    r->base.next = users_next;
    r->base.close = users_close;
    rec_status s = tf_view(c, "rec_similar_users", arg[0], &r->view, err);
    if (s == REC_OK) s = tf_k("rec_similar_users", arg[2], &r->k, err);
    /* The view itself or one of its members: not const in truth. */
    sq_view *v = s == REC_OK ? (sq_view *)tf_with_interactions(r->view) : NULL;
    if (v)
        s = tf_read_key("rec_similar_users", "user", arg[1], v->user_affinity, &user,
                        err);
    if (s == REC_OK && v && user.is_key && r->k != 0)
        s = users_rank(r, v, &user.key, err); /* I3: else r->order is empty */
    if (s == REC_OK)
        *out = &r->base;
    else
        users_close(&r->base);
    return s;
}

const tvf_def tf_similar_users_def = {
    .name = "rec_similar_users",
    .columns = "user, score REAL, rank INTEGER",
    .args = "model, user, k",
    .n_required = 2,
    .rank_column = 2,
    .cost = 1e6,
    .open = similar_users_open,
};
