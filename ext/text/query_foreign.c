/* query_foreign.c - requests in other languages, read by the rules that read English ones.
 *
 *     "une comédie romantique française, moins de 100 minutes"
 *      a   comedy  romantic    french    less   than 100 minutes
 *
 * The rules of the other files know English words. This file knows what a request is made of
 * in six more languages (comparisons, negations, kinds of things, colours, small words), and
 * where a sentence is clearly in one of them it puts the English word in the place of each
 * word that it knows. The bytes of the sentence stay: what is searched for are the user's own
 * words. The place count stays too, so that a phrase has as many words as it had; a spare one
 * becomes "the", which every rule skips.
 *
 * One row a concept, its forms without accents, as the tokenizer folds them. A form is never
 * looked up in a sentence of another language, so "die", "plus" and "pan" may mean what they
 * mean there.
 *
 * Invariants
 *  I1  a sentence is translated only if at least MIN_KNOWN of its words are in the table of
 *      one language and not the same in English, more of them than there are small words of
 *      English, and a small word (article, conjunction, preposition) is among them, or
 *      SURE_KNOWN of them are, or all.
 *  I2  the number of words and their bytes in the text do not change.
 */
#include "query.h"

#define MIN_KNOWN    2
#define SURE_KNOWN   3 /* without a small word */
#define N_LANG       6
#define DECADE_WORDS " fifties sixties seventies eighties nineties "
#define MAX_FORM     3 /* words of the longest form */

typedef struct foreign_row {
    const char *english;
    const char *form[N_LANG]; /* French, German, Spanish, Italian, Portuguese, Dutch */
} foreign_row;

/* Small words: the sign that a sentence is in the language. */
static const foreign_row small_words[] = {
    {"a",
     {"un|une", "ein|eine|einen|einem|einer|eines", "un|una|unos|unas", "un|una|uno",
      "um|uma|uns|umas", "een"}},
    {"the",
     {"le|la|les", "der|die|das|den|dem|des", "el|la|los|las",
      "il|lo|la|i|gli|le|del|della|dello|dei|degli|delle", "o|os|as", "de|het"}},
    {"of", {"de|du|des|d", "von|vom", "de|del", "di|d|da", "de|do|da|dos|das", "van"}},
    {"and", {"et", "und", "y|e", "e|ed", "e", "en"}},
    {"or", {"ou", "oder", "o|u", "o|oppure", "ou", "of"}},
    {"for", {"pour", "fur", "para", "per", "para", "voor"}},
    {"with", {"avec", "mit", "con", "con", "com", "met"}},
    {"without", {"sans", "ohne", "sin", "senza", "sem", "zonder"}},
    {"not", {"pas", "nicht", "no", "non", "nao", "niet"}},
    {"no",
     {"aucun|aucune", "kein|keine|keinen", "ningun|ninguna", "nessun|nessuna",
      "nenhum|nenhuma", "geen"}},
    {"but", {"mais", "aber|sondern", "pero|sino", "ma", "mas", "maar"}},
    {"in",
     {"en|dans", "in|im|aus", "en", "in|nel|nella|nei|negli", "em|no|na|nos|nas",
      "in|uit"}},
    {"i", {"je|j", "ich", "yo", "io", "eu", "ik"}},
    {"like", {"comme", "wie", "como", "come", "como", "zoals"}},
    {"from", {"depuis", "seit|ab", "desde", "dal|dalla|dagli", "desde", "vanaf|sinds"}},
    {"something", {"quelque chose", "etwas", "algo", "qualcosa", "algo", "iets"}},
};

