/* converse.c - one turn of a conversation: a state and an utterance make a state and an action.
 *
 *     state, utterance
 *        hear       what was said goes into the state           converse_hear.c
 *        believe    how likely is each item now                 converse_belief.c
 *        ask        the question that tells most, if any        converse_ask.c
 *        show       the k likeliest, never one twice
 *        say        words for it                                converse_say.c
 *     state', action, facet, question, options, reply, items
 *
 * A turn asks and shows at once: a list costs the reader nothing, and what is wanted may be on it. It only shows
 * (action recommend) when no question is worth a turn, or the reader will not be asked; it only asks when nothing fits.
 *
 * Invariants
 *  C1  The same arguments, tables and model give the same answer; nothing is kept.
 *  C2  Items are live ones: allowed by the host, in no list of this session so far, rejected or not.
 *  C3  With nothing that fits, no item is shown: the question names what to give up.
 *
 * Cost: 10k items, a few ms beside the host's scores.
 */
#include "converse.h"

/* The k likeliest that are live. */
static rec_status choose_items(const belief *b, size_t k, uint32_t *item, size_t *n,
                               rec_err *err) {
    topk top = {0};
    *n = 0;
    rec_status s = topk_init(&top, k, err);
    if (s != REC_OK) return s;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i] > 0) topk_push(&top, -b->p[i], i);
    topk_sort(&top);
    for (size_t i = 0; i < top.n; i++) item[(*n)++] = top.a[i].id;
    topk_clear(&top);
    return REC_OK;
}

static rec_status relax_question(const belief *b, const talk *t, ask *q, rec_err *err) {
    *q = (ask){.facet = -1};
    if (b->give_up < 0) return REC_OK;
    q->kind = ASK_RELAX;
    q->group = b->give_up;
    for (size_t i = 0; i < t->n_said; i++)
        if (t->said[i].group == b->give_up) q->facet = t->said[i].facet;
    ask_option o = {.value = rec_strdup("yes"),
                    .count = b->give_opens,
                    .min = -1. / 0.,
                    .max = 1. / 0.,
                    .item = KEYS_NONE};
    if (!o.value) return rec_nomem(err);
    q->option[q->n++] = o;
    return REC_OK;
}

/* What is asked now is not asked again; what is shown now is not shown again. */
static rec_status remember(const converse_args *a, talk *t, ask *q,
                           const uint32_t *item, size_t n_item, rec_err *err) {
    rec_status s = REC_OK;
    if (q->kind == ASK_FACET)
        s = talk_mark_asked(t, "facet", facet_name(a->ctx->items, (size_t)q->facet),
                            err);
    if (q->kind == ASK_PAIR) s = talk_mark_asked(t, "pair", "", err);
    for (size_t i = 0; q->kind == ASK_WORDS && i < q->n && s == REC_OK; i++)
        s = talk_mark_asked(t, "word", q->option[i].value, err);
    if (q->kind != ASK_NONE) {
        ask_clear(&t->pending);
        t->pending = *q;
        *q = (ask){.facet = -1};
    }
    if (n_item) t->last.n = 0;
    for (size_t i = 0; i < n_item && s == REC_OK; i++) {
        s = item_list_add(&t->last, item[i], err);
        if (s == REC_OK && t->shown.n < CONVERSE_MAX_ITEMS)
            s = item_list_add(&t->shown, item[i], err);
    }
    t->turn++;
    return s;
}

/* ---- the answer ---------------------------------------------------------------------------------- */

static json *options_json(const ask *q) {
    json *list = json_new_array();
    bool ok = list != NULL;
    for (size_t i = 0; i < q->n && ok; i++) {
        json *o = json_new_object();
        const char *v = q->option[i].value;
        ok = json_set(o, "value", json_new_text(v, strlen(v))) &&
             json_set(o, "count", json_new_int((int64_t)q->option[i].count));
        ok = json_push(list, o) && ok;
    }
    if (ok) return list;
    json_delete(list);
    return NULL;
}

