/* metrics_boot.c - from one number a user to the number of a model, and how sure it is.
 *
 *              metric 0      metric 1          value = form( sum of part / sum of count )
 *     user 0   part  count   part  count
 *     user 1    .50    1     2.25    3         a mean: count is 1, or 0 for a user who does not count;
 *     user 2      0    0      .01    1         RMSE: squared errors and how many there are
 *
 * Intervals are percentiles of the bootstrap (Efron 1979): draw as many users as there are, with
 * replacement, N times. Two models are compared on the same draws, user by user, so that what
 * makes a user easy or hard for both falls out of the difference.
 *
 * Invariants
 *   I1  draw j comes from stream j of the seed: the same for any number of threads.
 *   I2  low <= high; all NaN for a metric that counts nobody.
 *
 * Cost: N x users x metrics additions; N shrinks for millions of users (BOOT_MAX_DRAWS).
 */
#include "model.h"

#include <math.h>

#define BOOT_MAX_DRAWS 200000000.0 /* users drawn in all */
#define BOOT_MIN_TIMES 50

typedef struct boot {
    const metrics_table *t;
    const boot_spec *spec;
    size_t n_times;
    double *drawn; /* [metric x n_times] */
    double *sum;   /* [workers x 4 x metric] */
} boot;

static double finish(metrics_form form, double part, double count) {
    if (!(count > 0)) return NAN;
    double x = part / count;
    return form == FORM_ROOT ? sqrt(x) : form == FORM_LIFT ? x - 1 : x;
}

static void add_user(const boot *b, size_t u, double *sum) {
    size_t n = b->t->n_metric;
    const float *x = b->t->cell + u * 2 * n;
    for (size_t i = 0; i < 2 * n; i++) sum[i] += (double)x[i];
    if (!b->spec->other) return;
    x = b->spec->other->cell + u * 2 * n;
    for (size_t i = 0; i < 2 * n; i++) sum[2 * n + i] += (double)x[i];
}

static double value_of(const boot *b, const double *sum, size_t m) {
    size_t n = b->t->n_metric;
    metrics_form form = b->t->form[m];
    double x = finish(form, sum[2 * m], sum[2 * m + 1]);
    if (!b->spec->other) return x;
    return x - finish(form, sum[2 * n + 2 * m], sum[2 * n + 2 * m + 1]);
}

static rec_status draw(void *ctx, size_t begin, size_t end, int worker, rec_err *err) {
    const boot *b = ctx;
    size_t n = b->t->n_metric, n_user = b->spec->n_user;
    double *sum = b->sum + (size_t)worker * 4 * n;
    (void)err;
    for (size_t j = begin; j < end; j++) {
        rng r;
        rng_seed(&r, b->spec->seed, j);
        memset(sum, 0, 4 * n * sizeof *sum);
        for (size_t i = 0; i < n_user; i++)
            add_user(b, b->spec->user[rng_below(&r, (uint32_t)n_user)], sum);
        for (size_t m = 0; m < n; m++)
            b->drawn[m * b->n_times + j] = value_of(b, sum, m);
    }
    return REC_OK;
}

static int ascending(const void *a, const void *b, void *ctx) {
    double x = *(const double *)a, y = *(const double *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

/* The two percentiles of the draws that have a value. */
static void interval(const boot *b, size_t m, boot_result *out) {
    double *x = b->drawn + m * b->n_times, tail = (1 - b->spec->level) / 2;
    size_t n = 0;
    for (size_t i = 0; i < b->n_times; i++)
        if (!isnan(x[i])) x[n++] = x[i];
    out->low = out->high = NAN;
    if (n == 0 || isnan(out->value)) return;
    rec_sort(x, n, sizeof *x, ascending, NULL);
    out->low = x[(size_t)floor(tail * (double)(n - 1))];
    out->high = x[(size_t)ceil((1 - tail) * (double)(n - 1))];
}

static size_t count_users(const boot *b, size_t m) {
    size_t n = 0, stride = 2 * b->t->n_metric;
    for (size_t i = 0; i < b->spec->n_user; i++)
        n += b->t->cell[b->spec->user[i] * stride + 2 * m + 1] > 0;
    return n;
}

rec_status metrics_bootstrap(const metrics_table *t, const boot_spec *spec,
                             boot_result *out, rec_run *run, rec_err *err) {
    boot b = {.t = t, .spec = spec, .n_times = spec->n_times};
    size_t n = t->n_metric;
    double most = spec->n_user ? BOOT_MAX_DRAWS / (double)spec->n_user : 0;
    if ((double)b.n_times > most)
        b.n_times = most < BOOT_MIN_TIMES ? BOOT_MIN_TIMES : (size_t)most;
    if (b.n_times > spec->n_times) b.n_times = spec->n_times;
    b.drawn = rec_array(b.n_times * n, sizeof *b.drawn);
    b.sum = rec_zeros((size_t)run_threads(run) * 4 * n, sizeof *b.sum);
    rec_status st = b.drawn && b.sum ? REC_OK : rec_nomem(err);
    if (!st) {
        for (size_t i = 0; i < spec->n_user; i++) add_user(&b, spec->user[i], b.sum);
        for (size_t m = 0; m < n; m++) {
            out[m].value = value_of(&b, b.sum, m);
            out[m].n_user = count_users(&b, m);
        }
        if (spec->n_user) st = threads_for(run, b.n_times, 1, draw, &b, err);
    }
    for (size_t m = 0; !st && m < n; m++) interval(&b, m, &out[m]);
    rec_free(b.drawn);
    rec_free(b.sum);
    return st;
}
