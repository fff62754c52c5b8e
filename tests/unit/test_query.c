/* Sentences -> requests on two small catalogues; hostile text; failing allocations. */
#include "text_fixture.h"

/* The expectation lists every triple of the request, in any order, joined by "; ":
 *     year>=2006; year<=2010; genres any Comedy; genres all X; genres none Y;
 *     like <title without year>; exclude <words>; navigational | informational | chitchat; ask
 * "ask" is compared only in rows that name it or say "fine". `query` NULL: not compared. */
typedef struct sentence {
    const char *text, *expected, *query;
} sentence;

static const sentence film_sentences[] = {
    /* numbers */
    {"films under two hours", "runtime<=120", ""},
    {"less than 90 minutes long", "runtime<=90", ""},
    {"a comedy shorter than an hour and a half", "genres any Comedy; runtime<=90",
     "comedy"},
    {"at least 2h30 please", "runtime>=150", ""},
    {"over 100 minutes but under 2 hours", "runtime>=100; runtime<=120", ""},
    {"no longer than 2.5 hours", "runtime<=150", ""},
    {"nothing over 2 hours", "runtime<=120", ""},
    {"between 90 and 120 minutes", "runtime>=90; runtime<=120", ""},
    {"1 to 2 hours", "runtime>=60; runtime<=120", ""},
    {"after 2005", "year>=2006", ""},
    {"since 2005", "year>=2005", ""},
    {"before 1990", "year<=1989", ""},
    {"until 1990", "year<=1990", ""},
    {"from 1995", "year>=1995; year<=1995", ""},
    {"from 1995 onwards", "year>=1995", ""},
    {"1990 or later", "year>=1990", ""},
    {"newer than 1999 thrillers", "year>=2000; genres any Thriller", "thrillers"},
    {"not older than 1990", "year>=1990", ""},
    {"nothing before 1970", "year>=1970", ""},
    {"released between 1990 and 1995", "year>=1990; year<=1995", ""},
    {"from 1990 to 1995", "year>=1990; year<=1995", ""},
    {"1990-95", "year>=1990; year<=1995", ""},
    {"pre-1960 crime", "year<=1959; genres any Crime", "crime"},
    {"1994 or 1995", "year>=1994; year<=1995", ""},
    {"around 1995", "year>=1993; year<=1997", ""},
    {"films that are not from 1995", "year none 1995", ""},
    {"top 10 thrillers of 1995", "year>=1995; year<=1995; genres any Thriller",
     "thrillers"},
    {"three comedies", "genres any Comedy", "comedies"},
    /* decades and centuries */
    {"90s comedies", "year>=1990; year<=1999; genres any Comedy", "comedies"},
    {"horror from the eighties", "year>=1980; year<=1989; genres any Horror", "horror"},
    {"the 1970's", "year>=1970; year<=1979", ""},
    {"early 2000s", "year>=2000; year<=2004", ""},
    {"late nineties", "year>=1995; year<=1999", ""},
    {"before the 80s", "year<=1979", ""},
    {"after the 90s", "year>=2000", ""},
    {"between the 60s and the 80s", "year>=1960; year<=1989", ""},
    {"70s or 80s", "year>=1970; year<=1989", ""},
    {"comedy from '93", "year>=1993; year<=1993; genres any Comedy", "comedy"},
    {"19th century", "year>=1801; year<=1900", ""},
    {"a film set in 1942", "", NULL},
    {"films about the 60s", "", NULL},
    {"about two brothers", "", NULL},
    /* values, synonyms, spelling */
    {"romantic comedy", "genres all Romance; genres all Comedy", "romantic comedy"},
    {"comedy or drama", "genres any Comedy; genres any Drama", "comedy drama"},
    {"comedies and dramas", "genres any Comedy; genres any Drama", "comedies dramas"},
    {"funny animated films for kids",
     "genres all Comedy; genres all Animation; genres all Children",
     "funny animated kids"},
    {"science fiction", "genres any Sci-Fi", "science fiction"},
    {"scifi horror", "genres all Sci-Fi; genres all Horror", NULL},
    {"film noir", "genres any Film-Noir", "film noir"},
    {"comdies", "genres any Comedy", NULL},
    {"documentarys and westerns", "genres any Documentary; genres any Western", NULL},
    {"French films", "language any fr", ""},
    {"a film in German", "language any de", ""},
    {"Korean thrillers in stock", "language any ko; genres any Thriller; in_stock>=1",
     "thrillers"},
    {"sci-fi/horror", "genres any Sci-Fi; genres any Horror", NULL},
    {"romcom", "genres all Romance; genres all Comedy", NULL},
    {"westerns available now", "genres any Western; in_stock>=1", "westerns"},
    {"out of stock horror", "genres any Horror; in_stock<=0", "horror"},
    {"a film about animals", "", "animals"},
    {"music from the heart", "", NULL},
    {"films about a family in France", "", NULL},
    {"World War II stories", "", NULL},
    /* negation */
    {"no horror", "genres none Horror", ""},
    {"not animated", "genres none Animation", ""},
    {"anything but musicals", "genres none Musical", ""},
    {"no horror, something funny", "genres none Horror; genres any Comedy", "funny"},
    {"neither war nor crime", "genres none War; genres none Crime", ""},
    {"no horror or thrillers, please", "genres none Horror; genres none Thriller", ""},
    {"comedy without romance", "genres any Comedy; genres none Romance", "comedy"},
    {"thriller without gore", "genres any Thriller; exclude gore", "thriller"},
    {"without violence, gore or sex", "exclude violence; exclude gore; exclude sex",
     ""},
    {"no teen comedies", "exclude teen comedies", ""},
    {"nothing but comedies", "genres any Comedy", "comedies"},
    {"not only comedies", "genres any Comedy", "comedies"},
    {"not for kids", "genres none Children", ""},
    {"not too long", "", NULL},
    {"nothing gory", "exclude gory", ""},
    {"I hate musicals", "genres none Musical", ""},
    /* titles */
    {"something like Alien", "like Alien", ""},
    {"movies like the matrix and blade runner", "like Matrix, The; like Blade Runner",
     ""},
    {"a darker film in the spirit of Spirited Away, after 2005",
     "like Spirited Away; year>=2006", "darker"},
    {"as funny as Groundhog Day", "like Groundhog Day", ""},
    {"similar to \"se7en\"", "like Seven (a.k.a. Se7en)", ""},
    {"like amelie", "like Am\xc3\xa9lie (Fabuleux destin d'Am\xc3\xa9lie Poulain, Le)",
     ""},
    {"like the godfahter", "like Godfather, The", ""},
    {"nothing like Shrek", "", NULL},
    {"not like Alien", "", NULL},
    {"I hated Heat", "", NULL},
    {"I loved Toy Story, more animation", "like Toy Story; genres any Animation",
     "animation"},
    {"Casablanca but in color", "like Casablanca", "color"},
    {"I'd like it to be funny", "genres any Comedy", "funny"},
    {"can you heat this up", "", NULL},
    {"The Matrix", "like Matrix, The; navigational", "The Matrix"},
    {"find Dracula", "like Dracula; navigational", "Dracula"},
    {"Dracula 1992", "like Dracula; navigational", NULL},
    {"play star wars", "like Star Wars: Episode IV - A New Hope; navigational", NULL},
    {"2001: A Space Odyssey", "like 2001: A Space Odyssey; navigational", NULL},
    {"i want to watch spirited away", "like Spirited Away; navigational", NULL},
    /* intent and clarification */
    {"who directed Alien?", "like Alien; informational; fine", NULL},
    {"how many westerns are there", "genres any Western; informational; fine", NULL},
    {"tell me about Casablanca", "like Casablanca; informational; fine", NULL},
    {"what should I watch tonight?", "ask", ""},
    {"what are good horror films?", "genres any Horror; fine", "horror"},
    {"hello", "chitchat; fine", ""},
    {"thanks, how are you?", "chitchat; fine", ""},
    {"good morning!", "chitchat; fine", NULL},
    {"what do you have?", "ask", ""},
    {"does the alien in Alien talk?", "like Alien; informational; fine", NULL},
    {"something good", "ask", ""},
    {"I don't want to see any horror or war movies",
     "genres none Horror; genres none War", ""},
    {"a western, or maybe a musical", "genres any Western; genres any Musical", NULL},
    {"thrillers from the last century", "genres any Thriller; year>=1900; year<=1999",
     "thrillers"},
    {"ok", "chitchat; fine", NULL},
    {"do you deliver to Canada?", "informational; fine", NULL},
    /* other languages */
    {"eine Kom\xc3\xb6"
     "die aus den 90ern",
     "genres any Comedy; year>=1990; year<=1999", NULL},
    {"pel\xc3\xad"
     "culas de terror antes de 1980",
     "genres any Horror; year<=1979", NULL},
    {"un western italiano degli anni sessanta",
     "genres any Western; year>=1960; year<=1969", NULL},
    {"nothing from before 1970", "year>=1970", ""},
    {"western senza amore prima del 1970",
     "year<=1969; genres any Western; genres none Romance", NULL},
    {"no romance, no musicals, just action",
     "genres any Action; genres none Romance; genres none Musical", NULL},
    {"dramas from this century", "genres any Drama; year>=2000", "dramas"},
    {"", "ask", ""},
    {"?!", "ask", ""},
    {"after 2010 and before 2000", "year>=2011; year<=1999; ask", ""},
    {"westerns after 2015", "genres any Western; year>=2016; ask", "westerns"},
    {"dramas", "genres any Drama; fine", "dramas"},
    {"lonely robots in space", "fine", "lonely robots space"},
    {"'; DROP TABLE films; --", "fine", NULL},
    {"\xe6\x98\xa0\xe7\x94\xbb", "fine", "\xe6\x98\xa0\xe7\x94\xbb"},
    {NULL, NULL, NULL},
};

