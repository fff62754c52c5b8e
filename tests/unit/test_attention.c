/* Attention, dropout and the encoder: gradients against finite differences, causality, threads, bytes. */
#include "unit.h"

#include "../../ext/nn/nn.h"

#define DIM  4
#define ROWS 6

typedef double (*loss_fn)(void *ctx);
static void check_gradient(loss_fn loss, void *ctx, float *x, const float *g,
                           size_t n) {
    const float h = 1e-3f;
    for (size_t i = 0; i < n; i++) {
        float was = x[i];
        x[i] = was + h;
        double up = loss(ctx);
        x[i] = was - h;
        double down = loss(ctx);
        x[i] = was;
        double slope = (up - down) / (2 * (double)h);
        CHECK_NEAR(g[i], slope, 5e-3 + 2e-2 * fabs(slope));
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

/* ---- attention ------------------------------------------------------------------------------ */

typedef struct attention_case {
    nn_attention_args a;
    float qkv[ROWS * 3 * DIM], y[ROWS * DIM], c[ROWS * DIM];
} attention_case;

static double attention_loss(void *ctx) {
    attention_case *t = ctx;
    rec_err err = {0};
    CHECK(!nn_attention_forward(&t->a, t->y, NULL, &err));
    return weighted(t->y, t->c, ROWS * DIM);
}

static void test_attention(void) {
    static const size_t ptr[] = {0, 3, 4, 6};
    attention_case t;
    rec_err err = {0};
    float d[ROWS * 3 * DIM], before[ROWS * DIM];
    fill(t.qkv, ROWS * 3 * DIM, 1);
    fill(t.c, ROWS * DIM, 2);
    for (uint32_t n_heads = 1; n_heads <= 2; n_heads++)
        for (int k = 0; k < 2; k++) {
            t.a = (nn_attention_args){t.qkv, ptr, 3, DIM, n_heads, k ? .4f : 0, 7};
            CHECK(!nn_attention_backward(&t.a, t.c, d, NULL, &err));
            check_gradient(attention_loss, &t, t.qkv, d, ROWS * 3 * DIM);
        }
    /* A later row changes nothing before it, and nothing of other sequences. */
    t.a.dropout = 0;
    attention_loss(&t);
    memcpy(before, t.y, sizeof before);
    fill(t.qkv + (size_t)2 * 3 * DIM, (size_t)3 * DIM, 9);
    attention_loss(&t);
    CHECK(memcmp(before, t.y, 2 * DIM * sizeof(float)) == 0);
    CHECK(memcmp(before + 2 * DIM, t.y + 2 * DIM, DIM * sizeof(float)) != 0);
    CHECK(memcmp(before + 3 * DIM, t.y + 3 * DIM, 3 * DIM * sizeof(float)) == 0);
    /* A row alone is its own value. */
    for (size_t k = 0; k < DIM; k++)
        CHECK_NEAR(t.y[3 * DIM + k], t.qkv[(size_t)3 * 3 * DIM + 2 * DIM + k], 1e-6);
}

static void test_dropout(void) {
    static float x[20000], y[20000];
    double sum = 0;
    size_t n_zero = 0;
    for (size_t i = 0; i < 20000; i++) x[i] = y[i] = 1;
    nn_dropout(x, 20000, .3f, 5);
    nn_dropout(y, 20000, .3f, 5);
    CHECK(memcmp(x, y, sizeof x) == 0);
    for (size_t i = 0; i < 20000; i++) {
        sum += (double)x[i];
        n_zero += x[i] == 0;
    }
    CHECK_NEAR(sum / 20000, 1, .03);
    CHECK_NEAR((double)n_zero / 20000, .3, .02);
    nn_dropout(y, 20000, 0, 5);
    CHECK(memcmp(x, y, sizeof x) == 0);
}

/* ---- encoder ---------------------------------------------------------------------------------- */

typedef struct encoder_case {
    nn_encoder e;
    nn_batch b;
    nn_tape tape;
    float x[ROWS * DIM], c[ROWS * DIM];
    const float *out;
    rec_run *run;
} encoder_case;

static double encoder_loss(void *ctx) {
    encoder_case *t = ctx;
    rec_err err = {0};
    CHECK(!nn_encoder_forward(&t->e, &t->b, &t->tape, &t->out, t->run, &err));
    return weighted(t->out, t->c, ROWS * DIM);
}

static void start_case(encoder_case *t, const size_t *ptr, float dropout) {
    rec_err err = {0};
    rng r;
    rng_seed(&r, 3, 3);
    nn_encoder_shape s = {DIM, 2, 2, 4};
    memset(t, 0, sizeof *t);
    CHECK(!nn_encoder_init(&t->e, &s, &r, &err));
    fill(t->x, ROWS * DIM, 5);
    fill(t->c, ROWS * DIM, 6);
    t->b = (nn_batch){.x = t->x, .ptr = ptr, .n_seq = 3, .dropout = dropout, .seed = 8};
}

static void end_case(encoder_case *t) {
    nn_encoder_clear(&t->e);
    nn_tape_clear(&t->tape);
}

static void test_encoder(float dropout) {
    static const size_t ptr[] = {0, 4, 5, 6};
    encoder_case t;
    rec_err err = {0};
    float dx[ROWS * DIM];
    nn_param *p[NN_MAX_PARAMS];
    start_case(&t, ptr, dropout);
    encoder_loss(&t);
    CHECK(!nn_encoder_backward(&t.e, &t.b, &t.tape, t.c, dx, NULL, &err));
    check_gradient(encoder_loss, &t, t.x, dx, ROWS * DIM);
    size_t n = nn_encoder_params(&t.e, p);
    CHECK(n == 3 + 12 * 2);
    for (size_t k = 0; k < n; k++)
        check_gradient(encoder_loss, &t, p[k]->w, p[k]->g, p[k]->n);
    end_case(&t);
}

static void test_threads(void) {
    static const size_t ptr[] = {0, 4, 5, 6};
    encoder_case t;
    rec_err err = {0};
    rec_run run = {.n_threads = 3};
    float out[ROWS * DIM], dx[ROWS * DIM], again[ROWS * DIM];
    start_case(&t, ptr, .3f);
    encoder_loss(&t);
    memcpy(out, t.out, sizeof out);
    CHECK(!nn_encoder_backward(&t.e, &t.b, &t.tape, t.c, dx, NULL, &err));
    t.run = &run;
    encoder_loss(&t);
    CHECK(memcmp(out, t.out, sizeof out) == 0);
    CHECK(!nn_encoder_backward(&t.e, &t.b, &t.tape, t.c, again, &run, &err));
    CHECK(memcmp(dx, again, sizeof dx) == 0);
    end_case(&t);
}

/* One sequence alone gives the newest row; bytes give the same encoder. */
static void test_alone_and_bytes(void) {
    static const size_t ptr[] = {0, 4, 5, 6};
    encoder_case t;
    rec_err err = {0};
    float one[DIM], again[DIM];
    start_case(&t, ptr, 0);
    encoder_loss(&t);
    CHECK(!nn_encode_one(&t.e, t.x, 4, one, &err));
    for (size_t k = 0; k < DIM; k++) CHECK_NEAR(one[k], t.out[3 * DIM + k], 1e-5);
    bytes_writer w = {0};
    nn_encoder_write(&t.e, &w);
    bytes_reader r = {.data = w.data, .n = w.n};
    nn_encoder copy;
    CHECK(!nn_encoder_read(&r, &copy, &err));
    CHECK(!nn_encode_one(&copy, t.x, 4, again, &err));
    CHECK(memcmp(one, again, sizeof one) == 0);
    CHECK(nn_encoder_nbyte(&copy) > w.n);
    nn_encoder_clear(&copy);
    for (size_t n = 0; n < w.n; n += 37) {
        r = (bytes_reader){.data = w.data, .n = n};
        CHECK(nn_encoder_read(&r, &copy, &err) == REC_CORRUPT);
    }
    bytes_clear(&w);
    end_case(&t);
}

static void test_refused(void) {
    rec_err err = {0};
    rng r;
    rng_seed(&r, 1, 1);
    nn_encoder e;
    CHECK(nn_encoder_init(&e, &(nn_encoder_shape){10, 3, 1, 5}, &r, &err) == REC_RANGE);
    CHECK(nn_encoder_init(&e, &(nn_encoder_shape){8, 2, 0, 5}, &r, &err) == REC_RANGE);
    CHECK(nn_encoder_init(&e, &(nn_encoder_shape){8, 2, 1, 100000}, &r, &err) ==
          REC_RANGE);
}

int main(void) {
    UNIT_BEGIN("attention");
    test_attention();
    test_dropout();
    test_encoder(0);
    test_encoder(.3f);
    test_threads();
    test_alone_and_bytes();
    test_refused();
    return UNIT_END();
}
