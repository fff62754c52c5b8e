/* sq_score.c - one score for every item, and who made it.
 *
 *   profile --> model_query --knows?--> model->score        source model | fold_in | content
 *                               \-----> popularity          source popularity
 *   items that the model has no row for: its cold_score,    source popularity
 *
 *   hybrid:  member 1  [.3  1.2  NaN  .. ]  --.
 *            member 2  [.1  NaN  .4   .. ]  --+--> hybrid_blend --> score, gate
 *            lexical   [ 0   2.1  0   .. ]  --'    NaN: the member has nothing to say of the item
 *
 * "Never empty without cause": every item of the catalogue gets a finite score for anybody. What falls back says
 * so in `source`, and in a hybrid it speaks only where nobody else does, below everything that was said.
 *
 * A sentence goes to the members that read texts. It asks for something in particular, so it lowers the share of
 * those that do not; words of lexical= are a part of their own. Likeness to
 * the items that a request names as examples joins the finished score of any model.
 *
 * I1. Scores are finite and of length n = items of the catalogue.
 * I2. source[i] is the strongest statement on item i: model or fold_in, content, popularity.
 * I3. cf and content of a hybrid are the native scores of its members (weighted means), NaN where none spoke.
 *
 * Cost: one pass of the model over its items, plus O(n) a member.
 */
#include "sq_gate.h"
#include "sq_preferences.h"

#include <math.h>

/* Against the members' 1, where weights are found by training: words of lexical=. */
#define LEXICAL_SHARE 0.25
/* Added words that are searched for. */
#define QUERY_MAX_ADDED 4
/* Likeness to the named examples, against the rest of the score; "like X" is first of all about
 * what X is, so little is left of the collaborative members. */
#define EXAMPLE_WEIGHT   1.1
#define EXAMPLE_CF_SHARE 0.25
/* How far below the last blended score the items of which nobody speaks begin. */
#define FALLBACK_DROP 1.0

const char *score_source_name(score_source s) {
    switch (s) {
    case SOURCE_MODEL: return "model";
    case SOURCE_FOLD_IN: return "fold_in";
    case SOURCE_CONTENT: return "content";
    case SOURCE_POPULARITY: return "popularity";
    }
    return "popularity";
}

void sq_scores_clear(sq_scores *s) {
    rec_free(s->score);
    rec_free(s->source);
    rec_free(s->cf);
    rec_free(s->content);
    rec_free(s->gate);
    memset(s, 0, sizeof *s);
}

static rec_status scores_init(sq_scores *s, size_t n, bool is_hybrid, rec_err *err) {
    memset(s, 0, sizeof *s);
    s->n = n;
    s->score = rec_zeros(n, sizeof *s->score);
    s->source = rec_zeros(n, sizeof *s->source);
    if (is_hybrid) {
        s->cf = rec_array(n, sizeof *s->cf);
        s->content = rec_array(n, sizeof *s->content);
        s->gate = rec_zeros(n, sizeof *s->gate);
    }
    if (s->score && s->source && (!is_hybrid || (s->cf && s->content && s->gate)))
        return REC_OK;
    sq_scores_clear(s);
    return rec_nomem(err);
}

/* ---- the question, in the numbers of a model ------------------------------------------------------- */

void sq_asked_clear(sq_asked *a) {
    rec_free(a->row);
    rec_free(a->item);
    rec_free(a->weight);
    rec_free(a->value);
    rec_free(a->time);
    bytes_clear(&a->text);
}

/* Does the text model have a word of it? */
static bool says_something(const sq_view *v, const char *text, size_t nbyte) {
    const rec_model *m = v->model;
    const lsa *l = m && m->ops->language ? m->ops->language(m) : NULL;
    return !l || lsa_knows(l, text, nbyte);
}

/* The sentence; what a rewrite added to it only where the sentence says nothing to the model. (Mixed in they lose:
 * films with a keyword among the first ten, .19 without them, .13 with four; the film of a tagline, mean
 * reciprocal rank .037 and .028.) */
