#pragma once

#include <cstdint>
#include <vector>

#include "cpu/abreast.h"
#include "cpu/block.h"
#include "cpu/forest.h"

namespace mlcore::cpu {

// A forest ready for a few rows at a time: nothing is laid out, allocated or shared out among threads for a call.
struct Rows {
  Rows(Forest given, std::vector<EdgeTable> tables, std::vector<double> margins);

  Forest forest;                 // its trees are complete or deep
  std::vector<EdgeTable> edges;  // of each column; all of one type, float or double
  std::vector<double> base;      // of each output
  // Of each group of planes: how many thresholds are at or below each code.
  std::vector<std::vector<uint32_t>> reached;
  LeafNumbers find_abreast;  // null where no trees are
  Abreast abreast;
  std::vector<int32_t> order;  // of the other trees, those of one shape and height together
  bool asks_planes;            // some of these
  int64_t most;                // rows that are sooner done than a block is laid out
};

// Margins of rows of contiguous values, x[row * columns + column], float or double as `rows.edges` are, in the forest's
// own type: out[row * outputs + output], written over.
void margins(const Rows& rows, const void* x, int64_t n, void* out);

}  // namespace mlcore::cpu
