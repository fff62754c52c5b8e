/* cf.c - one algorithm on the Gowalla split, without SQLite: fit, rank everything, one CSV line.
 *
 *   cf [--data DIR] [--valid] [--threads N] [--seed N] [--every N] ALGORITHM [option=value ...]
 *   cf ... --grow N ALGORITHM [option=value ...]
 *
 *   cf --rmse [--data DIR] [--threads N] ALGORITHM [option=value ...]
 *
 *   cf --reference [--every N] [--threads N] als [option=value ...]
 *
 *   cf --copies N [--threads N] ALGORITHM [option=value ...]
 *
 *   algorithm,options,recall@20,ndcg@20,fit_s,score_s,model_bytes,saved_bytes,fit_cpu_s,score_cpu_s
 *
 * DIR (default ../shared/data/gowalla) holds train.txt and test.txt, a line per user: `user item
 * item ...`. Protocol: every item is a candidate but those of the user's training rows, recall =
 * hits / |test|, NDCG with the ideal over min(20, |test|), mean over the users with test rows,
 * equal scores in the order of a hash of the item. A user is what their training rows say, folded
 * in at query time, as in SQL.
 *
 * --valid   train without the last tenth of each user's rows (rounded up, in the order of the
 *           file; a lone row stays in training) and test on that tenth; test.txt is not read.
 * --one     asks for one user after the other, where batches would be faster.
 * --every N evaluates every N-th user only.
 * --grow N  fits without the last N percent of the rows of a random choice of rows, then again
 *           with all of them and the first model as `previous`; prints the second fit, then the
 *           fit from nothing, and a third line: the share of top 20 on which the two agree.
 * --reference  als beside the same objective solved by a Cholesky of every row, on the same data
 *           and threads (als_reference.c): seconds and CPU seconds of both, how many times faster,
 *           and the largest difference of a score over the largest score. With --every also the
 *           readable solver in double precision, on one thread.
 * --copies N  how cost grows: N copies of the training rows with their own users and items, of
 *           which one row in eight goes to the item of another copy, so that degrees stay as they
 *           are and the graph is one. A line algorithm,options,interactions,users,items,fit_s,
 *           fit_cpu_s,bytes_while_fitting,model_bytes; bytes count the interactions too.
 * --rmse    explicit ratings: DIR (default ../shared/data/ml-latest-small) holds ratings.csv. Five
 *           folds, the fold of a row a hash of its user and its place in the file; each is
 *           predicted from the four others. Lines `name,options,rmse`: the mean of all ratings, the
 *           mean of the item (5 ratings of the mean of all added), biases of users and items (the
 *           same added, twenty alternating sweeps), the algorithm, and its time for all folds.
 */
#include "../../ext/model/model.h"

#undef malloc
#undef calloc
#undef realloc
#undef free
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TOP 20

typedef struct rows {
    interaction *a;
    size_t n, cap;
} rows;
typedef struct setup {
    const char *dir, *algorithm;
    bool valid, rmse, reference, one;
    int threads;
    size_t every, grow, copies;
    uint64_t seed;
} setup;
typedef struct lists { /* what the evaluator compares, and what it finds */
    const rec_model *m;
    const dataset *d;
    const size_t *test_ptr;
    const uint32_t *test;
    float *score;          /* [threads x n_items] */
    uint32_t *top;         /* [n_users x TOP] */
    double *recall, *ndcg; /* [n_users] */
    size_t every;
} lists;

static void die(const char *what, const rec_err *err) {
    fprintf(stderr, "cf: %s%s%s\n", what, err ? ": " : "", err ? err->msg : "");
    exit(1);
}
static void *room(size_t nbyte) {
    void *p = calloc(nbyte + 1, 1);
    if (!p) die("out of memory", NULL);
    return p;
}

/* ---- data ------------------------------------------------------------------------------- */

static void add_row(rows *r, uint32_t user, uint32_t item) {
    if (r->n == r->cap) {
        r->cap = r->cap * 2 + 1024;
        r->a = realloc(r->a, r->cap * sizeof *r->a);
        if (!r->a) die("out of memory", NULL);
    }
    r->a[r->n++] = (interaction){user, item, 1, 1, NAN};
}

