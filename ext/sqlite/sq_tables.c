/* sq_tables.c - which rec_models there are: from a name to its CREATE statement, settings included.
 *
 *   'taste', 'aux.taste'  --connect-->  sq_table {schema, name, arguments of CREATE}
 *                                             + rows 'option.<name>' of <name>_state
 *                                             = sq_model_cfg
 *
 * The text in sqlite_schema is not parsed here: preparing a statement over the table makes SQLite connect it,
 * and xConnect (vt_model.c) leaves the arguments in the connection's list. So there is one parser of CREATE
 * statements, SQLite's own, and a table of another module is never mistaken for a model.
 *
 * Cycles. A model whose source is a view that reads the model, or that is its own member by some way round,
 * would never end. Whoever reads for a model enters it first; xBestIndex and sq_view_open refuse a model that
 * is entered.
 *
 * I1. An sq_table lives as long as its virtual table is connected; what is kept longer is copied.
 * I2. Unqualified names resolve as in SQL: temp, main, then attached databases in order.
 */
#include "sq.h"

#define SCHEMAS_MAX 128 /* SQLite allows 125 attached databases */

/* ---- what is connected ---------------------------------------------------------------------------- */

void sq_table_add(sq_conn *c, sq_table *t) {
    t->next = c->tables;
    c->tables = t;
}

void sq_table_remove(sq_conn *c, sq_table *t) {
    sq_table **at = &c->tables;
    while (*at && *at != t) at = &(*at)->next;
    if (*at) *at = t->next;
}

static const sq_table *connected(const sq_conn *c, const char *schema,
                                 const char *name) {
    for (const sq_table *t = c->tables; t; t = t->next)
        if (sqlite3_stricmp(t->schema, schema) == 0 &&
            sqlite3_stricmp(t->name, name) == 0)
            return t;
    return NULL;
}

/* ---- cycles -------------------------------------------------------------------------------------------- */

bool sq_is_entered(const sq_conn *c, const char *schema, const char *name) {
    for (const sq_frame *f = c->frames; f; f = f->up)
        if (sqlite3_stricmp(f->schema, schema) == 0 &&
            sqlite3_stricmp(f->name, name) == 0)
            return true;
    return false;
}

static rec_status refuse_entered(const sq_conn *c, const char *schema, const char *name,
                                 rec_err *err) {
    if (!sq_is_entered(c, schema, name)) return REC_OK;
    return rec_fail(
        err, REC_RANGE,
        "rec_model(%s): the model reads itself, by way of a view or a member", name);
}

rec_status sq_enter(sq_conn *c, sq_frame *f, const char *schema, const char *name,
                    rec_err *err) {
    *f = (sq_frame){schema, name, c->frames, false};
    rec_status s = refuse_entered(c, schema, name, err);
    if (s != REC_OK) return s;
    f->is_entered = true;
    c->frames = f;
    return REC_OK;
}

void sq_leave(sq_conn *c, sq_frame *f) {
    if (f->is_entered) c->frames = f->up;
    f->is_entered = false;
}

/* ---- finding ----------------------------------------------------------------------------------------------- */

typedef struct schema_list {
    char *name[SCHEMAS_MAX]; /* owned */
    size_t n;
} schema_list;

static void schemas_clear(schema_list *l) {
    for (size_t i = 0; i < l->n; i++) rec_free(l->name[i]);
    l->n = 0;
}

static rec_status schemas_read(sqlite3 *db, schema_list *out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = true;
    out->n = 0;
    rec_status s = sq_prepare(
        db, "database_list", &st, err,
        "SELECT name FROM pragma_database_list ORDER BY name <> 'temp', seq");
    while (s == REC_OK && (s = sq_step(st, "database_list", &row, err)) == REC_OK &&
           row) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        if (out->n == SCHEMAS_MAX) break;
        out->name[out->n] = name ? rec_strdup(name) : NULL;
        if (out->name[out->n])
            out->n++;
        else
            s = rec_nomem(err);
    }
    sqlite3_finalize(st);
    if (s != REC_OK) schemas_clear(out);
    return s;
}

static void skip_blank(const char **s) {
    *s += strspn(*s, " \t\r\n");
}

/* 'model' or 'schema.model', each perhaps quoted. What is neither is taken as a table's name. */
static rec_status split_name(const char *text, char **schema, char **name,
                             rec_err *err) {
    const char *s = text;
    *schema = *name = NULL;
    skip_blank(&s);
    rec_err why = {0}; /* of names that are none, which is no error here */
    char *first = sq_identifier(&s, &why), *second = NULL;
    skip_blank(&s);
    if (first && *s == '.') {
        s++;
        skip_blank(&s);
        second = sq_identifier(&s, &why);
        skip_blank(&s);
    }
    if (first && !*s) {
        *schema = second ? first : NULL;
        *name = second ? second : first;
        return REC_OK;
    }
    rec_free(first);
    rec_free(second);
    if (why.code == REC_NOMEM) return rec_nomem(err);
    *name = rec_strdup(text);
    return *name ? REC_OK : rec_nomem(err);
}

