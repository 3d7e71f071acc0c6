"""Trees of ai.onnx.ml (TreeEnsembleRegressor, TreeEnsembleClassifier, TreeEnsemble) as the arrays of a TreeEnsemble.

Semantics checked against ONNX Runtime: a row takes the true branch where its value compares so with the node's, or where
it is NaN and the node tracks missing values true. NaN itself equals nothing: BRANCH_NEQ is true of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models.ensemble import Array
from mlcore.models.onnx_graph import MOST_VALUES, Node

LEAF: Final = "LEAF"
MODES: Final = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
_RIGHT_IF_TRUE: Final = ("BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_MEMBER")


@dataclass(frozen=True, eq=False)
class Nodes:
    """All trees' nodes, tree after tree, its root first; branches count from the first node of all."""

    tree_start: Array
    label: Array  # what the file calls a node or a leaf
    mode: Array  # strings
    feature: Array
    threshold: Array  # float32 or float64
    sets: dict[int, Array]  # the bounds of what a node that asks for membership takes
    true: Array
    false: Array
    missing_true: Array  # bool


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees as the arrays of a TreeEnsemble, and what can be said of their leaves, by target."""

    arrays: dict[str, Any]
    used: Array  # whether a weight names it
    always: Array  # whether every row gets something for it: all leaves of some tree add to it
    positive: bool  # whether no leaf adds less than 0
    some: bool  # whether every leaf adds more than 0 to some target


def trees_of(node: Node, nodes: Nodes, at: Array, target: Array, weight: Array, targets: int, n_features: int) -> Trees:
    """Return the trees whose leaves, the nodes `at`, add these weights to these targets."""
    if not np.all(np.isfinite(weight)):
        raise UnsupportedModel(f"{node}: a leaf's weight is not finite")
    value = weights_by_node(node, at, target, weight, len(nodes.mode), targets)
    has = np.zeros(value.shape, bool)
    has[at, target] = True
    _check_equalities(node, nodes, at, weight, value, has)
    split = (nodes.mode != LEAF)[:, None]
    if targets == 1 and np.any(~has & ~split & (nodes.threshold != 0)[:, None]):
        raise UnsupportedModel(f"{node}: a leaf without a weight holds a number, which ONNX Runtime would add")
    every = np.logical_and.reduceat(has | split, nodes.tree_start[:-1], axis=0) if len(has) else has
    return Trees(
        arrays=arrays(node, nodes, value, n_features),
        used=np.bincount(target, minlength=targets) > 0,
        always=np.any(every, axis=0),
        positive=not np.any(weight < 0),
        some=bool(np.all((value > 0).any(axis=1) | split[:, 0])),
    )


def _check_equalities(node: Node, nodes: Nodes, at: Array, weight: Array, value: Array, has: Array) -> None:
    """Refuse what ONNX Runtime takes for one set of members although it is none.

    It joins an equality with the next on its false branch where both ask one feature and the first weights of the leaves
    on their true branches are equal, and keeps the first one's leaf and the first one's way with missing values. For a leaf
    without weights it looks at those of some other leaf.
    """
    first = np.full(len(value), np.nan)
    first[at[::-1]] = weight[::-1]
    asks = np.isin(nodes.mode, ("BRANCH_EQ", "BRANCH_MEMBER"))
    k = np.flatnonzero(asks & asks[nodes.false] & (nodes.feature == nodes.feature[nodes.false]))
    after = nodes.false[k]
    one, other = nodes.true[k], nodes.true[after]
    differ = np.any((value[one] != value[other]) | (has[one] != has[other]), axis=1)
    leaves = (nodes.mode[one] == LEAF) & (nodes.mode[other] == LEAF)
    unweighted = np.isnan(first[one]) | np.isnan(first[other])
    wrong = leaves & (unweighted | ((first[one] == first[other]) & differ))
    if np.any(wrong | (nodes.missing_true[k] != nodes.missing_true[after])):
        raise UnsupportedModel(
            f"{node}: equalities of one feature that follow one another, with leaves of one first weight or of none, or "
            "different ways for missing values, are not imported: ONNX Runtime takes them for one set"
        )


def weights_by_node(node: Node, at: Array, target: Array, weight: Array, n_nodes: int, targets: int) -> Array:
    """Return what each node's leaf adds to each target, (nodes, targets)."""
    if len(target) and (target.min() < 0 or target.max() >= targets):
        raise ModelFormatError(f"{node}: a leaf adds to a target that there is not; there are {targets}")
    if n_nodes * targets > MOST_VALUES:
        raise UnsupportedModel(f"{node}: {n_nodes} nodes of {targets} targets each are too many")
    place = at * targets + target
    if len(np.unique(place)) != len(place):
        raise UnsupportedModel(f"{node}: a leaf adds twice to one target, in an order that is not imported")
    value = np.zeros(n_nodes * targets, weight.dtype)
    value[place] = weight
    return value.reshape(n_nodes, targets)


