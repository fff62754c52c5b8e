/* sq_eval_task.c - who is asked about what: a split turned into users, relevant items and statistics.
 *
 *   base (the copy that has interactions) --split--> test rows --relevance--> user u: items 3, 17, 40
 *                                     \---> training rows: who had an item, how long each history is
 *
 * All numbers are those of the base; every model of one comparison is asked the same.
 *
 * Relevant is a test pair with a positive weight; where ratings are given, one with a rating that is not below
 * the mean of the training rows, or not below `relevance`.
 *
 * Invariants
 *   I1  users stand in ascending key order, items of each ascending;
 *   I2  a test table that names a pair of the training rows is refused: its answers would be known;
 *   I3  what is left out of a test table (items outside the catalogue) is counted and said.
 */
#include "sq_eval.h"

#include <math.h>

void eval_task_clear(eval_task *t) {
    split_clear(&t->split);
    dataset_clear(&t->test);
    rec_free(t->user);
    rec_free(t->ptr);
    rec_free(t->item);
    rec_free(t->degree);
    rec_free(t->who_ptr);
    rec_free(t->who);
    rec_free(t->history);
    rec_free(t->popular);
    rec_free(t->group);
    memset(t, 0, sizeof *t);
}

/* ---- the test table -------------------------------------------------------------------------------- */

/* The model's definition with the interactions replaced. Columns that the table does not have are not read; a
 * table of plain pairs says that each is relevant. Borrows everything. */
static rec_status table_cfg(const eval_task *t, sq_model_cfg *cfg, rec_err *err) {
    const sq_view *v = t->base->view;
    sq_columns columns;
    *cfg = v->cfg;
    cfg->interactions = t->options->table;
    cfg->signal.since = cfg->signal.until = NAN;
    rec_status s = sq_columns_read(t->c, v->schema, cfg->interactions, &columns, err);
    if (s != REC_OK) return s;
    char **own[] = {&cfg->value, &cfg->time, &cfg->event};
    for (size_t i = 0; i < 3; i++)
        if (*own[i] && sq_columns_find(&columns, *own[i]) < 0) *own[i] = NULL;
    bool lacks_sign = (v->cfg.value && !cfg->value) || (v->cfg.event && !cfg->event);
    if (lacks_sign) {
        cfg->value = cfg->event = cfg->positive = NULL;
        cfg->signal.feedback = FEEDBACK_IMPLICIT;
        cfg->signal.has_value = cfg->signal.has_event = false;
    }
    if (cfg->positive) { /* it may speak of a column that is not there */
        char *safe = NULL;
        rec_err why = {0};
        s = sq_expr_write(cfg->positive, &columns, &safe, &why);
        rec_free(safe);
        if (s == REC_RANGE) {
            cfg->positive = NULL;
            s = REC_OK;
        } else if (s != REC_OK) {
            s = rec_fail(err, s, "%s", why.msg);
        }
    }
    const char *want[] = {cfg->user, cfg->item};
    for (size_t i = 0; i < 2 && s == REC_OK; i++)
        if (sq_columns_find(&columns, want[i]) < 0)
            s = rec_fail(err, REC_RANGE,
                         "the test table %s has no column %s; it needs those that %s "
                         "names for its interactions",
                         cfg->interactions, want[i], v->name);
    sq_columns_clear(&columns);
    return s;
}

