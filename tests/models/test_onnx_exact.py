"""ONNX models against ONNX Runtime on one thread: tree scores and labels bit for bit, probabilities within 1e-6."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import xgboost
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import mlcore
from mlcore import models
from mlcore.errors import DataError, MissingExtra, UnsupportedModel, UsageError
from mlcore.testing.awkward import mixed
from mlcore.testing.onnx import ensemble, model_of, neighbours, run

RNG = np.random.default_rng(23)
X = RNG.normal(size=(400, 4)).astype(np.float32)
X[:, 3] = RNG.integers(0, 12, 400)
HOLES = X.copy()
HOLES[RNG.random(X.shape) < 0.1] = np.nan
Y = (X[:, 0] * X[:, 1] + (X[:, 3] % 3 == 0)).astype(np.float32)
TWO, THREE = (Y > 0).astype(int), np.digitize(Y, [0, 0.7])
INPUT = [("input", FloatTensorType([None, 4]))]
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


def same(found: np.ndarray, expected: Any) -> bool:
    expected = np.asarray(expected)
    return found.shape == expected.shape and found.dtype == expected.dtype and bool(np.array_equal(found, expected))


def check(model: onnx.ModelProto, rows: np.ndarray = X, *, exact: bool = True) -> mlcore.Scorer:
    """`predict` and `predict_proba` are the session's outputs; labels and, if exact, values are the same bits."""
    scorer: Any = mlcore.compile(model)
    first, *rest = run(model, rows)
    found = scorer.predict(rows)
    few = np.concatenate([scorer.predict(rows[i : i + 7]) for i in range(0, len(rows), 7)])
    assert same(found, few)
    if exact:
        assert same(found, first)
    else:
        assert found.shape == first.shape
        np.testing.assert_allclose(found, first, rtol=2e-5, atol=2e-5)
    for expected in rest:
        shares = np.array([list(row.values()) for row in expected]) if isinstance(expected, list) else expected
        np.testing.assert_allclose(scorer.predict_proba(rows), shares, rtol=1e-6, atol=1e-6)
    return scorer


