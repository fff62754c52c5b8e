/* fn_vector.c - scalar functions on vectors, and the centroid.
 *
 *   rec_vector(x [, type])        JSON, float32 BLOB or a typed vector -> stored form of `type`
 *     SELECT rec_vector_json(rec_vector('[1, 2]', 'int8'));             -> [1,2]
 *   rec_vector_json(v [, type])   -> text; each number is the shortest that reads back the same
 *     SELECT rec_vector_json(x'0000803f0000003f');                      -> [1,0.5]
 *   rec_distance(a, b, metric [, type])
 *     SELECT rec_distance('[0, 3]', '[4, 0]', 'l2');                    -> 5.0
 *   rec_normalize(v)              -> float32 of length 1; a zero vector stays zero
 *   rec_dim(v [, type])           SELECT rec_dim('[1, 2, 3]');          -> 3
 *   rec_centroid(v [, weight])    sum(weight * v) / sum(|weight|) over rows, NULLs left out
 *   rec_version()                 JSON: versions, kernels, BLAS
 *
 * A bare BLOB is little-endian float32. `type` says that a BLOB is in that stored form instead;
 * for rec_vector it is the form of the result. What rec_vector returns remembers its type (a
 * subtype, sq_value.c), so it needs no `type` where it is passed on directly.
 *
 * I1. NULL in, NULL out. I2. DETERMINISTIC are those that give equal bits on every machine;
 * sums of floats differ in the last bit between instruction sets.
 */
#include "../rec.h"
#include "sq.h"

#include <math.h>

#define EXACT (SQLITE_UTF8 | SQLITE_INNOCUOUS | SQLITE_DETERMINISTIC | SQLITE_SUBTYPE)
#define SUMS  (SQLITE_UTF8 | SQLITE_INNOCUOUS | SQLITE_SUBTYPE)

/* ---- arguments ------------------------------------------------------------------------------- */

static rec_status read_type(sqlite3_value *v, const char *what, vec_type *out,
                            rec_err *err) {
    const char *text = (const char *)sqlite3_value_text(v);
    for (int t = VEC_F32; t <= VEC_BIT && text; t++)
        if (sqlite3_stricmp(text, vec_type_name((vec_type)t)) == 0) {
            *out = (vec_type)t;
            return REC_OK;
        }
    return rec_fail(err, REC_RANGE,
                    "%s: type %s is unknown; types are float32, float16, int8, bit",
                    what, text ? text : "NULL");
}

/* A vector argument; type: of a BLOB that carries none itself. */
static rec_status read_vector(sqlite3_value *v, vec_type type, const char *what,
                              float **out, uint32_t *dim, rec_err *err) {
    bool is_bare =
        sqlite3_value_type(v) == SQLITE_BLOB && sq_vector_subtype(v) == VEC_F32;
    if (!is_bare || type == VEC_F32) return sq_vector(v, 0, what, out, dim, err);
    cell c = sq_cell(v);
    return sq_vector_from_bytes(type, c.p, c.nbyte, what, out, dim, err);
}

static void result_bytes(sqlite3_context *ctx, void *taken, size_t nbyte) {
    sqlite3_result_blob64(ctx, taken, nbyte, rec_free);
}

/* The type argument at i, or what the value carries. */
static rec_status type_of(int argc, sqlite3_value **argv, int i, const char *what,
                          vec_type *out, rec_err *err) {
    *out = sq_vector_subtype(argv[0]);
    return i < argc ? read_type(argv[i], what, out, err) : REC_OK;
}

static bool has_null(int argc, sqlite3_value **argv) {
    for (int i = 0; i < argc; i++)
        if (sqlite3_value_type(argv[i]) == SQLITE_NULL) return true;
    return false;
}

/* ---- rec_vector, rec_vector_json, rec_dim, rec_normalize ------------------------------------------ */

