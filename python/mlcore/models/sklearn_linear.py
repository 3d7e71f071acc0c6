"""Import of scikit-learn's linear models, generalised linear models and dense networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.models.ensemble import Array, Link
from mlcore.models.linear import LinearModel
from mlcore.models.neural import NeuralNetwork
from mlcore.models.sklearn_parts import names

_GLM_LINKS: Final[Mapping[str, Link]] = {"IdentityLink": "identity", "LogLink": "exp"}
_OUTPUT_LINKS: Final[Mapping[str, Link]] = {
    "identity": "identity",
    "logistic": "sigmoid",
    "softmax": "softmax",
    "exp": "exp",
}


def from_linear(estimator: Any) -> LinearModel:
    """Return a regressor, or a classifier that has scores and no probabilities."""
    return _linear(estimator, "identity")


def from_logistic(estimator: Any) -> LinearModel:
    """Return a LogisticRegression. Up to scikit-learn 1.7 `multi_class` may ask for other probabilities."""
    several, asked = len(estimator.classes_) > 2, getattr(estimator, "multi_class", "auto")
    each = asked in ("ovr", "warn") or (asked in ("auto", "deprecated") and estimator.solver == "liblinear")
    if several:
        return _linear(estimator, "shares" if each else "softmax")
    return _linear(estimator, "halflogit" if asked == "multinomial" else "sigmoid")


def from_sgd(estimator: Any) -> LinearModel:
    """Return an SGDClassifier, whose loss says what its probabilities are, if it has any."""
    binary = len(estimator.classes_) == 2
    if estimator.loss == "log_loss":
        return _linear(estimator, "sigmoid" if binary else "shares")
    return _linear(estimator, "ramp" if estimator.loss == "modified_huber" else "identity")


def from_generalised(estimator: Any) -> LinearModel:
    """Return a Poisson, Gamma or Tweedie regressor."""
    link = type(estimator._base_loss.link).__name__
    if link not in _GLM_LINKS:
        raise UnsupportedModel(f"{type(estimator).__name__} with a {link} is not imported")
    return _linear(estimator, _GLM_LINKS[link])


def _linear(estimator: Any, link: Link) -> LinearModel:
    """Sums are float64, whatever type the weights were trained in."""
    _refuse_labels(estimator, "_label_binarizer")
    coefficients = estimator.coef_.toarray() if hasattr(estimator.coef_, "toarray") else estimator.coef_
    weights = np.atleast_2d(np.asarray(coefficients, np.float64)).T
    bias = np.zeros(weights.shape[1]) + np.asarray(estimator.intercept_, np.float64).reshape(-1)
    return LinearModel(
        source="sklearn",
        objective=type(estimator).__name__,
        link=link,
        base_margin=(0.0,) * len(bias),
        **names(estimator),
        stored_categories=(None,) * len(weights),
        weights=np.ascontiguousarray(weights),
        bias=bias,
        accepts_missing=False,
    )


def from_network(estimator: Any) -> NeuralNetwork:
    """Return an MLPClassifier or MLPRegressor."""
    _refuse_labels(estimator, "_label_binarizer")
    return NeuralNetwork(
        source="sklearn",
        objective=type(estimator).__name__,
        link=_OUTPUT_LINKS[estimator.out_activation_],
        **names(estimator),
        activation=estimator.activation,
        weights=tuple(_float64(layer) for layer in estimator.coefs_),
        biases=tuple(_float64(layer) for layer in estimator.intercepts_),
    )


def _float64(values: Any) -> Array:
    return np.ascontiguousarray(values, np.float64)


def _refuse_labels(estimator: Any, name: str) -> None:
    """Classifiers of several labels a row have an answer for each."""
    kind = getattr(getattr(estimator, name, None), "y_type_", "")
    if kind.startswith("multilabel"):
        raise UnsupportedModel(f"{type(estimator).__name__} of several labels a row is not imported")
