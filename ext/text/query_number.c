/* query_number.c - amounts in a sentence -> bounds on numeric facets.
 *
 *     "under two hours"          [<] [2 hours]          runtime  max 120
 *     "rated 4 stars or more"    [4 stars] [>=]         rating   min 4
 *     "between $50 and $100"     [50..100 money]        price    min 50 max 100
 *     "before the 80s"           [<] [1980..1989]       year     max 1979
 *     "nothing over 300 pages"   [not >] [300 pages]    pages    max 300
 *     "for a 9 year old"         [9 years old]          min_age  max 9
 *
 * An amount is a number or a span (a decade is one from the start) with what its unit says
 * about the facet. A comparison stands before it or behind it; without one the unit decides
 * ("$200" is a limit, "1994" a date). Which facet: the unit, else a word nearby that names
 * one, else what the comparison implies ("after" wants a year), else whose range holds it.
 *
 * Years are whole, so "after 2005" is 2006 and later; everything else is inclusive, because
 * nobody who says "under $200" would send back what costs 200.
 *
 * Invariants
 *  I1  every bound is a number of the text, converted by its unit, plus or minus the step that
 *      the comparison asks for; "around" widens by APPROX_SHARE, years by APPROX_YEARS.
 *  I2  bounds on a facet only tighten, except "1994 or 1996", which joins.
 */
#include "query.h"
#include <math.h>

#define APPROX_SHARE     0.2
#define APPROX_YEARS     2
#define DENY_MAX_NUMBERS 10

typedef struct number_rule {
    const char *words;
    compare_op op;
    facet_role role; /* what it implies, ROLE_NONE = nothing */
} number_rule;

