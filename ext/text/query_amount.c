/* query_amount.c - one amount of a sentence: a number or a span with its unit.
 *
 *     "two and a half hours"   150 minutes      "$1,500"        1500, money
 *     "the early 90s"          1990..1994       "4+ stars"      4, rating, plus
 *     "nineteenth century"     1801..1900       "9-year-old"    9, age
 *     "16 gb"                  16, facet memory_gb (the unit is a word of its name)
 *     "$50-$100", "1990-95"    spans of two amounts
 *
 * The unit tells the role of the facet that the amount belongs to; an amount without one is
 * left to the comparison around it (query_number.c).
 *
 * Invariants
 *  I1  lo <= hi, both finite; hours are turned into minutes.
 *  I2  a.n words from i on belong to the amount; none of them was used before.
 */
#include "query.h"
#include <math.h>

#define YEAR_FIRST 1000
#define YEAR_LAST  2100

static bool is_money_word(const query_state *q, size_t i) {
    return word_in(
        q, i,
        " dollar dollars buck bucks usd euro euros eur pound pounds gbp quid yen "
        "cents rupees francs chf cad aud sek ");
}

bool amount_is_year(double x) {
    return x >= YEAR_FIRST && x <= YEAR_LAST && x == floor(x);
}

static double decade_of_word(const query_state *q, size_t i) {
    static const char *const names[] = {"twenties", "thirties", "forties",
                                        "fifties",  "sixties",  "seventies",
                                        "eighties", "nineties"};
    for (int k = 0; k < 8; k++)
        if (word_is(q, i, names[k])) return 1920 + 10 * k;
    return word_in(q, i, " noughties aughts naughties ") ? 2000 : 0;
}

/* "20s" is the 2020s only in a catalogue that has nothing from the 1920s. */
static double full_decade(const query_state *q, double x) {
    if (x >= 100) return x;
    int f = query_role_find(q, ROLE_YEAR);
    double min = 1900, max = 2000;
    if (f >= 0) facet_range(q->c, (size_t)f, &min, &max);
    if (x == 0 || (x <= 20 && max >= 2000 + x && min > 1909 + x)) return 2000 + x;
    return 1900 + x;
}

/* "early", "mid", "late" narrow a span of years to its first, middle, last part. */
static void narrow_span(const query_state *q, size_t i, amount *a) {
    double step = (a->hi - a->lo + 1) / 10;
    if (word_is(q, i, "early")) {
        a->hi = a->lo + floor(5 * step) - 1;
    } else if (word_is(q, i, "late")) {
        a->lo = a->lo + floor(5 * step);
    } else if (word_in(q, i, " mid middle ")) {
        a->hi = a->lo + floor(7 * step) - 1;
        a->lo = a->lo + floor(3 * step);
    }
    a->is_narrowed = true;
}

static int ordinal_value(const query_state *q, size_t i) {
    static const char *const names[] = {"tenth",      "eleventh",    "twelfth",
                                        "thirteenth", "fourteenth",  "fifteenth",
                                        "sixteenth",  "seventeenth", "eighteenth",
                                        "nineteenth", "twentieth"};
    if (i < q->n && q->w[i].is_ordinal) return (int)q->w[i].number;
    for (int k = 0; k < 11; k++)
        if (word_is(q, i, names[k])) return 10 + k;
    if (word_is(q, i, "twenty") && word_is(q, i + 1, "first")) return 21;
    return 0;
}

