/* tastes.c - likes in groups: somebody who likes horror and cartoons is near neither's middle.
 *
 *        x x            c1                 k-means on the sphere: every like goes to the centroid with
 *       x x x   -->                        the largest cosine, every centroid is the weighted sum of its
 *              o o          c2             likes, scaled to unit length
 *             o o
 *
 * (Dhillon and Modha 2001; Pal and others 2020 serve a user by several such centroids.) It starts from the like that
 * counts most, then always from the like that is farthest from all centroids so far, so that the same history
 * gives the same groups.
 *
 * A group of fewer than TASTES_MIN_LIKES likes is no taste: there are at most n / TASTES_MIN_LIKES groups, and
 * those that end smaller are given up.
 *
 * Cost: TASTES_ROUNDS passes over n rows x k.
 */
#include "model.h"

#define TASTES_ROUNDS    12
#define TASTES_MIN_LIKES 3

typedef struct grouping {
    const tastes_args *a;
    float *centre; /* owned: [k x dim] */
    size_t k;
    uint8_t *of;
} grouping;

static const float *row_of(const grouping *g, size_t j) {
    return mat_row(g->a->rows, g->a->item[j]);
}

static float *centre_of(const grouping *g, size_t k) {
    return g->centre + k * g->a->rows->dim;
}

static float nearest(const grouping *g, size_t j, size_t k, uint8_t *which) {
    float best = -2;
    for (size_t i = 0; i < k; i++) {
        float s = vec_kernels()->dot(row_of(g, j), centre_of(g, i), g->a->rows->dim);
        if (s > best) best = s, *which = (uint8_t)i;
    }
    return best;
}

static void start(grouping *g) {
    uint32_t dim = g->a->rows->dim;
    uint8_t ignored;
    for (size_t k = 0; k < g->k; k++) {
        size_t chosen = 0;
        double best = -3;
        for (size_t j = 0; j < g->a->n; j++) {
            if (!(g->a->weight[j] > 0)) continue;
            double far = k ? -(double)nearest(g, j, k, &ignored) : g->a->weight[j];
            if (far > best) best = far, chosen = j;
        }
        memcpy(centre_of(g, k), row_of(g, chosen), dim * sizeof(float));
    }
}

static bool assign(grouping *g) {
    bool changed = false;
    for (size_t j = 0; j < g->a->n; j++) {
        uint8_t to = 0;
        nearest(g, j, g->k, &to);
        changed = changed || to != g->of[j];
        g->of[j] = to;
    }
    return changed;
}

static void move(grouping *g, double unit) {
    uint32_t dim = g->a->rows->dim;
    for (size_t i = 0; i < g->k * dim; i++) g->centre[i] = 0;
    for (size_t j = 0; j < g->a->n; j++)
        if (g->a->weight[j] > 0)
            vec_kernels()->axpy(centre_of(g, g->of[j]), (float)(g->a->weight[j] / unit),
                                row_of(g, j), dim);
    for (size_t k = 0; k < g->k; k++) vec_normalize(centre_of(g, k), dim);
}

/* Give up the smallest group if it is too small. */
static bool drop_small(grouping *g) {
    size_t n[TASTES_MAX] = {0}, least = 0;
    for (size_t j = 0; j < g->a->n; j++) n[g->of[j]] += g->a->weight[j] > 0;
    for (size_t k = 1; k < g->k; k++)
        if (n[k] < n[least]) least = k;
    if (g->k < 2 || n[least] >= TASTES_MIN_LIKES) return false;
    g->k--;
    if (least < g->k)
        memcpy(centre_of(g, least), centre_of(g, g->k),
               g->a->rows->dim * sizeof(float));
    return true;
}

rec_status tastes_group(const tastes_args *a, uint8_t *of, size_t *n_group,
                        rec_err *err) {
    grouping g = {.a = a, .of = of};
    size_t n_like = 0;
    double most = 0;
    for (size_t j = 0; j < a->n; j++) {
        of[j] = 0;
        if (!(a->weight[j] > 0)) continue;
        n_like++;
        if (a->weight[j] > most) most = a->weight[j];
    }
    g.k = n_like / TASTES_MIN_LIKES < a->k ? n_like / TASTES_MIN_LIKES : a->k;
    if (g.k > TASTES_MAX) g.k = TASTES_MAX;
    *n_group = g.k > 1 ? g.k : 1;
    if (g.k < 2) return REC_OK;
    g.centre = rec_zeros(g.k * a->rows->dim, sizeof *g.centre);
    if (!g.centre) return rec_nomem(err);
    start(&g);
    do {
        for (int round = 0; assign(&g) && round < TASTES_ROUNDS; round++)
            move(&g, most);
    } while (drop_small(&g));
    *n_group = g.k;
    rec_free(g.centre);
    return REC_OK;
}
