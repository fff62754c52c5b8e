/* filter.c - typed columns beside the vectors, and predicates over them.
 *
 *   column   kind[slot]  I R T N T ...       one byte a cell
 *            word[slot]  int64 | double | number of a text in the pool
 *   pool     "Comedy" "Drama" ...            each distinct text or blob once
 *
 *   predicates + columns  -->  filter_apply  -->  bitmap of slots that pass all, 64 at a time
 *
 * Which numbers a comparison lets through is a range of integers, and one of reals in the order of
 * their bits: found once, by bisection, then two instructions a cell (about a nanosecond).
 *
 * A predicate on texts is evaluated once for every distinct text and remembered for the rest
 * of the pass, so LIKE over a million rows of forty genres costs forty comparisons.
 *
 * Meaning is SQLite's (https://sqlite.org/datatype3.html, section 4; lang_expr.html, LIKE):
 * I1. NULL < numbers < text < blobs; integers and reals compare by exact value.
 * I2. A comparison with NULL is unknown, hence false; IS and IS NOT treat NULL as a value.
 * I3. Every text of the pool is distinct; freed texts are squeezed out when they outweigh the
 *     living (refs[] counts the cells of each).
 */
#include "index.h"

#include <math.h>

#define POOL_SQUEEZE_BYTES ((size_t)1 << 20)
#define KEY_INFINITY       ((int64_t)0x7ff0000000000000) /* real_key of infinity */

/* ---- comparison --------------------------------------------------------------------------- */

static int type_rank(const cell *c) {
    switch (c->type) {
    case CELL_NULL: return 0;
    case CELL_INT:
    case CELL_REAL: return 1;
    case CELL_TEXT: return 2;
    default: return 3;
    }
}

