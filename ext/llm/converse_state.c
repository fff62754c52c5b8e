/* converse_state.c - what a conversation has come to, as JSON that the caller keeps.
 *
 *   {"format": "rec-converse-1", "model": "reader", "turn": 2,
 *    "said":  [{"kind": "value", "facet": "genres", "value": "Comedy", "weight": 0.6, "group": 1, "answer": true},
 *              {"kind": "range", "facet": "year", "min": 1990, "max": 1999, ...},
 *              {"kind": "word", "value": "robot", ...}, {"kind": "item", "item": 318, ...}],
 *    "liked": [keys], "disliked": [keys], "rejected": [keys], "shown": [keys], "last": [keys],
 *    "asked": ["facet:genres"], "pending": {"kind": "facet", "facet": "genres", "options": [...]} or null,
 *    "given": {"user": 42, "filters": {...}, "k": 5}}
 *
 * The function keeps nothing, so this is all there is; and since it went through the caller's hands, nothing of it is
 * believed. It has a size, a depth (json.c) and a format; every list has a cap, every number a range.
 *
 * Invariants
 *  I1  A state that was not written here, was cut or has a value of the wrong type is REC_RANGE with a message that
 *      says which; what the caller holds is untouched by that.
 *  I2  Keys that the catalogue no longer has, and facets that the model no longer has, are passed over: a model may be
 *      retrained between turns.
 *  I3  A first state, with keys of the options alone, is taken as `given`.
 *
 * Cost: linear in the state, but for lists of items, O(shown^2) worst, which is a few hundred.
 */
#include "converse.h"

#include <math.h>

#define FORMAT "rec-converse-1"

/* ---- lists of items ---------------------------------------------------------------------------- */

bool item_list_has(const item_list *l, uint32_t item) {
    for (size_t i = 0; i < l->n; i++)
        if (l->a[i] == item) return true;
    return false;
}

rec_status item_list_add(item_list *l, uint32_t item, rec_err *err) {
    if (item_list_has(l, item)) return REC_OK;
    rec_status s = rec_grow(&l->a, &l->cap, l->n + 1, sizeof *l->a, err);
    if (s == REC_OK) l->a[l->n++] = item;
    return s;
}

void item_list_remove(item_list *l, uint32_t item) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->a[i] != item) l->a[n++] = l->a[i];
    l->n = n;
}

static void item_list_clear(item_list *l) {
    rec_free(l->a);
    *l = (item_list){0};
}

/* ---- the state in memory --------------------------------------------------------------------------- */

void ask_clear(ask *a) {
    for (size_t i = 0; i < a->n; i++) rec_free(a->option[i].value);
    *a = (ask){.facet = -1};
}

static void forget(talk *t) {
    for (size_t i = 0; i < t->n_said; i++) rec_free(t->said[i].value);
    t->n_said = 0;
    text_list_clear(&t->asked);
    ask_clear(&t->pending);
    item_list_clear(&t->liked);
    item_list_clear(&t->disliked);
    item_list_clear(&t->last);
}

void talk_start_over(talk *t) {
    forget(t);
}

void talk_clear(talk *t) {
    forget(t);
    rec_free(t->said);
    item_list_clear(&t->shown);
    item_list_clear(&t->rejected);
    json_delete(t->given);
    *t = (talk){0};
}

void talk_unsay(talk *t, size_t i) {
    rec_free(t->said[i].value);
    memmove(&t->said[i], &t->said[i + 1], (--t->n_said - i) * sizeof *t->said);
}

size_t talk_unsay_facet(talk *t, int facet) {
    size_t n = 0;
    for (size_t i = t->n_said; i-- > 0;) {
        const said *s = &t->said[i];
        if ((s->kind != SAID_VALUE && s->kind != SAID_RANGE) || s->facet != facet)
            continue;
        talk_unsay(t, i);
        n++;
    }
    return n;
}

int talk_new_group(const talk *t) {
    int most = 0;
    for (size_t i = 0; i < t->n_said; i++)
        if (t->said[i].group > most) most = t->said[i].group;
    return most + 1;
}

