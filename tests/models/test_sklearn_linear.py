"""scikit-learn's linear models and networks against the library: within 1e-12, as their own sums have no fixed order."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn import linear_model as lm
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import LinearSVC, LinearSVR

import mlcore
from mlcore import models
from mlcore.errors import DataError, ModelFormatError, SchemaMismatch, UnsupportedModel, UsageError

RNG = np.random.default_rng(31)
ROWS = 5_000  # more than one span of rows
X = RNG.normal(size=(ROWS, 5)) * [1, 0.1, 3, 1, 1]
X[:, 4] = RNG.integers(-3, 4, ROWS)
SCORE = X @ [1, 2, -0.5, 0, 0.3] + 0.2 * RNG.normal(size=ROWS)
LABELS: dict[str, Any] = {
    "real": SCORE,
    "column": SCORE[:, None],
    "positive": np.exp(SCORE / 3),
    "outputs": np.stack([SCORE, -SCORE, SCORE**2], axis=1),
    "two": np.where(SCORE > 0.5, "yes", "no"),
    "many": np.array([7, -2, 30, 4])[np.digitize(SCORE, [-1, 0.5, 1.5])],
}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::FutureWarning")

REGRESSORS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "LinearRegression": (lm.LinearRegression, ("real", "column", "outputs")),
    "LinearRegression without a bias": (lambda: lm.LinearRegression(fit_intercept=False), ("real", "outputs")),
    "Ridge": (lm.Ridge, ("real", "column", "outputs")),
    "RidgeCV": (lm.RidgeCV, ("real", "outputs")),
    "Lasso": (lambda: lm.Lasso(0.01), ("real", "column", "outputs")),
    "LassoCV": (lambda: lm.LassoCV(cv=3), ("real",)),
    "ElasticNet": (lambda: lm.ElasticNet(0.01), ("real", "outputs")),
    "ElasticNetCV": (lambda: lm.ElasticNetCV(cv=3), ("real",)),
    "MultiTaskLasso": (lm.MultiTaskLasso, ("outputs",)),
    "Lars": (lm.Lars, ("real", "outputs")),
    "LassoLars": (lambda: lm.LassoLars(0.01), ("real",)),
    "OrthogonalMatchingPursuit": (lm.OrthogonalMatchingPursuit, ("real",)),
    "BayesianRidge": (lm.BayesianRidge, ("real",)),
    "ARDRegression": (lm.ARDRegression, ("real",)),
    "HuberRegressor": (lm.HuberRegressor, ("real",)),
    "SGDRegressor": (lambda: lm.SGDRegressor(random_state=0, average=True), ("real",)),
    "LinearSVR": (lambda: LinearSVR(random_state=0, max_iter=200), ("real",)),
    "PoissonRegressor": (lm.PoissonRegressor, ("positive",)),
    "GammaRegressor": (lm.GammaRegressor, ("positive",)),
    "TweedieRegressor": (lambda: lm.TweedieRegressor(power=1.5), ("positive",)),
    "TweedieRegressor of power 0": (lm.TweedieRegressor, ("real",)),
    "MLPRegressor": (lambda: MLPRegressor(hidden_layer_sizes=(9, 5), max_iter=5, random_state=0), ("real", "outputs")),
    "MLPRegressor by tanh": (lambda: MLPRegressor(activation="tanh", max_iter=2, random_state=0), ("real",)),
    "MLPRegressor by identity": (lambda: MLPRegressor(hidden_layer_sizes=(), max_iter=5, random_state=0), ("real",)),
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "LogisticRegression": lm.LogisticRegression,
    "LogisticRegressionCV": lambda: lm.LogisticRegressionCV(Cs=3, cv=3),
    "LogisticRegression by saga": lambda: lm.LogisticRegression(solver="saga", random_state=0, max_iter=20),
    "RidgeClassifier": lm.RidgeClassifier,
    "RidgeClassifierCV": lm.RidgeClassifierCV,
    "LinearSVC": lambda: LinearSVC(random_state=0, max_iter=200),
    "SGDClassifier by hinge": lambda: lm.SGDClassifier(random_state=0),
    "SGDClassifier by log_loss": lambda: lm.SGDClassifier(loss="log_loss", random_state=0),
    "SGDClassifier by modified_huber": lambda: lm.SGDClassifier(loss="modified_huber", random_state=0),
    "Perceptron": lambda: lm.Perceptron(random_state=0),
    "MLPClassifier": lambda: MLPClassifier(hidden_layer_sizes=(8, 4), max_iter=5, random_state=0),
    "MLPClassifier by logistic": lambda: MLPClassifier(activation="logistic", max_iter=2, random_state=0),
}
MANY = [(kind, labels) for kind, (_, of) in REGRESSORS.items() for labels in of]


def close(found: Any, expected: Any) -> None:
    """Equal in shape and type, and within 1e-12 of the size of what is summed."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * max(1.0, np.abs(expected).max()))


