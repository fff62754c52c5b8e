/* sq_check.c - the commands of a model, and the checks behind them.
 *
 *   INSERT INTO taste(taste) VALUES ('train')              sq_train.c
 *                                   ('rebuild')            the same, from nothing
 *                                   ('integrity-check')    every stored byte against every other
 *                                   ('factors=128')        kept as row option.factors; '' takes it back
 *
 * A setting is checked as CREATE would check it, with everything else that is set, before it is kept. What is
 * read at query time (interactions=, eligible=, ...) works at once, what is learned at the next training.
 *
 * I1. A command that fails has changed nothing.
 * I2. integrity-check reads everything again: nothing that memory holds is believed.
 */
#include "sq_train.h"

#define OPTION_MAX_NAME 64

/* ---- members ------------------------------------------------------------------------------------- */

/* label=model is also what a misspelt option looks like: say both. */
static rec_status name_member(const char *table, const sq_model_cfg *cfg,
                              const sq_member *m, rec_status s, rec_err *err) {
    if (s != REC_RANGE || strncmp(err->msg, "rec_model(", 10) == 0) return s;
    char said[sizeof err->msg];
    memcpy(said, err->msg, sizeof said);
    return rec_fail(
        err, REC_RANGE,
        "rec_model(%s): %s=%s: %s (%s names a member, as algorithm=%s has no "
        "such option)",
        table, m->label, m->model, said, m->label, cfg->ops->name);
}

/* Walk down from one member: whoever comes back to a model that is entered has found a cycle. */
static rec_status walk(sq_conn *c, const char *schema, const char *name,
                       key_affinity *user, key_affinity *item, rec_err *err) {
    const sq_table *t;
    sq_model_cfg cfg;
    sq_frame frame = {0};
    rec_status s = sq_table_find(c, schema, name, &t, err);
    if (s != REC_OK) return s;
    char *own_schema = rec_strdup(t->schema), *own_name = rec_strdup(t->name);
    memset(&cfg, 0, sizeof cfg);
    if (!own_schema || !own_name) s = rec_nomem(err);
    if (s == REC_OK) s = sq_table_affinity(c, t, user, item, err);
    if (s == REC_OK) s = sq_table_find(c, schema, name, &t, err);
    if (s == REC_OK) s = sq_table_config(c, t, NULL, &cfg, err);
    if (s == REC_OK) s = sq_enter(c, &frame, own_schema, own_name, err);
    for (size_t i = 0; i < cfg.n_member && s == REC_OK; i++) {
        key_affinity u, a;
        s = walk(c, own_schema, cfg.member[i].model, &u, &a, err);
    }
    sq_leave(c, &frame);
    sq_cfg_clear(&cfg);
    rec_free(own_schema);
    rec_free(own_name);
    return s;
}

rec_status sq_members_check(sq_conn *c, const char *schema, const char *table,
                            const sq_model_cfg *cfg, key_affinity *user,
                            key_affinity *item, rec_err *err) {
    rec_status given = sq_features_check(c, schema, table, cfg, err);
    if (given != REC_OK) return given;
    for (size_t i = 0; i < cfg->n_member; i++) {
        key_affinity u, a;
        rec_status s = walk(c, schema, cfg->member[i].model, &u, &a, err);
        if (s != REC_OK) return name_member(table, cfg, &cfg->member[i], s, err);
        if (i == 0) {
            *user = u;
            *item = a;
        }
        if (a != *item)
            return rec_fail(err, REC_RANGE,
                            "rec_model(%s): item keys are INTEGER in one member and "
                            "TEXT in another "
                            "(%s and %s)",
                            table, cfg->member[0].model, cfg->member[i].model);
    }
    return REC_OK;
}

/* ---- integrity ---------------------------------------------------------------------------------------- */

/* I2 of sq_model.c, and the bounds of what was trained on. */
static rec_status check_maps(const sq_view *v, rec_err *err) {
    size_t n_model = v->model->ops->n_items(v->model), n = sq_view_n_items(v);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t m = v->model_item[i];
        if (m != KEYS_NONE && (m >= n_model || v->catalog_item[m] != i))
            return rec_corrupt(err, "%s: two items share number %u of the model",
                               v->name, m);
    }
    return REC_OK;
}

/* Nothing but the parts that a training writes; whether they are there is found when they are read. */
static rec_status check_parts(sq_conn *c, const sq_view *v, rec_err *err) {
    sqlite3_stmt *st = NULL;
    bool row = false;
    rec_status s = sq_prepare(
        c->db, v->name, &st, err,
        "SELECT quote(part), chunk FROM \"%w\".\"%w_data\" WHERE (NOT %d"
        " OR part IS NULL OR chunk IS NULL OR (part = 'gate') <> %d OR part NOT IN"
        " ('model', 'popularity', 'items', 'users', 'near', 'alike', 'trace', 'gate'))"
        " AND coalesce(part NOT GLOB 'embed.*' OR chunk IS NULL, 1)",
        v->schema, v->name, v->model || v->n_member, v->n_member > 0);
    if (s == REC_OK) s = sq_step(st, v->name, &row, err);
    if (s == REC_OK && row)
        s = rec_corrupt(err, "%s: row %.60s, %lld of %s_data belongs to nothing",
                        v->name, (const char *)sqlite3_column_text(st, 0),
                        (long long)sqlite3_column_int64(st, 1), v->name);
    sqlite3_finalize(st);
    return s;
}