static const sentence shop_sentences[] = {
    {"headphones under $200", "category any Audio>Headphones; price<=200",
     "headphones"},
    {"audio gear below 100 euros", "category any Audio; price<=100", "audio gear"},
    {"between $20 and $50", "price>=20; price<=50", ""},
    {"$20-$50 toys", "price>=20; price<=50; category any Toys", "toys"},
    {"50 to 100 dollar speakers", "price>=50; price<=100; category any Audio>Speakers",
     "speakers"},
    {"no more than 25 bucks", "price<=25", ""},
    {"cheaper than 100", "price<=100", ""},
    {"max 30 dollars", "price<=30", ""},
    {"my budget is 50", "price<=50", ""},
    {"over \xc2\xa3"
     "500",
     "price>=500", ""},
    {"price between 20 and 60", "price>=20; price<=60", ""},
    {"speakers with at least 4 stars", "category any Audio>Speakers; rating>=4",
     "speakers"},
    {"rated 4.5 or higher", "rating>=4.5", ""},
    {"4+ stars", "rating>=4", ""},
    {"speakers with at least 4 stars and under 400",
     "rating>=4; price<=400; category any Audio>Speakers", "speakers"},
    {"no brand Norvik please", "brand none Norvik", NULL},
    {"speakers > 50", "price>=50; category any Audio>Speakers", "speakers"},
    {"price <= 30 toys", "price<=30; category any Toys", "toys"},
    {"100 to 200", "price>=100; price<=200", ""},
    {"at least 4.2", "rating>=4.2", ""},
    {"a red jacket", "colour any red; category any Clothing>Jackets", "red jacket"},
    {"gray running shoes", "colour any grey; category any Clothing>Shoes>Running shoes",
     NULL},
    {"navy earbuds", "colour any navy blue; category any Audio>Earbuds", NULL},
    {"running shoes, not black",
     "colour none black; category any Clothing>Shoes>Running shoes", "running shoes"},
    {"black or white headphones",
     "colour any black; colour any white; category any Audio>Headphones", NULL},
    {"anything from Norvik under 50", "brand any Norvik; price<=50", "Norvik"},
    {"headphones other than Aurex", "category any Audio>Headphones; brand none Aurex",
     "headphones"},
    {"earbuds or headphones but not from Norvik",
     "category any Audio>Earbuds; category any Audio>Headphones; brand none Norvik",
     NULL},
    {"toys for a 9 year old", "category any Toys; min_age<=9", "toys"},
    {"a puzzle for my 8-year-old", "category any Toys>Puzzles; min_age<=8", "puzzle"},
    {"toys for ages 3 and up", "category any Toys; min_age<=3", "toys"},
    {"kitchen knives", "category any Kitchen>Knives", "kitchen knives"},
    {"something for the garden", "category any Home & Garden", "garden"},
    {"hedphones", "category any Audio>Headphones", NULL},
    {"notebook", "category any Computers>Laptops", NULL},
    {"noise cancelling", "fine", "noise cancelling"},
    {"pots and pans", "category any Kitchen>Cookware", "pots pans"},
    {"Tavola Skillet", "like Tavola Skillet; navigational", NULL},
    {"similar to the Quillon Castle Puzzle but cheaper", "like Quillon Castle Puzzle",
     NULL},
    {"how do I clean a skillet?", "informational", NULL},
    {"I need a gift", "fine", "gift"},
    {"show me everything", "ask", ""},
    {NULL, NULL, NULL},
};