/* i ? r without rounding i to a double. */
static int compare_int_real(int64_t i, double r) {
    if (r != r) return 1; /* SQLite keeps no NaN; order it first all the same */
    if (r < -9223372036854775808.0) return 1;
    if (r >= 9223372036854775808.0) return -1;
    int64_t whole = (int64_t)r;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = r - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

int cell_compare(const cell *a, const cell *b) {
    int ra = type_rank(a), rb = type_rank(b);
    if (ra != rb) return ra < rb ? -1 : 1;
    if (ra == 0) return 0;
    if (ra == 1) {
        if (a->type == CELL_INT && b->type == CELL_INT)
            return (a->i > b->i) - (a->i < b->i);
        if (a->type == CELL_INT) return compare_int_real(a->i, b->r);
        if (b->type == CELL_INT) return -compare_int_real(b->i, a->r);
        return (a->r > b->r) - (a->r < b->r);
    }
    size_t n = a->nbyte < b->nbyte ? a->nbyte : b->nbyte;
    int d = n ? memcmp(a->p, b->p, n) : 0;
    if (d != 0) return d < 0 ? -1 : 1;
    return (a->nbyte > b->nbyte) - (a->nbyte < b->nbyte);
}

/* ---- LIKE and GLOB -------------------------------------------------------------------------- */

/* Bytes of the character at s: a lead byte takes its continuation bytes along. */
static size_t char_length(const char *s, const char *end) {
    size_t n = 1;
    if ((unsigned char)s[0] >= 0xc0)
        while (s + n < end && ((unsigned char)s[n] & 0xc0) == 0x80) n++;
    return n;
}

static uint32_t char_code(const char *s, size_t n) {
    unsigned char lead = (unsigned char)s[0];
    if (n == 1) return lead;
    uint32_t c = n == 2 ? lead & 0x1fu : n == 3 ? lead & 0x0fu : lead & 0x07u;
    for (size_t i = 1; i < n; i++) c = c << 6 | ((unsigned char)s[i] & 0x3fu);
    return c;
}

static char fold(char ch) {
    return ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
}

/* One [...] of GLOB at p (just after the bracket): does code belong? *after: past the ']',
 * NULL if it never closes. */
static bool set_has(const char *p, const char *end, uint32_t code, const char **after) {
    bool is_inverted = p < end && *p == '^', has = false;
    uint32_t prior = 0;
    *after = NULL;
    if (is_inverted) p++;
    const char *first = p;
    while (p < end && (*p != ']' || p == first)) {
        size_t n = char_length(p, end);
        uint32_t c = char_code(p, n);
        if (c == '-' && p + 1 < end && p[1] != ']' && prior > 0) {
            p++;
            n = char_length(p, end);
            c = char_code(p, n);
            if (code >= prior && code <= c) has = true;
            prior = 0;
        } else {
            if (c == code) has = true;
            prior = c;
        }
        p += n;
    }
    if (p >= end) return false;
    *after = p + 1;
    return has != is_inverted;
}

/* Does the pattern element at p take the character at s? *after: the next element. */
static bool takes_one(const char *p, const char *p_end, const char *s, size_t n,
                      bool is_glob, const char **after) {
    size_t np = char_length(p, p_end);
    *after = p + np;
    if (*p == (is_glob ? '?' : '_')) return true;
    if (is_glob && *p == '[') {
        bool has = set_has(p + 1, p_end, char_code(s, n), after);
        return *after != NULL && has;
    }
    if (np != n) return false;
    if (n == 1) return is_glob ? *p == *s : fold(*p) == fold(*s);
    return memcmp(p, s, n) == 0;
}

/* Wildcards by remembering the last one and retrying one character later: every other element
 * takes exactly one character, so no more than that is ever needed. */
static bool pattern_match(const char *p, size_t np, const char *s, size_t ns,
                          bool is_glob) {
    const char *p_end = p + np, *s_end = s + ns, *star = NULL, *retry = NULL, *after;
    char many = is_glob ? '*' : '%';
    while (s < s_end) {
        if (p < p_end && *p == many) {
            star = ++p;
            retry = s;
            continue;
        }
        size_t n = char_length(s, s_end);
        if (p < p_end && takes_one(p, p_end, s, n, is_glob, &after)) {
            p = after;
            s += n;
            continue;
        }
        if (star == NULL) return false;
        p = star;
        retry += char_length(retry, s_end);
        s = retry;
    }
    while (p < p_end && *p == many) p++;
    return p == p_end;
}

/* Text of a number as SQLite prints it: reals always show a point. */
static size_t number_text(const cell *c, char out[48]) {
    if (c->type == CELL_INT) return rec_format(out, 48, "%lld", (long long)c->i);
    size_t n = rec_format(out, 40, "%.15g", c->r), e = 0;
    while (e < n && out[e] != 'e' && out[e] != '.' && out[e] != 'n') e++;
    if (e < n && out[e] != 'e') return n;
    memmove(out + e + 2, out + e, n - e);
    memcpy(out + e, ".0", 2);
    return n + 2;
}

static bool like_match(const predicate *p, const cell *c) {
    char buf[48];
    const char *s = c->p;
    size_t n = c->nbyte, np = p->value.nbyte;
    if (c->type == CELL_INT || c->type == CELL_REAL) {
        n = number_text(c, buf);
        s = buf;
    }
    const char *zero = n ? memchr(s, 0, n) : NULL; /* SQLite's LIKE reads C strings */
    if (zero) n = (size_t)(zero - s);
    zero = np ? memchr(p->value.p, 0, np) : NULL;
    if (zero) np = (size_t)(zero - p->value.p);
    return pattern_match(p->value.p, np, s, n, p->op == PRED_GLOB);
}

/* ---- predicates ------------------------------------------------------------------------------ */

static bool set_contains(const predicate *p, const cell *c) {
    size_t low = 0, high = p->n_set;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int d = cell_compare(&p->set[mid], c);
        if (d == 0) return true;
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

bool predicate_match(const predicate *p, const cell *c) {
    bool is_null = c->type == CELL_NULL;
    switch (p->op) {
    case PRED_ISNULL: return is_null;
    case PRED_NOTNULL: return !is_null;
    case PRED_IS: return cell_compare(c, &p->value) == 0;
    case PRED_ISNOT: return cell_compare(c, &p->value) != 0;
    case PRED_IN: return !is_null && set_contains(p, c);
    default: break;
    }
    if (is_null || p->value.type == CELL_NULL) return false; /* I2 */
    if (p->op == PRED_LIKE || p->op == PRED_GLOB)
        return (p->value.type == CELL_TEXT || p->value.type == CELL_BLOB) &&
               like_match(p, c);
    int d = cell_compare(c, &p->value);
    switch (p->op) {
    case PRED_EQ: return d == 0;
    case PRED_NE: return d != 0;
    case PRED_LT: return d < 0;
    case PRED_LE: return d <= 0;
    case PRED_GT: return d > 0;
    default: return d >= 0;
    }
}

/* Heap sort: in place, no allocation that could fail, no recursion. */
static void sift(cell *a, size_t root, size_t n) {
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && cell_compare(&a[child], &a[child + 1]) < 0) child++;
        if (cell_compare(&a[root], &a[child]) >= 0) return;
        cell t = a[root];
        a[root] = a[child];
        a[child] = t;
    }
}

