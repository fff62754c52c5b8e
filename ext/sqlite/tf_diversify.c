/* tf_diversify.c - rec_diversify: candidates in, a list out that is good as a whole.
 *
 *   [{"id": 7, "score": .9, "vector": [..], "genres": "Drama|Crime"}, ...]      or what rec_recommend(...) returns
 *        |  relevance: scores scaled to 0..1 within the list, less the discount of popularity
 *        |  likeness:  cosine of vectors | Jaccard index of facet values | similarity by options.model
 *        |  aspects:   values of facets, of the candidate's own fields or of the model's items
 *        |  wish:      the mix of the user's history | of options.history | options.target | of the candidates
 *        v
 *   core/diversify.c --> id, rank, score, mmr     one row a pull
 *
 * Invariants
 * I1. Every id comes at most once; one that occurs twice is an error. Without caps all of them come.
 * I2. `score` is what the candidate brought, NULL if nothing; without any the order of the array is the relevance.
 *     `mmr` is what it was worth when it was chosen.
 * I3. Rows do not depend on how many are pulled.
 * I4. What a candidate carries goes before what the model knows.
 *
 * Cost: O(candidates) a row; with options.model as the likeness one rec_similar a row.
 */
#include "tf_diversify.h"

#define NAME           DIVERSIFY_NAME
#define MAX_CANDIDATES 10000
#define MAX_CAP        1000000

static void listing_close(tvf_result *base) {
    listing *l = (listing *)base;
    diversify_clear(&l->d);
    for (size_t i = 0; l->c && i < l->n; i++) rec_free(l->c[i].vector);
    rec_free(l->c);
    dict_free(l->aspects);
    rec_free(l->start), rec_free(l->aspect), rec_free(l->cap);
    rec_free(l->part), rec_free(l->relevance), rec_free(l->similar);
    rec_free(l->wish);
    if (l->view) sq_view_close(l->view);
    json_delete(l->candidates);
    json_delete(l->options);
    rec_free(l);
}

static rec_status parse(const char *what, const char *text, size_t n, json **out,
                        rec_err *err) {
    rec_err why = {0};
    *out = json_parse(text, n, &why);
    if (*out) return REC_OK;
    if (why.code == REC_NOMEM) return rec_nomem(err);
    return rec_fail(err, REC_RANGE, NAME ": %s: %s", what, why.msg);
}

/* ---- options --------------------------------------------------------------------------------------- */

rec_status diversify_refuse(const char *name, const char *rule, rec_err *err) {
    return rec_fail(err, REC_RANGE, NAME ": option \"%s\": expected %s", name, rule);
}

static rec_status read_method(const json *j, diversify_method *out, rec_err *err) {
    static const char *const names[] = {"mmr", "xquad", "calibrated"};
    const char *s = json_text(j);
    for (int i = 0; s && i < 3; i++)
        if (strcmp(names[i], s) == 0) {
            *out = (diversify_method)i;
            return REC_OK;
        }
    return diversify_refuse("method", "mmr, xquad or calibrated", err);
}

static rec_status read_share(const json *j, double *out, rec_err *err) {
    *out = json_number(j, NAN);
    if (*out >= 0 && *out <= 1) return REC_OK;
    return diversify_refuse(json_key(j), "a number from 0 to 1", err);
}

/* "genres" or "genres[|]": an entry of the list of facets, made if there is none. */
static rec_status facet_at(listing *l, const char *option, const char *text,
                           facet_in **out, rec_err *err) {
    facet_spec spec[CATALOG_MAX_FACETS];
    size_t n = 0;
    rec_err why = {0};
    rec_status s = text ? facet_parse(text, spec, &n, &why)
                        : diversify_refuse(option, "names of facets", err);
    if (text && (s != REC_OK || n != 1))
        s = rec_fail(err, REC_RANGE,
                     NAME ": option \"%s\": '%.60s' is not the name of a facet", option,
                     text);
    if (s != REC_OK) return s;
    for (size_t i = 0; i < l->n_facet; i++)
        if (strcmp(l->facet[i].spec.name, spec[0].name) == 0) {
            *out = &l->facet[i];
            if (spec[0].sep[0]) (*out)->spec = spec[0];
            return REC_OK;
        }
    if (l->n_facet == DIVERSIFY_MAX_FACETS)
        return diversify_refuse(option, "at most 8 facets", err);
    *out = &l->facet[l->n_facet++];
    **out = (facet_in){.spec = spec[0], .of_model = -1};
    return REC_OK;
}

