/* rec.h - public header of the rec extension, for programs that link it statically.
 *
 * Loaded at run time (`.load ./rec`, sqlite3_load_extension) nothing of this is needed. A program
 * that compiles the sources in with -DSQLITE_CORE calls sqlite3_rec_init itself, or hands it to
 * sqlite3_auto_extension. Works with SQLite 3.38.0 and later; older ones get an error message.
 */
#ifndef REC_H
#define REC_H

#ifdef __cplusplus
extern "C" {
#endif

#define REC_VERSION    "0.1.0"
#define REC_MIN_SQLITE 3038000 /* first with sqlite3_vtab_in and LIMIT constraints */

struct sqlite3;
struct sqlite3_api_routines;

/* Register every function and module of the extension on one connection. All or nothing: on an
 * error *errmsg (sqlite3_malloc'ed) says why and nothing stays registered. */
#ifdef _WIN32
__declspec(dllexport)
#elif defined(__GNUC__)
__attribute__((visibility("default")))
#endif
    int sqlite3_rec_init(struct sqlite3 *db, char **errmsg,
                         const struct sqlite3_api_routines *api);

#ifdef __cplusplus
}
#endif
#endif
