/* sq_train.h - what a training is made of.
 *
 *     sq_train_log   one row an epoch                                   sq_train_log.c
 *     sq_previous    what the last training left, for the next one      sq_previous.c
 */
#ifndef REC_SQ_TRAIN_H
#define REC_SQ_TRAIN_H

#include "sq.h"

typedef struct sq_trained { /* what is learned now; borrowed */
    sq_conn *c;
    const char *schema, *name;
    const sq_model_cfg *cfg;
    const dataset *data;
    const catalog *items;
    const keyset *users;
} sq_trained;
/* ---- sq_train_log.c ---------------------------------------------------------------------------- */

#define LOG_TEXT_BYTES 32
typedef struct log_entry {
    char phase[LOG_TEXT_BYTES], metric[LOG_TEXT_BYTES];
    bool has_metric;
    int epoch;
    double loss, value, seconds;
} log_entry;

typedef struct train_log {
    log_entry *row; /* owned */
    size_t n, cap;
    rec_status status; /* sticky */
} train_log;
/* rec_run.log: ctx is the sq_conn, whose log is the train_log. */
void train_log_add(void *conn, const rec_log_row *row);
/* Replaces <name>_log. */
rec_status train_log_write(const train_log *log, const sq_trained *now, rec_err *err);
void train_log_clear(train_log *log);

/* ---- sq_previous.c ------------------------------------------------------------------------------ */

typedef struct sq_trace {
    uint32_t shift;      /* pairs whose hash has so many leading zeros are kept */
    uint64_t definition; /* hash of the CREATE statement as it would be written now */
    uint64_t n_pairs, sum;
    uint64_t *hash; /* [n] ascending, owned */
    size_t n;
} sq_trace;
typedef struct sq_previous {
    sq_trace trace;   /* of what is learned now; n 0: too little to go on from */
    rec_model *model; /* owned; NULL: the training starts from nothing */
    uint32_t *item;   /* [n_items] owned: numbers in model, KEYS_NONE for new ones */
    double changed;   /* new pairs and pairs that are gone, over those of then */
} sq_previous;
/* Takes the trace; reads the stored model if the training may go on from it and want_model. */
rec_status sq_previous_read(const sq_trained *now, bool want_model, sq_previous *out,
                            rec_err *err);
/* Stores the trace, or takes an older one away. */
rec_status sq_previous_write(const sq_trained *now, const sq_previous *p, rec_err *err);
/* For integrity-check: is the stored trace sound, if there is one? */
rec_status sq_previous_check(sqlite3 *db, const char *schema, const char *name,
                             rec_err *err);
void sq_previous_clear(sq_previous *p);

#endif
