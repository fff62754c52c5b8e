/* vt_model_cursor.c - rec_model: rows of (user, item, score), one after the other.
 *
 *   xFilter      one asker: user =, history =, query =; or, without any of them, a stream of all users
 *   xNext        the next of a lazy ranking; at its end the next user
 *
 *        asker --> profile --> scores --> allowed --> predicates --> ranking --> rows, at most k
 *                  sq_profile  sq_score   sq_allowed   (here)        sq_rank
 *
 * `rank` is the place among the rows of the user that the conditions handed over leave. A stream reads the
 * interactions once, user by user in the order of their keys. When few rows of each are wanted it takes users by the
 * block: their profiles are read, then all of them are scored together on all cores (sq_block), then their rows
 * are handed out. The first block is small, so that the first row comes at once.
 *
 * I1. A condition on item, seen, score, source is applied before the ranking, so it never starves k.
 * I2. A cursor keeps its view, and the scores of its last asker, as long as nothing changed: a join that asks
 *     for the pairs of one user scores that user once.
 * I3. NULL: user = NULL matches nobody; a NULL history is an empty one, a NULL query or k is not given.
 */
#include "sq_preferences.h"

#include <math.h>

/* ---- cursor ------------------------------------------------------------------------------------------------ */

typedef struct model_cursor {
    sqlite3_vtab_cursor base;
    sq_view *view; /* held reference, NULL before the first xFilter */
    rec_run run;
    /* what was asked */
    predicate pred[PLAN_MAX_ITEMS]; /* owned */
    size_t n_pred;
    bool has_user, has_history, has_query, is_none; /* is_none: nothing can match */
    cell user, history, query;                      /* owned */
    int64_t k, max_rank;                            /* -1 = all */
    /* who is being shown */
    sq_users *stream;  /* NULL: one asker */
    bool is_blockwise; /* a stream: the lists of `block` are handed out */
    bool is_personal;  /* some rule depends on the user: `common` is without rules */
    bitmap common; /* what anybody may be shown that the conditions on items leave */
    sq_block block;
    size_t block_size, at_user; /* users to take next; who is being shown, if block.n */
    bool has_more; /* the block is one asker, and more rows may be pulled than it has */
    bitmap given;  /* rows that came from it; empty unless they were not enough */
    char key_buf[32];
    rec_key key; /* of the user; borrowed from `user`, key_buf or the stream */
    bool has_key;
    sq_profile profile;
    sq_scores scores;
    bool is_scored; /* profile and scores are those of (user, history, query) */
    bitmap allowed;
    ranking order;
    /* the row */
    uint32_t item;
    float score;
    int64_t rank, rowid;
    bool is_eof;
} model_cursor;

static void forget_question(model_cursor *c) {
    for (size_t i = 0; i < c->n_pred; i++) predicate_free(&c->pred[i]);
    c->n_pred = 0;
}

static void forget_list(model_cursor *c) {
    ranking_clear(&c->order);
    bitmap_clear(&c->allowed);
    memset(&c->order, 0, sizeof c->order);
    memset(&c->allowed, 0, sizeof c->allowed);
}

static void forget_asker(model_cursor *c) {
    sq_users_close(c->stream);
    c->stream = NULL;
    sq_block_clear(&c->block);
    bitmap_clear(&c->common);
    bitmap_clear(&c->given);
    c->is_blockwise = c->has_more = false;
    sq_profile_clear(&c->profile);
    sq_scores_clear(&c->scores);
    sq_cell_free(&c->user);
    sq_cell_free(&c->history);
    sq_cell_free(&c->query);
    c->has_user = c->has_history = c->has_query = c->has_key = c->is_scored = false;
}

int vt_model_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
    model_cursor *c = rec_zeros(1, sizeof *c);
    (void)vtab;
    if (!c) return SQLITE_NOMEM;
    c->is_eof = true;
    *out = &c->base;
    return SQLITE_OK;
}

int vt_model_close(sqlite3_vtab_cursor *cur) {
    model_cursor *c = (model_cursor *)cur;
    forget_list(c);
    forget_asker(c);
    forget_question(c);
    sq_view_close(c->view);
    rec_free(c);
    return SQLITE_OK;
}

/* ---- the question ------------------------------------------------------------------------------------------- */

typedef struct
    question { /* as xFilter gets it, before it is compared with what the cursor holds */
    sqlite3_value *user, *history, *query;
    bool has_user, has_history, has_query;
} question;

