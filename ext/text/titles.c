/* titles.c - from words in a sentence to the items whose titles they are.
 *
 *     "City of Lost Children, The (Cit\xc3\xa9 des enfants perdus, La) (1995)"
 *        key  city of lost children              (exact)
 *        key  la cite des enfants perdus         (short: another name)
 *     "Star Wars: Episode IV - A New Hope (1977)"
 *        key  star wars episode 4 a new hope     (exact)
 *        key  star wars                          (short: what stands before the colon)
 *
 * A key is the title's folded words joined by spaces, as somebody would type them: years and
 * a leading "the", "a", "an" go, an article behind a comma comes first, "and" and "&" go,
 * numerals and number words become figures. Requests make their keys with the same routine, so an exact
 * find is one hash lookup. A fuzzy find corrects each word by the spelling index of all title
 * words and then compares word sets, weighted by rarity, over the postings of its rarest word.
 *
 * Invariants
 *  I1  start is ascending; the items of a key stand in ascending order, exact before short.
 *  I2  every posting list is ascending in key number.
 *
 * Cost: about 100 bytes a title; exact find 50 ns, fuzzy at most TITLE_MAX_POSTINGS keys.
 */
#include "text.h"
#include <math.h>

#define TITLE_MAX_POSTINGS 4096

struct title_index {
    dict *keys, *words;
    uint32_t *start, *item;          /* items by key: dict_count(keys) + 1, n_item */
    uint8_t *is_short;               /* beside item */
    uint32_t *post_start, *post_key; /* keys by word */
    size_t n_item, n_post;
};

void titles_free(title_index *x) {
    if (!x) return;
    dict_free(x->keys);
    dict_free(x->words);
    rec_free(x->start);
    rec_free(x->item);
    rec_free(x->is_short);
    rec_free(x->post_start);
    rec_free(x->post_key);
    rec_free(x);
}

size_t titles_nbyte(const title_index *x) {
    return sizeof *x + dict_nbyte(x->keys) + dict_nbyte(x->words) +
           4 * (dict_count(x->keys) + dict_count(x->words) + 2 + x->n_item +
                x->n_post) +
           x->n_item;
}

/* ---- keys ------------------------------------------------------------------------ */

/* "ii" and "two" are 2: figures are what all spellings have in common. */
static const char *word_figures(const char *w, size_t n) {
    static const char *const pairs[] = {
        "ii",    "2",  "iii",    "3",  "iv",     "4",  "vi",     "6",  "vii",    "7",
        "viii",  "8",  "ix",     "9",  "two",    "2",  "three",  "3",  "four",   "4",
        "five",  "5",  "six",    "6",  "seven",  "7",  "eight",  "8",  "nine",   "9",
        "ten",   "10", "eleven", "11", "twelve", "12", "twenty", "20", "thirty", "30",
        "forty", "40", "fifty",  "50", "sixty",  "60", "eighty", "80", "ninety", "90"};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i += 2)
        if (strlen(pairs[i]) == n && memcmp(pairs[i], w, n) == 0) return pairs[i + 1];
    return NULL;
}

void title_key_add(title_key *k, const char *word, size_t n) {
    if (n == 3 && memcmp(word, "and", 3) == 0) return;
    bool is_article = (n == 3 && memcmp(word, "the", 3) == 0) ||
                      (n == 1 && word[0] == 'a') ||
                      (n == 2 && memcmp(word, "an", 2) == 0);
    if (k->n_words == 0 && is_article) {
        k->has_article = true;
        return;
    }
    const char *figures = word_figures(word, n);
    if (figures) word = figures, n = strlen(figures);
    if (k->n + n + 1 > sizeof k->text) {
        k->is_full = true;
        return;
    }
    if (k->n) k->text[k->n++] = ' ';
    memcpy(k->text + k->n, word, n);
    k->n += n;
    k->n_words++;
}

