#include "cpu/forest.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "cpu/block.h"

namespace mlcore::cpu {

namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("Forest: " + what); }

void check_predicates(const ForestSpec& s) {
  if (s.sets > ops::kMostSets) refuse("more than 2^30 sets");
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

// What decides a tree's shape: its depth and its leaves, of nodes that the root reaches.
struct Extent {
  int32_t depth = 0;
  int64_t leaves = 0;
  bool one_question = true;  // on each level

  bool oblivious() const { return one_question && depth <= kMostBits && leaves == int64_t{1} << depth; }
};

Extent extent_of(const ForestSpec& s, int64_t first) {
  std::vector<std::pair<int32_t, int32_t>> open{{0, 0}};
  std::vector<int32_t> asked;  // on each level, by the node that came first
  Extent found;
  while (!open.empty()) {
    const auto [node, depth] = open.back();
    open.pop_back();
    found.depth = std::max(found.depth, depth);
    if (s.node_pred[first + node] < 0) {
      ++found.leaves;
      continue;
    }
    if (static_cast<size_t>(depth) == asked.size()) asked.push_back(s.node_pred[first + node]);
    found.one_question &= asked[static_cast<size_t>(depth)] == s.node_pred[first + node];
    open.emplace_back(s.node_left[first + node], depth + 1);
    open.emplace_back(s.node_right[first + node], depth + 1);
  }
  return found;
}

void check_outputs(const ForestSpec& s) {
  if (s.outputs < 1) refuse("n_outputs must be at least 1");
  if (s.width != 1 && s.width != s.outputs)
    refuse("node_value must have 1 or n_outputs columns, not " + std::to_string(s.width));
  for (int64_t t = 0; t < s.trees; ++t)
    if (s.tree_output[t] < 0 || s.tree_output[t] + s.width > s.outputs)
      refuse("tree " + std::to_string(t) + ": output out of range");
}

bool walks(Shape shape) { return shape == Shape::deep || shape == Shape::clusters || shape == Shape::walk; }

constexpr size_t kMostCells = DeepNode::kLeaves / kTileRows;  // of a row: what DeepNode::cell can tell apart

// Numbers the leaves of one tree after another by what they hold: a forest of classes has few different leaves.
template <typename Sum>
class LeafNumbers {
 public:
  void start(const std::vector<Sum>& vectors, int64_t most) {
    first_ = vectors.size();
    numbers_.assign(std::bit_ceil(static_cast<size_t>(2 * most)), -1);
  }

  // The number of the leaf that holds these `width` values; added to `vectors` where there was none.
  int64_t of(const Sum* values, int64_t width, std::vector<Sum>& vectors) {
    const auto size = static_cast<size_t>(width) * sizeof(Sum);
    size_t at = std::hash<std::string_view>{}({reinterpret_cast<const char*>(values), size});
    for (;; ++at) {
      int32_t& number = numbers_[at & (numbers_.size() - 1)];
      if (number < 0) {
        number = static_cast<int32_t>((vectors.size() - first_) / static_cast<size_t>(width));
        vectors.insert(vectors.end(), values, values + width);
        return number;
      }
      if (std::memcmp(vectors.data() + first_ + number * width, values, size) == 0) return number;
    }
  }

 private:
  size_t first_ = 0;              // of the tree's vectors
  std::vector<int32_t> numbers_;  // by hash; -1 where there is none
};

constexpr int64_t kPairedLeaves = 64;

// Lays out the trees of one forest.
class Layout {
 public:
  Layout(const ForestSpec& spec, Forest& forest, std::vector<int32_t> planes)
      : s_(spec), f_(forest), plane_of_(std::move(planes)) {}

  void add(int64_t tree, Shape shape, const Extent& extent) {
    first_ = s_.tree_start[tree];
    Tree made{shape, 0, s_.tree_output[tree], 0, 0, 0, first_};
    if (shape == Shape::deep)
      made.shape = s_.doubles ? deep(made, extent, f_.exact, doubles_) : deep(made, extent, f_.floats, floats_);
    if (shape == Shape::clusters)
      s_.doubles ? clusters(made, extent, f_.exact, doubles_) : clusters(made, extent, f_.floats, floats_);
    if (shape == Shape::deep) made.bits = static_cast<uint8_t>(std::min(extent.depth, 255));
    if (made.shape == Shape::walk) s_.doubles ? add_vectors(made, tree, f_.exact) : add_vectors(made, tree, f_.floats);
    if (!walks(shape)) {
      while ((int64_t{1} << made.bits) < extent.leaves) ++made.bits;
      if (shape != Shape::network) made.bits = static_cast<uint8_t>(extent.depth);
      made.leaves = static_cast<int64_t>(s_.doubles ? f_.exact.tables.size() : f_.floats.tables.size());
      leaf_nodes_.assign(size_t{1} << made.bits, 0);
      if (shape != Shape::network) {
        made.first = static_cast<int64_t>(f_.plane_ids.size());
        f_.plane_ids.resize(f_.plane_ids.size() + leaf_nodes_.size() - 1);
        complete(made, 0, 0, 0);
        if (shape == Shape::oblivious) keep_levels(made);
      } else {
        made.first = static_cast<int64_t>(f_.muxes.size());
        network(s_.tree_start[tree + 1] - first_, made.bits);
        made.count = static_cast<int64_t>(f_.muxes.size()) - made.first;
      }
      s_.doubles ? add_table(f_.exact) : add_table(f_.floats);
    }
    f_.trees.push_back(made);
  }

 private:
  using Slots = std::array<uint8_t, kMostBits>;  // where each bit of the leaf number lies, the highest first

  // Fills the complete tree below heap slot `slot`; a leaf above the last level is repeated under itself.
  void complete(const Tree& tree, int32_t node, int64_t slot, int level) {
    const int64_t inner = (int64_t{1} << tree.bits) - 1;
    if (level == tree.bits) {
      leaf_nodes_[static_cast<size_t>(slot - inner)] = node;
      return;
    }
    const int32_t predicate = s_.node_pred[first_ + node];
    const bool leaf = predicate < 0;
    f_.plane_ids[static_cast<size_t>(tree.first + slot)] = leaf ? 0 : plane_of_[static_cast<size_t>(predicate)];
    complete(tree, leaf ? node : s_.node_left[first_ + node], 2 * slot + 1, level + 1);
    complete(tree, leaf ? node : s_.node_right[first_ + node], 2 * slot + 2, level + 1);
  }

  // Of a complete tree's planes leaves the first of each level, which is that of them all.
  void keep_levels(const Tree& tree) {
    const auto ids = f_.plane_ids.begin() + tree.first;
    for (int level = 0; level < tree.bits; ++level) ids[level] = ids[(int64_t{1} << level) - 1];
    f_.plane_ids.resize(static_cast<size_t>(tree.first) + tree.bits);
  }

  // Lays a tree's nodes out depth first, children side by side; one that walks where a node asks what no cell can
  // answer.
  template <typename Sum>
  Shape deep(Tree& tree, const Extent& extent, LeafValues<Sum>& values, LeafNumbers<Sum>& numbers) {
    if (extent.leaves > f_.zero_cells * DeepNode::kLeaves) return Shape::walk;
    tree.first = static_cast<int64_t>(f_.deep_nodes.size());
    tree.leaves = static_cast<int64_t>(values.vectors.size());
    numbers.start(values.vectors, extent.leaves);
    leaf_pairs_.fill(0);
    const auto number = [&](int32_t leaf) {
      const Sum* held = static_cast<const Sum*>(s_.node_value) + (first_ + leaf) * s_.width;
      return numbers.of(held, s_.width, values.vectors);
    };
    const auto node_at = [&](size_t place) -> DeepNode& {
      return f_.deep_nodes[static_cast<size_t>(tree.first) + place];
    };
    std::vector<std::pair<int32_t, size_t>> open{{0, 0}};  // a node, and its place among the tree's
    size_t places = 1;
    bool answered = true;
    f_.deep_nodes.emplace_back();
    while (answered && !open.empty()) {
      const auto [node, place] = open.back();
      open.pop_back();
      if (is_leaf(node)) {
        node_at(place) = DeepNode::leaf(number(node), place);
        continue;
      }
      const int32_t predicate = s_.node_pred[first_ + node], cell = cell_of(predicate);
      const int32_t code = s_.pred_set[predicate] >= 0 ? 1 : s_.pred_code[predicate];
      answered = cell >= 0;
      size_t* known = nullptr;
      if (is_leaf(left(node)) && is_leaf(right(node))) {
        const int64_t one = number(left(node));
        known = leaf_pair(one, number(right(node)));
      }
      const size_t next = known != nullptr && *known != 0 ? *known : places;
      node_at(place) = {static_cast<uint16_t>(code - 1), static_cast<uint16_t>(cell * kTileRows),
                        static_cast<uint32_t>(next)};
      if (next < places) continue;
      if (known != nullptr) *known = next;
      places += 2;
      f_.deep_nodes.resize(static_cast<size_t>(tree.first) + places);
      open.emplace_back(right(node), next + 1);
      open.emplace_back(left(node), next);
    }
    if (!answered) {
      f_.deep_nodes.resize(static_cast<size_t>(tree.first));
      values.vectors.resize(static_cast<size_t>(tree.leaves));
    }
    tree.count = static_cast<int64_t>(f_.deep_nodes.size()) - tree.first;
    return answered ? Shape::deep : Shape::walk;
  }

  // Cuts a tree into clusters.
  template <typename Sum>
  void clusters(Tree& tree, const Extent& extent, LeafValues<Sum>& values, LeafNumbers<Sum>& numbers) {
    const auto held = [&](int32_t leaf) { return static_cast<const Sum*>(s_.node_value) + (first_ + leaf) * s_.width; };
    tree.first = static_cast<int64_t>(f_.clusters.size());
    tree.leaves = static_cast<int64_t>(values.vectors.size());
    std::vector<ClusterNode> nodes;
    std::vector<int32_t> ids;                              // of the nodes, within the tree
    std::vector<std::pair<int32_t, size_t>> open{{0, 0}};  // a node, and its parent among `nodes`
    while (!open.empty()) {
      const auto [node, parent] = open.back();
      open.pop_back();
      const size_t at = nodes.size();
      ids.push_back(node);
      nodes.push_back({0, 0, 0, false});
      nodes[parent].right = static_cast<int32_t>(at);  // the right child comes last
      if (is_leaf(node)) continue;
      const int32_t predicate = s_.node_pred[first_ + node], set = s_.pred_set[predicate];
      const auto cells = static_cast<int32_t>(f_.cells.size());
      const auto [cell, added] = cell_numbers_.try_emplace({s_.pred_column[predicate], set, false}, cells);
      if (added) f_.cells.push_back({s_.pred_column[predicate], set, false});
      nodes[at].code = static_cast<uint16_t>(set >= 0 ? 1 : s_.pred_code[predicate]);
      nodes[at].cell = static_cast<uint8_t>(cell->second);
      nodes[at].missing_right = s_.pred_missing[predicate] != 0;
      open.emplace_back(right(node), at);
      open.emplace_back(left(node), at);
    }
    numbers.start(values.vectors, extent.leaves);
    const auto known = [&](size_t leaf) { return numbers.of(held(ids[leaf]), s_.width, values.vectors); };
    int64_t count = 0;
    for (size_t at = 0; at < nodes.size(); ++at)
      if (nodes[at].leaf()) count = std::max(count, known(at) + 1);
    tree.count = static_cast<int64_t>(f_.top_ways.size()) >> kTopLevels;
    f_.top_nodes.resize(f_.top_nodes.size() + (size_t{1} << kTopLevels) - 1, {-1, false, {0, false}});
    f_.top_ways.resize(f_.top_ways.size() + (size_t{1} << kTopLevels));
    std::vector<size_t> roots;
    top(tree, nodes, ids, 0, 0, 0, roots);
    if (count <= kNearLeaves) {
      cut(nodes, std::move(roots), known, f_.clusters);
    } else {  // one by one, those of a cluster together
      count = 0;
      values.vectors.resize(static_cast<size_t>(tree.leaves));
      const auto next = [&](size_t leaf) {
        values.vectors.insert(values.vectors.end(), held(ids[leaf]), held(ids[leaf]) + s_.width);
        return count++;
      };
      cut(nodes, std::move(roots), next, f_.clusters);
    }
  }

  // Fills the top of a tree of clusters from heap slot `slot` on; a leaf above the last level is repeated under itself.
  void top(const Tree& tree, const std::vector<ClusterNode>& nodes, const std::vector<int32_t>& ids, size_t at,
           size_t slot, int level, std::vector<size_t>& roots) {
    const size_t inner = (size_t{1} << kTopLevels) - 1, number = static_cast<size_t>(tree.count);
    if (level == kTopLevels) {
      if (roots.empty() || roots.back() != at) roots.push_back(at);
      const size_t way = (roots.size() - 1) * sizeof(Cluster) + 1;
      f_.top_ways[number * (inner + 1) + slot - inner] = static_cast<uint32_t>(way);
      return;
    }
    const bool leaf = nodes[at].leaf();
    if (!leaf) {
      const int32_t predicate = s_.node_pred[first_ + ids[at]], set = s_.pred_set[predicate];
      const Plane asked{set >= 0 ? set : s_.pred_code[predicate], s_.pred_missing[predicate] != 0};
      f_.top_nodes[number * inner + slot] = {s_.pred_column[predicate], set >= 0, asked};
    }
    top(tree, nodes, ids, leaf ? at : at + 1, 2 * slot + 1, level + 1, roots);
    top(tree, nodes, ids, leaf ? at : static_cast<size_t>(nodes[at].right), 2 * slot + 2, level + 1, roots);
  }

  // Where the tree has two leaves side by side that hold these, 0 where nowhere yet; null where either has come after
  // many others.
  size_t* leaf_pair(int64_t one, int64_t other) {
    if (std::max(one, other) >= kPairedLeaves) return nullptr;
    return &leaf_pairs_[static_cast<size_t>(one * kPairedLeaves + other)];
  }

  template <typename Sum>
  void add_vectors(Tree& made, int64_t tree, LeafValues<Sum>& values) {
    const Sum* held = static_cast<const Sum*>(s_.node_value);
    made.leaves = static_cast<int64_t>(values.vectors.size());
    values.vectors.insert(values.vectors.end(), held + first_ * s_.width, held + s_.tree_start[tree + 1] * s_.width);
  }

  // The cell that answers a predicate; -1 where a missing row could not be told from the others, or cells run out.
  int32_t cell_of(int32_t predicate) {
    const int32_t column = s_.pred_column[predicate], set = s_.pred_set[predicate];
    const bool missing_right = s_.pred_missing[predicate] != 0;
    if (set < 0 && (s_.pred_code[predicate] == 0 || s_.pred_code[predicate] > kNoCode)) return -1;
    const auto number = static_cast<int32_t>(f_.cells.size());
    if (f_.cells.size() < kMostCells) {
      const auto [found, added] = cell_numbers_.try_emplace({column, set, missing_right}, number);
      if (added) f_.cells.push_back({column, set, missing_right});
      return found->second;
    }
    const auto found = cell_numbers_.find({column, set, missing_right});
    return found == cell_numbers_.end() ? -1 : found->second;
  }

  void network(int64_t size, int bits) {
    leaves_below_.resize(std::max(leaves_below_.size(), static_cast<size_t>(size)));
    numbers_.resize(leaves_below_.size());
    free_.clear();
    for (int slot = kMuxSlots - 1; slot >= kResultSlot + kMostBits; --slot) free_.push_back(static_cast<uint8_t>(slot));
    weigh(0);
    int32_t number = 0;
    number_leaves(0, number);
    select(0, bits, true);
  }

  int32_t weigh(int32_t node) {
    const bool leaf = s_.node_pred[first_ + node] < 0;
    const int32_t count = leaf ? 1 : weigh(s_.node_left[first_ + node]) + weigh(s_.node_right[first_ + node]);
    return leaves_below_[static_cast<size_t>(node)] = count;
  }

  void number_leaves(int32_t node, int32_t& next) {
    if (s_.node_pred[first_ + node] < 0) {
      leaf_nodes_[static_cast<size_t>(next)] = node;
      numbers_[static_cast<size_t>(node)] = next++;
      return;
    }
    number_leaves(s_.node_left[first_ + node], next);
    number_leaves(s_.node_right[first_ + node], next);
  }

  // Lists the muxes that give the bits of the leaf reached below `node`. Bits that all those leaves share need none.
  Slots select(int32_t node, int bits, bool root) {
    Slots found{};
    if (is_leaf(node)) {
      const int32_t number = numbers_[static_cast<size_t>(node)];
      for (int b = 0; b < bits; ++b) found[static_cast<size_t>(b)] = (number >> (bits - 1 - b)) & 1;
      return found;
    }
    const std::array<int32_t, 2> children{left(node), right(node)};
    std::array<int32_t, 4> below{};
    for (size_t side = 0; side < 2; ++side) {
      const int32_t child = children[side];
      below[2 * side] = is_leaf(child) ? child : left(child);
      below[2 * side + 1] = is_leaf(child) ? child : right(child);
    }
    // What has most leaves comes first: its results alone wait in slots while the others are worked on.
    std::array<size_t, 4> order{0, 1, 2, 3};
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return leaves_below_[static_cast<size_t>(below[a])] > leaves_below_[static_cast<size_t>(below[b])];
    });
    std::array<Slots, 4> from{};
    for (const size_t i : order) {
      const bool repeated = i % 2 == 1 && below[i] == below[i - 1];
      from[i] = repeated ? from[i - 1] : select(below[i], bits, false);
    }
    for (size_t b = 0; b < static_cast<size_t>(bits); ++b) {
      found[b] = from[0][b];
      if (from[0][b] == from[1][b] && from[0][b] == from[2][b] && from[0][b] == from[3][b]) continue;
      for (const Slots& slots : from)
        if (slots[b] >= kResultSlot) free_.push_back(slots[b]);
      found[b] = root ? static_cast<uint8_t>(kResultSlot + b) : free_.back();
      if (!root) free_.pop_back();
      f_.muxes.push_back({plane(node),
                          plane(children[0]),
                          plane(children[1]),
                          {from[0][b], from[1][b], from[2][b], from[3][b]},
                          found[b]});
    }
    return found;
  }

  bool is_leaf(int32_t node) const { return s_.node_pred[first_ + node] < 0; }
  int32_t left(int32_t node) const { return s_.node_left[first_ + node]; }
  int32_t right(int32_t node) const { return s_.node_right[first_ + node]; }
  int32_t plane(int32_t node) const {
    return is_leaf(node) ? 0 : plane_of_[static_cast<size_t>(s_.node_pred[first_ + node])];
  }

  template <typename Sum>
  void add_table(LeafValues<Sum>& values) {
    const size_t size = std::max<size_t>(kFewestLeaves, leaf_nodes_.size());
    for (int64_t output = 0; output < s_.width; ++output) {
      const size_t from = values.tables.size();
      values.tables.resize(from + size);
      for (size_t i = 0; i < leaf_nodes_.size(); ++i)
        values.tables[from + i] = static_cast<const Sum*>(s_.node_value)[(first_ + leaf_nodes_[i]) * s_.width + output];
      const Sum* table = values.tables.data() + from;
      if constexpr (std::is_same_v<Sum, float>) split<uint8_t>(table, size, values.bytes);
      size >= size_t{1} << kernels().bits_of_short_pieces ? split<uint16_t>(table, size, values.pieces)
                                                          : split<uint32_t>(table, size, values.pieces);
    }
  }

  // Appends the values' bits: all their lowest pieces, then the next.
  template <typename Piece, typename Sum>
  static void split(const Sum* values, size_t size, std::vector<uint8_t>& out) {
    using Whole = std::conditional_t<sizeof(Sum) == 4, uint32_t, uint64_t>;
    size_t at = out.size();
    out.resize(at + size * sizeof(Sum));
    for (size_t p = 0; p < sizeof(Sum) / sizeof(Piece); ++p)
      for (size_t i = 0; i < size; ++i, at += sizeof(Piece)) {
        const auto piece = static_cast<Piece>(std::bit_cast<Whole>(values[i]) >> (8 * sizeof(Piece) * p));
        std::memcpy(out.data() + at, &piece, sizeof piece);
      }
  }

  const ForestSpec& s_;
  Forest& f_;
  std::vector<int32_t> plane_of_;
  int64_t first_ = 0;                  // of the tree at hand
  std::vector<int32_t> leaf_nodes_;    // by leaf number
  std::vector<int32_t> leaves_below_;  // by node, of the tree at hand
  std::vector<int32_t> numbers_;       // of leaves, by node
  std::vector<uint8_t> free_;
  std::map<std::tuple<int32_t, int32_t, bool>, int32_t> cell_numbers_;
  LeafNumbers<float> floats_;
  LeafNumbers<double> doubles_;
  std::array<size_t, kPairedLeaves * kPairedLeaves> leaf_pairs_;  // of the deep tree at hand; see leaf_pair
};

