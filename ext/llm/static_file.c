/* static_file.c - tokenizer.json and model.safetensors: a table of token vectors out of two files.
 *
 *     folder/tokenizer.json       {"model": {"type": "WordPiece", "vocab": {"[UNK]": 1, "film": 2012, ...}},
 *                                  "normalizer": {...}, "added_tokens": [...]}
 *     folder/model.safetensors    u64 n | n bytes of JSON: {"embeddings": {"dtype": "F32",
 *                                        "shape": [29528, 256], "data_offsets": [0, 30236672]}} | numbers
 *
 * Newer files also have "weights" (a factor a token) and "mapping" (a token's row); both are worked into the rows
 * here, so that a token has one row of its own. Numbers may be F32, F16, BF16, and F64 for the weights.
 *
 * Nothing that a file says of itself is believed: offsets must lie within the file, sizes must agree with shapes,
 * every id of the vocabulary must have a row.
 *
 * Invariants
 *   F1  row i of the table is that of token i of t->tokens.
 *
 * Cost: one pass; JSON_MAX_BYTES of tokenizer.json at most; numbers are read row by row.
 */
#include "llm.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define FILE_MAX_PATH  1024
#define FILE_MAX_VOCAB (1u << 20)

typedef struct static_file { /* an open safetensors file */
    FILE *f;
    char path[FILE_MAX_PATH];
    uint64_t data, nbyte; /* where numbers begin, and the size of all */
    json *header;         /* owned */
} static_file;

typedef struct tensor {
    char type[8];
    uint64_t at, n_rows, dim; /* dim 1: a vector */
    size_t width;             /* bytes a number */
} tensor;

static rec_status bad_file(const char *path, const char *why, rec_err *err) {
    return rec_fail(err, REC_RANGE, "static: %.160s: %s", path, why);
}

static rec_status open_file(const char *path, FILE **f, uint64_t *nbyte, rec_err *err) {
    long long end = -1;
    *f = fopen(path, "rb");
    if (!*f)
        return rec_fail(err, REC_RANGE, "static: %.160s cannot be opened: %s", path,
                        strerror(errno));
    if (fseeko(*f, 0, SEEK_END) == 0) end = (long long)ftello(*f);
    if (end < 0 || fseeko(*f, 0, SEEK_SET) != 0) {
        fclose(*f);
        *f = NULL;
        return bad_file(path, "its size cannot be told", err);
    }
    *nbyte = (uint64_t)end;
    return REC_OK;
}

static rec_status read_json(FILE *f, const char *path, uint64_t nbyte, json **out,
                            rec_err *err) {
    rec_err why = {0};
    *out = NULL;
    if (nbyte > JSON_MAX_BYTES) return bad_file(path, "more than 16 MB of JSON", err);
    char *text = rec_array((size_t)nbyte + 1, 1);
    if (!text) return rec_nomem(err);
    size_t n = fread(text, 1, (size_t)nbyte, f);
    if (n == nbyte) *out = json_parse(text, n, &why);
    rec_free(text);
    if (n != nbyte) return bad_file(path, "it ends before its JSON does", err);
    if (*out) return REC_OK;
    return why.code == REC_NOMEM ? rec_nomem(err) : bad_file(path, why.msg, err);
}

/* ---- tokenizer.json ---------------------------------------------------------------------------- */

static bool has_lower_case(const json *normalizer) {
    const char *type = json_text(json_get(normalizer, "type"));
    if (json_truth(json_get(normalizer, "lowercase"), false)) return true;
    if (type && strcmp(type, "Lowercase") == 0) return true;
    const json *list = json_get(normalizer, "normalizers");
    for (const json *j = json_first(list); j; j = json_next(j))
        if (has_lower_case(j)) return true;
    return false;
}

typedef struct vocab_reader {
    const char *path;
    static_table *t;
    uint32_t *id; /* owned: by token, its row in the file */
    size_t cap_id, cap_score;
} vocab_reader;

