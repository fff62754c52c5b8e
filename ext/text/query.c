/* query.c - a sentence -> a request, by rules alone.
 *
 *     "a darker film in the spirit of Spirited Away, after 2005"
 *        titles     Spirited Away             like_items [5618]
 *        numbers    after 2005                year min 2006
 *        values     -
 *        the rest   "darker"                  query; expansions from the text model
 *
 * The steps run from the surest to the weakest (titles, numbers, negation, values), each
 * marks the words that it has used, and what nobody used is searched for. Then the request is
 * looked at as a whole: what kind of request is it (intent), can it be answered (do its
 * filters leave anything, does it say anything at all), and how sure are we.
 *
 * Confidence starts high and every step that had to guess takes its share of doubt: doubts
 * multiply, so many small guesses weigh like a large one.
 *
 * Invariants
 *  I1  every value of a filter is in the catalogue's vocabulary, every number follows from the
 *      text, every liked item's title is in the text.
 *  I2  the same text, catalogue and model give the same request.
 *  I3  a text of any bytes and length is read in linear time; only the first QUERY_MAX_WORDS
 *      words count.
 */
#include "query.h"

#define EXPANSIONS_MAX     8
#define EXPANSIONS_MIN_COS 0.2f
#define CONFIDENCE_BASE    0.96

/* ---- the request as an object ------------------------------------------------------------- */

const char *query_intent_name(query_intent i) {
    static const char *const names[] = {"transactional", "informational",
                                        "navigational", "chitchat"};
    return names[i];
}

rec_status text_list_add(text_list *l, const char *s, size_t nbyte, rec_err *err) {
    char *copy = rec_strndup(s, nbyte);
    char **grown = copy ? rec_realloc(l->a, (l->n + 1) * sizeof *grown) : NULL;
    if (!grown) {
        rec_free(copy);
        return rec_nomem(err);
    }
    l->a = grown;
    l->a[l->n++] = copy;
    return REC_OK;
}

void text_list_clear(text_list *l) {
    for (size_t i = 0; i < l->n; i++) rec_free(l->a[i]);
    rec_free(l->a);
    *l = (text_list){0};
}

void query_request_clear(query_request *q) {
    rec_free(q->query);
    text_list_clear(&q->expansions);
    text_list_clear(&q->exclude);
    filters_clear(&q->filters);
    rec_free(q->like_items);
    rec_free(q->dislike_items);
    rec_free(q->question);
    *q = (query_request){0};
}

/* ---- intent -------------------------------------------------------------------------------- */

static bool any_word_in(const query_state *q, const char *list) {
    for (size_t i = 0; i < q->n; i++)
        if (word_in(q, i, list)) return true;
    return false;
}

static bool any_words(const query_state *q, const char *pattern) {
    for (size_t i = 0; i < q->n; i++)
        if (words_at(q, i, pattern)) return true;
    return false;
}

static bool is_chitchat(const query_state *q) {
    static const char *const phrases[] = {
        "how are you",     "who are you",    "what are you", "whats up",
        "what can you do", "are you a",      "nice to meet", "tell me a joke",
        "how is it going", "how do you do",  "good morning", "good evening",
        "good night",      "good afternoon", "your name",    "good day",
        "are you real",    "anybody there",  "anyone there", "you there",
    };
    static const char *const small_talk =
        " hello hi hey hiya thanks thank thx cheers goodbye bye yo sup greetings howdy "
        "lol haha "
        "welcome morning evening afternoon night joke human bot robot going name meet "
        "cool ok "
        "okay there much help perfect awesome great nice day good today anybody anyone "
        "real doing tell ";
    bool is_talk =
        any_word_in(q, " hello hi hey hiya thanks thank thx goodbye bye greetings "
                       "howdy lol haha cheers ok okay perfect ");
    for (size_t i = 0; !is_talk && i < sizeof phrases / sizeof phrases[0]; i++)
        is_talk = any_words(q, phrases[i]);
    for (size_t i = 0; is_talk && i < q->n; i++) {
        bool is_small = q->w[i].t.is_stop || word_in(q, i, small_talk);
        if (!word_is_free(q, i) || !is_small) return false;
        if (word_in(q, i, " find show want recommend looking ")) return false;
    }
    return is_talk;
}

