"""Evaluation: how good scores are against labels, for gates, reports and the record of runs.

Rows whose label is NaN are unlabelled and left out. Scores that are not finite are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from mlcore.errors import DataError, require

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of neighbouring scores: their mean score, the share of them that are positive, their number."""

    score: float
    rate: float
    rows: int


@dataclass(frozen=True)
class Metrics:
    """Measures of probabilities. `auc` is NaN where the labels are of one class, which has no ranking.

    `calibration_error` is the expected one: |score - rate| of the bins of equal mass, weighted by their rows.
    """

    auc: float
    log_loss: float
    brier: float
    calibration_error: float
    base_rate: float
    rows: int
    calibration: tuple[CalibrationBin, ...]

    def values(self) -> dict[str, float]:
        """Return the single numbers by name, as gates and runs take them; those that are undefined are absent."""
        return _numbers(self)


@dataclass(frozen=True)
class RegressionMetrics:
    """Measures of predicted numbers; `r2` is NaN where all labels are equal."""

    rmse: float
    mae: float
    r2: float
    mean: float
    rows: int

    def values(self) -> dict[str, float]:
        """Return the single numbers by name, as gates and runs take them; those that are undefined are absent."""
        return _numbers(self)


def _numbers(found: Metrics | RegressionMetrics) -> dict[str, float]:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {
        name: float(value) for name, value in values.items() if isinstance(value, int | float) and math.isfinite(value)
    }


def metrics(labels: Any, scores: Any, *, bins: int = 10) -> Metrics:
    """Return the measures of probabilities `scores` against `labels` of 0 and 1 (or booleans; NaN: unlabelled).

    Raises:
        DataError: lengths differ, no row is labelled, a label is not 0 or 1, a score is not a probability.
        MissingExtra: scikit-learn is not installed.

    """
    y, p = _pair(labels, scores)
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError(f"labels must be 0 or 1, found {y.min():g} to {y.max():g}")
    if p.min() < 0 or p.max() > 1:
        raise DataError(f"scores must be probabilities, found {p.min():g} to {p.max():g}")
    measures = require("sklearn.metrics", extra="train", purpose="evaluate a model")
    calibration = _calibration(y, p, bins)
    return Metrics(
        auc=float(measures.roc_auc_score(y, p)) if y.min() < y.max() else math.nan,
        log_loss=float(measures.log_loss(y, p, labels=[0.0, 1.0])),
        brier=float(measures.brier_score_loss(y, p, pos_label=1.0)),
        calibration_error=sum(abs(b.score - b.rate) * b.rows for b in calibration) / len(y),
        base_rate=float(y.mean()),
        rows=len(y),
        calibration=calibration,
    )


def regression_metrics(labels: Any, predictions: Any) -> RegressionMetrics:
    """Return the measures of predicted numbers against `labels` (NaN: unlabelled).

    Raises:
        DataError: lengths differ, no row is labelled, a label or prediction is infinite, a prediction is NaN.
        MissingExtra: scikit-learn is not installed.

    """
    y, p = _pair(labels, predictions)
    measures = require("sklearn.metrics", extra="train", purpose="evaluate a model")
    return RegressionMetrics(
        rmse=float(measures.root_mean_squared_error(y, p)),
        mae=float(measures.mean_absolute_error(y, p)),
        r2=float(measures.r2_score(y, p)) if y.min() < y.max() else math.nan,
        mean=float(y.mean()),
        rows=len(y),
    )


def monthly(times: Any, labels: Any, scores: Any, *, regression: bool = False) -> dict[str, Any]:
    """Return the measures of each calendar month ("2013-07") that has labelled rows, in order.

    `times`: dates or timestamps (NumPy or Arrow), one a row; rows without a time are left out.
    """
    months = _months(times)
    y, p = _floats(labels, "labels"), _floats(scores, "scores")
    if not len(months) == len(y) == len(p):
        raise DataError(f"{len(months)} times, {len(y)} labels and {len(p)} scores: they must be as many")
    measure = regression_metrics if regression else metrics
    labelled = ~np.isnan(y) & ~np.isnat(months)
    return {str(m): measure(y[months == m], p[months == m]) for m in np.unique(months[labelled])}


def _months(times: Any) -> Array:
    if isinstance(times, pa.Array | pa.ChunkedArray):
        times = times.to_numpy(zero_copy_only=False) if isinstance(times, pa.Array) else times.to_numpy()
    found = np.asarray(times)
    if found.dtype.kind not in "MO":
        raise DataError(f"times must be dates or timestamps, found {found.dtype}")
    return found.astype("datetime64[M]")


def _pair(labels: Any, scores: Any) -> tuple[Array, Array]:
    """Labels and scores of the labelled rows, float64."""
    y, p = _floats(labels, "labels"), _floats(scores, "scores")
    if y.ndim != 1 or y.shape != p.shape:
        raise DataError(f"labels have shape {y.shape} and scores {p.shape}: both must be 1-D and as long")
    bad = ~np.isfinite(p)
    if bad.any():
        raise DataError(f"{int(bad.sum()):,} of {len(p):,} scores are not finite (first: row {int(np.argmax(bad))})")
    labelled = ~np.isnan(y)
    if not labelled.any():
        raise DataError(f"none of the {len(y):,} rows is labelled: nothing can be measured")
    if np.isinf(y[labelled]).any():
        raise DataError("a label is infinite")
    return y[labelled], p[labelled]


def _floats(values: Any, what: str) -> Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.cast(pa.float64()).to_numpy()
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers: {error}") from error


def _calibration(y: Array, p: Array, bins: int) -> tuple[CalibrationBin, ...]:
    """Bins between the quantiles of the scores; rows of one score are never parted, so that some may be empty."""
    inner = np.quantile(p, np.linspace(0, 1, bins + 1))[1:-1]
    place = np.searchsorted(inner, p)
    rows = np.bincount(place, minlength=bins)
    score = np.bincount(place, weights=p, minlength=bins)
    rate = np.bincount(place, weights=y, minlength=bins)
    return tuple(
        CalibrationBin(float(score[b] / rows[b]), float(rate[b] / rows[b]), int(rows[b])) for b in np.flatnonzero(rows)
    )
