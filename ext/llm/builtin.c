/* builtin.c - the reranker that is always there: no model, no network, the same answer every time.
 *
 *     relevance  =  .4 retrieval score + .6 text match          (each 0..1; alone, a part counts whole)
 *     order      =  maximal marginal relevance (core/diversify.c)
 *
 * Retrieval score: scaled within the list, so that only differences count. Text match: BM25F over the
 * candidates themselves (Robertson, Zaragoza 2009): stems of the request against stems of the fields, the
 * title counting twice, a rare stem more than one that every candidate has, divided by what a candidate
 * with every findable stem would get. Similarity: Jaccard over the stems of two candidates (the paper leaves the
 * measure open; there are no vectors here).
 *
 * Why an item is there is said in words that stand in the item: the stems it shares with the request, and
 * failing those, the stems it shares with something the user liked. The quote is a piece of that field as it
 * stands. An item of which neither can be said gets a plain sentence and grounded = 0.
 *
 * B1. Every candidate number comes out exactly once.
 * B2. Values handed out with an order never ascend.
 * B3. A quote is a substring of its field, byte for byte.
 *
 * Cost: one pass over the text; the diversity loop is quadratic in the first MMR_POOL candidates, the rest
 * follows by relevance.
 */
#include "llm.h"

#include <math.h>

#define TITLE_WEIGHT       2.0f
#define TITLE_REASON       1.5f /* a title says more of an item than its other fields */
#define BM25_K1            1.2f
#define BM25_B             0.75f
#define TEXT_SHARE         0.55f
#define TEXT_FULL          0.5f /* a match from which on the best one counts as whole */
#define MMR_POOL           200
#define MAX_QUERY_STEMS    64
#define MAX_STEMS          2000 /* of one candidate; a longer text counts by its beginning */
#define MAX_WORDS_NAMED    3
#define MAX_QUOTE_BYTES    160
#define QUOTE_WINDOW_BYTES 80
#define MIN_SHARED_STEMS   2

struct builtin {
    const candidates *all; /* borrowed */
    dict *stems;           /* owned; the request's come first */
    size_t n_query;
    uint32_t *df;  /* [n_stems] candidates that hold the stem */
    uint32_t *set; /* stems of one candidate after the other, ascending within each */
    size_t *start; /* [n + 1] into set */
    float *title, *body;      /* [n * n_query] occurrences of the request's stems */
    float *length;            /* [n] stems outside the title */
    bool has_score, has_text; /* do the two parts of relevance say anything? */
    size_t cap_set;
};

const char *candidate_text(const candidate *c, const char *field) {
    for (size_t i = 0; i < c->n_field; i++)
        if (strcmp(c->field[i].name, field) == 0) return c->field[i].text;
    return NULL;
}

const char *candidate_title(const candidate *c) {
    const char *t = candidate_text(c, "title");
    return t ? t : candidate_text(c, "name");
}

static bool is_title(const candidate_field *f) {
    return strcmp(f->name, "title") == 0 || strcmp(f->name, "name") == 0;
}

/* ---- reading the list ------------------------------------------------------------------------- */

static rec_status add_query(builtin *b, const char *query, size_t nbyte,
                            bool keep_stops, rec_err *err) {
    tokenizer t;
    token tok;
    tokenizer_start(&t, query, nbyte, true);
    while (tokenizer_next(&t, &tok) && dict_count(b->stems) < MAX_QUERY_STEMS) {
        if (tok.is_stop && !keep_stops) continue;
        uint32_t pos;
        rec_status st = dict_add(b->stems, tok.text, tok.n_text, &pos, err);
        if (st) return st;
    }
    b->n_query = dict_count(b->stems);
    return REC_OK;
}

static rec_status add_stem(builtin *b, size_t i, const token *tok, bool in_title,
                           bool is_number, rec_err *err) {
    uint32_t pos;
    rec_status st = dict_add(b->stems, tok->text, tok->n_text, &pos, err);
    if (st) return st;
    size_t nq = b->n_query;
    if (pos < nq) *(in_title ? &b->title[i * nq + pos] : &b->body[i * nq + pos]) += 1;
    if (!in_title) b->length[i] += 1;
    if (is_number) return REC_OK; /* two films of one year are not alike for it */
    st = rec_grow(&b->set, &b->cap_set, b->start[i + 1] + 1, sizeof *b->set, err);
    if (!st) b->set[b->start[i + 1]++] = pos;
    return st;
}

