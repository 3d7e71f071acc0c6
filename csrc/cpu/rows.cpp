#include "cpu/rows.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <tuple>
#include <utility>

#include "core/views.h"

namespace mlcore::cpu {

namespace {

// Where laying out a block begins to pay: of 500 trees of 63 leaves, and of 500 of depth 8 abreast.
constexpr int64_t kFewRows = 48, kFewRowsAbreast = 64;
constexpr size_t kTogether = 8;  // trees: while one waits for its node, the others go on; places stay in registers

// What a row's trees look at, and what they answer.
struct Row {
  std::vector<uint16_t> codes, cells;     // a cell is the first of a tile's
  std::vector<uint8_t> missing, answers;  // of columns, of planes
  std::vector<int64_t> values;            // of trees: where their leaf's values are
  alignas(64) std::array<uint8_t, kByteCells> bytes;
  std::vector<uint8_t> numbers;  // of the leaves of trees abreast
};

template <typename T>
void code(const Rows& rows, const T* x, Row& row) {
  const size_t columns = rows.edges.size();
  uint8_t* missing = row.missing.data();
  for (size_t c = 0; c < columns; ++c) missing[c] = x[c] != x[c];
  kernels().bin_row(rows.edges.data(), static_cast<int64_t>(columns), x, row.codes.data());
}

bool in_set(const Forest& forest, int32_t set, uint32_t code) {
  return (forest.sets[static_cast<size_t>(set * forest.set_words + (code >> 6))] >> (code & 63)) & 1;
}

void answer_planes(const Rows& rows, Row& row) {
  const Forest& forest = rows.forest;
  for (size_t g = 0; g < forest.groups.size(); ++g) {
    const PlaneGroup& group = forest.groups[g];
    uint8_t* out = row.answers.data() + group.first;
    const Plane* planes = forest.planes.data() + group.first;
    if (row.missing[static_cast<size_t>(group.column)]) {
      for (int64_t i = 0; i < group.thresholds + group.sets; ++i) out[i] = planes[i].missing;
      continue;
    }
    const uint16_t code = row.codes[static_cast<size_t>(group.column)];
    const auto reached = static_cast<int64_t>(rows.reached[g][code]);
    std::memset(out, 1, static_cast<size_t>(reached));
    std::memset(out + reached, 0, static_cast<size_t>(group.thresholds - reached));
    for (int64_t i = group.thresholds; i < group.thresholds + group.sets; ++i)
      out[i] = in_set(forest, planes[i].code, code);
  }
}

void fill_cells(const Forest& forest, Row& row) {
  for (auto v = static_cast<size_t>(forest.zero_cells); v < forest.cells.size(); ++v) {
    const Cell& cell = forest.cells[v];
    const auto c = static_cast<size_t>(cell.column);
    uint16_t& held = row.cells[v * kTileRows];
    if (row.missing[c])
      held = cell.missing_right ? kNoCode : 0;
    else
      held = cell.set < 0 ? row.codes[c] : in_set(forest, cell.set, row.codes[c]);
  }
}

// Places in a complete tree's heap, level by level; the last is that of the leaf.
void complete(const Forest& forest, const int32_t* trees, size_t count, int bits, Row& row) {
  std::array<const int32_t*, kTogether> planes{};
  std::array<size_t, kTogether> at{};
  for (size_t t = 0; t < kTogether; ++t)
    planes[t] = forest.plane_ids.data() + forest.trees[static_cast<size_t>(trees[t < count ? t : 0])].first;
  const uint8_t* answers = row.answers.data();
  for (int level = 0; level < bits; ++level)
#pragma GCC unroll 8
    for (size_t t = 0; t < kTogether; ++t) at[t] = 2 * at[t] + 1 + answers[planes[t][at[t]]];
  const std::array<size_t, kTogether> leaf = at;  // apart from the places, which stay in registers
  for (size_t t = 0; t < count; ++t) {
    const auto tree = static_cast<size_t>(trees[t]);
    row.values[tree] = forest.trees[tree].leaves + static_cast<int64_t>(leaf[t]) - ((int64_t{1} << bits) - 1);
  }
}

void deep(const Forest& forest, const int32_t* trees, size_t count, Row& row) {
  std::array<const DeepNode*, kTogether> nodes{};
  std::array<size_t, kTogether> at{};
  for (size_t t = 0; t < kTogether; ++t)
    nodes[t] = forest.deep_nodes.data() + forest.trees[static_cast<size_t>(trees[t < count ? t : 0])].first;
  const uint16_t* cells = row.cells.data();
  for (bool moving = true; moving;) {
    for (int step = 0; step < 4; ++step)
#pragma GCC unroll 8
      for (size_t t = 0; t < kTogether; ++t) {
        const DeepNode& node = nodes[t][at[t]];
        at[t] = size_t{node.left} + (node.code < cells[node.cell] ? 1 : 0);
      }
    moving = false;
#pragma GCC unroll 8
    for (size_t t = 0; t < kTogether; ++t) moving |= nodes[t][at[t]].left != at[t];
  }
  const std::array<size_t, kTogether> leaf = at;  // apart from the places, which stay in registers
  for (size_t t = 0; t < count; ++t) {
    const Tree& tree = forest.trees[static_cast<size_t>(trees[t])];
    row.values[static_cast<size_t>(trees[t])] = tree.leaves + nodes[t][leaf[t]].number() * forest.width;
  }
}

void walk(const Forest& forest, int32_t number, Row& row) {
  const Tree& tree = forest.trees[static_cast<size_t>(number)];
  const int32_t leaf = ops::leaf_one(
      forest.nodes.data() + tree.root, forest.sets.data(), forest.set_words,
      [&](int32_t c) -> uint32_t { return row.codes[static_cast<size_t>(c)]; },
      [&](int32_t c) { return row.missing[static_cast<size_t>(c)] != 0; });
  row.values[static_cast<size_t>(number)] = tree.leaves + leaf * forest.width;
}

void fill_bytes(const Rows& rows, Row& row) {
  const Forest& forest = rows.forest;
  uint8_t* byte = row.bytes.data();
  for (const ByteCell& cell : rows.abreast.cells) {
    const auto c = static_cast<size_t>(cell.question.column);
    const bool missing = row.missing[c] != 0;
    if (cell.answers)
      *byte++ = ops::goes_right(cell.question, row.codes[c], missing, forest.sets.data(), forest.set_words);
    else
      *byte++ = static_cast<uint8_t>(row.codes[c] | (missing && cell.question.missing_right() ? 255 : 0));
  }
}

void number_abreast(const Rows& rows, Row& row) {
  fill_bytes(rows, row);
  uint8_t* numbers = row.numbers.data();
  for (const TreesAbreast& block : rows.abreast.blocks) {
    rows.find_abreast(block, row.bytes.data(), static_cast<int64_t>(rows.abreast.cells.size()), numbers);
    numbers += kTreesAbreast;
  }
}

int64_t value_of(const LeafAbreast& leaf, const Row& row) {
  return leaf.first + (row.numbers[static_cast<size_t>(leaf.place)] >> leaf.shift);
}

void find_leaves(const Rows& rows, Row& row) {
  const Forest& forest = rows.forest;
  for (size_t t = 0; t < rows.abreast.trees.size(); ++t)
    row.values[static_cast<size_t>(rows.abreast.trees[t])] = value_of(rows.abreast.leaves[t], row);
  for (size_t first = 0; first < rows.order.size();) {
    const int32_t* trees = rows.order.data() + first;
    const Tree& tree = forest.trees[static_cast<size_t>(trees[0])];
    size_t count = 1;
    while (count < kTogether && first + count < rows.order.size()) {
      const Tree& next = forest.trees[static_cast<size_t>(trees[count])];
      if (next.shape != tree.shape || next.bits != tree.bits) break;
      ++count;
    }
    if (tree.shape == Shape::complete)
      complete(forest, trees, count, tree.bits, row);
    else if (tree.shape == Shape::deep)
      deep(forest, trees, count, row);
    else
      for (size_t t = 0; t < count; ++t) walk(forest, trees[t], row);
    first += count;
  }
}

// Leaf values are added in the forest's order, whatever the order in which leaves were found.
template <typename Sum>
void add_leaves(const Forest& forest, const Row& row, Sum* sums) {
  const LeafValues<Sum>& values = forest.values<Sum>();
  if (forest.outputs == 1) {  // the sum stays in a register
    Sum sum = sums[0];
    for (size_t t = 0; t < forest.trees.size(); ++t) {
      const bool table = forest.trees[t].shape == Shape::complete;
      sum += (table ? values.tables : values.vectors)[static_cast<size_t>(row.values[t])];
    }
    sums[0] = sum;
    return;
  }
  for (size_t t = 0; t < forest.trees.size(); ++t) {
    const Tree& tree = forest.trees[t];
    const bool table = tree.shape == Shape::complete;
    const Sum* value = (table ? values.tables : values.vectors).data() + row.values[t];
    const int64_t step = table ? std::max(kFewestLeaves, 1 << tree.bits) : 1;
    for (int64_t j = 0; j < forest.width; ++j) sums[tree.output + j] += value[j * step];
  }
}

// As above, of trees that are all abreast.
template <typename Sum>
void add_abreast(const Rows& rows, const Row& row, Sum* sums) {
  const Sum* tables = rows.forest.values<Sum>().tables.data();
  Sum sum = sums[0];
  for (const LeafAbreast& leaf : rows.abreast.leaves) sum += tables[value_of(leaf, row)];
  sums[0] = sum;
}

template <typename T, typename Sum>
void margins_of(const Rows& rows, const T* x, int64_t n, Sum* out) {
  static thread_local Row row;
  row.codes.resize(rows.edges.size());
  row.missing.resize(rows.edges.size());
  row.cells.assign(rows.forest.cells.size() * kTileRows, 0);
  row.answers.resize(rows.forest.planes.size());
  row.values.resize(rows.forest.trees.size());
  row.numbers.resize(rows.abreast.blocks.size() * kTreesAbreast + 1);  // lone leaves look at one as well
  const bool all_abreast = rows.forest.outputs == 1 && rows.order.empty();
  const auto outputs = static_cast<int64_t>(rows.base.size());
  for (int64_t i = 0; i < n; ++i) {
    code(rows, x + i * static_cast<int64_t>(rows.edges.size()), row);
    Sum* sums = out + i * outputs;
    for (int64_t k = 0; k < outputs; ++k) sums[k] = static_cast<Sum>(rows.base[static_cast<size_t>(k)]);
    number_abreast(rows, row);
    if (all_abreast) {
      add_abreast(rows, row, sums);
      continue;
    }
    if (rows.asks_planes) answer_planes(rows, row);
    fill_cells(rows.forest, row);
    find_leaves(rows, row);
    add_leaves(rows.forest, row, sums);
  }
}

}  // namespace

Rows::Rows(Forest given, std::vector<EdgeTable> tables, std::vector<double> margins)
    : forest(std::move(given)), edges(std::move(tables)), base(std::move(margins)), order(forest.trees.size()) {
  for (const PlaneGroup& group : forest.groups) {
    std::vector<uint32_t> counts(static_cast<size_t>(forest.n_codes[static_cast<size_t>(group.column)]));
    int64_t count = 0;
    for (size_t code = 0; code < counts.size(); ++code) {
      while (count < group.thresholds &&
             forest.planes[static_cast<size_t>(group.first + count)].code <= static_cast<int32_t>(code))
        ++count;
      counts[code] = static_cast<uint32_t>(count);
    }
    reached.push_back(std::move(counts));
  }
  std::iota(order.begin(), order.end(), 0);
  find_abreast = leaf_numbers();
  if (find_abreast != nullptr) abreast = set_abreast(forest, order);
  asks_planes = std::any_of(order.begin(), order.end(), [this](int32_t tree) {
    return forest.trees[static_cast<size_t>(tree)].shape == Shape::complete;
  });
  most = order.empty() ? kFewRowsAbreast : kFewRows;
  std::stable_sort(order.begin(), order.end(), [this](int32_t a, int32_t b) {
    const Tree &one = forest.trees[static_cast<size_t>(a)], &other = forest.trees[static_cast<size_t>(b)];
    return std::tie(one.shape, one.bits) < std::tie(other.shape, other.bits);
  });
}

void margins(const Rows& rows, const void* x, int64_t n, void* out) {
  const bool wide = rows.edges.front().type == Type::f8;
  if (rows.forest.doubles)
    wide ? margins_of(rows, static_cast<const double*>(x), n, static_cast<double*>(out))
         : margins_of(rows, static_cast<const float*>(x), n, static_cast<double*>(out));
  else
    wide ? margins_of(rows, static_cast<const double*>(x), n, static_cast<float*>(out))
         : margins_of(rows, static_cast<const float*>(x), n, static_cast<float*>(out));
}

}  // namespace mlcore::cpu
