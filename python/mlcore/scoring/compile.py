"""`mlcore.compile`: whatever a team has, as a Scorer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, overload

from mlcore import backend as backends
from mlcore import models
from mlcore.bundle import Bundle
from mlcore.bundle import load as load_bundle
from mlcore.errors import BackendUnavailable, UnsupportedModel, UsageError
from mlcore.models import Model, TreeEnsemble
from mlcore.models.ensemble import Categories
from mlcore.scoring import conventions
from mlcore.scoring.composite import Composite
from mlcore.scoring.estimators import Importer
from mlcore.scoring.scorer import Scorer

ENGINES = ("auto", "planes", "deep", "walk")


@overload
def compile(
    model: Bundle | str | Path | bytes,
    *,
    backend: str = "auto",
    threads: int | None = None,
    iteration_range: tuple[int, int] | None = None,
    missing: float | None = None,
    engine: str = "auto",
) -> Scorer: ...


@overload
def compile(
    model: object,
    *,
    backend: str = "auto",
    threads: int | None = None,
    iteration_range: tuple[int, int] | None = None,
    missing: float | None = None,
    engine: str = "auto",
) -> Scorer | Composite: ...


def compile(
    model: Any,
    *,
    backend: str = "auto",
    threads: int | None = None,
    iteration_range: tuple[int, int] | None = None,
    missing: float | None = None,
    engine: str = "auto",
) -> Scorer | Composite:
    """Return a Scorer that gives the same numbers as `model`, faster; a Composite of Scorers for one made of several.

    Args:
        model: a Booster of XGBoost or LightGBM, or one of their scikit-learn wrappers; a CatBoost model; the path or bytes of
            an XGBoost JSON or UBJ model, of a CatBoost JSON or .cbm model, or of a LightGBM text model, or that text; an ONNX
            ModelProto, its bytes or the path of an `.onnx` file; a fitted scikit-learn estimator; a `Pipeline` of
            transformers, mlcore's or scikit-learn's, and one of these; a Bundle, its folder, or a reference such as
            "churn@champion".
        backend: "auto", "cpu", "numba" or "cuda"; only "auto" falls back.
        threads: at most this many; by default what the machine, its cgroup and MLCORE_THREADS allow.
        iteration_range: score with the boosting rounds [first, end) alone; by default with all of them, or, of a
            scikit-learn wrapper or a LightGBM Booster that stopped early, with those up to its best. CatBoost's are trees, and
            its bias belongs to the first, as in its own `predict`.
        engine: how trees are worked off, the same bits all: "auto" by their shape, "planes" bit by bit for all rows, "deep"
            with rows side by side, "walk" row by row. `describe()` says what runs.
        missing: the number that stands for a missing value, beside NaN; by default the wrapper's own. XGBoost only.

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
    if isinstance(model, str | Path) and not models.is_text(model) and _names_a_bundle(model):
        model = load_bundle(model)
    if isinstance(model, Bundle):
        if iteration_range is not None or missing is not None:
            raise UsageError(
                "a Bundle is scored as it was measured; iteration_range and missing belong to its training"
            )
        return _from_bundle(model, options)
    return Importer(iteration_range, missing, options).compile(model)


def _names_a_bundle(model: str | Path) -> bool:
    """A folder is a Bundle; a file is a model; any other text is a reference."""
    path = Path(model)
    if path.exists() or isinstance(model, Path):
        return path.is_dir()
    return not path.suffix and os.sep not in str(model)


def _from_bundle(bundle: Bundle, options: dict[str, Any]) -> Scorer:
    columns = bundle.transforms.columns
    if bundle.model.source == "sklearn" and any(feature.steps for feature in bundle.transforms.features):
        raise UnsupportedModel(
            "a Bundle's transforms pass through float32, which a scikit-learn model after transformers was not trained on; "
            "compile its Pipeline instead"
        )
    if conventions.of(bundle.model).hashes_categories and any(c is not None for c in bundle.model.stored_categories):
        raise UnsupportedModel(
            "a Bundle's profile does not know categories by their hashes; compile the CatBoost model itself"
        )
    if any(not isinstance(category, str) for known in _categories(bundle.model) for category in known[:1]):
        raise UnsupportedModel(
            "a Bundle's schema and profile know no categories that are numbers or booleans; compile the model itself"
        )
    return Scorer(
        model=bundle.model,
        features=bundle.transforms.features,
        named=True,
        predicts="value",
        narrowed=True,
        types={name: bundle.schema.field(name).arrow() for name in columns},
        profile=bundle.profile,
        digest=bundle.digest,
        **options,
    )


def _categories(model: Model) -> list[Categories]:
    """The categories that a model was trained on, column by column."""
    listed = model.category_lists if isinstance(model, TreeEnsemble) else ()
    return [known for known in (*model.stored_categories, *listed) if known is not None]
