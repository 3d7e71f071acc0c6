// The bit-sliced forest on one block, written once over a vector type V; each instruction set includes this file.
// Everything lies in an unnamed namespace: code compiled for one instruction set must never be merged with another's.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/block.h"
#include "ops/bin.h"
#include "ops/forest.h"

namespace mlcore::cpu {
namespace {

// Sets a plane's missing rows to their branch; codes of missing rows are 0 and compare as such before.
inline void settle_missing(uint64_t* plane, const uint64_t* missing, bool right) {
  for (int64_t w = 0; w < kBlockWords; ++w) plane[w] = right ? plane[w] | missing[w] : plane[w] & ~missing[w];
}

inline void set_plane_wide(const uint16_t* codes, const uint64_t* set, uint64_t* plane) {
  for (int64_t w = 0; w < kBlockWords; ++w) {
    uint64_t word = 0;
    for (int64_t i = 0; i < 64; ++i) {
      const uint32_t code = codes[64 * w + i];
      word |= ((set[code >> 6] >> (code & 63)) & 1) << i;
    }
    plane[w] = word;
  }
}

template <typename V>
void fill_planes(const Questions& asked, const BlockColumn* columns, uint64_t* planes) {
  for (const PlaneGroup& group : asked.groups) {
    const BlockColumn& column = columns[group.column];
    uint64_t* out = planes + group.first * kBlockWords;
    const Plane* plane = asked.planes.data() + group.first;
    if (column.codes.wide)
      V::thresholds(static_cast<const uint16_t*>(column.codes.data), plane, group.thresholds, out);
    else
      V::thresholds(static_cast<const uint8_t*>(column.codes.data), plane, group.thresholds, out);
    for (int64_t i = group.thresholds; i < group.thresholds + group.sets; ++i) {
      const uint64_t* set = asked.sets.data() + plane[i].code * asked.set_words;
      if (column.codes.wide)
        set_plane_wide(static_cast<const uint16_t*>(column.codes.data), set, out + i * kBlockWords);
      else
        V::members(static_cast<const uint8_t*>(column.codes.data), set, asked.set_words, out + i * kBlockWords);
    }
    if (column.any_missing)
      for (int64_t i = 0; i < group.thresholds + group.sets; ++i)
        settle_missing(out + i * kBlockWords, column.missing, plane[i].missing);
  }
}

// The plane of the node that a row stands on at level Level, out of the 2^Level heap slots from `slot` on: chosen by
// the levels above it, bit[Level - 1] (the last decision) last.
template <typename V, int Level, int Step = 0>
inline typename V::Reg chosen(const uint64_t* planes, const int32_t* ids, int64_t slot, const typename V::Reg* bit) {
  if constexpr (Step == Level) {
    return V::load(planes + ids[slot] * kBlockWords);
  } else {
    // Bit Level - 1 - Step splits the slots into even and odd runs of length 2^Step.
    constexpr int64_t stride = int64_t{1} << Step;
    const typename V::Reg left = chosen<V, Level, Step + 1>(planes, ids, slot, bit);
    const typename V::Reg right = chosen<V, Level, Step + 1>(planes, ids, slot + stride, bit);
    return V::mux(bit[Level - 1 - Step], right, left);
  }
}

template <typename V, int Level, int Depth>
inline void decide(const uint64_t* planes, const int32_t* ids, typename V::Reg* bit) {
  if constexpr (Level < Depth) {
    bit[Level] = chosen<V, Level>(planes, ids, (int64_t{1} << Level) - 1, bit);
    decide<V, Level + 1, Depth>(planes, ids, bit);
  }
}

// Adds the values of a tree's leaf table to the sums of V::rows rows from `at` on; bit[0] is the leaf number's highest.
template <typename V, int Bits, typename Sum>
void add_leaves(const Forest& forest, const Tree& tree, const typename V::Reg* bit, int64_t at, Sum* sums) {
  constexpr int64_t size = int64_t{1} << Bits > kFewestLeaves ? int64_t{1} << Bits : kFewestLeaves;
  for (int64_t j = 0; j < forest.width; ++j) {
    const int64_t table = tree.leaves + j * size;
    Sum* target = sums + (tree.output + j) * kBlockRows + at;
    if constexpr (std::is_same_v<Sum, float>)
      V::template add_leaves<Bits>(bit, forest.floats.tables.data() + table, forest.floats.bytes.data() + 4 * table,
                                   target);
    else
      V::template add_leaves<Bits>(bit, forest.exact.tables.data() + table, target);
  }
}

template <typename V, int Bits, typename Sum>
void complete(const Forest& forest, const Tree& tree, const uint64_t* planes, Sum* sums) {
  for (int64_t at = 0; at < kBlockRows; at += V::rows) {
    typename V::Reg bit[Bits];
    decide<V, 0, Bits>(planes + at / 64, forest.plane_ids.data() + tree.first, bit);
    add_leaves<V, Bits>(forest, tree, bit, at, sums);
  }
}

template <typename V, int Bits, typename Sum>
void network(const Forest& forest, const Tree& tree, uint64_t* planes, Sum* sums) {
  using Reg = typename V::Reg;
  Reg* slot = reinterpret_cast<Reg*>(planes + static_cast<int64_t>(forest.planes.size()) * kBlockWords);
  slot[0] = V::none();
  slot[1] = V::all();
  const Mux* muxes = forest.muxes.data() + tree.first;
  for (int64_t at = 0; at < kBlockRows; at += V::rows) {
    for (int64_t i = 0; i < tree.count; ++i) {
      const Mux& mux = muxes[i];
      slot[mux.to] = V::mux(V::load(planes + mux.plane * kBlockWords + at / 64), slot[mux.one], slot[mux.zero]);
    }
    add_leaves<V, Bits>(forest, tree, slot + kResultSlot, at, sums);
  }
}

template <typename V, typename Sum>
void walk(const Forest& forest, const Tree& tree, const BlockColumn* columns, Sum* sums) {
  const ops::Node* nodes = forest.nodes.data() + tree.root;
  const Sum* values = forest.values<Sum>().nodes.data() + tree.root * forest.width;
  for (int64_t row = 0; row < kBlockRows; ++row) {
    const int32_t leaf = ops::leaf_one(
        nodes, forest.sets.data(), forest.set_words,
        [&](int32_t c) -> uint32_t {
          return columns[c].codes.wide ? static_cast<const uint16_t*>(columns[c].codes.data)[row]
                                       : static_cast<const uint8_t*>(columns[c].codes.data)[row];
        },
        [&](int32_t c) { return ((columns[c].missing[row >> 6] >> (row & 63)) & 1) != 0; });
    for (int64_t j = 0; j < forest.width; ++j)
      sums[(tree.output + j) * kBlockRows + V::template position<Sum>(row)] += values[leaf * forest.width + j];
  }
}

template <typename V, int Bits, typename Sum>
void add_numbered(const Forest& forest, const Tree& tree, uint64_t* planes, Sum* sums) {
  tree.shape == Shape::complete ? complete<V, Bits>(forest, tree, planes, sums)
                                : network<V, Bits>(forest, tree, planes, sums);
}

template <typename V, typename Sum>
void add_tree(const Forest& forest, const Tree& tree, const BlockColumn* columns, uint64_t* planes, Sum* sums) {
  if (tree.shape == Shape::walk) return walk<V>(forest, tree, columns, sums);
  switch (tree.bits) {
    case 0:
      for (int64_t j = 0; j < forest.width; ++j)
        for (int64_t row = 0; row < kBlockRows; ++row)
          sums[(tree.output + j) * kBlockRows + row] += forest.values<Sum>().tables[tree.leaves + j * kFewestLeaves];
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

// `sums` has room for kBlockRows of each output, in the order in which V adds to them.
template <typename V, typename Sum>
void margins(const Forest& forest, const BlockColumn* columns, uint64_t* planes, Sum* sums, int64_t rows, Sum* out) {
  fill_planes<V>(forest, columns, planes);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < forest.outputs; ++k)
      sums[k * kBlockRows + V::template position<Sum>(row)] = out[row * forest.outputs + k];
  for (const Tree& tree : forest.trees) add_tree<V>(forest, tree, columns, planes, sums);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < forest.outputs; ++k)
      out[row * forest.outputs + k] = sums[k * kBlockRows + V::template position<Sum>(row)];
}

template <typename T, typename Code>
void search(const EdgeTable& table, const T* values, int64_t rows, Code* codes) {
  const T* edges = table.as<T>();
  for (int64_t i = 0; i < rows; ++i) codes[i] = static_cast<Code>(ops::bin_one(values[i], edges, table.n));
}

// Two steps of 16 compares: which sixteenth of the table, then how many edges in it.
template <typename V, typename T>
void bin_two_level(const EdgeTable& table, const T* values, int64_t rows, uint8_t* codes) {
  const T* edges = reinterpret_cast<const T*>(table.two_level.data());
  const auto tops = V::edges16(edges + 256);
  if (table.n <= 16) {
    const auto only = V::edges16(edges);
    for (int64_t i = 0; i < rows; ++i) {
      const int32_t code = V::count_not_above(values[i], only);
      codes[i] = static_cast<uint8_t>(code > table.n ? table.n : code);
    }
    return;
  }
  for (int64_t i = 0; i < rows; ++i) {
    int32_t group = V::count_not_above(values[i], tops);
    group = group > 15 ? 15 : group;
    const int32_t code = 16 * group + V::count_not_above(values[i], V::edges16(edges + 16 * group));
    codes[i] = static_cast<uint8_t>(code > table.n ? table.n : code);  // +inf counts the padding too
  }
}

template <typename T, typename Code>
void look_up(const EdgeTable& table, const T* values, int64_t rows, Code* codes) {
  const T first = table.as<T>()[0], last = table.as<T>()[table.n - 1];
  const uint16_t* direct = table.direct.data();
  for (int64_t i = 0; i < rows; ++i) {
    const T x = values[i] < last ? values[i] : last;
    codes[i] = static_cast<Code>(x < first ? 0 : direct[x - first + 1]);
  }
}

template <int Most, typename T, typename Code>
void bin_buckets(const EdgeTable& table, const T* values, int64_t rows, Code* codes) {
  using A = std::conditional_t<std::is_same_v<T, float>, float, double>;
  const A low = static_cast<A>(table.buckets.low), scale = static_cast<A>(table.buckets.scale);
  const A last = static_cast<A>(table.buckets.start.size() - 1);
  const uint16_t* start = table.buckets.start.data();
  const T* edges = table.as<T>();
  for (int64_t i = 0; i < rows; ++i) {
    const int32_t before = start[ops::bucket_of(static_cast<A>(values[i]), low, scale, last)];
    int32_t code = before;
    for (int32_t j = 0; j < Most; ++j) code += edges[before + j] <= values[i];
    codes[i] = static_cast<Code>(code > table.n ? table.n : code);  // the highest value reaches the padding too
  }
}

template <typename T, typename Code>
void bin_buckets(const EdgeTable& table, const T* values, int64_t rows, Code* codes) {
  if (table.buckets.most == 1) return bin_buckets<1>(table, values, rows, codes);
  if (table.buckets.most == 2) return bin_buckets<2>(table, values, rows, codes);
  bin_buckets<4>(table, values, rows, codes);
}

template <typename V, typename T>
void bin_as(const EdgeTable& table, const void* values, int64_t rows, void* codes) {
  const T* typed = static_cast<const T*>(values);
  if constexpr (std::is_integral_v<T>) {
    if (!table.direct.empty() && table.n > 255) return look_up(table, typed, rows, static_cast<uint16_t*>(codes));
    if (!table.direct.empty()) return look_up(table, typed, rows, static_cast<uint8_t*>(codes));
  }
  if (!table.buckets.start.empty() && table.n > 255)
    bin_buckets(table, typed, rows, static_cast<uint16_t*>(codes));
  else if (!table.buckets.start.empty())
    bin_buckets(table, typed, rows, static_cast<uint8_t*>(codes));
  else if (table.n > 255)
    search(table, typed, rows, static_cast<uint16_t*>(codes));
  else if constexpr (V::two_level)
    bin_two_level<V>(table, typed, rows, static_cast<uint8_t*>(codes));
  else
    search(table, typed, rows, static_cast<uint8_t*>(codes));
}

template <typename V>
void bin(const EdgeTable& table, const void* values, int64_t rows, void* codes) {
  switch (table.type) {
    case Type::f4:
      return bin_as<V, float>(table, values, rows, codes);
    case Type::f8:
      return bin_as<V, double>(table, values, rows, codes);
    case Type::i4:
      return bin_as<V, int32_t>(table, values, rows, codes);
    case Type::i8:
      return bin_as<V, int64_t>(table, values, rows, codes);
  }
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

}  // namespace
}  // namespace mlcore::cpu

#include "cpu/explain_engine.h"  // over the planes above

namespace mlcore::cpu {
namespace {

template <typename V>
constexpr Kernels kernels_over() {
  return {bin<V>, nan<V>, margins<V, float>, margins<V, double>, explain<V>};
}

}  // namespace
}  // namespace mlcore::cpu
