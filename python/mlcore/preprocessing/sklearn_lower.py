"""Lowering of scikit-learn's own fitted transformers to steps; nothing here imports scikit-learn.

They compute in float64 on float64 rows. On float32 rows they round to float32 after each operation, and StandardScaler its
statistics before; a sparse matrix is scaled by reciprocals. Each is another number, and so another chain of steps.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.preprocessing.draft import Draft
from mlcore.preprocessing.steps import Affine, Array, Clip, Fill, Indicator, Lookup, Match, Narrow, Step, Times

Category = str | float | None


@dataclass(frozen=True)
class Form:
    """How the library holds rows of numbers: as float32, which it then computes in, and in a sparse matrix."""

    single: bool = False
    sparse: bool = False


NEWEST: Final = (1, 9)  # scikit-learn whose arithmetic in float32 is known
DENSE: Final = Form()
FORMS: Final = (DENSE, Form(single=True), Form(sparse=True), Form(single=True, sparse=True))


@dataclass(frozen=True)
class Path:
    """A raw column on its way: its draft, the only categories that are no error, and the form of the rows so far."""

    draft: Draft
    accepts: tuple[Category, ...] | None = None
    form: Form = DENSE

    def then(self, *steps: Step) -> Path:
        """Return the path with more operations on a number, each rounded as the form is."""
        if self.form.single:
            steps = tuple(each for step in steps for each in (step, Narrow()))
        draft = self.draft
        for step in steps:
            draft = draft.then(step)
        return replace(self, draft=draft)


def lower(steps: Sequence[Any], paths: Sequence[Path]) -> list[Path]:
    """Return one path an output of fitted transformers that run one after the other.

    Raises:
        UnsupportedModel: a transformer, or a setting of one, that has no neutral form; named in the message.
    """
    for step in steps:
        if _does_nothing(step):
            continue
        kind = type(step).__name__
        if not type(step).__module__.startswith("sklearn.") or kind not in _LOWERED:
            if hasattr(step, "to_transforms"):
                raise UnsupportedModel(
                    f"mlcore's {kind} beside another transformer is not compiled; put them into one mlcore ColumnTransformer"
                )
            known = ", ".join(_LOWERED)
            raise UnsupportedModel(f"transformer {kind} has no neutral form; of scikit-learn these have: {known}")
        if kind not in _TAKES_SPARSE and any(path.form.sparse for path in paths):
            raise UnsupportedModel(f"{kind} of a sparse matrix is not imported; ask its maker for a dense one")
        if len(paths) != step.n_features_in_:
            raise UnsupportedModel(f"{kind} was fitted on {step.n_features_in_} columns, {len(paths)} arrive")
        paths = _of_one_form(paths)
        if paths and paths[0].form.single and kind in _COMPUTES and _version() > NEWEST:
            raise UnsupportedModel(f"{kind} of float32 is not known of a scikit-learn newer than 1.9")
        paths = _LOWERED[kind](step, paths)
    return list(paths)


def _of_one_form(paths: Sequence[Path]) -> list[Path]:
    """The paths as they arrive in one matrix: of float32 if all are."""
    single, sparse = all(path.form.single for path in paths), any(path.form.sparse for path in paths)
    return [replace(path, form=Form(single, sparse)) for path in paths]


def _does_nothing(step: Any) -> bool:
    if step is None or isinstance(step, str):
        return step is None or step == "passthrough"
    return type(step).__name__ == "FunctionTransformer" and step.func is None


def _pipeline(pipeline: Any, paths: Sequence[Path]) -> list[Path]:
    return lower([step for _, step in pipeline.steps], paths)


def _column_transformer(transformer: Any, paths: Sequence[Path]) -> list[Path]:
    if transformer.transformer_weights is not None:
        raise UnsupportedModel("ColumnTransformer with transformer_weights is not imported")
    found: list[Path] = []
    for name, step, _ in transformer.transformers_:
        places = transformer._transformer_to_input_indices[name]
        if len(places) and not (isinstance(step, str) and step == "drop"):
            found += lower([step], [paths[place] for place in places])
    sparse = bool(transformer.sparse_output_)
    return [replace(path, form=replace(path.form, sparse=sparse)) for path in found]


def _standard(scaler: Any, paths: Sequence[Path]) -> list[Path]:
    center, scale = scaler.mean_ if scaler.with_mean else None, scaler.scale_
    if paths[0].form == Form(single=True) and _version() >= (1, 8):  # before, it computed with the numbers as they are
        with np.errstate(over="ignore"):
            center, scale = (None if each is None else np.asarray(each).astype(np.float32) for each in (center, scale))
    return _affine(scaler, paths, center, scale)


def _version() -> tuple[int, ...]:
    """Of scikit-learn, which a transformer in memory has brought."""
    return tuple(int(part) for part in sys.modules["sklearn"].__version__.split(".")[:2])


def _robust(scaler: Any, paths: Sequence[Path]) -> list[Path]:
    center = None if paths[0].form.sparse else scaler.center_  # which it does not take off a sparse matrix
    return _affine(scaler, paths, center, scaler.scale_)


def _max_abs(scaler: Any, paths: Sequence[Path]) -> list[Path]:
    if getattr(scaler, "clip", False):
        raise UnsupportedModel("MaxAbsScaler with clip=True is not imported")
    return _affine(scaler, paths, None, scaler.scale_)


def _affine(scaler: Any, paths: Sequence[Path], center: Array | None, scale: Array | None) -> list[Path]:
    form, count = paths[0].form, len(paths)
    if form.sparse and center is not None:
        raise UnsupportedModel(f"{type(scaler).__name__} of a sparse matrix cannot center it")
    centers = np.zeros(count) if center is None else _finite(scaler, center)
    scales = np.ones(count) if scale is None else _finite(scaler, scale)
    if not np.all(scales):
        raise UnsupportedModel(f"{type(scaler).__name__}: a scale is 0 in float32")
    if form == DENSE:
        return [path.then(Affine(float(c), float(s))) for path, c, s in zip(paths, centers, scales, strict=True)]
    found = list(paths)
    if center is not None:
        found = [path.then(Affine(float(c), 1.0)) for path, c in zip(found, centers, strict=True)]
    if scale is not None and form.sparse:
        found = [path.then(Times(float(f), 0.0)) for path, f in zip(found, _finite(scaler, 1 / scale), strict=True)]
    elif scale is not None:
        found = [path.then(Affine(0.0, float(s))) for path, s in zip(found, scales, strict=True)]
    return found


def _min_max(scaler: Any, paths: Sequence[Path]) -> list[Path]:
    factors, shifts = _finite(scaler, scaler.scale_), _finite(scaler, scaler.min_)
    single = paths[0].form.single
    scaled = [
        path.then(Times(float(f), 0.0), Times(1.0, float(s))) if single else path.then(Times(float(f), float(s)))
        for path, f, s in zip(paths, factors, shifts, strict=True)
    ]
    if not scaler.clip:
        return scaled
    low, high = np.asarray(scaler.feature_range, np.float32 if single else np.float64).tolist()
    return [path.then(Clip(low, high)) for path in scaled]


def _finite(scaler: Any, values: Array) -> Array:
    """A column without any value in training has no statistics, and all of it becomes missing."""
    if not np.all(np.isfinite(values)):
        raise UnsupportedModel(f"{type(scaler).__name__}: a column had no values in training, or infinite ones")
    return np.asarray(values, np.float64)


def _imputer(imputer: Any, paths: Sequence[Path]) -> list[Path]:
    marker = imputer.missing_values
    if not (marker is None or (isinstance(marker, float) and math.isnan(marker)) or type(marker).__name__ == "NAType"):
        raise UnsupportedModel(f"SimpleImputer with missing_values={marker!r} is not imported; only NaN is")
    single = paths[0].form.single
    if single and imputer.statistics_.dtype == object:  # it may make objects of numbers as well
        raise UnsupportedModel("SimpleImputer that was fitted on objects is not imported for float32")
    filled = []
    for path, statistic in zip(paths, imputer.statistics_, strict=True):
        if isinstance(statistic, str):
            if path.draft.steps:
                raise UnsupportedModel(f"column '{path.draft.column}': strings for missing numbers are not imported")
            filled.append(replace(path, draft=replace(path.draft, fill=statistic)))
        elif not _is_missing(statistic):
            kind = getattr(imputer, "_fill_dtype", imputer.statistics_.dtype)  # newer versions: what fit read
            value = np.asarray(statistic).astype(kind)
            step = Fill(float(value.astype(np.float32) if single else value))
            filled.append(replace(path, draft=path.draft.then(step)))
        elif imputer.keep_empty_features:
            raise UnsupportedModel(f"column '{path.draft.column}' had no values in training and is kept as empty")
    indicator = imputer.indicator_
    return filled + ([] if indicator is None else [_asked(paths[place]) for place in indicator.features_])


def _asked(path: Path) -> Path:
    return replace(path, draft=path.draft.coded(Indicator(None)))


def _one_hot(encoder: Any, paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    dropped = encoder._drop_idx_after_grouping
    for column, (path, known) in enumerate(zip(paths, encoder.categories_, strict=True)):
        categories, refused = _read(path, known), encoder.handle_unknown == "error"
        places, rest = _places(encoder, column, len(categories))
        unknown = rest if encoder.handle_unknown in ("infrequent_if_exist", "warn") else None
        for place in sorted(set(places)):
            if dropped is None or place != dropped[column]:
                table = [float(each == place) for each in places]
                found.append(_coded(path, categories, table, float(place == unknown), refused))
    form = replace(_encoded(encoder, paths[0].form), sparse=bool(encoder.sparse_output))
    return [replace(path, form=form) for path in found]


def _ordinal(encoder: Any, paths: Sequence[Path]) -> list[Path]:
    refused = encoder.handle_unknown == "error"
    unknown = math.nan if refused else float(encoder.unknown_value)
    found = []
    for column, (path, known) in enumerate(zip(paths, encoder.categories_, strict=True)):
        categories = _read(path, known)
        places, _ = _places(encoder, column, len(categories))
        table = [float(place) for place in places]
        if column in encoder._missing_indices:  # of NaN, the last category; None is one as any other
            table = [*table[: len(categories) - 1], float(encoder.encoded_missing_value)]
        found.append(_coded(path, categories, table, unknown, refused))
    return [replace(path, form=_encoded(encoder, paths[0].form)) for path in found]


def _encoded(encoder: Any, read: Form) -> Form:
    """The form of what an encoder gives; integers and booleans so narrow that float32 beside them stays it are refused."""
    given = np.dtype(encoder.dtype)
    narrow = given != np.float32 and np.result_type(given, np.float32) == np.float32
    if given == np.float16 or (narrow and read.single):
        raise UnsupportedModel(f"{type(encoder).__name__} with dtype={given} is not imported; ask for float64")
    return Form(single=given == np.float32)


def _places(encoder: Any, column: int, count: int) -> tuple[list[int], int | None]:
    """The place of each of a column's categories, and the one that its infrequent categories share, if there are any."""
    shared = encoder._default_to_infrequent_mappings[column] if encoder._infrequent_enabled else None
    return (list(range(count)), None) if shared is None else (shared.tolist(), int(shared.max()))


