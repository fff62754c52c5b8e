/* sq_args.c - the arguments of CREATE VIRTUAL TABLE.
 *
 *   USING rec_index( movie_id INTEGER PRIMARY KEY,  embedding float32[384],  metric = cosine )
 *   argv[3..]        a column: name NULL            a column                 an option
 *
 * SQLite hands over each argument as it was written, comments and all. Comments become a space,
 * an option's name is lower-cased, its value loses one pair of quotes around the whole of it.
 *
 * I1. `name =` at the start makes an option; a quoted name, or a name without '=', a column.
 * I2. Quotes and brackets of every argument are balanced.
 */
#include "sq.h"

static bool is_space(char ch) {
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

static bool is_name_char(char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
           (ch >= '0' && ch <= '9') || ch == '_' || ch == '$' ||
           (unsigned char)ch >= 0x80;
}

/* End of the quoted or commented stretch at s; NULL if it never ends. '[' is no quote here:
 * in `float32[384]` it is a bracket. */
static const char *skip_quoted(const char *s) {
    char q = *s++;
    for (; *s; s++) {
        if (*s != q) continue;
        if (s[1] != q) return s + 1;
        s++;
    }
    return NULL;
}

static const char *skip_comment(const char *s) {
    if (s[0] == '-' && s[1] == '-') {
        while (*s && *s != '\n') s++;
        return s;
    }
    if (s[0] == '/' && s[1] == '*') {
        const char *end = strstr(s + 2, "*/");
        return end ? end + 2 : s + strlen(s);
    }
    return NULL;
}

/* Copy without comments and outer space; checks I2. */
static char *clean(const char *s, rec_err *err) {
    char *out = rec_malloc(strlen(s) + 1), stack[64];
    size_t n = 0, depth = 0;
    bool is_balanced = true;
    if (out == NULL) {
        rec_nomem(err);
        return NULL;
    }
    for (const char *p = s; *p && is_balanced;) {
        const char *end = skip_comment(p);
        if (end) {
            if (n > 0) out[n++] = ' ';
            p = end;
            continue;
        }
        if (*p == '\'' || *p == '"' || *p == '`') {
            end = skip_quoted(p);
            is_balanced = end != NULL;
            while (is_balanced && p < end) out[n++] = *p++;
            continue;
        }
        if (*p == '(' || *p == '[' || *p == '{') {
            is_balanced = depth < sizeof stack;
            if (is_balanced) stack[depth++] = *p;
        } else if (*p == ')' || *p == ']' || *p == '}') {
            char open = *p == ')' ? '(' : *p == ']' ? '[' : '{';
            is_balanced = depth > 0 && stack[--depth] == open;
        }
        if (n > 0 || !is_space(*p)) out[n++] = *p;
        p++;
    }
    if (!is_balanced || depth > 0) {
        rec_fail(err, REC_RANGE, "quotes or brackets do not match in \"%s\"", s);
        rec_free(out);
        return NULL;
    }
    while (n > 0 && is_space(out[n - 1])) n--;
    out[n] = 0;
    return out;
}

/* Undo quotes in place: 'it''s' -> it's. s[0] is the quote; the text ends with it. */
static void dequote(char *s) {
    char q = s[0], *to = s;
    for (const char *from = s + 1; *from; from++) {
        if (*from == q && *++from != q) break;
        *to++ = *from;
    }
    *to = 0;
}

/* Where the value starts if this is `name = value`, else NULL. *n_name: bytes of the name. */
static const char *option_value(const char *s, size_t *n_name) {
    const char *p = s;
    if (*p >= '0' && *p <= '9') return NULL;
    while (is_name_char(*p)) p++;
    *n_name = (size_t)(p - s);
    while (is_space(*p)) p++;
    if (*n_name == 0 || *p != '=') return NULL;
    p++;
    while (is_space(*p)) p++;
    return p;
}

static rec_status parse_one(const char *arg, sq_arg *out, rec_err *err) {
    char *text = clean(arg, err);
    if (text == NULL) return err ? err->code : REC_NOMEM;
    size_t n_name = 0;
    const char *value = option_value(text, &n_name);
    if (value == NULL) { /* a column: the text as it is */
        out->value = text;
        return REC_OK;
    }
    out->name = rec_strndup(text, n_name);
    out->value = rec_strdup(value);
    rec_free(text);
    if (out->name == NULL || out->value == NULL) return rec_nomem(err);
    for (char *p = out->name; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + 'a' - 'A');
    if (out->value[0] == 0)
        return rec_fail(err, REC_RANGE, "option %s has no value", out->name);
    if (out->value[0] == '\'' || out->value[0] == '"' || out->value[0] == '`') {
        const char *end = skip_quoted(out->value);
        if (end && *end == 0) dequote(out->value);
    }
    return REC_OK;
}

rec_status sq_args_parse(int argc, const char *const *argv, sq_args *out,
                         rec_err *err) {
    *out = (sq_args){0};
    if (argc <= 3) return REC_OK;
    out->a = rec_zeros((size_t)(argc - 3), sizeof(sq_arg));
    if (out->a == NULL) return rec_nomem(err);
    rec_status s = REC_OK;
    for (int i = 3; i < argc && s == REC_OK; i++) {
        s = parse_one(argv[i], &out->a[out->n++], err);
        sq_arg *last = &out->a[out->n - 1];
        if (s == REC_OK && last->name == NULL && last->value[0] == 0) {
            rec_free(
                last->value); /* `rec_index()` and a trailing comma give an empty one */
            *last = (sq_arg){0};
            out->n--;
        }
    }
    if (s != REC_OK) sq_args_clear(out);
    return s;
}

rec_status sq_args_once(const sq_args *args, size_t i, rec_err *err) {
    const char *name = args->a[i].name;
    for (size_t j = 0; name && j < i; j++)
        if (args->a[j].name && sqlite3_stricmp(args->a[j].name, name) == 0)
            return rec_fail(err, REC_RANGE, "option %.60s is given twice", name);
    return REC_OK;
}

void sq_args_clear(sq_args *a) {
    for (size_t i = 0; i < a->n; i++) {
        rec_free(a->a[i].name);
        rec_free(a->a[i].value);
    }
    rec_free(a->a);
    *a = (sq_args){0};
}

char *sq_identifier(const char **s, rec_err *err) {
    const char *p = *s;
    while (is_space(*p)) p++;
    char *name = NULL;
    if (*p == '"' || *p == '`' || *p == '\'') {
        const char *end = skip_quoted(p);
        if (end == NULL) {
            rec_fail(err, REC_RANGE, "a quote does not end in \"%s\"", *s);
            return NULL;
        }
        name = rec_strndup(p, (size_t)(end - p));
        if (name) dequote(name);
        p = end;
    } else if (*p == '[') {
        const char *end = strchr(p, ']');
        if (end == NULL) {
            rec_fail(err, REC_RANGE, "a bracket does not end in \"%s\"", *s);
            return NULL;
        }
        name = rec_strndup(p + 1, (size_t)(end - p - 1));
        p = end + 1;
    } else {
        const char *from = p;
        while (is_name_char(*p)) p++;
        if (p == from) {
            rec_fail(err, REC_RANGE, "a name was expected at \"%s\"", *s);
            return NULL;
        }
        name = rec_strndup(from, (size_t)(p - from));
    }
    if (name == NULL)
        rec_nomem(err);
    else
        *s = p;
    return name;
}
