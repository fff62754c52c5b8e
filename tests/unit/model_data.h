/* model_data.h - what the tests of the recommenders share: data made by a rule that one can
 * check by eye, and the questions that every algorithm must answer.
 *
 * The groups: users and items belong to one of `n_group` groups by number; a user takes items of
 * their own group (and rarely others), so any sensible model puts the rest of that group on top.
 */
#ifndef MODEL_DATA_H
#define MODEL_DATA_H
#include "unit.h"

#include "alloc.h"

#include "../../ext/model/model.h"

/* ---- data ---- */

static inline signal_spec plain_signal(feedback_kind feedback) {
    return (signal_spec){.feedback = feedback,
                         .has_value = feedback == FEEDBACK_EXPLICIT,
                         .since = NAN,
                         .until = NAN,
                         .half_life = NAN};
}

/* Users u < n_users take about half of the items i with i % n_group == u % n_group, and one in
 * sixteen of the others. Explicit: 5 for the own group, 2 for others, +- .5 noise. */
static inline rec_status make_groups(feedback_kind feedback, uint32_t n_users,
                                     uint32_t n_items, uint32_t n_group, dataset *d,
                                     rec_err *err) {
    unsigned long long s = 12345;
    size_t n = 0;
    interaction *row = malloc(((size_t)n_users * n_items + 1) * sizeof *row);
    for (uint32_t u = 0; u < n_users; u++)
        for (uint32_t i = 0; i < n_items; i++) {
            bool own = i % n_group == u % n_group;
            if (unit_uniform(&s) > (own ? .5 : 1. / 16)) continue;
            float value = 1;
            if (feedback == FEEDBACK_EXPLICIT)
                value = (float)((own ? 5 : 2) + unit_uniform(&s) - .5);
            row[n++] = (interaction){u, i, 1, value, (double)(1000 + n)};
        }
    signal_spec spec = plain_signal(feedback);
    rec_status st = dataset_build(&spec, row, n, n_users, n_items, d, err);
    free(row);
    return st;
}

/* A corpus of one document an item: words and a feature of its group. */
static inline corpus *make_texts(uint32_t n_items, uint32_t n_group) {
    static const char *const words[] = {
        "dragon wizard castle sword", "space rocket planet robot",
        "murder detective clue alibi", "love letter ball heart"};
    static const char *const kind[] = {"kind=fantasy", "kind=space", "kind=crime",
                                       "kind=romance"};
    corpus *c = corpus_new();
    rec_err err = {0};
    for (uint32_t i = 0; i < n_items && c; i++) {
        char own[32];
        const char *w = words[i % n_group % 4], *k = kind[i % n_group % 4];
        size_t n = rec_format(own, sizeof own, "unique%u tale", i);
        if (corpus_add(c, i, w, strlen(w), 1, &err) ||
            corpus_add(c, i, own, n, 1, &err) ||
            corpus_add_feature(c, i, k, strlen(k), 1, &err)) {
            corpus_free(c);
            return NULL;
        }
    }
    return c;
}

static inline model_query user_query(const dataset *d, uint32_t u) {
    return (model_query){.item = d->item + d->ptr[u],
                         .weight = d->weight + d->ptr[u],
                         .value = d->value + d->ptr[u],
                         .time = d->time + d->ptr[u],
                         .n = d->ptr[u + 1] - d->ptr[u]};
}

/* name=value pairs, NULL-terminated, over the defaults of an algorithm. */
static inline model_options options_of(const rec_model_ops *ops,
                                       const char *const *set) {
    model_options o;
    rec_err err = {0};
    bool known;
    options_init(&o, ops->options, ops->n_options);
    for (; set && *set; set += 2)
        CHECK(!options_set(&o, set[0], set[1], &known, &err) && known);
    return o;
}

static inline rec_model *fit_model(const rec_model_ops *ops, const dataset *d,
                                   const char *const *set, rec_run *run) {
    model_options o = options_of(ops, set);
    model_fit_args a = {.data = d, .options = &o, .seed = 7, .run = run};
    rec_model *m = NULL;
    rec_err err = {0};
    rec_status st = ops->fit(&a, &m, &err);
    if (st) fprintf(stderr, "fit %s: %s\n", ops->name, err.msg);
    CHECK(st == REC_OK);
    options_clear(&o);
    return m;
}

/* ---- questions ---- */

/* Is every score finite? */
static inline bool scores_finite(const rec_model *m, const model_query *q, float *out) {
    size_t n = m->ops->n_items(m);
    rec_err err = {0};
    if (m->ops->score(m, q, NULL, n, out, &err)) return false;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i])) return false;
    return isfinite(m->ops->cold_score(m, q));
}

/* Mean score of the group's items that the user does not have less that of the others. */
static inline double group_gap(const rec_model *m, const dataset *d, uint32_t u,
                               uint32_t n_group) {
    float *out = malloc((d->n_items + 1) * sizeof *out);
    double own = 0, other = 0, n_own = 0, n_other = 0;
    model_query q = user_query(d, u);
    CHECK(scores_finite(m, &q, out));
    for (uint32_t i = 0, j = 0; i < d->n_items; i++) {
        if (j < q.n && q.item[j] == i) {
            j++;
            continue;
        }
        if (i % n_group == u % n_group)
            own += out[i], n_own++;
        else
            other += out[i], n_other++;
    }
    free(out);
    return own / (n_own ? n_own : 1) - other / (n_other ? n_other : 1);
}

