/* query_lex.c - the words of a request with everything that their spelling tells.
 *
 *     "sci-fi from the '90s, under $20"
 *      sci  fi(joined)  from  the  90s(number 90, decade)  under  20(number 20, currency)
 *
 * The tokenizer says where words are; this file looks at the bytes around and inside them:
 * capital letters, quotes, hyphens and slashes, currency signs, ordinals and units glued to
 * figures. Word lists that several rules share are here too, written as " a b c ".
 *
 * Invariants
 *  I1  q->n <= QUERY_MAX_WORDS; the bytes of word i are text[t.begin..t.end).
 *  I2  a word with has_number has a finite number.
 */
#include "query.h"
#include <math.h>

/* ---- one word ----------------------------------------------------------------------- */

static uint32_t char_before(const query_state *q, size_t at) {
    if (!at) return 0;
    size_t i = at - 1;
    while (i > 0 && at - i < 4 && ((unsigned char)q->text[i] & 0xC0) == 0x80) i--;
    return utf8_next(q->text, q->nbyte, &i);
}

static uint32_t char_at(const query_state *q, size_t at) {
    return at < q->nbyte ? utf8_next(q->text, q->nbyte, &at) : 0;
}

static bool is_currency(uint32_t c) {
    return c == '$' || c == 0xA3 || c == 0xA5 || (c >= 0x20A0 && c <= 0x20BF);
}

static bool begins_capital(const query_state *q, const token *t) {
    uint32_t c = char_at(q, t->begin);
    if (c < 0x80) return c >= 'A' && c <= 'Z';
    char upper[4], folded[8];
    size_t n = utf8_put(upper, c), m = text_fold(folded, sizeof folded, upper, n);
    /* An accented letter: capital if it is in the first half of its block (Latin-1) or even. */
    if (c >= 0xC0 && c < 0xDF) return true;
    if (c >= 0x100 && c < 0x180) return !(c & 1);
    return c >= 0x370 && (m != n || memcmp(upper, folded, n) != 0);
}

/* "1h30", "2h", "90s", "19th", "16gb", "4k": the letters behind the figures of a word. */
static void read_suffix(qword *w, const char *s, size_t n) {
    static const char *const ordinal[] = {"nd", "rd", "st", "th"};
    char low[16];
    n = text_fold(low, sizeof low, s, n < 12 ? n : 12);
    size_t k = 0;
    while (k < n && low[k] == '\'') k++;
    const char *p = low + k;
    n -= k;
    if (n == 1 && p[0] == 's') {
        w->is_decade = w->number == floor(w->number) && w->number < 3000;
    } else if (text_in_list(ordinal, 4, p, n)) {
        w->is_ordinal = true;
    } else if (n == 1 && p[0] == 'k' && w->has_currency) {
        w->number *= 1000;
    } else if (n > 1 && p[0] == 'h' && p[1] >= '0' && p[1] <= '9') {
        double minutes = 0;
        rec_parse_number(p + 1, n - 1, &minutes);
        w->number = w->number * 60 + minutes;
        memcpy(w->unit, "min", 4);
    } else if (n < sizeof w->unit && p[0] >= 'a' && p[0] <= 'z') {
        memcpy(w->unit, p, n);
        w->unit[n] = 0;
    } else {
        w->has_number = n == 0;
    }
}

static void read_number(const query_state *q, qword *w) {
    const char *s = q->text + w->t.begin;
    size_t n = w->t.end - w->t.begin;
    char figures[TOKEN_MAX_BYTES];
    size_t used = 0, at = 0;
    if (s[0] < '0' || s[0] > '9') return;
    for (;
         at < n && used < 20 && ((s[at] >= '0' && s[at] <= '9') || strchr(",.", s[at]));
         at++)
        if (s[at] != ',' && s[at]) figures[used++] = s[at];
    if (!rec_parse_number(figures, used, &w->number) || !isfinite(w->number)) return;
    w->has_number = true;
    w->has_currency =
        is_currency(char_before(q, w->t.begin)) || is_currency(char_at(q, w->t.end));
    w->has_plus = char_at(q, w->t.end) == '+';
    if (at < n) read_suffix(w, s + at, n - at);
}

