/* content_profile.c - who asks a content model: what they did and what they say, as vectors.
 *
 *     history --weights--> sum, unit length        one centroid: user
 *             --tastes---> up to K of them         several: taste[0..n_taste)
 *     sentence --embedders--> text
 *
 * Weights: implicit data bring theirs, dislikes below 0. A rating counts by how far it lies above the user's usual
 * one, which is their mean drawn towards everybody's; having chosen the item at all counts as half a deviation.
 *
 * Invariants
 *   U1  user, text and every taste are of unit length or zero (a sentence may be shorter, embed.c).
 *   U2  user_share + text_share is 1, or both are 0 and nothing is known.
 */
#include "content.h"

#include <math.h>

#define CONTENT_USUAL_PRIOR 5.0
#define CONTENT_CHOSEN      .5 /* deviations that having chosen an item is worth */

void content_profile_clear(content_profile *p) {
    rec_free(p->user);
    rec_free(p->text);
    rec_free(p->taste);
    rec_free(p->of);
}

static double usual_rating(const content *c, const model_query *q) {
    double sum = CONTENT_USUAL_PRIOR * c->mean, n = CONTENT_USUAL_PRIOR;
    for (size_t j = 0; j < q->n; j++) {
        if (!isfinite(q->value[j])) continue;
        sum += q->value[j];
        n += 1;
    }
    return sum / n;
}

double content_weight(const content *c, const content_profile *p, const model_query *q,
                      size_t j) {
    double w = q->weight[j];
    if (p->is_plain) return 1;
    if (c->feedback == FEEDBACK_EXPLICIT)
        w *= q->value[j] - p->usual + CONTENT_CHOSEN * c->deviation;
    return isfinite(w) ? w : 0;
}

static double largest_weight(const content *c, const content_profile *p,
                             const model_query *q) {
    double most = 0;
    for (size_t j = 0; j < q->n; j++)
        most = fmax(most, fabs(content_weight(c, p, q, j)));
    return most;
}

/* Scaled by the largest weight on the way, so that weights of any size stay within range. */
double content_sum(const content *c, const model_query *q, const content_profile *p,
                   uint32_t taste, float *out) {
    uint32_t dim = c->vectors.dim;
    double most = largest_weight(c, p, q);
    memset(out, 0, dim * sizeof *out);
    for (size_t j = 0; most > 0 && j < q->n; j++)
        if (q->item[j] < content_size(c) && (taste == KEYS_NONE || p->of[j] == taste))
            vec_kernels()->axpy(out, (float)(content_weight(c, p, q, j) / most),
                                mat_row(&c->vectors, q->item[j]), dim);
    double norm = vec_norm(out, dim) * most;
    if (vec_norm(out, dim) > 1e-4f && vec_normalize(out, dim)) return norm;
    memset(out, 0, dim * sizeof *out);
    return 0;
}

/* Several centroids where the history is of several tastes. */
static rec_status find_tastes(const content *c, const model_query *q,
                              content_profile *p, rec_err *err) {
    uint32_t dim = c->vectors.dim;
    double *weight = rec_array(q->n, sizeof *weight);
    uint32_t *item = rec_array(q->n, sizeof *item);
    p->of = rec_zeros(q->n, 1);
    p->taste = rec_zeros((size_t)c->n_taste * dim, sizeof *p->taste);
    rec_status st = weight && item && p->of && p->taste ? REC_OK : rec_nomem(err);
    for (size_t j = 0; !st && j < q->n; j++) {
        bool is_known = q->item[j] < content_size(c);
        item[j] = is_known ? q->item[j] : 0;
        weight[j] = is_known ? content_weight(c, p, q, j) : 0;
    }
    tastes_args a = {&c->vectors, item, weight, q->n, c->n_taste};
    if (!st) st = tastes_group(&a, p->of, &p->n_taste, err);
    for (uint32_t k = 0; !st && k < p->n_taste; k++)
        content_sum(c, q, p, k, p->taste + (size_t)k * dim);
    rec_free(weight);
    rec_free(item);
    return st;
}

static rec_status embed_sentence(const content *c, const model_query *q,
                                 content_profile *p, bool *known, rec_err *err) {
    *known = false;
    if (!q->text) return REC_OK;
    return embed_set_text(&c->set, q->env, q->text, q->n_text, p->text, known, err);
}

rec_status content_profile_init(const content *c, const model_query *q,
                                content_profile *p, rec_err *err) {
    uint32_t dim = c->vectors.dim;
    bool has_text = false;
    *p = (content_profile){.usual = usual_rating(c, q)};
    p->user = rec_zeros(dim, sizeof *p->user);
    p->text = rec_zeros(dim, sizeof *p->text);
    rec_status st = p->user && p->text ? REC_OK : rec_nomem(err);
    if (!st) p->norm = content_sum(c, q, p, KEYS_NONE, p->user);
    if (!st && !(p->norm > 0) && c->feedback == FEEDBACK_EXPLICIT) {
        p->is_plain = true;
        p->norm = content_sum(c, q, p, KEYS_NONE, p->user);
    }
    if (!st && c->n_taste > 1 && p->norm > 0) st = find_tastes(c, q, p, err);
    if (!st) st = embed_sentence(c, q, p, &has_text, err);
    if (st) {
        content_profile_clear(p);
        return st;
    }
    if (has_text) p->text_share = p->norm > 0 ? c->text_weight : 1;
    if (p->norm > 0) p->user_share = 1 - p->text_share;
    return REC_OK;
}

float content_cosine(const float *a, const float *b, uint32_t dim) {
    float s = vec_kernels()->dot(a, b, dim);
    return !isfinite(s) ? 0 : s > 1 ? 1 : s < -1 ? -1 : s;
}

uint32_t content_nearest(const content *c, const content_profile *p, const float *item,
                         float *best) {
    uint32_t dim = c->vectors.dim, found = KEYS_NONE;
    *best = -INFINITY;
    for (uint32_t k = 0; p->n_taste > 1 && k < p->n_taste; k++) {
        float s = content_cosine(item, p->taste + (size_t)k * dim, dim);
        if (s > *best) *best = s, found = k;
    }
    return found;
}
