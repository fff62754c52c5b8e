/* split.c - which interactions a model may learn from, and which it is asked about afterwards.
 *
 *     rows of user u, in table order        a a b c d d e      pairs: a b c d e
 *
 *     last       the newest pairs: by time, without times by row      a b c d | e
 *     random     pairs by a hash of (seed, user, item)                a c d e | b
 *     temporal   every row that is newer than one moment              a a b c | d e
 *     user       whole users; of theirs, a part of the pairs          (a b c  | d e)  none is learned from
 *     table      pairs that stand in a table of their own
 *
 * A pair of user and item goes to one side with all of its rows, but for `temporal`, where the
 * moment decides: a pair that has rows on both sides is learned from, and asked about only if
 * consumed items may return (repeat).
 *
 * A split may lie `within` another: what that one does not leave for training is neither learned from nor asked
 * about. `keep` makes some users look new: so many of their oldest pairs stay, the others are asked about.
 *
 * Invariants
 *   I1  the pairs that are asked about stand in compressed rows, ascending within a user;
 *   I2  no row of such a pair is PART_TRAIN or PART_PROFILE, but for temporal with repeat;
 *   I3  last, random, user: a user with one pair keeps it; every other user gives at least one pair
 *       and keeps at least one;
 *   I4  the result depends on rows, numbers and seed alone.
 *
 * Cost: O(n log n) of the longest user's rows; temporal sorts all times once.
 */
#include "model.h"

#include <math.h>

typedef struct pair {
    double time; /* newest; -infinity if unknown */
    uint64_t hash;
    uint32_t item;
    uint32_t at; /* of its last row among the user's */
} pair;

void split_clear(split *s) {
    rec_free(s->ptr);
    rec_free(s->item);
    rec_free(s->is_held);
    rec_free(s->is_out);
    memset(s, 0, sizeof *s);
}

/* ---- one user's pairs ------------------------------------------------------------------------- */

