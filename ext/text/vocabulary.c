/* vocabulary.c - the words of a catalogue: which phrase names which value of which facet.
 *
 *     phrase            facet      value              rank
 *     scienc fiction -> genres     Sci-Fi             VOCAB_SYNONYM
 *     sci fi         -> genres     Sci-Fi             VOCAB_NAME
 *     headphone      -> category   Audio>Headphones   VOCAB_LEAF
 *     kitchen        -> category   Home & Kitchen     VOCAB_PART
 *     austen         -> author     Jane Austen        VOCAB_SURNAME
 *
 * A phrase is folded words in a light normal form joined by spaces. The form takes off plural
 * endings only: the full stemmer would make "music" of "musical" and "anim" of "animals" and
 * "animation". Phrases of two words and more are filed by their full stems too ("noise
 * cancellation" for "Noise cancelling"): two stems that agree are no accident.
 *
 * A facet also has a role, told by the words of its name: "min_age" holds ages, "released"
 * years. Roles say which numbers of a request belong where.
 *
 * Invariants
 *  I1  entries of a phrase stand by (rank, facet, value); each (facet, value) once a phrase.
 *  I2  no phrase consists of stop words alone.
 *
 * Cost: built once per catalogue, about 1 us a value; found in 100 ns.
 */
#include "text.h"

#define VOCAB_MAX_VALUES 200000 /* of one facet; more is free text, no vocabulary */
#define VOCAB_MAX_PHRASE 160
#define STEM_PREFIX      '~'

struct vocabulary {
    dict *phrases;
    uint32_t *start;
    vocab_entry *entry;
    facet_role role[CATALOG_MAX_FACETS];
    size_t n_entry, n_filed; /* phrases beyond n_filed are not yet filed */
};

void vocabulary_free(vocabulary *v) {
    if (!v) return;
    dict_free(v->phrases);
    rec_free(v->start);
    rec_free(v->entry);
    rec_free(v);
}

size_t vocabulary_nbyte(const vocabulary *v) {
    return sizeof *v + dict_nbyte(v->phrases) + dict_count(v->phrases) * 4 +
           v->n_entry * sizeof(vocab_entry);
}

/* ---- normal forms ---------------------------------------------------------------- */

static bool has_end(const char *w, size_t n, const char *end) {
    size_t k = strlen(end);
    return n > k + 1 && memcmp(w + n - k, end, k) == 0;
}

static bool is_word(const char *w, size_t n, const char *s) {
    return strlen(s) == n && memcmp(w, s, n) == 0;
}

size_t word_singular(char *w, size_t n) {
    static const char *const odd[][2] = {{"children", "child"}, {"women", "woman"},
                                         {"men", "man"},        {"mice", "mouse"},
                                         {"feet", "foot"},      {"people", "person"}};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        if (is_word(w, n, odd[i][0])) {
            n = strlen(odd[i][1]);
            memcpy(w, odd[i][1], n);
        }
    if (n < 4) return n;
    if (has_end(w, n, "sses") || has_end(w, n, "shes") || has_end(w, n, "ches") ||
        has_end(w, n, "xes") || has_end(w, n, "zes")) {
        n -= 2;
    } else if (w[n - 1] == 's' && w[n - 2] != 's' && w[n - 2] != 'u' &&
               !has_end(w, n, "is")) {
        n--;
    }
    if (has_end(w, n, "ie")) return n - 1;
    if (w[n - 1] == 'y') return w[n - 1] = 'i', n;
    if (has_end(w, n, "ve") || has_end(w, n, "fe")) return w[n - 2] = 'f', n - 1;
    return n;
}

