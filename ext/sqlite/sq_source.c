/* sq_source.c - the user's ordinary tables: do they have what the model names, and what may be shown.
 *
 *   interactions=ratings, user=user_id ...   --check at CREATE-->  "ratings has no column user_id"
 *   declared types, else the stored values   --once, at CREATE-->  affinity of user and item keys
 *   eligible=view, owned=table               --at every query-->   bitmap of items that may be shown
 *
 * A source is anything that SELECT can read: table, view, virtual table. Its name resolves in the schema of
 * the model; only a TEMP model sees all schemas, as SQLite itself does. Every column is written t."name":
 * a bare "name" that is no column would silently be a string.
 *
 * I1. Text of statements comes from "%w" and from sq_expr.c alone.
 * I2. Nothing is cached here: what a query reads is what the tables hold.
 * I3. A missing source is named, with its option.
 */
#include "sq_preferences.h"

/* ---- statements over one source ---------------------------------------------------------------- */

void sq_select_column(sq_select *q, const char *column) {
    char *text = column ? sqlite3_mprintf("%st.\"%w\"", q->n_column ? ", " : "", column)
                        : sqlite3_mprintf("%sNULL", q->n_column ? ", " : "");
    if (text)
        bytes_puts(&q->list, text);
    else
        q->list.status = REC_NOMEM;
    sqlite3_free(text);
    q->n_column++;
}

void sq_select_expr(sq_select *q, const char *safe) {
    bytes_printf(&q->list, "%s(%s)", q->n_column ? ", " : "", safe);
    q->n_column++;
}

rec_status sq_select_prepare(sq_conn *c, sq_select *q, sqlite3_stmt **out,
                             rec_err *err) {
    *out = NULL;
    char *list = bytes_take_text(&q->list);
    bool is_temp = sqlite3_stricmp(q->schema, "temp") == 0;
    char *from = is_temp ? sqlite3_mprintf("\"%w\"", q->source)
                         : sqlite3_mprintf("\"%w\".\"%w\"", q->schema, q->source);
    rec_status s = list && from ? REC_OK : rec_nomem(err);
    if (s == REC_OK)
        s = sq_prepare(c->db, q->source, out, err, "SELECT %s FROM %s AS t %s", list,
                       from, q->tail ? q->tail : "");
    rec_free(list);
    sqlite3_free(from);
    return s;
}

/* ---- columns ----------------------------------------------------------------------------------------- */

void sq_columns_clear(sq_columns *t) {
    for (size_t i = 0; t->name && i < t->n; i++) rec_free(t->name[i]);
    rec_free(t->name);
    rec_free(t->affinity);
    rec_free(t->is_typed);
    memset(t, 0, sizeof *t);
}

int sq_columns_find(const sq_columns *t, const char *name) {
    for (size_t i = 0; i < t->n; i++)
        if (sqlite3_stricmp(t->name[i], name) == 0) return (int)i;
    return -1;
}

void sq_columns_list(const sq_columns *t, char *out, size_t cap) {
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < t->n && at + 1 < cap; i++)
        at += rec_format(out + at, cap - at, "%s%s", i ? ", " : "", t->name[i]);
}

static rec_status describe_columns(sqlite3_stmt *st, sq_columns *out, rec_err *err) {
    size_t n = (size_t)sqlite3_column_count(st);
    out->name = rec_zeros(n, sizeof *out->name);
    out->affinity = rec_zeros(n, sizeof *out->affinity);
    out->is_typed = rec_zeros(n, sizeof *out->is_typed);
    if (!out->name || !out->affinity || !out->is_typed) return rec_nomem(err);
    for (out->n = 0; out->n < n; out->n++) {
        const char *name = sqlite3_column_name(st, (int)out->n);
        char a = sq_affinity(sqlite3_column_decltype(st, (int)out->n));
        out->name[out->n] = name ? rec_strdup(name) : NULL;
        if (!out->name[out->n]) return rec_nomem(err);
        out->affinity[out->n] = a == 't' ? AFFINITY_TEXT : AFFINITY_INTEGER;
        out->is_typed[out->n] = a == 't' || a == 'i';
    }
    return REC_OK;
}