static const foreign_row content_words[] = {
    /* comparisons */
    {"less than",
     {"moins de|moins d", "weniger als", "menos de|menos que", "meno di",
      "menos de|menos que", "minder dan"}},
    {"more than",
     {"plus de|plus d", "mehr als", "mas de", "piu di", "mais de|mais que",
      "meer dan"}},
    {"at least",
     {"au moins", "wenigstens", "al menos|por lo menos", "almeno", "pelo menos",
      "ten minste|op zijn minst"}},
    {"min", {"minimum", "mindestens", "minimo", "minimo", "no minimo", "minstens"}},
    {"max",
     {"maximum|au plus", "hochstens|maximal|bis", "maximo|hasta", "massimo|fino a",
      "no maximo|ate", "hoogstens|maximaal|tot"}},
    {"under",
     {"sous|inferieur a", "unter", "bajo|por debajo de", "sotto|sotto i", "abaixo de",
      "onder"}},
    {"over",
     {"au dessus de", "uber", "por encima de", "sopra|oltre", "acima de", "boven"}},
    {"before",
     {"avant|d avant", "vor", "antes de|antes del|anterior a|anteriores a",
      "prima del|prima di", "antes de", "voor"}},
    {"after",
     {"apres|d apres", "nach", "despues de|despues del|posterior a", "dopo|dopo il",
      "depois de", "na"}},
    {"between", {"entre", "zwischen", "entre", "tra|fra", "entre", "tussen"}},
    {"around",
     {"environ|autour de", "etwa|ungefahr", "alrededor de|unos", "circa", "cerca de",
      "ongeveer"}},
    {"shorter than",
     {"plus court que", "kurzer als", "mas corta que|mas corto que", "piu corto di",
      "mais curto que", "korter dan"}},
    {"longer than",
     {"plus long que", "langer als", "mas larga que|mas largo que", "piu lungo di",
      "mais longo que", "langer dan"}},
    {"cheaper than",
     {"moins cher que", "billiger als|gunstiger als", "mas barato que|mas barata que",
      "piu economico di", "mais barato que", "goedkoper dan"}},
    {"except",
     {"sauf|excepte", "ausser", "excepto|salvo|menos", "tranne|eccetto", "exceto|menos",
      "behalve"}},
    /* units */
    {"years",
     {"annees|ans|annee", "jahre|jahren|jahr", "anos|ano", "anni|anno", "anos|ano",
      "jaar|jaren"}},
    {"fifties",
     {"cinquante", "funfziger|funfzigern", "cincuenta", "cinquanta", "cinquenta",
      "vijftig"}},
    {"sixties",
     {"soixante", "sechziger|sechzigern", "sesenta", "sessanta", "sessenta", "zestig"}},
    {"seventies",
     {"soixante dix", "siebziger|siebzigern", "setenta", "settanta", "setenta",
      "zeventig"}},
    {"eighties",
     {"quatre vingt", "achtziger|achtzigern", "ochenta", "ottanta", "oitenta",
      "tachtig"}},
    {"nineties",
     {"quatre vingt dix", "neunziger|neunzigern", "noventa", "novanta", "noventa",
      "negentig"}},
    {"hours",
     {"heures|heure", "stunden|stunde", "horas|hora", "ore|ora", "horas|hora",
      "uur|uren"}},
    {"minutes", {"minutes", "minuten", "minutos", "minuti", "minutos", "minuten"}},
    {"euros", {"euros|euro", "euro", "euros|euro", "euro", "euros|euro", "euro"}},
    {"dollars", {"dollars", "dollar", "dolares", "dollari", "dolares", "dollar"}},
    {"stars",
     {"etoiles", "sterne|sternen", "estrellas", "stelle", "estrelas", "sterren"}},
    /* films and books */
    {"film",
     {"film|films", "film|filme|filmen", "pelicula|peliculas|filme|cine",
      "film|pellicola", "filme|filmes", "film|films"}},
    {"book",
     {"livre|livres", "buch|bucher", "libro|libros", "libro|libri", "livro|livros",
      "boek|boeken"}},
    {"novel",
     {"roman|romans", "roman|romane", "novela|novelas", "romanzo|romanzi", "",
      "roman|romans"}},
    {"comedy",
     {"comedie|comedies|comique|drole", "komodie|komodien|lustig|lustigen|lustiger",
      "comedia|comedias|divertida|divertido|comica|comico|comicas|comicos",
      "commedia|commedie|divertente", "comedia|comedias|engracado",
      "komedie|komedies|grappig|grappige"}},
    {"romantic",
     {"romantique|romantiques|amour",
      "romantisch|romantische|romantischen|romantischer|liebesfilm|liebesfilme|"
      "liebesroman",
      "romantica|romantico|romanticas|amor", "romantica|romantico|romantiche|amore",
      "romantica|romantico|amor", "romantisch|romantische|liefde"}},
    {"horror",
     {"horreur|epouvante", "horror|horrorfilm|grusel|gruselfilm", "terror|miedo|horror",
      "horror|orrore|paura", "terror|horror", "horror|griezel|griezelfilm"}},
    {"crime",
     {"policier|policiers|polar|polars", "krimi|krimis|kriminalfilm",
      "policiaca|policiacas|policial|crimen", "poliziesco|polizieschi|giallo",
      "policial|policiais", "misdaad|misdaadfilm"}},
    {"drama",
     {"drame|drames", "drama|dramen", "drama|dramas", "dramma|drammi|drammatico",
      "drama|dramas", "drama|dramas"}},
    {"animated",
     {"animation|anime|dessin anime|dessins animes",
      "animation|animationsfilm|animationsfilme|zeichentrick|zeichentrickfilm|"
      "zeichentrickfilme|trickfilm",
      "animacion|animada|animadas|dibujos animados",
      "animazione|animato|animati|cartoni animati", "animacao|animado|animados",
      "animatie|animatiefilm|tekenfilm|tekenfilms"}},
    {"science fiction",
     {"science fiction", "science fiction", "ciencia ficcion",
      "fantascienza|fantascientifico", "ficcao cientifica", "science fiction"}},
    {"adventure",
     {"aventure|aventures", "abenteuer|abenteuerfilm|abenteuerfilme",
      "aventura|aventuras", "avventura|avventure", "aventura|aventuras",
      "avontuur|avonturen|avonturenfilm"}},
    {"war",
     {"guerre", "krieg|kriegsfilm|kriegsfilme", "guerra|belica|belicas", "guerra",
      "guerra", "oorlog|oorlogsfilm|oorlogsfilms"}},
    {"documentary",
     {"documentaire|documentaires", "dokumentarfilm|dokumentarfilme|doku|dokus",
      "documental|documentales", "documentario|documentari",
      "documentario|documentarios", "documentaire|documentaires"}},
    {"mystery",
     {"mystere|mysteres", "ratsel", "misterio", "mistero|misteri", "misterio",
      "mysterie"}},
    {"fantasy",
     {"fantastique|fantasy", "fantasy|fantasyfilm", "fantasia|fantastica",
      "fantasy|fantastico", "fantasia", "fantasie|fantasy"}},
    {"musical",
     {"comedie musicale|musical", "musical|musicals", "musical|musicales", "musical",
      "musical|musicais", "musical|musicals"}},
    {"children",
     {"enfants|enfant", "kinder|kindern|kinderfilm|kinderfilme|kinderbuch",
      "ninos|ninas|infantil|infantiles", "bambini|bambino", "criancas|infantil",
      "kinderen|kinderfilm|kinderfilms"}},
    {"family",
     {"famille", "familie|familienfilm", "familia", "famiglia", "familia",
      "familie|familiefilm"}},
    {"action",
     {"action", "action|actionfilm|actionfilme", "accion", "azione", "acao",
      "actie|actiefilm"}},
    {"western",
     {"western|westerns", "western", "oeste|western", "western", "faroeste",
      "western|westerns"}},
    {"new",
     {"nouveau|nouvelle", "neu|neue|neuer", "nuevo|nueva", "nuovo|nuova", "novo|nova",
      "nieuw|nieuwe"}},
    {"good",
     {"bon|bonne|bons|bonnes", "gut|gute|guten|guter|gutes", "bueno|buena|buen",
      "buono|buona|buon|bel|bello|bella", "bom|boa", "goed|goede"}},
    {"want",
     {"veux|voudrais|cherche", "mochte|suche|will", "quiero|busco|quisiera",
      "vorrei|voglio|cerco", "quero|procuro", "wil|zoek"}},
    /* languages and countries */
    {"french",
     {"francais|francaise|francaises",
      "franzosisch|franzosische|franzosischer|"
      "franzosischen|franzosisches",
      "frances|francesa|francesas|franceses", "francese|francesi", "frances|francesa",
      "frans|franse"}},
    {"german",
     {"allemand|allemande|allemands",
      "deutsch|deutsche|deutscher|deutschen|"
      "deutsches",
      "aleman|alemana|alemanas", "tedesco|tedesca|tedeschi", "alemao|alema",
      "duits|duitse"}},
    {"spanish",
     {"espagnol|espagnole|espagnols",
      "spanisch|spanische|spanischer|spanischen|"
      "spanisches",
      "espanol|espanola|espanolas", "spagnolo|spagnola|spagnoli", "espanhol|espanhola",
      "spaans|spaanse"}},
    {"italian",
     {"italien|italienne|italiens",
      "italienisch|italienische|italienischer|"
      "italienischen|italienisches",
      "italiano|italiana|italianas", "italiano|italiana|italiani|italiane",
      "italiano|italiana", "italiaans|italiaanse"}},
    {"japanese",
     {"japonais|japonaise|japonaises",
      "japanisch|japanische|japanischer|"
      "japanischen|japanisches",
      "japones|japonesa|japonesas", "giapponese|giapponesi", "japones|japonesa",
      "japans|japanse"}},
    {"english",
     {"anglais|anglaise", "englisch|englische|englischer|englischen", "ingles|inglesa",
      "inglese|inglesi", "ingles|inglesa", "engels|engelse"}},
    {"chinese",
     {"chinois|chinoise", "chinesisch|chinesische|chinesischer", "chino|china",
      "cinese|cinesi", "chines|chinesa", "chinees|chinese"}},
    {"korean",
     {"coreen|coreenne", "koreanisch|koreanische|koreanischer", "coreano|coreana",
      "coreano|coreani", "coreano|coreana", "koreaans|koreaanse"}},
    {"russian",
     {"russe|russes", "russisch|russische|russischer", "ruso|rusa", "russo|russa",
      "russo|russa", "russisch|russische"}},
    {"american",
     {"americain|americaine", "amerikanisch|amerikanische",
      "americano|americana|estadounidense", "americano|americana",
      "americano|americana", "amerikaans|amerikaanse"}},
    /* colours */
    {"black",
     {"noir|noire|noirs|noires", "schwarz|schwarze|schwarzer|schwarzen|schwarzes",
      "negro|negra|negros|negras", "nero|nera|neri|nere", "preto|preta",
      "zwart|zwarte"}},
    {"white",
     {"blanc|blanche|blancs", "weiss|weisse|weisser|weissen|weisses",
      "blanco|blanca|blancos|blancas", "bianco|bianca|bianchi", "branco|branca",
      "wit|witte"}},
    {"red",
     {"rouge|rouges", "rot|rote|roter|roten|rotes", "rojo|roja|rojos|rojas",
      "rosso|rossa|rossi", "vermelho|vermelha", "rood|rode"}},
    {"blue",
     {"bleu|bleue|bleus", "blau|blaue|blauer|blauen|blaues", "azul|azules",
      "blu|azzurro|azzurra", "azul|azuis", "blauw|blauwe"}},
    {"green",
     {"vert|verte|verts", "grun|grune|gruner|grunen|grunes", "verde|verdes",
      "verde|verdi", "verde|verdes", "groen|groene"}},
    {"yellow",
     {"jaune|jaunes", "gelb|gelbe|gelber|gelben|gelbes", "amarillo|amarilla",
      "giallo|gialla", "amarelo|amarela", "geel|gele"}},
    {"brown",
     {"brun|brune|marron", "braun|braune|brauner|braunen|braunes", "marron", "marrone",
      "marrom|castanho", "bruin|bruine"}},
    {"grey",
     {"gris|grise", "grau|graue|grauer|grauen|graues", "gris|grises", "grigio|grigia",
      "cinza|cinzento", "grijs|grijze"}},
    {"pink", {"rose", "rosa", "rosa", "rosa", "rosa", "roze"}},
    /* goods */
    {"headphones",
     {"casque|casques|ecouteurs", "kopfhorer", "auriculares|cascos", "cuffie",
      "fones|auscultadores", "koptelefoon|hoofdtelefoon"}},
    {"shoes",
     {"chaussures", "schuhe", "zapatos|zapatillas", "scarpe", "sapatos", "schoenen"}},
    {"backpack",
     {"sac a dos", "rucksack|rucksacke", "mochila", "zaino", "mochila", "rugzak"}},
    {"toys",
     {"jouet|jouets", "spielzeug", "juguete|juguetes", "giocattolo|giocattoli",
      "brinquedo|brinquedos", "speelgoed"}},
    {"kitchen", {"cuisine", "kuche", "cocina", "cucina", "cozinha", "keuken"}},
    {"lamp",
     {"lampe|lampes", "lampe|lampen", "lampara|lamparas", "lampada|lampade",
      "candeeiro|luminaria", "lamp|lampen"}},
    {"wireless",
     {"sans fil", "kabellos|kabellose|kabellosen",
      "inalambrico|inalambricos|"
      "inalambrica",
      "senza fili", "sem fio", "draadloos|draadloze"}},
    {"waterproof",
     {"impermeable|etanche", "wasserdicht|wasserdichte|wasserdichten", "impermeable",
      "impermeabile|impermeabili", "impermeavel", "waterdicht|waterdichte"}},
    {"organic",
     {"bio|biologique", "bio|biologisch", "ecologico|organico", "biologico",
      "organico|biologico", "biologisch|biologische"}},
};

