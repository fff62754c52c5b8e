/* tf_user.c - what a model knows of a user, and why an item is not in their list.
 *
 *   rec_user('taste', 42)
 *       user   42            known      14        number of rows, newest time, source
 *       preference genres=Drama Drama   .5        what they said (preferences=)
 *       facet  genres=Drama  Drama      .62       share of what they did that has it
 *       item   318           "..."      5  time   their rows, newest first
 *
 *   rec_why_not('taste', 42, 318)
 *       seen        ratings already has it        one row for every reason; without any,
 *       filter      year is 1994, not from 2005   `rank`: where the item stands, and how far
 *       rank        place 37 of 9120              it is from the place that k = 10 shows
 *
 * Invariants
 * I1. Facets are those that are more frequent with the user than in the catalogue, by
 *     share * log(share / share in the catalogue); the weight is the share.
 * I2. The reasons are found by the functions that decide in a query (sq_source_rules,
 *     filters_apply, sq_allowed), never by a second opinion.
 * I3. Unknown users have a `user` row that says so; a NULL user, and an item outside the
 *     catalogue, have no rows.
 *
 * Cost: rec_user O(history * facets); rec_why_not scores the catalogue once.
 */
#include "sq_preferences.h"
#include "tf.h"

#include <math.h>

/* ---- rec_user: facets ------------------------------------------------------------------------- */

#define USER_MAX_FACETS 6
/* Facet values that fewer of the user's items have say little, unless there is just one item. */
#define USER_MIN_ITEMS 2

typedef struct liking {
    size_t facet;
    uint32_t value;
    double share, surprise;
} liking;

typedef struct tally { /* one facet of the user's items */
    double *weight;    /* [n_values] */
    uint32_t *count;   /* [n_values] */
} tally;

static double row_weight(const sq_view *v, const interaction *r) {
    float w = v->cfg.signal.feedback == FEEDBACK_EXPLICIT ? r->value : r->weight;
    return w > 0 ? (double)w : 0;
}

static void insert_liking(liking *list, size_t *n, liking x) {
    size_t at = *n;
    while (at > 0 && list[at - 1].surprise < x.surprise) at--;
    if (at == USER_MAX_FACETS) return;
    if (*n < USER_MAX_FACETS) ++*n;
    memmove(&list[at + 1], &list[at], (*n - 1 - at) * sizeof *list);
    list[at] = x;
}

/* Weigh the facet's values over the rows of `p`, whose items are numbered by `v`, facets by `fv`. */
static double count_values(const sq_view *v, const sq_profile *p, const sq_view *fv,
                           size_t facet, tally *t) {
    double total = 0;
    for (size_t i = 0; i < p->n; i++) {
        rec_key key = catalog_key(v->items, p->row[i].item);
        uint32_t item = v == fv ? p->row[i].item : catalog_find(fv->items, &key);
        double w = row_weight(v, &p->row[i]);
        const uint32_t *value;
        if (item == KEYS_NONE || w <= 0) continue;
        size_t n = facet_item_values(fv->items, facet, item, &value);
        if (n) total += w; /* an item without a value says nothing of the user */
        for (size_t j = 0; j < n; j++) {
            t->weight[value[j]] += w;
            t->count[value[j]]++;
        }
    }
    return total;
}

static rec_status likings_of(const sq_view *v, const sq_profile *p, const sq_view *fv,
                             size_t facet, liking *list, size_t *n, rec_err *err) {
    size_t n_values = facet_n_values(fv->items, facet);
    if (facet_kind(fv->items, facet) == FACET_NUMBER || n_values == 0) return REC_OK;
    tally t = {rec_zeros(n_values, sizeof(double)),
               rec_zeros(n_values, sizeof(uint32_t))};
    rec_status s = t.weight && t.count ? REC_OK : rec_nomem(err);
    double total = s == REC_OK ? count_values(v, p, fv, facet, &t) : 0;
    double n_items = (double)tf_facet_items(fv->items, facet);
    for (uint32_t i = 0; total > 0 && i < n_values; i++) {
        if (t.count[i] < USER_MIN_ITEMS && p->n > 1) continue;
        double share = t.weight[i] / total;
        double usual = (double)facet_value_count(fv->items, facet, i) / n_items;
        double surprise = share * log(share / usual);
        if (surprise > 0) insert_liking(list, n, (liking){facet, i, share, surprise});
    }
    rec_free(t.weight);
    rec_free(t.count);
    return s;
}