rec_status sq_columns_read(sq_conn *c, const char *schema, const char *source,
                           sq_columns *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    sqlite3_stmt *st = NULL;
    sq_select q = {.schema = schema, .source = source, .tail = "LIMIT 0"};
    bytes_puts(&q.list, "t.*");
    rec_status s = sq_select_prepare(c, &q, &st, err);
    if (s == REC_OK) s = describe_columns(st, out, err);
    sqlite3_finalize(st);
    if (s != REC_OK) sq_columns_clear(out);
    return s;
}

/* ---- check at CREATE ------------------------------------------------------------------------------------ */

typedef struct checker {
    sq_conn *c;
    const char *schema, *table;
    const sq_model_cfg *cfg;
    rec_err *err;
} checker;

/* Columns of the source that option= names; a failure says which option it was. */
static rec_status open_source(const checker *k, const char *option, const char *source,
                              sq_columns *out) {
    rec_status s = sq_columns_read(k->c, k->schema, source, out, k->err);
    if (s != REC_IO && s != REC_RANGE) return s;
    char said[sizeof k->err->msg];
    memcpy(said, k->err->msg, sizeof said);
    rec_format(k->err->msg, sizeof k->err->msg, "rec_model(%s): %s=%s", k->table,
               option, said);
    return s;
}

static rec_status need_column(const checker *k, const sq_columns *t, const char *source,
                              const char *option, const char *column) {
    if (!column || sq_columns_find(t, column) >= 0) return REC_OK;
    char list[240];
    sq_columns_list(t, list, sizeof list);
    return rec_fail(k->err, REC_RANGE,
                    "rec_model(%s): %s=%s: %s has no column %s; it has %s", k->table,
                    option, column, source, column, list);
}

/* Neither a type nor a value: a guess would lose every key of the other kind, silently. */
static rec_status need_value(const checker *k, const char *source, const char *column) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    char *tail = sqlite3_mprintf("WHERE t.\"%w\" IS NOT NULL LIMIT 1", column);
    if (!tail) return rec_nomem(k->err);
    sq_select q = {.schema = k->schema, .source = source, .tail = tail};
    sq_select_column(&q, column);
    rec_status s = sq_select_prepare(k->c, &q, &st, k->err);
    if (s == REC_OK) s = sq_step(st, source, &row, k->err);
    if (s == REC_OK && !row)
        s = rec_fail(k->err, REC_RANGE,
                     "rec_model(%s): keys are INTEGER or TEXT, but %s.%s has no "
                     "declared type and no value yet: declare its type, or fill the "
                     "table first",
                     k->table, source, column);
    sqlite3_finalize(st);
    sqlite3_free(tail);
    return s;
}

/* No declared type: look at what is stored. Whole numbers only: INTEGER, anything else: TEXT. */
static rec_status affinity_of_values(const checker *k, const char *source,
                                     const char *column, key_affinity *out) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s;
    char *tail =
        sqlite3_mprintf("WHERE typeof(t.\"%w\") NOT IN ('integer', 'null') AND NOT "
                        "(typeof(t.\"%w\") = 'real' AND t.\"%w\" = CAST(t.\"%w\" AS "
                        "INTEGER)) LIMIT 1",
                        column, column, column, column);
    if (!tail) return rec_nomem(k->err);
    sq_select q = {.schema = k->schema, .source = source, .tail = tail};
    sq_select_column(&q, column);
    s = sq_select_prepare(k->c, &q, &st, k->err);
    if (s == REC_OK) s = sq_step(st, source, &row, k->err);
    if (s == REC_OK) *out = row ? AFFINITY_TEXT : AFFINITY_INTEGER;
    sqlite3_finalize(st);
    sqlite3_free(tail);
    return s == REC_OK && !row ? need_value(k, source, column) : s;
}

