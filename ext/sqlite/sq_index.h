/* sq_index.h - rec_index inside layer S.
 *
 *     sq_index_def     the parsed CREATE statement
 *     sq_index         what is stored, and writing it
 *     sq_index_slot    which slots are taken, and by which rows
 *     sq_index_memory  memory in step with what is stored
 *     sq_index_graph   links of a graph kind: kept, loaded, made at commit
 *     sq_index_check   is what is stored sound; putting it in order
 *     vt_index         the module: planning (vt_index), reading (_cursor), writing (_write)
 *
 *   vt_index_write --> sq_index --> shadow tables --> sq_memory --> vt_index_cursor
 *                                   (the truth)       (index/)
 *
 * Nobody else includes this: other parts of the extension use a rec_index through SQL.
 */
#ifndef REC_SQ_INDEX_H
#define REC_SQ_INDEX_H

#include "sq.h"

/* ---- sq_index_def.c ------------------------------------------------------------------------------------- */

typedef enum { INDEX_KEY_ROWID, INDEX_KEY_INTEGER, INDEX_KEY_TEXT } index_key;
typedef enum { FIELD_KEY, FIELD_VECTOR, FIELD_FILTER } index_role;
typedef struct index_field { /* a declared column */
    char *name, *type;       /* owned; type as written */
    index_role role;
    char affinity;
    int cell; /* column of the filter_table: 0 is the key, filters follow */
} index_field;
typedef struct sq_index_def { /* a CREATE statement of rec_index */
    char *table;              /* owned */
    index_field *field;
    size_t n_field;
    int n_filter;     /* filter columns c0.. */
    int vector_field; /* its number */
    index_key key;
    vec_type type;
    index_cfg cfg;  /* kind and codes point at constants */
    char what[160]; /* "rec_index(movie_vec)": how messages begin */
} sq_index_def;
/* The hidden columns follow the declared ones, in this order. */
enum { INDEX_DISTANCE, INDEX_K, INDEX_EF, INDEX_COMMAND, INDEX_N_HIDDEN };
rec_status sq_index_def_parse(const sq_args *args, const char *table, sq_index_def *out,
                              rec_err *err);
void sq_index_def_clear(sq_index_def *d);
/* REC_RANGE if the table may not be called `table`: a column has that name. */
rec_status sq_index_def_check_name(const sq_index_def *d, const char *table,
                                   rec_err *err);
char *sq_index_def_sql(const sq_index_def *d); /* for declare_vtab; sqlite3_free */
/* A whole number from 1 on; REC_RANGE names the option. */
rec_status sq_index_def_number(const char *name, const char *value, uint32_t *out,
                               rec_err *err);

/* ---- sq_index.c --------------------------------------------------------------------------------------- */

/* Memory of one index at one generation; counted, so that a cursor keeps what it reads from. */
typedef struct sq_memory {
    int n_ref;
    rec_index *ix;
    filter_table *cells; /* column 0 = key, then the filter columns */
    size_t n_slots;
    uint32_t ef;         /* default width of a search; 0 = the kind's */
    double load_seconds; /* what reading it took */
    bool is_damaged;     /* the stored links were refused: `damage` says why */
    char damage[200];
    size_t n_gone; /* vectors that left during this catching up */
    bool has_forgotten;
} sq_memory;
/* Nested statements that are kept while a table object lives. */
enum {
    INDEX_ST_GEN_GET,
    INDEX_ST_GEN_SET,
    INDEX_ST_FIND,
    INDEX_ST_MAX_ID,
    INDEX_ST_FREE,
    INDEX_ST_NEXT_CHUNK,
    INDEX_ST_CHUNK_COUNT,
    INDEX_ST_CHUNK_GET,
    INDEX_ST_CHUNK_SET,
    INDEX_ST_CHUNK_TOUCH,
    INDEX_ST_INSERT,
    INDEX_ST_UPDATE,
    INDEX_ST_DELETE,
    INDEX_ST_CHUNK_ROWS,
    INDEX_ST_NEWER,
    INDEX_ST_GRAPH_NEWER,
    INDEX_ST_GRAPH_GET,
    INDEX_ST_GRAPH_SET,
    INDEX_ST_WAITING_ADD,
    INDEX_ST_WAITING_SET,
    INDEX_ST_EF_GET,
    INDEX_ST_N
};

