/* diversify.c - a list that is good as a whole, chosen one by one out of candidates.
 *
 *   candidates  relevance 0..1, how alike they are, or what they are about (aspects: Drama, Comedy ...)
 *        |   at every step each candidate that is left is worth
 *        |     mmr         (1 - l) relevance - l max likeness to what is chosen          Carbonell, Goldstein 1998
 *        |     xquad       (1 - l) relevance + l sum_a wish(a) part(a) prod (1 - part(a)) Santos et al. 2010
 *        |     calibrated  (1 - l) relevance - l KL(wish || mix of the list)             Steck 2018
 *        v   and the best is taken, unless one of its aspects stands in the list as often as its cap allows
 *      list
 *
 * part(a): how much of an item an aspect is, such as a third for each of three genres. The product of xquad goes over what is chosen: an
 * aspect that the list already serves counts less and less. The mix of a list is the mean of the parts of its
 * items; as in the paper it is smoothed with a hundredth of the wish, so that an aspect that nobody serves yet costs
 * much, not infinitely much. The sum of relevance in the paper's objective differs between two candidates by their
 * own relevance alone, so that alone is added here.
 *
 * The weight l is the share of diversity: 0 is the order of relevance, 1 looks at nothing else. (The first of the
 * papers writes 1 - l for it.)
 *
 * Invariants
 * D1. No candidate comes twice; of equal worth the more relevant one goes first, then the smaller number.
 * D2. With l = 0 and without caps all candidates come in descending relevance.
 * D3. No aspect stands in the list more often than its cap. A candidate that a cap turned away comes no more.
 * D4. What is chosen at step j does not depend on how many steps follow.
 *
 * Cost: a step is O(candidates that are left) and one call of `alike`, or the aspects of those candidates; nothing is
 * computed for steps that nobody asks for.
 */
#include "core.h"

#include <math.h>

/* Of the wish in the mix of the list. */
#define CALIBRATION_SMOOTH .01

void diversify_clear(diversify *d) {
    rec_free(d->left);
    rec_free(d->nearest);
    rec_free(d->row);
    rec_free(d->served);
    rec_free(d->count);
    memset(d, 0, sizeof *d);
}

