"""Dense layers: Gemm, MatMul and Add with constants, and the activations between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models.ensemble import Array
from mlcore.models.neural import Activation
from mlcore.models.onnx_graph import MOST_VALUES, Node
from mlcore.models.onnx_scale import arithmetic
from mlcore.models.onnx_values import Columns, Constant, Layers, Value, refuse

_MOST_LAYERS: Final = 1000  # one constant may be the weights of them all
_ACTIVATIONS: Final[dict[str, Activation]] = {"Relu": "relu", "Sigmoid": "logistic", "Tanh": "tanh"}


def matmul(node: Node, x: Value, weights: Value) -> tuple[Value, ...]:
    """MatMul with a constant."""
    node.only()
    return (_weighted(node, x, _matrix(node, weights), None),)


def gemm(node: Node, x: Value, weights: Value, *bias: Value) -> tuple[Value, ...]:
    """Gemm with constants."""
    node.only("alpha", "beta", "transA", "transB")
    if (node.attributes.get("alpha", 1), node.attributes.get("beta", 1), node.number("transA", 0)) != (1, 1, 0):
        raise UnsupportedModel(f"{node}: alpha, beta or transA is not imported")
    matrix = _matrix(node, weights)
    matrix = matrix.T if node.number("transB", 0) else matrix
    return (_weighted(node, x, matrix, _bias(node, bias[0], matrix.shape[1]) if bias else None),)


def add(node: Node, x: Value, y: Value) -> tuple[Value, ...]:
    """Add of a layer's biases, or to columns."""
    node.only()
    layers, bias = (y, x) if isinstance(x, Constant) else (x, y)
    if isinstance(layers, Columns):
        return arithmetic(node, layers, "+", bias)
    if not isinstance(layers, Layers) or layers.biases[-1] is not None or _activated(layers):
        raise refuse(node, layers)
    own = _bias(node, bias, layers.weights[-1].shape[1])
    return (replace(layers, biases=(*layers.biases[:-1], own)),)


def activation(node: Node, value: Value) -> tuple[Value, ...]:
    """Relu, Sigmoid or Tanh of a layer."""
    node.only()
    if not isinstance(value, Layers) or _activated(value):
        raise refuse(node, value)
    return (replace(value, activations=(*value.activations, _ACTIVATIONS[node.op])),)


def _activated(layers: Layers) -> bool:
    return len(layers.activations) == len(layers.weights)


def _weighted(node: Node, x: Value, weights: Array, bias: Array | None) -> Layers:
    if isinstance(x, Columns):
        x = Layers(x, (), (), ())
    if not isinstance(x, Layers):
        raise refuse(node, x)
    width = x.weights[-1].shape[1] if x.weights else len(x.columns.names)
    if len(weights) != width:
        raise ModelFormatError(f"{node}: {len(weights)} rows of weights for {width} values")
    if len(x.weights) == _MOST_LAYERS or sum(layer.size for layer in x.weights) + weights.size > MOST_VALUES:
        raise UnsupportedModel(f"{node}: more than {_MOST_LAYERS} layers, or {MOST_VALUES} weights, are not imported")
    done: tuple[Activation, ...] = x.activations if _activated(x) else (*x.activations, "identity")
    return Layers(x.columns, (*x.weights, weights), (*x.biases, bias), done)


def _matrix(node: Node, weights: Value) -> Array:
    if not isinstance(weights, Constant):
        raise refuse(node, weights)
    if weights.values.ndim != 2 or weights.values.dtype not in (np.float32, np.float64) or not weights.values.size:
        raise UnsupportedModel(
            f"{node}: weights of shape {weights.values.shape} and type {weights.values.dtype} are not imported"
        )
    return weights.values


def _bias(node: Node, bias: Value, width: int) -> Array:
    if not isinstance(bias, Constant) or bias.values.dtype.kind != "f":
        raise refuse(node, bias)
    row = (
        bias.values.reshape(bias.values.shape[-1:]) if bias.values.ndim < 2 or bias.values.shape[:-1] == (1,) else None
    )
    if row is None or row.size not in (1, width):
        raise ModelFormatError(f"{node}: biases of shape {bias.values.shape} for {width} outputs")
    return np.broadcast_to(row.reshape(-1), width)


LAYERS: Final[dict[str, Any]] = {
    "Add": add,
    "Gemm": gemm,
    "MatMul": matmul,
    "Relu": activation,
    "Sigmoid": activation,
    "Tanh": activation,
}