static void fn_vector(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    static const char what[] = "rec_vector";
    rec_err err = {0}, inner = {0};
    vec_type type = VEC_F32;
    float *x = NULL;
    uint32_t dim = 0;
    if (has_null(argc, argv)) return;
    rec_status s = argc > 1 ? read_type(argv[1], what, &type, &err) : REC_OK;
    if (s == REC_OK) s = read_vector(argv[0], VEC_F32, what, &x, &dim, &err);
    uint8_t *out = s == REC_OK ? rec_malloc(vec_nbyte(type, dim)) : NULL;
    if (s == REC_OK && out == NULL) s = rec_nomem(&err);
    if (s == REC_OK && index_encode(type, x, dim, out, &inner) != REC_OK)
        s = rec_fail(&err, REC_RANGE, "%s: %s", what, inner.msg);
    rec_free(x);
    if (s != REC_OK) {
        rec_free(out);
        sq_result_error(ctx, &err);
        return;
    }
    result_bytes(ctx, out, vec_nbyte(type, dim));
    if (type != VEC_F32)
        sqlite3_result_subtype(ctx, SQ_VECTOR_SUBTYPE + (unsigned)type);
}

/* The shortest of 6 to 9 digits that reads back as x; 9 always do. */
static void put_number(bytes_writer *w, float x) {
    char buf[40];
    static const char *const fmt[] = {"%.6g", "%.7g", "%.8g", "%.9g"};
    for (int i = 0; i < 4; i++) {
        double back = 0;
        size_t n = rec_format(buf, sizeof buf, fmt[i], (double)x);
        if (rec_parse_number(buf, n, &back) == n && (float)back == x) break;
    }
    bytes_puts(w, buf);
}

static void fn_vector_json(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    static const char what[] = "rec_vector_json";
    rec_err err = {0};
    bytes_writer w = {0};
    vec_type type;
    float *x = NULL;
    uint32_t dim = 0;
    if (has_null(argc, argv)) return;
    rec_status s = type_of(argc, argv, 1, what, &type, &err);
    if (s == REC_OK) s = read_vector(argv[0], type, what, &x, &dim, &err);
    for (uint32_t i = 0; i < dim && s == REC_OK; i++) {
        bytes_puts(&w, i ? "," : "[");
        put_number(&w, x[i]);
    }
    if (s == REC_OK) bytes_puts(&w, "]");
    rec_free(x);
    size_t n = w.n;
    char *text = s == REC_OK ? bytes_take_text(&w) : NULL;
    bytes_clear(&w);
    if (s == REC_OK && text == NULL) s = rec_nomem(&err);
    if (s == REC_OK)
        sqlite3_result_text64(ctx, text, n, rec_free, SQLITE_UTF8);
    else
        sq_result_error(ctx, &err);
}

static void fn_dim(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    vec_type type;
    float *x = NULL;
    uint32_t dim = 0;
    if (has_null(argc, argv)) return;
    rec_status s = type_of(argc, argv, 1, "rec_dim", &type, &err);
    if (s == REC_OK) s = read_vector(argv[0], type, "rec_dim", &x, &dim, &err);
    rec_free(x);
    if (s == REC_OK)
        sqlite3_result_int64(ctx, dim);
    else
        sq_result_error(ctx, &err);
}

static void fn_normalize(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    float *x = NULL;
    uint32_t dim = 0;
    if (has_null(argc, argv)) return;
    rec_status s = sq_vector(argv[0], 0, "rec_normalize", &x, &dim, &err);
    if (s != REC_OK) {
        sq_result_error(ctx, &err);
        return;
    }
    vec_normalize(x, dim);
    result_bytes(ctx, x, dim * sizeof(float));
}

/* ---- rec_distance ------------------------------------------------------------------------------------ */

/* A parsed JSON argument is kept while the statement passes the same constant. */
typedef struct kept {
    float *x;
    uint32_t dim;
    bool is_kept; /* belongs to the statement already */
} kept;

static void kept_free(void *p) {
    if (p) rec_free(((kept *)p)->x);
    rec_free(p);
}

static rec_status read_kept(sqlite3_context *ctx, int i, sqlite3_value *v,
                            vec_type type, kept **out, rec_err *err) {
    bool is_text = sqlite3_value_type(v) == SQLITE_TEXT;
    *out = is_text ? sqlite3_get_auxdata(ctx, i) : NULL;
    if (*out) return REC_OK;
    *out = rec_zeros(1, sizeof **out);
    if (*out == NULL) return rec_nomem(err);
    return read_vector(v, type, "rec_distance", &(*out)->x, &(*out)->dim, err);
}

