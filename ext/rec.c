/* rec.c - the entry point: version gate, allocator, and the tables of what is registered.
 *
 *   sqlite3_load_extension -> sqlite3_rec_init
 *        version gate  ->  allocator  ->  connection registry  ->  functions, modules
 *
 * I1. Nothing stays registered after an error: SQLite unloads the library then, and calling a
 *     function that was left behind would jump into unmapped memory (RELIABILITY rule 2).
 * I2. The library is never unloaded (SQLITE_OK_LOAD_PERMANENTLY and -z nodelete): neither
 *     libcurl nor OpenBLAS survives dlclose.
 * I3. No state of the process is changed, beyond one-time set-up under a once flag.
 * I4. Registering twice, on one connection or on many, is harmless.
 *
 * Adding a function is a line in a table of its file (ext/sqlite/fn_*.c, vt_*.c), not here.
 */
#define SQ_ENTRY_POINT
#include "rec.h"
#include "sqlite/tf.h"

SQLITE_EXTENSION_INIT1

static const sq_function *const function_tables[] = {
    fn_vector_functions, fn_model_functions, fn_llm_functions, fn_converse_functions,
    fn_enrich_functions};
static const tvf_def *const *const tvf_tables[] = {vt_table_functions,
                                                   vt_llm_functions};
/* Table functions that can also be called as scalars and then return a JSON array. */
static const char *const scalar_forms[] = {"rec_recommend", "rec_similar", "rec_hybrid",
                                           "llm_rerank"};
static const char *const modules[] = {"rec_index", "rec_model", "rec_models",
                                      "llm_models", "llm_usage"};
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static bool has_scalar_form(const char *name) {
    for (size_t i = 0; i < N_OF(scalar_forms); i++)
        if (strcmp(scalar_forms[i], name) == 0) return true;
    return false;
}

static int register_function(sq_conn *c, const sq_function *f) {
    sq_conn_ref(c); /* released by the destructor, also when registration fails */
    return sqlite3_create_function_v2(c->db, f->name, f->n_arg, f->flags, c, f->scalar,
                                      f->step, f->final, sq_conn_unref);
}

static int register_all(sq_conn *c) {
    int rc = SQLITE_OK;
    for (size_t t = 0; t < N_OF(function_tables) && rc == SQLITE_OK; t++)
        for (const sq_function *f = function_tables[t]; f->name && rc == SQLITE_OK; f++)
            rc = register_function(c, f);
    for (size_t t = 0; t < N_OF(tvf_tables) && rc == SQLITE_OK; t++)
        for (const tvf_def *const *d = tvf_tables[t]; *d && rc == SQLITE_OK; d++) {
            rc = tvf_register(c, *d);
            if (rc == SQLITE_OK && has_scalar_form((*d)->name))
                rc = tvf_register_scalar(c, *d);
        }
    if (rc == SQLITE_OK) rc = vt_index_register(c);
    if (rc == SQLITE_OK) rc = vt_model_register(c);
    if (rc == SQLITE_OK) rc = vt_llm_register(c);
    return rc;
}

/* I1: take back whatever was registered. Unregistering what is not there is harmless. */
static void unregister_all(sqlite3 *db) {
    for (size_t t = 0; t < N_OF(function_tables); t++)
        for (const sq_function *f = function_tables[t]; f->name; f++)
            sqlite3_create_function_v2(db, f->name, f->n_arg, f->flags, NULL, NULL,
                                       NULL, NULL, NULL);
    for (size_t t = 0; t < N_OF(tvf_tables); t++)
        for (const tvf_def *const *d = tvf_tables[t]; *d; d++) {
            sqlite3_create_module_v2(db, (*d)->name, NULL, NULL, NULL);
            sqlite3_create_function_v2(db, (*d)->name, -1, SQLITE_UTF8, NULL, NULL,
                                       NULL, NULL, NULL);
        }
    for (size_t i = 0; i < N_OF(modules); i++)
        sqlite3_create_module_v2(db, modules[i], NULL, NULL, NULL);
}

static void *host_alloc(size_t n) {
    return sqlite3_malloc64(n);
}
static void *host_resize(void *p, size_t n) {
    return sqlite3_realloc64(p, n);
}
static void host_release(void *p) {
    sqlite3_free(p);
}

int sqlite3_rec_init(sqlite3 *db, char **errmsg, const sqlite3_api_routines *api) {
    SQLITE_EXTENSION_INIT2(api);
    (void)api;
    if (sqlite3_libversion_number() < REC_MIN_SQLITE) {
        if (errmsg)
            *errmsg = sqlite3_mprintf("rec %s needs SQLite 3.38.0 or later, this is %s",
                                      REC_VERSION, sqlite3_libversion());
        return SQLITE_ERROR;
    }
    static const rec_allocator host = {host_alloc, host_resize, host_release};
    rec_set_allocator(&host);
    sq_conn *c = sq_conn_new(db);
    int rc = c ? register_all(c) : SQLITE_NOMEM;
    if (rc != SQLITE_OK) {
        unregister_all(db);
        if (errmsg)
            *errmsg = sqlite3_mprintf("rec %s could not be registered: %s", REC_VERSION,
                                      sqlite3_errstr(rc));
    }
    if (c) sq_conn_unref(c);
    if (rc != SQLITE_OK) return rc;
#ifdef SQLITE_CORE
    return SQLITE_OK;
#else
    return SQLITE_OK_LOAD_PERMANENTLY;
#endif
}