#define N_SMALL   (sizeof small_words / sizeof small_words[0])
#define N_CONTENT (sizeof content_words / sizeof content_words[0])

/* ---- looking up ------------------------------------------------------------------------- */

/* The word as it is looked up: behind an elision ("d'horreur", "l'amour") its second part. */
static size_t plain_word(const query_state *q, size_t i, char *out) {
    const token *t = &q->w[i].t;
    for (size_t k = t->begin; k + 1 < t->end && k < t->begin + 6; k++) {
        bool is_curly =
            memcmp(q->text + k, "\xE2\x80\x99", t->end - k < 3 ? 1 : 3) == 0;
        if (q->text[k] != '\'' && !is_curly) continue;
        size_t at = k + (is_curly ? 3 : 1);
        if (t->end - at < 3) break; /* "director's" */
        return text_fold(out, TOKEN_MAX_BYTES, q->text + at, t->end - at);
    }
    memcpy(out, t->text, t->n_text);
    return t->n_text;
}

/* Does the form of n_form bytes ("plus de") stand at word i? How many words, 0 = no. */
static size_t form_at(const query_state *q, size_t i, const char *form, size_t n_form) {
    size_t n = 0;
    for (size_t at = 0; at < n_form; n++) {
        char word[TOKEN_MAX_BYTES + 1];
        size_t k = 0;
        while (at + k < n_form && form[at + k] != ' ') k++;
        if (!word_is_free(q, i + n) || (n && q->w[i + n].t.after_break)) return 0;
        size_t m = plain_word(q, i + n, word);
        if (m != k || memcmp(word, form + at, k) != 0) return 0;
        at += k + 1;
    }
    return n;
}

