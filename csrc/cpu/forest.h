#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "cpu/clusters.h"
#include "ops/forest.h"

namespace mlcore::cpu {

// What decides a tree's shape: itself, or the caller; a tree that does not suit what is asked for takes what it can.
enum class Engine : uint8_t { automatic, planes, deep, walk, rows };

// A forest as the caller states it: predicates over codes, trees over predicates. Nothing is owned.
struct ForestSpec {
  int64_t predicates, sets, set_words, trees, nodes, columns;
  const int32_t *pred_column, *pred_code, *pred_set;
  const uint8_t* pred_missing;
  const uint64_t* set_bits;
  const int64_t* tree_start;
  const int32_t *tree_output, *node_pred, *node_left, *node_right;
  const void* node_value;  // `width` numbers a node
  bool doubles;            // the numbers are double, and margins are summed so
  int64_t width;
  const int32_t* n_codes;
  int32_t outputs;
  Engine engine = Engine::automatic;
};

// A predicate that some tree asks through its plane, which has one bit a row, set where the row goes right.
struct Plane {
  int32_t code;  // threshold, or the number of the set
  bool missing;
};

// The planes of one column: thresholds first, then sets.
struct PlaneGroup {
  int32_t column;
  int64_t first, thresholds, sets;
};

// One step of a tree's network, for a node and its two children: slot `to` becomes, row by row, one of four slots, by
// the node's plane (right: the latter two), and then by that child's (right: the latter). A child that is a leaf has a
// plane that does not matter, and the same slot twice.
struct Mux {
  int32_t plane, left, right;
  uint8_t from[4];
  uint8_t to;
};

// What a node at the top of a tree of clusters asks; of no column where a leaf lies above it.
struct TopNode {
  int32_t column;
  bool of_set;
  Plane plane;
};

// How a tree finds its leaf's number, left to right.
enum class Shape : uint8_t {
  oblivious,  // to depth kMostBits, one question a level: its answers are the number's bits
  complete,   // to depth kMostBits, leaves above the last level repeated below themselves; muxes are known in advance
  network,    // up to 2^kMostBits leaves at any depth; its muxes are listed
  deep,       // node by node, rows side by side
  clusters,   // as deep ones, but several nodes at a time
  walk        // node by node, row by row: what the others cannot do
};

constexpr int64_t kBlockRows = 512;  // the granule of blocks
constexpr int64_t kBlockWords = kBlockRows / 64;
constexpr int64_t kPlaneBlockRows = 2048, kDeepBlockRows = 32768;  // at most
constexpr int kMostBits = 8;                                       // of a leaf's number
constexpr int kMuxSlots = 256;     // of a network; the first two hold no row and every row
constexpr int kResultSlot = 2;     // the leaf number's highest bit; the lower ones follow
constexpr int kMuxRegisters = 4;   // of rows that a network works on at a time
constexpr int kFewestLeaves = 16;  // a leaf table is at least as long as one shuffle reads

constexpr int64_t kTileRows = 8;  // walk down a deep tree side by side: their places stay in registers

constexpr uint16_t kNoCode = 65535;  // the highest that a cell holds

// A node of a deep tree: the row goes to `left`, or to the one after it when its cell holds more than `code`. A leaf
// leads to itself: its cell is one that always holds 0, and cell and code say which of the tree's leaves it is.
struct DeepNode {
  uint16_t code;
  uint16_t cell;  // where a tile keeps that of its first row
  uint32_t left;

  static constexpr int64_t kLeaves = kNoCode + 1;  // told apart by one cell

  static DeepNode leaf(int64_t number, size_t self) {
    return {static_cast<uint16_t>(number % kLeaves), static_cast<uint16_t>(number / kLeaves * kTileRows),
            static_cast<uint32_t>(self)};
  }
  int64_t number() const { return cell / kTileRows * kLeaves + code; }
};

// What a deep forest asks of a row: a column's code, or whether it lies in a set. Missing stands for the lowest or the
// highest value, so that a comparison sends it where it must go. For clusters 0 stands for missing, and whatever else
// is one more.
struct Cell {
  int32_t column, set;
  bool missing_right;
};

struct Tree {
  Shape shape;
  uint8_t bits;    // of a leaf's number; 0: one leaf; of a deep tree its depth, up to 255
  int32_t output;  // the first output that leaf values are added to
  int64_t first;   // oblivious: offset of `bits` plane numbers; complete: of 2^bits - 1 in heap order; network: of its
                   // muxes; deep: of its nodes; clusters: of those
  int64_t count;   // muxes, or nodes of a deep tree; clusters: of the trees that have them before it
  int64_t leaves;  // offset of a table of max(kFewestLeaves, 2^bits) values for each of `width` outputs; others:
                   // of its vectors
  int64_t root;    // offset of the tree's nodes
};

// Leaf values in the type that margins are summed in.
template <typename Sum>
struct LeafValues {
  std::vector<Sum> tables;     // by leaf number, of trees that have one
  std::vector<Sum> vectors;    // `width` each, of deep trees and clusters by the leaf's number, of others by node
  std::vector<uint8_t> bytes;  // the tables' float values as four byte planes each, for shuffles
  // The bits of a table's values: all their lowest pieces, then the next, of 32 bits or of 16, as
  // Kernels::bits_of_short_pieces says.
  std::vector<uint8_t> pieces;
};

// The columns of a block and what is asked of them.
struct Questions {
  int64_t set_words;
  std::vector<int32_t> n_codes;
  std::vector<Plane> planes;
  std::vector<PlaneGroup> groups;
  std::vector<uint64_t> sets;

  bool wide(int64_t column) const { return n_codes[column] > 256; }
};

struct Forest : Questions {
  bool doubles;
  int32_t outputs;
  int64_t block_rows;  // worked on at a time, a power of 2
  int64_t width;
  std::vector<Tree> trees;
  std::vector<int32_t> plane_ids;
  std::vector<Mux> muxes;
  std::vector<DeepNode> deep_nodes;
  std::vector<Cluster> clusters;   // no deep nodes then
  std::vector<TopNode> top_nodes;  // of the first kTopLevels levels of each tree of clusters, in heap order
  std::vector<uint32_t> top_ways;  // below those: where a cluster lies, as Cluster::leads says
  std::vector<Cell> cells;
  int64_t zero_cells = 0;  // the first of them, which always hold 0
  std::vector<ops::Node> nodes;
  LeafValues<float> floats;
  LeafValues<double> exact;

  // Of a row.
  int64_t room_for_cells() const {
    const auto count = static_cast<int64_t>(cells.size());
    return clusters.empty() ? count : count <= kClusterCells / 2 ? kClusterCells / 2 : kClusterCells;
  }

  template <typename Sum>
  const LeafValues<Sum>& values() const {
    if constexpr (std::is_same_v<Sum, float>)
      return floats;
    else
      return exact;
  }
};

// Checks every index. Throws std::invalid_argument, naming tree and node.
void check(const ForestSpec& spec);
// The questions whose predicates are `used`, and the plane of each of these.
std::vector<int32_t> number_planes(const ForestSpec& spec, const std::vector<uint8_t>& used, Questions& questions);
// Checks every index and lays the forest out.
Forest prepare(const ForestSpec& spec);

}  // namespace mlcore::cpu
