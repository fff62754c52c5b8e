/* sq_value.c - sqlite3_value, columns and bindings <-> cells, keys, vectors.
 *
 *   sqlite3_value --sq_cell------> cell      borrowed, no conversion
 *                 --sq_value_as--> cell      owned, with the affinity of a column applied
 *                 --sq_key-------> rec_key   INTEGER or TEXT key
 *                 --sq_vector----> float[]   BLOB, JSON text or rec_vector(...)
 *
 * I1. Affinity follows SQLite to the letter because SQLite applies it: a copy of the value is
 *     asked for its numeric type or its text (https://sqlite.org/datatype3.html, section 3).
 *     The argument itself is never touched: its register may be a shared constant.
 * I2. A blob argument may be unaligned: it is copied before a float is read from it.
 * I3. A vector has finite elements only.
 *
 * A BLOB of rec_vector(x, 'int8') carries its element type as a subtype, so it is understood
 * wherever a vector is expected; a bare BLOB is little-endian float32.
 */
#include "sq.h"

cell cell_null(void) {
    return (cell){.type = CELL_NULL};
}

cell cell_int(int64_t i) {
    return (cell){.type = CELL_INT, .i = i};
}

cell cell_real(double r) {
    if (r != r) return cell_null();
    return (cell){.type = CELL_REAL, .r = r};
}

cell cell_text(const char *s, size_t n) {
    if (!s) return cell_null();
    return (cell){.type = CELL_TEXT, .p = s, .nbyte = n};
}

cell cell_str(const char *s) {
    return cell_text(s, s ? strlen(s) : 0);
}

cell sq_cell(sqlite3_value *v) {
    cell c = {0};
    switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER:
        c.type = CELL_INT;
        c.i = sqlite3_value_int64(v);
        break;
    case SQLITE_FLOAT:
        c.type = CELL_REAL;
        c.r = sqlite3_value_double(v);
        break;
    case SQLITE_TEXT:
        c.type = CELL_TEXT;
        c.p = (const char *)sqlite3_value_text(v);
        c.nbyte = (size_t)sqlite3_value_bytes(v);
        break;
    case SQLITE_BLOB:
        c.type = CELL_BLOB;
        c.p = sqlite3_value_blob(v);
        c.nbyte = (size_t)sqlite3_value_bytes(v);
        break;
    default: break;
    }
    if (c.p == NULL && (c.type == CELL_TEXT || c.type == CELL_BLOB))
        c.p = "", c.nbyte = 0;
    return c;
}

cell sq_column_cell(sqlite3_stmt *st, int i) {
    cell c = {0};
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER:
        c.type = CELL_INT;
        c.i = sqlite3_column_int64(st, i);
        break;
    case SQLITE_FLOAT:
        c.type = CELL_REAL;
        c.r = sqlite3_column_double(st, i);
        break;
    case SQLITE_TEXT:
        c.type = CELL_TEXT;
        c.p = (const char *)sqlite3_column_text(st, i);
        c.nbyte = (size_t)sqlite3_column_bytes(st, i);
        break;
    case SQLITE_BLOB:
        c.type = CELL_BLOB;
        c.p = sqlite3_column_blob(st, i);
        c.nbyte = (size_t)sqlite3_column_bytes(st, i);
        break;
    default: break;
    }
    if (c.p == NULL && (c.type == CELL_TEXT || c.type == CELL_BLOB))
        c.p = "", c.nbyte = 0;
    return c;
}

