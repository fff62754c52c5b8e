/* sq_preferences.c - a user's own words about taste, taken into account when a question is asked.
 *
 *   my_prefs   [user]  kind   key       value        weight          of the model and of its members
 *              42      item   318                     1       --> a row of the history: liked, not seen
 *              42      item   296                    -1       --> never shown
 *              42      facet  genres    Horror       -.5      --> scores of items that have it
 *              42      facet  year      1990..1999    .4      --> ... whose number lies there
 *              42      word             submarine     .8      --> ... whose text speaks of it
 *
 * Without a column `user` the rows hold for everybody; with it those of the user and those without one.
 * llm_preferences returns rows of this form.
 *
 * An item counts as one interaction of that weight; where ratings are given, as the rating of what users like
 * (weight 1), of what they dislike (-1), or between. It joins the profile of every member that has the item.
 *
 * A facet or a word adds weight * strength * unit to the score of its items. The unit is the distance from the mean
 * score to the tenth best, measured on the scores of this question, whatever the algorithm's scale: disliked
 * altogether, an item of the first page comes down to the average. A like counts half: an average item comes half way
 * up, and what the user liked anyway comes first. Strength is 1, but for a
 * word where there is lexical=: bm25 over the best, by FTS5. Without it an item has a word, or a phrase, if its stems
 * stand in the title, the text columns or the facets.
 *
 * What the model does not know (an item, a facet, a word without items=) is left out, as in histories. A
 * kind that does not exist, or a weight that is none, is an error: nobody would notice it.
 *
 * Invariants
 * P1. The tables are read once for a view, which lives until something is written.
 * P2. Targets are made on the connection's thread, when a profile is read; scoring on other threads only reads them.
 * P3. Wishes are those of the view that was asked; members get their item rows and nothing else, so nothing counts
 *     twice.
 *
 * Cost: O(rows) once for a view, and for each word one pass over the texts of all items (about 15 us an item) without
 * lexical=; O(items of its facets and words) a question, and a top list of the scores.
 */
#include "sq_preferences.h"

#include <math.h>

/* Dislikes reach further below the mean rating than likes above it. */
#define DISLIKE_REACH 3.0
#define REFUSAL       (-1.0)
/* The unit of a weight: the way from the mean score to that of the place TOP_PLACE, or of the best tenth in small
 * catalogues; of a like so much. */
#define LIKE_SHARE 0.5
#define TOP_PLACE  10
#define EVERYBODY  UINT32_MAX

typedef struct stated { /* a row of a table */
    uint32_t user;      /* number in users, or EVERYBODY */
    uint32_t item, target;
    double weight;
} stated;

struct sq_preferences {
    keyset *users;
    dict *texts;       /* kind, key, value -> number of the target */
    sq_target *target; /* owned: [n_target]; moves only while tables are read */
    size_t n_target, cap_target;
    stated *row; /* owned: [n_row] in table order, then by user */
    size_t n_row, cap_row;
    size_t *ptr; /* owned: [users + 2]; the last are everybody's */
};

void sq_preferences_free(struct sq_preferences *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n_target; i++) {
        rec_free(p->target[i].key);
        rec_free(p->target[i].value);
        rec_free(p->target[i].item);
        rec_free(p->target[i].strength);
    }
    keyset_free(p->users);
    dict_free(p->texts);
    rec_free(p->target);
    rec_free(p->row);
    rec_free(p->ptr);
    rec_free(p);
}

/* ---- the table ------------------------------------------------------------------------------------ */

/* Columns kind, key, value, weight, and user (-1: none). */
typedef struct shape {
    int user, column[4];
} shape;
static const char *const column_names[4] = {"kind", "key", "value", "weight"};

static rec_status find_shape(const sq_model_cfg *cfg, const sq_columns *t,
                             const char *prefix, shape *out, rec_err *err) {
    char list[240];
    for (int i = 0; i < 4; i++) {
        out->column[i] = sq_columns_find(t, column_names[i]);
        if (out->column[i] >= 0) continue;
        sq_columns_list(t, list, sizeof list);
        return rec_fail(err, REC_RANGE,
                        "%spreferences=%s has no column %s (expected kind, key, value, "
                        "weight, and user if they are of many users); it has %s",
                        prefix, cfg->preferences, column_names[i], list);
    }
    out->user = cfg->user ? sq_columns_find(t, cfg->user) : -1;
    if (out->user < 0) out->user = sq_columns_find(t, "user");
    return REC_OK;
}

