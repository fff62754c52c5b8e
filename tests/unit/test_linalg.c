/* Dense algebra against plain loops and against linalg_ref.c; randomised SVD against
 * matrices whose factors are known. */
#include "unit.h"

#include "alloc.h"

static unsigned long long seed = 77;

static float *random_floats(size_t n) {
    float *p = rec_array(n, sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = (float)(2 * unit_uniform(&seed) - 1);
    return p;
}

static void random_mat(mat *m, size_t n_rows, uint32_t dim) {
    CHECK(!mat_init(m, n_rows, dim, NULL));
    for (size_t i = 0; i < n_rows; i++)
        for (uint32_t k = 0; k < dim; k++)
            mat_row(m, i)[k] = (float)(2 * unit_uniform(&seed) - 1);
}

/* ---- gemm ------------------------------------------------------------------------------ */

static void check_gemm(size_t m, size_t n, size_t k, bool ta, bool tb, float beta) {
    size_t lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1, ldc = n + 3;
    float *a = random_floats((ta ? k : m) * lda),
          *b = random_floats((tb ? n : k) * ldb);
    float *c = random_floats(m * ldc), *d = rec_array(m * ldc, sizeof *d);
    memcpy(d, c, m * ldc * sizeof *c);
    la_gemm_args g = {ta, tb, m, n, k, 0.5f, beta, a, b, c, lda, ldb, ldc}, h = g;
    h.c = d;
    float *before = rec_array(m * ldc, sizeof *before);
    memcpy(before, c, m * ldc * sizeof *c);
    la_gemm(&g);
    la_ref_gemm(&h);
    double worst = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < ldc; j++) {
            double want = before[i * ldc + j];
            if (j < n) {
                want *= beta;
                for (size_t x = 0; x < k; x++)
                    want += 0.5 * a[ta ? x * lda + i : i * lda + x] *
                            b[tb ? j * ldb + x : x * ldb + j];
            }
            worst = fmax(worst, fabs(c[i * ldc + j] - want));
            worst = fmax(worst, fabs(d[i * ldc + j] - want));
        }
    CHECK_NEAR(worst, 0, 1e-6 * (double)(k + 2));
    rec_free(a), rec_free(b), rec_free(c), rec_free(d), rec_free(before);
}

static void test_gemm(void) {
    static const size_t size[][3] = {
        {1, 1, 1}, {3, 5, 7}, {17, 300, 9}, {64, 64, 64}, {5, 4, 0}};
    for (size_t s = 0; s < sizeof size / sizeof *size; s++)
        for (int t = 0; t < 4; t++)
            for (int beta = 0; beta < 3; beta++)
                check_gemm(size[s][0], size[s][1], size[s][2], t & 1, t & 2,
                           beta == 0   ? 0.0f
                           : beta == 1 ? 1.0f
                                       : -0.5f);
    float a = 1, b = 2, c = NAN; /* beta = 0 does not read C */
    la_gemm(&(la_gemm_args){false, false, 1, 1, 1, 1, 0, &a, &b, &c, 1, 1, 1});
    CHECK(c == 2);
}