/* Comparisons before an amount; where one is the end of another, the longer stands first. */
static const number_rule rules_before[] = {
    {"no more than", OP_LE, ROLE_NONE},
    {"not more than", OP_LE, ROLE_NONE},
    {"no less than", OP_GE, ROLE_NONE},
    {"not less than", OP_GE, ROLE_NONE},
    {"no fewer than", OP_GE, ROLE_NONE},
    {"no longer than", OP_LE, ROLE_RUNTIME},
    {"not longer than", OP_LE, ROLE_RUNTIME},
    {"no shorter than", OP_GE, ROLE_RUNTIME},
    {"no later than", OP_LE, ROLE_YEAR},
    {"no earlier than", OP_GE, ROLE_YEAR},
    {"no older than", OP_GE, ROLE_YEAR},
    {"not older than", OP_GE, ROLE_YEAR},
    {"no newer than", OP_LE, ROLE_YEAR},
    {"not newer than", OP_LE, ROLE_YEAR},
    {"less expensive than", OP_LT, ROLE_PRICE},
    {"more expensive than", OP_GT, ROLE_PRICE},
    {"more recent than", OP_GT, ROLE_YEAR},
    {"maximum of", OP_LE, ROLE_NONE},
    {"minimum of", OP_GE, ROLE_NONE},
    {"max of", OP_LE, ROLE_NONE},
    {"budget of", OP_LE, ROLE_PRICE},
    {"budget is", OP_LE, ROLE_PRICE},
    {"less than", OP_LT, ROLE_NONE},
    {"more than", OP_GT, ROLE_NONE},
    {"fewer than", OP_LT, ROLE_NONE},
    {"greater than", OP_GT, ROLE_NONE},
    {"lower than", OP_LT, ROLE_NONE},
    {"higher than", OP_GT, ROLE_NONE},
    {"better than", OP_GT, ROLE_RATING},
    {"cheaper than", OP_LT, ROLE_PRICE},
    {"longer than", OP_GT, ROLE_RUNTIME},
    {"shorter than", OP_LT, ROLE_RUNTIME},
    {"newer than", OP_GT, ROLE_YEAR},
    {"older than", OP_LT, ROLE_YEAR},
    {"later than", OP_GT, ROLE_YEAR},
    {"earlier than", OP_LT, ROLE_YEAR},
    {"prior to", OP_LT, ROLE_YEAR},
    {"younger than", OP_LT, ROLE_AGE},
    {"up to", OP_LE, ROLE_NONE},
    {"at most", OP_LE, ROLE_NONE},
    {"at least", OP_GE, ROLE_NONE},
    {"starting from", OP_GE, ROLE_NONE},
    {"starting at", OP_GE, ROLE_NONE},
    {"starting in", OP_GE, ROLE_YEAR},
    {"upwards of", OP_GE, ROLE_NONE},
    {"not exceeding", OP_LE, ROLE_NONE},
    {"just under", OP_LT, ROLE_NONE},
    {"just over", OP_GT, ROLE_NONE},
    {"as of", OP_GE, ROLE_YEAR},
    {"under", OP_LT, ROLE_NONE},
    {"below", OP_LT, ROLE_NONE},
    {"beneath", OP_LT, ROLE_NONE},
    {"before", OP_LT, ROLE_YEAR},
    {"pre", OP_LT, ROLE_YEAR},
    {"until", OP_LE, ROLE_YEAR},
    {"till", OP_LE, ROLE_YEAR},
    {"within", OP_LE, ROLE_NONE},
    {"max", OP_LE, ROLE_NONE},
    {"maximum", OP_LE, ROLE_NONE},
    {"over", OP_GT, ROLE_NONE},
    {"above", OP_GT, ROLE_NONE},
    {"exceeding", OP_GT, ROLE_NONE},
    {"beyond", OP_GT, ROLE_NONE},
    {"after", OP_GT, ROLE_YEAR},
    {"post", OP_GT, ROLE_YEAR},
    {"since", OP_GE, ROLE_YEAR},
    {"min", OP_GE, ROLE_NONE},
    {"minimum", OP_GE, ROLE_NONE},
    {"between", OP_BETWEEN, ROLE_NONE},
    {"around", OP_ABOUT, ROLE_NONE},
    {"about", OP_ABOUT, ROLE_NONE},
    {"circa", OP_ABOUT, ROLE_YEAR},
    {"roughly", OP_ABOUT, ROLE_NONE},
    {"approximately", OP_ABOUT, ROLE_NONE},
    {"approx", OP_ABOUT, ROLE_NONE},
    {"exactly", OP_EQ, ROLE_NONE},
    {"from", OP_EQ, ROLE_NONE},
    {"during", OP_EQ, ROLE_YEAR},
    {"throughout", OP_EQ, ROLE_YEAR},
    {"in", OP_EQ, ROLE_YEAR},
    {"year", OP_EQ, ROLE_YEAR},
    {"of", OP_EQ, ROLE_NONE},
    {"for", OP_NONE, ROLE_NONE},
    {"is", OP_NONE, ROLE_NONE},
};

