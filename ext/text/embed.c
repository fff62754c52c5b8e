/* embed.c - which embedders there are, and several of them as one.
 *
 *     embedder = lsa(256), column(image):0.5
 *
 *     item     [ lsa: 256 numbers * sqrt(1/1.5) | image: 512 numbers * sqrt(.5/1.5) ]
 *     sentence [ the same                       | 0 ]
 *
 * Every part is of length 1 before it is scaled by the root of its share of the weights, so the product of two
 * vectors is the weighted mean of the cosines of their parts. A part that an item, or a sentence, does not have
 * is zero and adds nothing; the others are not stretched to make up for it, or an item without an image would
 * beat all those that have one.
 *
 * The names of columns are counted here, so that whoever reads the items knows which to read and where to put
 * them (corpus.column).
 *
 * Invariants
 *   E1  at[] is ascending, and dim the sum of all dims, at most VEC_MAX_DIM.
 *   E2  with one part, scale is 1 and its rows are used as they are.
 *
 * Stored: u32 parts, then each: str name, str arg, u32 column, f64 weight, and what its save wrote.
 */
#include "embed.h"

#include <math.h>

static const embedder_ops *const embedders[] = {
    &lsa_embedder,
    &static_embedder,
    &llm_embedder,
    &column_embedder,
};
#define N_EMBEDDERS (sizeof embedders / sizeof embedders[0])

static const embedder_ops *find(const char *name, size_t n) {
    for (size_t i = 0; i < N_EMBEDDERS; i++)
        if (strlen(embedders[i]->name) == n && memcmp(embedders[i]->name, name, n) == 0)
            return embedders[i];
    return NULL;
}

/* ---- embedder='...' -------------------------------------------------------------------- */

static const char *skip(const char *s) {
    return s + strspn(s, " \t\r\n");
}

static rec_status refuse(const char *whole, const char *at, const char *want,
                         rec_err *err) {
    return rec_fail(err, REC_RANGE, "embedder=%.80s: expected %s at '%.30s'", whole,
                    want, at);
}

static rec_status unknown(const char *whole, const char *name, size_t n, rec_err *err) {
    char list[160];
    size_t at = 0;
    for (size_t i = 0; i < N_EMBEDDERS; i++)
        at += rec_format(list + at, sizeof list - at, "%s%s", i ? ", " : "",
                         embedders[i]->usage);
    return rec_fail(err, REC_RANGE, "embedder=%.80s: there is no %.*s; allowed: %s",
                    whole, (int)(n < 40 ? n : 40), name, list);
}

/* (arg): bare up to the bracket, or in quotes that are doubled within. */
static rec_status read_arg(const char *whole, const char **at, embed_part *p,
                           rec_err *err) {
    const char *s = skip(*at);
    size_t n = 0;
    p->arg[0] = 0;
    if (*s != '(') return REC_OK;
    s = skip(s + 1);
    char quote = *s == '\'' || *s == '"' ? *s++ : 0;
    while (*s && (quote ? *s != quote || s[1] == quote : *s != ')')) {
        if (n + 1 == sizeof p->arg)
            return rec_fail(err, REC_RANGE,
                            "embedder=%.40s...: more than %d bytes in the brackets",
                            whole, EMBED_MAX_ARG - 1);
        p->arg[n++] = *s;
        s += quote && *s == quote ? 2 : 1;
    }
    while (!quote && n && strchr(" \t\r\n", p->arg[n - 1])) n--;
    p->arg[n] = 0;
    if (quote && *s++ != quote) return refuse(whole, s - 1, "a closing quote", err);
    s = skip(s);
    if (*s != ')') return refuse(whole, s, "a closing bracket", err);
    *at = s + 1;
    return REC_OK;
}

static rec_status read_weight(const char *whole, const char **at, embed_part *p,
                              rec_err *err) {
    const char *s = skip(*at);
    p->weight = 1;
    if (*s != ':') return REC_OK;
    s = skip(s + 1);
    size_t n = rec_parse_number(s, strlen(s), &p->weight);
    if (!n || !(p->weight >= EMBED_MIN_WEIGHT && p->weight <= EMBED_MAX_WEIGHT))
        return refuse(whole, s, "a weight from .001 to 1000", err);
    *at = s + n;
    return REC_OK;
}

