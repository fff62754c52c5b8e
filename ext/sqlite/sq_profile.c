/* sq_profile.c - what is known of whoever asks: a user of the tables, a list of items, or nobody.
 *
 *   user 42      --sq_source_user-->  rows of the interactions  --.
 *   history      --json-->            one row an item            --+--> merged, ascending by item
 *   like_items   (of a request)       one row an item            --+
 *   preferences  (sq_preferences.c)   one row an item            --'
 *                                     seen = every item touched
 *
 * Nothing of a user is stored in a model: the rows are read when the question is asked, so a click of a second
 * ago counts, and somebody who is in no table is a user like any other.
 *
 * An item of `history` or of like_items counts as one full liking: weight 1, and for feedback=explicit the
 * rating that users of this table give to what they like (measured at training).
 *
 * I1. Rows are merged by the function that training uses, with the same "now", so an unchanged history has the
 *     hash that was stored with the model; any other is folded in (is_fresh).
 * I2. Keys that are not in the catalogue are left out, here as in training.
 * I3. A hybrid has a profile of each member, in that member's numbers; its own rows are for display.
 */
#include "sq_preferences.h"

#include <math.h>
#include <stdlib.h>

static rec_status add_liked(const sq_view *v, sq_profile *p, uint32_t item,
                            rec_err *err) {
    size_t cap = p->cap;
    rec_status s = rec_grow(&p->row, &cap, p->n + 1, sizeof *p->row, err);
    p->cap = cap;
    if (s != REC_OK) return s;
    bool is_explicit = v->cfg.signal.feedback == FEEDBACK_EXPLICIT;
    p->row[p->n++] = (interaction){.item = item,
                                   .weight = 1,
                                   .value = is_explicit ? (float)v->liked_value : 1,
                                   .time = NAN};
    return REC_OK;
}

/* One element of the history: a key, as number or text. */
static rec_status add_history_key(const sq_view *v, const json *j, sq_profile *p,
                                  rec_err *err) {
    char buf[32];
    rec_key key;
    rec_status s = REC_OK;
    cell c = {.type = CELL_NULL};
    if (json_is_null(j)) return REC_OK;
    if (json_is_string(j)) {
        c = (cell){.type = CELL_TEXT, .p = json_text(j)};
        c.nbyte = strlen(c.p);
    } else if (json_is_number(j)) {
        c.type = json_int64(j, &c.i) ? CELL_INT : CELL_REAL;
        if (c.type == CELL_REAL) c.r = json_number(j, 0);
    } else {
        return rec_fail(
            err, REC_RANGE,
            "%s: history must be a JSON array of item keys (numbers or texts)",
            v->name);
    }
    if (!sq_key(&c, v->item_affinity, buf, &key, &s, err)) return s;
    uint32_t item = catalog_find(v->items, &key);
    if (item == KEYS_NONE) return REC_OK;
    bitmap_set(&p->seen, item);
    return add_liked(v, p, item, err);
}

static rec_status add_history(const sq_view *v, sq_profile *p, rec_err *err) {
    if (!p->who.history) return REC_OK;
    rec_err why = {0};
    json *j = json_parse(p->who.history, p->who.n_history, &why);
    if (!j && why.code == REC_NOMEM) return rec_nomem(err);
    if (!j || !json_is_array(j)) {
        json_delete(j);
        return rec_fail(err, REC_RANGE,
                        "%s: history is '%.*s', expected a JSON array of item keys",
                        v->name, (int)(p->who.n_history < 40 ? p->who.n_history : 40),
                        p->who.history);
    }
    rec_status s = REC_OK;
    for (const json *i = json_first(j); i && s == REC_OK; i = json_next(i))
        s = add_history_key(v, i, p, err);
    json_delete(j);
    return s;
}

/* like: the request's like_items in the numbers of this view, KEYS_NONE where it does not have them. */
static rec_status add_like_items(const sq_view *v, sq_profile *p, const uint32_t *like,
                                 rec_err *err) {
    rec_status s = REC_OK;
    size_t n = p->who.request ? p->who.request->n_like : 0;
    for (size_t i = 0; i < n && s == REC_OK; i++)
        if (like[i] < catalog_n_items(v->items)) s = add_liked(v, p, like[i], err);
    return s;
}

/* ---- numbers of the model ------------------------------------------------------------------------- */

