/* sq_plan.c - constraints on their way from xBestIndex to xFilter.
 *
 *   xBestIndex                    idxStr                     xFilter
 *   embedding MATCH ?  --+
 *   k = ?                +-->  "m1;=5;l3;I2;k-2;"   -->   items[i] describes argv[i]
 *   year <= ?            |
 *   genre IN (...)     --+
 *
 * idxStr is text, so EXPLAIN QUERY PLAN shows the plan: "hnsw graph: m1;=5;". An item is an operator letter, '!'
 * after it when the right side is a literal that the planner saw, and the column.
 *
 * Which comparison SQLite makes depends on the affinities of both sides
 * (https://sqlite.org/datatype3.html, section 4.2), and a virtual table sees only its own:
 *
 *   our column    right side is a number              right side is text
 *   numeric       as is                               numeric affinity applied: exact
 *   TEXT          literal: becomes text, exact        as is
 *                 else = <> IN: as text; < > etc.:
 *                 no predicate (it may have come from
 *                 a numeric column: compared as
 *                 numbers then)
 *
 * I1. A predicate never refuses a row that SQLite accepts, up to the spelling of numbers in a
 *     TEXT column that is compared with a numeric column; SQLite checks the rows again.
 */
#include "sq.h"

static const struct {
    int sqlite_op;
    char letter;
    pred_op op;
} plan_ops[] = {
    {SQLITE_INDEX_CONSTRAINT_EQ, '=', PRED_EQ},
    {SQLITE_INDEX_CONSTRAINT_NE, '!', PRED_NE},
    {SQLITE_INDEX_CONSTRAINT_LT, '<', PRED_LT},
    {SQLITE_INDEX_CONSTRAINT_LE, 'l', PRED_LE},
    {SQLITE_INDEX_CONSTRAINT_GT, '>', PRED_GT},
    {SQLITE_INDEX_CONSTRAINT_GE, 'g', PRED_GE},
    {SQLITE_INDEX_CONSTRAINT_IS, 'i', PRED_IS},
    {SQLITE_INDEX_CONSTRAINT_ISNOT, 'j', PRED_ISNOT},
    {SQLITE_INDEX_CONSTRAINT_ISNULL, 'n', PRED_ISNULL},
    {SQLITE_INDEX_CONSTRAINT_ISNOTNULL, 'N', PRED_NOTNULL},
    {SQLITE_INDEX_CONSTRAINT_LIKE, 'L', PRED_LIKE},
    {SQLITE_INDEX_CONSTRAINT_GLOB, 'G', PRED_GLOB},
    {SQLITE_INDEX_CONSTRAINT_LIMIT, 'k', PRED_EQ},
    {SQLITE_INDEX_CONSTRAINT_OFFSET, 'o', PRED_EQ},
    {SQLITE_INDEX_CONSTRAINT_MATCH, 'm', PRED_EQ},
    {-1, 'I', PRED_IN}, /* an equality that sqlite3_vtab_in() took as a whole list */
};
#define N_OPS (sizeof plan_ops / sizeof plan_ops[0])

char plan_op_letter(int sqlite_op) {
    for (size_t i = 0; i < N_OPS; i++)
        if (sqlite_op >= 0 && plan_ops[i].sqlite_op == sqlite_op)
            return plan_ops[i].letter;
    return 0;
}

static bool find_op(char letter, pred_op *op) {
    for (size_t i = 0; i < N_OPS; i++)
        if (plan_ops[i].letter == letter) {
            *op = plan_ops[i].op;
            return true;
        }
    return false;
}

char *plan_write(const char *strategy, const plan_item *items, size_t n) {
    char *text = sqlite3_mprintf("%s%s", strategy, *strategy ? ": " : "");
    for (size_t i = 0; i < n && text; i++) {
        char *longer = sqlite3_mprintf("%s%c%s%d;", text, items[i].op,
                                       items[i].is_literal ? "!" : "", items[i].column);
        sqlite3_free(text);
        text = longer;
    }
    return text;
}

