#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

namespace mlcore::cpu {

constexpr int kClusterNodes = 15;           // at most
constexpr int64_t kClusterCells = 64;       // at most, of a row: what two registers hold
constexpr int64_t kClusterRows = 256;       // that stand in clusters at a time
constexpr int64_t kNearLeaves = 32768;      // among which a way out can tell its leaf
constexpr int64_t kMostClusters = 1 << 24;  // of a tree: their offsets have 32 bits
constexpr int kTopLevels = 6;               // of a tree, above its clusters
constexpr uint8_t kLessOne = 128;           // of Cluster::cell

// Nodes of a tree that hang together, all asked at once. Of the ways out of them a row takes the one whose nodes all
// answer as it asks. What is beyond those that there are: nodes that no way asks, and ways that no row takes.
struct alignas(32) Cluster {
  std::array<uint16_t, 16> code{};   // of each node: rows whose cell holds as much go right, or more
  std::array<uint16_t, 16> asked{};  // of each way out: the nodes on it, a bit each
  std::array<uint16_t, 16> right{};  // and which of them send a row there to their right
  // Of each way out: twice the number of a leaf, counted from `leaves`; or, plus one, how many bytes after `next` a
  // cluster lies.
  std::array<uint16_t, 16> leads{};
  std::array<uint8_t, 16> cell{};  // that each node asks; plus kLessOne: one less of it, of 0 the highest
  uint32_t next = 0;    // of the clusters below: how many bytes after the tree's first the first of them lies
  uint32_t leaves = 0;  // twice the number that those of the leaves count from
};

// A node of a tree to be cut; depth first, so that its left child comes next.
struct ClusterNode {
  int32_t right;  // child; 0: a leaf
  uint16_t code;
  uint8_t cell;
  bool missing_right;

  bool leaf() const { return right == 0; }
};

// Cuts what lies below these nodes of a tree into clusters, of which rows pass few, and appends them: first those that
// begin with the `roots`, one each, and those below one side by side. `number` says each leaf's; those of one cluster
// are less than kNearLeaves apart.
void cut(const std::vector<ClusterNode>& nodes, std::vector<size_t> roots,
         const std::function<int64_t(size_t leaf)>& number, std::vector<Cluster>& clusters);

}  // namespace mlcore::cpu
