/* facets.c - filters over facets: any, all, none, min, max.
 *
 *     {"year": {"min": 2006}, "genres": {"any": ["Animation"], "none": ["Musical"]}}
 *
 * NULL fails any, all, min and max and passes none; conditions are joined by AND. Text is
 * compared folded, a path value matches its descendants. Applied to a whole catalogue, each
 * list becomes a set over the facet's values first, so that an item costs a lookup per value;
 * applied to one record, its values are compared with the lists directly.
 *
 * Invariants
 *  I1  filters_apply only clears bits.
 *  I2  filters_match and filters_apply agree on every record of a catalogue.
 */
#include "text.h"
#include <math.h>

/* ---- building -------------------------------------------------------------------- */

static void list_clear(char **list, size_t n) {
    for (size_t i = 0; i < n; i++) rec_free(list[i]);
    rec_free(list);
}

void facet_cond_clear(facet_cond *c) {
    list_clear(c->any, c->n_any);
    list_clear(c->all, c->n_all);
    list_clear(c->none, c->n_none);
    *c = (facet_cond){0};
}

void filters_clear(filters *f) {
    for (size_t i = 0; i < f->n_cond; i++) facet_cond_clear(&f->cond[i]);
    rec_free(f->cond);
    *f = (filters){0};
}

facet_cond *filters_at(filters *f, const char *name, rec_err *err) {
    for (size_t i = 0; i < f->n_cond; i++)
        if (strcmp(f->cond[i].name, name) == 0) return &f->cond[i];
    size_t n = strlen(name);
    if (n >= sizeof f->cond->name) {
        rec_fail(err, REC_RANGE,
                 "filters: the facet name %.60s... is longer than %zu bytes", name,
                 sizeof f->cond->name - 1);
        return NULL;
    }
    size_t nbyte;
    facet_cond *grown = rec_mul(f->n_cond + 1, sizeof *grown, &nbyte)
                            ? rec_realloc(f->cond, nbyte)
                            : NULL;
    if (!grown) {
        rec_nomem(err);
        return NULL;
    }
    f->cond = grown;
    facet_cond *c = &f->cond[f->n_cond++];
    *c = (facet_cond){0};
    memcpy(c->name, name, n + 1);
    return c;
}

rec_status facet_cond_add(facet_cond *c, char which, const char *value, size_t nbyte,
                          rec_err *err) {
    char ***list = which == 'a' ? &c->any : which == 'l' ? &c->all : &c->none;
    size_t *n = which == 'a' ? &c->n_any : which == 'l' ? &c->n_all : &c->n_none;
    for (size_t i = 0; i < *n; i++)
        if (strlen((*list)[i]) == nbyte && memcmp((*list)[i], value, nbyte) == 0)
            return REC_OK;
    char *copy = rec_strndup(value, nbyte);
    if (!copy) return rec_nomem(err);
    char **grown = rec_realloc(*list, (*n + 1) * sizeof *grown);
    if (!grown) {
        rec_free(copy);
        return rec_nomem(err);
    }
    *list = grown;
    grown[(*n)++] = copy;
    return REC_OK;
}

/* ---- a whole catalogue ----------------------------------------------------------- */

static rec_status unknown_facet(const catalog *c, const char *name, rec_err *err) {
    char names[240];
    size_t used = 0;
    names[0] = 0;
    for (size_t i = 0; i < catalog_n_facets(c) && used + 4 < sizeof names; i++)
        used += rec_format(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                           facet_name(c, i));
    if (!used)
        return rec_fail(
            err, REC_RANGE,
            "filters: there is no facet %s; the model has no facets=", name);
    return rec_fail(err, REC_RANGE, "filters: there is no facet %s; there are: %s",
                    name, names);
}

static bool in_bounds(const facet_cond *f, double x) {
    return (!f->has_min || x >= f->min) && (!f->has_max || x <= f->max);
}

static bool needs_value(const facet_cond *f) {
    return f->n_any || f->n_all || f->has_min || f->has_max;
}

