/* vt_tables.c - one virtual table for every table function, driven by a description.
 *
 *   SELECT item, score FROM rec_recommend('taste', 42, 10) ORDER BY rank LIMIT 5
 *                           tvf_def.name   tvf_def.args (hidden columns, by position)
 *
 *   xBestIndex   which arguments are given -> idxNum bits, idxStr "model,user" for EXPLAIN
 *   xFilter      arguments -> tvf_def.open -> tvf_result
 *   xNext        tvf_result.next, one row a call: nothing is computed that nobody pulls
 *
 * The tables are eponymous only (no xCreate): they exist on every connection and nobody can
 * create or drop one. A table function that is read inside a loop is asked the same thing
 * again and again (the planner may well put it innermost), so the rows of the last complete
 * call are kept for a moment:
 *
 *   conn->last_call -> [ key: name, arguments, tokens | rows ]   replayed while all are equal
 *
 * Invariants
 * I1. A constraint on an argument that is not usable in a plan makes that plan impossible
 *     (SQLITE_CONSTRAINT); an argument that is given nowhere is an error that names it.
 * I2. Rows come in ascending rank_column. ORDER BY that column is consumed; LIMIT is not,
 *     streaming makes it cheap. With IN on an argument SQLite withdraws the order itself.
 * I3. Rows are replayed only if name, arguments and the state of every attached database
 *     are equal, within MEMO_SECONDS, and never inside a write transaction.
 * I4. Hidden columns are called arg_<name>: an argument named `user` must not make the column
 *     `user` of a joined table ambiguous.
 *
 * Cost: a row is one call of `next` and a copy for the memo, which stops at MEMO_MAX_BYTES.
 */
#include "tf.h"

#define TVF_MAX_COLUMNS 32
#define TVF_MAX_ARGS    8
#define TVF_MAX_NAME    32

/* How long an answer may be repeated, and how much of it is kept. */
#define MEMO_SECONDS   2.0
#define MEMO_MAX_BYTES ((size_t)4 << 20)
#define MEMO_MAX_KEY   ((size_t)1 << 20)

/* A table without k streams to its end; its scalar form stops here. */
#define SCALAR_DEFAULT_K 10

/* ---- eager rows ---------------------------------------------------------------------------- */

struct tvf_rows {
    tvf_result base; /* first: handed out as such */
    int n_column;
    cell *cell; /* owned, text owned */
    size_t n, cap, at;
};

tvf_rows *tvf_rows_new(int n_column) {
    tvf_rows *r = rec_zeros(1, sizeof *r);
    if (r) r->n_column = n_column;
    return r;
}

void tvf_rows_free(tvf_rows *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n; i++)
        if (r->cell[i].type == CELL_TEXT || r->cell[i].type == CELL_BLOB)
            rec_free((void *)r->cell[i].p);
    rec_free(r->cell);
    rec_free(r);
}

rec_status tvf_rows_add(tvf_rows *r, const cell *row, rec_err *err) {
    size_t want;
    if (!rec_add(r->n, (size_t)r->n_column, &want)) return rec_nomem(err);
    rec_status s = rec_grow(&r->cell, &r->cap, want, sizeof(cell), err);
    if (s != REC_OK) return s;
    for (int i = 0; i < r->n_column; i++) {
        cell c = row[i];
        if (c.type == CELL_TEXT || c.type == CELL_BLOB) {
            char *copy = rec_strndup(c.p ? c.p : "", c.nbyte);
            if (!copy) return rec_nomem(err);
            c.p = copy;
        }
        r->cell[r->n++] =
            c; /* counted one by one: a failure half way frees what it owns */
    }
    return REC_OK;
}

static bool rows_next(tvf_result *base, cell *row, rec_status *status, rec_err *err) {
    tvf_rows *r = (tvf_rows *)base;
    (void)err;
    *status = REC_OK;
    if (r->at + (size_t)r->n_column > r->n) return false;
    memcpy(row, r->cell + r->at, (size_t)r->n_column * sizeof *row);
    r->at += (size_t)r->n_column;
    return true;
}

static void rows_close(tvf_result *base) {
    tvf_rows_free((tvf_rows *)base);
}

tvf_result *tvf_rows_result(tvf_rows *taken) {
    if (!taken) return NULL;
    taken->base.next = rows_next;
    taken->base.close = rows_close;
    return &taken->base;
}