static rec_status find_affinity(const checker *k, const sq_columns *t,
                                const char *source, const char *column,
                                key_affinity *out) {
    int i = sq_columns_find(t, column);
    if (i < 0 || !out) return REC_OK; /* reported by need_column; not asked for */
    if (!t->is_typed[i]) return affinity_of_values(k, source, column, out);
    *out = t->affinity[i];
    return REC_OK;
}

/* positive= must be a formula that SQLite accepts. */
static rec_status check_positive(const checker *k, const sq_columns *t) {
    if (!k->cfg->positive) return REC_OK;
    char *safe = NULL;
    sqlite3_stmt *st = NULL;
    rec_status s = sq_expr_write(k->cfg->positive, t, &safe, k->err);
    if (s == REC_OK) {
        sq_select q = {
            .schema = k->schema, .source = k->cfg->interactions, .tail = "LIMIT 0"};
        sq_select_expr(&q, safe);
        s = sq_select_prepare(k->c, &q, &st, k->err);
        if (s == REC_IO)
            s = rec_fail(k->err, REC_RANGE, "positive='%.80s' is no expression: %.120s",
                         k->cfg->positive, sqlite3_errmsg(k->c->db));
    }
    sqlite3_finalize(st);
    rec_free(safe);
    return s;
}

static rec_status prefixed(const checker *k, rec_status s) {
    if (s != REC_RANGE || strncmp(k->err->msg, "rec_model(", 10) == 0) return s;
    char said[sizeof k->err->msg];
    memcpy(said, k->err->msg, sizeof said);
    rec_format(k->err->msg, sizeof k->err->msg, "rec_model(%s): %s", k->table, said);
    return s;
}

static rec_status check_interactions(const checker *k, key_affinity *user,
                                     key_affinity *item) {
    const sq_model_cfg *cfg = k->cfg;
    const char *source = cfg->interactions;
    const struct {
        const char *option, *column;
    } want[] = {{"user", cfg->user},
                {"item", cfg->item},
                {"value", cfg->value},
                {"time", cfg->time},
                {"event", cfg->event}};
    sq_columns t;
    rec_status s = open_source(k, "interactions", source, &t);
    for (size_t i = 0; i < sizeof want / sizeof want[0] && s == REC_OK; i++)
        s = need_column(k, &t, source, want[i].option, want[i].column);
    if (s == REC_OK) s = prefixed(k, check_positive(k, &t));
    if (s == REC_OK) s = find_affinity(k, &t, source, cfg->user, user);
    if (s == REC_OK && !cfg->items) s = find_affinity(k, &t, source, cfg->item, item);
    sq_columns_clear(&t);
    return s;
}

static rec_status check_items(const checker *k, key_affinity *item) {
    const sq_model_cfg *cfg = k->cfg;
    const char *key = cfg->item_key ? cfg->item_key : cfg->item;
    sq_columns t;
    rec_status s = open_source(k, "items", cfg->items, &t);
    if (s == REC_OK)
        s = need_column(k, &t, cfg->items, cfg->item_key ? "item_key" : "item", key);
    if (s == REC_OK) s = need_column(k, &t, cfg->items, "title", cfg->title);
    for (size_t i = 0; i < cfg->n_text && s == REC_OK; i++)
        s = need_column(k, &t, cfg->items, "text", cfg->text[i]);
    for (size_t i = 0; i < cfg->n_facet && s == REC_OK; i++)
        s = need_column(k, &t, cfg->items, "facets", cfg->facet[i].name);
    embed_spec spec;
    sq_embed_spec(cfg, &spec);
    for (size_t i = 0; i < spec.n_column && s == REC_OK; i++)
        s = need_column(k, &t, cfg->items, "embedder", embed_column(&spec, i));
    if (s == REC_OK) s = find_affinity(k, &t, cfg->items, key, item);
    sq_columns_clear(&t);
    return s;
}

/* eligible= has item, or user and item; owned= has both. They are called like the model's own columns, or
 * plainly `user` and `item`. -1: not there. */
