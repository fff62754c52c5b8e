/* query_facets.c - words of the sentence that are values of the catalogue.
 *
 *     "funny French films or thrillers for kids, in stock"
 *      Comedy |French      | Thriller   | Children  | in_stock
 *      genres |language    | genres     | genres    | min 1
 *
 *      genres: any [Comedy, Thriller]   (joined by "or")
 *              all [Children]           (said apart)
 *
 * Values of one facet that "or", "and" between plurals, a slash or a comma join are
 * alternatives; values said side by side or apart are all wanted, when the facet can have
 * several at once. A facet with one value an item (language, brand, category) always takes
 * alternatives.
 *
 * What a film is about is no genre ("about a family", "set in France"), so words behind such
 * a cue are left to the search. A word that is in no dictionary may be a misspelt value.
 *
 * Invariants
 *  I1  every value comes from the catalogue's vocabulary.
 *  I2  a value is in one list of a condition only; none wins over any and all.
 */
#include "query.h"

#define FACETS_MAX_MENTIONS 32

/* ---- phrases ------------------------------------------------------------------------------ */

/* "M" or "XL" is a size, "m" is a letter. */
static bool is_short_word(const query_state *q, size_t i) {
    const token *t = &q->w[i].t;
    if (t->n_text > 2 || t->is_number) return false;
    for (size_t k = t->begin; k < t->end; k++)
        if (q->text[k] >= 'a' && q->text[k] <= 'z') return true;
    return t->is_stop;
}

static bool wants_person(const query_state *q, size_t i) {
    return (i &&
            word_in(q, i - 1,
                    " by from of with starring featuring directed author and or ")) ||
           q->w[i].is_capital;
}

size_t query_phrase_at(const query_state *q, size_t i, const vocab_entry **e,
                       size_t *n_entry) {
    const vocabulary *v = q->c ? catalog_vocabulary(q->c) : NULL;
    vocab_phrase p[VOCAB_MAX_WORDS];
    size_t n = 0;
    *e = NULL;
    *n_entry = 0;
    if (!v) return 0;
    for (; n < VOCAB_MAX_WORDS && i + n < q->n && word_is_free(q, i + n); n++) {
        if (n && q->w[i + n].t.after_break) break;
        p[n] = n ? p[n - 1] : (vocab_phrase){0};
        vocab_phrase_add(&p[n], &q->w[i + n].t);
    }
    for (; n > 0; n--) {
        if (!p[n - 1].n_content || q->w[i + n - 1].t.is_stop) continue;
        if (n == 1 && is_short_word(q, i)) return 0;
        *n_entry = vocabulary_match(v, &p[n - 1], e);
        if (*n_entry && ((*e)->rank != VOCAB_SURNAME || wants_person(q, i))) return n;
    }
    *n_entry = 0;
    return 0;
}

static int role_order(facet_role r) {
    switch (r) {
    case ROLE_KIND: return 0;
    case ROLE_LANGUAGE: return 1;
    case ROLE_COLOUR: return 2;
    case ROLE_BRAND: return 3;
    case ROLE_COUNTRY: return 4;
    case ROLE_PERSON: return 6;
    default: return 5;
    }
}

size_t query_choose(const query_state *q, const vocab_entry **e, size_t n) {
    const vocab_entry *a = *e;
    size_t best = 0, end;
    for (size_t i = 1; i < n && a[i].rank == a[0].rank; i++)
        if (role_order(query_role(q, a[i].facet)) <
            role_order(query_role(q, a[best].facet)))
            best = i;
    for (end = best;
         end < n && a[end].rank == a[best].rank && a[end].facet == a[best].facet;)
        end++;
    *e = a + best;
    return end - best;
}

/* ---- lists of a condition ------------------------------------------------------------------- */

static bool list_has(char *const *list, size_t n, const char *s, size_t nbyte) {
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == nbyte && memcmp(list[i], s, nbyte) == 0) return true;
    return false;
}

rec_status query_add_value(query_state *q, const vocab_entry *e, char which) {
    size_t n;
    const char *s = facet_value(q->c, e->facet, e->value, &n);
    facet_cond *c = filters_at(&q->out->filters, facet_name(q->c, e->facet), q->err);
    if (!c) return q->err->code ? q->err->code : REC_NOMEM;
    if (list_has(c->none, c->n_none, s, n) || list_has(c->any, c->n_any, s, n) ||
        list_has(c->all, c->n_all, s, n))
        return REC_OK;
    return facet_cond_add(c, which, s, n, q->err);
}

/* ---- flags: facets that are 0 or 1, and stock ------------------------------------------------- */

