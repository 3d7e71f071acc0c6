"""Votes: the weighted mean of what several models say of a row, or the label that most of them give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcore.scoring.composite import Composite
from mlcore.scoring.inputs import held
from mlcore.scoring.line import Array
from mlcore.scoring.sums import explained


@dataclass(frozen=True, eq=False)
class Vote(Composite):
    """The weighted mean of probabilities or values, or the label that most parts give."""

    classes: Array | None
    weights: Any
    soft: bool
    transformed: bool = False
    """Whether transformers stand before the vote, so that its features are what these give."""

    def predict(self, X: Any) -> Array:
        """Return labels, or the mean of the parts' values."""
        if self.classes is None:
            return self._mean(np.asarray(self._answers(X, "predict")).T, axis=1)
        if self.soft:
            return np.asarray(self.classes[np.argmax(self.predict_proba(X), axis=1)])
        return np.asarray(self.classes[np.argmax(self._votes(X, len(self.classes)), axis=1)])

    def predict_proba(self, X: Any) -> Array:
        """Return the weighted mean of the parts' probabilities."""
        if self.classes is None or not self.soft:
            return super().predict_proba(X)
        return self._mean(np.asarray(self._answers(X, "predict_proba")), axis=0)

    def explain(self, X: Any) -> Array:
        """Return how much each column adds to what the vote says, float64: the weighted mean of the parts' SHAP values.

        Features are the columns that the vote was fitted on or, where transformers stand before it, what these give. The last
        column is what remains where nothing is known of a row; a row's values sum to `predict`, or to `predict_proba`.

        Returns:
            shape (n, features + 1), or (n, classes, features + 1).

        Raises:
            UnsupportedModel: labels are counted, not averaged; what a part says is no sum of what its features add; or it
                makes several features of one column.
        """
        if not self.soft:
            return super().explain(X)
        link = "identity" if self.classes is None else "probability"
        return self._mean(explained(self.parts, held(X), link=link, transformed=self.transformed), axis=0)

    def _mean(self, values: Array, *, axis: int) -> Array:
        """The weighted mean; without weights `np.average` does the same, but for no rows."""
        if self.weights is None:
            return np.asarray(np.mean(values, axis=axis))
        return np.asarray(np.average(values, axis=axis, weights=self.weights))

    def _votes(self, X: Any, classes: int) -> Array:
        """The weight of the votes for each class; parts were trained on the classes' places."""
        given = self._answers(X, "predict")
        votes = np.zeros((len(given[0]), classes))
        for labels, weight in zip(given, np.ones(len(given)) if self.weights is None else self.weights, strict=True):
            votes[np.arange(len(labels)), labels] += weight
        return votes
