/* converse_hear.c - what an utterance means in the state of the conversation.
 *
 *   "Not those. A bit older, and nothing with ghosts - more like the second one."
 *     Not those                    what was shown last is rejected
 *     A bit older                  year: below what was shown
 *     nothing with ghosts          word ghosts, against
 *     more like the second one     an item, for
 *
 * An utterance is read sentence by sentence. First come the moves that only a conversation has: start over, a
 * reference to something shown ("the second one"), rejection, relaxing and comparing, an answer in the words of the
 * options. What no move took goes to the rules that read requests (query_parse), or to a model through llm_rewrite when
 * one is configured; both return values of the catalogue only.
 *
 * Invariants
 *  H1  Any bytes are read; nothing but the state changes; a sentence that says nothing changes nothing.
 *  H2  What the reader says unasked is a demand (is_answer false); what answers the pending question is soft evidence.
 *  H3  What was not picked of offered options is weak evidence against it, for people list what matters.
 *
 * Cost: one query_parse a sentence, at most MAX_SENTENCES.
 */
#include "converse.h"

#include <math.h>

#define MAX_SENTENCES  16
#define MAX_WORDS_SAID 6

/* Words folded, one blank between and around. */
char *hearing_words(const char *s, size_t n) {
    bytes_writer w = {0};
    tokenizer tk;
    token t;
    tokenizer_start(&tk, s, n, false);
    bytes_puts(&w, " ");
    while (tokenizer_next(&tk, &t)) {
        bytes_put(&w, t.text, t.n_text);
        bytes_puts(&w, " ");
    }
    return bytes_take_text(&w);
}

bool hearing_has(const hearing *x, const char *phrase) {
    size_t n = strlen(phrase);
    for (const char *p = x->words; (p = strstr(p, phrase)); p++)
        if (p[-1] == ' ' && p[n] == ' ') return true;
    return false;
}

bool hearing_has_any(const hearing *x, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (hearing_has(x, list[i])) return true;
    return false;
}

static bool is_all(const hearing *x, const char *phrase) {
    size_t n = strlen(phrase);
    return strncmp(x->words + 1, phrase, n) == 0 && strcmp(x->words + 1 + n, " ") == 0;
}

static size_t count_words(const hearing *x) {
    size_t n = 0;
    for (const char *p = x->words + 1; *p; p++) n += *p == ' ';
    return n;
}

/* ---- saying ------------------------------------------------------------------------------------- */

rec_status hearing_say_text(hearing *x, said_kind kind, int facet, const char *value,
                            double weight, int group, bool is_answer) {
    said s = {.kind = kind,
              .facet = facet,
              .value = rec_strdup(value),
              .item = KEYS_NONE,
              .weight = weight,
              .group = group,
              .is_answer = is_answer};
    x->h->changed = true;
    return s.value ? talk_say(x->t, s, x->err) : rec_nomem(x->err);
}

rec_status hearing_say_range(hearing *x, int facet, double min, double max,
                             double weight, int group, bool is_answer) {
    x->h->changed = true;
    return talk_say(x->t,
                    (said){.kind = SAID_RANGE,
                           .facet = facet,
                           .min = min,
                           .max = max,
                           .item = KEYS_NONE,
                           .weight = weight,
                           .group = group,
                           .is_answer = is_answer},
                    x->err);
}

rec_status hearing_say_item(hearing *x, uint32_t item, double weight) {
    item_list *to = weight > 0 ? &x->t->liked : &x->t->disliked,
              *from = weight > 0 ? &x->t->disliked : &x->t->liked;
    item_list_remove(from, item);
    x->h->changed = true;
    rec_status s = item_list_add(to, item, x->err);
    if (s != REC_OK) return s;
    return talk_say(x->t,
                    (said){.kind = SAID_ITEM,
                           .facet = -1,
                           .item = item,
                           .weight = weight,
                           .group = talk_new_group(x->t)},
                    x->err);
}

/* ---- something shown ---------------------------------------------------------------------------------- */

