"""Ingest: CSV or Parquet in, typed Parquet out, a file a month (or year, or day), the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlcore.data.csv import read_csv
from mlcore.data.files import replacing
from mlcore.data.readers import check_same, list_files, open_parquet, read_group
from mlcore.data.schema import Schema
from mlcore.data.types import is_text, plain
from mlcore.errors import ConfigError, DataError

Partition = Literal["year", "month", "day"]
_PATTERNS: Final[dict[str, str]] = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}
ROW_GROUP: Final = 65_536


def ingest(
    source: Any,
    output: Path,
    *,
    overrides: Mapping[str, Mapping[str, Any]],
    time: str | None,
    partition: Partition | None,
    earlier: Sequence[Path] = (),
    progress: Callable[[int], None] | None = None,
) -> tuple[Schema, list[Path]]:
    """Write `source` as typed Parquet under `output` and return the schema and the files, sorted.

    Types come from `overrides[column]["type"]`, else from the values. Rows keep their order within a file; rows without a
    time go to `unknown.parquet`. Of `earlier`, the files of the last ingest, those not written again are removed at the end.

    Raises:
        DataError: an input is empty, cut short, ragged or holds a value that is not of its column's type, or has no rows.
        SchemaMismatch: a column changed type from one input to the next.
        ConfigError: the output folder holds an input.
        OutputError: the output cannot be written; what was complete before is kept.
    """
    inputs = list_files(source)
    inside = [path for path in inputs if path.resolve().parent == output.resolve()]
    if inside:
        raise ConfigError(f"[data] output: {output} holds the raw file {inside[0].name}; choose another folder")
    table = _read(inputs, _forced(overrides))
    if table.num_rows == 0:
        raise DataError(f"{inputs[0]}{' and others' if len(inputs) > 1 else ''}: zero rows, only column names")
    table = table.cast(pa.schema([field.with_type(_stored(field.type)) for field in table.schema]))
    schema = Schema.infer(table.schema, overrides)
    written = []
    for name, part in _partitions(table, time, partition):
        path = output / f"{name}.parquet"
        with replacing(path) as partial:
            pq.write_table(part, partial, row_group_size=ROW_GROUP, compression="snappy")
        written.append(path)
        if progress:
            progress(part.num_rows)
    for stale in {path.resolve() for path in earlier} - {path.resolve() for path in written}:
        stale.unlink(missing_ok=True)
    return schema, sorted(written)


def _stored(type_: pa.DataType) -> pa.DataType:
    """The type as Parquet gives it back: plain strings, and no whole seconds, which it does not know."""
    if pa.types.is_timestamp(type_) and type_.unit == "s":
        return pa.timestamp("ms", type_.tz)
    return pa.float64() if pa.types.is_null(type_) else plain(type_)


def _forced(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: str(options["type"]) for name, options in overrides.items() if "type" in options}


def _read(inputs: list[Path], types: Mapping[str, str]) -> pa.Table:
    tables: list[pa.Table] = []
    for path in inputs:
        table = _read_parquet(path) if path.suffix == ".parquet" else read_csv(path, types)
        if tables:
            table = _aligned(path, table, tables[0].schema)
        tables.append(table)
    return pa.concat_tables(tables)


def _aligned(path: Path, table: pa.Table, first: pa.Schema) -> pa.Table:
    """The columns in the first file's order; a column that is all missing takes the first file's type."""
    check_same(path, _settle(table.schema, first), first, first.names)
    extra = [name for name in table.column_names if name not in first.names]
    if extra:
        raise DataError(f"{path}: column '{extra[0]}' stands in no file before it")
    return table.select(first.names).cast(first)


def _settle(schema: pa.Schema, first: pa.Schema) -> pa.Schema:
    return pa.schema(
        [
            field.with_type(first.field(field.name).type)
            if pa.types.is_null(field.type) and field.name in first.names
            else field
            for field in schema
        ]
    )


def _read_parquet(path: Path) -> pa.Table:
    with open_parquet(path, dictionaries=False) as parquet:
        groups = [read_group(parquet, path, group, None) for group in range(parquet.num_row_groups)]
        table = pa.concat_tables(groups) if groups else parquet.schema_arrow.empty_table()
    columns = [
        table.column(i).cast(plain(field.type)) if is_text(field.type) else table.column(i)
        for i, field in enumerate(table.schema)
    ]
    return pa.table(columns, names=table.column_names)


def _partitions(table: pa.Table, time: str | None, partition: Partition | None) -> list[tuple[str, pa.Table]]:
    if partition is None:
        return [("data", table)]
    if time is None or time not in table.column_names:
        raise ConfigError(f"[data] time: '{time}' is not a column of the data; partition = '{partition}' needs it")
    if not pa.types.is_temporal(table.schema.field(time).type):
        raise ConfigError(f"[data] time: column '{time}' holds {table.schema.field(time).type}, not dates or times")
    keys = pc.strftime(table[time], _PATTERNS[partition]).combine_chunks().dictionary_encode()
    names = [*keys.dictionary.to_pylist(), "unknown"]
    codes = pc.fill_null(keys.indices, len(names) - 1).to_numpy()
    return [
        (name, table.take(pa.array(rows)))
        for code, name in sorted(enumerate(names), key=lambda item: item[1])
        if len(rows := np.flatnonzero(codes == code))
    ]


__all__ = ["Partition", "ingest"]
