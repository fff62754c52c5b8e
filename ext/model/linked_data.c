/* linked_data.c - interactions as numbers that can be multiplied, seen from both sides.
 *
 *     implicit   x = curve(weight / mean weight)   log2(1 + w), w or 1; dislikes are left out
 *     explicit   x = rating - mean - bias of the item - bias of the user
 *
 * A table of equal weights gives x = 1 under every curve. The logarithm is for play counts and
 * seconds watched: the hundredth time says less than the first.
 *
 * Biases are damped means (Koren 2010): an item's over its ratings less the global mean, then a
 * user's over what is left. A user's is computed by the same routine at query time.
 *
 * Item-item products cost the square of a history. Histories longer than max_history count with
 * a choice of that many items, made by a hash of user and item: a bot that touched everything
 * would cost more than all people together, and says nothing.
 *
 * Invariants
 *   I1  Both sides hold the same triples; rows of either ascend by the other's number.
 *   I2  x is finite.
 *
 * Cost: O(n + n_users + n_items), 16 bytes an interaction.
 */
#include "links.h"

#include <math.h>

#define RATED_ITEM_DAMPING 10 /* imagined ratings at the mean */
#define RATED_USER_DAMPING 5
#define RATED_MAX          1e15f /* squares of sums stay finite */

static float bounded(double x) {
    if (!(x > -RATED_MAX)) return -RATED_MAX; /* NaN too */
    return x > RATED_MAX ? RATED_MAX : (float)x;
}

float linked_value(const linked *m, float weight) {
    double x = (double)weight / m->mean, size = fabs(x);
    if (m->curve == CURVE_BINARY) size = 1;
    if (m->curve == CURVE_LOG) size = log2(1 + size);
    return bounded(x < 0 ? -size : size);
}

double linked_user_bias(const linked *m, const model_query *q) {
    double sum = 0, weight = RATED_USER_DAMPING;
    for (size_t j = 0; j < q->n; j++) {
        double w = q->weight[j], b = q->item[j] < m->n_items ? m->bias[q->item[j]] : 0;
        if (!(w > 0) || !isfinite(w) || !isfinite(q->value[j])) continue;
        sum += w * (bounded(q->value[j]) - m->mean - b);
        weight += w;
    }
    return sum / weight;
}

/* ---- mean and biases ------------------------------------------------------------------------ */

static void learn_mean(linked *m, const dataset *d) {
    bool is_explicit = m->feedback == FEEDBACK_EXPLICIT;
    double sum = 0, n = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (!(d->weight[i] > 0)) continue;
        sum += is_explicit ? (double)d->weight[i] * bounded(d->value[i]) : d->weight[i];
        n += is_explicit ? d->weight[i] : 1;
    }
    m->mean = n > 0 ? sum / n : 0;
    if (!is_explicit && !(m->mean > 0)) m->mean = 1;
}

static rec_status learn_item_bias(linked *m, const dataset *d, rec_err *err) {
    double *sum = rec_zeros((size_t)d->n_items * 2, sizeof *sum);
    if (!sum) return rec_nomem(err);
    for (size_t i = 0; i < d->n; i++) {
        if (!(d->weight[i] > 0)) continue;
        double w = d->weight[i];
        sum[2 * (size_t)d->item[i]] += w * (bounded(d->value[i]) - m->mean);
        sum[2 * (size_t)d->item[i] + 1] += w;
    }
    for (size_t i = 0; i < d->n_items; i++)
        m->bias[i] = bounded(sum[2 * i] / (sum[2 * i + 1] + RATED_ITEM_DAMPING));
    rec_free(sum);
    return REC_OK;
}

/* ---- both sides ------------------------------------------------------------------------------ */

static bool is_chosen(size_t user, uint32_t item, size_t n, size_t max_history) {
    if (n <= max_history) return true;
    uint64_t h = rec_mix((uint64_t)user << 32 ^ item);
    return (double)h < (double)max_history / (double)n * 0x1p64;
}

static rec_status side_init(rated_side *s, size_t n_rows, size_t n, rec_err *err) {
    s->ptr = rec_zeros(n_rows + 2, sizeof *s->ptr);
    s->other = rec_array(n, sizeof *s->other);
    s->x = rec_array(n, sizeof *s->x);
    return s->ptr && s->other && s->x ? REC_OK : rec_nomem(err);
}

static void side_clear(rated_side *s) {
    rec_free(s->ptr);
    rec_free(s->other);
    rec_free(s->x);
}

static void fill_user_side(rated *r, const linked *m, const dataset *d,
                           size_t max_history) {
    size_t at = 0;
    for (size_t u = 0; u < d->n_users; u++) {
        size_t from = d->ptr[u], n = d->ptr[u + 1] - from;
        model_query q = {.item = d->item + from,
                         .weight = d->weight + from,
                         .value = d->value + from,
                         .n = n};
        double bias = m->bias ? linked_user_bias(m, &q) : 0;
        r->user.ptr[u] = at;
        for (size_t j = 0; j < n; j++) {
            if (!(q.weight[j] > 0) || !is_chosen(u, q.item[j], n, max_history))
                continue;
            double x = m->bias
                           ? bounded(q.value[j]) - m->mean - m->bias[q.item[j]] - bias
                           : linked_value(m, q.weight[j]);
            r->user.other[at] = q.item[j];
            r->user.x[at++] = bounded(x);
        }
    }
    r->user.ptr[d->n_users] = r->n = at;
}

/* Counting sort by item; users come in ascending order, so they stay so within an item. */
static void fill_item_side(rated *r) {
    size_t *place =
        r->item.ptr + 1; /* ptr[i + 1] runs from the start of i to its end */
    for (size_t i = 0; i < r->n; i++)
        if (r->user.other[i] + 1 < r->n_items) place[r->user.other[i] + 1]++;
    for (size_t i = 1; i < r->n_items; i++) place[i] += place[i - 1];
    for (uint32_t u = 0; u < r->n_users; u++)
        for (size_t j = r->user.ptr[u]; j < r->user.ptr[u + 1]; j++) {
            size_t at = place[r->user.other[j]]++;
            r->item.other[at] = u;
            r->item.x[at] = r->user.x[j];
        }
}

rec_status rated_init(rated *r, linked *m, const dataset *d, size_t max_history,
                      rec_err *err) {
    memset(r, 0, sizeof *r);
    r->n_users = d->n_users;
    r->n_items = d->n_items;
    learn_mean(m, d);
    rec_status st = m->bias ? learn_item_bias(m, d, err) : REC_OK;
    if (!st) st = side_init(&r->user, d->n_users, d->n, err);
    if (!st) st = side_init(&r->item, d->n_items, d->n, err);
    if (st) return st;
    fill_user_side(r, m, d, max_history);
    fill_item_side(r);
    return REC_OK;
}

void rated_clear(rated *r) {
    side_clear(&r->user);
    side_clear(&r->item);
    memset(r, 0, sizeof *r);
}
