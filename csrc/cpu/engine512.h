// The forest on AVX-512 (F, BW, DQ, VL): 512 rows a register; a part of cpu/engine_avx512.cpp and cpu/engine_vbmi.cpp,
// which look leaf values up as suits their machines.
#pragma once

#include "core/simd512.h"
#include "cpu/clusters512.h"
#include "cpu/engine.h"
#include "cpu/levels512.h"

namespace mlcore::cpu {
namespace {

inline __m512i load_codes(const void* codes) { return _mm512_load_si512(codes); }

template <typename T>
struct Edges16;
template <>
struct Edges16<float> {
  __m512 all;
};
template <>
struct Edges16<int32_t> {
  __m512i all;
};
template <>
struct Edges16<double> {
  __m512d low, high;
};
template <>
struct Edges16<int64_t> {
  __m512i low, high;
};

// One piece of each leaf's value, 32 or 16 bits of it, in registers: loaded once for all the rows of a register of
// bits. A permute looks up 32 or 64 leaves.
template <typename Piece, int Bits>
struct Leaves {
  static constexpr int at_once = sizeof(Piece) == 4 ? 5 : 6, in_register = at_once - 1;
  static constexpr int more = Bits > in_register ? Bits - in_register : 0;  // bits that choose among registers
  __m512i part[1 << more];

  void load(const uint8_t* table) {
    for (int i = 0; i < 1 << more; ++i) part[i] = _mm512_loadu_si512(table + 64 * i);
  }

  // Of as many rows as there are leaf numbers, of the piece's width, in `index`; its higher bits do not matter.
  __m512i of(__m512i index) const {
    if constexpr (more == 0)
      return permute(index, part[0]);
    else
      return among<more>(0, index);
  }

 private:
  static __m512i permute(__m512i index, __m512i low) {
    return sizeof(Piece) == 4 ? _mm512_permutexvar_epi32(index, low) : _mm512_permutexvar_epi16(index, low);
  }
  static __m512i permute(__m512i index, __m512i low, __m512i high) {
    return sizeof(Piece) == 4 ? _mm512_permutex2var_epi32(low, index, high)
                              : _mm512_permutex2var_epi16(low, index, high);
  }

  template <int Choices>
  __m512i among(int first, __m512i index) const {
    if constexpr (Choices == 1) {
      return permute(index, part[first], part[first + 1]);
    } else {
      static_assert(sizeof(Piece) == 2);
      const __mmask32 upper = _mm512_test_epi16_mask(index, _mm512_set1_epi16(1 << (in_register + Choices - 1)));
      return _mm512_mask_blend_epi16(upper, among<Choices - 1>(first, index),
                                     among<Choices - 1>(first + (1 << (Choices - 1)), index));
    }
  }
};

struct Avx512 {
  using Reg = __m512i;
  static constexpr int64_t rows = 512;
  static constexpr int64_t register_bytes = 64;
  static constexpr bool two_level = true;
  static constexpr bool levels = true;
  static constexpr bool clusters = true;

  static Reg load(const uint64_t* plane) { return _mm512_load_si512(plane); }
  static Reg mux(Reg choose, Reg one, Reg zero) { return _mm512_ternarylogic_epi64(choose, one, zero, 0xca); }
  static Reg none() { return _mm512_setzero_si512(); }
  static Reg all() { return _mm512_set1_epi64(-1); }
  // 8 rows' doubles.
  using Eight = __m512d;
  using Mask = __mmask8;

  static Mask mask(uint8_t bits) { return bits; }
  static Eight take(const double* x) { return _mm512_load_pd(x); }
  static void put(double* target, Eight x) { _mm512_store_pd(target, x); }
  static Eight all(double x) { return _mm512_set1_pd(x); }
  static Eight scale(Eight x, double by) { return _mm512_mul_pd(x, _mm512_set1_pd(by)); }
  static Eight plus(Eight x, Eight y) { return _mm512_add_pd(x, y); }
  // Where the mask is set, y scaled; else x.
  static Eight replace(Eight x, Mask where, Eight y, double by) {
    return _mm512_mask_mul_pd(x, where, y, _mm512_set1_pd(by));
  }
  static Eight plus_where(Eight x, Mask where, Eight y) { return _mm512_mask_add_pd(x, where, x, y); }

