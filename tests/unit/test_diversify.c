/* Lists chosen one by one against the objective of each method computed anew at every step, by definition. */
#include "unit.h"

#include "alloc.h"

enum { N = 60, ASPECTS = 7, STEPS = 25 };

typedef struct problem {
    float relevance[N], like[N][N];
    size_t start[N + 1];
    uint32_t aspect[N * ASPECTS];
    float part[N * ASPECTS];
    uint32_t cap[ASPECTS];
    double wish[ASPECTS];
} problem;

static bool has(const problem *p, uint32_t i, uint32_t a) {
    for (size_t j = p->start[i]; j < p->start[i + 1]; j++)
        if (p->aspect[j] == a) return true;
    return false;
}

static double part(const problem *p, uint32_t i, uint32_t a) {
    for (size_t j = p->start[i]; j < p->start[i + 1]; j++)
        if (p->aspect[j] == a) return (double)p->part[j];
    return 0;
}

static void make(problem *p, unsigned long long seed) {
    double sum = 0;
    memset(p, 0, sizeof *p);
    for (uint32_t i = 0; i < N; i++) {
        /* some ties */
        p->relevance[i] = (float)floor(unit_uniform(&seed) * 20) / 20;
        for (uint32_t j = 0; j < i; j++)
            p->like[i][j] = p->like[j][i] = (float)unit_uniform(&seed);
        p->start[i + 1] = p->start[i];
        for (uint32_t a = 0; a < ASPECTS; a++)
            if (unit_uniform(&seed) < .3) p->aspect[p->start[i + 1]++] = a;
        size_t n = p->start[i + 1] - p->start[i];
        for (size_t j = p->start[i]; j < p->start[i + 1]; j++)
            p->part[j] = i % 9 == 8 ? 0 : 1 / (float)n; /* some for the caps alone */
    }
    for (uint32_t a = 0; a < ASPECTS; a++) {
        p->wish[a] = a == 3 ? 0 : unit_uniform(&seed);
        p->cap[a] = 1 + (uint32_t)(unit_rand(&seed) % 6);
        sum += p->wish[a];
    }
    for (uint32_t a = 0; a < ASPECTS; a++) p->wish[a] /= sum;
}

static double kl(const problem *p, const uint32_t *list, size_t n) {
    double mix[ASPECTS] = {0}, total = 0, sum = 0;
    for (size_t j = 0; j < n; j++)
        for (uint32_t a = 0; a < ASPECTS; a++) {
            mix[a] += part(p, list[j], a);
            total += part(p, list[j], a);
        }
    for (uint32_t a = 0; a < ASPECTS; a++) {
        double q = total > 0 ? mix[a] / total : 0;
        if (p->wish[a] > 0)
            sum += p->wish[a] * log2(p->wish[a] / (.99 * q + .01 * p->wish[a]));
    }
    return sum;
}

/* What candidate i adds to the list, by definition. */
static double gain(const problem *p, diversify_method m, double l, uint32_t *list,
                   size_t n, uint32_t i) {
    double other = 0, x = (1 - l) * (double)p->relevance[i];
    if (l <= 0) return x;
    if (m == DIVERSIFY_MMR) {
        for (size_t j = 0; j < n; j++) other = fmax(other, (double)p->like[i][list[j]]);
        return x - l * other;
    }
    if (m == DIVERSIFY_CALIBRATED) {
        list[n] = i;
        return x - l * kl(p, list, n + 1);
    }
    for (uint32_t a = 0; a < ASPECTS; a++) {
        double left = p->wish[a] * part(p, i, a);
        for (size_t j = 0; j < n; j++) left *= 1 - part(p, list[j], a);
        other += left;
    }
    return x + l * other;
}

static bool fits(const problem *p, const uint32_t *list, size_t n, uint32_t i) {
    for (uint32_t a = 0; a < ASPECTS; a++) {
        uint32_t count = 0;
        for (size_t j = 0; j < n; j++) count += has(p, list[j], a);
        if (has(p, i, a) && count >= p->cap[a]) return false;
    }
    return true;
}

