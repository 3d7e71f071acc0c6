"""What a Profile holds of one column; merging equal halves of any split of the rows gives the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlcore import ops
from mlcore.data.tables import Column
from mlcore.errors import ProfileMismatch
from mlcore.profile.moments import Moments

Array = np.ndarray[Any, Any]
MAX_EDGES: Final = 65_535


@dataclass(frozen=True, eq=False)
class NumericColumn:
    """Counts over frozen `edges` in the column's own type: counts[i] rows have exactly i edges <= their value.

    `missing` counts nulls, `nan` NaN; ±inf lie in the outer bins and are counted apart as well. What only a pass over the
    values knows (`nan` apart from null, infinities, zeros, negatives, moments, low, high) is None where the profile came
    from a scorer's tallies.
    """

    edges: Array
    counts: Array
    missing: int
    nan: int = 0
    infinite: tuple[int, int] | None = None  # −inf, +inf
    zeros: int | None = None
    negatives: int | None = None
    moments: Moments | None = None
    low: float | None = None
    high: float | None = None

    @property
    def rows(self) -> int:
        """All rows, missing ones included."""
        return int(self.counts.sum()) + self.missing_rows

    @property
    def missing_rows(self) -> int:
        """Rows that score as missing: null and NaN."""
        return self.missing + self.nan

    def empty(self) -> NumericColumn:
        """Return the same edges and no rows."""
        return NumericColumn(self.edges, np.zeros_like(self.counts), 0, 0, (0, 0), 0, 0, Moments(), None, None)

    def with_rows(self, column: Column) -> NumericColumn:
        """Return these counts and those of more rows."""
        return self.merge(_measure(column, self.edges))

    def merge(self, other: NumericColumn | CategoricalColumn, *, name: str = "") -> NumericColumn:
        """Return the sum; ProfileMismatch unless both count over the same edges."""
        if (
            not isinstance(other, NumericColumn)
            or self.edges.dtype != other.edges.dtype
            or not np.array_equal(self.edges, other.edges)
        ):
            raise ProfileMismatch(f"column '{name}': the profiles count over different edges and cannot be merged")
        infinite = None
        if self.infinite is not None and other.infinite is not None:
            infinite = (self.infinite[0] + other.infinite[0], self.infinite[1] + other.infinite[1])
        return NumericColumn(
            self.edges,
            self.counts + other.counts,
            self.missing + other.missing,
            self.nan + other.nan,
            infinite,
            _sum(self.zeros, other.zeros),
            _sum(self.negatives, other.negatives),
            None if self.moments is None or other.moments is None else self.moments.merge(other.moments),
            _least(self.low, other.low),
            _most(self.high, other.high),
        )


@dataclass(frozen=True, eq=False)
class CategoricalColumn:
    """Counts by category; values that are none of them are `unseen`, nulls `missing`."""

    categories: tuple[str, ...]
    counts: Array
    unseen: int
    missing: int

    @property
    def rows(self) -> int:
        """All rows, missing ones included."""
        return int(self.counts.sum()) + self.unseen + self.missing

    @property
    def missing_rows(self) -> int:
        """Rows that score as missing: null."""
        return self.missing

    def empty(self) -> CategoricalColumn:
        """Return the same categories and no rows."""
        return CategoricalColumn(self.categories, np.zeros_like(self.counts), 0, 0)

    def with_rows(self, column: Column) -> CategoricalColumn:
        """Return these counts and those of more rows."""
        assert column.dictionary is not None
        entries = np.zeros(len(column.dictionary) + 1, np.int64)
        ops.tally(np.ascontiguousarray(column.values), null_words(column), entries)
        counts = _by_category(self.categories, column.dictionary, entries)
        return self.merge(CategoricalColumn(self.categories, counts[:-2], int(counts[-2]), int(counts[-1])))

    def merge(self, other: NumericColumn | CategoricalColumn, *, name: str = "") -> CategoricalColumn:
        """Return the sum; ProfileMismatch unless both count the same categories."""
        if not isinstance(other, CategoricalColumn) or self.categories != other.categories:
            raise ProfileMismatch(f"column '{name}': the profiles count different categories and cannot be merged")
        return replace(
            self,
            counts=self.counts + other.counts,
            unseen=self.unseen + other.unseen,
            missing=self.missing + other.missing,
        )


def _by_category(categories: Sequence[str], dictionary: pa.Array, entries: Array) -> Array:
    """Return counts by category, then unseen, then missing, from counts by index of another dictionary."""
    result = np.zeros(len(categories) + 2, np.int64)
    position = pc.index_in(dictionary, value_set=pa.array(categories, dictionary.type))
    np.add.at(result, pc.fill_null(position, len(categories)).to_numpy(zero_copy_only=False), entries[:-1])
    result[-1] = entries[-1]
    return result


def null_words(column: Column) -> Array | None:
    """Return which rows are null as missing words, or None where none is."""
    if column.validity is None:
        return None
    n = len(column.values)
    valid = np.unpackbits(column.validity, bitorder="little")[column.offset : column.offset + n]
    packed = np.packbits(valid == 0, bitorder="little")
    words = np.zeros((n + 63) // 64, np.uint64)
    words.view(np.uint8)[: len(packed)] = packed
    return words


def present(column: Column) -> tuple[Array, int]:
    """Return the values of rows that are neither null nor NaN, and how many of the others are NaN."""
    values = column.values
    if column.validity is not None:
        valid = np.unpackbits(column.validity, bitorder="little")[column.offset : column.offset + len(values)]
        values = values[valid.astype(bool)]
    if values.dtype.kind != "f":
        return values, 0
    is_nan = np.isnan(values)
    nan = int(is_nan.sum())
    return (values[~is_nan] if nan else values), nan


def _measure(column: Column, edges: Array) -> NumericColumn:
    if column.values.dtype != edges.dtype:
        raise ProfileMismatch(f"column '{column.name}': expected {edges.dtype}, found {column.values.dtype}")
    n = len(column.values)
    codes = np.empty(n, np.uint8 if len(edges) < 256 else np.uint16)
    words = np.empty((n + 63) // 64, np.uint64)
    counts = np.zeros(len(edges) + 2, np.int64)
    missing = ops.bin(column.values, column.validity, column.offset, edges, codes, words)
    ops.tally(codes, words if missing else None, counts)
    values, nan = present(column)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return NumericColumn(
        edges,
        counts[:-1],
        int(counts[-1]) - nan,
        nan,
        (int((values == -np.inf).sum()), int((values == np.inf).sum())) if values.dtype.kind == "f" else (0, 0),
        int((values == 0).sum()),
        int((values < 0).sum()),
        Moments.of(finite),
        float(finite.min()) if len(finite) else None,
        float(finite.max()) if len(finite) else None,
    )


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _least(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else min(a, b)


def _most(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)


ColumnProfile = NumericColumn | CategoricalColumn
Columns = Mapping[str, ColumnProfile]
