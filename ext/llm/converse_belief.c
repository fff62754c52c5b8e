/* converse_belief.c - how likely is each item to be the one that is wanted?
 *
 *     scores of the model --rank--> prior 1 / (rank + c)^a
 *                                     x  likelihood of all that was said
 *                                     = belief, over what may be shown and was not
 *
 *   "comedy"          no Comedy           x 10^(-2 w)        w: how much the word is trusted
 *   "1990-1999"       1988                x exp(-2 / scale), not below 10^(-2 w)
 *   "no horror"       Horror              x 10^(-2 w)
 *   "not like Alien"  likeness .5         x 10^(-2 w .5)
 *
 * A belief kept per item and multiplied by how well each answer fits is PEBOL's (Austin et al. 2024, "Bayesian
 * Optimization with LLM-Based Acquisition Functions for Natural Language Preference Elicitation"); here the
 * likelihood comes from the record and not from a language model. The prior goes by rank, since scores of
 * different models are on no common scale. Nothing that was said rules an item out: one wrong answer costs the
 * wanted item a factor, and right ones win it back.
 *
 * Invariants
 *  B1  p is 0 for items that the host does not allow, that were shown, or were rejected; else > 0; it sums to 1.
 *  B2  n_fit counts live items that meet every demand the reader made unasked; answers to questions are no demands.
 *
 * Cost: a sort of the live items, and one pass over them for each thing that was said.
 */
#include "converse.h"

#include <math.h>

#define PRIOR_POWER  1.0
#define PRIOR_OFFSET 12.0
/* A range fits items beside it a little: the share of the facet's span after which e times less. */
#define RANGE_SOFT 0.02
/* Belief that is left to an item whose record does not say. */
#define UNKNOWN_SHARE 0.5
#define FIT_WEIGHT    0.6 /* said unasked with at least this weight: a demand */

void belief_clear(belief *b) {
    rec_free(b->p);
    bitmap_clear(&b->allowed);
    *b = (belief){0};
}

bool item_has_value(const catalog *c, int facet, uint32_t item, const char *value) {
    const uint32_t *v;
    size_t n, nbyte, wanted = strlen(value);
    if (facet_kind(c, (size_t)facet) == FACET_NUMBER) return false;
    n = facet_item_values(c, (size_t)facet, item, &v);
    for (size_t i = 0; i < n; i++) {
        const char *s = facet_value(c, (size_t)facet, v[i], &nbyte);
        if (nbyte == wanted && memcmp(s, value, nbyte) == 0) return true;
    }
    return false;
}

uint32_t word_term(const converse_args *a, const char *word, size_t n) {
    char stem[TOKEN_MAX_BYTES + 1];
    const lsa *l = a->ctx->language.l;
    if (!l || n == 0 || n > TOKEN_MAX_BYTES) return KEYS_NONE;
    n = text_fold(stem, sizeof stem, word, n);
    n = stem_english(stem, n);
    return lsa_find_term(l, stem, n);
}

bool item_has_term(const converse_args *a, const converse_host *host, uint32_t item,
                   uint32_t term) {
    const doc_terms *d = &a->ctx->language.docs;
    uint32_t row = host->doc ? host->doc[item] : KEYS_NONE;
    if (row == KEYS_NONE || row >= d->n_docs) return false;
    for (size_t e = d->ptr[row]; e < d->ptr[row + 1]; e++)
        if (d->term[e].term == term) return true;
    return false;
}

/* ---- what was said, over all items ---------------------------------------------------------------- */

/* How well an item fits a statement, 0..1; -1: its record does not say. */
typedef struct fitting {
    const converse_args *a;
    const converse_host *host;
    const said *s;
    uint8_t *mark;    /* value: [n_values] owned: equal values */
    uint32_t term[8]; /* word: its stems */
    size_t n_term;
    float *like;  /* item: [n_items] owned */
    double soft;  /* range */
    double least; /* share of its belief that an item keeps at the worst */
} fitting;

static void fitting_clear(fitting *f) {
    rec_free(f->mark);
    rec_free(f->like);
}

