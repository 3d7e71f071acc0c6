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

inline simde__m128i mlcore_cvtepi32_epi8(simde__m512i numbers) {
  int32_t in[16];
  uint8_t out[16];
  simde_mm512_storeu_si512(in, numbers);
  for (int i = 0; i < 16; ++i) out[i] = static_cast<uint8_t>(in[i]);
  return simde_mm_loadu_si128(reinterpret_cast<const simde__m128i*>(out));
}
#define _mm512_cvtepi32_epi8 mlcore_cvtepi32_epi8

template <typename Ask>
uint16_t mlcore_words_mask(simde__m256i a, simde__m256i b, Ask ask) {
  uint16_t x[16], y[16];
  simde_mm256_storeu_si256(reinterpret_cast<simde__m256i*>(x), a);
  simde_mm256_storeu_si256(reinterpret_cast<simde__m256i*>(y), b);
  unsigned found = 0;
  for (int i = 0; i < 16; ++i) found |= static_cast<unsigned>(ask(x[i], y[i])) << i;
  return static_cast<uint16_t>(found);
}
#define _mm256_cmpge_epu16_mask(a, b) mlcore_words_mask(a, b, [](uint16_t x, uint16_t y) { return x >= y; })
#define _mm256_cmpeq_epi16_mask(a, b) mlcore_words_mask(a, b, [](uint16_t x, uint16_t y) { return x == y; })