static rec_status add_entry(vocab_reader *v, const char *text, double id, double score,
                            rec_err *err) {
    uint32_t at = 0, before = (uint32_t)dict_count(v->t->tokens);
    if (!text || !(id >= 0 && id < FILE_MAX_VOCAB) || id != floor(id) ||
        !isfinite((float)score))
        return bad_file(v->path, "an entry of its vocabulary has no token, id or score",
                        err);
    if (before == FILE_MAX_VOCAB)
        return bad_file(v->path, "more than 1048576 tokens", err);
    rec_status st = rec_grow(&v->id, &v->cap_id, before + 1, sizeof *v->id, err);
    if (!st)
        st =
            rec_grow(&v->t->score, &v->cap_score, before + 1, sizeof *v->t->score, err);
    if (!st) st = dict_add(v->t->tokens, text, strlen(text), &at, err);
    if (st || at < before)
        return st; /* a token that is there twice: the first counts */
    v->id[at] = (uint32_t)id;
    v->t->score[at] = (float)score;
    return REC_OK;
}

static rec_status read_wordpiece(vocab_reader *v, const json *model, rec_err *err) {
    const char *prefix = json_text(json_get(model, "continuing_subword_prefix"));
    rec_status st = REC_OK;
    if (!prefix) prefix = "##";
    if (strlen(prefix) >= sizeof v->t->prefix)
        return bad_file(v->path, "its continuing_subword_prefix is too long", err);
    memcpy(v->t->prefix, prefix, strlen(prefix) + 1);
    const json *vocab = json_get(model, "vocab");
    for (const json *j = json_first(vocab); j && !st; j = json_next(j))
        st = add_entry(v, json_key(j), json_number(j, -1), 0, err);
    rec_free(v->t->score);
    v->t->score = NULL;
    return st;
}

static rec_status read_unigram(vocab_reader *v, const json *model, rec_err *err) {
    rec_status st = REC_OK;
    double id = 0;
    const json *vocab = json_get(model, "vocab");
    for (const json *j = json_first(vocab); j && !st; j = json_next(j), id++) {
        const json *text = json_first(j);
        st = add_entry(v, json_text(text), id,
                       text ? json_number(json_next(text), NAN) : NAN, err);
    }
    return st;
}

/* Special tokens stand for no text. */
static rec_status mark_special(vocab_reader *v, const json *root, const json *model,
                               rec_err *err) {
    size_t n = dict_count(v->t->tokens);
    const char *unknown = json_text(json_get(model, "unk_token"));
    double unk_id = json_number(json_get(model, "unk_id"), -1);
    v->t->is_skipped = rec_zeros(n, 1);
    if (!v->t->is_skipped) return rec_nomem(err);
    const json *added = json_get(root, "added_tokens");
    for (const json *j = json_first(added); j; j = json_next(j)) {
        const char *s = json_text(json_get(j, "content"));
        uint32_t at = s ? dict_find(v->t->tokens, s, strlen(s)) : KEYS_NONE;
        if (at != KEYS_NONE && json_truth(json_get(j, "special"), false))
            v->t->is_skipped[at] = 1;
    }
    uint32_t at =
        unknown ? dict_find(v->t->tokens, unknown, strlen(unknown)) : KEYS_NONE;
    if (at != KEYS_NONE) v->t->is_skipped[at] = 1;
    if (unk_id >= 0 && unk_id < (double)n) v->t->is_skipped[(size_t)unk_id] = 1;
    return REC_OK;
}

