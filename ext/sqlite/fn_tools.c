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
 * I2. Only functions that read are listed: training is not an agent's decision.
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
