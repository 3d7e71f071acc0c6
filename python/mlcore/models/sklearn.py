"""Import of scikit-learn estimators that are in memory; nothing here imports scikit-learn, and no pickle is read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel, UsageError
from mlcore.models import sklearn_hist, sklearn_linear, sklearn_trees
from mlcore.models.imported import Imported, Model

OLDEST: Final = (1, 6)
_ABOVE_ZERO: Final = float(np.nextafter(0.0, 1.0))


def is_estimator(source: Any) -> bool:
    """Return whether `source` is one of scikit-learn's own objects."""
    return type(source).__module__.split(".")[0] == "sklearn"


def has_outputs(estimator: Any) -> bool:
    """Return whether a classifier has several outputs, each with classes of its own."""
    return isinstance(getattr(estimator, "classes_", None), list)


def read(estimator: Any, output: int | None = None) -> Imported:
    """Return a fitted estimator in neutral form; of a classifier that `has_outputs` the one `output`.

    Raises:
        UnsupportedModel: an estimator, or a setting of one, that is not imported; named in the message.
        UsageError: the estimator is not fitted.
    """
    check(estimator)
    kind = type(estimator).__name__
    if kind not in _IMPORTERS:
        raise UnsupportedModel(f"scikit-learn's {kind} is not imported; these are: {', '.join(_IMPORTERS)}")
    importer, cutoff = _IMPORTERS[kind]
    if has_outputs(estimator):
        if output is None:
            raise UnsupportedModel(f"{kind} of several outputs is not imported")
        return Imported(importer(estimator, output), np.asarray(estimator.classes_[output]), cutoff)
    model = importer(estimator)
    if kind == "IsolationForest":
        return Imported(model, np.array([-1, 1]), float(estimator.offset_))
    classes = getattr(estimator, "classes_", None)
    if classes is not None:
        found = np.asarray(classes)
        return Imported(model, found, cutoff if len(found) > 1 else np.inf)  # there may be no second class
    return Imported(model, flat=np.ndim(getattr(estimator, "coef_", ())) < 2)


def check(estimator: Any) -> None:
    """Raise unless the estimator is fitted, by a scikit-learn that is known."""
    kind = type(estimator).__name__
    version = sys.modules["sklearn"].__version__  # an estimator in memory has brought its library
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise UnsupportedModel(f"{kind} of scikit-learn {version}: 1.6 or newer is imported")
    if not hasattr(estimator, "n_features_in_") and not hasattr(estimator, "classes_"):
        raise UsageError(f"{kind} is not fitted; call fit first")


_LINEAR: Final = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars", "LarsCV", "Lasso", "LassoCV",
    "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression", "LinearSVC", "LinearSVR", "MultiTaskElasticNet",
    "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV", "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV", "PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "Perceptron",
    "QuantileRegressor", "Ridge", "RidgeCV", "RidgeClassifier", "RidgeClassifierCV", "SGDRegressor", "TheilSenRegressor",
)  # fmt: skip
_IMPORTERS: Final[dict[str, tuple[Callable[..., Model], float]]] = {
    "DecisionTreeClassifier": (sklearn_trees.from_tree, 0.0),
    "DecisionTreeRegressor": (sklearn_trees.from_tree, 0.0),
    "ExtraTreeClassifier": (sklearn_trees.from_tree, 0.0),
    "ExtraTreeRegressor": (sklearn_trees.from_tree, 0.0),
    "RandomForestClassifier": (sklearn_trees.from_forest, 0.0),
    "RandomForestRegressor": (sklearn_trees.from_forest, 0.0),
    "ExtraTreesClassifier": (sklearn_trees.from_forest, 0.0),
    "ExtraTreesRegressor": (sklearn_trees.from_forest, 0.0),
    "GradientBoostingClassifier": (sklearn_trees.from_gradient_boosting, 0.0),
    "GradientBoostingRegressor": (sklearn_trees.from_gradient_boosting, 0.0),
    "HistGradientBoostingClassifier": (sklearn_hist.from_hist_gradient_boosting, _ABOVE_ZERO),
    "HistGradientBoostingRegressor": (sklearn_hist.from_hist_gradient_boosting, 0.0),
    "IsolationForest": (sklearn_trees.from_isolation_forest, 0.0),
    **dict.fromkeys(_LINEAR, (sklearn_linear.from_linear, _ABOVE_ZERO)),
    "LogisticRegression": (sklearn_linear.from_logistic, _ABOVE_ZERO),
    "LogisticRegressionCV": (sklearn_linear.from_logistic, _ABOVE_ZERO),
    "SGDClassifier": (sklearn_linear.from_sgd, _ABOVE_ZERO),
    "GammaRegressor": (sklearn_linear.from_generalised, 0.0),
    "PoissonRegressor": (sklearn_linear.from_generalised, 0.0),
    "TweedieRegressor": (sklearn_linear.from_generalised, 0.0),
    "MLPClassifier": (sklearn_linear.from_network, _ABOVE_ZERO),
    "MLPRegressor": (sklearn_linear.from_network, 0.0),
}