/* Which of the list: "the second one", "number 2". n: how many there are. */
static size_t find_ordinal(const hearing *x, size_t n) {
    static const char *const names[][2] = {
        {"first", "1st"}, {"second", "2nd"}, {"third", "3rd"},   {"fourth", "4th"},
        {"fifth", "5th"}, {"sixth", "6th"},  {"seventh", "7th"}, {"eighth", "8th"},
        {"ninth", "9th"}, {"tenth", "10th"}, {"last", "final"}};
    char text[40];
    for (size_t i = 0; i < 11 && n; i++) {
        size_t at = i == 10 ? n - 1 : i;
        if (at >= n) continue;
        for (int j = 0; j < 2; j++) {
            size_t m = rec_format(text, sizeof text, "the %s", names[i][j]);
            const char *p = strstr(x->words, text);
            bool ends =
                p && p[-1] == ' ' &&
                (strcmp(p + m, " ") == 0 || strncmp(p + m, " one ", 5) == 0 ||
                 strncmp(p + m, " film ", 6) == 0 ||
                 strncmp(p + m, " movie ", 7) == 0 ||
                 strncmp(p + m, " book ", 6) == 0 || strncmp(p + m, " is ", 4) == 0);
            rec_format(text, sizeof text, "%s one", names[i][j]);
            if (ends || hearing_has(x, text)) return at;
        }
        rec_format(text, sizeof text, "number %zu", at + 1);
        if (i < 10 && hearing_has(x, text)) return at;
    }
    return SIZE_MAX;
}

/* The shown item that the sentence names or points at, or KEYS_NONE. */
static uint32_t find_reference(hearing *x) {
    static const char *const it[] = {"that one", "this one", "it", "that", "this"};
    const item_list *last = &x->t->last;
    title_hit hit[8];
    size_t n = 0, at = find_ordinal(x, last->n);
    if (at != SIZE_MAX) return last->a[at];
    x->is_starved |= query_find_titles(x->text, x->nbyte, x->a->ctx->items, hit, 8, &n,
                                       NULL) != REC_OK;
    for (size_t i = 0; i < n; i++)
        if (hit[i].score > .99 && hit[i].end - hit[i].begin > 2 &&
            (item_list_has(last, hit[i].item) ||
             item_list_has(&x->t->shown, hit[i].item)))
            return hit[i].item;
    bool is_one =
        last->n == 1 || hearing_has(x, "that one") || hearing_has(x, "this one");
    return last->n && is_one && HAS_ANY(x, it) ? last->a[0] : KEYS_NONE;
}

static bool is_question(const hearing *x) {
    static const char *const begins[] = {
        "who", "what",    "when", "how", "which", "is",    "does",     "did",
        "was", "tell me", "why",  "are", "do",    "where", "describe", "whats"};
    bool is_asked = memchr(x->text, '?', x->nbyte) != NULL;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        size_t n = strlen(begins[i]);
        if (strncmp(x->words + 1, begins[i], n) == 0 && x->words[1 + n] == ' ')
            return is_asked || !strcmp(begins[i], "tell me") ||
                   !strcmp(begins[i], "describe") || !strcmp(begins[i], "who") ||
                   !strcmp(begins[i], "when") || !strcmp(begins[i], "how");
    }
    return false;
}

/* The facet that a question is about, by its name or by what people say for it. */
static int find_question_facet(const hearing *x) {
    static const struct {
        const char *phrase;
        facet_role role;
    } says[] = {{"when", ROLE_YEAR},      {"how old", ROLE_YEAR},
                {"what year", ROLE_YEAR}, {"how long", ROLE_RUNTIME},
                {"how long", ROLE_PAGES}, {"how much", ROLE_PRICE},
                {"cost", ROLE_PRICE},     {"price", ROLE_PRICE},
                {"who", ROLE_PERSON},     {"what language", ROLE_LANGUAGE},
                {"in stock", ROLE_STOCK}, {"how good", ROLE_RATING},
                {"where", ROLE_COUNTRY},  {"what colour", ROLE_COLOUR}};
    const catalog *c = x->a->ctx->items;
    char name[80], one[80];
    for (int f = 0; f < (int)catalog_n_facets(c); f++) {
        facet_words(c, f, name, sizeof name);
        size_t n = rec_format(one, sizeof one, "%s", name);
        if (n > 3 && one[n - 1] == 's') one[n - 1] = 0;
        if (hearing_has(x, name) || hearing_has(x, one)) return f;
    }
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++)
        for (int f = 0; hearing_has(x, says[i].phrase) && f < (int)catalog_n_facets(c);
             f++)
            if (vocabulary_role(catalog_vocabulary(c), (size_t)f) == says[i].role)
                return f;
    return -1;
}