void predicate_sort_set(predicate *p) {
    size_t n = 0;
    bool is_sorted = true;
    for (size_t i = 0; i < p->n_set; i++) {
        if (p->set[i].type == CELL_NULL) continue;
        p->set[n] = p->set[i];
        if (n > 0 && cell_compare(&p->set[n - 1], &p->set[n]) > 0) is_sorted = false;
        n++;
    }
    p->n_set = n;
    if (is_sorted) return; /* lists from a subquery arrive in order */
    for (size_t i = n / 2; i-- > 0;) sift(p->set, i, n);
    for (size_t end = n; end-- > 1;) {
        cell t = p->set[0];
        p->set[0] = p->set[end];
        p->set[end] = t;
        sift(p->set, 0, end);
    }
}

/* ---- the pool of texts ------------------------------------------------------------------------- */

typedef struct pool_text {
    size_t start, nbyte;
    uint32_t refs; /* cells that hold it; 0 = free */
    bool is_blob;
} pool_text;

typedef struct pool {
    char *bytes;
    size_t n_bytes, cap_bytes, dead_bytes;
    pool_text *text;
    size_t n_text, cap_text;
    uint32_t *table; /* open addressing: text number + 1, 0 = empty */
    size_t n_table;  /* a power of two */
} pool;

static void pool_clear(pool *p) {
    rec_free(p->bytes);
    rec_free(p->text);
    rec_free(p->table);
    *p = (pool){0};
}

/* Place of (s, n, is_blob) in the table: its own, or the empty one where it belongs. */
static size_t pool_place(const pool *p, const char *s, size_t n, bool is_blob) {
    size_t at = (size_t)rec_hash(s, n, is_blob) & (p->n_table - 1);
    for (; p->table[at] != 0; at = (at + 1) & (p->n_table - 1)) {
        const pool_text *t = &p->text[p->table[at] - 1];
        if (t->nbyte == n && t->is_blob == is_blob &&
            (n == 0 || memcmp(p->bytes + t->start, s, n) == 0))
            break;
    }
    return at;
}

static rec_status pool_rehash(pool *p, rec_err *err) {
    size_t n = p->n_table ? p->n_table * 2 : 64;
    uint32_t *table = rec_zeros(n, sizeof *table);
    if (table == NULL) return rec_nomem(err);
    rec_free(p->table);
    p->table = table;
    p->n_table = n;
    for (size_t i = 0; i < p->n_text; i++) {
        const pool_text *t = &p->text[i];
        table[pool_place(p, p->bytes + t->start, t->nbyte, t->is_blob)] =
            (uint32_t)i + 1;
    }
    return REC_OK;
}

