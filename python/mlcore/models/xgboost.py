"""Import of XGBoost models: JSON and UBJ bytes, and Boosters, into TreeEnsemble; what is not known is refused by name.

Layout: XGBoost's model schema (doc/model.schema) as written by 1.7 to 3.x; semantics checked against the library.
"""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel, UsageError
from mlcore.models import ubj
from mlcore.models.damage import reading
from mlcore.models.ensemble import I4, Array, Categories, Link, TreeEnsemble, categories_as_bounds
from mlcore.models.iterations import Iterations, within
from mlcore.models.linear import LinearModel

F4 = np.ndarray[tuple[int], np.dtype[np.float32]]
Model = TreeEnsemble | LinearModel

_LINKS: Final[dict[str, Link]] = {
    "binary:hinge": "step",
    "binary:logistic": "sigmoid",
    "binary:logitraw": "identity",
    "count:poisson": "exp",
    "multi:softmax": "argmax",
    "multi:softprob": "softmax",
    "rank:map": "identity",
    "rank:ndcg": "identity",
    "rank:pairwise": "identity",
    "reg:absoluteerror": "identity",
    "reg:expectileerror": "rising",
    "reg:gamma": "exp",
    "reg:linear": "identity",
    "reg:logistic": "sigmoid",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity",
    "reg:tweedie": "exp",
    "survival:aft": "exp",
    "survival:cox": "exp",
}


def parse(data: bytes, *, where: str = "XGBoost model", iterations: Iterations | None = None) -> Model:
    """Return the model in `data`, XGBoost's JSON or UBJ.

    Args:
        data: the bytes of a model file.
        where: what messages call it.
        iterations: take the boosting rounds [first, end) alone, as `iteration_range` does; an end of 0 means all.

    Raises:
        ModelFormatError: the bytes are cut short, malformed, or not an XGBoost model.
        UnsupportedModel: a booster, objective or shape that is not imported; the message names it.
        UsageError: the model does not have these iterations.
    """
    with reading(where, "XGBoost JSON or UBJ model"):
        document = json.loads(data) if _looks_like_json(data) else ubj.loads(data)
        if not isinstance(document, dict) or "learner" not in document:
            raise ModelFormatError("it has no 'learner'")
        return _learner(document["learner"], tuple(document.get("version", ())), iterations)


def from_booster(booster: Any, iterations: Iterations | None = None) -> Model:
    """Return the model of an `xgboost.Booster`, through its UBJ form (exact float32)."""
    try:
        data = bytes(booster.save_raw("ubj"))
    except ValueError as error:  # XGBoostError
        raise UsageError("this Booster holds no model; train it, or load one into it") from error
    return parse(data, where="Booster", iterations=iterations)


def _looks_like_json(data: bytes) -> bool:
    return data[:64].lstrip()[:1] == b"{" and data[:64].lstrip()[1:].lstrip()[:1] in (b'"', b"}")


def _learner(learner: Mapping[str, Any], version: tuple[int, ...], iterations: Iterations | None) -> Model:
    booster = learner["gradient_booster"]
    if booster["name"] not in ("gbtree", "dart", "gblinear"):
        raise UnsupportedModel(f"booster '{booster['name']}' is not imported; gbtree, dart and gblinear are")
    objective = learner["objective"]["name"]
    if objective not in _LINKS:
        raise UnsupportedModel(f"objective '{objective}' is not imported; these are: {', '.join(sorted(_LINKS))}")
    link = _LINKS[objective]
    if objective == "reg:quantileerror" and version >= (3, 4):
        link = "sorted"
    parameters = learner["learner_model_param"]
    n_features = _at_most(_MOST_FEATURES, parameters["num_feature"], "num_feature")
    names = tuple(learner.get("feature_names") or ())
    if names and len(names) != n_features:
        raise ModelFormatError(f"{len(names)} feature names for {n_features} features")
    counts = {name: parameters.get(name, "0") for name in ("num_class", "num_target")}
    outputs = max(1, *(_at_most(_MOST_OUTPUTS, text, name) for name, text in counts.items()))
    common: dict[str, Any] = {
        "source": "xgboost",
        "objective": objective,
        "link": link,
        "base_margin": _base_margin(parameters["base_score"], link, outputs, version),
        "feature_names": names or tuple(f"f{i}" for i in range(n_features)),
        "named": bool(names),
    }
    if booster["name"] == "gblinear":
        return _linear(booster["model"], common, n_features, outputs, iterations)
    weights = booster["weight_drop"] if booster["name"] == "dart" else ()
    model = (booster["gbtree"] if booster["name"] == "dart" else booster)["model"]
    _refuse_unknown(model)
    if len(model["trees"]) != int(model["gbtree_model_param"]["num_trees"]):
        raise ModelFormatError(f"{len(model['trees'])} trees, {model['gbtree_model_param']['num_trees']} announced")
    trees = slice(*_tree_range(model, iterations))
    return TreeEnsemble(
        **common,
        stored_categories=_stored_categories(model.get("cats"), n_features, version),
        **_trees(model["trees"][trees], n_features, outputs),
        tree_output=_integers(model["tree_info"])[trees],
    ).weighted(_tree_weights(model, weights)[trees])


