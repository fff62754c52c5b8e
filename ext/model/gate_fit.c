/* gate_fit.c - how far to lean on each member, from rows that the members have not seen.
 *
 *   questions      user 0    candidates x members: z      which of them the user took
 *                  user 1    ..                           ..
 *        |
 *        |  one number a member: from equal weights, each in turn made larger, smaller, 0,
 *        |                       as long as the lists get better
 *        |  gate=learned: coefficients by the gradient of LambdaRank (Burges and others 2006), with Adam;
 *        v                how strong their penalty is, and whether they are used at all, by cross-validation
 *      gate
 *
 * The goodness of weights is the mean over the questions of (recall + NDCG) / 2 at GATE_CUT. It has steps, so there
 * is no gradient; but a dozen numbers on some thousands of lists are searched in a second. A likelihood over the
 * candidates, which has a gradient, chose weights whose lists were worse than those of equal weights: most of it lies
 * with items that no list of twenty will ever hold. For the coefficients, of which there are many, a pair of items
 * pulls as far as exchanging the two would change the NDCG (LambdaRank), which has the same place in view.
 *
 * Invariants
 *   I1  the result does not depend on the number of threads: sums are of fixed pieces, added in order;
 *   I2  no start is given up for weights that are worse on the questions; learned coefficients are kept only if they
 *       are better on questions that they were not learned from.
 *
 * Cost: a pass over questions x candidates x members for each try, about 20 tries a member; learned: 10 fits of
 * FIT_STEPS passes. Memory 4 bytes a candidate and member.
 */
#include "model.h"

#include <math.h>

#define FIT_PIECE     64 /* questions of one partial sum */
#define FIT_STEPS     80
#define FIT_RATE      .03
#define FIT_SHARPNESS 3.0 /* of the sigmoid over differences of scores */
#define FIT_FOLDS     3
#define FIT_MIN_GAIN  1e-5
#define FIT_OFF \
    -30.0 /* the logit of a member that speaks only where nobody else does */
/* Pairs of LambdaRank reach so far down the list. */
#define FIT_DEPTH 60
#define FIT_LEAST \
    .03 /* learned: the weight from which a member starts, against the first */
#define FIT_PARAM (HYBRID_MAX_MEMBERS * (GATE_N_X + 1))

typedef struct question {
    size_t at, n; /* candidates: rows at..at+n of the tables */
    size_t n_want;
    double x[GATE_N_X], margin[HYBRID_MAX_MEMBERS];
} question;

struct gate_set {
    size_t n_member, n, cap, n_row, cap_z, cap_x, cap_want;
    bool is_learned;
    question *q;   /* [n] owned, as all */
    float *z;      /* [n_row][n_member]; NaN: silent */
    float *x;      /* [n_row][2] popularity, age; learned only */
    uint8_t *want; /* [n_row] */
};

gate_set *gate_set_new(size_t n_member, bool is_learned) {
    gate_set *s = rec_zeros(1, sizeof *s);
    if (s) s->n_member = n_member;
    if (s) s->is_learned = is_learned;
    return s;
}

void gate_set_free(gate_set *s) {
    if (!s) return;
    rec_free(s->q);
    rec_free(s->z);
    rec_free(s->x);
    rec_free(s->want);
    rec_free(s);
}

size_t gate_set_n(const gate_set *s) {
    return s->n;
}

/* ---- questions -------------------------------------------------------------------------------------- */

static bool has(const uint32_t *a, size_t n, uint32_t x) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (a[mid] < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && a[lo] == x;
}

static rec_status make_room(gate_set *s, size_t n, rec_err *err) {
    rec_status st = rec_grow(&s->q, &s->cap, s->n + 1, sizeof *s->q, err);
    if (!st)
        st = rec_grow(&s->z, &s->cap_z, s->n_row + n, s->n_member * sizeof *s->z, err);
    if (!st && s->is_learned)
        st = rec_grow(&s->x, &s->cap_x, s->n_row + n, 2 * sizeof *s->x, err);
    return st ? st
              : rec_grow(&s->want, &s->cap_want, s->n_row + n, sizeof *s->want, err);
}