/* First word that is not a greeting or a "please". */
static size_t first_word(const query_state *q) {
    size_t i = 0;
    while (word_in(q, i, " hey hi hello so please ok okay well and um ")) i++;
    return i;
}

static bool asks_for_items(const query_state *q, size_t i) {
    if (any_word_in(
            q, " should recommend recommended suggest suggestions recommendations "))
        return true;
    for (size_t k = 1; k <= 4; k++)
        if (word_in(q, i + k,
                    " is was does did won win starred stars directed wrote grossed "
                    "earned made has had features "))
            return false;
    for (size_t k = 1; k <= 4; k++)
        if (word_in(q, i + k, " good best great some any similar ") ||
            word_is_generic(q, i + k) || (i + k < q->n && q->w[i + k].use == USE_FACET))
            return true;
    return false;
}

static bool is_informational(const query_state *q) {
    static const char *const phrases[] = {
        "tell me about", "tell me more about", "how many",         "how long is",
        "how old is",    "difference between", "meaning of",       "want to know",
        "like to know",  "do you know who",    "do you know what", "do you know when",
        "explain",       "describe the",       "plot of",          "summary of",
    };
    size_t i = first_word(q);
    if (words_at(q, i, "what do you have") || words_at(q, i, "what have you got") ||
        words_at(q, i, "what do you sell"))
        return false;
    for (size_t k = 0; k < sizeof phrases / sizeof phrases[0]; k++)
        if (any_words(q, phrases[k])) return true;
    if (word_is(q, i, "compare")) return true;
    if (word_is(q, i, "do") && word_in(q, i + 1, " you they "))
        return !word_in(q, i + 2, " have know recommend suggest sell carry stock got ");
    if (word_in(q, i, " who whose whos when why whens whys ")) return true;
    if (word_is(q, i, "how")) return !word_is(q, i + 1, "about");
    if (word_in(q, i, " where wheres ")) return !word_in(q, i + 1, " can could do ");
    if (word_in(q, i, " what which whats ")) {
        if (word_in(q, i + 1, " about else ")) return false;
        return !asks_for_items(q, i);
    }
    if (word_in(q, i, " is was does did has were "))
        return !word_in(q, i + 1, " there ") && q->nbyte &&
               q->text[q->nbyte - 1] == '?';
    return false;
}

/* "How do I clean a pot?", "does the kite need wind?": about one thing, not a choice. */
static bool asks_about_one(const query_state *q) {
    size_t i = first_word(q);
    if (word_is(q, i, "how")) return !word_in(q, i + 1, " many much ");
    return word_in(q, i, " who whose why when does do did is are was were can ");
}

static query_intent find_intent(const query_state *q) {
    if (q->is_title_request) return INTENT_NAVIGATIONAL;
    if (is_chitchat(q)) return INTENT_CHITCHAT;
    return is_informational(q) ? INTENT_INFORMATIONAL : INTENT_TRANSACTIONAL;
}

/* ---- what is left --------------------------------------------------------------------------- */

static bool is_searched(const query_state *q, size_t i) {
    const qword *w = &q->w[i];
    if (w->is_negated && w->use == USE_FREE) return false;
    if (w->use != USE_FREE && w->use != USE_FACET) return false;
    return !w->t.is_stop && (w->use == USE_FACET || !word_is_vague(q, i));
}