static rec_status ask_text(const sq_view *v, const sq_who *who, sq_asked *a,
                           rec_err *err) {
    const query_request *r = who->request;
    const char *query = who->query;
    size_t n = who->n_query;
    if (!query && r && r->query) {
        query = r->query;
        n = strlen(query);
    }
    if (query) bytes_put(&a->text, query, n);
    bool is_enough = query && says_something(v, query, n);
    for (size_t i = 0; r && !is_enough && i < r->expansions.n && i < QUERY_MAX_ADDED;
         i++) {
        bytes_puts(&a->text, " ");
        bytes_puts(&a->text, r->expansions.a[i]);
    }
    if (a->text.status != REC_OK) return rec_nomem(err);
    if (a->text.n) {
        a->q.text = (const char *)a->text.data;
        a->q.n_text = a->text.n;
    }
    return REC_OK;
}

rec_status sq_ask(const sq_view *v, const sq_profile *p, sq_asked *a, rec_err *err) {
    size_t n;
    memset(a, 0, sizeof *a);
    rec_status s = sq_profile_for_model(v, p, &a->row, &n, err);
    if (s != REC_OK) return s;
    a->item = rec_array(n, sizeof *a->item);
    a->weight = rec_array(n, sizeof *a->weight);
    a->value = rec_array(n, sizeof *a->value);
    a->time = rec_array(n, sizeof *a->time);
    if (!a->item || !a->weight || !a->value || !a->time) return rec_nomem(err);
    for (size_t i = 0; i < n; i++) {
        a->item[i] = a->row[i].item;
        a->weight[i] = a->row[i].weight;
        a->value[i] = a->row[i].value;
        a->time[i] = a->row[i].time;
    }
    a->q = (model_query){.item = a->item,
                         .weight = a->weight,
                         .value = a->value,
                         .time = a->time,
                         .n = n,
                         .env = &v->conn->env};
    return ask_text(v, &p->who, a, err);
}

static bool has_request(const sq_who *who) {
    const query_request *r = who->request;
    if (r && r->n_like) return true;
    return (who->query && who->n_query) ||
           (r && ((r->query && r->query[0]) || r->expansions.n));
}

/* ---- one model ------------------------------------------------------------------------------------------- */

score_source sq_model_source(const sq_view *v, const sq_profile *p) {
    if (v->cfg.ops == &popularity_ops) return SOURCE_POPULARITY;
    if (v->cfg.ops->needs & MODEL_NEEDS_TEXT) return SOURCE_CONTENT;
    return p->is_fresh ? SOURCE_FOLD_IN : SOURCE_MODEL;
}

/* Scores of a model over its own items -> over the catalogue. */
static void spread(const sq_view *v, const float *raw, size_t n_raw, float cold,
                   score_source source, sq_scores *out) {
    for (size_t i = 0; i < out->n; i++) {
        uint32_t m = v->model_item[i];
        bool has_row = m < n_raw;
        float x = has_row ? raw[m] : cold;
        out->score[i] = isfinite(x) ? x : 0;
        out->source[i] = (uint8_t)(has_row ? source : SOURCE_POPULARITY);
    }
}

static rec_status run_model(const rec_model *m, const model_query *q, float **raw,
                            size_t *n, rec_err *err) {
    *n = m->ops->n_items(m);
    *raw = rec_array(*n, sizeof **raw);
    if (!*raw) return rec_nomem(err);
    return m->ops->score(m, q, NULL, *n, *raw, err);
}

static float cold_of(const rec_model *m, const model_query *q) {
    return m->ops->cold_score ? m->ops->cold_score(m, q) : 0;
}

