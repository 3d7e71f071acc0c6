"""Pipelines of scikit-learn's own transformers: folded, they give the library's bits, and so at every fitted edge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeRegressor

import mlcore
from mlcore import preprocessing as own
from mlcore.errors import DataError, SchemaMismatch, UnsupportedModel
from mlcore.preprocessing.features import Transforms

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(17)
ROWS = 1_200
FRAME = pd.DataFrame(
    {
        "a": RNG.normal(3, 2, ROWS),
        "text": RNG.choice(["x", "y", "zz", "Łódź"], ROWS),
        "b": RNG.normal(0, 1e-3, ROWS),
        "whole": RNG.integers(-3, 4, ROWS),
        "kind": RNG.choice([3.0, 7.0, 100.5], ROWS),
        "unused": RNG.normal(size=ROWS),
    }
)
TARGET = FRAME["a"] * (FRAME["text"] == "y") + FRAME["b"] * 300 + (FRAME["kind"] == 7) - (FRAME["whole"] > 1)
GAPS = FRAME.copy()
for _name in ("a", "b", "kind", "text"):
    GAPS.loc[RNG.random(ROWS) < 0.1, _name] = np.nan

NUMBERS: dict[str, Callable[[], Any]] = {
    "standard": StandardScaler,
    "centered": lambda: StandardScaler(with_std=False),
    "scaled": lambda: StandardScaler(with_mean=False),
    "min-max": lambda: MinMaxScaler((-1, 2)),
    "clipped": lambda: MinMaxScaler(clip=True),
    "max-abs": MaxAbsScaler,
    "robust": RobustScaler,
    "two": lambda: make_pipeline(RobustScaler(), "passthrough", MinMaxScaler()),
    "nothing": lambda: "passthrough",
    "function": FunctionTransformer,
}
MODELS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestRegressor(8, n_jobs=1, random_state=0),
    "histograms": lambda: HistGradientBoostingRegressor(max_iter=10),
    "ridge": Ridge,
    "network": lambda: MLPRegressor(max_iter=2, random_state=0),
}


def table(numbers: Any, *, text: Any = None, kind: Any = None, threshold: float = 0.0) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("kinds", OneHotEncoder(handle_unknown="ignore", sparse_output=False) if kind is None else kind, ["kind"]),
            ("numbers", numbers, ["a", "b", "whole"]),
            ("texts", OneHotEncoder(handle_unknown="ignore") if text is None else text, ["text"]),
            ("left out", "drop", ["unused"]),
        ],
        sparse_threshold=threshold,
    )


def same(found: Any, expected: Any, *, exact: bool) -> None:
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if exact:
        assert np.array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def at_the_edges(scorer: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose numbers are the folded edges and their neighbours."""
    edges = scorer.edges(pa.Schema.from_pandas(frame, preserve_index=False))
    out = frame.copy()
    for name in ("a", "b"):
        near = np.concatenate([edges[name], np.nextafter(edges[name], -np.inf), np.nextafter(edges[name], np.inf)])
        near = near[np.isfinite(near)]
        if len(near):
            out[name] = RNG.choice(near, len(out))
    return out


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_numbers_fold_to_the_librarys_bits(numbers: str, model: str) -> None:
    pipeline = Pipeline([("columns", table(NUMBERS[numbers]())), ("model", MODELS[model]())]).fit(FRAME, TARGET)
    scorer, exact = mlcore.compile(pipeline), model in ("forest", "histograms")
    frames = [FRAME, at_the_edges(scorer, FRAME)] if exact else [FRAME]
    for frame in frames:
        same(scorer.predict(frame), pipeline.predict(frame), exact=exact)
        same(scorer.predict(pa.Table.from_pandas(frame)), pipeline.predict(frame), exact=exact)


@pytest.mark.parametrize("backend", ["cpu", "numba"])
def test_backends_agree(backend: str) -> None:
    pipeline = Pipeline([("columns", table(StandardScaler())), ("model", MODELS["forest"]())]).fit(FRAME, TARGET)
    same(mlcore.compile(pipeline, backend=backend).predict(FRAME), pipeline.predict(FRAME), exact=True)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("mark", [False, True])
def test_missing_values_are_imputed(strategy: str, mark: bool) -> None:
    numbers = make_pipeline(SimpleImputer(strategy=strategy, add_indicator=mark), RobustScaler() if not mark else None)
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    kind = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    pipeline = Pipeline([("columns", table(numbers, text=text, kind=kind)), ("model", MODELS["forest"]())])
    pipeline.fit(GAPS, TARGET)
    scorer = mlcore.compile(pipeline)
    for frame in (GAPS, FRAME, at_the_edges(scorer, GAPS)):
        same(scorer.predict(frame), pipeline.predict(frame), exact=True)


