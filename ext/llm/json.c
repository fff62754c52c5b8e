/* json.c - JSON behind one small door; the only file that includes cJSON.
 *
 * cJSON parses leniently, keeps every number as a double, copies invalid UTF-8 through and recurses as
 * deep as it is told to. What comes here was written by a model, a server or a user, so a scan over the
 * bytes runs first and settles what cJSON does not look at:
 *
 *     bytes --> scan: size, UTF-8, depth, items, numbers, \u0000 --> cJSON --> big integers put back
 *
 * The scan knows tokens only (strings, numbers, brackets); that they stand in a legal order is
 * checked by cJSON afterwards.
 *
 * I1. No text longer than JSON_MAX_BYTES, deeper than JSON_MAX_DEPTH or with more than JSON_MAX_ITEMS
 *     values reaches cJSON.
 * I2. Every string in a tree is valid UTF-8 without NUL.
 * I3. Integers are exact: cJSON rounds beyond 2^53, so an integer literal of BIG_DIGITS digits or more is
 *     kept as its own text in a raw node, which prints as it came and which json_int64 reads.
 * I4. No number is infinite. Numbers beyond the range of a double are refused.
 *
 * Memory comes from cJSON's default allocator (libc): its hooks are a setting of the whole process,
 * shared with everything else that the host has loaded, and are left alone. Text that leaves this file
 * is copied into rec_malloc's.
 *
 * Cost: one pass to scan, one to parse, one over the tree if there is a big integer.
 */
#include "llm.h"

#include <cjson/cJSON.h>
#include <math.h>

#define JSON_MAX_ITEMS ((size_t)1 << 20)
#define BIG_DIGITS     16 /* every integer of 15 digits is exact in a double */

static_assert(JSON_MAX_DEPTH < CJSON_NESTING_LIMIT, "cJSON never meets its own limit");

/* ---- scan ------------------------------------------------------------------------------- */

typedef struct big_number { /* an integer literal that a double may not hold */
    size_t ordinal;         /* which number of the text it is, from 0 */
    size_t at, nbyte;
} big_number;

typedef struct scanner {
    const uint8_t *s;
    size_t n, at, depth, n_items, n_numbers;
    big_number *big; /* owned */
    size_t n_big, cap_big;
    rec_err *err;
} scanner;

static rec_status scan_fail(const scanner *sc, const char *what) {
    return rec_fail(sc->err, REC_RANGE, "JSON: %s at byte %zu", what, sc->at);
}

/* A string, the opening quote at `at`. Escapes other than \u0000 are left to cJSON. */
static rec_status scan_string(scanner *sc) {
    sc->at++;
    while (sc->at < sc->n && sc->s[sc->at] != '"') {
        const uint8_t *p = sc->s + sc->at;
        size_t left = sc->n - sc->at;
        if (*p == 0) return scan_fail(sc, "NUL character");
        if (*p == '\\') {
            if (left >= 6 && memcmp(p, "\\u0000", 6) == 0)
                return scan_fail(sc, "\\u0000 is not supported");
            sc->at += left >= 2 && p[1] < 0x80 ? 2 : 1;
            continue;
        }
        size_t at = sc->at;
        if (utf8_next((const char *)sc->s, sc->n, &at) == UTF8_BAD)
            return scan_fail(sc, "invalid UTF-8");
        sc->at = at;
    }
    if (sc->at >= sc->n) return scan_fail(sc, "string without end");
    sc->at++;
    return REC_OK;
}

static size_t digits(const scanner *sc, size_t at) {
    size_t i = at;
    while (i < sc->n && sc->s[i] >= '0' && sc->s[i] <= '9') i++;
    return i - at;
}

/* Grammar of a JSON number; remembers integers of BIG_DIGITS digits or more. */
static rec_status scan_number(scanner *sc) {
    size_t begin = sc->at, at = begin + (sc->s[begin] == '-'), n_int = digits(sc, at);
    if (n_int == 0 || (n_int > 1 && sc->s[at] == '0'))
        return scan_fail(sc, "bad number");
    at += n_int;
    bool is_integer = true;
    if (at < sc->n && sc->s[at] == '.') {
        size_t d = digits(sc, at + 1);
        if (d == 0) return scan_fail(sc, "bad number");
        at += 1 + d, is_integer = false;
    }
    if (at < sc->n && (sc->s[at] | 32) == 'e') {
        at++;
        if (at < sc->n && (sc->s[at] == '+' || sc->s[at] == '-')) at++;
        size_t d = digits(sc, at);
        if (d == 0) return scan_fail(sc, "bad number");
        at += d, is_integer = false;
    }
    if (at - begin > 60) return scan_fail(sc, "number of more than 60 characters");
    if (is_integer && n_int >= BIG_DIGITS) {
        rec_status st =
            rec_grow(&sc->big, &sc->cap_big, sc->n_big + 1, sizeof *sc->big, sc->err);
        if (st) return st;
        sc->big[sc->n_big++] = (big_number){sc->n_numbers, begin, at - begin};
    }
    sc->n_numbers++;
    sc->at = at;
    return REC_OK;
}

