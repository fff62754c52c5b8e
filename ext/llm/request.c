/* request.c - the object that llm_rewrite returns, to and from JSON.
 *
 *   {"query": text, "expansions": [text], "intent": name,
 *    "filters": {facet: {"any": [v], "all": [v], "none": [v], "min": x, "max": x}},
 *    "exclude": [text], "like_items": [key], "confidence": 0..1,
 *    "needs_clarification": bool, "question": text|null, "status": name, "error": text|null}
 *
 * Written, every key is there, in this order. Read, keys may be missing and null stands for missing, since a user
 * may write such an object by hand; but a value of the wrong type is refused with its name, because
 * a filter that is silently ignored shows items that should not be seen. An item of like_items that the
 * catalogue no longer has is passed over.
 */
#include "llm.h"

#include <math.h>

bool query_intent_from_name(const char *name, query_intent *out) {
    for (int i = INTENT_TRANSACTIONAL; name && i <= INTENT_CHITCHAT; i++)
        if (strcmp(name, query_intent_name((query_intent)i)) == 0) {
            *out = (query_intent)i;
            return true;
        }
    return false;
}

/* ---- adding ------------------------------------------------------------------------------------ */

bool request_list_has(char *const *a, size_t n, const char *s) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i], s) == 0) return true;
    return false;
}

rec_status request_add_value(facet_cond *c, char which, const char *v, rec_err *err) {
    char *const *a = which == 'a' ? c->any : which == 'l' ? c->all : c->none;
    size_t n = which == 'a' ? c->n_any : which == 'l' ? c->n_all : c->n_none;
    return request_list_has(a, n, v) ? REC_OK
                                     : facet_cond_add(c, which, v, strlen(v), err);
}

