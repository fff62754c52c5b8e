/* dataset.c - interaction rows in any order -> users x items in compressed rows.
 *
 *     (7, 2) (0, 5) (7, 1) (7, 2)        rows as the table gave them
 *        | two stable counting sorts: by item, then by user
 *     (0, 5) (7, 1) (7, 2) (7, 2)
 *        | one pass: duplicates merged by the rule, weights decayed
 *     ptr   [0 1 1 .. 1 3]               user u owns ptr[u]..ptr[u+1]
 *     item  [5, 1, 2]                    ascending within a user
 *
 * Duplicates, with rows of a pair in table order:
 *     sum   implicit (the default): weights add up, each decayed by its own age;
 *           explicit: ratings add up, the surest row's weight stays
 *     last  explicit (the default): the row with the newest time; without times the later row
 *     max   the greatest decayed weight (implicit) or rating (explicit)
 * The merged row carries the newest time of the pair. An implicit pair whose weights cancel
 * out is left out: it says nothing.
 *
 * Invariants
 *   I1  ptr[0] = 0, ptr ascending, ptr[n_users] = n.
 *   I2  item[] strictly ascending within a user, all < n_items.
 *   I3  weight[] finite and not 0; value[] finite.
 *   I4  interactions_merge over one user's rows gives what dataset_build gives for that user,
 *       bit for bit, if the rows come in the same order and `now` is the same.
 *
 * Cost: O(n + n_users + n_items), one copy of the rows in memory.
 */
#include "model.h"

#include <math.h>

#define DATASET_MAX_WEIGHT 1e30

/* ---- merging ------------------------------------------------------------------------------ */

static dup_rule rule_of(const signal_spec *s) {
    if (s->duplicates != DUP_DEFAULT) return s->duplicates;
    return s->feedback == FEEDBACK_EXPLICIT ? DUP_LAST : DUP_SUM;
}

static float to_weight(double x) {
    if (x > DATASET_MAX_WEIGHT) return (float)DATASET_MAX_WEIGHT;
    if (x < -DATASET_MAX_WEIGHT) return (float)-DATASET_MAX_WEIGHT;
    return (float)x;
}

static bool is_newer(double a, double b) { /* not older than; unknown is oldest */
    return isnan(b) || a >= b;
}

/* The n >= 1 rows of one pair, in table order, as one row. */
static interaction merge_pair(const signal_spec *s, const interaction *row, size_t n,
                              double now) {
    bool is_explicit = s->feedback == FEEDBACK_EXPLICIT;
    dup_rule rule = rule_of(s);
    interaction out = row[0];
    double weight = 0, value = 0;
    for (size_t i = 0; i < n; i++) {
        double w = (double)row[i].weight * signal_decay(s, row[i].time, now);
        double v = is_explicit ? row[i].value : w;
        bool better = i == 0;
        if (rule == DUP_MAX && i) better = v > value;
        if (rule == DUP_LAST && i) better = is_newer(row[i].time, out.time);
        if (rule == DUP_SUM) {
            value += v;
            weight = is_explicit ? fmax(weight, w) : value;
        } else if (better) {
            value = v;
            weight = w;
        }
        if (is_newer(row[i].time, out.time)) out.time = row[i].time;
    }
    out.weight = to_weight(weight);
    out.value = is_explicit ? to_weight(value) : out.weight;
    return out;
}

/* Rows of one user, ascending by item, merged in place. */
static size_t merge_sorted(const signal_spec *s, interaction *row, size_t n,
                           double now) {
    size_t kept = 0;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && row[j].item == row[i].item;) j++;
        interaction one = merge_pair(s, row + i, j - i, now);
        if (one.weight != 0) row[kept++] = one;
    }
    return kept;
}

static void reverse(interaction *a, size_t n) {
    for (size_t i = 0; i < n / 2; i++) {
        interaction t = a[i];
        a[i] = a[n - 1 - i];
        a[n - 1 - i] = t;
    }
}

/* Stable merge of a[0,mid) and a[mid,n) without a buffer: cut the longer half in the middle,
 * rotate what belongs between, and merge both sides. */
static void merge_halves(interaction *a, size_t mid, size_t n) {
    while (mid && mid < n && a[mid - 1].item > a[mid].item) {
        size_t i, j;
        if (mid > n - mid) { /* first row right of the cut that is not smaller */
            i = mid / 2;
            size_t lo = mid, hi = n;
            while (lo < hi) {
                size_t m = lo + (hi - lo) / 2;
                if (a[m].item < a[i].item)
                    lo = m + 1;
                else
                    hi = m;
            }
            j = lo;
        } else { /* first row left of the cut that is greater */
            j = mid + (n - mid + 1) / 2;
            size_t lo = 0, hi = mid;
            while (lo < hi) {
                size_t m = lo + (hi - lo) / 2;
                if (a[m].item <= a[j - 1].item)
                    lo = m + 1;
                else
                    hi = m;
            }
            i = lo;
        }
        reverse(a + i, mid - i);
        reverse(a + mid, j - mid);
        reverse(a + i, j - i);
        size_t left = i + (j - mid);
        merge_halves(a, i, left);
        a += left;
        n -= left;
        mid = j - left;
    }
}

