/* vt_model.c - rec_model: a recommender is a table of (user, item, score).
 *
 *   SELECT item, score FROM taste WHERE user = 42 AND seen = 0 ORDER BY score DESC LIMIT 10
 *
 *   xBestIndex   which constraints we take:  user =   history =  query =  k =   consumed
 *                                            item = / IN, seen, score, source ..  applied before k
 *   the rest of the reading is in vt_model_cursor.c
 *
 * Rows of one user come in descending score, so ORDER BY score DESC and ORDER BY rank are consumed. `rank` is the
 * place among the rows of the user that these constraints leave. A full scan reads the interactions once, user by
 * user in the order of their keys.
 *
 * I1. What is taken is either enforced exactly here (and marked so), or checked again by SQLite.
 * I2. xConnect succeeds whenever the arguments can be cut into pieces: a table whose definition or content is
 *     damaged can still be dropped. What is wrong is said by the statement that needs it.
 * I3. No state of a transaction is in memory: views are tagged with the stored generation (sq_model.c).
 */
#include "sq.h"

static const char *const column_names[] = {"user",   "item",    "score", "rank", "seen",
                                           "source", "history", "query", "k"};
static const char *const shadow_suffix[] = {"state", "data", "log", NULL};

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
    cell u = cell_str(user == AFFINITY_TEXT ? "TEXT" : "INTEGER");
    cell a = cell_str(item == AFFINITY_TEXT ? "TEXT" : "INTEGER");
    cell format = cell_int(SQ_MODEL_FORMAT);
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
    return s == REC_OK ? sq_state_seal(c->db, argv[1], argv[2], err) : s;
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

static void table_free(vt_model_table *t) {
    sq_args_clear(&t->table.args);
    rec_free(t->table.schema);
    rec_free(t->table.name);
    rec_free(t);
}

/* A member that is missing is reported by whoever uses the model. */
static rec_status find_outside(vt_model_table *t, rec_err *err) {
    sq_conn *c = t->conn;
    sq_frame frame = {0};
    sq_model_cfg cfg;
    rec_err why = {0};
    rec_status s = sq_cfg_parse(&t->table.args, t->table.name, &cfg, &why);
    if (s != REC_OK) return s == REC_NOMEM ? rec_nomem(err) : REC_OK;
    t->table.is_outside = (sq_embed_needs(&cfg) & EMBED_OUTSIDE) != 0;
    if (cfg.n_member) s = sq_enter(c, &frame, t->table.schema, t->table.name, &why);
    for (size_t i = 0; i < cfg.n_member && s == REC_OK; i++) {
        const sq_table *member = NULL;
        rec_status found =
            sq_table_find(c, t->table.schema, cfg.member[i].model, &member, &why);
        if (found == REC_NOMEM) s = rec_nomem(err);
        if (member && member->is_outside) t->table.is_outside = true;
    }
    sq_leave(c, &frame);
    sq_cfg_clear(&cfg);
    return s == REC_NOMEM ? s : REC_OK;
}

static int declare(sqlite3 *db, vt_model_table *t) {
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
    if (rc == SQLITE_OK)
        rc = sqlite3_vtab_config(db, t->table.is_outside ? SQLITE_VTAB_DIRECTONLY
                                                         : SQLITE_VTAB_INNOCUOUS);
    return rc;
}

static int open_table(sq_conn *c, int argc, const char *const *argv, bool is_create,
                      sqlite3_vtab **out, char **message) {
    rec_err err = {0};
    vt_model_table *t = rec_zeros(1, sizeof *t);
    if (!t) return SQLITE_NOMEM;
    t->conn = c;
    t->table.schema = rec_strdup(argv[1]);
    t->table.name = rec_strdup(argv[2]);
    rec_status s = t->table.schema && t->table.name ? REC_OK : rec_nomem(&err);
    if (s == REC_OK) s = sq_args_parse(argc, argv, &t->table.args, &err);
    if (s == REC_OK && is_create) s = check_and_create(c, argv, &t->table.args, &err);
    if (s == REC_OK) s = find_outside(t, &err);
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
    vt_model_table *t = (vt_model_table *)vtab;
    sq_table_remove(t->conn, &t->table);
    sq_views_drop(t->conn, t->table.schema, t->table.name);
    table_free(t);
    return SQLITE_OK;
}