rec_status sq_preferences_check(const sq_model_cfg *cfg, const sq_columns *t,
                                const char *table, rec_err *err) {
    shape sh = {-1, {0}};
    char prefix[160];
    rec_format(prefix, sizeof prefix, "rec_model(%s): ", table);
    return find_shape(cfg, t, prefix, &sh, err);
}

/* ---- one row ---------------------------------------------------------------------------------------- */

typedef struct reading {
    sq_view *v;               /* that was asked: keys become its numbers */
    struct sq_preferences *p; /* being filled */
    const char *name;         /* of the table */
    bool has_user;
} reading;

static rec_status read_kind(const reading *r, const cell *c, wish_kind *out,
                            rec_err *err) {
    static const char *const kinds[] = {"item", "facet", "word"};
    for (int i = 0; i < 3 && c->type == CELL_TEXT; i++)
        if (c->nbyte == strlen(kinds[i]) && memcmp(c->p, kinds[i], c->nbyte) == 0) {
            *out = (wish_kind)i;
            return REC_OK;
        }
    return rec_fail(err, REC_RANGE,
                    "%s: a kind is '%.*s', expected item, facet or word", r->name,
                    c->type == CELL_TEXT ? (int)(c->nbyte < 40 ? c->nbyte : 40) : 1,
                    c->type == CELL_TEXT ? (const char *)c->p : "?");
}

static rec_status read_weight(const reading *r, const cell *c, double *out,
                              rec_err *err) {
    *out = c->type == CELL_INT ? (double)c->i : c->type == CELL_REAL ? c->r : NAN;
    if (*out >= -1 && *out <= 1) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "%s: a weight is %g, expected a number from -1 to 1", r->name,
                    *out);
}

/* The text of a key or value: numbers as they are written. */
static rec_status put_text(bytes_writer *w, const cell *c) {
    if (c->type == CELL_TEXT)
        bytes_put(w, c->p, c->nbyte);
    else if (c->type == CELL_INT)
        bytes_printf(w, "%lld", (long long)c->i);
    else if (c->type == CELL_REAL)
        bytes_printf(w, "%.15g", c->r);
    bytes_put_u8(w, 0);
    return w->status;
}

/* The number of the target, made if it is new. */
static rec_status target_at(const reading *r, wish_kind kind, const cell *key,
                            const cell *value, uint32_t *out, rec_err *err) {
    struct sq_preferences *p = r->p;
    bytes_writer w = {0};
    bytes_put_u8(&w, (uint8_t)('0' + kind));
    put_text(&w, key);
    size_t n_key = w.n;
    rec_status s = put_text(&w, value);
    if (s != REC_OK) s = rec_nomem(err);
    size_t known = dict_count(p->texts);
    if (s == REC_OK) s = dict_add(p->texts, (const char *)w.data, w.n, out, err);
    if (s == REC_OK && *out == known) {
        s = rec_grow(&p->target, &p->cap_target, known + 1, sizeof *p->target, err);
        sq_target *t = s == REC_OK ? &p->target[p->n_target++] : NULL;
        if (t) {
            *t = (sq_target){.kind = kind};
            t->key = rec_strdup((const char *)w.data + 1);
            t->value = rec_strdup((const char *)w.data + n_key);
            if (!t->key || !t->value) s = rec_nomem(err);
        }
    }
    bytes_clear(&w);
    return s;
}

static rec_status read_subject(const reading *r, wish_kind kind, const cell *key,
                               const cell *value, stated *out, rec_err *err) {
    static const cell none = {.type = CELL_NULL};
    char buf[32];
    rec_key k;
    rec_status s = REC_OK;
    out->item = out->target = KEYS_NONE;
    if (kind == WISH_ITEM) {
        if (sq_key(key, r->v->item_affinity, buf, &k, &s, err))
            out->item = catalog_find(r->v->items, &k);
        return s;
    }
    /* A word may stand in either column. */
    const cell *word = value->type == CELL_NULL ? key : value;
    if (kind == WISH_WORD)
        return word->type == CELL_TEXT
                   ? target_at(r, kind, &none, word, &out->target, err)
                   : REC_OK;
    if (key->type != CELL_TEXT || value->type == CELL_NULL) return REC_OK;
    return target_at(r, kind, key, value, &out->target, err);
}

