/* vt_model.c - rec_model: a recommender is a table of (user, item, score).
 *
 *   SELECT item, score FROM taste WHERE user = 42 AND seen = 0 ORDER BY score DESC LIMIT 10
 *
 *   xBestIndex   which constraints we take:  user =   history =  query =  k =   consumed
 *                                            item = / IN, seen, score, source ..  applied before k
 *   xFilter      one user, a history, nobody; or, without any of them, a stream of all users
 *   xNext        the next of a lazy ranking; at its end the next user
 *
 *        user (or history) --> profile --> scores --> allowed --> predicates --> ranking --> rows
 *
 * Rows of one user come in descending score, so ORDER BY score DESC and ORDER BY rank are consumed. `rank` is the
 * place among the rows of the user that these constraints leave. A full scan reads the interactions once, user by
 * user in the order of their keys.
 *
 * I1. What is taken is either enforced exactly here (and marked so), or checked again by SQLite.
 * I2. xConnect succeeds whenever the arguments can be cut into pieces: a table whose definition or content is
 *     damaged can still be dropped. What is wrong is said by the statement that needs it.
 * I3. No state of a transaction is in memory: views are tagged with the stored generation (sq_model.c).
 * I4. A cursor keeps its view, and the scores of its last user, as long as nothing changed.
 */
#include "sq.h"

#include <math.h>

enum {
    COL_USER,
    COL_ITEM,
    COL_SCORE,
    COL_RANK,
    COL_SEEN,
    COL_SOURCE,
    COL_HISTORY,
    COL_QUERY,
    COL_K,
    COL_COMMAND,
    N_COLUMNS
};
static const char *const column_names[] = {"user",   "item",    "score", "rank", "seen",
                                           "source", "history", "query", "k"};
static const char *const shadow_suffix[] = {"state", "data", "log", NULL};

#define MODEL_FORMAT 1

typedef struct model_table {
    sqlite3_vtab base;
    sq_conn *conn;
    sq_table table;
    char user_affinity, item_affinity; /* 'i' or 't' */
} model_table;

/* ---- create, connect, drop, rename ----------------------------------------------------------------- */

static rec_status check_name(const char *name, rec_err *err) {
    for (size_t i = 0; i < sizeof column_names / sizeof column_names[0]; i++)
        if (sqlite3_stricmp(name, column_names[i]) == 0)
            return rec_fail(err, REC_RANGE,
                            "rec_model(%s): a model cannot be called like one of its "
                            "columns (user, "
                            "item, score, rank, seen, source, history, query, k)",
                            name);
    return REC_OK;
}

static rec_status put_state(sq_conn *c, const char *const *argv, const char *row,
                            const cell *value, rec_err *err) {
    return sq_state_set(c->db, argv[1], argv[2], row, value, err);
}

static rec_status create_tables(sq_conn *c, const char *const *argv, key_affinity user,
                                key_affinity item, rec_err *err) {
    sq_generation g;
    cell u = cell_str(user == AFFINITY_TEXT ? "TEXT" : "INTEGER");
    cell a = cell_str(item == AFFINITY_TEXT ? "TEXT" : "INTEGER");
    cell format = cell_int(MODEL_FORMAT);
    rec_status s = sq_state_create(c->db, argv[1], argv[2], err);
    if (s == REC_OK) s = sq_data_create(c->db, argv[1], argv[2], err);
    if (s == REC_OK)
        s = sq_exec(
            c->db, argv[2], err,
            "CREATE TABLE \"%w\".\"%w_log\"(id INTEGER PRIMARY KEY, phase TEXT, epoch "
            "INTEGER, loss REAL, metric TEXT, value REAL, seconds REAL)",
            argv[1], argv[2]);
    if (s == REC_OK) s = put_state(c, argv, "format", &format, err);
    if (s == REC_OK) s = put_state(c, argv, "user_affinity", &u, err);
    if (s == REC_OK) s = put_state(c, argv, "item_affinity", &a, err);
    return s == REC_OK ? sq_generation_bump(c->db, argv[1], argv[2], &g, err) : s;
}

/* Everything that CREATE names must be there. */
static rec_status check_and_create(sq_conn *c, const char *const *argv,
                                   const sq_args *args, rec_err *err) {
    sq_model_cfg cfg;
    key_affinity user, item;
    sq_frame frame = {0};
    memset(&cfg, 0, sizeof cfg);
    rec_status s = check_name(argv[2], err);
    if (s == REC_OK) s = sq_cfg_parse(args, argv[2], &cfg, err);
    if (s == REC_OK) s = sq_enter(c, &frame, argv[1], argv[2], err);
    if (s == REC_OK) s = sq_source_check(c, argv[1], argv[2], &cfg, &user, &item, err);
    if (s == REC_OK) s = sq_members_check(c, argv[1], argv[2], &cfg, &user, &item, err);
    sq_leave(c, &frame);
    if (s == REC_OK) s = create_tables(c, argv, user, item, err);
    sq_cfg_clear(&cfg);
    return s;
}

