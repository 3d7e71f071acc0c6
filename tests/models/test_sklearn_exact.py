"""scikit-learn's trees against the library itself: leaves exactly, raw predictions bit for bit, labels and their types."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

import mlcore
from mlcore import models
from mlcore import preprocessing as own
from mlcore.errors import DataError, ModelFormatError, SchemaMismatch, UnsupportedModel, UsageError

RNG = np.random.default_rng(23)
ROWS = 1_500
X = RNG.normal(size=(ROWS, 5))
X[:, 3] = RNG.integers(-3, 4, ROWS)
X[:, 4] = RNG.choice([0.1, 0.2, 0.30000001192092896, 1e-40, -1e-40, 1e30], ROWS)
GAPS = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
SCORE = X[:, 0] * X[:, 1] + (X[:, 3] > 0) + 0.1 * RNG.normal(size=ROWS)
LABELS: dict[str, Any] = {
    "real": SCORE,
    "positive": np.exp(SCORE),
    "outputs": np.stack([SCORE, -SCORE, SCORE**2], axis=1),
    "booleans": SCORE > 0.5,
    "strings": np.array(["no", "maybe", "yes"])[np.digitize(SCORE, [0, 1])],
    "two strings": np.where(SCORE > 0.5, "yes", "no"),
    "numbers": np.array([7, -2, 30, 4])[np.digitize(SCORE, [0, 0.5, 1.5])],
    "halves": np.where(SCORE > 0.5, 0.0, 1.0),
}

REGRESSORS: dict[str, tuple[Callable[[], Any], str]] = {
    "tree": (lambda: DecisionTreeRegressor(random_state=0), "real"),
    "stump": (lambda: DecisionTreeRegressor(max_depth=1), "real"),
    "leaf": (lambda: DecisionTreeRegressor(min_samples_split=ROWS + 1), "real"),
    "tree of outputs": (lambda: DecisionTreeRegressor(max_depth=7), "outputs"),
    "monotonic tree": (lambda: DecisionTreeRegressor(max_depth=6, monotonic_cst=[1, 0, 0, -1, 0]), "real"),
    "extra tree": (lambda: ExtraTreeRegressor(random_state=0), "real"),
    "forest": (lambda: RandomForestRegressor(13, n_jobs=1, random_state=0), "real"),
    "forest of outputs": (lambda: RandomForestRegressor(7, max_depth=9, n_jobs=1, random_state=0), "outputs"),
    "extra trees": (lambda: ExtraTreesRegressor(7, max_depth=9, n_jobs=1, random_state=0), "real"),
    "boosting": (lambda: GradientBoostingRegressor(n_estimators=20, random_state=0), "real"),
    "boosting by absolute error": (lambda: GradientBoostingRegressor(n_estimators=9, loss="absolute_error"), "real"),
    "boosting by huber": (lambda: GradientBoostingRegressor(n_estimators=9, loss="huber", subsample=0.6), "real"),
    "boosting of a quantile": (lambda: GradientBoostingRegressor(n_estimators=9, loss="quantile"), "real"),
    "boosting from zero": (lambda: GradientBoostingRegressor(n_estimators=9, init="zero"), "real"),
    "boosting from three": (
        lambda: GradientBoostingRegressor(n_estimators=9, init=DummyRegressor(strategy="constant", constant=3.0)),
        "real",
    ),
    **{
        f"histograms by {loss}": (
            lambda loss=loss: HistGradientBoostingRegressor(
                max_iter=15, loss=loss, quantile=0.3 if loss == "quantile" else None
            ),
            "positive",
        )
        for loss in ("squared_error", "absolute_error", "gamma", "poisson", "quantile")
    },
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "tree": lambda: DecisionTreeClassifier(max_depth=8, random_state=0),
    "weighted tree": lambda: DecisionTreeClassifier(class_weight="balanced", min_samples_leaf=9, random_state=0),
    "extra tree": lambda: ExtraTreeClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(11, n_jobs=1, random_state=0, min_samples_leaf=3),
    "extra trees": lambda: ExtraTreesClassifier(9, n_jobs=1, random_state=0, max_depth=10),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=12, random_state=0),
    "boosting from zero": lambda: GradientBoostingClassifier(n_estimators=12, init="zero"),
    "boosting from a prior": lambda: GradientBoostingClassifier(n_estimators=5, init=DummyClassifier()),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=12),
    "early histograms": lambda: HistGradientBoostingClassifier(max_iter=12, early_stopping=True, random_state=0),
}


def bits(found: Any, expected: Any) -> bool:
    return found.shape == expected.shape and found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def raw(model: Any, rows: Any) -> Any:
    """The library's own sums, before any link."""
    if isinstance(model, HistGradientBoostingRegressor):
        return model._raw_predict(rows)[:, 0]
    if hasattr(model, "decision_function"):
        return model.decision_function(rows)
    return model.predict_proba(rows) if hasattr(model, "classes_") else model.predict(rows)


