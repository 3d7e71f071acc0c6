"""Validation: data against its schema, in one pass; each finding names the column, the check and the count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlcore.data.schema import Field, Schema
from mlcore.data.types import is_text, same_meaning, type_named
from mlcore.errors import ValidationFailed


@dataclass(frozen=True)
class Finding:
    """A check that a column failed: in `count` of `rows` rows."""

    column: str
    check: str
    count: int
    rows: int
    detail: str

    def __str__(self) -> str:
        return f"column '{self.column}': {self.check} in {self.count:,} of {self.rows:,} rows ({self.detail})"


@dataclass
class _Counts:
    rows: int = 0
    missing: int = 0
    below: int = 0
    above: int = 0
    unseen: int = 0
    retyped: int = 0
    found: str = ""


def validate(batches: Iterable[pa.RecordBatch], schema: Schema, *, where: str = "data") -> tuple[Finding, ...]:
    """Return what is wrong, in the schema's order; () when all holds.

    Checked: a column that is missing or has another type, values outside [minimum, maximum] (±inf is;
    NaN counts as missing), a share of missing or of unseen categories above the declared one, and no rows at all.
    """
    checked = [field for field in schema.fields if field.role != "ignore"]
    counts = {field.name: _Counts() for field in checked}
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        for field in checked:
            _count(batch, field, counts[field.name])
    if rows == 0:
        return (Finding("*", f"no rows in {where}", 0, 0, "there is nothing to use"),)
    return tuple(finding for field in checked for finding in _findings(field, counts[field.name], rows))


def check(findings: Sequence[Finding]) -> None:
    """Raise ValidationFailed, a line a finding, when there are any."""
    if findings:
        raise ValidationFailed("data failed validation\n" + "\n".join(f"  {finding}" for finding in findings))


def _count(batch: pa.RecordBatch, field: Field, counts: _Counts) -> None:
    if field.name not in batch.schema.names:
        return
    values = batch.column(field.name)
    counts.rows += len(values)
    if not same_meaning(values.type, type_named(field.type)):
        counts.retyped += len(values)
        counts.found = str(values.type)
        return
    counts.missing += int(pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0)
    if is_text(values.type):
        if field.categories is not None:
            counts.unseen += _unseen(values, field.categories)
        return
    for limit, compare, name in ((field.minimum, pc.less, "below"), (field.maximum, pc.greater, "above")):
        if limit is not None:
            outside = pc.sum(compare(values.cast(pa.float64(), safe=False), float(limit))).as_py() or 0
            setattr(counts, name, getattr(counts, name) + int(outside))


def _unseen(values: pa.Array, categories: tuple[str, ...]) -> int:
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    known = pc.is_in(encoded.dictionary, value_set=pa.array(categories, encoded.dictionary.type))
    per_entry = np.bincount(encoded.indices.drop_null().to_numpy(), minlength=len(encoded.dictionary))
    return int(per_entry[~known.to_numpy(zero_copy_only=False)].sum())


def _findings(field: Field, counts: _Counts, rows: int) -> list[Finding]:
    name = field.name
    if counts.rows < rows:
        return [Finding(name, "missing column", rows - counts.rows, rows, "the schema expects it")]
    if counts.retyped:
        return [Finding(name, "type changed", counts.retyped, rows, f"expected {field.type}, found {counts.found}")]
    found = []
    if counts.below:
        found.append(Finding(name, "below minimum", counts.below, rows, f"minimum {field.minimum}"))
    if counts.above:
        found.append(Finding(name, "above maximum", counts.above, rows, f"maximum {field.maximum}"))
    for count, allowed, what in (
        (counts.missing, field.max_missing, "missing values"),
        (counts.unseen, field.max_unseen, "unseen categories"),
    ):
        if allowed is not None and count > allowed * rows:
            found.append(Finding(name, what, count, rows, f"{count / rows:.2%}, at most {allowed:.2%} allowed"))
    return found