static void table_free(model_table *t) {
    sq_args_clear(&t->table.args);
    rec_free(t->table.schema);
    rec_free(t->table.name);
    rec_free(t);
}

static int declare(sqlite3 *db, model_table *t) {
    key_affinity user = AFFINITY_INTEGER, item = AFFINITY_INTEGER;
    rec_err ignored = {
        0}; /* I2: without a state table the declared types are a guess */
    if (sq_table_affinity(t->conn, &t->table, &user, &item, &ignored) == REC_NOMEM)
        return SQLITE_NOMEM;
    t->user_affinity = user == AFFINITY_TEXT ? 't' : 'i';
    t->item_affinity = item == AFFINITY_TEXT ? 't' : 'i';
    char *sql =
        sqlite3_mprintf("CREATE TABLE x(user %s, item %s, score REAL, rank INTEGER, "
                        "seen INTEGER, source TEXT, "
                        "history HIDDEN, query HIDDEN, k HIDDEN, \"%w\" HIDDEN)",
                        user == AFFINITY_TEXT ? "TEXT" : "INTEGER",
                        item == AFFINITY_TEXT ? "TEXT" : "INTEGER", t->table.name);
    int rc = sql ? sqlite3_declare_vtab(db, sql) : SQLITE_NOMEM;
    sqlite3_free(sql);
    if (rc == SQLITE_OK)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    if (rc == SQLITE_OK) rc = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    return rc;
}

static int open_table(sq_conn *c, int argc, const char *const *argv, bool is_create,
                      sqlite3_vtab **out, char **message) {
    rec_err err = {0};
    model_table *t = rec_zeros(1, sizeof *t);
    if (!t) return SQLITE_NOMEM;
    t->conn = c;
    t->table.schema = rec_strdup(argv[1]);
    t->table.name = rec_strdup(argv[2]);
    rec_status s = t->table.schema && t->table.name ? REC_OK : rec_nomem(&err);
    if (s == REC_OK) s = sq_args_parse(argc, argv, &t->table.args, &err);
    if (s == REC_OK && is_create) s = check_and_create(c, argv, &t->table.args, &err);
    int rc = s == REC_OK ? declare(c->db, t) : sq_code(s);
    if (rc == SQLITE_OK) {
        sq_table_add(c, &t->table);
        *out = &t->base;
        return SQLITE_OK;
    }
    if (s != REC_OK && s != REC_NOMEM) *message = sqlite3_mprintf("%s", err.msg);
    if (s == REC_IO && err.host) rc = err.host;
    table_free(t);
    return rc;
}

static int vt_model_create(sqlite3 *db, void *aux, int argc, const char *const *argv,
                           sqlite3_vtab **out, char **message) {
    (void)db;
    return open_table(aux, argc, argv, true, out, message);
}

static int vt_model_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                            sqlite3_vtab **out, char **message) {
    (void)db;
    return open_table(aux, argc, argv, false, out, message);
}

static int vt_model_disconnect(sqlite3_vtab *vtab) {
    model_table *t = (model_table *)vtab;
    sq_table_remove(t->conn, &t->table);
    sq_views_drop(t->conn, t->table.schema, t->table.name);
    table_free(t);
    return SQLITE_OK;
}

static int vt_model_destroy(sqlite3_vtab *vtab) {
    model_table *t = (model_table *)vtab;
    rec_err err = {0};
    rec_status s = sq_shadow_drop(t->conn->db, t->table.schema, t->table.name,
                                  shadow_suffix, &err);
    if (s != REC_OK) return sq_vtab_error(vtab, &err);
    return vt_model_disconnect(vtab);
}

/* A table that takes the name of its own shadow table would be renamed for ever. */
static rec_status check_rename(const model_table *t, const char *name, rec_err *err) {
    size_t n = strlen(t->table.name);
    rec_status s = check_name(name, err);
    if (s != REC_OK || sqlite3_strnicmp(name, t->table.name, (int)n) != 0 ||
        name[n] != '_')
        return s;
    for (const char *const *suffix = shadow_suffix; *suffix; suffix++)
        if (sqlite3_stricmp(name + n + 1, *suffix) == 0)
            return rec_fail(err, REC_RANGE,
                            "rec_model(%s): %s is the name of its own shadow table",
                            t->table.name, name);
    return REC_OK;
}

