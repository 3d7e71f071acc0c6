"""The number line of a column type, as integers in order: what bisection for an exact edge walks on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np

NumericKind = Literal["f4", "f8", "i4", "i8"]
Array = np.ndarray[Any, Any]
Keys = np.ndarray[tuple[int], np.dtype[np.int64]]

_BITS: Final[dict[str, type[np.signedinteger[Any]]]] = {"f4": np.int32, "f8": np.int64}


def keys(values: Array) -> Keys:
    """Return int64 keys that order as `values` do (float32, float64, int32 or int64; no NaN); −0 and 0 share one."""
    if values.dtype.kind == "i":
        return values.astype(np.int64)
    bits = values.view(_BITS[values.dtype.str[1:]])
    magnitude = bits & np.iinfo(bits.dtype).max
    return np.where(bits < 0, -magnitude, magnitude).astype(np.int64)


def values(keys: Keys, kind: NumericKind) -> Array:
    """Return the values that have these keys, in the column's own type."""
    if kind[0] == "i":
        return keys.astype(kind)
    bits = _BITS[kind]
    sign = np.where(keys < 0, np.iinfo(bits).min, 0).astype(bits)
    found: Array = (np.abs(keys).astype(bits) | sign).view(kind)
    return found


def ends(kind: NumericKind) -> tuple[int, int]:
    """Return the keys of the lowest and the highest value: ±inf, or the integer type's own bounds."""
    if kind[0] == "i":
        limits = np.iinfo(np.dtype(kind))
        return int(limits.min), int(limits.max)
    top = int(keys(np.array([np.inf], kind))[0])
    return -top, top


def first_true(condition: Callable[[Array], Array], count: int, kind: NumericKind) -> tuple[Keys, Array]:
    """Return, for each of `count` monotone conditions, the key of the lowest value that meets it.

    `condition` maps `count` values, one a condition, to booleans that never go back to False as the value grows. The
    second result is False where no value meets the condition, the highest one included.
    """
    lowest, highest = ends(kind)
    low, high = np.full(count, lowest, np.int64), np.full(count, highest, np.int64)
    reachable = np.asarray(condition(values(high, kind)), bool)
    while np.any(low < high):
        middle = (low & high) + ((low ^ high) >> 1)  # the floor of the mean, without overflow
        met = condition(values(middle, kind))
        high = np.where(met, middle, high)
        low = np.where(met, low, np.minimum(middle + 1, high))
    return low, reachable
