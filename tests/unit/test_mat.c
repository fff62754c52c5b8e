/* Chunked matrices and sparse rows: shape, products, stored form, hostile bytes. */
#include "unit.h"

#include "alloc.h"

static void fill(mat *m, unsigned long long seed) {
    for (size_t i = 0; i < m->n_rows; i++)
        for (size_t k = 0; k < m->dim; k++)
            mat_row(m, i)[k] = (float)(2 * unit_uniform(&seed) - 1);
}

static void check_shape(const mat *m, size_t n_rows) {
    size_t sum = 0;
    for (size_t c = 0; c < m->n_chunks; c++) {
        sum += mat_chunk_rows(m, c);
        CHECK(mat_chunk_rows(m, c) * m->dim * 4 <= MAT_CHUNK_BYTES ||
              mat_chunk_rows(m, c) == 1);
    }
    CHECK(m->n_rows == n_rows && sum == n_rows);
}

static void test_mat(void) {
    mat m;
    CHECK(mat_init(&m, 3, 0, NULL) == REC_RANGE);
    CHECK(!mat_init(&m, 0, 5, NULL) && m.n_chunks == 0);
    mat_clear(&m);
    CHECK(mat_init(&m, SIZE_MAX, 5, NULL) == REC_NOMEM && m.chunk == NULL);
    CHECK(!mat_init(&m, 10, 1000, NULL)); /* 1024 rows a chunk */
    for (size_t i = 0; i < 10; i++) mat_row(&m, i)[999] = (float)i;
    static const size_t size[] = {10, 1023, 1024, 1025, 5000, 4096, 1025, 1, 0, 3};
    for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
        size_t before = m.n_rows;
        CHECK(!mat_resize(&m, size[s], NULL));
        check_shape(&m, size[s]);
        size_t bad = 0;
        for (size_t i = 0; i < m.n_rows; i++)
            for (size_t k = 0; i >= before && k < 1000; k++)
                bad += mat_row(&m, i)[k] != 0;
        CHECK(bad == 0 && mat_nbyte(&m) >= m.n_rows * 4000);
        if (m.n_rows > 9 && s < 7) CHECK(mat_row(&m, 9)[999] == 9);
    }
    mat_clear(&m);
    CHECK(!mat_init(&m, 3, 2000000, NULL) && m.n_chunks == 3); /* a row passes 4 MiB */
    mat_clear(&m);
    mat_clear(&m);
}

static void test_mat_stored(void) {
    mat m, back;
    bytes_writer w = {0};
    rec_err err = {0};
    CHECK(!mat_init(&m, 20, 7, NULL));
    fill(&m, 5);
    mat_write(&m, &w);
    CHECK(w.n == 12 + 20 * 7 * 4);
    for (size_t cut = 0; cut <= w.n; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, w.data, cut);
        bytes_reader r = {copy, cut, 0, REC_OK};
        rec_status rc = mat_read(&r, &back, &err);
        CHECK(cut == w.n ? rc == REC_OK : rc == REC_CORRUPT && back.chunk == NULL);
        if (!rc) CHECK(memcmp(back.chunk[0], m.chunk[0], 560) == 0);
        mat_clear(&back);
        free(copy);
    }
    for (size_t i = 0; i < w.n; i++)
        for (int x = 0; x < 3; x++) {
            uint8_t was = w.data[i];
            w.data[i] = (uint8_t)(x == 0 ? 0xff : x == 1 ? 0 : was + 1);
            bytes_reader r = {w.data, w.n, 0, REC_OK};
            rec_status rc = mat_read(&r, &back, &err);
            CHECK(rc == REC_OK || rc == REC_CORRUPT);
            mat_clear(&back);
            w.data[i] = was;
        }
    mat_row(&m, 3)[2] = NAN;
    bytes_clear(&w);
    mat_write(&m, &w);
    bytes_reader r = {w.data, w.n, 0, REC_OK};
    CHECK(mat_read(&r, &back, &err) == REC_CORRUPT && strstr(err.msg, "row 3"));
    bytes_clear(&w);
    mat_clear(&m);
}

/* ---- sparse --------------------------------------------------------------------------- */

enum { ROWS = 40, COLS = 30, N = 500 };

static void random_entries(csr_entry *e, double dense[ROWS][COLS]) {
    unsigned long long seed = 21;
    memset(dense, 0, sizeof(double[ROWS][COLS]));
    for (int i = 0; i < N; i++) {
        e[i].row =
            (uint32_t)(unit_rand(&seed) % (ROWS - 1)); /* the last row is empty */
        e[i].col = (uint32_t)(unit_rand(&seed) % COLS);
        e[i].val = (float)(unit_rand(&seed) % 100);
        dense[e[i].row][e[i].col] += e[i].val;
    }
}

