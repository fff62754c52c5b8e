/* tf_index.c - rec_index tables as the schema tables describe them.
 *
 *   CREATE VIRTUAL TABLE movie_vec USING rec_index(movie_id INTEGER PRIMARY KEY, v float32[8])
 *                        name            module    key                           vector
 *
 * Functions over an index (rec_similar, rec_models) go through plain SQL on it, so all they need
 * are four names and two options, which stand in the CREATE statement.
 *
 * Invariants
 * I1. Nothing is opened or loaded: a damaged index is found as well as a sound one.
 * I2. 'name' is looked up like any table: temp, main, then attached databases in order.
 */
#include "tf.h"

void tf_index_clear(tf_index *ix) {
    rec_free(ix->schema);
    rec_free(ix->name);
    rec_free(ix->key);
    rec_free(ix->vector);
    rec_free(ix->arguments);
    memset(ix, 0, sizeof *ix);
}

/* Length of the argument at s: up to a comma or bracket that is not within quotes, brackets
 * or a comment. */
static size_t argument_length(const char *s) {
    const char *p = s;
    for (int depth = 0; *p; p++) {
        if (*p == '\'' || *p == '"' || *p == '`') {
            const char *end =
                strchr(p + 1, *p); /* a doubled quote opens the next stretch */
            if (!end) return (size_t)(p - s) + strlen(p);
            p = end;
        } else if (p[0] == '-' && p[1] == '-') {
            p += strcspn(p, "\n");
            if (!*p) break;
        } else if (p[0] == '/' && p[1] == '*') {
            const char *end = strstr(p + 2, "*/");
            if (!end) return (size_t)(p - s) + strlen(p);
            p = end + 1;
        } else if (*p == '(' || *p == '[') {
            depth++;
        } else if (*p == ')' || *p == ']') {
            if (depth-- == 0) break;
        } else if (*p == ',' && depth == 0) {
            break;
        }
    }
    return (size_t)(p - s);
}

#define INDEX_MAX_ARGS 2100 /* SQLite's limit of columns is 2000 */

/* The text between the brackets of USING rec_index(...) -> parsed arguments. */
rec_status tf_index_arguments(const char *s, sq_args *out, rec_err *err) {
    char **argv = NULL;
    size_t n = 3, cap = 0;
    rec_status st = rec_grow(&argv, &cap, 3, sizeof *argv, err);
    if (st != REC_OK) return st;
    argv[0] = argv[1] = argv[2] = NULL;
    while (st == REC_OK && *s && *s != ')' && n < INDEX_MAX_ARGS) {
        size_t len = argument_length(s);
        st = rec_grow(&argv, &cap, n + 1, sizeof *argv, err);
        if (st != REC_OK) break;
        argv[n] = rec_strndup(s, len);
        if (!argv[n++]) st = rec_nomem(err);
        s += len;
        if (*s == ',') s++;
    }
    if (st == REC_OK) st = sq_args_parse((int)n, (const char *const *)argv, out, err);
    for (size_t i = 3; i < n; i++) rec_free(argv[i]);
    rec_free(argv);
    return st;
}

/* Is the column definition after its name that of a vector? */
static bool is_vector_type(const char *s) {
    static const char *const types[] = {"float32", "float16", "int8", "bit"};
    while (*s == ' ') s++;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t n = strlen(types[i]);
        if (sqlite3_strnicmp(s, types[i], (int)n) != 0) continue;
        const char *p = s + n;
        while (*p == ' ') p++;
        if (*p == '[') return true;
    }
    return false;
}

static rec_status read_column(const char *definition, tf_index *out, rec_err *err) {
    const char *s = definition;
    char *name = sq_identifier(&s, err);
    if (!name) return err->code == REC_OK ? REC_NOMEM : err->code;
    char *upper = rec_strdup(s);
    if (!upper) {
        rec_free(name);
        return rec_nomem(err);
    }
    for (char *p = upper; *p; p++)
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 'a' + 'A');
    char **slot = is_vector_type(s)          ? &out->vector
                  : strstr(upper, "PRIMARY") ? &out->key
                                             : NULL;
    rec_free(upper);
    if (slot && !*slot)
        *slot = name;
    else
        rec_free(name);
    return REC_OK;
}

static rec_status read_arguments(const char *s, tf_index *out, rec_err *err) {
    sq_args args = {0};
    rec_status st = tf_index_arguments(s, &args, err);
    out->is_cosine = true; /* the default metric */
    rec_format(out->kind, sizeof out->kind, "flat");
    for (size_t i = 0; i < args.n && st == REC_OK; i++) {
        const sq_arg *a = &args.a[i];
        if (!a->name)
            st = read_column(a->value, out, err);
        else if (strcmp(a->name, "metric") == 0)
            out->is_cosine = strcmp(a->value, "cosine") == 0;
        else if (strcmp(a->name, "kind") == 0)
            rec_format(out->kind, sizeof out->kind, "%s", a->value);
    }
    sq_args_clear(&args);
    if (st == REC_OK && !out->key && !(out->key = rec_strdup("rowid")))
        st = rec_nomem(err);
    return st;
}