static rec_status read_facets(listing *l, const json *j, rec_err *err) {
    const json *i = json_is_array(j) ? json_first(j) : j;
    rec_status s = i ? REC_OK : diversify_refuse("facet", "names of facets", err);
    for (; i && s == REC_OK; i = json_is_array(j) ? json_next(i) : NULL) {
        facet_in *f = NULL;
        s = facet_at(l, "facet", json_text(i), &f, err);
        if (s == REC_OK) f->is_wished = true;
    }
    return s;
}

static rec_status read_caps(listing *l, const json *j, rec_err *err) {
    rec_status s =
        json_is_object(j)
            ? REC_OK
            : diversify_refuse("caps", "an object such as {\"genres\": 3}", err);
    for (const json *i = s == REC_OK ? json_first(j) : NULL; i && s == REC_OK;
         i = json_next(i)) {
        facet_in *f = NULL;
        double x = json_is_number(i) ? json_number(i, 0) : 0;
        if (!(x >= 1 && x <= MAX_CAP) || x != floor(x))
            return diversify_refuse("caps", "whole numbers from 1", err);
        s = facet_at(l, "caps", json_key(i), &f, err);
        if (s == REC_OK) f->is_capped = true, f->cap = (uint32_t)x;
    }
    return s;
}

static rec_status open_model(sq_conn *c, listing *l, const json *j, rec_err *err) {
    const char *name = json_text(j);
    if (!name) return diversify_refuse("model", "the name of a rec_model table", err);
    rec_status s = c->hold ? sq_hold_view(c, name, c->hold, &l->view, err)
                           : sq_view_open(c, name, &l->view, err);
    return s == REC_OK ? sq_view_require_trained(l->view, err) : s;
}

static rec_status read_option(sq_conn *c, listing *l, const json *j, rec_err *err) {
    const char *name = json_key(j);
    if (strcmp(name, "method") == 0) return read_method(j, &l->method, err);
    if (strcmp(name, "lambda") == 0) return read_share(j, &l->lambda, err);
    if (strcmp(name, "popularity") == 0) return read_share(j, &l->discount, err);
    if (strcmp(name, "facet") == 0) return read_facets(l, j, err);
    if (strcmp(name, "caps") == 0) return read_caps(l, j, err);
    if (strcmp(name, "model") == 0) return open_model(c, l, j, err);
    if (strcmp(name, "k") == 0) {
        if (!json_int64(j, &l->k) || l->k < 0)
            return diversify_refuse("k", "a whole number from 0", err);
        return REC_OK;
    }
    if (strcmp(name, "user") == 0 || strcmp(name, "history") == 0 ||
        strcmp(name, "target") == 0)
        return REC_OK; /* read once the model is known */
    return rec_fail(err, REC_RANGE,
                    NAME ": no option \"%.40s\" (there are method, lambda, k, facet, "
                         "caps, popularity, model, user, history, target)",
                    name);
}

static bool wants_wish(const listing *l) {
    return l->method != DIVERSIFY_MMR;
}

static rec_status check_options(listing *l, rec_err *err) {
    bool is_wished = false;
    for (size_t i = 0; i < l->n_facet; i++) is_wished |= l->facet[i].is_wished;
    if (wants_wish(l) && !is_wished)
        return rec_fail(err, REC_RANGE,
                        NAME ": methods xquad and calibrated need option \"facet\", "
                             "such as \"genres\"");
    l->facets = l->view ? tf_with_facets(l->view) : NULL;
    for (size_t i = 0; i < l->n_facet && l->facets; i++) {
        facet_in *f = &l->facet[i];
        f->of_model = facet_find(l->facets->items, f->spec.name, strlen(f->spec.name));
        for (size_t k = 0; k < l->facets->cfg.n_facet && !f->spec.sep[0]; k++)
            if (strcmp(l->facets->cfg.facet[k].name, f->spec.name) == 0)
                f->spec = l->facets->cfg.facet[k];
    }
    return REC_OK;
}

static rec_status read_options(sq_conn *c, listing *l, const char *text, size_t n,
                               rec_err *err) {
    l->lambda = DIVERSIFY_LAMBDA;
    l->k = -1;
    if (!text) return check_options(l, err);
    rec_status s = parse("options", text, n, &l->options, err);
    if (s == REC_OK && !json_is_object(l->options))
        s = rec_fail(err, REC_RANGE, NAME ": options are '%.60s', expected an object",
                     text);
    for (const json *j = s == REC_OK ? json_first(l->options) : NULL; j && s == REC_OK;
         j = json_next(j))
        s = read_option(c, l, j, err);
    return s == REC_OK ? check_options(l, err) : s;
}

