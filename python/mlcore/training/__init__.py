"""Training on one machine, streamed from Parquet, and the measures that gates and reports ask for."""

from __future__ import annotations

from mlcore.training.evaluate import (
    CalibrationBin,
    Metrics,
    RegressionMetrics,
    metrics,
    monthly,
    regression_metrics,
)
from mlcore.training.rows import Label
from mlcore.training.train import Trained, fit

__all__ = [
    "CalibrationBin",
    "Label",
    "Metrics",
    "RegressionMetrics",
    "Trained",
    "fit",
    "metrics",
    "monthly",
    "regression_metrics",
]
