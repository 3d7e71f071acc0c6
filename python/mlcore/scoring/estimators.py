"""From objects in memory to Scorers: Boosters, estimators, Pipelines, and estimators made of others."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from mlcore import models
from mlcore.errors import UnsupportedModel, UsageError
from mlcore.models import Model, TreeEnsemble, onnx, sklearn, sklearn_trees
from mlcore.models.imported import Imported
from mlcore.preprocessing.draft import Draft
from mlcore.preprocessing.features import Feature
from mlcore.preprocessing.sklearn_lower import DENSE, FORMS, Form, Path, lower
from mlcore.scoring import conventions
from mlcore.scoring.composite import Boosted, Calibrated, Calibrator, Composite, Outputs
from mlcore.scoring.scorer import Scorer
from mlcore.scoring.stack import Passed, Stack
from mlcore.scoring.vote import Vote
from mlcore.scoring.whole import Whole, common

Iterations = tuple[int, int] | None


@dataclass(frozen=True)
class Columns:
    """What a model's features come from: raw columns, by name or position, through scikit-learn's transformers."""

    names: tuple[str, ...]
    named: bool
    paths: Mapping[Form, tuple[Path, ...]]
    """How rows of each form get there; a form that the transformers, or mlcore, do not take is left out."""

    def features(self, form: Form) -> tuple[Feature, ...]:
        """The features in order."""
        paths = self.paths[form]
        for path in paths:
            if path.draft.fill is not None:
                raise UnsupportedModel(f"column '{path.draft.column}': its strings are imputed but never encoded")
        return tuple(Feature(p.draft.column, p.draft.column, p.draft.steps, p.accepts) for p in paths)

    def then(self, transformers: Sequence[Any]) -> Columns:
        """The columns after more transformers."""
        found = {DENSE: tuple(lower(transformers, self.paths[DENSE]))}
        for form in (form for form in self.paths if form != DENSE):
            with contextlib.suppress(UnsupportedModel):
                found[form] = tuple(lower(transformers, self.paths[form]))
        return replace(self, paths=found)


@dataclass(frozen=True)
class Importer:
    """Compiles objects with the same options; `columns` stand before the model, None for its own.

    `called` are the names of a matrix's columns, which the model that is fitted on it does not know.
    """

    iterations: Iterations
    missing: float | None
    options: dict[str, Any]
    columns: Columns | None = None
    called: tuple[str, ...] = ()

    def compile(self, model: Any) -> Scorer | Composite:
        """Return the Scorer of a model, or of a composition of several.

        Raises:
            UnsupportedModel: something in it is not imported; named in the message.
        """
        if hasattr(model, "steps") and hasattr(model, "named_steps"):
            return self._pipeline(model)
        if sklearn.is_estimator(model) and type(model).__name__ in _WRAPPERS:
            return self.compile(_wrapped(model))
        composed = _COMPOSED.get(type(model).__name__) if sklearn.is_estimator(model) else None
        if composed is not None:
            sklearn.check(model)
            return composed(self, model)
        return self._each(model, partial(self._single, model))

    def _each(self, model: Any, make: Callable[[Model, dict[str, Any]], Scorer]) -> Scorer | Composite:
        """What `make` makes of a model, or of each output of a classifier that has several."""
        if not (sklearn.is_estimator(model) and sklearn.has_outputs(model)):
            return make(*_read(model, self.iterations, self.missing))
        outputs = [partial(sklearn.read, output=output) for output in range(len(model.classes_))]
        return Outputs(tuple(make(*_read_whole(read, model, self.iterations, self.missing)) for read in outputs))

    def _single(self, model: Any, read: Model, given: dict[str, Any]) -> Scorer:
        if self.columns is None:
            features = tuple(Feature(name, name, ()) for name in self.called or read.feature_names)
            return _scorer(read, features, named=read.named, **given, **self.options)
        if not math.isnan(given["missing"]):
            raise UnsupportedModel(f"missing={given['missing']} after a transformer is not compiled; use NaN")
        _refuse_hashed(read, model)
        columns = self.columns
        if math.isnan(conventions.of(read).absent) and _reaches_sparse(columns.paths[DENSE]):
            raise UnsupportedModel(
                f"{type(model).__name__} takes what its transformers' sparse matrix leaves out for missing; ask for a "
                "dense one: sparse_output=False, sparse_threshold=0"
            )
        told = {
            "named": columns.named,
            "wide": True,
            "transformed": True,
            "inputs": columns.names,
            **given,
            **self.options,
        }
        dense, own = columns.features(DENSE), _of_form(read, columns.paths[DENSE])
        forms: dict[Form, Scorer | None] = {}
        for form in (form for form in columns.paths if form != DENSE):
            features, taken = columns.features(form), _of_form(read, columns.paths[form])
            alike = features == dense and taken.accepts_missing == own.accepts_missing
            forms[form] = None if alike else Scorer(model=taken, features=features, **told)
        return _scorer(own, dense, forms=forms, **told)

    def _pipeline(self, pipeline: Any) -> Scorer | Composite:
        *before, last = [step for _, step in pipeline.steps if step is not None and not _passes(step)]
        if len(before) == 1 and hasattr(before[0], "to_transforms"):
            return self._each(last, partial(self._folded, before[0], last))
        if not before:
            return self.compile(last)
        columns = self.columns or _raw_columns(before[0], self.called)
        return replace(self, columns=columns.then(before)).compile(last)

    def _folded(self, transformer: Any, model: Any, read: Model, given: dict[str, Any]) -> Scorer:
        """mlcore's own transformer before a model; float64, where that is scikit-learn's."""
        if self.columns is not None:
            raise UnsupportedModel("an mlcore ColumnTransformer after another transformer is not compiled")
        if not math.isnan(given["missing"]):
            raise UnsupportedModel(f"missing={given['missing']} after a transformer is not compiled; use NaN")
        _refuse_hashed(read, model)
        if getattr(transformer, "sparse_output", False):
            known = conventions.of(read)
            if math.isnan(known.absent):
                raise UnsupportedModel(
                    f"{type(model).__name__} takes what {type(transformer).__name__}'s sparse matrix leaves out for missing; "
                    "set sparse_output=False"
                )
            if not known.sparse_missing:
                read = replace(read, accepts_missing=False)
        wide = read.source == "sklearn"
        raw = _raw_columns(transformer)
        features = transformer.to_transforms().features
        return _scorer(
            read, features, named=raw.named, wide=wide, transformed=True, inputs=raw.names, **given, **self.options
        )

    def _boosted(self, model: Any) -> Scorer | Composite:
        if sklearn_trees.begins_alike(model):
            return self._each(model, partial(self._single, model))
        start, begin = sklearn_trees.beginning(model)
        trees = copy.copy(model)
        trees.init_ = "zero"
        told = {"predicts": "value", "missing": _missing(start, self.missing)}
        return Boosted((self._single(model.init_, start, told), self._boosted(trees)), begin)

    def _calibrated(self, model: Any) -> Composite:
        parts = []
        for each in model.calibrated_classifiers_:
            if each.method not in ("sigmoid", "isotonic"):
                raise UnsupportedModel(f"CalibratedClassifierCV with method={each.method!r} is not imported")
            asked = "decision_function" if hasattr(each.estimator, "decision_function") else "predict_proba"
            maps = tuple(_calibrator(calibrator) for calibrator in each.calibrators)
            places = tuple(model.classes_.tolist().index(label) for label in each.estimator.classes_.tolist())
            parts.append(Calibrated((self.compile(each.estimator),), asked, maps, places, len(model.classes_)))
        return Vote(tuple(parts), classes=model.classes_, weights=None, soft=True)

    def _vote(self, model: Any) -> Composite:
        classes = getattr(model, "classes_", None)
        return Vote(
            tuple(self.compile(each) for each in model.estimators_),
            classes=classes,
            weights=model._weights_not_none,
            soft=classes is None or model.voting == "soft",
            transformed=self.columns is not None,
        )

    def _stack(self, model: Any) -> Composite:
        classes = getattr(model, "classes_", None)
        if isinstance(classes, list):
            raise UnsupportedModel(f"{type(model).__name__} of several outputs is not imported")
        parts = tuple(self.compile(each) for each in model.estimators_)
        passed = self._passed(model, common([part.whole for part in parts])) if model.passthrough else None
        final = self._last(passed).compile(model.final_estimator_)
        return Stack(parts, tuple(model.stack_method_), final, classes, passed, self.columns is not None)

    def _passed(self, model: Any, whole: Whole) -> Passed:
        kind = "answer"
        while any(name.startswith(kind) for name in whole.names):
            kind += "_"
        answers = tuple(f"{kind}{i}" for i in range(sum(model._n_feature_outs)))
        return Passed(whole, answers, raw=self.columns is not None)

    def _last(self, passed: Passed | None) -> Importer:
        """The importer of a stack's last model."""
        if passed is None:
            return replace(self, columns=None, called=())
        if self.columns is None:
            return replace(self, called=passed.names)
        paths = {
            form: (*(Path(Draft(name), form=form) for name in passed.answers), *found)
            for form, found in self.columns.paths.items()
            if not form.single  # answers may be float32 or not
        }
        return replace(self, columns=Columns(passed.names, self.columns.named, paths))