static rec_status read_part(const char *whole, const char **at, embed_part *p,
                            rec_err *err) {
    const char *s = skip(*at);
    size_t n = strcspn(s, "( \t\r\n:,");
    *p = (embed_part){.ops = find(s, n)};
    if (!p->ops) return unknown(whole, s, n, err);
    *at = s + n;
    rec_status st = read_arg(whole, at, p, err);
    if (!st) st = read_weight(whole, at, p, err);
    return st ? st : p->ops->parse(p, err);
}

static bool is_same(const embed_part *a, const embed_part *b) {
    return a->ops == b->ops && strcmp(a->arg, b->arg) == 0;
}

rec_status embed_parse(const char *text, embed_spec *out, rec_err *err) {
    const char *s = text;
    *out = (embed_spec){.n = 0};
    for (;;) {
        if (out->n == EMBED_MAX_PARTS)
            return rec_fail(err, REC_RANGE, "embedder=%.60s: more than %d parts", text,
                            EMBED_MAX_PARTS);
        embed_part *p = &out->part[out->n];
        rec_status st = read_part(text, &s, p, err);
        if (st) return st;
        for (size_t i = 0; i < out->n; i++)
            if (is_same(p, &out->part[i]))
                return rec_fail(err, REC_RANGE, "embedder=%.60s: %s stands there twice",
                                text, p->ops->name);
        if (p->ops->needs & EMBED_READS_COLUMN) p->column = out->n_column++;
        out->n++;
        s = skip(s);
        if (!*s) return REC_OK;
        if (*s++ != ',') return refuse(text, s - 1, "a comma", err);
    }
}

unsigned embed_needs(const embed_spec *s) {
    unsigned needs = 0;
    for (size_t i = 0; i < s->n; i++) needs |= s->part[i].ops->needs;
    return needs;
}

const char *embed_column(const embed_spec *s, size_t i) {
    for (size_t k = 0; k < s->n; k++)
        if ((s->part[k].ops->needs & EMBED_READS_COLUMN) && s->part[k].column == i)
            return s->part[k].arg;
    return NULL;
}

/* ---- several as one -------------------------------------------------------------------------- */

void embed_set_clear(embed_set *s) {
    for (size_t i = 0; i < s->n; i++)
        if (s->made[i]) s->made[i]->ops->close(s->made[i]);
    *s = (embed_set){.n = 0};
}

/* E1 and E2, once every part is there. */
static rec_status lay_out(embed_set *s, rec_err *err) {
    double sum = 0;
    size_t dim = 0;
    for (size_t i = 0; i < s->n; i++) sum += s->part[i].weight;
    for (size_t i = 0; i < s->n; i++) {
        s->at[i] = (uint32_t)dim;
        s->scale[i] = (float)sqrt(s->part[i].weight / sum);
        dim += s->made[i]->ops->dim(s->made[i]);
        if (dim > VEC_MAX_DIM)
            return rec_fail(err, REC_RANGE,
                            "embedder: %zu numbers an item, allowed are %d", dim,
                            VEC_MAX_DIM);
    }
    s->dim = (uint32_t)dim;
    return REC_OK;
}

/* The rows of all parts, side by side; those of one part move as they are. */
static rec_status join(const embed_set *s, mat *part, size_t n_rows, mat *out,
                       rec_err *err) {
    if (s->n == 1) {
        *out = part[0];
        part[0] = (mat){0};
        return REC_OK;
    }
    rec_status st = mat_init(out, n_rows, s->dim, err);
    for (size_t k = 0; !st && k < s->n; k++)
        for (size_t i = 0; i < n_rows && i < part[k].n_rows; i++)
            vec_kernels()->axpy(mat_row(out, i) + s->at[k], s->scale[k],
                                mat_row(&part[k], i), part[k].dim);
    return st;
}

rec_status embed_set_fit(const embed_spec *s, const embed_fit_args *args,
                         embed_set *out, mat *items, rec_err *err) {
    mat part[EMBED_MAX_PARTS] = {{0}};
    rec_status st = REC_OK;
    *out = (embed_set){.n = s->n};
    *items = (mat){0};
    memcpy(out->part, s->part, sizeof out->part);
    for (size_t i = 0; !st && i < s->n; i++) {
        embed_fit_args one = *args;
        one.part = &s->part[i];
        st = s->part[i].ops->fit(&one, &out->made[i], &part[i], err);
    }
    if (!st) st = lay_out(out, err);
    if (!st) st = join(out, part, corpus_n_docs(args->items), items, err);
    for (size_t i = 0; i < s->n; i++) mat_clear(&part[i]);
    if (st) {
        embed_set_clear(out);
        mat_clear(items);
    }
    return st;
}

