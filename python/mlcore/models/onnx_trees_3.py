"""Nodes of TreeEnsembleRegressor and TreeEnsembleClassifier, opsets 1 and 3 of ai.onnx.ml."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models.ensemble import Array
from mlcore.models.onnx_graph import Node
from mlcore.models.onnx_trees import LEAF, MODES, Nodes, Trees, trees_of

NODES: Final = (
    "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_hitrates_as_tensor",
    "nodes_missing_value_tracks_true", "nodes_modes", "nodes_nodeids", "nodes_treeids", "nodes_truenodeids", "nodes_values",
    "nodes_values_as_tensor", "base_values", "base_values_as_tensor", "post_transform",
)  # fmt: skip
_LARGEST: Final = 2**31 - 1


def trees(node: Node, prefix: str, targets: int, n_features: int, dtype: Any) -> Trees:
    """Return the trees; the weights' attributes begin with `prefix`, "target" or "class"."""
    nodes, index = _nodes(node, dtype)
    target = node.integers(f"{prefix}_ids")
    at = _places(node, index, prefix, len(target))
    weight = numbers(node, f"{prefix}_weights", dtype, len(target))
    return trees_of(node, nodes, at, target, weight, targets, n_features)


def numbers(node: Node, name: str, dtype: Any, count: int | None = None) -> Array:
    """Return the floats of an attribute, or of the tensor that may stand in for it, which is of `dtype`."""
    tensor = f"{name}_as_tensor"
    if tensor in node.attributes and len(node.floats(tensor)):
        if len(node.floats(name)):
            raise ModelFormatError(f"{node}: '{name}' and '{tensor}' are both given")
        if node.floats(tensor).dtype != dtype:
            raise UnsupportedModel(f"{node}: '{tensor}' is {node.floats(tensor).dtype}, its input is {np.dtype(dtype)}")
        name = tensor
    return node.floats(name, count).astype(dtype)


def _nodes(node: Node, dtype: Any) -> tuple[Nodes, dict[tuple[int, int], int]]:
    tree, label = node.integers("nodes_treeids"), node.integers("nodes_nodeids")
    count = len(tree)
    modes = node.texts("nodes_modes")
    if len(modes) != count or len(label) != count:
        raise ModelFormatError(f"{node}: {count} tree ids, {len(label)} node ids and {len(modes)} modes")
    unknown = set(modes) - {LEAF, *MODES[:-1]}
    if unknown:
        raise UnsupportedModel(f"{node}: mode '{min(unknown)}' is not imported")
    if count and (min(tree.min(), label.min()) < 0 or max(tree.max(), label.max()) > _LARGEST):
        raise ModelFormatError(f"{node}: a tree's or a node's id lies outside 0 to {_LARGEST}")
    index = dict(zip(zip(tree.tolist(), label.tolist(), strict=True), range(count), strict=True))
    if len(index) != count:
        raise ModelFormatError(f"{node}: two nodes of a tree have one id")
    starts = np.flatnonzero(np.append(True, tree[1:] != tree[:-1])) if count else np.zeros(0, np.int64)
    if len(np.unique(tree[starts])) != len(starts):
        raise UnsupportedModel(f"{node}: a tree's nodes do not follow one another")
    mode = np.array(modes, dtype=object)
    tracks = node.integers("nodes_missing_value_tracks_true")
    if len(tracks) not in (0, count):
        raise ModelFormatError(f"{node}: {len(tracks)} entries of 'nodes_missing_value_tracks_true' for {count} nodes")
    return Nodes(
        tree_start=np.append(starts, count),
        label=label,
        mode=mode,
        feature=node.integers("nodes_featureids", count),
        threshold=numbers(node, "nodes_values", dtype, count),
        sets={},
        true=_children(node, index, "nodes_truenodeids", tree, mode),
        false=_children(node, index, "nodes_falsenodeids", tree, mode),
        missing_true=tracks == 1 if len(tracks) else np.zeros(count, bool),
    ), index


def _children(node: Node, index: dict[tuple[int, int], int], name: str, tree: Array, mode: Array) -> Array:
    """Where each split's child stands; a leaf's own place."""
    child = node.integers(name, len(tree))
    place = np.arange(len(tree))
    try:
        for k in np.flatnonzero(mode != LEAF):
            place[k] = index[int(tree[k]), int(child[k])]
    except KeyError as error:
        raise ModelFormatError(f"{node}: '{name}' names tree and node {error}, which there are not") from error
    return place


def _places(node: Node, index: dict[tuple[int, int], int], prefix: str, count: int) -> Array:
    trees, labels = (node.integers(f"{prefix}_{part}", count).tolist() for part in ("treeids", "nodeids"))
    try:
        return np.array([index[key] for key in zip(trees, labels, strict=True)], np.int64)
    except KeyError as error:
        raise ModelFormatError(f"{node}: a weight belongs to tree and node {error}, which there are not") from error
