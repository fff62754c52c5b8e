/* vt_index.c - rec_index as a virtual table.
 *
 *   SELECT ... WHERE embedding MATCH ? AND year < 2000 AND k = 10
 *
 *   xBestIndex   constraints -> plan text (sq_plan.c)      PLAN_MATCH | PLAN_LOOKUP | PLAN_SCAN
 *   xFilter      MATCH: predicates -> bitmap -> search     lookup, scan: a nested SELECT
 *   xNext        one more row                                       vt_index_cursor.c
 *   xUpdate      argument values -> row                             vt_index_write.c
 *
 * How the planner is led:
 * I1. MATCH is used whenever it stands in the WHERE as an AND term; if its right side is not
 *     known yet, the plan is refused (SQLITE_CONSTRAINT), so no other plan competes with it.
 * I2. A scan is cheaper than MATCH: SQLite never splits an OR into a MATCH branch and others
 *     (rows would come unordered), and the match() that is left in the expression says why.
 * I3. With k, a constraint whose right side is no literal makes the plan very dear: where it
 *     comes from a join, SQLite then keeps it for itself, and k counts before the join.
 * I4. Nothing but MATCH, k and ef is omitted from SQLite's own check. LIMIT is a hint and never
 *     cuts: rows beyond it are found by going on, so no version of SQLite can lose a row.
 */
#include "sq_index.h"

#define COST_LOOKUP   1.0
#define COST_SCAN     500.0 /* I2 */
#define COST_MATCH    5000.0
#define COST_JOINED_K 1e12 /* I3 */
#define ROWS_SCAN     100000
#define ROWS_MATCH    25

static int fail(vt_index *vt, rec_status code, const char *fmt, ...) REC_PRINTF(3, 4);
static int fail(vt_index *vt, rec_status code, const char *fmt, ...) {
    rec_err err = {.code = code};
    va_list ap;
    size_t n = rec_format(err.msg, sizeof err.msg, "%s: ", vt->def.what);
    va_start(ap, fmt);
    rec_vformat(err.msg + n, sizeof err.msg - n, fmt, ap);
    va_end(ap);
    return sq_vtab_error(&vt->base, &err);
}

static const char *vector_name(const vt_index *vt) {
    return vt->def.field[vt->def.vector_field].name;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int vt_index_disconnect(sqlite3_vtab *base) {
    vt_index *vt = (vt_index *)base;
    sq_index_close(vt->ix);
    sq_index_def_clear(&vt->def);
    rec_free(vt->schema);
    rec_free(vt);
    return SQLITE_OK;
}

static rec_status init_table(sqlite3 *db, sq_conn *c, const char *const *argv, int argc,
                             bool is_create, vt_index *vt, rec_err *err) {
    sq_args args;
    rec_err inner = {0};
    vt->conn = c;
    vt->schema = rec_strdup(argv[1]);
    if (vt->schema == NULL) return rec_nomem(err);
    rec_status s = sq_args_parse(argc, argv, &args, &inner);
    for (size_t i = 0; is_create && i < args.n && s == REC_OK; i++)
        s = sq_args_once(&args, i, &inner);
    if (s != REC_OK) sq_args_clear(&args);
    if (s != REC_OK)
        return s == REC_NOMEM
                   ? rec_nomem(err)
                   : rec_fail(err, s, "rec_index(%s): %s", argv[2], inner.msg);
    s = sq_index_def_parse(&args, argv[2], &vt->def, err);
    sq_args_clear(&args);
    if (s == REC_OK && is_create) s = sq_index_create(db, argv[1], &vt->def, err);
    if (s == REC_OK) s = sq_index_open(c, argv[1], argv[2], &vt->ix, err);
    if (s == REC_OK && is_create)
        sq_index_forget(vt->ix); /* of an earlier table of that name */
    if (s != REC_OK) return s;
    char *sql = sq_index_def_sql(&vt->def);
    if (sql == NULL) return rec_nomem(err);
    int rc = sqlite3_declare_vtab(db, sql);
    sqlite3_free(sql);
    if (rc == SQLITE_OK)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    if (rc == SQLITE_OK) rc = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    return rc == SQLITE_OK ? REC_OK : sq_fail_rc(db, rc, vt->def.what, err);
}

static int start(sqlite3 *db, void *aux, int argc, const char *const *argv,
                 bool is_create, sqlite3_vtab **out, char **msg) {
    rec_err err = {0};
    vt_index *vt = rec_zeros(1, sizeof *vt);
    *out = NULL;
    if (vt == NULL) return SQLITE_NOMEM;
    vt->def.vector_field = -1;
    rec_status s = init_table(db, aux, argv, argc, is_create, vt, &err);
    if (s == REC_OK) {
        *out = &vt->base;
        return SQLITE_OK;
    }
    int rc = sq_vtab_error(&vt->base, &err);
    *msg = vt->base.zErrMsg;
    vt_index_disconnect(&vt->base);
    return rc;
}

static int vt_index_create(sqlite3 *db, void *aux, int argc, const char *const *argv,
                           sqlite3_vtab **out, char **msg) {
    return start(db, aux, argc, argv, true, out, msg);
}

/* Shadow tables are not looked at: a damaged table can still be dropped, and .read of a dump
 * connects before they exist. */
static int vt_index_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                            sqlite3_vtab **out, char **msg) {
    return start(db, aux, argc, argv, false, out, msg);
}