static int vt_model_rename(sqlite3_vtab *vtab, const char *name) {
    model_table *t = (model_table *)vtab;
    rec_err err = {0};
    rec_status s = check_rename(t, name, &err);
    char *copy = s == REC_OK ? rec_strdup(name) : NULL;
    if (s == REC_OK && !copy) s = rec_nomem(&err);
    if (s == REC_OK)
        s = sq_shadow_rename(t->conn->db, t->table.schema, t->table.name, name,
                             shadow_suffix, &err);
    if (s != REC_OK) {
        rec_free(copy);
        return sq_vtab_error(vtab, &err);
    }
    sq_views_drop(t->conn, t->table.schema, t->table.name);
    rec_free(t->table.name);
    t->table.name = copy;
    return SQLITE_OK;
}

static int vt_model_shadow_name(const char *suffix) {
    for (const char *const *s = shadow_suffix; *s; s++)
        if (sqlite3_stricmp(suffix, *s) == 0) return 1;
    return 0;
}

/* ---- plan ----------------------------------------------------------------------------------------------- */

#define COST_ONE_USER  1000.0
#define COST_ALL_USERS 1e9
#define ROWS_ONE_USER  1000
#define ROWS_ALL_USERS 10000000

typedef struct planner {
    model_table *t;
    sqlite3_index_info *info;
    plan_item item[PLAN_MAX_ITEMS];
    int n;
    bool is_one, is_in,
        has_item; /* one asker; users from an IN list; an item is given */
} planner;

static bool is_argument(int column) {
    return column == COL_HISTORY || column == COL_QUERY || column == COL_K;
}

static void take(planner *p, int i, char op, bool omit) {
    int column = p->info->aConstraint[i].iColumn;
    p->item[p->n] = (plan_item){.op = op, .column = column};
    p->info->aConstraintUsage[i].argvIndex = ++p->n;
    p->info->aConstraintUsage[i].omit = omit;
}

/* An = on a hidden column is an argument: it must be usable, and given once. */
static int take_argument(planner *p, int i) {
    const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
    if (c->op != SQLITE_INDEX_CONSTRAINT_EQ) return SQLITE_OK;
    if (!c->usable) return SQLITE_CONSTRAINT;
    if (c->iColumn == COL_K && sqlite3_vtab_in(p->info, i, -1)) {
        sqlite3_free(p->t->base.zErrMsg);
        p->t->base.zErrMsg = sqlite3_mprintf(
            "rec_model(%s): k takes one number, not a list", p->t->table.name);
        return SQLITE_ERROR;
    }
    if (c->iColumn != COL_K) {
        p->is_one = true;
        if (sqlite3_vtab_in(p->info, i, -1)) p->is_in = true;
    }
    take(p, i, '=', true);
    return SQLITE_OK;
}

static void take_condition(planner *p, int i) {
    const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
    char op = plan_op_letter(c->op);
    if (!c->usable || !op || c->iColumn < 0 || c->iColumn > COL_SOURCE) return;
    bool is_eq = c->op == SQLITE_INDEX_CONSTRAINT_EQ;
    if (c->iColumn == COL_USER && is_eq) {
        if (sqlite3_vtab_in(p->info, i, -1)) p->is_in = true;
        p->is_one = true;
        take(p, i, '=', true);
    } else if (c->iColumn == COL_ITEM && is_eq) {
        bool is_list = sqlite3_vtab_in(p->info, i, -1);
        if (is_list) sqlite3_vtab_in(p->info, i, 1);
        p->has_item = true;
        take(p, i, is_list ? 'I' : '=', true);
    } else if (c->iColumn == COL_RANK) {
        if (c->op == SQLITE_INDEX_CONSTRAINT_LT || c->op == SQLITE_INDEX_CONSTRAINT_LE)
            take(p, i, op, false);
    } else {
        take(p, i, op, false);
    }
}

/* The second = on user could contradict the first: SQLite checks it. */
static bool is_repeated(const planner *p, int column) {
    for (int i = 0; i < p->n; i++)
        if (p->item[i].column == column && p->item[i].op == '=') return true;
    return false;
}

static bool order_is_ours(const sqlite3_index_info *info) {
    if (info->nOrderBy != 1) return false;
    int column = info->aOrderBy[0].iColumn;
    return (column == COL_SCORE && info->aOrderBy[0].desc) ||
           (column == COL_RANK && !info->aOrderBy[0].desc);
}

