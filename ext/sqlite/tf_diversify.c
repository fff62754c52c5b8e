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
#include "tf.h"

#include <math.h>

#define NAME               "rec_diversify"
#define MAX_CANDIDATES     10000
#define MAX_FACETS         8
#define MAX_CAP            1000000
#define FACET_SEPARATOR    '\x1f'
#define MAX_VALUES_OF_ITEM 256

typedef struct candidate_in {
    cell id;          /* text: borrowed from the JSON */
    const json *from; /* borrowed; a plain id has no fields */
    float *vector;    /* owned */
    uint32_t item;    /* of the model, or KEYS_NONE */
    double score, popularity;
} candidate_in;

typedef struct facet_in { /* a facet that the options name */
    facet_spec spec;
    int of_model; /* its number in the items of `facets`, -1: it has no such facet */
    bool is_wished, is_capped;
    uint32_t cap;
} facet_in;

typedef struct listing {
    tvf_result base;
    json *candidates, *options; /* owned */
    diversify_method method;
    double lambda, discount;
    int64_t k, n_given;
    sq_view *view;         /* holds a reference; NULL without options.model */
    const sq_view *facets; /* the view, or a member, that has them; NULL */
    candidate_in *c;       /* owned: [n] */
    size_t n;
    uint32_t dim;
    facet_in facet[MAX_FACETS];
    size_t n_facet;
    dict *aspects; /* owned: facet number, separator, folded value */
    size_t *start; /* owned, as all below: what diversify borrows */
    uint32_t *aspect, *cap;
    float *part, *relevance, *similar;
    double *wish;
    size_t cap_aspect, cap_part, n_entry;
    diversify d;
} listing;

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

static rec_status refuse(const char *name, const char *rule, rec_err *err) {
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
    return refuse("method", "mmr, xquad or calibrated", err);
}

static rec_status read_share(const json *j, double *out, rec_err *err) {
    *out = json_number(j, NAN);
    if (*out >= 0 && *out <= 1) return REC_OK;
    return refuse(json_key(j), "a number from 0 to 1", err);
}

/* "genres" or "genres[|]": an entry of the list of facets, made if there is none. */
static rec_status facet_at(listing *l, const char *option, const char *text,
                           facet_in **out, rec_err *err) {
    facet_spec spec[CATALOG_MAX_FACETS];
    size_t n = 0;
    rec_err why = {0};
    rec_status s = text ? facet_parse(text, spec, &n, &why)
                        : refuse(option, "names of facets", err);
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
    if (l->n_facet == MAX_FACETS) return refuse(option, "at most 8 facets", err);
    *out = &l->facet[l->n_facet++];
    **out = (facet_in){.spec = spec[0], .of_model = -1};
    return REC_OK;
}

static rec_status read_facets(listing *l, const json *j, rec_err *err) {
    const json *i = json_is_array(j) ? json_first(j) : j;
    rec_status s = i ? REC_OK : refuse("facet", "names of facets", err);
    for (; i && s == REC_OK; i = json_is_array(j) ? json_next(i) : NULL) {
        facet_in *f = NULL;
        s = facet_at(l, "facet", json_text(i), &f, err);
        if (s == REC_OK) f->is_wished = true;
    }
    return s;
}

static rec_status read_caps(listing *l, const json *j, rec_err *err) {
    rec_status s = json_is_object(j)
                       ? REC_OK
                       : refuse("caps", "an object such as {\"genres\": 3}", err);
    for (const json *i = s == REC_OK ? json_first(j) : NULL; i && s == REC_OK;
         i = json_next(i)) {
        facet_in *f = NULL;
        double x = json_is_number(i) ? json_number(i, 0) : 0;
        if (!(x >= 1 && x <= MAX_CAP) || x != floor(x))
            return refuse("caps", "whole numbers from 1", err);
        s = facet_at(l, "caps", json_key(i), &f, err);
        if (s == REC_OK) f->is_capped = true, f->cap = (uint32_t)x;
    }
    return s;
}