/* Users of the table join those of the base; its rows, by user. */
static rec_status number_rows(eval_task *t, const keyset *users, sq_interactions *rows,
                              size_t **ptr, rec_err *err) {
    size_t n = keyset_count(users);
    uint32_t *at = rec_array(n, sizeof *at);
    rec_status s = at ? REC_OK : rec_nomem(err);
    for (uint32_t u = 0; u < n && s == REC_OK; u++) {
        rec_key key = keyset_get(users, u);
        s = keyset_add(t->base->users, &key, &at[u], err);
    }
    size_t n_all = keyset_count(t->base->users);
    *ptr = s == REC_OK ? rec_zeros(n_all + 1, sizeof **ptr) : NULL;
    interaction *sorted = rec_array(rows->n, sizeof *sorted);
    if (s == REC_OK && (!*ptr || !sorted)) s = rec_nomem(err);
    if (s == REC_OK) {
        for (size_t i = 0; i < rows->n; i++) rows->row[i].user = at[rows->row[i].user];
        for (size_t i = 0; i < rows->n; i++) (*ptr)[rows->row[i].user + 1]++;
        for (size_t u = 0; u < n_all; u++) (*ptr)[u + 1] += (*ptr)[u];
        for (size_t i = rows->n; i-- > 0;) /* from behind: ptr[u + 1] falls to ptr[u] */
            sorted[--(*ptr)[rows->row[i].user + 1]] = rows->row[i];
        for (size_t u = 0; u < n_all; u++) (*ptr)[u] = (*ptr)[u + 1];
        (*ptr)[n_all] = rows->n;
        rec_free(rows->row);
        rows->row = sorted;
        sorted = NULL;
    }
    rec_free(sorted);
    rec_free(at);
    return s;
}

static rec_status refuse_known(const eval_task *t, rec_err *err) { /* I2 */
    const sq_copy *b = t->base;
    size_t n = 0, first = 0;
    for (uint32_t u = 0; u < b->n_users; u++)
        for (size_t i = b->ptr[u]; i < b->ptr[u + 1]; i++)
            if (split_has(&t->split, u, b->row[i].item) && n++ == 0) first = i;
    if (n == 0) return REC_OK;
    char key[2][48];
    rec_key k[2] = {keyset_get(b->users, b->row[first].user),
                    catalog_key(b->view->items, b->row[first].item)};
    for (int i = 0; i < 2; i++) {
        if (k[i].is_text)
            rec_format(key[i], sizeof key[i], "'%.*s'",
                       (int)(k[i].n_text < 40 ? k[i].n_text : 40), k[i].text);
        else
            rec_format(key[i], sizeof key[i], "%lld", (long long)k[i].i);
    }
    return rec_fail(err, REC_RANGE,
                    "%s: %zu rows of %s have pairs that the test table %s asks about "
                    "(user %s, item %s); the model would know the answers",
                    b->view->name, n, b->view->cfg.interactions, t->options->table,
                    key[0], key[1]);
}

static rec_status read_table(eval_task *t, sq_interactions *rows, size_t **ptr,
                             sq_model_cfg *cfg, rec_run *run, rec_err *err) {
    const sq_view *v = t->base->view;
    keyset *users = NULL;
    sq_frame frame = {0};
    rec_status s = table_cfg(t, cfg, err);
    if (s == REC_OK) s = sq_enter(t->c, &frame, v->schema, v->name, err);
    if (s == REC_OK)
        s = sq_source_interactions(t->c, v->schema, cfg, v->user_affinity,
                                   v->item_affinity, v->items, &users, rows, run, err);
    sq_leave(t->c, &frame);
    t->n_outside = rows->n_skipped;
    if (s == REC_OK) s = number_rows(t, users, rows, ptr, err);
    if (s == REC_OK)
        s = split_make(&t->options->split, rows->row, *ptr,
                       (uint32_t)keyset_count(t->base->users), &t->split, err);
    keyset_free(users);
    return s == REC_OK ? refuse_known(t, err) : s;
}

/* ---- test rows ----------------------------------------------------------------------------------------- */

static rec_status split_base(eval_task *t, sq_interactions *rows, rec_err *err) {
    const sq_copy *b = t->base;
    split_spec spec = t->options->split;
    spec.is_repeat = b->view->cfg.repeat;
    if (spec.kind == SPLIT_TEMPORAL && !b->view->cfg.time)
        return rec_fail(err, REC_RANGE,
                        "%s: split=temporal needs time=, a column of the interactions",
                        b->view->name);
    rec_status s = split_make(&spec, b->row, b->ptr, b->n_users, &t->split, err);
    size_t n = b->ptr[b->n_users];
    rows->row = rec_array(n, sizeof *rows->row);
    if (s == REC_OK && !rows->row) s = rec_nomem(err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        const interaction *r = &b->row[i];
        if (split_of(&t->split, r->user, r->item, r->time) == PART_TEST)
            rows->row[rows->n++] = *r;
    }
    return s;
}