void vocab_phrase_add(vocab_phrase *p, const token *t) {
    char light[TOKEN_MAX_BYTES + 1], full[TOKEN_MAX_BYTES + 1];
    memcpy(light, t->text, t->n_text);
    memcpy(full, t->text, t->n_text);
    size_t n_light = word_singular(light, t->n_text),
           n_full = stem_english(full, t->n_text);
    if (p->n_light + n_light + 1 > sizeof p->light ||
        p->n_full + n_full + 2 > sizeof p->full) {
        p->is_full = true;
        return;
    }
    if (p->n_light) p->light[p->n_light++] = ' ';
    p->full[p->n_full++] = p->n_words ? ' ' : STEM_PREFIX;
    memcpy(p->light + p->n_light, light, n_light);
    memcpy(p->full + p->n_full, full, n_full);
    p->n_light += n_light;
    p->n_full += n_full;
    p->n_words++;
    if (!t->is_stop) p->n_content++;
}

static void phrase_of(vocab_phrase *p, const char *s, size_t n) {
    tokenizer tk;
    token t;
    *p = (vocab_phrase){0};
    tokenizer_start(&tk, s, n, false);
    while (tokenizer_next(&tk, &t)) vocab_phrase_add(p, &t);
}

/* ---- roles ----------------------------------------------------------------------- */

static const struct {
    const char *words; /* any of them in the facet's name */
    facet_role role;
} role_words[] = {
    {" min_age minimum_age age ages age_from from_age ", ROLE_AGE},
    {" stock instock available availability copies quantity inventory ", ROLE_STOCK},
    {" year released release published publication yr date decade ", ROLE_YEAR},
    {" price cost usd eur gbp amount msrp ", ROLE_PRICE},
    {" rating ratings stars star score vote grade imdb ", ROLE_RATING},
    {" runtime duration length minutes mins running playtime ", ROLE_RUNTIME},
    {" pages page pagecount ", ROLE_PAGES},
    {" language languages lang spoken ", ROLE_LANGUAGE},
    {" country countries nation nationality origin ", ROLE_COUNTRY},
    {" author authors director directors artist artists writer writers actor actors "
     "actress cast "
     "composer composers narrator creator ",
     ROLE_PERSON},
    {" genre genres subject subjects category categories topic topics kind type tags ",
     ROLE_KIND},
    {" brand brands manufacturer maker vendor ", ROLE_BRAND},
    {" color colour colors colours ", ROLE_COLOUR},
};

/* Does " list " hold the word w? */
static bool in_words(const char *list, const char *w, size_t n) {
    for (const char *p = list; (p = strchr(p, ' ')) && p[1]; p++)
        if (strncmp(p + 1, w, n) == 0 && p[1 + n] == ' ') return true;
    return false;
}

static facet_role role_of(const char *name) {
    for (size_t i = 0; i < sizeof role_words / sizeof role_words[0]; i++) {
        tokenizer tk;
        token t;
        tokenizer_start(&tk, name, strlen(name), false);
        while (tokenizer_next(&tk, &t))
            if (in_words(role_words[i].words, t.text, t.n_text))
                return role_words[i].role;
    }
    return ROLE_NONE;
}

static facet_role role_of_facet(const catalog *c, size_t f) {
    facet_role r = role_of(facet_name(c, f));
    bool is_number = facet_kind(c, f) == FACET_NUMBER;
    bool wants_text = r == ROLE_LANGUAGE || r == ROLE_COUNTRY || r == ROLE_PERSON ||
                      r == ROLE_KIND || r == ROLE_BRAND || r == ROLE_COLOUR;
    if (is_number == wants_text && r != ROLE_NONE) r = ROLE_NONE;
    if (r != ROLE_NONE || !is_number) return r;
    double min, max;
    facet_range(c, f, &min, &max);
    for (uint32_t i = 0; i < catalog_n_items(c); i++) {
        double x;
        if (facet_item_number(c, f, i, &x) && x != 0 && x != 1) return ROLE_NONE;
    }
    return min >= 0 && max <= 1 ? ROLE_FLAG : ROLE_NONE;
}

/* ---- building -------------------------------------------------------------------- */

typedef struct vocab_pair {
    uint32_t phrase;
    vocab_entry entry;
} vocab_pair;

typedef struct vocab_builder {
    const catalog *c;
    vocabulary *v;
    vocab_pair *pair;
    size_t n_pair, cap_pair;
    rec_err *err;
} vocab_builder;

