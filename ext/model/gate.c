/* gate.c - one list out of the lists of several members, each leaned on as far as it has earned.
 *
 *     member 0   17 .92   3 .90   8 .41 ..   --.                        z over the list: mean 0, variance 1
 *     member 1    3 8.1  40 7.7  17 2.0 ..   --+--> union --> sum of w z,    w = softmax of a line in x
 *     member 2    8 .11  17 .09  52 .02 ..   --'
 *
 * Every member names its best candidates. A score is calibrated against the other scores of its list, where the
 * decision falls, and not against the whole catalogue, most of which is far away; an item that a member knows but
 * does not name counts as the last of its list. A member that does not know the item at all (an item younger than
 * the factors) is silent, and the others share its weight: new items are neither punished nor lifted.
 *
 * What the user had already never takes part in the calibration. Where it may be shown again, it is named too, if its
 * score would stand in the list.
 *
 * How far to lean on a member is a softmax, of one number a member (gate=weighted) or of a line in what is known
 * about user, item, list and question (gate=learned). gate_fit.c finds both.
 *
 * Invariants
 *   I1  weights of an item lie in [0, 1] and add up to 1, or are all 0 if every member is silent.
 *   I2  scores are finite; adding a constant to a member's scores, or scaling them by a factor > 0, changes nothing
 *       but rounding.
 *   I3  a stored gate has finite numbers, spreads > 0, and no coefficients unless it is learned.
 *
 * Cost: O(c log c) for c candidates of all members together, and an exponential a candidate and member.
 */
#include "model.h"

#include <math.h>

#define GATE_MAX_LIST  65535 /* the rank fits 16 bits */
#define GATE_MAX_LOGIT 60.0
#define GATE_MIN_SPREAD \
    1e-6 /* of a list, relative to its scores: below it is rounding */

const char *const gate_x_names[GATE_N_X] = {"history", "new",    "popularity",
                                            "age",     "margin", "query"};

/* ---- the stored form ------------------------------------------------------------------------------ */

void gate_write(const hybrid_gate *g, bytes_writer *w) {
    bytes_put_u32(w, g->n_member);
    bytes_put_u32(w, g->is_learned);
    for (uint32_t m = 0; m < g->n_member; m++) bytes_put_f64(w, g->bias[m]);
    if (!g->is_learned) return;
    for (int j = 0; j < GATE_N_X; j++) {
        bytes_put_f64(w, g->mean[j]);
        bytes_put_f64(w, g->spread[j]);
    }
    for (uint32_t m = 0; m < g->n_member; m++)
        for (int j = 0; j < GATE_N_X; j++) bytes_put_f64(w, g->coef[m][j]);
}

rec_status gate_check(const hybrid_gate *g, rec_err *err) { /* I3 */
    for (uint32_t m = 0; m < g->n_member; m++) {
        bool ok = fabs(g->bias[m]) <= GATE_MAX_LOGIT;
        for (int j = 0; j < GATE_N_X; j++)
            ok = ok && fabs(g->coef[m][j]) <= GATE_MAX_LOGIT;
        if (!ok)
            return rec_corrupt(err, "gate: the weights of member %u are out of range",
                               m);
    }
    for (int j = 0; j < GATE_N_X; j++)
        if (!isfinite(g->mean[j]) || !(g->spread[j] > 0) || !isfinite(g->spread[j]))
            return rec_corrupt(err, "gate: %s is not scaled", gate_x_names[j]);
    return REC_OK;
}

