// Steps down deep trees. Loads are all that there is to do: compiled without the wider instruction sets, lest they be
// gathered, which takes longer.
#include "cpu/deep.h"

#include <algorithm>
#include <bit>

namespace mlcore::cpu {

namespace {

constexpr int kSteps = 3;  // between looks whether all have reached a leaf

// Keeps the compiler from using again, at the next look, what it has loaded at the last: it would run out of registers.
template <typename T>
void keep_in_register(T& x) {
#if defined(__GNUC__)
  asm volatile("" : "+r"(x));
#endif
}

}  // namespace

void find_leaves(const DeepNode* nodes, const Tree& tree, const uint16_t* tile, uint32_t* numbers) {
  // Before the first look, as far as a full tree of as many nodes and a little more goes.
  int steps = std::min<int>(tree.bits, std::bit_width(static_cast<uint64_t>(tree.count)) + kSteps);
  size_t at[kTileRows] = {};
  for (bool moving = true; moving; steps = kSteps) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < kTileRows; ++i) keep_in_register(at[i]);
    for (int step = 0; step < steps; ++step)
#pragma GCC unroll 8
      for (int64_t i = 0; i < kTileRows; ++i) {
        const DeepNode& node = nodes[at[i]];
        at[i] = size_t{node.left} + (node.code < tile[node.cell + i] ? 1 : 0);
      }
    size_t moved = 0;
#pragma GCC unroll 8
    for (int64_t i = 0; i < kTileRows; ++i) moved |= nodes[at[i]].left ^ at[i];
    moving = moved != 0;
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kTileRows; ++i) numbers[i] = static_cast<uint32_t>(nodes[at[i]].number());
}

}  // namespace mlcore::cpu