rec_status request_add_like(query_request *q, uint32_t item, rec_err *err) {
    for (size_t i = 0; i < q->n_like; i++)
        if (q->like_items[i] == item) return REC_OK;
    uint32_t *a = rec_realloc(q->like_items, (q->n_like + 1) * sizeof *a);
    if (!a) return rec_nomem(err);
    q->like_items = a;
    a[q->n_like++] = item;
    return REC_OK;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static json *list_to_json(char *const *a, size_t n, bool as_numbers) {
    json *list = json_new_array();
    bool ok = list != NULL;
    for (size_t i = 0; i < n && ok; i++) {
        double x;
        size_t k = strlen(a[i]);
        bool is_number = as_numbers && text_whole_number(a[i], k, &x);
        ok = json_push(list, is_number ? json_new_number(x) : json_new_text(a[i], k));
    }
    if (ok) return list;
    json_delete(list);
    return NULL;
}

static json *cond_to_json(const facet_cond *f, bool as_numbers) {
    json *o = json_new_object();
    bool ok = o != NULL;
    if (f->n_any)
        ok = ok && json_set(o, "any", list_to_json(f->any, f->n_any, as_numbers));
    if (f->n_all)
        ok = ok && json_set(o, "all", list_to_json(f->all, f->n_all, as_numbers));
    if (f->n_none)
        ok = ok && json_set(o, "none", list_to_json(f->none, f->n_none, as_numbers));
    if (f->has_min) ok = ok && json_set(o, "min", json_new_number(f->min));
    if (f->has_max) ok = ok && json_set(o, "max", json_new_number(f->max));
    if (ok) return o;
    json_delete(o);
    return NULL;
}

static json *filters_to_json(const filters *f, const catalog *c) {
    json *o = json_new_object();
    bool ok = o != NULL;
    for (size_t i = 0; i < f->n_cond && ok; i++) {
        const facet_cond *k = &f->cond[i];
        if (!k->n_any && !k->n_all && !k->n_none && !k->has_min && !k->has_max)
            continue;
        int facet = c ? facet_find(c, k->name, strlen(k->name)) : -1;
        bool as_numbers = facet >= 0 && facet_kind(c, (size_t)facet) == FACET_NUMBER;
        ok = json_set(o, k->name, cond_to_json(k, as_numbers));
    }
    if (ok) return o;
    json_delete(o);
    return NULL;
}

static json *likes_to_json(const query_request *q, const catalog *c) {
    json *list = json_new_array();
    bool ok = list != NULL;
    for (size_t i = 0; i < q->n_like && c && ok; i++) {
        rec_key k = catalog_key(c, q->like_items[i]);
        ok = json_push(list,
                       k.is_text ? json_new_text(k.text, k.n_text) : json_new_int(k.i));
    }
    if (ok) return list;
    json_delete(list);
    return NULL;
}

static json *text_or_null(const char *s) {
    return s ? json_new_text(s, strlen(s)) : json_new_null();
}

json *request_to_json(const query_request *q, const catalog *c, const char *status,
                      const char *error) {
    json *o = json_new_object();
    bool ok =
        json_set(o, "query", text_or_null(q->query ? q->query : "")) &&
        json_set(o, "expansions",
                 list_to_json(q->expansions.a, q->expansions.n, false)) &&
        json_set(o, "intent", text_or_null(query_intent_name(q->intent))) &&
        json_set(o, "filters", filters_to_json(&q->filters, c)) &&
        json_set(o, "exclude", list_to_json(q->exclude.a, q->exclude.n, false)) &&
        json_set(o, "like_items", likes_to_json(q, c)) &&
        json_set(o, "confidence", json_new_number(round(q->confidence * 100) / 100)) &&
        json_set(o, "needs_clarification", json_new_bool(q->needs_clarification)) &&
        json_set(o, "question", text_or_null(q->question)) &&
        json_set(o, "status", text_or_null(status)) &&
        json_set(o, "error", text_or_null(error));
    if (ok) return o;
    json_delete(o);
    return NULL;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static rec_status add_value(facet_cond *f, char which, const json *v, const char *op,
                            rec_err *err) {
    const char *s = json_text(v);
    if (s) return facet_cond_add(f, which, s, strlen(s), err);
    if (!json_is_number(v))
        return rec_fail(err, REC_RANGE,
                        "filters: \"%s\" of %s must be a list of texts or numbers", op,
                        f->name);
    char *number = json_print(v);
    if (!number) return rec_nomem(err);
    rec_status st = facet_cond_add(f, which, number, strlen(number), err);
    rec_free(number);
    return st;
}

static rec_status read_op(facet_cond *f, const json *v, rec_err *err) {
    static const struct {
        const char *name;
        char which;
    } lists[] = {{"any", 'a'}, {"all", 'l'}, {"none", 'n'}};
    const char *op = json_key(v);
    if (json_is_null(v)) return REC_OK;
    for (int i = 0; i < 3; i++) {
        if (strcmp(op, lists[i].name) != 0) continue;
        if (!json_is_array(v)) return add_value(f, lists[i].which, v, op, err);
        rec_status st = REC_OK;
        for (const json *e = json_first(v); e && !st; e = json_next(e))
            st = add_value(f, lists[i].which, e, op, err);
        return st;
    }
    bool is_min = strcmp(op, "min") == 0;
    if (!is_min && strcmp(op, "max") != 0)
        return rec_fail(
            err, REC_RANGE,
            "filters: no condition \"%.40s\" (there are any, all, none, min, max)", op);
    if (!json_is_number(v))
        return rec_fail(err, REC_RANGE, "filters: \"%s\" of %s must be a number", op,
                        f->name);
    if (is_min)
        f->has_min = true, f->min = json_number(v, 0);
    else
        f->has_max = true, f->max = json_number(v, 0);
    return REC_OK;
}

rec_status filters_from_json(const json *j, filters *out, rec_err *err) {
    *out = (filters){0};
    if (!j || json_is_null(j)) return REC_OK;
    if (!json_is_object(j))
        return rec_fail(err, REC_RANGE,
                        "filters must be an object: {\"facet\": {\"any\": [...]}}");
    rec_status st = REC_OK;
    for (const json *f = json_first(j); f && !st; f = json_next(f)) {
        if (json_is_null(f)) continue;
        const char *name = json_key(f);
        if (!json_is_object(f) || strlen(name) >= sizeof(((facet_cond *)0)->name)) {
            st = rec_fail(
                err, REC_RANGE,
                "filters: \"%.60s\" must be an object with any, all, none, min or max",
                name);
            break;
        }
        facet_cond *c = filters_at(out, name, err);
        if (!c) st = rec_nomem(err);
        for (const json *v = json_first(f); v && !st; v = json_next(v))
            st = read_op(c, v, err);
    }
    if (st) filters_clear(out);
    return st;
}

static rec_status wrong_type(const char *key, const char *rule, rec_err *err) {
    return rec_fail(err, REC_RANGE, "the rewritten request: \"%s\" must be %s", key,
                    rule);
}

static rec_status read_list(const json *o, const char *key, text_list *out,
                            rec_err *err) {
    const json *v = json_get(o, key);
    if (!v || json_is_null(v)) return REC_OK;
    if (!json_is_array(v)) return wrong_type(key, "a list of texts", err);
    rec_status st = REC_OK;
    for (const json *e = json_first(v); e && !st; e = json_next(e)) {
        const char *s = json_text(e);
        st = s ? text_list_add(out, s, strlen(s), err)
               : wrong_type(key, "a list of texts", err);
    }
    return st;
}

/* A key as it came, or in the other form that a key of this catalogue may have. */
static uint32_t find_item(const catalog *c, const json *v) {
    rec_key k = {0};
    const char *s = json_text(v);
    char digits[24];
    if (s) {
        double x;
        k = (rec_key){.is_text = true, .text = s, .n_text = strlen(s)};
        uint32_t item = catalog_find(c, &k);
        bool is_int =
            text_whole_number(s, strlen(s), &x) && x == floor(x) && fabs(x) < 9e15;
        if (item != KEYS_NONE || !is_int) return item;
        k = (rec_key){.i = (int64_t)x};
        return catalog_find(c, &k);
    }
    if (!json_int64(v, &k.i)) return KEYS_NONE;
    uint32_t item = catalog_find(c, &k);
    if (item != KEYS_NONE) return item;
    size_t n = rec_format(digits, sizeof digits, "%lld", (long long)k.i);
    k = (rec_key){.is_text = true, .text = digits, .n_text = n};
    return catalog_find(c, &k);
}

static rec_status read_likes(const json *o, const catalog *c, query_request *out,
                             rec_err *err) {
    const json *v = json_get(o, "like_items");
    if (!v || json_is_null(v)) return REC_OK;
    if (!json_is_array(v)) return wrong_type("like_items", "a list of item keys", err);
    out->like_items = rec_array(json_count(v), sizeof *out->like_items);
    if (!out->like_items) return rec_nomem(err);
    for (const json *e = json_first(v); e; e = json_next(e)) {
        if (!json_is_number(e) && !json_is_string(e))
            return wrong_type("like_items", "a list of item keys", err);
        uint32_t item = c ? find_item(c, e) : KEYS_NONE;
        if (item != KEYS_NONE) out->like_items[out->n_like++] = item;
    }
    return REC_OK;
}

static rec_status read_text(const json *o, const char *key, char **out, rec_err *err) {
    const json *v = json_get(o, key);
    if (!v || json_is_null(v)) return REC_OK;
    const char *s = json_text(v);
    if (!s) return wrong_type(key, "a text", err);
    *out = rec_strdup(s);
    return *out ? REC_OK : rec_nomem(err);
}

static rec_status read_scalars(const json *j, query_request *out, rec_err *err) {
    const json *intent = json_get(j, "intent"), *conf = json_get(j, "confidence");
    const json *needs = json_get(j, "needs_clarification");
    bool has_intent = intent && !json_is_null(intent);
    if (has_intent && !query_intent_from_name(json_text(intent), &out->intent))
        return wrong_type(
            "intent", "transactional, informational, navigational or chitchat", err);
    out->confidence = json_number(conf, 1);
    if (conf && !json_is_null(conf) && !json_is_number(conf))
        return wrong_type("confidence", "a number", err);
    out->needs_clarification = json_truth(needs, false);
    if (needs && !json_is_null(needs) && !json_is_bool(needs))
        return wrong_type("needs_clarification", "true or false", err);
    return REC_OK;
}

rec_status request_from_json(const json *j, const catalog *c, query_request *out,
                             rec_err *err) {
    *out = (query_request){0};
    if (!json_is_object(j))
        return rec_fail(
            err, REC_RANGE,
            "the rewritten request must be an object as llm_rewrite returns it");
    rec_status st = read_text(j, "query", &out->query, err);
    if (!st) st = read_text(j, "question", &out->question, err);
    if (!st) st = read_list(j, "expansions", &out->expansions, err);
    if (!st) st = read_list(j, "exclude", &out->exclude, err);
    if (!st) st = filters_from_json(json_get(j, "filters"), &out->filters, err);
    if (!st) st = read_likes(j, c, out, err);
    if (!st) st = read_scalars(j, out, err);
    if (!st && !out->query && !(out->query = rec_strdup(""))) st = rec_nomem(err);
    if (st) query_request_clear(out);
    return st;
}
