/* format.c - numbers and messages as text, without stdio and without a locale.
 *
 * printf of the host's libc writes "0,1" in a process that has called setlocale, and it may
 * allocate. Messages must come out the same everywhere and also when memory has run out, so
 * the few conversions that are needed are written here.
 *
 * A double is m * 2^e exactly. Its decimal digits are produced exactly as well:
 *
 *     limb[]  base 10^9   | 36 limbs integer part | . | 120 limbs fraction |
 *
 * m goes in just above the point, then the number is doubled or halved e times, up to 29
 * (or 9, since 10^9 is divisible by 2^9 only) bits a step. The digits are then rounded half
 * to even at the place asked for. So %.17g reads back as the same double, and integers
 * print exactly.
 *
 * Invariants
 *   I1  The output is always NUL-terminated if cap > 0, and never longer than cap - 1.
 *   I2  Text that had to be cut is cut between UTF-8 characters.
 *
 * Cost: about 0.2 us for a number of everyday size, 20 us for 1e-308.
 */
#include "core.h"

#include <math.h>

/* ---- sink ------------------------------------------------------------------------- */

typedef struct sink {
    char *out;
    size_t n, room; /* room without the NUL */
    bool full;      /* something was cut: nothing more is appended */
} sink;

static void sink_put(sink *s, const char *p, size_t n) {
    if (s->full) return;
    if (n > s->room - s->n) {
        n = s->room - s->n;
        s->full = true;
    }
    memcpy(s->out + s->n, p, n);
    s->n += n;
}

static void sink_fill(sink *s, char c, int n) {
    for (; n > 0; n--) sink_put(s, &c, 1);
}

/* Drops an unfinished character at the end (I2). */
static void sink_trim(sink *s) {
    size_t start = s->n, n_tail = 0;
    while (start > 0 && n_tail < 3 && ((uint8_t)s->out[start - 1] & 0xC0) == 0x80)
        start--, n_tail++;
    if (start == 0) return;
    uint8_t lead = (uint8_t)s->out[start - 1];
    size_t want = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (n_tail < want) s->n = start - 1;
}

/* ---- integers ----------------------------------------------------------------------- */

static void put_u64(sink *s, uint64_t x, bool negative) {
    char buf[24];
    size_t at = sizeof buf;
    do buf[--at] = (char)('0' + x % 10);
    while (x /= 10);
    if (negative) buf[--at] = '-';
    sink_put(s, buf + at, sizeof buf - at);
}

static void put_i64(sink *s, int64_t x) {
    put_u64(s, x < 0 ? 0 - (uint64_t)x : (uint64_t)x, x < 0);
}

/* ---- doubles ------------------------------------------------------------------------- */

#define LIMB_BASE  1000000000u
#define LIMBS_INT  36  /* 2^1024 has 309 digits */
#define LIMBS_FRAC 120 /* 2^-1074 has 1074 places */
#define LIMBS      (LIMBS_INT + LIMBS_FRAC)
#define MAX_DIGITS (LIMBS * 9)

/* digit[0] is not 0 (unless n == 0, the number zero); value = 0.d0 d1 d2 ... * 10^point */
typedef struct decimal {
    int n, point;
    char digit[MAX_DIGITS + 1];
} decimal;

/* Limbs lo..hi-1 are in use, the point lies before limb LIMBS_INT. */
typedef struct limbs {
    int lo, hi;
    uint32_t a[LIMBS];
} limbs;

static void limbs_double(limbs *x, int bits) {
    uint64_t carry = 0;
    for (int i = x->hi - 1; i >= x->lo; i--) {
        uint64_t v = ((uint64_t)x->a[i] << bits) + carry;
        x->a[i] = (uint32_t)(v % LIMB_BASE);
        carry = v / LIMB_BASE;
    }
    if (carry) x->a[--x->lo] = (uint32_t)carry;
}

