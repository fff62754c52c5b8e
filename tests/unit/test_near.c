/* The index over item vectors: candidates, what may be proposed, the stored form, damage. */
#include "unit.h"

#include "alloc.h"

#include "../../ext/model/model.h"

enum { ROWS = 3000, DIM = 24, WANT = 100 };

static void fill(mat *m, size_t n, uint32_t dim) {
    unsigned long long s = 5;
    CHECK(!mat_init(m, n, dim, NULL));
    for (size_t i = 0; i < n; i++) {
        double length = 1 + 3 * unit_uniform(&s);
        for (uint32_t k = 0; k < dim; k++)
            mat_row(m, i)[k] =
                (float)(length * (unit_uniform(&s) - .5 + (i % 17 == k % 17)));
    }
}

static double value(const mat *m, vec_metric metric, size_t row, const float *x) {
    const float *r = mat_row(m, row);
    double dot = vec_kernels()->dot(r, x, m->dim);
    return metric == METRIC_IP ? dot : dot / vec_norm(r, m->dim);
}

/* Share of the ten best of `allowed` that are among the candidates. */
static double recall(const item_graph *near, const mat *m, vec_metric metric,
                     const bitmap *allowed) {
    uint32_t item[WANT];
    size_t hits = 0, all = 0, n;
    for (size_t q = 0; q < 40; q++) {
        const float *x = mat_row(m, q * 31 % m->n_rows);
        near_query nq = {.direction = x, .allowed = allowed, .n = WANT};
        CHECK(!near_find(near, &nq, item, &n, NULL));
        size_t may = allowed ? bitmap_count(allowed) : m->n_rows;
        CHECK(n == (may < WANT ? may : WANT));
        topk best;
        CHECK(!topk_init(&best, 10, NULL));
        for (size_t i = 0; i < m->n_rows; i++)
            if (!allowed || bitmap_has(allowed, i))
                topk_push(&best, (float)-value(m, metric, i, x), (uint32_t)i);
        for (size_t i = 0; i < n; i++) {
            if (allowed) CHECK(bitmap_has(allowed, item[i]));
            for (size_t b = 0; b < best.n; b++) hits += best.a[b].id == item[i];
        }
        all += best.n;
        topk_clear(&best);
    }
    return all ? (double)hits / (double)all : 1;
}

static void check_metric(vec_metric metric) {
    mat m;
    item_graph *near, *again;
    rec_run two = {.n_threads = 2};
    bytes_writer w = {0}, w2 = {0};
    fill(&m, ROWS, DIM);
    CHECK(!near_build(&m, metric, &two, &near, NULL));
    CHECK(near_n(near) == ROWS && near_nbyte(near) > ROWS * DIM);
    CHECK(recall(near, &m, metric, NULL) >= .97);
    static const size_t every[] = {2, 10, 100, 1000, 4000};
    for (size_t e = 0; e < sizeof every / sizeof every[0]; e++) {
        bitmap allowed;
        CHECK(!bitmap_init(&allowed, ROWS, false, NULL));
        for (size_t i = 1; i < ROWS; i += every[e]) bitmap_set(&allowed, i);
        CHECK(recall(near, &m, metric, &allowed) >= .97);
        bitmap_clear(&allowed);
    }
    CHECK(!near_save(near, &w, NULL));
    bytes_reader r = {.data = w.data, .n = w.n};
    CHECK(!near_load(&r, &m, metric, &again, NULL));
    CHECK(!near_check(again, NULL));
    CHECK(recall(again, &m, metric, NULL) >= .97);
    CHECK(!near_save(again, &w2, NULL));
    CHECK(w.n == w2.n && memcmp(w.data, w2.data, w.n) == 0);

    item_graph *one; /* threads do not matter */
    bytes_clear(&w2);
    memset(&w2, 0, sizeof w2);
    CHECK(!near_build(&m, metric, NULL, &one, NULL) && !near_save(one, &w2, NULL));
    CHECK(w.n == w2.n && memcmp(w.data, w2.data, w.n) == 0);
    near_free(one);

    CHECK(!mat_resize(&m, ROWS + 5, NULL)); /* new rows are found, too */
    for (size_t i = ROWS; i < ROWS + 5; i++)
        for (uint32_t k = 0; k < DIM; k++)
            mat_row(&m, i)[k] = 40 * (float)(k % 5 == i % 5);
    CHECK(!near_add(again, &m, NULL) && near_n(again) == ROWS + 5);
    CHECK(recall(again, &m, metric, NULL) >= .97);
    uint32_t item[10];
    size_t n;
    near_query q = {.direction = mat_row(&m, ROWS + 2), .n = 10};
    CHECK(!near_find(again, &q, item, &n, NULL) && n == 10 && item[0] == ROWS + 2);
    near_free(again);
    near_free(near);
    bytes_clear(&w);
    bytes_clear(&w2);
    mat_clear(&m);
}

static void check_damage(void) {
    mat m;
    item_graph *near, *again;
    bytes_writer w = {0};
    fill(&m, 200, 8);
    CHECK(!near_build(&m, METRIC_IP, NULL, &near, NULL) && !near_save(near, &w, NULL));
    for (size_t n = 0; n < w.n; n += n < 40 ? 1 : 37) {
        bytes_reader r = {.data = w.data, .n = n};
        CHECK(near_load(&r, &m, METRIC_IP, &again, NULL) == REC_CORRUPT && !again);
    }
    size_t sound = 0;
    for (size_t i = 0; i < w.n; i += 3) {
        w.data[i] ^= 0x15;
        bytes_reader r = {.data = w.data, .n = w.n};
        rec_status st = near_load(&r, &m, METRIC_IP, &again, NULL);
        CHECK(st == REC_OK || st == REC_CORRUPT);
        if (st == REC_OK) sound += recall(again, &m, METRIC_IP, NULL) >= 0;
        near_free(again);
        w.data[i] ^= 0x15;
    }
    bytes_reader r = {.data = w.data, .n = w.n};
    CHECK(near_load(&r, &m, METRIC_COSINE, &again, NULL) == REC_CORRUPT);
    near_free(near);
    bytes_clear(&w);
    mat_clear(&m);
}

static bool say_yes(void *ctx) {
    (void)ctx;
    return true;
}

int main(void) {
    UNIT_BEGIN("near");
    check_metric(METRIC_IP);
    check_metric(METRIC_COSINE);
    check_damage();

    mat m;
    item_graph *near = NULL, *again = NULL;
    alloc_install();
    fill(&m, 150, 8);
    rec_run stopped = {.n_threads = 1, .interrupted = say_yes};
    CHECK(near_build(&m, METRIC_IP, &stopped, &near, NULL) == REC_INTR && !near);
    ALLOC_LOOP(rc = near_build(&m, METRIC_IP, NULL, &near, NULL); near_free(near););
    ALLOC_LOOP(bytes_writer w = {0}; uint32_t item[20]; size_t n; again = NULL;
               near_query q = {.direction = mat_row(&m, 3), .n = 20};
               rc = near_build(&m, METRIC_IP, NULL, &near, NULL);
               if (!rc) rc = near_save(near, &w, NULL);
               bytes_reader r = {.data = w.data, .n = w.n};
               if (!rc) rc = near_load(&r, &m, METRIC_IP, &again, NULL);
               if (!rc) rc = near_find(again, &q, item, &n, NULL); near_free(near);
               near_free(again); bytes_clear(&w););
    mat_clear(&m);
    CHECK(unit_live == 0);
    return UNIT_END();
}