ENCODERS: dict[str, Callable[[], Any]] = {
    "one-hot": lambda: OneHotEncoder(handle_unknown="ignore"),
    "one-hot, first dropped": lambda: OneHotEncoder(handle_unknown="error", drop="first"),
    "one-hot of two dropped": lambda: OneHotEncoder(drop="if_binary"),
    "one-hot, infrequent": lambda: OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist"),
    "one-hot, infrequent dropped": lambda: OneHotEncoder(
        max_categories=2, handle_unknown="infrequent_if_exist", drop="first"
    ),
    "one-hot, infrequent warned": lambda: OneHotEncoder(min_frequency=0.25, handle_unknown="warn"),
    "one-hot, infrequent ignored": lambda: OneHotEncoder(min_frequency=0.25, handle_unknown="ignore", drop="if_binary"),
    "one-hot, infrequent refused": lambda: OneHotEncoder(max_categories=3),
    "one-hot, all infrequent": lambda: OneHotEncoder(min_frequency=ROWS + 1, handle_unknown="infrequent_if_exist"),
    "ordinal, infrequent": lambda: OrdinalEncoder(
        max_categories=3, handle_unknown="use_encoded_value", unknown_value=-1
    ),
    "ordinal, infrequent refused": lambda: OrdinalEncoder(min_frequency=0.25, encoded_missing_value=-2),
    "ordinal": OrdinalEncoder,
    "ordinal, unknown": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "ordinal, unknown missing": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    "ordinal, missing named": lambda: OrdinalEncoder(encoded_missing_value=-5),
    "ordinal, then scaled": lambda: make_pipeline(OrdinalEncoder(encoded_missing_value=-1), MinMaxScaler()),
}
UNSEEN = FRAME.assign(text=RNG.choice(["x", "new", "Łódź"], ROWS), kind=RNG.choice([3.0, 7.5, -0.0], ROWS))


@pytest.mark.parametrize("model", ["forest", "histograms", "ridge"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_categories_are_encoded(encoder: str, gaps: bool, model: str) -> None:
    make, rows = ENCODERS[encoder], GAPS if gaps else FRAME
    if gaps:
        rows = rows.assign(a=FRAME["a"], b=FRAME["b"])
    pipeline = Pipeline([("columns", table("passthrough", text=make(), kind=make())), ("model", MODELS[model]())])
    try:
        pipeline.fit(rows, TARGET)
    except ValueError:  # scikit-learn's linear models take no missing values
        assert gaps and model == "ridge"
        return
    scorer = mlcore.compile(pipeline)
    for frame in (rows, FRAME, GAPS.assign(a=FRAME["a"], b=FRAME["b"]), UNSEEN):
        try:
            expected = pipeline.predict(frame)
        except ValueError:  # an unknown or missing category, or a missing feature
            with pytest.raises(DataError, match="was not in the training data|has a missing value"):
                scorer.predict(frame)
            continue
        same(scorer.predict(frame), expected, exact=model != "ridge")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoded_missing_value": -7},
        {"max_categories": 3},
        {"min_frequency": 0.25, "handle_unknown": "use_encoded_value", "unknown_value": -1},
    ],
)
def test_none_is_a_category_as_any_other(options: dict[str, Any]) -> None:
    text = FRAME["text"].astype(object).where(RNG.random(ROWS) > 0.1, None)
    rows = pd.DataFrame({"text": text})
    pipeline = make_pipeline(OrdinalEncoder(**options), MODELS["histograms"]()).fit(rows, TARGET)
    assert rows["text"].isna().sum() > 50
    same(mlcore.compile(pipeline).predict(rows), pipeline.predict(rows), exact=True)


def test_categorical_splits_of_encoded_columns() -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = ColumnTransformer([("codes", encoder, ["text", "kind"])], remainder="passthrough")
    model = HistGradientBoostingClassifier(max_iter=10, categorical_features=[0, 1])
    pipeline = Pipeline([("columns", columns), ("model", model)]).fit(GAPS, TARGET > 0)
    scorer = mlcore.compile(pipeline)
    for frame in (GAPS, UNSEEN):
        assert np.array_equal(scorer.predict(frame), pipeline.predict(frame))
        assert np.array_equal(scorer.margin(frame), pipeline.decision_function(frame))


@pytest.mark.parametrize("model", ["forest", "ridge", "histograms"])
def test_a_matrix_has_columns_by_position(model: str) -> None:
    rows = FRAME[["a", "unused", "b", "kind", "whole"]].to_numpy()
    columns = ColumnTransformer([("kind", OneHotEncoder(), [3]), ("rest", StandardScaler(), [4, 0, 2, 0])])
    pipeline = make_pipeline(columns, MODELS[model]()).fit(rows, TARGET)
    scorer, expected = mlcore.compile(pipeline), pipeline.predict(rows)
    for few in (rows[:1], rows[:9]):
        same(scorer.predict(few), expected[: len(few)], exact=model != "ridge")
    for form in (rows, np.asfortranarray(rows), pd.DataFrame(rows, columns=list("vwxyz"))):
        same(scorer.predict(form), expected, exact=model != "ridge")
    with pytest.raises(SchemaMismatch, match="expected rows of 5 columns"):
        scorer.predict(rows[:, :4])


