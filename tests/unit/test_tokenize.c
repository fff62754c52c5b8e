/* Words, folding, stems, spelling distance, dictionaries. */
#include "text_fixture.h"

static bool words_are(const char *text, size_t n, bool stem, const char *expected) {
    char got[2000];
    size_t used = 0;
    tokenizer tk;
    token t;
    tokenizer_start(&tk, text, n, stem);
    while (tokenizer_next(&tk, &t) && used < sizeof got - 80) {
        if (used) got[used++] = ' ';
        memcpy(got + used, t.text, t.n_text);
        used += t.n_text;
    }
    got[used] = 0;
    if (strcmp(got, expected) == 0) return true;
    fprintf(stderr, "got \"%s\"\n", got);
    return false;
}
#define WORDS(text, expected) CHECK(words_are(text, strlen(text), false, expected))
#define STEMS(text, expected) CHECK(words_are(text, strlen(text), true, expected))

static void test_words(void) {
    WORDS("The Director's caf\xc3\xa9s, in 1999", "the director cafes in 1999");
    STEMS("The Director's caf\xc3\xa9s, in 1999", "the director cafe in 1999");
    WORDS("don't rock'n'roll", "dont rocknroll");
    WORDS("don\xe2\x80\x99t", "dont");
    WORDS("$1,000 and 7.5 or 1,00", "1000 and 7.5 or 1 00");
    WORDS("sci-fi/horror Film-Noir", "sci fi horror film noir");
    WORDS("90's 1990s 19th", "90 1990s 19th");
    WORDS("\xc3\x86on Stra\xc3\x9f"
          "e \xc5\x81\xc3\xb3"
          "d\xc5\xba \xc3\x98re",
          "aeon strasse lodz ore");
    WORDS("\xce\x91\xce\x98\xce\x97\xce\x9d\xce\x91 "
          "\xd0\x9c\xd0\x9e\xd0\xa1\xd0\x9a\xd0\x92\xd0\x90",
          "\xce\xb1\xce\xb8\xce\xb7\xce\xbd\xce\xb1 "
          "\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0");
    WORDS("\xe6\x98\xa0\xe7\x94\xbb go", "\xe6\x98\xa0 \xe7\x94\xbb go");
    WORDS("e\xcc\x81t\xc3\xa9", "ete"); /* a combining accent */
    WORDS("\xef\xbc\xa1\xef\xbc\xa2\xef\xbc\x91", "ab1");
    WORDS("", "");
    WORDS(" ... !!", "");
}

static void test_hostile(void) {
    CHECK(words_are("a\xff"
                    "b\xc3",
                    4, false, "a b"));
    CHECK(words_are("x\0y", 3, false, "x y"));
    CHECK(words_are("\xe6\x98", 2, false, ""));
    CHECK(words_are("\xed\xa0\x80 \xc0\x80 \xf5\x80\x80\x80 z", 14, false, "z"));
    CHECK(words_are(NULL, 5, false, ""));
    char text[700];
    memset(text, 'a', sizeof text);
    tokenizer tk;
    token t;
    tokenizer_start(&tk, text, sizeof text, true);
    CHECK(tokenizer_next(&tk, &t) && t.n_text == TOKEN_MAX_BYTES &&
          t.end == sizeof text);
    CHECK(!tokenizer_next(&tk, &t));
    unsigned long long seed = 7;
    for (int round = 0; round < 2000;
         round++) { /* any bytes: in order, never outside */
        size_t n = unit_rand(&seed) % sizeof text, last = 0;
        for (size_t i = 0; i < n; i++) text[i] = (char)(unit_rand(&seed) >> 9);
        tokenizer_start(&tk, text, n, true);
        while (tokenizer_next(&tk, &t)) {
            CHECK(t.begin >= last && t.begin < t.end && t.end <= n && t.n_text >= 1);
            last = t.end;
        }
    }
}

static void test_flags(void) {
    const char *s = "Yes, the 7 films";
    tokenizer tk;
    token t;
    tokenizer_start(&tk, s, strlen(s), false);
    CHECK(tokenizer_next(&tk, &t) && !t.after_break && !t.is_stop && t.begin == 0 &&
          t.end == 3);
    CHECK(tokenizer_next(&tk, &t) && t.after_break && t.is_stop);
    CHECK(tokenizer_next(&tk, &t) && !t.after_break && t.is_number);
    CHECK(tokenizer_next(&tk, &t) && !t.is_number);
    CHECK(text_is_stop("yourselves", 10) && text_is_stop("a", 1) &&
          !text_is_stop("film", 4));
    CHECK(!text_is_stop("yourselve", 9));
}

