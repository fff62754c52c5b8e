/* fn_enrich.c - llm_enrich, llm_enrich_each and llm_profile: what SQL sees of them.
 *
 *   llm_enrich(item [, options])                  JSON: description, tags, audience, mood, inferred, text ...
 *   llm_enrich_hash(item [, options])             its source_hash; nobody is asked
 *   llm_enrich_request(item [, options])          what would be sent: the body, never a key
 *   SELECT * FROM llm_enrich_each(items, options) one row an element, in their order
 *   llm_profile(model, user [, options])          text, or JSON with {"form": "json"}
 *   llm_profile_request(model, user [, options])
 *
 * Option "model" of the enriching functions names the rec_model whose catalogue and words the builtin uses. The
 * history of llm_profile is what rec_user shows: the same rows, in the same order, with the same facets.
 *
 * I1. Everything here is DIRECTONLY and never DETERMINISTIC.
 * I2. A NULL item, list or user gives NULL or no rows; so does a user without a history.
 */
#include "tf.h"

#define JSON_SUBTYPE 'J'
#define FLAGS        (SQLITE_UTF8 | SQLITE_DIRECTONLY | SQLITE_RESULT_SUBTYPE)

static void finish(sqlite3_context *ctx, rec_status st, rec_err *err, char *text,
                   bool is_json) {
    if (st) {
        if (err->code == REC_OK) err->code = st;
        sq_result_error(ctx, err);
    } else if (text) {
        sqlite3_result_text64(ctx, text, strlen(text), SQLITE_TRANSIENT, SQLITE_UTF8);
        if (is_json) sqlite3_result_subtype(ctx, JSON_SUBTYPE);
    }
    rec_free(text);
}

/* ---- enriching ------------------------------------------------------------------------------------- */

/* The view of option "model"; *view NULL without one. */
static rec_status open_language(sq_conn *c, const char *function, const char *options,
                                sq_view **view, llm_context *out, rec_err *err) {
    char *name;
    *view = NULL;
    *out = (llm_context){0};
    rec_status st = llm_enrich_model(function, options, &name, err);
    if (!st && name) st = sq_view_open(c, name, view, err);
    if (!st && *view) sq_view_language(*view, out);
    rec_free(name);
    return st;
}

static rec_status read_args(const char *function, const char *what,
                            sqlite3_value *items, sqlite3_value *options,
                            enrich_args *out, rec_err *err) {
    size_t n;
    *out = (enrich_args){0};
    rec_status st = tf_text(function, what, items, &out->items, &out->n_items, err);
    return st ? st : tf_text(function, "options", options, &out->options, &n, err);
}

typedef rec_status (*enrich_fn)(llm_session *s, const enrich_args *a,
                                const llm_context *ctx, char **out, rec_err *err);

static void enrich_call(sqlite3_context *ctx, int n, sqlite3_value **v,
                        const char *name, enrich_fn fn, bool is_json) {
    sq_conn *c = sqlite3_user_data(ctx);
    enrich_args a;
    sq_view *view = NULL;
    llm_context language = {0};
    char *out = NULL;
    rec_err err = {0};
    rec_status st = read_args(name, "the item", v[0], n > 1 ? v[1] : NULL, &a, &err);
    if (!st && a.items) {
        st = open_language(c, name, a.options, &view, &language, &err);
        if (!st) st = fn(c->llm, &a, &language, &out, &err);
        if (view) sq_view_close(view);
    }
    finish(ctx, st, &err, out, is_json);
}

static void fn_enrich(sqlite3_context *ctx, int n, sqlite3_value **v) {
    enrich_call(ctx, n, v, "llm_enrich", llm_enrich, true);
}
static void fn_enrich_request(sqlite3_context *ctx, int n, sqlite3_value **v) {
    enrich_call(ctx, n, v, "llm_enrich_request", llm_enrich_request, true);
}
static void fn_enrich_hash(sqlite3_context *ctx, int n, sqlite3_value **v) {
    enrich_call(ctx, n, v, "llm_enrich_hash", llm_enrich_hash, false);
}

/* ---- llm_enrich_each ---------------------------------------------------------------------------------- */

