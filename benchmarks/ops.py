"""Every op on every backend that runs here, on the largest sample it ships: nanoseconds a row. New ops come in by themselves."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, alternate, write

from mlcore import backend as backends
from mlcore import ops
from mlcore.testing import SAMPLES, agree, call, expected, run


def rows_of(arguments: Any) -> int:
    """Return the rows of a call: the length of the first array among its arguments."""
    for value in arguments:
        if isinstance(value, np.ndarray):
            return len(value)
        if isinstance(value, list | tuple):
            return rows_of(value)
    return 0


def longest(op: str) -> tuple[str, int]:
    """Return the op's sample of most rows, and how many it has."""
    rows = {sample: rows_of(make()) for sample, make in SAMPLES[op].items()}
    sample = max(rows, key=lambda name: rows[name])
    return sample, rows[sample]


def main(rows: int | None = None, repeats: int = 5, results: Path = RESULTS) -> list[dict[str, Any]]:
    """Check, then measure; `rows` has no meaning here."""
    names = [name for name, problem in backends.available().items() if not problem and name != "cuda"]
    found = []
    for op in ops.NAMES:
        sample, n = longest(op)
        chosen = {name: backends.select(name) for name in names}
        for name, backend in chosen.items():
            if not agree(op, run(op, sample, backend), expected(op, sample)):
                raise SystemExit(f"{op} on {name}: wrong on {sample}")
        sides = {name: call(op, sample, backend).make for name, backend in chosen.items()}
        for name, times in alternate(sides, repeats).items():
            median = statistics.median(times)
            found.append({"op": op, "backend": name, "sample": sample, "rows": n, "µs": median * 1e6,
                          "ns/row": median / n * 1e9})  # fmt: skip
    write(
        "ops",
        "Ops on their longest samples, one thread",
        found,
        ["results are the oracle's before timing"],
        results,
    )
    return found
