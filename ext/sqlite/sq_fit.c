/* sq_fit.c - what every fitting needs, whether the model is stored or lives in memory only.
 *
 *   definition --> does it read texts?          dataset --> the fallback, beside the model itself
 *
 * Invariants
 *   I1  nothing here touches the database.
 */
#include "sq.h"

bool sq_wants_text(const sq_model_cfg *cfg) {
    return (cfg->ops->needs & (MODEL_NEEDS_TEXT | MODEL_READS_TEXT)) &&
           (cfg->n_text || cfg->n_facet);
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
