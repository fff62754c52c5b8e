/* sq_model.c - a trained model joined with the catalogue as it is now.
 *
 *   <name>_data --load--> sq_loaded (model, popularity, keys of items and users)      changes with a training
 *   items table --read--> catalogue                                                   changes with any write
 *                           |
 *        catalogue number --model_item--> model number     KEYS_NONE: younger than the training
 *        catalogue number <-catalog_item- model number     KEYS_NONE: deleted since
 *
 * A view is built when a statement needs it, kept by the connection and used again as long as the generation of
 * the model and the token of the data (sq_registry.c) are the ones it was built at. What was loaded is shared by
 * the views of one generation: a write to the items costs a read of the items, not of the model. The catalogue is
 * shared too while a hash over its table is the same (sq_source_print): a new rating costs one pass over the items.
 *
 * A hybrid has no model: it holds views of its members, each with a map from its own catalogue. Its catalogue is
 * that of its items=, else that of the member which knows most of its items (facets first), else all that any
 * member has.
 *
 * I1. A view never changes once it is built (but for the batch of histories that it may come to hold); whoever
 *     uses it holds a reference.
 * I2. model_item and catalog_item are inverse to each other where both are defined.
 * I3. Items that came after training get numbers from the model itself (extend) where it can; such a model is
 *     shared only with views of the very same items and texts.
 * I4. What <name>_data says is checked against itself before use: counts agree, names are those of CREATE.
 */
#include "../rec.h"
#include "sq_gate.h"

#include <math.h>

#define VIEW_MAX_DEPTH 16 /* hybrids of hybrids */
#define VIEW_MAX_TRIES 8

struct sq_loaded {
    int n_ref;
    sq_generation generation;
    rec_model *model, *popularity;
    item_graph *near, *alike;
    keyset *items, *users;
    uint64_t *user_hash;
    uint32_t n_trained; /* model items before extend */
    double now, liked_value, trained_at;
    int64_t trained_rows;
    bool is_extended;
    sq_stored_gate gate; /* of a hybrid */
};

/* ---- what is stored ------------------------------------------------------------------------------- */

static void loaded_unref(sq_loaded *l) {
    if (!l || --l->n_ref > 0) return;
    if (l->model) l->model->ops->close(l->model);
    if (l->popularity) l->popularity->ops->close(l->popularity);
    near_free(l->near);
    near_free(l->alike);
    keyset_free(l->items);
    keyset_free(l->users);
    rec_free(l->user_hash);
    sq_gate_items_clear(&l->gate.items);
    rec_free(l);
}

typedef struct part {
    uint8_t *data; /* owned */
    bytes_reader r;
} part;

static rec_status open_part(const sq_view *v, const char *name, part *p, rec_err *err) {
    size_t n;
    memset(p, 0, sizeof *p);
    rec_status s =
        sq_part_read(v->conn->db, v->schema, v->name, name, &p->data, &n, err);
    if (s == REC_OK && !p->data)
        s = rec_corrupt(err, "%s: part '%s' of %s_data is missing", v->name, name,
                        v->name);
    p->r = (bytes_reader){.data = p->data, .n = n};
    return s;
}

/* The bytes must belong to the algorithm that CREATE names. */
static rec_status load_model(const sq_view *v, const char *name,
                             const rec_model_ops *ops, rec_model **out, rec_err *err) {
    part p;
    size_t n = 0;
    rec_status s = open_part(v, name, &p, err);
    if (s == REC_OK) {
        const char *algorithm = bytes_get_str(&p.r, &n);
        if (!algorithm || n != strlen(ops->name) ||
            memcmp(algorithm, ops->name, n) != 0)
            s = rec_corrupt(err, "%s: part '%s' holds no %s model", v->name, name,
                            ops->name);
    }
    if (s == REC_OK) s = ops->load(&p.r, out, err);
    rec_free(p.data);
    return s;
}