/* ---- comparing --------------------------------------------------------------------------- */

static void say(char *out, const char *fmt, ...) REC_PRINTF(2, 3);
static void say(char *out, const char *fmt, ...) {
    va_list ap;
    size_t n = strlen(out);
    va_start(ap, fmt);
    if (n) n += rec_format(out + n, 4000 - n, "; ");
    rec_vformat(out + n, 4000 - n, fmt, ap);
    va_end(ap);
}

static void say_list(char *out, const char *name, const char *kind, char **a,
                     size_t n) {
    for (size_t i = 0; i < n; i++) say(out, "%s %s %s", name, kind, a[i]);
}

static void describe(const query_request *r, const catalog *c, bool with_ask,
                     char *out) {
    out[0] = 0;
    for (size_t i = 0; i < r->filters.n_cond; i++) {
        const facet_cond *f = &r->filters.cond[i];
        say_list(out, f->name, "any", f->any, f->n_any);
        say_list(out, f->name, "all", f->all, f->n_all);
        say_list(out, f->name, "none", f->none, f->n_none);
        if (f->has_min) say(out, "%s>=%g", f->name, f->min);
        if (f->has_max) say(out, "%s<=%g", f->name, f->max);
    }
    for (size_t i = 0; i < r->exclude.n; i++) say(out, "exclude %s", r->exclude.a[i]);
    for (size_t i = 0; i < r->n_like; i++) {
        size_t n;
        const char *s = catalog_title(c, r->like_items[i], &n);
        if (n > 7 && s[n - 1] == ')' && s[n - 6] == '(') n -= 7;
        say(out, "like %.*s", (int)n, s);
    }
    if (r->intent != INTENT_TRANSACTIONAL) say(out, "%s", query_intent_name(r->intent));
    if (with_ask) say(out, "%s", r->needs_clarification ? "ask" : "fine");
}

