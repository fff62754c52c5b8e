/* enrich_builtin.c - a fuller description of an item out of the catalogue itself, without a model.
 *
 *     {"title": "The Vampire Lovers", "genres": "Horror|Romance", "year": 1970}
 *       description  "The Vampire Lovers. Genres: Horror, Romance. Year: 1970."   the record, in words
 *       tags         ["Horror", "Romance"]                                       its facet values
 *       inferred     ["count", "castle", "plague", ...]                          words of its neighbours
 *       mood         "dark"                                                      those among them that are moods
 *
 * The neighbours are the items of the catalogue whose heaviest words are those of this record, rare words and
 * facet values alike (text/related.c); what they say most is likely to hold here too, and is marked as inferred.
 * A cold item with a title and a genre gets words by which requests and tastes find it. (The figures are printed
 * by `make report`.)
 *
 * Invariants
 *   B1  description and tags are words of the record and the names of its fields.
 *   B2  no inferred word is in the record, is a facet value, or is so rare that it would be a name; no number is
 *       inferred, but the decade of a year.
 *   B3  without a catalogue the record speaks alone.
 */
#include "llm.h"

#define MAX_WORDS    64 /* of the record that neighbours are looked up by */
#define MAX_INFERRED 8
#define MIN_DF       3   /* items that have an inferred word ... */
#define MIN_DF_SHARE 300 /* one in so many at least: rarer words are mostly names */
#define MAX_RELATED  96
#define MAX_PHRASES  3
#define SHORT_FIELD  80  /* bytes; a longer text speaks by its first sentence */
#define MAX_SENTENCE 300 /* bytes */
#define MAX_VALUES   32  /* of one field */

/* ---- the record in words ---------------------------------------------------------------------------- */

static int facet_of(const llm_context *ctx, const char *name) {
    return ctx->items ? facet_find(ctx->items, name, strlen(name)) : -1;
}

static rec_status add_value(void *ctx, const char *s, size_t nbyte, rec_err *err) {
    text_list *l = ctx;
    for (size_t i = 0; i < l->n; i++)
        if (strlen(l->a[i]) == nbyte && memcmp(l->a[i], s, nbyte) == 0) return REC_OK;
    return l->n < MAX_VALUES ? text_list_add(l, s, nbyte, err) : REC_OK;
}

/* The values in a field: split as its facet is, at "|" or, in a list, at commas. */
static rec_status field_values(const enrich_field *f, const llm_context *ctx,
                               text_list *out, rec_err *err) {
    facet_spec spec = {.sep = "|"};
    bool is_array;
    if (f->is_list)
        memcpy(spec.sep, ", ", 3);
    else if (strchr(f->text, '>') && facet_of(ctx, f->name) >= 0 &&
             facet_kind(ctx->items, (size_t)facet_of(ctx, f->name)) == FACET_PATH)
        memcpy(spec.sep, ">", 2);
    return facet_split(&spec, f->text, strlen(f->text), &is_array, add_value, out, err);
}

static void put_name(bytes_writer *w, const char *name) {
    for (size_t i = 0; name[i]; i++) {
        char c = name[i] == '_' ? ' ' : name[i];
        bytes_put_u8(w, (uint8_t)(i == 0 && c >= 'a' && c <= 'z' ? c - 32 : c));
    }
}

/* Values, not sentences. */
static bool is_short(const enrich_field *f) {
    size_t n = strlen(f->text);
    return n && n <= SHORT_FIELD && !strchr(".!?", f->text[n - 1]);
}

/* "Genres: Horror, Romance." */
static rec_status put_field(bytes_writer *w, const enrich_field *f,
                            const llm_context *ctx, rec_err *err) {
    if (f->is_title || !is_short(f)) {
        size_t n = f->is_title ? strlen(f->text) : claims_sentence(f->text);
        if (n > MAX_SENTENCE) return REC_OK;
        while (n && strchr(" .", f->text[n - 1])) n--;
        if (w->n) bytes_puts(w, " ");
        bytes_put(w, f->text, n), bytes_puts(w, ".");
        return REC_OK;
    }
    text_list l = {0};
    rec_status st = field_values(f, ctx, &l, err);
    if (w->n) bytes_puts(w, " ");
    put_name(w, f->name);
    for (size_t i = 0; i < l.n; i++) bytes_printf(w, "%s%s", i ? ", " : ": ", l.a[i]);
    bytes_puts(w, ".");
    text_list_clear(&l);
    return st;
}

