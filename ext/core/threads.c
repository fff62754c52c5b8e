/* threads.c - parallel loops, interrupts, progress and log.
 *
 *     threads_for(n, grain)      pieces  |0..g)|g..2g)|2g..3g)| ... |..n)|
 *                                            \     |     /
 *                         one counter, taken from by the caller and by n_threads-1 workers
 *
 * Pieces are cut in one way, whatever the number of threads, and a piece writes only to
 * its own places: results are the same bit for bit for any number of threads, although the
 * order in which pieces run is not.
 *
 * Threads live for one loop only. A pool would have to survive fork(), dlclose() and the
 * end of the host's main thread; starting a thread costs about 20 us, which pieces of
 * milliseconds do not feel.
 *
 * Invariants
 *   I1  Callbacks of the host (interrupted, progress, log) run on the calling thread only.
 *   I2  Workers block all signals: the host's handlers run on the host's threads.
 *   I3  Every worker has been joined when threads_for returns, also after a failure.
 *   I4  The host is asked for interrupts at most once a millisecond, and once it has said
 *       yes it is not asked again: every later run_check of this run fails too.
 *
 * The system interface is the section "system" below and nothing else.
 */
#include "core.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ASK_EVERY_NS 1000000u

/* ---- system ---------------------------------------------------------------------------- */

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long processor_count(void) {
    return sysconf(_SC_NPROCESSORS_ONLN);
}

typedef pthread_t system_thread;

static bool system_start(system_thread *t, void *(*fn)(void *), void *arg) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the new thread (I2) */
    int rc = pthread_create(t, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

static void system_join(system_thread t) {
    pthread_join(t, NULL);
}

void rec_want_large_pages(void *p, size_t nbyte) {
#ifdef MADV_HUGEPAGE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)p + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)p + nbyte) & ~(page - 1);
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)p, (void)nbyte;
#endif
}

/* ---- what the host is told and asked -------------------------------------------------------- */

double rec_seconds(void) {
    return (double)clock_ns() * 1e-9;
}

rec_status run_check(rec_run *run, rec_err *err) {
    if (!run) return REC_OK;
    if (!atomic_load_explicit(&run->stop, memory_order_relaxed)) {
        if (!run->interrupted) return REC_OK;
        uint64_t now = clock_ns();
        if (now < run->next_ns) return REC_OK;
        run->next_ns = now + ASK_EVERY_NS;
        if (!run->interrupted(run->ctx)) return REC_OK;
        atomic_store_explicit(&run->stop, 1, memory_order_relaxed);
    }
    return rec_fail(err, REC_INTR, "interrupted");
}

void run_progress(rec_run *run, const char *phase, double done) {
    if (!run || !run->progress) return;
    run->progress(run->ctx, phase, done < 0 ? 0 : done > 1 ? 1 : done);
}

void run_log(rec_run *run, const rec_log_row *row) {
    if (run && run->log) run->log(run->ctx, row);
}

int run_threads(const rec_run *run) {
    if (!run) return 1;
    long n = run->n_threads == THREADS_DEFAULT ? processor_count() : run->n_threads;
    return n < THREADS_MIN ? THREADS_MIN : n > THREADS_MAX ? THREADS_MAX : (int)n;
}

/* ---- the loop -------------------------------------------------------------------------------- */

typedef struct loop {
    size_t n, grain, n_pieces;
    threads_fn fn;
    void *ctx;
    atomic_size_t next; /* piece */
    atomic_int stop;
    atomic_int failed; /* whoever turns it to 1 first owns `first` */
    rec_err first;
} loop;

typedef struct worker {
    loop *loop;
    int number;
    system_thread thread;
} worker;

/* Runs one piece; false when there is nothing more to do. */
static bool loop_step(loop *l, int number) {
    if (atomic_load_explicit(&l->stop, memory_order_relaxed)) return false;
    size_t piece = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
    if (piece >= l->n_pieces) return false;
    size_t begin = piece * l->grain, left = l->n - begin;
    rec_err e = {.code = REC_OK};
    rec_status rc =
        l->fn(l->ctx, begin, begin + (left < l->grain ? left : l->grain), number, &e);
    if (rc == REC_OK) return true;
    if (!atomic_exchange(&l->failed, 1)) {
        l->first = e;
        l->first.code = rc; /* a status without a message is a failure, too */
    }
    atomic_store_explicit(&l->stop, 1, memory_order_relaxed);
    return false;
}

static void *worker_main(void *arg) {
    worker *w = arg;
    while (loop_step(w->loop, w->number)) {
    }
    return NULL;
}

static rec_status loop_run_here(loop *l, rec_run *run, rec_err *err) {
    rec_status rc = run_check(run, err);
    while (!rc && loop_step(l, 0)) rc = run_check(run, err);
    if (rc) atomic_store_explicit(&l->stop, 1, memory_order_relaxed);
    return rc;
}

rec_status threads_for(rec_run *run, size_t n, size_t grain, threads_fn fn, void *ctx,
                       rec_err *err) {
    worker w[THREADS_MAX];
    if (n == 0) return run_check(run, err);
    if (grain == 0) grain = 1;
    loop l = {
        .n = n, .grain = grain, .n_pieces = (n - 1) / grain + 1, .fn = fn, .ctx = ctx};
    int n_threads = run_threads(run), n_started = 0;
    if ((size_t)n_threads > l.n_pieces) n_threads = (int)l.n_pieces;
    while (n_started < n_threads - 1) {
        w[n_started] = (worker){.loop = &l, .number = n_started + 1};
        if (!system_start(&w[n_started].thread, worker_main, &w[n_started])) break;
        n_started++;
    }
    rec_status rc = loop_run_here(&l, run, err);
    for (int i = 0; i < n_started; i++) system_join(w[i].thread); /* I3 */
    if (!rc && atomic_load(&l.failed)) {
        rc = l.first.code;
        if (err) *err = l.first;
    }
    return rc;
}
