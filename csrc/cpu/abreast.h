// Complete trees side by side, for one row: a node of 64 of them is asked at once, a byte each.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cpu/forest.h"

namespace mlcore::cpu {

constexpr int64_t kTreesAtOnce = 64;    // bytes of a register
constexpr int64_t kTreesAbreast = 512;  // bits of one
constexpr int64_t kByteCells = 256;     // that a byte tells apart

// What trees ask of a row, one byte: a column's code, missing as 0 or 255, whatever sends it where it must go; or 0 or
// 1, the answer to one question that no byte of codes can answer.
struct ByteCell {
  ops::Node question;  // of codes, its threshold does not matter
  bool answers;
};

// The node at one place of 64 trees' heaps: a tree goes right where its cell is not below its threshold.
struct alignas(64) Asked {
  std::array<uint8_t, kTreesAtOnce> cell, threshold;
};

// Up to 512 complete trees, the tallest first.
struct TreesAbreast {
  int bits;                               // of the tallest
  std::array<int64_t, kMostBits> groups;  // of 64 trees that reach a level
  std::vector<Asked> asked;               // of each level, of each place in it, of each such group
};

// Where a tree's leaf number is found, and what for.
struct LeafAbreast {
  int64_t first;  // Tree::leaves
  int32_t place;  // among the numbers of all blocks
  int16_t shift;  // a number has as many bits as that of the block's tallest tree; that of a lone leaf leaves nothing
};

struct Abreast {
  std::vector<ByteCell> cells;
  std::vector<TreesAbreast> blocks;
  std::vector<int32_t> trees;  // in the forest's order
  std::vector<LeafAbreast> leaves;
};

// Lays out the complete trees among `trees`, and takes them from it: as many as 256 cells suffice for. None where they
// are so few that each alone is sooner found.
Abreast set_abreast(const Forest& forest, std::vector<int32_t>& trees);

// Finds the leaf numbers of all trees of a block by the bytes of kByteCells cells, 64-byte aligned, of which `count`
// are in use.
using LeafNumbers = void (*)(const TreesAbreast& block, const uint8_t* cells, int64_t count, uint8_t* numbers);

// That of this machine, under the instruction set in use; null where there is none.
LeafNumbers leaf_numbers();
void leaf_numbers_avx512(const TreesAbreast& block, const uint8_t* cells, int64_t count, uint8_t* numbers);
void leaf_numbers_vbmi(const TreesAbreast& block, const uint8_t* cells, int64_t count, uint8_t* numbers);

}  // namespace mlcore::cpu
