"""OneHotEncoder and OrdinalEncoder: categories as numbers. Only the distinct values are looked up, never the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from mlcore.errors import UnsupportedModel
from mlcore.preprocessing.draft import Draft
from mlcore.preprocessing.inputs import InvalidInput, Strings, Values, is_missing, read_columns
from mlcore.preprocessing.lower import Transformer
from mlcore.preprocessing.steps import Array, Indicator, Lookup


class CategoryEncoder(Transformer):
    """What the encoders share: the sorted categories of each column, missing last, and rows as places in them."""

    categories: Any

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = tags.input_tags.string = True
        return tags

    def _fit_categories(self, X: Any, *, refuse_unknown: bool) -> list[Values]:
        columns = read_columns(self, X, reset=True)
        given = None if isinstance(self.categories, str) else self.categories
        if given is not None and len(given) != len(columns):
            raise InvalidInput("Shape mismatch: if categories is an array, it has to be of shape (n_features,).")
        self.categories_ = [
            _categories(values) if given is None else _given(given[j], values, j) for j, values in enumerate(columns)
        ]
        if given is not None and refuse_unknown:
            self._places(columns, "fit")
        return columns

    def _places(self, columns: Sequence[Values], refuse: str | None) -> list[Array]:
        """Each row's place in its column's categories, -1 where unknown; `refuse` names the moment in the error."""
        found = []
        for j, (values, known) in enumerate(zip(columns, self.categories_, strict=True)):
            uniques, codes = _distinct(values)
            places = _place_in(uniques, known)
            if refuse and (places < 0).any():
                unknown = [value for value, place in zip(uniques, places.tolist(), strict=True) if place < 0]
                raise InvalidInput(f"Found unknown categories {unknown} in column {j} during {refuse}")
            found.append(places[codes])
        return found

    def _names(self, j: int, column: str) -> tuple[str, ...]:
        """The column's categories as strings, missing left out.

        Raises:
            UnsupportedModel: they are numbers.

        """
        names = [value for value in self.categories_[j].tolist() if not is_missing(value)]
        if not all(isinstance(name, str) for name in names):
            raise UnsupportedModel(f"column '{column}': categories that are numbers are not lowered; make them strings")
        return tuple(names)

    def _knows_missing(self, j: int) -> bool:
        return bool(len(self.categories_[j])) and is_missing(self.categories_[j][-1])


def _categories(values: Values) -> Array:
    uniques, codes = _distinct(values)
    seen = set(np.unique(codes).tolist())
    present = [value for i, value in enumerate(uniques) if i in seen and not is_missing(value)]
    missing = [value for i, value in enumerate(uniques) if i in seen and is_missing(value)]
    kind = object if isinstance(values, Strings) else values.dtype
    return np.array(sorted(present) + missing, kind)


def _given(names: Any, values: Values, j: int) -> Array:
    kind = object if isinstance(values, Strings) or any(isinstance(name, str) for name in names) else None
    found = np.array(list(names), kind)
    if any(is_missing(name) for name in found.tolist()[:-1]):
        raise InvalidInput(
            f"Nan should be the last element in user provided categories, see categories {found} in column #{j}"
        )
    if len(set(found.tolist())) != len(found):
        raise InvalidInput(f"In column {j}, the predefined categories contain duplicate elements.")
    present = [value for value in found.tolist() if not is_missing(value)]
    if found.dtype.kind not in "OUS" and present != sorted(present):
        raise InvalidInput("Unsorted categories are not supported for numerical categories")
    return found


def _distinct(values: Values) -> tuple[list[Any], Array]:
    """Distinct values, a missing label last among them if there is one, and each row's place in them."""
    if isinstance(values, Strings):
        uniques: list[Any] = [*values.uniques, values.missing]
        if not (values.codes < 0).any():
            return uniques[:-1], values.codes
        return uniques, np.where(values.codes < 0, len(values.uniques), values.codes)
    numbers, codes = np.unique(values, return_inverse=True)
    return numbers.tolist(), codes.reshape(-1)


def _place_in(uniques: Sequence[Any], known: Array) -> Array:
    places = {value: i for i, value in enumerate(known.tolist()) if not is_missing(value)}
    blank = len(known) - 1 if len(known) and is_missing(known[-1]) else -1
    return np.array([blank if is_missing(v) else places.get(v, -1) for v in uniques], np.int64)


