"""Import of CatBoost models: JSON, .cbm and objects in memory, into TreeEnsemble; what is not known is refused by name.

Layout: the JSON form of CatBoost 1.x; semantics checked against the library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel, UsageError
from mlcore.models import catboost_cbm, catboost_features, catboost_trees
from mlcore.models.catboost_json import numbers
from mlcore.models.damage import reading
from mlcore.models.ensemble import Array, Link, TreeEnsemble
from mlcore.models.iterations import Iterations, within

Orders = Sequence[Sequence[int]]

_LINKS: Final[dict[str, Link]] = {
    "Cox": "identity",
    "CrossEntropy": "sigmoid",
    "Expectile": "identity",
    "Focal": "sigmoid",
    "GroupQuantile": "identity",
    "Huber": "identity",
    "LambdaMart": "identity",
    "LogCosh": "identity",
    "LogLinQuantile": "identity",
    "Logloss": "sigmoid",
    "Lq": "identity",
    "MAE": "identity",
    "MAPE": "identity",
    "MultiClass": "softmax",
    "MultiClassOneVsAll": "sigmoid",
    "MultiCrossEntropy": "sigmoid",
    "MultiLogloss": "sigmoid",
    "MultiQuantile": "identity",
    "MultiRMSE": "identity",
    "MultiRMSEWithMissingValues": "identity",
    "PairLogit": "identity",
    "PairLogitPairwise": "identity",
    "Poisson": "exp",
    "PythonUserDefinedMultiTarget": "identity",
    "PythonUserDefinedPerObject": "identity",
    "Quantile": "identity",
    "QueryCrossEntropy": "identity",
    "QueryRMSE": "identity",
    "QuerySoftMax": "identity",
    "RMSE": "identity",
    "RMSEWithUncertainty": "variance",
    "StochasticFilter": "identity",
    "StochasticRank": "identity",
    "SurvivalAft": "identity",
    "Tweedie": "exp",
    "YetiRank": "identity",
    "YetiRankPairwise": "identity",
    "custom": "identity",
}
_KEYS: Final = frozenset({"ctr_data", "features_info", "model_info", "oblivious_trees", "scale_and_bias", "trees"})
_MAGIC: Final = b"CBM1"
_MOST_OUTPUTS: Final = 1 << 16  # beyond it a number is damaged, not announced


def starts_like_one(data: bytes) -> bool:
    """Return whether this is how a .cbm file starts, or a model's JSON."""
    first = re.match(rb'\s*\{\s*"(\w+)"', data[:256])
    return data.startswith(_MAGIC) or (first is not None and first[1].decode() in _KEYS)


def parse(data: bytes, *, where: str = "CatBoost model", iterations: Iterations | None = None) -> TreeEnsemble:
    """Return the model in `data`, CatBoost's JSON or .cbm; the latter is read with CatBoost itself.

    Args:
        data: the bytes of a model file.
        where: what messages call it.
        iterations: take the trees [first, end) alone; an end of 0 means all.

    Raises:
        ModelFormatError: the bytes are cut short, malformed, or not a CatBoost model.
        UnsupportedModel: a loss, feature or field that is not imported; the message names it.
        UsageError: the model does not have these iterations.
    """
    with reading(where, "CatBoost model"):
        document, leaves = catboost_cbm.converted(data) if data.startswith(_MAGIC) else (json.loads(data), [])
        return _ensemble(document, iterations, _leaf_orders(leaves))


def from_model(model: Any, iterations: Iterations | None = None) -> TreeEnsemble:
    """Return the model of a `catboost.CatBoost`, through its JSON."""
    if not model.is_fitted():
        raise UsageError(f"{type(model).__name__} is not fitted; call fit first")
    with reading(type(model).__name__, "CatBoost model"):
        document, leaves = catboost_cbm.exported(model)
        return _ensemble(document, iterations, _leaf_orders(leaves))


def _leaf_orders(trees: catboost_cbm.Leaves) -> list[list[int]]:
    """What the library calls each tree's leaves, from left to right, which the JSON does not say.

    A node with one child is itself the leaf where the other is missing, and counts before the leaves below it.
    """
    orders = []
    for steps, numbered in trees:
        found, waiting = [], [(0, False)]
        while waiting:
            node, ends = waiting.pop()
            left, right = steps[node]
            if ends or not (left or right):
                found.append(numbered[node])
            else:
                waiting += [(node + step, step == 0) for step in (right, left)]
        orders.append(np.argsort(np.argsort(found)).tolist())
    return orders