/* ---- the shape of a function: its column and argument names -------------------------------- */

typedef struct tvf_shape {
    int n_column, n_arg;
    char column[TVF_MAX_COLUMNS][TVF_MAX_NAME];
    char arg[TVF_MAX_ARGS][TVF_MAX_NAME];
} tvf_shape;

/* First word of each comma-separated piece. The texts are constants of this program. */
static int split_names(const char *text, char (*out)[TVF_MAX_NAME], int max) {
    int n = 0;
    while (*text && n < max) {
        text += strspn(text, " ");
        size_t word = strcspn(text, " ,");
        if (word >= TVF_MAX_NAME) word = TVF_MAX_NAME - 1;
        if (word == 0) break;
        memcpy(out[n], text, word);
        out[n++][word] = 0;
        text += strcspn(text, ",");
        if (*text) text++;
    }
    return n;
}

static void shape_read(const tvf_def *def, tvf_shape *out) {
    memset(out, 0, sizeof *out);
    out->n_column = split_names(def->columns, out->column, TVF_MAX_COLUMNS);
    out->n_arg = split_names(def->args, out->arg, TVF_MAX_ARGS);
}

/* "rec_recommend(model, user [, k])", "rec_index_stats(index [, sample [, k]])" */
static void usage(const tvf_def *def, const tvf_shape *sh, char out[256]) {
    size_t n = rec_format(out, 256, "%s(", def->name);
    for (int i = 0; i < sh->n_arg && n < 240; i++)
        n += rec_format(out + n, 256 - n, "%s%s%s",
                        i < def->n_required ? ""
                        : i                 ? " ["
                                            : "[",
                        i ? ", " : "", sh->arg[i]);
    for (int i = def->n_required; i < sh->n_arg && n < 250; i++)
        n += rec_format(out + n, 256 - n, "]");
    rec_format(out + n, 256 - n, ")");
}

/* ---- the memo: the last complete call -------------------------------------------------------- */

struct tvf_memo { /* one block, so that the connection can let go of it by rec_free */
    int n_ref;
    double at;            /* rec_seconds() when it was made */
    size_t n_key, n_rows; /* bytes */
    uint8_t data[];       /* key, then rows */
};

static void memo_unref(struct tvf_memo *m) {
    if (m && --m->n_ref == 0) rec_free(m);
}

static void put_cell(bytes_writer *w, const cell *c) {
    bytes_put_u8(w, (uint8_t)c->type);
    switch (c->type) {
    case CELL_NULL: break;
    case CELL_INT: bytes_put_u64(w, (uint64_t)c->i); break;
    case CELL_REAL: bytes_put_f64(w, c->r); break;
    case CELL_TEXT:
    case CELL_BLOB: bytes_put_str(w, c->p ? c->p : "", c->nbyte); break;
    }
}

static cell get_cell(bytes_reader *r) {
    cell c = {.type = (cell_type)bytes_get_u8(r)};
    switch (c.type) {
    case CELL_NULL: break;
    case CELL_INT: c.i = (int64_t)bytes_get_u64(r); break;
    case CELL_REAL: c.r = bytes_get_f64(r); break;
    case CELL_TEXT:
    case CELL_BLOB: c.p = bytes_get_str(r, &c.nbyte); break;
    }
    return c;
}

/* The token of all attached databases, which is that of temp: a function may read any of them.
 * *usable false: something is being written, nothing may be kept. */
static rec_status put_token(sq_conn *c, bytes_writer *w, bool *usable, rec_err *err) {
    sq_token now;
    rec_status s = sq_token_read(c, "temp", &now, err);
    *usable = !now.is_volatile;
    bytes_put_u64(w, (uint64_t)now.data_version);
    bytes_put_u64(w, (uint64_t)now.total_changes);
    bytes_put_u64(w, (uint64_t)now.schema_version);
    return s;
}

/* The key of a call. *usable false: this call cannot be kept. */
static rec_status memo_key(sq_conn *c, const tvf_def *def, int n_arg,
                           sqlite3_value **arg, bytes_writer *w, bool *usable,
                           rec_err *err) {
    bytes_put_str(w, def->name, strlen(def->name));
    *usable = true;
    for (int i = 0; i < n_arg; i++) {
        bytes_put_u8(w, arg[i] != NULL);
        if (!arg[i]) continue;
        cell v = sq_cell(arg[i]);
        if (v.nbyte > MEMO_MAX_KEY)
            *usable = false;
        else
            put_cell(w, &v);
    }
    if (!*usable) return REC_OK;
    rec_status s = put_token(c, w, usable, err);
    return s != REC_OK ? s : w->status == REC_OK ? REC_OK : rec_nomem(err);
}