/* While a model is being read for, nothing that it reads may read the model. */
static rec_status refuse_cycle(model_table *t, rec_err *err) {
    sq_conn *c = t->conn;
    sq_frame frame = {0};
    sq_model_cfg cfg;
    key_affinity u, a;
    rec_err why = {0}; /* a damaged definition is reported by who uses it */
    if (!c->frames) return REC_OK;
    rec_status s = sq_enter(c, &frame, t->table.schema, t->table.name, err);
    rec_status parsed =
        s == REC_OK ? sq_cfg_parse(&t->table.args, t->table.name, &cfg, &why) : s;
    if (s == REC_OK && parsed == REC_NOMEM) s = rec_nomem(err);
    if (s == REC_OK && parsed == REC_OK) {
        s = sq_members_check(c, t->table.schema, t->table.name, &cfg, &u, &a, err);
        sq_cfg_clear(&cfg);
    }
    sq_leave(c, &frame);
    return s;
}

static int vt_model_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    planner p = {.t = (model_table *)vtab, .info = info};
    rec_err err = {0};
    if (refuse_cycle(p.t, &err) != REC_OK) return sq_vtab_error(vtab, &err);
    for (int i = 0; i < info->nConstraint && p.n < PLAN_MAX_ITEMS; i++) {
        int column = info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
        if (op == SQLITE_INDEX_CONSTRAINT_LIMIT || op == SQLITE_INDEX_CONSTRAINT_OFFSET)
            continue;
        if ((is_argument(column) || column == COL_USER) && is_repeated(&p, column))
            continue;
        if (is_argument(column)) {
            int rc = take_argument(&p, i);
            if (rc != SQLITE_OK) return rc;
        } else {
            take_condition(&p, i);
        }
    }
    info->estimatedCost = p.is_one ? COST_ONE_USER : COST_ALL_USERS;
    info->estimatedRows = p.is_one ? ROWS_ONE_USER : ROWS_ALL_USERS;
    if (p.has_item) {
        info->estimatedRows = p.is_one ? 1 : ROWS_ALL_USERS / ROWS_ONE_USER;
        info->estimatedCost *= .9; /* scoring costs the same, fewer rows come out */
    }
    if (p.is_one && !p.is_in && order_is_ours(info)) info->orderByConsumed = 1;
    info->idxStr = plan_write(p.item, (size_t)p.n);
    info->needToFreeIdxStr = 1;
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- cursor ------------------------------------------------------------------------------------------------ */

typedef struct model_cursor {
    sqlite3_vtab_cursor base;
    sq_view *view; /* held reference, NULL before the first xFilter */
    rec_run run;
    /* what was asked */
    predicate pred[PLAN_MAX_ITEMS]; /* owned */
    size_t n_pred;
    bool has_user, has_history, has_query, is_none; /* is_none: nothing can match */
    cell user, history, query;                      /* owned */
    int64_t k, max_rank;                            /* -1 = all */
    /* who is being shown */
    sq_users *stream; /* NULL: one asker */
    char key_buf[32];
    rec_key key; /* of the user; borrowed from `user`, key_buf or the stream */
    bool has_key;
    sq_profile profile;
    sq_scores scores;
    bool is_scored; /* profile and scores are those of (user, history, query) */
    bitmap allowed;
    ranking order;
    /* the row */
    uint32_t item;
    float score;
    int64_t rank, rowid;
    bool is_eof;
} model_cursor;

static void forget_question(model_cursor *c) {
    for (size_t i = 0; i < c->n_pred; i++) predicate_free(&c->pred[i]);
    c->n_pred = 0;
}

static void forget_list(model_cursor *c) {
    ranking_clear(&c->order);
    bitmap_clear(&c->allowed);
    memset(&c->order, 0, sizeof c->order);
    memset(&c->allowed, 0, sizeof c->allowed);
}

static void forget_asker(model_cursor *c) {
    sq_users_close(c->stream);
    c->stream = NULL;
    sq_profile_clear(&c->profile);
    sq_scores_clear(&c->scores);
    sq_cell_free(&c->user);
    sq_cell_free(&c->history);
    sq_cell_free(&c->query);
    c->has_user = c->has_history = c->has_query = c->has_key = c->is_scored = false;
}

static int vt_model_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
    model_cursor *c = rec_zeros(1, sizeof *c);
    (void)vtab;
    if (!c) return SQLITE_NOMEM;
    c->is_eof = true;
    *out = &c->base;
    return SQLITE_OK;
}

static int vt_model_close(sqlite3_vtab_cursor *cur) {
    model_cursor *c = (model_cursor *)cur;
    forget_list(c);
    forget_asker(c);
    forget_question(c);
    sq_view_close(c->view);
    rec_free(c);
    return SQLITE_OK;
}

/* ---- the question ------------------------------------------------------------------------------------------- */

typedef struct
    question { /* as xFilter gets it, before it is compared with what the cursor holds */
    sqlite3_value *user, *history, *query;
    bool has_user, has_history, has_query;
} question;

static const model_table *table_of(const model_cursor *c) {
    return (const model_table *)c->base.pVtab;
}