static rec_status add_facets(const sq_view *v, const sq_profile *p, tvf_rows *rows,
                             rec_err *err) {
    const sq_view *fv = tf_with_facets(v);
    liking list[USER_MAX_FACETS];
    size_t n = 0;
    const sq_view *rv;
    const sq_profile *rp;
    tf_profile_rows(v, p, &rv, &rp);
    if (!fv || rp->n == 0) return REC_OK;
    rec_status s = REC_OK;
    for (size_t f = 0; f < catalog_n_facets(fv->items) && s == REC_OK; f++)
        s = likings_of(rv, rp, fv, f, list, &n, err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        size_t nbyte;
        const char *value =
            facet_value(fv->items, list[i].facet, list[i].value, &nbyte);
        bytes_writer key = {0};
        bytes_printf(&key, "%s=", facet_name(fv->items, list[i].facet));
        bytes_put(&key, value, nbyte);
        if (key.status != REC_OK) s = rec_nomem(err);
        cell row[6] = {cell_str("facet"),
                       cell_text((const char *)key.data, key.n),
                       cell_text(value, nbyte),
                       cell_real(list[i].share),
                       cell_null(),
                       cell_str("items")};
        if (s == REC_OK) s = tvf_rows_add(rows, row, err);
        bytes_clear(&key);
    }
    return s;
}

/* ---- rec_user: rows ------------------------------------------------------------------------------ */

/* Newest first; rows without a time after those with one, heavier first. */
static bool row_before(const interaction *a, const interaction *b) {
    bool ta = !isnan(a->time), tb = !isnan(b->time);
    if (ta != tb) return ta;
    if (ta && a->time != b->time) return a->time > b->time;
    if (a->weight != b->weight) return a->weight > b->weight;
    return a->item < b->item;
}

static void sift(const interaction *rows, uint32_t *a, size_t at, size_t n) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) return;
        if (child + 1 < n && row_before(&rows[a[child]], &rows[a[child + 1]])) child++;
        if (!row_before(&rows[a[at]], &rows[a[child]])) return;
        uint32_t t = a[at];
        a[at] = a[child];
        a[child] = t;
        at = child;
    }
}

/* Heap sort of row numbers: histories can be long and the order is total. */
static void sort_rows(const interaction *rows, uint32_t *a, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sift(rows, a, i, n);
    for (size_t i = n; i-- > 1;) {
        uint32_t t = a[0];
        a[0] = a[i];
        a[i] = t;
        sift(rows, a, 0, i);
    }
}

static rec_status add_items(const sq_view *v, const sq_profile *p, tvf_rows *rows,
                            rec_err *err) {
    rec_status s = REC_OK;
    uint32_t *order = rec_array(p->n, sizeof *order);
    if (!order) return rec_nomem(err);
    for (size_t i = 0; i < p->n; i++) order[i] = (uint32_t)i;
    sort_rows(p->row, order, p->n);
    bool has_value = v->cfg.signal.feedback == FEEDBACK_EXPLICIT;
    for (size_t i = 0; i < p->n && s == REC_OK; i++) {
        const interaction *r = &p->row[order[i]];
        if (!bitmap_has(&p->seen, r->item)) continue; /* only said, never done */
        cell row[6] = {cell_str("item"),
                       tf_item_cell(v, r->item),
                       tf_title_cell(v, r->item),
                       cell_real((double)(has_value ? r->value : r->weight)),
                       cell_real(r->time),
                       cell_str("interactions")};
        s = tvf_rows_add(rows, row, err);
    }
    rec_free(order);
    return s;
}

/* What they said: "genres=Drama", a word, or an item. */
static rec_status add_preferences(const sq_view *v, const sq_wishes *w, tvf_rows *rows,
                                  rec_err *err) {
    rec_status s = REC_OK;
    for (size_t i = 0; w && i < w->n && s == REC_OK; i++) {
        const sq_target *t = w->a[i].target;
        char *text = t ? sq_target_text(t, err) : NULL;
        if (t && !text) return REC_NOMEM;
        cell row[6] = {cell_str("preference"),
                       t ? cell_str(text) : tf_item_cell(v, w->a[i].item),
                       t ? cell_str(t->value) : tf_title_cell(v, w->a[i].item),
                       cell_real(w->a[i].weight),
                       cell_null(),
                       cell_str("preferences")};
        s = tvf_rows_add(rows, row, err);
        rec_free(text);
    }
    return s;
}

