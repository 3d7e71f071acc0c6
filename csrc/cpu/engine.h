// The bit-sliced forest on one block, written once over a vector type V; each instruction set includes this file.
// Everything lies in an unnamed namespace: code compiled for one instruction set must never be merged with another's.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu/bin_engine.h"
#include "cpu/block.h"
#include "cpu/deep.h"
#include "ops/forest.h"

namespace mlcore::cpu {
namespace {

// Sets a plane's missing rows to their branch; codes of missing rows are 0 and compare as such before.
inline void settle_missing(uint64_t* plane, const uint64_t* missing, int64_t words, bool right) {
  for (int64_t w = 0; w < words; ++w) plane[w] = right ? plane[w] | missing[w] : plane[w] & ~missing[w];
}

inline void set_plane_wide(const uint16_t* codes, const uint64_t* set, int64_t words, uint64_t* plane) {
  for (int64_t w = 0; w < words; ++w) {
    uint64_t word = 0;
    for (int64_t i = 0; i < 64; ++i) {
      const uint32_t code = codes[64 * w + i];
      word |= ((set[code >> 6] >> (code & 63)) & 1) << i;
    }
    plane[w] = word;
  }
}

// A block at work: planes lie `stride` words apart, and `words` of each are in use.
struct Planes {
  uint64_t* first;
  int64_t stride, words;

  // How far sums of outputs, and cells, lie apart.
  int64_t rows_apart() const { return 64 * stride; }

