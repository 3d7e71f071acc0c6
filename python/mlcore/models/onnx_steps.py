"""The operators that converters put around a model, and the layers of a network, each by the values it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models.ensemble import Link, TreeEnsemble
from mlcore.models.imported import Model
from mlcore.models.onnx_graph import TYPES, Node
from mlcore.models.onnx_models import labels
from mlcore.models.onnx_scale import arithmetic, scaler
from mlcore.models.onnx_values import (
    Both,
    Columns,
    Constant,
    Index,
    Labels,
    Layers,
    Maps,
    Negative,
    Scores,
    Value,
    refuse,
    scores_of,
)

_LABEL_TYPES: Final = (6, 7)
_MOST_ITERATIONS: Final = 1 << 24  # float32 tells whole numbers apart up to here
_LINKS: Final[dict[str, Link]] = {"Exp": "exp", "Sigmoid": "sigmoid", "Softmax": "softmax"}


def identity(node: Node, value: Value) -> tuple[Value, ...]:
    """Identity."""
    node.only()
    return (value,)


def cast(node: Node, value: Value) -> tuple[Value, ...]:
    """Cast, where it changes no number that the model sees or gives."""
    node.only("to", "saturate", "round_mode")
    to = node.number("to", 0)
    stays = isinstance(value, Columns) and (to == 1 and (value.kind == "float" or not value.steps))
    if isinstance(value, Columns) and (stays or (to == 11 and value.kind != "float")):
        return (replace(value, kind=TYPES[to]),)
    if isinstance(value, Labels) and value.classes.dtype.kind == "i" and to in _LABEL_TYPES:
        return (replace(value, classes=value.classes.astype({6: np.int32, 7: np.int64}[to])),)
    if isinstance(value, Scores | Both | Layers | Negative) and to == 1:
        return (value,)
    raise UnsupportedModel(f"{node}: a cast to type {TYPES.get(to, to)} here is not imported")


def concat(node: Node, *values: Value) -> tuple[Value, ...]:
    """Concat of columns, or of both classes' probabilities."""
    node.only("axis")
    if node.number("axis", 0) not in (1, -1):
        raise UnsupportedModel(f"{node}: axis {node.number('axis', 0)} is not imported; 1 is")
    if len(values) == 2 and isinstance(values[0], Negative):
        second = scores_of(values[1], node)
        if second is values[0].of:
            return (Both(second),)
    columns = [value for value in values if isinstance(value, Columns)]
    if len(columns) != len(values):
        raise refuse(node, next(value for value in values if not isinstance(value, Columns)))
    if len({each.kind for each in columns}) != 1 or not all(each.named and not each.steps for each in columns):
        raise UnsupportedModel(f"{node}: only inputs of one column each, all of one type, are joined")
    names = tuple(name for each in columns for name in each.names)
    if len(set(names)) != len(names):  # each such node may double them
        raise UnsupportedModel(f"{node}: a column that stands twice among those joined is not imported")
    return (Columns(names, True, columns[0].kind),)


def reshape(node: Node, value: Value, shape: Value) -> tuple[Value, ...]:
    """Reshape to rows, or to rows of as many columns as there are."""
    node.only("allowzero")
    if not isinstance(shape, Constant):
        raise UnsupportedModel(f"{node}: a shape that depends on the rows is not imported")
    wanted = tuple(shape.values.reshape(-1).tolist())
    if isinstance(value, Labels) and wanted == (-1,):
        return (value,)
    scores = scores_of(value, node)
    if wanted == (-1, scores.outputs):
        return (replace(scores, flat=False),)
    if wanted == (-1,) and scores.outputs == 1:
        return (replace(scores, flat=True),)
    raise UnsupportedModel(f"{node}: the shape {list(wanted)} is not imported")


def flatten(node: Node, value: Value) -> tuple[Value, ...]:
    """Flatten of what is flat."""
    node.only("axis")
    if node.number("axis", 1) != 1 or not isinstance(value, Columns | Scores | Both) or getattr(value, "flat", False):
        raise refuse(node, value)
    return (value,)


def through_link(node: Node, value: Value) -> tuple[Value, ...]:
    """Sigmoid, Softmax or Exp of raw scores."""
    node.only("axis")
    scores = scores_of(value, node)
    if scores.link not in ("identity", "probability") or scores.flat or node.number("axis", -1) not in (1, -1):
        raise refuse(node, value)
    return (replace(scores, link=_LINKS[node.op]),)


