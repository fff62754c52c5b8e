/* sq_block.c - the best items of many users at once.
 *
 *   users with their profiles and what they may be shown (read on the connection's thread)
 *        |  sq_ask, on all cores
 *        +-- the model knows them, and has `best`  -->  one sweep over the items for all of them
 *        +-- the model has an index (many items)   -->  its candidates, scored by the model, a user at a time
 *        +-- a hybrid with found weights           -->  lists of its members (sq_gate.c), blended a user at a time
 *        +-- else (fallback, hybrid, other models) -->  sq_score and sq_rank, a user at a time on each core
 *        |
 *      sorted lists: the same rows, scores and sources as one question after the other would give
 *
 * Threads see profiles, bitmaps and the view, all of it memory of ours; tables are read before and after.
 *
 *   numbers of the catalogue          numbers of the model
 *   allowed  1 1 0 1 1 ..    --->     1 0 1 1 ..         the same bitmap where nothing came or went since training
 *   items without a row       \-->    pushed into the list at once, with the score that all of them share
 *
 * I1. found holds the same entries as sq_rank would rank: (-score, place in tie_item).
 * I2. A user's list depends on that user alone, whatever the block and the number of threads.
 *
 * Memory: a profile, two or three bitmaps and k entries a user, and the scores of one user a thread.
 */
#include "sq_gate.h"
#include "sq_preferences.h"

#include <math.h>

#define SCORE_GRAIN 1 /* users of a piece: each costs a pass over the items */
#define ASK_GRAIN   8

/* ---- users ----------------------------------------------------------------------------------------------- */

static void user_clear(sq_block_user *u) {
    rec_free(u->text);
    rec_free(u->source);
    sq_profile_clear(&u->profile);
    bitmap_clear(&u->allowed);
    topk_clear(&u->found);
    memset(u, 0, sizeof *u);
}

void sq_block_empty(sq_block *b) {
    for (size_t i = 0; i < b->n; i++) user_clear(&b->user[i]);
    b->n = 0;
}

void sq_block_clear(sq_block *b) {
    sq_block_empty(b);
    rec_free(b->user);
    memset(b, 0, sizeof *b);
}

rec_status sq_block_add(sq_block *b, const rec_key *key, sq_block_user **out,
                        rec_err *err) {
    rec_status s = rec_grow(&b->user, &b->cap, b->n + 1, sizeof *b->user, err);
    if (s != REC_OK) return s;
    sq_block_user *u = *out = &b->user[b->n];
    memset(u, 0, sizeof *u);
    u->key = *key;
    if (key->is_text && !(u->text = rec_strndup(key->text, key->n_text)))
        return rec_nomem(err);
    if (key->is_text) u->key.text = u->text;
    b->n++;
    return REC_OK;
}

/* ---- numbers of the model ---------------------------------------------------------------------------------- */

/* Longer lists are not worth a search. */
#define NEAR_MAX_ROWS 512
/* Candidates of a list of k: the index is nearly right, not exactly. */
#define NEAR_PER_ROW  4
#define NEAR_MIN_FIND 256

bool sq_block_has_index(const sq_view *v, int64_t k) {
    return v->near && k >= 0 && k <= NEAR_MAX_ROWS &&
           near_n(v->near) > NEAR_PER_ROW * NEAR_MAX_ROWS;
}

static size_t n_candidates(size_t k) {
    return k * NEAR_PER_ROW > NEAR_MIN_FIND ? k * NEAR_PER_ROW : NEAR_MIN_FIND;
}

static bool has_sweep(const sq_view *v) {
    return v->n_member == 0 && v->model && v->model->ops->best;
}

static bool uses_near(const sq_block *b) {
    return !b->is_exact && sq_block_has_index(b->view, (int64_t)b->k);
}

/* Numbers of the model against those of the catalogue, made once for a view. */
struct sq_map {
    uint32_t *place; /* [items of the model] owned: place of the item in tie_item */
    uint32_t *cold;  /* [n_cold] owned: places of items of which the model has no row */
    size_t n_cold;
    uint32_t *tie_place; /* [items of the catalogue] owned: place in tie_item */
    bool is_same;        /* the numbers are the same */
};

