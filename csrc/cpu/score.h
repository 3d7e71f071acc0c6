#pragma once

#include <cstdint>
#include <vector>

#include "core/views.h"
#include "cpu/block.h"
#include "cpu/forest.h"

namespace mlcore::cpu {

// A raw column of `score`: numbers with their edges, or dictionary indices with a code for each.
struct RawColumn {
  ColumnView view;
  const EdgeTable* edges;  // null for a dictionary column
  const uint16_t* table;
  int64_t table_size;
  int64_t* counts;  // null, or one a code (a dictionary index) and missing last
};

struct CodedColumn {
  const void* codes;
  const uint64_t* missing;  // may be null
};

// A block's columns, whose codes and missing words lie in `scratch`.
std::vector<BlockColumn> block_columns(const Questions& asked, Scratch& scratch);
// Takes a block's codes and missing words out of whole columns; rows past the end get code 0. Throws std::out_of_range
// for a code at or above its column's n_codes.
void load_codes(const Questions& asked, const std::vector<CodedColumn>& columns, int64_t first, int64_t rows,
                Scratch& scratch, std::vector<BlockColumn>& block);

// Codes of one column; returns the number of missing rows. Missing rows get code 0.
int64_t bin(const ColumnView& view, const EdgeTable& edges, void* codes, uint64_t* missing);
// Throws std::out_of_range when a valid index lies outside the table.
int64_t encode(const ColumnView& view, const uint16_t* table, int64_t table_size, bool wide, void* codes,
               uint64_t* missing);

// Where margins lie: n rows of the forest's outputs, float or double as its leaf values are. Leaf values are added to
// what stands there, in tree order.
using Margins = void*;

// Throws std::out_of_range for a code at or above its column's n_codes.
void forest(const Forest& forest, const std::vector<CodedColumn>& columns, int64_t n, Margins out, int threads);
// out[row * trees + tree] = the leaf's node, counted from the tree's root.
void leaves(const Forest& forest, const std::vector<CodedColumn>& columns, int64_t n, int32_t* out, int threads);
// Codes, counts and margins of raw columns in one pass, block by block.
void score(const Forest& forest, const std::vector<RawColumn>& columns, int64_t n, Margins out, int threads);

}  // namespace mlcore::cpu
