/* sq_eval_options.c - what an evaluation is asked to do: one JSON object.
 *
 *   {"split": "leave-one-out",          random, last, temporal, user; or "table": "name"
 *    "share": .2, "cutoff": "2024-01-01", "k": [10, 20], "metrics": ["recall", "ndcg"], "seed": 1,
 *    "bootstrap": 1000, "level": .95, "bucket": "history", "relevance": 4, "denominator": "min(k,|test|)",
 *    "mask": "none", "users": 10000, "stage": "candidates"}
 *
 * Invariants
 *   I1  An unknown name or a value out of range is REC_RANGE and says what is allowed.
 *   I2  Cuts are ascending and differ.
 */
#include "sq_eval.h"

#include <math.h>
#include <stdlib.h>

#define EVAL_DEFAULT_SHARE     .2
#define EVAL_STAGE_FIRST       100 /* cuts of candidates: this and EVAL_MAX_CUT */
#define EVAL_LAST_SHARE        .1
#define EVAL_MAX_CUT           1000
#define EVAL_DEFAULT_BOOTSTRAP 1000
#define EVAL_MAX_BOOTSTRAP     100000
#define EVAL_MAX_SEED          9007199254740992.0

const char *const eval_names[EVAL_N] = {
    "recall",    "ndcg",        "map",         "mrr",
    "hit",       "precision",   "novelty",     "popularity_lift",
    "diversity", "serendipity", "calibration", "coverage",
    "gini",      "auc",         "rmse",
};

typedef struct reader {
    const char *function;
    eval_options *out;
    rec_err *err;
} reader;

static rec_status refuse(const reader *r, const char *name, const char *rule) {
    return rec_fail(r->err, REC_RANGE, "%s: option %.40s: expected %s", r->function,
                    name, rule);
}

static rec_status read_number(const reader *r, const json *j, double min, double max,
                              double *out) {
    char rule[64];
    *out = json_is_number(j) ? json_number(j, NAN) : NAN;
    if (*out >= min && *out <= max) return REC_OK;
    rec_format(rule, sizeof rule, "a number from %g to %g", min, max);
    return refuse(r, json_key(j), rule);
}

static rec_status read_whole(const reader *r, const json *j, double min, double max,
                             double *out) {
    rec_status s = read_number(r, j, min, max, out);
    if (s == REC_OK && *out != floor(*out))
        s = refuse(r, json_key(j), "a whole number");
    return s;
}

static bool is_text(const json *j, const char *text) {
    return json_is_string(j) && strcmp(json_text(j), text) == 0;
}

static rec_status read_split(const reader *r, const json *j) {
    split_spec *s = &r->out->split;
    s->n_last = 0;
    if (is_text(j, "leave-one-out"))
        s->kind = SPLIT_LAST, s->n_last = 1;
    else if (is_text(j, "last"))
        s->kind = SPLIT_LAST;
    else if (is_text(j, "random"))
        s->kind = SPLIT_RANDOM;
    else if (is_text(j, "temporal"))
        s->kind = SPLIT_TEMPORAL;
    else if (is_text(j, "user"))
        s->kind = SPLIT_USER;
    else
        return refuse(r, "split",
                      "leave-one-out, last, random, temporal or user (a test table of "
                      "your own: \"table\": \"name\")");
    return REC_OK;
}

static rec_status read_table(const reader *r, const json *j) {
    if (!json_is_string(j) || !json_text(j)[0])
        return refuse(r, "table", "the name of a table or view");
    rec_free(r->out->table);
    r->out->table = rec_strdup(json_text(j));
    return r->out->table ? REC_OK : rec_nomem(r->err);
}

static int by_size(const void *a, const void *b, void *ctx) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    (void)ctx;
    return x < y ? -1 : x > y;
}

