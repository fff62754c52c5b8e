/* itemknn.c - items that the same people take: neighbours by co-occurrence.
 *
 *     C_ji = sum over users of f_u x_uj x_ui            who took both, busy users less
 *     w_ji = (C_ji / (p_j q_i + shrinkage)) ^ power      k best i for every j
 *
 *     similarity   x                          f_u              p_j           q_i
 *     cosine       x                          1                |x_j|         |x_i|
 *     tfidf        sqrt(x)                    idf_u^2          |x_j|         |x_i|
 *     bm25         x (k1+1) / (k1 K_i + x)    idf_u^2          1             1
 *     rp3beta      x^alpha                    D_u^-alpha       D_j^alpha     D_i^beta
 *     general      x                          D_u^-user_scale  D_j^item_scale  D_i^target_scale
 *
 * D is a sum of x, |.| a Euclidean norm, K_i = 1 - b + b D_i / mean D, and idf_u = ln(items /
 * (1 + items of u)): a user with few items says more about them. rp3beta is the random walk item
 * -> user -> item of three steps with popular ends held back (Paudel et al. 2017); general leaves
 * its three exponents free. Explicit feedback compares ratings less their biases by cosine, keeps
 * what agrees, and predicts the bias plus a mean over the neighbours (Koren 2010).
 *
 *     for row j:   users of j -> their items -> one cell an item      cells fit in the cache
 *                  |  a bitmap gives them back in order
 *                  |  the k-th largest by counting the leading bits, 12 at a time
 *                  links
 *
 * Equal values at the border of the best k are taken in the order of a hash of the item, which
 * favours none.
 *
 * Invariants
 *   I1  Row j is computed by one thread from the data alone, users ascending: bit-identical for
 *       any number of threads.
 *   I2  Weights are finite and > 0; an item is no neighbour of itself.
 *
 * Cost: sum over users of (history length)^2 multiply-adds, bounded by max_history; memory: 16
 * bytes an interaction, 8 bytes an item and thread, and the links.
 */
#include "links.h"

#include <float.h>
#include <math.h>

#define KNN_MIN_K       1
#define KNN_MAX_K       100000
#define KNN_MAX_HISTORY 1000000
#define KNN_SHRINKAGE   10 /* of the cosines, when the option is not given */

typedef enum { KNN_GENERAL, KNN_COSINE, KNN_TFIDF, KNN_BM25, KNN_RP3BETA } knn_kind;

typedef struct knn_cell {
    float sum;
    uint32_t row; /* 1 + the row for which sum was written last */
} knn_cell;
typedef struct knn_scratch { /* one a worker */
    knn_cell *cell;          /* [n_items] owned, as all below */
    uint64_t *bits, *words;  /* which items, which words of bits */
    uint32_t *id;            /* [n_items] */
    float *value;            /* [n_items] */
    uint64_t *key;           /* [n_items] */
    bytes_writer row;
} knn_scratch;
typedef struct knn_job {
    rated data;
    float *user_factor;     /* [n_users] owned, as the next two */
    float *source, *target; /* [n_items] p, q */
    size_t k;
    float shrinkage, power;
    knn_scratch *scratch;
    linked *model;
    rec_run *run;
} knn_job;

/* ---- weights --------------------------------------------------------------------------------- */

static float to_factor(double x) {
    return x > 1e15 ? 1e15f : x > 1e-15 ? (float)x : 1e-15f;
}

static double row_sum(const rated_side *s, size_t row, bool of_squares) {
    double sum = 0;
    for (size_t j = s->ptr[row]; j < s->ptr[row + 1]; j++)
        sum += of_squares ? (double)s->x[j] * s->x[j] : s->x[j];
    return sum;
}

/* x -> what the similarity multiplies, on both sides alike. D are sums of the x before. */
static void reweigh(rated_side *s, size_t n_rows, bool by_item, knn_kind kind,
                    const float *item_length, const model_options *o) {
    double k1 = opt_num(o, "k1"), alpha = opt_num(o, "alpha");
    for (size_t row = 0; row < n_rows; row++)
        for (size_t j = s->ptr[row]; j < s->ptr[row + 1]; j++) {
            double x = s->x[j], length = item_length[by_item ? row : s->other[j]];
            if (kind == KNN_TFIDF) x = sqrt(x);
            if (kind == KNN_BM25) x = x * (k1 + 1) / (k1 * length + x);
            if (kind == KNN_RP3BETA && x != 1) x = pow(x, alpha);
            s->x[j] = (float)x;
        }
}

