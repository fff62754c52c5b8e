/* rewrite_check.c - what a model made of a sentence, laid over what the rules found, through the catalogue.
 *
 *     answer --> facet exists? --> number: follows from the words?     --> filters
 *                              +-> text: in the vocabulary? snap it    --> filters
 *            --> exclusions: spoken of?   titles: in the catalogue?    --> exclude, like_items
 *
 * V1. A value of a text facet is snapped to the catalogue's vocabulary (letter case, accents, plural, synonym)
 *     or dropped.
 * V2. A number must follow from the words: it occurs in them, is one beside a number that does ("after 2005"),
 *     a bound of a decade that they name, or the same in minutes or thousands. On a facet where the rules found a
 *     bound, the model's is dropped.
 * V3. What the rules exclude stays excluded; what the model excludes must be spoken of in the words.
 * V4. A liked item is one of the catalogue whose title the model gave, spelled as the catalogue has it or
 *     nearly.
 * V5. Unknown facets, operators and types are dropped, never repaired by guessing.
 */
#include "llm.h"

#include <math.h>

#define MAX_LIST         10
#define MAX_PHRASE_CHARS 60
#define MAX_QUERY_CHARS  300
#define MAX_NUMBERS      64
#define LIKE_MIN_SCORE   0.9

typedef struct words {        /* what was said, now and before, and the numbers in it */
    const rewrite_text *text; /* borrowed */
    size_t n;
    double number[MAX_NUMBERS];
    size_t n_number;
} words;

static void words_read(words *w, const rewrite_text *said, size_t n_said) {
    *w = (words){.text = said, .n = n_said};
    for (size_t t = 0; t < n_said; t++)
        for (size_t i = 0; i < said[t].nbyte && w->n_number < MAX_NUMBERS;) {
            const char *s = said[t].text + i;
            double x;
            size_t n =
                *s >= '0' && *s <= '9' ? rec_parse_number(s, said[t].nbyte - i, &x) : 0;
            if (n) w->number[w->n_number++] = x;
            i += n ? n : 1;
        }
}

/* V2. */
static bool follows(const words *w, double x) {
    for (size_t i = 0; i < w->n_number; i++) {
        double n = w->number[i], base[] = {n, n * 60, n * 1000, 1900 + n, 2000 + n};
        size_t n_base = n < 100 && n == floor(n / 10) * 10 ? 5 : 3; /* 90s */
        for (size_t k = 0; k < n_base; k++)
            if (fabs(x - base[k]) <= 1 || (fmod(base[k], 10) == 0 && x == base[k] + 9))
                return true;
    }
    return false;
}

/* V3: is a word of the phrase among the words? */
static bool spoken_of(const words *w, const char *phrase) {
    tokenizer t, u;
    token a, b;
    tokenizer_start(&t, phrase, strlen(phrase), true);
    while (tokenizer_next(&t, &a)) {
        if (a.is_stop) continue;
        for (size_t i = 0; i < w->n; i++) {
            tokenizer_start(&u, w->text[i].text, w->text[i].nbyte, true);
            while (tokenizer_next(&u, &b))
                if (a.n_text == b.n_text && memcmp(a.text, b.text, a.n_text) == 0)
                    return true;
        }
    }
    return false;
}

static const facet_cond *cond_find(const filters *f, const char *name) {
    for (size_t i = 0; i < f->n_cond; i++)
        if (strcmp(f->cond[i].name, name) == 0) return &f->cond[i];
    return NULL;
}

/* V1: the catalogue's spelling of a value, or NULL. */
static const char *snap_value(const catalog *c, size_t facet, const char *value,
                              size_t *nbyte) {
    char want[FACET_MAX_VALUE], have[FACET_MAX_VALUE];
    size_t n = facet_fold(want, value, strlen(value));
    for (size_t v = 0; v < facet_n_values(c, facet); v++) {
        const char *s = facet_value(c, facet, (uint32_t)v, nbyte);
        if (facet_fold(have, s, *nbyte) == n && memcmp(have, want, n) == 0) return s;
    }
    vocab_phrase p = {0};
    tokenizer t;
    token tok;
    tokenizer_start(&t, value, strlen(value), false);
    while (tokenizer_next(&t, &tok)) vocab_phrase_add(&p, &tok);
    const vocab_entry *e = NULL;
    size_t n_entry = catalog_vocabulary(c) && !p.is_full
                         ? vocabulary_match(catalog_vocabulary(c), &p, &e)
                         : 0;
    for (size_t i = 0; i < n_entry; i++)
        if (e[i].facet == facet && e[i].rank != VOCAB_PART &&
            e[i].rank != VOCAB_SURNAME)
            return facet_value(c, facet, e[i].value, nbyte);
    return NULL;
}

