/* hnsw_bench.c - the graph index alone, from C: build time, recall, queries a second.
 *
 *   hnsw_bench gen DIR N DIM N_QUERY [SKEW]  vectors like text embeddings: base, query, truth
 *   hnsw_bench run DIR [option=value ...] codes=int8 threads=2 m=16 efc=200 efs=16,24,40
 *
 * gen: 1,000 centres in a latent space of 32 dimensions, each vector a centre moved by LATENT
 * in it, projected to DIM, plus isotropic noise, scaled to unit length; with SKEW lengths are
 * lognormal with that spread, for metric=ip. Files are bare
 * little-endian arrays; hnsw_peer.cpp reads the same ones. One CSV line a figure. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../ext/index/index.h"
#undef malloc
#undef free

#define N_CENTRES 1000
#define N_LATENT  32
#define LATENT    0.85
#define NOISE     0.15
#define K         10

static void *need(void *p) {
    if (!p) exit((fprintf(stderr, "out of memory\n"), 1));
    return p;
}

static void *read_file(const char *dir, const char *name, size_t *n) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f) exit((fprintf(stderr, "cannot read %s\n", path), 1));
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    void *p = need(malloc(*n));
    if (fread(p, 1, *n, f) != *n) exit(1);
    fclose(f);
    return p;
}

static void write_file(const char *dir, const char *name, const void *p, size_t n) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, n, f) != n)
        exit((fprintf(stderr, "cannot write %s\n", path), 1));
    fclose(f);
}

/* ---- data ----------------------------------------------------------------------------------- */

static void make_vectors(float *x, size_t n, uint32_t dim, const float *centre,
                         const float *project, rng *r) {
    float z[N_LATENT];
    for (size_t i = 0; i < n; i++) {
        const float *c = centre + (size_t)rng_below(r, N_CENTRES) * N_LATENT;
        for (int j = 0; j < N_LATENT; j++)
            z[j] = c[j] + (float)(LATENT * rng_normal(r));
        for (uint32_t d = 0; d < dim; d++) {
            float v = 0;
            for (int j = 0; j < N_LATENT; j++)
                v += z[j] * project[(size_t)d * N_LATENT + j];
            x[i * dim + d] = v + (float)(NOISE * rng_normal(r));
        }
        vec_normalize(x + i * dim, dim);
    }
}

typedef struct truth_job {
    const float *base, *query;
    uint32_t *out;
    size_t n;
    uint32_t dim;
} truth_job;

static rec_status truth_piece(void *ctx, size_t begin, size_t end, int worker,
                              rec_err *err) {
    truth_job *j = ctx;
    (void)worker;
    for (size_t q = begin; q < end; q++) {
        topk best;
        if (topk_init(&best, K, err)) return REC_NOMEM;
        for (size_t i = 0; i < j->n; i++)
            topk_push(&best,
                      -vec_kernels()->dot(j->query + q * j->dim, j->base + i * j->dim,
                                          j->dim),
                      (uint32_t)i);
        topk_sort(&best);
        for (int k = 0; k < K; k++) j->out[q * K + (size_t)k] = best.a[k].id;
        topk_clear(&best);
    }
    return REC_OK;
}

static int gen(const char *dir, size_t n, uint32_t dim, size_t n_query, double skew) {
    rng r;
    rng_seed(&r, 42, 0);
    float *centre = need(malloc(N_CENTRES * N_LATENT * sizeof(float)));
    float *project = need(malloc((size_t)dim * N_LATENT * sizeof(float)));
    for (int i = 0; i < N_CENTRES * N_LATENT; i++) centre[i] = (float)rng_normal(&r);
    for (size_t i = 0; i < (size_t)dim * N_LATENT; i++)
        project[i] = (float)(rng_normal(&r) / 5.65685424949238);
    float *base = need(malloc(n * dim * sizeof(float)));
    float *query = need(malloc(n_query * dim * sizeof(float)));
    uint32_t *truth = need(malloc(n_query * K * sizeof *truth));
    make_vectors(base, n, dim, centre, project, &r);
    make_vectors(query, n_query, dim, centre, project, &r);
    for (size_t i = 0; skew > 0 && i < n; i++) {
        float length = (float)exp(skew * rng_normal(&r));
        for (uint32_t d = 0; d < dim; d++) base[i * dim + d] *= length;
    }
    truth_job job = {base, query, truth, n, dim};
    rec_run run = {.n_threads = 2};
    if (threads_for(&run, n_query, 8, truth_piece, &job, NULL)) return 1;
    uint32_t head[3] = {(uint32_t)n, dim, (uint32_t)n_query};
    write_file(dir, "head", head, sizeof head);
    write_file(dir, "base", base, n * dim * sizeof(float));
    write_file(dir, "query", query, n_query * dim * sizeof(float));
    write_file(dir, "truth", truth, n_query * K * sizeof *truth);
    return 0;
}

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct bench {
    float *base, *query;
    uint32_t *truth;
    size_t n, n_query;
    uint32_t dim;
    rec_index *ix;
} bench;

