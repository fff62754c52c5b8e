/* converse_ask.c - which question tells most about what is wanted?
 *
 *     belief over items        .20  .15  .10  .08  ...
 *     genres of each            C   C,R   D    C,D          answers  {C} .31  {C,R} .15  {D} .10 ...
 *     what an answer would tell = entropy of the answers, in bits
 *
 *   facets    up to ten values, or ranges of a number, between which the belief is most divided
 *   words     up to eight of the items' own words, each chosen for what the others leave uncovered
 *   a pair    "more like this or like that?", where the records have nothing else to tell
 *
 * The user knows the wanted item's record, so an answer is a function of the item, and what a question tells is the
 * entropy of its answers (IDSS asks by the entropy of attributes over the live candidates; weighting by the
 * belief makes it about what this user may want). It is discounted by how surely people answer such a question.
 * Asking ends when the best question is worth less than ASK_MIN_BITS.
 *
 * Invariants
 *  Q1  nothing is asked twice: no facet, no word, no pair; nor a facet of which the reader, or the caller by
 *      filters, said what it is to be.
 *  Q2  every option is a value of the catalogue, its count the number of live items that have it.
 *  Q3  the same belief gives the same question.
 *
 * Cost: one pass over the live items for each facet; words are counted over the WORD_ITEMS likeliest.
 */
#include "converse.h"

#include <math.h>

#define ASK_MIN_BITS   0.35
#define ASK_MAX        12   /* questions of one session */
#define CONFIDENT_MASS 0.97 /* of the belief, in one list */
#define KNOWN_WEIGHT \
    0.45 /* below: remembered from another session, worth asking about today */
#define WORD_OPTIONS   8
#define WORD_ITEMS     1500
#define WORD_VALUES    4096 /* of a facet whose words are left out */
#define WORD_MIN_ITEMS 2    /* a word of one item would give it away */
#define WORD_TRUST     0.8
#define NUMBER_TRUST   0.95
#define PAIR_TRUST     0.3
#define NEGLIGIBLE     1e-6f /* belief that no question is about */
#define RANGES         5
#define OPTION_MIN     0.01 /* of the belief */

static double plogp(double p) {
    return p > 0 ? -p * log2(p) : 0;
}

/* Entropy of the distribution of an answer; p sums to `sum`. */
static double entropy(const double *p, size_t n) {
    double sum = 0, h = 0;
    for (size_t i = 0; i < n; i++) sum += p[i];
    for (size_t i = 0; i < n && sum > 0; i++) h += plogp(p[i] / sum);
    return h;
}

static rec_status add_option(ask *q, const char *s, size_t n, size_t count,
                             rec_err *err) {
    if (n > FACET_MAX_VALUE) return REC_OK;
    ask_option o = {.value = rec_strndup(s, n),
                    .count = count,
                    .min = -INFINITY,
                    .max = INFINITY,
                    .item = KEYS_NONE};
    if (!o.value) return rec_nomem(err);
    q->option[q->n++] = o;
    return REC_OK;
}

/* ---- known already ------------------------------------------------------------------------------ */

static bool is_known(const converse_args *a, const talk *t, int facet) {
    const char *name = facet_name(a->ctx->items, (size_t)facet);
    for (size_t i = 0; i < t->n_said; i++) {
        const said *s = &t->said[i];
        bool is_facet = s->kind == SAID_VALUE || s->kind == SAID_RANGE;
        if (is_facet && s->facet == facet && (s->weight > KNOWN_WEIGHT || s->is_answer))
            return true;
    }
    for (size_t i = 0; a->fixed && i < a->fixed->n_cond; i++)
        if (strcmp(a->fixed->cond[i].name, name) == 0) return true;
    return talk_was_asked(t, "facet", name);
}