typedef struct index_segment {
    sq_generation gen;
    size_t first;       /* touched[first..] were written under it or later */
    size_t first_saved; /* saved[first_saved..], too */
} index_segment;

typedef struct index_chunk { /* a row of <t>_chunks */
    int64_t number;
    uint64_t live;
    int64_t row[INDEX_CHUNK]; /* rowids, where live */
} index_chunk;

struct sq_index { /* the connection's entry for (schema, name) */
    sq_index *next;
    sq_conn *conn;
    char *schema, *name;
    int n_ref; /* virtual table objects */
    sqlite3_stmt *st[INDEX_ST_N];
    sq_memory *mem;
    index_segment *segment;
    size_t n_segment, cap_segment;
    uint32_t *touched;
    size_t n_touched, cap_touched, n_applied;
    uint32_t *saved; /* chunks of links that we wrote */
    size_t n_saved, cap_saved;
    size_t n_written;   /* rows written or deleted in the transaction that is open */
    size_t n_uncounted; /* those of them that the head row does not count yet */
    int64_t waiting;    /* its count, as we last wrote it */
    bool want_bump;     /* I1 */
    bool has_bumped;    /* in the transaction that is open */
    sq_generation last; /* the pair that our last write stored */
    const char *last_search; /* what the last search did; NULL: none yet */
    int64_t first_free;      /* no free slot in chunks below, as of `last` */
    index_chunk filling;     /* chunk first_free, as of `last` ... */
    bool has_filling;        /* ... if known */
};

#define INDEX_FORMAT   1 /* row 'format' of <t>_state */
#define INDEX_MAX_SLOT ((int64_t)1 << 31)
/* The row of <t>_chunks after all chunks: ver counts the rows that wait for links, live is the
 * generation record. */
#define INDEX_HEAD      (INDEX_MAX_SLOT / INDEX_CHUNK)
#define INDEX_HEAD_TEXT "33554432"
#define INDEX_CHUNKS_COLUMNS \
    "chunk INTEGER PRIMARY KEY, ver INTEGER, live INTEGER, ids BLOB"

void sq_memory_unref(sq_memory *m);
extern const char *const sq_index_shadow[]; /* suffixes, NULL-terminated */

rec_status sq_index_create(sqlite3 *db, const char *schema, const sq_index_def *d,
                           rec_err *err);
rec_status sq_index_head_create(sqlite3 *db, const char *schema, const sq_index_def *d,
                                rec_err *err);
/* The connection's entry for (schema, name); one reference a virtual table object. */
rec_status sq_index_open(sq_conn *c, const char *schema, const char *name,
                         sq_index **out, rec_err *err);
void sq_index_close(sq_index *ix);
void sq_index_forget(sq_index *ix); /* drop what is in memory */
/* A transaction or savepoint began or ended: the next write makes a new generation. */
void sq_index_boundary(sq_index *ix, bool is_transaction);
void sq_index_free_all(sq_conn *c); /* the last reference to a connection is going */
/* Memory in step with the tables of this snapshot; release with sq_memory_unref. */
rec_status sq_index_memory(sq_index *ix, const sq_index_def *d, sq_memory **out,
                           rec_err *err);

/* Inside the family: */
#define GEN_MAX_BYTES (16 * (1 + SQ_GEN_HISTORY))
typedef struct sq_index_gen { /* the stored generation record */
    char bytes[GEN_MAX_BYTES];
    cell raw;
    sq_generation now;
    int64_t waiting; /* rows that wait for links */
} sq_index_gen;
rec_status sq_index_statement(sq_index *ix, const sq_index_def *d, int which,
                              sqlite3_stmt **out, rec_err *err);
/* Run a statement of integer arguments that gives no row. */
rec_status sq_index_run(sq_index *ix, const sq_index_def *d, int which,
                        const int64_t *arg, int n_arg, rec_err *err);