static rec_status pool_add(pool *p, const char *s, size_t n, bool is_blob,
                           uint32_t *out, rec_err *err) {
    if ((p->n_text + 1) * 2 > p->n_table) {
        rec_status rs = pool_rehash(p, err);
        if (rs != REC_OK) return rs;
    }
    size_t at = pool_place(p, n ? s : "", n, is_blob);
    if (p->table[at] != 0) {
        *out = p->table[at] - 1;
        pool_text *t = &p->text[*out];
        if (t->refs++ == 0) p->dead_bytes -= t->nbyte + sizeof *t;
        return REC_OK;
    }
    rec_status st =
        rec_grow(&p->text, &p->cap_text, p->n_text + 1, sizeof *p->text, err);
    if (st == REC_OK)
        st = rec_grow(&p->bytes, &p->cap_bytes, p->n_bytes + n + 1, 1, err);
    if (st != REC_OK) return st;
    if (n) memcpy(p->bytes + p->n_bytes, s, n);
    p->text[p->n_text] = (pool_text){p->n_bytes, n, 1, is_blob};
    p->n_bytes += n;
    *out = (uint32_t)p->n_text++;
    p->table[at] = *out + 1;
    return REC_OK;
}

static void pool_release(pool *p, uint32_t id) {
    pool_text *t = &p->text[id];
    if (--t->refs == 0) p->dead_bytes += t->nbyte + sizeof *t;
}

/* ---- columns -------------------------------------------------------------------------------------- */

typedef union filter_word {
    int64_t i;
    double r;
    uint32_t text;
} filter_word;

typedef struct filter_column {
    uint8_t *kind; /* cell_type */
    size_t cap_kind;
    filter_word *word;
    size_t cap_word;
    pool texts;
} filter_column;

struct filter_table {
    int n_column;
    size_t n_slots;
    filter_column *column;
};

filter_table *filter_new(int n_column) {
    filter_table *t = rec_zeros(1, sizeof *t);
    if (t) t->column = rec_zeros((size_t)n_column, sizeof(filter_column));
    if (t == NULL || t->column == NULL) {
        rec_free(t);
        return NULL;
    }
    t->n_column = n_column;
    return t;
}

void filter_free(filter_table *t) {
    if (t == NULL) return;
    for (int i = 0; i < t->n_column; i++) {
        rec_free(t->column[i].kind);
        rec_free(t->column[i].word);
        pool_clear(&t->column[i].texts);
    }
    rec_free(t->column);
    rec_free(t);
}

static bool is_pooled(uint8_t kind) {
    return kind == CELL_TEXT || kind == CELL_BLOB;
}

/* I3: a new pool of the living texts; without memory the old one stays, which is no harm. */
static void squeeze(filter_column *c, size_t n_slots) {
    pool fresh = {0};
    rec_err ignored = {0};
    uint32_t *number = rec_array(c->texts.n_text, sizeof *number);
    bool is_done = number != NULL;
    for (size_t i = 0; i < c->texts.n_text && is_done; i++) {
        const pool_text *t = &c->texts.text[i];
        if (t->refs == 0) continue;
        is_done = pool_add(&fresh, c->texts.bytes + t->start, t->nbyte, t->is_blob,
                           &number[i], &ignored) == REC_OK;
        if (is_done) fresh.text[number[i]].refs = t->refs;
    }
    if (is_done) {
        for (size_t slot = 0; slot < n_slots; slot++)
            if (is_pooled(c->kind[slot]))
                c->word[slot].text = number[c->word[slot].text];
        pool old = c->texts;
        c->texts = fresh;
        fresh = old;
    }
    pool_clear(&fresh);
    rec_free(number);
}

static void drop_cell(filter_column *c, uint32_t slot) {
    if (is_pooled(c->kind[slot])) pool_release(&c->texts, c->word[slot].text);
    c->kind[slot] = CELL_NULL;
}

static rec_status reserve(filter_table *t, uint32_t slot, rec_err *err) {
    if (slot < t->n_slots) return REC_OK;
    size_t want = (size_t)slot + 1;
    for (int i = 0; i < t->n_column; i++) {
        filter_column *c = &t->column[i];
        rec_status s = rec_grow(&c->kind, &c->cap_kind, want, 1, err);
        if (s == REC_OK)
            s = rec_grow(&c->word, &c->cap_word, want, sizeof *c->word, err);
        if (s != REC_OK) return s;
        memset(c->kind + t->n_slots, CELL_NULL, want - t->n_slots);
    }
    t->n_slots = want;
    return REC_OK;
}

