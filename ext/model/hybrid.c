/* hybrid.c - one ranking out of several models that score on different scales.
 *
 *     als      -.02 .. 1.3   --z-->  mean 0, variance 1  --.  weights
 *     content  -.3  .. .9    --z-->  mean 0, variance 1  --+--------->  sum
 *
 * Scores of different algorithms share nothing but their order: an inner product, a cosine and
 * a rating cannot be added. Each part is brought to zero mean and unit variance over the pool
 * (the items that may be recommended at all), so that a weight says how much a part decides
 * and not how large its numbers happen to be. An item that a part has nothing to say about (an
 * item younger than the factor model) is judged by the other parts alone, whose weights are
 * renormalised; it is neither punished nor lifted for being new.
 *
 * gate=weighted without a number, and gate=learned, have weights that training finds: gate.c, gate_fit.c.
 *
 * A hybrid has no fit and no bytes of its own: its members are models, which the caller opens
 * (MODEL_NEEDS_MEMBERS). gate=weighted(w) gives the collaborative side w and the content side
 * 1 - w; members of one side share it equally.
 *
 * Invariants
 *   I1  out[] is finite; an item for which no part speaks gets 0, the mean of the pool.
 *   I2  a part that is constant over the pool adds 0 to every item.
 *   I3  adding a constant to a part, or scaling it by a factor > 0, changes nothing.
 *   I4  gate[] lies in [0, 1].
 */
#include "model.h"

#include <math.h>

/* A part whose scores differ less than this, relative to their size, is constant: what is
 * left is rounding. */
#define HYBRID_MIN_SPREAD 1e-6

typedef struct scale {
    double mean, factor; /* z = (score - mean) * factor */
} scale;

static bool in_pool(const bitmap *pool, size_t i) {
    return !pool || bitmap_has(pool, i);
}

/* Mean and spread of a part over the items of the pool for which it speaks; two passes, for
 * the sake of scores whose mean is far from 0. */
static scale calibrate(const hybrid_part *p, const bitmap *pool, size_t n) {
    double sum = 0, square = 0, largest = 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(p->score[i]) || !in_pool(pool, i)) continue;
        sum += p->score[i];
        largest = fmax(largest, fabs(p->score[i]));
        count++;
    }
    scale s = {count ? sum / (double)count : 0, 0};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(p->score[i]) || !in_pool(pool, i)) continue;
        double d = p->score[i] - s.mean;
        square += d * d;
    }
    double spread = count ? sqrt(square / (double)count) : 0;
    if (spread > HYBRID_MIN_SPREAD * largest) s.factor = 1 / spread;
    return s;
}

rec_status hybrid_blend(const hybrid_blend_args *a, float *out, float *gate,
                        rec_err *err) {
    scale s[HYBRID_MAX_MEMBERS];
    if (a->n_part < HYBRID_MIN_MEMBERS || a->n_part > HYBRID_MAX_MEMBERS)
        return rec_fail(err, REC_RANGE, "hybrid: %zu members (%d..%d)", a->n_part,
                        HYBRID_MIN_MEMBERS, HYBRID_MAX_MEMBERS);
    for (size_t k = 0; k < a->n_part; k++) s[k] = calibrate(&a->part[k], a->pool, a->n);
    for (size_t i = 0; i < a->n; i++) {
        double sum = 0, weight = 0, collaborative = 0;
        for (size_t k = 0; k < a->n_part; k++) {
            const hybrid_part *p = &a->part[k];
            if (!isfinite(p->score[i]) || !(p->weight > 0)) continue;
            sum += p->weight * (p->score[i] - s[k].mean) * s[k].factor;
            weight += p->weight;
            if (!p->is_content) collaborative += p->weight;
        }
        double z = weight > 0 ? sum / weight : 0;
        out[i] = isfinite((float)z) ? (float)z : 0;
        if (gate) gate[i] = weight > 0 ? (float)(collaborative / weight) : 0;
    }
    return REC_OK;
}

static const model_option hybrid_options[] = {
    {"gate", OPT_FORM, 0, 1, "weighted(0.5)", "weighted|learned",
     "weighted(w): share of the collaborative side; weighted: weights found by "
     "training; learned: found for each user and item"},
};

const rec_model_ops hybrid_ops = {
    .name = "hybrid",
    .needs = MODEL_NEEDS_MEMBERS,
    .options = hybrid_options,
    .n_options = sizeof hybrid_options / sizeof hybrid_options[0],
};
