"""CatBoost's features: every question that its trees may ask, numbered as their splits number them.

Layout: `features_info` of the JSON form, as written by 1.x; the questions are the borders of numeric features, in the
order in which the file lists them, then the values of categorical ones, then the borders of CTRs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models.ensemble import Array, Categories, categories_as_bounds

_MOST_CATEGORIES: Final = 1 << 24  # their positions are float32
_NANS: Final = frozenset({"AsIs", "AsFalse", "AsTrue"})


@dataclass(frozen=True, eq=False)
class Questions:
    """The features of a model and all questions about them: right where the value is at or above `threshold`, or, where
    `interval_set >= 0`, in that set of positions among the feature's `categories`.
    """

    names: tuple[str, ...]
    named: bool
    categories: tuple[Categories | None, ...]
    feature: Array
    threshold: Array  # float32
    interval_set: Array
    default_left: Array
    told: tuple[tuple[str, int, float], ...]
    """What a split says of itself: its type, its feature among those of its kind, and its border or value."""
    bound_start: Array
    bounds: Array  # float32


def read(info: Mapping[str, Any]) -> Questions:
    """Return the questions of `features_info`.

    Raises:
        ModelFormatError: it is malformed.
        UnsupportedModel: a feature is of a kind that is not imported; the message names it.
    """
    numeric, categorical = (_listed(info, key) for key in ("float_features", "categorical_features"))
    unknown = sorted(set(info) - _KNOWN)
    if unknown:
        raise UnsupportedModel(f"the model has '{unknown[0]}', which are not imported")
    names, named = _names([*numeric, *categorical])
    if _listed(info, "ctrs"):
        raise UnsupportedModel(
            "CTRs of categorical features are not imported yet; train with a larger one_hot_max_size"
        )
    rows = [row for item in numeric for row in _borders(item)]
    categories: list[Categories | None] = [None] * len(names)
    sets: list[list[int]] = []
    for item in categorical:
        flat = integer(item, "flat_feature_index")
        known, rows_of = _values(item, len(sets))
        categories[flat] = known
        rows += rows_of
        sets += [[k] for k in range(len(known))]
    bound_start, bounds = categories_as_bounds(sets, np.float32)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    return Questions(
        names=names,
        named=named,
        categories=tuple(categories),
        feature=np.array(columns[0], np.int32),
        threshold=np.array(columns[1], np.float32),
        interval_set=np.array(columns[2], np.int32),
        default_left=np.array(columns[3], np.uint8),
        told=tuple(columns[4]),
        bound_start=bound_start,
        bounds=bounds,
    )


_KNOWN: Final = frozenset({"cat_features_hash", "categorical_features", "ctrs", "float_features"})
Row = tuple[int, np.float32, int, bool, tuple[str, int, float]]


def _listed(info: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = info.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ModelFormatError(f"'{key}' is not a list of objects")
    return found


def integer(item: Mapping[str, Any], key: str, low: int = 0, high: int = 2**31 - 1) -> int:
    """Return the whole number that stands at a key, after checking that it lies in [low, high]."""
    found = item[key]
    if type(found) is not int or not low <= found <= high:
        raise ModelFormatError(f"'{key}' is {found!r:.40}, not a whole number from {low} to {high}")
    return found


def numbers(values: Any, of: str) -> Array:
    """Return a flat list of numbers, float64."""
    found = np.array(values if isinstance(values, list) else [[]])
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iuf"):
        raise ModelFormatError(f"{of} are not a list of numbers")
    return found.astype(np.float64)


def _names(features: list[dict[str, Any]]) -> tuple[tuple[str, ...], bool]:
    """The features' names by position; a position that no feature takes belongs to one of another kind."""
    names: list[str | None] = [None] * len(features)
    for item in features:
        flat = integer(item, "flat_feature_index")
        if flat >= len(names):
            raise UnsupportedModel(
                "the model has features that are neither numeric nor categorical; text and embedding features are not "
                "imported"
            )
        if names[flat] is not None:
            raise ModelFormatError(f"two features stand at position {flat}")
        name = item.get("feature_id") or item.get("feature_name") or ""
        if not isinstance(name, str):
            raise ModelFormatError(f"the name of feature {flat} is not text")
        names[flat] = name
    if any(names):
        return tuple(name or str(i) for i, name in enumerate(names)), True
    return tuple(f"f{i}" for i in range(len(names))), False


def _borders(item: Mapping[str, Any]) -> list[Row]:
    """A question for each border: is the value above it? A NaN is below or above all of them."""
    flat, index = integer(item, "flat_feature_index"), integer(item, "feature_index")
    borders = numbers(item["borders"], f"the borders of feature {flat}").astype(np.float32)
    if not np.all(np.isfinite(borders)) or np.any(borders[1:] <= borders[:-1]):
        raise ModelFormatError(f"the borders of feature {flat} are not finite and ascending")
    if item["nan_value_treatment"] not in _NANS or not isinstance(item["has_nans"], bool):
        raise UnsupportedModel(f"feature {flat}: nan_value_treatment {item['nan_value_treatment']!r:.40} is not known")
    left = not (item["has_nans"] and item["nan_value_treatment"] == "AsTrue")
    with np.errstate(over="ignore"):
        above = np.nextafter(borders, np.float32(np.inf))
    return [
        (flat, threshold, -1, left, ("FloatFeature", index, border))
        for threshold, border in zip(above, borders.tolist(), strict=True)
    ]


def _values(item: Mapping[str, Any], first_set: int) -> tuple[Categories, list[Row]]:
    """The hashes of a categorical feature's values that are asked for, and for each the question: is it this one?"""
    flat, index = integer(item, "flat_feature_index"), integer(item, "feature_index")
    values = item.get("values") or []
    if not isinstance(values, list) or not all(type(value) is int and -(2**31) <= value < 2**31 for value in values):
        raise ModelFormatError(f"the values of feature {flat} are not hashes of 32 bits")
    if len(set(values)) != len(values) or len(values) >= _MOST_CATEGORIES:
        raise ModelFormatError(f"the values of feature {flat} are not distinct, or too many")
    told = [("OneHotFeature", index, value) for value in values]
    rows = [(flat, np.float32(0), first_set + k, True, each) for k, each in enumerate(told)]
    return tuple(value % 2**32 for value in values), rows
