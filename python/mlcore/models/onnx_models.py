"""The operators of ai.onnx.ml that are models: trees and linear ones, with scores and labels as ONNX Runtime gives them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models import onnx_trees_3, onnx_trees_5
from mlcore.models.ensemble import Array, Link, TreeEnsemble
from mlcore.models.onnx_graph import Node
from mlcore.models.onnx_scale import unscaled
from mlcore.models.onnx_trees import Trees
from mlcore.models.onnx_values import ABOVE_ZERO, Columns, Labels, Scores, Value, linear_model, refuse

_LINKS: Final[dict[str, Link]] = {"NONE": "identity", "LOGISTIC": "sigmoid", "SOFTMAX": "softmax"}
_MOST_OUTPUTS: Final = 1 << 16  # beyond it a number is damaged, not announced
_POSTS_5: Final = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_AGGREGATES_5: Final = ("AVERAGE", "SUM", "MIN", "MAX")


def tree_regressor(node: Node, *given: Value) -> tuple[Value, ...]:
    """TreeEnsembleRegressor."""
    columns = _columns(node, given)
    node.only(
        *onnx_trees_3.NODES, "aggregate_function", "n_targets", "target_ids", "target_nodeids", "target_treeids",
        "target_weights", "target_weights_as_tensor",
    )  # fmt: skip
    targets = _count(node, node.number("n_targets", 0))
    found = onnx_trees_3.trees(node, "target", targets, len(columns.names), columns.dtype)
    base = onnx_trees_3.numbers(node, "base_values", columns.dtype)
    aggregate, post = node.text("aggregate_function", "SUM"), node.text("post_transform", "NONE")
    return (_regression(node, columns, found, base, targets, aggregate, post),)


def tree_ensemble(node: Node, *given: Value) -> tuple[Value, ...]:
    """TreeEnsemble, opset 5."""
    columns = _columns(node, given)
    node.only(*onnx_trees_5.KNOWN)
    targets = _count(node, node.number("n_targets", 0))
    found = onnx_trees_5.trees(node, targets, len(columns.names), columns.dtype)
    aggregate = _named(node, "aggregate_function", 1, _AGGREGATES_5)
    post = _named(node, "post_transform", 0, _POSTS_5)
    if post in ("SOFTMAX", "LOGISTIC"):
        raise UnsupportedModel(
            f"{node}: post_transform {post} of TreeEnsemble is not imported: ONNX Runtime takes SOFTMAX for LOGISTIC and the "
            "other way round, against the specification"
        )
    return (_regression(node, columns, found, np.zeros(0), targets, aggregate, post),)


def _named(node: Node, name: str, default: int, names: tuple[str, ...]) -> str:
    number = node.number(name, default)
    if not 0 <= number < len(names):
        raise UnsupportedModel(f"{node}: {name} {number} is not known")
    return names[number]


def _regression(
    node: Node, columns: Columns, found: Trees, base: Array, targets: int, aggregate: str, post: str
) -> Scores:
    if aggregate not in ("SUM", "AVERAGE"):
        raise UnsupportedModel(f"{node}: aggregate_function {aggregate} is not imported; SUM and AVERAGE are")
    link = _link(node, post)
    if targets == 1 and link != "identity":
        raise UnsupportedModel(f"{node}: post_transform {post} of one target is not imported")
    if targets > 1 and len(base) and not found.always.all():
        raise UnsupportedModel(
            f"{node}: rows may get nothing for some target, whose base value ONNX Runtime then leaves out; not imported"
        )
    divisor = float(len(found.arrays["tree_output"])) if aggregate == "AVERAGE" else 1.0
    return _trees(node, columns, found, _base(node, base, targets), link, divisor=divisor)


def tree_classifier(node: Node, *given: Value) -> tuple[Value, ...]:
    """TreeEnsembleClassifier."""
    columns = _columns(node, given)
    node.only(
        *onnx_trees_3.NODES, "class_ids", "class_nodeids", "class_treeids", "class_weights", "class_weights_as_tensor",
        "classlabels_int64s", "classlabels_strings",
    )  # fmt: skip
    classes = labels(node, "classlabels_int64s")
    found = onnx_trees_3.trees(node, "class", _count(node, len(classes)), len(columns.names), columns.dtype)
    base = onnx_trees_3.numbers(node, "base_values", columns.dtype)
    link = _link(node, node.text("post_transform", "NONE"))
    of = _of_classes if len(classes) > 2 else _of_two
    scores = replace(of(node, columns, found, base, link), classes=classes)
    return Labels(classes, scores), scores


def _of_classes(node: Node, columns: Columns, found: Trees, base: Array, link: Link) -> Scores:
    """Three classes or more: the highest of the scores that a row got something for, or of all with base values."""
    if not (len(base) or found.always.all() or (found.positive and found.some)):
        raise UnsupportedModel(
            f"{node}: rows may get no score for some class, which ONNX Runtime then leaves out; not imported"
        )
    every = _base(node, base, len(found.used))
    return _trees(node, columns, found, every, "probability" if link == "identity" else link)


def _of_two(node: Node, columns: Columns, found: Trees, base: Array, link: Link) -> Scores:
    """Two classes of which all weights are the first's number: one score, the second class's.

    What parts the classes is one half where no weight is negative, else 0; and without LOGISTIC such a score is taken for
    a probability already, whatever the transform.
    """
    if len(found.used) != 2 or found.used.tolist() != [True, False]:
        raise UnsupportedModel(
            f"{node}: {len(found.used)} classes with weights for {np.flatnonzero(found.used).tolist()} are not imported; two "
            "with all weights for class 0 are"
        )
    if len(base) > 1 or (len(base) and not found.always[0]):
        raise UnsupportedModel(f"{node}: {len(base)} base values of two classes with one score are not imported")
    own = {
        **found.arrays,
        "value": found.arrays["value"][:, :1],
        "tree_output": np.zeros_like(found.arrays["tree_output"]),
    }
    least = 0.5 if found.positive else 0.0
    if link != "sigmoid":
        link = "share" if found.positive else "opposite"
    cutoff = float(np.nextafter(*np.array([least, 1], columns.dtype)))
    return _trees(node, columns, found, tuple(base.tolist()), link, own=own, cutoff=cutoff)


def _trees(
    node: Node, columns: Columns, found: Trees, base: tuple[float, ...], link: Link, *, divisor: float = 1.0,
    own: dict[str, Any] | None = None, cutoff: float = ABOVE_ZERO,
) -> Scores:  # fmt: skip
    arrays = own or found.arrays
    outputs = 1 if own else len(found.used)

    def make(link: Link) -> TreeEnsemble:
        described: dict[str, Any] = columns.described()
        trees = TreeEnsemble(
            **described,
            **arrays,
            objective=node.op,
            link=link,
            base_margin=(0.0,) * outputs,
            bias=base if any(base) else (),
            stored_categories=(None,) * len(columns.names),
            divisor=divisor,
        )
        return unscaled(trees, columns.steps) if columns.steps else trees

    return Scores(make, outputs, link, cutoff=cutoff)


def linear_regressor(node: Node, *given: Value) -> tuple[Value, ...]:
    """LinearRegressor."""
    columns = _columns(node, given)
    node.only("coefficients", "intercepts", "post_transform", "targets")
    targets = _count(node, node.number("targets", 1))
    link = _link(node, node.text("post_transform", "NONE"))
    if link != "identity":
        raise UnsupportedModel(f"{node}: post_transform {node.text('post_transform', 'NONE')} is not imported")
    return (_linear(node, columns, targets, link),)


def linear_classifier(node: Node, *given: Value) -> tuple[Value, ...]:
    """LinearClassifier: the class of the highest score, or of two the second where a single score is above 0."""
    columns = _columns(node, given)
    node.only("classlabels_ints", "classlabels_strings", "coefficients", "intercepts", "multi_class", "post_transform")
    classes, targets = labels(node, "classlabels_ints"), _count(node, len(node.floats("intercepts")))
    link = _link(node, node.text("post_transform", "NONE"))
    if targets == 1 and len(classes) == 2:
        scores = _linear(node, columns, 1, link if link == "sigmoid" else "share")
    elif targets == len(classes) > 1:
        scores = _linear(node, columns, targets, "probability" if link == "identity" else link)
    else:
        raise UnsupportedModel(f"{node}: {len(classes)} classes with {targets} intercepts are not imported")
    scores = replace(scores, classes=classes)
    return Labels(classes, scores), scores


def _linear(node: Node, columns: Columns, targets: int, link: Link) -> Scores:
    """Sums are float32, whatever the input is."""
    coefficients = node.floats("coefficients", targets * len(columns.names)).astype(np.float32)
    intercepts = node.floats("intercepts").astype(np.float32)
    if len(intercepts) not in (0, targets):
        raise ModelFormatError(f"{node}: {len(intercepts)} intercepts for {targets} targets")
    weights = np.ascontiguousarray(coefficients.reshape(targets, -1).T)
    bias = intercepts if len(intercepts) else np.zeros(targets, np.float32)
    return Scores(lambda link: linear_model(columns, node.op, link, weights, bias), targets, link)


def labels(node: Node, numbers: str, strings: str = "classlabels_strings") -> Array:
    """Return a node's class labels: strings where there are some, else int64."""
    found, whole = node.texts(strings), node.integers(numbers)
    if len(found) and len(whole):
        raise ModelFormatError(f"{node}: labels are given as strings and as numbers")
    return np.array(found, object) if len(found) else whole


def _columns(node: Node, given: tuple[Value, ...]) -> Columns:
    if len(given) != 1:
        raise ModelFormatError(f"{node}: {len(given)} inputs instead of one")
    if not isinstance(given[0], Columns):
        raise refuse(node, given[0])
    return given[0]


def _link(node: Node, post: str) -> Link:
    if post not in _LINKS:
        raise UnsupportedModel(f"{node}: post_transform {post} is not imported; NONE, LOGISTIC and SOFTMAX are")
    return _LINKS[post]


def _count(node: Node, number: int) -> int:
    if not 1 <= number <= _MOST_OUTPUTS:
        raise ModelFormatError(f"{node}: {number} targets or classes")
    return number


def _base(node: Node, base: Array, outputs: int) -> tuple[float, ...]:
    if len(base) not in (0, outputs):
        raise ModelFormatError(f"{node}: {len(base)} base values for {outputs} targets or classes")
    return tuple(base.tolist())


MODELS: Final[dict[str, Any]] = {
    "LinearClassifier": linear_classifier,
    "LinearRegressor": linear_regressor,
    "TreeEnsemble": tree_ensemble,
    "TreeEnsembleClassifier": tree_classifier,
    "TreeEnsembleRegressor": tree_regressor,
}