def arrays(node: Node, nodes: Nodes, value: Array, n_features: int) -> dict[str, Any]:
    """Return the nodes and what they add (nodes, targets) as `TreeEnsemble` takes them.

    Raises:
        ModelFormatError: the nodes do not make trees.
    """
    _check_reached(node, nodes)
    merged, kept = _merged(nodes)
    value = value[kept]
    leaf = merged.mode == LEAF
    split = ~leaf
    if np.any(split & ((merged.feature < 0) | (merged.feature >= n_features))):
        raise ModelFormatError(f"{node}: a node asks for a feature that the input does not have")
    if np.any(split & np.isnan(merged.threshold)):
        raise UnsupportedModel(f"{node}: a node compares with NaN")
    right_if_true = np.isin(merged.mode, _RIGHT_IF_TRUE)
    first = np.repeat(merged.tree_start[:-1], np.diff(merged.tree_start))
    true, false = np.where(leaf, 0, merged.true - first), np.where(leaf, 0, merged.false - first)
    missing_true = merged.missing_true | (merged.mode == "BRANCH_NEQ")
    threshold, sets = _questions(merged)
    interval_set = np.full(len(leaf), -1, np.int32)
    interval_set[list(sets)] = np.arange(len(sets))
    value, output = _narrow(np.where(leaf[:, None], value, 0), merged.tree_start)
    return {
        "tree_start": merged.tree_start,
        "tree_output": output,
        "feature": np.where(leaf, -1, merged.feature).astype(np.int32),
        "threshold": np.where(leaf, 0, threshold).astype(threshold.dtype),
        "default_left": (missing_true != right_if_true).astype(np.uint8),
        "left": np.where(right_if_true, false, true).astype(np.int32),
        "right": np.where(right_if_true, true, false).astype(np.int32),
        "value": value,
        "leaf_id": merged.label.astype(np.int32),
        "cover": np.zeros(0),
        "interval_set": interval_set,
        "bound_start": np.cumsum([0, *map(len, sets.values())], dtype=np.int64),
        "bounds": np.concatenate([np.zeros(0, threshold.dtype), *sets.values()]),
    }


def _check_reached(node: Node, nodes: Nodes) -> None:
    """Raise ModelFormatError unless each node leads back to its tree's root; each step doubles how far back is looked."""
    above = np.full(len(nodes.mode), -1)
    split = np.flatnonzero(nodes.mode != LEAF)
    above[nodes.true[split]] = split
    above[nodes.false[split]] = split
    above[nodes.tree_start[:-1]] = nodes.tree_start[:-1]
    if np.any(above < 0):
        raise ModelFormatError(f"{node}: no branch leads to node {int(nodes.label[np.argmax(above < 0)])} of some tree")
    for _ in range(len(above).bit_length()):
        above = above[above]
    if not np.isin(above, nodes.tree_start[:-1]).all():
        raise ModelFormatError(f"{node}: nodes lead to one another in a circle")


def _narrow(value: Array, tree_start: Array) -> tuple[Array, Array]:
    """The values and each tree's output: one column where no tree adds to more than one target."""
    adds = np.logical_or.reduceat(value != 0, tree_start[:-1], axis=0) if len(tree_start) > 1 else value[:0] != 0
    if value.shape[1] == 1 or np.any(adds.sum(axis=1) > 1):
        return value, np.zeros(len(adds), np.int32)
    output = np.argmax(adds, axis=1).astype(np.int32)
    of_node = np.repeat(output, np.diff(tree_start))
    return np.ascontiguousarray(value[np.arange(len(value)), of_node][:, None]), output


