"""What the base install needs: a wheel without the native module runs on Numba, so it brings Numba."""

from __future__ import annotations

import os

BASE = ["blake3>=1", "numpy>=2", "pyarrow>=18", "rich>=13"]


def dynamic_metadata(field: str, settings: dict[str, object], *_: object) -> list[str]:
    """Return the project's dependencies, as scikit-build-core asks for them."""
    if field != "dependencies" or settings:
        raise RuntimeError(f"this provider gives dependencies and takes no settings, not {field} with {settings}")
    native = os.environ.get("MLCORE_NATIVE", "ON").lower() not in {"off", "0"}
    return BASE if native else sorted([*BASE, "numba>=0.61"])