static rec_status add_user(const sq_view *v, const sq_profile *p, cell key,
                           tvf_rows *rows, rec_err *err) {
    const sq_view *rv;
    const sq_profile *rp;
    double newest = NAN;
    tf_profile_rows(v, p, &rv, &rp);
    for (size_t i = 0; i < rp->n; i++)
        if (!(rp->row[i].time <= newest) && !isnan(rp->row[i].time))
            newest = rp->row[i].time;
    score_source source = rp->n == 0                      ? SOURCE_POPULARITY
                          : rp->is_known && !rp->is_fresh ? SOURCE_MODEL
                                                          : SOURCE_FOLD_IN;
    cell row[6] = {cell_str("user"),
                   key,
                   cell_str(rp->is_known ? "known"
                            : rp->n      ? "new"
                                         : "unknown"),
                   cell_real((double)rp->n),
                   cell_real(newest),
                   cell_str(score_source_name(source))};
    rec_status s = tvf_rows_add(rows, row, err);
    if (s == REC_OK) s = add_preferences(v, p->wishes, rows, err);
    if (s == REC_OK) s = add_facets(v, p, rows, err);
    if (s == REC_OK) s = add_items(rv, rp, rows, err);
    return s;
}

static rec_status user_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                            rec_err *err) {
    sq_view *v = NULL;
    sq_profile p = {0};
    tf_key user;
    *out = NULL;
    tvf_rows *rows = tvf_rows_new(6);
    if (!rows) return rec_nomem(err);
    rec_status s = tf_view(c, "rec_user", arg[0], &v, err);
    if (s == REC_OK) s = sq_view_require_trained(v, err);
    if (s == REC_OK)
        s = tf_read_key("rec_user", "user", arg[1], v->user_affinity, &user, err);
    if (s == REC_OK && !user.is_null) {
        cell key = user.is_key ? sq_key_cell(&user.key) : sq_cell(arg[1]);
        s = tf_profile(v, &user, NULL, &p, err);
        if (s == REC_OK) s = add_user(v, &p, key, rows, err);
    }
    sq_profile_clear(&p);
    if (v) sq_view_close(v);
    if (s == REC_OK)
        *out = tvf_rows_result(rows);
    else
        tvf_rows_free(rows);
    return s;
}

const tvf_def tf_user_def = {
    .name = "rec_user",
    .columns = "kind TEXT, key, title TEXT, weight REAL, time REAL, source TEXT",
    .args = "model, user",
    .n_required = 2,
    .rank_column = -1,
    .cost = 1e5,
    .open = user_open,
};

/* ---- rec_why_not -------------------------------------------------------------------------------------- */

/* The place whose score the gap is measured from: what a list shows by default. */
#define WHY_NOT_K 10

typedef struct question {
    sq_view *view;
    sq_profile profile;
    tf_key user;
    uint32_t item;
    filters filters;
    tvf_rows *rows;
    size_t n_reasons;
} question;

static rec_status add_reason(question *q, const char *reason, const char *detail,
                             rec_err *err) {
    cell row[4] = {cell_str(reason), cell_str(detail), cell_null(), cell_null()};
    q->n_reasons++;
    return tvf_rows_add(q->rows, row, err);
}

/* Does the rule table of `cfg` (with one of eligible, owned left out) refuse the item? */
static rec_status rule_refuses(const question *q, const sq_view *v,
                               const sq_model_cfg *cfg, bool *refused, rec_err *err) {
    bitmap allowed = {0};
    *refused = false;
    rec_key key = catalog_key(q->view->items, q->item);
    uint32_t item = catalog_find(v->items, &key);
    if (item == KEYS_NONE) return REC_OK;
    sq_frame frame = {0};
    rec_status s = bitmap_init(&allowed, catalog_n_items(v->items), true, err);
    if (s != REC_OK) return s;
    s = sq_enter(v->conn, &frame, v->schema, v->name, err);
    if (s == REC_OK)
        s = sq_source_rules(v->conn, v->schema, cfg,
                            q->user.is_key ? &q->user.key : NULL, v->item_affinity,
                            v->items, &allowed, err);
    sq_leave(v->conn, &frame);
    if (s == REC_OK) *refused = !bitmap_has(&allowed, item);
    bitmap_clear(&allowed);
    return s;
}

