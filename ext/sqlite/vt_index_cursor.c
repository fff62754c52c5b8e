/* vt_index_cursor.c - reading a rec_index: searches, lookups, scans.
 *
 *   xFilter  MATCH    arguments -> query vector, k, predicates
 *                     predicates on cells -> bitmap over slots (filter.c) -> search (flat.c)
 *            others   a nested SELECT over <t>_rows: by key, by slot, or all
 *   xNext    MATCH    the next (slot, distance); past the LIMIT hint the search is started again
 *                     as a stream and goes on where it was
 *   xColumn           from memory for MATCH, from the row of the nested SELECT otherwise
 *
 * I1. Rows of a MATCH come in ascending (distance, slot), whatever LIMIT, OFFSET and k are.
 *     Without k, a bound on the distance from above is answered exactly: all rows within it.
 * I2. With k, exactly the k nearest of those that pass the predicates; distance bounds count
 *     as predicates. A lower bound cannot be cut from a heap of k, so it makes a stream.
 * I3. A cursor holds a reference to the memory that it reads from: a write while it is open
 *     does not disturb it (sq_index.c, I3).
 *
 * Cost of a MATCH: a generation check (microseconds), one pass over cells a predicate, one
 * pass over the vectors that are allowed.
 */
#include "sq_index.h"

typedef struct vt_index_cursor {
    sqlite3_vtab_cursor base;
    int plan;
    bool is_eof, has_k, is_counted; /* counted: in n_searches of the table */
    sqlite3_stmt *scan;             /* PLAN_SCAN, PLAN_LOOKUP, PLAN_SLOT */
    sq_memory *mem;                 /* PLAN_MATCH: */
    index_search *search;
    rec_run
        run; /* of the search, which asks it for interrupts as long as it is pulled */
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
    topk_entry
        *ahead; /* k = n over a graph: all n rows, found before the first is given */
    size_t n_ahead, cap_ahead;
    bool is_exact; /* a distance bound without k, or the graph fell short of k: compare
                      with everything */
    float *decoded;
} vt_index_cursor;

int vt_index_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out) {
    (void)base;
    vt_index_cursor *cur = rec_zeros(1, sizeof *cur);
    *out = cur ? &cur->base : NULL;
    return cur ? SQLITE_OK : SQLITE_NOMEM;
}

static void cursor_reset(vt_index_cursor *cur) {
    if (cur->is_counted) ((vt_index *)cur->base.pVtab)->n_searches--;
    sqlite3_finalize(cur->scan);
    if (cur->search) {
        ((vt_index *)cur->base.pVtab)->ix->last_search =
            cur->search->ops->how(cur->search);
        cur->search->ops->end(cur->search);
    }
    sq_memory_unref(cur->mem);
    rec_free(cur->query);
    rec_free(cur->bits);
    rec_free(cur->decoded);
    rec_free(cur->ahead);
    bitmap_clear(&cur->allowed);
    for (size_t i = 0; i < cur->n_distance; i++) predicate_free(&cur->distance[i]);
    rec_free(cur->distance);
    sqlite3_vtab_cursor base = cur->base;
    *cur = (vt_index_cursor){.base = base, .is_eof = true};
}