static const char *option(int argc, char **argv, const char *name,
                          const char *fallback) {
    size_t n = strlen(name);
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') return argv[i] + n + 1;
    return fallback;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Processor time: on a shared machine it says more than the clock on the wall. */
static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double ask_all(bench *b, uint32_t ef, double *recall) {
    size_t n_hit = 0;
    double begin = cpu_seconds();
    for (size_t q = 0; q < b->n_query; q++) {
        index_query iq = {.vector = b->query + q * b->dim, .k = K, .ef = ef};
        index_search *s;
        uint32_t slot;
        float d;
        rec_status rc;
        if (b->ix->ops->search(b->ix, &iq, &s, NULL)) exit(1);
        for (int k = 0; k < K && b->ix->ops->next(s, &slot, &d, &rc, NULL); k++)
            for (int t = 0; t < K; t++) n_hit += b->truth[q * K + (size_t)t] == slot;
        b->ix->ops->end(s);
    }
    double seconds = cpu_seconds() - begin;
    *recall = (double)n_hit / (double)(b->n_query * K);
    return (double)b->n_query / seconds;
}

static void run_efs(bench *b, const char *efs, int n_repeat) {
    while (*efs) {
        char *end;
        uint32_t ef = (uint32_t)strtoul(efs, &end, 10);
        double qps[32], recall = 0;
        for (int i = 0; i < n_repeat; i++) qps[i] = ask_all(b, ef, &recall);
        qsort(qps, (size_t)n_repeat, sizeof *qps, by_value);
        printf("rec,ef=%u,recall,%.4f,qps,%.0f\n", ef, recall, qps[n_repeat / 2]);
        fflush(stdout);
        efs = *end == ',' ? end + 1 : end;
    }
}

/* ---- filters: independent of the query, near to it, far from it --------------------------------- */

static size_t ask(const bench *b, const index_query *q, uint32_t *slot,
                  double *seconds) {
    index_search *s;
    float d;
    rec_status rc;
    size_t n = 0;
    double begin = cpu_seconds();
    if (b->ix->ops->search(b->ix, q, &s, NULL)) exit(1);
    while (n < K && b->ix->ops->next(s, &slot[n], &d, &rc, NULL)) n++;
    b->ix->ops->end(s);
    *seconds += cpu_seconds() - begin;
    return n;
}

/* order: all rows by distance from the query. */
static void set_filter(bitmap *f, int how, double share, const uint32_t *order,
                       size_t n, rng *r) {
    size_t want = (size_t)((double)n * share), half = want * 2 < n ? want * 2 : n;
    memset(f->word, 0, (n + 63) / 64 * 8);
    for (size_t i = 0; i < want; i++)
        bitmap_set(f, how == 0   ? rng_below(r, (uint32_t)n)
                      : how == 1 ? order[rng_below(r, (uint32_t)half)]
                                 : order[n - 1 - i]);
}

static void run_filters(bench *b, uint32_t ef, size_t n_query) {
    static const double share[] = {0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001};
    static const char *const how_name[] = {"independent", "correlated",
                                           "anti-correlated"};
    rng r;
    rng_seed(&r, 1, 0);
    bitmap f;
    if (bitmap_init(&f, b->n, false, NULL)) exit(1);
    uint32_t *order = need(malloc(b->n * sizeof *order));
    for (int how = 0; how < 3; how++)
        for (size_t t = 0; t < sizeof share / sizeof *share; t++) {
            double fast = 0, exact = 0;
            size_t n_hit = 0, n_true = 0;
            for (size_t i = 0; i < n_query; i++) {
                index_query q = {
                    .vector = b->query + i * b->dim, .k = b->n, .ef = UINT32_MAX};
                index_search *s;
                float d;
                rec_status rc;
                size_t n = 0;
                if (how) {
                    if (b->ix->ops->search(b->ix, &q, &s, NULL)) exit(1);
                    while (n < b->n && b->ix->ops->next(s, &order[n], &d, &rc, NULL))
                        n++;
                    b->ix->ops->end(s);
                }
                set_filter(&f, how, share[t], order, b->n, &r);
                uint32_t want[K], got[K];
                q.allowed = &f;
                q.k = K;
                size_t nt = ask(b, &q, want, &exact);
                q.ef = ef;
                size_t ng = ask(b, &q, got, &fast);
                n_true += nt;
                for (size_t x = 0; x < ng; x++)
                    for (size_t y = 0; y < nt; y++) n_hit += got[x] == want[y];
            }
            printf("rec,filter,%s,share,%.3f,recall,%.4f,us,%.0f,exact_us,%.0f\n",
                   how_name[how], share[t], (double)n_hit / (double)n_true,
                   fast / (double)n_query * 1e6, exact / (double)n_query * 1e6);
            fflush(stdout);
        }
    free(order);
    bitmap_clear(&f);
}

static uint32_t n_chunks(const bench *b) {
    return (uint32_t)((b->n + INDEX_CHUNK - 1) / INDEX_CHUNK);
}

static void save_graph(const bench *b, const char *dir) {
    bytes_writer all = {0};
    for (uint32_t c = 0; c < n_chunks(b); c++) {
        bytes_writer w = {0};
        if (b->ix->ops->save(b->ix, c, &w, NULL)) exit(1);
        bytes_put_str(&all, (const char *)w.data, w.n);
        bytes_clear(&w);
    }
    write_file(dir, "graph", all.data, all.n);
    printf("rec,saved_bytes_per_row,%.0f\n", (double)all.n / (double)b->n);
    bytes_clear(&all);
}

static void load_graph(bench *b, const char *dir) {
    bytes_reader all = {0};
    all.data = read_file(dir, "graph", &all.n);
    double begin = rec_seconds();
    for (uint32_t c = 0; c < n_chunks(b); c++) {
        bytes_reader r = {0};
        r.data = (const uint8_t *)bytes_get_str(&all, &r.n);
        if (b->ix->ops->load(b->ix, c, &r, NULL)) exit(1);
    }
    if (b->ix->ops->ready(b->ix, NULL)) exit(1);
    printf("rec,load_s,%.3f\n", rec_seconds() - begin);
}

/* ---- one row at a time -------------------------------------------------------------------------- */

static void report(const char *what, double *us, size_t n) {
    qsort(us, n, sizeof *us, by_value);
    printf("rec,%s_us,p50,%.0f,p99,%.0f,p99.9,%.0f\n", what, us[n / 2],
           us[n * 99 / 100], us[n * 999 / 1000]);
}

/* Rows are removed and added again with one link() of one node each; recall before and after
 * is left to run_efs. */
static void run_changes(bench *b, size_t n) {
    double *gone = need(malloc(n * sizeof *gone)), *put = need(malloc(n * sizeof *put));
    rng r;
    rng_seed(&r, 3, 0);
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = rng_below(&r, (uint32_t)b->n);
        double t0 = cpu_seconds();
        if (b->ix->ops->remove(b->ix, slot, NULL)) exit(1);
        double t1 = cpu_seconds();
        if (b->ix->ops->add(b->ix, slot, b->base + (size_t)slot * b->dim, NULL))
            exit(1);
        if (b->ix->ops->link(b->ix, 1, NULL, NULL)) exit(1);
        double t2 = cpu_seconds();
        gone[i] = (t1 - t0) * 1e6, put[i] = (t2 - t1) * 1e6;
    }
    report("remove", gone, n);
    report("add_link", put, n);
    free(gone);
    free(put);
}

