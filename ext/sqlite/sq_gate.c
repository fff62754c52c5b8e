/* sq_gate.c - hybrids whose weights training has found: the lists of their members, one user or many at a time.
 *
 *   users of a block --.        member 0: sq_block_score, 60 best each   --.
 *   (profiles read)    +------> member 1: ..                              --+--> gate_blend, user by user
 *                      '------> member 2: ..                              --'
 *
 * Candidates are what the user has not had. Rules that hide items (eligible=, filters, ..) come afterwards: they never
 * change a score. A member that falls back to popularity has nothing to say, unless popularity is what it is.
 *
 * Invariants
 *   I1  the lists of a block are those that sq_score.c would make of one user alone: same items, scores, order;
 *   I2  profiles are borrowed: the blocks of members never free them.
 *
 * Cost: a batch of each member (sq_block.c), 8 bytes a candidate.
 */
#include "sq_gate.h"

#include <math.h>

#define LIST_GRAIN     8
#define SECONDS_OF_DAY 86400.0

bool sq_gate_is_fitted(const sq_model_cfg *cfg) {
    const char *text = cfg->ops == &hybrid_ops ? opt_text(&cfg->options, "gate") : NULL;
    return text && !strchr(text, '(');
}

void sq_gate_items_clear(sq_gate_items *i) {
    keyset_free(i->keys);
    rec_free(i->popular);
    rec_free(i->first);
    memset(i, 0, sizeof *i);
}

/* ---- the stored form -------------------------------------------------------------------------------------- */

void sq_gate_write(const sq_model_cfg *cfg, const hybrid_gate *g,
                   const sq_gate_items *items, bytes_writer *w) {
    gate_write(g, w);
    for (size_t m = 0; m < cfg->n_member; m++)
        bytes_put_str(w, cfg->member[m].label, strlen(cfg->member[m].label));
    if (!g->is_learned) return;
    size_t n = keyset_count(items->keys);
    keyset_write(items->keys, w);
    bytes_put_f64(w, items->now);
    bytes_put_f32s(w, items->popular, n);
    for (size_t i = 0; i < n; i++) bytes_put_f64(w, items->first[i]);
}

static rec_status read_items(bytes_reader *r, sq_gate_items *out, rec_err *err) {
    rec_status s = keyset_read(r, &out->keys, err);
    if (s != REC_OK) return s;
    size_t n = keyset_count(out->keys);
    out->now = bytes_get_f64(r);
    out->popular = rec_array(n, sizeof *out->popular);
    out->first = rec_array(n, sizeof *out->first);
    if (!out->popular || !out->first) return rec_nomem(err);
    bytes_get_f32s(r, out->popular, n);
    for (size_t i = 0; i < n; i++) {
        out->first[i] = bytes_get_f64(r);
        if (!(out->popular[i] >= 0) || !isfinite(out->popular[i]))
            return rec_corrupt(err, "gate: users of item %zu", i);
    }
    return REC_OK;
}

static rec_status read_gate(const sq_view *v, bytes_reader *r, sq_stored_gate *out,
                            rec_err *err) {
    const sq_model_cfg *cfg = &v->cfg;
    const hybrid_gate *g = &out->gate;
    const char *kind = opt_text(&cfg->options, "gate");
    rec_status s = gate_read(r, &out->gate, err);
    if (s != REC_OK) return s;
    bool fits =
        g->n_member == cfg->n_member && g->is_learned == (strcmp(kind, "learned") == 0);
    for (size_t m = 0; m < g->n_member; m++) {
        size_t n_label = 0;
        const char *label = bytes_get_str(r, &n_label);
        if (!label) return rec_corrupt(err, "%s: part 'gate' is cut short", v->name);
        fits = fits && n_label == strlen(cfg->member[m].label) &&
               memcmp(label, cfg->member[m].label, n_label) == 0;
    }
    if (g->is_learned) s = read_items(r, &out->items, err);
    if (s == REC_OK && (r->status != REC_OK || r->at != r->n))
        s = rec_corrupt(err, "%s: part 'gate' has %zu bytes, its items say %zu",
                        v->name, r->n, r->at);
    out->fits = fits && s == REC_OK;
    return s;
}

/* A hybrid that was trained with another kind of gate or other members has to be trained again. */
rec_status sq_gate_load(const sq_view *v, sq_stored_gate *out, rec_err *err) {
    uint8_t *data = NULL;
    bytes_reader r = {0};
    rec_status s =
        sq_part_read(v->conn->db, v->schema, v->name, "gate", &data, &r.n, err);
    r.data = data;
    if (s == REC_OK && data) s = read_gate(v, &r, out, err);
    rec_free(data);
    return s;
}

