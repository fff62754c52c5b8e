/* ranker.c - a reranking endpoint orders candidates: query and documents out, a score for each back.
 *
 *   read candidates --> documents --> batches of rank_batch --(several at once)--> scores --> order
 *
 * Such a model judges every document by itself, so that scores of several requests are comparable, and its list
 * may be cut wherever a server bounds a request. A document is the candidate's fields, one a line, the title
 * first:
 *
 *     title: The Dark Bathhouse
 *     overview: A girl works for spirits.
 *
 * Without a request the history stands in for it: the titles that the reader liked. Reasons are the builtin's.
 *
 * K1. The order is a permutation of what was read: one without a score keeps its place behind the others.
 * K2. Ids, scores and history values never reach the server.
 */
#include "llm.h"

#include <math.h>

#define MAX_QUERY_CHARS 2000
#define MAX_TITLE_CHARS 200
#define MAX_FIELD_CHARS 1000
#define MAX_LIKED       10

static bool put_line(bytes_writer *w, const char *name, const char *text,
                     size_t max_chars) {
    char *n = prompt_clean(name, strlen(name), MAX_TITLE_CHARS);
    char *t = prompt_clean(text, strlen(text), max_chars);
    bool ok = n && t;
    if (ok) bytes_printf(w, "%s%s: ", w->n ? "\n" : "", n);
    if (ok) bytes_puts(w, t);
    rec_free(n), rec_free(t);
    return ok;
}

static json *document(const candidate *c) {
    bytes_writer w = {0};
    bool ok = true;
    const char *title = candidate_title(c);
    if (title) ok = put_line(&w, "title", title, MAX_TITLE_CHARS);
    for (size_t f = 0; f < c->n_field && ok; f++)
        if (c->field[f].text != title)
            ok = put_line(&w, c->field[f].name, c->field[f].text, MAX_FIELD_CHARS);
    char *text = bytes_take_text(&w);
    json *j = ok && text ? json_new_text(text, strlen(text)) : NULL;
    rec_free(text);
    return j;
}

/* Owned; empty where there is nothing to ask by. */
static char *query_text(const listwise_args *a) {
    char *query = prompt_clean(a->query ? a->query : "", a->query ? a->n_query : 0,
                               MAX_QUERY_CHARS);
    if (!query || *query) return query;
    rec_free(query);
    bytes_writer w = {0};
    for (size_t i = 0; i < a->all->n_history && i < MAX_LIKED; i++) {
        const char *title = candidate_title(&a->all->history[i].c);
        char *clean =
            title ? prompt_clean(title, strlen(title), MAX_TITLE_CHARS) : NULL;
        if (clean) bytes_printf(&w, "%s", w.n ? ", " : "Similar to ");
        if (clean) bytes_puts(&w, clean);
        rec_free(clean);
    }
    return bytes_take_text(&w);
}

static rec_status make_prompt(const listwise_args *a, const char *query, size_t begin,
                              size_t end, llm_prompt *p, rec_err *err) {
    *p = (llm_prompt){.user = rec_strdup(query), .documents = json_new_array()};
    bool ok = p->user && p->documents;
    for (size_t i = begin; i < end && ok; i++)
        ok = json_push(p->documents, document(&a->all->c[i]));
    return ok ? REC_OK : rec_nomem(err);
}

static size_t n_read(const listwise_args *a) {
    return a->options->n_read < a->all->n ? a->options->n_read : a->all->n;
}

rec_status ranker_prompt(const listwise_args *a, llm_prompt *p, rec_err *err) {
    char *query = query_text(a);
    *p = (llm_prompt){0};
    rec_status st =
        query ? make_prompt(a, query, 0, n_read(a), p, err) : rec_nomem(err);
    rec_free(query);
    return st;
}

/* "[0.9,null,0.1]" */
static rec_status read_scores(const llm_reply *r, double *score, size_t n,
                              rec_err *err) {
    json *list = json_parse(r->text, strlen(r->text), err);
    size_t i = 0;
    if (!list) return err && err->code ? err->code : REC_NET;
    for (const json *e = json_first(list); e && i < n; e = json_next(e), i++)
        score[i] = json_number(e, NAN);
    json_delete(list);
    return REC_OK;
}

typedef struct scored {
    double score;
    uint32_t item;
} scored;

static int compare_scored(const void *a, const void *b, void *ctx) {
    const scored *x = a, *y = b;
    bool nx = isnan(x->score), ny = isnan(y->score);
    (void)ctx;
    if (nx != ny) return nx ? 1 : -1;
    if (!nx && x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item; /* K1 */
}

/* All batches, or the first failure. */
static rec_status ask(llm_session *s, const llm_config *config, const listwise_args *a,
                      size_t batch, double *score, bool *is_fresh, rec_err *err) {
    size_t n = n_read(a), n_batch = (n + batch - 1) / batch;
    llm_prompt *p = rec_zeros(n_batch, sizeof *p);
    llm_reply *reply = rec_zeros(n_batch, sizeof *reply);
    rec_err *errs = rec_zeros(n_batch, sizeof *errs);
    char *query = query_text(a);
    rec_status st = p && reply && errs && query ? REC_OK : rec_nomem(err);
    if (!st && !*query)
        st = rec_fail(err, REC_NET, "llm '%.40s': neither a request nor a history",
                      config->name);
    for (size_t k = 0, at = 0; k < n_batch && !st; k++, at += batch)
        st = make_prompt(a, query, at, at + batch < n ? at + batch : n, &p[k], err);
    llm_batch b = {.c = config,
                   .p = p,
                   .n = n_batch,
                   .function = "llm_rerank",
                   .in_transaction = a->options->in_transaction};
    if (!st) st = llm_ask_many(s, &b, reply, errs, err);
    for (size_t k = 0, at = 0; k < n_batch && !st; k++, at += batch) {
        st = errs[k].code ? rec_fail(err, errs[k].code, "%s", errs[k].msg)
                          : read_scores(&reply[k], score + at,
                                        at + batch < n ? batch : n - at, err);
        *is_fresh |= !reply[k].is_cached;
    }
    for (size_t k = 0; k < n_batch && p; k++) llm_prompt_clear(&p[k]);
    for (size_t k = 0; k < n_batch && reply; k++) llm_reply_clear(&reply[k]);
    rec_free(p), rec_free(reply), rec_free(errs), rec_free(query);
    return st;
}

rec_status ranker_order(llm_session *s, const llm_config *config,
                        const listwise_args *a, uint32_t *order, bool *is_fresh,
                        rec_err *err) {
    size_t n = n_read(a);
    llm_settings o;
    rec_status st = llm_settings_parse(config->options, &o, err);
    if (st) return st;
    size_t batch = (size_t)o.rank_batch;
    llm_settings_clear(&o);
    double *score = rec_array(n, sizeof *score);
    scored *by = rec_array(n, sizeof *by);
    st = score && by ? REC_OK : rec_nomem(err);
    for (size_t i = 0; i < n && !st; i++) score[i] = NAN;
    if (!st) st = ask(s, config, a, batch, score, is_fresh, err);
    for (size_t i = 0; i < n && !st; i++) by[i] = (scored){score[i], (uint32_t)i};
    if (!st) rec_sort(by, n, sizeof *by, compare_scored, NULL);
    for (size_t i = 0; i < n && !st; i++) order[i] = by[i].item;
    rec_free(score), rec_free(by);
    return st;
}
