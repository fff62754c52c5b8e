/* fn_model.c - scalar and aggregate functions over models.
 *
 *   rec_cf_score(model, user, item)       one number: the collaborative part of the score
 *   rec_hybrid_score(model, user, item)   one number: the blended score
 *   rec_similarity(model, a, b)           how alike two items are
 *   rec_reason(model, user, item)         one sentence
 *   rec_match(filters, row [, model])     1 / 0
 *   rec_train(model [, options])          JSON of what was done
 *   rec_rrf(rank [, weight [, k0]])       aggregate: sum of weight / (k0 + rank)
 *
 * A score is a score of the whole catalogue with one number picked out of it, so the last
 * user's scores (and the last item's similarities) stay with the statement, as auxiliary data of
 * the model argument:
 *
 *   SELECT rec_cf_score('taste', 42, item) FROM candidates      scored once, then read
 *
 * Invariants
 * I1. NULL, or an item outside the catalogue, gives NULL, and so does a pair that eligible= or
 *     owned= rules out. An unknown user gets what the fallback gives.
 * I2. Kept scores are used only while the view of the model is the same object, which
 *     sq_view_hold replaces as soon as this connection has written anything.
 * I3. sqlite3_set_auxdata comes last: it may free what it is given before it returns.
 *
 * RRF: Cormack, Clarke, Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual
 * rank learning methods", SIGIR 2009; k0 = 60 is theirs.
 */
#include "tf.h"

#include <math.h>

static sq_conn *conn_of(sqlite3_context *ctx) {
    return sqlite3_user_data(ctx);
}

static void finish(sqlite3_context *ctx, rec_status s, rec_err *err) {
    if (s == REC_OK) return;
    if (err->code == REC_OK) err->code = s;
    sq_result_error(ctx, err);
}

/* ---- scores kept with a statement --------------------------------------------------------------- */

typedef struct kept {
    sq_view *view;   /* reference: what the model argument names now */
    sq_view *scored; /* reference: the view that `scores` and `similar` are of */
    cell user;       /* text owned; CELL_NULL before the first */
    bool has_scores;
    sq_scores scores; /* owned */
    bitmap allowed;   /* owned: the items that the rules let the user have */
    uint32_t item;    /* `similar` is of this item */
    float *similar;   /* owned; NULL before the first */
} kept;

static void kept_forget(kept *k) {
    if (k->scored) sq_view_close(k->scored);
    if (k->user.type == CELL_TEXT) rec_free((void *)k->user.p);
    sq_scores_clear(&k->scores);
    bitmap_clear(&k->allowed);
    rec_free(k->similar);
    k->scored = NULL;
    k->user = cell_null();
    k->has_scores = false;
    k->similar = NULL;
}

static void kept_free(void *p) {
    kept *k = p;
    if (!k) return;
    kept_forget(k);
    if (k->view) sq_view_close(k->view);
    rec_free(k);
}

/* The kept scores of this statement with a current view; *is_new: to be handed to auxdata. */
static rec_status kept_open(sqlite3_context *ctx, const char *function,
                            sqlite3_value *model, kept **out, bool *is_new,
                            rec_err *err) {
    kept *k = sqlite3_get_auxdata(ctx, 0);
    *is_new = k == NULL;
    if (!k) k = rec_zeros(1, sizeof *k);
    *out = k;
    if (!k) return rec_nomem(err);
    rec_status s = REC_OK;
    if (sqlite3_value_type(model) != SQLITE_TEXT) /* the message is made there */
        return tf_view(conn_of(ctx), function, model, &k->view, err);
    const char *name = (const char *)sqlite3_value_text(model);
    s = name ? sq_view_hold(conn_of(ctx), name, &k->view, err) : rec_nomem(err);
    if (s == REC_OK) s = sq_view_require_trained(k->view, err);
    if (s == REC_OK && k->scored != k->view) { /* I2 */
        kept_forget(k);
        k->scored = k->view;
        k->view->n_ref++;
    }
    return s;
}