  uint64_t* at(int64_t plane) const { return first + plane * stride; }
};

template <typename V>
void fill_planes(const Questions& asked, const BlockColumn* columns, const Planes& planes) {
  for (const PlaneGroup& group : asked.groups) {
    const BlockColumn& column = columns[group.column];
    const Plane* plane = asked.planes.data() + group.first;
    for (int64_t w = 0; w < planes.words; w += kBlockWords) {
      uint64_t* out = planes.at(group.first) + w;
      if (column.codes.wide)
        V::thresholds(static_cast<const uint16_t*>(column.codes.data) + 64 * w, plane, group.thresholds, out,
                      planes.stride);
      else
        V::thresholds(static_cast<const uint8_t*>(column.codes.data) + 64 * w, plane, group.thresholds, out,
                      planes.stride);
    }
    for (int64_t i = group.thresholds; i < group.thresholds + group.sets; ++i) {
      const uint64_t* set = asked.sets.data() + plane[i].code * asked.set_words;
      uint64_t* out = planes.at(group.first + i);
      if (column.codes.wide)
        set_plane_wide(static_cast<const uint16_t*>(column.codes.data), set, planes.words, out);
      else
        V::members(static_cast<const uint8_t*>(column.codes.data), set, asked.set_words, planes.words, out);
    }
    if (column.any_missing)
      for (int64_t i = 0; i < group.thresholds + group.sets; ++i)
        settle_missing(planes.at(group.first + i), column.missing, planes.words, plane[i].missing);
  }
}

// The plane of the node that a row stands on at level Level, out of the 2^Level heap slots from `slot` on: chosen by
// the levels above it, bit[Level - 1] (the last decision) last.
template <typename V, int Level, int Step = 0>
inline typename V::Reg chosen(const uint64_t* planes, int64_t plane_stride, const int32_t* ids, int64_t slot,
                              const typename V::Reg* bit) {
  if constexpr (Step == Level) {
    return V::load(planes + ids[slot] * plane_stride);
  } else {
    // Bit Level - 1 - Step splits the slots into even and odd runs of length 2^Step.
    constexpr int64_t stride = int64_t{1} << Step;
    const typename V::Reg left = chosen<V, Level, Step + 1>(planes, plane_stride, ids, slot, bit);
    const typename V::Reg right = chosen<V, Level, Step + 1>(planes, plane_stride, ids, slot + stride, bit);
    return V::mux(bit[Level - 1 - Step], right, left);
  }
}

template <typename V, int Level, int Depth>
inline void decide(const uint64_t* planes, int64_t plane_stride, const int32_t* ids, typename V::Reg* bit) {
  if constexpr (Level < Depth) {
    bit[Level] = chosen<V, Level>(planes, plane_stride, ids, (int64_t{1} << Level) - 1, bit);
    decide<V, Level + 1, Depth>(planes, plane_stride, ids, bit);
  }
}

// Adds the values of a tree's leaf table to the sums of V::rows rows from `at` on; bit[0] is the leaf number's highest.
template <typename V, int Bits, typename Sum>
void add_leaves(const Forest& forest, const Tree& tree, const typename V::Reg* bit, int64_t at, int64_t apart,
                Sum* sums) {
  constexpr int64_t size = int64_t{1} << Bits > kFewestLeaves ? int64_t{1} << Bits : kFewestLeaves;
  for (int64_t j = 0; j < forest.width; ++j) {
    const int64_t table = tree.leaves + j * size;
    Sum* target = sums + (tree.output + j) * apart + at;
    V::template add_leaves<Bits>(bit, forest.values<Sum>(), table, target);
  }
}

template <typename V, int Bits, typename Sum>
void complete(const Forest& forest, const Tree& tree, const Planes& planes, Sum* sums) {
  for (int64_t at = 0; at < 64 * planes.words; at += V::rows) {
    typename V::Reg bit[Bits];
    decide<V, 0, Bits>(planes.first + at / 64, planes.stride, forest.plane_ids.data() + tree.first, bit);
    add_leaves<V, Bits>(forest, tree, bit, at, planes.rows_apart(), sums);
  }
}

// Every node of a level asks the same question: the answers are the leaf number.
template <typename V, int Bits, typename Sum>
void oblivious(const Forest& forest, const Tree& tree, const Planes& planes, Sum* sums) {
  const int32_t* ids = forest.plane_ids.data() + tree.first;
  for (int64_t at = 0; at < 64 * planes.words; at += V::rows) {
    typename V::Reg bit[Bits];
    for (int b = 0; b < Bits; ++b) bit[b] = V::load(planes.at(ids[b]) + at / 64);
    add_leaves<V, Bits>(forest, tree, bit, at, planes.rows_apart(), sums);
  }
}

// The muxes of a network one after another, each on Regs registers of rows: what a mux costs beside its loads is
// shared.
template <typename V, int Bits, int Regs, typename Sum>
void network(const Forest& forest, const Tree& tree, const Planes& planes, int64_t at, Sum* sums) {
  using Reg = typename V::Reg;
  using Slot = Reg[Regs];
  Slot* slot = reinterpret_cast<Slot*>(planes.at(static_cast<int64_t>(forest.planes.size())));
  for (int r = 0; r < Regs; ++r) {
    slot[0][r] = V::none();
    slot[1][r] = V::all();
  }
  const Mux* muxes = forest.muxes.data() + tree.first;
  for (int64_t i = 0; i < tree.count; ++i) {
    const Mux& mux = muxes[i];
    const uint64_t *plane = planes.at(mux.plane) + at / 64, *left = planes.at(mux.left) + at / 64,
                   *right = planes.at(mux.right) + at / 64;
    const Slot &a = slot[mux.from[0]], &b = slot[mux.from[1]], &c = slot[mux.from[2]], &d = slot[mux.from[3]];
    Slot& to = slot[mux.to];
    for (int r = 0; r < Regs; ++r) {
      const int64_t word = r * V::rows / 64;
      const Reg lower = V::mux(V::load(left + word), b[r], a[r]), upper = V::mux(V::load(right + word), d[r], c[r]);
      to[r] = V::mux(V::load(plane + word), upper, lower);
    }
  }
  for (int r = 0; r < Regs; ++r) {
    Reg bit[Bits];
    for (int b = 0; b < Bits; ++b) bit[b] = slot[kResultSlot + b][r];
    add_leaves<V, Bits>(forest, tree, bit, at + r * V::rows, planes.rows_apart(), sums);
  }
}

template <typename V, int Bits, typename Sum>
void network(const Forest& forest, const Tree& tree, const Planes& planes, Sum* sums) {
  int64_t at = 0;
  const int64_t rows = 64 * planes.words;
  for (; at + kMuxRegisters * V::rows <= rows; at += kMuxRegisters * V::rows)
    network<V, Bits, kMuxRegisters>(forest, tree, planes, at, sums);
  for (; at < rows; at += V::rows) network<V, Bits, 1>(forest, tree, planes, at, sums);
}

// The cell of kBlockRows rows from `first` on.
inline void fill_cell(const Forest& forest, const BlockColumn* columns, const Cell& cell, int64_t first,
                      uint16_t* out) {
  if (cell.column < 0) {
    std::fill(out, out + kBlockRows, uint16_t{0});
    return;
  }
  const BlockColumn& column = columns[cell.column];
  const auto* wide = static_cast<const uint16_t*>(column.codes.data) + first;
  const auto* narrow = static_cast<const uint8_t*>(column.codes.data) + first;
  if (column.codes.wide)
    std::copy(wide, wide + kBlockRows, out);
  else
    std::copy(narrow, narrow + kBlockRows, out);
  if (cell.set >= 0) {
    const uint64_t* set = forest.sets.data() + cell.set * forest.set_words;
    for (int64_t row = 0; row < kBlockRows; ++row) out[row] = (set[out[row] >> 6] >> (out[row] & 63)) & 1;
  }
  if (!forest.clusters.empty())
    for (int64_t row = 0; row < kBlockRows; ++row) ++out[row];
  if (!column.any_missing) return;
  for (int64_t w = 0; w < kBlockWords; ++w)
    for (uint64_t left = column.missing[first / 64 + w]; left != 0; left &= left - 1)
      out[64 * w + __builtin_ctzll(left)] = cell.missing_right ? kNoCode : 0;
}

// Writes the cells that trees look at: of each kTileRows rows cell after cell, so that where a row's lies among them is
// known without its number; for clusters those of each row side by side.
inline void fill_cells(const Forest& forest, const BlockColumn* columns, int64_t rows, uint16_t* cells) {
  const auto count = static_cast<int64_t>(forest.cells.size()), room = forest.room_for_cells();
  uint16_t codes[kBlockRows];
  for (int64_t first = 0; first < rows; first += kBlockRows)
    for (int64_t v = 0; v < count; ++v) {
      fill_cell(forest, columns, forest.cells[static_cast<size_t>(v)], first, codes);
      uint16_t* out = cells + first * room;
      if (!forest.clusters.empty())
        for (int64_t row = 0; row < kBlockRows; ++row) out[row * room + v] = codes[row];
      else
        for (int64_t row = 0; row < kBlockRows; row += kTileRows)
          std::memcpy(out + row * room + v * kTileRows, codes + row, sizeof(uint16_t) * kTileRows);
    }
}

// Adds what the leaves with these numbers hold to the sums of rows from `first` on. Width is that of the forest where
// it is known in advance, else 0.
template <typename Order, int Width, typename Sum>
void add_vectors(const Forest& forest, const Tree& tree, const uint32_t* numbers, int64_t count, int64_t first,
                 int64_t apart, Sum* sums) {
  const Sum* values = forest.values<Sum>().vectors.data() + tree.leaves;
  const int64_t width = Width > 0 ? Width : forest.width;
  Sum* own = sums + tree.output * apart;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t place = Order::template position<Sum>(first + i);
    for (int64_t j = 0; j < width; ++j) own[j * apart + place] += values[numbers[i] * width + j];
  }
}

constexpr int64_t kNodesOfLine = 64 / sizeof(DeepNode), kCellsOfLine = 64 / sizeof(uint16_t);
constexpr int64_t kFewCells = 128;  // most of which a tile asks for on its way down a tree

template <typename Order, int Width, typename Sum>
void deep(const Forest& forest, const Tree& tree, const uint16_t* cells, int64_t rows, int64_t apart, Sum* sums) {
  const DeepNode* nodes = forest.deep_nodes.data() + tree.first;
  const auto count = static_cast<int64_t>(forest.cells.size());
  if (rows >= tree.count / kNodesOfLine)  // most of its lines will be asked for: at once is sooner than one by one
    for (int64_t i = 0; i < tree.count; i += kNodesOfLine) __builtin_prefetch(nodes + i, 0, 2);
  const int64_t ahead = count <= kFewCells ? kTileRows * count : 0;
  uint32_t numbers[kTileRows];
  for (int64_t first = 0; first < rows; first += kTileRows) {
    const uint16_t* tile = cells + first * count;
    const uint16_t* next = tile + kTileRows * count;  // asked for past the second cache, which is for the nodes
    for (int64_t c = 0; c < ahead; c += kCellsOfLine) __builtin_prefetch(next + c, 0, 0);
    find_leaves(nodes, tree, tile, numbers);
    add_vectors<Order, Width>(forest, tree, numbers, kTileRows, first, apart, sums);
  }
}

// Which way kBlockRows rows from `first` on take through the top of a tree of clusters.
template <typename V>
void pass_top(const Forest& forest, const Tree& tree, const BlockColumn* columns, int64_t first, uint8_t* taken) {
  constexpr auto ids = [] {
    std::array<int32_t, (1 << kTopLevels) - 1> slots{};
    for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<int32_t>(i);
    return slots;
  }();
  alignas(64) uint64_t planes[ids.size()][kBlockWords];
  const TopNode* nodes = forest.top_nodes.data() + tree.count * static_cast<int64_t>(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const TopNode& node = nodes[i];
    if (node.column < 0) {
      std::fill(planes[i], planes[i] + kBlockWords, uint64_t{0});
      continue;
    }
    const BlockColumn& column = columns[node.column];
    const auto* wide = static_cast<const uint16_t*>(column.codes.data) + first;
    const auto* narrow = static_cast<const uint8_t*>(column.codes.data) + first;
    const uint64_t* set = node.of_set ? forest.sets.data() + node.plane.code * forest.set_words : nullptr;
    if (node.of_set)
      column.codes.wide ? set_plane_wide(wide, set, kBlockWords, planes[i])
                        : V::members(narrow, set, forest.set_words, kBlockWords, planes[i]);
    else
      column.codes.wide ? V::thresholds(wide, &node.plane, 1, planes[i], kBlockWords)
                        : V::thresholds(narrow, &node.plane, 1, planes[i], kBlockWords);
    if (column.any_missing) settle_missing(planes[i], column.missing + first / 64, kBlockWords, node.plane.missing);
  }
  typename V::Reg bit[kTopLevels];
  decide<V, 0, kTopLevels>(planes[0], kBlockWords, ids.data(), bit);
  V::numbers(bit, taken);
}

template <typename V, typename Order, int Width, typename Sum>
void clusters(const Forest& forest, const Tree& tree, const BlockColumn* columns, const uint16_t* cells, int64_t rows,
              int64_t apart, Sum* sums) {
  static_assert(V::rows == kBlockRows);
  const Cluster* below = forest.clusters.data() + tree.first;
  const uint32_t* ways = forest.top_ways.data() + (tree.count << kTopLevels);
  const int64_t room = forest.room_for_cells();
  alignas(64) uint8_t taken[kBlockRows];
  uint32_t numbers[kBlockRows];
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    pass_top<V>(forest, tree, columns, first, taken);
    for (int64_t row = 0; row < kBlockRows; row += kClusterRows)
      V::find_leaves(below, cells + (first + row) * room, room, ways, taken + row, numbers + row);
    add_vectors<Order, Width>(forest, tree, numbers, kBlockRows, first, apart, sums);
  }
}

