/* generative.c - the next item of each user, without SQLite: fit, rank everything, one CSV line.
 *
 *   generative [--data FILE] [--part N] [--threads N] [--seed N] ALGORITHM [option=value ...]
 *
 *   algorithm,options,seed,users,recall@5,ndcg@5,recall@10,ndcg@10,fit_s,fit_cpu_s,score_s
 *
 * FILE (default ../shared/data/beauty/Beauty.txt): a line per user, `user item item ...`, oldest first.
 * Protocol: leave-one-out in file order. A user's last item is asked about, all before it is trained on
 * and is the history; the algorithm keeps back what it wants of that to validate with. All items but the
 * history are ranked. Item ids are relabelled at random, and equal scores go by a hash of the new id, so
 * that no order of ids, nor that of the file, leaks into a list.
 *
 * --part N  only every N-th user: small and quick, its figures compare with nothing else.
 * The learning curve goes to stderr.
 */
#include "../../ext/model/model.h"

#undef malloc
#undef calloc
#undef realloc
#undef free
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MOST_ITEMS 4096 /* of a user */
#define TOP        10

typedef struct rows {
    interaction *a;
    size_t n, cap;
} rows;
typedef struct setup {
    const char *file, *algorithm;
    int threads;
    uint32_t part;
    uint64_t seed;
    char options[512];
} setup;
typedef struct data {
    rows train;
    uint32_t *last; /* [n_users] */
    uint32_t n_users, n_items;
} data;
typedef struct figures {
    double recall[2], ndcg[2]; /* at 5 and 10 */
} figures;

static void die(const char *what, const rec_err *err) {
    fprintf(stderr, "generative: %s%s%s\n", what, err ? ": " : "", err ? err->msg : "");
    exit(1);
}

static void *room(size_t nbyte) {
    void *p = calloc(nbyte + 1, 1);
    if (!p) die("out of memory", NULL);
    return p;
}

static void add_row(rows *r, interaction row) {
    if (r->n == r->cap) {
        r->cap = r->cap * 2 + 1024;
        r->a = realloc(r->a, r->cap * sizeof *r->a);
        if (!r->a) die("out of memory", NULL);
    }
    r->a[r->n++] = row;
}

/* ---- data ------------------------------------------------------------------------------- */

static void read_line(data *d, char *line) {
    uint32_t item[MOST_ITEMS];
    size_t n = 0;
    char *at, *end;
    strtoul(line, &at, 10);
    for (; n < MOST_ITEMS; at = end) {
        item[n] = (uint32_t)strtoul(at, &end, 10);
        if (end == at) break;
        if (item[n] >= d->n_items) d->n_items = item[n] + 1;
        n++;
    }
    if (n < 2) return;
    uint32_t user = d->n_users++;
    d->last = realloc(d->last, d->n_users * sizeof *d->last);
    if (!d->last) die("out of memory", NULL);
    d->last[user] = item[n - 1];
    for (size_t k = 0; k + 1 < n; k++)
        add_row(&d->train, (interaction){user, item[k], 1, 1, (double)k});
}

static void relabel(data *d, uint64_t seed) {
    uint32_t *label = room(d->n_items * sizeof *label);
    rng r;
    rng_seed(&r, seed, 77);
    for (uint32_t i = 0; i < d->n_items; i++) label[i] = i;
    rng_shuffle_u32(&r, label, d->n_items);
    for (size_t k = 0; k < d->train.n; k++)
        d->train.a[k].item = label[d->train.a[k].item];
    for (uint32_t u = 0; u < d->n_users; u++) d->last[u] = label[d->last[u]];
    free(label);
}

static data read_data(const setup *s) {
    data d = {0};
    FILE *f = fopen(s->file, "r");
    if (!f) die(s->file, NULL);
    char *line = NULL;
    size_t cap = 0;
    for (uint32_t n = 0; getline(&line, &cap, f) > 0; n++)
        if (n % s->part == 0) read_line(&d, line);
    free(line);
    fclose(f);
    relabel(&d, s->seed);
    return d;
}

/* ---- judging ------------------------------------------------------------------------------ */

