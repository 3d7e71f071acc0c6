// SHAP values of trees, exact and path-dependent (Lundberg et al., "Consistent individualized feature attribution for
// tree ensembles"): a feature that is not known takes both branches, weighted by the training rows that took them.
//
// Of a leaf of value v whose path asks the features F, with z_f the share of rows that pass f's nodes, and o_f whether
// the row does (1 or 0), feature i gets
//   v (o_i - z_i) sum over S in F\{i} of |S|! (|F|-|S|-1)! / |F|! * prod_{f in S} o_f * prod_{f in F\S\{i}} z_f.
// The factorials are the integral of t^|S| (1-t)^(|F|-|S|-1) over t in [0, 1], so the sum is that of
//   prod_{f in F\{i}} (o_f t + z_f (1-t)),
// a polynomial of degree |F| - 1: Gauss and Legendre's rule of ceil(|F| / 2) points gives it exactly, and every term of
// it is positive. At each point a path is then a product of one factor a feature, which is carried down the tree, and
// what a node's feature gets is linear in the sums over the leaves on its two sides, which are carried up.
#pragma once

#include <cstdint>

#include "core/hd.h"

namespace mlcore::ops {

// A point of the rule on [0, 1]: t, 1 - t, and the weight over 1 - t.
struct QuadraturePoint {
  double t, rest, pull;
};

// By its series, so that it is the same on every machine; for x in [0, pi], good to 1e-10.
MLCORE_HD inline double cosine(double x) {
  double term = 1, sum = 1;
  for (int32_t i = 1; i <= 15; ++i) {
    term *= -x * x / ((2 * i - 1) * (2 * i));
    sum += term;
  }
  return sum;
}

// Point number `at` of `points`: a root of Legendre's polynomial by Newton's method.
MLCORE_HD inline QuadraturePoint quadrature_point(int32_t at, int32_t points) {
  constexpr double pi = 3.14159265358979323846;
  double x = cosine(pi * (at + 0.75) / (points + 0.5)), slope = 1;
  for (int32_t round = 0; round < 8; ++round) {
    double before = 1, here = x;
    for (int32_t j = 1; j < points; ++j) {
      const double next = ((2 * j + 1) * x * here - j * before) / (j + 1);
      before = here;
      here = next;
    }
    slope = points * (x * here - before) / (x * x - 1);
    if (round < 7) x -= here / slope;
  }
  const double t = (1 - x) / 2, rest = (1 + x) / 2;
  return {t, rest, 1 / ((1 - x * x) * slope * slope) / rest};
}

// What a feature multiplies its path by where the row passes all its nodes on it (z of the training rows do).
MLCORE_HD inline double met_factor(const QuadraturePoint& point, double z) { return point.t + z * point.rest; }

}  // namespace mlcore::ops
