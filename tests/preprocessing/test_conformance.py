"""The transformers keep scikit-learn's rules for estimators."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import check_estimator

from mlcore.preprocessing import (
    Clip,
    ColumnTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    SimpleImputer,
    StandardScaler,
    TargetEncoder,
)

ESTIMATORS: list[Any] = [
    Clip(-1, 1),
    ColumnTransformer([("one", StandardScaler(), [0])]),
    MinMaxScaler(clip=True),
    OneHotEncoder(handle_unknown="ignore"),
    OrdinalEncoder(),
    SimpleImputer(),
    SimpleImputer(strategy="most_frequent"),
    StandardScaler(),
    TargetEncoder(target_type="continuous"),  # several classes are refused, which the checks also try
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_scikit_learns_own_checks_pass(estimator: Any) -> None:
    results = check_estimator(estimator, on_skip=None)
    assert sum(result["status"] == "passed" for result in results) > 30