static rec_status reject(hearing *x, uint32_t item) {
    x->h->is_reject = true;
    return item_list_add(&x->t->rejected, item, x->err);
}

/* A sentence that points at something shown: asked about, more like it, not it, or taken. */
static rec_status hear_reference(hearing *x, bool *is_done) {
    static const char *const more[] = {
        "more like", "similar to", "something like", "like the",  "in the style",
        "loved",     "love",       "liked",          "like that", "like this"};
    static const char *const against[] = {
        "not",   "no",     "dont",         "hate",    "hated", "dislike",
        "didnt", "never",  "except",       "without", "seen",  "watched",
        "read",  "boring", "nothing like", "isnt"};
    uint32_t item = find_reference(x);
    *is_done = false;
    if (item == KEYS_NONE) return REC_OK;
    *is_done = true;
    if (is_question(x)) {
        x->h->about = item;
        x->h->about_facet = find_question_facet(x);
        return REC_OK;
    }
    if (HAS_ANY(x, against)) {
        bool is_taste = hearing_has(x, "hate") || hearing_has(x, "hated") ||
                        hearing_has(x, "dislike") || hearing_has(x, "boring") ||
                        hearing_has(x, "nothing like") || hearing_has(x, "not like") ||
                        hearing_has(x, "dont like") || hearing_has(x, "didnt like");
        rec_status s = reject(x, item);
        return s == REC_OK && is_taste ? hearing_say_item(x, item, -WEIGHT_LIKE / 2)
                                       : s;
    }
    if (HAS_ANY(x, more)) return hearing_say_item(x, item, WEIGHT_LIKE);
    x->h->chosen = item;
    item_list_remove(&x->t->disliked, item);
    return item_list_add(&x->t->liked, item, x->err);
}

static bool is_rejection(const hearing *x) {
    static const char *const phrases[] = {
        "none of these",   "none of those",  "none of them",  "not these",
        "not those",       "not that one",   "not this one",  "not any of",
        "something else",  "not it",         "not what",      "no not",
        "other ones",      "seen these",     "seen those",    "seen them",
        "seen all",        "not quite",      "nope",          "not there",
        "isnt there",      "isnt it",        "isnt one",      "dont want these",
        "dont want those", "show me others", "show me other", "try again",
        "none fit",        "none of the",    "not right",     "no luck",
        "anything else",   "not among",      "show me more",  "others please"};
    return HAS_ANY(x, phrases) || is_all(x, "no") || is_all(x, "next") ||
           is_all(x, "none") || is_all(x, "others") || is_all(x, "more");
}

static rec_status reject_last(hearing *x) {
    rec_status s = REC_OK;
    for (size_t i = 0; i < x->t->last.n && s == REC_OK; i++)
        s = reject(x, x->t->last.a[i]);
    x->h->is_reject = true;
    return s;
}

/* ---- relaxing, comparing ------------------------------------------------------------------------------------ */

static bool is_indifferent(const hearing *x) {
    static const char *const phrases[] = {"anything goes",  "any",
                                          "doesnt matter",  "does not matter",
                                          "dont care",      "dont mind",
                                          "no preference",  "whatever",
                                          "do not mind",    "do not care",
                                          "not important",  "whichever",
                                          "not fussy",      "open to anything",
                                          "either",         "forget about the",
                                          "never mind the", "regardless of",
                                          "all are fine",   "no matter"};
    return HAS_ANY(x, phrases);
}

