"""daal4py: probabilities of oneDAL's boosted trees; scikit-learn's models come by way of Treelite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import daal4py
from daal4py import mb

from scoring import models


def load(library: str, path: Path, columns: int, kept: Path) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what makes rows ready and what answers them."""
    daal4py.daalinit(1)
    boosted = library in ("XGBoost", "LightGBM", "CatBoost")
    model = mb.convert_model((models.load if boosted else models.treelite)(library, path))
    return (lambda rows: rows), (model.predict if model.is_regressor_ else model.predict_proba)
