/* model.c - the registry of algorithms, and their options.
 *
 * An algorithm is one file with one struct of functions, and one line in model_algorithms[].
 * Its options are a static table (name, kind, bounds, default, help); everything that
 * CREATE VIRTUAL TABLE says about an option is checked here against that table, so that no
 * algorithm has to doubt its own numbers:
 *
 *     'factors=128'  --options_set-->  OPT_INT 1..1024  -->  opt_num(o, "factors") == 128
 *     'weighted(.3)' --options_set-->  OPT_FORM         -->  opt_num(o, "gate") == .3
 *
 * Invariants
 *   I1  num[i] lies within min..max of option i at all times.
 *   I2  text[i] is NULL until the option is set, and then what the user wrote.
 *   I3  A refused value leaves the options as they were.
 */
#include "model.h"

#include <math.h>

/* ---- registry ------------------------------------------------------------------------- */

static const rec_model_ops *const model_algorithms[] = {
    &popularity_ops, &als_ops,       &graph_ops,    &content_ops,
    &hybrid_ops,     &itemknn_ops,   &bpr_ops,      &ease_ops,
    &lightgcn_ops,   &two_tower_ops, &sequence_ops,
};
#define MODEL_N_ALGORITHMS (sizeof model_algorithms / sizeof model_algorithms[0])

const rec_model_ops *model_algorithm(const char *name) {
    for (size_t i = 0; i < MODEL_N_ALGORITHMS; i++)
        if (strcmp(model_algorithms[i]->name, name) == 0) return model_algorithms[i];
    return NULL;
}

void model_algorithm_names(char *out, size_t cap) {
    size_t at = 0;
    if (cap) out[0] = 0;
    for (size_t i = 0; i < MODEL_N_ALGORITHMS && at < cap; i++)
        at += rec_format(out + at, cap - at, "%s%s", i ? ", " : "",
                         model_algorithms[i]->name);
}

uint32_t model_previous_item(const model_fit_args *a, uint32_t item) {
    uint32_t was = a->previous_item ? a->previous_item[item] : item;
    return a->previous && was < a->previous->ops->n_items(a->previous) ? was
                                                                       : KEYS_NONE;
}

/* ---- reading one value ------------------------------------------------------------------ */

static const char *skip_space(const char *s) {
    while (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r') s++;
    return s;
}

/* The whole of s (but for surrounding blanks) as a finite number. */
static bool read_number(const char *s, double *out) {
    s = skip_space(s);
    size_t n = rec_parse_number(s, strlen(s), out);
    return n && isfinite(*out) && *skip_space(s + n) == 0;
}

/* Place of the n bytes at s in "a|b|c", or -1. */
static int find_choice(const char *choices, const char *s, size_t n) {
    for (int at = 0; choices; at++) {
        const char *bar = strchr(choices, '|');
        size_t len = bar ? (size_t)(bar - choices) : strlen(choices);
        if (len == n && memcmp(choices, s, n) == 0) return at;
        choices = bar ? bar + 1 : NULL;
    }
    return -1;
}

/* "weighted(.3)", "weighted( .3 )" or "weighted". *num is NaN when there is no bracket. */
static bool read_form(const char *s, const char *choices, double *num) {
    s = skip_space(s);
    size_t n = strcspn(s, "( \t");
    *num = NAN;
    if (n == 0 || find_choice(choices, s, n) < 0) return false;
    s = skip_space(s + n);
    if (*s == 0) return true;
    if (*s != '(') return false;
    s = skip_space(s + 1);
    size_t used = rec_parse_number(s, strlen(s), num);
    s = skip_space(s + used);
    return used && isfinite(*num) && *s == ')' && *skip_space(s + 1) == 0;
}

static rec_status refuse_range(const model_option *d, const char *value, rec_err *err) {
    return rec_fail(err, REC_RANGE, "%s=%.80s is out of range (%g..%g)", d->name, value,
                    d->min, d->max);
}

static rec_status refuse_choice(const model_option *d, const char *value,
                                rec_err *err) {
    char list[160];
    size_t at = 0;
    for (const char *c = d->choices; *c && at + 3 < sizeof list; c++) {
        if (*c == '|')
            list[at++] = ',', list[at++] = ' ';
        else
            list[at++] = *c;
    }
    list[at] = 0;
    if (d->kind == OPT_FORM)
        return rec_fail(err, REC_RANGE, "%s=%.80s is not one of: %s(%g..%g)", d->name,
                        value, list, d->min, d->max);
    return rec_fail(err, REC_RANGE, "%s=%.80s is not one of: %s", d->name, value, list);
}

static rec_status read_value(const model_option *d, const char *value, double *num,
                             rec_err *err) {
    *num = 0;
    switch (d->kind) {
    case OPT_INT:
    case OPT_REAL:
        if (!read_number(value, num))
            return rec_fail(err, REC_RANGE, "%s=%.80s is not a number (%g..%g)",
                            d->name, value, d->min, d->max);
        if (d->kind == OPT_INT && *num != floor(*num))
            return rec_fail(err, REC_RANGE, "%s=%.80s is not a whole number (%g..%g)",
                            d->name, value, d->min, d->max);
        break;
    case OPT_ENUM: {
        const char *s = skip_space(value);
        size_t n = strlen(s);
        while (n && strchr(" \t\r\n", s[n - 1])) n--;
        int at = find_choice(d->choices, s, n);
        if (at < 0) return refuse_choice(d, value, err);
        *num = at;
        return REC_OK;
    }
    case OPT_FORM:
        if (!read_form(value, d->choices, num)) return refuse_choice(d, value, err);
        if (isnan(*num) && !read_form(d->def, d->choices, num)) return REC_BUG;
        break;
    case OPT_EMBEDDER: {
        embed_spec spec;
        return embed_parse(value, &spec, err);
    }
    case OPT_TEXT: return REC_OK;
    }
    return *num < d->min || *num > d->max ? refuse_range(d, value, err) : REC_OK;
}

/* ---- a set of options ------------------------------------------------------------------- */

void options_init(model_options *o, const model_option *def, size_t n) {
    memset(o, 0, sizeof *o);
    o->def = def;
    o->n = n < MODEL_MAX_OPTIONS ? n : MODEL_MAX_OPTIONS;
    for (size_t i = 0; i < o->n; i++)
        if (def[i].def) read_value(&def[i], def[i].def, &o->num[i], NULL);
}

void options_clear(model_options *o) {
    for (size_t i = 0; i < o->n; i++) rec_free(o->text[i]);
    memset(o, 0, sizeof *o);
}

static int find_option(const model_options *o, const char *name) {
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->def[i].name, name) == 0) return (int)i;
    return -1;
}

rec_status options_set(model_options *o, const char *name, const char *value,
                       bool *known, rec_err *err) {
    int i = find_option(o, name);
    *known = i >= 0;
    if (i < 0) return REC_OK;
    double num;
    rec_status st = read_value(&o->def[i], value, &num, err);
    if (st) return st;
    char *copy = rec_strdup(value);
    if (!copy) return rec_nomem(err);
    rec_free(o->text[i]);
    o->text[i] = copy;
    o->num[i] = num;
    o->is_set[i] = true;
    return REC_OK;
}

double opt_num(const model_options *o, const char *name) {
    int i = find_option(o, name);
    return i < 0 ? 0 : o->num[i];
}

const char *opt_text(const model_options *o, const char *name) {
    int i = find_option(o, name);
    if (i < 0) return NULL;
    return o->text[i] ? o->text[i] : o->def[i].def;
}
