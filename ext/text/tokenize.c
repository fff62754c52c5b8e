/* tokenize.c - text of any script and any quality -> folded, stemmed words.
 *
 *     "The Director's caf\xc3\xa9s, in 1999"
 *       the      director   cafe       in      1999        (stemmed: cafes -> cafe)
 *       stop                after_     stop    number
 *                           break=no   after_break=yes
 *
 * A character is decoded from UTF-8 (a byte that is not valid UTF-8 is a separator of its
 * own), put into one of four classes (separator, word, CJK, mark) and folded: lower case for
 * Latin, Greek, Cyrillic and Armenian, accents removed from Latin and Greek. The tables are
 * ranges and three short strings; a full Unicode table would be 20 times as long and change
 * nothing for the names and descriptions that a catalogue holds.
 *
 * Stemming is the English stemmer that M. F. Porter published in 2001 ("Porter2",
 * snowballstem.org/algorithms/english/stemmer.html), without its step for apostrophes, which
 * are gone by then. Every suffix rule is a row of a table.
 *
 * Invariants
 *  I1  No input makes the tokenizer read outside s[0..n) or fail; it always ends.
 *  I2  token.text is valid UTF-8, NUL-terminated, 1..TOKEN_MAX_BYTES bytes.
 *  I3  tokens come in order: begin < end <= the next token's begin.
 *  I4  Folding is idempotent: fold(fold(x)) = fold(x).
 *
 * Cost: about 10 ns a byte, no allocation.
 */
#include "text.h"

/* ---- UTF-8 ----------------------------------------------------------------------- */

uint32_t utf8_next(const char *s, size_t n, size_t *at) {
    const unsigned char *p = (const unsigned char *)s + *at;
    size_t left = n - *at;
    uint32_t c = p[0];
    *at += 1;
    if (c < 0x80) return c;
    unsigned extra = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC2 ? 1 : 0;
    if (!extra || c > 0xF4 || left <= extra) return UTF8_BAD;
    uint32_t x = c & (0x3Fu >> extra);
    for (unsigned i = 1; i <= extra; i++) {
        if ((p[i] & 0xC0) != 0x80) return UTF8_BAD;
        x = x << 6 | (p[i] & 0x3F);
    }
    static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
    if (x < least[extra] || x > 0x10FFFF || (x >= 0xD800 && x < 0xE000))
        return UTF8_BAD;
    *at += extra;
    return x;
}