void sq_map_free(struct sq_map *m) {
    if (!m) return;
    rec_free(m->place);
    rec_free(m->cold);
    rec_free(m->tie_place);
    rec_free(m);
}

static void fill_map(struct sq_map *map, const sq_view *v, size_t n_model) {
    size_t n = catalog_n_items(v->items);
    map->is_same = n == n_model;
    for (size_t i = 0; i < n_model; i++)
        map->place[i] = (uint32_t)(n + i); /* deleted */
    for (uint32_t at = 0; at < n; at++) {
        uint32_t item = v->tie_item[at];
        uint32_t m = v->model ? v->model_item[item] : KEYS_NONE;
        map->tie_place[item] = at;
        if (m != item) map->is_same = false;
        if (m < n_model)
            map->place[m] = at;
        else
            map->cold[map->n_cold++] = at;
    }
}

static rec_status make_map(sq_view *v, rec_err *err) {
    size_t n = catalog_n_items(v->items);
    size_t n_model = v->model ? v->model->ops->n_items(v->model) : 0; /* hybrid */
    struct sq_map *map = rec_zeros(1, sizeof *map);
    if (!map) return rec_nomem(err);
    map->place = rec_array(n_model, sizeof *map->place);
    map->cold = rec_array(n, sizeof *map->cold);
    map->tie_place = rec_array(n, sizeof *map->tie_place);
    if (!map->place || !map->cold || !map->tie_place) {
        sq_map_free(map);
        return rec_nomem(err);
    }
    fill_map(map, v, n_model);
    v->map = map;
    return REC_OK;
}

rec_status sq_block_init(sq_block *b, sq_view *v, size_t k, rec_err *err) {
    size_t n = catalog_n_items(v->items);
    *b = (sq_block){.view = v, .k = k < n ? k : n};
    rec_status s = sq_view_require_trained(v, err);
    if (s == REC_OK && !v->map) s = make_map(v, err);
    b->map = v->map;
    return s;
}

/* ---- what every user asks ----------------------------------------------------------------------------------- */

typedef struct ask_one { /* beside each user of the block */
    sq_asked asked;      /* owned */
    bitmap
        model; /* owned: allowed, in numbers of the model; empty if they are the same */
    bool is_known; /* the list comes from a sweep or the index */
    bool is_gated; /* ... from lists of the members */
} ask_one;

typedef struct work {
    sq_block *b;
    ask_one *ask; /* [n] owned */
    /* the users that the sweep is for: [n_sweep] each, owned */
    size_t n_sweep, *who;
    model_query *query;
    bitmap *allowed; /* structs only: the bits belong to others */
    topk *found;
    gate_list *list; /* [n][members of a gated hybrid] owned */
} work;

/* From a bitmap over the catalogue to one over the model, bit by bit of whichever kind is rarer. */
static rec_status map_allowed(const sq_view *v, const bitmap *from, bitmap *to,
                              rec_err *err) {
    size_t n_model = v->model->ops->n_items(v->model), n_set = bitmap_count(from);
    bool is_most = n_set > from->n_bit / 2;
    rec_status s = bitmap_init(to, n_model, is_most, err);
    if (s != REC_OK) return s;
    for (size_t i = 0; is_most && i < n_model; i++)
        if (v->catalog_item[i] == KEYS_NONE) bitmap_unset(to, i);
    for (size_t w = 0; w < (from->n_bit + 63) / 64; w++) {
        uint64_t word = is_most ? ~from->word[w] : from->word[w];
        for (size_t i = w * 64; word && i < from->n_bit; i++, word >>= 1) {
            uint32_t m = word & 1 ? v->model_item[i] : KEYS_NONE;
            if (m >= n_model) continue;
            if (is_most)
                bitmap_unset(to, m);
            else
                bitmap_set(to, m);
        }
    }
    return REC_OK;
}

