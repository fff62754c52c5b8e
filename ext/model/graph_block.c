/* graph_block.c - a graph filter asked for many users at once.
 *
 *     lanes      user 0 .. user 15 of a block lie side by side:  float[n_items][16], float[n_users][16]
 *
 * A walk over the edges waits for memory, not for arithmetic: an edge fetches one line of a cache for one
 * user, and the same line holds sixteen. So one walk serves a block, and sixteen lists cost about seven times one list. That holds for
 * sharpening, which goes over all edges; the filters without go over few, and users are asked one by one.
 *
 * Invariants
 *   I1  A lane sees the sums of graph_model.c in the same order; what a lane does not have is a 0 that is added.
 *       So a list is that of the user asked alone, bit for bit, whoever else is in the block.
 *   I2  A block belongs to one worker; no piece depends on another.
 *
 * Cost: memory 64 bytes times (3 n_items + n_users) a worker.
 */
#include "graph.h"

#include <math.h>

#define LANES 16
typedef float lane_vector __attribute__((vector_size(LANES * sizeof(float))));

typedef struct lanes {     /* owned, one a worker */
    float *in, *out, *hop; /* [n_items][LANES] */
    float *user;           /* [n_users][LANES] */
    float *sum;            /* [LANES][factors] */
} lanes;

typedef struct block_job {
    const graph *m;
    const model_best *b;
    lanes *room; /* [workers] */
} block_job;

static void lanes_clear(lanes *r) {
    rec_free(r->in);
    rec_free(r->out);
    rec_free(r->hop);
    rec_free(r->user);
    rec_free(r->sum);
    memset(r, 0, sizeof *r);
}

static rec_status lanes_init(lanes *r, const graph *m, rec_err *err) {
    r->in = rec_array(m->n_items, LANES * sizeof *r->in);
    r->out = rec_array(m->n_items, LANES * sizeof *r->out);
    r->hop = rec_array(m->n_items, LANES * sizeof *r->hop);
    r->user = rec_array(m->n_users, LANES * sizeof *r->user);
    r->sum = rec_array(LANES, (m->factors + 1) * sizeof *r->sum);
    if (r->in && r->out && r->hop && r->user && r->sum) return REC_OK;
    return rec_nomem(err); /* the owner clears */
}

/* out[row] = by[row] times the sum of from[other] along the edges of each row, in the order of hop of
 * graph_model.c. Product and sum are two steps there, so they must not become one here. */
static inline __attribute__((always_inline)) void
gather_rows(const graph_side *s, size_t n_rows, const float *by, float unit,
            const float *from, float *out) {
    for (size_t row = 0; row < n_rows; row++) {
        lane_vector sum = {0}, x;
        for (size_t j = s->ptr[row]; j < s->ptr[row + 1]; j++) {
            memcpy(&x, from + (size_t)s->other[j] * LANES, sizeof x);
            if (s->strength) x = x * s->strength[j];
            sum = sum + x;
        }
        sum = sum * (by[row] * unit);
        memcpy(out + row * LANES, &sum, sizeof sum);
    }
}

typedef void (*gather_fn)(const graph_side *s, size_t n_rows, const float *by,
                          float unit, const float *from, float *out);
#define GATHER(name, attribute)                                                     \
    attribute static void name(const graph_side *s, size_t n_rows, const float *by, \
                               float unit, const float *from, float *out) {         \
        gather_rows(s, n_rows, by, unit, from, out);                                \
    }
GATHER(gather_ref, )
#if defined(__x86_64__) && defined(__GNUC__)
GATHER(gather_avx2, __attribute__((target("avx2"))))
GATHER(gather_avx512, __attribute__((target("avx512f"))))
#endif

static gather_fn gather_routine(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    const char *name = vec_kernels()->name;
    if (strcmp(name, "avx512") == 0) return gather_avx512;
    if (strcmp(name, "avx2") == 0) return gather_avx2;
#endif
    return gather_ref;
}

/* As hop of graph_model.c. scaled: scratch, may be `from`, which is lost then. */
static void hop_lanes(const graph *m, const float *from, const float *enter, lanes *r,
                      float *scaled, float *to) {
    for (size_t i = 0; i < m->n_items; i++)
        for (int l = 0; l < LANES; l++)
            scaled[i * LANES + l] =
                from[i * LANES + l] * m->item_norm[i] * (enter ? enter[i] : 1);
    gather_routine()(&m->users, m->n_users, m->user_norm, 1, scaled, r->user);
    gather_routine()(&m->items, m->n_items, m->item_norm, 1 / m->largest, r->user, to);
}

static bool any(const float *x) {
    bool found = false;
    for (int l = 0; l < LANES; l++) found |= x[l] != 0;
    return found;
}