/* Done with it in this row (I3). */
static void kept_close(sqlite3_context *ctx, kept *k, bool is_new, rec_status s) {
    if (!k || !is_new) return;
    if (s == REC_OK)
        sqlite3_set_auxdata(ctx, 0, k, kept_free);
    else
        kept_free(k);
}

static bool same_user(const kept *k, const cell *user) {
    return k->has_scores && cell_compare(&k->user, user) == 0;
}

static rec_status kept_score(kept *k, const tf_key *user, sqlite3_value *arg,
                             rec_err *err) {
    sq_profile p = {0};
    rec_run run = {0};
    cell who = user->is_key ? sq_key_cell(&user->key) : sq_cell(arg);
    if (same_user(k, &who)) return REC_OK;
    sq_scores_clear(&k->scores);
    bitmap_clear(&k->allowed);
    k->has_scores = false;
    rec_status s = tf_profile(k->view, user, NULL, &p, err);
    if (s == REC_OK) {
        sq_run_init(k->view->conn, &run, false);
        s = sq_score(k->view, &p, &run, &k->scores, err);
        sq_run_finish(&run);
    }
    if (s == REC_OK) s = sq_allowed(k->view, &p, false, &k->allowed, err);
    sq_profile_clear(&p);
    if (s != REC_OK) return s;
    if (k->user.type == CELL_TEXT) rec_free((void *)k->user.p);
    k->user = who;
    if (who.type == CELL_TEXT) {
        k->user.p = rec_strndup(who.p, who.nbyte);
        if (!k->user.p) {
            k->user = cell_null();
            return rec_nomem(err);
        }
    }
    k->has_scores = true;
    return REC_OK;
}

/* ---- rec_cf_score, rec_hybrid_score ---------------------------------------------------------------- */

/* The collaborative half; for a pair that it cannot score, the whole (the fallback's) score. */
static float cf_part(const sq_scores *s, uint32_t item) {
    return s->cf && !isnan(s->cf[item]) ? s->cf[item] : s->score[item];
}

static void score_function(sqlite3_context *ctx, sqlite3_value **argv,
                           const char *function, bool is_cf) {
    rec_err err = {0};
    kept *k;
    bool is_new;
    tf_key user;
    uint32_t item = KEYS_NONE;
    rec_status s = kept_open(ctx, function, argv[0], &k, &is_new, &err);
    if (s == REC_OK)
        s = tf_read_key(function, "user", argv[1], k->view->user_affinity, &user, &err);
    if (s == REC_OK) s = tf_item(k->view, function, "item", argv[2], &item, &err);
    if (s == REC_OK && !user.is_null && item != KEYS_NONE) {
        s = kept_score(k, &user, argv[1], &err);
        if (s == REC_OK && bitmap_has(&k->allowed, item))
            sqlite3_result_double(ctx, (double)(is_cf ? cf_part(&k->scores, item)
                                                      : k->scores.score[item]));
    }
    kept_close(ctx, k, is_new, s);
    finish(ctx, s, &err);
}

static void fn_cf_score(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    score_function(ctx, argv, "rec_cf_score", true);
}

static void fn_hybrid_score(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    score_function(ctx, argv, "rec_hybrid_score", false);
}

/* ---- rec_similarity ---------------------------------------------------------------------------------- */

static rec_status kept_similar(kept *k, uint32_t item, rec_err *err) {
    score_source source;
    if (k->similar && k->item == item) return REC_OK;
    if (!k->similar) k->similar = rec_array(sq_view_n_items(k->view), sizeof(float));
    if (!k->similar) return rec_nomem(err);
    k->item = KEYS_NONE;
    rec_status s = sq_similar(k->view, item, k->similar, &source, err);
    if (s == REC_OK) k->item = item;
    return s;
}