/* Items without a row share one score; they stand in `cold` in the order of ties. */
static void push_cold(const sq_block *b, const model_query *q, sq_block_user *u) {
    const rec_model *m = b->view->model;
    if (!b->map->n_cold) return;
    float score = m->ops->cold_score ? m->ops->cold_score(m, q) : 0;
    if (!isfinite(score)) score = 0;
    for (size_t i = 0, n = 0; i < b->map->n_cold && n < b->k; i++) {
        uint32_t place = b->map->cold[i];
        if (!bitmap_has(&u->allowed, b->view->tie_item[place])) continue;
        topk_push(&u->found, -score, place);
        n++;
    }
}

/* Candidates of the index, with the scores of the model. */
static rec_status push_near(const sq_block *b, const ask_one *a, sq_block_user *u,
                            rec_err *err) {
    const rec_model *m = b->view->model;
    vec_metric metric;
    size_t n = 0, want = n_candidates(b->k);
    float *x = rec_array(m->ops->vectors(m, &metric)->dim, sizeof *x);
    uint32_t *item = rec_array(want, sizeof *item);
    float *score = rec_array(want, sizeof *score);
    near_query q = {.direction = x,
                    .allowed = b->map->is_same ? &u->allowed : &a->model,
                    .n = want};
    rec_status s = x && item && score ? REC_OK : rec_nomem(err);
    if (s == REC_OK) s = m->ops->direction(m, &a->asked.q, x, err);
    if (s == REC_OK) s = near_find(b->view->near, &q, item, &n, err);
    if (s == REC_OK) s = m->ops->score(m, &a->asked.q, item, n, score, err);
    for (size_t i = 0; s == REC_OK && i < n; i++)
        if (isfinite(score[i])) topk_push(&u->found, -score[i], b->map->place[item[i]]);
    rec_free(x);
    rec_free(item);
    rec_free(score);
    return s;
}

static rec_status ask_users(void *ctx, size_t begin, size_t end, int worker,
                            rec_err *err) {
    const work *w = ctx;
    const sq_view *v = w->b->view;
    rec_status s = REC_OK;
    (void)worker;
    for (size_t i = begin; i < end && s == REC_OK; i++) {
        sq_block_user *u = &w->b->user[i];
        ask_one *a = &w->ask[i];
        s = topk_init(&u->found, w->b->k, err);
        if (s != REC_OK || !(has_sweep(v) || uses_near(w->b))) continue;
        if (sq_wishes_bend(u->profile.wishes)) continue; /* asked alone */
        s = sq_ask(v, &u->profile, &a->asked, err);
        if (s != REC_OK) break;
        a->is_known = v->model->ops->knows(v->model, &a->asked.q);
        if (!a->is_known) continue;
        if (!w->b->map->is_same) s = map_allowed(v, &u->allowed, &a->model, err);
        if (s == REC_OK) push_cold(w->b, &a->asked.q, u);
        if (s == REC_OK && uses_near(w->b)) s = push_near(w->b, a, u, err);
    }
    return s;
}

/* ---- the sweep ------------------------------------------------------------------------------------------------ */

static rec_status sweep(work *w, rec_run *run, rec_err *err) {
    const sq_view *v = w->b->view;
    size_t n = w->b->n;
    w->who = rec_array(n, sizeof *w->who);
    w->query = rec_array(n, sizeof *w->query);
    w->allowed = rec_array(n, sizeof *w->allowed);
    w->found = rec_array(n, sizeof *w->found);
    if (!w->who || !w->query || !w->allowed || !w->found) return rec_nomem(err);
    for (size_t i = 0; i < n; i++) {
        if (!w->ask[i].is_known) continue;
        sq_block_user *u = &w->b->user[i];
        w->who[w->n_sweep] = i;
        w->query[w->n_sweep] = w->ask[i].asked.q;
        w->allowed[w->n_sweep] = w->b->map->is_same ? u->allowed : w->ask[i].model;
        w->found[w->n_sweep++] = u->found;
    }
    model_best best = {w->query, w->allowed, w->b->map->place, w->found, w->n_sweep};
    rec_status s = w->n_sweep ? v->model->ops->best(v->model, &best, run, err) : REC_OK;
    for (size_t j = 0; j < w->n_sweep; j++) w->b->user[w->who[j]].found = w->found[j];
    return s;
}