static rec_status score_model(sq_view *v, const sq_profile *p, sq_scores *out,
                              rec_err *err) {
    sq_asked a;
    float *raw = NULL;
    size_t n_raw;
    rec_status s = scores_init(out, catalog_n_items(v->items), false, err);
    if (s != REC_OK) return s;
    s = sq_ask(v, p, &a, err);
    if (s == REC_OK && v->model->ops->knows(v->model, &a.q)) {
        s = run_model(v->model, &a.q, &raw, &n_raw, err);
        if (s == REC_OK)
            spread(v, raw, n_raw, cold_of(v->model, &a.q), sq_model_source(v, p), out);
    } else if (s == REC_OK) {
        s = run_model(v->popularity, &a.q, &raw, &n_raw, err);
        if (s == REC_OK)
            spread(v, raw, n_raw, cold_of(v->popularity, &a.q), SOURCE_POPULARITY, out);
    }
    rec_free(raw);
    sq_asked_clear(&a);
    if (s != REC_OK) sq_scores_clear(out);
    return s;
}

/* ---- alike --------------------------------------------------------------------------------------------------------------- */

static rec_status similar_model(sq_view *v, uint32_t item, float *out,
                                score_source *source, rec_err *err) {
    size_t n = catalog_n_items(v->items);
    uint32_t m = v->model_item[item];
    for (size_t i = 0; i < n; i++) out[i] = NAN;
    *source = v->cfg.ops->needs & MODEL_NEEDS_TEXT ? SOURCE_CONTENT : SOURCE_MODEL;
    if (v->cfg.ops == &popularity_ops) *source = SOURCE_POPULARITY;
    if (m == KEYS_NONE || !v->model->ops->similar) return REC_OK;
    size_t n_model = v->model->ops->n_items(v->model);
    float *raw = rec_array(n_model, sizeof *raw);
    if (!raw) return rec_nomem(err);
    rec_status s = v->model->ops->similar(v->model, m, raw, err);
    for (size_t i = 0; s == REC_OK && i < n; i++)
        if (v->model_item[i] < n_model) out[i] = raw[v->model_item[i]];
    rec_free(raw);
    return s;
}

/* Weighted mean of the members that know both items; cf_share: what is left of the collaborative ones' weight. */
static rec_status similar_hybrid(sq_view *v, uint32_t item, double cf_share, float *out,
                                 score_source *source, rec_err *err) {
    size_t n = catalog_n_items(v->items);
    double *weight = rec_zeros(n, sizeof *weight);
    rec_status s = weight ? REC_OK : rec_nomem(err);
    for (size_t i = 0; i < n; i++) out[i] = 0;
    *source = SOURCE_POPULARITY;
    for (size_t m = 0; m < v->n_member && s == REC_OK; m++) {
        const struct sq_view_member *mem = &v->member[m];
        double w = mem->weight * (mem->is_content ? 1 : cf_share);
        score_source from;
        if (mem->item[item] == KEYS_NONE) continue;
        float *part = rec_array(catalog_n_items(mem->view->items), sizeof *part);
        s = part ? sq_similar(mem->view, mem->item[item], part, &from, err)
                 : rec_nomem(err);
        for (size_t i = 0; s == REC_OK && i < n; i++) {
            float x = mem->item[i] == KEYS_NONE ? NAN : part[mem->item[i]];
            if (!isfinite(x)) continue;
            out[i] += (float)w * x;
            weight[i] += w;
            if (from < *source) *source = from;
        }
        rec_free(part);
    }
    for (size_t i = 0; s == REC_OK && i < n; i++)
        out[i] = weight[i] > 0 ? out[i] / (float)weight[i] : NAN;
    rec_free(weight);
    return s;
}

rec_status sq_similar(sq_view *v, uint32_t item, float *out, score_source *source,
                      rec_err *err) {
    rec_status s = sq_view_require_trained(v, err);
    if (s != REC_OK) return s;
    return v->n_member ? similar_hybrid(v, item, 1, out, source, err)
                       : similar_model(v, item, out, source, err);
}

/* ---- hybrids ---------------------------------------------------------------------------------------------------- */

static rec_status score_plain(sq_view *v, const sq_profile *p, rec_run *run,
                              sq_scores *out, rec_err *err);

typedef struct blend {
    sq_view *v;
    const sq_profile *p;
    sq_scores *member;               /* [n_member] owned */
    float *part[HYBRID_MAX_MEMBERS]; /* [n] owned: over the items of the hybrid */
    hybrid_part desc[HYBRID_MAX_MEMBERS];
    size_t n_part;
    sq_scores *out;
} blend;