static void find_terms(fitting *f) {
    tokenizer tk;
    token t;
    tokenizer_start(&tk, f->s->value, strlen(f->s->value), false);
    while (f->n_term < 8 && tokenizer_next(&tk, &t)) {
        uint32_t term = t.is_stop ? KEYS_NONE : word_term(f->a, t.text, t.n_text);
        if (term != KEYS_NONE) f->term[f->n_term++] = term;
    }
}

static rec_status fitting_init(fitting *f, const converse_args *a,
                               const converse_host *host, const said *s, rec_err *err) {
    const catalog *c = a->ctx->items;
    *f =
        (fitting){.a = a, .host = host, .s = s, .least = pow(10, -2 * fabs(s->weight))};
    if (s->kind == SAID_VALUE) {
        size_t n = facet_n_values(c, (size_t)s->facet);
        f->mark = rec_zeros(n ? n : 1, 1);
        if (!f->mark) return rec_nomem(err);
        facet_mark_equal(c, (size_t)s->facet, s->value, strlen(s->value), f->mark);
    } else if (s->kind == SAID_RANGE) {
        double min, max;
        facet_range(c, (size_t)s->facet, &min, &max);
        f->soft = fmax((max - min) * RANGE_SOFT, 1e-9);
    } else if (s->kind == SAID_WORD) {
        find_terms(f);
    } else {
        f->like = rec_array(catalog_n_items(c), sizeof *f->like);
        if (!f->like) return rec_nomem(err);
        return host->similar(host->ctx, s->item, f->like, err);
    }
    return REC_OK;
}

static double fit_value(const fitting *f, uint32_t item) {
    const uint32_t *v;
    size_t n = facet_item_values(f->a->ctx->items, (size_t)f->s->facet, item, &v);
    if (n == 0) return -1;
    for (size_t i = 0; i < n; i++)
        if (f->mark[v[i]]) return 1;
    return 0;
}

static double fit_range(const fitting *f, uint32_t item) {
    double x;
    if (!facet_item_number(f->a->ctx->items, (size_t)f->s->facet, item, &x)) return -1;
    double off = x < f->s->min ? f->s->min - x : x > f->s->max ? x - f->s->max : 0;
    return off > 0 ? 0.9 * exp(-off / f->soft) : 1;
}

static double fit_word(const fitting *f, uint32_t item) {
    const doc_terms *d = &f->a->ctx->language.docs;
    uint32_t row = f->host->doc ? f->host->doc[item] : KEYS_NONE;
    if (!f->n_term || row == KEYS_NONE || row >= d->n_docs ||
        d->ptr[row] == d->ptr[row + 1])
        return -1;
    size_t n = 0;
    for (size_t i = 0; i < f->n_term; i++)
        n += item_has_term(f->a, f->host, item, f->term[i]);
    return (double)n / (double)f->n_term;
}

static double fit(const fitting *f, uint32_t item) {
    switch (f->s->kind) {
    case SAID_VALUE: return fit_value(f, item);
    case SAID_RANGE: return fit_range(f, item);
    case SAID_WORD: return fit_word(f, item);
    case SAID_ITEM: {
        double x = (double)f->like[item];
        return x > 0 ? fmin(x, 1) : 0;
    }
    }
    return -1;
}

/* The share of its belief that an item keeps. */
static double keeps(const fitting *f, double how_well) {
    const said *s = f->s;
    double least = f->least;
    if (how_well < 0)
        return s->weight > 0 ? fmax(least, UNKNOWN_SHARE * sqrt(least)) : 1;
    double x = s->weight > 0 ? how_well : 1 - how_well;
    if (s->kind == SAID_ITEM) return pow(10, -2 * fabs(s->weight) * (1 - x));
    return least + (1 - least) * x;
}

static bool is_demand(const said *s) {
    return !s->is_answer && fabs(s->weight) >= FIT_WEIGHT && s->kind != SAID_ITEM &&
           s->kind != SAID_WORD;
}

static bool meets(const said *s, double how_well) {
    return s->weight > 0 ? how_well >= .999 : how_well < .999;
}

/* ---- all statements ---------------------------------------------------------------------------------- */