static rec_status add_phrase(vocab_builder *b, const char *s, size_t n, vocab_entry e) {
    uint32_t phrase;
    rec_status rc = dict_add(b->v->phrases, s, n, &phrase, b->err);
    if (!rc)
        rc = rec_grow(&b->pair, &b->cap_pair, b->n_pair + 1, sizeof *b->pair, b->err);
    if (rc) return rc;
    if (b->n_pair >= UINT32_MAX) return rec_nomem(b->err);
    b->pair[b->n_pair++] = (vocab_pair){phrase, e};
    return REC_OK;
}

static rec_status add_form(vocab_builder *b, const char *s, size_t n, vocab_entry e) {
    vocab_phrase p;
    phrase_of(&p, s, n);
    if (!p.n_content || p.is_full || p.n_words > VOCAB_MAX_WORDS) return REC_OK;
    rec_status rc = add_phrase(b, p.light, p.n_light, e);
    if (!rc && p.n_words > 1) rc = add_phrase(b, p.full, p.n_full, e);
    if (rc || p.n_words != 2 || p.n_light > 16) return rc;
    char joined[VOCAB_MAX_PHRASE]; /* "scifi", "filmnoir" */
    size_t gap = (size_t)((char *)memchr(p.light, ' ', p.n_light) - p.light);
    memcpy(joined, p.light, gap);
    memcpy(joined + gap, p.light + gap + 1, p.n_light - gap - 1);
    return p.n_light > 5 ? add_phrase(b, joined, p.n_light - 1, e) : REC_OK;
}

/* "Home & Kitchen", "Action/Adventure": each part names it too. */
static rec_status add_parts(vocab_builder *b, const char *s, size_t n, vocab_entry e) {
    rec_status rc = REC_OK;
    size_t begin = 0;
    e.rank = VOCAB_PART;
    for (size_t i = 0; !rc && i <= n; i++) {
        bool is_and = i + 5 <= n && memcmp(s + i, " and ", 5) == 0;
        if (i < n && s[i] != '&' && s[i] != '/' && !is_and) continue;
        if (i == n && !begin) break;
        rc = add_form(b, s + begin, i - begin, e);
        begin = is_and ? i + 5 : i + 1;
    }
    return rc;
}

/* "Jane Austen" and "Austen, Jane": by family name, and in the other order. */
static rec_status add_person(vocab_builder *b, const char *s, size_t n, vocab_entry e) {
    const char *comma = memchr(s, ',', n);
    char name[FACET_MAX_VALUE + 1];
    rec_status rc = REC_OK;
    if (comma) {
        size_t n_last = (size_t)(comma - s), n_first = n - n_last - 1;
        while (n_first && *++comma == ' ') n_first--;
        if (n_first) {
            memcpy(name, comma, n_first);
            name[n_first] = ' ';
            memcpy(name + n_first + 1, s, n_last);
            rc = add_form(b, name, n_first + 1 + n_last, e);
        }
        n = n_last;
    }
    size_t begin = n;
    while (begin > 0 && s[begin - 1] != ' ') begin--;
    e.rank = VOCAB_SURNAME;
    if (rc || (!begin && !comma) || n - begin < 3) return rc;
    return add_form(b, s + begin, n - begin, e);
}

static rec_status add_value(vocab_builder *b, uint16_t f, uint32_t value) {
    size_t n;
    const char *s = facet_value(b->c, f, value, &n);
    facet_role role = b->v->role[f];
    vocab_entry e = {.value = value, .facet = f, .rank = VOCAB_NAME};
    double x;
    if ((role == ROLE_LANGUAGE || role == ROLE_COUNTRY) && n <= 3) return REC_OK;
    if (text_whole_number(s, n, &x)) return REC_OK;
    rec_status rc = add_form(b, s, n, e);
    if (!rc && role == ROLE_PERSON) rc = add_person(b, s, n, e);
    if (facet_kind(b->c, f) == FACET_PATH) {
        size_t leaf = n;
        while (leaf > 0 && s[leaf - 1] != '>') leaf--;
        e.rank = VOCAB_LEAF;
        if (!rc && leaf) rc = add_form(b, s + leaf, n - leaf, e);
        s += leaf, n -= leaf;
    }
    return rc ? rc : add_parts(b, s, n, e);
}