static const vt_model_table *table_of(const model_cursor *c) {
    return (const vt_model_table *)c->base.pVtab;
}

static rec_status read_k(model_cursor *c, sqlite3_value *v, rec_err *err) {
    if (sqlite3_value_type(v) == SQLITE_NULL) return REC_OK;
    int type = sqlite3_value_numeric_type(v);
    double x = sqlite3_value_double(v);
    bool is_number = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
    if (!is_number || x < 0 || x != floor(x)) {
        const char *text = (const char *)sqlite3_value_text(v);
        return rec_fail(err, REC_RANGE,
                        "rec_model(%s): k is %.40s, expected a whole number from 0",
                        table_of(c)->table.name, text ? text : "NULL");
    }
    c->k = x < SQ_MAX_K ? (int64_t)x : (int64_t)SQ_MAX_K;
    return REC_OK;
}

static rec_status refuse_blob(const model_cursor *c, const char *column,
                              sqlite3_value *v, rec_err *err) {
    if (sqlite3_value_type(v) != SQLITE_BLOB) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "rec_model(%s): %s is a BLOB, keys are INTEGER or TEXT",
                    table_of(c)->table.name, column);
}

static bool set_has_blob(const predicate *p) {
    for (size_t i = 0; i < p->n_set; i++)
        if (p->set[i].type == CELL_BLOB) return true;
    return false;
}

/* rank < n and rank <= n only end the list early; SQLite compares again. */
static void bound_rank(model_cursor *c, char op, sqlite3_value *v) {
    double x = sqlite3_value_double(v);
    int type = sqlite3_value_numeric_type(v);
    if ((type != SQLITE_INTEGER && type != SQLITE_FLOAT) || x > 9e15) return;
    int64_t most = x < 0 ? 0 : (int64_t)floor(x);
    (void)op; /* one more than needed for < */
    if (c->max_rank < 0 || most < c->max_rank) c->max_rank = most;
}

static rec_status read_condition(model_cursor *c, const plan_item *item,
                                 sqlite3_value *v, rec_err *err) {
    const vt_model_table *t = table_of(c);
    static const char affinity[] = {0, 0, 'r', 'i', 'i', 't'};
    char a = item->column == MODEL_USER   ? t->user_affinity
             : item->column == MODEL_ITEM ? t->item_affinity
                                          : affinity[item->column];
    if (item->column == MODEL_RANK) {
        bound_rank(c, item->op, v);
        return REC_OK;
    }
    rec_status s = REC_OK;
    if (item->column == MODEL_ITEM && item->op == '=')
        s = refuse_blob(c, "item", v, err);
    predicate *p = &c->pred[c->n_pred];
    if (s == REC_OK) s = plan_predicate(item, v, a, p, err);
    if (s != REC_OK) return s;
    c->n_pred++;
    if (item->column == MODEL_ITEM && set_has_blob(p))
        s = rec_fail(err, REC_RANGE,
                     "rec_model(%s): item is a BLOB, keys are INTEGER or TEXT",
                     t->table.name);
    return s;
}

static rec_status read_question(model_cursor *c, const char *idx_str,
                                sqlite3_value **argv, question *q, rec_err *err) {
    plan_item item[PLAN_MAX_ITEMS];
    size_t n;
    c->k = c->max_rank = -1;
    rec_status s = plan_read(idx_str, item, &n, err);
    for (size_t i = 0; i < n && s == REC_OK; i++) {
        bool is_eq = item[i].op == '=';
        if (item[i].column == MODEL_K) {
            s = read_k(c, argv[i], err);
        } else if (item[i].column == MODEL_USER && is_eq) {
            q->user = argv[i];
            q->has_user = true;
            s = refuse_blob(c, "user", argv[i], err);
        } else if (item[i].column == MODEL_HISTORY) {
            q->history = argv[i];
            q->has_history = true;
        } else if (item[i].column == MODEL_QUERY) {
            q->query = argv[i];
            q->has_query = true;
        } else {
            s = read_condition(c, &item[i], argv[i], err);
        }
    }
    return s;
}

static rec_status copy_value(sqlite3_value *v, cell *out, rec_err *err) {
    cell given = v ? sq_cell(v) : (cell){.type = CELL_NULL};
    return sq_cell_copy(&given, out, err);
}

