/* Content: groups found from text alone, cold items, sentences, explanations, extremes. */
#include "model_data.h"

static dataset groups_with_text(feedback_kind feedback, uint32_t n_items,
                                corpus **docs) {
    dataset d;
    rec_err err = {0};
    CHECK(!make_groups(feedback, 12, n_items, 3, &d, &err));
    d.docs = *docs = make_texts(n_items, 3);
    return d;
}

static void test_groups(void) {
    for (int f = 0; f < 2; f++) {
        corpus *docs;
        dataset d = groups_with_text((feedback_kind)f, 60, &docs);
        rec_model *m = fit_model(&content_ops, &d, NULL, NULL);
        float similar[60];
        rec_err err = {0};
        double gap = 0;
        for (uint32_t u = 0; u < d.n_users; u++) {
            double own = group_gap(m, &d, u, 3);
            CHECK(own > 0);
            gap += own / d.n_users;
        }
        CHECK(gap > .25);
        CHECK(!m->ops->similar(m, 4, similar, &err));
        CHECK_NEAR(similar[4], 1, 1e-4);
        for (uint32_t i = 0; i < 60; i++)
            CHECK(i % 3 == 1 ? similar[i] > .3 : similar[i] < .3);
        CHECK(m->ops->similar(m, 60, similar, &err) == REC_RANGE);
        CHECK(content_item_vectors(m)->n_rows == 60);
        CHECK(m->ops->language(m) != NULL);
        m->ops->close(m);
        dataset_clear(&d);
        corpus_free(docs);
    }
}

static void test_sentence(void) {
    corpus *docs;
    dataset d = groups_with_text(FEEDBACK_IMPLICIT, 60, &docs);
    rec_model *m = fit_model(&content_ops, &d, NULL, NULL);
    float out[60], both[60], v[LSA_MAX_DIM];
    model_query q = {.text = "a robot on another planet", .n_text = 25};
    CHECK(m->ops->knows(m, &q) && scores_finite(m, &q, out));
    for (uint32_t i = 0; i < 60; i++) CHECK(i % 3 == 1 ? out[i] > .3 : out[i] < .2);
    model_query user = user_query(&d, 0); /* likes group 0 */
    user.text = q.text;
    user.n_text = q.n_text;
    CHECK(scores_finite(m, &user, both));
    CHECK(both[1] > both[2] && both[3] > out[3] + .1 && both[1] > both[3]);
    CHECK(content_embed(m, "dragon", 6, v) && !content_embed(m, "zzz", 3, v));
    q.text = "zzz qqq";
    q.n_text = 7;
    CHECK(!m->ops->knows(m, &q) && scores_finite(m, &q, out) && out[0] == 0);
    q.text = NULL;
    CHECK(!m->ops->knows(m, &q));
    m->ops->close(m);
    dataset_clear(&d);
    corpus_free(docs);
}

/* Dislikes subtract; a user for whom everything is average is still taken at their choices. */
static void test_ratings(void) {
    corpus *docs;
    dataset d = groups_with_text(FEEDBACK_EXPLICIT, 60, &docs);
    rec_model *m = fit_model(&content_ops, &d, NULL, NULL);
    uint32_t item[] = {0, 1};
    float weight[] = {1, 1}, value[] = {5, 1}, level[] = {3, 3}, out[60];
    double time[] = {NAN, NAN};
    model_query q = {
        .item = item, .weight = weight, .value = value, .time = time, .n = 2};
    CHECK(m->ops->knows(m, &q) && scores_finite(m, &q, out));
    CHECK(out[3] > .2 && out[4] < -.2);
    q.value = level;
    CHECK(m->ops->knows(m, &q) && scores_finite(m, &q, out));
    m->ops->close(m);
    dataset_clear(&d);
    corpus_free(docs);
}

static void test_extend(void) {
    corpus *docs, *more = make_texts(70, 3);
    dataset d = groups_with_text(FEEDBACK_IMPLICIT, 60, &docs);
    rec_model *m = fit_model(&content_ops, &d, NULL, NULL);
    uint32_t which[10];
    float out[70];
    rec_err err = {0};
    model_query q = user_query(&d, 1);
    for (uint32_t i = 0; i < 10; i++) which[i] = 60 + i;
    CHECK(!m->ops->extend(m, more, NULL, which, 10, &err));
    CHECK(m->ops->n_items(m) == 70 && !m->ops->check(m, &err));
    CHECK(scores_finite(m, &q, out) && out[61] > out[60] + .2);
    CHECK(!m->ops->similar(m, 61, out, &err) && out[4] > .3 && out[3] < .3);
    check_round_trip(m, &q);
    CHECK(!m->ops->extend(m, more, NULL, which, 0, &err) && m->ops->n_items(m) == 70);
    m->ops->close(m);
    ALLOC_LOOP(
        unit_countdown = -1; m = fit_model(&content_ops, &d, NULL, NULL);
        unit_countdown = tries; rc = m->ops->extend(m, more, NULL, which, 10, &err);
        unit_countdown = -1; CHECK(m->ops->n_items(m) == (rc ? 60 : 70));
        if (m->ops->check(m, &err)) CHECK(!"the model is damaged"); m->ops->close(m));
    dataset_clear(&d);
    corpus_free(docs);
    corpus_free(more);
}

