"""One turn of a side, the same in every process: a call of all rows, or calls of a few rows one after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

FEW = 1000  # rows; a batch of fewer is called many times in a turn
CALLS = 300


def blocks(X: Any, batch: int) -> list[Any]:
    """Return the rows of each call of a turn."""
    if batch >= FEW:
        return [X[:batch]]
    ends = range(batch, min(len(X), batch * CALLS) + 1, batch)
    return [X[end - batch : end].copy() for end in ends]


def turn(call: Callable[[Any], Any], given: list[Any]) -> float:
    """Return the seconds of all calls; many short ones have an unmeasured turn before, since others had the caches."""
    for block in given if len(given) > 1 else ():
        call(block)
    started = time.perf_counter()
    for block in given:
        call(block)
    return time.perf_counter() - started
