/* claims.c - which sentences of a model may stand beside a record.
 *
 *     record    {"title": "Quiet Harbour", "overview": "A widow keeps a cafe by the sea."}
 *
 *     "A widow keeps a cafe."                    stated    every word of it stands in the record
 *     "A calm film for a rainy evening."         inferred  it says more, but names and counts nothing new
 *     "Tom Hanks keeps a cafe."                  invented  a name that the record has not
 *     "Winner of seven prizes in 1998."          invented  numbers that the record has not
 *
 * A name is a word with a capital letter, unless it opens the sentence; a word that opens it is one too when a
 * verb or a possessive follows ("Spielberg directs", "Pixar's"). That loses a harmless sentence now and then and
 * lets few names through. Names in lower case cannot be told from other words: what
 * holds them is merely inferred, and never shown as a fact.
 *
 * Invariants
 *   C1  a stated sentence has no word, bar those that carry no content, that is not a word of the record; words
 *       that deny are looked for like any other.
 *   C2  a sentence that is not invented holds no number, in digits or in words, that is not in the record.
 */
#include "llm.h"

struct claims {
    const char *const *text; /* borrowed */
    size_t n_text;
    dict *stems; /* owned: of all texts */
};

void claims_free(claims *c) {
    if (!c) return;
    dict_free(c->stems);
    rec_free(c);
}

rec_status claims_new(const char *const *text, size_t n_text, claims **out,
                      rec_err *err) {
    claims *c = rec_zeros(1, sizeof *c);
    *out = NULL;
    if (!c) return rec_nomem(err);
    c->text = text, c->n_text = n_text;
    c->stems = dict_new();
    rec_status st = c->stems ? REC_OK : rec_nomem(err);
    for (size_t i = 0; i < n_text && !st; i++) {
        tokenizer t;
        token tok;
        uint32_t pos;
        tokenizer_start(&t, text[i], strlen(text[i]), true);
        while (!st && tokenizer_next(&t, &tok))
            st = dict_add(c->stems, tok.text, tok.n_text, &pos, err);
    }
    if (st)
        claims_free(c);
    else
        *out = c;
    return st;
}

/* ---- words that tell ------------------------------------------------------------------------- */

static bool in_list(const char *const *list, size_t n, const token *t) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], t->text) == 0) return true;
    return false;
}

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* By their stems. "one" is left out: it is seldom a number. */
static bool is_number_word(const token *t) {
    static const char *const words[] = {
        "two",     "three", "four",   "five",    "six",      "seven",
        "eight",   "nine",  "ten",    "eleven",  "twelv",    "twenti",
        "thirti",  "forti", "fifti",  "sixti",   "seventi",  "eighti",
        "nineti",  "dozen", "hundr",  "hundred", "thousand", "million",
        "billion", "twice", "thrice", "twelve",  "twenty",   "thirty",
        "forty",   "fifty", "sixty",  "seventy", "eighty",   "ninety"};
    return in_list(words, N_OF(words), t);
}

static bool denies(const token *t) {
    static const char *const words[] = {"no", "not", "never", "without", "nor", "none"};
    return in_list(words, N_OF(words), t);
}

static bool starts_upper(const char *s, size_t n) {
    size_t at = 0;
    uint32_t c = n ? utf8_next(s, n, &at) : 0;
    if (c == UTF8_BAD) return false;
    return (c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) ||
           (c >= 0x100 && c <= 0x17F && c % 2 == 0) || (c >= 0x391 && c <= 0x3A9) ||
           (c >= 0x400 && c <= 0x42F);
}

static bool has_address(const char *s) {
    return strstr(s, "://") || strstr(s, "www.") || strstr(s, "WWW.") || strchr(s, '@');
}

/* ---- one sentence ----------------------------------------------------------------------------- */

/* Does the word that opens a sentence name something, judging by the next? */
static bool opens_with_name(const char *s, const token *first, const token *next) {
    if (first->is_stop) return false;
    if (first->end + 1 < strlen(s) && s[first->end] == '\'' && s[first->end + 1] == 's')
        return true;
    size_t n = first->end - first->begin;
    if (n > 2 && memcmp(s + first->end - 2, "'s", 2) == 0) return true;
    if (!next) return false;
    return !next->is_stop && next->end > next->begin && s[next->end - 1] == 's';
}

claim_kind claims_judge(const claims *c, const char *sentence, bool is_phrase) {
    tokenizer t;
    token tok, next;
    bool is_stated = true;
    if (has_address(sentence) ||
        !answer_numbers_occur(sentence, c->text, c->n_text)) /* C2 */
        return CLAIM_INVENTED;
    size_t n = strlen(sentence), at = 0;
    tokenizer_start(&t, sentence, n, true);
    for (bool more = tokenizer_next(&t, &tok); more; at++) {
        bool is_known = dict_find(c->stems, tok.text, tok.n_text) != KEYS_NONE;
        more = tokenizer_next(&t, &next);
        bool is_capital = starts_upper(sentence + tok.begin, tok.end - tok.begin);
        bool is_name = is_capital && !tok.is_stop &&
                       (at > 0 || is_phrase ||
                        opens_with_name(sentence, &tok, more ? &next : NULL));
        if (!is_known && (is_name || is_number_word(&tok))) return CLAIM_INVENTED;
        if (!is_known && (!tok.is_stop || denies(&tok))) is_stated = false; /* C1 */
        tok = next;
    }
    return at == 0 ? CLAIM_INVENTED : is_stated ? CLAIM_STATED : CLAIM_INFERRED;
}

size_t claims_sentence(const char *s) {
    size_t i = 0;
    while (s[i]) {
        bool is_mark = s[i] == '.' || s[i] == '!' || s[i] == '?' || s[i] == '\n';
        i++;
        if (is_mark && (!s[i] || s[i] == ' ' || s[i] == '\n')) break;
    }
    return i;
}

bool claims_is_value(const catalog *c, const char *word, size_t nbyte) {
    const vocabulary *v = c ? catalog_vocabulary(c) : NULL;
    const vocab_entry *e;
    vocab_phrase p = {0};
    tokenizer t;
    token tok;
    if (!v) return false;
    tokenizer_start(&t, word, nbyte, false);
    while (tokenizer_next(&t, &tok)) vocab_phrase_add(&p, &tok);
    return vocabulary_match(v, &p, &e) && e[0].rank <= VOCAB_PART;
}
