/* stem.c - the English stemmer of M. F. Porter (2001), as tables.
 *
 *     comedy, comedies -> comedi        animated, animation -> anim
 *
 * snowballstem.org/algorithms/english/stemmer.html gives the steps 0 to 5 whose numbers the
 * functions here carry. A word is a sequence of vowels (a e i o u y) and others; a 'y' at the
 * start or after a vowel is a consonant and written 'Y' while we work. Two regions decide
 * which suffixes may go: R1 begins after the first consonant that follows a vowel, R2 is R1
 * of R1. Step 0 (apostrophes) is left out: the tokenizer has dropped them.
 *
 * Invariants
 *  I1  The result is never longer than the word and never empty.
 *  I2  Words of up to two letters, and words with anything but a-z in them, are unchanged.
 *
 * Cost: a few hundred nanoseconds a word.
 */
#include "text.h"

typedef struct stem_word {
    char *w;
    size_t n, r1, r2;
} stem_word;

static bool is_vowel(char c) {
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' || c == 'y';
}

static bool has_vowel(const char *w, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (is_vowel(w[i])) return true;
    return false;
}

static bool ends(const stem_word *s, const char *suffix) {
    size_t k = strlen(suffix);
    return s->n >= k && memcmp(s->w + s->n - k, suffix, k) == 0;
}

static void put_suffix(stem_word *s, size_t n_cut, const char *suffix) {
    size_t k = strlen(suffix);
    s->n -= n_cut;
    memcpy(s->w + s->n, suffix, k);
    s->n += k;
}

/* Does w[0..n) end in a short syllable? */
static bool ends_short(const char *w, size_t n) {
    if (n == 2) return is_vowel(w[0]) && !is_vowel(w[1]);
    if (n < 3) return false;
    char c = w[n - 1];
    return !is_vowel(w[n - 3]) && is_vowel(w[n - 2]) && !is_vowel(c) && c != 'w' &&
           c != 'x' && c != 'Y';
}

static size_t region_after(const stem_word *s, size_t from) {
    for (size_t i = from; i + 1 < s->n; i++)
        if (is_vowel(s->w[i]) && !is_vowel(s->w[i + 1])) return i + 2;
    return s->n;
}

static void find_regions(stem_word *s) {
    static const char *const starts[] = {"gener", "commun", "arsen"};
    s->r1 = 0;
    for (int i = 0; i < 3; i++) {
        size_t k = strlen(starts[i]);
        if (s->n >= k && memcmp(s->w, starts[i], k) == 0) s->r1 = k;
    }
    if (!s->r1) s->r1 = region_after(s, 0);
    s->r2 = region_after(s, s->r1);
}

/* Words that the rules would spoil: "from>to", or the word alone when it stays. */
static const char *const exceptions[] = {
    "skis>ski",     "skies>sky",    "dying>die", "lying>lie",   "tying>tie",
    "idly>idl",     "gently>gentl", "ugly>ugli", "early>earli", "only>onli",
    "singly>singl", "sky",          "news",      "howe",        "atlas",
    "cosmos",       "bias",         "andes",     "series",      "species",
};
static const char *const exceptions_1a[] = {"inning",  "outing",  "canning", "herring",
                                            "earring", "proceed", "exceed",  "succeed"};

static bool stem_exception(stem_word *s) {
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        const char *e = exceptions[i], *to = strchr(e, '>');
        size_t k = to ? (size_t)(to - e) : strlen(e);
        if (k != s->n || memcmp(e, s->w, k) != 0) continue;
        if (to) put_suffix(s, s->n, to + 1);
        return true;
    }
    return false;
}

static void step_1a(stem_word *s) {
    if (ends(s, "sses")) {
        s->n -= 2;
    } else if (ends(s, "ied") || ends(s, "ies")) {
        s->n -= s->n > 4 ? 2 : 1;
    } else if (ends(s, "s") && !ends(s, "us") && !ends(s, "ss")) {
        if (s->n >= 2 && has_vowel(s->w, s->n - 2)) s->n--;
    }
}

static bool is_double(const stem_word *s) {
    static const char doubles[] = "bdfgmnprt";
    char c = s->w[s->n - 1];
    return s->n > 1 && s->w[s->n - 2] == c && strchr(doubles, c);
}

static void step_1b(stem_word *s) {
    static const char *const suffix[] = {"ingly", "edly", "ing", "ed"};
    if (ends(s, "eedly") || ends(s, "eed")) {
        size_t k = ends(s, "eed") ? 3 : 5;
        if (s->n - k >= s->r1) put_suffix(s, k, "ee");
        return;
    }
    for (int i = 0; i < 4; i++) {
        size_t k = strlen(suffix[i]);
        if (!ends(s, suffix[i])) continue;
        if (!has_vowel(s->w, s->n - k)) return;
        s->n -= k;
        if (ends(s, "at") || ends(s, "bl") || ends(s, "iz"))
            put_suffix(s, 0, "e");
        else if (is_double(s))
            s->n--;
        else if (s->r1 >= s->n && ends_short(s->w, s->n))
            put_suffix(s, 0, "e");
        return;
    }
}