static void blend_clear(blend *b) {
    for (size_t i = 0; b->member && i < b->v->n_member; i++)
        sq_scores_clear(&b->member[i]);
    rec_free(b->member);
    for (size_t i = 0; i < b->n_part; i++) rec_free(b->part[i]);
}

/* Does the member itself say something of its item j, rather than fall back? */
static bool speaks(const blend *b, size_t m, uint32_t j) {
    const sq_view *mv = b->v->member[m].view;
    return b->member[m].source[j] != SOURCE_POPULARITY ||
           mv->cfg.ops == &popularity_ops;
}

static rec_status add_part(blend *b, double weight, bool is_content, rec_err *err) {
    float *part = rec_array(b->out->n, sizeof *part);
    if (!part) return rec_nomem(err);
    b->part[b->n_part] = part;
    b->desc[b->n_part++] = (hybrid_part){part, weight, is_content};
    return REC_OK;
}

static rec_status score_member(blend *b, size_t m, rec_run *run, rec_err *err) {
    const struct sq_view_member *mem = &b->v->member[m];
    double weight = mem->weight;
    if (!mem->is_content && has_request(&b->p->who)) weight *= SQ_QUERY_CF_SHARE;

    rec_status s = score_plain(mem->view, &b->p->member[m], run, &b->member[m], err);
    if (s == REC_OK) s = add_part(b, weight, mem->is_content, err);
    if (s != REC_OK) return s;
    float *part = b->part[b->n_part - 1];
    for (size_t i = 0; i < b->out->n; i++) {
        uint32_t j = mem->item[i];
        part[i] = j != KEYS_NONE && speaks(b, m, j) ? b->member[m].score[j] : NAN;
    }
    return REC_OK;
}

/* I2 and I3. Returns whether anybody spoke for the item. */
static bool describe(blend *b, size_t i) {
    double sum[2] = {0, 0}, weight[2] = {0, 0};
    int best = SOURCE_POPULARITY;
    bool is_said = false;
    for (size_t m = 0; m < b->v->n_member; m++) {
        uint32_t j = b->v->member[m].item[i];
        if (!isfinite(b->part[m][i])) continue;
        bool is_content = b->v->member[m].is_content;
        double w = b->desc[m].weight > 0 ? b->desc[m].weight : 1e-9;
        sum[is_content] += w * (double)b->part[m][i];
        weight[is_content] += w;
        if (b->member[m].source[j] < best) best = b->member[m].source[j];
        is_said = true;
    }
    b->out->cf[i] = weight[0] > 0 ? (float)(sum[0] / weight[0]) : NAN;
    b->out->content[i] = weight[1] > 0 ? (float)(sum[1] / weight[1]) : NAN;
    b->out->source[i] = (uint8_t)best;
    return is_said;
}

/* What a member's popularity gives for item i, 0 if it does not know the item. */
static float fallback_score(const blend *b, size_t i) {
    for (size_t m = 0; m < b->v->n_member; m++) {
        uint32_t j = b->v->member[m].item[i];
        if (j != KEYS_NONE && b->member[m].source[j] == SOURCE_POPULARITY)
            return b->member[m].score[j];
    }
    return 0;
}

/* Items of which nobody said anything stand below all others, in the order of popularity. */
static void place_silent(blend *b, const bitmap *said) {
    float lowest = 0, least = INFINITY, most = -INFINITY;
    bool any = false;
    for (size_t i = 0; i < b->out->n; i++) {
        if (bitmap_has(said, i)) {
            if (!any || b->out->score[i] < lowest) lowest = b->out->score[i];
            any = true;
        } else {
            float x = fallback_score(b, i);
            least = fminf(least, x);
            most = fmaxf(most, x);
        }
    }
    for (size_t i = 0; i < b->out->n; i++) {
        if (bitmap_has(said, i)) continue;
        float x = fallback_score(b, i);
        /* With nobody speaking at all the plain popularity is the score. */
        float within = most > least ? (x - least) / (most - least) : 0;
        b->out->score[i] = any ? lowest - 2 * (float)FALLBACK_DROP + within : x;
        b->out->source[i] = SOURCE_POPULARITY;
        b->out->gate[i] = 0;
    }
}