static const number_rule rules_behind[] = {
    {"or less", OP_LE, ROLE_NONE},      {"or under", OP_LE, ROLE_NONE},
    {"or below", OP_LE, ROLE_NONE},     {"or cheaper", OP_LE, ROLE_PRICE},
    {"or fewer", OP_LE, ROLE_NONE},     {"or shorter", OP_LE, ROLE_RUNTIME},
    {"or lower", OP_LE, ROLE_NONE},     {"or earlier", OP_LE, ROLE_YEAR},
    {"or before", OP_LE, ROLE_YEAR},    {"or older", OP_LE, ROLE_YEAR},
    {"and older", OP_LE, ROLE_YEAR},    {"and earlier", OP_LE, ROLE_YEAR},
    {"and under", OP_LE, ROLE_NONE},    {"and below", OP_LE, ROLE_NONE},
    {"at most", OP_LE, ROLE_NONE},      {"at the most", OP_LE, ROLE_NONE},
    {"tops", OP_LE, ROLE_NONE},         {"max", OP_LE, ROLE_NONE},
    {"maximum", OP_LE, ROLE_NONE},      {"or more", OP_GE, ROLE_NONE},
    {"or over", OP_GE, ROLE_NONE},      {"or above", OP_GE, ROLE_NONE},
    {"or higher", OP_GE, ROLE_NONE},    {"or better", OP_GE, ROLE_RATING},
    {"or longer", OP_GE, ROLE_RUNTIME}, {"or later", OP_GE, ROLE_YEAR},
    {"or newer", OP_GE, ROLE_YEAR},     {"or after", OP_GE, ROLE_YEAR},
    {"or up", OP_GE, ROLE_NONE},        {"and up", OP_GE, ROLE_NONE},
    {"and upwards", OP_GE, ROLE_NONE},  {"and above", OP_GE, ROLE_NONE},
    {"and over", OP_GE, ROLE_NONE},     {"and more", OP_GE, ROLE_NONE},
    {"and higher", OP_GE, ROLE_NONE},   {"and later", OP_GE, ROLE_YEAR},
    {"and newer", OP_GE, ROLE_YEAR},    {"and after", OP_GE, ROLE_YEAR},
    {"and onwards", OP_GE, ROLE_YEAR},  {"and onward", OP_GE, ROLE_YEAR},
    {"onwards", OP_GE, ROLE_YEAR},      {"onward", OP_GE, ROLE_YEAR},
    {"upwards", OP_GE, ROLE_NONE},      {"at least", OP_GE, ROLE_NONE},
    {"minimum", OP_GE, ROLE_NONE},      {"on", OP_GE, ROLE_YEAR},
    {"plus", OP_GE, ROLE_NONE},
};

/* ---- which facet ------------------------------------------------------------------------------ */

static const struct {
    const char *words;
    facet_role role;
} hint_words[] = {
    {" rating rated ratings score scored scoring reviews imdb ", ROLE_RATING},
    {" price priced prices cost costs costing budget spend pay paying cheaper ",
     ROLE_PRICE},
    {" runtime length long duration lasting lasts runs running ", ROLE_RUNTIME},
    {" age ages aged kid kids child children toddler toddlers son daughter boy girl "
     "boys girls "
     "teen teens teenager ",
     ROLE_AGE},
    {" released release published made filmed shot written year came dated years ",
     ROLE_YEAR},
};

static facet_role role_hint(const query_state *q, size_t i) {
    for (size_t k = 0; k < sizeof hint_words / sizeof hint_words[0]; k++)
        if (word_in(q, i, hint_words[k].words)) return hint_words[k].role;
    return ROLE_NONE;
}

static bool in_range(const query_state *q, int f, double x, double slack) {
    double min, max;
    facet_range(q->c, (size_t)f, &min, &max);
    return x >= min - slack && x <= max + slack;
}

/* Facets whose range holds the number, the more likely first. */
static int facet_by_range(query_state *q, const amount *a) {
    static const facet_role order[] = {ROLE_PRICE, ROLE_RUNTIME, ROLE_RATING,
                                       ROLE_PAGES, ROLE_NONE};
    int found = -1, n = 0, rating = query_role_find(q, ROLE_RATING);
    if (rating >= 0 && a->lo != floor(a->lo) && in_range(q, rating, a->lo, 0)) {
        query_doubt(q, 0.1);
        return rating; /* "at least 4.2" */
    }
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
        for (size_t f = 0; f < catalog_n_facets(q->c); f++) {
            if (facet_kind(q->c, f) != FACET_NUMBER || query_role(q, f) != order[k])
                continue;
            if (!in_range(q, (int)f, a->lo, 0) || !in_range(q, (int)f, a->hi, 0))
                continue;
            if (found < 0) found = (int)f;
            n++;
        }
    if (n) query_doubt(q, n > 1 ? 0.2 : 0.08);
    if (n) return found;
    int price = query_role_find(q, ROLE_PRICE);
    if (price >= 0) query_doubt(q, 0.2);
    return price;
}