static rec_status read_k(model_cursor *c, sqlite3_value *v, rec_err *err) {
    if (sqlite3_value_type(v) == SQLITE_NULL) return REC_OK;
    int type = sqlite3_value_numeric_type(v);
    double x = sqlite3_value_double(v);
    bool is_number = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
    if (!is_number || x < 0 || x != floor(x) || x > 9e15) {
        const char *text = (const char *)sqlite3_value_text(v);
        return rec_fail(err, REC_RANGE,
                        "rec_model(%s): k is %.40s, expected a whole number from 0",
                        table_of(c)->table.name, text ? text : "NULL");
    }
    c->k = (int64_t)x;
    return REC_OK;
}

static rec_status refuse_blob(const model_cursor *c, const char *column,
                              sqlite3_value *v, rec_err *err) {
    if (sqlite3_value_type(v) != SQLITE_BLOB) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "rec_model(%s): %s is a BLOB, keys are INTEGER or TEXT",
                    table_of(c)->table.name, column);
}

static bool set_has_blob(const predicate *p) {
    for (size_t i = 0; i < p->n_set; i++)
        if (p->set[i].type == CELL_BLOB) return true;
    return false;
}

/* rank < n and rank <= n only end the list early; SQLite compares again. */
static void bound_rank(model_cursor *c, char op, sqlite3_value *v) {
    double x = sqlite3_value_double(v);
    int type = sqlite3_value_numeric_type(v);
    if ((type != SQLITE_INTEGER && type != SQLITE_FLOAT) || x > 9e15) return;
    int64_t most = x < 0 ? 0 : (int64_t)floor(x);
    (void)op; /* one more than needed for < */
    if (c->max_rank < 0 || most < c->max_rank) c->max_rank = most;
}

static rec_status read_condition(model_cursor *c, const plan_item *item,
                                 sqlite3_value *v, rec_err *err) {
    const model_table *t = table_of(c);
    static const char affinity[] = {0, 0, 'r', 'i', 'i', 't'};
    char a = item->column == COL_USER   ? t->user_affinity
             : item->column == COL_ITEM ? t->item_affinity
                                        : affinity[item->column];
    if (item->column == COL_RANK) {
        bound_rank(c, item->op, v);
        return REC_OK;
    }
    rec_status s = REC_OK;
    if (item->column == COL_ITEM && item->op == '=') s = refuse_blob(c, "item", v, err);
    predicate *p = &c->pred[c->n_pred];
    if (s == REC_OK) s = plan_predicate(item, v, a, p, err);
    if (s != REC_OK) return s;
    c->n_pred++;
    if (item->column == COL_ITEM && set_has_blob(p))
        s = rec_fail(err, REC_RANGE,
                     "rec_model(%s): item is a BLOB, keys are INTEGER or TEXT",
                     t->table.name);
    return s;
}

static rec_status read_question(model_cursor *c, const char *idx_str,
                                sqlite3_value **argv, question *q, rec_err *err) {
    plan_item item[PLAN_MAX_ITEMS];
    size_t n;
    c->k = c->max_rank = -1;
    rec_status s = plan_read(idx_str, item, &n, err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        bool is_eq = item[i].op == '=';
        if (item[i].column == COL_K) {
            s = read_k(c, argv[i], err);
        } else if (item[i].column == COL_USER && is_eq) {
            q->user = argv[i];
            q->has_user = true;
            s = refuse_blob(c, "user", argv[i], err);
        } else if (item[i].column == COL_HISTORY) {
            q->history = argv[i];
            q->has_history = true;
        } else if (item[i].column == COL_QUERY) {
            q->query = argv[i];
            q->has_query = true;
        } else {
            s = read_condition(c, &item[i], argv[i], err);
        }
    }
    return s;
}

static rec_status copy_value(sqlite3_value *v, cell *out, rec_err *err) {
    cell given = v ? sq_cell(v) : (cell){.type = CELL_NULL};
    return sq_cell_copy(&given, out, err);
}

static rec_status need_text(const model_cursor *c, const char *column, const cell *v,
                            rec_err *err) {
    if (v->type == CELL_NULL || v->type == CELL_TEXT) return REC_OK;
    return rec_fail(err, REC_RANGE, "rec_model(%s): %s must be text, found a %s",
                    table_of(c)->table.name, column,
                    v->type == CELL_BLOB ? "BLOB" : "number");
}

static bool same_cell(const cell *held, sqlite3_value *v) {
    cell given = v ? sq_cell(v) : (cell){.type = CELL_NULL};
    return held->type == given.type && cell_compare(held, &given) == 0;
}

