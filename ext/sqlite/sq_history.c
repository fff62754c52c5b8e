/* sq_history.c - the interactions: all of them for a training, one user's for a query, all users in a stream.
 *
 *   SELECT t.user, t.item, t.value, t.time, t.event, (positive) FROM ratings AS t [WHERE t.user ..] [ORDER BY 1]
 *              |              `------------ signal_read -------'
 *        keys -> numbers          weight, value, time, used or only seen
 *
 * The same reader decodes a row for all of them, so that a profile read at query time is what training saw.
 *
 * Without an index on the user every question scans the table. Who asks for a third user therefore gets all of
 * them read at once and grouped (sq_batch), as long as the data do not change.
 *
 * I1. A row whose user or item is NULL, or whose item is not in the catalogue, is skipped and counted.
 * I2. Every item that a row names is seen, also by rows that do not count for the profile.
 * I3. Rows come out in the order in which the table gives them: with equal times the later row is the last.
 */
#include "sq.h"

#include <math.h>

#define HISTORY_POLL_ROWS 256
#define BATCH_MAX_ROWS    ((size_t)2 << 20) /* 48 bytes each */

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

static rec_status name_blob(const history *h, const char *column, rec_status s,
                            rec_err *err) {
    if (s != REC_RANGE) return s;
    return rec_fail(err, s, "%s.%s: a key is an INTEGER or TEXT, found a BLOB",
                    h->cfg->interactions, column);
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
    if (s != REC_OK) return name_blob(h, h->cfg->user, s, err);
    if (!out->has_user) return REC_OK;
    bool has_item = sq_key(&item_cell, h->item, buf, &item, &s, err);
    if (s != REC_OK) return name_blob(h, h->cfg->item, s, err);
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
        if (h->cfg->time && isnan(row.what.time)) out->n_undated++;
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

/* ---- every user, kept: for tables without an index on the user ---------------------------------------------- */

/* Rows grouped by user: those of user u stand in ptr[u] .. ptr[u + 1], in table order. */
struct sq_batch {
    keyset *users;
    size_t *ptr;      /* [n_users + 1] */
    interaction *row; /* item and, if is_used, what it says */
    bool *is_used;
    size_t n, cap, cap_used;
};

void sq_batch_free(sq_batch *b) {
    if (!b) return;
    keyset_free(b->users);
    rec_free(b->ptr);
    rec_free(b->row);
    rec_free(b->is_used);
    rec_free(b);
}

/* *yes: the plan of a query for one user scans the table. */
static rec_status scans_table(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                              bool *yes, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = true, is_temp = sqlite3_stricmp(schema, "temp") == 0;
    char *from = is_temp ? sqlite3_mprintf("\"%w\"", cfg->interactions)
                         : sqlite3_mprintf("\"%w\".\"%w\"", schema, cfg->interactions);
    rec_status s =
        from ? sq_prepare(c->db, cfg->interactions, &st, err,
                          "EXPLAIN QUERY PLAN SELECT 1 FROM %s AS t WHERE t.\"%w\" IN "
                          "(?1, ?2)",
                          from, cfg->user)
             : rec_nomem(err);
    *yes = false;
    while (s == REC_OK && (s = sq_step(st, cfg->interactions, &row, err)) == REC_OK &&
           row) {
        const char *detail = (const char *)sqlite3_column_text(st, 3);
        if (detail && strncmp(detail, "SCAN", 4) == 0) *yes = true;
    }
    sqlite3_finalize(st);
    sqlite3_free(from);
    return s;
}

static rec_status batch_read(sq_batch *b, history *h, rec_run *run, rec_err *err) {
    history_row row;
    for (size_t n = 0; b->n <= BATCH_MAX_ROWS; n++) {
        rec_status s = next_row(h, &row, err);
        if (s != REC_OK || !row.has_row) return s;
        if (n % HISTORY_POLL_ROWS == 0 && (s = run_check(run, err)) != REC_OK) return s;
        if (!row.has_user || row.what.item == KEYS_NONE) continue;
        s = keyset_add(b->users, &row.user, &row.what.user, err);
        if (s == REC_OK) s = rec_grow(&b->row, &b->cap, b->n + 1, sizeof *b->row, err);
        if (s == REC_OK)
            s = rec_grow(&b->is_used, &b->cap_used, b->n + 1, sizeof *b->is_used, err);
        if (s != REC_OK) return s;
        b->is_used[b->n] = row.is_used;
        b->row[b->n++] = row.what;
    }
    return REC_OK;
}

/* Stable counting sort by user. */
static rec_status batch_group(sq_batch *b, rec_err *err) {
    size_t n_users = keyset_count(b->users);
    interaction *row = rec_array(b->n, sizeof *row);
    bool *is_used = rec_array(b->n, sizeof *is_used);
    size_t *at = rec_zeros(n_users + 1, sizeof *at);
    b->ptr = rec_zeros(n_users + 1, sizeof *b->ptr);
    rec_status s = row && is_used && at && b->ptr ? REC_OK : rec_nomem(err);
    for (size_t i = 0; s == REC_OK && i < b->n; i++) b->ptr[b->row[i].user + 1]++;
    for (size_t u = 0; s == REC_OK && u < n_users; u++)
        at[u + 1] = b->ptr[u + 1] += b->ptr[u];
    for (size_t i = 0; s == REC_OK && i < b->n; i++) {
        size_t to = at[b->row[i].user]++;
        row[to] = b->row[i];
        is_used[to] = b->is_used[i];
    }
    rec_free(at);
    rec_free(b->row);
    rec_free(b->is_used);
    b->row = row;
    b->is_used = is_used;
    return s;
}

rec_status sq_batch_read(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                         const sq_keys *keys, sq_batch **out, rec_err *err) {
    history h = {cfg, keys->user, keys->item, keys->items, NULL};
    rec_run run;
    bool scans = false;
    *out = NULL;
    rec_status s = scans_table(c, schema, cfg, &scans, err);
    if (s != REC_OK || !scans) return s;
    sq_run_init(c, &run, false);
    sq_batch *b = rec_zeros(1, sizeof *b);
    s = b && (b->users = keyset_new()) ? REC_OK : rec_nomem(err);
    if (s == REC_OK) s = open_history(c, schema, &h, "", err);
    if (s == REC_OK) s = batch_read(b, &h, &run, err);
    sqlite3_finalize(h.st);
    bool fits = s == REC_OK && b->n <= BATCH_MAX_ROWS;
    if (fits) s = batch_group(b, err);
    if (s == REC_OK && fits)
        *out = b;
    else
        sq_batch_free(b);
    return s;
}

rec_status sq_batch_user(const sq_batch *b, const rec_key *user, sq_interactions *out,
                         bitmap *seen, rec_err *err) {
    uint32_t u = keyset_find(b->users, user);
    rec_status s = REC_OK;
    for (size_t i = u == KEYS_NONE ? 0 : b->ptr[u]; u != KEYS_NONE && i < b->ptr[u + 1];
         i++) {
        bitmap_set(seen, b->row[i].item);
        out->n_rows++;
        if (b->is_used[i]) s = append(out, &b->row[i], err);
        if (s != REC_OK) break;
    }
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