static int vt_index_destroy(sqlite3_vtab *base) {
    vt_index *vt = (vt_index *)base;
    rec_err err = {0};
    sq_index_forget(vt->ix);
    if (sq_shadow_drop(vt->conn->db, vt->schema, vt->def.table, sq_index_shadow,
                       &err) != REC_OK)
        return sq_vtab_destroy_error(base, &err);
    return vt_index_disconnect(base);
}

static int vt_index_rename(sqlite3_vtab *base, const char *name) {
    vt_index *vt = (vt_index *)base;
    rec_err err = {0};
    rec_status s = sq_index_def_check_name(&vt->def, name, &err);
    /* At COMMIT this object, whose tables have another name by then, must find nothing to do. */
    if (s == REC_OK) s = sq_graph_commit(vt->ix, &vt->def, &err);
    if (s == REC_OK) {
        sq_index_forget(vt->ix);
        s = sq_shadow_rename(vt->conn->db, vt->schema, vt->def.table, name,
                             sq_index_shadow, &err);
    }
    return s == REC_OK ? SQLITE_OK : sq_vtab_error(base, &err);
}

static int vt_index_shadow_name(const char *suffix) {
    for (const char *const *s = sq_index_shadow; *s; s++)
        if (sqlite3_stricmp(*s, suffix) == 0) return 1;
    return 0;
}

/* ---- planning ---------------------------------------------------------------------------------- */

typedef struct planner {
    vt_index *vt;
    sqlite3_index_info *info;
    int col_distance, col_k, col_ef;
    int match, key; /* constraint numbers, -1 = none */
    bool has_k, is_joined, is_full;
    plan_item item[PLAN_MAX_ITEMS];
    size_t n;
} planner;

static bool is_literal(const planner *p, int i) {
    sqlite3_value *v = NULL;
    return sqlite3_vtab_rhs_value(p->info, i, &v) == SQLITE_OK && v != NULL;
}

static void take(planner *p, int i, char op, bool want_omit) {
    if (p->n == PLAN_MAX_ITEMS) {
        p->is_full = true;
        return;
    }
    p->item[p->n++] =
        (plan_item){op, p->info->aConstraint[i].iColumn, is_literal(p, i)};
    p->info->aConstraintUsage[i].argvIndex = (int)p->n;
    p->info->aConstraintUsage[i].omit = want_omit;
}

const index_field *vt_index_field(const vt_index *vt, int column) {
    const sq_index_def *d = &vt->def;
    static const index_field rowid_field = {.role = FIELD_KEY, .affinity = 'i'};
    if (column >= 0) return column < (int)d->n_field ? &d->field[column] : NULL;
    return d->key == INDEX_KEY_TEXT ? NULL : &rowid_field;
}

static bool is_binary(const planner *p, int i) {
    const char *name = sqlite3_vtab_collation(p->info, i);
    return name == NULL || sqlite3_stricmp(name, "BINARY") == 0;
}

