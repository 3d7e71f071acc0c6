"""The backends of this machine; MLCORE_REQUIRE=cpu,numba,cuda makes an absent one a failure."""

from __future__ import annotations

import os

import pytest

from mlcore import backend as backends
from mlcore.backend import Backend


@pytest.fixture(params=backends.NAMES)
def backend(request: pytest.FixtureRequest) -> Backend:
    return chosen(request.param)


@pytest.fixture(params=["cpu", "numba"])
def host(request: pytest.FixtureRequest) -> Backend:
    """A backend whose arrays lie in host memory."""
    return chosen(request.param)


def chosen(name: str) -> Backend:
    problem = backends.missing(name)
    if problem and name in os.environ.get("MLCORE_REQUIRE", "").split(","):
        pytest.fail(f"backend {name} is required: {problem}")
    if problem:
        pytest.skip(f"backend {name}: {problem}")
    return backends.select(name)


@pytest.fixture
def backends_here() -> dict[str, Backend]:
    """The host backends, both of which must be here to be compared, by name."""
    return {name: chosen(name) for name in ("cpu", "numba")}