typedef struct replay {
    tvf_result base;
    struct tvf_memo *memo; /* holds a reference */
    int n_column;
    bytes_reader at;
} replay;

static bool replay_next(tvf_result *base, cell *row, rec_status *status, rec_err *err) {
    replay *r = (replay *)base;
    *status = REC_OK;
    if (r->at.at >= r->at.n) return false;
    for (int i = 0; i < r->n_column; i++) row[i] = get_cell(&r->at);
    if (r->at.status != REC_OK)
        *status = rec_fail(err, REC_BUG, "a kept answer cannot be read back");
    return *status == REC_OK;
}

static void replay_close(tvf_result *base) {
    memo_unref(((replay *)base)->memo);
    rec_free(base);
}

static rec_status replay_new(struct tvf_memo *m, int n_column, tvf_result **out,
                             rec_err *err) {
    replay *r = rec_zeros(1, sizeof *r);
    if (!r) return rec_nomem(err);
    m->n_ref++;
    r->memo = m;
    r->n_column = n_column;
    r->at.data = m->data + m->n_key;
    r->at.n = m->n_rows;
    r->base.next = replay_next;
    r->base.close = replay_close;
    *out = &r->base;
    return REC_OK;
}

/* Passes rows on and keeps a copy; a call read to its end becomes the connection's memo. */
typedef struct record {
    tvf_result base;
    tvf_result *inner; /* owned */
    sq_conn *conn;
    int n_column;
    bytes_writer key, rows;
    double since;
    bool keep;
} record;

/* Keeping is a convenience: without memory for it the answer is simply not kept. */
static void record_keep(record *r) {
    size_t nbyte;
    if (!rec_add(sizeof(struct tvf_memo), r->key.n, &nbyte) ||
        !rec_add(nbyte, r->rows.n, &nbyte))
        return;
    struct tvf_memo *m = rec_malloc(nbyte);
    if (!m) return;
    *m = (struct tvf_memo){
        .n_ref = 1, .at = r->since, .n_key = r->key.n, .n_rows = r->rows.n};
    memcpy(m->data, r->key.data, r->key.n);
    if (r->rows.n) memcpy(m->data + r->key.n, r->rows.data, r->rows.n);
    memo_unref(r->conn->last_call);
    r->conn->last_call = m;
}

static bool record_next(tvf_result *base, cell *row, rec_status *status, rec_err *err) {
    record *r = (record *)base;
    bool more = r->inner->next(r->inner, row, status, err);
    if (*status != REC_OK) r->keep = false;
    if (!r->keep) return more;
    if (!more) {
        record_keep(r);
        r->keep = false;
        return false;
    }
    for (int i = 0; i < r->n_column; i++) put_cell(&r->rows, &row[i]);
    if (r->rows.status != REC_OK || r->rows.n > MEMO_MAX_BYTES) {
        r->keep = false;
        bytes_clear(&r->rows);
    }
    return more;
}

static void record_close(tvf_result *base) {
    record *r = (record *)base;
    if (r->inner) r->inner->close(r->inner);
    bytes_clear(&r->key);
    bytes_clear(&r->rows);
    rec_free(r);
}

/* Answer from the memo, else open and record. */
static rec_status call_open(sq_conn *c, const tvf_def *def, const tvf_shape *sh,
                            sqlite3_value **arg, tvf_result **out, rec_err *err) {
    bool usable = false;
    tvf_result *inner = NULL;
    *out = NULL;
    record *r = rec_zeros(1, sizeof *r);
    if (!r) return rec_nomem(err);
    r->since = rec_seconds();
    rec_status s = memo_key(c, def, sh->n_arg, arg, &r->key, &usable, err);
    if (s != REC_OK) goto done;
    const struct tvf_memo *m = c->last_call;
    if (usable && m && r->since - m->at < MEMO_SECONDS && m->n_key == r->key.n &&
        memcmp(m->data, r->key.data, r->key.n) == 0) {
        s = replay_new(c->last_call, sh->n_column, out, err);
        goto done;
    }
    s = def->open(c, arg, &inner, err);
    if (s != REC_OK) goto done;
    r->base.next = record_next;
    r->base.close = record_close;
    r->inner = inner;
    r->conn = c;
    r->n_column = sh->n_column;
    r->keep = usable;
    *out = &r->base;
    r = NULL;
done:
    if (r) record_close(&r->base);
    return s;
}