static void test_stems(void) {
    static const char *const pairs[][2] = {
        {"comedies", "comedi"},
        {"comedy", "comedi"},
        {"caresses", "caress"},
        {"ties", "tie"},
        {"cries", "cri"},
        {"gas", "gas"},
        {"kiwis", "kiwi"},
        {"hopping", "hop"},
        {"hoping", "hope"},
        {"luxuriated", "luxuri"},
        {"agreed", "agre"},
        {"say", "say"},
        {"relational", "relat"},
        {"vietnamization", "vietnam"},
        {"sensibilities", "sensibl"},
        {"electricity", "electr"},
        {"hopefulness", "hope"},
        {"adjustment", "adjust"},
        {"adoption", "adopt"},
        {"controlling", "control"},
        {"generously", "generous"},
        {"communities", "communiti"},
        {"dying", "die"},
        {"skies", "sky"},
        {"succeeding", "succeed"},
        {"cancelling", "cancel"},
        {"cancellation", "cancel"},
        {"by", "by"},
        {"knightly", "knight"},
        {"possibly", "possibl"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char w[64];
        size_t n = strlen(pairs[i][0]);
        memcpy(w, pairs[i][0], n);
        size_t m = stem_english(w, n);
        CHECK(m == strlen(pairs[i][1]) && memcmp(w, pairs[i][1], m) == 0);
    }
    unsigned long long seed = 3;
    for (int round = 0; round < 20000; round++) { /* never empty, never longer */
        char w[64];
        size_t n = 1 + unit_rand(&seed) % 60;
        for (size_t i = 0; i < n; i++) w[i] = "aeioyslingtdw"[unit_rand(&seed) % 13];
        size_t m = stem_english(w, n);
        CHECK(m >= 1 && m <= n);
    }
}

static void test_fold(void) {
    char out[64], again[64];
    const char *s = "Am\xc3\xa9lie & Co. \xc3\x89T\xc3\x89";
    size_t n = text_fold(out, sizeof out, s, strlen(s));
    CHECK(n == 16 && memcmp(out, "amelie & co. ete", n) == 0);
    CHECK(text_fold(again, sizeof again, out, n) == n && memcmp(out, again, n) == 0);
    CHECK(text_fold(out, 3, "abcdef", 6) == 3);
    CHECK(text_fold(out, 1, "\xc3\x9f", 2) == 0); /* "ss" does not fit */
}

static void test_distance(void) {
    CHECK(text_edit_distance("drama", 5, "drama", 5, 2) == 0);
    CHECK(text_edit_distance("drama", 5, "darma", 5, 2) == 1);
    CHECK(text_edit_distance("comdy", 5, "comedy", 6, 2) == 1);
    CHECK(text_edit_distance("thriller", 8, "triler", 6, 2) == 2);
    CHECK(text_edit_distance("abc", 3, "xyz", 3, 2) == 3);
    CHECK(text_edit_distance("", 0, "ab", 2, 2) == 2);
    CHECK(text_edit_distance("", 0, "", 0, 0) == 0);
}

static void test_dict(void) {
    dict *d = dict_new();
    uint32_t pos;
    char word[40];
    for (int i = 0; i < 3000; i++) {
        size_t n = rec_format(word, sizeof word, "word%dend", i);
        CHECK(dict_add(d, word, n, &pos, NULL) == REC_OK && pos == (uint32_t)i);
    }
    CHECK(dict_add(d, "word7end", 8, &pos, NULL) == REC_OK && pos == 7);
    CHECK(dict_add(d, "", 0, &pos, NULL) == REC_OK && pos == 3000);
    CHECK(dict_find(d, "", 0) == 3000 && dict_find(d, "x", 1) == KEYS_NONE);
    CHECK(dict_add(d, "a\0b", 3, &pos, NULL) == REC_OK &&
          dict_find(d, "a", 1) == KEYS_NONE);
    CHECK(dict_count(d) == 3002 && dict_nbyte(d) > 3000);
    dict_free(d);
    d = dict_new();
    const char *names[] = {"adventure", "animation", "comedy", "drama", "action"};
    for (int i = 0; i < 5; i++) dict_add(d, names[i], strlen(names[i]), &pos, NULL);
    CHECK(dict_near(d, "comdy", 5, 1, NULL) == KEYS_NONE); /* not yet prepared */
    CHECK(dict_index_spelling(d, NULL) == REC_OK);
    int distance;
    CHECK(dict_near(d, "advnture", 8, 2, &distance) == 0 && distance == 1);
    CHECK(dict_near(d, "comdey", 6, 1, &distance) == 2 && distance == 1);
    CHECK(dict_near(d, "comedy", 6, 1, NULL) == KEYS_NONE); /* itself does not count */
    CHECK(dict_near(d, "axtiom", 6, 1, NULL) == KEYS_NONE);
    CHECK(dict_near(d, "zzzzzz", 6, 2, NULL) == KEYS_NONE);
    dict_free(d);
}

static rec_status build_dict(rec_err *err) {
    dict *d = dict_new();
    uint32_t pos;
    rec_status rc = d ? REC_OK : rec_nomem(err);
    for (int i = 0; !rc && i < 200; i++) {
        char word[40];
        rc = dict_add(d, word, rec_format(word, sizeof word, "word%d", i), &pos, err);
    }
    if (!rc) rc = dict_index_spelling(d, err);
    dict_free(d);
    return rc;
}

int main(void) {
    UNIT_BEGIN("tokenize");
    alloc_install();
    test_words();
    test_hostile();
    test_flags();
    test_stems();
    test_fold();
    test_distance();
    test_dict();
    rec_err err = {0};
    ALLOC_LOOP(rc = build_dict(&err));
    CHECK(unit_live == 0);
    return UNIT_END();
}