static rec_status read_test(eval_task *t, rec_run *run, rec_err *err) {
    sq_model_cfg cfg = t->base->view->cfg;
    sq_interactions rows = {0};
    size_t *ptr = NULL;
    rec_status s = t->options->table ? read_table(t, &rows, &ptr, &cfg, run, err)
                                     : split_base(t, &rows, err);
    if (s == REC_OK)
        s = dataset_build(
            &cfg.signal, rows.row, rows.n, (uint32_t)keyset_count(t->base->users),
            (uint32_t)catalog_n_items(t->base->view->items), &t->test, err);
    sq_interactions_clear(&rows);
    rec_free(ptr);
    return s;
}

/* ---- training rows ---------------------------------------------------------------------------------------- */

static bool is_learned(const eval_task *t, size_t i, bool with_profile) {
    const interaction *r = &t->base->row[i];
    split_part p = split_of(&t->split, r->user, r->item, r->time);
    return p == PART_TRAIN || (with_profile && p == PART_PROFILE);
}

/* Who had which item: one pass over the training rows counts, another writes. */
static rec_status list_users(eval_task *t, rec_err *err) {
    const sq_copy *b = t->base;
    size_t n_items = catalog_n_items(b->view->items), n = 0;
    uint32_t *last = rec_array(n_items, sizeof *last); /* user who was counted last */
    t->degree = rec_zeros(n_items, sizeof *t->degree);
    t->who_ptr = rec_zeros(n_items + 2, sizeof *t->who_ptr);
    t->who = rec_array(b->ptr[b->n_users], sizeof *t->who);
    if (!last || !t->degree || !t->who_ptr || !t->who) {
        rec_free(last);
        return rec_nomem(err);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n_items; i++) last[i] = KEYS_NONE;
        for (uint32_t u = 0; u < b->n_users; u++) {
            n = 0;
            for (size_t i = b->ptr[u]; i < b->ptr[u + 1]; i++) {
                uint32_t item = b->row[i].item;
                if (last[item] == u || !is_learned(t, i, false)) continue;
                last[item] = u;
                n++;
                if (pass == 0)
                    t->degree[item]++;
                else
                    t->who[t->who_ptr[item + 1]++] = u;
            }
            t->n_learned += pass == 0 && n > 0;
        }
        for (size_t i = 0; pass == 0 && i < n_items; i++)
            t->who_ptr[i + 2] = t->who_ptr[i + 1] + t->degree[i];
    }
    rec_free(last);
    return REC_OK;
}

static int by_degree(const void *a, const void *b, void *ctx) {
    const eval_task *t = ctx;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (t->degree[x] != t->degree[y]) return t->degree[x] > t->degree[y] ? -1 : 1;
    uint64_t hx = rec_mix(x), hy = rec_mix(y);
    return hx < hy ? -1 : hx > hy;
}

static rec_status rank_popular(eval_task *t, rec_err *err) {
    size_t n = catalog_n_items(t->base->view->items);
    t->popular = rec_array(n, sizeof *t->popular);
    if (!t->popular) return rec_nomem(err);
    for (size_t i = 0; i < n; i++) t->popular[i] = (uint32_t)i;
    rec_sort(t->popular, n, sizeof *t->popular, by_degree, t);
    return REC_OK;
}

/* ---- users ------------------------------------------------------------------------------------------------------ */

static double find_threshold(const eval_task *t) {
    const sq_copy *b = t->base;
    double sum = 0;
    size_t n = 0;
    if (!isnan(t->options->relevance)) return t->options->relevance;
    if (t->test.feedback != FEEDBACK_EXPLICIT) return NAN;
    for (size_t i = 0; i < b->ptr[b->n_users]; i++)
        if (is_learned(t, i, true)) sum += (double)b->row[i].value, n++;
    return n ? sum / (double)n : NAN;
}

static bool is_relevant(const eval_task *t, size_t i) {
    if (!(t->test.weight[i] > 0)) return false;
    return isnan(t->threshold) ||
           (double)t->test.value[i] >= t->threshold - 1e-6 * fabs(t->threshold);
}

