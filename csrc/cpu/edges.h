#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "core/views.h"

namespace mlcore::cpu {

constexpr int32_t kMostInBucket = 4;

// The one edge of a bucket beside the number of edges before it: one fetch brings both. Past the last edge, one that
// every value reaches.
template <typename T>
struct Entry {
  T edge;
  std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t> before;
};

// Edges sorted into buckets, few to a bucket: a value's code is the number of edges in buckets before its own, plus
// those in it that it has reached.
struct Buckets {
  // What the span from the first edge to the last is cut into: buckets of one width; of 2^shift floats, which suits
  // what is spread over many magnitudes; or ways of 2^shift floats, each cut again into as many buckets as its edges
  // need. To count floats, what is none is rounded to one, which keeps the order.
  enum class Of : uint8_t { one_width, floats, ways };

  Of of = Of::one_width;
  int32_t count = 0;                // how many buckets
  int32_t most = 0;                 // edges in the fullest one; 0 where no cut suits the edges
  std::vector<char> entries = {};   // an Entry for each, where none has two edges and the table is not too large
  std::vector<char> start = {};     // else the edges before each, of 16 bits
  double scale = 0;                 // of one width, among floats and doubles: how many buckets go to 1
  int shift = 0;                    // of all other buckets and ways: each takes 2^shift integers or floats
  float lowest = 0, highest = 0;    // the first edge and the last, as floats
  std::vector<uint32_t> ways = {};  // the first bucket, times 32, and the logarithm of how many floats its buckets hold
};

constexpr int64_t kTogether = 16;  // values that are searched for together

// How a value's code is found.
enum class Search : uint8_t {
  each,     // it is compared with each edge
  direct,   // in a table of all integers between the edges
  levels,   // by halving, with the edges in registers
  buckets,  // in a table of what buckets hold
  steps,    // by halving, or in two steps of 16 comparisons
};

// Edges laid out for the search that suits them.
struct EdgeTable {
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(edges.data());
  }

  Type type;
  int32_t n;
  std::vector<char> edges;  // n of them, padded with kMostInBucket that no value reaches but the highest integer
  Search search = Search::steps;
  std::vector<char> levels = {};      // those of a binary search level by level, of up to 63; see cpu/levels512.h
  std::vector<char> two_level = {};   // 256, padded with the type's highest value, then every 16th; of up to 255
  std::vector<uint16_t> direct = {};  // the code of each integer from one below the first edge to the last
  Buckets buckets = {};
};

// `rows` is how many values will be coded: a table must pay for itself.
EdgeTable make_edge_table(Type type, std::vector<char> edges, int64_t rows);

}  // namespace mlcore::cpu
