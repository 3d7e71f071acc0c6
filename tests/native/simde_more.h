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

inline simde__m256 mlcore_cvtpd_ps(simde__m512d doubles) {
  double in[8];
  float out[8];
  simde_mm512_storeu_pd(in, doubles);
  for (int i = 0; i < 8; ++i) out[i] = static_cast<float>(in[i]);
  return simde_mm256_loadu_ps(out);
}
#define _mm512_cvtpd_ps mlcore_cvtpd_ps

inline simde__m512d mlcore_mask_i32gather_pd(simde__m512d source, uint8_t mask, simde__m256i index, const double* from,
                                             int) {
  double out[8];
  int32_t places[8];
  simde_mm512_storeu_pd(out, source);
  simde_mm256_storeu_si256(reinterpret_cast<simde__m256i*>(places), index);
  for (int i = 0; i < 8; ++i)
    if ((mask >> i) & 1) out[i] = from[places[i]];
  return simde_mm512_loadu_pd(out);
}
#define _mm512_mask_i32gather_pd mlcore_mask_i32gather_pd

inline uint8_t mlcore_cmpgt_epi32_mask(simde__m256i a, simde__m256i b) {
  int32_t x[8], y[8];
  simde_mm256_storeu_si256(reinterpret_cast<simde__m256i*>(x), a);
  simde_mm256_storeu_si256(reinterpret_cast<simde__m256i*>(y), b);
  uint8_t above = 0;
  for (int i = 0; i < 8; ++i) above |= static_cast<uint8_t>((x[i] > y[i]) << i);
  return above;
}
#define _mm256_cmpgt_epi32_mask mlcore_cmpgt_epi32_mask

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
#define _mm256_cmpgt_epu16_mask(a, b) mlcore_words_mask(a, b, [](uint16_t x, uint16_t y) { return x > y; })
#define _mm256_mask_testn_epi16_mask(k, a, b) \
  ((k) & mlcore_words_mask(a, b, [](uint16_t x, uint16_t y) { return (x & y) == 0; }))
#define _mm256_cmpeq_epi16_mask(a, b) mlcore_words_mask(a, b, [](uint16_t x, uint16_t y) { return x == y; })
