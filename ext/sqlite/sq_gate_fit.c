/* sq_gate_fit.c - the weights of a hybrid's members, from rows that none of them has seen.
 *
 *   members --sq_copy--> twins in memory, fitted without the last tenth of each user's history
 *                             |  lists for the users (sq_gate.c)
 *   the held rows ----------> questions with answers --gate_fit--> gate
 *
 * The stored members know the held rows, so they cannot be asked; the twins have the same definition and nine tenths of
 * the rows. A random tenth would flatter: what comes next is further away than what lies between (newest by time=,
 * without times by the order of the rows).
 *
 * gate=learned must know what to do for a user with three ratings, and the table may have none: so of every second user
 * all but the first 1, 3, 5 or 10 are held out, in turn; and where there are few users, the whole is done again with
 * others and with a longer end held out, up to GATE_MOST_ROUNDS times.
 *
 * Invariants
 *   I1  within an outer split (an evaluation), nothing but its training rows is looked at;
 *   I2  the same tables give the same gate, on any number of threads;
 *   I3  nothing is written.
 *
 * Cost: a training of every member (a round), lists for GATE_MOST_USERS users, and gate_fit.
 */
#include "sq_eval.h"

#include <math.h>

#define GATE_SHARE        .1
#define GATE_MOST_USERS   6000
#define GATE_MOST_LEARNED 3000
#define GATE_BLOCK_USERS  512
#define GATE_LONG_HISTORY 20 /* rows from which on a user may be asked as a new one */
#define GATE_LEAST_USERS  50 /* such users, else all are asked */
#define GATE_NEW_ONE_IN   2
#define GATE_WANTED       2400 /* gate=learned: questions, if there are users enough */
#define GATE_MOST_ROUNDS  4
static const uint32_t new_histories[] = {1, 3, 5, 10};

typedef struct fitting {
    sq_copy *m, *base;
    eval_options options;
    eval_task task;
    uint32_t *keep;   /* owned */
    uint8_t *may_ask; /* owned */
    gate_set *set;    /* owned */
    uint32_t *want;   /* owned: relevant items in numbers of the hybrid */
    sq_block block;   /* users with profiles */
    bool is_learned;
    uint32_t round;
} fitting;

static void fitting_clear(fitting *f) {
    eval_task_clear(&f->task);
    eval_options_clear(&f->options);
    gate_set_free(f->set);
    rec_free(f->keep);
    rec_free(f->may_ask);
    rec_free(f->want);
    sq_block_clear(&f->block);
}

/* The member that has the most rows: one that takes good ratings only knows less of who is new. */
static void widest(sq_copy *m, sq_copy **best) {
    size_t n = m->ptr ? m->ptr[m->n_users] : 0;
    if (m->ptr && (!*best || n > (*best)->ptr[(*best)->n_users])) *best = m;
    for (size_t i = 0; i < m->n_member; i++) widest(m->member[i], best);
}

/* ---- who is asked about what ------------------------------------------------------------------------ */

/* Who has few rows in all cannot show what comes after few rows: their one held row is the next of a sitting, and near
 * the one before. They are asked only if nobody else is there. */
static rec_status draw_old(fitting *f, rec_err *err) {
    const sq_copy *b = f->base;
    size_t n = 0;
    if (!f->may_ask) f->may_ask = rec_zeros(b->n_users, sizeof *f->may_ask);
    if (!f->may_ask) return rec_nomem(err);
    for (uint32_t u = 0; u < b->n_users; u++)
        n += f->may_ask[u] = b->ptr[u + 1] - b->ptr[u] >= GATE_LONG_HISTORY;
    f->options.split.may_ask = n >= GATE_LEAST_USERS ? f->may_ask : NULL;
    return REC_OK;
}

static rec_status draw_new(fitting *f, rec_err *err) {
    if (!f->keep) f->keep = rec_zeros(f->base->n_users, sizeof *f->keep);
    if (!f->keep) return rec_nomem(err);
    for (uint32_t u = 0; u < f->base->n_users; u++) {
        f->keep[u] = 0;
        uint64_t h = rec_mix(rec_mix(f->m->view->cfg.seed + f->round) ^ u);
        if (h % GATE_NEW_ONE_IN == 0)
            f->keep[u] =
                new_histories[h / GATE_NEW_ONE_IN %
                              (sizeof new_histories / sizeof new_histories[0])];
    }
    f->options.split.keep = f->keep;
    return REC_OK;
}

