/* Writer, reader and hash. */
#include "unit.h"

#include "alloc.h"

static void put_all(bytes_writer *w) {
    float f[3] = {1.5f, -2, 1e-40f};
    bytes_put_u8(w, 200);
    bytes_put_u32(w, 0x01020304u);
    bytes_put_u64(w, 0x0102030405060708u);
    bytes_put_f32(w, -1.25f);
    bytes_put_f64(w, 3.5);
    bytes_put_str(w, "key", 3);
    bytes_put_f32s(w, f, 3);
    bytes_put(w, NULL, 0);
}

static void test_round_trip(void) {
    bytes_writer w = {0};
    put_all(&w);
    CHECK(w.status == REC_OK && w.n == 1 + 4 + 8 + 4 + 8 + 7 + 12);
    CHECK(w.data[1] == 4 && w.data[4] == 1 && w.data[5] == 8); /* little-endian */
    for (size_t cut = 0; cut <= w.n; cut++) {
        uint8_t *copy =
            malloc(cut ? cut : 1); /* exact, so that ASan sees an over-read */
        memcpy(copy, w.data, cut);
        bytes_reader r = {copy, cut, 0, REC_OK};
        size_t n;
        float f[3];
        bool whole = cut == w.n;
        CHECK(bytes_get_u8(&r) == (cut >= 1 ? 200 : 0));
        CHECK(bytes_get_u32(&r) == (cut >= 5 ? 0x01020304u : 0));
        CHECK(bytes_get_u64(&r) == (cut >= 13 ? 0x0102030405060708u : 0));
        CHECK(bytes_get_f32(&r) == (cut >= 17 ? -1.25f : 0));
        CHECK(bytes_get_f64(&r) == (cut >= 25 ? 3.5 : 0));
        const char *s = bytes_get_str(&r, &n);
        CHECK(cut >= 32 ? n == 3 && memcmp(s, "key", 3) == 0 : s == NULL && n == 0);
        bytes_get_f32s(&r, f, 3);
        CHECK(f[0] == (whole ? 1.5f : 0) && f[2] == (whole ? 1e-40f : 0));
        CHECK(r.status == (whole ? REC_OK : REC_CORRUPT) && r.at <= cut);
        free(copy);
    }
    bytes_clear(&w);
}

static void test_hostile_length(void) {
    uint8_t data[8] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
    bytes_reader r = {data, sizeof data, 0, REC_OK};
    size_t n;
    CHECK(bytes_get_str(&r, &n) == NULL && n == 0 && r.status == REC_CORRUPT);
    CHECK(bytes_get(&r, 0) == NULL); /* sticky */
    r = (bytes_reader){data, sizeof data, 0, REC_OK};
    CHECK(bytes_get(&r, SIZE_MAX) == NULL);
    float f = 5;
    r = (bytes_reader){data, sizeof data, 0, REC_OK};
    CHECK(bytes_get(&r, 6) == data && r.at == 6);
    bytes_get_f32s(&r, &f, 1);
    CHECK(f == 0 && r.status == REC_CORRUPT);
    r = (bytes_reader){NULL, 0, 0, REC_OK};
    CHECK(bytes_get(&r, 0) != NULL && r.status == REC_OK);
}

static void test_text(void) {
    bytes_writer w = {0};
    bytes_puts(&w, "{");
    bytes_printf(&w, "\"a\":%d", 7);
    char *long_text = malloc(5001);
    memset(long_text, 'x', 5000);
    long_text[5000] = 0;
    bytes_printf(&w, "%s}", long_text);
    char *text = bytes_take_text(&w);
    CHECK(strlen(text) == 1 + 5 + 5000 + 1 && text[5006] == '}');
    CHECK(w.data == NULL && w.n == 0);
    rec_free(text);
    free(long_text);
}

static rec_status write_status(void) {
    bytes_writer w = {0};
    for (int i = 0; i < 300; i++) put_all(&w), bytes_printf(&w, "%d", i);
    rec_status rc = w.status;
    char *text = bytes_take_text(&w);
    if (!text && !rc) rc = REC_NOMEM; /* the terminating NUL */
    rec_free(text);
    return rc;
}

static void test_hash(void) {
    uint64_t seen[200];
    uint8_t zero[200] = {0};
    for (size_t n = 0; n < 200; n++) {
        seen[n] = rec_hash(zero, n, 1);
        for (size_t k = 0; k < n; k++) CHECK(seen[n] != seen[k]);
    }
    CHECK(rec_hash("abc", 3, 1) == rec_hash("abcd", 3, 1));
    CHECK(rec_hash("abc", 3, 1) != rec_hash("abc", 3, 2));
    CHECK(rec_mix(0) == 0xe220a8397b1dcdafu); /* the published splitmix64 sequence */
}

int main(void) {
    UNIT_BEGIN("bytes");
    alloc_install();
    test_round_trip();
    test_hostile_length();
    test_text();
    test_hash();
    ALLOC_LOOP(rc = write_status());
    CHECK(unit_live == 0);
    return UNIT_END();
}