static rec_status need_text(const model_cursor *c, const char *column, const cell *v,
                            rec_err *err) {
    if (v->type == CELL_NULL || v->type == CELL_TEXT) return REC_OK;
    return rec_fail(err, REC_RANGE, "rec_model(%s): %s must be text, found a %s",
                    table_of(c)->table.name, column,
                    v->type == CELL_BLOB ? "BLOB" : "number");
}

static bool same_cell(const cell *held, sqlite3_value *v) {
    cell given = v ? sq_cell(v) : (cell){.type = CELL_NULL};
    return held->type == given.type && cell_compare(held, &given) == 0;
}

/* I4: is this the asker whose scores the cursor holds? */
static bool is_same_asker(const model_cursor *c, const question *q) {
    return c->is_scored && !c->stream && c->has_user == q->has_user &&
           c->has_history == q->has_history && c->has_query == q->has_query &&
           same_cell(&c->user, q->user) && same_cell(&c->history, q->history) &&
           same_cell(&c->query, q->query);
}

static rec_status keep_question(model_cursor *c, const question *q, rec_err *err) {
    rec_status s = copy_value(q->user, &c->user, err);
    if (s == REC_OK) s = copy_value(q->history, &c->history, err);
    if (s == REC_OK) s = copy_value(q->query, &c->query, err);
    c->has_user = q->has_user;
    c->has_history = q->has_history;
    c->has_query = q->has_query;
    if (s == REC_OK) s = need_text(c, "history", &c->history, err);
    if (s == REC_OK) s = need_text(c, "query", &c->query, err);
    return s;
}

/* ---- one asker ------------------------------------------------------------------------------------------------- */

static void fill_who(const model_cursor *c, sq_who *who) {
    memset(who, 0, sizeof *who);
    who->user = c->has_key ? &c->key : NULL;
    if (c->history.type == CELL_TEXT) {
        who->history = c->history.p;
        who->n_history = c->history.nbyte;
    }
    if (c->query.type == CELL_TEXT && c->query.nbyte) {
        who->query = c->query.p;
        who->n_query = c->query.nbyte;
    }
}

static bool item_passes(const model_cursor *c, const predicate *p, uint32_t item) {
    rec_key key = catalog_key(c->view->items, item);
    cell value = sq_key_cell(&key);
    return predicate_match(p, &value);
}

static bool passes(const model_cursor *c, uint32_t item) {
    for (size_t i = 0; i < c->n_pred; i++) {
        const predicate *p = &c->pred[i];
        cell value;
        switch (p->column) {
        case MODEL_ITEM:
            if (!item_passes(c, p, item)) return false;
            continue;
        case MODEL_SCORE: value = cell_real((double)c->scores.score[item]); break;
        case MODEL_SOURCE:
            value = cell_str(score_source_name((score_source)c->scores.source[item]));
            break;
        default: continue; /* the user and what was seen were compared already */
        }
        if (!predicate_match(p, &value)) return false;
    }
    return true;
}

static bool user_passes(const model_cursor *c) {
    cell value = c->has_key ? sq_key_cell(&c->key) : (cell){.type = CELL_NULL};
    for (size_t i = 0; i < c->n_pred; i++)
        if (c->pred[i].column == MODEL_USER && !predicate_match(&c->pred[i], &value))
            return false;
    return true;
}

/* Of one asker; -1: all. */
static int64_t rows_wanted(const model_cursor *c) {
    bool is_less = c->max_rank >= 0 && (c->k < 0 || c->max_rank < c->k);
    return is_less ? c->max_rank : c->k;
}

/* seen has two values: ask of each once, then 64 items at a time. */
static void apply_seen(const predicate *p, const bitmap *seen_items, bitmap *allowed) {
    const cell no = cell_int(0), yes = cell_int(1);
    uint64_t unseen = predicate_match(p, &no) ? UINT64_MAX : 0;
    uint64_t seen = predicate_match(p, &yes) ? UINT64_MAX : 0;
    for (size_t w = 0; w < (allowed->n_bit + 63) / 64; w++) {
        uint64_t s = w * 64 < seen_items->n_bit ? seen_items->word[w] : 0;
        allowed->word[w] &= (s & seen) | (~s & unseen);
    }
}

