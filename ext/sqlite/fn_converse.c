/* fn_converse.c - llm_converse(model, state, utterance [, options]): JSON {state, action, facet, question, options,
 * reply, items}.
 *
 *     options, or what the first state carried   user, filters, k, llm, preferences
 *        |                                         \
 *     view --profile--> sq_score                    filters_apply, on top of the model's rules, afresh every turn
 *        \________________|____________________________|
 *                   converse_turn (llm/converse.c)
 *
 * Invariants
 *  V1  Options stand over what the first state carried; filters bind every item of every answer.
 *  V2  Nothing is written. The state that the caller holds is read only; an error returns no state.
 *  V3  Like the other functions that may reach a server: SQLITE_DIRECTONLY, not deterministic.
 *
 * Cost: one sq_score, one sq_allowed, one tf_reason an item.
 */
#include "tf.h"

#include "../llm/converse.h"

#include <math.h>

#define JSON_SUBTYPE 'J'
#define NAME         "llm_converse"
#define REMEMBERED   0.4 /* of the weight of what was said in an earlier session */

typedef struct speaker { /* a turn in the terms of this layer */
    sq_view *view;
    talk talk;
    json *options; /* owned */
    tf_key user;
    char user_text[32];
    filters filters; /* owned */
    sq_profile profile;
    bool has_profile;
    uint32_t *doc; /* owned */
    llm_context language;
    converse_args args;
} speaker;

static void speaker_clear(speaker *x) {
    talk_clear(&x->talk);
    json_delete(x->options);
    filters_clear(&x->filters);
    if (x->has_profile) sq_profile_clear(&x->profile);
    rec_free(x->doc);
    if (x->view) sq_view_close(x->view);
}

/* ---- options ------------------------------------------------------------------------------------------ */

static rec_status check_options(const json *o, const char *where, rec_err *err) {
    static const char *const names[] = {"user", "filters",     "k",
                                        "llm",  "preferences", "in_transaction"};
    if (!json_is_object(o))
        return rec_fail(err, REC_RANGE, NAME ": %s must be a JSON object", where);
    for (const json *e = json_first(o); e; e = json_next(e)) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strcmp(json_key(e), names[i]) == 0) is_known = true;
        if (!is_known)
            return rec_fail(err, REC_RANGE,
                            NAME ": %s has the key '%.60s', expected user, filters, k, "
                                 "llm, preferences, in_transaction",
                            where, json_key(e));
    }
    return REC_OK;
}

/* V1 */
static const json *option(const speaker *x, const char *name) {
    const json *j = json_get(x->options, name);
    if (!j && x->talk.given) j = json_get(x->talk.given, name);
    return json_is_null(j) ? NULL : j;
}

static rec_status read_user(speaker *x, rec_err *err) {
    const json *j = option(x, "user");
    cell c = {.type = CELL_NULL};
    rec_status s = REC_OK;
    x->user = (tf_key){.is_null = true};
    if (!j) return REC_OK;
    if (json_is_string(j)) {
        c = (cell){.type = CELL_TEXT, .p = json_text(j)};
        c.nbyte = strlen(c.p);
    } else if (json_is_number(j)) {
        c.type = json_int64(j, &c.i) ? CELL_INT : CELL_REAL;
        if (c.type == CELL_REAL) c.r = json_number(j, 0);
    } else {
        return rec_fail(err, REC_RANGE, NAME ": user must be a number or a text");
    }
    x->user.is_null = false;
    x->user.is_key =
        sq_key(&c, x->view->user_affinity, x->user_text, &x->user.key, &s, err);
    return s;
}

static rec_status read_k(speaker *x, rec_err *err) {
    const json *j = option(x, "k");
    int64_t k = CONVERSE_DEFAULT_K;
    if (j && (!json_is_number(j) || !json_int64(j, &k) || k < CONVERSE_MIN_K ||
              k > CONVERSE_MAX_K))
        return rec_fail(err, REC_RANGE, NAME ": k must be a whole number of %d..%d",
                        CONVERSE_MIN_K, CONVERSE_MAX_K);
    x->args.k = (size_t)k;
    return REC_OK;
}

static rec_status read_llm(speaker *x, sq_conn *c, rec_err *err) {
    const json *j = option(x, "llm");
    if (j && !json_is_string(j))
        return rec_fail(err, REC_RANGE,
                        NAME ": llm must be the name of a row of llm_models");
    x->args.s = c->llm;
    x->args.in_transaction = json_truth(option(x, "in_transaction"), false);
    return llm_choose(c->llm, j ? json_text(j) : NULL, &x->args.config, err);
}

static rec_status read_filters(speaker *x, rec_err *err) {
    const json *j = option(x, "filters");
    return j ? filters_from_json(j, &x->filters, err) : REC_OK;
}

/* ---- what is remembered of the reader ------------------------------------------------------------------ */