int vt_index_close(sqlite3_vtab_cursor *base) {
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

/* The same limits, in the same words, as at CREATE and for the command; for kinds that have no width,
 * too, so that one query serves all. */
static rec_status check_ef(const vt_index *vt, int64_t ef, rec_err *err) {
    if (ef >= INDEX_MIN_EF && ef <= INDEX_MAX_EF) return REC_OK;
    return rec_fail(err, REC_RANGE, "%s: ef=%lld is not allowed, use %d to %d",
                    vt->def.what, (long long)ef, INDEX_MIN_EF, INDEX_MAX_EF);
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
        if (s == REC_OK && !is_k && !is_null) s = check_ef(vt, cur->ef, err);
        return s;
    }
    bool is_distance = item->column == n + INDEX_DISTANCE;
    const index_field *f = is_distance ? NULL : vt_index_field(vt, item->column);
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

/* Does it ask for every row up to some distance? Then none may be met too late. */
static bool is_membership(const predicate *p) {
    return is_upper_bound(p) || p->op == PRED_EQ || p->op == PRED_IS ||
           p->op == PRED_IN;
}

/* Beyond which distance is there nothing to give? */
static void set_limit(const vt_index_cursor *cur, index_query *q) {
    for (size_t i = 0; i < cur->n_distance && cur->is_exact && !cur->has_k; i++) {
        const cell *v = &cur->distance[i].value;
        bool is_number = v->type == CELL_INT || v->type == CELL_REAL;
        if (!is_number || !is_upper_bound(&cur->distance[i])) continue;
        double limit = v->type == CELL_REAL ? v->r : (double)v->i;
        if (!q->has_limit || limit < q->limit) q->limit = limit;
        q->has_limit = true;
    }
}

static rec_status start_search(vt_index_cursor *cur, size_t k, rec_err *err) {
    vt_index *vt = (vt_index *)cur->base.pVtab;
    sq_run_init(vt->conn, &cur->run, false);
    index_query q = {.vector = cur->query, .bits = cur->bits, .run = &cur->run};
    /* A graph plans by k, so only k = n may tell it: order must not depend on LIMIT. */
    q.k = cur->has_k || !sq_graph_exists(&vt->def) ? k : 0;
    q.ef = cur->ef > 0 && sq_graph_exists(&vt->def) ? (uint32_t)cur->ef : cur->mem->ef;
    if (cur->is_exact) q.ef = UINT32_MAX;
    set_limit(cur, &q);
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
    for (size_t i = 0; i < cur->n_distance; i++) {
        if (!is_upper_bound(&cur->distance[i])) want = 0;
        cur->is_exact |= !cur->has_k && is_membership(&cur->distance[i]);
    }
    if (want > (uint64_t)1 << 31)
        want = (uint64_t)1 << 31; /* there are no more slots */
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
    if (*s != REC_OK || cur->hint == 0 || cur->n_pulled < cur->hint || cur->has_k ||
        sq_graph_exists(&((vt_index *)cur->base.pVtab)->def))
        return false;
    cur->hint = 0;
    *s = start_search(cur, 0, err);
    for (size_t i = 0; i <= cur->n_pulled && *s == REC_OK; i++)
        if (!cur->search->ops->next(cur->search, &cur->slot, &cur->value, s, err))
            return false;
    cur->n_pulled++;
    return *s == REC_OK;
}

/* The next row of the search that the distance column lets through. */
static bool find_next(vt_index_cursor *cur, rec_status *s, rec_err *err) {
    while (!(cur->has_k && cur->n_given >= (uint64_t)cur->k) && pull(cur, s, err)) {
        cell d = {.type = CELL_REAL, .r = (double)cur->value};
        bool passes = true;
        for (size_t i = 0; i < cur->n_distance && passes; i++)
            if (!predicate_match(&cur->distance[i], &d)) {
                passes = false;
                if (is_upper_bound(&cur->distance[i])) return false;
            }
        if (!passes) continue;
        cur->n_given++;
        return true;
    }
    return false;
}

/* Rows that a graph has met too late are lost to its order. Where that leaves fewer than k, the
 * answer is the exact one. */
static rec_status look_ahead(vt_index_cursor *cur, rec_err *err) {
    rec_status s = REC_OK;
    index_stats stats;
    cur->mem->ix->ops->stats(cur->mem->ix, &stats);
    for (;;) {
        cur->n_ahead = cur->n_pulled = cur->n_given = 0;
        while (find_next(cur, &s, err)) {
            s = rec_grow(&cur->ahead, &cur->cap_ahead, cur->n_ahead + 1,
                         sizeof *cur->ahead, err);
            if (s != REC_OK) return s;
            cur->ahead[cur->n_ahead++] = (topk_entry){cur->value, cur->slot};
            filter_fetch(cur->mem->cells, cur->slot, 0);
        }
        size_t n = cur->has_allowed ? bitmap_count(&cur->allowed) : stats.n_rows;
        /* From half of the rows on the search was exact already. */
        bool is_short = cur->n_ahead < (uint64_t)cur->k && cur->n_pulled < n &&
                        cur->hint < n - n / 2;
        if (s != REC_OK || !is_short || cur->is_exact) break;
        cur->is_exact = true;
        s = start_search(cur, 0, err);
        if (s != REC_OK) return s;
    }
    cur->n_given = 0;
    return s;
}

static rec_status next_match(vt_index_cursor *cur, rec_err *err) {
    rec_status s = REC_OK;
    bool is_ahead = cur->has_k && sq_graph_exists(&((vt_index *)cur->base.pVtab)->def);
    if (!is_ahead) {
        cur->is_eof = !find_next(cur, &s, err);
        return s;
    }
    if (cur->n_given == 0) s = look_ahead(cur, err);
    cur->is_eof = s != REC_OK || cur->n_given == cur->n_ahead;
    if (cur->is_eof) return s;
    cur->slot = cur->ahead[cur->n_given].id;
    cur->value = cur->ahead[cur->n_given++].value;
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

int vt_index_filter(sqlite3_vtab_cursor *base, int idx_num, const char *idx_str,
                    int argc, sqlite3_value **argv) {
    vt_index_cursor *cur = (vt_index_cursor *)base;
    vt_index *vt = (vt_index *)base->pVtab;
    plan_item item[PLAN_MAX_ITEMS];
    size_t n = 0;
    rec_err err = {0};
    cursor_reset(cur);
    cur->plan = idx_num;
    rec_status s = plan_read(idx_str, item, &n, &err);
    cur->is_counted = idx_num == PLAN_MATCH;
    vt->n_searches += cur->is_counted;
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

int vt_index_next(sqlite3_vtab_cursor *base) {
    vt_index_cursor *cur = (vt_index_cursor *)base;
    rec_err err = {0};
    rec_status s = cur->plan == PLAN_MATCH
                       ? next_match(cur, &err)
                       : next_row((vt_index *)base->pVtab, cur, &err);
    if (s == REC_OK) return SQLITE_OK;
    cur->is_eof = true;
    return sq_vtab_error(base->pVtab, &err);
}

int vt_index_eof(sqlite3_vtab_cursor *base) {
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

int vt_index_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int column) {
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

int vt_index_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
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
