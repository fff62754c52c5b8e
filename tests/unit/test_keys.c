/* Keys: numbering, order, stored form, hostile bytes, no memory. */
#include "unit.h"

#include "alloc.h"

static char text_buf[64];

/* Key number i of a mix of integers (some negative, some extreme) and texts. */
static rec_key make_key(int i) {
    rec_key k = {0};
    if (i % 3 == 0) {
        k.i = i % 2 ? INT64_MIN + i : (int64_t)i * 1000003;
        return k;
    }
    k.is_text = true;
    k.text = text_buf;
    k.n_text =
        (size_t)snprintf(text_buf, sizeof text_buf, i % 3 == 1 ? "%d" : "tt%07d", i);
    if (i == 1) k.n_text = 0; /* the empty text is a key as well */
    return k;
}

static keyset *build(int n, int step, rec_err *err) {
    keyset *ks = keyset_new();
    for (int i = 0; ks && i < n; i++) {
        rec_key k = make_key(i * step % n);
        uint32_t pos;
        if (!keyset_add(ks, &k, &pos, err)) continue;
        keyset_free(ks);
        return NULL;
    }
    return ks;
}

static void test_numbering(void) {
    enum { N = 20000 };
    keyset *ks = build(N, 1, NULL);
    CHECK(keyset_count(ks) == N);
    int bad = 0;
    for (int i = 0; i < N; i++) {
        rec_key k = make_key(i), got = keyset_get(ks, (uint32_t)i);
        uint32_t pos;
        bad += keyset_find(ks, &k) != (uint32_t)i;
        bad += keyset_add(ks, &k, &pos, NULL) != REC_OK || pos != (uint32_t)i;
        bad += key_compare(&k, &got) != 0;
    }
    CHECK(bad == 0 && keyset_count(ks) == N && keyset_nbyte(ks) > N * 24);
    rec_key one = {.i = 1}, text_one = {.is_text = true, .text = "x1", .n_text = 2};
    CHECK(keyset_find(ks, &one) == KEYS_NONE &&
          keyset_find(ks, &text_one) == KEYS_NONE);
    keyset_free(ks);
    keyset *empty = keyset_new();
    CHECK(keyset_find(empty, &one) == KEYS_NONE && keyset_count(empty) == 0);
    CHECK(!keyset_order(empty, NULL, NULL));
    keyset_free(empty);
    keyset_free(NULL);
}

static void test_order(void) {
    enum { N = 1000 };
    uint32_t pa[N], pb[N];
    keyset *a = build(N, 1, NULL), *b = build(N, 7, NULL); /* 7 and 1000 are coprime */
    CHECK(!keyset_order(a, pa, NULL) && !keyset_order(b, pb, NULL));
    for (int i = 0; i < N; i++) {
        rec_key x = keyset_get(a, pa[i]), y = keyset_get(b, pb[i]);
        CHECK(key_compare(&x, &y) == 0);
        if (i == 0) continue;
        rec_key before = keyset_get(a, pa[i - 1]);
        CHECK(key_compare(&before, &x) < 0 && key_compare(&x, &before) > 0);
    }
    keyset_free(a), keyset_free(b);
}

static void test_stored(void) {
    keyset *ks = build(60, 1, NULL), *back;
    bytes_writer w = {0};
    rec_err err = {0};
    keyset_write(ks, &w);
    bytes_reader r = {w.data, w.n, 0, REC_OK};
    CHECK(!keyset_read(&r, &back, &err) && r.at == w.n && keyset_count(back) == 60);
    for (uint32_t i = 0; i < 60; i++) {
        rec_key x = keyset_get(ks, i), y = keyset_get(back, i);
        CHECK(key_compare(&x, &y) == 0);
    }
    keyset_free(back);
    for (size_t cut = 0; cut < w.n; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, w.data, cut);
        r = (bytes_reader){copy, cut, 0, REC_OK};
        CHECK(keyset_read(&r, &back, &err) == REC_CORRUPT && back == NULL);
        free(copy);
    }
    for (size_t i = 0; i < w.n; i++)
        for (int flip = 1; flip < 256; flip = flip * 2 + 1) {
            w.data[i] ^= (uint8_t)flip;
            r = (bytes_reader){w.data, w.n, 0, REC_OK};
            rec_status rc = keyset_read(&r, &back, &err);
            CHECK(rc == REC_OK || (rc == REC_CORRUPT && back == NULL));
            keyset_free(back);
            w.data[i] ^= (uint8_t)flip;
        }
    ALLOC_LOOP(r = (bytes_reader){w.data, w.n, 0, REC_OK};
               rc = keyset_read(&r, &back, NULL); keyset_free(back));
    bytes_clear(&w);
    keyset_free(ks);
}

static void test_twice(void) {
    bytes_writer w = {0};
    keyset *back;
    rec_err err = {0};
    bytes_put_u64(&w, 2);
    for (int i = 0; i < 2; i++) bytes_put_u8(&w, 1), bytes_put_str(&w, "a", 1);
    bytes_reader r = {w.data, w.n, 0, REC_OK};
    CHECK(keyset_read(&r, &back, &err) == REC_CORRUPT &&
          strstr(err.msg, "stands twice"));
    bytes_clear(&w);
}

int main(void) {
    UNIT_BEGIN("keys");
    alloc_install();
    test_numbering();
    test_order();
    test_stored();
    test_twice();
    keyset *ks;
    ALLOC_LOOP(ks = build(3000, 1, NULL); rc = ks ? REC_OK : REC_NOMEM;
               keyset_free(ks));
    CHECK(unit_live == 0);
    return UNIT_END();
}