static bool is_unsure(const hearing *x) {
    static const char *const phrases[] = {
        "dont know",     "not sure",    "do not know", "dunno",
        "no idea",       "cant say",    "unsure",      "dont remember",
        "cant remember", "dont recall", "no clue",     "cannot say",
        "hard to say",   "skip",        "pass",        "maybe"};
    return HAS_ANY(x, phrases);
}

/* "anything goes for the year": what was said on it is gone, and it is not asked again. */
static rec_status hear_relaxing(hearing *x, bool *is_done) {
    const catalog *c = x->a->ctx->items;
    *is_done = false;
    bool any = is_indifferent(x), unsure = is_unsure(x);
    if (!any && !unsure) return REC_OK;
    int facet = any ? find_question_facet(x) : -1;
    if (facet >= 0) {
        x->h->relaxed |= talk_unsay_facet(x->t, facet) > 0;
        x->h->changed = *is_done = true;
        return talk_mark_asked(x->t, "facet", facet_name(c, (size_t)facet), x->err);
    }
    bool is_answer = x->t->pending.kind != ASK_NONE && count_words(x) <= 8;
    if (!is_answer && !is_all(x, "anything")) return REC_OK;
    x->h->is_unsure = true;
    *is_done = true;
    return REC_OK;
}

static int by_value(const void *a, const void *b, void *ctx) {
    (void)ctx;
    return *(const double *)a < *(const double *)b
               ? -1
               : *(const double *)a > *(const double *)b;
}

/* The middle of a number over what was shown last. */
static bool shown_middle(const hearing *x, int facet, double *out) {
    double v[CONVERSE_MAX_K];
    size_t n = 0;
    for (size_t i = 0; i < x->t->last.n && n < CONVERSE_MAX_K; i++)
        n += facet_item_number(x->a->ctx->items, (size_t)facet, x->t->last.a[i], &v[n]);
    if (!n) return false;
    rec_sort(v, n, sizeof *v, by_value, NULL);
    *out = v[n / 2];
    return true;
}

/* "a bit older", "shorter": below or above what was shown, nearer for a bit. */
static rec_status hear_comparison(hearing *x, bool *is_done) {
    static const struct {
        const char *word;
        facet_role role;
        bool is_less;
    } says[] = {
        {"older", ROLE_YEAR, true},           {"earlier", ROLE_YEAR, true},
        {"newer", ROLE_YEAR, false},          {"more recent", ROLE_YEAR, false},
        {"more modern", ROLE_YEAR, false},    {"later", ROLE_YEAR, false},
        {"recent", ROLE_YEAR, false},         {"shorter", ROLE_RUNTIME, true},
        {"longer", ROLE_RUNTIME, false},      {"shorter", ROLE_PAGES, true},
        {"longer", ROLE_PAGES, false},        {"cheaper", ROLE_PRICE, true},
        {"less expensive", ROLE_PRICE, true}, {"more expensive", ROLE_PRICE, false},
        {"better rated", ROLE_RATING, false}};
    const catalog *c = x->a->ctx->items;
    *is_done = false;
    if (hearing_has(x, "older than") || hearing_has(x, "newer than") ||
        hearing_has(x, "longer than") || hearing_has(x, "shorter than") ||
        hearing_has(x, "cheaper than"))
        return REC_OK; /* a number follows: the rules read it */
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
        if (!hearing_has(x, says[i].word)) continue;
        for (int f = 0; f < (int)catalog_n_facets(c); f++) {
            double min, max, middle;
            if (vocabulary_role(catalog_vocabulary(c), (size_t)f) != says[i].role ||
                !shown_middle(x, f, &middle))
                continue;
            facet_range(c, (size_t)f, &min, &max);
            bool is_bit = hearing_has(x, "bit") || hearing_has(x, "little") ||
                          hearing_has(x, "slightly");
            double far = is_bit ? (max - min) / 4 : INFINITY, step = 1;
            talk_unsay_facet(x->t, f);
            *is_done = count_words(x) <= 4; /* else the rest is read, too */
            return says[i].is_less
                       ? hearing_say_range(x, f, middle - far, middle - step,
                                           WEIGHT_DEMAND, talk_new_group(x->t), false)
                       : hearing_say_range(x, f, middle + step, middle + far,
                                           WEIGHT_DEMAND, talk_new_group(x->t), false);
        }
    }
    return REC_OK;
}

