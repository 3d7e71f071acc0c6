"""The AVX-512 engine gives the same bits as any other, here emulated on machines without it (tests/native builds it)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlcore import backend as backends
from mlcore.testing import digests

_DIGESTS = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("mlcore._native", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules["mlcore._native"] = module
from mlcore import backend
from mlcore.testing import digests
found = backend.select("cpu")
print(json.dumps({"isa": found.isa, "digests": digests(found)}))
"""


@pytest.mark.slow
def test_the_emulated_avx512_engine_gives_the_same_bits() -> None:
    folder = Path(os.environ.get("MLCORE_EMULATED", "build/none"))
    modules = sorted(folder.glob("_native*.so"))
    if not modules:
        message = "the emulated module was not built: make test builds it where SIMDe is (Debian: libsimde-dev)"
        if "avx512" in os.environ.get("MLCORE_REQUIRE", "").split(","):
            pytest.fail(message)
        pytest.skip(message)
    ended = subprocess.run(
        [sys.executable, "-c", _DIGESTS, str(modules[0])],
        env={**os.environ, "MLCORE_ISA": "avx512"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["isa"] == "avx512"
    assert found["digests"] == digests(backends.select("numba"))
