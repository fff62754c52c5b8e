/* tf_explain.c - why this item: the parts of a score, as rows and as one sentence.
 *
 *   model's explain --> (kind, item | text, weight) ... --> heaviest EXPLAIN_MAX_ROWS
 *                                                            |              |
 *                                                       rec_explain     rec_reason
 *
 *   item        3  "Carmilla"    .41      "Because of Carmilla and The Monk;
 *   item        9  "The Monk"    .22       shares Gothic, Horror"
 *   facet  subjects=Gothic       .19
 *   facet  subjects=Horror       .08
 *
 * Invariants
 * I1. Rows are sorted by descending |weight|; equal weights in the order in which the model
 *     named them. One row a subject: what several members of a hybrid say of it is added up.
 * I2. The sentence names only items and attributes with a positive weight in those rows. When
 *     there is none it gives a number that was counted for this purpose, never a phrase.
 * I3. Unknown item or NULL: no rows, and NULL for the sentence.
 *
 * Cost: one explanation of one item, O(history * dim); the count reads the item's interactions.
 */
#include "tf.h"

#include <math.h>
#include <stdlib.h>

#define REASON_MAX_ITEMS  2
#define REASON_MAX_TRAITS 3
/* A part below this share of the heaviest of its kind is not worth naming. */
#define REASON_MIN_SHARE .2
/* An attribute that more than this share of the items have says nothing. */
#define REASON_MAX_SHARE (1. / 3)

#define EXPLAIN_MAX_ROWS 20

typedef struct explain_part {
    char kind[12];
    uint32_t item;  /* kind "item": catalogue number, else KEYS_NONE */
    uint32_t order; /* in which it was named */
    char text[96];  /* other kinds: "genres=Drama", a word */
    double weight;
} explain_part;
typedef struct explanation { /* heaviest first */
    explain_part part[EXPLAIN_MAX_ROWS];
    size_t n;
} explanation;

/* ---- collecting ------------------------------------------------------------------------------ */

typedef struct parts { /* everything that was said, in the order in which it was */
    explain_part *a;   /* owned */
    size_t n, cap;
} parts;

static rec_status collect(void *ctx, const char *kind, uint32_t item, const char *text,
                          size_t n_text, double weight, rec_err *err) {
    parts *all = ctx;
    rec_status s = rec_grow(&all->a, &all->cap, all->n + 1, sizeof *all->a, err);
    if (s != REC_OK) return s;
    explain_part *p = &all->a[all->n];
    memset(p, 0, sizeof *p);
    rec_format(p->kind, sizeof p->kind, "%s", kind);
    p->item = strcmp(kind, "item") == 0 ? item : KEYS_NONE;
    p->order = (uint32_t)all->n++;
    p->weight = weight;
    if (!text) return REC_OK;
    if (n_text >= sizeof p->text) {
        n_text = sizeof p->text - 1;
        while (n_text > 0 && ((unsigned char)text[n_text] & 0xC0) == 0x80)
            n_text--; /* do not cut a character in two */
    }
    memcpy(p->text, text, n_text);
    return REC_OK;
}

static int compare_subject(const explain_part *a, const explain_part *b) {
    int c = strcmp(a->kind, b->kind);
    if (c == 0 && a->item != b->item) c = a->item < b->item ? -1 : 1;
    return c ? c : strcmp(a->text, b->text);
}

static int by_subject(const void *x, const void *y) {
    const explain_part *a = x, *b = y;
    int c = compare_subject(a, b);
    return c ? c : a->order < b->order ? -1 : a->order > b->order;
}

static int by_weight(const void *x, const void *y) {
    const explain_part *a = x, *b = y;
    double wa = fabs(a->weight), wb = fabs(b->weight);
    if (wa != wb) return wa > wb ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order; /* I1 */
}

/* Members of a hybrid may name the same item: their weights add up. */
static void merge(parts *all) {
    if (all->n < 2) return;
    qsort(all->a, all->n, sizeof *all->a, by_subject);
    size_t n = 1;
    for (size_t i = 1; i < all->n; i++) {
        if (compare_subject(&all->a[n - 1], &all->a[i]) == 0)
            all->a[n - 1].weight += all->a[i].weight;
        else
            all->a[n++] = all->a[i];
    }
    all->n = n;
    qsort(all->a, n, sizeof *all->a, by_weight);
}

static rec_status explain_item(sq_view *v, const sq_profile *p, uint32_t item,
                               explanation *out, rec_err *err) {
    parts all = {0};
    memset(out, 0, sizeof *out);
    rec_status s = sq_explain(v, p, item, collect, &all, err);
    merge(&all);
    out->n = all.n < EXPLAIN_MAX_ROWS ? all.n : EXPLAIN_MAX_ROWS;
    if (s == REC_OK && out->n) memcpy(out->part, all.a, out->n * sizeof *all.a);
    rec_free(all.a);
    return s;
}