/* Allowed items that pass, in the order of their scores. */
static rec_status list_items(model_cursor *c, rec_err *err) {
    forget_list(c);
    c->rank = 0;
    rec_status s = sq_allowed(c->view, &c->profile, false, &c->allowed, err);
    if (s != REC_OK) return s;
    bool has_others = false;
    for (size_t i = 0; i < c->n_pred; i++) {
        if (c->pred[i].column == MODEL_SEEN)
            apply_seen(&c->pred[i], &c->profile.seen, &c->allowed);
        else
            has_others |= c->pred[i].column != MODEL_USER;
    }
    for (uint32_t i = 0; has_others && i < c->allowed.n_bit; i++)
        if (bitmap_has(&c->allowed, i) && !passes(c, i)) bitmap_unset(&c->allowed, i);
    for (size_t w = 0; w < (c->given.n_bit + 63) / 64; w++)
        c->allowed.word[w] &= ~c->given.word[w];
    return sq_rank(c->view, &c->scores, &c->allowed, rows_wanted(c), &c->order, err);
}

static rec_status read_asker(model_cursor *c, rec_err *err) {
    sq_who who;
    rec_status s = REC_OK;
    if (c->has_user) {
        c->has_key =
            sq_key(&c->user, c->view->user_affinity, c->key_buf, &c->key, &s, err);
        if (s != REC_OK) return s;
    }
    fill_who(c, &who);
    s = sq_profile_read(c->view, &who, &c->profile, err);
    return s;
}

static rec_status score_one(model_cursor *c, rec_err *err) {
    rec_status s = sq_score(c->view, &c->profile, &c->run, &c->scores, err);
    c->is_scored = s == REC_OK;
    return s;
}

/* ---- all users ---------------------------------------------------------------------------------------------------- */

/* The view whose interactions say which users there are. */
static const sq_view *users_of(const sq_view *v) {
    if (v->cfg.interactions) return v;
    for (size_t m = 0; m < v->n_member; m++) {
        const sq_view *found = users_of(v->member[m].view);
        if (found) return found;
    }
    return NULL;
}

static rec_status open_users(model_cursor *c, rec_err *err) {
    const sq_view *v = users_of(c->view);
    if (!v) return REC_OK; /* no interactions, no users, no rows */
    sq_keys keys = {v->user_affinity, v->item_affinity, v->items};
    sq_frame frame = {0};
    rec_status s = sq_enter(v->conn, &frame, v->schema, v->name, err);
    if (s == REC_OK)
        s = sq_users_open(v->conn, v->schema, &v->cfg, &keys, &c->stream, err);
    sq_leave(v->conn, &frame);
    return s;
}

/* The next user's rows are the profile of a plain model; a hybrid asks each member itself. */
static rec_status next_profile(model_cursor *c, const rec_key **user, rec_err *err) {
    const sq_view *v = users_of(c->view);
    sq_interactions rows = {0};
    bitmap seen = {0};
    sq_who who = {0};
    rec_status s = bitmap_init(&seen, sq_view_n_items(v), false, err);
    sq_profile_clear(&c->profile);
    if (s == REC_OK) s = sq_users_next(c->stream, user, &rows, &seen, err);
    who.user = *user;
    if (s == REC_OK && *user && c->view->n_member) {
        s = sq_profile_read(c->view, &who, &c->profile, err);
    } else if (s == REC_OK && *user) {
        c->profile = (sq_profile){
            .who = who, .row = rows.row, .n = rows.n, .cap = rows.cap, .seen = seen};
        memset(&rows, 0, sizeof rows);
        memset(&seen, 0, sizeof seen);
        s = sq_wishes_read(c->view, *user, &c->profile.wishes, err);
        if (s == REC_OK) s = sq_profile_finish(c->view, &c->profile, err);
    }
    sq_interactions_clear(&rows);
    bitmap_clear(&seen);
    return s;
}

/* ---- all users, by the block -------------------------------------------------------------------------------------- */

#define BLOCK_FIRST_USERS 8
#define BLOCK_GROWTH      4
#define BLOCK_MIN_USERS   8
#define BLOCK_MAX_USERS   512
#define BLOCK_MAX_ROWS    4096               /* of one user */
#define BLOCK_BYTES       ((size_t)48 << 20) /* that the users of a block may take, about */

/* Conditions on scores must be known before the ranking, unless it is the low ones that they refuse: SQLite
 * does that. */