/* Hand a fresh one to the statement; called last, for it may be freed at once. */
static void keep(sqlite3_context *ctx, int i, sqlite3_value *v, kept *k) {
    if (k == NULL || k->is_kept) return;
    if (sqlite3_value_type(v) != SQLITE_TEXT || k->x == NULL) {
        kept_free(k);
        return;
    }
    k->is_kept = true;
    sqlite3_set_auxdata(ctx, i, k, kept_free);
}

static rec_status read_metric(sqlite3_value *v, vec_metric *out, rec_err *err) {
    const char *text = (const char *)sqlite3_value_text(v);
    for (int m = METRIC_COSINE; m <= METRIC_HAMMING && text; m++)
        if (sqlite3_stricmp(text, vec_metric_name((vec_metric)m)) == 0) {
            *out = (vec_metric)m;
            return REC_OK;
        }
    return rec_fail(
        err, REC_RANGE,
        "rec_distance: metric %s is unknown; metrics are cosine, ip, l2, l1, hamming",
        text ? text : "NULL");
}

static rec_status distance(const kept *a, const kept *b, vec_metric m, vec_type t,
                           double *out, rec_err *err) {
    rec_err inner = {0};
    uint32_t dim = a->dim;
    bool is_padded =
        t == VEC_BIT && (a->dim + 7) / 8 == (b->dim + 7) / 8; /* whole bytes */
    if (a->dim != b->dim && !is_padded)
        return rec_fail(err, REC_RANGE, "rec_distance: a has %u dimensions, b has %u",
                        a->dim, b->dim);
    if (b->dim < dim) dim = b->dim;
    size_t nbyte = vec_nbyte(t, dim);
    uint8_t *p = rec_array(2, nbyte);
    if (p == NULL) return rec_nomem(err);
    rec_status s = index_encode(t, a->x, dim, p, &inner);
    if (s == REC_OK) s = index_encode(t, b->x, dim, p + nbyte, &inner);
    if (s == REC_OK)
        *out = index_distance(m, t, p, p + nbyte, dim);
    else
        s = rec_fail(err, s, "rec_distance: %s", inner.msg);
    rec_free(p);
    return s;
}

static void fn_distance(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    vec_metric m = METRIC_L2;
    vec_type type = VEC_F32;
    kept *a = NULL, *b = NULL;
    double d = 0;
    if (has_null(argc, argv)) return;
    rec_status s = read_metric(argv[2], &m, &err);
    if (s == REC_OK && argc > 3) s = read_type(argv[3], "rec_distance", &type, &err);
    if (s == REC_OK && argc > 3 && (m == METRIC_HAMMING) != (type == VEC_BIT))
        s = rec_fail(&err, REC_RANGE,
                     "rec_distance: metric %s does not go with %s vectors",
                     vec_metric_name(m), vec_type_name(type));
    if (s == REC_OK) s = read_kept(ctx, 0, argv[0], type, &a, &err);
    if (s == REC_OK) s = read_kept(ctx, 1, argv[1], type, &b, &err);
    if (m == METRIC_HAMMING) type = VEC_BIT;
    if (s == REC_OK) s = distance(a, b, m, type, &d, &err);
    if (s == REC_OK)
        sqlite3_result_double(ctx, d);
    else
        sq_result_error(ctx, &err);
    keep(ctx, 0, argv[0], a);
    keep(ctx, 1, argv[1], b);
}

/* ---- rec_centroid --------------------------------------------------------------------------------------- */

typedef struct centroid {
    double *sum; /* owned */
    double weight;
    uint32_t dim;
} centroid;

static rec_status centroid_add(centroid *c, const float *x, uint32_t dim, double w,
                               rec_err *err) {
    if (c->sum == NULL) {
        c->sum = rec_zeros(dim, sizeof(double));
        if (c->sum == NULL) return rec_nomem(err);
        c->dim = dim;
    }
    if (dim != c->dim)
        return rec_fail(err, REC_RANGE,
                        "rec_centroid: a vector has %u dimensions, earlier ones %u",
                        dim, c->dim);
    for (uint32_t i = 0; i < dim; i++) c->sum[i] += w * (double)x[i];
    c->weight += fabs(w);
    return REC_OK;
}

