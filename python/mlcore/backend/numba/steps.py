"""Steps: a forest laid out for SHAP values, as csrc/cpu/explain.cpp does; the maths stands in csrc/ops/explain.h."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlcore.backend.numba.jit import jit

Array = np.ndarray[Any, Any]


class Steps(NamedTuple):
    """Inner nodes in the order in which they are entered, parents first and left before right; see csrc/cpu/explain.h."""

    nodes: Array
    """int32 (steps, 8): plane, feature, level, before, closes, side, whether the left and the right child are leaves."""
    trees: Array
    """int64 (T, 5): output, points, first step, steps, offset of constants."""
    constants: Array
    """Of each step pull (points), then of each side met, unmet and gain (points each), then dead of each side."""
    expected: Array
    """By output."""

    @property
    def levels(self) -> int:
        """The most levels of a tree."""
        return int(self.nodes[:, 2].max(initial=-1)) + 1

    @property
    def points(self) -> int:
        """The most points of a tree."""
        return int(self.trees[:, 1].max(initial=0))


def steps_of(given: dict[str, Array], feature: Array, cover: Array, plane_of: Array, outputs: int) -> Steps:
    """Return the steps of checked ForestArrays, given by field name."""
    count = int((given["node_pred"] >= 0).sum())
    nodes, shares = np.zeros((count, 8), np.int32), np.zeros((count, 5))
    trees, expected = np.zeros((len(given["tree_start"]) - 1, 5), np.int64), np.zeros(outputs)
    value = given["node_value"][:, 0].astype(np.float64)
    _list_steps(
        given["tree_start"], given["tree_output"], given["node_pred"], given["node_left"], given["node_right"], value,
        feature, cover, plane_of, nodes, shares, trees, expected,
    )  # fmt: skip
    sizes = trees[:, 3] * (7 * trees[:, 1] + 2)
    trees[:, 4] = np.cumsum(sizes) - sizes
    constants = np.zeros(int(sizes.sum()))
    _fill_constants(nodes, shares, trees, constants)
    return Steps(nodes, trees, constants, expected)


@jit
def _list_steps(
    start: Any, output: Any, pred: Any, left: Any, right: Any, value: Any, feature: Any, cover: Any, plane_of: Any,
    nodes: Any, shares: Any, trees: Any, expected: Any,
) -> None:  # fmt: skip
    """`shares` of a step: of rows that pass the feature's nodes above, 1 if there are none; each side's of this node's rows;
    each side's value, where it is a leaf."""
    longest = 0
    for tree in range(len(start) - 1):
        longest = max(longest, start[tree + 1] - start[tree])
    open_nodes, open_reach = np.empty((longest + 1, 3), np.int64), np.empty(longest + 1)
    path, taken, distinct = np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.int64)
    count = 0
    for tree in range(len(start) - 1):
        first, most, mean = start[tree], 0, 0.0
        trees[tree, 0], trees[tree, 2] = output[tree], count
        open_nodes[0, :], open_reach[0] = 0, 1.0
        waiting = 1
        while waiting > 0:
            waiting -= 1
            level, side, reach = open_nodes[waiting, 1], open_nodes[waiting, 2], open_reach[waiting]
            node = first + open_nodes[waiting, 0]
            if level > 0:
                parent = path[level - 1]
                nodes[parent, 6 + side] = pred[node] < 0
                shares[parent, 3 + side] = value[node]
                taken[level - 1] = side
            if pred[node] < 0:
                mean += reach * value[node]
                continue
            before = level - 1
            while before >= 0 and nodes[path[before], 1] != feature[node]:
                before -= 1
            above = 1.0
            if before >= 0:
                above = shares[path[before], 0] * shares[path[before], 1 + taken[before]]
            distinct[level] = (distinct[level - 1] if level > 0 else 0) + (before < 0)
            most = max(most, distinct[level])
            path[level] = count
            one, other = cover[first + left[node]] / cover[node], cover[first + right[node]] / cover[node]
            nodes[count, 0], nodes[count, 1], nodes[count, 2] = plane_of[pred[node]], feature[node], level
            nodes[count, 3], nodes[count, 5] = before, side
            shares[count, 0], shares[count, 1], shares[count, 2] = above, one, other
            open_nodes[waiting, 0], open_nodes[waiting, 1], open_nodes[waiting, 2] = right[node], level + 1, 1
            open_reach[waiting] = reach * other
            open_nodes[waiting + 1, 0], open_nodes[waiting + 1, 1], open_nodes[waiting + 1, 2] = (
                left[node],
                level + 1,
                0,
            )
            open_reach[waiting + 1] = reach * one
            waiting += 2
            count += 1
        expected[output[tree]] += mean
        trees[tree, 1], trees[tree, 3] = (most + 1) // 2, count - trees[tree, 2]
        for step in range(trees[tree, 2], count):
            next_level = nodes[step + 1, 2] if step + 1 < count else 0
            nodes[step, 4] = nodes[step, 2] - next_level + 1


@jit
def _cosine(x: float) -> float:
    term = total = 1.0
    for i in range(1, 16):
        term *= -x * x / ((2 * i - 1) * (2 * i))
        total += term
    return total


@jit
def _quadrature_point(at: int, points: int) -> tuple[float, float, float]:
    x, slope = _cosine(3.14159265358979323846 * (at + 0.75) / (points + 0.5)), 1.0
    for turn in range(8):
        before, here = 1.0, x
        for j in range(1, points):
            before, here = here, ((2 * j + 1) * x * here - j * before) / (j + 1)
        slope = points * (x * here - before) / (x * x - 1)
        if turn < 7:
            x -= here / slope
    t, rest = (1 - x) / 2, (1 + x) / 2
    return t, rest, 1 / ((1 - x * x) * slope * slope) / rest


@jit
def _fill_constants(nodes: Any, shares: Any, trees: Any, constants: Any) -> None:
    for tree in range(len(trees)):
        points, at = trees[tree, 1], trees[tree, 4]
        for k in range(points):
            t, rest, pull = _quadrature_point(k, points)
            out = at + k
            for step in range(trees[tree, 2], trees[tree, 2] + trees[tree, 3]):
                above = 1.0
                if nodes[step, 3] >= 0:
                    above = t + shares[step, 0] * rest
                constants[out] = -(pull / above)
                for side in range(2):
                    z = shares[step, 0] * shares[step, 1 + side]
                    met = t + z * rest
                    value = shares[step, 3 + side] if nodes[step, 6 + side] else 1.0
                    constants[out + points + 3 * points * side] = met / above * value
                    constants[out + 2 * points + 3 * points * side] = z * rest / above * value
                    constants[out + 3 * points + 3 * points * side] = pull / met
                out += 7 * points + 2
        for step in range(trees[tree, 2], trees[tree, 2] + trees[tree, 3]):
            for side in range(2):
                value = shares[step, 3 + side] if nodes[step, 6 + side] else 1.0
                constants[at + 7 * points + side] = shares[step, 1 + side] * value
            at += 7 * points + 2