/* The rules of a view and of its members bind alike. */
static rec_status add_rules(question *q, const sq_view *v, rec_err *err) {
    char text[200];
    bool refused;
    rec_status s = REC_OK;
    if (v->cfg.owned) {
        sq_model_cfg only = v->cfg; /* borrowed: never cleared */
        only.eligible = NULL;
        s = rule_refuses(q, v, &only, &refused, err);
        rec_format(text, sizeof text, "%s lists it for this user", v->cfg.owned);
        if (s == REC_OK && refused) s = add_reason(q, "owned", text, err);
    }
    if (s == REC_OK && v->cfg.eligible) {
        sq_model_cfg only = v->cfg;
        only.owned = NULL;
        s = rule_refuses(q, v, &only, &refused, err);
        rec_format(text, sizeof text, "%s does not list it", v->cfg.eligible);
        if (s == REC_OK && refused) s = add_reason(q, "ineligible", text, err);
    }
    for (size_t i = 0; i < v->n_member && s == REC_OK; i++)
        s = add_rules(q, v->member[i].view, err);
    return s;
}

static void put_list(bytes_writer *w, const char *word, char *const *a, size_t n) {
    for (size_t i = 0; i < n; i++) bytes_printf(w, "%s%s", i ? ", " : word, a[i]);
}

/* "genres is Drama, Crime; wanted any of Comedy" */
static char *filter_detail(const catalog *c, const facet_cond *f, uint32_t item) {
    bytes_writer w = {0};
    double number;
    int facet = facet_find(c, f->name, strlen(f->name));
    bytes_printf(&w, "%s is ", f->name);
    if (facet >= 0 && facet_kind(c, (size_t)facet) != FACET_NUMBER) {
        const uint32_t *value;
        size_t n = facet_item_values(c, (size_t)facet, item, &value), nbyte;
        for (size_t i = 0; i < n; i++) {
            const char *text = facet_value(c, (size_t)facet, value[i], &nbyte);
            if (i) bytes_puts(&w, ", ");
            bytes_put(&w, text, nbyte);
        }
        if (n == 0) bytes_puts(&w, "NULL");
    } else if (facet >= 0 && facet_item_number(c, (size_t)facet, item, &number)) {
        bytes_printf(&w, "%.15g", number);
    } else {
        bytes_puts(&w, "NULL");
    }
    bytes_puts(&w, "; wanted");
    put_list(&w, " any of ", f->any, f->n_any);
    put_list(&w, " all of ", f->all, f->n_all);
    put_list(&w, " none of ", f->none, f->n_none);
    if (f->has_min) bytes_printf(&w, " at least %.15g", f->min);
    if (f->has_max) bytes_printf(&w, " at most %.15g", f->max);
    return bytes_take_text(&w);
}

/* One row for every condition that the item fails. */
static rec_status add_filters(question *q, rec_err *err) {
    const sq_view *fv = tf_with_facets(q->view);
    if (!fv) fv = q->view;
    rec_key key = catalog_key(q->view->items, q->item);
    uint32_t item = catalog_find(fv->items, &key);
    rec_status s = REC_OK;
    for (size_t i = 0; i < q->filters.n_cond && s == REC_OK; i++) {
        filters one = {.cond = &q->filters.cond[i], .n_cond = 1};
        bitmap items = {0};
        s = bitmap_init(&items, catalog_n_items(fv->items), true, err);
        if (s == REC_OK) s = filters_apply(&one, fv->items, &items, err);
        bool fails = s == REC_OK && (item == KEYS_NONE || !bitmap_has(&items, item));
        bitmap_clear(&items);
        if (!fails) continue;
        char *detail = filter_detail(fv->items, one.cond, item);
        s = detail ? add_reason(q, "filter", detail, err) : rec_nomem(err);
        rec_free(detail);
    }
    return s;
}

