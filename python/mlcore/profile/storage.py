"""Profiles as Arrow: one row a column, edges as raw little-endian bytes in the column's own type, so nothing is rounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from mlcore.errors import ProfileMismatch
from mlcore.profile.columns import CategoricalColumn, ColumnProfile, NumericColumn
from mlcore.profile.moments import Moments

FORMAT: Final = 1
_KEY: Final = b"mlcore.profile"
_SCHEMA: Final = pa.schema(
    [
        ("name", pa.string()),
        ("kind", pa.string()),  # f4, f8, i4, i8 or category
        ("edges", pa.binary()),
        ("categories", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int64())),
        ("missing", pa.int64()),
        ("nan", pa.int64()),
        ("unseen", pa.int64()),
        ("infinite", pa.list_(pa.int64())),
        ("zeros", pa.int64()),
        ("negatives", pa.int64()),
        ("moments", pa.list_(pa.float64())),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)


def to_arrow(rows: int, columns: Mapping[str, ColumnProfile]) -> pa.Table:
    """Return the columns as a table; the number of rows and the format stand in its metadata."""
    listed = [{"name": name, **_row(item)} for name, item in columns.items()]
    scalars = json.dumps({"format": FORMAT, "rows": rows}).encode()
    return pa.Table.from_pylist(listed, schema=_SCHEMA.with_metadata({_KEY: scalars}))


def _row(item: ColumnProfile) -> dict[str, Any]:
    if isinstance(item, CategoricalColumn):
        return {"kind": "category", "categories": item.categories, "counts": item.counts,
                "missing": item.missing, "unseen": item.unseen}  # fmt: skip
    moments = item.moments
    return {
        "kind": item.edges.dtype.str[1:],
        "edges": item.edges.astype(item.edges.dtype.newbyteorder("<")).tobytes(),
        "counts": item.counts,
        "missing": item.missing,
        "nan": item.nan,
        "infinite": item.infinite,
        "zeros": item.zeros,
        "negatives": item.negatives,
        "moments": None if moments is None else [moments.n, moments.mean, moments.m2, moments.m3, moments.m4],
        "low": item.low,
        "high": item.high,
    }


def from_arrow(table: pa.Table) -> tuple[int, dict[str, ColumnProfile]]:
    """Return the rows and columns that `to_arrow` wrote.

    Raises:
        ProfileMismatch: the table is not a profile, is of an unknown format, or contradicts itself.
    """
    text = (table.schema.metadata or {}).get(_KEY)
    if text is None or not table.schema.equals(_SCHEMA):
        raise ProfileMismatch("this Arrow table holds no profile")
    scalars = json.loads(text)
    if scalars.get("format") != FORMAT:
        raise ProfileMismatch(f"profile of format {scalars.get('format')}; this version reads {FORMAT}")
    columns = {row["name"]: _column(row) for row in table.to_pylist()}
    rows = int(scalars["rows"])
    for name, item in columns.items():
        if item.rows > rows:  # a column may come with some of the rows only
            raise ProfileMismatch(f"profile: column '{name}' counts {item.rows} rows of {rows}")
    return rows, columns


def _column(row: Mapping[str, Any]) -> ColumnProfile:
    counts = np.array(row["counts"], np.int64)
    if row["kind"] == "category":
        if len(counts) != len(row["categories"]):
            raise ProfileMismatch(f"profile: column '{row['name']}' has {len(counts)} counts for its categories")
        return CategoricalColumn(tuple(row["categories"]), counts, row["unseen"], row["missing"])
    if row["kind"] not in ("f4", "f8", "i4", "i8") or len(row["edges"]) % int(row["kind"][1]):
        raise ProfileMismatch(f"profile: column '{row['name']}' has edges of unknown type")
    edges = np.frombuffer(row["edges"], "<" + row["kind"]).astype(row["kind"])
    if len(counts) != len(edges) + 1:
        raise ProfileMismatch(f"profile: column '{row['name']}' has {len(counts)} counts for {len(edges)} edges")
    moments = row["moments"]
    return NumericColumn(
        edges,
        counts,
        row["missing"],
        row["nan"],
        None if row["infinite"] is None else (row["infinite"][0], row["infinite"][1]),
        row["zeros"],
        row["negatives"],
        None if moments is None else Moments(int(moments[0]), *moments[1:]),
        row["low"],
        row["high"],
    )