static rec_status read_cuts(const reader *r, const json *j) {
    eval_options *o = r->out;
    const json *i = json_is_array(j) ? json_first(j) : j;
    o->n_k = 0;
    for (; i; i = json_is_array(j) ? json_next(i) : NULL) {
        double x = json_is_number(i) ? json_number(i, 0) : 0;
        if (!(x >= 1 && x <= EVAL_MAX_CUT) || x != floor(x) || o->n_k == EVAL_MAX_K)
            return refuse(r, "k",
                          "a whole number from 1 to 1000, or an array of up to 8");
        o->k[o->n_k++] = (size_t)x;
    }
    if (!o->n_k) return refuse(r, "k", "at least one number");
    rec_sort(o->k, o->n_k, sizeof *o->k, by_size, NULL);
    size_t kept = 1;
    for (size_t n = 1; n < o->n_k; n++)
        if (o->k[n] != o->k[kept - 1]) o->k[kept++] = o->k[n];
    o->n_k = kept;
    return REC_OK;
}

static rec_status read_metrics(const reader *r, const json *j) {
    char all[200];
    size_t at = 0;
    for (int m = 0; m < EVAL_N; m++) r->out->wants[m] = false;
    r->out->is_chosen = true;
    const json *i = json_is_array(j) ? json_first(j) : j;
    for (; i; i = json_is_array(j) ? json_next(i) : NULL) {
        int m = 0;
        while (m < EVAL_N && !is_text(i, eval_names[m])) m++;
        if (m < EVAL_N) {
            r->out->wants[m] = true;
            continue;
        }
        for (m = 0; m < EVAL_N && at < sizeof all; m++)
            at += rec_format(all + at, sizeof all - at, "%s%s", m ? ", " : "",
                             eval_names[m]);
        return refuse(r, "metrics", all);
    }
    return REC_OK;
}

static rec_status read_cutoff(const reader *r, const json *j) {
    cell c = {.type = CELL_TEXT};
    if (json_is_number(j))
        c = cell_real(json_number(j, 0));
    else if (json_is_string(j))
        c = cell_str(json_text(j));
    if (signal_parse_time(&c, &r->out->split.cutoff)) return REC_OK;
    return refuse(r, "cutoff", "a time: '2024-05-01', or unix seconds");
}

static rec_status read_words(const reader *r, const json *j, const char *yes,
                             const char *no, bool *out) {
    char rule[64];
    *out = is_text(j, yes);
    if (*out || is_text(j, no)) return REC_OK;
    rec_format(rule, sizeof rule, "'%s' or '%s'", no, yes);
    return refuse(r, json_key(j), rule);
}

static rec_status read_bucket(const reader *r, const json *j) {
    static const char *const names[] = {"none", "history", "item", "age"};
    for (int i = 0; i < 4; i++)
        if (is_text(j, names[i])) {
            r->out->bucket = (eval_bucket)i;
            return REC_OK;
        }
    return refuse(r, "bucket", "'none', 'history', 'item' or 'age'");
}

static rec_status read_option(const reader *r, const json *j) {
    eval_options *o = r->out;
    const char *name = json_key(j);
    double x = 0;
    rec_status s = REC_OK;
    if (strcmp(name, "split") == 0) return read_split(r, j);
    if (strcmp(name, "table") == 0) return read_table(r, j);
    if (strcmp(name, "k") == 0) return read_cuts(r, j);
    if (strcmp(name, "metrics") == 0) return read_metrics(r, j);
    if (strcmp(name, "cutoff") == 0) return read_cutoff(r, j);
    if (strcmp(name, "share") == 0)
        return read_number(r, j, .0001, .9, &o->split.share);
    if (strcmp(name, "relevance") == 0)
        return read_number(r, j, -1e30, 1e30, &o->relevance);
    if (strcmp(name, "level") == 0) return read_number(r, j, .5, .9999, &o->level);
    if (strcmp(name, "bucket") == 0) return read_bucket(r, j);
    if (strcmp(name, "stage") == 0)
        return read_words(r, j, "candidates", "list", &o->is_staged);
    if (strcmp(name, "mask") == 0)
        return read_words(r, j, "none", "train", &o->is_unmasked);
    if (strcmp(name, "denominator") == 0)
        return read_words(r, j, "min(k,|test|)", "|test|", &o->is_min);
    if (strcmp(name, "seed") == 0) {
        s = read_whole(r, j, 0, EVAL_MAX_SEED, &x);
        o->split.seed = (uint64_t)x;
    } else if (strcmp(name, "bootstrap") == 0) {
        s = read_whole(r, j, 0, EVAL_MAX_BOOTSTRAP, &x);
        o->n_times = (size_t)x;
    } else if (strcmp(name, "users") == 0) {
        s = read_whole(r, j, 1, 4e9, &x);
        o->most_users = (size_t)x;
    } else {
        s = rec_fail(
            r->err, REC_RANGE,
            "%s: unknown option %.40s; allowed: split, table, share, cutoff, k, "
            "metrics, seed, bootstrap, level, bucket, stage, relevance, denominator, "
            "mask, users",
            r->function, name);
    }
    return s;
}

