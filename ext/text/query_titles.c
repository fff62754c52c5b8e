/* query_titles.c - which items does the sentence name, and how does it feel about them?
 *
 *     "something in the spirit of Spirited Away"     cue + title        liked
 *     "nothing like Saw"                             negated cue        named, not liked
 *     "Blade Runner but funny"                       capitals           liked
 *     "find the godfather"                           the whole request  navigational
 *
 * The difficulty is the other way round: "It", "Her", "Up", "Heat" and "Drama" are titles and
 * ordinary words. So the weaker the sign that a title is meant, the more must agree:
 *
 *     sign                     accepted
 *     quotes, cue              the longest exact title; else the most similar one
 *     capitals inside          an exact title that covers the run of capitals
 *     nothing                  an exact title of three words, two of them content words
 *     whole request            an exact title (a similar one behind a verb such as "find")
 *
 * and one word that is a stop word, a general word or a facet value needs a capital or quotes
 * in every case.
 *
 * Invariants
 *  I1  hits do not overlap; their words have use USE_TITLE.
 *
 * Cost: a hash lookup per (begin, length); spelling only behind cues and in quotes.
 */
#include "query.h"

#define TITLE_MIN_SIMILAR   0.75
#define TITLE_WHOLE_SIMILAR 0.82
#define TITLE_MAX_SPAN      14
#define TITLE_LENGTH_BONUS  0.05
#define TITLE_TOPIC_DF \
    10 /* a word of so many descriptions is a topic before it is a title */

/* ---- spans ---------------------------------------------------------------------------- */

static uint32_t key_at(const query_state *q, size_t i, size_t n, title_key *k) {
    *k = (title_key){0};
    for (size_t j = i; j < i + n; j++) {
        if (!word_is_free(q, j)) return KEYS_NONE;
        title_key_add(k, q->w[j].t.text, q->w[j].t.n_text);
    }
    return titles_key(catalog_titles(q->c), k);
}

/* One word that could be any word is a title only when it is written as one. */
static bool is_plausible(const query_state *q, size_t i, size_t n) {
    size_t n_content = 0, last = i;
    bool is_marked = false;
    for (size_t j = i; j < i + n; j++) {
        is_marked |= q->w[j].is_quoted || (q->w[j].is_capital && (j > 0 || n == q->n));
        if (!word_is_vague(q, j)) n_content++, last = j;
    }
    if (is_marked && n_content) return true;
    if (is_marked) return q->w[i].is_quoted || q->w[i].is_capital;
    if (n_content >= 2) return true;
    const vocab_entry *e;
    size_t n_entry;
    return n_content == 1 && q->w[last].t.n_text >= 3 && !q->w[last].has_number &&
           !query_phrase_at(q, last, &e, &n_entry);
}

/* A year behind the title, "(1999)" or "from 1999" or "1999", when the title itself has it. */
static size_t year_after(const query_state *q, size_t at, uint32_t item) {
    size_t skip = word_in(q, at, " from of in the version ") ? 1 : 0, n;
    skip += skip && word_in(q, at + 1, " the ") ? 1 : 0;
    const char *title = catalog_title(q->c, item, &n);
    if (at + skip >= q->n || !title) return 0;
    const qword *w = &q->w[at + skip];
    if (!w->has_number || w->t.n_text != 4) return 0;
    for (size_t i = 0; i + 6 <= n; i++)
        if (title[i] == '(' && memcmp(title + i + 1, w->t.text, 4) == 0)
            return skip + 1;
    return 0;
}

static void add_hit(query_state *q, size_t i, size_t n, uint32_t key, double score,
                    bool is_disliked) {
    const uint32_t *items;
    bool is_short;
    size_t n_items = titles_items(catalog_titles(q->c), key, &items, &is_short),
           n_year = 0;
    uint32_t item = items[0];
    for (size_t k = 0; k < n_items && !n_year; k++) {
        n_year = year_after(q, i + n, items[k]);
        if (n_year) item = items[k];
    }
    words_use(q, i, n + n_year, USE_TITLE);
    if (q->n_titles == QUERY_MAX_TITLES) return;
    q->is_disliked[q->n_titles] = is_disliked;
    q->title[q->n_titles++] =
        (title_hit){item, q->w[i].t.begin, q->w[i + n + n_year - 1].t.end, score};
    if (is_short) query_doubt(q, 0.05);
    if (n_items > 1 && !n_year) query_doubt(q, 0.04);
    if (score < 1) query_doubt(q, 0.3 * (1 - score) + 0.05);
}

