/* sq_features.c - features=about: the item vectors of one model for another.
 *
 *     about (content) --key by key--> column 0 of the corpus --> als: what it says of factors (als_features.c)
 *
 * Only models whose vectors owe nothing to interactions are taken: else an evaluation would learn from rows that it
 * asks about. Vectors of another training of `about` lie in another space, so its generation goes with them, as
 * column_print: a model that was trained with an earlier one leaves new items alone until it is trained again.
 *
 * Invariants
 *   I1  an item that `about` does not have, or has no vector of, has none here.
 */
#include "sq.h"

const char *sq_features(const sq_model_cfg *cfg) {
    return cfg->ops == &als_ops ? opt_text(&cfg->options, "features") : NULL;
}

bool sq_can_extend(const sq_model_cfg *cfg) {
    return cfg->ops->extend && (cfg->ops != &als_ops || sq_features(cfg));
}

static rec_status refuse(const char *table, const char *features, const char *why,
                         rec_err *err) {
    return rec_fail(err, REC_RANGE, "rec_model(%s): features=%.60s: %s", table,
                    features, why);
}

static rec_status check_model(const char *table, const char *features,
                              const sq_model_cfg *cfg, rec_err *err) {
    if (cfg->ops == &content_ops) return REC_OK;
    return refuse(table, features,
                  "it is no algorithm=content, whose item vectors owe nothing to "
                  "interactions",
                  err);
}

rec_status sq_features_check(sq_conn *c, const char *schema, const char *table,
                             const sq_model_cfg *cfg, rec_err *err) {
    const char *features = sq_features(cfg);
    const sq_table *t = NULL;
    sq_model_cfg other;
    if (!features) return REC_OK;
    memset(&other, 0, sizeof other);
    rec_status s = sq_table_find(c, schema, features, &t, err);
    if (s == REC_RANGE) {
        char said[160];
        rec_format(said, sizeof said, "%s", err ? err->msg : "");
        return refuse(table, features, said, err);
    }
    if (s == REC_OK) s = sq_table_config(c, t, NULL, &other, err);
    if (s == REC_OK) s = check_model(table, features, &other, err);
    sq_cfg_clear(&other);
    return s;
}

static rec_status copy_vectors(const sq_view *about, const catalog *items, corpus *docs,
                               size_t *n_known, rec_err *err) {
    const mat *rows = content_item_vectors(about->model);
    rec_status s = REC_OK;
    for (uint32_t i = 0; i < catalog_n_items(items) && s == REC_OK; i++) {
        rec_key key = catalog_key(items, i);
        uint32_t at = catalog_find(about->items, &key);
        uint32_t m = at == KEYS_NONE ? KEYS_NONE : about->model_item[at];
        if (m >= rows->n_rows || !(vec_norm(mat_row(rows, m), rows->dim) > 0)) continue;
        s = corpus_add_vector(docs, 0, i, mat_row(rows, m), rows->dim, err);
        ++*n_known;
    }
    return s;
}

rec_status sq_features_read(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                            const catalog *items, corpus *docs, rec_err *err) {
    const char *features = sq_features(cfg);
    sq_view *about = NULL;
    size_t n_known = 0;
    rec_status s = sq_view_open_in(c, schema, features, &about, err);
    if (s == REC_OK) s = sq_view_require_trained(about, err);
    if (s == REC_OK) s = check_model(about->name, features, &about->cfg, err);
    if (s == REC_OK) s = copy_vectors(about, items, docs, &n_known, err);
    if (s == REC_OK && !n_known)
        s = rec_fail(err, REC_RANGE,
                     "features=%.60s: it has a vector for none of %zu items", features,
                     catalog_n_items(items));
    if (s == REC_OK)
        docs->column_print =
            rec_mix(about->generation.counter ^ rec_mix(about->generation.nonce)) | 1;
    sq_view_close(about);
    return s;
}