static bool list_has_number(char *const *list, size_t n, double x) {
    double y;
    for (size_t i = 0; i < n; i++)
        if (text_whole_number(list[i], strlen(list[i]), &y) && y == x) return true;
    return false;
}

static bool number_passes(const facet_cond *f, double x) {
    if (!in_bounds(f, x) || list_has_number(f->none, f->n_none, x)) return false;
    if (f->n_any && !list_has_number(f->any, f->n_any, x)) return false;
    for (size_t i = 0; i < f->n_all; i++)
        if (!list_has_number(f->all + i, 1, x)) return false;
    return true;
}

static void apply_number(const facet_cond *f, const catalog *c, size_t at,
                         bitmap *items) {
    for (uint32_t i = 0; i < catalog_n_items(c); i++) {
        double x;
        if (!bitmap_has(items, i)) continue;
        bool ok =
            facet_item_number(c, at, i, &x) ? number_passes(f, x) : !needs_value(f);
        if (!ok) bitmap_unset(items, i);
    }
}

/* One row of n_values marks for any, none, the bounds, and each value of all. */
typedef struct value_sets {
    uint8_t *any, *none, *bound, *all;
    size_t n_values;
} value_sets;

static void mark_list(const catalog *c, size_t at, char *const *list, size_t n,
                      uint8_t *mark) {
    for (size_t i = 0; i < n; i++)
        facet_mark_equal(c, at, list[i], strlen(list[i]), mark);
}

static rec_status make_sets(const facet_cond *f, const catalog *c, size_t at,
                            value_sets *s, rec_err *err) {
    s->n_values = facet_n_values(c, at);
    size_t nbyte, rows;
    if (!rec_add(f->n_all, 3, &rows) || !rec_mul(s->n_values + 1, rows, &nbyte))
        return rec_nomem(err);
    s->any = rec_zeros(nbyte, 1);
    if (!s->any) return rec_nomem(err);
    s->none = s->any + s->n_values;
    s->bound = s->none + s->n_values;
    s->all = s->bound + s->n_values;
    mark_list(c, at, f->any, f->n_any, s->any);
    mark_list(c, at, f->none, f->n_none, s->none);
    for (size_t i = 0; i < f->n_all; i++)
        mark_list(c, at, f->all + i, 1, s->all + i * s->n_values);
    for (uint32_t v = 0; (f->has_min || f->has_max) && v < s->n_values; v++) {
        size_t n;
        double x;
        const char *text = facet_value(c, at, v, &n);
        s->bound[v] = text_whole_number(text, n, &x) && in_bounds(f, x);
    }
    return REC_OK;
}

static bool any_marked(const uint8_t *mark, const uint32_t *value, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (mark[value[i]]) return true;
    return false;
}

static bool text_passes(const facet_cond *f, const value_sets *s, const uint32_t *value,
                        size_t n) {
    if (any_marked(s->none, value, n)) return false;
    if (f->n_any && !any_marked(s->any, value, n)) return false;
    if ((f->has_min || f->has_max) && !any_marked(s->bound, value, n)) return false;
    for (size_t i = 0; i < f->n_all; i++)
        if (!any_marked(s->all + i * s->n_values, value, n)) return false;
    return true;
}

static rec_status apply_text(const facet_cond *f, const catalog *c, size_t at,
                             bitmap *items, rec_err *err) {
    value_sets s = {0};
    rec_status rc = make_sets(f, c, at, &s, err);
    if (rc) return rc;
    for (uint32_t i = 0; i < catalog_n_items(c); i++) {
        const uint32_t *value;
        if (!bitmap_has(items, i)) continue;
        size_t n = facet_item_values(c, at, i, &value);
        if (!text_passes(f, &s, value, n)) bitmap_unset(items, i);
    }
    rec_free(s.any);
    return REC_OK;
}

