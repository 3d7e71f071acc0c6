#pragma once

#include <cstdint>

#include "cpu/forest.h"

namespace mlcore::cpu {

// The numbers of the leaves that a tile's rows reach. `tile` holds cell after cell, of each kTileRows rows.
void find_leaves(const DeepNode* nodes, const Tree& tree, const uint16_t* tile, uint32_t* numbers);

}  // namespace mlcore::cpu