static rec_status read_vocab(vocab_reader *v, const json *root, rec_err *err) {
    const json *model = json_get(root, "model");
    const char *type = json_text(json_get(model, "type"));
    bool is_unigram =
        type ? strcmp(type, "Unigram") == 0 : json_is_array(json_get(model, "vocab"));
    v->t->lower_case = has_lower_case(json_get(root, "normalizer"));
    if (type && !is_unigram && strcmp(type, "WordPiece") != 0)
        return rec_fail(err, REC_RANGE,
                        "static: %.160s: its model is %.40s; WordPiece and Unigram can "
                        "be read",
                        v->path, type);
    rec_status st =
        is_unigram ? read_unigram(v, model, err) : read_wordpiece(v, model, err);
    if (!st && dict_count(v->t->tokens) == 0)
        st = bad_file(v->path, "its model has no vocab", err);
    return st ? st : mark_special(v, root, model, err);
}

static rec_status open_tokenizer(vocab_reader *v, rec_err *err) {
    FILE *f;
    uint64_t nbyte;
    json *root = NULL;
    rec_status st = open_file(v->path, &f, &nbyte, err);
    if (st) return st;
    st = read_json(f, v->path, nbyte, &root, err);
    fclose(f);
    if (!st) st = read_vocab(v, root, err);
    json_delete(root);
    return st;
}

/* ---- safetensors ------------------------------------------------------------------------------------ */

static rec_status open_safetensors(static_file *s, rec_err *err) {
    uint8_t b[8];
    uint64_t n = 0;
    rec_status st = open_file(s->path, &s->f, &s->nbyte, err);
    if (st) return st;
    if (fread(b, 1, 8, s->f) != 8)
        return bad_file(s->path, "it is shorter than 8 bytes", err);
    for (int i = 7; i >= 0; i--) n = n << 8 | b[i];
    if (n > s->nbyte - 8)
        return rec_fail(err, REC_RANGE,
                        "static: %.160s: a header of %llu bytes in a file of %llu: cut "
                        "off, or no safetensors file",
                        s->path, (unsigned long long)n, (unsigned long long)s->nbyte);
    s->data = 8 + n;
    return read_json(s->f, s->path, n, &s->header, err);
}

static bool whole(const json *j, uint64_t *out) {
    int64_t x = -1;
    if (!json_int64(j, &x) || x < 0) return false;
    *out = (uint64_t)x;
    return true;
}

static size_t width_of(const char *type) {
    static const struct {
        const char *name;
        size_t width;
    } types[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2},
                 {"F64", 8}, {"I64", 8}, {"I32", 4}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, type) == 0) return types[i].width;
    return 0;
}

static rec_status bad_tensor(const static_file *s, const char *name, const char *why,
                             rec_err *err) {
    return rec_fail(err, REC_RANGE, "static: %.160s: tensor %.40s %s", s->path, name,
                    why);
}

/* Shape, offsets and type agree with one another and with the file. */
static rec_status read_tensor(const static_file *s, const json *j, tensor *out,
                              rec_err *err) {
    const char *name = json_key(j), *type = json_text(json_get(j, "dtype"));
    const json *shape = json_get(j, "shape"), *at = json_get(j, "data_offsets");
    const json *rows = json_first(shape), *dim = rows ? json_next(rows) : NULL;
    uint64_t from, to, room = s->nbyte - s->data;
    *out = (tensor){.dim = 1, .width = type ? width_of(type) : 0};
    if (!out->width) return bad_tensor(s, name, "has a dtype that cannot be read", err);
    memcpy(out->type, type, strlen(type) + 1);
    if (!whole(rows, &out->n_rows) || (dim && !whole(dim, &out->dim)) ||
        json_count(shape) > 2 || out->n_rows == 0 || out->n_rows > FILE_MAX_VOCAB ||
        out->dim == 0 || out->dim > VEC_MAX_DIM)
        return bad_tensor(s, name, "has no shape of rows x numbers within bounds", err);
    if (!whole(json_first(at), &from) || !whole(json_next(json_first(at)), &to) ||
        from > to || to > room)
        return rec_fail(
            err, REC_RANGE,
            "static: %.160s: tensor %.40s is not within the file, which has "
            "%llu bytes of numbers",
            s->path, name, (unsigned long long)room);
    if (to - from != out->n_rows * out->dim * out->width)
        return rec_fail(err, REC_RANGE,
                        "static: %.160s: tensor %.40s says %llu x %llu numbers of %zu "
                        "bytes, and has %llu bytes",
                        s->path, name, (unsigned long long)out->n_rows,
                        (unsigned long long)out->dim, out->width,
                        (unsigned long long)(to - from));
    out->at = s->data + from;
    return REC_OK;
}

