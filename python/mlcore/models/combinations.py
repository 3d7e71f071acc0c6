"""Combination: a feature that a model makes of several raw ones, each row's known by one hash of them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from mlcore.errors import ModelFormatError

Array = np.ndarray[Any, Any]
Kind = Literal["category", "above", "is"]
_MOST_MEMBERS: Final = 32  # axes that NumPy has in every version
_MULTIPLIER: Final = np.uint64(0x4906BA494954CB65)


@dataclass(frozen=True)
class Member:
    """What a combination takes of one raw feature: its category's hash, or 1 where the answer to a question is yes.

    `above`: is the value at or above `limit`, in float32? `missing` is the answer for a missing one. `is`: is the
    category's hash `limit`?
    """

    kind: Kind
    feature: int
    limit: float = 0.0
    missing: bool = False


@dataclass(frozen=True)
class Combination:
    """The members in the order in which they are hashed, as CatBoost does."""

    members: tuple[Member, ...]

    def to_json(self) -> list[list[Any]]:
        """Return what `from_json` reads."""
        return [[item.kind, item.feature, float(item.limit).hex(), item.missing] for item in self.members]

    @staticmethod
    def from_json(found: Sequence[Sequence[Any]]) -> Combination:
        """Return the combination that `to_json` wrote."""
        return Combination(tuple(Member(k, f, float.fromhex(limit), missing) for k, f, limit, missing in found))

    def check(self, raw_features: int) -> None:
        """Raise ModelFormatError unless it is made of raw features, and of no more than rows are coded by."""
        if not 1 <= len(self.members) <= _MOST_MEMBERS:
            raise ModelFormatError(f"a combination of {len(self.members)} features; from 1 to {_MOST_MEMBERS} are read")
        for item in self.members:
            if item.kind not in ("category", "above", "is") or not 0 <= item.feature < raw_features:
                raise ModelFormatError(
                    f"a combination is made of feature {item.feature}, which the model does not have"
                )


def hashed(values: Sequence[Array]) -> Array:
    """Return the hash of each row of the members' values, as int64 all."""
    key = np.zeros(len(values[0]), np.uint64)
    for value in values:
        key = _MULTIPLIER * (key + _MULTIPLIER * value.astype(np.uint64))
    return key.view(np.int64)
