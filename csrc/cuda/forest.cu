// A thread a row walks every tree, in order; leaf values are added to its margins in tree order, as on the host.
// Neighbouring threads read neighbouring codes, and nodes near the root are shared by all and stay in cache.
#include <cmath>

#include "cuda/forest.h"
#include "cuda/launch.h"

namespace mlcore::cuda {

namespace {

struct Row {
  const Forest& forest;
  const Columns& columns;
  int64_t row;

  __device__ uint32_t code(int32_t column) const {
    const void* codes = columns.codes[column];
    return forest.n_codes[column] > 256 ? static_cast<const uint16_t*>(codes)[row]
                                        : static_cast<const uint8_t*>(codes)[row];
  }

  __device__ bool missing(int32_t column) const {
    const uint64_t* words = columns.missing[column];
    return words != nullptr && ((words[row >> 6] >> (row & 63)) & 1) != 0;
  }

  // Sets are looked up by code, so a code past the end must be found before any tree is walked.
  __device__ bool holds() const {
    for (int32_t c = 0; c < forest.columns; ++c)
      if (code(c) >= static_cast<uint32_t>(forest.n_codes[c])) return false;
    return true;
  }

  __device__ int32_t leaf(int64_t tree) const {
    return ops::leaf_one(
        forest.nodes + forest.tree_start[tree], forest.sets, forest.set_words, [this](int32_t c) { return code(c); },
        [this](int32_t c) { return missing(c); });
  }
};

template <typename Sum>
__global__ void sum_rows(Forest forest, Columns columns, int64_t n, Sum* out, int32_t* bad) {
  const int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= n) return;
  const Row row{forest, columns, at};
  Sum* sums = out + at * forest.outputs;
  if (!row.holds()) {
    *bad = 1;
    for (int32_t k = 0; k < forest.outputs; ++k) sums[k] = NAN;
    return;
  }
  for (int64_t t = 0; t < forest.trees; ++t) {
    const int64_t leaf = forest.tree_start[t] + row.leaf(t);
    const Sum* values = static_cast<const Sum*>(forest.values) + leaf * forest.width;
    for (int32_t j = 0; j < forest.width; ++j) sums[forest.tree_output[t] + j] += values[j];
  }
}

__global__ void leaf_rows(Forest forest, Columns columns, int64_t n, int32_t* out, int32_t* bad) {
  const int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (at >= n) return;
  const Row row{forest, columns, at};
  const bool holds = row.holds();
  if (!holds) *bad = 1;
  for (int64_t t = 0; t < forest.trees; ++t) out[at * forest.trees + t] = holds ? row.leaf(t) : -1;
}

}  // namespace

void forest(const Forest& forest, const Columns& columns, int64_t n, void* out, int32_t* bad, cudaStream_t stream) {
  if (n == 0) return;
  if (forest.doubles)
    launch("forest", sum_rows<double>, n, stream, forest, columns, n, static_cast<double*>(out), bad);
  else
    launch("forest", sum_rows<float>, n, stream, forest, columns, n, static_cast<float*>(out), bad);
}

void leaves(const Forest& forest, const Columns& columns, int64_t n, int32_t* out, int32_t* bad, cudaStream_t stream) {
  if (n == 0 || forest.trees == 0) return;
  launch("leaves", leaf_rows, n, stream, forest, columns, n, out, bad);
}

}  // namespace mlcore::cuda