_COMPOSED = {
    "CalibratedClassifierCV": Importer._calibrated,
    "GradientBoostingClassifier": Importer._boosted,
    "GradientBoostingRegressor": Importer._boosted,
    "StackingClassifier": Importer._stack,
    "StackingRegressor": Importer._stack,
    "VotingClassifier": Importer._vote,
    "VotingRegressor": Importer._vote,
}


_WRAPPERS = {
    "FrozenEstimator": "estimator",
    "GridSearchCV": "best_estimator_",
    "HalvingGridSearchCV": "best_estimator_",
    "HalvingRandomSearchCV": "best_estimator_",
    "RandomizedSearchCV": "best_estimator_",
}


def _wrapped(model: Any) -> Any:
    """The estimator whose answers a search or a frozen estimator gives."""
    kind = type(model).__name__
    found = getattr(model, _WRAPPERS[kind], None)
    if found is None:
        raise UsageError(f"{kind} has no {_WRAPPERS[kind]}; call fit first, with refit=True")
    return found


def _refuse_hashed(read: Model, model: Any) -> None:
    """Refuse categories that are known by their hashes where transformers stand before the model."""
    if conventions.of(read).hashes_categories and any(stored is not None for stored in read.stored_categories):
        raise UnsupportedModel(
            f"{type(model).__name__} has categorical features, which are compiled without transformers before it only"
        )


