"""Weighted sums of features on blocks of raw columns: no edges and no codes, a pass over each feature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from mlcore.data.tables import Column
from mlcore.errors import SchemaMismatch
from mlcore.models import LinearModel, NeuralNetwork, TreeEnsemble
from mlcore.models.leaves import LinearLeaves
from mlcore.preprocessing.features import Feature, evaluate_categories
from mlcore.preprocessing.steps import Indicator, Lookup, takes_categories
from mlcore.scoring.fold import Source
from mlcore.scoring.inputs import Block, missing_error, valid_rows
from mlcore.scoring.line import Array

_ROWS: Final = 4096  # at a time: a feature's values and products stay in the L1 cache


Features = tuple[Feature, ...]
Sources = tuple[Source, ...]


def add_margins(model: LinearModel, features: Features, sources: Sources, block: Block, out: Array) -> None:
    """Add `bias` and each feature's part, in the features' order, to the margins (rows, outputs) of a block."""
    out += model.bias
    for _, rows, k, part, present in _parts(model, features, sources, block):
        np.add(out[rows, k], part, out=out[rows, k], where=present)


def add_contributions(model: LinearModel, features: Features, sources: Sources, block: Block, out: Array) -> None:
    """Add each feature's part to out, (rows, outputs, features + 1), and last `bias`."""
    out[:, :, -1] += model.bias
    for feature, rows, k, part, present in _parts(model, features, sources, block):
        np.add(out[rows, k, feature], part, out=out[rows, k, feature], where=present)


def _parts(
    model: LinearModel, features: Features, sources: Sources, block: Block
) -> Iterator[tuple[int, slice, int, Array, Array]]:
    """Yield feature, rows, output, the feature's value times its weight, and where it is not missing."""
    for rows, values in feature_values(model, features, sources, block):
        for feature, (value, weights) in enumerate(zip(values, model.weights, strict=True)):
            present = ~np.isnan(value)
            for k, weight in enumerate(weights):
                yield feature, rows, k, value * weight, present


def feature_values(
    model: LinearModel | NeuralNetwork, features: Features, sources: Sources, block: Block
) -> Iterator[tuple[slice, Iterator[Array]]]:
    """Yield spans of a block's rows, each with the values of its features, one after another.

    Raises:
        DataError: a feature is missing and the model does not accept that.
    """
    items = _items(features, block)
    tables = [_table(item, source) for item, source in zip(items, sources, strict=True)]

    def value(i: int, rows: slice) -> Array:
        found = _values(items[i], sources[i], tables[i], rows)
        if not model.accepts_missing and np.isnan(found).any():
            raise missing_error(items[i].name)
        return found

    for first in range(0, block.rows, _ROWS):
        rows = slice(first, min(first + _ROWS, block.rows))
        yield rows, (value(i, rows) for i in range(len(items)))


def add_leaves(
    model: TreeEnsemble,
    features: Features,
    sources: Sources,
    block: Block,
    nodes: Array,
    out: Array,
) -> None:
    """Add to the margins (rows, outputs), in tree order, what linear leaves say of rows at `nodes` (rows, trees)."""
    leaves = model.linear_leaves
    assert leaves is not None
    asked = np.unique(leaves.feature)
    values = np.empty((block.rows, len(asked)))
    items = _items(features, block)
    for k, feature in enumerate(asked.tolist()):
        item, source = items[feature], sources[feature]
        value = _values(item, source, _table(item, source), slice(0, block.rows))
        values[:, k] = np.where(np.abs(value) <= leaves.zero, 0, value)
    place = np.searchsorted(asked, leaves.feature)
    with np.errstate(invalid="ignore", over="ignore"):  # as the library, which has ±inf for an ordinary value
        for tree, output in enumerate(model.tree_output.tolist()):
            out[:, output] += _leaf_sums(leaves, model.value[:, 0], place, values, nodes[:, tree])


def _leaf_sums(leaves: LinearLeaves, plain: Array, place: Array, values: Array, node: Array) -> Array:
    """What one tree says of rows at these nodes: each leaf's first term, then each one's second, …"""
    start, count = leaves.start[node], leaves.start[node + 1] - leaves.start[node]
    total, missing = leaves.constant[node], np.zeros(len(node), bool)
    for k in range(int(count.max(initial=0))):
        rows = np.flatnonzero(count > k)
        term = start[rows] + k
        value = values[rows, place[term]]
        total[rows] += leaves.coefficient[term] * value
        missing[rows] |= np.isnan(value)
    return np.where(missing, plain[node], total)


def _items(features: Features, block: Block) -> list[Column]:
    """The raw column of each feature."""
    by_name = {item.name: item for item in block.columns}
    return [by_name[feature.column] for feature in features]


def _table(item: Column, source: Source) -> Array | None:
    """What each entry of a string column's dictionary becomes, and last what a missing value does."""
    if source.stored_categories is not None and item.dictionary is not None:
        position: dict[Any, float] = {name: float(i) for i, name in enumerate(source.stored_categories)}
        return np.array([*(position.get(name, np.nan) for name in item.dictionary.to_pylist()), np.nan])
    if item.dictionary is None:
        if takes_categories(source.steps):
            raise SchemaMismatch(f"column '{item.name}': the model expects categories, found numbers")
        return None
    if not source.steps or not isinstance(source.steps[0], Lookup | Indicator):
        raise SchemaMismatch(f"column '{item.name}': the model expects numbers, found categories")
    names = item.dictionary.cast(pa.string()).to_pylist()
    known, _, missing = evaluate_categories(source.steps, names, source.dtypes[0])
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