/* ---- a request -------------------------------------------------------------------------------------------- */

static bool asks_facet(const hearing *x, int facet) {
    return x->t->pending.kind == ASK_FACET && x->t->pending.facet == facet;
}

static rec_status say_values(hearing *x, int facet, char *const *v, size_t n,
                             double weight, bool are_alternatives) {
    const catalog *c = x->a->ctx->items;
    bool is_number = facet_kind(c, (size_t)facet) == FACET_NUMBER;
    bool is_answer = asks_facet(x, facet);
    int group = talk_new_group(x->t);
    rec_status s = REC_OK;
    if (is_answer) x->answered = true;
    if (is_answer && weight > 0) {
        weight = WEIGHT_ANSWER;
        are_alternatives = are_alternatives && (is_number || hearing_has(x, "or"));
    }
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        double number;
        int g = are_alternatives && weight > 0 ? group : group + (int)i;
        for (size_t k = 0; is_answer && k < x->t->pending.n; k++)
            if (strcmp(x->t->pending.option[k].value, v[i]) == 0)
                (weight > 0 ? x->is_picked : x->is_denied)[k] = true;
        if (!is_number)
            s = hearing_say_text(x, SAID_VALUE, facet, v[i], weight, g, is_answer);
        else if (text_whole_number(v[i], strlen(v[i]), &number))
            s = hearing_say_range(x, facet, number, number, weight, g, is_answer);
    }
    return s;
}

static rec_status say_cond(hearing *x, const facet_cond *k) {
    int facet = facet_find(x->a->ctx->items, k->name, strlen(k->name));
    if (facet < 0) return REC_OK;
    bool is_answer = asks_facet(x, facet);
    rec_status s = say_values(x, facet, k->any, k->n_any, WEIGHT_DEMAND, true);
    if (s == REC_OK) s = say_values(x, facet, k->all, k->n_all, WEIGHT_DEMAND, false);
    if (s == REC_OK)
        s = say_values(x, facet, k->none, k->n_none, -WEIGHT_DENIAL, false);
    if (s != REC_OK || (!k->has_min && !k->has_max)) return s;
    if (is_answer) x->answered = true;
    return hearing_say_range(
        x, facet, k->has_min ? k->min : -INFINITY, k->has_max ? k->max : INFINITY,
        is_answer ? WEIGHT_ANSWER : WEIGHT_DEMAND, talk_new_group(x->t), is_answer);
}

/* Words of talk, not of what is talked about. */
static bool is_talk_word(const hearing *x, const token *t) {
    static const char *const words[] = {
        "actually", "afraid",  "another",  "answer",    "anything",   "bit",
        "cheaper",  "choose",  "close",    "closer",    "definitely", "earlier",
        "else",     "evening", "exactly",  "fan",       "feel",       "film",
        "films",    "find",    "first",    "fits",      "genre",      "genres",
        "good",     "great",   "guess",    "happy",     "hello",      "help",
        "idea",     "kind",    "kinda",    "last",      "later",      "let",
        "like",     "liked",   "little",   "longer",    "look",       "looking",
        "love",     "made",    "matches",  "maybe",     "mentions",   "mind",
        "modern",   "mood",    "movie",    "movies",    "need",       "new",
        "newer",    "nice",    "night",    "ok",        "older",      "ones",
        "option",   "options", "pick",     "please",    "prefer",     "preferably",
        "probably", "really",  "recent",   "recommend", "right",      "say",
        "second",   "shorter", "show",     "slightly",  "some",       "something",
        "sort",     "sounds",  "started",  "story",     "stuff",      "suggest",
        "suits",    "sure",    "surprise", "tell",      "thanks",     "thing",
        "things",   "think",   "third",    "time",      "tonight",    "try",
        "want",     "watch",   "wish",     "wonderful", "word",       "words",
        "yes"};
    char name[80];
    if (t->is_stop || t->is_number || t->n_text < 3) return true;
    if (text_in_list(words, sizeof words / sizeof words[0], t->text, t->n_text))
        return true;
    for (int f = 0; f < (int)catalog_n_facets(x->a->ctx->items); f++) {
        facet_words(x->a->ctx->items, f, name, sizeof name);
        if (strncmp(name, t->text, t->n_text) == 0) return true;
    }
    return false;
}