static int compare_items(const void *a, const void *b) {
    uint32_t x = ((const interaction *)a)->item, y = ((const interaction *)b)->item;
    return x < y ? -1 : x > y;
}

rec_status sq_profile_for_model(const sq_view *v, const sq_profile *p,
                                interaction **out, size_t *n, rec_err *err) {
    interaction *row = rec_array(p->n, sizeof *row);
    *out = row;
    *n = 0;
    if (!row) return rec_nomem(err);
    size_t kept = 0;
    bool is_sorted = true;
    for (size_t i = 0; i < p->n; i++) {
        uint32_t item = v->model_item[p->row[i].item];
        if (item == KEYS_NONE) continue;
        if (kept && row[kept - 1].item > item) is_sorted = false;
        row[kept] = p->row[i];
        row[kept].user = 0;
        row[kept++].item = item;
    }
    if (!is_sorted) qsort(row, kept, sizeof *row, compare_items);
    *n = kept;
    return REC_OK;
}

/* Has the history changed since training? */
static rec_status compare_with_training(const sq_view *v, sq_profile *p, rec_err *err) {
    p->is_fresh = true;
    uint32_t user =
        p->who.user ? keyset_find(v->trained_users, p->who.user) : KEYS_NONE;
    p->is_known = user != KEYS_NONE;
    if (!p->is_known) return REC_OK;
    interaction *row = NULL;
    size_t n;
    rec_status s = sq_profile_for_model(v, p, &row, &n, err);
    if (s == REC_OK)
        p->is_fresh = n != p->n || interactions_hash(row, n) != v->user_hash[user];
    rec_free(row);
    return s;
}

/* ---- one model ------------------------------------------------------------------------------------------ */

rec_status sq_profile_start(const sq_view *v, const sq_who *who, sq_profile *out,
                            rec_err *err) {
    memset(out, 0, sizeof *out);
    if (who) out->who = *who;
    return bitmap_init(&out->seen, catalog_n_items(v->items), false, err);
}

static rec_status finish(const sq_view *v, sq_profile *p, const uint32_t *like,
                         rec_err *err) {
    rec_status s = add_history(v, p, err);
    if (s == REC_OK) s = add_like_items(v, p, like, err);
    if (s == REC_OK)
        s = sq_wishes_rows(v, p->wishes ? p->wishes : p->who.wishes, p, err);
    if (s != REC_OK) return s;
    p->n = interactions_merge(&v->cfg.signal, p->row, p->n, v->now);
    return v->model ? compare_with_training(v, p, err) : REC_OK;
}

static const uint32_t *likes_of(const sq_who *who) {
    return who && who->request ? who->request->like_items : NULL;
}

rec_status sq_profile_finish(const sq_view *v, sq_profile *p, rec_err *err) {
    return finish(v, p, likes_of(&p->who), err);
}

/* Questions about this many users before the table is read as a whole, if it has no index. */
#define BATCH_AFTER 3

static rec_status read_rows(sq_view *v, sq_profile *p, rec_err *err) {
    if (!p->who.user || !v->cfg.interactions) return REC_OK;
    sq_interactions rows = {0};
    sq_frame frame = {0};
    sq_keys keys = {v->user_affinity, v->item_affinity, v->items};
    rec_status s = sq_enter(v->conn, &frame, v->schema, v->name, err);
    if (s == REC_OK && ++v->n_asked == BATCH_AFTER)
        s = sq_batch_read(v->conn, v->schema, &v->cfg, &keys, &v->batch, err);
    if (s == REC_OK && v->batch)
        s = sq_batch_user(v->batch, p->who.user, &rows, &p->seen, err);
    else if (s == REC_OK)
        s = sq_source_user(v->conn, v->schema, &v->cfg, p->who.user, &keys, &rows,
                           &p->seen, err);
    sq_leave(v->conn, &frame);
    p->row = rows.row; /* taken */
    p->n = rows.n;
    p->cap = rows.cap;
    return s;
}

/* ---- hybrids ------------------------------------------------------------------------------------------------ */

static rec_status read_profile(sq_view *v, const sq_who *who, const uint32_t *like,
                               sq_profile *out, rec_err *err);

