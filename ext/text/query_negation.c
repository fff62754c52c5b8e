/* query_negation.c - what the sentence does not want.
 *
 *     "no horror or gore, but funny"
 *      cue  [scope    ]       |
 *           horror -> genres none Horror
 *           gore   -> exclude "gore"          (no facet has it)
 *
 * A cue opens a scope that runs to the end of the clause, over "or" and "nor" and over the
 * commas of a list. Its segments (what stands between the conjunctions) are taken whole: a
 * segment that consists of facet values becomes `none`; one with other content becomes an
 * excluded phrase, since "no teen comedies" does not mean "no comedies".
 *
 * Invariants
 *  I1  A word is negated by at most one cue; words of titles and numbers never are.
 *  I2  A cue without content in its scope changes nothing.
 */
#include "query.h"

#define NEGATION_MAX_WORDS 10

static const char *const cue_words[] = {
    "not a big fan of",
    "not a fan of",
    "not interested in",
    "not keen on",
    "not fond of",
    "not into",
    "anything else than",
    "do not want to see",
    "do not want to watch",
    "do not want to read",
    "dont want to see",
    "dont want to watch",
    "dont want to read",
    "dont show me",
    "do not show me",
    "dont care for",
    "no interest in",
    "do not want",
    "do not like",
    "cant stand",
    "dont want",
    "dont like",
    "dont need",
    "does not have",
    "doesnt have",
    "anything but",
    "everything but",
    "all but",
    "other than",
    "apart from",
    "aside from",
    "except for",
    "but no",
    "but not",
    "rather not",
    "tired of",
    "sick of",
    "free of",
    "free from",
    "except",
    "excluding",
    "excludes",
    "without",
    "nothing",
    "avoiding",
    "avoid",
    "lacking",
    "minus",
    "hating",
    "hate",
    "hates",
    "dislike",
    "skip",
    "isnt",
    "arent",
    "sans",
    "never",
    "neither",
    "nor",
    "not",
    "no",
    "non",
    "less",
    "fewer",
};

/* Looks like a cue and is none. */
static const char *const no_cue[] = {
    "nothing but",     "not only",    "not just",    "not sure",   "not bad",
    "not necessarily", "no matter",   "no problem",  "no idea",    "no one",
    "no preference",   "not yet",     "not too bad", "not picky",  "no thanks",
    "not matter",      "never mind",  "never seen",  "never read", "no longer",
    "never watched",   "never heard", "cant decide", "no rush",    "not that",
    "not really sure",
};

static size_t cue_at(const query_state *q, size_t i) {
    size_t n;
    for (size_t k = 0; k < sizeof no_cue / sizeof no_cue[0]; k++)
        if (words_at(q, i, no_cue[k])) return 0;
    if (i && word_in(q, i - 1, " or why if ") && word_is(q, i, "not")) return 0;
    for (size_t k = 0; k < sizeof cue_words / sizeof cue_words[0]; k++)
        if ((n = words_at(q, i, cue_words[k])) != 0) return n;
    return 0;
}

static bool is_conjunction(const query_state *q, size_t i) {
    return word_in(q, i, " or nor and ");
}

/* Words between the cue and what it denies: "not too", "nothing with any". */
static bool is_opening(const query_state *q, size_t i) {
    return word_in(
        q, i,
        " too very so really any a an the overly particularly about with of that kind "
        "sort type much many such other more anything something even containing "
        "involving having in be want all excessive constant lots from by for made ");
}

static bool ends_scope(const query_state *q, size_t i) {
    return word_in(
        q, i,
        " but just only please for from set that which who whose where by like under "
        "over because since although though yet so instead preferably rather i we me "
        "my something anything give show in with about at to if when as after before "
        "is are than ideally maybe must should ");
}

/* A comma inside the scope: does the list go on? "no horror, gore or clowns". */
static bool list_goes_on(const query_state *q, size_t i) {
    if (!q->w[i].t.after_break) return true;
    size_t at = q->w[i - 1].t.end;
    if (at >= q->nbyte || q->text[at] != ',') return false;
    if (word_in(q, i, " or nor ") ||
        (word_is(q, i, "and") && word_in(q, i + 1, " no not ")))
        return true;
    for (size_t k = 1; k <= 2 && i + k < q->n; k++) {
        if (word_in(q, i + k, " or nor ")) return true;
        if (q->w[i + k].t.after_break) return list_goes_on(q, i + k);
    }
    return false;
}

/* "and" goes on only to a bare noun: "no gore and violence", not "and a happy end". */
static bool and_goes_on(const query_state *q, size_t i) {
    if (!word_is(q, i, "and")) return true;
    return word_is_free(q, i + 1) && !q->w[i + 1].t.is_stop &&
           !word_is_generic(q, i + 1) &&
           (i + 2 >= q->n || q->w[i + 2].t.after_break || is_conjunction(q, i + 2) ||
            word_is_generic(q, i + 2) || ends_scope(q, i + 2));
}