rec_status gate_set_add(gate_set *s, const gate_ask *a, const uint32_t *want,
                        size_t n_want, rec_err *err) {
    gate_union u;
    rec_status st = gate_gather(a, &u, err);
    if (!st) st = make_room(s, u.n, err);
    if (st || !u.n || !n_want) {
        if (!st) gate_union_clear(&u);
        return st;
    }
    question *q = &s->q[s->n];
    *q = (question){.at = s->n_row, .n = u.n, .n_want = n_want};
    double x[GATE_N_X];
    gate_features(a, u.item[0], q->x);
    for (size_t m = 0; m < s->n_member; m++) q->margin[m] = a->scale[m].margin;
    size_t found = 0;
    for (size_t i = 0; i < u.n; i++) {
        size_t row = s->n_row + i;
        found += s->want[row] = has(want, n_want, u.item[i]);
        for (size_t m = 0; m < s->n_member; m++)
            s->z[row * s->n_member + m] = u.z[i * (a->n_member + a->n_extra) + m];
        if (!s->is_learned) continue;
        gate_features(a, u.item[i], x);
        s->x[row * 2] = (float)x[GATE_X_POPULAR];
        s->x[row * 2 + 1] = (float)x[GATE_X_AGE];
    }
    gate_union_clear(&u);
    if (found) s->n_row += q->n, s->n++; /* else no weights would find any */
    return REC_OK;
}

/* ---- one question under some weights -------------------------------------------------------------------- */

/* w[n_member] of candidate row; 0 where silent. */
static void weights_of(const gate_set *s, const hybrid_gate *g, const question *q,
                       size_t row, const double *base, double *w) {
    const float *z = s->z + row * s->n_member;
    double pop = 0, age = 0;
    if (g->is_learned) {
        pop = ((double)s->x[row * 2] - g->mean[GATE_X_POPULAR]) /
              g->spread[GATE_X_POPULAR];
        age = ((double)s->x[row * 2 + 1] - g->mean[GATE_X_AGE]) / g->spread[GATE_X_AGE];
    }
    (void)q;
    for (size_t m = 0; m < s->n_member; m++) {
        w[m] = isnan(z[m]) ? -INFINITY : base[m];
        if (g->is_learned && !isnan(z[m]))
            w[m] += g->coef[m][GATE_X_POPULAR] * pop + g->coef[m][GATE_X_AGE] * age;
    }
    gate_softmax(s->n_member, w);
}

/* The part of the logits that all candidates of a question share. */
static void base_of(const gate_set *s, const hybrid_gate *g, const question *q,
                    double *base) {
    double x[GATE_N_X];
    memcpy(x, q->x, sizeof x);
    x[GATE_X_POPULAR] = g->mean[GATE_X_POPULAR];
    x[GATE_X_AGE] = g->mean[GATE_X_AGE];
    for (size_t m = 0; m < s->n_member; m++)
        base[m] = gate_logit(g, m, x, q->margin[m]);
}

static void score_question(const gate_set *s, const hybrid_gate *g, const question *q,
                           double *score, double *weights /* [n][n_member] or NULL */) {
    double base[HYBRID_MAX_MEMBERS], w[HYBRID_MAX_MEMBERS], share[HYBRID_MAX_MEMBERS];
    base_of(s, g, q, base);
    for (size_t m = 0; m < s->n_member; m++) share[m] = exp(fmin(base[m], 50));
    for (size_t i = 0; i < q->n; i++) {
        const float *z = s->z + (q->at + i) * s->n_member;
        double sum = 0, all = 0;
        if (!g->is_learned) { /* the softmax without its exponentials */
            for (size_t m = 0; m < s->n_member; m++) {
                if (isnan(z[m])) continue;
                sum += share[m] * (double)z[m];
                all += share[m];
            }
            score[i] = all > 0 ? sum / all : 0;
            continue;
        }
        weights_of(s, g, q, q->at + i, base, w);
        for (size_t m = 0; m < s->n_member; m++)
            if (w[m] > 0) sum += w[m] * (double)z[m];
        score[i] = sum;
        if (weights) memcpy(weights + i * s->n_member, w, s->n_member * sizeof *w);
    }
}

