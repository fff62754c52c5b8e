/* sq_copy.c - a model made anew in memory from what a split leaves for training. Nothing is written.
 *
 *   definition, items, interactions      read once, as a training reads them
 *        |  sq_copy_match    numbers of users and items in the split, by key
 *        |  split_of         train | profile | test | none, for each row
 *        v
 *      dataset --fit--> model --> view     as if the table held the training rows alone
 *
 *   hybrid:  a copy of each member, split by the same pairs, whatever table the member reads;
 *            weights that training finds are found again, within the training rows (sq_gate_fit.c)
 *
 * A view of a copy answers like that of a trained model (sq_score, sq_block), but for what it is told: histories come
 * from the rows in memory, never from a table.
 *
 * Invariants
 *   I1  no row of PART_TEST or PART_NONE reaches a fit or a profile.
 *   I2  items of the model, of the view and of the catalogue have the same numbers.
 *   I3  rows of a user stand in table order.
 *
 * Cost: that of a training; 25 bytes a row, and once more while it is fitted.
 */
#include "sq_eval.h"

#include <math.h>

void sq_copy_close(sq_copy *m) {
    if (!m) return;
    sq_view_close(m->view); /* before its members */
    for (size_t i = 0; i < m->n_member; i++) sq_copy_close(m->member[i]);
    if (m->model) m->model->ops->close(m->model);
    if (m->popularity) m->popularity->ops->close(m->popularity);
    sq_gate_items_clear(&m->gate_items);
    corpus_free(m->docs);
    keyset_free(m->users);
    rec_free(m->row);
    rec_free(m->ptr);
    rec_free(m->part);
    rec_free(m->user_at);
    rec_free(m->item_at);
    rec_free(m);
}