template <typename V, typename Order, int Width, typename Sum>
void add_deep(const Forest& forest, const Tree& tree, const BlockColumn* columns, const uint16_t* cells, int64_t rows,
              int64_t apart, Sum* sums) {
  if constexpr (V::clusters)
    if (tree.shape == Shape::clusters)
      return clusters<V, Order, Width>(forest, tree, columns, cells, rows, apart, sums);
  deep<Order, Width>(forest, tree, cells, rows, apart, sums);
}

template <typename Order, typename Sum>
void walk(const Forest& forest, const Tree& tree, const BlockColumn* columns, int64_t rows, int64_t apart, Sum* sums) {
  const ops::Node* nodes = forest.nodes.data() + tree.root;
  const Sum* values = forest.values<Sum>().vectors.data() + tree.leaves;
  for (int64_t row = 0; row < rows; ++row) {
    const int32_t leaf = ops::leaf_one(
        nodes, forest.sets.data(), forest.set_words,
        [&](int32_t c) -> uint32_t {
          return columns[c].codes.wide ? static_cast<const uint16_t*>(columns[c].codes.data)[row]
                                       : static_cast<const uint8_t*>(columns[c].codes.data)[row];
        },
        [&](int32_t c) { return ((columns[c].missing[row >> 6] >> (row & 63)) & 1) != 0; });
    for (int64_t j = 0; j < forest.width; ++j)
      sums[(tree.output + j) * apart + Order::template position<Sum>(row)] += values[leaf * forest.width + j];
  }
}

