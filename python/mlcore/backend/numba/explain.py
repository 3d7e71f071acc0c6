"""SHAP values of coded columns: the twin of csrc/cpu/explain.cpp; the maths stands in csrc/ops/explain.h."""

from __future__ import annotations

import operator
from typing import Any, Final

import numpy as np

from mlcore.backend.numba import checks
from mlcore.backend.numba.engine import BLOCK_ROWS, BLOCK_WORDS, fill_planes
from mlcore.backend.numba.forest import check_outputs, checked
from mlcore.backend.numba.jit import jit
from mlcore.backend.numba.layout import plane_groups
from mlcore.backend.numba.score import Coded, coded, for_spans, load
from mlcore.backend.numba.steps import steps_of

Array = np.ndarray[Any, Any]
_LANES: Final = 64  # rows that a tree is walked with at a time: a word of each plane
_ONE: Final = np.uint64(1)


class Explainer:
    """The handle that explain takes; its arguments are ForestArrays' fields, in order, then ExplainerArrays' own."""

    __slots__ = ("features", "groups", "n_codes", "outputs", "planes", "steps")

    def __init__(
        self, pred_column: Array, pred_code: Array, pred_set: Array, pred_missing: Array, sets: Array,
        tree_start: Array, tree_output: Array, node_pred: Array, node_left: Array, node_right: Array, node_value: Array,
        n_codes: Array, n_outputs: int, node_feature: Array, node_cover: Array, n_features: int,
    ) -> None:  # fmt: skip
        given = checked(
            pred_column, pred_code, pred_set, pred_missing, sets, tree_start, tree_output, node_pred, node_left,
            node_right, node_value, n_codes,
        )  # fmt: skip
        self.n_codes: tuple[int, ...] = tuple(given["n_codes"].tolist())
        self.outputs, self.features = operator.index(n_outputs), operator.index(n_features)
        check_outputs(given, self.outputs)
        nodes = len(given["node_pred"])
        feature = np.array(checks.contiguous(node_feature, np.int32, ("Explainer", "node_feature"), nodes))
        cover = np.array(checks.contiguous(node_cover, np.float64, ("Explainer", "node_cover"), nodes))
        _check_nodes(given, feature, cover, self.features)
        order, self.groups = plane_groups(given, np.unique(given["node_pred"][given["node_pred"] >= 0]))
        self.planes = len(order)
        plane_of = np.zeros(max(1, len(given["pred_column"])), np.int32)
        plane_of[order] = np.arange(len(order), dtype=np.int32)
        self.steps = steps_of(given, feature, cover, plane_of, self.outputs)


def _check_nodes(given: dict[str, Array], feature: Array, cover: Array, features: int) -> None:
    if given["node_value"].shape[1] != 1:
        raise ValueError("Explainer: node_value must have 1 column: vector leaves are not explained")
    if features < 0:
        raise ValueError("Explainer: n_features must not be negative")
    inner = given["node_pred"] >= 0
    wrong = [
        (~(cover >= 0) | np.isinf(cover), "cover is not a weight"),
        (inner & ((feature < 0) | (feature >= features)), "feature out of range"),
        (inner & (cover == 0), "cover of a node that splits must be above 0"),
    ]
    found = [(int(np.argmax(bad)), what) for bad, what in wrong if bad.any()]
    if found:
        node, what = min(found, key=operator.itemgetter(0))
        tree = int(np.searchsorted(given["tree_start"], node, side="right")) - 1
        raise ValueError(f"Explainer: tree {tree}, node {node - given['tree_start'][tree]}: {what}")


def explain(handle: Any, codes: Any, missing: Any, out: Any, threads: Any) -> None:
    """Add the SHAP values of coded columns; see mlcore.ops.explain."""
    if not isinstance(handle, Explainer):
        checks.refuse(("explain", "handle"), "must be an explainer prepared for the Numba backend")
    where = ("explain", "out")
    target = checks.as_array(out, where)
    shaped = target.dtype == np.float64 and target.ndim == 3
    wanted = (handle.outputs, handle.features + 1)
    if not shaped or target.shape[1:] != wanted or not target.flags.c_contiguous or not target.flags.writeable:
        shape = f"(rows, {wanted[0]}, {wanted[1]})"
        checks.refuse(where, f"must be a writeable C-contiguous float64 array of shape {shape}")
    columns = coded(handle, codes, missing, len(target), "explain")

    def work(first: int, end: int) -> None:
        _explain_block(handle, load(handle, columns, first, end, "explain", BLOCK_ROWS), target[first:end])

    for_spans(len(target), checks.threads(threads, "explain"), work, BLOCK_ROWS)