static void limbs_halve(limbs *x, int bits) {
    uint32_t carry = 0, unit = LIMB_BASE >> bits, mask = (1u << bits) - 1;
    for (int i = x->lo; i < x->hi; i++) {
        uint32_t v = x->a[i];
        x->a[i] = (v >> bits) + carry;
        carry = (v & mask) * unit;
    }
    if (carry) x->a[x->hi++] = carry;
    if (x->lo < x->hi && x->a[x->lo] == 0) x->lo++;
}

static void decimal_from(decimal *d, double value) {
    limbs x;
    int e;
    uint64_t m = (uint64_t)ldexp(frexp(value, &e), 53);
    e -= 53;
    while (m && !(m & 1) && e < 0) m >>= 1, e++; /* fewer halvings */
    x.hi = LIMBS_INT;
    x.lo = LIMBS_INT - 2;
    x.a[LIMBS_INT - 1] = (uint32_t)(m % LIMB_BASE);
    x.a[LIMBS_INT - 2] = (uint32_t)(m / LIMB_BASE);
    for (int left = e; left > 0; left -= 29) limbs_double(&x, left < 29 ? left : 29);
    for (int left = e; left < 0; left += 9) limbs_halve(&x, left > -9 ? -left : 9);
    while (x.lo < x.hi && x.a[x.lo] == 0) x.lo++;
    d->n = 0;
    d->point = (LIMBS_INT - x.lo) * 9;
    for (int i = x.lo; i < x.hi; i++) {
        uint32_t v = x.a[i];
        for (int k = 8; k >= 0; k--, v /= 10) d->digit[d->n + k] = (char)('0' + v % 10);
        d->n += 9;
    }
    int skip = 0;
    while (skip < d->n && d->digit[skip] == '0') skip++;
    memmove(d->digit, d->digit + skip, (size_t)(d->n - skip));
    d->n -= skip;
    d->point -= skip;
    if (d->n == 0) d->point = 1;
}

/* Round half to even to n digits (n may be <= 0: then to 0 or to one digit 1). */
static void decimal_round(decimal *d, int n) {
    if (n >= d->n) return;
    bool up = false;
    if (n >= 0) {
        char c = d->digit[n];
        bool rest = false;
        for (int i = n + 1; i < d->n && !rest; i++) rest = d->digit[i] != '0';
        bool odd = n > 0 && (d->digit[n - 1] & 1);
        up = c > '5' || (c == '5' && (rest || odd));
    }
    d->n = n > 0 ? n : 0;
    if (!up) return;
    int i = d->n;
    while (i > 0 && d->digit[i - 1] == '9') d->digit[--i] = '0';
    if (i > 0) {
        d->digit[i - 1]++;
        return;
    }
    d->digit[0] = '1'; /* 99.9 became 100: the zeros that follow need not be kept */
    d->n = 1;
    d->point++;
}

static bool put_not_finite(sink *s, double x) {
    if (isfinite(x)) return false;
    const char *text = isnan(x) ? "nan" : x < 0 ? "-inf" : "inf";
    sink_put(s, text, strlen(text));
    return true;
}

/* Digits from..to-1 counted from the first digit; places without a digit are 0. */
static void put_digits(sink *s, const decimal *d, int from, int to) {
    for (; from < to && from < 0; from++) sink_fill(s, '0', 1);
    int stop = to < d->n ? to : d->n;
    if (from < stop) sink_put(s, d->digit + from, (size_t)(stop - from)), from = stop;
    sink_fill(s, '0', to - from);
}

static void put_fixed(sink *s, const decimal *d, int n_places) {
    if (d->point <= 0)
        sink_put(s, "0", 1);
    else
        put_digits(s, d, 0, d->point);
    if (n_places <= 0) return;
    sink_put(s, ".", 1);
    put_digits(s, d, d->point, d->point + n_places);
}

static void put_f(sink *s, double x, int precision) {
    decimal d;
    if (put_not_finite(s, x)) return;
    decimal_from(&d, fabs(x));
    decimal_round(&d, d.point + precision);
    if (d.n == 0) d.point = 1;
    if (signbit(x)) sink_put(s, "-", 1);
    put_fixed(s, &d, precision);
}

