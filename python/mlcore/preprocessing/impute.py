"""SimpleImputer: missing values filled with a statistic of their column."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from mlcore.preprocessing import steps
from mlcore.preprocessing.draft import Draft
from mlcore.preprocessing.inputs import InvalidInput, Strings, Values, is_missing, read_columns, read_numbers
from mlcore.preprocessing.lower import Transformer
from mlcore.preprocessing.statistics import Moments, ValueCounts
from mlcore.preprocessing.steps import Array

_STRATEGIES = ("mean", "median", "most_frequent", "constant")


class SimpleImputer(Transformer):
    """Columns with their missing values filled; equals scikit-learn's on NaN, None and nulls.

    A column that had no value at fit is left out, with a warning, unless `keep_empty_features`: then it is filled
    with 0 (with `fill_value` for "constant"). Strings take "most_frequent" (the least of several) and "constant".
    """

    def __init__(
        self,
        *,
        strategy: Literal["mean", "median", "most_frequent", "constant"] = "mean",
        fill_value: Any = None,
        keep_empty_features: bool = False,
    ) -> None:
        self.strategy = strategy
        self.fill_value = fill_value
        self.keep_empty_features = keep_empty_features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.categorical = self.strategy in ("most_frequent", "constant")
        return tags

    def fit(self, X: Any, y: Any = None) -> SimpleImputer:
        """Return self, fitted on X of shape (rows, columns)."""
        if self.strategy not in _STRATEGIES:
            raise InvalidInput(f"strategy must be one of {', '.join(_STRATEGIES)}, not {self.strategy!r}")
        columns = self._read(X, reset=True)
        self.strings_ = [isinstance(values, Strings) for values in columns]
        found = [self._statistic(values) for values in columns]
        self.statistics_ = np.array(found, object if any(isinstance(v, str) for v in found) else np.float64)
        return self

    def _read(self, X: Any, *, reset: bool) -> Sequence[Values]:
        if self.strategy in ("mean", "median"):
            return list(read_numbers(self, X, reset=reset).T)
        columns = read_columns(self, X, reset=reset)
        for values in columns:
            if not isinstance(values, Strings) and values.dtype.kind == "f" and np.isinf(values).any():
                raise InvalidInput("Input X contains infinity or a value too large for dtype('float64').")
        return columns

    def _statistic(self, values: Values) -> Any:
        strings = isinstance(values, Strings)
        empty = bool((values.codes < 0).all() if isinstance(values, Strings) else np.isnan(values).all())
        if empty and not self.keep_empty_features:
            return math.nan
        if self.strategy == "constant":
            return self._constant(strings)
        if empty:
            return 0.0
        if isinstance(values, Strings):
            counts = np.bincount(values.codes[values.codes >= 0], minlength=len(values.uniques))
            return min(name for name, n in zip(values.uniques, counts, strict=True) if n == counts.max())
        numbers = values.astype(np.float64)
        if self.strategy == "mean":
            return Moments.of(numbers).mean
        counted = ValueCounts.of(numbers)
        return counted.median if self.strategy == "median" else counted.mode

    def _constant(self, strings: bool) -> Any:
        if self.fill_value is None:
            return "missing_value" if strings else 0.0
        if isinstance(self.fill_value, str) != strings:
            found = "strings" if strings else "numbers"
            raise InvalidInput(f"fill_value={self.fill_value!r} cannot stand in a column of {found}")
        return self.fill_value

    def transform(self, X: Any) -> Array:
        """Return X without its missing values: float64, or object where a column holds strings."""
        check_is_fitted(self)
        columns = self._read(X, reset=False)
        self._warn_of_empty()
        filled = [self._filled(columns[j], self.strings_[j], self.statistics_[j]) for j in self._kept()]
        return np.column_stack(filled) if filled else np.zeros((len(columns[0]), 0))

    def _filled(self, values: Values, strings: bool, statistic: Any) -> Array:
        if isinstance(values, Strings):
            objects = values.objects()
            objects[values.codes < 0] = statistic
            return objects
        if strings and len(values) and not np.isnan(values).all():
            raise InvalidInput("a column that held strings at fit holds numbers")
        if strings:
            return np.full(len(values), statistic, object)
        numbers = values.astype(np.float64)
        return np.where(np.isnan(numbers), float(statistic), numbers)

    def _warn_of_empty(self) -> None:
        kept = set(self._kept())
        empty = [name for j, name in enumerate(_check_feature_names_in(self)) if j not in kept]
        if empty:
            warnings.warn(
                f"Skipping features without any observed values: {empty}. At least one non-missing value is "
                f"needed for imputation with strategy='{self.strategy}'.",
                stacklevel=3,
            )

    def _kept(self) -> list[int]:
        return [j for j, value in enumerate(self.statistics_) if not is_missing(value)]

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the names of the columns that are kept."""
        check_is_fitted(self)
        return np.asarray(_check_feature_names_in(self, input_features)[self._kept()])

    def lower(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return the kept drafts, each with what fills it."""
        lowered = []
        for j in self._kept():
            value = self.statistics_[j]
            if isinstance(value, str):
                lowered.append(Draft(drafts[j].column, drafts[j].steps, drafts[j].fill or value))
            else:
                lowered.append(drafts[j].then(steps.Fill(float(value))))
        return lowered