static rows read_rows(const char *dir, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    if (!f) die(path, NULL);
    rows r = {0};
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, f) > 0) {
        char *at, *end;
        uint32_t user = (uint32_t)strtoul(line, &at, 10);
        for (; at != line; at = end) {
            uint32_t item = (uint32_t)strtoul(at, &end, 10);
            if (end == at) break;
            add_row(&r, user, item);
        }
    }
    free(line);
    fclose(f);
    return r;
}

/* Moves the last tenth of each user's rows from train to held; rows of a user are adjacent. */
static void hold_out(rows *train, rows *held) {
    size_t kept = 0;
    for (size_t i = 0, j; i < train->n; i = j) {
        for (j = i; j < train->n && train->a[j].user == train->a[i].user;) j++;
        size_t n_held = j - i > 1 ? (j - i + 9) / 10 : 0;
        for (size_t k = i; k < j; k++) {
            if (k < j - n_held)
                train->a[kept++] = train->a[k];
            else
                add_row(held, train->a[k].user, train->a[k].item);
        }
    }
    train->n = kept;
}

static void count_keys(const rows *r, uint32_t *n_users, uint32_t *n_items) {
    for (size_t i = 0; i < r->n; i++) {
        if (r->a[i].user >= *n_users) *n_users = r->a[i].user + 1;
        if (r->a[i].item >= *n_items) *n_items = r->a[i].item + 1;
    }
}

/* Rows are sorted in place: they must not be used afterwards. */
static void build(rows *r, uint32_t n_users, uint32_t n_items, dataset *d) {
    rec_err err = {0};
    signal_spec s = {
        .feedback = FEEDBACK_IMPLICIT, .since = NAN, .until = NAN, .half_life = NAN};
    if (dataset_build(&s, r->a, r->n, n_users, n_items, d, &err)) die("data", &err);
}

/* ---- evaluation ---------------------------------------------------------------------------- */

static model_query query_of(const dataset *d, uint32_t u) {
    size_t at = d->ptr[u];
    return (model_query){.item = d->item + at,
                         .weight = d->weight + at,
                         .value = d->value + at,
                         .time = d->time + at,
                         .n = d->ptr[u + 1] - at};
}

static bool is_before(float a, uint32_t i, float b, uint32_t j) {
    if (a != b) return a > b;
    uint64_t x = rec_mix(i + 1), y = rec_mix(j + 1);
    return x != y ? x < y : i < j;
}

/* The first TOP items by score; items of the query are left out. Returns how many there are. */
static size_t best_items(const model_query *q, const float *score, uint32_t n,
                         uint32_t *top) {
    size_t n_top = 0, seen = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (seen < q->n && q->item[seen] == i) {
            seen++;
            continue;
        }
        if (n_top == TOP && !is_before(score[i], i, score[top[TOP - 1]], top[TOP - 1]))
            continue;
        size_t at = n_top < TOP ? n_top++ : TOP - 1;
        for (; at > 0 && is_before(score[i], i, score[top[at - 1]], top[at - 1]); at--)
            top[at] = top[at - 1];
        top[at] = i;
    }
    return n_top;
}

static rec_status evaluate_users(void *ctx, size_t begin, size_t end, int worker,
                                 rec_err *err) {
    lists *l = ctx;
    float *score = l->score + (size_t)worker * l->d->n_items;
    for (size_t u = begin; u < end; u++) {
        l->recall[u] = l->ndcg[u] = NAN;
        size_t n_test = l->test_ptr[u + 1] - l->test_ptr[u];
        if (n_test == 0 || u % l->every) continue;
        model_query q = query_of(l->d, (uint32_t)u);
        rec_status st = l->m->ops->score(l->m, &q, NULL, l->d->n_items, score, err);
        if (st) return st;
        uint32_t *top = l->top + u * TOP;
        size_t n_top = best_items(&q, score, l->d->n_items, top);
        metrics_at(top, n_top, l->test + l->test_ptr[u], n_test, TOP, &l->recall[u],
                   &l->ndcg[u]);
    }
    return REC_OK;
}

/* place[i]: rank of item i by the hash of is_before; item[]: the other way round. */
static int by_hash(const void *a, const void *b, void *ctx) {
    (void)ctx;
    return is_before(0, *(const uint32_t *)a, 0, *(const uint32_t *)b) ? -1 : 1;
}

