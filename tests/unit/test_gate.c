/* Gates: calibrated lists, silence, the stored form, weights from questions with answers. */
#include "model_data.h"

#define N_ITEMS 40
#define N_LIST  12

typedef struct members {
    uint32_t item[3][N_LIST];
    float score[3][N_LIST];
    gate_list list[3];
    bool silent[3][N_ITEMS];
} members;

static bool knows(const void *ctx, size_t m, uint32_t item) {
    return !((const members *)ctx)->silent[m][item];
}

/* Member m names the items first[m], first[m] + 1, .. with scores that fall from `high[m]` by `step[m]`. */
static void fill(members *x, const uint32_t first[3], const float high[3],
                 const float step[3]) {
    memset(x, 0, sizeof *x);
    for (int m = 0; m < 3; m++) {
        for (uint32_t r = 0; r < N_LIST; r++) {
            x->item[m][r] = (first[m] + r) % N_ITEMS;
            x->score[m][r] = high[m] - step[m] * (float)r;
        }
        x->list[m] = (gate_list){x->item[m], x->score[m], N_LIST, 0};
    }
}

static gate_ask ask_of(const members *x) {
    gate_ask a = {
        .list = x->list, .n_member = 3, .history = 7, .knows = knows, .ctx = x};
    gate_prepare(&a);
    return a;
}

static hybrid_gate equal_gate(void) {
    hybrid_gate g = {.n_member = 3};
    for (int j = 0; j < GATE_N_X; j++) g.spread[j] = 1;
    return g;
}

static void test_calibrated(void) {
    const uint32_t first[] = {0, 4, 8};
    members x;
    rec_err err = {0};
    gate_found f, other;
    hybrid_gate g = equal_gate();
    fill(&x, first, (const float[]){1, 1, 1}, (const float[]){.01f, .01f, .01f});
    gate_ask a = ask_of(&x);
    CHECK(!gate_blend(&g, &a, &f, &err));
    CHECK(f.n == 20);
    for (size_t i = 1; i < f.n; i++) CHECK(f.item[i] > f.item[i - 1]);
    fill(&x, first, (const float[]){1, -500, 3e6f}, (const float[]){.01f, 8, 1e4f});
    a = ask_of(&x);
    CHECK(!gate_blend(&g, &a, &other, &err));
    CHECK(other.n == f.n);
    for (size_t i = 0; i < f.n; i++) CHECK_NEAR(other.score[i], f.score[i], 1e-3);
    gate_found_clear(&f);
    gate_found_clear(&other);
}

static void test_silence(void) {
    const uint32_t first[] = {0, 4, 8};
    members x;
    double w[3];
    hybrid_gate g = equal_gate();
    fill(&x, first, (const float[]){1, 1, 1}, (const float[]){.01f, .01f, .01f});
    g.bias[0] = log(2);
    gate_ask a = ask_of(&x);
    gate_weights(&g, &a, 5, w);
    CHECK_NEAR(w[0], .5, 1e-9);
    CHECK_NEAR(w[1] + w[2], .5, 1e-9);
    x.silent[0][5] = true;
    gate_weights(&g, &a, 5, w);
    CHECK(w[0] == 0);
    CHECK_NEAR(w[1], .5, 1e-9);
    x.list[1].n = x.list[2].n = 0;
    gate_weights(&g, &a, 5, w);
    CHECK(w[0] == 0 && w[1] == 0 && w[2] == 0);
    gate_weights(&g, &a, 6, w);
    CHECK(w[0] == 1);
    const double prior[] = {.5, 1, 1};
    x.list[1].n = N_LIST;
    a.prior = prior;
    gate_weights(&g, &a, 6, w);
    CHECK_NEAR(w[0], .5, 1e-9);
}

static void test_learned(void) {
    const uint32_t first[] = {0, 4, 8};
    members x;
    double few[3], many[3];
    hybrid_gate g = equal_gate();
    fill(&x, first, (const float[]){1, 1, 1}, (const float[]){.01f, .01f, .01f});
    gate_ask a = ask_of(&x);
    g.is_learned = true;
    g.coef[2][GATE_X_HISTORY] = -1;
    a.history = 1;
    gate_weights(&g, &a, 5, few);
    a.history = 500;
    gate_weights(&g, &a, 5, many);
    CHECK(few[2] > many[2] && few[0] < many[0]);
    CHECK_NEAR(few[0] + few[1] + few[2], 1, 1e-9);
}

