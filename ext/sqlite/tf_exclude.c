/* tf_exclude.c - the words of a request's `exclude`: items that speak of them are left out.
 *
 *   exclude: ["war", "serial killer"]  --stems-->  [war] [serial killer]
 *   items row: title, text=, facets=   --stems-->  ... a seri killer in war time ...   out
 *
 * Facets have filters; `exclude` is for what no facet covers, so the item's own words are read:
 * its title and every column that text= and facets= name. They are not kept in memory between
 * queries, hence one pass over the items table, and only when there is something to exclude.
 *
 * Invariants
 * I1. A phrase matches when its words follow each other in one column, stop words aside,
 *     compared by stem.
 * I2. A phrase without any word (stop words only) excludes nothing.
 * I3. An item without words is not excluded.
 *
 * Cost: O(bytes of the items' texts), about 20 ms for 10,000 items with a paragraph each.
 */
#include "sq.h"

#define EXCLUDE_MAX_PHRASES 32
#define EXCLUDE_MAX_WORDS   6

typedef struct phrase {
    char word[EXCLUDE_MAX_WORDS][TOKEN_MAX_BYTES + 1];
    size_t n;
    size_t at; /* words of it that have just been read */
} phrase;

static void read_phrase(const char *text, phrase *out) {
    tokenizer t;
    token word;
    out->n = out->at = 0;
    tokenizer_start(&t, text, strlen(text), true);
    while (out->n < EXCLUDE_MAX_WORDS && tokenizer_next(&t, &word))
        if (!word.is_stop) memcpy(out->word[out->n++], word.text, sizeof word.text);
}

static bool is_word(const phrase *p, size_t i, const token *word) {
    return strcmp(p->word[i], word->text) == 0;
}

/* Does the text contain any of the phrases (I1)? */
static bool contains(phrase *p, size_t n, const char *text, size_t nbyte) {
    tokenizer t;
    token word;
    for (size_t i = 0; i < n; i++) p[i].at = 0;
    tokenizer_start(&t, text, nbyte, true);
    while (tokenizer_next(&t, &word)) {
        if (word.is_stop) continue;
        for (size_t i = 0; i < n; i++) {
            if (!is_word(&p[i], p[i].at, &word)) p[i].at = 0;
            if (is_word(&p[i], p[i].at, &word) && ++p[i].at == p[i].n) return true;
        }
    }
    return false;
}

/* The view, or the member, that knows the items' words; else one that has an items table. */
static const sq_view *with_words(const sq_view *v) {
    const sq_view *best = v->cfg.items ? v : NULL;
    for (size_t i = 0; i < v->n_member && !(best && best->cfg.n_text); i++) {
        const sq_view *m = with_words(v->member[i].view);
        if (m && (!best || m->cfg.n_text)) best = m;
    }
    return best;
}

static rec_status prepare_words(const sq_view *w, sqlite3_stmt **st, rec_err *err) {
    const sq_model_cfg *cfg = &w->cfg;
    char *table = tf_source_name(w, cfg->items, err);
    sqlite3_str *columns = sqlite3_str_new(w->conn->db);
    sqlite3_str_appendf(columns, "\"%w\"", cfg->item_key ? cfg->item_key : cfg->item);
    if (cfg->title) sqlite3_str_appendf(columns, ", \"%w\"", cfg->title);
    for (size_t i = 0; i < cfg->n_text; i++)
        sqlite3_str_appendf(columns, ", \"%w\"", cfg->text[i]);
    for (size_t i = 0; i < cfg->n_facet; i++)
        sqlite3_str_appendf(columns, ", \"%w\"", cfg->facet[i].name);
    char *text = sqlite3_str_finish(columns);
    rec_status s = table && text ? sq_prepare(w->conn->db, cfg->items, st, err,
                                              "SELECT %s FROM %s", text, table)
                                 : rec_nomem(err);
    sqlite3_free(text);
    sqlite3_free(table);
    return s;
}

static rec_status read_words(sq_view *v, const sq_view *w, phrase *p, size_t n,
                             bitmap *allowed, rec_err *err) {
    sqlite3_stmt *st = NULL;
    rec_run run = {0};
    sq_run_init(v->conn, &run, false);
    rec_status s = prepare_words(w, &st, err);
    while (s == REC_OK) {
        bool row, is_out = false;
        char buf[32];
        rec_key key;
        s = sq_step(st, w->cfg.items, &row, err);
        if (s == REC_OK) s = run_check(&run, err);
        if (s != REC_OK || !row) break;
        for (int i = 1; i < sqlite3_column_count(st) && !is_out; i++) {
            cell c = sq_column_cell(st, i);
            is_out = c.type == CELL_TEXT && contains(p, n, c.p, c.nbyte);
        }
        cell c = sq_column_cell(st, 0);
        if (!is_out || c.type == CELL_BLOB) continue;
        if (!sq_key(&c, v->item_affinity, buf, &key, &s, err) || s != REC_OK) continue;
        uint32_t item = catalog_find(v->items, &key);
        if (item != KEYS_NONE) bitmap_unset(allowed, item);
    }
    sqlite3_finalize(st);
    sq_run_finish(&run);
    return s;
}

rec_status tf_exclude(sq_view *v, const text_list *exclude, bitmap *allowed,
                      rec_err *err) {
    const sq_view *w = with_words(v);
    size_t n = 0;
    if (exclude->n == 0 || !w) return REC_OK;
    phrase *p = rec_array(EXCLUDE_MAX_PHRASES, sizeof *p);
    if (!p) return rec_nomem(err);
    for (size_t i = 0; i < exclude->n && n < EXCLUDE_MAX_PHRASES; i++) {
        read_phrase(exclude->a[i], &p[n]);
        if (p[n].n) n++; /* I2 */
    }
    rec_status s = n ? read_words(v, w, p, n, allowed, err) : REC_OK;
    rec_free(p);
    return s;
}