static void key_of_text(title_key *k, const char *s, size_t n) {
    tokenizer tk;
    token t;
    tokenizer_start(&tk, s, n, false);
    while (tokenizer_next(&tk, &t)) title_key_add(k, t.text, t.n_text);
}

/* Length of s without a trailing ", The": 0 if it has none. */
static size_t before_article(const char *s, size_t n, size_t *article) {
    static const char *const articles[] = {
        "a",   "an",  "das", "de", "der", "die", "ein", "eine", "el",
        "gli", "het", "i",   "il", "l",   "la",  "las", "le",   "les",
        "lo",  "los", "o",   "os", "the", "un",  "una", "une"};
    size_t comma = n;
    while (comma > 0 && s[comma - 1] != ',') comma--;
    if (comma <= 1 || n - comma > 8) return 0;
    tokenizer tk;
    token t, more;
    tokenizer_start(&tk, s + comma, n - comma, false);
    if (!tokenizer_next(&tk, &t) || tokenizer_next(&tk, &more)) return 0;
    if (!text_in_list(articles, sizeof articles / sizeof articles[0], t.text, t.n_text))
        return 0;
    *article = comma;
    return comma - 1;
}

/* ---- building -------------------------------------------------------------------- */

typedef struct title_pair {
    uint32_t key, item;
    bool is_short;
} title_pair;

typedef struct title_builder {
    title_index *x;
    title_pair *pair;
    size_t n_pair, cap_pair;
    uint32_t item;
    rec_err *err;
} title_builder;

static rec_status add_key(title_builder *b, const title_key *k, bool is_short) {
    if (k->n < 2 && !(k->n == 1 && k->text[0] >= '0' && k->text[0] <= '9'))
        return REC_OK;
    if (k->is_full) return REC_OK;
    uint32_t key;
    rec_status rc = dict_add(b->x->keys, k->text, k->n, &key, b->err);
    if (!rc)
        rc = rec_grow(&b->pair, &b->cap_pair, b->n_pair + 1, sizeof *b->pair, b->err);
    if (rc) return rc;
    for (size_t i = b->n_pair; i > 0 && b->pair[i - 1].item == b->item; i--)
        if (b->pair[i - 1].key == key) return REC_OK;
    if (b->n_pair >= UINT32_MAX) return rec_nomem(b->err);
    b->pair[b->n_pair++] = (title_pair){key, b->item, is_short};
    return REC_OK;
}

static rec_status add_name(title_builder *b, const char *s, size_t n, bool is_short) {
    title_key k = {0};
    size_t article = 0, n_main = before_article(s, n, &article);
    if (n_main) {
        key_of_text(&k, s + article, n - article);
        key_of_text(&k, s, n_main);
    } else {
        key_of_text(&k, s, n);
    }
    return add_key(b, &k, is_short);
}

/* Where a subtitle begins (": " or " - "), or n. */
static size_t subtitle_at(const char *s, size_t n) {
    for (size_t i = 1; i + 2 < n; i++) {
        if (s[i] == ':' && s[i + 1] == ' ') return i;
        if (s[i] == ' ' && s[i + 1] == '-' && s[i + 2] == ' ') return i;
    }
    return n;
}

static bool is_year_text(const char *s, size_t n) {
    size_t n_digit = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] >= '0' && s[i] <= '9')
            n_digit++;
        else if ((unsigned char)s[i] < 0x80 && s[i] != '-' && s[i] != ' ')
            return false;
    }
    return n_digit >= 4;
}

/* Takes the trailing "(...)" groups off s; each that is no year is another name. */
static rec_status add_groups(title_builder *b, const char *s, size_t *n) {
    rec_status rc = REC_OK;
    for (;;) {
        while (*n && s[*n - 1] == ' ') --*n;
        if (*n < 3 || s[*n - 1] != ')') return rc;
        size_t open = *n - 1;
        while (open > 0 && s[open] != '(') open--;
        if (open == 0) return rc;
        const char *inner = s + open + 1;
        size_t n_inner = *n - open - 2;
        *n = open;
        if (is_year_text(inner, n_inner)) continue;
        if (n_inner > 7 && memcmp(inner, "a.k.a. ", 7) == 0) inner += 7, n_inner -= 7;
        rc = add_name(b, inner, n_inner, true);
        if (rc) return rc;
    }
}

