/* sq_language.c - what the functions over language see of a model.
 *
 *     llm_rewrite('...', 'reader')
 *        reader (hybrid) --> items of the view: titles, facets, vocabulary
 *           taste  (als)      no text space
 *           about  (content)  text space, the heaviest words of each item
 *                                  \--> inverted lists (text/related.c), made once a view, when first asked for
 *
 * A model's own text space is taken, else that of the first member that has one.
 *
 * Invariants
 *   I1  what is handed out is borrowed and holds for as long as the view is open.
 *   I2  without memory for the inverted lists, requests get fewer expansions, not an error.
 */
#include "sq.h"

/* The view whose model has a text space: this one, or one of its members. */
static sq_view *find_speaker(sq_view *v) {
    if (v->model && v->model->ops->language && v->model->ops->language(v->model))
        return v;
    for (size_t i = 0; i < v->n_member; i++) {
        sq_view *m = find_speaker(v->member[i].view);
        if (m) return m;
    }
    return NULL;
}

/* Without memory for the inverted lists the rest speaks alone. */
void sq_view_language(sq_view *v, llm_context *out) {
    memset(out, 0, sizeof *out);
    out->items = v->items;
    sq_view *s = find_speaker(v);
    if (!s) return;
    out->language.l = s->model->ops->language(s->model);
    out->language.docs = s->model->ops->terms(s->model);
    if (!s->related)
        related_new(&out->language.docs, out->language.l, &s->related, NULL);
    out->language.near = s->related;
}

uint32_t sq_view_doc(sq_view *v, const rec_key *key) {
    sq_view *s = find_speaker(v);
    uint32_t item = s ? catalog_find(s->items, key) : KEYS_NONE;
    return item == KEYS_NONE || !s->model_item ? KEYS_NONE : s->model_item[item];
}
