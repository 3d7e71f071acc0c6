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

}  // namespace mlcore::ops