static bool wants_all_scores(const predicate *p) {
    if (p->column == MODEL_SCORE) return p->op != PRED_GT && p->op != PRED_GE;
    return p->column == MODEL_SOURCE;
}

/* What anybody may be shown, and how many rows of it: -1 if the users are not to be taken by the block. */
static rec_status find_common(model_cursor *c, int64_t *most, rec_err *err) {
    const sq_profile nobody = {0};
    bool is_possible = true;
    *most = -1;
    for (size_t i = 0; i < c->n_pred; i++)
        if (wants_all_scores(&c->pred[i])) is_possible = false;
    if (!is_possible) return REC_OK;
    rec_status s = sq_rules_personal(c->view, &c->is_personal, err);
    if (s == REC_OK && c->is_personal)
        s = bitmap_init(&c->common, catalog_n_items(c->view->items), true, err);
    else if (s == REC_OK)
        s = sq_allowed(c->view, &nobody, false, &c->common, err);
    for (size_t i = 0; i < c->n_pred; i++)
        for (uint32_t item = 0;
             c->pred[i].column == MODEL_ITEM && item < c->common.n_bit; item++)
            if (bitmap_has(&c->common, item) && !item_passes(c, &c->pred[i], item))
                bitmap_unset(&c->common, item);
    if (s != REC_OK) return s;
    int64_t n = (int64_t)bitmap_count(&c->common), wanted = rows_wanted(c);
    if (wanted < 0 || wanted > n) wanted = n;
    if (wanted <= BLOCK_MAX_ROWS) *most = wanted;
    return REC_OK;
}

static rec_status start_stream(model_cursor *c, rec_err *err) {
    int64_t most = -1;
    rec_status s = open_users(c, err);
    if (s == REC_OK && c->stream) s = find_common(c, &most, err);
    if (s != REC_OK || most < 0) return s;
    c->is_blockwise = true;
    c->block_size = BLOCK_FIRST_USERS;
    return sq_block_init(&c->block, c->view, (size_t)most, err);
}

/* The profile of the cursor becomes a user of the block. */
static rec_status add_user(model_cursor *c, rec_err *err) {
    sq_block_user *u;
    rec_status s = sq_block_add(&c->block, &c->key, &u, err);
    if (s == REC_OK && c->is_personal)
        s = sq_allowed(c->view, &c->profile, false, &u->allowed, err);
    else if (s == REC_OK)
        s = bitmap_init(&u->allowed, c->common.n_bit, true, err);
    if (s != REC_OK) return s;
    for (size_t w = 0; w < (c->common.n_bit + 63) / 64; w++)
        u->allowed.word[w] &= c->common.word[w];
    for (size_t i = 0; i < c->n_pred; i++)
        if (c->pred[i].column == MODEL_SEEN)
            apply_seen(&c->pred[i], &c->profile.seen, &u->allowed);
    u->profile = c->profile; /* taken */
    u->profile.who.user = NULL;
    memset(&c->profile, 0, sizeof c->profile);
    return REC_OK;
}

static rec_status fill_block(model_cursor *c, rec_err *err) {
    rec_status s = REC_OK;
    sq_block_empty(&c->block);
    c->at_user = 0;
    while (s == REC_OK && c->block.n < c->block_size) {
        const rec_key *user = NULL;
        s = next_profile(c, &user, err);
        if (s == REC_OK) s = run_check(&c->run, err);
        if (s != REC_OK || !user) break;
        c->key = *user;
        c->has_key = true;
        if (user_passes(c)) s = add_user(c, err);
    }
    size_t each = c->common.n_bit / 2 + c->block.k * sizeof(topk_entry) + 4096;
    size_t most = BLOCK_BYTES / each;
    if (most < BLOCK_MIN_USERS) most = BLOCK_MIN_USERS;
    if (most > BLOCK_MAX_USERS) most = BLOCK_MAX_USERS;
    c->block_size *= BLOCK_GROWTH;
    if (c->block_size > most) c->block_size = most;
    return s == REC_OK && c->block.n ? sq_block_score(&c->block, &c->run, err) : s;
}

/* One asker in a large catalogue: the rows that are likely to be pulled, by the index. The others, if they are, follow
 * by scoring everything; an item that the index missed comes then. */
#define INDEX_ROWS 64