/* "the early 90s", "nineteenth century": a span of years. */
static size_t decade_at(const query_state *q, size_t i, amount *a) {
    size_t at = i + (word_in(q, i, " the ") ? 1 : 0), narrow = SIZE_MAX;
    size_t n_last = words_at(q, i, "last century");
    if (!n_last) n_last = words_at(q, i, "the last century");
    if (n_last) {
        *a = (amount){
            .role = ROLE_YEAR, .facet = -1, .is_decade = true, .is_range = true};
        a->lo = 1900;
        a->hi = 1999;
        return a->n = n_last;
    }
    if (words_at(q, i, "this century") || words_at(q, i, "the current century")) {
        *a = (amount){
            .role = ROLE_YEAR, .facet = -1, .is_decade = true, .is_range = true};
        a->lo = a->hi = 2000;
        a->is_range = false;
        a->has_plus = true;
        return a->n = words_at(q, i, "this century") ? 2 : 3;
    }
    if (word_in(q, at, " early mid middle late ")) narrow = at++;
    if (narrow != SIZE_MAX && word_in(q, at, " to ")) return 0;
    if (at >= q->n) return 0;
    double x =
        q->w[at].is_decade ? full_decade(q, q->w[at].number) : decade_of_word(q, at);
    int century = ordinal_value(q, at);
    *a = (amount){.role = ROLE_YEAR, .facet = -1, .is_decade = true, .is_range = true};
    if (century > 0 && century <= 21) {
        size_t n = word_is(q, at, "twenty") ? 2 : 1;
        if (!word_in(q, at + n, " century c centuries ")) return 0;
        at += n + 1;
        a->lo = (century - 1) * 100 + 1;
        a->hi = century * 100;
    } else if (x > 0 && fmod(x, 10) == 0) {
        at++;
        a->lo = x;
        a->hi = fmod(x, 100) == 0 && x != 2000 ? x + 99 : x + 9;
    } else {
        return 0;
    }
    if (narrow != SIZE_MAX) narrow_span(q, narrow, a);
    return a->n = at - i;
}

/* Does the word name the facet? "gb" for memory_gb, "players" for min_players. */
static bool word_names_facet(const query_state *q, size_t i, size_t f) {
    char want[TOKEN_MAX_BYTES + 1];
    if (i >= q->n || q->w[i].t.is_stop) return false;
    memcpy(want, q->w[i].t.text, q->w[i].t.n_text);
    size_t n = word_singular(want, q->w[i].t.n_text);
    tokenizer tk;
    token t;
    const char *name = facet_name(q->c, f);
    tokenizer_start(&tk, name, strlen(name), false);
    while (tokenizer_next(&tk, &t)) {
        size_t m = word_singular(t.text, t.n_text);
        if (m == n && memcmp(t.text, want, n) == 0) return true;
    }
    return false;
}

int amount_facet(const query_state *q, size_t i) {
    for (size_t f = 0; q->c && f < catalog_n_facets(q->c); f++)
        if (facet_kind(q->c, f) == FACET_NUMBER && query_role(q, f) != ROLE_FLAG &&
            word_names_facet(q, i, f))
            return (int)f;
    return -1;
}

static int facet_with_unit(const query_state *q, const char *unit) {
    for (size_t f = 0; q->c && f < catalog_n_facets(q->c) && unit[0]; f++) {
        const char *name = facet_name(q->c, f), *at = strstr(name, unit);
        bool begins = at && (at == name || at[-1] == '_' || at[-1] == ' ');
        if (begins && !at[strlen(unit)] && facet_kind(q->c, f) == FACET_NUMBER)
            return (int)f;
    }
    return -1;
}

static bool unit_is(const query_state *q, size_t i, size_t n, const char *list,
                    size_t *n_unit) {
    const qword *last = &q->w[i + n - 1];
    size_t k = strlen(last->unit);
    *n_unit = 0;
    for (const char *p = list; k && (p = strstr(p, last->unit)); p++)
        if (p[-1] == ' ' && p[k] == ' ') return true;
    if (!word_in(q, i + n, list) || !word_is_free(q, i + n)) return false;
    *n_unit = 1;
    return true;
}

/* "2 hours (and) 30 (minutes)", "an hour and a half": minutes. */
static void read_hours(const query_state *q, size_t i, amount *a) {
    double more;
    a->lo *= 60;
    a->is_hours = true;
    if (words_at(q, i + a->n, "and a half")) {
        a->lo += 30;
        a->n += 3;
        return;
    }
    size_t and = word_is(q, i + a->n, "and") ? 1 : 0, n_unit;
    size_t n = number_at(q, i + a->n + and, &more);
    if (!n || more >= 60 ||
        !unit_is(q, i + a->n + and, n, " minute minutes min mins m ", &n_unit))
        return;
    a->lo += more;
    a->n += and+n + n_unit;
}

