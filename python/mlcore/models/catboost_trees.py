"""CatBoost's trees as nodes of a TreeEnsemble.

An oblivious tree asks one question a level, and becomes a complete tree in heap order: node i has the children 2i + 1 and
2i + 2, and the root asks the question that decides the highest bit of the leaf's number, so that leaves lie in the order
of their numbers. Trees whose levels all ask one question each are recognised by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError
from mlcore.models.catboost_features import Questions
from mlcore.models.catboost_json import integer, number, numbers
from mlcore.models.ensemble import Array

_MOST_LEVELS: Final = 24  # CatBoost itself grows 16
_SAYS: Final = {
    "FloatFeature": ("float_feature_index", "border"),
    "OneHotFeature": ("cat_feature_index", "value"),
    "OnlineCtr": ("ctr_target_border_idx", "border"),
}
_ASKED: Final = ("feature", "threshold", "interval_set", "default_left")


def oblivious(tree: Mapping[str, Any], questions: Questions, outputs: int) -> dict[str, Array]:
    """Return the arrays of an oblivious tree's nodes; `cover` is empty where the file holds no weights.

    Raises:
        ModelFormatError: the tree is malformed.
    """
    splits = tree["splits"] or []
    if not isinstance(splits, list) or len(splits) > _MOST_LEVELS:
        raise ModelFormatError(f"'splits' are not a list of at most {_MOST_LEVELS}")
    leaves, inner = 1 << len(splits), (1 << len(splits)) - 1
    values = numbers(tree["leaf_values"], "'leaf_values'")
    if len(values) != leaves * outputs:
        raise ModelFormatError(f"{len(values)} leaf values for {len(splits)} levels and {outputs} outputs")
    weights = numbers(tree["leaf_weights"], "'leaf_weights'") if tree.get("leaf_weights") else None
    if weights is not None and len(weights) != leaves:
        raise ModelFormatError(f"{len(weights)} leaf weights for {len(splits)} levels")
    levels = np.array([_question(split, questions) for split in splits[::-1]], np.int64)
    asked = np.repeat(levels, 1 << np.arange(len(levels)))
    nodes = np.arange(inner, dtype=np.int32)
    return _nodes(
        questions,
        asked=np.append(asked, np.full(leaves, -1)),
        left=np.append(2 * nodes + 1, np.zeros(leaves, np.int32)),
        right=np.append(2 * nodes + 2, np.zeros(leaves, np.int32)),
        value=np.concatenate([np.zeros((inner, outputs)), values.reshape(leaves, outputs)]),
        leaf_id=np.append(nodes, np.arange(leaves)),
        cover=np.zeros(0) if weights is None else _heap_sums(_checked(weights)),
    )


def _heap_sums(leaves: Array) -> Array:
    """Sums over the leaves below each node of a complete tree, in heap order."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        levels.append(levels[-1].reshape(-1, 2).sum(axis=1))
    return np.concatenate(levels[::-1])


def any_shape(
    tree: Mapping[str, Any], questions: Questions, outputs: int, order: Sequence[int] | None
) -> dict[str, Array]:
    """Return the arrays of a tree that is given node by node; `order` are its leaves' numbers, from left to right.

    Raises:
        ModelFormatError: the tree is malformed.
    """
    asked: list[int] = []
    right: list[int] = []
    value: list[Array] = []
    cover: list[float | None] = []
    waiting: list[tuple[Any, int]] = [(tree, -1)]  # the next right child stands last; its left brother came before
    while waiting:
        node, parent = waiting.pop()
        if parent >= 0:
            right[parent] = len(asked)
        right.append(0)
        if "split" in node:
            asked.append(_question(node["split"], questions))
            value.append(np.zeros(outputs))
            cover.append(0.0)
            waiting += [(node["right"], len(asked) - 1), (node["left"], -1)]
        else:
            asked.append(-1)
            value.append(_leaf(node["value"], outputs))
            cover.append(node.get("weight"))
    numbered = np.array(asked)
    leaves = np.flatnonzero(numbered < 0)
    if order is not None and sorted(order) != list(range(len(leaves))):
        raise ModelFormatError(f"the numbers of {len(leaves)} leaves are not known")
    leaf_id = np.zeros(len(asked), np.int32)
    leaf_id[leaves] = np.arange(len(leaves)) if order is None else order
    return _nodes(
        questions,
        asked=numbered,
        left=np.where(numbered < 0, 0, np.arange(len(asked)) + 1),
        right=np.array(right),
        value=np.array(value).reshape(-1, outputs),
        leaf_id=leaf_id,
        cover=np.zeros(0) if None in cover else _sums(numbered, np.array(right), _checked(numbers(cover, "weights"))),
    )


def _sums(asked: Array, right: Array, cover: Array) -> Array:
    """Sums over the leaves below each node, whose left child follows it."""
    for node in range(len(asked) - 1, -1, -1):
        if asked[node] >= 0:
            cover[node] = cover[node + 1] + cover[right[node]]
    return cover


def _checked(weights: Array) -> Array:
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise ModelFormatError("a leaf's weight is not a number from 0 up")
    return weights


def _leaf(value: Any, outputs: int) -> Array:
    found = numbers(value if isinstance(value, list) else [value], "a leaf's values")
    if len(found) != outputs:
        raise ModelFormatError(f"a leaf has {len(found)} values for {outputs} outputs")
    return found


def _question(split: Mapping[str, Any], questions: Questions) -> int:
    """The number of a split's question, after checking that what else the split says is the same question."""
    index = integer(split, "split_index", 0, len(questions.told) - 1)
    kind, feature, limit = questions.told[index]
    place, border = _SAYS[kind]
    if split["split_type"] != kind or split[place] != feature or np.float32(number(split, border)) != np.float32(limit):
        raise ModelFormatError(
            f"a split of type {split['split_type']!r:.40} is not the question {index} of the features"
        )
    return index


def _nodes(questions: Questions, *, asked: Array, **given: Array) -> dict[str, Array]:
    """The given arrays, and what the questions say of each node; -1 is a leaf."""
    leaf = asked < 0
    nodes = {name: np.where(leaf, 0, np.append(getattr(questions, name), 0)[asked]) for name in _ASKED}
    nodes["feature"] = np.where(leaf, -1, nodes["feature"])
    nodes["interval_set"] = np.where(leaf, -1, nodes["interval_set"])
    return {**nodes, **given}
