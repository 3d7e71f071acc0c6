"""Counts of codes: the twin of csrc/cpu/tally.cpp."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlcore.backend.numba import checks
from mlcore.backend.numba.columns import SPAN_ROWS
from mlcore.backend.numba.jit import jit

_ONE: Final = np.uint64(1)
_DTYPES: Final = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int32))


def tally(codes: Any, missing: Any, counts: Any) -> None:
    """Add the rows of each code, and missing rows in the last slot; see mlcore.ops.tally."""
    array = checks.as_array(codes, ("tally", "codes"))
    if array.dtype not in _DTYPES:
        checks.refuse(("tally", "codes"), "must have dtype uint8, uint16 or int32")
    checks.contiguous(array, array.dtype, ("tally", "codes"))
    rows = len(array)
    words = None
    if missing is not None:
        words = checks.contiguous(missing, np.uint64, ("tally", "missing"), checks.words_for(rows))
    out = checks.output(counts, np.int64, ("tally", "counts"))
    if len(out) < 1:
        checks.refuse(("tally", "counts"), "must hold at least one slot, for missing rows")
    for first in range(0, rows, SPAN_ROWS):
        end = min(rows, first + SPAN_ROWS)
        absent = np.empty(0, np.uint64) if words is None else np.array(words[first // 64 : checks.words_for(end)])
        if not tally_span(np.array(array[first:end]), absent, out):
            checks.refuse(("tally", "codes"), f"holds a code that is not below {len(out) - 1}")


@jit
def tally_span(codes: Any, missing: Any, counts: Any) -> bool:
    """Count one span, whose missing rows' codes are not looked at; False when a code has no slot."""
    slots = len(counts) - 1
    for i in range(len(codes)):
        if len(missing) > 0 and (missing[i >> 6] >> np.uint64(i & 63)) & _ONE:
            counts[slots] += 1
        elif codes[i] < 0 or codes[i] >= slots:
            return False
        else:
            counts[codes[i]] += 1
    return True
