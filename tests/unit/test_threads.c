/* Parallel loops: the same result for any number of threads, interrupts, failures. */
#include "unit.h"

#include <time.h>

#include "alloc.h"

enum { N = 100003 };
static float out_one[N], out_many[N];

typedef struct job {
    float *out;
    size_t fail_at; /* SIZE_MAX: nowhere */
    atomic_int n_pieces, max_worker;
} job;

static rec_status work(void *ctx, size_t begin, size_t end, int worker, rec_err *err) {
    job *j = ctx;
    float sum = 0;
    atomic_fetch_add(&j->n_pieces, 1);
    if (worker > atomic_load(&j->max_worker)) atomic_store(&j->max_worker, worker);
    for (size_t i = begin; i < end; i++) {
        sum += sinf((float)i); /* depends on where the piece begins */
        j->out[i] = sum;
        if (i == j->fail_at) return rec_fail(err, REC_RANGE, "value %zu", i);
    }
    return REC_OK;
}

static void test_same_bits(void) {
    static const size_t grains[] = {1000, 1, 0, 7, N, N + 1};
    for (size_t g = 0; g < 6; g++) {
        job one = {.out = out_one, .fail_at = SIZE_MAX};
        size_t n = grains[g] < 2 ? 3000 : N;
        CHECK(!threads_for(NULL, n, grains[g], work, &one, NULL));
        for (int t = 1; t <= 4; t++) {
            rec_run run = {.n_threads = t};
            job many = {.out = out_many, .fail_at = SIZE_MAX};
            memset(out_many, 0, sizeof out_many);
            CHECK(!threads_for(&run, n, grains[g], work, &many, NULL));
            CHECK(memcmp(out_one, out_many, n * sizeof(float)) == 0);
            CHECK(many.n_pieces == one.n_pieces && many.max_worker < t);
        }
    }
    CHECK(!threads_for(NULL, 0, 5, work, NULL, NULL));
}

static void test_failure(void) {
    for (int t = 1; t <= 3; t++) {
        rec_run run = {.n_threads = t};
        rec_err err = {0};
        job j = {.out = out_one, .fail_at = 50};
        CHECK(threads_for(&run, N, 100, work, &j, &err) == REC_RANGE);
        CHECK(err.code == REC_RANGE && strcmp(err.msg, "value 50") == 0);
        CHECK(threads_for(&run, N, 100, work, &j, NULL) == REC_RANGE);
    }
}

static int asked;
static bool yes_later(void *ctx) {
    (void)ctx;
    return ++asked > 3;
}

static rec_status slow(void *ctx, size_t begin, size_t end, int worker, rec_err *err) {
    struct timespec t = {0, 500000};
    (void)begin, (void)end, (void)worker, (void)err;
    atomic_fetch_add((atomic_int *)ctx, 1);
    nanosleep(&t, NULL);
    return REC_OK;
}

static void test_interrupt(void) {
    for (int t = 1; t <= 3; t++) {
        rec_run run = {.n_threads = t, .interrupted = yes_later};
        rec_err err = {0};
        atomic_int n = 0;
        asked = 0;
        CHECK(threads_for(&run, 100000, 1, slow, &n, &err) == REC_INTR);
        CHECK(asked == 4 && n < 1000 && err.code == REC_INTR);
        CHECK(run_check(&run, NULL) == REC_INTR && asked == 4); /* stays interrupted */
    }
    rec_run run = {.interrupted = yes_later};
    asked = 0;
    for (int i = 0; i < 100000; i++)
        if (run_check(&run, NULL)) break;
    CHECK(asked <= 100); /* not more than once a millisecond */
    CHECK(run_check(NULL, NULL) == REC_OK);
}

static double last_done;
static int n_logged;
static void see_progress(void *ctx, const char *phase, double done) {
    CHECK(ctx == &n_logged && strcmp(phase, "p") == 0);
    last_done = done;
}
static void see_log(void *ctx, const rec_log_row *row) {
    CHECK(ctx == &n_logged && row->epoch == 3);
    n_logged++;
}

int main(void) {
    UNIT_BEGIN("threads");
    test_same_bits();
    test_failure();
    test_interrupt();
    rec_run run = {.progress = see_progress, .log = see_log, .ctx = &n_logged};
    run_progress(&run, "p", 1.5);
    CHECK(last_done == 1);
    run_progress(&run, "p", -1);
    CHECK(last_done == 0);
    run_log(&run, &(rec_log_row){.epoch = 3});
    CHECK(n_logged == 1);
    run_progress(NULL, "p", 0), run_log(NULL, NULL);
    CHECK(run_threads(NULL) == 1 && run_threads(&run) >= 1);
    run.n_threads = 1000;
    CHECK(run_threads(&run) == THREADS_MAX);
    run.n_threads = -3;
    CHECK(run_threads(&run) == THREADS_MIN);
    double t = rec_seconds();
    CHECK(rec_seconds() >= t);
    return UNIT_END();
}
