// The forest on AVX-512 where shuffles of 16 bits take twice as long as those of 32; called only where the machine has
// F, BW, DQ and VL.
#include "cpu/engine512.h"

namespace mlcore::cpu {
namespace {

// Where add_leaves keeps the sums of 512 rows. A register of leaf numbers has those of every 8th row; 16 of them are in
// the lowest bytes of 32 bits, shifted there; and of each 16 bytes of doubles, two are side by side.
template <typename Sum>
struct Places {
  uint16_t of[512];

  constexpr Places() : of{} {
    for (int row = 0; row < 512; ++row) {
      const int number = row / 8, lane = number / 4, first = row % 8 * 64 + number % 4 * 16;
      of[row] = static_cast<uint16_t>(first + (sizeof(Sum) == 4 ? lane : lane % 4 / 2 * 8 + lane / 4 * 2 + lane % 2));
    }
  }
};
template <typename Sum>
constexpr Places<Sum> kPlaces;

// 32 bits of each leaf's value, in registers: loaded once for all the rows of a register of bits.
template <int Bits>
struct WholeLeaves {
  static constexpr int registers = Bits > 4 ? 1 << (Bits - 4) : 1;
  __m512i part[registers];

  void load(const uint8_t* table) {
    for (int i = 0; i < registers; ++i) part[i] = _mm512_loadu_si512(table + 64 * i);
  }

  // Of 16 rows. Bits of their numbers above the fifth choose among registers: `is_set` says where each is.
  __m512i of(__m512i number, const __mmask16* is_set) const {
    if constexpr (registers == 1)
      return _mm512_permutexvar_epi32(number, part[0]);
    else
      return among<registers>(0, number, is_set);
  }

 private:
  template <int Count>
  __m512i among(int first, __m512i number, const __mmask16* is_set) const {
    if constexpr (Count == 2) {
      return _mm512_permutex2var_epi32(part[first], number, part[first + 1]);
    } else {
      constexpr int bit = Count == 4 ? 0 : Count == 8 ? 1 : 2;
      return _mm512_mask_blend_epi32(is_set[bit], among<Count / 2>(first, number, is_set),
                                     among<Count / 2>(first + Count / 2, number, is_set));
    }
  }
};

struct Avx512Plain : Avx512 {
  static constexpr int bits_of_short_pieces = 8;  // 32 registers do not hold so many longer ones

  template <typename Sum>
  static int64_t position(int64_t row) {
    return (row & -rows) + kPlaces<Sum>.of[row & (rows - 1)];
  }

  template <int Bits, typename Sum>
  static void add_leaves(const Reg* bit, const LeafValues<Sum>& values, int64_t table, Sum* sums) {
    constexpr bool whole = Bits < bits_of_short_pieces;
    using Table = std::conditional_t<whole, WholeLeaves<Bits>, Leaves<uint16_t, Bits>>;
    constexpr int64_t piece = whole ? 4 : 2, pieces = sizeof(Sum) / piece;
    constexpr int64_t size = int64_t{1} << Bits > kFewestLeaves ? int64_t{1} << Bits : kFewestLeaves;
    Table leaves[pieces];
    for (int p = 0; p < pieces; ++p) leaves[p].load(values.pieces.data() + table * sizeof(Sum) + p * size * piece);
    constexpr int known = Bits > 4 ? Bits : 4;  // a permute looks at 4 bits of a number, or more
    Reg numbers[8];
    for (int b = 0; b < known; ++b) numbers[b] = b < Bits ? bit[Bits - 1 - b] : none();
    transpose<known, 4, 0>(numbers, [&](int i) __attribute__((always_inline)) {
      if constexpr (whole) {
        add_sixteen<0>(leaves, numbers[i], sums + 64 * i);
        add_sixteen<1>(leaves, numbers[i], sums + 64 * i + 16);
        add_sixteen<2>(leaves, numbers[i], sums + 64 * i + 32);
        add_sixteen<3>(leaves, numbers[i], sums + 64 * i + 48);
      } else {
        add_half(leaves, numbers[i], sums + 64 * i);
        add_half(leaves, _mm512_srli_epi16(numbers[i], 8), sums + 64 * i + 16);
      }
    });
  }

 private:
  // Of the rows whose numbers are in byte Byte of each 32 bits; higher bytes do not matter.
  template <int Byte, int Bits>
  [[gnu::always_inline]] static void add_sixteen(const WholeLeaves<Bits> (&leaves)[1], __m512i numbers, float* sums) {
    __mmask16 is_set[3];
    for (int b = 5; b < Bits; ++b)
      is_set[b - 5] = _mm512_test_epi32_mask(numbers, _mm512_set1_epi32(1 << (8 * Byte + b)));
    add(sums, leaves[0].of(_mm512_srli_epi32(numbers, 8 * Byte), is_set));
  }
  // The same; signs, not tests, since shuffles are what there is most of.
  template <int Byte, int Bits>
  [[gnu::always_inline]] static void add_sixteen(const WholeLeaves<Bits> (&leaves)[2], __m512i numbers, double* sums) {
    __mmask16 is_set[3];
    for (int b = 5; b < Bits; ++b)
      is_set[b - 5] = _mm512_movepi32_mask(_mm512_slli_epi32(numbers, 31 - (8 * Byte + b)));
    const __m512i number = _mm512_srli_epi32(numbers, 8 * Byte);
    add_both(leaves[0].of(number, is_set), leaves[1].of(number, is_set), sums);
  }

  // Of the rows whose numbers are in the lower bytes of each 16 bits; the upper ones do not matter. Pieces of the lower
  // and of the upper 16 bits of 32 meet.
  template <int Bits>
  [[gnu::always_inline]] static void add_half(const Leaves<uint16_t, Bits> (&leaves)[2], __m512i numbers, float* sums) {
    const __m512i a = leaves[0].of(numbers), b = leaves[1].of(numbers);
    add(sums, lower(a, b));
    add(sums + 32, upper(a, b));
  }
  template <int Bits>
  [[gnu::always_inline]] static void add_half(const Leaves<uint16_t, Bits> (&leaves)[4], __m512i numbers,
                                              double* sums) {
    const __m512i a = leaves[0].of(numbers), b = leaves[1].of(numbers), c = leaves[2].of(numbers),
                  d = leaves[3].of(numbers);
    add_both(lower(a, b), lower(c, d), sums);
    add_both(upper(a, b), upper(c, d), sums + 32);
  }
  static __m512i lower(__m512i a, __m512i b) { return _mm512_mask_blend_epi16(kUpper, a, _mm512_slli_epi32(b, 16)); }
  static __m512i upper(__m512i a, __m512i b) { return _mm512_mask_blend_epi16(kUpper, _mm512_srli_epi32(a, 16), b); }
  static constexpr __mmask32 kUpper = 0xaaaaaaaaU;
};

}  // namespace

const Kernels& kernels_avx512() {
  static constexpr Kernels table = kernels_over<Avx512Plain>();
  return table;
}

}  // namespace mlcore::cpu