/* Make SQLite connect the table. *out NULL: there is no such rec_model in this schema. */
static rec_status connect_table(sq_conn *c, const char *schema, const char *name,
                                const sq_table **out, rec_err *err) {
    sqlite3_stmt *st = NULL;
    *out = NULL;
    rec_status s = refuse_entered(c, schema, name, err);
    if (s != REC_OK) return s;
    s = sq_prepare(c->db, name, &st, err, "SELECT 1 FROM \"%w\".\"%w\" LIMIT 0", schema,
                   name);
    sqlite3_finalize(st);
    if (s == REC_OK) *out = connected(c, schema, name);
    if (s == REC_IO &&
        (strstr(err->msg, "no such table") || strstr(err->msg, "unknown database"))) {
        memset(err, 0, sizeof *err);
        return REC_OK;
    }
    return s;
}

typedef struct name_list {
    bytes_writer w;
    int n;
} name_list;

static rec_status add_name(void *ctx, const char *schema, const char *name,
                           rec_err *err) {
    name_list *l = ctx;
    (void)err;
    bool is_main = sqlite3_stricmp(schema, "main") == 0;
    if (l->n++) bytes_puts(&l->w, ", ");
    if (!is_main) bytes_printf(&l->w, "%s.", schema);
    bytes_puts(&l->w, name);
    return REC_OK;
}

static rec_status not_found(sq_conn *c, const char *name, rec_err *err) {
    name_list l = {0};
    rec_status s = sq_model_each(c, add_name, &l, err);
    char *names = s == REC_OK ? bytes_take_text(&l.w) : NULL;
    if (s == REC_OK)
        s = l.n == 0
                ? rec_fail(err, REC_RANGE,
                           "there is no rec_model called %.80s; there is none at all",
                           name)
                : rec_fail(err, REC_RANGE,
                           "there is no rec_model called %.80s; there are: %.240s",
                           name, names ? names : "");
    rec_free(names);
    bytes_clear(&l.w);
    return s;
}

rec_status sq_table_find(sq_conn *c, const char *in_schema, const char *name,
                         const sq_table **out, rec_err *err) {
    char *schema = NULL, *table = NULL;
    schema_list all = {.n = 0};
    rec_status s = split_name(name, &schema, &table, err);
    *out = NULL;
    bool is_temp = in_schema && sqlite3_stricmp(in_schema, "temp") == 0;
    if (s == REC_OK && (schema || (in_schema && !is_temp))) {
        s = connect_table(c, schema ? schema : in_schema, table, out, err);
    } else if (s == REC_OK) {
        s = schemas_read(c->db, &all, err);
        for (size_t i = 0; i < all.n && s == REC_OK && !*out; i++)
            s = connect_table(c, all.name[i], table, out, err);
    }
    if (s == REC_OK && !*out) s = not_found(c, name, err);
    schemas_clear(&all);
    rec_free(schema);
    rec_free(table);
    return s;
}

static rec_status each_in_schema(sq_conn *c, const char *schema, sq_model_fn fn,
                                 void *ctx, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = true;
    char **name = NULL;
    size_t n = 0, cap = 0;
    rec_status s =
        sq_prepare(c->db, schema, &st, err,
                   "SELECT name FROM \"%w\".sqlite_master WHERE type = 'table' AND sql "
                   "LIKE 'create virtual table%%using%%rec_model%%' ORDER BY name",
                   schema);
    while (s == REC_OK && (s = sq_step(st, schema, &row, err)) == REC_OK && row) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        s = rec_grow(&name, &cap, n + 1, sizeof *name, err);
        if (s == REC_OK) name[n] = text ? rec_strdup(text) : NULL;
        if (s == REC_OK && !name[n++]) s = rec_nomem(err);
    }
    sqlite3_finalize(st);
    for (size_t i = 0; i < n; i++) {
        const sq_table *t = NULL;
        rec_err why = {0};
        /* A table that cannot be connected is listed too: its error is what there is to say of it. */
        rec_status connects =
            s == REC_OK ? connect_table(c, schema, name[i], &t, &why) : s;
        bool is_listed =
            t || (connects != REC_OK && !sq_is_entered(c, schema, name[i]));
        if (s == REC_OK && is_listed) s = fn(ctx, schema, name[i], err);
        rec_free(name[i]);
    }
    rec_free(name);
    return s;
}

rec_status sq_model_each(sq_conn *c, sq_model_fn fn, void *ctx, rec_err *err) {
    schema_list all = {.n = 0};
    rec_status s = schemas_read(c->db, &all, err);
    for (size_t i = 0; i < all.n && s == REC_OK; i++)
        s = each_in_schema(c, all.name[i], fn, ctx, err);
    schemas_clear(&all);
    return s;
}

/* ---- configuration --------------------------------------------------------------------------------------------- */

