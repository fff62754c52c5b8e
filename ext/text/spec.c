/* spec.c - what a facet column is: its option text and the values in one of its cells.
 *
 *     facets='genres[|], year, category[>]'
 *
 *     genres    "Comedy|Drama"         Comedy, Drama
 *               ["Comedy","Drama"]     Comedy, Drama          (an array needs no separator)
 *     category  "Audio > Headphones"   Audio, Audio>Headphones
 *
 * The catalogue (many rows, once) and rec_match (one row, no catalogue) split cells with the
 * same routine, so that they cannot disagree.
 *
 * Invariants
 *  I1  A value handed out is 1..FACET_MAX_VALUE bytes, has no space at either end, and is cut
 *      only between characters.
 *  I2  A text that is not entirely a JSON array of strings and numbers is plain text.
 */
#include "text.h"

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static void trim(const char **s, size_t *n) {
    while (*n && is_space((*s)[0])) ++*s, --*n;
    while (*n && is_space((*s)[*n - 1])) --*n;
}

/* Longest prefix of at most FACET_MAX_VALUE bytes that does not end inside a character. */
static size_t cut_value(const char *s, size_t n) {
    if (n <= FACET_MAX_VALUE) return n;
    n = FACET_MAX_VALUE;
    while (n && ((unsigned char)s[n] & 0xC0) == 0x80) n--;
    return n;
}

/* ---- the option text ------------------------------------------------------------- */

static rec_status parse_name(const char **p, facet_spec *f, rec_err *err) {
    const char *s = *p, *end;
    size_t n;
    if (*s == '"') {
        end = strchr(++s, '"');
        if (!end)
            return rec_fail(err, REC_RANGE, "facets: no closing quote after %s", s);
        n = (size_t)(end - s);
        *p = end + 1;
    } else {
        n = strcspn(s, ",[");
        *p = s + n;
        trim(&s, &n);
    }
    if (!n)
        return rec_fail(err, REC_RANGE, "facets: a column name is missing before '%s'",
                        *p);
    if (n >= sizeof f->name)
        return rec_fail(err, REC_RANGE,
                        "facets: the column name %.*s is longer than %zu bytes", (int)n,
                        s, sizeof f->name - 1);
    memcpy(f->name, s, n);
    f->name[n] = 0;
    return REC_OK;
}

/* "[|]" after a name. Spaces around the separator do not count unless they are all of it. */
static rec_status parse_separator(const char **p, facet_spec *f, rec_err *err) {
    const char *s = *p + 1, *end = strchr(s, ']');
    if (end == s && end[1] == ']') end++; /* "[]]": the separator is a bracket */
    if (!end || end == s)
        return rec_fail(err, REC_RANGE,
                        "facets: %s needs a separator in brackets, as in %s[|]",
                        f->name, f->name);
    size_t n = (size_t)(end - s);
    const char *inner = s;
    size_t n_inner = n;
    trim(&inner, &n_inner);
    if (!n_inner) inner = s, n_inner = 1;
    if (n_inner >= sizeof f->sep)
        return rec_fail(err, REC_RANGE,
                        "facets: the separator of %s is longer than %zu bytes", f->name,
                        sizeof f->sep - 1);
    memcpy(f->sep, inner, n_inner);
    f->sep[n_inner] = 0;
    f->is_path = n_inner == 1 && f->sep[0] == '>';
    *p = end + 1;
    return REC_OK;
}

static bool same_name(const char *a, const char *b) {
    char x[64], y[64];
    size_t n = text_fold(x, sizeof x, a, strlen(a)),
           m = text_fold(y, sizeof y, b, strlen(b));
    return n == m && memcmp(x, y, n) == 0;
}

rec_status facet_parse(const char *text, facet_spec *out, size_t *n, rec_err *err) {
    *n = 0;
    const char *p = text ? text : "";
    while (is_space(*p)) p++;
    while (*p) {
        if (*n == CATALOG_MAX_FACETS)
            return rec_fail(err, REC_RANGE, "facets: more than %d columns",
                            CATALOG_MAX_FACETS);
        facet_spec *f = &out[*n];
        *f = (facet_spec){0};
        rec_status rc = parse_name(&p, f, err);
        while (is_space(*p)) p++;
        if (!rc && *p == '[') rc = parse_separator(&p, f, err);
        if (rc) return rc;
        while (is_space(*p)) p++;
        if (*p && *p != ',')
            return rec_fail(err, REC_RANGE, "facets: '%s' after %s, expected a comma",
                            p, f->name);
        for (size_t i = 0; i < *n; i++)
            if (same_name(out[i].name, f->name))
                return rec_fail(err, REC_RANGE, "facets: %s is named twice", f->name);
        ++*n;
        if (*p == ',' && !*++p)
            return rec_fail(err, REC_RANGE,
                            "facets: a column name is missing at the end");
        while (is_space(*p)) p++;
    }
    return REC_OK;
}

/* ---- one cell -------------------------------------------------------------------- */

typedef struct splitter {
    facet_value_fn fn; /* NULL: look only */
    void *ctx;
    rec_err *err;
    bool is_path;
} splitter;

/* "a > b" -> a, then a>b. */
static rec_status emit_path(const splitter *sp, const char *s, size_t n) {
    char path[FACET_MAX_VALUE];
    size_t used = 0;
    rec_status rc = REC_OK;
    while (!rc && n) {
        const char *mark = memchr(s, '>', n), *part = s;
        size_t len = mark ? (size_t)(mark - s) : n;
        s += len + (mark ? 1 : 0);
        n -= len + (mark ? 1 : 0);
        trim(&part, &len);
        if (!len) continue;
        if (used + len + 1 > sizeof path) break;
        if (used) path[used++] = '>';
        memcpy(path + used, part, len);
        used += len;
        rc = sp->fn(sp->ctx, path, used, sp->err);
    }
    return rc;
}

