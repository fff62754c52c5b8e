/* adam.c - Adam and AdamW on dense parameters.
 *
 *     m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
 *     w <- w - rate m' / (sqrt(v') + epsilon) - rate decay w      g: penalty w included
 *
 * with m' = m / (1 - beta1^t), v' = v / (1 - beta2^t) (Kingma and Ba 2015; the decay apart from the
 * gradient: Loshchilov and Hutter 2019). Moments start at zero, and the corrections undo that.
 *
 * Invariants
 *   I1  a weight whose gradients were all zero moves by its decay alone;
 *   I2  each weight is updated by itself: how the work is cut does not show in the result.
 */
#include "nn.h"

#include <math.h>

void nn_adam_update(const nn_adam *a, const nn_moments *x) {
    double t = (double)x->step;
    float b1 = a->beta1, b2 = a->beta2, c1 = 1 - b1, c2 = 1 - b2;
    float rate = (float)(a->rate / (1 - pow(b1, t)));
    float unbias = (float)(1 / (1 - pow(b2, t)));
    float keep = 1 - a->rate * a->decay, eps = a->epsilon;
    float *restrict w = x->w, *restrict m = x->m, *restrict v = x->v;
    const float *restrict gradient = x->g;
    for (size_t i = 0; i < x->n; i++) {
        float g = gradient[i] + a->penalty * w[i];
        m[i] = b1 * m[i] + c1 * g;
        v[i] = b2 * v[i] + c2 * g * g;
        w[i] = keep * w[i] - rate * m[i] / (sqrtf(v[i] * unbias) + eps);
    }
}

rec_status nn_param_init(nn_param *p, size_t n, double deviation, rng *r,
                         rec_err *err) {
    *p = (nn_param){.n = n};
    p->w = rec_zeros(n, sizeof *p->w);
    p->g = rec_zeros(n, sizeof *p->g);
    p->m = rec_zeros(n, sizeof *p->m);
    p->v = rec_zeros(n, sizeof *p->v);
    if (!p->w || !p->g || !p->m || !p->v) {
        nn_param_clear(p);
        return rec_nomem(err);
    }
    for (size_t i = 0; deviation > 0 && i < n; i++)
        p->w[i] = (float)(deviation * rng_normal(r));
    return REC_OK;
}

void nn_param_clear(nn_param *p) {
    rec_free(p->w);
    rec_free(p->g);
    rec_free(p->m);
    rec_free(p->v);
    memset(p, 0, sizeof *p);
}

void nn_param_step(nn_param *p, const nn_adam *a) {
    nn_moments x = {
        .w = p->w, .m = p->m, .v = p->v, .g = p->g, .n = p->n, .step = ++p->step};
    nn_adam_update(a, &x);
    memset(p->g, 0, p->n * sizeof *p->g);
}
