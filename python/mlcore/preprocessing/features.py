"""Transforms: fitted features in a neutral form, from raw Arrow columns to a model's float32 matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from mlcore import ops
from mlcore.data.tables import Column, column
from mlcore.errors import ModelFormatError, SchemaMismatch, UsageError
from mlcore.preprocessing.stepjson import step_from_json, step_to_json
from mlcore.preprocessing.steps import (
    Affine,
    Array,
    Clip,
    Fill,
    Indicator,
    Lookup,
    Match,
    Narrow,
    Step,
    Times,
    evaluate,
    evaluate_categories,
    takes_categories,
)

if TYPE_CHECKING:
    from mlcore.backend import Backend

__all__ = [
    "Affine",
    "Clip",
    "Feature",
    "Fill",
    "Indicator",
    "Lookup",
    "Match",
    "Narrow",
    "Step",
    "Times",
    "Transforms",
    "evaluate",
    "evaluate_categories",
]

FORMAT: Final = 1
MANY_ROWS: Final = 4096  # below, the kernels' calls cost more than NumPy's temporaries


@dataclass(frozen=True)
class Feature:
    """One model input: a raw column and the steps from it to the number; a category step comes first.

    `accepts`: the only categories that are no error, None among them where a missing one is none.
    """

    name: str
    column: str
    steps: tuple[Step, ...]
    accepts: tuple[str | float | None, ...] | None = None

    def __post_init__(self) -> None:
        for step in self.steps[1:]:
            if isinstance(step, Lookup | Indicator | Match):
                raise UsageError(f"feature '{self.name}': {type(step).__name__} must be the first step")


@dataclass(frozen=True)
class Transforms:
    """The features of a model, in its order."""

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise UsageError(f"feature '{twice}' stands twice")

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that are read, in the order of first use."""
        return tuple(dict.fromkeys(feature.column for feature in self.features))

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in the model's order."""
        return tuple(feature.name for feature in self.features)

    def apply(self, batch: pa.RecordBatch | pa.Table, *, backend: Backend | None = None) -> Array:
        """Return the features as float32, (rows, features) in C order; missing is NaN unless a step fills it.

        Each raw column is decoded once; of a string column only the dictionary is translated, never the rows.
        The result is the same, to the last bit, for any cut into batches and any backend.

        Raises:
            SchemaMismatch: a column is absent, holds strings that no step turns into numbers, or the reverse.

        """
        out = np.empty((batch.num_rows, len(self.features)), np.float32)
        start = 0
        for part in [batch] if isinstance(batch, pa.RecordBatch) else batch.to_batches():
            self._write(part, out[start : start + part.num_rows], backend)
            start += part.num_rows
        return out

    def _write(self, batch: pa.RecordBatch, out: Array, backend: Backend | None) -> None:
        for name in self.columns:
            places = [i for i, feature in enumerate(self.features) if feature.column == name]
            features = [self.features[i] for i in places]
            raw = column(batch, name)
            check_kind(features, strings=raw.dictionary is not None)
            if raw.dictionary is not None:
                out[:, places] = _from_strings(features, raw)
            else:
                for place, feature in zip(places, features, strict=True):
                    out[:, place] = _from_numbers(feature.steps, raw, backend)

    def to_json(self) -> dict[str, object]:
        """Return a JSON-ready form from which `from_json` gives the same numbers to the last bit."""
        return {"format": FORMAT, "features": [_feature_to_json(feature) for feature in self.features]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Transforms:
        """Return the transforms that `to_json` wrote.

        Raises:
            ModelFormatError: the data is malformed, or of a format that this version does not read.

        """
        if data.get("format") != FORMAT:
            raise ModelFormatError(f"transforms: format {data.get('format')}, this version reads {FORMAT}")
        try:
            return Transforms(tuple(_feature_from_json(item) for item in data["features"]))
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise ModelFormatError(f"transforms are malformed: {error!r}") from error


def _feature_to_json(feature: Feature) -> dict[str, Any]:
    steps = [step_to_json(step) for step in feature.steps]
    accepts = {} if feature.accepts is None else {"accepts": list(feature.accepts)}
    return {"name": feature.name, "column": feature.column, "steps": steps, **accepts}


def _feature_from_json(item: Mapping[str, Any]) -> Feature:
    steps = tuple(step_from_json(step) for step in item["steps"])
    accepts = tuple(item["accepts"]) if "accepts" in item else None
    return Feature(str(item["name"]), str(item["column"]), steps, accepts)


def check_kind(features: Sequence[Feature], *, strings: bool) -> None:
    """Raise SchemaMismatch unless the features of a raw column read the kind of values that it holds."""
    for feature in features:
        first = feature.steps[0] if feature.steps else None
        if strings and not isinstance(first, Lookup | Indicator):
            raise SchemaMismatch(
                f"column '{feature.column}' holds strings and feature '{feature.name}' has no step that turns them"
                " into numbers; add one-hot, ordinal or target"
            )
        if not strings and takes_categories(feature.steps):
            raise SchemaMismatch(
                f"column '{feature.column}' holds numbers and feature '{feature.name}' expects strings"
            )


def _from_strings(features: Sequence[Feature], raw: Column) -> Array:
    """One row of numbers a dictionary entry, and a last one for missing; rows only pick theirs."""
    names, codes = string_rows(raw)
    table = np.empty((len(names) + 1, len(features)), np.float32)
    for j, feature in enumerate(features):
        table[:-1, j], _, table[-1, j] = evaluate_categories(feature.steps, names)
    return table[codes]


def _from_numbers(steps: Sequence[Step], raw: Column, backend: Backend | None) -> Array:
    few = len(raw.values) < MANY_ROWS
    found = evaluate(steps, raw.values) if few else _run(steps, raw.values, backend)
    missing = missing_rows(raw)
    if missing is not None:
        found[missing] = evaluate(steps, np.array([np.nan]))[0]
    return found


def _run(steps: Sequence[Step], values: Array, backend: Backend | None) -> Array:
    """Return what `evaluate` does, bit for bit, in one buffer instead of one a step."""
    if not steps or isinstance(steps[0], Indicator | Match):
        return evaluate(steps, values)
    x = values.astype(np.float64)
    for step in steps:
        match step:
            case Fill(value):
                ops.fill(x, value, x, backend=backend)
            case Affine(center, scale):
                ops.affine(x, center, scale, x, backend=backend)
            case Times(factor, shift):
                x = x * factor + shift
            case Clip(low, high):
                ops.clip(x, low, high, x, backend=backend)
            case Narrow():
                with np.errstate(over="ignore"):
                    x = x.astype(np.float32).astype(np.float64)
    with np.errstate(over="ignore"):
        return x.astype(np.float32)


def string_rows(raw: Column) -> tuple[list[str], Array]:
    """Return the distinct strings of a column's dictionary and each row's place in them; missing is one past."""
    assert raw.dictionary is not None
    entries = raw.dictionary.to_pylist()
    place: dict[str, int] = {}
    places = [place.setdefault(entry, len(place)) for entry in entries]
    codes = raw.values if len(place) == len(entries) else np.array(places, np.int32)[raw.values]
    missing = missing_rows(raw)
    return list(place), codes if missing is None else np.where(missing, len(place), codes)


def missing_rows(raw: Column) -> Array | None:
    """Return a mask of a column's null rows, or None where it has no nulls; NaN is not counted."""
    if raw.validity is None:
        return None
    bits = np.unpackbits(np.asarray(raw.validity), bitorder="little")
    missing: Array = bits[raw.offset : raw.offset + len(raw.values)] == 0
    return missing
