"""Profile: mergeable statistics of a dataset; equal results for any partition of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlcore.data.files import replacing
from mlcore.data.tables import column, to_table
from mlcore.data.types import kind_of_type
from mlcore.errors import DataError, ProfileMismatch
from mlcore.profile import edges as edge_choice
from mlcore.profile import storage
from mlcore.profile.columns import Array, CategoricalColumn, ColumnProfile, NumericColumn, present


class Profile:
    """Statistics by column. `update` counts more rows in place; `merge` returns the sum of two.

    Counts are equal bit for bit for any order and partition of the rows; moments agree to 1e-12 relative.
    """

    def __init__(self, rows: int, columns: Mapping[str, ColumnProfile]) -> None:
        self.rows = rows
        self.columns: dict[str, ColumnProfile] = dict(columns)

    @staticmethod
    def fit(
        data: Any,
        *,
        columns: Sequence[str] | None = None,
        edges: Mapping[str, Array] | None = None,
        bins: int = 64,
        categories: Mapping[str, Sequence[str]] | None = None,
    ) -> Profile:
        """Return the profile of a table (whatever `to_table` takes) or of an iterable of record batches.

        Edges are chosen from the data, `edges[name]` always among them; a string column counts `categories[name]`, else
        every category it holds, the most frequent first.

        Raises:
            DataError: there are no rows; SchemaMismatch, UnsupportedType: a column is missing or cannot be profiled.
        """
        table = _table(data)
        if table.num_rows == 0:
            raise DataError("a profile needs rows; the data has none")
        names = table.column_names if columns is None else list(columns)
        table = table.select(names).unify_dictionaries()
        start = {
            name: _empty(table, name, (edges or {}).get(name), bins, (categories or {}).get(name)) for name in names
        }
        profile = Profile(0, start)
        profile.update(table)
        return profile

    def update(self, data: Any) -> None:
        """Count more rows; ProfileMismatch when a column has another type."""
        for batch in _batches(data):
            for name, counted in self.columns.items():
                item = column(batch, name)
                if (item.dictionary is not None) != isinstance(counted, CategoricalColumn):
                    found = "strings" if item.dictionary is not None else "numbers"
                    raise ProfileMismatch(f"column '{name}' holds {found}, unlike the profile's")
                self.columns[name] = counted.with_rows(item)
            self.rows += batch.num_rows

    def merge(self, other: Profile) -> Profile:
        """Return the profile of both sets of rows; ProfileMismatch unless both have the same columns and edges."""
        if list(self.columns) != list(other.columns):
            difference = sorted(set(self.columns) ^ set(other.columns)) or ["their order"]
            raise ProfileMismatch(f"the profiles differ in columns: {', '.join(difference)}")
        merged: dict[str, ColumnProfile] = {
            name: item.merge(other.columns[name], name=name) for name, item in self.columns.items()
        }
        return Profile(self.rows + other.rows, merged)

    def empty(self) -> Profile:
        """Return a profile with the same edges and categories and no rows."""
        return Profile(0, {name: item.empty() for name, item in self.columns.items()})

    def with_column(self, name: str, values: Array, *, bins: int = 64) -> Profile:
        """Return this profile with one more column, of numbers that come with all or some of the rows (a model's scores)."""
        if name in self.columns:
            raise ProfileMismatch(f"the data has a column '{name}' of its own; give it another name")
        if len(values) > self.rows:
            raise ProfileMismatch(f"column '{name}' has {len(values)} values for {self.rows} rows")
        added = Profile.fit(pa.table({name: pa.array(values)}), bins=bins)
        return Profile(self.rows, {**self.columns, **added.columns})

    @staticmethod
    def from_tallies(reference: Profile, counts: Mapping[str, Array]) -> Profile:
        """Return the profile that a scorer counted over the reference's edges; columns it did not count are left out.

        counts: int64, one a bin and missing last; of a categorical column one a category, then unseen, then missing.
        """
        columns = {
            name: _tallied(reference.columns[name], counts[name]) for name in reference.columns if name in counts
        }
        rows = next(iter(columns.values())).rows if columns else 0
        return Profile(rows, columns)

    def to_arrow(self) -> pa.Table:
        """Return the profile as a table, a row a column."""
        return storage.to_arrow(self.rows, self.columns)

    @staticmethod
    def from_arrow(table: pa.Table) -> Profile:
        """Return the profile that `to_arrow` wrote; ProfileMismatch when it is malformed or of an unknown format."""
        return Profile(*storage.from_arrow(table))

    def save(self, path: str | Path) -> None:
        """Write the profile as an Arrow file, atomically."""
        table = self.to_arrow()
        with (
            replacing(Path(path)) as partial,
            pa.OSFile(str(partial), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)

    @staticmethod
    def load(path: str | Path) -> Profile:
        """Return the profile that `save` wrote; ProfileMismatch when the file is damaged or of another kind."""
        try:
            with pa.OSFile(str(path), "rb") as source:
                return Profile.from_arrow(pa.ipc.open_file(source).read_all())
        except (OSError, pa.ArrowException) as error:
            raise ProfileMismatch(f"profile {path} cannot be read: {error}") from error

    def equals(self, other: Profile) -> bool:
        """Return whether both hold exactly the same numbers."""
        return bool(self.to_arrow().equals(other.to_arrow(), check_metadata=True))


def _table(data: Any) -> pa.Table:
    if isinstance(data, Iterable) and not hasattr(data, "schema") and not _is_table(data):
        batches = list(data)
        if not batches:
            raise DataError("a profile needs rows; the data has none")
        return to_table(pa.Table.from_batches(batches))
    return to_table(data)


def _is_table(data: Any) -> bool:
    return isinstance(data, Mapping | np.ndarray) or hasattr(data, "columns") or hasattr(data, "__arrow_c_stream__")


def _batches(data: Any) -> Iterator[pa.RecordBatch]:
    yield from _table(data).to_batches()


def _empty(
    table: pa.Table, name: str, given: Array | None, bins: int, categories: Sequence[str] | None
) -> ColumnProfile:
    values = table[name]
    kind = kind_of_type(values.type, column=name)
    if kind == "dictionary":
        listed = tuple(categories) if categories is not None else _by_frequency(values)
        return CategoricalColumn(listed, np.zeros(len(listed), np.int64), 0, 0)
    parts = [present(column(batch, name))[0] for batch in table.select([name]).to_batches()]
    chosen = edge_choice.choose(np.concatenate([*parts, np.zeros(0, kind)]).astype(kind), bins=bins, given=given)
    return NumericColumn(chosen, np.zeros(len(chosen) + 1, np.int64), 0).empty()


def _by_frequency(values: pa.ChunkedArray) -> tuple[str, ...]:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    counted = [(item["values"], item["counts"]) for item in pc.value_counts(values).to_pylist()]
    return tuple(name for name, _ in sorted(counted, key=lambda item: (-item[1], item[0] or "")) if name is not None)


def _tallied(reference: ColumnProfile, counts: Array) -> ColumnProfile:
    if isinstance(reference, CategoricalColumn):
        return CategoricalColumn(reference.categories, counts[:-2], int(counts[-2]), int(counts[-1]))
    return NumericColumn(reference.edges, counts[:-1], int(counts[-1]))