static int compare_u32(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

/* Append candidate i: its stems to `set` (each once), the request's to the counts. */
static rec_status add_candidate(builtin *b, size_t i, rec_err *err) {
    const candidate *c = &b->all->c[i];
    rec_status st = REC_OK;
    b->start[i + 1] = b->start[i];
    for (size_t f = 0; f < c->n_field && !st; f++) {
        tokenizer t;
        token tok;
        tokenizer_start(&t, c->field[f].text, strlen(c->field[f].text), true);
        while (!st && b->start[i + 1] - b->start[i] < MAX_STEMS &&
               tokenizer_next(&t, &tok))
            if (!tok.is_stop || dict_find(b->stems, tok.text, tok.n_text) < b->n_query)
                st = add_stem(b, i, &tok, is_title(&c->field[f]), c->field[f].is_number,
                              err);
    }
    if (st || !b->set) return st;
    uint32_t *s = b->set + b->start[i];
    size_t n = b->start[i + 1] - b->start[i], k = 0;
    rec_sort(s, n, sizeof *s, compare_u32, NULL);
    for (size_t j = 0; j < n; j++)
        if (j == 0 || s[j] != s[j - 1]) s[k++] = s[j];
    b->start[i + 1] = b->start[i] + k;
    return REC_OK;
}

static void count_documents(builtin *b) {
    for (size_t i = 0; i < b->start[b->all->n]; i++) b->df[b->set[i]]++;
    for (size_t q = 0; q < b->n_query; q++) { /* numbers are in no set */
        b->df[q] = 0;
        for (size_t i = 0; i < b->all->n; i++)
            b->df[q] += b->title[i * b->n_query + q] + b->body[i * b->n_query + q] > 0;
        b->has_text |= b->df[q] > 0;
    }
    for (size_t i = 0; i < b->all->n; i++) b->has_score |= !isnan(b->all->c[i].score);
}

rec_status builtin_new(const char *query, size_t nbyte, const candidates *all,
                       builtin **out, rec_err *err) {
    *out = NULL;
    size_t cells = 0;
    builtin *b = rec_zeros(1, sizeof *b);
    if (!b) return rec_nomem(err);
    b->all = all;
    b->stems = dict_new();
    b->start = rec_zeros(all->n + 1, sizeof *b->start);
    b->length = rec_zeros(all->n, sizeof *b->length);
    rec_status st = b->stems && b->start && b->length ? REC_OK : rec_nomem(err);
    if (!st && query) st = add_query(b, query, nbyte, false, err);
    if (!st && query && b->n_query == 0) st = add_query(b, query, nbyte, true, err);
    if (!st && !rec_mul(all->n, b->n_query, &cells)) st = rec_nomem(err);
    if (!st) {
        b->title = rec_zeros(cells, sizeof(float));
        b->body = rec_zeros(cells, sizeof(float));
        if (!b->title || !b->body) st = rec_nomem(err);
    }
    for (size_t i = 0; i < all->n && !st; i++) st = add_candidate(b, i, err);
    if (!st && !(b->df = rec_zeros(dict_count(b->stems), sizeof *b->df)))
        st = rec_nomem(err);
    if (!st) {
        count_documents(b);
        *out = b;
    } else
        builtin_free(b);
    return st;
}

void builtin_free(builtin *b) {
    if (!b) return;
    dict_free(b->stems);
    rec_free(b->df), rec_free(b->set), rec_free(b->start);
    rec_free(b->title), rec_free(b->body), rec_free(b->length);
    rec_free(b);
}

/* ---- relevance ---------------------------------------------------------------------------------- */

static float idf(const builtin *b, uint32_t stem) {
    float n = (float)b->all->n, df = (float)b->df[stem];
    return logf(1 + (n - df + .5f) / (df + .5f));
}

static float text_match(const builtin *b, size_t i, float mean_length) {
    float got = 0, best = 0, norm = 1 - BM25_B + BM25_B * b->length[i] / mean_length;
    for (uint32_t q = 0; q < b->n_query; q++) {
        if (b->df[q] == 0)
            continue; /* nobody has it: it tells no two candidates apart */
        float tf = TITLE_WEIGHT * b->title[i * b->n_query + q] +
                   b->body[i * b->n_query + q] / norm;
        got += idf(b, q) * tf / (tf + BM25_K1);
        best += idf(b, q);
    }
    return best > 0 ? got / best : 0;
}

/* Scale scores to 0..1 within the list. Missing ones are 0. */
static void scale_scores(const builtin *b, float *out) {
    double min = INFINITY, max = -INFINITY;
    for (size_t i = 0; i < b->all->n; i++) {
        double s = b->all->c[i].score;
        if (!isnan(s)) min = fmin(min, s), max = fmax(max, s);
    }
    for (size_t i = 0; i < b->all->n; i++) {
        double s = b->all->c[i].score;
        /* Halves: the difference of two large scores need not fit a double. */
        double part = max > min ? (s / 2 - min / 2) / (max / 2 - min / 2) : 1;
        out[i] = isnan(s) ? 0 : (float)part;
    }
}

void builtin_relevance(const builtin *b, float *relevance) {
    size_t n = b->all->n;
    float mean = 0, text_share = !b->has_text ? 0 : b->has_score ? TEXT_SHARE : 1;
    for (size_t i = 0; i < n; i++) mean += b->length[i] / (float)n;
    float best = TEXT_FULL;
    for (size_t i = 0; i < n; i++)
        best = fmaxf(best, text_match(b, i, mean > 0 ? mean : 1));
    scale_scores(b, relevance);
    for (size_t i = 0; i < n; i++)
        relevance[i] = (1 - text_share) * relevance[i] +
                       text_share * text_match(b, i, mean > 0 ? mean : 1) / best;
}

/* ---- order ----------------------------------------------------------------------------------------- */

static float jaccard(const builtin *b, uint32_t x, uint32_t y) {
    size_t i = b->start[x], j = b->start[y], common = 0;
    size_t nx = b->start[x + 1] - i, ny = b->start[y + 1] - j;
    while (i < b->start[x + 1] && j < b->start[y + 1]) {
        if (b->set[i] == b->set[j])
            common++, i++, j++;
        else if (b->set[i] < b->set[j])
            i++;
        else
            j++;
    }
    return nx + ny ? (float)common / (float)(nx + ny - common) : 0;
}

typedef struct pool { /* the first of the order of relevance */
    const builtin *b;
    const uint32_t *member; /* candidate numbers */
} pool;

static rec_status alike(void *ctx, uint32_t chosen, const uint32_t *other, size_t n,
                        float *out, rec_err *err) {
    const pool *p = ctx;
    (void)err;
    for (size_t j = 0; j < n; j++)
        out[j] = jaccard(p->b, p->member[chosen], p->member[other[j]]);
    return REC_OK;
}

static int compare_relevance(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const float *r = ctx;
    if (r[x] != r[y]) return r[x] > r[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

rec_status builtin_diversify(const builtin *b, const float *relevance, size_t n,
                             double diversity, uint32_t *order, float *value,
                             rec_err *err) {
    size_t n_pool = n < MMR_POOL ? n : MMR_POOL;
    float *first = rec_array(n_pool, sizeof *first);
    uint32_t *member = rec_array(n_pool, sizeof *member);
    pool p = {b, member};
    diversify d = {0};
    diversify_args args = {.method = DIVERSIFY_MMR,
                           .lambda = diversity,
                           .n = n_pool,
                           .relevance = first,
                           .alike = alike,
                           .ctx = &p};
    bool more = true;
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    rec_sort(order, n, sizeof *order, compare_relevance, (void *)relevance);
    rec_status s = first && member ? REC_OK : rec_nomem(err);
    for (size_t k = 0; s == REC_OK && k < n_pool; k++)
        member[k] = order[k], first[k] = relevance[order[k]];
    if (s == REC_OK) s = diversify_init(&d, &args, err);
    for (size_t k = 0; s == REC_OK && k < n_pool; k++) {
        uint32_t chosen = 0;
        double worth = 0;
        s = diversify_next(&d, &chosen, &worth, &more, err);
        order[k] = s == REC_OK ? member[chosen] : order[k];
        value[k] = (float)worth;
    }
    for (size_t k = 0; s == REC_OK && k < n; k++) {
        if (k >= n_pool) value[k] = (1 - (float)diversity) * relevance[order[k]];
        if (k && value[k] > value[k - 1]) value[k] = value[k - 1]; /* B2 */
    }
    diversify_clear(&d);
    rec_free(first);
    rec_free(member);
    return s;
}

/* ---- reasons ----------------------------------------------------------------------------------------- */

typedef struct spot { /* a word of a field that the request has too */
    uint32_t stem, word;
} spot;

typedef struct field_words {
    token *tok; /* owned */
    size_t n_tok, cap_tok;
    spot hit[MAX_WORDS_NAMED]; /* in order of appearance; distinct stems, the rarest */
    size_t n_hit;
    float worth;
} field_words;

/* Keep the rarest stems, each at its first place. */
static void offer_hit(const builtin *b, field_words *w, uint32_t stem) {
    float x = idf(b, stem);
    size_t worst = 0;
    for (size_t i = 0; i < w->n_hit; i++) {
        if (w->hit[i].stem == stem) return;
        if (idf(b, w->hit[i].stem) < idf(b, w->hit[worst].stem)) worst = i;
    }
    if (w->n_hit == MAX_WORDS_NAMED) {
        if (idf(b, w->hit[worst].stem) >= x) return;
        for (size_t i = worst; i + 1 < w->n_hit; i++) w->hit[i] = w->hit[i + 1];
        w->n_hit--;
    }
    w->hit[w->n_hit++] = (spot){stem, (uint32_t)w->n_tok};
}

static rec_status read_field(const builtin *b, const candidate_field *f, field_words *w,
                             rec_err *err) {
    tokenizer t;
    token tok;
    w->n_tok = w->n_hit = 0, w->worth = 0;
    tokenizer_start(&t, f->text, strlen(f->text), true);
    while (tokenizer_next(&t, &tok) && w->n_tok < MAX_STEMS) {
        rec_status st = rec_grow(&w->tok, &w->cap_tok, w->n_tok + 1, sizeof tok, err);
        if (st) return st;
        uint32_t stem = dict_find(b->stems, tok.text, tok.n_text);
        if (stem < b->n_query && tok.end - tok.begin <= TOKEN_MAX_BYTES)
            offer_hit(b, w, stem);
        w->tok[w->n_tok++] = tok;
    }
    for (size_t i = 0; i < w->n_hit; i++) w->worth += idf(b, w->hit[i].stem);
    if (is_title(f)) w->worth *= TITLE_REASON;
    return REC_OK;
}

/* A piece of the field around its matched words: whole words, no clause mark inside the extension. */
static void quote_span(const field_words *w, size_t *begin, size_t *end) {
    size_t lo = w->hit[0].word, hi = w->hit[w->n_hit - 1].word;
    if (w->tok[hi].end - w->tok[lo].begin > MAX_QUOTE_BYTES) hi = lo;
    for (bool grew = true; grew;) {
        grew = false;
        if (hi + 1 < w->n_tok && !w->tok[hi + 1].after_break &&
            w->tok[hi + 1].end - w->tok[lo].begin <= QUOTE_WINDOW_BYTES)
            hi++, grew = true;
        if (lo > 0 && !w->tok[lo].after_break &&
            w->tok[hi].end - w->tok[lo - 1].begin <= QUOTE_WINDOW_BYTES)
            lo--, grew = true;
    }
    *begin = w->tok[lo].begin, *end = w->tok[hi].end;
}

static rec_status write_match(const field_words *w, const candidate_field *f,
                              rerank_row *row, rec_err *err) {
    bytes_writer why = {0};
    bytes_puts(&why, "Matches ");
    for (size_t i = 0; i < w->n_hit; i++) {
        const token *t = &w->tok[w->hit[i].word];
        bytes_puts(&why, i == 0 ? "\"" : i + 1 == w->n_hit ? " and \"" : ", \"");
        bytes_put(&why, f->text + t->begin, t->end - t->begin);
        bytes_puts(&why, "\"");
    }
    bytes_puts(&why, " in "), bytes_puts(&why, f->name);
    size_t begin, end;
    quote_span(w, &begin, &end);
    row->why = bytes_take_text(&why);
    row->field = rec_strdup(f->name);
    row->quote = rec_strndup(f->text + begin, end - begin); /* B3 */
    row->grounded = true;
    return row->why && row->field && row->quote ? REC_OK : rec_nomem(err);
}

/* The field with the most to show for itself. *done false: no field has a word of the request. */
static rec_status match_reason(const builtin *b, const candidate *c, rerank_row *row,
                               bool *done, rec_err *err) {
    field_words w = {0};
    size_t best = c->n_field;
    float worth = 0;
    rec_status st = REC_OK;
    for (size_t i = 0; i < c->n_field && !st; i++) {
        st = read_field(b, &c->field[i], &w, err);
        if (!st && w.n_hit && w.worth > worth) best = i, worth = w.worth;
    }
    *done = best < c->n_field;
    if (!st && *done) st = read_field(b, &c->field[best], &w, err);
    if (!st && *done) st = write_match(&w, &c->field[best], row, err);
    rec_free(w.tok);
    return st;
}

static bool has_stem(const builtin *b, uint32_t i, uint32_t stem) {
    size_t lo = b->start[i], hi = b->start[i + 1];
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b->set[mid] < stem)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < b->start[i + 1] && b->set[lo] == stem;
}

/* What candidate i shares with something the user had: distinct stems, rare ones worth more. */
static float shared_with(const builtin *b, uint32_t i, const candidate *h) {
    uint32_t seen[MAX_QUERY_STEMS];
    size_t n_seen = 0;
    float worth = 0;
    for (size_t f = 0; f < h->n_field; f++) {
        tokenizer t;
        token tok;
        tokenizer_start(&t, h->field[f].text, strlen(h->field[f].text), true);
        while (tokenizer_next(&t, &tok) && n_seen < MAX_QUERY_STEMS) {
            uint32_t stem = dict_find(b->stems, tok.text, tok.n_text);
            if (tok.is_stop || tok.is_number || stem == KEYS_NONE ||
                !has_stem(b, i, stem))
                continue;
            size_t k = 0;
            while (k < n_seen && seen[k] != stem) k++;
            if (k < n_seen) continue;
            seen[n_seen++] = stem;
            worth += idf(b, stem);
        }
    }
    return n_seen >= MIN_SHARED_STEMS ? worth : 0;
}

static rec_status history_reason(const builtin *b, uint32_t i, rerank_row *row,
                                 bool *done, rec_err *err) {
    const history_item *best = NULL;
    float worth = 0;
    for (size_t k = 0; k < b->all->n_history; k++) {
        const history_item *h = &b->all->history[k];
        float x = candidate_title(&h->c) ? shared_with(b, i, &h->c) : 0;
        if (x > worth) best = h, worth = x;
    }
    *done = best != NULL;
    if (!best) return REC_OK;
    bytes_writer why = {0};
    bytes_puts(&why, "Like "), bytes_puts(&why, candidate_title(&best->c));
    if (best->value)
        bytes_puts(&why, ", which you rated "), bytes_puts(&why, best->value);
    else
        bytes_puts(&why, ", which is in your history");
    row->why = bytes_take_text(&why);
    row->field = rec_strdup("history");
    row->quote = rec_strdup(candidate_title(&best->c));
    row->grounded = true;
    return row->why && row->field && row->quote ? REC_OK : rec_nomem(err);
}

rec_status builtin_reason(const builtin *b, uint32_t i, rerank_row *row, rec_err *err) {
    bool done = false;
    rec_status st = REC_OK;
    row->grounded = false;
    if (b->n_query) st = match_reason(b, &b->all->c[i], row, &done, err);
    if (!st && !done) st = history_reason(b, i, row, &done, err);
    if (st || done) return st;
    row->why = rec_strdup(isnan(b->all->c[i].score) ? "In the order of retrieval"
                                                    : "Close to your taste by score");
    return row->why ? REC_OK : rec_nomem(err);
}