static rec_status alike(void *ctx, uint32_t chosen, const uint32_t *other, size_t n,
                        float *out, rec_err *err) {
    const problem *p = ctx;
    (void)err;
    for (size_t j = 0; j < n; j++) out[j] = p->like[chosen][other[j]];
    return REC_OK;
}

/* Every step takes a candidate of the greatest gain there is (gains are sums in another order: to rounding). */
static void check(problem *p, diversify_method m, double l, bool caps) {
    diversify_args args = {.method = m,
                           .lambda = l,
                           .n = N,
                           .relevance = p->relevance,
                           .alike = alike,
                           .ctx = p,
                           .aspect_start = p->start,
                           .aspect = p->aspect,
                           .part = p->part,
                           .n_aspect = ASPECTS,
                           .wish = p->wish,
                           .cap = caps ? p->cap : NULL};
    diversify d;
    uint32_t list[N + 1];
    bool more = true;
    int bad = 0;
    size_t n = 0;
    CHECK(diversify_init(&d, &args, NULL) == REC_OK);
    while (more && n < STEPS) {
        uint32_t chosen;
        double value, best = -INFINITY;
        size_t n_fit = 0;
        for (uint32_t i = 0; i < N; i++) {
            bool is_taken = false;
            for (size_t j = 0; j < n; j++) is_taken = is_taken || list[j] == i;
            if (is_taken || (caps && !fits(p, list, n, i))) continue;
            n_fit++;
            best = fmax(best, gain(p, m, l, list, n, i));
        }
        CHECK(diversify_next(&d, &chosen, &value, &more, NULL) == REC_OK);
        CHECK(more == (n_fit > 0));
        if (!more) break;
        bad += fabs(value - best) > 1e-9 ||
               fabs(gain(p, m, l, list, n, chosen) - best) > 1e-9;
        bad += caps && !fits(p, list, n, chosen);
        if (l <= 0 && !caps && n)
            bad += p->relevance[chosen] > p->relevance[list[n - 1]];
        list[n++] = chosen;
    }
    CHECK(bad == 0);
    diversify_clear(&d);
}

/* Without room at every place. */
static void check_memory(problem *p) {
    diversify_args args = {.method = DIVERSIFY_MMR,
                           .lambda = .5,
                           .n = N,
                           .relevance = p->relevance,
                           .alike = alike,
                           .ctx = p};
    for (long fail = 0; fail < 8; fail++) {
        diversify d;
        uint32_t chosen;
        double value;
        bool more;
        unit_countdown = fail;
        rec_status s = diversify_init(&d, &args, NULL);
        if (s == REC_OK) s = diversify_next(&d, &chosen, &value, &more, NULL);
        CHECK(s == (fail < 5 ? REC_NOMEM : REC_OK));
        unit_countdown = -1;
        diversify_clear(&d);
        CHECK(unit_live == 0);
    }
}

int main(void) {
    UNIT_BEGIN("diversify");
    alloc_install();
    static const double lambda[] = {0, .2, .5, 1};
    problem p;
    for (unsigned long long seed = 1; seed < 6; seed++) {
        make(&p, seed * 77);
        for (int m = DIVERSIFY_MMR; m <= DIVERSIFY_CALIBRATED; m++)
            for (int l = 0; l < 4; l++)
                for (int caps = 0; caps < 2; caps++)
                    check(&p, (diversify_method)m, lambda[l], caps);
    }
    check_memory(&p);
    diversify d; /* nobody to choose from */
    uint32_t chosen;
    double value;
    bool more;
    CHECK(diversify_init(&d, &(diversify_args){.n = 0}, NULL) == REC_OK);
    CHECK(diversify_next(&d, &chosen, &value, &more, NULL) == REC_OK && !more);
    diversify_clear(&d);
    return UNIT_END();
}
