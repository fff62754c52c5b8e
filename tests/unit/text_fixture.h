/* text_fixture.h - two small catalogues for the tests of ext/text. */
#ifndef REC_TEXT_FIXTURE_H
#define REC_TEXT_FIXTURE_H

#include "unit.h"

#include "../../ext/text/text.h"
#include "alloc.h"

/* title | facet | facet ... ; '-' is NULL; '/' stands for the separator of multi-values. */
static const char *const film_rows[] = {
    "Spirited Away (2001)|Adventure/Animation/Fantasy|2001|125|ja|1",
    "Toy Story (1995)|Adventure/Animation/Children/Comedy|1995|81|en|1",
    "Matrix, The (1999)|Action/Sci-Fi/Thriller|1999|136|en|1",
    "Alien (1979)|Horror/Sci-Fi|1979|117|en|0",
    "Aliens (1986)|Action/Horror/Sci-Fi|1986|137|en|1",
    "Blade Runner (1982)|Action/Sci-Fi/Thriller|1982|117|en|1",
    "Godfather, The (1972)|Crime/Drama|1972|175|en|1",
    "Groundhog Day (1993)|Comedy/Fantasy/Romance|1993|101|en|0",
    "Seven (a.k.a. Se7en) (1995)|Mystery/Thriller|1995|127|en|1",
    "Am\xc3\xa9lie (Fabuleux destin d'Am\xc3\xa9lie Poulain, Le) "
    "(2001)|Comedy/Romance|2001|122|fr|1",
    "Star Wars: Episode IV - A New Hope (1977)|Action/Adventure/Sci-Fi|1977|121|en|1",
    "2001: A Space Odyssey (1968)|Adventure/Drama/Sci-Fi|1968|149|en|0",
    "Dracula (1931)|Horror|1931|75|en|1",
    "Dracula (1992)|Fantasy/Horror/Romance|1992|128|en|1",
    "Heat (1995)|Action/Crime/Thriller|1995|170|en|1",
    "It (1990)|Horror/Mystery|1990|192|en|0",
    "Casablanca (1942)|Drama/Romance|1942|102|en|1",
    "Double Indemnity (1944)|Crime/Drama/Film-Noir|1944|107|en|1",
    "Singin' in the Rain (1952)|Comedy/Musical/Romance|1952|103|en|1",
    "Das Boot (1981)|Drama/War|1981|149|de|1",
    "Unforgiven (1992)|Drama/Western|1992|131|en|0",
    "March of the Penguins (2005)|Documentary|2005|80|fr|1",
    "Inception (2010)|Action/Crime/Sci-Fi/Thriller|2010|148|en|1",
    "Parasite (2019)|Comedy/Drama/Thriller|2019|132|ko|1",
    "Shrek (2001)|Adventure/Animation/Children/Comedy/Fantasy/Romance|2001|90|en|1",
    "Nosferatu (1922)|Horror|1922|94|de|0",
    "Untitled|-|-|-|-|-",
    NULL,
};
#define FILM_FACETS "genres[|], year, runtime, language, in_stock"

static const char *const shop_rows[] = {
    "Aurex Quiet One|Audio>Headphones|Aurex|149|black|4.6|0",
    "Aurex Studio|Audio>Headphones|Aurex|249|white|4.1|0",
    "Norvik Buds|Audio>Earbuds|Norvik|59|navy blue|3.9|0",
    "Bellwether Boom|Audio>Speakers|Bellwether|89|red|4.4|0",
    "Tavola Skillet|Kitchen>Cookware>Pans|Tavola|35|black|4.8|0",
    "Tavola Chef Knife|Kitchen>Knives|Tavola|42|grey|4.7|0",
    "Quillon Castle Puzzle|Toys>Puzzles|Quillon|19.5|green|4.2|8",
    "Quillon First Blocks|Toys>Building sets|Quillon|24|red|4.9|3",
    "Norvik Desk Lamp|Home & Garden>Lamps|Norvik|48|white|3.5|0",
    "Sundra Trail Runner|Clothing>Shoes>Running shoes|Sundra|110|grey|4.0|0",
    "Sundra Rain Jacket|Clothing>Jackets|Sundra|95|red|4.3|0",
    "Aurex Slate 14|Computers>Laptops|Aurex|899|grey|4.5|0",
    "Bellwether Dome|Sports>Camping>Tents|Bellwether|180|green|4.0|0",
    NULL,
};
#define SHOP_FACETS "category[>], brand, price, colour, rating, min_age"

static inline rec_status fixture_add(catalog *c, const char *row, size_t n_facets,
                                     int64_t key, rec_err *err) {
    char text[400];
    cell cells[CATALOG_MAX_FACETS] = {{0}};
    const char *field[CATALOG_MAX_FACETS + 1];
    size_t n = 0, len = strlen(row);
    memcpy(text, row, len + 1);
    for (char *p = text; p && n <= n_facets; n++) {
        field[n] = p;
        p = strchr(p, '|');
        if (p) *p++ = 0;
    }
    for (size_t i = 0; i < n_facets; i++) {
        double x;
        char *s = (char *)field[i + 1];
        size_t m = strlen(s);
        if (strcmp(s, "-") == 0) continue;
        cells[i] = (cell){.type = CELL_TEXT, .p = s, .nbyte = m};
        if (text_whole_number(s, m, &x)) cells[i] = (cell){.type = CELL_REAL, .r = x};
        for (; *s; s++)
            if (*s == '/') *s = '|';
    }
    rec_key k = {.i = key};
    uint32_t pos;
    return catalog_add(c, &k, field[0], strlen(field[0]), cells, &pos, err);
}

static inline rec_status fixture_catalog(const char *const *rows, const char *facets,
                                         catalog **out, rec_err *err) {
    facet_spec spec[CATALOG_MAX_FACETS];
    size_t n;
    *out = NULL;
    rec_status rc = facet_parse(facets, spec, &n, err);
    if (rc) return rc;
    catalog *c = catalog_new(spec, n);
    if (!c) return rec_nomem(err);
    for (size_t i = 0; !rc && rows[i]; i++)
        rc = fixture_add(c, rows[i], n, (int64_t)i + 100, err);
    if (!rc) rc = catalog_finish(c, err);
    if (rc) {
        catalog_free(c);
        return rc;
    }
    *out = c;
    return REC_OK;
}

#endif