/* Longest form of the rows at word i. */
static size_t row_at(const query_state *q, size_t i, size_t lang,
                     const foreign_row *rows, size_t n_rows, const char **english) {
    size_t best = 0;
    for (size_t r = 0; r < n_rows; r++)
        for (const char *p = rows[r].form[lang]; *p;) {
            size_t k = strcspn(p, "|"), n = form_at(q, i, p, k);
            if (n > best) best = n, *english = rows[r].english;
            p += k + (p[k] == '|');
        }
    return best;
}

static size_t known_at(const query_state *q, size_t i, size_t lang, bool *is_small,
                       const char **english) {
    size_t n = row_at(q, i, lang, content_words, N_CONTENT, english);
    const char *small = NULL;
    size_t m = n > 1 ? 0 : row_at(q, i, lang, small_words, N_SMALL, &small);
    *is_small = m > n || (m && !n);
    if (*is_small) *english = small;
    return *is_small ? m : n;
}

/* ---- which language --------------------------------------------------------------------- */

static size_t count_known(const query_state *q, size_t lang, bool *has_small) {
    size_t n_known = 0;
    *has_small = false;
    for (size_t i = 0; i < q->n;) {
        const char *english;
        bool is_small;
        size_t n = known_at(q, i, lang, &is_small, &english);
        bool is_sign = n && !q->w[i].t.is_stop && strcmp(q->w[i].t.text, english) != 0;
        *has_small |= is_sign && is_small;
        n_known += is_sign ? n : 0;
        i += n ? n : 1;
    }
    return n_known;
}