/* ---- exact and similar ------------------------------------------------------------------- */

static size_t exact_at(const query_state *q, size_t i, uint32_t *key, bool *is_short) {
    title_key k;
    const uint32_t *items;
    size_t most = q->n - i < TITLE_MAX_SPAN ? q->n - i : TITLE_MAX_SPAN;
    for (size_t n = most; n > 0; n--) {
        *key = key_at(q, i, n, &k);
        if (*key == KEYS_NONE || word_is(q, i + n - 1, "and")) continue;
        titles_items(catalog_titles(q->c), *key, &items, is_short);
        return n;
    }
    return 0;
}

/* Words that end a title that is not exact: the sentence goes on. */
static bool ends_span(const query_state *q, size_t i) {
    if (!word_is_free(q, i)) return true;
    return word_in(
        q, i,
        " but with without after before since from under over less more because that "
        "which who please only except set starring directed by or is was were are "
        "were not no newer older cheaper shorter longer i ");
}

/* Similarity of the span to the nearest title; 0 where none is meant. */
static double similar_span(query_state *q, size_t i, size_t n, uint32_t *key) {
    title_key k;
    double score;
    key_at(q, i, n, &k);
    if (!k.n_words || !is_plausible(q, i, n) || word_is_generic(q, i + n - 1)) return 0;
    if ((n == 1 && k.n < 5) || q->n_similar++ >= QUERY_MAX_SIMILAR) return 0;
    *key = titles_fuzzy(catalog_titles(q->c), &k, &score);
    if (*key == KEYS_NONE || score < TITLE_MIN_SIMILAR) return 0;
    return score > 0.99 ? 0.99 : score;
}

/* The best span from i on; a longer one may be a little less similar. */
static size_t similar_at(query_state *q, size_t i, uint32_t *key, double *score) {
    size_t best_n = 0;
    bool is_quoted = i < q->n && q->w[i].is_quoted;
    *score = 0;
    for (size_t n = 1; n <= TITLE_MAX_SPAN && i + n <= q->n; n++) {
        size_t j = i + n - 1;
        uint32_t found = KEYS_NONE;
        if (n > 1 && q->w[j].t.after_break && !is_quoted) break;
        if (is_quoted ? !q->w[j].is_quoted : ends_span(q, j)) break;
        double s = similar_span(q, i, n, &found);
        if (s == 0 || s + TITLE_LENGTH_BONUS < *score) continue;
        *score = s;
        *key = found;
        best_n = n;
    }
    return best_n;
}

/* The title that begins at word i behind a sign of one; returns its words. */
static size_t title_at(query_state *q, size_t i, bool is_disliked, bool is_sure) {
    uint32_t key = KEYS_NONE;
    bool is_short;
    double score = 1;
    const vocab_entry *e;
    size_t n_entry;
    if (!word_is_free(q, i)) return 0;
    size_t n = exact_at(q, i, &key, &is_short);
    if (n && !is_plausible(q, i, n)) n = 0;
    size_t skip = word_in(q, i, " a an the some ") ? 1 : 0;
    is_sure |= i + skip < q->n && q->w[i + skip].is_capital;
    if (!n && is_sure && !query_phrase_at(q, i + skip, &e, &n_entry))
        n = similar_at(q, i, &key, &score);
    if (n) add_hit(q, i, n, key, score, is_disliked);
    return n;
}

/* ---- cues ------------------------------------------------------------------------------------ */

typedef struct cue {
    const char *words;
    bool is_disliked, is_verb; /* a verb is a cue only when a title follows */
} cue;

