/* liked.c - the interactions as plain likes, for models that learn from pairs of user and item.
 *
 *     implicit   a positive weight is a like; its strength is the weight over the mean weight
 *     explicit   a rating from the mean rating on is a like; its strength is the row's decay
 *
 * Strengths are cut at LIKED_MAX_STRENGTH: one song played ten thousand times is not ten thousand
 * songs. What is not a like (dislikes, low ratings) is an item like any other that the user did not
 * choose: it may be drawn as a counterexample. The rule is kept with the model, so that a history at
 * query time is read as the training data were.
 *
 * Invariants
 *   I1  rows of a user ascend by item; every strength is > 0 and finite;
 *   I2  degree[i] is the number of likes of item i; their sum is n.
 */
#include "model.h"

#include <math.h>

#define LIKED_MAX_STRENGTH 5
#define LIKED_MAX_VALUE    1e31 /* signal.c refuses values beyond 1e30 */

float liked_strength(const like_rule *r, float weight, float value) {
    if (!isfinite(weight) || !(weight > 0)) return 0;
    double s = weight / r->unit;
    if (r->feedback == FEEDBACK_EXPLICIT && !(value >= r->threshold)) return 0;
    return s > LIKED_MAX_STRENGTH ? LIKED_MAX_STRENGTH : s < 1e-6 ? 1e-6f : (float)s;
}

like_rule like_rule_of(const dataset *d) {
    like_rule r = {.feedback = d->feedback, .unit = 1};
    double weight = 0, value = 0;
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        if (d->weight[i] > 0) {
            weight += d->weight[i];
            value += (double)d->weight[i] * d->value[i];
            n++;
        }
    if (n && weight > 0) r.unit = weight / (double)n;
    if (d->feedback == FEEDBACK_EXPLICIT && weight > 0) {
        /* All ratings equal: rounding of their mean must not turn them into dislikes. */
        double mean = value / weight;
        r.threshold = mean - 1e-6 * fabs(mean);
    }
    return r;
}

void like_rule_write(const like_rule *r, bytes_writer *w) {
    bytes_put_u32(w, (uint32_t)r->feedback);
    bytes_put_f64(w, r->unit);
    bytes_put_f64(w, r->threshold);
}

rec_status like_rule_read(bytes_reader *b, like_rule *r, rec_err *err) {
    uint32_t feedback = bytes_get_u32(b);
    r->unit = bytes_get_f64(b);
    r->threshold = bytes_get_f64(b);
    r->feedback = (feedback_kind)feedback;
    if (b->status || feedback > FEEDBACK_EXPLICIT || !(r->unit > 0) ||
        !(r->unit < LIKED_MAX_VALUE) || !(fabs(r->threshold) < LIKED_MAX_VALUE))
        return rec_corrupt(err, "likes: feedback %u, unit %g, threshold %g", feedback,
                           r->unit, r->threshold);
    return REC_OK;
}

void liked_clear(liked *l) {
    rec_free(l->ptr);
    rec_free(l->item);
    rec_free(l->user);
    rec_free(l->strength);
    rec_free(l->degree);
    memset(l, 0, sizeof *l);
}

rec_status liked_init(liked *l, const dataset *d, rec_err *err) {
    *l = (liked){.rule = like_rule_of(d), .n_users = d->n_users, .n_items = d->n_items};
    l->ptr = rec_zeros((size_t)d->n_users + 1, sizeof *l->ptr);
    l->item = rec_array(d->n, sizeof *l->item);
    l->user = rec_array(d->n, sizeof *l->user);
    l->strength = rec_array(d->n, sizeof *l->strength);
    l->degree = rec_zeros(d->n_items, sizeof *l->degree);
    if (!l->ptr || !l->item || !l->user || !l->strength || !l->degree) {
        liked_clear(l);
        return rec_nomem(err);
    }
    for (uint32_t u = 0; u < d->n_users; u++) {
        for (size_t j = d->ptr[u]; j < d->ptr[u + 1]; j++) {
            float s = liked_strength(&l->rule, d->weight[j], d->value[j]);
            if (!(s > 0)) continue;
            l->item[l->n] = d->item[j];
            l->user[l->n] = u;
            l->strength[l->n++] = s;
            l->degree[d->item[j]]++;
        }
        l->ptr[u + 1] = l->n;
    }
    return REC_OK;
}

bool liked_has(const liked *l, uint32_t user, uint32_t item) {
    size_t lo = l->ptr[user], hi = l->ptr[user + 1], end = hi;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->item[mid] < item)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < end && l->item[lo] == item;
}
