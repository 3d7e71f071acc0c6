"""`Scorer.explain` of scikit-learn's models against Shapley's formula written out, and against the margins."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

import catboost
import lightgbm
import numpy as np
import pyarrow as pa
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import mlcore
from mlcore.errors import DataError, UnsupportedModel

RNG = np.random.default_rng(41)
ROWS, FEATURES = 800, 4
X = RNG.normal(size=(ROWS, FEATURES))
SCORE = X[:, 0] * X[:, 1] + (X[:, 2] > 0) + 0.1 * RNG.normal(size=ROWS)
CLASSES = np.digitize(SCORE, [0, 1])
BASE = RNG.normal(size=ROWS)

FORESTS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestRegressor(9, n_jobs=1, random_state=0).fit(X, SCORE),
    "boosting": lambda: GradientBoostingRegressor(n_estimators=15, random_state=0).fit(X, SCORE),
    "boosting of classes": lambda: GradientBoostingClassifier(n_estimators=6, random_state=0).fit(X, CLASSES),
    "forest of classes": lambda: RandomForestClassifier(9, n_jobs=1, random_state=0).fit(X, CLASSES),
    "histograms": lambda: HistGradientBoostingRegressor(max_iter=9).fit(X, SCORE),
    "histograms of classes": lambda: HistGradientBoostingClassifier(max_iter=5).fit(X, CLASSES),
    "isolation": lambda: IsolationForest(n_estimators=8, random_state=0).fit(X),
    "pipeline": lambda: make_pipeline(StandardScaler(), RandomForestRegressor(5, random_state=0)).fit(X, SCORE),
}


def expectation(tree: Any, row: Any, known: tuple[int, ...], node: int = 0) -> Any:
    """What the tree says of a row of which only the `known` features are, an output; elsewhere as the training rows went."""
    left, right = tree.children_left[node], tree.children_right[node]
    if left == -1:
        return np.squeeze(tree.value[node])
    if tree.feature[node] in known:
        taken = left if np.float32(row[tree.feature[node]]) <= tree.threshold[node] else right
        return expectation(tree, row, known, taken)
    weight = tree.weighted_n_node_samples
    return sum(weight[n] / weight[node] * expectation(tree, row, known, n) for n in (left, right))


def shapley(trees: list[Any], row: Any) -> Any:
    values = np.zeros((*np.shape(expectation(trees[0], row, ())), FEATURES + 1))
    for tree in trees:
        values[..., -1] += expectation(tree, row, ())
        for feature in range(FEATURES):
            others = [other for other in range(FEATURES) if other != feature]
            for size in range(FEATURES):
                for known in combinations(others, size):
                    gain = expectation(tree, row, (*known, feature)) - expectation(tree, row, known)
                    values[..., feature] += gain / (FEATURES * comb(FEATURES - 1, size))
    return values


def test_values_of_a_forest_are_shapleys_over_the_number_of_trees() -> None:
    model = RandomForestRegressor(3, max_depth=4, n_jobs=1, random_state=0).fit(X, SCORE)
    found = mlcore.compile(model).explain(X[:6])
    trees = [each.tree_ for each in model.estimators_]
    np.testing.assert_allclose(found, [shapley(trees, row) / 3 for row in X[:6]], rtol=0, atol=1e-12)


def test_values_of_boosting_are_shapleys_times_the_rate() -> None:
    model = GradientBoostingRegressor(n_estimators=4, learning_rate=0.3, random_state=0).fit(X, SCORE)
    trees = [each.tree_ for each in model.estimators_.ravel()]
    wanted = np.array([0.3 * shapley(trees, row) for row in X[:6]])
    wanted[:, -1] += float(model.init_.constant_[0, 0])
    np.testing.assert_allclose(mlcore.compile(model).explain(X[:6]), wanted, rtol=0, atol=1e-12)


VECTORS: dict[str, Callable[[], Any]] = {
    "classes": lambda: RandomForestClassifier(3, max_depth=4, n_jobs=1, random_state=0).fit(X, CLASSES),
    "two classes": lambda: RandomForestClassifier(3, max_depth=4, n_jobs=1, random_state=0).fit(X, CLASSES > 1),
    "values": lambda: RandomForestRegressor(3, max_depth=4, n_jobs=1, random_state=0).fit(X, np.stack([SCORE, -X[:, 2]], 1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", VECTORS)
def test_values_of_leaves_that_hold_vectors_are_shapleys_an_output(kind: str) -> None:
    model = VECTORS[kind]()
    scorer = mlcore.compile(model)
    found, trees = scorer.explain(X[:6]), [each.tree_ for each in model.estimators_]
    np.testing.assert_allclose(found, [shapley(trees, row) / 3 for row in X[:6]], rtol=0, atol=1e-12)
    said = model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)
    np.testing.assert_allclose(scorer.explain(X).sum(axis=2), said, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", ["cpu", "numba"])
@pytest.mark.parametrize("kind", FORESTS)
def test_values_sum_to_the_margin(kind: str, backend: str) -> None:
    scorer = mlcore.compile(FORESTS[kind](), backend=backend)
    margin, found = scorer.margin(X), scorer.explain(X)
    assert found.shape == (*margin.shape, FEATURES + 1)
    np.testing.assert_allclose(found.sum(axis=-1), margin, rtol=0, atol=1e-9)
    if margin.ndim == 1:
        moved = scorer.explain(X, base_margin=BASE)
        np.testing.assert_allclose(moved.sum(axis=-1), scorer.margin(X, base_margin=BASE), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["forest", "forest of classes"])
def test_a_forest_in_spans_of_trees_is_explained_as_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FORESTS[kind]()
    whole = mlcore.compile(model)
    expected = whole.explain(X)
    monkeypatch.setattr("mlcore.scoring.scorer.MAX_CODES", 90)
    scorer = mlcore.compile(model)
    found = scorer.explain(X)
    assert len(scorer.describe()["plans"]) > 2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=-1), whole.margin(X), rtol=0, atol=1e-9)


def test_values_of_a_linear_model_are_weighted_features() -> None:
    model = LinearRegression().fit(X, SCORE)
    found = mlcore.compile(model).explain(X)
    np.testing.assert_allclose(found[:, :-1], X * model.coef_, rtol=1e-15)
    assert np.all(found[:, -1] == model.intercept_)


def test_values_of_a_linear_pipeline_are_of_its_scaled_features() -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, CLASSES)
    found = mlcore.compile(pipeline).explain(X)
    assert found.shape == (ROWS, 3, FEATURES + 1)
    wanted = pipeline[0].transform(X)[:, None, :] * pipeline[1].coef_
    np.testing.assert_allclose(found[:, :, :-1], wanted, rtol=1e-14)
    np.testing.assert_allclose(found.sum(axis=2), pipeline.decision_function(X), rtol=0, atol=1e-12)


def test_values_have_an_axis_of_outputs_where_margins_do() -> None:
    scorer = mlcore.compile(LinearRegression().fit(X, SCORE[:, None]))
    assert scorer.margin(X).shape == (ROWS, 1)
    assert scorer.explain(X).shape == (ROWS, 1, FEATURES + 1)


def test_a_missing_value_is_refused_where_the_margin_refuses_it() -> None:
    rows = X.copy()
    rows[7, 2] = np.nan
    for model in (FORESTS["boosting"](), LinearRegression().fit(X, SCORE)):
        with pytest.raises(DataError, match="column 'f2' has a missing value"):
            mlcore.compile(model).explain(rows)


def forest_of_classes() -> Any:
    return RandomForestClassifier(4, max_depth=4, n_jobs=1, random_state=0)


def encoder() -> Any:
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [0]), remainder="passthrough", sparse_threshold=0
    )


VOTES: dict[str, Callable[[], Any]] = {
    "forests": lambda: [RandomForestRegressor(4, n_jobs=1, random_state=0), HistGradientBoostingRegressor(max_iter=4)],
    "libraries": lambda: [
        xgboost.XGBRegressor(n_estimators=5, n_jobs=1),
        lightgbm.LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1),
        catboost.CatBoostRegressor(iterations=5, verbose=0, thread_count=1, allow_writing_files=False),
    ],
    "averaged": lambda: [
        lightgbm.LGBMRegressor(
            boosting_type="rf", n_estimators=5, subsample=0.5, subsample_freq=1, n_jobs=1, verbose=-1
        ),
        Ridge(),
    ],
    "pipelines": lambda: [make_pipeline(StandardScaler(), Ridge()), make_pipeline(turned(), tree()), tree()],
}


def tree() -> Any:
    return DecisionTreeRegressor(max_depth=5)


def turned() -> Any:
    """Columns in another order, one of them left out."""
    return make_column_transformer((StandardScaler(), [3, 1]), ("passthrough", [0]))


@pytest.mark.parametrize("weights", [None, [1, 2.5, 0.5]])
@pytest.mark.parametrize("kind", VOTES)
def test_values_of_a_vote_are_the_mean_of_its_models(kind: str, weights: Any) -> None:
    models = VOTES[kind]()
    weights = weights and weights[: len(models)]
    vote = VotingRegressor([(f"m{i}", model) for i, model in enumerate(models)], weights=weights).fit(X, SCORE)
    found = mlcore.compile(vote).explain(X)
    wanted = np.zeros((len(models), ROWS, FEATURES + 1))
    for place, model in enumerate(vote.estimators_):
        own = mlcore.compile(model).explain(X)
        columns = [3, 1, 0, -1] if kind == "pipelines" and place == 1 else slice(None)
        wanted[place][:, columns] = own / (5 if kind == "averaged" and place == 0 else 1)
    np.testing.assert_allclose(found, np.average(wanted, axis=0, weights=weights), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), vote.predict(X), rtol=0, atol=1e-5)
    table = pa.table(dict(zip("abcd", X.T, strict=True)))
    assert mlcore.compile(vote).explain(table.to_reader(100)).tobytes() == found.tobytes()
    assert mlcore.compile(vote).explain(X[:0]).shape == (0, FEATURES + 1)


def test_values_of_a_soft_vote_of_forests_are_shapleys() -> None:
    members = [
        ("f", RandomForestClassifier(2, max_depth=4, random_state=0)),
        ("t", DecisionTreeClassifier(max_depth=4)),
    ]
    vote = VotingClassifier(members, voting="soft", weights=[3, 1]).fit(X, CLASSES)
    found, (grown, single) = mlcore.compile(vote).explain(X), vote.estimators_
    forests = [[each.tree_ for each in grown.estimators_], [single.tree_]]
    wanted = [0.75 * shapley(forests[0], row) / 2 + 0.25 * shapley(forests[1], row) for row in X[:6]]
    np.testing.assert_allclose(found[:6], wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=2), vote.predict_proba(X), rtol=0, atol=1e-12)


def test_values_of_a_vote_behind_transformers_are_of_what_these_give() -> None:
    rows = np.floor(X)
    pipeline = make_pipeline(encoder(), VotingRegressor([("t", tree()), ("r", Ridge())])).fit(rows, SCORE)
    found, made = mlcore.compile(pipeline).explain(rows), pipeline[0].transform(rows)
    single, line = pipeline[1].estimators_
    wanted = (mlcore.compile(single).explain(made) + mlcore.compile(line).explain(made)) / 2
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_values_of_a_stack_under_a_line_are_weighted_sums() -> None:
    members = [("p", make_pipeline(turned(), tree())), ("t", tree()), ("g", GradientBoostingRegressor(n_estimators=3))]
    stack = StackingRegressor(members, cv=2).fit(X, SCORE)
    found, wanted = mlcore.compile(stack).explain(X), np.zeros((ROWS, FEATURES + 1))
    wanted[:, -1] = stack.final_estimator_.intercept_
    for place, (model, weight) in enumerate(zip(stack.estimators_, stack.final_estimator_.coef_, strict=True)):
        wanted[:, [3, 1, 0, -1] if place == 0 else slice(None)] += weight * mlcore.compile(model).explain(X)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), stack.predict(X), rtol=0, atol=1e-12)
    pipeline = make_pipeline(encoder(), StackingRegressor(members[1:], Ridge(), cv=2)).fit(np.floor(X), SCORE)
    found, made = mlcore.compile(pipeline).explain(np.floor(X)), pipeline[0].transform(np.floor(X))
    np.testing.assert_allclose(found, mlcore.compile(pipeline[1]).explain(made), rtol=0, atol=1e-12)


def test_values_of_boosting_that_begins_with_a_forest_are_both_sums() -> None:
    start = RandomForestRegressor(2, max_depth=3, n_jobs=1, random_state=0)
    model = GradientBoostingRegressor(n_estimators=3, init=start, random_state=0).fit(X, SCORE)
    found = mlcore.compile(model).explain(X)
    first = [each.tree_ for each in model.init_.estimators_]
    then = [each.tree_ for each in model.estimators_.ravel()]
    wanted = [shapley(first, row) / 2 + 0.1 * shapley(then, row) for row in X[:6]]
    np.testing.assert_allclose(found[:6], wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), model.predict(X), rtol=0, atol=1e-12)


def test_values_of_several_outputs_of_classes_are_a_list() -> None:
    model = RandomForestClassifier(3, max_depth=4, random_state=0).fit(X, np.stack([CLASSES, CLASSES > 1], axis=1))
    found = mlcore.compile(model).explain(X)
    assert [values.shape for values in found] == [(ROWS, 3, FEATURES + 1), (ROWS, 2, FEATURES + 1)]
    for values, probabilities in zip(found, model.predict_proba(X), strict=True):
        np.testing.assert_allclose(values.sum(axis=2), probabilities, rtol=0, atol=1e-12)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "network": (
        lambda: MLPRegressor(hidden_layer_sizes=(3,), max_iter=2000, tol=1e-2).fit(X, SCORE),
        "MLPRegressor is a network",
    ),
    "labels": (
        lambda: VotingClassifier([("f", forest_of_classes()), ("g", forest_of_classes())]).fit(X, CLASSES),
        "Vote: what several models give together is not explained",
    ),
    "stack": (
        lambda: StackingRegressor([("f", RandomForestRegressor(2)), ("r", Ridge())], tree(), cv=2).fit(X, SCORE),
        "Stack: what several models give together is not explained",
    ),
    "stack of more than answers": (
        lambda: StackingRegressor([("r", Ridge())], cv=2, passthrough=True).fit(X, SCORE),
        "Stack: what several models give together is not explained",
    ),
    "stack under scaled answers": (
        lambda: StackingRegressor([("r", Ridge())], make_pipeline(StandardScaler(), Ridge()), cv=2).fit(X, SCORE),
        "Stack: what several models give together is not explained",
    ),
    "vote of stacks": (
        lambda: VotingRegressor([("s", StackingRegressor([("r", Ridge())], cv=2))]).fit(X, SCORE),
        "a sum of what a Stack says is not explained",
    ),
    "vote of margins": (
        lambda: VotingClassifier([("g", GradientBoostingClassifier(n_estimators=2))], voting="soft").fit(X, CLASSES),
        "a sum of what sklearn's GradientBoostingClassifier.* says is not explained: that is no sum of what its features add",
    ),
    "vote of exponents": (
        lambda: VotingRegressor([("x", xgboost.XGBRegressor(objective="count:poisson", n_jobs=1))]).fit(
            X, np.exp(SCORE)
        ),
        "a sum of what xgboost's count:poisson says is not explained",
    ),
    "vote of encoders": (
        lambda: VotingRegressor([("k", make_pipeline(encoder(), Ridge())), ("r", Ridge())]).fit(np.floor(X), SCORE),
        "several features of column 'f0'",
    ),
    "vote of steps after steps": (
        lambda: make_pipeline(
            StandardScaler(), VotingRegressor([("k", make_pipeline(StandardScaler(), Ridge())), ("r", Ridge())])
        ).fit(X, SCORE),
        "a sum of models behind transformers is not explained where more of them stand before one of the models",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_sum_of_single_values_is_refused(kind: str) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(UnsupportedModel, match=message):
        mlcore.compile(make()).explain(X)