static rec_status open_model(sq_conn *c, listing *l, const json *j, rec_err *err) {
    const char *name = json_text(j);
    if (!name) return refuse("model", "the name of a rec_model table", err);
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
            return refuse("k", "a whole number from 0", err);
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

static bool is_key(const json *j) {
    return json_is_number(j) || json_is_string(j);
}

static cell cell_of(const json *j) {
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
    if (!id || !is_key(id))
        return rec_fail(err, REC_RANGE,
                        NAME ": candidate %zu has no id: expected {\"id\": number or "
                             "text, ...}",
                        place);
    c->id = cell_of(id);
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

/* ---- aspects ------------------------------------------------------------------------------------------------ */

typedef struct values { /* aspects of one facet of one item */
    listing *l;
    size_t facet;
    uint32_t a[MAX_VALUES_OF_ITEM];
    size_t n;
} values;

static rec_status add_value(void *ctx, const char *text, size_t n, rec_err *err) {
    values *v = ctx;
    char key[FACET_MAX_VALUE + 2];
    uint32_t pos;
    key[0] = (char)('A' + v->facet);
    key[1] = FACET_SEPARATOR;
    size_t n_key = 2 + facet_fold(key + 2, text, n);
    rec_status s = dict_add(v->l->aspects, key, n_key, &pos, err);
    for (size_t i = 0; s == REC_OK && i < v->n; i++)
        if (v->a[i] == pos) return REC_OK;
    if (s == REC_OK && v->n < MAX_VALUES_OF_ITEM) v->a[v->n++] = pos;
    return s;
}

static rec_status values_of_json(values *v, const json *j, rec_err *err) {
    rec_status s = REC_OK;
    bool is_array;
    char buf[32];
    if (json_is_array(j)) {
        for (const json *i = json_first(j); i && s == REC_OK; i = json_next(i))
            if (!json_is_array(i)) s = values_of_json(v, i, err);
    } else if (json_is_string(j)) {
        const char *text = json_text(j);
        s = facet_split(&v->l->facet[v->facet].spec, text, strlen(text), &is_array,
                        add_value, v, err);
    } else if (json_is_number(j)) {
        s = add_value(v, buf, rec_format(buf, sizeof buf, "%g", json_number(j, 0)),
                      err);
    }
    return s;
}

/* item: of l->facets. */
static rec_status values_of_item(values *v, uint32_t item, rec_err *err) {
    const catalog *c = v->l->facets->items;
    int facet = v->l->facet[v->facet].of_model;
    const uint32_t *value;
    char buf[32];
    double x;
    rec_status s = REC_OK;
    if (facet < 0 || item == KEYS_NONE) return s;
    if (facet_kind(c, (size_t)facet) == FACET_NUMBER)
        return facet_item_number(c, (size_t)facet, item, &x)
                   ? add_value(v, buf, rec_format(buf, sizeof buf, "%g", x), err)
                   : REC_OK;
    size_t n = facet_item_values(c, (size_t)facet, item, &value), nbyte;
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        const char *text = facet_value(c, (size_t)facet, value[i], &nbyte);
        s = add_value(v, text, nbyte, err);
    }
    return s;
}

static uint32_t item_of_facets(const listing *l, const sq_view *from, uint32_t item) {
    if (!l->facets || item == KEYS_NONE || from == l->facets) return item;
    rec_key key = catalog_key(from->items, item);
    return catalog_find(l->facets->items, &key);
}

/* Facets share an item evenly, and so do the values of one facet. */
static float part_of(const listing *l, const values *v) {
    size_t n = 0;
    for (size_t f = 0; f < l->n_facet; f++) n += l->facet[f].is_wished;
    bool counts = l->facet[v->facet].is_wished && v->n;
    return counts ? 1 / (float)(n * v->n) : 0;
}

static rec_status add_aspects(listing *l, const values *v, rec_err *err) {
    rec_status s =
        rec_grow(&l->aspect, &l->cap_aspect, l->n_entry + v->n, sizeof *l->aspect, err);
    if (s == REC_OK)
        s = rec_grow(&l->part, &l->cap_part, l->n_entry + v->n, sizeof *l->part, err);
    for (size_t i = 0; s == REC_OK && i < v->n; i++) {
        l->aspect[l->n_entry] = v->a[i];
        l->part[l->n_entry++] = part_of(l, v);
    }
    return s;
}

static rec_status aspects_of_candidates(listing *l, rec_err *err) {
    rec_status s = REC_OK;
    l->start = rec_zeros(l->n + 1, sizeof *l->start);
    l->aspects = dict_new();
    if (!l->start || !l->aspects) return rec_nomem(err);
    for (size_t i = 0; i < l->n && s == REC_OK; i++) {
        const candidate_in *c = &l->c[i];
        for (size_t f = 0; f < l->n_facet && s == REC_OK; f++) {
            values v = {.l = l, .facet = f};
            const json *own = c->from ? json_get(c->from, l->facet[f].spec.name) : NULL;
            if (own)
                s = values_of_json(&v, own, err);
            else if (l->facets)
                s = values_of_item(&v, item_of_facets(l, l->view, c->item), err);
            if (s == REC_OK) s = add_aspects(l, &v, err);
        }
        l->start[i + 1] = l->n_entry;
    }
    return s;
}

/* ---- what is wished for ----------------------------------------------------------------------------------------- */

static rec_status need_wishes(listing *l, size_t *n, rec_err *err) {
    /* Values of a history may be new to the dictionary: [n] grows with it. */
    size_t want = dict_count(l->aspects);
    if (want <= *n) return REC_OK;
    double *more = rec_zeros(want, sizeof *more);
    if (!more) return rec_nomem(err);
    if (*n) memcpy(more, l->wish, *n * sizeof *more);
    rec_free(l->wish);
    l->wish = more;
    *n = want;
    return REC_OK;
}

static rec_status wish_target(listing *l, const json *target, size_t *n_wish,
                              rec_err *err) {
    size_t f = 0;
    rec_status s = REC_OK;
    if (!json_is_object(target))
        return refuse("target", "an object such as {\"Drama\": 0.5, \"Crime\": 0.5}",
                      err);
    while (!l->facet[f].is_wished) f++;
    for (const json *j = json_first(target); j && s == REC_OK; j = json_next(j)) {
        values v = {.l = l, .facet = f};
        double x = json_is_number(j) ? json_number(j, -1) : -1;
        if (!(x >= 0 && x <= 1e9)) return refuse("target", "numbers from 0", err);
        s = add_value(&v, json_key(j), strlen(json_key(j)), err);
        if (s == REC_OK) s = need_wishes(l, n_wish, err);
        for (size_t i = 0; s == REC_OK && i < v.n; i++) l->wish[v.a[i]] += x;
    }
    return s;
}

/* The mix of what they liked, by how much. */
static rec_status wish_profile(listing *l, const sq_profile *p, size_t *n_wish,
                               rec_err *err) {
    const sq_view *rv;
    const sq_profile *rp;
    rec_status s = REC_OK;
    tf_profile_rows(l->view, p, &rv, &rp);
    bool is_explicit = rv->cfg.signal.feedback == FEEDBACK_EXPLICIT;
    for (size_t i = 0; i < rp->n && s == REC_OK; i++) {
        const interaction *r = &rp->row[i];
        double w = (double)(is_explicit ? r->value * r->weight : r->weight);
        uint32_t item = item_of_facets(l, rv, r->item);
        for (size_t f = 0; f < l->n_facet && w > 0 && s == REC_OK; f++) {
            values v = {.l = l, .facet = f};
            if (!l->facet[f].is_wished) continue;
            s = values_of_item(&v, item, err);
            if (s == REC_OK) s = need_wishes(l, n_wish, err);
            for (size_t k = 0; s == REC_OK && k < v.n; k++)
                l->wish[v.a[k]] += w * (double)part_of(l, &v);
        }
    }
    return s;
}

static rec_status wish_somebody(listing *l, const json *user, const json *history,
                                size_t *n_wish, rec_err *err) {
    sq_profile p = {0};
    sq_who who = {0};
    rec_key key;
    char buf[32], *text = NULL;
    rec_status s = REC_OK;
    if (!l->facets)
        return rec_fail(err, REC_RANGE,
                        NAME ": options \"user\" and \"history\" need \"model\", a "
                             "model with facets");
    if (user) {
        cell c = cell_of(user);
        if (!is_key(user)) return refuse("user", "a number or text", err);
        if (sq_key(&c, l->view->user_affinity, buf, &key, &s, err)) who.user = &key;
    }
    if (s == REC_OK && history) {
        text = json_print(history);
        if (!text) return rec_nomem(err);
        who.history = text;
        who.n_history = strlen(text);
    }
    if (s == REC_OK) s = sq_profile_read(l->view, &who, &p, err);
    if (s == REC_OK) s = wish_profile(l, &p, n_wish, err);
    sq_profile_clear(&p);
    rec_free(text);
    return s;
}

static const json *option(const listing *l, const char *name) {
    const json *j = l->options ? json_get(l->options, name) : NULL;
    return j && !json_is_null(j) ? j : NULL;
}

static rec_status wish(listing *l, rec_err *err) {
    const json *user = option(l, "user"), *history = option(l, "history"),
               *target = option(l, "target");
    size_t n = 0;
    double sum = 0;
    rec_status s = need_wishes(l, &n, err);
    if (s == REC_OK && target)
        s = wish_target(l, target, &n, err);
    else if (s == REC_OK && (user || history))
        s = wish_somebody(l, user, history, &n, err);
    else if (s == REC_OK && l->method == DIVERSIFY_CALIBRATED)
        s = rec_fail(err, REC_RANGE,
                     NAME ": method calibrated needs \"user\", \"history\" or "
                          "\"target\": whose mix is followed");
    for (size_t a = 0; s == REC_OK && a < n; a++) sum += l->wish[a];
    if (s == REC_OK && !(sum > 0)) /* nothing is known: the mix of the candidates */
        for (size_t e = 0; e < l->n_entry; e++)
            l->wish[l->aspect[e]] += (double)l->part[e], sum += (double)l->part[e];
    for (size_t a = 0; s == REC_OK && sum > 0 && a < n; a++) l->wish[a] /= sum;
    return s;
}

/* Of every value by the facet that it is of: the dictionary tells. */
static rec_status set_caps(listing *l, rec_err *err) {
    size_t n = dict_count(l->aspects), nbyte;
    bool any = false;
    for (size_t f = 0; f < l->n_facet; f++) any |= l->facet[f].is_capped;
    if (!any) return REC_OK;
    l->cap = rec_array(n, sizeof *l->cap);
    if (!l->cap) return rec_nomem(err);
    for (uint32_t a = 0; a < n; a++) {
        const facet_in *f = &l->facet[dict_get(l->aspects, a, &nbyte)[0] - 'A'];
        l->cap[a] = f->is_capped ? f->cap : UINT32_MAX;
    }
    return REC_OK;
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
    if (s == REC_OK) s = aspects_of_candidates(l, err);
    if (s == REC_OK && wants_wish(l)) s = wish(l, err);
    if (s == REC_OK) s = set_caps(l, err);
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
