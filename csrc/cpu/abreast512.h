// The trees of one row side by side, written once over how the bytes of cells are looked up: a part of
// cpu/abreast_avx512.cpp and cpu/abreast_vbmi.cpp.
#pragma once

#include "core/simd512.h"
#include "cpu/abreast.h"

namespace mlcore::cpu {
namespace {

constexpr int64_t kGroups = kTreesAbreast / kTreesAtOnce;

// One bit a tree.
struct alignas(64) Bits {
  uint64_t group[kGroups];
};

// The bytes of 64 cells a register.
template <int Registers>
struct CellRegisters {
  __m512i part[Registers];

  explicit CellRegisters(const uint8_t* cells) {
    for (int i = 0; i < Registers; ++i) part[i] = _mm512_load_si512(cells + 64 * i);
  }
};

// The answers of all nodes, place after place; those that a group's trees do not have are left.
template <typename Cells>
void answer(const TreesAbreast& block, const uint8_t* bytes, Bits* answers) {
  const Cells cells(bytes);
  const Asked* asked = block.asked.data();
  for (int level = 0; level < block.bits; ++level) {
    const int64_t groups = block.groups[static_cast<size_t>(level)];
    for (int64_t place = 0; place < int64_t{1} << level; ++place, ++answers)
      for (int64_t g = 0; g < groups; ++g, ++asked)
        answers->group[g] = _mm512_cmpge_epu8_mask(cells.of(_mm512_load_si512(asked->cell.data())),
                                                   _mm512_load_si512(asked->threshold.data()));
  }
}

// The answer of the node that each tree stands on at level Level, out of the 2^(Level - Step) heap slots that begin at
// `slot`, 2^Step apart: chosen by the levels above it, the last decision first.
template <int Level, int Step = 0>
inline __m512i chosen(const Bits* answers, int slot, const __m512i* bit) {
  if constexpr (Step == Level) {
    return _mm512_load_si512(answers[slot].group);
  } else {
    const __m512i left = chosen<Level, Step + 1>(answers, slot, bit);
    const __m512i right = chosen<Level, Step + 1>(answers, slot + (1 << Step), bit);
    return _mm512_ternarylogic_epi64(bit[Level - 1 - Step], right, left, 0xca);
  }
}

template <int Level, int Depth>
inline void decide(const Bits* answers, __m512i* bit) {
  if constexpr (Level < Depth) {
    bit[Level] = chosen<Level>(answers, (1 << Level) - 1, bit);
    decide<Level + 1, Depth>(answers, bit);
  }
}

template <template <int> class Cells, int Depth>
void number_leaves(const TreesAbreast& block, const uint8_t* cells, int64_t count, uint8_t* numbers) {
  Bits answers[(1 << Depth) - 1] = {};
  if (count <= 64)
    answer<Cells<1>>(block, cells, answers);
  else if (count <= 128)
    answer<Cells<2>>(block, cells, answers);
  else
    answer<Cells<4>>(block, cells, answers);
  __m512i bit[Depth];
  decide<0, Depth>(answers, bit);
  Bits found[Depth];
  for (int b = 0; b < Depth; ++b) _mm512_store_si512(found[b].group, bit[b]);
  for (int64_t g = 0; g < block.groups[0]; ++g) {
    __m512i number = _mm512_setzero_si512();
    for (int b = 0; b < Depth; ++b)
      number = _mm512_mask_add_epi8(number, found[b].group[g], number,
                                    _mm512_set1_epi8(static_cast<char>(1 << (Depth - 1 - b))));
    _mm512_storeu_si512(numbers + kTreesAtOnce * g, number);
  }
}

// Cells<n> looks up the bytes of 64 n cells.
template <template <int> class Cells>
void leaf_numbers_by(const TreesAbreast& block, const uint8_t* cells, int64_t count, uint8_t* numbers) {
  switch (block.bits) {
#define MLCORE_BITS(b) \
  case b:              \
    return number_leaves<Cells, b>(block, cells, count, numbers);
    MLCORE_BITS(1)
    MLCORE_BITS(2) MLCORE_BITS(3) MLCORE_BITS(4) MLCORE_BITS(5) MLCORE_BITS(6) MLCORE_BITS(7) MLCORE_BITS(8)
#undef MLCORE_BITS
  }
}

}  // namespace
}  // namespace mlcore::cpu