/* ---- candidates -------------------------------------------------------------------------------------- */

bool diversify_is_key(const json *j) {
    return json_is_number(j) || json_is_string(j);
}

cell diversify_cell(const json *j) {
    cell c;
    if (json_is_string(j)) return cell_str(json_text(j));
    c = cell_int(0);
    return json_int64(j, &c.i) ? c : cell_real(json_number(j, 0));
}

static rec_status read_vector(listing *l, candidate_in *c, const json *j,
                              rec_err *err) {
    size_t n = json_is_array(j) ? json_count(j) : 0, at = 0;
    if (json_is_null(j)) return REC_OK;
    if (!n || n > VEC_MAX_DIM || (l->dim && n != l->dim))
        return rec_fail(err, REC_RANGE,
                        NAME ": a vector has %zu numbers, expected %s%u", n,
                        l->dim ? "" : "1 to ", l->dim ? l->dim : VEC_MAX_DIM);
    l->dim = (uint32_t)n;
    c->vector = rec_array(n, sizeof *c->vector);
    if (!c->vector) return rec_nomem(err);
    for (const json *i = json_first(j); i; i = json_next(i)) {
        float x = json_is_number(i) ? (float)json_number(i, NAN) : NAN;
        if (!isfinite(x))
            return rec_fail(err, REC_RANGE,
                            NAME ": a vector holds something that is no finite number");
        c->vector[at++] = x;
    }
    return REC_OK;
}

static rec_status find_item(const listing *l, candidate_in *c, rec_err *err) {
    char buf[32];
    rec_key key;
    rec_status s = REC_OK;
    c->item = KEYS_NONE;
    if (l->view && sq_key(&c->id, l->view->item_affinity, buf, &key, &s, err))
        c->item = catalog_find(l->view->items, &key);
    return s;
}

/* {"id": .., "score": ..}, {"item": .., ...} as rec_recommend says it, or a plain id. */
static rec_status read_candidate(listing *l, const json *j, size_t place, dict *ids,
                                 rec_err *err) {
    candidate_in *c = &l->c[l->n++];
    const json *id = j;
    uint32_t known = (uint32_t)dict_count(ids), pos = 0;
    *c = (candidate_in){.item = KEYS_NONE, .score = NAN, .popularity = NAN};
    if (json_is_object(j)) {
        c->from = j;
        id = json_get(j, "id") ? json_get(j, "id") : json_get(j, "item");
    }
    if (!id || !diversify_is_key(id))
        return rec_fail(err, REC_RANGE,
                        NAME ": candidate %zu has no id: expected {\"id\": number or "
                             "text, ...}",
                        place);
    c->id = diversify_cell(id);
    char *printed = json_print(id);
    rec_status s =
        printed ? dict_add(ids, printed, strlen(printed), &pos, err) : rec_nomem(err);
    if (s == REC_OK && pos < known)
        s = rec_fail(err, REC_RANGE, NAME ": id %.60s occurs twice", printed);
    rec_free(printed);
    if (s == REC_OK) s = find_item(l, c, err);
    if (s != REC_OK || !c->from) return s;
    const json *score = json_get(j, "score"), *vector = json_get(j, "vector"),
               *popularity = json_get(j, "popularity");
    if (score) c->score = json_number(score, NAN);
    if (popularity) c->popularity = json_number(popularity, NAN);
    return vector ? read_vector(l, c, vector, err) : REC_OK;
}

static rec_status read_candidates(listing *l, const char *text, size_t n,
                                  rec_err *err) {
    rec_status s = parse("candidates", text, n, &l->candidates, err);
    if (s == REC_OK && !json_is_array(l->candidates))
        s = rec_fail(err, REC_RANGE, NAME ": the candidates are no JSON array");
    size_t count = s == REC_OK ? json_count(l->candidates) : 0, place = 0;
    if (count > MAX_CANDIDATES)
        s = rec_fail(err, REC_RANGE, NAME ": %zu candidates, at most %d", count,
                     MAX_CANDIDATES);
    dict *ids = s == REC_OK ? dict_new() : NULL;
    l->c = s == REC_OK ? rec_zeros(count, sizeof *l->c) : NULL;
    if (s == REC_OK && (!ids || !l->c)) s = rec_nomem(err);
    for (const json *j = s == REC_OK ? json_first(l->candidates) : NULL;
         j && s == REC_OK; j = json_next(j))
        s = read_candidate(l, j, ++place, ids, err);
    dict_free(ids);
    return s;
}

