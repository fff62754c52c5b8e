// hnsw_peer.cpp - hnswlib on the files of hnsw_bench gen, for the same figures.
//   hnsw_peer DIR EFS [N]      g++ -O3 -march=native
#include <hnswlib/hnswlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <time.h>
#include <vector>

static const size_t K = 10;

template <class T> static std::vector<T> read_file(const std::string &path) {
    std::ifstream f(path, std::ios::binary | std::ios::ate);
    if (!f) exit((fprintf(stderr, "cannot read %s\n", path.c_str()), 1));
    std::vector<T> v((size_t)f.tellg() / sizeof(T));
    f.seekg(0);
    f.read((char *)v.data(), (std::streamsize)(v.size() * sizeof(T)));
    return v;
}

static double now() { // processor time, as in hnsw_bench.c
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    std::string dir = argc > 1 ? argv[1] : ".";
    auto head = read_file<unsigned>(dir + "/head");
    auto base = read_file<float>(dir + "/base"), query = read_file<float>(dir + "/query");
    auto truth = read_file<unsigned>(dir + "/truth");
    size_t dim = head[1], n = base.size() / dim, n_query = query.size() / dim;
    if (argc > 3) n = std::min(n, (size_t)atol(argv[3]));
    hnswlib::InnerProductSpace space(dim);
    std::string file = dir + "/hnswlib.bin"; // an index that was built before, for the queries alone
    bool is_built = std::ifstream(file).good();
    auto *made = is_built ? new hnswlib::HierarchicalNSW<float>(&space, file)
                          : new hnswlib::HierarchicalNSW<float>(&space, n, 16, 200);
    hnswlib::HierarchicalNSW<float> &index = *made;
    double t0 = now();
    for (size_t i = 0; i < n && !is_built; i++) index.addPoint(&base[i * dim], i);
    if (!is_built) {
        printf("hnswlib,build_s,%.2f,threads,1\n", now() - t0);
        index.saveIndex(file);
    }
    fflush(stdout);
    std::string efs = argc > 2 ? argv[2] : "16,24,40,80";
    for (size_t at = 0; at < efs.size(); at = efs.find(',', at) + 1) {
        index.setEf((size_t)atol(efs.c_str() + at));
        std::vector<double> qps;
        size_t n_hit = 0;
        for (int repeat = 0; repeat < 3; repeat++) {
            n_hit = 0;
            double begin = now();
            for (size_t q = 0; q < n_query; q++) {
                auto found = index.searchKnn(&query[q * dim], K);
                for (; !found.empty(); found.pop())
                    for (size_t t = 0; t < K; t++)
                        n_hit += truth[q * K + t] == found.top().second;
            }
            qps.push_back((double)n_query / (now() - begin));
        }
        std::sort(qps.begin(), qps.end());
        printf("hnswlib,ef=%ld,recall,%.4f,qps,%.0f\n", atol(efs.c_str() + at),
               (double)n_hit / (double)(n_query * K), qps[1]);
        fflush(stdout);
        if (efs.find(',', at) == std::string::npos) break;
    }
}
