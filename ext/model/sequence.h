/* sequence.h - what training (sequence_fit.c) and the trained model (sequence.c) share. */
#ifndef REC_SEQUENCE_H
#define REC_SEQUENCE_H

#include "../nn/nn.h"
#include "model.h"

typedef struct sequence {
    rec_model base;
    like_rule likes;
    mat items; /* n_items x factors: what goes in, and what the result is compared with */
    nn_encoder net;
} sequence;

/* ---- sequence.c: histories in time order ------------------------------------------------ */

typedef struct moment { /* one like */
    double time;        /* -infinity: unknown */
    uint64_t tie;       /* order of likes with equal times: a hash of the item */
    uint32_t item;
} moment;
moment moment_of(uint32_t item, double time);
void moments_sort(moment *a, size_t n); /* oldest first */

/* ---- sequence_fit.c ------------------------------------------------------------------------ */

/* Trains into m, which is all 0 but for base and likes. */
rec_status sequence_train(sequence *m, const model_fit_args *a, rec_err *err);

#endif