static rec_status load_users(const sq_view *v, sq_loaded *l, rec_err *err) {
    part p;
    rec_status s = open_part(v, "users", &p, err);
    if (s == REC_OK) s = keyset_read(&p.r, &l->users, err);
    size_t n = s == REC_OK ? keyset_count(l->users) : 0;
    if (s == REC_OK && p.r.n - p.r.at != n * 8)
        s = rec_corrupt(err, "%s: part 'users' has %zu bytes after %zu keys", v->name,
                        p.r.n - p.r.at, n);
    if (s == REC_OK && !(l->user_hash = rec_array(n, sizeof *l->user_hash)))
        s = rec_nomem(err);
    for (size_t i = 0; s == REC_OK && i < n; i++) l->user_hash[i] = bytes_get_u64(&p.r);
    rec_free(p.data);
    return s;
}

static rec_status load_items(const sq_view *v, sq_loaded *l, rec_err *err) {
    part p;
    rec_status s = open_part(v, "items", &p, err);
    if (s == REC_OK) s = keyset_read(&p.r, &l->items, err);
    rec_free(p.data);
    if (s != REC_OK) return s;
    l->n_trained = (uint32_t)keyset_count(l->items);
    if (l->model->ops->n_items(l->model) != l->n_trained ||
        l->popularity->ops->n_items(l->popularity) != l->n_trained)
        return rec_corrupt(err, "%s: the model has %u items, its keys are %u", v->name,
                           l->model->ops->n_items(l->model), l->n_trained);
    return REC_OK;
}

/* Only models with many items have these parts. */
static rec_status load_near(const sq_view *v, sq_loaded *l, const char *name,
                            item_graph **out, rec_err *err) {
    bytes_reader r = {0};
    vec_metric metric = METRIC_IP;
    const rec_model_ops *ops = v->cfg.ops;
    const mat *rows = ops->vectors ? ops->vectors(l->model, &metric) : NULL;
    uint8_t *data = NULL;
    rec_status s =
        rows ? sq_part_read(v->conn->db, v->schema, v->name, name, &data, &r.n, err)
             : REC_OK;
    if (out == &l->alike) metric = METRIC_COSINE;
    r.data = data;
    if (s == REC_OK && data) s = near_load(&r, rows, metric, out, err);
    rec_free(data);
    return s;
}

static rec_status state_number(const sq_view *v, const char *row, double *out,
                               rec_err *err) {
    cell c;
    rec_status s = sq_state_get(v->conn->db, v->schema, v->name, row, &c, err);
    *out = c.type == CELL_REAL ? c.r : c.type == CELL_INT ? (double)c.i : 0;
    if (c.type == CELL_NULL) *out = NAN;
    sq_cell_free(&c);
    return s;
}

static rec_status load_state(const sq_view *v, sq_loaded *l, rec_err *err) {
    double rows = 0, format = 0;
    rec_status s = state_number(v, "format", &format, err);
    if (s == REC_OK && !(format >= 1 && format <= SQ_MODEL_FORMAT))
        return rec_corrupt(
            err, "%s: stored in format %g, this is rec %s which reads 1 to %d", v->name,
            format, REC_VERSION, SQ_MODEL_FORMAT);
    if (s == REC_OK) s = state_number(v, "trained_at", &l->trained_at, err);
    if (s == REC_OK) s = state_number(v, "trained_rows", &rows, err);
    if (s == REC_OK) s = state_number(v, "now", &l->now, err);
    if (s == REC_OK) s = state_number(v, "liked_value", &l->liked_value, err);
    if (!(l->trained_at > 0)) l->trained_at = 0;
    l->trained_rows = rows > 0 && rows < 9e15 ? (int64_t)rows : 0;
    if (!(l->liked_value > -1e30 && l->liked_value < 1e30)) l->liked_value = 1;
    return s;
}

