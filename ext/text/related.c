/* related.c - words that stand in the items which a request is about.
 *
 *     "a boat in a storm"                     heaviest words of each item
 *        boat  --> items 4, 17, 90            4: boat storm sailor shark
 *        storm --> items 4, 33                17: boat island treasure
 *                     |
 *                     v  the items that match best vote for their other words
 *        sailor, shark, island ...
 *
 * Local feedback (Xu and Croft 1996, "Query expansion using local and global document analysis"; the
 * weights are those of RM3, Lavrenko and Croft 2001): the request's words are looked up in an inverted
 * list of the heaviest words of each item, the RELATED_DOCS best items are weighted by the square of how well
 * they match, and every word of theirs collects weight x share / idf: a share already favours rare words, and
 * the rarest are names. (3,421 films, words that are keywords nobody indexed among the first five: idf as a factor
 * .044, without .050, squared weights .059, and divided by idf .064; words of the latent space .023.) Words near the request in the latent space (lsa_near_terms) are near on
 * average over the catalogue; these are what the nearest items really say.
 *
 * Invariants
 *   R1  no word of the request, no feature, no stop word is returned; each word once.
 *   R2  a call reads at most RELATED_POSTINGS entries, the rarest words of the request first, and depends on
 *       nothing but the arguments.
 *
 * Cost: building is one pass over the entries; a call is a few hundred entries and a sort of them.
 */
#include "text.h"

#define RELATED_DOCS     24
#define RELATED_POSTINGS 8192
#define RELATED_WORDS    512 /* distinct words that may collect weight */

typedef struct posting {
    uint32_t doc;
    float share;
} posting;

struct related {
    size_t n_terms;
    size_t *start; /* [n_terms + 1] owned */
    posting *p;    /* owned */
};

void related_free(related *r) {
    if (!r) return;
    rec_free(r->start);
    rec_free(r->p);
    rec_free(r);
}

size_t related_nbyte(const related *r) {
    size_t n = r->n_terms;
    return sizeof *r + (n + 1) * sizeof *r->start + r->start[n] * sizeof *r->p;
}

rec_status related_new(const doc_terms *docs, const lsa *l, related **out,
                       rec_err *err) {
    size_t n_terms = lsa_n_terms(l), n = docs->n_docs ? docs->ptr[docs->n_docs] : 0;
    *out = NULL;
    related *r = rec_zeros(1, sizeof *r);
    if (!r) return rec_nomem(err);
    r->n_terms = n_terms;
    r->start = rec_zeros(n_terms + 2, sizeof *r->start);
    r->p = rec_array(n ? n : 1, sizeof *r->p);
    if (!r->start || !r->p) {
        related_free(r);
        return rec_nomem(err);
    }
    for (size_t e = 0; e < n; e++)
        if (docs->term[e].term < n_terms) r->start[docs->term[e].term + 2]++;
    for (size_t t = 2; t < n_terms + 2; t++) r->start[t] += r->start[t - 1];
    for (uint32_t d = 0; d < docs->n_docs; d++)
        for (size_t e = docs->ptr[d]; e < docs->ptr[d + 1]; e++)
            if (docs->term[e].term < n_terms)
                r->p[r->start[docs->term[e].term + 1]++] =
                    (posting){d, docs->term[e].share};
    *out = r;
    return REC_OK;
}

/* ---- the items that match -------------------------------------------------------------------- */

typedef struct match {
    uint32_t doc;
    float score;
} match;

static int by_doc(const void *a, const void *b, void *ctx) {
    const match *x = a, *y = b;
    (void)ctx;
    return x->doc < y->doc ? -1 : x->doc > y->doc;
}

static int by_score(const void *a, const void *b, void *ctx) {
    const match *x = a, *y = b;
    (void)ctx;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->doc < y->doc ? -1 : x->doc > y->doc;
}

static int by_df(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint32_t dx = lsa_df(ctx, x), dy = lsa_df(ctx, y);
    if (dx != dy) return dx < dy ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Items by the shares of the words they have, best first; returns how many. */
static size_t matching_docs(const text_space *s, const uint32_t *word, size_t n_word,
                            match *m) {
    const related *r = s->near;
    size_t n = 0, n_doc = 0;
    for (size_t w = 0; w < n_word; w++) {
        if (word[w] >= r->n_terms) continue;
        float idf = lsa_idf(s->l, word[w]);
        size_t end = r->start[word[w] + 1];
        for (size_t e = r->start[word[w]]; e < end && n < RELATED_POSTINGS; e++)
            if (r->p[e].doc < s->docs.n_docs)
                m[n++] = (match){r->p[e].doc, r->p[e].share * idf};
    }
    rec_sort(m, n, sizeof *m, by_doc, NULL);
    for (size_t i = 0; i < n; i++) {
        if (n_doc && m[n_doc - 1].doc == m[i].doc)
            m[n_doc - 1].score += m[i].score;
        else
            m[n_doc++] = m[i];
    }
    rec_sort(m, n_doc, sizeof *m, by_score, NULL);
    return n_doc < RELATED_DOCS ? n_doc : RELATED_DOCS;
}

/* ---- their words ------------------------------------------------------------------------------- */

typedef struct votes {
    uint32_t term[RELATED_WORDS];
    float weight[RELATED_WORDS];
    size_t n;
} votes;

static void vote(votes *v, uint32_t term, float weight) {
    size_t i = 0;
    while (i < v->n && v->term[i] != term) i++;
    if (i == RELATED_WORDS) return;
    if (i == v->n) v->term[v->n] = term, v->weight[v->n++] = 0;
    v->weight[i] += weight;
}

static bool may_vote(const text_space *s, uint32_t term, const uint32_t *word,
                     size_t n_word) {
    size_t n;
    for (size_t i = 0; i < n_word; i++)
        if (word[i] == term) return false;
    if (lsa_term_is_feature(s->l, term)) return false;
    const char *w = lsa_surface(s->l, term, &n);
    return n > 2 && !text_is_stop(w, n) && !(w[0] >= '0' && w[0] <= '9');
}

size_t related_terms(const text_space *s, uint32_t *word, size_t n_word, size_t k,
                     uint32_t *term, float *score) {
    votes v = {.n = 0};
    match *m = n_word ? rec_array(RELATED_POSTINGS, sizeof *m) : NULL;
    if (!m) return 0;
    rec_sort(word, n_word, sizeof *word, by_df, (void *)(uintptr_t)s->l); /* R2 */
    size_t n_doc = matching_docs(s, word, n_word, m), n = 0;
    for (size_t d = 0; d < n_doc; d++)
        for (size_t e = s->docs.ptr[m[d].doc]; e < s->docs.ptr[m[d].doc + 1]; e++) {
            const term_share *t = &s->docs.term[e];
            if (may_vote(s, t->term, word, n_word))
                vote(&v, t->term, m[d].score * m[d].score * t->share);
        }
    rec_free(m);
    for (size_t i = 0; i < v.n; i++) v.weight[i] /= lsa_idf(s->l, v.term[i]);
    for (; n < k; n++) {
        size_t best = 0;
        for (size_t i = 1; i < v.n; i++)
            if (v.weight[i] > v.weight[best] ||
                (v.weight[i] == v.weight[best] && v.term[i] < v.term[best]))
                best = i;
        if (!v.n || !(v.weight[best] > 0)) break;
        term[n] = v.term[best];
        score[n] = v.weight[best];
        v.weight[best] = 0;
    }
    return n;
}
