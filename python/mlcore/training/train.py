"""Training: Parquet rows through transforms into a QuantileDMatrix, batch by batch, and XGBoost on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from mlcore.errors import DataError, UsageError, require
from mlcore.preprocessing.features import Transforms
from mlcore.preprocessing.fitting import FittedTransforms, fit_transforms
from mlcore.preprocessing.specs import FeatureSpec
from mlcore.training.boost import Progress, boost, matrix
from mlcore.training.rows import Array, Label, Rows, labels_of, split

BINARY: Final = ("binary:logistic", "binary:logitraw", "reg:logistic")
OBJECTIVES: Final = (
    *BINARY,
    "reg:squarederror",
    "reg:squaredlogerror",
    "reg:pseudohubererror",
    "reg:absoluteerror",
    "count:poisson",
    "reg:gamma",
    "reg:tweedie",
)


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and how it came about.

    `booster` holds only the trees up to the best round. `holdout_labels` and `holdout_scores` belong to the rows
    from `cut` on, which stopped the training early and were in no tree; empty without a holdout.
    """

    booster: Any
    transforms: Transforms
    objective: str
    params: Mapping[str, Any]
    labelled: int
    training_rows: int
    holdout_rows: int
    cut: str | None
    rounds: int
    best_iteration: int
    history: Mapping[str, tuple[float, ...]]
    holdout_labels: Array
    holdout_scores: Array


def fit(
    files: Sequence[Path | str],
    *,
    transforms: Transforms | Sequence[FeatureSpec],
    label: Label,
    time: str,
    since: date | None = None,
    until: date | None = None,
    holdout: float = 0.2,
    params: Mapping[str, Any] | None = None,
    rounds: int = 500,
    early_stopping: int = 20,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Return an XGBoost model of the labelled rows of `files` with `since` <= time < `until`.

    The last `holdout` share of them in time stops the training once its first metric has not improved for
    `early_stopping` rounds; feature specs are fitted on the rows before. Rows are read, transformed and quantised
    batch by batch: the dense matrix never exists whole. Equal data, parameters, seed and threads give an equal model.

    Args:
        files: Parquet files, in time order where that can be.
        transforms: fitted transforms, or specs that are fitted here.
        label: the target; with `above` the default objective is binary:logistic, otherwise reg:squarederror.
        time: the column that orders rows and that `since` and `until` speak of.
        params: XGBoost's parameters; they win over the defaults here (tree_method hist, seed, nthread).
        progress: called with 1 after each round.

    Raises:
        DataError: no labelled rows, labels of one class, labels that do not fit the objective.
        UsageError: an objective, parameter or option that is unknown or has no meaning.
        MissingExtra: XGBoost is not installed.

    """
    xgboost = require("xgboost", extra="train", purpose="train a model")
    settings = _settings(params or {}, label, seed, threads)
    _check_options(rounds, early_stopping)
    columns = transforms.columns if isinstance(transforms, Transforms) else _columns_of(transforms)
    rows = Rows(tuple(Path(file) for file in files), columns, label, time, since, until)
    cut, labelled = split(rows, holdout)
    rows = replace(rows, cut=cut)
    training_labels = labels_of(rows, "training")
    _check_labels(training_labels, settings["objective"], label)
    fitted = _fitted(transforms, rows)
    train = matrix(xgboost, rows, fitted, settings)
    valid = None if cut is None else matrix(xgboost, rows, fitted, settings, reference=train)
    booster, history = boost(xgboost, settings, train, valid, rounds, early_stopping, progress)
    best = booster.best_iteration if valid is not None and early_stopping else booster.num_boosted_rounds() - 1
    grown = booster.num_boosted_rounds()
    booster = booster[: best + 1]
    return Trained(
        booster=booster,
        transforms=fitted.transforms,
        objective=settings["objective"],
        params=settings,
        labelled=labelled,
        training_rows=len(training_labels),
        holdout_rows=labelled - len(training_labels),
        cut=None if cut is None else str(cut.cast(pa.string())),
        rounds=grown,
        best_iteration=best,
        history=history,
        holdout_labels=labels_of(rows, "holdout"),
        holdout_scores=np.zeros(0, np.float32) if valid is None else booster.predict(valid),
    )


def _settings(params: Mapping[str, Any], label: Label, seed: int, threads: int | None) -> dict[str, Any]:
    default = "binary:logistic" if label.above is not None else "reg:squarederror"
    settings: dict[str, Any] = {"objective": default, "tree_method": "hist", "seed": seed, "verbosity": 1}
    if threads is not None:
        settings["nthread"] = threads
    settings.update(params)
    if settings["objective"] not in OBJECTIVES:
        raise UsageError(f"unknown objective '{settings['objective']}'; known: {', '.join(OBJECTIVES)}")
    return settings


def _check_options(rounds: int, early_stopping: int) -> None:
    if rounds < 1:
        raise UsageError(f"rounds must be at least 1, not {rounds}")
    if early_stopping < 0:
        raise UsageError(f"early_stopping must be 0 (never) or more, not {early_stopping}")


def _columns_of(specs: Sequence[FeatureSpec]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for spec in specs for name in spec.columns))


def _check_labels(labels: Array, objective: str, label: Label) -> None:
    if objective in BINARY:
        if not np.isin(labels, (0.0, 1.0)).all():
            raise DataError(
                f"target column '{label.column}': objective {objective} needs labels 0 and 1, found "
                f"{labels.min():g} to {labels.max():g}; give [target] an 'above'"
            )
        if labels.min() == labels.max():
            above = "" if label.above is None else f" > {label.above:g}"
            raise DataError(
                f"all {len(labels):,} training rows have '{label.column}{above}' "
                f"{'true' if labels[0] else 'false'}: there is nothing to learn from one class"
            )
    if not np.isfinite(labels).all():
        raise DataError(f"target column '{label.column}' holds infinities")


def _fitted(transforms: Transforms | Sequence[FeatureSpec], rows: Rows) -> FittedTransforms:
    if isinstance(transforms, Transforms):
        return FittedTransforms(transforms)
    return fit_transforms(lambda: rows.batches("training"), transforms, label=rows.label.of)