/* "1990..1999", "..1979", "2006..": as llm_preferences writes ranges. */
static bool read_range(const char *text, double *min, double *max) {
    const char *dots = strstr(text, "..");
    *min = -INFINITY;
    *max = INFINITY;
    if (!dots) return false;
    size_t n = (size_t)(dots - text), m = strlen(dots + 2);
    if (n && !text_whole_number(text, n, min)) return false;
    if (m && !text_whole_number(dots + 2, m, max)) return false;
    return *min <= *max;
}

static bool make_said(const speaker *x, const char *kind, const char *key,
                      const char *value, said *s) {
    const catalog *c = x->view->items;
    if (!value || !*value || strlen(value) > FACET_MAX_VALUE) return false;
    s->is_answer = strcmp(kind, "word") == 0; /* soft: no part of a request */
    if (s->is_answer) {
        s->kind = SAID_WORD;
        return true;
    }
    s->facet = key ? facet_find(c, key, strlen(key)) : -1;
    if (s->facet < 0) return false;
    bool is_number = facet_kind(c, (size_t)s->facet) == FACET_NUMBER;
    s->kind = is_number ? SAID_RANGE : SAID_VALUE;
    return !is_number || read_range(value, &s->min, &s->max);
}

/* Said another day: a little evidence, that anything said today replaces. */
static rec_status remember_one(speaker *x, const json *row, rec_err *err) {
    const char *kind = json_text(json_get(row, "kind")),
               *value = json_text(json_get(row, "value"));
    double weight = json_number(json_get(row, "weight"), 0);
    said s = {.facet = -1, .item = KEYS_NONE, .group = talk_new_group(&x->talk)};
    if (!kind || !(weight >= -1 && weight <= 1))
        return rec_fail(err, REC_RANGE,
                        NAME ": preferences must be a list of objects with kind, key, "
                             "value, weight (-1..1), as llm_preferences returns them");
    s.weight = REMEMBERED * weight;
    if (weight == 0 || x->talk.n_said == CONVERSE_MAX_SAID ||
        !make_said(x, kind, json_text(json_get(row, "key")), value, &s))
        return REC_OK; /* items are in the history; facets may have gone */
    if (s.kind != SAID_RANGE && !(s.value = rec_strdup(value))) return rec_nomem(err);
    return talk_say(&x->talk, s, err);
}

static rec_status read_preferences(speaker *x, rec_err *err) {
    const json *list = option(x, "preferences");
    rec_status s = REC_OK;
    if (!list || x->talk.turn) return REC_OK; /* later turns have them in the state */
    if (!json_is_array(list))
        return rec_fail(err, REC_RANGE, NAME ": preferences must be a JSON array");
    for (const json *e = json_first(list); e && s == REC_OK; e = json_next(e))
        s = remember_one(x, e, err);
    return s;
}

/* ---- all of them ------------------------------------------------------------ */

static rec_status read_options(speaker *x, sq_conn *c, sqlite3_value *v, rec_err *err) {
    const char *text = NULL;
    size_t n = 0;
    rec_err why = {0};
    rec_status s = tf_text(NAME, "options", v, &text, &n, err);
    if (s == REC_OK && text && !(x->options = json_parse(text, n, &why)))
        s = rec_fail(err, why.code == REC_NOMEM ? REC_NOMEM : REC_RANGE,
                     NAME ": the options are not JSON: %s", why.msg);
    if (s == REC_OK && x->options) s = check_options(x->options, "options", err);
    if (s == REC_OK && x->talk.given)
        s = check_options(x->talk.given, "the first state", err);
    if (s == REC_OK) s = read_user(x, err);
    if (s == REC_OK) s = read_k(x, err);
    if (s == REC_OK) s = read_llm(x, c, err);
    if (s == REC_OK) s = read_filters(x, err);
    if (s == REC_OK) s = read_preferences(x, err);
    return s;
}

/* ---- what the engine asks of the host -------------------------------------------------------------------- */

static rec_status host_prior(void *ctx, const query_request *q, float *out,
                             rec_err *err) {
    speaker *x = ctx;
    sq_scores scores = {0};
    sq_profile p = {0};
    rec_run run = {0};
    bool says = q->n_like || (q->query && q->query[0]);
    rec_status s = says ? tf_profile(x->view, &x->user, q, &p, err) : REC_OK;
    sq_run_init(x->view->conn, &run, false);
    if (s == REC_OK) s = sq_score(x->view, says ? &p : &x->profile, &run, &scores, err);
    sq_run_finish(&run);
    if (s == REC_OK) memcpy(out, scores.score, scores.n * sizeof *out);
    sq_scores_clear(&scores);
    if (says) sq_profile_clear(&p);
    return s;
}

static rec_status host_allowed(void *ctx, bitmap *out, rec_err *err) {
    speaker *x = ctx;
    rec_status s = sq_allowed(x->view, &x->profile, true, out, err);
    if (s == REC_OK && x->filters.n_cond)
        s = filters_apply(&x->filters, x->view->items, out, err);
    return s;
}

