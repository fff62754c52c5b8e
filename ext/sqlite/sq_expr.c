/* sq_expr.c - positive='rating >= 4': an expression from the schema, made safe to run.
 *
 *   rating >= 4 AND kind IN ('buy', 'play')
 *      | tokens that are allowed, columns that exist
 *   t."rating" >= 4 AND t."kind" IN ( 'buy' , 'play' )
 *
 * The text comes from sqlite_schema of a file that somebody else may have written, and it runs with the rights
 * of whoever opens the file. So it is never pasted into a statement: it is cut into tokens, each token must be
 * of a kind listed here, and what runs is written anew. Whatever passes is a formula over the columns of one
 * row: it can call no function, read no other table and not leave its brackets.
 *
 * I1. An identifier is a keyword of the list below or a column of the table, else it is refused.
 * I2. "(" follows an operator, "(", AND, OR, NOT, IN, BETWEEN, LIKE or the beginning; never a column.
 * I3. IN is followed by "(" and literals (x IN t.y would name a table).
 * I4. Brackets balance and never close below zero.
 * Grammar beyond that is left to SQLite, which prepares the result at CREATE.
 */
#include "sq.h"

#define EXPR_MAX_TOKENS 512

typedef enum {
    TOK_END,
    TOK_COLUMN,
    TOK_LITERAL,
    TOK_OPERATOR,
    TOK_KEYWORD,
    TOK_OPEN,
    TOK_CLOSE,
    TOK_COMMA
} tok_kind;

typedef struct expr_parser {
    const char *text, *at;
    const sq_columns *columns;
    bytes_writer out;
    tok_kind last;
    bool after_in;         /* the last token was IN */
    int depth, list_depth; /* open brackets; that of the IN list, 0 = none */
    rec_err *err;
} expr_parser;

static const char *const keywords[] = {"AND", "OR",   "NOT",  "IN",
                                       "IS",  "NULL", "LIKE", "BETWEEN"};
static const char *const operators[] = {"==", "!=", "<>", "<=", ">=", "=",
                                        "<",  ">",  "+",  "-",  "*",  "/"};