typedef struct checking {
    const catalog *c;
    const words *said;
    const query_request *rules;
    query_request *out;
} checking;

static rec_status take_number(const checking *k, const char *facet, const char *op,
                              double x, rec_err *err) {
    const facet_cond *rule = cond_find(&k->rules->filters, facet);
    if (rule && (rule->has_min || rule->has_max || rule->n_any))
        return REC_OK; /* the rules win */
    if (!follows(k->said, x)) return REC_OK;
    facet_cond *c = filters_at(&k->out->filters, facet, err);
    if (!c) return rec_nomem(err);
    if (strcmp(op, "min") == 0)
        c->has_min = true, c->min = x;
    else if (strcmp(op, "max") == 0)
        c->has_max = true, c->max = x;
    else {
        char text[40];
        rec_format(text, sizeof text, "%.15g", x);
        return request_add_value(c, op[0] == 'n' ? 'n' : 'a', text, err);
    }
    return REC_OK;
}

static rec_status take_value(const checking *k, size_t facet, const char *op,
                             const char *value, rec_err *err) {
    size_t n;
    const char *s = snap_value(k->c, facet, value, &n), *name = facet_name(k->c, facet);
    if (!s || op[0] == 'm') return REC_OK;
    char *v = rec_strndup(s, n);
    facet_cond *c = v ? filters_at(&k->out->filters, name, err) : NULL;
    rec_status st = c ? REC_OK : rec_nomem(err);
    bool is_none = strcmp(op, "none") == 0;
    if (!st && is_none && !request_list_has(c->any, c->n_any, v) &&
        !request_list_has(c->all, c->n_all, v))
        st = request_add_value(c, 'n', v, err);
    else if (!st && !is_none && !request_list_has(c->none, c->n_none, v)) /* V3 */
        st = request_add_value(c, strcmp(op, "all") == 0 ? 'l' : 'a', v, err);
    rec_free(v);
    return st;
}

static bool is_op(const char *op) {
    static const char *const ops[] = {"any", "all", "none", "min", "max"};
    for (int i = 0; i < 5; i++)
        if (strcmp(op, ops[i]) == 0) return true;
    return false;
}

/* One condition: a text or a number, on a facet that exists (V5). */
static rec_status take_condition(const checking *k, const char *facet, const char *op,
                                 const json *v, rec_err *err) {
    int f =
        k->c && facet && op && is_op(op) ? facet_find(k->c, facet, strlen(facet)) : -1;
    if (f < 0) return REC_OK;
    const char *s = json_text(v);
    double x = json_number(v, 0);
    bool is_number = json_is_number(v) || (s && text_whole_number(s, strlen(s), &x));
    if (facet_kind(k->c, (size_t)f) == FACET_NUMBER)
        return is_number ? take_number(k, facet_name(k->c, (size_t)f), op, x, err)
                         : REC_OK;
    return s ? take_value(k, (size_t)f, op, s, err) : REC_OK;
}

/* Filters as a list of conditions (what we ask for) or as the object of SQL.md (what some give). */
static rec_status take_filters(const checking *k, const json *f, rec_err *err) {
    rec_status st = REC_OK;
    for (const json *e = json_first(f); e && !st; e = json_next(e)) {
        if (json_is_array(f)) {
            st =
                take_condition(k, json_text(json_get(e, "facet")),
                               json_text(json_get(e, "op")), json_get(e, "value"), err);
            continue;
        }
        for (const json *op = json_first(e); op && !st; op = json_next(op)) {
            if (!json_is_array(op))
                st = take_condition(k, json_key(e), json_key(op), op, err);
            for (const json *v = json_is_array(op) ? json_first(op) : NULL; v && !st;
                 v = json_next(v))
                st = take_condition(k, json_key(e), json_key(op), v, err);
        }
    }
    return st;
}