static void fn_similarity(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    kept *k;
    bool is_new;
    uint32_t a = KEYS_NONE, b = KEYS_NONE;
    (void)argc;
    rec_status s = kept_open(ctx, "rec_similarity", argv[0], &k, &is_new, &err);
    if (s == REC_OK)
        s = tf_item(k->view, "rec_similarity", "first item", argv[1], &a, &err);
    if (s == REC_OK)
        s = tf_item(k->view, "rec_similarity", "second item", argv[2], &b, &err);
    if (s == REC_OK && a != KEYS_NONE && b != KEYS_NONE) {
        s = kept_similar(k, a, &err);
        if (s == REC_OK && !isnan(k->similar[b]))
            sqlite3_result_double(ctx, (double)k->similar[b]);
    }
    kept_close(ctx, k, is_new, s);
    finish(ctx, s, &err);
}

/* ---- rec_reason, rec_train ------------------------------------------------------------------------------ */

static void fn_reason(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    sq_view *v = NULL;
    sq_profile p = {0};
    tf_key user;
    uint32_t item = KEYS_NONE;
    char *text = NULL;
    (void)argc;
    rec_status s = tf_view_kept(ctx, "rec_reason", argv, 0, &v, &err);
    if (s == REC_OK) s = sq_view_require_trained(v, &err);
    if (s == REC_OK)
        s = tf_read_key("rec_reason", "user", argv[1], v->user_affinity, &user, &err);
    if (s == REC_OK) s = tf_item(v, "rec_reason", "item", argv[2], &item, &err);
    if (s == REC_OK && item != KEYS_NONE && !user.is_null) {
        s = tf_profile(v, &user, NULL, &p, &err);
        if (s == REC_OK) s = tf_reason(v, &p, item, &text, &err);
        if (s == REC_OK) sqlite3_result_text(ctx, text, -1, SQLITE_TRANSIENT);
    }
    rec_free(text);
    sq_profile_clear(&p);
    if (v) sq_view_close(v);
    finish(ctx, s, &err);
}

static void fn_train(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    const char *name, *options = NULL;
    size_t n, n_options;
    char *report = NULL;
    rec_status s = tf_text("rec_train", "model", argv[0], &name, &n, &err);
    if (s == REC_OK && !name)
        s = rec_fail(&err, REC_RANGE,
                     "rec_train: the model is NULL, expected its name as text");
    if (s == REC_OK && argc > 1)
        s = tf_text("rec_train", "options", argv[1], &options, &n_options, &err);
    if (s == REC_OK) s = sq_train(conn_of(ctx), name, options, true, &report, &err);
    if (s == REC_OK && report) {
        sqlite3_result_text(ctx, report, -1, SQLITE_TRANSIENT);
        sqlite3_result_subtype(ctx, 'J');
    }
    rec_free(report);
    finish(ctx, s, &err);
}

/* ---- rec_match -------------------------------------------------------------------------------------------- */

typedef struct matcher {
    filters filters; /* parsed once for a constant argument */
} matcher;

static void matcher_free(void *p) {
    if (!p) return;
    filters_clear(&((matcher *)p)->filters);
    rec_free(p);
}

typedef struct record_row { /* a JSON object as a row of facets */
    const json *object;
    char *text; /* owned: the array last looked up, printed */
    bool is_nomem;
} record_row;

static bool record_lookup(void *ctx, const char *name, cell *out) {
    record_row *r = ctx;
    const json *j = json_get(r->object, name);
    int64_t i;
    *out = cell_null();
    if (!j || json_is_null(j)) return j != NULL;
    if (json_int64(j, &i))
        *out = cell_int(i);
    else if (json_is_number(j))
        *out = cell_real(json_number(j, 0));
    else if (json_is_bool(j))
        *out = cell_int(json_truth(j, false));
    else if (json_is_string(j))
        *out = cell_str(json_text(j));
    else {
        rec_free(r->text);
        r->text = json_print(j);
        if (!r->text) r->is_nomem = true;
        *out = cell_str(r->text);
    }
    return true;
}

