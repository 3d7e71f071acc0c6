"""StandardScaler, MinMaxScaler and Clip: one number in, one number out, in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import check_is_fitted

from mlcore.errors import UnsupportedModel
from mlcore.preprocessing import steps
from mlcore.preprocessing.draft import Draft
from mlcore.preprocessing.inputs import InvalidInput, read_numbers
from mlcore.preprocessing.lower import Transformer
from mlcore.preprocessing.statistics import Extremes, Moments
from mlcore.preprocessing.steps import Array


class _Scaler(OneToOneFeatureMixin, Transformer):  # type: ignore[misc]
    """(x - center) / width, column by column, from statistics that merge."""

    _statistic: type[Moments] | type[Extremes]

    def fit(self, X: Any, y: Any = None) -> Self:
        """Return self, fitted on X of shape (rows, columns); NaN is left out of the statistics."""
        if hasattr(self, "statistics_"):
            del self.statistics_
        return self.partial_fit(X)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Return self, fitted on X and on what came before."""
        before = getattr(self, "statistics_", None)
        self._check()
        matrix = read_numbers(self, X, reset=before is None)
        found: list[Any] = [self._statistic.of(values) for values in matrix.T]
        if before is not None:
            found = [old.merge(new) for old, new in zip(before, found, strict=True)]
        self.statistics_ = found
        self._keep(len(matrix) + (0 if before is None else self._rows))
        return self

    def _check(self) -> None:
        """Refuse parameters that have no meaning."""

    def _keep(self, rows: int) -> None:
        self._rows = rows

    def _affine(self) -> tuple[Array, Array]:
        """Center and width of each column; NaN where fit saw no value."""
        raise NotImplementedError

    def transform(self, X: Any) -> Array:
        """Return float64 of X's shape; missing stays missing."""
        check_is_fitted(self)
        center, width = self._affine()
        return np.asarray((read_numbers(self, X, reset=False) - center) / width)

    def inverse_transform(self, X: Any) -> Array:
        """Return the numbers that `transform` made X from, up to rounding."""
        check_is_fitted(self)
        center, width = self._affine()
        return np.asarray(np.asarray(X, np.float64) * width + center)

    def lower(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return each draft with its shift and scale.

        Raises:
            UnsupportedModel: fit saw no value of a column, so that all of it becomes missing.

        """
        lowered = []
        for draft, center, width in zip(drafts, *self._affine(), strict=True):
            if math.isnan(center) or math.isnan(width):
                raise UnsupportedModel(f"column '{draft.column}' had no values in training and cannot be scaled")
            lowered.append(draft.then(steps.Affine(float(center), float(width))))
        return lowered


class StandardScaler(_Scaler):
    """Numbers as (x - mean) / deviation; missing stays missing. Equals scikit-learn's on float64."""

    _statistic = Moments

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def _keep(self, rows: int) -> None:
        super()._keep(rows)
        moments: list[Moments] = self.statistics_
        counts = np.array([m.count for m in moments], np.int64)
        self.n_samples_seen_ = int(counts[0]) if np.all(counts == counts[0]) else counts
        absent = np.where(counts == 0, np.nan, 0.0)
        self.mean_ = np.array([m.mean for m in moments]) + absent if self.with_mean or self.with_std else None
        self.var_ = np.array([m.variance for m in moments]) if self.with_std else None
        self.scale_ = np.array([m.deviation for m in moments]) + absent if self.with_std else None

    def _affine(self) -> tuple[Array, Array]:
        nothing = np.zeros(self.n_features_in_)
        return (
            self.mean_ if self.with_mean and self.mean_ is not None else nothing,
            nothing + 1.0 if self.scale_ is None else self.scale_,
        )


class MinMaxScaler(_Scaler):
    """Numbers shifted and scaled to `feature_range`; missing stays missing; `clip` keeps new data inside it."""

    _statistic = Extremes

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, clip: bool = False) -> None:
        self.feature_range = feature_range
        self.clip = clip

    def _check(self) -> None:
        low, high = self.feature_range
        if not low < high:
            raise InvalidInput(
                f"Minimum of desired feature range must be smaller than maximum. Got {self.feature_range}."
            )

    def _keep(self, rows: int) -> None:
        super()._keep(rows)
        extremes: list[Extremes] = self.statistics_
        low, high = self.feature_range
        self.n_samples_seen_ = rows
        self.data_min_ = np.array([e.low if math.isfinite(e.low) else math.nan for e in extremes])
        self.data_max_ = np.array([e.high if math.isfinite(e.high) else math.nan for e in extremes])
        self.data_range_ = self.data_max_ - self.data_min_
        absent = np.where(np.isnan(self.data_min_), np.nan, 0.0)
        self.scale_ = (high - low) / np.array([e.range for e in extremes]) + absent
        self.min_ = low - self.data_min_ * self.scale_

    def _affine(self) -> tuple[Array, Array]:
        """x·scale + min as (x - center) / width, which loses less where center and x are close."""
        low, high = self.feature_range
        width = np.array([e.range for e in self.statistics_]) / (high - low)
        return self.data_min_ - low * width, width

    def transform(self, X: Any) -> Array:
        """Return float64 of X's shape; missing stays missing."""
        scaled = super().transform(X)
        return steps.numbers((self._limits(),), scaled) if self.clip else scaled

    def _limits(self) -> steps.Clip:
        return steps.Clip(float(self.feature_range[0]), float(self.feature_range[1]))

    def lower(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return each draft with its shift and scale, and its limits where `clip` is set."""
        scaled = super().lower(drafts)
        return [draft.then(self._limits()) for draft in scaled] if self.clip else scaled


class Clip(OneToOneFeatureMixin, Transformer):  # type: ignore[misc]
    """Numbers limited to [low, high]; missing stays missing. scikit-learn has no such transformer."""

    def __init__(self, low: float = -math.inf, high: float = math.inf) -> None:
        self.low = low
        self.high = high

    def fit(self, X: Any, y: Any = None) -> Clip:
        """Return self; only X's width and names are learned."""
        self._limits()
        read_numbers(self, X, reset=True)
        return self

    def transform(self, X: Any) -> Array:
        """Return float64 of X's shape."""
        check_is_fitted(self, "n_features_in_")
        return steps.numbers((self._limits(),), read_numbers(self, X, reset=False))

    def _limits(self) -> steps.Clip:
        if not self.low <= self.high:
            raise InvalidInput(f"low must be at most high, found {self.low} and {self.high}")
        return steps.Clip(float(self.low), float(self.high))

    def lower(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return each draft with its limits."""
        return [draft.then(self._limits()) for draft in drafts]
