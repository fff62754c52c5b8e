/* sq_catalog.c - the items as they are now: from the items table to a catalogue and a corpus.
 *
 *   movies: movie_id | title | genres | year | overview
 *              |         |        \     /         |
 *             key      title      facets         text      one SELECT, ascending by key
 *              `---------+----------+---> catalog |
 *                                                 `--> corpus: words of text=, and "genres=Comedy" of facets=
 *
 * Without items= the items are the distinct items of the interactions, and have no title, facet or text. They are
 * told apart here: a set of keys costs a third of what DISTINCT costs, which keeps a B-tree.
 *
 * I1. Item numbers ascend with the key as SQLite sorts it (BINARY).
 * I2. Rows without a usable key are left out; of rows with one key the first counts.
 * I3. The print of a read is a hash over the SELECT, the facets and every cell (of keys told apart: over these), in
 *     order: equal prints, equal items. It is taken of the very rows that the catalogue is built from, and compared with a later pass over the table.
 * I4. The corpus has one document an item, in catalogue numbers; it is built after the catalogue is
 *     finished, because only then the vocabulary of a facet is known. Texts wait in one buffer.
 *
 * Cost: one pass over the items; about 25 us an item with 300 bytes of text, 3 us without; .5 us for a print;
 * .1 us an interaction without items=.
 */
#include "sq.h"

#include <math.h>

/* A facet value says more of an item than one word of its text does. Numbers say little unless asked. */
#define FACET_WEIGHT     2
#define FACET_MAX_WEIGHT 1000.
/* Numbers that look like years are taken by decades, others by steps of a factor. */
#define NUMBER_YEAR_LEAST 1000
#define NUMBER_YEAR_MOST  2999
#define NUMBER_STEP       1.4142135623730951

#define KEYS_POLL_ROWS 1024

typedef struct item_reader {
    const sq_model_cfg *cfg;
    embed_spec spec;                   /* columns of vectors */
    double weight[CATALOG_MAX_FACETS]; /* of features; below 0: as is usual */
    key_affinity affinity;
    catalog *items;
    corpus *docs; /* borrowed; NULL: no texts */
    const char *source;
    bool want_text, is_print; /* is_print: `items` is not wanted */
    uint64_t print;
    bytes_writer text; /* texts of all items, one after the other */
    size_t *text_end;  /* [n] owned: where each item's text ends */
    size_t n_text, cap;
} item_reader;

static rec_status select_items(sq_conn *c, const char *schema, item_reader *r,
                               sqlite3_stmt **out, rec_err *err) {
    const sq_model_cfg *cfg = r->cfg;
    sq_select q = {.schema = schema, .source = r->source};
    q.tail = "ORDER BY 1 COLLATE BINARY";
    if (!cfg->items) {
        q.tail = "";
        sq_select_column(&q, cfg->item);
        return sq_select_prepare(c, &q, out, err);
    }
    sq_select_column(&q, cfg->item_key ? cfg->item_key : cfg->item);
    sq_select_column(&q, cfg->title);
    for (size_t i = 0; i < cfg->n_facet; i++) sq_select_column(&q, cfg->facet[i].name);
    for (size_t i = 0; r->want_text && i < cfg->n_text; i++)
        sq_select_column(&q, cfg->text[i]);
    for (size_t i = 0; r->want_text && i < r->spec.n_column; i++)
        sq_select_column(&q, embed_column(&r->spec, i));
    return sq_select_prepare(c, &q, out, err);
}

/* Facets are read by their separators, so these belong to the print. */
static rec_status prepare_items(sq_conn *c, const char *schema, item_reader *r,
                                sqlite3_stmt **out, rec_err *err) {
    rec_status s = select_items(c, schema, r, out, err);
    const char *sql = s == REC_OK ? sqlite3_sql(*out) : NULL;
    if (sql) r->print = rec_hash(sql, strlen(sql), 1);
    for (size_t i = 0; i < r->cfg->n_facet; i++) {
        const facet_spec *f = &r->cfg->facet[i];
        r->print = rec_hash(f->sep, strlen(f->sep), r->print + f->is_path);
    }
    return s;
}

static void print_cell(item_reader *r, cell c) {
    uint64_t seed = rec_mix(r->print + (uint64_t)c.type);
    if (c.type == CELL_INT)
        r->print = rec_mix(seed ^ (uint64_t)c.i);
    else if (c.type == CELL_REAL)
        r->print = rec_hash(&c.r, sizeof c.r, seed);
    else
        r->print = c.type == CELL_NULL ? seed : rec_hash(c.p, c.nbyte, seed);
}

