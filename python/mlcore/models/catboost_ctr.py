"""CatBoost's CTRs: numbers that stand for a category, from what training counted of it.

A CTR of one categorical feature is a function of the category, so that "is it above this border?" asks for a set of
categories; one of several features is a function of their combination. What training counted is a table by hash; the
hash of one category can be undone, so that the categories are known by their own hashes, as one-hot splits know them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models.catboost_json import integer, listed, number, numbers
from mlcore.models.combinations import Kind, Member
from mlcore.models.ensemble import Array

_MULTIPLIER: Final = 0x4906BA494954CB65
_UNDO: Final = np.uint64(pow(_MULTIPLIER * _MULTIPLIER, -1, 2**64))
_NO_HASH: Final = np.uint64(2**64 - 1)  # of the table's empty places
_MEANS: Final = frozenset({"BinarizedTargetMeanValue", "FloatTargetMeanValue"})
_COUNTS: Final = frozenset({"Counter", "FeatureFreq"})
_CLASSES: Final = frozenset({"Borders", "Buckets"})


Counted = tuple[Array, Array, int]
"""The keys of a table, uint64, what it holds of each, float64 (keys, numbers), and the denominator of counters."""
Raw = Mapping[tuple[str, int], tuple[int, bool]]
"""Each feature's place and whether a missing value is above all borders, by its index and what that is called."""


@dataclass(frozen=True, eq=False)
class Ctr:
    """A CTR of a categorical feature, or of a combination: its value for what training met of it, and for all else."""

    members: tuple[Member, ...]
    target_border: int
    borders: Array  # float32
    hashes: Array  # int64, of categories or combinations, ascending
    values: Array  # float32, one a hash
    unknown: np.float32

    def of(self, categories: Array) -> Array:
        """Return the values of any categories, given by their hashes."""
        if not len(self.hashes):
            return np.full(len(categories), self.unknown)
        place = np.minimum(np.searchsorted(self.hashes, categories), len(self.hashes) - 1)
        return np.where(self.hashes[place] == categories, self.values[place], self.unknown)


def read(item: Mapping[str, Any], counted: Counted, raw: Raw) -> Ctr:
    """Return a CTR of the features' list, with its values from what training counted.

    Raises:
        ModelFormatError: it is malformed.
        UnsupportedModel: it is of a type that is not imported.
    """
    kind = item["ctr_type"]
    if kind not in _MEANS | _COUNTS | _CLASSES:
        raise UnsupportedModel(f"CTRs of type {kind!r:.40} are not imported")
    members = _members(listed(item, "elements"), raw)
    keys, counts, denominator = counted
    border = integer(item, "target_border_idx")
    good, total = _good_and_total(kind, counts, border, denominator)
    single = [member.kind for member in members] == ["category"]
    hashes = (keys * _UNDO & np.uint64(2**32 - 1) if single else keys).view(np.int64)
    order = np.argsort(hashes)
    calculated = _calculated(
        item, np.append(good[order], 0), np.append(total[order], denominator if kind in _COUNTS else 0)
    )
    borders = numbers(item["borders"], "the borders of a CTR").astype(np.float32)
    if not np.all(np.isfinite(borders)) or np.any(borders[1:] <= borders[:-1]):
        raise ModelFormatError("the borders of a CTR are not finite and ascending")
    return Ctr(
        members=members,
        target_border=border,
        borders=borders,
        hashes=hashes[order],
        values=calculated[:-1],
        unknown=calculated[-1],
    )


_ELEMENTS: Final[dict[str, tuple[Kind, str]]] = {
    "cat_feature_value": ("category", "cat_feature_index"),
    "float_feature": ("above", "float_feature_index"),
    "cat_feature_exact_value": ("is", "cat_feature_index"),
}


def _members(elements: list[dict[str, Any]], raw: Raw) -> tuple[Member, ...]:
    """What a CTR is of, in the order in which CatBoost hashes it: categories, then answers about numbers and categories."""
    found: dict[Kind, list[Member]] = {"category": [], "above": [], "is": []}
    for element in elements:
        if element["combination_element"] not in _ELEMENTS:
            raise UnsupportedModel(f"CTRs of {element['combination_element']!r:.40} are not imported")
        kind, index = _ELEMENTS[element["combination_element"]]
        known = raw.get((index, integer(element, index)))
        if known is None:
            raise ModelFormatError(f"a CTR asks for '{index}' {element[index]}, which the model does not have")
        feature, missing = known
        if kind == "above":
            above = np.nextafter(np.float32(number(element, "border")), np.float32(np.inf))
            found[kind].append(Member(kind, feature, float(above), missing))
        else:
            limit = integer(element, "value", -(2**31)) % 2**32 if kind == "is" else 0
            found[kind].append(Member(kind, feature, float(limit)))
    if not elements:
        raise ModelFormatError("a CTR is of no feature")
    return (*found["category"], *found["above"], *found["is"])


def table(tables: Mapping[str, Any], name: str) -> Counted:
    """Return what training counted for the CTRs of a name.

    Raises:
        ModelFormatError: the table is not there, or malformed.
    """
    if name not in tables:
        raise ModelFormatError(f"the table of the CTR {name!r:.200} is missing")
    found = tables[name]
    flat = found["hash_map"]
    if not isinstance(flat, list):
        raise ModelFormatError("a table of CTRs is not a list")
    stride = integer(found, "hash_stride", 2, max(2, len(flat)))
    if len(flat) % stride:
        raise ModelFormatError(f"a table of CTRs does not divide into rows of {stride}")
    keys = np.array([int(key) for key in flat[::stride]], np.uint64)
    counts = np.stack([numbers(flat[k::stride], "a table's counts") for k in range(1, stride)], axis=1)
    known = np.flatnonzero(keys != _NO_HASH)
    if len(np.unique(keys[known])) != len(known) or not np.all(np.isfinite(counts)):
        raise ModelFormatError("the hashes of a table of CTRs are not distinct, or its counts not finite")
    return keys[known], counts[known], integer(found, "counter_denominator")


def _good_and_total(kind: str, counts: Array, border: int, denominator: int) -> tuple[Array, Array]:
    """What CatBoost divides, before priors: how much of the target a category has seen, among how much."""
    width = counts.shape[1] if kind in _CLASSES else 2 if kind in _MEANS else 1
    if counts.shape[1] != width or (kind in _CLASSES and border + (kind == "Borders") >= width):
        raise ModelFormatError(f"a table of CTRs of type {kind} holds {counts.shape[1]} numbers a row")
    if kind in _MEANS:
        return counts[:, 0], counts[:, 1]
    if kind in _COUNTS:
        return counts[:, 0], np.full(len(counts), float(denominator))
    good = counts[:, border] if kind == "Buckets" else counts[:, border + 1 :].sum(axis=1)
    return good, counts.sum(axis=1)


def _calculated(item: Mapping[str, Any], good: Array, total: Array) -> Array:
    """CatBoost's own steps, in float32."""
    keys = ("prior_numerator", "prior_denomerator", "shift", "scale")
    above, below, shift, scale = (np.float32(number(item, key)) for key in keys)
    with np.errstate(all="ignore"):
        ratio = (good.astype(np.float32) + above) / (total.astype(np.float32) + below)
        return np.asarray((ratio + shift) * scale, np.float32)