rec_status sq_model_check(sq_conn *c, const char *schema, const char *name,
                          rec_err *err) {
    sq_view *v = NULL;
    char *full = sqlite3_mprintf("\"%w\".\"%w\"", schema, name);
    if (!full) return rec_nomem(err);
    sq_views_drop(c, schema, name);
    rec_status s = sq_state_check(c->db, schema, name, err);
    if (s == REC_OK) s = sq_view_open(c, full, &v, err);
    sqlite3_free(full);
    if (s == REC_OK) s = check_parts(c, v, err);
    if (s == REC_OK && v->model) {
        if (v->model->ops->check) s = v->model->ops->check(v->model, err);
        if (s == REC_OK && v->near) s = near_check(v->near, err);
        if (s == REC_OK && v->alike) s = near_check(v->alike, err);
        if (s == REC_OK && v->popularity->ops->check)
            s = v->popularity->ops->check(v->popularity, err);
        if (s == REC_OK) s = check_maps(v, err);
        if (s == REC_OK) s = sq_previous_check(c->db, schema, name, err);
    }
    sq_view_close(v);
    return s;
}

/* ---- settings --------------------------------------------------------------------------------------------- */

/* "name = 'value'" -> its halves, unquoted; owned. */
static rec_status split_setting(const char *command, sq_arg *out, rec_err *err) {
    const char *equals = strchr(command, '='), *end = command + strlen(command);
    const char *name = command + strspn(command, " \t\r\n"), *name_end = equals;
    const char *value = equals + 1 + strspn(equals + 1, " \t\r\n");
    while (name_end > name && strchr(" \t\r\n", name_end[-1])) name_end--;
    while (end > value && strchr(" \t\r\n", end[-1])) end--;
    if (end - value >= 2 && (*value == '\'' || *value == '"') && end[-1] == *value) {
        value++;
        end--;
    }
    if (name_end == name || name_end - name > OPTION_MAX_NAME)
        return rec_fail(err, REC_RANGE, "'%.60s' has no option name before '='",
                        command);
    out->name = rec_strndup(name, (size_t)(name_end - name));
    out->value = rec_strndup(value, (size_t)(end - value));
    if (!out->name || !out->value) return rec_nomem(err);
    for (char *p = out->name; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + 32);
    return REC_OK;
}

static rec_status check_setting(sq_conn *c, const char *schema, const char *name,
                                const sq_arg *set, rec_err *err) {
    const sq_table *t;
    sq_model_cfg cfg;
    sq_frame frame = {0};
    key_affinity user, item;
    memset(&cfg, 0, sizeof cfg);
    rec_status s = sq_table_find(c, schema, name, &t, err);
    bool is_outside = s == REC_OK && t->is_outside;
    if (s == REC_OK) s = sq_table_config(c, t, set, &cfg, err);
    if (s == REC_OK && !is_outside && (sq_embed_needs(&cfg) & EMBED_OUTSIDE))
        s = rec_fail(err, REC_RANGE,
                     "rec_model(%s): embedder=%.80s opens files or asks a server; a "
                     "model is created with that, for nothing stored may use it",
                     name, set->value);
    if (s == REC_OK) s = sq_enter(c, &frame, schema, name, err);
    if (s == REC_OK) s = sq_source_check(c, schema, name, &cfg, NULL, NULL, err);
    if (s == REC_OK) s = sq_members_check(c, schema, name, &cfg, &user, &item, err);
    sq_leave(c, &frame);
    sq_cfg_clear(&cfg);
    return s;
}

static rec_status set_option(sq_conn *c, const char *schema, const char *name,
                             const char *command, rec_err *err) {
    sq_arg set = {NULL, NULL};
    char row[OPTION_MAX_NAME + 16];
    rec_status s = split_setting(command, &set, err);
    if (s == REC_OK && sqlite3_stricmp(set.name, "algorithm") == 0)
        s = rec_fail(
            err, REC_RANGE,
            "rec_model(%s): the algorithm of a model is fixed; create another model",
            name);
    if (s == REC_OK) s = check_setting(c, schema, name, &set, err);
    if (s == REC_OK) {
        cell v = cell_str(set.value);
        rec_format(row, sizeof row, "option.%s", set.name);
        s = sq_state_set(c->db, schema, name, row, &v, err);
    }
    if (s == REC_OK) s = sq_state_seal(c->db, schema, name, err);
    rec_free(set.name);
    rec_free(set.value);
    return s;
}

rec_status sq_command(sq_conn *c, const char *schema, const char *name,
                      const char *command, rec_err *err) {
    char *report = NULL;
    if (strcmp(command, "integrity-check") == 0)
        return sq_model_check(c, schema, name, err);
    if (strcmp(command, "train") == 0 || strcmp(command, "rebuild") == 0) {
        char *full = sqlite3_mprintf("\"%w\".\"%w\"", schema, name);
        const char *options = command[0] == 'r' ? "{\"full\": true}" : NULL;
        rec_status s =
            full ? sq_train(c, full, options, false, &report, err) : rec_nomem(err);
        sqlite3_free(full);
        rec_free(report);
        return s;
    }
    if (strchr(command, '=')) return set_option(c, schema, name, command, err);
    return rec_fail(err, REC_RANGE,
                    "rec_model(%s): unknown command '%.60s'; allowed: train, rebuild, "
                    "integrity-check, <option>=<value>",
                    name, command);
}
