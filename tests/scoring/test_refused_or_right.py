"""What is easily got wrong between a model, its transformers and its rows: the library's answer, or a refusal by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

import mlcore
from mlcore import preprocessing
from mlcore.bundle import Bundle
from mlcore.data.schema import Field, Schema
from mlcore.errors import DataError, SchemaMismatch, UnsupportedModel
from mlcore.preprocessing.features import Affine, Feature, Transforms

RNG = np.random.default_rng(6)
X = RNG.normal(size=(300, 3)) * [1, 5, 9]
Y = (X[:, 0] * 2 > X[:, 1]).astype(int)
SMALL: dict[str, Any] = {"n_estimators": 6, "verbose": -1, "n_jobs": 1, "min_child_samples": 2}


def close(found: Any, expected: Any) -> bool:
    return found.shape == expected.shape and float(np.abs(found - expected).max()) < 1e-6


@pytest.mark.parametrize("named", [False, True])
def test_mlcores_transformer_may_reorder_and_drop_columns_of_a_matrix(named: bool) -> None:
    given: Any = pd.DataFrame(X, columns=list("abc")) if named else X
    kept = ["c", "a"] if named else [2, 0]
    columns = preprocessing.ColumnTransformer(
        [("scaled", preprocessing.StandardScaler(), kept[:1]), ("plain", "passthrough", kept[1:])]
    )
    pipeline = Pipeline([("columns", columns), ("model", lightgbm.LGBMClassifier(**SMALL))]).fit(given, Y)
    scorer = mlcore.compile(pipeline)
    for rows in (given, given[:3]):
        assert close(scorer.predict_proba(rows), pipeline.predict_proba(rows))


def test_files_are_scored_with_a_pipeline_that_knows_positions(tmp_path: Path) -> None:
    columns = ColumnTransformer([("scaled", StandardScaler(), [2]), ("plain", "passthrough", [0])])
    pipeline = make_pipeline(columns, lightgbm.LGBMClassifier(**SMALL)).fit(X, Y)
    pq.write_table(pa.table({f"f{i}": X[:, i] for i in range(3)}), tmp_path / "in.parquet")
    mlcore.score(mlcore.compile(pipeline), [tmp_path / "in.parquet"], tmp_path / "out")
    found = pq.read_table(next((tmp_path / "out").glob("*.parquet")))["score"].to_numpy()
    assert close(found, pipeline.predict_proba(X)[:, 1])


def test_files_are_scored_where_lightgbm_joined_a_columns_name(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["one two", "b", "c"])
    model = lightgbm.LGBMClassifier(**SMALL).fit(frame, Y)
    frame.to_parquet(tmp_path / "in.parquet")
    mlcore.score(mlcore.compile(model), [tmp_path / "in.parquet"], tmp_path / "out", keep=["b"])
    found = pq.read_table(next((tmp_path / "out").glob("*.parquet")))
    assert found.column_names == ["b", "score"]
    assert close(found["score"].to_numpy(), model.predict_proba(frame)[:, 1])


def test_a_sparse_matrix_before_transformers_and_xgboost_is_refused() -> None:
    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1)
    pipeline = make_pipeline(SimpleImputer(), model).fit(X, Y)
    with pytest.raises(UnsupportedModel, match="pass a dense one"):
        mlcore.compile(pipeline).predict_proba(scipy.sparse.csr_matrix(X))
    encoder = preprocessing.OneHotEncoder(sparse_output=True, handle_unknown="ignore")
    kinds = pd.DataFrame({"kind": RNG.choice(list("xyz"), 300)})
    with pytest.raises(UnsupportedModel, match="sparse_output=False"):
        mlcore.compile(Pipeline([("kinds", encoder), ("model", model)]).fit(kinds, Y))


def test_scores_made_with_another_missing_value_are_not_taken_over(tmp_path: Path) -> None:
    rows = np.where(RNG.random(X.shape) < 0.3, -999, X)
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, Y), 4)
    pq.write_table(pa.table({f"f{i}": rows[:, i] for i in range(3)}), tmp_path / "in.parquet")
    for missing in (None, -999.0):
        mlcore.score(mlcore.compile(booster, missing=missing), [tmp_path / "in.parquet"], tmp_path / "out")
    found = pq.read_table(next((tmp_path / "out").glob("*.parquet")))["score"].to_numpy()
    assert close(found, booster.inplace_predict(rows, missing=-999.0))


LARGE = RNG.integers(2**24, 2**24 + 400, (300, 2))


def test_large_integers_reach_lightgbm_as_transformers_hand_them_on() -> None:
    y = (LARGE[:, 0] % 2).astype(int)
    bare = lightgbm.LGBMClassifier(**SMALL).fit(LARGE.astype(np.float64), y)
    assert close(mlcore.compile(bare).predict_proba(LARGE), bare.predict_proba(LARGE))
    columns = preprocessing.ColumnTransformer([("both", "passthrough", [0, 1])])
    double = Pipeline([("columns", columns), ("model", lightgbm.LGBMClassifier(**SMALL))]).fit(LARGE, y)
    for step in (double, make_pipeline(FunctionTransformer(), lightgbm.LGBMClassifier(**SMALL)).fit(LARGE, y)):
        with pytest.raises(SchemaMismatch, match=r"integers above 2\*\*24"):
            mlcore.compile(step).predict_proba(LARGE)
        assert close(mlcore.compile(step).predict_proba(LARGE * 1.0), step.predict_proba(LARGE * 1.0))


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_times_are_refused_where_the_library_refuses_them(library: str) -> None:
    times = pd.DataFrame({"t": pd.date_range("2020-01-01", periods=300, freq="h")})
    numbers = times.astype("int64")
    model: Any = (
        xgboost.XGBClassifier(n_estimators=3, n_jobs=1) if library == "xgboost" else lightgbm.LGBMClassifier(**SMALL)
    ).fit(numbers, Y)
    scorer = mlcore.compile(model)
    assert close(scorer.predict_proba(numbers), model.predict_proba(numbers))
    with pytest.raises(SchemaMismatch, match="column 't' holds timestamp"):
        scorer.predict_proba(times)


def test_a_pipeline_whose_first_step_passes_is_compiled() -> None:
    pipeline = Pipeline([("scale", "passthrough"), ("again", StandardScaler()), ("model", LogisticRegression())]).fit(
        X, Y
    )
    assert close(mlcore.compile(pipeline).predict_proba(X), pipeline.predict_proba(X))


def test_two_transformers_of_mlcore_in_a_row_are_refused_with_the_way_out() -> None:
    steps = [("fill", preprocessing.SimpleImputer()), ("scale", preprocessing.StandardScaler())]
    pipeline = Pipeline([*steps, ("model", lightgbm.LGBMClassifier(**SMALL))]).fit(X, Y)
    with pytest.raises(UnsupportedModel, match="put them into one mlcore ColumnTransformer"):
        mlcore.compile(pipeline)


def test_a_few_rows_are_refused_as_many_are() -> None:
    kinds = RNG.integers(0, 4, (200, 2)).astype(float)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    pipeline = make_pipeline(encoder, GradientBoostingRegressor(n_estimators=3)).fit(kinds, kinds.sum(axis=1))
    scorer, unknown = mlcore.compile(pipeline), np.array([[9.0, 1.0]])
    for rows in (unknown, np.repeat(unknown, 20, axis=0)):
        with pytest.raises(DataError):
            scorer.predict(rows)


def test_more_thresholds_than_two_bytes_count_give_a_few_rows_the_same_bits() -> None:
    """Each threshold asked twice, once for each way of missing values."""
    n = 33_000
    node = {
        "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0], "split_type": [0, 0, 0],
        "parents": [2147483647, 0, 0], "sum_hessian": [2.0, 1.0, 1.0], "base_weights": [0.0, 0.0, 0.0],
        "loss_changes": [0.0, 0.0, 0.0], "categories": [], "categories_nodes": [], "categories_segments": [],
        "categories_sizes": [], "tree_param": {"num_deleted": "0", "num_feature": "1", "num_nodes": "3"},
    }  # fmt: skip
    trees = [
        {**node, "id": i, "default_left": [i % 2, 0, 0], "split_conditions": [float(i // 2 + 1), 0.0, 1.0]}
        for i in range(2 * n)
    ]
    rows = np.array([[1e9], [0.0], [np.nan], [17.0]], np.float32)
    booster = xgboost.train({"max_depth": 1, "base_score": 0.0}, xgboost.DMatrix(rows, [0, 1, 2, 3]), 1)
    document = json.loads(booster.save_raw("json"))
    model = document["learner"]["gradient_booster"]["model"]
    model.update(trees=trees, tree_info=[0] * (2 * n), iteration_indptr=list(range(2 * n + 1)))
    model["gbtree_model_param"]["num_trees"] = str(2 * n)
    scorer = mlcore.compile(json.dumps(document).encode())
    assert (
        scorer.margin(rows).tolist() == scorer.margin(np.repeat(rows, 10, axis=0))[::10].tolist() == [66_000, 0, n, 34]
    )


def test_a_bundle_of_a_scikit_learn_model_after_transforms_is_refused() -> None:
    model: Any = mlcore.compile(GradientBoostingRegressor(n_estimators=2).fit(X[:, :1], X[:, 1])).model
    schema = Schema((Field("f0", "double"),))
    plain = Bundle(model, Transforms((Feature("f0", "f0", ()),)), schema)
    assert mlcore.compile(plain).predict(pa.table({"f0": X[:, 0]})).shape == (300,)
    scaled = Bundle(model, Transforms((Feature("f0", "f0", (Affine(0.1, 3.0),)),)), schema)
    with pytest.raises(UnsupportedModel, match="compile its Pipeline instead"):
        mlcore.compile(scaled)
