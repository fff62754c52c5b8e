/* rerank.c - candidates in, the same candidates out, in an order and with reasons.
 *
 *   candidates --> parse --> retrieval order --+--> builtin -----------------------> rows
 *                                              +--> a model (listwise.c) ----------> rows
 *                                                      | failure: builtin, 'fallback'
 *
 * Candidates are a JSON array of objects with an `id` (a number or a text), any text, number or list fields, and
 * a `score` if the retrieval has one. Retrieval order is descending score, those without one last, ties as
 * they were given; with no scores at all it is the order of the array.
 *
 * W1. Every input id comes out exactly once; one that comes in twice is refused, by name.
 * W2. Scores of the rows never ascend with the rank.
 * W3. What an option, a candidate or an id has wrong is said with its name and place.
 *
 * Cost: one pass over the JSON, and what the builtin or the model takes.
 */
#include "llm.h"

#include <math.h>

#define MAX_QUERY_BYTES 65536
#define DEFAULT_ALPHA   1.0

/* ---- parsing ------------------------------------------------------------------------------------ */

static const char *kind_of(const json *j) {
    return json_is_object(j)   ? "an object"
           : json_is_array(j)  ? "an array"
           : json_is_string(j) ? "a string"
           : json_is_number(j) ? "a number"
           : json_is_bool(j)   ? "a boolean"
                               : "null";
}

/* A field's value as text: strings, numbers, lists of those. NULL with *skip: nothing to read. */
static char *field_text(const json *v, bool *skip) {
    bytes_writer w = {0};
    const json *one = json_is_array(v) ? json_first(v) : v;
    bool any = false;
    for (; one; one = json_is_array(v) ? json_next(one) : NULL) {
        char *number = json_is_number(one) ? json_print(one) : NULL;
        const char *s = number ? number : json_text(one);
        if (s) {
            if (any) bytes_puts(&w, ", ");
            bytes_puts(&w, s);
            any = true;
        }
        rec_free(number);
    }
    *skip = !any;
    return bytes_take_text(&w);
}

static rec_status add_field(candidate *c, const json *v, rec_err *err) {
    bool skip;
    char *text = field_text(v, &skip);
    if (!text) return rec_nomem(err);
    if (skip || c->n_field == RERANK_MAX_FIELDS) {
        rec_free(text);
        return REC_OK;
    }
    c->field[c->n_field++] = (candidate_field){json_key(v), text, json_is_number(v)};
    return REC_OK;
}

static rec_status parse_candidate(const json *j, size_t nth, const char *what,
                                  candidate *c, rec_err *err) {
    c->score = NAN;
    if (!json_is_object(j))
        return rec_fail(err, REC_RANGE,
                        "llm_rerank: %s %zu is %s, expected an object with an id", what,
                        nth, kind_of(j));
    const json *id = json_get(j, "id"), *score = json_get(j, "score");
    if (!json_is_number(id) && !json_is_string(id))
        return rec_fail(err, REC_RANGE,
                        "llm_rerank: %s %zu has %s id, expected a number or a string",
                        what, nth, id ? kind_of(id) : "no");
    if (score && !json_is_number(score) && !json_is_null(score))
        return rec_fail(err, REC_RANGE,
                        "llm_rerank: %s %zu has %s as score, expected a number", what,
                        nth, kind_of(score));
    c->score = json_number(score, NAN);
    size_t n_field =
        json_count(j) < RERANK_MAX_FIELDS ? json_count(j) : RERANK_MAX_FIELDS;
    c->id = json_print(id);
    c->field = rec_zeros(n_field, sizeof *c->field);
    if (!c->id || !c->field) return rec_nomem(err);
    rec_status st = REC_OK;
    for (const json *v = json_first(j); v && !st; v = json_next(v))
        if (strcmp(json_key(v), "id") != 0 && strcmp(json_key(v), "score") != 0)
            st = add_field(c, v, err);
    return st;
}

