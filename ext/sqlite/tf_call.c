/* tf_call.c - what the functions over models share: reading their arguments.
 *
 *   rec_hybrid('main.reader', '42', '{"query":...}', 10.0)
 *                 |            |         |           |
 *              tf_view     tf_read_key  tf_text     tf_k
 *
 * Invariants
 * I1. A NULL or absent user or item is not an error: no row, or a scalar NULL.
 * I2. A key is coerced to the affinity of the model's own tables ('42' is 42 there, 42.0 too);
 *     a BLOB is an error. A user key that nothing can equal is simply somebody unknown.
 * I3. Any other argument of the wrong type is an error that names function, argument and value.
 * I4. Nothing here allocates but filters and holds; texts are borrowed from the arguments, which
 *     stay valid as long as the call does.
 * I5. A view opened under c->hold stays with the cursor or statement that the hold belongs to: inside
 *     a write transaction opening one again means reading everything again.
 */
#include "tf.h"

#include <math.h>

static const char *const type_names[] = {"an integer", "a real number", "text",
                                         "a BLOB", "NULL"};

static const char *type_name(sqlite3_value *v) {
    int t = v ? sqlite3_value_type(v) : SQLITE_NULL;
    return type_names[t >= SQLITE_INTEGER && t <= SQLITE_NULL ? t - 1 : 4];
}

rec_status tf_view(sq_conn *c, const char *function, sqlite3_value *model,
                   sq_view **out, rec_err *err) {
    *out = NULL;
    if (!model || sqlite3_value_type(model) != SQLITE_TEXT)
        return rec_fail(
            err, REC_RANGE,
            "%s: the model is %s, expected the name of a rec_model table as text",
            function, type_name(model));
    const char *name = (const char *)sqlite3_value_text(model);
    if (!name) return rec_nomem(err);
    if (c->hold) return sq_hold_view(c, name, c->hold, out, err);
    return sq_view_open(c, name, out, err);
}

rec_status tf_hold_enter(sq_conn *c, sqlite3_context *ctx, int i, tf_held *out,
                         rec_err *err) {
    sq_hold *h = sqlite3_get_auxdata(ctx, i);
    *out = (tf_held){.ctx = ctx, .arg = i, .outer = c->hold, .is_new = !h};
    if (!h) h = rec_zeros(1, sizeof *h);
    if (!h) return rec_nomem(err);
    out->hold = c->hold = h;
    out->is_entered = true;
    return REC_OK;
}

static void hold_free(void *p) {
    sq_hold_clear(p);
    rec_free(p);
}

/* set_auxdata may free what it is given before it returns: it comes last. */
void tf_hold_leave(sq_conn *c, tf_held *h) {
    if (!h->is_entered) return;
    c->hold = h->outer;
    if (h->is_new) sqlite3_set_auxdata(h->ctx, h->arg, h->hold, hold_free);
}

rec_status tf_view_kept(sqlite3_context *ctx, const char *function,
                        sqlite3_value **argv, int i, sq_view **out, rec_err *err) {
    sq_conn *c = sqlite3_user_data(ctx);
    tf_held held;
    *out = NULL;
    rec_status s = tf_hold_enter(c, ctx, i, &held, err);
    if (s == REC_OK) s = tf_view(c, function, argv[i], out, err);
    tf_hold_leave(c, &held);
    return s;
}

rec_status tf_read_key(const char *function, const char *what, sqlite3_value *v,
                       key_affinity a, tf_key *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    out->is_null = !v || sqlite3_value_type(v) == SQLITE_NULL;
    if (out->is_null) return REC_OK;
    if (sqlite3_value_type(v) == SQLITE_BLOB)
        return rec_fail(err, REC_RANGE,
                        "%s: the %s is a BLOB, expected an integer or text", function,
                        what);
    cell c = sq_cell(v);
    rec_status s = REC_OK;
    out->is_key = sq_key(&c, a, out->buf, &out->key, &s, err);
    return s;
}

rec_status tf_item(const sq_view *v, const char *function, const char *what,
                   sqlite3_value *arg, uint32_t *out, rec_err *err) {
    tf_key k;
    *out = KEYS_NONE;
    rec_status s = tf_read_key(function, what, arg, v->item_affinity, &k, err);
    if (s == REC_OK && k.is_key) *out = catalog_find(v->items, &k.key);
    return s;
}