static rec_status refuse(const expr_parser *p, const char *where, const char *why) {
    return rec_fail(p->err, REC_RANGE, "positive='%.80s': %s at '%.30s'", p->text, why,
                    where);
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static const char *find_keyword(const char *s, size_t n) {
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (strlen(keywords[i]) == n && sqlite3_strnicmp(keywords[i], s, (int)n) == 0)
            return keywords[i];
    return NULL;
}

/* A bare word that is a keyword, else a column, bare or quoted. */
static rec_status take_word(expr_parser *p) {
    const char *start = p->at;
    size_t n = 0;
    while (is_word(start[n]) || (n && start[n] >= '0' && start[n] <= '9')) n++;
    const char *keyword = n ? find_keyword(start, n) : NULL;
    if (keyword) {
        p->at += n;
        p->after_in = strcmp(keyword, "IN") == 0;
        p->last = strcmp(keyword, "NULL") == 0 ? TOK_LITERAL : TOK_KEYWORD;
        bytes_printf(&p->out, "%s ", keyword);
        return REC_OK;
    }
    char *name = sq_identifier(&p->at, p->err);
    if (!name && p->err && p->err->code == REC_NOMEM) return REC_NOMEM;
    if (!name) return refuse(p, start, "expected a column, a literal or an operator");
    int n_name = p->at - start < 40 ? (int)(p->at - start) : 40;
    int column = sq_columns_find(p->columns, name);
    rec_free(name);
    if (column < 0) {
        char list[200];
        sq_columns_list(p->columns, list, sizeof list);
        return rec_fail(p->err, REC_RANGE,
                        "positive='%.80s': %.*s is no column; columns: %s", p->text,
                        n_name, start, list);
    }
    char *quoted = sqlite3_mprintf("t.\"%w\" ", p->columns->name[column]);
    if (!quoted) return rec_nomem(p->err);
    bytes_puts(&p->out, quoted);
    sqlite3_free(quoted);
    p->last = TOK_COLUMN;
    return REC_OK;
}

static rec_status take_string(expr_parser *p) {
    const char *end = p->at + 1;
    while (*end && (*end != '\'' || end[1] == '\'')) end += *end == '\'' ? 2 : 1;
    if (!*end) return refuse(p, p->at, "the string does not end");
    end++;
    bytes_put(&p->out, p->at, (size_t)(end - p->at));
    bytes_puts(&p->out, " ");
    p->at = end;
    p->last = TOK_LITERAL;
    return REC_OK;
}

static rec_status take_number(expr_parser *p) {
    double x;
    size_t n = rec_parse_number(p->at, strlen(p->at), &x);
    if (n == 0 || is_word(p->at[n])) return refuse(p, p->at, "expected a number");
    bytes_put(&p->out, p->at, n);
    bytes_puts(&p->out, " ");
    p->at += n;
    p->last = TOK_LITERAL;
    return REC_OK;
}

static rec_status take_bracket(expr_parser *p) {
    if (*p->at == '(') {
        if (p->last == TOK_COLUMN || p->last == TOK_LITERAL || p->last == TOK_CLOSE)
            return refuse(p, p->at, "functions cannot be called here");
        p->depth++;
        if (p->after_in) p->list_depth = p->depth;
        p->last = TOK_OPEN;
    } else {
        if (p->depth == 0)
            return refuse(p, p->at, "a bracket closes that was not opened");
        if (p->list_depth == p->depth) p->list_depth = 0;
        p->depth--;
        p->last = TOK_CLOSE;
    }
    bytes_printf(&p->out, "%c ", *p->at++);
    return REC_OK;
}

static rec_status take_operator(expr_parser *p) {
    if (*p->at == ',') {
        if (!p->list_depth || p->list_depth != p->depth)
            return refuse(p, p->at, "a comma belongs into IN (...)");
        p->last = TOK_COMMA;
        bytes_puts(&p->out, ", ");
        p->at++;
        return REC_OK;
    }
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t n = strlen(operators[i]);
        if (strncmp(p->at, operators[i], n) != 0) continue;
        p->at += n;
        p->last = TOK_OPERATOR;
        bytes_printf(&p->out, "%s ",
                     operators[i]); /* the blank keeps - - and / * apart */
        return REC_OK;
    }
    return refuse(p, p->at, "this is not allowed here");
}

static rec_status take(expr_parser *p) {
    char c = *p->at;
    bool was_in = p->after_in, in_list = p->list_depth && p->list_depth == p->depth;
    rec_status s;
    const char *start = p->at;
    if (was_in && c != '(')
        return refuse(p, p->at, "IN needs a list of literals in brackets");
    if (c == '\'')
        s = take_string(p);
    else if ((c >= '0' && c <= '9') || c == '.')
        s = take_number(p);
    else if (c == '(' || c == ')')
        s = take_bracket(p);
    else if (is_word(c) || c == '"' || c == '[' || c == '`')
        s = take_word(p);
    else
        s = take_operator(p);
    if (was_in) p->after_in = false;
    bool is_sign = p->last == TOK_OPERATOR && (*start == '-' || *start == '+');
    if (s == REC_OK && in_list && p->last != TOK_LITERAL && p->last != TOK_COMMA &&
        p->last != TOK_CLOSE && !is_sign)
        return refuse(p, start, "only literals may stand in IN (...)");
    return s;
}

rec_status sq_expr_write(const char *text, const sq_columns *columns, char **out,
                         rec_err *err) {
    expr_parser p = {.text = text, .at = text, .columns = columns, .err = err};
    rec_status s = REC_OK;
    int n = 0;
    *out = NULL;
    bytes_puts(&p.out, "");
    for (; s == REC_OK; n++) {
        p.at += strspn(p.at, " \t\r\n");
        if (!*p.at) break;
        if (n == EXPR_MAX_TOKENS)
            s = refuse(&p, p.at, "the expression is too long");
        else
            s = take(&p);
    }
    if (s == REC_OK && (n == 0 || p.depth))
        s = refuse(&p, p.at, "the expression is not complete");
    if (s == REC_OK && !(*out = bytes_take_text(&p.out))) s = rec_nomem(err);
    bytes_clear(&p.out);
    return s;
}