static bool was_said(const talk *t, said_kind kind, int facet, const char *value,
                     size_t n) {
    for (size_t i = 0; i < t->n_said; i++) {
        const said *s = &t->said[i];
        if (s->kind == kind && (kind == SAID_WORD || s->facet == facet) &&
            strlen(s->value) == n && memcmp(s->value, value, n) == 0)
            return true;
    }
    return false;
}

/* ---- facets of values ---------------------------------------------------------------------------- */

typedef struct value_mass {
    uint32_t value;
    size_t count;
    double p;
} value_mass;

static int by_split(const void *x, const void *y, void *ctx) {
    const value_mass *a = x, *b = y;
    (void)ctx;
    double ga = a->p * (1 - a->p), gb = b->p * (1 - b->p);
    if (ga != gb) return ga > gb ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

static int by_mass(const void *x, const void *y, void *ctx) {
    const value_mass *a = x, *b = y;
    (void)ctx;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

/* The values between which the belief is most divided, and the entropy of which of them an item has. */
static rec_status ask_values(const converse_args *a, const talk *t, const belief *b,
                             int facet, ask *q, rec_err *err) {
    const catalog *c = a->ctx->items;
    size_t f = (size_t)facet, n = facet_n_values(c, f), n_option = 0;
    value_mass *v = rec_zeros(n ? n : 1, sizeof *v);
    double *answer = rec_zeros((size_t)1 << CONVERSE_MAX_OPTIONS, sizeof *answer);
    uint8_t *place = rec_zeros(n ? n : 1, 1);
    rec_status s = v && answer && place ? REC_OK : rec_nomem(err);
    const uint32_t *has;
    double known = 0;
    for (uint32_t i = 0; s == REC_OK && i < b->n; i++) {
        size_t m = b->p[i] > 0 ? facet_item_values(c, f, i, &has) : 0;
        if (m) known += (double)b->p[i];
        for (size_t j = 0; j < m; j++) {
            v[has[j]].count++;
            v[has[j]].p += (double)b->p[i];
        }
    }
    for (uint32_t i = 0; s == REC_OK && i < n; i++) {
        size_t nbyte;
        const char *text = facet_value(c, f, i, &nbyte);
        v[i].value = i;
        bool drops = v[i].p < OPTION_MIN || nbyte > FACET_MAX_VALUE ||
                     was_said(t, SAID_VALUE, facet, text, nbyte);
        if (!drops) v[n_option++] = v[i];
    }
    if (s == REC_OK) rec_sort(v, n_option, sizeof *v, by_split, NULL);
    if (n_option > CONVERSE_MAX_OPTIONS) n_option = CONVERSE_MAX_OPTIONS;
    if (s == REC_OK) rec_sort(v, n_option, sizeof *v, by_mass, NULL);
    for (size_t i = 0; s == REC_OK && i < n_option; i++) {
        size_t nbyte;
        const char *text = facet_value(c, f, v[i].value, &nbyte);
        place[v[i].value] = (uint8_t)(i + 1);
        s = add_option(q, text, nbyte, v[i].count, err);
    }
    for (uint32_t i = 0; s == REC_OK && i < b->n; i++) {
        size_t set = 0, m = b->p[i] > 0 ? facet_item_values(c, f, i, &has) : 0;
        for (size_t j = 0; j < m; j++)
            if (place[has[j]]) set |= (size_t)1 << (place[has[j]] - 1);
        if (m) answer[set] += (double)b->p[i];
    }
    if (s == REC_OK)
        q->gain = n_option < 2
                      ? 0
                      : known * entropy(answer, (size_t)1 << CONVERSE_MAX_OPTIONS);
    rec_free(v);
    rec_free(answer);
    rec_free(place);
    return s;
}

/* ---- facets of numbers --------------------------------------------------------------------------- */

typedef struct number_mass {
    double x, p;
} number_mass;

static int by_number(const void *x, const void *y, void *ctx) {
    const number_mass *a = x, *b = y;
    (void)ctx;
    return a->x < b->x ? -1 : a->x > b->x;
}

/* A bound that people would say: 2, 3 figures of it, and years by decades or halves of them. */
static double round_bound(double x, double span, bool is_year) {
    if (is_year) return floor(x / (span > 12 ? 10 : 1) + .5) * (span > 12 ? 10 : 1);
    double unit = pow(10, floor(log10(fmax(span, 1e-9)))) / 2;
    if (span >= 10 && unit < 1) unit = 1;
    return floor(x / unit + .5) * unit;
}

static rec_status add_range(const converse_args *a, const belief *b, int facet,
                            double min, double max, ask *q, rec_err *err) {
    char text[80];
    size_t count = 0;
    double x;
    range_words(min, max, text, sizeof text);
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i] > 0 && facet_item_number(a->ctx->items, (size_t)facet, i, &x) &&
            x >= min && x <= max)
            count++;
    if (!count) return REC_OK;
    rec_status s = add_option(q, text, strlen(text), count, err);
    if (s == REC_OK) {
        q->option[q->n - 1].min = min;
        q->option[q->n - 1].max = max;
    }
    return s;
}

