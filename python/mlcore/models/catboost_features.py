"""CatBoost's features: every question that its trees may ask, numbered as their splits number them.

Layout: `features_info` of the JSON form, as written by 1.x; the questions are the borders of numeric features, in the
order in which the file lists them, then the values of categorical ones, then the borders of CTRs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models import catboost_ctr
from mlcore.models.catboost_ctr import Ctr
from mlcore.models.catboost_json import integer, listed, numbers
from mlcore.models.combinations import Combination, Member
from mlcore.models.ensemble import Array, Categories

_MOST_CATEGORIES: Final = 1 << 24  # their positions are float32
_MOST_ASKED: Final = 1 << 30  # each takes four bytes where it goes worst
_MOST_HELD: Final = 1 << 27  # each takes twelve bytes; many CTRs may be of one table
_NANS: Final = frozenset({"AsIs", "AsFalse", "AsTrue"})


@dataclass(frozen=True, eq=False)
class Questions:
    """The features of a model and all questions about them: right where the value is at or above `threshold`, or, where
    `interval_set >= 0`, in that set of positions among the feature's `categories`.
    """

    names: tuple[str, ...]
    named: bool
    categories: tuple[Categories | None, ...]
    combinations: tuple[Combination, ...]
    feature: Array
    threshold: Array  # float32
    interval_set: Array
    default_left: Array
    told: tuple[tuple[str, int, float], ...]
    """What a split says of itself: its type, its feature among those of its kind, and its border or value."""
    bound_start: Array
    bounds: Array  # float32


def read(info: Mapping[str, Any], tables: Mapping[str, Any]) -> Questions:
    """Return the questions of `features_info`, and of the CTRs whose tables are given.

    Raises:
        ModelFormatError: it is malformed.
        UnsupportedModel: a feature is of a kind that is not imported; the message names it.
    """
    numeric, categorical, ctrs = (listed(info, key) for key in ("float_features", "categorical_features", "ctrs"))
    unknown = sorted(set(info) - _KNOWN)
    if unknown:
        raise UnsupportedModel(f"the model has '{unknown[0]}', which are not imported")
    names, named = _names([*numeric, *categorical])
    table = _Table([row for item in numeric for row in _borders(item)])
    raw = {("float_feature_index", integer(f, "feature_index")): _raw(f) for f in numeric}
    raw |= {("cat_feature_index", integer(f, "feature_index")): _raw(f) for f in categorical}
    counted = {name: catboost_ctr.table(tables, name) for name in dict.fromkeys(item["identifier"] for item in ctrs)}
    held = sum(len(counted[item["identifier"]][0]) for item in ctrs)
    if held > _MOST_HELD:
        raise UnsupportedModel(f"CTRs that hold {held} values of categories are not imported")
    calculated = [catboost_ctr.read(item, counted[item["identifier"]], raw) for item in ctrs]
    columns = _columns(categorical, calculated, len(names))
    for item in categorical:
        _ask_values(table, item, *columns[_alone(item)])
    for ctr in calculated:
        _ask_ctr(table, ctr, *columns[ctr.members])
    made = [members for members, (place, _) in columns.items() if place >= len(names)]
    categories: list[Categories | None] = [None] * (len(names) + len(made))
    for place, known in columns.values():
        categories[place] = tuple(known.tolist())
    return Questions(
        names=(*names, *(_combined_name(members, names) for members in made)),
        named=named,
        categories=tuple(categories),
        combinations=tuple(map(Combination, made)),
        **table.arrays(),
    )


def _ask_values(table: _Table, item: Mapping[str, Any], place: int, known: Array) -> None:
    """For each value of a categorical feature that is asked for: is it this one?"""
    position = {value: k for k, value in enumerate(known.tolist())}
    for value in _values(item):
        k = position[value % 2**32]
        told = ("OneHotFeature", integer(item, "feature_index"), value)
        table.add(place, np.array([k, k + 1], np.float32), told)


def _ask_ctr(table: _Table, ctr: Ctr, place: int, known: Array) -> None:
    """For each border of a CTR: is it above?"""
    values = ctr.of(known)
    for border in ctr.borders:
        told = ("OnlineCtr", ctr.target_border, float(border))
        edges = np.flatnonzero(np.diff((values > border).astype(np.int8), prepend=0, append=0))
        table.add(place, edges.astype(np.float32), told, unknown=bool(ctr.unknown > border))


def _raw(item: Mapping[str, Any]) -> tuple[int, bool]:
    """A feature's place, and whether its missing values are above all borders."""
    return integer(item, "flat_feature_index"), item.get("has_nans") is True and item["nan_value_treatment"] == "AsTrue"


def _alone(item: Mapping[str, Any]) -> Members:
    """What a CTR of a categorical feature alone is of."""
    return (Member("category", integer(item, "flat_feature_index")),)


