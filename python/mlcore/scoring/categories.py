"""Categories: which columns a model reads them from, and tables whose types do not say that they hold some."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from mlcore.data.types import is_text


@dataclass(frozen=True)
class CategoryColumns:
    """The columns that a model reads categories from."""

    named: frozenset[str] = frozenset()
    """Those that must hold categories."""
    listed: int = 0
    """How many hold some, where no more is known than their order."""
    hashed: frozenset[str] = frozenset()
    """Those whose categories are known by their hashes."""


def noted(schema: pa.Schema) -> frozenset[str]:
    """Return the columns that pandas noted to be categories: Parquet keeps no dictionaries but of strings."""
    try:
        told = (schema.pandas_metadata or {"columns": ()})["columns"]
        return frozenset(item["field_name"] for item in told if item["pandas_type"] == "categorical")
    except (KeyError, TypeError, ValueError):  # damaged, or of a version that told less
        return frozenset()


def restored(table: pa.Table, coded: Collection[str], wanted: CategoryColumns) -> pa.Table:
    """Return the table with dictionaries where a model misses them: of what was `coded`, and of nulls, which have no type."""
    held = sum(is_text(type_) or pa.types.is_dictionary(type_) for type_ in table.schema.types)
    for index, field in enumerate(table.schema):
        values = table.column(index)
        if pa.types.is_null(field.type) and field.name in wanted.named:
            table = table.set_column(index, field.name, values.cast(pa.string()))
        elif field.name in coded and (field.name in wanted.named or held < wanted.listed):
            table = table.set_column(index, field.name, values.dictionary_encode())  # as it is where it is one
    return table


def written_out(table: pa.Table) -> pa.Table:
    """Return the table with dictionaries of anything but strings written out."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and not is_text(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(field.type.value_type))
    return table