/* ["a", "b"] as JSON text. */
static char *list_text(const text_list *l) {
    json *a = json_new_array();
    bool ok = a != NULL;
    for (size_t i = 0; i < l->n && ok; i++)
        ok = json_push(a, json_new_text(l->a[i], strlen(l->a[i])));
    char *text = ok ? json_print(a) : NULL;
    json_delete(a);
    return text;
}

static rec_status add_row(tvf_rows *rows, const enrichment *e, rec_err *err) {
    json *id = e->id ? json_parse(e->id, strlen(e->id), err) : NULL;
    char *tags = list_text(&e->tags), *inferred = list_text(&e->inferred);
    bool has_words = e->text != NULL;
    int64_t i;
    cell key = cell_null();
    if (id && json_int64(id, &i))
        key = cell_int(i);
    else if (id)
        key = json_text(id) ? cell_str(json_text(id)) : cell_real(json_number(id, 0));
    cell row[] = {key,
                  cell_str(e->description),
                  has_words ? cell_str(tags) : cell_null(),
                  cell_str(e->audience),
                  cell_str(e->mood),
                  has_words ? cell_str(inferred) : cell_null(),
                  cell_str(e->text),
                  *e->source_hash ? cell_str(e->source_hash) : cell_null(),
                  cell_str(e->model),
                  cell_int(ENRICH_VERSION),
                  cell_str(e->status),
                  cell_str(e->error)};
    bool ok = tags && inferred && (id || !e->id);
    rec_status st = ok ? tvf_rows_add(rows, row, err) : rec_nomem(err);
    json_delete(id);
    rec_free(tags), rec_free(inferred);
    return st;
}

static rec_status each_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                            rec_err *err) {
    static const char name[] = "llm_enrich_each";
    enrich_args a;
    enrichment_list list = {0};
    sq_view *view = NULL;
    llm_context language = {0};
    *out = NULL;
    rec_status st = read_args(name, "items", arg[0], arg[1], &a, err);
    if (st) return st;
    tvf_rows *rows = tvf_rows_new(12);
    if (!rows) return rec_nomem(err);
    if (a.items) {
        st = open_language(c, name, a.options, &view, &language, err);
        if (!st) st = llm_enrich_each(c->llm, &a, &language, &list, err);
        if (view) sq_view_close(view);
    }
    for (size_t i = 0; i < list.n && !st; i++) st = add_row(rows, &list.row[i], err);
    enrichment_list_clear(&list);
    if (st) {
        tvf_rows_free(rows);
        return st;
    }
    *out = tvf_rows_result(rows);
    return *out ? REC_OK : rec_nomem(err);
}

const tvf_def llm_enrich_each_def = {
    .name = "llm_enrich_each",
    .columns =
        "id, description TEXT, tags TEXT, audience TEXT, mood TEXT, inferred TEXT, "
        "text TEXT, source_hash TEXT, model TEXT, prompt_version INTEGER, "
        "status TEXT, error TEXT",
    .args = "items, options",
    .n_required = 1,
    .direct_only = true,
    .rank_column = -1,
    .cost = 1e6,
    .open = each_open,
};

/* ---- llm_profile ----------------------------------------------------------------------------------------- */

/* The rows of rec_user, kept for as long as the profile is written. */
typedef struct history {
    profile_args args; /* items and facets owned, with what they point to */
    size_t cap_item, cap_facet;
} history;

static void history_clear(history *h) {
    for (size_t i = 0; i < h->args.n_item; i++) {
        rec_free((char *)h->args.item[i].title);
        if (h->args.item[i].key.is_text) rec_free((char *)h->args.item[i].key.text);
    }
    for (size_t i = 0; i < h->args.n_facet; i++)
        rec_free((char *)h->args.facet[i].facet);
    rec_free(h->args.item);
    rec_free(h->args.facet);
}

static rec_status add_item(history *h, sq_view *v, const cell *row, rec_err *err) {
    profile_args *a = &h->args;
    rec_status st =
        rec_grow(&a->item, &h->cap_item, a->n_item + 1, sizeof *a->item, err);
    if (st) return st;
    profile_item p = {.value = row[3].type == CELL_NULL ? 0 : row[3].r};
    if (row[1].type == CELL_TEXT) {
        p.key = (rec_key){.is_text = true, .n_text = row[1].nbyte};
        if (!(p.key.text = rec_strndup(row[1].p, row[1].nbyte))) return rec_nomem(err);
    } else
        p.key.i = row[1].i;
    if (row[2].type == CELL_TEXT) {
        p.n_title = row[2].nbyte;
        p.title = rec_strndup(row[2].p, row[2].nbyte);
    }
    p.doc = sq_view_doc(v, &p.key);
    a->item[a->n_item++] = p;
    return row[2].type != CELL_TEXT || p.title ? REC_OK : rec_nomem(err);
}

