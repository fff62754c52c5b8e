/* tf_recommend.c - rec_recommend and rec_hybrid: the best items for a user, row by row.
 *
 *   user, request -> sq_profile -> sq_score  float[n_items]
 *                         \------> sq_allowed bitmap         both -> ranking -> one row a pull
 *
 *   rec_recommend('taste', 42)              item, score, rank, source
 *   rec_hybrid('reader', 42, request)       ... and cf_score, content_score, gate
 *
 * The request of rec_hybrid is NULL, a sentence, or the whole object that llm_rewrite returned.
 * Of the object, `filters` and `exclude` are hard: an item that fails one is not in the
 * ranking at all, so whatever WHERE the statement adds cannot starve its LIMIT. `query`,
 * `expansions` and `like_items` steer the scores.
 *
 * Invariants
 * I1. What the user has consumed is left out, unless the model says repeat=1.
 * I2. Rows come in ascending rank 1, 2, 3 ... and stop only when k rows were given or no
 *     allowed item is left. Without k nothing but the heap of the ranking is paid for more.
 * I3. An unknown user gets an answer; a NULL user gets none from rec_recommend and means
 *     "nobody in particular" to rec_hybrid.
 *
 * Cost: one score of the whole catalogue at the first row (ALS d=64 over 41k items: 1-2 ms), then
 * O(log n) a row.
 */
#include "tf.h"

typedef struct ranked {
    tvf_result base;
    sq_view *view;    /* owned reference */
    sq_scores scores; /* owned */
    ranking order;    /* owned */
    uint8_t *source;  /* owned: row by row; NULL: scores has it */
    int64_t k, n;     /* wanted (-1: all), given */
    bool is_hybrid;   /* seven columns rather than four */
} ranked;

static cell optional(const float *a, uint32_t i) {
    return a ? cell_real((double)a[i]) : cell_null(); /* NaN is NULL */
}

/* The two halves of a score. A model that blends nothing is one half. */
static void put_parts(const ranked *r, uint32_t item, float score, cell out[3]) {
    out[0] = optional(r->scores.cf, item);
    out[1] = optional(r->scores.content, item);
    out[2] = optional(r->scores.gate, item);
    if (r->view->n_member) return;
    score_source source = (score_source)r->scores.source[item];
    bool is_content = source == SOURCE_CONTENT || r->view->cfg.ops == &content_ops;
    if (source != SOURCE_POPULARITY) out[is_content ? 1 : 0] = cell_real((double)score);
}

static bool ranked_next(tvf_result *base, cell *row, rec_status *status, rec_err *err) {
    ranked *r = (ranked *)base;
    uint32_t item;
    float score;
    (void)err;
    *status = REC_OK;
    if (r->k >= 0 && r->n >= r->k) return false;
    if (!sq_rank_next(r->view, &r->order, &item, &score)) return false;
    r->n++;
    row[0] = tf_item_cell(r->view, item);
    row[1] = cell_real((double)score);
    row[2] = cell_int(r->n);
    if (r->is_hybrid) put_parts(r, item, score, row + 3);
    row[r->is_hybrid ? 6 : 3] = cell_str(score_source_name(
        (score_source)(r->source ? r->source[r->n - 1] : r->scores.source[item])));
    return true;
}

static void ranked_close(tvf_result *base) {
    ranked *r = (ranked *)base;
    ranking_clear(&r->order);
    rec_free(r->source);
    sq_scores_clear(&r->scores);
    if (r->view) sq_view_close(r->view);
    rec_free(r);
}

static rec_status ranked_new(ranked **out, rec_err *err) {
    *out = rec_zeros(1, sizeof **out);
    if (!*out) return rec_nomem(err);
    (*out)->base.next = ranked_next;
    (*out)->base.close = ranked_close;
    (*out)->k = -1;
    return REC_OK;
}

/* The same in a large catalogue: the profile is taken. */
static rec_status rank_by_index(ranked *r, sq_conn *c, sq_profile *p, rec_err *err) {
    const rec_key none = {0};
    rec_run run;
    sq_block b = {0};
    sq_block_user *u = NULL;
    sq_run_init(c, &run, false);
    rec_status s = sq_block_init(&b, r->view, (size_t)r->k, err);
    if (s == REC_OK) s = sq_block_add(&b, &none, &u, err);
    if (s == REC_OK) s = sq_allowed(r->view, p, true, &u->allowed, err);
    if (s == REC_OK) {
        u->profile = *p;
        memset(p, 0, sizeof *p);
        s = sq_block_score(&b, &run, err);
    }
    if (s == REC_OK) {
        r->source = u->source;
        s = ranking_init(&r->order, u->found.a, u->found.n, err);
        u->source = NULL;
        memset(&u->found, 0, sizeof u->found);
    }
    sq_block_clear(&b);
    return s;
}