static void step_1c(stem_word *s) {
    char c = s->w[s->n - 1];
    if ((c == 'y' || c == 'Y') && s->n > 2 && !is_vowel(s->w[s->n - 2]))
        s->w[s->n - 1] = 'i';
}

typedef struct stem_rule {
    const char *suffix, *to;
} stem_rule;

/* The longest suffix that matches decides, so the tables are ordered by length. */
static const stem_rule rules_2[] = {
    {"ization", "ize"}, {"ational", "ate"}, {"fulness", "ful"}, {"ousness", "ous"},
    {"iveness", "ive"}, {"tional", "tion"}, {"biliti", "ble"},  {"lessli", "less"},
    {"entli", "ent"},   {"ation", "ate"},   {"alism", "al"},    {"aliti", "al"},
    {"ousli", "ous"},   {"iviti", "ive"},   {"fulli", "ful"},   {"enci", "ence"},
    {"anci", "ance"},   {"abli", "able"},   {"izer", "ize"},    {"ator", "ate"},
    {"alli", "al"},     {"bli", "ble"},     {"ogi", "og"},      {"li", ""},
};
static const stem_rule rules_3[] = {
    {"ational", "ate"}, {"tional", "tion"}, {"alize", "al"},
    {"icate", "ic"},    {"iciti", "ic"},    {"ative", ""},
    {"ical", "ic"},     {"ness", ""},       {"ful", ""},
};
static const stem_rule rules_4[] = {
    {"ement", ""}, {"ance", ""}, {"ence", ""}, {"able", ""}, {"ible", ""}, {"ment", ""},
    {"ant", ""},   {"ent", ""},  {"ism", ""},  {"ate", ""},  {"iti", ""},  {"ous", ""},
    {"ive", ""},   {"ize", ""},  {"ion", ""},  {"al", ""},   {"er", ""},   {"ic", ""},
};

static const stem_rule *longest(const stem_word *s, const stem_rule *r, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ends(s, r[i].suffix)) return &r[i];
    return NULL;
}

static void step_2(stem_word *s) {
    const stem_rule *r = longest(s, rules_2, sizeof rules_2 / sizeof rules_2[0]);
    if (!r) return;
    size_t k = strlen(r->suffix);
    if (s->n - k < s->r1) return;
    char before = s->n > k ? s->w[s->n - k - 1] : 0;
    if (!strcmp(r->suffix, "ogi") && before != 'l') return;
    if (!strcmp(r->suffix, "li") && (!before || !strchr("cdeghkmnrt", before))) return;
    put_suffix(s, k, r->to);
}

static void step_3(stem_word *s) {
    const stem_rule *r = longest(s, rules_3, sizeof rules_3 / sizeof rules_3[0]);
    if (!r) return;
    size_t k = strlen(r->suffix), need = !strcmp(r->suffix, "ative") ? s->r2 : s->r1;
    if (s->n - k >= need) put_suffix(s, k, r->to);
}

static void step_4(stem_word *s) {
    const stem_rule *r = longest(s, rules_4, sizeof rules_4 / sizeof rules_4[0]);
    if (!r) return;
    size_t k = strlen(r->suffix);
    if (s->n - k < s->r2) return;
    char before = s->n > k ? s->w[s->n - k - 1] : 0;
    if (!strcmp(r->suffix, "ion") && before != 's' && before != 't') return;
    s->n -= k;
}

static void step_5(stem_word *s) {
    if (ends(s, "e")) {
        if (s->n - 1 >= s->r2 || (s->n - 1 >= s->r1 && !ends_short(s->w, s->n - 1)))
            s->n--;
    } else if (ends(s, "ll") && s->n - 1 >= s->r2) {
        s->n--;
    }
}

static bool is_stem_1a(const stem_word *s) {
    for (size_t i = 0; i < sizeof exceptions_1a / sizeof exceptions_1a[0]; i++)
        if (strlen(exceptions_1a[i]) == s->n && !memcmp(exceptions_1a[i], s->w, s->n))
            return true;
    return false;
}

size_t stem_english(char *word, size_t n) {
    if (n <= 2) return n;
    for (size_t i = 0; i < n; i++)
        if (word[i] < 'a' || word[i] > 'z') return n;
    stem_word s = {.w = word, .n = n};
    if (stem_exception(&s)) return s.n;
    for (size_t i = 0; i < n; i++)
        if (word[i] == 'y' && (i == 0 || is_vowel(word[i - 1]))) word[i] = 'Y';
    find_regions(&s);
    step_1a(&s);
    if (!is_stem_1a(&s)) {
        step_1b(&s);
        step_1c(&s);
        step_2(&s);
        step_3(&s);
        step_4(&s);
        step_5(&s);
    }
    for (size_t i = 0; i < s.n; i++)
        if (word[i] == 'Y') word[i] = 'y';
    return s.n;
}
