"""How every kernel is compiled: lazily, without the GIL, with IEEE arithmetic, and kept on disk where there is room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any]) -> Any:
    """Return the function compiled at its first call. No fast maths: a multiply and an add are never fused.

    A kernel calls only kernels of its own file: when another file changes, Numba does not compile it anew.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written: compile in each process
        return numba.njit(**options)(function)