template <typename V, int Bits, typename Sum>
void add_numbered(const Forest& forest, const Tree& tree, const Planes& planes, Sum* sums) {
  if (tree.shape == Shape::oblivious) return oblivious<V, Bits>(forest, tree, planes, sums);
  tree.shape == Shape::complete ? complete<V, Bits>(forest, tree, planes, sums)
                                : network<V, Bits>(forest, tree, planes, sums);
}

template <typename V, typename Order, typename Sum>
void add_tree(const Forest& forest, const Tree& tree, const BlockColumn* columns, const Planes& planes,
              const uint16_t* cells, Sum* sums) {
  const int64_t rows = 64 * planes.words, apart = planes.rows_apart();
  if (tree.shape == Shape::deep || tree.shape == Shape::clusters)
    return forest.width == 1   ? add_deep<V, Order, 1>(forest, tree, columns, cells, rows, apart, sums)
           : forest.width == 2 ? add_deep<V, Order, 2>(forest, tree, columns, cells, rows, apart, sums)
                               : add_deep<V, Order, 0>(forest, tree, columns, cells, rows, apart, sums);
  if (tree.shape == Shape::walk) return walk<Order>(forest, tree, columns, rows, apart, sums);
  switch (tree.bits) {
    case 0:
      for (int64_t j = 0; j < forest.width; ++j)
        for (int64_t row = 0; row < rows; ++row)
          sums[(tree.output + j) * planes.rows_apart() + row] +=
              forest.values<Sum>().tables[tree.leaves + j * kFewestLeaves];
      break;
#define MLCORE_BITS(b)                              \
  case b:                                           \
    add_numbered<V, b>(forest, tree, planes, sums); \
    break;
      MLCORE_BITS(1)
      MLCORE_BITS(2) MLCORE_BITS(3) MLCORE_BITS(4) MLCORE_BITS(5) MLCORE_BITS(6) MLCORE_BITS(7) MLCORE_BITS(8)
#undef MLCORE_BITS
  }
}

