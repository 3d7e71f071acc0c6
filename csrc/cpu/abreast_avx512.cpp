// The trees of one row side by side on AVX-512 (F, BW, DQ, VL); called only where the machine has them.
#include "cpu/abreast512.h"

namespace mlcore::cpu {
namespace {

// Cells are looked up by twos, 32 pairs a register: once for the lower bytes of all 16 bits, once for the upper ones.
template <int Registers>
struct Cells : CellRegisters<Registers> {
  using CellRegisters<Registers>::CellRegisters, CellRegisters<Registers>::part;

  __m512i of(__m512i cell) const {
    constexpr __mmask64 upper = 0xaaaaaaaaaaaaaaaaULL;
    const __m512i low = pair(_mm512_srli_epi16(cell, 1)), high = pair(_mm512_srli_epi16(cell, 9));
    const __m512i first = _mm512_mask_blend_epi8(upper, low, _mm512_slli_epi16(high, 8));
    const __m512i second = _mm512_mask_blend_epi8(upper, _mm512_srli_epi16(low, 8), high);
    return _mm512_mask_blend_epi8(_mm512_test_epi8_mask(cell, _mm512_set1_epi8(1)), first, second);
  }

 private:
  // Of 16 bits, those above a pair's number do not matter.
  __m512i pair(__m512i number) const {
    if constexpr (Registers == 1)
      return _mm512_permutexvar_epi16(number, part[0]);
    else if constexpr (Registers == 2)
      return _mm512_permutex2var_epi16(part[0], number, part[1]);
    else
      return _mm512_mask_blend_epi16(_mm512_test_epi16_mask(number, _mm512_set1_epi16(64)),
                                     _mm512_permutex2var_epi16(part[0], number, part[1]),
                                     _mm512_permutex2var_epi16(part[2], number, part[3]));
  }
};

}  // namespace

void leaf_numbers_avx512(const TreesAbreast& block, const uint8_t* cells, int64_t count, uint8_t* numbers) {
  leaf_numbers_by<Cells>(block, cells, count, numbers);
}

}  // namespace mlcore::cpu