typedef struct drawn {
    uint64_t hash;
    uint32_t user;
} drawn;

static int by_hash(const void *a, const void *b, void *ctx) {
    const drawn *x = a, *y = b;
    (void)ctx;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->user < y->user ? -1 : x->user > y->user;
}

static int by_number(const void *a, const void *b, void *ctx) {
    const drawn *x = a, *y = b;
    (void)ctx;
    return x->user < y->user ? -1 : x->user > y->user;
}

/* All who have test rows, or so many of them, the same at every call. */
static rec_status draw_users(eval_task *t, drawn **out, size_t *n, rec_err *err) {
    const dataset *d = &t->test;
    *n = 0;
    *out = rec_array(d->n_users, sizeof **out);
    if (!*out) return rec_nomem(err);
    for (uint32_t u = 0; u < d->n_users; u++)
        if (d->ptr[u + 1] > d->ptr[u])
            (*out)[(*n)++] = (drawn){rec_mix(t->options->split.seed ^ rec_mix(u)), u};
    if (t->options->most_users && *n > t->options->most_users) {
        rec_sort(*out, *n, sizeof **out, by_hash, NULL);
        *n = t->options->most_users;
        rec_sort(*out, *n, sizeof **out, by_number, NULL);
    }
    return REC_OK;
}

