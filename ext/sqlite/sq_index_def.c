/* sq_index_def.c - what a CREATE VIRTUAL TABLE ... USING rec_index(...) says.
 *
 *   movie_id INTEGER PRIMARY KEY    the key, or TEXT PRIMARY KEY, or none: the rowid
 *   embedding float32[384]          exactly one vector column
 *   genre TEXT, year INTEGER        filter columns, NULLs allowed
 *   metric=cosine, kind=flat ...    options
 *
 * I1. Names are distinct without regard to case, and none is distance, k, ef, a name of the
 *     rowid or the name of the table (its command column).
 * I2. Every option is one that the kind has; a refusal says what was found and what is allowed.
 */
#include "sq_index.h"

static const char *const hidden_names[] = {"distance", "k", "ef"};
static const char *const rowid_names[] = {"rowid", "_rowid_", "oid"};
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static bool is_space(char ch) {
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

/* ---- columns ------------------------------------------------------------------------------ */

/* The words of s, separated by one space, into out; false if it does not fit. */
static bool squeeze(const char *s, char *out, size_t cap) {
    size_t n = 0;
    for (; *s; s++) {
        bool is_gap = is_space(*s);
        if (is_gap && (n == 0 || out[n - 1] == ' ')) continue;
        if (n + 1 >= cap) return false;
        out[n++] = is_gap ? ' ' : *s;
    }
    if (n > 0 && out[n - 1] == ' ') n--;
    out[n] = 0;
    return true;
}

static bool has_word(const char *s, const char *word) {
    size_t n = strlen(word);
    for (const char *p = s; *p; p++) {
        bool at_start = p == s || p[-1] == ' ' || p[-1] == ')';
        if (at_start && sqlite3_strnicmp(p, word, (int)n) == 0 &&
            (p[n] == 0 || p[n] == ' ' || p[n] == '('))
            return true;
    }
    return false;
}

/* "float32[384]": true if the text has the shape word[...]; then *t and *dim or an error. */
static bool parse_vector_type(sq_index_def *d, const char *column, const char *text,
                              rec_status *status, rec_err *err) {
    const char *open = strchr(text, '[');
    *status = REC_OK;
    if (open == NULL) return false;
    size_t n_word = (size_t)(open - text);
    while (n_word > 0 && text[n_word - 1] == ' ') n_word--;
    bool is_known = false;
    for (int t = VEC_F32; t <= VEC_BIT; t++) {
        const char *name = vec_type_name((vec_type)t);
        if (strlen(name) == n_word && sqlite3_strnicmp(name, text, (int)n_word) == 0) {
            d->type = (vec_type)t;
            is_known = true;
        }
    }
    if (!is_known) {
        *status =
            rec_fail(err, REC_RANGE,
                     "%s: column %s has the type %s; vector types are float32[n], "
                     "float16[n], int8[n], bit[n]",
                     d->what, column, text);
        return true;
    }
    uint64_t dim = 0;
    const char *p = open + 1;
    while (*p == ' ') p++;
    const char *digits = p;
    while (*p >= '0' && *p <= '9' && dim < 100000000)
        dim = dim * 10 + (uint64_t)(*p++ - '0');
    bool has_digits = p > digits;
    while (*p == ' ') p++;
    if (!has_digits || *p != ']' || p[1] != 0 || dim < VEC_MIN_DIM || dim > VEC_MAX_DIM)
        *status = rec_fail(
            err, REC_RANGE,
            "%s: column %s has the type %s; the number of dimensions is a whole "
            "number from %d to %d in brackets, with nothing after it",
            d->what, column, text, VEC_MIN_DIM, VEC_MAX_DIM);
    else
        d->cfg.dim = (uint32_t)dim;
    return true;
}

static rec_status set_key(sq_index_def *d, index_field *f, const char *type,
                          rec_err *err) {
    if (d->key != INDEX_KEY_ROWID)
        return rec_fail(err, REC_RANGE, "%s: more than one PRIMARY KEY (second: %s)",
                        d->what, f->name);
    f->role = FIELD_KEY;
    if (sqlite3_stricmp(type, "INTEGER PRIMARY KEY") == 0)
        d->key = INDEX_KEY_INTEGER;
    else if (sqlite3_stricmp(type, "TEXT PRIMARY KEY") == 0)
        d->key = INDEX_KEY_TEXT;
    else
        return rec_fail(
            err, REC_RANGE,
            "%s: column %s is declared \"%s\"; a key is INTEGER PRIMARY KEY or TEXT "
            "PRIMARY KEY",
            d->what, f->name, type);
    f->affinity = d->key == INDEX_KEY_TEXT ? 't' : 'i';
    return REC_OK;
}

static rec_status set_filter(sq_index_def *d, index_field *f, const char *type,
                             rec_err *err) {
    static const char *const refused[] = {"UNIQUE",     "CHECK",     "DEFAULT",
                                          "REFERENCES", "GENERATED", "AS",
                                          "NOT",        "CONSTRAINT"};
    for (size_t i = 0; i < N_OF(refused); i++)
        if (has_word(type, refused[i]))
            return rec_fail(
                err, REC_RANGE,
                "%s: column %s is declared \"%s\"; a filter column has a name and a "
                "type, constraints are not kept",
                d->what, f->name, type);
    f->role = FIELD_FILTER;
    f->affinity = sq_affinity(type);
    f->cell = 1 + d->n_filter++;
    return REC_OK;
}

static rec_status parse_column(sq_index_def *d, const char *text, rec_err *err) {
    index_field *f = &d->field[d->n_field++];
    char type[200];
    const char *rest = text;
    rec_err inner = {0};
    f->name = sq_identifier(&rest, &inner);
    if (f->name == NULL)
        return inner.code == REC_NOMEM
                   ? rec_nomem(err)
                   : rec_fail(err, REC_RANGE, "%s: %s", d->what, inner.msg);
    if (!squeeze(rest, type, sizeof type))
        return rec_fail(err, REC_RANGE, "%s: the type of column %s is too long",
                        d->what, f->name);
    f->type = rec_strdup(type);
    if (f->type == NULL) return rec_nomem(err);
    rec_status s = REC_OK;
    if (has_word(type, "PRIMARY")) return set_key(d, f, type, err);
    if (!parse_vector_type(d, f->name, type, &s, err))
        return set_filter(d, f, type, err);
    if (s != REC_OK) return s;
    if (d->vector_field >= 0)
        return rec_fail(err, REC_RANGE,
                        "%s: %s and %s are both vector columns; an index has one",
                        d->what, d->field[d->vector_field].name, f->name);
    f->role = FIELD_VECTOR;
    d->vector_field = (int)d->n_field - 1;
    return REC_OK;
}

/* ---- options -------------------------------------------------------------------------------- */

static rec_status set_metric(sq_index_def *d, const char *value, bool *is_set,
                             rec_err *err) {
    for (int m = METRIC_COSINE; m <= METRIC_HAMMING; m++)
        if (sqlite3_stricmp(vec_metric_name((vec_metric)m), value) == 0) {
            d->cfg.metric = (vec_metric)m;
            *is_set = true;
            return REC_OK;
        }
    return rec_fail(
        err, REC_RANGE,
        "%s: metric=%s is unknown; metrics are cosine, ip, l2, l1, and hamming for "
        "bit vectors",
        d->what, value);
}

static rec_status set_kind(sq_index_def *d, const char *value, rec_err *err) {
    char lower[32], names[100];
    size_t n = strlen(value);
    for (size_t i = 0; i <= n && i < sizeof lower; i++)
        lower[i] =
            value[i] >= 'A' && value[i] <= 'Z' ? (char)(value[i] + 32) : value[i];
    const rec_index_ops *ops = n < sizeof lower ? index_kind(lower) : NULL;
    index_kind_names(names, sizeof names);
    if (ops == NULL)
        return rec_fail(err, REC_RANGE, "%s: kind=%s is not available; kinds are: %s",
                        d->what, value, names);
    d->cfg.kind = ops->name;
    return REC_OK;
}

static bool kind_takes(const rec_index_ops *ops, const char *option) {
    for (const char *const *o = ops->options; o && *o; o++)
        if (strcmp(*o, option) == 0) return true;
    return false;
}

rec_status sq_index_def_number(const char *name, const char *value, uint32_t *out,
                               rec_err *err) {
    uint64_t x = 0;
    const char *p = value;
    while (*p >= '0' && *p <= '9' && x <= UINT32_MAX)
        x = x * 10 + (uint64_t)(*p++ - '0');
    unsigned least = strcmp(name, "seed") == 0 ? 0 : 1;
    if (p == value || *p != 0 || x < least || x > UINT32_MAX)
        return rec_fail(err, REC_RANGE,
                        "%s=%s is not allowed, use a whole number from %u", name, value,
                        least);
    *out = (uint32_t)x;
    return REC_OK;
}

static rec_status set_codes(sq_index_def *d, const char *value, rec_err *err) {
    static const char *const codes[] = {"none", "float16", "int8", "bit"};
    for (size_t i = 0; i < N_OF(codes); i++)
        if (sqlite3_stricmp(codes[i], value) == 0) {
            d->cfg.codes = codes[i];
            return REC_OK;
        }
    return rec_fail(err, REC_RANGE,
                    "%s: codes=%s is unknown; codes are none, float16, int8, bit",
                    d->what, value);
}

/* "metric, kind, codes, m": what the kind takes, for messages. */
static void option_names(const rec_index_ops *ops, char *out, size_t cap) {
    size_t n = rec_format(out, cap, "metric, kind");
    for (const char *const *o = ops->options; o && *o && n < cap; o++)
        n += rec_format(out + n, cap - n, ", %s", *o);
}

/* metric and kind are known already (settle_kind). */
static rec_status set_option(sq_index_def *d, const sq_arg *a, bool *has_metric,
                             rec_err *err) {
    const rec_index_ops *ops = index_kind(d->cfg.kind);
    char names[200];
    uint32_t number = 0;
    rec_err inner = {0};
    if (strcmp(a->name, "kind") == 0) return REC_OK;
    if (strcmp(a->name, "metric") == 0) return set_metric(d, a->value, has_metric, err);
    if (!kind_takes(ops, a->name)) {
        option_names(ops, names, sizeof names);
        return rec_fail(err, REC_RANGE,
                        "%s: option %s is unknown to kind=%s; its options are %s",
                        d->what, a->name, ops->name, names);
    }
    if (strcmp(a->name, "codes") == 0) return set_codes(d, a->value, err);
    if (sq_index_def_number(a->name, a->value, &number, &inner) != REC_OK)
        return rec_fail(err, REC_RANGE, "%s: %s", d->what, inner.msg);
    if (strcmp(a->name, "m") == 0) d->cfg.m = number;
    if (strcmp(a->name, "ef_construction") == 0) d->cfg.ef_construction = number;
    if (strcmp(a->name, "ef") == 0) d->cfg.ef = number;
    if (strcmp(a->name, "seed") == 0) d->cfg.seed = number;
    return REC_OK;
}

static rec_status settle_kind(sq_index_def *d, const sq_args *args, rec_err *err) {
    rec_status s = REC_OK;
    for (size_t i = 0; i < args->n && s == REC_OK; i++)
        if (args->a[i].name && strcmp(args->a[i].name, "kind") == 0)
            s = set_kind(d, args->a[i].value, err);
    return s;
}

/* Ranges, and what goes together, are the kind's to check. */
static rec_status try_open(const sq_index_def *d, rec_err *err) {
    rec_index *ix = NULL;
    rec_err inner = {0};
    rec_status s = index_kind(d->cfg.kind)->open(&ix, &d->cfg, &inner);
    if (ix) ix->ops->close(ix);
    if (s == REC_NOMEM) return rec_nomem(err);
    return s == REC_OK ? s : rec_fail(err, s, "%s: %s", d->what, inner.msg);
}

static rec_status settle_metric(sq_index_def *d, bool has_metric, rec_err *err) {
    d->cfg.type = d->type;
    if (!has_metric)
        d->cfg.metric = d->type == VEC_BIT ? METRIC_HAMMING : METRIC_COSINE;
    if ((d->cfg.metric == METRIC_HAMMING) == (d->type == VEC_BIT)) return REC_OK;
    if (d->type == VEC_BIT)
        return rec_fail(err, REC_RANGE,
                        "%s: metric=%s does not go with bit vectors; allowed: hamming",
                        d->what, vec_metric_name(d->cfg.metric));
    return rec_fail(
        err, REC_RANGE,
        "%s: metric=hamming is for bit vectors; allowed for %s: cosine, ip, l2, l1",
        d->what, vec_type_name(d->type));
}

/* ---- the whole -------------------------------------------------------------------------------- */

static bool is_one_of(const char *name, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (sqlite3_stricmp(name, list[i]) == 0) return true;
    return false;
}

rec_status sq_index_def_check_name(const sq_index_def *d, const char *table,
                                   rec_err *err) {
    if (is_one_of(table, hidden_names, N_OF(hidden_names)))
        return rec_fail(
            err, REC_RANGE,
            "rec_index(%s): a table cannot be called like the hidden column %s", table,
            table);
    for (size_t i = 0; i < d->n_field; i++)
        if (sqlite3_stricmp(d->field[i].name, table) == 0)
            return rec_fail(
                err, REC_RANGE,
                "rec_index(%s): column %s has the name of the table, which is the "
                "command column",
                table, d->field[i].name);
    return REC_OK;
}

static rec_status check_columns(const sq_index_def *d, rec_err *err) {
    for (size_t i = 0; i < d->n_field; i++) {
        const char *name = d->field[i].name;
        if (name[0] == 0)
            return rec_fail(err, REC_RANGE, "%s: a column has no name", d->what);
        if (is_one_of(name, hidden_names, N_OF(hidden_names)))
            return rec_fail(
                err, REC_RANGE,
                "%s: column %s has the name of a hidden column (distance, k, ef)",
                d->what, name);
        if (is_one_of(name, rowid_names, N_OF(rowid_names)))
            return rec_fail(err, REC_RANGE, "%s: column %s has a name of the rowid",
                            d->what, name);
        for (size_t j = 0; j < i; j++)
            if (sqlite3_stricmp(name, d->field[j].name) == 0)
                return rec_fail(err, REC_RANGE, "%s: two columns are called %s",
                                d->what, name);
    }
    if (d->vector_field < 0)
        return rec_fail(
            err, REC_RANGE,
            "%s: no vector column; one is declared like: embedding float32[384]",
            d->what);
    return sq_index_def_check_name(d, d->table, err);
}

rec_status sq_index_def_parse(const sq_args *args, const char *table, sq_index_def *out,
                              rec_err *err) {
    bool has_metric = false;
    *out = (sq_index_def){.vector_field = -1, .cfg = {.kind = "flat", .codes = "none"}};
    rec_format(out->what, sizeof out->what, "rec_index(%s)", table);
    out->table = rec_strdup(table);
    out->field = rec_zeros(args->n, sizeof *out->field);
    rec_status s = out->table && out->field ? REC_OK : rec_nomem(err);
    if (s == REC_OK) s = settle_kind(out, args, err);
    for (size_t i = 0; i < args->n && s == REC_OK; i++)
        s = args->a[i].name ? set_option(out, &args->a[i], &has_metric, err)
                            : parse_column(out, args->a[i].value, err);
    if (s == REC_OK) s = check_columns(out, err);
    if (s == REC_OK) s = settle_metric(out, has_metric, err);
    if (s == REC_OK) s = try_open(out, err);
    if (s != REC_OK) sq_index_def_clear(out);
    return s;
}

void sq_index_def_clear(sq_index_def *d) {
    for (size_t i = 0; i < d->n_field; i++) {
        rec_free(d->field[i].name);
        rec_free(d->field[i].type);
    }
    rec_free(d->field);
    rec_free(d->table);
    *d = (sq_index_def){.vector_field = -1};
}

/* The key is declared without PRIMARY KEY: for a virtual table that would only be decoration,
 * and a TEXT key would ask for WITHOUT ROWID. */
char *sq_index_def_sql(const sq_index_def *d) {
    char *sql = sqlite3_mprintf("CREATE TABLE x(");
    for (size_t i = 0; i < d->n_field && sql; i++) {
        const index_field *f = &d->field[i];
        const char *type = f->role != FIELD_KEY          ? f->type
                           : d->key == INDEX_KEY_INTEGER ? "INTEGER"
                                                         : "TEXT";
        char *longer = sqlite3_mprintf("%s\"%w\" %s, ", sql, f->name, type);
        sqlite3_free(sql);
        sql = longer;
    }
    if (sql == NULL) return NULL;
    char *whole = sqlite3_mprintf(
        "%sdistance REAL HIDDEN, k INTEGER HIDDEN, ef INTEGER HIDDEN, \"%w\" HIDDEN)",
        sql, d->table);
    sqlite3_free(sql);
    return whole;
}