static void weigh_users(knn_job *w, knn_kind kind, const model_options *o) {
    const rated *r = &w->data;
    double exponent =
        kind == KNN_RP3BETA ? opt_num(o, "alpha") : opt_num(o, "user_scale");
    for (size_t u = 0; u < r->n_users; u++) {
        double degree = row_sum(&r->user, u, false), f = 1;
        double n = (double)(r->user.ptr[u + 1] - r->user.ptr[u]);
        if (kind == KNN_GENERAL || kind == KNN_RP3BETA) f = pow(degree, -exponent);
        if (kind == KNN_TFIDF || kind == KNN_BM25) {
            f = log((double)r->n_items / (1 + n));
            f = f > 0 ? f * f : 0;
        }
        w->user_factor[u] = n > 0 ? to_factor(f) : 0;
    }
}

/* K_i of BM25 into target, which is overwritten later. */
static void bm25_lengths(knn_job *w, double b) {
    const rated *r = &w->data;
    double total = 0;
    for (size_t i = 0; i < r->n_items; i++)
        total += w->target[i] = (float)row_sum(&r->item, i, false);
    double mean = total > 0 ? total / r->n_items : 1;
    for (size_t i = 0; i < r->n_items; i++)
        w->target[i] = (float)(1 - b + b * w->target[i] / mean);
}

static void weigh_items(knn_job *w, knn_kind kind, const model_options *o) {
    const rated *r = &w->data;
    double source =
        kind == KNN_RP3BETA ? opt_num(o, "alpha") : opt_num(o, "item_scale");
    double target =
        kind == KNN_RP3BETA ? opt_num(o, "beta") : opt_num(o, "target_scale");
    for (size_t i = 0; i < r->n_items; i++) {
        if (kind == KNN_COSINE || kind == KNN_TFIDF) {
            double norm = 0; /* with the factors of the users, so that it is a cosine */
            for (size_t j = r->item.ptr[i]; j < r->item.ptr[i + 1]; j++)
                norm += (double)r->item.x[j] * r->item.x[j] *
                        w->user_factor[r->item.other[j]];
            w->source[i] = w->target[i] = to_factor(sqrt(norm));
        } else if (kind == KNN_BM25)
            w->source[i] = w->target[i] = 1;
        else {
            double degree = row_sum(&r->item, i, false);
            w->source[i] = to_factor(degree > 0 ? pow(degree, source) : 1);
            w->target[i] = to_factor(degree > 0 ? pow(degree, target) : 1);
        }
    }
}

/* Exponents of degrees are of the degrees before reweigh. */
static void weigh(knn_job *w, knn_kind kind, const model_options *o) {
    weigh_users(w, kind, o);
    if (kind == KNN_BM25) bm25_lengths(w, opt_num(o, "b"));
    if (kind == KNN_GENERAL || kind == KNN_RP3BETA) weigh_items(w, kind, o);
    if (kind == KNN_BM25 || kind == KNN_RP3BETA || kind == KNN_TFIDF) {
        reweigh(&w->data.user, w->data.n_users, false, kind, w->target, o);
        reweigh(&w->data.item, w->data.n_items, true, kind, w->target, o);
    }
    if (kind != KNN_GENERAL && kind != KNN_RP3BETA) weigh_items(w, kind, o);
}

/* ---- one row ------------------------------------------------------------------------------------ */

/* Adds up row j of C in the cells; returns how many entries there are. */
static size_t add_up(const knn_job *w, knn_scratch *s, uint32_t row) {
    const rated_side *users = &w->data.user, *items = &w->data.item;
    knn_cell *cells = s->cell;
    uint32_t mark = row + 1;
    size_t n = 0;
    for (size_t a = items->ptr[row]; a < items->ptr[row + 1]; a++) {
        uint32_t u = items->other[a];
        float x = items->x[a] * w->user_factor[u];
        for (size_t b = users->ptr[u]; b < users->ptr[u + 1]; b++) {
            uint32_t i = users->other[b];
            knn_cell c = cells[i];
            bool is_new = c.row != mark;
            cells[i] = (knn_cell){(is_new ? 0 : c.sum) + x * users->x[b], mark};
            s->id[n] = i; /* written over by the next unless it counts */
            n += is_new;
        }
    }
    return n;
}

/* Sorts the n numbers in s->id ascending, by a bitmap with a bitmap of its words. */
static void sort_ids(knn_scratch *s, size_t n) {
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

/* Strictly ordered: by value > 0, then by a hash of the item. */
static uint64_t order_key(float value, uint32_t id) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t h = (id + 1) * 0x9e3779b1u; /* odd: no two items share it */
    return (uint64_t)bits << 32 | (h ^ h >> 16);
}

