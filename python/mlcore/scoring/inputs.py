"""Inputs: what users hand to a scorer, as blocks of raw columns in the order the scorer asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlcore.data.tables import Column, column, numpy_columns, to_table
from mlcore.data.types import is_text
from mlcore.errors import DataError, SchemaMismatch
from mlcore.scoring.line import Array
from mlcore.scoring.plan import Kind, Plan


@dataclass(frozen=True)
class Block:
    """Rows whose columns are contiguous pieces of memory."""

    columns: tuple[Column, ...]
    rows: int

    def kinds(self) -> dict[str, Kind]:
        """Return each column's kind, by name."""
        return {item.name: kind_of(item) for item in self.columns}


def kind_of(item: Column) -> Kind:
    """Return the kind of code a column needs: its number type, or "dictionary"."""
    if item.dictionary is not None:
        return "dictionary"
    kind: Any = item.values.dtype.str[1:]
    return kind  # type: ignore[no-any-return]


def blocks(X: Any, names: Sequence[str], *, named: bool, types: Mapping[str, pa.DataType] | None) -> Iterator[Block]:
    """Yield the columns `names` of X in blocks: by name where both sides have names, by position otherwise.

    With `types` (a Bundle's schema) columns are cast to them: floats round, integers and times must fit.

    Raises:
        SchemaMismatch: a column is missing, there are too few or too many, or one has another type.
    """
    if isinstance(X, np.ndarray):
        if X.ndim != 2 or X.shape[1] != len(names):
            raise SchemaMismatch(f"expected an array of shape (rows, {len(names)}), found {X.shape}")
        if types is None:
            yield Block(tuple(numpy_columns(X, list(names))), len(X))
            return
    table = to_table(X, names=list(names) if isinstance(X, np.ndarray) else None)
    table = _in_order(table, names, named)
    for batch in _cast(table, types).to_batches():
        if batch.num_rows:
            yield Block(tuple(column(batch, name) for name in names), batch.num_rows)


def _in_order(table: pa.Table, names: Sequence[str], named: bool) -> pa.Table:
    if not named:
        if table.num_columns != len(names):
            raise SchemaMismatch(f"the model takes {len(names)} columns, found {table.num_columns}")
        return table.rename_columns(list(names))
    found = table.column_names
    for name in names:
        count = found.count(name)
        if count != 1:
            raise SchemaMismatch(
                f"column '{name}' is missing; found: {', '.join(found[:40])}"
                if count == 0
                else f"column '{name}' stands {count} times"
            )
    return table.select(list(names))


def _cast(table: pa.Table, types: Mapping[str, pa.DataType] | None) -> pa.Table:
    for index, field in enumerate(table.schema):
        name, wanted = field.name, (types or {}).get(field.name)
        if wanted is not None and field.type != wanted:
            table = table.set_column(index, name, _as_type(table.column(index), wanted, name))
    return table


def _as_type(values: pa.ChunkedArray, wanted: pa.DataType, name: str) -> pa.ChunkedArray:
    found = values.type
    if is_text(found) != is_text(wanted) and not pa.types.is_null(found):
        raise SchemaMismatch(f"column '{name}': expected {wanted}, found {found}")
    if is_text(found):
        return values
    if pa.types.is_floating(found) and not pa.types.is_floating(wanted):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, found), values)  # pandas keeps missing integers so
    try:
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(
            f"column '{name}': expected {wanted}, found {found} that does not fit it: {error}"
        ) from error


def kernel_columns(
    plan: Plan, block: Block, places: Mapping[str, Array]
) -> list[tuple[Array, Array | None, int, Array]]:
    """Return a block's columns as the `score` op takes them: values, validity, its bit offset, edges or code table."""
    result = []
    for planned, item in zip(plan.columns, block.columns, strict=True):
        folded = planned.folded
        if folded.accepted is not None:
            _refuse_unknown(item, folded.accepted)
        aux = folded.edges if folded.classes is None else folded.classes[places[item.name]]
        assert aux is not None
        result.append((item.values, item.validity, item.offset, aux))
    return result


def places_of(plan: Plan, block: Block) -> dict[str, Array]:
    """Return, by string column, where each entry of the block's own dictionary stands among the plan's categories.

    Entries that the plan does not know stand after the last.
    """
    return {
        item.name: _places(item.dictionary, planned.folded.categories)
        for planned, item in zip(plan.columns, block.columns, strict=True)
        if item.dictionary is not None
    }


def _places(dictionary: pa.Array, categories: tuple[str, ...]) -> Array:
    found = pc.index_in(dictionary, value_set=pa.array(categories, dictionary.type))
    return np.asarray(pc.fill_null(found, len(categories)).to_numpy(zero_copy_only=False))


def _refuse_unknown(item: Column, categories: tuple[str, ...]) -> None:
    """XGBoost refuses a category that its model does not store; so do we."""
    assert item.dictionary is not None
    used = np.unique(item.values[valid_rows(item)])
    unknown = pc.invert(pc.is_in(item.dictionary, value_set=pa.array(categories, item.dictionary.type)))
    for index in used[unknown.to_numpy(zero_copy_only=False)[used]][:1]:
        raise DataError(f"column '{item.name}': category {item.dictionary[int(index)]} was not in the training data")


def valid_rows(item: Column) -> Array:
    """Return a mask of the rows that are not null."""
    if item.validity is None:
        return np.ones(len(item.values), bool)
    bits = np.unpackbits(item.validity, bitorder="little")[item.offset : item.offset + len(item.values)]
    return bits.astype(bool)