static void look_around(const query_state *q, size_t i) {
    qword *w = &q->w[i];
    w->is_capital = begins_capital(q, &w->t);
    if (i) {
        size_t gap = w->t.begin - q->w[i - 1].t.end;
        char c = gap ? q->text[q->w[i - 1].t.end] : 0;
        uint32_t mark = gap <= 3 && gap ? char_at(q, q->w[i - 1].t.end) : 0;
        w->is_joined = (gap == 1 && (c == '-' || c == '/')) ||
                       (gap == 3 && mark >= 0x2010 && mark <= 0x2015);
        /* "$50-$100": the sign stands between. */
        if (gap == 2 && c == '-' && is_currency(char_before(q, w->t.begin)))
            w->is_joined = true;
        w->is_slash = gap == 1 && c == '/';
    }
    read_number(q, w);
}

/* Quotes must close; a single quote opens only before a letter and behind no letter. */
static void mark_quotes(const query_state *q) {
    static const uint32_t pairs[][2] = {
        {'"', '"'}, {0x201C, 0x201D}, {0xAB, 0xBB}, {0x2018, 0x2019}, {'\'', '\''}};
    for (size_t i = 0; i < q->n; i++) {
        uint32_t open = char_before(q, q->w[i].t.begin), close = 0;
        for (size_t k = 0; k < sizeof pairs / sizeof pairs[0]; k++)
            if (pairs[k][0] == open) close = pairs[k][1];
        if (!close || q->w[i].is_quoted || (open == '\'' && q->w[i].has_number))
            continue;
        for (size_t j = i; j < q->n && j < i + TITLE_MAX_WORDS; j++) {
            size_t at = q->w[j].t.end;
            while (at < q->nbyte && strchr(".,!?", q->text[at]) && q->text[at]) at++;
            if (char_at(q, at) != close) continue;
            for (size_t k = i; k <= j; k++) q->w[k].is_quoted = true;
            break;
        }
    }
}

rec_status query_lex(query_state *q) {
    size_t cap = 0;
    tokenizer tk;
    tokenizer_start(&tk, q->text, q->nbyte, false);
    rec_status rc = REC_OK;
    while (q->n < QUERY_MAX_WORDS) {
        rc = rec_grow(&q->w, &cap, q->n + 1, sizeof *q->w, q->err);
        if (rc) return rc;
        q->w[q->n] = (qword){0};
        if (!tokenizer_next(&tk, &q->w[q->n].t)) break;
        q->n++;
    }
    for (size_t i = 0; i < q->n; i++) look_around(q, i);
    mark_quotes(q);
    return REC_OK;
}

/* ---- comparing words -------------------------------------------------------------------- */

bool word_is(const query_state *q, size_t i, const char *word) {
    return i < q->n && strcmp(q->w[i].t.text, word) == 0;
}

bool word_in(const query_state *q, size_t i, const char *list) {
    if (i >= q->n) return false;
    const token *t = &q->w[i].t;
    for (const char *p = list; (p = strstr(p, t->text)); p++)
        if (p > list && p[-1] == ' ' && p[t->n_text] == ' ') return true;
    return false;
}

static size_t pattern_words(const char *pattern) {
    size_t n = 1;
    for (const char *p = pattern; *p; p++) n += *p == ' ';
    return n;
}

size_t words_at(const query_state *q, size_t i, const char *pattern) {
    size_t n = 0;
    for (const char *p = pattern; *p; n++) {
        size_t k = strcspn(p, " ");
        if (i + n >= q->n) return 0;
        const token *t = &q->w[i + n].t;
        if (n && t->after_break) return 0;
        bool is_any = k == 1 && *p == '_';
        if (!is_any && (t->n_text != k || memcmp(t->text, p, k) != 0)) return 0;
        p += k + (p[k] == ' ');
    }
    return n;
}

size_t words_before(const query_state *q, size_t i, const char *pattern) {
    size_t n = pattern_words(pattern);
    return n <= i && !(i < q->n && q->w[i].t.after_break) ? words_at(q, i - n, pattern)
                                                          : 0;
}

bool word_is_generic(const query_state *q, size_t i) {
    return word_in(
        q, i,
        " film films movie movies flick flicks picture pictures book books novel "
        "novels title titles item items product products thing things stuff one "
        "ones something anything series show shows read reads watch pick picks "
        "option options model models story stories tale tales work works reading "
        "viewing cinema production productions ");
}