/* Errors that show in the constraints; finds MATCH, k and an equality on the key. */
static int survey(planner *p) {
    vt_index *vt = p->vt;
    bool has_k_any = false, is_unusable = false;
    for (int i = 0; i < p->info->nConstraint; i++) {
        const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
        if (c->op == SQLITE_INDEX_CONSTRAINT_LIMIT ||
            c->op == SQLITE_INDEX_CONSTRAINT_OFFSET)
            continue;
        if (c->op == SQLITE_INDEX_CONSTRAINT_MATCH) {
            if (c->iColumn != vt->def.vector_field)
                return fail(vt, REC_RANGE, "MATCH works on the vector column, %s",
                            vector_name(vt));
            if (p->match >= 0)
                return fail(vt, REC_RANGE, "%s MATCH may stand once in a WHERE",
                            vector_name(vt));
            p->match = i;
            is_unusable |= !c->usable;
        } else if (c->iColumn == p->col_k || c->iColumn == p->col_ef) {
            const char *name = c->iColumn == p->col_k ? "k" : "ef";
            if (c->op != SQLITE_INDEX_CONSTRAINT_EQ || sqlite3_vtab_in(p->info, i, -1))
                return fail(vt, REC_RANGE, "%s takes one number: %s = 10", name, name);
            has_k_any = true;
            p->has_k |= c->iColumn == p->col_k;
            is_unusable |= !c->usable;
        } else if (c->usable && p->key < 0 && c->op == SQLITE_INDEX_CONSTRAINT_EQ) {
            const index_field *f = vt_index_field(vt, c->iColumn);
            bool is_slot = c->iColumn < 0 && f == NULL;
            if (is_slot || (f && f->role == FIELD_KEY && is_binary(p, i))) p->key = i;
        }
    }
    if (has_k_any && p->match < 0)
        return fail(vt, REC_RANGE,
                    "k and ef need %s MATCH in the same WHERE, joined by AND",
                    vector_name(vt));
    return p->match >= 0 && is_unusable ? SQLITE_CONSTRAINT : SQLITE_OK; /* I1 */
}

static bool is_setting(const planner *p, int i) {
    int column = p->info->aConstraint[i].iColumn;
    return column == p->col_k || column == p->col_ef;
}

static void plan_constraint(planner *p, int i) {
    const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
    char op = plan_op_letter(c->op);
    const index_field *f = vt_index_field(p->vt, c->iColumn);
    if (!c->usable || op == 0 || i == p->match || is_setting(p, i)) return;
    if (op == 'k' || op == 'o') {
        take(p, i, op, false);
        return;
    }
    bool is_distance = c->iColumn == p->col_distance;
    if (!is_distance && (f == NULL || f->role == FIELD_VECTOR || !is_binary(p, i)))
        return;
    if (op == '=' && sqlite3_vtab_in(p->info, i, -1)) {
        sqlite3_vtab_in(p->info, i, 1);
        op = 'I';
    }
    take(p, i, op, false);
    if (p->n > 0 && !p->item[p->n - 1].is_literal && op != 'I' && op != 'n' &&
        op != 'N')
        p->is_joined = true; /* perhaps: a bound parameter looks the same */
}

static void plan_match(planner *p) {
    sqlite3_index_info *info = p->info;
    take(p, p->match, 'm', true);
    for (int i = 0; i < info->nConstraint; i++) /* before the plan can be full */
        if (is_setting(p, i)) take(p, i, '=', true);
    for (int i = 0; i < info->nConstraint; i++) plan_constraint(p, i);
    info->estimatedCost = p->has_k && p->is_joined ? COST_JOINED_K : COST_MATCH;
    info->estimatedRows = ROWS_MATCH;
    info->orderByConsumed = info->nOrderBy == 1 &&
                            info->aOrderBy[0].iColumn == p->col_distance &&
                            !info->aOrderBy[0].desc && sqlite3_vtab_distinct(info) == 0;
    info->idxNum = PLAN_MATCH;
}

static void plan_rows(planner *p) {
    sqlite3_index_info *info = p->info;
    info->idxNum = PLAN_SCAN;
    info->estimatedCost = COST_SCAN;
    info->estimatedRows = ROWS_SCAN;
    if (p->key < 0) return;
    take(p, p->key, '=', false);
    bool is_slot = vt_index_field(p->vt, info->aConstraint[p->key].iColumn) == NULL;
    info->idxNum = is_slot ? PLAN_SLOT : PLAN_LOOKUP;
    info->estimatedCost = COST_LOOKUP;
    info->estimatedRows = 1;
    info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
}

/* What EXPLAIN QUERY PLAN says. How a filtered graph is searched depends on the share of rows that
 * pass, which is known once they are counted: rec_index_stats shows what the last search did. */
static const char *strategy(const planner *p) {
    static const char *const rows[] = {
        [PLAN_SCAN] = "all rows", [PLAN_LOOKUP] = "key", [PLAN_SLOT] = "slot"};
    const vt_index *vt = p->vt;
    bool is_filtered = false;
    if (p->match < 0) return rows[p->info->idxNum];
    for (size_t i = 0; i < p->n; i++)
        is_filtered |= vt_index_field(vt, p->item[i].column) != NULL &&
                       p->item[i].op != 'm' && p->item[i].op != 'k' &&
                       p->item[i].op != 'o';
    if (sq_graph_exists(&vt->def))
        return is_filtered ? "graph or exact scan of the rows that pass" : "graph";
    return is_filtered ? "exact scan of the rows that pass" : "exact scan";
}