sq_copy *sq_copy_base(sq_copy *m) {
    if (m->ptr) return m;
    for (size_t i = 0; i < m->n_member; i++) {
        sq_copy *found = sq_copy_base(m->member[i]);
        if (found) return found;
    }
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* Found pointers last until the next statement only. */
static rec_status read_definition(sq_conn *c, const char *in_schema, const char *name,
                                  sq_view *v, rec_err *err) {
    const sq_table *t;
    rec_status s = sq_table_find(c, in_schema, name, &t, err);
    if (s != REC_OK) return s;
    v->conn = c;
    v->schema = rec_strdup(t->schema);
    v->name = rec_strdup(t->name);
    if (!v->schema || !v->name) return rec_nomem(err);
    s = sq_table_config(c, t, NULL, &v->cfg, err);
    if (s == REC_OK) s = sq_table_find(c, in_schema, name, &t, err);
    return s == REC_OK
               ? sq_table_affinity(c, t, &v->user_affinity, &v->item_affinity, err)
               : s;
}

/* Stable counting sort by user, in place of the rows. */
static rec_status group_rows(sq_copy *m, sq_interactions *rows, rec_err *err) {
    m->n_users = (uint32_t)keyset_count(m->users);
    m->ptr = rec_zeros((size_t)m->n_users + 1, sizeof *m->ptr);
    m->row = rec_array(rows->n, sizeof *m->row);
    m->part = rec_zeros(rows->n, sizeof *m->part);
    size_t *at = rec_zeros((size_t)m->n_users + 1, sizeof *at);
    if (!m->ptr || !m->row || !m->part || !at) {
        rec_free(at);
        return rec_nomem(err);
    }
    for (size_t i = 0; i < rows->n; i++) m->ptr[rows->row[i].user + 1]++;
    for (uint32_t u = 0; u < m->n_users; u++) at[u + 1] = m->ptr[u + 1] += m->ptr[u];
    for (size_t i = 0; i < rows->n; i++) m->row[at[rows->row[i].user]++] = rows->row[i];
    rec_free(at);
    return REC_OK;
}

static rec_status number_items(sq_view *v, rec_err *err) { /* I2 */
    size_t n = catalog_n_items(v->items);
    v->model_item = rec_array(n, sizeof *v->model_item);
    v->catalog_item = rec_array(n, sizeof *v->catalog_item);
    if (!v->model_item || !v->catalog_item) return rec_nomem(err);
    for (size_t i = 0; i < n; i++) v->model_item[i] = v->catalog_item[i] = (uint32_t)i;
    return sq_tie_order(v->items, &v->tie_item, err);
}

static rec_status read_tables(sq_copy *m, rec_run *run, rec_err *err) {
    sq_view *v = m->view;
    sq_items items = {.want_docs = sq_wants_text(&v->cfg)};
    sq_interactions rows = {0};
    rec_status s = sq_source_catalog(v->conn, v->schema, &v->cfg, v->item_affinity,
                                     &items, run, err);
    v->items = items.items;
    m->docs = items.docs;
    if (s == REC_OK)
        s = sq_source_interactions(v->conn, v->schema, &v->cfg, v->user_affinity,
                                   v->item_affinity, v->items, &m->users, &rows, run,
                                   err);
    if (s == REC_OK && v->cfg.interactions) s = group_rows(m, &rows, err);
    sq_interactions_clear(&rows);
    return s == REC_OK ? number_items(v, err) : s;
}

static rec_status read_copy(sq_conn *c, const char *in_schema, const char *name,
                            rec_run *run, sq_copy *m, rec_err *err);

static rec_status read_members(sq_copy *m, rec_run *run, rec_err *err) {
    sq_view *v = m->view;
    rec_status s = REC_OK;
    for (size_t i = 0; i < v->cfg.n_member && s == REC_OK; i++) {
        sq_copy *one = m->member[i] = rec_zeros(1, sizeof *one);
        if (!one) return rec_nomem(err);
        m->n_member++;
        s = read_copy(v->conn, v->schema, v->cfg.member[i].model, run, one, err);
        if (s != REC_OK) break;
        v->member[i].view = one->view;
        one->view->n_ref++;
        v->n_member++;
        if (i == 0) {
            v->user_affinity = one->view->user_affinity;
            v->item_affinity = one->view->item_affinity;
        }
        if (one->view->item_affinity != v->item_affinity)
            s = rec_fail(err, REC_RANGE,
                         "%s: item keys are INTEGER in one member and TEXT in another",
                         v->name);
    }
    return s == REC_OK ? sq_view_blend(v, run, err) : s;
}

static rec_status read_copy(sq_conn *c, const char *in_schema, const char *name,
                            rec_run *run, sq_copy *m, rec_err *err) {
    sq_frame frame = {0};
    sq_view *v = m->view = rec_zeros(1, sizeof *v);
    if (!v) return rec_nomem(err);
    v->n_ref = 1;
    v->now = v->liked_value = NAN;
    rec_status s = read_definition(c, in_schema, name, v, err);
    if (s == REC_OK) s = sq_enter(c, &frame, v->schema, v->name, err);
    if (s == REC_OK)
        s = v->cfg.ops->needs & MODEL_NEEDS_MEMBERS ? read_members(m, run, err)
                                                    : read_tables(m, run, err);
    sq_leave(c, &frame);
    return s;
}

rec_status sq_copy_read(sq_conn *c, const char *in_schema, const char *name,
                        rec_run *run, sq_copy **out, rec_err *err) {
    *out = rec_zeros(1, sizeof **out);
    return *out ? read_copy(c, in_schema, name, run, *out, err) : rec_nomem(err);
}

/* ---- numbers of the split --------------------------------------------------------------------------- */

/* The same key where keys are stored as `to`. */
static bool key_as(const rec_key *key, key_affinity to, char buf[32], rec_key *out) {
    rec_status ignored = REC_OK;
    cell c = sq_key_cell(key);
    return sq_key(&c, to, buf, out, &ignored, NULL);
}

static rec_status match_leaf(sq_copy *m, const sq_copy *base, rec_err *err) {
    const sq_view *v = m->view, *to = base->view;
    size_t n_items = catalog_n_items(v->items);
    char buf[32];
    rec_key other;
    if (m == base || !m->ptr || m->user_at) return REC_OK;
    m->user_at = rec_array(m->n_users, sizeof *m->user_at);
    m->item_at = rec_array(n_items, sizeof *m->item_at);
    if (!m->user_at || !m->item_at) return rec_nomem(err);
    for (uint32_t u = 0; u < m->n_users; u++) {
        rec_key key = keyset_get(m->users, u);
        m->user_at[u] = key_as(&key, to->user_affinity, buf, &other)
                            ? keyset_find(base->users, &other)
                            : KEYS_NONE;
    }
    for (uint32_t i = 0; i < n_items; i++) {
        rec_key key = catalog_key(v->items, i);
        m->item_at[i] = key_as(&key, to->item_affinity, buf, &other)
                            ? catalog_find(to->items, &other)
                            : KEYS_NONE;
    }
    return REC_OK;
}

rec_status sq_copy_match(sq_copy *m, const sq_copy *base, rec_err *err) {
    rec_status s = match_leaf(m, base, err);
    for (size_t i = 0; i < m->n_member && s == REC_OK; i++)
        s = sq_copy_match(m->member[i], base, err);
    return s;
}

/* ---- fitting ---------------------------------------------------------------------------------------------- */

/* The rows for training, users numbered anew without those that have none. */
static rec_status take_training(sq_copy *m, const split *s, interaction **out,
                                size_t *n, uint32_t *n_users, rec_err *err) {
    size_t all = m->ptr ? m->ptr[m->n_users] : 0;
    *n = 0;
    *n_users = 0;
    *out = rec_array(all, sizeof **out);
    if (!*out) return rec_nomem(err);
    for (uint32_t u = 0; m->ptr && u < m->n_users; u++) {
        size_t before = *n;
        uint32_t as = m->user_at ? m->user_at[u] : u;
        for (size_t i = m->ptr[u]; i < m->ptr[u + 1]; i++) {
            uint32_t item = m->item_at ? m->item_at[m->row[i].item] : m->row[i].item;
            m->part[i] = (uint8_t)split_of(s, as, item, m->row[i].time);
            if (m->part[i] != PART_TRAIN) continue;
            (*out)[*n] = m->row[i];
            (*out)[(*n)++].user = *n_users;
        }
        if (*n > before) ++*n_users;
    }
    return REC_OK;
}

static rec_status refuse_empty(const sq_copy *m, size_t n, rec_err *err) {
    const sq_model_cfg *cfg = &m->view->cfg;
    if (catalog_n_items(m->view->items) == 0)
        return rec_fail(err, REC_RANGE, "%s: there are no items", m->view->name);
    if (n || !(cfg->ops->needs & MODEL_NEEDS_INTERACTIONS)) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "%s: the split leaves no row of %s to learn from; algorithm=%s "
                    "learns from interactions",
                    m->view->name, cfg->interactions, cfg->ops->name);
}