  static void thresholds(const uint8_t* codes, const Plane* plane, int64_t count, uint64_t* out, int64_t stride) {
    __m512i code[kBlockWords];
    for (int64_t w = 0; w < kBlockWords; ++w) code[w] = load_codes(codes + 64 * w);
    for (int64_t p = 0; p < count; ++p) {
      const bool never = plane[p].code == 256;
      const __m512i threshold = _mm512_set1_epi8(static_cast<char>(plane[p].code));
      for (int64_t w = 0; w < kBlockWords; ++w)
        out[p * stride + w] = never ? 0 : _mm512_cmpge_epu8_mask(code[w], threshold);
    }
  }

  static void thresholds(const uint16_t* codes, const Plane* plane, int64_t count, uint64_t* out, int64_t stride) {
    for (int64_t p = 0; p < count; ++p) {
      const bool never = plane[p].code == 65536;
      const __m512i threshold = _mm512_set1_epi16(static_cast<int16_t>(plane[p].code));
      for (int64_t w = 0; w < kBlockWords; ++w) {
        const uint64_t low = _mm512_cmpge_epu16_mask(load_codes(codes + 64 * w), threshold);
        const uint64_t high = _mm512_cmpge_epu16_mask(load_codes(codes + 64 * w + 32), threshold);
        out[p * stride + w] = never ? 0 : low | (high << 32);
      }
    }
  }

  // Is bit `code` of the set on? The set's byte code >> 3 by shuffles, its bit code & 7 by another.
  static void members(const uint8_t* codes, const uint64_t* set, int64_t set_words, int64_t words, uint64_t* plane) {
    alignas(16) uint64_t bits[4] = {0, 0, 0, 0};
    for (int64_t w = 0; w < set_words && w < 4; ++w) bits[w] = set[w];
    const __m128i* halves = reinterpret_cast<const __m128i*>(bits);
    const __m512i low = _mm512_broadcast_i32x4(halves[0]), high = _mm512_broadcast_i32x4(halves[1]);
    const __m512i power = _mm512_set1_epi64(static_cast<int64_t>(0x8040201008040201ULL));
    for (int64_t w = 0; w < words; ++w) {
      const __m512i code = load_codes(codes + 64 * w);
      const __m512i byte = _mm512_and_si512(_mm512_srli_epi16(code, 3), _mm512_set1_epi8(31));
      const __mmask64 upper = _mm512_cmpgt_epi8_mask(byte, _mm512_set1_epi8(15));
      const __m512i held =
          _mm512_mask_blend_epi8(upper, _mm512_shuffle_epi8(low, byte), _mm512_shuffle_epi8(high, byte));
      plane[w] = _mm512_test_epi8_mask(held, _mm512_shuffle_epi8(power, _mm512_and_si512(code, _mm512_set1_epi8(7))));
    }
  }

  // The leaf numbers of 512 rows, a byte each, from the planes of their bits, lowest first, by transposing 8 × 8 bits:
  // row 8 * j + i has byte j of numbers[i], and ready(i) is called as soon as that is whole. Bits that have no plane
  // are left as they fall. Masks, 64 rows and one bit at a time, take longer.
  template <int Bits, int Apart, int First, typename Ready>
  [[gnu::always_inline]] static void transpose(Reg (&numbers)[8], const Ready& ready) {
    if constexpr (Apart == 0) {
      ready(First);
    } else {
      const Reg low = _mm512_set1_epi8(Apart == 4 ? 0x0f : Apart == 2 ? 0x33 : 0x55);
#pragma GCC unroll 4
      for (int i = First; i < First + Apart; ++i) {
        Reg &one = numbers[i], &other = numbers[i + Apart];
        const Reg upper = _mm512_srli_epi16(one, Apart);
        if (Apart == 4 && i + Apart >= Bits) {
          other = upper;
        } else {
          one = mux(low, one, _mm512_slli_epi16(other, Apart));
          other = mux(low, upper, other);
        }
      }
      transpose<Bits, Apart / 2, First>(numbers, ready);
      transpose<Bits, Apart / 2, First + Apart>(numbers, ready);
    }
  }

