"""TL2cgen: probabilities, from C that it generates of Treelite's model and gcc compiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tl2cgen

from scoring import models


def load(library: str, path: Path, columns: int, kept: Path) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what makes rows ready and what answers them."""
    built = kept / "model.so"
    if not built.exists():
        made = kept / "made.so"
        tl2cgen.export_lib(models.treelite(library, path), "gcc", made, params={"parallel_comp": 32}, nthread=2)
        made.rename(built)
    predictor = tl2cgen.Predictor(built, nthread=1)
    return lambda rows: tl2cgen.DMatrix(rows, dtype="float32"), predictor.predict