/* The user's own words in their order, hyphens kept. */
static rec_status write_query(query_state *q) {
    bytes_writer w = {0};
    if (q->is_title_request && q->n_titles) {
        bytes_put(&w, q->text + q->title[0].begin, q->title[0].end - q->title[0].begin);
    } else {
        size_t last = SIZE_MAX;
        for (size_t i = 0; i < q->n; i++) {
            const token *t = &q->w[i].t;
            if (!is_searched(q, i)) continue;
            bool is_hyphen = last + 1 == i && q->w[i].is_joined && !q->w[i].is_slash &&
                             t->begin - q->w[last].t.end == 1;
            bool is_glued =
                last != SIZE_MAX && q->w[last].t.end == t->begin; /* no-space scripts */
            if (last != SIZE_MAX && !is_glued) bytes_puts(&w, is_hyphen ? "-" : " ");
            bytes_put(&w, q->text + t->begin, t->end - t->begin);
            last = i;
        }
    }
    bytes_puts(&w, "");
    q->out->query = bytes_take_text(&w);
    return q->out->query ? REC_OK : rec_nomem(q->err);
}

/* Is the stem among the words of the request, wanted or not? */
static bool text_has_stem(const query_state *q, const char *stem, size_t n) {
    for (size_t i = 0; i < q->n; i++) {
        char have[TOKEN_MAX_BYTES + 1];
        memcpy(have, q->w[i].t.text, q->w[i].t.n_text);
        size_t m = stem_english(have, q->w[i].t.n_text);
        if (m == n && memcmp(have, stem, n) == 0) return true;
    }
    return false;
}

/* Add the word of a term that the request does not have. */
static rec_status expand(query_state *q, uint32_t term) {
    size_t n;
    const char *stem = lsa_term(q->l, term, &n);
    if (text_has_stem(q, stem, n)) return REC_OK;
    const char *word = lsa_surface(q->l, term, &n);
    for (size_t i = 0; i < q->out->expansions.n; i++)
        if (strlen(q->out->expansions.a[i]) == n &&
            memcmp(q->out->expansions.a[i], word, n) == 0)
            return REC_OK;
    return text_is_stop(word, n) ? REC_OK
                                 : text_list_add(&q->out->expansions, word, n, q->err);
}

/* Term numbers of the words that are searched for. */
static size_t searched_terms(const query_state *q, uint32_t *term, size_t cap) {
    size_t n = 0;
    for (size_t i = 0; i < q->n && n < cap; i++) {
        char stem[TOKEN_MAX_BYTES + 1];
        if (!is_searched(q, i)) continue;
        memcpy(stem, q->w[i].t.text, q->w[i].t.n_text);
        uint32_t t = lsa_find_term(q->l, stem, stem_english(stem, q->w[i].t.n_text));
        bool is_new = t != KEYS_NONE;
        for (size_t k = 0; k < n; k++) is_new &= term[k] != t;
        if (is_new) term[n++] = t;
    }
    return n;
}

/* What the items say that have the words; then words near the vector of the request. */
static rec_status write_expansions(query_state *q) {
    uint32_t word[QUERY_MAX_WORDS], term[LSA_MAX_NEAR];
    float score[LSA_MAX_NEAR];
    rec_status rc = REC_OK;
    size_t n = 0, n_query = strlen(q->out->query);
    if (!q->l || q->is_title_request || !n_query) return REC_OK;
    if (q->space->near) {
        size_t n_word = searched_terms(q, word, QUERY_MAX_WORDS);
        n = related_terms(q->space, word, n_word, EXPANSIONS_MAX, term, score);
    }
    for (size_t i = 0; !rc && i < n; i++) rc = expand(q, term[i]);
    if (rc || q->out->expansions.n >= EXPANSIONS_MAX) return rc;
    float *v = rec_array(lsa_dim(q->l), sizeof *v);
    if (!v) return rec_nomem(q->err);
    n = lsa_embed(q->l, q->out->query, n_query, v)
            ? lsa_near_terms(q->l, v, LSA_MAX_NEAR, term, score)
            : 0;
    for (size_t i = 0; !rc && i < n && q->out->expansions.n < EXPANSIONS_MAX; i++)
        if (score[i] >= EXPANSIONS_MIN_COS) rc = expand(q, term[i]);
    rec_free(v);
    return rc;
}

