"""Steps as JSON: floats come back to the last bit; NaN and infinities, which JSON lacks, are strings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlcore.errors import ModelFormatError
from mlcore.preprocessing.steps import Affine, Clip, Fill, Indicator, Lookup, Match, Narrow, Step, Times


def step_to_json(step: Step) -> dict[str, Any]:
    """Return {"step": its name, …its fields}; finite floats as their shortest exact digits."""
    fields = {name: _write(value) for name, value in vars(step).items()}
    return {"step": type(step).__name__.lower(), **fields}


def step_from_json(item: Mapping[str, Any]) -> Step:
    """Return the step that `step_to_json` wrote; KeyError or ValueError where it is malformed.

    Raises:
        ModelFormatError: a kind of step that this version does not know.

    """
    match item["step"]:
        case "indicator":
            category = item["category"]
            return Indicator(None if category is None else str(category))
        case "lookup":
            return Lookup(
                tuple(map(str, item["categories"])),
                _read_all(item["table"]),
                _read(item["unknown"]),
                _read(item["missing"]),
            )
        case "fill":
            return Fill(_read(item["value"]))
        case "affine":
            return Affine(_read(item["center"]), _read(item["scale"]))
        case "times":
            return Times(_read(item["factor"]), _read(item["shift"]))
        case "match":
            return Match(
                _read_all(item["values"]),
                _read_all(item["table"]),
                _read(item["unknown"]),
                _read(item["missing"]),
            )
        case "narrow":
            return Narrow()
        case "clip":
            return Clip(_read(item["low"]), _read(item["high"]))
    raise ModelFormatError(f"transforms: unknown step {item['step']!r}; written by a newer mlcore?")


def _write(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _read(value: Any) -> float:
    return _read_all([value])[0]


def _read_all(values: Sequence[Any]) -> tuple[float, ...]:
    """The numbers; every NaN is the same one."""
    numbers = tuple(map(float, values))
    if any(map(math.isnan, numbers)):
        return tuple(math.nan if math.isnan(number) else number for number in numbers)
    return numbers
