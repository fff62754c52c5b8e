/* explain.c - llm_explain: one sentence on why an item suits somebody, whose every claim can be found.
 *
 *     user  {"query": "something with vampires", "history": [{"id": 3, "title": "Dracula", "value": 5}]}
 *     item  {"title": "Nosferatu", "year": 1922, "overview": "A count who is a vampire ..."}
 *
 *     Matches "vampires": "A count who is a vampire"
 *
 * It is the reason that llm_rerank gives, for a list of one: a model's words stand if their quote is in the
 * record or in the history, their numbers occur there, and they name nothing else (listwise.c, L2); the
 * builtin's otherwise. Where neither finds anything that ties the two together, the record speaks for itself.
 *
 * Invariant: the sentence names no title besides the item's own and those of the history.
 */
#include "llm.h"

#define MAX_PLAIN_FIELDS 3
#define MAX_PLAIN_BYTES  120

typedef struct pair { /* owned */
    json *user, *item, *list, *options;
} pair;

static void pair_clear(pair *p) {
    json_delete(p->user);
    json_delete(p->item);
    json_delete(p->list);
    json_delete(p->options);
}

static rec_status parse(const char *what, const char *text, size_t nbyte, json **out,
                        rec_err *err) {
    rec_err why = {0};
    *out = json_parse(text, nbyte, &why);
    if (*out) return REC_OK;
    return rec_fail(err, why.code, "llm_explain: %s: %s", what, why.msg);
}

/* The user's request in words: query, or request. */
static const char *request_of(const json *user) {
    const char *s = json_text(json_get(user, "query"));
    return s ? s : json_text(json_get(user, "request"));
}

static rec_status read_pair(const explain_args *a, pair *p, rec_err *err) {
    rec_status st =
        a->user ? parse("the user", a->user, a->n_user, &p->user, err) : REC_OK;
    if (!st) st = parse("the item", a->item, a->n_item, &p->item, err);
    if (st) return st;
    if (!json_is_object(p->item))
        return rec_fail(err, REC_RANGE,
                        "llm_explain: the item must be an object with its fields");
    bool is_list = json_is_array(p->user);
    if (p->user && !is_list && !json_is_object(p->user))
        return rec_fail(err, REC_RANGE,
                        "llm_explain: the user must be an object with query and "
                        "history, or a list of "
                        "what they had");
    const json *history = is_list ? p->user : json_get(p->user, "history");
    json *item = json_copy(p->item);
    p->list = json_new_array();
    p->options = a->options ? NULL : json_new_object();
    if (a->options)
        st = parse("options", a->options, strlen(a->options), &p->options, err);
    if (!st && !json_is_object(p->options))
        st = rec_fail(err, REC_RANGE, "llm_explain: options must be an object");
    bool ok = json_get(p->item, "id") || json_set(item, "id", json_new_int(1));
    if (ok && history && !json_is_null(history) && !json_get(p->options, "history"))
        ok = !st && json_set(p->options, "history", json_copy(history));
    ok = json_push(p->list, item) && ok;
    return st || ok ? st : rec_nomem(err);
}

/* "Nosferatu: 1922, Horror": the record's own short fields. */
static char *plain_sentence(const json *item) {
    const char *title = json_text(json_get(item, "title"));
    bytes_writer w = {0};
    size_t n = 0;
    bytes_puts(&w, title ? title : "This item");
    for (const json *f = json_first(item); f && n < MAX_PLAIN_FIELDS;
         f = json_next(f)) {
        const char *name = json_key(f), *s = json_text(f);
        bool is_own =
            !strcmp(name, "id") || !strcmp(name, "title") || !strcmp(name, "score");
        if (is_own || (!s && !json_is_number(f)) || (s && strlen(s) > MAX_PLAIN_BYTES))
            continue;
        bytes_printf(&w, "%s%s ", n++ ? ", " : ": ", name);
        if (s)
            bytes_puts(&w, s);
        else
            bytes_printf(&w, "%.12g", json_number(f, 0));
    }
    bytes_puts(&w, "");
    return bytes_take_text(&w);
}

rec_status llm_explain(llm_session *s, const explain_args *a, char **out,
                       rec_err *err) {
    pair p = {0};
    rerank_result r = {0};
    char *list = NULL, *options = NULL;
    *out = NULL;
    rec_status st = read_pair(a, &p, err);
    const char *query = request_of(p.user);
    if (!st) list = json_print(p.list), options = json_print(p.options);
    if (!st && (!list || !options)) st = rec_nomem(err);
    if (!st)
        st = llm_rerank(s, query, query ? strlen(query) : 0, list, strlen(list),
                        options, &r, err);
    if (!st) {
        bool speaks = r.n && r.row[0].grounded && r.row[0].why;
        *out = speaks ? rec_strdup(r.row[0].why) : plain_sentence(p.item);
        if (!*out) st = rec_nomem(err);
    }
    rerank_result_clear(&r);
    rec_free(list);
    rec_free(options);
    pair_clear(&p);
    return st;
}

rec_status llm_explain_request(llm_session *s, const explain_args *a, char **out,
                               rec_err *err) {
    pair p = {0};
    *out = NULL;
    rec_status st = read_pair(a, &p, err);
    const char *query = request_of(p.user);
    char *list = st ? NULL : json_print(p.list),
         *options = st ? NULL : json_print(p.options);
    if (!st && (!list || !options)) st = rec_nomem(err);
    if (!st)
        st = llm_rerank_request(s, query, query ? strlen(query) : 0, list, strlen(list),
                                options, out, err);
    rec_free(list);
    rec_free(options);
    pair_clear(&p);
    return st;
}