static rec_status name_swept(const work *w, sq_block_user *u, rec_err *err) {
    const sq_view *v = w->b->view;
    size_t n_model = v->model->ops->n_items(v->model);
    topk_sort(&u->found);
    u->source = rec_array(u->found.n, sizeof *u->source);
    if (!u->source) return rec_nomem(err);
    for (size_t r = 0; r < u->found.n; r++) {
        bool has_row = v->model_item[v->tie_item[u->found.a[r].id]] < n_model;
        u->source[r] =
            (uint8_t)(has_row ? sq_model_source(v, &u->profile) : SOURCE_POPULARITY);
    }
    return REC_OK;
}

/* ---- hybrids with found weights ------------------------------------------------------------------------------ */

/* As describe() of sq_score.c: the strongest statement of a member that knows the item. */
static uint8_t gated_source(const sq_block_user *u, const sq_view *v,
                            const gate_list *list, uint32_t item) {
    uint8_t best = SOURCE_POPULARITY;
    for (size_t m = 0; m < v->n_member; m++) {
        if (!list[m].n || !sq_gate_knows(v, m, item)) continue;
        uint8_t own =
            (uint8_t)sq_model_source(v->member[m].view, &u->profile.member[m]);
        if (own < best) best = own;
    }
    return best;
}

/* Rules may leave fewer candidates than rows: then the user is asked alone. */
static rec_status blend_user(const work *w, size_t i, rec_err *err) {
    sq_view *v = w->b->view;
    sq_block_user *u = &w->b->user[i];
    const gate_list *list = w->list + i * v->n_member;
    double prior[HYBRID_MAX_MEMBERS];
    gate_ask ask;
    gate_found found;
    sq_gate_ask(v, &u->profile, list, prior, false, &ask);
    gate_prepare(&ask);
    rec_status s = gate_blend(v->gate, &ask, &found, err);
    for (size_t c = 0; s == REC_OK && c < found.n; c++)
        if (bitmap_has(&u->allowed, found.item[c]))
            topk_push(&u->found, -found.score[c], w->b->map->tie_place[found.item[c]]);
    gate_found_clear(&found);
    w->ask[i].is_gated = s == REC_OK && u->found.n == w->b->k;
    if (!w->ask[i].is_gated) {
        u->found.n = 0;
        return s;
    }
    topk_sort(&u->found);
    u->source = rec_array(u->found.n, sizeof *u->source);
    if (!u->source) return rec_nomem(err);
    for (size_t r = 0; r < u->found.n; r++)
        u->source[r] = gated_source(u, v, list, v->tie_item[u->found.a[r].id]);
    return REC_OK;
}

static bool is_plain(const sq_block *b) {
    const sq_view *v = b->view;
    for (size_t m = 0; m < v->n_member; m++)
        if (!v->member[m].view->model) return false; /* a hybrid: its sources differ */
    for (size_t i = 0; i < b->n; i++) {
        const sq_who *who = &b->user[i].profile.who;
        if (who->query || who->request) return false;
    }
    return sq_gate_has_blocks(v, b->k);
}

static rec_status list_members(work *w, rec_run *run, rec_err *err) {
    size_t width = w->b->view->n_member;
    if (!is_plain(w->b)) return REC_OK;
    w->list = rec_zeros(w->b->n, width * sizeof *w->list);
    if (!w->list) return rec_nomem(err);
    return sq_gate_lists(w->b->view, w->b->user, w->b->n, w->list, run, err);
}

/* ---- user by user ----------------------------------------------------------------------------------------------- */

