"""Binning a column to codes, one thread: mlcore beside NumPy's searchsorted, over edges, spreads and types of values."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from common import RESULTS, copy_bandwidth, rounds, write

from mlcore import backend as backends
from mlcore import ops

Array = np.ndarray[Any, Any]

SPREADS: Final[dict[str, Callable[[np.random.Generator, int], Array]]] = {
    "normal": lambda rng, rows: rng.standard_normal(rows),
    "log-normal": lambda rng, rows: np.exp(2 * rng.standard_normal(rows)),
    "half -999": lambda rng, rows: np.where(rng.random(rows) < 0.5, -999.0, rng.random(rows)),
}
CALLS: Final = 10  # of ours in a turn, which take less time together than one of searchsorted's
CASES: Final = (
    *[("float32", "normal", edges) for edges in (4, 16, 31, 63, 127, 255, 256, 1000, 4000, 12_000, 58_000)],
    *[("float32", "log-normal", edges) for edges in (255, 1000, 4000)],
    *[("float32", "half -999", edges) for edges in (255, 1000, 4000)],
    *[(dtype, "normal", edges) for dtype in ("float64", "int32", "int64") for edges in (16, 255, 1000, 4000)],
)


def column(dtype: str, spread: str, edges: int, rows: int) -> tuple[Array, Array, Array | None, Array]:
    """Return values, edges between them so that about as many lie in each bin, the validity bitmap of integers, and a mask.

    One value of twenty is missing: NaN, or null among integers.
    """
    rng = np.random.default_rng(edges)
    values = SPREADS[spread](rng, rows) * (1 if dtype[0] == "f" else 1e6)
    values = values.astype(dtype)
    given = np.unique(np.sort(values)[((np.arange(edges) + 0.5) * rows / edges).astype(int)])
    missing = rng.random(rows) < 0.05
    if dtype[0] == "f":
        values[missing] = np.nan
        return values, given, None, missing
    return values, given, np.packbits(~missing, bitorder="little"), missing


def turn(side: Callable[[], Any], calls: int) -> float:
    """Return the seconds that one of so many calls takes, one after another."""
    started = time.perf_counter()
    for _ in range(calls):
        side()
    return (time.perf_counter() - started) / calls


def main(rows: int | None = None, repeats: int = 11, results: Path = RESULTS) -> list[dict[str, Any]]:
    """Check the codes, then measure, `rows` values at a time or 2^20."""
    rows, backend, found = rows or 2**20, backends.select("cpu"), []
    bandwidth = copy_bandwidth()
    for dtype, spread, count in CASES:
        values, edges, validity, absent = column(dtype, spread, count, rows)
        codes = np.empty(rows, np.uint8 if len(edges) <= 255 else np.uint16)
        missing = np.zeros((rows + 63) // 64, np.uint64)
        sides: dict[str, Callable[[], Any]] = {
            "mlcore": partial(ops.bin, values, validity, 0, edges, codes, missing, backend=backend),
            "searchsorted": partial(edges.searchsorted, values, "right"),
        }
        sides["mlcore"]()
        told = np.unpackbits(missing.view(np.uint8), bitorder="little")[:rows].astype(bool)
        wrong = np.flatnonzero((codes != np.where(absent, 0, sides["searchsorted"]())) | (told != absent))
        if len(wrong):
            raise SystemExit(f"{dtype}, {spread}, {count} edges: row {wrong[0]} has another code than searchsorted's")
        calls = {"mlcore": CALLS, "searchsorted": 1}
        seconds = rounds({name: partial(turn, side, calls[name]) for name, side in sides.items()}, repeats)
        median, peer = statistics.median(seconds["mlcore"]), statistics.median(seconds["searchsorted"])
        found.append({
            "values": dtype, "spread": spread, "edges": len(edges), "ns/value": median / rows * 1e9,
            "least ns/value": min(seconds["mlcore"]) / rows * 1e9, "searchsorted ns/value": peer / rows * 1e9,
            "× searchsorted": peer / median,
            "share of copy bandwidth": (values.nbytes + codes.nbytes + missing.nbytes) / median / bandwidth,
        })  # fmt: skip
    write(
        "binning",
        f"Binning {rows:,} values, one of twenty missing, one thread",
        found,
        ["codes are searchsorted's, 0 where a value is missing, checked before timing", "the table that suits the edges "
         "is made anew in each call", "searchsorted gives 64-bit numbers and knows no missing values"],
        results,
    )  # fmt: skip
    return found