static const char *read_int(const char *s, int *out) {
    bool is_negative = *s == '-';
    long x = 0;
    if (is_negative) s++;
    if (*s < '0' || *s > '9') return NULL;
    while (*s >= '0' && *s <= '9' && x < 100000) x = x * 10 + (*s++ - '0');
    *out = (int)(is_negative ? -x : x);
    return s;
}

rec_status plan_read(const char *idx_str, plan_item *items, size_t *n, rec_err *err) {
    const char *s = idx_str ? idx_str : "", *colon = strchr(s, ':');
    if (colon) s = colon + 2;
    *n = 0;
    while (*s) {
        plan_item item = {.op = *s++};
        pred_op op;
        if (*s == '!') item.is_literal = true, s++;
        s = find_op(item.op, &op) ? read_int(s, &item.column) : NULL;
        if (s == NULL || *s++ != ';' || *n == PLAN_MAX_ITEMS)
            return rec_fail(err, REC_BUG, "rec: plan \"%s\" cannot be read", idx_str);
        items[(*n)++] = item;
    }
    return REC_OK;
}

/* ---- predicates ---------------------------------------------------------------------------- */

/* The list of an IN, with affinity applied. */
static rec_status read_set(sqlite3_value *arg, char affinity, predicate *p,
                           rec_err *err) {
    sqlite3_value *v = NULL;
    size_t cap = 0;
    int rc = sqlite3_vtab_in_first(arg, &v);
    for (; rc == SQLITE_OK && v; rc = sqlite3_vtab_in_next(arg, &v)) {
        rec_status s = rec_grow(&p->set, &cap, p->n_set + 1, sizeof(cell), err);
        if (s == REC_OK) s = sq_value_as(v, affinity, &p->set[p->n_set], err);
        if (s != REC_OK) return s;
        p->n_set++;
    }
    if (rc == SQLITE_NOMEM) return rec_nomem(err);
    if (rc == SQLITE_INTERRUPT) return rec_fail(err, REC_INTR, "interrupted");
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        return rec_fail(err, REC_IO, "rec: the list of an IN cannot be read (%s)",
                        sqlite3_errstr(rc));
    return REC_OK;
}

static bool is_range(pred_op op) {
    return op == PRED_LT || op == PRED_LE || op == PRED_GT || op == PRED_GE;
}

rec_status plan_predicate(const plan_item *item, sqlite3_value *arg, char affinity,
                          predicate *out, rec_err *err) {
    pred_op op;
    /* The caller says which cell; -1 would be the rowid here and "none" there. */
    *out = (predicate){.column = item->column < 0 ? 0 : item->column};
    if (!find_op(item->op, &op))
        return rec_fail(err, REC_BUG, "rec: operator '%c' is no predicate", item->op);
    out->op = op;
    rec_status s = REC_OK;
    switch (op) {
    case PRED_ISNULL:
    case PRED_NOTNULL: return REC_OK;
    case PRED_LIKE:
    case PRED_GLOB: affinity = 't'; break; /* both compare texts */
    case PRED_IN:
        s = read_set(arg, affinity, out, err);
        if (s == REC_OK)
            predicate_sort_set(out);
        else
            predicate_free(out);
        return s;
    default: break;
    }
    int type = sqlite3_value_type(arg);
    if (affinity == 't' && is_range(op) && !item->is_literal &&
        (type == SQLITE_INTEGER || type == SQLITE_FLOAT)) {
        out->column = PLAN_NO_PREDICATE;
        return REC_OK;
    }
    return sq_value_as(arg, affinity, &out->value, err);
}

void predicate_free(predicate *p) {
    sq_cell_free(&p->value);
    for (size_t i = 0; i < p->n_set; i++) sq_cell_free(&p->set[i]);
    rec_free(p->set);
    p->set = NULL;
    p->n_set = 0;
}
