/* sq_evaluate.c - one model's answers to a task: lists of all users, and figures of each.
 *
 *   copy --fit--> view        users, a block at a time
 *                   |            profile, allowed     (memory only, on all cores)
 *                   +--> sq_block_score --> list of the best items
 *                                 |  numbers of the base
 *                                 v
 *       table   user 0 | recall@10 | ndcg@10 | ...      part and count of each figure (metrics_boot.c)
 *               user 1 |
 *
 * Candidates are all items of the model's catalogue but those of the user's training rows (mask `train`), unless
 * consumed items may return (repeat=1) or the mask is switched off. Rules of the model (eligible, owned) speak of
 * today and are not applied.
 *
 * Figures that compare every pair of a list, or every item of the catalogue, are taken from EVAL_SAMPLE users, the
 * same for every model; `users` says how many counted.
 *
 * Invariants
 *   I1  a user's figures depend on that user alone: the same for any block and any number of threads;
 *   I2  items that the model does not have count as missed.
 *
 * Cost: a fit, a batch of lists (sq_block.c), O(k) a user; memory a block of users and 8 bytes a user and figure.
 */
#include "sq_eval.h"

#include <math.h>

#define EVAL_SAMPLE      2000
#define EVAL_BLOCK_USERS 512
#define EVAL_BLOCK_MIN   8
#define EVAL_BLOCK_BYTES ((size_t)48 << 20)
#define EVAL_GRAIN       1

typedef struct value_sets { /* facet values of each item, ascending */
    size_t *ptr;            /* [n_items+1] owned */
    uint32_t *value;        /* owned */
    size_t n_values;
} value_sets;

typedef struct run_state {
    const eval_task *t;
    sq_copy *m;
    eval_table *out;
    const catalog *facets; /* whose numbers facets_at maps to; NULL without facets */
    value_sets all, mix;   /* every text facet; the one whose mix is compared */
    uint32_t *to_base, *to_view; /* owned; NULL: the same numbers */
    bool facets_of_base;
    uint32_t *shown; /* [n_k x items of the view] owned */
    sq_block block;
    size_t first; /* row of the table that block.user[0] is */
    size_t n_items;
} run_state;

/* ---- the shape of the table ---------------------------------------------------------------------------- */

static bool has_cut(int m) {
    return m != EVAL_AUC && m != EVAL_RMSE;
}

static bool is_whole(int m) {
    return m == EVAL_COVERAGE || m == EVAL_GINI;
}

static bool is_possible(const run_state *r, int m) {
    if (m == EVAL_CALIBRATION) return r->mix.ptr != NULL;
    if (m == EVAL_RMSE)
        return r->m->view->model && (r->m->view->cfg.ops->needs & MODEL_PREDICTS) &&
               r->m->view->cfg.signal.feedback == FEEDBACK_EXPLICIT &&
               r->t->test.feedback == FEEDBACK_EXPLICIT;
    return true;
}

void eval_table_clear(eval_table *t) {
    rec_free(t->table.cell);
    rec_free(t->metric);
    rec_free(t->form);
    rec_free(t->k);
    rec_free(t->whole);
    rec_free(t->group);
    rec_free(t->rank);
    memset(t, 0, sizeof *t);
}