def _reaches_sparse(paths: Sequence[Path]) -> bool:
    """Whether a model gets what these paths lead to in a sparse matrix."""
    return any(path.form.sparse for path in paths)


def _of_form(read: Model, paths: Sequence[Path]) -> Model:
    """The model as it takes a matrix of that form: scikit-learn's trees take no missing value in a sparse one."""
    dense = conventions.of(read).sparse_missing or not _reaches_sparse(paths)
    return read if dense else replace(read, accepts_missing=False)


def _passes(step: Any) -> bool:
    return isinstance(step, str) and step == "passthrough"


def _raw_columns(first: Any, called: tuple[str, ...] = ()) -> Columns:
    """The columns that the first transformer was fitted on; `called` so, where it knows no names."""
    if not hasattr(first, "n_features_in_"):
        raise UnsupportedModel(f"{type(first).__name__} says nothing of the columns it was fitted on; call fit first")
    known = getattr(first, "feature_names_in_", None)
    unnamed = called or tuple(f"f{i}" for i in range(first.n_features_in_))
    names = tuple(map(str, known)) if known is not None else unnamed
    paths = {form: tuple(Path(Draft(name), form=form) for name in names) for form in FORMS}
    return Columns(names, known is not None, paths)


def _calibrator(calibrator: Any) -> Calibrator:
    if hasattr(calibrator, "a_"):
        return Calibrator(slope=float(calibrator.a_), intercept=float(calibrator.b_))
    if calibrator.out_of_bounds != "clip":
        raise UnsupportedModel(f"isotonic calibration with out_of_bounds={calibrator.out_of_bounds!r} is not imported")
    return Calibrator(knots=calibrator.X_thresholds_, values=calibrator.y_thresholds_)


def _read(model: Any, iterations: tuple[int, int] | None, missing: float | None) -> tuple[Model, dict[str, Any]]:
    """The model in neutral form, what stands for a missing value, and what the source's `predict` gives."""
    fitted = getattr(model, "__sklearn_is_fitted__", None)  # of XGBoost's and LightGBM's wrappers too
    if fitted is not None and not fitted():
        raise UsageError(f"{type(model).__name__} is not fitted; call fit first")
    if sklearn.is_estimator(model):
        return _read_whole(sklearn.read, model, iterations, missing)
    if models.is_catboost(model):
        return _read_catboost(model, iterations, missing)
    if onnx.is_source(model):
        return _read_whole(onnx.read, model, iterations, missing)
    if hasattr(model, "booster_"):
        return _read_lightgbm(model, iterations, missing)
    if not hasattr(model, "get_booster"):
        read = models.read(model, iterations=iterations)
        return read, {"predicts": "value", "missing": _missing(read, missing)}
    if missing is None:
        missing = model.missing if getattr(model, "missing", None) is not None else math.nan
    booster = model.get_booster()
    best = booster.attributes().get("best_iteration")
    if best is not None and (iterations is None or iterations[1] == 0):  # the wrappers stop there by themselves
        iterations = (0, int(best) + 1)
    if model.booster == "gblinear":
        iterations = None
    predicts = "label" if hasattr(model, "predict_proba") else "value"
    return models.read(booster, iterations=iterations), {"predicts": predicts, "missing": float(missing)}