#define BLOCK 512 /* users of one call of best */

/* The same lists by the way of batches, for algorithms that have one. */
static void evaluate_blocks(lists *l, rec_run *run) {
    const dataset *d = l->d;
    rec_err err = {0};
    uint32_t *item = room(sizeof *item * d->n_items),
             *place = room(sizeof *place * d->n_items), user[BLOCK];
    model_query q[BLOCK];
    bitmap allowed[BLOCK];
    topk found[BLOCK];
    for (uint32_t i = 0; i < d->n_items; i++) item[i] = i;
    rec_sort(item, d->n_items, sizeof *item, by_hash, NULL);
    for (uint32_t i = 0; i < d->n_items; i++) place[item[i]] = i;
    for (uint32_t u = 0; u < d->n_users;) {
        size_t n = 0;
        for (; u < d->n_users && n < BLOCK; u++) {
            l->recall[u] = l->ndcg[u] = NAN;
            if (l->test_ptr[u + 1] == l->test_ptr[u] || u % l->every) continue;
            q[n] = query_of(d, u);
            if (bitmap_init(&allowed[n], d->n_items, true, &err) ||
                topk_init(&found[n], TOP, &err))
                die("score", &err);
            for (size_t j = 0; j < q[n].n; j++) bitmap_unset(&allowed[n], q[n].item[j]);
            user[n++] = u;
        }
        model_best b = {q, allowed, place, found, n};
        if (l->m->ops->best(l->m, &b, run, &err)) die("best", &err);
        for (size_t k = 0; k < n; k++) {
            uint32_t *top = l->top + (size_t)user[k] * TOP;
            size_t from = l->test_ptr[user[k]], to = l->test_ptr[user[k] + 1];
            topk_sort(&found[k]);
            for (size_t r = 0; r < found[k].n; r++) top[r] = item[found[k].a[r].id];
            metrics_at(top, found[k].n, l->test + from, to - from, TOP,
                       &l->recall[user[k]], &l->ndcg[user[k]]);
            topk_clear(&found[k]);
            bitmap_clear(&allowed[k]);
        }
    }
    free(item);
    free(place);
}

static double mean(const double *x, size_t n) {
    double sum = 0, count = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i])) sum += x[i], count++;
    return count > 0 ? sum / count : 0;
}