/* Bounds that cut the belief into about equal parts. */
static size_t find_bounds(const number_mass *v, size_t n, double total, bool is_year,
                          double *bound) {
    size_t n_bound = 0;
    double sum = 0, span = 0, lo = v[0].x, hi = v[n - 1].x;
    for (size_t i = 0; i < n; i++) { /* the span of the middle nine tenths */
        sum += v[i].p;
        if (sum < .05 * total) lo = v[i].x;
        if (sum < .95 * total) hi = v[i].x;
    }
    span = hi - lo;
    sum = 0;
    for (size_t i = 0; i < n && n_bound + 1 < RANGES; i++) {
        sum += v[i].p;
        if (sum < total * (double)(n_bound + 1) / RANGES) continue;
        double x = round_bound(v[i].x, span, is_year);
        if ((n_bound && x <= bound[n_bound - 1]) || x <= v[0].x || x > v[n - 1].x)
            continue;
        bound[n_bound++] = x;
    }
    return n_bound;
}

static rec_status ask_numbers(const converse_args *a, const belief *b, int facet,
                              ask *q, rec_err *err) {
    const catalog *c = a->ctx->items;
    size_t n = 0, n_bound = 0;
    double bound[RANGES], part[RANGES] = {0}, x, total = 0;
    facet_role role = vocabulary_role(catalog_vocabulary(c), (size_t)facet);
    if (role == ROLE_FLAG || role == ROLE_STOCK) return REC_OK;
    number_mass *v = rec_array(b->n, sizeof *v);
    if (!v) return rec_nomem(err);
    for (uint32_t i = 0; i < b->n; i++) {
        if (!(b->p[i] > NEGLIGIBLE) || !facet_item_number(c, (size_t)facet, i, &x))
            continue;
        v[n++] = (number_mass){x, (double)b->p[i]};
        total += (double)b->p[i];
    }
    rec_sort(v, n, sizeof *v, by_number, NULL);
    bool is_whole = true;
    for (size_t i = 0; i < n; i++)
        if (v[i].x != floor(v[i].x)) is_whole = false;
    if (n > 1) n_bound = find_bounds(v, n, total, role == ROLE_YEAR, bound);
    for (size_t i = 0; i < n && n_bound; i++) {
        size_t at = 0;
        while (at < n_bound && v[i].x >= bound[at]) at++;
        part[at] += v[i].p;
    }
    rec_free(v);
    rec_status s = REC_OK;
    double below = is_whole ? 1 : 0;
    for (size_t i = 0; s == REC_OK && n_bound && i <= n_bound; i++)
        s = add_range(a, b, facet, i ? bound[i - 1] : -INFINITY,
                      i < n_bound ? bound[i] - below : INFINITY, q, err);
    q->gain = q->n > 1 ? NUMBER_TRUST * total * entropy(part, RANGES) : 0;
    return s;
}

/* ---- words ---------------------------------------------------------------------------------------- */