/* save, load, save again: the same bytes and the same scores. */
static inline void check_round_trip(const rec_model *m, const model_query *q) {
    bytes_writer w = {0}, again = {0};
    rec_err err = {0};
    rec_model *copy = NULL;
    size_t n = m->ops->n_items(m);
    CHECK(!m->ops->save(m, &w, &err));
    bytes_reader r = {.data = w.data, .n = w.n};
    CHECK(!m->ops->load(&r, &copy, &err));
    if (!copy) return;
    CHECK(r.at == r.n);
    CHECK(!m->ops->save(copy, &again, &err));
    CHECK(w.n == again.n && memcmp(w.data, again.data, w.n) == 0);
    CHECK(copy->ops == m->ops && copy->ops->n_items(copy) == n &&
          !copy->ops->check(copy, &err));
    float *a = malloc((n + 1) * 4), *b = malloc((n + 1) * 4);
    CHECK(!m->ops->score(m, q, NULL, n, a, &err) &&
          !m->ops->score(copy, q, NULL, n, b, &err));
    CHECK(memcmp(a, b, n * 4) == 0);
    free(a);
    free(b);
    copy->ops->close(copy);
    bytes_clear(&w);
    bytes_clear(&again);
}

/* Cut the bytes short everywhere and flip bits: load must refuse, or give a model that works. */
static inline void check_hostile_bytes(const rec_model *m, const model_query *q) {
    bytes_writer w = {0};
    rec_err err = {0};
    size_t n = m->ops->n_items(m), refused = 0, step;
    CHECK(!m->ops->save(m, &w, &err));
    step = w.n / 400 + 1;
    for (size_t cut = 0; cut < w.n; cut += step) {
        bytes_reader r = {.data = w.data, .n = cut};
        rec_model *copy = NULL;
        CHECK(m->ops->load(&r, &copy, &err) == REC_CORRUPT && !copy);
    }
    unsigned long long s = 99;
    for (int round = 0; round < 600; round++) {
        size_t at = round < 100 ? (size_t)round % w.n
                                : (size_t)(unit_uniform(&s) * (double)w.n);
        uint8_t was = w.data[at];
        w.data[at] ^= (uint8_t)(1 << unit_rand(&s) % 8);
        bytes_reader r = {.data = w.data, .n = w.n};
        rec_model *copy = NULL;
        rec_status st = m->ops->load(&r, &copy, &err);
        CHECK(st == REC_OK || st == REC_CORRUPT);
        if (copy) {
            size_t n_copy = copy->ops->n_items(copy);
            float *out = malloc((n_copy + n + 1) * sizeof *out);
            CHECK(scores_finite(copy, q, out));
            free(out);
            copy->ops->close(copy);
        } else
            refused++;
        w.data[at] = was;
    }
    CHECK(refused > 0);
    bytes_clear(&w);
}

static inline rec_status ignore_part(void *ctx, const char *kind, uint32_t item,
                                     const char *text, size_t n_text, double weight,
                                     rec_err *err) {
    (void)kind, (void)item, (void)text, (void)n_text, (void)err;
    *(double *)ctx += weight;
    return isfinite(weight) ? REC_OK : REC_BUG;
}

/* Fit, score, explain, save, load with the n-th allocation failing, for every n: a clean
 * error each time, and nothing left behind. */
static inline void check_without_memory(const rec_model_ops *ops, const dataset *d,
                                        const char *const *set, const model_query *q) {
    model_options o = options_of(ops, set);
    model_fit_args a = {.data = d, .options = &o, .seed = 7};
    float *out = malloc((d->n_items + 1) * sizeof *out);
    int failures = 0, rounds = 0;
    for (bool done = false; !done && rounds < 100000; rounds++) {
        rec_err err = {0};
        rec_model *m = NULL, *copy = NULL;
        bytes_writer w = {0};
        double sum = 0;
        long before = unit_live;
        unit_countdown = rounds;
        rec_status st = ops->fit(&a, &m, &err);
        if (!st) st = ops->score(m, q, NULL, d->n_items, out, &err);
        if (!st && d->n_items && strcmp(ops->name, "popularity") != 0)
            st = ops->similar(m, 0, out, &err);
        if (!st && d->n_items) st = ops->explain(m, q, 0, ignore_part, &sum, &err);
        if (!st) st = ops->save(m, &w, &err);
        bytes_reader r = {.data = w.data, .n = w.n};
        if (!st) st = ops->load(&r, &copy, &err);
        done = st == REC_OK;
        unit_countdown = -1;
        if (st != REC_OK && st != REC_NOMEM) failures++;
        if (copy) ops->close(copy);
        if (m) ops->close(m);
        bytes_clear(&w);
        if (unit_live != before) failures++;
    }
    CHECK(failures == 0);
    CHECK(rounds > 3);
    free(out);
    options_clear(&o);
}
#endif