/* Marks the scope that begins at i; returns whether it has content. */
static bool mark_scope(query_state *q, size_t i) {
    bool has_content = false, is_open = true;
    size_t end = i + NEGATION_MAX_WORDS;
    for (; i < q->n && i < end && word_is_free(q, i); i++) {
        if (!list_goes_on(q, i)) break;
        if (is_open && is_opening(q, i)) {
            q->w[i].is_negated = true;
            continue;
        }
        if (is_conjunction(q, i)) {
            if (!and_goes_on(q, i)) break;
            q->w[i].is_negated = true;
            is_open = true;
            continue;
        }
        bool is_generic = word_is_generic(q, i);
        if (ends_scope(q, i) || (is_open && is_generic && has_content)) break;
        q->w[i].is_negated = true;
        has_content |= !is_generic;
        /* "no films about war": a general noun may be followed by what it is about. */
        is_open = is_generic && word_in(q, i + 1, " about with of on in that ") &&
                  !has_content;
        if (is_generic && has_content && !is_conjunction(q, i + 1)) break;
    }
    return has_content;
}

static void unmark(query_state *q, size_t i) {
    for (; i < q->n && q->w[i].is_negated; i++) q->w[i].is_negated = false;
}

void query_negation(query_state *q) {
    for (size_t i = 0; i < q->n; i++) {
        const vocab_entry *e;
        size_t n_entry, n;
        if (!word_is_free(q, i) || q->w[i].is_negated || q->w[i].is_quoted) continue;
        if (query_phrase_at(q, i, &e, &n_entry) > 1) continue; /* "Non-fiction" */
        if (words_at(q, i, "nothing but")) words_use(q, i, 2, USE_RULE);
        if (word_is(q, i, "free") && q->w[i].is_joined && i &&
            query_phrase_at(q, i - 1, &e, &n_entry) == 1) { /* "horror-free" */
            q->w[i - 1].is_negated = true;
            words_use(q, i, 1, USE_NOT);
            continue;
        }
        if (!(n = cue_at(q, i))) continue;
        if (word_is(q, i, "non")) { /* "non-animated": the one word */
            size_t n_phrase = query_phrase_at(q, i + 1, &e, &n_entry);
            for (size_t k = 0; k < n_phrase; k++) q->w[i + 1 + k].is_negated = true;
            if (n_phrase) words_use(q, i, 1, USE_NOT);
            continue;
        }
        if (mark_scope(q, i + n))
            words_use(q, i, n, USE_NOT);
        else
            unmark(q, i + n);
        i += n - 1;
    }
}

/* ---- segments ------------------------------------------------------------------------------ */

/* Adjectives of measure: "not too long" excludes no word. */
static bool is_measure(const query_state *q, size_t i) {
    return word_in(
        q, i,
        " long short old new recent expensive cheap pricey big small slow fast heavy "
        "light dark serious sad complicated hard loud high low modern ");
}

static rec_status exclude_segment(query_state *q, size_t begin, size_t end) {
    while (begin < end && (is_opening(q, begin) || q->w[begin].t.is_stop)) begin++;
    while (end > begin && (word_is_vague(q, end - 1) || is_conjunction(q, end - 1)))
        end--;
    if (begin == end) return REC_OK;
    query_doubt(q, 0.05);
    if (end - begin == 1 && is_measure(q, begin)) {
        query_doubt(q, 0.2);
        return REC_OK;
    }
    size_t from = q->w[begin].t.begin, n = q->w[end - 1].t.end - from;
    char small[200];
    n = text_fold(small, sizeof small, q->text + from, n);
    return text_list_add(&q->out->exclude, small, n, q->err);
}

/* One segment of a scope: [begin, end) without conjunctions. */
static rec_status take_segment(query_state *q, size_t begin, size_t end) {
    bool is_covered = true, any = false;
    const vocab_entry *e;
    size_t n_entry, n;
    rec_status rc = REC_OK;
    for (size_t i = begin; i < end; i += n) {
        n = query_phrase_at(q, i, &e, &n_entry);
        if (n && i + n > end) n = 0;
        any |= n > 0;
        bool is_small = is_opening(q, i) || word_is_generic(q, i) ||
                        q->w[i].t.is_stop || query_names_facet(q, i);
        if (!n && !is_small) is_covered = false;
        if (!n) n = 1;
    }
    if (!any || !is_covered) {
        rc = exclude_segment(q, begin, end);
        words_use(q, begin, end - begin, USE_NOT);
        return rc;
    }
    for (size_t i = begin; !rc && i < end; i += n) {
        n = query_phrase_at(q, i, &e, &n_entry);
        if (!n || i + n > end) {
            n = 1;
            continue;
        }
        n_entry = query_choose(q, &e, n_entry);
        for (size_t k = 0; !rc && k < n_entry; k++) rc = query_add_value(q, &e[k], 'n');
    }
    words_use(q, begin, end - begin, USE_NOT);
    return rc;
}

rec_status query_excluded(query_state *q) {
    rec_status rc = REC_OK;
    for (size_t i = 0; !rc && i < q->n; i++) {
        if (!q->w[i].is_negated || !word_is_free(q, i)) continue;
        const vocab_entry *e;
        size_t n_entry, end = i, n;
        while (end < q->n && q->w[end].is_negated && word_is_free(q, end) &&
               !(end > i && q->w[end].t.after_break)) {
            n = query_phrase_at(q, end, &e, &n_entry);
            if (n < 2 && is_conjunction(q, end)) break;
            end += n > 1 ? n : 1;
        }
        if (end > q->n) end = q->n;
        if (end > i) rc = take_segment(q, i, end);
        if (end < q->n && is_conjunction(q, end) && q->w[end].is_negated)
            words_use(q, end, 1, USE_NOT);
        i = end > i ? end - 1 : i;
    }
    return rc;
}