def normalizer(node: Node, value: Value) -> tuple[Value, ...]:
    """Normalizer, L1: of sigmoids it gives shares, of what sums to 1 nothing new."""
    node.only("norm")
    if node.text("norm", "MAX") != "L1" or not isinstance(value, Scores) or value.outputs < 2:
        raise refuse(node, value)
    if value.link == "softmax":
        return (value,)
    if value.link != "sigmoid":
        raise refuse(node, value)
    return (replace(value, link="shares"),)


def subtract(node: Node, one: Value, value: Value) -> tuple[Value, ...]:
    """Sub: one less a probability, or a constant off columns."""
    node.only()
    if isinstance(one, Columns):
        return arithmetic(node, one, "-", value)
    scores = scores_of(value, node)
    if _number(node, one, value) != 1 or scores.outputs != 1 or scores.link != "sigmoid":
        raise refuse(node, value)
    return (Negative(scores),)


def _number(node: Node, constant: Value, value: Value) -> float:
    """The one number that scores are combined with; one of more axes than they have gives them more."""
    axes = 1 if isinstance(value, Scores) and value.flat else 2
    if not isinstance(constant, Constant) or constant.values.size != 1 or constant.values.ndim > axes:
        raise refuse(node, value)
    if constant.values.dtype.kind != "f":
        raise ModelFormatError(f"{node}: scores are combined with a constant of type {constant.values.dtype}")
    return float(constant.values.reshape(-1)[0])


def argmax(node: Node, value: Value) -> tuple[Value, ...]:
    """ArgMax over classes."""
    node.only("axis", "keepdims", "select_last_index")
    if node.number("axis", 0) not in (1, -1) or node.number("select_last_index", 0):
        raise UnsupportedModel(f"{node}: only the first of the highest, by row, is imported")
    if isinstance(value, Both):
        return (Index(value.of),)
    scores = scores_of(value, node)
    if scores.outputs < 2 or scores.link not in ("identity", "probability", "softmax"):
        raise refuse(node, value)
    return (Index(scores),)


def feature_extractor(node: Node, known: Value, index: Value) -> tuple[Value, ...]:
    """ArrayFeatureExtractor: the label of a class's number."""
    node.only()
    if not isinstance(known, Constant) or not isinstance(index, Index):
        raise refuse(node, index if isinstance(known, Constant) else known)
    classes = known.values.reshape(-1)
    if len(classes) != max(2, index.of.outputs) or classes.dtype.kind not in "iO":
        raise ModelFormatError(f"{node}: {len(classes)} labels of type {classes.dtype} for {index.of.outputs} outputs")
    return (Labels(classes, index.of),)


def zip_map(node: Node, value: Value) -> tuple[Value, ...]:
    """ZipMap: probabilities as dictionaries."""
    node.only("classlabels_int64s", "classlabels_strings")
    if not isinstance(value, Scores | Both):
        raise refuse(node, value)
    return (Maps(labels(node, "classlabels_int64s"), value),)


def multiply(node: Node, x: Value, y: Value) -> tuple[Value, ...]:
    """Mul of columns; of scores by 1, which converters put between names."""
    node.only()
    value, one = (y, x) if isinstance(x, Constant) else (x, y)
    if isinstance(value, Columns):
        return arithmetic(node, value, "*", one)
    if _number(node, one, value) != 1:
        raise refuse(node, value)
    return (scores_of(value, node),)


def divide(node: Node, value: Value, count: Value) -> tuple[Value, ...]:
    """Div of columns; of raw scores by the number of iterations that their trees are the mean of."""
    node.only()
    if isinstance(value, Columns):
        return arithmetic(node, value, "/", count)
    scores = scores_of(value, node)
    number = _number(node, count, value)
    if scores.link != "identity":
        raise refuse(node, value)
    if not 1 <= number <= _MOST_ITERATIONS or number != int(number):
        raise UnsupportedModel(f"{node}: a division by {number} is not imported")

    def make(link: Link) -> Model:
        model = scores.make(link)
        if not isinstance(model, TreeEnsemble) or model.averaged != 1:
            raise refuse(node, value)
        return replace(model, averaged=int(number))

    return (replace(scores, make=make),)


STEPS: Final[dict[str, Any]] = {
    "ArgMax": argmax,
    "ArrayFeatureExtractor": feature_extractor,
    "Cast": cast,
    "Concat": concat,
    "Div": divide,
    "Exp": through_link,
    "Flatten": flatten,
    "Identity": identity,
    "Mul": multiply,
    "Normalizer": normalizer,
    "Reshape": reshape,
    "Scaler": scaler,
    "Softmax": through_link,
    "Sub": subtract,
    "ZipMap": zip_map,
}
