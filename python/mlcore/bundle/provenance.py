"""Where a Bundle comes from: data, code, versions, parameters, metrics."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

_LIBRARIES: Final = (
    "numpy",
    "pyarrow",
    "xgboost",
    "xgboost-cpu",
    "lightgbm",
    "catboost",
    "onnx",
    "scikit-learn",
    "numba",
    "mlflow-skinny",
)
_GIT_SECONDS: Final = 10


def collect(
    *,
    snapshot: str | None = None,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Return a Bundle's provenance as of now.

    Args:
        snapshot: id of the snapshot that the model was trained on.
        params: the training's parameters.
        metrics: what evaluation found.
        folder: where the code is, by default the current one; its git commit and changes are noted.
    """
    libraries = {name: found for name in _LIBRARIES if (found := _version(name)) is not None}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "snapshot": snapshot,
        "params": dict(params or {}),
        "metrics": dict(metrics or {}),
        "code": code_version(folder or Path.cwd()),
        "mlcore": _version("mlcore"),
        "python": platform.python_version(),
        "libraries": libraries,
    }


def code_version(folder: Path) -> dict[str, Any] | None:
    """Return {"commit", "dirty"} of the git work tree at `folder`; None where there is none, or no git."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}


def _git(folder: Path, *words: str) -> str | None:
    # Without --no-optional-locks, looking would refresh the index and get in the way of a commit.
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
