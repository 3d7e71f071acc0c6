"""TargetEncoder: a category as the smoothed mean of the target, cross-fitted on the rows it is learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from mlcore.preprocessing.draft import Draft
from mlcore.preprocessing.encode import CategoryEncoder
from mlcore.preprocessing.inputs import InvalidInput, read_columns
from mlcore.preprocessing.statistics import Cells, target_means
from mlcore.preprocessing.steps import Array, Lookup


class TargetEncoder(OneToOneFeatureMixin, CategoryEncoder):  # type: ignore[misc]
    """Categories as target means, float64; equals scikit-learn's on binary and continuous targets.

    `fit_transform` encodes each row with means that have not seen its fold, so it is not `fit().transform()`. An
    unknown category gets the mean of all; missing is a category where fit saw it. `smooth`: see `target_means`.
    """

    def __init__(
        self,
        *,
        categories: Any = "auto",
        target_type: Literal["auto", "binary", "continuous"] = "auto",
        smooth: float | Literal["auto"] = "auto",
        cv: Any = 5,
        shuffle: bool = True,
        random_state: Any = None,
    ) -> None:
        self.categories = categories
        self.target_type = target_type
        self.smooth = smooth
        self.cv = cv
        self.shuffle = shuffle
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any, y: Any) -> TargetEncoder:
        """Return self, fitted on all rows; for training data use `fit_transform`."""
        self._fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any) -> Array:
        """Return X encoded by cross-fitting, float64; self is fitted on all rows."""
        places, target = self._fit(X, y)
        out = np.empty((len(target), len(places)))
        for train, test in self._folds().split(np.zeros((len(target), 1)), y):
            for j, place in enumerate(places):
                means, mean = self._means(j, place[train], target[train])
                out[test, j] = np.append(means, mean)[place[test]]
        return out

    def _fit(self, X: Any, y: Any) -> tuple[list[Array], Array]:
        columns = self._fit_categories(X, refuse_unknown=False)
        target = self._target(X, y)
        places = self._places(columns, None)
        self.target_mean_ = float(target.mean())
        self.encodings_ = [self._means(j, place, target)[0] for j, place in enumerate(places)]
        return places, target

    def _target(self, X: Any, y: Any) -> Array:
        if not (self.smooth == "auto" or (not isinstance(self.smooth, str) and self.smooth >= 0)):
            raise InvalidInput(f"smooth must be 'auto' or a number of rows, 0 or more, not {self.smooth!r}")
        if y is None:
            raise InvalidInput("TargetEncoder requires y to be passed, but the target y is None.")
        check_consistent_length(X, y)
        found = type_of_target(y, input_name="y") if self.target_type == "auto" else self.target_type
        if found not in ("binary", "continuous"):
            raise InvalidInput(f"Unknown label type: {found!r}; binary and continuous targets are supported")
        self.target_type_ = found
        self.classes_ = None
        if found == "continuous":
            return np.asarray(column_or_1d(y), np.float64)
        self.classes_, codes = np.unique(column_or_1d(y), return_inverse=True)
        return codes.astype(np.float64)

    def _means(self, j: int, place: Array, target: Array) -> tuple[Array, float]:
        """Means of each category, missing included; unknown rows count for none of them."""
        known = place >= 0
        size = len(self.categories_[j])
        codes = place[known]
        cells = Cells.of([""] * size, codes, target[known], np.zeros(len(codes), np.int64), 1)
        sums = cells.without(None)
        rows = (sums[0][:size], sums[1][:size], sums[2][:size])
        return target_means(*rows, self.smooth, mean=float(target.mean()), variance=float(target.var()))

    def _folds(self) -> Any:
        if not isinstance(self.cv, int):
            return check_cv(self.cv)
        kind = KFold if self.target_type_ == "continuous" else StratifiedKFold
        return kind(self.cv, shuffle=self.shuffle, random_state=self.random_state if self.shuffle else None)

    def transform(self, X: Any) -> Array:
        """Return X encoded with the means of all rows of fit, float64 of X's shape."""
        check_is_fitted(self)
        places = self._places(read_columns(self, X, reset=False), None)
        return np.column_stack(
            [np.append(means, self.target_mean_)[p] for means, p in zip(self.encodings_, places, strict=True)]
        )

    def lower(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return each draft with its table.

        Raises:
            UnsupportedModel: categories that are numbers.

        """
        lowered = []
        for j, draft in enumerate(drafts):
            names, means = self._names(j, draft.column), self.encodings_[j].tolist()
            missing = means[-1] if self._knows_missing(j) else self.target_mean_
            lowered.append(draft.coded(Lookup(names, tuple(means[: len(names)]), self.target_mean_, missing)))
        return lowered
