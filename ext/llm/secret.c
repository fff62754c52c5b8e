/* secret.c - keys: known by the name of an environment variable, read late, wiped early.
 *
 * A key in SQL text would reach trace callbacks, shell history and logs; a key in a table would travel
 * with the file. So the registry holds the NAME of a variable, and the value is in memory only from just
 * before a request until just after it:
 *
 *     llm_models.key_env --> secret_read --> http_post (one header) --> secret_redact(answer) --> secret_wipe
 *
 * I1. A value is never put into a message, a table, a cache key or a log.
 * I2. What a server sends back is redacted before anybody reads it: servers do echo keys in a 401.
 * I3. Memory that held a value is overwritten before it is released. (libcurl's own copies are its own.)
 * I4. A name that looks like a value is refused, and the message does not repeat it.
 */
#include "llm.h"

#include <stdlib.h>

#define SECRET_MAX_NAME  64
#define SECRET_MAX_BYTES 4096

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}
static bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Names are OPENAI_API_KEY or my_key. Lower-case letters together with digits, or a dash, are
 * what keys are made of. */
bool secret_is_name(const char *name) {
    size_t n = strlen(name);
    bool has_lower = false, has_digit = false;
    if (n == 0 || n > SECRET_MAX_NAME || is_digit(name[0])) return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!is_upper(c) && !is_lower(c) && !is_digit(c) && c != '_') return false;
        has_lower |= is_lower(c), has_digit |= is_digit(c);
    }
    return !(has_lower && has_digit);
}

rec_status secret_read(const char *name, secret *out, rec_err *err) {
    *out = (secret){0};
    if (!name || !*name) return REC_OK;
    if (!secret_is_name(name))
        return rec_fail(err, REC_RANGE,
                        "key_env: not the name of an environment variable");
    const char *value = getenv(name);
    if (!value || !*value)
        return rec_fail(
            err, REC_RANGE,
            "the environment variable %s, which should hold the key, is not set", name);
    size_t n = strlen(value);
    if (n > SECRET_MAX_BYTES)
        return rec_fail(err, REC_RANGE, "the key in %s has more than %d bytes", name,
                        SECRET_MAX_BYTES);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)value[i] <= ' ' || (unsigned char)value[i] >= 0x7F)
            return rec_fail(
                err, REC_RANGE,
                "the key in %s holds a space, a line end or another character that a "
                "header cannot carry",
                name);
    out->text = rec_strndup(value, n);
    if (!out->text) return rec_nomem(err);
    out->nbyte = n;
    return REC_OK;
}

void secret_redact(const secret *k, char *text, size_t nbyte) {
    if (!k || !k->text || !text || k->nbyte == 0) return;
    for (size_t i = 0; i + k->nbyte <= nbyte; i++)
        if (memcmp(text + i, k->text, k->nbyte) == 0) memset(text + i, '*', k->nbyte);
}

void secret_wipe(secret *k) {
    /* volatile: a plain memset before a free may be left out. */
    volatile char *p = k->text;
    for (size_t i = 0; p && i < k->nbyte; i++) p[i] = 0;
    rec_free(k->text);
    *k = (secret){0};
}
