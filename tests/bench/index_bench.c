/* index_bench.c - the vector index beside its peers: one program, one process, one clock.
 *
 *   index_bench make DIR rows=100000 dim=256 queries=10000     data like text embeddings, and the truth
 *   index_bench make-als DIR train=FILE dim=64 queries=10000   factors of items, queries: users
 *   index_bench CASE DIR lib=rec.so [name=value ...]           build queries flat filter cold insert halves
 *
 *     index_data     vectors, queries, exact neighbours          index_query    queries, flat
 *     index_engine   who answers: statements, hnswlib, our C     index_filter   filter
 *     index_peer     hnswlib behind functions of C               index_table    build cold insert halves
 *
 * What keeps a comparison fair:
 * F1. A ratio compares two medians over the same rounds of the same process: in every round each
 *     engine answers the same queries, one after the other, on one thread, timed on the wall.
 *     Bulk builds of ours use `threads` threads, hnswlib one.
 * F2. Every engine returns the rows and the distances of K neighbours to C. What they cost to find,
 *     decode and hand over counts: SQL for us and for vectorlite and sqlite-vec, a function call
 *     for hnswlib. Recall is counted after the clock has stopped.
 * F3. Engines are compared at equal recall: each with its own smallest ef that reaches the level,
 *     found by bisection over all queries.
 * F4. Graphs have M=16 and ef_construction=200 everywhere; hnswlib is compiled for this processor
 *     (-O3 -march=native), sqlite-vec gets the metric that is fastest for it (l2 over unit vectors).
 * F5. The true neighbours come from a plain scan in float32, not from any of the engines.
 *
 * Each figure is a line `name,value` on stdout; what is left out says so on stderr and leaves a line
 * `name.skipped,1`. index.sh makes the table from them. */
#include "index_bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void use_threads(int n) {
    char text[20];
    snprintf(text, sizeof text, "%d", n);
    setenv("REC_THREADS", text, 1);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *x, size_t n) {
    qsort(x, n, sizeof *x, by_value);
    return x[n / 2];
}

double percentile(const double *sorted, size_t n, double p) {
    size_t i = (size_t)(p * (double)n);
    return sorted[i < n ? i : n - 1];
}

void line(const setup *s, const char *value_format, double value, const char *name,
          ...) {
    va_list ap;
    printf("%s", s->prefix);
    va_start(ap, name);
    vprintf(name, ap);
    va_end(ap);
    printf(",");
    printf(value_format, value);
    printf("\n");
    fflush(stdout);
}

void skip(const setup *s, const char *name, const char *why) {
    fprintf(stderr, "index_bench: %s%s is left out: %s\n", s->prefix, name, why);
    line(s, "%.0f", 1, "%s.skipped", name);
}

void die(const char *what, const char *why) {
    fprintf(stderr, "index_bench: %s: %s\n", what, why);
    exit(1);
}

void *need(void *p) {
    if (!p) die("memory", "there is not enough");
    return p;
}

const char *in_dir(const setup *s, const char *name, char out[600]) {
    snprintf(out, 600, "%s/%s", s->dir, name);
    return out;
}

static const char *option(int argc, char **argv, const char *name,
                          const char *otherwise) {
    size_t n = strlen(name);
    for (int i = 3; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') return argv[i] + n + 1;
    return otherwise;
}

static size_t number(int argc, char **argv, const char *name, const char *otherwise) {
    return strtoul(option(argc, argv, name, otherwise), NULL, 10);
}

static int repeats(int argc, char **argv, const char *name, const char *otherwise) {
    size_t n = number(argc, argv, name, otherwise);
    return n < 1 ? 1 : n > MAX_REPEATS ? MAX_REPEATS : (int)n;
}

#define GRAPH "kind=hnsw, m=16, ef_construction=200, codes=int8"

static setup read_setup(int argc, char **argv) {
    return (setup){.program = argv[0],
                   .dir = argv[2],
                   .lib = option(argc, argv, "lib", "build/release/rec"),
                   .vec0 = option(argc, argv, "vec0", NULL),
                   .vectorlite = option(argc, argv, "vectorlite", NULL),
                   .metric = option(argc, argv, "metric", "cosine"),
                   .graph = option(argc, argv, "graph", GRAPH),
                   .efs = option(argc, argv, "efs", "24,40,80"),
                   .prefix = option(argc, argv, "prefix", ""),
                   .rounds = repeats(argc, argv, "rounds", "7"),
                   .builds = repeats(argc, argv, "builds", "3"),
                   .threads = (int)number(argc, argv, "threads", "2"),
                   .queries = number(argc, argv, "queries", "0"),
                   .has_hnswlib = number(argc, argv, "hnswlib", "1") > 0,
                   .has_c = number(argc, argv, "c", "1") > 0};
}

static int make_data(int argc, char **argv, const char *how) {
    uint32_t dim = (uint32_t)number(argc, argv, "dim", "256");
    size_t queries = number(argc, argv, "queries", "10000");
    if (strcmp(how, "make-als") == 0)
        return data_make_als(argv[2], option(argc, argv, "train", ""), dim, queries);
    return data_make(argv[2], number(argc, argv, "rows", "100000"), dim, queries);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(const setup *);
    } cases[] = {{"build", case_build},   {"queries", case_queries},
                 {"flat", case_flat},     {"filter", case_filter},
                 {"cold", case_cold},     {"cold-one", case_cold_one},
                 {"insert", case_insert}, {"halves", case_halves}};
    if (argc >= 3 && strncmp(argv[1], "make", 4) == 0)
        return make_data(argc, argv, argv[1]);
    for (size_t i = 0; argc >= 3 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            setup s = read_setup(argc, argv);
            use_threads(1);
            return cases[i].run(&s);
        }
    fprintf(stderr,
            "usage: index_bench make|make-als|build|queries|flat|filter|cold|insert|"
            "halves DIR name=value ...\n");
    return 2;
}