/* Longer patterns first: "not as _ as" before "as _ as". */
static const cue cues[] = {
    {"not in the style of", true, false},
    {"along the lines of", false, false},
    {"in the spirit of", false, false},
    {"in the style of", false, false},
    {"in the vein of", false, false},
    {"in the mood of", false, false},
    {"in the tradition of", false, false},
    {"not as _ as", true, false},
    {"do not like", true, true},
    {"did not like", true, true},
    {"did not enjoy", true, true},
    {"not a fan of", true, true},
    {"reminds me of", false, false},
    {"remind me of", false, false},
    {"not similar to", true, false},
    {"already seen", true, true},
    {"already watched", true, true},
    {"already read", true, true},
    {"have seen", true, true},
    {"ive seen", true, true},
    {"have read", true, true},
    {"ive read", true, true},
    {"as _ as", false, false},
    {"similar to", false, false},
    {"close to", false, false},
    {"comparable to", false, false},
    {"akin to", false, false},
    {"same as", false, false},
    {"such as", false, false},
    {"more like", false, false},
    {"not like", true, false},
    {"nothing like", true, false},
    {"isnt like", true, false},
    {"dont like", true, true},
    {"didnt like", true, true},
    {"didnt enjoy", true, true},
    {"different from", true, false},
    {"different to", true, false},
    {"other than", true, false},
    {"instead of", true, false},
    {"anything but", true, false},
    {"tired of", true, true},
    {"sick of", true, true},
    {"reminiscent of", false, false},
    {"fan of", false, true},
    {"fans of", false, true},
    {"alternative to", false, false},
    {"alternatives to", false, false},
    {"sequel to", false, false},
    {"inspired by", false, false},
    {"a la", false, true},
    {"unlike", true, false},
    {"hated", true, true},
    {"hate", true, true},
    {"disliked", true, true},
    {"dislike", true, true},
    {"except", true, true},
    {"resembling", false, false},
    {"loved", false, true},
    {"love", false, true},
    {"liked", false, true},
    {"enjoyed", false, true},
    {"enjoy", false, true},
    {"adore", false, true},
    {"adored", false, true},
    {"watched", false, true},
    {"finished", false, true},
    {"saw", false, true},
    {"reading", false, true},
    {"like", false, false},
};

static const cue *cue_at(const query_state *q, size_t i, size_t *n) {
    for (size_t k = 0; k < sizeof cues / sizeof cues[0]; k++) {
        *n = words_at(q, i, cues[k].words);
        if (*n) return &cues[k];
    }
    return NULL;
}

static bool is_negated_before(const query_state *q, size_t i) {
    if (i && word_in(q, i - 1, " really much exactly quite too anything something "))
        i--;
    return i && word_in(q, i - 1,
                        " not nothing never no dont didnt doesnt isnt wasnt without ");
}

/* "would like", "like to": a wish, no comparison. */
static bool is_wish(const query_state *q, size_t i) {
    if (!word_is(q, i, "like")) return false;
    return (i && word_in(q, i - 1, " would id youd wed to might ")) ||
           word_is(q, i + 1, "to");
}

/* Titles behind a cue, joined by commas, "and", "or". Returns whether there was one. */
static bool titles_behind(query_state *q, size_t i, bool is_disliked, bool is_sure) {
    bool any = false;
    for (;;) {
        size_t skip = 0, n;
        while (!(n = title_at(q, i + skip, is_disliked, is_sure)) &&
               word_in(q, i + skip, " the movie film book novel films movies series "))
            skip++;
        if (!n) return any;
        words_use(q, i, skip, USE_RULE);
        any = true;
        i += skip;
        while (i < q->n && q->w[i].use == USE_TITLE) i++;
        if (i >= q->n) return any;
        bool is_list = word_in(q, i, " and or nor ");
        if (!is_list && !q->w[i].t.after_break) return any;
        if (is_list) i++;
    }
}

/* Written like a name, and no value of a facet. */
static bool names_something(const query_state *q, size_t i) {
    const vocab_entry *e;
    size_t n_entry;
    if (!word_is_free(q, i) || query_phrase_at(q, i, &e, &n_entry)) return false;
    return q->w[i].is_capital || q->w[i].is_quoted;
}

