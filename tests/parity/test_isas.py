"""Results are the same bits under each instruction set that the machine has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlcore.backend import Backend
from mlcore.testing import digests

PROGRAM = """
import json
from mlcore.backend import select
from mlcore.testing import digests
backend = select({name!r})
print(json.dumps([backend.isa, digests(backend)]))
"""


def _python(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=500, check=False
    )


def _digests(name: str, **variables: str) -> tuple[str, dict[str, str]]:
    done = _python(PROGRAM.format(name=name), **variables)
    assert done.returncode == 0, done.stderr
    isa, found = json.loads(done.stdout)
    return isa, found


def test_every_instruction_set_gives_the_same_bits(backends_here: dict[str, Backend]) -> None:
    native = backends_here["cpu"]
    wanted = digests(native)
    for isa in native.kernels.isas():
        used, found = _digests("cpu", MLCORE_ISA=isa)
        assert used == isa
        assert {key for key, value in wanted.items() if found.get(key) != value} == set(), isa


@pytest.mark.slow
def test_a_few_rows_give_the_same_bits_under_every_instruction_set(backends_here: dict[str, Backend]) -> None:
    tests = Path(__file__).parents[1] / "scoring" / "test_few_rows.py"
    for isa in backends_here["cpu"].kernels.isas():
        done = _python(f"import pytest, sys; sys.exit(pytest.main(['-q', {str(tests)!r}]))", MLCORE_ISA=isa)
        assert done.returncode == 0, done.stdout + done.stderr


def test_numba_gives_the_bits_of_the_native_module(backends_here: dict[str, Backend]) -> None:
    assert digests(backends_here["numba"]) == digests(backends_here["cpu"])


@pytest.mark.slow
def test_numba_gives_the_same_bits_for_a_processor_without_extensions(backends_here: dict[str, Backend]) -> None:
    _, found = _digests("numba", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert found == digests(backends_here["numba"])


def test_an_instruction_set_that_cannot_run_here_is_refused(backends_here: dict[str, Backend]) -> None:
    choices = ", ".join(backends_here["cpu"].kernels.isas())
    done = _python("from mlcore.backend import select; select('cpu')", MLCORE_ISA="abacus")
    assert done.returncode == 1
    assert f"MLCORE_ISA=abacus cannot run here; choose one of: {choices}" in done.stderr
    assert "BackendUnavailable" in done.stderr