@np.errstate(over="ignore")  # what float32 does not hold is infinite there, and refused as such
def _ensemble(document: Mapping[str, Any], iterations: Iterations | None, orders: Orders) -> TreeEnsemble:
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        raise UnsupportedModel(f"the model holds '{unknown[0]:.40}', which this version does not know; update mlcore")
    questions = catboost_features.read(document["features_info"], document.get("ctr_data") or {})
    scale, bias = _scale_and_bias(document["scale_and_bias"])
    trees = document["oblivious_trees"] if "oblivious_trees" in document else document["trees"]
    first, end = within(iterations, len(trees := trees or []))
    nodes = []
    for index in range(first, end):
        try:
            if "oblivious_trees" in document:
                nodes.append(catboost_trees.oblivious(trees[index], questions, len(bias)))
            else:
                order = orders[index] if orders else None
                nodes.append(catboost_trees.any_shape(trees[index], questions, len(bias), order))
        except ModelFormatError as error:
            raise ModelFormatError(f"tree {index}: {error}") from error
    objective = _objective(document["model_info"])
    _refuse_unseen_classes(document["model_info"], len(bias))
    return TreeEnsemble(
        source="catboost",
        objective=objective,
        link=_LINKS[objective],
        base_margin=(0.0,) * len(bias),
        scale=scale,
        bias=bias if first == 0 else (0.0,) * len(bias),
        feature_names=questions.names,
        named=questions.named,
        stored_categories=questions.categories,
        combinations=questions.combinations,
        tree_output=np.zeros(end - first, np.int32),
        bound_start=questions.bound_start,
        bounds=questions.bounds,
        **_joined(nodes, len(bias)),
    )


def _scale_and_bias(found: Any) -> tuple[float, tuple[float, ...]]:
    scale, bias = found
    values = numbers([scale, *bias], "scale and bias")
    if not 2 <= len(values) <= _MOST_OUTPUTS or not np.all(np.isfinite(values)):
        raise ModelFormatError("scale and bias are not finite numbers")
    return float(values[0]), tuple(values[1:].tolist())


def _objective(info: Mapping[str, Any]) -> str:
    """The loss that the model was trained with; a sum of models names none."""
    parameters = info.get("params") or {}
    name = parameters["loss_function"]["type"] if "loss_function" in parameters else "custom"
    if name not in _LINKS:
        raise UnsupportedModel(f"loss function '{name:.40}' is not imported; these are: {', '.join(sorted(_LINKS))}")
    return str(name)


def _refuse_unseen_classes(info: Mapping[str, Any], outputs: int) -> None:
    """The library gives a class that was announced and never seen a column of its own, which the trees have not."""
    classes = info.get("class_params") or {}
    announced = max(classes.get("classes_count") or 0, len(classes.get("class_names") or ()))
    if 1 < outputs < announced:
        raise UnsupportedModel(
            f"the model was trained on {outputs} of {announced} classes, which is not imported; leave classes_count and "
            "class_names away"
        )


_TYPES: Final = {
    "feature": np.int32, "default_left": np.uint8, "left": np.int32, "right": np.int32, "leaf_id": np.int32,
    "interval_set": np.int32, "threshold": np.float32, "cover": np.float64,
}  # fmt: skip


def _joined(trees: Sequence[dict[str, Array]], outputs: int) -> dict[str, Any]:
    """All trees' nodes, one after another; cover where every tree has it."""
    sizes = [len(tree["feature"]) for tree in trees]
    joined: dict[str, Any] = {
        name: np.concatenate([np.zeros(0, dtype), *(tree[name] for tree in trees)]).astype(dtype)
        for name, dtype in _TYPES.items()
    }
    if len(joined["cover"]) != sum(sizes):
        joined["cover"] = np.zeros(0)
    value = np.concatenate([np.zeros((0, outputs)), *(tree["value"] for tree in trees)])
    return {**joined, "value": value, "tree_start": np.cumsum([0, *sizes], dtype=np.int64)}