rec_status sq_index_generation(sq_index *ix, const sq_index_def *d, sq_index_gen *g,
                               rec_err *err);
/* I1. What every write does first; n_row: how many rows it is going to write. */
rec_status sq_index_begin_write(sq_index *ix, const sq_index_def *d, size_t n_row,
                                rec_err *err);

/* ---- sq_index_slot.c ----------------------------------------------------------------------------------- */

typedef struct sq_place { /* where a row is */
    int64_t slot;
    int64_t rowid; /* in <t>_rows: the key if that is INTEGER, else the slot */
} sq_place;
typedef struct sq_slots { /* all of them */
    index_chunk *chunk;
    size_t n_chunk, cap_chunk;
} sq_slots;
/* A chunk that is not there has no rows. */
rec_status sq_chunk_read(sq_index *ix, const sq_index_def *d, int64_t number,
                         index_chunk *out, rec_err *err);
bool sq_chunk_has(const index_chunk *c, const sq_place *at);
/* The smallest free slot, for the row with that key. */
rec_status sq_slot_take(sq_index *ix, const sq_index_def *d, const cell *id,
                        int64_t *slot, rec_err *err);
/* The row there is going to change. */
rec_status sq_slot_touch(sq_index *ix, const sq_index_def *d, int64_t slot,
                         rec_err *err);
rec_status sq_slot_release(sq_index *ix, const sq_index_def *d, const sq_place *at,
                           rec_err *err);
/* counter: REC_CORRUPT if a chunk was written later. */
rec_status sq_slots_read(sq_index *ix, const sq_index_def *d, uint64_t counter,
                         sq_slots *out, rec_err *err);
void sq_slots_clear(sq_slots *x);
/* REC_CORRUPT if the slot is not that of the row (I2). */
rec_status sq_slots_check(const sq_slots *x, const sq_index_def *d, const sq_place *at,
                          rec_err *err);
/* All chunks anew: slot i is that of rowid[i]. */
rec_status sq_slots_write(sq_index *ix, const sq_index_def *d, const int64_t *rowid,
                          size_t n, rec_err *err);

/* ---- sq_index_memory.c ------------------------------------------------------------------------------- */

rec_status sq_index_push_segment(sq_index *ix, const sq_generation *g, rec_err *err);
/* Memory agrees with the tables, or is gone. */
rec_status sq_index_revalidate(sq_index *ix, const sq_index_def *d,
                               const sq_index_gen *g, rec_err *err);
void sq_index_drop_memory(sq_index *ix);
/* A new memory of all that is stored; release with sq_memory_unref. */
rec_status sq_index_read(sq_index *ix, const sq_index_def *d, sq_memory **out,
                         rec_err *err);

/* ---- sq_index_graph.c --------------------------------------------------------------------------------- */

bool sq_graph_exists(const sq_index_def *d); /* does the kind keep links? */
rec_status sq_graph_create(sqlite3 *db, const char *schema, const sq_index_def *d,
                           bool may_exist, rec_err *err);
/* All stored links into a memory that holds all rows. Damage is noted in m, not an error. */
rec_status sq_graph_load(sq_index *ix, const sq_index_def *d, sq_memory *m,
                         rec_err *err);
/* Catching up, before the rows of `stale` chunks are read: chunks of links with ver > counter, and
 * with them all that differ from what is stored and all stale ones, are forgotten and noted in
 * `out`. n_bit 0: none is newer. */
rec_status sq_graph_newer(sq_index *ix, const sq_index_def *d, uint64_t counter,
                          const bitmap *stale, bitmap *out, rec_err *err);
/* After rows changed: load them. */
rec_status sq_graph_reload(sq_index *ix, const sq_index_def *d, const bitmap *chunks,
                           rec_err *err);
void sq_graph_forget(sq_memory *m); /* nothing is linked any more */
/* The transaction is about to commit: link what waits, if it is time. */
rec_status sq_graph_commit(sq_index *ix, const sq_index_def *d, rec_err *err);
/* Link everything and save it. is_fresh: from the vectors alone. */
rec_status sq_graph_build(sq_index *ix, const sq_index_def *d, bool is_fresh,
                          rec_err *err);