/* ---- the virtual table ------------------------------------------------------------------------ */

typedef struct tvf_bind { /* user data of a module or function; holds a reference */
    sq_conn *conn;
    const tvf_def *def;
} tvf_bind;

typedef struct tvf_table {
    sqlite3_vtab base;
    sq_conn *conn; /* borrowed from the module, which outlives its tables */
    const tvf_def *def;
    tvf_shape shape;
} tvf_table;

typedef struct tvf_cursor {
    sqlite3_vtab_cursor base;
    tvf_result *result;               /* owned */
    sq_hold hold;                     /* of the model, for the next xFilter of a join */
    sqlite3_value *arg[TVF_MAX_ARGS]; /* owned copies, valid as long as result */
    cell row[TVF_MAX_COLUMNS];
    sqlite3_int64 rowid;
    bool eof;
} tvf_cursor;

static int tvf_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                       sqlite3_vtab **out, char **msg) {
    const tvf_bind *b = aux;
    (void)argc, (void)argv, (void)msg;
    *out = NULL;
    tvf_table *t = rec_zeros(1, sizeof *t);
    if (!t) return SQLITE_NOMEM;
    t->conn = b->conn;
    t->def = b->def;
    shape_read(b->def, &t->shape);
    bytes_writer w = {0};
    bytes_printf(&w, "CREATE TABLE x(%s", b->def->columns);
    for (int i = 0; i < t->shape.n_arg; i++)
        bytes_printf(&w, ", arg_%s HIDDEN", t->shape.arg[i]);
    bytes_puts(&w, ")");
    char *sql = bytes_take_text(&w);
    int rc = sql ? sqlite3_declare_vtab(db, sql) : SQLITE_NOMEM;
    rec_free(sql);
    if (rc == SQLITE_OK)
        rc = sqlite3_vtab_config(db, b->def->direct_only ? SQLITE_VTAB_DIRECTONLY
                                                         : SQLITE_VTAB_INNOCUOUS);
    if (rc != SQLITE_OK) {
        rec_free(t);
        return rc;
    }
    *out = &t->base;
    return SQLITE_OK;
}

static int tvf_disconnect(sqlite3_vtab *vtab) {
    rec_free(vtab);
    return SQLITE_OK;
}

/* Where each argument's constraint stands, -1 if nowhere. */
static int find_arguments(const tvf_table *t, const sqlite3_index_info *info,
                          int at[TVF_MAX_ARGS]) {
    for (int i = 0; i < TVF_MAX_ARGS; i++) at[i] = -1;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &info->aConstraint[i];
        int arg = c->iColumn - t->shape.n_column;
        if (arg < 0 || arg >= t->shape.n_arg || c->op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        if (!c->usable) return SQLITE_CONSTRAINT; /* I1 */
        if (at[arg] < 0) at[arg] = i;
    }
    return SQLITE_OK;
}

static int missing_argument(tvf_table *t, int arg) {
    rec_err err = {0};
    char text[256];
    usage(t->def, &t->shape, text);
    rec_fail(&err, REC_RANGE, "%s: argument %d (%s) is missing", text, arg + 1,
             t->shape.arg[arg]);
    return sq_vtab_error(&t->base, &err);
}

static int tvf_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    tvf_table *t = (tvf_table *)vtab;
    int at[TVF_MAX_ARGS], n = 0;
    int rc = find_arguments(t, info, at);
    if (rc != SQLITE_OK) return rc;
    char text[TVF_MAX_ARGS * (TVF_MAX_NAME + 1)];
    size_t len = 0;
    text[0] = 0;
    for (int i = 0; i < t->shape.n_arg; i++) {
        if (at[i] < 0 && i < t->def->n_required) return missing_argument(t, i);
        if (at[i] < 0) continue;
        info->idxNum |= 1 << i;
        info->aConstraintUsage[at[i]].argvIndex = ++n;
        info->aConstraintUsage[at[i]].omit = 1;
        len += rec_format(text + len, sizeof text - len, "%s%s", len ? "," : "",
                          t->shape.arg[i]);
    }
    info->idxStr = sqlite3_mprintf("%s", text);
    if (!info->idxStr) return SQLITE_NOMEM;
    info->needToFreeIdxStr = 1;
    info->estimatedCost = t->def->cost;
    info->estimatedRows = 100;
    /* Ranks are distinct within a call, so later terms of ORDER BY cannot matter (I2). */
    if (t->def->rank_column >= 0 && info->nOrderBy > 0 && !info->aOrderBy[0].desc &&
        info->aOrderBy[0].iColumn == t->def->rank_column)
        info->orderByConsumed = 1;
    return SQLITE_OK;
}

