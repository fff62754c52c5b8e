/* sq_history.c - the interactions: all of them for a training, one user's for a query, all users in a stream.
 *
 *   SELECT t.user, t.item, t.value, t.time, t.event, (positive) FROM ratings AS t [WHERE t.user ..] [ORDER BY 1]
 *              |              `------------ signal_read -------'
 *        keys -> numbers          weight, value, time, used or only seen
 *
 * The same reader decodes a row for all three, so that a profile read at query time is what training saw.
 *
 * I1. A row whose user or item is NULL, or whose item is not in the catalogue, is skipped and counted.
 * I2. Every item that a row names is seen, also by rows that do not count for the profile.
 * I3. Rows come out in the order in which the table gives them: with equal times the later row is the last.
 */
#include "sq.h"

#include <math.h>

#define HISTORY_POLL_ROWS 256

typedef struct history {
    const sq_model_cfg *cfg;
    key_affinity user, item;
    const catalog *items;
    sqlite3_stmt *st; /* owned */
} history;

typedef struct history_row {
    bool has_row, has_user, is_used;
    char buf[32];
    rec_key user;     /* borrowed until the next step */
    interaction what; /* item KEYS_NONE: not in the catalogue */
} history_row;

enum {
    COLUMN_USER,
    COLUMN_ITEM,
    COLUMN_VALUE,
    COLUMN_TIME,
    COLUMN_EVENT,
    COLUMN_POSITIVE
};

static rec_status open_history(sq_conn *c, const char *schema, history *h,
                               const char *tail, rec_err *err) {
    const sq_model_cfg *cfg = h->cfg;
    sq_select q = {.schema = schema, .source = cfg->interactions, .tail = tail};
    char *safe = NULL;
    rec_status s = REC_OK;
    if (cfg->positive) {
        sq_columns t;
        s = sq_columns_read(c, schema, cfg->interactions, &t, err);
        if (s == REC_OK) s = sq_expr_write(cfg->positive, &t, &safe, err);
        sq_columns_clear(&t);
    }
    sq_select_column(&q, cfg->user);
    sq_select_column(&q, cfg->item);
    sq_select_column(&q, cfg->value);
    sq_select_column(&q, cfg->time);
    sq_select_column(&q, cfg->event);
    if (safe) sq_select_expr(&q, safe);
    if (s == REC_OK) s = sq_select_prepare(c, &q, &h->st, err);
    bytes_clear(&q.list);
    rec_free(safe);
    return s;
}

/* What the row means. A value that cannot be read is reported with the table and the keys. */
static rec_status read_signal(const history *h, const rec_key *item, history_row *out,
                              rec_err *err) {
    signal_row raw = {.value = sq_column_cell(h->st, COLUMN_VALUE),
                      .time = sq_column_cell(h->st, COLUMN_TIME),
                      .event = sq_column_cell(h->st, COLUMN_EVENT),
                      .is_positive = true};
    if (h->cfg->positive)
        raw.is_positive = sqlite3_column_int(h->st, COLUMN_POSITIVE) != 0;
    signal_out signal;
    rec_err why = {0};
    rec_status s = signal_read(&h->cfg->signal, &raw, &signal, &why);
    if (s == REC_RANGE) {
        char key[64];
        if (item->is_text)
            rec_format(key, sizeof key, "'%.*s'",
                       (int)(item->n_text < 40 ? item->n_text : 40), item->text);
        else
            rec_format(key, sizeof key, "%lld", (long long)item->i);
        return rec_fail(err, REC_RANGE, "%s: %s (item %s)", h->cfg->interactions,
                        why.msg, key);
    }
    if (s != REC_OK) return rec_fail(err, s, "%s", why.msg);
    out->is_used = signal.use;
    out->what.weight = signal.weight;
    out->what.value = signal.value;
    out->what.time = signal.time;
    return REC_OK;
}