_MOST_FEATURES: Final = 2**22  # each has a name
_MOST_OUTPUTS: Final = 2**16


def _at_most(most: int, text: str, name: str) -> int:
    """A count that memory is set aside for, which a damaged file must not decide."""
    count = int(text)
    if not 0 <= count <= most:
        raise UnsupportedModel(f"{name} = {count} is not in 0..{most}")
    return count


def _linear(
    model: Mapping[str, Any], common: dict[str, Any], n_features: int, outputs: int, iterations: Iterations | None
) -> LinearModel:
    """Weights of all features, a row each, then the bias. gblinear starts every output from the first one's base score."""
    if iterations not in (None, (0, 0)):
        raise UsageError("booster 'gblinear' has no iterations to choose from")
    rows = np.asarray(model["weights"], np.float32).reshape(n_features + 1, outputs)
    common["base_margin"] = common["base_margin"][:1] * outputs
    return LinearModel(**common, stored_categories=(None,) * n_features, weights=rows[:-1], bias=rows[-1])


def _tree_range(model: Mapping[str, Any], iterations: Iterations | None) -> tuple[int, int]:
    """The trees of boosting rounds [first, end)."""
    if iterations in (None, (0, 0)):
        return 0, len(model["trees"])
    starts = model.get("iteration_indptr")
    if starts is None:
        raise UnsupportedModel(
            "the file does not say which trees are of which iteration; save it with XGBoost 2 or newer"
        )
    first, end = within(iterations, len(starts) - 1)
    return int(starts[first]), int(starts[end])


_MODEL_KEYS: Final = {"cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees", "weight_drop"}


def _refuse_unknown(model: Mapping[str, Any]) -> None:
    """What a newer XGBoost adds to a model may change its numbers."""
    unknown = sorted(set(model) - _MODEL_KEYS)
    if unknown:
        raise UnsupportedModel(f"the model holds '{unknown[0]}', which this version does not know; update mlcore")


def _tree_weights(model: Mapping[str, Any], outside: Any) -> F4:
    """The weights of dart's trees: beside the trees' model up to XGBoost 3.3, in it since."""
    found = model.get("weight_drop", ())
    weights = np.asarray(found if len(found) else outside, np.float32)
    if len(weights) not in (0, len(model["trees"])):
        raise ModelFormatError(f"{len(weights)} tree weights for {len(model['trees'])} trees")
    return weights if len(weights) else np.ones(len(model["trees"]), np.float32)


def _base_margin(text: str, link: Link, outputs: int, version: tuple[int, ...]) -> tuple[float, ...]:
    """The base scores through the inverse link, in XGBoost's own float32 steps and with the logarithm it calls."""
    parsed = json.loads(text)
    values = parsed if isinstance(parsed, list) else [parsed]
    if len(values) not in (1, outputs):
        raise ModelFormatError(f"base_score has {len(values)} values for {outputs} outputs")
    scores = [np.float32(value) for value in values] * (outputs if len(values) == 1 else 1)
    if link == "rising":
        return (float(scores[0]), *(_gap_margin(low, high) for low, high in pairwise(scores)))
    return tuple(_margin_of(score, link, version) for score in scores)


