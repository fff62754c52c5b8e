/* Options of the algorithms: what is taken, what is refused, and in which words. */
#include "model_data.h"

static void refuse(const rec_model_ops *ops, const char *name, const char *value,
                   const char *message) {
    model_options o = options_of(ops, NULL);
    double before = opt_num(&o, name);
    rec_err err = {0};
    bool known;
    CHECK(options_set(&o, name, value, &known, &err) == REC_RANGE && known);
    if (strcmp(err.msg, message)) fprintf(stderr, "%s\n", err.msg);
    CHECK(strcmp(err.msg, message) == 0);
    CHECK(opt_num(&o, name) == before);
    options_clear(&o);
}

static double take(const rec_model_ops *ops, const char *name, const char *value) {
    model_options o = options_of(ops, NULL);
    rec_err err = {0};
    bool known;
    CHECK(!options_set(&o, name, value, &known, &err) && known);
    CHECK(strcmp(opt_text(&o, name), value) == 0);
    double x = opt_num(&o, name);
    options_clear(&o);
    return x;
}

static void test_messages(void) {
    refuse(&als_ops, "factors", "0", "factors=0 is out of range (1..1024)");
    refuse(&als_ops, "factors", "1025", "factors=1025 is out of range (1..1024)");
    refuse(&als_ops, "factors", "6.5", "factors=6.5 is not a whole number (1..1024)");
    refuse(&als_ops, "factors", "many", "factors=many is not a number (1..1024)");
    refuse(&als_ops, "factors", "", "factors= is not a number (1..1024)");
    refuse(&als_ops, "factors", "64x", "factors=64x is not a number (1..1024)");
    refuse(&als_ops, "alpha0", "-1", "alpha0=-1 is out of range (0..1000)");
    refuse(
        &content_ops, "embedder", "bert(384)",
        "embedder=bert(384): there is no bert; allowed: lsa(2..1024), static('path'), "
        "llm('name'), column(name)");
    refuse(&content_ops, "embedder", "lsa(1)",
           "embedder=lsa(1): dimensions from 2 to 1024 are allowed");
    refuse(&content_ops, "embedder", "lsa(12",
           "embedder=lsa(12: expected a closing bracket at ''");
    refuse(&hybrid_ops, "gate", "rank",
           "gate=rank is not one of: weighted, learned(0..1)");
    refuse(&hybrid_ops, "gate", "weighted(2)",
           "gate=weighted(2) is out of range (0..1)");
}

static void test_values(void) {
    CHECK(take(&als_ops, "factors", "128") == 128);
    CHECK(take(&als_ops, "factors", " 128 ") == 128);
    CHECK(take(&als_ops, "lambda", "1e-3") == 1e-3);
    take(&content_ops, "embedder", "lsa(64)");
    take(&content_ops, "embedder", "lsa");
    take(&content_ops, "embedder", " lsa ( 32 ) ");
    CHECK(take(&hybrid_ops, "gate", "weighted(.7)") == .7);
    CHECK(take(&hybrid_ops, "gate", "weighted") == .5);
}

static void test_defaults(void) {
    model_options o = options_of(&als_ops, NULL);
    rec_err err = {0};
    bool known = true;
    CHECK(opt_num(&o, "factors") == 64);
    CHECK(opt_num(&o, "lambda") == 0);
    CHECK(opt_text(&o, "lambda") == NULL);
    CHECK(opt_num(&o, "no such") == 0 && opt_text(&o, "no such") == NULL);
    CHECK(!options_set(&o, "factor", "3", &known, &err) && !known);
    CHECK(!o.is_set[0]);
    CHECK(!options_set(&o, "factors", "3", &known, &err) && o.is_set[0]);
    CHECK(!options_set(&o, "factors", "4", &known, &err) &&
          opt_num(&o, "factors") == 4);
    options_clear(&o);
    options_clear(&o);
}

static void test_every_default_is_allowed(void) {
    const rec_model_ops *all[] = {&popularity_ops, &als_ops, &content_ops, &hybrid_ops};
    for (size_t a = 0; a < 4; a++)
        for (size_t i = 0; i < all[a]->n_options; i++) {
            const model_option *d = &all[a]->options[i];
            model_options o = options_of(all[a], NULL);
            rec_err err = {0};
            bool known;
            CHECK(d->help && d->name);
            if (d->def) CHECK(!options_set(&o, d->name, d->def, &known, &err));
            options_clear(&o);
        }
}

static void test_registry(void) {
    char names[64], short_name[8];
    CHECK(model_algorithm("als") == &als_ops);
    CHECK(model_algorithm("popularity") == &popularity_ops);
    CHECK(model_algorithm("ALS") == NULL && model_algorithm("") == NULL);
    model_algorithm_names(names, sizeof names);
    CHECK(strncmp(names, "popularity, als, ", 17) == 0);
    model_algorithm_names(short_name, sizeof short_name);
    CHECK(strlen(short_name) < sizeof short_name);
}

static void test_no_memory(void) {
    model_options o = options_of(&als_ops, NULL);
    rec_err err = {0};
    bool known;
    unit_countdown = 0;
    CHECK(options_set(&o, "factors", "9", &known, &err) == REC_NOMEM);
    unit_countdown = -1;
    CHECK(opt_num(&o, "factors") == 64);
    options_clear(&o);
}

int main(void) {
    UNIT_BEGIN("options");
    alloc_install();
    test_messages();
    test_values();
    test_defaults();
    test_every_default_is_allowed();
    test_registry();
    test_no_memory();
    CHECK(unit_live == 0);
    return UNIT_END();
}
