"""Code for hardware that is not here gives the same bits as any other: tests/native builds it for this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlcore import backend as backends
from mlcore.testing import digests

_DIGESTS = """
import importlib.util, json, sys
name, path, backend = sys.argv[1:]
spec = importlib.util.spec_from_file_location("mlcore." + name, path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules["mlcore." + name] = module
from mlcore import backend as backends
from mlcore.testing import digests
found = backends.select(backend)
print(json.dumps({"isa": found.isa, "digests": digests(found)}))
"""


def digests_of(module: str, backend: str, required: str, absent: str, **environment: str) -> Any:
    """The digests that a module out of tests/native gives in a process of its own."""
    paths = sorted(Path(os.environ.get("MLCORE_EMULATED", "build/none")).glob(f"{module}*.so"))
    if not paths:
        message = f"{absent}: make test builds it"
        if required in os.environ.get("MLCORE_REQUIRE", "").split(","):
            pytest.fail(message)
        pytest.skip(message)
    ended = subprocess.run(
        [sys.executable, "-c", _DIGESTS, module, str(paths[0]), backend],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.slow
def test_the_emulated_avx512_engine_gives_the_same_bits() -> None:
    absent = "no emulated AVX-512, which needs SIMDe (Debian: libsimde-dev)"
    found = digests_of("_native", "cpu", "avx512", absent, MLCORE_ISA="avx512")
    assert found["isa"] == "avx512"
    assert found["digests"] == digests(backends.select("numba"))


@pytest.mark.slow
def test_the_cuda_kernels_give_the_same_bits_on_the_host() -> None:
    stand_in = str(Path(__file__).parents[1] / "native" / "cuda_on_host")  # for CuPy
    found = digests_of("_cuda", "cuda", "cuda-kernels", "no CUDA module for the host", PYTHONPATH=stand_in)
    wanted = digests(backends.select("numba"))
    assert {key.split("/")[0] for key in found["digests"]} == {"bin", "forest", "leaves"}
    assert found["digests"] == {key: wanted[key] for key in found["digests"]}