  // 16 rows' doubles from their lower and upper halves.
  static void add_both(__m512i low, __m512i high, double* sums) {
    add(sums, _mm512_unpacklo_epi32(low, high));
    add(sums + 8, _mm512_unpackhi_epi32(low, high));
  }

  static void add(float* sums, __m512i values) {
    _mm512_store_ps(sums, _mm512_add_ps(_mm512_load_ps(sums), _mm512_castsi512_ps(values)));
  }
  static void add(double* sums, __m512i values) {
    _mm512_store_pd(sums, _mm512_add_pd(_mm512_load_pd(sums), _mm512_castsi512_pd(values)));
  }

  // Numbers of kTopLevels bits, of `rows` rows, in order, from their bits, the highest first.
  static void numbers(const Reg* bit, uint8_t* out) {
    alignas(64) uint64_t words[kTopLevels][kBlockWords];
    for (int b = 0; b < kTopLevels; ++b) _mm512_store_si512(words[b], bit[b]);
    for (int64_t w = 0; w < kBlockWords; ++w) {
      __m512i number = none();
      for (int b = 0; b < kTopLevels; ++b)
        number = _mm512_mask_add_epi8(number, words[b][w], number,
                                      _mm512_set1_epi8(static_cast<char>(1 << (kTopLevels - 1 - b))));
      _mm512_store_si512(out + 64 * w, number);
    }
  }

  // The numbers of the leaves that kClusterRows rows reach; `room` cells are a row's.
  static void find_leaves(const Cluster* clusters, const uint16_t* cells, int64_t room, const uint32_t* ways,
                          const uint8_t* taken, uint32_t* numbers) {
    ClusterWalk(clusters, cells, room < kClusterCells)(ways, taken, numbers);
  }

  static uint64_t nan_bits(const float* x) {
    const __m512 v = _mm512_loadu_ps(x);
    return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  }
  static uint64_t nan_bits(const double* x) {
    const __m512d v = _mm512_loadu_pd(x);
    return _mm512_cmp_pd_mask(v, v, _CMP_UNORD_Q);
  }

  static void by_levels(const EdgeTable& table, const float* values, int64_t rows, uint8_t* codes) {
    search_levels<Floats>(table, values, rows, codes);
  }
  static void by_levels(const EdgeTable& table, const int32_t* values, int64_t rows, uint8_t* codes) {
    search_levels<Integers>(table, values, rows, codes);
  }

  static Edges16<float> edges16(const float* e) { return {_mm512_loadu_ps(e)}; }
  static Edges16<int32_t> edges16(const int32_t* e) { return {_mm512_loadu_si512(e)}; }
  static Edges16<double> edges16(const double* e) { return {_mm512_loadu_pd(e), _mm512_loadu_pd(e + 8)}; }
  static Edges16<int64_t> edges16(const int64_t* e) { return {_mm512_loadu_si512(e), _mm512_loadu_si512(e + 8)}; }

  static int32_t count_not_above(float x, const Edges16<float>& e) {
    return __builtin_popcount(_mm512_cmp_ps_mask(_mm512_set1_ps(x), e.all, _CMP_GE_OQ));
  }
  static int32_t count_not_above(int32_t x, const Edges16<int32_t>& e) {
    return __builtin_popcount(_mm512_cmpge_epi32_mask(_mm512_set1_epi32(x), e.all));
  }
  static int32_t count_not_above(double x, const Edges16<double>& e) {
    const __m512d v = _mm512_set1_pd(x);
    return __builtin_popcount(static_cast<unsigned>(_mm512_cmp_pd_mask(v, e.low, _CMP_GE_OQ)) |
                              (static_cast<unsigned>(_mm512_cmp_pd_mask(v, e.high, _CMP_GE_OQ)) << 8));
  }
  static int32_t count_not_above(int64_t x, const Edges16<int64_t>& e) {
    const __m512i v = _mm512_set1_epi64(x);
    return __builtin_popcount(static_cast<unsigned>(_mm512_cmpge_epi64_mask(v, e.low)) |
                              (static_cast<unsigned>(_mm512_cmpge_epi64_mask(v, e.high)) << 8));
  }
};

}  // namespace
}  // namespace mlcore::cpu