#define KEY_BITS 12
/* The k-th largest of n different keys, 1 <= k <= n; the keys are used up. */
static uint64_t kth_largest(uint64_t *key, size_t n, size_t k) {
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

/* The entries of row j as values, ascending by item; returns how many are positive. */
static size_t read_values(const knn_job *w, knn_scratch *s, uint32_t row, size_t n) {
    float p = w->source[row];
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = s->id[i];
        float v = s->cell[id].sum / (p * w->target[id] + w->shrinkage);
        if (!(v > FLT_MIN) || id == row) continue;
        s->id[kept] = id;
        s->value[kept++] = v < FLT_MAX ? v : FLT_MAX;
    }
    return kept;
}

static size_t keep_best(knn_scratch *s, size_t n, size_t k) {
    if (n <= k) return n;
    for (size_t i = 0; i < n; i++) s->key[i] = order_key(s->value[i], s->id[i]);
    uint64_t least = kth_largest(s->key, n, k);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (order_key(s->value[i], s->id[i]) < least) continue;
        s->id[kept] = s->id[i];
        s->value[kept++] = s->value[i];
    }
    return kept;
}

static void compute_row(const knn_job *w, knn_scratch *s, uint32_t row) {
    size_t n = add_up(w, s, row);
    sort_ids(s, n);
    n = read_values(w, s, row, n);
    n = keep_best(s, n, w->k);
    for (size_t i = 0; i < n && w->power != 1; i++)
        s->value[i] = powf(s->value[i], w->power);
    links_encode(&s->row, s->id, s->value, n);
}

/* Worker 0 is the calling thread: it asks the host, the others look at what it found. */
static rec_status ask(rec_run *run, int worker, rec_err *err) {
    if (!run) return REC_OK;
    if (worker == 0) return run_check(run, err);
    return atomic_load_explicit(&run->stop, memory_order_relaxed)
               ? rec_fail(err, REC_INTR, "interrupted")
               : REC_OK;
}

static rec_status compute_chunk(void *ctx, size_t begin, size_t end, int worker,
                                rec_err *err) {
    knn_job *w = ctx;
    knn_scratch *s = &w->scratch[worker];
    uint32_t at[LINKS_CHUNK];
    if (worker == 0) run_progress(w->run, "itemknn", (double)begin / w->model->n_items);
    for (size_t row = begin; row < end; row++) {
        rec_status st = ask(w->run, worker, err);
        if (st) return st;
        if (s->row.n > UINT32_MAX) break; /* links_set_chunk refuses it */
        at[row - begin] = (uint32_t)s->row.n;
        compute_row(w, s, (uint32_t)row);
    }
    return links_set_chunk(&w->model->rows, begin / LINKS_CHUNK, &s->row, at, err);
}

/* ---- training ------------------------------------------------------------------------------------- */