/* ---- relevance ------------------------------------------------------------------------------------------ */

/* How many had the item, by the model that reads interactions. */
static double popularity_of(const listing *l, const sq_view *from,
                            const candidate_in *c) {
    if (!isnan(c->popularity) || !from || !from->popularity || c->item == KEYS_NONE)
        return c->popularity;
    rec_key key = catalog_key(l->view->items, c->item);
    uint32_t item = catalog_find(from->items, &key);
    uint32_t m = item == KEYS_NONE ? KEYS_NONE : from->model_item[item];
    return (double)popularity_weight(from->popularity, m);
}

static rec_status discount(listing *l, rec_err *err) {
    const sq_view *from = l->view ? tf_with_interactions(l->view) : NULL;
    double most = 0;
    if (!(l->discount > 0)) return REC_OK;
    for (size_t i = 0; i < l->n; i++) {
        candidate_in *c = &l->c[i];
        c->popularity = popularity_of(l, from, c);
        if (isnan(c->popularity) || c->popularity < 0)
            return rec_fail(err, REC_RANGE,
                            NAME ": option \"popularity\" needs candidates with "
                                 "\"popularity\", or a model with interactions that "
                                 "knows them");
        most = fmax(most, log1p(c->popularity));
    }
    for (size_t i = 0; i < l->n && most > 0; i++)
        l->relevance[i] -= (float)(l->discount * log1p(l->c[i].popularity) / most);
    return REC_OK;
}

static rec_status rate(listing *l, rec_err *err) {
    double min = INFINITY, max = -INFINITY;
    l->relevance = rec_array(l->n, sizeof *l->relevance);
    if (!l->relevance) return rec_nomem(err);
    for (size_t i = 0; i < l->n; i++) {
        double s = l->c[i].score;
        if (isfinite(s)) min = fmin(min, s), max = fmax(max, s);
    }
    for (size_t i = 0; i < l->n; i++) {
        double s = l->c[i].score;
        /* Halves: the difference of two large scores need not fit a double. */
        double x = max > min ? (s / 2 - min / 2) / (max / 2 - min / 2) : 1;
        if (min > max) x = 1 - (double)i / (double)l->n; /* I2: nobody has a score */
        l->relevance[i] = isfinite(x) && (isfinite(s) || min > max) ? (float)x : 0;
    }
    return discount(l, err);
}

/* ---- likeness --------------------------------------------------------------------------------------------------- */

static float cosine(const listing *l, const float *a, const float *b) {
    if (!a || !b) return 0;
    double x = vectors_cosine((double)vec_kernels()->dot(a, b, l->dim),
                              (double)vec_norm(a, l->dim), (double)vec_norm(b, l->dim));
    return isfinite(x) ? (float)x : 0;
}

static rec_status by_vectors(void *ctx, uint32_t chosen, const uint32_t *other,
                             size_t n, float *out, rec_err *err) {
    const listing *l = ctx;
    (void)err;
    for (size_t j = 0; j < n; j++)
        out[j] = cosine(l, l->c[chosen].vector, l->c[other[j]].vector);
    return REC_OK;
}

static bool has_aspect(const listing *l, uint32_t i, uint32_t a) {
    for (size_t e = l->start[i]; e < l->start[i + 1]; e++)
        if (l->aspect[e] == a) return l->part[e] > 0;
    return false;
}

static size_t n_aspects(const listing *l, uint32_t i) {
    size_t n = 0;
    for (size_t e = l->start[i]; e < l->start[i + 1]; e++) n += l->part[e] > 0;
    return n;
}

static rec_status by_facets(void *ctx, uint32_t chosen, const uint32_t *other, size_t n,
                            float *out, rec_err *err) {
    const listing *l = ctx;
    (void)err;
    for (size_t j = 0; j < n; j++) {
        size_t both = 0, all = n_aspects(l, chosen) + n_aspects(l, other[j]);
        for (size_t e = l->start[other[j]]; e < l->start[other[j] + 1]; e++)
            both += l->part[e] > 0 && has_aspect(l, chosen, l->aspect[e]);
        out[j] = all > both ? (float)both / (float)(all - both) : 0;
    }
    return REC_OK;
}

