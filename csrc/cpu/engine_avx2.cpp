// The forest on AVX2: 256 rows a register. Built with -mavx2 -mbmi2 -mpopcnt; called only where the machine has them.
#include <immintrin.h>

#include <cstring>

#include "cpu/engine.h"

namespace mlcore::cpu {
namespace {

inline __m256i load_codes(const void* codes) { return _mm256_load_si256(static_cast<const __m256i*>(codes)); }

// Unsigned bytes and words compare as signed ones once their top bit is flipped.
inline __m256i flip8(__m256i x) { return _mm256_xor_si256(x, _mm256_set1_epi8(static_cast<char>(0x80))); }
inline __m256i flip16(__m256i x) { return _mm256_xor_si256(x, _mm256_set1_epi16(static_cast<int16_t>(0x8000))); }

inline uint64_t join(__m256i low, __m256i high) {
  return static_cast<uint32_t>(_mm256_movemask_epi8(low)) |
         (static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32);
}

// 32 rows' bits of a plane as 32 bytes of 0x00 or 0xff.
inline __m256i spread(const uint32_t* bits) {
  const __m256i source = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                          2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i select = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ULL));
  const __m256i word = _mm256_set1_epi32(static_cast<int32_t>(*bits));
  return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(word, source), select), select);
}

// One byte of the leaf value per row: 16 leaves a shuffle, chosen among by the leaf index's higher bits.
template <int HighBits>
inline __m256i leaf_byte(const uint8_t* table, __m256i low_index, const __m256i* high) {
  if constexpr (HighBits == 0) {
    const __m256i sixteen = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
    return _mm256_shuffle_epi8(sixteen, low_index);
  } else {
    constexpr int half = 16 << (HighBits - 1);
    const __m256i zero = leaf_byte<HighBits - 1>(table, low_index, high + 1);
    const __m256i one = leaf_byte<HighBits - 1>(table + half, low_index, high + 1);
    return _mm256_blendv_epi8(zero, one, *high);
  }
}

// Four doubles; the masked form, whose source is stated, where the plain one leaves it undefined.
inline __m256d gathered(const double* leaves, __m128i index) {
  const __m256d all = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
  return _mm256_mask_i32gather_pd(_mm256_setzero_pd(), leaves, index, all, 8);
}

inline void add(float* sums, __m256i values) {
  _mm256_store_ps(sums, _mm256_add_ps(_mm256_load_ps(sums), _mm256_castsi256_ps(values)));
}

template <typename T>
struct Edges16;
template <>
struct Edges16<float> {
  __m256 low, high;
};
template <>
struct Edges16<int32_t> {
  __m256i low, high;
};
template <>
struct Edges16<double> {
  __m256d part[4];
};
template <>
struct Edges16<int64_t> {
  __m256i part[4];
};

struct Avx2 {
  using Reg = __m256i;
  static constexpr int64_t rows = 256;
  static constexpr int64_t register_bytes = 32;
  static constexpr bool two_level = true;
  static constexpr bool levels = false;
  static constexpr bool clusters = false;
  static constexpr int bits_of_short_pieces = kMostBits + 1;