/* A member without weight (gate=weighted(1)) speaks only of items that nobody with weight knows. */
static void hush_weightless(blend *b) {
    for (size_t i = 0; i < b->out->n; i++) {
        bool is_known = false;
        for (size_t k = 0; k < b->n_part; k++)
            if (b->desc[k].weight > 0 && isfinite(b->part[k][i])) is_known = true;
        for (size_t k = 0; is_known && k < b->n_part; k++)
            if (!(b->desc[k].weight > 0)) b->part[k][i] = NAN;
    }
    for (size_t k = 0; k < b->n_part; k++)
        if (!(b->desc[k].weight > 0)) b->desc[k].weight = 1;
}

/* ---- weights that training found --------------------------------------------------------------------- */

/* I1 of sq_gate.c: as a batch would list them. */
static rec_status list_part(const blend *b, size_t k, gate_list *out, rec_err *err) {
    topk best = {0};
    const sq_view *v = b->v;
    const float *score = b->part[k];
    const bitmap *seen = &b->p->seen;
    size_t cap = GATE_LIST + bitmap_count(seen);
    memset(out, 0, sizeof *out);
    rec_status s = topk_init(&best, GATE_LIST, err);
    for (uint32_t at = 0; s == REC_OK && at < b->out->n; at++) {
        uint32_t item = v->tie_item[at];
        if (isfinite(score[item]) && !bitmap_has(seen, item))
            topk_push(&best, -score[item], at);
    }
    if (s == REC_OK) topk_sort(&best);
    out->item = rec_array(cap, sizeof *out->item);
    out->score = rec_array(cap, sizeof *out->score);
    if (s == REC_OK && (!out->item || !out->score)) s = rec_nomem(err);
    for (; s == REC_OK && out->n < best.n; out->n++) {
        out->item[out->n] = v->tie_item[best.a[out->n].id];
        out->score[out->n] = -best.a[out->n].value;
    }
    for (uint32_t i = 0; out->n && i < b->out->n; i++) {
        if (!bitmap_has(seen, i) || !isfinite(score[i]) ||
            score[i] < out->score[out->n - 1])
            continue;
        out->item[out->n + out->n_had] = i;
        out->score[out->n + out->n_had++] = score[i];
    }
    topk_clear(&best);
    return s;
}

/* Every item by its own scores, and how far the collaborative members are leaned on. */
static void score_all(blend *b, const gate_ask *ask) {
    double w[HYBRID_MAX_MEMBERS];
    for (uint32_t i = 0; i < b->out->n; i++) {
        double sum = 0, cf = 0;
        gate_weights(b->v->gate, ask, i, w);
        for (size_t k = 0; k < b->n_part; k++) {
            double share = k < ask->n_member ? w[k] : ask->extra[0];
            const gate_scale *scale = &ask->scale[k];
            if (!(share > 0) || !isfinite(b->part[k][i])) continue;
            sum += share * ((double)b->part[k][i] - scale->mean) * scale->factor;
            if (k < ask->n_member && !b->v->member[k].is_content) cf += share;
        }
        b->out->score[i] = isfinite((float)sum) ? (float)sum : 0;
        b->out->gate[i] = (float)cf;
    }
}

/* Candidates get the score of the blend; what is none goes below them. */
static rec_status place_candidates(blend *b, const gate_found *f, rec_err *err) {
    bitmap named = {0};
    float lowest = INFINITY, highest = -INFINITY;
    rec_status s = bitmap_init(&named, b->out->n, false, err);
    for (size_t c = 0; s == REC_OK && c < f->n; c++) {
        bitmap_set(&named, f->item[c]);
        lowest = fminf(lowest, f->score[c]);
    }
    for (uint32_t i = 0; s == REC_OK && i < b->out->n; i++)
        if (!bitmap_has(&named, i)) highest = fmaxf(highest, b->out->score[i]);
    for (uint32_t i = 0; s == REC_OK && f->n && i < b->out->n; i++)
        if (!bitmap_has(&named, i))
            b->out->score[i] += lowest - highest - (float)FALLBACK_DROP;
    for (size_t c = 0; s == REC_OK && c < f->n; c++)
        b->out->score[f->item[c]] = f->score[c];
    bitmap_clear(&named);
    return s;
}