_LARGEST: Final = float(np.finfo(np.float32).max)
_LEAST: Final = np.float32(1e-6)


def _margin_of(score: np.float32, link: Link, version: tuple[int, ...]) -> float:
    if link not in ("sigmoid", "exp"):
        return float(score)
    if link == "sigmoid" and 0 <= score <= 1 and version >= (3, 2):  # of rows of one class it is 0 or 1
        score = np.clip(score, _LEAST, np.float32(1) - _LEAST)
    if not (0 < score < 1 if link == "sigmoid" else 0 <= score <= _LARGEST):
        raise ModelFormatError(f"base_score {score} is outside the range of the objective")
    if link == "exp":
        return float(_libm("logf", score)) if score else -math.inf
    return float(-_libm("logf", np.float32(1) / score - np.float32(1)))


def _gap_margin(low: np.float32, high: np.float32) -> float:
    """The softplus's inverse of how far an output lies above the one before."""
    gap = max(np.float32(high - low) - _LEAST, _LEAST)
    return float(gap + _libm("logf", -_libm("expm1f", -gap)))


def _libm(name: str, x: np.float32) -> np.float32:
    """The C library's float32 function, which XGBoost calls and which does not always give the nearest float."""
    nearest: dict[str, Callable[[float], float]] = {"logf": math.log, "expm1f": math.expm1}
    try:
        function: Any = getattr(ctypes.CDLL("libm.so.6"), name)
    except OSError:  # another C library: the nearest float, at most one step off
        return np.float32(nearest[name](float(x)))
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return np.float32(function(float(x)))


def _stored_categories(
    cats: Mapping[str, Any] | None, n_features: int, version: tuple[int, ...]
) -> tuple[Categories | None, ...]:
    """What categorical features were trained on (stored since XGBoost 3.1): strings or whole numbers."""
    encodings: Sequence[Mapping[str, Any]] = cats["enc"] if cats else []
    if not encodings:
        return (None,) * n_features
    if len(encodings) != n_features:
        raise ModelFormatError(f"stored categories for {len(encodings)} features, the model has {n_features}")
    return tuple(_categories_of(encoding, feature, version) for feature, encoding in enumerate(encodings))


def _categories_of(encoding: Mapping[str, Any], feature: int, version: tuple[int, ...]) -> Categories | None:
    if len(encoding.get("values", ())) == 0 and len(encoding.get("offsets", ())) == 0:
        return None
    categories: tuple[Any, ...]
    if "offsets" in encoding:
        offsets = np.asarray(encoding["offsets"], np.int64)
        text = np.asarray(encoding["values"]).astype(np.int8).tobytes()
        if offsets[0] != 0 or offsets[-1] != len(text) or np.any(np.diff(offsets) < 0):
            raise ModelFormatError(f"feature {feature}: stored categories are malformed")
        if not text.isascii() and version < (3, 4):
            raise UnsupportedModel(
                f"feature {feature} has categories that are not ASCII, which XGBoost before 3.4 cuts in mid-name when it "
                "stores them; train again with 3.4 or newer, or on ASCII names"
            )
        categories = tuple(text[low:high].decode() for low, high in pairwise(offsets))
    else:
        numbers = np.asarray(encoding["values"])
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise UnsupportedModel(f"feature {feature} stores categories that are neither strings nor whole numbers")
        categories = tuple(numbers.tolist())
    if len(set(categories)) != len(categories):
        raise ModelFormatError(f"feature {feature}: a stored category stands twice")
    return categories


_NODE_TYPES: Final[dict[str, type[np.generic]]] = {
    "feature": np.int32,
    "threshold": np.float32,
    "default_left": np.uint8,
    "left": np.int32,
    "right": np.int32,
    "cover": np.float64,
    "interval_set": np.int32,
}