static void add_ideal(const graph *m, lanes *r, size_t n) {
    float row[GRAPH_MAX_FACTORS], w = (float)graph_ideal_weight(m);
    const rec_kernels *k = vec_kernels();
    float unit = 1 / (float)m->n_items;
    memset(r->sum, 0, n * m->factors * sizeof *r->sum);
    for (size_t i = 0; i < m->n_items; i++) {
        const float *x = r->in + i * LANES;
        if (m->enter[1][i] == 0 || !any(x)) continue;
        k->f32_from_f16(row, graph_half_row(m, i), m->factors);
        for (size_t l = 0; l < n; l++)
            if (x[l] != 0)
                k->axpy(r->sum + l * m->factors, x[l] * m->enter[1][i] * unit, row,
                        m->factors);
    }
    for (size_t i = 0; i < m->n_items; i++)
        for (size_t l = 0; l < n && m->leave[1][i] > 0; l++)
            r->out[i * LANES + l] +=
                w * m->leave[1][i] *
                k->dot_f16(r->sum + l * m->factors, graph_half_row(m, i), m->factors);
}

static void sharpen_lanes(const graph *m, lanes *r) {
    int order = m->solver == GRAPH_RK4 ? 4 : 1;
    float t = (float)(m->sharpen / m->steps);
    for (uint32_t s = 0; s < m->steps; s++) {
        float c = 1, *from = r->in, *to = r->hop;
        memcpy(from, r->out, m->n_items * LANES * sizeof *from);
        for (int k = 1; k <= order; k++) {
            hop_lanes(m, from, NULL, r, from, to);
            c *= -t / (float)k;
            vec_kernels()->axpy(r->out, c, to, m->n_items * LANES);
            float *next = from;
            from = to;
            to = next;
        }
    }
}

static void filter_block(const graph *m, const model_query *q, size_t n, lanes *r) {
    memset(r->in, 0, m->n_items * LANES * sizeof *r->in);
    memset(r->out, 0, m->n_items * LANES * sizeof *r->out);
    for (size_t l = 0; l < n; l++)
        for (size_t j = 0; j < q[l].n; j++) {
            float x = graph_asked(m, &q[l], j);
            if (x != 0) r->in[(size_t)q[l].item[j] * LANES + l] = x;
        }
    if (graph_has_linear(m)) {
        hop_lanes(m, r->in, m->enter[0], r, r->hop, r->out);
        for (size_t i = 0; i < m->n_items; i++)
            for (int l = 0; l < LANES; l++) r->out[i * LANES + l] *= m->leave[0][i];
    }
    if (graph_ideal_weight(m) > 0 && m->factors) add_ideal(m, r, n);
    if (graph_sharpens(m)) sharpen_lanes(m, r);
}

/* Item by item, so that the block is read once: few scores reach any user's list. */
static void push_block(const block_job *job, size_t first, size_t n, float *score) {
    const graph *m = job->m;
    topk *found = job->b->found + first;
    float bound[LANES];
    for (size_t l = 0; l < n; l++) bound[l] = topk_bound(&found[l]);
    for (uint32_t i = 0; i < m->n_items; i++) {
        float *x = score + (size_t)i * LANES;
        bool has_edges = m->degree[i] > 0;
        for (size_t l = 0; l < n; l++) {
            float y = has_edges && isfinite(x[l]) ? -x[l] : -0.f;
            if (y > bound[l] || !bitmap_has(&job->b->allowed[first + l], i)) continue;
            topk_push(&found[l], y, job->b->place[i]);
            bound[l] = topk_bound(&found[l]);
        }
    }
}

static rec_status best_piece(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    const block_job *job = ctx;
    lanes *r = &job->room[worker];
    (void)err;
    filter_block(job->m, job->b->query + begin, end - begin, r);
    push_block(job, begin, end - begin, r->out);
    return REC_OK;
}

rec_status graph_best(const rec_model *model, const model_best *b, rec_run *run,
                      rec_err *err) {
    /* Without sharpening the walk is short, and lanes would lengthen it. */
    if (!graph_sharpens(graph_self(model))) return best_by_scores(model, b, run, err);
    size_t n_worker = (size_t)run_threads(run);
    block_job job = {graph_self(model), b, rec_zeros(n_worker, sizeof *job.room)};
    rec_status st = job.room ? REC_OK : rec_nomem(err);
    for (size_t w = 0; w < n_worker && !st; w++)
        st = lanes_init(&job.room[w], job.m, err);
    if (!st) st = threads_for(run, b->n, LANES, best_piece, &job, err);
    for (size_t w = 0; job.room && w < n_worker; w++) lanes_clear(&job.room[w]);
    rec_free(job.room);
    return st;
}
