"""Every kind of XGBoost model against the library itself: margins bit for bit, leaves exactly, predictions within 1e-6."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import xgboost
from xgboost import DMatrix

import mlcore
from mlcore import models
from mlcore.errors import DataError, SchemaMismatch, UnsupportedModel, UsageError

RNG = np.random.default_rng(11)
ROWS = 3_000
X = RNG.normal(size=(ROWS, 6)).astype(np.float32)
X[:, 4] = RNG.integers(0, 40, ROWS)
X[:, 5] = RNG.integers(-3, 4, ROWS)
X[RNG.random(X.shape) < 0.08] = np.nan
SCORE = (
    np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1]) + (np.nan_to_num(X[:, 4]) % 3 == 0) + 0.1 * RNG.normal(size=ROWS)
)
TYPES = ["q", "q", "q", "q", "c", "q"]
FEW = 400  # rows of the slow comparisons
BOUNDS = (np.exp(SCORE - 0.1), np.exp(SCORE + 0.1))


VERSION = tuple(map(int, xgboost.__version__.split(".")[:2]))
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*booster=:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*gblinear:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*XGBRF:FutureWarning"),
]


def matrix(y: Any = None, rows: Any = X, *, categorical: bool = True, **more: Any) -> DMatrix:
    return DMatrix(rows, y, feature_types=TYPES if categorical else None, enable_categorical=True, **more)


def train(y: Any, *, rounds: int = 12, weight: Any = None, group: bool = False, **params: Any) -> xgboost.Booster:
    data = matrix(y, categorical=params.get("booster") != "gblinear")
    if group:
        data.set_group([100] * (ROWS // 100))
    if params.get("objective") == "survival:aft":
        data.set_float_info("label_lower_bound", BOUNDS[0])
        data.set_float_info("label_upper_bound", BOUNDS[1])
    trees = {} if params.get("booster") == "gblinear" else {"max_depth": 5, "max_cat_to_onehot": 5}
    settings = {"nthread": 1, "seed": 3, **trees, **params}
    return xgboost.train(settings, data, rounds)


def bits(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.shape == expected.shape and found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def check(booster: xgboost.Booster, rows: np.ndarray = X, **options: Any) -> None:
    """The Scorer says what the Booster says, at awkward values too."""
    scorer = mlcore.compile(booster, **options)
    for values in (rows, awkward(scorer.model, rows[:FEW])):
        data = matrix(rows=values, categorical=scorer.model.n_trees > 0)
        assert bits(scorer.margin(values), booster.predict(data, output_margin=True))
        np.testing.assert_allclose(scorer.predict(values), booster.predict(data), rtol=2e-6, atol=1e-6)


def awkward(model: Any, rows: np.ndarray) -> np.ndarray:
    """Rows whose values are thresholds, their neighbours, zeros of both signs, and what no category is."""
    if isinstance(model, models.LinearModel):
        return rows
    rng = np.random.default_rng(1)
    pool = model.threshold[(model.feature >= 0) & np.isfinite(model.threshold)]
    pool = np.concatenate(
        [pool, np.nextafter(pool, np.float32(9e9)), np.nextafter(pool, np.float32(-9e9)), [0.0, -0.0]]
    )
    out = np.where(rng.random(rows.shape) < 0.7, rng.choice(pool, rows.shape), rows).astype(np.float32)
    out[:, 4] = rng.choice([0, 1, 31, 32, 39, 40, 255, 256, 2**24 - 1, 2**24, np.nan], len(rows))
    return out


LABELS: dict[str, Callable[[], Any]] = {
    "real": lambda: SCORE,
    "binary": lambda: SCORE > 0.5,
    "positive": lambda: np.exp(SCORE),
    "counts": lambda: np.floor(np.exp(SCORE)),
    "classes": lambda: np.digitize(SCORE, [0, 0.5, 1.5]),
    "grades": lambda: np.digitize(SCORE, [0, 1]),
    "three": lambda: np.stack([SCORE, -SCORE, SCORE**2], axis=1),
    "labels": lambda: np.stack([SCORE > 0, SCORE > 1], axis=1),
}
OBJECTIVES = [
    ("binary:hinge", "binary", {}),
    ("binary:logistic", "binary", {}),
    ("binary:logistic", "labels", {}),
    ("binary:logitraw", "binary", {}),
    ("count:poisson", "counts", {}),
    ("multi:softmax", "classes", {"num_class": 4}),
    ("multi:softprob", "classes", {"num_class": 4}),
    ("rank:map", "binary", {"group": True}),
    ("rank:ndcg", "grades", {"group": True}),
    ("rank:pairwise", "grades", {"group": True}),
    ("reg:absoluteerror", "real", {}),
    ("reg:gamma", "positive", {}),
    ("reg:logistic", "binary", {}),
    ("reg:pseudohubererror", "real", {}),
    ("reg:quantileerror", "real", {"quantile_alpha": [0.1, 0.5, 0.9]}),
    ("reg:squarederror", "real", {}),
    ("reg:squarederror", "three", {}),
    ("reg:squaredlogerror", "positive", {}),
    ("reg:tweedie", "positive", {}),
    ("survival:aft", "positive", {}),
    ("survival:cox", "positive", {}),
]
if VERSION >= (3, 4):
    OBJECTIVES.append(("reg:expectileerror", "real", {"expectile_alpha": [0.1, 0.5, 0.9]}))
BOOSTERS: dict[str, dict[str, Any]] = {
    "gbtree": {},
    "dart": {"booster": "dart", "rate_drop": 0.4, "one_drop": 1},
    "forest": {"num_parallel_tree": 3, "subsample": 0.7, "colsample_bynode": 0.7},
    "gblinear": {"booster": "gblinear", "updater": "coord_descent", "feature_selector": "cyclic"},
}


@pytest.mark.parametrize("booster", BOOSTERS)
@pytest.mark.parametrize(("objective", "labels", "more"), OBJECTIVES, ids=[f"{o}-{y}" for o, y, _ in OBJECTIVES])
def test_margins_are_the_librarys_bits(objective: str, labels: str, more: dict[str, Any], booster: str) -> None:
    if booster == "gblinear" and objective in ("reg:absoluteerror", "reg:quantileerror", "reg:expectileerror"):
        pytest.skip("XGBoost itself refuses gblinear with an objective that sets leaves")
    check(train(LABELS[labels](), objective=objective, **BOOSTERS[booster], **more))


SHARES = pytest.mark.skipif(VERSION < (3, 2), reason="before 3.2 XGBoost refuses a share of 0 or 1")


@SHARES
@pytest.mark.parametrize("objective", ["binary:logistic", "reg:logistic", "binary:logitraw", "count:poisson"])
@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_label(objective: str, label: int) -> None:
    booster = train(np.full(ROWS, label), objective=objective)
    scorer, data = mlcore.compile(booster), matrix()
    assert bits(scorer.margin(X), booster.predict(data, output_margin=True))
    np.testing.assert_allclose(scorer.predict(X), booster.predict(data), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("score", [1e-9, 9e-7, 1.1e-6, 1 - 1e-6, 1 - 2e-7])
def test_a_share_near_0_or_1_is_kept_away_from_them_or_not_as_the_library_does(score: float) -> None:
    booster = train(LABELS["binary"](), objective="binary:logistic", base_score=score, rounds=3)
    assert bits(mlcore.compile(booster).margin(X), booster.predict(matrix(), output_margin=True))


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax"])
def test_a_classifier_of_two_classes_with_a_score_for_each(objective: str) -> None:
    y = LABELS["binary"]().astype(int)
    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1, objective=objective, num_class=2).fit(X, y)
    found, expected = mlcore.compile(model).predict(X), model.predict(X)
    assert found.shape == expected.shape and found.dtype == expected.dtype and np.array_equal(found, expected)


@SHARES
def test_a_classifier_of_one_class() -> None:
    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(X, np.zeros(ROWS, int))
    scorer = mlcore.compile(model)
    assert np.array_equal(scorer.predict(X), model.predict(X))
    np.testing.assert_allclose(scorer.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-6)


def test_what_is_not_trained_is_refused() -> None:
    with pytest.raises(UsageError, match="XGBRegressor is not fitted; call fit first"):
        mlcore.compile(xgboost.XGBRegressor())
    with pytest.raises(UsageError, match="this Booster holds no model"):
        mlcore.compile(xgboost.Booster())


def test_the_objectives_are_all_that_xgboost_has() -> None:
    with pytest.raises(xgboost.core.XGBoostError) as refused:
        xgboost.train({"objective": "nope"}, matrix(SCORE), 1)
    known = {
        line.split(": ")[1] for line in str(refused.value).splitlines() if line.startswith("Objective candidate: ")
    }
    tested = {objective for objective, _, _ in OBJECTIVES} | {"reg:linear"}
    assert known == tested


@pytest.mark.parametrize("labels", ["three", "labels", "classes"])
@pytest.mark.parametrize("parallel", [1, 3])
def test_vector_leaves_are_added_to_every_output(labels: str, parallel: int) -> None:
    objective = {"three": "reg:squarederror", "labels": "binary:logistic", "classes": "multi:softprob"}[labels]
    more = {"num_class": 4} if labels == "classes" else {}
    booster = xgboost.train(
        {"multi_strategy": "multi_output_tree", "objective": objective, "max_depth": 5, "nthread": 1,
         "num_parallel_tree": parallel, **more},
        DMatrix(X, LABELS[labels]()), 8,
    )  # fmt: skip
    assert mlcore.compile(booster).model.value.shape[1] > 1
    scorer, data = mlcore.compile(booster), DMatrix(X)
    assert bits(scorer.margin(X), booster.predict(data, output_margin=True))
    assert np.array_equal(scorer.leaf_ids(X), booster.predict(data, pred_leaf=True).astype(np.int32))


@pytest.mark.parametrize("depth", [0, 1, 9, 14])
@pytest.mark.parametrize("policy", ["depthwise", "lossguide"])
def test_trees_of_every_depth(depth: int, policy: str) -> None:
    booster = train(SCORE, max_depth=depth, max_leaves=40, tree_method="hist", grow_policy=policy, rounds=6)
    check(booster)
    assert np.array_equal(
        mlcore.compile(booster).leaf_ids(X),
        booster.predict(matrix(), pred_leaf=True).astype(np.int32).reshape(ROWS, -1),
    )


@pytest.mark.parametrize("backend", ["cpu", "numba"])
def test_backends_agree_on_many_outputs(backend: str) -> None:
    booster = train(LABELS["classes"](), objective="multi:softprob", num_class=4)
    assert bits(mlcore.compile(booster, backend=backend).margin(X), booster.predict(matrix(), output_margin=True))


@pytest.mark.parametrize("booster", ["gbtree", "dart", "forest"])
@pytest.mark.parametrize("rounds", [(0, 5), (3, 7), (0, 0), (2, 12), (11, 12), (4, 0)])
def test_some_iterations_alone(booster: str, rounds: tuple[int, int]) -> None:
    model = train(LABELS["classes"](), objective="multi:softprob", num_class=4, **BOOSTERS[booster])
    expected = model.predict(matrix(), output_margin=True, iteration_range=rounds)
    assert bits(mlcore.compile(model, iteration_range=rounds).margin(X), expected)


@pytest.mark.parametrize("rounds", [(0, 13), (5, 5), (-1, 3), (12, 0)])
def test_iterations_that_the_model_does_not_have_are_refused(rounds: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"do not lie within the model's 12"):
        mlcore.compile(train(SCORE), iteration_range=rounds)


@pytest.mark.parametrize("booster", BOOSTERS)
@pytest.mark.parametrize("labels", ["real", "three"])
def test_a_base_margin_takes_the_base_scores_place(booster: str, labels: str) -> None:
    y = LABELS[labels]()
    model = train(y, **BOOSTERS[booster])
    base = RNG.normal(size=y.shape).astype(np.float32)
    rows = matrix(base_margin=base, categorical=booster != "gblinear")
    expected = model.predict(rows, output_margin=True)
    scorer = mlcore.compile(model)
    assert bits(scorer.margin(X, base_margin=base), expected)
    with pytest.raises(DataError, match="rows"):
        scorer.margin(X, base_margin=base[:-1])
    with pytest.raises(DataError, match="rows"):
        scorer.margin(X[:-1], base_margin=base)
    with pytest.raises(DataError, match=f"base_margin must have {scorer.model.n_outputs} columns"):
        scorer.margin(X, base_margin=np.zeros((ROWS, 7)))


@pytest.mark.parametrize("missing", [-999.0, 0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_number_may_stand_for_missing(missing: float, dtype: Any) -> None:
    rows = np.nan_to_num(X, nan=missing).astype(dtype)
    rows[5, 0] = np.nan
    model = xgboost.XGBRegressor(n_estimators=10, max_depth=4, missing=missing, n_jobs=1).fit(rows, SCORE)
    assert bits(mlcore.compile(model).predict(rows), model.predict(rows))
    booster = model.get_booster()
    expected = booster.inplace_predict(rows, missing=missing, predict_type="margin")
    assert bits(mlcore.compile(booster, missing=missing).margin(rows), expected)
    table = pa.table({name: rows[:, i] for i, name in enumerate("abcdef")})
    assert bits(mlcore.compile(booster, missing=missing).margin(table), expected)


WRAPPERS: dict[str, tuple[Callable[[], Any], str]] = {
    "binary": (lambda: xgboost.XGBClassifier(n_estimators=8), "binary"),
    "classes": (lambda: xgboost.XGBClassifier(n_estimators=8), "classes"),
    "softmax": (lambda: xgboost.XGBClassifier(n_estimators=8, objective="multi:softmax"), "classes"),
    "labels": (lambda: xgboost.XGBClassifier(n_estimators=8), "labels"),
    "dart": (lambda: xgboost.XGBClassifier(n_estimators=8, booster="dart", rate_drop=0.3), "binary"),
    "linear": (lambda: xgboost.XGBClassifier(n_estimators=8, booster="gblinear"), "classes"),
    "forest": (lambda: xgboost.XGBRFClassifier(n_estimators=8), "classes"),
    "hinge": (lambda: xgboost.XGBClassifier(n_estimators=8, objective="binary:hinge"), "binary"),
    "regressor": (lambda: xgboost.XGBRegressor(n_estimators=8), "real"),
    "targets": (lambda: xgboost.XGBRegressor(n_estimators=8), "three"),
    "quantiles": (lambda: xgboost.XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.2, 0.8]), "real"),
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_the_wrappers_predictions_and_probabilities(kind: str) -> None:
    make, labels = WRAPPERS[kind]
    y = LABELS[labels]()
    model = make().set_params(n_jobs=1).fit(X, y.astype(int) if y.dtype == bool else y)
    scorer = mlcore.compile(model)
    found, expected = scorer.predict(X), model.predict(X)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)
    if hasattr(model, "predict_proba") and kind != "hinge":
        np.testing.assert_allclose(scorer.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-6)


def test_a_wrapper_that_stopped_early_uses_its_best_iterations_and_a_booster_all() -> None:
    model = xgboost.XGBRegressor(n_estimators=60, max_depth=6, learning_rate=0.8, early_stopping_rounds=3, n_jobs=1)
    model.fit(X[:2000], SCORE[:2000], eval_set=[(X[2000:], SCORE[2000:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    assert bits(mlcore.compile(model).predict(X), model.predict(X))
    assert bits(mlcore.compile(model, iteration_range=(0, 2)).predict(X), model.predict(X, iteration_range=(0, 2)))
    assert bits(mlcore.compile(model.get_booster()).predict(X), model.get_booster().predict(DMatrix(X)))


def test_a_ranker() -> None:
    model = xgboost.XGBRanker(n_estimators=8, n_jobs=1).fit(X, LABELS["grades"](), qid=np.arange(ROWS) // 100)
    assert bits(mlcore.compile(model).predict(X), model.predict(X))


FRAME = pd.DataFrame(
    {
        "number": pd.Categorical(RNG.choice([3, 7, 100, -5], ROWS)),
        "text": pd.Categorical(RNG.choice(["x", "y", "zz", ""], ROWS)),
        "real": RNG.normal(size=ROWS),
    }
)
FRAME.loc[RNG.random(ROWS) < 0.1, "text"] = np.nan
FRAME.loc[RNG.random(ROWS) < 0.1, "number"] = np.nan
TARGET = FRAME["real"] + (FRAME["number"] == 7) * 2 - (FRAME["text"] == "y") * 1.0


@pytest.fixture(scope="module")
def recoded() -> xgboost.Booster:
    """Trained on categories that the model stores."""
    data = DMatrix(FRAME, TARGET, enable_categorical=True)
    return xgboost.train({"max_depth": 5, "nthread": 1, "max_cat_to_onehot": 2}, data, 10)


def test_stored_categories_are_recoded(recoded: xgboost.Booster) -> None:
    scorer = mlcore.compile(recoded)
    other = FRAME.assign(
        number=FRAME["number"].cat.reorder_categories([100, 7, 3, -5]),
        text=FRAME["text"].cat.remove_unused_categories(),
    )
    fewer = FRAME[FRAME["number"] == 3].assign(number=lambda frame: frame["number"].cat.remove_unused_categories())
    for frame in (FRAME, other, fewer):
        expected = recoded.predict(DMatrix(frame, enable_categorical=True), output_margin=True)
        assert bits(scorer.margin(frame), expected)
        assert bits(scorer.margin(pa.Table.from_pandas(frame, preserve_index=False)), expected)


def test_a_matrix_holds_the_positions_of_stored_categories(recoded: xgboost.Booster) -> None:
    codes = np.stack([FRAME["number"].cat.codes, FRAME["text"].cat.codes, FRAME["real"]], axis=1).astype(np.float32)
    codes[codes == -1] = np.nan
    expected = recoded.inplace_predict(codes, predict_type="margin", validate_features=False)
    assert bits(mlcore.compile(recoded).margin(codes), expected)


def test_names_that_are_not_ascii_are_the_librarys_or_refused() -> None:
    """XGBoost before 3.4 counts characters where it stores bytes: the names it stores are not those it was given."""
    frame = pd.DataFrame({"city": pd.Categorical(RNG.choice(["Köln", "Bonn", "Łódź"], ROWS))})
    model = xgboost.train(
        {"max_depth": 2, "nthread": 1}, DMatrix(frame, frame["city"] == "Bonn", enable_categorical=True), 3
    )
    if VERSION < (3, 4):
        with pytest.raises(UnsupportedModel, match="feature 0 has categories that are not ASCII"):
            mlcore.compile(model)
    else:
        assert bits(mlcore.compile(model).predict(frame), model.predict(DMatrix(frame, enable_categorical=True)))


def test_categories_that_were_not_trained_on_are_refused(recoded: xgboost.Booster) -> None:
    scorer = mlcore.compile(recoded)
    with pytest.raises(DataError, match="column 'number': category 9 was not in the training data"):
        scorer.margin(FRAME.assign(number=pd.Categorical([3, 9] * (ROWS // 2))))
    with pytest.raises(SchemaMismatch, match="'number': the model was trained on categories that are numbers"):
        scorer.margin(FRAME.assign(number=pd.Categorical(["3", "7"] * (ROWS // 2))))
    with pytest.raises(SchemaMismatch, match="'text': the model was trained on categories that are strings"):
        scorer.margin(FRAME.assign(text=pd.Categorical([1, 2] * (ROWS // 2))))
    with pytest.raises(SchemaMismatch, match="'number': the model expects categories, found numbers"):
        scorer.margin(FRAME.assign(number=1.0))


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "array"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_a_sparse_matrix_leaves_out_is_missing(kind: str, dtype: Any) -> None:
    dense = np.where(RNG.random(X.shape) < 0.7, 0, X).astype(dtype)
    rows = scipy.sparse.csr_array(dense) if kind == "array" else getattr(scipy.sparse, f"{kind}_matrix")(dense)
    model = xgboost.train({"max_depth": 4, "nthread": 1}, DMatrix(scipy.sparse.csr_matrix(dense), SCORE), 10)
    expected = model.inplace_predict(scipy.sparse.csr_matrix(dense), predict_type="margin")
    assert bits(mlcore.compile(model).margin(rows), expected)


def test_a_wide_sparse_matrix_is_read_in_pieces() -> None:
    wide = scipy.sparse.random(
        9_000, 9_001, 0.001, format="csr", dtype=np.float32, random_state=np.random.default_rng(0)
    )
    y = np.asarray(wide[:, :50].sum(axis=1)).ravel()
    model = xgboost.train({"max_depth": 4, "nthread": 1}, DMatrix(wide, y), 5)
    assert bits(mlcore.compile(model).margin(wide), model.inplace_predict(wide, predict_type="margin"))


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int32, np.int16, np.uint8, bool])
def test_numbers_of_every_type_are_rounded_once(dtype: Any) -> None:
    rows = (X[:, [0, 1, 5]] * 1e4).astype(np.float64)
    whole = np.nan_to_num(rows).clip(0, 200).astype(dtype) if dtype != np.float64 else rows
    if dtype == np.int64:
        whole = whole * (2**24 + 1)
    model = xgboost.train({"max_depth": 6, "nthread": 1}, DMatrix(whole, SCORE), 10)
    expected = model.inplace_predict(whole, predict_type="margin")
    assert bits(mlcore.compile(model).margin(whole), expected)


def test_dart_of_either_layout_is_read() -> None:
    """Its trees' weights stood beside the model up to XGBoost 3.3, and stand in it since."""
    document = json.loads(train(SCORE, **BOOSTERS["dart"]).save_raw("json"))
    booster = document["learner"]["gradient_booster"]
    expected = models.read(json.dumps(document).encode()).value
    if booster["name"] == "dart":
        document["learner"]["gradient_booster"] = {
            "name": "gbtree", "model": {**booster["gbtree"]["model"], "weight_drop": booster["weight_drop"]},
        }  # fmt: skip
    else:
        weights = booster["model"].pop("weight_drop")
        document["learner"]["gradient_booster"] = {
            "name": "dart", "gbtree": {"name": "gbtree", "model": booster["model"]}, "weight_drop": weights,
        }  # fmt: skip
    assert np.array_equal(models.read(json.dumps(document).encode()).value, expected)


@pytest.mark.parametrize("file", sorted((Path(__file__).parent / "saved").glob("xgboost-*.json")), ids=lambda p: p.stem)
@pytest.mark.parametrize("kind", ["vector leaves", "binary", "classes", "dart"])
def test_a_file_of_an_older_version_is_read_as_that_version_did(file: Path, kind: str) -> None:
    """Written by the version in the file's name, with the margins that it gave."""
    saved = json.loads(file.read_text())
    rows = np.array(saved["rows"], np.float32)
    model = models.read(json.dumps(saved[kind]["model"]).encode())
    assert bits(mlcore.compile(model).margin(rows), np.array(saved[kind]["margin"], np.float32))


def test_a_linear_model_has_no_leaves() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scorer = mlcore.compile(train(SCORE, booster="gblinear"))
    with pytest.raises(UsageError, match="no leaves"):
        scorer.leaf_ids(X)
    again = models.from_arrow(scorer.model.to_arrow())
    assert again.to_arrow().equals(scorer.model.to_arrow(), check_metadata=True)
