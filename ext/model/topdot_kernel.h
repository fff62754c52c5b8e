/* topdot_kernel.h - the inner loop of topdot.c for one instruction set; topdot.c includes it once for each.
 *
 * Set before inclusion: TD(name) makes a name, TD_ATTR the target attribute, TD_V a vector of TD_W floats,
 * TD_MR rows x TD_NV vectors the tile held in registers.
 *
 *     panel    dim x TOPDOT_LANES    vector l stands in column l
 *     tile     TD_MR rows of the matrix times TD_W * TD_NV columns of the panel: the rows are read as they lie,
 *              one number at a time; nothing is packed
 *
 * The products never reach memory unless one of a tile is large enough.
 */

#define TD_NR (TD_W * TD_NV)

/* TD_MR rows times the columns from lane0 on. All of acc stays in registers as long as every loop over it is
 * unrolled and nobody takes its address. */
TD_ATTR static inline __attribute__((always_inline)) void
TD(tile)(const topdot_strip *s, size_t r, size_t lane0, TD_V acc[TD_MR][TD_NV]) {
    const float *row[TD_MR], *column = s->panel + lane0;
#pragma GCC unroll 16
    for (size_t i = 0; i < TD_MR; i++) {
        row[i] = s->row + (r + i < s->n_rows ? r + i : s->n_rows - 1) * s->dim;
#pragma GCC unroll 4
        for (int v = 0; v < TD_NV; v++) acc[i][v] = (TD_V){0};
    }
    for (size_t k = 0; k < s->dim; k++, column += TOPDOT_LANES) {
        TD_V b[TD_NV];
#pragma GCC unroll 4
        for (int v = 0; v < TD_NV; v++) memcpy(&b[v], column + v * TD_W, sizeof b[v]);
#pragma GCC unroll 16
        for (int i = 0; i < TD_MR; i++)
#pragma GCC unroll 4
            for (int v = 0; v < TD_NV; v++) acc[i][v] += row[i][k] * b[v];
    }
}

/* Row r of the matrix times column l, / length[r] + bias[r]: is it, as far as this sum can tell, at least limit[l]? Pairs
 * that are go to `out`; a product that is no number is one of them. Returns their count, at most n_rows * TD_NR.
 */
TD_ATTR static size_t TD(strip)(const topdot_strip *s, size_t lane0, topdot_hit *out) {
    size_t n = 0;
    TD_V limit[TD_NV];
    memcpy(limit, s->limit + lane0, sizeof limit);
    for (size_t r = 0; r < s->n_rows; r += TD_MR) {
        TD_V acc[TD_MR][TD_NV];
        float product[TD_MR][TD_NR];
        __typeof__(limit[0] < limit[0]) all_less = limit[0] == limit[0];
        TD(tile)(s, r, lane0, acc);
#pragma GCC unroll 16
        for (size_t i = 0; i < TD_MR; i++) {
            float bias = s->bias && r + i < s->n_rows ? s->bias[r + i] : 0, unit = 1;
            if (s->length && r + i < s->n_rows)
                unit = s->length[r + i] > 0 ? 1 / s->length[r + i] : 0;
#pragma GCC unroll 4
            for (int v = 0; v < TD_NV; v++) {
                TD_V x = acc[i][v] * unit + bias;
                all_less &= x < limit[v];
                memcpy(&product[i][v * TD_W], &x, sizeof x);
            }
        }
        uint64_t less[sizeof all_less / 8], both = UINT64_MAX;
        memcpy(less, &all_less, sizeof less);
        for (size_t i = 0; i < sizeof less / sizeof less[0]; i++) both &= less[i];
        if (both == UINT64_MAX) continue;
        for (size_t i = 0; i < TD_MR && r + i < s->n_rows; i++)
            for (size_t l = 0; l < TD_NR; l++)
                if (!(product[i][l] < s->limit[lane0 + l]))
                    out[n++] = (topdot_hit){(uint16_t)(r + i), (uint16_t)(lane0 + l)};
    }
    return n;
}

TD_ATTR static size_t TD(strips)(const topdot_strip *s, topdot_hit *out) {
    size_t n = 0;
    for (size_t lane = 0; lane < s->n_lanes; lane += TD_NR)
        n += TD(strip)(s, lane, out + n);
    return n;
}

#undef TD_NR
#undef TD
#undef TD_ATTR
#undef TD_V
#undef TD_W
#undef TD_NV
#undef TD_MR