static size_t saved_bytes(const rec_model *m) {
    bytes_writer w = {0};
    rec_err err = {0};
    if (m->ops->save(m, &w, &err)) die("save", &err);
    size_t n = w.n;
    bytes_clear(&w);
    return n;
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct cost {
    double seconds, cpu;
} cost;

static rec_model *fit(const setup *s, const dataset *d, const model_options *o,
                      const rec_model *previous, cost *spent) {
    rec_run run = {.n_threads = s->threads};
    rec_err err = {0};
    rec_model *m = NULL;
    model_fit_args a = {
        .data = d, .options = o, .seed = s->seed, .previous = previous, .run = &run};
    double start = rec_seconds(), cpu = cpu_seconds();
    if (model_algorithm(s->algorithm)->fit(&a, &m, &err)) die("fit", &err);
    *spent = (cost){rec_seconds() - start, cpu_seconds() - cpu};
    return m;
}

/* Ranks for all users and prints the line. */
static void report(const setup *s, lists *l, const char *options, cost fitted) {
    rec_run run = {.n_threads = s->threads};
    rec_err err = {0};
    double start = rec_seconds(), cpu = cpu_seconds();
    if (l->m->ops->best && !s->one)
        evaluate_blocks(l, &run);
    else if (threads_for(&run, l->d->n_users, 64, evaluate_users, l, &err))
        die("score", &err);
    double seconds = rec_seconds() - start;
    cpu = cpu_seconds() - cpu;
    printf("%s,%s,%.5f,%.5f,%.2f,%.2f,%zu,%zu,%.2f,%.2f\n", s->algorithm, options,
           mean(l->recall, l->d->n_users), mean(l->ndcg, l->d->n_users), fitted.seconds,
           seconds, l->m->ops->nbyte(l->m), saved_bytes(l->m), fitted.cpu, cpu);
    fflush(stdout);
}

/* ---- the two ways to measure ------------------------------------------------------------------ */

static void measure(const setup *s, const model_options *o, const char *options,
                    rows *train, const dataset *test) {
    dataset d;
    cost spent, again;
    rec_model *old = NULL;
    if (s->grow) {
        rows most = {0};
        rng r;
        rng_seed(&r, s->seed, 1);
        for (size_t i = 0; i < train->n; i++)
            if (rng_below(&r, 100) >= s->grow)
                add_row(&most, train->a[i].user, train->a[i].item);
        build(&most, test->n_users, test->n_items, &d);
        old = fit(s, &d, o, NULL, &spent);
        dataset_clear(&d);
        free(most.a);
    }
    build(train, test->n_users, test->n_items, &d);
    lists l = {.d = &d,
               .test_ptr = test->ptr,
               .test = test->item,
               .every = s->every,
               .score = room(sizeof(float) * (size_t)s->threads * d.n_items),
               .top = room(sizeof(uint32_t) * d.n_users * TOP),
               .recall = room(sizeof(double) * d.n_users),
               .ndcg = room(sizeof(double) * d.n_users)};
    rec_model *m = fit(s, &d, o, old, &spent);
    l.m = m;
    report(s, &l, options, spent);
    m->ops->close(m);
    if (s->grow) {
        uint32_t *top = l.top;
        size_t both = 0, all = 0;
        l.top = room(sizeof(uint32_t) * d.n_users * TOP);
        m = fit(s, &d, o, NULL, &again);
        l.m = m;
        report(s, &l, options, again);
        for (size_t u = 0; u < d.n_users; u++)
            for (size_t i = 0; i < TOP && !isnan(l.recall[u]); i++, all++)
                for (size_t j = 0; j < TOP; j++)
                    both += top[u * TOP + i] == l.top[u * TOP + j];
        printf("overlap@20,%.4f,share of cpu time,%.3f\n", (double)both / (double)all,
               spent.cpu / again.cpu);
        free(top);
        m->ops->close(m);
        old->ops->close(old);
    }
    dataset_clear(&d);
    free(l.score);
    free(l.top);
    free(l.recall);
    free(l.ndcg);
}

/* ---- als beside a Cholesky of every row -------------------------------------------------------- */

typedef rec_status (*fit_fn)(const model_fit_args *a, rec_model **out, rec_err *err);

/* Largest difference of a score over the largest score, of a hundred users. */
static double difference(const rec_model *m, const rec_model *other, const dataset *d) {
    rec_err err = {0};
    float *x = room(sizeof *x * d->n_items), *y = room(sizeof *y * d->n_items);
    double most = 0, largest = 0;
    for (uint32_t u = 0; u < d->n_users; u += d->n_users / 100 + 1) {
        model_query q = query_of(d, u);
        if (m->ops->score(m, &q, NULL, d->n_items, x, &err) ||
            other->ops->score(other, &q, NULL, d->n_items, y, &err))
            die("score", &err);
        for (uint32_t i = 0; i < d->n_items; i++) {
            most = fmax(most, fabs((double)x[i] - y[i]));
            largest = fmax(largest, fabs(y[i]));
        }
    }
    free(x);
    free(y);
    return most / largest;
}

static void measure_reference(const setup *s, const model_options *o,
                              const char *options, const rows *train,
                              uint32_t n_items) {
    static const char *const name[] = {"every row by Cholesky", "in double precision"};
    static const fit_fn rival[] = {als_fit_cholesky, als_fit_reference};
    rows some = {0};
    dataset d;
    rec_err err = {0};
    for (size_t i = 0; i < train->n; i++)
        if (train->a[i].user % s->every == 0)
            add_row(&some, train->a[i].user / (uint32_t)s->every, train->a[i].item);
    build(&some, some.n ? some.a[some.n - 1].user + 1 : 0, n_items, &d);
    cost fast, slow;
    rec_model *m = fit(s, &d, o, NULL, &fast), *plain = NULL;
    printf("als,%s,%.2f,%.2f\n", options, fast.seconds, fast.cpu);
    for (int k = 0; k < (s->every > 1 ? 2 : 1); k++) {
        rec_run run = {.n_threads = s->threads};
        model_fit_args a = {.data = &d, .options = o, .seed = s->seed, .run = &run};
        double start = rec_seconds(), cpu = cpu_seconds();
        if (rival[k](&a, &plain, &err)) die("reference", &err);
        slow = (cost){rec_seconds() - start, cpu_seconds() - cpu};
        printf("%s,%s,%.2f,%.2f,times,%.2f,difference,%.1e\n", name[k], options,
               slow.seconds, slow.cpu, slow.cpu / fast.cpu, difference(m, plain, &d));
        plain->ops->close(plain);
    }
    m->ops->close(m);
    dataset_clear(&d);
    free(some.a);
}

/* ---- how cost grows ---------------------------------------------------------------------------------- */

#define COUNT_HEAD 16 /* keeps the alignment of malloc */
#define FAR_ONE_IN 8
static atomic_size_t count_held, count_most;

static void *count_block(void *p, size_t nbyte) {
    if (!p) return NULL;
    size_t now = atomic_fetch_add(&count_held, nbyte) + nbyte,
           most = atomic_load(&count_most);
    while (now > most && !atomic_compare_exchange_weak(&count_most, &most, now))
        continue;
    memcpy(p, &nbyte, sizeof nbyte);
    return (char *)p + COUNT_HEAD;
}
static void *count_start(void *p) {
    size_t nbyte;
    char *start = (char *)p - COUNT_HEAD;
    memcpy(&nbyte, start, sizeof nbyte);
    atomic_fetch_sub(&count_held, nbyte);
    return start;
}
static void *count_alloc(size_t nbyte) {
    return count_block(malloc(nbyte + COUNT_HEAD), nbyte);
}
static void *count_resize(void *p, size_t nbyte) {
    if (!p) return count_alloc(nbyte);
    size_t old;
    memcpy(&old, (char *)p - COUNT_HEAD, sizeof old);
    void *moved = realloc((char *)p - COUNT_HEAD, nbyte + COUNT_HEAD);
    if (moved) atomic_fetch_sub(&count_held, old);
    return count_block(moved, nbyte);
}
static void count_release(void *p) {
    if (p) free(count_start(p));
}

static void measure_copies(const setup *s, const model_options *o, const char *options,
                           const rows *train, uint32_t n_users, uint32_t n_items) {
    static const rec_allocator counting = {count_alloc, count_resize, count_release};
    rows r = {0};
    rng random;
    dataset d;
    uint32_t n = (uint32_t)s->copies;
    rng_seed(&random, s->seed, 2);
    r.a = room(sizeof *r.a * train->n * n);
    r.cap = train->n * n;
    for (uint32_t c = 0; c < n; c++)
        for (size_t i = 0; i < train->n; i++) {
            uint32_t to =
                rng_below(&random, FAR_ONE_IN) ? c : (uint32_t)rng_below(&random, n);
            add_row(&r, train->a[i].user + c * n_users,
                    train->a[i].item + to * n_items);
        }
    rec_set_allocator(&counting);
    build(&r, n_users * n, n_items * n, &d);
    free(r.a);
    atomic_store(&count_most, atomic_load(&count_held));
    cost spent;
    rec_model *m = fit(s, &d, o, NULL, &spent);
    printf("%s,%s,%zu,%u,%u,%.2f,%.2f,%zu,%zu\n", s->algorithm, options, d.n, d.n_users,
           d.n_items, spent.seconds, spent.cpu, atomic_load(&count_most),
           m->ops->nbyte(m));
    m->ops->close(m);
    dataset_clear(&d);
}

/* ---- explicit ratings ---------------------------------------------------------------------------- */

#define FOLDS     5
#define PRIOR     5 /* ratings of the mean that are added */
#define BIAS_RUNS 20
enum { BY_MEAN, BY_ITEM, BY_BIASES, BY_MODEL, N_BY };

/* Users and items are numbered as they come. */
static uint32_t number_of(uint32_t **map, size_t *cap, uint32_t key, uint32_t *n) {
    if (key >= *cap) {
        size_t more = (size_t)key * 2 + 1024;
        *map = realloc(*map, more * sizeof **map);
        if (!*map) die("out of memory", NULL);
        memset(*map + *cap, 0, (more - *cap) * sizeof **map);
        *cap = more;
    }
    if (!(*map)[key]) (*map)[key] = ++*n;
    return (*map)[key] - 1;
}

static rows read_ratings(const char *dir, uint32_t *n_users, uint32_t *n_items) {
    char path[4096], line[256];
    snprintf(path, sizeof path, "%s/ratings.csv", dir);
    FILE *f = fopen(path, "r");
    if (!f) die(path, NULL);
    uint32_t *user = NULL, *item = NULL;
    size_t user_cap = 0, item_cap = 0;
    rows r = {0};
    while (fgets(line, sizeof line, f)) {
        unsigned u, i;
        float value;
        double time;
        if (sscanf(line, "%u,%u,%f,%lf", &u, &i, &value, &time) != 4) continue;
        add_row(&r, number_of(&user, &user_cap, u, n_users),
                number_of(&item, &item_cap, i, n_items));
        r.a[r.n - 1].value = value;
        r.a[r.n - 1].time = time;
    }
    free(user);
    free(item);
    fclose(f);
    return r;
}

/* bias[row] = damped mean of what the other side leaves over. */
static void fit_bias(const rows *r, const bool *is_train, double mean, bool of_users,
                     const double *other, double *bias, size_t n) {
    double *count = room(n * sizeof *count);
    for (size_t k = 0; k < n; k++) bias[k] = 0, count[k] = PRIOR;
    for (size_t j = 0; j < r->n; j++) {
        const interaction *a = &r->a[j];
        if (!is_train[j]) continue;
        size_t k = of_users ? a->user : a->item, l = of_users ? a->item : a->user;
        bias[k] += a->value - mean - (other ? other[l] : 0);
        count[k]++;
    }
    for (size_t k = 0; k < n; k++) bias[k] /= count[k];
    free(count);
}

static double model_prediction(const rec_model *m, const dataset *d,
                               const interaction *a) {
    rec_err err = {0};
    float score;
    model_query q = query_of(d, a->user);
    if (m->ops->score(m, &q, &a->item, 1, &score, &err)) die("score", &err);
    return score;
}

/* Adds the squares of the errors on one fold. */
static double run_fold(const setup *s, const model_options *o, const rows *r, int fold,
                       const uint32_t n[2], double square[N_BY]) {
    rows part = {0};
    bool *is_train = room(r->n);
    double mean = 0, *user = room(n[0] * sizeof *user),
           *item = room(n[1] * sizeof *item), *alone = room(n[1] * sizeof *alone);
    signal_spec spec = {.feedback = FEEDBACK_EXPLICIT,
                        .has_value = true,
                        .has_time = true,
                        .since = NAN,
                        .until = NAN,
                        .half_life = NAN};
    for (size_t j = 0; j < r->n; j++) {
        is_train[j] =
            rec_mix(((uint64_t)r->a[j].user << 32) + j) % FOLDS != (uint64_t)fold;
        if (!is_train[j]) continue;
        add_row(&part, 0, 0);
        part.a[part.n - 1] = r->a[j];
        mean += r->a[j].value;
    }
    mean /= (double)part.n;
    fit_bias(r, is_train, mean, false, NULL, alone, n[1]);
    for (int k = 0; k < BIAS_RUNS; k++) {
        fit_bias(r, is_train, mean, true, item, user, n[0]);
        fit_bias(r, is_train, mean, false, user, item, n[1]);
    }
    dataset d;
    rec_err err = {0};
    if (dataset_build(&spec, part.a, part.n, n[0], n[1], &d, &err)) die("data", &err);
    cost spent;
    rec_model *m = fit(s, &d, o, NULL, &spent);
    for (size_t j = 0; j < r->n; j++) {
        const interaction *a = &r->a[j];
        if (is_train[j]) continue;
        const double guess[N_BY] = {mean, mean + alone[a->item],
                                    mean + user[a->user] + item[a->item],
                                    model_prediction(m, &d, a)};
        for (int k = 0; k < N_BY; k++) square[k] += pow(guess[k] - a->value, 2);
    }
    m->ops->close(m);
    dataset_clear(&d);
    free(part.a);
    free(is_train);
    free(user);
    free(item);
    free(alone);
    return spent.seconds;
}

static void measure_rmse(const setup *s, const model_options *o, const char *options) {
    static const char *const name[] = {"mean", "item mean", "biases"};
    uint32_t n[2] = {0, 0};
    double square[N_BY] = {0}, seconds = 0;
    rows r = read_ratings(s->dir, &n[0], &n[1]);
    for (int fold = 0; fold < FOLDS; fold++)
        seconds += run_fold(s, o, &r, fold, n, square);
    for (int k = 0; k < BY_MODEL; k++)
        printf("%s,,%.4f\n", name[k], sqrt(square[k] / (double)r.n));
    printf("%s,%s,%.4f,%.2f\n", s->algorithm, options,
           sqrt(square[BY_MODEL] / (double)r.n), seconds);
    free(r.a);
}

static const char usage[] =
    "usage: cf [--data DIR] [--valid] [--one] [--rmse] [--reference] [--threads N] "
    "[--seed N] [--every N] [--grow N] [--copies N] "
    "ALGORITHM [option=value ...]";

static int read_flags(int argc, char **argv, setup *s) {
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--valid") == 0) {
            s->valid = true;
            continue;
        }
        if (strcmp(argv[i], "--one") == 0) {
            s->one = true;
            continue;
        }
        if (strcmp(argv[i], "--reference") == 0) {
            s->reference = true;
            continue;
        }
        if (strcmp(argv[i], "--rmse") == 0) {
            s->rmse = true;
            continue;
        }
        if (i + 1 >= argc) die(usage, NULL);
        const char *name = argv[i], *value = argv[++i];
        size_t number = strtoul(value, NULL, 10);
        if (strcmp(name, "--data") == 0)
            s->dir = value;
        else if (strcmp(name, "--threads") == 0 && number >= 1 && number <= THREADS_MAX)
            s->threads = (int)number;
        else if (strcmp(name, "--seed") == 0)
            s->seed = number;
        else if (strcmp(name, "--every") == 0 && number >= 1)
            s->every = number;
        else if (strcmp(name, "--copies") == 0 && number >= 1 && number <= 100)
            s->copies = number;
        else if (strcmp(name, "--grow") == 0 && number <= 50)
            s->grow = number;
        else
            die(usage, NULL);
    }
    if (i >= argc) die(usage, NULL);
    s->algorithm = argv[i];
    return i + 1;
}