static void test_mat_products(void) {
    mat a, b, out;
    random_mat(&a, 3000, 700), random_mat(&b, 3000, 3); /* different chunks */
    float *g = rec_array(700 * 700, 4), *p = rec_array(700 * 3, 4),
          *w = random_floats(2100);
    CHECK(!la_gram(&a, g, NULL, NULL) && !la_mat_tmul(&a, &b, p, NULL, NULL));
    CHECK(!la_mat_mul(&a, w, 3, &out, NULL, NULL));
    for (int t = 0; t < 30; t++) {
        size_t i = unit_rand(&seed) % 700, j = unit_rand(&seed) % 700,
               r = unit_rand(&seed) % 3000;
        double gram = 0, cross = 0, product = 0;
        for (size_t k = 0; k < 3000; k++) {
            gram += (double)mat_row(&a, k)[i] * mat_row(&a, k)[j];
            cross += (double)mat_row(&a, k)[i] * mat_row(&b, k)[j % 3];
        }
        for (size_t k = 0; k < 700; k++)
            product += (double)mat_row(&a, r)[k] * w[k * 3 + j % 3];
        CHECK_NEAR(g[i * 700 + j], gram, 1e-3);
        CHECK(g[i * 700 + j] == g[j * 700 + i]);
        CHECK_NEAR(p[i * 3 + j % 3], cross, 1e-3);
        CHECK_NEAR(mat_row(&out, r)[j % 3], product, 1e-3);
    }
    float *v = random_floats(700), *dots = rec_array(3000, 4);
    mat_times_vec(&a, v, dots);
    CHECK_NEAR(dots[2999], vec_ref_kernels.dot(mat_row(&a, 2999), v, 700), 1e-3);
    CHECK(la_mat_tmul(&a, &(mat){.n_rows = 1, .dim = 1}, p, NULL, NULL) == REC_BUG);
    mat_clear(&a), mat_clear(&b), mat_clear(&out);
    rec_free(g), rec_free(p), rec_free(w), rec_free(v), rec_free(dots);
}

/* ---- eigen --------------------------------------------------------------------------------- */

static void check_eigen(const float *a, const float *v, const float *w, size_t n) {
    double worst = 0, unit = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) CHECK(w[i - 1] <= w[i]);
        for (size_t r = 0; r < n; r++) { /* A v = w v */
            double s = 0;
            for (size_t c = 0; c < n; c++) s += (double)a[r * n + c] * v[i * n + c];
            worst = fmax(worst, fabs(s - (double)w[i] * v[i * n + r]));
        }
        for (size_t j = 0; j <= i; j++) {
            double s = 0;
            for (size_t c = 0; c < n; c++) s += (double)v[i * n + c] * v[j * n + c];
            unit = fmax(unit, fabs(s - (i == j)));
        }
    }
    CHECK_NEAR(worst, 0, 2e-5 * (double)n);
    CHECK_NEAR(unit, 0, 2e-5);
}

static void test_eigen(void) {
    static const size_t size[] = {1, 2, 3, 10, 65};
    for (int shape = 0; shape < 4; shape++)
        for (int s = 0; s < 5; s++) {
            size_t n = size[s];
            float *a = random_floats(n * n), *b = rec_array(n * n, 4),
                  *c = rec_array(n * n, 4);
            float *w = rec_array(n, 4), *x = rec_array(n, 4);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j <= i; j++) {
                    if (shape == 1) a[i * n + j] = i == j ? (float)(i % 3) : 0;
                    if (shape == 2) a[i * n + j] = 0;
                    if (shape == 3) a[i * n + j] = 1;
                    a[j * n + i] = a[i * n + j];
                }
            memcpy(b, a, n * n * 4), memcpy(c, a, n * n * 4);
            CHECK(!la_eigh(b, n, w, NULL) && !la_ref_eigh(c, n, x, NULL));
            check_eigen(a, b, w, n);
            check_eigen(a, c, x, n);
            for (size_t i = 0; i < n; i++) CHECK_NEAR(w[i], x[i], 1e-5 * (double)n);
            rec_free(a), rec_free(b), rec_free(c), rec_free(w), rec_free(x);
        }
    float a = 3, w;
    ALLOC_LOOP(a = 3; rc = la_eigh(&a, 1, &w, NULL));
    ALLOC_LOOP(a = 3; rc = la_ref_eigh(&a, 1, &w, NULL));
}

/* ---- orthonormal columns ------------------------------------------------------------------------- */

