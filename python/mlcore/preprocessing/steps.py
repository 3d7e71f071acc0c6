"""Steps: what a fitted transform does to one raw value, so plain that it folds into edges and tables.

`evaluate` and `evaluate_categories` define the casts: without steps a number is narrowed directly, to float32 unless
another type is asked for; with steps it is widened to float64, every step runs in float64, and only the result is narrowed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, repeat
from typing import Any

import numpy as np

from mlcore.errors import UsageError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Fill:
    """Put `value` where a number is missing."""

    value: float


@dataclass(frozen=True)
class Affine:
    """Shift and scale a number: (x - center) / scale."""

    center: float
    scale: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.scale) and self.scale != 0):
            raise UsageError(f"center {self.center} and scale {self.scale} must be finite, and scale other than 0")


@dataclass(frozen=True)
class Times:
    """Scale and shift a number: x * factor + shift, which `Affine` would round otherwise."""

    factor: float
    shift: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and math.isfinite(self.shift) and self.factor != 0):
            raise UsageError(f"factor {self.factor} and shift {self.shift} must be finite, and factor other than 0")


@dataclass(frozen=True)
class Clip:
    """Limit a number to [low, high]; missing stays missing."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise UsageError(f"clip needs low <= high, found {self.low} and {self.high}")


@dataclass(frozen=True)
class Lookup:
    """Give each category its number: `table[i]` for `categories[i]`, else `unknown`, or `missing` for null."""

    categories: tuple[str, ...]
    table: tuple[float, ...]
    unknown: float
    missing: float

    def __post_init__(self) -> None:
        if len(self.table) != len(self.categories):
            raise UsageError(f"{len(self.categories)} categories have {len(self.table)} numbers")
        if len(set(self.categories)) != len(self.categories):
            raise UsageError("a category stands twice in a lookup")


@dataclass(frozen=True)
class Indicator:
    """1.0 where the value is `category`, 0.0 elsewhere, missing included; None asks for missing itself."""

    category: str | None


@dataclass(frozen=True)
class Match:
    """Give each number that is a category its own: `table[i]` for `values[i]`, ascending, else `unknown` or `missing`."""

    values: tuple[float, ...]
    table: tuple[float, ...]
    unknown: float
    missing: float

    def __post_init__(self) -> None:
        if len(self.table) != len(self.values):
            raise UsageError(f"{len(self.values)} categories have {len(self.table)} numbers")
        if not all(low < high for low, high in pairwise(self.values)):
            raise UsageError("the categories of a match must ascend")


@dataclass(frozen=True)
class Narrow:
    """Round a number to float32, as arithmetic in that type does after each operation."""


Step = Fill | Affine | Times | Clip | Narrow | Lookup | Indicator | Match


def fill_missing(step: Lookup | Indicator, category: str | None) -> Lookup | Indicator:
    """Return the step with missing treated as `category`; None leaves the step as it is."""
    if category is None:
        return step
    if isinstance(step, Lookup):
        known = dict(zip(step.categories, step.table, strict=True))
        return replace(step, missing=known.get(category, step.unknown))
    if step.category is None:
        return Lookup((), (), 0.0, 0.0)
    return Lookup((category,), (1.0,), 0.0, 1.0) if step.category == category else step


def takes_categories(steps: Sequence[Step]) -> bool:
    """Return whether the first step reads a string."""
    return bool(steps) and (
        isinstance(steps[0], Lookup) or (isinstance(steps[0], Indicator) and steps[0].category is not None)
    )


def evaluate(steps: Sequence[Step], values: Array, dtype: type[np.generic] = np.float32) -> Array:
    """Return the feature of numbers in their raw type (NaN: missing) as `dtype`, float32 or float64.

    `Indicator(None)` or `Match` may stand first; a step that reads strings raises UsageError.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if not steps:
            return values.astype(dtype)
        return numbers(steps, values.astype(np.float64)).astype(dtype)


def evaluate_categories(
    steps: Sequence[Step], categories: Sequence[str], dtype: type[np.generic] = np.float32
) -> tuple[Array, Any, Any]:
    """Return the feature of each category, of an unknown one, and of a missing value, as `dtype`.

    A category that the first step does not list is an unknown one, and gets its number.
    """
    if not steps or not isinstance(steps[0], Lookup | Indicator):
        raise UsageError("strings need a step that turns them into numbers first: one-hot, ordinal or target")
    with np.errstate(over="ignore", invalid="ignore"):
        found = numbers(steps[1:], category_numbers(steps[0], categories)).astype(dtype)
    return found[:-2], found[-2], found[-1]


def category_numbers(step: Lookup | Indicator, categories: Sequence[str]) -> Array:
    """Return the float64 number of each category, then of an unknown one, then of a missing value."""
    if isinstance(step, Indicator):
        equal = [float(name == step.category) for name in categories]
        return np.array([*equal, 0.0, float(step.category is None)])
    known = dict(zip(step.categories, step.table, strict=True))
    return np.array([*map(known.get, categories, repeat(step.unknown)), step.unknown, step.missing])


def numbers(steps: Sequence[Step], x: Array) -> Array:
    """Return float64 `x` after the steps, before it is narrowed."""
    for position, step in enumerate(steps):
        match step:
            case Fill(value):
                x = np.where(np.isnan(x), value, x)
            case Affine(center, scale):
                x = (x - center) / scale
            case Times(factor, shift):
                x = x * factor + shift
            case Clip(low, high):
                x = np.where(x < low, low, np.where(x > high, high, x))
            case Narrow():
                x = x.astype(np.float32).astype(np.float64)
            case Indicator(None) if position == 0:
                x = np.isnan(x).astype(np.float64)
            case Match() if position == 0:
                x = matched(step, x)
            case _:
                raise UsageError(f"{type(step).__name__} reads strings: it must come first, on a string column")
    return x


def matched(step: Match, x: Array) -> Array:
    """Return the number of each float64 value's own category."""
    places = np.searchsorted(step.values, x)
    found = np.append(step.table, step.unknown)[places]
    equal = np.append(step.values, np.nan)[places] == x
    return np.where(np.isnan(x), step.missing, np.where(equal, found, step.unknown))