def leaves(model: Any, rows: Any) -> Any:
    found = np.asarray(model.apply(rows))
    return found.reshape(len(rows), -1).astype(np.int32)


def awkward(ensemble: Any, *, missing: bool, narrow: bool) -> Any:
    """Rows of thresholds, their neighbours on either float line, zeros of both signs and the smallest numbers."""
    rng = np.random.default_rng(5)
    split = (ensemble.feature >= 0) & (ensemble.interval_set < 0)
    near = ensemble.threshold[split] if split.any() else np.zeros(1, ensemble.threshold.dtype)
    wide = near.astype(np.float64)
    low, high = near.dtype.type(-np.inf), near.dtype.type(np.inf)
    middle = (wide + np.nextafter(near, low).astype(np.float64)) / 2  # rounds across the threshold, or to it
    pool = [near, np.nextafter(near, low), np.nextafter(near, high), wide, middle]
    pool += [np.nextafter(middle, -np.inf), np.nextafter(middle, np.inf), np.nextafter(wide, np.inf)]
    pool += [np.array([0.0, -0.0, 1e-45, -1e-45, 5e-324, 1e-40, 3e30, -3e30])]
    if missing:
        pool.append(np.full(max(2, len(near) // 3), np.nan))
    if ensemble.threshold.dtype == np.float64:
        pool.append(np.array([np.inf, -np.inf]))  # the others refuse infinities
    values = np.concatenate([part.astype(np.float64) for part in pool])
    rows = np.where(rng.random((700, 5)) < 0.8, rng.choice(values, (700, 5)), X[:700])
    with np.errstate(over="ignore"):
        return rows.astype(np.float32) if narrow else rows


def takes_missing(model: Any) -> bool:
    try:
        model.predict(np.full((1, 5), np.nan))
    except ValueError:
        return False
    return True


def check(model: Any, *, backend: str = "cpu", rows: Any = X) -> Any:
    """The Scorer says what the estimator says, bit for bit, on its rows and on awkward ones."""
    scorer = mlcore.compile(model, backend=backend)
    missing = takes_missing(model)
    assert scorer.model.accepts_missing == missing
    trees = [
        rows,
        awkward(scorer.model, missing=missing, narrow=False),
        awkward(scorer.model, missing=missing, narrow=True),
    ]
    for values in trees:
        assert bits(scorer.margin(values), raw(model, values))
        for few in (1, 5, 16):  # rows that are walked one by one
            assert bits(scorer.margin(values[:few]), raw(model, values)[:few])
        expected = model.predict(values)
        found = scorer.predict(values)
        assert found.shape == expected.shape and found.dtype == expected.dtype
        if hasattr(model, "classes_"):
            assert np.array_equal(found, expected)
            np.testing.assert_allclose(
                scorer.predict_proba(values), model.predict_proba(values), rtol=1e-12, atol=1e-15
            )
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-14)
        if hasattr(model, "apply"):
            assert np.array_equal(scorer.leaf_ids(values), leaves(model, values))
    again = models.from_arrow(scorer.model.to_arrow())
    assert again.to_arrow().equals(scorer.model.to_arrow(), check_metadata=True)
    return scorer


@pytest.mark.parametrize("kind", REGRESSORS)
def test_regressors(kind: str) -> None:
    make, labels = REGRESSORS[kind]
    check(make().fit(X, LABELS[labels]))


@pytest.mark.parametrize("labels", ["booleans", "strings", "two strings", "numbers", "halves"])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers(kind: str, labels: str) -> None:
    check(CLASSIFIERS[kind]().fit(X, LABELS[labels]))


@pytest.mark.parametrize("backend", ["cpu", "numba"])
@pytest.mark.parametrize("kind", ["forest", "histograms", "boosting"])
def test_backends_agree(kind: str, backend: str) -> None:
    check(CLASSIFIERS[kind]().fit(X, LABELS["strings"]), backend=backend)


def test_exponential_loss_has_half_the_log_odds() -> None:
    model = GradientBoostingClassifier(loss="exponential", n_estimators=20).fit(X, LABELS["two strings"])
    check(model)


def test_a_margin_of_zero_is_the_second_class_of_boosting_and_the_first_of_histograms() -> None:
    rows, y = np.zeros((40, 1)), np.tile(["a", "b"], 20)
    for model in (GradientBoostingClassifier(init="zero"), HistGradientBoostingClassifier(max_iter=3)):
        model.fit(rows, y)
        assert model.decision_function(rows)[0] == 0
        assert np.array_equal(mlcore.compile(model).predict(rows), model.predict(rows))


def test_one_class_alone() -> None:
    model = DecisionTreeClassifier().fit(X, np.full(ROWS, "only"))
    scorer = mlcore.compile(model)
    assert np.array_equal(scorer.predict(X), model.predict(X))
    assert bits(scorer.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(max_depth=8, random_state=0),
        DecisionTreeRegressor(max_depth=8, criterion="poisson", random_state=0),
        RandomForestClassifier(9, n_jobs=1, random_state=0),
        ExtraTreesRegressor(9, n_jobs=1, random_state=0),
        HistGradientBoostingClassifier(max_iter=9),
    ],
    ids=lambda model: type(model).__name__,
)
def test_missing_values_go_where_they_went_in_training(model: Any) -> None:
    y = LABELS["positive"] if "Regressor" in type(model).__name__ else LABELS["strings"]
    check(model.fit(GAPS, y), rows=GAPS)


def test_a_split_of_missing_values_against_all_others() -> None:
    """Its threshold is infinite: no number goes right of it."""
    rows = np.where(RNG.random((400, 1)) < 0.5, np.nan, RNG.normal(size=(400, 1)))
    y = np.isnan(rows[:, 0])
    for model in (DecisionTreeClassifier(), HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2)):
        model.fit(rows, y)
        values = np.array([[np.nan], [1.0], [-5.0], [3e38]])
        assert np.array_equal(mlcore.compile(model).predict_proba(values) > 0.5, model.predict_proba(values) > 0.5)
        assert mlcore.compile(model).model.n_nodes >= 3