static rec_status host_similar(void *ctx, uint32_t item, float *out, rec_err *err) {
    speaker *x = ctx;
    score_source source;
    return sq_similar(x->view, item, out, &source, err);
}

static rec_status host_reason(void *ctx, uint32_t item, char **out, rec_err *err) {
    speaker *x = ctx;
    return tf_reason(x->view, &x->profile, item, out, err);
}

/* Rows of the text model for the items of the view: through the member that speaks. */
static rec_status find_rows(const sq_view *v, uint32_t *row, size_t n, bool *found,
                            rec_err *err) {
    rec_status s = REC_OK;
    *found = v->model && v->model->ops->language && v->model->ops->language(v->model);
    for (size_t i = 0; *found && i < n; i++)
        if (row[i] != KEYS_NONE) row[i] = v->model_item[row[i]];
    if (*found || !v->n_member) return REC_OK;
    uint32_t *inner = rec_array(n, sizeof *inner);
    if (!inner) return rec_nomem(err);
    for (size_t m = 0; m < v->n_member && !*found && s == REC_OK; m++) {
        for (size_t i = 0; i < n; i++)
            inner[i] = row[i] == KEYS_NONE ? KEYS_NONE : v->member[m].item[row[i]];
        s = find_rows(v->member[m].view, inner, n, found, err);
    }
    if (*found) memcpy(row, inner, n * sizeof *row);
    rec_free(inner);
    return s;
}

static rec_status map_rows(speaker *x, rec_err *err) {
    size_t n = catalog_n_items(x->view->items);
    bool found;
    x->doc = rec_array(n, sizeof *x->doc);
    if (!x->doc) return rec_nomem(err);
    for (size_t i = 0; i < n; i++) x->doc[i] = (uint32_t)i;
    rec_status s = find_rows(x->view, x->doc, n, &found, err);
    for (size_t i = 0; i < n && !found; i++) x->doc[i] = KEYS_NONE;
    return s;
}

/* ---- the function ------------------------------------------------------------------------------------------ */

static rec_status read_arguments(speaker *x, sq_conn *c, int n, sqlite3_value **v,
                                 rec_err *err) {
    const char *state = NULL;
    size_t n_state = 0;
    rec_status s = sq_view_require_trained(x->view, err);
    if (s == REC_OK) s = tf_text(NAME, "state", v[1], &state, &n_state, err);
    if (s == REC_OK)
        s = talk_from_json(state, n_state, x->view->name, x->view->items, &x->talk,
                           err);
    if (s == REC_OK)
        s = tf_text(NAME, "utterance", v[2], &x->args.utterance, &x->args.n_utterance,
                    err);
    if (s == REC_OK && x->args.n_utterance > CONVERSE_MAX_UTTERANCE)
        s = rec_fail(err, REC_RANGE, NAME ": an utterance of %zu bytes, at most %zu",
                     x->args.n_utterance, CONVERSE_MAX_UTTERANCE);
    return s == REC_OK ? read_options(x, c, n > 3 ? v[3] : NULL, err) : s;
}

static void fn_converse(sqlite3_context *ctx, int n, sqlite3_value **v) {
    sq_conn *c = sqlite3_user_data(ctx);
    speaker x = {.talk = {.pending = {.facet = -1}}};
    rec_err err = {0};
    char *out = NULL;
    rec_status s = tf_view_kept(ctx, NAME, v, 0, &x.view, &err);
    if (s == REC_OK) s = read_arguments(&x, c, n, v, &err);
    if (s == REC_OK) {
        x.has_profile = true;
        s = tf_profile(x.view, &x.user, NULL, &x.profile, &err);
    }
    if (s == REC_OK) s = map_rows(&x, &err);
    if (s == REC_OK) {
        sq_view_language(x.view, &x.language);
        x.args.ctx = &x.language;
        x.args.model = x.view->name;
        x.args.fixed = &x.filters;
        converse_host host = {.ctx = &x,
                              .prior = host_prior,
                              .allowed = host_allowed,
                              .similar = host_similar,
                              .reason = host_reason,
                              .doc = x.doc};
        s = converse_turn(&x.args, &host, &x.talk, &out, &err);
    }
    speaker_clear(&x);
    if (s != REC_OK) {
        if (err.code == REC_OK) err.code = s;
        sq_result_error(ctx, &err);
    } else {
        sqlite3_result_text64(ctx, out, strlen(out), SQLITE_TRANSIENT, SQLITE_UTF8);
        sqlite3_result_subtype(ctx, JSON_SUBTYPE);
    }
    rec_free(out);
}

#define FLAGS (SQLITE_UTF8 | SQLITE_DIRECTONLY | SQLITE_RESULT_SUBTYPE)

const sq_function fn_converse_functions[] = {
    {"llm_converse", 3, FLAGS, fn_converse, NULL, NULL},
    {"llm_converse", 4, FLAGS, fn_converse, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