static rec_status shape_table(run_state *r, rec_err *err) {
    const eval_options *o = r->t->options;
    eval_table *t = r->out;
    size_t groups = r->t->n_groups;
    size_t most = EVAL_N * EVAL_MAX_K * (groups + 1), n = 0, cells;
    t->metric = rec_array(most, sizeof *t->metric);
    t->form = rec_array(most, sizeof *t->form);
    t->k = rec_array(most, sizeof *t->k);
    t->whole = rec_array(most, sizeof *t->whole);
    t->group = rec_array(most, sizeof *t->group);
    if (!t->metric || !t->form || !t->k || !t->whole || !t->group)
        return rec_nomem(err);
    for (size_t i = 0; i < (groups + 1) * EVAL_N; i++) {
        int m = (int)(i % EVAL_N);
        size_t group = i / EVAL_N;
        if (!o->wants[m] || !is_possible(r, m)) continue;
        if (group && m > EVAL_PRECISION) continue; /* of lists, not of answers */
        for (size_t j = 0; j < (has_cut(m) ? o->n_k : 1); j++) {
            t->metric[n] = (eval_metric)m;
            t->form[n] = m == EVAL_RMSE   ? FORM_ROOT
                         : m == EVAL_LIFT ? FORM_LIFT
                                          : FORM_MEAN;
            t->whole[n] = NAN;
            t->group[n] = (uint8_t)group;
            t->k[n++] = has_cut(m) ? o->k[j] : 0;
        }
    }
    t->table.n_users = r->t->n_users;
    t->table.n_metric = n;
    t->table.form = t->form;
    if (!rec_mul(r->t->n_users, 2 * n, &cells)) return rec_nomem(err);
    t->table.cell = rec_zeros(cells, sizeof *t->table.cell);
    if (o->is_staged) t->rank = rec_zeros(r->t->ptr[r->t->n_users], sizeof *t->rank);
    return t->table.cell && (t->rank || !o->is_staged) ? REC_OK : rec_nomem(err);
}

/* ---- facets ------------------------------------------------------------------------------------------------ */

static bool is_text(const catalog *c, size_t facet, int only) {
    return facet_kind(c, facet) != FACET_NUMBER && (only < 0 || (size_t)only == facet);
}

static int by_number(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

/* Values of one facet, or (only = -1) of all text facets, numbered one facet after the other. */
static rec_status list_values(const catalog *c, int only, value_sets *out,
                              rec_err *err) {
    size_t n_items = catalog_n_items(c), n_facets = catalog_n_facets(c), at = 0,
           cap = 0;
    out->ptr = rec_zeros(n_items + 1, sizeof *out->ptr);
    rec_status s = out->ptr ? REC_OK : rec_nomem(err);
    for (size_t i = 0; i < n_items && s == REC_OK; i++) {
        uint32_t base = 0;
        for (size_t f = 0; f < n_facets && s == REC_OK; f++) {
            const uint32_t *value = NULL;
            if (!is_text(c, f, only)) continue;
            size_t n = facet_item_values(c, f, (uint32_t)i, &value);
            s = rec_grow(&out->value, &cap, at + n, sizeof *out->value, err);
            for (size_t j = 0; s == REC_OK && j < n; j++)
                out->value[at++] = base + value[j];
            base += (uint32_t)facet_n_values(c, f);
        }
        out->n_values = base;
        size_t begin = out->ptr[i];
        if (s == REC_OK && at > begin)
            rec_sort(out->value + begin, at - begin, sizeof *out->value, by_number,
                     NULL);
        out->ptr[i + 1] = at;
    }
    return s;
}

static rec_status read_facets(run_state *r, rec_err *err) {
    const catalog *own = r->m->view->items, *base = r->t->base->view->items;
    const catalog *from[] = {own, base};
    int mix = -1;
    for (int i = 0; i < 2 && mix < 0; i++) {
        for (size_t f = 0; f < catalog_n_facets(from[i]); f++) {
            if (!is_text(from[i], f, -1)) continue;
            bool is_better = mix >= 0 && facet_kind(from[i], f) == FACET_MULTI &&
                             facet_kind(from[i], (size_t)mix) != FACET_MULTI;
            if (mix < 0 || is_better) mix = (int)f;
        }
        r->facets = from[i];
        r->facets_of_base = i == 1;
    }
    if (mix < 0) {
        r->facets = NULL;
        return REC_OK;
    }
    rec_status s = list_values(r->facets, -1, &r->all, err);
    return s == REC_OK ? list_values(r->facets, mix, &r->mix, err) : s;
}

/* ---- numbers ------------------------------------------------------------------------------------------------- */

static rec_status map_items(const catalog *from, const catalog *to, uint32_t **out,
                            rec_err *err) {
    size_t n = catalog_n_items(from);
    *out = rec_array(n, sizeof **out);
    if (!*out) return rec_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        rec_key key = catalog_key(from, i);
        (*out)[i] = catalog_find(to, &key);
    }
    return REC_OK;
}