static void read_unit(const query_state *q, size_t i, amount *a) {
    size_t k;
    const qword *w = &q->w[i];
    if (w->has_currency ||
        (i && is_money_word(q, i - 1) && word_in(q, i - 1, " usd eur gbp "))) {
        a->role = ROLE_PRICE;
        a->n += is_money_word(q, i + a->n);
    } else if (is_money_word(q, i + a->n)) {
        a->role = ROLE_PRICE;
        a->n++;
    } else if (unit_is(q, i, a->n, " minute minutes min mins m ", &k)) {
        a->role = ROLE_RUNTIME;
        a->n += k;
    } else if (unit_is(q, i, a->n, " hour hours h hr hrs ", &k)) {
        a->role = ROLE_RUNTIME;
        a->n += k;
        read_hours(q, i, a);
    } else if (unit_is(q, i, a->n, " star stars ", &k)) {
        a->role = ROLE_RATING;
        a->n += k;
    } else if (words_at(q, i + a->n, "out of _")) {
        a->role = ROLE_RATING;
        a->n += 3;
    } else if (unit_is(q, i, a->n, " page pages pp ", &k)) {
        a->role = ROLE_PAGES;
        a->n += k;
    } else if (unit_is(q, i, a->n, " yo yr year years ", &k)) {
        size_t old = word_in(q, i + a->n + k, " old olds ") ? 1 : 0;
        bool is_up = words_at(q, i + a->n + k, "and up") ||
                     words_at(q, i + a->n + k, "and over");
        bool is_from = i && a->lo <= AGE_MAX && word_in(q, i - 1, " from ages aged ");
        if (!old && !is_up && !is_from && strcmp(w->unit, "yo") != 0) return;
        a->role = ROLE_AGE;
        a->n += k + old;
    } else if ((a->facet = facet_with_unit(q, w->unit)) < 0) {
        a->facet = amount_facet(q, i + a->n);
        a->n += a->facet >= 0;
    }
}

/* "'95" */
static bool is_short_year(const query_state *q, size_t i) {
    const token *t = &q->w[i].t;
    return q->w[i].has_number && t->n_text == 2 && t->begin &&
           q->text[t->begin - 1] == '\'' && t->end - t->begin == 2;
}

size_t amount_at(const query_state *q, size_t i, amount *a) {
    *a = (amount){.facet = -1};
    if (!word_is_free(q, i)) return 0;
    if (decade_at(q, i, a)) return a->n;
    *a = (amount){.facet = -1};
    size_t n = number_at(q, i, &a->lo);
    if (!n && words_at(q, i, "half an hour")) {
        a->lo = a->hi = 30;
        a->role = ROLE_RUNTIME;
        return a->n = 3;
    }
    if (!n && word_in(q, i, " an a one ") && word_is(q, i + 1, "hour"))
        a->lo = 1, n = 1;
    if (!n && words_at(q, i, "a couple of hours")) a->lo = 2, n = 3;
    if (!n) return 0;
    a->n = n;
    a->has_plus = q->w[i + n - 1].has_plus;
    if (is_short_year(q, i)) {
        a->lo = a->hi = a->lo + (a->lo < 30 ? 2000 : 1900);
        a->role = ROLE_YEAR;
        return n;
    }
    a->is_figure = q->w[i].has_number;
    read_unit(q, i, a);
    a->hi = a->lo;
    size_t end = q->w[i + a->n - 1].t.end;
    if (end < q->nbyte && q->text[end] == '+') a->has_plus = true;
    return a->n;
}

/* a, a connector, b -> one span. */
void amount_join(const query_state *q, size_t i, compare_op op, amount *a) {
    amount b;
    size_t at = i + a->n, skip;
    if (at >= q->n) return;
    if (q->w[at].is_joined && !q->w[at].is_slash)
        skip = 0;
    else if (word_in(q, at, " to through thru until till ") ||
             (op == OP_BETWEEN && word_is(q, at, "and")))
        skip = 1;
    else
        return;
    skip += word_in(q, at + skip, " the ") ? 1 : 0;
    size_t n = amount_at(q, at + skip, &b);
    if (!n) return;
    if (a->role == ROLE_NONE && b.is_hours) a->lo *= 60, a->hi *= 60;
    if (amount_is_year(a->lo) && a->role == ROLE_NONE && b.lo < 100 &&
        b.role == ROLE_NONE && q->w[at].is_joined)
        b.hi += floor(a->lo / 100) * 100; /* "1990-95" */
    if (a->role == ROLE_NONE) a->role = b.role;
    if (a->facet < 0) a->facet = b.facet;
    if (b.hi < a->lo) return;
    a->hi = b.hi;
    a->is_range = true;
    a->is_decade |= b.is_decade;
    a->is_narrowed |= b.is_narrowed;
    a->n += skip + n;
}