static int rule_column(const sq_columns *t, const char *own, const char *plain) {
    int i = own ? sq_columns_find(t, own) : -1;
    return i >= 0 ? i : sq_columns_find(t, plain);
}

static rec_status check_rule(const checker *k, const char *option, const char *source,
                             bool needs_user) {
    if (!source) return REC_OK;
    sq_columns t;
    char list[240];
    rec_status s = open_source(k, option, source, &t);
    if (s != REC_OK) return s;
    sq_columns_list(&t, list, sizeof list);
    if (rule_column(&t, k->cfg->item, "item") < 0)
        s = rec_fail(k->err, REC_RANGE,
                     "rec_model(%s): %s=%s has no column item; it has %s", k->table,
                     option, source, list);
    else if (needs_user && rule_column(&t, k->cfg->user, "user") < 0)
        s = rec_fail(k->err, REC_RANGE,
                     "rec_model(%s): %s=%s has no column user; it has %s", k->table,
                     option, source, list);
    sq_columns_clear(&t);
    return s;
}

/* lexical= must answer MATCH: what cannot be searched says so only when a statement runs. */
static rec_status check_lexical(const checker *k) {
    const char *fts = k->cfg->lexical;
    sq_columns t = {0};
    sqlite3_stmt *st = NULL;
    bool row = false;
    if (!fts) return REC_OK;
    rec_status s = open_source(k, "lexical", fts, &t);
    sq_columns_clear(&t);
    if (s != REC_OK) return s;
    bool is_temp = sqlite3_stricmp(k->schema, "temp") == 0;
    char *from = is_temp ? sqlite3_mprintf("\"%w\"", fts)
                         : sqlite3_mprintf("\"%w\".\"%w\"", k->schema, fts);
    if (!from) return rec_nomem(k->err);
    s = sq_prepare(k->c->db, fts, &st, k->err,
                   "SELECT bm25(\"%w\") FROM %s WHERE \"%w\" MATCH 'a' LIMIT 1", fts,
                   from, fts);
    if (s == REC_OK) s = sq_step(st, fts, &row, k->err);
    sqlite3_finalize(st);
    sqlite3_free(from);
    if (s != REC_IO && s != REC_RANGE) return s;
    return rec_fail(
        k->err, REC_RANGE,
        "rec_model(%s): lexical=%s is no FTS5 table that can be searched: %s", k->table,
        fts, sqlite3_errmsg(k->c->db));
}

static rec_status check_preferences(const checker *k) {
    sq_columns t = {0};
    if (!k->cfg->preferences) return REC_OK;
    rec_status s = open_source(k, "preferences", k->cfg->preferences, &t);
    if (s == REC_OK) s = sq_preferences_check(k->cfg, &t, k->table, k->err);
    sq_columns_clear(&t);
    return s;
}

rec_status sq_source_check(sq_conn *c, const char *schema, const char *table,
                           const sq_model_cfg *cfg, key_affinity *user,
                           key_affinity *item, rec_err *err) {
    checker k = {c, schema, table, cfg, err};
    rec_status s = REC_OK;
    if (user) *user = AFFINITY_INTEGER;
    if (item) *item = AFFINITY_INTEGER;
    if (cfg->interactions) s = check_interactions(&k, user, item);
    if (s == REC_OK && cfg->items) s = check_items(&k, item);
    if (s == REC_OK) s = check_rule(&k, "eligible", cfg->eligible, false);
    if (s == REC_OK) s = check_rule(&k, "owned", cfg->owned, true);
    if (s == REC_OK) s = check_lexical(&k);
    if (s == REC_OK) s = check_preferences(&k);
    return s;
}

/* ---- rules at query time ------------------------------------------------------------------------------------ */

/* Parameters ?1 and ?2: the key in both spellings (42 and '42'), for columns without a declared type. What
 * comes back is compared again, so that '042' is not 42. */