/* The first n_top candidates, best first; among equals the smaller item. */
static size_t rank_top(const double *score, size_t n, uint32_t *top, size_t n_top) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (found == n_top && !(score[i] > score[top[found - 1]])) continue;
        size_t at = found < n_top ? found++ : n_top - 1;
        for (; at > 0 && score[i] > score[top[at - 1]]; at--) top[at] = top[at - 1];
        top[at] = (uint32_t)i;
    }
    return found;
}

static double gain_at(size_t rank) {
    return rank < GATE_CUT ? 1 / log2((double)rank + 2) : 0;
}

static double ideal_of(size_t n_want) {
    double sum = 0;
    for (size_t r = 0; r < n_want && r < GATE_CUT; r++) sum += gain_at(r);
    return sum;
}

/* ---- goodness ------------------------------------------------------------------------------------------------ */

typedef struct trial {
    const gate_set *s;
    const hybrid_gate *g;
    int fold;        /* only questions of it (even < 0: all); ~fold: all others */
    bool is_outside; /* all others */
    double *sum;     /* [pieces][width] owned by the caller */
    size_t width;
    size_t longest;
    double sharpness;
} trial;

static bool takes_part(const trial *t, size_t at) {
    if (t->fold < 0) return true;
    return (rec_mix(at) % FIT_FOLDS == (uint64_t)t->fold) != t->is_outside;
}

enum { SUM_RECALL, SUM_NDCG, SUM_COUNT, SUM_N };

static rec_status judge_piece(void *ctx, size_t begin, size_t end, int worker,
                              rec_err *err) {
    const trial *t = ctx;
    const gate_set *s = t->s;
    uint32_t top[GATE_CUT];
    double *score = rec_array(t->longest, sizeof *score);
    (void)worker;
    if (!score) return rec_nomem(err);
    for (size_t piece = begin; piece < end; piece++) {
        double *sum = t->sum + piece * t->width;
        for (size_t j = piece * FIT_PIECE; j < s->n && j < (piece + 1) * FIT_PIECE;
             j++) {
            const question *q = &s->q[j];
            double hits = 0, dcg = 0;
            if (!takes_part(t, j)) continue;
            score_question(s, t->g, q, score, NULL);
            size_t n = rank_top(score, q->n, top, GATE_CUT);
            for (size_t r = 0; r < n; r++)
                if (s->want[q->at + top[r]]) hits++, dcg += gain_at(r);
            sum[SUM_RECALL] += hits / (double)q->n_want;
            sum[SUM_NDCG] += dcg / ideal_of(q->n_want);
            sum[SUM_COUNT]++;
        }
    }
    rec_free(score);
    return REC_OK;
}

static size_t longest_question(const gate_set *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->q[i].n > n) n = s->q[i].n;
    return n;
}

/* total[width] over all pieces, in order (I1). */
static rec_status add_pieces(trial *t, threads_fn fn, double *total, rec_run *run,
                             rec_err *err) {
    size_t n = (t->s->n + FIT_PIECE - 1) / FIT_PIECE;
    t->longest = longest_question(t->s);
    t->sum = rec_zeros(n, t->width * sizeof *t->sum);
    rec_status st = t->sum ? threads_for(run, n, 1, fn, t, err) : rec_nomem(err);
    for (size_t k = 0; k < t->width; k++) total[k] = 0;
    for (size_t i = 0; !st && i < n; i++)
        for (size_t k = 0; k < t->width; k++) total[k] += t->sum[i * t->width + k];
    rec_free(t->sum);
    return st;
}

typedef struct goodness {
    double recall, ndcg, both;
} goodness;

static rec_status judge(const gate_set *s, const hybrid_gate *g, int fold,
                        bool is_outside, goodness *out, rec_run *run, rec_err *err) {
    trial t = {.s = s, .g = g, .fold = fold, .is_outside = is_outside, .width = SUM_N};
    double sum[SUM_N];
    rec_status st = add_pieces(&t, judge_piece, sum, run, err);
    double n = sum[SUM_COUNT] > 0 ? sum[SUM_COUNT] : 1;
    out->recall = sum[SUM_RECALL] / n;
    out->ndcg = sum[SUM_NDCG] / n;
    out->both = (out->recall + out->ndcg) / 2;
    return st ? st : run_check(run, err);
}

/* ---- one number a member ----------------------------------------------------------------------------------- */

