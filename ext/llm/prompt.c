/* prompt.c - untrusted text made harmless before a model reads it.
 *
 * Titles and descriptions are written by whoever sells the item, sentences by whoever asks. They go into a
 * prompt as strings within JSON, escaped by its printer, never by pasting text into text; the system part
 * says that data are data. That does not stop a model from obeying a sentence it reads, which is why
 * answers are checked (answer.c), but it removes the tricks that a reader of the table cannot see:
 *
 *     control characters (C0, C1), zero-width characters, bidirectional overrides, tag characters
 *     (U+E0000..E007F spells invisible ASCII), variation selectors, private use
 *     c07, a candidate's handle in the prompt -> c-07
 *
 * Characters are counted, not bytes, so that no script is cut shorter than another. The cap also bounds
 * what one row can cost.
 */
#include "llm.h"

static bool is_invisible(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x34F ||
           c == 0x61C || c == 0x180E || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
           (c >= 0xE000 && c <= 0xF8FF) || (c >= 0xFE00 && c <= 0xFE0F) ||
           c == 0xFEFF || (c >= 0xFFF0 && c <= 0xFFFB) || c >= 0xE0000;
}

static bool is_space(uint32_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xA0 ||
           c == 0x2028 || c == 0x2029 || c == 0x3000 || (c >= 0x2000 && c <= 0x200A);
}

static bool is_word(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '_' || c >= 0x80;
}

/* Is s the start of c followed by two or three digits and then no letter or digit? */
static bool is_handle(const uint8_t *s, size_t n) {
    if (n < 3 || (s[0] | 32) != 'c') return false;
    size_t d = 1;
    while (d < n && s[d] >= '0' && s[d] <= '9') d++;
    return d >= 3 && d <= 4 && (d == n || !is_word(s[d]));
}

char *prompt_clean(const char *text, size_t nbyte, size_t max_chars) {
    const uint8_t *s = (const uint8_t *)text;
    bytes_writer w = {0};
    bool want_space = false, after_word = false;
    size_t n_chars = 0;
    for (size_t at = 0, begin; at < nbyte && n_chars < max_chars;) {
        begin = at;
        uint32_t c = utf8_next(text, nbyte, &at);
        if (c != UTF8_BAD && is_space(c))
            want_space = w.n > 0, after_word = false;
        else if (c != UTF8_BAD && !is_invisible(c)) {
            if (want_space) bytes_put_u8(&w, ' '), n_chars++;
            want_space = false;
            bytes_put(&w, s + begin, at - begin), n_chars++;
            if (!after_word && is_handle(s + begin, nbyte - begin))
                bytes_put_u8(&w, '-');
            after_word = is_word((uint8_t)(c < 0x80 ? c : 0x80));
        }
    }
    return bytes_take_text(&w);
}

void llm_prompt_clear(llm_prompt *p) {
    rec_free(p->system), rec_free(p->user);
    json_delete(p->schema), json_delete(p->documents);
    *p = (llm_prompt){0};
}
