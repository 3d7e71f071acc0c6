"""Backends: which kernels run the ops here, and why."""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from mlcore.errors import BackendUnavailable, UsageError

NAMES: Final = ("cpu", "cuda", "numba")


@dataclass(frozen=True)
class Backend:
    """One set of kernels: its name, instruction set or device, why it was picked, and the module that has them."""

    name: str
    isa: str
    reason: str
    kernels: ModuleType


def select(name: str = "auto") -> Backend:
    """Return the backend called `name`; "auto" is MLCORE_BACKEND when set, else native code, else Numba.

    Raises:
        BackendUnavailable: one asked for by name cannot run here; only "auto" falls back.
        UsageError: there is no backend of that name.
    """
    wanted = os.environ.get("MLCORE_BACKEND", "auto") if name == "auto" else name
    if wanted == "auto":
        problem = missing("cpu")
        return _load("cpu", "native code, the first choice") if not problem else _load("numba", problem)
    if wanted not in NAMES:
        raise UsageError(f"backend '{wanted}' does not exist; choose auto, {', '.join(NAMES)}")
    problem = missing(wanted)
    if problem:
        raise BackendUnavailable(f"backend '{wanted}' cannot run here: {problem}")
    return _load(wanted, "asked for by name")


def available() -> dict[str, str]:
    """Return, for each backend, "" when it runs here, else what is missing and the command that adds it."""
    return {name: missing(name) for name in NAMES}


def missing(name: str) -> str:
    """Return "" when the backend runs here, else what is missing and the command that adds it."""
    if name == "cpu":
        return _missing_native()
    if name == "numba":
        found = importlib.util.find_spec("numba")
        return "" if found else "numba is not installed; add it with: pip install 'mlcore[numba]'"
    return importlib.import_module("mlcore.backend.cuda").missing()  # type: ignore[no-any-return]


def default_threads() -> int:
    """Return how many threads the machine's affinity mask, its cgroup and MLCORE_THREADS allow."""
    if not _missing_native():
        return int(importlib.import_module("mlcore._native").default_threads())
    wanted = os.environ.get("MLCORE_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else len(os.sched_getaffinity(0))


def _missing_native() -> str:
    try:
        importlib.import_module("mlcore._native")
    except ModuleNotFoundError:
        return "this wheel has no native module; install one built for this platform, or build from source"
    except ImportError as error:
        return f"the native module does not load: {error}"
    return ""


def _load(name: str, reason: str) -> Backend:
    if name == "cpu":
        kernels = importlib.import_module("mlcore._native")
    else:
        problem = missing(name)
        if problem:
            raise BackendUnavailable(f"backend '{name}' cannot run here: {problem}")
        kernels = importlib.import_module(f"mlcore.backend.{name}")
    return Backend(name, str(kernels.isa()), reason, kernels)