/* With a model its facets say which columns hold several values; a filter on none of them is an
 * error there, as it is in rec_hybrid. */
static rec_status match_facets(const sq_view *v, const filters *f,
                               const facet_spec **spec, size_t *n, rec_err *err) {
    const sq_view *fv = tf_with_facets(v);
    *spec = fv ? fv->cfg.facet : NULL;
    *n = fv ? fv->cfg.n_facet : 0;
    for (size_t i = 0; i < f->n_cond; i++) {
        size_t at = 0;
        while (at < *n && strcmp((*spec)[at].name, f->cond[i].name) != 0) at++;
        if (at == *n)
            return rec_fail(err, REC_RANGE, "rec_match: %s has no facet %s", v->name,
                            f->cond[i].name);
    }
    return REC_OK;
}

static rec_status match_row(const matcher *m, const char *row, size_t n_row,
                            const sq_view *v, bool *yes, rec_err *err) {
    rec_err why = {0};
    const facet_spec *spec = NULL;
    size_t n_spec = 0;
    rec_status s = v ? match_facets(v, &m->filters, &spec, &n_spec, err) : REC_OK;
    if (s != REC_OK) return s;
    json *j = json_parse(row, n_row, &why);
    if (!j) {
        if (why.code == REC_NOMEM) return rec_nomem(err);
        return rec_fail(err, REC_RANGE, "rec_match: the row is not JSON: %s", why.msg);
    }
    if (json_is_object(j)) {
        record_row r = {.object = j};
        *yes = filters_match(&m->filters, record_lookup, &r, spec, n_spec);
        rec_free(r.text);
        if (r.is_nomem) s = rec_nomem(err);
    } else {
        s = rec_fail(err, REC_RANGE,
                     "rec_match: the row is a JSON value, expected an object");
    }
    json_delete(j);
    return s;
}

static void fn_match(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    const char *text, *row;
    size_t n_text, n_row;
    bool yes = false, is_new = false;
    sq_view *v = NULL;
    matcher *m = NULL;
    rec_status s = tf_text("rec_match", "filters", argv[0], &text, &n_text, &err);
    if (s == REC_OK) s = tf_text("rec_match", "row", argv[1], &row, &n_row, &err);
    if (s != REC_OK || !text || !row) goto done; /* NULL */
    m = sqlite3_get_auxdata(ctx, 0);
    if (!m) {
        is_new = true;
        m = rec_zeros(1, sizeof *m);
        s = m ? tf_filters("rec_match", text, n_text, &m->filters, &err)
              : rec_nomem(&err);
    }
    if (s == REC_OK && argc > 2 && sqlite3_value_type(argv[2]) != SQLITE_NULL)
        s = tf_view_kept(ctx, "rec_match", argv, 2, &v, &err);
    if (s == REC_OK) s = match_row(m, row, n_row, v, &yes, &err);
    if (s == REC_OK) sqlite3_result_int(ctx, yes);
    if (v) sq_view_close(v);
    if (is_new && s == REC_OK)
        sqlite3_set_auxdata(ctx, 0, m, matcher_free);
    else if (is_new)
        matcher_free(m);
done:
    finish(ctx, s, &err);
}

/* ---- rec_rrf ------------------------------------------------------------------------------------------------ */

#define RRF_DEFAULT_K0 60.0

typedef struct rrf {
    double sum;
    int64_t n;
    bool failed;
} rrf;