static int by_item(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

/* Distinct items before the test. */
static uint32_t count_history(const eval_task *t, uint32_t u, uint32_t *scratch) {
    const sq_copy *b = t->base;
    size_t n = 0, kept = 0;
    for (size_t i = u < b->n_users ? b->ptr[u] : 0; u < b->n_users && i < b->ptr[u + 1];
         i++)
        if (is_learned(t, i, true)) scratch[n++] = b->row[i].item;
    rec_sort(scratch, n, sizeof *scratch, by_item, NULL);
    for (size_t i = 0; i < n; i++) kept += i == 0 || scratch[i] != scratch[i - 1];
    return (uint32_t)kept;
}

static rec_status list_items(eval_task *t, rec_err *err) {
    drawn *who = NULL;
    size_t n = 0, at = 0, n_rows = t->base->ptr[t->base->n_users];
    rec_status s = draw_users(t, &who, &n, err);
    uint32_t *scratch = rec_array(n_rows, sizeof *scratch);
    t->user = rec_array(n, sizeof *t->user);
    t->ptr = rec_zeros(n + 1, sizeof *t->ptr);
    t->item = rec_array(t->test.n, sizeof *t->item);
    t->history = rec_array(n, sizeof *t->history);
    if (s == REC_OK && (!scratch || !t->user || !t->ptr || !t->item || !t->history))
        s = rec_nomem(err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        uint32_t u = who[i].user;
        for (size_t j = t->test.ptr[u]; j < t->test.ptr[u + 1]; j++)
            if (is_relevant(t, j)) t->item[at++] = t->test.item[j];
        t->user[t->n_users] = u;
        t->history[t->n_users] = count_history(t, u, scratch);
        t->ptr[++t->n_users] = at;
    }
    rec_free(scratch);
    rec_free(who);
    return s;
}

/* ---- groups of items --------------------------------------------------------------------------------- */

typedef struct item_group {
    const char *name;
    double max; /* users, or days */
} item_group;
static const item_group by_users[] = {
    {"item 0", 0},      {"item 1-4", 4},    {"item 5-9", 9},         {"item 10-19", 19},
    {"item 20-49", 49}, {"item 50-99", 99}, {"item 100+", INFINITY},
};
static const item_group by_days[] = {
    {"age new", -1},          {"age 0-29 days", 29},       {"age 30-89 days", 89},
    {"age 90-364 days", 364}, {"age 365+ days", INFINITY},
};
static_assert(sizeof by_users / sizeof *by_users < EVAL_MAX_GROUPS, "see sq_eval.h");
#define SECONDS_A_DAY 86400

const char *eval_group_name(const eval_task *t, size_t group) {
    if (t->options->bucket == BUCKET_AGE) return by_days[group - 1].name;
    return by_users[group - 1].name;
}

/* Days from the first training row of each item to the newest of all; -1: nobody had it. */
static rec_status item_days(const eval_task *t, double *days, rec_err *err) {
    const sq_copy *b = t->base;
    size_t n = catalog_n_items(b->view->items);
    double newest = -INFINITY;
    if (!b->view->cfg.time)
        return rec_fail(
            err, REC_RANGE,
            "%s: \"bucket\": \"age\" needs time=, the column that says when "
            "(\"item\" counts users instead)",
            b->view->name);
    for (size_t i = 0; i < n; i++) days[i] = INFINITY;
    for (size_t i = 0; i < b->ptr[b->n_users]; i++) {
        const interaction *r = &b->row[i];
        if (isnan(r->time) || !is_learned(t, i, false)) continue;
        days[r->item] = fmin(days[r->item], r->time);
        newest = fmax(newest, r->time);
    }
    for (size_t i = 0; i < n; i++)
        days[i] = isfinite(days[i]) ? floor((newest - days[i]) / SECONDS_A_DAY) : -1;
    return REC_OK;
}

static rec_status group_items(eval_task *t, rec_err *err) {
    bool is_age = t->options->bucket == BUCKET_AGE;
    const item_group *groups = is_age ? by_days : by_users;
    size_t n = catalog_n_items(t->base->view->items);
    if (t->options->bucket < BUCKET_ITEM) return REC_OK;
    double *x = rec_array(n, sizeof *x);
    t->group = rec_array(n, sizeof *t->group);
    rec_status s = x && t->group ? REC_OK : rec_nomem(err);
    if (s == REC_OK && is_age) s = item_days(t, x, err);
    for (size_t i = 0; s == REC_OK && i < n; i++) {
        uint8_t g = 0;
        while ((is_age ? x[i] : t->degree[i]) > groups[g].max) g++;
        t->group[i] = g + 1;
    }
    t->n_groups =
        is_age ? sizeof by_days / sizeof *by_days : sizeof by_users / sizeof *by_users;
    rec_free(x);
    return s;
}

rec_status eval_task_init(eval_task *t, sq_conn *c, sq_copy *base,
                          const eval_options *o, rec_run *run, rec_err *err) {
    *t = (eval_task){.options = o, .c = c, .base = base, .threshold = NAN};
    rec_status s = read_test(t, run, err);
    if (s == REC_OK) s = list_users(t, err);
    if (s == REC_OK) s = rank_popular(t, err);
    if (s == REC_OK) t->threshold = find_threshold(t);
    if (s == REC_OK) s = list_items(t, err);
    if (s == REC_OK) s = group_items(t, err);
    if (s == REC_OK && t->n_users == 0)
        s = rec_fail(err, REC_RANGE,
                     "%s: the split leaves nothing to ask about: no user has two pairs",
                     base->view->name);
    return s == REC_OK ? run_check(run, err) : s;
}

/* ---- in words -------------------------------------------------------------------------------------------------- */

void eval_split_text(const eval_task *t, char *out, size_t cap) {
    const split_spec *s = &t->options->split;
    const char *order = t->base->view->cfg.time ? "time" : "row";
    switch (s->kind) {
    case SPLIT_LAST:
        if (s->n_last)
            rec_format(out, cap, "leave-one-out by %s", order);
        else
            rec_format(out, cap, "last %g of each user by %s", s->share, order);
        break;
    case SPLIT_RANDOM: rec_format(out, cap, "random %g of each user", s->share); break;
    case SPLIT_TEMPORAL:
        rec_format(out, cap, "temporal after %.0f", t->split.cutoff);
        break;
    case SPLIT_USER:
        rec_format(out, cap, "user %g, random %g of each", s->share, s->share);
        break;
    case SPLIT_TABLE:
        if (t->n_outside)
            rec_format(out, cap, "table %.80s, %zu rows outside the catalogue left out",
                       t->options->table, t->n_outside);
        else
            rec_format(out, cap, "table %.80s", t->options->table);
    }
}

void eval_relevance_text(const eval_task *t, char *out, size_t cap) {
    if (isnan(t->threshold))
        rec_format(out, cap, "weight > 0");
    else
        rec_format(out, cap, "value >= %.4g", t->threshold);
}