rec_status filters_apply(const filters *f, const catalog *c, bitmap *items,
                         rec_err *err) {
    rec_status rc = REC_OK;
    for (size_t i = 0; !rc && i < f->n_cond; i++) {
        const facet_cond *cond = &f->cond[i];
        int at = facet_find(c, cond->name, strlen(cond->name));
        if (at < 0) return unknown_facet(c, cond->name, err);
        if (facet_kind(c, (size_t)at) == FACET_NUMBER)
            apply_number(cond, c, (size_t)at, items);
        else
            rc = apply_text(cond, c, (size_t)at, items, err);
    }
    return rc;
}

/* ---- one record ------------------------------------------------------------------ */

typedef struct record_match {
    const facet_cond *f;
    bool has_value, any, none, bound;
    uint64_t all[4]; /* which of the `all` values were seen: the first 256 */
} record_match;

static bool list_has_text(char *const *list, size_t n, const char *fold,
                          size_t n_fold) {
    char want[FACET_MAX_VALUE];
    for (size_t i = 0; i < n; i++) {
        size_t m = facet_fold(want, list[i], strlen(list[i]));
        if (m == n_fold && memcmp(want, fold, m) == 0) return true;
    }
    return false;
}

/* facet_value_fn */
static rec_status match_value(void *ctx, const char *s, size_t n, rec_err *err) {
    record_match *m = ctx;
    char fold[FACET_MAX_VALUE];
    size_t n_fold = facet_fold(fold, s, n);
    double x;
    (void)err;
    m->has_value = true;
    m->any |= list_has_text(m->f->any, m->f->n_any, fold, n_fold);
    m->none |= list_has_text(m->f->none, m->f->n_none, fold, n_fold);
    m->bound |= text_whole_number(s, n, &x) && in_bounds(m->f, x);
    for (size_t i = 0; i < m->f->n_all && i < 256; i++)
        if (list_has_text(m->f->all + i, 1, fold, n_fold))
            m->all[i >> 6] |= (uint64_t)1 << (i & 63);
    return REC_OK;
}

static bool text_record_passes(const facet_cond *f, const cell *v,
                               const facet_spec *spec) {
    record_match m = {.f = f};
    bool is_array;
    facet_split(spec, v->p, v->nbyte, &is_array, match_value, &m, NULL);
    if (!m.has_value) return !needs_value(f);
    if (m.none || (f->n_any && !m.any)) return false;
    if ((f->has_min || f->has_max) && !m.bound) return false;
    for (size_t i = 0; i < f->n_all; i++)
        if (i >= 256 || !(m.all[i >> 6] >> (i & 63) & 1)) return false;
    return true;
}

/* Without a description of the column, "a|b" is taken as several values and "a > b" as a path. */
static facet_spec guess_spec(const cell *v) {
    facet_spec s = {0};
    if (v->type != CELL_TEXT) return s;
    if (memchr(v->p, '|', v->nbyte)) {
        s.sep[0] = '|';
    } else if (memchr(v->p, '>', v->nbyte)) {
        s.sep[0] = '>';
        s.is_path = true;
    }
    return s;
}

bool filters_match(const filters *f, filters_lookup lookup, void *ctx,
                   const facet_spec *spec, size_t n_spec) {
    for (size_t i = 0; i < f->n_cond; i++) {
        const facet_cond *cond = &f->cond[i];
        cell v = {.type = CELL_NULL};
        if (!lookup(ctx, cond->name, &v)) v.type = CELL_NULL;
        facet_spec s = guess_spec(&v);
        for (size_t k = 0; k < n_spec; k++)
            if (strcmp(spec[k].name, cond->name) == 0) s = spec[k];
        double x = v.type == CELL_INT ? (double)v.i : v.r;
        bool is_number = v.type == CELL_INT || (v.type == CELL_REAL && isfinite(v.r));
        if (v.type == CELL_TEXT && !s.sep[0] && text_whole_number(v.p, v.nbyte, &x))
            is_number = !(v.nbyte > 1 && v.p[0] == '0' && v.p[1] != '.');
        bool ok;
        if (is_number)
            ok = number_passes(cond, x);
        else if (v.type == CELL_TEXT)
            ok = text_record_passes(cond, &v, &s);
        else
            ok = !needs_value(cond);
        if (!ok) return false;
    }
    return true;
}
