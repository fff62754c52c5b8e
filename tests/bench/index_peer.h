/* index_peer.h - hnswlib behind functions of C, so that one process times everybody. */
#ifndef INDEX_PEER_H
#define INDEX_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Inner product space, M=16, ef_construction=200; unit vectors: cosine. */
void *peer_new(size_t dim, size_t n_row);
void *peer_load(size_t dim, const char *path); /* NULL: no such file */
void peer_save(void *peer, const char *path);
void peer_add(void *peer, const float *v, size_t row);
/* Rows of the k nearest, farthest first; returns how many. */
size_t peer_ask(void *peer, const float *query, size_t k, size_t ef, int64_t *row);
void peer_free(void *peer);

#ifdef __cplusplus
}
#endif
#endif