static rec_status args_put(sq_args *a, const char *name, const char *value,
                           rec_err *err) {
    size_t i = 0;
    while (i < a->n && (!a->a[i].name || sqlite3_stricmp(a->a[i].name, name) != 0)) i++;
    if (i == a->n) {
        sq_arg *more = rec_realloc(a->a, (a->n + 1) * sizeof *more);
        if (!more) return rec_nomem(err);
        a->a = more;
        a->a[i] = (sq_arg){.name = rec_strdup(name)};
        if (!a->a[i].name) return rec_nomem(err);
        a->n++;
    }
    char *copy = rec_strdup(value);
    if (!copy) return rec_nomem(err);
    rec_free(a->a[i].value);
    a->a[i].value = copy;
    return REC_OK;
}

static rec_status args_copy(const sq_args *from, sq_args *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    rec_status s = REC_OK;
    for (size_t i = 0; i < from->n && s == REC_OK; i++)
        s = args_put(out, from->a[i].name ? from->a[i].name : "", from->a[i].value,
                     err);
    return s;
}

/* What commands have set since CREATE. A state table that is gone is no reason to know nothing. */
static rec_status args_override(sq_conn *c, const sq_table *t, sq_args *args,
                                rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = true;
    rec_status s =
        sq_prepare(c->db, t->name, &st, err,
                   "SELECT substr(k, 8), v FROM \"%w\".\"%w_state\" WHERE k LIKE "
                   "'option.%%' ORDER BY k",
                   t->schema, t->name);
    if (s == REC_IO) {
        memset(err, 0, sizeof *err);
        return REC_OK;
    }
    while (s == REC_OK && (s = sq_step(st, t->name, &row, err)) == REC_OK && row) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        const char *value = (const char *)sqlite3_column_text(st, 1);
        if (name && value) s = args_put(args, name, value, err);
    }
    sqlite3_finalize(st);
    return s;
}

/* Words and numbers as they are, the rest in quotes. */
static void put_value(bytes_writer *w, const char *value) {
    size_t n = strlen(value);
    bool is_plain = n > 0;
    for (size_t i = 0; i < n; i++) {
        char c = value[i];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                       (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
        if (!is_word && !(c == '-' && i == 0)) is_plain = false;
    }
    if (!is_plain) bytes_puts(w, "'");
    for (size_t i = 0; i < n; i++) {
        bytes_put(w, value + i, 1);
        if (!is_plain && value[i] == '\'') bytes_put(w, "'", 1);
    }
    if (!is_plain) bytes_puts(w, "'");
}

rec_status sq_table_create_text(sq_conn *c, const sq_table *t, const sq_arg *set,
                                size_t n_set, char **out, rec_err *err) {
    sq_args args;
    bytes_writer w = {0};
    bool is_main = sqlite3_stricmp(t->schema, "main") == 0;
    char *name = is_main ? sqlite3_mprintf("\"%w\"", t->name)
                         : sqlite3_mprintf("\"%w\".\"%w\"", t->schema, t->name);
    *out = NULL;
    rec_status s = args_copy(&t->args, &args, err);
    if (s == REC_OK && !name) s = rec_nomem(err);
    if (s == REC_OK) bytes_printf(&w, "CREATE VIRTUAL TABLE %s USING rec_model(", name);
    if (s == REC_OK) s = args_override(c, t, &args, err);
    for (size_t i = 0; i < n_set && s == REC_OK; i++)
        s = args_put(&args, set[i].name, set[i].value, err);
    bool is_first = true;
    for (size_t i = 0; s == REC_OK && i < args.n; i++) {
        if (!args.a[i].name[0] || !args.a[i].value[0]) continue; /* taken away */
        bytes_printf(&w, "%s%s=", is_first ? "" : ", ", args.a[i].name);
        put_value(&w, args.a[i].value);
        is_first = false;
    }
    bytes_puts(&w, ")");
    if (s == REC_OK && !(*out = bytes_take_text(&w))) s = rec_nomem(err);
    bytes_clear(&w);
    sqlite3_free(name);
    sq_args_clear(&args);
    return s;
}

rec_status sq_table_config(sq_conn *c, const sq_table *t, const sq_arg *set,
                           sq_model_cfg *out, rec_err *err) {
    sq_args args;
    memset(out, 0, sizeof *out);
    rec_status s = args_copy(&t->args, &args, err);
    if (s == REC_OK) s = args_override(c, t, &args, err);
    if (s == REC_OK && set) s = args_put(&args, set->name, set->value, err);
    if (s == REC_OK) s = sq_cfg_parse(&args, t->name, out, err);
    sq_args_clear(&args);
    return s;
}

static rec_status read_affinity(sq_conn *c, const sq_table *t, const char *row,
                                key_affinity *out, rec_err *err) {
    cell v;
    rec_status s = sq_state_get(c->db, t->schema, t->name, row, &v, err);
    *out = AFFINITY_INTEGER;
    if (s == REC_OK && v.type == CELL_TEXT && v.nbyte == 4 &&
        memcmp(v.p, "TEXT", 4) == 0)
        *out = AFFINITY_TEXT;
    sq_cell_free(&v);
    return s;
}

rec_status sq_table_affinity(sq_conn *c, const sq_table *t, key_affinity *user,
                             key_affinity *item, rec_err *err) {
    rec_status s = read_affinity(c, t, "user_affinity", user, err);
    return s == REC_OK ? read_affinity(c, t, "item_affinity", item, err) : s;
}