static int by_relevance(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const float *r = ctx;
    if (r[x] != r[y]) return r[x] > r[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

rec_status diversify_init(diversify *d, const diversify_args *args, rec_err *err) {
    memset(d, 0, sizeof *d);
    d->args = *args;
    d->n_left = args->n;
    d->left = rec_array(args->n, sizeof *d->left);
    d->nearest = rec_zeros(args->n, sizeof *d->nearest);
    d->row = rec_array(args->n, sizeof *d->row);
    d->served = rec_array(args->n_aspect, sizeof *d->served);
    d->count = rec_zeros(args->n_aspect, sizeof *d->count);
    if (!d->left || !d->nearest || !d->row || !d->served || !d->count) {
        diversify_clear(d);
        return rec_nomem(err);
    }
    for (size_t i = 0; i < args->n; i++) d->left[i] = (uint32_t)i;
    for (size_t a = 0; a < args->n_aspect; a++)
        d->served[a] = args->method == DIVERSIFY_XQUAD ? 1 : 0;
    rec_sort(d->left, args->n, sizeof *d->left, by_relevance, (void *)args->relevance);
    return REC_OK;
}

/* ---- what a candidate is worth ------------------------------------------------------------------ */

typedef struct divergence_base {
    double mass, value;
} divergence_base;

typedef struct span { /* the aspects of a candidate */
    const uint32_t *aspect;
    const float *part;
    size_t n;
} span;

static span aspects_of(const diversify_args *a, uint32_t i) {
    if (!a->aspect_start) return (span){NULL, NULL, 0};
    size_t at = a->aspect_start[i];
    return (span){a->aspect + at, a->part + at, a->aspect_start[i + 1] - at};
}

static double mass_of(const span *s) {
    double sum = 0;
    for (size_t j = 0; j < s->n; j++) sum += (double)s->part[j];
    return sum;
}

/* What the list does not serve yet, and this candidate would. */
static double novelty(const diversify *d, uint32_t i) {
    span s = aspects_of(&d->args, i);
    double sum = 0;
    for (size_t j = 0; j < s.n; j++)
        sum += d->args.wish[s.aspect[j]] * d->served[s.aspect[j]] * (double)s.part[j];
    return sum;
}

/* One summand of the divergence; part: of this aspect in the list, total: of all. */
static double divergence_of(double wish, double part, double total) {
    if (!(wish > 0)) return 0;
    double mix = total > 0 ? part / total : 0;
    return wish *
           log2(wish / ((1 - CALIBRATION_SMOOTH) * mix + CALIBRATION_SMOOTH * wish));
}

static double divergence(const diversify *d, double total) {
    double sum = 0;
    for (size_t a = 0; a < d->args.n_aspect; a++)
        sum += divergence_of(d->args.wish[a], d->served[a], total);
    return sum;
}

/* The divergence of the list with candidate i; *base holds that of the list with as much more of nothing, for the
 * mass that the last candidate had. */
static double divergence_with(const diversify *d, uint32_t i, divergence_base *base) {
    span s = aspects_of(&d->args, i);
    double mass = mass_of(&s), total = d->total + mass;
    if (!(base->mass == mass)) {
        base->mass = mass;
        base->value = divergence(d, total);
    }
    double sum = base->value;
    for (size_t j = 0; j < s.n; j++) {
        double wish = d->args.wish[s.aspect[j]], part = d->served[s.aspect[j]];
        sum += divergence_of(wish, part + (double)s.part[j], total) -
               divergence_of(wish, part, total);
    }
    return sum;
}

static double worth(const diversify *d, uint32_t i, divergence_base *base) {
    double l = d->args.lambda, x = (1 - l) * (double)d->args.relevance[i];
    if (!(l > 0)) return x;
    switch (d->args.method) {
    case DIVERSIFY_MMR: return x - l * (double)d->nearest[i];
    case DIVERSIFY_XQUAD: return x + l * novelty(d, i);
    case DIVERSIFY_CALIBRATED: return x - l * divergence_with(d, i, base);
    }
    return x;
}

/* ---- the list grows ----------------------------------------------------------------------------- */

static bool is_capped(const diversify *d, uint32_t i) {
    span s = aspects_of(&d->args, i);
    for (size_t j = 0; j < s.n; j++)
        if (d->count[s.aspect[j]] >= d->args.cap[s.aspect[j]]) return true;
    return false;
}

/* Candidates that may still come, in their order (D3). */
static void drop_capped(diversify *d) {
    size_t kept = 0;
    if (!d->args.cap) return;
    for (size_t j = 0; j < d->n_left; j++)
        if (!is_capped(d, d->left[j])) d->left[kept++] = d->left[j];
    d->n_left = kept;
}

static rec_status take(diversify *d, uint32_t i, rec_err *err) {
    span a = aspects_of(&d->args, i);
    d->total += mass_of(&a);
    for (size_t j = 0; j < a.n; j++) {
        double part = (double)a.part[j], *served = &d->served[a.aspect[j]];
        *served =
            d->args.method == DIVERSIFY_XQUAD ? *served * (1 - part) : *served + part;
        d->count[a.aspect[j]]++;
    }
    if (d->args.method != DIVERSIFY_MMR || !(d->args.lambda > 0) || !d->n_left)
        return REC_OK;
    rec_status s = d->args.alike(d->args.ctx, i, d->left, d->n_left, d->row, err);
    for (size_t j = 0; s == REC_OK && j < d->n_left; j++)
        if (d->row[j] > d->nearest[d->left[j]]) d->nearest[d->left[j]] = d->row[j];
    return s;
}

rec_status diversify_next(diversify *d, uint32_t *chosen, double *value, bool *more,
                          rec_err *err) {
    divergence_base base = {NAN, 0};
    double best_value = -INFINITY;
    size_t best = 0;
    drop_capped(d);
    *more = d->n_left > 0;
    if (!*more) return REC_OK;
    for (size_t j = 0; j < d->n_left; j++) {
        double x = worth(d, d->left[j], &base);
        if (x > best_value) best = j, best_value = x;
    }
    *chosen = d->left[best];
    *value = best_value;
    memmove(&d->left[best], &d->left[best + 1], (--d->n_left - best) * sizeof *d->left);
    return take(d, *chosen, err);
}