int main(int argc, char **argv) {
    setup s = {.threads = 2, .every = 1, .seed = 1};
    int i = read_flags(argc, argv, &s);
    const rec_model_ops *ops = model_algorithm(s.algorithm);
    if (!ops || !ops->fit) die("there is no such algorithm to fit", NULL);
    model_options o;
    options_init(&o, ops->options, ops->n_options);
    bytes_writer text = {0};
    for (; i < argc; i++) {
        rec_err err = {0};
        bool known;
        char *eq = strchr(argv[i], '=');
        if (!eq) die(usage, NULL);
        bytes_printf(&text, "%s%s", text.n ? " " : "", argv[i]);
        *eq = 0;
        if (options_set(&o, argv[i], eq + 1, &known, &err)) die("option", &err);
        if (!known) die(argv[i], NULL);
    }
    char *options = bytes_take_text(&text);
    if (!s.dir)
        s.dir = s.rmse ? "../shared/data/ml-latest-small" : "../shared/data/gowalla";
    if (s.rmse) {
        measure_rmse(&s, &o, options ? options : "");
        rec_free(options);
        options_clear(&o);
        return 0;
    }
    rows train = read_rows(s.dir, "train.txt"), held = {0};
    if (s.copies) {
        uint32_t n[2] = {0, 0};
        count_keys(&train, &n[0], &n[1]);
        measure_copies(&s, &o, options ? options : "", &train, n[0], n[1]);
        return 0;
    }
    if (s.valid)
        hold_out(&train, &held);
    else
        held = read_rows(s.dir, "test.txt");
    uint32_t n_users = 0, n_items = 0;
    count_keys(&train, &n_users, &n_items);
    count_keys(&held, &n_users, &n_items);
    dataset test;
    build(&held, n_users, n_items, &test);
    if (s.reference)
        measure_reference(&s, &o, options ? options : "", &train, n_items);
    else
        measure(&s, &o, options ? options : "", &train, &test);
    rec_free(options);
    options_clear(&o);
    dataset_clear(&test);
    free(held.a);
    free(train.a);
    return 0;
}
