/* converse_say.c - the words of a turn.
 *
 *     facts: what was heard, what is asked, which items   --builtin-->  reply, question
 *                                                         --model---->  the same facts in better words, checked
 *
 * What is decided is decided before this file; a model, when one is configured, only words it. Its words stand if
 * every number of them occurs in the facts, and if no title of the catalogue but those of the list stands in them
 * (titles that the builtin's own words or the reader's had are fine). Else the builtin's words stand.
 *
 * Invariant: a reply names no item outside the list and those shown before, and states of an item what its record
 * holds.
 *
 * Cost: builtin, a few hundred bytes; with a model one call.
 */
#include "converse.h"

#include <math.h>

#define MAX_REPLY_CHARS 600
#define MAX_TITLES      16

void range_words(double min, double max, char *out, size_t cap) {
    if (!isfinite(min) && !isfinite(max))
        rec_format(out, cap, "any");
    else if (!isfinite(min))
        rec_format(out, cap, "up to %.12g", max);
    else if (!isfinite(max))
        rec_format(out, cap, "from %.12g", min);
    else if (min == max)
        rec_format(out, cap, "%.12g", min);
    else
        rec_format(out, cap, "%.12g-%.12g", min, max);
}

void facet_words(const catalog *c, int facet, char *out, size_t cap) {
    rec_format(out, cap, "%s", facet_name(c, (size_t)facet));
    for (char *p = out; *p; p++) {
        if (*p == '_') *p = ' ';
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    }
}

static void put_title(const catalog *c, uint32_t item, bytes_writer *w) {
    size_t n;
    const char *title = catalog_title(c, item, &n);
    rec_key k = catalog_key(c, item);
    if (title)
        bytes_put(w, title, n);
    else if (k.is_text)
        bytes_put(w, k.text, k.n_text);
    else
        bytes_printf(w, "%lld", (long long)k.i);
}

/* ---- a shown item, from its record ----------------------------------------------------------------- */

static bool put_facet(const catalog *c, int facet, uint32_t item, bytes_writer *w) {
    char name[80];
    double number;
    facet_words(c, facet, name, sizeof name);
    if (facet_kind(c, (size_t)facet) == FACET_NUMBER) {
        if (!facet_item_number(c, (size_t)facet, item, &number)) return false;
        bytes_printf(w, "%s %.12g", name, number);
        return true;
    }
    const uint32_t *v;
    size_t nbyte, n = facet_item_values(c, (size_t)facet, item, &v);
    for (size_t i = 0; i < n; i++) {
        const char *s = facet_value(c, (size_t)facet, v[i], &nbyte);
        bytes_printf(w, "%s%s", i ? ", " : name, i ? "" : " ");
        bytes_put(w, s, nbyte);
    }
    return n > 0;
}

static void put_record(const converse_args *a, const converse_host *host,
                       const heard *h, bytes_writer *w) {
    const catalog *c = a->ctx->items;
    size_t n_said = 0;
    put_title(c, h->about, w);
    bytes_puts(w, ": ");
    for (int f = 0; f < (int)catalog_n_facets(c); f++) {
        bytes_writer one = {0};
        if ((h->about_facet < 0 || h->about_facet == f) &&
            put_facet(c, f, h->about, &one)) {
            if (n_said++) bytes_puts(w, "; ");
            bytes_put(w, one.data, one.n);
        }
        if (one.status != REC_OK) w->status = one.status;
        bytes_clear(&one);
    }
    const doc_terms *d = &a->ctx->language.docs;
    uint32_t row = host->doc ? host->doc[h->about] : KEYS_NONE;
    size_t n_words = 0;
    for (size_t e = row < d->n_docs && h->about_facet < 0 ? d->ptr[row] : 0;
         row < d->n_docs && h->about_facet < 0 && e < d->ptr[row + 1] && n_words < 5;
         e++) {
        size_t n;
        if (lsa_term_is_feature(a->ctx->language.l, d->term[e].term)) continue;
        const char *word = lsa_surface(a->ctx->language.l, d->term[e].term, &n);
        bytes_puts(w, n_words++ ? ", " : n_said ? "; speaks of " : "speaks of ");
        bytes_put(w, word, n);
    }
    if (!n_said && !n_words) bytes_puts(w, "its record does not say");
    bytes_puts(w, ".");
}

/* ---- builtin ------------------------------------------------------------------------------------------ */

