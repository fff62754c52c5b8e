/* complete.c - llm_complete: a prompt as it is, the answer as it is.
 *
 * The plumbing without the checks: what comes back is text, and nothing is known of it. There is no builtin that
 * could stand in, so a failure is an error here. Options: llm (a name in llm_models), system, in_transaction.
 */
#include "llm.h"

#define MAX_PROMPT_BYTES ((size_t)1 << 20)

/* ---- options that every function has ---------------------------------------------------- */

rec_status options_common_read(const char *function, const char *text,
                               options_common *o, rec_err *err) {
    *o = (options_common){0};
    if (!text) return REC_OK;
    rec_err why = {0};
    o->root = json_parse(text, strlen(text), &why);
    if (!o->root) return rec_fail(err, why.code, "%s: options: %s", function, why.msg);
    if (!json_is_object(o->root))
        return rec_fail(err, REC_RANGE, "%s: options must be an object", function);
    for (const json *j = json_first(o->root); j; j = json_next(j)) {
        const char *k = json_key(j);
        bool is_text = json_text(j) != NULL;
        if (strcmp(k, "llm") == 0 && (is_text || json_is_null(j)))
            o->llm = json_text(j);
        else if (strcmp(k, "system") == 0 && is_text)
            o->system = json_text(j);
        else if (strcmp(k, "in_transaction") == 0 && json_is_bool(j))
            o->in_transaction = json_truth(j, false);
        else
            return rec_fail(
                err, REC_RANGE,
                "%s: option \"%.60s\" is not one of llm (text), system (text), "
                "in_transaction (true or false)",
                function, k);
    }
    return REC_OK;
}

void options_common_clear(options_common *o) {
    json_delete(o->root);
    *o = (options_common){0};
}

/* ---- the function ----------------------------------------------------------------------- */

rec_status llm_complete(llm_session *s, const char *prompt, size_t nbyte,
                        const char *options, char **out, rec_err *err) {
    options_common o;
    const llm_config *config = NULL;
    llm_prompt p = {0};
    llm_reply reply = {0};
    *out = NULL;
    if (nbyte > MAX_PROMPT_BYTES)
        return rec_fail(err, REC_RANGE,
                        "llm_complete: a prompt of %zu bytes, at most %zu", nbyte,
                        MAX_PROMPT_BYTES);
    rec_status st = options_common_read("llm_complete", options, &o, err);
    if (!st) st = llm_choose(s, o.llm, &config, err);
    if (!st && !config)
        st = rec_fail(err, REC_RANGE,
                      "llm_complete needs a model: INSERT INTO llm_models(name, "
                      "base_url, model) ...");
    if (!st) {
        p.user = rec_strndup(prompt, nbyte);
        p.system = o.system ? rec_strdup(o.system) : NULL;
        if (!p.user || (o.system && !p.system)) st = rec_nomem(err);
    }
    if (!st) st = llm_ask(s, config, &p, "llm_complete", o.in_transaction, &reply, err);
    if (!st && !(*out = answer_text(reply.text))) st = rec_nomem(err);
    llm_reply_clear(&reply);
    llm_prompt_clear(&p);
    options_common_clear(&o);
    return st;
}