static rec_status load(sq_view *v, rec_err *err) {
    sq_loaded *l = rec_zeros(1, sizeof *l);
    if (!l) return rec_nomem(err);
    l->n_ref = 1;
    l->generation = v->generation;
    v->loaded = l;
    rec_status s = load_state(v, l, err);
    if (s == REC_OK && l->trained_at > 0 && sq_gate_is_fitted(&v->cfg))
        return sq_gate_load(v, &l->gate, err);
    if (s != REC_OK || l->trained_at == 0 || !v->cfg.ops->load) return s;
    s = load_model(v, "model", v->cfg.ops, &l->model, err);
    if (s == REC_OK)
        s = load_model(v, "popularity", &popularity_ops, &l->popularity, err);
    if (s == REC_OK) s = load_items(v, l, err);
    if (s == REC_OK) s = load_users(v, l, err);
    if (s == REC_OK) s = load_near(v, l, "near", &l->near, err);
    if (s == REC_OK) s = load_near(v, l, "alike", &l->alike, err);
    return s;
}

/* ---- maps ---------------------------------------------------------------------------------------------- */

/* model_item of the catalogue at hand; fresh: items that the model does not know. */
static rec_status find_model_items(sq_view *v, uint32_t **fresh, size_t *n_fresh,
                                   rec_err *err) {
    size_t n = catalog_n_items(v->items);
    rec_free(*fresh);
    rec_free(v->model_item);
    *fresh = rec_array(n, sizeof **fresh);
    v->model_item = rec_array(n, sizeof *v->model_item);
    *n_fresh = 0;
    if (!*fresh || !v->model_item) return rec_nomem(err);
    for (uint32_t i = 0; i < n; i++) {
        rec_key key = catalog_key(v->items, i);
        v->model_item[i] = keyset_find(v->loaded->items, &key);
        if (v->model_item[i] == KEYS_NONE) (*fresh)[(*n_fresh)++] = i;
    }
    return REC_OK;
}

/* Let the model learn of items that it was not trained on. The catalogue is read again with its texts and takes
 * the place of the first one: another process may have committed in between. */
static rec_status extend_model(sq_view *v, uint32_t **fresh, rec_run *run,
                               rec_err *err) {
    sq_items again = {.want_docs = true};
    size_t n = 0;
    rec_status s = sq_source_catalog(v->conn, v->schema, &v->cfg, v->item_affinity,
                                     &again, run, err);
    if (s == REC_OK) {
        catalog_free(v->items);
        v->items = again.items;
        v->items_print = again.print;
        v->has_text_print = true;
        s = find_model_items(v, fresh, &n, err);
    }
    v->loaded->is_extended = true;
    if (s == REC_OK)
        s = v->model->ops->extend(v->model, again.docs, v->items, *fresh, n, err);
    for (size_t i = 0; s == REC_OK && i < n; i++)
        v->model_item[(*fresh)[i]] = v->loaded->n_trained + (uint32_t)i;
    vec_metric ignored;
    item_graph *const near[] = {v->near, v->alike};
    for (int i = 0; i < 2 && s == REC_OK; i++)
        if (near[i])
            s = near_add(near[i], v->model->ops->vectors(v->model, &ignored), err);
    corpus_free(again.docs);
    return s;
}

static rec_status map_items(sq_view *v, rec_run *run, rec_err *err) {
    uint32_t *fresh = NULL;
    size_t n_fresh = 0;
    rec_status s = find_model_items(v, &fresh, &n_fresh, err);
    if (s == REC_OK && n_fresh && sq_can_extend(&v->cfg))
        s = extend_model(v, &fresh, run, err);
    rec_free(fresh);
    if (s != REC_OK) return s;
    size_t n_model = v->model->ops->n_items(v->model);
    v->catalog_item = rec_array(n_model, sizeof *v->catalog_item);
    if (!v->catalog_item) return rec_nomem(err);
    for (size_t m = 0; m < n_model; m++) v->catalog_item[m] = KEYS_NONE;
    for (uint32_t i = 0; i < catalog_n_items(v->items); i++)
        if (v->model_item[i] < n_model) v->catalog_item[v->model_item[i]] = i;
    return REC_OK;
}

/* ---- hybrids ---------------------------------------------------------------------------------------------- */

