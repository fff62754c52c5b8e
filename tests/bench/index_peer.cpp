// index_peer.cpp - the vector index's peer from C++: hnswlib, built by index.sh with -O3 -march=native.
#include "index_peer.h"

#include <hnswlib/hnswlib.h>

#include <cstdio>
#include <fstream>

namespace {
struct Peer {
    hnswlib::InnerProductSpace space;
    hnswlib::HierarchicalNSW<float> index;
    Peer(size_t dim, size_t n) : space(dim), index(&space, n, 16, 200) {}
    Peer(size_t dim, const char *path) : space(dim), index(&space, path) {}
};
} // namespace

void *peer_new(size_t dim, size_t n_row) { return new Peer(dim, n_row); }

void *peer_load(size_t dim, const char *path) {
    return std::ifstream(path).good() ? new Peer(dim, path) : nullptr;
}

void peer_save(void *peer, const char *path) { ((Peer *)peer)->index.saveIndex(path); }

void peer_add(void *peer, const float *v, size_t row) { ((Peer *)peer)->index.addPoint(v, row); }

size_t peer_ask(void *peer, const float *query, size_t k, size_t ef, int64_t *row) {
    auto &index = ((Peer *)peer)->index;
    index.setEf(ef);
    auto found = index.searchKnn(query, k);
    size_t n = 0;
    for (; !found.empty(); found.pop()) row[n++] = (int64_t)found.top().second;
    return n;
}

void peer_free(void *peer) { delete (Peer *)peer; }