static rec_status check(const reader *r, const json *j) {
    eval_options *o = r->out;
    if (o->table && j && json_get(j, "split"))
        return refuse(r, "table", "a table or a split, not both");
    if (o->table) o->split.kind = SPLIT_TABLE;
    if (!isnan(o->split.cutoff) && o->split.kind != SPLIT_TEMPORAL)
        return refuse(r, "cutoff", "\"split\": \"temporal\" beside it");
    if (o->is_staged) {
        if (strcmp(r->function, "rec_evaluate") != 0)
            return refuse(r, "stage", "rec_evaluate instead of this function");
        if (o->bucket != BUCKET_NONE || o->is_chosen)
            return refuse(r, "stage", "neither bucket nor metrics beside it");
        for (int m = 0; m < EVAL_N; m++) o->wants[m] = m == EVAL_RECALL;
        if (!json_get(j, "k"))
            o->k[0] = EVAL_STAGE_FIRST, o->k[1] = EVAL_MAX_CUT, o->n_k = 2;
    }
    if (!(o->split.share > 0))
        o->split.share =
            o->split.kind == SPLIT_LAST ? EVAL_LAST_SHARE : EVAL_DEFAULT_SHARE;
    return REC_OK;
}

rec_status eval_options_read(const char *function, const char *text, eval_options *out,
                             rec_err *err) {
    reader r = {function, out, err};
    rec_err why = {0};
    memset(out, 0, sizeof *out);
    out->split = (split_spec){.kind = SPLIT_RANDOM, .cutoff = NAN, .seed = 1};
    out->k[0] = 10;
    out->n_k = 1;
    out->n_times = EVAL_DEFAULT_BOOTSTRAP;
    out->level = .95;
    out->relevance = NAN;
    for (int m = 0; m < EVAL_N; m++) out->wants[m] = true;
    if (!text) return check(&r, NULL);
    json *j = json_parse(text, strlen(text), &why);
    rec_status s = REC_OK;
    if (!j && why.code == REC_NOMEM) return rec_nomem(err);
    if (!j || !json_is_object(j))
        s = rec_fail(err, REC_RANGE, "%s: options are '%.60s', expected a JSON object",
                     function, text);
    for (const json *i = s == REC_OK ? json_first(j) : NULL; i && s == REC_OK;
         i = json_next(i))
        s = read_option(&r, i);
    if (s == REC_OK) s = check(&r, j);
    json_delete(j);
    if (s != REC_OK) eval_options_clear(out);
    return s;
}

rec_status eval_metric_read(const char *function, const char *text, eval_options *out,
                            rec_err *err) {
    size_t n = strcspn(text, "@");
    int m = 0;
    double k = (double)out->k[0];
    while (m < EVAL_N &&
           !(strlen(eval_names[m]) == n && !memcmp(eval_names[m], text, n)))
        m++;
    const char *cut = text[n] ? text + n + 1 : NULL;
    bool is_cut = !cut || (rec_parse_number(cut, strlen(cut), &k) == strlen(cut) &&
                           *cut && k >= 1 && k <= EVAL_MAX_CUT && k == floor(k));
    bool is_accuracy = m <= EVAL_PRECISION || m == EVAL_AUC || m == EVAL_RMSE;
    if (m == EVAL_N || !is_cut || !is_accuracy)
        return rec_fail(err, REC_RANGE,
                        "%s: metric %.40s: expected recall, ndcg, map, mrr, hit or "
                        "precision, as in ndcg@10, or auc, or rmse",
                        function, text);
    for (int i = 0; i < EVAL_N; i++) out->wants[i] = i == m;
    out->k[0] = (size_t)k;
    out->n_k = 1;
    return REC_OK;
}

void eval_options_clear(eval_options *o) {
    rec_free(o->table);
    o->table = NULL;
}
