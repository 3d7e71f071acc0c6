"""`mlcore.compile`: whatever a team has, as a Scorer."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlcore import backend as backends
from mlcore import models
from mlcore.bundle import Bundle
from mlcore.bundle import load as load_bundle
from mlcore.data.types import type_named
from mlcore.errors import BackendUnavailable, UnsupportedModel, UsageError
from mlcore.models import Model, sklearn
from mlcore.preprocessing.features import Feature
from mlcore.scoring.scorer import Scorer

ENGINES = ("auto", "planes", "deep", "walk")


def compile(
    model: Any,
    *,
    backend: str = "auto",
    threads: int | None = None,
    iteration_range: tuple[int, int] | None = None,
    missing: float | None = None,
    engine: str = "auto",
) -> Scorer:
    """Return a Scorer that gives the same numbers as `model`, faster.

    Args:
        model: an `xgboost.Booster`, `XGBClassifier` or `XGBRegressor`; the path or bytes of an XGBoost JSON or UBJ model; a
            scikit-learn estimator, or `Pipeline` of an mlcore `ColumnTransformer` and one of these; a Bundle, its folder, or a
            reference such as "churn@champion".
        backend: "auto", "cpu", "numba" or "cuda"; only "auto" falls back.
        threads: at most this many; by default what the machine, its cgroup and MLCORE_THREADS allow.
        iteration_range: score with the boosting rounds [first, end) alone; by default with all of them, or, of a
            scikit-learn wrapper that stopped early, with those up to its best.
        engine: how trees are worked off, the same bits all: "auto" by their shape, "planes" bit by bit for all rows, "deep"
            with rows side by side, "walk" row by row. `describe()` says what runs.
        missing: the number that stands for a missing value, beside NaN; by default the wrapper's own.

    Raises:
        UnsupportedModel, ModelFormatError: the model is not imported, or its file is damaged.
        BackendUnavailable: the backend asked for by name cannot run here.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, not {threads}")
    if engine not in ENGINES:
        raise UsageError(f"engine '{engine}' does not exist; choose {', '.join(ENGINES)}")
    chosen = backends.select(backend)
    if not hasattr(chosen.kernels, "score"):
        raise BackendUnavailable(
            f"backend '{chosen.name}' has single ops, `bin` and `forest`, but no whole scorer yet; use \"cpu\""
        )
    options: dict[str, Any] = {
        "backend": chosen,
        "threads": threads or backends.default_threads(),
        "engine": engine,
    }
    if isinstance(model, str | Path) and _names_a_bundle(model):
        model = load_bundle(model)
    if isinstance(model, Bundle):
        if iteration_range is not None or missing is not None:
            raise UsageError(
                "a Bundle is scored as it was measured; iteration_range and missing belong to its training"
            )
        return _from_bundle(model, options)
    if hasattr(model, "steps") and hasattr(model, "named_steps"):
        return _from_pipeline(model, iteration_range, missing, options)
    read, given = _read(model, iteration_range, missing)
    features = tuple(Feature(name, name, ()) for name in read.feature_names)
    return _scorer(read, features, named=read.named, **given, **options)


def _names_a_bundle(model: str | Path) -> bool:
    """A folder is a Bundle; a file is a model; any other text is a reference."""
    path = Path(model)
    if path.exists() or isinstance(model, Path):
        return path.is_dir()
    return not path.suffix and os.sep not in str(model)


def _from_bundle(bundle: Bundle, options: dict[str, Any]) -> Scorer:
    columns = bundle.transforms.columns
    return Scorer(
        model=bundle.model,
        features=bundle.transforms.features,
        named=True,
        predicts="value",
        types={name: type_named(bundle.schema.field(name).type) for name in columns},
        profile=bundle.profile,
        digest=bundle.digest,
        **options,
    )


def _from_pipeline(
    pipeline: Any, iterations: tuple[int, int] | None, missing: float | None, options: dict[str, Any]
) -> Scorer:
    *before, (_, last) = pipeline.steps
    if len(before) != 1 or not hasattr(before[0][1], "to_transforms"):
        kinds = ", ".join(type(step).__name__ for _, step in pipeline.steps)
        raise UnsupportedModel(
            f"Pipeline of {kinds}: only an mlcore.preprocessing.ColumnTransformer followed by a model is compiled"
        )
    read, given = _read(last, iterations, missing)
    if not math.isnan(given["missing"]):
        raise UnsupportedModel(f"missing={given['missing']} after a transformer is not compiled; use NaN")
    features = before[0][1].to_transforms().features
    return _scorer(read, features, named=True, narrowed=True, **given, **options)


def _read(model: Any, iterations: tuple[int, int] | None, missing: float | None) -> tuple[Model, dict[str, Any]]:
    """The model in neutral form, what stands for a missing value, and what the source's `predict` gives."""
    if sklearn.is_estimator(model):
        return _read_estimator(model, iterations, missing)
    if not hasattr(model, "get_booster"):
        return models.read(model, iterations=iterations), {
            "predicts": "value",
            "missing": math.nan if missing is None else missing,
        }
    if missing is None:
        missing = model.missing if getattr(model, "missing", None) is not None else math.nan
    booster = model.get_booster()
    best = booster.attributes().get("best_iteration")
    if best is not None and (iterations is None or iterations[1] == 0):  # the wrappers stop there by themselves
        iterations = (0, int(best) + 1)
    if model.booster == "gblinear":
        iterations = None
    predicts = "label" if hasattr(model, "predict_proba") else "value"
    return models.read(booster, iterations=iterations), {"predicts": predicts, "missing": float(missing)}


def _read_estimator(
    estimator: Any, iterations: tuple[int, int] | None, missing: float | None
) -> tuple[Model, dict[str, Any]]:
    if iterations not in (None, (0, 0)):
        raise UsageError("iteration_range is for XGBoost; a scikit-learn estimator is scored whole")
    found = sklearn.read(estimator)
    return found.model, {
        "predicts": "value" if found.classes is None else "label",
        "missing": math.nan if missing is None else missing,
        "classes": found.classes,
        "cutoff": found.cutoff,
        "flat": found.flat,
    }


def _scorer(model: Model, features: tuple[Feature, ...], **given: Any) -> Scorer:
    return Scorer(model=model, features=features, digest=_digest(model, features), **given)


def _digest(model: Model, features: tuple[Feature, ...]) -> str:
    sink = pa.BufferOutputStream()
    table = model.to_arrow()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(sink.getvalue().to_pybytes() + repr(features).encode()).hexdigest()