ops::Node node_of(const ForestSpec& s, int64_t i) {
  const int32_t p = s.node_pred[i];
  if (p < 0) return {-1, 0, 0, 0};
  const bool of_set = s.pred_set[p] >= 0;
  const auto number = static_cast<uint32_t>(of_set ? s.pred_set[p] : s.pred_code[p]);
  const uint32_t asked = number << 2 | static_cast<uint32_t>(of_set) << 1 | (s.pred_missing[p] != 0);
  return {s.pred_column[p], asked, s.node_left[i], s.node_right[i]};
}

constexpr int64_t kPlaneBytes = 1024 * 1024;  // the L2 cache of the machines at hand

// Whether trees can be cut into clusters that ask these predicates: there a code is one more, and a node's again.
bool suit_clusters(const ForestSpec& s, const std::vector<uint8_t>& used) {
  std::set<std::pair<int32_t, int32_t>> cells;
  for (size_t p = 0; p < used.size(); ++p) {
    if (!used[p]) continue;
    if (s.n_codes[s.pred_column[p]] >= kNoCode) return false;
    cells.emplace(s.pred_column[p], s.pred_set[p]);
    if (cells.size() > kClusterCells) return false;
  }
  return true;
}

// As many rows as keep their planes in the cache. Of deep trees that do not fit it, as many as keep their cells there,
// or as many as may be, whichever reads less for a row: the trees anew for every block, or its cells for every tree.
int64_t block_rows_for(const Forest& f) {
  const auto planes = static_cast<int64_t>(f.planes.size()), trees = static_cast<int64_t>(f.trees.size());
  const auto deep = static_cast<int64_t>(f.deep_nodes.size() * sizeof(DeepNode) + f.clusters.size() * sizeof(Cluster) +
                                         f.floats.vectors.size() * 4 + f.exact.vectors.size() * 8);
  if (planes == 0 && deep > kPlaneBytes) {
    const auto cells = f.room_for_cells() * static_cast<int64_t>(sizeof(uint16_t));
    int64_t rows = kDeepBlockRows;
    while (rows > kPlaneBlockRows && rows * cells > kPlaneBytes / 2) rows /= 2;
    return deep / rows < trees * cells ? rows : kDeepBlockRows;
  }
  int64_t rows = kPlaneBlockRows;
  while (rows > kBlockRows && planes * rows / 8 > kPlaneBytes) rows /= 2;
  return rows;
}