static rec_status inherit_text(char **to, const char *from, rec_err *err) {
    if (*to || !from) return REC_OK;
    *to = rec_strdup(from);
    return *to ? REC_OK : rec_nomem(err);
}

/* A hybrid that names no items has those of a member, with titles, facets and texts. */
static rec_status inherit_items(sq_model_cfg *cfg, const sq_model_cfg *from,
                                rec_err *err) {
    rec_status s = inherit_text(&cfg->items, from->items, err);
    if (s == REC_OK) s = inherit_text(&cfg->item_key, from->item_key, err);
    if (s == REC_OK) s = inherit_text(&cfg->title, from->title, err);
    for (size_t i = 0; i < from->n_text && s == REC_OK; i++) {
        cfg->text[i] = rec_strdup(from->text[i]);
        if (cfg->text[i])
            cfg->n_text++;
        else
            s = rec_nomem(err);
    }
    memcpy(cfg->facet, from->facet, sizeof cfg->facet);
    cfg->n_facet = from->n_facet;
    return s;
}

static const sq_model_cfg *best_items(const sq_view *v) {
    const sq_model_cfg *best = NULL;
    for (size_t i = 0; i < v->n_member; i++) {
        const sq_model_cfg *cfg = &v->member[i].view->cfg;
        if (!cfg->items) continue;
        if (!best || (!best->n_facet && cfg->n_facet)) best = cfg;
    }
    return best;
}

/* What a hybrid says of items itself is read anew; else the catalogue of the member is the one. */
static void share_items(sq_view *v, const sq_model_cfg *from) {
    if (v->cfg.item_key || v->cfg.title || v->cfg.n_text) return;
    for (size_t i = 0; i < v->n_member; i++) {
        const sq_view *m = v->member[i].view;
        if (&m->cfg == from && sqlite3_stricmp(m->schema, v->schema) == 0)
            v->items = catalog_ref(m->items);
    }
}

static rec_status inherit(sq_view *v, rec_err *err) {
    rec_status s = REC_OK;
    const sq_model_cfg *from = v->cfg.items ? NULL : best_items(v);
    if (from) share_items(v, from);
    if (from) s = inherit_items(&v->cfg, from, err);
    for (size_t i = 0; i < v->n_member && s == REC_OK; i++) {
        s = inherit_text(&v->cfg.user, v->member[i].view->cfg.user, err);
        if (s == REC_OK)
            s = inherit_text(&v->cfg.item, v->member[i].view->cfg.item, err);
    }
    return s;
}

/* gate=weighted(w): the collaborative members share w, those that read texts 1 - w. */
static void share_weights(sq_view *v) {
    double w = opt_num(&v->cfg.options, "gate");
    size_t n_content = 0;
    for (size_t i = 0; i < v->n_member; i++) n_content += v->member[i].is_content;
    size_t n_cf = v->n_member - n_content;
    if (!n_content) w = 1;
    if (!n_cf) w = 0;
    for (size_t i = 0; i < v->n_member; i++)
        v->member[i].weight =
            v->member[i].is_content ? (1 - w) / (double)n_content : w / (double)n_cf;
}

static rec_status describe_members(sq_view *v, rec_err *err) {
    for (size_t i = 0; i < v->n_member; i++) {
        v->member[i].label = v->cfg.member[i].label;
        v->member[i].is_content =
            (v->member[i].view->cfg.ops->needs & MODEL_NEEDS_TEXT) != 0;
    }
    share_weights(v);
    return inherit(v, err);
}

