/* sq_options.c - rec_model: from the arguments of CREATE VIRTUAL TABLE to a checked configuration.
 *
 *   algorithm=als, factors=64, interactions=ratings, value=rating, feedback=explicit, cf=taste
 *        |             |              |                 |               |               |
 *     model_ops   model_options   names of tables   names of columns  signal_spec    members
 *                 (checked there)  (checked against the database in sq_source.c)    (hybrid only)
 *
 * A name is looked up in this order: the options that every model has (the table below), those of the
 * algorithm, and, for an algorithm that blends other models, the label of a member. Anything else is refused
 * with the names that exist: an option that is silently ignored is the worst kind of default.
 *
 * The command INSERT INTO m(m) VALUES ('factors=128') is kept as row 'option.factors' of <name>_state and replaces
 * the argument of CREATE before it comes here (sq_tables.c), so both obey the same checks; an option that a command
 * took away ('eligible=') comes with an empty value.
 *
 * I1. No table is read here.
 * I2. A failed sq_cfg_parse leaves *out cleared.
 * I3. Every message starts "rec_model(<table>): " and names the option.
 */
#include "sq.h"

#include <math.h>

#define OPTION_MAX_LABEL sizeof(((sq_member *)0)->label)
#define SEED_MAX         9007199254740992.0 /* 2^53: whole numbers that a double holds */

typedef enum {
    SET_ALGORITHM,
    SET_NAME,
    SET_TEXT,
    SET_FEEDBACK,
    SET_WEIGHTS,
    SET_DUPLICATES,
    SET_TIME,
    SET_SPAN,
    SET_COLUMNS,
    SET_FACETS,
    SET_SWITCH,
    SET_SEED
} set_kind;

typedef struct common_option {
    const char *name;
    set_kind kind;
    size_t offset; /* of the field of sq_model_cfg, where the kind has one */
} common_option;

#define FIELD(f) offsetof(sq_model_cfg, f)
static const common_option common_options[] = {
    {"algorithm", SET_ALGORITHM, 0},
    {"interactions", SET_NAME, FIELD(interactions)},
    {"user", SET_NAME, FIELD(user)},
    {"item", SET_NAME, FIELD(item)},
    {"value", SET_NAME, FIELD(value)},
    {"time", SET_NAME, FIELD(time)},
    {"event", SET_NAME, FIELD(event)},
    {"weights", SET_WEIGHTS, 0},
    {"feedback", SET_FEEDBACK, 0},
    {"positive", SET_TEXT, FIELD(positive)},
    {"duplicates", SET_DUPLICATES, 0},
    {"since", SET_TIME, FIELD(signal.since)},
    {"until", SET_TIME, FIELD(signal.until)},
    {"half_life", SET_SPAN, FIELD(signal.half_life)},
    {"items", SET_NAME, FIELD(items)},
    {"item_key", SET_NAME, FIELD(item_key)},
    {"title", SET_NAME, FIELD(title)},
    {"text", SET_COLUMNS, 0},
    {"facets", SET_FACETS, 0},
    {"eligible", SET_NAME, FIELD(eligible)},
    {"owned", SET_NAME, FIELD(owned)},
    {"lexical", SET_NAME, FIELD(lexical)},
    {"preferences", SET_NAME, FIELD(preferences)},
    {"repeat", SET_SWITCH, FIELD(repeat)},
    {"seed", SET_SEED, FIELD(seed)},
};
#define N_COMMON (sizeof common_options / sizeof common_options[0])

/* ---- messages ---------------------------------------------------------------------------------- */

/* Put "rec_model(taste): " before what a checker said of a value. */
static rec_status with_prefix(rec_status s, const char *table, rec_err *err) {
    if (s != REC_RANGE || !err) return s;
    char said[sizeof err->msg];
    memcpy(said, err->msg, sizeof said);
    rec_format(err->msg, sizeof err->msg, "rec_model(%s): %s", table, said);
    return s;
}

