#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/views.h"
#include "cpu/forest.h"

namespace mlcore::cpu {

// One column of a block. Rows past the end, up to a multiple of kBlockRows, hold code 0.
struct BlockColumn {
  CodesView codes;
  const uint64_t* missing;
  bool any_missing;
};

constexpr int32_t kMostInBucket = 4;

// Edges sorted into buckets of one width, few to a bucket: a value's code is the number of edges in buckets before its
// own, plus those in it that it has reached. Arithmetic is the type's own for float, else double.
struct Buckets {
  std::vector<uint16_t> start;  // edges before each bucket; empty when buckets do not suit the edges
  double low = 0, scale = 0;
  int32_t most = 0;  // edges in the fullest bucket
};

// Edges laid out for the search that suits them.
struct EdgeTable {
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(edges.data());
  }

  Type type;
  int32_t n;
  std::vector<char> edges;       // n of them, padded with kMostInBucket times the type's highest value
  std::vector<char> levels;      // those of a binary search level by level, of up to 255 edges; see cpu/levels512.h
  std::vector<char> two_level;   // 256 edges padded with the type's highest value, then every 16th; for up to 255 edges
  std::vector<uint16_t> direct;  // the code of each integer from one below the first edge to the last; or empty
  Buckets buckets;
};

// `rows` is how many values will be coded: a direct table must pay for itself.
EdgeTable make_edge_table(Type type, std::vector<char> edges, int64_t rows);

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
  bool levels;    // `bin` searches EdgeTable::levels
  bool clusters;  // walks down trees of them
  // Codes of `rows` contiguous values; NaN gets 0. Wide codes when the table has more than 255 edges.
  void (*bin)(const EdgeTable& table, const void* values, int64_t rows, void* codes);
  // Codes of one row, a float or a double of each column; tables are all of that type and made for one row.
  void (*bin_row)(const EdgeTable* tables, int64_t columns, const void* values, uint16_t* codes);
  // Bit i set where value i is NaN (float types).
  void (*nan)(Type type, const void* values, int64_t rows, uint64_t* missing);
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