static int tvf_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
    (void)vtab;
    tvf_cursor *c = rec_zeros(1, sizeof *c);
    if (!c) return SQLITE_NOMEM;
    c->eof = true;
    *out = &c->base;
    return SQLITE_OK;
}

static void cursor_clear(tvf_cursor *c) {
    if (c->result) c->result->close(c->result);
    c->result = NULL;
    for (int i = 0; i < TVF_MAX_ARGS; i++) {
        sqlite3_value_free(c->arg[i]);
        c->arg[i] = NULL;
    }
    c->eof = true;
}

static int tvf_close(sqlite3_vtab_cursor *base) {
    cursor_clear((tvf_cursor *)base);
    sq_hold_clear(&((tvf_cursor *)base)->hold);
    rec_free(base);
    return SQLITE_OK;
}

static int tvf_next(sqlite3_vtab_cursor *base) {
    tvf_cursor *c = (tvf_cursor *)base;
    rec_err err = {0};
    rec_status s = REC_OK;
    c->rowid++;
    c->eof = !c->result || !c->result->next(c->result, c->row, &s, &err);
    if (s == REC_OK) return SQLITE_OK;
    c->eof = true;
    if (err.code == REC_OK) err.code = s;
    return sq_vtab_error(base->pVtab, &err);
}

static int tvf_filter(sqlite3_vtab_cursor *base, int idx_num, const char *idx_str,
                      int argc, sqlite3_value **argv) {
    tvf_cursor *c = (tvf_cursor *)base;
    tvf_table *t = (tvf_table *)base->pVtab;
    rec_err err = {0};
    (void)idx_str;
    cursor_clear(c);
    int n = 0;
    for (int i = 0; i < t->shape.n_arg; i++) {
        if (!(idx_num >> i & 1) || n >= argc) continue;
        c->arg[i] = sqlite3_value_dup(argv[n++]);
        if (!c->arg[i]) return SQLITE_NOMEM;
    }
    sq_hold *outer = t->conn->hold;
    t->conn->hold = &c->hold;
    rec_status s = call_open(t->conn, t->def, &t->shape, c->arg, &c->result, &err);
    t->conn->hold = outer;
    if (s != REC_OK) {
        if (err.code == REC_OK) err.code = s;
        return sq_vtab_error(&t->base, &err);
    }
    c->rowid = 0;
    return tvf_next(base);
}

static int tvf_eof(sqlite3_vtab_cursor *base) {
    return ((tvf_cursor *)base)->eof;
}

static int tvf_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
    const tvf_cursor *c = (const tvf_cursor *)base;
    const tvf_table *t = (const tvf_table *)base->pVtab;
    int arg = i - t->shape.n_column;
    if (arg < 0)
        sq_result_cell(ctx, &c->row[i]);
    else if (arg < t->shape.n_arg && c->arg[arg])
        sqlite3_result_value(ctx, c->arg[arg]);
    return SQLITE_OK;
}

static int tvf_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
    *out = ((const tvf_cursor *)base)->rowid;
    return SQLITE_OK;
}

static const sqlite3_module tvf_module = {
    .iVersion = 0,
    .xConnect = tvf_connect,
    .xBestIndex = tvf_best_index,
    .xDisconnect = tvf_disconnect,
    .xOpen = tvf_open,
    .xClose = tvf_close,
    .xFilter = tvf_filter,
    .xNext = tvf_next,
    .xEof = tvf_eof,
    .xColumn = tvf_column,
    .xRowid = tvf_rowid,
};

static void bind_free(void *p) {
    tvf_bind *b = p;
    if (!b) return;
    sq_conn_unref(b->conn);
    rec_free(b);
}

static tvf_bind *bind_new(sq_conn *c, const tvf_def *def) {
    tvf_bind *b = rec_zeros(1, sizeof *b);
    if (!b) return NULL;
    sq_conn_ref(c);
    b->conn = c;
    b->def = def;
    return b;
}