static void drop_model(sq_copy *m) {
    if (m->model) m->model->ops->close(m->model);
    if (m->popularity) m->popularity->ops->close(m->popularity);
    m->model = m->popularity = m->view->model = m->view->popularity = NULL;
}

static rec_status fit_leaf(sq_copy *m, const split *s, rec_run *run, rec_err *err) {
    sq_view *v = m->view;
    interaction *row = NULL;
    size_t n;
    uint32_t n_users;
    dataset d = {0};
    drop_model(m);
    rec_status st = take_training(m, s, &row, &n, &n_users, err);
    if (st == REC_OK) st = refuse_empty(m, n, err);
    if (st == REC_OK)
        st = dataset_build(&v->cfg.signal, row, n, n_users,
                           (uint32_t)catalog_n_items(v->items), &d, err);
    rec_free(row);
    d.docs = m->docs;
    d.items = v->items;
    sq_embedding outside = {.c = v->conn, .schema = v->schema, .name = v->name};
    sq_embed_start(&outside);
    model_fit_args args = {.data = &d,
                           .options = &v->cfg.options,
                           .seed = v->cfg.seed,
                           .run = run,
                           .env = &outside.env};
    if (st == REC_OK) st = sq_fit_room(v->name, v->cfg.ops, &args, err);
    if (st == REC_OK) st = v->cfg.ops->fit(&args, &m->model, err);
    sq_embed_end(&outside);
    if (st == REC_OK) st = sq_fit_popularity(&d, v->cfg.seed, run, &m->popularity, err);
    v->model = m->model;
    v->popularity = m->popularity;
    v->now = d.now;
    if (st == REC_OK) v->liked_value = sq_typical_liking(&d);
    m->n_trained = d.n;
    m->n_trained_users = n_users;
    dataset_clear(&d);
    return st;
}