/* I4: is this the asker whose scores the cursor holds? */
static bool is_same_asker(const model_cursor *c, const question *q) {
    return c->is_scored && !c->stream && c->has_user == q->has_user &&
           c->has_history == q->has_history && c->has_query == q->has_query &&
           same_cell(&c->user, q->user) && same_cell(&c->history, q->history) &&
           same_cell(&c->query, q->query);
}

static rec_status keep_question(model_cursor *c, const question *q, rec_err *err) {
    rec_status s = copy_value(q->user, &c->user, err);
    if (s == REC_OK) s = copy_value(q->history, &c->history, err);
    if (s == REC_OK) s = copy_value(q->query, &c->query, err);
    c->has_user = q->has_user;
    c->has_history = q->has_history;
    c->has_query = q->has_query;
    if (s == REC_OK) s = need_text(c, "history", &c->history, err);
    if (s == REC_OK) s = need_text(c, "query", &c->query, err);
    return s;
}

/* ---- one asker ------------------------------------------------------------------------------------------------- */

static void fill_who(const model_cursor *c, sq_who *who) {
    memset(who, 0, sizeof *who);
    who->user = c->has_key ? &c->key : NULL;
    if (c->history.type == CELL_TEXT) {
        who->history = c->history.p;
        who->n_history = c->history.nbyte;
    }
    if (c->query.type == CELL_TEXT && c->query.nbyte) {
        who->query = c->query.p;
        who->n_query = c->query.nbyte;
    }
}

static bool passes(const model_cursor *c, uint32_t item) {
    for (size_t i = 0; i < c->n_pred; i++) {
        const predicate *p = &c->pred[i];
        rec_key key;
        cell value;
        switch (p->column) {
        case COL_ITEM:
            key = catalog_key(c->view->items, item);
            value = sq_key_cell(&key);
            break;
        case COL_SCORE: value = cell_real((double)c->scores.score[item]); break;
        case COL_SEEN: value = cell_int(bitmap_has(&c->profile.seen, item)); break;
        case COL_SOURCE:
            value = cell_str(score_source_name((score_source)c->scores.source[item]));
            break;
        default: continue; /* the user was compared already */
        }
        if (!predicate_match(p, &value)) return false;
    }
    return true;
}

static bool user_passes(const model_cursor *c) {
    cell value = c->has_key ? sq_key_cell(&c->key) : (cell){.type = CELL_NULL};
    for (size_t i = 0; i < c->n_pred; i++)
        if (c->pred[i].column == COL_USER && !predicate_match(&c->pred[i], &value))
            return false;
    return true;
}

/* Allowed items that pass, in the order of their scores. */
static rec_status list_items(model_cursor *c, rec_err *err) {
    forget_list(c);
    c->rank = 0;
    rec_status s = sq_allowed(c->view, &c->profile, false, &c->allowed, err);
    for (uint32_t i = 0; s == REC_OK && c->n_pred && i < c->allowed.n_bit; i++)
        if (bitmap_has(&c->allowed, i) && !passes(c, i)) bitmap_unset(&c->allowed, i);
    return s == REC_OK ? sq_rank(c->view, &c->scores, &c->allowed, &c->order, err) : s;
}

static rec_status score_one(model_cursor *c, rec_err *err) {
    sq_who who;
    rec_status s = REC_OK;
    if (c->has_user) {
        c->has_key =
            sq_key(&c->user, c->view->user_affinity, c->key_buf, &c->key, &s, err);
        if (s != REC_OK) return s;
    }
    fill_who(c, &who);
    s = sq_profile_read(c->view, &who, &c->profile, err);
    if (s == REC_OK) s = sq_score(c->view, &c->profile, &c->run, &c->scores, err);
    c->is_scored = s == REC_OK;
    return s;
}

/* ---- all users ---------------------------------------------------------------------------------------------------- */

/* The view whose interactions say which users there are. */
static const sq_view *users_of(const sq_view *v) {
    if (v->cfg.interactions) return v;
    for (size_t m = 0; m < v->n_member; m++) {
        const sq_view *found = users_of(v->member[m].view);
        if (found) return found;
    }
    return NULL;
}

static rec_status start_stream(model_cursor *c, rec_err *err) {
    const sq_view *v = users_of(c->view);
    if (!v) return REC_OK; /* no interactions, no users, no rows */
    sq_keys keys = {v->user_affinity, v->item_affinity, v->items};
    sq_frame frame = {0};
    rec_status s = sq_enter(v->conn, &frame, v->schema, v->name, err);
    if (s == REC_OK)
        s = sq_users_open(v->conn, v->schema, &v->cfg, &keys, &c->stream, err);
    sq_leave(v->conn, &frame);
    return s;
}