/* What is left of the request: words that the items have. */
static rec_status say_words(hearing *x, const char *text, double weight) {
    const vocabulary *v = catalog_vocabulary(x->a->ctx->items);
    const vocab_entry *e;
    tokenizer tk;
    token t;
    rec_status s = REC_OK;
    int group = talk_new_group(x->t);
    tokenizer_start(&tk, text, strlen(text), false);
    for (int n = 0; n < MAX_WORDS_SAID && s == REC_OK && tokenizer_next(&tk, &t);) {
        bool is_value = v && vocabulary_find(v, t.text, t.n_text, &e);
        if (is_value || is_talk_word(x, &t) ||
            word_term(x->a, t.text, t.n_text) == KEYS_NONE)
            continue;
        s = hearing_say_text(x, SAID_WORD, -1, t.text, weight, group + n++, false);
    }
    return s;
}

static rec_status say_request(hearing *x, const query_request *q) {
    rec_status s = REC_OK;
    for (size_t i = 0; i < q->filters.n_cond && s == REC_OK; i++)
        s = say_cond(x, &q->filters.cond[i]);
    bool is_value = x->answered && q->intent == INTENT_NAVIGATIONAL;
    for (size_t i = 0; i < q->n_like && !is_value && s == REC_OK; i++)
        s = hearing_say_item(x, q->like_items[i], WEIGHT_LIKE);
    for (size_t i = 0; i < q->n_dislike && s == REC_OK; i++)
        s = hearing_say_item(x, q->dislike_items[i], -WEIGHT_LIKE / 2);
    for (size_t i = 0; i < q->exclude.n && s == REC_OK; i++)
        s = say_words(x, q->exclude.a[i], -WEIGHT_DENIAL);
    bool speaks = q->query && !x->answered && q->intent != INTENT_CHITCHAT &&
                  q->intent != INTENT_INFORMATIONAL;
    if (s == REC_OK && speaks) s = say_words(x, q->query, WEIGHT_WORD);
    return s;
}

/* By a model, with what was asked as context. */
static rec_status rewrite_request(hearing *x, query_request *q) {
    char *text = NULL, *options = NULL;
    json *o = json_new_object();
    rec_err why = {0};
    const char *name = x->a->config->name;
    bool ok = json_set(o, "llm", json_new_text(name, strlen(name)));
    if (x->a->in_transaction)
        ok = json_set(o, "in_transaction", json_new_bool(true)) && ok;
    options = ok ? json_print(o) : NULL;
    json_delete(o);
    if (!options) return rec_nomem(x->err);
    rec_status s =
        llm_rewrite(x->a->s, x->text, x->nbyte, x->a->ctx, options, &text, x->err);
    rec_free(options);
    json *j = s == REC_OK ? json_parse(text, strlen(text), &why) : NULL;
    if (s == REC_OK && !j) s = rec_nomem(x->err);
    if (s == REC_OK) s = request_from_json(j, x->a->ctx->items, q, x->err);
    json_delete(j);
    rec_free(text);
    return s;
}

static rec_status hear_request(hearing *x) {
    query_request q = {0};
    rec_status s = x->a->config ? rewrite_request(x, &q)
                                : query_parse(x->text, x->nbyte, x->a->ctx->items,
                                              &x->a->ctx->language, &q, x->err);
    static const char *const thanks[] = {"thanks", "thank", "bye", "goodbye", "cheers"};
    if (s == REC_OK && q.intent == INTENT_CHITCHAT) x->h->is_chitchat = true;
    x->h->is_thanks |= x->h->is_chitchat && HAS_ANY(x, thanks);
    if (s == REC_OK && q.intent == INTENT_INFORMATIONAL && !x->answered &&
        is_question(x))
        x->h->is_question_elsewhere = true;
    else if (s == REC_OK)
        s = say_request(x, &q);
    query_request_clear(&q);
    return s;
}

