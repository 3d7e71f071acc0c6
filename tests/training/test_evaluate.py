"""Measures of scores against scikit-learn's and against plain sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics
from sklearn.calibration import calibration_curve

from mlcore.errors import DataError
from mlcore.training import metrics, monthly, regression_metrics

Array = np.ndarray[Any, Any]


def sample(rows: int = 1003) -> tuple[Array, Array]:
    rng = np.random.default_rng(2)
    scores = np.round(rng.beta(2, 5, rows), 2).astype(np.float32)
    return (rng.random(rows) < scores * 0.8).astype(float), scores


def test_measures_equal_scikit_learns() -> None:
    y, p = sample()
    found = metrics(y, p)
    assert found.auc == pytest.approx(sklearn.metrics.roc_auc_score(y, p))
    assert found.log_loss == pytest.approx(sklearn.metrics.log_loss(y, p.astype(float)))
    assert found.brier == pytest.approx(np.mean((y - p) ** 2))
    assert (found.base_rate, found.rows) == (pytest.approx(y.mean()), len(y))


def test_calibration_bins_equal_scikit_learns() -> None:
    y, p = sample()
    rate, score = calibration_curve(y, p.astype(float), n_bins=10, strategy="quantile")
    found = metrics(y, p).calibration
    np.testing.assert_allclose([b.rate for b in found], rate)
    np.testing.assert_allclose([b.score for b in found], score)
    assert sum(b.rows for b in found) == len(y)


def test_calibration_error_weighs_bins_by_rows() -> None:
    found = metrics(np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.1, 0.1, 0.1, 0.9]), bins=2)
    # four rows score 0.1 and are positive in one of four; one scores 0.9 and is positive
    assert found.calibration_error == pytest.approx((4 * 0.15 + 1 * 0.1) / 5)


def test_rows_of_one_score_share_a_bin() -> None:
    found = metrics(np.array([0, 1] * 50), np.full(100, 0.5))
    assert [b.rows for b in found.calibration] == [100]


def test_the_order_of_rows_does_not_matter() -> None:
    y, p = sample()
    order = np.random.default_rng(0).permutation(len(y))
    assert metrics(y[order], p[order]).values() == pytest.approx(metrics(y, p).values(), rel=1e-12)


def test_unlabelled_rows_are_left_out() -> None:
    y, p = sample()
    y[::3] = np.nan
    kept = ~np.isnan(y)
    assert metrics(y, p) == metrics(y[kept], p[kept])


def test_arrow_booleans_are_labels() -> None:
    y, p = sample()
    assert metrics(pa.array(y > 0), pa.array(p)) == metrics(y, p)


def test_certain_scores_have_a_finite_loss() -> None:
    assert math.isfinite(metrics([0, 1], [1.0, 0.0]).log_loss)


def test_one_class_has_no_ranking() -> None:
    found = metrics([1, 1], [0.4, 0.6])
    assert math.isnan(found.auc)
    assert "auc" not in found.values()
    assert found.log_loss == pytest.approx(-(math.log(0.4) + math.log(0.6)) / 2)


def test_single_numbers_come_by_name() -> None:
    names = set(metrics(*sample()).values())
    assert names == {"auc", "log_loss", "brier", "calibration_error", "base_rate", "rows"}


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.5, math.nan], "1 of 2 scores are not finite .first: row 1"),
        ([0, 1], [math.inf, 0.5], "not finite"),
        ([0, 1], [0.5, 1.5], "probabilities"),
        ([0, 2], [0.5, 0.5], "0 or 1"),
        ([0, 1, 1], [0.5, 0.5], "as long"),
        ([math.nan, math.nan], [0.5, 0.5], "none of the 2 rows"),
        ([], [], "none of the 0 rows"),
        (["a", "b"], [0.5, 0.5], "labels must be numbers"),
        ([[0], [1]], [[0.5], [0.5]], "1-D"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: Any, scores: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        metrics(labels, scores)


def test_regression_measures_equal_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=100)
    p = y + rng.normal(0, 0.3, 100)
    found = regression_metrics(np.append(y, np.nan), np.append(p, 0.0))
    assert found.rmse == pytest.approx(math.sqrt(np.mean((y - p) ** 2)))
    assert found.mae == pytest.approx(np.mean(np.abs(y - p)))
    assert found.r2 == pytest.approx(sklearn.metrics.r2_score(y, p))
    assert (found.mean, found.rows) == (pytest.approx(y.mean()), 100)


def test_an_infinite_label_is_refused() -> None:
    with pytest.raises(DataError, match="infinite"):
        regression_metrics([1.0, math.inf], [1.0, 1.0])


@pytest.mark.parametrize("arrow", [False, True])
def test_months_are_measured_apart(arrow: bool) -> None:
    y, p = sample(100)
    times = np.array(["2013-12-31T23:59", "2014-01-01T00:00"], "datetime64[s]").repeat(50)
    y[3] = np.nan
    found = monthly(pa.array(times) if arrow else times, y, p)
    assert found == {"2013-12": metrics(y[:50], p[:50]), "2014-01": metrics(y[50:], p[50:])}


def test_months_without_labels_are_absent() -> None:
    times = np.array(["2013-01-05", "2013-02-05", "2013-02-06"], "datetime64[D]")
    assert list(monthly(times, [np.nan, 0, 1], [0.1, 0.2, 0.3])) == ["2013-02"]


def test_months_need_as_many_times() -> None:
    with pytest.raises(DataError, match="as many"):
        monthly(np.array(["2013-01-05"], "datetime64[D]"), [0, 1], [0.1, 0.2])


def test_months_need_dates() -> None:
    with pytest.raises(DataError, match="dates or timestamps"):
        monthly([1, 2], [0, 1], [0.1, 0.2])