/* The next user's rows are the profile of a plain model; a hybrid asks each member itself. */
static rec_status next_profile(model_cursor *c, const rec_key **user, rec_err *err) {
    const sq_view *v = users_of(c->view);
    sq_interactions rows = {0};
    bitmap seen = {0};
    sq_who who = {0};
    rec_status s = bitmap_init(&seen, sq_view_n_items(v), false, err);
    sq_profile_clear(&c->profile);
    if (s == REC_OK) s = sq_users_next(c->stream, user, &rows, &seen, err);
    who.user = *user;
    if (s == REC_OK && *user && c->view->n_member) {
        s = sq_profile_read(c->view, &who, &c->profile, err);
    } else if (s == REC_OK && *user) {
        c->profile = (sq_profile){
            .who = who, .row = rows.row, .n = rows.n, .cap = rows.cap, .seen = seen};
        memset(&rows, 0, sizeof rows);
        memset(&seen, 0, sizeof seen);
        s = sq_profile_finish(c->view, &c->profile, err);
    }
    sq_interactions_clear(&rows);
    bitmap_clear(&seen);
    return s;
}

/* On to the next user who passes; *more false at the end. */
static rec_status next_user(model_cursor *c, bool *more, rec_err *err) {
    *more = false;
    for (;;) {
        const rec_key *user = NULL;
        rec_status s = c->stream ? next_profile(c, &user, err) : REC_OK;
        if (s == REC_OK) s = run_check(&c->run, err);
        if (s != REC_OK || !user) return s;
        c->key = *user;
        c->has_key = true;
        if (!user_passes(c)) continue;
        sq_scores_clear(&c->scores);
        s = sq_score(c->view, &c->profile, &c->run, &c->scores, err);
        if (s == REC_OK) s = list_items(c, err);
        *more = s == REC_OK;
        return s;
    }
}

static rec_status next_row(model_cursor *c, rec_err *err) {
    for (;;) {
        int64_t most = c->k;
        if (c->max_rank >= 0 && (most < 0 || c->max_rank < most)) most = c->max_rank;
        bool is_full = most >= 0 && c->rank >= most;
        if (!is_full && sq_rank_next(c->view, &c->order, &c->item, &c->score)) {
            c->rank++;
            c->rowid++;
            return REC_OK;
        }
        bool more = false;
        rec_status s = c->stream ? next_user(c, &more, err) : REC_OK;
        c->is_eof = !more;
        if (s != REC_OK || !more) return s;
    }
}

/* ---- cursor methods -------------------------------------------------------------------------------------------------- */

static rec_status hold_view(model_cursor *c, rec_err *err) {
    const model_table *t = table_of(c);
    const sq_view *before = c->view;
    char *name = sqlite3_mprintf("\"%w\".\"%w\"", t->table.schema, t->table.name);
    rec_status s = name ? sq_view_hold(t->conn, name, &c->view, err) : rec_nomem(err);
    sqlite3_free(name);
    if (s != REC_OK || before != c->view) forget_asker(c);
    return s == REC_OK ? sq_view_require_trained(c->view, err) : s;
}

static rec_status answer(model_cursor *c, const question *q, rec_err *err) {
    rec_status s = REC_OK;
    bool is_one = q->has_user || q->has_history || q->has_query;
    if (is_one && is_same_asker(c, q)) return list_items(c, err);
    forget_asker(c);
    s = keep_question(c, q, err);
    if (s != REC_OK) return s;
    if (!is_one) return start_stream(c, err);
    if (c->has_user && c->user.type == CELL_NULL) { /* user = NULL holds for nobody */
        c->is_none = true;
        return REC_OK;
    }
    s = score_one(c, err);
    if (s == REC_OK && !user_passes(c)) c->is_none = true;
    return s == REC_OK && !c->is_none ? list_items(c, err) : s;
}

static int vt_model_filter(sqlite3_vtab_cursor *cur, int idx_num, const char *idx_str,
                           int argc, sqlite3_value **argv) {
    model_cursor *c = (model_cursor *)cur;
    question q = {0};
    rec_err err = {0};
    (void)idx_num;
    (void)argc;
    forget_question(c);
    forget_list(c);
    c->is_none = false;
    c->is_eof = false;
    c->rowid = c->rank = 0;
    sq_run_init(table_of(c)->conn, &c->run, false);
    rec_status s = hold_view(c, &err);
    if (s == REC_OK) s = read_question(c, idx_str, argv, &q, &err);
    if (s == REC_OK) s = answer(c, &q, &err);
    if (s == REC_OK && c->is_none)
        c->is_eof = true;
    else if (s == REC_OK)
        s = next_row(c, &err);
    if (s == REC_OK) return SQLITE_OK;
    c->is_eof = true;
    return sq_vtab_error(cur->pVtab, &err);
}

