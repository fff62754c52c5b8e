/* sq_fit.c - what every fitting needs, whether the model is stored or lives in memory only.
 *
 *   definition --> does it read texts?          dataset --> is there memory for it?
 *                                                       --> the fallback, beside the model itself
 *
 * Invariants
 *   I1  nothing here touches the database.
 */
#include "sq.h"

#include <math.h>
#include <unistd.h>

bool sq_wants_text(const sq_model_cfg *cfg) {
    embed_spec spec;
    sq_embed_spec(cfg, &spec);
    if (sq_features(cfg)) return true;
    return (cfg->ops->needs & (MODEL_NEEDS_TEXT | MODEL_READS_TEXT)) &&
           (cfg->n_text || cfg->n_facet || spec.n_column);
}

/* The mean of the ratings that are not below the mean. */
double sq_typical_liking(const dataset *d) {
    double sum = 0, high = 0;
    size_t n_high = 0;
    for (size_t i = 0; i < d->n; i++) sum += (double)d->value[i];
    double mean = d->n ? sum / (double)d->n : 1;
    for (size_t i = 0; i < d->n; i++)
        if ((double)d->value[i] >= mean) high += (double)d->value[i], n_high++;
    return n_high ? high / (double)n_high : mean;
}

rec_status sq_fit_popularity(const dataset *d, uint64_t seed, rec_run *run,
                             rec_model **out, rec_err *err) {
    model_options options;
    options_init(&options, popularity_ops.options, popularity_ops.n_options);
    model_fit_args args = {.data = d, .options = &options, .seed = seed, .run = run};
    rec_status s = popularity_ops.fit(&args, out, err);
    options_clear(&options);
    return s;
}

/* What this process may still take: the heap limit that the host has set, the machine's memory. */
static double bytes_left(const char **whose) {
    double most = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double limit = (double)sqlite3_hard_heap_limit64(-1),
           left = limit - (double)sqlite3_memory_used();
    *whose = "this machine has";
    if (limit > 0 && (left < most || !(most > 0))) {
        *whose = "PRAGMA hard_heap_limit leaves";
        return left > 0 ? left : 0;
    }
    return most > 0 ? most : INFINITY;
}

rec_status sq_fit_room(const char *name, const rec_model_ops *ops,
                       const model_fit_args *a, rec_err *err) {
    const char *whose;
    double need = model_fit_bytes(ops, a), left = bytes_left(&whose);
    if (need <= left) return REC_OK;
    return rec_fail(err, REC_RANGE,
                    "%s: training needs at least %.1f MB for %zu interactions of %u "
                    "users with %u items, %s %.1f MB; nothing was started",
                    name, need / 1e6, a->data->n, a->data->n_users, a->data->n_items,
                    whose, left / 1e6);
}
