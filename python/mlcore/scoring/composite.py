"""Composites: estimators made of others, which are scored on their own and then put together as the library does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.scoring.inputs import held
from mlcore.scoring.line import Array
from mlcore.scoring.scorer import Scorer
from mlcore.scoring.whole import Whole, common


@dataclass(frozen=True, eq=False)
class Composite:
    """Several Scorers and how their answers become one."""

    parts: tuple[Scorer | Composite, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Raw columns that the parts read."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.columns))

    @property
    def whole(self) -> Whole:
        """All columns that the parts were fitted on."""
        return common([part.whole for part in self.parts])

    def predict(self, X: Any) -> Array:
        """Return what the source's own `predict` returns: labels, or values."""
        raise NotImplementedError

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, shape (n, classes)."""
        raise AttributeError(
            f"predict_proba needs a classifier with probabilities; this is a {self.describe()['kind']}"
        )

    def explain(self, X: Any) -> Array:
        """Raise UnsupportedModel: what the parts' answers become is no sum."""
        raise UnsupportedModel(
            f"{self.describe()['kind']}: what several models give together is not explained; compile one of them"
        )

    def describe(self) -> dict[str, Any]:
        """Return what it is made of."""
        return {"kind": type(self).__name__, "parts": [part.describe() for part in self.parts]}

    def _answers(self, X: Any, *methods: str) -> list[Array]:
        """What each part answers to its method, or all to the only one; X, which may be a stream, is read once for all."""
        X = held(X)
        each = methods if len(methods) > 1 else methods * len(self.parts)
        return [ANSWERS[method](part, X) for part, method in zip(self.parts, each, strict=True)]


@dataclass(frozen=True, eq=False)
class Outputs(Composite):
    """A classifier an output; labels are of the first one's type."""

    def predict(self, X: Any) -> Array:
        """Return each output's label, shape (n, outputs)."""
        found = self._answers(X, "predict")
        return np.stack(found, axis=1).astype(found[0].dtype)

    def predict_proba(self, X: Any) -> Any:
        """Return a list of each output's probabilities."""
        return self._answers(X, "predict_proba")

    def explain(self, X: Any) -> Any:
        """Return a list of each output's SHAP values, as `Scorer.explain` gives them."""
        return self._answers(X, "explain")


@dataclass(frozen=True)
class Calibrator:
    """A map of scores to probabilities: 1 / (1 + exp(slope * score + intercept)), or lines between knots."""

    slope: float = 0.0
    intercept: float = 0.0
    knots: Array | None = None
    values: Array | None = None

    def __call__(self, score: Array) -> Array:
        """Return the probability of each score."""
        score = score.astype(np.float64)
        if self.knots is not None and self.values is not None:
            return np.asarray(np.interp(score, self.knots, self.values))
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(self.slope * score + self.intercept)))


@dataclass(frozen=True, eq=False)
class Calibrated(Composite):
    """A classifier whose scores become probabilities, class by class; `places` are its classes among all."""

    asked: str
    maps: tuple[Calibrator, ...]
    places: tuple[int, ...]
    classes: int

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class."""
        scores = self._answers(X, self.asked)[0]
        scores = scores[:, None] if scores.ndim == 1 else scores
        if self.classes == 2:
            scores = scores[:, -1:]
        out = np.zeros((len(scores), self.classes))
        for place, score, calibrate in zip(self.places, scores.T, self.maps, strict=False):
            out[:, place + (self.classes == 2)] = calibrate(score)
        if self.classes == 2:
            out[:, 0] = 1.0 - out[:, 1]
        else:
            total = out.sum(axis=1, keepdims=True)
            out = np.divide(out, total, out=np.full_like(out, 1 / self.classes), where=total != 0)
        out[(out > 1.0) & (out <= 1.0 + 1e-5)] = 1.0
        return out


@dataclass(frozen=True, eq=False)
class Boosted(Composite):
    """Trees, the second part, that go on from what the first says of each row: `begin` makes margins of it."""

    begin: Callable[[Any, Scorer | Composite], Array]

    def predict(self, X: Any) -> Array:
        """Return labels, or values."""
        return self._go_on(self._trees.predict, X)

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class."""
        return self._go_on(self._trees.predict_proba, X)

    def margin(self, X: Any) -> Array:
        """Return the sums of the beginning and the leaves, as `Scorer.margin` does."""
        return self._go_on(self._trees.margin, X)

    decision_function = margin

    def leaf_ids(self, X: Any) -> Array:
        """Return the leaf each row reaches in each tree, without the first part's."""
        return self._trees.leaf_ids(X)

    def explain(self, X: Any) -> Array:
        """Return how much each feature adds to each row's value, as `Scorer.explain` does: what it adds to both parts.

        Raises:
            UnsupportedModel: of classes, the margins to begin from are no sum.
        """
        if self._trees.predicts != "value":
            return super().explain(X)
        X = held(X)
        return np.asarray(self.parts[0].explain(X) + self._trees.explain(X))

    def _go_on(self, answer: Callable[..., Array], X: Any) -> Array:
        """What the trees answer from the margins of the first part on; X, which may be a stream, is read once for both."""
        X = held(X)
        return answer(X, base_margin=self.begin(X, self.parts[0]))

    @property
    def _trees(self) -> Scorer:
        trees = self.parts[1]
        assert isinstance(trees, Scorer)
        return trees


ANSWERS: Final[Mapping[str, Callable[[Any, Any], Array]]] = {
    "decision_function": lambda part, X: part.decision_function(X),
    "explain": lambda part, X: part.explain(X),
    "predict": lambda part, X: part.predict(X),
    "predict_proba": lambda part, X: part.predict_proba(X),
}
