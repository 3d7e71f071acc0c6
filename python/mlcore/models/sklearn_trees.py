"""Import of scikit-learn's own trees: single ones, forests, gradient boosting and isolation forests.

They cast a row to float32, compare it with a float64 threshold, and go left where it is at most that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.models.ensemble import Array, Link, TreeEnsemble
from mlcore.models.sklearn_parts import Tree, join, just_above, names, unreachable

_NODE_FIELDS: Final = {
    "left_child", "right_child", "feature", "threshold", "impurity", "n_node_samples", "weighted_n_node_samples",
    "missing_go_to_left",
}  # fmt: skip


def from_tree(estimator: Any, output: int = 0) -> TreeEnsemble:
    """Return a DecisionTree or ExtraTree: its leaves hold the share of each class of `output`, or each output's value."""
    return _averaged(estimator, [estimator], output)


def from_forest(estimator: Any, output: int = 0) -> TreeEnsemble:
    """Return a RandomForest or ExtraTrees: its trees' leaves, summed in order and divided by their number."""
    return _averaged(estimator, estimator.estimators_, output)


def _averaged(estimator: Any, trees: Sequence[Any], output: int) -> TreeEnsemble:
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        values = [each.tree_.value[:, :, 0] for each in trees]
    else:
        count = np.atleast_1d(estimator.n_classes_)[output]  # outputs with fewer classes than another are filled up
        values = [each.tree_.value[:, output, :count] for each in trees]
    nodes = join([_tree(each.tree_, value) for each, value in zip(trees, values, strict=True)], np.float32)
    return _ensemble(
        estimator,
        nodes,
        link="identity" if classes is None else "probability",
        base=(0.0,) * nodes["value"].shape[1],
        accepts_missing=bool(trees[0]._support_missing_values(np.zeros((0, estimator.n_features_in_)))),
        divisor=float(len(trees)),
    )


def from_gradient_boosting(estimator: Any) -> TreeEnsemble:
    """Return a GradientBoosting: leaves times the learning rate, added stage by stage, a tree a class."""
    if not begins_alike(estimator):
        raise UnsupportedModel(
            f"{_kind(estimator)} with init={_kind(estimator.init_)} is two models, which mlcore.compile puts together"
        )
    stages, outputs = estimator.estimators_.shape
    rate = float(estimator.learning_rate)
    trees = [each.tree_ for each in estimator.estimators_.ravel()]
    nodes = join([_tree(tree, rate * tree.value[:, :, 0]) for tree in trees], np.float32)
    base = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))
    return _ensemble(
        estimator,
        nodes,
        link=_boosting_link(estimator),
        base=tuple(base[0].tolist()),
        accepts_missing=False,
        tree_output=np.tile(np.arange(outputs, dtype=np.int32), stages),
    )


def begins_alike(estimator: Any) -> bool:
    """Return whether a GradientBoosting begins at the same margins for every row: at 0 or at a constant."""
    start = estimator.init_
    dummy = type(start).__module__.startswith("sklearn.dummy") and getattr(start, "strategy", "") != "stratified"
    return isinstance(start, str) or dummy


def beginning(estimator: Any) -> tuple[TreeEnsemble, Callable[[Any, Any], Array]]:
    """Return what a GradientBoosting that does not begin alike begins with, and what makes margins of rows and its Scorer.

    The margins are the library's own doing: how far it keeps probabilities from 0 and 1 differs between its versions.

    Raises:
        UnsupportedModel: it is not one of scikit-learn's trees, which read the same float32 rows and whose answers are
            sums in order: others are within a rounding of the library's, and every margin would be.
    """
    start = estimator.init_
    importer = _BEGINNINGS.get(_kind(start)) if type(start).__module__.startswith("sklearn.") else None
    if importer is None:
        raise UnsupportedModel(
            f"{_kind(estimator)} with init={_kind(start)}: only 'zero', constant starts and scikit-learn's "
            f"{', '.join(_BEGINNINGS)} are imported"
        )
    margins = sys.modules[type(estimator).__module__]._init_raw_predictions
    classifies = hasattr(estimator, "classes_")
    return (
        replace(importer(start), **names(estimator)),  # it was fitted on an array of the same columns
        partial(margins, loss=estimator._loss, use_predict_proba=classifies),
    )


