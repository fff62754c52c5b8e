/* gate_fit.c - how far to lean on each member, from rows that the members have not seen.
 *
 *   questions      user 0    candidates x members: z      which of them the user took
 *                  user 1    ..                           ..
 *        |
 *        |  one number a member: from equal weights, and from the best member alone, each in turn
 *        |                       made larger or smaller, as long as the lists get better
 *        |  gate=learned: a line a member in history, popularity, age, margin, by the same search;
 *        v                how strong the penalty is, and whether lines are used at all, by cross-validation
 *      gate
 *
 * The loss is that of the ranking itself: the goodness of weights is the mean over the questions of
 * (recall + NDCG) / 2 at GATE_CUT. It has steps, so there is no gradient; but a dozen numbers on some thousands of
 * short lists are searched in seconds. Losses with a gradient did worse. The likelihood of what was taken among the
 * candidates gave weights whose lists were worse than those of equal weights: most of it lies with items that no list
 * of twenty will hold. Pairs weighed by what their exchange would change (LambdaRank) pull above all on items that no
 * weights can lift.
 *
 * Invariants
 *   I1  the result does not depend on the number of threads: sums are of fixed pieces, added in order;
 *   I2  nothing is taken that is worse on the questions; lines are taken only if they are better on questions that
 *       they were not found from.
 *
 * Cost: a pass over questions x candidates x members for each try, some 30 tries a member; learned: 7 searches of
 * at most 48 tries a member, most of them without an exponential. Memory 4 bytes a candidate and member.
 */
#include "model.h"

#include <math.h>

#define FIT_PIECE    64 /* questions of one partial sum */
#define FIT_FOLDS    3
#define FIT_MIN_GAIN 1e-5
/* Logits: of a member that speaks only where nobody else does, of one that is tried with little weight, and the least
 * from which lines start, against the first. */