/* A number at least `min`; *is_null: skip this row. */
static rec_status rrf_number(const char *what, sqlite3_value *v, double min,
                             double *out, bool *is_null, rec_err *err) {
    int type = sqlite3_value_numeric_type(v);
    if (type == SQLITE_NULL) *is_null = true;
    if (type == SQLITE_NULL) return REC_OK;
    bool is_number = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
    *out = sqlite3_value_double(v);
    if (is_number && *out >= min && *out - *out == 0) return REC_OK;
    const char *text =
        type == SQLITE_BLOB ? "a BLOB" : (const char *)sqlite3_value_text(v);
    return rec_fail(err, REC_RANGE, "rec_rrf: %s is %.40s, expected a number from %g%s",
                    what, text ? text : "NULL", min,
                    what[0] == 'r' ? ": a place in a list, as row_number() gives it"
                                   : "");
}

static void rrf_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    double rank = 0, weight = 1, k0 = RRF_DEFAULT_K0;
    bool is_null = false;
    rrf *sum = sqlite3_aggregate_context(ctx, sizeof *sum);
    if (!sum) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    rec_status s = rrf_number("rank", argv[0], 1, &rank, &is_null, &err);
    if (s == REC_OK && argc > 1)
        s = rrf_number("weight", argv[1], 0, &weight, &is_null, &err);
    if (s == REC_OK && argc > 2) s = rrf_number("k0", argv[2], 0, &k0, &is_null, &err);
    if (s != REC_OK)
        sum->failed = true;
    else if (!is_null) {
        sum->sum += weight / (k0 + rank);
        sum->n++;
    }
    finish(ctx, s, &err);
}

static void rrf_final(sqlite3_context *ctx) {
    const rrf *sum = sqlite3_aggregate_context(ctx, 0);
    if (sum && !sum->failed && sum->n) sqlite3_result_double(ctx, sum->sum);
}

/* ---- the tables ------------------------------------------------------------------------------------------------ */

#define SCALAR_FLAGS (SQLITE_UTF8 | SQLITE_INNOCUOUS)
#define TRAIN_FLAGS  (SQLITE_UTF8 | SQLITE_DIRECTONLY | SQLITE_RESULT_SUBTYPE)
#define TOOLS_FLAGS  (SQLITE_UTF8 | SQLITE_INNOCUOUS | SQLITE_RESULT_SUBTYPE)
#define RRF_FLAGS    (SQLITE_UTF8 | SQLITE_INNOCUOUS)

// clang-format off
const sq_function fn_model_functions[] = {
    {"rec_cf_score",     3, SCALAR_FLAGS, fn_cf_score,     NULL, NULL},
    {"rec_hybrid_score", 3, SCALAR_FLAGS, fn_hybrid_score, NULL, NULL},
    {"rec_similarity",   3, SCALAR_FLAGS, fn_similarity,   NULL, NULL},
    {"rec_reason",       3, SCALAR_FLAGS, fn_reason,       NULL, NULL},
    {"rec_match",        2, SCALAR_FLAGS, fn_match,        NULL, NULL},
    {"rec_match",        3, SCALAR_FLAGS, fn_match,        NULL, NULL},
    {"rec_train",        1, TRAIN_FLAGS,  fn_train,        NULL, NULL},
    {"rec_train",        2, TRAIN_FLAGS,  fn_train,        NULL, NULL},
    {"rec_rrf",          1, RRF_FLAGS,    NULL,            rrf_step, rrf_final},
    {"rec_rrf",          2, RRF_FLAGS,    NULL,            rrf_step, rrf_final},
    {"rec_rrf",          3, RRF_FLAGS,    NULL,            rrf_step, rrf_final},
    {"rec_tools",        0, TOOLS_FLAGS,  fn_tools,        NULL, NULL},
    {NULL,               0, 0,            NULL,            NULL, NULL},
};
// clang-format on

const tvf_def *const vt_table_functions[] = {
    &tf_recommend_def,     &tf_hybrid_def,    &tf_similar_def,
    &tf_similar_users_def, &tf_explain_def,   &tf_user_def,
    &tf_why_not_def,       &tf_diversify_def, &tf_models_def,
    &tf_index_stats_def,   &tf_check_def,     &tf_evaluate_def,
    &tf_compare_def,       &tf_tune_def,      NULL,
};
