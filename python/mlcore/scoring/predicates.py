"""Predicates of all columns, each distinct one once, in the form that backends take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlcore.scoring.fold import Predicates
from mlcore.scoring.line import Array


class PredicateTable:
    """Collects the predicates of column after column, and which splits they answer."""

    def __init__(self) -> None:
        self._keys: list[Array] = [np.zeros((0, 4), np.int64)]  # column, threshold, set, missing
        self._splits: list[Array] = [np.zeros(0, np.int64)]
        self._inverted: list[Array] = [np.zeros(0, bool)]
        self._sets: dict[bytes, int] = {}

    def add(self, column: int, splits: Array, predicates: Predicates) -> None:
        """Add a column's predicates, one of each of the `splits`."""
        packed = np.packbits(predicates.members, axis=1, bitorder="little")
        numbers = np.array([*(self._sets.setdefault(row.tobytes(), len(self._sets)) for row in packed), -1], np.int64)
        key = (
            np.full(len(splits), column),
            predicates.threshold,
            numbers[predicates.member_row],  # -1 picks the last entry: no set
            predicates.missing,
        )
        self._keys.append(np.stack(key, axis=1).astype(np.int64))
        self._splits.append(splits)
        self._inverted.append(predicates.inverted)

    def arrays(self, most_codes: int) -> tuple[dict[str, Any], Array, Array]:
        """Return the arrays of a forest that describe predicates; each split's predicate, and whether it is inverted."""
        found, place = unique_rows(list(np.concatenate(self._keys).T))
        splits = np.concatenate(self._splits)
        pred_of_split, inverted = np.empty(len(splits), np.int64), np.empty(len(splits), bool)
        pred_of_split[splits], inverted[splits] = place, np.concatenate(self._inverted)
        words = (most_codes + 63) // 64
        sets = np.zeros((len(self._sets), words * 8), np.uint8)
        for members, i in self._sets.items():
            sets[i, : len(members)] = np.frombuffer(members, np.uint8)
        arrays = {
            "pred_column": found[:, 0].astype(np.int32),
            "pred_code": found[:, 1].astype(np.int32),
            "pred_set": found[:, 2].astype(np.int32),
            "pred_missing": found[:, 3].astype(np.uint8),
            "sets": sets.view(np.uint64).reshape(len(self._sets), words),
        }
        return arrays, pred_of_split, inverted


def unique_rows(columns: Sequence[Array]) -> tuple[Array, Array]:
    """Return the distinct rows in order, and each row's place among them; np.unique with axis=0, many times faster."""
    order = np.lexsort(columns[::-1])
    rows = np.stack([column[order].astype(np.int64) for column in columns], axis=1)
    first = np.ones(len(rows), bool)
    first[1:] = np.any(rows[1:] != rows[:-1], axis=1)
    place = np.empty(len(rows), np.int64)
    place[order] = np.cumsum(first) - 1
    return rows[first], place
