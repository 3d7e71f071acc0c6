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


_NO_AVX512 = "no emulated AVX-512, which needs SIMDe (Debian: libsimde-dev)"


def built(module: str, required: str, absent: str) -> str:
    """The path of a module out of tests/native."""
    paths = sorted(Path(os.environ.get("MLCORE_EMULATED", "build/none")).glob(f"{module}*.so"))
    if not paths:
        message = f"{absent}: make test builds it"
        if required in os.environ.get("MLCORE_REQUIRE", "").split(","):
            pytest.fail(message)
        pytest.skip(message)
    return str(paths[0])


def output_of(arguments: list[str], **environment: str) -> str:
    """What Python prints in a process of its own, which must end well."""
    ended = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def digests_of(module: str, backend: str, required: str, absent: str, **environment: str) -> Any:
    """The digests that a module out of tests/native gives."""
    path = built(module, required, absent)
    return json.loads(output_of(["-c", _DIGESTS, module, path, backend], **environment))


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx512vbmi", "avx512"])
def test_the_emulated_avx512_engine_gives_the_same_bits(isa: str) -> None:
    found = digests_of("_native", "cpu", "avx512", _NO_AVX512, MLCORE_ISA=isa)
    assert found["isa"] == isa
    assert found["digests"] == digests(backends.select("numba"))


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx512vbmi", "avx512"])
def test_the_emulated_trees_side_by_side_give_the_same_bits(isa: str) -> None:
    tests = str(Path(__file__).parents[1] / "scoring" / "test_few_rows.py")
    module = str(Path(built("_native", "avx512", _NO_AVX512)).resolve())
    output_of(["-m", "pytest", "-q", tests], MLCORE_ISA=isa, MLCORE_NATIVE_MODULE=module)


@pytest.mark.slow
def test_the_cuda_kernels_give_the_same_bits_on_the_host() -> None:
    stand_in = str(Path(__file__).parents[1] / "native" / "cuda_on_host")  # for CuPy
    found = digests_of("_cuda", "cuda", "cuda-kernels", "no CUDA module for the host", PYTHONPATH=stand_in)
    wanted = digests(backends.select("numba"))
    assert {key.split("/")[0] for key in found["digests"]} == {"bin", "forest", "leaves"}
    assert found["digests"] == {key: wanted[key] for key in found["digests"]}
