/* Splits: rows of three users, each side worked out by hand. */
#include "model_data.h"

/* user 0: items 1 2 1 3 at times 1 2 5 3; user 1: item 4 alone; user 2: items 5 6 7 8 9, undated */
static const interaction rows[] = {
    {0, 1, 1, 1, 1},   {0, 2, 1, 1, 2},   {0, 1, 1, 1, 5},   {0, 3, 1, 1, 3},
    {1, 4, 1, 1, 9},   {2, 5, 1, 1, NAN}, {2, 6, 1, 1, NAN}, {2, 7, 1, 1, NAN},
    {2, 8, 1, 1, NAN}, {2, 9, 1, 1, NAN},
};
static const size_t ptr[] = {0, 4, 5, 10};

static split make(split_spec spec) {
    split s;
    rec_err err = {0};
    CHECK(split_make(&spec, rows, ptr, 3, &s, &err) == REC_OK);
    return s;
}

static size_t count(const split *s, split_part part) {
    size_t n = 0;
    for (size_t i = 0; i < 10; i++)
        n += split_of(s, rows[i].user, rows[i].item, rows[i].time) == part;
    return n;
}

static void last(void) {
    split s = make((split_spec){.kind = SPLIT_LAST, .n_last = 1, .cutoff = NAN});
    CHECK(s.ptr[3] == 2 && s.item[0] == 1 &&
          s.item[1] == 9); /* 1 was done again at 5 */
    CHECK(split_has(&s, 0, 1) && !split_has(&s, 1, 4) && !split_has(&s, 7, 1));
    CHECK(split_of(&s, 0, 1, 1) == PART_TEST); /* a pair goes with all of its rows */
    CHECK(count(&s, PART_TRAIN) == 7 && count(&s, PART_TEST) == 3);
    split_clear(&s);
    s = make((split_spec){.kind = SPLIT_LAST, .share = .3, .cutoff = NAN});
    CHECK(s.ptr[1] == 1 && s.ptr[3] - s.ptr[2] == 2); /* rounded up: 1 of 3, 2 of 5 */
    CHECK(s.item[1] == 8 && s.item[2] == 9);
    split_clear(&s);
}

static void by_chance(void) {
    split_spec spec = {.kind = SPLIT_RANDOM, .share = .4, .cutoff = NAN, .seed = 3};
    split s = make(spec), again = make(spec);
    CHECK(s.ptr[1] == 1 && s.ptr[2] == 1 &&
          s.ptr[3] == 3); /* 1 of 3, none of 1, 2 of 5 */
    CHECK(memcmp(s.item, again.item, 3 * sizeof *s.item) == 0);
    split_clear(&s);
    split_clear(&again);
    s = make((split_spec){.kind = SPLIT_RANDOM, .share = .9, .cutoff = NAN});
    CHECK(s.ptr[1] == 2 && s.ptr[3] == 6); /* one is kept */
    split_clear(&s);
}

static void temporal(void) {
    split_spec spec = {.kind = SPLIT_TEMPORAL, .share = .4, .cutoff = NAN};
    split s = make(spec); /* dated: 1 2 3 5 9; two of five lie after 3 */
    CHECK(s.cutoff == 3);
    CHECK(s.ptr[1] == 0); /* user 0 knew item 1 before */
    CHECK(s.ptr[2] == 1 && s.item[0] == 4 && s.ptr[3] == 1);
    CHECK(split_of(&s, 0, 1, 5) == PART_NONE && split_of(&s, 0, 1, 1) == PART_TRAIN);
    CHECK(split_of(&s, 2, 5, NAN) == PART_TRAIN);
    split_clear(&s);
    spec.is_repeat = true;
    s = make(spec);
    CHECK(s.ptr[1] == 1 && s.item[0] == 1);
    CHECK(split_of(&s, 0, 1, 5) == PART_TEST && split_of(&s, 0, 1, 1) == PART_TRAIN);
    split_clear(&s);
    spec.cutoff = 100;
    s = make(spec);
    CHECK(s.ptr[3] == 0);
    split_clear(&s);
    const interaction same[] = {{0, 1, 1, 1, 4}};
    const size_t one[] = {0, 1};
    rec_err err = {0};
    spec.cutoff = NAN;
    CHECK(split_make(&spec, same, one, 1, &s, &err) == REC_RANGE);
    CHECK(strstr(err.msg, "nothing would be left") != NULL);
}

static void users(void) {
    split s = make((split_spec){.kind = SPLIT_USER, .share = .3, .cutoff = NAN});
    size_t held = 0;
    for (uint32_t u = 0; u < 3; u++) held += s.is_held[u];
    CHECK(held == 1);
    for (size_t i = 0; i < 10; i++) { /* nothing of a held user is learned from */
        split_part p = split_of(&s, rows[i].user, rows[i].item, rows[i].time);
        CHECK(s.is_held[rows[i].user] ? p == PART_PROFILE || p == PART_TEST
                                      : p == PART_TRAIN);
    }
    CHECK(split_of(&s, KEYS_NONE, 1, NAN) == PART_TRAIN);
    split_clear(&s);
}

static void table(void) {
    split s = make((split_spec){.kind = SPLIT_TABLE, .cutoff = NAN});
    CHECK(s.ptr[1] == 3 && s.ptr[2] == 4 && s.ptr[3] == 9);
    CHECK(s.item[0] == 1 && s.item[1] == 2 && s.item[2] == 3);
    split_clear(&s);
}

static void without_memory(void) {
    const split_kind kinds[] = {SPLIT_LAST, SPLIT_TEMPORAL, SPLIT_USER};
    for (size_t i = 0; i < 3; i++) {
        split_spec spec = {.kind = kinds[i], .share = .4, .cutoff = NAN};
        split s;
        rec_err err = {0};
        ALLOC_LOOP(rc = split_make(&spec, rows, ptr, 3, &s, &err); split_clear(&s));
    }
}

int main(void) {
    UNIT_BEGIN("split");
    last();
    by_chance();
    temporal();
    users();
    table();
    alloc_install();
    without_memory();
    return UNIT_END();
}
