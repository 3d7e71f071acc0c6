"""Linear models on blocks of raw columns: no edges and no codes, a pass over each feature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from mlcore.data.tables import Column
from mlcore.errors import SchemaMismatch
from mlcore.models import LinearModel, NeuralNetwork
from mlcore.preprocessing.features import Feature, evaluate_categories
from mlcore.preprocessing.steps import takes_categories
from mlcore.scoring.fold import Source
from mlcore.scoring.inputs import Block, missing_error, valid_rows
from mlcore.scoring.line import Array
from mlcore.scoring.plan import float_types

_ROWS: Final = 4096  # at a time: a feature's values and products stay in the L1 cache


def add_margins(
    model: LinearModel, features: tuple[Feature, ...], block: Block, out: Array, *, wide: bool = False
) -> None:
    """Add `bias` and each feature's part, in the features' order, to the margins (rows, outputs) of a block."""
    out += model.bias
    for rows, values in pieces(model, features, block, wide=wide):
        for value, weights in zip(values, model.weights, strict=True):
            present = ~np.isnan(value)
            for k, weight in enumerate(weights):
                np.add(out[rows, k], value * weight, out=out[rows, k], where=present)


def pieces(
    model: LinearModel | NeuralNetwork, features: tuple[Feature, ...], block: Block, *, wide: bool
) -> Iterator[tuple[slice, Iterator[Array]]]:
    """Yield spans of a block's rows, each with the values of its features, one after another.

    Raises:
        DataError: a feature is missing and the model does not accept that.
    """
    by_name = {item.name: item for item in block.columns}
    items = [by_name[feature.column] for feature in features]
    own = model.dtype.type
    sources = [Source(feature.steps, None, float_types(own, feature, wide=wide)) for feature in features]
    tables = [_table(item, source) for item, source in zip(items, sources, strict=True)]

    def value(i: int, rows: slice) -> Array:
        found = _values(items[i], sources[i], tables[i], rows)
        if not model.accepts_missing and np.isnan(found).any():
            raise missing_error(items[i].name)
        return found

    for first in range(0, block.rows, _ROWS):
        rows = slice(first, min(first + _ROWS, block.rows))
        yield rows, (value(i, rows) for i in range(len(items)))


def _table(item: Column, source: Source) -> Array | None:
    """What each entry of a string column's dictionary becomes, and last what a missing value does."""
    if item.dictionary is None:
        if takes_categories(source.steps):
            raise SchemaMismatch(f"column '{item.name}': the model expects categories, found numbers")
        return None
    if not takes_categories(source.steps):
        raise SchemaMismatch(f"column '{item.name}': the model expects numbers, found categories")
    known, _, missing = evaluate_categories(
        source.steps, item.dictionary.cast(pa.string()).to_pylist(), source.dtypes[0]
    )
    return np.append(known, missing).astype(source.dtypes[-1])


def _values(item: Column, source: Source, table: Array | None, rows: slice) -> Array:
    valid = valid_rows(item)[rows] if item.validity is not None else None
    raw = item.values[rows]
    if table is not None:
        return table[raw if valid is None else np.where(valid, raw, -1)]
    value = source.values(raw)
    if valid is not None:
        value[~valid] = source.values(np.array([np.nan]))[0]
    return value