static bool read_key(const item_reader *r, sqlite3_stmt *st, char buf[32], rec_key *key,
                     rec_status *s, rec_err *err) {
    cell value = sq_column_cell(st, 0);
    bool is_key = sq_key(&value, r->affinity, buf, key, s, err);
    if (*s == REC_RANGE)
        rec_fail(err, REC_RANGE, "%s.%s: a key is an INTEGER or TEXT, found a BLOB",
                 r->source,
                 r->cfg->items && r->cfg->item_key ? r->cfg->item_key : r->cfg->item);
    return is_key;
}

/* Keep the text columns of the row for the item that was just added. */
static rec_status keep_text(item_reader *r, sqlite3_stmt *st, rec_err *err) {
    for (size_t i = 0; i < r->cfg->n_text; i++) {
        int column = (int)(2 + r->cfg->n_facet + i);
        const void *p = sqlite3_column_text(st, column);
        if (!p) continue;
        bytes_put(&r->text, p, (size_t)sqlite3_column_bytes(st, column));
        bytes_puts(&r->text,
                   " \n"); /* a break: phrases do not run on into the next column */
    }
    if (r->text.status != REC_OK) return rec_nomem(err);
    rec_status s =
        rec_grow(&r->text_end, &r->cap, r->n_text + 1, sizeof *r->text_end, err);
    if (s == REC_OK) r->text_end[r->n_text++] = r->text.n;
    return s;
}

static rec_status bad_vector(const item_reader *r, const rec_key *key, size_t column,
                             const char *why, rec_err *err) {
    char text[32];
    rec_format(text, sizeof text, "%lld", (long long)key->i);
    return rec_fail(err, REC_RANGE, "%s.%s of item %.*s: %s", r->source,
                    embed_column(&r->spec, column),
                    key->is_text ? (int)(key->n_text < 60 ? key->n_text : 60) : 31,
                    key->is_text ? key->text : text, why);
}

/* The vector of a column of the row: BLOB of float32, or JSON. */
static rec_status keep_vector(item_reader *r, sqlite3_stmt *st, const rec_key *key,
                              uint32_t item, size_t column, rec_err *err) {
    cell c = sq_column_cell(st, (int)(2 + r->cfg->n_facet + r->cfg->n_text + column));
    float *x = NULL;
    uint32_t dim = 0;
    rec_err why = {0};
    rec_status s = REC_OK;
    if (c.type == CELL_NULL) return REC_OK;
    if (c.type == CELL_BLOB)
        s = sq_vector_from_bytes(VEC_F32, c.p, c.nbyte, "a vector", &x, &dim, &why);
    else if (c.type == CELL_TEXT)
        s = vec_parse_json(c.p, c.nbyte, &x, &dim, &why);
    else
        s = rec_fail(&why, REC_RANGE,
                     "a vector is a BLOB or JSON text, found a number");
    if (s == REC_OK) s = corpus_add_vector(r->docs, column, item, x, dim, &why);
    rec_free(x);
    if (s == REC_RANGE) return bad_vector(r, key, column, why.msg, err);
    if (s != REC_OK && err) *err = why;
    return s;
}

static rec_status add_item(item_reader *r, sqlite3_stmt *st, rec_err *err) {
    char buf[32];
    rec_key key;
    rec_status s;
    cell facet[CATALOG_MAX_FACETS];
    if (!read_key(r, st, buf, &key, &s, err)) return s;
    const char *title = NULL;
    size_t n_title = 0;
    if (r->cfg->title) {
        title = (const char *)sqlite3_column_text(st, 1);
        n_title = title ? (size_t)sqlite3_column_bytes(st, 1) : 0;
    }
    for (size_t i = 0; i < r->cfg->n_facet; i++)
        facet[i] = sq_column_cell(st, (int)(2 + i));
    size_t before = catalog_n_items(r->items);
    uint32_t number;
    s = catalog_add(r->items, &key, title, n_title, facet, &number, err);
    if (s != REC_OK || !r->want_text || catalog_n_items(r->items) == before) return s;
    s = keep_text(r, st, err);
    for (size_t i = 0; i < r->spec.n_column && s == REC_OK; i++)
        s = keep_vector(r, st, &key, number, i, err);
    return s;
}

static rec_status read_rows(item_reader *r, sqlite3_stmt *st, rec_run *run,
                            rec_err *err) {
    bool row = true;
    rec_status s = REC_OK;
    while (s == REC_OK && (s = sq_step(st, r->source, &row, err)) == REC_OK && row) {
        for (int i = 0; i < sqlite3_column_count(st); i++)
            print_cell(r, sq_column_cell(st, i));
        if (!r->is_print) s = add_item(r, st, err);
        if (s == REC_OK) s = run_check(run, err);
    }
    return s;
}