rec_status gate_read(bytes_reader *r, hybrid_gate *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    out->n_member = bytes_get_u32(r);
    uint32_t learned = bytes_get_u32(r);
    if (r->status != REC_OK || out->n_member < HYBRID_MIN_MEMBERS ||
        out->n_member > HYBRID_MAX_MEMBERS || learned > 1)
        return rec_corrupt(err, "gate: %u members, kind %u", out->n_member, learned);
    out->is_learned = learned;
    for (uint32_t m = 0; m < out->n_member; m++) out->bias[m] = bytes_get_f64(r);
    for (int j = 0; j < GATE_N_X; j++) {
        out->mean[j] = learned ? bytes_get_f64(r) : 0;
        out->spread[j] = learned ? bytes_get_f64(r) : 1;
    }
    for (uint32_t m = 0; learned && m < out->n_member; m++)
        for (int j = 0; j < GATE_N_X; j++) out->coef[m][j] = bytes_get_f64(r);
    if (r->status != REC_OK) return rec_corrupt(err, "gate: cut short");
    return gate_check(out, err);
}

/* ---- weights --------------------------------------------------------------------------------------- */

void gate_prepare(gate_ask *a) {
    for (size_t m = 0; m < a->n_member + a->n_extra; m++) {
        const gate_list *l = &a->list[m];
        double sum = 0, square = 0;
        gate_scale *s = &a->scale[m];
        *s = (gate_scale){0};
        if (!l->n) continue;
        for (size_t i = 0; i < l->n; i++) sum += (double)l->score[i];
        s->mean = sum / (double)l->n;
        for (size_t i = 0; i < l->n; i++)
            square += pow((double)l->score[i] - s->mean, 2);
        double spread = sqrt(square / (double)l->n);
        double largest =
            fmax(fabs((double)l->score[0]), fabs((double)l->score[l->n - 1]));
        if (spread > GATE_MIN_SPREAD * largest) s->factor = 1 / spread;
        s->last = ((double)l->score[l->n - 1] - s->mean) * s->factor;
        s->margin = ((double)l->score[0] - s->mean) * s->factor;
    }
}

void gate_features(const gate_ask *a, uint32_t item, double x[GATE_N_X]) {
    x[GATE_X_HISTORY] = log2(1 + a->history);
    x[GATE_X_NEW] = 1 / (1 + a->history);
    x[GATE_X_POPULAR] = a->popular ? log2(1 + fmax((double)a->popular[item], 0)) : 0;
    x[GATE_X_AGE] = a->age ? log2(1 + fmax((double)a->age[item], 0)) : 0;
    x[GATE_X_QUERY] = a->has_query;
    x[GATE_X_MARGIN] = 0; /* differs from member to member */
}

double gate_logit(const hybrid_gate *g, size_t m, const double x[GATE_N_X],
                  double margin) {
    double sum = g->bias[m];
    if (!g->is_learned) return sum;
    for (int j = 0; j < GATE_N_X; j++) {
        double at = j == GATE_X_MARGIN ? margin : x[j];
        sum += g->coef[m][j] * (at - g->mean[j]) / g->spread[j];
    }
    return fmax(-GATE_MAX_LOGIT, fmin(GATE_MAX_LOGIT, sum));
}

void gate_softmax(size_t n, double *w) {
    double most = -INFINITY, sum = 0;
    for (size_t m = 0; m < n; m++) most = fmax(most, w[m]);
    for (size_t m = 0; m < n; m++) sum += w[m] = isfinite(w[m]) ? exp(w[m] - most) : 0;
    for (size_t m = 0; m < n; m++) w[m] = sum > 0 ? w[m] / sum : 0;
}

void gate_weights(const hybrid_gate *g, const gate_ask *a, uint32_t item, double *w) {
    double x[GATE_N_X], sum = 0;
    gate_features(a, item, x);
    for (size_t m = 0; m < a->n_member; m++)
        w[m] = a->list[m].n && a->knows(a->ctx, m, item)
                   ? gate_logit(g, m, x, a->scale[m].margin)
                   : -INFINITY;
    gate_softmax(a->n_member, w);
    for (size_t m = 0; a->prior && m < a->n_member; m++) sum += w[m] *= a->prior[m];
    for (size_t m = 0; sum > 0 && m < a->n_member; m++) w[m] /= sum;
}

/* ---- candidates --------------------------------------------------------------------------------------- */

