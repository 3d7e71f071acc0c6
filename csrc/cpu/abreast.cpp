#include "cpu/abreast.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "core/isa.h"

namespace mlcore::cpu {

namespace {

// To ask one place of 64 trees takes as long as one tree's way down this many levels, measured.
constexpr double kLevelsOfPlace = 1.5;

// Numbers the cells that nodes ask.
class CellNumbers {
 public:
  CellNumbers(const Forest& forest, std::vector<ByteCell>& cells)
      : forest_(forest), cells_(cells), codes_(2 * forest.n_codes.size(), -1) {}

  // Whether there is room for what a tree asks; what there is not is forgotten.
  bool add(const ops::Node* tree) {
    const size_t before = cells_.size();
    open_.assign(1, 0);
    while (!open_.empty()) {
      const ops::Node& node = tree[open_.back()];
      open_.pop_back();
      if (node.column < 0) continue;
      int32_t& number = of(node);
      if (number < 0) {
        number = static_cast<int32_t>(cells_.size());
        cells_.push_back({node, answers(node)});
      }
      open_.push_back(node.left);
      open_.push_back(node.right);
    }
    if (cells_.size() <= static_cast<size_t>(kByteCells)) return true;
    for (; cells_.size() > before; cells_.pop_back()) of(cells_.back().question) = -1;
    return false;
  }

  // The cell of a node; -1 where there is none.
  int32_t& of(const ops::Node& node) {
    if (answers(node)) return questions_.try_emplace({node.column, node.asked}, -1).first->second;
    return codes_[static_cast<size_t>(2 * node.column + node.missing_right())];
  }

  uint8_t threshold(const ops::Node& node) const { return answers(node) ? 1 : static_cast<uint8_t>(node.threshold()); }

 private:
  // A threshold that tells a byte of codes, and 0 and 255 for missing, has one; others do not.
  bool answers(const ops::Node& node) const {
    return node.of_set() || forest_.wide(node.column) || node.threshold() < 1 || node.threshold() > 255;
  }

  const Forest& forest_;
  std::vector<ByteCell>& cells_;
  std::vector<int32_t> codes_;  // of each column, missing to the left and to the right
  std::map<std::pair<int32_t, uint32_t>, int32_t> questions_;
  std::vector<int32_t> open_;
};

// Lays trees into the lanes of one block.
class Lanes {
 public:
  Lanes(CellNumbers& cells, TreesAbreast& block) : cells_(cells), groups_(block.groups) {
    Asked* next = block.asked.data();
    for (size_t level = 0; level < kMostBits; ++level) {
      levels_[level] = next;
      next += groups_[level] << level;
    }
  }

  // What a tree asks at `place` of a level and below; leaves above the last level ask nothing.
  void fill(int64_t lane, const ops::Node* tree, int32_t at, size_t level, int64_t place) {
    const ops::Node& node = tree[at];
    if (node.column < 0) return;
    Asked& asked = levels_[level][place * groups_[level] + lane / kTreesAtOnce];
    asked.cell[static_cast<size_t>(lane % kTreesAtOnce)] = static_cast<uint8_t>(cells_.of(node));
    asked.threshold[static_cast<size_t>(lane % kTreesAtOnce)] = cells_.threshold(node);
    fill(lane, tree, node.left, level + 1, 2 * place);
    fill(lane, tree, node.right, level + 1, 2 * place + 1);
  }

 private:
  CellNumbers& cells_;
  const std::array<int64_t, kMostBits>& groups_;
  std::array<Asked*, kMostBits> levels_{};
};

TreesAbreast block_of(const Forest& forest, CellNumbers& cells, const int32_t* trees, int64_t count) {
  const auto tree_at = [&](int64_t lane) -> const Tree& { return forest.trees[static_cast<size_t>(trees[lane])]; };
  TreesAbreast block{tree_at(0).bits, {}, {}};
  int64_t size = 0;
  for (int level = 0; level < block.bits; ++level) {
    int64_t& groups = block.groups[static_cast<size_t>(level)];
    for (int64_t lane = 0; lane < count; lane += kTreesAtOnce) groups += tree_at(lane).bits > level;
    size += groups << level;
  }
  block.asked.resize(static_cast<size_t>(size));
  Lanes lanes(cells, block);
  for (int64_t lane = 0; lane < count; ++lane) lanes.fill(lane, forest.nodes.data() + tree_at(lane).root, 0, 0, 0);
  return block;
}

}  // namespace

Abreast set_abreast(const Forest& forest, std::vector<int32_t>& trees) {
  Abreast made;
  CellNumbers cells(forest, made.cells);
  std::vector<int32_t> apart;
  for (const int32_t number : trees) {
    const Tree& tree = forest.trees[static_cast<size_t>(number)];
    const bool fits = tree.shape == Shape::complete && cells.add(forest.nodes.data() + tree.root);
    (fits ? made.trees : apart).push_back(number);
  }
  const auto bits = [&](int32_t number) { return forest.trees[static_cast<size_t>(number)].bits; };
  std::vector<int32_t> tallest_first, places(forest.trees.size());  // those that ask something
  std::copy_if(made.trees.begin(), made.trees.end(), std::back_inserter(tallest_first), bits);
  std::stable_sort(tallest_first.begin(), tallest_first.end(), [&](int32_t a, int32_t b) { return bits(a) > bits(b); });
  const auto count = static_cast<int64_t>(tallest_first.size());
  for (int64_t first = 0; first < count; first += kTreesAbreast)
    made.blocks.push_back(
        block_of(forest, cells, tallest_first.data() + first, std::min(kTreesAbreast, count - first)));
  size_t asked = 0, levels = 0;
  for (const TreesAbreast& block : made.blocks) asked += block.asked.size();
  for (const int32_t number : made.trees) levels += bits(number);
  if (kLevelsOfPlace * static_cast<double>(asked) > static_cast<double>(levels)) return {};
  for (int32_t place = 0; place < count; ++place)
    places[static_cast<size_t>(tallest_first[static_cast<size_t>(place)])] = place;
  for (const int32_t number : made.trees) {
    const int32_t place = places[static_cast<size_t>(number)];
    const int tallest = bits(number) > 0 ? made.blocks[static_cast<size_t>(place / kTreesAbreast)].bits : kMostBits;
    made.leaves.push_back(
        {forest.trees[static_cast<size_t>(number)].leaves, place, static_cast<int16_t>(tallest - bits(number))});
  }
  trees = std::move(apart);
  return made;
}

LeafNumbers leaf_numbers() {
  switch (current_isa()) {
#if defined(__x86_64__)
    case Isa::avx512vbmi:
      return leaf_numbers_vbmi;
    case Isa::avx512:
      return leaf_numbers_avx512;
#endif
    default:
      return nullptr;
  }
}

}  // namespace mlcore::cpu
