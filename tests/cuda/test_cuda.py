"""The CUDA module where there may be no GPU: it imports, says so, and refuses what is not on the device."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xgboost

import mlcore
from mlcore import backend, ops
from mlcore.backend import cuda
from mlcore.errors import BackendUnavailable


@pytest.fixture
def module() -> ModuleType:
    try:
        return __import__("mlcore._cuda", fromlist=["_cuda"])
    except ModuleNotFoundError:
        if "cuda-build" in os.environ.get("MLCORE_REQUIRE", "").split(","):
            pytest.fail("the CUDA module is required and was not built")
        pytest.skip("this build has no CUDA module: there is no nvcc")


class HostArray:
    """Host memory that claims to be on the device."""

    def __init__(self, array: np.ndarray, **changed: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3, **changed}


def test_it_imports_without_a_driver(module: ModuleType) -> None:
    assert module.device_count() >= 0


def test_what_is_missing_is_said_with_what_adds_it(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if module.device_count() == 0:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
        assert "there is no GPU" in cuda.missing()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'mlcore[gpu]'" in cuda.missing()
    monkeypatch.setitem(sys.modules, "mlcore._cuda", None)
    assert "MLCORE_CUDA=ON" in cuda.missing()


@pytest.mark.skipif(not cuda.missing(), reason="a GPU is there: the backend runs")
def test_asked_for_by_name_it_raises_and_auto_falls_back() -> None:
    with pytest.raises(BackendUnavailable, match="backend 'cuda' cannot run here"):
        backend.select("cuda")
    booster = xgboost.train({"max_depth": 1}, xgboost.DMatrix(np.eye(4), [0, 1, 0, 1]), 1)
    with pytest.raises(BackendUnavailable, match="backend 'cuda' cannot run here"):
        mlcore.compile(booster, backend="cuda")
    assert backend.select("auto").name in ("cpu", "numba")


def test_an_op_that_a_backend_lacks_is_named() -> None:
    found = backend.Backend("cuda", "sm_90", "", cuda)
    with pytest.raises(BackendUnavailable, match="tally: backend 'cuda' does not have this op"):
        ops.tally(np.zeros(1, np.uint8), None, np.zeros(2, np.int64), backend=found)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "bin: values (is not on the device|cannot be looked up)"),
        ({"shape": (2, 2)}, "bin: values must have one dimension"),
    ],
)
def test_what_is_not_on_the_device_is_refused_before_any_launch(
    changed: dict[str, Any], message: str, module: ModuleType
) -> None:
    values = HostArray(np.zeros(4, np.float32), **changed)
    with pytest.raises(ValueError, match=message):
        module.bin(values, None, 0, values, values, values, values, 0)
    with pytest.raises(ValueError, match="must be an array on the device"):
        module.bin(np.zeros(4, np.float32), None, 0, values, values, values, values, 0)


def test_wrong_types_are_refused(module: ModuleType) -> None:
    empty = HostArray(np.zeros(0, np.float32))  # no rows, so no memory to be looked up
    with pytest.raises(ValueError, match="bin: edges must have one dimension and the dtype of values"):
        module.bin(empty, None, 0, HostArray(np.zeros(0, np.float64)), empty, empty, empty, 0)
    with pytest.raises(ValueError, match=r"bin: codes must have type \|u1, not <f4"):
        module.bin(empty, None, 0, empty, empty, empty, empty, 0)
    with pytest.raises(ValueError, match="forest: column 0: codes must have type <u2"):
        module.codes_at(empty, True, 0, "column 0: codes")


def test_forest_arrays_are_checked_on_the_host(module: ModuleType) -> None:
    i4, u1 = np.int32, np.uint8
    stump: list[Any] = [
        np.array([0], i4), np.array([1], i4), np.array([-1], i4), np.array([0], u1), np.zeros((0, 1), np.uint64),
        np.array([0, 3]), np.array([0], i4), np.array([0, -1, -1], i4), np.array([1, 0, 0], i4),
        np.array([2, 0, 0], i4), np.array([[0], [1], [2]], np.float32), np.array([2], i4), 1,
    ]  # fmt: skip
    assert len(module.nodes(*stump)) == 3 * 16
    stump[8] = np.array([3, 0, 0], i4)
    with pytest.raises(ValueError, match="tree 0, node 0: child out of range"):
        module.nodes(*stump)


def test_a_process_that_loads_both_modules_ends_well(module: ModuleType) -> None:
    code = "import mlcore._native, mlcore._cuda; print(mlcore._cuda.device_count())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ended.stdout) == module.device_count()
