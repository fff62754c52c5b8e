/* cost.c - the memory that a training is sure to need, before it starts.
 *
 *     bytes = a n  +  b users  +  c items  +  width (d users + e items)         a row of costs[]
 *
 * n interactions, width the option that says how many numbers an item has. The interactions
 * themselves, 20 bytes each, lie in memory already and are not counted. A host that would run
 * out of memory after an hour hears of it at once, with the number; so these are lower bounds:
 * what a training can do with is never refused. What cannot be known before (how many pairs of
 * items occur) is left out.
 *
 * Invariants
 *   I1  Finite and >= 0; no more than the training takes.
 */
#include "model.h"

typedef struct cost {
    const rec_model_ops *ops;
    double row, user, item;        /* bytes of each */
    const char *width;             /* option; NULL: none */
    double user_width, item_width; /* bytes of a user, of an item, times width */
} cost;

// clang-format off
static const cost costs[] = {
    {&als_ops,       12, 20, 20, "factors",    4,  4},
    {&graph_ops,      8,  8,  8, "factors",    4,  4},
    {&itemknn_ops,   16, 12, 16, NULL,         0,  0},
    {&ease_ops,      16, 12, 24, NULL,         0,  0},
    {&bpr_ops,        4,  8,  8, "factors",    4,  4},
    {&lightgcn_ops,   4,  8,  8, "factors",    0, 12},
    {&two_tower_ops,  4,  8,  8, "factors",    0, 12},
    {&sequence_ops,   4, 12,  0, "factors",    0, 20},
};
// clang-format on

double model_fit_bytes(const rec_model_ops *ops, const model_fit_args *a) {
    const dataset *d = a->data;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        const cost *c = &costs[i];
        if (c->ops != ops) continue;
        double width = c->width ? opt_num(a->options, c->width) : 0;
        return c->row * (double)d->n + c->user * d->n_users + c->item * d->n_items +
               width * (c->user_width * d->n_users + c->item_width * d->n_items);
    }
    return 0;
}
