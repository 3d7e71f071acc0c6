"""Statistics that transforms are fitted from: each is taken of a batch and merged, in row order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of the values that are not missing."""

    count: int
    mean: float
    m2: float

    @staticmethod
    def of(values: Array) -> Moments:
        """Return the moments of float64 values; NaN is left out."""
        present = values[~np.isnan(values)]
        if not len(present):
            return Moments(0, 0.0, 0.0)
        mean = float(present.sum() / len(present))
        deviations = present - mean
        # The second term takes out what rounding of the mean has left (Chan, Golub & LeVeque 1983).
        m2 = float((deviations**2).sum() - deviations.sum() ** 2 / len(present))
        return Moments(len(present), mean, max(m2, 0.0))

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of values (Chan et al. 1979)."""
        if not (self.count and other.count):
            return self if self.count else other
        count = self.count + other.count
        delta = other.mean - self.mean
        m2 = self.m2 + other.m2 + delta * delta * (self.count * other.count / count)
        return Moments(count, self.mean + delta * (other.count / count), m2)

    @property
    def variance(self) -> float:
        """The population variance (ddof 0)."""
        return self.m2 / self.count if self.count else math.nan

    @property
    def deviation(self) -> float:
        """The standard deviation; 1 where the values cannot be told from a constant (scikit-learn's bound)."""
        eps = float(np.finfo(np.float64).eps)
        bound = self.count * eps * self.variance + (self.count * self.mean * eps) ** 2
        return 1.0 if not self.count or self.variance <= bound else math.sqrt(self.variance)


@dataclass(frozen=True)
class Extremes:
    """Least and greatest of the values that are not missing; inf and -inf where there are none."""

    low: float = math.inf
    high: float = -math.inf

    @staticmethod
    def of(values: Array) -> Extremes:
        """Return the extremes of float64 values; NaN is left out."""
        present = values[~np.isnan(values)]
        return Extremes(float(present.min()), float(present.max())) if len(present) else Extremes()

    def merge(self, other: Extremes) -> Extremes:
        """Return the extremes of both sets of values."""
        return Extremes(min(self.low, other.low), max(self.high, other.high))

    @property
    def range(self) -> float:
        """The distance between them, or 1 where it is too small to divide by (scikit-learn's bound)."""
        width = self.high - self.low
        return width if width >= 10 * np.finfo(np.float64).eps else 1.0


@dataclass(frozen=True)
class ValueCounts:
    """Distinct numbers in ascending order and how often each stands; NaN is left out."""

    values: Array
    counts: Array

    @staticmethod
    def of(values: Array) -> ValueCounts:
        """Return the counts of float64 values."""
        return ValueCounts(*np.unique(values[~np.isnan(values)], return_counts=True))

    def merge(self, other: ValueCounts) -> ValueCounts:
        """Return the counts of both sets of values."""
        values, place = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        return ValueCounts(values, counts)

    @property
    def median(self) -> float:
        """The exact median; NaN where there are no values."""
        if not len(self.values):
            return math.nan
        ends = np.cumsum(self.counts)
        middle = [(int(ends[-1]) - 1) // 2, int(ends[-1]) // 2]
        low, high = self.values[np.searchsorted(ends, middle, side="right")]
        return float(low) if low == high else float((low + high) / 2)

    @property
    def mode(self) -> float:
        """The most frequent value, the least of several; NaN where there are no values."""
        return float(self.values[np.argmax(self.counts)]) if len(self.values) else math.nan


@dataclass(frozen=True)
class Cells:
    """Count, sum and squared deviations of the target, one cell a category and fold, plus a row for missing.

    The arrays are float64 of shape (categories + 1, folds); their last row is that of missing values.
    """

    categories: tuple[str, ...]
    count: Array
    total: Array
    m2: Array

    @staticmethod
    def of(categories: Sequence[str], codes: Array, target: Array, fold: Array, folds: int) -> Cells:
        """Return the cells of rows whose `codes` index `categories`; a code equal to their number is missing."""
        shape = (len(categories) + 1, folds)
        cell = codes.astype(np.int64) * folds + fold
        size = shape[0] * shape[1]
        count = np.bincount(cell, minlength=size).astype(np.float64)
        total = np.bincount(cell, weights=target, minlength=size)
        mean = total / np.maximum(count, 1)
        m2 = np.bincount(cell, weights=(target - mean[cell]) ** 2, minlength=size)
        return Cells(tuple(categories), count.reshape(shape), total.reshape(shape), m2.reshape(shape))

    def merge(self, other: Cells) -> Cells:
        """Return the cells of both sets of rows; categories that are new stand behind those that are not."""
        categories = tuple(dict.fromkeys((*self.categories, *other.categories)))
        place = {name: i for i, name in enumerate(categories)}
        parts = [part._spread(place) for part in (self, other)]
        return Cells(categories, *_merge_moments(*parts))

    def _spread(self, place: dict[str, int]) -> tuple[Array, Array, Array]:
        rows = np.array([*(place[name] for name in self.categories), len(place)], np.int64)
        arrays = []
        for mine in (self.count, self.total, self.m2):
            wide = np.zeros((len(place) + 1, mine.shape[1]))
            wide[rows] = mine
            arrays.append(wide)
        return arrays[0], arrays[1], arrays[2]

    def sort(self) -> Cells:
        """Return the same cells with their categories in ascending order, those without a row left out."""
        seen = [i for i in range(len(self.categories)) if self.count[i].any()]
        order = [*sorted(seen, key=self.categories.__getitem__), len(self.categories)]
        names = tuple(self.categories[i] for i in order[:-1])
        return Cells(names, self.count[order], self.total[order], self.m2[order])

    @property
    def rows(self) -> Array:
        """Rows of each category, missing last; int64."""
        total: Array = self.count.sum(axis=1)
        return total.astype(np.int64)

    def without(self, fold: int | None) -> tuple[Array, Array, Array]:
        """Return count, total and m2 of each category over all folds but one (None: over all)."""
        kept = [k for k in range(self.count.shape[1]) if k != fold]
        none = np.zeros(len(self.count))
        sums = (none, none, none)
        for k in kept:
            sums = _merge_moments(sums, (self.count[:, k], self.total[:, k], self.m2[:, k]))
        return sums


def _merge_moments(a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    delta = b[1] / np.maximum(b[0], 1) - a[1] / np.maximum(a[0], 1)
    count = a[0] + b[0]
    both = a[0] * b[0] / np.maximum(count, 1)  # 0 where one side has no row
    return count, a[1] + b[1], a[2] + b[2] + delta * delta * both


def target_means(
    count: Array,
    total: Array,
    m2: Array,
    smooth: float | str,
    *,
    mean: float | None = None,
    variance: float | None = None,
) -> tuple[Array, float]:
    """Return the smoothed target mean of each category, and the mean of all rows.

    `smooth=m`: (total + m·mean) / (count + m). "auto" (empirical Bayes): λ·own + (1 − λ)·mean with
    λ = σ²·count / (σ²·count + m2 / count), σ² the variance of the target (Micci-Barreca 2001). `mean` and
    `variance` are those of the rows that are counted, unless given.
    """
    rows = count.sum()
    if mean is None:
        mean = float(total.sum() / rows) if rows else math.nan
    if not isinstance(smooth, str):
        weight = count + smooth
        smoothed = total + smooth * mean
        means: Array = np.divide(smoothed, weight, out=np.full_like(weight, mean), where=weight > 0)
        return means, mean
    own = total / np.maximum(count, 1)
    if variance is None:
        variance = float((m2 + count * (own - mean) ** 2).sum() / rows) if rows else math.nan
    weight = variance * count
    spread = weight + m2 / np.maximum(count, 1)
    share = np.divide(weight, spread, out=np.zeros_like(weight), where=(count > 0) & (spread > 0))
    return share * own + (1 - share) * mean, mean