static rec_status name_blob(const history *h, rec_status s, rec_err *err) {
    if (s != REC_RANGE) return s;
    return rec_fail(err, s, "%s: a key is an INTEGER or TEXT, found a BLOB",
                    h->cfg->interactions);
}

static rec_status next_row(history *h, history_row *out, rec_err *err) {
    char buf[32];
    rec_key item;
    memset(out, 0, sizeof *out);
    rec_status s = sq_step(h->st, h->cfg->interactions, &out->has_row, err);
    if (s != REC_OK || !out->has_row) return s;
    cell user_cell = sq_column_cell(h->st, COLUMN_USER);
    cell item_cell = sq_column_cell(h->st, COLUMN_ITEM);
    out->what.item = KEYS_NONE;
    out->has_user = sq_key(&user_cell, h->user, out->buf, &out->user, &s, err);
    if (s != REC_OK) return name_blob(h, s, err);
    if (!out->has_user) return REC_OK;
    bool has_item = sq_key(&item_cell, h->item, buf, &item, &s, err);
    if (s != REC_OK) return name_blob(h, s, err);
    if (!has_item) return REC_OK;
    out->what.item = catalog_find(h->items, &item);
    return out->what.item == KEYS_NONE ? REC_OK : read_signal(h, &item, out, err);
}

static rec_status append(sq_interactions *out, const interaction *row, rec_err *err) {
    rec_status s = rec_grow(&out->row, &out->cap, out->n + 1, sizeof *out->row, err);
    if (s == REC_OK) out->row[out->n++] = *row;
    return s;
}

void sq_interactions_clear(sq_interactions *x) {
    rec_free(x->row);
    memset(x, 0, sizeof *x);
}

/* ---- everything, for a training ------------------------------------------------------------------------- */

/* Users were numbered as they came: number them by key instead. */
static rec_status order_users(keyset *found, keyset **out, sq_interactions *rows,
                              rec_err *err) {
    size_t n = keyset_count(found);
    uint32_t *order = rec_array(n, sizeof *order), *place = rec_array(n, sizeof *place);
    keyset *sorted = keyset_new();
    rec_status s = order && place && sorted ? REC_OK : rec_nomem(err);
    if (s == REC_OK) s = keyset_order(found, order, err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        rec_key key = keyset_get(found, order[i]);
        s = keyset_add(sorted, &key, &place[order[i]], err);
    }
    for (size_t i = 0; i < rows->n && s == REC_OK; i++)
        rows->row[i].user = place[rows->row[i].user];
    rec_free(order);
    rec_free(place);
    if (s == REC_OK)
        *out = sorted;
    else
        keyset_free(sorted);
    return s;
}

static rec_status read_all(history *h, keyset *users, sq_interactions *out,
                           rec_run *run, rec_err *err) {
    history_row row;
    for (size_t n = 0;; n++) {
        rec_status s = next_row(h, &row, err);
        if (s != REC_OK || !row.has_row) return s;
        if (n % HISTORY_POLL_ROWS == 0 && (s = run_check(run, err)) != REC_OK) return s;
        if (!row.has_user || row.what.item == KEYS_NONE) {
            out->n_skipped++;
            continue;
        }
        out->n_rows++;
        if (!row.is_used) continue;
        s = keyset_add(users, &row.user, &row.what.user, err);
        if (s == REC_OK) s = append(out, &row.what, err);
        if (s != REC_OK) return s;
    }
}

rec_status sq_source_interactions(sq_conn *c, const char *schema,
                                  const sq_model_cfg *cfg, key_affinity user,
                                  key_affinity item, const catalog *items,
                                  keyset **users, sq_interactions *out, rec_run *run,
                                  rec_err *err) {
    history h = {cfg, user, item, items, NULL};
    keyset *found = keyset_new();
    *users = NULL;
    memset(out, 0, sizeof *out);
    rec_status s = found ? REC_OK : rec_nomem(err);
    if (s == REC_OK && cfg->interactions) s = open_history(c, schema, &h, "", err);
    if (s == REC_OK && cfg->interactions) s = read_all(&h, found, out, run, err);
    sqlite3_finalize(h.st);
    if (s == REC_OK) s = order_users(found, users, out, err);
    keyset_free(found);
    if (s != REC_OK) sq_interactions_clear(out);
    return s;
}

