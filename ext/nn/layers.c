/* layers.c - dense, layer norm, activations, unit length.
 *
 *     dense   y = x W' + b           dW += dy' x    db += sum dy    dx = dy W
 *     norm    y = g * h + s,         h = (x - mean) / deviation
 *             dg += dy * h   ds += dy   dx = (u - mean(u) - h mean(u h)) / deviation,  u = dy * g
 *     unit    y = x / |x|            dx = (dy - y (y . dy)) / |x|
 *
 * Backward passes read the input again rather than keep what the forward pass knew: layers hold
 * parameters and nothing of a batch, so one layer may stand at several places of a network.
 *
 * References: layer norm (Ba, Kiros, Hinton 2016), GELU in its tanh form (Hendrycks and Gimpel 2016),
 * SiLU (Elfwing and others 2017), initial weights of variance 2 / (in + out) (Glorot, Bengio 2010).
 *
 * Invariants (each held by finite differences in the tests)
 *   I1  backward adds to the gradients of parameters and sets dx;
 *   I2  a row's result depends on that row alone: batches may be cut anywhere.
 */
#include "nn.h"

#include <math.h>

#define NORM_EPSILON 1e-5f
#define UNIT_LEAST   1e-12f
#define GELU_SLOPE   .7978845608f /* sqrt(2 / pi) */
#define GELU_CUBE    .044715f

/* ---- dense -------------------------------------------------------------------------- */

rec_status nn_dense_init(nn_dense *l, uint32_t n_in, uint32_t n_out, rng *r,
                         rec_err *err) {
    *l = (nn_dense){.n_in = n_in, .n_out = n_out};
    size_t n;
    double deviation = sqrt(2. / ((double)n_in + n_out));
    if (!rec_mul(n_in, n_out, &n)) return rec_nomem(err);
    rec_status st = nn_param_init(&l->weight, n, deviation, r, err);
    if (!st) st = nn_param_init(&l->bias, n_out, 0, r, err);
    if (st) nn_dense_clear(l);
    return st;
}

void nn_dense_clear(nn_dense *l) {
    nn_param_clear(&l->weight);
    nn_param_clear(&l->bias);
    memset(l, 0, sizeof *l);
}

void nn_dense_forward(const nn_dense *l, const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++)
        memcpy(y + i * l->n_out, l->bias.w, l->n_out * sizeof *y);
    la_gemm_args p = {.trans_b = true,
                      .m = n,
                      .n = l->n_out,
                      .k = l->n_in,
                      .alpha = 1,
                      .beta = 1,
                      .a = x,
                      .lda = l->n_in,
                      .b = l->weight.w,
                      .ldb = l->n_in,
                      .c = y,
                      .ldc = l->n_out};
    la_gemm(&p);
}

void nn_dense_forward_alone(const nn_dense *l, const float *x, size_t n, float *y) {
    for (size_t i = 0; i < n; i++, x += l->n_in)
        for (size_t o = 0; o < l->n_out; o++)
            *y++ = l->bias.w[o] +
                   vec_kernels()->dot(x, l->weight.w + o * l->n_in, l->n_in);
}

void nn_dense_backward(nn_dense *l, const float *x, const float *dy, size_t n,
                       float *dx) {
    la_gemm_args p = {.trans_a = true,
                      .m = l->n_out,
                      .n = l->n_in,
                      .k = n,
                      .alpha = 1,
                      .beta = 1,
                      .a = dy,
                      .lda = l->n_out,
                      .b = x,
                      .ldb = l->n_in,
                      .c = l->weight.g,
                      .ldc = l->n_in};
    la_gemm(&p);
    for (size_t i = 0; i < n; i++)
        vec_kernels()->axpy(l->bias.g, 1, dy + i * l->n_out, l->n_out);
    if (!dx) return;
    la_gemm_args q = {.m = n,
                      .n = l->n_in,
                      .k = l->n_out,
                      .alpha = 1,
                      .a = dy,
                      .lda = l->n_out,
                      .b = l->weight.w,
                      .ldb = l->n_in,
                      .c = dx,
                      .ldc = l->n_in};
    la_gemm(&q);
}

void nn_dense_step(nn_dense *l, const nn_adam *a) {
    nn_adam plain = *a;
    plain.decay = 0; /* a bias is no weight: what it costs is not complexity */
    nn_param_step(&l->weight, a);
    nn_param_step(&l->bias, &plain);
}

void nn_dense_write(const nn_dense *l, bytes_writer *w) {
    bytes_put_u32(w, l->n_in);
    bytes_put_u32(w, l->n_out);
    bytes_put_f32s(w, l->weight.w, l->weight.n);
    bytes_put_f32s(w, l->bias.w, l->bias.n);
}

rec_status nn_dense_read(bytes_reader *r, nn_dense *l, rec_err *err) {
    memset(l, 0, sizeof *l);
    uint32_t n_in = bytes_get_u32(r), n_out = bytes_get_u32(r);
    size_t left = (r->n - r->at) / sizeof(float);
    if (r->status || !n_in || !n_out || n_in > left || n_out > left / n_in)
        return rec_corrupt(err, "stored layer: %u x %u weights in %zu bytes", n_out,
                           n_in, r->n - r->at);
    rng unused;
    rng_seed(&unused, 0, 0);
    rec_status st = nn_dense_init(l, n_in, n_out, &unused, err);
    if (st) return st;
    bytes_get_f32s(r, l->weight.w, l->weight.n);
    bytes_get_f32s(r, l->bias.w, l->bias.n);
    if (!r->status && vec_is_finite(l->weight.w, l->weight.n) &&
        vec_is_finite(l->bias.w, l->bias.n))
        return REC_OK;
    nn_dense_clear(l);
    return rec_corrupt(err, "stored layer: cut short, or a weight is not finite");
}

