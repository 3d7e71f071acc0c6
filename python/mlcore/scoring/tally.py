"""Tally: what passes through a scorer, counted per column, ready to become the Profile of those rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlcore import ops
from mlcore.backend import Backend
from mlcore.profile import CategoricalColumn, NumericColumn, Profile
from mlcore.scoring.line import Array
from mlcore.scoring.plan import Plan

PREDICTION = "prediction"


class Tally:
    """Counts of scored rows over a reference profile's edges and categories; tallies of parts add up exactly."""

    def __init__(self, reference: Profile) -> None:
        self.reference = reference
        self.rows = 0
        self.counts: dict[str, Array] = {}

    def slots(self, plan: Plan, places: Mapping[str, Array]) -> list[Array | None]:
        """Return zeroed counts for the backend to add to, one a planned column; None where nothing is watched."""
        return [
            None if column.name not in self.reference.columns
            else np.zeros((len(places[column.name]) if column.name in places else column.folded.n_codes) + 1, np.int64)
            for column in plan.columns
        ]  # fmt: skip

    def take(self, plan: Plan, slots: list[Array | None], places: Mapping[str, Array], rows: int) -> None:
        """Fold what the backend counted, code by code, into the reference's bins and categories.

        `places`: where each entry of a string column's dictionary, by which it is counted, stands among the plan's.
        """
        self.rows += rows
        for column, counts in zip(plan.columns, slots, strict=True):
            if counts is None:
                continue
            assert column.watched is not None
            reference = self.reference.columns[column.name]
            if isinstance(reference, CategoricalColumn):
                found = np.zeros(len(reference.categories) + 2, np.int64)
                np.add.at(found, column.watched[places[column.name]], counts[:-1])
                found[-1] = counts[-1]
            else:
                found = np.append(np.add.reduceat(counts[:-1], column.watched), counts[-1])
            self._add(column.name, found)

    def take_scores(self, scores: Array, backend: Backend) -> None:
        """Count scores over the reference's prediction edges, when it watches them."""
        watched = self.reference.columns.get(PREDICTION)
        if not isinstance(watched, NumericColumn):
            return
        edges = watched.edges.astype(scores.dtype)
        codes = np.empty(len(scores), np.uint8 if len(edges) < 256 else np.uint16)
        missing = np.empty((len(scores) + 63) // 64, np.uint64)
        counts = np.zeros(len(edges) + 2, np.int64)
        ops.bin(scores, None, 0, edges, codes, missing, backend=backend)
        ops.tally(codes, missing, counts, backend=backend)
        self._add(PREDICTION, counts)

    def add(self, other: Tally) -> None:
        """Add the counts of other rows to these."""
        self.rows += other.rows
        for name, counts in other.counts.items():
            self._add(name, counts)

    def profile(self) -> Profile:
        """Return the rows seen so far as a Profile with the reference's edges and categories."""
        return Profile.from_tallies(self.reference, self.counts)

    def _add(self, name: str, counts: Array) -> None:
        self.counts[name] = self.counts[name] + counts if name in self.counts else counts