static rec_status open_members(sq_view *v, rec_err *err) {
    rec_status s = REC_OK;
    for (size_t i = 0; i < v->cfg.n_member && s == REC_OK; i++) {
        struct sq_view_member *m = &v->member[i];
        s = sq_view_open_in(v->conn, v->schema, v->cfg.member[i].model, &m->view, err);
        if (s != REC_OK) break;
        v->n_member++;
        if (i == 0) {
            v->user_affinity = m->view->user_affinity;
            v->item_affinity = m->view->item_affinity;
        }
        if (m->view->is_outside && !v->is_outside)
            s = rec_fail(
                err, REC_RANGE,
                "rec_model(%s): the embedder of %s opens files or asks a server "
                "since this connection was opened; open it again",
                v->name, m->view->name);
        else if (m->view->item_affinity != v->item_affinity)
            s = rec_fail(err, REC_RANGE,
                         "rec_model(%s): item keys are INTEGER in one member and TEXT "
                         "in another "
                         "(%s and %s)",
                         v->name, v->member[0].view->name, m->view->name);
    }
    return s == REC_OK ? describe_members(v, err) : s;
}

/* No member has an items table: every item that any member has. */
static rec_status union_of_members(sq_view *v, rec_err *err) {
    keyset *all = keyset_new();
    uint32_t *order = NULL, pos;
    rec_status s = all ? REC_OK : rec_nomem(err);
    for (size_t m = 0; m < v->n_member && s == REC_OK; m++) {
        const catalog *items = v->member[m].view->items;
        for (uint32_t i = 0; i < catalog_n_items(items) && s == REC_OK; i++) {
            rec_key key = catalog_key(items, i);
            s = keyset_add(all, &key, &pos, err);
        }
    }
    size_t n = s == REC_OK ? keyset_count(all) : 0;
    v->items = s == REC_OK ? catalog_new(NULL, 0) : NULL;
    order = rec_array(n, sizeof *order);
    if (s == REC_OK && (!v->items || !order)) s = rec_nomem(err);
    if (s == REC_OK) s = keyset_order(all, order, err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        rec_key key = keyset_get(all, order[i]);
        s = catalog_add(v->items, &key, NULL, 0, NULL, &pos, err);
    }
    if (s == REC_OK) s = catalog_finish(v->items, err);
    rec_free(order);
    keyset_free(all);
    return s;
}