static rec_status scan_token(scanner *sc) {
    uint8_t c = sc->s[sc->at];
    if (c == '"') return scan_string(sc);
    if (c == '-' || (c >= '0' && c <= '9')) return scan_number(sc);
    if (c == 0) return scan_fail(sc, "NUL character");
    if (c >= 0x80) return scan_fail(sc, "a character outside a string");
    if (c == '[' || c == '{') {
        if (++sc->depth > JSON_MAX_DEPTH) return scan_fail(sc, "more than 32 levels");
        sc->n_items++;
    } else if (c == ']' || c == '}') {
        if (sc->depth == 0)
            return scan_fail(sc, "closing bracket without an opening one");
        sc->depth--;
    } else if (c == ',' && ++sc->n_items > JSON_MAX_ITEMS)
        return scan_fail(sc, "more than 1048576 values");
    sc->at++;
    return REC_OK;
}

/* ---- parse ------------------------------------------------------------------------------- */

/* I3: walk the numbers of the tree in document order and give back the text of the big ones. */
static rec_status restore_big(cJSON *j, const scanner *sc, size_t *ordinal,
                              size_t *next) {
    for (; j && *next < sc->n_big; j = j->next) {
        if (cJSON_IsNumber(j) && (*ordinal)++ == sc->big[*next].ordinal) {
            const big_number *b = &sc->big[(*next)++];
            j->valuestring = cJSON_malloc(b->nbyte + 1);
            if (!j->valuestring) return rec_nomem(sc->err);
            memcpy(j->valuestring, sc->s + b->at, b->nbyte);
            j->valuestring[b->nbyte] = 0;
            j->type = cJSON_Raw | (j->type & ~0xFF);
        }
        rec_status st = restore_big(j->child, sc, ordinal, next);
        if (st) return st;
    }
    return REC_OK;
}

/* I4: cJSON turns 1e999 into an infinity. */
static bool all_finite(const cJSON *j) {
    for (; j; j = j->next)
        if ((cJSON_IsNumber(j) && !isfinite(j->valuedouble)) || !all_finite(j->child))
            return false;
    return true;
}

static json *parse_scanned(const scanner *sc, const char *text, size_t nbyte,
                           rec_err *err) {
    const char *end = NULL;
    cJSON *j = cJSON_ParseWithLengthOpts(text, nbyte, &end, 0);
    size_t at = end ? (size_t)(end - text) : 0;
    if (!j) {
        /* Out of memory looks the same; the scan found the tokens sound, so the order is wrong. */
        rec_fail(err, REC_RANGE, "JSON: not valid at byte %zu", at);
        return NULL;
    }
    while (at < nbyte && strchr(" \t\r\n", text[at])) at++;
    size_t ordinal = 0, next = 0;
    rec_status st = REC_OK;
    if (at < nbyte)
        st = rec_fail(err, REC_RANGE, "JSON: text after the value at byte %zu", at);
    else if (!all_finite(j))
        st = rec_fail(err, REC_RANGE, "JSON: a number is out of range");
    else
        st = restore_big(j, sc, &ordinal, &next);
    if (st == REC_OK) return j;
    cJSON_Delete(j);
    return NULL;
}

json *json_parse(const char *text, size_t nbyte, rec_err *err) {
    if (nbyte > JSON_MAX_BYTES) {
        rec_fail(err, REC_RANGE, "JSON: %zu bytes, at most %zu are read", nbyte,
                 JSON_MAX_BYTES);
        return NULL;
    }
    scanner sc = {.s = (const uint8_t *)text, .n = nbyte, .err = err};
    rec_status st = REC_OK;
    while (st == REC_OK && sc.at < nbyte) st = scan_token(&sc);
    if (st == REC_OK && sc.depth) st = scan_fail(&sc, "end of text within brackets");
    json *j = st == REC_OK ? parse_scanned(&sc, text, nbyte, err) : NULL;
    rec_free(sc.big);
    return j;
}

void json_delete(json *j) {
    cJSON_Delete(j);
}

/* ---- read --------------------------------------------------------------------------------- */