def _explain_block(model: Explainer, block: Coded, out: Array) -> None:
    hot = np.empty((int(model.groups[3].max(initial=0)) + 1, BLOCK_WORDS), np.uint64)
    planes = np.empty((model.planes + 1) * BLOCK_WORDS, np.uint64)
    fill_planes(model.groups, *block, checks.words_for(len(out)), hot, planes)
    steps, levels, points = model.steps, model.steps.levels, model.steps.points
    room = (
        np.empty((levels, points, _LANES)), np.empty((levels, 2, points, _LANES)),
        np.empty((3, levels, _LANES), np.bool_), np.empty(levels, np.int64),
        np.empty((model.outputs, model.features, _LANES)),
    )  # fmt: skip
    _add_values(steps.nodes, steps.trees, steps.constants, steps.expected, planes, room, out)


@jit
def _add_values(nodes: Any, trees: Any, constants: Any, expected: Any, planes: Any, room: Any, out: Any) -> None:
    values = room[4]
    for first in range(0, len(out), _LANES):
        values[:] = 0.0
        for tree in range(len(trees)):
            _walk(nodes, trees[tree], constants, planes, first // _LANES, room, values[trees[tree, 0]])
        for row in range(first, min(len(out), first + _LANES)):
            for k in range(out.shape[1]):
                for f in range(values.shape[1]):
                    out[row, k, f] += values[k, f, row - first]
                out[row, k, values.shape[1]] += expected[k]


@jit
def _walk(nodes: Any, tree: Any, constants: Any, planes: Any, word: int, room: Any, values: Any) -> None:
    """Add one tree's values of 64 rows."""
    paths, _, bits, opened, _ = room
    right, live, met = bits
    points, first = tree[1], tree[2]
    for step in range(first, first + tree[3]):
        level, before = nodes[step, 2], nodes[step, 3]
        if level == 0:
            paths[0, :points] = 1.0
        else:
            parent = opened[level - 1]
            at = tree[4] + (parent - first) * (7 * points + 2)
            _follow(nodes[parent], level - 1, nodes[step, 5], points, constants[at:], room, paths[level])
            for i in range(_LANES):
                met[level - 1, i] = live[level - 1, i] & (right[level - 1, i] == (nodes[step, 5] != 0))
        opened[level] = step
        plane = planes[nodes[step, 0] * BLOCK_WORDS + word]
        for i in range(_LANES):
            right[level, i] = (plane >> np.uint64(i)) & _ONE != np.uint64(0)
            live[level, i] = True if before < 0 else met[before, i]
        for closed in range(nodes[step, 4]):
            ending = opened[level - closed]
            at = tree[4] + (ending - first) * (7 * points + 2)
            _leave(nodes[ending], level - closed, points, constants[at:], room, values)


@jit
def _follow(node: Any, level: int, side: int, points: int, of_step: Any, room: Any, out: Any) -> None:
    """Multiply the products of a level by the factors of one side."""
    paths, _, bits, _, _ = room
    right, live = bits[0, level], bits[1, level]
    dead = of_step[7 * points + side]
    for k in range(points):
        met, unmet = of_step[points + 3 * points * side + k], of_step[2 * points + 3 * points * side + k]
        product, target = paths[level, k], out[k]
        if node[3] < 0:
            for i in range(_LANES):
                target[i] = product[i] * (met if right[i] == (side != 0) else unmet)
        else:
            for i in range(_LANES):
                here = met if right[i] == (side != 0) else unmet
                target[i] = product[i] * (here if live[i] else dead)


@jit
def _leave(node: Any, level: int, points: int, of_step: Any, room: Any, values: Any) -> None:
    """Take what the node's feature adds from the sums below both sides, and hand their sum up."""
    _, below, bits, _, _ = room
    right, live = bits[0, level], bits[1, level]
    for side in range(2):
        if node[6 + side]:
            _follow(node, level, side, points, of_step, room, below[level, side])
    gained = np.zeros(_LANES)
    for k in range(points):
        one, other = below[level, 0, k], below[level, 1, k]
        pull, left_gain, right_gain = of_step[k], of_step[3 * points + k], of_step[6 * points + k]
        for i in range(_LANES):
            total = one[i] + other[i]
            gained[i] += total * pull + (other[i] * right_gain if right[i] else one[i] * left_gain)
            if level > 0:
                below[level - 1, node[5], k, i] = total
    target = values[node[1]]
    for i in range(_LANES):
        target[i] += gained[i] if live[i] else 0.0