static rec_status map_members(sq_view *v, rec_err *err) {
    size_t n = catalog_n_items(v->items);
    for (size_t m = 0; m < v->n_member; m++) {
        uint32_t *map = rec_array(n, sizeof *map);
        if (!map) return rec_nomem(err);
        v->member[m].item = map;
        for (uint32_t i = 0; i < n; i++) {
            rec_key key = catalog_key(v->items, i);
            map[i] = catalog_find(v->member[m].view->items, &key);
        }
    }
    return REC_OK;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

static void view_free(sq_view *v) {
    for (size_t i = 0; i < v->n_member; i++) {
        sq_view_close(v->member[i].view);
        rec_free(v->member[i].item);
    }
    catalog_free(v->items);
    rec_free(v->model_item);
    rec_free(v->catalog_item);
    rec_free(v->tie_item);
    rec_free(v->gate_popular);
    rec_free(v->gate_age);
    related_free(v->related);
    sq_view_forget(v);
    loaded_unref(v->loaded);
    sq_cfg_clear(&v->cfg);
    rec_free(v->schema);
    rec_free(v->name);
    rec_free(v);
}

static sq_view *find_kept(const sq_conn *c, const char *schema, const char *name) {
    for (sq_view *v = c->views; v; v = v->next)
        if (sqlite3_stricmp(v->schema, schema) == 0 &&
            sqlite3_stricmp(v->name, name) == 0)
            return v;
    return NULL;
}

/* Share what an older view of the same generation has loaded, else load; `same` as find_same leaves it. */
static rec_status take_loaded(sq_view *v, const sq_view *same, rec_err *err) {
    const sq_view *kept = same ? same : find_kept(v->conn, v->schema, v->name);
    rec_status s = REC_OK;
    if (kept && kept->loaded && (same || !kept->loaded->is_extended) &&
        sq_generation_equal(&kept->loaded->generation, &v->generation)) {
        v->loaded = kept->loaded;
        v->loaded->n_ref++;
    } else {
        s = load(v, err);
    }
    if (s != REC_OK) return s;
    v->model = v->loaded->model;
    v->popularity = v->loaded->popularity;
    v->near = v->loaded->near;
    v->alike = v->loaded->alike;
    v->trained_users = v->loaded->users;
    v->user_hash = v->loaded->user_hash;
    v->now = v->loaded->now;
    v->liked_value = v->loaded->liked_value;
    v->trained_at = v->loaded->trained_at;
    v->trained_rows = v->loaded->trained_rows;
    return s;
}

/* A hybrid without a table of items has what its members have. */
static bool is_union(const sq_view *v) {
    return v->cfg.ops->needs & MODEL_NEEDS_MEMBERS && !v->cfg.items &&
           !v->cfg.interactions;
}

static bool has_same_members(const sq_view *a, const sq_view *b) {
    if (a->n_member != b->n_member) return false;
    for (size_t i = 0; i < a->n_member; i++)
        if (a->member[i].view->items != b->member[i].view->items) return false;
    return true;
}

/* Most writes are of interactions. *out: the kept view, if its catalogue is what would be read now (a reference);
 * else NULL. */
static rec_status find_same(const sq_view *v, rec_run *run, sq_view **out,
                            rec_err *err) {
    sq_view *kept = find_kept(v->conn, v->schema, v->name);
    rec_status s = REC_OK;
    *out = NULL;
    if (!kept || kept->item_affinity != v->item_affinity ||
        !has_same_members(kept, v) ||
        !sq_generation_equal(&kept->generation, &v->generation))
        return REC_OK;
    kept->n_ref++; /* nested statements may drop it from the list */
    bool is_same = is_union(v) || kept->items == v->items;
    if (!is_same && !v->items && kept->items_print) {
        sq_items now = {.want_docs = kept->has_text_print};
        s = sq_source_print(v->conn, v->schema, &v->cfg, v->item_affinity, &now, run,
                            err);
        is_same = s == REC_OK && now.print == kept->items_print;
    }
    if (is_same)
        *out = kept;
    else
        sq_view_close(kept);
    return s;
}

static rec_status copy_numbers(uint32_t **to, const uint32_t *from, size_t n,
                               rec_err *err) {
    if (!from) return REC_OK;
    *to = rec_array(n, sizeof **to);
    if (!*to) return rec_nomem(err);
    if (n) memcpy(*to, from, n * sizeof **to);
    return REC_OK;
}

/* The catalogue and all that follows from it and from what was loaded. */
static rec_status copy_items(sq_view *v, const sq_view *same, rec_err *err) {
    size_t n = catalog_n_items(same->items);
    catalog_free(v->items);
    v->items = catalog_ref(same->items);
    v->items_print = same->items_print;
    v->has_text_print = same->has_text_print;
    rec_status s = copy_numbers(&v->tie_item, same->tie_item, n, err);
    if (s == REC_OK) s = copy_numbers(&v->model_item, same->model_item, n, err);
    if (s == REC_OK && v->model)
        s = copy_numbers(&v->catalog_item, same->catalog_item,
                         v->model->ops->n_items(v->model), err);
    for (size_t i = 0; s == REC_OK && i < v->n_member; i++)
        s = copy_numbers(&v->member[i].item, same->member[i].item, n, err);
    return s;
}

static rec_status read_catalog(sq_view *v, rec_run *run, rec_err *err) {
    sq_items read = {.want_docs = false};
    rec_status s = REC_OK;
    if (v->items) return REC_OK;
    if (is_union(v)) return union_of_members(v, err);
    s = sq_source_catalog(v->conn, v->schema, &v->cfg, v->item_affinity, &read, run,
                          err);
    v->items = read.items;
    v->items_print = read.print;
    return s;
}

static rec_status fill_view(sq_view *v, rec_run *run, rec_err *err) {
    sq_view *same = NULL;
    bool is_hybrid = (v->cfg.ops->needs & MODEL_NEEDS_MEMBERS) != 0;
    rec_status s = is_hybrid ? open_members(v, err) : REC_OK;
    if (s == REC_OK) s = find_same(v, run, &same, err);
    if (s == REC_OK) s = take_loaded(v, same, err);
    if (s == REC_OK && same) {
        s = copy_items(v, same, err);
    } else {
        if (s == REC_OK) s = read_catalog(v, run, err);
        if (s == REC_OK && v->model) s = map_items(v, run, err);
        if (s == REC_OK) s = sq_tie_order(v->items, &v->tie_item, err);
        if (s == REC_OK) s = map_members(v, err);
    }
    sq_view_close(same);
    if (s == REC_OK && v->loaded->gate.fits)
        s = sq_gate_use(v, &v->loaded->gate.gate, &v->loaded->gate.items, err);
    return s;
}

rec_status sq_view_blend(sq_view *v, rec_run *run, rec_err *err) {
    rec_status s = describe_members(v, err);
    if (s == REC_OK) s = read_catalog(v, run, err);
    if (s == REC_OK) s = sq_tie_order(v->items, &v->tie_item, err);
    return s == REC_OK ? map_members(v, err) : s;
}

/* Names and settings; `t` is not used after this. */
static rec_status start_view(sq_conn *c, const sq_table *t, sq_view **out,
                             rec_err *err) {
    sq_view *v = rec_zeros(1, sizeof *v);
    *out = v;
    if (!v) return rec_nomem(err);
    v->n_ref = 1;
    v->conn = c;
    v->schema = rec_strdup(t->schema);
    v->name = rec_strdup(t->name);
    v->is_outside = t->is_outside;
    if (!v->schema || !v->name) return rec_nomem(err);
    rec_status s = sq_table_config(c, t, NULL, &v->cfg, err);
    if (s == REC_OK)
        s = sq_table_affinity(c, t, &v->user_affinity, &v->item_affinity, err);
    return s;
}

static rec_status try_view(sq_conn *c, const sq_table *t, sq_view **out, bool *is_torn,
                           rec_err *err) {
    sq_view *v = NULL;
    sq_frame frame = {0};
    rec_run run;
    sq_generation after = {0};
    rec_err why = {0};
    *out = NULL;
    sq_run_init(c, &run, false);
    rec_status s = start_view(c, t, &v, err);
    if (s == REC_OK) s = sq_enter(c, &frame, v->schema, v->name, err);
    if (s == REC_OK && ++c->depth > VIEW_MAX_DEPTH)
        s = rec_fail(err, REC_RANGE, "rec_model(%s): more than %d models deep", v->name,
                     VIEW_MAX_DEPTH);
    if (s == REC_OK) s = sq_token_read(c, v->schema, &v->token, err);
    if (s == REC_OK)
        s = sq_generation_read(c->db, v->schema, v->name, &v->generation, err);
    if (s == REC_OK) s = fill_view(v, &run, err);
    *is_torn = frame.is_entered &&
               sq_generation_read(c->db, v->schema, v->name, &after, &why) == REC_OK &&
               !sq_generation_equal(&v->generation, &after);
    if (frame.is_entered) c->depth--;
    sq_leave(c, &frame);
    if (s == REC_OK && !*is_torn)
        *out = v;
    else if (v)
        view_free(v);
    return s;
}

/* A function call without a table in its FROM holds no snapshot between nested statements, so a training that
 * commits meanwhile in another process may be read half old, half new. The generation tells; then again. */
static rec_status build_view(sq_conn *c, const char *in_schema, const char *name,
                             sq_view **out, rec_err *err) {
    for (int i = 0; i < VIEW_MAX_TRIES; i++) {
        const sq_table *t;
        bool is_torn = false;
        rec_status s = sq_table_find(c, in_schema, name, &t, err);
        if (s == REC_OK) s = try_view(c, t, out, &is_torn, err);
        if (!is_torn || s == REC_NOMEM || s == REC_INTR) return s;
    }
    return rec_fail(err, REC_IO, "%s is being retrained all the time", name);
}

/* ---- keeping ---------------------------------------------------------------------------------------------------- */

void sq_view_close(sq_view *v) {
    if (v && --v->n_ref == 0) view_free(v);
}

void sq_views_drop(sq_conn *c, const char *schema, const char *name) {
    for (sq_view **at = &c->views; *at;) {
        sq_view *v = *at;
        if (schema && (sqlite3_stricmp(v->schema, schema) != 0 ||
                       sqlite3_stricmp(v->name, name) != 0)) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        v->next = NULL;
        sq_view_close(v);
    }
}

static void keep_view(sq_conn *c, sq_view *v) {
    sq_views_drop(c, v->schema, v->name);
    v->n_ref++;
    v->next = c->views;
    c->views = v;
}

/* Is the view what a fresh one would be? */
static rec_status is_current(sq_view *v, bool *yes, rec_err *err) {
    sq_token now;
    sq_generation g;
    *yes = false;
    rec_status s = sq_token_read(v->conn, v->schema, &now, err);
    if (s != REC_OK || !sq_token_equal(&v->token, &now)) return s;
    s = sq_generation_read(v->conn->db, v->schema, v->name, &g, err);
    if (s != REC_OK || !sq_generation_equal(&v->generation, &g)) return s;
    for (size_t i = 0; i < v->n_member; i++) {
        bool member = false;
        s = is_current(v->member[i].view, &member, err);
        if (s != REC_OK || !member) return s;
    }
    *yes = true;
    return REC_OK;
}

rec_status sq_view_open_in(sq_conn *c, const char *in_schema, const char *name,
                           sq_view **out, rec_err *err) {
    const sq_table *t;
    bool current = false;
    *out = NULL;
    rec_status s = sq_table_find(c, in_schema, name, &t, err);
    if (s != REC_OK) return s;
    sq_view *kept = find_kept(c, t->schema, t->name);
    if (kept) {
        kept->n_ref++; /* nested statements may drop it from the list */
        s = is_current(kept, &current, err);
        if (s == REC_OK && current) {
            *out = kept;
            return REC_OK;
        }
        sq_view_close(kept);
    }
    if (s == REC_OK) s = build_view(c, in_schema, name, out, err);
    if (s == REC_OK) keep_view(c, *out);
    return s;
}

rec_status sq_view_open(sq_conn *c, const char *name, sq_view **out, rec_err *err) {
    return sq_view_open_in(c, NULL, name, out, err);
}

rec_status sq_view_hold(sq_conn *c, const char *name, sq_view **held, rec_err *err) {
    if (*held && (*held)->token.total_changes == sqlite3_total_changes64(c->db))
        return REC_OK;
    sq_view_close(*held);
    *held = NULL;
    return sq_view_open(c, name, held, err);
}

void sq_hold_clear(sq_hold *h) {
    sq_view_close(h->view);
    rec_free(h->name);
    memset(h, 0, sizeof *h);
}

rec_status sq_hold_view(sq_conn *c, const char *name, sq_hold *h, sq_view **out,
                        rec_err *err) {
    if (!h->name || strcmp(h->name, name) != 0) {
        sq_hold_clear(h);
        h->name = rec_strdup(name);
        if (!h->name) return rec_nomem(err);
    }
    rec_status s = sq_view_hold(c, name, &h->view, err);
    if (s != REC_OK) return s;
    *out = h->view;
    h->view->n_ref++;
    return REC_OK;
}

/* ---- what a view can do ---------------------------------------------------------------------------------------------- */

rec_status sq_view_require_trained(const sq_view *v, rec_err *err) {
    if (v->model) return REC_OK;
    if (!v->n_member || (sq_gate_is_fitted(&v->cfg) && !v->gate))
        return rec_fail(err, REC_RANGE,
                        "%s has not been trained: SELECT rec_train('%s')", v->name,
                        v->name);
    rec_status s = REC_OK;
    for (size_t i = 0; i < v->n_member && s == REC_OK; i++)
        s = sq_view_require_trained(v->member[i].view, err);
    return s;
}

size_t sq_view_n_items(const sq_view *v) {
    return catalog_n_items(v->items);
}
