"""Folding: a compiled pipeline's margins are the unfolded path's, bit for bit, and so at the very edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

import mlcore
from mlcore.preprocessing import (
    Clip,
    ColumnTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    SimpleImputer,
    StandardScaler,
    TargetEncoder,
)

ROWS = 3_000
STEPS = {
    "impute": lambda: SimpleImputer(strategy="median"),
    "scale": StandardScaler,
    "min-max": MinMaxScaler,
    "clip": lambda: Clip(low=-0.7, high=1.1),
}
CATEGORIES = {
    "one-hot": lambda: OneHotEncoder(handle_unknown="ignore"),
    "ordinal": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "target": lambda: TargetEncoder(smooth=10.0),
}
TYPES = {"float32": pa.float32(), "float64": pa.float64(), "int32": pa.int32(), "int64": pa.int64()}


def data(seed: int, type_: pa.DataType, *, scale: float = 1.0) -> tuple[pa.Table, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, scale, ROWS)
    numbers = pa.array(
        values if pa.types.is_floating(type_) else (values * 1000).astype(np.int64), mask=rng.random(ROWS) < 0.1
    )
    names = pa.array(rng.choice(["a", "b", "c", "dé", ""], ROWS), mask=rng.random(ROWS) < 0.1)
    y = (values + rng.normal(0, scale, ROWS)) > 0
    return pa.table({"x": numbers.cast(type_), "s": names}), y.astype(np.int64)


def fitted(steps: list[str], category: str, table: pa.Table, y: np.ndarray) -> Pipeline:
    numbers = Pipeline([(name, STEPS[name]()) for name in steps]) if steps else "passthrough"
    transforms = ColumnTransformer([("numbers", numbers, ["x"]), ("names", CATEGORIES[category](), ["s"])])
    model = xgboost.XGBClassifier(n_estimators=15, max_depth=4, n_jobs=1)
    return Pipeline([("transforms", transforms), ("model", model)]).fit(table, y)


def unfolded(pipeline: Pipeline, table: pa.Table) -> np.ndarray:
    """The library's own margins of the transformed rows."""
    X = np.asarray(pipeline[:-1].transform(table), np.float32)
    return pipeline[-1].get_booster().inplace_predict(X, predict_type="margin")


def awkward(scorer: mlcore.Scorer, table: pa.Table) -> pa.Table:
    """Rows at each edge the scorer asks about, one step below and above it, extremes, missing, unseen.

    No infinity: the transformers refuse it.
    """
    type_ = table.schema.field("x").type
    dtype = type_.to_pandas_dtype()
    edges = scorer.edges(table.schema)["x"].astype(dtype)
    if pa.types.is_floating(type_):
        near = [np.nextafter(edges, dtype(-np.inf)), edges, np.nextafter(edges, dtype(np.inf))]
        ends = [0.0, -0.0, np.nan, 1e30, np.finfo(dtype).tiny, np.nextafter(dtype(0), dtype(1))]
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        near = [edges - 1, edges, edges + 1]
        ends = [0, low, low + 1, high, high - 1, 2**24 + 1]
    values = np.concatenate([*near, np.array(ends, dtype)])
    names = [*[None, "a", "b", "c", "dé", "", "never seen"] * len(values)][: len(values)]
    return pa.table({"x": pa.array(values), "s": names})


def assert_folds(pipeline: Pipeline, table: pa.Table, backend: str = "auto") -> mlcore.Scorer:
    scorer = mlcore.compile(pipeline, backend=backend)
    assert scorer.margin(table).tobytes() == unfolded(pipeline, table).tobytes()
    edge = awkward(scorer, table)
    with np.errstate(over="ignore", invalid="ignore"):
        X = np.asarray(pipeline[:-1].transform(edge), np.float64)
    finite = ~np.isinf(X).any(axis=1) & (np.abs(np.nan_to_num(X)) < np.finfo(np.float32).max).all(axis=1)
    edge = edge.filter(pa.array(finite))  # XGBoost's own predict refuses infinity
    assert len(edge) > 10
    assert scorer.margin(edge).tobytes() == unfolded(pipeline, edge).tobytes()
    return scorer


@pytest.mark.parametrize("type_", TYPES.values(), ids=TYPES.keys())
@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize(
    "steps", [[], ["scale"], ["impute"], ["impute", "scale"], ["clip"], ["min-max", "clip"]], ids="-".join
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_each_transform_folds_to_the_same_bits(steps: list[str], category: str, type_: pa.DataType) -> None:
    table, y = data(1, type_)
    assert_folds(fitted(steps, category, table, y), table)


@pytest.mark.parametrize("backend", ["cpu", "numba"])
def test_each_backend_gives_the_unfolded_bits(backend: str) -> None:
    table, y = data(2, pa.float64())
    assert_folds(fitted(["impute", "scale", "clip"], "one-hot", table, y), table, backend)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    steps=st.lists(st.sampled_from(sorted(STEPS)), unique=True),
    category=st.sampled_from(sorted(CATEGORIES)),
    type_=st.sampled_from(list(TYPES.values())),
    scale=st.sampled_from([1e-6, 1.0, 1e5]),
)
def test_any_chain_folds_to_the_same_bits(
    seed: int, steps: list[str], category: str, type_: pa.DataType, scale: float
) -> None:
    table, y = data(seed, type_, scale=scale)
    scorer = mlcore.compile(pipeline := fitted(steps, category, table, y))
    assert scorer.margin(table).tobytes() == unfolded(pipeline, table).tobytes()


def test_describe_says_what_was_folded() -> None:
    table, y = data(3, pa.float64())
    scorer = mlcore.compile(fitted(["impute", "scale"], "one-hot", table, y))
    scorer.margin(table)
    described: dict[str, Any] = scorer.describe()
    folded = {item["feature"]: (item["column"], item["steps"]) for item in described["folded"]}
    assert {column for column, _ in folded.values()} == {"x", "s"}
    assert any("affine" in steps for _, steps in folded.values())
    assert described["plans"][0]["predicates"] > 0
    assert {column["name"] for column in described["plans"][0]["columns"]} == {"x", "s"}
