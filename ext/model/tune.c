/* tune.c - options drawn by chance from their ranges.
 *
 *     "log .001 1"        even over the decades: .0042 is as likely as .42
 *     "lin 0 .6"          even
 *     "100|200|500"       one of them
 *
 * Numbers are drawn with three digits: what is printed is what was tried. Random search finds as
 * good a point as a grid with a fraction of the trials, because few options matter and nobody knows
 * which (Bergstra and Bengio 2012).
 *
 * Invariants
 *   I1  one draw takes one number from the generator, whatever the range;
 *   I2  a number lies within the bounds of the option.
 */
#include "model.h"

#include <math.h>

static rec_status refuse(const char *range, rec_err *err) {
    return rec_fail(err, REC_RANGE,
                    "'%.80s' is no range; write 'log .001 1', 'lin 0 1' or 'a|b|c'",
                    range);
}

static rec_status draw_choice(const char *range, double u, char out[TUNE_TEXT],
                              rec_err *err) {
    size_t n = 1, at;
    for (const char *s = range; *s; s++) n += *s == '|';
    at = (size_t)(u * (double)n);
    while (at--) range = strchr(range, '|') + 1;
    n = strcspn(range, "|");
    if (n == 0 || n >= TUNE_TEXT) return refuse(range, err);
    memcpy(out, range, n);
    out[n] = 0;
    return REC_OK;
}

static bool read_bounds(const char *s, double *low, double *high) {
    double *out[] = {low, high};
    for (int i = 0; i < 2; i++) {
        s += strspn(s, " ");
        size_t n = rec_parse_number(s, strlen(s), out[i]);
        if (!n) return false;
        s += n;
    }
    return s[strspn(s, " ")] == 0 && isfinite(*low) && isfinite(*high) && *low <= *high;
}

rec_status tune_draw(const char *range, const model_option *def, rng *r,
                     char out[TUNE_TEXT], rec_err *err) {
    double u = rng_unit(r), low, high;
    bool is_log = strncmp(range, "log ", 4) == 0;
    out[0] = 0;
    if (!is_log && strncmp(range, "lin ", 4) != 0)
        return draw_choice(range, u, out, err);
    if (!read_bounds(range + 4, &low, &high) || (is_log && !(low > 0)))
        return refuse(range, err);
    double x = is_log ? low * pow(high / low, u) : low + (high - low) * u;
    if (def->kind == OPT_INT) x = floor(x + .5);
    if (x < def->min) x = def->min;
    if (x > def->max) x = def->max;
    rec_format(out, TUNE_TEXT, def->kind == OPT_INT ? "%.9g" : "%.3g", x);
    return REC_OK;
}

static bool holds(const char *word, size_t n, const model_options *o,
                  bool is_explicit) {
    if (n == 8 && memcmp(word, "explicit", 8) == 0) return is_explicit;
    if (n == 8 && memcmp(word, "implicit", 8) == 0) return !is_explicit;
    char name[TUNE_TEXT];
    size_t eq = 0;
    while (eq < n && word[eq] != '=') eq++;
    if (eq >= n || eq >= sizeof name) return false;
    memcpy(name, word, eq);
    name[eq] = 0;
    const char *value = opt_text(o, name);
    return value && strlen(value) == n - eq - 1 &&
           memcmp(value, word + eq + 1, n - eq - 1) == 0;
}

bool tune_applies(const char *only, const model_options *o, bool is_explicit) {
    for (const char *s = only; s && *s;) {
        size_t n = strcspn(s, ",");
        if (!holds(s, n, o, is_explicit)) return false;
        s += n + (s[n] == ',');
    }
    return true;
}