static rec_status add_flag(query_state *q, size_t f, size_t i, size_t n, bool is_on) {
    facet_cond *c = filters_at(&q->out->filters, facet_name(q->c, f), q->err);
    if (!c) return q->err->code ? q->err->code : REC_NOMEM;
    if (is_on)
        c->has_min = true, c->min = 1;
    else
        c->has_max = true, c->max = 0;
    words_use(q, i, n, USE_VALUE);
    return REC_OK;
}

static const struct {
    const char *words;
    bool is_on;
} stock_words[] = {
    {"currently in stock", true}, {"available right now", true},
    {"available now", true},      {"available today", true},
    {"in stock", true},           {"on hand", true},
    {"on the shelf", true},       {"out of stock", false},
    {"sold out", false},          {"not available", false},
    {"unavailable", false},       {"available", true},
};

static size_t stock_at(const query_state *q, size_t i, bool *is_on) {
    for (size_t k = 0; k < sizeof stock_words / sizeof stock_words[0]; k++) {
        size_t n = words_at(q, i, stock_words[k].words);
        if (!n) continue;
        *is_on = stock_words[k].is_on;
        bool is_other = n == 1 && word_in(q, i + n, " in on from for as at with ");
        return is_other ? 0 : n;
    }
    return 0;
}

/* The words of the facet's name, by stem: "noise cancelling" for noise_cancelling. */
static size_t flag_at(const query_state *q, size_t i, size_t f) {
    tokenizer tk;
    token t;
    const char *name = facet_name(q->c, f);
    size_t n = 0;
    tokenizer_start(&tk, name, strlen(name), true);
    while (tokenizer_next(&tk, &t)) {
        if (n == 0 && (!strcmp(t.text, "is") || !strcmp(t.text, "has"))) continue;
        if (!word_is_free(q, i + n)) return 0;
        char have[TOKEN_MAX_BYTES + 1];
        memcpy(have, q->w[i + n].t.text, q->w[i + n].t.n_text);
        size_t m = stem_english(have, q->w[i + n].t.n_text);
        if (m != t.n_text || memcmp(have, t.text, m) != 0) return 0;
        n++;
    }
    return n;
}

static rec_status find_flags(query_state *q) {
    int stock = query_role_find(q, ROLE_STOCK);
    rec_status rc = REC_OK;
    for (size_t i = 0; !rc && i < q->n; i++) {
        bool is_on = true;
        size_t n = stock >= 0 && word_is_free(q, i) ? stock_at(q, i, &is_on) : 0;
        if (n) rc = add_flag(q, (size_t)stock, i, n, is_on != q->w[i].is_negated);
        for (size_t f = 0; !n && !rc && f < catalog_n_facets(q->c); f++) {
            if (query_role(q, f) != ROLE_FLAG || !(n = flag_at(q, i, f))) continue;
            rc = add_flag(q, f, i, n, !q->w[i].is_negated);
            if (!q->w[i].is_negated) words_use(q, i, n, USE_FACET);
        }
    }
    return rc;
}

/* ---- mentions ----------------------------------------------------------------------------------- */

typedef enum { JOIN_APART, JOIN_BESIDE, JOIN_OR, JOIN_AND, JOIN_COMMA } mention_join;

typedef struct mention {
    const vocab_entry *e;
    size_t n_entry, begin, n;
    bool is_plural;
    mention_join join; /* to the mention before, if that is of the same facet */
    int group;
} mention;

/* Behind "about a", "set in", "who": the story, not the kind of item. */
static bool is_story(const query_state *q, size_t i, facet_role role) {
    if (word_in(q, i, " for with ")) return false; /* "... about dogs for children" */
    for (size_t k = 1; k <= 5 && k <= i; k++) {
        size_t at = i - k;
        if (word_in(q, at, " who whose where when "))
            return !word_in(q, at + 1, " is are isnt ");
        if (word_in(q, at, " in on during ") && at &&
            word_in(q, at - 1, " set place based taking "))
            return true;
        if (word_is(q, at, "about"))
            return k > 1 || role == ROLE_LANGUAGE || role == ROLE_COUNTRY;
        if (q->w[at + 1].t.after_break || word_in(q, at, " for with but from by ") ||
            word_is_generic(q, at))
            return false;
    }
    return false;
}

/* Part of a longer name: "World War II", "Drama Queen". */
static bool is_inside_name(const query_state *q, size_t i, size_t n) {
    bool left = i > 1 && q->w[i].is_capital && q->w[i - 1].is_capital &&
                !q->w[i].t.after_break && word_is_free(q, i - 1) &&
                !word_is_vague(q, i - 1);
    if (word_in(q, i, " war wars ") && i) {
        if (q->w[i].is_joined && word_in(q, i - 1, " pre post inter anti "))
            return true;
        if (word_in(q, i - 1, " world civil cold star vietnam gulf ")) return true;
        if (word_is(q, i - 1, "the") && !word_is_generic(q, i + n)) return true;
    }
    const vocab_entry *e;
    size_t n_entry;
    if (left && query_phrase_at(q, i - 1, &e, &n_entry)) left = false;
    return left && n == 1;
}