bool json_is_object(const json *j) {
    return cJSON_IsObject(j);
}
bool json_is_array(const json *j) {
    return cJSON_IsArray(j);
}
bool json_is_string(const json *j) {
    return cJSON_IsString(j);
}
bool json_is_number(const json *j) {
    return cJSON_IsNumber(j) || cJSON_IsRaw(j);
}
bool json_is_bool(const json *j) {
    return cJSON_IsBool(j);
}
bool json_is_null(const json *j) {
    return cJSON_IsNull(j);
}

json *json_get(const json *obj, const char *key) {
    return json_is_object(obj) ? cJSON_GetObjectItemCaseSensitive(obj, key) : NULL;
}
json *json_first(const json *j) {
    return j ? j->child : NULL;
}
json *json_next(const json *child) {
    return child ? child->next : NULL;
}
const char *json_key(const json *child) {
    return child ? child->string : NULL;
}
const char *json_text(const json *j) {
    return json_is_string(j) ? j->valuestring : NULL;
}

double json_number(const json *j, double otherwise) {
    if (cJSON_IsNumber(j)) return j->valuedouble;
    double x;
    if (cJSON_IsRaw(j) && rec_parse_number(j->valuestring, strlen(j->valuestring), &x))
        return x;
    return otherwise;
}

bool json_truth(const json *j, bool otherwise) {
    return cJSON_IsBool(j) ? cJSON_IsTrue(j) : otherwise;
}

size_t json_count(const json *j) {
    size_t n = 0;
    for (const json *c = json_first(j); c; c = c->next) n++;
    return n;
}

/* Decimal digits to int64, refusing what does not fit. */
static bool exact_int64(const char *s, int64_t *out) {
    bool negative = *s == '-';
    uint64_t x = 0, limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    for (s += negative; *s; s++) {
        uint64_t d = (uint64_t)(*s - '0');
        if (d > 9 || x > (limit - d) / 10) return false;
        x = x * 10 + d;
    }
    *out = !negative ? (int64_t)x : x == 0 ? 0 : -(int64_t)(x - 1) - 1;
    return true;
}

bool json_int64(const json *j, int64_t *out) {
    *out = 0;
    if (cJSON_IsRaw(j)) return exact_int64(j->valuestring, out);
    if (!cJSON_IsNumber(j)) return false;
    double x = j->valuedouble;
    if (!(fabs(x) <= 9007199254740992.0) || x != floor(x)) return false;
    *out = (int64_t)x;
    return true;
}

/* ---- build ---------------------------------------------------------------------------------- */

json *json_new_object(void) {
    return cJSON_CreateObject();
}
json *json_new_array(void) {
    return cJSON_CreateArray();
}
json *json_new_null(void) {
    return cJSON_CreateNull();
}
json *json_new_bool(bool b) {
    return cJSON_CreateBool(b);
}
json *json_new_number(double x) {
    return isfinite(x) ? cJSON_CreateNumber(x) : cJSON_CreateNull();
}

/* I2: what is not UTF-8 becomes U+FFFD, and text ends at a NUL. */
json *json_new_text(const char *s, size_t nbyte) {
    bytes_writer w = {0};
    for (size_t at = 0, begin; s && at < nbyte && s[at];) {
        begin = at;
        bool ok = utf8_next(s, nbyte, &at) != UTF8_BAD;
        bytes_put(&w, ok ? s + begin : "\xEF\xBF\xBD", ok ? at - begin : 3);
    }
    char *copy = bytes_take_text(&w);
    json *j = copy ? cJSON_CreateString(copy) : NULL;
    rec_free(copy);
    return j;
}

json *json_new_int(int64_t x) {
    if (x > -1000000000 && x < 1000000000) return cJSON_CreateNumber((double)x);
    char text[32]; /* as text: cJSON would print 1e+15, and round beyond 2^53 */
    rec_format(text, sizeof text, "%lld", (long long)x);
    return cJSON_CreateRaw(text);
}

json *json_copy(const json *j) {
    return j ? cJSON_Duplicate(j, 1) : NULL;
}

bool json_set(json *obj, const char *key, json *value) {
    if (obj && value && cJSON_AddItemToObject(obj, key, value)) return true;
    cJSON_Delete(value);
    return false;
}

bool json_push(json *array, json *value) {
    if (array && value && cJSON_AddItemToArray(array, value)) return true;
    cJSON_Delete(value);
    return false;
}

char *json_print(const json *j) {
    char *text = j ? cJSON_PrintUnformatted(j) : NULL;
    char *out = text ? rec_strdup(text) : NULL;
    if (text) cJSON_free(text);
    return out;
}
