"""Streamed fitting: transforms from batches, read as often as the longest chain of statistics needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mlcore.data.tables import column
from mlcore.errors import DataError
from mlcore.preprocessing.chain import FOLDS, Chain, Statistic, close, observe, settle
from mlcore.preprocessing.features import Feature, Transforms
from mlcore.preprocessing.specs import FeatureSpec
from mlcore.preprocessing.steps import Array, Step

Batches = Callable[[], Iterable[pa.RecordBatch]]
Labels = Callable[[pa.RecordBatch], Array]


@dataclass(frozen=True)
class FittedTransforms:
    """Transforms for scoring, and what differs from them on the rows they were fitted on.

    `crossed` holds, for each of five folds, the target-encoded features as fitted on the other four; row i of
    training is in fold i % 5. It is empty where nothing is target-encoded.
    """

    transforms: Transforms
    crossed: tuple[Transforms, ...] = ()

    def apply_training(self, batch: pa.RecordBatch, *, first_row: int) -> Array:
        """Return `transforms.apply(batch)` with target encodings that have not seen their own row's label.

        `first_row` counts the training rows before this batch.
        """
        out = self.transforms.apply(batch)
        if self.crossed:
            names = self.transforms.names
            places = [names.index(name) for name in self.crossed[0].names]
            for k, transforms in enumerate(self.crossed):
                start = (k - first_row) % FOLDS
                out[start::FOLDS, places] = transforms.apply(batch)[start::FOLDS]
        return out


def fit_transforms(batches: Batches, specs: Sequence[FeatureSpec], *, label: Labels | None = None) -> FittedTransforms:
    """Return the specs fitted on all rows of `batches()`, which is called once a pass and must repeat itself.

    `label` gives each row's target, float64 without NaN; only target encoding needs it. Values that are missing
    stay so unless a step fills them; a category that training has not seen is unknown.

    Raises:
        DataError: there are no rows, or a column has nothing that its statistics could come from.
        SchemaMismatch: a column is absent or holds another kind of values than its steps need.

    """
    chains = [settle(chain) for chain in _start(batches, specs)]
    while any(chain.waiting for chain in chains):
        found = _observe_all(batches, chains, label)
        chains = [
            chain if statistic is None else settle(close(chain, statistic))
            for chain, statistic in zip(chains, found, strict=True)
        ]
    return _assemble(chains)


def _start(batches: Batches, specs: Sequence[FeatureSpec]) -> list[Chain]:
    first = next((batch for batch in batches() if batch.num_rows), None)
    if first is None:
        raise DataError("there are no rows to fit the features on")
    return [
        Chain(name, spec.steps, strings=column(first, name).dictionary is not None)
        for spec in specs
        for name in spec.columns
    ]


def _observe_all(batches: Batches, chains: Sequence[Chain], label: Labels | None) -> list[Statistic | None]:
    found: list[Statistic | None] = [None] * len(chains)
    row = 0
    for batch in batches():
        target = None if label is None else label(batch)
        fold = (row + np.arange(batch.num_rows)) % FOLDS
        decoded = {chain.column: column(batch, chain.column) for chain in chains if chain.waiting}
        for i, chain in enumerate(chains):
            if chain.waiting:
                found[i] = _merge(found[i], observe(chain, decoded[chain.column], target, fold))
        row += batch.num_rows
    return found


def _merge(before: Statistic | None, new: Statistic) -> Statistic:
    if before is None:
        return new
    return before.merge(new)  # type: ignore[arg-type]  # a chain's statistics are all of one kind


def _assemble(chains: Sequence[Chain]) -> FittedTransforms:
    features: list[Feature] = []
    crossed: list[list[Feature]] = [[] for _ in range(FOLDS)]
    taken: set[str] = set()
    for chain in chains:
        for suffix, steps in chain.outputs:
            name = _unused(chain.column + suffix, steps, taken)
            features.append(Feature(name, chain.column, steps))
            for k, variant in enumerate(chain.by_fold):
                crossed[k].append(Feature(name, chain.column, variant))
    folds = tuple(Transforms(tuple(mine)) for mine in crossed) if crossed[0] else ()
    return FittedTransforms(Transforms(tuple(features)), folds)


def _unused(name: str, steps: Sequence[Step], taken: set[str]) -> str:
    """A column may have several features: the later ones add the last step's name, then a number."""
    candidates = [name, f"{name}_{type(steps[-1]).__name__.lower()}" if steps else f"{name}_raw"]
    candidates += [f"{candidates[1]}_{i}" for i in range(2, len(taken) + 3)]
    found = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(found)
    return found