/* The question of a gate; list[HYBRID_MAX_MEMBERS + 1] and prior are the caller's, *n lists are to be freed. */
static rec_status ask_gate(blend *b, gate_list *list, size_t *n, double *prior,
                           gate_ask *ask, rec_err *err) {
    rec_status s = REC_OK;
    for (*n = 0; *n < b->n_part && s == REC_OK; ++*n)
        s = list_part(b, *n, &list[*n], err);
    if (s != REC_OK) return s;
    sq_gate_ask(b->v, b->p, list, prior, has_request(&b->p->who), ask);
    ask->n_extra = b->n_part - b->v->n_member;
    ask->extra[0] = LEXICAL_SHARE;
    gate_prepare(ask);
    return REC_OK;
}

static rec_status blend_gated(blend *b, rec_err *err) {
    gate_list list[HYBRID_MAX_MEMBERS + 1];
    double prior[HYBRID_MAX_MEMBERS];
    gate_found found = {0};
    gate_ask ask;
    size_t n;
    rec_status s = ask_gate(b, list, &n, prior, &ask, err);
    if (s == REC_OK) s = gate_blend(b->v->gate, &ask, &found, err);
    if (s == REC_OK) score_all(b, &ask);
    if (s == REC_OK) s = place_candidates(b, &found, err);
    gate_found_clear(&found);
    sq_gate_free(list, n);
    return s;
}

static rec_status gate_of(blend *b, uint32_t item, double *w, rec_err *err) {
    gate_list list[HYBRID_MAX_MEMBERS + 1];
    double prior[HYBRID_MAX_MEMBERS];
    gate_ask ask;
    size_t n;
    rec_status s = ask_gate(b, list, &n, prior, &ask, err);
    if (s == REC_OK) gate_weights(b->v->gate, &ask, item, w);
    sq_gate_free(list, n);
    return s;
}

static rec_status blend_parts(blend *b, rec_err *err) {
    bitmap said = {0};
    hybrid_blend_args args = {
        .part = b->desc, .n_part = b->n_part, .n = b->out->n, .pool = NULL};
    rec_status s = bitmap_init(&said, b->out->n, false, err);
    for (size_t i = 0; s == REC_OK && i < b->out->n; i++)
        if (describe(b, i)) bitmap_set(&said, i);
    if (s == REC_OK && b->v->gate) {
        s = blend_gated(b, err);
    } else if (s == REC_OK) {
        hush_weightless(b);
        s = hybrid_blend(&args, b->out->score, b->out->gate, err);
    }
    if (s == REC_OK) place_silent(b, &said);
    bitmap_clear(&said);
    return s;
}

/* What a part of the request weighs: as much as the members that read, together. */
static double query_share(const sq_view *v) {
    double share = 0;
    for (size_t m = 0; m < v->n_member; m++)
        if (v->member[m].is_content) share += v->member[m].weight;
    return share > 0 ? share : 0.5;
}

static rec_status add_lexical(blend *b, rec_err *err) {
    const sq_view *v = b->v;
    if (!v->cfg.lexical || !has_request(&b->p->who) || b->n_part >= HYBRID_MAX_MEMBERS)
        return REC_OK;
    rec_status s = add_part(b, query_share(v) / 2, true, err);
    return s == REC_OK ? sq_lexical(v, &b->p->who, b->part[b->n_part - 1], err) : s;
}

