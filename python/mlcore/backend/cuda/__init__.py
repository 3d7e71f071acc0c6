"""The CUDA backend: `bin`, `forest` and `leaves` on CuPy's arrays, on CuPy's current stream."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from mlcore.backend.cuda.kernels import Forest, bin, forest, leaves

__all__ = ["Forest", "bin", "forest", "isa", "leaves", "missing"]


def missing() -> str:
    """Return "" when kernels can run here, else what is missing and the command that adds it."""
    try:
        module = importlib.import_module("mlcore._cuda")
    except ModuleNotFoundError:
        return "this build has no CUDA module; build from source where nvcc is, with MLCORE_CUDA=ON"
    except ImportError as error:
        return f"the CUDA module does not load: {error}"
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; add it with: pip install 'mlcore[gpu]'"
    if module.device_count() == 0:
        return "there is no GPU, or no driver for it; nvidia-smi shows what the driver sees"
    return ""


def isa() -> str:
    """Return the current device's architecture, "sm_90" for example."""
    cupy: Any = importlib.import_module("cupy")
    return str(importlib.import_module("mlcore._cuda").architecture(cupy.cuda.Device().id))
