"""Stacks with passthrough=True: the last model reads answers and X in one matrix, as scikit-learn puts them together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import mlcore
from mlcore.errors import DataError, SchemaMismatch, UnsupportedModel, UnsupportedType

pytestmark = [
    pytest.mark.filterwarnings("ignore:X does not have valid feature names"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning"),  # of CatBoost's labels
]
RNG = np.random.default_rng(5)
ROWS = 300
A = RNG.normal(size=(ROWS, 4))
X = pd.DataFrame(A, columns=["a b", "b", "c", "d"])
SCORE = A[:, 0] * A[:, 1] + A[:, 2]
TWO = np.where(SCORE > 0, "yes", "no")
MANY = np.array([10, 20, -5])[np.digitize(SCORE, [-0.5, 0.7])]
LABELS = {"two": TWO, "many": MANY}
QUIET: dict[str, Any] = {"verbose": 0, "thread_count": 1, "allow_writing_files": False}


def forest() -> Any:
    return RandomForestClassifier(5, max_depth=5, n_jobs=1, random_state=0)


def lines() -> Any:
    return LogisticRegression(max_iter=500)


def scaled() -> Any:
    return make_pipeline(StandardScaler(), lines())


def xgb(**given: Any) -> Any:
    return xgboost.XGBClassifier(n_estimators=4, max_depth=3, n_jobs=1, **given)


def lgb(**given: Any) -> Any:
    return lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1, **given)


def stack(last: Any, *members: Any, **given: Any) -> Any:
    named = [(f"m{i}", member) for i, member in enumerate(members or (forest(), xgb()))]
    return StackingClassifier(named, last, passthrough=True, **{"cv": 2, **given})


def regressors(last: Any, *members: Any) -> Any:
    return StackingRegressor([(f"m{i}", member) for i, member in enumerate(members)], last, passthrough=True, cv=2)


def assert_same(model: Any, rows: Any, given: Any) -> None:
    """What mlcore says of `given` is what scikit-learn says of `rows`."""
    scorer = mlcore.compile(model)
    found, expected = scorer.predict(given), model.predict(rows)
    assert found.dtype == expected.dtype and np.array_equal(found, expected)
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(scorer.predict_proba(given), model.predict_proba(rows), rtol=0, atol=1e-6)


LAST: dict[str, Callable[[], Any]] = {
    "lines": lines,
    "scaled lines": scaled,
    "forest": forest,
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=4),
    "xgboost": xgb,
    "lightgbm": lgb,
    "catboost": lambda: catboost.CatBoostClassifier(iterations=4, **QUIET),
    "vote": lambda: VotingClassifier([("f", forest()), ("l", lines())], voting="soft"),
    "stack": lambda: stack(lgb(), forest()),
    "stack after a step": lambda: make_pipeline(MinMaxScaler(), stack(scaled(), forest())),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("last", LAST)
def test_last_models(last: str, labels: str) -> None:
    model = stack(LAST[last](), forest(), xgb(), "drop", LinearSVC(random_state=0)).fit(X, LABELS[labels])
    mixed = X[["d", "b", "a b", "c"]].assign(more="text")
    for given in (X, mixed, pa.Table.from_pandas(mixed), dict(mixed)):
        assert_same(model, X, given)
    assert_same(model, X[:1], X[:1])
    scorer = mlcore.compile(model)
    assert np.array_equal(scorer.predict(pa.Table.from_pandas(mixed).to_reader(100)), model.predict(X))
    assert scorer.predict(X[:0]).shape == (0,)
    assert scorer.columns == ("a b", "b", "c", "d")
    assert scorer.describe()["last"]


FRAMES: dict[str, Any] = {
    "float32": X.astype(np.float32),
    "float32 and int16": pd.DataFrame({"a": A[:, 0].astype(np.float32), "i": (A[:, 1] * 9).astype(np.int16)}),
    "float32 and bool": pd.DataFrame({"a": A[:, 0].astype(np.float32), "t": A[:, 1] > 0}),
    "float64 and bool": pd.DataFrame({"a": A[:, 0], "t": A[:, 1] > 0}),
    "bool": X > 0,
    "int8": (X * 9).astype(np.int8),
    "large integers": pd.DataFrame({"h": RNG.integers(2**53, 2**53 + 9, ROWS), "i": RNG.integers(0, 9, ROWS)}),
    "large integers and float32": pd.DataFrame({"h": RNG.integers(2**24, 2**24 + 9, ROWS), "a": A[:, 0].astype(np.float32)}),
    "Int64": pd.DataFrame({"i": pd.array((A[:, 0] * 9).astype(int), dtype="Int64"), "a": A[:, 1]}),
    "Float64": pd.DataFrame({"a": pd.array(A[:, 0], dtype="Float64"), "b": A[:, 1]}),
    "arrow": pd.DataFrame({"a": pd.array(A[:, 0], dtype="double[pyarrow]"), "b": A[:, 1]}),
    "NaN": X.mask(RNG.random(X.shape) < 0.2),
    "NaN in float32": X.mask(RNG.random(X.shape) < 0.2).astype(np.float32),
}  # fmt: skip
REGRESSORS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestRegressor(4, n_jobs=1, random_state=0),
    "histograms": lambda: HistGradientBoostingRegressor(max_iter=4),
    "xgboost": lambda: xgboost.XGBRegressor(n_estimators=4, n_jobs=1),
    "lightgbm": lambda: lightgbm.LGBMRegressor(n_estimators=4, verbose=-1, n_jobs=1, min_child_samples=2),
    "catboost": lambda: catboost.CatBoostRegressor(iterations=4, **QUIET),
}


@pytest.mark.parametrize("member", ["xgboost", "histograms"])  # answers of float32, and of float64
@pytest.mark.parametrize("last", REGRESSORS)
@pytest.mark.parametrize("kind", FRAMES)
def test_types(kind: str, last: str, member: str) -> None:
    frame = FRAMES[kind]
    model = regressors(REGRESSORS[last](), REGRESSORS[member]()).fit(frame, SCORE)
    for given in (frame, frame[frame.columns[::-1]], frame[:1], pa.Table.from_pandas(frame)):
        assert_same(model, frame[: len(given)], given)
    if np.asarray(frame).dtype != object:
        assert_same(model, np.asarray(frame), np.asarray(frame))


def test_categories_that_are_numbers_are_passed_through_as_these() -> None:
    frame = pd.DataFrame({"k": pd.Categorical(RNG.integers(-2, 3, ROWS)), "a": A[:, 0]})
    for last in (RandomForestRegressor(4, n_jobs=1, random_state=0), xgboost.XGBRegressor(n_estimators=4, n_jobs=1)):
        assert_same(regressors(last, HistGradientBoostingRegressor(max_iter=4)).fit(frame, SCORE), frame, frame)


@pytest.mark.parametrize("booleans", [False, True])
def test_lightgbm_reads_large_integers_beside_labels_in_the_type_they_arrive_in(booleans: bool) -> None:
    """It rounds a matrix of integers to float32; pandas makes one of objects of integers and booleans."""
    frame = pd.DataFrame({"i": RNG.integers(2**24, 2**24 + 60, ROWS), "j": RNG.integers(0, 2, ROWS)})
    frame = frame.astype({"j": bool}) if booleans else frame
    model = stack(lgb(min_child_samples=2), forest(), stack_method="predict").fit(frame, frame["i"] % 2)
    assert_same(model, frame, frame)
    for table in (frame, frame.assign(i=-(2**63)), frame.assign(i=-(2**24) - 1)):
        with pytest.raises(SchemaMismatch, match=r"integers above 2\*\*24 beside labels"):
            mlcore.compile(model).predict(pa.Table.from_pandas(table))


@pytest.mark.parametrize("last", ["lines", "forest", "xgboost", "lightgbm", "catboost"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sparse_matrix_stays_one_and_answers_of_zero_are_left_out(last: str, dtype: Any) -> None:
    rows = scipy.sparse.csr_matrix(np.where(A > 0.3, A, 0).astype(dtype))
    for method in ("auto", "predict"):
        model = stack(LAST[last](), DecisionTreeClassifier(max_depth=3), stack_method=method).fit(rows, MANY)
        for given in (rows, rows[:1]):
            assert_same(model, given, given)
        for other in (rows.tocsc(), scipy.sparse.csr_array(rows), rows.tocoo()):
            assert_same(model, rows, other)
        assert mlcore.compile(model).predict(rows[:0]).shape == (0,)


MIXED = pd.DataFrame(
    {
        "n": A[:, 0],
        "i": (A[:, 1] * 9).astype(int),
        "m": X["c"].mask(RNG.random(ROWS) < 0.2),
        "k": RNG.choice(list("xyz"), ROWS),
    }
)
STEPS: dict[str, Callable[[], Any]] = {
    "encoded": lambda: make_column_transformer(
        (StandardScaler(), ["n", "i"]), (OneHotEncoder(sparse_output=False), ["k"]), (SimpleImputer(), ["m"])
    ),
    "missing": lambda: make_column_transformer((OrdinalEncoder(), ["k"]), ("passthrough", ["m", "i"])),
    "sparse": lambda: make_column_transformer((MaxAbsScaler(), ["n"]), (OneHotEncoder(), ["k"]), sparse_threshold=1),
}


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        *(("encoded", last) for last in ("lines", "scaled lines", "forest", "xgboost", "lightgbm", "stack", "vote")),
        *(("missing", last) for last in ("forest", "xgboost", "lightgbm", "histograms", "catboost")),
        *(("sparse", last) for last in ("lines", "forest", "lightgbm")),
    ],
)
def test_after_transformers_the_last_model_reads_what_they_give(steps: str, last: str) -> None:
    model = make_pipeline(STEPS[steps](), stack(LAST[last](), forest())).fit(MIXED, MANY)
    mixed = MIXED[["k", "m", "i", "n"]].assign(more="text")
    for given in (MIXED, mixed, pa.Table.from_pandas(mixed)):
        assert_same(model, MIXED, given)
    assert_same(model, MIXED[:1], MIXED[:1])


def test_after_transformers_of_a_matrix() -> None:
    for rows in (A, scipy.sparse.csr_matrix(np.where(A > 0.3, A, 0))):
        model = make_pipeline(MaxAbsScaler(), stack(scaled() if rows is A else lgb(), forest())).fit(rows, TWO)
        assert_same(model, rows, rows)
        assert_same(model, rows[:1], rows[:1])
    members = make_pipeline(make_column_transformer(("passthrough", [3])), forest())
    steps = make_column_transformer((MaxAbsScaler(), [0, 1, 2]), ("passthrough", [3]), sparse_threshold=0)
    model = make_pipeline(steps, stack(lgb(), members)).fit(rows, TWO)
    assert_same(model, rows, rows)
    with pytest.raises(SchemaMismatch, match="a sparse matrix of float32"):
        mlcore.compile(model).predict(rows.astype(np.float32))
    model = make_pipeline(STEPS["sparse"](), stack(xgb(), forest())).fit(MIXED, MANY)
    with pytest.raises(UnsupportedModel, match="XGBClassifier takes what its transformers' sparse matrix leaves out"):
        mlcore.compile(model)


def some_columns() -> Any:
    return (
        make_pipeline(make_column_transformer((StandardScaler(), ["c", "a b"])), lines()),
        make_pipeline(make_column_transformer(("passthrough", ["d"])), forest()),
    )


def test_columns_that_no_member_reads_reach_the_last_model() -> None:
    model = stack(forest(), *some_columns()).fit(X, TWO)
    assert_same(model, X, X)
    assert np.array_equal(mlcore.compile(model).predict(X[["d", "c", "b", "a b"]]), model.predict(X))


def test_names_that_lightgbm_alone_knows() -> None:
    model = stack(lines(), lgb()).fit(X, TWO)
    assert np.array_equal(mlcore.compile(model).predict(X[["d", "c", "b", "a b"]]), model.predict(X))


def test_columns_may_be_called_as_answers_are() -> None:
    named = X.set_axis(["answer0", "answer", "answer_0", "x"], axis=1)
    for model in (stack(lines(), forest()), make_pipeline(StandardScaler(), stack(lines(), forest()))):
        assert_same(model.fit(named, TWO), named, named)


def test_members_that_were_fitted_before() -> None:
    fitted = forest().fit(X, MANY)
    for method in ("auto", "predict"):  # labels are the members' own
        assert_same(stack(forest(), fitted, cv="prefit", stack_method=method).fit(X, MANY), X, X)
    other = make_pipeline(make_column_transformer((StandardScaler(), ["d"])), lines()).fit(
        X[["d", "c", "b", "a b"]], MANY
    )
    with pytest.raises(UnsupportedModel, match="fitted on different columns: a b, b, c, d and d, c, b, a b"):
        mlcore.compile(stack(lines(), fitted, other, cv="prefit").fit(X, MANY))


def test_inside_others() -> None:
    inner = stack(forest(), forest())
    for model in (
        CalibratedClassifierCV(inner, cv=2),
        VotingClassifier([("s", inner), ("l", lines())], voting="soft"),
        stack(scaled(), inner, lines()),
    ):
        assert_same(model.fit(X, MANY), X, X)
        assert_same(model, X, pa.Table.from_pandas(X[["d", "c", "b", "a b"]]))


def test_a_last_model_that_takes_a_number_for_missing_or_for_a_category() -> None:
    rows = np.column_stack([RNG.integers(0, 4, ROWS), A[:, 0]])
    for last in (
        xgb(missing=1.0),
        xgb(enable_categorical=True, feature_types=["q", "c", "q"]),
        HistGradientBoostingClassifier(max_iter=4, categorical_features=[1]),
    ):
        assert_same(stack(last, forest()).fit(rows, TWO), rows, rows)


def test_rows_that_cannot_be_passed_through_are_refused_by_name() -> None:
    scorer = mlcore.compile(stack(lines(), *some_columns()).fit(X, TWO))
    with pytest.raises(SchemaMismatch, match="column 'b' is missing"):
        scorer.predict(X[["a b", "c", "d"]])
    for text in (X.assign(b="x"), X.assign(b=pd.Categorical(["x"] * ROWS)), pa.Table.from_pandas(X.assign(b="x"))):
        with pytest.raises(SchemaMismatch, match="column 'b' holds string, which cannot be passed through"):
            scorer.predict(text)
    with pytest.raises(SchemaMismatch, match="column 'b' holds timestamp"):
        scorer.predict(X.assign(b=pd.Timestamp("2020-01-01")))
    with pytest.raises(UnsupportedType, match="column 'b': type list"):
        scorer.predict(pa.table({**X, "b": [[1]] * ROWS}))
    for missing in (np.nan, None, pd.array([pd.NA] * ROWS, dtype="Int64"), pd.array([pd.NA] * ROWS, dtype="boolean")):
        with pytest.raises(DataError, match="column 'b' has a missing value"):
            scorer.predict(X.assign(b=missing))
    with pytest.raises(SchemaMismatch, match=r"expected an array of shape \(rows, 4\), found \(300, 3\)"):
        scorer.predict(A[:, :3])
    with pytest.raises(UnsupportedType, match="a pandas Series is one column"):
        scorer.predict(X["b"])
    with pytest.raises(UnsupportedModel, match="Stack: what several models give together is not explained"):
        scorer.explain(X)


def test_a_matrix_of_objects_that_are_numbers() -> None:
    rows = np.column_stack([RNG.integers(0, 4, ROWS), A[:, 0]]).astype(object)
    rows[:, 0] = rows[:, 0].astype(int)
    member = catboost.CatBoostClassifier(iterations=4, cat_features=[0], **QUIET).fit(rows, TWO)
    model = stack(forest(), member, cv="prefit").fit(rows, TWO)
    assert_same(model, rows, rows)
    rows[:, 0] = "x"
    with pytest.raises(SchemaMismatch, match="column 'f0' holds string"):
        mlcore.compile(model).predict(rows)


@pytest.mark.parametrize("member", [forest, xgb])  # answers of float64, so that all is, and of float32
def test_float32_that_the_last_models_transformers_round(member: Callable[[], Any]) -> None:
    rows = A.astype(np.float32)
    assert_same(stack(scaled(), member()).fit(rows, TWO), rows, rows)
