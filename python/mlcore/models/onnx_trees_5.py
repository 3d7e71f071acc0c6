"""Nodes of TreeEnsemble, opset 5 of ai.onnx.ml: splits and leaves in lists of their own, and sets of members."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models.ensemble import Array
from mlcore.models.onnx_graph import Node
from mlcore.models.onnx_trees import LEAF, MODES, Nodes, Trees, points, trees_of, whole

KNOWN: Final = (
    "aggregate_function", "leaf_targetids", "leaf_weights", "membership_values", "n_targets", "nodes_falseleafs",
    "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_missing_value_tracks_true", "nodes_modes",
    "nodes_splits", "nodes_trueleafs", "nodes_truenodeids", "post_transform", "tree_roots",
)  # fmt: skip
_FEW: Final = 31
_LARGEST: Final = 2**31 - 1


def trees(node: Node, targets: int, n_features: int, dtype: Any) -> Trees:
    """Return the trees."""
    mode = node.integers("nodes_modes")
    count = len(mode)
    if np.any((mode < 0) | (mode >= len(MODES))):
        raise UnsupportedModel(f"{node}: mode {mode[(mode < 0) | (mode >= len(MODES))][0]} is not imported")
    target = node.integers("leaf_targetids")
    weight = _typed(node, "leaf_weights", dtype, len(target))
    place, starts = _layout(node, count, len(target))
    split = place >= 0  # others are leaves, as ~leaf
    own, leaf = place[split], ~place[~split]
    at = np.full(count, -1)
    at[own] = np.flatnonzero(split)
    tracks = node.integers("nodes_missing_value_tracks_true")
    missing = np.zeros(len(place), bool)
    if len(tracks):
        missing[split] = node.integers("nodes_missing_value_tracks_true", count)[own] == 1
    modes = np.full(len(place), LEAF, object)
    modes[split] = np.array(MODES, object)[mode[own]]
    nodes = Nodes(
        tree_start=starts,
        label=np.where(split, place, ~place),
        mode=modes,
        feature=_spread(split, node.integers("nodes_featureids", count)[own]),
        threshold=_spread(split, _typed(node, "nodes_splits", dtype, count)[own]),
        sets={int(at[k]): bounds for k, bounds in _sets(node, mode, dtype).items() if at[k] >= 0},
        **_branches(node, place, at),
        missing_true=missing,
    )
    return trees_of(node, nodes, np.flatnonzero(~split), target[leaf], weight[leaf], targets, n_features)


def _spread(where: Array, values: Array) -> Array:
    out = np.zeros(len(where), values.dtype)
    out[where] = values
    return out


def _typed(node: Node, name: str, dtype: Any, count: int) -> Array:
    values = node.floats(name, count)
    if values.dtype != dtype:
        raise UnsupportedModel(f"{node}: '{name}' is {values.dtype}, its input is {np.dtype(dtype)}")
    return values


def _layout(node: Node, splits: int, leaves: int) -> tuple[Array, Array]:
    """What stands at each place, tree after tree, a split or ~leaf, and where trees start; a true branch stands first."""
    children = [_children(node, side, splits, leaves) for side in ("false", "true")]
    place: list[int] = []
    starts, seen = [0], np.zeros(splits, bool)
    for root in node.integers("tree_roots").tolist():
        if not 0 <= root < splits:
            raise ModelFormatError(f"{node}: 'tree_roots' names node {root}; there are {splits}")
        false, true = (int(side[root]) for side in children)
        open_ = [root if false != true or false >= 0 else _lonely(node, root, ~false)]
        while open_:
            at = open_.pop()
            place.append(at)
            if at >= 0:
                if seen[at]:
                    raise ModelFormatError(f"{node}: two branches lead to node {at}")
                seen[at] = True
                open_ += [int(side[at]) for side in children]
        starts.append(len(place))
    return np.array(place, np.int64), np.array(starts, np.int64)


def _lonely(node: Node, root: int, leaf: int) -> int:
    """A tree that is one leaf is a node whose branches both lead to it; ONNX Runtime takes the leaf of the node's number."""
    if leaf != root:
        raise UnsupportedModel(f"{node}: the tree of a single leaf at node {root} names leaf {leaf}, not {root}")
    return ~leaf


def _children(node: Node, side: str, splits: int, leaves: int) -> Array:
    child, is_leaf = node.integers(f"nodes_{side}nodeids", splits), node.integers(f"nodes_{side}leafs", splits) != 0
    if np.any((child < 0) | (child >= np.where(is_leaf, leaves, splits))):
        raise ModelFormatError(f"{node}: 'nodes_{side}nodeids' names a node or leaf that there is not")
    return np.where(is_leaf, ~child, child)


def _branches(node: Node, place: Array, at: Array) -> dict[str, Array]:
    """Where each split's branches stand: the true one next, the false one after the true one's last leaf."""
    true = np.arange(len(place)) + (place >= 0)
    false = np.arange(len(place))
    waiting: list[int] = []
    for k, here in enumerate(place.tolist()):
        if here >= 0:
            waiting.append(k)
        elif waiting and k + 1 < len(place):
            false[waiting.pop()] = k + 1
    return {"true": true, "false": false}


def _sets(node: Node, mode: Array, dtype: Any) -> dict[int, Array]:
    """The bounds of each set that a node asks for, in the nodes' order; NaN ends a set."""
    values = node.floats("membership_values")
    if len(values):
        values = _typed(node, "membership_values", dtype, len(values))
    asking = np.flatnonzero(mode == MODES.index("BRANCH_MEMBER")).tolist()
    sets: list[list[float]] = [[]]
    for value in values.tolist():
        if math.isnan(value):
            sets.append([])
        else:
            sets[-1].append(value)
    if not sets[-1]:
        sets.pop()
    if len(sets) != len(asking) or not all(sets):
        raise ModelFormatError(f"{node}: {len(sets)} sets of members for {len(asking)} nodes that ask for one")
    return {k: _bounds(node, np.array(members, dtype)) for k, members in zip(asking, sets, strict=True)}


def _bounds(node: Node, members: Array) -> Array:
    """ONNX Runtime compares with the members of a small set, and cuts values to whole numbers before a larger one."""
    if len(members) < _FEW and members.min() >= 0 and members.max() < _FEW:
        return points(members)
    if np.any((members != np.trunc(members)) | (np.abs(members) > _LARGEST)):
        raise UnsupportedModel(f"{node}: a set of members beyond 0 to 30 that are not all whole is not imported")
    return whole(members)
