// A binary search of up to 255 edges for 16 values at once, the edges in registers; a part of the AVX-512 engine.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/simd512.h"
#include "cpu/edges.h"

namespace mlcore::cpu {
namespace {

// Values of 32 bits, and whether they have reached their edges.
struct Floats {
  using Value = __m512;
  static Value load(const void* x) { return _mm512_loadu_ps(x); }
  static Value pick(Value edges, __m512i place) { return _mm512_permutexvar_ps(place, edges); }
  static Value pick(Value low, __m512i place, Value high) { return _mm512_permutex2var_ps(low, place, high); }
  static Value choose(__mmask16 right, Value a, Value b) { return _mm512_mask_blend_ps(right, a, b); }
  static __mmask16 reached(Value x, Value edge) { return _mm512_cmp_ps_mask(x, edge, _CMP_GE_OQ); }
};
struct Integers {
  using Value = __m512i;
  static Value load(const void* x) { return _mm512_loadu_si512(x); }
  static Value pick(Value edges, __m512i place) { return _mm512_permutexvar_epi32(place, edges); }
  static Value pick(Value low, __m512i place, Value high) { return _mm512_permutex2var_epi32(low, place, high); }
  static Value choose(__mmask16 right, Value a, Value b) { return _mm512_mask_blend_epi32(right, a, b); }
  static __mmask16 reached(Value x, Value edge) { return _mm512_cmpge_epi32_mask(x, edge); }
};

// EdgeTable::levels, 2^Levels edges. Two registers hold those of the first levels as a heap; what a value meets on a
// further level is among 32 edges for each way through the levels between.
template <typename Kind, int Levels>
class SearchLevels {
 public:
  using Value = typename Kind::Value;

  explicit SearchLevels(const char* levels) {
    for (int i = 0; i < kParts; ++i) part_[i] = Kind::load(levels + 64 * i);
  }

  // How many edges each value has reached, those beyond the last one, which fill up the table, included.
  __m512i operator()(Value x) const {
    __m512i place = _mm512_set1_epi32(1);
    for (int level = 0; level < kHeapLevels; ++level)
      place = below(place, Kind::reached(x, Kind::pick(part_[level < 4 ? 0 : 1], place)));
    __mmask16 right[Levels];
    return _mm512_sub_epi32(further<kHeapLevels>(x, place, place, right), _mm512_set1_epi32(1 << Levels));
  }

 private:
  static constexpr int kHeapLevels = 5, kParts = (1 << Levels) / 16;

  static __m512i below(__m512i place, __mmask16 right) {
    const __m512i left = _mm512_add_epi32(place, place);
    return _mm512_mask_add_epi32(left, right, left, _mm512_set1_epi32(1));
  }

  template <int Level>
  __m512i further(Value x, __m512i heap, __m512i place, __mmask16* right) const {
    if constexpr (Level == Levels) {
      return place;
    } else {
      right[Level] = Kind::reached(x, edge<Level, kHeapLevels, 0>(heap, right));
      return further<Level + 1>(x, heap, below(place, right[Level]), right);
    }
  }

  template <int Level, int At, int Way>
  Value edge(__m512i heap, const __mmask16* right) const {
    if constexpr (At == Level) {
      constexpr int first = (1 << Level) / 16 + 2 * Way;
      return Kind::pick(part_[first], heap, part_[first + 1]);
    } else {
      return Kind::choose(right[At], edge<Level, At + 1, 2 * Way>(heap, right),
                          edge<Level, At + 1, 2 * Way + 1>(heap, right));
    }
  }

  Value part_[kParts];
};

// Values of the type that is searched among.
template <typename Kind, typename T>
struct Plain {
  const T* values;

  typename Kind::Value load(int64_t i) const { return Kind::load(values + i); }
  __m512i settle(__m512i code, int64_t) const { return code; }
};

// Doubles, searched for as floats. Rounding keeps the order, so that a value has reached as many edges rounded as not,
// or more: those that round to what it rounds to.
struct Rounded {
  const double *values, *edges;

  __m512 load(int64_t i) const {
    const __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(values + i));
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), _mm512_cvtpd_ps(_mm512_loadu_pd(values + i + 8)), 1);
  }

  __m512i settle(__m512i code, int64_t i) const {
    const __m256i low = settle(_mm512_castsi512_si256(code), _mm512_loadu_pd(values + i));
    const __m256i high = settle(_mm512_extracti64x4_epi64(code, 1), _mm512_loadu_pd(values + i + 8));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }

 private:
  __m256i settle(__m256i code, __m512d x) const {
    for (;;) {
      const __m256i last = _mm256_sub_epi32(code, _mm256_set1_epi32(1));
      const __mmask8 any = _mm256_cmpgt_epi32_mask(code, _mm256_setzero_si256());
      const __m512d edge = _mm512_mask_i32gather_pd(x, any, last, edges, 8);
      const __mmask8 beyond = _mm512_cmp_pd_mask(edge, x, _CMP_GT_OQ);
      if (beyond == 0) return code;
      code = _mm256_mask_mov_epi32(code, beyond, last);
    }
  }
};

template <typename Kind, int Levels, typename Source>
void search_levels(const EdgeTable& table, const Source& source, int64_t rows, uint8_t* codes) {
  const SearchLevels<Kind, Levels> search(table.levels.data());
  const __m512i most = _mm512_set1_epi32(table.n);
  for (int64_t i = 0; i < rows; i += 16) {
    const __m512i code = source.settle(_mm512_min_epi32(search(source.load(i)), most), i);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i), _mm512_cvtepi32_epi8(code));
  }
}

template <typename Kind, typename Source>
void search_sixteens(const EdgeTable& table, const Source& source, int64_t rows, uint8_t* codes) {
  switch (table.levels.size() / 4) {
    case 32:
      return search_levels<Kind, 5>(table, source, rows, codes);
    case 64:
      return search_levels<Kind, 6>(table, source, rows, codes);
    case 128:
      return search_levels<Kind, 7>(table, source, rows, codes);
    default:
      return search_levels<Kind, 8>(table, source, rows, codes);
  }
}

// Codes of any number of values, by EdgeTable::levels.
template <typename Kind, typename T, typename Source>
void search_levels(const EdgeTable& table, Source source, int64_t rows, uint8_t* codes) {
  const int64_t whole = rows / 16 * 16;
  search_sixteens<Kind>(table, source, whole, codes);
  if (whole == rows) return;
  T rest[16] = {};
  uint8_t found[16];
  std::copy(source.values + whole, source.values + rows, rest);
  source.values = rest;
  search_sixteens<Kind>(table, source, 16, found);
  std::copy(found, found + (rows - whole), codes + whole);
}

}  // namespace
}  // namespace mlcore::cpu
