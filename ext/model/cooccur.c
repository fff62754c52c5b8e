/* cooccur.c - who is taken together: rows of the item-item product, and the best of each.
 *
 *     C_ji = sum over users of f_u x_uj x_ui
 *     value_ji = C_ji / (p_j q_i + shrinkage) * C_ji / (C_ji + support)
 *                                                    the k largest above 0 (or by size), i != j
 *
 *     for row j:   users of j -> their items -> one cell an item      cells fit in the cache
 *                  |  a bitmap gives them back in order
 *                  |  the k-th largest by counting the leading bits, 12 at a time
 *                  the caller's function
 *
 * Nothing larger than a row is ever held here. Equal values at the border of the best k are taken
 * in the order of a hash of the item, which favours none.
 *
 * Invariants
 *   I1  Row j is computed by one thread from the data alone, users ascending: bit-identical for
 *       any number of threads.
 *   I2  Items ascend; values are finite and > 0 (or not 0); an item is not in its own row.
 *
 * Cost: sum over users of (history length)^2 multiply-adds; 28 bytes an item and thread.
 */
#include "links.h"

#include <float.h>
#include <math.h>

typedef struct cooccur_cell {
    float sum;
    uint32_t row; /* 1 + the row for which sum was written last */
} cooccur_cell;
typedef struct cooccur_scratch { /* one a worker */
    cooccur_cell *cell;          /* [n_items] owned, as all below */
    uint64_t *bits, *words;      /* which items, which words of bits */
    uint32_t *id;                /* [n_items] */
    float *value;                /* [n_items] */
    uint64_t *key;               /* [n_items] */
} cooccur_scratch;
typedef struct cooccur_job {
    const cooccur *c;
    cooccur_scratch *scratch;
    cooccur_fn fn;
    void *ctx;
} cooccur_job;

/* ---- one row ------------------------------------------------------------------------------------ */

/* Adds up row j of C in the cells; returns how many entries there are. */
static size_t add_up(const cooccur *c, cooccur_scratch *s, uint32_t row) {
    const rated_side *users = &c->data->user, *items = &c->data->item;
    cooccur_cell *cells = s->cell;
    uint32_t mark = row + 1;
    size_t n = 0;
    for (size_t a = items->ptr[row]; a < items->ptr[row + 1]; a++) {
        uint32_t u = items->other[a];
        float x = items->x[a] * c->user_factor[u];
        for (size_t b = users->ptr[u]; b < users->ptr[u + 1]; b++) {
            uint32_t i = users->other[b];
            cooccur_cell old = cells[i];
            bool is_new = old.row != mark;
            cells[i] = (cooccur_cell){(is_new ? 0 : old.sum) + x * users->x[b], mark};
            s->id[n] = i; /* written over by the next unless it counts */
            n += is_new;
        }
    }
    return n;
}

/* Sorts the n numbers in s->id ascending, by a bitmap with a bitmap of its words. */
static void sort_ids(cooccur_scratch *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t id = s->id[i];
        s->bits[id >> 6] |= 1ull << (id & 63);
        s->words[id >> 12] |= 1ull << (id >> 6 & 63);
    }
    size_t at = 0;
    for (size_t top = 0; at < n; top++) {
        for (uint64_t word = s->words[top]; word; word &= word - 1) {
            size_t b = top << 6 | (size_t)__builtin_ctzll(word);
            for (uint64_t bit = s->bits[b]; bit; bit &= bit - 1)
                s->id[at++] = (uint32_t)(b << 6) | (uint32_t)__builtin_ctzll(bit);
            s->bits[b] = 0;
        }
        s->words[top] = 0;
    }
}

uint64_t order_key(float value, uint32_t id) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t h = (id + 1) * 0x9e3779b1u; /* odd: no two items share it */
    return (uint64_t)bits << 32 | (h ^ h >> 16);
}

#define KEY_BITS 12
uint64_t kth_largest(uint64_t *key, size_t n, size_t k) {
    uint32_t count[1 << KEY_BITS];
    for (int shift = 64 - KEY_BITS; n > 1;
         shift = shift > KEY_BITS ? shift - KEY_BITS : 0) {
        memset(count, 0, sizeof count);
        for (size_t i = 0; i < n; i++) count[key[i] >> shift & ((1 << KEY_BITS) - 1)]++;
        size_t bin = (1 << KEY_BITS) - 1;
        while (count[bin] < k) k -= count[bin--];
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if ((key[i] >> shift & ((1 << KEY_BITS) - 1)) == bin) key[kept++] = key[i];
        n = kept;
    }
    return key[0];
}