static rec_status take_phrases(const checking *k, const json *list, text_list *out,
                               bool must_be_said, rec_err *err) {
    rec_status st = REC_OK;
    for (const json *e = json_is_array(list) ? json_first(list) : NULL;
         e && !st && out->n < MAX_LIST; e = json_next(e)) {
        const char *s = json_text(e);
        if (!s || (must_be_said && !spoken_of(k->said, s))) continue;
        char *clean = prompt_clean(s, strlen(s), MAX_PHRASE_CHARS);
        if (!clean) return rec_nomem(err);
        if (*clean && !request_list_has(out->a, out->n, clean))
            st = text_list_add(out, clean, strlen(clean), err);
        rec_free(clean);
    }
    return st;
}

/* V4. */
static rec_status take_likes(const checking *k, const json *list, rec_err *err) {
    rec_status st = REC_OK;
    for (const json *e = json_is_array(list) ? json_first(list) : NULL;
         e && !st && k->c; e = json_next(e)) {
        const char *s = json_text(e);
        title_hit hit;
        size_t n = 0;
        if (!s || k->out->n_like >= MAX_LIST) continue;
        st = query_find_titles(s, strlen(s), k->c, &hit, 1, &n, err);
        if (!st && n && hit.score >= LIKE_MIN_SCORE)
            st = request_add_like(k->out, hit.item, err);
    }
    return st;
}

static rec_status take_text(char **out, const json *v, size_t max_chars, rec_err *err) {
    const char *s = json_text(v);
    char *clean = s ? prompt_clean(s, strlen(s), max_chars) : NULL;
    if (s && !clean) return rec_nomem(err);
    if (!clean || !*clean) {
        rec_free(clean);
        return REC_OK;
    }
    rec_free(*out);
    *out = clean;
    return REC_OK;
}

static rec_status take_rest(const checking *k, const json *a, rec_err *err) {
    query_request *q = k->out;
    query_intent_from_name(json_text(json_get(a, "intent")), &q->intent);
    double confidence = json_number(json_get(a, "confidence"), q->confidence);
    q->confidence = isfinite(confidence) ? fmin(1, fmax(0, confidence)) : q->confidence;
    char *question = NULL;
    rec_status st = take_text(&question, json_get(a, "question"), MAX_QUERY_CHARS, err);
    if (!st && json_truth(json_get(a, "needs_clarification"), false) && question) {
        rec_free(q->question);
        q->question = question, q->needs_clarification = true;
        question = NULL;
    } else if (!st && json_is_bool(json_get(a, "needs_clarification"))) {
        q->needs_clarification = false;
        rec_free(q->question);
        q->question = NULL;
    }
    rec_free(question);
    return st;
}

rec_status rewrite_check(const json *a, const rewrite_text *said, size_t n_said,
                         const catalog *c, query_request *out,
                         const query_request *rules, rec_err *err) {
    words w;
    if (!json_is_object(a))
        return rec_fail(err, REC_NET, "the answer is not an object");
    words_read(&w, said, n_said);
    checking k = {c, &w, rules, out};
    rec_status st = take_text(&out->query, json_get(a, "query"), MAX_QUERY_CHARS, err);
    text_list expansions = {0};
    if (!st) st = take_phrases(&k, json_get(a, "expansions"), &expansions, false, err);
    if (!st && expansions.n) {
        text_list_clear(&out->expansions);
        out->expansions = expansions, expansions = (text_list){0};
    }
    text_list_clear(&expansions);
    if (!st) st = take_filters(&k, json_get(a, "filters"), err);
    if (!st) st = take_phrases(&k, json_get(a, "exclude"), &out->exclude, true, err);
    const json *like = json_get(a, "like");
    if (!st) st = take_likes(&k, like ? like : json_get(a, "like_items"), err);
    return st ? st : take_rest(&k, a, err);
}