// The sums of rows that no V adds to, one after another.
struct Straight {
  template <typename Sum>
  static int64_t position(int64_t row) {
    return row;
  }
};

// `sums` has room for a block's rows of each output, in the order in which V adds to them.
template <typename V, typename Order, typename Sum>
void margins_in(const Forest& forest, const BlockColumn* columns, const BlockRoom& room, int64_t rows, Sum* out) {
  const Planes planes{room.planes, room.rows / 64, (rows + kBlockRows - 1) / kBlockRows * kBlockWords};
  Sum* sums = reinterpret_cast<Sum*>(room.sums);
  fill_planes<V>(forest, columns, planes);
  if (!forest.cells.empty()) fill_cells(forest, columns, 64 * planes.words, room.cells);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < forest.outputs; ++k)
      sums[k * room.rows + Order::template position<Sum>(row)] = out[row * forest.outputs + k];
  for (const Tree& tree : forest.trees) add_tree<V, Order>(forest, tree, columns, planes, room.cells, sums);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < forest.outputs; ++k)
      out[row * forest.outputs + k] = sums[k * room.rows + Order::template position<Sum>(row)];
}

template <typename V, typename Sum>
void margins(const Forest& forest, const BlockColumn* columns, const BlockRoom& room, int64_t rows, Sum* out) {
  forest.planes.empty() ? margins_in<V, Straight>(forest, columns, room, rows, out)
                        : margins_in<V, V>(forest, columns, room, rows, out);
}

template <typename V, typename T>
void nan_words(const T* values, int64_t rows, uint64_t* missing) {
  constexpr int64_t lanes = V::register_bytes / static_cast<int64_t>(sizeof(T));
  for (int64_t w = 0; w < words_for(rows); ++w) {
    const T* x = values + 64 * w;
    const int64_t left = rows - 64 * w;
    uint64_t word = 0;
    if (left >= 64)
      for (int64_t i = 0; i < 64; i += lanes) word |= V::nan_bits(x + i) << i;
    else
      for (int64_t i = 0; i < left; ++i) word |= static_cast<uint64_t>(x[i] != x[i]) << i;
    missing[w] = word;
  }
}

template <typename V>
void nan(Type type, const void* values, int64_t rows, uint64_t* missing) {
  if (type == Type::f4)
    nan_words<V>(static_cast<const float*>(values), rows, missing);
  else
    nan_words<V>(static_cast<const double*>(values), rows, missing);
}

inline int64_t count(const uint64_t* bits, int64_t rows) {
  int64_t found = 0;
  for (int64_t w = 0; w < words_for(rows); ++w) found += __builtin_popcountll(bits[w]);
  return found;
}

}  // namespace
}  // namespace mlcore::cpu

#include "cpu/explain_engine.h"  // over the planes above

namespace mlcore::cpu {
namespace {

template <typename V>
constexpr Kernels kernels_over() {
  return {V::levels, V::clusters,       V::bits_of_short_pieces, bin<V>,    bin_row<V>, nan<V>,
          count,     margins<V, float>, margins<V, double>,      explain<V>};
}

}  // namespace
}  // namespace mlcore::cpu