/* 'ef=128': the default width from now on. */
rec_status sq_graph_set_ef(sq_index *ix, const sq_index_def *d, const char *value,
                           rec_err *err);

typedef struct sq_index_row {
    cell id;       /* integer or text */
    const void *v; /* stored form, or NULL */
    cell *filter;  /* [n_filter], affinity applied */
} sq_index_row;
#define SQ_NO_SLOT (-1)
/* at->slot SQ_NO_SLOT: no row has that key. */
rec_status sq_index_find(sq_index *ix, const sq_index_def *d, const cell *id,
                         sq_place *at, rec_err *err);
rec_status sq_index_insert(sq_index *ix, const sq_index_def *d, const sq_index_row *row,
                           sq_place *at, rec_err *err);
/* In place of the row that is there; another row of the same id goes away. */
rec_status sq_index_replace(sq_index *ix, const sq_index_def *d,
                            const sq_index_row *row, sq_place *at, rec_err *err);
rec_status sq_index_delete(sq_index *ix, const sq_index_def *d, const sq_place *at,
                           rec_err *err);
/* Of the row that a statement of sq_index_select stands on. A slot that is no INTEGER is -1. */
sq_place sq_index_place(const sq_index_def *d, sqlite3_stmt *st);
rec_status sq_index_max_id(sq_index *ix, const sq_index_def *d, int64_t *out,
                           rec_err *err);
/* Rows as statement columns: slot, id, v, c0.. . `where` is SQL over slot, id and rowid with ?1, or "". */
rec_status sq_index_select(sq_index *ix, const sq_index_def *d, const char *where,
                           sqlite3_stmt **out, rec_err *err);

/* ---- sq_index_check.c ------------------------------------------------------------------------------------ */

rec_status sq_index_row_sum(const sq_index_def *d, const sq_index_row *row,
                            int64_t *out, rec_err *err);
rec_status sq_index_check_id(const sq_index_def *d, int64_t slot, const cell *id,
                             rec_err *err);
rec_status sq_index_check_vector(const sq_index_def *d, int64_t slot, const cell *v,
                                 rec_err *err);
rec_status sq_index_check_format(sq_index *ix, const sq_index_def *d, rec_err *err);
/* Slots without gaps and _chunks anew. rebuild also replaces a lost or damaged state row. */
rec_status sq_index_rebuild(sq_index *ix, const sq_index_def *d, rec_err *err);
rec_status sq_index_optimize(sq_index *ix, const sq_index_def *d, rec_err *err);
/* REC_CORRUPT with what is wrong. is_quick: structure without checksums. */
rec_status sq_index_check(sq_index *ix, const sq_index_def *d, bool is_quick,
                          rec_err *err);

/* ---- vt_index.c, vt_index_cursor.c, vt_index_write.c ------------------------------------------------------- */

typedef struct vt_index {
    sqlite3_vtab base;
    sq_conn *conn;
    sq_index *ix;
    sq_index_def def;
    char *schema;
    int n_searches; /* cursors that run a search */
} vt_index;

/* Plans: <t>_rows whole, by key, by slot; or a search. */
enum { PLAN_SCAN, PLAN_LOOKUP, PLAN_SLOT, PLAN_MATCH };
/* Field of a column number: declared columns, and the rowid where it is the key. NULL: another. */
const index_field *vt_index_field(const vt_index *vt, int column);
int vt_index_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out);
int vt_index_close(sqlite3_vtab_cursor *base);
int vt_index_filter(sqlite3_vtab_cursor *base, int idx_num, const char *idx_str,
                    int argc, sqlite3_value **argv);
int vt_index_next(sqlite3_vtab_cursor *base);
int vt_index_eof(sqlite3_vtab_cursor *base);
int vt_index_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int column);
int vt_index_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out);
int vt_index_update(sqlite3_vtab *base, int argc, sqlite3_value **argv,
                    sqlite3_int64 *rowid);

#endif
