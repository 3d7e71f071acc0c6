#pragma once

#include <cstdint>

#include "core/hd.h"

namespace mlcore::ops {

constexpr int64_t kMostSets = int64_t{1} << 30;

// A node asks about one column's code. A leaf has column -1; children count from the tree's root.
struct Node {
  int32_t column;
  uint32_t asked;  // bit 0: a missing row goes right; bit 1: of a set; the rest: the threshold, or the set's number
  int32_t left, right;

  MLCORE_HD bool missing_right() const { return (asked & 1) != 0; }
  MLCORE_HD bool of_set() const { return (asked & 2) != 0; }
  MLCORE_HD uint32_t threshold() const { return asked >> 2; }  // right when the row's code is not below
  MLCORE_HD uint32_t set() const { return asked >> 2; }        // right when the row's code is a member
};

// Does a row with this code go right?
MLCORE_HD inline bool goes_right(const Node& node, uint32_t code, bool missing, const uint64_t* sets,
                                 int64_t set_words) {
  if (missing) return node.missing_right();
  if (!node.of_set()) return code >= node.threshold();
  return (sets[node.set() * set_words + (code >> 6)] >> (code & 63)) & 1;
}

// The leaf that a row reaches, counted from the root; code_of(column) and missing_of(column) read the row.
template <typename CodeOf, typename MissingOf>
MLCORE_HD inline int32_t leaf_one(const Node* tree, const uint64_t* sets, int64_t set_words, CodeOf code_of,
                                  MissingOf missing_of) {
  int32_t at = 0;
  while (tree[at].column >= 0) {
    const Node& node = tree[at];
    at = goes_right(node, code_of(node.column), missing_of(node.column), sets, set_words) ? node.right : node.left;
  }
  return at;
}

}  // namespace mlcore::ops