static rec_status choose(fitting *f, const split *within, rec_run *run, rec_err *err) {
    rec_status s = eval_options_read("rec_train", NULL, &f->options, err);
    if (s != REC_OK) return s;
    f->options.split = (split_spec){.kind = SPLIT_LAST,
                                    .share = GATE_SHARE * (f->round + 1),
                                    .cutoff = NAN,
                                    .within = within,
                                    .seed = f->m->view->cfg.seed};
    f->options.most_users = f->is_learned ? GATE_MOST_LEARNED : GATE_MOST_USERS;
    if (f->is_learned) s = draw_old(f, err);
    if (s == REC_OK && f->is_learned) s = draw_new(f, err);
    if (s == REC_OK)
        s = eval_task_init(&f->task, f->m->view->conn, f->base, &f->options, run, err);
    return s;
}

/* Users of each item and when it was first seen, among the rows that are learned from. */
static rec_status count_items(const sq_copy *base, const split *s, sq_gate_items *out,
                              rec_err *err) {
    const catalog *items = base->view->items;
    size_t n = catalog_n_items(items);
    uint32_t at;
    out->keys = keyset_new();
    out->popular = rec_zeros(n, sizeof *out->popular);
    out->first = rec_array(n, sizeof *out->first);
    out->now = NAN;
    rec_status st = out->keys && out->popular && out->first ? REC_OK : rec_nomem(err);
    for (uint32_t i = 0; i < n && st == REC_OK; i++) {
        rec_key key = catalog_key(items, i);
        st = keyset_add(out->keys, &key, &at, err);
        out->first[i] = NAN;
    }
    for (size_t i = 0; st == REC_OK && i < base->ptr[base->n_users]; i++) {
        const interaction *r = &base->row[i];
        if (s && split_of(s, r->user, r->item, r->time) != PART_TRAIN) continue;
        out->popular[r->item]++;
        if (!(out->first[r->item] <= r->time)) out->first[r->item] = r->time;
        if (!(out->now >= r->time)) out->now = r->time;
    }
    return st;
}

/* ---- questions ------------------------------------------------------------------------------------------ */

static rec_status read_profiles(void *ctx, size_t begin, size_t end, int worker,
                                rec_err *err) {
    fitting *f = ctx;
    rec_status s = REC_OK;
    (void)worker;
    for (size_t i = begin; i < end && s == REC_OK; i++)
        s = sq_copy_profile(f->m, &f->block.user[i].key, &f->block.user[i].profile,
                            err);
    return s;
}

