"""The samples reach every way in which `bin` finds codes, so that none is equal to the oracle for want of a sample."""

from __future__ import annotations

import numpy as np
import pytest

from mlcore import backend as backends
from mlcore.testing.samples.columns import BIN, DTYPES


@pytest.mark.parametrize("dtype", DTYPES)
def test_samples_reach_every_search(dtype: str) -> None:
    native = backends.select("cpu")
    found: set[tuple[str, bool]] = set()
    for make in BIN.values():
        values, _, _, edges, *_ = make()
        if values.dtype == dtype:
            found.add((native.kernels.search_of(edges, len(values)), len(edges) > 255))
    wanted = {
        (search, wide)
        for search in ("steps", "one width 1", "one width 2", "ways 1", "ways 2")
        for wide in (False, True)
    }
    wanted |= {("floats 1", False), ("floats 3" if dtype == "int32" else "floats 2", True)}
    wanted |= {
        "float32": {("ways 1, without entries", True)},
        "float64": {("one width 1, without entries", True)},
        "int32": {("direct", False), ("direct", True)},
        "int64": {("direct", False), ("direct", True), ("one width 1, without entries", True)},
    }[dtype]
    assert wanted <= found, sorted(wanted - found)
    assert {("each", False), ("levels", False)} & found
    assert {(f"{cut} {most}", False) for cut in ("floats", "ways") for most in (3, 4)} & found


def test_integers_that_no_double_tells_apart_have_buckets_of_their_own() -> None:
    instants = 1_700_000_000_000_000_000 + 50 * np.arange(1000)
    assert backends.select("cpu").kernels.search_of(instants, 50_000) == "one width 1"