static double number_at(const tensor *t, const uint8_t *p) {
    uint64_t bits = 0;
    for (size_t i = t->width; i-- > 0;) bits = bits << 8 | p[i];
    if (strcmp(t->type, "I64") == 0) return (double)(int64_t)bits;
    if (strcmp(t->type, "I32") == 0) return (double)(int32_t)bits;
    double d;
    float f;
    uint32_t low = (uint32_t)bits;
    uint16_t half = (uint16_t)bits;
    if (t->width == 8) return memcpy(&d, &bits, sizeof d), d;
    if (strcmp(t->type, "BF16") == 0) low <<= 16;
    if (strcmp(t->type, "F16") == 0)
        return vec_kernels()->f32_from_f16(&f, &half, 1), f;
    return memcpy(&f, &low, sizeof f), f;
}

static rec_status seek(const static_file *s, uint64_t at, rec_err *err) {
    if (fseeko(s->f, (off_t)at, SEEK_SET) == 0) return REC_OK;
    return bad_file(s->path, "it cannot be read", err);
}

/* One number a row; *out owned, NULL if there is no such tensor. */
static rec_status read_column(const static_file *s, const char *name, double **out,
                              size_t *n, rec_err *err) {
    const json *j = json_get(s->header, name);
    uint8_t buf[8];
    tensor t;
    *out = NULL;
    *n = 0;
    if (!j) return REC_OK;
    rec_status st = read_tensor(s, j, &t, err);
    if (!st && t.dim != 1) st = bad_tensor(s, name, "is no list of numbers", err);
    if (!st) st = seek(s, t.at, err);
    if (st) return st;
    *out = rec_array((size_t)t.n_rows, sizeof **out);
    if (!*out) return rec_nomem(err);
    for (*n = 0; *n < t.n_rows; ++*n) {
        if (fread(buf, 1, t.width, s->f) != t.width)
            return bad_tensor(s, name, "cannot be read", err);
        (*out)[*n] = number_at(&t, buf);
    }
    return REC_OK;
}

/* "embeddings", or the only matrix there is. */
static rec_status find_rows(const static_file *s, tensor *out, rec_err *err) {
    const json *j = json_get(s->header, "embeddings");
    for (const json *k = json_first(s->header); k && !j; k = json_next(k))
        if (json_count(json_get(k, "shape")) == 2) j = k;
    if (!j) return bad_file(s->path, "it has no tensor called embeddings", err);
    rec_status st = read_tensor(s, j, out, err);
    if (!st && (out->type[0] == 'I' || out->width == 8))
        st = bad_tensor(s, json_key(j), "is none of F32, F16, BF16", err);
    return st;
}

static rec_status read_matrix(const static_file *s, const tensor *t, mat *out,
                              rec_err *err) {
    size_t n = (size_t)t->dim * t->width;
    uint8_t *buf = rec_array(n, 1);
    rec_status st =
        buf ? mat_init(out, (size_t)t->n_rows, (uint32_t)t->dim, err) : rec_nomem(err);
    if (!st) st = seek(s, t->at, err);
    for (size_t i = 0; !st && i < t->n_rows; i++) {
        float *x = mat_row(out, i);
        if (fread(buf, 1, n, s->f) != n)
            st = bad_file(s->path, "it cannot be read", err);
        for (size_t k = 0; !st && k < t->dim; k++)
            x[k] = (float)number_at(t, buf + k * t->width);
    }
    rec_free(buf);
    return st;
}