def test_what_a_model_cannot_score_is_named() -> None:
    scorer = mlcore.compile(GradientBoostingClassifier(n_estimators=3).fit(X, LABELS["strings"]))
    rows = X[:9].copy()
    rows[4, 2] = np.nan
    with pytest.raises(DataError, match=r"column 'f2' has a missing value, which the model cannot score"):
        scorer.predict(rows)
    table = pa.table({f"f{i}": pa.array(rows[:, i], from_pandas=True) for i in range(5)})
    with pytest.raises(DataError, match=r"column 'f2' has a missing value"):
        scorer.predict(table)


FORESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "few features": {"max_features": 2},
    "contaminated": {"contamination": 0.1, "max_samples": 300},
    "all rows": {"max_samples": 1.0, "bootstrap": True},
    "two rows": {"max_samples": 2},
    "one row": {"max_samples": 1},
}


@pytest.mark.parametrize("data", ["whole", "gaps"])
@pytest.mark.parametrize("kind", FORESTS)
def test_isolation_forests(kind: str, data: str) -> None:
    rows = X if data == "whole" else GAPS
    model = IsolationForest(n_estimators=20, random_state=3, **FORESTS[kind]).fit(rows)
    scorer = mlcore.compile(model)
    for values in (rows, awkward(scorer.model, missing=True, narrow=False)):
        assert bits(scorer.score_samples(values), model.score_samples(values))
        assert bits(scorer.decision_function(values), model.decision_function(values))
        assert bits(scorer.predict(values), model.predict(values))
    assert models.from_arrow(scorer.model.to_arrow()).divisor == scorer.model.divisor