// A complete tree's muxes run in registers, a network's through the cache: so a network must save most of them.
Shape shape_of(const Extent& extent, Engine engine) {
  if (engine == Engine::deep || engine == Engine::walk) return engine == Engine::deep ? Shape::deep : Shape::walk;
  if (extent.oblivious() && engine != Engine::rows) return Shape::oblivious;
  if (extent.depth <= kMostBits && (int64_t{1} << extent.depth) <= 4 * extent.leaves) return Shape::complete;
  return extent.leaves <= (int64_t{1} << kMostBits) && engine != Engine::rows ? Shape::network : Shape::deep;
}

}  // namespace

void check(const ForestSpec& s) {
  check_predicates(s);
  check_outputs(s);
  if (s.tree_start[0] != 0 || s.tree_start[s.trees] != s.nodes) refuse("tree_start does not cover the nodes");
  std::vector<uint8_t> seen;
  for (int64_t t = 0; t < s.trees; ++t) {
    if (s.tree_start[t] < 0 || s.tree_start[t + 1] <= s.tree_start[t] || s.tree_start[t + 1] > s.nodes)
      refuse("tree_start does not ascend");
    check_tree(s, t, seen);
  }
}

// Orders the predicates in use by column, thresholds before sets, and numbers their planes.
std::vector<int32_t> number_planes(const ForestSpec& s, const std::vector<uint8_t>& used, Questions& f) {
  f.set_words = s.set_words;
  f.n_codes.assign(s.n_codes, s.n_codes + s.columns);
  f.sets.assign(s.set_bits, s.set_bits + s.sets * s.set_words);
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

Forest prepare(const ForestSpec& s) {
  check(s);
  std::vector<uint8_t> planes(static_cast<size_t>(s.predicates), 0), cells = planes;  // that are asked for
  std::vector<Extent> extents(static_cast<size_t>(s.trees));
  int64_t most_leaves = 0, deep_nodes = 0;  // of deep trees
  for (int64_t t = 0; t < s.trees; ++t) {
    const Extent& extent = extents[static_cast<size_t>(t)] = extent_of(s, s.tree_start[t]);
    const Shape shape = shape_of(extent, s.engine);
    if (shape == Shape::deep) {
      most_leaves = std::max(most_leaves, extent.leaves);
      deep_nodes += 2 * extent.leaves - 1;
    }
    if (shape == Shape::walk) continue;
    for (int64_t i = s.tree_start[t]; i < s.tree_start[t + 1]; ++i)
      if (s.node_pred[i] >= 0) (shape == Shape::deep ? cells : planes)[static_cast<size_t>(s.node_pred[i])] = 1;
  }
  const bool clustered =
      kernels().clusters && s.engine != Engine::rows && most_leaves <= kMostClusters && suit_clusters(s, cells);
  const auto shape = [&](int64_t tree) {
    const Shape found = shape_of(extents[static_cast<size_t>(tree)], s.engine);
    return found == Shape::deep && clustered ? Shape::clusters : found;
  };
  Forest f;
  f.doubles = s.doubles;
  f.outputs = s.outputs;
  f.width = s.width;
  if (!clustered) {
    f.zero_cells = std::min<int64_t>((most_leaves + DeepNode::kLeaves - 1) / DeepNode::kLeaves, kMostCells);
    f.deep_nodes.reserve(static_cast<size_t>(deep_nodes));
  } else {
    f.clusters.reserve(static_cast<size_t>(deep_nodes / (kClusterNodes + 1)));  // as many as full ones would be
  }
  f.cells.assign(static_cast<size_t>(f.zero_cells), {-1, -1, false});
  Layout layout(s, f, number_planes(s, planes, f));
  f.nodes.reserve(static_cast<size_t>(s.nodes));
  for (int64_t i = 0; i < s.nodes; ++i) f.nodes.push_back(node_of(s, i));
  for (int64_t t = 0; t < s.trees; ++t) layout.add(t, shape(t), extents[static_cast<size_t>(t)]);
  f.block_rows = block_rows_for(f);
  return f;
}

}  // namespace mlcore::cpu