typedef struct parts {
    double items, query;
    int n_facet, n_term;
    bool has_facet;
} parts;
static rec_status count_part(void *ctx, const char *kind, uint32_t item,
                             const char *text, size_t n_text, double weight,
                             rec_err *err) {
    parts *p = ctx;
    (void)item, (void)err;
    if (strcmp(kind, "item") == 0) p->items += weight;
    if (strcmp(kind, "query") == 0) p->query += weight;
    p->n_facet += strcmp(kind, "facet") == 0;
    p->n_term += strcmp(kind, "term") == 0;
    if (strcmp(kind, "facet") == 0 && n_text == 10 &&
        memcmp(text, "kind=space", 10) == 0)
        p->has_facet = true;
    return REC_OK;
}

static void test_explain(void) {
    for (int f = 0; f < 2; f++) {
        corpus *docs;
        dataset d = groups_with_text((feedback_kind)f, 60, &docs);
        rec_model *m = fit_model(&content_ops, &d, NULL, NULL);
        model_query q = user_query(&d, 1);
        rec_err err = {0};
        uint32_t item = 7;
        for (int has_text = 0; has_text < 2; has_text++) {
            parts p = {0};
            float score;
            if (has_text) q.text = "planet", q.n_text = 6;
            CHECK(!m->ops->score(m, &q, &item, 1, &score, &err));
            CHECK(!m->ops->explain(m, &q, item, count_part, &p, &err));
            CHECK_NEAR(p.items + p.query, score, 1e-3);
            CHECK(p.has_facet && p.n_facet == 1 && p.n_term >= 1);
            CHECK((p.query != 0) == has_text);
        }
        m->ops->close(m);
        dataset_clear(&d);
        corpus_free(docs);
    }
}

static void test_extremes(void) {
    rec_err err = {0};
    float out[8];
    signal_spec s = plain_signal(FEEDBACK_IMPLICIT);
    model_options o = options_of(&content_ops, NULL);
    for (uint32_t n = 0; n < 5; n++) {
        dataset d;
        interaction r[] = {{0, 0, 1e30f, 1e30f, NAN},
                           {0, n ? n - 1 : 0, -1e30f, -1e30f, NAN}};
        corpus *docs = make_texts(n, 3);
        CHECK(!dataset_build(&s, r, n ? 2 : 0, 1, n, &d, &err));
        d.docs = docs;
        model_fit_args a = {.data = &d, .options = &o};
        rec_model *m = NULL;
        rec_status st = content_ops.fit(&a, &m, &err);
        CHECK(st == REC_OK || (n == 0 && st == REC_RANGE && err.msg[0]));
        model_query q = user_query(&d, 0);
        if (m) {
            CHECK(scores_finite(m, &q, out));
            check_round_trip(m, &q);
            m->ops->close(m);
        }
        d.docs = NULL;
        CHECK(content_ops.fit(&a, &m, &err) == REC_RANGE && !m &&
              strstr(err.msg, "text="));
        dataset_clear(&d);
        corpus_free(docs);
    }
    dataset d; /* items whose text is empty: nothing to go by, and it says so */
    corpus *docs = corpus_new();
    CHECK(!dataset_build(&s, NULL, 0, 0, 3, &d, &err));
    for (uint32_t i = 0; i < 3; i++) CHECK(!corpus_add(docs, i, "", 0, 1, &err));
    d.docs = docs;
    model_fit_args a = {.data = &d, .options = &o};
    rec_model *m = NULL;
    CHECK(content_ops.fit(&a, &m, &err) == REC_RANGE && !m);
    dataset_clear(&d);
    corpus_free(docs);
    options_clear(&o);
}

int main(void) {
    UNIT_BEGIN("content");
    alloc_install();
    test_groups();
    test_sentence();
    test_ratings();
    test_extend();
    test_explain();
    test_extremes();
    corpus *docs;
    dataset d = groups_with_text(FEEDBACK_EXPLICIT, 9, &docs);
    model_query q = user_query(&d, 0);
    rec_model *m = fit_model(&content_ops, &d, NULL, NULL);
    check_round_trip(m, &q);
    check_hostile_bytes(m, &q);
    m->ops->close(m);
    check_without_memory(&content_ops, &d, NULL, &q);
    dataset_clear(&d);
    corpus_free(docs);
    CHECK(unit_live == 0);
    return UNIT_END();
}
