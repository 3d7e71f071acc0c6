"""The samples reach every way in which `bin` finds codes, so that none is equal to the oracle for want of a sample."""

from __future__ import annotations

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
    wanted = {(search, True) for search in ("steps", "one width 1", "one width 2", "floats 2", "ways 1", "ways 2")}
    narrow = {"levels"} if ("levels", False) in found else {"each", "one width 1", "one width 2", "floats 2", "ways 1"}
    wanted |= {(search, False) for search in narrow | {"steps"}}
    if dtype in ("int32", "int64"):
        wanted |= {("direct", False), ("direct", True)}
    assert wanted <= found, sorted(wanted - found)
    assert not narrow & {"each"} or {search for search, _ in found} & {"ways 3", "ways 4"} or dtype == "int32"