/* Are two statements on the same thing? Ranges of one facet are, whatever their bounds. */
static bool same_thing(const said *a, const said *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == SAID_ITEM) return a->item == b->item;
    if (a->kind == SAID_RANGE)
        return a->facet == b->facet && (a->weight > 0) == (b->weight > 0) &&
               a->group != b->group;
    if (a->kind == SAID_VALUE && a->facet != b->facet) return false;
    return strcmp(a->value, b->value) == 0;
}

rec_status talk_say(talk *t, said s, rec_err *err) {
    for (size_t i = t->n_said; i-- > 0;)
        if (same_thing(&t->said[i], &s)) talk_unsay(t, i);
    if (t->n_said == CONVERSE_MAX_SAID) talk_unsay(t, 0); /* the oldest goes */
    rec_status st =
        rec_grow(&t->said, &t->cap_said, t->n_said + 1, sizeof *t->said, err);
    if (st == REC_OK)
        t->said[t->n_said++] = s;
    else
        rec_free(s.value);
    return st;
}

static size_t asked_name(const char *what, const char *name, char *out, size_t cap) {
    return rec_format(out, cap, "%s:%s", what, name);
}

bool talk_was_asked(const talk *t, const char *what, const char *name) {
    char text[FACET_MAX_VALUE + 16];
    asked_name(what, name, text, sizeof text);
    return request_list_has(t->asked.a, t->asked.n, text);
}

rec_status talk_mark_asked(talk *t, const char *what, const char *name, rec_err *err) {
    char text[FACET_MAX_VALUE + 16];
    size_t n = asked_name(what, name, text, sizeof text);
    if (talk_was_asked(t, what, name)) return REC_OK;
    if (t->asked.n == CONVERSE_MAX_ASKED) return REC_OK; /* converse_ask stops there */
    return text_list_add(&t->asked, text, n, err);
}

/* ---- writing -------------------------------------------------------------------------------------------- */

json *catalog_key_json(const catalog *c, uint32_t item) {
    rec_key k = catalog_key(c, item);
    return k.is_text ? json_new_text(k.text, k.n_text) : json_new_int(k.i);
}

static json *items_to_json(const item_list *l, const catalog *c) {
    json *a = json_new_array();
    bool ok = a != NULL;
    for (size_t i = 0; i < l->n && ok; i++)
        ok = json_push(a, catalog_key_json(c, l->a[i]));
    if (ok) return a;
    json_delete(a);
    return NULL;
}

static json *text_json(const char *s) {
    return json_new_text(s, strlen(s));
}

static bool put_bounds(json *o, double min, double max) {
    bool ok = true;
    if (isfinite(min)) ok = json_set(o, "min", json_new_number(min));
    if (isfinite(max)) ok = json_set(o, "max", json_new_number(max)) && ok;
    return ok;
}

static const char *const kind_names[] = {"value", "range", "word", "item"};

static json *said_to_json(const said *s, const catalog *c) {
    json *o = json_new_object();
    bool ok = json_set(o, "kind", text_json(kind_names[s->kind]));
    if (s->kind == SAID_VALUE || s->kind == SAID_RANGE)
        ok = ok && json_set(o, "facet", text_json(facet_name(c, (size_t)s->facet)));
    if (s->value) ok = ok && json_set(o, "value", text_json(s->value));
    if (s->kind == SAID_RANGE) ok = ok && put_bounds(o, s->min, s->max);
    if (s->kind == SAID_ITEM)
        ok = ok && json_set(o, "item", catalog_key_json(c, s->item));
    ok = ok && json_set(o, "weight", json_new_number(s->weight)) &&
         json_set(o, "group", json_new_int(s->group)) &&
         json_set(o, "answer", json_new_bool(s->is_answer));
    if (ok) return o;
    json_delete(o);
    return NULL;
}

static const char *const ask_names[] = {"none", "facet", "words", "pair", "relax"};

static json *option_to_json(const ask *a, const ask_option *p, const catalog *c) {
    json *o = json_new_object();
    bool ok = json_set(o, "value", text_json(p->value)) &&
              json_set(o, "count", json_new_int((int64_t)p->count)) &&
              put_bounds(o, p->min, p->max);
    if (a->kind == ASK_PAIR)
        ok = ok && json_set(o, "item", catalog_key_json(c, p->item));
    if (ok) return o;
    json_delete(o);
    return NULL;
}