/* Half of the rows removed, then added and linked again. */
static void run_halves(bench *b) {
    rec_run r = {.n_threads = 2};
    double t0 = cpu_seconds();
    for (uint32_t i = 0; i < b->n; i += 2)
        if (b->ix->ops->remove(b->ix, i, NULL)) exit(1);
    double t1 = cpu_seconds();
    for (uint32_t i = 0; i < b->n; i += 2)
        if (b->ix->ops->add(b->ix, i, b->base + (size_t)i * b->dim, NULL)) exit(1);
    if (b->ix->ops->link(b->ix, SIZE_MAX, &r, NULL)) exit(1);
    printf("rec,halves,remove_cpu_s,%.2f,relink_cpu_s,%.2f\n", t1 - t0,
           cpu_seconds() - t1);
}

static int run(const char *dir, int argc, char **argv) {
    bench b = {0};
    size_t n_byte;
    uint32_t *head = read_file(dir, "head", &n_byte);
    b.dim = head[1];
    b.base = read_file(dir, "base", &n_byte);
    size_t n_all = n_byte / (b.dim * sizeof(float));
    b.query = read_file(dir, "query", &n_byte);
    b.n_query = n_byte / (b.dim * sizeof(float));
    b.truth = read_file(dir, "truth", &n_byte);
    b.n = strtoul(option(argc, argv, "n", "0"), NULL, 10);
    if (b.n == 0 || b.n > n_all) b.n = n_all;
    const char *nq = option(argc, argv, "queries", "0");
    if (strtoul(nq, NULL, 10)) b.n_query = strtoul(nq, NULL, 10);
    index_cfg cfg = {
        .dim = b.dim,
        .metric = strcmp(option(argc, argv, "metric", "cosine"), "ip") ? METRIC_COSINE
                                                                       : METRIC_IP,
        .codes = option(argc, argv, "codes", "int8"),
        .m = (uint32_t)atoi(option(argc, argv, "m", "16")),
        .ef_construction = (uint32_t)atoi(option(argc, argv, "efc", "200"))};
    rec_err err;
    if (hnsw_ops.open(&b.ix, &cfg, &err)) exit((fprintf(stderr, "%s\n", err.msg), 1));
    double t0 = rec_seconds();
    for (size_t i = 0; i < b.n; i++)
        if (b.ix->ops->add(b.ix, (uint32_t)i, b.base + i * b.dim, &err)) return 1;
    double t1 = rec_seconds();
    rec_run r = {.n_threads = atoi(option(argc, argv, "threads", "2"))};
    if (option(argc, argv, "load", NULL))
        load_graph(&b, dir);
    else if (b.ix->ops->link(b.ix, SIZE_MAX, &r, &err))
        return 1;
    if (option(argc, argv, "save", NULL)) save_graph(&b, dir);
    double t2 = rec_seconds();
    index_stats st;
    b.ix->ops->stats(b.ix, &st);
    printf("rec,add_s,%.2f,build_s,%.2f,threads,%d,bytes_per_row,%.0f,levels,%d\n",
           t1 - t0, t2 - t1, run_threads(&r), (double)st.nbyte / (double)st.n_rows,
           st.n_levels);
    fflush(stdout);
    const char *efs = option(argc, argv, "efs", "16,24,40,80");
    size_t n_changes = strtoul(option(argc, argv, "changes", "0"), NULL, 10);
    if (n_changes) run_changes(&b, n_changes);
    if (option(argc, argv, "halves", NULL)) {
        run_efs(&b, efs, 1);
        run_halves(&b);
    }
    uint32_t filter_ef = (uint32_t)atoi(option(argc, argv, "filter", "0"));
    if (filter_ef) run_filters(&b, filter_ef, 40);
    run_efs(&b, efs, atoi(option(argc, argv, "repeat", "3")));
    b.ix->ops->close(b.ix);
    return 0;
}

int main(int argc, char **argv) {
    if (argc >= 6 && strcmp(argv[1], "gen") == 0)
        return gen(argv[2], strtoul(argv[3], NULL, 10), (uint32_t)atoi(argv[4]),
                   strtoul(argv[5], NULL, 10), argc > 6 ? atof(argv[6]) : 0);
    if (argc >= 3 && strcmp(argv[1], "run") == 0)
        return run(argv[2], argc - 3, argv + 3);
    fprintf(
        stderr,
        "usage: hnsw_bench gen DIR N DIM N_QUERY [SKEW] | run DIR option=value ...\n");
    return 2;
}