static void sort_by_item(interaction *a, size_t n) {
    size_t i = 1;
    while (i < n && a[i - 1].item <= a[i].item) i++;
    if (i >= n) return; /* the usual case: tables are often in order */
    for (size_t w = 1; w < n; w *= 2)
        for (size_t at = 0; at + w < n; at += 2 * w)
            merge_halves(a + at, w, at + 2 * w < n ? 2 * w : n - at);
}

size_t interactions_merge(const signal_spec *s, interaction *rows, size_t n,
                          double now) {
    sort_by_item(rows, n);
    return merge_sorted(s, rows, n, now);
}

uint64_t interactions_hash(const interaction *rows, size_t n) {
    uint64_t h = rec_mix(n);
    for (size_t i = 0; i < n; i++) {
        uint32_t part[3] = {rows[i].item, 0, 0};
        memcpy(&part[1], &rows[i].weight, 4);
        memcpy(&part[2], &rows[i].value, 4);
        h = rec_hash(part, sizeof part, h);
    }
    return h;
}

/* ---- the whole table ------------------------------------------------------------------------- */

/* Stable counting sort of src into dst by user or item; count is scratch of n_key + 1. */
static void counting_sort(const interaction *src, interaction *dst, size_t n,
                          bool by_user, size_t *count, size_t n_key) {
    memset(count, 0, (n_key + 1) * sizeof *count);
    for (size_t i = 0; i < n; i++) count[(by_user ? src[i].user : src[i].item) + 1]++;
    for (size_t k = 0; k < n_key; k++) count[k + 1] += count[k];
    for (size_t i = 0; i < n; i++)
        dst[count[by_user ? src[i].user : src[i].item]++] = src[i];
}

static rec_status sort_rows(interaction *rows, size_t n, uint32_t n_users,
                            uint32_t n_items, rec_err *err) {
    for (size_t i = 0; i < n; i++)
        if (rows[i].user >= n_users || rows[i].item >= n_items)
            return rec_fail(err, REC_BUG,
                            "dataset: row %zu is (%u, %u) of %u users, %u items", i,
                            rows[i].user, rows[i].item, n_users, n_items);
    size_t n_key = n_users > n_items ? n_users : n_items;
    interaction *copy = rec_array(n, sizeof *copy);
    size_t *count = rec_array(n_key + 1, sizeof *count);
    rec_status st = copy && count ? REC_OK : rec_nomem(err);
    if (!st) {
        counting_sort(rows, copy, n, false, count, n_items);
        counting_sort(copy, rows, n, true, count, n_users);
    }
    rec_free(copy);
    rec_free(count);
    return st;
}

static double newest(const interaction *rows, size_t n) {
    double now = NAN;
    for (size_t i = 0; i < n; i++)
        if (!isnan(rows[i].time) && !(rows[i].time <= now)) now = rows[i].time;
    return now;
}

static void fill_rows(dataset *d, const interaction *rows) {
    for (size_t i = 0; i < d->n; i++) {
        d->item[i] = rows[i].item;
        d->weight[i] = rows[i].weight;
        d->value[i] = rows[i].value;
        d->time[i] = rows[i].time;
    }
}

rec_status dataset_build(const signal_spec *s, interaction *rows, size_t n,
                         uint32_t n_users, uint32_t n_items, dataset *out,
                         rec_err *err) {
    *out = (dataset){.n_users = n_users,
                     .n_items = n_items,
                     .feedback = s->feedback,
                     .has_value = s->has_value,
                     .has_time = s->has_time,
                     .now = newest(rows, n)};
    rec_status st = sort_rows(rows, n, n_users, n_items, err);
    if (st) return st;
    out->ptr = rec_array((size_t)n_users + 1, sizeof *out->ptr);
    if (!out->ptr) return rec_nomem(err);
    size_t at = 0, kept = 0;
    for (uint32_t u = 0; u < n_users; u++) {
        size_t begin = at;
        while (at < n && rows[at].user == u) at++;
        out->ptr[u] = kept;
        size_t n_kept = merge_sorted(s, rows + begin, at - begin, out->now);
        memmove(rows + kept, rows + begin, n_kept * sizeof *rows);
        kept += n_kept;
    }
    out->ptr[n_users] = out->n = kept;
    out->item = rec_array(kept, sizeof *out->item);
    out->weight = rec_array(kept, sizeof *out->weight);
    out->value = rec_array(kept, sizeof *out->value);
    out->time = rec_array(kept, sizeof *out->time);
    if (!out->item || !out->weight || !out->value || !out->time) {
        dataset_clear(out);
        return rec_nomem(err);
    }
    fill_rows(out, rows);
    return REC_OK;
}

void dataset_clear(dataset *d) {
    rec_free(d->ptr);
    rec_free(d->item);
    rec_free(d->weight);
    rec_free(d->value);
    rec_free(d->time);
    memset(d, 0, sizeof *d);
}