static size_t n_parts(const char *s) {
    size_t n = *s != 0;
    for (; (s = strstr(s, "; ")) != NULL; s += 2) n++;
    return n;
}

/* Equal as sets of parts. */
static bool same_parts(const char *a, const char *b) {
    if (n_parts(a) != n_parts(b)) return false;
    char padded[4100];
    rec_format(padded, sizeof padded, "; %s; ", b);
    for (const char *p = a; *p;) {
        const char *end = strstr(p, "; ");
        char part[500];
        size_t n = end ? (size_t)(end - p) : strlen(p);
        rec_format(part, sizeof part, "; %.*s; ", (int)n, p);
        if (!strstr(padded, part)) return false;
        p += n + (end ? 2 : 0);
    }
    return true;
}

/* Every value of the request is one of the catalogue's. */
static bool in_vocabulary(const query_request *r, const catalog *c) {
    uint8_t mark[1000];
    for (size_t i = 0; i < r->filters.n_cond; i++) {
        const facet_cond *f = &r->filters.cond[i];
        int at = facet_find(c, f->name, strlen(f->name));
        if (at < 0) return false;
        for (size_t k = 0; facet_kind(c, (size_t)at) != FACET_NUMBER && k < f->n_any;
             k++)
            if (!facet_mark_equal(c, (size_t)at, f->any[k], strlen(f->any[k]), mark))
                return false;
    }
    return true;
}