static rec_status describe(const enrich_record *r, const llm_context *ctx,
                           enrichment *out, rec_err *err) {
    bytes_writer w = {0};
    rec_status st = REC_OK;
    for (size_t i = 0; i < r->n_field && !st; i++)
        st = put_field(&w, &r->field[i], ctx, err);
    bytes_puts(&w, "");
    out->description = bytes_take_text(&w);
    return st || out->description ? st : rec_nomem(err);
}

/* Short texts besides the title, part by part. */
static rec_status tag(const enrich_record *r, const llm_context *ctx, enrichment *out,
                      rec_err *err) {
    rec_status st = REC_OK;
    for (size_t i = 0; i < r->n_field && !st; i++) {
        const enrich_field *f = &r->field[i];
        bool is_tag = !f->is_title && !f->is_number && is_short(f);
        if (is_tag) st = field_values(f, ctx, &out->tags, err);
    }
    return st;
}

/* ---- what the neighbours say ------------------------------------------------------------------------- */

typedef struct lookup {
    const llm_context *ctx;
    uint32_t word[MAX_WORDS];
    size_t n;
    const char *facet; /* of the field that is read */
} lookup;

static void add_word(lookup *k, uint32_t term) {
    if (term == KEYS_NONE || k->n == MAX_WORDS) return;
    for (size_t i = 0; i < k->n; i++)
        if (k->word[i] == term) return;
    k->word[k->n++] = term;
}

/* A facet value is a term of its own: "genres=Horror". */
static rec_status add_feature(void *ctx, const char *s, size_t nbyte, rec_err *err) {
    lookup *k = ctx;
    char feature[256];
    (void)err;
    size_t n = rec_format(feature, sizeof feature, "%s=%.*s", k->facet, (int)nbyte, s);
    uint32_t term = lsa_find_term(k->ctx->language.l, feature, n);
    add_word(k, term);
    return REC_OK;
}

static rec_status look_up(const enrich_record *r, lookup *k, rec_err *err) {
    rec_status st = REC_OK;
    for (size_t i = 0; i < r->n_field && !st; i++) {
        const enrich_field *f = &r->field[i];
        int facet = facet_of(k->ctx, f->name);
        tokenizer t;
        token tok;
        tokenizer_start(&t, f->text, strlen(f->text), true);
        while (!f->is_number && facet < 0 && tokenizer_next(&t, &tok))
            if (!tok.is_stop && !tok.is_number)
                add_word(k, lsa_find_term(k->ctx->language.l, tok.text, tok.n_text));
        if (facet < 0 || facet_kind(k->ctx->items, (size_t)facet) == FACET_NUMBER)
            continue;
        text_list l = {0};
        k->facet = facet_name(k->ctx->items, (size_t)facet);
        st = field_values(f, k->ctx, &l, err);
        for (size_t v = 0; v < l.n && !st; v++)
            st = add_feature(k, l.a[v], strlen(l.a[v]), err);
        text_list_clear(&l);
    }
    return st;
}

static const char *const moods[] = {
    "atmospheric",  "bittersweet", "bleak",       "calm",      "charming",
    "cheerful",     "chilling",    "cozy",        "creepy",    "dark",
    "delightful",   "disturbing",  "dreamy",      "eerie",     "emotional",
    "exciting",     "fast",        "feel-good",   "fun",       "funny",
    "gentle",       "gloomy",      "gritty",      "happy",     "haunting",
    "heartwarming", "hilarious",   "hopeful",     "humorous",  "inspiring",
    "intense",      "melancholy",  "mysterious",  "nostalgic", "peaceful",
    "playful",      "quiet",       "quirky",      "relaxing",  "romantic",
    "sad",          "scary",       "serene",      "silly",     "sombre",
    "spooky",       "surreal",     "suspenseful", "tense",     "touching",
    "tragic",       "uplifting",   "violent",     "warm",      "whimsical",
    "witty"};
