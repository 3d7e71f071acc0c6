"""What the CUDA backend uses of CuPy, on host memory, for the CUDA module that tests/native builds for the host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

uint64 = np.uint64


class DeviceArray(np.ndarray[Any, Any]):
    """An array whose memory counts as the device's."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.__array_interface__, "version": 3}


def asarray(values: Any) -> DeviceArray:
    """Return a contiguous copy, as the way to a device makes one."""
    return np.array(values, order="C").view(DeviceArray)


def asnumpy(values: DeviceArray) -> Any:
    """Return a copy as NumPy's own."""
    return np.array(values)


def zeros(shape: Any, dtype: Any) -> DeviceArray:
    """Return zeros."""
    return np.zeros(shape, dtype).view(DeviceArray)


cuda = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=0), Device=lambda: SimpleNamespace(id=0))
