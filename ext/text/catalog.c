/* catalog.c - the items as they are now: keys, titles and facets, in columns.
 *
 *     keys     keyset                  item number = order of insertion
 *     titles   bytes + offsets
 *     facet    number:  double[n]      NaN = NULL
 *              text:    start[n+1] -> value numbers; a path has its ancestors too
 *                       values (as written, first spelling of each), folds (how they are
 *                       compared), count (items that have the value)
 *
 * A facet begins as numbers and becomes text at the first cell that is no number; what was
 * read until then is written out as text. So the type follows from the data in one pass.
 * catalog_finish builds what requests need: the index of titles and the vocabulary.
 *
 * Invariants
 *  I1  every column has exactly n_items entries; start is ascending.
 *  I2  an item has each value of a facet at most once.
 *  I3  two values with the same fold are both kept as written, and every comparison treats
 *      them as one.
 *
 * Cost: an item takes its key and title, 8 bytes a number facet, 4 + 4 per value a text facet.
 */
#include "text.h"
#include <math.h>

typedef struct facet {
    facet_spec spec;
    facet_type type;
    bool is_text; /* no longer a column of numbers */
    bool has_number;
    double *num; /* owned; while !is_text */
    double min, max;
    dict *values, *folds; /* owned */
    uint32_t *fold_of;    /* owned, by value */
    uint32_t *count;      /* owned, by value: items */
    uint32_t *last;       /* owned, by value: item that had it last */
    uint32_t *start;      /* owned, n_items + 1 */
    uint32_t *item_value; /* owned */
    size_t n_item_value;
    size_t cap_num, cap_fold, cap_count, cap_last, cap_start, cap_item_value;
} facet;

struct catalog {
    int n_ref;
    keyset *keys;
    char *title_bytes;
    size_t *title_start; /* n_items + 1 */
    facet *facet;
    title_index *titles;
    vocabulary *words;
    size_t n_items, n_facets;
    size_t cap_title_bytes, cap_title_start;
};

static void facet_clear(facet *f) {
    dict_free(f->values);
    dict_free(f->folds);
    rec_free(f->num);
    rec_free(f->fold_of);
    rec_free(f->count);
    rec_free(f->last);
    rec_free(f->start);
    rec_free(f->item_value);
}

static bool facet_init(facet *f, const facet_spec *spec) {
    f->spec = *spec;
    f->type = spec->is_path ? FACET_PATH : spec->sep[0] ? FACET_MULTI : FACET_TEXT;
    f->is_text = f->type != FACET_TEXT;
    f->min = INFINITY, f->max = -INFINITY;
    f->values = dict_new();
    f->folds = dict_new();
    return f->values && f->folds;
}

catalog *catalog_new(const facet_spec *spec, size_t n_facets) {
    catalog *c = rec_zeros(1, sizeof *c);
    if (!c) return NULL;
    c->n_ref = 1;
    c->keys = keyset_new();
    c->facet = rec_zeros(n_facets ? n_facets : 1, sizeof *c->facet);
    bool ok = c->keys && c->facet;
    c->n_facets = ok ? n_facets : 0;
    for (size_t i = 0; i < c->n_facets; i++)
        ok = facet_init(&c->facet[i], &spec[i]) && ok;
    if (ok) return c;
    catalog_free(c);
    return NULL;
}

void catalog_free(catalog *c) {
    if (!c || --c->n_ref > 0) return;
    for (size_t i = 0; i < c->n_facets; i++) facet_clear(&c->facet[i]);
    titles_free(c->titles);
    vocabulary_free(c->words);
    keyset_free(c->keys);
    rec_free(c->facet);
    rec_free(c->title_bytes);
    rec_free(c->title_start);
    rec_free(c);
}

catalog *catalog_ref(catalog *c) {
    c->n_ref++;
    return c;
}

/* ---- adding ---------------------------------------------------------------------- */

typedef struct value_target {
    facet *f;
    uint32_t item;
} value_target;

static rec_status facet_new_value(facet *f, const char *s, size_t n, rec_err *err) {
    size_t at = dict_count(f->values);
    rec_status rc =
        rec_grow(&f->fold_of, &f->cap_fold, at + 1, sizeof *f->fold_of, err);
    if (!rc) rc = rec_grow(&f->count, &f->cap_count, at + 1, sizeof *f->count, err);
    if (!rc) rc = rec_grow(&f->last, &f->cap_last, at + 1, sizeof *f->last, err);
    if (rc) return rc;
    char fold[FACET_MAX_VALUE];
    size_t n_fold = facet_fold(fold, s, n);
    rc = dict_add(f->folds, fold, n_fold, &f->fold_of[at], err);
    f->count[at] = 0;
    f->last[at] = KEYS_NONE;
    return rc;
}