typedef struct expression { /* an amount with its comparison and the words of both */
    amount a;
    compare_op op;
    facet_role implied; /* by the comparison */
    facet_role hint;    /* by a word nearby */
    int named;          /* facet named nearby, or -1 */
    bool is_denied;     /* "not from the 80s" */
    size_t begin, end;
} expression;

static int year_facet(query_state *q, const expression *x) {
    int f = query_role_find(q, ROLE_YEAR);
    bool is_year = x->a.is_decade || amount_is_year(x->a.lo);
    if (f < 0 || !is_year || !amount_is_year(x->a.hi)) return -1;
    if (x->a.role != ROLE_NONE && x->a.role != ROLE_YEAR) return -1;
    bool is_near = in_range(q, f, x->a.lo, 120) || in_range(q, f, x->a.hi, 120);
    return is_near || x->implied == ROLE_YEAR ? f : -1;
}

static int choose_facet(query_state *q, expression *x) {
    if (x->a.facet >= 0) return x->a.facet;
    if (x->a.role != ROLE_NONE) return query_role_find(q, x->a.role);
    if (x->named >= 0 &&
        !(amount_is_year(x->a.lo) && !in_range(q, x->named, x->a.lo, 0)))
        return x->named;
    int f =
        x->hint != ROLE_NONE && x->hint != ROLE_YEAR ? query_role_find(q, x->hint) : -1;
    if (f >= 0 && !(amount_is_year(x->a.lo) && !in_range(q, f, x->a.lo, 1000)))
        return f;
    f = year_facet(q, x);
    if (f >= 0) return f;
    bool is_compared = x->op != OP_NONE && x->op != OP_EQ;
    bool is_all = x->a.is_range && x->begin == 0 && x->end == q->n; /* "100 to 200" */
    f = query_role_find(q, ROLE_AGE);
    if (f >= 0 && x->a.has_plus && !x->a.is_range && x->a.lo <= AGE_MAX) return f;
    if (x->implied != ROLE_NONE && x->implied != ROLE_YEAR) {
        f = query_role_find(q, x->implied);
        if (f < 0 && x->implied == ROLE_RUNTIME) f = query_role_find(q, ROLE_PAGES);
        if (f >= 0) return f;
    }
    if (!is_compared && !x->a.has_plus && !is_all) return -1;
    if (x->implied == ROLE_YEAR) return -1; /* "after 7": no year */
    /* "about two brothers", "over one night": words and weak signs prove nothing. */
    if (!x->a.is_figure || x->op == OP_ABOUT) return -1;
    return facet_by_range(q, &x->a);
}

/* ---- reading an expression ------------------------------------------------------------------------ */

static bool is_filler(const query_state *q, size_t i) {
    return word_in(q, i, " the a an year years price of is only only strictly mark ");
}

static bool is_not(const query_state *q, size_t i) {
    return word_in(q, i,
                   " not nothing no none never dont isnt arent neither anything ") &&
           !(word_is(q, i, "anything") &&
             !(i && word_in(q, i - 1, " not dont without want ")));
}

static compare_op negate(compare_op op) {
    switch (op) {
    case OP_LT: return OP_GE;
    case OP_LE: return OP_GT;
    case OP_GT: return OP_LE;
    case OP_GE: return OP_LT;
    default: return op;
    }
}

static const number_rule *rule_before(const query_state *q, size_t i, size_t *n) {
    for (size_t k = 0; k < sizeof rules_before / sizeof rules_before[0]; k++) {
        *n = words_before(q, i, rules_before[k].words);
        if (*n && word_is_free(q, i - 1)) return &rules_before[k];
    }
    return NULL;
}