#define MAX_GROUPS 32 /* demands that are counted one by one */
typedef struct weighing {
    belief *b;
    double *log_p;        /* [n] owned */
    double *group_p;      /* [n] owned: best alternative of the group */
    uint32_t *failed;     /* [n] owned: how many demands the item fails */
    uint8_t *last_failed; /* [n] owned: the last of them */
    uint8_t *meets_group; /* [n] owned */
    int group[MAX_GROUPS];
    size_t n_group;
} weighing;

static void weighing_clear(weighing *w) {
    rec_free(w->log_p);
    rec_free(w->group_p);
    rec_free(w->failed);
    rec_free(w->last_failed);
    rec_free(w->meets_group);
}

static rec_status weigh_one(weighing *w, const fitting *f) {
    bool demands = is_demand(f->s);
    for (uint32_t i = 0; i < w->b->n; i++) {
        if (!(w->b->p[i] > 0)) continue;
        double how_well = fit(f, i), x = keeps(f, how_well);
        if (x > w->group_p[i]) w->group_p[i] = x;
        if (demands && meets(f->s, how_well)) w->meets_group[i] = 1;
    }
    return REC_OK;
}

/* Members of a group are alternatives: the best counts. */
static rec_status weigh_group(weighing *w, const converse_args *a,
                              const converse_host *host, const talk *t, size_t first,
                              rec_err *err) {
    rec_status s = REC_OK;
    bool demands = false;
    double last = 1, last_log = 0;
    memset(w->group_p, 0, w->b->n * sizeof *w->group_p);
    memset(w->meets_group, 0, w->b->n);
    for (size_t j = first; j < t->n_said && s == REC_OK; j++) {
        const said *x = &t->said[j];
        if (x->group != t->said[first].group) continue;
        if (x->kind == SAID_ITEM && x->weight > 0) continue; /* the prior has it */
        fitting f;
        s = fitting_init(&f, a, host, x, err);
        if (s == REC_OK) s = weigh_one(w, &f);
        demands |= is_demand(x);
        fitting_clear(&f);
    }
    bool counts = demands && w->n_group < MAX_GROUPS;
    for (size_t i = 0; i < w->b->n && s == REC_OK; i++) {
        if (w->group_p[i] > 0 && w->group_p[i] != last) /* few values, many items */
            last_log = log(last = w->group_p[i]);
        if (w->group_p[i] > 0) w->log_p[i] += last_log;
        if (!counts || !(w->b->p[i] > 0) || w->meets_group[i]) continue;
        w->failed[i]++;
        w->last_failed[i] = (uint8_t)w->n_group;
    }
    if (counts) w->group[w->n_group++] = t->said[first].group;
    return s;
}

static rec_status weigh(weighing *w, const converse_args *a, const converse_host *host,
                        const talk *t, rec_err *err) {
    rec_status s = REC_OK;
    for (size_t i = 0; i < t->n_said && s == REC_OK; i++) {
        bool is_first = true;
        for (size_t j = 0; j < i; j++)
            if (t->said[j].group == t->said[i].group) is_first = false;
        if (is_first) s = weigh_group(w, a, host, t, i, err);
    }
    return s;
}

/* B2, and what giving up one demand would open. */
static void count_fits(const weighing *w, belief *b) {
    size_t opens[MAX_GROUPS] = {0};
    b->give_up = -1;
    for (size_t i = 0; i < b->n; i++) {
        if (!(b->p[i] > 0)) continue;
        if (w->failed[i] == 0) b->n_fit++;
        if (w->failed[i] == 1) opens[w->last_failed[i]]++;
    }
    for (size_t g = 0; g < w->n_group; g++)
        if (opens[g] > b->give_opens) {
            b->give_opens = opens[g];
            b->give_up = w->group[g];
        }
}

static void normalize(const weighing *w, belief *b) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->p[i] > 0 && w->log_p[i] > most) most = w->log_p[i];
    for (size_t i = 0; i < b->n; i++) {
        if (!(b->p[i] > 0)) continue;
        b->p[i] = (float)exp(fmax(w->log_p[i] - most, -60));
        sum += (double)b->p[i];
    }
    for (size_t i = 0; i < b->n && sum > 0; i++) b->p[i] /= (float)sum;
}

