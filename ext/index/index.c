/* index.c - the kinds of index, stored forms of vectors, the definition of distance, bitmaps.
 *
 * Stored forms of one vector of dim elements, little-endian, no padding:
 *
 *   float32   4*dim bytes      float16   2*dim bytes (IEEE half)
 *   int8        dim bytes      bit       (dim+7)/8 bytes; element i is bit i%8 of byte i/8
 *
 * Adding a kind is a file with a rec_index_ops and a line in index_kinds[].
 *
 * I1. Encoding is lossless or refused, but for the rounding of float32 to float16.
 * I2. Bits beyond dim in the last byte of a bit vector are 0, so Hamming needs no mask.
 */
#include "index.h"

#include <math.h>

static const rec_index_ops *const index_kinds[] = {&flat_ops, &hnsw_ops};
#define N_KINDS (sizeof index_kinds / sizeof index_kinds[0])

const rec_index_ops *index_kind(const char *name) {
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcmp(index_kinds[i]->name, name) == 0) return index_kinds[i];
    return NULL;
}

void index_kind_names(char *out, size_t cap) {
    size_t n = 0;
    if (cap > 0) out[0] = 0;
    for (size_t i = 0; i < N_KINDS && n < cap; i++)
        n += rec_format(out + n, cap - n, "%s%s", i ? ", " : "", index_kinds[i]->name);
}

/* ---- bitmaps --------------------------------------------------------------------------- */

rec_status bitmap_init(bitmap *b, size_t n_bit, bool value, rec_err *err) {
    size_t n_word = n_bit / 64 + (n_bit % 64 != 0);
    b->n_bit = 0;
    b->word = rec_zeros(n_word, sizeof(uint64_t));
    if (b->word == NULL) return rec_nomem(err);
    b->n_bit = n_bit;
    if (!value) return REC_OK;
    memset(b->word, 0xff, n_word * sizeof(uint64_t));
    if (n_bit % 64) b->word[n_word - 1] = ((uint64_t)1 << n_bit % 64) - 1;
    return REC_OK;
}

void bitmap_clear(bitmap *b) {
    rec_free(b->word);
    *b = (bitmap){0};
}

size_t bitmap_count(const bitmap *b) {
    size_t n = 0;
    for (size_t i = 0; i < (b->n_bit + 63) / 64; i++) {
        uint64_t x = b->word[i]; /* Hacker's Delight, figure 5-2, on 64 bits */
        x -= x >> 1 & 0x5555555555555555u;
        x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
        x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
        n += (size_t)(x * 0x0101010101010101u >> 56);
    }
    return n;
}

/* ---- stored forms ------------------------------------------------------------------------ */

static rec_status encode_f16(const float *x, uint32_t dim, uint8_t *out, rec_err *err) {
    const rec_kernels *k = vec_kernels();
    uint16_t half[256];
    for (uint32_t at = 0; at < dim; at += 256) {
        uint32_t n = dim - at < 256 ? dim - at : 256;
        k->f16_from_f32(half, x + at, n);
        for (uint32_t i = 0; i < n; i++) {
            if ((half[i] & 0x7c00) == 0x7c00)
                return rec_fail(err, REC_RANGE,
                                "element %u is %g, float16 holds at most 65504 in size",
                                at + i, (double)x[at + i]);
            out[2 * (at + i)] = (uint8_t)half[i];
            out[2 * (at + i) + 1] = (uint8_t)(half[i] >> 8);
        }
    }
    return REC_OK;
}

rec_status index_encode(vec_type t, const float *x, uint32_t dim, void *out,
                        rec_err *err) {
    uint8_t *o = out;
    for (uint32_t i = 0; i < dim; i++)
        if (!isfinite(x[i]))
            return rec_fail(err, REC_RANGE, "element %u is NaN or infinite", i);
    switch (t) {
    case VEC_F32: memcpy(out, x, dim * sizeof(float)); return REC_OK;
    case VEC_F16: return encode_f16(x, dim, o, err);
    case VEC_I8:
        for (uint32_t i = 0; i < dim; i++) {
            if (!(x[i] >= -128 && x[i] <= 127) || x[i] != floorf(x[i]))
                return rec_fail(
                    err, REC_RANGE,
                    "element %u is %g, int8 holds whole numbers from -128 to 127", i,
                    (double)x[i]);
            o[i] = (uint8_t)(int8_t)x[i];
        }
        return REC_OK;
    case VEC_BIT:
        memset(o, 0, vec_nbyte(t, dim));
        for (uint32_t i = 0; i < dim; i++) {
            if (x[i] != 0 && x[i] != 1)
                return rec_fail(err, REC_RANGE, "element %u is %g, a bit is 0 or 1", i,
                                (double)x[i]);
            if (x[i] == 1) o[i / 8] |= (uint8_t)(1u << i % 8);
        }
        return REC_OK;
    }
    return rec_fail(err, REC_BUG, "unknown element type %d", (int)t);
}