static rec_status add_title(title_builder *b, const char *s, size_t n) {
    size_t n_all = n;
    rec_status rc = add_groups(b, s, &n);
    if (!rc) rc = add_name(b, s, n ? n : n_all, false);
    size_t sub = subtitle_at(s, n);
    if (!rc && sub < n) rc = add_name(b, s, sub, true);
    return rc;
}

/* Counting sort of the pairs by key, exact names first. */
static rec_status file_items(title_builder *b) {
    title_index *x = b->x;
    size_t n_keys = dict_count(x->keys);
    x->n_item = b->n_pair;
    x->start = rec_zeros(n_keys + 2, sizeof *x->start);
    x->item = rec_array(b->n_pair, sizeof *x->item);
    x->is_short = rec_array(b->n_pair, 1);
    if (!x->start || !x->item || !x->is_short) return rec_nomem(b->err);
    for (size_t i = 0; i < b->n_pair; i++) x->start[b->pair[i].key + 2]++;
    for (size_t k = 2; k < n_keys + 2; k++) x->start[k] += x->start[k - 1];
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < b->n_pair; i++) {
            if (b->pair[i].is_short != (pass == 1)) continue;
            uint32_t at = x->start[b->pair[i].key + 1]++;
            x->item[at] = b->pair[i].item;
            x->is_short[at] = pass == 1;
        }
    return REC_OK;
}

/* Next word of a key: *at moves behind it. */
static bool key_word(const char *key, size_t n, size_t *at, const char **word,
                     size_t *n_word) {
    while (*at < n && key[*at] == ' ') ++*at;
    if (*at >= n) return false;
    *word = key + *at;
    const char *space = memchr(*word, ' ', n - *at);
    *n_word = space ? (size_t)(space - *word) : n - *at;
    *at += *n_word;
    return true;
}

static rec_status file_words(title_builder *b) {
    title_index *x = b->x;
    size_t n_keys = dict_count(x->keys), n_word, n, at;
    const char *word;
    rec_status rc = REC_OK;
    for (uint32_t k = 0; k < n_keys; k++) {
        const char *key = dict_get(x->keys, k, &n);
        for (at = 0; !rc && key_word(key, n, &at, &word, &n_word); x->n_post++) {
            uint32_t w;
            rc = dict_add(x->words, word, n_word, &w, b->err);
        }
    }
    if (rc) return rc;
    x->post_start = rec_zeros(dict_count(x->words) + 2, sizeof *x->post_start);
    x->post_key = rec_array(x->n_post, sizeof *x->post_key);
    if (!x->post_start || !x->post_key || x->n_post > UINT32_MAX)
        return rec_nomem(b->err);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t k = 0; k < n_keys; k++) {
            const char *key = dict_get(x->keys, k, &n);
            for (at = 0; key_word(key, n, &at, &word, &n_word);) {
                uint32_t w = dict_find(x->words, word, n_word);
                if (pass == 0)
                    x->post_start[w + 2]++;
                else
                    x->post_key[x->post_start[w + 1]++] = k;
            }
        }
        for (size_t w = 2; pass == 0 && w < dict_count(x->words) + 2; w++)
            x->post_start[w] += x->post_start[w - 1];
    }
    return dict_index_spelling(x->words, b->err);
}

rec_status titles_build(const catalog *c, title_index **out, rec_err *err) {
    *out = NULL;
    title_builder b = {.x = rec_zeros(1, sizeof(title_index)), .err = err};
    if (!b.x) return rec_nomem(err);
    b.x->keys = dict_new();
    b.x->words = dict_new();
    rec_status rc = b.x->keys && b.x->words ? REC_OK : rec_nomem(err);
    for (uint32_t i = 0; !rc && i < catalog_n_items(c); i++) {
        size_t n;
        const char *s = catalog_title(c, i, &n);
        b.item = i;
        if (s) rc = add_title(&b, s, n);
    }
    if (!rc) rc = file_items(&b);
    if (!rc) rc = file_words(&b);
    rec_free(b.pair);
    if (rc) {
        titles_free(b.x);
        return rc;
    }
    *out = b.x;
    return REC_OK;
}