void gate_union_clear(gate_union *u) {
    rec_free(u->item);
    rec_free(u->z);
    memset(u, 0, sizeof *u);
}

static int ascending(const void *a, const void *b, void *ctx) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

static size_t list_length(const gate_list *l) {
    size_t n = l->n ? l->n + l->n_had : 0;
    return n < GATE_MAX_LIST ? n : GATE_MAX_LIST;
}

/* Item, member and rank in one number, in the order in which the union wants them. */
static rec_status name_all(const gate_ask *a, uint64_t **out, size_t *n, rec_err *err) {
    size_t all = 0;
    for (size_t m = 0; m < a->n_member + a->n_extra; m++)
        all += list_length(&a->list[m]);
    *n = 0;
    *out = rec_array(all, sizeof **out);
    if (!*out) return rec_nomem(err);
    for (size_t m = 0; m < a->n_member + a->n_extra; m++)
        for (size_t r = 0; r < list_length(&a->list[m]); r++)
            (*out)[(*n)++] = (uint64_t)a->list[m].item[r] << 32 | (uint64_t)m << 16 | r;
    rec_sort(*out, *n, sizeof **out, ascending, NULL);
    return REC_OK;
}

rec_status gate_gather(const gate_ask *a, gate_union *out, rec_err *err) {
    uint64_t *named = NULL;
    size_t n = 0, width = a->n_member + a->n_extra;
    memset(out, 0, sizeof *out);
    rec_status s = name_all(a, &named, &n, err);
    out->item = s == REC_OK ? rec_array(n, sizeof *out->item) : NULL;
    out->z = s == REC_OK ? rec_array(n, width * sizeof *out->z) : NULL;
    if (s == REC_OK && (!out->item || !out->z)) s = rec_nomem(err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        uint32_t item = (uint32_t)(named[i] >> 32);
        size_t m = named[i] >> 16 & 0xffff, r = named[i] & 0xffff;
        if (!out->n || out->item[out->n - 1] != item) {
            float *z = out->z + out->n * width;
            for (size_t k = 0; k < width; k++) {
                bool speaks =
                    a->list[k].n && (k >= a->n_member || a->knows(a->ctx, k, item));
                z[k] = speaks ? (float)a->scale[k].last : NAN;
            }
            out->item[out->n++] = item;
        }
        out->z[(out->n - 1) * width + m] =
            (float)(((double)a->list[m].score[r] - a->scale[m].mean) *
                    a->scale[m].factor);
    }
    rec_free(named);
    if (s != REC_OK) gate_union_clear(out);
    return s;
}

/* ---- blending -------------------------------------------------------------------------------------------- */

void gate_found_clear(gate_found *f) {
    rec_free(f->item);
    rec_free(f->score);
    memset(f, 0, sizeof *f);
}

rec_status gate_blend(const hybrid_gate *g, const gate_ask *a, gate_found *out,
                      rec_err *err) {
    gate_union u;
    double w[HYBRID_MAX_MEMBERS];
    size_t width = a->n_member + a->n_extra;
    memset(out, 0, sizeof *out);
    rec_status s = gate_gather(a, &u, err);
    if (s != REC_OK) return s;
    out->score = rec_array(u.n, sizeof *out->score);
    if (!out->score) {
        gate_union_clear(&u);
        return rec_nomem(err);
    }
    for (size_t i = 0; i < u.n; i++) {
        const float *z = u.z + i * width;
        double sum = 0;
        gate_weights(g, a, u.item[i], w);
        for (size_t m = 0; m < a->n_member; m++)
            if (w[m] > 0 && isfinite(z[m])) sum += w[m] * (double)z[m];
        for (size_t e = 0; e < a->n_extra; e++)
            if (isfinite(z[a->n_member + e]))
                sum += a->extra[e] * (double)z[a->n_member + e];
        out->score[i] = isfinite((float)sum) ? (float)sum : 0;
    }
    out->item = u.item;
    out->n = u.n;
    rec_free(u.z);
    return REC_OK;
}
