"""Dense networks on blocks of raw columns: a few thousand rows at a time go through all layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from mlcore.models import NeuralNetwork
from mlcore.scoring.inputs import Block
from mlcore.scoring.line import Array
from mlcore.scoring.linear import Features, Sources, feature_values


def _logistic(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-x)))


_ACTIVATIONS: Final[Mapping[str, Callable[[Array], Array]]] = {
    "identity": lambda x: x,
    "logistic": _logistic,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
}


def add_margins(model: NeuralNetwork, features: Features, sources: Sources, block: Block, out: Array) -> None:
    """Add the last layer's values to the margins (rows, outputs) of a block."""
    activate = _ACTIVATIONS[model.activation]
    for rows, values in feature_values(model, features, sources, block):
        x = np.stack(list(values), axis=1)
        for i, (weights, biases) in enumerate(zip(model.weights, model.biases, strict=True)):
            x = _weighted(activate(x) if i else x, weights) + biases
        out[rows] += x


def _weighted(x: Array, weights: Array) -> Array:
    """x @ weights, summed in the order of the inputs: BLAS would give other last bits for other numbers of rows."""
    total = np.zeros((len(x), weights.shape[1]))
    for value, weight in zip(x.T, weights, strict=True):
        total += value[:, None] * weight
    return total