static bool is_kind(const explain_part *p, const char *kind) {
    return strcmp(p->kind, kind) == 0;
}

/* "genres=Drama" -> "Drama" */
static const char *trait(const explain_part *p) {
    const char *eq = strchr(p->text, '=');
    return eq && eq[1] ? eq + 1 : p->text;
}

/* ---- rec_explain ------------------------------------------------------------------------------- */

static rec_status explain_rows(const sq_view *v, const explanation *e, tvf_rows *rows,
                               rec_err *err) {
    rec_status s = REC_OK;
    for (size_t i = 0; i < e->n && s == REC_OK; i++) {
        const explain_part *p = &e->part[i];
        bool is_item = is_kind(p, "item");
        cell key = p->text[0] ? cell_str(p->text) : cell_null();
        cell title = p->text[0] ? cell_str(trait(p)) : cell_null();
        cell row[4] = {cell_str(p->kind), is_item ? tf_item_cell(v, p->item) : key,
                       is_item ? tf_title_cell(v, p->item) : title,
                       cell_real(p->weight)};
        s = tvf_rows_add(rows, row, err);
    }
    return s;
}

static rec_status explain_open(sq_conn *c, sqlite3_value **arg, tvf_result **out,
                               rec_err *err) {
    sq_view *v = NULL;
    sq_profile p = {0};
    explanation e;
    tf_key user;
    uint32_t item = KEYS_NONE;
    *out = NULL;
    tvf_rows *rows = tvf_rows_new(4);
    if (!rows) return rec_nomem(err);
    rec_status s = tf_view(c, "rec_explain", arg[0], &v, err);
    if (s == REC_OK) s = sq_view_require_trained(v, err);
    if (s == REC_OK)
        s = tf_read_key("rec_explain", "user", arg[1], v->user_affinity, &user, err);
    if (s == REC_OK) s = tf_item(v, "rec_explain", "item", arg[2], &item, err);
    if (s == REC_OK && item != KEYS_NONE && !user.is_null) {
        s = tf_profile(v, &user, NULL, &p, err);
        if (s == REC_OK) s = explain_item(v, &p, item, &e, err);
        if (s == REC_OK) s = explain_rows(v, &e, rows, err);
    }
    sq_profile_clear(&p);
    if (v) sq_view_close(v);
    if (s == REC_OK)
        *out = tvf_rows_result(rows);
    else
        tvf_rows_free(rows);
    return s;
}

const tvf_def tf_explain_def = {
    .name = "rec_explain",
    .columns = "kind TEXT, key, title TEXT, weight REAL",
    .args = "model, user, item",
    .n_required = 3,
    .rank_column = -1,
    .cost = 1e5,
    .open = explain_open,
};

/* ---- rec_reason ---------------------------------------------------------------------------------- */

static void put_title(const sq_view *v, uint32_t item, bytes_writer *w) {
    size_t n;
    const char *title = catalog_title(v->items, item, &n);
    rec_key k = catalog_key(v->items, item);
    if (title)
        bytes_put(w, title, n);
    else if (k.is_text)
        bytes_put(w, k.text, k.n_text);
    else
        bytes_printf(w, "%lld", (long long)k.i);
}

/* Does most of the catalogue have it ("language=English")? Then it is no reason for this item. */
static bool is_common(const sq_view *fv, const explain_part *p) {
    const char *eq = strchr(p->text, '=');
    int facet = eq && fv ? facet_find(fv->items, p->text, (size_t)(eq - p->text)) : -1;
    if (facet < 0 || facet_kind(fv->items, (size_t)facet) == FACET_NUMBER) return false;
    size_t n, wanted = strlen(eq + 1);
    for (uint32_t i = 0; i < facet_n_values(fv->items, (size_t)facet); i++) {
        const char *value = facet_value(fv->items, (size_t)facet, i, &n);
        if (n == wanted && memcmp(value, eq + 1, n) == 0)
            return (double)facet_value_count(fv->items, (size_t)facet, i) >
                   REASON_MAX_SHARE * (double)tf_facet_items(fv->items, (size_t)facet);
    }
    return false;
}

/* Positive parts of one kind that carry weight, heaviest first; the item itself is no reason. */
static size_t pick(const sq_view *fv, const explanation *e, const char *kind,
                   uint32_t self, size_t max, const explain_part *out[]) {
    size_t n = 0;
    for (size_t i = 0; i < e->n && n < max; i++) {
        const explain_part *p = &e->part[i];
        if (!is_kind(p, kind) || p->weight <= 0 || p->item == self || is_common(fv, p))
            continue;
        if (n && p->weight < REASON_MIN_SHARE * out[0]->weight) break;
        bool is_new = true;
        for (size_t j = 0; j < n; j++)
            if (p->text[0] && strcmp(trait(out[j]), trait(p)) == 0) is_new = false;
        if (is_new) out[n++] = p;
    }
    return n;
}

