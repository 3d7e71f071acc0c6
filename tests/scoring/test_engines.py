"""Engines: however a model's trees are worked off, for many rows or a few, the bits are the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import catboost
import numpy as np
import pytest
import xgboost
from sklearn.tree import DecisionTreeRegressor

import mlcore
from mlcore.errors import UsageError

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3_000, 6)).astype(np.float32)
X[:, 5] = RNG.integers(0, 300, len(X))
X[RNG.random(X.shape) < 0.1] = np.nan
Y = np.nan_to_num(X[:, 0]) * np.nan_to_num(X[:, 1]) + np.sin(np.nan_to_num(X[:, 5])) + 0.3 * RNG.normal(size=len(X))
MODELS: dict[str, dict[str, Any]] = {
    "stumps": {"max_depth": 1},
    "depth 6": {"max_depth": 6},
    "63 leaves": {"max_depth": 0, "max_leaves": 63, "grow_policy": "lossguide"},
    "500 leaves": {"max_depth": 0, "max_leaves": 500, "grow_policy": "lossguide"},
    "three outputs": {"objective": "multi:softprob", "num_class": 3, "max_depth": 4},
    "vector leaves": {"multi_strategy": "multi_output_tree", "max_depth": 5},
}


@pytest.fixture(scope="module", params=MODELS)
def booster(request: pytest.FixtureRequest) -> xgboost.Booster:
    params = MODELS[request.param]
    y: Any = Y
    if "num_class" in params:
        y = np.digitize(Y, [-0.5, 0.5])
    elif "multi_strategy" in params:
        y = np.stack([Y, -Y], axis=1)
    categorical = "multi_strategy" not in params
    data = xgboost.DMatrix(X, y, feature_types=[*"qqqqq", "c"] if categorical else None, enable_categorical=True)
    return xgboost.train({"nthread": 1, "max_cat_to_onehot": 3, **params}, data, 12)


def bits(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.shape == expected.shape and found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("backend", ["cpu", "numba"])
@pytest.mark.parametrize("engine", ["auto", "planes", "deep", "walk"])
def test_every_engine_gives_the_librarys_bits(booster: xgboost.Booster, engine: str, backend: str) -> None:
    scorer = mlcore.compile(booster, engine=engine, backend=backend)
    assert bits(scorer.margin(X), booster.inplace_predict(X, predict_type="margin"))
    assert sum(scorer.describe()["plans"][0]["engines"].values()) == scorer.model.n_trees


def test_describe_says_which_engines_run() -> None:
    data = xgboost.DMatrix(X, Y)
    found = {}
    for name in ("depth 6", "63 leaves", "500 leaves"):
        for engine in ("auto", "deep", "walk"):
            scorer = mlcore.compile(
                xgboost.train({"nthread": 1, **MODELS[name]}, data, 3), engine=engine, backend="cpu"
            )
            scorer.margin(X)
            found[name, engine] = set(scorer.describe()["plans"][0]["engines"])
    assert found["depth 6", "auto"] == {"complete"}
    assert found["63 leaves", "auto"] == {"network"}
    assert found["500 leaves", "auto"] == {"deep"}
    assert found["depth 6", "deep"] == {"deep"}
    assert found["depth 6", "walk"] == {"walk"}


def test_a_tree_of_more_leaves_than_a_code_can_number() -> None:
    rows = RNG.normal(size=(140_000, 4))  # in float32 some are the same
    leaves = np.arange(len(rows)) % 70_001 / 7.0
    for outputs in (leaves, np.stack([leaves, -leaves], axis=1)):
        model = DecisionTreeRegressor(random_state=0).fit(rows, outputs)
        assert len(np.unique(model.tree_.value[model.tree_.children_left < 0].reshape(-1))) > 2**16
        scorer = mlcore.compile(model, backend="cpu")
        assert bits(scorer.predict(rows), model.predict(rows))
        assert bits(scorer.predict(rows[:16]), model.predict(rows[:16]))
        assert set(scorer.describe()["plans"][0]["engines"]) == {"deep"}


@pytest.mark.parametrize("depth", range(1, 9))
def test_leaf_numbers_of_any_bits_find_floats(depth: int) -> None:
    for classes in (0, 3):
        params = {"objective": "multi:softprob", "num_class": classes} if classes else {}
        y = np.digitize(Y, [-0.5, 0.5]) if classes else Y
        model = xgboost.train({"nthread": 1, "max_depth": depth, **params}, xgboost.DMatrix(X, y), 5)
        scorer = mlcore.compile(model, engine="planes", backend="cpu")
        for rows in (X, X[:1_111]):
            assert bits(scorer.margin(rows), model.inplace_predict(rows, predict_type="margin"))


@pytest.mark.parametrize("missing", ["Min", "Max"])
@pytest.mark.parametrize("depth", range(1, 9))
def test_leaf_numbers_of_any_bits_find_doubles(depth: int, missing: str) -> None:
    for loss, y in (("RMSE", Y), ("MultiRMSE", np.stack([Y, -Y, Y * Y], axis=1))):
        model = catboost.CatBoostRegressor(
            iterations=7, depth=depth, loss_function=loss, nan_mode=missing, verbose=0, thread_count=1,
            allow_writing_files=False,
        ).fit(X, y)  # fmt: skip
        scorer = mlcore.compile(model, backend="cpu")
        for rows in (X, X[:1_111]):
            assert bits(scorer.margin(rows), model.predict(rows))


@pytest.mark.parametrize("depth", [1, 4, 6, 8])
def test_trees_that_ask_one_question_a_level_need_no_selects(depth: int) -> None:
    model = catboost.CatBoostRegressor(
        iterations=20, depth=depth, verbose=0, thread_count=1, allow_writing_files=False
    ).fit(X, Y)
    for engine in ("auto", "planes", "deep", "walk"):
        scorer = mlcore.compile(model, engine=engine, backend="cpu")
        assert bits(scorer.margin(X), model.predict(X))
        assert set(scorer.describe()["plans"][0]["engines"]) == {engine if engine in ("deep", "walk") else "oblivious"}


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="engine 'fast' does not exist; choose auto, planes, deep, walk"):
        mlcore.compile(xgboost.train({}, xgboost.DMatrix(X, Y), 1), engine="fast")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("rows", [1, 2, 47, 48, 49, 64, 65])
def test_a_few_rows_give_the_same_bits(booster: xgboost.Booster, rows: int, dtype: Any) -> None:
    values = np.nan_to_num(X).astype(dtype) if dtype == np.int32 else X.astype(dtype)
    expected = booster.inplace_predict(values, predict_type="margin")
    scorer = mlcore.compile(booster)
    for first in range(0, 300, rows):
        part = values[first : first + rows]
        assert bits(scorer.margin(part), expected[first : first + rows])
        assert bits(scorer.margin(np.asfortranarray(part)), expected[first : first + rows])


def test_a_row_without_any_value_and_rows_of_infinities(booster: xgboost.Booster) -> None:
    odd = np.stack([np.full(6, value, np.float32) for value in (np.nan, np.inf, -np.inf, 0.0, -0.0, 2.0**24)])
    scorer = mlcore.compile(booster)
    for row in odd:
        assert bits(scorer.margin(row[None]), booster.inplace_predict(row[None], predict_type="margin"))


def test_many_threads_may_ask_for_single_rows_at_once(booster: xgboost.Booster) -> None:
    scorer, expected = mlcore.compile(booster), booster.inplace_predict(X, predict_type="margin")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: scorer.margin(X[i : i + 1])[0], range(600)))
    assert bits(np.array(found), expected[:600])


def test_rows_of_another_width_are_refused(booster: xgboost.Booster) -> None:
    scorer = mlcore.compile(booster)
    for width in (5, 7, 5):
        with pytest.raises(mlcore.errors.SchemaMismatch, match=r"expected an array of shape \(rows, 6\)"):
            scorer.margin(np.zeros((1, width), np.float32))
    assert bits(scorer.margin(X[:1]), booster.inplace_predict(X[:1], predict_type="margin"))
    assert scorer._few["f"] is not None  # the quick way is still open


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"forest": (1,)}, "Rows: forest must be the 13 arguments"),
        ({"edges": []}, "Rows: edges must have 2 entries"),
        ({"edges": [np.zeros(3, np.float32), np.arange(3, dtype=np.float64)]}, "Rows: column 0: edges must ascend"),
        (
            {"edges": [np.arange(3, dtype=np.float32), np.arange(3.0)]},
            "Rows: column 1: edges must be float32 or float64",
        ),
        ({"edges": [np.arange(3, dtype=np.int32)] * 2}, "Rows: column 0: edges must be float32 or float64"),
        ({"edges": [np.arange(4, dtype=np.float32)] * 2}, "Rows: column 0: edges must hold 3 values"),
        ({"base": np.zeros(2)}, "Rows: base must have length 1, not 2"),
        ({"base": np.zeros(1, np.float32)}, "Rows: base must have dtype float64"),
    ],
)
def test_what_a_few_rows_need_is_checked_before_it_is_used(change: dict[str, Any], text: str) -> None:
    kernels: Any = mlcore.backend.select("cpu").kernels
    i4 = np.int32
    stump = (
        np.array([0], i4), np.array([1], i4), np.array([-1], i4), np.array([0], np.uint8), np.zeros((0, 1), np.uint64),
        np.array([0, 3]), np.array([0], i4), np.array([0, -1, -1], i4), np.array([1, 0, 0], i4), np.array([2, 0, 0], i4),
        np.array([[0], [1], [2]], np.float32), np.array([4, 4], i4), 1,
    )  # fmt: skip
    right = {"forest": stump, "edges": [np.arange(3, dtype=np.float32)] * 2, "base": np.zeros(1)}
    rows = kernels.Rows(**right)
    assert rows(np.zeros((1, 2), np.float32)) is not None
    for other in (
        np.zeros((1, 2)),
        np.zeros((1, 3), np.float32),
        np.zeros(2, np.float32),
        np.zeros((2, 2), np.float32).T[:1],
    ):
        assert rows(other) is None or other.flags.c_contiguous
    with pytest.raises(ValueError, match=text):
        kernels.Rows(**{**right, **change})