/* Columns: user, kind, key, value, weight. */
static rec_status add_row(const reading *r, sqlite3_stmt *st, rec_err *err) {
    cell c[5];
    char buf[32];
    rec_key k;
    wish_kind kind = WISH_ITEM;
    stated row = {.user = EVERYBODY};
    rec_status s = REC_OK;
    for (int i = 0; i < 5; i++) c[i] = sq_column_cell(st, i);
    if (c[1].type == CELL_NULL || c[4].type == CELL_NULL) return REC_OK;
    s = read_kind(r, &c[1], &kind, err);
    if (s == REC_OK) s = read_weight(r, &c[4], &row.weight, err);
    if (s == REC_OK && r->has_user && c[0].type != CELL_NULL) {
        if (!sq_key(&c[0], r->v->user_affinity, buf, &k, &s, err)) return s;
        s = keyset_add(r->p->users, &k, &row.user, err);
    }
    if (s == REC_OK) s = read_subject(r, kind, &c[2], &c[3], &row, err);
    if (s != REC_OK || (row.item == KEYS_NONE && row.target == KEYS_NONE)) return s;
    s = rec_grow(&r->p->row, &r->p->cap_row, r->p->n_row + 1, sizeof row, err);
    if (s == REC_OK) r->p->row[r->p->n_row++] = row;
    return s;
}

static rec_status read_rows(const sq_view *of, reading *r, rec_err *err) {
    sq_columns t = {0};
    shape sh = {-1, {0}};
    sqlite3_stmt *st = NULL;
    bool row = true;
    rec_run run;
    sq_run_init(of->conn, &run, false);
    r->name = of->cfg.preferences;
    rec_status s = sq_columns_read(of->conn, of->schema, r->name, &t, err);
    if (s == REC_OK) s = find_shape(&of->cfg, &t, "", &sh, err);
    if (s == REC_OK) {
        sq_select q = {.schema = of->schema, .source = r->name};
        r->has_user = sh.user >= 0;
        sq_select_column(&q, r->has_user ? t.name[sh.user] : NULL);
        for (int i = 0; i < 4; i++) sq_select_column(&q, t.name[sh.column[i]]);
        s = sq_select_prepare(of->conn, &q, &st, err);
    }
    while (s == REC_OK && (s = sq_step(st, r->name, &row, err)) == REC_OK && row) {
        s = add_row(r, st, err);
        if (s == REC_OK) s = run_check(&run, err);
    }
    sqlite3_finalize(st);
    sq_columns_clear(&t);
    return s;
}

/* The tables of a view and of its members. */
static rec_status read_tables(const sq_view *of, reading *r, rec_err *err) {
    sq_frame frame = {0};
    rec_status s = REC_OK;
    if (of->cfg.preferences) {
        s = sq_enter(of->conn, &frame, of->schema, of->name, err);
        if (s == REC_OK) s = read_rows(of, r, err);
        sq_leave(of->conn, &frame);
    }
    for (size_t m = 0; m < of->n_member && s == REC_OK; m++)
        s = read_tables(of->member[m].view, r, err);
    return s;
}

/* Rows by user, in table order within each. */
static rec_status sort_rows(struct sq_preferences *p, rec_err *err) {
    size_t n_users = keyset_count(p->users);
    stated *sorted = rec_array(p->n_row, sizeof *sorted);
    p->ptr = rec_zeros(n_users + 2, sizeof *p->ptr);
    if (!sorted || !p->ptr) {
        rec_free(sorted);
        return rec_nomem(err);
    }
    for (size_t i = 0; i < p->n_row; i++)
        p->ptr[(p->row[i].user == EVERYBODY ? n_users : p->row[i].user) + 1]++;
    for (size_t u = 0; u <= n_users; u++) p->ptr[u + 1] += p->ptr[u];
    for (size_t i = p->n_row; i-- > 0;) {
        size_t u = p->row[i].user == EVERYBODY ? n_users : p->row[i].user;
        sorted[--p->ptr[u + 1]] = p->row[i];
    }
    memmove(p->ptr, p->ptr + 1, (n_users + 1) * sizeof *p->ptr);
    p->ptr[n_users + 1] = p->n_row;
    rec_free(p->row);
    p->row = sorted;
    p->cap_row = p->n_row;
    return REC_OK;
}