rec_status embed_set_items(const embed_set *s, const corpus *c, mat *rows,
                           rec_err *err) {
    mat part[EMBED_MAX_PARTS] = {{0}};
    rec_status st = REC_OK;
    *rows = (mat){0};
    for (size_t i = 0; !st && i < s->n; i++)
        st = s->made[i]->ops->items(s->made[i], c, &s->part[i], &part[i], err);
    if (!st) st = join(s, part, corpus_n_docs(c), rows, err);
    for (size_t i = 0; i < s->n; i++) mat_clear(&part[i]);
    if (st) mat_clear(rows);
    return st;
}

rec_status embed_set_text(const embed_set *s, const embed_env *env, const char *text,
                          size_t nbyte, float *out, bool *known, rec_err *err) {
    rec_status st = REC_OK;
    *known = false;
    memset(out, 0, s->dim * sizeof *out);
    for (size_t i = 0; !st && i < s->n; i++) {
        bool knows = false;
        float *x = out + s->at[i];
        st = s->made[i]->ops->text(s->made[i], env, text, nbyte, x, &knows, err);
        uint32_t dim = s->made[i]->ops->dim(s->made[i]);
        for (uint32_t k = 0; !st && s->n > 1 && k < dim; k++) x[k] *= s->scale[i];
        *known = *known || knows;
    }
    return st;
}

const lsa *embed_set_language(const embed_set *s, uint32_t *at, float *scale) {
    for (size_t i = 0; i < s->n; i++) {
        const lsa *l = s->made[i]->ops->language(s->made[i]);
        if (!l) continue;
        *at = s->at[i];
        *scale = s->n > 1 ? s->scale[i] : 1;
        return l;
    }
    return NULL;
}

bool embed_set_asks(const embed_set *s) {
    for (size_t i = 0; i < s->n; i++)
        if (s->part[i].ops->needs & EMBED_ASKS_SERVER) return true;
    return false;
}

size_t embed_set_nbyte(const embed_set *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += s->made[i]->ops->nbyte(s->made[i]);
    return n;
}

/* ---- stored form ------------------------------------------------------------------------------------ */

void embed_set_save(const embed_set *s, bytes_writer *w) {
    bytes_put_u32(w, (uint32_t)s->n);
    for (size_t i = 0; i < s->n; i++) {
        const embed_part *p = &s->part[i];
        bytes_put_str(w, p->ops->name, strlen(p->ops->name));
        bytes_put_str(w, p->arg, strlen(p->arg));
        bytes_put_u32(w, (uint32_t)p->column);
        bytes_put_f64(w, p->weight);
        p->ops->save(s->made[i], w);
    }
}

static rec_status load_part(bytes_reader *r, embed_set *s, rec_err *err) {
    embed_part *p = &s->part[s->n];
    size_t n_name, n_arg;
    const char *name = bytes_get_str(r, &n_name), *arg = bytes_get_str(r, &n_arg);
    p->column = bytes_get_u32(r);
    p->weight = bytes_get_f64(r);
    p->ops = name ? find(name, n_name) : NULL;
    if (r->status || !p->ops || !arg || n_arg >= sizeof p->arg ||
        p->column >= CORPUS_MAX_COLUMNS ||
        !(p->weight >= EMBED_MIN_WEIGHT && p->weight <= EMBED_MAX_WEIGHT))
        return rec_corrupt(err, "embedder: part %zu has no known form", s->n);
    memcpy(p->arg, arg, n_arg);
    p->arg[n_arg] = 0;
    rec_status st = p->ops->load(r, &s->made[s->n], err);
    if (!st) s->n++;
    return st;
}

rec_status embed_set_load(bytes_reader *r, embed_set *out, rec_err *err) {
    uint32_t n = bytes_get_u32(r);
    *out = (embed_set){.n = 0};
    if (r->status || n < 1 || n > EMBED_MAX_PARTS)
        return rec_corrupt(err, "embedder: %u parts", n);
    rec_status st = REC_OK;
    while (!st && out->n < n) st = load_part(r, out, err);
    if (!st && lay_out(out, NULL))
        st = rec_corrupt(err, "embedder: more numbers an item than allowed");
    if (st) embed_set_clear(out);
    return st;
}
