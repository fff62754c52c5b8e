/* wordpiece.c - text -> tokens of a vocabulary that somebody else has learned.
 *
 *     "Unbelievable!"   WordPiece   unbelievable -> un ##believ ##able | !          longest first, left to right
 *                       Unigram     _unbelievable -> _un believ able                best sum of log probabilities
 *
 * WordPiece is the scheme of BERT (Devlin and others 2019; Wu and others 2016), Unigram that of SentencePiece
 * (Kudo 2018), here word by word: a token never spans two words in the vocabularies at hand. Both cut the text
 * at white space, and let punctuation and Chinese characters stand alone in WordPiece.
 *
 * What differs from the originals: letters are folded by text_fold where the vocabulary is of lower case, so a few
 * that BERT keeps (the German sharp s) become two; Unigram texts are not normalised to NFKC. A word that cannot be
 * spelt in pieces is passed over, for an average of tokens is better off without it.
 *
 * Invariants
 *   W1  no allocation; every input ends.
 *   W2  tokens are numbers of t->tokens, never skipped ones.
 *
 * Cost: WordPiece a look-up for every prefix of a word that is no token; Unigram WORD_PIECE_BYTES look-ups a letter.
 */
#include "embed.h"

#include <math.h>

#define WORD_BYTES       256 /* longer words are cut there */
#define WORD_PIECE_BYTES 48  /* longest token that is looked for */
#define WORD_UNKNOWN     30. /* what a letter without a token costs */

void static_table_free(static_table *t) {
    if (!t) return;
    dict_free(t->tokens);
    rec_free(t->score);
    rec_free(t->is_skipped);
    mat_clear(&t->rows);
    rec_free(t);
}

typedef struct word {
    char s[WORD_BYTES + 8];
    size_t n;
} word;

typedef struct speller {
    const static_table *t;
    wordpiece_fn fn;
    void *ctx;
} speller;

static void emit(const speller *p, uint32_t id) {
    if (!p->t->is_skipped || !p->t->is_skipped[id]) p->fn(p->ctx, id);
}

static bool is_inside(char c) { /* of a character */
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* ---- WordPiece ------------------------------------------------------------------------- */

/* The longest token at `at`; its end in *end. */
static uint32_t longest(const static_table *t, const word *w, size_t at, size_t *end) {
    char piece[WORD_BYTES + 32];
    size_t n_prefix = at ? strlen(t->prefix) : 0;
    memcpy(piece, t->prefix, n_prefix);
    memcpy(piece + n_prefix, w->s + at, w->n - at);
    for (*end = w->n; *end > at; --*end) {
        if (*end < w->n && is_inside(w->s[*end])) continue;
        uint32_t id = dict_find(t->tokens, piece, n_prefix + *end - at);
        if (id != KEYS_NONE) return id;
    }
    return KEYS_NONE;
}

static void spell_wordpiece(const speller *p, const word *w) {
    uint32_t found[WORD_BYTES];
    size_t n = 0;
    for (size_t at = 0, end; at < w->n; at = end) {
        uint32_t id = longest(p->t, w, at, &end);
        if (id == KEYS_NONE) return;
        found[n++] = id;
    }
    for (size_t i = 0; i < n; i++) emit(p, found[i]);
}

/* ---- Unigram ----------------------------------------------------------------------------- */

/* Viterbi: best[i] is the best sum for the first i bytes. */
static void spell_unigram(const speller *p, const word *w) {
    double best[WORD_BYTES + 8];
    uint32_t chosen[WORD_BYTES + 8];
    size_t from[WORD_BYTES + 8], path[WORD_BYTES + 8], n = 0;
    for (size_t i = 0; i <= w->n; i++) best[i] = i ? -HUGE_VAL : 0;
    for (size_t at = 0; at < w->n; at++) {
        if (is_inside(w->s[at]) || best[at] == -HUGE_VAL) continue;
        size_t letter = at + 1;
        while (letter < w->n && is_inside(w->s[letter])) letter++;
        size_t last = at + WORD_PIECE_BYTES < w->n ? at + WORD_PIECE_BYTES : w->n;
        for (size_t end = at + 1; end <= last; end++) {
            if (end < w->n && is_inside(w->s[end])) continue;
            uint32_t k = dict_find(p->t->tokens, w->s + at, end - at);
            double s = best[at] + (k != KEYS_NONE ? p->t->score[k] : -WORD_UNKNOWN);
            if ((k == KEYS_NONE && end != letter) || !(s > best[end])) continue;
            best[end] = s, from[end] = at, chosen[end] = k;
        }
    }
    if (best[w->n] == -HUGE_VAL) return;
    for (size_t at = w->n; at > 0; at = from[at]) path[n++] = at;
    while (n--)
        if (chosen[path[n]] != KEYS_NONE) emit(p, chosen[path[n]]);
}

/* ---- words -------------------------------------------------------------------------------- */

static void spell(const speller *p, word *w) {
    static const char mark[] = "\xE2\x96\x81"; /* what stands for a space */
    if (w->n == 0) return;
    if (p->t->score) {
        memmove(w->s + 3, w->s, w->n);
        memcpy(w->s, mark, 3);
        w->n += 3;
        spell_unigram(p, w);
    } else
        spell_wordpiece(p, w);
    w->n = 0;
}

static bool is_blank(uint32_t c) {
    return c <= ' ' || c == 0x7F || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000 || c == 0xFEFF || c == UTF8_BAD;
}

/* Characters that are words of their own in WordPiece. */
static bool is_alone(uint32_t c) {
    if (c < 0x80)
        return c > ' ' && !(c >= '0' && c <= '9') &&
               !((c | 32) >= 'a' && (c | 32) <= 'z');
    return (c >= 0xA1 && c <= 0xBF && c != 0xAA && c != 0xB5 && c != 0xBA) ||
           (c >= 0x2010 && c <= 0x205E) || (c >= 0x3001 && c <= 0x303F) ||
           (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF01 && c <= 0xFF0F) ||
           (c >= 0x20000 && c <= 0x2FA1F);
}

static bool is_mark(uint32_t c) { /* an accent on the letter before it */
    return c >= 0x300 && c <= 0x36F;
}

static void append(const static_table *t, word *w, const char *s, size_t n) {
    char folded[16];
    size_t k = t->lower_case ? text_fold(folded, sizeof folded, s, n) : n;
    if (w->n + k > WORD_BYTES - 8) return;
    memcpy(w->s + w->n, t->lower_case ? folded : s, k);
    w->n += k;
}

void wordpiece_each(const static_table *t, const char *text, size_t nbyte,
                    wordpiece_fn fn, void *ctx) {
    speller p = {t, fn, ctx};
    word w = {.n = 0};
    for (size_t at = 0; at < nbyte;) {
        size_t begin = at;
        uint32_t c = utf8_next(text, nbyte, &at);
        bool alone = !t->score && c != UTF8_BAD && is_alone(c);
        if (is_blank(c) || alone) spell(&p, &w);
        if (is_blank(c) || (t->lower_case && is_mark(c))) continue;
        append(t, &w, text + begin, at - begin);
        if (alone) spell(&p, &w);
    }
    spell(&p, &w);
}
