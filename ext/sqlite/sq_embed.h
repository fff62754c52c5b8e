/* sq_embed.h - vectors of items and sentences, inside layer S; the end of sq.h.
 *
 *     sq_embed     files and servers for embedders, and vectors kept
 *     sq_features  item vectors of one model for another
 */
#ifndef REC_SQ_EMBED_H
#define REC_SQ_EMBED_H

/* ---- sq_embed.c: what embedders reach outside ------------------------------------------------------ */

void sq_embed_spec(const sq_model_cfg *cfg, embed_spec *out); /* n 0: it has none */
unsigned sq_embed_needs(const sq_model_cfg *cfg);             /* EMBED_* */
/* Does a sentence for the view, or for a member, go to a server? */
bool sq_view_asks(const sq_view *v);
embed_env sq_embed_questions(sq_conn *c);
typedef struct sq_kept sq_kept;
typedef struct sq_embedding { /* of one fitting */
    sq_conn *c;
    const char *schema, *name; /* borrowed: whose vectors are kept */
    bool in_transaction; /* a server may be asked while a write transaction is open */
    /* Commit a part of <name>_data; NULL: nothing is kept on the way. */
    rec_status (*keep)(void *ctx, const char *part, const bytes_writer *w,
                       rec_err *err);
    void *keep_ctx;
    embed_env env; /* for model_fit_args; ctx is this struct, which may not move */
    sq_kept *kept; /* owned */
} sq_embedding;
void sq_embed_start(sq_embedding *e); /* the fields above env are set */
rec_status sq_embed_write(sq_embedding *e, rec_err *err); /* keep what was used alone */
void sq_embed_end(sq_embedding *e);

/* The content model that features= names, or NULL. */
const char *sq_features(const sq_model_cfg *cfg);
bool sq_can_extend(const sq_model_cfg *cfg); /* by items that came after training */
/* Is it there, and do its vectors owe nothing to interactions? */
rec_status sq_features_check(sq_conn *c, const char *schema, const char *table,
                             const sq_model_cfg *cfg, rec_err *err);
/* Its vectors into column 0 of docs, by key. */
rec_status sq_features_read(sq_conn *c, const char *schema, const sq_model_cfg *cfg,
                            const catalog *items, corpus *docs, rec_err *err);

#endif
