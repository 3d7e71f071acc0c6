#include "cpu/explain.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "core/pool.h"
#include "ops/explain.h"

namespace mlcore::cpu {

namespace {

constexpr int64_t kValueBytes = 256 * 1024;  // of the values that a tree adds to: they stay in the L2 cache

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("Explainer: " + what); }

void check_nodes(const ExplainerSpec& s) {
  const ForestSpec& f = s.forest;
  if (f.width != 1) refuse("node_value must have 1 column: vector leaves are not explained");
  if (s.features < 0) refuse("n_features must not be negative");
  for (int64_t t = 0; t < f.trees; ++t)
    for (int64_t i = f.tree_start[t]; i < f.tree_start[t + 1]; ++i) {
      const std::string where = "tree " + std::to_string(t) + ", node " + std::to_string(i - f.tree_start[t]);
      if (!(s.node_cover[i] >= 0) || std::isinf(s.node_cover[i])) refuse(where + ": cover is not a weight");
      if (f.node_pred[i] < 0) continue;
      if (s.node_feature[i] < 0 || s.node_feature[i] >= s.features) refuse(where + ": feature out of range");
      if (s.node_cover[i] == 0) refuse(where + ": cover of a node that splits must be above 0");
    }
}

// Lays out one tree after another.
class ExplainLayout {
 public:
  ExplainLayout(const ExplainerSpec& spec, Explainer& made, const std::vector<int32_t>& planes)
      : s_(spec), e_(made), plane_of_(planes) {}

  void add(int64_t tree) {
    first_ = s_.forest.tree_start[tree];
    plans_.clear();
    features_ = 0;
    ExplainedTree made{s_.forest.tree_output[tree], 0, static_cast<int64_t>(e_.steps.size()), 0, 0};
    e_.expected[static_cast<size_t>(made.output)] += walk();
    made.count = static_cast<int64_t>(plans_.size());
    made.points = (features_ + 1) / 2;
    made.constants = static_cast<int64_t>(e_.constants.size());
    for (size_t i = 0; i < plans_.size(); ++i) {
      Step& step = plans_[i].step;
      step.closes = i + 1 < plans_.size() ? step.level - plans_[i + 1].step.level + 1 : step.level + 1;
      e_.steps.push_back(step);
      e_.levels = std::max<int64_t>(e_.levels, step.level + 1);
    }
    e_.points = std::max<int64_t>(e_.points, made.points);
    add_constants(made);
    e_.trees.push_back(made);
  }

 private:
  // What a step's constants are made of.
  struct Plan {
    Step step;
    int32_t distinct;          // features asked from the root to here
    double above;              // share of rows that pass the feature's nodes above, on the way here; 1: there are none
    double ratio[2], leaf[2];  // of each side: its share of this node's rows; its value, where it is a leaf
  };
  struct Open {
    int32_t node, level;
    uint8_t side;
    double reach;  // share of rows that come here
  };

  // Lists the tree's steps and returns its expected value.
  double walk() {
    double expected = 0;
    std::vector<Open> open{{0, 0, 0, 1.0}};
    while (!open.empty()) {
      const Open at = open.back();
      open.pop_back();
      const int64_t node = first_ + at.node;
      if (at.level > 0) {
        Plan& parent = plans_[static_cast<size_t>(path_[static_cast<size_t>(at.level - 1)])];
        parent.step.leaf[at.side] = s_.forest.node_pred[node] < 0;
        parent.leaf[at.side] = value(node);
        taken_[static_cast<size_t>(at.level - 1)] = at.side;
      }
      if (s_.forest.node_pred[node] < 0) {
        expected += at.reach * value(node);
        continue;
      }
      const int64_t left = s_.forest.node_left[node], right = s_.forest.node_right[node];
      const double cover = s_.node_cover[node];
      const double ratio[2] = {s_.node_cover[first_ + left] / cover, s_.node_cover[first_ + right] / cover};
      enter(at, ratio);
      open.push_back({static_cast<int32_t>(right), at.level + 1, 1, at.reach * ratio[1]});
      open.push_back({static_cast<int32_t>(left), at.level + 1, 0, at.reach * ratio[0]});
    }
    return expected;
  }

  double value(int64_t node) const {
    return s_.forest.doubles ? static_cast<const double*>(s_.forest.node_value)[node]
                             : static_cast<double>(static_cast<const float*>(s_.forest.node_value)[node]);
  }

  void enter(const Open& at, const double* ratio) {
    const auto level = static_cast<size_t>(at.level);
    path_.resize(level);
    taken_.resize(level + 1);
    const int32_t feature = s_.node_feature[first_ + at.node];
    int32_t before = at.level - 1;
    while (before >= 0 && plan_at(before).step.feature != feature) --before;
    double above = 1;
    if (before >= 0) above = plan_at(before).above * plan_at(before).ratio[taken_[static_cast<size_t>(before)]];
    const int32_t distinct = (level > 0 ? plan_at(at.level - 1).distinct : 0) + (before < 0);
    features_ = std::max(features_, distinct);
    path_.push_back(static_cast<int32_t>(plans_.size()));
    const int32_t plane = plane_of_[static_cast<size_t>(s_.forest.node_pred[first_ + at.node])];
    plans_.push_back(
        {{plane, feature, at.level, before, 0, at.side, {0, 0}}, distinct, above, {ratio[0], ratio[1]}, {0, 0}});
  }

