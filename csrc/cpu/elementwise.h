#pragma once

#include <cstdint>

#include "core/views.h"

namespace mlcore::cpu {

void affine(const double* x, int64_t n, double center, double scale, double* out);
void clip(const double* x, int64_t n, double low, double high, double* out);
void fill(const double* x, int64_t n, double value, double* out);
void sigmoid(const float* x, int64_t n, float* out);

// out[i] = table[index], `missing` where the row is null. Returns the first row whose index lies outside, or -1.
int64_t lookup(const ColumnView& indices, const double* table, int64_t size, double missing, double* out);

}  // namespace mlcore::cpu
