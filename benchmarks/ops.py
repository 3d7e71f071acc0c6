"""Every op on every backend that runs here, on the largest sample it ships: nanoseconds a row. New ops come in by themselves."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import Any

from common import RESULTS, alternate, write

from mlcore import backend as backends
from mlcore import ops
from mlcore.testing import SAMPLES, expected, run, same


def size_of(op: str, sample: str) -> int:
    """Return the most elements that an argument of the sample has."""
    return max((getattr(value, "size", 0) for value in SAMPLES[op][sample]()), default=0)


def main(rows: int | None = None, repeats: int = 5, results: Path = RESULTS) -> list[dict[str, Any]]:
    """Check, then measure; `rows` has no meaning here."""
    names = [name for name, problem in backends.available().items() if not problem and name != "cuda"]
    found = []
    for op in ops.NAMES:
        sample = max(SAMPLES[op], key=lambda name: size_of(op, name))
        chosen = {name: backends.select(name) for name in names}
        for name, backend in chosen.items():
            if op != "sigmoid" and not same(run(op, sample, backend), expected(op, sample)):
                raise SystemExit(f"{op} on {name}: wrong on {sample}")
        sides = {name: partial(run, op, sample, backend) for name, backend in chosen.items()}
        for name, times in alternate(sides, repeats).items():
            found.append({"op": op, "backend": name, "sample": sample, "µs": statistics.median(times) * 1e6})
    write(
        "ops",
        "Ops, small samples (making the arguments included)",
        found,
        ["results equal the oracle's before timing"],
        results,
    )
    return found