/* ---- one user, for a query ------------------------------------------------------------------------------------ */

static rec_status take_row(const history_row *row, sq_interactions *out, bitmap *seen,
                           rec_err *err) {
    if (row->what.item == KEYS_NONE) {
        out->n_skipped++;
        return REC_OK;
    }
    bitmap_set(seen, row->what.item);
    out->n_rows++;
    return row->is_used ? append(out, &row->what, err) : REC_OK;
}

rec_status sq_source_user(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                          const rec_key *user, const sq_keys *keys,
                          sq_interactions *out, bitmap *seen, rec_err *err) {
    history h = {cfg, keys->user, keys->item, keys->items, NULL};
    history_row row;
    char *tail = sqlite3_mprintf("WHERE t.\"%w\" IN (?1, ?2)", cfg->user);
    rec_status s = tail ? open_history(c, schema, &h, tail, err) : rec_nomem(err);
    if (s == REC_OK) s = sq_bind_key_twice(h.st, user, err);
    while (s == REC_OK && (s = next_row(&h, &row, err)) == REC_OK && row.has_row)
        if (row.has_user && key_compare(&row.user, user) == 0)
            s = take_row(&row, out, seen, err);
    sqlite3_finalize(h.st);
    sqlite3_free(tail);
    return s;
}

/* ---- user by user, in one pass ----------------------------------------------------------------------------------- */

struct sq_users {
    history h;
    history_row row; /* read ahead: the first row of the next user */
    char *text;      /* owned: the current user's key, if it is text */
    size_t cap;
    rec_key key;
};

rec_status sq_users_open(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                         const sq_keys *keys, sq_users **out, rec_err *err) {
    sq_users *u = rec_zeros(1, sizeof *u);
    char *tail = sqlite3_mprintf("ORDER BY t.\"%w\" COLLATE BINARY", cfg->user);
    *out = NULL;
    rec_status s = u && tail ? REC_OK : rec_nomem(err);
    if (s == REC_OK) {
        u->h = (history){cfg, keys->user, keys->item, keys->items, NULL};
        s = open_history(c, schema, &u->h, tail, err);
    }
    if (s == REC_OK) s = next_row(&u->h, &u->row, err);
    sqlite3_free(tail);
    if (s == REC_OK)
        *out = u;
    else
        sq_users_close(u);
    return s;
}

void sq_users_close(sq_users *u) {
    if (!u) return;
    sqlite3_finalize(u->h.st);
    rec_free(u->text);
    rec_free(u);
}

static rec_status hold_key(sq_users *u, rec_err *err) {
    u->key = u->row.user;
    if (!u->key.is_text) return REC_OK;
    rec_status s = rec_grow(&u->text, &u->cap, u->key.n_text + 1, 1, err);
    if (s != REC_OK) return s;
    memcpy(u->text, u->key.text, u->key.n_text);
    u->key.text = u->text;
    return REC_OK;
}

rec_status sq_users_next(sq_users *u, const rec_key **user, sq_interactions *out,
                         bitmap *seen, rec_err *err) {
    rec_status s = REC_OK;
    *user = NULL;
    out->n = 0;
    while (u->row.has_row && !u->row.has_user && s == REC_OK)
        s = next_row(&u->h, &u->row, err);
    if (s != REC_OK || !u->row.has_row) return s;
    s = hold_key(u, err);
    while (s == REC_OK && u->row.has_row && u->row.has_user &&
           key_compare(&u->row.user, &u->key) == 0) {
        s = take_row(&u->row, out, seen, err);
        if (s == REC_OK) s = next_row(&u->h, &u->row, err);
    }
    if (s == REC_OK) *user = &u->key;
    return s;
}