static void test_stored(void) {
    hybrid_gate g = equal_gate(), back;
    rec_err err = {0};
    for (int learned = 0; learned < 2; learned++) {
        bytes_writer w = {0};
        g.is_learned = learned;
        g.bias[1] = -2.5;
        g.coef[1][GATE_X_AGE] = learned ? .25 : 0;
        gate_write(&g, &w);
        bytes_reader r = {.data = w.data, .n = w.n};
        CHECK(!gate_read(&r, &back, &err));
        CHECK(r.at == r.n && back.n_member == 3 && back.bias[1] == -2.5);
        CHECK(back.coef[1][GATE_X_AGE] == g.coef[1][GATE_X_AGE]);
        for (size_t n = 0; n < w.n; n++) {
            bytes_reader cut = {.data = w.data, .n = n};
            CHECK(gate_read(&cut, &back, &err) == REC_CORRUPT);
        }
        w.data[0] = 200; /* members */
        bytes_reader many = {.data = w.data, .n = w.n};
        CHECK(gate_read(&many, &back, &err) == REC_CORRUPT);
        bytes_clear(&w);
    }
    g.bias[0] = NAN;
    CHECK(gate_check(&g, &err) == REC_CORRUPT);
}

/* Member 1 knows what users with long histories take, member 2 what new ones do, member 0 nothing. */
static rec_status ask_many(gate_set **out, bool is_learned, uint32_t n, rec_err *err) {
    members x;
    rec_status s = REC_OK;
    *out = gate_set_new(3, is_learned);
    if (!*out) return rec_nomem(err);
    for (uint32_t q = 0; q < n && s == REC_OK; q++) {
        const uint32_t first[] = {q * 3, q * 11, q * 7 + 5};
        bool is_new = q % 2;
        fill(&x, first, (const float[]){1, 2, 3}, (const float[]){.1f, .1f, .1f});
        gate_ask a = ask_of(&x);
        a.history = is_new ? 1 + q % 3 : 50 + q % 30;
        uint32_t want = x.item[is_new ? 2 : 1][q % 3];
        s = gate_set_add(*out, &a, &want, 1, err);
    }
    return s;
}

static void test_fit(void) {
    gate_set *set;
    hybrid_gate g, again;
    gate_figures f, same;
    rec_err err = {0};
    for (int learned = 0; learned < 2; learned++) {
        rec_run run = {.n_threads = 3};
        CHECK(!ask_many(&set, learned, 300, &err));
        CHECK(gate_set_n(set) == 300);
        CHECK(!gate_fit(set, &g, &f, NULL, &err));
        CHECK(!gate_check(&g, &err));
        CHECK(f.ndcg >= f.best - 1e-9 && g.bias[1] > g.bias[0] &&
              g.bias[2] > g.bias[0]);
        CHECK(!gate_fit(set, &again, &same, &run, &err)); /* I1 */
        CHECK(memcmp(&g, &again, sizeof g) == 0 && f.ndcg == same.ndcg);
        if (learned) { /* the line tells the two kinds of users apart */
            CHECK(g.coef[1][GATE_X_HISTORY] - g.coef[1][GATE_X_NEW] >
                  g.coef[2][GATE_X_HISTORY] - g.coef[2][GATE_X_NEW]);
            CHECK(f.ndcg > .7);
        }
        gate_set_free(set);
    }
}

static void test_memory(void) {
    gate_set *set;
    hybrid_gate g;
    gate_figures f;
    rec_err err = {0};
    ALLOC_LOOP(rc = ask_many(&set, true, 40, &err); gate_set_free(set));
    CHECK(!ask_many(&set, false, 40, &err));
    ALLOC_LOOP(rc = gate_fit(set, &g, &f, NULL, &err));
    gate_set_free(set);
}

int main(void) {
    UNIT_BEGIN("gate");
    alloc_install();
    test_calibrated();
    test_silence();
    test_learned();
    test_stored();
    test_fit();
    test_memory();
    CHECK(unit_live == 0);
    return UNIT_END();
}
