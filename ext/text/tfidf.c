/* tfidf.c - documents -> a dictionary of stems and the counts of each.
 *
 *     "Dark comedies, dark days"          word     stem     in document 7
 *                                         dark     dark     2
 *                                         comedies comedi   1
 *                                         days     day      1
 *
 * Words are looked up unstemmed first: each distinct word is stemmed once, and its count
 * tells later which form of a stem people write most (lsa_surface). Entries of one document
 * lie together, so `mark` (where each stem was last put) finds a repeated stem in O(1).
 *
 * Invariants
 *  I1  doc_start is ascending; document d's entries are entry[doc_start[d]..doc_start[d+1]).
 *  I2  a document has each term at most once; weights are > 0.
 *  I3  stop words and one-letter words are not terms; features always are.
 *  I4  texts as they came (keeps_text) lie one after the other; text_end is ascending.
 *
 * Cost: 8 bytes an entry; about 60 ns a word.
 */
#include "text.h"

corpus *corpus_new(void) {
    corpus *c = rec_zeros(1, sizeof *c);
    if (!c) return NULL;
    c->words = dict_new();
    c->terms = dict_new();
    if (c->words && c->terms) return c;
    corpus_free(c);
    return NULL;
}

void corpus_free(corpus *c) {
    if (!c) return;
    dict_free(c->words);
    dict_free(c->terms);
    rec_free(c->word_term);
    rec_free(c->word_count);
    rec_free(c->is_feature);
    rec_free(c->mark);
    rec_free(c->entry);
    rec_free(c->doc_start);
    bytes_clear(&c->text);
    rec_free(c->text_end);
    for (size_t i = 0; i < CORPUS_MAX_COLUMNS; i++) mat_clear(&c->column[i].rows);
    rec_free(c);
}

size_t corpus_n_docs(const corpus *c) {
    return c->n_docs;
}

size_t corpus_n_terms(const corpus *c) {
    return dict_count(c->terms);
}

/* Make `doc` the last document; documents that were passed over are empty. */
static rec_status corpus_open_doc(corpus *c, uint32_t doc, rec_err *err) {
    if (c->n_docs && doc + 1 < c->n_docs)
        return rec_fail(err, REC_RANGE, "corpus: document %u after document %zu", doc,
                        c->n_docs - 1);
    if (doc == UINT32_MAX) return rec_nomem(err);
    rec_status rc = rec_grow(&c->doc_start, &c->cap_doc, (size_t)doc + 2,
                             sizeof *c->doc_start, err);
    if (rc) return rc;
    if (c->keeps_text)
        rc = rec_grow(&c->text_end, &c->cap_text_end, (size_t)doc + 1,
                      sizeof *c->text_end, err);
    if (rc) return rc;
    if (!c->n_docs) c->doc_start[0] = 0;
    while (c->n_docs < (size_t)doc + 1) {
        c->doc_start[c->n_docs] = c->n_entry;
        if (c->keeps_text) c->text_end[c->n_docs] = c->text.n;
        c->n_docs++;
        c->doc_start[c->n_docs] = c->n_entry;
    }
    return REC_OK;
}

static rec_status corpus_count(corpus *c, uint32_t term, float weight, rec_err *err) {
    uint32_t at = c->mark[term];
    size_t begin = c->doc_start[c->n_docs - 1];
    if (at >= begin && at < c->n_entry && c->entry[at].term == term) {
        c->entry[at].weight += weight;
        return REC_OK;
    }
    if (c->n_entry >= UINT32_MAX) return rec_nomem(err);
    rec_status rc =
        rec_grow(&c->entry, &c->cap_entry, c->n_entry + 1, sizeof *c->entry, err);
    if (rc) return rc;
    c->mark[term] = (uint32_t)c->n_entry;
    c->entry[c->n_entry++] = (corpus_entry){term, weight};
    c->doc_start[c->n_docs] = c->n_entry;
    return REC_OK;
}

static rec_status corpus_term(corpus *c, const char *s, size_t n, bool is_feature,
                              uint32_t *term, rec_err *err) {
    size_t before = dict_count(c->terms);
    rec_status rc = rec_grow(&c->mark, &c->cap_mark, before + 1, sizeof *c->mark, err);
    if (!rc)
        rc = rec_grow(&c->is_feature, &c->cap_feature, before + 1,
                      sizeof *c->is_feature, err);
    if (!rc) rc = dict_add(c->terms, s, n, term, err);
    if (rc) return rc;
    if (dict_count(c->terms) > before) {
        c->mark[*term] = UINT32_MAX;
        c->is_feature[*term] = is_feature;
    }
    return REC_OK;
}

