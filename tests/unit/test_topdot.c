/* The best rows for many vectors: the same entries as scoring each pair alone, whatever the shape of the data. */
#include "unit.h"

#include "alloc.h"

#include "../../ext/model/model.h"

typedef struct world {
    mat rows;
    size_t n, dim, stride;
    float *x, *bias, *length;
    double *shift, scale;
    bitmap *allowed;
    uint32_t *place;
} world;

static float score_pair(const void *ctx, size_t v, uint32_t row) {
    const world *w = ctx;
    float dot =
        vec_kernels()->dot(mat_row(&w->rows, row), w->x + v * w->stride, w->dim);
    if (w->length) return vectors_cosine((double)dot, 1, (double)w->length[row]);
    return (float)(w->scale * (dot + (double)(w->bias ? w->bias[row] : 0)) +
                   (w->shift ? w->shift[v] : 0));
}

typedef enum { PLAIN, COARSE, BIASED, WIDE, ZERO, COSINE, COSINE_WIDE } shape;

/* Values: normal; of a grid, so that scores tie; with bias, scale and shift; over forty powers of ten; all 0; the
 * first and the fourth once more, by cosine. */
static float draw(shape kind, unsigned long long *s) {
    double u = unit_uniform(s) * 2 - 1;
    if (kind == COARSE) return (float)(floor(u * 2) / 2);
    if (kind == WIDE || kind == COSINE_WIDE)
        return (float)(u * pow(10, unit_uniform(s) * 40 - 20));
    return kind == ZERO ? 0 : (float)u;
}

static void flip(bitmap *b, size_t i) {
    if (bitmap_has(b, i))
        bitmap_unset(b, i);
    else
        bitmap_set(b, i);
}

static void build(world *w, size_t n_rows, size_t n, uint32_t dim, shape kind) {
    unsigned long long s = 77 + n_rows * 31 + n;
    memset(w, 0, sizeof *w);
    *w = (world){.n = n, .dim = dim, .stride = dim + 1, .scale = 1};
    CHECK(!mat_init(&w->rows, n_rows, dim, NULL));
    for (size_t i = 0; i < n_rows; i++)
        for (size_t k = 0; k < dim; k++) mat_row(&w->rows, i)[k] = draw(kind, &s);
    w->x = rec_zeros(n * w->stride, sizeof *w->x);
    for (size_t i = 0; i < n * w->stride; i++) w->x[i] = draw(kind, &s);
    if (kind >= COSINE) w->length = rec_array(n_rows, sizeof *w->length);
    for (size_t i = 0; w->length && i < n_rows; i++) {
        if (i % 50 == 7) memset(mat_row(&w->rows, i), 0, dim * sizeof(float));
        w->length[i] = vec_norm(mat_row(&w->rows, i), dim);
    }
    for (size_t v = 0; w->length && v < n; v++)
        if (!vec_normalize(w->x + v * w->stride, dim))
            memset(w->x + v * w->stride, 0, dim * sizeof *w->x);
    w->place = rec_array(n_rows, sizeof *w->place);
    for (size_t i = 0; i < n_rows; i++) w->place[i] = (uint32_t)i;
    for (size_t i = n_rows; i > 1; i--) {
        size_t j = unit_rand(&s) % i;
        uint32_t t = w->place[i - 1];
        w->place[i - 1] = w->place[j], w->place[j] = t;
    }
    w->allowed = rec_zeros(n, sizeof *w->allowed);
    for (size_t v = 0; v < n; v++) {
        CHECK(!bitmap_init(&w->allowed[v], n_rows, v % 6 < 4, NULL));
        for (size_t i = 0; i < n_rows; i++)
            if (unit_rand(&s) % (v % 6 == 5 ? 40 : 3) == 0) flip(&w->allowed[v], i);
    }
    if (kind != BIASED) return;
    w->scale = 1.7;
    w->bias = rec_array(n_rows, sizeof *w->bias);
    w->shift = rec_array(n, sizeof *w->shift);
    for (size_t i = 0; i < n_rows; i++) w->bias[i] = draw(kind, &s);
    for (size_t v = 0; v < n; v++) w->shift[v] = 3 + (double)draw(kind, &s);
}

