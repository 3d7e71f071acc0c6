// Codes of values by their edges, written once over a vector type V: a part of cpu/engine.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu/block.h"
#include "ops/bin.h"

namespace mlcore::cpu {
namespace {

// ops::bin_one for values side by side: while one waits for its edge, the others go on, and none guesses a branch.
template <typename T, typename Code>
void search(const EdgeTable& table, const T* values, int64_t rows, Code* codes) {
  const T* edges = table.as<T>();
  int64_t i = 0;
  for (; i + kTogether <= rows; i += kTogether) {
    int32_t at[kTogether] = {};
    for (int32_t n = table.n; n > 0; n /= 2) {
      const int32_t half = (n + 1) / 2;
      for (int64_t k = 0; k < kTogether; ++k) at[k] += edges[at[k] + half - 1] <= values[i + k] ? half : 0;
    }
    for (int64_t k = 0; k < kTogether; ++k) codes[i + k] = static_cast<Code>(at[k]);
  }
  for (; i < rows; ++i) codes[i] = static_cast<Code>(ops::bin_one(values[i], edges, table.n));
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
    const T value = values[i], x = value < last ? value : last;
    codes[i] = static_cast<Code>(x < first ? 0 : direct[x - first + 1]);
  }
}

// Each value with each edge, several edges at a time; those that pad them included.
template <typename T, typename Code>
void count_each(const EdgeTable& table, const T* values, int64_t rows, Code* codes) {
  using Count = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  static_assert(kMostInBucket == 4);
  const T* edges = table.as<T>();
  const Count n = table.n;
  Count counts[kBlockRows];
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    const T* x = values + first;
    const int64_t some = std::min(kBlockRows, rows - first);
    for (int32_t e = 0; e < n || e == 0; e += 4) {
      const T a = edges[e], b = edges[e + 1], c = edges[e + 2], d = edges[e + 3];
      for (int64_t i = 0; i < some; ++i)
        counts[i] = (e == 0 ? 0 : counts[i]) + (a <= x[i]) + (b <= x[i]) + (c <= x[i]) + (d <= x[i]);
    }
    for (int64_t i = 0; i < some; ++i) codes[first + i] = static_cast<Code>(std::min(counts[i], n));
  }
}

// Which bucket each of up to kBlockRows values falls into. Each step goes over all values, so that those that are
// arithmetic alone work on several at once.
template <typename T>
void find_buckets(const EdgeTable& table, const T* values, int64_t rows, uint32_t* found) {
  const Buckets& buckets = table.buckets;
  const int shift = buckets.shift;
  if (buckets.of == Buckets::Of::one_width) {
    const T low = table.as<T>()[0];
    if constexpr (std::is_integral_v<T>) {
      const T high = table.as<T>()[table.n - 1];
      for (int64_t i = 0; i < rows; ++i)
        found[i] = static_cast<uint32_t>(ops::integers_above(values[i], low, high) >> shift);
    } else {
      const T scale = static_cast<T>(buckets.scale), last = static_cast<T>(buckets.count - 1);
      for (int64_t i = 0; i < rows; ++i) found[i] = ops::bucket_of(values[i], low, scale, last);
    }
    return;
  }
  const float lowest = buckets.lowest, highest = buckets.highest;
  uint32_t place[kBlockRows];
  for (int64_t i = 0; i < rows; ++i) {
    place[i] = ops::floats_above(static_cast<float>(values[i]), lowest, highest);
    found[i] = place[i] >> shift;
  }
  if (buckets.of == Buckets::Of::floats) return;
  const uint32_t* ways = buckets.ways.data();
  const uint32_t in_way = (uint32_t{1} << shift) - 1;
#pragma GCC unroll 8
  for (int64_t i = 0; i < rows; ++i) found[i] = ways[found[i]];
  for (int64_t i = 0; i < rows; ++i) found[i] = (found[i] >> 5) + ((place[i] & in_way) >> (found[i] & 31));
}