typedef struct file_rows {
    mat rows;
    double *mapping, *weight; /* owned; NULL: none */
    size_t n_mapping, n_weight;
} file_rows;

/* F1. */
static rec_status place_rows(const static_file *s, const vocab_reader *v,
                             const file_rows *r, rec_err *err) {
    size_t n = dict_count(v->t->tokens);
    rec_status st = mat_init(&v->t->rows, n, r->rows.dim, err);
    for (size_t i = 0; !st && i < n; i++) {
        uint32_t id = v->id[i];
        double row = r->mapping ? id < r->n_mapping ? r->mapping[id] : -1 : id;
        double w = r->weight ? id < r->n_weight ? r->weight[id] : NAN : 1;
        if (!(row >= 0 && row < (double)r->rows.n_rows) || !isfinite(w))
            return rec_fail(err, REC_RANGE,
                            "static: %.160s has %zu rows, and none for token %u of "
                            "tokenizer.json",
                            s->path, r->rows.n_rows, id);
        vec_kernels()->axpy(mat_row(&v->t->rows, i), (float)w,
                            mat_row(&r->rows, (size_t)row), r->rows.dim);
    }
    return st;
}

static rec_status read_rows(static_file *s, const vocab_reader *v, rec_err *err) {
    file_rows r = {.mapping = NULL};
    tensor t;
    rec_status st = open_safetensors(s, err);
    if (!st) st = find_rows(s, &t, err);
    if (!st) st = read_matrix(s, &t, &r.rows, err);
    if (!st) st = read_column(s, "mapping", &r.mapping, &r.n_mapping, err);
    if (!st) st = read_column(s, "weights", &r.weight, &r.n_weight, err);
    if (!st) st = place_rows(s, v, &r, err);
    mat_clear(&r.rows);
    rec_free(r.mapping);
    rec_free(r.weight);
    return st;
}

/* ---- both --------------------------------------------------------------------------------------------- */

/* path: the folder, or the safetensors file in it. */
static rec_status name_files(const char *path, char words[FILE_MAX_PATH],
                             char rows[FILE_MAX_PATH], rec_err *err) {
    static const char ending[] = ".safetensors";
    size_t n = strlen(path), k = sizeof ending - 1, n_folder = n;
    bool is_file = n >= k && strcmp(path + n - k, ending) == 0;
    if (n + 32 > FILE_MAX_PATH) return bad_file(path, "the path is too long", err);
    while (is_file && n_folder && path[n_folder - 1] != '/') n_folder--;
    while (n_folder > 1 && path[n_folder - 1] == '/') n_folder--;
    const char *folder = n_folder ? path : ".";
    int len = n_folder ? (int)n_folder : 1;
    rec_format(words, FILE_MAX_PATH, "%.*s/tokenizer.json", len, folder);
    if (is_file)
        rec_format(rows, FILE_MAX_PATH, "%s", path);
    else
        rec_format(rows, FILE_MAX_PATH, "%.*s/model.safetensors", len, folder);
    return REC_OK;
}

rec_status static_file_open(const char *path, static_table **out, rec_err *err) {
    char words[FILE_MAX_PATH];
    static_file s = {.f = NULL};
    vocab_reader v = {.path = words};
    *out = NULL;
    rec_status st = name_files(path, words, s.path, err);
    if (st) return st;
    v.t = rec_zeros(1, sizeof *v.t);
    if (v.t) v.t->tokens = dict_new();
    if (!v.t || !v.t->tokens) st = rec_nomem(err);
    if (!st) st = open_tokenizer(&v, err);
    if (!st) st = read_rows(&s, &v, err);
    if (s.f) fclose(s.f);
    json_delete(s.header);
    rec_free(v.id);
    if (st)
        static_table_free(v.t);
    else
        *out = v.t;
    return st;
}