_BEGINNINGS: Final[dict[str, Callable[[Any], TreeEnsemble]]] = {
    "DecisionTreeClassifier": from_tree,
    "DecisionTreeRegressor": from_tree,
    "ExtraTreeClassifier": from_tree,
    "ExtraTreeRegressor": from_tree,
    "RandomForestClassifier": from_forest,
    "RandomForestRegressor": from_forest,
    "ExtraTreesClassifier": from_forest,
    "ExtraTreesRegressor": from_forest,
}


def _boosting_link(estimator: Any) -> Link:
    if not hasattr(estimator, "classes_"):
        return "identity"
    if estimator.estimators_.shape[1] > 1:
        return "softmax"
    return "halflogit" if estimator.loss == "exponential" else "sigmoid"


def from_isolation_forest(estimator: Any) -> TreeEnsemble:
    """Return an IsolationForest: the margin is the mean depth, over that of a search tree of as many rows."""
    everything = np.arange(estimator.n_features_in_)
    depths = zip(estimator._decision_path_lengths, estimator._average_path_length_per_tree, strict=True)
    trees = []
    for each, own, (path, rest) in zip(estimator.estimators_, estimator.estimators_features_, depths, strict=True):
        columns = everything if estimator._max_features == estimator.n_features_in_ else own
        trees.append(_tree(each.tree_, (path + rest - 1.0)[:, None], np.asarray(columns)))
    whole = len(trees) * _search_depth(int(estimator._max_samples))
    return _ensemble(
        estimator,
        join(trees, np.float32),
        link="isolation",
        base=(0.0 if whole else 1.0,),  # trees grown on one row say nothing: the library calls every row average
        accepts_missing=True,
        divisor=whole or 1.0,
    )


def _search_depth(rows: int) -> float:
    """The mean depth of an unsuccessful search in a binary search tree, as the library approximates it.

    Liu, Ting and Zhou, Isolation Forest (2008), equation 1, with ln(n - 1) + γ for the harmonic number.
    """
    if rows <= 2:
        return float(rows == 2)
    n = np.array([rows])
    return float((2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n)[0])


def _tree(tree: Any, value: Array, columns: Array | None = None) -> Tree:
    """One tree; `value` is what each node would say, `columns` are the features that it was grown on."""
    unknown = set(tree.__getstate__()["nodes"].dtype.names) - _NODE_FIELDS
    if unknown:
        raise UnsupportedModel(f"a tree's nodes hold '{min(unknown)}', which this version does not know; update mlcore")
    left, right = tree.children_left, tree.children_right
    split = left != -1
    feature = np.where(split, tree.feature, 0)
    return Tree(
        feature=np.where(split, feature if columns is None else columns[feature], -1),
        threshold=just_above(np.where(split, tree.threshold, 0.0), np.float32),
        default_left=tree.missing_go_to_left != 0,
        left=np.where(split, left, 0),
        right=np.where(split, right, 0),
        value=np.where(split[:, None], 0.0, value),
        cover=tree.weighted_n_node_samples,
        sets=unreachable(tree.threshold, split, np.float32),
    )


def _ensemble(
    estimator: Any, nodes: dict[str, Any], *, link: Link, base: tuple[float, ...], accepts_missing: bool,
    divisor: float = 1.0, tree_output: Array | None = None,
) -> TreeEnsemble:  # fmt: skip
    return TreeEnsemble(
        source="sklearn",
        objective=_kind(estimator),
        link=link,
        base_margin=base,
        **names(estimator),
        stored_categories=(None,) * estimator.n_features_in_,
        **nodes,
        tree_output=np.zeros(len(nodes["tree_start"]) - 1, np.int32) if tree_output is None else tree_output,
        divisor=divisor,
        accepts_missing=accepts_missing,
    )


def _kind(estimator: Any) -> str:
    return type(estimator).__name__
