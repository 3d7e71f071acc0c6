"""Schema: names, types, roles and declared limits of a dataset's columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, NoReturn, cast, get_args

import pyarrow as pa

from mlcore.data.types import is_text, kind_of_type, plain, type_named
from mlcore.errors import ConfigError, SchemaMismatch

Role = Literal["feature", "target", "time", "id", "weight", "segment", "sensitive", "ignore"]
ROLES: Final[tuple[str, ...]] = get_args(Role)
FORMAT: Final = 1


@dataclass(frozen=True)
class Field:
    """One column: its Arrow type as text ("string" for every flavour), its role, and what validation holds it to.

    Limits are inclusive. `max_missing` and `max_unseen` are shares of rows; `categories` are those seen at ingest of the
    first snapshot, or declared.
    """

    name: str
    type: str
    role: Role = "feature"
    minimum: float | None = None
    maximum: float | None = None
    max_missing: float | None = None
    max_unseen: float | None = None
    categories: tuple[str, ...] | None = None

    def arrow(self) -> pa.DataType:
        """Return the Arrow type; SchemaMismatch when there is none of that name."""
        try:
            return type_named(self.type)
        except ValueError as error:
            raise SchemaMismatch(
                f"column '{self.name}': the schema's type '{self.type}' is not known; double, int64 and string are, and "
                "Arrow's others"
            ) from error


@dataclass(frozen=True)
class Schema:
    """The columns of a dataset, in order."""

    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        """Return the column of that name; SchemaMismatch when there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise SchemaMismatch(f"the schema has no column '{name}'; it has: {', '.join(self.names())}")

    def names(self, role: Role | None = None) -> tuple[str, ...]:
        """Return the columns' names, all or those of one role."""
        return tuple(field.name for field in self.fields if role is None or field.role == role)

    def arrow(self) -> pa.Schema:
        """Return the columns as an Arrow schema."""
        return pa.schema([(field.name, field.arrow()) for field in self.fields])

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready form; absent limits are left out."""
        listed = [{k: v for k, v in asdict(field).items() if v is not None} for field in self.fields]
        return {"format": FORMAT, "fields": listed}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Schema:
        """Return the schema that `to_json` wrote; SchemaMismatch when it is malformed or of an unknown format."""
        if data.get("format") != FORMAT:
            raise SchemaMismatch(f"schema of format {data.get('format')}; this version reads {FORMAT}")
        try:
            rows: list[dict[str, Any]] = [
                {k: tuple(v) if k == "categories" else v for k, v in row.items()} for row in data["fields"]
            ]
            return Schema(tuple(Field(**row) for row in rows))
        except (KeyError, TypeError, AttributeError) as error:
            raise SchemaMismatch(f"schema is malformed: {error}") from error

    @staticmethod
    def infer(schema: pa.Schema, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Schema:
        """Return the schema of Arrow columns, with what `overrides` says of each: role, type, limits.

        Raises:
            ConfigError: an override names a column that is not there, or says something unknown.
            UnsupportedType: a column that is not ignored has a type mlcore does not read.
        """
        overrides = overrides or {}
        for name in overrides:
            if name not in schema.names:
                raise ConfigError(f"[columns] names '{name}', which the data does not have")
        return Schema(tuple(_field(item, overrides.get(item.name, {})) for item in schema))


_KEYS: Final = {"min": "minimum", "max": "maximum"} | {
    field.name: field.name for field in fields(Field) if field.name not in ("name", "minimum", "maximum")
}


def _field(item: pa.Field, override: Mapping[str, Any]) -> Field:
    values: dict[str, Any] = {"type": str(plain(item.type))}
    for key, value in override.items():
        if key not in _KEYS:
            raise ConfigError(f"[columns] {item.name}: '{key}' is not known; these are: {', '.join(sorted(_KEYS))}")
        values[_KEYS[key]] = tuple(value) if key == "categories" else value
    role = cast(Role, values.get("role", "feature"))
    if role not in ROLES:
        raise ConfigError(f"[columns] {item.name}: role '{role}' is not known; these are: {', '.join(ROLES)}")
    try:
        type_ = type_named(str(values["type"]))
    except ValueError as error:
        raise ConfigError(f"[columns] {item.name}: type '{values['type']}' is not known; double, int64 and string are, "
                          "and Arrow's others") from error  # fmt: skip
    if role != "ignore":
        kind_of_type(type_, column=item.name)
    _check_limits(item.name, override, type_)
    return Field(item.name, **values)


def _check_limits(name: str, said: Mapping[str, Any], type_: pa.DataType) -> None:
    """A limit that could never be broken, because it is no limit of such a column, is refused."""

    def refuse(key: str, what: str) -> NoReturn:
        raise ConfigError(f"[columns] {name}: '{key}' {what}, found {said[key]!r}")

    for key in ("min", "max", "max_missing", "max_unseen"):
        value = said.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            refuse(key, "must be a number")
    for key in ("max_missing", "max_unseen"):
        if not 0 <= said.get(key, 0) <= 1:
            refuse(key, "must be a share, from 0 to 1")
    if "min" in said and "max" in said and said["min"] > said["max"]:
        refuse("min", f"must not be above 'max' {said['max']}")
    categories = said.get("categories", [])
    if isinstance(categories, str) or not all(isinstance(entry, str) for entry in categories):
        refuse("categories", "must be a list of strings")
    for key in ("min", "max"):
        if key in said and (is_text(type_) or pa.types.is_temporal(type_)):
            refuse(key, f"is a limit of numbers, and the column holds {type_}; "
                        "declare its type to find the values that are none, type = \"double\" for example")  # fmt: skip
    for key in ("categories", "max_unseen"):
        if key in said and not is_text(type_):
            refuse(key, f"is a limit of strings, and the column holds {type_}")


def with_categories(schema: Schema, seen: Mapping[str, Sequence[str]]) -> Schema:
    """Return the schema with the categories of its string columns set where it declares none."""
    listed = [
        Field(**{**asdict(field), "categories": tuple(seen[field.name])})
        if field.categories is None and field.name in seen
        else field
        for field in schema.fields
    ]
    return Schema(tuple(listed))