/* Walk the ranking to the item: its place, and the score of place WHY_NOT_K. */
static rec_status add_rank(question *q, const sq_scores *scores, const bitmap *allowed,
                           rec_err *err) {
    ranking order = {0};
    uint32_t item;
    float score = 0, shown = 0;
    int64_t place = 0;
    char text[120];
    rec_status s = sq_rank(q->view, scores, allowed, -1, &order, err);
    if (s != REC_OK) return s;
    while (sq_rank_next(q->view, &order, &item, &score)) {
        if (++place <= WHY_NOT_K) shown = score;
        if (item == q->item) break;
    }
    ranking_clear(&order);
    rec_format(text, sizeof text, "place %lld of %llu", (long long)place,
               (unsigned long long)bitmap_count(allowed));
    double gap = place > WHY_NOT_K ? (double)shown - (double)score : 0;
    cell row[4] = {cell_str("rank"), cell_str(text), cell_int(place), cell_real(gap)};
    return tvf_rows_add(q->rows, row, err);
}

static rec_status why_not(question *q, rec_err *err) {
    sq_view *v = q->view;
    sq_scores scores = {0};
    bitmap allowed = {0};
    rec_run run = {0};
    char text[200];
    rec_status s = REC_OK;
    const sq_view *source = tf_with_interactions(v);
    if (!v->cfg.repeat && bitmap_has(&q->profile.seen, q->item)) {
        rec_format(text, sizeof text, "%s already has it for this user",
                   source ? source->cfg.interactions : "the history");
        s = add_reason(q, "seen", text, err);
    }
    if (s == REC_OK) s = add_rules(q, v, err);
    if (s == REC_OK && sq_wishes_refuse(q->profile.wishes, q->item))
        s = add_reason(q, "ineligible", "preferences= gives it -1", err);
    if (s == REC_OK) s = add_filters(q, err);
    if (s != REC_OK || q->n_reasons) return s;
    s = sq_allowed(v, &q->profile, true, &allowed, err);
    if (s == REC_OK && q->filters.n_cond && tf_with_facets(v) == v)
        s = filters_apply(&q->filters, v->items, &allowed, err);
    if (s == REC_OK && bitmap_has(&allowed, q->item)) {
        sq_run_init(v->conn, &run, false);
        s = sq_score(v, &q->profile, &run, &scores, err);
        sq_run_finish(&run);
        if (s == REC_OK) s = add_rank(q, &scores, &allowed, err);
    }
    sq_scores_clear(&scores);
    bitmap_clear(&allowed);
    return s;
}

static rec_status why_not_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                               rec_err *err) {
    question q = {.item = KEYS_NONE, .rows = tvf_rows_new(4)};
    const char *text;
    size_t nbyte;
    *out = NULL;
    if (!q.rows) return rec_nomem(err);
    rec_status s = tf_view(c, "rec_why_not", arg[0], &q.view, err);
    if (s == REC_OK) s = sq_view_require_trained(q.view, err);
    if (s == REC_OK)
        s = tf_read_key("rec_why_not", "user", arg[1], q.view->user_affinity, &q.user,
                        err);
    if (s == REC_OK) s = tf_item(q.view, "rec_why_not", "item", arg[2], &q.item, err);
    if (s == REC_OK) s = tf_text("rec_why_not", "filters", arg[3], &text, &nbyte, err);
    if (s == REC_OK && text)
        s = tf_filters("rec_why_not", text, nbyte, &q.filters, err);
    if (s == REC_OK && q.item != KEYS_NONE && !q.user.is_null) {
        s = tf_profile(q.view, &q.user, NULL, &q.profile, err);
        if (s == REC_OK) s = why_not(&q, err);
    }
    sq_profile_clear(&q.profile);
    filters_clear(&q.filters);
    if (q.view) sq_view_close(q.view);
    if (s == REC_OK)
        *out = tvf_rows_result(q.rows);
    else
        tvf_rows_free(q.rows);
    return s;
}

const tvf_def tf_why_not_def = {
    .name = "rec_why_not",
    .columns = "reason TEXT, detail TEXT, rank INTEGER, score_gap REAL",
    .args = "model, user, item, filters",
    .n_required = 3,
    .rank_column = -1,
    .cost = 1e6,
    .open = why_not_open,
};