static rec_status scratch_init(knn_scratch *s, size_t n_items, rec_err *err) {
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

static void scratch_clear(knn_scratch *s) {
    rec_free(s->cell);
    rec_free(s->bits);
    rec_free(s->words);
    rec_free(s->id);
    rec_free(s->value);
    rec_free(s->key);
    bytes_clear(&s->row);
}

static rec_status compute_all(knn_job *w, rec_err *err) {
    size_t n_worker = (size_t)run_threads(w->run), n_items = w->model->n_items;
    w->scratch = rec_zeros(n_worker, sizeof *w->scratch);
    rec_status st = w->scratch ? REC_OK : rec_nomem(err);
    for (size_t i = 0; !st && i < n_worker; i++)
        st = scratch_init(&w->scratch[i], n_items, err);
    if (!st) st = threads_for(w->run, n_items, LINKS_CHUNK, compute_chunk, w, err);
    for (size_t i = 0; w->scratch && i < n_worker; i++) scratch_clear(&w->scratch[i]);
    rec_free(w->scratch);
    return st;
}

static rec_status job_init(knn_job *w, const model_fit_args *a, rec_err *err) {
    const model_options *o = a->options;
    const dataset *d = a->data;
    knn_kind kind = (knn_kind)opt_num(o, "similarity");
    linked *m = w->model;
    w->run = a->run;
    if (m->bias) kind = KNN_COSINE;
    bool is_cosine = kind == KNN_COSINE || kind == KNN_TFIDF;
    m->curve = (value_curve)opt_num(o, "curve");
    m->is_mean = m->bias != NULL;
    m->is_relative = !is_cosine;
    m->damping = m->bias ? opt_num(o, "damping") : 0;
    w->k = (size_t)opt_num(o, "k");
    w->power = (float)opt_num(o, "power");
    w->shrinkage = (float)(opt_text(o, "shrinkage") ? opt_num(o, "shrinkage")
                           : is_cosine              ? KNN_SHRINKAGE
                                                    : 0);
    rec_status st = rated_init(&w->data, m, d, (size_t)opt_num(o, "max_history"), err);
    if (st) return st;
    w->user_factor = rec_array(d->n_users, sizeof(float));
    w->source = rec_array(d->n_items, sizeof(float));
    w->target = rec_zeros(d->n_items, sizeof(float));
    if (!w->user_factor || !w->source || !w->target) return rec_nomem(err);
    weigh(w, kind, o);
    return links_init(&m->rows, d->n_items, d->n_items, err);
}

static rec_status itemknn_fit(const model_fit_args *a, rec_model **out, rec_err *err) {
    double start = rec_seconds();
    *out = NULL;
    knn_job w = {.model = linked_new(&itemknn_ops, a->data, err)};
    if (!w.model) return REC_NOMEM;
    rec_status st = job_init(&w, a, err);
    if (!st) st = compute_all(&w, err);
    if (!st) {
        rec_log_row row = {.phase = "itemknn",
                           .epoch = 1,
                           .loss = NAN,
                           .metric = "neighbours",
                           .value = (double)links_count(&w.model->rows),
                           .seconds = rec_seconds() - start};
        run_log(a->run, &row);
        run_progress(a->run, "itemknn", 1);
    }
    rated_clear(&w.data);
    rec_free(w.user_factor);
    rec_free(w.source);
    rec_free(w.target);
    if (st)
        linked_close(&w.model->base);
    else
        *out = &w.model->base;
    return st;
}

static rec_status itemknn_load(bytes_reader *r, rec_model **out, rec_err *err) {
    return linked_load(&itemknn_ops, r, out, err);
}

// clang-format off
static const model_option itemknn_options[] = {
    {"similarity", OPT_ENUM, 0, 0, "general", "general|cosine|tfidf|bm25|rp3beta", "how two items are compared; explicit: cosine of ratings less biases"},
    {"k", OPT_INT, KNN_MIN_K, KNN_MAX_K, "500", NULL, "neighbours kept of each item"},
    {"shrinkage", OPT_REAL, 0, 1e9, NULL, NULL, "added to the denominator; default 10 for cosines, else 0"},
    {"power", OPT_REAL, .01, 10, "1", NULL, "exponent of a similarity"},
    {"user_scale", OPT_REAL, 0, 3, ".73", NULL, "general: exponent by which users with long histories count less"},
    {"item_scale", OPT_REAL, 0, 3, ".68", NULL, "general: exponent by which a popular item of the history counts less"},
    {"target_scale", OPT_REAL, 0, 3, ".3", NULL, "general: exponent by which popular items are held back"},
    {"alpha", OPT_REAL, 0, 3, ".55", NULL, "rp3beta: exponent of a step of the walk"},
    {"beta", OPT_REAL, 0, 3, ".3", NULL, "rp3beta: exponent by which popular items are held back"},
    {"k1", OPT_REAL, 0, 1e4, "1.2", NULL, "bm25: where repeated use saturates"},
    {"b", OPT_REAL, 0, 1, ".75", NULL, "bm25: how much popular items are held back"},
    {"curve", OPT_ENUM, 0, 0, "log", "log|linear|binary", "implicit: what a weight counts"},
    {"damping", OPT_REAL, 0, 1e6, "1", NULL, "explicit: similarity that pulls to the bias"},
    {"max_history", OPT_INT, 2, KNN_MAX_HISTORY, "5000", NULL, "items of a user that count in training; more are sampled"},
};
// clang-format on

const rec_model_ops itemknn_ops = {
    .name = "itemknn",
    .needs = MODEL_NEEDS_INTERACTIONS,
    .options = itemknn_options,
    .n_options = sizeof itemknn_options / sizeof itemknn_options[0],
    .fit = itemknn_fit,
    .n_items = linked_n_items,
    .knows = linked_knows,
    .score = linked_score,
    .similar = linked_similar,
    .explain = linked_explain,
    .cold_score = linked_cold_score,
    .language = linked_language,
    .save = linked_save,
    .load = itemknn_load,
    .check = linked_check,
    .nbyte = linked_nbyte,
    .close = linked_close,
};