static bool can_use_index(const model_cursor *c) {
    if (!sq_block_has_index(c->view, INDEX_ROWS)) return false;
    for (size_t i = 0; i < c->n_pred; i++)
        if (c->pred[i].column == MODEL_ITEM || wants_all_scores(&c->pred[i]))
            return false;
    return true;
}

static rec_status list_by_index(model_cursor *c, rec_err *err) {
    int64_t most = rows_wanted(c);
    c->is_blockwise = c->is_personal = true;
    c->has_more = !sq_block_has_index(c->view, most);
    if (c->has_more) most = INDEX_ROWS;
    rec_status s = bitmap_init(&c->common, catalog_n_items(c->view->items), true, err);
    if (s == REC_OK) s = sq_block_init(&c->block, c->view, (size_t)most, err);
    if (s == REC_OK) s = add_user(c, err);
    return s == REC_OK ? sq_block_score(&c->block, &c->run, err) : s;
}

/* All the rows that the block did not have; rank goes on. */
static rec_status list_others(model_cursor *c, rec_err *err) {
    sq_block_user *u = &c->block.user[0];
    int64_t rank = c->rank;
    rec_status s = bitmap_init(&c->given, c->common.n_bit, false, err);
    for (size_t i = 0; s == REC_OK && i < u->found.n; i++)
        bitmap_set(&c->given, c->view->tie_item[u->found.a[i].id]);
    c->profile = u->profile; /* taken back */
    memset(&u->profile, 0, sizeof u->profile);
    c->profile.who.user = c->has_key ? &u->key : NULL;
    c->is_blockwise = c->has_more = false;
    if (s == REC_OK) s = sq_score(c->view, &c->profile, &c->run, &c->scores, err);
    if (s == REC_OK) s = list_items(c, err);
    bitmap_clear(&c->given);
    c->rank = rank;
    return s;
}

static const sq_block_user *shown_user(const model_cursor *c) {
    return c->at_user < c->block.n ? &c->block.user[c->at_user] : NULL;
}

static rec_status next_row(model_cursor *c, rec_err *err);

