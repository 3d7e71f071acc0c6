"""Choosing a reference's edges: equal mass, heavy values alone, the model's own edges always among them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]
CODES_LIMIT: Final = 255  # edges that one-byte codes hold


def choose(values: Array, *, bins: int, given: Array | None) -> Array:
    """Return strictly ascending edges in the dtype of `values` (no NaN), which hold all of `given`.

    Of up to `bins` distinct values each gets its own bin. Of more, edges lie at equal mass, and a value that more than one
    bin's share of the rows has gets a bin of its own. Own edges are thinned so that the whole stays within 255, where
    `given` alone does not exceed that.
    """
    own = _own(values, bins)
    if given is None or not len(given):
        return own
    given = given.astype(values.dtype)
    extra = np.setdiff1d(own, given)
    room = max(0, CODES_LIMIT - len(given))
    if len(extra) > room:
        extra = extra[np.linspace(0, len(extra) - 1, room).round().astype(int)] if room else extra[:0]
    return np.union1d(given, extra)


def _own(values: Array, bins: int) -> Array:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    distinct, counts = np.unique(finite, return_counts=True)
    if len(distinct) <= bins:
        return distinct
    mass = np.cumsum(counts)
    at = np.searchsorted(mass, np.arange(1, bins) * (mass[-1] / bins), side="right")
    heavy = np.flatnonzero(counts > mass[-1] / bins)
    after = heavy[heavy + 1 < len(distinct)] + 1
    chosen: Array = distinct[np.unique(np.concatenate([at[at < len(distinct)], heavy, after]))]
    return chosen
