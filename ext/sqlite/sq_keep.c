/* sq_keep.c - rec_train with keep_if: the stored model against a new one, on rows that neither has seen.
 *
 *   with time=      rows newer than the newest that the stored model was trained on
 *   without         the last pair of each user whose history has changed since then, or who is new
 *                        |
 *       new     a copy, fitted to all the other rows          --.
 *       stored  as it is, told of the same histories          --+--> the same users, the same items
 *
 * Rows that the stored model knows would flatter it: it is asked about none of them. If there are no others, nothing
 * speaks for a new model, and the old one stays.
 *
 * Invariants
 *   I1  Nothing is written.
 *   I2  Both models answer from the same histories, which hold none of the rows asked about.
 *
 * Cost: a fit and two batches of lists.
 */
#include "sq_eval.h"

#include <math.h>

/* Has the history of user u changed since the stored model was trained? */
static rec_status is_fresh(const sq_copy *m, sq_view *stored, uint32_t u, bool *yes,
                           rec_err *err) {
    rec_key key = keyset_get(m->users, u);
    sq_who who = {.user = &key};
    sq_profile p;
    rec_status s = sq_profile_start(stored, &who, &p, err);
    size_t n = m->ptr[u + 1] - m->ptr[u];
    if (s == REC_OK) s = rec_grow(&p.row, &p.cap, n, sizeof *p.row, err);
    if (s == REC_OK) {
        if (n) memcpy(p.row, m->row + m->ptr[u], n * sizeof *p.row);
        p.n = n;
        s = sq_profile_finish(stored, &p, err);
    }
    *yes = s == REC_OK && p.is_fresh;
    sq_profile_clear(&p);
    return s;
}

static bool has_two_items(const sq_copy *m, uint32_t u) {
    for (size_t i = m->ptr[u] + 1; i < m->ptr[u + 1]; i++)
        if (m->row[i].item != m->row[m->ptr[u]].item) return true;
    return false;
}

/* What may be asked. *n: how many rows or users there are. */
static rec_status find_unseen(const sq_copy *m, sq_view *stored, split_spec *spec,
                              uint8_t *may_ask, size_t *n, rec_err *err) {
    rec_status s = REC_OK;
    *n = 0;
    if (m->view->cfg.time && isfinite(stored->now)) {
        spec->kind = SPLIT_TEMPORAL;
        spec->cutoff = stored->now;
        for (size_t i = 0; i < m->ptr[m->n_users]; i++)
            *n += m->row[i].time > stored->now;
        return REC_OK;
    }
    spec->kind = SPLIT_LAST;
    spec->n_last = 1;
    spec->may_ask = may_ask;
    for (uint32_t u = 0; u < m->n_users && s == REC_OK; u++) {
        bool yes = false;
        if (has_two_items(m, u)) s = is_fresh(m, stored, u, &yes, err);
        may_ask[u] = yes;
        *n += yes;
    }
    return s;
}

static rec_status measure(eval_task *t, sq_copy *m, sq_view *stored, sq_verdict *out,
                          rec_run *run, rec_err *err) {
    eval_table table = {0};
    size_t n = 0;
    rec_status s = eval_run(t, m, &table, run, err);
    if (s == REC_OK) s = eval_goodness(t, &table, &out->now, &n, run, err);
    eval_table_clear(&table);
    sq_copy old = *m; /* the same histories */
    old.view = stored;
    if (s == REC_OK) s = eval_ask(t, &old, &table, run, err);
    if (s == REC_OK)
        s = eval_goodness(t, &table, &out->before, &out->n_users, run, err);
    eval_table_clear(&table);
    if (s == REC_OK && (isnan(out->now) || isnan(out->before))) out->n_users = 0;
    if (s == REC_OK && out->n_users) out->is_worse = !(out->now >= out->before);
    return s;
}

static rec_status compare(sq_copy *m, sq_view *stored, eval_options *o, sq_verdict *out,
                          rec_run *run, rec_err *err) {
    eval_task task = {0};
    size_t n = 0;
    uint8_t *may_ask = rec_zeros(m->n_users, sizeof *may_ask);
    rec_status s = may_ask ? REC_OK : rec_nomem(err);
    if (s == REC_OK &&
        catalog_n_items(m->view->items) != catalog_n_items(stored->items))
        s = rec_fail(err, REC_IO, "rec_train: the items of %s changed meanwhile",
                     stored->name);
    if (s == REC_OK) s = find_unseen(m, stored, &o->split, may_ask, &n, err);
    if (s == REC_OK && n) s = eval_task_init(&task, stored->conn, m, o, run, err);
    if (s == REC_OK && n) s = measure(&task, m, stored, out, run, err);
    eval_task_clear(&task);
    rec_free(may_ask);
    return s;
}

rec_status sq_keep_check(sq_conn *c, const char *schema, const char *name,
                         const char *metric, rec_run *run, sq_verdict *out,
                         rec_err *err) {
    sq_copy *m = NULL;
    sq_view *stored = NULL;
    eval_options o;
    *out = (sq_verdict){.before = NAN, .now = NAN, .is_worse = true};
    char *full = sqlite3_mprintf("\"%w\".\"%w\"", schema, name);
    rec_status s = full ? REC_OK : rec_nomem(err);
    if (s == REC_OK) s = eval_options_read("rec_train", NULL, &o, err);
    if (s == REC_OK) s = eval_metric_read("rec_train", metric, &o, err);
    o.n_times = 0;
    if (s == REC_OK) s = sq_view_open(c, full, &stored, err);
    if (s == REC_OK) s = sq_copy_read(c, NULL, full, run, &m, err);
    if (s == REC_OK) s = compare(m, stored, &o, out, run, err);
    sq_copy_close(m);
    sq_view_close(stored);
    sqlite3_free(full);
    return s;
}
