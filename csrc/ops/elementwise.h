#pragma once

#include <cstdint>
#include <cstring>

#include "core/hd.h"

namespace mlcore::ops {

MLCORE_HD inline double affine_one(double x, double center, double scale) { return (x - center) / scale; }

MLCORE_HD inline double clip_one(double x, double low, double high) {
  return x < low ? low : (x > high ? high : x);  // NaN fails both tests and passes through
}

MLCORE_HD inline double fill_one(double x, double value) { return x == x ? x : value; }

// e^x in float32 for |x| < 88: x = k ln 2 + r, a polynomial in r (Cephes expf), scaled by 2^k. Every step rounds to
// float32 and none is fused, so that all backends give the same bits; error below 2 ulp.
MLCORE_HD inline float exp_one(float x) {
  const float shifted = x * 1.44269504088896341f + 12582912.0f;  // 1.5 * 2^23 rounds to the nearest integer
  const float k = shifted - 12582912.0f;
  float r = x - k * 0.693359375f;
  r = r - k * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float r2 = r * r;
  p = p * r2 + r;
  p = p + 1.0f;
  // Two factors, so that 2^k neither overflows nor becomes subnormal before the product does.
  const int32_t whole = static_cast<int32_t>(k), half = whole >> 1;
  const int32_t first_bits = (half + 127) << 23, second_bits = (whole - half + 127) << 23;
  float first, second;
  memcpy(&first, &first_bits, 4);
  memcpy(&second, &second_bits, 4);
  return p * first * second;
}

// XGBoost's sigmoid: 1 / (e^min(-x, 88.7) + 1 + 1e-16), in float32.
MLCORE_HD inline float sigmoid_one(float x) {
  float z = x == x ? -x : 0.0f;  // no branch: a loop over this becomes vector code
  z = z > 88.7f ? 88.7f : z;
  z = z < -103.0f ? -103.0f : z;  // e^-103 adds nothing to 1
  const float value = 1.0f / (exp_one(z) + 1.0f + 1e-16f);
  return x == x ? value : x;
}

}  // namespace mlcore::ops