static rec_status collect_keys(const item_reader *r, sqlite3_stmt *st, keyset *found,
                               rec_run *run, rec_err *err) {
    bool row = true;
    char buf[32];
    rec_key key;
    uint32_t pos;
    rec_status s = REC_OK;
    for (size_t n = 0; s == REC_OK; n++) {
        s = sq_step(st, r->source, &row, err);
        if (s != REC_OK || !row) return s;
        if (read_key(r, st, buf, &key, &s, err)) s = keyset_add(found, &key, &pos, err);
        if (s == REC_OK && n % KEYS_POLL_ROWS == 0) s = run_check(run, err);
    }
    return s;
}

static rec_status read_keys(item_reader *r, sqlite3_stmt *st, rec_run *run,
                            rec_err *err) {
    keyset *found = keyset_new();
    uint32_t *order = NULL, pos;
    rec_status s = found ? collect_keys(r, st, found, run, err) : rec_nomem(err);
    size_t n = s == REC_OK ? keyset_count(found) : 0;
    if (s == REC_OK && !(order = rec_array(n, sizeof *order))) s = rec_nomem(err);
    if (s == REC_OK) s = keyset_order(found, order, err);
    for (size_t i = 0; s == REC_OK && i < n; i++) {
        rec_key key = keyset_get(found, order[i]);
        print_cell(r, sq_key_cell(&key));
        if (!r->is_print) s = catalog_add(r->items, &key, NULL, 0, NULL, &pos, err);
    }
    rec_free(order);
    keyset_free(found);
    return s;
}

static rec_status read_items(sq_conn *c, const char *schema, item_reader *r,
                             rec_run *run, rec_err *err) {
    sqlite3_stmt *st = NULL;
    rec_status s = prepare_items(c, schema, r, &st, err);
    if (s == REC_OK)
        s = r->cfg->items ? read_rows(r, st, run, err) : read_keys(r, st, run, err);
    sqlite3_finalize(st);
    return s;
}

rec_status sq_source_print(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                           key_affinity item, sq_items *out, rec_run *run,
                           rec_err *err) {
    item_reader r = {.cfg = cfg,
                     .affinity = item,
                     .source = cfg->items ? cfg->items : cfg->interactions,
                     .want_text = out->want_docs && cfg->items,
                     .is_print = true};
    sq_embed_spec(cfg, &r.spec);
    rec_status s = r.source ? read_items(c, schema, &r, run, err) : REC_OK;
    out->print = r.print;
    return s;
}

/* feature_weights='genres:3, year:1': fn for every pair. */
rec_status sq_facet_weights(const sq_model_cfg *cfg, double *weight, rec_err *err) {
    const char *s = cfg->ops ? opt_text(&cfg->options, "feature_weights") : NULL;
    for (size_t f = 0; f < cfg->n_facet; f++) weight[f] = -1; /* as is usual */
    while (s && *s) {
        size_t f = 0;
        s += strspn(s, " \t\r\n");
        const char *at = s;
        char *name = sq_identifier(&s, err);
        if (!name && err && err->code == REC_NOMEM) return REC_NOMEM;
        while (name && f < cfg->n_facet &&
               sqlite3_stricmp(name, cfg->facet[f].name) != 0)
            f++;
        rec_free(name);
        s += strspn(s, " \t\r\n");
        double x = -1;
        size_t n = name && *s == ':' ? strspn(s + 1, " ") : 0;
        n = name && *s == ':' ? n + rec_parse_number(s + 1 + n, strlen(s + 1 + n), &x)
                              : 0;
        if (f == cfg->n_facet || !(x >= 0 && x <= FACET_MAX_WEIGHT))
            return rec_fail(
                err, REC_RANGE,
                "feature_weights: expected facet:weight, a name in facets= and "
                "0 to 1000, at '%.40s'",
                at);
        weight[f] = x;
        s += 1 + n;
        s += strspn(s, " \t\r\n");
        if (*s == ',') s++;
    }
    return REC_OK;
}

/* A number as two features, those of the steps that it lies between: near numbers share one. The steps do not
 * depend on the other items, so an item that comes later fits. "year=1990", "runtime=90.5". */