/* Factors that a weight is tried with, pass by pass; 0 switches the member off. */
static const double coarse[] = {.6, 1.6, 0}, fine[] = {.85, 1.18},
                    finest[] = {.94, 1.06};
static const struct {
    const double *factor;
    size_t n;
} passes[] = {{coarse, 3}, {coarse, 3}, {fine, 2}, {fine, 2}, {finest, 2}};
#define FIT_BACK .3 /* the weight with which a member that is off is tried again */

static rec_status try_factor(const gate_set *s, hybrid_gate *g, size_t m, double factor,
                             goodness *best, rec_run *run, rec_err *err) {
    double was = g->bias[m];
    bool is_off = was <= FIT_OFF;
    goodness now;
    if (is_off && factor <= 1) return REC_OK;
    g->bias[m] = factor > 0 ? (is_off ? log(FIT_BACK) : was + log(factor)) : FIT_OFF;
    rec_status st = judge(s, g, -1, false, &now, run, err);
    if (!st && now.both > best->both + FIT_MIN_GAIN)
        *best = now;
    else
        g->bias[m] = was;
    return st;
}

static rec_status climb(const gate_set *s, hybrid_gate *g, goodness *best, rec_run *run,
                        rec_err *err) {
    rec_status st = judge(s, g, -1, false, best, run, err);
    for (size_t p = 0; p < sizeof passes / sizeof passes[0]; p++) {
        for (size_t m = 0; m < s->n_member; m++)
            for (size_t f = 0; f < passes[p].n && !st; f++)
                st = try_factor(s, g, m, passes[p].factor[f], best, run, err);
        run_progress(run, "gate",
                     (double)(p + 1) / (double)(sizeof passes / sizeof passes[0]));
    }
    return st;
}

/* From equal weights, and from the best member alone: what neither improves stays as it is. */
static rec_status find_constants(const gate_set *s, hybrid_gate *g, gate_figures *f,
                                 rec_run *run, rec_err *err) {
    hybrid_gate one = *g;
    goodness best, found;
    size_t first = 0;
    rec_status st = judge(s, g, -1, false, &best, run, err);
    f->equal = best.ndcg;
    f->best = -1;
    for (size_t m = 0; m < s->n_member && !st; m++) {
        for (size_t k = 0; k < s->n_member; k++) one.bias[k] = k == m ? 0 : FIT_OFF;
        st = judge(s, &one, -1, false, &found, run, err);
        if (found.ndcg > f->best) {
            f->best = found.ndcg;
            first = m;
        }
    }
    for (size_t k = 0; k < s->n_member; k++) one.bias[k] = k == first ? 0 : FIT_OFF;
    if (!st) st = climb(s, g, &best, run, err);
    if (!st) st = climb(s, &one, &found, run, err);
    if (!st && found.both > best.both) {
        *g = one;
        best = found;
    }
    f->recall = best.recall;
    f->ndcg = best.ndcg;
    return st;
}

/* ---- a line a member ------------------------------------------------------------------------------------------ */

/* Adds one question's gradient to sum: for each member, of its bias and of its coefficients. */
static void add_gradient(const trial *t, const question *q, const double *score,
                         const double *weights, const double *pull, double *sum) {
    const gate_set *s = t->s;
    const hybrid_gate *g = t->g;
    double x[GATE_N_X];
    for (int j = 0; j < GATE_N_X; j++) x[j] = (q->x[j] - g->mean[j]) / g->spread[j];
    for (size_t i = 0; i < q->n; i++) {
        size_t row = q->at + i;
        const float *z = s->z + row * s->n_member;
        if (pull[i] == 0) continue;
        x[GATE_X_POPULAR] = ((double)s->x[row * 2] - g->mean[GATE_X_POPULAR]) /
                            g->spread[GATE_X_POPULAR];
        x[GATE_X_AGE] =
            ((double)s->x[row * 2 + 1] - g->mean[GATE_X_AGE]) / g->spread[GATE_X_AGE];
        for (size_t m = 0; m < s->n_member; m++) {
            double w = weights[i * s->n_member + m];
            if (!(w > 0)) continue;
            double d = pull[i] * w * ((double)z[m] - score[i]);
            double *to = sum + m * (GATE_N_X + 1);
            x[GATE_X_MARGIN] =
                (q->margin[m] - g->mean[GATE_X_MARGIN]) / g->spread[GATE_X_MARGIN];
            for (int j = 0; j < GATE_N_X; j++) to[j] += d * x[j];
            to[GATE_N_X] += d;
        }
    }
}