typedef struct likely {
    float p;
    uint32_t item;
} likely;

typedef struct word_count { /* owned */
    likely *item;
    size_t n;
    float *mass; /* [n_terms] of items that no chosen word covers */
    uint8_t *is_out;
    uint16_t *set; /* [n] the chosen words that the item has */
    size_t n_terms;
} word_count;

static void word_count_clear(word_count *w) {
    rec_free(w->item);
    rec_free(w->mass);
    rec_free(w->is_out);
    rec_free(w->set);
}

static size_t row_terms(const converse_args *a, const converse_host *host,
                        uint32_t item, const term_share **out) {
    const doc_terms *d = &a->ctx->language.docs;
    uint32_t row = host->doc[item];
    if (row == KEYS_NONE || row >= d->n_docs) return 0;
    *out = d->term + d->ptr[row];
    return d->ptr[row + 1] - d->ptr[row];
}

static rec_status word_count_init(word_count *w, const converse_args *a,
                                  const belief *b, rec_err *err) {
    size_t n = 0;
    *w = (word_count){.n_terms = lsa_n_terms(a->ctx->language.l)};
    w->item = rec_array(b->n, sizeof *w->item);
    w->mass = rec_zeros(w->n_terms, sizeof *w->mass);
    w->is_out = rec_zeros(w->n_terms, 1);
    if (!w->item || !w->mass || !w->is_out) return rec_nomem(err);
    topk top;
    rec_status s = topk_init(&top, WORD_ITEMS, err);
    if (s != REC_OK) return s;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i] > 0) topk_push(&top, -b->p[i], i);
    topk_sort(&top);
    for (; n < top.n && n < b->n; n++)
        w->item[n] = (likely){-top.a[n].value, top.a[n].id};
    topk_clear(&top);
    w->n = n;
    w->set = rec_zeros(w->n ? w->n : 1, sizeof *w->set);
    return w->set ? REC_OK : rec_nomem(err);
}

/* Words of facet values are asked about as such. */
static void leave_out_values(word_count *w, const converse_args *a) {
    const catalog *c = a->ctx->items;
    for (size_t f = 0; f < catalog_n_facets(c); f++) {
        size_t n = facet_kind(c, f) == FACET_NUMBER ? 0 : facet_n_values(c, f);
        for (uint32_t v = 0; v < n && v < WORD_VALUES; v++) {
            size_t nbyte;
            tokenizer tk;
            token t;
            const char *s = facet_value(c, f, v, &nbyte);
            tokenizer_start(&tk, s, nbyte, true);
            while (tokenizer_next(&tk, &t)) {
                uint32_t term = lsa_find_term(a->ctx->language.l, t.text, t.n_text);
                if (term < w->n_terms) w->is_out[term] = 1;
            }
        }
    }
}

/* A word that people can answer for: no feature, no number, not said, not asked. */
static bool is_askable(const converse_args *a, const talk *t, uint32_t term) {
    size_t n;
    const lsa *l = a->ctx->language.l;
    if (lsa_term_is_feature(l, term)) return false;
    const char *word = lsa_surface(l, term, &n);
    if (n < 3 || n > TOKEN_MAX_BYTES || text_is_stop(word, n)) return false;
    for (size_t i = 0; i < n; i++)
        if (word[i] >= '0' && word[i] <= '9') return false;
    char name[TOKEN_MAX_BYTES + 1];
    memcpy(name, word, n);
    name[n] = 0;
    return !talk_was_asked(t, "word", name) && !was_said(t, SAID_WORD, -1, word, n);
}

