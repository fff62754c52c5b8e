/* tf_diversify_aspects.c - what the candidates of rec_diversify are about, and what is wished for.
 *
 *   "Drama|Crime", ["Drama","Crime"], 1990        own fields of a candidate
 *   facet values of options.model                 for what it does not carry
 *        |  folded, numbered by a dictionary over all facets
 *        v
 *   aspects of each candidate with their parts    three genres: a third each; two facets: half of it each
 *   wish: what shares they should have in the list, out of a history, a target, or the candidates themselves
 *
 * I1. The wishes sum to 1, over values that candidates have and values that they do not.
 * I2. An aspect of a facet that only caps name has no part: it is counted, not wished for.
 *
 * Cost: one look into the dictionary for each value of each candidate and of each item of the history.
 */
#include "tf_diversify.h"

#define FACET_SEPARATOR    '\x1f'
#define MAX_VALUES_OF_ITEM 256

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

rec_status diversify_aspects(listing *l, rec_err *err) {
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
        return diversify_refuse(
            "target", "an object such as {\"Drama\": 0.5, \"Crime\": 0.5}", err);
    while (!l->facet[f].is_wished) f++;
    for (const json *j = json_first(target); j && s == REC_OK; j = json_next(j)) {
        values v = {.l = l, .facet = f};
        double x = json_is_number(j) ? json_number(j, -1) : -1;
        if (!(x >= 0 && x <= 1e9))
            return diversify_refuse("target", "numbers from 0", err);
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
                        DIVERSIFY_NAME
                        ": options \"user\" and \"history\" need \"model\", a "
                        "model with facets");
    if (user) {
        cell c = diversify_cell(user);
        if (!diversify_is_key(user))
            return diversify_refuse("user", "a number or text", err);
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

rec_status diversify_wish(listing *l, rec_err *err) {
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
                     DIVERSIFY_NAME
                     ": method calibrated needs \"user\", \"history\" or "
                     "\"target\": whose mix is followed");
    for (size_t a = 0; s == REC_OK && a < n; a++) sum += l->wish[a];
    if (s == REC_OK && !(sum > 0)) /* nothing is known: the mix of the candidates */
        for (size_t e = 0; e < l->n_entry; e++)
            l->wish[l->aspect[e]] += (double)l->part[e], sum += (double)l->part[e];
    for (size_t a = 0; s == REC_OK && sum > 0 && a < n; a++) l->wish[a] /= sum;
    return s;
}

/* Of every value by the facet that it is of: the dictionary tells. */
rec_status diversify_caps(listing *l, rec_err *err) {
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
