#include "cpu/forest.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <tuple>

namespace mlcore::cpu {

namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("Forest: " + what); }

void check_predicates(const ForestSpec& s) {
  for (int64_t c = 0; c < s.columns; ++c)
    if (s.n_codes[c] < 1 || s.n_codes[c] > 65536)
      refuse("n_codes of column " + std::to_string(c) + " is not in 1..65536");
  for (int64_t p = 0; p < s.predicates; ++p) {
    const std::string where = "predicate " + std::to_string(p);
    if (s.pred_column[p] < 0 || s.pred_column[p] >= s.columns) refuse(where + ": column out of range");
    const int32_t codes = s.n_codes[s.pred_column[p]];
    if (s.pred_set[p] < -1 || s.pred_set[p] >= s.sets) refuse(where + ": set out of range");
    if (s.pred_set[p] >= 0 && s.set_words * 64 < codes)
      refuse(where + ": sets have too few words for the column's codes");
    if (s.pred_code[p] < 0 || s.pred_code[p] > codes) refuse(where + ": code out of range");
  }
}

// Children lie inside the tree and have one parent each, the root none: so every walk from the root ends at a leaf.
void check_tree(const ForestSpec& s, int64_t tree, std::vector<uint8_t>& seen) {
  const int64_t first = s.tree_start[tree], size = s.tree_start[tree + 1] - first;
  seen.assign(size, 0);
  for (int64_t i = 0; i < size; ++i) {
    const int32_t predicate = s.node_pred[first + i];
    if (predicate == -1) continue;
    const std::string where = "tree " + std::to_string(tree) + ", node " + std::to_string(i);
    if (predicate < -1 || predicate >= s.predicates) refuse(where + ": predicate out of range");
    for (const int32_t child : {s.node_left[first + i], s.node_right[first + i]}) {
      if (child < 1 || child >= size) refuse(where + ": child out of range");
      if (seen[child]++) refuse(where + ": child has two parents");
    }
  }
}

int32_t depth_of(const ForestSpec& s, int64_t first) {
  std::vector<std::pair<int32_t, int32_t>> open{{0, 0}};
  int32_t deepest = 0;
  while (!open.empty()) {
    const auto [node, depth] = open.back();
    open.pop_back();
    deepest = std::max(deepest, depth);
    if (s.node_pred[first + node] < 0) continue;
    open.emplace_back(s.node_left[first + node], depth + 1);
    open.emplace_back(s.node_right[first + node], depth + 1);
  }
  return deepest;
}

// Orders the predicates in use by column, thresholds before sets, and numbers their planes.
std::vector<int32_t> number_planes(const ForestSpec& s, const std::vector<uint8_t>& used, Forest& f) {
  std::vector<int32_t> order;
  for (int64_t p = 0; p < s.predicates; ++p)
    if (used[p]) order.push_back(static_cast<int32_t>(p));
  const auto rank = [&](int32_t p) {
    return std::make_tuple(s.pred_column[p], s.pred_set[p] >= 0, s.pred_code[p], s.pred_set[p], s.pred_missing[p]);
  };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return rank(a) < rank(b); });
  std::vector<int32_t> plane_of(s.predicates, 0);
  for (const int32_t p : order) {
    const bool is_set = s.pred_set[p] >= 0;
    plane_of[p] = static_cast<int32_t>(f.planes.size());
    if (f.groups.empty() || f.groups.back().column != s.pred_column[p])
      f.groups.push_back({s.pred_column[p], plane_of[p], 0, 0});
    ++(is_set ? f.groups.back().sets : f.groups.back().thresholds);
    f.planes.push_back({is_set ? s.pred_set[p] : s.pred_code[p], s.pred_missing[p] != 0});
  }
  return plane_of;
}

