"""What the moves of a champion say: which version serves, which are quarantined, where a rollback leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mlcore.records.chain import Entry

PROMOTE: Final = "promote"
ROLLBACK: Final = "rollback"
ADOPT: Final = "adopt"  # an alias set before this log knew the model
MOVES: Final = (PROMOTE, ROLLBACK, ADOPT)


def champion(moves: Sequence[Entry]) -> str | None:
    """Return the version that serves after these moves, oldest first."""
    return moves[-1].to if moves else None


def quarantined(moves: Sequence[Entry]) -> frozenset[str]:
    """Return the versions rolled back and not promoted since; a later promotion is a second opinion."""
    bad: set[str] = set()
    for move in moves:
        if move.action == ROLLBACK and move.from_ is not None:
            bad.add(move.from_)
        elif move.to is not None:
            bad.discard(move.to)
    return frozenset(bad)


def rollback_target(moves: Sequence[Entry]) -> str | None:
    """Return the latest earlier champion that is not quarantined, or None; never "version minus one"."""
    out = quarantined(moves) | {champion(moves)}
    return next((move.to for move in reversed(moves) if move.to is not None and move.to not in out), None)
