"""Rows of float32 and sparse matrices, which scikit-learn's transformers compute with in other ways: its bits at every edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor, StackingRegressor, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

import mlcore
from mlcore.errors import DataError, SchemaMismatch
from mlcore.preprocessing.features import evaluate
from mlcore.preprocessing.sklearn_lower import Form

RNG = np.random.default_rng(23)
ROWS = 900
X = np.column_stack([RNG.normal(3.1, 2, ROWS), RNG.normal(0, 1e-3, ROWS), 1e6 + RNG.random(ROWS)])
Y = X[:, 0] + 500 * X[:, 1] + np.sin(9 * X[:, 2])
GAPS = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
TEXT = RNG.choice(["x", "y", "z"], ROWS)

SCALERS: dict[str, Callable[[], Any]] = {
    "standard": StandardScaler,
    "centered": lambda: StandardScaler(with_std=False),
    "scaled": lambda: StandardScaler(with_mean=False),
    "min-max": lambda: MinMaxScaler((-1, 0.7)),
    "clipped": lambda: MinMaxScaler((0.1, 0.7), clip=True),
    "max-abs": MaxAbsScaler,
    "robust": RobustScaler,
    "two": lambda: make_pipeline(RobustScaler(), "passthrough", StandardScaler()),
    "columns": lambda: ColumnTransformer([("a", StandardScaler(), [2, 0])], remainder="passthrough"),
    "then all": lambda: make_pipeline(
        ColumnTransformer([("a", RobustScaler(), [0])], remainder="passthrough"), MinMaxScaler()
    ),
    "imputed": lambda: make_pipeline(SimpleImputer(), StandardScaler()),
    "imputed and marked": lambda: make_pipeline(SimpleImputer(strategy="median", add_indicator=True), RobustScaler()),
}
SPARSE: dict[str, Callable[[], Any]] = {
    "scaled": lambda: StandardScaler(with_mean=False),
    "max-abs": MaxAbsScaler,
    "robust": lambda: RobustScaler(with_centering=False),
    "not centered after all": RobustScaler,
    "two": lambda: make_pipeline(MaxAbsScaler(), StandardScaler(with_mean=False)),
    "imputed": lambda: make_pipeline(SimpleImputer(), MaxAbsScaler()),
    "columns": lambda: ColumnTransformer(
        [("a", MaxAbsScaler(), [2, 0])], remainder="passthrough", sparse_threshold=1.0
    ),
    "dense columns": lambda: ColumnTransformer([("a", MaxAbsScaler(), [2, 0])], remainder="passthrough"),
}
MODELS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestRegressor(8, n_jobs=1, random_state=0),
    "histograms": lambda: HistGradientBoostingRegressor(max_iter=10),
}


def at_the_edges(scorer: Any, dtype: Any, *, sparse: bool = False) -> Any:
    """Rows of the edges, and of their neighbours, in the plan for rows of this form."""
    zeros = np.zeros((100, len(scorer.inputs)), dtype)
    scorer.predict(scipy.sparse.csr_matrix(zeros) if sparse else zeros)
    own = scorer.forms.get(Form(single=dtype == np.float32, sparse=sparse)) or scorer
    (plan,) = [spans[0].plan for key, spans in own._plans.items() if np.dtype(dtype).str[1:] in key]
    edges = {item.name: item.folded.edges for item in plan.columns}
    columns = []
    for name in scorer.columns:
        near = [edges[name], np.nextafter(edges[name], dtype(-np.inf)), np.nextafter(edges[name], dtype(np.inf))]
        near = np.concatenate([*near, np.zeros(2, dtype)])
        columns.append(RNG.choice(near[np.isfinite(near)], 3 * ROWS))
    return np.column_stack(columns).astype(dtype)


def rows_for(kind: str) -> Any:
    return GAPS if "imputed" in kind else X


@pytest.mark.parametrize("trained", [np.float32, np.float64])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", SCALERS)
def test_float32_is_rounded_as_the_library_rounds(kind: str, model: str, trained: Any) -> None:
    rows = rows_for(kind)
    pipeline = make_pipeline(SCALERS[kind](), MODELS[model]()).fit(rows.astype(trained), Y)
    scorer = mlcore.compile(pipeline)
    for dtype in (np.float32, np.float64):
        near = at_the_edges(scorer, dtype)
        for given in (rows.astype(dtype), near, near[:20], near[:1], np.asfortranarray(near)):
            assert np.array_equal(scorer.predict(given), pipeline.predict(given)), dtype
    assert {item["kind"] for plan in scorer.describe()["plans"] for item in plan["columns"]} == {"f4", "f8"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", SPARSE)
def test_a_sparse_matrix_is_scaled_by_reciprocals(kind: str, dtype: Any) -> None:
    rows = np.where(RNG.random(X.shape) < 0.5, 0, rows_for(kind)).astype(dtype)
    fitted = [rows] if kind == "not centered after all" else [rows, scipy.sparse.csr_matrix(rows)]
    for given in fitted:
        pipeline = make_pipeline(SPARSE[kind](), MODELS["forest"]()).fit(given, Y)
        scorer = mlcore.compile(pipeline)
        assert np.array_equal(
            scorer.predict(scipy.sparse.csc_matrix(rows)), pipeline.predict(scipy.sparse.csc_matrix(rows))
        )
        near = at_the_edges(scorer, dtype, sparse=True)
        dense = [near] if given is rows else []  # a ColumnTransformer of sparse matrices makes one of these as well
        for each in (scipy.sparse.csr_matrix(near), *dense):
            assert np.array_equal(scorer.predict(each), pipeline.predict(each))


def test_an_encoders_sparse_matrix_is_scaled_by_reciprocals_too() -> None:
    rows = RNG.choice([1.0, 2.0, 5.0], (ROWS, 2))
    pipeline = make_pipeline(OneHotEncoder(), StandardScaler(with_mean=False), MODELS["forest"]()).fit(rows, Y)
    scaled = pipeline[:-1].transform(rows).toarray()
    scorer = mlcore.compile(pipeline)
    assert np.array_equal(scorer.predict(rows), pipeline.predict(rows))
    for place, feature in enumerate(scorer.features):
        found = evaluate(feature.steps, rows[:, int(feature.column[1:])], np.float64)
        assert np.array_equal(found, scaled[:, place])


def test_what_the_library_refuses_of_a_sparse_matrix_is_refused() -> None:
    for scaler in (StandardScaler(), MinMaxScaler()):
        pipeline = make_pipeline(scaler, MODELS["forest"]()).fit(X, Y)
        with pytest.raises((ValueError, TypeError)):
            pipeline.predict(scipy.sparse.csr_matrix(X))
        with pytest.raises(SchemaMismatch, match="a sparse matrix, which these transformers"):
            mlcore.compile(pipeline).predict(scipy.sparse.csr_matrix(X))


def table(numbers: Any, **encoder: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [("numbers", numbers, ["a", "b"]), ("text", OneHotEncoder(sparse_output=False, **encoder), ["text"])]
    )


@pytest.mark.parametrize("after", ["nothing", "standard"])
@pytest.mark.parametrize("encoded", [np.float32, np.float64])
def test_numbers_beside_what_an_encoder_gives(encoded: Any, after: str) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "text": TEXT, "b": X[:, 1]})
    steps = [StandardScaler()] if after == "standard" else []
    pipeline = make_pipeline(table(RobustScaler(), dtype=encoded), *steps, MODELS["forest"]()).fit(frame, Y)
    scorer = mlcore.compile(pipeline)
    edges = scorer.edges(pa.Schema.from_pandas(frame))
    for name in ("a", "b"):
        near = np.concatenate([edges[name], np.nextafter(edges[name], -np.inf)])
        frame = frame.assign(**{name: RNG.choice(near, ROWS)})
    assert np.array_equal(scorer.predict(frame), pipeline.predict(frame))
    with pytest.raises(
        SchemaMismatch, match="column 'a' is float32"
    ):  # whether strings make objects of it is not known
        scorer.predict(frame.astype({"a": np.float32, "b": np.float32}))


def test_an_encoder_of_float32_alone_makes_the_scaler_after_it_round() -> None:
    rows = RNG.choice([1.0, 2.0, 5.0], (ROWS, 2))
    pipeline = make_pipeline(OrdinalEncoder(dtype=np.float32), StandardScaler(), Ridge()).fit(rows, Y)
    scaled = pipeline[:-1].transform(rows)
    assert scaled.dtype == np.float32
    steps = [feature.steps for feature in mlcore.compile(pipeline).features]
    for column in range(2):
        found = evaluate(steps[column], rows[:, column], np.float64)
        assert np.array_equal(found, scaled[:, column])


def test_numbers_of_several_types_together_are_refused() -> None:
    frame = pd.DataFrame({"a": X[:, 0].astype(np.float32), "b": X[:, 1]})
    scorer = mlcore.compile(make_pipeline(StandardScaler(), MODELS["forest"]()).fit(frame, Y))
    for other, why in (
        (np.float64, "is float32, which"),
        (np.int64, "is float32, which"),
        (np.int16, "stands in a table"),
    ):
        with pytest.raises(SchemaMismatch, match=f"column 'a' {why}"):
            scorer.predict(frame.astype({"b": other}))


def test_strings_beside_float32_make_objects_of_them_and_are_refused() -> None:
    frame = pd.DataFrame({"a": X[:, 0].astype(np.float32), "text": TEXT, "b": X[:, 1].astype(np.float32)})
    columns = ColumnTransformer([("all", "passthrough", ["a", "text", "b"])])
    after = ColumnTransformer([("n", StandardScaler(), [0, 2]), ("t", OneHotEncoder(sparse_output=False), [1])])
    pipeline = make_pipeline(columns, after, MODELS["forest"]()).fit(frame, Y)
    scorer = mlcore.compile(pipeline)
    with pytest.raises(SchemaMismatch, match="column 'a' is float32"):
        scorer.predict(frame)
    double = frame.astype({"a": np.float64, "b": np.float64})
    assert np.array_equal(scorer.predict(double), pipeline.predict(double))


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
def test_a_column_without_values_that_the_imputer_leaves_out_has_a_type_too() -> None:
    frame = pd.DataFrame(np.column_stack([X, np.full(ROWS, np.nan)]), columns=list("abcd"), dtype=np.float32)
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), MODELS["forest"]()).fit(frame, Y)
    scorer = mlcore.compile(pipeline)
    assert np.array_equal(scorer.predict(frame), pipeline.predict(frame))
    with pytest.raises(SchemaMismatch, match="column 'a' is float32"):
        scorer.predict(frame.astype({"d": np.float64}))


def test_leaves_and_contributions_of_float32() -> None:
    pipeline = make_pipeline(StandardScaler(), MODELS["forest"]()).fit(X, Y)
    scorer = mlcore.compile(pipeline)
    near = at_the_edges(scorer, np.float32)
    assert np.array_equal(scorer.leaf_ids(near), pipeline[-1].apply(pipeline[:-1].transform(near)))
    np.testing.assert_allclose(scorer.explain(near).sum(axis=1), pipeline.predict(near), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("passthrough", [False, True])
def test_stacks_of_pipelines_that_round(passthrough: bool) -> None:
    members = [
        ("a", make_pipeline(StandardScaler(), MODELS["forest"]())),
        ("b", make_pipeline(MaxAbsScaler(), MODELS["forest"]())),  # no sums whose last bit depends on the machine
    ]
    rows = X[:, :2].astype(np.float32)
    stack = StackingRegressor(members, MODELS["forest"](), cv=2, passthrough=passthrough).fit(rows, Y)
    np.testing.assert_array_equal(mlcore.compile(stack).predict(rows), stack.predict(rows))


def test_frames_of_float32() -> None:
    frame = pd.DataFrame(X[:, :2].astype(np.float32), columns=["a", "b"])
    pipeline = make_pipeline(StandardScaler(), MODELS["forest"]()).fit(frame, Y)
    scorer = mlcore.compile(pipeline)
    near = pd.DataFrame(at_the_edges(scorer, np.float32), columns=["a", "b"])
    vote = VotingRegressor([("a", pipeline), ("b", make_pipeline(MaxAbsScaler(), MODELS["forest"]()))]).fit(frame, Y)
    for given in (near, near[["b", "a"]][["a", "b"]], near.astype("Float32"), near.astype(pd.ArrowDtype(pa.float32()))):
        assert np.array_equal(scorer.predict(given), pipeline.predict(given))
        assert np.array_equal(mlcore.compile(vote).predict(given), vote.predict(given))
    assert not np.array_equal(scorer.predict(near), scorer.predict(near.astype("Float32")))  # of which float64 is made


def test_tables_in_which_float32_may_be_computed_with_in_either_way_are_refused() -> None:
    frame = pd.DataFrame(X[:, :2].astype(np.float32), columns=["a", "b"])
    scorer = mlcore.compile(make_pipeline(StandardScaler(), MODELS["forest"]()).fit(frame, Y))
    of_objects = pd.DataFrame({"a": pd.Series([*frame["a"]], dtype=object), "b": frame["b"]})
    others = (
        pa.Table.from_pandas(frame), polars.from_pandas(frame), dict(frame), frame.astype({"a": "Float32"}), of_objects,
        frame.to_numpy().astype(">f4"),
    )  # fmt: skip
    for given in others:
        with pytest.raises(
            SchemaMismatch, match="column '[ab]' is float32, which scikit-learn's transformers round to"
        ):
            scorer.predict(given)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_column_that_no_feature_comes_from_has_a_type_too() -> None:
    frame = pd.DataFrame(X.astype(np.float32), columns=["a", "b", "c"])
    kept = ColumnTransformer([("p", "passthrough", [0, 1])])
    pipeline = make_pipeline(StandardScaler(), kept, MODELS["forest"]()).fit(frame, Y)
    scorer = mlcore.compile(pipeline)
    near = pd.DataFrame(np.column_stack([at_the_edges(scorer, np.float32)[:ROWS], X[:, 2]]), columns=["a", "b", "c"])
    single = near.astype(np.float32)
    for given in (single, single.to_numpy(), near.to_numpy()):
        assert np.array_equal(scorer.predict(given), pipeline.predict(given))
    with pytest.raises(SchemaMismatch, match="column 'a' is float32"):
        scorer.predict(single.assign(c=X[:, 2]))


def test_float16_is_refused() -> None:
    for first in (StandardScaler(), SimpleImputer()):
        scorer = mlcore.compile(make_pipeline(first, MODELS["forest"]()).fit(X[:, :2], Y))
        half = pd.DataFrame(X[:, :2], columns=["a", "b"]).astype(np.float16)
        for given in (half, half.to_numpy(), dict(half), pa.Table.from_pandas(half)):
            with pytest.raises(SchemaMismatch, match="with float16, or with float32 and integers"):
                scorer.predict(given)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # the library's
def test_what_float32_does_not_hold_is_compiled_for_float64() -> None:
    mlcore.compile(make_pipeline(StandardScaler(), MODELS["forest"]()).fit(X * 1e60, Y))
    rows = np.column_stack([X[:, 0], X[:, 1] * 1e-48])
    pipeline = make_pipeline(StandardScaler(), MODELS["forest"]()).fit(rows, Y)
    scorer = mlcore.compile(pipeline)
    assert np.array_equal(scorer.predict(rows), pipeline.predict(rows))
    single = rows.astype(np.float32)
    if Form(single=True) in scorer.forms:  # before 1.8 a statistic stays what it is
        assert np.array_equal(scorer.predict(single), pipeline.predict(single))
    else:
        with pytest.raises(SchemaMismatch, match="is float32"):
            scorer.predict(single)


def test_narrow_numbers_of_an_encoder_beside_float32_are_refused() -> None:
    rows = np.column_stack([X[:, 0], RNG.choice([1.0, 2.0], ROWS)])
    columns = ColumnTransformer(
        [("n", "passthrough", [0]), ("k", OneHotEncoder(sparse_output=False, dtype=np.int8), [1])]
    )
    pipeline = make_pipeline(columns, StandardScaler(), MODELS["forest"]()).fit(rows, Y)
    scorer = mlcore.compile(pipeline)
    assert np.array_equal(scorer.predict(rows), pipeline.predict(rows))
    with pytest.raises(SchemaMismatch, match="is float32"):
        scorer.predict(rows.astype(np.float32))


def test_a_missing_value_in_a_sparse_matrix_is_an_error_as_it_is_to_the_library() -> None:
    rows = np.where(RNG.random(X.shape) < 0.5, 0, X)
    pipeline = make_pipeline(MaxAbsScaler(), MODELS["forest"]()).fit(rows, Y)
    rows[3, 1] = np.nan
    scorer = mlcore.compile(pipeline)
    assert np.array_equal(scorer.predict(rows), pipeline.predict(rows))
    with pytest.raises(ValueError, match="NaN"):
        pipeline.predict(scipy.sparse.csr_matrix(rows))
    with pytest.raises(DataError, match="has a missing value"):
        scorer.predict(scipy.sparse.csr_matrix(rows))


def test_another_number_of_threads_is_of_every_form() -> None:
    scorer = mlcore.compile(make_pipeline(StandardScaler(), MODELS["forest"]()).fit(X, Y), threads=2).on(threads=1)
    assert [each.threads for each in (scorer, *filter(None, scorer.forms.values()))] == [1, 1]
