/* Layers: every backward pass against finite differences, Adam by hand, sparse rows against dense
 * ones, losses against their formulas, threads. */
#include "unit.h"

#include "alloc.h"

#include "../../ext/nn/nn.h"

/* ---- gradient check ----------------------------------------------------------------------- */

/* loss(ctx) is evaluated with x[i] moved both ways; g[i] is what the backward pass says. */
typedef double (*loss_fn)(void *ctx);
static void check_gradient(loss_fn loss, void *ctx, float *x, const float *g,
                           size_t n) {
    const float h = 1e-2f;
    for (size_t i = 0; i < n; i++) {
        float was = x[i];
        x[i] = was + h;
        double up = loss(ctx);
        x[i] = was - h;
        double down = loss(ctx);
        x[i] = was;
        double slope = (up - down) / (2 * (double)h);
        CHECK_NEAR(g[i], slope, 2e-3 + 1e-2 * fabs(slope));
    }
}

static void fill(float *x, size_t n, unsigned long long seed) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(2 * unit_uniform(&seed) - 1);
}

static double weighted(const float *y, const float *c, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)y[i] * c[i];
    return sum;
}

#define ROWS 3
#define IN   5
#define OUT  4
typedef struct layer_case {
    nn_dense dense;
    nn_norm norm;
    nn_activation activation;
    int kind; /* 0 dense, 1 norm, 2 activation, 3 unit */
    float x[ROWS * IN], y[ROWS * IN], c[ROWS * IN], dx[ROWS * IN];
} layer_case;

static double layer_loss(void *ctx) {
    layer_case *t = ctx;
    size_t n = ROWS * (t->kind == 0 ? OUT : IN);
    if (t->kind == 0) nn_dense_forward(&t->dense, t->x, ROWS, t->y);
    if (t->kind == 1) nn_norm_forward(&t->norm, t->x, ROWS, t->y);
    if (t->kind == 2) nn_activate(t->activation, t->x, n, t->y);
    if (t->kind == 3) nn_unit_forward(t->x, ROWS, IN, t->y);
    return weighted(t->y, t->c, n);
}

static void test_layers(void) {
    rec_err err = {0};
    rng r;
    rng_seed(&r, 1, 1);
    layer_case t = {0};
    CHECK(!nn_dense_init(&t.dense, IN, OUT, &r, &err) &&
          !nn_norm_init(&t.norm, IN, &err));
    fill(t.x, ROWS * IN, 3);
    fill(t.c, ROWS * IN, 4);
    nn_dense_backward(&t.dense, t.x, t.c, ROWS, t.dx);
    check_gradient(layer_loss, &t, t.x, t.dx, ROWS * IN);
    check_gradient(layer_loss, &t, t.dense.weight.w, t.dense.weight.g, IN * OUT);
    check_gradient(layer_loss, &t, t.dense.bias.w, t.dense.bias.g, OUT);
    t.kind = 1;
    fill(t.norm.gain.w, IN, 5);
    fill(t.norm.shift.w, IN, 6);
    nn_norm_backward(&t.norm, t.x, t.c, ROWS, t.dx);
    check_gradient(layer_loss, &t, t.x, t.dx, ROWS * IN);
    check_gradient(layer_loss, &t, t.norm.gain.w, t.norm.gain.g, IN);
    check_gradient(layer_loss, &t, t.norm.shift.w, t.norm.shift.g, IN);
    layer_loss(&t);
    t.kind = 2;
    for (int f = NN_RELU; f <= NN_SILU; f++) {
        t.activation = (nn_activation)f;
        for (size_t i = 0; i < ROWS * IN; i++)
            if (fabsf(t.x[i]) < .02f) t.x[i] = .05f; /* away from the corner of relu */
        nn_activate_backward(t.activation, t.x, t.c, ROWS * IN, t.dx);
        check_gradient(layer_loss, &t, t.x, t.dx, ROWS * IN);
    }
    t.kind = 3;
    nn_unit_backward(t.x, t.c, ROWS, IN, t.dx);
    check_gradient(layer_loss, &t, t.x, t.dx, ROWS * IN);
    memset(t.x, 0, sizeof t.x); /* a row of zeros */
    nn_unit_forward(t.x, ROWS, IN, t.y);
    nn_unit_backward(t.x, t.c, ROWS, IN, t.dx);
    CHECK(weighted(t.y, t.y, IN) == 0 && weighted(t.dx, t.dx, IN) == 0);
    nn_dense_clear(&t.dense);
    nn_norm_clear(&t.norm);
}