/* The heaviest word among the items that none of those before has. */
static uint32_t next_word(word_count *w, const converse_args *a,
                          const converse_host *host, const talk *t) {
    const term_share *e;
    memset(w->mass, 0, w->n_terms * sizeof *w->mass);
    double total = 0;
    for (size_t i = 0; i < w->n; i++) {
        total += (double)w->item[i].p;
        if (w->set[i]) continue;
        size_t m = row_terms(a, host, w->item[i].item, &e);
        for (size_t j = 0; j < m; j++)
            if (e[j].term < w->n_terms) w->mass[e[j].term] += w->item[i].p;
    }
    for (;;) {
        uint32_t best = KEYS_NONE;
        float most = (float)(total * OPTION_MIN);
        for (uint32_t k = 0; k < w->n_terms; k++)
            if (!w->is_out[k] && w->mass[k] > most) most = w->mass[k], best = k;
        if (best == KEYS_NONE) return best;
        w->is_out[best] = 1;
        if (is_askable(a, t, best)) return best;
    }
}

static rec_status choose_words(word_count *w, const converse_args *a,
                               const converse_host *host, const talk *t, ask *q,
                               rec_err *err) {
    double answer[1 << WORD_OPTIONS] = {0};
    const term_share *e;
    rec_status s = REC_OK;
    while (s == REC_OK && q->n < WORD_OPTIONS) {
        uint32_t term = next_word(w, a, host, t);
        size_t n, count = 0;
        if (term == KEYS_NONE) break;
        for (size_t i = 0; i < w->n; i++)
            count += item_has_term(a, host, w->item[i].item, term);
        if (count < WORD_MIN_ITEMS) continue;
        for (size_t i = 0; i < w->n; i++)
            if (item_has_term(a, host, w->item[i].item, term))
                w->set[i] |= (uint16_t)(1u << q->n);
        const char *word = lsa_surface(a->ctx->language.l, term, &n);
        s = add_option(q, word, n, count, err);
    }
    double known = 0, total = 0;
    for (size_t i = 0; i < w->n; i++) {
        total += (double)w->item[i].p;
        if (!row_terms(a, host, w->item[i].item, &e)) continue;
        known += (double)w->item[i].p;
        answer[w->set[i]] += (double)w->item[i].p;
    }
    if (q->n && total > 0)
        q->gain = WORD_TRUST * known * entropy(answer, (size_t)1 << WORD_OPTIONS);
    return s;
}

static rec_status ask_words(const converse_args *a, const converse_host *host,
                            const talk *t, const belief *b, ask *q, rec_err *err) {
    word_count w;
    if (!a->ctx->language.l || !host->doc || !a->ctx->language.docs.n_docs)
        return REC_OK;
    rec_status s = word_count_init(&w, a, b, err);
    if (s == REC_OK) leave_out_values(&w, a);
    if (s == REC_OK) s = choose_words(&w, a, host, t, q, err);
    word_count_clear(&w);
    return s;
}

/* ---- a pair ------------------------------------------------------------------------------------------ */

/* The likeliest item, and the likely one least like it. */
static rec_status ask_pair(const converse_args *a, const converse_host *host,
                           const belief *b, ask *q, rec_err *err) {
    const catalog *c = a->ctx->items;
    uint32_t pick[2] = {KEYS_NONE, KEYS_NONE};
    float *like = rec_array(b->n, 2 * sizeof *like);
    rec_status s = like ? REC_OK : rec_nomem(err);
    for (uint32_t i = 0; s == REC_OK && i < b->n; i++)
        if (b->p[i] > 0 && catalog_title(c, i, &(size_t){0}) &&
            (pick[0] == KEYS_NONE || b->p[i] > b->p[pick[0]]))
            pick[0] = i;
    if (s == REC_OK && pick[0] != KEYS_NONE)
        s = host->similar(host->ctx, pick[0], like, err);
    float best = 0;
    for (uint32_t i = 0; s == REC_OK && pick[0] != KEYS_NONE && i < b->n; i++) {
        if (!(b->p[i] > 0) || i == pick[0] || !catalog_title(c, i, &(size_t){0}) ||
            !isfinite(like[i]))
            continue;
        float x = b->p[i] * (1 - fminf(fmaxf(like[i], 0), 1));
        if (x > best) best = x, pick[1] = i;
    }
    bool has_both = s == REC_OK && pick[1] != KEYS_NONE;
    if (has_both) s = host->similar(host->ctx, pick[1], like + b->n, err);
    double part[2] = {0}, known = 0;
    for (uint32_t i = 0; has_both && s == REC_OK && i < b->n; i++) {
        float x = like[i], y = like[b->n + i];
        if (!(b->p[i] > 0) || !isfinite(x) || !isfinite(y)) continue;
        part[y > x] += (double)b->p[i];
        known += (double)b->p[i];
    }
    for (size_t i = 0; has_both && s == REC_OK && i < 2; i++) {
        size_t n;
        const char *title = catalog_title(c, pick[i], &n);
        s = add_option(q, title, n, 1, err);
        if (s == REC_OK && q->n) q->option[q->n - 1].item = pick[i];
    }
    if (s == REC_OK && q->n == 2) q->gain = PAIR_TRUST * known * entropy(part, 2);
    rec_free(like);
    return s;
}

