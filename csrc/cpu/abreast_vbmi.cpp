// The trees of one row side by side on AVX-512 with VBMI; called only where the machine has it.
#include "cpu/abreast512.h"

namespace mlcore::cpu {
namespace {

// Cells are looked up byte by byte, 64 a register.
template <int Registers>
struct Cells : CellRegisters<Registers> {
  using CellRegisters<Registers>::CellRegisters, CellRegisters<Registers>::part;

  __m512i of(__m512i cell) const {
    if constexpr (Registers == 1)
      return _mm512_permutexvar_epi8(cell, part[0]);
    else if constexpr (Registers == 2)
      return _mm512_permutex2var_epi8(part[0], cell, part[1]);
    else
      return _mm512_mask_blend_epi8(_mm512_movepi8_mask(cell), _mm512_permutex2var_epi8(part[0], cell, part[1]),
                                    _mm512_permutex2var_epi8(part[2], cell, part[3]));
  }
};

}  // namespace

void leaf_numbers_vbmi(const TreesAbreast& block, const uint8_t* cells, int64_t count, uint8_t* numbers) {
  leaf_numbers_by<Cells>(block, cells, count, numbers);
}

}  // namespace mlcore::cpu
