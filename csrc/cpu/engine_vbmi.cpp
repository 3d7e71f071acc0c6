// The forest on AVX-512 where the machine has VBMI too, and with it quick shuffles of 16 bits; called only there.
#include "cpu/engine512.h"

namespace mlcore::cpu {
namespace {

constexpr int kBitsOfShortPieces = 6;

// Where add_leaves keeps the sums of 512 rows. A register of leaf numbers has those of every 8th row; unpacking takes,
// of each 16 bytes, those side by side into a register of sums.
template <typename Sum>
struct Places {
  uint16_t of[512];

  constexpr Places() : of{} {
    constexpr int together = 16 / sizeof(Sum);
    for (int row = 0; row < 512; ++row) {
      const int number = row % 8 * 64 + row / 8;
      of[row] = static_cast<uint16_t>(number / 64 * 64 + number % 16 / together * 4 * together +
                                      number / 16 % 4 * together + number % together);
    }
  }
};
template <typename Sum>
constexpr Places<Sum> kPlaces;

struct Avx512Vbmi : Avx512 {
  static constexpr int bits_of_short_pieces = kBitsOfShortPieces;

  template <typename Sum>
  static int64_t position(int64_t row) {
    return (row & -rows) + kPlaces<Sum>.of[row & (rows - 1)];
  }

  template <int Bits, typename Sum>
  static void add_leaves(const Reg* bit, const LeafValues<Sum>& values, int64_t table, Sum* sums) {
    using Piece = std::conditional_t<Bits >= kBitsOfShortPieces, uint16_t, uint32_t>;
    constexpr int pieces = sizeof(Sum) / sizeof(Piece);
    constexpr int64_t size = int64_t{1} << Bits > kFewestLeaves ? int64_t{1} << Bits : kFewestLeaves;
    Leaves<Piece, Bits> leaves[pieces];
    for (int p = 0; p < pieces; ++p)
      leaves[p].load(values.pieces.data() + table * sizeof(Sum) + p * size * sizeof(Piece));
    constexpr int known = Bits > 4 ? Bits : 4;  // a permute looks at 4 bits of a number, or more
    Reg numbers[8];
    for (int b = 0; b < known; ++b) numbers[b] = b < Bits ? bit[Bits - 1 - b] : none();
    const auto add_rows = [&](int i) __attribute__((always_inline)) {
      add_half(leaves, _mm512_unpacklo_epi8(numbers[i], none()), sums + 64 * i);
      add_half(leaves, _mm512_unpackhi_epi8(numbers[i], none()), sums + 64 * i + 32);
    };
    // Whichever was faster: rows of floats at once, beside the steps of the others; of doubles after them all.
    if constexpr (sizeof(Sum) == 4) {
      transpose<known, 4, 0>(numbers, add_rows);
    } else {
      transpose<known, 4, 0>(numbers, [](int) {});
      for (int i = 0; i < 8; ++i) add_rows(i);
    }
  }

 private:
  // Of 32 rows, whose leaf numbers are words: the pieces of their values meet.
  template <int Bits>
  [[gnu::always_inline]] static void add_half(const Leaves<uint32_t, Bits> (&leaves)[1], __m512i numbers, float* sums) {
    add(sums, leaves[0].of(_mm512_unpacklo_epi16(numbers, none())));
    add(sums + 16, leaves[0].of(_mm512_unpackhi_epi16(numbers, none())));
  }
  template <int Bits>
  [[gnu::always_inline]] static void add_half(const Leaves<uint16_t, Bits> (&leaves)[2], __m512i numbers, float* sums) {
    const __m512i low = leaves[0].of(numbers), high = leaves[1].of(numbers);
    add(sums, _mm512_unpacklo_epi16(low, high));
    add(sums + 16, _mm512_unpackhi_epi16(low, high));
  }
  template <int Bits>
  [[gnu::always_inline]] static void add_half(const Leaves<uint32_t, Bits> (&leaves)[2], __m512i numbers,
                                              double* sums) {
    const __m512i one = _mm512_unpacklo_epi16(numbers, none()), other = _mm512_unpackhi_epi16(numbers, none());
    add_both(leaves[0].of(one), leaves[1].of(one), sums);
    add_both(leaves[0].of(other), leaves[1].of(other), sums + 16);
  }
  template <int Bits>
  [[gnu::always_inline]] static void add_half(const Leaves<uint16_t, Bits> (&leaves)[4], __m512i numbers,
                                              double* sums) {
    const __m512i a = leaves[0].of(numbers), b = leaves[1].of(numbers), c = leaves[2].of(numbers),
                  d = leaves[3].of(numbers);
    add_both(_mm512_unpacklo_epi16(a, b), _mm512_unpacklo_epi16(c, d), sums);
    add_both(_mm512_unpackhi_epi16(a, b), _mm512_unpackhi_epi16(c, d), sums + 16);
  }
};

}  // namespace

const Kernels& kernels_vbmi() {
  static constexpr Kernels table = kernels_over<Avx512Vbmi>();
  return table;
}

}  // namespace mlcore::cpu
