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


def first_true(condition: Callable[[Array], Array], guess: Keys, kind: NumericKind) -> tuple[Keys, Array]:
    """Return, for each of `len(guess)` monotone conditions, the key of the lowest value that meets it.

    `condition` maps as many values, one a condition, to booleans that never go back to False as the value grows. The
    second result is False where no value meets the condition, the highest one included. The search gallops away from
    `guess` and then bisects: a guess that is close makes it short, and none makes it wrong.
    """
    lowest, highest = ends(kind)
    probe = np.clip(guess, lowest, highest)
    if condition(values(probe, kind)).all() and not condition(values(np.maximum(probe, lowest + 1) - 1, kind)).any():
        return probe, np.ones(len(guess), bool)
    reachable = np.asarray(condition(values(np.full(len(guess), highest, np.int64), kind)), bool)
    low, high = np.where(reachable, lowest, highest), np.full(len(guess), highest, np.int64)
    seen_false, seen_true = np.zeros(len(guess), bool), np.zeros(len(guess), bool)
    step = 1
    while np.any(low < high):
        met = condition(values(probe, kind)) | (probe >= high)
        high, low = np.where(met, np.minimum(probe, high), high), np.where(met, low, np.maximum(probe + 1, low))
        seen_true, seen_false = seen_true | met, seen_false | ~met
        down, up = np.maximum(high, lowest + step) - step, np.minimum(low, highest - step) + (step - 1)
        middle = (low & high) + ((low ^ high) >> 1)  # the floor of the mean, without overflow
        probe = np.where(seen_true & seen_false, middle, np.where(seen_true, np.maximum(down, low), up))
        step = min(step * 4, 2**61)
    return low, reachable
