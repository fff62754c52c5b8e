/* vt_index.c - rec_index as a virtual table.
 *
 *   SELECT ... WHERE embedding MATCH ? AND year < 2000 AND k = 10
 *
 *   xBestIndex   constraints -> plan text (sq_plan.c)      PLAN_MATCH | PLAN_LOOKUP | PLAN_SCAN
 *   xFilter      MATCH: predicates -> bitmap -> search     lookup, scan: a nested SELECT
 *   xNext        one more row of the search; past the LIMIT hint the search goes on as a stream
 *   xUpdate      argument values -> row -> sq_index.c
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
 *
 * A cursor holds a reference to the memory that it reads from: a write while it is open does
 * not disturb it (sq_index.c, I3).
 */
#include "sq.h"

typedef struct vt_index {
    sqlite3_vtab base;
    sq_conn *conn;
    sq_index *ix;
    sq_index_def def;
    char *schema;
} vt_index;

enum { PLAN_SCAN, PLAN_LOOKUP, PLAN_SLOT, PLAN_MATCH };
#define COST_LOOKUP   1.0
#define COST_SCAN     500.0 /* I2 */
#define COST_MATCH    5000.0
#define COST_JOINED_K 1e12 /* I3 */
#define ROWS_SCAN     100000
#define ROWS_MATCH    25

typedef struct vt_index_cursor {
    sqlite3_vtab_cursor base;
    int plan;
    bool is_eof, has_k;
    sqlite3_stmt *scan; /* PLAN_SCAN, PLAN_LOOKUP, PLAN_SLOT */
    sq_memory *mem;     /* PLAN_MATCH: */
    index_search *search;
    float *query;
    uint8_t *bits;
    bitmap allowed;
    bool has_allowed;
    predicate *distance; /* on the distance column */
    size_t n_distance;
    int64_t k, ef;
    size_t hint, n_pulled, n_given; /* hint 0: the search is a stream already */
    uint32_t slot;
    float value;
    float *decoded;
} vt_index_cursor;

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
        return sq_vtab_error(base, &err);
    return vt_index_disconnect(base);
}

static int vt_index_rename(sqlite3_vtab *base, const char *name) {
    vt_index *vt = (vt_index *)base;
    rec_err err = {0};
    rec_status s = sq_index_def_check_name(&vt->def, name, &err);
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
    bool has_k, is_joined;
    plan_item item[PLAN_MAX_ITEMS];
    size_t n;
} planner;

static bool is_literal(const planner *p, int i) {
    sqlite3_value *v = NULL;
    return sqlite3_vtab_rhs_value(p->info, i, &v) == SQLITE_OK && v != NULL;
}

static void take(planner *p, int i, char op, bool want_omit) {
    if (p->n == PLAN_MAX_ITEMS) return;
    p->item[p->n++] =
        (plan_item){op, p->info->aConstraint[i].iColumn, is_literal(p, i)};
    p->info->aConstraintUsage[i].argvIndex = (int)p->n;
    p->info->aConstraintUsage[i].omit = want_omit;
}

