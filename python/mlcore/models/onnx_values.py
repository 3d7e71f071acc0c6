"""What a value of an ONNX graph is to an importer: columns, a constant, scores, probabilities, a class's number, labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.models.ensemble import Array, Link
from mlcore.models.imported import Model
from mlcore.models.linear import LinearModel
from mlcore.models.neural import Activation, NeuralNetwork
from mlcore.models.onnx_graph import Node

Step = tuple[str, Array]  # a sign of + - * / and a number a column
ABOVE_ZERO: Final = float(np.nextafter(np.float32(0), np.float32(1)))


@dataclass(frozen=True, eq=False)
class Columns:
    """The graph's input, or several of one column each, in order, after steps in their own type."""

    names: tuple[str, ...]
    named: bool
    kind: str
    steps: tuple[Step, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that trees and sums have over them."""
        return np.dtype(np.float64 if self.kind == "double" else np.float32)

    def described(self) -> dict[str, object]:
        """Return what a neutral form says of its features."""
        return {
            "source": "onnx",
            "feature_names": self.names,
            "named": self.named,
        }


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers or strings of the file's own."""

    values: Array


@dataclass(frozen=True, eq=False)
class Scores:
    """A model's margins through `link`; `make` gives the model, with the link that it turns out to have.

    Of two classes with one score the second begins at `cutoff`; at 0 they tie, and the first is the label.
    """

    make: Callable[[Link], Model]
    outputs: int
    link: Link = "identity"
    flat: bool = False
    cutoff: float = ABOVE_ZERO
    classes: Array | None = None


@dataclass(frozen=True, eq=False)
class Layers:
    """Weighted sums over columns, and over one another; after the last either its activation or nothing."""

    columns: Columns
    weights: tuple[Array, ...]
    biases: tuple[Array | None, ...]
    activations: tuple[Activation, ...]

    @cached_property
    def scores(self) -> Scores:
        """The last layer's values as scores: raw, or through a sigmoid.

        Raises:
            UnsupportedModel: no neutral form says these layers.
        """
        inner, last = self.activations[: len(self.weights) - 1], self.activations[len(self.weights) - 1 :]
        if last not in ((), ("identity",), ("logistic",)) or len(set(inner)) > 1:
            raise UnsupportedModel(f"a network of activations {', '.join(self.activations)} is not imported")
        make = self._network if inner else self._sums
        return Scores(make, self.weights[-1].shape[1], "sigmoid" if last == ("logistic",) else "identity")

    def _bias(self, layer: int) -> Array:
        bias = self.biases[layer]
        return np.zeros(self.weights[layer].shape[1], self.weights[layer].dtype) if bias is None else bias

    def _network(self, link: Link) -> NeuralNetwork:
        described: dict[str, Any] = self.columns.described()
        check_finite("NeuralNetwork", *self.weights, *self.biases)
        first, bias = as_sums(self.columns.steps, self.weights[0], self._bias(0))
        rest = [self._bias(i) for i in range(1, len(self.weights))]
        return NeuralNetwork(
            **described,
            objective="NeuralNetwork",
            link=link,
            activation=self.activations[0],
            weights=tuple(np.ascontiguousarray(layer, np.float64) for layer in (first, *self.weights[1:])),
            biases=tuple(np.ascontiguousarray(bias, np.float64) for bias in (bias, *rest)),
        )

    def _sums(self, link: Link) -> LinearModel:
        dtype = self.columns.dtype
        weights, bias = self.weights[0].astype(dtype), self._bias(0).astype(dtype)
        return linear_model(self.columns, "MatMul", link, np.ascontiguousarray(weights), bias)


def check_finite(what: str, *arrays: Array | None) -> None:
    """Raise UnsupportedModel where a weight or bias is infinite or NaN: which label wins is then anybody's guess."""
    if not all(np.all(np.isfinite(array)) for array in arrays if array is not None):
        raise UnsupportedModel(f"{what}: a weight or bias is not finite")


def as_sums(steps: tuple[Step, ...], weights: Array, bias: Array) -> tuple[Array, Array]:
    """Return weights (columns, outputs) and biases over raw columns, float64 where there are steps."""
    if not steps:
        return weights, bias
    factor, shift = np.ones(len(weights)), np.zeros(len(weights))
    for sign, row in steps:
        by = row.astype(np.float64)
        if sign in "+-":
            shift = shift + (by if sign == "+" else -by)
        else:
            by = by if sign == "*" else 1 / by
            factor, shift = factor * by, shift * by
    wide = weights.astype(np.float64)
    return wide * factor[:, None], bias.astype(np.float64) + shift @ wide


def linear_model(columns: Columns, objective: str, link: Link, weights: Array, bias: Array) -> LinearModel:
    """Return weighted sums of the columns, weights (columns, outputs)."""
    check_finite(objective, weights, bias)
    described: dict[str, Any] = columns.described()
    weights, bias = as_sums(columns.steps, weights, bias)
    return LinearModel(
        **described,
        objective=objective,
        link=link,
        base_margin=(0.0,) * len(bias),
        stored_categories=(None,) * len(columns.names),
        weights=np.ascontiguousarray(weights),
        bias=bias,
        accepts_missing=False,
    )


@dataclass(frozen=True, eq=False)
class _Derived:
    of: Scores


class Negative(_Derived):
    """One less a probability."""


class Both(_Derived):
    """The probabilities of two classes, of which the scores are the second's."""


class Index(_Derived):
    """The number of the class whose score is highest."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels that a classifier gives."""

    classes: Array
    of: Scores


@dataclass(frozen=True, eq=False)
class Maps:
    """Probabilities as dictionaries, by label."""

    classes: Array
    of: Scores | Both


Value = Columns | Constant | Layers | Scores | Negative | Both | Index | Labels | Maps


def refuse(node: Node, value: object) -> UnsupportedModel:
    """Return the error of a node that does to a value what no neutral form says."""
    return UnsupportedModel(f"{node}: {node.op} of {_TOLD.get(type(value), 'this')} is not imported")


_TOLD = {
    Columns: "the input's columns",
    Constant: "a constant",
    Layers: "a layer's values",
    Scores: "the model's scores",
    Negative: "a probability",
    Both: "probabilities",
    Index: "a class's number",
    Labels: "labels",
    Maps: "dictionaries",
}


def scores_of(value: Value, what: object) -> Scores:
    """Return scores, as they are or as a network's last layer gives them; `what` asks for them."""
    if isinstance(value, Scores):
        return value
    if isinstance(value, Layers):
        return value.scores
    raise UnsupportedModel(f"{what}: {_TOLD.get(type(value), 'this')} instead of scores")