static json *ask_to_json(const ask *a, const catalog *c) {
    if (a->kind == ASK_NONE) return json_new_null();
    json *o = json_new_object(), *list = json_new_array();
    bool ok = json_set(o, "kind", text_json(ask_names[a->kind]));
    if (a->facet >= 0)
        ok = ok && json_set(o, "facet", text_json(facet_name(c, (size_t)a->facet)));
    if (a->kind == ASK_RELAX) ok = ok && json_set(o, "group", json_new_int(a->group));
    for (size_t i = 0; i < a->n && ok; i++)
        ok = json_push(list, option_to_json(a, &a->option[i], c));
    ok = json_set(o, "options", list) && ok;
    if (ok) return o;
    json_delete(o);
    return NULL;
}

json *talk_to_json(const talk *t, const char *model, const catalog *c) {
    json *o = json_new_object(), *list = json_new_array(), *asked = json_new_array();
    bool ok = list && asked;
    ok = json_set(o, "format", text_json(FORMAT)) && ok;
    ok = ok && json_set(o, "model", text_json(model)) &&
         json_set(o, "turn", json_new_int(t->turn));
    for (size_t i = 0; i < t->n_said && ok; i++)
        ok = json_push(list, said_to_json(&t->said[i], c));
    ok = json_set(o, "said", list) && ok;
    ok = ok && json_set(o, "liked", items_to_json(&t->liked, c)) &&
         json_set(o, "disliked", items_to_json(&t->disliked, c)) &&
         json_set(o, "rejected", items_to_json(&t->rejected, c)) &&
         json_set(o, "shown", items_to_json(&t->shown, c)) &&
         json_set(o, "last", items_to_json(&t->last, c));
    for (size_t i = 0; i < t->asked.n && ok; i++)
        ok = json_push(asked, text_json(t->asked.a[i]));
    ok = json_set(o, "asked", asked) && ok;
    ok = ok && json_set(o, "pending", ask_to_json(&t->pending, c));
    if (t->given) ok = ok && json_set(o, "given", json_copy(t->given));
    if (ok) return o;
    json_delete(o);
    return NULL;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static rec_status bad(rec_err *err, const char *what) {
    return rec_fail(err, REC_RANGE,
                    "llm_converse: the state is damaged: %s; pass the `state` of the "
                    "last answer as it was, or NULL to begin",
                    what);
}

static uint32_t find_key(const catalog *c, const json *j) {
    int64_t i;
    rec_key k = {0};
    if (json_is_string(j)) {
        k = (rec_key){.is_text = true, .text = json_text(j)};
        k.n_text = strlen(k.text);
    } else if (json_int64(j, &i)) {
        k.i = i;
    } else {
        return KEYS_NONE;
    }
    return catalog_find(c, &k);
}

static rec_status read_items(const json *o, const char *name, const catalog *c,
                             item_list *out, rec_err *err) {
    const json *list = json_get(o, name);
    rec_status s = REC_OK;
    if (!list || !json_is_array(list) || json_count(list) > CONVERSE_MAX_ITEMS)
        return bad(err, "a list of items is missing or too long");
    uint8_t *seen = rec_zeros(catalog_n_items(c), 1);
    if (!seen) return rec_nomem(err);
    for (const json *e = json_first(list); e && s == REC_OK; e = json_next(e)) {
        if (!json_is_string(e) && !json_is_number(e)) {
            s = bad(err, "an item key is neither a number nor a text");
            break;
        }
        uint32_t item = find_key(c, e);
        if (item == KEYS_NONE || seen[item]) continue; /* I2 */
        seen[item] = 1;
        s = rec_grow(&out->a, &out->cap, out->n + 1, sizeof *out->a, err);
        if (s == REC_OK) out->a[out->n++] = item;
    }
    rec_free(seen);
    return s;
}

static int name_index(const char *name, const char *const *names, int n) {
    for (int i = 0; name && i < n; i++)
        if (strcmp(name, names[i]) == 0) return i;
    return -1;
}

/* A whole number of 0..most. */
static bool small_number(const json *j, int64_t most, int *out) {
    int64_t i;
    if (!json_is_number(j) || !json_int64(j, &i) || i < 0 || i > most) return false;
    *out = (int)i;
    return true;
}

static bool read_bounds(const json *o, double *min, double *max) {
    const json *lo = json_get(o, "min"), *hi = json_get(o, "max");
    if ((lo && !json_is_number(lo)) || (hi && !json_is_number(hi))) return false;
    *min = json_number(lo, -INFINITY);
    *max = json_number(hi, INFINITY);
    return *min <= *max;
}

static int find_facet(const catalog *c, const json *o) {
    const char *name = json_text(json_get(o, "facet"));
    return name ? facet_find(c, name, strlen(name)) : -1;
}

static rec_status read_said(const json *o, const catalog *c, talk *t, rec_err *err) {
    said s = {.facet = -1, .item = KEYS_NONE};
    const char *value = json_text(json_get(o, "value"));
    int kind = name_index(json_text(json_get(o, "kind")), kind_names, 4);
    const json *weight = json_get(o, "weight"), *answer = json_get(o, "answer");
    if (!json_is_object(o) || kind < 0 || !json_is_number(weight) ||
        !json_is_bool(answer) ||
        !small_number(json_get(o, "group"), INT_MAX - 1, &s.group))
        return bad(err, "an entry of `said` has a missing or wrong key");
    s.kind = (said_kind)kind;
    s.weight = json_number(weight, 0);
    s.is_answer = json_truth(answer, true);
    if (!(s.weight >= -1 && s.weight <= 1) || s.weight == 0)
        return bad(err, "a weight of `said` is not within -1..1");
    if (kind == SAID_RANGE && !read_bounds(o, &s.min, &s.max))
        return bad(err, "the bounds of a range contradict each other");
    if ((kind == SAID_VALUE || kind == SAID_WORD) &&
        (!value || !*value || strlen(value) > FACET_MAX_VALUE))
        return bad(err, "an entry of `said` has no value");
    if (kind == SAID_ITEM) s.item = find_key(c, json_get(o, "item"));
    if (kind == SAID_VALUE || kind == SAID_RANGE) s.facet = find_facet(c, o);
    bool is_gone = kind == SAID_ITEM ? s.item == KEYS_NONE
                   : kind == SAID_WORD
                       ? false
                       : s.facet < 0 || (facet_kind(c, (size_t)s.facet) ==
                                         FACET_NUMBER) != (kind == SAID_RANGE);
    if (is_gone) return REC_OK; /* I2 */
    if (value && kind != SAID_RANGE && kind != SAID_ITEM &&
        !(s.value = rec_strdup(value)))
        return rec_nomem(err);
    return talk_say(t, s, err);
}

static rec_status read_pending(const json *o, const catalog *c, talk *t, rec_err *err) {
    ask *a = &t->pending;
    a->facet = -1;
    if (!o || json_is_null(o)) return REC_OK;
    int kind = name_index(json_text(json_get(o, "kind")), ask_names, 5);
    const json *list = json_get(o, "options");
    if (!json_is_object(o) || kind <= ASK_NONE || !json_is_array(list) ||
        json_count(list) > CONVERSE_MAX_OPTIONS)
        return bad(err, "`pending` is no question");
    a->kind = (ask_kind)kind;
    a->facet = find_facet(c, o);
    if (kind == ASK_RELAX &&
        !small_number(json_get(o, "group"), INT_MAX - 1, &a->group))
        return bad(err, "`pending` has no group");
    for (const json *e = json_first(list); e; e = json_next(e)) {
        const char *value = json_text(json_get(e, "value"));
        int count;
        ask_option p = {.item = KEYS_NONE};
        if (!value || strlen(value) > FACET_MAX_VALUE ||
            !small_number(json_get(e, "count"), INT_MAX - 1, &count) ||
            !read_bounds(e, &p.min, &p.max))
            return bad(err, "an option of `pending` has a missing or wrong key");
        p.count = (size_t)count;
        if (kind == ASK_PAIR) p.item = find_key(c, json_get(e, "item"));
        if (!(p.value = rec_strdup(value))) return rec_nomem(err);
        a->option[a->n++] = p;
    }
    /* The facet is gone, or an item of the pair: the question lapses. */
    bool is_gone = kind == ASK_FACET && a->facet < 0;
    for (size_t i = 0; kind == ASK_PAIR && i < a->n; i++)
        if (a->option[i].item == KEYS_NONE) is_gone = true;
    if (is_gone) ask_clear(a);
    return REC_OK;
}

static rec_status read_lists(const json *o, const catalog *c, talk *t, rec_err *err) {
    const json *list = json_get(o, "said"), *asked = json_get(o, "asked");
    if (!json_is_array(list) || json_count(list) > CONVERSE_MAX_SAID ||
        !json_is_array(asked) || json_count(asked) > CONVERSE_MAX_ASKED)
        return bad(err, "`said` or `asked` is missing or too long");
    rec_status s = REC_OK;
    for (const json *e = json_first(list); e && s == REC_OK; e = json_next(e))
        s = read_said(e, c, t, err);
    for (const json *e = json_first(asked); e && s == REC_OK; e = json_next(e)) {
        const char *text = json_text(e);
        if (!text || strlen(text) > FACET_MAX_VALUE + 8)
            return bad(err, "`asked` holds something that is no text");
        s = text_list_add(&t->asked, text, strlen(text), err);
    }
    return s;
}

static rec_status read_state(const json *o, const char *model, const catalog *c,
                             talk *t, rec_err *err) {
    const char *format = json_text(json_get(o, "format")),
               *of = json_text(json_get(o, "model"));
    if (!format || strcmp(format, FORMAT) != 0)
        return rec_fail(err, REC_RANGE,
                        "llm_converse: the state has the format '%.40s', expected '%s'",
                        format ? format : "", FORMAT);
    if (!of || strcmp(of, model) != 0)
        return rec_fail(err, REC_RANGE,
                        "llm_converse: the state is of the model '%.80s', not of '%s'",
                        of ? of : "", model);
    if (!small_number(json_get(o, "turn"), CONVERSE_MAX_TURNS, &t->turn))
        return bad(err, "`turn` is no number of turns");
    rec_status s = read_lists(o, c, t, err);
    if (s == REC_OK) s = read_items(o, "liked", c, &t->liked, err);
    if (s == REC_OK) s = read_items(o, "disliked", c, &t->disliked, err);
    if (s == REC_OK) s = read_items(o, "rejected", c, &t->rejected, err);
    if (s == REC_OK) s = read_items(o, "shown", c, &t->shown, err);
    if (s == REC_OK) s = read_items(o, "last", c, &t->last, err);
    if (s == REC_OK) s = read_pending(json_get(o, "pending"), c, t, err);
    const json *given = json_get(o, "given");
    if (s == REC_OK && given && !json_is_object(given))
        s = bad(err, "`given` is no object");
    if (s == REC_OK && given && !(t->given = json_copy(given))) s = rec_nomem(err);
    return s;
}

rec_status talk_from_json(const char *text, size_t nbyte, const char *model,
                          const catalog *c, talk *out, rec_err *err) {
    rec_err why = {0};
    *out = (talk){.pending = {.facet = -1}};
    if (!text) return REC_OK;
    if (nbyte > CONVERSE_MAX_STATE)
        return rec_fail(err, REC_RANGE,
                        "llm_converse: a state of %zu bytes, at most %zu", nbyte,
                        CONVERSE_MAX_STATE);
    json *o = json_parse(text, nbyte, &why);
    if (!o && why.code == REC_NOMEM) return rec_nomem(err);
    if (!o)
        return rec_fail(err, REC_RANGE, "llm_converse: the state is not JSON: %s",
                        why.msg);
    rec_status s = REC_OK;
    if (!json_is_object(o))
        s = bad(err, "it is no object");
    else if (json_get(o, "format") || json_get(o, "turn") || json_get(o, "said"))
        s = read_state(o, model, c, out, err);
    else if (!(out->given = json_copy(o))) /* I3 */
        s = rec_nomem(err);
    json_delete(o);
    return s;
}