/* Small words that are English and nothing else here. */
static size_t count_english(const query_state *q) {
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++)
        n += word_in(
            q, i,
            " the a an and or of for with without not but i my that which is are "
            "to some any like something from by under over than about ");
    return n;
}

/* Index of the language of the sentence, or -1: English, or none that is known here. */
static int find_language(const query_state *q) {
    size_t best_n = MIN_KNOWN - 1, n_english = count_english(q);
    int best = -1;
    for (size_t lang = 0; lang < N_LANG; lang++) {
        bool has_small;
        size_t n = count_known(q, lang, &has_small);
        bool is_sure = has_small || n >= SURE_KNOWN || n == q->n;
        if (is_sure && n > best_n && n > n_english) best = (int)lang, best_n = n;
    }
    return best;
}

/* ---- putting English in place ----------------------------------------------------------- */

static void set_word(query_state *q, size_t i, const char *word, size_t n) {
    token *t = &q->w[i].t;
    memcpy(t->text, word, n);
    t->text[n] = 0;
    t->n_text = (uint16_t)n;
    t->is_stop = text_is_stop(word, n);
}

static void put_english(query_state *q, size_t i, size_t n, const char *english) {
    for (size_t k = 0; k < n; k++) {
        size_t m = strcspn(english, " ");
        if (m)
            set_word(q, i + k, english, m);
        else
            set_word(q, i + k, "the", 3);
        english += m + (english[m] == ' ');
    }
}

