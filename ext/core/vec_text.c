/* vec_text.c - numbers and vectors out of text, whatever the locale says.
 *
 *     number   [+-] digits [ . digits ] [ e [+-] digits ]     also ".5" and "5."
 *     vector   ws [ ws number ws ( , ws number ws )* ] ws     JSON, one level, no holes
 *
 * A number of up to 19 significant digits is m * 10^e with m exact in 64 bits. If m < 2^53
 * and |e| <= 22, both are exact doubles and one multiplication or division gives the
 * correctly rounded result; that is nearly every number in practice. Otherwise the scaling
 * goes through long double, where the last bit of the double may be off by one on machines
 * whose long double is a double.
 */
#include "core.h"

#include <math.h>

#define MAX_MANTISSA_DIGITS 19
#define MAX_EXPONENT        400 /* beyond that the result is 0 or infinity anyway */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static double scale_exact(double m, int e) {
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    return e < 0 ? m / power[-e] : m * power[e];
}

static double scale(uint64_t m, int e) {
    if (m < (uint64_t)1 << 53 && e >= -22 && e <= 22) return scale_exact((double)m, e);
    if (m == 0 || e < -MAX_EXPONENT) return 0;
    if (e > MAX_EXPONENT) return INFINITY;
    long double x = (long double)m, base = 10, p = 1;
    int n = e < 0 ? -e : e;
    /* Two halves below the least normal double, so that p never overflows on machines
     * whose long double has the range of a double. */
    if (e < -290) {
        x /= 1e100L;
        n -= 100;
    }
    for (; n; n >>= 1, base *= base)
        if (n & 1) p *= base;
    return (double)(e < 0 ? x / p : x * p);
}

typedef struct mantissa {
    uint64_t value;
    int n_digits, exponent; /* significant digits kept; power of ten */
    bool any;
} mantissa;

static size_t take_digits(const char *s, size_t n, size_t at, bool fraction,
                          mantissa *m) {
    for (; at < n && is_digit(s[at]); at++) {
        m->any = true;
        if (m->n_digits < MAX_MANTISSA_DIGITS) {
            m->value = m->value * 10 + (uint64_t)(s[at] - '0');
            if (m->value) m->n_digits++;
            if (fraction) m->exponent--;
        } else if (!fraction && m->exponent < 2 * MAX_EXPONENT)
            m->exponent++;
    }
    return at;
}

size_t rec_parse_number(const char *s, size_t n, double *out) {
    mantissa m = {0};
    size_t at = 0;
    *out = 0;
    bool negative = n > 0 && s[0] == '-';
    if (n > 0 && (s[0] == '-' || s[0] == '+')) at++;
    at = take_digits(s, n, at, false, &m);
    if (at < n && s[at] == '.') {
        size_t end = take_digits(s, n, at + 1, true, &m);
        if (m.any) at = end;
    }
    if (!m.any) return 0;
    if (at < n && (s[at] == 'e' || s[at] == 'E')) {
        size_t p = at + 1;
        bool minus = p < n && s[p] == '-';
        int e = 0;
        if (p < n && (s[p] == '-' || s[p] == '+')) p++;
        if (p < n && is_digit(s[p])) {
            for (; p < n && is_digit(s[p]); p++)
                if (e < 100 * MAX_EXPONENT) e = e * 10 + (s[p] - '0');
            m.exponent += minus ? -e : e;
            at = p;
        }
    }
    *out = scale(m.value, m.exponent);
    if (negative) *out = -*out;
    return at;
}

/* ---- vectors ---------------------------------------------------------------------------- */

typedef struct scan {
    const char *s;
    size_t n, at;
} scan;

static char scan_next(scan *p) { /* next character that is not a blank; 0 at the end */
    while (p->at < p->n && (p->s[p->at] == ' ' || p->s[p->at] == '\t' ||
                            p->s[p->at] == '\n' || p->s[p->at] == '\r'))
        p->at++;
    return p->at < p->n ? p->s[p->at] : 0;
}

/* A byte of the text as something that may stand in a message. */
static rec_status unexpected(const scan *p, const char *want, rec_err *err) {
    if (p->at >= p->n)
        return rec_fail(err, REC_RANGE, "vector: the text ends where %s should stand",
                        want);
    char c = p->s[p->at];
    if (c > ' ' && c < 127)
        return rec_fail(err, REC_RANGE, "vector: '%c' at position %zu, expected %s", c,
                        p->at + 1, want);
    return rec_fail(err, REC_RANGE, "vector: byte %u at position %zu, expected %s",
                    (unsigned)(uint8_t)c, p->at + 1, want);
}

static rec_status scan_value(scan *p, float *out, rec_err *err) {
    double x;
    scan_next(p);
    /* JSON has no leading '+', and no number starts or ends with its point. */
    size_t n = p->at < p->n && p->s[p->at] != '+' && p->s[p->at] != '.'
                   ? rec_parse_number(p->s + p->at, p->n - p->at, &x)
                   : 0;
    if (n == 0) return unexpected(p, "a number", err);
    if (!isfinite((float)x))
        return rec_fail(
            err, REC_RANGE,
            "vector: the number at position %zu is out of the range of float32",
            p->at + 1);
    *out = (float)x;
    p->at += n;
    return REC_OK;
}

static rec_status scan_values(scan *p, float **v, uint32_t *dim, rec_err *err) {
    size_t n = 0, cap = 0;
    rec_status rc;
    if (scan_next(p) != '[') return unexpected(p, "'['", err);
    p->at++;
    if (scan_next(p) == ']')
        return rec_fail(err, REC_RANGE, "vector: no values, expected %d to %d",
                        VEC_MIN_DIM, VEC_MAX_DIM);
    for (;;) {
        if (n == VEC_MAX_DIM)
            return rec_fail(err, REC_RANGE, "vector: more than %d values", VEC_MAX_DIM);
        if ((rc = rec_grow(v, &cap, n + 1, sizeof(float), err))) return rc;
        if ((rc = scan_value(p, *v + n, err))) return rc;
        n++;
        char c = scan_next(p);
        if (c != ',' && c != ']') return unexpected(p, "',' or ']'", err);
        p->at++;
        if (c == ']') break;
    }
    scan_next(p);
    if (p->at < p->n) return unexpected(p, "the end", err);
    *dim = (uint32_t)n;
    return REC_OK;
}

rec_status vec_parse_json(const char *text, size_t nbyte, float **out, uint32_t *dim,
                          rec_err *err) {
    scan p = {text, nbyte, 0};
    *out = NULL;
    *dim = 0;
    rec_status rc = scan_values(&p, out, dim, err);
    if (rc) {
        rec_free(*out);
        *out = NULL;
    }
    return rc;
}
