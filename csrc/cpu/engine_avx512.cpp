// The forest on AVX-512 (F, BW, DQ, VL): 512 rows a register; called only where the machine has them.
#include "core/simd512.h"
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

// A table of 16 << Fold leaves in registers: loaded once for all the rows of a register of bits.
template <int Fold>
struct Leaves {
  __m512 part[1 << Fold];

  explicit Leaves(const float* table) {
    for (int i = 0; i < 1 << Fold; ++i) part[i] = _mm512_loadu_ps(table + 16 * i);
  }

  // Values of 16 rows: two permutes look up 32 leaves by the lower five bits of an index, higher ones choose among
  // such.
  __m512 of(__m512i index, const __mmask16* high) const {
    if constexpr (Fold == 0)
      return _mm512_permutexvar_ps(index, part[0]);
    else
      return among<Fold - 1>(0, index, high);
  }

  template <int High>
  __m512 among(int first, __m512i index, const __mmask16* high) const {
    if constexpr (High == 0) {
      return _mm512_permutex2var_ps(part[first], index, part[first + 1]);
    } else {
      const __m512 zero = among<High - 1>(first, index, high + 1);
      const __m512 one = among<High - 1>(first + (1 << High), index, high + 1);
      return _mm512_mask_blend_ps(*high, zero, one);
    }
  }
};

struct Avx512 {
  using Reg = __m512i;
  static constexpr int64_t rows = 512;
  static constexpr int64_t register_bytes = 64;
  static constexpr bool two_level = true;
  static constexpr bool levels = true;

  static Reg load(const uint64_t* plane) { return _mm512_load_si512(plane); }
  static Reg mux(Reg choose, Reg one, Reg zero) { return _mm512_ternarylogic_epi64(choose, one, zero, 0xca); }
  static Reg none() { return _mm512_setzero_si512(); }
  static Reg all() { return _mm512_set1_epi64(-1); }
  // Where add_leaves keeps a row's sum: unpacking halves of doubles takes each 16 rows in another order.
  template <typename Sum>
  static int64_t position(int64_t row) {
    if constexpr (std::is_same_v<Sum, float>) return row;
    const int64_t in = row & 15;
    return (row & ~int64_t{15}) + ((in & 2) << 2) + ((in & 12) >> 1) + (in & 1);
  }

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

  template <int Bits>
  static void add_leaves(const Reg* bit, const float* table, const uint8_t*, float* sums) {
    const Leaves<fold(Bits)> leaves(table);
    each_sixteen<Bits>(bit, [&](int64_t row, __m512i index, const __mmask16* high) {
      float* at = sums + row;
      _mm512_store_ps(at, _mm512_add_ps(_mm512_load_ps(at), leaves.of(index, high)));
    });
  }

  // A double is looked up as its halves, which then meet.
  template <int Bits>
  static void add_leaves(const Reg* bit, const double*, const float* halves, double* sums) {
    const Leaves<fold(Bits)> lower(halves), upper(halves + (16 << fold(Bits)));
    each_sixteen<Bits>(bit, [&](int64_t row, __m512i index, const __mmask16* high) {
      const __m512 low = lower.of(index, high), top = upper.of(index, high);
      double* at = sums + row;
      _mm512_store_pd(at, _mm512_add_pd(_mm512_load_pd(at), _mm512_castps_pd(_mm512_unpacklo_ps(low, top))));
      at += 8;
      _mm512_store_pd(at, _mm512_add_pd(_mm512_load_pd(at), _mm512_castps_pd(_mm512_unpackhi_ps(low, top))));
    });
  }

  // How often a leaf table is twice as long as 16.
  static constexpr int fold(int bits) { return bits < 4 ? 0 : bits - 4; }

  // Calls `add` for 16 rows after 16: the first of them, the lower five bits of their leaf numbers, the higher ones.
  template <int Bits, typename Add>
  static void each_sixteen(const Reg* bit, const Add& add) {
    constexpr int low_bits = Bits < 5 ? Bits : 5, high_bits = Bits - low_bits;
    alignas(64) uint64_t words[Bits][kBlockWords];
    store<Bits>(bit, words);
    for (int64_t w = 0; w < kBlockWords; ++w) {
      alignas(64) uint8_t number[64];
      low_index<low_bits>(words + high_bits, w, number);
      for (int k = 0; k < 4; ++k) {
        __mmask16 high[high_bits + 1];
        for (int i = 0; i < high_bits; ++i) high[i] = static_cast<__mmask16>(words[i][w] >> (16 * k));
        const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(number + 16 * k));
        add(64 * w + 16 * k, _mm512_cvtepu8_epi32(bytes), high);
      }
    }
  }

  template <int Bits>
  static void store(const Reg* bit, uint64_t (*words)[kBlockWords]) {
    for (int b = 0; b < Bits; ++b) _mm512_store_si512(words[b], bit[b]);
  }

  // The lower bits of 64 rows' leaf numbers, a byte each.
  template <int Bits>
  static void low_index(const uint64_t (*words)[kBlockWords], int64_t w, uint8_t* bytes) {
    __m512i index = _mm512_setzero_si512();
    for (int i = 0; i < Bits; ++i)
      index = _mm512_mask_add_epi8(index, words[i][w], index, _mm512_set1_epi8(static_cast<char>(1 << (Bits - 1 - i))));
    _mm512_store_si512(bytes, index);
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
    search_levels<Floats, float>(table, Plain<Floats, float>{values}, rows, codes);
  }
  static void by_levels(const EdgeTable& table, const int32_t* values, int64_t rows, uint8_t* codes) {
    search_levels<Integers, int32_t>(table, Plain<Integers, int32_t>{values}, rows, codes);
  }
  static void by_levels(const EdgeTable& table, const double* values, int64_t rows, uint8_t* codes) {
    search_levels<Floats, double>(table, Rounded{values, table.as<double>()}, rows, codes);
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

const Kernels& kernels_avx512() {
  static constexpr Kernels table = kernels_over<Avx512>();
  return table;
}

}  // namespace mlcore::cpu