void sq_cfg_options(const sq_model_cfg *cfg, char *out, size_t cap) {
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; cfg->ops && i < cfg->ops->n_options && at < cap; i++)
        at += rec_format(out + at, cap - at, "%s, ", cfg->ops->options[i].name);
    for (size_t i = 0; i < N_COMMON && at < cap; i++)
        at += rec_format(out + at, cap - at, "%s%s", common_options[i].name,
                         i + 1 < N_COMMON ? ", " : "");
}

static rec_status unknown_option(const sq_model_cfg *cfg, const char *name,
                                 rec_err *err) {
    char names[300];
    sq_cfg_options(cfg, names, sizeof names);
    return rec_fail(err, REC_RANGE, "unknown option %.60s; algorithm=%s takes %s", name,
                    cfg->ops->name, names);
}

/* ---- one value ------------------------------------------------------------------------------------ */

static rec_status replace_text(char **field, const char *value, rec_err *err) {
    char *copy = rec_strdup(value);
    if (!copy) return rec_nomem(err);
    rec_free(*field);
    *field = copy;
    return REC_OK;
}

/* A table or column; [name] is one more way to quote it. */
static rec_status replace_name(char **field, const char *value, rec_err *err) {
    size_t n = strlen(value);
    if (n < 3 || value[0] != '[' || value[n - 1] != ']')
        return replace_text(field, value, err);
    char *inner = rec_strndup(value + 1, n - 2);
    if (!inner) return rec_nomem(err);
    rec_free(*field);
    *field = inner;
    return REC_OK;
}

static rec_status set_feedback(sq_model_cfg *cfg, const char *value, rec_err *err) {
    if (sqlite3_stricmp(value, "implicit") == 0)
        cfg->signal.feedback = FEEDBACK_IMPLICIT;
    else if (sqlite3_stricmp(value, "explicit") == 0)
        cfg->signal.feedback = FEEDBACK_EXPLICIT;
    else
        return rec_fail(err, REC_RANGE,
                        "feedback=%.60s; allowed: implicit (value= is a "
                        "strength: plays, minutes), explicit (value= is a rating)",
                        value);
    cfg->has_feedback = true;
    return REC_OK;
}

static rec_status set_duplicates(sq_model_cfg *cfg, const char *value, rec_err *err) {
    static const char *const names[] = {"sum", "last", "max"};
    static const dup_rule rules[] = {DUP_SUM, DUP_LAST, DUP_MAX};
    for (int i = 0; i < 3; i++)
        if (sqlite3_stricmp(value, names[i]) == 0) {
            cfg->signal.duplicates = rules[i];
            return REC_OK;
        }
    return rec_fail(err, REC_RANGE, "duplicates=%.60s; allowed: sum, last, max", value);
}

/* A time is written as in the data: ISO text, or a number of seconds or milliseconds. */
static rec_status set_time(double *field, const char *name, const char *value,
                           rec_err *err) {
    size_t n = strlen(value);
    cell c = {.type = CELL_TEXT, .p = value, .nbyte = n};
    if (n && rec_parse_number(value, n, &c.r) == n) c.type = CELL_REAL;
    if (signal_parse_time(&c, field)) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "%s=%.60s is no time; write '2024-05-01' or "
                    "'2024-05-01 12:30:00', or unix seconds",
                    name, value);
}

static void clear_columns(sq_model_cfg *cfg) {
    for (size_t i = 0; i < cfg->n_text; i++) rec_free(cfg->text[i]);
    cfg->n_text = 0;
}

/* 'title, "long name", overview' */
static rec_status set_columns(sq_model_cfg *cfg, const char *value, rec_err *err) {
    clear_columns(cfg);
    const char *s = value;
    for (;;) {
        s += strspn(s, " \t\r\n");
        char *name = sq_identifier(&s, err);
        if (!name && err->code == REC_NOMEM) return REC_NOMEM;
        if (!name)
            return rec_fail(err, REC_RANGE,
                            "text='%.80s': expected a column name at '%.30s'", value,
                            s);
        if (cfg->n_text == SQ_MAX_TEXT_COLUMNS) {
            rec_free(name);
            return rec_fail(err, REC_RANGE, "text= names more than %d columns",
                            SQ_MAX_TEXT_COLUMNS);
        }
        cfg->text[cfg->n_text++] = name;
        s += strspn(s, " \t\r\n");
        if (!*s) return REC_OK;
        if (*s++ != ',')
            return rec_fail(err, REC_RANGE, "text='%.80s': expected a comma at '%.30s'",
                            value, s - 1);
    }
}