static void add_item(uint32_t *list, size_t *n, uint32_t item) {
    for (size_t i = 0; i < *n; i++)
        if (list[i] == item) return;
    list[(*n)++] = item;
}

static rec_status write_titles(query_state *q) {
    query_request *r = q->out;
    if (!q->n_titles) return REC_OK;
    r->like_items = rec_array(q->n_titles, sizeof *r->like_items);
    r->dislike_items = rec_array(q->n_titles, sizeof *r->dislike_items);
    if (!r->like_items || !r->dislike_items) return rec_nomem(q->err);
    for (size_t i = 0; i < q->n_titles; i++)
        if (q->is_disliked[i])
            add_item(r->dislike_items, &r->n_dislike, q->title[i].item);
        else
            add_item(r->like_items, &r->n_like, q->title[i].item);
    return REC_OK;
}

/* Conditions that nothing was put into (every value was already denied). */
static void drop_empty(filters *f) {
    for (size_t i = 0; i < f->n_cond;) {
        facet_cond *c = &f->cond[i];
        if (c->n_any || c->n_all || c->n_none || c->has_min || c->has_max)
            i++;
        else
            *c = f->cond[--f->n_cond];
    }
}

/* ---- clarification --------------------------------------------------------------------------- */

static const facet_cond *cond_on(const query_state *q, size_t f) {
    const filters *x = &q->out->filters;
    for (size_t i = 0; i < x->n_cond; i++)
        if (strcmp(x->cond[i].name, facet_name(q->c, f)) == 0) return &x->cond[i];
    return NULL;
}

/* A facet to ask about: several values, none of them asked for yet; kinds first. */
static int facet_to_ask(const query_state *q) {
    int best = -1, best_order = 100;
    for (size_t f = 0; q->c && f < catalog_n_facets(q->c); f++) {
        if (facet_kind(q->c, f) == FACET_NUMBER || facet_n_values(q->c, f) < 2)
            continue;
        facet_role r = query_role(q, f);
        int order = r == ROLE_KIND       ? 0
                    : r == ROLE_PERSON   ? 9
                    : r == ROLE_LANGUAGE ? 5
                                         : 2;
        if (cond_on(q, f)) order += 20;
        if (order < best_order) best_order = order, best = (int)f;
    }
    return best;
}

/* "Which genres: Drama (4361), Comedy (3756) or Thriller (1894)?" */
static void ask_facet(const query_state *q, bytes_writer *w) {
    int f = facet_to_ask(q);
    uint32_t best[3];
    size_t n = 0;
    for (uint32_t v = 0; f >= 0 && v < facet_n_values(q->c, (size_t)f); v++) {
        size_t len, count = facet_value_count(q->c, (size_t)f, v);
        const char *s = facet_value(q->c, (size_t)f, v, &len);
        bool is_deep = facet_kind(q->c, (size_t)f) == FACET_PATH && memchr(s, '>', len);
        if (is_deep || s[0] == '(') continue;
        size_t at = n;
        while (at > 0 && count > facet_value_count(q->c, (size_t)f, best[at - 1])) at--;
        if (at >= 3) continue;
        if (n < 3) n++;
        memmove(best + at + 1, best + at, (n - 1 - at) * sizeof *best);
        best[at] = v;
    }
    if (n < 2) {
        bytes_puts(w, "What are you looking for?");
        return;
    }
    bytes_printf(w, "Which %s: ", facet_name(q->c, (size_t)f));
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *s = facet_value(q->c, (size_t)f, best[i], &len);
        bytes_printf(w, "%s%.*s (%zu)",
                     i == 0       ? ""
                     : i + 1 == n ? " or "
                                  : ", ",
                     (int)len, s, facet_value_count(q->c, (size_t)f, best[i]));
    }
    bytes_puts(w, "?");
}