int tvf_register(sq_conn *c, const tvf_def *def) {
    tvf_bind *b = bind_new(c, def);
    if (!b) return SQLITE_NOMEM;
    /* bind_free is called by SQLite also when registration fails. */
    return sqlite3_create_module_v2(c->db, def->name, &tvf_module, b, bind_free);
}

/* ---- the scalar form: the same rows as a JSON array --------------------------------------------- */

static json *cell_json(const cell *c) {
    switch (c->type) {
    case CELL_INT: return json_new_int(c->i);
    case CELL_REAL:
        return c->r - c->r == 0 ? json_new_number(c->r)
                                : json_new_null(); /* no infinities */
    case CELL_TEXT: return json_new_text(c->p ? c->p : "", c->nbyte);
    default: return json_new_null();
    }
}

/* Pull up to `limit` rows (0: all) into the array. */
static rec_status rows_json(tvf_result *res, const tvf_shape *sh, int64_t limit,
                            json *array, rec_err *err) {
    cell row[TVF_MAX_COLUMNS];
    rec_status s = REC_OK;
    for (int64_t n = 0; (limit == 0 || n < limit) && res->next(res, row, &s, err);
         n++) {
        json *obj = json_new_object();
        for (int i = 0; i < sh->n_column; i++)
            json_set(obj, sh->column[i], cell_json(&row[i]));
        if (!obj || json_count(obj) != (size_t)sh->n_column) {
            json_delete(obj);
            return rec_nomem(err);
        }
        if (!json_push(array, obj)) return rec_nomem(err);
    }
    return s;
}

/* With an argument k that is not given (or NULL) the default applies. */
static int64_t scalar_limit(const tvf_shape *sh, int argc, sqlite3_value **argv) {
    for (int i = 0; i < sh->n_arg; i++)
        if (strcmp(sh->arg[i], "k") == 0)
            return i < argc && sqlite3_value_type(argv[i]) != SQLITE_NULL
                       ? 0
                       : SCALAR_DEFAULT_K;
    return 0;
}

static void tvf_scalar(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    const tvf_bind *b = sqlite3_user_data(ctx);
    rec_err err = {0};
    tvf_shape sh;
    sqlite3_value *arg[TVF_MAX_ARGS] = {0};
    tvf_result *res = NULL;
    json *array = NULL;
    char *text = NULL;
    tf_held held = {0};
    rec_status s = REC_OK;
    shape_read(b->def, &sh);
    if (argc < b->def->n_required || argc > sh.n_arg) {
        char use[256];
        usage(b->def, &sh, use);
        s = rec_fail(&err, REC_RANGE, "%s: %d argument%s given", use, argc,
                     argc == 1 ? " was" : "s were");
        goto done;
    }
    for (int i = 0; i < argc; i++) arg[i] = argv[i];
    s = argc ? tf_hold_enter(b->conn, ctx, 0, &held, &err) : REC_OK;
    if (s == REC_OK) s = call_open(b->conn, b->def, &sh, arg, &res, &err);
    tf_hold_leave(b->conn, &held);
    if (s != REC_OK) goto done;
    array = json_new_array();
    s = array ? rows_json(res, &sh, scalar_limit(&sh, argc, argv), array, &err)
              : rec_nomem(&err);
    if (s != REC_OK) goto done;
    text = json_print(array);
    if (!text) {
        s = rec_nomem(&err);
        goto done;
    }
    sqlite3_result_text(ctx, text, -1, SQLITE_TRANSIENT);
    sqlite3_result_subtype(ctx, 'J'); /* so that json_object() and friends nest it */
done:
    if (s != REC_OK) {
        if (err.code == REC_OK) err.code = s;
        sq_result_error(ctx, &err);
    }
    if (res) res->close(res);
    if (array) json_delete(array);
    rec_free(text);
}

int tvf_register_scalar(sq_conn *c, const tvf_def *def) {
    tvf_bind *b = bind_new(c, def);
    if (!b) return SQLITE_NOMEM;
    int flags = SQLITE_UTF8 | SQLITE_RESULT_SUBTYPE |
                (def->direct_only ? SQLITE_DIRECTONLY : SQLITE_INNOCUOUS);
    return sqlite3_create_function_v2(c->db, def->name, -1, flags, b, tvf_scalar, NULL,
                                      NULL, bind_free);
}