static rec_status by_model(void *ctx, uint32_t chosen, const uint32_t *other, size_t n,
                           float *out, rec_err *err) {
    const listing *l = ctx;
    score_source ignored;
    uint32_t item = l->c[chosen].item;
    rec_status s = REC_OK;
    if (item != KEYS_NONE) s = sq_similar(l->view, item, l->similar, &ignored, err);
    for (size_t j = 0; s == REC_OK && j < n; j++) {
        uint32_t to = l->c[other[j]].item;
        float x = item != KEYS_NONE && to != KEYS_NONE ? l->similar[to] : 0;
        out[j] = isfinite(x) ? x : 0;
    }
    return s;
}

static rec_status choose_likeness(listing *l, diversify_args *a, rec_err *err) {
    bool is_wished = false;
    for (size_t f = 0; f < l->n_facet; f++) is_wished |= l->facet[f].is_wished;
    a->ctx = l;
    if (l->method != DIVERSIFY_MMR || l->n == 0) return REC_OK;
    if (l->dim) {
        a->alike = by_vectors;
    } else if (is_wished) {
        a->alike = by_facets;
    } else if (l->view) {
        a->alike = by_model;
        l->similar = rec_array(catalog_n_items(l->view->items), sizeof *l->similar);
        if (!l->similar) return rec_nomem(err);
    } else {
        return rec_fail(err, REC_RANGE,
                        NAME ": method mmr needs to know which candidates are alike: "
                             "give them a \"vector\", or name a \"facet\" or a "
                             "\"model\" in the options");
    }
    return REC_OK;
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static bool listing_next(tvf_result *base, cell *row, rec_status *status,
                         rec_err *err) {
    listing *l = (listing *)base;
    uint32_t i = 0;
    double value = 0;
    bool more = false;
    *status = REC_OK;
    if (l->k >= 0 && l->n_given >= l->k) return false;
    *status = diversify_next(&l->d, &i, &value, &more, err);
    if (*status != REC_OK || !more) return false;
    row[0] = l->c[i].id;
    row[1] = cell_int(++l->n_given);
    row[2] = cell_real(l->c[i].score);
    row[3] = cell_real(value);
    return true;
}

static rec_status prepare(listing *l, rec_err *err) {
    diversify_args a = {.method = l->method, .lambda = l->lambda, .n = l->n};
    rec_status s = rate(l, err);
    if (s == REC_OK) s = diversify_aspects(l, err);
    if (s == REC_OK && wants_wish(l)) s = diversify_wish(l, err);
    if (s == REC_OK) s = diversify_caps(l, err);
    if (s == REC_OK) s = choose_likeness(l, &a, err);
    a.relevance = l->relevance;
    a.aspect_start = l->start;
    a.aspect = l->aspect;
    a.part = l->part;
    a.n_aspect = s == REC_OK ? dict_count(l->aspects) : 0;
    a.wish = l->wish;
    a.cap = l->cap;
    return s == REC_OK ? diversify_init(&l->d, &a, err) : s;
}

static rec_status diversify_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                                 rec_err *err) {
    const char *list, *options;
    size_t n_list, n_options;
    *out = NULL;
    rec_status s = tf_text(NAME, "candidates", arg[0], &list, &n_list, err);
    if (s == REC_OK) s = tf_text(NAME, "options", arg[1], &options, &n_options, err);
    if (s != REC_OK) return s;
    listing *l = rec_zeros(1, sizeof *l);
    if (!l) return rec_nomem(err);
    l->base.next = listing_next;
    l->base.close = listing_close;
    s = read_options(c, l, options, n_options, err);
    if (s == REC_OK && list) s = read_candidates(l, list, n_list, err);
    if (s == REC_OK && !list && !(l->c = rec_zeros(0, sizeof *l->c)))
        s = rec_nomem(err);
    if (s == REC_OK) s = prepare(l, err);
    if (s == REC_OK)
        *out = &l->base;
    else
        listing_close(&l->base);
    return s;
}

const tvf_def tf_diversify_def = {
    .name = NAME,
    .columns = "id, rank INTEGER, score REAL, mmr REAL",
    .args = "candidates, options",
    .n_required = 1,
    .rank_column = 1,
    .cost = 1e5,
    .open = diversify_open,
};
