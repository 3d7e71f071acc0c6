"""What importers of scikit-learn's trees share: thresholds as the neutral form asks them, names, joined trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcore.models.ensemble import Array


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree's nodes; `never` marks splits that no number passes on the right, `sets` holds bounds by node."""

    feature: Array
    threshold: Array
    default_left: Array
    left: Array
    right: Array
    value: Array
    cover: Array
    sets: dict[int, Array]


def just_above(threshold: Array, dtype: type[np.floating[Any]]) -> Array:
    """Return the lowest number of `dtype` above each float64 threshold: `x <= t` is left just where `x < above` is.

    Nothing is above +inf, which stays; see `unreachable`.
    """
    with np.errstate(over="ignore"):
        near = threshold.astype(dtype)
    return np.where(near <= threshold, np.nextafter(near, dtype(np.inf)), near).astype(dtype)


def unreachable(threshold: Array, split: Array, dtype: type[np.floating[Any]]) -> dict[int, Array]:
    """Return an empty set for each split that sends every number left: one of missing values against all others."""
    nothing = np.zeros(0, dtype)
    return {int(node): nothing for node in np.flatnonzero(split & (threshold == np.inf))}


def names(estimator: Any) -> dict[str, Any]:
    """Return the features' names, and whether the estimator was fitted on them."""
    known = getattr(estimator, "feature_names_in_", None)
    if known is None:
        return {"feature_names": tuple(f"f{i}" for i in range(estimator.n_features_in_)), "named": False}
    return {"feature_names": tuple(str(name) for name in known), "named": True}


def join(trees: Sequence[Tree], dtype: type[np.floating[Any]]) -> dict[str, Any]:
    """Return the trees' nodes one after another, as `TreeEnsemble` takes them."""
    sizes = [len(tree.feature) for tree in trees]
    starts = np.cumsum([0, *sizes], dtype=np.int64)
    bounds: list[Array] = [np.zeros(0, dtype)]
    interval_set = np.full(starts[-1], -1, np.int32)
    for first, tree in zip(starts, trees, strict=False):
        for node, members in tree.sets.items():
            interval_set[first + node] = len(bounds) - 1
            bounds.append(members.astype(dtype))
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(tree, name) for tree in trees]).astype(kind)
        for name, kind in (
            ("feature", np.int32),
            ("threshold", dtype),
            ("default_left", np.uint8),
            ("left", np.int32),
            ("right", np.int32),
            ("value", np.float64),
            ("cover", np.float64),
        )
    }
    return {
        **joined,
        "tree_start": starts,
        "leaf_id": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
        "interval_set": interval_set,
        "bound_start": np.cumsum([len(part) for part in bounds], dtype=np.int64),
        "bounds": np.concatenate(bounds),
    }