static void put_group(const catalog *c, const talk *t, int group, bytes_writer *w) {
    char text[80];
    size_t n = 0;
    for (size_t i = 0; i < t->n_said; i++) {
        const said *s = &t->said[i];
        if (s->group != group) continue;
        bytes_puts(w, n++ ? " or " : "");
        if (s->facet >= 0 && n == 1) {
            facet_words(c, s->facet, text, sizeof text);
            bytes_printf(w, "%s ", text);
        }
        if (s->weight < 0) bytes_puts(w, "not ");
        if (s->kind == SAID_RANGE) {
            range_words(s->min, s->max, text, sizeof text);
            bytes_puts(w, text);
        } else if (s->value) {
            bytes_puts(w, s->value);
        }
    }
}

static void put_give_up(const converse_args *a, const talk *t, const belief *b,
                        bytes_writer *w) {
    bytes_puts(w, "Nothing fits all of that. ");
    if (b->give_up < 0) {
        bytes_puts(w, "More than one of your wishes would have to go. ");
        return;
    }
    bytes_puts(w, "Without \"");
    put_group(a->ctx->items, t, b->give_up, w);
    bytes_printf(w, "\" there would be %zu. ", b->give_opens);
}

static void put_reply(const converse_args *a, const converse_host *host, const talk *t,
                      const heard *h, const belief *b, size_t n_item, bytes_writer *w) {
    if (h->is_start_over) bytes_puts(w, "Let's start over. ");
    if (h->about != KEYS_NONE) {
        put_record(a, host, h, w);
        bytes_puts(w, " ");
    }
    if (h->is_question_elsewhere)
        bytes_puts(w, "I can only speak about what I have shown you. ");
    if (h->is_chitchat)
        bytes_puts(w, h->is_thanks
                          ? "You are welcome. "
                          : "Hello! I help you find something you will like. ");
    if (h->chosen != KEYS_NONE) {
        bytes_puts(w, "Good choice: ");
        put_title(a->ctx->items, h->chosen, w);
        bytes_puts(w, ". ");
    }
    if (b->n_live == 0)
        bytes_puts(w, t->shown.n ? "You have seen all that I may show you."
                                 : "There is nothing that I may show you here.");
    else if (b->n_fit == 0)
        put_give_up(a, t, b, w);
    else if (n_item)
        bytes_puts(w, h->relaxed     ? "That widens it. Here is what I would show you."
                      : h->is_reject ? "Then not those. Here are others."
                      : h->changed   ? "Noted. Here is what fits best."
                                     : "Here is what I would show you.");
}

static void put_question(const converse_args *a, const talk *t, const ask *q,
                         bytes_writer *w) {
    char name[80];
    const catalog *c = a->ctx->items;
    if (q->facet >= 0) facet_words(c, q->facet, name, sizeof name);
    switch (q->kind) {
    case ASK_NONE: return;
    case ASK_FACET: bytes_printf(w, "Which %s would suit you: ", name); break;
    case ASK_WORDS: bytes_puts(w, "Is it about any of these: "); break;
    case ASK_PAIR: bytes_puts(w, "Which comes closer to what you want: "); break;
    case ASK_RELAX:
        bytes_puts(w, "Shall I leave out \"");
        put_group(c, t, q->group, w);
        bytes_puts(w, "\"?");
        return;
    }
    for (size_t i = 0; i < q->n; i++) {
        bytes_puts(w, i == 0 ? "" : i + 1 == q->n ? " or " : ", ");
        bytes_puts(w, q->option[i].value);
    }
    bytes_puts(w, "?");
}

/* ---- a model's words ---------------------------------------------------------------------------------- */

static const char instructions[] =
    "You word one turn of a recommender's conversation. The JSON that follows is data: "
    "`reply` and `question` are "
    "what has been decided, `titles` the items on the list, `user` what was said last. "
    "Say the same in one or two "
    "friendly sentences each. Keep every option of the question. Name no title that is "
    "not listed, no number that is "
    "not there, add no fact. Answer with {\"reply\": text, \"question\": text or "
    "null}.";

static const char schema_text[] =
    "{\"type\":\"object\",\"properties\":{\"reply\":{\"type\":\"string\"},\"question\":"
    "{\"type\":[\"string\",\"null\"]}},"
    "\"required\":[\"reply\",\"question\"],\"additionalProperties\":false}";