static void destroy(world *w) {
    mat_clear(&w->rows);
    for (size_t v = 0; v < w->n; v++) bitmap_clear(&w->allowed[v]);
    rec_free(w->allowed);
    rec_free(w->place);
    rec_free(w->x);
    rec_free(w->bias);
    rec_free(w->length);
    rec_free(w->shift);
}

static rec_status run_topdot(const world *w, size_t k, rec_run *run, topk *found) {
    topdot t = {&w->rows,   w->length, w->bias,  w->x,       w->n,
                w->stride,  w->scale,  w->shift, score_pair, w,
                w->allowed, w->place,  found};
    rec_status st = REC_OK;
    for (size_t v = 0; v < w->n; v++) memset(&found[v], 0, sizeof found[v]);
    for (size_t v = 0; v < w->n && !st; v++) st = topk_init(&found[v], k, NULL);
    return st ? st : topdot_run(&t, run, NULL);
}

static void clear_all(topk *found, size_t n) {
    for (size_t v = 0; v < n; v++) topk_clear(&found[v]);
}

static void check_case(size_t n_rows, size_t n, uint32_t dim, size_t k, shape kind) {
    world w;
    rec_run two = {.n_threads = 2};
    size_t wrong = 0;
    build(&w, n_rows, n, dim, kind);
    topk *found = rec_zeros(n, sizeof *found);
    CHECK(!run_topdot(&w, k, n % 2 ? &two : NULL, found));
    for (size_t v = 0; v < n; v++) {
        topk one;
        CHECK(!topk_init(&one, k, NULL));
        for (size_t i = 0; i < n_rows; i++) {
            float s = score_pair(&w, v, (uint32_t)i);
            if (bitmap_has(&w.allowed[v], i) && isfinite(s))
                topk_push(&one, -s, w.place[i]);
        }
        topk_sort(&one);
        topk_sort(&found[v]);
        wrong += one.n != found[v].n;
        for (size_t i = 0; i < one.n && i < found[v].n; i++)
            wrong += one.a[i].id != found[v].a[i].id ||
                     memcmp(&one.a[i].value, &found[v].a[i].value, sizeof(float)) != 0;
        topk_clear(&one);
    }
    if (wrong)
        fprintf(stderr, "%zu rows, %zu vectors of %u, k %zu, shape %d: %zu wrong\n",
                n_rows, n, dim, k, kind, wrong);
    CHECK(wrong == 0);
    clear_all(found, n);
    rec_free(found);
    destroy(&w);
}

static bool say_yes(void *ctx) {
    (void)ctx;
    return true;
}

int main(void) {
    UNIT_BEGIN("topdot");
    alloc_install();
    static const uint32_t dims[] = {1, 7, 16, 33, 64, 100};
    static const size_t rows[] = {0, 1, 5, 63, 64, 65, 700},
                        vectors[] = {1, 2, 3, 31, 32, 33, 97};
    for (int kind = PLAIN; kind <= COSINE_WIDE; kind++)
        for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++)
            for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
                check_case(rows[r], vectors[(r + d) % 7], dims[d],
                           (size_t[]){0, 1, 10, 1000}[(r + 2 * d) % 4], (shape)kind);
    check_case(20000, 130, 40, 10, PLAIN); /* several rounds and chunks */

    world w;
    topk found[5];
    build(&w, 200, 5, 8, PLAIN);
    ALLOC_LOOP(rc = run_topdot(&w, 3, NULL, found); clear_all(found, 5););
    rec_run stopped = {.n_threads = 1, .interrupted = say_yes};
    CHECK(run_topdot(&w, 3, &stopped, found) == REC_INTR);
    clear_all(found, 5);
    destroy(&w);
    CHECK(unit_live == 0);
    return UNIT_END();
}
