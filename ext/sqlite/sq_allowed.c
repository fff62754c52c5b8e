/* sq_allowed.c - which items may be shown, and in which order.
 *
 *   every item
 *     less  what the user has seen           unless repeat=1, or the caller wants it
 *     less  what eligible= does not list     of the model and of every member
 *     less  what owned= lists
 *     less  what preferences= gives -1
 *     less  what the filters of a request refuse, what it excludes by word, and the items it names as examples
 *     = bitmap --> ranking by descending score
 *
 * All of it happens before the ranking is cut at k, so a rule never starves a result that has other items.
 *
 * `exclude` of a request is hard. A word counts as present if its stem stands in the title, a text column or a
 * facet of the item; a phrase if its stems stand there side by side.
 *
 * I1. The bitmap has one bit an item of the catalogue.
 * I2. Rules are read from the tables at every call.
 *
 * Cost: rules O(their rows); exclude one pass over the texts of all items, about 15 us an item.
 */
#include "sq_preferences.h"

#include <math.h>
#include <stdlib.h>

#define EXCLUDE_MAX_STEMS 8 /* of one phrase; more are cut */
#define EXCLUDE_MAX_TERMS 64

/* ---- exclude ---------------------------------------------------------------------------------------- */

typedef struct phrase {
    char stem[EXCLUDE_MAX_STEMS][TOKEN_MAX_BYTES + 1];
    size_t n;
} phrase;

static void read_phrase(const char *text, phrase *out) {
    tokenizer t;
    token word;
    out->n = 0;
    tokenizer_start(&t, text, strlen(text), true);
    while (out->n < EXCLUDE_MAX_STEMS && tokenizer_next(&t, &word)) {
        if (word.is_stop) continue;
        memcpy(out->stem[out->n++], word.text, word.n_text + 1u);
    }
}

/* Do the stems of some phrase follow one another in the text? Stop words do not count. */
static bool text_has_phrase(const char *text, size_t n, const phrase *p,
                            size_t n_phrase) {
    tokenizer t;
    token word;
    size_t at[EXCLUDE_MAX_TERMS] = {0};
    tokenizer_start(&t, text, n, true);
    while (tokenizer_next(&t, &word)) {
        if (word.is_stop) continue;
        for (size_t i = 0; i < n_phrase; i++) {
            if (p[i].n == 0) continue;
            if (strcmp(p[i].stem[at[i]], word.text) != 0)
                at[i] = strcmp(p[i].stem[0], word.text) == 0 ? 1 : 0;
            else
                at[i]++;
            if (at[i] == p[i].n) return true;
        }
    }
    return false;
}

static rec_status prepare_texts(const sq_view *v, sqlite3_stmt **out, rec_err *err) {
    const sq_model_cfg *cfg = &v->cfg;
    sq_select q = {.schema = v->schema, .source = cfg->items};
    sq_select_column(&q, cfg->item_key ? cfg->item_key : cfg->item);
    sq_select_column(&q, cfg->title);
    for (size_t i = 0; i < cfg->n_text; i++) sq_select_column(&q, cfg->text[i]);
    for (size_t i = 0; i < cfg->n_facet; i++) sq_select_column(&q, cfg->facet[i].name);
    return sq_select_prepare(v->conn, &q, out, err);
}

static bool row_has_phrase(sqlite3_stmt *st, const phrase *p, size_t n) {
    for (int i = 1; i < sqlite3_column_count(st); i++) {
        if (sqlite3_column_type(st, i) != SQLITE_TEXT) continue;
        const char *text = (const char *)sqlite3_column_text(st, i);
        if (text && text_has_phrase(text, (size_t)sqlite3_column_bytes(st, i), p, n))
            return true;
    }
    return false;
}

rec_status sq_drop_phrases(sq_view *v, const text_list *exclude, bitmap *allowed,
                           rec_err *err) {
    if (!exclude->n || !v->cfg.items) return REC_OK;
    size_t n = exclude->n < EXCLUDE_MAX_TERMS ? exclude->n : EXCLUDE_MAX_TERMS;
    phrase *p = rec_array(n, sizeof *p);
    sqlite3_stmt *st = NULL;
    bool row = true;
    rec_run run;
    sq_run_init(v->conn, &run, false);
    rec_status s = p ? prepare_texts(v, &st, err) : rec_nomem(err);
    for (size_t i = 0; s == REC_OK && i < n; i++) read_phrase(exclude->a[i], &p[i]);
    while (s == REC_OK && (s = sq_step(st, v->cfg.items, &row, err)) == REC_OK && row) {
        char buf[32];
        rec_key key;
        cell c = sq_column_cell(st, 0);
        if (sq_key(&c, v->item_affinity, buf, &key, &s, err)) {
            uint32_t item = catalog_find(v->items, &key);
            if (item != KEYS_NONE && bitmap_has(allowed, item) &&
                row_has_phrase(st, p, n))
                bitmap_unset(allowed, item);
        }
        if (s == REC_OK) s = run_check(&run, err);
    }
    sqlite3_finalize(st);
    rec_free(p);
    return s;
}