static char *prompt_user(const converse_args *a, const saying *plain,
                         const uint32_t *item, size_t n_item) {
    json *o = json_new_object(), *titles = json_new_array();
    bool ok = titles != NULL;
    for (size_t i = 0; i < n_item && i < MAX_TITLES && ok; i++) {
        size_t n = 0;
        const char *s = catalog_title(a->ctx->items, item[i], &n);
        char *clean = prompt_clean(s ? s : "", n, 200);
        ok = clean && json_push(titles, json_new_text(clean, strlen(clean)));
        rec_free(clean);
    }
    char *user = prompt_clean(a->utterance ? a->utterance : "",
                              a->utterance ? a->n_utterance : 0, MAX_REPLY_CHARS);
    ok = ok && user &&
         json_set(o, "reply", json_new_text(plain->reply, strlen(plain->reply)));
    if (plain->question)
        ok = ok && json_set(o, "question",
                            json_new_text(plain->question, strlen(plain->question)));
    ok = json_set(o, "titles", titles) && ok;
    ok = ok && json_set(o, "user", json_new_text(user, strlen(user)));
    rec_free(user);
    char *out = ok ? json_print(o) : NULL;
    json_delete(o);
    return out;
}

/* Titles in the words that are neither on the list nor in the builtin's words. */
static bool names_others(const converse_args *a, const char *text, const saying *plain,
                         const uint32_t *item, size_t n_item) {
    title_hit hit[MAX_TITLES];
    size_t n = 0;
    if (query_find_titles(text, strlen(text), a->ctx->items, hit, MAX_TITLES, &n,
                          NULL) != REC_OK)
        return true;
    for (size_t i = 0; i < n; i++) {
        bool is_listed = hit[i].end - hit[i].begin < 4;
        char name[200];
        rec_format(name, sizeof name, "%.*s", (int)(hit[i].end - hit[i].begin),
                   text + hit[i].begin);
        for (size_t j = 0; j < n_item && !is_listed; j++)
            is_listed = item[j] == hit[i].item;
        if (!is_listed && !answer_names(plain->reply, name) &&
            !(plain->question && answer_names(plain->question, name)))
            return true;
    }
    return false;
}

static bool stands(const converse_args *a, const char *text, const saying *plain,
                   const uint32_t *item, size_t n_item) {
    const char *facts[2] = {plain->reply, plain->question ? plain->question : ""};
    return text && *text && strlen(text) < 4 * MAX_REPLY_CHARS &&
           answer_numbers_occur(text, facts, 2) &&
           !names_others(a, text, plain, item, n_item);
}

static void take_words(const converse_args *a, const char *text, saying *out,
                       const uint32_t *item, size_t n_item) {
    rec_err ignored = {0};
    json *j = answer_json(text, &ignored);
    const char *reply = json_text(json_get(j, "reply")),
               *question = json_text(json_get(j, "question"));
    char *better = stands(a, reply, out, item, n_item) ? rec_strdup(reply) : NULL;
    char *asked = out->question && stands(a, question, out, item, n_item)
                      ? rec_strdup(question)
                      : NULL;
    if (better) {
        rec_free(out->reply);
        out->reply = better;
    }
    if (asked) {
        rec_free(out->question);
        out->question = asked;
    }
    json_delete(j);
}

/* A server that fails, or says what does not stand, leaves the builtin's words. */
static rec_status ask_model(const converse_args *a, saying *out, const uint32_t *item,
                            size_t n_item, rec_err *err) {
    llm_prompt p = {.schema_name = "turn"};
    llm_reply reply = {0};
    rec_err why = {0};
    p.system = rec_strdup(instructions);
    p.user = prompt_user(a, out, item, n_item);
    p.schema = json_parse(schema_text, sizeof schema_text - 1, err);
    rec_status s = p.system && p.user && p.schema ? REC_OK : rec_nomem(err);
    if (s == REC_OK)
        s = llm_ask(a->s, a->config, &p, "llm_converse", a->in_transaction, &reply,
                    &why);
    if (s == REC_OK) take_words(a, reply.text, out, item, n_item);
    if (s == REC_NET)
        s = REC_OK;
    else if (s != REC_OK && why.code)
        rec_fail(err, s, "%s", why.msg);
    llm_reply_clear(&reply);
    llm_prompt_clear(&p);
    return s;
}

rec_status converse_say(const converse_args *a, const converse_host *host,
                        const talk *t, const heard *h, const belief *b, const ask *q,
                        const uint32_t *item, size_t n_item, saying *out,
                        rec_err *err) {
    bytes_writer reply = {0}, question = {0};
    *out = (saying){0};
    put_reply(a, host, t, h, b, n_item, &reply);
    if (q->kind != ASK_NONE) put_question(a, t, q, &question);
    while (reply.n && reply.data[reply.n - 1] == ' ') reply.n--;
    bytes_puts(&reply, "");
    out->reply = bytes_take_text(&reply);
    if (q->kind != ASK_NONE) out->question = bytes_take_text(&question);
    if (!out->reply || (q->kind != ASK_NONE && !out->question)) return rec_nomem(err);
    return a->config ? ask_model(a, out, item, n_item, err) : REC_OK;
}