/* ---- the prior -------------------------------------------------------------------------------------------- */

typedef struct place {
    float score;
    uint32_t item;
} place;

static int by_score(const void *x, const void *y, void *ctx) {
    const place *a = x, *b = y;
    (void)ctx;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

/* Scores in b->p -> the logarithm of the prior; p becomes 1 for live items. */
static rec_status rank_prior(weighing *w, belief *b, const talk *t, rec_err *err) {
    place *a = rec_array(b->n, sizeof *a);
    size_t n = 0;
    if (!a) return rec_nomem(err);
    for (size_t i = 0; i < t->shown.n; i++) bitmap_unset(&b->allowed, t->shown.a[i]);
    for (size_t i = 0; i < t->rejected.n; i++)
        bitmap_unset(&b->allowed, t->rejected.a[i]);
    for (size_t i = 0; i < t->liked.n; i++) bitmap_unset(&b->allowed, t->liked.a[i]);
    for (size_t i = 0; i < t->disliked.n; i++)
        bitmap_unset(&b->allowed, t->disliked.a[i]);
    for (uint32_t i = 0; i < b->n; i++) {
        if (bitmap_has(&b->allowed, i)) a[n++] = (place){b->p[i], i};
        b->p[i] = 0;
    }
    rec_sort(a, n, sizeof *a, by_score, NULL);
    for (size_t r = 0; r < n; r++) {
        b->p[a[r].item] = 1;
        w->log_p[a[r].item] = -PRIOR_POWER * log((double)r + PRIOR_OFFSET);
    }
    b->n_live = n;
    rec_free(a);
    return REC_OK;
}

/* What the model itself can use: items and words that were asked for. */
static rec_status make_query(const converse_args *a, const talk *t, query_request *q,
                             rec_err *err) {
    bytes_writer w = {0};
    rec_status s = REC_OK;
    (void)a;
    for (size_t i = 0; i < t->n_said && s == REC_OK; i++) {
        const said *x = &t->said[i];
        if (x->kind == SAID_ITEM && x->weight > 0)
            s = request_add_like(q, x->item, err);
        if (x->kind != SAID_WORD || x->weight <= 0 || x->is_answer) continue;
        if (w.n) bytes_puts(&w, " ");
        bytes_puts(&w, x->value);
    }
    if (s == REC_OK && w.n) {
        q->query = bytes_take_text(&w);
        if (!q->query) s = rec_nomem(err);
    }
    bytes_clear(&w);
    return s;
}

static rec_status weighing_init(weighing *w, belief *b, rec_err *err) {
    size_t n = b->n ? b->n : 1;
    *w = (weighing){.b = b};
    w->log_p = rec_zeros(n, sizeof *w->log_p);
    w->group_p = rec_zeros(n, sizeof *w->group_p);
    w->failed = rec_zeros(n, sizeof *w->failed);
    w->last_failed = rec_zeros(n, 1);
    w->meets_group = rec_zeros(n, 1);
    return w->log_p && w->group_p && w->failed && w->last_failed && w->meets_group
               ? REC_OK
               : rec_nomem(err);
}

rec_status belief_make(const converse_args *a, const converse_host *host, const talk *t,
                       belief *out, rec_err *err) {
    weighing w = {0};
    query_request q = {0};
    *out = (belief){.n = catalog_n_items(a->ctx->items), .give_up = -1};
    out->p = rec_zeros(out->n ? out->n : 1, sizeof *out->p);
    rec_status s = out->p ? weighing_init(&w, out, err) : rec_nomem(err);
    if (s == REC_OK) s = make_query(a, t, &q, err);
    if (s == REC_OK) s = host->prior(host->ctx, &q, out->p, err);
    if (s == REC_OK) s = host->allowed(host->ctx, &out->allowed, err);
    if (s == REC_OK) s = rank_prior(&w, out, t, err);
    if (s == REC_OK) s = weigh(&w, a, host, t, err);
    if (s == REC_OK) count_fits(&w, out);
    if (s == REC_OK) normalize(&w, out);
    query_request_clear(&q);
    weighing_clear(&w);
    if (s != REC_OK) belief_clear(out);
    return s;
}