/* "> 50", "<= 30": the signs between the number and the word before it. */
static compare_op sign_before(const query_state *q, size_t i) {
    size_t end = q->w[i].t.begin, at = i ? q->w[i - 1].t.end : 0;
    compare_op op = OP_NONE;
    for (; at < end; at++) {
        if (q->text[at] == '<') op = OP_LT;
        if (q->text[at] == '>') op = OP_GT;
        if (q->text[at] == '=') op = op == OP_LT ? OP_LE : op == OP_GT ? OP_GE : OP_EQ;
    }
    return op;
}

/* The comparison, its negation and the words that name a facet, leftwards from the amount. */
static void read_left(const query_state *q, expression *x) {
    size_t i = x->begin, n, skip = 0;
    x->op = sign_before(q, i);
    while (skip < 2 && i > skip && !q->w[i - skip].t.after_break &&
           is_filler(q, i - skip - 1) && !rule_before(q, i - skip, &n))
        skip++;
    const number_rule *r = rule_before(q, i - skip, &n);
    if (!r && skip) r = rule_before(q, i, &n), skip = 0;
    if (r) {
        x->op = r->op;
        x->implied = r->role;
        x->begin = i - skip - n;
        size_t k = x->begin;
        for (int skip_more = 0; skip_more < 2; skip_more++)
            if (k &&
                word_in(q, k - 1,
                        " any anything much significantly made released published from "
                        "produced shot filmed written that was were is are "))
                k--;
        if (x->op != OP_EQ && k && is_not(q, k - 1) && word_is_free(q, k - 1)) {
            bool has_own = r->words[0] == 'n' && r->words[1] == 'o';
            if (!has_own) x->op = negate(x->op), x->begin = k - 1;
        } else if (x->op == OP_EQ && k && is_not(q, k - 1) && word_is_free(q, k - 1)) {
            x->is_denied = true;
            x->begin = k - 1;
        }
    } else if (i && word_is_free(q, i - 1) &&
               word_in(q, i - 1, " except excluding not ")) {
        x->is_denied = true; /* "any year except 1995" */
        x->begin = i - 1;
    }
    for (size_t k = 0; k < 3 && x->begin > k; k++) {
        size_t at = x->begin - k - 1;
        if (q->w[at + 1].t.after_break || !word_is_free(q, at)) break;
        x->hint = role_hint(q, at);
        x->named = amount_facet(q, at);
        if (x->hint != ROLE_NONE || x->named >= 0) {
            if (x->hint != ROLE_AGE || word_in(q, at, " age ages aged ")) x->begin = at;
            return;
        }
        if (!is_filler(q, at) && !word_in(q, at, " with in at for out s ")) break;
    }
}

static void read_right(const query_state *q, expression *x) {
    if (x->a.has_plus && (x->op == OP_NONE || x->op == OP_EQ)) x->op = OP_GE;
    if (x->end >= q->n) return;
    for (size_t k = 0; k < sizeof rules_behind / sizeof rules_behind[0]; k++) {
        const number_rule *r = &rules_behind[k];
        size_t n = words_at(q, x->end, r->words);
        amount next;
        if (!n || q->w[x->end].t.after_break) continue;
        if (word_in(q, x->end, " or and ") && amount_at(q, x->end + n, &next))
            continue; /* "4 stars and under 400" */
        if (word_is(q, x->end, "on") && (x->op != OP_EQ || x->end + 1 < q->n)) continue;
        /* "the 90s or more recent", "1990 or more films": only a comparison if it ends there. */
        x->op = r->op;
        if (r->role != ROLE_NONE) x->implied = r->role;
        x->end += n;
        break;
    }
    if (x->hint != ROLE_NONE || x->named >= 0) return;
    for (size_t k = 0; k < 2 && x->end + k < q->n; k++) {
        if (q->w[x->end + k].t.after_break || !word_is_free(q, x->end + k)) return;
        x->hint = role_hint(q, x->end + k);
        x->named = amount_facet(q, x->end + k);
        bool is_unit =
            x->hint == ROLE_RATING || x->hint == ROLE_PRICE || x->hint == ROLE_RUNTIME;
        if (x->hint == ROLE_YEAR || x->hint == ROLE_AGE) x->hint = ROLE_NONE;
        if (is_unit || x->named >= 0) {
            x->end += k + 1;
            return;
        }
        if (!word_in(q, x->end + k, " in a an of star ")) return;
    }
}