static void check_sentence(const sentence *s, const catalog *c) {
    query_request r;
    char got[4000];
    bool with_ask = strstr(s->expected, "ask") || strstr(s->expected, "fine");
    CHECK(query_parse(s->text, strlen(s->text), c, NULL, &r, NULL) == REC_OK);
    describe(&r, c, with_ask, got);
    bool ok = same_parts(got, s->expected);
    if (ok && s->query) ok = strcmp(r.query, s->query) == 0;
    if (!ok)
        fprintf(stderr, "\"%s\"\n  expected %s [%s]\n  got      %s [%s]\n", s->text,
                s->expected, s->query ? s->query : "-", got, r.query);
    CHECK(ok);
    CHECK(r.confidence >= 0 && r.confidence <= 1);
    CHECK(r.needs_clarification == (r.question != NULL));
    CHECK(in_vocabulary(&r, c));
    query_request_clear(&r);
}

static void test_sentences(void) {
    catalog *films, *shop;
    rec_err err = {0};
    CHECK(fixture_catalog(film_rows, FILM_FACETS, &films, &err) == REC_OK);
    CHECK(fixture_catalog(shop_rows, SHOP_FACETS, &shop, &err) == REC_OK);
    for (size_t i = 0; film_sentences[i].text; i++)
        check_sentence(&film_sentences[i], films);
    for (size_t i = 0; shop_sentences[i].text; i++)
        check_sentence(&shop_sentences[i], shop);
    query_request r;
    query_parse("something nice", 14, films, NULL, &r, &err);
    CHECK(strcmp(r.question, "Which genres: Drama (7), Romance (6) or Sci-Fi (6)?") ==
              0 ||
          strncmp(r.question, "Which genres: ", 14) == 0);
    query_request_clear(&r);
    query_parse("no gore, under 2 hours", 22, NULL, NULL, &r, &err); /* no catalogue */
    CHECK(r.exclude.n == 1 && r.filters.n_cond == 0 && !r.needs_clarification);
    query_request_clear(&r);
    query_parse("", 0, NULL, NULL, &r, &err);
    CHECK(r.needs_clarification && !strcmp(r.question, "What are you looking for?"));
    query_request_clear(&r);
    catalog_free(films);
    catalog_free(shop);
}

static void test_find_titles(void) {
    catalog *c;
    rec_err err = {0};
    fixture_catalog(film_rows, FILM_FACETS, &c, &err);
    title_hit hit[4];
    size_t n;
    const char *s = "like Alien, Blade Runner and \"The Godfather\"";
    CHECK(query_find_titles(s, strlen(s), c, hit, 4, &n, &err) == REC_OK && n == 3);
    CHECK(hit[0].item == 6 && hit[1].item == 5 && hit[2].item == 3 &&
          hit[2].score == 1);
    CHECK(memcmp(s + hit[1].begin, "Blade Runner", 12) == 0 &&
          hit[1].end - hit[1].begin == 12);
    CHECK(query_find_titles(s, strlen(s), c, hit, 1, &n, &err) == REC_OK && n == 1);
    CHECK(hit[0].item == 6);
    CHECK(query_find_titles("no title here", 13, c, hit, 4, &n, &err) == REC_OK &&
          n == 0);
    catalog_free(c);
}

