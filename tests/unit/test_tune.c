/* Ranges: what is drawn lies within them, is written as it was tried, and repeats with the seed. */
#include "model_data.h"

static const model_option real = {"x", OPT_REAL, 0, 1, NULL, NULL, ""};
static const model_option whole = {"n", OPT_INT, 1, 64, NULL, NULL, ""};
static const model_option kind = {"kind", OPT_ENUM, 0, 0, "a", "a|bc|d", ""};

static double draw(const char *range, const model_option *def, rng *r) {
    char text[TUNE_TEXT];
    rec_err err = {0};
    double x = NAN;
    CHECK(tune_draw(range, def, r, text, &err) == REC_OK);
    CHECK(rec_parse_number(text, strlen(text), &x) == strlen(text));
    return x;
}

static void ranges(void) {
    rng r;
    rng_seed(&r, 1, 0);
    size_t low = 0;
    for (int i = 0; i < 1000; i++) {
        double x = draw("log .0001 1", &real, &r);
        CHECK(x >= .0001 && x <= 1);
        low += x < .01;
        x = draw("lin .2 .6", &real, &r);
        CHECK(x >= .2 && x <= .6);
        x = draw("lin 1 200", &whole, &r);
        CHECK(x >= 1 && x <= 64 && x == floor(x)); /* the bounds of the option hold */
    }
    CHECK(low > 400 && low < 600); /* half of the decades */
}

static void choices(void) {
    size_t seen[3] = {0};
    rng r;
    rec_err err = {0};
    rng_seed(&r, 2, 0);
    for (int i = 0; i < 300; i++) {
        char text[TUNE_TEXT];
        CHECK(tune_draw("a|bc|d", &kind, &r, text, &err) == REC_OK);
        seen[0] += strcmp(text, "a") == 0;
        seen[1] += strcmp(text, "bc") == 0;
        seen[2] += strcmp(text, "d") == 0;
    }
    CHECK(seen[0] + seen[1] + seen[2] == 300);
    CHECK(seen[0] > 60 && seen[1] > 60 && seen[2] > 60);
}

static void refused(void) {
    const char *bad[] = {"log 0 1",   "lin 2 1", "lin 1", "log a b",
                         "lin 1 2 3", "a||b|",   ""};
    rng r;
    char text[TUNE_TEXT];
    rng_seed(&r, 3, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rec_status s = REC_OK;
        rec_err err = {0};
        for (int j = 0; j < 50 && s == REC_OK; j++)
            s = tune_draw(bad[i], &real, &r, text, &err);
        CHECK(s == REC_RANGE && strstr(err.msg, "is no range") != NULL);
    }
}

static void conditions(void) {
    model_options o;
    bool known;
    rec_err err = {0};
    options_init(&o, &kind, 1);
    CHECK(tune_applies(NULL, &o, false) && tune_applies("implicit", &o, false));
    CHECK(!tune_applies("explicit", &o, false) && tune_applies("explicit", &o, true));
    CHECK(tune_applies("kind=a", &o, false) && !tune_applies("kind=bc", &o, false));
    CHECK(options_set(&o, "kind", "bc", &known, &err) == REC_OK && known);
    CHECK(tune_applies("implicit,kind=bc", &o, false));
    CHECK(!tune_applies("explicit,kind=bc", &o, false) &&
          !tune_applies("other=1", &o, false));
    options_clear(&o);
}

/* Every range of every algorithm is one, and its options exist. */
static void tables(void) {
    const char *names[] = {"popularity", "als", "graph", "content",
                           "itemknn",    "bpr", "ease"};
    rng r;
    rng_seed(&r, 4, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const rec_model_ops *ops = model_algorithm(names[i]);
        for (size_t j = 0; j < ops->n_tune; j++) {
            const model_option *def = NULL;
            for (size_t k = 0; k < ops->n_options; k++)
                if (strcmp(ops->options[k].name, ops->tune[j].name) == 0)
                    def = &ops->options[k];
            CHECK(def != NULL);
            for (int n = 0; def && n < 20; n++) {
                char text[TUNE_TEXT];
                rec_err err = {0};
                bool known;
                model_options o;
                options_init(&o, ops->options, ops->n_options);
                CHECK(tune_draw(ops->tune[j].range, def, &r, text, &err) == REC_OK);
                CHECK(options_set(&o, def->name, text, &known, &err) == REC_OK &&
                      known);
                options_clear(&o);
            }
        }
    }
}

int main(void) {
    UNIT_BEGIN("tune");
    ranges();
    choices();
    refused();
    conditions();
    tables();
    return UNIT_END();
}