static rec_status items_json(const converse_args *a, const converse_host *host,
                             const uint32_t *item, size_t n, json **out, rec_err *err) {
    json *list = json_new_array();
    rec_status s = list ? REC_OK : rec_nomem(err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        char *reason = NULL;
        s = host->reason(host->ctx, item[i], &reason, err);
        if (s != REC_OK) break;
        json *o = json_new_object();
        bool ok = json_set(o, "item", catalog_key_json(a->ctx->items, item[i])) &&
                  json_set(o, "reason", json_new_text(reason, strlen(reason)));
        if (!json_push(list, o) || !ok) s = rec_nomem(err);
        rec_free(reason);
    }
    *out = s == REC_OK ? list : NULL;
    if (s != REC_OK) json_delete(list);
    return s;
}

static json *text_or_null(const char *s) {
    return s ? json_new_text(s, strlen(s)) : json_new_null();
}

static json *facet_json(const converse_args *a, const ask *q) {
    return text_or_null(q->kind != ASK_NONE && q->facet >= 0
                            ? facet_name(a->ctx->items, (size_t)q->facet)
                            : NULL);
}

/* Takes items. */
static rec_status write_answer(const converse_args *a, const talk *t, const ask *q,
                               const saying *words, json *items, char **out,
                               rec_err *err) {
    json *o = json_new_object();
    const char *action = q->kind == ASK_NONE ? "recommend" : "ask";
    bool ok = json_set(o, "state", talk_to_json(t, a->model, a->ctx->items)) &&
              json_set(o, "action", text_or_null(action)) &&
              json_set(o, "facet", facet_json(a, q)) &&
              json_set(o, "question", text_or_null(words->question)) &&
              json_set(o, "options", options_json(q)) &&
              json_set(o, "reply", text_or_null(words->reply));
    ok = json_set(o, "items", items) && ok;
    *out = ok ? json_print(o) : NULL;
    json_delete(o);
    return *out ? REC_OK : rec_nomem(err);
}

static rec_status decide(const converse_args *a, const converse_host *host,
                         const talk *t, const heard *h, const belief *b, ask *q,
                         uint32_t *item, size_t *n_item, rec_err *err) {
    *n_item = 0;
    *q = (ask){.facet = -1};
    if (b->n_live && b->n_fit == 0) return relax_question(b, t, q, err); /* C3 */
    rec_status s = choose_items(b, a->k, item, n_item, err);
    if (s != REC_OK || h->is_stop_asking) return s;
    return converse_ask(a, host, t, b, q, err);
}

rec_status converse_turn(const converse_args *a, const converse_host *host, talk *t,
                         char **out, rec_err *err) {
    heard h;
    belief b = {0};
    ask q = {.facet = -1};
    saying words = {0};
    json *items = NULL;
    uint32_t item[CONVERSE_MAX_K];
    size_t n_item = 0;
    *out = NULL;
    if (t->turn >= CONVERSE_MAX_TURNS)
        return rec_fail(err, REC_RANGE,
                        "llm_converse: the session has had %d turns; begin another "
                        "with a NULL state",
                        t->turn);
    rec_status s = converse_hear(a, host, t, &h, err);
    if (s == REC_OK) s = belief_make(a, host, t, &b, err);
    if (s == REC_OK) s = decide(a, host, t, &h, &b, &q, item, &n_item, err);
    if (s == REC_OK)
        s = converse_say(a, host, t, &h, &b, &q, item, n_item, &words, err);
    if (s == REC_OK) s = items_json(a, host, item, n_item, &items, err);
    if (s == REC_OK) s = remember(a, t, &q, item, n_item, err);
    if (s == REC_OK) {
        static const ask nothing = {.facet = -1};
        bool is_asked = words.question != NULL;
        s = write_answer(a, t, is_asked ? &t->pending : &nothing, &words, items, out,
                         err);
        items = NULL;
    }
    json_delete(items);
    rec_free(words.reply);
    rec_free(words.question);
    ask_clear(&q);
    belief_clear(&b);
    return s;
}
