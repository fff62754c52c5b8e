/* query_revise.c - what a request changes of the one before it.
 *
 *     "comedies from the 90s"     genres any Comedy, year 1990..1999
 *     "older ones"                year: lower        -> year max 1989
 *     "any year is fine"          year: dropped      -> no condition on year
 *
 * A comparative without a number ("older", "a bit cheaper", "something longer") compares with what was said
 * before; a word of indifference ("forget the language", "whatever year") takes a condition back. Read alone, both
 * change nothing: they are noted in the request, and who lays it over an earlier one applies them.
 *
 * Invariants
 *  I1  a revision names a facet of the catalogue; one for each facet, the last counts.
 *  I2  the words of a revision are used up: they are not searched for.
 *  I3  a bound that follows from a revision follows from a bound of the earlier request (query_revise_cond).
 */
#include "query.h"

static const struct {
    const char *words;
    facet_role role;
    int direction;
} comparatives[] = {
    {"more recent", ROLE_YEAR, 1},
    {"newer", ROLE_YEAR, 1},
    {"later", ROLE_YEAR, 1},
    {"older", ROLE_YEAR, -1},
    {"earlier", ROLE_YEAR, -1},
    {"less recent", ROLE_YEAR, -1},
    {"shorter", ROLE_RUNTIME, -1},
    {"longer", ROLE_RUNTIME, 1},
    {"less expensive", ROLE_PRICE, -1},
    {"cheaper", ROLE_PRICE, -1},
    {"more affordable", ROLE_PRICE, -1},
    {"more expensive", ROLE_PRICE, 1},
    {"pricier", ROLE_PRICE, 1},
    {"higher rated", ROLE_RATING, 1},
    {"better rated", ROLE_RATING, 1},
};

/* "_" stands for the facet. */
static const char *const indifferent[] = {
    "anything goes for the _",
    "anything goes for _",
    "dont care about the _",
    "dont care about _",
    "never mind the _",
    "forget about the _",
    "forget the _",
    "ignore the _",
    "regardless of the _",
    "regardless of _",
    "the _ doesnt matter",
    "_ doesnt matter",
    "the _ does not matter",
    "_ does not matter",
    "no matter the _",
    "whatever the _",
    "whatever _",
    "any _ is fine",
    "any _ will do",
    "any _ goes",
    "any _",
    "drop the _",
};

static const char *const fewer[] = {
    "fewer of those",  "less of those",    "less of that",    "fewer of them",
    "fewer like that", "no more of those", "no more of that", "not those",
    "enough of those", "enough of that",
};

static rec_status note(query_state *q, size_t f, int direction) {
    query_request *r = q->out;
    size_t i = 0;
    while (i < r->n_revision && r->revision[i].facet != f) i++;
    if (i == QUERY_MAX_REVISIONS) return REC_OK;
    if (i == r->n_revision) r->n_revision++;
    r->revision[i] = (query_revision){f, direction};
    return REC_OK;
}

/* Other words for a facet: "length" for runtime. */
static facet_role role_word(const query_state *q, size_t i) {
    static const struct {
        const char *words;
        facet_role role;
    } names[] = {
        {" year years decade date ", ROLE_YEAR},
        {" length runtime duration ", ROLE_RUNTIME},
        {" price budget cost ", ROLE_PRICE},
        {" genre genres kind category type ", ROLE_KIND},
        {" language languages ", ROLE_LANGUAGE},
        {" colour color colours colors ", ROLE_COLOUR},
        {" brand brands make ", ROLE_BRAND},
        {" rating ratings score ", ROLE_RATING},
        {" country countries ", ROLE_COUNTRY},
    };
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        if (word_in(q, i, names[k].words)) return names[k].role;
    return ROLE_NONE;
}

/* The facet that word i names, or -1. */
static int facet_named(query_state *q, size_t i) {
    if (i >= q->n) return -1;
    for (size_t f = 0; f < catalog_n_facets(q->c); f++) {
        const char *name = facet_name(q->c, f);
        char want[TOKEN_MAX_BYTES + 1], have[TOKEN_MAX_BYTES + 1];
        size_t n = text_fold(want, TOKEN_MAX_BYTES, name, strlen(name));
        n = word_singular(want, n);
        memcpy(have, q->w[i].t.text, q->w[i].t.n_text);
        size_t m = word_singular(have, q->w[i].t.n_text);
        if (n == m && memcmp(want, have, n) == 0) return (int)f;
    }
    facet_role r = role_word(q, i);
    return r == ROLE_NONE ? -1 : query_role_find(q, r);
}

bool query_names_facet(query_state *q, size_t i) {
    return q->c && facet_named(q, i) >= 0;
}

/* Where '_' of the pattern falls. */
static size_t place_of_facet(const char *pattern) {
    size_t at = 0;
    for (const char *p = pattern; *p != '_'; p++) at += *p == ' ';
    return at;
}

static size_t indifference_at(query_state *q, size_t i, int *facet) {
    for (size_t k = 0; k < sizeof indifferent / sizeof indifferent[0]; k++) {
        size_t n = words_at(q, i, indifferent[k]);
        if (!n) continue;
        *facet = facet_named(q, i + place_of_facet(indifferent[k]));
        bool is_bare = i + n == q->n || q->w[i + n].t.after_break || n > 2;
        if (*facet >= 0 && is_bare) return n;
    }
    return 0;
}

/* "Fewer of those": the kinds that were wanted are wanted no more; numbers stay. */
static size_t fewer_at(const query_state *q, size_t i) {
    for (size_t k = 0; k < sizeof fewer / sizeof fewer[0]; k++) {
        size_t n = words_at(q, i, fewer[k]);
        if (n) return n;
    }
    return 0;
}

rec_status query_revisions(query_state *q) {
    rec_status rc = REC_OK;
    for (size_t i = 0; q->c && !rc && i < q->n; i++) {
        int f = -1;
        if (!word_is_free(q, i)) continue;
        size_t n = indifference_at(q, i, &f);
        if (n) rc = note(q, (size_t)f, 0);
        if (!n && (n = fewer_at(q, i)) != 0)
            for (size_t k = 0; !rc && k < catalog_n_facets(q->c); k++)
                if (facet_kind(q->c, k) != FACET_NUMBER) rc = note(q, k, 0);
        for (size_t k = 0; !n && k < sizeof comparatives / sizeof comparatives[0];
             k++) {
            size_t m = words_at(q, i, comparatives[k].words);
            f = m ? query_role_find(q, comparatives[k].role) : -1;
            if (f < 0 || word_in(q, i + m, " than ")) continue;
            n = m;
            rc = note(q, (size_t)f, comparatives[k].direction);
        }
        if (!n) continue;
        words_use(q, i, n, USE_RULE);
        i += n - 1;
    }
    return rc;
}

void query_revise_cond(const query_revision *r, bool is_whole, facet_cond *old) {
    double step = is_whole ? 1 : 0;
    bool has_min = old->has_min, has_max = old->has_max;
    if (r->direction < 0 && has_min) {
        old->has_max = true, old->max = old->min - step;
        old->has_min = false;
    } else if (r->direction > 0 && has_max) {
        old->has_min = true, old->min = old->max + step;
        old->has_max = false;
    } else if (r->direction == 0) {
        old->has_min = old->has_max = false;
    }
}
