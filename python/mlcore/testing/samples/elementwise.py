"""Samples of the elementwise ops and of lookup."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from mlcore.testing.samples.arrays import MANY, SIZES, Array, Out, awkward, bitmap, numbers, strided

Arguments = tuple[Any, ...]
Samples = dict[str, Callable[[], Arguments]]
INFINITY: Final = float("inf")


def _x(rows: int | None, dtype: str) -> Array:
    if rows is None:
        return awkward(np.dtype(dtype).type)
    x = numbers(np.random.default_rng(10), dtype, rows)
    x.flags.writeable = rows % 2 == 0
    return x


def _call(*options: float, rows: int | None = 300, dtype: str = "float64") -> Arguments:
    x = _x(rows, dtype)
    return x, *options, Out(dtype, (len(x),))


def _samples(*options: tuple[float, ...]) -> Samples:
    return {
        **{f"{rows} rows": partial(_call, *options[0], rows=rows) for rows in SIZES},
        **{f"{values}": partial(_call, *values) for values in options},
        **{f"{values}, awkward": partial(_call, *values, rows=None) for values in options},
    }


AFFINE: Final = _samples((1.1, 3.7), (0.0, 1.0), (-0.0, -1.0), (1e308, 1e-308), (2.0, 0.0), (INFINITY, 2.0))
CLIP: Final = _samples((-100.0, 100.0), (0.0, 0.0), (-0.0, 0.0), (-INFINITY, INFINITY), (5e-324, 1.0))
FILL: Final = _samples((7.5,), (-0.0,), (INFINITY,), (float("nan"),))


def _lookup(
    *, rows: int = 300, entries: int = 30, step: int = 1, offset: int | None = None, share: float = 0.2,
    missing: float = -1.5,
) -> Arguments:  # fmt: skip
    rng = np.random.default_rng(11)
    indices = rng.integers(0, max(1, entries), rows).astype(np.int32)
    validity = None
    if offset is not None:
        validity = bitmap(rng, rows, offset, share)
        valid = np.unpackbits(validity, bitorder="little")[offset : offset + rows].astype(bool)
        indices[~valid] = rng.choice([-(2**31), -1, 2**31 - 1], (~valid).sum())
    table = numbers(rng, "float64", entries)
    return strided(indices, step), validity, offset or 0, table, missing, Out("float64", (rows,))


LOOKUP: Final[Samples] = {
    **{f"{rows} rows": partial(_lookup, rows=rows, offset=3) for rows in SIZES},
    **{f"every {step}": partial(_lookup, step=step, offset=9) for step in (3, -1, -2)},
    **{f"nulls from bit {offset}": partial(_lookup, offset=offset) for offset in (0, 1, 7, 8, 13)},
    "none null": _lookup,
    "many rows": partial(_lookup, rows=MANY, entries=5000),
    "no entry, all null": partial(_lookup, entries=0, offset=2, share=1.0, missing=float("nan")),
}


def _sigmoid(rows: int | None) -> Arguments:
    x = awkward(np.float32) if rows is None else np.linspace(-120, 120, rows, dtype=np.float32)
    return x, Out("float32", (len(x),))


SIGMOID: Final[Samples] = {
    **{f"{rows} rows": partial(_sigmoid, rows) for rows in (*SIZES, MANY)},
    "awkward": partial(_sigmoid, None),
}
