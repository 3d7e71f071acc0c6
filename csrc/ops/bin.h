#pragma once

#include <cstdint>

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

// Where x falls when [low, low + last / scale] is cut into last + 1 buckets of one width; NaN falls into the first.
// Every step rounds monotonically, so the bucket never goes down as x goes up: all that the search over them needs.
template <typename A>
inline int32_t bucket_of(A x, A low, A scale, A last) {
  A at = (x - low) * scale;
  at = at > 0 ? at : 0;
  return static_cast<int32_t>(at < last ? at : last);
}

}  // namespace mlcore::ops