class OneHotEncoder(CategoryEncoder):
    """One 0/1 column a category; missing is a category where fit saw it. Equals scikit-learn's.

    The result is dense by default: XGBoost reads what is absent from a sparse matrix as missing, not as 0.
    """

    def __init__(
        self,
        *,
        categories: Any = "auto",
        handle_unknown: Literal["error", "ignore"] = "error",
        sparse_output: bool = False,
    ) -> None:
        self.categories = categories
        self.handle_unknown = handle_unknown
        self.sparse_output = sparse_output

    def fit(self, X: Any, y: Any = None) -> OneHotEncoder:
        """Return self, with the categories of X in `categories_`."""
        if self.handle_unknown not in ("error", "ignore"):
            raise InvalidInput(f"handle_unknown must be 'error' or 'ignore', not {self.handle_unknown!r}")
        self._fit_categories(X, refuse_unknown=self.handle_unknown == "error")
        return self

    def transform(self, X: Any) -> Any:
        """Return 0/1 as float64 of shape (rows, categories of all columns); an ignored unknown is all 0.

        Raises:
            ValueError: an unknown category, with handle_unknown="error".

        """
        check_is_fitted(self)
        columns = read_columns(self, X, reset=False)
        places = self._places(columns, "transform" if self.handle_unknown == "error" else None)
        starts = np.cumsum([0, *(len(known) for known in self.categories_)])
        if self.sparse_output:
            return self._sparse(places, starts)
        out = np.zeros((len(columns[0]), int(starts[-1])))
        for start, place in zip(starts, places, strict=False):
            known = np.flatnonzero(place >= 0)
            out[known, start + place[known]] = 1.0
        return out

    def _sparse(self, places: Sequence[Array], starts: Array) -> Any:
        from scipy import sparse

        wide = np.column_stack(places)
        known = wide >= 0
        ends = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
        columns = (wide + starts[:-1])[known]
        return sparse.csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(wide), int(starts[-1])))

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return column_category for each output."""
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return np.array(
            [f"{n}_{value}" for n, known in zip(names, self.categories_, strict=True) for value in known],
            object,
        )

    def lower(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return one draft a category.

        Raises:
            UnsupportedModel: categories that are numbers, or handle_unknown="error", which a scorer cannot keep.

        """
        _need_tolerance(self, "ignore")
        lowered = []
        for j, draft in enumerate(drafts):
            asked: list[str | None] = [*self._names(j, draft.column)]
            asked += [None] if self._knows_missing(j) else []
            lowered += [draft.coded(Indicator(category)) for category in asked]
        return lowered


def _need_tolerance(encoder: Any, wanted: str) -> None:
    if encoder.handle_unknown == "error":
        raise UnsupportedModel(
            f"{type(encoder).__name__}(handle_unknown='error') stops at a category that training has not seen, "
            f"which a compiled model does not; use handle_unknown='{wanted}'"
        )


class OrdinalEncoder(OneToOneFeatureMixin, CategoryEncoder):  # type: ignore[misc]
    """The category's place in ascending order, float64; equals scikit-learn's.

    Missing becomes `encoded_missing_value` where fit saw it, and counts as unknown otherwise.
    """

    def __init__(
        self,
        *,
        categories: Any = "auto",
        handle_unknown: Literal["error", "use_encoded_value"] = "error",
        unknown_value: float | None = None,
        encoded_missing_value: float = math.nan,
    ) -> None:
        self.categories = categories
        self.handle_unknown = handle_unknown
        self.unknown_value = unknown_value
        self.encoded_missing_value = encoded_missing_value

    def fit(self, X: Any, y: Any = None) -> OrdinalEncoder:
        """Return self, with the categories of X in `categories_`."""
        self._check()
        self._fit_categories(X, refuse_unknown=self.handle_unknown == "error")
        for known in self.categories_:
            if self.unknown_value is not None and 0 <= self.unknown_value < len(known):
                raise InvalidInput(
                    f"The used value for unknown_value {self.unknown_value} is one of the values already used for "
                    "encoding the seen categories."
                )
        return self

    def _check(self) -> None:
        if self.handle_unknown not in ("error", "use_encoded_value"):
            raise InvalidInput(f"handle_unknown must be 'error' or 'use_encoded_value', not {self.handle_unknown!r}")
        if (self.handle_unknown == "use_encoded_value") == (self.unknown_value is None):
            raise InvalidInput(
                "unknown_value should be an integer or np.nan when handle_unknown is 'use_encoded_value', and None "
                f"otherwise, got {self.unknown_value}."
            )

    def transform(self, X: Any) -> Array:
        """Return float64 of X's shape.

        Raises:
            ValueError: an unknown category, with handle_unknown="error".

        """
        check_is_fitted(self)
        columns = read_columns(self, X, reset=False)
        places = self._places(columns, "transform" if self.handle_unknown == "error" else None)
        return np.column_stack([self._codes(j)[place] for j, place in enumerate(places)])

    def _codes(self, j: int) -> Array:
        """The number of each category, then that of unknown, so that place -1 finds it."""
        codes = np.arange(len(self.categories_[j]) + 1, dtype=np.float64)
        if self._knows_missing(j):
            codes[-2] = self.encoded_missing_value
        codes[-1] = math.nan if self.unknown_value is None else self.unknown_value
        return codes

    def lower(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return each draft with its table.

        Raises:
            UnsupportedModel: categories that are numbers, or handle_unknown="error", which a scorer cannot keep.

        """
        _need_tolerance(self, "use_encoded_value")
        lowered = []
        for j, draft in enumerate(drafts):
            names, codes = self._names(j, draft.column), self._codes(j).tolist()
            missing = codes[-2] if self._knows_missing(j) else codes[-1]
            lowered.append(draft.coded(Lookup(names, tuple(codes[: len(names)]), codes[-1], missing)))
        return lowered