static void check_ortho(mat *m, uint32_t n_empty) {
    uint32_t p = m->dim, zero = 0;
    float *g = rec_array((size_t)p * p, 4);
    CHECK(!la_orthonormalize(m, NULL, NULL) && !la_gram(m, g, NULL, NULL));
    double worst = 0;
    for (uint32_t i = 0; i < p; i++) {
        bool empty = g[i * p + i] == 0;
        zero += empty;
        for (uint32_t j = 0; j < p; j++)
            worst = fmax(worst, fabs(g[i * p + j] - (i == j && !empty)));
    }
    CHECK(zero == n_empty);
    CHECK_NEAR(worst, 0, 2e-6);
    rec_free(g);
}

static void test_ortho(void) {
    mat m;
    random_mat(&m, 2500, 20);
    check_ortho(&m, 0);
    check_ortho(&m, 0); /* again changes nothing that matters */
    for (size_t i = 0; i < m.n_rows; i++) {
        float *row = mat_row(&m, i);
        row[3] = 0;                          /* no content */
        row[7] = 2 * row[2] - row[1];        /* depends on others */
        row[9] = row[8] + 1e-3f * row[10];   /* nearly depends */
        row[12] *= 1e-15f, row[13] *= 1e15f; /* scale does not matter */
    }
    check_ortho(&m, 2);
    mat_clear(&m);
    random_mat(&m, 5, 9); /* more columns than rows */
    check_ortho(&m, 4);
    mat_clear(&m);
    random_mat(&m, 300, 1);
    check_ortho(&m, 0);
    mat_clear(&m);
    CHECK(!mat_init(&m, 0, 3, NULL) && !la_orthonormalize(&m, NULL, NULL));
    mat_clear(&m);
    ALLOC_LOOP(rc = mat_init(&m, 100, 5, NULL); if (!rc) {
        for (size_t i = 0; i < 500; i++) m.chunk[0][i] = (float)(i * i % 97);
        rc = la_orthonormalize(&m, NULL, NULL);
    } mat_clear(&m));
}

/* ---- randomised SVD ------------------------------------------------------------------------------- */

enum { R = 200, C = 120, K = 6 };

/* A = sum s_k u_k v_k^T with s_k = 100 / 3^k */
static void known_matrix(csr *a, csr *at) {
    mat u, v;
    csr_entry *e = rec_array(R * C, sizeof *e);
    random_mat(&u, R, K), random_mat(&v, C, K);
    CHECK(!la_orthonormalize(&u, NULL, NULL) && !la_orthonormalize(&v, NULL, NULL));
    for (uint32_t i = 0; i < R; i++)
        for (uint32_t j = 0; j < C; j++) {
            double x = 0;
            for (int k = 0; k < K; k++)
                x += 100 / pow(3, k) * mat_row(&u, i)[k] * mat_row(&v, j)[k];
            e[i * C + j] = (csr_entry){i, j, (float)x};
        }
    CHECK(!csr_from_entries(a, e, R * C, R, C, NULL) && !csr_transpose(a, at, NULL));
    rec_free(e);
    mat_clear(&u), mat_clear(&v);
}

static double worst_error(const csr *a, const mat *u, const float *s, const mat *v) {
    double worst = 0;
    for (size_t i = 0; i < a->n_rows; i++)
        for (size_t j = 0; j < a->n_cols; j++) {
            double x = 0;
            for (size_t k = 0; k < u->dim; k++)
                x += (double)mat_row(u, i)[k] * s[k] * mat_row(v, j)[k];
            worst = fmax(worst, fabs(x - a->val[i * a->n_cols + j]));
        }
    return worst;
}