def test_only_isolation_forests_score_samples() -> None:
    with pytest.raises(AttributeError, match="this model is DecisionTreeRegressor"):
        mlcore.compile(DecisionTreeRegressor().fit(X, SCORE)).score_samples(X)


FRAME = pd.DataFrame(
    {
        "real": X[:, 0],
        "text": pd.Categorical(RNG.choice(["x", "y", "zz", "", "Łódź"], ROWS)),
        "number": pd.Categorical(RNG.choice([3, 7, 100, -5, 300], ROWS)),
        "other": RNG.normal(size=ROWS),
        "many": pd.Categorical([f"c{i}" for i in RNG.integers(0, 200, ROWS)]),
    }
)
for _name in ("text", "number", "other"):
    FRAME.loc[RNG.random(ROWS) < 0.1, _name] = np.nan
TARGET = FRAME["real"] + (FRAME["number"] == 7) * 2 - (FRAME["text"] == "y") * 1.0 + (FRAME["many"].cat.codes % 3)


@pytest.fixture(scope="module")
def frame_model() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=20, categorical_features="from_dtype").fit(FRAME, TARGET)


@pytest.mark.parametrize("backend", ["cpu", "numba"])
def test_categories_of_a_frame(frame_model: HistGradientBoostingRegressor, backend: str) -> None:
    scorer = mlcore.compile(frame_model, backend=backend)
    unseen = FRAME.assign(
        text=FRAME["text"].cat.rename_categories({"x": "never seen"}),
        number=FRAME["number"].cat.rename_categories({100: 44}),
    )
    other = FRAME.assign(
        text=FRAME["text"].cat.reorder_categories(["zz", "", "x", "Łódź", "y"]),
        number=FRAME["number"].astype(float),
        many=FRAME["many"].astype(object),
    )
    for frame in (FRAME, other, unseen, FRAME.iloc[:1], FRAME[["many", "number", "real", "text", "other"]]):
        expected = frame_model.predict(frame[list(FRAME.columns)])
        assert bits(scorer.predict(frame), expected)
        assert bits(scorer.predict(pa.Table.from_pandas(frame, preserve_index=False)), expected)
    again = models.from_arrow(scorer.model.to_arrow())
    assert again.to_arrow().equals(scorer.model.to_arrow(), check_metadata=True)


def test_a_category_column_of_numbers_is_not_taken_for_strings(frame_model: HistGradientBoostingRegressor) -> None:
    scorer = mlcore.compile(frame_model)
    with pytest.raises(SchemaMismatch, match="'text': the model expects categories, found numbers"):
        scorer.predict(FRAME.assign(text=1.0))
    with pytest.raises(SchemaMismatch, match="expects categories, found numbers"):
        scorer.predict(np.zeros((3, 5)))
    with pytest.raises(SchemaMismatch, match="'real': the model expects numbers, found categories"):
        scorer.predict(FRAME.assign(real="a"))


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("backend", ["cpu", "numba"])
def test_categories_of_a_matrix_are_the_numbers_themselves(gaps: bool, backend: str) -> None:
    known = np.array([-7.5, -1.0, 0.0, 1.0, 2.0, 2.5, 31, 32, 255, 256, 2.0**24, 1e300, np.nextafter(2.5, 3)])
    rows = np.column_stack([RNG.normal(size=ROWS), RNG.choice(known, ROWS), RNG.choice([4.0, 5.0, 6.0], ROWS)])
    if gaps:
        rows[RNG.random(ROWS) < 0.1, 1] = np.nan
    y = np.isin(rows[:, 1], known[::3]) + rows[:, 0] + 2 * (rows[:, 2] == 5)
    model = HistGradientBoostingRegressor(max_iter=12, categorical_features=[1, 2], min_samples_leaf=2).fit(rows, y)
    near = np.concatenate([known, np.nextafter(known, -np.inf), np.nextafter(known, np.inf)])
    values = rows.copy()
    values[:, 1] = RNG.choice([*near, -0.0, 0.5, -0.5, 3.0, 512, np.inf, -np.inf, np.nan], ROWS)
    scorer = mlcore.compile(model, backend=backend)
    finite = values[np.isfinite(values[:, 1]) | np.isnan(values[:, 1])]
    for found in (rows, finite, np.asfortranarray(finite)):
        assert bits(scorer.predict(found), model.predict(found))