static uint32_t view_of(const run_state *r, uint32_t base) {
    return r->to_view ? r->to_view[base] : base;
}

static uint32_t base_of(const run_state *r, uint32_t view) {
    return r->to_base ? r->to_base[view] : view;
}

static uint32_t facet_of(const run_state *r, uint32_t view) {
    return r->facets_of_base ? base_of(r, view) : view;
}

/* ---- one user ---------------------------------------------------------------------------------------------------- */

typedef struct asked {
    const run_state *r;
    const sq_block_user *u;
    size_t row;        /* of the table */
    uint32_t *top;     /* owned: the list, in numbers of the view */
    uint32_t *base;    /* owned: the same in those of the base; KEYS_NONE: not there */
    uint32_t *popular; /* owned: what the most popular items would give; base */
    uint32_t *test;    /* owned: relevant items in numbers of the view, for auc */
    uint32_t *some;    /* owned: those of one group */
    double *had, *mix; /* owned: [n_values] */
    float *scratch;    /* owned: [n_test] */
    size_t n_top, n_popular, n_test;
    const uint32_t *want; /* borrowed: relevant items, base */
    bool is_sampled;
} asked;

static void asked_clear(asked *a) {
    rec_free(a->top);
    rec_free(a->base);
    rec_free(a->popular);
    rec_free(a->test);
    rec_free(a->some);
    rec_free(a->had);
    rec_free(a->mix);
    rec_free(a->scratch);
}

static double alike_by_values(const void *ctx, uint32_t x, uint32_t y) {
    const run_state *r = ctx;
    uint32_t a = facet_of(r, x), b = facet_of(r, y);
    if (a == KEYS_NONE || b == KEYS_NONE) return 0;
    return metrics_jaccard(
        r->all.value + r->all.ptr[a], r->all.ptr[a + 1] - r->all.ptr[a],
        r->all.value + r->all.ptr[b], r->all.ptr[b + 1] - r->all.ptr[b]);
}

static double alike_by_users(const void *ctx, uint32_t x, uint32_t y) {
    const run_state *r = ctx;
    const size_t *ptr = r->t->who_ptr;
    uint32_t a = base_of(r, x), b = base_of(r, y);
    if (a == KEYS_NONE || b == KEYS_NONE) return 0;
    return metrics_cosine(r->t->who + ptr[a], ptr[a + 1] - ptr[a], r->t->who + ptr[b],
                          ptr[b + 1] - ptr[b]);
}

static void add_values(const value_sets *v, uint32_t item, double *mix) {
    if (item == KEYS_NONE) return;
    size_t n = v->ptr[item + 1] - v->ptr[item];
    for (size_t i = v->ptr[item]; i < v->ptr[item + 1]; i++)
        mix[v->value[i]] += 1 / (double)n;
}

static double calibration(const asked *a, size_t n) {
    const run_state *r = a->r;
    const bitmap *seen = &a->u->profile.seen;
    memset(a->had, 0, r->mix.n_values * sizeof *a->had);
    memset(a->mix, 0, r->mix.n_values * sizeof *a->mix);
    for (size_t w = 0; w < (seen->n_bit + 63) / 64; w++) {
        uint64_t word = seen->word[w];
        for (size_t i = w * 64; word; i++, word >>= 1)
            if (word & 1) add_values(&r->mix, facet_of(r, (uint32_t)i), a->had);
    }
    for (size_t i = 0; i < n; i++) add_values(&r->mix, facet_of(r, a->top[i]), a->mix);
    return metrics_calibration(a->had, a->mix, r->mix.n_values);
}