static void fn_centroid_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    rec_err err = {0};
    float *x = NULL;
    uint32_t dim = 0;
    if (has_null(argc, argv)) return;
    centroid *c = sqlite3_aggregate_context(ctx, sizeof *c);
    if (c == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    rec_status s = REC_OK;
    if (argc > 1 && sqlite3_value_numeric_type(argv[1]) != SQLITE_INTEGER &&
        sqlite3_value_numeric_type(argv[1]) != SQLITE_FLOAT)
        s = rec_fail(&err, REC_RANGE, "rec_centroid: a weight is a number");
    double w = argc > 1 ? sqlite3_value_double(argv[1]) : 1.0;
    if (s == REC_OK && !isfinite(w))
        s = rec_fail(&err, REC_RANGE, "rec_centroid: a weight is infinite");
    if (s == REC_OK) s = sq_vector(argv[0], 0, "rec_centroid", &x, &dim, &err);
    if (s == REC_OK) s = centroid_add(c, x, dim, w, &err);
    rec_free(x);
    if (s != REC_OK) sq_result_error(ctx, &err);
}

static void fn_centroid_final(sqlite3_context *ctx) {
    centroid *c = sqlite3_aggregate_context(ctx, 0);
    if (c == NULL || c->sum == NULL) return;
    float *out = c->weight > 0 ? rec_array(c->dim, sizeof(float)) : NULL;
    bool is_finite = true;
    for (uint32_t i = 0; i < c->dim && out; i++) {
        out[i] = (float)(c->sum[i] / c->weight);
        is_finite = is_finite && isfinite(out[i]);
    }
    uint32_t dim = c->dim;
    bool has_weight = c->weight > 0;
    rec_free(c->sum);
    c->sum = NULL;
    if (!has_weight) return; /* all weights 0: NULL */
    if (out == NULL) {
        sqlite3_result_error_nomem(ctx);
    } else if (!is_finite) {
        rec_free(out);
        sqlite3_result_error(ctx, "rec_centroid: the sum is too large for float32", -1);
    } else {
        result_bytes(ctx, out, dim * sizeof(float));
    }
}

/* ---- rec_version ------------------------------------------------------------------------------------------ */

static void fn_version(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    char *text = sqlite3_mprintf(
        "{\"rec\":\"%s\",\"sqlite\":\"%s\",\"kernels\":\"%s\",\"blas\":\"%s\"}",
        REC_VERSION, sqlite3_libversion(), vec_kernels()->name, la_backend());
    if (text)
        sqlite3_result_text(ctx, text, -1, sqlite3_free);
    else
        sqlite3_result_error_nomem(ctx);
}

// clang-format off
const sq_function fn_vector_functions[] = {
    {"rec_vector",      1, EXACT | SQLITE_RESULT_SUBTYPE, fn_vector, NULL, NULL},
    {"rec_vector",      2, EXACT | SQLITE_RESULT_SUBTYPE, fn_vector, NULL, NULL},
    {"rec_vector_json", 1, EXACT, fn_vector_json, NULL, NULL},
    {"rec_vector_json", 2, EXACT, fn_vector_json, NULL, NULL},
    {"rec_dim",         1, EXACT, fn_dim, NULL, NULL},
    {"rec_dim",         2, EXACT, fn_dim, NULL, NULL},
    {"rec_distance",    3, SUMS, fn_distance, NULL, NULL},
    {"rec_distance",    4, SUMS, fn_distance, NULL, NULL},
    {"rec_normalize",   1, SUMS, fn_normalize, NULL, NULL},
    {"rec_centroid",    1, SUMS, NULL, fn_centroid_step, fn_centroid_final},
    {"rec_centroid",    2, SUMS, NULL, fn_centroid_step, fn_centroid_final},
    {"rec_version",     0, SQLITE_UTF8 | SQLITE_INNOCUOUS, fn_version, NULL, NULL},
    {NULL, 0, 0, NULL, NULL, NULL},
};
// clang-format on