static rec_status load(sq_view *v, rec_err *err) {
    struct sq_preferences *p = rec_zeros(1, sizeof *p);
    if (!p) return rec_nomem(err);
    reading r = {.v = v, .p = p};
    p->users = keyset_new();
    p->texts = dict_new();
    rec_status s = p->users && p->texts ? REC_OK : rec_nomem(err);
    if (s == REC_OK) s = read_tables(v, &r, err);
    if (s == REC_OK) s = sort_rows(p, err);
    if (s == REC_OK)
        v->preferences = p;
    else
        sq_preferences_free(p);
    return s;
}

/* ---- targets --------------------------------------------------------------------------------------------- */

static rec_status add_item(sq_target *t, size_t *cap, uint32_t item, float strength,
                           rec_err *err) {
    size_t other = *cap;
    rec_status s = rec_grow(&t->item, &other, t->n + 1, sizeof *t->item, err);
    if (s == REC_OK)
        s = rec_grow(&t->strength, cap, t->n + 1, sizeof *t->strength, err);
    if (s != REC_OK) return s;
    t->item[t->n] = item;
    t->strength[t->n++] = strength;
    return REC_OK;
}

/* The view, or the first of its members, whose items have the facet. */
static const sq_view *find_facet(const sq_view *v, const char *name, size_t *facet) {
    int f = facet_find(v->items, name, strlen(name));
    *facet = f < 0 ? 0 : (size_t)f;
    if (f >= 0) return v;
    for (size_t m = 0; m < v->n_member; m++) {
        const sq_view *found = find_facet(v->member[m].view, name, facet);
        if (found) return found;
    }
    return NULL;
}

/* "1994", "1990..1999", "..1979", "2006..". */
static bool read_range(const char *s, double *min, double *max) {
    const char *dots = strstr(s, "..");
    *min = -INFINITY, *max = INFINITY;
    if (!dots) {
        bool is_number = text_whole_number(s, strlen(s), min);
        *max = *min;
        return is_number;
    }
    bool ok = dots == s || text_whole_number(s, (size_t)(dots - s), min);
    return ok && (!dots[2] || text_whole_number(dots + 2, strlen(dots + 2), max));
}

static bool has_marked(const catalog *c, size_t facet, uint32_t item,
                       const uint8_t *mark) {
    const uint32_t *value;
    size_t n = facet_item_values(c, facet, item, &value);
    for (size_t i = 0; i < n; i++)
        if (mark[value[i]]) return true;
    return false;
}

static rec_status fill_facet(const sq_view *v, sq_target *t, rec_err *err) {
    size_t facet, cap = 0;
    double min, max, x;
    const sq_view *fv = find_facet(v, t->key, &facet);
    if (!fv) return REC_OK;
    const catalog *c = fv->items;
    bool is_number = facet_kind(c, facet) == FACET_NUMBER;
    if (is_number && !read_range(t->value, &min, &max)) return REC_OK;
    uint8_t *mark = rec_zeros(is_number ? 0 : facet_n_values(c, facet), 1);
    if (!mark) return rec_nomem(err);
    if (!is_number) facet_mark_equal(c, facet, t->value, strlen(t->value), mark);
    rec_status s = REC_OK;
    for (uint32_t i = 0; i < catalog_n_items(v->items) && s == REC_OK; i++) {
        rec_key key = catalog_key(v->items, i);
        uint32_t j = v == fv ? i : catalog_find(c, &key);
        if (j == KEYS_NONE) continue;
        bool has = is_number
                       ? facet_item_number(c, facet, j, &x) && x >= min && x <= max
                       : has_marked(c, facet, j, mark);
        if (has) s = add_item(t, &cap, i, 1, err);
    }
    rec_free(mark);
    return s;
}

/* Items that MATCH finds, by bm25 over the best. */
static rec_status fill_lexical(const sq_view *v, sq_target *t, rec_err *err) {
    size_t n = catalog_n_items(v->items), cap = 0;
    float *score = rec_array(n, sizeof *score), best = 0;
    sq_who who = {.query = t->value, .n_query = strlen(t->value)};
    rec_status s = score ? sq_lexical(v, &who, score, err) : rec_nomem(err);
    for (uint32_t i = 0; s == REC_OK && i < n; i++) best = fmaxf(best, score[i]);
    for (uint32_t i = 0; s == REC_OK && i < n; i++)
        if (score[i] > 0) s = add_item(t, &cap, i, score[i] / best, err);
    rec_free(score);
    return s;
}