static void put(const asked *a, size_t m, double part, double count) {
    float *x = a->r->out->table.cell + (a->row * a->r->out->table.n_metric + m) * 2;
    if (isnan(part) || !(count > 0)) return;
    x[0] = (float)part;
    x[1] = (float)count;
}

/* Popularity of what was shown, over that of what the user had: two means of one ratio. */
static void put_lift(const asked *a, size_t m, size_t n) {
    const run_state *r = a->r;
    const bitmap *seen = &a->u->profile.seen;
    double shown = 0, had = 0;
    size_t n_had = 0;
    for (size_t i = 0; i < n; i++)
        shown += a->base[i] == KEYS_NONE ? 0 : r->t->degree[a->base[i]];
    for (size_t w = 0; w < (seen->n_bit + 63) / 64; w++) {
        uint64_t word = seen->word[w];
        for (size_t i = w * 64; word; i++, word >>= 1) {
            uint32_t item = word & 1 ? base_of(r, (uint32_t)i) : KEYS_NONE;
            if (item != KEYS_NONE) had += r->t->degree[item], n_had++;
        }
    }
    if (n && n_had && had > 0) put(a, m, shown / (double)n, had / (double)n_had);
}

/* KEYS_NONE stands for an item that the base does not have: it counts as never had. */
static double novelty(const asked *a, size_t n) {
    double bits = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t never = 0,
                 degree = a->base[i] == KEYS_NONE ? 0 : a->r->t->degree[a->base[i]];
        bits += degree ? metrics_novelty(&a->base[i], 1, a->r->t->degree,
                                         a->r->t->n_learned)
                       : metrics_novelty(&never, 1, &never, a->r->t->n_learned);
    }
    return n ? bits / (double)n : NAN;
}

static void put_list(const asked *a, size_t m) {
    const run_state *r = a->r;
    size_t k = r->out->k[m], n = a->n_top < k ? a->n_top : k;
    metrics_list l = {a->base, a->n_top, a->want, a->n_test};
    switch (r->out->metric[m]) {
    case EVAL_NOVELTY: put(a, m, novelty(a, n), 1); break;
    case EVAL_LIFT: put_lift(a, m, n); break;
    case EVAL_DIVERSITY:
        if (a->is_sampled)
            put(a, m,
                metrics_diversity(a->top, n,
                                  r->facets ? alike_by_values : alike_by_users, r),
                1);
        break;
    case EVAL_SERENDIPITY:
        if (a->n_test)
            put(a, m,
                metrics_serendipity(&l, a->popular, a->n_popular < k ? a->n_popular : k,
                                    k),
                1);
        break;
    case EVAL_CALIBRATION: put(a, m, calibration(a, n), 1); break;
    default: break;
    }
}

static void put_ranked(const asked *a, size_t m) {
    metrics_list l = {a->base, a->n_top, a->want, a->n_test};
    metrics_ranked x;
    uint8_t group = a->r->out->group[m];
    if (group) {
        l.test = a->some;
        l.n_test = 0;
        for (size_t i = 0; i < a->n_test; i++)
            if (a->r->t->group[a->want[i]] == group) a->some[l.n_test++] = a->want[i];
    }
    if (!l.n_test) return;
    metrics_rank(&l, a->r->out->k[m], &x);
    switch (a->r->out->metric[m]) {
    case EVAL_RECALL:
        put(a, m, a->r->t->options->is_min ? x.recall_min : x.recall, 1);
        break;
    case EVAL_NDCG: put(a, m, x.ndcg, 1); break;
    case EVAL_MAP: put(a, m, x.map, 1); break;
    case EVAL_MRR: put(a, m, x.mrr, 1); break;
    case EVAL_HIT: put(a, m, x.hit, 1); break;
    default: put(a, m, x.precision, 1); break;
    }
}

