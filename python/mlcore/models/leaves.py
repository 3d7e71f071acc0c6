"""LinearLeaves: what a row gets in trees whose leaves hold weighted sums instead of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mlcore.errors import ModelFormatError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class LinearLeaves:
    """Weighted sums in the leaves of a TreeEnsemble, aligned to its nodes.

    A row that reaches a leaf gets `constant` plus `coefficient * value` of the leaf's terms, added in their order, in
    `value`'s type; or the leaf's plain `value`, when one of the terms' features is missing. The terms of node n are
    those from `start[n]` up to `start[n + 1]`. A feature value whose magnitude is at most `zero` counts as 0.
    """

    constant: Array  # float64 (nodes)
    start: Array  # int64 (nodes + 1)
    feature: Array  # int32 (terms)
    coefficient: Array  # float64 (terms)
    zero: float

    def check(self, n_nodes: int, n_features: int) -> None:
        """Raise ModelFormatError unless there is a sum for each of the nodes, of features that there are."""
        start, terms = self.start, len(self.feature)
        if len(self.constant) != n_nodes or len(start) != n_nodes + 1 or len(self.coefficient) != terms:
            raise ModelFormatError(f"linear leaves: arrays do not fit {n_nodes} nodes, or each other")
        if start[0] != 0 or start[-1] != terms or np.any(np.diff(start) < 0):
            raise ModelFormatError("linear leaves: the terms' bounds are malformed")
        if np.any((self.feature < 0) | (self.feature >= n_features)):
            raise ModelFormatError("linear leaves: a term asks for a feature that the model does not have")

    def nodes(self, low: int, high: int) -> LinearLeaves:
        """Return the sums of the nodes [low, high) alone."""
        terms = slice(self.start[low], self.start[high])
        return LinearLeaves(
            constant=self.constant[low:high],
            start=self.start[low : high + 1] - self.start[low],
            feature=self.feature[terms],
            coefficient=self.coefficient[terms],
            zero=self.zero,
        )

    def columns(self) -> dict[str, pa.Array]:
        """Return the Arrow columns, one row a node."""
        offsets = pa.array(self.start.astype(np.int32))
        return {
            "leaf_constant": pa.array(self.constant),
            "leaf_features": pa.ListArray.from_arrays(offsets, pa.array(self.feature)),
            "leaf_coefficients": pa.ListArray.from_arrays(offsets, pa.array(self.coefficient)),
        }

    @staticmethod
    def from_columns(table: pa.Table, zero: float) -> LinearLeaves:
        """Return the leaves that `columns` wrote."""
        features, coefficients = (table[name].combine_chunks() for name in ("leaf_features", "leaf_coefficients"))
        counts = features.value_lengths().to_numpy(zero_copy_only=False)
        if not np.array_equal(counts, coefficients.value_lengths().to_numpy(zero_copy_only=False)):
            raise ModelFormatError("a leaf's features and coefficients differ in number")
        return LinearLeaves(
            constant=table["leaf_constant"].combine_chunks().to_numpy(),
            start=np.append(0, np.cumsum(counts, dtype=np.int64)),
            feature=features.flatten().to_numpy(),
            coefficient=coefficients.flatten().to_numpy(),
            zero=zero,
        )