def test_monotonic_and_interaction_constraints_change_nothing() -> None:
    model = HistGradientBoostingRegressor(max_iter=9, monotonic_cst=[1, 0, 0, -1, 0], interaction_cst=[{0, 1}])
    check(model.fit(X, SCORE))


@pytest.mark.parametrize("rows", [0, 1, 2, 511, 513])
def test_batches_of_any_size(rows: int) -> None:
    model = RandomForestClassifier(5, n_jobs=1, random_state=0).fit(X, LABELS["strings"])
    scorer = mlcore.compile(model)
    assert len(scorer.predict(X[:rows])) == rows
    if rows:
        assert bits(scorer.predict_proba(X[:rows]), model.predict_proba(X[:rows]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, np.int32, np.uint8, bool])
@pytest.mark.parametrize("kind", ["tree", "histograms by squared_error"])
def test_numbers_of_every_type_are_rounded_as_the_library_does(kind: str, dtype: Any) -> None:
    rows = (np.abs(X) * (1 if np.dtype(dtype).kind == "f" else 50)).clip(0, 200).astype(dtype)
    if dtype == np.int64:
        rows = rows * (2**24 + 1)
    model = REGRESSORS[kind][0]().fit(rows, SCORE)
    assert bits(mlcore.compile(model).margin(rows), model.predict(rows))


def test_columns_are_found_by_name() -> None:
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = RandomForestRegressor(5, n_jobs=1, random_state=0).fit(frame, SCORE)
    scorer = mlcore.compile(model)
    assert scorer.columns == tuple("abcde")
    assert bits(scorer.predict(frame[list("edcba")]), model.predict(frame))
    assert bits(scorer.predict(pa.Table.from_pandas(frame[list("cabed")])), model.predict(frame))
    with pytest.raises(SchemaMismatch, match="column 'c' is missing"):
        scorer.predict(frame.drop(columns="c"))


@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix"])
def test_what_a_sparse_matrix_leaves_out_is_zero(form: str) -> None:
    dense = np.where(RNG.random(X.shape) < 0.6, 0, X).astype(np.float32)
    model = RandomForestClassifier(5, n_jobs=1, random_state=0).fit(dense, LABELS["strings"])
    rows = getattr(scipy.sparse, form)(dense)
    assert bits(mlcore.compile(model).predict_proba(rows), model.predict_proba(rows))


def test_threads_change_nothing_but_the_librarys_last_bit() -> None:
    model = RandomForestRegressor(24, n_jobs=4, random_state=0).fit(X, SCORE)
    found, expected = mlcore.compile(model).predict(X), model.predict(X)
    np.testing.assert_allclose(found, expected, rtol=0, atol=24 * np.finfo(float).eps)


