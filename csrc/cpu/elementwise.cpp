#include "cpu/elementwise.h"

#include <cstring>

#include "ops/elementwise.h"

// Wider clones are picked when the module is loaded. No clone may fuse a multiply with an add: results are equal bit
// for bit on every machine (-ffp-contract=off).
#if defined(__x86_64__)
#define MLCORE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MLCORE_CLONES
#endif

namespace mlcore::cpu {

MLCORE_CLONES void affine(const double* x, int64_t n, double center, double scale, double* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ops::affine_one(x[i], center, scale);
}

MLCORE_CLONES void clip(const double* x, int64_t n, double low, double high, double* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ops::clip_one(x[i], low, high);
}

MLCORE_CLONES void fill(const double* x, int64_t n, double value, double* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ops::fill_one(x[i], value);
}

MLCORE_CLONES void sigmoid(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ops::sigmoid_one(x[i]);
}

int64_t lookup(const ColumnView& indices, const double* table, int64_t size, double missing, double* out) {
  for (int64_t i = 0; i < indices.n; ++i) {
    const int64_t bit = indices.validity.offset + i;
    if (indices.validity.bits != nullptr && !((indices.validity.bits[bit >> 3] >> (bit & 7)) & 1)) {
      out[i] = missing;
      continue;
    }
    int32_t index;
    std::memcpy(&index, indices.data + i * indices.stride, sizeof index);
    if (index < 0 || index >= size) return i;
    out[i] = table[index];
  }
  return -1;
}

}  // namespace mlcore::cpu
