"""XGBoost itself: a QuantileDMatrix fed batch by batch, boosting, and its complaints made plain."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlcore.errors import DataError, UsageError
from mlcore.preprocessing.features import Transforms
from mlcore.preprocessing.fitting import FittedTransforms
from mlcore.training.rows import Array, Rows

Progress = Callable[[int], None]


def matrix(
    xgboost: Any, rows: Rows, fitted: FittedTransforms, settings: Mapping[str, Any], reference: Any = None
) -> Any:
    """The rows before the cut, or with a `reference` those after it, binned as the reference is."""
    part = "training" if reference is None else "holdout"
    names = _feature_names(fitted.transforms)

    def chunks() -> Iterable[dict[str, Any]]:
        row = 0
        for batch in rows.batches(part):  # type: ignore[arg-type]
            training = part == "training"
            data = fitted.apply_training(batch, first_row=row) if training else fitted.transforms.apply(batch)
            _refuse_infinite(data, fitted.transforms)
            row += batch.num_rows
            yield {"data": data, "label": rows.label.of(batch), "feature_names": names}

    options = {name: settings[name] for name in ("max_bin", "nthread") if name in settings}
    with _complaints(xgboost):
        return xgboost.QuantileDMatrix(_stream(xgboost, chunks), ref=reference, **options)


def _feature_names(transforms: Transforms) -> list[str] | None:
    """XGBoost refuses some characters in names; the model then goes by position, as the Bundle does anyway."""
    return None if any(re.search(r"[\[\]<]", name) for name in transforms.names) else list(transforms.names)


def _refuse_infinite(data: Array, transforms: Transforms) -> None:
    for place in np.flatnonzero(np.isinf(data).any(axis=0))[:1]:
        raise DataError(
            f"feature '{transforms.names[place]}' holds infinities or numbers beyond float32, which XGBoost does "
            "not train on; add clip to its steps"
        )


def _stream(xgboost: Any, chunks: Callable[[], Iterable[dict[str, Any]]]) -> Any:
    class Stream(xgboost.DataIter):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self._left = iter(chunks())

        def next(self, input_data: Any) -> bool:
            chunk = next(self._left, None)
            if chunk is None:
                return False
            input_data(**chunk)
            return True

        def reset(self) -> None:
            self._left = iter(chunks())

    return Stream()


def boost(
    xgboost: Any,
    settings: dict[str, Any],
    train: Any,
    valid: Any,
    rounds: int,
    early_stopping: int,
    progress: Progress | None,
) -> tuple[Any, dict[str, tuple[float, ...]]]:
    """Return the trained Booster and its evaluation curves by name; stops early on `valid`."""

    class Tick(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if progress is not None:
                progress(1)
            return False

    callbacks = [Tick()]
    if valid is not None and early_stopping:
        callbacks.append(xgboost.callback.EarlyStopping(rounds=early_stopping, data_name="holdout"))
    log: dict[str, dict[str, list[float]]] = {}
    with _complaints(xgboost):
        booster = xgboost.train(
            settings,
            train,
            num_boost_round=rounds,
            evals=[] if valid is None else [(valid, "holdout")],
            evals_result=log,
            verbose_eval=False,
            callbacks=callbacks,
        )
    return booster, {metric: tuple(values) for metric, values in log.get("holdout", {}).items()}


@contextmanager
def _complaints(xgboost: Any) -> Iterator[None]:
    """Turn what XGBoost refuses, and its warning that a parameter is not used, into UsageError."""
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            yield
    except xgboost.core.XGBoostError as error:
        raise UsageError(f"[train.params]: XGBoost refuses: {_first_line(str(error))}") from error
    for warning in seen:
        text = str(warning.message)
        if "are not used" in text:
            names = ", ".join(re.findall(r'"([^"]+)"', text))
            raise UsageError(f"[train.params]: XGBoost does not know {names}")
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and "Stack trace" not in line]
    return re.sub(r"^\[[^\]]*\]\s*\S*:\d+:\s*", "", lines[0]) if lines else text