static int vt_model_destroy(sqlite3_vtab *vtab) {
    vt_model_table *t = (vt_model_table *)vtab;
    rec_err err = {0};
    rec_status s = sq_shadow_drop(t->conn->db, t->table.schema, t->table.name,
                                  shadow_suffix, &err);
    if (s != REC_OK) return sq_vtab_destroy_error(vtab, &err);
    return vt_model_disconnect(vtab);
}

/* A table that takes the name of its own shadow table would be renamed for ever. */
static rec_status check_rename(const vt_model_table *t, const char *name,
                               rec_err *err) {
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
    vt_model_table *t = (vt_model_table *)vtab;
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
    vt_model_table *t;
    sqlite3_index_info *info;
    plan_item item[PLAN_MAX_ITEMS];
    int n;
    bool is_one, is_in,
        has_item; /* one asker; users from an IN list; an item is given */
} planner;

static bool is_argument(int column) {
    return column == MODEL_HISTORY || column == MODEL_QUERY || column == MODEL_K;
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
    if (c->iColumn == MODEL_K && sqlite3_vtab_in(p->info, i, -1)) {
        sqlite3_free(p->t->base.zErrMsg);
        p->t->base.zErrMsg = sqlite3_mprintf(
            "rec_model(%s): k takes one number, not a list", p->t->table.name);
        return SQLITE_ERROR;
    }
    if (c->iColumn != MODEL_K) {
        p->is_one = true;
        if (sqlite3_vtab_in(p->info, i, -1)) p->is_in = true;
    }
    take(p, i, '=', true);
    return SQLITE_OK;
}

static void take_condition(planner *p, int i) {
    const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
    char op = plan_op_letter(c->op);
    if (!c->usable || !op || c->iColumn < 0 || c->iColumn > MODEL_SOURCE) return;
    bool is_eq = c->op == SQLITE_INDEX_CONSTRAINT_EQ;
    if (c->iColumn == MODEL_USER && is_eq) {
        if (sqlite3_vtab_in(p->info, i, -1)) p->is_in = true;
        p->is_one = true;
        take(p, i, '=', true);
    } else if (c->iColumn == MODEL_ITEM && is_eq) {
        bool is_list = sqlite3_vtab_in(p->info, i, -1);
        if (is_list) sqlite3_vtab_in(p->info, i, 1);
        p->has_item = true;
        take(p, i, is_list ? 'I' : '=', true);
    } else if (c->iColumn == MODEL_RANK) {
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
    return (column == MODEL_SCORE && info->aOrderBy[0].desc) ||
           (column == MODEL_RANK && !info->aOrderBy[0].desc);
}

/* While a model is being read for, nothing that it reads may read the model. */
static rec_status refuse_cycle(vt_model_table *t, rec_err *err) {
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
    planner p = {.t = (vt_model_table *)vtab, .info = info};
    rec_err err = {0};
    if (refuse_cycle(p.t, &err) != REC_OK) return sq_vtab_error(vtab, &err);
    for (int i = 0; i < info->nConstraint && p.n < PLAN_MAX_ITEMS; i++) {
        int column = info->aConstraint[i].iColumn, op = info->aConstraint[i].op;
        if (op == SQLITE_INDEX_CONSTRAINT_LIMIT || op == SQLITE_INDEX_CONSTRAINT_OFFSET)
            continue;
        if ((is_argument(column) || column == MODEL_USER) && is_repeated(&p, column))
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
    info->idxStr = plan_write("", p.item, (size_t)p.n);
    info->needToFreeIdxStr = 1;
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- commands ----------------------------------------------------------------------------------------------------------- */

static int vt_model_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv,
                           sqlite3_int64 *rowid) {
    vt_model_table *t = (vt_model_table *)vtab;
    rec_err err = {0};
    rec_status s = REC_OK;
    const char *name = t->table.name;
    bool is_insert =
        argc == 2 + MODEL_N_COLUMNS && sqlite3_value_type(argv[0]) == SQLITE_NULL;
    sqlite3_value *command = is_insert ? argv[2 + MODEL_COMMAND] : NULL;
    for (int i = 0; is_insert && i < MODEL_COMMAND; i++)
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
    rec_status s = sq_model_check(((vt_model_table *)vtab)->conn, schema, name, &err);
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
