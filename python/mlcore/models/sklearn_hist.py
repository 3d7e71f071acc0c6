"""Import of scikit-learn's HistGradientBoosting: float64 rows, categories through the estimator's own encoder."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.models.ensemble import Array, Categories, Link, TreeEnsemble, categories_as_bounds
from mlcore.models.sklearn_parts import Tree, join, just_above, names, unreachable

_NODE_FIELDS: Final = {
    "value", "count", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "gain", "depth", "is_leaf",
    "bin_threshold", "is_categorical", "bitset_idx",
}  # fmt: skip
_LINKS: Final[dict[str, Link]] = {
    "squared_error": "identity",
    "absolute_error": "identity",
    "quantile": "identity",
    "gamma": "exp",
    "poisson": "exp",
}
_WHOLE: Final = 2.0**53  # float64 tells whole numbers apart up to here


def from_hist_gradient_boosting(estimator: Any) -> TreeEnsemble:
    """Return the model over the raw columns, whichever order its own encoder puts them in."""
    kind = type(estimator).__name__
    categories = _categories(estimator)
    columns = _columns(estimator)
    rounds = estimator._predictors
    outputs = estimator.n_trees_per_iteration_
    trees = [_tree(each, columns, categories) for trees in rounds for each in trees]
    base = np.asarray(estimator._baseline_prediction, np.float64).reshape(-1)
    return TreeEnsemble(
        source="sklearn",
        objective=kind,
        link=_link(estimator, kind, outputs),
        base_margin=tuple(np.broadcast_to(base, outputs).tolist()),
        **names(estimator),
        stored_categories=tuple(None if c is None or c.dtype.kind != "O" else _stored(c) for c in categories),
        **join(trees, np.float64),
        tree_output=np.tile(np.arange(outputs, dtype=np.int32), len(rounds)),
    )


def _link(estimator: Any, kind: str, outputs: int) -> Link:
    if hasattr(estimator, "classes_"):
        return "softmax" if outputs > 1 else "sigmoid"
    if estimator.loss not in _LINKS:
        raise UnsupportedModel(f"{kind} with loss={estimator.loss!r} is not imported")
    return _LINKS[estimator.loss]


def _columns(estimator: Any) -> Array:
    """The raw column of each feature that the trees know: categorical ones come first."""
    categorical = estimator.is_categorical_
    if categorical is None:
        return np.arange(estimator.n_features_in_)
    return np.concatenate([np.flatnonzero(categorical), np.flatnonzero(~categorical)])


def _categories(estimator: Any) -> list[Array | None]:
    """The categories of each raw column in the order of their codes, without the missing one; None of numbers."""
    found: list[Array | None] = [None] * estimator.n_features_in_
    if estimator.is_categorical_ is None:
        return found
    encoder = estimator._preprocessor.named_transformers_["encoder"]
    for column, known in zip(np.flatnonzero(estimator.is_categorical_), encoder.categories_, strict=True):
        found[column] = _known(np.asarray(known), int(column))
    return found


def _known(categories: Array, column: int) -> Array:
    """Strings as objects, numbers as float64."""
    if categories.dtype.kind in "OUT":
        members = [value for value in categories.tolist() if not _is_missing(value)]
        if all(isinstance(value, str) for value in members):
            return np.array(members, object)
    elif categories.dtype.kind in "biuf":
        numbers = categories.astype(np.float64)
        if categories.dtype.kind == "f" or np.all(np.abs(numbers) < _WHOLE):
            return np.asarray(numbers[~np.isnan(numbers)])
    raise UnsupportedModel(f"feature {column} has categories that are neither strings nor numbers within 2^53")


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType"


def _stored(categories: Array) -> Categories:
    return tuple(categories.tolist())


def _tree(predictor: Any, columns: Array, categories: list[Array | None]) -> Tree:
    nodes = predictor.nodes
    unknown = set(nodes.dtype.names) - _NODE_FIELDS
    if unknown:
        raise UnsupportedModel(f"a tree's nodes hold '{min(unknown)}', which this version does not know; update mlcore")
    split = nodes["is_leaf"] == 0
    feature = np.where(split, columns[np.where(split, nodes["feature_idx"], 0)], -1)
    numeric = split & (nodes["is_categorical"] == 0)
    threshold = np.where(numeric, nodes["num_threshold"], 0.0)
    sets = unreachable(threshold, numeric, np.float64)
    for node in np.flatnonzero(split & ~numeric):
        known = categories[feature[node]]
        left = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        assert known is not None
        sets[int(node)] = _right_set(known, left, missing_right=not nodes["missing_go_to_left"][node])
    return Tree(
        feature=feature,
        threshold=just_above(threshold, np.float64),
        default_left=nodes["missing_go_to_left"] != 0,
        left=np.where(split, nodes["left"], 0),
        right=np.where(split, nodes["right"], 0),
        value=np.where(split, 0.0, nodes["value"])[:, None],
        cover=nodes["count"].astype(np.float64),
        sets=sets,
    )


def _right_set(known: Array, left: Array, *, missing_right: bool) -> Array:
    """The bounds of what a categorical split sends right: codes of strings, or numbers as they are.

    A number that is no category goes where a missing value goes.
    """
    codes = np.arange(len(known))
    right = (left[codes >> 5] >> (codes & 31).astype(np.uint32)) & 1 == 0
    if known.dtype.kind == "O":
        return categories_as_bounds([codes[right].tolist()], np.float64)[1]
    answers = {-math.inf: missing_right}
    for number, goes_right in sorted(zip(known.tolist(), right.tolist(), strict=True)):
        answers[number] = goes_right
        if number < math.inf:
            answers[float(np.nextafter(number, math.inf))] = missing_right
    positions, states = list(answers), [False, *answers.values()]
    return np.array([at for at, before, now in zip(positions, states, states[1:], strict=False) if before != now])