static void find_cued(query_state *q) {
    for (size_t i = 0; i < q->n; i++) {
        size_t n;
        if (!word_is_free(q, i)) continue;
        const cue *c = cue_at(q, i, &n);
        if (!c || is_wish(q, i)) continue;
        bool is_negated = is_negated_before(q, i);
        if (titles_behind(q, i + n, c->is_disliked || is_negated, !c->is_verb)) {
            words_use(q, i, n, USE_RULE);
            if (is_negated && word_is_free(q, i - 1)) words_use(q, i - 1, 1, USE_RULE);
            i += n - 1;
        } else if (!c->is_verb && names_something(q, i + n)) {
            query_doubt(q, 0.25); /* it names something that we do not have */
        }
    }
}

/* ---- quotes, capitals, long titles ------------------------------------------------------------ */

static void find_quoted(query_state *q) {
    for (size_t i = 0; i < q->n; i++) {
        if (!q->w[i].is_quoted || !word_is_free(q, i) || (i && q->w[i - 1].is_quoted))
            continue;
        if (!title_at(q, i, is_negated_before(q, i), true)) query_doubt(q, 0.2);
    }
}

/* Words of the run of capitals that begins at i; small words count inside it. */
static size_t capital_run(const query_state *q, size_t i) {
    size_t end = i;
    for (size_t j = i; j < q->n; j++) {
        if (j > i && q->w[j].t.after_break && !word_is(q, j - 1, ":")) {
            size_t at = q->w[j - 1].t.end;
            if (at >= q->nbyte || q->text[at] != ':') break;
        }
        if (q->w[j].is_capital || q->w[j].has_number)
            end = j + 1;
        else if (!word_in(q, j, " of the and in a an to for on at with from "))
            break;
    }
    return end - i;
}

static void find_capital(query_state *q) {
    size_t n_capital = 0;
    for (size_t i = 0; i < q->n; i++) n_capital += q->w[i].is_capital;
    bool is_shouting = n_capital * 10 > q->n * 8 && q->n > 3;
    for (size_t i = 0; i < q->n && !is_shouting; i++) {
        if (!q->w[i].is_capital || !word_is_free(q, i)) continue;
        size_t run = capital_run(q, i), n_entry;
        const vocab_entry *e;
        uint32_t key;
        bool is_short = false;
        size_t n = exact_at(q, i, &key, &is_short);
        bool is_alone = i > 0 || n == q->n || (n && q->w[i + n].t.after_break) ||
                        word_in(q, i + n, " but and or ");
        bool is_whole =
            n && n + 2 > run && (n >= 2 || (is_alone && q->w[i].t.n_text >= 4));
        if (is_whole && !is_short && query_phrase_at(q, i, &e, &n_entry) < n &&
            is_plausible(q, i, n)) {
            add_hit(q, i, n, key, 1, is_negated_before(q, i));
            query_doubt(q, 0.08);
        }
        i += run > 1 ? run - 1 : 0;
    }
}

static void find_long(query_state *q) {
    for (size_t i = 0; i < q->n; i++) {
        uint32_t key;
        bool is_short = false;
        size_t n = word_is_free(q, i) ? exact_at(q, i, &key, &is_short) : 0,
               n_content = 0;
        for (size_t j = i; j < i + n; j++) n_content += !word_is_vague(q, j);
        if (n >= 3 && n_content >= 2 && !is_short) {
            add_hit(q, i, n, key, 1, is_negated_before(q, i));
            query_doubt(q, 0.08);
            i += n - 1;
        }
    }
}

/* ---- the request is a title --------------------------------------------------------------------- */

static bool is_leading(const query_state *q, size_t i) {
    if (word_is(q, i, "like")) return i && word_in(q, i - 1, " id would ");
    return word_in(
        q, i,
        " find show me get play watch open search for put on i want wanna to see read "
        "buy the a movie film book novel called titled named where is are can could do "
        "you have got looking im id would please copy of look up lookup go take "
        "need let lets us just start stream rent order ");
}