  static Reg load(const uint64_t* plane) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(plane)); }
  static Reg mux(Reg choose, Reg one, Reg zero) {
    return _mm256_or_si256(_mm256_and_si256(choose, one), _mm256_andnot_si256(choose, zero));
  }

  static Reg none() { return _mm256_setzero_si256(); }
  static Reg all() { return _mm256_set1_epi64x(-1); }

  // Where add_leaves keeps a row's sum: unpacking bytes to floats interleaves the halves of each 32 rows.
  template <typename Sum>
  static int64_t position(int64_t row) {
    if constexpr (std::is_same_v<Sum, double>) return row;
    const int64_t in = row & 31;
    return (row & ~int64_t{31}) + ((in & 12) << 1) + ((in & 16) >> 2) + (in & 3);
  }

  // 8 rows' doubles.
  struct Eight {
    __m256d low, high;
  };
  using Mask = Eight;  // the sign bits

  static Mask mask(uint8_t bits) {
    const __m256i all = _mm256_set1_epi64x(bits);
    return {_mm256_castsi256_pd(_mm256_sllv_epi64(all, _mm256_setr_epi64x(63, 62, 61, 60))),
            _mm256_castsi256_pd(_mm256_sllv_epi64(all, _mm256_setr_epi64x(59, 58, 57, 56)))};
  }
  static Eight take(const double* x) { return {_mm256_load_pd(x), _mm256_load_pd(x + 4)}; }
  static void put(double* target, Eight x) {
    _mm256_store_pd(target, x.low);
    _mm256_store_pd(target + 4, x.high);
  }
  static Eight all(double x) { return {_mm256_set1_pd(x), _mm256_set1_pd(x)}; }
  static Eight scale(Eight x, double by) {
    return {_mm256_mul_pd(x.low, _mm256_set1_pd(by)), _mm256_mul_pd(x.high, _mm256_set1_pd(by))};
  }
  static Eight plus(Eight x, Eight y) { return {_mm256_add_pd(x.low, y.low), _mm256_add_pd(x.high, y.high)}; }
  // Where the mask is set, y scaled; else x.
  static Eight replace(Eight x, Mask where, Eight y, double by) {
    const Eight scaled = scale(y, by);
    return {_mm256_blendv_pd(x.low, scaled.low, where.low), _mm256_blendv_pd(x.high, scaled.high, where.high)};
  }
  static Eight plus_where(Eight x, Mask where, Eight y) {
    const __m256d zero = _mm256_setzero_pd();
    return plus(x, {_mm256_blendv_pd(zero, y.low, where.low), _mm256_blendv_pd(zero, y.high, where.high)});
  }

  static void thresholds(const uint8_t* codes, const Plane* plane, int64_t count, uint64_t* out, int64_t stride) {
    for (int64_t at = 0; at < kBlockRows; at += 256) {
      __m256i code[8];
      for (int i = 0; i < 8; ++i) code[i] = flip8(load_codes(codes + at + 32 * i));
      for (int64_t p = 0; p < count; ++p) {
        uint64_t* words = out + p * stride + at / 64;
        if (plane[p].code == 0 || plane[p].code == 256) {  // always, never
          for (int i = 0; i < 4; ++i) words[i] = plane[p].code == 0 ? ~uint64_t{0} : 0;
          continue;
        }
        const __m256i below = _mm256_set1_epi8(static_cast<char>((plane[p].code - 1) ^ 0x80));
        for (int i = 0; i < 4; ++i)
          words[i] = join(_mm256_cmpgt_epi8(code[2 * i], below), _mm256_cmpgt_epi8(code[2 * i + 1], below));
      }
    }
  }

  static void thresholds(const uint16_t* codes, const Plane* plane, int64_t count, uint64_t* out, int64_t stride) {
    for (int64_t p = 0; p < count; ++p)
      for (int64_t w = 0; w < kBlockWords; ++w) {
        uint64_t& word = out[p * stride + w];
        if (plane[p].code == 0 || plane[p].code == 65536) {
          word = plane[p].code == 0 ? ~uint64_t{0} : 0;
          continue;
        }
        const __m256i below = _mm256_set1_epi16(static_cast<int16_t>((plane[p].code - 1) ^ 0x8000));
        __m256i above[2];
        for (int i = 0; i < 2; ++i) {
          const uint16_t* source = codes + 64 * w + 32 * i;
          const __m256i low = _mm256_cmpgt_epi16(flip16(load_codes(source)), below);
          const __m256i high = _mm256_cmpgt_epi16(flip16(load_codes(source + 16)), below);
          above[i] = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);  // pack works in halves
        }
        word = join(above[0], above[1]);
      }
  }

  // Is bit `code` of the set on? The set's byte code >> 3 by shuffles, its bit code & 7 by another.
  static void members(const uint8_t* codes, const uint64_t* set, int64_t set_words, int64_t words, uint64_t* plane) {
    alignas(32) uint64_t bits[4] = {0, 0, 0, 0};
    for (int64_t w = 0; w < set_words && w < 4; ++w) bits[w] = set[w];
    const __m128i* halves = reinterpret_cast<const __m128i*>(bits);
    const __m256i low = _mm256_broadcastsi128_si256(halves[0]), high = _mm256_broadcastsi128_si256(halves[1]);
    const __m256i power = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ULL));
    __m256i inside[2];
    for (int64_t w = 0; w < words; ++w) {
      for (int i = 0; i < 2; ++i) {
        const __m256i code = load_codes(codes + 64 * w + 32 * i);
        const __m256i byte = _mm256_and_si256(_mm256_srli_epi16(code, 3), _mm256_set1_epi8(31));
        const __m256i upper = _mm256_cmpgt_epi8(byte, _mm256_set1_epi8(15));
        const __m256i held = _mm256_blendv_epi8(_mm256_shuffle_epi8(low, byte), _mm256_shuffle_epi8(high, byte), upper);
        const __m256i bit = _mm256_shuffle_epi8(power, _mm256_and_si256(code, _mm256_set1_epi8(7)));
        inside[i] = _mm256_cmpeq_epi8(_mm256_and_si256(held, bit), bit);
      }
      plane[w] = join(inside[0], inside[1]);
    }
  }

  template <int Bits>
  static void add_leaves(const Reg* bit, const LeafValues<float>& values, int64_t first, float* sums) {
    const uint8_t* table = values.bytes.data() + 4 * first;
    constexpr int low_bits = Bits < 4 ? Bits : 4, high_bits = Bits - low_bits;
    constexpr int width = 16 << high_bits;
    alignas(32) uint32_t words[Bits][8];
    for (int b = 0; b < Bits; ++b) _mm256_store_si256(reinterpret_cast<__m256i*>(words[b]), bit[b]);
    for (int g = 0; g < 8; ++g) {
      __m256i high[high_bits + 1];
      for (int i = 0; i < high_bits; ++i) high[i] = spread(&words[i][g]);
      __m256i low_index = _mm256_setzero_si256();
      for (int i = 0; i < low_bits; ++i) {
        const __m256i weight = _mm256_set1_epi8(static_cast<char>(1 << (low_bits - 1 - i)));
        low_index = _mm256_or_si256(low_index, _mm256_and_si256(spread(&words[high_bits + i][g]), weight));
      }
      const __m256i b0 = leaf_byte<high_bits>(table, low_index, high);
      const __m256i b1 = leaf_byte<high_bits>(table + width, low_index, high);
      const __m256i b2 = leaf_byte<high_bits>(table + 2 * width, low_index, high);
      const __m256i b3 = leaf_byte<high_bits>(table + 3 * width, low_index, high);
      const __m256i low01 = _mm256_unpacklo_epi8(b0, b1), high01 = _mm256_unpackhi_epi8(b0, b1);
      const __m256i low23 = _mm256_unpacklo_epi8(b2, b3), high23 = _mm256_unpackhi_epi8(b2, b3);
      add(sums + 32 * g, _mm256_unpacklo_epi16(low01, low23));
      add(sums + 32 * g + 8, _mm256_unpackhi_epi16(low01, low23));
      add(sums + 32 * g + 16, _mm256_unpacklo_epi16(high01, high23));
      add(sums + 32 * g + 24, _mm256_unpackhi_epi16(high01, high23));
    }
  }

  template <int Bits>
  static void add_leaves(const Reg* bit, const LeafValues<double>& values, int64_t first, double* sums) {
    const double* leaves = values.tables.data() + first;
    alignas(32) uint32_t words[Bits][8];
    for (int b = 0; b < Bits; ++b) _mm256_store_si256(reinterpret_cast<__m256i*>(words[b]), bit[b]);
    for (int g = 0; g < 8; ++g) {
      __m256i index = _mm256_setzero_si256();
      for (int b = 0; b < Bits; ++b) {
        const __m256i weight = _mm256_set1_epi8(static_cast<char>(1 << (Bits - 1 - b)));
        index = _mm256_or_si256(index, _mm256_and_si256(spread(&words[b][g]), weight));
      }
      alignas(32) uint8_t numbers[32];
      _mm256_store_si256(reinterpret_cast<__m256i*>(numbers), index);
      for (int i = 0; i < 32; i += 4) {
        int32_t four;
        std::memcpy(&four, numbers + i, 4);
        const __m128i lanes = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
        double* at = sums + 32 * g + i;
        _mm256_store_pd(at, _mm256_add_pd(_mm256_load_pd(at), gathered(leaves, lanes)));
      }
    }
  }

  static uint64_t nan_bits(const float* x) {
    const __m256 v = _mm256_loadu_ps(x);
    return static_cast<uint64_t>(_mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
  }
  static uint64_t nan_bits(const double* x) {
    const __m256d v = _mm256_loadu_pd(x);
    return static_cast<uint64_t>(_mm256_movemask_pd(_mm256_cmp_pd(v, v, _CMP_UNORD_Q)));
  }

  static Edges16<float> edges16(const float* e) { return {_mm256_loadu_ps(e), _mm256_loadu_ps(e + 8)}; }
  static Edges16<int32_t> edges16(const int32_t* e) {
    const __m256i* at = reinterpret_cast<const __m256i*>(e);
    return {_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
  }
  static Edges16<double> edges16(const double* e) {
    return {{_mm256_loadu_pd(e), _mm256_loadu_pd(e + 4), _mm256_loadu_pd(e + 8), _mm256_loadu_pd(e + 12)}};
  }
  static Edges16<int64_t> edges16(const int64_t* e) {
    const __m256i* at = reinterpret_cast<const __m256i*>(e);
    return {
        {_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1), _mm256_loadu_si256(at + 2), _mm256_loadu_si256(at + 3)}};
  }

  static int32_t count_not_above(float x, const Edges16<float>& e) {
    const __m256 v = _mm256_set1_ps(x);
    const int low = _mm256_movemask_ps(_mm256_cmp_ps(v, e.low, _CMP_GE_OQ));
    const int high = _mm256_movemask_ps(_mm256_cmp_ps(v, e.high, _CMP_GE_OQ));
    return __builtin_popcount(static_cast<unsigned>(low | (high << 8)));
  }
  static int32_t count_not_above(int32_t x, const Edges16<int32_t>& e) {
    const __m256i v = _mm256_set1_epi32(x);
    const int low = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(e.low, v)));
    const int high = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(e.high, v)));
    return 16 - __builtin_popcount(static_cast<unsigned>(low | (high << 8)));
  }
  static int32_t count_not_above(double x, const Edges16<double>& e) {
    const __m256d v = _mm256_set1_pd(x);
    unsigned mask = 0;
    for (int i = 0; i < 4; ++i)
      mask |= static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd(v, e.part[i], _CMP_GE_OQ))) << (4 * i);
    return __builtin_popcount(mask);
  }
  static int32_t count_not_above(int64_t x, const Edges16<int64_t>& e) {
    const __m256i v = _mm256_set1_epi64x(x);
    unsigned mask = 0;
    for (int i = 0; i < 4; ++i)
      mask |= static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(e.part[i], v))))
              << (4 * i);
    return 16 - __builtin_popcount(mask);
  }
};

}  // namespace

const Kernels& kernels_avx2() {
  static constexpr Kernels table = kernels_over<Avx2>();
  return table;
}

}  // namespace mlcore::cpu