/* pull[i] = the gradient of the loss in score i: a pair pulls by how much its exchange would change the NDCG. */
static void lambda_pairs(const gate_set *s, const question *q, const double *score,
                         const uint32_t *top, size_t n_top, double *pull) {
    double ideal = ideal_of(q->n_want);
    for (size_t i = 0; i < q->n; i++) pull[i] = 0;
    for (size_t i = 0; i < q->n; i++) {
        size_t rank = n_top;
        if (!s->want[q->at + i]) continue;
        for (size_t r = 0; r < n_top; r++)
            if (top[r] == i) rank = r;
        for (size_t r = 0; r < n_top; r++) {
            size_t j = top[r];
            double change = fabs(gain_at(rank) - gain_at(r)) / ideal;
            if (s->want[q->at + j] || change == 0) continue;
            double d = FIT_SHARPNESS * (score[i] - score[j]);
            double f = change * FIT_SHARPNESS / (1 + exp(fmax(-50, fmin(50, d))));
            pull[i] -= f;
            pull[j] += f;
        }
    }
}

static rec_status gradient_piece(void *ctx, size_t begin, size_t end, int worker,
                                 rec_err *err) {
    const trial *t = ctx;
    const gate_set *s = t->s;
    uint32_t top[FIT_DEPTH];
    double *score = rec_array(t->longest, sizeof *score);
    double *pull = rec_array(t->longest, sizeof *pull);
    double *weights = rec_array(t->longest, s->n_member * sizeof *weights);
    rec_status st = score && pull && weights ? REC_OK : rec_nomem(err);
    (void)worker;
    for (size_t piece = begin; piece < end && !st; piece++) {
        double *sum = t->sum + piece * t->width;
        for (size_t j = piece * FIT_PIECE; j < s->n && j < (piece + 1) * FIT_PIECE;
             j++) {
            const question *q = &s->q[j];
            if (!takes_part(t, j)) continue;
            score_question(s, t->g, q, score, weights);
            size_t n = rank_top(score, q->n, top, FIT_DEPTH);
            lambda_pairs(s, q, score, top, n, pull);
            add_gradient(t, q, score, weights, pull, sum);
            sum[t->width - 1]++;
        }
    }
    rec_free(score);
    rec_free(pull);
    rec_free(weights);
    return st;
}

typedef struct adam_state {
    double mean[FIT_PARAM], square[FIT_PARAM];
} adam_state;

static double adam_move(adam_state *a, size_t k, double grad, int step) {
    a->mean[k] = .9 * a->mean[k] + .1 * grad;
    a->square[k] = .99 * a->square[k] + .01 * grad * grad;
    double m = a->mean[k] / (1 - pow(.9, step)),
           v = a->square[k] / (1 - pow(.99, step));
    return -FIT_RATE * m / (sqrt(v) + 1e-9);
}

/* Coefficients, and how far the constants move from where they start, under a quadratic penalty on both. */
static rec_status descend(const gate_set *s, const hybrid_gate *start, int fold,
                          double penalty, hybrid_gate *g, rec_run *run, rec_err *err) {
    trial t = {.s = s, .g = g, .fold = fold, .is_outside = true};
    adam_state adam = {0};
    double sum[FIT_PARAM + 1];
    rec_status st = REC_OK;
    *g = *start;
    t.width = s->n_member * (GATE_N_X + 1) + 1;
    for (int step = 1; step <= FIT_STEPS && !st; step++) {
        st = add_pieces(&t, gradient_piece, sum, run, err);
        if (!st) st = run_check(run, err);
        double n = sum[t.width - 1] > 0 ? sum[t.width - 1] : 1;
        for (size_t m = 0; m < s->n_member && !st; m++)
            for (int j = 0; j <= GATE_N_X; j++) {
                size_t k = m * (GATE_N_X + 1) + (size_t)j;
                double *p = j < GATE_N_X ? &g->coef[m][j] : &g->bias[m];
                double origin = j < GATE_N_X ? 0 : start->bias[m];
                if (j < GATE_N_X && !(g->spread[j] > 0)) continue;
                *p += adam_move(&adam, k, sum[k] / n + penalty * (*p - origin), step);
                *p = fmax(FIT_OFF, fmin(-FIT_OFF, *p));
            }
    }
    return st;
}