/* ---- rules ---------------------------------------------------------------------------------------------- */

/* Rules of a member hold for the hybrid; they are read against the hybrid's own catalogue. */
static rec_status apply_rules(sq_view *v, const sq_view *rules, const rec_key *user,
                              bitmap *allowed, rec_err *err) {
    char buf[32];
    rec_key key;
    const rec_key *own = user;
    rec_status s = REC_OK;
    if (user && rules->user_affinity != v->user_affinity) {
        cell c = sq_key_cell(user);
        own = sq_key(&c, rules->user_affinity, buf, &key, &s, err) ? &key : NULL;
    }
    if (s == REC_OK)
        s = sq_source_rules(v->conn, rules->schema, &rules->cfg, own, v->item_affinity,
                            v->items, allowed, err);
    for (size_t m = 0; m < rules->n_member && s == REC_OK; m++)
        s = apply_rules(v, rules->member[m].view, user, allowed, err);
    return s;
}

rec_status sq_rules_personal(const sq_view *v, bool *yes, rec_err *err) {
    rec_status s = sq_source_rules_personal(v->conn, v->schema, &v->cfg, yes, err);
    *yes = *yes || v->cfg.preferences;
    for (size_t m = 0; m < v->n_member && s == REC_OK && !*yes; m++)
        s = sq_rules_personal(v->member[m].view, yes, err);
    return s;
}

static rec_status apply_request(sq_view *v, const query_request *r, bitmap *allowed,
                                rec_err *err) {
    rec_status s = filters_apply(&r->filters, v->items, allowed, err);
    if (s == REC_OK) s = sq_drop_phrases(v, &r->exclude, allowed, err);
    for (size_t i = 0; s == REC_OK && i < r->n_like; i++)
        if (r->like_items[i] < allowed->n_bit) bitmap_unset(allowed, r->like_items[i]);
    return s;
}

rec_status sq_allowed(sq_view *v, const sq_profile *p, bool want_unseen, bitmap *out,
                      rec_err *err) {
    sq_frame frame = {0};
    size_t n = catalog_n_items(v->items);
    rec_status s = bitmap_init(out, n, true, err);
    if (s != REC_OK) return s;
    if (want_unseen && !v->cfg.repeat)
        for (size_t i = 0; i < (n + 63) / 64; i++) out->word[i] &= ~p->seen.word[i];
    s = sq_enter(v->conn, &frame, v->schema, v->name, err);
    if (s == REC_OK) s = apply_rules(v, v, p->who.user, out, err);
    if (s == REC_OK && p->who.request) s = apply_request(v, p->who.request, out, err);
    if (s == REC_OK) sq_wishes_allow(p->wishes, out);
    sq_leave(v->conn, &frame);
    if (s != REC_OK) bitmap_clear(out);
    return s;
}

/* ---- words of the sentence in an FTS5 table --------------------------------------------------------------- */

/* Every word of the sentence in quotes, joined by OR: nothing in it can be FTS5 syntax. */
static rec_status match_text(const sq_who *who, char **out, rec_err *err) {
    bytes_writer w = {0};
    tokenizer t;
    token word;
    const char *text = who->query;
    size_t n = who->n_query;
    if (!text && who->request && who->request->query) {
        text = who->request->query;
        n = strlen(text);
    }
    tokenizer_start(&t, text ? text : "", text ? n : 0, false);
    while (tokenizer_next(&t, &word))
        if (!word.is_stop) bytes_printf(&w, "%s\"%s\"", w.n ? " OR " : "", word.text);
    bool is_empty = w.n == 0;
    *out = is_empty ? NULL : bytes_take_text(&w);
    rec_status s = is_empty || *out ? w.status : rec_nomem(err);
    bytes_clear(&w);
    return s;
}

