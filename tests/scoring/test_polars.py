"""Polars frames give what the same rows give as pandas', bit for bit: every type, chunks, categories, pipelines, stacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import mlcore
from mlcore import Profile, preprocessing
from mlcore.errors import DataError, SchemaMismatch, UnsupportedType

RNG = np.random.default_rng(8)
ROWS = 600
A = RNG.normal(size=ROWS)


def gaps(values: Any) -> pl.Series:
    """The values with a null here and there."""
    kept = RNG.random(ROWS) > 0.15
    return pl.DataFrame({"values": values, "kept": kept}).select(pl.when("kept").then("values")).to_series()


FRAME = pl.DataFrame(
    {
        "f32": gaps(np.where(RNG.random(ROWS) < 0.1, np.nan, A).astype(np.float32)),
        "f64": gaps(np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.normal(size=ROWS))),
        "i32": RNG.integers(-9, 9, ROWS).astype(np.int32),
        "i64": gaps(RNG.integers(-9, 9, ROWS)),
        "u8": RNG.integers(0, 9, ROWS).astype(np.uint8),
        "yes": RNG.random(ROWS) < 0.5,
        "maybe": gaps(RNG.random(ROWS) < 0.5),
    }
)
PANDAS = FRAME.to_pandas().astype({"maybe": float})
CODES = RNG.integers(0, 4, ROWS)
KINDS = pl.DataFrame(
    {"a": A, "kind": np.array(list("abcd"))[CODES], "b": A[::-1], "size": ["S", "M", "L"] * (ROWS // 3)}
)
KINDS_PANDAS = KINDS.to_pandas().astype({"kind": "category", "size": "category"})
LABELS = ((A > 0) ^ (CODES == 1) ^ (FRAME["i32"].to_numpy() > 5)).astype(int)
QUIET: dict[str, Any] = {"verbose": 0, "thread_count": 1, "allow_writing_files": False}


def xgb(**given: Any) -> Any:
    return xgboost.XGBClassifier(n_estimators=8, n_jobs=1, **given)


def lgb() -> Any:
    return lightgbm.LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1, min_child_samples=2)


def forest() -> Any:
    return RandomForestClassifier(5, max_depth=6, n_jobs=1, random_state=0)


def columns() -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_column_transformer(
        (numbers, ["a", "b"]), (OneHotEncoder(handle_unknown="ignore"), ["kind", "size"]), sparse_threshold=0
    )


def own_columns() -> Any:
    numbers, texts = preprocessing.StandardScaler(), preprocessing.OneHotEncoder(handle_unknown="ignore")
    return preprocessing.ColumnTransformer([("numbers", numbers, ["a", "b"]), ("texts", texts, ["kind", "size"])])


NUMBERS: dict[str, Callable[[], Any]] = {
    "xgboost": xgb,
    "lightgbm": lgb,
    "catboost": lambda: catboost.CatBoostClassifier(iterations=8, **QUIET),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=8),
    "stack that passes its input": lambda: StackingClassifier(
        [("x", xgb()), ("h", HistGradientBoostingClassifier(max_iter=4))], lgb(), cv=2, passthrough=True
    ),
}
CATEGORIES: dict[str, Callable[[], Any]] = {
    "xgboost": lambda: xgb(enable_categorical=True),
    "lightgbm": lgb,
    "catboost": lambda: catboost.CatBoostClassifier(iterations=8, cat_features=["kind", "size"], **QUIET),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=8, categorical_features="from_dtype"),
}
PIPELINES: dict[str, Callable[[], Any]] = {
    "forest": lambda: make_pipeline(columns(), forest()),
    "linear": lambda: make_pipeline(columns(), LogisticRegression()),
    "mlcore's own": lambda: make_pipeline(own_columns(), xgb()),
    "ordinal": lambda: make_pipeline(
        make_column_transformer((OrdinalEncoder(), ["kind", "size"]), remainder="passthrough"), forest()
    ),
    "vote": lambda: make_pipeline(
        columns(), VotingClassifier([("f", forest()), ("l", LogisticRegression())], voting="soft")
    ),
    "stack": lambda: StackingClassifier(
        [("f", make_pipeline(columns(), forest())), ("l", make_pipeline(columns(), LogisticRegression()))], cv=2
    ),
    "stack that passes its input": lambda: make_pipeline(
        columns(), StackingClassifier([("x", xgb()), ("f", forest())], forest(), cv=2, passthrough=True)
    ),
}
TEXTS: dict[str, Any] = {
    "String": (pl.String, pl.String),
    "Categorical": (pl.Categorical, pl.Categorical),
    "Enum": (pl.Enum(list("dcba")), pl.Enum(["M", "L", "S"])),
    "Enum with more": (pl.Enum(list("zabcd")), pl.Enum(["L", "XL", "M", "S"])),
}
ANSWERS = ("predict", "predict_proba", "margin", "leaf_ids", "explain")
SHAPES: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], slice]] = {
    "whole": (lambda rows: rows, slice(None)),
    "reordered, with more": (
        lambda rows: rows.select(reversed(rows.columns)).with_columns(text=pl.lit("x"), list=pl.lit([1])), slice(None)
    ),
    "sliced": (lambda rows: rows[13:401], slice(13, 401)),
    "every third": (lambda rows: rows[::3], slice(None, None, 3)),
    "chunked": (lambda rows: pl.concat([rows[:7], rows[7:8], rows[8:]], rechunk=False), slice(None)),
    "chunked and sliced": (lambda rows: pl.concat([rows[:70], rows[70:]], rechunk=False)[5:300], slice(5, 300)),
    "one row": (lambda rows: rows[3:4], slice(3, 4)),
    "no rows": (lambda rows: rows[:0], slice(0)),
}  # fmt: skip


def assert_same(scorer: Any, given: Any, rows: pd.DataFrame) -> None:
    """Every answer of the scorer to `given` is that to `rows`, or refused by the same message."""
    for method in ANSWERS:
        if hasattr(scorer, method):
            assert answer(scorer, method, given) == answer(scorer, method, rows), method


def answer(scorer: Any, method: str, X: Any) -> tuple[Any, ...]:
    try:
        found = getattr(scorer, method)(X)
    except mlcore.errors.MlcoreError as error:
        return type(error), str(error)
    return found.dtype, found.shape, found.tobytes()


@pytest.mark.parametrize("fitted_on", ["pandas", "polars"])
@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_numbers_of_every_type_in_frames_of_every_shape(kind: str, fitted_on: str) -> None:
    frame = FRAME if fitted_on == "polars" and kind in ("xgboost", "histograms") else PANDAS
    model = NUMBERS[kind]().fit(frame, LABELS)
    scorer = mlcore.compile(model)
    assert np.array_equal(scorer.predict(FRAME).ravel(), model.predict(frame).ravel())
    for change, part in SHAPES.values():
        assert_same(scorer, change(FRAME), PANDAS[part])
    assert_same(scorer, FRAME.to_dict(), PANDAS)
    assert_same(scorer, FRAME.cast(pl.Float32), PANDAS.astype(np.float32))


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories_of_every_type(kind: str, texts: str) -> None:
    rows = KINDS_PANDAS if kind == "catboost" else KINDS_PANDAS.assign(kind=KINDS_PANDAS["kind"].where(CODES > 0))
    model = CATEGORIES[kind]().fit(rows, LABELS)
    scorer = mlcore.compile(model)
    assert np.array_equal(scorer.predict(rows).ravel(), model.predict(rows).ravel())
    frame = KINDS if kind == "catboost" else KINDS.with_columns(kind=pl.when(pl.Series(CODES > 0)).then("kind"))
    frame = frame.with_columns(kind=pl.col("kind").cast(TEXTS[texts][0]), size=pl.col("size").cast(TEXTS[texts][1]))
    for name, (change, part) in SHAPES.items():
        if (kind, name) != ("lightgbm", "reordered, with more"):  # its categories are found by the order of columns
            assert_same(scorer, change(frame), rows[part])


@pytest.mark.parametrize("texts", ["Categorical", "Enum"])
@pytest.mark.parametrize("kind", ["xgboost", "histograms"])
def test_models_fitted_on_categories_of_polars(kind: str, texts: str) -> None:
    frame = KINDS.with_columns(pl.col("kind").cast(TEXTS[texts][0]), pl.col("size").cast(TEXTS[texts][1]))
    try:
        model = CATEGORIES[kind]().fit(frame, LABELS)
    except ValueError as error:
        if "does not support `polars.Categorical`" not in str(error):
            raise
        pytest.skip(f"this XGBoost refuses it: {error}")
    scorer = mlcore.compile(model)
    np.testing.assert_allclose(scorer.predict_proba(frame), model.predict_proba(frame), rtol=0, atol=1e-6)
    assert_same(scorer, frame, KINDS_PANDAS)


@pytest.mark.parametrize("fitted_on", ["pandas", "polars"])
@pytest.mark.parametrize("kind", PIPELINES)
def test_pipelines_votes_and_stacks(kind: str, fitted_on: str) -> None:
    rows = KINDS.to_pandas()
    model = PIPELINES[kind]().fit(KINDS if fitted_on == "polars" else rows, LABELS)
    scorer = mlcore.compile(model)
    np.testing.assert_allclose(scorer.predict_proba(KINDS), model.predict_proba(rows), rtol=0, atol=1e-6)
    for change, part in SHAPES.values():
        assert_same(scorer, change(KINDS), rows[part])
    for first, second in TEXTS.values():
        assert_same(scorer, KINDS.with_columns(pl.col("kind").cast(first), pl.col("size").cast(second)), rows)


def test_an_isolation_forest() -> None:
    rows = KINDS.select("a", "b")
    model = IsolationForest(n_estimators=5, random_state=0).fit(rows)
    assert np.array_equal(mlcore.compile(model).score_samples(rows), model.score_samples(rows))


def test_a_profile_and_transformers_read_frames() -> None:
    chunked = pl.concat([KINDS[:70], KINDS[70:].clone()], rechunk=False)
    rows = KINDS.to_pandas()
    found, expected = (Profile.fit(X).columns for X in (chunked, rows))
    assert all(np.array_equal(found[name].counts, expected[name].counts) for name in KINDS.columns)
    assert np.array_equal(own_columns().fit(chunked).transform(chunked), own_columns().fit(rows).transform(rows))


@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories_that_are_all_null_have_no_type_and_are_missing(kind: str) -> None:
    """As pandas' categories of nothing are."""
    model = CATEGORIES[kind]().fit(KINDS_PANDAS, LABELS)
    scorer = mlcore.compile(model)
    for size in (1, ROWS):
        frame = KINDS[:size].with_columns(kind=pl.lit(None))
        if kind == "catboost":
            with pytest.raises(DataError, match="column 'kind' has a missing value"):
                scorer.predict(frame)
        elif kind == "lightgbm":
            with pytest.raises(SchemaMismatch, match="trained on 2 columns of categories, found 1: size"):
                scorer.predict(frame)
        else:
            rows = KINDS_PANDAS[:size].assign(kind=pd.Categorical([None] * size, categories=list("abcd")))
            np.testing.assert_allclose(scorer.predict_proba(frame), model.predict_proba(rows), rtol=0, atol=1e-6)
            assert_same(scorer, frame, rows)
            assert_same(scorer, pa.table(frame), rows)


