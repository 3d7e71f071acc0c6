#pragma once

#include <cuda_runtime.h>

#include "ops/forest.h"

namespace mlcore::cuda {

// A forest on the device. Trees are runs of nodes; tree t begins at node tree_start[t] and adds `width` values a leaf
// to the outputs from tree_output[t] on.
struct Forest {
  const ops::Node* nodes;
  const int64_t* tree_start;
  const int32_t* tree_output;
  int64_t trees;
  const void* values;  // `width` numbers a node, double or float as margins are
  bool doubles;
  int32_t width, outputs;
  const uint64_t* sets;
  int64_t set_words;
  const int32_t* n_codes;
  int32_t columns;
};

// Coded columns: device arrays of device pointers. A column has two bytes a row where n_codes > 256, else one; its
// missing words may be null.
struct Columns {
  const void* const* codes;
  const uint64_t* const* missing;
};

// Adds leaf values to the margins out[row * outputs + output]; *bad becomes 1 where a code is not below its column's
// n_codes, and that row's margins are NaN.
void forest(const Forest& forest, const Columns& columns, int64_t n, void* out, int32_t* bad, cudaStream_t stream);
// out[row * trees + tree] = the leaf's node, counted from the tree's root; -1 in a row with a bad code.
void leaves(const Forest& forest, const Columns& columns, int64_t n, int32_t* out, int32_t* bad, cudaStream_t stream);

}  // namespace mlcore::cuda