static void test_rsvd(void) {
    csr a, at;
    mat u, v, v2;
    float s[C], s2[C];
    rec_err err = {0};
    known_matrix(&a, &at);
    for (uint32_t rank = 1; rank <= 10; rank += 3) {
        rsvd_args x = {&a, &at, rank, 5, 2, 1, NULL, "svd"};
        rec_run run = {.n_threads = 2};
        CHECK(!rsvd(&x, &u, s, &v, &run, &err));
        CHECK(u.n_rows == R && u.dim == rank && v.n_rows == C && v.dim == rank);
        for (uint32_t k = 0; k < rank; k++) {
            CHECK_NEAR(s[k], k < K ? 100 / pow(3, k) : 0, 1e-4);
            float best = 0;
            double norm = 0;
            for (size_t i = 0; i < C; i++) {
                float y = mat_row(&v, i)[k];
                norm += (double)y * y;
                if (fabsf(y) > fabsf(best)) best = y;
            }
            CHECK_NEAR(norm, k < K, 1e-5);
            CHECK(k < K ? best > 0 : best == 0 && s[k] == 0);
        }
        if (rank >= K) CHECK_NEAR(worst_error(&a, &u, s, &v), 0, 1e-4);
        x.seed = 99; /* another sample, the same answer */
        CHECK(!rsvd(&x, NULL, s2, &v2, NULL, &err));
        for (uint32_t k = 0; k < rank && k < K; k++) {
            CHECK_NEAR(s2[k], s[k], 1e-4);
            for (size_t i = 0; i < C; i++)
                CHECK_NEAR(mat_row(&v2, i)[k], mat_row(&v, i)[k], 1e-3);
        }
        mat_clear(&u), mat_clear(&v), mat_clear(&v2);
    }
    rsvd_args bad = {&a, &at, C + 1, 5, 2, 1, NULL, "svd"};
    CHECK(rsvd(&bad, &u, s, &v, NULL, &err) == REC_RANGE && u.chunk == NULL);
    bad.rank = 0;
    CHECK(rsvd(&bad, &u, s, &v, NULL, &err) == REC_RANGE);
    rsvd_args full = {&a, &at, C, 5, 1, 1, NULL, "svd"};
    CHECK(!rsvd(&full, &u, s, &v, NULL, &err) && s[K] == 0 && s[C - 1] == 0);
    CHECK_NEAR(worst_error(&a, &u, s, &v), 0, 2e-4);
    mat_clear(&u), mat_clear(&v);
    rsvd_args small = {&a, &at, 2, 2, 1, 1, NULL, "svd"};
    ALLOC_LOOP(rc = rsvd(&small, &u, s, &v, NULL, NULL); mat_clear(&u); mat_clear(&v));
    csr_clear(&a), csr_clear(&at);
}

static bool always(void *ctx) {
    (void)ctx;
    return true;
}

static void test_interrupted(void) {
    csr a, at;
    mat u, v;
    float s[4];
    known_matrix(&a, &at);
    rec_run run = {.n_threads = 2, .interrupted = always};
    rsvd_args x = {&a, &at, 4, 2, 1, 1, NULL, "svd"};
    CHECK(rsvd(&x, &u, s, &v, &run, NULL) == REC_INTR && u.chunk == NULL &&
          v.chunk == NULL);
    csr_clear(&a), csr_clear(&at);
    mat zero;
    csr_entry none;
    CHECK(!csr_from_entries(&a, &none, 0, 10, 8, NULL) &&
          !csr_transpose(&a, &at, NULL));
    rsvd_args z = {&a, &at, 3, 2, 1, 1, NULL, "svd"}; /* a matrix without content */
    CHECK(!rsvd(&z, NULL, s, &zero, NULL, NULL) && s[0] == 0 && s[2] == 0);
    CHECK(mat_row(&zero, 7)[2] == 0);
    mat_clear(&zero);
    csr_clear(&a), csr_clear(&at);
}

int main(void) {
    UNIT_BEGIN("linalg");
    alloc_install();
    test_gemm();
    test_mat_products();
    test_eigen();
    test_ortho();
    test_rsvd();
    test_interrupted();
    CHECK(strcmp(la_backend(), "openblas") == 0 ||
          strcmp(la_backend(), "builtin") == 0);
    CHECK(unit_live == 0);
    return UNIT_END();
}