static void check_csr(const csr *a, double dense[ROWS][COLS], bool transposed) {
    size_t n = 0;
    CHECK(a->ptr[0] == 0 && a->ptr[a->n_rows] == a->n_val);
    for (size_t row = 0; row < a->n_rows; row++)
        for (size_t i = a->ptr[row]; i < a->ptr[row + 1]; i++, n++) {
            if (i > a->ptr[row]) CHECK(a->col[i - 1] < a->col[i]);
            double want = transposed ? dense[a->col[i]][row] : dense[row][a->col[i]];
            CHECK(a->val[i] == want);
        }
    CHECK(n == a->n_val);
}

static void test_csr(void) {
    static double dense[ROWS][COLS];
    csr_entry e[N];
    csr a, t;
    mat x, y, z;
    random_entries(e, dense);
    CHECK(!csr_from_entries(&a, e, N, ROWS, COLS, NULL) && a.n_val < N);
    CHECK(!csr_transpose(&a, &t, NULL) && t.n_rows == COLS && t.n_cols == ROWS);
    check_csr(&a, dense, false);
    check_csr(&t, dense, true);
    CHECK(!mat_init(&x, COLS, 9, NULL) && !mat_init(&y, ROWS, 9, NULL));
    CHECK(!mat_init(&z, ROWS, 9, NULL));
    fill(&x, 3);
    rec_run run = {.n_threads = 3};
    CHECK(!csr_times_mat(&a, &x, &y, NULL, NULL) &&
          !csr_times_mat(&a, &x, &z, &run, NULL));
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < 9; k++) {
            double want = 0;
            for (int j = 0; j < COLS; j++)
                want += dense[i][j] * mat_row(&x, (size_t)j)[k];
            CHECK_NEAR(mat_row(&y, (size_t)i)[k], want, 1e-3);
            CHECK(mat_row(&y, (size_t)i)[k] == mat_row(&z, (size_t)i)[k]);
        }
    CHECK(csr_times_mat(&a, &y, &x, NULL, NULL) == REC_BUG);
    mat_clear(&x), mat_clear(&y), mat_clear(&z);
    csr_clear(&a), csr_clear(&t);
    rec_err err = {0};
    csr_entry bad = {.row = 3, .col = COLS, .val = 1};
    CHECK(csr_from_entries(&a, &bad, 1, ROWS, COLS, &err) == REC_RANGE &&
          a.ptr == NULL);
    CHECK(!csr_from_entries(&a, NULL, 0, 0, 0, &err) && a.n_val == 0);
    CHECK(!csr_transpose(&a, &t, NULL));
    csr_clear(&a), csr_clear(&t);
    ALLOC_LOOP(random_entries(e, dense);
               rc = csr_from_entries(&a, e, N, ROWS, COLS, NULL); csr_clear(&a));
}

static void test_csr_stored(void) {
    static double dense[ROWS][COLS];
    csr_entry e[N];
    csr a, back, t;
    bytes_writer w = {0};
    rec_err err = {0};
    random_entries(e, dense);
    CHECK(!csr_from_entries(&a, e, 60, ROWS, COLS, NULL));
    csr_write(&a, &w);
    for (size_t cut = 0; cut <= w.n; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, w.data, cut);
        bytes_reader r = {copy, cut, 0, REC_OK};
        rec_status rc = csr_read(&r, &back, &err);
        CHECK(cut == w.n ? rc == REC_OK && back.n_val == a.n_val : rc == REC_CORRUPT);
        csr_clear(&back);
        free(copy);
    }
    for (size_t i = 0; i < w.n; i++)
        for (int x = 0; x < 4; x++) {
            uint8_t was = w.data[i];
            w.data[i] = (uint8_t)(x == 0   ? 0xff
                                  : x == 1 ? 0
                                  : x == 2 ? was + 1
                                           : was - 1);
            bytes_reader r = {w.data, w.n, 0, REC_OK};
            rec_status rc = csr_read(&r, &back, &err);
            CHECK(rc == REC_OK || rc == REC_CORRUPT || rc == REC_NOMEM);
            if (!rc && back.n_cols < 1000) { /* what was let in is usable */
                CHECK(!csr_transpose(&back, &t, NULL));
                csr_clear(&t);
            }
            csr_clear(&back);
            w.data[i] = was;
        }
    bytes_reader r;
    ALLOC_LOOP(r = (bytes_reader){w.data, w.n, 0, REC_OK};
               rc = csr_read(&r, &back, NULL); csr_clear(&back));
    ALLOC_LOOP(rc = csr_transpose(&a, &t, NULL); csr_clear(&t));
    bytes_clear(&w);
    csr_clear(&a);
}

int main(void) {
    UNIT_BEGIN("mat");
    alloc_install();
    test_mat();
    test_mat_stored();
    test_csr();
    test_csr_stored();
    mat m;
    ALLOC_LOOP(rc = mat_init(&m, 5000, 1000, NULL);
               if (!rc) rc = mat_resize(&m, 9000, NULL); mat_clear(&m));
    CHECK(unit_live == 0);
    return UNIT_END();
}