static int ascending(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

/* Relevant items of the user at row `at` of the task, in numbers of the hybrid; returns how many. */
static size_t wanted(fitting *f, size_t at) {
    const eval_task *t = &f->task;
    size_t n = 0;
    for (size_t i = t->ptr[at]; i < t->ptr[at + 1]; i++) {
        rec_key key = catalog_key(f->base->view->items, t->item[i]);
        uint32_t item = catalog_find(f->m->view->items, &key);
        if (item != KEYS_NONE) f->want[n++] = item;
    }
    rec_sort(f->want, n, sizeof *f->want, ascending, NULL);
    return n;
}

static rec_status add_block(fitting *f, size_t first, rec_run *run, rec_err *err) {
    sq_view *v = f->m->view;
    size_t n = f->block.n;
    double prior[HYBRID_MAX_MEMBERS];
    rec_status s = threads_for(run, n, 1, read_profiles, f, err);
    gate_list *list = rec_zeros(n * v->n_member, sizeof *list);
    if (s == REC_OK && !list) s = rec_nomem(err);
    if (s == REC_OK) s = sq_gate_lists(v, f->block.user, n, list, run, err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        gate_ask ask;
        size_t n_want = wanted(f, first + i);
        sq_gate_ask(v, &f->block.user[i].profile, list + i * v->n_member, prior, false,
                    &ask);
        gate_prepare(&ask);
        s = gate_set_add(f->set, &ask, f->want, n_want, err);
    }
    sq_gate_free(list, list ? n * v->n_member : 0);
    rec_free(list);
    return s;
}

static rec_status ask_all(fitting *f, rec_run *run, rec_err *err) {
    const eval_task *t = &f->task;
    rec_status s = REC_OK;
    f->block.view = f->m->view;
    f->want = rec_array(f->task.test.n, sizeof *f->want);
    if (!f->want) return rec_nomem(err);
    for (size_t first = 0; first < t->n_users && s == REC_OK;
         first += GATE_BLOCK_USERS) {
        sq_block_empty(&f->block);
        for (size_t i = first; i < t->n_users && i < first + GATE_BLOCK_USERS; i++) {
            sq_block_user *u;
            rec_key key = keyset_get(f->base->users, t->user[i]);
            if (s == REC_OK) s = sq_block_add(&f->block, &key, &u, err);
        }
        if (s == REC_OK) s = add_block(f, first, run, err);
        if (s == REC_OK) s = run_check(run, err);
        run_progress(run, "lists", (double)first / (double)t->n_users);
    }
    rec_free(f->want);
    f->want = NULL;
    return s;
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

/* Epochs of twins do not belong into the log of the hybrid. */
static rec_status fit_members(sq_copy *m, const split *s, rec_run *run, rec_err *err) {
    rec_status st = REC_OK;
    void (*log)(void *, const rec_log_row *) = run ? run->log : NULL;
    if (run) run->log = NULL;
    for (size_t i = 0; i < m->n_member && st == REC_OK; i++)
        st = sq_copy_fit(m->member[i], s, run, err);
    if (run) run->log = log;
    return st;
}

static void report(const fitting *f, const gate_figures *g, double seconds,
                   rec_run *run) {
    const char *name[] = {"ndcg@20", "recall@20", "ndcg@20 best member",
                          "ndcg@20 equal weights"};
    double value[] = {g->ndcg, g->recall, g->best, g->equal};
    for (int i = 0; i < 4; i++) {
        rec_log_row row = {.phase = f->is_learned ? "gate=learned" : "gate=weighted",
                           .epoch = 1,
                           .loss = NAN,
                           .metric = name[i],
                           .value = value[i],
                           .seconds = seconds};
        run_log(run, &row);
    }
}

static rec_status refuse_nothing(const sq_copy *m, rec_err *err) {
    return rec_fail(err, REC_RANGE,
                    "%s: gate=%s finds its weights in rows that the members have not "
                    "seen, and no list of theirs holds one; set them, as in "
                    "gate='weighted(.5)'",
                    m->view->name, opt_text(&m->view->cfg.options, "gate"));
}

/* Twins that know less, and what they say of the rest. */
static rec_status run_round(fitting *f, const split *within, rec_run *run,
                            rec_err *err) {
    sq_view *v = f->m->view;
    sq_gate_items items = {0};
    hybrid_gate equal = {.n_member = (uint32_t)f->m->n_member};
    rec_status s = choose(f, within, run, err);
    if (s == REC_OK) s = fit_members(f->m, &f->task.split, run, err);
    if (s == REC_OK && f->is_learned)
        s = count_items(f->base, &f->task.split, &items, err);
    if (s == REC_OK) s = sq_gate_use(v, &equal, &items, err);
    if (s == REC_OK) s = ask_all(f, run, err);
    v->gate = NULL;
    sq_gate_items_clear(&items);
    eval_task_clear(&f->task);
    eval_options_clear(&f->options);
    return s;
}

/* Few users are asked several times, about other parts of their histories. */
static uint32_t n_rounds(const fitting *f) {
    size_t n = f->base->n_users ? f->base->n_users : 1;
    size_t rounds = f->is_learned ? GATE_WANTED / n + 1 : 1;
    return (uint32_t)(rounds < GATE_MOST_ROUNDS ? rounds : GATE_MOST_ROUNDS);
}

rec_status sq_gate_fit(sq_copy *m, const split *within, hybrid_gate *out,
                       sq_gate_items *items, rec_run *run, rec_err *err) {
    double start = rec_seconds();
    gate_figures figures;
    fitting f = {.m = m};
    f.is_learned = strcmp(opt_text(&m->view->cfg.options, "gate"), "learned") == 0;
    widest(m, &f.base);
    if (!f.base)
        return rec_fail(err, REC_RANGE,
                        "%s: none of its members has interactions to learn a gate from",
                        m->view->name);
    rec_status s = sq_copy_match(m, f.base, err);
    f.set = gate_set_new(m->n_member, f.is_learned);
    if (s == REC_OK && !f.set) s = rec_nomem(err);
    uint32_t rounds = n_rounds(&f);
    for (; f.round < rounds && s == REC_OK; f.round++)
        s = run_round(&f, within, run, err);
    if (s == REC_OK && gate_set_n(f.set) == 0) s = refuse_nothing(m, err);
    if (s == REC_OK) s = gate_fit(f.set, out, &figures, run, err);
    if (s == REC_OK && f.is_learned) s = count_items(f.base, within, items, err);
    if (s == REC_OK) report(&f, &figures, rec_seconds() - start, run);
    fitting_clear(&f);
    return s;
}