/* Any bytes, any length: an answer, within the vocabulary, in little time. */
static void test_hostile(void) {
    catalog *c;
    rec_err err = {0};
    query_request r;
    fixture_catalog(film_rows, FILM_FACETS, &c, &err);
    size_t n = 1 << 20;
    char *text = rec_malloc(n);
    static const char *const fill[] = {
        "(",
        "\"",
        "a",
        "not ",
        "like ",
        "under ",
        "1",
        "\xff",
        "\xe6\x98\xa0",
        "$1,000-",
        "no horror or ",
        "between 1 and ",
        "'",
        "comedy, ",
        "early ",
        "early 90s to ",
        "star wars: ",
    };
    for (size_t k = 0; k < sizeof fill / sizeof fill[0]; k++) {
        size_t len = strlen(fill[k]);
        for (size_t i = 0; i + len <= n; i += len) memcpy(text + i, fill[k], len);
        CHECK(query_parse(text, n - n % len, c, NULL, &r, &err) == REC_OK &&
              in_vocabulary(&r, c));
        query_request_clear(&r);
    }
    unsigned long long seed = 11;
    for (int round = 0; round < 1000; round++) {
        size_t m = unit_rand(&seed) % 120;
        for (size_t i = 0; i < m; i++) text[i] = (char)(unit_rand(&seed) >> 11);
        CHECK(query_parse(text, m, c, NULL, &r, &err) == REC_OK);
        query_request_clear(&r);
    }
    for (int round = 0; round < 2000; round++) { /* pieces of sentences, shuffled */
        size_t m = 0;
        for (int k = 0; k < 9; k++) {
            const char *from = film_sentences[unit_rand(&seed) % 90].text;
            size_t len = strlen(from), at = len ? unit_rand(&seed) % len : 0;
            size_t take = len - at < 14 ? len - at : 14;
            memcpy(text + m, from + at, take);
            m += take;
            if (unit_rand(&seed) & 1) text[m++] = ' ';
        }
        CHECK(query_parse(text, m, c, NULL, &r, &err) == REC_OK &&
              in_vocabulary(&r, c));
        query_request_clear(&r);
    }
    CHECK(query_parse("a\0b horror", 10, c, NULL, &r, &err) == REC_OK &&
          r.filters.n_cond == 1);
    query_request_clear(&r);
    rec_free(text);
    catalog_free(c);
}

/* With a text model: expansions, never words of the request, always the same. */
static void test_expansions(void) {
    corpus *cp = corpus_new();
    rec_err err = {0};
    static const char *const docs[] = {
        "rocket orbit moon astronaut station", "moon rocket astronaut landing orbit",
        "astronaut orbit station rocket moon", "murder detective clue victim",
        "detective victim murder clue weapon", "clue murder weapon detective victim"};
    for (uint32_t i = 0; i < 6; i++)
        corpus_add(cp, i, docs[i], strlen(docs[i]), 1, &err);
    lsa_args a = {.dim = 3, .seed = 1, .min_df = 1, .max_df = 1};
    lsa *l;
    mat m;
    query_request r, again;
    CHECK(lsa_fit(cp, &a, &l, &m, NULL, &err) == REC_OK);
    text_space space = {.l = l};
    CHECK(query_parse("stories about astronauts", 24, NULL, &space, &r, &err) ==
          REC_OK);
    CHECK(query_parse("stories about astronauts", 24, NULL, &space, &again, &err) ==
          REC_OK);
    CHECK(r.expansions.n >= 2 && r.expansions.n <= 8 &&
          r.expansions.n == again.expansions.n);
    bool has_moon = false;
    for (size_t i = 0; i < r.expansions.n; i++) {
        CHECK(strcmp(r.expansions.a[i], again.expansions.a[i]) == 0);
        CHECK(strncmp(r.expansions.a[i], "astro", 5) != 0);
        has_moon |=
            !strcmp(r.expansions.a[i], "moon") || !strcmp(r.expansions.a[i], "rocket");
    }
    CHECK(has_moon);
    query_request_clear(&r);
    query_request_clear(&again);
    mat_clear(&m);
    lsa_free(l);
    corpus_free(cp);
}

static catalog *loop_films;
static rec_status parse_once(rec_err *err) {
    query_request r;
    const char *s =
        "romantic comedies like Alien, no horror or gore, after 2030, in French";
    rec_status rc = query_parse(s, strlen(s), loop_films, NULL, &r, err);
    query_request_clear(&r);
    return rc;
}

int main(void) {
    UNIT_BEGIN("query");
    alloc_install();
    test_sentences();
    test_find_titles();
    test_hostile();
    test_expansions();
    rec_err err = {0};
    fixture_catalog(film_rows, FILM_FACETS, &loop_films, &err);
    ALLOC_LOOP(rc = parse_once(&err));
    catalog_free(loop_films);
    CHECK(unit_live == 0);
    return UNIT_END();
}