// Four values side by side, and two.
template <typename T>
struct Four;
template <>
struct Four<float> {
  using Values = float __attribute__((vector_size(16)));
};
template <>
struct Four<int32_t> {
  using Values = int32_t __attribute__((vector_size(16)));
};
template <>
struct Four<double> {
  using Values = double __attribute__((vector_size(32)));
  using Two = double __attribute__((vector_size(16)));
};
template <>
struct Four<int64_t> {
  using Values = int64_t __attribute__((vector_size(32)));
  using Two = int64_t __attribute__((vector_size(16)));
};
using FourCodes = Four<int32_t>::Values;

// The two values that begin at each of four places: a fetch brings both.
template <typename T>
struct Pairs {
  using Values = typename Four<T>::Values;
  Values first, second;

  template <typename Place>
  explicit Pairs(const Place& place) {
    if constexpr (sizeof(T) == 4) {
      using Words = uint64_t __attribute__((vector_size(16)));
      uint64_t pair[4];
      for (int k = 0; k < 4; ++k) std::memcpy(pair + k, place(k), sizeof *pair);
      const auto one = (Values)Words{pair[0], pair[1]}, other = (Values)Words{pair[2], pair[3]};
      first = __builtin_shufflevector(one, other, 0, 2, 4, 6);
      second = __builtin_shufflevector(one, other, 1, 3, 5, 7);
    } else {
      typename Four<T>::Two pair[4];
      for (int k = 0; k < 4; ++k) std::memcpy(pair + k, place(k), sizeof *pair);
      const Values even = __builtin_shufflevector(pair[0], pair[2], 0, 1, 2, 3);
      const Values odd = __builtin_shufflevector(pair[1], pair[3], 0, 1, 2, 3);
      first = __builtin_shufflevector(even, odd, 0, 4, 2, 6);
      second = __builtin_shufflevector(even, odd, 1, 5, 3, 7);
    }
  }
};

// Codes of values whose buckets have an entry each.
template <typename T>
struct ByEntry {
  const Entry<T>* entries;

  explicit ByEntry(const EdgeTable& table) : entries(reinterpret_cast<const Entry<T>*>(table.buckets.entries.data())) {}

  FourCodes operator()(const uint32_t* bucket, const typename Four<T>::Values& value) const {
    const Pairs<T> found([&](int k) { return entries + bucket[k]; });
    const auto reached = found.first <= value;  // -1 where it is
    return __builtin_convertvector((decltype(reached))found.second - reached, FourCodes);
  }
};

// Codes of values whose buckets have up to Most edges each.
template <typename T, int32_t Most>
struct ByStart {
  const uint16_t* start;
  const T* edges;
  FourCodes all;  // edges that there are

  explicit ByStart(const EdgeTable& table)
      : start(reinterpret_cast<const uint16_t*>(table.buckets.start.data())),
        edges(table.as<T>()),
        all(FourCodes{} + table.n) {}

  FourCodes operator()(const uint32_t* bucket, const typename Four<T>::Values& value) const {
    const int32_t at[4] = {start[bucket[0]], start[bucket[1]], start[bucket[2]], start[bucket[3]]};
    FourCodes code = {at[0], at[1], at[2], at[3]};
    for (int32_t j = 0; j < Most; j += 2) {
      const Pairs<T> found([&](int k) { return edges + at[k] + j; });
      code -= __builtin_convertvector((found.first <= value) + (found.second <= value), FourCodes);
    }
    if constexpr (std::is_integral_v<T>) code = code < all ? code : all;  // the highest one reaches the padding too
    return code;
  }
};