/* facet_value_fn: the item being added has this value. */
static rec_status facet_put_value(void *ctx, const char *s, size_t n, rec_err *err) {
    value_target *t = ctx;
    facet *f = t->f;
    rec_status rc = REC_OK;
    uint32_t value = dict_find(f->values, s, n);
    if (value == KEYS_NONE) {
        rc = facet_new_value(f, s, n, err);
        if (!rc) rc = dict_add(f->values, s, n, &value, err);
        if (rc) return rc;
    }
    if (f->last[value] == t->item) return REC_OK;
    if (f->n_item_value >= UINT32_MAX - 1) return rec_nomem(err);
    rc = rec_grow(&f->item_value, &f->cap_item_value, f->n_item_value + 1,
                  sizeof *f->item_value, err);
    if (rc) return rc;
    f->last[value] = t->item;
    f->count[value]++;
    f->item_value[f->n_item_value++] = value;
    return REC_OK;
}

static rec_status facet_put_text(facet *f, uint32_t item, const char *s, size_t n,
                                 rec_err *err) {
    rec_status rc =
        rec_grow(&f->start, &f->cap_start, (size_t)item + 2, sizeof *f->start, err);
    if (rc) return rc;
    f->start[item] = (uint32_t)f->n_item_value;
    value_target target = {f, item};
    bool is_array;
    rc = facet_split(&f->spec, s, n, &is_array, facet_put_value, &target, err);
    if (is_array && f->type == FACET_TEXT) f->type = FACET_MULTI;
    f->start[item + 1] = (uint32_t)f->n_item_value;
    return rc;
}

static size_t number_text(char *out, size_t cap, double x) {
    bool is_whole = x == floor(x) && fabs(x) < 1e15;
    return is_whole ? rec_format(out, cap, "%lld", (long long)x)
                    : rec_format(out, cap, "%.12g", x);
}

/* The column turns out to be text: write the numbers read so far as text values. */
static rec_status facet_become_text(facet *f, size_t n_items, rec_err *err) {
    rec_status rc = REC_OK;
    f->is_text = true;
    for (size_t i = 0; !rc && i < n_items; i++) {
        char text[40];
        size_t n = isnan(f->num[i]) ? 0 : number_text(text, sizeof text, f->num[i]);
        rc = facet_put_text(f, (uint32_t)i, text, n, err);
    }
    rec_free(f->num);
    f->num = NULL;
    f->cap_num = 0;
    return rc;
}

/* "007" and "01" are codes, not numbers. */
static bool cell_number(const cell *v, double *out) {
    if (v->type == CELL_INT) return *out = (double)v->i, true;
    if (v->type == CELL_REAL) return *out = v->r, isfinite(v->r);
    if (v->type != CELL_TEXT || !text_whole_number(v->p, v->nbyte, out)) return false;
    return !(v->nbyte > 1 && v->p[0] == '0' && v->p[1] != '.') && isfinite(*out);
}

static bool cell_is_empty(const cell *v) {
    if (v->type == CELL_REAL) return !isfinite(v->r);
    if (v->type != CELL_TEXT) return v->type == CELL_NULL || v->type == CELL_BLOB;
    for (size_t i = 0; i < v->nbyte; i++)
        if (!strchr(" \t\r\n", v->p[i]) || !v->p[i]) return false;
    return true;
}

static rec_status facet_put(facet *f, uint32_t item, const cell *v, rec_err *err) {
    double x = NAN;
    bool is_empty = cell_is_empty(v), is_number = !is_empty && cell_number(v, &x);
    rec_status rc = REC_OK;
    if (!f->is_text && !is_empty && !is_number) rc = facet_become_text(f, item, err);
    if (rc) return rc;
    if (!f->is_text) {
        rc = rec_grow(&f->num, &f->cap_num, (size_t)item + 1, sizeof *f->num, err);
        if (rc) return rc;
        f->num[item] = is_number ? x : NAN;
        f->has_number |= is_number;
        if (is_number && x < f->min) f->min = x;
        if (is_number && x > f->max) f->max = x;
        return REC_OK;
    }
    if (v->type == CELL_TEXT && !is_empty)
        return facet_put_text(f, item, v->p, v->nbyte, err);
    char text[40];
    size_t n = is_number ? number_text(text, sizeof text, x) : 0;
    return facet_put_text(f, item, text, n, err);
}

static rec_status put_title(catalog *c, const char *title, size_t n, rec_err *err) {
    size_t used = c->n_items ? c->title_start[c->n_items] : 0;
    rec_status rc =
        rec_grow(&c->title_bytes, &c->cap_title_bytes, used + n + 1, 1, err);
    if (!rc)
        rc = rec_grow(&c->title_start, &c->cap_title_start, c->n_items + 2,
                      sizeof *c->title_start, err);
    if (rc) return rc;
    if (n) memcpy(c->title_bytes + used, title, n);
    c->title_start[c->n_items] = used;
    c->title_start[c->n_items + 1] = used + n;
    return REC_OK;
}