rec_status filter_put(filter_table *t, uint32_t slot, int column, const cell *v,
                      rec_err *err) {
    rec_status s = reserve(t, slot, err);
    if (s != REC_OK) return s;
    filter_column *c = &t->column[column];
    filter_word w = {0};
    if (v->type == CELL_INT)
        w.i = v->i;
    else if (v->type == CELL_REAL)
        w.r = v->r;
    else if (v->type != CELL_NULL) {
        s = pool_add(&c->texts, v->p, v->nbyte, v->type == CELL_BLOB, &w.text, err);
        if (s != REC_OK) return s;
    }
    drop_cell(c, slot);
    c->kind[slot] = (uint8_t)v->type;
    c->word[slot] = w;
    if (c->texts.dead_bytes > POOL_SQUEEZE_BYTES &&
        c->texts.dead_bytes > c->texts.n_bytes / 2)
        squeeze(c, t->n_slots);
    return REC_OK;
}

void filter_drop(filter_table *t, uint32_t slot) {
    for (int i = 0; i < t->n_column && slot < t->n_slots; i++)
        drop_cell(&t->column[i], slot);
}

static cell column_cell(const filter_column *c, size_t slot) {
    cell out = {.type = (cell_type)c->kind[slot]};
    if (out.type == CELL_INT)
        out.i = c->word[slot].i;
    else if (out.type == CELL_REAL)
        out.r = c->word[slot].r;
    else if (out.type != CELL_NULL) {
        const pool_text *t = &c->texts.text[c->word[slot].text];
        out.p = c->texts.bytes + t->start;
        out.nbyte = t->nbyte;
    }
    return out;
}

cell filter_get(const filter_table *t, uint32_t slot, int column) {
    if (slot >= t->n_slots) return (cell){0};
    return column_cell(&t->column[column], slot);
}

void filter_fetch(const filter_table *t, uint32_t slot, int column) {
    if (slot >= t->n_slots) return;
    __builtin_prefetch(t->column[column].kind + slot);
    __builtin_prefetch(t->column[column].word + slot);
}

/* ---- evaluation ------------------------------------------------------------------------------------- */

/* What a predicate says of numbers: those from `from` to `from + span` (of integers, or of the keys
 * of reals) pass, or, negated, the others. */
typedef struct number_range {
    uint64_t from, span;
    bool is_empty, is_negated;
} number_range;

static inline uint64_t in_range(const number_range *r, int64_t x) {
    return (uint64_t)((((uint64_t)x - r->from <= r->span) & !r->is_empty) ^
                      r->is_negated);
}

/* A real as an integer of the same order; the same again leads back. */
static inline int64_t real_key(int64_t bits) {
    return bits ^ (int64_t)((uint64_t)(bits >> 63) >> 1);
}

static int compare_number(int64_t x, bool is_real, const cell *v) {
    cell c = {.type = is_real ? CELL_REAL : CELL_INT, .i = x};
    if (is_real) {
        int64_t bits = real_key(x);
        memcpy(&c.r, &bits, sizeof c.r);
    }
    return cell_compare(&c, v);
}

/* The least number that is >= v (min 0) or > v (min 1); false: there is none. Bisection with the
 * comparison itself, so that no other rule of integers against reals can differ from it. */
static bool first_number(const cell *v, bool is_real, int min, int64_t *out) {
    int64_t high = is_real ? KEY_INFINITY : INT64_MAX;
    int64_t low = is_real ? -KEY_INFINITY - 1 : INT64_MIN;
    if (compare_number(high, is_real, v) < min) return false;
    while (low < high) {
        int64_t mid = low + (int64_t)(((uint64_t)high - (uint64_t)low) / 2);
        if (compare_number(mid, is_real, v) >= min)
            high = mid;
        else
            low = mid + 1;
    }
    *out = low;
    return true;
}