/* Mean and spread of every feature over the questions and their candidates. */
static void scale_features(const gate_set *s, hybrid_gate *g) {
    double sum[GATE_N_X] = {0}, square[GATE_N_X] = {0}, count[GATE_N_X] = {0};
    for (size_t j = 0; j < s->n; j++) {
        const question *q = &s->q[j];
        double x[GATE_N_X];
        memcpy(x, q->x, sizeof x);
        for (size_t i = 0; i < q->n + s->n_member; i++) {
            bool is_row = i < q->n;
            if (is_row) x[GATE_X_POPULAR] = (double)s->x[(q->at + i) * 2];
            if (is_row) x[GATE_X_AGE] = (double)s->x[(q->at + i) * 2 + 1];
            if (!is_row) x[GATE_X_MARGIN] = q->margin[i - q->n];
            for (int k = 0; k < GATE_N_X; k++) {
                bool of_row = k == GATE_X_POPULAR || k == GATE_X_AGE;
                bool counts = of_row ? is_row : k == GATE_X_MARGIN ? !is_row : i == 0;
                if (!counts) continue;
                sum[k] += x[k];
                square[k] += x[k] * x[k];
                count[k]++;
            }
        }
    }
    for (int k = 0; k < GATE_N_X; k++) {
        double n = count[k] > 0 ? count[k] : 1, mean = sum[k] / n;
        double spread = sqrt(fmax(square[k] / n - mean * mean, 0));
        g->mean[k] = mean;
        g->spread[k] = spread > 1e-6 * (1 + fabs(mean)) ? spread : 1;
    }
}

static rec_status find_coefficients(const gate_set *s, hybrid_gate *g, gate_figures *f,
                                    rec_run *run, rec_err *err) {
    static const double penalties[] = {.1, .02, .004};
    hybrid_gate start = *g, trained;
    double best = 0, penalty = -1;
    rec_status st = REC_OK;
    scale_features(s, &start);
    start.is_learned = true;
    for (int fold = 0; fold < FIT_FOLDS && !st; fold++) {
        goodness now;
        st = judge(s, &start, fold, false, &now, run, err);
        best += now.both / FIT_FOLDS;
    }
    hybrid_gate constant = start;
    double most = FIT_OFF;
    for (size_t m = 0; m < s->n_member; m++) most = fmax(most, start.bias[m]);
    for (size_t m = 0; m < s->n_member; m++) /* who is off for all may be on for some */
        start.bias[m] = fmax(start.bias[m], most + log(FIT_LEAST));
    for (size_t p = 0; p < sizeof penalties / sizeof penalties[0] && !st; p++) {
        double mean = 0;
        for (int fold = 0; fold < FIT_FOLDS && !st; fold++) {
            goodness now;
            st = descend(s, &start, fold, penalties[p], &trained, run, err);
            if (!st) st = judge(s, &trained, fold, false, &now, run, err);
            if (!st) mean += now.both / FIT_FOLDS;
        }
        if (!st && mean > best + FIT_MIN_GAIN) {
            best = mean;
            penalty = penalties[p];
        }
        run_progress(run, "gate", (double)(p + 1) / 4);
    }
    if (!st && penalty >= 0) st = descend(s, &start, -1, penalty, &trained, run, err);
    *g = penalty >= 0 ? trained : constant;
    goodness now;
    if (!st) st = judge(s, g, -1, false, &now, run, err);
    if (st) return st;
    f->recall = now.recall;
    f->ndcg = now.ndcg;
    return REC_OK;
}

rec_status gate_fit(const gate_set *s, hybrid_gate *out, gate_figures *figures,
                    rec_run *run, rec_err *err) {
    *out = (hybrid_gate){.n_member = (uint32_t)s->n_member};
    *figures = (gate_figures){0};
    for (int j = 0; j < GATE_N_X; j++) out->spread[j] = 1;
    rec_status st = find_constants(s, out, figures, run, err);
    if (!st && s->is_learned) st = find_coefficients(s, out, figures, run, err);
    return st;
}