/* The entries of row j as values, ascending by item; returns how many count. */
static size_t read_values(const cooccur *c, cooccur_scratch *s, uint32_t row,
                          size_t n) {
    float p = c->source[row];
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = s->id[i];
        float sum = s->cell[id].sum, v = sum / (p * c->target[id] + c->shrinkage);
        if (c->support > 0) v *= sum / (sum + c->support);
        float size = c->is_signed ? fabsf(v) : v;
        if (!(size > FLT_MIN) || id == row) continue;
        s->id[kept] = id;
        s->value[kept++] = size < FLT_MAX ? v : v < 0 ? -FLT_MAX : FLT_MAX;
    }
    return kept;
}

static size_t keep_best(cooccur_scratch *s, size_t n, size_t k) {
    if (n <= k) return n;
    for (size_t i = 0; i < n; i++) s->key[i] = order_key(fabsf(s->value[i]), s->id[i]);
    uint64_t least = kth_largest(s->key, n, k);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (order_key(fabsf(s->value[i]), s->id[i]) < least) continue;
        s->id[kept] = s->id[i];
        s->value[kept++] = s->value[i];
    }
    return kept;
}

/* ---- all rows ------------------------------------------------------------------------------------- */

/* Worker 0 is the calling thread: it asks the host, the others look at what it found. */
rec_status worker_check(rec_run *run, int worker, rec_err *err) {
    if (!run) return REC_OK;
    if (worker == 0) return run_check(run, err);
    return atomic_load_explicit(&run->stop, memory_order_relaxed)
               ? rec_fail(err, REC_INTR, "interrupted")
               : REC_OK;
}

static rec_status scratch_init(cooccur_scratch *s, size_t n_items, rec_err *err) {
    s->cell = rec_zeros(n_items + 1, sizeof *s->cell);
    s->bits = rec_zeros(n_items / 64 + 1, sizeof *s->bits);
    s->words = rec_zeros(n_items / 4096 + 1, sizeof *s->words);
    s->id = rec_array(n_items + 1, sizeof *s->id);
    s->value = rec_array(n_items + 1, sizeof *s->value);
    s->key = rec_array(n_items + 1, sizeof *s->key);
    return s->cell && s->bits && s->words && s->id && s->value && s->key
               ? REC_OK
               : rec_nomem(err);
}

static void scratch_clear(cooccur_scratch *s) {
    rec_free(s->cell);
    rec_free(s->bits);
    rec_free(s->words);
    rec_free(s->id);
    rec_free(s->value);
    rec_free(s->key);
}

static rec_status run_rows(void *ctx, size_t begin, size_t end, int worker,
                           rec_err *err) {
    const cooccur_job *job = ctx;
    const cooccur *c = job->c;
    cooccur_scratch *s = &job->scratch[worker];
    rec_status st = REC_OK;
    for (size_t row = begin; !st && row < end; row++) {
        st = worker_check(c->run, worker, err);
        if (st) break;
        size_t n = add_up(c, s, (uint32_t)row);
        sort_ids(s, n);
        n = keep_best(s, read_values(c, s, (uint32_t)row, n), c->k);
        st = job->fn(job->ctx, (uint32_t)row, s->id, s->value, n, worker, err);
    }
    if (worker == 0)
        run_progress(c->run, c->phase, c->share * (double)end / c->data->n_items);
    return st;
}

rec_status cooccur_rows(const cooccur *c, cooccur_fn fn, void *ctx, rec_err *err) {
    size_t n_worker = (size_t)run_threads(c->run), n_items = c->data->n_items;
    cooccur_job job = {c, rec_zeros(n_worker, sizeof *job.scratch), fn, ctx};
    rec_status st = job.scratch ? REC_OK : rec_nomem(err);
    for (size_t i = 0; !st && i < n_worker; i++)
        st = scratch_init(&job.scratch[i], n_items, err);
    if (!st) st = threads_for(c->run, n_items, LINKS_CHUNK, run_rows, &job, err);
    for (size_t i = 0; job.scratch && i < n_worker; i++) scratch_clear(&job.scratch[i]);
    rec_free(job.scratch);
    return st;
}