void sq_result_cell(sqlite3_context *ctx, const cell *c) {
    switch (c->type) {
    case CELL_NULL: sqlite3_result_null(ctx); break;
    case CELL_INT: sqlite3_result_int64(ctx, c->i); break;
    case CELL_REAL: sqlite3_result_double(ctx, c->r); break;
    case CELL_TEXT:
        sqlite3_result_text64(ctx, c->p, c->nbyte, SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    case CELL_BLOB: sqlite3_result_blob64(ctx, c->p, c->nbyte, SQLITE_TRANSIENT); break;
    }
}

rec_status sq_bind_cell(sqlite3_stmt *st, int i, const cell *c, rec_err *err) {
    int rc = SQLITE_OK;
    switch (c->type) {
    case CELL_NULL: rc = sqlite3_bind_null(st, i); break;
    case CELL_INT: rc = sqlite3_bind_int64(st, i, c->i); break;
    case CELL_REAL: rc = sqlite3_bind_double(st, i, c->r); break;
    case CELL_TEXT:
        rc = sqlite3_bind_text64(st, i, c->p, c->nbyte, SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    case CELL_BLOB:
        rc = sqlite3_bind_blob64(st, i, c->p, c->nbyte, SQLITE_TRANSIENT);
        break;
    }
    return rc == SQLITE_OK ? REC_OK : sq_fail_rc(sqlite3_db_handle(st), rc, "rec", err);
}

cell sq_key_cell(const rec_key *k) {
    cell c = {0};
    c.type = k->is_text ? CELL_TEXT : CELL_INT;
    c.i = k->is_text ? 0 : k->i;
    c.p = k->is_text ? k->text : NULL;
    c.nbyte = k->is_text ? k->n_text : 0;
    return c;
}

rec_status sq_bind_key(sqlite3_stmt *st, int i, const rec_key *k, rec_err *err) {
    cell c = sq_key_cell(k);
    return sq_bind_cell(st, i, &c, err);
}

/* ---- keys ------------------------------------------------------------------------------ */

static bool int_from_real(double r, int64_t *out) {
    if (!(r >= -9223372036854775808.0 && r < 9223372036854775808.0)) return false;
    *out = (int64_t)r;
    return (double)*out == r;
}

static bool is_space(char ch) {
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

/* Text that is a whole number, as INTEGER affinity reads it: '42', ' 42 ', '4.2e1'. */
static bool int_from_text(const char *s, size_t n, int64_t *out) {
    while (n > 0 && is_space(*s)) s++, n--;
    while (n > 0 && is_space(s[n - 1])) n--;
    size_t at = n > 0 && (*s == '-' || *s == '+');
    bool is_digits = n > at && n - at <= 19;
    uint64_t u = 0;
    for (size_t i = at; i < n && is_digits; i++) {
        is_digits = s[i] >= '0' && s[i] <= '9';
        u = u * 10 + (uint64_t)(s[i] - '0');
    }
    bool is_negative = n > 0 && *s == '-';
    if (is_digits && u <= (uint64_t)INT64_MAX + is_negative) {
        *out = is_negative ? (int64_t)(0 - u) : (int64_t)u;
        return true;
    }
    double r = 0;
    size_t plus = n > 0 && *s == '+';
    return n > plus && rec_parse_number(s + plus, n - plus, &r) == n - plus &&
           int_from_real(r, out);
}

bool sq_key(const cell *c, key_affinity a, char buf[32], rec_key *out,
            rec_status *status, rec_err *err) {
    *out = (rec_key){0};
    *status = REC_OK;
    switch (c->type) {
    case CELL_NULL: return false;
    case CELL_BLOB:
        *status = rec_fail(err, REC_RANGE, "a key is an INTEGER or TEXT, found a BLOB");
        return false;
    case CELL_TEXT:
        if (a == AFFINITY_INTEGER) return int_from_text(c->p, c->nbyte, &out->i);
        out->is_text = true;
        out->text = c->p;
        out->n_text = c->nbyte;
        return true;
    default: break;
    }
    if (a == AFFINITY_INTEGER) {
        if (c->type == CELL_REAL) return int_from_real(c->r, &out->i);
        out->i = c->i;
        return true;
    }
    if (c->type == CELL_INT)
        sqlite3_snprintf(32, buf, "%lld", (long long)c->i);
    else
        sqlite3_snprintf(32, buf, "%!.15g", c->r);
    out->is_text = true;
    out->text = buf;
    out->n_text = strlen(buf);
    return true;
}

/* ---- affinity ---------------------------------------------------------------------------- */

char sq_affinity(const char *type) {
    static const struct {
        const char *part;
        char affinity;
    } rules[] = {{"INT", 'i'},  {"CHAR", 't'}, {"CLOB", 't'}, {"TEXT", 't'},
                 {"BLOB", 'b'}, {"REAL", 'r'}, {"FLOA", 'r'}, {"DOUB", 'r'}};
    if (type == NULL || type[0] == 0) return 'b';
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        size_t n = strlen(rules[i].part);
        for (const char *s = type; *s; s++)
            if (sqlite3_strnicmp(s, rules[i].part, (int)n) == 0)
                return rules[i].affinity;
    }
    return 'n';
}

rec_status sq_cell_copy(const cell *c, cell *out, rec_err *err) {
    *out = *c;
    if (c->type != CELL_TEXT && c->type != CELL_BLOB) return REC_OK;
    out->p = rec_strndup(c->p, c->nbyte);
    if (out->p) return REC_OK;
    *out = (cell){0};
    return rec_nomem(err);
}

void sq_cell_free(cell *c) {
    if (c->type == CELL_TEXT || c->type == CELL_BLOB) rec_free((char *)c->p);
    *c = (cell){0};
}

static void settle_number(cell *c, char affinity) {
    int64_t i;
    if (c->type == CELL_REAL && affinity != 'r' && int_from_real(c->r, &i))
        c->type = CELL_INT, c->i = i;
    else if (c->type == CELL_INT && affinity == 'r')
        c->type = CELL_REAL, c->r = (double)c->i;
}

rec_status sq_value_as(sqlite3_value *v, char affinity, cell *out, rec_err *err) {
    cell c = sq_cell(v);
    bool is_numeric = affinity == 'i' || affinity == 'r' || affinity == 'n';
    bool is_number = c.type == CELL_INT || c.type == CELL_REAL;
    bool want_convert =
        (is_numeric && c.type == CELL_TEXT) || (affinity == 't' && is_number);
    *out = (cell){0};
    if (!want_convert) {
        if (is_numeric) settle_number(&c, affinity);
        return sq_cell_copy(&c, out, err);
    }
    sqlite3_value *copy = sqlite3_value_dup(v); /* I1 */
    if (copy == NULL) return rec_nomem(err);
    if (is_numeric) {
        sqlite3_value_numeric_type(copy);
        c = sq_cell(copy);
        settle_number(&c, affinity);
    } else {
        c = (cell){.type = CELL_TEXT, .p = (const char *)sqlite3_value_text(copy)};
        c.nbyte = (size_t)sqlite3_value_bytes(copy);
    }
    rec_status s = c.type == CELL_TEXT && c.p == NULL ? rec_nomem(err)
                                                      : sq_cell_copy(&c, out, err);
    sqlite3_value_free(copy);
    return s;
}

/* ---- vectors ------------------------------------------------------------------------------ */

static const char *type_word(sqlite3_value *v) {
    switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER: return "an integer";
    case SQLITE_FLOAT: return "a real number";
    default: return "something else";
    }
}

vec_type sq_vector_subtype(sqlite3_value *v) {
    unsigned tag = sqlite3_value_type(v) == SQLITE_BLOB ? sqlite3_value_subtype(v) : 0;
    return tag > SQ_VECTOR_SUBTYPE && tag <= SQ_VECTOR_SUBTYPE + VEC_BIT
               ? (vec_type)(tag - SQ_VECTOR_SUBTYPE)
               : VEC_F32;
}

rec_status sq_vector_from_bytes(vec_type t, const void *p, size_t nbyte,
                                const char *what, float **out, uint32_t *dim,
                                rec_err *err) {
    *out = NULL;
    *dim = 0;
    size_t unit = t == VEC_F32 ? 4 : t == VEC_F16 ? 2 : 1;
    size_t n = t == VEC_BIT ? (nbyte > VEC_MAX_DIM ? nbyte : nbyte * 8) : nbyte / unit;
    if (nbyte == 0 || nbyte % unit != 0)
        return rec_fail(
            err, REC_RANGE,
            "%s: a BLOB of %zu bytes is no %s vector (%zu bytes an element)", what,
            nbyte, vec_type_name(t), unit);
    if (n < VEC_MIN_DIM || n > VEC_MAX_DIM)
        return rec_fail(err, REC_RANGE,
                        "%s: vector has %zu dimensions, allowed are %d to %d", what, n,
                        VEC_MIN_DIM, VEC_MAX_DIM);
    float *x = rec_array(n, sizeof(float));
    uint8_t *aligned = rec_malloc(nbyte); /* I2 */
    rec_status s = x && aligned ? REC_OK : rec_nomem(err);
    if (s == REC_OK) {
        memcpy(aligned, p, nbyte);
        index_decode(t, aligned, (uint32_t)n, x);
        if (!vec_is_finite(x, n))
            s = rec_fail(err, REC_RANGE, "%s: vector holds NaN or infinity", what);
    }
    rec_free(aligned);
    if (s != REC_OK) {
        rec_free(x);
        return s;
    }
    *out = x;
    *dim = (uint32_t)n;
    return REC_OK;
}

static rec_status vector_from_text(sqlite3_value *v, const char *what, float **out,
                                   uint32_t *dim, rec_err *err) {
    cell c = sq_cell(v);
    rec_err inner = {0};
    rec_status s = vec_parse_json(c.p, c.nbyte, out, dim, &inner);
    if (s == REC_OK) return s;
    return s == REC_NOMEM ? rec_nomem(err)
                          : rec_fail(err, s, "%s: %s", what, inner.msg);
}

rec_status sq_vector(sqlite3_value *v, uint32_t want_dim, const char *what, float **out,
                     uint32_t *dim, rec_err *err) {
    uint32_t n = 0;
    rec_status s = REC_OK;
    *out = NULL;
    *dim = 0;
    switch (sqlite3_value_type(v)) {
    case SQLITE_NULL: return REC_OK;
    case SQLITE_TEXT: s = vector_from_text(v, what, out, &n, err); break;
    case SQLITE_BLOB: {
        cell c = sq_cell(v);
        s = sq_vector_from_bytes(sq_vector_subtype(v), c.p, c.nbyte, what, out, &n,
                                 err);
        break;
    }
    default:
        return rec_fail(err, REC_RANGE,
                        "%s: a vector is a BLOB of float32 or a JSON array, found %s",
                        what, type_word(v));
    }
    /* Bits come in whole bytes: the surplus of the last byte is cut. */
    if (s == REC_OK && sq_vector_subtype(v) == VEC_BIT && want_dim &&
        (want_dim + 7) / 8 == n / 8)
        n = want_dim;
    if (s == REC_OK && want_dim && n != want_dim)
        s = rec_fail(err, REC_RANGE, "%s: vector has %u dimension%s, expected %u", what,
                     n, n == 1 ? "" : "s", want_dim);
    if (s == REC_OK) {
        *dim = n;
        return REC_OK;
    }
    rec_free(*out);
    *out = NULL;
    return s;
}
