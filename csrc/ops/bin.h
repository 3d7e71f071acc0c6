#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "core/hd.h"

namespace mlcore::ops {

// The code of x: how many of the ascending edges are <= x. NaN is below every edge. Branch-free binary search: the
// answer lies in [base - edges, base - edges + n].
template <typename T>
MLCORE_HD inline int32_t bin_one(T x, const T* edges, int32_t n) {
  const T* base = edges;
  while (n > 0) {
    const int32_t half = (n + 1) / 2;
    base += base[half - 1] <= x ? half : 0;
    n -= half;
  }
  return static_cast<int32_t>(base - edges);
}

// Ways to say where x falls between the first edge and the last. None ever goes down as x goes up, which is all that a
// search over places needs; NaN falls where the first edge does.

// Which of last + 1 buckets of one width: every step rounds monotonically.
template <typename T>
inline uint32_t bucket_of(T x, T low, T scale, T last) {
  T at = (x - low) * scale;
  at = at > 0 ? at : 0;
  return static_cast<uint32_t>(static_cast<int32_t>(at < last ? at : last));
}

// How many integers lie between low and x.
template <typename T>
inline std::make_unsigned_t<T> integers_above(T x, T low, T high) {
  using Unsigned = std::make_unsigned_t<T>;
  x = x > low ? x : low;
  return static_cast<Unsigned>(x < high ? x : high) - static_cast<Unsigned>(low);
}

// How many floats lie between low and x: an octave has as many as the next.
inline uint32_t floats_above(float x, float low, float high) {
  const auto ordered = [](float value) {
    const int32_t bits = std::bit_cast<int32_t>(value + 0.0F);  // -0 is 0
    return bits ^ ((bits >> 31) & INT32_MAX);
  };
  x = x > low ? x : low;
  return static_cast<uint32_t>(ordered(x < high ? x : high)) - static_cast<uint32_t>(ordered(low));
}

}  // namespace mlcore::ops