static void candidate_clear(candidate *c) {
    for (size_t i = 0; i < c->n_field; i++) rec_free(c->field[i].text);
    rec_free(c->field), rec_free(c->id);
}

static void candidates_clear(candidates *all) {
    for (size_t i = 0; i < all->n; i++) candidate_clear(&all->c[i]);
    for (size_t i = 0; i < all->n_history; i++) {
        candidate_clear(&all->history[i].c);
        rec_free(all->history[i].value);
    }
    rec_free(all->c), rec_free(all->history);
    json_delete(all->root), json_delete(all->options);
    *all = (candidates){0};
}

typedef struct scored {
    double score;
    size_t at;
} scored;

static int compare_scored(const void *a, const void *b, void *ctx) {
    const scored *x = a, *y = b;
    (void)ctx;
    bool nx = isnan(x->score), ny = isnan(y->score);
    if (nx != ny) return nx ? 1 : -1;
    if (!nx && x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Retrieval order: descending score, those without one last, ties as given. */
static rec_status sort_by_score(candidates *all, rec_err *err) {
    scored *s = rec_array(all->n, sizeof *s);
    candidate *c = rec_array(all->n, sizeof *c);
    rec_status st = s && c ? REC_OK : rec_nomem(err);
    for (size_t i = 0; i < all->n && !st; i++) s[i] = (scored){all->c[i].score, i};
    if (!st) {
        rec_sort(s, all->n, sizeof *s, compare_scored, NULL);
        for (size_t i = 0; i < all->n; i++) c[i] = all->c[s[i].at];
        rec_free(all->c);
        all->c = c, c = NULL;
    }
    rec_free(s), rec_free(c);
    return st;
}

static rec_status parse_candidates(const char *text, size_t nbyte, candidates *all,
                                   rec_err *err) {
    rec_err why = {0};
    all->root = json_parse(text, nbyte, &why);
    if (!all->root)
        return rec_fail(err, why.code, "llm_rerank: candidates: %s", why.msg);
    if (!json_is_array(all->root))
        return rec_fail(err, REC_RANGE,
                        "llm_rerank: candidates are %s, expected an array of objects",
                        kind_of(all->root));
    size_t n = json_count(all->root);
    if (n > RERANK_MAX_CANDIDATES)
        return rec_fail(err, REC_RANGE, "llm_rerank: %zu candidates, at most %d", n,
                        RERANK_MAX_CANDIDATES);
    dict *ids = dict_new();
    all->c = rec_zeros(n, sizeof *all->c);
    rec_status st = ids && all->c ? REC_OK : rec_nomem(err);
    for (const json *j = json_first(all->root); j && !st; j = json_next(j)) {
        candidate *c = &all->c[all->n++];
        st = parse_candidate(j, all->n, "candidate", c, err);
        if (!st && dict_find(ids, c->id, strlen(c->id)) != KEYS_NONE)
            st = rec_fail(err, REC_RANGE,
                          "llm_rerank: id %s occurs twice among the candidates", c->id);
        uint32_t pos;
        if (!st) st = dict_add(ids, c->id, strlen(c->id), &pos, err);
    }
    dict_free(ids);
    return st ? st : sort_by_score(all, err);
}

static rec_status parse_history(const json *j, candidates *all, rec_err *err) {
    if (json_is_null(j)) return REC_OK;
    if (!json_is_array(j))
        return rec_fail(
            err, REC_RANGE,
            "llm_rerank: option \"history\" is %s, expected an array of objects",
            kind_of(j));
    all->history = rec_zeros(json_count(j), sizeof *all->history);
    if (!all->history) return rec_nomem(err);
    rec_status st = REC_OK;
    for (const json *e = json_first(j); e && !st && all->n_history < RERANK_MAX_HISTORY;
         e = json_next(e)) {
        history_item *h = &all->history[all->n_history++];
        st = parse_candidate(e, all->n_history, "history item", &h->c, err);
        const json *v = json_get(e, "value");
        bool skip = true;
        if (!st && v) {
            h->value = field_text(v, &skip);
            if (!h->value)
                st = rec_nomem(err);
            else if (skip)
                rec_free(h->value), h->value = NULL;
        }
    }
    return st;
}

static rec_status option_range(const json *j, double min, double max, double *out,
                               rec_err *err) {
    *out = json_number(j, NAN);
    if (*out >= min && *out <= max) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "llm_rerank: option \"%s\" must be a number from %g to %g",
                    json_key(j), min, max);
}

static rec_status parse_option(const json *j, rerank_options *o, candidates *all,
                               rec_err *err) {
    const char *k = json_key(j);
    double x;
    rec_status st = REC_OK;
    if (strcmp(k, "read") == 0) {
        if (!(st = option_range(j, RERANK_MIN_READ, RERANK_MAX_READ, &x, err)))
            o->n_read = (size_t)x;
    } else if (strcmp(k, "diversify") == 0) {
        if (json_is_bool(j))
            o->diversity = json_truth(j, false) ? RERANK_DIVERSITY : 0;
        else
            st = option_range(j, 0, 1, &o->diversity, err);
    } else if (strcmp(k, "alpha") == 0)
        st = option_range(j, 0, 1, &o->alpha, err);
    else if (strcmp(k, "seed") == 0) {
        int64_t seed;
        if (json_int64(j, &seed))
            o->seed = (uint64_t)seed;
        else
            st = rec_fail(err, REC_RANGE,
                          "llm_rerank: option \"seed\" must be an integer");
    } else if (strcmp(k, "history") == 0)
        st = parse_history(j, all, err);
    else if (strcmp(k, "llm") == 0) {
        o->llm = json_text(j);
        if (!o->llm)
            st = rec_fail(err, REC_RANGE,
                          "llm_rerank: option \"llm\" must be a name in llm_models");
    } else if (strcmp(k, "in_transaction") == 0) {
        o->in_transaction = json_truth(j, false);
        if (!json_is_bool(j))
            st = rec_fail(err, REC_RANGE,
                          "llm_rerank: option \"%s\" must be true or false", k);
    } else
        st = rec_fail(err, REC_RANGE,
                      "llm_rerank: no option \"%s\" (there are read, history, "
                      "diversify, seed, alpha, llm, "
                      "in_transaction)",
                      k);
    return st;
}

static rec_status parse_options(const char *options, rerank_options *o, candidates *all,
                                rec_err *err) {
    *o = (rerank_options){
        .n_read = RERANK_DEFAULT_READ, .diversity = NAN, .alpha = DEFAULT_ALPHA};
    if (!options) return REC_OK;
    rec_err why = {0};
    all->options = json_parse(options, strlen(options), &why);
    if (!all->options)
        return rec_fail(err, why.code, "llm_rerank: options: %s", why.msg);
    if (!json_is_object(all->options))
        return rec_fail(err, REC_RANGE,
                        "llm_rerank: options are %s, expected an object",
                        kind_of(all->options));
    rec_status st = REC_OK;
    for (const json *j = json_first(all->options); j && !st; j = json_next(j))
        st = parse_option(j, o, all, err);
    return st;
}

/* ---- rows ------------------------------------------------------------------------------------------ */

void rerank_result_clear(rerank_result *r) {
    for (size_t i = 0; i < r->n; i++) {
        rec_free(r->row[i].id), rec_free(r->row[i].why);
        rec_free(r->row[i].field), rec_free(r->row[i].quote);
    }
    rec_free(r->row);
    *r = (rerank_result){0};
}

/* Append candidate i; its reason is the builtin's unless `row` brings one. */
rec_status rerank_add_row(rerank_result *out, const candidates *all, const builtin *b,
                          uint32_t i, double score, const char *status, rec_err *err) {
    rerank_row *r = &out->row[out->n++];
    *r = (rerank_row){
        .rank = (int)out->n, .score = round(score * 1e6) / 1e6, .status = status};
    r->id = rec_strdup(all->c[i].id);
    if (!r->id) return rec_nomem(err);
    return b ? builtin_reason(b, i, r, err) : REC_OK;
}

static rec_status rank_builtin(const candidates *all, const builtin *b,
                               double diversity, const char *status, rerank_result *out,
                               rec_err *err) {
    float *relevance = rec_array(all->n, sizeof *relevance),
          *value = rec_array(all->n, sizeof *value);
    uint32_t *order = rec_array(all->n, sizeof *order);
    rec_status st = relevance && value && order ? REC_OK : rec_nomem(err);
    if (!st) {
        builtin_relevance(b, relevance);
        st = builtin_diversify(b, relevance, all->n, diversity, order, value, err);
    }
    for (size_t k = 0; k < all->n && !st; k++)
        st = rerank_add_row(out, all, b, order[k], (double)value[k], status, err);
    rec_free(relevance), rec_free(value), rec_free(order);
    return st;
}

/* A row that does nothing else comes before one that converses. */
static const protocol_kind rankers[] = {PROTOCOL_RANK, PROTOCOL_CHAT, PROTOCOL_NONE};

/* ---- the functions ------------------------------------------------------------------------ */

static rec_status parse_call(const char *query, size_t n_query,
                             const char *candidates_text, size_t nbyte,
                             const char *options, candidates *all, rerank_options *o,
                             rec_err *err) {
    if (query && n_query > MAX_QUERY_BYTES)
        return rec_fail(err, REC_RANGE, "llm_rerank: a query of %zu bytes, at most %d",
                        n_query, MAX_QUERY_BYTES);
    rec_status st = parse_candidates(candidates_text, nbyte, all, err);
    return st ? st : parse_options(options, o, all, err);
}

static rec_status rank(llm_session *s, const llm_config *config, const listwise_args *a,
                       rerank_result *out, rec_err *err) {
    rec_err why = {0};
    double asked = a->options->diversity, d = isnan(asked) ? RERANK_DIVERSITY : asked;
    if (!config || a->all->n == 0)
        return rank_builtin(a->all, a->b, d, "builtin", out, err);
    rec_status st = listwise_rank(s, config, a, out, &why);
    if (st == REC_NET) return rank_builtin(a->all, a->b, d, "fallback", out, err);
    return st ? rec_fail(err, st, "%s", why.msg) : REC_OK;
}

rec_status llm_rerank(llm_session *s, const char *query, size_t n_query,
                      const char *candidates_text, size_t n_candidates,
                      const char *options, rerank_result *out, rec_err *err) {
    *out = (rerank_result){0};
    llm_session_begin(s);
    candidates all = {0};
    rerank_options o;
    const llm_config *config = NULL;
    builtin *b = NULL;
    rec_status st = parse_call(query, n_query, candidates_text, n_candidates, options,
                               &all, &o, err);
    if (!st) st = llm_choose_kind(s, o.llm, rankers, &config, err);
    if (!st) st = builtin_new(query, n_query, &all, &b, err);
    if (!st && !(out->row = rec_zeros(all.n, sizeof *out->row))) st = rec_nomem(err);
    if (!st)
        st = rank(s, config, &(listwise_args){query, n_query, &all, &o, b}, out, err);
    builtin_free(b);
    candidates_clear(&all);
    if (st) rerank_result_clear(out);
    return st;
}

rec_status llm_rerank_request(llm_session *s, const char *query, size_t n_query,
                              const char *candidates_text, size_t n_candidates,
                              const char *options, char **out, rec_err *err) {
    *out = NULL;
    candidates all = {0};
    rerank_options o;
    const llm_config *config = NULL;
    llm_prompt p = {0};
    rec_status st = parse_call(query, n_query, candidates_text, n_candidates, options,
                               &all, &o, err);
    if (!st) st = llm_choose_kind(s, o.llm, rankers, &config, err);
    if (!st)
        st = listwise_prompt(config, &(listwise_args){query, n_query, &all, &o, NULL},
                             &p, err);
    if (!st) st = provider_body(s, config, &p, out, err);
    llm_prompt_clear(&p);
    candidates_clear(&all);
    return st;
}