/* Fill *out from a row of a schema table; *is_index false: it is something else. */
static rec_status read_create(const char *schema, const char *name, const char *sql,
                              bool *is_index, tf_index *out, rec_err *err) {
    static const char lead[] = "CREATE VIRTUAL TABLE";
    *is_index = false;
    if (sqlite3_strnicmp(sql, lead, (int)sizeof lead - 1) != 0) return REC_OK;
    const char *s = sql + sizeof lead - 1;
    rec_err ignored = {0};
    char *word[3] = {0}; /* name, USING, module */
    for (int i = 0; i < 3; i++) word[i] = sq_identifier(&s, &ignored);
    *is_index = word[2] && sqlite3_stricmp(word[1], "using") == 0 &&
                sqlite3_stricmp(word[2], "rec_index") == 0;
    for (int i = 0; i < 3; i++) rec_free(word[i]);
    if (ignored.code == REC_NOMEM) return rec_nomem(err);
    if (!*is_index) return REC_OK;
    out->schema = rec_strdup(schema);
    out->name = rec_strdup(name);
    if (!out->schema || !out->name) return rec_nomem(err);
    s += strcspn(s, "(");
    out->arguments = rec_strdup(*s ? s + 1 : s);
    return out->arguments ? read_arguments(out->arguments, out, err) : rec_nomem(err);
}

/* Call fn for the indexes of one schema, or of those named `only` (NULL: all). */
static rec_status each_in_schema(sq_conn *c, const char *schema, const char *only,
                                 tf_index_fn fn, void *ctx, rec_err *err) {
    sqlite3_stmt *st = NULL;
    rec_status s = sq_prepare(
        c->db, schema, &st, err,
        "SELECT name, sql FROM \"%w\".sqlite_schema WHERE type = 'table' AND "
        "sql LIKE 'create virtual%%' AND (?1 IS NULL OR name = ?1 COLLATE "
        "NOCASE) ORDER BY name",
        schema);
    cell name = cell_str(only);
    if (s == REC_OK) s = sq_bind_cell(st, 1, &name, err);
    while (s == REC_OK) {
        bool row, is_index = false;
        tf_index ix = {0};
        s = sq_step(st, schema, &row, err);
        if (s != REC_OK || !row) break;
        const char *table = (const char *)sqlite3_column_text(st, 0);
        const char *sql = (const char *)sqlite3_column_text(st, 1);
        s = table && sql ? read_create(schema, table, sql, &is_index, &ix, err)
                         : rec_nomem(err);
        if (s == REC_OK && is_index) s = fn(ctx, &ix, err);
        tf_index_clear(&ix);
    }
    sqlite3_finalize(st);
    return s;
}

/* Schemas in the order in which SQLite looks a name up: temp, main, attached. */
static rec_status schema_names(sq_conn *c, text_list *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    rec_status s = sq_prepare(
        c->db, "the schemas", &st, err,
        "SELECT name FROM pragma_database_list ORDER BY name <> 'temp', seq");
    while (s == REC_OK) {
        bool row;
        s = sq_step(st, "the schemas", &row, err);
        if (s != REC_OK || !row) break;
        const char *name = (const char *)sqlite3_column_text(st, 0);
        s = name ? text_list_add(out, name, strlen(name), err) : rec_nomem(err);
    }
    sqlite3_finalize(st);
    return s;
}

rec_status tf_index_each(sq_conn *c, const char *schema, const char *name,
                         tf_index_fn fn, void *ctx, rec_err *err) {
    text_list schemas = {0};
    rec_status s = schema_names(c, &schemas, err);
    for (size_t i = 0; i < schemas.n && s == REC_OK; i++)
        if (!schema || sqlite3_stricmp(schema, schemas.a[i]) == 0)
            s = each_in_schema(c, schemas.a[i], name, fn, ctx, err);
    text_list_clear(&schemas);
    return s;
}

typedef struct first {
    tf_index *out;
    bool found;
} first;

static rec_status keep_first(void *ctx, tf_index *ix, rec_err *err) {
    first *f = ctx;
    (void)err;
    if (f->found) return REC_OK;
    f->found = true;
    *f->out = *ix;
    memset(ix, 0, sizeof *ix); /* taken */
    return REC_OK;
}

rec_status tf_index_find(sq_conn *c, const char *name, bool *found, tf_index *out,
                         rec_err *err) {
    first f = {.out = out};
    memset(out, 0, sizeof *out);
    rec_status s = tf_index_each(c, NULL, name, keep_first, &f, err);
    const char *dot = strchr(name, '.');
    if (s == REC_OK && !f.found && dot) {
        char *schema = rec_strndup(name, (size_t)(dot - name));
        s = schema ? tf_index_each(c, schema, dot + 1, keep_first, &f, err)
                   : rec_nomem(err);
        rec_free(schema);
    }
    *found = f.found;
    return s;
}