/* Numbers below the first one that is >= v, or > v. */
static number_range below(const cell *v, bool is_real, int min) {
    int64_t first;
    number_range r = {.from = (uint64_t)INT64_MIN, .span = UINT64_MAX};
    if (!first_number(v, is_real, min, &first)) return r;
    r.is_empty = first == INT64_MIN;
    r.span = (uint64_t)first - 1 - r.from;
    return r;
}

static number_range equal_to(const cell *v, bool is_real) {
    int64_t first, after;
    number_range r = {.is_empty = true};
    if (!first_number(v, is_real, 0, &first)) return r;
    bool has_after = first_number(v, is_real, 1, &after);
    r.is_empty = has_after && after == first;
    r.from = (uint64_t)first;
    r.span = (has_after ? (uint64_t)after - 1 : (uint64_t)INT64_MAX) - r.from;
    return r;
}

/* false: the numbers that pass are no range (LIKE, IN). */
static bool range_of(const predicate *p, bool is_real, number_range *r) {
    bool is_unknown = p->value.type == CELL_NULL;
    *r = (number_range){.is_empty = true};
    switch (p->op) {
    case PRED_LIKE:
    case PRED_GLOB:
    case PRED_IN: return false;
    case PRED_ISNULL: return true;
    case PRED_NOTNULL: r->is_negated = true; return true;
    case PRED_IS:
    case PRED_ISNOT: is_unknown = false; break;
    default: break;
    }
    if (is_unknown) return true; /* I2 */
    if (p->op == PRED_LT || p->op == PRED_GE)
        *r = below(&p->value, is_real, 0);
    else if (p->op == PRED_LE || p->op == PRED_GT)
        *r = below(&p->value, is_real, 1);
    else
        *r = equal_to(&p->value, is_real);
    r->is_negated =
        p->op == PRED_GE || p->op == PRED_GT || p->op == PRED_NE || p->op == PRED_ISNOT;
    return true;
}

enum { MEMO_UNKNOWN, MEMO_YES, MEMO_NO };

typedef struct evaluation {
    const filter_column *c;
    const predicate *p;
    uint8_t *memo; /* of each text of the pool */
    bool has_ranges;
    number_range whole, real;
    int64_t
        *set; /* IN: the integers of the set, ascending; NULL: it holds others, too */
} evaluation;

static bool text_passes(evaluation *e, size_t slot) {
    uint8_t *known = &e->memo[e->c->word[slot].text];
    if (*known == MEMO_UNKNOWN) {
        cell v = column_cell(e->c, slot);
        *known = predicate_match(e->p, &v) ? MEMO_YES : MEMO_NO;
    }
    return *known == MEMO_YES;
}

static bool whole_in_set(const evaluation *e, int64_t x) {
    const int64_t *a = e->set;
    size_t n = e->p->n_set;
    while (n > 1) {
        size_t half = n / 2;
        a = a[half] <= x ? a + half : a;
        n -= half;
    }
    return n > 0 && *a == x;
}

static bool cell_passes(evaluation *e, size_t slot) {
    uint8_t kind = e->c->kind[slot];
    int64_t x = e->c->word[slot].i;
    if (is_pooled(kind)) return text_passes(e, slot);
    if (kind == CELL_INT && e->has_ranges) return in_range(&e->whole, x);
    if (kind == CELL_REAL && e->has_ranges) return in_range(&e->real, real_key(x));
    if (kind == CELL_INT && e->set) return whole_in_set(e, x);
    cell v = column_cell(e->c, slot);
    return predicate_match(e->p, &v);
}

/* Are the 64 cells from `slot` on all of one kind? */
static bool is_uniform(const filter_column *c, size_t slot, uint8_t kind) {
    uint64_t pattern = kind * (uint64_t)0x0101010101010101, differ = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, c->kind + slot + i * 8, sizeof eight);
        differ |= eight ^ pattern;
    }
    return differ == 0;
}

/* Which of the 64 slots from `slot` on pass; all of them are cells of the column. Loops without
 * branches where the cells are of one kind, as in a column they nearly always are. */
