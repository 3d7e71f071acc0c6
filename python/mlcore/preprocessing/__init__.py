"""Feature transforms: scikit-learn's names and results, lowered to steps that fold into a compiled model.

The estimators need scikit-learn and are imported when first asked for; `Transforms` and what it is made of do not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from mlcore.errors import require
from mlcore.preprocessing.features import Feature, Transforms
from mlcore.preprocessing.specs import FeatureSpec, parse_features

if TYPE_CHECKING:
    from mlcore.preprocessing.compose import ColumnTransformer
    from mlcore.preprocessing.encode import OneHotEncoder, OrdinalEncoder
    from mlcore.preprocessing.impute import SimpleImputer
    from mlcore.preprocessing.scale import Clip, MinMaxScaler, StandardScaler
    from mlcore.preprocessing.target import TargetEncoder

__all__ = [
    "Clip",
    "ColumnTransformer",
    "Feature",
    "FeatureSpec",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "SimpleImputer",
    "StandardScaler",
    "TargetEncoder",
    "Transforms",
    "parse_features",
]

_ESTIMATORS: Final = {
    "Clip": "scale",
    "ColumnTransformer": "compose",
    "MinMaxScaler": "scale",
    "OneHotEncoder": "encode",
    "OrdinalEncoder": "encode",
    "SimpleImputer": "impute",
    "StandardScaler": "scale",
    "TargetEncoder": "target",
}


def __getattr__(name: str) -> Any:
    if name not in _ESTIMATORS:
        raise AttributeError(f"module 'mlcore.preprocessing' has no attribute '{name}'")
    require("sklearn", extra="sklearn", purpose=f"use {name}")
    return getattr(importlib.import_module(f"mlcore.preprocessing.{_ESTIMATORS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