static rec_status score_user(const work *w, sq_block_user *u, rec_err *err) {
    sq_view *v = w->b->view;
    sq_scores scores;
    rec_status s = sq_score(v, &u->profile, NULL, &scores, err);
    if (s != REC_OK) return s;
    const uint32_t *place = w->b->map->tie_place;
    float bound = topk_bound(&u->found);
    for (uint32_t item = 0; item < scores.n; item++) {
        float value = -scores.score[item];
        if (value > bound || !bitmap_has(&u->allowed, item) || !isfinite(value))
            continue;
        topk_push(&u->found, value, place[item]);
        bound = topk_bound(&u->found);
    }
    topk_sort(&u->found);
    u->source = rec_array(u->found.n, sizeof *u->source);
    for (size_t r = 0; u->source && r < u->found.n; r++)
        u->source[r] = scores.source[v->tie_item[u->found.a[r].id]];
    sq_scores_clear(&scores);
    return u->source ? REC_OK : rec_nomem(err);
}

static rec_status finish_users(void *ctx, size_t begin, size_t end, int worker,
                               rec_err *err) {
    const work *w = ctx;
    rec_status s = REC_OK;
    (void)worker;
    for (size_t i = begin; i < end && s == REC_OK; i++) {
        if (w->list && !sq_wishes_bend(w->b->user[i].profile.wishes))
            s = blend_user(w, i, err);
        if (s == REC_OK && !w->ask[i].is_gated)
            s = w->ask[i].is_known ? name_swept(w, &w->b->user[i], err)
                                   : score_user(w, &w->b->user[i], err);
    }
    return s;
}

rec_status sq_block_score(sq_block *b, rec_run *run, rec_err *err) {
    work w = {.b = b, .ask = rec_zeros(b->n, sizeof *w.ask)};
    rec_status s = w.ask ? REC_OK : rec_nomem(err);
    if (sq_view_asks(b->view)) run = NULL; /* K2 of sq_embed.c: on this thread alone */
    if (s == REC_OK) s = threads_for(run, b->n, ASK_GRAIN, ask_users, &w, err);
    if (s == REC_OK && has_sweep(b->view) && !uses_near(b)) s = sweep(&w, run, err);
    if (s == REC_OK) s = list_members(&w, run, err);
    if (s == REC_OK) s = threads_for(run, b->n, SCORE_GRAIN, finish_users, &w, err);
    if (w.list) sq_gate_free(w.list, b->n * b->view->n_member);
    rec_free(w.list);
    for (size_t i = 0; w.ask && i < b->n; i++) {
        sq_asked_clear(&w.ask[i].asked);
        bitmap_clear(&w.ask[i].model);
    }
    rec_free(w.ask);
    rec_free(w.who);
    rec_free(w.query);
    rec_free(w.allowed);
    rec_free(w.found);
    return s;
}

rec_status sq_block_similar(sq_view *v, uint32_t item, const bitmap *allowed, size_t k,
                            topk *out, rec_err *err) {
    sq_block b;
    bitmap mapped = {0};
    vec_metric metric;
    const mat *rows = v->model->ops->vectors(v->model, &metric);
    size_t n = 0, want = n_candidates(k);
    uint32_t *found = rec_array(want, sizeof *found), m = v->model_item[item];
    rec_status s = found ? sq_block_init(&b, v, k, err) : rec_nomem(err);
    if (s != REC_OK) {
        rec_free(found);
        return s;
    }
    s = map_allowed(v, allowed, &mapped, err);
    near_query q = {.direction = m < rows->n_rows ? mat_row(rows, m) : NULL,
                    .allowed = &mapped,
                    .n = want};
    if (s == REC_OK && q.direction)
        s = near_find(v->alike ? v->alike : v->near, &q, found, &n, err);
    for (size_t i = 0; s == REC_OK && i < n; i++) {
        const float *row = mat_row(rows, found[i]);
        float x = vectors_cosine(
            (double)vec_kernels()->dot(row, q.direction, rows->dim),
            (double)vec_norm(q.direction, rows->dim), (double)vec_norm(row, rows->dim));
        topk_push(out, -x, b.map->place[found[i]]);
    }
    sq_block_clear(&b);
    bitmap_clear(&mapped);
    rec_free(found);
    return s;
}