def _columns(categorical: list[dict[str, Any]], ctrs: list[Ctr], raw: int) -> dict[Members, tuple[int, Array]]:
    """The place of each feature that has categories, and their hashes; combinations stand after the raw features."""
    own: dict[Members, list[Ctr]] = {}
    for ctr in ctrs:
        own.setdefault(ctr.members, []).append(ctr)
    found: dict[Members, tuple[int, Array]] = {}
    for item in categorical:
        members = _alone(item)
        found[members] = members[0].feature, _categories(_values(item), own.get(members, []))
    for place, members in enumerate([members for members in own if members not in found], raw):
        found[members] = place, _categories([], own[members])
    asked = sum(len(ctr.borders) * len(found[ctr.members][1]) for ctr in ctrs)
    if asked > _MOST_ASKED:
        raise UnsupportedModel(f"CTRs that ask {asked} times about a category are not imported")
    return found


def _combined_name(members: tuple[Member, ...], names: tuple[str, ...]) -> str:
    """What a combination is called: CatBoost has no name for it."""
    parts = {"category": "{}", "above": "{} >= {!r}", "is": "{} is {:.0f}"}
    return "{" + ", ".join(parts[item.kind].format(names[item.feature], item.limit) for item in members) + "}"


class _Table:
    """Questions as they come; those about categories are sets of positions."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.sets: list[Array] = []

    def add(self, feature: int, bounds: Array, told: tuple[str, int, float], *, unknown: bool = False) -> None:
        """Ask whether a category lies within bounds; `unknown` is the answer for one that the model does not know."""
        self.rows.append((feature, np.float32(0), len(self.sets), not unknown, told))
        self.sets.append(bounds)

    def arrays(self) -> dict[str, Any]:
        """Return the questions as `Questions` holds them."""
        rows = list(zip(*self.rows, strict=True)) if self.rows else [()] * 5
        types = {"feature": np.int32, "threshold": np.float32, "interval_set": np.int32, "default_left": np.uint8}
        return {
            **{name: np.array(values, dtype) for (name, dtype), values in zip(types.items(), rows, strict=False)},
            "told": tuple(rows[4]),
            "bound_start": np.cumsum([0, *map(len, self.sets)], dtype=np.int64),
            "bounds": np.concatenate([np.zeros(0, np.float32), *self.sets]),
        }


_KNOWN: Final = frozenset({"cat_features_hash", "categorical_features", "ctrs", "float_features"})
Members = tuple[Member, ...]
Row = tuple[int, np.float32, int, bool, tuple[str, int, float]]


def _names(features: list[dict[str, Any]]) -> tuple[tuple[str, ...], bool]:
    """The features' names by position; a position that no feature takes belongs to one of another kind."""
    names: list[str | None] = [None] * len(features)
    for item in features:
        flat = integer(item, "flat_feature_index")
        if flat >= len(names):
            raise UnsupportedModel(
                "the model has features that are neither numeric nor categorical; text and embedding features are not "
                "imported"
            )
        if names[flat] is not None:
            raise ModelFormatError(f"two features stand at position {flat}")
        name = item.get("feature_id") or item.get("feature_name") or ""
        if not isinstance(name, str):
            raise ModelFormatError(f"the name of feature {flat} is not text")
        names[flat] = name
    if any(names):
        return tuple(name or str(i) for i, name in enumerate(names)), True
    return tuple(f"f{i}" for i in range(len(names))), False


def _borders(item: Mapping[str, Any]) -> list[Row]:
    """A question for each border: is the value above it? A NaN is below or above all of them."""
    flat, index = integer(item, "flat_feature_index"), integer(item, "feature_index")
    borders = numbers(item["borders"], f"the borders of feature {flat}").astype(np.float32)
    if not np.all(np.isfinite(borders)) or np.any(borders[1:] <= borders[:-1]):
        raise ModelFormatError(f"the borders of feature {flat} are not finite and ascending")
    if item["nan_value_treatment"] not in _NANS or not isinstance(item["has_nans"], bool):
        raise UnsupportedModel(f"feature {flat}: nan_value_treatment {item['nan_value_treatment']!r:.40} is not known")
    left = not _raw(item)[1]
    above = np.nextafter(borders, np.float32(np.inf))
    return [
        (flat, threshold, -1, left, ("FloatFeature", index, border))
        for threshold, border in zip(above, borders.tolist(), strict=True)
    ]


def _values(item: Mapping[str, Any]) -> list[int]:
    """The hashes of a categorical feature's values that are asked for, as signed numbers of 32 bits."""
    values = item.get("values") or []
    if not isinstance(values, list) or not all(type(value) is int and -(2**31) <= value < 2**31 for value in values):
        raise ModelFormatError(f"the values of feature {item['flat_feature_index']} are not hashes of 32 bits")
    if len(set(values)) != len(values):
        raise ModelFormatError(f"the values of feature {item['flat_feature_index']} are not distinct")
    return values


def _categories(values: list[int], ctrs: list[Ctr]) -> Array:
    """The hashes of all categories that a feature's questions tell apart, int64; in the order of the first CTR, so that
    what is above a border lies together.
    """
    known = np.unique(np.concatenate([np.array([v % 2**32 for v in values], np.int64), *(c.hashes for c in ctrs)]))
    if len(known) >= _MOST_CATEGORIES:
        raise UnsupportedModel(f"a categorical feature of {len(known)} categories is not imported")
    return np.asarray(known[np.argsort(ctrs[0].of(known), kind="stable")] if ctrs else known)
