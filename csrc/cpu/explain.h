#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/forest.h"
#include "cpu/score.h"

namespace mlcore::cpu {

// A forest, and of each node the weight of the training rows that passed it and the feature that it asks about.
struct ExplainerSpec {
  ForestSpec forest;
  int64_t features;
  const int32_t* node_feature;
  const double* node_cover;
};

// An inner node. Those of a tree come parents first, left before right.
struct Step {
  int32_t plane, feature;
  int32_t level;    // the root's is 0
  int32_t before;   // the level of the nearest node above that asks the same feature; -1: none does
  int32_t closes;   // how many subtrees end with this step, the innermost first
  uint8_t side;     // 0 where it is its parent's left child, 1 where its right
  uint8_t leaf[2];  // which of its children are leaves
};

struct ExplainedTree {
  int32_t output, points;  // of the quadrature; see ops/explain.h
  int64_t first, count;    // steps
  int64_t constants;       // offset of step_constants(points) for each step
};

// A step's numbers: `pull` of each point, then of each side `met`, `unmet` and `gain` of each point, then `dead` of
// each side. A path's product is multiplied by `met` where the row goes this way and has met the feature's nodes above,
// by `unmet` where it goes the other way first here, by `dead` where it did so above; those of a leaf hold its value
// too. Of the sums below both sides the feature gets `pull` parts, and of the side that the row takes `gain` parts
// besides.
constexpr int64_t step_constants(int64_t points) { return 7 * points + 2; }

struct Explainer : Questions {
  int32_t outputs;
  int64_t features;
  std::vector<Step> steps;
  std::vector<ExplainedTree> trees;
  std::vector<double> constants;
  std::vector<double> expected;  // by output: the mean of its trees over their training rows
  int64_t levels, points;        // the most of any tree
};

// Checks every index and cover and lays the trees out. Throws std::invalid_argument, naming tree and node.
Explainer prepare_explainer(const ExplainerSpec& spec);

// Groups of 8 rows that a tree is walked with. With one, what is decided once for all rows of a step costs as much as
// their arithmetic: 92 ns a row and tree of depth 6 against 59 (AVX-512).
constexpr int kExplainGroups = 4;

// Where a walk keeps what it needs; see ExplainMemory.
struct ExplainRoom {
  double *paths, *below;         // of each level: a product, and two sums, for each point and row
  double* values;                // of each output and feature: `piece` rows
  uint32_t *right, *live, *met;  // of each level, a bit a row: goes right; met the feature's nodes above; and this one
  int32_t* open;                 // of each level: the step whose subtree is being walked
  int64_t piece;                 // rows worked on at a time
};

// Memory of one thread.
class ExplainMemory {
 public:
  explicit ExplainMemory(const Explainer& explainer);
  const ExplainRoom& room() const { return room_; }

 private:
  std::unique_ptr<char[]> memory_;
  ExplainRoom room_;
};

// Adds each row's SHAP values to out[(row * outputs + output) * (features + 1) + feature], the expected value last.
// Throws std::out_of_range for a code at or above its column's n_codes.
void explain(const Explainer& explainer, const std::vector<CodedColumn>& columns, int64_t n, double* out, int threads);

}  // namespace mlcore::cpu