/* sum[n_items] = how alike every item is to those that the request names as examples. */
static rec_status likeness(sq_view *v, const query_request *r, float *sum,
                           rec_err *err) {
    size_t n = catalog_n_items(v->items);
    float *one = rec_array(n, sizeof *one);
    rec_status s = one ? REC_OK : rec_nomem(err);
    for (size_t i = 0; s == REC_OK && i < n; i++) sum[i] = 0;
    for (size_t k = 0; s == REC_OK && k < r->n_like; k++) {
        score_source ignored;
        if (r->like_items[k] >= n) continue;
        s = v->n_member ? similar_hybrid(v, r->like_items[k], EXAMPLE_CF_SHARE, one,
                                         &ignored, err)
                        : similar_model(v, r->like_items[k], one, &ignored, err);
        for (size_t i = 0; s == REC_OK && i < n; i++)
            if (isfinite(one[i])) sum[i] += one[i];
    }
    rec_free(one);
    return s;
}

/* Score and likeness, calibrated and added: one item among the hundreds of a long history would hardly be felt. */
static rec_status lean_on_examples(sq_view *v, const sq_profile *p, sq_scores *out,
                                   rec_err *err) {
    const query_request *r = p->who.request;
    if (!r || !r->n_like || v->cfg.ops == &popularity_ops) return REC_OK;
    float *alike = rec_array(out->n, sizeof *alike);
    float *sum = rec_array(out->n, sizeof *sum);
    rec_status s = alike && sum ? likeness(v, r, alike, err) : rec_nomem(err);
    if (s == REC_OK) {
        hybrid_part part[2] = {{out->score, 1, false}, {alike, EXAMPLE_WEIGHT, true}};
        hybrid_blend_args args = {.part = part, .n_part = 2, .n = out->n, .pool = NULL};
        s = hybrid_blend(&args, sum, NULL, err);
    }
    if (s == REC_OK) memcpy(out->score, sum, out->n * sizeof *sum);
    rec_free(alike);
    rec_free(sum);
    return s;
}

/* Parts of all members and of the sentence; b->v, p and out are set. */
static rec_status score_members(blend *b, rec_run *run, rec_err *err) {
    rec_status s = scores_init(b->out, catalog_n_items(b->v->items), true, err);
    if (s != REC_OK) return s;
    b->member = rec_zeros(b->v->n_member, sizeof *b->member);
    if (!b->member) s = rec_nomem(err);
    for (size_t m = 0; m < b->v->n_member && s == REC_OK; m++)
        s = score_member(b, m, run, err);
    return s == REC_OK ? add_lexical(b, err) : s;
}

static rec_status score_hybrid(sq_view *v, const sq_profile *p, rec_run *run,
                               sq_scores *out, rec_err *err) {
    blend b = {.v = v, .p = p, .out = out};
    rec_status s = score_members(&b, run, err);
    if (s == REC_OK) s = blend_parts(&b, err);
    blend_clear(&b);
    if (s != REC_OK) sq_scores_clear(out);
    return s;
}

static rec_status score_plain(sq_view *v, const sq_profile *p, rec_run *run,
                              sq_scores *out, rec_err *err) {
    return v->n_member ? score_hybrid(v, p, run, out, err)
                       : score_model(v, p, out, err);
}

rec_status sq_score(sq_view *v, const sq_profile *p, rec_run *run, sq_scores *out,
                    rec_err *err) {
    memset(out, 0, sizeof *out);
    rec_status s = sq_view_require_trained(v, err);
    if (s == REC_OK) s = run_check(run, err);
    if (s == REC_OK) s = score_plain(v, p, run, out, err);
    if (s == REC_OK) s = lean_on_examples(v, p, out, err);
    if (s == REC_OK) s = sq_wishes_score(p->wishes, out, err);
    if (s != REC_OK) sq_scores_clear(out);
    return s;
}

/* ---- why ------------------------------------------------------------------------------------------------------------ */

typedef struct
    relay { /* passes parts of an explanation on, in the numbers of the catalogue */
    const sq_view *v;
    explain_fn fn;
    void *ctx;
    double weight;
    bool is_member; /* numbers arrive in the member's catalogue, not in model numbers */
    const sq_view *from;
} relay;

