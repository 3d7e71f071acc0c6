#pragma once

#include <cstdint>
#include <vector>

#include "ops/forest.h"

namespace mlcore::cpu {

// A forest as the caller states it: predicates over codes, trees over predicates. Nothing is owned.
struct ForestSpec {
  int64_t predicates, sets, set_words, trees, nodes, columns;
  const int32_t *pred_column, *pred_code, *pred_set;
  const uint8_t* pred_missing;
  const uint64_t* set_bits;
  const int64_t* tree_start;
  const int32_t *node_pred, *node_left, *node_right;
  const float* node_value;
  const int32_t* n_codes;
  float base;
};

// A predicate that some bit-sliced tree asks; its plane has one bit a row, set where the row goes right.
struct Plane {
  int32_t code;  // threshold, or the number of the set
  bool missing;
};

// The planes of one column: thresholds first, then sets.
struct PlaneGroup {
  int32_t column;
  int64_t first, thresholds, sets;
};

constexpr int kMaxSlicedDepth = 8;

// Trees of depth <= kMaxSlicedDepth are completed (a leaf above the last level is repeated below itself) and run as a
// mux network over planes; deeper ones walk nodes.
struct Tree {
  int32_t depth;      // -1: walk
  int64_t plane_ids;  // offset of 2^depth - 1 plane numbers, in heap order
  int64_t leaves;     // offset of max(16, 2^depth) leaf values, left to right
  int64_t root;       // offset of the tree's nodes
};

struct Forest {
  float base;
  int64_t set_words;
  std::vector<int32_t> n_codes;
  std::vector<Plane> planes;
  std::vector<PlaneGroup> groups;
  std::vector<Tree> trees;
  std::vector<int32_t> plane_ids;
  std::vector<float> leaves;
  std::vector<uint8_t> leaf_bytes;  // the same leaves as four byte planes a tree, for shuffles
  std::vector<ops::Node> nodes;
  std::vector<uint64_t> sets;

  bool wide(int64_t column) const { return n_codes[column] > 256; }
};

// Checks every index and lays the forest out. Throws std::invalid_argument, naming tree and node.
Forest prepare(const ForestSpec& spec);

}  // namespace mlcore::cpu