static bool is_list_word(const query_state *q, size_t i) {
    return word_in(q, i, " or and ");
}

/* How is the mention at i joined to the one that ended at `end`? */
static mention_join join_of(const query_state *q, const mention *a, size_t i) {
    size_t end = a->begin + a->n;
    while (end < i && word_is_generic(q, end)) end++; /* "comedy films or dramas" */
    if (end == i) {
        if (q->w[i].is_slash) return JOIN_OR;
        return q->w[i].t.after_break ? JOIN_COMMA : JOIN_BESIDE;
    }
    size_t skip = i - end;
    if (skip > 3 || !is_list_word(q, end)) return JOIN_APART;
    for (size_t k = end + 1; k < i; k++)
        if (!word_in(q, k, " a an the some maybe perhaps also even else "))
            return JOIN_APART;
    return word_is(q, end, "or") ? JOIN_OR : JOIN_AND;
}

static bool is_plural_word(const query_state *q, size_t i) {
    const token *t = &q->w[i].t;
    return t->n_text > 3 && t->text[t->n_text - 1] == 's' &&
           t->text[t->n_text - 2] != 's';
}

/* A word that nobody knows may be a misspelt value. */
static size_t misspelt_at(query_state *q, size_t i, const vocab_entry **e) {
    const token *t = &q->w[i].t;
    if (t->n_text < VOCAB_MIN_SPELLING || t->is_stop || t->is_number ||
        word_is_vague(q, i))
        return 0;
    char form[TOKEN_MAX_BYTES + 1];
    memcpy(form, t->text, t->n_text);
    size_t n = stem_english(form, t->n_text);
    if (q->l && lsa_find_term(q->l, form, n) != KEYS_NONE) return 0;
    const title_index *titles = catalog_titles(q->c);
    if (titles && titles_has_word(titles, t->text, t->n_text)) return 0;
    memcpy(form, t->text, t->n_text);
    n = word_singular(form, t->n_text);
    n = vocabulary_near(catalog_vocabulary(q->c), form, n, e);
    if (n && (*e)->rank == VOCAB_SURNAME) return 0;
    if (n) query_doubt(q, 0.12);
    return n;
}

/* "coffee machine", "garden party": what follows may be the thing, and the value only its kind. */
static bool is_modifier(const query_state *q, size_t end) {
    const vocab_entry *e;
    size_t n_entry;
    if (!word_is_free(q, end) || q->w[end].t.after_break || word_is_vague(q, end) ||
        q->w[end].is_negated || q->w[end].has_number)
        return false;
    return !query_phrase_at(q, end, &e, &n_entry);
}

static size_t find_mentions(query_state *q, mention *m) {
    size_t n_mention = 0;
    for (size_t i = 0; i < q->n && n_mention < FACETS_MAX_MENTIONS; i++) {
        const vocab_entry *e;
        size_t n_entry;
        if (!word_is_free(q, i) || q->w[i].is_negated) continue;
        size_t n = query_phrase_at(q, i, &e, &n_entry);
        if (!n && (n_entry = misspelt_at(q, i, &e)) != 0) n = 1;
        if (!n) continue;
        n_entry = query_choose(q, &e, n_entry);
        facet_role role = query_role(q, e->facet);
        if (is_story(q, i, role) || is_inside_name(q, i, n)) {
            query_doubt(q, 0.08);
            i += n - 1;
            continue;
        }
        if (word_in(q, i + n, " subtitles subtitled subtitle dubbed dub ") &&
            !q->w[i + n].t.after_break)
            continue;
        if (e->rank == VOCAB_SYNONYM || e->rank == VOCAB_PART) query_doubt(q, 0.1);
        bool is_kind = role == ROLE_KIND || facet_kind(q->c, e->facet) == FACET_PATH;
        if (is_kind && is_modifier(q, i + n)) query_doubt(q, 0.18);
        bool is_plural = is_plural_word(q, i + n - 1);
        m[n_mention++] = (mention){
            .e = e, .n_entry = n_entry, .begin = i, .n = n, .is_plural = is_plural};
        i += n - 1;
    }
    return n_mention;
}

/* A comma list is one of alternatives if it ends in "or", or in "and" with a plural or before a third. */
static bool comma_is_or(const mention *m, size_t n, size_t i) {
    size_t first = i;
    while (first > 0 && m[first].join == JOIN_COMMA) first--;
    for (size_t k = i; k < n && m[k].e->facet == m[i].e->facet; k++) {
        if (m[k].join == JOIN_OR ||
            (m[k].join == JOIN_AND && (m[k].is_plural || k - first >= 2)))
            return true;
        if (k > i && m[k].join != JOIN_COMMA) return false;
    }
    return m[i].is_plural;
}