/* Items whose title, texts or facets have it. */
static rec_status fill_phrase(sq_view *v, sq_target *t, rec_err *err) {
    size_t n = catalog_n_items(v->items), cap = 0;
    text_list phrase = {.a = &t->value, .n = 1};
    bitmap without = {0};
    rec_status s = bitmap_init(&without, n, true, err);
    if (s == REC_OK) s = sq_drop_phrases(v, &phrase, &without, err);
    for (uint32_t i = 0; s == REC_OK && i < n; i++)
        if (!bitmap_has(&without, i)) s = add_item(t, &cap, i, 1, err);
    bitmap_clear(&without);
    return s;
}

static rec_status fill_target(sq_view *v, sq_target *t, rec_err *err) {
    if (t->is_ready) return REC_OK;
    t->n = 0;
    rec_free(t->item);
    rec_free(t->strength);
    t->item = NULL;
    t->strength = NULL;
    rec_status s = t->kind == WISH_FACET ? fill_facet(v, t, err)
                   : v->cfg.lexical      ? fill_lexical(v, t, err)
                                         : fill_phrase(v, t, err);
    t->is_ready = s == REC_OK;
    return s;
}

/* ---- wishes of a profile --------------------------------------------------------------------------------- */

static bool has_tables(const sq_view *v) {
    if (v->cfg.preferences) return true;
    for (size_t m = 0; m < v->n_member; m++)
        if (has_tables(v->member[m].view)) return true;
    return false;
}

void sq_wishes_free(sq_wishes *w) {
    if (!w) return;
    rec_free(w->a);
    rec_free(w);
}

static rec_status add_wishes(sq_view *v, sq_wishes *w, size_t begin, size_t end,
                             rec_err *err) {
    struct sq_preferences *p = v->preferences;
    rec_status s = REC_OK;
    for (size_t i = begin; i < end && s == REC_OK; i++) {
        const stated *row = &p->row[i];
        sq_target *t = row->target == KEYS_NONE ? NULL : &p->target[row->target];
        if (t) s = fill_target(v, t, err);
        if (s == REC_OK) w->a[w->n++] = (sq_wish){t, row->item, row->weight};
    }
    return s;
}

rec_status sq_wishes_read(sq_view *v, const rec_key *user, sq_wishes **out,
                          rec_err *err) {
    *out = NULL;
    if (!v->model && !v->n_member) return REC_OK; /* untrained: there are no scores */
    if (!v->preferences && !has_tables(v)) return REC_OK;
    rec_status s = v->preferences ? REC_OK : load(v, err);
    if (s != REC_OK) return s;
    struct sq_preferences *p = v->preferences;
    size_t n_users = keyset_count(p->users), common = p->ptr[n_users];
    uint32_t u = user ? keyset_find(p->users, user) : KEYS_NONE;
    size_t begin = u == KEYS_NONE ? 0 : p->ptr[u],
           end = u == KEYS_NONE ? 0 : p->ptr[u + 1];
    size_t n = end - begin + p->n_row - common;
    if (n == 0) return REC_OK;
    sq_wishes *w = rec_zeros(1, sizeof *w);
    if (!w) return rec_nomem(err);
    w->view = v;
    w->a = rec_array(n, sizeof *w->a);
    if (!w->a) s = rec_nomem(err);
    if (s == REC_OK) s = add_wishes(v, w, common, p->n_row, err);
    if (s == REC_OK) s = add_wishes(v, w, begin, end, err);
    if (s == REC_OK)
        *out = w;
    else
        sq_wishes_free(w);
    return s;
}

/* ---- what they do ------------------------------------------------------------------------------------------ */

/* The rating that a weight stands for. */
static double rating_of(const sq_view *v, double weight) {
    const model_query nobody = {0};
    const rec_model *m = v->popularity;
    double mean = m && m->ops->cold_score ? (double)m->ops->cold_score(m, &nobody)
                                          : v->liked_value;
    double reach = v->liked_value - mean;
    return mean + weight * reach * (weight < 0 ? DISLIKE_REACH : 1);
}

