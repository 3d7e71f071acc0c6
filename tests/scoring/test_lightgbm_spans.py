"""What LightGBM's models share with scikit-learn's: spans of trees, and pipelines of its transformers."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

import mlcore

RNG = np.random.default_rng(43)
ROWS = 900
X = RNG.normal(size=(ROWS, 4))
GAPS = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
SCORE = X[:, 0] * X[:, 1] + (X[:, 2] > 0)
LABELS = np.where(SCORE > 0.5, "yes", "no")


def bits(found: Any, expected: Any) -> bool:
    return found.shape == expected.shape and found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def boosted(**more: Any) -> Any:
    return lightgbm.LGBMClassifier(n_estimators=9, n_jobs=1, verbose=-1, **more)


@pytest.mark.parametrize("linear", [False, True])
def test_a_model_of_more_thresholds_than_codes_is_scored_in_spans(
    monkeypatch: pytest.MonkeyPatch, linear: bool
) -> None:
    params = {"linear_tree": linear, "num_leaves": 60, "num_threads": 1, "verbose": -1}
    booster = lightgbm.train(params, lightgbm.Dataset(GAPS, SCORE), 12)
    monkeypatch.setattr("mlcore.scoring.scorer.MAX_CODES", 40)
    scorer = mlcore.compile(booster)
    assert bits(scorer.margin(GAPS), booster.predict(GAPS, raw_score=True))
    assert np.array_equal(scorer.leaf_ids(GAPS), booster.predict(GAPS, pred_leaf=True))
    assert len(scorer.describe()["plans"]) > 2
    if not linear:
        values = booster.predict(GAPS, pred_contrib=True)
        np.testing.assert_allclose(scorer.explain(GAPS), values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("before", [StandardScaler, MaxAbsScaler, SimpleImputer])
def test_a_pipeline_of_scikit_learns_transformers_folds_into_lightgbm(before: Any) -> None:
    pipeline = make_pipeline(before(), boosted()).fit(GAPS, LABELS)
    scorer = mlcore.compile(pipeline)
    seen = pipeline[0].transform(GAPS)
    assert bits(scorer.margin(GAPS), pipeline[1].predict(seen, raw_score=True))
    assert np.array_equal(scorer.predict(GAPS), pipeline.predict(GAPS))
    assert bits(scorer.margin(GAPS[:5]), pipeline[1].predict(seen[:5], raw_score=True))


def test_a_sparse_matrix_of_a_transformer_holds_zeros_for_lightgbm() -> None:
    rows = RNG.integers(0, 6, (ROWS, 3)).astype(float)
    pipeline = make_pipeline(OneHotEncoder(), boosted(min_child_samples=2)).fit(rows, rows.sum(axis=1) > 7)
    scorer = mlcore.compile(pipeline)
    assert bits(scorer.margin(rows), pipeline[1].predict(pipeline[0].transform(rows), raw_score=True))


def test_a_vote_of_lightgbm_and_a_linear_model() -> None:
    model = VotingClassifier([("a", boosted()), ("b", LogisticRegression())], voting="soft").fit(X, LABELS)
    scorer = mlcore.compile(model)
    assert np.array_equal(scorer.predict(X), model.predict(X))
    np.testing.assert_allclose(scorer.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-12)