/* "genres=Drama" */
static rec_status add_facet(history *h, const cell *row, rec_err *err) {
    profile_args *a = &h->args;
    const char *equal = memchr(row[1].p, '=', row[1].nbyte);
    rec_status st =
        rec_grow(&a->facet, &h->cap_facet, a->n_facet + 1, sizeof *a->facet, err);
    if (st || !equal) return st;
    char *copy = rec_strndup(row[1].p, row[1].nbyte);
    if (!copy) return rec_nomem(err);
    size_t n = (size_t)(equal - (const char *)row[1].p);
    a->facet[a->n_facet++] = (profile_facet){.facet = copy,
                                             .n_facet = n,
                                             .value = copy + n + 1,
                                             .n_value = row[1].nbyte - n - 1,
                                             .share = row[3].r};
    return REC_OK;
}

static rec_status read_history(sq_conn *c, sq_view *v, sqlite3_value **arg, history *h,
                               rec_err *err) {
    tvf_result *rows = NULL;
    cell row[6];
    rec_status st = tf_user_def.open(c, arg, &rows, err);
    while (!st && rows->next(rows, row, &st, err)) {
        if (row[0].nbyte == 4 && memcmp(row[0].p, "item", 4) == 0)
            st = add_item(h, v, row, err);
        else if (row[0].nbyte == 5 && memcmp(row[0].p, "facet", 5) == 0)
            st = add_facet(h, row, err);
    }
    if (rows) rows->close(rows);
    return st;
}

typedef rec_status (*profile_fn)(llm_session *s, const profile_args *a,
                                 const llm_context *ctx, char **out, bool *is_json,
                                 rec_err *err);

static void profile_call(sqlite3_context *ctx, int n, sqlite3_value **v,
                         const char *name, profile_fn fn) {
    sq_conn *c = sqlite3_user_data(ctx);
    history h = {0};
    size_t n_options;
    sq_view *view = NULL;
    llm_context language = {0};
    bool is_json = false;
    char *out = NULL;
    rec_err err = {0};
    rec_status st = tf_text(name, "options", n > 2 ? v[2] : NULL, &h.args.options,
                            &n_options, &err);
    if (!st) st = tf_view(c, name, v[0], &view, &err);
    if (!st) st = read_history(c, view, v, &h, &err);
    if (!st) {
        sq_view_language(view, &language);
        const sq_view *fv = tf_with_facets(view);
        if (fv) language.items = fv->items;
        st = fn(c->llm, &h.args, &language, &out, &is_json, &err);
    }
    history_clear(&h);
    if (view) sq_view_close(view);
    finish(ctx, st, &err, out, is_json);
}

static void fn_profile(sqlite3_context *ctx, int n, sqlite3_value **v) {
    profile_call(ctx, n, v, "llm_profile", llm_profile);
}
static void fn_profile_request(sqlite3_context *ctx, int n, sqlite3_value **v) {
    profile_call(ctx, n, v, "llm_profile_request", llm_profile_request);
}

const sq_function fn_enrich_functions[] = {
    {"llm_enrich", 1, FLAGS, fn_enrich, NULL, NULL},
    {"llm_enrich", 2, FLAGS, fn_enrich, NULL, NULL},
    {"llm_enrich_hash", 1, FLAGS, fn_enrich_hash, NULL, NULL},
    {"llm_enrich_hash", 2, FLAGS, fn_enrich_hash, NULL, NULL},
    {"llm_enrich_request", 1, FLAGS, fn_enrich_request, NULL, NULL},
    {"llm_enrich_request", 2, FLAGS, fn_enrich_request, NULL, NULL},
    {"llm_profile", 2, FLAGS, fn_profile, NULL, NULL},
    {"llm_profile", 3, FLAGS, fn_profile, NULL, NULL},
    {"llm_profile_request", 2, FLAGS, fn_profile_request, NULL, NULL},
    {"llm_profile_request", 3, FLAGS, fn_profile_request, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
