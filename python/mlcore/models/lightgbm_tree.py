"""One tree of a LightGBM model: its fields as the arrays of a TreeEnsemble.

Semantics checked against the library: `x <= threshold` goes left, in double; a value whose magnitude is at most 1e-35f is
0 by the time a tree sees it; NaN is 0 too unless the node takes it for missing; categories are cut to whole numbers.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models.ensemble import Array, categories_as_bounds
from mlcore.models.lightgbm_text import Fields

ZERO: Final = float(np.float32(1e-35))  # the largest magnitude that is 0
_ABOVE_ZERO: Final = math.nextafter(ZERO, math.inf)
_CATEGORICAL, _DEFAULT_LEFT, _MISSING = 1, 2, 2  # bits of a decision's type; the last a shift
_ZERO_MISSING, _NAN_MISSING = 1, 2  # kinds of missing; 0 is none


def arrays(fields: Fields, n_features: int) -> dict[str, Any]:
    """Return a tree's splits and then its leaves as the arrays of a TreeEnsemble, its sets' bounds and its leaves' terms.

    Raises:
        ModelFormatError: the fields do not make a tree.
        UnsupportedModel: a split decides in a way that is not known.
    """
    leaves = fields.integer("num_leaves")
    values, n_splits = fields.floats("leaf_value", leaves), leaves - 1
    if leaves < 1:
        raise ModelFormatError(f"{fields.of}: {leaves} leaves")
    splits = _splits(fields, n_splits, n_features)
    counts = fields.integers("leaf_count", leaves if n_splits else None)  # of a single leaf it may be left out
    zeros = np.zeros(leaves)
    return {
        "feature": np.append(splits["feature"], zeros - 1),
        "threshold": np.append(splits["threshold"], zeros),
        "default_left": np.append(splits["default_left"], zeros),
        "left": np.append(splits["left"], zeros),
        "right": np.append(splits["right"], zeros),
        "interval_set": np.append(splits["interval_set"], zeros - 1),
        "value": np.append(np.zeros(n_splits), values),
        "leaf_id": np.append(np.arange(n_splits), np.arange(leaves)),
        "cover": np.append(splits["count"], counts if len(counts) == leaves else zeros),
        "sets": splits["sets"],
        "terms": _terms(fields, leaves, n_features),
    }


def _splits(fields: Fields, count: int, n_features: int) -> dict[str, Any]:
    feature = fields.integers("split_feature", count)
    kind = fields.integers("decision_type", count)
    if np.any((feature < 0) | (feature >= n_features)):
        raise ModelFormatError(f"{fields.of}: a split asks for a feature that the model does not have")
    unknown = kind[(kind < 0) | (kind >> _MISSING > _NAN_MISSING)]
    if len(unknown):
        raise UnsupportedModel(f"{fields.of}: decision type {unknown[0]} is not known")
    asked = fields.floats("threshold", count)
    if np.any(np.isnan(asked)):
        raise ModelFormatError(f"{fields.of}: a threshold is NaN")
    left, right = (_children(fields, key, count) for key in ("left_child", "right_child"))
    categorical, missing = kind & _CATEGORICAL > 0, kind >> _MISSING
    default_left = np.where(missing == 0, asked >= 0, kind & _DEFAULT_LEFT > 0)  # where not missing, NaN is 0
    sets = _category_sets(fields, asked[categorical])
    interval_set = np.full(count, -1, np.int64)
    interval_set[categorical] = np.arange(len(sets))
    threshold = _right_from(asked)
    for node in np.flatnonzero(~categorical & ((missing == _ZERO_MISSING) | (asked == np.inf))):
        bounds = _bounds(float(asked[node]), bool(default_left[node]), zero_too=missing[node] == _ZERO_MISSING)
        if len(bounds) == 1:
            threshold[node] = bounds[0]
        else:
            interval_set[node] = len(sets)
            sets.append(np.array(bounds))
    return {
        "feature": feature,
        "threshold": np.where(categorical, 0, threshold),
        "default_left": default_left | categorical,
        # A category of the set goes left, and here into the interval and right: the children change places.
        "left": np.where(categorical, right, left),
        "right": np.where(categorical, left, right),
        "interval_set": interval_set,
        "sets": sets,
        "count": fields.integers("internal_count", count),
    }


def _children(fields: Fields, key: str, n_splits: int) -> Array:
    """Children as nodes: splits come first, and ~child is a leaf."""
    child = fields.integers(key, n_splits)
    if np.any((child >= n_splits) | (child < -n_splits - 1)):
        raise ModelFormatError(f"{fields.of}: '{key}' names a node that the tree does not have")
    if np.any((child >= 0) & (child <= np.arange(n_splits))):  # splits are numbered as they are made
        raise ModelFormatError(f"{fields.of}: '{key}' leads from a split to an earlier one")
    return np.where(child >= 0, child, n_splits + ~child)


def _right_from(threshold: Array) -> Array:
    """The lowest value that goes right, where NaN and what is near zero are 0, or NaN is missing."""
    near = np.where(threshold >= 0, _ABOVE_ZERO, -ZERO)
    with np.errstate(over="ignore"):
        return np.where(np.abs(threshold) <= ZERO, near, np.nextafter(threshold, np.inf))


def _bounds(threshold: float, default_left: bool, *, zero_too: bool) -> list[float]:
    """The bounds of what goes right where all that is near zero is missing too, or the threshold is infinite."""
    if threshold == np.inf:  # a split that tells the missing values from all others
        return [-ZERO, _ABOVE_ZERO] if zero_too and not default_left else []
    above = math.nextafter(threshold, math.inf)
    if default_left:
        return [above, -ZERO, _ABOVE_ZERO] if above < -ZERO else [max(above, _ABOVE_ZERO)]
    return [-ZERO, _ABOVE_ZERO, above] if above > _ABOVE_ZERO else [min(above, -ZERO)]


def _category_sets(fields: Fields, places: Array) -> list[Array]:
    """The bounds of each categorical split's set, which its threshold gives the place of, among words of 32 bits."""
    count = fields.integer("num_cat")
    if count < 1:
        if len(places):
            raise ModelFormatError(f"{fields.of}: a split asks for a set of categories, and there is none")
        return []
    starts = fields.integers("cat_boundaries", count + 1)
    words = fields.integers("cat_threshold")
    if starts[0] != 0 or starts[-1] != len(words) or np.any(np.diff(starts) < 0):
        raise ModelFormatError(f"{fields.of}: 'cat_boundaries' are malformed")
    if np.any((words < 0) | (words >= 2**32)) or np.any((places < 0) | (places >= count)):
        raise ModelFormatError(f"{fields.of}: sets of categories are malformed")
    packed = words.astype("<u4")
    members = []
    for place in places.astype(np.int64):
        bits = np.unpackbits(packed[starts[place] : starts[place + 1]].view(np.uint8), bitorder="little")
        members.append(np.flatnonzero(bits))
    bound_start, bounds = categories_as_bounds([found.tolist() for found in members], np.float64)
    bounds[bounds == 0] = np.nextafter(-1.0, 0)  # cut to a whole number, -0.5 is category 0
    return [bounds[low:high] for low, high in pairwise(bound_start)]


def _terms(fields: Fields, leaves: int, n_features: int) -> tuple[Array, Array, Array, Array] | None:
    """The constant, number of terms, features and coefficients of a linear tree's leaves."""
    if fields.values.get("is_linear", "0") == "0":
        return None
    counts = fields.integers("num_features", leaves)
    if np.any(counts < 0):
        raise ModelFormatError(f"{fields.of}: 'num_features' are malformed")
    total = int(counts.sum())
    feature = fields.integers("leaf_features", total)
    if np.any((feature < 0) | (feature >= n_features)):
        raise ModelFormatError(f"{fields.of}: a leaf asks for a feature that the model does not have")
    return fields.floats("leaf_const", leaves), counts, feature, fields.floats("leaf_coeff", total)