/* Field of a column number: declared columns, and the rowid where it is the key. */
static const index_field *field_of(const vt_index *vt, int column) {
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
            const index_field *f = field_of(vt, c->iColumn);
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

static void plan_constraint(planner *p, int i) {
    const struct sqlite3_index_constraint *c = &p->info->aConstraint[i];
    char op = plan_op_letter(c->op);
    const index_field *f = field_of(p->vt, c->iColumn);
    if (!c->usable || op == 0 || i == p->match) return;
    if (op == 'k' || op == 'o') {
        take(p, i, op, false);
        return;
    }
    if (c->iColumn == p->col_k || c->iColumn == p->col_ef) {
        take(p, i, op, true);
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
    bool is_slot = field_of(p->vt, info->aConstraint[p->key].iColumn) == NULL;
    info->idxNum = is_slot ? PLAN_SLOT : PLAN_LOOKUP;
    info->estimatedCost = COST_LOOKUP;
    info->estimatedRows = 1;
    info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
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
    info->idxStr = plan_write(p.item, p.n);
    info->needToFreeIdxStr = 1;
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- cursors ------------------------------------------------------------------------------------- */

static int vt_index_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
    (void)base;
    vt_index_cursor *cur = rec_zeros(1, sizeof *cur);
    *out = cur ? &cur->base : NULL;
    return cur ? SQLITE_OK : SQLITE_NOMEM;
}

static void cursor_reset(vt_index_cursor *cur) {
    sqlite3_finalize(cur->scan);
    if (cur->search) cur->search->ops->end(cur->search);
    sq_memory_unref(cur->mem);
    rec_free(cur->query);
    rec_free(cur->bits);
    rec_free(cur->decoded);
    bitmap_clear(&cur->allowed);
    for (size_t i = 0; i < cur->n_distance; i++) predicate_free(&cur->distance[i]);
    rec_free(cur->distance);
    sqlite3_vtab_cursor base = cur->base;
    *cur = (vt_index_cursor){.base = base, .is_eof = true};
}

static int vt_index_close(sqlite3_vtab_cursor *base) {
    cursor_reset((vt_index_cursor *)base);
    rec_free(base);
    return SQLITE_OK;
}

/* A count: k, ef, LIMIT, OFFSET. *is_null: nothing equals NULL. */
static rec_status read_count(const vt_index *vt, const char *name, sqlite3_value *v,
                             int64_t *out, bool *is_null, rec_err *err) {
    cell c = {0};
    *is_null = false;
    rec_status s = sq_value_as(v, 'i', &c, err);
    if (s != REC_OK) return s;
    *is_null = c.type == CELL_NULL;
    *out = c.type == CELL_INT ? c.i : -1;
    if (!*is_null && *out < 0)
        s = rec_fail(err, REC_RANGE, "%s: %s is a whole number of at least 0, found %s",
                     vt->def.what, name, (const char *)sqlite3_value_text(v));
    sq_cell_free(&c);
    return s;
}

static rec_status read_query(const vt_index *vt, vt_index_cursor *cur, sqlite3_value *v,
                             rec_err *err) {
    const sq_index_def *d = &vt->def;
    uint32_t dim;
    rec_err inner = {0};
    rec_status s = sq_vector(v, d->cfg.dim, d->what, &cur->query, &dim, err);
    if (s != REC_OK || cur->query == NULL) return s;
    cur->bits = rec_malloc(vec_nbyte(d->type, d->cfg.dim));
    if (cur->bits == NULL) return rec_nomem(err);
    s = index_encode(d->type, cur->query, d->cfg.dim, cur->bits, &inner);
    /* float16 is no limit for a query, which stays float32. */
    if (s == REC_OK || d->type == VEC_F16) return REC_OK;
    return rec_fail(err, s, "%s: query: %s", d->what, inner.msg);
}

typedef struct match_args {
    predicate *pred; /* on cells */
    size_t n;
    int64_t limit, offset;
    bool is_empty; /* something equals NULL */
} match_args;

static rec_status read_arg(const vt_index *vt, vt_index_cursor *cur,
                           const plan_item *item, sqlite3_value *v, match_args *m,
                           rec_err *err) {
    int n = (int)vt->def.n_field;
    bool is_null = false;
    rec_status s = REC_OK;
    if (item->op == 'm') {
        s = read_query(vt, cur, v, err);
        if (cur->query == NULL) m->is_empty = true;
        return s;
    }
    if (item->op == 'k' ||
        item->op == 'o') { /* a negative LIMIT is none, OFFSET zero */
        *(item->op == 'k' ? &m->limit : &m->offset) = sqlite3_value_int64(v);
        return REC_OK;
    }
    if (item->column == n + INDEX_K || item->column == n + INDEX_EF) {
        bool is_k = item->column == n + INDEX_K;
        s = read_count(vt, is_k ? "k" : "ef", v, is_k ? &cur->k : &cur->ef, &is_null,
                       err);
        cur->has_k |= is_k;
        m->is_empty |= is_null;
        return s;
    }
    bool is_distance = item->column == n + INDEX_DISTANCE;
    const index_field *f = is_distance ? NULL : field_of(vt, item->column);
    if (!is_distance && f == NULL)
        return rec_fail(err, REC_BUG, "%s: plan names column %d", vt->def.what,
                        item->column);
    predicate *to = is_distance ? &cur->distance[cur->n_distance] : &m->pred[m->n];
    s = plan_predicate(item, v, is_distance ? 'r' : f->affinity, to, err);
    if (s != REC_OK) return s;
    if (to->column == PLAN_NO_PREDICATE) {
        predicate_free(to);
        return REC_OK;
    }
    to->column = is_distance ? 0 : f->cell;
    if (is_distance)
        cur->n_distance++;
    else
        m->n++;
    return REC_OK;
}

/* Is the order of distances enough to cut after the k nearest? Upper bounds only end the list. */
static bool is_upper_bound(const predicate *p) {
    return p->op == PRED_LT || p->op == PRED_LE;
}

static rec_status start_search(vt_index_cursor *cur, size_t k, rec_err *err) {
    rec_run run;
    vt_index *vt = (vt_index *)cur->base.pVtab;
    sq_run_init(vt->conn, &run, false);
    index_query q = {.vector = cur->query, .bits = cur->bits, .k = k, .run = &run};
    q.allowed = cur->has_allowed ? &cur->allowed : NULL;
    if (cur->search) cur->search->ops->end(cur->search);
    cur->search = NULL;
    return cur->mem->ix->ops->search(cur->mem->ix, &q, &cur->search, err);
}

static rec_status begin_match(vt_index *vt, vt_index_cursor *cur, const match_args *m,
                              rec_err *err) {
    rec_run run;
    sq_run_init(vt->conn, &run, false);
    rec_status s = sq_index_memory(vt->ix, &vt->def, &cur->mem, err);
    if (s == REC_OK && m->n > 0) {
        s = bitmap_init(&cur->allowed, cur->mem->n_slots, true, err);
        if (s == REC_OK)
            s = filter_apply(cur->mem->cells, m->pred, m->n, &cur->allowed, &run, err);
        cur->has_allowed = true;
    }
    uint64_t want = 0; /* rows that will be pulled; 0 = nobody knows */
    if (cur->has_k)
        want = (uint64_t)cur->k;
    else if (m->limit > 0)
        want = (uint64_t)m->limit + (m->offset > 0 ? (uint64_t)m->offset : 0);
    for (size_t i = 0; i < cur->n_distance; i++)
        if (!is_upper_bound(&cur->distance[i])) want = 0;
    if (want > (uint64_t)1 << 31) want = 0;
    cur->hint = (size_t)want;
    cur->is_eof = false;
    return s == REC_OK ? start_search(cur, cur->hint, err) : s;
}

/* The next (slot, distance) of the search. Past the hint the same search goes on as a stream,
 * from where it was: order does not depend on k. */
static bool pull(vt_index_cursor *cur, rec_status *s, rec_err *err) {
    if (cur->search->ops->next(cur->search, &cur->slot, &cur->value, s, err)) {
        cur->n_pulled++;
        return true;
    }
    if (*s != REC_OK || cur->hint == 0 || cur->n_pulled < cur->hint || cur->has_k)
        return false;
    cur->hint = 0;
    *s = start_search(cur, 0, err);
    for (size_t i = 0; i <= cur->n_pulled && *s == REC_OK; i++)
        if (!cur->search->ops->next(cur->search, &cur->slot, &cur->value, s, err))
            return false;
    cur->n_pulled++;
    return *s == REC_OK;
}

static rec_status next_match(vt_index_cursor *cur, rec_err *err) {
    rec_status s = REC_OK;
    while (!(cur->has_k && cur->n_given >= (uint64_t)cur->k) && pull(cur, &s, err)) {
        cell d = {.type = CELL_REAL, .r = (double)cur->value};
        bool passes = true;
        for (size_t i = 0; i < cur->n_distance && passes; i++)
            if (!predicate_match(&cur->distance[i], &d)) {
                passes = false;
                if (is_upper_bound(&cur->distance[i])) goto done;
            }
        if (!passes) continue;
        cur->n_given++;
        return REC_OK;
    }
done:
    cur->is_eof = true;
    return s;
}

static rec_status next_row(vt_index *vt, vt_index_cursor *cur, rec_err *err) {
    bool row = false;
    rec_status s = sq_step(cur->scan, vt->def.what, &row, err);
    cur->is_eof = !row;
    return s;
}

static rec_status filter_match(vt_index *vt, vt_index_cursor *cur,
                               const plan_item *item, size_t n, sqlite3_value **argv,
                               rec_err *err) {
    match_args m = {.limit = -1};
    m.pred = rec_zeros(n, sizeof *m.pred);
    cur->distance = rec_zeros(n, sizeof *cur->distance);
    rec_status s = m.pred && cur->distance ? REC_OK : rec_nomem(err);
    for (size_t i = 0; i < n && s == REC_OK; i++)
        s = read_arg(vt, cur, &item[i], argv[i], &m, err);
    if (s == REC_OK && !m.is_empty) {
        s = begin_match(vt, cur, &m, err);
        if (s == REC_OK) s = next_match(cur, err);
    }
    for (size_t i = 0; i < m.n; i++) predicate_free(&m.pred[i]);
    rec_free(m.pred);
    return s;
}

static rec_status filter_rows(vt_index *vt, vt_index_cursor *cur, sqlite3_value *arg,
                              rec_err *err) {
    const char *where = cur->plan == PLAN_SCAN     ? ""
                        : cur->plan == PLAN_LOOKUP ? "WHERE id = ?1"
                                                   : "WHERE slot = ?1";
    char buf[32];
    rec_key key;
    rec_status s = REC_OK;
    if (arg) {
        cell c = sq_cell(arg);
        bool is_text = cur->plan == PLAN_LOOKUP && vt->def.key == INDEX_KEY_TEXT;
        if (c.type == CELL_BLOB) return REC_OK; /* a key is no BLOB: nothing is equal */
        if (!sq_key(&c, is_text ? AFFINITY_TEXT : AFFINITY_INTEGER, buf, &key, &s, err))
            return s;
    }
    s = sq_index_select(vt->ix, &vt->def, where, &cur->scan, err);
    if (s == REC_OK && arg) s = sq_bind_key(cur->scan, 1, &key, err);
    if (s == REC_OK) s = next_row(vt, cur, err);
    return s;
}

static int vt_index_filter(sqlite3_vtab_cursor *base, int idx_num, const char *idx_str,
                           int argc, sqlite3_value **argv) {
    vt_index_cursor *cur = (vt_index_cursor *)base;
    vt_index *vt = (vt_index *)base->pVtab;
    plan_item item[PLAN_MAX_ITEMS];
    size_t n = 0;
    rec_err err = {0};
    cursor_reset(cur);
    cur->plan = idx_num;
    rec_status s = plan_read(idx_str, item, &n, &err);
    if (s == REC_OK && n != (size_t)argc)
        s = rec_fail(&err, REC_BUG, "%s: plan of %zu items, %d arguments", vt->def.what,
                     n, argc);
    if (s == REC_OK)
        s = idx_num == PLAN_MATCH
                ? filter_match(vt, cur, item, n, argv, &err)
                : filter_rows(vt, cur, argc > 0 ? argv[0] : NULL, &err);
    if (s == REC_OK) return SQLITE_OK;
    cur->is_eof = true;
    return sq_vtab_error(base->pVtab, &err);
}

static int vt_index_next(sqlite3_vtab_cursor *base) {
    vt_index_cursor *cur = (vt_index_cursor *)base;
    rec_err err = {0};
    rec_status s = cur->plan == PLAN_MATCH
                       ? next_match(cur, &err)
                       : next_row((vt_index *)base->pVtab, cur, &err);
    if (s == REC_OK) return SQLITE_OK;
    cur->is_eof = true;
    return sq_vtab_error(base->pVtab, &err);
}

static int vt_index_eof(sqlite3_vtab_cursor *base) {
    return ((vt_index_cursor *)base)->is_eof;
}

/* ---- values ---------------------------------------------------------------------------------------- */

/* The vector as float32, whatever it is stored as: a bare BLOB is float32 everywhere. */
static int column_vector(vt_index *vt, vt_index_cursor *cur, sqlite3_context *ctx) {
    const sq_index_def *d = &vt->def;
    const void *v = NULL;
    rec_err err = {0};
    if (cur->plan == PLAN_MATCH) {
        v = cur->mem->ix->ops->get(cur->mem->ix, cur->slot);
    } else {
        cell c = sq_column_cell(cur->scan, 2);
        if (sq_index_check_vector(d, sqlite3_column_int64(cur->scan, 0), &c, &err) !=
            REC_OK)
            return sq_vtab_error(&vt->base, &err);
        v = c.type == CELL_BLOB ? c.p : NULL;
    }
    if (v == NULL) return SQLITE_OK;
    if (cur->decoded == NULL) cur->decoded = rec_array(d->cfg.dim, sizeof(float));
    if (cur->decoded == NULL) return SQLITE_NOMEM;
    index_decode(d->type, v, d->cfg.dim, cur->decoded);
    sqlite3_result_blob64(ctx, cur->decoded, d->cfg.dim * sizeof(float),
                          SQLITE_TRANSIENT);
    return SQLITE_OK;
}

static void column_hidden(const vt_index_cursor *cur, int which, sqlite3_context *ctx) {
    if (cur->plan != PLAN_MATCH) return;
    if (which == INDEX_DISTANCE)
        sqlite3_result_double(ctx, (double)cur->value);
    else if (which == INDEX_K && cur->has_k)
        sqlite3_result_int64(ctx, cur->k);
    else if (which == INDEX_EF && cur->ef > 0)
        sqlite3_result_int64(ctx, cur->ef);
}

static int vt_index_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx,
                           int column) {
    vt_index_cursor *cur = (vt_index_cursor *)base;
    vt_index *vt = (vt_index *)base->pVtab;
    int n = (int)vt->def.n_field;
    bool is_unchanged =
        sqlite3_vtab_nochange(ctx); /* an UPDATE that leaves it as it is */
    if (column >= n) {
        if (!is_unchanged) column_hidden(cur, column - n, ctx);
        return SQLITE_OK;
    }
    const index_field *f = &vt->def.field[column];
    if (f->role == FIELD_VECTOR)
        return is_unchanged ? SQLITE_OK : column_vector(vt, cur, ctx);
    cell c;
    if (cur->plan == PLAN_MATCH)
        c = filter_get(cur->mem->cells, cur->slot, f->cell);
    else
        c = sq_column_cell(cur->scan, f->role == FIELD_KEY ? 1 : 2 + f->cell);
    sq_result_cell(ctx, &c);
    return SQLITE_OK;
}

static int vt_index_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
    vt_index_cursor *cur = (vt_index_cursor *)base;
    vt_index *vt = (vt_index *)base->pVtab;
    bool is_text = vt->def.key == INDEX_KEY_TEXT;
    if (cur->plan == PLAN_MATCH)
        *out =
            is_text ? (int64_t)cur->slot : filter_get(cur->mem->cells, cur->slot, 0).i;
    else
        *out = sqlite3_column_int64(cur->scan, is_text ? 0 : 1);
    return SQLITE_OK;
}