static int vt_model_next(sqlite3_vtab_cursor *cur) {
    rec_err err = {0};
    if (next_row((model_cursor *)cur, &err) == REC_OK) return SQLITE_OK;
    ((model_cursor *)cur)->is_eof = true;
    return sq_vtab_error(cur->pVtab, &err);
}

static int vt_model_eof(sqlite3_vtab_cursor *cur) {
    return ((model_cursor *)cur)->is_eof;
}

static int vt_model_column(sqlite3_vtab_cursor *cur, sqlite3_context *ctx, int column) {
    const model_cursor *c = (const model_cursor *)cur;
    rec_key item = catalog_key(c->view->items, c->item);
    cell value = {.type = CELL_NULL};
    switch (column) {
    case COL_USER:
        if (c->has_key) value = sq_key_cell(&c->key);
        break;
    case COL_ITEM: value = sq_key_cell(&item); break;
    case COL_SCORE: value = cell_real((double)c->score); break;
    case COL_RANK: value = cell_int(c->rank); break;
    case COL_SEEN: value = cell_int(bitmap_has(&c->profile.seen, c->item)); break;
    case COL_SOURCE:
        value = cell_str(score_source_name((score_source)c->scores.source[c->item]));
        break;
    case COL_HISTORY: value = c->history; break;
    case COL_QUERY: value = c->query; break;
    case COL_K:
        if (c->k >= 0) value = cell_int(c->k);
        break;
    default: break;
    }
    sq_result_cell(ctx, &value);
    return SQLITE_OK;
}

static int vt_model_rowid(sqlite3_vtab_cursor *cur, sqlite3_int64 *out) {
    *out = ((model_cursor *)cur)->rowid;
    return SQLITE_OK;
}

/* ---- commands ----------------------------------------------------------------------------------------------------------- */

static int vt_model_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv,
                           sqlite3_int64 *rowid) {
    model_table *t = (model_table *)vtab;
    rec_err err = {0};
    rec_status s = REC_OK;
    const char *name = t->table.name;
    bool is_insert =
        argc == 2 + N_COLUMNS && sqlite3_value_type(argv[0]) == SQLITE_NULL;
    sqlite3_value *command = is_insert ? argv[2 + COL_COMMAND] : NULL;
    for (int i = 0; is_insert && i < COL_COMMAND; i++)
        if (sqlite3_value_type(argv[2 + i]) != SQLITE_NULL) is_insert = false;
    if (!is_insert || sqlite3_value_type(command) != SQLITE_TEXT) {
        s = rec_fail(&err, REC_RANGE,
                     "rec_model(%s): its rows come from the model and cannot be "
                     "written; a command is "
                     "INSERT INTO %s(%s) VALUES ('train')",
                     name, name, name);
    } else {
        const char *text = (const char *)sqlite3_value_text(command);
        s = text ? sq_command(t->conn, t->table.schema, name, text, &err)
                 : rec_nomem(&err);
    }
    *rowid = 0;
    return s == REC_OK ? SQLITE_OK : sq_vtab_error(vtab, &err);
}

/* PRAGMA integrity_check, from SQLite 3.44 on. A finding is text; only a failure of the check is an error. */
static int vt_model_integrity(sqlite3_vtab *vtab, const char *schema, const char *name,
                              int flags, char **message) {
    rec_err err = {0};
    rec_status s = sq_model_check(((model_table *)vtab)->conn, schema, name, &err);
    (void)flags;
    if (s == REC_OK) return SQLITE_OK;
    if (s == REC_NOMEM || s == REC_INTR) return sq_code(s);
    *message = sqlite3_mprintf("rec_model %s.%s: %s", schema, name, err.msg);
    return *message ? SQLITE_OK : SQLITE_NOMEM;
}

static const sqlite3_module model_module = {
    .iVersion = 4,
    .xCreate = vt_model_create,
    .xConnect = vt_model_connect,
    .xBestIndex = vt_model_best_index,
    .xDisconnect = vt_model_disconnect,
    .xDestroy = vt_model_destroy,
    .xOpen = vt_model_open,
    .xClose = vt_model_close,
    .xFilter = vt_model_filter,
    .xNext = vt_model_next,
    .xEof = vt_model_eof,
    .xColumn = vt_model_column,
    .xRowid = vt_model_rowid,
    .xUpdate = vt_model_update,
    .xRename = vt_model_rename,
    .xShadowName = vt_model_shadow_name,
    .xIntegrity = vt_model_integrity,
};

int vt_model_register(sq_conn *c) {
    sq_conn_ref(c);
    return sqlite3_create_module_v2(c->db, "rec_model", &model_module, c,
                                    sq_conn_unref);
}