/* "films about the 60s", "set in 1944": what it is about, not when it was made. */
static bool is_topic(const query_state *q, const expression *x) {
    if (word_is(q, x->begin, "about"))
        return (x->a.is_decade || (x->begin && word_is_generic(q, x->begin - 1))) &&
               x->a.role != ROLE_RUNTIME && x->a.role != ROLE_PRICE;
    return x->begin && word_in(q, x->begin, " in during ") &&
           word_in(q, x->begin - 1, " set place takes happens happening based ");
}

/* ---- bounds ------------------------------------------------------------------------------------------ */

/* Minutes of the text in the unit of the facet. */
static double runtime_scale(const query_state *q, size_t f) {
    const char *name = facet_name(q->c, f);
    double min, max;
    facet_range(q->c, f, &min, &max);
    if (strstr(name, "hour") || (!strstr(name, "min") && max <= 24)) return 1.0 / 60;
    return strstr(name, "sec") || max > 3000 ? 60 : 1;
}

typedef struct bounds {
    bool has_min, has_max;
    double min, max;
} bounds;

static compare_op default_op(const expression *x, facet_role role) {
    if (x->op != OP_NONE && x->op != OP_EQ) return x->op;
    if (role == ROLE_RATING && !x->a.is_range) return OP_GE;
    if (role == ROLE_PRICE && !x->a.is_range)
        return x->op == OP_EQ && x->a.has_plus ? OP_GE : OP_LE;
    if ((role == ROLE_RUNTIME || role == ROLE_PAGES) && !x->a.is_range) return OP_ABOUT;
    return OP_EQ;
}

static bounds bounds_of(query_state *q, const expression *x, size_t f) {
    facet_role role = query_role(q, f);
    double lo = x->a.lo, hi = x->a.hi, step = role == ROLE_YEAR ? 1 : 0;
    compare_op op = default_op(x, role);
    if (op != x->op && op != OP_EQ && op != OP_ABOUT && !x->a.has_plus)
        query_doubt(q, 0.1);
    if (role == ROLE_RUNTIME && x->a.role == ROLE_RUNTIME) {
        lo *= runtime_scale(q, f);
        hi *= runtime_scale(q, f);
    }
    if (role == ROLE_AGE) {
        double age = op == OP_LT ? lo - 1 : x->a.is_range ? lo : hi;
        return (bounds){.has_max = true, .max = age};
    }
    switch (op) {
    case OP_LT: return (bounds){.has_max = true, .max = lo - step};
    case OP_LE: return (bounds){.has_max = true, .max = hi};
    case OP_GT: return (bounds){.has_min = true, .min = hi + step};
    case OP_GE: return (bounds){.has_min = true, .min = lo};
    case OP_ABOUT:
        query_doubt(q, 0.22);
        if (x->a.is_range) break;
        if (role == ROLE_YEAR)
            return (bounds){true, true, lo - APPROX_YEARS, hi + APPROX_YEARS};
        return (bounds){true, true, lo * (1 - APPROX_SHARE), hi * (1 + APPROX_SHARE)};
    default: break;
    }
    return (bounds){true, true, lo, hi};
}

static rec_status apply_bounds(query_state *q, size_t f, bounds b, bool is_joined) {
    facet_cond *c = filters_at(&q->out->filters, facet_name(q->c, f), q->err);
    if (!c) return q->err->code ? q->err->code : REC_NOMEM;
    if (is_joined && c->has_min && c->has_max && b.has_min && b.has_max) {
        c->min = fmin(c->min, b.min);
        c->max = fmax(c->max, b.max);
        return REC_OK;
    }
    if (b.has_min && (!c->has_min || b.min > c->min)) c->has_min = true, c->min = b.min;
    if (b.has_max && (!c->has_max || b.max < c->max)) c->has_max = true, c->max = b.max;
    if (c->has_min && c->has_max && c->min > c->max) q->has_bad_range = true;
    return REC_OK;
}

