/* converse_answer.c - an answer to the question that was asked, in the words of its options.
 *
 *     Which genres would suit you: Drama, Comedy or Crime?      "drama, but no comedy"
 *        Drama   named           for
 *        Comedy  denied          against
 *        Crime   not named       a little against
 *
 * A value of the facet that was not among the options counts as well, and so does a number where one was asked for.
 *
 * Invariants
 *  A1  All that is said here is an answer: soft evidence, never a demand.
 *  A2  A question of another kind, or none, changes nothing.
 *
 * Cost: options x words; MAX_VALUES x words for values that were not offered.
 */
#include "converse.h"

#include <math.h>

#define MAX_VALUES 512 /* of a facet that are looked for in an answer */

/* Where the words of an option stand in the sentence; plural and singular are one. */
static const char *find_option(hearing *x, const char *value) {
    char *words = hearing_words(value, strlen(value));
    const char *at = NULL;
    if (!words) x->is_starved = true;
    if (!words) return NULL;
    size_t n = strlen(words);
    while (n > 1 && words[n - 1] == ' ') words[--n] = 0;
    for (const char *p = x->words; !at && (p = strstr(p, words)); p++) {
        const char *end = p + n;
        if (*end == ' ' || (end[0] == 's' && end[1] == ' ') ||
            (end[0] == 'e' && end[1] == 's' && end[2] == ' '))
            at = p;
    }
    rec_free(words);
    return at;
}

/* "not X", "no X", "X no" is not looked for. */
static bool is_denied_before(const hearing *x, const char *at) {
    static const char *const cues[] = {" not",  " no",    " nor",  " without",
                                       " dont", " never", " hate", " but no"};
    size_t n = (size_t)(at - x->words);
    for (size_t i = 0; i < sizeof cues / sizeof cues[0]; i++) {
        size_t m = strlen(cues[i]);
        if (n >= m && memcmp(at - m, cues[i], m) == 0) return true;
    }
    return false;
}

static bool is_yes(const hearing *x) {
    static const char *const words[] = {"yes",  "yeah", "yep",       "sure",
                                        "ok",   "okay", "please do", "go ahead",
                                        "fine", "right"};
    return HAS_ANY(x, words);
}

static rec_status pick(hearing *x, size_t i, bool is_denied, int group) {
    const ask *q = &x->t->pending;
    const ask_option *o = &q->option[i];
    double weight = is_denied ? -WEIGHT_ANSWER : WEIGHT_ANSWER;
    (is_denied ? x->is_denied : x->is_picked)[i] = true;
    x->answered = true;
    if (q->kind == ASK_PAIR) return hearing_say_item(x, o->item, is_denied ? -.2 : .4);
    if (q->kind == ASK_WORDS)
        return hearing_say_text(x, SAID_WORD, -1, o->value, weight, group, true);
    if (isfinite(o->min) || isfinite(o->max))
        return hearing_say_range(x, q->facet, o->min, o->max, weight, group, true);
    return hearing_say_text(x, SAID_VALUE, q->facet, o->value, weight, group, true);
}

/* Options that the sentence names. Alternatives ("comedy or drama") share a group. */
rec_status hear_options(hearing *x) {
    const ask *q = &x->t->pending;
    rec_status s = REC_OK;
    bool is_number = q->kind == ASK_FACET && q->n &&
                     (isfinite(q->option[0].min) || isfinite(q->option[0].max));
    bool is_or = hearing_has(x, "or") || is_number;
    int group = talk_new_group(x->t);
    if (q->kind == ASK_NONE || q->kind == ASK_RELAX) return REC_OK;
    for (size_t i = 0; i < q->n && s == REC_OK; i++) {
        const char *at = find_option(x, q->option[i].value);
        if (!at) continue;
        bool is_denied = is_denied_before(x, at);
        s = pick(x, i, is_denied, is_or && !is_denied ? group : group + 1 + (int)i);
    }
    return s;
}

