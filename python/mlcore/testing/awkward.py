"""Rows at which models change their answers: thresholds, and what is next to them on the line of floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def neighbours(values: Array) -> Array:
    """Return the values, and the next ones up and down in their own type."""
    with np.errstate(over="ignore"):
        return np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)])


def mixed(rows: Array, pools: Sequence[Array]) -> Array:
    """Return the rows with seven of ten values taken from their column's pool instead."""
    rng = np.random.default_rng(1)
    out = rows.copy()
    for column, pool in enumerate(pools):
        taken = rng.random(len(rows)) < 0.7
        out[taken, column] = rng.choice(pool, taken.sum())
    return out