/* "not from the 80s": the years one by one; a longer span cannot be said. */
static rec_status deny_span(query_state *q, size_t f, const amount *a) {
    rec_status rc = REC_OK;
    if (a->hi - a->lo >= DENY_MAX_NUMBERS) {
        query_doubt(q, 0.4);
        return REC_OK;
    }
    facet_cond *c = filters_at(&q->out->filters, facet_name(q->c, f), q->err);
    if (!c) return q->err->code ? q->err->code : REC_NOMEM;
    for (double x = a->lo; !rc && x <= a->hi; x++) {
        char text[40];
        size_t n = rec_format(text, sizeof text, "%.12g", x);
        rc = facet_cond_add(c, 'n', text, n, q->err);
    }
    return rc;
}

/* The unit named a quantity that the catalogue does not have: say nothing, search nothing. */
static bool is_unusable(const expression *x) {
    return x->a.role != ROLE_NONE && x->a.role != ROLE_YEAR;
}

/* "5 comedies", "three films", "top 10": how many are wanted, no condition. */
static bool is_count(const query_state *q, const expression *x) {
    const vocab_entry *e;
    size_t n_entry;
    if (x->op != OP_NONE || x->a.role != ROLE_NONE || x->a.facet >= 0 ||
        x->a.is_range || x->a.lo > 100 || x->a.lo != floor(x->a.lo) ||
        x->end >= q->n + 1)
        return false;
    if (x->begin && word_in(q, x->begin - 1, " top best first ")) return true;
    if (x->end >= q->n || q->w[x->end].t.after_break) return false;
    size_t n = query_phrase_at(q, x->end, &e, &n_entry);
    const token *t = &q->w[x->end + (n ? n - 1 : 0)].t;
    bool is_plural = t->text[t->n_text - 1] == 's';
    return (n || word_is_generic(q, x->end)) && is_plural;
}

rec_status query_numbers(query_state *q) {
    int last_facet = -1;
    size_t last_end = 0;
    rec_status rc = REC_OK;
    for (size_t i = 0; q->c && !rc && i < q->n; i++) {
        expression x = {.named = -1};
        if (!amount_at(q, i, &x.a)) continue;
        x.begin = i;
        read_left(q, &x);
        amount_join(q, i, x.op, &x.a);
        x.end = i + x.a.n;
        read_right(q, &x);
        if (is_topic(q, &x)) {
            i = x.end - 1;
            continue;
        }
        int f = is_count(q, &x) ? -1 : choose_facet(q, &x);
        if (f < 0 && is_count(q, &x)) {
            words_use(q, x.begin, x.end - x.begin, USE_RULE);
            i = x.end - 1;
            continue;
        }
        if (f < 0) {
            if (is_unusable(&x)) words_use(q, x.begin, x.end - x.begin, USE_RULE);
            if (x.op != OP_NONE || is_unusable(&x)) query_doubt(q, 0.25);
            i += x.a.n - 1;
            continue;
        }
        bool is_joined = f == last_facet && x.begin == last_end + 1 &&
                         word_in(q, last_end, " or and ");
        if (x.a.is_narrowed) query_doubt(q, 0.12);
        if (x.is_denied)
            rc = deny_span(q, (size_t)f, &x.a);
        else
            rc = apply_bounds(q, (size_t)f, bounds_of(q, &x, (size_t)f), is_joined);
        if (is_joined) words_use(q, last_end, 1, USE_RULE);
        words_use(q, x.begin, x.end - x.begin, USE_RULE);
        last_facet = f;
        last_end = x.end;
        i = x.end - 1;
    }
    return rc;
}
