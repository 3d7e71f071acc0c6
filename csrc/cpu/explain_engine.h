// SHAP values of one block, written once over a type V that holds 8 rows' numbers; engine.h includes this file.
// Each row's arithmetic is its own, in an order that the trees alone decide: results are the same bits for any V.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/block.h"
#include "cpu/explain.h"

namespace mlcore::cpu {
namespace {

// Walks a tree with Groups times 8 rows. The number of points, which the loops over them run to, is known in advance
// when Fixed > 0.
template <typename V, int Fixed, int Groups>
class Walk {
  using Eight = typename V::Eight;
  using Mask = typename V::Mask;
  static constexpr int64_t kRows = 8 * Groups;

 public:
  Walk(const Explainer& explainer, const ExplainedTree& tree, const ExplainRoom& room, const uint64_t* planes)
      : steps_(explainer.steps.data() + tree.first),
        constants_(explainer.constants.data() + tree.constants),
        count_(tree.count),
        given_(tree.points),
        room_(room),
        planes_(planes) {}

  // Adds to values[feature * piece] of the rows from `row` of the block on.
  void add(int64_t row, double* values) const {
    for (int64_t i = 0; i < count_; ++i) {
      const Step& step = steps_[i];
      enter(step, static_cast<int32_t>(i), row);
      for (int32_t level = step.level; level > step.level - step.closes; --level) leave(level, values);
    }
  }

 private:
  int64_t points() const { return Fixed > 0 ? Fixed : given_; }
  const double* constants(int64_t step) const { return constants_ + step * step_constants(points()); }
  double* path(int32_t level) const { return room_.paths + level * points() * kRows; }
  double* below(int32_t level, int side) const { return room_.below + (2 * level + side) * points() * kRows; }
  static Mask mask(uint32_t rows, int group) { return V::mask(static_cast<uint8_t>(rows >> (8 * group))); }

  // Rows that have met all nodes of the feature so far when they go to this side.
  uint32_t met(int32_t level, int side) const {
    return room_.live[level] & (side != 0 ? room_.right[level] : ~room_.right[level]);
  }

  // Multiplies the products of a level by the factors of one side.
  void follow(const Step& step, int32_t level, int side, const double* of_step, double* out) const {
    if (step.before < 0)
      follow<false>(level, side, of_step, out);
    else
      follow<true>(level, side, of_step, out);
  }

  template <bool Again>
  void follow(int32_t level, int side, const double* of_step, double* out) const {
    const double* factors = of_step + points() + 3 * points() * side;
    const uint32_t here = met(level, side), live = room_.live[level];
    const double* products = path(level);
    for (int64_t k = 0; k < points(); ++k)
      for (int g = 0; g < Groups; ++g) {
        const int64_t at = k * kRows + 8 * g;
        const Eight product = V::take(products + at);
        Eight found = V::scale(product, Again ? of_step[7 * points() + side] : factors[points() + k]);
        if constexpr (Again) found = V::replace(found, mask(live, g), product, factors[points() + k]);
        V::put(out + at, V::replace(found, mask(here, g), product, factors[k]));
      }
  }

  void enter(const Step& step, int32_t number, int64_t row) const {
    const int32_t level = step.level;
    if (level == 0) {
      for (int64_t i = 0; i < points() * kRows; i += 8) V::put(path(0) + i, V::all(1));
    } else {
      const int32_t parent = room_.open[level - 1];
      follow(steps_[parent], level - 1, step.side, constants(parent), path(level));
      room_.met[level - 1] = met(level - 1, step.side);
    }
    room_.open[level] = number;
    room_.right[level] = static_cast<uint32_t>(planes_[step.plane * kBlockWords + row / 64] >> (row % 64));
    room_.live[level] = step.before < 0 ? ~uint32_t{0} : room_.met[step.before];
  }