/* One small-letter word may be what a film is about: "vampires". */
static bool is_topic_word(const query_state *q, size_t i) {
    char stem[TOKEN_MAX_BYTES + 1];
    memcpy(stem, q->w[i].t.text, q->w[i].t.n_text);
    uint32_t t = lsa_find_term(q->l, stem, stem_english(stem, q->w[i].t.n_text));
    return t != KEYS_NONE && lsa_df(q->l, t) >= TITLE_TOPIC_DF;
}

static bool find_whole(query_state *q) {
    const vocab_entry *e;
    size_t n_entry, end = q->n;
    uint32_t key;
    title_key k;
    while (end > 1 && word_in(q, end - 1, " please now movie film book novel tonight "))
        end--;
    size_t n_year =
        end > 1 && q->w[end - 1].has_number && q->w[end - 1].t.n_text == 4 ? 1 : 0;
    for (size_t i = 0; i < end; i++) {
        for (size_t cut = 0; cut <= n_year; cut++) {
            size_t n = end - i - cut;
            if (!n) continue;
            key = key_at(q, i, n, &k);
            if (key == KEYS_NONE || !is_plausible(q, i, n)) continue;
            if (query_phrase_at(q, i, &e, &n_entry) == n && !q->w[i].is_capital)
                continue;
            const uint32_t *items;
            bool is_short;
            titles_items(catalog_titles(q->c), key, &items, &is_short);
            bool is_plain = n == 1 && !q->w[i].is_capital && !q->w[i].is_quoted && !i;
            if (is_plain && (q->l ? is_topic_word(q, i) : is_short)) continue;
            if (is_plain) query_doubt(q, 0.12);
            if (cut) {
                size_t m = titles_items(catalog_titles(q->c), key, &items, &is_short),
                       y = 0;
                while (m-- && !y) y = year_after(q, i + n, items[m]);
                if (!y) continue;
            }
            add_hit(q, i, n, key, 1, false);
            words_use(q, 0, i, USE_RULE);
            words_use(q, end, q->n - end, USE_RULE);
            return q->is_title_request = true;
        }
        if (!is_leading(q, i)) break;
    }
    return false;
}

/* Does everything look like a title: capitals, or only words that titles have? */
static bool looks_like_title(const query_state *q) {
    bool is_name = true, is_known = true;
    for (size_t j = 0; j < q->n; j++) {
        const token *t = &q->w[j].t;
        is_name &= q->w[j].is_capital || t->is_stop || q->w[j].has_number;
        is_known &= titles_has_word(catalog_titles(q->c), t->text, t->n_text) ||
                    word_in(q, j, " a an and ");
    }
    return q->n >= 2 && q->n <= 10 && (is_name || is_known);
}

/* Behind "find", "play" ..., or when nothing else is there: a title not quite right. */
static bool find_whole_similar(query_state *q) {
    size_t i = 0, n_entry;
    const vocab_entry *e;
    while (is_leading(q, i) && i + 1 < q->n) i++;
    if (looks_like_title(q))
        i = 0;
    else if (!i || !word_in(q, 0, " find play watch open show search where "))
        return false;
    for (size_t j = i; j < q->n; j++)
        if (query_phrase_at(q, j, &e, &n_entry) ||
            (q->w[j].has_number && q->w[j].number > 100))
            return false;
    uint32_t key = KEYS_NONE;
    size_t n = q->n - i;
    double score = n <= TITLE_MAX_SPAN ? similar_span(q, i, n, &key) : 0;
    if (score < TITLE_WHOLE_SIMILAR) return false;
    add_hit(q, i, n, key, score, false);
    query_doubt(q, 0.1);
    words_use(q, 0, i, USE_RULE);
    return q->is_title_request = true;
}

void query_titles(query_state *q) {
    if (!q->c || !catalog_titles(q->c) || !q->n) return;
    if (find_whole(q) || find_whole_similar(q)) return;
    find_cued(q);
    find_quoted(q);
    find_capital(q);
    find_long(q);
}