/* Over every candidate. */
static rec_status put_auc(const asked *a, size_t m, rec_err *err) {
    sq_scores scores;
    size_t n = 0;
    if (!a->is_sampled || !a->n_test) return REC_OK;
    rec_status s = sq_score(a->r->m->view, &a->u->profile, NULL, &scores, err);
    if (s != REC_OK) return s;
    for (size_t i = 0; i < a->n_test; i++) {
        uint32_t item = view_of(a->r, a->want[i]);
        if (item != KEYS_NONE) a->test[n++] = item;
    }
    rec_sort(a->test, n, sizeof *a->test, by_number, NULL);
    put(a, m, metrics_auc(scores.score, &a->u->allowed, a->test, n, a->scratch), 1);
    sq_scores_clear(&scores);
    return REC_OK;
}

/* Squared errors of all test ratings, liked or not. */
static rec_status put_rmse(const asked *a, size_t m, rec_err *err) {
    const eval_task *t = a->r->t;
    uint32_t u = t->user[a->row];
    size_t begin = t->test.ptr[u], n = t->test.ptr[u + 1] - begin;
    double sum = 0;
    sq_scores scores;
    rec_status s = sq_score(a->r->m->view, &a->u->profile, NULL, &scores, err);
    if (s != REC_OK) return s;
    size_t counted = 0;
    for (size_t i = begin; i < begin + n; i++) {
        uint32_t item = view_of(a->r, t->test.item[i]);
        if (item == KEYS_NONE) continue;
        double e = (double)scores.score[item] - (double)t->test.value[i];
        sum += e * e;
        counted++;
    }
    sq_scores_clear(&scores);
    put(a, m, sum, (double)counted);
    return REC_OK;
}

static rec_status asked_init(asked *a, rec_err *err) {
    const run_state *r = a->r;
    const eval_task *t = r->t;
    size_t most = a->u->found.n, k = t->options->k[t->options->n_k - 1];
    a->n_top = most;
    a->want = t->item + t->ptr[a->row];
    a->n_test = t->ptr[a->row + 1] - t->ptr[a->row];
    a->is_sampled =
        t->n_users <= EVAL_SAMPLE ||
        rec_mix(t->options->split.seed + rec_mix(t->user[a->row])) % t->n_users <
            EVAL_SAMPLE;
    a->top = rec_array(most, sizeof *a->top);
    a->base = rec_array(most, sizeof *a->base);
    a->popular = rec_array(k, sizeof *a->popular);
    a->test = rec_array(a->n_test, sizeof *a->test);
    a->some = rec_array(a->n_test, sizeof *a->some);
    a->scratch = rec_array(a->n_test, sizeof *a->scratch);
    a->had = rec_array(r->mix.n_values, sizeof *a->had);
    a->mix = rec_array(r->mix.n_values, sizeof *a->mix);
    if (!a->top || !a->base || !a->popular || !a->test || !a->some || !a->scratch ||
        !a->had || !a->mix)
        return rec_nomem(err);
    for (size_t i = 0; i < most; i++) {
        a->top[i] = r->m->view->tie_item[a->u->found.a[i].id];
        a->base[i] = base_of(r, a->top[i]);
    }
    for (size_t i = 0; a->n_popular < k && i < catalog_n_items(t->base->view->items);
         i++) {
        uint32_t item = view_of(r, t->popular[i]);
        if (item == KEYS_NONE || bitmap_has(&a->u->allowed, item))
            a->popular[a->n_popular++] = t->popular[i];
    }
    return REC_OK;
}

/* Where the relevant items stand; they are ascending. */
static void put_ranks(const asked *a) {
    uint32_t *rank = a->r->out->rank;
    if (!rank) return;
    rank += a->r->t->ptr[a->row];
    for (size_t p = 0; p < a->n_top; p++) {
        size_t lo = 0, hi = a->n_test;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (a->want[mid] < a->base[p])
                lo = mid + 1;
            else
                hi = mid;
        }
        if (lo < a->n_test && a->want[lo] == a->base[p]) rank[lo] = (uint32_t)p + 1;
    }
}