// The code of a value is `by` its bucket; `found` are the buckets of all.
template <typename T, typename By>
void count_in(By by, const uint32_t* found, const T* values, int64_t rows, uint16_t* codes) {
  using Eight = uint16_t __attribute__((vector_size(16)));
  const auto four = [=](const uint32_t* bucket, const T* x) {
    typename Four<T>::Values value;
    std::memcpy(&value, x, sizeof value);
    return (Eight)by(bucket, value);
  };
  const auto eight = [=](const uint32_t* bucket, const T* x, uint16_t* out) {
    const Eight low = four(bucket, x), high = four(bucket + 4, x + 4);
    const Eight code = __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
    std::memcpy(out, &code, sizeof code);
  };
  int64_t i = 0;
#pragma GCC unroll 2
  for (; i + 8 <= rows; i += 8) eight(found + i, values + i, codes + i);
  if (i == rows) return;
  uint32_t last_found[8] = {};
  T last[8] = {};
  uint16_t out[8];
  std::copy(found + i, found + rows, last_found);
  std::copy(values + i, values + rows, last);
  eight(last_found, last, out);
  std::copy(out, out + (rows - i), codes + i);
}

template <typename T, typename Code>
void bin_buckets(const EdgeTable& table, const T* values, int64_t rows, Code* codes) {
  uint32_t found[kBlockRows];
  uint16_t wide[kBlockRows];
  for (int64_t first = 0; first < rows; first += kBlockRows) {
    const int64_t some = std::min(kBlockRows, rows - first);
    const T* x = values + first;
    Code* out = codes + first;
    uint16_t* target = wide;
    if constexpr (sizeof(Code) == 2) target = out;
    find_buckets(table, x, some, found);
    if (!table.buckets.entries.empty())
      count_in(ByEntry<T>(table), found, x, some, target);
    else if (table.buckets.most <= 2)
      count_in(ByStart<T, 2>(table), found, x, some, target);
    else
      count_in(ByStart<T, kMostInBucket>(table), found, x, some, target);
    if constexpr (sizeof(Code) == 1) std::copy(wide, wide + some, out);
  }
}

template <typename V, typename T, typename Code>
void bin_into(const EdgeTable& table, const T* values, int64_t rows, Code* codes) {
  constexpr bool narrow = sizeof(Code) == 1;
  if (table.search == Search::each) return count_each(table, values, rows, codes);
  if (table.search == Search::buckets) return bin_buckets(table, values, rows, codes);
  if constexpr (std::is_integral_v<T>)
    if (table.search == Search::direct) return look_up(table, values, rows, codes);
  if constexpr (V::levels && narrow && sizeof(T) == 4)
    if (table.search == Search::levels) return V::by_levels(table, values, rows, codes);
  if constexpr (V::two_level && narrow)
    if (!table.two_level.empty()) return bin_two_level<V>(table, values, rows, codes);
  search(table, values, rows, codes);
}

template <typename V, typename T>
void bin_as(const EdgeTable& table, const void* values, int64_t rows, void* codes) {
  const T* typed = static_cast<const T*>(values);
  table.n > 255 ? bin_into<V>(table, typed, rows, static_cast<uint16_t*>(codes))
                : bin_into<V>(table, typed, rows, static_cast<uint8_t*>(codes));
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
void bin_row_as(const EdgeTable* tables, int64_t columns, const T* values, uint16_t* codes) {
  for (int64_t c = 0; c < columns; ++c) {
    const EdgeTable& table = tables[c];
    if constexpr (V::two_level)
      if (table.n <= 255) {
        uint8_t code;
        bin_two_level<V>(table, values + c, 1, &code);
        codes[c] = code;
        continue;
      }
    codes[c] = static_cast<uint16_t>(ops::bin_one(values[c], table.as<T>(), table.n));
  }
}

template <typename V>
void bin_row(const EdgeTable* tables, int64_t columns, const void* values, uint16_t* codes) {
  if (tables->type == Type::f4)
    bin_row_as<V>(tables, columns, static_cast<const float*>(values), codes);
  else
    bin_row_as<V>(tables, columns, static_cast<const double*>(values), codes);
}

}  // namespace
}  // namespace mlcore::cpu