rec_status catalog_add(catalog *c, const rec_key *key, const char *title,
                       size_t n_title, const cell *facets, uint32_t *pos,
                       rec_err *err) {
    *pos = KEYS_NONE;
    uint32_t item;
    rec_status rc = keyset_add(c->keys, key, &item, err);
    if (rc) return rc;
    *pos = item;
    if (item < c->n_items) return REC_OK;
    rc = put_title(c, title, title ? n_title : 0, err);
    for (size_t i = 0; !rc && i < c->n_facets; i++)
        rc = facet_put(&c->facet[i], item, &facets[i], err);
    if (!rc) c->n_items++;
    return rc;
}

rec_status catalog_finish(catalog *c, rec_err *err) {
    rec_status rc = REC_OK;
    for (size_t i = 0; !rc && i < c->n_facets; i++) {
        facet *f = &c->facet[i];
        if (f->is_text) continue;
        if (f->has_number)
            f->type = FACET_NUMBER;
        else
            rc = facet_become_text(f, c->n_items, err);
    }
    if (!rc) rc = titles_build(c, &c->titles, err);
    if (!rc) rc = vocabulary_build(c, &c->words, err);
    return rc;
}

/* ---- reading --------------------------------------------------------------------- */

size_t catalog_n_items(const catalog *c) {
    return c->n_items;
}

uint32_t catalog_find(const catalog *c, const rec_key *key) {
    return keyset_find(c->keys, key);
}

rec_key catalog_key(const catalog *c, uint32_t item) {
    return keyset_get(c->keys, item);
}

const char *catalog_title(const catalog *c, uint32_t item, size_t *nbyte) {
    size_t n = c->title_start[item + 1] - c->title_start[item];
    if (nbyte) *nbyte = n;
    return n ? c->title_bytes + c->title_start[item] : NULL;
}

size_t catalog_nbyte(const catalog *c) {
    size_t n = sizeof *c + keyset_nbyte(c->keys) + c->cap_title_bytes +
               c->cap_title_start * sizeof *c->title_start;
    for (size_t i = 0; i < c->n_facets; i++) {
        const facet *f = &c->facet[i];
        n += sizeof *f + dict_nbyte(f->values) + dict_nbyte(f->folds) + f->cap_num * 8 +
             4 * (f->cap_fold + f->cap_count + f->cap_last + f->cap_start +
                  f->cap_item_value);
    }
    if (c->titles) n += titles_nbyte(c->titles);
    if (c->words) n += vocabulary_nbyte(c->words);
    return n;
}

size_t catalog_n_facets(const catalog *c) {
    return c->n_facets;
}

const char *facet_name(const catalog *c, size_t facet_at) {
    return c->facet[facet_at].spec.name;
}

int facet_find(const catalog *c, const char *name, size_t nbyte) {
    char want[FACET_MAX_VALUE], have[FACET_MAX_VALUE];
    size_t n = facet_fold(want, name, nbyte);
    for (size_t i = 0; i < c->n_facets; i++) {
        const char *s = c->facet[i].spec.name;
        size_t m = facet_fold(have, s, strlen(s));
        if (m == n && memcmp(have, want, n) == 0) return (int)i;
    }
    return -1;
}

facet_type facet_kind(const catalog *c, size_t facet_at) {
    return c->facet[facet_at].type;
}

size_t facet_n_values(const catalog *c, size_t facet_at) {
    return dict_count(c->facet[facet_at].values);
}

const char *facet_value(const catalog *c, size_t facet_at, uint32_t value,
                        size_t *nbyte) {
    return dict_get(c->facet[facet_at].values, value, nbyte);
}

size_t facet_mark_equal(const catalog *c, size_t facet_at, const char *s, size_t nbyte,
                        uint8_t *mark) {
    const facet *f = &c->facet[facet_at];
    char fold[FACET_MAX_VALUE];
    uint32_t want = dict_find(f->folds, fold, facet_fold(fold, s, nbyte));
    size_t n = 0;
    if (want == KEYS_NONE) return 0;
    for (size_t v = 0; v < dict_count(f->values); v++)
        if (f->fold_of[v] == want) mark[v] = 1, n++;
    return n;
}

size_t facet_value_count(const catalog *c, size_t facet_at, uint32_t value) {
    return c->facet[facet_at].count[value];
}

void facet_range(const catalog *c, size_t facet_at, double *min, double *max) {
    *min = c->facet[facet_at].min;
    *max = c->facet[facet_at].max;
}

size_t facet_item_values(const catalog *c, size_t facet_at, uint32_t item,
                         const uint32_t **values) {
    const facet *f = &c->facet[facet_at];
    *values = NULL;
    if (!f->is_text) return 0;
    size_t n = f->start[item + 1] - f->start[item];
    if (n) *values = f->item_value + f->start[item];
    return n;
}

bool facet_item_number(const catalog *c, size_t facet_at, uint32_t item, double *out) {
    const facet *f = &c->facet[facet_at];
    *out = f->is_text ? NAN : f->num[item];
    return !isnan(*out);
}

const title_index *catalog_titles(const catalog *c) {
    return c->titles;
}

const vocabulary *catalog_vocabulary(const catalog *c) {
    return c->words;
}
