"""`Scorer.explain` against XGBoost's own `pred_contribs`, which it computes in float32, and against the margins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from sklearn.pipeline import Pipeline

import mlcore
from mlcore.errors import DataError, UnsupportedModel
from mlcore.preprocessing import ColumnTransformer, OneHotEncoder, StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore:.*booster=:UserWarning")  # newer versions deprecate dart and gblinear
RNG = np.random.default_rng(3)
ROWS, FEATURES = 2_000, 6
X = RNG.normal(size=(ROWS, FEATURES)).astype(np.float32)
X[:, 4] = RNG.integers(0, 9, ROWS)
X[:, 5] = np.round(X[:, 5])
X[RNG.random(X.shape) < 0.1] = np.nan
SIGNAL = np.nan_to_num(X[:, 0] * X[:, 1] + (X[:, 4] % 3) + X[:, 5])
LABELS: dict[str, np.ndarray] = {
    "reg:squarederror": SIGNAL,
    "binary:logistic": SIGNAL > 1,
    "multi:softprob": np.clip(SIGNAL, 0, 2).astype(int),
    "count:poisson": np.clip(SIGNAL, 0, None),
    "reg:quantileerror": SIGNAL,
}
MORE: dict[str, dict[str, Any]] = {
    "multi:softprob": {"num_class": 3},
    "reg:quantileerror": {"quantile_alpha": [0.1, 0.5, 0.9]},
}
KINDS: dict[str, dict[str, Any]] = {
    "gbtree": {},
    "dart": {"booster": "dart", "rate_drop": 0.5},
    "forest": {"num_parallel_tree": 3, "subsample": 0.5},
    "deep": {"max_depth": 14, "min_child_weight": 0},
    "leaf-wise": {"grow_policy": "lossguide", "max_leaves": 40, "max_depth": 0},
    "gblinear": {"booster": "gblinear", "updater": "coord_descent"},
}


def matrix(rows: Any = X, labels: Any = None, *, categorical: bool = True, **more: Any) -> xgboost.DMatrix:
    types = ["q", "q", "q", "q", "c" if categorical else "q", "q"]
    return xgboost.DMatrix(rows, labels, feature_types=types, enable_categorical=True, **more)


def train(objective: str, kind: str, rounds: int = 12) -> tuple[xgboost.Booster, xgboost.DMatrix]:
    categorical = kind != "gblinear"
    depth = {"max_depth": 5} if categorical else {}
    params = {"objective": objective, "nthread": 2, "seed": 1, **depth, **MORE.get(objective, {}), **KINDS[kind]}
    labelled = matrix(labels=LABELS[objective].astype(np.float32), categorical=categorical)
    return xgboost.train(params, labelled, rounds), matrix(categorical=categorical)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", LABELS)
def test_values_are_the_librarys(objective: str, kind: str) -> None:
    booster, rows = train(objective, kind)
    scorer = mlcore.compile(booster)
    found, wanted = scorer.explain(X), booster.predict(rows, pred_contribs=True)
    assert found.dtype == np.float64
    assert found.shape == wanted.shape
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(found.sum(axis=-1), scorer.margin(X), rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("backend", ["cpu", "numba"])
def test_threads_batches_and_backends_give_the_same_bits(backend: str) -> None:
    booster, _ = train("multi:softprob", "gbtree")
    wanted = mlcore.compile(booster, backend="cpu", threads=1).explain(X)
    scorer = mlcore.compile(booster, backend=backend, threads=3)
    assert scorer.explain(X).tobytes() == wanted.tobytes()
    parts = [scorer.explain(X[first : first + 77]) for first in range(0, ROWS, 77)]
    assert np.concatenate(parts).tobytes() == wanted.tobytes()


def test_a_base_margin_takes_the_base_scores_place() -> None:
    booster, _ = train("multi:softprob", "gbtree")
    base = RNG.normal(size=(ROWS, 3)).astype(np.float32)
    wanted = booster.predict(matrix(base_margin=base), pred_contribs=True)
    scorer = mlcore.compile(booster)
    np.testing.assert_allclose(scorer.explain(X, base_margin=base), wanted, rtol=0, atol=1e-5)
    with pytest.raises(DataError, match="base_margin has 1999 rows, X has"):
        scorer.explain(X, base_margin=base[1:])


@pytest.mark.parametrize(("kind", "rounds"), [("gbtree", (2, 7)), ("forest", (3, 12)), ("dart", (0, 7))])
def test_some_iterations_alone(kind: str, rounds: tuple[int, int]) -> None:
    booster, rows = train("reg:squarederror", kind)
    found = mlcore.compile(booster, iteration_range=rounds).explain(X)
    part = booster[rounds[0] : rounds[1]] if rounds[0] else booster  # XGBoost explains from the first round on alone
    wanted = part.predict(rows, pred_contribs=True, iteration_range=(0, rounds[1] - rounds[0]))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_no_rows_have_a_shape() -> None:
    assert mlcore.compile(train("binary:logistic", "gbtree")[0]).explain(X[:0]).shape == (0, FEATURES + 1)
    assert mlcore.compile(train("multi:softprob", "gblinear")[0]).explain(X[:0]).shape == (0, 3, FEATURES + 1)


def test_a_table_in_chunks_is_explained_by_name() -> None:
    names = list("abcdef")
    rows = pd.DataFrame(X, columns=names)
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(rows, SIGNAL), 5)
    table = pa.table(dict(zip(names[::-1], X.T[::-1], strict=True)))
    chunked = pa.concat_tables([table.slice(0, 700), table.slice(700)])
    scorer = mlcore.compile(booster)
    assert scorer.explain(chunked).tobytes() == scorer.explain(rows).tobytes()


def test_features_that_come_from_one_column_are_explained_apart() -> None:
    table = pd.DataFrame({"size": X[:, 0], "kind": np.array(list("xyz"))[RNG.integers(0, 3, ROWS)]})
    transforms = ColumnTransformer(
        [("size", StandardScaler(), ["size"]), ("kind", OneHotEncoder(handle_unknown="ignore"), ["kind"])]
    )
    model = xgboost.XGBRegressor(n_estimators=8, max_depth=4)
    pipeline = Pipeline([("transforms", transforms), ("model", model)])
    pipeline.fit(table, np.nan_to_num(X[:, 0]) + (table["kind"] == "y") * 2.0)
    features = pipeline[:-1].transform(table)
    wanted = model.get_booster().predict(xgboost.DMatrix(features), pred_contribs=True)
    found = mlcore.compile(pipeline).explain(table)
    assert found.shape == (ROWS, 5)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "params", [{}, {"num_parallel_tree": 3, "subsample": 0.5}, {"max_depth": 9, "min_child_weight": 0}]
)
def test_trees_whose_leaves_hold_a_value_for_each_output(params: dict[str, Any]) -> None:
    """XGBoost explains them since 3.4."""
    labels = np.stack([SIGNAL, np.nan_to_num(X[:, 2]) - SIGNAL], axis=1)
    booster = xgboost.train({"multi_strategy": "multi_output_tree", **params}, xgboost.DMatrix(X, labels), 4)
    scorer = mlcore.compile(booster)
    found = scorer.explain(X)
    assert found.shape == (ROWS, 2, FEATURES + 1)
    np.testing.assert_allclose(found.sum(axis=2), scorer.margin(X), rtol=0, atol=1e-5)
    if tuple(map(int, xgboost.__version__.split(".")[:2])) >= (3, 4):
        wanted = booster.predict(xgboost.DMatrix(X), pred_contribs=True)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_a_model_without_cover_is_refused_and_scores_all_the_same() -> None:
    scorer = mlcore.compile(train("binary:logistic", "gbtree")[0])
    bare = replace(scorer, model=replace(scorer.model, cover=np.zeros(0)), _plans={}, _explainers={})
    assert bare.margin(X).tobytes() == scorer.margin(X).tobytes()
    with pytest.raises(UnsupportedModel, match="does not say how many training rows passed each node"):
        bare.explain(X)
    cover = scorer.model.cover.copy()
    cover[0] = 0
    with pytest.raises(UnsupportedModel, match="tree 0, node 0: no training rows passed it"):
        replace(bare, model=replace(scorer.model, cover=cover)).explain(X)