static bool is_both(const query_state *q, const mention *a) {
    for (size_t k = 1; k <= 3 && k <= a->begin; k++)
        if (word_in(q, a->begin - k,
                    " both mix mixes blend combines combination combining "))
            return true;
    return false;
}

/* Number the groups: mentions of one group are alternatives. */
static void group_mentions(const query_state *q, mention *m, size_t n) {
    for (size_t i = 1; i < n; i++) {
        bool same = m[i].e->facet == m[i - 1].e->facet;
        m[i].join = same ? join_of(q, &m[i - 1], m[i].begin) : JOIN_APART;
    }
    for (size_t i = 0; i < n; i++) {
        m[i].group = (int)i;
        if (!i || m[i].join == JOIN_APART || m[i].join == JOIN_BESIDE) continue;
        bool is_or = m[i].join == JOIN_OR;
        if (m[i].join == JOIN_AND)
            is_or = ((m[i].is_plural && m[i - 1].is_plural) ||
                     m[i - 1].join == JOIN_COMMA) &&
                    !is_both(q, &m[i - 1]);
        if (m[i].join == JOIN_COMMA) is_or = comma_is_or(m, n, i);
        if (is_or) m[i].group = m[i - 1].group;
    }
}

static bool shares_group(const mention *m, size_t n, size_t i) {
    for (size_t k = 0; k < n; k++)
        if (k != i && m[k].group == m[i].group) return true;
    return false;
}

/* "kitchen knives": the more special path says it all. */
static bool is_ancestor_of_other(const query_state *q, const mention *m, size_t n,
                                 size_t i) {
    if (facet_kind(q->c, m[i].e->facet) != FACET_PATH) return false;
    size_t a, b;
    const char *s = facet_value(q->c, m[i].e->facet, m[i].e->value, &a);
    for (size_t k = 0; k < n; k++) {
        if (k == i || m[k].e->facet != m[i].e->facet) continue;
        const char *t = facet_value(q->c, m[k].e->facet, m[k].e->value, &b);
        if (b > a && memcmp(s, t, a) == 0 && t[a] == '>') return true;
    }
    return false;
}

static bool repeats(const mention *m, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (m[k].e->facet == m[i].e->facet && m[k].e->value == m[i].e->value)
            return true;
    return false;
}

/* One word for two kinds at once. */
static bool is_compound(const query_state *q, const mention *m) {
    return m->n_entry > 1 &&
           (word_in(q, m->begin, " romcom romcoms dramedy dramedies ") ||
            words_at(q, m->begin, "rom com"));
}

static rec_status add_mention(query_state *q, const mention *m, size_t n, size_t i) {
    size_t f = m[i].e->facet, n_groups = 0;
    facet_role role = query_role(q, f);
    bool is_quiet = role == ROLE_LANGUAGE || role == ROLE_COUNTRY;
    rec_status rc = REC_OK;
    words_use(q, m[i].begin, m[i].n, is_quiet ? USE_VALUE : USE_FACET);
    if (repeats(m, i) || is_ancestor_of_other(q, m, n, i)) return REC_OK;
    for (size_t k = 0; k < n; k++)
        n_groups += m[k].e->facet == f && m[k].group == (int)k && !repeats(m, k);
    bool is_any = facet_kind(q->c, f) != FACET_MULTI || n_groups <= 1 ||
                  shares_group(m, n, i) || m[i].n_entry > 1;
    if (facet_kind(q->c, f) == FACET_MULTI && is_compound(q, &m[i])) is_any = false;
    for (size_t k = 0; !rc && k < m[i].n_entry; k++)
        rc = query_add_value(q, &m[i].e[k], is_any ? 'a' : 'l');
    size_t behind = m[i].begin + m[i].n;
    if (role == ROLE_LANGUAGE &&
        word_in(q, behind, " language languages speaking spoken audio "))
        words_use(q, behind, 1, USE_VALUE);
    return rc;
}

rec_status query_values(query_state *q) {
    if (!q->c || !catalog_vocabulary(q->c)) return REC_OK;
    rec_status rc = find_flags(q);
    if (!rc)
        rc = query_excluded(q); /* first: what is not wanted cannot be wanted too */
    mention m[FACETS_MAX_MENTIONS];
    size_t n = find_mentions(q, m);
    group_mentions(q, m, n);
    for (size_t i = 0; !rc && i < n; i++) rc = add_mention(q, m, n, i);
    return rc;
}
