#pragma once

#include <cstdint>

#include "core/hd.h"

namespace mlcore::ops {

// A node asks about one column's code. A leaf has column -1; children count from the tree's root.
struct Node {
  int32_t column;
  int32_t code;  // threshold: right when the row's code is >= this
  int32_t set;   // -1 for a threshold, else the number of the set whose members go right
  int32_t left, right;
  uint32_t missing_right;
};

// Does a row with this code go right?
MLCORE_HD inline bool goes_right(const Node& node, uint32_t code, bool missing, const uint64_t* sets,
                                 int64_t set_words) {
  if (missing) return node.missing_right != 0;
  if (node.set < 0) return code >= static_cast<uint32_t>(node.code);
  return (sets[node.set * set_words + (code >> 6)] >> (code & 63)) & 1;
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
