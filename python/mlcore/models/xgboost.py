"""Import of XGBoost models: JSON and UBJ bytes, and Boosters, into TreeEnsemble; what is not known is refused by name.

Layout: XGBoost's model schema (doc/model.schema) as written by 1.7 to 3.x; semantics checked against the library.
"""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models import ubj
from mlcore.models.ensemble import F4, I4, Link, TreeEnsemble

_LINKS: Final[dict[str, Link]] = {
    "binary:logistic": "sigmoid",
    "binary:logitraw": "identity",
    "reg:logistic": "sigmoid",
    "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:absoluteerror": "identity",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
}


def parse(data: bytes, *, where: str = "XGBoost model") -> TreeEnsemble:
    """Return the model in `data`, XGBoost's JSON or UBJ.

    Raises:
        ModelFormatError: the bytes are cut short, malformed, or not an XGBoost model.
        UnsupportedModel: a booster, objective or shape that is not imported; the message names it.
    """
    try:
        document = json.loads(data) if _looks_like_json(data) else ubj.loads(data)
        if not isinstance(document, dict) or "learner" not in document:
            raise ModelFormatError("it has no 'learner'")
        return _learner(document["learner"])
    except (ModelFormatError, UnsupportedModel) as error:
        raise type(error)(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise ModelFormatError(f"{where}: not a whole XGBoost JSON or UBJ model ({reason})") from error


def from_booster(booster: Any) -> TreeEnsemble:
    """Return the model of an `xgboost.Booster`, through its UBJ form (exact float32)."""
    return parse(bytes(booster.save_raw("ubj")), where="Booster")


def _looks_like_json(data: bytes) -> bool:
    return data[:64].lstrip()[:1] == b"{" and data[:64].lstrip()[1:].lstrip()[:1] in (b'"', b"}")


def _learner(learner: Mapping[str, Any]) -> TreeEnsemble:
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree":
        raise UnsupportedModel(f"booster '{booster['name']}' is not imported; gbtree is")
    objective = learner["objective"]["name"]
    if objective not in _LINKS:
        raise UnsupportedModel(f"objective '{objective}' is not imported; these are: {', '.join(sorted(_LINKS))}")
    parameters = learner["learner_model_param"]
    for name, most in (("num_class", 1), ("num_target", 1)):
        if int(parameters.get(name, "0")) > most:
            raise UnsupportedModel(f"{name} = {parameters[name]}: models of more than one output are not imported")
    n_features = int(parameters["num_feature"])
    names = tuple(learner.get("feature_names") or ())
    if names and len(names) != n_features:
        raise ModelFormatError(f"{len(names)} feature names for {n_features} features")
    model = booster["model"]
    _refuse_unknown(model)
    if len(model["trees"]) != int(model["gbtree_model_param"]["num_trees"]):
        raise ModelFormatError(f"{len(model['trees'])} trees, {model['gbtree_model_param']['num_trees']} announced")
    return TreeEnsemble(
        source="xgboost",
        objective=objective,
        link=_LINKS[objective],
        base_margin=_base_margin(parameters["base_score"], _LINKS[objective]),
        feature_names=names or tuple(f"f{i}" for i in range(n_features)),
        named=bool(names),
        stored_categories=_stored_categories(model.get("cats"), n_features),
        **_trees(model["trees"], n_features),
    )


_MODEL_KEYS: Final = {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees", "weight_drop"}


def _refuse_unknown(model: Mapping[str, Any]) -> None:
    """What a newer XGBoost adds to a model may change its numbers; since 3.4 dart is a gbtree whose trees have weights."""
    if np.any(np.asarray(model.get("weight_drop", ()), np.float32) != 1):
        raise UnsupportedModel(
            "trees have weights ('weight_drop', booster dart), which are not imported; train without"
        )
    unknown = sorted(set(model) - _MODEL_KEYS)
    if unknown:
        raise UnsupportedModel(f"the model holds '{unknown[0]}', which this version does not know; update mlcore")


def _base_margin(text: str, link: Link) -> float:
    """The base score through the inverse link, in XGBoost's own float32 steps and with the logarithm it calls."""
    parsed = json.loads(text)
    values = parsed if isinstance(parsed, list) else [parsed]
    if len(values) != 1:
        raise UnsupportedModel(f"base_score has {len(values)} values: models of more than one output are not imported")
    score = np.float32(values[0])
    if link == "identity":
        return float(score)
    odds = np.float32(1.0) / score - np.float32(1.0) if link == "sigmoid" else score
    if not (odds > 0 and math.isfinite(odds)):
        raise ModelFormatError(f"base_score {score} is outside the range of the objective")
    logarithm = _logf(float(odds))
    return -logarithm if link == "sigmoid" else logarithm


def _logf(x: float) -> float:
    """The C library's float32 logarithm, which XGBoost calls and which is not always the nearest float."""
    try:
        function = ctypes.CDLL("libm.so.6").logf
    except OSError:  # another C library: the nearest float, at most one step off
        return float(np.float32(math.log(x)))
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return float(function(x))


def _stored_categories(cats: Mapping[str, Any] | None, n_features: int) -> tuple[tuple[str, ...] | None, ...]:
    """Strings stored with categorical features (XGBoost 3.1 on); numbers stored instead are refused."""
    encodings: Sequence[Mapping[str, Any]] = cats["enc"] if cats else []
    if not encodings:
        return (None,) * n_features
    if len(encodings) != n_features:
        raise ModelFormatError(f"stored categories for {len(encodings)} features, the model has {n_features}")
    return tuple(_strings(encoding, feature) for feature, encoding in enumerate(encodings))


def _strings(encoding: Mapping[str, Any], feature: int) -> tuple[str, ...] | None:
    if "offsets" not in encoding:
        if len(encoding.get("values", ())) == 0:
            return None
        raise UnsupportedModel(
            f"feature {feature} stores categories that are numbers; train on strings or on integer codes instead"
        )
    offsets = np.asarray(encoding["offsets"], np.int64)
    if len(offsets) == 0:
        return None
    text = np.asarray(encoding["values"]).astype(np.int8).tobytes()
    if offsets[0] != 0 or offsets[-1] != len(text) or np.any(np.diff(offsets) < 0):
        raise ModelFormatError(f"feature {feature}: stored categories are malformed")
    categories = tuple(text[low:high].decode() for low, high in pairwise(offsets))
    if len(set(categories)) != len(categories):
        raise ModelFormatError(f"feature {feature}: a stored category stands twice")
    return categories


def _trees(trees: Sequence[Mapping[str, Any]], n_features: int) -> dict[str, Any]:
    parts = [_tree(tree, index, n_features) for index, tree in enumerate(trees)]
    set_sizes = np.concatenate([part["set_sizes"] for part in parts]) if parts else np.zeros(0, np.int64)
    n_sets = 0
    for part in parts:
        part["category_set"][part["category_set"] >= 0] += n_sets
        n_sets += len(part["set_sizes"])

    def joined(name: str, dtype: type[np.generic]) -> Any:
        return np.concatenate([part[name] for part in parts]) if parts else np.zeros(0, dtype)

    return {
        "tree_start": np.cumsum([0] + [len(part["feature"]) for part in parts], dtype=np.int64),
        "feature": joined("feature", np.int32),
        "threshold": joined("threshold", np.float32),
        "default_left": joined("default_left", np.uint8),
        "left": joined("left", np.int32),
        "right": joined("right", np.int32),
        "value": joined("value", np.float32),
        "category_set": joined("category_set", np.int32),
        "set_start": np.concatenate([[0], np.cumsum(set_sizes)]).astype(np.int64),
        "set_values": joined("set_values", np.int32),
    }


def _tree(tree: Mapping[str, Any], index: int, n_features: int) -> dict[str, Any]:
    parameters = tree["tree_param"]
    if int(parameters.get("size_leaf_vector", "1")) > 1:
        raise UnsupportedModel(f"tree {index} has vector leaves: models of more than one output are not imported")
    left, right = _integers(tree["left_children"]), _integers(tree["right_children"])
    condition = np.asarray(tree["split_conditions"], np.float32)
    split_type = _integers(tree["split_type"]) if "split_type" in tree else np.zeros_like(left)
    arrays = (right, condition, split_type, tree["split_indices"], tree["default_left"])
    if any(len(array) != len(left) for array in arrays) or len(left) != int(parameters["num_nodes"]):
        raise ModelFormatError(f"tree {index}: node arrays differ in length")
    leaf = left == -1
    if np.any(leaf != (right == -1)):
        raise ModelFormatError(f"tree {index}: a node has one child")
    if np.any((split_type != 0) & (split_type != 1)):
        raise UnsupportedModel(f"tree {index}: a split of unknown type")
    feature = np.where(leaf, -1, np.asarray(tree["split_indices"], np.int64))
    if np.any(~leaf & ((feature < 0) | (feature >= n_features))):
        raise ModelFormatError(f"tree {index}: a split asks for a feature that the model does not have")
    return {
        "feature": feature.astype(np.int32),
        "threshold": condition,
        "default_left": _integers(tree["default_left"]).astype(np.uint8),
        "left": np.where(leaf, 0, left).astype(np.int32),
        "right": np.where(leaf, 0, right).astype(np.int32),
        "value": _leaf_values(leaf, condition),
        **_category_sets(tree, index, (split_type == 1) & ~leaf),
    }


def _leaf_values(leaf: np.ndarray[Any, np.dtype[np.bool_]], condition: F4) -> F4:
    return np.where(leaf, condition, np.float32(0)).astype(np.float32)


def _category_sets(
    tree: Mapping[str, Any], index: int, categorical: np.ndarray[Any, np.dtype[np.bool_]]
) -> dict[str, Any]:
    """The sets of the tree's categorical splits; a value in the set goes right."""
    nodes = _integers(tree.get("categories_nodes", ()))
    starts = np.asarray(tree.get("categories_segments", ()), np.int64)
    sizes = np.asarray(tree.get("categories_sizes", ()), np.int64)
    values = _integers(tree.get("categories", ()))
    if not (len(nodes) == len(starts) == len(sizes)) or not np.array_equal(np.sort(nodes), np.flatnonzero(categorical)):
        raise ModelFormatError(f"tree {index}: category sets do not match the categorical splits")
    if np.any(sizes < 0) or not np.array_equal(starts, np.cumsum(sizes) - sizes) or sizes.sum() != len(values):
        raise ModelFormatError(f"tree {index}: category sets are malformed")
    category_set = np.full(len(categorical), -1, np.int32)
    category_set[nodes] = np.arange(len(nodes), dtype=np.int32)
    return {"category_set": category_set, "set_sizes": sizes, "set_values": values}


def _integers(values: Any) -> I4:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise ModelFormatError("an array of node indices holds something else")
    if array.max() > 2**31 - 1 or array.min() < -(2**31):
        raise ModelFormatError("a node index exceeds 32 bits")
    return array.astype(np.int32)