static void put_items(const sq_view *v, const explain_part *const *p, size_t n,
                      bytes_writer *w) {
    for (size_t i = 0; i < n; i++) {
        bytes_puts(w, i == 0 ? "Because of " : i + 1 == n ? " and " : ", ");
        put_title(v, p[i]->item, w);
    }
}

static void put_traits(const explain_part *const *p, size_t n, const char *verb,
                       bytes_writer *w) {
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            bytes_puts(w, ", ");
        else if (w->n)
            bytes_printf(w, "; %s ", verb);
        else
            bytes_printf(w, "%c%s ", verb[0] - 'a' + 'A', verb + 1);
        bytes_puts(w, trait(p[i]));
    }
}

/* How many users have the item, and their mean rating (NaN where there are no ratings). */
static rec_status count_users(sq_conn *c, const sq_view *v, uint32_t item, int64_t *n,
                              double *mean, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    *n = 0;
    *mean = NAN;
    char *table = tf_source_name(v, v->cfg.interactions, err);
    if (!table) return REC_NOMEM;
    bool has_mean = v->cfg.signal.feedback == FEEDBACK_EXPLICIT && v->cfg.value;
    rec_status s = sq_prepare(
        c->db, v->cfg.interactions, &st, err,
        "SELECT count(DISTINCT \"%w\"), avg(\"%w\") FROM %s WHERE \"%w\" = ?",
        v->cfg.user, has_mean ? v->cfg.value : v->cfg.item, table, v->cfg.item);
    sqlite3_free(table);
    rec_key key = catalog_key(v->items, item);
    if (s == REC_OK) s = sq_bind_key(st, 1, &key, err);
    if (s == REC_OK) s = sq_step(st, v->cfg.interactions, &row, err);
    if (s == REC_OK && row) {
        *n = sqlite3_column_int64(st, 0);
        if (has_mean && *n) *mean = sqlite3_column_double(st, 1);
    }
    sqlite3_finalize(st);
    return s;
}

/* Nothing about the user speaks for the item: what everybody did, counted (I2). */
static rec_status put_popularity(const sq_view *v, uint32_t item, bytes_writer *w,
                                 rec_err *err) {
    const sq_view *source = tf_with_interactions(v);
    int64_t n = 0;
    double mean = NAN;
    rec_key key = catalog_key(v->items, item);
    uint32_t number = source ? catalog_find(source->items, &key) : KEYS_NONE;
    if (number != KEYS_NONE) {
        sq_frame frame = {0};
        rec_status s = sq_enter(v->conn, &frame, source->schema, source->name, err);
        if (s == REC_OK) s = count_users(v->conn, source, number, &n, &mean, err);
        sq_leave(v->conn, &frame);
        if (s != REC_OK) return s;
    }
    const char *noun = n == 1 ? "user" : "users";
    if (n == 0)
        bytes_puts(w, "New: nobody has it yet");
    else if (isnan(mean))
        bytes_printf(w, "Popular: %lld %s", (long long)n, noun);
    else
        bytes_printf(w, "Rated %.1f on average by %lld %s", mean, (long long)n, noun);
    return REC_OK;
}

rec_status tf_reason(sq_view *v, const sq_profile *p, uint32_t item, char **out,
                     rec_err *err) {
    explanation e;
    bytes_writer w = {0};
    const explain_part *items[REASON_MAX_ITEMS], *traits[REASON_MAX_TRAITS];
    *out = NULL;
    rec_status s = explain_item(v, p, item, &e, err);
    if (s != REC_OK) return s;
    const sq_view *fv = tf_with_facets(v);
    size_t n_items = pick(fv, &e, "item", item, REASON_MAX_ITEMS, items);
    put_items(v, items, n_items, &w);
    size_t n_traits = pick(fv, &e, "facet", item, REASON_MAX_TRAITS, traits);
    put_traits(traits, n_traits, "shares", &w);
    if (n_traits == 0) {
        n_traits = pick(fv, &e, "term", item, REASON_MAX_TRAITS, traits);
        put_traits(traits, n_traits, "speaks of", &w);
    }
    if (w.n == 0 && w.status == REC_OK) s = put_popularity(v, item, &w, err);
    if (s == REC_OK && !(*out = bytes_take_text(&w))) s = rec_nomem(err);
    bytes_clear(&w);
    return s;
}