static rec_status count_items(const query_state *q, const filters *f, size_t *n) {
    bitmap items = {0};
    *n = 0;
    rec_status rc = bitmap_init(&items, catalog_n_items(q->c), true, q->err);
    if (!rc) rc = filters_apply(f, q->c, &items, q->err);
    if (!rc) *n = bitmap_count(&items);
    bitmap_clear(&items);
    return rc;
}

/* Which condition, left out, brings most back? What kind of item it is goes last. */
static rec_status ask_to_relax(query_state *q, bytes_writer *w) {
    filters *f = &q->out->filters;
    size_t best = 0, best_n = 0;
    bool best_is_kind = true;
    rec_status rc = REC_OK;
    for (size_t i = 0; !rc && f->n_cond > 1 && i < f->n_cond; i++) {
        facet_cond out = f->cond[i];
        size_t n;
        f->cond[i] = f->cond[f->n_cond - 1];
        f->n_cond--;
        rc = count_items(q, f, &n);
        f->n_cond++;
        f->cond[f->n_cond - 1] = f->cond[i];
        f->cond[i] = out;
        int at = facet_find(q->c, out.name, strlen(out.name));
        bool is_kind = at >= 0 && query_role(q, (size_t)at) == ROLE_KIND;
        if (!n || (is_kind && !best_is_kind) ||
            (is_kind == best_is_kind && n <= best_n))
            continue;
        best_n = n, best = i, best_is_kind = is_kind;
    }
    if (rc) return rc;
    if (best_n) {
        bytes_printf(
            w,
            "Nothing fits all of that. Without the condition on %s there are %zu: "
            "shall it go? ",
            f->cond[best].name, best_n);
    } else {
        bytes_puts(w, "Nothing fits that. ");
        ask_facet(q, w);
    }
    return REC_OK;
}

static void ask_about_range(const query_state *q, bytes_writer *w) {
    const filters *f = &q->out->filters;
    for (size_t i = 0; i < f->n_cond; i++) {
        const facet_cond *c = &f->cond[i];
        if (!c->has_min || !c->has_max || c->min <= c->max) continue;
        bytes_printf(w, "%s cannot be at least %g and at most %g: which of the two?",
                     c->name, c->min, c->max);
        return;
    }
}

/* Is there a word to search for that the items have? Without a text model: any word. */
static bool has_known_word(const query_state *q) {
    for (size_t i = 0; i < q->n; i++) {
        if (!is_searched(q, i)) continue;
        char stem[TOKEN_MAX_BYTES + 1];
        memcpy(stem, q->w[i].t.text, q->w[i].t.n_text);
        size_t n = stem_english(stem, q->w[i].t.n_text);
        if (!q->l || lsa_find_term(q->l, stem, n) != KEYS_NONE) return true;
    }
    return false;
}

static rec_status clarify(query_state *q) {
    query_request *r = q->out;
    bytes_writer w = {0};
    rec_status rc = REC_OK;
    size_t n = 1;
    bool says_nothing =
        !r->filters.n_cond && !q->n_titles && !r->exclude.n && !has_known_word(q);
    bool wants_item =
        r->intent == INTENT_TRANSACTIONAL || r->intent == INTENT_NAVIGATIONAL;
    if (wants_item && says_nothing) {
        ask_facet(q, &w);
    } else if (q->has_bad_range) {
        ask_about_range(q, &w);
    } else if (q->c && r->filters.n_cond && wants_item) {
        rc = count_items(q, &r->filters, &n);
        if (!rc && !n) rc = ask_to_relax(q, &w);
    }
    if (w.n && !rc) {
        while (w.n && w.data[w.n - 1] == ' ') w.n--;
        r->question = bytes_take_text(&w);
        if (!r->question) rc = rec_nomem(q->err);
        r->needs_clarification = true;
        query_doubt(q, 0.45);
    }
    if (!rc && w.status) rc = rec_nomem(q->err);
    bytes_clear(&w);
    return rc;
}