static rec_status emit(const splitter *sp, const char *s, size_t n) {
    trim(&s, &n);
    if (!n || !sp->fn) return REC_OK;
    if (sp->is_path) return emit_path(sp, s, n);
    return sp->fn(sp->ctx, s, cut_value(s, n), sp->err);
}

static int hex4(const char *s, const char *end) {
    int x = 0;
    if (end - s < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int c = s[i], d = c >= '0' && c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
        if (d < 0 || d > 15 || (d > 9 && ((c | 32) < 'a' || (c | 32) > 'f'))) return -1;
        x = x * 16 + d;
    }
    return x;
}

/* The character of one escape; *p stands behind the backslash. UTF8_BAD: not JSON. */
static uint32_t json_escape(const char **p, const char *end) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (*p == end) return UTF8_BAD;
    char c = *(*p)++;
    const char *at = c ? strchr(from, c) : NULL;
    if (at) return (unsigned char)to[at - from];
    int hi = c == 'u' ? hex4(*p, end) : -1;
    if (hi < 0) return UTF8_BAD;
    *p += 4;
    if (hi < 0xD800 || hi > 0xDFFF) return (uint32_t)hi;
    int lo =
        end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' ? hex4(*p + 2, end) : -1;
    if (hi > 0xDBFF || lo < 0xDC00 || lo > 0xDFFF) return 0xFFFD;
    *p += 6;
    return 0x10000 + ((uint32_t)(hi - 0xD800) << 10) + (uint32_t)(lo - 0xDC00);
}

/* A JSON string; *p stands on its quote. False: not JSON. */
static bool json_string(const char **p, const char *end, const splitter *sp,
                        rec_status *rc) {
    char out[FACET_MAX_VALUE + 4];
    size_t n = 0;
    for (++*p; *p < end && **p != '"';) {
        unsigned char c = (unsigned char)*(*p)++;
        if (c < 0x20) return false;
        char piece[4] = {(char)c};
        size_t len = 1;
        if (c == '\\') {
            uint32_t x = json_escape(p, end);
            if (x == UTF8_BAD) return false;
            len = utf8_put(piece, x ? x : ' ');
        }
        if (n + len <= sizeof out) {
            memcpy(out + n, piece, len);
            n += len;
        }
    }
    if (*p == end) return false;
    ++*p;
    *rc = emit(sp, out, n);
    return true;
}

/* [ "a", "b", 3, null ]; false: not such an array (nothing may have been emitted then, which
 * the caller sees to by a first pass without fn). */
static bool json_array(const char *s, size_t n, const splitter *sp, rec_status *rc) {
    const char *p = s + 1, *end = s + n;
    bool is_first = true;
    *rc = REC_OK;
    for (;;) {
        while (p < end && is_space(*p)) p++;
        if (p == end) return false;
        if (*p == ']' && is_first) return p + 1 == end;
        double x;
        size_t len = *p == '"' ? 0 : rec_parse_number(p, (size_t)(end - p), &x);
        if (*p == '"') {
            if (!json_string(&p, end, sp, rc)) return false;
        } else if (len) {
            *rc = emit(sp, p, len);
            p += len;
        } else if (end - p > 4 && memcmp(p, "null", 4) == 0) {
            p += 4;
        } else {
            return false;
        }
        if (*rc) return true;
        while (p < end && is_space(*p)) p++;
        if (p == end || (*p != ',' && *p != ']')) return false;
        if (*p++ == ']') return p == end;
        is_first = false;
    }
}

static rec_status split_plain(const splitter *sp, const char *sep, const char *s,
                              size_t n) {
    size_t n_sep = strlen(sep), begin = 0;
    rec_status rc = REC_OK;
    for (size_t i = 0; !rc && i + n_sep <= n;) {
        if (memcmp(s + i, sep, n_sep) != 0) {
            i++;
            continue;
        }
        rc = emit(sp, s + begin, i - begin);
        i += n_sep;
        begin = i;
    }
    return rc ? rc : emit(sp, s + begin, n - begin);
}

rec_status facet_split(const facet_spec *spec, const char *text, size_t nbyte,
                       bool *is_array, facet_value_fn fn, void *ctx, rec_err *err) {
    splitter sp = {.ctx = ctx, .err = err, .is_path = spec->is_path};
    rec_status rc = REC_OK;
    *is_array = false;
    if (!text) return REC_OK;
    trim(&text, &nbyte);
    if (!nbyte) return REC_OK;
    if (text[0] == '[' && json_array(text, nbyte, &sp, &rc)) {
        *is_array = true;
        sp.fn = fn;
        json_array(text, nbyte, &sp, &rc);
        return rc;
    }
    sp.fn = fn;
    if (spec->sep[0] && !spec->is_path) return split_plain(&sp, spec->sep, text, nbyte);
    return emit(&sp, text, nbyte);
}

/* ---- comparing ------------------------------------------------------------------- */

size_t facet_fold(char *out, const char *s, size_t n) {
    n = text_fold(out, FACET_MAX_VALUE, s, n);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_space(out[i])) {
            if (used && out[used - 1] != ' ' && out[used - 1] != '>') out[used++] = ' ';
            continue;
        }
        if (out[i] == '>' && used && out[used - 1] == ' ') used--;
        out[used++] = out[i];
    }
    while (used && out[used - 1] == ' ') used--;
    return used;
}

bool text_whole_number(const char *s, size_t n, double *out) {
    trim(&s, &n);
    if (!n || n > 64) return false;
    return rec_parse_number(s, n, out) == n;
}
