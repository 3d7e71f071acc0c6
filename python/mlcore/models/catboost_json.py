"""What stands in CatBoost's JSON, taken out with a check of its type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlcore.errors import ModelFormatError
from mlcore.models.ensemble import Array


def listed(item: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects that are listed at a key; none where there is no such key."""
    found = item.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ModelFormatError(f"'{key}' is not a list of objects")
    return found


def integer(item: Mapping[str, Any], key: str, low: int = 0, high: int = 2**31 - 1) -> int:
    """Return the whole number at a key, which must lie in [low, high]."""
    found = item[key]
    if type(found) is not int or not low <= found <= high:
        raise ModelFormatError(f"'{key}' is {found!r:.40}, not a whole number from {low} to {high}")
    return found


def number(item: Mapping[str, Any], key: str) -> float:
    """Return the finite number at a key."""
    found = item[key]
    if type(found) not in (int, float) or not math.isfinite(found):
        raise ModelFormatError(f"'{key}' is {found!r:.40}, not a finite number")
    return float(found)


def numbers(values: Any, of: str) -> Array:
    """Return a flat list of numbers, float64."""
    found = np.array(values if isinstance(values, list) else [[]])
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iuf"):
        raise ModelFormatError(f"{of} are not a list of numbers")
    return found.astype(np.float64)