def test_a_frame_may_come_in_any_order_and_without_unused_columns() -> None:
    pipeline = make_pipeline(table(StandardScaler()), MODELS["forest"]()).fit(FRAME, TARGET)
    scorer = mlcore.compile(pipeline)
    for frame in (FRAME[FRAME.columns[::-1]], FRAME.drop(columns="unused")):
        same(scorer.predict(frame), pipeline.predict(FRAME), exact=True)
    with pytest.raises(SchemaMismatch, match="column 'kind' is missing"):
        scorer.predict(FRAME.drop(columns="kind"))
    with pytest.raises(SchemaMismatch, match="column 'text'"):
        scorer.predict(FRAME.assign(text=1.0))
    with pytest.raises(SchemaMismatch, match="column 'kind'"):
        scorer.predict(FRAME.assign(kind="x"))


def test_labels_probabilities_and_leaves_of_a_pipeline() -> None:
    pipeline = make_pipeline(table(MinMaxScaler()), RandomForestClassifier(5, n_jobs=1, random_state=0))
    labels = np.array(["low", "middle", "high"])[np.digitize(TARGET, [0, 1])]
    pipeline.fit(FRAME, labels)
    scorer = mlcore.compile(pipeline)
    assert np.array_equal(scorer.predict(FRAME), pipeline.predict(FRAME))
    assert np.array_equal(scorer.predict_proba(FRAME), pipeline.predict_proba(FRAME))
    assert np.array_equal(scorer.leaf_ids(FRAME), pipeline[-1].apply(pipeline[:-1].transform(FRAME)))
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME[["a", "b"]], labels)
    assert np.array_equal(mlcore.compile(scaled).predict(FRAME[["a", "b"]]), scaled.predict(FRAME[["a", "b"]]))
    strange = make_pipeline(StandardScaler(), IsolationForest(n_estimators=10, random_state=0)).fit(FRAME[["a", "b"]])
    assert np.array_equal(mlcore.compile(strange).predict(FRAME[["a", "b"]]), strange.predict(FRAME[["a", "b"]]))


def test_files_are_scored_with_a_pipeline(tmp_path: Path) -> None:
    pipeline = make_pipeline(table(MinMaxScaler()), RandomForestClassifier(5, n_jobs=1, random_state=0))
    pipeline.fit(FRAME, TARGET > 0)
    FRAME.to_parquet(tmp_path / "rows.parquet", row_group_size=500)
    mlcore.score(pipeline, [tmp_path / "rows.parquet"], tmp_path / "out")
    found = pd.read_parquet(tmp_path / "out" / "rows.parquet")[["score_0", "score_1"]]
    assert np.array_equal(found.to_numpy(), pipeline.predict_proba(FRAME))


def test_a_pipeline_of_a_model_alone() -> None:
    rows = FRAME[["a", "b"]]
    for steps in ([("model", MODELS["forest"]())], [("not", "passthrough"), ("model", MODELS["forest"]())]):
        pipeline = Pipeline(steps).fit(rows, TARGET)
        same(mlcore.compile(pipeline).predict(rows), pipeline.predict(rows), exact=True)


def test_missing_values_that_reach_a_model_which_takes_none_are_refused() -> None:
    labels = TARGET > 0
    pipeline = make_pipeline(table("passthrough"), GradientBoostingClassifier(n_estimators=3)).fit(FRAME, labels)
    scorer = mlcore.compile(pipeline)
    assert np.array_equal(scorer.predict(FRAME), pipeline.predict(FRAME))
    with pytest.raises(DataError, match="column 'a' has a missing value"):
        scorer.predict(GAPS)
    imputed = make_pipeline(table(SimpleImputer()), GradientBoostingClassifier(n_estimators=3)).fit(GAPS, labels)
    assert np.array_equal(mlcore.compile(imputed).predict(GAPS), imputed.predict(GAPS))