static void put_g(sink *s, double x, int precision) {
    decimal d;
    if (put_not_finite(s, x)) return;
    if (precision < 1) precision = 1;
    decimal_from(&d, fabs(x));
    decimal_round(&d, precision);
    while (d.n > 0 && d.digit[d.n - 1] == '0') d.n--;
    if (signbit(x)) sink_put(s, "-", 1);
    int exponent = d.point - 1;
    if (exponent >= -4 && exponent < precision) {
        put_fixed(s, &d, d.n > d.point ? d.n - d.point : 0);
        return;
    }
    put_digits(s, &d, 0, 1);
    if (d.n > 1) sink_put(s, ".", 1), put_digits(s, &d, 1, d.n);
    sink_put(s, exponent < 0 ? "e-" : "e+", 2);
    if (exponent < 0) exponent = -exponent;
    if (exponent < 10) sink_put(s, "0", 1);
    put_u64(s, (uint64_t)exponent, false);
}

/* ---- the format string ---------------------------------------------------------------- */

#define MAX_PRECISION 60 /* more digits than any double needs in a message */

typedef struct directive {
    int precision; /* -1 = none */
    int width;     /* 0: int, 1: size_t, 2: long long, 3: long */
} directive;

static const char *parse_directive(const char *f, directive *d, int star,
                                   bool *want_star) {
    d->precision = -1;
    d->width = 0;
    *want_star = false;
    if (*f == '.') {
        f++;
        if (*f == '*') {
            *want_star = true;
            d->precision = star;
            f++;
        } else {
            for (d->precision = 0; *f >= '0' && *f <= '9'; f++)
                if (d->precision < 100000)
                    d->precision = d->precision * 10 + (*f - '0');
        }
    }
    if (*f == 'z')
        d->width = 1, f++;
    else if (f[0] == 'l' && f[1] == 'l')
        d->width = 2, f += 2;
    else if (*f == 'l')
        d->width = 3, f++;
    return f;
}

static void put_text(sink *s, const char *text, int precision) {
    if (!text) text = "(null)";
    size_t n = 0;
    while ((precision < 0 || n < (size_t)precision) && text[n]) n++;
    sink_put(s, text, n);
}

static int limit_precision(int precision) {
    return precision < 0 ? 6 : precision > MAX_PRECISION ? MAX_PRECISION : precision;
}

size_t rec_vformat(char *out, size_t cap, const char *fmt, va_list ap) {
    if (cap == 0) return 0;
    sink s = {out, 0, cap - 1, false};
    while (*fmt) {
        const char *percent = strchr(fmt, '%');
        if (!percent) percent = fmt + strlen(fmt);
        sink_put(&s, fmt, (size_t)(percent - fmt));
        if (!*percent) break;
        directive d;
        bool want_star;
        fmt = parse_directive(percent + 1, &d, -1, &want_star);
        if (want_star) d.precision = va_arg(ap, int);
        if (!*fmt) break;
        switch (*fmt++) {
        case 's': put_text(&s, va_arg(ap, const char *), d.precision); break;
        case 'd':
            put_i64(&s, d.width == 2   ? va_arg(ap, long long)
                        : d.width == 3 ? va_arg(ap, long)
                        : d.width == 1 ? (long long)va_arg(ap, ptrdiff_t)
                                       : va_arg(ap, int));
            break;
        case 'u':
            put_u64(&s,
                    d.width == 2   ? va_arg(ap, unsigned long long)
                    : d.width == 3 ? va_arg(ap, unsigned long)
                    : d.width == 1 ? va_arg(ap, size_t)
                                   : va_arg(ap, unsigned),
                    false);
            break;
        case 'f': put_f(&s, va_arg(ap, double), limit_precision(d.precision)); break;
        case 'g': put_g(&s, va_arg(ap, double), limit_precision(d.precision)); break;
        case 'c': sink_fill(&s, (char)va_arg(ap, int), 1); break;
        default: sink_put(&s, fmt - 1, 1); break;
        }
    }
    if (s.full) sink_trim(&s);
    out[s.n] = 0;
    return s.n;
}

size_t rec_format(char *out, size_t cap, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    size_t n = rec_vformat(out, cap, fmt, ap);
    va_end(ap);
    return n;
}