static rec_status relay_part(void *ctx, const char *kind, uint32_t item,
                             const char *text, size_t n_text, double weight,
                             rec_err *err) {
    const relay *r = ctx;
    if (item != KEYS_NONE && r->is_member) {
        rec_key key = catalog_key(r->from->items, item);
        item = catalog_find(r->v->items, &key);
    } else if (item != KEYS_NONE) {
        item = item < r->v->model->ops->n_items(r->v->model) ? r->v->catalog_item[item]
                                                             : KEYS_NONE;
    }
    if (strcmp(kind, "item") == 0 && item == KEYS_NONE)
        return REC_OK; /* it was deleted */
    return r->fn(r->ctx, kind, item, text, n_text, weight * r->weight, err);
}

static rec_status explain_model(sq_view *v, const sq_profile *p, uint32_t item,
                                explain_fn fn, void *ctx, rec_err *err) {
    sq_asked a;
    relay r = {.v = v, .fn = fn, .ctx = ctx, .weight = 1};
    uint32_t m = v->model_item[item];
    rec_status s = sq_ask(v, p, &a, err);
    if (s == REC_OK) {
        bool known = m != KEYS_NONE && v->model->ops->knows(v->model, &a.q);
        const rec_model *model = known ? v->model : v->popularity;
        if (model->ops->explain && m < model->ops->n_items(model))
            s = model->ops->explain(model, &a.q, m, relay_part, &r, err);
        else
            s = fn(ctx, "popularity", KEYS_NONE, NULL, 0, (double)cold_of(model, &a.q),
                   err);
    }
    sq_asked_clear(&a);
    return s;
}

static rec_status explain_member(sq_view *v, const sq_profile *p, size_t m,
                                 uint32_t item, double weight, explain_fn fn, void *ctx,
                                 rec_err *err) {
    uint32_t j = v->member[m].item[item];
    relay r = {.v = v,
               .fn = fn,
               .ctx = ctx,
               .weight = weight,
               .is_member = true,
               .from = v->member[m].view};
    if (j == KEYS_NONE) return REC_OK;
    return sq_explain(v->member[m].view, &p->member[m], j, relay_part, &r, err);
}

/* How far each member is leaned on for this user, item and question: kind "member". */
static rec_status explain_gate(sq_view *v, const sq_profile *p, uint32_t item,
                               double *w, explain_fn fn, void *ctx, rec_err *err) {
    sq_scores scores;
    blend b = {.v = v, .p = p, .out = &scores};
    rec_status s = score_members(&b, NULL, err);
    if (s == REC_OK) s = gate_of(&b, item, w, err);
    for (size_t m = 0; m < v->n_member && s == REC_OK; m++)
        s = fn(ctx, "member", KEYS_NONE, v->member[m].label, strlen(v->member[m].label),
               w[m], err);
    blend_clear(&b);
    sq_scores_clear(&scores);
    return s;
}

static rec_status explain_wishes(sq_view *v, const sq_profile *p, uint32_t item,
                                 explain_fn fn, void *ctx, rec_err *err) {
    sq_scores scores = {0};
    if (!sq_wishes_bend(p->wishes)) return REC_OK;
    rec_status s = score_plain(v, p, NULL, &scores, err);
    if (s == REC_OK) s = sq_wishes_explain(p->wishes, &scores, item, fn, ctx, err);
    sq_scores_clear(&scores);
    return s;
}

rec_status sq_explain(sq_view *v, const sq_profile *p, uint32_t item, explain_fn fn,
                      void *ctx, rec_err *err) {
    double w[HYBRID_MAX_MEMBERS];
    rec_status s = sq_view_require_trained(v, err);
    if (s == REC_OK) s = explain_wishes(v, p, item, fn, ctx, err);
    if (s != REC_OK || !v->n_member)
        return s == REC_OK ? explain_model(v, p, item, fn, ctx, err) : s;
    for (size_t m = 0; m < v->n_member; m++) w[m] = v->member[m].weight;
    if (v->gate) s = explain_gate(v, p, item, w, fn, ctx, err);
    for (size_t m = 0; m < v->n_member && s == REC_OK; m++)
        s = explain_member(v, p, m, item, w[m], fn, ctx, err);
    return s;
}