/* ---- what the gate looks at ------------------------------------------------------------------------------ */

static rec_status fill_features(sq_view *v, const sq_gate_items *items, rec_err *err) {
    size_t n = catalog_n_items(v->items);
    rec_free(v->gate_popular);
    rec_free(v->gate_age);
    v->gate_popular = rec_zeros(n, sizeof *v->gate_popular);
    v->gate_age = rec_zeros(n, sizeof *v->gate_age);
    if (!v->gate_popular || !v->gate_age) return rec_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        rec_key key = catalog_key(v->items, i);
        uint32_t at = keyset_find(items->keys, &key);
        if (at == KEYS_NONE) continue; /* nobody had it: new */
        v->gate_popular[i] = items->popular[at];
        double days = (items->now - items->first[at]) / SECONDS_OF_DAY;
        v->gate_age[i] = isfinite(days) && days > 0 ? (float)days : 0;
    }
    return REC_OK;
}

rec_status sq_gate_use(sq_view *v, const hybrid_gate *g, const sq_gate_items *items,
                       rec_err *err) {
    double w[HYBRID_MAX_MEMBERS];
    v->gate = g;
    for (size_t m = 0; m < v->n_member; m++) w[m] = g->bias[m];
    gate_softmax(v->n_member, w);
    for (size_t m = 0; m < v->n_member; m++) v->member[m].weight = w[m];
    return items->keys ? fill_features(v, items, err) : REC_OK;
}

bool sq_gate_knows(const void *view, size_t m, uint32_t item) {
    const sq_view *v = view, *mv = v->member[m].view;
    uint32_t j = v->member[m].item[item];
    if (j == KEYS_NONE) return false;
    return !mv->model || mv->cfg.ops == &popularity_ops ||
           mv->model_item[j] < mv->model->ops->n_items(mv->model);
}

void sq_gate_ask(const sq_view *v, const sq_profile *p, const gate_list *list,
                 double prior[HYBRID_MAX_MEMBERS], bool has_request, gate_ask *out) {
    size_t n = p->n;
    for (size_t m = 0; m < p->n_member; m++)
        if (p->member[m].n > n) n = p->member[m].n;
    for (size_t m = 0; m < v->n_member; m++)
        prior[m] = has_request && !v->member[m].is_content ? SQ_QUERY_CF_SHARE : 1;
    *out = (gate_ask){.list = list,
                      .n_member = v->n_member,
                      .history = (double)n,
                      .has_query = has_request,
                      .prior = has_request ? prior : NULL,
                      .popular = v->gate_popular,
                      .age = v->gate_age,
                      .knows = sq_gate_knows,
                      .ctx = v};
}

/* ---- lists ------------------------------------------------------------------------------------------------- */

bool sq_gate_has_blocks(const sq_view *v, size_t k) {
    return v->gate && v->n_member && k <= GATE_LIST;
}

void sq_gate_free(gate_list *list, size_t n) {
    for (size_t i = 0; list && i < n; i++) {
        rec_free(list[i].item);
        rec_free(list[i].score);
    }
}

typedef struct member_job {
    const sq_view *v, *mv;
    size_t m;
    const sq_block_user *user;
    sq_block block;
    bitmap all;    /* owned: items of the member that it knows and the hybrid has */
    uint32_t *own; /* owned: [items of the member] their numbers in the hybrid */
    gate_list *list;
    bool with_seen;
} member_job;

static rec_status map_member(member_job *j, rec_err *err) {
    size_t n = catalog_n_items(j->v->items), n_own = catalog_n_items(j->mv->items);
    const uint32_t *map = j->v->member[j->m].item;
    j->own = rec_array(n_own, sizeof *j->own);
    rec_status s = j->own ? bitmap_init(&j->all, n_own, false, err) : rec_nomem(err);
    for (size_t i = 0; s == REC_OK && i < n_own; i++) j->own[i] = KEYS_NONE;
    for (uint32_t i = 0; s == REC_OK && i < n; i++) {
        if (map[i] == KEYS_NONE) continue;
        j->own[map[i]] = i;
        if (sq_gate_knows(j->v, j->m, i)) bitmap_set(&j->all, map[i]);
    }
    return s;
}

/* What the user has not had, or (with_seen) everything. */
static rec_status allow(const member_job *j, const bitmap *seen, bitmap *out,
                        rec_err *err) {
    const uint32_t *map = j->v->member[j->m].item;
    rec_status s = bitmap_init(out, j->all.n_bit, false, err);
    if (s != REC_OK) return s;
    size_t n_word = (j->all.n_bit + 63) / 64;
    if (n_word) memcpy(out->word, j->all.word, n_word * sizeof *out->word);
    for (size_t w = 0; !j->with_seen && w < (seen->n_bit + 63) / 64; w++) {
        uint64_t word = seen->word[w];
        for (size_t i = w * 64; word; i++, word >>= 1)
            if ((word & 1) && map[i] != KEYS_NONE) bitmap_unset(out, map[i]);
    }
    return REC_OK;
}

