"""Import of LightGBM models: text and Boosters, into TreeEnsemble; what is not known is refused by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models import lightgbm_text, lightgbm_tree
from mlcore.models.damage import reading
from mlcore.models.ensemble import Array, Categories, Link, TreeEnsemble
from mlcore.models.iterations import Iterations, within
from mlcore.models.leaves import LinearLeaves
from mlcore.models.lightgbm_text import Fields

_LINKS: Final[dict[str, Link]] = {
    "binary": "sigmoid",
    "cross_entropy": "sigmoid",
    "cross_entropy_lambda": "softplus",
    "custom": "identity",
    "fair": "identity",
    "gamma": "exp",
    "huber": "identity",
    "lambdarank": "identity",
    "mape": "identity",
    "multiclass": "softmax",
    "multiclassova": "sigmoid",
    "poisson": "exp",
    "quantile": "identity",
    "rank_xendcg": "identity",
    "regression": "identity",
    "regression_l1": "identity",
    "tweedie": "exp",
}
_MOST_OUTPUTS: Final = 1 << 16  # beyond it a number is damaged, not announced
_TAKE_SQRT: Final = frozenset({"mape", "quantile", "regression", "regression_l1"})


def parse(data: bytes, *, where: str = "LightGBM model", iterations: Iterations | None = None) -> TreeEnsemble:
    """Return the model in `data`, LightGBM's text.

    Args:
        data: the bytes of a model file.
        where: what messages call it.
        iterations: take the boosting rounds [first, end) alone; an end of 0 means all.

    Raises:
        ModelFormatError: the text is cut short, malformed, or not a LightGBM model.
        UnsupportedModel: a format, objective or field that is not imported; the message names it.
        UsageError: the model does not have these iterations.
    """
    with reading(where, "LightGBM model"):
        return _ensemble(lightgbm_text.read(data), iterations)


def from_booster(booster: Any, iterations: Iterations | None = None) -> TreeEnsemble:
    """Return the model of a `lightgbm.Booster`, through its text; by default up to its best iteration, if it has one."""
    if iterations is None:
        iterations = (0, max(0, booster.best_iteration))
    text = booster.model_to_string(num_iteration=-1)
    return parse(text.encode(), where="Booster", iterations=iterations)


def _ensemble(document: lightgbm_text.Document, iterations: Iterations | None) -> TreeEnsemble:
    header = document.header
    outputs, n_features = header.integer("num_tree_per_iteration"), header.integer("max_feature_idx") + 1
    names = tuple(header.text("feature_names").split(" "))
    if len(names) != n_features:
        raise ModelFormatError(f"{len(names)} feature names for {n_features} features")
    if not 1 <= outputs <= _MOST_OUTPUTS or len(document.trees) % outputs:
        raise ModelFormatError(f"{len(document.trees)} trees do not divide into iterations of {outputs}")
    first, end = within(iterations, len(document.trees) // outputs)
    trees = [lightgbm_tree.arrays(fields, n_features) for fields in document.trees[first * outputs : end * outputs]]
    objective, link, steepness = _objective(header, outputs)
    return TreeEnsemble(
        source="lightgbm",
        objective=objective,
        link=link,
        steepness=steepness,
        base_margin=(0.0,) * outputs,
        feature_names=names,
        named=names != tuple(f"Column_{i}" for i in range(n_features)),
        stored_categories=(None,) * n_features,
        category_lists=tuple(_categories(found, k) for k, found in enumerate(document.pandas_categorical)),
        averaged=max(1, end - first) if "average_output" in header.values else 1,
        tree_output=np.tile(np.arange(outputs, dtype=np.int32), end - first),
        **_joined(trees),
    )


def _objective(header: Fields, outputs: int) -> tuple[str, Link, float]:
    """The objective, its link and the steepness of its sigmoid; a model of a custom objective names none."""
    name, *options = header.values.get("objective", "custom").split(" ")
    if name not in _LINKS:
        raise UnsupportedModel(f"objective '{name}' is not imported; these are: {', '.join(sorted(_LINKS))}")
    link, steepness = _LINKS[name], 1.0
    for option in options:
        key, _, value = option.partition(":")
        if option == "sqrt" and name in _TAKE_SQRT:
            link = "signed_square"
        elif key == "sigmoid" and link == "sigmoid":
            steepness = float(value)
        elif key != "num_class" or value != str(outputs):
            raise UnsupportedModel(f"objective '{name}' with '{option}' is not imported for {outputs} outputs")
    return name, link, steepness


def _categories(found: Sequence[Any], k: int) -> Categories:
    """What pandas knew of the k-th categorical column."""
    if len({type(item) for item in found}) > 1 or not all(map(_is_category, found)):
        raise UnsupportedModel(
            f"column {k} of categories was trained on some that are not all strings, all int64, all floats or all booleans"
        )
    if len(set(found)) != len(found):
        raise ModelFormatError(f"column {k} of categories: one stands twice")
    return tuple(found)


def _is_category(item: Any) -> bool:
    if type(item) is int:
        return -(2**63) <= item < 2**63
    return type(item) in (str, bool) or (type(item) is float and not math.isnan(item))


def _joined(trees: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All trees' nodes and sets, one after another."""
    sizes = [len(tree["feature"]) for tree in trees]
    sets = [bounds for tree in trees for bounds in tree["sets"]]
    offset = 0
    for tree in trees:
        tree["interval_set"][tree["interval_set"] >= 0] += offset
        offset += len(tree["sets"])
    types = {"feature": np.int32, "default_left": np.uint8, "left": np.int32, "right": np.int32, "leaf_id": np.int32,
             "interval_set": np.int32, "threshold": np.float64, "value": np.float64, "cover": np.float64}  # fmt: skip
    joined: dict[str, Any] = {
        name: np.concatenate([np.zeros(0, dtype), *(tree[name] for tree in trees)]).astype(dtype)
        for name, dtype in types.items()
    }
    joined["value"] = joined["value"][:, None]
    return {
        **joined,
        "tree_start": np.cumsum([0, *sizes], dtype=np.int64),
        "bound_start": np.cumsum([0, *map(len, sets)], dtype=np.int64),
        "bounds": np.concatenate([np.zeros(0), *sets]),
        "linear_leaves": _linear_leaves(trees, joined["value"]),
    }


def _linear_leaves(trees: Sequence[dict[str, Any]], value: Array) -> LinearLeaves | None:
    """The sums of all trees' leaves; a leaf of a tree that is not linear is its value."""
    if all(tree["terms"] is None for tree in trees):
        return None
    constant, count = value[:, 0].copy(), np.zeros(len(value), np.int64)
    features, coefficients = [np.zeros(0, np.int32)], [np.zeros(0)]
    end = 0
    for tree in trees:
        end += len(tree["feature"])
        if tree["terms"] is not None:
            constants, counts, feature, coefficient = tree["terms"]
            constant[end - len(constants) : end] = constants
            count[end - len(counts) : end] = counts
            features.append(feature.astype(np.int32))
            coefficients.append(coefficient)
    return LinearLeaves(
        constant=constant,
        start=np.append(0, np.cumsum(count)),
        feature=np.concatenate(features),
        coefficient=np.concatenate(coefficients),
        zero=lightgbm_tree.ZERO,
    )