/* ---- layer norm ---------------------------------------------------------------------- */

rec_status nn_norm_init(nn_norm *l, uint32_t dim, rec_err *err) {
    *l = (nn_norm){.dim = dim};
    rec_status st = nn_param_init(&l->gain, dim, 0, NULL, err);
    if (!st) st = nn_param_init(&l->shift, dim, 0, NULL, err);
    if (st) {
        nn_norm_clear(l);
        return st;
    }
    for (uint32_t k = 0; k < dim; k++) l->gain.w[k] = 1;
    return REC_OK;
}

void nn_norm_clear(nn_norm *l) {
    nn_param_clear(&l->gain);
    nn_param_clear(&l->shift);
    memset(l, 0, sizeof *l);
}

/* Mean of a row; *inverse is 1 / deviation. */
static float row_moments(const float *x, size_t dim, float *inverse) {
    float mean = 0, square = 0;
    for (size_t k = 0; k < dim; k++) mean += x[k];
    mean /= (float)dim;
    for (size_t k = 0; k < dim; k++) square += (x[k] - mean) * (x[k] - mean);
    *inverse = 1 / sqrtf(square / (float)dim + NORM_EPSILON);
    return mean;
}

void nn_norm_forward(const nn_norm *l, const float *x, size_t n, float *y) {
    size_t dim = l->dim;
    for (size_t i = 0; i < n; i++, x += dim, y += dim) {
        float inverse, mean = row_moments(x, dim, &inverse);
        for (size_t k = 0; k < dim; k++)
            y[k] = (x[k] - mean) * inverse * l->gain.w[k] + l->shift.w[k];
    }
}

void nn_norm_backward(nn_norm *l, const float *x, const float *dy, size_t n,
                      float *dx) {
    size_t dim = l->dim;
    for (size_t i = 0; i < n; i++, x += dim, dy += dim, dx += dim) {
        float inverse, mean = row_moments(x, dim, &inverse), mean_u = 0, mean_uh = 0;
        for (size_t k = 0; k < dim; k++) {
            float h = (x[k] - mean) * inverse, u = dy[k] * l->gain.w[k];
            l->gain.g[k] += dy[k] * h;
            l->shift.g[k] += dy[k];
            mean_u += u;
            mean_uh += u * h;
        }
        mean_u /= (float)dim;
        mean_uh /= (float)dim;
        for (size_t k = 0; k < dim; k++) {
            float h = (x[k] - mean) * inverse;
            dx[k] = (dy[k] * l->gain.w[k] - mean_u - h * mean_uh) * inverse;
        }
    }
}

void nn_norm_step(nn_norm *l, const nn_adam *a) {
    nn_adam plain = *a;
    plain.decay = 0;
    nn_param_step(&l->gain, &plain);
    nn_param_step(&l->shift, &plain);
}

void nn_norm_write(const nn_norm *l, bytes_writer *w) {
    bytes_put_f32s(w, l->gain.w, l->gain.n);
    bytes_put_f32s(w, l->shift.w, l->shift.n);
}

rec_status nn_norm_read(bytes_reader *r, nn_norm *l, uint32_t dim, rec_err *err) {
    rec_status st = nn_norm_init(l, dim, err);
    if (st) return st;
    bytes_get_f32s(r, l->gain.w, dim);
    bytes_get_f32s(r, l->shift.w, dim);
    if (!r->status && vec_is_finite(l->gain.w, dim) && vec_is_finite(l->shift.w, dim))
        return REC_OK;
    nn_norm_clear(l);
    return rec_corrupt(err, "stored norm: cut short, or a number is not finite");
}

/* ---- activations ------------------------------------------------------------------------ */

/* f(x); *slope = f'(x). */
static float activation(nn_activation f, float x, float *slope) {
    if (f == NN_RELU) {
        *slope = x > 0 ? 1 : 0;
        return x > 0 ? x : 0;
    }
    if (f == NN_SILU) {
        float s = 1 / (1 + expf(-x));
        *slope = s * (1 + x * (1 - s));
        return x * s;
    }
    float inner = GELU_SLOPE * (x + GELU_CUBE * x * x * x), t = tanhf(inner);
    *slope = .5f * (1 + t) +
             .5f * x * (1 - t * t) * GELU_SLOPE * (1 + 3 * GELU_CUBE * x * x);
    return .5f * x * (1 + t);
}

void nn_activate(nn_activation f, const float *x, size_t n, float *y) {
    float slope;
    for (size_t i = 0; i < n; i++) y[i] = activation(f, x[i], &slope);
}

void nn_activate_backward(nn_activation f, const float *x, const float *dy, size_t n,
                          float *dx) {
    for (size_t i = 0; i < n; i++) {
        float slope;
        activation(f, x[i], &slope);
        dx[i] = dy[i] * slope;
    }
}

/* ---- unit length ------------------------------------------------------------------------- */

void nn_unit_forward(const float *x, size_t n, size_t dim, float *y) {
    for (size_t i = 0; i < n; i++, x += dim, y += dim) {
        float norm = vec_norm(x, dim), f = norm > UNIT_LEAST ? 1 / norm : 0;
        for (size_t k = 0; k < dim; k++) y[k] = f * x[k];
    }
}

void nn_unit_backward(const float *x, const float *dy, size_t n, size_t dim,
                      float *dx) {
    for (size_t i = 0; i < n; i++, x += dim, dy += dim, dx += dim) {
        float norm = vec_norm(x, dim), f = norm > UNIT_LEAST ? 1 / norm : 0;
        float along = f * f * vec_kernels()->dot(x, dy, dim);
        for (size_t k = 0; k < dim; k++) dx[k] = f * (dy[k] - along * x[k]);
    }
}