/* Two layers and an activation learn a function that no single layer can: exclusive or. */
static void test_learning(void) {
    rec_err err = {0};
    rng r;
    rng_seed(&r, 2, 1);
    nn_dense a, b;
    nn_norm norm;
    const float x[] = {0, 0, 0, 1, 1, 0, 1, 1};
    const uint32_t target[] = {0, 1, 1, 0};
    float h[32], m[32], z[32], s[8], dz[32], loss[4];
    nn_adam adam = NN_ADAM_USUAL(.02f);
    CHECK(!nn_dense_init(&a, 2, 8, &r, &err) && !nn_dense_init(&b, 8, 2, &r, &err) &&
          !nn_norm_init(&norm, 8, &err));
    for (int step = 0; step < 400; step++) {
        nn_dense_forward(&a, x, 4, h);
        nn_norm_forward(&norm, h, 4, m);
        nn_activate(NN_GELU, m, 32, z);
        nn_dense_forward(&b, z, 4, s);
        nn_softmax_args args = {s, 4, 2, target, NULL, loss};
        CHECK(!nn_softmax(&args, NULL, &err));
        nn_dense_backward(&b, z, s, 4, dz);
        nn_activate_backward(NN_GELU, m, dz, 32, dz);
        nn_norm_backward(&norm, h, dz, 4, z);
        nn_dense_backward(&a, x, z, 4, NULL);
        nn_dense_step(&a, &adam);
        nn_dense_step(&b, &adam);
        nn_norm_step(&norm, &adam);
    }
    CHECK(loss[0] + loss[1] + loss[2] + loss[3] < .1);
    nn_dense_clear(&a);
    nn_dense_clear(&b);
    nn_norm_clear(&norm);
}

/* ---- losses ----------------------------------------------------------------------------------- */

static void test_exp(void) {
    double worst = 0;
    for (double v = -80; v < 80; v += .0137) {
        float e = (float)v, x = e;
        nn_exp(&e, 1);
        worst = fmax(worst, fabs(e / exp((double)x) - 1));
    }
    CHECK(worst < 3e-7);
    float ends[] = {0, -1e30f, -INFINITY, 1e30f};
    nn_exp(ends, 4);
    CHECK(ends[0] == 1 && ends[1] >= 0 && ends[1] < 1e-37f && ends[2] < 1e-37f &&
          isfinite(ends[3]));
}

#define M 7
typedef struct loss_case {
    float x[2 * M], s[2 * M], loss[2];
    bool is_sampled;
    size_t ptr[3];
    uint32_t col[6], target[2];
    float weight[6], log_q[M];
} loss_case;

static double loss_value(void *ctx) {
    loss_case *t = ctx;
    rec_err err = {0};
    memcpy(t->s, t->x, sizeof t->s);
    if (t->is_sampled) {
        nn_sampled_args a = {t->s,      2,        M,       t->ptr, t->col,
                             t->weight, t->log_q, t->loss, NULL};
        CHECK(!nn_sampled_softmax(&a, NULL, &err));
    } else {
        nn_softmax_args a = {t->s, 2, M, t->target, t->weight, t->loss};
        CHECK(!nn_softmax(&a, NULL, &err));
    }
    return (double)t->loss[0] + t->loss[1];
}