static rec_status add_number(const catalog *items, size_t f, uint32_t item,
                             double weight, corpus *docs, rec_err *err) {
    double x;
    char feature[256];
    if (!facet_item_number(items, f, item, &x) || !isfinite(x)) return REC_OK;
    bool is_year = x >= NUMBER_YEAR_LEAST && x <= NUMBER_YEAR_MOST && x == floor(x);
    double size = fabs(x), at = is_year ? x / 10 : log(1 + size) / log(NUMBER_STEP);
    rec_status s = REC_OK;
    for (int i = 0; i < 2 && s == REC_OK; i++) {
        double step = floor(at) + i, part = i ? at - floor(at) : 1 - (at - floor(at));
        double value = is_year ? step * 10 : pow(NUMBER_STEP, step) - 1;
        size_t n = rec_format(feature, sizeof feature, "%s=%s%.3g",
                              facet_name(items, f), x < 0 ? "-" : "", value);
        if (is_year)
            n = rec_format(feature, sizeof feature, "%s=%.0f", facet_name(items, f),
                           value);
        if (part > 0)
            s = corpus_add_feature(docs, item, feature, n, (float)(weight * part), err);
    }
    return s;
}

/* "genres=Comedy" for every value of every text facet; paths with their ancestors. */
static rec_status add_features(const item_reader *r, uint32_t item, corpus *docs,
                               rec_err *err) {
    char feature[256];
    rec_status s = REC_OK;
    const catalog *items = r->items;
    for (size_t f = 0; f < catalog_n_facets(items) && s == REC_OK; f++) {
        bool is_number = facet_kind(items, f) == FACET_NUMBER;
        double weight = r->weight[f] >= 0 ? r->weight[f] : is_number ? 0 : FACET_WEIGHT;
        if (is_number) {
            s = add_number(items, f, item, weight, docs, err);
            continue;
        }
        const uint32_t *value;
        size_t n = facet_item_values(items, f, item, &value);
        for (size_t i = 0; i < n && s == REC_OK; i++) {
            size_t n_value;
            const char *text = facet_value(items, f, value[i], &n_value);
            size_t n_feature = rec_format(feature, sizeof feature, "%s=%.*s",
                                          facet_name(items, f), (int)n_value, text);
            s = corpus_add_feature(docs, item, feature, n_feature, (float)weight, err);
        }
    }
    return s;
}

static rec_status build_corpus(const item_reader *r, corpus *docs, rec_run *run,
                               rec_err *err) {
    rec_status s = REC_OK;
    size_t begin = 0, n = catalog_n_items(r->items);
    for (uint32_t i = 0; i < n && s == REC_OK; i++) {
        size_t end = i < r->n_text ? r->text_end[i] : begin;
        s = corpus_add(docs, i, (const char *)r->text.data + begin, end - begin, 1,
                       err);
        if (s == REC_OK) s = add_features(r, i, docs, err);
        if (s == REC_OK) s = run_check(run, err);
        begin = end;
    }
    return s;
}

rec_status sq_source_catalog(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                             key_affinity item, sq_items *out, rec_run *run,
                             rec_err *err) {
    item_reader r = {.cfg = cfg,
                     .affinity = item,
                     .source = cfg->items ? cfg->items : cfg->interactions,
                     .want_text = out->want_docs && cfg->items};
    rec_status s = sq_facet_weights(cfg, r.weight, err);
    sq_embed_spec(cfg, &r.spec);
    out->items = NULL;
    out->docs = NULL;
    bytes_puts(&r.text, " ");
    r.text.n = 0; /* data is never NULL, even if no item has text */
    r.items = catalog_new(cfg->facet, cfg->items ? cfg->n_facet : 0);
    if (out->want_docs) out->docs = corpus_new();
    if (!r.items || (out->want_docs && !out->docs) || r.text.status != REC_OK)
        s = rec_nomem(err);
    r.docs = out->docs;
    if (r.docs && sq_features(cfg)) r.docs->has_no_terms = true;
    if (r.docs && r.spec.n) {
        r.docs->keeps_text = embed_needs(&r.spec) & EMBED_READS_TEXT;
        r.docs->has_no_terms = !(embed_needs(&r.spec) & EMBED_READS_TERMS);
    }
    if (s == REC_OK && r.source) s = read_items(c, schema, &r, run, err);
    if (s == REC_OK && r.source) s = catalog_finish(r.items, err);
    if (s == REC_OK && out->docs) s = build_corpus(&r, out->docs, run, err);
    if (s == REC_OK && out->docs && sq_features(cfg))
        s = sq_features_read(c, schema, cfg, r.items, out->docs, err);
    bytes_clear(&r.text);
    rec_free(r.text_end);
    out->print = r.print;
    if (s == REC_OK) {
        out->items = r.items;
        return REC_OK;
    }
    catalog_free(r.items);
    corpus_free(out->docs);
    out->docs = NULL;
    return s;
}