def test_a_pipeline_takes_text_that_is_all_null() -> None:
    model = make_pipeline(columns(), forest()).fit(KINDS, LABELS)
    rows = KINDS.with_columns(kind=pl.lit(None, pl.String))
    scorer = mlcore.compile(model)
    assert np.array_equal(scorer.predict_proba(rows), model.predict_proba(rows))
    assert_same(scorer, KINDS.with_columns(kind=pl.lit(None)), rows.to_pandas())


WRONG: dict[str, tuple[Callable[[pl.DataFrame], Any], str]] = {
    "missing": (lambda rows: rows.drop("kind"), "column 'kind' is missing; found: a, b, size"),
    "number": (lambda rows: rows.with_columns(kind=1.5), "column 'kind': (the model expects|CatBoost's) categories"),
    "text": (lambda rows: rows.with_columns(a=pl.lit("x")), "column 'a': the model expects numbers, found categories"),
    "list": (lambda rows: rows.with_columns(kind=pl.lit([1])), "column 'kind': type large_list"),
    "struct": (lambda rows: rows.with_columns(a=pl.struct("a", "b")), "column 'a': type struct"),
    "object": (
        lambda rows: rows.with_columns(a=pl.Series([{}] * ROWS, dtype=pl.Object)),
        "column 'a': type fixed_size",
    ),
    "Int128": (lambda rows: rows.with_columns(a=pl.lit(1, pl.Int128)), "column 'a': polars' Int128 is not supported"),
    "lazy": (lambda rows: rows.lazy(), r"a polars LazyFrame has no rows yet; pass what its \.collect\(\) gives"),
    "Series": (lambda rows: rows["a"], "a polars Series is one column"),
    "group": (lambda rows: rows.group_by("kind"), "cannot read a table from polars"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["xgboost", "catboost", "histograms"])
def test_what_is_no_frame_of_the_models_columns_is_refused_by_name(kind: str, wrong: str) -> None:
    change, message = WRONG[wrong]
    scorer = mlcore.compile(CATEGORIES[kind]().fit(KINDS_PANDAS, LABELS))
    with pytest.raises((SchemaMismatch, UnsupportedType), match=message):
        scorer.predict(change(KINDS))


@pytest.mark.parametrize("column", [pa.array(A), pa.chunked_array([A]), pd.Series(A), pd.Index(A)])
def test_other_libraries_columns_are_no_tables_either(column: Any) -> None:
    with pytest.raises(UnsupportedType, match="is one column|cannot read a table from pandas"):
        mlcore.compile(xgb().fit(PANDAS, LABELS)).predict(column)


def test_an_unknown_category_is_named() -> None:
    scorer = mlcore.compile(CATEGORIES["xgboost"]().fit(KINDS_PANDAS, LABELS))
    with pytest.raises(DataError, match="column 'kind': category new was not in the training data"):
        scorer.predict(KINDS.with_columns(kind=pl.lit("new").cast(pl.Categorical)))
