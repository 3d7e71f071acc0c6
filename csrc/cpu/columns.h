#pragma once

#include "cpu/score.h"

namespace mlcore::cpu {

// A line more than the values take: columns that lie a power of 2 apart would push each other out of the cache.
constexpr int64_t gathered_apart(int64_t rows, int64_t size) { return rows * size + 64; }

// The values of rows [first, first + rows) of `count` columns, kBeside at most, the first of which is `view`, that lie
// side by side in a matrix; those of each contiguous, column after column: in place, where they are so, or copied to
// `gathered`.
const char* contiguous(const ColumnView& view, int64_t count, int64_t first, int64_t rows, char* gathered);

// Codes and missing words of rows [first, first + rows), whose contiguous values are `values`; returns the number
// missing.
int64_t bin_block(const ColumnView& view, const EdgeTable& edges, int64_t first, int64_t rows, const char* values,
                  void* codes, uint64_t* missing);
int64_t encode_block(const ColumnView& view, const uint16_t* table, int64_t table_size, bool wide, int64_t first,
                     int64_t rows, const char* values, void* codes, uint64_t* missing);

}  // namespace mlcore::cpu
