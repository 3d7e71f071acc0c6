"""mlcore.toml: what a project is, checked key by key; a mistake is named with its table and the nearest right word."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from mlcore.errors import ConfigError
from mlcore.lifecycle.gates import Gate
from mlcore.lifecycle.gates import parse as parse_gates
from mlcore.preprocessing.specs import FeatureSpec, parse_features
from mlcore.records.names import MODEL_NAME

FILE: Final = "mlcore.toml"
PARTITIONS: Final = ("year", "month", "day")
# What evaluation measures, of a classifier and of a regression: the words gates may use.
METRICS: Final = ("auc", "log_loss", "brier", "calibration_error", "base_rate", "rows", "rmse", "mae", "r2", "mean")


@dataclass(frozen=True)
class Data:
    """[data]: where raw files lie, where typed Parquet goes, and the column that orders rows."""

    source: str | tuple[str, ...]
    time: str
    output: str = "data"
    partition: str | None = "month"


@dataclass(frozen=True)
class Target:
    """[target]: what is predicted; with `above`, whether the column is greater."""

    column: str
    above: float | None = None


@dataclass(frozen=True)
class Train:
    """[train]: which rows, how long, how much of their end is held out to stop early and to evaluate."""

    since: date | None = None
    until: date | None = None
    holdout: float = 0.2
    rounds: int = 500
    early_stopping: int = 20
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """[score]: which rows, into which folder, with which columns beside the score."""

    since: date | None = None
    until: date | None = None
    output: str = "scores"
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Watch:
    """[watch]: where the report goes, and when a column has drifted (see `mlcore.compare`)."""

    output: str = "report"
    threshold: float = 0.1
    confidence: float = 0.99
    rate: float = 0.05
    persistence: int = 1


@dataclass(frozen=True)
class Project:
    """A whole mlcore.toml; `tables` is the file as parsed, which fingerprints are made of."""

    root: Path
    name: str
    threads: int | None
    data: Data
    columns: Mapping[str, Mapping[str, Any]]
    target: Target
    features: tuple[FeatureSpec, ...]
    train: Train
    gates: tuple[Gate, ...]
    score: Score
    watch: Watch
    tables: Mapping[str, Any]

    @property
    def state(self) -> Path:
        """The folder of what runs leave behind."""
        return self.root / ".mlcore"


def load(root: Path) -> Project:
    """Return the project whose mlcore.toml lies in `root`.

    Raises:
        ConfigError: the file is absent, is not TOML, or holds a key or value that means nothing; it is named.
    """
    path = root / FILE
    try:
        tables = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist; go to a project's folder, name it with --project, or start with: mlcore demo"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    try:
        return _project(root, tables)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _project(root: Path, tables: Mapping[str, Any]) -> Project:
    _known("the file", tables, ("project", "data", "columns", "target", "features", "train", "gates", "score", "watch"))
    project = _table(tables, "project", {"name": _name, "threads": _positive}, needed=("name",))
    data = _table(
        tables,
        "data",
        {"source": _texts_or_text, "time": _text, "output": _text, "partition": _one_of(*PARTITIONS)},
        needed=("source", "time"),
    )
    target = _table(tables, "target", {"column": _text, "above": _number}, needed=("column",))
    train = _table(
        tables,
        "train",
        {"since": _date, "until": _date, "holdout": _share, "rounds": _positive, "early_stopping": _count,
         "seed": _count, "params": _mapping},
    )  # fmt: skip
    score = _table(tables, "score", {"since": _date, "until": _date, "output": _text, "keep": _texts})
    watch = _table(
        tables,
        "watch",
        {"output": _text, "threshold": _above_zero, "confidence": _share, "rate": _share, "persistence": _positive},
    )
    _check_range("train", train)
    _check_range("score", score)
    columns, features = _columns(tables.get("columns", {})), parse_features(_list_of_tables(tables, "features"))
    _check_features(features, columns, target["column"])
    return Project(
        root=root,
        name=project["name"],
        threads=project.get("threads"),
        data=Data(**data),
        columns=columns,
        target=Target(**target),
        features=features,
        train=Train(**train),
        gates=tuple(parse_gates(_mapping("gates", "", tables.get("gates", {})), known=METRICS)),
        score=Score(**score),
        watch=Watch(**watch),
        tables=tables,
    )


Check = Callable[[str, str, Any], Any]


def _table(
    tables: Mapping[str, Any], name: str, keys: Mapping[str, Check], *, needed: Sequence[str] = ()
) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"[{name}] must be a table, found {_kind(table)}")
    _known(f"[{name}]", table, tuple(keys))
    for key in needed:
        if key not in table:
            raise ConfigError(f"[{name}]: '{key}' is missing")
    return {key: keys[key](f"[{name}]", key, value) for key, value in table.items()}


def _known(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"{where}: '{key}' is not known; {hint}")


def _columns(table: Any) -> Mapping[str, Mapping[str, Any]]:
    for name, options in _mapping("columns", "", table).items():
        _mapping("[columns]", name, options)
    return dict(table)


def _check_features(features: Sequence[FeatureSpec], columns: Mapping[str, Mapping[str, Any]], target: str) -> None:
    """What must never reach training is refused before any work, whichever step is asked for."""
    for name in sorted({name for spec in features for name in spec.columns}):
        role = "target" if name == target else columns.get(name, {}).get("role", "feature")
        if role in ("target", "ignore"):
            raise ConfigError(f"[[features]]: column '{name}' has role '{role}' and cannot be a feature")


def _list_of_tables(tables: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = tables.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise ConfigError(f"[[{name}]] must be a list of tables: write it with double brackets")
    return found


def _check_range(name: str, table: Mapping[str, Any]) -> None:
    since, until = table.get("since"), table.get("until")
    if since is not None and until is not None and since >= until:
        raise ConfigError(f"[{name}]: 'since' {since} must lie before 'until' {until}")


def _kind(value: Any) -> str:
    words = {str: "a string", bool: "true or false", int: "a whole number", float: "a number", list: "a list",
             dict: "a table"}  # fmt: skip
    return words.get(type(value), type(value).__name__)


def _wrong(where: str, key: str, wanted: str, value: Any) -> ConfigError:
    return ConfigError(f"{where}: '{key}' must be {wanted}, found {_kind(value)} ({value!r})")


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(where, key, "a string", value)
    return value


def _name(where: str, key: str, value: Any) -> str:
    if not MODEL_NAME.fullmatch(_text(where, key, value)):
        raise _wrong(where, key, "a name of letters, digits, '_', '-' and '.'", value)
    return str(value)


def _texts(where: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(where, key, "a list of strings", value)
    return tuple(value)


def _texts_or_text(where: str, key: str, value: Any) -> str | tuple[str, ...]:
    return value if isinstance(value, str) and value else _texts(where, key, value)


def _number(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(where, key, "a number", value)
    return float(value)


def _share(where: str, key: str, value: Any) -> float:
    if not 0 <= _number(where, key, value) < 1:
        raise _wrong(where, key, "a share, at least 0 and below 1", value)
    return float(value)


def _above_zero(where: str, key: str, value: Any) -> float:
    if _share(where, key, value) == 0:
        raise _wrong(where, key, "above 0 and below 1", value)
    return float(value)


def _count(where: str, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(where, key, "a whole number, 0 or more", value)
    return int(value)


def _positive(where: str, key: str, value: Any) -> int:
    if _count(where, key, value) < 1:
        raise _wrong(where, key, "a whole number, 1 or more", value)
    return int(value)


def _date(where: str, key: str, value: object) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise _wrong(where, key, "a date such as 2013-07-01, without quotes", value)
    return value


def _mapping(where: str, key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, key or where, "a table", value)
    return value


def _one_of(*choices: str) -> Check:
    def check(where: str, key: str, value: Any) -> str:
        if value not in choices:
            raise _wrong(where, key, f"one of {', '.join(choices)}", value)
        return str(value)

    return check
