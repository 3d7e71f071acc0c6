"""Every kind of CatBoost model against the library itself: margins bit for bit, leaves exactly, predictions within 1e-6."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import mlcore
from mlcore import models
from mlcore.bundle import Bundle
from mlcore.data.schema import Field, Schema
from mlcore.errors import MissingExtra, ModelFormatError, SchemaMismatch, UnsupportedModel, UsageError
from mlcore.preprocessing.features import Feature, Transforms
from mlcore.testing.awkward import mixed, neighbours

RNG = np.random.default_rng(23)
ROWS = 700
X = RNG.normal(size=(ROWS, 5))
X[:, 3] = RNG.integers(-3, 4, ROWS)
X[RNG.random(X.shape) < 0.1] = np.nan
X[:, 4] = np.nan_to_num(X[:, 4])  # no NaN in training
SCORE = np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1]) + 0.4 * (np.nan_to_num(X[:, 3]) > 1) + 0.2 * X[:, 4]
CLASSES = np.digitize(SCORE, [-0.5, 0.2, 0.8])
GROUPS = np.arange(ROWS) // 35


def fitted(kind: Any, y: Any, *, rows: Any = X, cat_features: Any = None, **settings: Any) -> Any:
    quiet = {"iterations": 12, "verbose": 0, "thread_count": 1, "allow_writing_files": False, "random_seed": 5}
    group = GROUPS if kind is catboost.CatBoostRanker else None
    model = kind(quiet | settings) if kind is catboost.CatBoost else kind(**quiet | settings)
    return model.fit(catboost.Pool(rows, y, cat_features=cat_features, group_id=group))


def raw(model: Any, rows: Any, **chosen: Any) -> np.ndarray:
    return catboost.CatBoost.predict(model, rows, prediction_type="RawFormulaVal", **chosen)


def bits(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.shape == expected.shape and found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def same(scorer: mlcore.Scorer, model: Any, rows: Any) -> None:
    """The Scorer says what the model says."""
    margin = raw(model, rows)
    assert bits(scorer.margin(rows), margin)
    few = range(0, min(64, rows.shape[0]), 16)  # which have a way of their own
    assert bits(np.concatenate([scorer.margin(rows[i : i + 16]) for i in few]), margin[:64])
    assert np.array_equal(scorer.leaf_ids(rows), model.calc_leaf_indexes(rows))
    found, expected = scorer.predict(rows), model.predict(rows)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    else:
        assert np.array_equal(found, expected)
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(scorer.predict_proba(rows), model.predict_proba(rows), rtol=1e-6, atol=1e-6)


def awkward(model: Any, rows: np.ndarray) -> np.ndarray:
    """Rows whose values are thresholds, their neighbours in float32 and float64, near zero, infinite or missing."""
    special = np.array([0, -0.0, 1e-45, -1e-45, 1e-40, np.finfo(np.float32).max, np.inf, -np.inf, np.nan], np.float32)
    pools = []
    for feature in range(rows.shape[1]):
        asked = model.threshold[(model.feature == feature) & (model.interval_set < 0)]
        pool = neighbours(np.concatenate([asked, special])).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            halves = (pool + np.nextafter(pool.astype(np.float32), np.float32(np.inf))) / 2  # round to the even one
        pools.append(np.concatenate([neighbours(pool), neighbours(halves), [1e300, -1e300, 5e-324]]))
    return mixed(rows, pools)


def check(model: Any, rows: Any = X, **options: Any) -> mlcore.Scorer:
    scorer = mlcore.compile(model, **options)
    for values in (rows, awkward(scorer.model, rows)):
        same(scorer, model, values)
    return scorer


POSITIVE = np.exp(SCORE)
SHARE = 1 / (1 + np.exp(-SCORE))
SEVERAL = np.stack([SCORE > 0, CLASSES > 1, X[:, 4] > 0], axis=1).astype(int)
WORDS = np.where(SCORE > 0.2, "yes", "no")
C, R, B, K = catboost.CatBoostClassifier, catboost.CatBoostRegressor, catboost.CatBoost, catboost.CatBoostRanker
KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "Logloss": (C, WORDS, {}),
    "Logloss, bool": (C, SCORE > 0, {}),
    "Logloss, floats": (C, np.where(SCORE > 0, 1.5, -2.0), {}),
    "Logloss, whole": (C, np.where(SCORE > 0, 7, -3), {}),
    "Logloss, of a CatBoost": (B, SCORE > 0, {"loss_function": "Logloss"}),
    "CrossEntropy": (C, SHARE, {"loss_function": "CrossEntropy"}),
    "Focal": (C, WORDS, {"loss_function": "Focal:focal_alpha=0.4;focal_gamma=2"}),
    "MultiClass": (C, CLASSES * 10 - 3, {}),
    "MultiClass, words": (C, np.array(list("dbac"))[CLASSES], {}),
    "MultiClass of two": (C, WORDS, {"loss_function": "MultiClass"}),
    "MultiClassOneVsAll": (C, CLASSES, {"loss_function": "MultiClassOneVsAll"}),
    "MultiLogloss": (C, SEVERAL, {"loss_function": "MultiLogloss"}),
    "MultiCrossEntropy": (C, SEVERAL * 0.8 + 0.1, {"loss_function": "MultiCrossEntropy"}),
    "RMSE": (R, SCORE, {}),
    "RMSE, of a CatBoost": (B, SCORE, {}),
    "RMSEWithUncertainty": (R, SCORE, {"loss_function": "RMSEWithUncertainty"}),
    "MultiRMSE": (R, np.stack([SCORE, 2 - SCORE], 1), {"loss_function": "MultiRMSE"}),
    "MultiQuantile": (R, SCORE, {"loss_function": "MultiQuantile:alpha=0.1,0.5,0.9"}),
    "MAE": (R, SCORE, {"loss_function": "MAE"}),
    "Quantile": (R, SCORE, {"loss_function": "Quantile:alpha=0.3"}),
    "LogLinQuantile": (R, SCORE, {"loss_function": "LogLinQuantile"}),
    "Expectile": (R, SCORE, {"loss_function": "Expectile:alpha=0.3"}),
    "Huber": (R, SCORE, {"loss_function": "Huber:delta=0.5"}),
    "Lq": (R, SCORE, {"loss_function": "Lq:q=3"}),
    "LogCosh": (R, SCORE, {"loss_function": "LogCosh"}),
    "MAPE": (R, POSITIVE, {"loss_function": "MAPE"}),
    "Poisson": (R, POSITIVE, {"loss_function": "Poisson"}),
    "Tweedie": (R, POSITIVE, {"loss_function": "Tweedie:variance_power=1.5"}),
    "Cox": (R, SCORE, {"loss_function": "Cox"}),
    "YetiRank": (K, CLASSES, {"loss_function": "YetiRank"}),
    "QueryRMSE": (K, CLASSES, {"loss_function": "QueryRMSE"}),
    "PairLogit": (K, CLASSES, {"loss_function": "PairLogit"}),
}
GROWTH: dict[str, dict[str, Any]] = {
    "oblivious": {},
    "Lossguide": {"grow_policy": "Lossguide", "max_leaves": 20},
    "Depthwise": {"grow_policy": "Depthwise", "depth": 4},
}


@pytest.mark.parametrize("kind", KINDS)
def test_margins_are_the_librarys_bits(kind: str) -> None:
    make, y, settings = KINDS[kind]
    check(fitted(make, y, **settings))


@pytest.mark.parametrize("growth", ["Lossguide", "Depthwise"])
@pytest.mark.parametrize("kind", ["Logloss", "MultiClass", "RMSE", "RMSEWithUncertainty", "MultiClassOneVsAll"])
def test_trees_that_are_not_oblivious(growth: str, kind: str) -> None:
    make, y, settings = KINDS[kind]
    check(fitted(make, y, **settings, **GROWTH[growth]))


@pytest.mark.parametrize("growth", GROWTH)
@pytest.mark.parametrize("nans", ["Min", "Max"])
def test_a_missing_value_is_below_or_above_all_others(nans: str, growth: str) -> None:
    scorer = check(fitted(R, SCORE, nan_mode=nans, **GROWTH[growth]))
    left = scorer.model.default_left[scorer.model.feature == 0]
    assert len(left) and np.all(left == (nans == "Min"))


def test_a_missing_value_that_training_never_saw_is_below_all_borders() -> None:
    rows = np.nan_to_num(X)
    model = fitted(R, SCORE, rows=rows, nan_mode="Max")
    same(mlcore.compile(model), model, X)


@pytest.mark.parametrize("growth", GROWTH)
def test_scale_and_bias(growth: str) -> None:
    model = fitted(R, SCORE, **GROWTH[growth])
    model.set_scale_and_bias(0.3, -1.7)
    scorer = check(model)
    assert (scorer.model.scale, scorer.model.bias) == (0.3, (-1.7,))
    with pytest.raises(UsageError, match="adds its bias after its trees"):
        scorer.margin(X, base_margin=np.zeros(ROWS))


@pytest.mark.parametrize("kind", ["Logloss", "MultiLogloss", "MultiCrossEntropy"])
def test_a_probability_threshold_moves_the_labels(kind: str) -> None:
    make, y, settings = KINDS[kind]
    model = fitted(make, y, **settings)
    for threshold in (0.2, 0.5, 0.71):
        model.set_probability_threshold(threshold)
        check(model)


@pytest.mark.parametrize("depth", [1, 2, 7, 8, 9, 12, 16])
def test_oblivious_trees_of_any_depth_are_complete_and_ask_one_question_a_level(depth: int) -> None:
    model = fitted(R, SCORE, depth=depth, iterations=2)
    found = check(model).model
    for tree in map(found.trees, range(found.n_trees), range(1, found.n_trees + 1)):
        levels = tree.n_nodes.bit_length() - 1
        assert tree.n_nodes == 2 ** (levels + 1) - 1
        for level in range(levels):
            nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
            assert len(np.unique(tree.feature[nodes])) == len(np.unique(tree.threshold[nodes])) == 1
        assert np.array_equal(tree.leaf_id[tree.feature < 0], np.arange(2**levels))
    assert found.n_nodes >= 2 ** (depth + 1) - 1


@pytest.mark.parametrize("borders", [254, 1000])
def test_features_with_many_borders(borders: int) -> None:
    check(fitted(R, SCORE, border_count=borders, iterations=300, learning_rate=0.5, depth=3, random_strength=5))


@pytest.mark.parametrize("backend", ["cpu", "numba"])
@pytest.mark.parametrize("engine", ["auto", "planes", "deep", "walk"])
def test_backends_engines_and_batches_agree(backend: str, engine: str) -> None:
    for growth in GROWTH.values():
        model = fitted(C, CLASSES, iterations=4, **growth)
        scorer = mlcore.compile(model, backend=backend, engine=engine)
        expected = raw(model, X)
        for rows in (0, 1, 15, 63, 513):
            table = pa.table({name: X[:rows, i] for i, name in enumerate("abcde")})
            chunked = pa.concat_tables([table[: rows // 3], table[rows // 3 :]])
            for layout in (X[:rows], np.asfortranarray(X[:rows]), table, chunked):
                assert bits(scorer.margin(layout), expected[:rows])
        assert bits(scorer.margin(X[::2]), expected[::2])


def test_the_librarys_own_bits_do_not_depend_on_the_batch() -> None:
    model = fitted(R, SCORE, iterations=101)
    whole = raw(model, X)
    for rows in (1, 7, 16, 17, 127, 128, 129):
        assert bits(raw(model, X[:rows]), whole[:rows])
    assert bits(raw(model, X, thread_count=4), whole)


@pytest.mark.parametrize("rounds", [(0, 5), (3, 7), (0, 0), (4, 0), (11, 12)])
@pytest.mark.parametrize("growth", GROWTH)
def test_some_trees_alone(rounds: tuple[int, int], growth: str) -> None:
    model = fitted(R, SCORE, **GROWTH[growth])
    chosen = {"ntree_start": rounds[0], "ntree_end": rounds[1] or 12}
    scorer = mlcore.compile(model, iteration_range=rounds)
    assert bits(scorer.margin(X), raw(model, X, **chosen))
    assert np.array_equal(scorer.leaf_ids(X), model.calc_leaf_indexes(X, **chosen))


@pytest.mark.parametrize("rounds", [(0, 13), (5, 5), (-1, 3), (12, 0)])
def test_trees_that_the_model_does_not_have_are_refused(rounds: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"do not lie within the model's 12"):
        mlcore.compile(fitted(R, SCORE), iteration_range=rounds)


def test_a_model_that_stopped_early_has_its_best_trees_alone() -> None:
    model = catboost.CatBoostRegressor(
        iterations=60, learning_rate=0.9, early_stopping_rounds=4, verbose=0, thread_count=1, allow_writing_files=False
    )
    model.fit(X[:400], SCORE[:400], eval_set=(X[400:], SCORE[400:]))
    assert model.tree_count_ == model.best_iteration_ + 1 < 60
    check(model)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int32, np.int16, np.uint8, np.uint32, bool])
def test_integers_pass_through_float32(dtype: Any) -> None:
    rows = np.nan_to_num(X[:, [0, 3, 4]] * 100).clip(0, 250).astype(dtype)
    if np.dtype(dtype).itemsize >= 4 and np.dtype(dtype).kind in "iu":
        rows = rows * dtype(2**24 // 3 + 1)
    model = fitted(R, SCORE, rows=rows, iterations=40)
    scorer = mlcore.compile(model)
    same(scorer, model, rows)
    frame = pd.DataFrame(rows, columns=list("abc"))
    assert bits(scorer.margin(frame), raw(model, frame))
    assert bits(scorer.margin(pa.Table.from_pandas(frame)), raw(model, frame))


def test_what_a_sparse_matrix_leaves_out_is_zero() -> None:
    rows = np.where(RNG.random(X.shape) < 0.6, 0, X)
    model = fitted(R, SCORE, rows=rows)
    for kind in ("csr_matrix", "csc_matrix"):
        sparse = getattr(scipy.sparse, kind)(rows)
        assert bits(mlcore.compile(model).margin(sparse), raw(model, rows))
        assert bits(mlcore.compile(model).margin(sparse), raw(model, scipy.sparse.csr_matrix(rows)))


def test_columns_go_by_name_where_the_model_has_names() -> None:
    frame = pd.DataFrame(X, columns=["b", "a", "0", "c c", "d"])
    model = fitted(R, SCORE, rows=frame, ignored_features=["a"])
    scorer = mlcore.compile(model)
    assert scorer.model.feature_names == ("b", "a", "0", "c c", "d") and scorer.model.named
    assert bits(scorer.margin(frame[["d", "c c", "0", "a", "b"]]), raw(model, frame))
    with pytest.raises(SchemaMismatch, match="column 'c c' is missing"):
        scorer.margin(frame.drop(columns="c c"))


@pytest.mark.parametrize("growth", GROWTH)
@pytest.mark.parametrize("given", ["path", "name", "bytes", "cbm", "cbm bytes", "reloaded"])
def test_files_and_bytes(given: str, growth: str, tmp_path: Path) -> None:
    model = fitted(C, WORDS, iterations=150, **GROWTH[growth])
    path, cbm = tmp_path / "model.json", tmp_path / "model.cbm"
    model.save_model(str(path), format="json")
    model.save_model(str(cbm))
    source: Any = {
        "path": path,
        "name": str(path),
        "bytes": path.read_bytes(),
        "cbm": cbm,
        "cbm bytes": cbm.read_bytes(),
        "reloaded": catboost.CatBoostClassifier().load_model(str(cbm)),
    }[given]
    scorer = mlcore.compile(source)
    assert bits(scorer.margin(X), raw(model, X))
    np.testing.assert_allclose(scorer.predict_proba(X), model.predict_proba(X), rtol=1e-6)
    if given == "reloaded":
        assert np.array_equal(scorer.predict(X), model.predict(X))
    else:  # as of any library's file: the probability
        np.testing.assert_allclose(scorer.predict(X), model.predict_proba(X)[:, 1], rtol=1e-6)


@pytest.mark.parametrize("growth", GROWTH)
def test_leaves_of_a_json_file_are_numbered_as_the_library_does_once_it_has_read_it(
    growth: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.json"
    fitted(C, CLASSES, **GROWTH[growth]).save_model(str(path), format="json")
    again = catboost.CatBoost().load_model(str(path), format="json")
    assert np.array_equal(mlcore.compile(path).leaf_ids(X), again.calc_leaf_indexes(X))
    # Its own reader of JSON is off in the last digits of some leaves; the file holds them all.
    np.testing.assert_allclose(mlcore.compile(path).margin(X), raw(again, X), rtol=1e-12, atol=1e-14)


def test_the_neutral_form_survives_arrow() -> None:
    for kind, growth in (("RMSE", "oblivious"), ("MultiClass", "Lossguide"), ("RMSEWithUncertainty", "Depthwise")):
        make, y, settings = KINDS[kind]
        model = models.read(fitted(make, y, **settings, **GROWTH[growth]))
        again = models.from_arrow(model.to_arrow())
        assert again.to_arrow().equals(model.to_arrow(), check_metadata=True)
        assert bits(mlcore.compile(again).margin(X), mlcore.compile(model).margin(X))


def test_a_bundle_scores_and_watches(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = fitted(C, WORDS, rows=frame)
    model.set_scale_and_bias(0.7, 0.1)
    table = pa.Table.from_pandas(frame)
    profile = mlcore.Profile.fit(table.append_column("prediction", pa.array(model.predict_proba(frame)[:, 1])))
    features = tuple(Feature(name, name, ()) for name in frame.columns)
    schema = Schema(tuple(Field(name, "double") for name in frame.columns))
    bundle = Bundle(models.read(model), Transforms(features), schema, provenance={"created": "now"}, profile=profile)
    bundle.save(tmp_path / "bundle")
    scorer = mlcore.compile(tmp_path / "bundle")
    assert bits(scorer.margin(table), raw(model, frame))
    np.testing.assert_allclose(scorer.predict(table), model.predict_proba(frame)[:, 1], rtol=1e-6)


def test_transformers_before_a_model() -> None:
    rows = np.nan_to_num(X)
    pipeline = Pipeline([("scale", StandardScaler()), ("model", C(iterations=5, verbose=0, allow_writing_files=False))])
    pipeline.fit(rows, WORDS)
    scorer = mlcore.compile(pipeline)
    assert np.array_equal(scorer.predict(rows), pipeline.predict(rows))
    assert bits(scorer.margin(rows), raw(pipeline[-1], pipeline[0].transform(rows)))


def test_a_sum_of_models_names_no_loss_and_gives_margins() -> None:
    parts = [fitted(R, SCORE), fitted(R, -SCORE, depth=3)]
    model = catboost.sum_models(parts, weights=[0.3, 0.7])
    scorer = mlcore.compile(model)
    assert scorer.model.objective == "custom"
    assert bits(scorer.margin(X), raw(model, X)) and bits(scorer.predict(X), model.predict(X))


@pytest.mark.parametrize("kind", ["RMSE", "Logloss", "MAE", "Poisson", "YetiRank"])
def test_explanations_are_the_librarys(kind: str) -> None:
    make, y, settings = KINDS[kind]
    model = fitted(make, y, **settings)
    expected = model.get_feature_importance(catboost.Pool(X), type="ShapValues")
    scorer = mlcore.compile(model)
    assert np.any((scorer.model.cover == 0) & (scorer.model.feature >= 0))  # splits that no training row passed
    np.testing.assert_allclose(scorer.explain(X), expected, rtol=0, atol=1e-5)
    model.set_scale_and_bias(1, -1.7)
    expected = model.get_feature_importance(catboost.Pool(X), type="ShapValues")
    np.testing.assert_allclose(mlcore.compile(model).explain(X), expected, rtol=0, atol=1e-5)
    model.set_scale_and_bias(0.3, -1.7)  # which the library does not explain
    np.testing.assert_allclose(mlcore.compile(model).explain(X).sum(axis=1), raw(model, X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("growth", ["Lossguide", "Depthwise"])
def test_explanations_of_trees_that_are_not_oblivious_sum_to_the_margin(growth: str, tmp_path: Path) -> None:
    model = fitted(R, SCORE, **GROWTH[growth])
    found = mlcore.compile(model).explain(X)
    np.testing.assert_allclose(found.sum(axis=1), raw(model, X), rtol=0, atol=1e-12)
    # Its own leave out leaves that are a node's missing child, which there are none of once it has read the JSON.
    model.save_model(str(tmp_path / "m.json"), format="json")
    again = catboost.CatBoost().load_model(str(tmp_path / "m.json"), format="json")
    expected = again.get_feature_importance(catboost.Pool(X), type="ShapValues")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["MultiClass", "MultiClassOneVsAll", "MultiRMSE", "RMSEWithUncertainty"])
def test_explanations_of_several_outputs_are_the_librarys(kind: str) -> None:
    make, y, settings = KINDS[kind]
    model = fitted(make, y, **settings)
    scorer = mlcore.compile(model)
    found, expected = scorer.explain(X), model.get_feature_importance(catboost.Pool(X), type="ShapValues")
    explained = expected.shape[1]  # the library leaves out the uncertainty
    np.testing.assert_allclose(found[:, :explained], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=2), scorer.margin(X), rtol=0, atol=1e-12)


def document(model: Any, tmp_path: Path) -> Any:
    model.save_model(str(tmp_path / "m.json"), format="json")
    return json.loads((tmp_path / "m.json").read_text())


def changed(edit: Callable[[Any], Any], tmp_path: Path) -> bytes:
    doc = document(fitted(R, SCORE, iterations=2), tmp_path)
    edit(doc)
    return json.dumps(doc).encode()


@pytest.mark.parametrize(("edit", "match"), [
    (lambda d: d["model_info"]["params"]["loss_function"].update(type="Newest"), "loss function 'Newest' is not imported"),
    (lambda d: d.update(linear_trees=[]), "holds 'linear_trees', which this version does not know"),
    (lambda d: d["features_info"].update(text_features=[{}]), "has 'text_features', which are not imported"),
    (lambda d: d["features_info"]["float_features"].pop(2), "neither numeric nor categorical"),
    (lambda d: d["features_info"]["float_features"][0].update(nan_value_treatment="AsZero"), "'AsZero' is not known"),
])  # fmt: skip
def test_what_is_not_known_is_refused_by_name(edit: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=match):
        mlcore.compile(changed(edit, tmp_path))


@pytest.mark.parametrize("settings", [{"classes_count": 5}, {"class_names": [0, 1, 2, 3, 7]}])
@pytest.mark.parametrize("loss", ["MultiClass", "MultiClassOneVsAll"])
def test_classes_that_were_announced_and_never_seen_are_refused(settings: Any, loss: str) -> None:
    model = fitted(C, CLASSES % 3, loss_function=loss, iterations=2, **settings)
    assert raw(model, X).shape == (len(X), 5)
    with pytest.raises(UnsupportedModel, match="trained on 3 of 5 classes"):
        mlcore.compile(model)


@pytest.mark.parametrize(("edit", "match"), [
    (lambda d: d["oblivious_trees"][1]["leaf_values"].pop(), "tree 1: 63 leaf values for 6 levels and 1 outputs"),
    (lambda d: d["oblivious_trees"][1]["leaf_weights"].pop(), "tree 1: 63 leaf weights"),
    (lambda d: d["oblivious_trees"][1]["leaf_weights"].__setitem__(0, -1), "weight is not a number from 0 up"),
    (lambda d: d["oblivious_trees"][0]["splits"][0].update(split_index=10**6), "'split_index' is 1000000, not a whole"),
    (lambda d: d["oblivious_trees"][0]["splits"][0].update(split_index=-1), "'split_index' is -1, not a whole"),
    (lambda d: d["oblivious_trees"][0]["splits"][0].update(border=17.0), "is not the question"),
    (lambda d: d["oblivious_trees"][0].update(splits=[1] * 60), "not a list of at most"),
    (lambda d: d["features_info"]["float_features"][0]["borders"].reverse(), "not finite and ascending"),
    (lambda d: d["features_info"]["float_features"][0].update(borders=[float("nan")]), "not finite and ascending"),
    (lambda d: d["features_info"]["float_features"][0].update(flat_feature_index=1), "two features stand at position 1"),
    (lambda d: d.update(scale_and_bias=[1, []]), "scale and bias are not finite numbers"),
    (lambda d: d.update(scale_and_bias=[1, [float("inf")]]), "scale and bias are not finite numbers"),
    (lambda d: d.pop("features_info"), "'features_info' is missing"),
    (lambda d: d.update(oblivious_trees={"a": 1}), "not a whole CatBoost model"),
])  # fmt: skip
def test_what_is_malformed_is_refused(edit: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=match):
        mlcore.compile(changed(edit, tmp_path))


def test_dates_are_refused_as_the_library_refuses_them() -> None:
    frame = pd.DataFrame(X, columns=list("abcde"))
    scorer = mlcore.compile(fitted(R, SCORE, rows=frame, iterations=1))
    with pytest.raises(SchemaMismatch, match="column 'b' holds timestamp"):
        scorer.margin(frame.assign(b=pd.Timestamp("2020-01-01")))


def test_a_cbm_file_is_read_where_memory_is_limited(tmp_path: Path) -> None:
    model = fitted(R, SCORE, iterations=1)
    model.save_model(str(tmp_path / "m.cbm"))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30));"
        "import mlcore; print(mlcore.compile(sys.argv[1]).model.n_trees)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "m.cbm")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1", done.stderr


def test_the_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(R, SCORE, iterations=1).save_model(str(tmp_path / "m.cbm"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'mlcore\[catboost\]', or save the model as JSON"):
        mlcore.compile(tmp_path / "m.cbm")


def test_what_is_no_model_of_the_library_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedModel, match=r"models of type catboost\.core\.Pool are not imported"):
        mlcore.compile(catboost.Pool(X, SCORE))


def test_what_would_change_the_numbers_is_refused() -> None:
    with pytest.raises(UsageError, match="missing= is XGBoost's; a CatBoost model"):
        mlcore.compile(fitted(R, SCORE, iterations=1), missing=-1.0)
    with pytest.raises(UsageError, match="CatBoostRegressor is not fitted"):
        mlcore.compile(catboost.CatBoostRegressor())