static rec_status measure(void *ctx, size_t begin, size_t end, int worker,
                          rec_err *err) {
    run_state *r = ctx;
    rec_status s = REC_OK;
    (void)worker;
    for (size_t i = begin; i < end && s == REC_OK; i++) {
        asked a = {.r = r, .u = &r->block.user[i], .row = r->first + i};
        s = asked_init(&a, err);
        if (s == REC_OK) put_ranks(&a);
        for (size_t m = 0; m < r->out->table.n_metric && s == REC_OK; m++) {
            eval_metric what = r->out->metric[m];
            if (what <= EVAL_PRECISION)
                put_ranked(&a, m);
            else if (what == EVAL_AUC)
                s = put_auc(&a, m, err);
            else if (what == EVAL_RMSE)
                s = put_rmse(&a, m, err);
            else
                put_list(&a, m);
        }
        asked_clear(&a);
    }
    return s;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------- */

static rec_status prepare(void *ctx, size_t begin, size_t end, int worker,
                          rec_err *err) {
    run_state *r = ctx;
    bool is_masked = !r->m->view->cfg.repeat && !r->t->options->is_unmasked;
    rec_status s = REC_OK;
    (void)worker;
    for (size_t i = begin; i < end && s == REC_OK; i++) {
        sq_block_user *u = &r->block.user[i];
        s = sq_copy_profile(r->m, &u->key, &u->profile, err);
        if (s == REC_OK) s = bitmap_init(&u->allowed, r->n_items, true, err);
        for (size_t w = 0; s == REC_OK && is_masked && w < (r->n_items + 63) / 64; w++)
            u->allowed.word[w] &= ~u->profile.seen.word[w];
    }
    return s;
}

static void count_shown(run_state *r) {
    const eval_options *o = r->t->options;
    for (size_t i = 0; i < r->block.n; i++) {
        const topk *f = &r->block.user[i].found;
        for (size_t j = 0; j < o->n_k; j++)
            for (size_t p = 0; p < f->n && p < o->k[j]; p++)
                r->shown[j * r->n_items + r->m->view->tie_item[f->a[p].id]]++;
    }
}

static rec_status run_blocks(run_state *r, rec_run *run, rec_err *err) {
    const eval_task *t = r->t;
    size_t k = t->options->k[t->options->n_k - 1];
    size_t each = r->n_items / 2 + k * 32 + 4096, most = EVAL_BLOCK_BYTES / each;
    if (most > EVAL_BLOCK_USERS) most = EVAL_BLOCK_USERS;
    if (most < EVAL_BLOCK_MIN) most = EVAL_BLOCK_MIN;
    rec_status s = sq_block_init(&r->block, r->m->view, k, err);
    for (r->first = 0; r->first < t->n_users && s == REC_OK; r->first += most) {
        size_t n = t->n_users - r->first < most ? t->n_users - r->first : most;
        sq_block_empty(&r->block);
        for (size_t i = 0; i < n && s == REC_OK; i++) {
            sq_block_user *ignored;
            rec_key key = keyset_get(t->base->users, t->user[r->first + i]);
            s = sq_block_add(&r->block, &key, &ignored, err);
        }
        if (s == REC_OK) s = threads_for(run, n, EVAL_GRAIN, prepare, r, err);
        double start = rec_seconds();
        if (s == REC_OK) s = sq_block_score(&r->block, run, err);
        r->out->seconds += rec_seconds() - start;
        if (s == REC_OK) s = threads_for(run, n, EVAL_GRAIN, measure, r, err);
        if (s == REC_OK) count_shown(r);
        run_progress(run, "evaluate", (double)(r->first + n) / (double)t->n_users);
    }
    return s;
}

static void finish_whole(run_state *r) {
    const eval_options *o = r->t->options;
    for (size_t m = 0; m < r->out->table.n_metric; m++) {
        if (!is_whole((int)r->out->metric[m])) continue;
        size_t j = 0;
        while (o->k[j] != r->out->k[m]) j++;
        uint32_t *shown = r->shown + j * r->n_items; /* gini comes last: it sorts */
        r->out->whole[m] = r->out->metric[m] == EVAL_COVERAGE
                               ? metrics_coverage(shown, r->n_items)
                               : metrics_gini(shown, r->n_items);
    }
}

static void state_clear(run_state *r) {
    sq_block_clear(&r->block);
    rec_free(r->all.ptr);
    rec_free(r->all.value);
    rec_free(r->mix.ptr);
    rec_free(r->mix.value);
    rec_free(r->to_base);
    rec_free(r->to_view);
    rec_free(r->shown);
}

rec_status eval_ask(const eval_task *t, sq_copy *m, eval_table *out, rec_run *run,
                    rec_err *err) {
    run_state r = {.t = t, .m = m, .out = out};
    size_t n;
    rec_status s = REC_OK;
    memset(out, 0, sizeof *out);
    r.n_items = catalog_n_items(m->view->items);
    if (m->view->items != t->base->view->items) {
        s = map_items(m->view->items, t->base->view->items, &r.to_base, err);
        if (s == REC_OK)
            s = map_items(t->base->view->items, m->view->items, &r.to_view, err);
    }
    if (s == REC_OK) s = read_facets(&r, err);
    if (s == REC_OK) s = shape_table(&r, err);
    if (s == REC_OK) {
        r.shown = rec_mul(r.n_items, t->options->n_k, &n)
                      ? rec_zeros(n, sizeof *r.shown)
                      : NULL;
        s = r.shown ? run_blocks(&r, run, err) : rec_nomem(err);
    }
    if (s == REC_OK) finish_whole(&r);
    state_clear(&r);
    if (s != REC_OK) eval_table_clear(out);
    return s;
}

rec_status eval_run(const eval_task *t, sq_copy *m, eval_table *out, rec_run *run,
                    rec_err *err) {
    memset(out, 0, sizeof *out);
    rec_status s = sq_copy_match(m, t->base, err);
    if (s == REC_OK) s = sq_copy_fit(m, &t->split, run, err);
    return s == REC_OK ? eval_ask(t, m, out, run, err) : s;
}

rec_status eval_goodness(const eval_task *t, const eval_table *of, double *out,
                         size_t *n_users, rec_run *run, rec_err *err) {
    boot_result r[EVAL_MAX_K];
    boot_spec spec = {.n_user = t->n_users, .level = .95};
    *out = NAN;
    *n_users = 0;
    if (of->table.n_metric == 0) return REC_OK;
    uint32_t *user = rec_array(t->n_users, sizeof *user);
    if (!user) return rec_nomem(err);
    for (uint32_t i = 0; i < t->n_users; i++) user[i] = i;
    spec.user = user;
    rec_status s = metrics_bootstrap(&of->table, &spec, r, run, err);
    if (s == REC_OK) {
        *out = of->metric[0] == EVAL_RMSE ? -r[0].value : r[0].value;
        *n_users = r[0].n_user;
    }
    rec_free(user);
    return s;
}

const char *eval_denominator(const eval_options *o, eval_metric m) {
    switch (m) {
    case EVAL_RECALL: return o->is_min ? "min(k,|test|)" : "|test|";
    case EVAL_NDCG:
    case EVAL_MAP: return "min(k,|test|)";
    case EVAL_PRECISION:
    case EVAL_SERENDIPITY: return "k";
    case EVAL_MRR:
    case EVAL_HIT: return "1";
    case EVAL_AUC: return "pairs";
    case EVAL_RMSE: return "ratings";
    case EVAL_COVERAGE: return "items";
    default: return NULL;
    }
}