static int vt_index_best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
    vt_index *vt = (vt_index *)base;
    int n = (int)vt->def.n_field;
    planner p = {.vt = vt, .info = info, .match = -1, .key = -1};
    p.col_distance = n + INDEX_DISTANCE;
    p.col_k = n + INDEX_K;
    p.col_ef = n + INDEX_EF;
    int rc = survey(&p);
    if (rc != SQLITE_OK) return rc;
    if (p.match >= 0)
        plan_match(&p);
    else
        plan_rows(&p);
    if (p.is_full && p.has_k) /* k would count before what did not fit */
        return fail(vt, REC_RANGE, "k with more than %d terms in WHERE; use LIMIT",
                    PLAN_MAX_ITEMS);
    info->idxStr = plan_write(strategy(&p), p.item, p.n);
    info->needToFreeIdxStr = 1;
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- functions and transactions ------------------------------------------------------------------------ */

/* SQLite omits its own check of the first 16 constraints only: where a search runs, every row of it
 * matches. */
static void match_misplaced(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    const vt_index *vt = sqlite3_user_data(ctx);
    (void)argc;
    (void)argv;
    if (vt->n_searches > 0) {
        sqlite3_result_int(ctx, 1);
        return;
    }
    sqlite3_result_error(
        ctx,
        "rec_index: MATCH stands in WHERE as a term of its own, joined by AND; not "
        "below OR or NOT, not outside WHERE",
        -1);
}

static int vt_index_find_function(sqlite3_vtab *base, int n_arg, const char *name,
                                  void (**fn)(sqlite3_context *, int, sqlite3_value **),
                                  void **arg) {
    if (n_arg != 2 || sqlite3_stricmp(name, "match") != 0) return 0;
    *fn = match_misplaced;
    *arg = base;
    return 1;
}

static int vt_index_begin(sqlite3_vtab *base) {
    sq_index_boundary(((vt_index *)base)->ix, true);
    return SQLITE_OK;
}
static int vt_index_sync(sqlite3_vtab *base) {
    vt_index *vt = (vt_index *)base;
    rec_err err = {0};
    rec_status s = sq_graph_commit(vt->ix, &vt->def, &err);
    return s == REC_OK ? SQLITE_OK : sq_vtab_error(base, &err);
}
static int vt_index_savepoint(sqlite3_vtab *base, int n) {
    (void)n;
    sq_index_boundary(((vt_index *)base)->ix, false);
    return SQLITE_OK;
}

static int vt_index_integrity(sqlite3_vtab *base, const char *schema, const char *table,
                              int flags, char **msg) {
    vt_index *vt = (vt_index *)base;
    rec_err err = {0};
    (void)schema;
    (void)table;
    rec_status s = sq_index_check(vt->ix, &vt->def, flags & 1, &err);
    if (s == REC_OK) return SQLITE_OK;
    if (s != REC_CORRUPT && s != REC_IO) return sq_code(s);
    *msg = sqlite3_mprintf("%s", err.msg);
    return *msg ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- registration -------------------------------------------------------------------- */

static const sqlite3_module index_module = {
    .iVersion = 4,
    .xCreate = vt_index_create,
    .xConnect = vt_index_connect,
    .xBestIndex = vt_index_best_index,
    .xDisconnect = vt_index_disconnect,
    .xDestroy = vt_index_destroy,
    .xOpen = vt_index_open,
    .xClose = vt_index_close,
    .xFilter = vt_index_filter,
    .xNext = vt_index_next,
    .xEof = vt_index_eof,
    .xColumn = vt_index_column,
    .xRowid = vt_index_rowid,
    .xUpdate = vt_index_update,
    .xBegin = vt_index_begin,
    .xSync = vt_index_sync,
    .xCommit = vt_index_begin,
    .xRollback = vt_index_begin,
    .xFindFunction = vt_index_find_function,
    .xRename = vt_index_rename,
    .xSavepoint = vt_index_savepoint,
    .xRelease = vt_index_savepoint,
    .xRollbackTo = vt_index_savepoint,
    .xShadowName = vt_index_shadow_name,
    .xIntegrity = vt_index_integrity,
};

int vt_index_register(sq_conn *c) {
    sq_conn_ref(c);
    return sqlite3_create_module_v2(c->db, "rec_index", &index_module, c,
                                    sq_conn_unref);
}
