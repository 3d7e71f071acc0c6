"""The libraries that train the points' models: how each trains, keeps, reads and answers, on one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import catboost
import lightgbm
import numpy as np
import skops.io
import xgboost
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier

from data import Array

Call = Callable[[Array], Array]
SEED = 0


class Library(Protocol):
    """What the benchmark asks of a library; `answer` names the Scorer's method that gives the same."""

    suffix: str
    answer: str

    def train(self, X: Array, y: Array, trees: int, params: Mapping[str, Any]) -> Any:
        """Return a model of binary classification."""

    def save(self, model: Any, path: Path) -> None:
        """Write the model in the library's own safe format."""

    def load(self, path: Path) -> Any:
        """Read it, to be used by one thread."""

    def held(self, X: Array) -> dict[str, Any]:
        """Return the ways to hold a batch for the call."""

    def call(self, model: Any) -> Call:
        """Return the call that answers a batch."""

    def few(self, model: Any) -> Call:
        """Return the quickest way to ask for a few rows that come as an array."""


def orders(X: Array) -> dict[str, Any]:
    """Return the two orders of an array."""
    return {"C order": X, "F order": np.asfortranarray(X)}


class XGBoost:
    """inplace_predict on either order of the array; predict on a DMatrix keeps its last answer."""

    suffix, answer = "ubj", "margin"

    def train(self, X: Array, y: Array, trees: int, params: Mapping[str, Any]) -> Any:
        settings = {"objective": "binary:logistic", "eta": 0.1, "nthread": 2, **params}
        return xgboost.train(settings, xgboost.DMatrix(X, y), trees)

    def save(self, model: Any, path: Path) -> None:
        model.save_model(path)

    def load(self, path: Path) -> Any:
        booster = xgboost.Booster(model_file=str(path))
        booster.set_param({"nthread": 1})
        return booster

    def held(self, X: Array) -> dict[str, Any]:
        return orders(X)

    def call(self, model: Any) -> Call:
        return lambda rows: model.inplace_predict(rows, predict_type="margin")

    few = call


class LightGBM:
    """predict of an array; for a few rows the C library's fast call of a single row, which Python's package leaves out."""

    suffix, answer = "txt", "margin"

    def train(self, X: Array, y: Array, trees: int, params: Mapping[str, Any]) -> Any:
        settings = {"objective": "binary", "learning_rate": 0.1, "num_threads": 2, "verbosity": -1, **params}
        return lightgbm.train(settings, lightgbm.Dataset(X, y), trees)

    def save(self, model: Any, path: Path) -> None:
        model.save_model(path)

    def load(self, path: Path) -> Any:
        return lightgbm.Booster(model_file=path)

    def held(self, X: Array) -> dict[str, Any]:
        return orders(X)

    def call(self, model: Any) -> Call:
        return lambda rows: np.asarray(model.predict(rows, raw_score=True, num_threads=1))

    def few(self, model: Any) -> Call:
        library, config, raw, float32 = lightgbm.basic._LIB, ctypes.c_void_p(), 1, 0
        failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
            model._handle, raw, 0, -1, float32, model.num_feature(), b"num_threads=1", ctypes.byref(config)
        )
        if failed:
            raise SystemExit("LightGBM's fast call of a single row cannot be prepared")
        length, found = ctypes.c_int64(), np.empty(1)
        at, count = ctypes.c_void_p(found.ctypes.data), ctypes.byref(length)
        predict = library.LGBM_BoosterPredictForMatSingleRowFast

        def call(row: Array) -> Array:
            predict(config, ctypes.c_void_p(row.ctypes.data), count, at)
            return found.copy()

        return call


class CatBoost:
    """predict of a Pool that is ready: CatBoost's own evaluator; a few rows make their Pool inside the time."""

    suffix, answer = "cbm", "margin"

    def train(self, X: Array, y: Array, trees: int, params: Mapping[str, Any]) -> Any:
        model = catboost.CatBoostClassifier(
            iterations=trees, thread_count=2, random_seed=SEED, allow_writing_files=False, verbose=0, **params
        )
        return model.fit(X, y.astype(int))  # its export to ONNX takes no boolean labels

    def save(self, model: Any, path: Path) -> None:
        model.save_model(str(path))

    def load(self, path: Path) -> Any:
        return catboost.CatBoostClassifier().load_model(str(path))

    def held(self, X: Array) -> dict[str, Any]:
        return {"Pool": catboost.Pool(X)}

    def call(self, model: Any) -> Call:
        return lambda rows: model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)

    few = call


class ScikitLearn:
    """predict_proba of a forest, decision_function of what is boosted."""

    suffix = "skops"

    def __init__(self, estimator: type[Any], answer: str = "margin", count: str = "n_estimators") -> None:
        self.estimator, self.answer, self.count = estimator, answer, count

    def train(self, X: Array, y: Array, trees: int, params: Mapping[str, Any]) -> Any:
        jobs = {"n_jobs": 2} if self.estimator is RandomForestClassifier else {}
        return self.estimator(random_state=SEED, **{self.count: trees}, **jobs, **params).fit(X, y)

    def save(self, model: Any, path: Path) -> None:
        skops.io.dump(model, path)

    def load(self, path: Path) -> Any:
        model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))  # a file that we wrote
        return model.set_params(**({"n_jobs": 1} if "n_jobs" in model.get_params() else {}))

    def held(self, X: Array) -> dict[str, Any]:
        return {"float32": X, "float64": X.astype(np.float64)}

    def call(self, model: Any) -> Call:
        return model.decision_function if self.answer == "margin" else model.predict_proba

    few = call


LIBRARIES: dict[str, Library] = {
    "XGBoost": XGBoost(),
    "LightGBM": LightGBM(),
    "CatBoost": CatBoost(),
    "random forest": ScikitLearn(RandomForestClassifier, "predict_proba"),
    "gradient boosting": ScikitLearn(GradientBoostingClassifier),
    "HistGradientBoosting": ScikitLearn(HistGradientBoostingClassifier, count="max_iter"),
}