static const char *const audiences[] = {
    "adult",    "adults",    "beginners", "boys",     "childhood", "children",
    "families", "family",    "girls",     "kids",     "parents",   "students",
    "teen",     "teenagers", "teens",     "toddlers", "women",     "youth"};

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static rec_status put_phrase(char **to, size_t *n, const char *s, size_t nbyte,
                             rec_err *err) {
    bytes_writer w = {0};
    if (*n == MAX_PHRASES) return REC_OK;
    if (*to) bytes_puts(&w, *to), bytes_puts(&w, ", ");
    bytes_put(&w, s, nbyte);
    char *longer = bytes_take_text(&w);
    if (!longer) return rec_nomem(err);
    rec_free(*to);
    *to = longer;
    ++*n;
    return REC_OK;
}

/* Worth saying of an item that merely has neighbours which say it: not rare, and no value of a facet, which the item
 * has or has not. */
static bool may_infer(const llm_context *ctx, uint32_t term, const char *s,
                      size_t nbyte) {
    uint32_t df = lsa_df(ctx->language.l, term);
    return df >= MIN_DF && df >= ctx->language.docs.n_docs / MIN_DF_SHARE &&
           !claims_is_value(ctx->items, s, nbyte);
}

static rec_status infer(const enrich_record *r, const llm_context *ctx, enrichment *out,
                        rec_err *err) {
    lookup k = {.ctx = ctx};
    uint32_t term[MAX_RELATED];
    float score[MAX_RELATED];
    size_t n_mood = 0, n_audience = 0;
    claims *known = NULL;
    if (!ctx->language.l || !ctx->language.near) return REC_OK; /* B3 */
    rec_status st = look_up(r, &k, err);
    if (!st) st = claims_new(r->text, r->n_field, &known, err);
    size_t n =
        st ? 0 : related_terms(&ctx->language, k.word, k.n, MAX_RELATED, term, score);
    for (size_t i = 0; i < n && !st; i++) {
        size_t nbyte;
        const char *s = lsa_surface(ctx->language.l, term[i], &nbyte);
        if (!may_infer(ctx, term[i], s, nbyte) ||
            claims_judge(known, s, false) != CLAIM_INFERRED)
            continue; /* B2 */
        if (text_in_list(moods, N_OF(moods), s, nbyte))
            st = put_phrase(&out->mood, &n_mood, s, nbyte, err);
        else if (text_in_list(audiences, N_OF(audiences), s, nbyte))
            st = put_phrase(&out->audience, &n_audience, s, nbyte, err);
        else if (out->inferred.n < MAX_INFERRED)
            st = text_list_add(&out->inferred, s, nbyte, err);
    }
    claims_free(known);
    return st;
}

/* A year in the brackets that end a title, "Alien (1979)"; 0 if there is none. */
static double title_year(const char *title) {
    size_t n = strlen(title);
    double year = 0;
    bool ok = n > 6 && title[n - 1] == ')' && title[n - 6] == '(' &&
              text_whole_number(title + n - 5, 4, &year);
    return ok ? year : 0;
}

/* "1970s": tastes and requests go by it, and no two years are the same word. */
static rec_status add_decade(const enrich_record *r, const llm_context *ctx,
                             enrichment *out, rec_err *err) {
    char decade[24];
    for (size_t i = 0; i < r->n_field; i++) {
        const enrich_field *f = &r->field[i];
        int facet = facet_of(ctx, f->name);
        bool is_year = facet >= 0 ? vocabulary_role(catalog_vocabulary(ctx->items),
                                                    (size_t)facet) == ROLE_YEAR
                                  : strcmp(f->name, "year") == 0;
        double year = f->is_title ? title_year(f->text) : 0;
        if (is_year && !text_whole_number(f->text, strlen(f->text), &year)) continue;
        if (!(year >= 1000 && year < 3000)) continue;
        size_t n = rec_format(decade, sizeof decade, "%ds", (int)year / 10 * 10);
        return text_list_add(&out->inferred, decade, n, err);
    }
    return REC_OK;
}

rec_status enrich_builtin(const enrich_record *r, const llm_context *ctx,
                          enrichment *out, rec_err *err) {
    rec_status st = describe(r, ctx, out, err);
    if (!st) st = tag(r, ctx, out, err);
    if (!st) st = add_decade(r, ctx, out, err);
    if (!st) st = infer(r, ctx, out, err);
    return st;
}