bool word_is_vague(const query_state *q, size_t i) {
    if (i >= q->n) return false;
    if (q->w[i].t.is_stop || word_is_generic(q, i)) return true;
    if (word_is(q, i, "love"))
        return i && word_in(q, i - 1, " i we id would you they ");
    return word_in(
        q, i,
        " set year years preferably ideally especially mostly mood language languages "
        "good nice great best cool decent awesome amazing "
        "favorite favourite "
        "favorites "
        "favourites excellent interesting recommend recommendation recommendations "
        "recommended "
        "suggest suggestion suggestions find search looking look want wanna wants need "
        "needs "
        "show give got tonight today tomorrow weekend evening please thanks thank "
        "hello hi hey "
        "help surprise anyone someone somebody anybody maybe perhaps really quite "
        "pretty kind "
        "sort bit lot lots feel feeling like enjoy would ideas idea new watch read buy "
        "purchase order see play listen choose pick worth worthwhile nothing "
        "everything whatever "
        "things know tell gimme nice well okay ok yes list top ");
}

bool word_is_free(const query_state *q, size_t i) {
    return i < q->n && q->w[i].use == USE_FREE;
}

void words_use(query_state *q, size_t i, size_t n, word_use use) {
    for (size_t k = i; k < i + n && k < q->n; k++) q->w[k].use = use;
}

/* ---- numbers in words ---------------------------------------------------------------------- */

static const struct {
    const char *word;
    int value;
} number_words[] = {
    {"zero", 0},     {"one", 1},        {"two", 2},       {"three", 3},
    {"four", 4},     {"five", 5},       {"six", 6},       {"seven", 7},
    {"eight", 8},    {"nine", 9},       {"ten", 10},      {"eleven", 11},
    {"twelve", 12},  {"thirteen", 13},  {"fourteen", 14}, {"fifteen", 15},
    {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},
    {"twenty", 20},  {"thirty", 30},    {"forty", 40},    {"fifty", 50},
    {"sixty", 60},   {"seventy", 70},   {"eighty", 80},   {"ninety", 90},
};

static int word_value(const query_state *q, size_t i) {
    for (size_t k = 0; k < sizeof number_words / sizeof number_words[0]; k++)
        if (word_is(q, i, number_words[k].word)) return number_words[k].value;
    return -1;
}

/* "twenty five", "a hundred and fifty", "two thousand". */
static size_t number_in_words(const query_state *q, size_t i, double *out) {
    size_t n = 0;
    int v = word_value(q, i);
    bool is_hundred = words_at(q, i, "a hundred") || words_at(q, i, "a thousand");
    if (v < 0 && !is_hundred) return 0;
    *out = is_hundred ? 1 : v;
    n = 1;
    int unit = v >= 20 ? word_value(q, i + 1) : -1;
    if (unit > 0 && unit < 10) *out += unit, n++;
    if (word_is(q, i + n, "hundred")) {
        *out *= 100, n++;
        size_t and = word_is(q, i + n, "and") ? 1 : 0;
        int rest = word_value(q, i + n + and);
        if (rest > 0) *out += rest, n += 1 + and;
    }
    if (word_is(q, i + n, "thousand")) *out *= 1000, n++;
    return n;
}

size_t number_at(const query_state *q, size_t i, double *out) {
    *out = 0;
    if (i >= q->n) return 0;
    size_t n = 0;
    if (q->w[i].has_number && !q->w[i].is_decade && !q->w[i].is_ordinal) {
        *out = q->w[i].number;
        n = 1;
        if (word_is(q, i + 1, "thousand")) *out *= 1000, n++;
    } else {
        n = number_in_words(q, i, out);
    }
    if (n && words_at(q, i + n, "and a half")) *out += 0.5, n += 3;
    return n;
}

/* ---- facets by role ---------------------------------------------------------------------------- */

facet_role query_role(const query_state *q, size_t facet) {
    const vocabulary *v = catalog_vocabulary(q->c);
    return v ? vocabulary_role(v, facet) : ROLE_NONE;
}

int query_role_find(const query_state *q, facet_role role) {
    for (size_t f = 0; q->c && f < catalog_n_facets(q->c); f++)
        if (query_role(q, f) == role) return (int)f;
    return -1;
}

void query_doubt(query_state *q, double d) {
    q->doubt = 1 - (1 - q->doubt) * (1 - d);
}