/* ---- finding --------------------------------------------------------------------- */

uint32_t titles_key(const title_index *x, const title_key *k) {
    return k->n && !k->is_full ? dict_find(x->keys, k->text, k->n) : KEYS_NONE;
}

size_t titles_items(const title_index *x, uint32_t key, const uint32_t **items,
                    bool *is_short) {
    *items = x->item + x->start[key];
    *is_short = x->is_short[x->start[key]];
    return x->start[key + 1] - x->start[key];
}

bool titles_has_word(const title_index *x, const char *word, size_t n) {
    return dict_find(x->words, word, n) != KEYS_NONE;
}

static double word_weight(const title_index *x, uint32_t w) {
    double df = x->post_start[w + 1] - x->post_start[w];
    return log(1 + (double)dict_count(x->keys) / (1 + df));
}

typedef struct fuzzy_words {
    uint32_t word[TITLE_MAX_WORDS];
    size_t n;
    double weight, penalty; /* of known words; of corrections and unknown words */
    uint32_t rarest;
} fuzzy_words;

static void read_fuzzy(const title_index *x, const title_key *k, fuzzy_words *f) {
    const char *word;
    size_t n_word, best = SIZE_MAX;
    *f = (fuzzy_words){.rarest = KEYS_NONE};
    for (size_t at = 0;
         f->n < TITLE_MAX_WORDS && key_word(k->text, k->n, &at, &word, &n_word);) {
        int distance = 0;
        uint32_t w = dict_find(x->words, word, n_word);
        if (w == KEYS_NONE && n_word >= 5)
            w = dict_near(x->words, word, n_word, n_word >= 8 ? 2 : 1, &distance);
        if (w == KEYS_NONE) {
            f->penalty += log(1 + (double)dict_count(x->keys));
            continue;
        }
        f->word[f->n++] = w;
        f->weight += word_weight(x, w);
        f->penalty += 0.4 * distance;
        size_t n_post = x->post_start[w + 1] - x->post_start[w];
        if (n_post < best) best = n_post, f->rarest = w;
    }
}

/* Share of the weight of both word sets that they have in common. */
static double overlap(const title_index *x, const fuzzy_words *f, uint32_t key) {
    const char *word;
    size_t n, n_word;
    const char *s = dict_get(x->keys, key, &n);
    double common = 0, total = f->weight + f->penalty;
    bool used[TITLE_MAX_WORDS] = {false};
    for (size_t at = 0; key_word(s, n, &at, &word, &n_word);) {
        uint32_t w = dict_find(x->words, word, n_word);
        double weight = word_weight(x, w);
        total += weight;
        for (size_t i = 0; i < f->n; i++) {
            if (used[i] || f->word[i] != w) continue;
            used[i] = true;
            common += weight;
            break;
        }
    }
    return total > 0 ? 2 * common / total : 0;
}

uint32_t titles_fuzzy(const title_index *x, const title_key *k, double *score) {
    fuzzy_words f;
    uint32_t best = KEYS_NONE;
    *score = 0;
    read_fuzzy(x, k, &f);
    if (f.rarest == KEYS_NONE) return KEYS_NONE;
    uint32_t begin = x->post_start[f.rarest], end = x->post_start[f.rarest + 1];
    if (end - begin > TITLE_MAX_POSTINGS) end = begin + TITLE_MAX_POSTINGS;
    for (uint32_t i = begin; i < end; i++) {
        double s = overlap(x, &f, x->post_key[i]);
        if (s > *score) *score = s, best = x->post_key[i];
    }
    return best;
}