/* Score, filter and rank for a profile that has been read. */
static rec_status rank_for(ranked *r, sq_conn *c, const sq_profile *p, rec_err *err) {
    bitmap allowed = {0};
    rec_run run = {0};
    sq_run_init(c, &run, false);
    rec_status s = sq_score(r->view, p, &run, &r->scores, err);
    if (s == REC_OK) s = sq_allowed(r->view, p, true, &allowed, err);
    if (s == REC_OK) s = sq_rank(r->view, &r->scores, &allowed, r->k, &r->order, err);
    sq_run_finish(&run);
    bitmap_clear(&allowed);
    return s;
}

static rec_status recommend_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                                 rec_err *err) {
    ranked *r;
    tf_key user;
    sq_profile p = {0};
    *out = NULL;
    rec_status s = ranked_new(&r, err);
    if (s != REC_OK) return s;
    s = tf_view(c, "rec_recommend", arg[0], &r->view, err);
    if (s == REC_OK) s = sq_view_require_trained(r->view, err);
    if (s == REC_OK) s = tf_k("rec_recommend", arg[2], &r->k, err);
    if (s == REC_OK)
        s = tf_read_key("rec_recommend", "user", arg[1], r->view->user_affinity, &user,
                        err);
    if (s == REC_OK && user.is_null) r->k = 0; /* I3 */
    if (s == REC_OK && r->k != 0) s = tf_profile(r->view, &user, NULL, &p, err);
    if (s == REC_OK && r->k > 0 && sq_block_has_index(r->view, r->k))
        s = rank_by_index(r, c, &p, err);
    else if (s == REC_OK && r->k != 0)
        s = rank_for(r, c, &p, err);
    sq_profile_clear(&p);
    if (s == REC_OK)
        *out = &r->base;
    else
        ranked_close(&r->base);
    return s;
}

const tvf_def tf_recommend_def = {
    .name = "rec_recommend",
    .columns = "item, score REAL, rank INTEGER, source TEXT",
    .args = "model, user, k",
    .n_required = 2,
    .rank_column = 2,
    .cost = 1e6,
    .open = recommend_open,
};

/* ---- rec_hybrid ------------------------------------------------------------------------------ */

/* Is the text a request object? Then *out holds it; else it is a sentence (*is_object false). No sentence
 * begins with a brace: an object that cannot be read is an error, for its filters would be lost. */
static rec_status read_request(const sq_view *v, const char *text, size_t nbyte,
                               query_request *out, bool *is_object, rec_err *err) {
    rec_err why = {0};
    *is_object = false;
    size_t at = 0;
    while (at < nbyte && strchr(" \n\r\t", text[at]) && text[at]) at++;
    if (at == nbyte || text[at] != '{') return REC_OK;
    json *j = json_parse(text, nbyte, &why);
    if (!j && why.code == REC_NOMEM) return rec_nomem(err);
    if (!j)
        return rec_fail(err, REC_RANGE, "rec_hybrid: the request is not JSON: %s",
                        why.msg);
    *is_object = true;
    rec_status s = request_from_json(j, v->items, out, err);
    json_delete(j);
    return s;
}

static rec_status hybrid_profile(ranked *r, const tf_key *user, sqlite3_value *query,
                                 query_request *request, sq_profile *p, rec_err *err) {
    const char *text;
    size_t nbyte;
    bool is_object = false;
    rec_status s = tf_text("rec_hybrid", "query", query, &text, &nbyte, err);
    if (s == REC_OK && text)
        s = read_request(r->view, text, nbyte, request, &is_object, err);
    if (s != REC_OK) return s;
    if (is_object) return tf_profile(r->view, user, request, p, err);
    sq_who who = {.user = user->is_key ? &user->key : NULL};
    if (nbyte) {
        who.query = text;
        who.n_query = nbyte;
    }
    return sq_profile_read(r->view, &who, p, err);
}

static rec_status hybrid_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                              rec_err *err) {
    ranked *r;
    tf_key user;
    sq_profile p = {0};
    query_request request = {0};
    *out = NULL;
    rec_status s = ranked_new(&r, err);
    if (s != REC_OK) return s;
    r->is_hybrid = true;
    s = tf_view(c, "rec_hybrid", arg[0], &r->view, err);
    if (s == REC_OK) s = sq_view_require_trained(r->view, err);
    if (s == REC_OK) s = tf_k("rec_hybrid", arg[3], &r->k, err);
    if (s == REC_OK)
        s = tf_read_key("rec_hybrid", "user", arg[1], r->view->user_affinity, &user,
                        err);
    if (s == REC_OK) s = hybrid_profile(r, &user, arg[2], &request, &p, err);
    if (s == REC_OK && r->k != 0) s = rank_for(r, c, &p, err);
    sq_profile_clear(&p);
    query_request_clear(&request);
    if (s == REC_OK)
        *out = &r->base;
    else
        ranked_close(&r->base);
    return s;
}

const tvf_def tf_hybrid_def = {
    .name = "rec_hybrid",
    .columns =
        "item, score REAL, rank INTEGER, cf_score REAL, content_score REAL, gate REAL, "
        "source TEXT",
    .args = "model, user, query, k",
    .n_required = 3,
    .direct_only = true,
    .rank_column = 2,
    .cost = 1e6,
    .open = hybrid_open,
};
