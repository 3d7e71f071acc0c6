#include "cpu/clusters.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace mlcore::cpu {

namespace {

// What a cluster costs for the room that it takes up in the cache: as much as visits of the rows of so many leaves.
constexpr float kLeavesForCluster = 10;

// For each node and room in its parent's cluster: how much of it the left child's subtree takes so that the fewest rows
// pass further clusters, every leaf taken to be reached by as many. Worked out from the leaves up.
class Shares {
 public:
  explicit Shares(const std::vector<ClusterNode>& nodes) : left_(nodes.size()) {
    std::vector<Subtree> open;  // wait for their parents, the leftmost last
    for (size_t i = nodes.size(); i-- > 0;) {
      if (nodes[i].leaf()) {
        open.push_back({{}, 1});
        continue;
      }
      const Subtree left = open.back(), right = open[open.size() - 2];
      open.resize(open.size() - 2);
      Subtree both{share(left.costs, right.costs, left_[i]), left.leaves + right.leaves};
      both.costs[0] = both.costs[kClusterNodes] + both.leaves + kLeavesForCluster;
      open.push_back(both);
    }
  }

  size_t left(size_t node, size_t room) const { return left_[node][room]; }

 private:
  using Costs = std::array<float, kClusterNodes + 1>;  // by room; where there is none, a subtree begins a cluster
  using Lefts = std::array<uint8_t, kClusterNodes + 1>;
  struct Subtree {
    Costs costs;
    float leaves;
  };

  static Costs share(const Costs& left, const Costs& right, Lefts& lefts) {
    Costs least;
    least.fill(std::numeric_limits<float>::max());
    for (size_t l = 0; l < kClusterNodes; ++l)
      for (size_t room = l + 1; room <= kClusterNodes; ++room) {
        const float cost = left[l] + right[room - 1 - l];
        if (cost >= least[room]) continue;
        least[room] = cost;
        lefts[room] = static_cast<uint8_t>(l);
      }
    return least;
  }

  std::vector<Lefts> left_;
};

class Cutter {
 public:
  Cutter(const std::vector<ClusterNode>& nodes, std::vector<size_t> roots, const std::function<int64_t(size_t)>& number,
         std::vector<Cluster>& clusters)
      : nodes_(nodes), shares_(nodes), number_(number), clusters_(clusters), roots_(std::move(roots)) {}

  void cut() {
    for (size_t i = 0; i < roots_.size(); ++i) fill(roots_[i]);
  }

 private:
  void fill(size_t root) {
    cluster_ = Cluster{};
    cluster_.right.fill(1);  // asked for by none
    size_ = ways_ = 0;
    leaves_.clear();
    below_ = 0;
    cluster_.next = static_cast<uint32_t>(roots_.size() * sizeof(Cluster));
    descend(root, kClusterNodes, 0, 0);
    int64_t first = leaves_.empty() ? 0 : leaves_[0].second;
    for (const auto& [way, number] : leaves_) first = std::min(first, number);
    cluster_.leaves = static_cast<uint32_t>(2 * first);
    for (const auto& [way, number] : leaves_) cluster_.leads[way] = static_cast<uint16_t>(2 * (number - first));
    clusters_.push_back(cluster_);
  }

  void descend(size_t at, size_t room, unsigned asked, unsigned right) {
    const ClusterNode& node = nodes_[at];
    if (node.leaf() || room == 0) {
      cluster_.asked[ways_] = static_cast<uint16_t>(asked);
      cluster_.right[ways_] = static_cast<uint16_t>(right);
      if (node.leaf()) {
        leaves_.emplace_back(ways_, number_(at));
      } else {
        cluster_.leads[ways_] = static_cast<uint16_t>(below_++ * sizeof(Cluster) + 1);
        roots_.push_back(at);
      }
      ++ways_;
      return;
    }
    const unsigned bit = 1U << size_;
    cluster_.code[size_] = static_cast<uint16_t>(node.missing_right ? node.code : node.code + 1);
    cluster_.cell[size_++] = static_cast<uint8_t>(node.missing_right ? node.cell + kLessOne : node.cell);
    const size_t lefts = shares_.left(at, room);
    descend(at + 1, lefts, asked | bit, right);
    descend(static_cast<size_t>(node.right), room - 1 - lefts, asked | bit, right | bit);
  }

  const std::vector<ClusterNode>& nodes_;
  const Shares shares_;
  const std::function<int64_t(size_t)>& number_;
  std::vector<Cluster>& clusters_;
  std::vector<size_t> roots_;
  Cluster cluster_;                                 // at hand
  size_t size_ = 0, ways_ = 0, below_ = 0;          // its nodes, ways out, and clusters below
  std::vector<std::pair<size_t, int64_t>> leaves_;  // its ways out to leaves, and their numbers
};

}  // namespace

void cut(const std::vector<ClusterNode>& nodes, std::vector<size_t> roots,
         const std::function<int64_t(size_t leaf)>& number, std::vector<Cluster>& clusters) {
  Cutter(nodes, std::move(roots), number, clusters).cut();
}

}  // namespace mlcore::cpu
