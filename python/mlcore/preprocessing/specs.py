"""Feature specs: what `[[features]]` in mlcore.toml asks for, before it is fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from mlcore.errors import ConfigError

Strategy = Literal["mean", "median", "most_frequent", "constant"]


@dataclass(frozen=True)
class Impute:
    """Fill missing values with a statistic of the column, or with `value` ("constant")."""

    strategy: Strategy = "median"
    value: float | str | None = None


@dataclass(frozen=True)
class Scale:
    """Shift to mean 0 and scale to variance 1."""


@dataclass(frozen=True)
class MinMax:
    """Scale to [0, 1] over the range seen in training."""


@dataclass(frozen=True)
class Limit:
    """Limit to [low, high]."""

    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class OneHot:
    """One 0/1 feature a category, and one for missing where training has missing values."""


@dataclass(frozen=True)
class Ordinal:
    """The category's place in ascending order; unknown and missing are NaN."""


@dataclass(frozen=True)
class Target:
    """The category's mean of the target, smoothed towards the mean of all; cross-fitted in training."""

    smooth: float | Literal["auto"] = "auto"


StepSpec = Impute | Scale | MinMax | Limit | OneHot | Ordinal | Target

_KINDS: Final[dict[str, type[StepSpec]]] = {
    "impute": Impute,
    "scale": Scale,
    "min-max": MinMax,
    "clip": Limit,
    "one-hot": OneHot,
    "ordinal": Ordinal,
    "target": Target,
}
_ENCODERS: Final = (OneHot, Ordinal, Target)


def name_of(step: StepSpec) -> str:
    """Return the name that mlcore.toml gives the step."""
    return next(name for name, kind in _KINDS.items() if kind is type(step))


@dataclass(frozen=True)
class FeatureSpec:
    """Columns that get the same steps."""

    columns: tuple[str, ...]
    steps: tuple[StepSpec, ...] = ()


def parse_features(tables: Sequence[Mapping[str, Any]]) -> tuple[FeatureSpec, ...]:
    """Return the `[[features]]` tables of mlcore.toml as specs.

    Raises:
        ConfigError: a key, step or option that is unknown or has no meaning; the message names its table.

    """
    if not tables:
        raise ConfigError("[[features]]: at least one is needed")
    return tuple(_feature(table, f"[[features]] number {i}") for i, table in enumerate(tables, 1))


def _feature(table: Mapping[str, Any], where: str) -> FeatureSpec:
    _known(table, ("columns", "steps"), where)
    columns = table.get("columns")
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise ConfigError(f"{where}: 'columns' must be a list of one or more column names")
    steps = table.get("steps", [])
    if not isinstance(steps, list):
        raise ConfigError(f"{where}: 'steps' must be a list")
    parsed = tuple(_step(item, where) for item in steps)
    _check_order(parsed, where)
    return FeatureSpec(tuple(columns), parsed)


def _check_order(steps: tuple[StepSpec, ...], where: str) -> None:
    encoders = [i for i, step in enumerate(steps) if isinstance(step, _ENCODERS)]
    if len(encoders) > 1:
        raise ConfigError(f"{where}: only one of one-hot, ordinal and target can stand in 'steps'")
    before = steps[: encoders[0]] if encoders else ()
    if any(not isinstance(step, Impute) or step.strategy in ("mean", "median") for step in before):
        raise ConfigError(
            f"{where}: before {name_of(steps[encoders[0]])} only an impute by most_frequent or constant can stand"
        )
    if encoders and isinstance(steps[encoders[0]], OneHot) and encoders[0] != len(steps) - 1:
        raise ConfigError(f"{where}: one-hot must be the last step")


def _step(item: Any, where: str) -> StepSpec:
    options = {"step": item} if isinstance(item, str) else item
    if not isinstance(options, Mapping) or not isinstance(options.get("step"), str):
        raise ConfigError(f'{where}: a step is a name or a table such as {{step = "target", smooth = 20}}')
    name = options["step"]
    kind = _KINDS.get(name)
    if kind is None:
        raise ConfigError(f"{where}: unknown step '{name}'; known: {', '.join(_KINDS)}")
    where = f"{where}, step '{name}'"
    _known(options, ("step", *kind.__dataclass_fields__), where)
    given: dict[str, Any] = {key: value for key, value in options.items() if key != "step"}
    step = kind(**given)
    _check_options(step, where)
    return step


def _check_options(step: StepSpec, where: str) -> None:
    match step:
        case Impute(strategy, value):
            if strategy not in get_args(Strategy):
                raise ConfigError(f"{where}: strategy must be one of {', '.join(get_args(Strategy))}")
            if (strategy == "constant") == (value is None):
                raise ConfigError(f"{where}: 'value' belongs to strategy = \"constant\", which needs it")
            if not (value is None or isinstance(value, str) or _is_number(value)):
                raise ConfigError(f"{where}: 'value' must be a number or a string")
        case Limit(low, high):
            if not (_is_number(low) and _is_number(high) and low <= high):
                raise ConfigError(f"{where}: 'low' and 'high' must be numbers, low at most high")
        case Target(smooth):
            if smooth != "auto" and not (_is_number(smooth) and 0 <= float(smooth) < math.inf):
                raise ConfigError(f"{where}: 'smooth' must be \"auto\" or a number of rows, 0 or more")
        case _:
            pass


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(table: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in table:
        if key not in keys:
            raise ConfigError(f"{where}: unknown key '{key}'; known: {', '.join(keys)}")