def _read(path: Path, known: Any) -> list[Category]:
    """An encoder's categories: strings or numbers, and None for the missing one."""
    values = [None if _is_missing(value) else value for value in np.asarray(known).tolist()]
    present = [value for value in values if value is not None]
    where = f"column '{path.draft.column}'"
    if len(values) - len(present) > 1:
        raise UnsupportedModel(f"{where} has both None and NaN among its categories; make them one")
    if path.draft.fill is not None and None in values:
        raise UnsupportedModel(f"{where} has a missing category although it is imputed; make None and NaN one")
    if all(isinstance(value, str) for value in present):
        return list(values)
    if all(isinstance(value, int | float) and abs(value) < 2**53 for value in present):
        return [None if value is None else float(value) for value in values]
    raise UnsupportedModel(f"{where} has categories that are neither strings nor numbers within 2^53")


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType"


def _coded(path: Path, categories: list[Category], table: list[float], unknown: float, refused: bool) -> Path:
    """The path with each category's number; a missing value is its own category, or an unknown one."""
    numbers = dict(zip(categories, table, strict=True))
    present = [category for category in categories if category is not None]
    missing = numbers.get(None, unknown)
    accepts: tuple[Category, ...] | None = tuple(categories) if refused else None
    draft = path.draft
    if present and not isinstance(present[0], str):
        values = [float(category) for category in present]
        if draft.steps and all(isinstance(step, Fill) for step in draft.steps):
            first = draft.steps[0]
            assert isinstance(first, Fill)
            missing = numbers.get(first.value, unknown)
            accepts = _with_filled(accepts, first.value)
            draft = Draft(draft.column)
        order = sorted(values)
        match = Match(tuple(order), tuple(numbers[value] for value in order), unknown, missing)
        return Path(draft.coded(match), accepts)
    names = tuple(str(category) for category in present)
    accepts = _with_filled(accepts, draft.fill)
    return Path(draft.coded(Lookup(names, tuple(numbers[name] for name in names), unknown, missing)), accepts)


def _with_filled(accepts: tuple[Category, ...] | None, fill: Category) -> tuple[Category, ...] | None:
    """A missing value is no error where what fills it is none."""
    return (*accepts, None) if accepts is not None and fill is not None and fill in accepts else accepts


_COMPUTES: Final = {"MaxAbsScaler", "MinMaxScaler", "RobustScaler", "StandardScaler"}
_TAKES_SPARSE: Final = {
    "ColumnTransformer",
    "MaxAbsScaler",
    "Pipeline",
    "RobustScaler",
    "SimpleImputer",
    "StandardScaler",
}
_LOWERED: Final[dict[str, Callable[[Any, Sequence[Path]], list[Path]]]] = {
    "ColumnTransformer": _column_transformer,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _ordinal,
    "Pipeline": _pipeline,
    "RobustScaler": _robust,
    "SimpleImputer": _imputer,
    "StandardScaler": _standard,
}