_STOPS_EARLY = ("binary", "lambdarank", "multiclass", "multiclassova", "rank_xendcg")
"""LightGBM's objectives that need no accurate sums, so that only theirs may stop at `pred_early_stop_margin`. No model's text
holds such settings, and a Booster takes them from the arguments of `predict` alone; the wrappers hand them on."""


def _read_lightgbm(
    model: Any, iterations: tuple[int, int] | None, missing: float | None
) -> tuple[Model, dict[str, Any]]:
    """As `_read`, of LightGBM's scikit-learn wrappers; its Booster stops at its best iteration by itself."""
    read = models.read(model.booster_, iterations=iterations)
    if model.get_params().get("pred_early_stop") and read.objective in _STOPS_EARLY:
        raise UnsupportedModel(
            "pred_early_stop=True leaves trees out row by row; set it to False to compile the model, or compile its "
            "booster_, which takes no notice of it"
        )
    labels = hasattr(model, "classes_") and not callable(model.objective_)
    given = {"predicts": "label", "classes": np.asarray(model.classes_)} if labels else {"predicts": "value"}
    return read, {**given, "missing": _missing(read, missing)}


def _read_catboost(
    model: Any, iterations: tuple[int, int] | None, missing: float | None
) -> tuple[Model, dict[str, Any]]:
    """As `_read`, of CatBoost's classes: classifiers give labels, regressors values, others margins."""
    read = models.read(model, iterations=iterations)
    assert isinstance(read, TreeEnsemble)
    given: dict[str, Any] = {"predicts": "margin", "missing": _missing(read, missing)}
    if not hasattr(model, "predict_proba"):
        regressor = any(base.__name__ == "CatBoostRegressor" for base in type(model).__mro__)
        return read, {**given, "predicts": "value" if regressor else "margin"}
    above = _above(model.get_probability_threshold())
    if read.objective in ("MultiLogloss", "MultiCrossEntropy"):
        return read, {**given, "predicts": "labels", "cutoff": above}
    classes = np.asarray(model.classes_)
    if classes.dtype.kind == "U":
        classes = classes.astype(object)
    if read.n_outputs > 1:
        return read, {**given, "predicts": "label", "classes": classes[:, None], "cutoff": 0.0}
    return read, {**given, "predicts": "label", "classes": classes, "cutoff": above}


def _above(threshold: float) -> float:
    """The lowest margin whose probability CatBoost takes to be above a threshold."""
    with np.errstate(divide="ignore"):
        return math.nextafter(float(-np.log(1 / np.float64(threshold) - 1)), math.inf)


def _missing(read: Model, missing: float | None) -> float:
    """The number that stands for a missing value; NaN where there is none."""
    if missing is not None and read.source == "catboost":
        raise UsageError("missing= is XGBoost's; a CatBoost model says itself how each feature's NaN counts")
    if missing is not None and read.source == "lightgbm":
        raise UsageError("missing= is XGBoost's; a LightGBM model says itself whether 0 is missing beside NaN")
    return math.nan if missing is None else missing


def _read_whole(
    read: Callable[[Any], Imported], model: Any, iterations: tuple[int, int] | None, missing: float | None
) -> tuple[Model, dict[str, Any]]:
    if iterations not in (None, (0, 0)):
        raise UsageError("iteration_range is for Boosters; a scikit-learn estimator or an ONNX model is scored whole")
    found = read(model)
    return found.model, {
        "predicts": "value" if found.classes is None else "label",
        "missing": _missing(found.model, missing),
        "classes": found.classes,
        "cutoff": found.cutoff,
        "flat": found.flat,
    }


def _scorer(model: Model, features: tuple[Feature, ...], **given: Any) -> Scorer:
    told = {name: repr(given.get(name)) for name in ("missing", "named", "wide", "transformed", "inputs")}
    told |= {repr(form): repr(other and other.features) for form, other in given.get("forms", {}).items()}
    return Scorer(model=model, features=features, digest=_digest(model, features, told), **given)


def _digest(model: Model, features: tuple[Feature, ...], told: dict[str, str]) -> str:
    """What scores depend on: jobs of equal digests take each other's files for their own."""
    table, hashed = model.to_arrow(), _Hashed()
    with pa.PythonFile(hashed, mode="w") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    hashed.digest.update(repr((features, told)).encode())
    return hashed.digest.hexdigest()


class _Hashed(io.RawIOBase):
    """Hashes what is written, and keeps none of it."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return len(data)
