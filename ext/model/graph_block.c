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

typedef struct lanes {     /* owned, one a worker */
    float *in, *out, *hop; /* [n_items][LANES] */
    float *user;           /* [n_users][LANES]; 0 between steps */
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
    r->user = rec_zeros(m->n_users, LANES * sizeof *r->user);
    r->sum = rec_array(LANES, (m->factors + 1) * sizeof *r->sum);
    if (r->in && r->out && r->hop && r->user && r->sum) return REC_OK;
    return rec_nomem(err); /* the owner clears */
}

static bool any(const float *x) {
    bool found = false;
    for (int l = 0; l < LANES; l++) found |= x[l] != 0;
    return found;
}

static inline void spread(const graph_side *s, size_t row, const float *f, float *to) {
    for (size_t j = s->ptr[row]; j < s->ptr[row + 1]; j++) {
        float *t = to + (size_t)s->other[j] * LANES;
        if (s->strength)
            for (int l = 0; l < LANES; l++) t[l] += f[l] * s->strength[j];
        else
            for (int l = 0; l < LANES; l++) t[l] += f[l];
    }
}

/* As hop of graph_model.c. */
static void hop_lanes(const graph *m, const float *from, const float *enter,
                      float *user, float *to) {
    float f[LANES], unit = 1 / m->largest;
    for (size_t i = 0; i < m->n_items; i++) {
        if (!any(from + i * LANES)) continue;
        for (int l = 0; l < LANES; l++)
            f[l] = from[i * LANES + l] * m->item_norm[i] * (enter ? enter[i] : 1);
        spread(&m->items, i, f, user);
    }
    memset(to, 0, m->n_items * LANES * sizeof *to);
    for (size_t u = 0; u < m->n_users; u++) {
        float *x = user + u * LANES;
        if (!any(x)) continue;
        for (int l = 0; l < LANES; l++) {
            f[l] = x[l] * m->user_norm[u];
            x[l] = 0;
        }
        spread(&m->users, u, f, to);
    }
    for (size_t i = 0; i < m->n_items; i++)
        for (int l = 0; l < LANES; l++) to[i * LANES + l] *= m->item_norm[i] * unit;
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
            hop_lanes(m, from, NULL, r->user, to);
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
        hop_lanes(m, r->in, m->enter[0], r->user, r->out);
        for (size_t i = 0; i < m->n_items; i++)
            for (int l = 0; l < LANES; l++) r->out[i * LANES + l] *= m->leave[0][i];
    }
    if (graph_ideal_weight(m) > 0 && m->factors) add_ideal(m, r, n);
    if (graph_sharpens(m)) sharpen_lanes(m, r);
}

static void push_lane(const block_job *job, size_t u, const float *score) {
    const graph *m = job->m;
    for (uint32_t i = 0; i < m->n_items; i++) {
        if (!bitmap_has(&job->b->allowed[u], i)) continue;
        float x = score[(size_t)i * LANES];
        if (!(m->degree[i] > 0) || !isfinite(x)) x = 0;
        topk_push(&job->b->found[u], -x, job->b->place[i]);
    }
}

static rec_status best_piece(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    const block_job *job = ctx;
    lanes *r = &job->room[worker];
    (void)err;
    filter_block(job->m, job->b->query + begin, end - begin, r);
    for (size_t u = begin; u < end; u++) push_lane(job, u, r->out + (u - begin));
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