def _trees(trees: Sequence[Mapping[str, Any]], n_features: int, outputs: int) -> dict[str, Any]:
    """The arrays of all trees, written tree by tree into their place: of a large forest nothing is there twice."""
    starts = np.cumsum([0, *(len(tree["left_children"]) for tree in trees)], dtype=np.int64)
    width = max(1, int(trees[0]["tree_param"].get("size_leaf_vector", "1"))) if trees else 1
    nodes = {name: np.empty(starts[-1], dtype) for name, dtype in _NODE_TYPES.items()}
    nodes |= {"value": np.empty((starts[-1], width), np.float32), "leaf_id": np.empty(starts[-1], np.int32)}
    categories: list[Any] = []
    for index, tree in enumerate(trees):
        part, place = _tree(tree, index, n_features, outputs), slice(starts[index], starts[index + 1])
        if part["value"].shape[1] != width:
            raise ModelFormatError("some trees have vector leaves and some have not")
        part["interval_set"][part["interval_set"] >= 0] += len(categories)
        categories += part.pop("categories")
        for name, values in part.items():
            nodes[name][place] = values
    if not all("sum_hessian" in tree for tree in trees):
        nodes["cover"] = np.zeros(0)
    bound_start, bounds = categories_as_bounds(categories, np.float32)
    return {"tree_start": starts, **nodes, "bound_start": bound_start, "bounds": bounds}


def _tree(tree: Mapping[str, Any], index: int, n_features: int, outputs: int) -> dict[str, Any]:
    parameters = tree["tree_param"]
    left, right = _integers(tree["left_children"]), _integers(tree["right_children"])
    condition = np.asarray(tree["split_conditions"], np.float32)
    cover = np.asarray(tree["sum_hessian"] if "sum_hessian" in tree else np.zeros(len(left)), np.float32)
    split_type = _integers(tree["split_type"]) if "split_type" in tree else np.zeros_like(left)
    arrays = (right, condition, split_type, tree["split_indices"], tree["default_left"], cover)
    if any(len(array) != len(left) for array in arrays) or len(left) != int(parameters["num_nodes"]):
        raise ModelFormatError(f"tree {index}: node arrays differ in length")
    leaf = left == -1
    width = max(1, int(parameters.get("size_leaf_vector", "1")))
    if width == 1 and np.any(leaf != (right == -1)):
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
        "value": _leaf_values(tree, index, leaf, right, condition, width, outputs),
        "cover": cover,
        "leaf_id": np.arange(len(left), dtype=np.int32),
        **_category_sets(tree, index, (split_type == 1) & ~leaf),
    }


def _leaf_values(
    tree: Mapping[str, Any], index: int, leaf: np.ndarray[Any, np.dtype[np.bool_]], right: I4, condition: F4, width: int,
    outputs: int,
) -> Array:  # fmt: skip
    """A leaf's number stands in its condition; its vector in a list of its own, whose place its right child says."""
    if width == 1:
        return np.where(leaf, condition, np.float32(0)).astype(np.float32)[:, None]
    if width != outputs:
        raise ModelFormatError(f"tree {index}: leaves hold {width} values for {outputs} outputs")
    if "leaf_weights" not in tree:  # up to XGBoost 3.1 every node has a vector
        vectors = np.asarray(tree["base_weights"], np.float32)
        if len(vectors) != len(leaf) * width:
            raise ModelFormatError(f"tree {index}: {len(vectors)} weights for {len(leaf)} nodes of {width} values")
        return np.where(leaf[:, None], vectors.reshape(-1, width), np.float32(0))
    vectors = np.asarray(tree["leaf_weights"], np.float32).reshape(-1, width)
    if np.any(leaf & ((right < 0) | (right >= len(vectors)))):
        raise ModelFormatError(f"tree {index}: a leaf's vector is not there")
    values = np.zeros((len(leaf), width), np.float32)
    values[leaf] = vectors[right[leaf]]
    return values


_CATEGORY_LIMIT: Final = 2**24  # a category at or above takes the left branch, whatever the set says


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
    if np.any(values < 0):
        raise ModelFormatError(f"tree {index}: a category is negative")
    interval_set = np.full(len(categorical), -1, np.int32)
    interval_set[nodes] = np.arange(len(nodes), dtype=np.int32)
    sets = [values[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    return {"interval_set": interval_set, "categories": [members[members < _CATEGORY_LIMIT] for members in sets]}


def _integers(values: Any) -> I4:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise ModelFormatError("an array of node indices holds something else")
    if array.max() > 2**31 - 1 or array.min() < -(2**31):
        raise ModelFormatError("a node index exceeds 32 bits")
    return array.astype(np.int32)