/* ---- functions and transactions ------------------------------------------------------------------------ */

static void match_misplaced(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    sqlite3_result_error(
        ctx,
        "rec_index: MATCH stands in WHERE as a term of its own, joined by AND; not "
        "below OR or NOT, not outside WHERE",
        -1);
}

static int vt_index_find_function(sqlite3_vtab *base, int n_arg, const char *name,
                                  void (**fn)(sqlite3_context *, int, sqlite3_value **),
                                  void **arg) {
    (void)base;
    if (n_arg != 2 || sqlite3_stricmp(name, "match") != 0) return 0;
    *fn = match_misplaced;
    *arg = NULL;
    return 1;
}

static int vt_index_begin(sqlite3_vtab *base) {
    sq_index_boundary(((vt_index *)base)->ix, true);
    return SQLITE_OK;
}
static int vt_index_sync(sqlite3_vtab *base) {
    (void)base; /* everything is in the tables already */
    return SQLITE_OK;
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

/* ---- writing ------------------------------------------------------------------------------------------------ */

static int constraint(vt_index *vt, const char *kind) {
    const char *key = "rowid";
    for (size_t i = 0; i < vt->def.n_field; i++)
        if (vt->def.field[i].role == FIELD_KEY) key = vt->def.field[i].name;
    sqlite3_free(vt->base.zErrMsg);
    vt->base.zErrMsg =
        sqlite3_mprintf("%s constraint failed: %s.%s", kind, vt->def.table, key);
    return SQLITE_CONSTRAINT;
}

static rec_status run_command(vt_index *vt, sqlite3_value *v, rec_err *err) {
    const char *text = (const char *)sqlite3_value_text(v);
    const char *what = vt->def.what;
    if (text == NULL) return rec_nomem(err);
    if (strcmp(text, "rebuild") == 0) return sq_index_rebuild(vt->ix, &vt->def, err);
    if (strcmp(text, "optimize") == 0) return sq_index_optimize(vt->ix, &vt->def, err);
    if (strcmp(text, "integrity-check") == 0)
        return sq_index_check(vt->ix, &vt->def, false, err);
    if (strncmp(text, "ef", 2) == 0 && (text[2] == '=' || text[2] == ' '))
        return rec_fail(
            err, REC_RANGE,
            "%s: ef belongs to graph indexes; kind=flat compares with every vector and "
            "has nothing to tune",
            what);
    return rec_fail(err, REC_RANGE,
                    "%s: command '%s' is unknown; commands are 'rebuild', 'optimize', "
                    "'integrity-check'",
                    what, text);
}

typedef struct new_row {
    sq_index_row row;
    uint8_t *v; /* owned; row.v points at it or is NULL */
} new_row;

static void new_row_clear(new_row *r, const sq_index_def *d) {
    sq_cell_free(&r->row.id);
    for (int i = 0; i < d->n_filter && r->row.filter; i++)
        sq_cell_free(&r->row.filter[i]);
    rec_free(r->row.filter);
    rec_free(r->v);
}

/* The stored vector of the row that an UPDATE leaves alone. */
static rec_status keep_vector(vt_index *vt, int64_t slot, new_row *r, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_index_select(vt->ix, &vt->def, "WHERE slot = ?1", &st, err);
    if (s == REC_OK && sqlite3_bind_int64(st, 1, slot)) s = rec_nomem(err);
    if (s == REC_OK) s = sq_step(st, vt->def.what, &row, err);
    if (s == REC_OK && row) {
        cell c = sq_column_cell(st, 2);
        s = sq_index_check_vector(&vt->def, slot, &c, err);
        if (s == REC_OK && c.type == CELL_BLOB) {
            memcpy(r->v, c.p, c.nbyte);
            r->row.v = r->v;
        }
    }
    sqlite3_finalize(st);
    return s;
}

static rec_status read_vector(vt_index *vt, sqlite3_value *v, new_row *r,
                              rec_err *err) {
    const sq_index_def *d = &vt->def;
    float *x = NULL;
    uint32_t dim;
    rec_err inner = {0};
    rec_status s = sq_vector(v, d->cfg.dim, d->what, &x, &dim, err);
    if (s != REC_OK || x == NULL) return s;
    s = index_encode(d->type, x, d->cfg.dim, r->v, &inner);
    rec_free(x);
    r->row.v = r->v;
    return s == REC_OK ? s : rec_fail(err, s, "%s: %s", d->what, inner.msg);
}

/* Vector and filter cells from the arguments; old_slot: of an UPDATE. value[i]: column i. */
static rec_status read_cells(vt_index *vt, sqlite3_value **value, int64_t old_slot,
                             new_row *r, rec_err *err) {
    const sq_index_def *d = &vt->def;
    rec_status s = REC_OK;
    r->v = rec_malloc(vec_nbyte(d->type, d->cfg.dim));
    r->row.filter = rec_zeros((size_t)d->n_filter, sizeof(cell));
    if (r->v == NULL || r->row.filter == NULL) return rec_nomem(err);
    for (size_t i = 0; i < d->n_field && s == REC_OK; i++) {
        const index_field *f = &d->field[i];
        if (f->role == FIELD_FILTER)
            s = sq_value_as(value[i], f->affinity, &r->row.filter[f->cell - 1], err);
        else if (f->role == FIELD_VECTOR)
            s = old_slot != SQ_NO_SLOT && sqlite3_value_nochange(value[i])
                    ? keep_vector(vt, old_slot, r, err)
                    : read_vector(vt, value[i], r, err);
    }
    for (int i = 0; i < INDEX_COMMAND && s == REC_OK; i++) {
        static const char *const names[] = {"distance", "k", "ef"};
        sqlite3_value *v = value[d->n_field + (size_t)i];
        if (sqlite3_value_type(v) != SQLITE_NULL && !sqlite3_value_nochange(v))
            s = rec_fail(err, REC_RANGE, "%s: %s cannot be written", d->what, names[i]);
    }
    return s;
}

/* The key that an INSERT gives: of the key column, else the rowid, else the next number.
 * REC_OK with CELL_NULL: a TEXT key is missing. */
static rec_status insert_key(vt_index *vt, sqlite3_value *rowid, sqlite3_value *key,
                             cell *out, rec_err *err) {
    const sq_index_def *d = &vt->def;
    rec_status s = REC_OK;
    bool has_rowid = sqlite3_value_type(rowid) != SQLITE_NULL;
    if (key && sqlite3_value_type(key) != SQLITE_NULL) {
        s = sq_value_as(key, d->key == INDEX_KEY_TEXT ? 't' : 'i', out, err);
        if (s == REC_OK &&
            out->type != (d->key == INDEX_KEY_TEXT ? CELL_TEXT : CELL_INT))
            return rec_fail(err, REC_RANGE, "%s: a key is %s, found %s", d->what,
                            d->key == INDEX_KEY_TEXT ? "TEXT" : "a whole number",
                            out->type == CELL_BLOB
                                ? "a BLOB"
                                : (const char *)sqlite3_value_text(key));
        if (has_rowid &&
            (d->key == INDEX_KEY_TEXT || sqlite3_value_int64(rowid) != out->i))
            return rec_fail(err, REC_RANGE, "%s: the key and the rowid are both given",
                            d->what);
        return s;
    }
    if (d->key == INDEX_KEY_TEXT) return REC_OK;
    *out = (cell){.type = CELL_INT};
    if (has_rowid) {
        out->i = sqlite3_value_int64(rowid);
        return REC_OK;
    }
    s = sq_index_max_id(vt->ix, d, &out->i, err);
    if (s == REC_OK && out->i == INT64_MAX)
        return rec_fail(err, REC_RANGE, "%s: no key is left above %lld", d->what,
                        (long long)out->i);
    out->i = out->i < 0 ? 1 : out->i + 1;
    return s;
}

/* The key after an UPDATE: of the key column if that changed, else the rowid. */
static rec_status update_key(vt_index *vt, sqlite3_value **argv, sqlite3_value *key,
                             cell *out, rec_err *err) {
    const sq_index_def *d = &vt->def;
    int64_t before = sqlite3_value_int64(argv[0]), after = sqlite3_value_int64(argv[1]);
    if (d->key == INDEX_KEY_TEXT) {
        if (sqlite3_value_type(argv[1]) != SQLITE_INTEGER || before != after)
            return rec_fail(err, REC_RANGE,
                            "%s: the rowid of a table with a TEXT key is fixed",
                            d->what);
    } else if (key == NULL || before != after) {
        *out = (cell){.type = CELL_INT, .i = after};
        if (sqlite3_value_type(argv[1]) == SQLITE_INTEGER) return REC_OK;
        return rec_fail(err, REC_RANGE, "%s: a rowid is a whole number", d->what);
    }
    if (sqlite3_value_type(key) == SQLITE_NULL) return REC_OK;
    rec_status s = sq_value_as(key, d->key == INDEX_KEY_TEXT ? 't' : 'i', out, err);
    if (s == REC_OK && out->type != (d->key == INDEX_KEY_TEXT ? CELL_TEXT : CELL_INT))
        return rec_fail(err, REC_RANGE, "%s: a key is %s", d->what,
                        d->key == INDEX_KEY_TEXT ? "TEXT" : "a whole number");
    return s;
}

static rec_status old_slot(vt_index *vt, sqlite3_value *rowid, int64_t *slot,
                           rec_err *err) {
    cell id = {.type = CELL_INT, .i = sqlite3_value_int64(rowid)};
    *slot = id.i;
    return vt->def.key == INDEX_KEY_TEXT
               ? REC_OK
               : sq_index_find(vt->ix, &vt->def, &id, slot, err);
}

static sqlite3_value *key_value(const vt_index *vt, sqlite3_value **value) {
    for (size_t i = 0; i < vt->def.n_field; i++)
        if (vt->def.field[i].role == FIELD_KEY) return value[i];
    return NULL;
}

/* INSERT (old NULL) or UPDATE. *rc: SQLITE_CONSTRAINT when the key does not allow it. */
static rec_status write_row(vt_index *vt, sqlite3_value **argv, sqlite3_int64 *rowid,
                            int *rc, rec_err *err) {
    const sq_index_def *d = &vt->def;
    bool is_insert = sqlite3_value_type(argv[0]) == SQLITE_NULL;
    sqlite3_value **value = argv + 2, *key = key_value(vt, value);
    int64_t slot = SQ_NO_SLOT, other = SQ_NO_SLOT;
    new_row r = {0};
    rec_status s = is_insert ? insert_key(vt, argv[1], key, &r.row.id, err)
                             : update_key(vt, argv, key, &r.row.id, err);
    if (s == REC_OK && !is_insert) s = old_slot(vt, argv[0], &slot, err);
    bool is_gone = s == REC_OK && !is_insert && slot == SQ_NO_SLOT;
    if (s == REC_OK && !is_gone) s = read_cells(vt, value, slot, &r, err);
    if (s == REC_OK && !is_gone && r.row.id.type == CELL_NULL)
        *rc = constraint(vt, "NOT NULL");
    if (s == REC_OK && *rc == SQLITE_OK && !is_gone) {
        s = sq_index_find(vt->ix, d, &r.row.id, &other, err);
        if (s == REC_OK && other != SQ_NO_SLOT && other != slot) {
            if (sqlite3_vtab_on_conflict(vt->conn->db) != SQLITE_REPLACE)
                *rc = constraint(vt, "UNIQUE");
            else if (is_insert)
                slot = other; /* the new row takes the place of the old */
        }
        if (s == REC_OK && *rc == SQLITE_OK)
            s = sq_index_put(vt->ix, d, &r.row, &slot, err);
        if (is_insert) *rowid = d->key == INDEX_KEY_TEXT ? slot : r.row.id.i;
    }
    new_row_clear(&r, d);
    return s;
}

static int vt_index_update(sqlite3_vtab *base, int argc, sqlite3_value **argv,
                           sqlite3_int64 *rowid) {
    vt_index *vt = (vt_index *)base;
    rec_err err = {0};
    rec_status s = REC_OK;
    int rc = SQLITE_OK;
    sqlite3_int64 last = sqlite3_last_insert_rowid(vt->conn->db);
    if (argc == 1) {
        int64_t slot;
        s = old_slot(vt, argv[0], &slot, &err);
        if (s == REC_OK && slot != SQ_NO_SLOT)
            s = sq_index_delete(vt->ix, &vt->def, slot, &err);
    } else {
        sqlite3_value *command = argv[2 + vt->def.n_field + INDEX_COMMAND];
        bool is_insert = sqlite3_value_type(argv[0]) == SQLITE_NULL;
        if (sqlite3_value_type(command) != SQLITE_NULL && is_insert)
            s = run_command(vt, command, &err);
        else
            s = write_row(vt, argv, rowid, &rc, &err);
    }
    sqlite3_set_last_insert_rowid(vt->conn->db,
                                  last); /* nested INSERTs are nobody's business */
    return s == REC_OK ? rc : sq_vtab_error(base, &err);
}

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
