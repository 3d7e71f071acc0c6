"""Every op, on every backend and every sample, gives what its oracle says."""

from __future__ import annotations

import numpy as np
import pytest

from mlcore import ops
from mlcore.backend import Backend
from mlcore.testing import ORACLES, SAMPLES, agree, expected, run, same
from mlcore.testing.harness import INEXACT

CASES = [(op, sample) for op in ops.NAMES for sample in SAMPLES.get(op, {})]
EXACT = [case for case in CASES if case[0] not in INEXACT]


def _skip_unless_it_has(backend: Backend, op: str) -> None:
    if backend.name == "cuda" and not hasattr(backend.kernels, op):
        pytest.skip(f"the CUDA backend has no {op}")


@pytest.mark.parametrize("op", ops.NAMES)
def test_every_op_has_an_oracle_and_samples(op: str) -> None:
    assert op in ORACLES
    assert SAMPLES.get(op)


@pytest.mark.parametrize("name", ["cpu", "numba"])
def test_a_host_backend_has_every_op(name: str, request: pytest.FixtureRequest) -> None:
    kernels = request.getfixturevalue("backends_here")[name].kernels
    assert [op for op in ("Forest", "isa", *ops.NAMES) if not hasattr(kernels, op)] == []


@pytest.mark.parametrize(("op", "sample"), EXACT, ids=[f"{op}-{sample}" for op, sample in EXACT])
def test_results_equal_the_oracles_bit_for_bit(op: str, sample: str, backend: Backend) -> None:
    _skip_unless_it_has(backend, op)
    found, wanted = run(op, sample, backend), expected(op, sample)
    assert same(found, wanted), f"found {found}, expected {wanted}"


@pytest.mark.parametrize("sample", SAMPLES["sigmoid"])
def test_sigmoid_is_within_two_ten_millionths_of_the_exact_value(sample: str, backend: Backend) -> None:
    _skip_unless_it_has(backend, "sigmoid")
    (_, found), (_, exact) = run("sigmoid", sample, backend), expected("sigmoid", sample)
    assert found.dtype == np.float32
    unit = float(np.finfo(np.float32).smallest_subnormal)  # of a subnormal result, wider than the tolerance
    np.testing.assert_allclose(found.astype(np.float64), exact, rtol=2e-7, atol=unit, equal_nan=True)


@pytest.mark.parametrize("sample", SAMPLES["sigmoid"])
def test_sigmoid_has_the_same_bits_on_every_backend(sample: str, backends_here: dict[str, Backend]) -> None:
    results = {name: run("sigmoid", sample, found) for name, found in backends_here.items()}
    first = next(iter(results.values()))
    assert [name for name, found in results.items() if not same(found, first)] == []


@pytest.mark.parametrize("sample", SAMPLES["explain"])
def test_shap_values_are_those_of_shapleys_formula(sample: str, backend: Backend) -> None:
    _skip_unless_it_has(backend, "explain")
    assert agree("explain", run("explain", sample, backend), expected("explain", sample))


@pytest.mark.parametrize("sample", SAMPLES["explain"])
def test_shap_values_have_the_same_bits_on_every_backend(sample: str, backends_here: dict[str, Backend]) -> None:
    assert same(*(run("explain", sample, found) for found in backends_here.values()))


@pytest.mark.parametrize("change", [0, 1])
def test_the_comparison_sees_one_changed_bit(change: int) -> None:
    wanted = expected("forest", "65 rows")
    margins = wanted[1].copy()
    margins.view(np.uint32)[-1] ^= change
    assert same((None, margins), wanted) is (change == 0)