#define FIT_OFF   (-30.0)
#define FIT_FAINT (-4.0)
#define FIT_LEAST (-3.5)

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
        gate_union_clear(&u);
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
static void weights_of(const gate_set *s, const hybrid_gate *g, size_t row,
                       const double *base, double *w) {
    const float *z = s->z + row * s->n_member;
    double pop = 0, age = 0;
    if (g->is_learned) {
        pop = ((double)s->x[row * 2] - g->mean[GATE_X_POPULAR]) /
              g->spread[GATE_X_POPULAR];
        age = ((double)s->x[row * 2 + 1] - g->mean[GATE_X_AGE]) / g->spread[GATE_X_AGE];
    }
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

static bool looks_at_items(const hybrid_gate *g) {
    bool yes = false;
    for (size_t m = 0; m < g->n_member; m++)
        yes = yes || g->coef[m][GATE_X_POPULAR] != 0 || g->coef[m][GATE_X_AGE] != 0;
    return yes;
}

static void score_question(const gate_set *s, const hybrid_gate *g, const question *q,
                           double *score) {
    double base[HYBRID_MAX_MEMBERS], w[HYBRID_MAX_MEMBERS], share[HYBRID_MAX_MEMBERS];
    bool by_item = looks_at_items(g);
    base_of(s, g, q, base);
    for (size_t m = 0; m < s->n_member; m++) share[m] = exp(base[m]);
    for (size_t i = 0; i < q->n; i++) {
        const float *z = s->z + (q->at + i) * s->n_member;
        double sum = 0, all = 0;
        if (!by_item) { /* the softmax without its exponentials */
            for (size_t m = 0; m < s->n_member; m++) {
                if (isnan(z[m])) continue;
                sum += share[m] * (double)z[m];
                all += share[m];
            }
            score[i] = all > 0 ? sum / all : 0;
            continue;
        }
        weights_of(s, g, q->at + i, base, w);
        for (size_t m = 0; m < s->n_member; m++)
            if (w[m] > 0) sum += w[m] * (double)z[m];
        score[i] = sum;
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

enum { SUM_RECALL, SUM_NDCG, SUM_COUNT, SUM_N };

typedef struct trial {
    const gate_set *s;
    const hybrid_gate *g;
    int fold;        /* only questions of it; < 0: all */
    bool is_outside; /* all questions but those of the fold */
    double *sum;     /* [pieces][SUM_N] */
    double *score;   /* [threads][longest] */
    size_t longest;  /* question */
} trial;

static bool takes_part(const trial *t, size_t at) {
    if (t->fold < 0) return true;
    return (rec_mix(at) % FIT_FOLDS == (uint64_t)t->fold) != t->is_outside;
}

static rec_status judge_piece(void *ctx, size_t begin, size_t end, int worker,
                              rec_err *err) {
    const trial *t = ctx;
    const gate_set *s = t->s;
    uint32_t top[GATE_CUT];
    double *score = t->score + (size_t)worker * t->longest;
    (void)err;
    for (size_t piece = begin; piece < end; piece++) {
        double *sum = t->sum + piece * SUM_N;
        for (size_t j = piece * FIT_PIECE; j < s->n && j < (piece + 1) * FIT_PIECE;
             j++) {
            const question *q = &s->q[j];
            double hits = 0, dcg = 0;
            if (!takes_part(t, j)) continue;
            score_question(s, t->g, q, score);
            size_t n = rank_top(score, q->n, top, GATE_CUT);
            for (size_t r = 0; r < n; r++)
                if (s->want[q->at + top[r]]) hits++, dcg += gain_at(r);
            sum[SUM_RECALL] += hits / (double)q->n_want;
            sum[SUM_NDCG] += dcg / ideal_of(q->n_want);
            sum[SUM_COUNT]++;
        }
    }
    return REC_OK;
}

static size_t longest_question(const gate_set *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->q[i].n > n) n = s->q[i].n;
    return n;
}

/* total[SUM_N] over all pieces, in order (I1). */
static rec_status add_pieces(trial *t, double *total, rec_run *run, rec_err *err) {
    size_t n = (t->s->n + FIT_PIECE - 1) / FIT_PIECE;
    t->longest = longest_question(t->s);
    t->sum = rec_zeros(n, SUM_N * sizeof *t->sum);
    t->score = rec_array((size_t)run_threads(run) * t->longest, sizeof *t->score);
    rec_status st = t->sum && t->score ? threads_for(run, n, 1, judge_piece, t, err)
                                       : rec_nomem(err);
    for (size_t k = 0; k < SUM_N; k++) total[k] = 0;
    for (size_t i = 0; !st && i < n; i++)
        for (size_t k = 0; k < SUM_N; k++) total[k] += t->sum[i * SUM_N + k];
    rec_free(t->sum);
    rec_free(t->score);
    return st;
}

typedef struct goodness {
    double recall, ndcg, both;
} goodness;

static rec_status judge(const gate_set *s, const hybrid_gate *g, int fold,
                        bool is_outside, goodness *out, rec_run *run, rec_err *err) {
    trial t = {.s = s, .g = g, .fold = fold, .is_outside = is_outside};
    double sum[SUM_N];
    rec_status st = add_pieces(&t, sum, run, err);
    double n = sum[SUM_COUNT] > 0 ? sum[SUM_COUNT] : 1;
    out->recall = sum[SUM_RECALL] / n;
    out->ndcg = sum[SUM_NDCG] / n;
    out->both = (out->recall + out->ndcg) / 2;
    return st ? st : run_check(run, err);
}

/* ---- one number a member ----------------------------------------------------------------------------------- */

#define FIT_ROUNDS 8
#define FIT_STEP   .8 /* in logits */
#define FIT_WAKE   3  /* so many rounds try every member as good as off, too */

/* The best of some values of one number. */
static rec_status try_values(const gate_set *s, hybrid_gate *g, size_t m,
                             const double *value, size_t n, goodness *best,
                             rec_run *run, rec_err *err) {
    double kept = g->bias[m];
    rec_status st = REC_OK;
    for (size_t i = 0; i < n && !st; i++) {
        goodness now;
        g->bias[m] = fmax(FIT_OFF, value[i]);
        st = judge(s, g, -1, false, &now, run, err);
        if (st || !(now.both > best->both + FIT_MIN_GAIN)) continue;
        *best = now;
        kept = g->bias[m];
    }
    g->bias[m] = kept;
    return st;
}

static rec_status climb(const gate_set *s, hybrid_gate *g, goodness *best, rec_run *run,
                        rec_err *err) {
    double step = FIT_STEP;
    rec_status st = judge(s, g, -1, false, best, run, err);
    for (int round = 0; round < FIT_ROUNDS && !st; round++) {
        double before = best->both;
        for (size_t m = 0; m < s->n_member && !st; m++) {
            double at = g->bias[m];
            const double value[] = {at + step, at - step, at + 2 * step, FIT_FAINT};
            st = try_values(s, g, m, value, round < FIT_WAKE ? 4 : 3, best, run, err);
        }
        if (round == FIT_WAKE - 1 || !(best->both > before)) step /= 2;
        run_progress(run, "gate", (double)(round + 1) / FIT_ROUNDS);
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
    for (size_t k = 0; k < s->n_member; k++) one.bias[k] = k == first ? 0 : FIT_FAINT;
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

/* Steps of a coefficient, in logits a spread of its feature, pass by pass. */
static const double strides[] = {1, .5, .25, .25};
/* Features of the user first: those of an item cost an exponential a candidate. */
static const int order[] = {
    -1, GATE_X_HISTORY, GATE_X_NEW, GATE_X_MARGIN, GATE_X_POPULAR, GATE_X_AGE};

typedef struct search {
    const gate_set *s;
    int fold; /* learned from all others; < 0: from all */
    double penalty;
    rec_run *run;
} search;

/* What is maximised: goodness, less a penalty on coefficients. */
static rec_status value_of(const search *f, const hybrid_gate *g, double *out,
                           rec_err *err) {
    goodness now;
    double square = 0;
    rec_status st = judge(f->s, g, f->fold, f->fold >= 0, &now, f->run, err);
    for (size_t m = 0; m < f->s->n_member; m++)
        for (int j = 0; j < GATE_N_X; j++) square += g->coef[m][j] * g->coef[m][j];
    *out = now.both - f->penalty * square;
    return st;
}

static rec_status try_step(const search *f, hybrid_gate *g, double *p, double step,
                           double *best, rec_err *err) {
    double was = *p, now;
    *p = fmax(FIT_OFF, fmin(-FIT_OFF, was + step));
    rec_status st = value_of(f, g, &now, err);
    if (!st && now > *best + FIT_MIN_GAIN)
        *best = now;
    else
        *p = was;
    return st;
}

/* Each number in turn, up and down, as long as the lists get better. */
static rec_status climb_lines(const search *f, const hybrid_gate *start, hybrid_gate *g,
                              rec_err *err) {
    double best;
    *g = *start;
    rec_status st = value_of(f, g, &best, err);
    for (size_t p = 0; p < sizeof strides / sizeof strides[0]; p++)
        for (size_t o = 0; o < sizeof order / sizeof order[0]; o++)
            for (size_t m = 0; m < f->s->n_member && !st; m++) {
                int j = order[o];
                double *x = j < 0 ? &g->bias[m] : &g->coef[m][j], was = *x;
                st = try_step(f, g, x, strides[p], &best, err);
                if (!st && *x == was) st = try_step(f, g, x, -strides[p], &best, err);
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

/* Learned on two folds, judged on the third. */
static rec_status cross_validate(search f, const hybrid_gate *start, double *out,
                                 rec_err *err) {
    hybrid_gate trained = *start;
    rec_status st = REC_OK;
    *out = 0;
    for (f.fold = 0; f.fold < FIT_FOLDS && !st; f.fold++) {
        goodness now;
        if (f.penalty >= 0) st = climb_lines(&f, start, &trained, err);
        if (!st) st = judge(f.s, &trained, f.fold, false, &now, f.run, err);
        if (!st) *out += now.both / FIT_FOLDS;
    }
    return st;
}

static rec_status find_coefficients(const gate_set *s, hybrid_gate *g, gate_figures *f,
                                    rec_run *run, rec_err *err) {
    static const double penalties[] = {.0004, .0001};
    const size_t n = sizeof penalties / sizeof penalties[0];
    search by = {.s = s, .fold = -1, .penalty = -1, .run = run};
    scale_features(s, g);
    g->is_learned = true;
    hybrid_gate start = *g;
    double best = 0, most = FIT_OFF, chosen = -1;
    for (size_t m = 0; m < s->n_member; m++) most = fmax(most, start.bias[m]);
    for (size_t m = 0; m < s->n_member; m++) /* who is off for all may be on for some */
        start.bias[m] = fmax(start.bias[m], most + FIT_LEAST);
    rec_status st = cross_validate(by, g, &best, err);
    for (size_t p = 0; p < n && !st; p++) {
        double mean;
        by.penalty = penalties[p];
        st = cross_validate(by, &start, &mean, err);
        if (!st && mean > best + FIT_MIN_GAIN) {
            best = mean;
            chosen = penalties[p];
        }
        run_progress(run, "gate", (double)(p + 1) / (double)(n + 1));
    }
    by.penalty = chosen;
    if (!st && chosen >= 0) st = climb_lines(&by, &start, g, err);
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