/* ---- confidence --------------------------------------------------------------------------------- */

/* Words that ask for something that no rule reads. */
static void doubt_leftovers(query_state *q) {
    size_t n_unknown = 0, n_english = 0;
    for (size_t i = 0; i < q->n; i++) {
        bool is_plain = word_is_vague(q, i);
        n_english += is_plain || q->w[i].use != USE_FREE;
        if (q->w[i].use != USE_FREE || is_plain) continue;
        if (q->w[i].has_number) query_doubt(q, 0.15);
        if (word_in(
                q, i,
                " cheap cheapest affordable expensive recent latest newest old older "
                "oldest newer short shorter long longer longest shortest rated popular "
                "underrated modern highly cheaper last past decade decades "))
            query_doubt(q, 0.2);
        char stem[TOKEN_MAX_BYTES + 1];
        memcpy(stem, q->w[i].t.text, q->w[i].t.n_text);
        size_t n = stem_english(stem, q->w[i].t.n_text);
        if (q->l && lsa_find_term(q->l, stem, n) == KEYS_NONE) n_unknown++;
        if (!q->l) n_unknown += (unsigned char)q->w[i].t.text[0] >= 0x80;
    }
    if (q->n >= 4 && !n_english) query_doubt(q, 0.4); /* another language */
    for (size_t i = 0; i < n_unknown && i < 6; i++) query_doubt(q, 0.05);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

rec_status query_parse(const char *text, size_t nbyte, const catalog *c,
                       const text_space *s, query_request *out, rec_err *err) {
    static const text_space nothing = {0};
    *out = (query_request){0};
    rec_err own = {0};
    query_state q = {.text = text ? text : "",
                     .nbyte = text ? nbyte : 0,
                     .c = c,
                     .space = s ? s : &nothing,
                     .l = s ? s->l : NULL,
                     .out = out,
                     .err = err ? err : &own};
    rec_status rc = query_lex(&q);
    if (!rc) query_titles(&q); /* first as it stands: "La vita è bella" is no request */
    if (!rc && !q.n_titles && query_translate(&q)) query_titles(&q);
    if (!rc) rc = query_numbers(&q);
    if (!rc) rc = query_revisions(&q);
    if (!rc) query_negation(&q);
    if (!rc) rc = query_values(&q);
    if (!rc && !c) rc = query_excluded(&q);
    if (!rc) rc = write_titles(&q);
    if (!rc) {
        drop_empty(&out->filters);
        out->intent = find_intent(&q);
        if (out->intent == INTENT_INFORMATIONAL && asks_about_one(&q))
            filters_clear(&out->filters);
        rc = write_query(&q);
    }
    if (!rc) rc = write_expansions(&q);
    if (!rc) rc = clarify(&q);
    if (!rc) {
        doubt_leftovers(&q);
        out->confidence = CONFIDENCE_BASE * (1 - q.doubt);
    }
    rec_free(q.w);
    if (rc) query_request_clear(out);
    return rc;
}

rec_status query_find_titles(const char *text, size_t nbyte, const catalog *c,
                             title_hit *out, size_t cap, size_t *n, rec_err *err) {
    *n = 0;
    rec_err own = {0};
    query_request request = {0};
    query_state q = {.text = text ? text : "",
                     .nbyte = text ? nbyte : 0,
                     .c = c,
                     .out = &request,
                     .err = err ? err : &own};
    rec_status rc = query_lex(&q);
    if (!rc) query_titles(&q);
    for (size_t i = 0; !rc && i < q.n_titles; i++) {
        size_t at = *n < cap ? *n : cap;
        title_hit x = q.title[i];
        for (; at > 0 && out[at - 1].end - out[at - 1].begin < x.end - x.begin; at--)
            if (at < cap) out[at] = out[at - 1];
        if (at < cap) out[at] = x;
        if (*n < cap) ++*n;
    }
    rec_free(q.w);
    return rc;
}
