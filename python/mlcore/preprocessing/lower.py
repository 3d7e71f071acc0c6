"""Lowering: a fitted estimator, said as the steps of neutral features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from mlcore.errors import UnsupportedModel
from mlcore.preprocessing.draft import Draft
from mlcore.preprocessing.features import Feature, Transforms
from mlcore.preprocessing.inputs import raw_names
from mlcore.preprocessing.steps import Array


class Transformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator whose fitted state lowers to steps."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def lower(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return one draft an output, from one draft an input."""
        raise NotImplementedError

    def to_transforms(self) -> Transforms:
        """Return the fitted estimator as neutral features named by `get_feature_names_out`.

        Raises:
            UnsupportedModel: something in it has no neutral form; named in the message.

        """
        check_is_fitted(self)
        drafts = self.lower([Draft(name) for name in raw_names(self)])
        return to_transforms(drafts, self.get_feature_names_out())


def to_transforms(drafts: Sequence[Draft], names: Sequence[str] | Array) -> Transforms:
    """Return finished drafts as named features."""
    for draft in drafts:
        if draft.fill is not None:
            raise UnsupportedModel(f"column '{draft.column}': its strings are imputed but never turned into numbers")
    features = [Feature(str(name), draft.column, draft.steps) for name, draft in zip(names, drafts, strict=True)]
    return Transforms(tuple(features))


def plain(value: Any) -> float:
    """Return a NumPy scalar as a Python float."""
    return float(np.float64(value))
