"""ExplainerArrays: a forest and what the attribution of its margins to features needs besides."""

from __future__ import annotations

from dataclasses import dataclass

from mlcore.ops.forest import Array, ForestArrays


@dataclass(frozen=True, eq=False)
class ExplainerArrays:
    """A forest of N nodes with one value a leaf, and what of each node scoring does not need.

    `node_cover` is the weight of the training rows that passed a node, above 0 at a node that splits. `node_feature` is the
    feature that such a node asks about: several features may come from one coded column.
    """

    forest: ForestArrays
    node_feature: Array  # int32 (N); not looked at in leaves
    node_cover: Array  # float64 (N)
    n_features: int
