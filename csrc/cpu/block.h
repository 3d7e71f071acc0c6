#pragma once

#include <cstdint>
#include <memory>

#include "core/views.h"
#include "cpu/edges.h"
#include "cpu/forest.h"

namespace mlcore::cpu {

// One column of a block. Rows past the end, up to a multiple of kBlockRows, hold code 0.
struct BlockColumn {
  CodesView codes;
  const uint64_t* missing;
  bool any_missing;
};

struct Explainer;
struct ExplainRoom;

// Where a block of up to `rows` rows, a power of 2, is worked on; all 64-byte aligned.
struct BlockRoom {
  int64_t rows;
  uint64_t* planes;  // of all planes, and for the slots of a network
  uint16_t* cells;   // of all rows, as many as Forest::room_for_cells
  char* sums;        // a double for each output of all rows
};

// What one instruction set provides.
struct Kernels {
  bool levels;               // `bin` searches EdgeTable::levels
  bool clusters;             // walks down trees of them
  int bits_of_short_pieces;  // of a leaf's number: from so many on, LeafValues::pieces have 16 bits, else 32
  // Codes of `rows` contiguous values; NaN gets 0. Wide codes when the table has more than 255 edges.
  void (*bin)(const EdgeTable& table, const void* values, int64_t rows, void* codes);
  // Codes of one row, a float or a double of each column; tables are all of that type and made for one row.
  void (*bin_row)(const EdgeTable* tables, int64_t columns, const void* values, uint16_t* codes);
  // Bit i set where value i is NaN (float types).
  void (*nan)(Type type, const void* values, int64_t rows, uint64_t* missing);
  // How many of `rows` bits are set; those beyond are not.
  int64_t (*count)(const uint64_t* bits, int64_t rows);
  // Adds each tree's leaf values to the margins of up to `room.rows` rows, out[row * outputs + output].
  void (*margins)(const Forest& forest, const BlockColumn* columns, const BlockRoom& room, int64_t rows, float* out);
  void (*exact_margins)(const Forest& forest, const BlockColumn* columns, const BlockRoom& room, int64_t rows,
                        double* out);
  // Adds SHAP values of up to kBlockRows rows; see cpu/explain.h. `planes` as above.
  void (*explain)(const Explainer& explainer, const BlockColumn* columns, uint64_t* planes, const ExplainRoom& room,
                  int64_t rows, double* out);
};

// The kernels of the instruction set in use.
const Kernels& kernels();
const Kernels& kernels_portable();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_vbmi();

constexpr int64_t kBeside = 8;  // columns of a matrix that are gathered together, at most

// Memory of one thread, aligned for the widest loads.
class Scratch {
 public:
  // For blocks of up to `rows` rows, a power of 2, with room for `cells` cells a row and sums of `outputs`.
  Scratch(const Questions& asked, int64_t rows, int64_t cells, int64_t outputs);

  uint8_t* codes(int64_t column) { return base_ + column * rows_ * 2; }
  uint64_t* missing(int64_t column) { return missing_ + column * rows_ / 64; }
  uint64_t* planes() { return planes_; }
  BlockRoom room() { return {rows_, planes_, cells_, sums_}; }
  char* gathered() { return gathered_.get(); }  // room for the values of kBeside columns

 private:
  int64_t rows_;
  std::unique_ptr<char[]> memory_;
  uint8_t* base_;
  uint64_t* missing_;
  uint64_t* planes_;
  uint16_t* cells_;
  char* sums_;
  std::unique_ptr<char[]> gathered_;
};

}  // namespace mlcore::cpu