/* ---- the best of all ------------------------------------------------------------------------------------ */

static void keep_better(ask *best, ask *q) {
    bool is_better = q->n > 1 && q->gain > best->gain;
    ask *worse = is_better ? best : q;
    ask_clear(worse);
    if (is_better) *best = *q;
    if (is_better) *q = (ask){.facet = -1};
}

static rec_status ask_facets(const converse_args *a, const talk *t, const belief *b,
                             ask *best, rec_err *err) {
    const catalog *c = a->ctx->items;
    rec_status s = REC_OK;
    for (int f = 0; s == REC_OK && f < (int)catalog_n_facets(c); f++) {
        ask q = {.kind = ASK_FACET, .facet = f};
        if (is_known(a, t, f)) continue;
        s = facet_kind(c, (size_t)f) == FACET_NUMBER ? ask_numbers(a, b, f, &q, err)
                                                     : ask_values(a, t, b, f, &q, err);
        if (s != REC_OK)
            ask_clear(&q);
        else
            keep_better(best, &q);
    }
    return s;
}

/* Share of the belief in the k likeliest. */
static rec_status find_confidence(const converse_args *a, const belief *b, bool *out,
                                  rec_err *err) {
    topk top = {0};
    double sum = 0;
    rec_status s = topk_init(&top, a->k, err);
    if (s != REC_OK) return s;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i] > 0) topk_push(&top, -b->p[i], i);
    for (size_t i = 0; i < top.n; i++) sum -= (double)top.a[i].value;
    topk_clear(&top);
    *out = sum > CONFIDENT_MASS;
    return REC_OK;
}

rec_status converse_ask(const converse_args *a, const converse_host *host,
                        const talk *t, const belief *b, ask *out, rec_err *err) {
    ask q = {.kind = ASK_WORDS, .facet = -1};
    *out = (ask){.facet = -1};
    if (t->asked.n + WORD_OPTIONS > CONVERSE_MAX_ASKED || b->n_live <= a->k ||
        t->turn > ASK_MAX)
        return REC_OK;
    bool is_confident = false;
    rec_status s = find_confidence(a, b, &is_confident, err);
    if (s != REC_OK || is_confident) return s;
    s = ask_facets(a, t, b, out, err);
    if (s == REC_OK) s = ask_words(a, host, t, b, &q, err);
    if (s == REC_OK)
        keep_better(out, &q);
    else
        ask_clear(&q);
    q = (ask){.kind = ASK_PAIR, .facet = -1};
    if (s == REC_OK && out->gain < ASK_MIN_BITS && !talk_was_asked(t, "pair", ""))
        s = ask_pair(a, host, b, &q, err);
    if (s == REC_OK)
        keep_better(out, &q);
    else
        ask_clear(&q);
    double least = out->kind == ASK_PAIR ? ASK_MIN_BITS / 3 : ASK_MIN_BITS;
    if (s != REC_OK || out->gain < least) ask_clear(out);
    return s;
}