def _questions(nodes: Nodes) -> tuple[Array, dict[int, Array]]:
    """The lowest value that goes right, and the bounds of what does where one number does not say it."""
    threshold, mode = nodes.threshold, nodes.mode
    with np.errstate(over="ignore"):
        above = np.nextafter(threshold, threshold.dtype.type(np.inf))
    past = np.isin(mode, ("BRANCH_LEQ", "BRANCH_GT"))
    sets = {int(k): np.zeros(0, threshold.dtype) for k in np.flatnonzero(past & (threshold == np.inf))}
    for k in np.flatnonzero(np.isin(mode, ("BRANCH_EQ", "BRANCH_NEQ"))):
        sets[int(k)] = points(threshold[k : k + 1])
    sets |= nodes.sets
    return np.where(past, above, threshold), dict(sorted(sets.items()))


def points(members: Array) -> Array:
    """Return the bounds of the set of these numbers."""
    known = np.unique(members + 0)  # −0 is 0
    with np.errstate(over="ignore"):
        above = np.nextafter(known, known.dtype.type(np.inf))
    return _union(known, above[known < np.inf])


def whole(members: Array) -> Array:
    """Return the bounds of what is in the set of these whole numbers when cut, towards zero, to a whole number."""
    known = np.unique(members + 0)
    up = known.dtype.type(np.inf)
    low = np.where(known > 0, known, np.minimum(np.nextafter(known - 1, up), known))
    high = np.where(known < 0, np.nextafter(known, up), np.maximum(known + 1, np.nextafter(known, up)))
    return _union(low, high)


def _union(low: Array, high: Array) -> Array:
    ends, count = np.unique(np.concatenate([low, high]), return_counts=True)
    return np.asarray(ends[count == 1])  # where one interval follows another, no bound is left


def _merged(nodes: Nodes) -> tuple[Nodes, Array]:
    """Chains of BRANCH_EQ that lead to one true branch as one node each, as which converters write sets of categories.

    Returns the nodes, and which of the old ones they are.
    """
    equal, sets = nodes.mode == "BRANCH_EQ", dict(nodes.sets)
    missing_true, false = nodes.missing_true.copy(), nodes.false.copy()
    follows = equal & equal[false] & (nodes.true == nodes.true[false]) & (nodes.feature == nodes.feature[false])
    split = nodes.mode != LEAF
    parents = np.bincount(np.append(nodes.true[split], nodes.false[split]), minlength=len(equal))
    follows &= (nodes.false > np.arange(len(equal))) & (parents[nodes.false] == 1)
    gone = np.zeros(len(equal), bool)
    for k in np.flatnonzero(follows):
        if gone[k]:
            continue
        chain = [int(k)]
        while follows[chain[-1]] and not gone[false[chain[-1]]]:
            chain.append(int(false[chain[-1]]))
        gone[chain[1:]] = True
        sets[int(k)] = points(nodes.threshold[chain])
        missing_true[k] = nodes.missing_true[chain].any()
        false[k] = false[chain[-1]]
    mode = nodes.mode.copy()
    mode[[k for k in sets if mode[k] == "BRANCH_EQ"]] = "BRANCH_MEMBER"
    changed = replace(nodes, mode=mode, sets=sets, missing_true=missing_true, false=false)
    return _without(changed, gone)


def _without(nodes: Nodes, gone: Array) -> tuple[Nodes, Array]:
    kept = np.flatnonzero(~gone)
    place = np.cumsum(~gone) - 1
    before = np.concatenate([[0], np.cumsum(~gone)])
    return (
        Nodes(
            tree_start=before[nodes.tree_start],
            sets={int(place[k]): bounds for k, bounds in nodes.sets.items()},
            true=place[nodes.true[kept]],
            false=place[nodes.false[kept]],
            **{name: getattr(nodes, name)[kept] for name in ("label", "mode", "feature", "threshold", "missing_true")},
        ),
        kept,
    )
