#pragma once

#include "cpu/score.h"

namespace mlcore::cpu {

// Codes and missing words of rows [first, first + rows), rows <= kBlockRows; returns the number missing.
// `gathered` has room for kBlockRows values: strided columns are copied there first.
int64_t bin_block(const ColumnView& view, const EdgeTable& edges, int64_t first, int64_t rows, void* codes,
                  uint64_t* missing, char* gathered);
int64_t encode_block(const ColumnView& view, const uint16_t* table, int64_t table_size, bool wide, int64_t first,
                     int64_t rows, void* codes, uint64_t* missing, char* gathered);

// The values of a block, contiguous: in place, or copied to `gathered`.
const char* contiguous(const ColumnView& view, int64_t first, int64_t rows, char* gathered);

}  // namespace mlcore::cpu