  // Takes what the node's feature adds from the sums below both sides, and hands their sum up.
  void leave(int32_t level, double* values) const {
    const Step& step = steps_[room_.open[level]];
    const double* of_step = constants(room_.open[level]);
    for (int side = 0; side < 2; ++side)
      if (step.leaf[side] != 0) follow(step, level, side, of_step, below(level, side));
    const double *left_gain = of_step + 3 * points(), *right_gain = of_step + 6 * points();
    const double *left = below(level, 0), *right = below(level, 1);
    const uint32_t goes_right = room_.right[level];
    Eight gained[Groups];
    for (Eight& none : gained) none = V::all(0);
    for (int64_t k = 0; k < points(); ++k)
      for (int g = 0; g < Groups; ++g) {
        const int64_t at = k * kRows + 8 * g;
        const Eight one = V::take(left + at), other = V::take(right + at), total = V::plus(one, other);
        const Eight taken = V::replace(V::scale(one, left_gain[k]), mask(goes_right, g), other, right_gain[k]);
        gained[g] = V::plus(gained[g], V::plus(V::scale(total, of_step[k]), taken));
        if (level > 0) V::put(below(level - 1, step.side) + at, total);
      }
    double* target = values + step.feature * room_.piece;
    for (int g = 0; g < Groups; ++g)
      V::put(target + 8 * g, V::plus_where(V::take(target + 8 * g), mask(room_.live[level], g), gained[g]));
  }

  const Step* steps_;
  const double* constants_;
  int64_t count_, given_;
  const ExplainRoom room_;
  const uint64_t* planes_;
};

template <typename V, int Fixed>
void explain_tree(const Explainer& explainer, const ExplainedTree& tree, const ExplainRoom& room,
                  const uint64_t* planes, int64_t first, int64_t end) {
  const Walk<V, Fixed, kExplainGroups> many(explainer, tree, room, planes);
  const Walk<V, Fixed, 1> few(explainer, tree, room, planes);
  double* values = room.values + tree.output * explainer.features * room.piece - first;
  int64_t row = first;
  for (; row + 8 * kExplainGroups <= end; row += 8 * kExplainGroups) many.add(row, values + row);
  for (; row < end; row += 8) few.add(row, values + row);
}

template <typename V>
void explain_tree(const Explainer& explainer, const ExplainedTree& tree, const ExplainRoom& room,
                  const uint64_t* planes, int64_t first, int64_t end) {
  constexpr decltype(&explain_tree<V, 0>) walks[] = {explain_tree<V, 0>, explain_tree<V, 1>, explain_tree<V, 2>,
                                                     explain_tree<V, 3>, explain_tree<V, 4>, explain_tree<V, 5>,
                                                     explain_tree<V, 6>};
  walks[tree.points <= 6 ? tree.points : 0](explainer, tree, room, planes, first, end);
}

template <typename V>
void explain(const Explainer& explainer, const BlockColumn* columns, uint64_t* planes, const ExplainRoom& room,
             int64_t rows, double* out) {
  fill_planes<V>(explainer, columns, {planes, kBlockWords, (rows + kBlockRows - 1) / kBlockRows * kBlockWords});
  const int64_t features = explainer.features, slots = explainer.outputs * features;
  for (int64_t first = 0; first < rows; first += room.piece) {
    const int64_t end = std::min(rows, first + room.piece);
    std::fill(room.values, room.values + slots * room.piece, 0.0);
    for (const ExplainedTree& tree : explainer.trees) explain_tree<V>(explainer, tree, room, planes, first, end);
    for (int64_t row = first; row < end; ++row)
      for (int64_t k = 0; k < explainer.outputs; ++k) {
        double* target = out + (row * explainer.outputs + k) * (features + 1);
        for (int64_t f = 0; f < features; ++f) target[f] += room.values[(k * features + f) * room.piece + row - first];
        target[features] += explainer.expected[static_cast<size_t>(k)];
      }
  }
}

}  // namespace
}  // namespace mlcore::cpu