rec_status sq_bind_key_twice(sqlite3_stmt *st, const rec_key *key, rec_err *err) {
    char buf[32];
    rec_key other;
    rec_status s = sq_bind_key(st, 1, key, err), ignored = REC_OK;
    cell c = sq_key_cell(key);
    if (s != REC_OK) return s;
    if (sq_key(&c, key->is_text ? AFFINITY_INTEGER : AFFINITY_TEXT, buf, &other,
               &ignored, NULL))
        return sq_bind_key(st, 2, &other, err);
    return REC_OK; /* an unbound parameter is NULL and equals nothing */
}

typedef struct rule_query {
    const char *schema, *source;
    const sq_model_cfg *cfg;
    const rec_key *user;
    key_affinity item;
    const catalog *items;
} rule_query;

/* Items of the rule into `listed`: the user's, or anybody's where there is no user. */
static rec_status read_listed(sq_conn *c, const rule_query *r, bitmap *listed,
                              rec_err *err) {
    sq_columns t;
    sqlite3_stmt *st = NULL;
    bool row = true;
    rec_status s = sq_columns_read(c, r->schema, r->source, &t, err);
    if (s != REC_OK) return s;
    int item = rule_column(&t, r->cfg->item, "item");
    int user = rule_column(&t, r->cfg->user, "user");
    char *tail = NULL;
    if (item < 0)
        s = rec_fail(err, REC_RANGE, "%s has no column item any more", r->source);
    if (s == REC_OK && user >= 0 && r->user) {
        tail = sqlite3_mprintf("WHERE t.\"%w\" IN (?1, ?2)", t.name[user]);
        if (!tail) s = rec_nomem(err);
    }
    if (s == REC_OK) {
        sq_select q = {.schema = r->schema, .source = r->source, .tail = tail};
        sq_select_column(&q, t.name[item]);
        s = sq_select_prepare(c, &q, &st, err);
    }
    if (s == REC_OK && tail) s = sq_bind_key_twice(st, r->user, err);
    while (s == REC_OK && (s = sq_step(st, r->source, &row, err)) == REC_OK && row) {
        char buf[32];
        rec_key key;
        cell value = sq_column_cell(st, 0);
        if (!sq_key(&value, r->item, buf, &key, &s, err)) continue;
        uint32_t number = catalog_find(r->items, &key);
        if (number != KEYS_NONE) bitmap_set(listed, number);
    }
    sqlite3_finalize(st);
    sqlite3_free(tail);
    sq_columns_clear(&t);
    return s;
}

static rec_status apply_rule(sq_conn *c, const rule_query *r, bool keep_listed,
                             bitmap *allowed, rec_err *err) {
    bitmap listed = {0};
    rec_status s = bitmap_init(&listed, allowed->n_bit, false, err);
    if (s == REC_OK) s = read_listed(c, r, &listed, err);
    for (size_t i = 0; s == REC_OK && i < (allowed->n_bit + 63) / 64; i++)
        allowed->word[i] &= keep_listed ? listed.word[i] : ~listed.word[i];
    bitmap_clear(&listed);
    return s;
}

rec_status sq_source_rules(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                           const rec_key *user, key_affinity item, const catalog *items,
                           bitmap *allowed, rec_err *err) {
    rule_query r = {schema, cfg->eligible, cfg, user, item, items};
    rec_status s = REC_OK;
    if (cfg->eligible) s = apply_rule(c, &r, true, allowed, err);
    r.source = cfg->owned;
    if (s == REC_OK && cfg->owned && user) s = apply_rule(c, &r, false, allowed, err);
    return s;
}

rec_status sq_source_rules_personal(sq_conn *c, const char *schema,
                                    const sq_model_cfg *cfg, bool *yes, rec_err *err) {
    sq_columns t;
    *yes = cfg->owned != NULL;
    if (*yes || !cfg->eligible) return REC_OK;
    rec_status s = sq_columns_read(c, schema, cfg->eligible, &t, err);
    if (s != REC_OK) return s;
    *yes = rule_column(&t, cfg->user, "user") >= 0;
    sq_columns_clear(&t);
    return REC_OK;
}
