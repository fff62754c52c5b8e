/* answer.c - what a model said, taken apart and checked; nothing of it is believed.
 *
 * Models wrap JSON in fences and talk, think aloud first, quote what nobody wrote, and invent numbers. The
 * functions here answer four questions about such text, without deciding what follows from the answer:
 *
 *     where is the JSON?           <think>...</think> ```json {...} ```
 *     does this quote stand there? letter case and runs of white space aside
 *     do these numbers occur?      "rated 8.1" needs 8.1 in the record or in the request
 *     does it name this title?     between word boundaries
 *
 * A quote that is found is given back as it stands in the record, not as the model spelt it, so what a user
 * sees is verbatim.
 */
#include "llm.h"

#include <math.h>

#define MIN_QUOTE_BYTES 3

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
}
static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* What follows the last </think>, without surrounding white space. */
static void visible_part(const char *text, const char **begin, const char **end) {
    static const char mark[] = "</think>";
    const char *s = text;
    for (const char *p = text; (p = strstr(p, mark)); p += sizeof mark - 1)
        s = p + sizeof mark - 1;
    while (is_space(*s)) s++;
    const char *e = s + strlen(s);
    while (e > s && is_space(e[-1])) e--;
    *begin = s, *end = e;
}

char *answer_text(const char *text) {
    const char *s, *e;
    visible_part(text, &s, &e);
    return rec_strndup(s, (size_t)(e - s));
}

json *answer_json(const char *text, rec_err *err) {
    const char *s, *e;
    visible_part(text, &s, &e);
    rec_err first = {0}, second = {0};
    json *j = json_parse(s, (size_t)(e - s), &first);
    if (j) return j;
    /* Within a fence or between words: from the first opening bracket to the last closing one. */
    const char *open = s;
    while (open < e && *open != '{' && *open != '[') open++;
    char closing = open < e && *open == '[' ? ']' : '}';
    while (e > open && e[-1] != closing) e--;
    if (e > open) j = json_parse(open, (size_t)(e - open), &second);
    if (!j) rec_fail(err, REC_NET, "the answer holds no valid JSON (%s)", first.msg);
    return j;
}

bool answer_find_quote(const char *text, const char *quote, size_t *begin,
                       size_t *end) {
    *begin = *end = 0;
    while (is_space(*quote)) quote++;
    size_t n = strlen(quote);
    while (n && is_space(quote[n - 1])) n--;
    if (n < MIN_QUOTE_BYTES) return false;
    for (size_t at = 0; text[at]; at++) {
        if (at && is_word(text[at - 1]) && is_word(text[at]))
            continue; /* not within a word */
        size_t i = at, q = 0;
        while (q < n && text[i]) {
            if (is_space(quote[q]) && is_space(text[i])) {
                while (q < n && is_space(quote[q])) q++;
                while (is_space(text[i])) i++;
            } else if (lower(quote[q]) == lower(text[i]))
                q++, i++;
            else
                break;
        }
        if (q == n && !(is_word(text[i - 1]) && is_word(text[i]))) {
            *begin = at, *end = i;
            return true;
        }
    }
    return false;
}

/* The next number at or after *at; a digit within a word ("mp3") is none. */
static bool next_number(const char *s, size_t *at, double *out) {
    for (size_t i = *at; s[i]; i++) {
        if (s[i] < '0' || s[i] > '9') continue;
        bool within_word = i && is_word(s[i - 1]);
        size_t n = 0;
        while ((s[i + n] >= '0' && s[i + n] <= '9') ||
               (s[i + n] == '.' && s[i + n + 1] >= '0' && s[i + n + 1] <= '9') ||
               (s[i + n] == ',' && n && s[i + n + 1] >= '0' && s[i + n + 1] <= '9'))
            n++;
        char digits[64];
        size_t k = 0;
        for (size_t d = 0; d < n && k + 1 < sizeof digits; d++)
            if (s[i + d] != ',') digits[k++] = s[i + d];
        *at = i + n;
        if (!within_word && rec_parse_number(digits, k, out)) return true;
        i += n - 1;
    }
    return false;
}

bool answer_numbers_occur(const char *claim, const char *const *text, size_t n_text) {
    double want, have;
    for (size_t at = 0; next_number(claim, &at, &want);) {
        bool found = false;
        for (size_t t = 0; t < n_text && !found; t++)
            for (size_t i = 0; text[t] && !found && next_number(text[t], &i, &have);)
                found = fabs(want - have) < 1e-9;
        if (!found) return false;
    }
    return true;
}

bool answer_names(const char *claim, const char *name) {
    size_t n = strlen(name), m = strlen(claim);
    for (size_t at = 0; n && at + n <= m; at++) {
        size_t i = 0;
        while (i < n && lower(claim[at + i]) == lower(name[i])) i++;
        if (i == n && !(at && is_word(claim[at - 1])) && !is_word(claim[at + n]))
            return true;
    }
    return false;
}