// Fills the complete tree below heap slot `slot`; a leaf above the last level is repeated under itself.
void complete(const ForestSpec& s, const std::vector<int32_t>& plane_of, int64_t first, int32_t node, int64_t slot,
              int32_t level, const Tree& tree, Forest& f) {
  if (level == tree.depth) {
    f.leaves[tree.leaves + slot - ((int64_t{1} << tree.depth) - 1)] = s.node_value[first + node];
    return;
  }
  const int32_t predicate = s.node_pred[first + node];
  const bool leaf = predicate < 0;
  f.plane_ids[tree.plane_ids + slot] = leaf ? 0 : plane_of[predicate];
  complete(s, plane_of, first, leaf ? node : s.node_left[first + node], 2 * slot + 1, level + 1, tree, f);
  complete(s, plane_of, first, leaf ? node : s.node_right[first + node], 2 * slot + 2, level + 1, tree, f);
}

void add_leaf_bytes(const Tree& tree, Forest& f) {
  const int64_t width = std::max<int64_t>(16, int64_t{1} << tree.depth);
  for (int64_t i = 0; i < width; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &f.leaves[tree.leaves + i], 4);
    for (int b = 0; b < 4; ++b) f.leaf_bytes[4 * tree.leaves + b * width + i] = static_cast<uint8_t>(bits >> (8 * b));
  }
}

void add_nodes(const ForestSpec& s, Forest& f) {
  f.nodes.resize(s.nodes);
  for (int64_t i = 0; i < s.nodes; ++i) {
    const int32_t p = s.node_pred[i];
    if (p < 0)
      f.nodes[i] = {-1, 0, -1, 0, 0, s.node_value[i], 0};
    else
      f.nodes[i] = {s.pred_column[p], s.pred_code[p],  s.pred_set[p],    s.node_left[i],
                    s.node_right[i],  s.node_value[i], s.pred_missing[p]};
  }
}

}  // namespace

Forest prepare(const ForestSpec& s) {
  check_predicates(s);
  if (s.tree_start[0] != 0 || s.tree_start[s.trees] != s.nodes) refuse("tree_start does not cover the nodes");
  std::vector<uint8_t> seen, used(s.predicates, 0);
  std::vector<int32_t> depths(s.trees);
  for (int64_t t = 0; t < s.trees; ++t) {
    const int64_t first = s.tree_start[t];
    if (first < 0 || s.tree_start[t + 1] <= first || s.tree_start[t + 1] > s.nodes)
      refuse("tree_start does not ascend");
    check_tree(s, t, seen);
    depths[t] = depth_of(s, first);
    if (depths[t] <= kMaxSlicedDepth)
      for (int64_t i = first; i < s.tree_start[t + 1]; ++i)
        if (s.node_pred[i] >= 0) used[s.node_pred[i]] = 1;
  }
  Forest f;
  f.base = s.base;
  f.set_words = s.set_words;
  f.n_codes.assign(s.n_codes, s.n_codes + s.columns);
  f.sets.assign(s.set_bits, s.set_bits + s.sets * s.set_words);
  const auto plane_of = number_planes(s, used, f);
  add_nodes(s, f);
  for (int64_t t = 0; t < s.trees; ++t) {
    const int64_t first = s.tree_start[t];
    Tree tree{-1, 0, 0, first};
    if (depths[t] <= kMaxSlicedDepth) {
      tree = {depths[t], static_cast<int64_t>(f.plane_ids.size()), static_cast<int64_t>(f.leaves.size()), first};
      f.plane_ids.resize(f.plane_ids.size() + (size_t{1} << tree.depth) - 1);
      f.leaves.resize(f.leaves.size() + std::max<size_t>(16, size_t{1} << tree.depth));
      f.leaf_bytes.resize(4 * f.leaves.size());
      complete(s, plane_of, first, 0, 0, 0, tree, f);
      add_leaf_bytes(tree, f);
    }
    f.trees.push_back(tree);
  }
  return f;
}

}  // namespace mlcore::cpu
