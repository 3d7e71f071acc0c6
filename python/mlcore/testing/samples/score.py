"""Samples of score: raw numeric and dictionary columns under trees, counted or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from mlcore.testing.samples import columns
from mlcore.testing.samples.arrays import SIZES, Out
from mlcore.testing.samples.forest import Tree, arrays, chain, full, predicates, ragged

NUMERIC: Final = (("float32", 40), ("float64", 255), ("int32", 256), ("int64", 0), ("float32", 5000))


def _score(
    rows: int, *, counts: str = "some", step: int = 1, narrow: bool = False, outputs: int = 1, dtype: str = "float32"
) -> tuple[Any, ...]:
    rng = np.random.default_rng(8)
    kinds = [(dtype, count) for dtype, count in NUMERIC if count <= 255 or not narrow]
    raw = [
        columns.bin_arguments(dtype=dtype, rows=rows, count=count, step=step, offset=(3, None)[i % 2])[:4]
        for i, (dtype, count) in enumerate(kinds)
    ]
    n_codes = [count + 1 for _, count in kinds]
    for entries, most in ((30, 20), (2000, 20 if narrow else 700)):
        raw.append(columns.encode_arguments(rows=rows, entries=entries, most=most, step=step, offset=11)[:4])
        n_codes.append(most + 1)
    widths = np.array(n_codes, np.int32)
    trees: list[Tree] = [full(rng, 6, 80), chain(rng, 30, 80), ragged(rng, 8, 80), full(rng, 1, 80), full(rng, 0, 80)]
    made = arrays(rng, trees, predicates(rng, 80, widths, sets=8), widths, outputs=outputs, dtype=dtype)
    out = Out(dtype, (rows, outputs), first=1)
    if counts == "none":
        return made, raw, out, None
    slots = [len(aux) + (1 if aux.dtype == np.uint16 else 2) for *_, aux in raw]
    wanted: list[Out | None] = [
        Out("int64", (size,), first=3) if counts == "all" or i % 2 == 0 else None for i, size in enumerate(slots)
    ]
    return made, raw, out, wanted


def _nothing(rows: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(9)
    widths = np.zeros(0, np.int32)
    made = arrays(rng, [full(rng, 0, 0)] * 2, predicates(rng, 0, widths), widths)
    return made, [], Out("float32", (rows, 1), first=0), []


SCORE: Final[dict[str, Callable[[], tuple[Any, ...]]]] = {
    **{f"{rows} rows": partial(_score, rows) for rows in SIZES},
    **{f"every {step}": partial(_score, 700, step=step) for step in (3, -1, -2)},
    "counts of all": partial(_score, 700, counts="all"),
    "counts of none": partial(_score, 700, counts="none"),
    "a byte a code": partial(_score, 700, counts="all", narrow=True),
    "doubles, two outputs": partial(_score, 700, outputs=2, dtype="float64"),
    "several spans": partial(_score, 17_000, counts="all"),
    "no columns": partial(_nothing, 70),
}
