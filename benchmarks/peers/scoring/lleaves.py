"""lleaves: probabilities of LightGBM's models in float64, compiled by LLVM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lleaves
import numpy as np


def load(library: str, path: Path, columns: int, kept: Path) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what makes rows ready and what answers them."""
    model = lleaves.Model(str(path))
    built, made = kept / "model.elf", kept / "made.elf"
    if built.exists():
        model.compile(cache=built)
    else:
        made.unlink(missing_ok=True)  # of a run that was stopped
        model.compile(cache=made)
        made.rename(built)
    return lambda rows: rows.astype(np.float64), lambda rows: model.predict(rows, n_jobs=1)
