/* heap.c - the best k of many, and ranking for as long as somebody asks.
 *
 * Both order entries by (value, id), a strict order, so that results do not depend on the
 * order in which entries came, and ties go to the smaller id.
 *
 *     topk      a max-heap of the k best so far; the root is the worst kept, so one
 *               comparison turns away almost everything
 *
 *     ranking   | handed out | sorted block | not yet looked at ........ |
 *               0           at            sorted                         n
 *
 * A reader of a ranking (a LIMIT further out in SQL) may stop after 10 rows or read a
 * million. Each time the sorted block runs out, the next block - 64 entries, then twice as
 * many as are sorted already - is selected by quickselect out of the rest and sorted. Reading k rows costs
 * O(n + k log k) and the rows are the same however many are read.
 *
 * Invariants
 *   I1  NaN counts as larger than everything: it comes last and never breaks the order.
 *   I2  In a ranking everything before `sorted` is ascending and not after what follows.
 */
#include "core.h"

#include <math.h>

#define RANKING_FIRST ((size_t)64)

static bool entry_before(const topk_entry *a, const topk_entry *b) {
    if (a->value < b->value) return true;
    if (a->value > b->value) return false;
    if (a->value == b->value) return a->id < b->id;
    bool a_nan = isnan(a->value), b_nan = isnan(b->value); /* I1 */
    return a_nan == b_nan ? a->id < b->id : b_nan;
}

static void swap_entries(topk_entry *a, topk_entry *b) {
    topk_entry t = *a;
    *a = *b;
    *b = t;
}

/* Max-heap: moves a[at] down among a[0..n). */
static void sift_down(topk_entry *a, size_t at, size_t n) {
    topk_entry x = a[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) break;
        if (child + 1 < n && entry_before(&a[child], &a[child + 1])) child++;
        if (!entry_before(&x, &a[child])) break;
        a[at] = a[child];
        at = child;
    }
    a[at] = x;
}

static void heap_sort(topk_entry *a, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sift_down(a, i, n);
    for (size_t i = n; i-- > 1;) {
        swap_entries(&a[0], &a[i]);
        sift_down(a, 0, i);
    }
}

/* ---- bounded top-k ------------------------------------------------------------------ */

rec_status topk_init(topk *h, size_t k, rec_err *err) {
    memset(h, 0, sizeof *h);
    h->a = rec_array(k ? k : 1, sizeof *h->a);
    if (!h->a) return rec_nomem(err);
    h->a[0] =
        (topk_entry){-INFINITY, 0}; /* with k = 0 topk_push compares with this one */
    h->k = k;
    return REC_OK;
}

void topk_clear(topk *h) {
    rec_free(h->a);
    memset(h, 0, sizeof *h);
}

float topk_bound(const topk *h) {
    return h->n < h->k ? INFINITY : h->a[0].value;
}

void topk_insert(topk *h, float value, uint32_t id) {
    topk_entry x = {value, id};
    if (h->n < h->k) {
        size_t at = h->n++;
        while (at > 0 && entry_before(&h->a[(at - 1) / 2], &x)) {
            h->a[at] = h->a[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        h->a[at] = x;
    } else if (h->k > 0 && entry_before(&x, &h->a[0])) {
        h->a[0] = x;
        sift_down(h->a, 0, h->n);
    }
}

void topk_sort(topk *h) {
    /* It is a max-heap already: only the second half of heap sort is left to do. */
    for (size_t i = h->n; i-- > 1;) {
        swap_entries(&h->a[0], &h->a[i]);
        sift_down(h->a, 0, i);
    }
}

/* ---- lazy ranking ---------------------------------------------------------------------- */

/* Parts a[0..n), n >= 3, around a median of three; returns where it ended up. */
static size_t part(topk_entry *a, size_t n) {
    size_t mid = n / 2, last = n - 1, i = 0, j = n;
    if (entry_before(&a[last], &a[mid])) swap_entries(&a[mid], &a[last]);
    if (entry_before(&a[last], &a[0])) swap_entries(&a[0], &a[last]);
    if (entry_before(&a[0], &a[mid])) swap_entries(&a[0], &a[mid]); /* median first */
    for (;;) {
        do i++;
        while (i < n && entry_before(&a[i], &a[0]));
        do j--;
        while (entry_before(&a[0], &a[j]));
        if (i >= j) break;
        swap_entries(&a[i], &a[j]);
    }
    swap_entries(&a[0], &a[j]);
    return j;
}

static int cut_budget(size_t n) {
    int budget = 4;
    for (; n > 1; n /= 2) budget += 2;
    return budget;
}

/* The k smallest of a[0..n) to the front, in any order (quickselect; a hostile order of
 * the input ends in heap sort, never in O(n^2)). */
static void select_front(topk_entry *a, size_t n, size_t k) {
    for (int budget = cut_budget(n); n > 16 && k > 0 && k < n;) {
        if (budget-- == 0) break;
        size_t p = part(a, n);
        if (p == k) return;
        if (p > k)
            n = p;
        else
            a += p + 1, n -= p + 1, k -= p + 1;
    }
    if (k > 0 && k < n) heap_sort(a, n);
}

static void sort_entries(topk_entry *a, size_t n, int budget) {
    while (n > 16) {
        if (budget-- == 0) {
            heap_sort(a, n);
            return;
        }
        size_t p = part(a, n);
        if (p < n - p - 1) {
            sort_entries(a, p, budget);
            a += p + 1, n -= p + 1;
        } else {
            sort_entries(a + p + 1, n - p - 1, budget);
            n = p;
        }
    }
    for (size_t i = 1; i < n; i++) {
        topk_entry x = a[i];
        size_t j = i;
        for (; j > 0 && entry_before(&x, &a[j - 1]); j--) a[j] = a[j - 1];
        a[j] = x;
    }
}

rec_status ranking_init(ranking *r, topk_entry *taken, size_t n, rec_err *err) {
    (void)err; /* nothing here can fail; the signature is that of the other _init */
    *r = (ranking){taken, n, 0, 0};
    return REC_OK;
}

bool ranking_next(ranking *r, topk_entry *out) {
    if (r->at >= r->n) return false;
    if (r->at == r->sorted) {
        topk_entry *rest = r->a + r->sorted;
        size_t n_rest = r->n - r->sorted;
        size_t block = r->sorted ? r->sorted * 2 : RANKING_FIRST;
        if (block > n_rest / 2)
            block = n_rest;
        else
            select_front(rest, n_rest, block);
        sort_entries(rest, block, cut_budget(block));
        r->sorted += block;
    }
    *out = r->a[r->at++];
    return true;
}

void ranking_clear(ranking *r) {
    rec_free(r->a);
    memset(r, 0, sizeof *r);
}