static void test_losses(void) {
    loss_case t = {.target = {3, 6}, .weight = {1, .5f}};
    float g[2 * M];
    fill(t.x, 2 * M, 9);
    for (size_t i = 0; i < 2 * M; i++) t.x[i] *= 4;
    double loss = loss_value(&t), direct = 0;
    for (int i = 0; i < 2; i++) {
        double sum = 0;
        for (int c = 0; c < M; c++) sum += exp(t.x[i * M + c]);
        direct += t.weight[i] * (log(sum) - t.x[i * M + t.target[i]]);
    }
    CHECK_NEAR(loss, direct, 1e-5);
    memcpy(g, t.s, sizeof g);
    check_gradient(loss_value, &t, t.x, g, 2 * M);
    /* Two targets and an accidental hit; one target; log q tells columns apart. */
    t = (loss_case){.is_sampled = true,
                    .ptr = {0, 3, 4},
                    .col = {1, 4, 5, 2},
                    .weight = {1, 2, 0, 1}};
    fill(t.x, 2 * M, 10);
    fill(t.log_q, M, 11);
    loss = loss_value(&t);
    memcpy(g, t.s, sizeof g);
    check_gradient(loss_value, &t, t.x, g, 2 * M);
    double wrong = 0;
    for (int c = 0; c < M; c++)
        if (c != 1 && c != 4 && c != 5) wrong += exp((double)t.x[c] - t.log_q[c]);
    direct =
        log(exp(t.x[1]) + wrong) - t.x[1] + 2 * (log(exp(t.x[4]) + wrong) - t.x[4]);
    CHECK_NEAR(t.loss[0], direct, 1e-5);
    CHECK(g[5] == 0); /* the accidental hit */
    double sum = 0;
    for (int c = 0; c < M; c++) sum += g[c];
    CHECK_NEAR(sum, 0, 1e-6);
    /* What is sampled often counts less: a larger q pushes its column down less. */
    float before = g[0];
    t.log_q[0] += 1;
    loss_value(&t);
    CHECK(before > 0 && t.s[0] > 0 && t.s[0] < before);
    /* Extremes, and a row that is nothing but right columns. */
    for (int c = 0; c < M; c++) t.x[c] = c % 2 ? 1e30f : -1e30f;
    CHECK(isfinite(loss_value(&t)) && vec_is_finite(t.s, 2 * M));
    nn_sampled_args all = {
        t.s,  1,      2,   (size_t[]){0, 2}, (uint32_t[]){0, 1}, (float[]){1, 1},
        NULL, t.loss, NULL};
    rec_err err = {0};
    t.s[0] = 3, t.s[1] = -2;
    CHECK(!nn_sampled_softmax(&all, NULL, &err));
    CHECK(t.s[0] == 0 && t.s[1] == 0 && fabsf(t.loss[0]) < 1e-6f);
    /* A prior is as good as logits that hold it already. */
    float held[] = {1, 2.5f, -1}, bare[] = {.5f, 2, 1}, prior[] = {.5f, .5f, -2}, again;
    nn_sampled_args one = {.logit = held,
                           .n = 1,
                           .m = 3,
                           .ptr = (size_t[]){0, 1},
                           .col = (uint32_t[]){1},
                           .weight = (float[]){1},
                           .loss = t.loss};
    CHECK(!nn_sampled_softmax(&one, NULL, &err));
    one.logit = bare, one.prior = prior, one.loss = &again;
    CHECK(!nn_sampled_softmax(&one, NULL, &err));
    CHECK_NEAR(again, t.loss[0], 1e-6);
    for (int c = 0; c < 3; c++) CHECK_NEAR(bare[c], held[c], 1e-6);
}

/* The mean gradient over many samples, corrected by log q, is that of the whole softmax; without
 * the correction (or with the wrong sign) it is not. */
