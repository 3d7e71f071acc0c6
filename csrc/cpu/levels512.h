// A binary search of up to 63 edges for 16 values at once, the edges in registers; a part of the AVX-512 engine.
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
  static __mmask16 reached(Value x, Value edge) { return _mm512_cmp_ps_mask(x, edge, _CMP_GE_OQ); }
};
struct Integers {
  using Value = __m512i;
  static Value load(const void* x) { return _mm512_loadu_si512(x); }
  static Value pick(Value edges, __m512i place) { return _mm512_permutexvar_epi32(place, edges); }
  static Value pick(Value low, __m512i place, Value high) { return _mm512_permutex2var_epi32(low, place, high); }
  static __mmask16 reached(Value x, Value edge) { return _mm512_cmpge_epi32_mask(x, edge); }
};

// EdgeTable::levels in four registers: the first two are a heap, the others have the sixth level's 32 edges.
template <typename Kind>
class SearchLevels {
 public:
  explicit SearchLevels(const char* levels) {
    for (int i = 0; i < 4; ++i) part_[i] = Kind::load(levels + 64 * i);
  }

  // How many edges each value has reached, those beyond the last one, which fill up the table, included.
  __m512i operator()(typename Kind::Value x) const {
    __m512i place = _mm512_set1_epi32(1);
    for (int level = 0; level < 4; ++level) place = below(place, Kind::reached(x, Kind::pick(part_[0], place)));
    place = below(place, Kind::reached(x, Kind::pick(part_[0], place, part_[1])));
    place = below(place, Kind::reached(x, Kind::pick(part_[2], place, part_[3])));
    return _mm512_sub_epi32(place, _mm512_set1_epi32(64));
  }

 private:
  static __m512i below(__m512i place, __mmask16 right) {
    const __m512i left = _mm512_add_epi32(place, place);
    return _mm512_mask_add_epi32(left, right, left, _mm512_set1_epi32(1));
  }

  typename Kind::Value part_[4];
};

template <typename Kind, typename T>
void search_levels(const EdgeTable& table, const T* values, int64_t rows, uint8_t* codes) {
  const SearchLevels<Kind> search(table.levels.data());
  const __m512i most = _mm512_set1_epi32(table.n);
  const auto sixteen = [&](const T* x, uint8_t* out) {
    const __m512i code = _mm512_min_epi32(search(Kind::load(x)), most);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(code));
  };
  int64_t i = 0;
  for (; i + 16 <= rows; i += 16) sixteen(values + i, codes + i);
  if (i == rows) return;
  T last[16] = {};
  uint8_t found[16];
  std::copy(values + i, values + rows, last);
  sixteen(last, found);
  std::copy(found, found + (rows - i), codes + i);
}

}  // namespace
}  // namespace mlcore::cpu
