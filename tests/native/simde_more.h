// What Debian's SIMDe (0.7.2) does not emulate yet.
#pragma once

#include <simde/x86/avx512.h>

#include <cstdint>

inline simde__m512i mlcore_cvtepu8_epi32(simde__m128i bytes) {
  uint8_t in[16];
  int32_t out[16];
  simde_mm_storeu_si128(reinterpret_cast<simde__m128i*>(in), bytes);
  for (int i = 0; i < 16; ++i) out[i] = in[i];
  return simde_mm512_loadu_si512(out);
}
#define _mm512_cvtepu8_epi32 mlcore_cvtepu8_epi32

inline simde__m512i mlcore_cvtepu8_epi64(simde__m128i bytes) {
  uint8_t in[16];
  int64_t out[8];
  simde_mm_storeu_si128(reinterpret_cast<simde__m128i*>(in), bytes);
  for (int i = 0; i < 8; ++i) out[i] = in[i];
  return simde_mm512_loadu_si512(out);
}
#define _mm512_cvtepu8_epi64 mlcore_cvtepu8_epi64
