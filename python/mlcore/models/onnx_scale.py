"""Scaled columns: what converters write of scalers, as raw thresholds of trees or as other weights of sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.models.ensemble import Array, TreeEnsemble
from mlcore.models.onnx_graph import Node
from mlcore.models.onnx_values import Columns, Constant, Step, Value, refuse

_BITS: Final[dict[int, Any]] = {4: np.int32, 8: np.int64}
_MOST_STEPS: Final = 64  # a scaler is two; each is taken for every threshold


def scaler(node: Node, value: Value) -> tuple[Value, ...]:
    """Scaler: (x - offset) * scale, each in float32."""
    node.only("offset", "scale")
    if not isinstance(value, Columns):
        raise refuse(node, value)
    if value.kind == "double":
        raise UnsupportedModel(f"{node}: a Scaler of double columns, which it rounds to float32, is not imported")
    offset = _row(node, value, node.floats("offset"))
    scaled = stepped(node, value, "-", offset)
    return (replace(stepped(node, scaled, "*", _row(node, value, node.floats("scale"))), kind="float"),)


def arithmetic(node: Node, columns: Columns, sign: str, constant: Value) -> tuple[Value, ...]:
    """Add, Sub, Mul or Div of columns by constants, in the columns' type."""
    node.only()
    if not isinstance(constant, Constant) or constant.values.dtype != columns.dtype or columns.kind.startswith("int"):
        raise refuse(node, columns)
    values = constant.values
    if values.ndim > 2 or (values.ndim == 2 and len(values) != 1):
        raise refuse(node, columns)
    return (stepped(node, columns, sign, _row(node, columns, values.reshape(-1))),)


def stepped(node: Node, columns: Columns, sign: str, row: Array) -> Columns:
    """Return the columns after one more step; it must be finite, and not turn them round."""
    if not np.all(np.isfinite(row)) or (sign in "*/" and np.any(row <= 0)):
        raise UnsupportedModel(f"{node}: a column is scaled by what is not a positive number, or shifted by infinity")
    if len(columns.steps) == _MOST_STEPS:
        raise UnsupportedModel(f"{node}: columns after more than {_MOST_STEPS} steps are not imported")
    return replace(columns, steps=(*columns.steps, (sign, row)))


def _row(node: Node, columns: Columns, values: Array) -> Array:
    if values.size not in (1, len(columns.names)):
        raise UnsupportedModel(f"{node}: {values.size} numbers for {len(columns.names)} columns")
    return np.broadcast_to(values.reshape(-1).astype(columns.dtype), len(columns.names))


def through(steps: tuple[Step, ...], x: Array, feature: Array) -> Array:
    """Return what the steps make of values of these features, rounded after each."""
    for sign, row in steps:
        by = row[feature]
        with np.errstate(over="ignore", under="ignore"):
            x = x + by if sign == "+" else x - by if sign == "-" else x * by if sign == "*" else x / by
    return x


def unscaled(model: TreeEnsemble, steps: tuple[Step, ...]) -> TreeEnsemble:
    """Return the trees over raw columns: each threshold as the lowest value that the steps bring up to it.

    Each step, its rounding included, never makes a smaller value of a larger one, so that this says all of it.
    """
    of_set = np.zeros(len(model.bound_start) - 1, np.int64)
    asks = model.interval_set >= 0
    of_set[model.interval_set[asks]] = model.feature[asks]
    of_bound = np.repeat(of_set, np.diff(model.bound_start))
    bounds = _lowest(steps, model.bounds, of_bound)
    sets = [_odd(bounds[low:high]) for low, high in zip(model.bound_start[:-1], model.bound_start[1:], strict=True)]
    return replace(
        model,
        threshold=_lowest(steps, model.threshold, np.maximum(model.feature, 0)),
        bound_start=np.cumsum([0, *map(len, sets)], dtype=np.int64),
        bounds=np.concatenate([np.zeros(0, bounds.dtype), *sets]),
    )


def _odd(bounds: Array) -> Array:
    """The bounds that stand an odd number of times: others part nothing."""
    known, count = np.unique(bounds, return_counts=True)
    return np.asarray(known[count % 2 == 1])


def _lowest(steps: tuple[Step, ...], wanted: Array, feature: Array) -> Array:
    """The lowest value of each feature that the steps make `wanted` or more of, by halving the line of floats."""
    top = np.array(np.inf, wanted.dtype).view(_BITS[wanted.itemsize]).astype(np.int64)
    low, high = np.full(len(wanted), -top), np.full(len(wanted), top)
    for _ in range(8 * wanted.itemsize):
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        enough = through(steps, _value(middle, wanted.dtype), feature) >= wanted
        low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
    return _value(high, wanted.dtype)


def _value(key: Array, dtype: Any) -> Array:
    magnitude = np.abs(key).astype(_BITS[np.dtype(dtype).itemsize]).view(dtype)
    return np.asarray(np.where(key < 0, -magnitude, magnitude))