/* A member asks in its own terms: its affinity, its numbers for what the request likes. */
static rec_status read_member(sq_view *v, size_t m, sq_profile *p, const uint32_t *like,
                              rec_err *err) {
    sq_view *mv = v->member[m].view;
    sq_who who = p->who;
    char buf[32];
    rec_key key;
    rec_status s = REC_OK;
    size_t n = who.request ? who.request->n_like : 0;
    uint32_t *own = rec_array(n, sizeof *own);
    if (!own) return rec_nomem(err);
    for (size_t i = 0; i < n; i++)
        own[i] = like[i] < catalog_n_items(v->items) ? v->member[m].item[like[i]]
                                                     : KEYS_NONE;
    if (who.user && mv->user_affinity != v->user_affinity) {
        cell c = sq_key_cell(who.user);
        who.user = sq_key(&c, mv->user_affinity, buf, &key, &s, err) ? &key : NULL;
    }
    if (s == REC_OK) s = read_profile(mv, &who, own, &p->member[m], err);
    p->member[m].who.user = NULL; /* may point to buf; scoring does not need it */
    p->member[m].who.wishes = NULL;
    rec_free(own);
    return s;
}

/* The rows of a member, in the numbers of the hybrid. */
static rec_status show_rows(const sq_view *v, size_t m, sq_profile *p, rec_err *err) {
    const sq_profile *from = &p->member[m];
    const catalog *items = v->member[m].view->items;
    rec_status s = rec_grow(&p->row, &p->cap, from->n, sizeof *p->row, err);
    for (size_t i = 0; s == REC_OK && i < from->n; i++) {
        rec_key key = catalog_key(items, from->row[i].item);
        uint32_t item = catalog_find(v->items, &key);
        if (item == KEYS_NONE) continue;
        p->row[p->n] = from->row[i];
        p->row[p->n++].item = item;
    }
    if (s == REC_OK && p->n) qsort(p->row, p->n, sizeof *p->row, compare_items);
    return s;
}

/* What members saw is seen; the rows of the first that has any are shown as the user's. */
static rec_status gather_members(sq_view *v, sq_profile *p, rec_err *err) {
    rec_status s = REC_OK;
    size_t n = catalog_n_items(v->items);
    for (size_t m = 0; m < v->n_member && s == REC_OK; m++) {
        const sq_profile *from = &p->member[m];
        const uint32_t *map = v->member[m].item;
        p->is_known = p->is_known || from->is_known;
        p->is_fresh = p->is_fresh || from->is_fresh;
        for (uint32_t i = 0; i < n; i++)
            if (map[i] != KEYS_NONE && bitmap_has(&from->seen, map[i]))
                bitmap_set(&p->seen, i);
        if (p->n == 0 && from->n) s = show_rows(v, m, p, err);
    }
    return s;
}

static rec_status read_profile(sq_view *v, const sq_who *who, const uint32_t *like,
                               sq_profile *out, rec_err *err) {
    rec_status s = sq_profile_start(v, who, out, err);
    if (s == REC_OK) s = read_rows(v, out, err);
    if (s == REC_OK && !v->n_member) return finish(v, out, like, err);
    out->n = interactions_merge(&v->cfg.signal, out->row, out->n, v->now);
    if (s == REC_OK && !(out->member = rec_zeros(v->n_member, sizeof *out->member)))
        s = rec_nomem(err);
    for (size_t m = 0; m < v->n_member && s == REC_OK; m++) {
        out->n_member = m + 1;
        s = read_member(v, m, out, like, err);
    }
    return s == REC_OK ? gather_members(v, out, err) : s;
}

rec_status sq_profile_read(sq_view *v, const sq_who *who, sq_profile *out,
                           rec_err *err) {
    sq_wishes *wishes;
    sq_who all = who ? *who : (sq_who){0};
    rec_status s = sq_wishes_read(v, all.user, &wishes, err);
    memset(out, 0, sizeof *out);
    all.wishes = wishes;
    if (s == REC_OK) s = read_profile(v, &all, likes_of(who), out, err);
    out->wishes = wishes;
    out->who.wishes = NULL;
    return s;
}

void sq_profile_clear(sq_profile *p) {
    for (size_t m = 0; m < p->n_member; m++) sq_profile_clear(&p->member[m]);
    rec_free(p->member);
    rec_free(p->row);
    sq_wishes_free(p->wishes);
    bitmap_clear(&p->seen);
    memset(p, 0, sizeof *p);
}