def awkward(model: Any, rows: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Rows of thresholds, their neighbours, ±0, ±inf and NaN."""
    pools = [neighbours(model.threshold[model.feature == feature], dtype) for feature in range(rows.shape[1])]
    return mixed(rows.astype(dtype), pools)


SKLEARN: dict[str, tuple[Any, Any]] = {
    "tree": (DecisionTreeRegressor(max_depth=4), Y),
    "tree, classes": (DecisionTreeClassifier(max_depth=4), TWO),
    "forest": (RandomForestRegressor(20, max_depth=6, random_state=0), Y),
    "forest, two targets": (RandomForestRegressor(20, max_depth=6, random_state=0), np.c_[Y, 3 * Y]),
    "forest, two classes": (RandomForestClassifier(20, max_depth=6, random_state=0), TWO),
    "forest, three classes": (RandomForestClassifier(20, max_depth=6, random_state=0), THREE),
    "forest, strings": (RandomForestClassifier(20, max_depth=6, random_state=0), np.array(["a", "b", "c"])[THREE]),
    "forest, two strings": (ExtraTreesClassifier(20, max_depth=6, random_state=0), np.array(["no", "yes"])[TWO]),
    "boosting": (GradientBoostingRegressor(n_estimators=20), Y),
    "boosting, two classes": (GradientBoostingClassifier(n_estimators=20), TWO),
    "boosting, labels": (GradientBoostingClassifier(n_estimators=20), np.array([-5, 7])[TWO]),
    "boosting, three classes": (GradientBoostingClassifier(n_estimators=20), THREE),
}


@pytest.mark.parametrize("name", SKLEARN)
@pytest.mark.parametrize("maps", [False, True])
def test_trees_of_scikit_learn(name: str, maps: bool) -> None:
    estimator, y = SKLEARN[name]
    options = {id(estimator): {"zipmap": maps}} if hasattr(estimator, "predict_proba") else None
    if maps and options is None:
        return
    model = to_onnx(estimator.fit(X, y), X[:1], options=options)
    scorer = check(model)
    check(model, awkward(scorer.model, X))


HISTOGRAMS: dict[str, tuple[Any, Any]] = {
    "values": (HistGradientBoostingRegressor(max_iter=12), Y),
    "absolute errors": (HistGradientBoostingRegressor(max_iter=12, loss="absolute_error"), Y),
    "two classes": (HistGradientBoostingClassifier(max_iter=12), TWO),
    "three classes": (HistGradientBoostingClassifier(max_iter=12), THREE),
    "strings": (HistGradientBoostingClassifier(max_iter=12), np.array(["a", "b", "c"])[THREE]),
}


@pytest.mark.parametrize("name", HISTOGRAMS)
@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("rows", [X, HOLES], ids=["whole", "holes"])
def test_histogram_boosting_of_scikit_learn(
    name: str, maps: bool, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """skl2onnx 1.20 writes booleans where onnx 1.23 takes whole numbers alone; it gets them as those."""

    def make_node(*args: Any, **attributes: Any) -> onnx.NodeProto:
        for key, value in attributes.items():
            if isinstance(value, list) and any(isinstance(item, bool) for item in value):
                attributes[key] = [int(item) for item in value]
        return helper.make_node(*args, **attributes)

    monkeypatch.setattr("skl2onnx.common._container.make_node", make_node)
    estimator, y = HISTOGRAMS[name]
    options = {id(estimator): {"zipmap": maps}} if hasattr(estimator, "predict_proba") else None
    if maps and options is None:
        return
    model = to_onnx(estimator.fit(rows, y), rows[:1], options=options)
    scorer = check(model, rows)
    check(model, awkward(scorer.model, rows))
    answer = "predict_proba" if options else "predict"
    expected, found = getattr(estimator, answer)(rows), getattr(scorer, answer)(rows)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


def test_whole_numbers_are_compared_as_float32() -> None:
    whole = RNG.integers(-5, 5, X.shape)
    check(to_onnx(RandomForestRegressor(5, random_state=0).fit(whole, Y), whole[:1]), whole)


LINEAR: dict[str, tuple[Any, Any]] = {
    "least squares": (LinearRegression(), Y),
    "two targets": (Ridge(), np.c_[Y, 3 * Y]),
    "network": (MLPRegressor(hidden_layer_sizes=(8, 5)), Y),
}
CLASSIFIERS: dict[str, tuple[Any, Any]] = {
    "logistic, two": (LogisticRegression(), TWO),
    "logistic, three": (LogisticRegression(), THREE),
    "logistic, strings": (LogisticRegression(), np.array(["a", "b", "c"])[THREE]),
    "network, two": (MLPClassifier(hidden_layer_sizes=(8,), activation="tanh"), TWO),
    "network, three": (MLPClassifier(hidden_layer_sizes=(8, 5), activation="logistic"), THREE),
    "network, strings": (MLPClassifier(hidden_layer_sizes=(8, 5)), np.array(["a", "b", "c"])[THREE]),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sums_of_scikit_learn(name: str) -> None:
    estimator, y = LINEAR[name]
    estimator.set_params(**{"max_iter": 30, "random_state": 0} if hasattr(estimator, "hidden_layer_sizes") else {})
    check(to_onnx(estimator.fit(X, y), X[:1]), exact=False)
    doubles = X.astype(np.float64)
    check(to_onnx(estimator.fit(doubles, y), doubles[:1]), doubles, exact=False)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_linear_and_dense_classifiers_of_scikit_learn(name: str) -> None:
    estimator, y = CLASSIFIERS[name]
    estimator.set_params(max_iter=30, random_state=0)
    check(to_onnx(estimator.fit(X, y), X[:1], options={"zipmap": False}))
    check(to_onnx(estimator.fit(X, y), X[:1]))


def test_a_support_vector_machine_of_three_classes() -> None:
    check(to_onnx(LinearSVC().fit(X, THREE), X[:1]))


def test_a_missing_value_is_an_error_of_what_has_no_branch_for_it() -> None:
    scorer = mlcore.compile(to_onnx(LinearRegression().fit(X, Y), X[:1]))
    with pytest.raises(DataError, match="column 'f0' has a missing value"):
        scorer.predict(HOLES[np.isnan(HOLES[:, 0])])


XGBOOST: dict[str, tuple[Any, Any]] = {
    "reals": (xgboost.XGBRegressor, Y),
    "two classes": (xgboost.XGBClassifier, TWO),
    "three classes": (xgboost.XGBClassifier, THREE),
    "random forest": (xgboost.XGBRFRegressor, Y),
}
LIGHTGBM: dict[str, tuple[Any, Any]] = {
    "reals": (lightgbm.LGBMRegressor(), Y),
    "two classes": (lightgbm.LGBMClassifier(), TWO),
    "three classes": (lightgbm.LGBMClassifier(), THREE),
    "random forest": (lightgbm.LGBMRegressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5), Y),
}


@pytest.mark.filterwarnings("ignore:.*XGBRF:FutureWarning")  # XGBoost 3.4 says so of its random forests
@pytest.mark.parametrize("name", XGBOOST)
def test_xgboost_through_onnxmltools(name: str) -> None:
    kind, y = XGBOOST[name]
    model = convert_xgboost(kind(n_estimators=20, max_depth=4).fit(HOLES, y), initial_types=INPUT)
    check(model, awkward(check(model, HOLES).model, X))


@pytest.mark.parametrize("name", LIGHTGBM)
@pytest.mark.parametrize("rows", [X, HOLES], ids=["whole", "missing"])
def test_lightgbm_through_onnxmltools(name: str, rows: np.ndarray) -> None:
    estimator, y = LIGHTGBM[name]
    estimator.set_params(n_estimators=12, verbose=-1)
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {}
    model = convert_lightgbm(estimator.fit(rows, y), initial_types=INPUT, **options)
    check(model, awkward(check(model, rows).model, X))


def test_sets_of_categories_through_onnxmltools() -> None:
    """The converter writes each as a chain of BRANCH_EQ that lead to one branch."""
    estimator = lightgbm.LGBMRegressor(n_estimators=12, min_child_samples=3, cat_smooth=1, verbose=-1)
    model = convert_lightgbm(estimator.fit(X, Y, categorical_feature=[3]), initial_types=INPUT)
    scorer = check(model)
    assert np.any(scorer.model.interval_set >= 0)
    check(model, awkward(scorer.model, X))


def test_an_objective_that_exponentiates_through_onnxmltools() -> None:
    estimator = lightgbm.LGBMRegressor(objective="poisson", n_estimators=12, verbose=-1).fit(X, np.abs(Y))
    check(convert_lightgbm(estimator, initial_types=INPUT), exact=False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_mode_at_its_threshold(mode: str, missing: int, dtype: Any) -> None:
    thresholds = [0.0, -0.0, 0.1, -3.0, 1e-45, np.inf, -np.inf, 3.4028234663852886e38]
    rows = neighbours(thresholds, dtype)
    rows = np.stack([rows, rows[::-1]], axis=1)
    for threshold in thresholds:
        trees = [
            (mode, 0, threshold, missing, {0: 1.5}, (mode, 1, 0.1, 0, {0: 2.25}, {0: -4.0})),
            (mode, 1, threshold, 1 - missing, (mode, 0, 0.3, missing, {0: 0.1}, {0: 0.7}), {0: 8.0}),
        ]
        for doubles in {False, dtype is np.float64}:
            check_raw(ensemble(trees, dtype=dtype, doubles=doubles), rows)


def check_raw(model: onnx.ModelProto, rows: np.ndarray) -> None:
    """Of a double input ONNX Runtime gives the sums, which are double, as float32; mlcore gives them as they are."""
    margin = mlcore.compile(model).margin(rows)
    assert margin.dtype == rows.dtype
    assert same(margin.astype(np.float32), run(model, rows)[0])


def test_modes_of_all_kinds_in_one_tree() -> None:
    rows = neighbours([0.5, 1.0, 2.0], np.float32)
    rows = np.stack(np.meshgrid(rows, rows), axis=-1).reshape(-1, 2)
    tree: Any = {0: -1.0}
    for i, mode in enumerate(MODES * 2):
        tree = (mode, i % 2, [0.5, 1.0, 2.0][i % 3], i % 2, {0: float(2**i)}, tree)
    check(ensemble([tree, {0: 0.25}]), rows)


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
@pytest.mark.parametrize("base", [None, [0.1], [0.1, -7.3, 1e9]])
def test_base_values_are_added_after_the_trees(aggregate: str, base: Any) -> None:
    targets = 1 if base is None else len(base)
    rng = np.random.default_rng(4)
    trees = [
        (
            "BRANCH_LEQ",
            i % 2,
            float(rng.normal()),
            0,
            *[{t: float(w) for t, w in enumerate(rng.normal(size=targets))}] * 2,
        )
        for i in range(37)
    ]
    trees = [(*tree[:5], dict.fromkeys(range(targets), 0.001 * i)) for i, tree in enumerate(trees)]
    attributes = {} if base is None else {"base_values": base}
    model = ensemble(trees, aggregate_function=aggregate, n_targets=targets, **attributes)
    scorer = check(model, X[:, :2].copy())
    with pytest.raises(UsageError, match="adds its bias after its trees") if base else pytest.raises(AssertionError):
        scorer.margin(X[:, :2], base_margin=np.zeros(400))
        raise AssertionError
    again = models.from_arrow(scorer.model.to_arrow())
    assert mlcore.compile(again).margin(X[:, :2]).tobytes() == scorer.margin(X[:, :2]).tobytes()


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_transforms_of_several_targets(post: str) -> None:
    trees = [
        ("BRANCH_LT", 0, 0.2, 0, {0: 1.0, 2: -3.0}, {1: 2.0}),
        ("BRANCH_LT", 1, 0.2, 0, {1: 1.0}, {0: 5.0}),
        ("BRANCH_LT", 1, 0.4, 0, {0: 0.0, 1: 0.5, 2: 0.25}, {0: -1.0, 1: 1.0, 2: 0.75}),
    ]
    model = ensemble(trees, n_targets=3, post_transform=post, base_values=[0.5, 0.25, 1.0])
    check(model, X[:, :2].copy(), exact=post == "NONE")


TREES = [("BRANCH_LEQ", 0, 0.1, 0, {0: 0.2}, {0: 0.45}), ("BRANCH_LEQ", 1, 0.1, 0, {0: 0.05}, {0: 0.3})]
SIGNED = [("BRANCH_LEQ", 0, 0.1, 0, {0: -0.2}, {0: 0.45}), ("BRANCH_LEQ", 1, 0.1, 0, {0: -0.25}, {0: 0.2})]


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC"])
@pytest.mark.parametrize("trees", [TREES, SIGNED], ids=["positive", "signed"])
@pytest.mark.parametrize("base", [None, [0.0], [0.25], [-0.4]])
@pytest.mark.parametrize("labels", [{"classlabels_int64s": [3, 9]}, {"classlabels_strings": ["no", "yes"]}])
def test_two_classes_of_one_score(post: str, trees: Any, base: Any, labels: Any) -> None:
    attributes = {"post_transform": post, **labels} | ({} if base is None else {"base_values": base})
    check(ensemble(trees, op="TreeEnsembleClassifier", **attributes), X[:, :2].copy())


def test_two_classes_that_meet_the_cut_exactly() -> None:
    for weights in ([0.5, 0.25], [0.0, -1.0]):
        trees = [("BRANCH_LEQ", 0, 0.1, 0, {0: weights[0]}, {0: weights[1]})]
        check(ensemble(trees, op="TreeEnsembleClassifier", classlabels_int64s=[0, 1]), X[:, :2].copy())


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC"])
@pytest.mark.parametrize("base", [None, [0.5, -2.0, 0.25]])
def test_three_classes_each_with_its_own_trees(post: str, base: Any) -> None:
    trees = [("BRANCH_LEQ", i % 2, 0.1 * i, 0, {i % 3: -0.5 * i}, {i % 3: 0.75}) for i in range(6)]
    attributes = {"post_transform": post} | ({} if base is None else {"base_values": base})
    check(ensemble(trees, op="TreeEnsembleClassifier", classlabels_int64s=[4, 2, 8], **attributes), X[:, :2].copy())


def test_double_tensors_of_a_classifier() -> None:
    trees = [("BRANCH_LEQ", i % 2, 0.1 * i, 0, {i % 3: -0.1 * i}, {i % 3: 0.7}) for i in range(6)]
    labels = {"classlabels_strings": ["a", "b", "c"]}
    model = ensemble(trees, op="TreeEnsembleClassifier", dtype=np.float64, doubles=True, **labels)
    rows = X[:, :2].astype(np.float64)
    check(model, rows)


def version_5(dtype: Any, *, members: Any = (1.0, 3.0, 40.0, -2.0), **changes: Any) -> onnx.ModelProto:
    """Node 0 asks for membership, 1 and 2 compare, 3 is the root of a tree of its own; leaves as they are named."""
    attributes: dict[str, Any] = {
        "aggregate_function": 1, "n_targets": 2, "post_transform": 0, "tree_roots": [0, 3],
        "nodes_modes": np.array([6, 0, 3, 1], np.uint8), "nodes_featureids": [0, 1, 1, 0],
        "nodes_splits": np.array([0, 0.5, 1.5, 0.25], dtype), "membership_values": np.array([*members, np.nan], dtype),
        "nodes_truenodeids": [1, 0, 2, 4], "nodes_trueleafs": [0, 1, 1, 1],
        "nodes_falsenodeids": [2, 1, 3, 5], "nodes_falseleafs": [0, 1, 1, 1],
        "nodes_missing_value_tracks_true": [1, 0, 1, 0],
        "leaf_targetids": [0, 1, 0, 1, 1, 0], "leaf_weights": np.array([1.1, 2.2, 3.3, 4.4, 5.5, 6.6], dtype),
    } | changes  # fmt: skip
    tensors = {
        name: numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value
        for name, value in attributes.items()
    }
    node = helper.make_node("TreeEnsemble", ["X"], ["Y"], domain="ai.onnx.ml", **tensors)
    return model_of([node], {"Y": TensorProto.FLOAT if dtype == np.float32 else TensorProto.DOUBLE}, dtype=dtype, ml=5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "members", [(1.0, 3.0, 40.0, -2.0), (0.0, 1.0, 2.0), (7.0,), tuple(map(float, range(-20, 40))), (1.0, 2.0**24)]
)
@pytest.mark.parametrize("aggregate", [0, 1])
def test_opset_5_with_sets_of_members(dtype: Any, members: Any, aggregate: int) -> None:
    rows = neighbours([*members, 0.25, 0.5, 1.5], dtype)
    rows = np.stack(np.meshgrid(rows, rows), axis=-1).reshape(-1, 2)
    check(version_5(dtype, members=members, aggregate_function=aggregate), rows)


def test_columns_that_the_graph_joins_are_known_by_name() -> None:
    base = ensemble([("BRANCH_LEQ", 0, 0.1, 0, {0: 1.0}, ("BRANCH_LT", 1, 0.3, 1, {0: 2.0}, {0: 3.0}))])
    graph = base.graph
    del graph.input[:]
    graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("age", "pay"))
    graph.node.insert(0, helper.make_node("Concat", ["age", "pay"], ["X"], axis=1))
    table = pd.DataFrame({"pay": X[:, 1], "other": X[:, 2], "age": X[:, 0]})
    started = onnxruntime.InferenceSession(base.SerializeToString())
    expected = started.run(None, {"age": X[:, :1], "pay": X[:, 1:2]})[0]
    assert same(mlcore.compile(base).predict(table), expected)
    assert same(mlcore.compile(base).predict(X[:, :2]), expected)


def test_bytes_and_paths_are_read(tmp_path: Path) -> None:
    model = ensemble(SIGNED)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    expected = mlcore.compile(model).predict(X[:, :2])
    for source in (model.SerializeToString(), tmp_path / "model.onnx", str(tmp_path / "model.onnx")):
        assert same(mlcore.compile(source).predict(X[:, :2]), expected)
    assert models.read(tmp_path / "model.onnx").n_trees == 2
    with pytest.raises(UsageError, match="an ONNX model is"):
        mlcore.compile(model, iteration_range=(0, 1))


def changed(**attributes: Any) -> onnx.ModelProto:
    return ensemble(SIGNED, **attributes)


BOTH = [("BRANCH_LEQ", 0, 0.1, 0, {0: 0.2, 1: 0.4}, {0: 0.45, 1: 0.1})]
IDENTITY = helper.make_node("Identity", ["X"], ["Y"])
REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "minimum": (changed(aggregate_function="MIN"), "aggregate_function MIN"),
    "maximum": (changed(aggregate_function="MAX"), "aggregate_function MAX"),
    "probit": (changed(post_transform="PROBIT"), "post_transform PROBIT"),
    "softmax zero": (changed(post_transform="SOFTMAX_ZERO"), "post_transform SOFTMAX_ZERO"),
    "transform of one": (changed(post_transform="LOGISTIC"), "post_transform LOGISTIC of one target"),
    "NaN": (ensemble([("BRANCH_LEQ", 0, np.nan, 0, {0: 1.0}, {0: 2.0})]), "compares with NaN"),
    "both classes": (ensemble(BOTH, op="TreeEnsembleClassifier", classlabels_int64s=[0, 1]), "weights for \\[0, 1\\]"),
    "unscored class": (
        ensemble([("BRANCH_LEQ", 0, 0.1, 0, {0: -1.0}, {1: 2.0})], op="TreeEnsembleClassifier", classlabels_int64s=[0, 1, 2]),
        "may get no score for some class",
    ),
    "unscored target": (
        ensemble([("BRANCH_LEQ", 0, 0.1, 0, {0: -1.0}, {1: 2.0})], n_targets=2, base_values=[1.0, 2.0]),
        "may get nothing for some target",
    ),
    "joined leaves": (
        ensemble(
            [("BRANCH_EQ", 0, 1.0, 0, {0: 3.0, 1: 0.5}, ("BRANCH_EQ", 0, 2.0, 0, {0: 3.0, 1: 0.25}, {0: 1.0}))], n_targets=2
        ),
        "takes them for one set",
    ),
    "joined leaf without weights": (
        ensemble(
            [("BRANCH_EQ", 0, 1.0, 0, {}, ("BRANCH_EQ", 0, 2.0, 0, {1: 0.25, 0: 1.0}, {2: 5.0})), {1: 7.0}], n_targets=3
        ),
        "takes them for one set",
    ),
    "joined ways": (
        ensemble([("BRANCH_EQ", 0, 1.0, 0, {0: 3.0}, ("BRANCH_EQ", 0, 2.0, 1, {0: 3.0}, {0: 1.0}))]),
        "takes them for one set",
    ),
    "broken members": (version_5(np.float32, members=(1.5, 40.0)), "beyond 0 to 30 that are not all whole"),
    "no model": (model_of([IDENTITY], {"Y": 1}), "the input's columns instead of scores"),
    "operator": (model_of([helper.make_node("Gelu", ["X"], ["Y"])], {"Y": 1}), "operator 'Gelu'"),
    "domain": (model_of([helper.make_node("F", ["X"], ["Y"], domain="my.own")], {"Y": 1}), "'F' of domain 'my.own'"),
    "member of a mode": (version_5(np.float32, nodes_modes=np.array([6, 0, 9, 1], np.uint8)), "mode 9"),
    "softmax of opset 5": (version_5(np.float32, post_transform=1), "post_transform SOFTMAX of TreeEnsemble"),
    "logistic of opset 5": (version_5(np.float32, post_transform=2), "post_transform LOGISTIC of TreeEnsemble"),
    "transform 3 of opset 5": (version_5(np.float32, post_transform=3), "post_transform SOFTMAX_ZERO"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_imported_is_refused_by_name(name: str) -> None:
    model, message = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=message):
        mlcore.compile(model)


def test_two_models_in_one_graph_are_refused() -> None:
    model, other = ensemble(SIGNED), ensemble(TREES)
    other.graph.node[0].output[0] = "second"
    model.graph.node.append(other.graph.node[0])
    model.graph.output.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, None))
    with pytest.raises(UnsupportedModel, match="more than one model"):
        mlcore.compile(model)


def test_numbers_in_another_file_are_refused() -> None:
    layer = numpy_helper.from_array(np.ones((2, 1), np.float32), "w")
    model = model_of([helper.make_node("MatMul", ["X", "w"], ["Y"])], {"Y": 1})
    layer.data_location = TensorProto.EXTERNAL
    layer.external_data.add(key="location", value="/etc/passwd")
    model.graph.initializer.append(layer)
    with pytest.raises(UnsupportedModel, match="another file"):
        mlcore.compile(model)


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ensemble(SIGNED).SerializeToString()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mlcore\[onnx\]'"):
        mlcore.compile(data)


def test_few_rows_and_any_number_of_threads_of_the_scorer_give_the_same_bits() -> None:
    model = to_onnx(RandomForestRegressor(60, random_state=0).fit(X, Y), X[:1])
    expected = run(model, X)[0]
    for threads in (1, 3):
        scorer = mlcore.compile(model, threads=threads)
        assert same(scorer.predict(X), expected)
        assert same(scorer.predict(X[:1]), run(model, X[:1])[0])


def test_more_threads_of_a_session_differ_by_rounding_only() -> None:
    """They add trees in parts: n trees differ by n roundings of the largest partial sum at most."""
    model = to_onnx(RandomForestRegressor(60, random_state=0).fit(X, Y), X[:1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    found = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"X": X})[0]
    np.testing.assert_allclose(mlcore.compile(model).predict(X), found, rtol=0, atol=60 * 2.0**-24 * np.abs(Y).max())


SCALED: dict[str, Any] = {
    "standard": StandardScaler(),
    "range": MinMaxScaler((-3, 5)),
    "largest": MaxAbsScaler(),
    "two": make_pipeline(StandardScaler(), MinMaxScaler()),
}


@pytest.mark.parametrize("name", SCALED)
def test_scalers_before_trees_fold_into_their_thresholds(name: str) -> None:
    rows = (X * [1e-3, 50, 1e4, 1] + [1e3, -7, 0, 2]).astype(np.float32)
    for trees, y in (
        (RandomForestRegressor(20, random_state=0), Y),
        (GradientBoostingClassifier(n_estimators=9), THREE),
    ):
        pipeline = make_pipeline(clone(SCALED[name]), trees).fit(rows, y)
        model = to_onnx(pipeline, rows[:1])
        scorer = check(model, rows)
        check(model, awkward(scorer.model, rows))


def test_scaled_sets_are_those_of_raw_values() -> None:
    inner = ("BRANCH_EQ", 1, 0.5, 0, {0: 1.0}, {0: 2.0})
    model = ensemble([("BRANCH_NEQ", 0, 0.1, 0, inner, ("BRANCH_LEQ", 0, np.inf, 0, {0: 4.0}, {0: 5.0}))])
    node = model.graph.node[0]
    node.input[0] = "scaled"
    step = helper.make_node("Scaler", ["X"], ["scaled"], domain="ai.onnx.ml", offset=[0.1, 7.0], scale=[1e-3, 100.0])
    model.graph.node.insert(0, step)
    scorer: Any = mlcore.compile(model)
    rows = neighbours([*scorer.model.bounds, 100.1, 7.005], np.float32)
    check(model, np.stack(np.meshgrid(rows, rows), axis=-1).reshape(-1, 2))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scalers_before_sums() -> None:
    network = MLPClassifier(hidden_layer_sizes=(8,), max_iter=30, random_state=0)
    for last, y in ((LogisticRegression(), THREE), (network, TWO), (Ridge(), Y)):
        pipeline = make_pipeline(StandardScaler(), last).fit(X, y)
        check(to_onnx(pipeline, X[:1]), exact=hasattr(last, "predict_proba"))


def test_a_scaler_that_turns_a_column_round_is_refused() -> None:
    model = ensemble(SIGNED)
    model.graph.node[0].input[0] = "scaled"
    step = helper.make_node("Scaler", ["X"], ["scaled"], domain="ai.onnx.ml", offset=[0.0], scale=[-1.0])
    model.graph.node.insert(0, step)
    with pytest.raises(UnsupportedModel, match="not a positive number"):
        mlcore.compile(model)