static rec_status set_switch(bool *field, const char *name, const char *value,
                             rec_err *err) {
    if (strcmp(value, "0") == 0 || strcmp(value, "1") == 0) {
        *field = value[0] == '1';
        return REC_OK;
    }
    return rec_fail(err, REC_RANGE, "%s=%.60s; allowed: 0, 1", name, value);
}

static rec_status set_seed(uint64_t *field, const char *value, rec_err *err) {
    double x = 0;
    size_t n = strlen(value);
    if (!n || rec_parse_number(value, n, &x) != n || x != floor(x) || x < 0 ||
        x > SEED_MAX)
        return rec_fail(err, REC_RANGE,
                        "seed=%.60s; allowed: a whole number from 0 to 2^53", value);
    *field = (uint64_t)x;
    return REC_OK;
}

static rec_status set_common(sq_model_cfg *cfg, const common_option *o,
                             const char *value, rec_err *err) {
    void *field = (char *)cfg + o->offset;
    switch (o->kind) {
    case SET_ALGORITHM: return REC_OK; /* found before all others */
    case SET_NAME: return replace_name(field, value, err);
    case SET_TEXT: return replace_text(field, value, err);
    case SET_FEEDBACK: return set_feedback(cfg, value, err);
    case SET_WEIGHTS: return signal_parse_weights(value, &cfg->signal, err);
    case SET_DUPLICATES: return set_duplicates(cfg, value, err);
    case SET_TIME: return set_time(field, o->name, value, err);
    case SET_SPAN: return signal_parse_span(value, field, err);
    case SET_COLUMNS: return set_columns(cfg, value, err);
    case SET_FACETS: return facet_parse(value, cfg->facet, &cfg->n_facet, err);
    case SET_SWITCH: return set_switch(field, o->name, value, err);
    case SET_SEED: return set_seed(field, value, err);
    }
    return REC_BUG;
}

/* cf=taste: another model under a label. Setting a label again repoints it. */
static rec_status set_member(sq_model_cfg *cfg, const char *label, const char *model,
                             rec_err *err) {
    for (size_t i = 0; i < cfg->n_member; i++)
        if (sqlite3_stricmp(cfg->member[i].label, label) == 0)
            return replace_text(&cfg->member[i].model, model, err);
    if (cfg->n_member == HYBRID_MAX_MEMBERS)
        return rec_fail(err, REC_RANGE, "more than %d members", HYBRID_MAX_MEMBERS);
    if (strlen(label) >= OPTION_MAX_LABEL)
        return rec_fail(err, REC_RANGE, "the label %.20s... is longer than %d bytes",
                        label, (int)OPTION_MAX_LABEL - 1);
    sq_member *m = &cfg->member[cfg->n_member];
    memset(m, 0, sizeof *m);
    rec_status s = replace_text(&m->model, model, err);
    if (s != REC_OK) return s;
    memcpy(m->label, label, strlen(label) + 1);
    cfg->n_member++;
    return REC_OK;
}

static const common_option *find_common(const char *name) {
    for (size_t i = 0; i < N_COMMON; i++)
        if (sqlite3_stricmp(common_options[i].name, name) == 0)
            return &common_options[i];
    return NULL;
}