static double sampled_bias(float sign) {
    static const float chance[] = {1, .9f, .5f, .2f, .1f, .05f};
    double mean = 0, full = 0, s[6];
    unsigned long long seed = 5;
    rec_err err = {0};
    for (int c = 0; c < 6; c++) s[c] = (c % 3) * .5;
    for (int c = 0; c < 6; c++) full += exp(s[c]);
    for (int round = 0; round < 20000; round++) {
        float logit[6], log_q[6], loss, weight = 1;
        size_t n = 0, ptr[] = {0, 1};
        uint32_t col = 0;
        for (int c = 0; c < 6; c++) {
            if (unit_uniform(&seed) > chance[c]) continue;
            logit[n] = (float)s[c];
            log_q[n++] = sign * logf(chance[c]);
        }
        nn_sampled_args a = {logit, 1, n, ptr, &col, &weight, log_q, &loss, NULL};
        CHECK(!nn_sampled_softmax(&a, NULL, &err));
        mean += exp((double)loss) * exp(s[0]) / 20000; /* e^s0 + wrong */
    }
    return fabs(mean / full - 1);
}

/* ---- tables -------------------------------------------------------------------------------------- */

static void test_adam(void) {
    float w = 1, m = 0, v = 0, g = .5f;
    nn_adam a = NN_ADAM_USUAL(.1f);
    nn_moments x = {&w, &m, &v, &g, 1, 1};
    nn_adam_update(&a, &x);
    CHECK_NEAR(w, .9, 1e-6); /* the first step is the rate, whatever the gradient */
    double mm = .1 * .5, vv = .001 * .25;
    x.step = 2;
    g = -.25f;
    nn_adam_update(&a, &x);
    mm = .9 * mm - .1 * .25, vv = .999 * vv + .001 * .0625;
    double want = .9 - .1 * (mm / (1 - .81)) / sqrt(vv / (1 - .999 * .999));
    CHECK_NEAR(w, want, 1e-5);
    a.decay = .5f;
    g = 0, m = 0, v = 1, w = 2;
    nn_adam_update(&a, &x);
    CHECK_NEAR(w, 1.9, 1e-6); /* I1 */
    a.decay = 0, a.penalty = 1, v = 0, w = 2, x.step = 1;
    nn_adam_update(&a, &x);
    CHECK_NEAR(w, 1.9, 1e-6); /* the penalty is a gradient */
}

static void random_entries(nn_grad *g, size_t n, uint32_t n_rows, uint32_t n_from) {
    unsigned long long seed = 77;
    rec_err err = {0};
    CHECK(!nn_grad_begin(g, n, &err));
    for (size_t e = 0; e < n; e++)
        g->entry[e] = (nn_entry){(uint32_t)(unit_rand(&seed) % n_rows),
                                 (uint32_t)(unit_rand(&seed) % n_from),
                                 (float)unit_uniform(&seed)};
}

/* Sums by row are those of a plain loop, and steps are the same for any number of threads. */
static void test_table(void) {
    enum { n_rows = 900, n_from = 40, dim = 6, n = 5000 };
    rec_err err = {0};
    nn_table t[2], source;
    nn_grad g[2];
    nn_adam adam = NN_ADAM_USUAL(.01f);
    CHECK(!nn_table_init(&source, n_from, dim, 1, 5, &err));
    for (int k = 0; k < 2; k++) {
        rec_run run = {.n_threads = k ? 4 : 1};
        CHECK(!nn_table_init(&t[k], n_rows, dim, .1, 6, &err) &&
              !nn_grad_init(&g[k], n_rows, dim, &err));
        for (int step = 0; step < 3; step++) {
            random_entries(&g[k], n, n_rows, n_from);
            CHECK(!nn_grad_sum(&g[k], &source.w, &run, &err));
            CHECK(!nn_table_step(&t[k], &g[k], &adam, &run, &err));
        }
    }
    double *plain = rec_zeros((size_t)n_rows * dim, sizeof *plain);
    for (size_t e = 0; e < n; e++)
        for (uint32_t k = 0; k < dim; k++)
            plain[g[0].entry[e].row * dim + k] +=
                (double)g[0].entry[e].coef * mat_row(&source.w, g[0].entry[e].from)[k];
    double most = 0;
    for (size_t k = 0; k < g[0].n_touched; k++)
        for (uint32_t c = 0; c < dim; c++)
            most = fmax(most, fabs(mat_row(&g[0].sum, k)[c] -
                                   plain[g[0].touched[k] * dim + c]));
    CHECK(most < 1e-5 && g[0].n_touched == g[1].n_touched);
    for (uint32_t i = 0; i < n_rows; i++) {
        CHECK(memcmp(mat_row(&t[0].w, i), mat_row(&t[1].w, i), dim * 4) == 0);
        CHECK(g[0].head[i] == KEYS_NONE); /* I1 */
    }
    CHECK(!nn_table_step_all(&t[0], &t[1].w, &adam, NULL, &err));
    CHECK(memcmp(mat_row(&t[0].w, 1), mat_row(&t[1].w, 1), dim * 4) != 0);
    CHECK(!nn_grad_begin(&g[0], 0, &err) &&
          !nn_grad_sum(&g[0], &source.w, NULL, &err) && g[0].n_touched == 0);
    rec_free(plain);
    for (int k = 0; k < 2; k++) {
        nn_table_clear(&t[k]);
        nn_grad_clear(&g[k]);
    }
    nn_table_clear(&source);
}