def fitted(make: Callable[[], Any], labels: str, rows: Any = X) -> Any:
    return make().fit(rows, LABELS[labels])


@pytest.mark.parametrize(("kind", "labels"), MANY, ids=[f"{kind}-{labels}" for kind, labels in MANY])
def test_regressors(kind: str, labels: str) -> None:
    model = fitted(REGRESSORS[kind][0], labels)
    scorer = mlcore.compile(model)
    close(scorer.predict(X), model.predict(X))
    again = models.from_arrow(scorer.model.to_arrow())
    assert again.to_arrow().equals(scorer.model.to_arrow(), check_metadata=True)


@pytest.mark.parametrize("labels", ["two", "many"])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers(kind: str, labels: str) -> None:
    model = fitted(CLASSIFIERS[kind], labels)
    scorer = mlcore.compile(model)
    if hasattr(model, "decision_function"):
        close(scorer.decision_function(X), model.decision_function(X))
    found, expected = scorer.predict(X), model.predict(X)
    assert found.dtype == expected.dtype and np.array_equal(found, expected)
    if hasattr(model, "predict_proba"):
        close(scorer.predict_proba(X), model.predict_proba(X))
    else:
        with pytest.raises(AttributeError, match="predict_proba needs a classifier"):
            scorer.predict_proba(X)


def test_scores_of_zero_are_the_first_class() -> None:
    model = fitted(lambda: lm.LogisticRegression(fit_intercept=False), "two")
    rows = np.zeros((3, 5))
    assert np.array_equal(mlcore.compile(model).predict(rows), model.predict(rows))


def test_far_from_the_boundary_shares_may_all_be_zero() -> None:
    for loss in ("log_loss", "modified_huber"):
        model = fitted(lambda loss=loss: lm.SGDClassifier(loss=loss, random_state=0), "many")
        model.coef_, model.intercept_ = model.coef_ * 0, np.full(4, -800.0)
        found = mlcore.compile(model).predict_proba(X)
        assert np.all(found == 0.25)
        with np.errstate(invalid="ignore"):
            expected = model.predict_proba(X)
        assert np.array_equal(found, np.nan_to_num(expected, nan=0.25))  # older versions divide zero by zero