/* Values of facet f that the form names: writes up to cap, returns how many. */
static size_t values_named(const vocab_builder *b, uint16_t f, const char *form,
                           size_t n, uint32_t *out, size_t cap) {
    size_t n_out = 0;
    if (form[0] == '=') {
        size_t n_values = facet_n_values(b->c, f);
        for (uint32_t v = 0; v < n_values && n_out < cap; v++) {
            size_t m;
            char fold[FACET_MAX_VALUE];
            const char *s = facet_value(b->c, f, v, &m);
            if (m > 8) continue;
            m = facet_fold(fold, s, m);
            if (m == n - 1 && memcmp(fold, form + 1, m) == 0) out[n_out++] = v;
        }
        return n_out;
    }
    vocab_phrase p;
    const vocab_entry *e;
    phrase_of(&p, form, n);
    size_t n_entry = vocabulary_find(b->v, p.light, p.n_light, &e);
    for (size_t i = 0; i < n_entry && n_out < cap; i++)
        if (e[i].facet == f && e[i].rank != VOCAB_SURNAME) out[n_out++] = e[i].value;
    return n_out;
}

/* One row on one facet: the first form that the facet has gives the meaning of all. */
static rec_status add_row(vocab_builder *b, const char *row, uint16_t f) {
    uint32_t value[16];
    size_t n_value = 0, n;
    for (const char *p = row + 2; !n_value && *p; p += n + (p[n] == '|')) {
        n = strcspn(p, "|");
        n_value = values_named(b, f, p, n, value, 16);
    }
    rec_status rc = REC_OK;
    if (!n_value) return REC_OK;
    for (const char *p = row + 2; !rc && *p; p += n + (p[n] == '|')) {
        uint32_t own[1];
        n = strcspn(p, "|");
        if (p[0] == '=' || values_named(b, f, p, n, own, 1)) continue;
        for (size_t i = 0; !rc && i < n_value; i++)
            rc = add_form(
                b, p, n,
                (vocab_entry){.value = value[i], .facet = f, .rank = VOCAB_SYNONYM});
    }
    return rc;
}

static bool row_applies(char kind, facet_role role) {
    if (kind == 'l') return role == ROLE_LANGUAGE;
    if (kind == 'c') return role == ROLE_COUNTRY;
    return role != ROLE_LANGUAGE && role != ROLE_COUNTRY && role != ROLE_PERSON &&
           role != ROLE_BRAND;
}

static rec_status add_synonyms(vocab_builder *b) {
    rec_status rc = REC_OK;
    for (uint16_t f = 0; f < catalog_n_facets(b->c); f++) {
        if (facet_kind(b->c, f) == FACET_NUMBER) continue;
        for (size_t i = 0; !rc && text_synonyms[i]; i++)
            if (row_applies(text_synonyms[i][0], b->v->role[f]))
                rc = add_row(b, text_synonyms[i], f);
    }
    return rc;
}

static bool entry_before(const vocab_entry *a, const vocab_entry *b) {
    if (a->rank != b->rank) return a->rank < b->rank;
    return a->facet != b->facet ? a->facet < b->facet : a->value < b->value;
}

/* Entries of one phrase: sorted by insertion (they are few), without repeats. */
static size_t tidy_entries(vocab_entry *e, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        vocab_entry x = e[i];
        bool is_new = true;
        for (size_t k = 0; is_new && k < kept; k++)
            is_new = e[k].facet != x.facet || e[k].value != x.value;
        if (!is_new || kept == VOCAB_MAX_ENTRIES) continue;
        size_t at = kept++;
        for (; at > 0 && entry_before(&x, &e[at - 1]); at--) e[at] = e[at - 1];
        e[at] = x;
    }
    return kept;
}

