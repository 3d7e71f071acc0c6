"""Samples of tally: codes of each width, with and without missing rows, onto counts that are not zero."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from mlcore.testing.samples.arrays import MANY, SIZES, Out, missing_words

DTYPES: Final = ("uint8", "uint16", "int32")


def _tally(*, dtype: str = "uint8", rows: int = 700, codes: int = 40, share: float | None = 0.1) -> tuple[Any, ...]:
    rng = np.random.default_rng(5)
    given = rng.integers(0, max(1, codes), rows).astype(dtype)
    counts = Out("int64", (codes + 1,), first=7)
    if share is None:
        return given, None, counts
    words = missing_words(rng, rows, share)
    missing = np.unpackbits(words.view(np.uint8), bitorder="little")[:rows].astype(bool)
    given[missing] = np.iinfo(dtype).max  # of a missing row, any code will do
    return given, words, counts


TALLY: Final[dict[str, Callable[[], tuple[Any, ...]]]] = {
    **{f"{dtype}, {rows} rows": partial(_tally, dtype=dtype, rows=rows) for dtype in DTYPES for rows in (*SIZES, MANY)},
    **{
        f"{dtype}, {codes} codes": partial(_tally, dtype=dtype, codes=codes, share=None)
        for dtype in DTYPES
        for codes in (1, 2, 255, 256)
    },
    **{
        f"{dtype}, {codes} codes": partial(_tally, dtype=dtype, codes=codes)
        for dtype in DTYPES[1:]
        for codes in (257, 5000, 60_000)
    },
    **{f"{dtype}, one code": partial(_tally, dtype=dtype, codes=1, rows=3000, share=None) for dtype in DTYPES},
    "no codes, all missing": partial(_tally, codes=0, share=1.0),
    "few missing": partial(_tally, rows=MANY, share=0.001),
}