@pytest.mark.parametrize("form", ["asked", "liblinear"])
@pytest.mark.parametrize("labels", ["two", "many"])
def test_multi_class_as_older_versions_took_it(form: str, labels: str) -> None:
    options = (
        {"multi_class": "multinomial" if labels == "two" else "ovr"} if form == "asked" else {"solver": "liblinear"}
    )
    try:
        model = fitted(lambda: lm.LogisticRegression(**options), labels)
    except (TypeError, ValueError) as refused:
        pytest.skip(f"this scikit-learn no longer has it: {refused}")
    close(mlcore.compile(model).predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("kind", ["LinearRegression", "MLPRegressor", "PoissonRegressor"])
def test_weights_trained_in_float32_are_summed_in_float64(kind: str) -> None:
    labels = "positive" if kind == "PoissonRegressor" else "real"
    model = fitted(REGRESSORS[kind][0], labels, X.astype(np.float32))
    np.testing.assert_allclose(mlcore.compile(model).predict(X), model.predict(X), rtol=1e-9, atol=1e-9)
    rows = X.astype(np.float32)
    np.testing.assert_allclose(mlcore.compile(model).predict(rows), model.predict(rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["Ridge", "MLPRegressor"])
def test_any_cut_into_batches_gives_the_same_bits(kind: str) -> None:
    scorer = mlcore.compile(fitted(REGRESSORS[kind][0], "outputs"))
    whole = scorer.predict(X)
    for size in (1, 7, 4_096):
        parts = [scorer.predict(X[first : first + size]) for first in range(0, 4_200, size)][: 4_200 // size]
        found = np.concatenate(parts)
        assert np.array_equal(found, whole[: len(found)])
    assert scorer.predict(X[:0]).shape == (0, 3)


@pytest.mark.parametrize("kind", ["Ridge", "MLPRegressor"])
def test_rows_of_every_form(kind: str) -> None:
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["e"] = frame["e"].astype(int)
    model = fitted(REGRESSORS[kind][0], "real", frame)
    scorer, expected = mlcore.compile(model), model.predict(frame)
    close(scorer.predict(frame[list("edcba")]), expected)
    close(scorer.predict(pa.Table.from_pandas(frame)), expected)
    close(scorer.predict(np.asfortranarray(X)), expected)
    close(scorer.predict(scipy.sparse.csr_matrix(X)), expected)
    with pytest.raises(SchemaMismatch, match="column 'c' is missing"):
        scorer.predict(frame.drop(columns="c"))
    with pytest.raises(SchemaMismatch, match="'c': the model expects numbers, found categories"):
        scorer.predict(frame.assign(c="text"))
    with pytest.raises(UsageError, match="no leaves"):
        scorer.leaf_ids(frame)


@pytest.mark.parametrize("kind", ["Ridge", "MLPRegressor"])
def test_missing_values_are_refused_as_the_library_refuses_them(kind: str) -> None:
    model = fitted(REGRESSORS[kind][0], "real")
    rows = X.copy()
    rows[4_500, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.predict(rows)
    scorer = mlcore.compile(model)
    with pytest.raises(DataError, match="column 'f3' has a missing value, which the model cannot score"):
        scorer.predict(rows)
    table = pa.table({f"f{i}": pa.array(rows[:, i], from_pandas=True) for i in range(5)})
    with pytest.raises(DataError, match="column 'f3' has a missing value"):
        scorer.predict(table)


def test_several_labels_a_row_are_refused() -> None:
    y = np.stack([SCORE > 0, SCORE > 1], axis=1).astype(int)
    for make in (lm.RidgeClassifier, lambda: MLPClassifier(hidden_layer_sizes=(3,), max_iter=2)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = make().fit(X, y)
        with pytest.raises(UnsupportedModel, match="of several labels a row is not imported"):
            mlcore.compile(model)


def test_a_damaged_network_is_refused() -> None:
    table = models.read(fitted(REGRESSORS["MLPRegressor"][0], "real")).to_arrow()
    ((key, text),) = table.schema.metadata.items()
    for old, new in ((b'"widths": [5,', b'"widths": [6,'), (b'"relu"', b'"gelu"'), (b'"format": 1', b'"format": 9')):
        assert old in text
        with pytest.raises(ModelFormatError):
            models.from_arrow(table.replace_schema_metadata({key: text.replace(old, new)}))
    with pytest.raises(ModelFormatError, match="holds no network"):
        models.NeuralNetwork.from_arrow(pa.table({"value": [1.0]}))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_of_one_class_gives_its_label_whatever_the_score() -> None:
    network = MLPClassifier(hidden_layer_sizes=(4,), max_iter=1, random_state=0).fit(X, np.full(len(X), 7))
    scorer = mlcore.compile(network)
    assert (scorer.margin(X) > 0).any()
    assert np.array_equal(scorer.predict(X), network.predict(X))
    np.testing.assert_allclose(scorer.predict_proba(X), network.predict_proba(X), rtol=0, atol=1e-12)
