"""Imported: a model in neutral form with what its source's `predict` makes of its scores."""

from __future__ import annotations

from dataclasses import dataclass

from mlcore.models.ensemble import Array, TreeEnsemble
from mlcore.models.linear import LinearModel
from mlcore.models.neural import NeuralNetwork

Model = TreeEnsemble | LinearModel | NeuralNetwork


@dataclass(frozen=True, eq=False)
class Imported:
    """A model, and what its source's `predict` makes of its scores.

    `classes` are the labels of a classifier, None of a regressor. With one score a row, the second class is predicted
    from `cutoff` on; with several, the class of the highest. `flat` unless a single output keeps an axis of its own.
    """

    model: Model
    classes: Array | None = None
    cutoff: float = 0.0
    flat: bool = True