static uint64_t block_passes(evaluation *e, size_t slot) {
    const filter_word *w = e->c->word + slot;
    uint8_t kind = e->c->kind[slot];
    uint64_t out = 0;
    if (!is_uniform(e->c, slot, kind)) kind = CELL_NULL;
    if (kind == CELL_INT && e->has_ranges)
        for (int i = 0; i < 64; i++) out |= in_range(&e->whole, w[i].i) << i;
    else if (kind == CELL_REAL && e->has_ranges)
        for (int i = 0; i < 64; i++) out |= in_range(&e->real, real_key(w[i].i)) << i;
    else if (kind == CELL_INT && e->set)
        for (int i = 0; i < 64; i++) out |= (uint64_t)whole_in_set(e, w[i].i) << i;
    else if (is_pooled(kind))
        for (int i = 0; i < 64; i++)
            out |= (uint64_t)text_passes(e, slot + (size_t)i) << i;
    else
        for (int i = 0; i < 64; i++)
            out |= (uint64_t)cell_passes(e, slot + (size_t)i) << i;
    return out;
}

static rec_status evaluation_start(const filter_table *t, const predicate *p,
                                   evaluation *e, rec_err *err) {
    *e = (evaluation){.c = &t->column[p->column], .p = p};
    e->memo = rec_zeros(e->c->texts.n_text, 1);
    if (e->memo == NULL) return rec_nomem(err);
    e->has_ranges = range_of(p, false, &e->whole) && range_of(p, true, &e->real);
    bool is_whole = p->op == PRED_IN;
    for (size_t i = 0; i < p->n_set && is_whole; i++)
        is_whole = p->set[i].type == CELL_INT;
    if (!is_whole) return REC_OK;
    e->set = rec_array(p->n_set, sizeof *e->set);
    if (e->set == NULL) return rec_nomem(err);
    for (size_t i = 0; i < p->n_set; i++) e->set[i] = p->set[i].i;
    return REC_OK;
}

#define FEW_BITS 8 /* of a word: looked at one by one */

static uint64_t word_passes(evaluation *e, size_t n_slots, size_t slot, uint64_t word) {
    uint64_t out = 0;
    if (slot + 64 <= n_slots && __builtin_popcountll(word) > FEW_BITS)
        return word & block_passes(e, slot);
    for (; word != 0; word &= word - 1) {
        size_t bit = (size_t)__builtin_ctzll(word);
        if (slot + bit < n_slots && cell_passes(e, slot + bit))
            out |= (uint64_t)1 << bit;
    }
    return out;
}

static rec_status apply_one(const filter_table *t, const predicate *p, bitmap *out,
                            rec_run *run, rec_err *err) {
    evaluation e;
    rec_status s = evaluation_start(t, p, &e, err);
    size_t n_word = (out->n_bit + 63) / 64;
    for (size_t w = 0; w < n_word && s == REC_OK; w++) {
        if (w % 64 == 0) s = run_check(run, err);
        if (out->word[w] != 0)
            out->word[w] = word_passes(&e, t->n_slots, w * 64, out->word[w]);
    }
    rec_free(e.memo);
    rec_free(e.set);
    return s;
}

rec_status filter_apply(const filter_table *t, const predicate *p, size_t n,
                        bitmap *out, rec_run *run, rec_err *err) {
    for (size_t i = 0; i < n; i++) {
        if (p[i].column < 0 || p[i].column >= t->n_column)
            return rec_fail(err, REC_BUG, "predicate on column %d of %d", p[i].column,
                            t->n_column);
        rec_status s = apply_one(t, &p[i], out, run, err);
        if (s != REC_OK) return s;
    }
    return REC_OK;
}

size_t filter_nbyte(const filter_table *t) {
    size_t n = sizeof *t;
    for (int i = 0; i < t->n_column; i++) {
        const filter_column *c = &t->column[i];
        n += sizeof *c + c->cap_kind + c->cap_word * sizeof *c->word +
             c->texts.cap_bytes + c->texts.cap_text * sizeof *c->texts.text +
             c->texts.n_table * sizeof(uint32_t);
    }
    return n;
}
