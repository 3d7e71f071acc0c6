"""Iterations: the boosting rounds [first, end) of a model that are asked for; an end of 0 means the last."""

from __future__ import annotations

from mlcore.errors import UsageError

Iterations = tuple[int, int]


def within(iterations: Iterations | None, rounds: int) -> Iterations:
    """Return the first round that is asked for and the one after the last, of a model of so many; None asks for all.

    Raises:
        UsageError: the model does not have these rounds.
    """
    first, end = iterations or (0, 0)
    if (first, end) == (0, 0):
        return 0, rounds
    if not 0 <= first < (end or rounds) <= rounds:
        raise UsageError(f"iterations [{first}, {end}) do not lie within the model's {rounds}")
    return first, end or rounds