  const Plan& plan_at(int32_t level) const { return plans_[static_cast<size_t>(path_[static_cast<size_t>(level)])]; }

  void add_constants(const ExplainedTree& tree) {
    std::vector<ops::QuadraturePoint> rule;
    for (int32_t k = 0; k < tree.points; ++k) rule.push_back(ops::quadrature_point(k, tree.points));
    const int64_t points = tree.points, each = step_constants(points);
    e_.constants.resize(e_.constants.size() + plans_.size() * static_cast<size_t>(each));
    double* out = e_.constants.data() + tree.constants;
    for (const Plan& plan : plans_) {
      const bool again = plan.step.before >= 0;
      for (int64_t k = 0; k < points; ++k) {
        const ops::QuadraturePoint& point = rule[static_cast<size_t>(k)];
        const double above = again ? ops::met_factor(point, plan.above) : 1;
        out[k] = -(point.pull / above);
        for (int side = 0; side < 2; ++side) {
          double* of_side = out + points + 3 * points * side + k;
          const double z = plan.above * plan.ratio[side], met = ops::met_factor(point, z);
          const double value = plan.step.leaf[side] ? plan.leaf[side] : 1;
          of_side[0] = met / above * value;
          of_side[points] = z * point.rest / above * value;
          of_side[2 * points] = point.pull / met;
        }
      }
      for (int side = 0; side < 2; ++side)
        out[7 * points + side] = plan.ratio[side] * (plan.step.leaf[side] ? plan.leaf[side] : 1);
      out += each;
    }
  }

  const ExplainerSpec& s_;
  Explainer& e_;
  const std::vector<int32_t>& plane_of_;
  int64_t first_ = 0;  // of the tree at hand
  int32_t features_ = 0;
  std::vector<Plan> plans_;
  std::vector<int32_t> path_;   // from the root to here, by level: the step
  std::vector<uint8_t> taken_;  // and which way it was left
};

}  // namespace

Explainer prepare_explainer(const ExplainerSpec& s) {
  check(s.forest);
  check_nodes(s);
  Explainer made;
  made.outputs = s.forest.outputs;
  made.features = s.features;
  made.levels = made.points = 0;
  made.expected.assign(static_cast<size_t>(made.outputs), 0);
  std::vector<uint8_t> used(static_cast<size_t>(s.forest.predicates), 0);
  for (int64_t i = 0; i < s.forest.nodes; ++i)
    if (s.forest.node_pred[i] >= 0) used[static_cast<size_t>(s.forest.node_pred[i])] = 1;
  const std::vector<int32_t> planes = number_planes(s.forest, used, made);
  ExplainLayout layout(s, made, planes);
  for (int64_t t = 0; t < s.forest.trees; ++t) layout.add(t);
  return made;
}

ExplainMemory::ExplainMemory(const Explainer& e) {
  room_.piece = kBlockRows;
  while (room_.piece > 64 && e.features * room_.piece * 8 > kValueBytes) room_.piece /= 2;
  const int64_t path_bytes = e.levels * e.points * 8 * kExplainGroups * static_cast<int64_t>(sizeof(double));
  const int64_t value_bytes = e.outputs * e.features * room_.piece * static_cast<int64_t>(sizeof(double));
  const int64_t mask_bytes = e.levels * static_cast<int64_t>(sizeof(uint32_t));
  memory_ = std::make_unique<char[]>(static_cast<size_t>(3 * path_bytes + value_bytes + 4 * mask_bytes + 64));
  char* at = memory_.get() + (64 - reinterpret_cast<uintptr_t>(memory_.get()) % 64) % 64;
  const auto take = [&](auto*& taken, int64_t bytes) {
    taken = reinterpret_cast<std::remove_reference_t<decltype(taken)>>(at);
    at += bytes;
  };
  take(room_.paths, path_bytes);
  take(room_.below, 2 * path_bytes);
  take(room_.values, value_bytes);
  take(room_.right, mask_bytes);
  take(room_.live, mask_bytes);
  take(room_.met, mask_bytes);
  take(room_.open, mask_bytes);
}

void explain(const Explainer& explainer, const std::vector<CodedColumn>& columns, int64_t n, double* out, int threads) {
  struct Worker {
    explicit Worker(const Explainer& e) : scratch(e, kBlockRows, 0, 0), block(block_columns(e, scratch)), memory(e) {}
    Scratch scratch;
    std::vector<BlockColumn> block;
    ExplainMemory memory;
  };
  // A block is milliseconds of work, and so a span of its own.
  const int64_t spans = (n + kBlockRows - 1) / kBlockRows;
  std::vector<std::unique_ptr<Worker>> workers;
  for (int64_t i = 0; i < std::max<int64_t>(1, std::min<int64_t>(threads, spans)); ++i)
    workers.push_back(std::make_unique<Worker>(explainer));
  const int64_t width = explainer.outputs * (explainer.features + 1);
  parallel_for(spans, static_cast<int>(workers.size()), [&](int64_t span, int w) {
    Worker& worker = *workers[static_cast<size_t>(w)];
    const int64_t first = span * kBlockRows, rows = std::min(kBlockRows, n - first);
    load_codes(explainer, columns, first, rows, worker.scratch, worker.block);
    kernels().explain(explainer, worker.block.data(), worker.scratch.planes(), worker.memory.room(), rows,
                      out + first * width);
  });
}

}  // namespace mlcore::cpu