rec_status sq_wishes_rows(const sq_view *v, const sq_wishes *w, sq_profile *p,
                          rec_err *err) {
    bool is_explicit = v->cfg.signal.feedback == FEEDBACK_EXPLICIT;
    rec_status s = REC_OK;
    for (size_t i = 0; w && i < w->n && s == REC_OK; i++) {
        uint32_t item = w->a[i].item;
        double weight = w->a[i].weight;
        if (item == KEYS_NONE || weight == 0) continue;
        if (v != w->view) {
            rec_key key = catalog_key(w->view->items, item);
            item = catalog_find(v->items, &key);
        }
        if (item == KEYS_NONE) continue;
        s = rec_grow(&p->row, &p->cap, p->n + 1, sizeof *p->row, err);
        if (s == REC_OK)
            p->row[p->n++] = (interaction){
                .item = item,
                .weight = is_explicit ? 1 : (float)weight,
                .value = (float)(is_explicit ? rating_of(v, weight) : weight),
                .time = NAN};
    }
    return s;
}

bool sq_wishes_refuse(const sq_wishes *w, uint32_t item) {
    double weight = 0; /* what was said last stands */
    for (size_t i = 0; w && i < w->n; i++)
        if (w->a[i].item == item) weight = w->a[i].weight;
    return weight <= REFUSAL;
}

void sq_wishes_allow(const sq_wishes *w, bitmap *allowed) {
    for (size_t i = 0; w && i < w->n; i++) {
        uint32_t item = w->a[i].item;
        if (item < allowed->n_bit && sq_wishes_refuse(w, item))
            bitmap_unset(allowed, item);
    }
}

bool sq_wishes_bend(const sq_wishes *w) {
    for (size_t i = 0; w && i < w->n; i++)
        if (w->a[i].target && w->a[i].target->n) return true;
    return false;
}

/* Who likes comedies wants more of them among the rest; who hates horror wants none. */
static double worth(double weight) {
    return weight > 0 ? LIKE_SHARE * weight : weight;
}

/* What a weight of -1 takes away among these scores. */
static rec_status unit_of(const sq_scores *s, double *out, rec_err *err) {
    size_t n = s->n / 10 < TOP_PLACE ? s->n / 10 + 1 : TOP_PLACE, counted = 0;
    topk top;
    double sum = 0;
    *out = 0;
    rec_status st = topk_init(&top, n < s->n ? n : s->n, err);
    if (st != REC_OK) return st;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!isfinite(s->score[i])) continue;
        sum += (double)s->score[i];
        counted++;
        topk_push(&top, -s->score[i], i);
    }
    topk_sort(&top);
    if (top.n) *out = -(double)top.a[top.n - 1].value - sum / (double)counted;
    topk_clear(&top);
    return REC_OK;
}

rec_status sq_wishes_score(const sq_wishes *w, sq_scores *s, rec_err *err) {
    double unit;
    if (!sq_wishes_bend(w)) return REC_OK;
    rec_status st = unit_of(s, &unit, err);
    for (size_t i = 0; st == REC_OK && i < w->n; i++) {
        const sq_target *t = w->a[i].target;
        for (size_t k = 0; t && k < t->n; k++)
            s->score[t->item[k]] +=
                (float)(worth(w->a[i].weight) * unit * (double)t->strength[k]);
    }
    return st;
}

static double strength_of(const sq_target *t, uint32_t item) {
    size_t lo = 0, hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->item[mid] < item)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->n && t->item[lo] == item ? (double)t->strength[lo] : 0;
}

char *sq_target_text(const sq_target *t, rec_err *err) {
    bytes_writer w = {0};
    if (t->kind == WISH_FACET) bytes_printf(&w, "%s=", t->key);
    bytes_puts(&w, t->value);
    char *text = bytes_take_text(&w);
    if (!text) rec_nomem(err);
    return text;
}

rec_status sq_wishes_explain(const sq_wishes *w, const sq_scores *s, uint32_t item,
                             explain_fn fn, void *ctx, rec_err *err) {
    double unit;
    if (!sq_wishes_bend(w)) return REC_OK;
    rec_status st = unit_of(s, &unit, err);
    for (size_t i = 0; st == REC_OK && i < w->n; i++) {
        const sq_target *t = w->a[i].target;
        double strength = t ? strength_of(t, item) : 0;
        if (!(strength > 0)) continue;
        char *text = sq_target_text(t, err);
        st = text ? fn(ctx, "preference", KEYS_NONE, text, strlen(text),
                       worth(w->a[i].weight) * unit * strength, err)
                  : REC_NOMEM;
        rec_free(text);
    }
    return st;
}