@pytest.mark.parametrize("backend", ["cpu", "numba"])
def test_a_forest_of_more_thresholds_than_codes_is_scored_in_spans_of_trees(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr("mlcore.scoring.scorer.MAX_CODES", 300)
    model = RandomForestClassifier(9, n_jobs=1, random_state=0).fit(X, LABELS["strings"])
    scorer = check(model, backend=backend)
    assert len(scorer.describe()["plans"]) > 2
    assert np.array_equal(scorer.leaf_ids(X), model.apply(X))


@pytest.mark.slow
def test_a_forest_grown_to_the_last_row() -> None:
    rows = np.random.default_rng(0).normal(size=(30_000, 1)).astype(np.float32)
    y = np.random.default_rng(1).normal(size=30_000)
    model = RandomForestRegressor(12, n_jobs=1, random_state=0).fit(rows, y)
    assert bits(mlcore.compile(model).predict(rows), model.predict(rows))


@pytest.mark.parametrize("labels", ["strings", "numbers"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: DecisionTreeClassifier(max_depth=6),
        lambda: ExtraTreeClassifier(max_depth=6),
        lambda: RandomForestClassifier(9, max_depth=8, n_jobs=1, random_state=0),
        lambda: ExtraTreesClassifier(5, n_jobs=1, random_state=0),
    ],
)
def test_classifiers_of_several_outputs(make: Callable[[], Any], labels: str) -> None:
    several = np.stack([LABELS["two strings"] if labels == "strings" else LABELS["halves"], LABELS[labels]], axis=1)
    model = make().fit(X, several)
    scorer = mlcore.compile(model)
    assert [len(known) for known in model.classes_] == [2, 3 if labels == "strings" else 4]
    found, expected = scorer.predict(X), model.predict(X)
    assert found.dtype == expected.dtype and np.array_equal(found, expected)
    probabilities = scorer.predict_proba(X)
    assert all(bits(*pair) for pair in zip(probabilities, model.predict_proba(X), strict=True))
    for values, given in zip(scorer.explain(X), probabilities, strict=True):
        np.testing.assert_allclose(values.sum(axis=-1), given, atol=1e-12)


def test_several_outputs_after_transformers() -> None:
    rows = pd.DataFrame(X, columns=list("abcde"))
    several = np.stack([LABELS["booleans"], LABELS["numbers"] > 5], axis=1)
    columns = own.ColumnTransformer([("s", own.StandardScaler(), list("abcde"))])
    for scaler in (columns, StandardScaler()):
        pipeline = make_pipeline(scaler, RandomForestClassifier(5, max_depth=6, n_jobs=1)).fit(rows, several)
        assert np.array_equal(mlcore.compile(pipeline).predict(rows), pipeline.predict(rows))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "ensemble": (lambda: AdaBoostClassifier().fit(X, LABELS["strings"]), "AdaBoostClassifier is not imported"),
    "outputs": (
        lambda: KNeighborsClassifier().fit(X, np.stack([SCORE > 0, SCORE > 1], axis=1)),
        "KNeighborsClassifier is not imported",
    ),
    "init": (
        lambda: GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(X, SCORE),
        "init=LinearRegression",
    ),
    "random init": (
        lambda: GradientBoostingClassifier(n_estimators=2, init=DummyClassifier(strategy="stratified")).fit(
            X, LABELS["booleans"]
        ),
        "init=DummyClassifier",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_imported_is_refused_by_name(kind: str) -> None:
    make, message = REFUSED[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make()
    with pytest.raises(UnsupportedModel, match=message):
        mlcore.compile(model)


def test_boosting_that_begins_with_a_model_is_not_one_neutral_form() -> None:
    model = GradientBoostingRegressor(n_estimators=2, init=DecisionTreeRegressor()).fit(X, SCORE)
    with pytest.raises(UnsupportedModel, match="init=DecisionTreeRegressor is two models"):
        models.read(model)


def test_estimators_that_are_not_fitted_or_too_old_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="DecisionTreeRegressor is not fitted"):
        mlcore.compile(DecisionTreeRegressor())
    model = DecisionTreeRegressor().fit(X, SCORE)
    with pytest.raises(UsageError, match="iteration"):
        mlcore.compile(model, iteration_range=(0, 1))
    with pytest.raises(UsageError, match="iteration"):
        models.read(model, iterations=(0, 1))
    assert models.read(model).n_trees == 1
    monkeypatch.setattr("sklearn.__version__", "1.5.2")
    with pytest.raises(UnsupportedModel, match=r"DecisionTreeRegressor of scikit-learn 1\.5\.2"):
        mlcore.compile(model)


def test_a_divisor_is_a_positive_number() -> None:
    table = models.read(DecisionTreeRegressor(max_depth=2).fit(X, SCORE)).to_arrow()
    ((key, text),) = table.schema.metadata.items()
    broken = text.replace(b'"divisor": "0x1.0000000000000p+0"', b'"divisor": "-0x1p+0"')
    with pytest.raises(ModelFormatError, match="divisor"):
        models.from_arrow(table.replace_schema_metadata({key: broken}))
