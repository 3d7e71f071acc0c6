"""Which rows are learned from: labelled ones of a time range, split at a moment into training and holdout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlcore.data.readers import scan
from mlcore.data.times import moment
from mlcore.errors import DataError, SchemaMismatch, UsageError

Array = np.ndarray[Any, Any]
Part = Literal["all", "training", "holdout"]


@dataclass(frozen=True)
class Label:
    """What is predicted: the column's own number, or with `above` whether it is greater; null is unlabelled."""

    column: str
    above: float | None = None

    def of(self, batch: pa.RecordBatch) -> Array:
        """Return the labels as float64, NaN where a row has none.

        Raises:
            SchemaMismatch: the column is absent or does not hold numbers.

        """
        values = _column(batch, self.column)
        if not (
            pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_boolean(values.type)
        ):
            raise SchemaMismatch(f"target column '{self.column}': expected numbers, found {values.type}")
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if self.above is None:
            return np.asarray(numbers)
        return np.where(np.isnan(numbers), np.nan, (numbers > self.above).astype(np.float64))


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        raise SchemaMismatch(f"column '{name}' is missing; found: {', '.join(batch.schema.names[:40])}")
    return batch.column(name)


@dataclass(frozen=True)
class Rows:
    """Labelled rows of files whose time lies in [since, until); `cut` is the time at which the holdout begins."""

    files: tuple[Path, ...]
    columns: tuple[str, ...]
    label: Label
    time: str
    since: date | None = None
    until: date | None = None
    cut: pa.Scalar | None = None

    def batches(self, part: Part = "all") -> Iterator[pa.RecordBatch]:
        """Yield the part's rows in file order, in batches that hold `columns`, the label's and the time's."""
        if part != "all" and self.cut is None:
            part = "all" if part == "training" else part
        wanted = list(dict.fromkeys((*self.columns, self.label.column, self.time)))
        for batch in scan(self.files, columns=wanted):
            kept = batch.filter(self._mask(batch, part))
            if kept.num_rows:
                yield kept

    def _mask(self, batch: pa.RecordBatch, part: Part) -> pa.Array:
        times = _column(batch, self.time)
        mask = pc.and_(times.is_valid(), pa.array(~np.isnan(self.label.of(batch))))
        if self.since is not None:
            mask = pc.and_(mask, pc.greater_equal(times, moment(self.since, times.type, self.time)))
        if self.until is not None:
            mask = pc.and_(mask, pc.less(times, moment(self.until, times.type, self.time)))
        if part == "training" and self.cut is not None:
            mask = pc.and_(mask, pc.less(times, self.cut))
        if part == "holdout":
            if self.cut is None:
                return pa.array(np.zeros(batch.num_rows, bool))
            mask = pc.and_(mask, pc.greater_equal(times, self.cut))
        return pc.fill_null(mask, False)


def split(rows: Rows, holdout: float) -> tuple[pa.Scalar | None, int]:
    """Return the time at which the last `holdout` share of the labelled rows begins, and how many rows there are.

    Rows of one time stay together, on the holdout's side. With `holdout` 0 there is no cut.

    Raises:
        UsageError: `holdout` is not in [0, 1).
        DataError: no row is labelled and in range, or all of them have one time.

    """
    if not 0 <= holdout < 1:
        raise UsageError(f"holdout must be at least 0 and below 1, not {holdout}")
    slim = Rows(rows.files, (), rows.label, rows.time, rows.since, rows.until)
    times = [batch.column(rows.time) for batch in slim.batches()]
    count = sum(len(part) for part in times)
    if not count:
        raise DataError(_no_rows(rows))
    if not holdout:
        return None, count
    joined = pa.chunked_array(times)
    order = pc.array_sort_indices(joined)
    first = math.floor(count * (1 - holdout))
    cut = joined[order[first].as_py()]
    if not pc.any(pc.less(joined, cut)).as_py():
        raise DataError(
            f"time column '{rows.time}': no rows are left to train on before {cut.cast(pa.string())}, where the "
            f"holdout of {holdout:g} begins; take a smaller holdout or a longer time range"
        )
    return cut, count


def _no_rows(rows: Rows) -> str:
    span = f"from {rows.since or 'the start'} until {rows.until or 'the end'}"
    return f"no labelled rows {span}: column '{rows.label.column}' is missing there, or no file holds that time"


def labels_of(rows: Rows, part: Part) -> Array:
    """Return the labels of a part in row order, float64."""
    slim = Rows(rows.files, (), rows.label, rows.time, rows.since, rows.until, rows.cut)
    found = [rows.label.of(batch) for batch in slim.batches(part)]
    return np.concatenate(found) if found else np.zeros(0)