/* Values of the facet asked for that were not among the options. */
rec_status hear_values(hearing *x) {
    const ask *q = &x->t->pending;
    const catalog *c = x->a->ctx->items;
    rec_status s = REC_OK;
    if (q->kind != ASK_FACET || facet_kind(c, (size_t)q->facet) == FACET_NUMBER)
        return REC_OK;
    size_t n = facet_n_values(c, (size_t)q->facet);
    for (uint32_t v = 0; v < n && v < MAX_VALUES && s == REC_OK; v++) {
        size_t nbyte;
        char text[80];
        const char *value = facet_value(c, (size_t)q->facet, v, &nbyte);
        if (nbyte >= sizeof text) continue;
        rec_format(text, sizeof text, "%.*s", (int)nbyte, value);
        bool is_option = false;
        for (size_t i = 0; i < q->n; i++)
            if (strcmp(q->option[i].value, text) == 0) is_option = true;
        const char *at = is_option ? NULL : find_option(x, text);
        if (!at) continue;
        bool is_denied = is_denied_before(x, at);
        x->answered = true;
        s = hearing_say_text(x, SAID_VALUE, q->facet, text,
                             is_denied ? -WEIGHT_ANSWER : WEIGHT_ANSWER,
                             talk_new_group(x->t), true);
    }
    return s;
}

/* A number in answer to a question about a number: itself, or a bound. */
rec_status hear_number(hearing *x) {
    static const char *const below[] = {"under",  "below",   "less",
                                        "before", "up to",   "at most",
                                        "until",  "shorter", "no more"};
    static const char *const above[] = {"over",     "above", "after",  "from",
                                        "at least", "since", "longer", "more than"};
    const ask *q = &x->t->pending;
    double v[2];
    size_t n = 0;
    tokenizer tk;
    token t;
    tokenizer_start(&tk, x->text, x->nbyte, false);
    while (n < 2 && tokenizer_next(&tk, &t))
        if (t.is_number && text_whole_number(t.text, t.n_text, &v[n])) n++;
    if (!n) return REC_OK;
    x->answered = true;
    double min = v[0], max = v[n - 1];
    if (min > max) min = v[1], max = v[0];
    if (n == 1 && HAS_ANY(x, below)) min = -INFINITY;
    if (n == 1 && isfinite(min) && HAS_ANY(x, above)) max = INFINITY;
    return hearing_say_range(x, q->facet, min, max, WEIGHT_ANSWER, talk_new_group(x->t),
                             true);
}

/* Options that were offered and not named (H3). */
rec_status hear_unpicked(hearing *x, double factor) {
    ask *q = &x->t->pending;
    rec_status s = REC_OK;
    if (q->kind != ASK_FACET && q->kind != ASK_WORDS) return REC_OK;
    for (size_t i = 0; i < q->n && s == REC_OK; i++) {
        const ask_option *o = &q->option[i];
        if (x->is_picked[i] || x->is_denied[i] || isfinite(o->min) || isfinite(o->max))
            continue;
        int group = talk_new_group(x->t);
        s = q->kind == ASK_WORDS
                ? hearing_say_text(x, SAID_WORD, -1, o->value,
                                   -factor * WEIGHT_UNPICKED_WORD, group, true)
                : hearing_say_text(x, SAID_VALUE, q->facet, o->value,
                                   -factor * WEIGHT_UNPICKED_VALUE, group, true);
    }
    return s;
}

/* "shall I leave that out?" - "yes" */
rec_status hear_give_up(hearing *x, bool *is_done) {
    ask *q = &x->t->pending;
    *is_done = q->kind == ASK_RELAX && is_yes(x);
    for (size_t i = x->t->n_said; *is_done && i-- > 0;)
        if (x->t->said[i].group == q->group) talk_unsay(x->t, i);
    if (*is_done) x->h->relaxed = x->h->changed = true;
    return REC_OK;
}
