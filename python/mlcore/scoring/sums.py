"""Sums: what several models add to one value, feature by feature, where that value is a weighted sum of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.models import TreeEnsemble
from mlcore.scoring.composite import Composite
from mlcore.scoring.line import Array
from mlcore.scoring.scorer import Scorer


def explained(parts: Sequence[Scorer | Composite], X: Any, *, link: str, transformed: bool) -> Array:
    """Return the parts' SHAP values over the same features, (parts, rows, …, features + 1); X is read once for each.

    Args:
        parts: models that say their margins, which is so where theirs is this `link`.
        X: the rows, held.
        link: "identity" of values, "probability" of probabilities.
        transformed: whether features are what transformers before all parts give; else the columns they were fitted on.

    Raises:
        UnsupportedModel: a part is made of others, says something else than its margin, or has features of its own.
    """
    scorers = [_says_its_margin(part, link) for part in parts]
    if transformed:
        _refuse_different(scorers)
    return np.asarray([_by_feature(part, part.explain(X), transformed=transformed) for part in scorers])


def _says_its_margin(part: Scorer | Composite, link: str) -> Scorer:
    if not isinstance(part, Scorer):
        raise UnsupportedModel(f"a sum of what a {part.describe()['kind']} says is not explained; compile one of them")
    if part.model.link != link:
        raise UnsupportedModel(
            f"a sum of what {part.model.source}'s {part.model.objective} says is not explained: that is no sum of what its "
            "features add"
        )
    return part


def _refuse_different(parts: Sequence[Scorer]) -> None:
    features = [[(feature.column, feature.steps) for feature in part.features] for part in parts]
    if any(found != features[0] for found in features):
        raise UnsupportedModel(
            "a sum of models behind transformers is not explained where more of them stand before one of the models"
        )


def _by_feature(part: Scorer, values: Array, *, transformed: bool) -> Array:
    if isinstance(part.model, TreeEnsemble):
        values = values / part.model.averaged
    if transformed:
        return values
    columns = [feature.column for feature in part.features]
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise UnsupportedModel(
            f"a sum of models that make several features of column '{twice}' is not explained; compile one of them"
        )
    names = part.whole.names
    out = np.zeros((*values.shape[:-1], len(names) + 1))
    out[..., [*map(names.index, columns), -1]] = values
    return out
