"""Reads a point's model file with the library that wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load(library: str, path: Path) -> Any:
    """Return the library's own model."""
    if library == "XGBoost":
        import xgboost

        return xgboost.Booster(model_file=str(path))
    if library == "LightGBM":
        import lightgbm

        return lightgbm.Booster(model_file=path)
    if library == "CatBoost":
        import catboost

        return catboost.CatBoostClassifier().load_model(str(path))
    import skops.io

    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))  # a file that the benchmark wrote


def treelite(library: str, path: Path) -> Any:
    """Return the model as Treelite reads it."""
    import treelite

    if library == "XGBoost":
        return treelite.frontend.load_xgboost_model(path, format_choice="ubjson")
    if library == "LightGBM":
        return treelite.frontend.load_lightgbm_model(path)
    return treelite.sklearn.import_model(load(library, path))