void index_decode(vec_type t, const void *v, uint32_t dim, float *out) {
    const uint8_t *b = v;
    const rec_kernels *k = vec_kernels();
    uint16_t half[256];
    switch (t) {
    case VEC_F32: memcpy(out, v, dim * sizeof(float)); break;
    case VEC_F16:
        for (uint32_t at = 0; at < dim; at += 256) {
            uint32_t n = dim - at < 256 ? dim - at : 256;
            memcpy(half, b + 2 * (size_t)at, 2 * (size_t)n);
            k->f32_from_f16(out + at, half, n);
        }
        break;
    case VEC_I8:
        for (uint32_t i = 0; i < dim; i++) out[i] = (float)(int8_t)b[i];
        break;
    case VEC_BIT:
        for (uint32_t i = 0; i < dim; i++) out[i] = (float)(b[i / 8] >> i % 8 & 1);
        break;
    }
}

/* ---- distance: the definition --------------------------------------------------------------- */

typedef struct sums {
    double dot, aa, bb, l2sq, l1;
} sums;

static void add_f32(sums *s, vec_metric m, const float *a, const float *b, size_t n) {
    const rec_kernels *k = vec_kernels();
    switch (m) {
    case METRIC_COSINE:
        s->aa += (double)k->dot(a, a, n);
        s->bb += (double)k->dot(b, b, n); /* fall through */
    case METRIC_IP: s->dot += (double)k->dot(a, b, n); break;
    case METRIC_L2: s->l2sq += (double)k->l2sq(a, b, n); break;
    case METRIC_L1: s->l1 += (double)k->l1(a, b, n); break;
    case METRIC_HAMMING: break;
    }
}

static void add_i8(sums *s, vec_metric m, const int8_t *a, const int8_t *b, size_t n) {
    const rec_kernels *k = vec_kernels();
    switch (m) {
    case METRIC_COSINE:
        s->aa += (double)k->dot_i8(a, a, n);
        s->bb += (double)k->dot_i8(b, b, n); /* fall through */
    case METRIC_IP: s->dot += (double)k->dot_i8(a, b, n); break;
    case METRIC_L2: s->l2sq += (double)k->l2sq_i8(a, b, n); break;
    case METRIC_L1: s->l1 += (double)k->l1_i8(a, b, n); break;
    case METRIC_HAMMING: break;
    }
}

static double finish(const sums *s, vec_metric m) {
    switch (m) {
    case METRIC_COSINE: {
        double norms = sqrt(s->aa) * sqrt(s->bb);
        double d = norms > 0 ? 1.0 - s->dot / norms : 1.0;
        return d < 0 ? 0 : d > 2 ? 2 : d;
    }
    case METRIC_IP: return 0.0 - s->dot; /* no -0.0 */
    case METRIC_L2: return sqrt(s->l2sq);
    default: return s->l1;
    }
}

/* Have float32 sums borne it (wide.c)? */
static bool is_sound(const sums *s, vec_metric m) {
    switch (m) {
    case METRIC_COSINE:
        return index_is_narrow((float)s->aa) && index_is_narrow((float)s->bb);
    case METRIC_L2: return index_is_narrow((float)s->l2sq);
    default: return isfinite(s->dot) && isfinite(s->l1);
    }
}

double index_distance(vec_metric m, vec_type t, const void *a, const void *b,
                      uint32_t dim) {
    sums s = {0};
    if (t == VEC_BIT) return (double)vec_kernels()->hamming(a, b, vec_nbyte(t, dim));
    if (t == VEC_I8) {
        add_i8(&s, m, a, b, dim);
        return finish(&s, m);
    }
    size_t unit = t == VEC_F32 ? 4 : 2;
    float x[256],
        y[256]; /* in pieces: halves are widened, and inputs may be unaligned */
    for (uint32_t at = 0; at < dim; at += 256) {
        uint32_t n = dim - at < 256 ? dim - at : 256;
        index_decode(t, (const char *)a + at * unit, n, x);
        index_decode(t, (const char *)b + at * unit, n, y);
        add_f32(&s, m, x, y, n);
    }
    return is_sound(&s, m) ? finish(&s, m) : index_wide_distance(m, t, a, t, b, dim);
}