static rec_status set_option(sq_model_cfg *cfg, const char *name, const char *value,
                             rec_err *err) {
    const common_option *o = find_common(name);
    if (o) return set_common(cfg, o, value, err);
    bool known = false;
    rec_status s = options_set(&cfg->options, name, value, &known, err);
    if (s != REC_OK || known) return s;
    if (cfg->ops->needs & MODEL_NEEDS_MEMBERS) return set_member(cfg, name, value, err);
    return unknown_option(cfg, name, err);
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static rec_status check_value(const sq_model_cfg *cfg, rec_err *err) {
    if (cfg->value && !cfg->has_feedback)
        return rec_fail(
            err, REC_RANGE,
            "value=%.60s needs feedback=explicit (the value is a rating) or "
            "feedback=implicit (the value is a strength: plays, minutes)",
            cfg->value);
    if (cfg->has_feedback && cfg->signal.feedback == FEEDBACK_EXPLICIT && !cfg->value)
        return rec_fail(err, REC_RANGE,
                        "feedback=explicit needs value=, the column of the rating");
    if (cfg->event && !cfg->signal.n_event)
        return rec_fail(err, REC_RANGE, "event=%.60s needs weights='kind:weight, ...'",
                        cfg->event);
    if (cfg->signal.n_event && !cfg->event)
        return rec_fail(err, REC_RANGE,
                        "weights= needs event=, the column of the kind");
    return REC_OK;
}

static rec_status check_time(const sq_model_cfg *cfg, rec_err *err) {
    static const struct {
        const char *name;
        size_t offset;
    } timed[] = {{"since", FIELD(signal.since)},
                 {"until", FIELD(signal.until)},
                 {"half_life", FIELD(signal.half_life)}};
    for (size_t i = 0; i < 3; i++) {
        double x;
        memcpy(&x, (const char *)cfg + timed[i].offset, sizeof x);
        if (!isnan(x) && !cfg->time)
            return rec_fail(err, REC_RANGE,
                            "%s= needs time=, a column of the interactions",
                            timed[i].name);
    }
    if (cfg->signal.since > cfg->signal.until)
        return rec_fail(err, REC_RANGE,
                        "since= lies after until=: nothing would be left");
    return REC_OK;
}

/* Options that describe a table which is not there would have no effect. */
static rec_status check_tables(const sq_model_cfg *cfg, rec_err *err) {
    const struct {
        const char *name;
        bool is_set;
        const char *table, *needs;
    } rule[] = {
        {"value", cfg->value != NULL, cfg->interactions, "interactions"},
        {"time", cfg->time != NULL, cfg->interactions, "interactions"},
        {"event", cfg->event != NULL, cfg->interactions, "interactions"},
        {"positive", cfg->positive != NULL, cfg->interactions, "interactions"},
        {"item_key", cfg->item_key != NULL, cfg->items, "items"},
        {"title", cfg->title != NULL, cfg->items, "items"},
        {"text", cfg->n_text > 0, cfg->items, "items"},
        {"facets", cfg->n_facet > 0, cfg->items, "items"},
    };
    for (size_t i = 0; i < sizeof rule / sizeof rule[0]; i++)
        if (rule[i].is_set && !rule[i].table)
            return rec_fail(err, REC_RANGE,
                            "%s= needs %s=, the table that it is a column of",
                            rule[i].name, rule[i].needs);
    return REC_OK;
}

static rec_status check_needs(const sq_model_cfg *cfg, rec_err *err) {
    const char *name = cfg->ops->name;
    unsigned needs = cfg->ops->needs;
    if ((needs & MODEL_NEEDS_INTERACTIONS) && !cfg->interactions)
        return rec_fail(err, REC_RANGE,
                        "algorithm=%s needs interactions=, a table or view", name);
    if ((needs & MODEL_NEEDS_ITEMS) && !cfg->items)
        return rec_fail(err, REC_RANGE, "algorithm=%s needs items=, a table or view",
                        name);
    embed_spec spec;
    sq_embed_spec(cfg, &spec);
    if ((embed_needs(&spec) & EMBED_READS_TEXT) && !cfg->n_text)
        return rec_fail(err, REC_RANGE,
                        "embedder=%.80s reads text=, columns of the items table",
                        opt_text(&cfg->options, "embedder"));
    double weight[CATALOG_MAX_FACETS];
    rec_status s = sq_facet_weights(cfg, weight, err);
    if (s != REC_OK) return s;
    if ((needs & MODEL_NEEDS_TEXT) && !cfg->n_text && !cfg->n_facet && !spec.n_column)
        return rec_fail(
            err, REC_RANGE,
            "algorithm=%s needs text= or facets=, columns of the items table", name);
    if ((needs & MODEL_NEEDS_TIME) && !cfg->time)
        return rec_fail(err, REC_RANGE,
                        "algorithm=%s needs time=, a column of the interactions", name);
    if ((needs & MODEL_NEEDS_MEMBERS) && cfg->n_member < HYBRID_MIN_MEMBERS)
        return rec_fail(
            err, REC_RANGE,
            "algorithm=%s needs the names of other models: cf=taste, content=about",
            name);
    if (cfg->lexical && !(needs & MODEL_NEEDS_MEMBERS))
        return rec_fail(err, REC_RANGE, "lexical= is an option of algorithm=hybrid");
    return REC_OK;
}

/* user= and item= default to columns of these names. */
static rec_status fill_defaults(sq_model_cfg *cfg, rec_err *err) {
    rec_status s = REC_OK;
    bool has_own =
        cfg->interactions || cfg->items; /* else they are those of the members */
    if (has_own && !cfg->user) s = replace_text(&cfg->user, "user", err);
    if (s == REC_OK && has_own && !cfg->item) s = replace_text(&cfg->item, "item", err);
    cfg->signal.has_value = cfg->value != NULL;
    cfg->signal.has_time = cfg->time != NULL;
    cfg->signal.has_event = cfg->event != NULL;
    return s;
}

static rec_status finish(sq_model_cfg *cfg, rec_err *err) {
    rec_status s = check_value(cfg, err);
    if (s == REC_OK) s = check_time(cfg, err);
    if (s == REC_OK) s = check_tables(cfg, err);
    if (s == REC_OK) s = check_needs(cfg, err);
    if (s == REC_OK) s = fill_defaults(cfg, err);
    return s;
}

static rec_status find_algorithm(const sq_args *args, sq_model_cfg *cfg, rec_err *err) {
    char names[200];
    model_algorithm_names(names, sizeof names);
    for (size_t i = 0; i < args->n; i++) {
        const sq_arg *a = &args->a[i];
        if (!a->name || sqlite3_stricmp(a->name, "algorithm") != 0) continue;
        cfg->ops = model_algorithm(a->value);
        if (cfg->ops) return REC_OK;
        return rec_fail(err, REC_RANGE, "unknown algorithm %.60s; allowed: %s",
                        a->value, names);
    }
    return rec_fail(err, REC_RANGE, "algorithm= is missing; allowed: %s", names);
}

static rec_status parse(const sq_args *args, sq_model_cfg *cfg, rec_err *err) {
    rec_status s = find_algorithm(args, cfg, err);
    if (s != REC_OK) return s;
    options_init(&cfg->options, cfg->ops->options, cfg->ops->n_options);
    for (size_t i = 0; i < args->n && s == REC_OK; i++) {
        const sq_arg *a = &args->a[i];
        if (!a->name)
            return rec_fail(
                err, REC_RANGE,
                "'%.60s' is no option; a rec_model has no columns of its own, only "
                "name=value",
                a->value);
        s = sq_args_once(args, i, err);
        if (s == REC_OK && *a->value) s = set_option(cfg, a->name, a->value, err);
    }
    return s == REC_OK ? finish(cfg, err) : s;
}

rec_status sq_cfg_parse(const sq_args *args, const char *table, sq_model_cfg *out,
                        rec_err *err) {
    memset(out, 0, sizeof *out);
    out->signal.since = out->signal.until = out->signal.half_life = NAN;
    rec_status s = parse(args, out, err);
    if (s != REC_OK) sq_cfg_clear(out);
    return with_prefix(s, table, err);
}

void sq_cfg_clear(sq_model_cfg *cfg) {
    if (cfg->ops) options_clear(&cfg->options);
    for (size_t i = 0; i < N_COMMON; i++) {
        const common_option *o = &common_options[i];
        if (o->kind != SET_NAME && o->kind != SET_TEXT) continue;
        char **field = (char **)((char *)cfg + o->offset);
        rec_free(*field);
    }
    clear_columns(cfg);
    for (size_t i = 0; i < cfg->n_member; i++) rec_free(cfg->member[i].model);
    memset(cfg, 0, sizeof *cfg);
}