/* ---- a sentence, an utterance --------------------------------------------------------------------------- */

static bool is_start_over(const hearing *x) {
    static const char *const phrases[] = {
        "start over",      "start again",   "begin again",
        "from scratch",    "start afresh",  "forget everything",
        "forget all that", "forget it all", "new search",
        "reset",           "lets restart",  "start from the beginning"};
    return HAS_ANY(x, phrases);
}

static bool is_stop_asking(const hearing *x) {
    static const char *const phrases[] = {
        "just show",      "stop asking",  "no more questions", "no questions",
        "just recommend", "just give me", "enough questions",  "dont ask"};
    return HAS_ANY(x, phrases);
}

static rec_status hear_sentence(hearing *x) {
    bool is_done = false;
    const ask *q = &x->t->pending;
    if (is_start_over(x)) {
        talk_start_over(x->t);
        x->h->is_start_over = true;
        return REC_OK;
    }
    if (is_stop_asking(x)) {
        x->h->is_stop_asking = true;
        return REC_OK;
    }
    rec_status s = hear_give_up(x, &is_done);
    if (s == REC_OK && !is_done) s = hear_options(x);
    if (s == REC_OK && !is_done) s = hear_values(x);
    if (s == REC_OK && !is_done && !x->answered) s = hear_reference(x, &is_done);
    if (s == REC_OK && !is_done && !x->answered && is_rejection(x)) {
        s = reject_last(x);
        is_done = count_words(x) <= 6;
    }
    if (s == REC_OK && !is_done && !x->answered) s = hear_relaxing(x, &is_done);
    if (s == REC_OK && !is_done) s = hear_comparison(x, &is_done);
    if (s != REC_OK || is_done) return s;
    bool is_number = q->kind == ASK_FACET && q->facet >= 0 &&
                     facet_kind(x->a->ctx->items, (size_t)q->facet) == FACET_NUMBER;
    if (!(is_number && x->answered)) s = hear_request(x);
    if (s == REC_OK && is_number && !x->answered) s = hear_number(x);
    return s;
}

static size_t sentence_end(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] == '\n' || s[i] == ';' ||
            (strchr(".!?", s[i]) && s[i] && (i + 1 == n || s[i + 1] == ' ')))
            return i + 1;
    return n;
}

rec_status converse_hear(const converse_args *a, const converse_host *host, talk *t,
                         heard *h, rec_err *err) {
    hearing x = {.a = a, .host = host, .t = t, .h = h, .err = err};
    const char *s = a->utterance;
    size_t n = s ? a->n_utterance : 0;
    rec_status st = REC_OK;
    bool says_something = false;
    *h = (heard){.about = KEYS_NONE, .about_facet = -1, .chosen = KEYS_NONE};
    for (int i = 0; n && i < MAX_SENTENCES && st == REC_OK; i++) {
        x.text = s;
        x.nbyte = sentence_end(s, n);
        x.words = hearing_words(x.text, x.nbyte);
        if (!x.words) return rec_nomem(err);
        bool has_words = x.words[1] != 0;
        says_something |= has_words;
        if (has_words) st = hear_sentence(&x);
        if (st == REC_OK && x.is_starved) st = rec_nomem(err);
        rec_free(x.words);
        s += x.nbyte;
        n -= x.nbyte;
    }
    bool is_none = h->is_reject && !x.answered && !h->changed;
    if (st == REC_OK && x.answered) st = hear_unpicked(&x, 1);
    if (st == REC_OK && is_none && t->pending.kind == ASK_WORDS)
        st = hear_unpicked(&x, WEIGHT_NONE / WEIGHT_UNPICKED_WORD);
    if (st == REC_OK && says_something) ask_clear(&t->pending);
    return st;
}