size_t utf8_put(char *out, uint32_t c) {
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* ---- classes and folding --------------------------------------------------------- */

typedef enum { CH_BREAK, CH_WORD, CH_CJK, CH_MARK } char_class;

typedef struct char_range {
    uint32_t first, last;
    char_class is;
} char_range;

/* Ascending; what is in none of them is a separator. Whole blocks of scripts without case
 * count as words: a stray punctuation mark of such a script inside a word does little harm. */
static const char_range char_ranges[] = {
    {0xAA, 0xAA, CH_WORD},       {0xB5, 0xB5, CH_WORD},
    {0xBA, 0xBA, CH_WORD},       {0xC0, 0xD6, CH_WORD},
    {0xD8, 0xF6, CH_WORD},       {0xF8, 0x2AF, CH_WORD},
    {0x300, 0x36F, CH_MARK},     {0x370, 0x37D, CH_WORD},
    {0x37F, 0x386, CH_WORD},     {0x388, 0x3FF, CH_WORD},
    {0x400, 0x482, CH_WORD},     {0x483, 0x489, CH_MARK},
    {0x48A, 0x52F, CH_WORD},     {0x531, 0x556, CH_WORD},
    {0x561, 0x587, CH_WORD},     {0x591, 0x5BD, CH_MARK},
    {0x5D0, 0x5F2, CH_WORD},     {0x620, 0x64A, CH_WORD},
    {0x64B, 0x65F, CH_MARK},     {0x660, 0x669, CH_WORD},
    {0x66E, 0x6D3, CH_WORD},     {0x6D5, 0x6FF, CH_WORD},
    {0x710, 0x7FF, CH_WORD},     {0x800, 0x963, CH_WORD},
    {0x966, 0xE4E, CH_WORD},     {0xE50, 0xE59, CH_WORD},
    {0xE80, 0x10FF, CH_WORD},    {0x1100, 0x11FF, CH_CJK},
    {0x1200, 0x135F, CH_WORD},   {0x1380, 0x166C, CH_WORD},
    {0x166F, 0x167F, CH_WORD},   {0x1780, 0x17D3, CH_WORD},
    {0x1810, 0x1FFF, CH_WORD},   {0x20D0, 0x20FF, CH_MARK},
    {0x2C00, 0x2DFF, CH_WORD},   {0x3005, 0x3007, CH_CJK},
    {0x3041, 0x3096, CH_CJK},    {0x309D, 0x30FA, CH_CJK},
    {0x30FC, 0x312F, CH_CJK},    {0x3131, 0x318E, CH_CJK},
    {0x3400, 0x4DBF, CH_CJK},    {0x4E00, 0x9FFF, CH_CJK},
    {0xA000, 0xABFF, CH_WORD},   {0xAC00, 0xD7A3, CH_CJK},
    {0xF900, 0xFAFF, CH_CJK},    {0xFB00, 0xFDFF, CH_WORD},
    {0xFE00, 0xFE0F, CH_MARK},   {0xFE70, 0xFEFC, CH_WORD},
    {0xFF10, 0xFF19, CH_WORD},   {0xFF21, 0xFF3A, CH_WORD},
    {0xFF41, 0xFF5A, CH_WORD},   {0xFF66, 0xFF9D, CH_CJK},
    {0x10000, 0x1CFFF, CH_WORD}, {0x1E000, 0x1EFFF, CH_WORD},
    {0x20000, 0x3FFFF, CH_CJK},
};

static char_class char_class_of(uint32_t c) {
    if (c < 0x80) return (c | 32) - 'a' < 26u || c - '0' < 10u ? CH_WORD : CH_BREAK;
    size_t lo = 0, hi = sizeof char_ranges / sizeof char_ranges[0];
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c > char_ranges[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == sizeof char_ranges / sizeof char_ranges[0]) return CH_BREAK;
    return c >= char_ranges[lo].first ? char_ranges[lo].is : CH_BREAK;
}

/* Base letters of U+00C0..U+017F; capitals stand for two letters (see fold_pair). */
static const char fold_latin[] = "aaaaaaEceeeeiiii"
                                 "dnooooo*ouuuuyTS"
                                 "aaaaaaEceeeeiiii"
                                 "dnooooo*ouuuuyTy"
                                 "aaaaaaccccccccdd"
                                 "ddeeeeeeeeeegggg"
                                 "gggghhhhiiiiiiii"
                                 "iiJJjjkkklllllll"
                                 "lllnnnnnnnnnoooo"
                                 "ooOOrrrrrrssssss"
                                 "ssttttttuuuuuuuu"
                                 "uuuuwwyyyzzzzzzs";

static const char *fold_pair(char c) {
    switch (c) {
    case 'E': return "ae";
    case 'T': return "th";
    case 'S': return "ss";
    case 'J': return "ij";
    default: return "oe";
    }
}

/* Greek letters with a tonos or dialytika and the bare letter that they fold to. */
static const uint16_t fold_greek[][2] = {
    {0x386, 0x3B1}, {0x388, 0x3B5}, {0x389, 0x3B7}, {0x38A, 0x3B9}, {0x38C, 0x3BF},
    {0x38E, 0x3C5}, {0x38F, 0x3C9}, {0x390, 0x3B9}, {0x3AA, 0x3B9}, {0x3AB, 0x3C5},
    {0x3AC, 0x3B1}, {0x3AD, 0x3B5}, {0x3AE, 0x3B7}, {0x3AF, 0x3B9}, {0x3B0, 0x3C5},
    {0x3C2, 0x3C3}, {0x3CA, 0x3B9}, {0x3CB, 0x3C5}, {0x3CC, 0x3BF}, {0x3CD, 0x3C5},
    {0x3CE, 0x3C9},
};

/* Latin letters beyond Extended-A whose accents are folded: Vietnamese, Pinyin, Romanian. */
static const struct {
    uint16_t first, last;
    char to;
} fold_more[] = {
    {0x1A0, 0x1A1, 'o'},   {0x1AF, 0x1B0, 'u'},   {0x1CD, 0x1CE, 'a'},
    {0x1CF, 0x1D0, 'i'},   {0x1D1, 0x1D2, 'o'},   {0x1D3, 0x1DC, 'u'},
    {0x218, 0x219, 's'},   {0x21A, 0x21B, 't'},   {0x1EA0, 0x1EB7, 'a'},
    {0x1EB8, 0x1EC7, 'e'}, {0x1EC8, 0x1ECB, 'i'}, {0x1ECC, 0x1EE3, 'o'},
    {0x1EE4, 0x1EF1, 'u'}, {0x1EF2, 0x1EF9, 'y'},
};

static uint32_t fold_beyond_latin(uint32_t c) {
    if (c >= 0x370 && c < 0x400) {
        for (size_t i = 0; i < sizeof fold_greek / sizeof fold_greek[0]; i++)
            if (fold_greek[i][0] == c) return fold_greek[i][1];
        return c >= 0x391 && c <= 0x3A9 ? c + 0x20 : c;
    }
    if (c >= 0x400 && c < 0x530) {
        if (c < 0x410) c += 0x50;
        if (c < 0x430) c += 0x20;
        if (c == 0x451) return 0x435;
        bool is_paired =
            (c >= 0x460 && c < 0x482) || (c >= 0x48A && c < 0x4C0) || c >= 0x4D0;
        return is_paired ? c | 1 : c;
    }
    if (c >= 0x531 && c <= 0x556) return c + 0x30;
    if (c >= 0xFF10 && c <= 0xFF19) return c - 0xFF10 + '0';
    if (c >= 0xFF21 && c <= 0xFF3A) return c - 0xFF21 + 'a';
    if (c >= 0xFF41 && c <= 0xFF5A) return c - 0xFF41 + 'a';
    for (size_t i = 0; i < sizeof fold_more / sizeof fold_more[0]; i++)
        if (c >= fold_more[i].first && c <= fold_more[i].last)
            return (unsigned char)fold_more[i].to;
    if (c >= 0x1E00 && c < 0x1E96) return c | 1;
    return c;
}

/* Folded bytes of one character; 0 for a combining mark. out has room for 4 bytes. */
static size_t fold_char(uint32_t c, char out[4]) {
    if (c < 0x80) return out[0] = (char)(c - 'A' < 26u ? c + 32 : c), 1;
    if (c >= 0xC0 && c < 0x180) {
        char to = fold_latin[c - 0xC0];
        if (to >= 'a') return out[0] = to, 1;
        if (to != '*') return memcpy(out, fold_pair(to), 2), 2;
    }
    if (char_class_of(c) == CH_MARK) return 0;
    return utf8_put(out, fold_beyond_latin(c));
}

size_t text_fold(char *out, size_t cap, const char *s, size_t n) {
    size_t used = 0;
    for (size_t at = 0; at < n;) {
        uint32_t c = utf8_next(s, n, &at);
        char piece[4] = {' '};
        size_t len = c == UTF8_BAD || c == 0 ? 1 : fold_char(c, piece);
        if (used + len > cap) break;
        memcpy(out + used, piece, len);
        used += len;
    }
    return used;
}

/* ---- the tokenizer --------------------------------------------------------------- */

void tokenizer_start(tokenizer *t, const char *s, size_t n, bool stem) {
    *t = (tokenizer){.s = s, .n = s ? n : 0, .stem = stem};
}

static bool is_apostrophe(uint32_t c) {
    return c == '\'' || c == 0x2019 || c == 0x2BC;
}

/* Sentence and clause marks; the caller has seen that c is no word character. */
static bool is_clause_mark(uint32_t c) {
    if (c < 0x80) return c && strchr(".,;:!?()[]{}\n", (int)c) != NULL;
    return c == 0x2013 || c == 0x2014 || c == 0x2026 || c == 0x3001 || c == 0x3002 ||
           c == 0xFF0C || c == 0xFF01 || c == 0xFF1F;
}

static bool is_digit_at(const tokenizer *t, size_t at) {
    return at < t->n && t->s[at] >= '0' && t->s[at] <= '9';
}

/* "1,000" is one number: one to three digits, then groups of exactly three. */
static bool is_thousands(const tokenizer *t, size_t begin, size_t comma) {
    return comma - begin <= 3 && is_digit_at(t, comma + 1) &&
           is_digit_at(t, comma + 2) && is_digit_at(t, comma + 3) &&
           !is_digit_at(t, comma + 4);
}

/* May the separator at `at` stand inside the word that began at out->begin? */
static bool token_joins(const tokenizer *t, const token *out, uint32_t c, size_t at,
                        size_t after) {
    if (is_apostrophe(c)) {
        size_t peek = after;
        return after < t->n && char_class_of(utf8_next(t->s, t->n, &peek)) == CH_WORD;
    }
    if (!out->is_number) return false;
    if (c == ',') return is_thousands(t, out->begin, at);
    return c == '.' && is_digit_at(t, after);
}

static void token_append(token *out, uint32_t c) {
    char piece[4];
    size_t len = fold_char(c, piece);
    if (out->n_text + len > TOKEN_MAX_BYTES) return;
    memcpy(out->text + out->n_text, piece, len);
    out->n_text = (uint16_t)(out->n_text + len);
}

/* Skip separators; true when a word character or CJK character begins at t->at. */
static bool tokenizer_skip(tokenizer *t) {
    while (t->at < t->n) {
        size_t next = t->at;
        uint32_t c = utf8_next(t->s, t->n, &next);
        char_class k = char_class_of(c);
        if (k == CH_WORD || k == CH_CJK) return true;
        if (is_clause_mark(c)) t->internal_break = true;
        t->at = next;
    }
    return false;
}

/* Take the characters of one word; t->at stands on its first. */
static void tokenizer_word(tokenizer *t, token *out) {
    size_t apostrophe = 0; /* bytes of text before the last apostrophe */
    out->is_number = true;
    while (t->at < t->n) {
        size_t next = t->at;
        uint32_t c = utf8_next(t->s, t->n, &next);
        char_class k = char_class_of(c);
        if (k == CH_CJK) {
            if (out->n_text) break;
            out->is_number = false;
            token_append(out, c);
            t->at = next;
            break;
        }
        if (k == CH_WORD || k == CH_MARK) {
            if (c - '0' >= 10u && (c < 0xFF10 || c > 0xFF19)) out->is_number = false;
            token_append(out, c);
        } else if (!token_joins(t, out, c, t->at, next)) {
            break;
        } else if (c == '.') {
            token_append(out, c);
        } else if (is_apostrophe(c)) {
            apostrophe = out->n_text;
        }
        t->at = next;
    }
    out->end = t->at;
    if (apostrophe && out->n_text == apostrophe + 1 && out->text[apostrophe] == 's')
        out->n_text--;
}

bool tokenizer_next(tokenizer *t, token *out) {
    for (;;) {
        if (!tokenizer_skip(t)) return false;
        out->n_text = 0;
        out->begin = out->end = t->at;
        tokenizer_word(t, out);
        if (out->n_text) break;
    }
    out->text[out->n_text] = 0;
    out->after_break = t->internal_break && out->begin > 0;
    t->internal_break = false;
    out->is_stop = text_is_stop(out->text, out->n_text);
    if (t->stem && !out->is_number) {
        out->n_text = (uint16_t)stem_english(out->text, out->n_text);
        out->text[out->n_text] = 0;
    }
    return true;
}

/* ---- stop words ------------------------------------------------------------------ */

/* Sorted by strcmp. Words that carry structure in a request ("not", "under") are here too:
 * the request rules look at them before anybody asks whether they are stop words. */
static const char *const stop_words[] = {
    "a",          "about",      "above",    "after",  "again",   "against",
    "all",        "also",       "am",       "an",     "and",     "any",
    "are",        "arent",      "as",       "at",     "be",      "because",
    "been",       "before",     "being",    "below",  "between", "both",
    "but",        "by",         "can",      "cannot", "cant",    "could",
    "couldnt",    "did",        "didnt",    "do",     "does",    "doesnt",
    "doing",      "dont",       "down",     "during", "each",    "either",
    "else",       "ever",       "few",      "for",    "from",    "further",
    "get",        "had",        "has",      "hasnt",  "have",    "havent",
    "having",     "he",         "her",      "here",   "hers",    "herself",
    "him",        "himself",    "his",      "how",    "however", "i",
    "id",         "if",         "ill",      "im",     "in",      "into",
    "is",         "isnt",       "it",       "its",    "itself",  "ive",
    "just",       "let",        "lets",     "may",    "me",      "might",
    "more",       "most",       "much",     "must",   "my",      "myself",
    "neither",    "no",         "nor",      "not",    "of",      "off",
    "on",         "once",       "one",      "only",   "onto",    "or",
    "other",      "others",     "ought",    "our",    "ours",    "ourselves",
    "out",        "over",       "own",      "please", "same",    "shall",
    "she",        "should",     "shouldnt", "so",     "some",    "such",
    "than",       "that",       "thats",    "the",    "their",   "theirs",
    "them",       "themselves", "then",     "there",  "these",   "they",
    "this",       "those",      "through",  "to",     "too",     "under",
    "until",      "up",         "upon",     "us",     "very",    "was",
    "wasnt",      "we",         "were",     "werent", "what",    "when",
    "where",      "which",      "while",    "who",    "whom",    "whose",
    "why",        "will",       "with",     "within", "without", "wont",
    "would",      "wouldnt",    "you",      "your",   "yours",   "yourself",
    "yourselves",
};

bool text_is_stop(const char *word, size_t n) {
    return text_in_list(stop_words, sizeof stop_words / sizeof stop_words[0], word, n);
}

bool text_in_list(const char *const *sorted, size_t n_list, const char *word,
                  size_t n) {
    size_t lo = 0, hi = n_list;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = strncmp(sorted[mid], word, n);
        if (order == 0 && sorted[mid][n]) order = 1;
        if (order == 0) return true;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/* ---- spelling distance ----------------------------------------------------------- */

#define EDIT_MAX_BYTES 96

/* Optimal string alignment: insert, delete, replace, swap of neighbours, each 1. */
int text_edit_distance(const char *a, size_t na, const char *b, size_t nb, int limit) {
    size_t gap = na > nb ? na - nb : nb - na;
    if (limit < 0 || gap > (size_t)limit) return limit + 1;
    if (na > EDIT_MAX_BYTES || nb > EDIT_MAX_BYTES)
        return na == nb && memcmp(a, b, na) == 0 ? 0 : limit + 1;
    int rows[3][EDIT_MAX_BYTES + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++) last[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = (int)i;
        int best = now[0];
        for (size_t j = 1; j <= nb; j++) {
            int d = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < d) d = last[j] + 1;
            if (now[j - 1] + 1 < d) d = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < d)
                d = before[j - 2] + 1;
            now[j] = d;
            if (d < best) best = d;
        }
        if (best > limit) return limit + 1;
        int *spare = before;
        before = last, last = now, now = spare;
    }
    return last[nb] <= limit ? last[nb] : limit + 1;
}
