/* fn_tools.c - rec_tools(): the functions over models as tool descriptions for an agent.
 *
 *   SELECT rec_tools()
 *   [{"type":"function","function":{"name":"rec_recommend","description":"...",
 *      "parameters":{"type":"object","properties":{"model":{...},...},"required":[...]}}}, ...]
 *
 * The shape is the one that chat completion interfaces take under "tools". An agent that calls
 * a tool answers with a name and an object of arguments; the program around it runs
 * SELECT json_group_array(...) FROM name(arguments in this order).
 *
 * I1. Arguments stand in the order of the SQL function, required ones first.
 * I2. Every function over models that can be called on its own is listed (tests/check/documented.sh).
 *     rec_train alone writes, and its description says so: a host that keeps training to itself
 *     leaves it out by its name.
 */
#include "tf.h"

typedef struct tool_argument {
    const char *name, *type, *says;
} tool_argument;

// clang-format off
static const tool_argument arguments[] = {
    {"model",   "string",  "name of a rec_model table, as rec_models lists it"},
    {"user",    NULL,      "key of a user; an unknown one is answered too"},
    {"item",    NULL,      "key of an item"},
    {"a",       NULL,      "key of an item"},
    {"b",       NULL,      "key of another item"},
    {"query",   "string",  "what is wanted, in a sentence, or the object that llm_rewrite returned"},
    {"k",       "integer", "how many rows, from 1"},
    {"filters", "string",  "JSON object: facet to any, all, none (lists), min, max (numbers)"},
    {"candidates", "string", "JSON array of objects with id, score, and vector or facets, or of ids"},
    {"row",     "string",  "JSON object: facets of one item"},
    {"name",    "string",  "name of a rec_model or rec_index table"},
    {"index",   "string",  "name of a rec_index table"},
    {"sample",  "integer", "how many stored vectors to ask with"},
    {"model_a", "string",  "name of a rec_model table"},
    {"model_b", "string",  "name of another rec_model table"},
    {"options", "string",  "JSON object with the options that the description names"},
};

typedef struct tool {
    const char *name, *says;
    const char *args; /* space separated */
    int n_required;
} tool;

static const tool tools[] = {
    {"rec_models",        "Lists the models and indexes there are, with sizes and warnings.", "", 0},
    {"rec_recommend",     "The best items for a user, best first, without those they already know.",
                          "model user k", 2},
    {"rec_hybrid",        "The best items for a user and a request in words; filters are kept strictly.",
                          "model user query k", 3},
    {"rec_similar",       "Items most like one item.", "model item k", 2},
    {"rec_similar_users", "Users whose history is most like that of one user.", "model user k", 2},
    {"rec_user",          "What is known of a user: what they did and which attributes stand out.",
                          "model user", 2},
    {"rec_explain",       "Which of the user's items and which attributes made the score of an item.",
                          "model user item", 3},
    {"rec_reason",        "One sentence that says why an item is recommended.", "model user item", 3},
    {"rec_why_not",       "Why an item is not in a user's list.", "model user item filters", 3},
    {"rec_similarity",    "How alike two items are, one number.", "model a b", 3},
    {"rec_cf_score",      "The collaborative score of one item for a user, one number.", "model user item", 3},
    {"rec_hybrid_score",  "The blended score of one item for a user, one number.", "model user item", 3},
    {"rec_diversify",     "Reorders candidates into a list that is good as a whole; a wide list of rec_recommend goes in. "
                          "Options: method (mmr, xquad, calibrated), lambda (share of diversity, 0 to 1), k, facet, caps "
                          "({\"genres\": 3}), popularity (discount, 0 to 1), model, user.", "candidates options", 1},
    {"rec_match",         "1 or 0: do the facets of an item satisfy filters?", "filters row model", 2},
    {"rec_evaluate",      "How good a model is on interactions held out from a copy of it. Takes as long as a "
                          "training. Options: split (random, leave-one-out, last, temporal, user), table, share, k, "
                          "metrics, users, seed.", "model options", 1},
    {"rec_compare",       "Which of two models is better on the same held-out interactions, user by user; options "
                          "as of rec_evaluate.", "model_a model_b options", 2},
    {"rec_tune",          "Searches for better options and writes nothing; takes many trainings. Options: trials, "
                          "seconds, metric, space, k, seed.", "model options", 1},
    {"rec_train",         "Writes: trains a model and replaces the stored one. Options: if_stale (share of new rows "
                          "below which nothing is done), keep_if (metric by which the stored model may stay), full "
                          "(true: from nothing).", "model options", 1},
    {"rec_check",         "Is what a model or an index stores sound? All of them without a name.", "name", 0},
    {"rec_index_stats",   "One vector index in figures, and its recall on a sample.", "index sample k", 1},
};
// clang-format on

static json *argument_schema(const char *name) {
    json *obj = json_new_object();
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        const tool_argument *a = &arguments[i];
        if (strcmp(a->name, name) != 0) continue;
        if (a->type) json_set(obj, "type", json_new_text(a->type, strlen(a->type)));
        json_set(obj, "description", json_new_text(a->says, strlen(a->says)));
    }
    return obj;
}

/* {"type":"object","properties":{...},"required":[...]} */
static json *parameters(const tool *t) {
    json *obj = json_new_object(), *properties = json_new_object(),
         *required = json_new_array();
    bool ok = obj && properties && required;
    const char *s = t->args;
    for (int i = 0; ok && *s; i++) {
        char name[16];
        size_t n = strcspn(s, " ");
        rec_format(name, sizeof name, "%.*s", (int)n, s);
        ok = json_set(properties, name, argument_schema(name));
        if (ok && i < t->n_required) ok = json_push(required, json_new_text(name, n));
        s += n;
        if (*s) s++;
    }
    if (!ok) {
        json_delete(obj);
        json_delete(properties);
        json_delete(required);
        return NULL;
    }
    ok = json_set(obj, "type", json_new_text("object", 6));
    ok = json_set(obj, "properties", properties) && ok;
    ok = json_set(obj, "required", required) && ok;
    if (ok) return obj;
    json_delete(obj);
    return NULL;
}

static bool push_tool(json *array, const tool *t) {
    json *outer = json_new_object(), *f = json_new_object();
    bool ok = json_set(outer, "type", json_new_text("function", 8));
    ok = json_set(f, "name", json_new_text(t->name, strlen(t->name))) && ok;
    ok = json_set(f, "description", json_new_text(t->says, strlen(t->says))) && ok;
    ok = json_set(f, "parameters", parameters(t)) && ok;
    ok = json_set(outer, "function", f) && ok;
    if (ok) return json_push(array, outer);
    json_delete(outer);
    return false;
}

void fn_tools(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
    (void)argc, (void)argv;
    json *array = json_new_array();
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < sizeof tools / sizeof *tools; i++)
        ok = push_tool(array, &tools[i]);
    char *text = ok ? json_print(array) : NULL;
    if (text) {
        sqlite3_result_text(ctx, text, -1, SQLITE_TRANSIENT);
        sqlite3_result_subtype(ctx, 'J');
    } else {
        sqlite3_result_error_nomem(ctx);
    }
    rec_free(text);
    json_delete(array);
}