/* "90er", "90ern": the nineties; "annees 80", "anni 80": the eighties. */
static void mark_decades(query_state *q) {
    for (size_t i = 0; i < q->n; i++) {
        qword *w = &q->w[i];
        bool is_german = w->unit[0] == 'e' && w->unit[1] == 'r';
        bool is_behind = i && word_is(q, i - 1, "years") && !w->unit[0];
        if (!w->t.n_text || w->number < 10 || w->number >= 100 ||
            w->number / 10 != (int)(w->number / 10))
            continue;
        if (!is_german && !is_behind) continue;
        w->is_decade = w->has_number = true;
        w->unit[0] = 0;
        if (is_behind) set_word(q, i - 1, "the", 3);
    }
}

bool query_translate(query_state *q) {
    int lang = find_language(q);
    if (lang < 0) return false;
    for (size_t i = 0; i < q->n;) {
        const char *english;
        bool is_small;
        size_t n = known_at(q, i, (size_t)lang, &is_small, &english);
        if (n) put_english(q, i, n, english);
        i += n ? n : 1;
    }
    for (size_t i = 0; i + 1 < q->n; i++) /* "anni sessanta" */
        if (word_is(q, i, "years") && word_in(q, i + 1, DECADE_WORDS))
            set_word(q, i, "the", 3);
    mark_decades(q);
    return true;
}