static void judge(const rec_model *m, const dataset *d, const uint32_t *last,
                  figures *out) {
    rec_err err = {0};
    float *score = room(d->n_items * sizeof *score);
    for (uint32_t u = 0; u < d->n_users; u++) {
        size_t at = d->ptr[u], before = 0;
        model_query q = {.item = d->item + at,
                         .weight = d->weight + at,
                         .value = d->value + at,
                         .time = d->time + at,
                         .n = d->ptr[u + 1] - at};
        if (m->ops->score(m, &q, NULL, d->n_items, score, &err)) die("score", &err);
        float own = score[last[u]];
        for (size_t j = 0; j < q.n; j++) score[q.item[j]] = -INFINITY;
        for (uint32_t i = 0; i < d->n_items; i++)
            before +=
                score[i] > own || (score[i] == own && rec_mix(i) < rec_mix(last[u]));
        for (int k = 0; k < 2; k++)
            if (before < (k ? 10 : 5)) {
                out->recall[k] += 1. / d->n_users;
                out->ndcg[k] += 1 / log2((double)before + 2) / d->n_users;
            }
    }
    free(score);
}

static void show(void *ctx, const rec_log_row *row) {
    (void)ctx;
    fprintf(stderr, "%s %d loss %.4f %s %.5f %.1f s\n", row->phase, row->epoch,
            row->loss, row->metric ? row->metric : "-", row->value, row->seconds);
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run(const setup *s, const rec_model_ops *ops, model_options *o) {
    rec_err err = {0};
    data d = read_data(s);
    dataset train;
    signal_spec spec = {.feedback = FEEDBACK_IMPLICIT,
                        .has_time = true,
                        .since = NAN,
                        .until = NAN,
                        .half_life = NAN};
    if (dataset_build(&spec, d.train.a, d.train.n, d.n_users, d.n_items, &train, &err))
        die("data", &err);
    rec_run r = {.n_threads = s->threads, .log = show};
    model_fit_args a = {.data = &train, .options = o, .seed = s->seed, .run = &r};
    rec_model *m;
    double start = rec_seconds(), cpu = cpu_seconds();
    if (ops->fit(&a, &m, &err)) die("fit", &err);
    double fit = rec_seconds() - start, fit_cpu = cpu_seconds() - cpu;
    figures f = {0};
    start = rec_seconds();
    judge(m, &train, d.last, &f);
    printf("%s,%s,%llu,%u,%.5f,%.5f,%.5f,%.5f,%.1f,%.1f,%.1f\n", s->algorithm,
           s->options, (unsigned long long)s->seed, d.n_users, f.recall[0], f.ndcg[0],
           f.recall[1], f.ndcg[1], fit, fit_cpu, rec_seconds() - start);
    ops->close(m);
    dataset_clear(&train);
    free(d.train.a);
    free(d.last);
}

static void set_option(setup *s, model_options *o, char *text) {
    rec_err err = {0};
    bool known = false;
    char *is = strchr(text, '=');
    if (!is) die(text, NULL);
    size_t at = strlen(s->options);
    snprintf(s->options + at, sizeof s->options - at, "%s%s", at ? " " : "", text);
    *is = 0;
    if (options_set(o, text, is + 1, &known, &err) || !known) die(text, &err);
}

int main(int argc, char **argv) {
    setup s = {
        .file = "../shared/data/beauty/Beauty.txt", .threads = 1, .part = 1, .seed = 1};
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        const char *value = argv[at + 1];
        if (!strcmp(argv[at], "--data"))
            s.file = value;
        else if (!strcmp(argv[at], "--threads"))
            s.threads = atoi(value);
        else if (!strcmp(argv[at], "--seed"))
            s.seed = strtoull(value, NULL, 10);
        else if (!strcmp(argv[at], "--part") && atoi(value) > 0)
            s.part = (uint32_t)atoi(value);
        else
            die(argv[at], NULL);
    }
    const rec_model_ops *ops = at < argc ? model_algorithm(argv[at]) : NULL;
    if (!ops || !ops->fit) die("which algorithm?", NULL);
    s.algorithm = ops->name;
    model_options o;
    options_init(&o, ops->options, ops->n_options);
    for (at++; at < argc; at++) set_option(&s, &o, argv[at]);
    run(&s, ops, &o);
    options_clear(&o);
    return 0;
}