/* ---- stored form, memory ----------------------------------------------------------------------------- */

static void test_stored(void) {
    rec_err err = {0};
    rng r;
    nn_dense l, copy;
    bytes_writer w = {0};
    rng_seed(&r, 4, 4);
    CHECK(!nn_dense_init(&l, 3, 2, &r, &err));
    nn_dense_write(&l, &w);
    bytes_reader all = {.data = w.data, .n = w.n};
    CHECK(!nn_dense_read(&all, &copy, &err) && all.at == w.n);
    CHECK(memcmp(copy.weight.w, l.weight.w, 6 * 4) == 0);
    nn_dense_clear(&copy);
    for (size_t cut = 0; cut < w.n; cut++) {
        bytes_reader part = {.data = w.data, .n = cut};
        CHECK(nn_dense_read(&part, &copy, &err) == REC_CORRUPT && !copy.weight.w);
    }
    memset(w.data + 8, 0xff, 4); /* not a number */
    bytes_reader bad = {.data = w.data, .n = w.n};
    CHECK(nn_dense_read(&bad, &copy, &err) == REC_CORRUPT);
    bytes_clear(&w);
    nn_dense_clear(&l);
}

static rec_status build_all(rec_err *err) {
    nn_table t = {0};
    nn_grad g = {0};
    nn_dense l = {0};
    nn_norm norm = {0};
    rng r;
    rng_seed(&r, 1, 1);
    rec_status st = nn_table_init(&t, 30, 4, 1, 1, err);
    if (!st) st = nn_grad_init(&g, 30, 4, err);
    if (!st) st = nn_grad_begin(&g, 10, err);
    for (uint32_t e = 0; !st && e < 10; e++) g.entry[e] = (nn_entry){e, e, 1};
    if (!st) st = nn_grad_sum(&g, &t.w, NULL, err);
    if (!st) st = nn_dense_init(&l, 4, 4, &r, err);
    if (!st) st = nn_norm_init(&norm, 4, err);
    nn_table_clear(&t);
    nn_grad_clear(&g);
    nn_dense_clear(&l);
    nn_norm_clear(&norm);
    return st;
}

int main(void) {
    UNIT_BEGIN("nn");
    alloc_install();
    rec_err err = {0};
    test_layers();
    test_learning();
    test_exp();
    test_losses();
    CHECK(sampled_bias(1) < .05);
    CHECK(sampled_bias(0) > .2);
    CHECK(sampled_bias(-1) > .2);
    test_adam();
    test_stored();
    ALLOC_LOOP(rc = build_all(&err));
    CHECK(unit_live == 0);
    static const rec_allocator libc = {malloc, realloc,
                                       free}; /* counting is not for threads */
    rec_set_allocator(&libc);
    test_table();
    return UNIT_END();
}