/* Number of an unstemmed word; a new one is stemmed and its stem entered. */
static rec_status corpus_word(corpus *c, token *t, uint32_t *term, rec_err *err) {
    uint32_t word = dict_find(c->words, t->text, t->n_text);
    if (word == KEYS_NONE) {
        size_t n = dict_count(c->words);
        rec_status rc = rec_grow(&c->word_term, &c->cap_word_term, n + 1,
                                 sizeof *c->word_term, err);
        if (!rc)
            rc = rec_grow(&c->word_count, &c->cap_word_count, n + 1,
                          sizeof *c->word_count, err);
        if (rc) return rc;
        char stem[TOKEN_MAX_BYTES + 1];
        memcpy(stem, t->text, (size_t)t->n_text + 1);
        size_t n_stem = stem_english(stem, t->n_text);
        uint32_t made;
        rc = corpus_term(c, stem, n_stem, false, &made, err);
        if (!rc) rc = dict_add(c->words, t->text, t->n_text, &word, err);
        if (rc) return rc;
        c->word_term[word] = made;
        c->word_count[word] = 0;
    }
    c->word_count[word]++;
    *term = c->word_term[word];
    return REC_OK;
}

bool corpus_is_content(const token *t) {
    if (t->is_stop) return false;
    return t->n_text > 1 || (unsigned char)t->text[0] >= 0x80 || t->is_number;
}

rec_status corpus_add(corpus *c, uint32_t doc, const char *text, size_t nbyte,
                      float weight, rec_err *err) {
    rec_status rc = corpus_open_doc(c, doc, err);
    if (rc || !(weight > 0)) return rc;
    if (c->keeps_text) {
        bytes_put(&c->text, text, nbyte);
        if (c->text.status) return rec_nomem(err);
        c->text_end[doc] = c->text.n;
    }
    if (c->has_no_terms) return REC_OK;
    tokenizer tk;
    token t;
    tokenizer_start(&tk, text, nbyte, false);
    while (!rc && tokenizer_next(&tk, &t)) {
        uint32_t term;
        if (!corpus_is_content(&t)) continue;
        rc = corpus_word(c, &t, &term, err);
        if (!rc) rc = corpus_count(c, term, weight, err);
    }
    return rc;
}

/* A feature's name holds a mark such as '=' that no word can hold; should one look like a
 * word after all, the two are one term and count as a feature. */
rec_status corpus_add_feature(corpus *c, uint32_t doc, const char *name, size_t nbyte,
                              float weight, rec_err *err) {
    rec_status rc = corpus_open_doc(c, doc, err);
    if (rc || !(weight > 0) || c->has_no_terms) return rc;
    uint32_t term;
    rc = corpus_term(c, name, nbyte, true, &term, err);
    if (rc) return rc;
    c->is_feature[term] = true;
    return corpus_count(c, term, weight, err);
}

/* ---- what is kept as it came ----------------------------------------------------- */

const char *corpus_text(const corpus *c, size_t doc, size_t *nbyte) {
    size_t begin = doc && doc <= c->n_docs ? c->text_end[doc - 1] : 0;
    *nbyte = doc < c->n_docs ? c->text_end[doc] - begin : 0;
    return *nbyte ? (const char *)c->text.data + begin : "";
}

rec_status corpus_add_vector(corpus *c, size_t column, uint32_t doc, const float *v,
                             uint32_t dim, rec_err *err) {
    mat *rows = &c->column[column].rows;
    rec_status rc = REC_OK;
    if (!vec_is_finite(v, dim))
        return rec_fail(err, REC_RANGE, "a vector holds a number that is not finite");
    if (!rows->dim)
        rc = mat_init(rows, (size_t)doc + 1, dim, err);
    else if (rows->dim != dim)
        return rec_fail(err, REC_RANGE, "a vector of %u numbers after one of %u", dim,
                        rows->dim);
    else if (rows->n_rows <= doc)
        rc = mat_resize(rows, (size_t)doc + 1, err);
    if (!rc) memcpy(mat_row(rows, doc), v, dim * sizeof *v);
    return rc;
}
