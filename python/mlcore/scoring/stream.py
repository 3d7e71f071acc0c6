"""One file on its way through a scorer: row groups are read and scored by any thread, and written in order."""

from __future__ import annotations

import contextlib
import glob
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlcore.data.files import output_error
from mlcore.data.readers import check_columns, metadata_of, open_parquet, read_group
from mlcore.data.times import moment
from mlcore.data.types import is_text
from mlcore.errors import DataError, SchemaMismatch
from mlcore.profile import Profile
from mlcore.scoring.scorer import Scorer
from mlcore.scoring.tally import Tally


@dataclass(frozen=True)
class Selection:
    """Which columns and rows of an input reach the output, and the score's name there."""

    keep: tuple[str, ...]
    time: str | None
    since: date | None
    until: date | None
    score_name: str

    def key(self, model: str) -> dict[str, Any]:
        """Return what identifies a job: outputs of equal keys are interchangeable."""
        plain = {name: _plain(value) for name, value in asdict(self).items()}
        return {"model": model, **plain, "keep": list(self.keep)}


@dataclass(frozen=True)
class Part:
    """A scored row group."""

    table: pa.Table
    tally: Tally | None


@dataclass(frozen=True)
class Finished:
    """A file that is whole under its own name; `fingerprint` is its input's, from before it was read."""

    source: Path
    fingerprint: tuple[int, int]
    rows: int
    profile: Profile | None


def fingerprint(source: Path) -> tuple[int, int]:
    """Return an input's size and time of last change, in nanoseconds.

    Raises:
        DataError: it is gone, or cannot be looked at.
    """
    try:
        status = source.stat()
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}") from error
    return status.st_size, status.st_mtime_ns


class FileJob:
    """Scores `source` into `target`; `write` keeps the order whoever scored."""

    def __init__(self, scorer: Scorer, source: Path, target: Path, selection: Selection) -> None:
        self.scorer = scorer.on(threads=1)  # row groups run side by side, so each takes one thread
        self.source, self.target, self.selection = source, target, selection
        self._partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.partial")
        self._lock = threading.Lock()
        self._ready: dict[int, Part] = {}
        self._next = self._groups = self._rows = 0
        self._writing = self._finished = False
        self._writer: pq.ParquetWriter | None = None
        self._tally = scorer.tally()

    def open(self) -> int:
        """Return the number of row groups, after checking that the file has rows and every column asked for.

        Raises:
            DataError, SchemaMismatch: it has not.
        """
        self._fingerprint = fingerprint(self.source)
        self._metadata = metadata_of(self.source)
        schema = self._metadata.schema.to_arrow_schema()
        if self._metadata.num_rows == 0:
            raise DataError(f"{self.source} has zero rows: nothing to score")
        time = [self.selection.time] if self.selection.time and (self.selection.since or self.selection.until) else []
        self._asked = self.scorer.columns_of(schema.names)
        self._columns = list(dict.fromkeys([*self._asked, *self.selection.keep, *time]))
        check_columns(self.source, schema, self._columns)
        self._groups = int(self._metadata.num_row_groups)
        return self._groups

    def score(self, group: int) -> Part:
        """Return one row group, scored and counted."""
        table = self._rows_of(group)
        tally = self.scorer.tally()
        try:
            margins = [
                self.scorer.score_block(block, tally) for block in self.scorer.blocks_of(table.select(self._asked))
            ]
        except DataError as error:  # of whichever kind
            raise type(error)(f"{self.source}, row group {group}: {error}") from error
        none = np.zeros((0, self.scorer.model.n_outputs), self.scorer.dtype)
        scores = self.scorer.link(np.concatenate([*margins, none]))
        if tally is not None:
            tally.take_scores(np.ascontiguousarray(scores[:, 0]), self.scorer.backend)
        out = table.select(list(self.selection.keep))
        for k in range(scores.shape[1]):
            name = self.selection.score_name + (f"_{k}" if scores.shape[1] > 1 else "")
            out = out.append_column(name, pa.array(np.ascontiguousarray(scores[:, k])))
        return Part(out, tally)

    def _rows_of(self, group: int) -> pa.Table:
        with open_parquet(self.source, metadata=self._metadata) as parquet:
            table = read_group(parquet, self.source, group, self._columns)
        if fingerprint(self.source) != self._fingerprint:
            raise DataError(f"{self.source} changed while it was being scored; run again when it is whole")
        try:
            return between(table, self.selection)
        except SchemaMismatch as error:
            raise SchemaMismatch(f"{self.source}: {error}") from error

    def write(self, group: int, part: Part) -> Iterator[int]:
        """Hand in a scored row group; write those whose turn has come and yield the rows of each.

        One thread writes at a time; another leaves its part for it and goes on scoring.
        """
        with self._lock:
            self._ready[group] = part
            if self._writing:
                return
            self._writing = True
        while True:
            with self._lock:
                if self._next not in self._ready:
                    self._writing = False
                    return
                due = self._ready.pop(self._next)
            self._append(due)
            self._next += 1
            yield due.table.num_rows

    def _append(self, part: Part) -> None:
        try:
            if self._writer is None:
                self.target.parent.mkdir(parents=True, exist_ok=True)
                for left_over in self.target.parent.glob(f".{glob.escape(self.target.name)}.*.partial"):
                    left_over.unlink(missing_ok=True)  # by a run that was killed
                texts = [field.name for field in part.table.schema if is_text(field.type)]
                self._writer = pq.ParquetWriter(self._partial, part.table.schema, use_dictionary=texts)
            self._writer.write_table(part.table)
        except OSError as error:
            raise output_error(self.target, error) from error
        self._rows += part.table.num_rows
        if self._tally is not None and part.tally is not None:
            self._tally.add(part.tally)

    def finish(self) -> Finished | None:
        """Give the output its name once every row group is written; None before that, and after the first time."""
        with self._lock:
            if self._finished or self._next < self._groups or self._writing:
                return None
            self._finished = True
        assert self._writer is not None
        try:
            self._writer.close()
            os.replace(self._partial, self.target)
        except OSError as error:
            raise output_error(self.target, error) from error
        return Finished(
            self.source, self._fingerprint, self._rows, None if self._tally is None else self._tally.profile()
        )

    def discard(self) -> None:
        """Remove what an unfinished job wrote; what cannot be removed now, the next run removes."""
        if not self._finished and self._writer is not None:
            with contextlib.suppress(OSError):  # a full disk fails again on close
                self._writer.close()
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)


def between(table: pa.Table, selection: Selection) -> pa.Table:
    """Return the rows whose time lies in [since, until)."""
    bounds: Sequence[tuple[Any, date | None]] = ((pc.greater_equal, selection.since), (pc.less, selection.until))
    for compare, bound in bounds:
        if selection.time and bound is not None:
            column = table[selection.time]
            table = table.filter(compare(column, moment(bound, column.type, selection.time)))
    return table


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
