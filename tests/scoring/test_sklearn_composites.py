"""Estimators made of others: votes, stacks and calibrated classifiers give what scikit-learn's give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeRegressor

import mlcore
from mlcore.errors import DataError, UnsupportedModel, UsageError

RNG = np.random.default_rng(3)
ROWS = 900
X = pd.DataFrame(RNG.normal(size=(ROWS, 4)), columns=list("abcd"))
SCORE = X["a"] * X["b"] + X["c"] + 0.3 * RNG.normal(size=ROWS)
TWO = np.where(SCORE > 0, "yes", "no")
MANY = np.array([10, 20, -5])[np.digitize(SCORE, [-0.5, 0.7])]


def trees() -> Any:
    return RandomForestClassifier(5, max_depth=6, n_jobs=1, random_state=0)


def scaled() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


def members() -> list[tuple[str, Any]]:
    return [("forest", trees()), ("line", scaled()), ("boost", GradientBoostingClassifier(n_estimators=4))]


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "soft vote": lambda: VotingClassifier(members(), voting="soft"),
    "weighted vote": lambda: VotingClassifier(members(), voting="soft", weights=[1, 2.5, 0.25]),
    "hard vote": lambda: VotingClassifier(members(), voting="hard"),
    "weighted hard vote": lambda: VotingClassifier(members(), voting="hard", weights=[2, 1, 1.5]),
    "vote with one left out": lambda: VotingClassifier([*members(), ("none", "drop")], voting="soft"),
    "sigmoid": lambda: CalibratedClassifierCV(LinearSVC(random_state=0), cv=3),
    "isotonic": lambda: CalibratedClassifierCV(trees(), method="isotonic", cv=3),
    "isotonic, one for all": lambda: CalibratedClassifierCV(
        GradientBoostingClassifier(n_estimators=4), method="isotonic", cv=3, ensemble=False
    ),
    "sigmoid of a pipeline": lambda: CalibratedClassifierCV(make_pipeline(StandardScaler(), SGDClassifier()), cv=3),
    "stack": lambda: StackingClassifier(members(), cv=3),
    "stack under trees": lambda: StackingClassifier(
        [("line", LinearSVC(random_state=0)), ("forest", trees())], DecisionTreeClassifier(max_depth=4), cv=3
    ),
    "stack of labels": lambda: StackingClassifier(members(), scaled(), cv=3, stack_method="predict"),
    "a pipeline before a vote": lambda: make_pipeline(StandardScaler(), VotingClassifier(members(), voting="soft")),
    "search": lambda: GridSearchCV(scaled(), {"logisticregression__C": [0.1, 1.0]}, cv=3),
    "random search": lambda: RandomizedSearchCV(trees(), {"max_depth": [2, 5]}, n_iter=2, cv=3),
    "calibrated vote": lambda: CalibratedClassifierCV(VotingClassifier(members(), voting="soft"), cv=3),
    "calibrated stack": lambda: CalibratedClassifierCV(StackingClassifier(members(), LogisticRegression(), cv=3), cv=3),
}


@pytest.mark.parametrize("labels", ["two", "many"])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers(kind: str, labels: str) -> None:
    model = CLASSIFIERS[kind]().fit(X, TWO if labels == "two" else MANY)
    scorer = mlcore.compile(model)
    for rows in (X, pa.Table.from_pandas(X[list("dcba")])):
        found, expected = scorer.predict(rows), model.predict(X)
        assert found.dtype == expected.dtype and np.array_equal(found, expected)
        if hasattr(model, "predict_proba"):
            np.testing.assert_allclose(scorer.predict_proba(rows), model.predict_proba(X), rtol=1e-11, atol=1e-12)
        else:
            with pytest.raises(AttributeError, match="predict_proba needs a classifier"):
                scorer.predict_proba(rows)
    assert sorted(scorer.columns) == list("abcd")
    assert scorer.describe()
    assert scorer.predict(X[:0]).shape == (0,)


@pytest.mark.parametrize("kind", ["soft vote", "hard vote", "sigmoid", "stack", "calibrated stack"])
def test_a_stream_is_read_once_for_all_parts(kind: str) -> None:
    model = CLASSIFIERS[kind]().fit(X, MANY)
    batches = pa.Table.from_pandas(X).to_batches(max_chunksize=200)
    found = mlcore.compile(model).predict(pa.RecordBatchReader.from_batches(batches[0].schema, batches))
    assert np.array_equal(found, model.predict(X))


def test_a_stream_is_read_once_for_the_first_model_and_the_trees_that_go_on() -> None:
    model = GradientBoostingClassifier(n_estimators=4, init=DecisionTreeClassifier(max_depth=2)).fit(X, TWO)
    scorer, table = mlcore.compile(model), pa.Table.from_pandas(X)
    assert np.array_equal(scorer.predict(table.to_reader(100)), model.predict(X))
    assert np.array_equal(scorer.margin(table.to_reader(100)).ravel(), model.decision_function(X))
    assert np.array_equal(scorer.predict_proba(table.to_reader(100)), mlcore.compile(model).predict_proba(X))


def test_a_stream_is_read_once_for_all_outputs() -> None:
    labels = np.column_stack([TWO == "yes", MANY == 10])
    model = DecisionTreeClassifier(max_depth=4).fit(X, labels)
    found = mlcore.compile(model).predict(pa.Table.from_pandas(X).to_reader())
    assert np.array_equal(found, model.predict(X))


def test_a_stack_describes_its_last_model() -> None:
    told = mlcore.compile(StackingClassifier(members(), trees(), cv=3).fit(X, TWO)).describe()
    assert (told["kind"], len(told["parts"])) == ("Stack", 3)
    assert (told["last"]["model"]["source"], told["last"]["model"]["trees"]) == ("sklearn", 5)


def test_a_frozen_classifier_calibrated() -> None:
    model = CalibratedClassifierCV(FrozenEstimator(trees().fit(X, TWO)), method="isotonic").fit(X, TWO)
    np.testing.assert_allclose(mlcore.compile(model).predict_proba(X), model.predict_proba(X), rtol=1e-11)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_a_stack_whose_last_model_gives_its_labels_as_a_column() -> None:
    last = catboost.CatBoostClassifier(iterations=4, verbose=0, thread_count=1, allow_writing_files=False)
    model = StackingClassifier([("forest", trees())], last, cv=2).fit(X, MANY)
    found, expected = mlcore.compile(model).predict(X), model.predict(X)
    assert found.shape == expected.shape and np.array_equal(found, expected)


def test_a_search_that_kept_no_estimator_is_refused() -> None:
    search = GridSearchCV(Ridge(), {"alpha": [1, 2]}, refit=False, cv=3).fit(X, SCORE)
    with pytest.raises(UsageError, match="GridSearchCV has no best_estimator_"):
        mlcore.compile(search)


REGRESSORS: dict[str, Callable[[], Any]] = {
    "vote": lambda: VotingRegressor([("f", RandomForestRegressor(5, n_jobs=1)), ("r", Ridge())]),
    "weighted vote": lambda: VotingRegressor([("f", RandomForestRegressor(5, n_jobs=1)), ("r", Ridge())], weights=[1, 3]),
    "stack": lambda: StackingRegressor([("f", GradientBoostingRegressor(n_estimators=4)), ("r", Ridge())], cv=3),
    "stack under trees": lambda: StackingRegressor(
        [("f", GradientBoostingRegressor(n_estimators=4)), ("r", make_pipeline(StandardScaler(), Ridge()))],
        RandomForestRegressor(5, n_jobs=1, max_depth=3), cv=3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REGRESSORS)
def test_regressors(kind: str) -> None:
    model = REGRESSORS[kind]().fit(X, SCORE)
    scorer = mlcore.compile(model)
    found, expected = scorer.predict(X), model.predict(X)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    with pytest.raises(AttributeError, match="predict_proba"):
        scorer.predict_proba(X)


def test_scores_of_zero_everywhere_share_the_probability() -> None:
    model = CalibratedClassifierCV(trees(), method="isotonic", cv=3).fit(X, MANY)
    for each in model.calibrated_classifiers_:
        for calibrator in each.calibrators:
            calibrator.y_thresholds_ = calibrator.y_thresholds_ * 0
            calibrator._build_f(calibrator.X_thresholds_, calibrator.y_thresholds_)
    found = mlcore.compile(model).predict_proba(X)
    np.testing.assert_allclose(found, model.predict_proba(X), rtol=1e-15)
    np.testing.assert_allclose(found, 1 / 3)


BEGINNINGS: dict[str, tuple[Any, list[str]]] = {
    "tree": (DecisionTreeClassifier(max_depth=3), ["log_loss", "exponential"]),
    "full tree": (DecisionTreeClassifier(), ["log_loss", "exponential"]),
    "forest": (RandomForestClassifier(5, max_depth=4, n_jobs=1), ["log_loss", "exponential"]),
    "extra trees": (ExtraTreesClassifier(5, max_depth=4, n_jobs=1), ["log_loss"]),
    "tree of values": (DecisionTreeRegressor(max_depth=3), ["squared_error", "absolute_error", "huber", "quantile"]),
    "extra tree of values": (ExtraTreeRegressor(max_depth=9), ["squared_error"]),
    "forest of values": (RandomForestRegressor(5, max_depth=4, n_jobs=1), ["squared_error", "quantile"]),
}


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", BEGINNINGS)
def test_boosting_begins_where_another_model_ends(kind: str, several: bool) -> None:
    start, losses = BEGINNINGS[kind]
    classifies = hasattr(start, "predict_proba")
    boosting = GradientBoostingClassifier if classifies else GradientBoostingRegressor
    y = (MANY if several else TWO) if classifies else SCORE
    for loss in losses[:1] if several else losses:
        model = boosting(n_estimators=6, loss=loss, init=start, random_state=0).fit(X, y)
        scorer = mlcore.compile(model)
        assert scorer.describe()["kind"] == "Boosted" and scorer.columns == tuple("abcd")
        for rows in (X, X[::-1], X[list("dbca")], X[:1], X[:20].astype(np.float32)):
            same = rows[list("abcd")]
            raw = model.decision_function(same) if classifies else model.predict(same)
            for table in (rows, pa.Table.from_pandas(rows), same.to_numpy()):
                found = scorer.margin(table)
                assert found.dtype == raw.dtype and found.shape == raw.shape and found.tobytes() == raw.tobytes()
                assert np.array_equal(scorer.predict(table), model.predict(same))
                assert np.array_equal(scorer.leaf_ids(table), model.apply(same.to_numpy()).reshape(len(same), -1))
            if classifies:
                np.testing.assert_allclose(
                    scorer.predict_proba(rows), model.predict_proba(same), rtol=1e-12, atol=1e-15
                )
        assert scorer.predict(X[:0]).shape == (0,)


def test_boosting_that_begins_with_a_tree_in_other_estimators() -> None:
    start = DecisionTreeClassifier(max_depth=3)
    pipeline = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=4, init=start)).fit(X, TWO)
    assert np.array_equal(mlcore.compile(pipeline).margin(X), pipeline.decision_function(X))
    calibrated = CalibratedClassifierCV(GradientBoostingClassifier(n_estimators=4, init=start), cv=3).fit(X, MANY)
    np.testing.assert_allclose(
        mlcore.compile(calibrated).predict_proba(X), calibrated.predict_proba(X), rtol=1e-12, atol=1e-15
    )
    with pytest.raises(UnsupportedModel, match="Boosted: what several models give together is not explained"):
        mlcore.compile(pipeline).explain(X)
    with pytest.raises(DataError, match="column 'b' has a missing value"):
        mlcore.compile(pipeline).predict(X.assign(b=np.nan))


def test_what_is_not_put_together_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="VotingClassifier is not fitted"):
        mlcore.compile(VotingClassifier(members()))
    vote = VotingRegressor([("r", Ridge())]).fit(X, SCORE)
    with pytest.raises(UnsupportedModel, match="VotingRegressor is scored from tables, not yet from files"):
        mlcore.score(vote, [tmp_path / "rows.parquet"], tmp_path / "out")