/* (Re)build start and entry from the pairs: counting sort by phrase, best ranks first. */
static rec_status file_entries(vocab_builder *b) {
    vocabulary *v = b->v;
    size_t n = dict_count(v->phrases);
    uint32_t *start = rec_zeros(n + 2, sizeof *start);
    vocab_entry *entry = rec_array(b->n_pair, sizeof *entry);
    if (!start || !entry) {
        rec_free(start);
        rec_free(entry);
        return rec_nomem(b->err);
    }
    for (size_t i = 0; i < b->n_pair; i++) start[b->pair[i].phrase + 2]++;
    for (size_t k = 2; k < n + 2; k++) start[k] += start[k - 1];
    for (int rank = 0; rank < VOCAB_N_RANKS; rank++)
        for (size_t i = 0; i < b->n_pair; i++)
            if (b->pair[i].entry.rank == rank)
                entry[start[b->pair[i].phrase + 1]++] = b->pair[i].entry;
    size_t used = 0;
    for (size_t k = 0, begin = 0, end; k < n; k++, begin = end) {
        end = start[k + 1];
        size_t kept = tidy_entries(entry + begin, end - begin);
        memmove(entry + used, entry + begin, kept * sizeof *entry);
        start[k] = (uint32_t)used;
        used += kept;
    }
    start[n] = (uint32_t)used;
    rec_free(v->start);
    rec_free(v->entry);
    v->start = start;
    v->entry = entry;
    v->n_entry = used;
    v->n_filed = n;
    return REC_OK;
}

static rec_status add_facets(vocab_builder *b) {
    rec_status rc = REC_OK;
    for (uint16_t f = 0; !rc && f < catalog_n_facets(b->c); f++) {
        b->v->role[f] = role_of_facet(b->c, f);
        size_t n = facet_n_values(b->c, f);
        for (uint32_t i = 0; !rc && i < n && i < VOCAB_MAX_VALUES; i++)
            rc = add_value(b, f, i);
    }
    return rc;
}

rec_status vocabulary_build(const catalog *c, vocabulary **out, rec_err *err) {
    *out = NULL;
    vocab_builder b = {.c = c, .v = rec_zeros(1, sizeof(vocabulary)), .err = err};
    if (!b.v) return rec_nomem(err);
    b.v->phrases = dict_new();
    rec_status rc = b.v->phrases ? add_facets(&b) : rec_nomem(err);
    if (!rc) rc = file_entries(&b);
    if (!rc) rc = add_synonyms(&b);
    if (!rc) rc = file_entries(&b);
    if (!rc) rc = dict_index_spelling(b.v->phrases, err);
    rec_free(b.pair);
    if (rc) {
        vocabulary_free(b.v);
        return rc;
    }
    *out = b.v;
    return REC_OK;
}

/* ---- finding --------------------------------------------------------------------- */

facet_role vocabulary_role(const vocabulary *v, size_t facet) {
    return v->role[facet];
}

static size_t entries_of(const vocabulary *v, uint32_t phrase, const vocab_entry **e) {
    *e = v->entry + v->start[phrase];
    return v->start[phrase + 1] - v->start[phrase];
}

size_t vocabulary_find(const vocabulary *v, const char *phrase, size_t n,
                       const vocab_entry **e) {
    uint32_t at = dict_find(v->phrases, phrase, n);
    *e = NULL;
    return at >= v->n_filed ? 0 : entries_of(v, at, e);
}

size_t vocabulary_match(const vocabulary *v, const vocab_phrase *p,
                        const vocab_entry **e) {
    size_t n = p->is_full ? 0 : vocabulary_find(v, p->light, p->n_light, e);
    if (!n && p->n_words > 1 && !p->is_full)
        n = vocabulary_find(v, p->full, p->n_full, e);
    return n;
}

size_t vocabulary_near(const vocabulary *v, const char *phrase, size_t n,
                       const vocab_entry **e) {
    *e = NULL;
    if (n < VOCAB_MIN_SPELLING) return 0;
    uint32_t at = dict_near(v->phrases, phrase, n, n >= 8 ? 2 : 1, NULL);
    if (at == KEYS_NONE) return 0;
    const char *found = dict_get(v->phrases, at, NULL);
    return found[0] == phrase[0] ? entries_of(v, at, e) : 0;
}