static int by_item(const void *a, const void *b, void *ctx) {
    const pair *x = a, *y = b;
    (void)ctx;
    if (x->item != y->item) return x->item < y->item ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* What is held out first stands first: the newest pair, or the smallest hash. */
static int newest_first(const void *a, const void *b, void *ctx) {
    const pair *x = a, *y = b;
    (void)ctx;
    if (x->time != y->time) return x->time > y->time ? -1 : 1;
    return x->at > y->at ? -1 : x->at < y->at;
}

static int hash_first(const void *a, const void *b, void *ctx) {
    const pair *x = a, *y = b;
    (void)ctx;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static uint64_t hash_of(uint64_t seed, uint32_t user, uint32_t item) {
    return rec_mix(rec_mix(seed + user) ^ ((uint64_t)item << 20));
}

static size_t find_pairs(const split_spec *s, uint32_t user, const interaction *row,
                         size_t n, pair *out) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (pair){isnan(row[i].time) ? -INFINITY : row[i].time,
                        hash_of(s->seed, user, row[i].item), row[i].item, (uint32_t)i};
    rec_sort(out, n, sizeof *out, by_item, NULL);
    for (size_t i = 0; i < n; i++) {
        if (kept && out[kept - 1].item == out[i].item) {
            if (out[i].time >= out[kept - 1].time) out[kept - 1].time = out[i].time;
            out[kept - 1].at = out[i].at;
        } else {
            out[kept++] = out[i];
        }
    }
    return kept;
}

static size_t n_held(const split_spec *s, uint32_t user, size_t n) {
    double want = s->share * (double)n;
    if (n < 2) return 0;
    if (s->keep && s->keep[user] && s->keep[user] < n) return n - s->keep[user];
    size_t out =
        s->kind == SPLIT_LAST ? (size_t)ceil(want - 1e-9) : (size_t)(want + .5);
    if (s->kind == SPLIT_LAST && s->n_last) out = s->n_last;
    return out < 1 ? 1 : out > n - 1 ? n - 1 : out;
}

static int ascending(const void *a, const void *b, void *ctx) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

/* Appends the held pairs of one user to out->item. */
static size_t hold_pairs(const split_spec *s, uint32_t user, const interaction *row,
                         size_t n, pair *scratch, uint32_t *out) {
    size_t n_pair = find_pairs(s, user, row, n, scratch),
           held = n_held(s, user, n_pair);
    rec_sort(scratch, n_pair, sizeof *scratch,
             s->kind == SPLIT_LAST ? newest_first : hash_first, NULL);
    for (size_t i = 0; i < held; i++) out[i] = scratch[i].item;
    rec_sort(out, held, sizeof *out, ascending, NULL);
    return held;
}

/* ---- users that are held out as a whole ----------------------------------------------------------- */

typedef struct who {
    uint64_t hash;
    uint32_t user;
} who;

static int who_first(const void *a, const void *b, void *ctx) {
    const who *x = a, *y = b;
    (void)ctx;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->user < y->user ? -1 : x->user > y->user;
}

/* Two pairs: one to know, one to ask about. */
static bool has_two(const interaction *row, size_t begin, size_t end) {
    for (size_t i = begin + 1; i < end; i++)
        if (row[i].item != row[begin].item) return true;
    return false;
}

static rec_status hold_users(const split_spec *s, const interaction *row,
                             const size_t *ptr, uint32_t n_users, split *out,
                             rec_err *err) {
    who *w = rec_array(n_users, sizeof *w);
    out->is_held = rec_zeros(n_users, sizeof *out->is_held);
    if (!w || !out->is_held) {
        rec_free(w);
        return rec_nomem(err);
    }
    size_t n = 0;
    for (uint32_t u = 0; u < n_users; u++)
        if (has_two(row, ptr[u], ptr[u + 1]))
            w[n++] = (who){hash_of(s->seed, u, KEYS_NONE), u};
    rec_sort(w, n, sizeof *w, who_first, NULL);
    size_t want = (size_t)(s->share * (double)n + .5);
    if (want < 1) want = 1;
    if (want >= n) want = n ? n - 1 : 0; /* somebody must be learned from */
    for (size_t i = 0; i < want; i++) out->is_held[w[i].user] = 1;
    rec_free(w);
    return REC_OK;
}

static rec_status leave_out(const split_spec *s, uint32_t n_users, split *out,
                            rec_err *err) {
    if (!(s->sample > 0) || s->sample >= 1) return REC_OK;
    out->is_out = rec_zeros(n_users, sizeof *out->is_out);
    if (!out->is_out) return rec_nomem(err);
    double most = s->sample * 18446744073709551616.0;
    for (uint32_t u = 0; u < n_users; u++)
        out->is_out[u] = (double)hash_of(~s->seed, u, 0) >= most;
    return REC_OK;
}

/* ---- a moment -------------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b, void *ctx) {
    double x = *(const double *)a, y = *(const double *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

/* After it lies the wanted share of the dated rows, or less where many have the same time. */
static rec_status find_cutoff(const split_spec *s, const interaction *row, size_t n,
                              double *out, rec_err *err) {
    *out = s->cutoff;
    if (!isnan(s->cutoff)) return REC_OK;
    double *t = rec_array(n, sizeof *t);
    size_t dated = 0;
    if (!t) return rec_nomem(err);
    for (size_t i = 0; i < n; i++)
        if (!isnan(row[i].time)) t[dated++] = row[i].time;
    rec_sort(t, dated, sizeof *t, by_time, NULL);
    size_t after = (size_t)(s->share * (double)dated + .5);
    if (after < 1) after = 1;
    if (dated > after) *out = t[dated - after - 1];
    rec_free(t);
    return dated > after ? REC_OK
                         : rec_fail(err, REC_RANGE,
                                    "split=temporal: %zu of %zu rows have a time; "
                                    "nothing would be left to learn from",
                                    dated, n);
}

static size_t hold_later(const split_spec *s, const split *out, const interaction *row,
                         size_t n, uint32_t *item) {
    size_t held = 0, kept = 0;
    for (size_t i = 0; i < n; i++)
        if (row[i].time > out->cutoff) item[held++] = row[i].item;
    rec_sort(item, held, sizeof *item, ascending, NULL);
    for (size_t i = 0; i < held; i++) {
        if (kept && item[kept - 1] == item[i]) continue;
        bool is_known = false;
        for (size_t j = 0; j < n && !s->is_repeat && !is_known; j++)
            is_known = row[j].item == item[i] && !(row[j].time > out->cutoff);
        if (!is_known) item[kept++] = item[i];
    }
    return kept;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static size_t longest(const size_t *ptr, uint32_t n_users) {
    size_t n = 0;
    for (uint32_t u = 0; u < n_users; u++)
        if (ptr[u + 1] - ptr[u] > n) n = ptr[u + 1] - ptr[u];
    return n;
}

static rec_status make(const split_spec *s, const interaction *row, const size_t *ptr,
                       uint32_t n_users, split *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    out->cutoff = NAN;
    out->within = s->within;
    out->n_users = n_users;
    out->ptr = rec_zeros((size_t)n_users + 1, sizeof *out->ptr);
    out->item = rec_array(ptr[n_users], sizeof *out->item);
    pair *scratch = rec_array(longest(ptr, n_users), sizeof *scratch);
    rec_status st = out->ptr && out->item && scratch ? REC_OK : rec_nomem(err);
    if (!st && s->kind == SPLIT_TEMPORAL)
        st = find_cutoff(s, row, ptr[n_users], &out->cutoff, err);
    if (!st) st = leave_out(s, n_users, out, err);
    if (!st && s->kind == SPLIT_USER) st = hold_users(s, row, ptr, n_users, out, err);
    size_t at = 0;
    for (uint32_t u = 0; !st && u < n_users; u++) {
        const interaction *mine = row + ptr[u];
        bool is_quiet =
            (out->is_out && out->is_out[u]) || (s->may_ask && !s->may_ask[u]);
        size_t n = is_quiet ? 0 : ptr[u + 1] - ptr[u];
        if (s->kind == SPLIT_TABLE)
            at += find_pairs(s, u, mine, n, scratch);
        else if (s->kind == SPLIT_TEMPORAL)
            at += hold_later(s, out, mine, n, out->item + at);
        else if (s->kind != SPLIT_USER || out->is_held[u])
            at += hold_pairs(s, u, mine, n, scratch, out->item + at);
        for (size_t i = 0; s->kind == SPLIT_TABLE && i < at - out->ptr[u]; i++)
            out->item[out->ptr[u] + i] = scratch[i].item;
        out->ptr[u + 1] = at;
    }
    rec_free(scratch);
    if (st) split_clear(out);
    return st;
}

/* The rows that the outer split leaves for training, and nothing else. */
static rec_status make_within(const split_spec *s, const interaction *row,
                              const size_t *ptr, uint32_t n_users, split *out,
                              rec_err *err) {
    interaction *left = rec_array(ptr[n_users], sizeof *left);
    size_t *at = rec_zeros((size_t)n_users + 1, sizeof *at), n = 0;
    rec_status st = left && at ? REC_OK : rec_nomem(err);
    for (uint32_t u = 0; u < n_users && !st; u++) {
        for (size_t i = ptr[u]; i < ptr[u + 1]; i++)
            if (split_of(s->within, u, row[i].item, row[i].time) == PART_TRAIN)
                left[n++] = row[i];
        at[u + 1] = n;
    }
    if (!st) st = make(s, left, at, n_users, out, err);
    rec_free(left);
    rec_free(at);
    return st;
}

rec_status split_make(const split_spec *s, const interaction *row, const size_t *ptr,
                      uint32_t n_users, split *out, rec_err *err) {
    return s->within ? make_within(s, row, ptr, n_users, out, err)
                     : make(s, row, ptr, n_users, out, err);
}

bool split_has(const split *s, uint32_t user, uint32_t item) {
    if (user >= s->n_users) return false;
    size_t lo = s->ptr[user], end = s->ptr[user + 1], hi = end;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->item[mid] < item)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < end && s->item[lo] == item;
}

split_part split_of(const split *s, uint32_t user, uint32_t item, double time) {
    bool is_asked = split_has(s, user, item);
    if (s->within && split_of(s->within, user, item, time) != PART_TRAIN)
        return PART_NONE;
    if (s->is_out && user < s->n_users && s->is_out[user]) return PART_NONE;
    if (!isnan(s->cutoff) && !isnan(time)) {
        if (time > s->cutoff) return is_asked ? PART_TEST : PART_NONE;
        return PART_TRAIN;
    }
    if (is_asked) return PART_TEST;
    return s->is_held && user < s->n_users && s->is_held[user] ? PART_PROFILE
                                                               : PART_TRAIN;
}