rec_status tf_k(const char *function, sqlite3_value *v, int64_t *out, rec_err *err) {
    *out = -1;
    if (!v || sqlite3_value_type(v) == SQLITE_NULL) return REC_OK;
    int type = sqlite3_value_numeric_type(v); /* '10' is 10 */
    double r =
        type == SQLITE_INTEGER || type == SQLITE_FLOAT ? sqlite3_value_double(v) : -1;
    if (r < 0 || r != floor(r)) {
        bool is_blob = sqlite3_value_type(v) == SQLITE_BLOB;
        const char *text = is_blob ? "a BLOB" : (const char *)sqlite3_value_text(v);
        return rec_fail(err, REC_RANGE,
                        "%s: k is %.40s, expected a whole number from 0", function,
                        text ? text : "NULL");
    }
    *out = r < SQ_MAX_K ? (int64_t)r : (int64_t)SQ_MAX_K;
    return REC_OK;
}

rec_status tf_text(const char *function, const char *what, sqlite3_value *v,
                   const char **out, size_t *nbyte, rec_err *err) {
    *out = NULL;
    *nbyte = 0;
    if (!v || sqlite3_value_type(v) == SQLITE_NULL) return REC_OK;
    if (sqlite3_value_type(v) != SQLITE_TEXT)
        return rec_fail(err, REC_RANGE, "%s: %s is %s, expected text", function, what,
                        type_name(v));
    *out = (const char *)sqlite3_value_text(v);
    if (!*out) return rec_nomem(err);
    *nbyte = (size_t)sqlite3_value_bytes(v);
    return REC_OK;
}

rec_status tf_profile(sq_view *v, const tf_key *key, const query_request *request,
                      sq_profile *out, rec_err *err) {
    sq_who who = {.user = key && key->is_key ? &key->key : NULL, .request = request};
    if (request && request->query && request->query[0]) {
        who.query = request->query;
        who.n_query = strlen(request->query);
    }
    return sq_profile_read(v, &who, out, err);
}

cell tf_item_cell(const sq_view *v, uint32_t item) {
    rec_key k = catalog_key(v->items, item);
    return k.is_text ? cell_text(k.text, k.n_text) : cell_int(k.i);
}

cell tf_title_cell(const sq_view *v, uint32_t item) {
    size_t n;
    const char *title = catalog_title(v->items, item, &n);
    return cell_text(title, n);
}

const sq_view *tf_with_interactions(const sq_view *v) {
    if (v->cfg.interactions) return v;
    for (size_t i = 0; i < v->n_member; i++) {
        const sq_view *found = tf_with_interactions(v->member[i].view);
        if (found) return found;
    }
    return NULL;
}

const sq_view *tf_with_facets(const sq_view *v) {
    if (v->cfg.n_facet) return v;
    for (size_t i = 0; i < v->n_member; i++) {
        const sq_view *found = tf_with_facets(v->member[i].view);
        if (found) return found;
    }
    return NULL;
}

rec_status tf_filters(const char *function, const char *text, size_t nbyte,
                      filters *out, rec_err *err) {
    rec_err why = {0};
    memset(out, 0, sizeof *out);
    json *j = json_parse(text, nbyte, &why);
    if (!j) {
        if (why.code == REC_NOMEM) return rec_nomem(err);
        return rec_fail(err, REC_RANGE, "%s: the filters are not JSON: %s", function,
                        why.msg);
    }
    /* A rewrite object holds a filters object beside its query. */
    const json *inner = json_get(j, "filters");
    bool is_whole = inner && json_is_object(inner) && json_get(j, "query");
    rec_status s = filters_from_json(is_whole ? inner : j, out, err);
    if (s != REC_OK) filters_clear(out);
    json_delete(j);
    return s;
}

char *tf_source_name(const sq_view *v, const char *table, rec_err *err) {
    /* A TEMP model reads what SQLite would find under the bare name. */
    char *text = sqlite3_stricmp(v->schema, "temp") == 0
                     ? sqlite3_mprintf("\"%w\"", table)
                     : sqlite3_mprintf("\"%w\".\"%w\"", v->schema, table);
    if (!text) rec_nomem(err);
    return text;
}

void tf_profile_rows(const sq_view *v, const sq_profile *p, const sq_view **view,
                     const sq_profile **profile) {
    *view = v;
    *profile = p;
    for (size_t i = 0; p->n == 0 && i < p->n_member && i < v->n_member; i++) {
        const sq_view *mv;
        const sq_profile *mp;
        tf_profile_rows(v->member[i].view, &p->member[i], &mv, &mp);
        if (mp->n == 0) continue;
        *view = mv;
        *profile = mp;
        return;
    }
}

size_t tf_facet_items(const catalog *c, size_t facet) {
    size_t n = 0;
    const uint32_t *value;
    for (uint32_t i = 0; i < catalog_n_items(c); i++)
        n += facet_item_values(c, facet, i, &value) > 0;
    return n;
}