def test_a_sparse_transformer_leaves_zeros_to_scikit_learn_and_missing_values_to_xgboost() -> None:
    columns = table(StandardScaler(), threshold=1.0)
    pipeline = make_pipeline(columns, DecisionTreeRegressor(max_depth=6)).fit(FRAME, TARGET)
    assert columns.sparse_output_
    scorer = mlcore.compile(pipeline)
    same(scorer.predict(FRAME), pipeline.predict(FRAME), exact=True)
    with pytest.raises(ValueError, match="NaN"):
        pipeline.predict(GAPS)
    with pytest.raises(DataError, match="missing value"):
        scorer.predict(GAPS)
    boosted = make_pipeline(table(StandardScaler(), threshold=1.0), xgboost.XGBRegressor(n_estimators=3))
    with pytest.raises(UnsupportedModel, match="leaves out for missing"):
        mlcore.compile(boosted.fit(FRAME, TARGET))


@pytest.mark.parametrize("numbers", ["standard", "clipped", "nothing"])
def test_xgboost_after_scikit_learns_transformers(numbers: str) -> None:
    model = xgboost.XGBRegressor(n_estimators=12, max_depth=5, n_jobs=1)
    pipeline = make_pipeline(table(NUMBERS[numbers]()), model).fit(GAPS, TARGET)
    scorer = mlcore.compile(pipeline)
    for frame in (GAPS, at_the_edges(scorer, GAPS)):
        assert np.array_equal(scorer.margin(frame), pipeline.predict(frame))


@pytest.mark.parametrize("model", ["forest", "histograms"])
def test_scikit_learns_models_after_mlcores_transformers(model: str) -> None:
    columns = own.ColumnTransformer(
        [("n", [own.SimpleImputer(strategy="mean"), own.StandardScaler()], ["a", "b"]),
         ("t", own.OneHotEncoder(handle_unknown="ignore"), ["text"])]
    )  # fmt: skip
    pipeline = Pipeline([("columns", columns), ("model", MODELS[model]())]).fit(GAPS, TARGET)
    scorer = mlcore.compile(pipeline)
    for frame in (GAPS, at_the_edges(scorer, GAPS)):
        same(scorer.predict(frame), pipeline.predict(frame), exact=True)


@pytest.mark.parametrize("trained", [np.float32, np.float64])
def test_float32_columns_that_are_imputed_alone(trained: Any) -> None:
    rows = GAPS[["a", "b"]].to_numpy(np.float32)
    for model in ("forest", "histograms"):
        pipeline = make_pipeline(SimpleImputer(), MODELS[model]()).fit(rows.astype(trained), TARGET)
        scorer = mlcore.compile(pipeline)
        same(scorer.predict(rows.astype(np.float64)), pipeline.predict(rows.astype(np.float64)), exact=True)
        same(scorer.predict(rows), pipeline.predict(rows), exact=True)


def test_features_with_matches_and_accepted_categories_travel_as_json() -> None:
    pipeline = make_pipeline(table(MinMaxScaler(), text=OrdinalEncoder(), kind=OneHotEncoder()), Ridge()).fit(
        FRAME, TARGET
    )
    transforms = mlcore.compile(pipeline).features
    named = Transforms(tuple(type(f)(f"{i}", f.column, f.steps, f.accepts) for i, f in enumerate(transforms)))
    assert Transforms.from_json(json.loads(json.dumps(named.to_json()))) == named


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "polynomial": (lambda: make_pipeline(PolynomialFeatures(), Ridge()), "transformer PolynomialFeatures"),
    "function": (lambda: make_pipeline(FunctionTransformer(np.sqrt), Ridge()), "transformer FunctionTransformer"),
    "marker": (
        lambda: make_pipeline(SimpleImputer(missing_values=-1), Ridge()), "SimpleImputer with missing_values=-1"
    ),
    "encoded twice": (
        lambda: make_pipeline(StandardScaler(), OneHotEncoder(handle_unknown="ignore"), Ridge()),
        "categories of a transformed number",
    ),
    "weights": (
        lambda: make_pipeline(
            ColumnTransformer([("a", StandardScaler(), [0])], transformer_weights={"a": 2}), Ridge()
        ),
        "transformer_weights",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fold_is_refused_by_name(kind: str) -> None:
    make, message = REFUSED[kind]
    pipeline = make().fit(np.abs(FRAME[["whole", "kind"]].to_numpy()), TARGET)
    with pytest.raises(UnsupportedModel, match=message):
        mlcore.compile(pipeline)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32"])
def test_numeric_categories_fold_for_every_type_of_column(dtype: str) -> None:
    rows = RNG.choice([-3, 0, 5, 2**24 + 1], (ROWS, 2)).astype(dtype)
    y = (rows[:, 0] == 5) + 2.0 * (rows[:, 1] == 0)
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore", sparse_output=False), MODELS["forest"]())
    pipeline.fit(rows, y)
    near = np.array([-3, -2, 0, 1, 5, 6, 2**24, 2**24 + 1, 2**24 + 2]).astype(dtype)
    for values in (rows, RNG.choice(near, (ROWS, 2))):
        same(mlcore.compile(pipeline).predict(values), pipeline.predict(values), exact=True)
