"""What users hand to an estimator, as columns: numbers with NaN for missing, or strings as codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.utils.validation import check_array, validate_data

from mlcore.data.tables import column, to_table
from mlcore.errors import DataError
from mlcore.preprocessing.features import missing_rows, string_rows
from mlcore.preprocessing.steps import Array


class InvalidInput(DataError, ValueError):
    """Data that an estimator cannot use; a ValueError too, which scikit-learn's callers expect."""


@dataclass(frozen=True)
class Strings:
    """A column of strings: `codes` (int64) index `uniques`, -1 is missing, whose label is None or NaN."""

    uniques: tuple[str, ...]
    codes: Array
    missing: float | None

    def __len__(self) -> int:
        return len(self.codes)

    def objects(self) -> Array:
        """Return the strings one by one, with the missing label where there is none; object dtype."""
        return np.array([*self.uniques, self.missing], object)[self.codes]


Values = Array | Strings


def is_table(X: Any) -> bool:
    """Return whether X is a table that names its columns, rather than an array or a list of rows."""
    return hasattr(X, "__arrow_c_stream__") or hasattr(X, "__arrow_c_array__") or hasattr(X, "iloc")


def read_columns(estimator: Any, X: Any, *, reset: bool) -> list[Values]:
    """Return the columns of X: a table (Arrow, pandas, polars), a 2-D array or a list of rows.

    With `reset` the estimator learns their number and names; otherwise they must be the same.

    Raises:
        ValueError: another shape, other names, or values that are neither numbers nor strings.
        UnsupportedType: an Arrow type that mlcore does not read.

    """
    if is_table(X):
        X = X if hasattr(X, "iloc") else to_table(X)
        _check_rows(estimator, X)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return _from_pandas(X) if hasattr(X, "iloc") else _from_arrow(X)
    if isinstance(X, list | tuple) and any(isinstance(value, str) for row in X for value in _row(row)):
        X = np.array(X, dtype=object)
    X = check_array(X, dtype=None, ensure_all_finite=False, estimator=estimator, input_name="X")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return [_from_objects(X[:, j]) if X.dtype.kind in "OUS" else X[:, j] for j in range(X.shape[1])]


def _row(row: Any) -> Sequence[Any]:
    return row if isinstance(row, list | tuple) else ()


def _check_rows(estimator: Any, X: Any) -> None:
    if not len(X):
        name = type(estimator).__name__
        raise InvalidInput(f"Found array with 0 sample(s) while a minimum of 1 is required by {name}.")


def _from_pandas(X: Any) -> list[Values]:
    found: list[Values] = []
    for j in range(X.shape[1]):
        values = X.iloc[:, j]
        if str(values.dtype) == "object":
            found.append(_from_objects(values.to_numpy()))
        else:
            found += _from_arrow(pa.table([pa.Array.from_pandas(values)], names=[str(X.columns[j])]))
    return found


def _from_arrow(table: pa.Table) -> list[Values]:
    batches = table.combine_chunks().to_batches()
    if len(batches) != 1:  # more than 2 GiB of strings: chunks stay
        raise InvalidInput("the table is too large for one estimator call; train with mlcore.training instead")
    found: list[Values] = []
    for name in table.column_names:
        raw = column(batches[0].select([name]), name)
        missing = missing_rows(raw)
        if raw.dictionary is not None:
            names, codes = string_rows(raw)
            places = np.where(codes == len(names), -1, codes).astype(np.int64)
            found.append(Strings(tuple(names), places, math.nan))
        elif missing is not None and missing.any():
            found.append(np.where(missing, np.nan, raw.values.astype(np.float64)))
        else:
            found.append(raw.values)
    return found


def _from_objects(values: Array) -> Values:
    """Strings if all that is present is strings, numbers if all is numbers."""
    present = [value for value in values.tolist() if not is_missing(value)]
    if all(isinstance(value, str) for value in present) and present:
        uniques = tuple(dict.fromkeys(present))
        place = {name: i for i, name in enumerate(uniques)}
        codes = np.array([-1 if is_missing(v) else place[v] for v in values.tolist()], np.int64)
        none = any(value is None for value in values.tolist())
        return Strings(uniques, codes, None if none else math.nan)
    try:
        numbers = [math.nan if is_missing(value) else float(value) for value in values.tolist()]
    except (TypeError, ValueError):
        kinds = ", ".join(sorted({type(value).__name__ for value in present}))
        raise InvalidInput(
            "Encoders require their input argument must be uniformly strings or numbers. "
            f"Argument must be a string or a number, found {kinds}"
        ) from None
    return np.array(numbers)


def is_missing(value: Any) -> bool:
    """Return whether a single value stands for nothing: None, NaN, or pandas' NA."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType"


def read_numbers(estimator: Any, X: Any, *, reset: bool) -> Array:
    """Return X as float64 of shape (rows, columns), missing NaN.

    Raises:
        ValueError: X holds strings or infinities, or has another shape or other names than at fit.

    """
    if not is_table(X):
        X = validate_data(estimator, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan", copy=True)
        return np.asarray(X)
    columns = read_columns(estimator, X, reset=reset)
    for j, values in enumerate(columns):
        if isinstance(values, Strings):
            name = getattr(estimator, "feature_names_in_", range(len(columns)))[j]
            raise InvalidInput(f"column '{name}' holds strings; {type(estimator).__name__} needs numbers")
    matrix = np.column_stack([np.asarray(values, np.float64) for values in columns])
    if np.isinf(matrix).any():
        raise InvalidInput("Input X contains infinity or a value too large for dtype('float64').")
    return matrix


def raw_names(estimator: Any) -> list[str]:
    """Return the raw columns that the fitted estimator's inputs are: their names, or f0, f1, … of an array."""
    names = getattr(estimator, "feature_names_in_", None)
    return [f"f{j}" for j in range(estimator.n_features_in_)] if names is None else [str(n) for n in names]