rec_status sq_lexical(const sq_view *v, const sq_who *who, float *out, rec_err *err) {
    char *match = NULL;
    sqlite3_stmt *st = NULL;
    bool row = true, is_temp = sqlite3_stricmp(v->schema, "temp") == 0;
    const char *fts = v->cfg.lexical;
    for (size_t i = 0; i < catalog_n_items(v->items); i++) out[i] = 0;
    rec_status s = match_text(who, &match, err);
    if (s != REC_OK || !match) return s;
    char *from = is_temp ? sqlite3_mprintf("\"%w\"", fts)
                         : sqlite3_mprintf("\"%w\".\"%w\"", v->schema, fts);
    s = from ? sq_prepare(v->conn->db, fts, &st, err,
                          "SELECT rowid, -bm25(\"%w\") FROM %s WHERE \"%w\" MATCH %Q",
                          fts, from, fts, match)
             : rec_nomem(err);
    while (s == REC_OK && (s = sq_step(st, fts, &row, err)) == REC_OK && row) {
        char buf[32];
        rec_key key;
        cell c = sq_column_cell(st, 0);
        if (!sq_key(&c, v->item_affinity, buf, &key, &s, err)) continue;
        uint32_t item = catalog_find(v->items, &key);
        double score = sqlite3_column_double(st, 1);
        if (item != KEYS_NONE && isfinite(score)) out[item] = (float)score;
    }
    sqlite3_finalize(st);
    sqlite3_free(from);
    rec_free(match);
    return s;
}

/* ---- order --------------------------------------------------------------------------------------------------- */

typedef struct tie {
    uint64_t hash;
    uint32_t item;
} tie;

static int compare_ties(const void *a, const void *b) {
    const tie *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static uint64_t key_hash(const rec_key *k) {
    return k->is_text ? rec_hash(k->text, k->n_text, 1) : rec_mix((uint64_t)k->i);
}

/* Equal scores are listed by a hash of the key: by the key itself old items would always come first. */
rec_status sq_tie_order(const catalog *items, uint32_t **out, rec_err *err) {
    size_t n = catalog_n_items(items);
    tie *t = rec_array(n, sizeof *t);
    *out = rec_array(n, sizeof **out);
    if (!t || !*out) {
        rec_free(t);
        return rec_nomem(err);
    }
    for (uint32_t i = 0; i < n; i++) {
        rec_key key = catalog_key(items, i);
        t[i] = (tie){key_hash(&key), i};
    }
    qsort(t, n, sizeof *t, compare_ties);
    for (size_t i = 0; i < n; i++) (*out)[i] = t[i].item;
    rec_free(t);
    return REC_OK;
}

/* So few rows are cheaper to find with a heap of their number than by parting all. */
#define RANK_MAX_HEAP 256

static bool may_rank(const sq_scores *s, const bitmap *allowed, uint32_t item) {
    return (!allowed || bitmap_has(allowed, item)) && isfinite(s->score[item]);
}

static rec_status rank_few(const sq_view *v, const sq_scores *s, const bitmap *allowed,
                           size_t most, ranking *out, rec_err *err) {
    topk best;
    rec_status st = topk_init(&best, most, err);
    if (st != REC_OK) return st;
    for (uint32_t place = 0; place < s->n; place++) {
        uint32_t item = v->tie_item[place];
        if (may_rank(s, allowed, item)) topk_push(&best, -s->score[item], place);
    }
    return ranking_init(out, best.a, best.n, err);
}

rec_status sq_rank(const sq_view *v, const sq_scores *s, const bitmap *allowed,
                   int64_t most, ranking *out, rec_err *err) {
    memset(out, 0, sizeof *out);
    if (most >= 0 && most <= RANK_MAX_HEAP)
        return rank_few(v, s, allowed, (size_t)most, out, err);
    topk_entry *e = rec_array(s->n, sizeof *e);
    size_t n = 0;
    if (!e) return rec_nomem(err);
    for (uint32_t place = 0; place < s->n; place++) {
        uint32_t item = v->tie_item[place];
        if (may_rank(s, allowed, item)) e[n++] = (topk_entry){-s->score[item], place};
    }
    return ranking_init(out, e, n, err);
}

bool sq_rank_next(const sq_view *v, ranking *r, uint32_t *item, float *score) {
    topk_entry e;
    if (!ranking_next(r, &e)) return false;
    *item = v->tie_item[e.id];
    *score = -e.value;
    return true;
}