static rec_status next_of_block(model_cursor *c, rec_err *err) {
    for (;;) {
        const sq_block_user *u = shown_user(c);
        if (!u) {
            rec_status s = c->stream ? fill_block(c, err) : REC_OK;
            if (!c->stream) sq_block_empty(&c->block);
            c->rank = 0;
            c->is_eof = s != REC_OK || c->block.n == 0;
            if (c->is_eof) return s;
        } else if ((size_t)c->rank == u->found.n && c->has_more) {
            rec_status s = list_others(c, err);
            return s == REC_OK ? next_row(c, err) : s;
        } else if ((size_t)c->rank == u->found.n) {
            c->at_user++;
            c->rank = 0;
        } else {
            const topk_entry *e = &u->found.a[c->rank++];
            c->item = c->view->tie_item[e->id];
            c->score = -e->value;
            c->key = u->key;
            c->rowid++;
            return REC_OK;
        }
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

/* On to the next user who passes; *more false at the end. */
static rec_status next_user(model_cursor *c, bool *more, rec_err *err) {
    *more = false;
    for (;;) {
        const rec_key *user = NULL;
        rec_status s = c->stream ? next_profile(c, &user, err) : REC_OK;
        if (s == REC_OK) s = run_check(&c->run, err);
        if (s != REC_OK || !user) return s;
        c->key = *user;
        c->has_key = true;
        if (!user_passes(c)) continue;
        sq_scores_clear(&c->scores);
        s = sq_score(c->view, &c->profile, &c->run, &c->scores, err);
        if (s == REC_OK) s = list_items(c, err);
        *more = s == REC_OK;
        return s;
    }
}

static rec_status next_row(model_cursor *c, rec_err *err) {
    if (c->is_blockwise) return next_of_block(c, err);
    for (;;) {
        int64_t most = rows_wanted(c);
        bool is_full = most >= 0 && c->rank >= most;
        if (!is_full && sq_rank_next(c->view, &c->order, &c->item, &c->score)) {
            c->rank++;
            c->rowid++;
            return REC_OK;
        }
        bool more = false;
        rec_status s = c->stream ? next_user(c, &more, err) : REC_OK;
        c->is_eof = !more;
        if (s != REC_OK || !more) return s;
    }
}

/* ---- cursor methods -------------------------------------------------------------------------------------------------- */

static rec_status hold_view(model_cursor *c, rec_err *err) {
    const vt_model_table *t = table_of(c);
    const sq_view *before = c->view;
    char *name = sqlite3_mprintf("\"%w\".\"%w\"", t->table.schema, t->table.name);
    rec_status s = name ? sq_view_hold(t->conn, name, &c->view, err) : rec_nomem(err);
    sqlite3_free(name);
    if (s != REC_OK || before != c->view) forget_asker(c);
    return s == REC_OK ? sq_view_require_trained(c->view, err) : s;
}

static rec_status answer(model_cursor *c, const question *q, rec_err *err) {
    rec_status s = REC_OK;
    bool is_one = q->has_user || q->has_history || q->has_query;
    if (is_one && is_same_asker(c, q)) return list_items(c, err);
    forget_asker(c);
    s = keep_question(c, q, err);
    if (s != REC_OK) return s;
    if (!is_one) return start_stream(c, err);
    if (c->has_user && c->user.type == CELL_NULL) { /* user = NULL holds for nobody */
        c->is_none = true;
        return REC_OK;
    }
    s = read_asker(c, err);
    if (s == REC_OK && !user_passes(c)) c->is_none = true;
    if (s != REC_OK || c->is_none) return s;
    if (can_use_index(c)) return list_by_index(c, err);
    s = score_one(c, err);
    return s == REC_OK ? list_items(c, err) : s;
}

int vt_model_filter(sqlite3_vtab_cursor *cur, int idx_num, const char *idx_str,
                    int argc, sqlite3_value **argv) {
    model_cursor *c = (model_cursor *)cur;
    question q = {0};
    rec_err err = {0};
    (void)idx_num;
    (void)argc;
    forget_question(c);
    forget_list(c);
    c->is_none = false;
    c->is_eof = false;
    c->rowid = c->rank = 0;
    sq_run_init(table_of(c)->conn, &c->run, false);
    rec_status s = hold_view(c, &err);
    if (s == REC_OK) s = read_question(c, idx_str, argv, &q, &err);
    if (s == REC_OK) s = answer(c, &q, &err);
    if (s == REC_OK && c->is_none)
        c->is_eof = true;
    else if (s == REC_OK)
        s = next_row(c, &err);
    if (s == REC_OK) return SQLITE_OK;
    c->is_eof = true;
    return sq_vtab_error(cur->pVtab, &err);
}

int vt_model_next(sqlite3_vtab_cursor *cur) {
    rec_err err = {0};
    if (next_row((model_cursor *)cur, &err) == REC_OK) return SQLITE_OK;
    ((model_cursor *)cur)->is_eof = true;
    return sq_vtab_error(cur->pVtab, &err);
}

int vt_model_eof(sqlite3_vtab_cursor *cur) {
    return ((model_cursor *)cur)->is_eof;
}

static const bitmap *seen_items(const model_cursor *c) {
    return c->is_blockwise ? &shown_user(c)->profile.seen : &c->profile.seen;
}

static score_source source_of(const model_cursor *c) {
    return (score_source)(c->is_blockwise ? shown_user(c)->source[c->rank - 1]
                                          : c->scores.source[c->item]);
}

int vt_model_column(sqlite3_vtab_cursor *cur, sqlite3_context *ctx, int column) {
    const model_cursor *c = (const model_cursor *)cur;
    rec_key item = catalog_key(c->view->items, c->item);
    cell value = {.type = CELL_NULL};
    switch (column) {
    case MODEL_USER:
        if (c->has_key) value = sq_key_cell(&c->key);
        break;
    case MODEL_ITEM: value = sq_key_cell(&item); break;
    case MODEL_SCORE: value = cell_real((double)c->score); break;
    case MODEL_RANK: value = cell_int(c->rank); break;
    case MODEL_SEEN: value = cell_int(bitmap_has(seen_items(c), c->item)); break;
    case MODEL_SOURCE: value = cell_str(score_source_name(source_of(c))); break;
    case MODEL_HISTORY: value = c->history; break;
    case MODEL_QUERY: value = c->query; break;
    case MODEL_K:
        if (c->k >= 0) value = cell_int(c->k);
        break;
    default: break;
    }
    sq_result_cell(ctx, &value);
    return SQLITE_OK;
}

int vt_model_rowid(sqlite3_vtab_cursor *cur, sqlite3_int64 *out) {
    *out = ((model_cursor *)cur)->rowid;
    return SQLITE_OK;
}