/* Weights first: they need members that know less. */
static rec_status fit_gate(sq_copy *m, const split *s, rec_run *run, rec_err *err) {
    if (!sq_gate_is_fitted(&m->view->cfg)) return REC_OK;
    m->view->gate = NULL;
    sq_gate_items_clear(&m->gate_items);
    return sq_gate_fit(m, s, &m->gate, &m->gate_items, run, err);
}

static rec_status use_gate(sq_copy *m, rec_err *err) {
    if (!sq_gate_is_fitted(&m->view->cfg)) return REC_OK;
    return sq_gate_use(m->view, &m->gate, &m->gate_items, err);
}

rec_status sq_copy_fit(sq_copy *m, const split *s, rec_run *run, rec_err *err) {
    double start = rec_seconds();
    rec_status st = m->n_member ? fit_gate(m, s, run, err) : fit_leaf(m, s, run, err);
    for (size_t i = 0; i < m->n_member && st == REC_OK; i++)
        st = sq_copy_fit(m->member[i], s, run, err);
    if (st == REC_OK && m->n_member) st = use_gate(m, err);
    if (st == REC_OK) st = run_check(run, err);
    m->seconds = rec_seconds() - start;
    return st;
}

/* ---- profiles ------------------------------------------------------------------------------------------------- */

static rec_status leaf_profile(const sq_copy *m, const rec_key *user, sq_profile *out,
                               rec_err *err) {
    char buf[32];
    rec_key own;
    uint32_t u = KEYS_NONE;
    rec_status s = sq_profile_start(m->view, NULL, out, err);
    if (s != REC_OK || !m->ptr) return s;
    if (key_as(user, m->view->user_affinity, buf, &own))
        u = keyset_find(m->users, &own);
    size_t begin = u < m->n_users ? m->ptr[u] : 0,
           end = u < m->n_users ? m->ptr[u + 1] : 0;
    s = rec_grow(&out->row, &out->cap, end - begin, sizeof *out->row, err);
    for (size_t i = begin; s == REC_OK && i < end; i++) {
        if (m->part[i] != PART_TRAIN && m->part[i] != PART_PROFILE) continue;
        out->row[out->n++] = m->row[i];
        bitmap_set(&out->seen, m->row[i].item);
    }
    return s == REC_OK ? sq_profile_finish(m->view, out, err) : s;
}

/* What a member saw, in the numbers of the hybrid. */
static void gather_seen(const sq_view *v, const sq_view *member, const bitmap *from,
                        bitmap *to) {
    for (size_t w = 0; w < (from->n_bit + 63) / 64; w++) {
        uint64_t word = from->word[w];
        for (size_t i = w * 64; word; i++, word >>= 1) {
            if (!(word & 1)) continue;
            rec_key key = catalog_key(member->items, (uint32_t)i);
            uint32_t item = catalog_find(v->items, &key);
            if (item != KEYS_NONE) bitmap_set(to, item);
        }
    }
}

rec_status sq_copy_profile(const sq_copy *m, const rec_key *user, sq_profile *out,
                           rec_err *err) {
    if (!m->n_member) return leaf_profile(m, user, out, err);
    rec_status s = sq_profile_start(m->view, NULL, out, err);
    if (s != REC_OK) return s;
    out->member = rec_zeros(m->n_member, sizeof *out->member);
    if (!out->member) return rec_nomem(err);
    for (size_t i = 0; i < m->n_member && s == REC_OK; i++) {
        out->n_member = i + 1;
        s = sq_copy_profile(m->member[i], user, &out->member[i], err);
        if (s == REC_OK)
            gather_seen(m->view, m->member[i]->view, &out->member[i].seen, &out->seen);
    }
    return s;
}