static rec_status prepare_users(void *ctx, size_t begin, size_t end, int worker,
                                rec_err *err) {
    member_job *j = ctx;
    rec_status s = REC_OK;
    (void)worker;
    for (size_t i = begin; i < end && s == REC_OK; i++)
        s = allow(j, &j->user[i].profile.seen, &j->block.user[i].allowed, err);
    return s;
}

/* Entries of the block as items of the hybrid: first what is new to the user, then what is not. */
static rec_status take_list(const member_job *j, const sq_block_user *u,
                            const bitmap *seen, gate_list *l, rec_err *err) {
    bool is_popular = j->mv->cfg.ops == &popularity_ops;
    l->item = rec_array(u->found.n, sizeof *l->item);
    l->score = rec_array(u->found.n, sizeof *l->score);
    if (!l->item || !l->score) return rec_nomem(err);
    for (int had = 0; had < 2; had++)
        for (size_t r = 0; r < u->found.n; r++) {
            uint32_t item = j->own[j->mv->tie_item[u->found.a[r].id]];
            float score = -u->found.a[r].value;
            if (u->source[r] == SOURCE_POPULARITY && !is_popular) continue;
            if (bitmap_has(seen, item) != (had == 1)) continue;
            if (!had && l->n == GATE_LIST) break;
            if (had && (!l->n || score < l->score[l->n - 1])) break;
            l->item[l->n + l->n_had] = item;
            l->score[l->n + l->n_had] = score;
            if (had)
                l->n_had++;
            else
                l->n++;
        }
    return REC_OK;
}

static rec_status take_lists(void *ctx, size_t begin, size_t end, int worker,
                             rec_err *err) {
    member_job *j = ctx;
    rec_status s = REC_OK;
    (void)worker;
    for (size_t i = begin; i < end && s == REC_OK; i++)
        s = take_list(j, &j->block.user[i], &j->user[i].profile.seen,
                      &j->list[i * j->v->n_member + j->m], err);
    return s;
}

static size_t most_seen(const member_job *j, size_t n) {
    size_t most = 0;
    for (size_t i = 0; i < n; i++) {
        size_t seen = bitmap_count(&j->user[i].profile.seen);
        if (seen > most) most = seen;
    }
    return most;
}

static rec_status list_member(member_job *j, size_t n, rec_run *run, rec_err *err) {
    rec_status s = map_member(j, err);
    size_t k = GATE_LIST + (j->with_seen ? most_seen(j, n) : 0);
    if (s == REC_OK) s = sq_block_init(&j->block, j->v->member[j->m].view, k, err);
    j->block.is_exact = true;
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        sq_block_user *u;
        s = sq_block_add(&j->block, &j->user[i].key, &u, err);
        if (s == REC_OK) u->profile = j->user[i].profile.member[j->m];
    }
    if (s == REC_OK) s = threads_for(run, n, LIST_GRAIN, prepare_users, j, err);
    if (s == REC_OK) s = sq_block_score(&j->block, run, err);
    if (s == REC_OK) s = threads_for(run, n, LIST_GRAIN, take_lists, j, err);
    for (size_t i = 0; i < j->block.n; i++) /* I2 */
        memset(&j->block.user[i].profile, 0, sizeof j->block.user[i].profile);
    sq_block_clear(&j->block);
    bitmap_clear(&j->all);
    rec_free(j->own);
    return s;
}

static bool wants_seen(const sq_block_user *u) {
    for (size_t w = 0; w < (u->allowed.n_bit + 63) / 64; w++)
        if (u->allowed.word[w] & u->profile.seen.word[w]) return true;
    return false;
}

rec_status sq_gate_lists(sq_view *v, const sq_block_user *user, size_t n,
                         gate_list *list, rec_run *run, rec_err *err) {
    rec_status s = REC_OK;
    bool with_seen = false;
    for (size_t i = 0; i < n; i++) with_seen = with_seen || wants_seen(&user[i]);
    for (size_t m = 0; m < v->n_member && s == REC_OK; m++) {
        member_job j = {.v = v,
                        .mv = v->member[m].view,
                        .m = m,
                        .user = user,
                        .list = list,
                        .with_seen = with_seen};
        s = list_member(&j, n, run, err);
    }
    return s;
}
